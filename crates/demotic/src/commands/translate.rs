//! `demotic translate`: pictures and folders of pictures through a trained run.

use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use demotic_core::data::{DataError, Picture};
use demotic_core::device;
use demotic_core::translate::{self, AlphaRule, Framed};
use image::ExtendedColorType;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::{AlphaArg, TranslateArgs};
use crate::failure::{input, io};
use crate::output::{duration, say};
use crate::{run_dir, sheet};

/// Endings of pictures that are read.
const ENDINGS: [&str; 5] = ["png", "jpg", "jpeg", "webp", "svg"];
/// Pictures held at once: bounded in number and, as they may be large, in pixels.
const HELD: usize = 64;
const HELD_PX: u64 = 32 << 20;
/// Share of a picture that may be painted where it is transparent before that is worth a word.
const HIDDEN_SHARE: f32 = 0.02;

pub(crate) fn run(args: &TranslateArgs) -> Result<()> {
    let checkpoint = run_dir::trained(&args.run)?;
    let info = &checkpoint.info;
    let style = info
        .styles
        .iter()
        .position(|name| *name == args.to)
        .ok_or_else(|| DataError::UnknownStyle {
            asked: args.to.clone(),
            known: info.styles.clone(),
        })?;
    let background = info
        .config
        .data
        .background_rgb()
        .map_err(|problem| demotic_core::Error::Config(vec![problem]))?;
    let (jobs, others) = jobs(&args.inputs, &args.out, args.force)?;
    let chosen = device::open(&args.device.device)?;
    let generator = checkpoint.generator(&chosen.device)?;
    fs::create_dir_all(&args.out)
        .map_err(|e| io("make the folder for translations", &args.out, &e))?;

    let started = Instant::now();
    let bar = progress_bar(jobs.len());
    let size_px = info.config.data.size_px;
    let rule = match args.alpha {
        AlphaArg::Keep => AlphaRule::Keep,
        AlphaArg::Redraw => AlphaRule::Redraw,
    };
    let (mut done, mut hidden, mut problems) = (0, 0, Vec::new());
    let mut queue = jobs.iter().peekable();
    while queue.peek().is_some() {
        let (mut held, mut pixels): (Vec<(&Job, Framed)>, u64) = (Vec::new(), 0);
        while held.len() < HELD && pixels < HELD_PX {
            let Some(job) = queue.next() else { break };
            match Picture::open_or_draw(&job.input, size_px) {
                Ok(picture) => {
                    pixels += u64::from(picture.width_px) * u64::from(picture.height_px);
                    held.push((job, Framed::new(picture, size_px, background)));
                }
                Err(problem) => problems.push(problem.to_string()),
            }
        }
        let squares: Vec<f32> = held
            .iter()
            .flat_map(|(_, framed)| framed.square())
            .collect();
        let side = size_px as usize;
        let translated = translate::translate(
            &generator,
            &chosen.device,
            &squares,
            side,
            &vec![style as u32; held.len()],
        );
        for ((job, framed), translated) in held.iter().zip(translate::planes(&translated, side)) {
            let picture = framed.back(translated, rule);
            hidden += usize::from(rule == AlphaRule::Keep && picture.hidden_share > HIDDEN_SHARE);
            write(&picture, &job.output)?;
            done += 1;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();

    let mut lines = vec![format!(
        "{done} of {} pictures translated to {} in {}, by step {} of {}, on {}: {}",
        jobs.len(),
        args.to,
        duration(started.elapsed().as_secs_f64()),
        info.step,
        args.run.display(),
        chosen.description,
        args.out.display()
    )];
    if others > 0 {
        lines.push(format!(
            "{others} files in folders passed over: they are no {}",
            ENDINGS.join(", ")
        ));
    }
    if hidden > 0 {
        lines.push(format!("{hidden} translations paint where their input is transparent, which hides it; --alpha redraw shows it"));
    }
    lines.push(String::new());
    say(&lines.join("\n"))?;
    if problems.is_empty() {
        return Ok(());
    }
    let head = format!(
        "{} of {} pictures were not translated",
        problems.len(),
        jobs.len()
    );
    Err(input(if problems.len() == 1 {
        problems.remove(0)
    } else {
        format!("{head}\n{}", problems.join("\n"))
    }))
}

/// A picture and where its translation goes.
struct Job {
    input: PathBuf,
    output: PathBuf,
}

/// Finds every picture, and refuses before any work what could not be written at the end. Also counts the files in
/// folders that are no pictures.
fn jobs(inputs: &[PathBuf], out: &Path, force: bool) -> Result<(Vec<Job>, usize)> {
    if out.exists() && !out.is_dir() {
        return Err(input(format!(
            "--out is a file, expected a folder: {}",
            out.display()
        )));
    }
    let (mut pictures, mut others) = (Vec::new(), 0);
    for path in inputs {
        if path.is_dir() {
            let before = pictures.len();
            let entries = fs::read_dir(path).map_err(|e| io("look into the folder", path, &e))?;
            for entry in entries {
                let file = entry
                    .map_err(|e| io("look into the folder", path, &e))?
                    .path();
                let is_hidden = file
                    .file_name()
                    .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
                if !is_hidden && file.is_file() {
                    if is_picture(&file) {
                        pictures.push(file);
                    } else {
                        others += 1;
                    }
                }
            }
            if pictures.len() == before {
                return Err(input(format!(
                    "no picture ({}) in this folder: {}",
                    ENDINGS.join(", "),
                    path.display()
                )));
            }
            pictures[before..].sort();
        } else if !path.exists() {
            return Err(input(format!(
                "there is no such picture: {}",
                path.display()
            )));
        } else if !is_picture(path) {
            return Err(input(format!(
                "not a picture by its name; expected {}: {}",
                ENDINGS.join(", "),
                path.display()
            )));
        } else {
            pictures.push(path.clone());
        }
    }
    let mut taken: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    let mut jobs = Vec::new();
    for picture in pictures {
        let stem = picture.file_stem().unwrap_or_default();
        let mut name = stem.to_owned();
        name.push(".png");
        let output = out.join(name);
        if let Some(other) = taken.insert(output.clone(), picture.clone()) {
            return Err(input(format!(
                "two pictures of one name, {} and {}, would both become this file; translate them into two folders: {}",
                other.display(),
                picture.display(),
                output.display()
            )));
        }
        let same = output
            .canonicalize()
            .ok()
            .zip(picture.canonicalize().ok())
            .is_some_and(|(a, b)| a == b);
        if same {
            return Err(input(format!(
                "the translation would replace its own input; give another --out: {}",
                picture.display()
            )));
        }
        run_dir::refuse_existing(&output, force)?;
        jobs.push(Job {
            input: picture,
            output,
        });
    }
    Ok((jobs, others))
}

fn is_picture(path: &Path) -> bool {
    let ending = path
        .extension()
        .map(|e| e.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// PNG with alpha only where something is transparent.
fn write(picture: &translate::Unframed, path: &Path) -> Result<()> {
    let (width, height) = (picture.width_px, picture.height_px);
    let bytes = if picture.is_opaque {
        let rgb: Vec<u8> = picture
            .rgba
            .as_chunks::<4>()
            .0
            .iter()
            .flat_map(|p| [p[0], p[1], p[2]])
            .collect();
        sheet::png(&rgb, width, height, ExtendedColorType::Rgb8, path)?
    } else {
        sheet::png(&picture.rgba, width, height, ExtendedColorType::Rgba8, path)?
    };
    run_dir::write_whole(path, &bytes)
}

fn progress_bar(count: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} pictures  left {eta}")
        .expect("the template is well formed");
    ProgressBar::with_draw_target(Some(count as u64), ProgressDrawTarget::stderr())
        .with_style(style)
}
