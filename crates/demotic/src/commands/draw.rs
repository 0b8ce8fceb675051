//! `demotic draw`: a phrase, the idea it recalls, and its picture in a style of a run.

use std::path::Path;

use anyhow::Result;
use demotic_core::data::{CachePolicy, Dataset, DatasetOptions};
use demotic_core::device::{self, Chosen};
use demotic_core::files::{require_writable, write_whole};
use demotic_core::phrase::{self, Drawn, Memory, Origin, Phrases, Recall, Written};
use demotic_core::train::BUILT_IN;
use demotic_core::train::run::trained;
use demotic_core::translate::{self, Hand};
use image::ExtendedColorType;
use serde::Serialize;

use super::draw_kaomoji::Faces;
use super::learn_words;
use super::words::{self, Answer, TOLD, Told, in_words};
use crate::cli::DrawArgs;
use crate::failure::input;
use crate::options::dataset_options;
use crate::output::say;
use crate::sheet::{self, Block};

/// The style that is made of characters.
const KAOMOJI: &str = "kaomoji";
/// Foundries whose drawings stand in for what a run's pictures lack, the first one first.
const BESIDE: [&str; 2] = ["openmoji", "twemoji"];
/// Sides of a single picture are enlarged to at least this.
const SHOWN_PX: usize = 256;

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    phrase: &'a str,
    /// Whether it stands in a list.
    listed: bool,
    /// Whether the best idea is near enough.
    known: bool,
    recalled: Vec<Told<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    drawn: Vec<PictureTold<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    kaomoji: &'a [String],
    /// Those that are made up.
    #[serde(skip_serializing_if = "<[Written]>::is_empty")]
    written: &'a [Written],
}

/// A picture as it is told.
#[derive(Serialize)]
struct PictureTold<'a> {
    name: &'a str,
    /// `real`, or the style it was translated from.
    from: String,
    nearest_l1: f64,
}

pub(crate) fn run(args: &DrawArgs) -> Result<()> {
    let phrases = words::phrases(&args.phrases, args.file.as_deref())?;
    let is_text = args.style.as_deref() == Some(KAOMOJI);
    if args.out.is_some() && args.style.is_none() {
        return Err(input("--out: expected --style with it"));
    }
    if args.style.is_some() && !is_text && args.out.is_none() {
        return Err(input("--style: expected --out with the picture's file"));
    }
    let is_stdout = args.json.as_deref() == Some(Path::new("-"));
    let files = args
        .out
        .iter()
        .chain(args.json.iter().filter(|_| !is_stdout));
    for file in files {
        require_writable(file, args.force)?;
    }
    // Without a run, the weights in the program draw.
    let built_in = Path::new(BUILT_IN).to_owned();
    let run = args.run.as_ref().unwrap_or(&built_in);
    let source = match &args.run {
        Some(run) => words::source(run)?,
        None => "emoji".to_owned(),
    };
    let table = words::table(&source, args.rude)?;
    let recall = Recall::new(&table);
    let chosen = device::open(&args.device.device)?;
    let learnt = match &args.run {
        Some(run) => learn_words::learnt(run, &chosen)?,
        None => None,
    };
    let answers: Vec<Answer> = phrases
        .iter()
        .map(|p| Answer::new(&recall, learnt.as_ref(), p))
        .collect();
    let is_wanted = |answer: &Answer| args.anyway || answer.is_sure();
    let count = args.count as usize;

    let mut drawn: Vec<Vec<Drawn>> = answers.iter().map(|_| Vec::new()).collect();
    let mut faces: Vec<Faces> = answers.iter().map(|_| Faces::default()).collect();
    let mut done = String::new();
    if is_text {
        let all = phrase::kaomoji()?;
        for (answer, faces) in answers.iter().zip(&mut faces).filter(|(a, _)| is_wanted(a)) {
            *faces = Faces::of(&all, &table, learnt.as_ref(), answer, count);
        }
        if let Some(out) = &args.out {
            let texts: String = faces.iter().map(Faces::text).collect();
            write_whole(out, texts.as_bytes())?;
        }
    } else if let (Some(style), Some(out)) = (&args.style, &args.out) {
        let to = Target { run, style, out };
        done = draw(args, &to, &chosen, &table, &answers, &mut drawn)?;
    }
    let lines: Vec<Line<'_>> = answers
        .iter()
        .zip(&drawn)
        .zip(&faces)
        .map(|((answer, drawn), faces)| Line {
            phrase: &answer.phrase,
            listed: answer.listed,
            known: answer.is_sure(),
            recalled: words::told(&table, &answer.ranked, TOLD.max(count)),
            drawn: drawn
                .iter()
                .zip(&answer.ranked)
                .map(|(drawn, recalled)| PictureTold {
                    name: &table.ideas()[recalled.idea].name,
                    from: from(&drawn.origin).to_owned(),
                    nearest_l1: drawn.nearest_l1,
                })
                .collect(),
            kaomoji: &faces.listed,
            written: &faces.written,
        })
        .collect();
    let json = || -> Result<String> {
        let lines = lines.iter().map(serde_json::to_string);
        Ok(lines.collect::<Result<Vec<_>, _>>()?.join("\n") + "\n")
    };
    match &args.json {
        Some(_) if is_stdout => say(&json()?)?,
        Some(file) => write_whole(file, json()?.as_bytes())?,
        None => {}
    }
    if !is_stdout {
        say(&(shown(&table, &answers, &drawn, &faces, count, args.anyway) + &done))?;
    }
    if args.anyway {
        return Ok(());
    }
    words::unknown(&table, &answers, "; --anyway draws it")
}

/// What the screen shows.
fn shown(
    table: &Phrases,
    answers: &[Answer],
    drawn: &[Vec<Drawn>],
    faces: &[Faces],
    count: usize,
    anyway: bool,
) -> String {
    let mut lines: Vec<String> = Vec::new();
    for ((answer, drawn), faces) in answers.iter().zip(drawn).zip(faces) {
        if !anyway && !answer.is_sure() {
            continue;
        }
        let ranked = &answer.ranked;
        let also: Vec<String> = ranked
            .iter()
            .take(TOLD.max(count))
            .skip(1)
            .filter(|recalled| recalled.prob >= 0.005)
            .map(|recalled| in_words(table, recalled))
            .collect();
        let how = if answer.listed {
            "listed"
        } else {
            "by likeness"
        };
        lines.push(format!(
            "{}: {}  ({how}, similarity {:.2})",
            answer.phrase,
            in_words(table, &ranked[0]),
            ranked[0].similarity
        ));
        if !also.is_empty() {
            lines.push(format!("  also {}", also.join(", ")));
        }
        for (drawn, recalled) in drawn.iter().zip(ranked) {
            let name = &table.ideas()[recalled.idea].name;
            lines.push(match &drawn.origin {
                Origin::Real => format!("  {name}: the style's own drawing"),
                Origin::Translated(from) => format!(
                    "  {name}: drawn from {from}'s, translated; nearest_l1 {:.3}",
                    drawn.nearest_l1
                ),
            });
        }
        lines.extend(faces.lines());
    }
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

fn from(origin: &Origin) -> &str {
    match origin {
        Origin::Real => "real",
        Origin::Translated(style) => style,
    }
}

/// By what to draw, in which style, into which file.
struct Target<'a> {
    run: &'a Path,
    style: &'a str,
    out: &'a Path,
}

/// Draws the answers into one file, and tells by what.
fn draw(
    args: &DrawArgs,
    &Target {
        run,
        style: style_name,
        out,
    }: &Target<'_>,
    chosen: &Chosen,
    table: &Phrases,
    answers: &[Answer],
    drawn: &mut [Vec<Drawn>],
) -> Result<String> {
    let checkpoint = trained(run, args.checkpoint)?;
    let info = &checkpoint.info;
    let style = info.style_number(style_name)?;
    let mut options = dataset_options(&info.config, CachePolicy::Platform)?;
    options.styles.clone_from(&info.styles);
    let dataset = Dataset::load(&info.config.data.source, &options)?;
    checkpoint.check_styles(&dataset)?;
    let beside = if info.config.data.source == "emoji" {
        None
    } else {
        let styles = BESIDE.map(str::to_owned).to_vec();
        Some(Dataset::load(
            "emoji",
            &DatasetOptions {
                styles,
                ..options.clone()
            },
        )?)
    };
    let generator = checkpoint.generator(&chosen.device)?;
    let code = translate::style_codes(
        &generator,
        &info.config,
        &chosen.device,
        style,
        1,
        &Hand::Typical,
    )?;
    let memory = Memory::new(
        &generator,
        &info.config,
        &chosen.device,
        &dataset,
        beside.as_ref(),
        style as usize,
    );
    let mut missing = Vec::new();
    for (answer, drawn) in answers.iter().zip(drawn.iter_mut()) {
        if !args.anyway && !answer.is_sure() {
            continue;
        }
        for recalled in answer.ranked.iter().take(args.count as usize) {
            let idea = &table.ideas()[recalled.idea];
            match memory.draw(&idea.key, &code, args.real) {
                Some(picture) => drawn.push(picture),
                None => missing.push(idea.name.clone()),
            }
        }
    }
    if !missing.is_empty() {
        return Err(anyhow::anyhow!("nobody has drawn: {}", missing.join(", ")));
    }
    let side = info.config.data.size_px as usize;
    let pictures: Vec<&Drawn> = drawn.iter().flatten().collect();
    match pictures[..] {
        [] => return Ok(String::new()),
        [one] => write_picture(&one.picture, side, out)?,
        _ => {
            let rows: Vec<(&Answer, &Vec<Drawn>)> = answers
                .iter()
                .zip(drawn.iter())
                .filter(|(_, drawn)| !drawn.is_empty())
                .collect();
            let blocks: Vec<Block<'_>> = rows
                .iter()
                .map(|(answer, drawn)| block(table, answer, drawn))
                .collect();
            sheet::save(&sheet::draw(&blocks, side, false), out)?;
        }
    }
    Ok(format!(
        "{} picture(s) in {style_name} by step {} of {}, on {}: {}\n",
        pictures.len(),
        info.step,
        run.display(),
        chosen.description,
        out.display()
    ))
}

/// A row of a sheet: the phrase, where its letters can be drawn, and the ideas' names.
fn block<'a>(table: &Phrases, answer: &Answer, drawn: &'a [Drawn]) -> Block<'a> {
    let name = |i: usize| table.ideas()[answer.ranked[i].idea].name.clone();
    let title = if answer.phrase.is_ascii() {
        answer.phrase.clone()
    } else {
        String::new()
    };
    Block {
        title,
        columns: (0..drawn.len()).map(name).collect(),
        rows: vec![
            drawn
                .iter()
                .map(|drawn| Some(drawn.picture.as_slice()))
                .collect(),
        ],
    }
}

/// One picture, enlarged by whole pixels.
fn write_picture(planes: &[f32], side: usize, out: &Path) -> Result<()> {
    let scale = SHOWN_PX.div_ceil(side).max(1);
    let plane = side * side;
    let mut pixels = Vec::with_capacity(3 * plane * scale * scale);
    for y in 0..side * scale {
        for x in 0..side * scale {
            let at = y / scale * side + x / scale;
            pixels.extend([0, 1, 2].map(|c| translate::to_byte(planes[c * plane + at])));
        }
    }
    let px = (side * scale) as u32;
    let bytes = sheet::png(&pixels, px, px, ExtendedColorType::Rgb8, out)?;
    Ok(write_whole(out, &bytes)?)
}
