//! `demotic translate`: pictures and folders of pictures through a trained run.

use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use demotic_core::data::{Channels, DataError, Picture};
use demotic_core::device;
use demotic_core::train::CheckpointInfo;
use demotic_core::translate::{self, AlphaRule, Framed, Hand};
use image::ExtendedColorType;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::inputs::{self, Job};
use crate::cli::{AlphaArg, TranslateArgs};
use crate::failure::{input, io};
use crate::output::{duration, say};
use crate::{run_dir, sheet};

/// Share of a picture that may be painted where it is transparent before that is worth a word.
const HIDDEN_SHARE: f32 = 0.02;

pub(crate) fn run(args: &TranslateArgs) -> Result<()> {
    let checkpoint = run_dir::trained(&args.run, args.checkpoint)?;
    let info = &checkpoint.info;
    let style = style_number(info, &args.to)?;
    if args.alpha == AlphaArg::Redraw && info.config.data.channels == Channels::Rgba {
        return Err(input(
            "--alpha redraw: this run draws its own transparency (data.channels = rgba); leave --alpha out",
        ));
    }
    let background = info
        .config
        .data
        .background_rgb()
        .map_err(|problem| demotic_core::Error::Config(vec![problem]))?;
    let (pictures, others) = inputs::find(&args.inputs)?;
    let jobs = inputs::with_outputs(pictures, &args.out, args.force)?;
    let chosen = device::open(&args.device.device)?;
    let generator = checkpoint.generator(&chosen.device)?;
    let data = &info.config.data;
    let side = data.size_px as usize;
    let framed = |picture| Framed::new(picture, data.size_px, background, data.channels);
    let hand = match (&args.reference, args.style_seed) {
        (Some(path), _) => {
            let picture = Picture::open_or_draw(path, info.config.data.size_px)?;
            Hand::Picture(framed(picture).square())
        }
        (None, Some(seed)) => Hand::Seed(seed),
        (None, None) => Hand::Typical,
    };
    let code = translate::style_codes(&generator, &info.config, &chosen.device, style, 1, &hand)?;
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
        let (opened, failed) = inputs::open_some(&mut queue, |job| &job.input, size_px);
        problems.extend(failed);
        let held: Vec<(&Job, Framed)> = opened
            .into_iter()
            .map(|(job, picture)| (job, framed(picture)))
            .collect();
        let squares: Vec<f32> = held
            .iter()
            .flat_map(|(_, framed)| framed.square())
            .collect();
        let codes = code.clone().repeat_dim(0, held.len());
        let translated =
            translate::translate_as(&generator, &chosen.device, &squares, side, &codes);
        let len = generator.channels() * side * side;
        for ((job, framed), translated) in held.iter().zip(translated.chunks_exact(len)) {
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
    lines.extend(inputs::passed_over(others));
    if hidden > 0 {
        lines.push(format!("{hidden} translations paint where their input is transparent, which hides it; --alpha redraw shows it"));
    }
    lines.push(String::new());
    say(&lines.join("\n"))?;
    inputs::settle(problems, jobs.len(), "translated")
}

/// A style's number in the run's networks.
pub(crate) fn style_number(info: &CheckpointInfo, name: &str) -> Result<u32> {
    let place = info.styles.iter().position(|known| known == name);
    let place = place.ok_or_else(|| DataError::UnknownStyle {
        asked: name.to_owned(),
        known: info.styles.clone(),
    })?;
    Ok(place as u32)
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
