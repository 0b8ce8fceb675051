//! The pictures of `demotic draw`: one alone, or a sheet of several.

use std::path::Path;

use anyhow::Result;
use demotic_core::data::{CachePolicy, Dataset, DatasetOptions, has_letters};
use demotic_core::device::Chosen;
use demotic_core::files::write_whole;
use demotic_core::number::Whole;
use demotic_core::phrase::{Drawn, Memory, Phrases};
use demotic_core::train::run::trained;
use demotic_core::translate::{self, CodeSource};
use image::ExtendedColorType;

use super::words::Answer;
use crate::cli::DrawArgs;
use crate::options::dataset_options;
use crate::sheet::{self, Block, Names};

/// Foundries whose drawings stand in for what a run's pictures lack, the first one first.
const BESIDE: [&str; 2] = ["openmoji", "twemoji"];
/// Sides of a single picture are enlarged to at least this.
const SHOWN_PX: usize = 256;

/// Pictures side by side where each phrase has one.
const ACROSS: usize = 6;

/// By what to draw, in which style, into which file.
pub(super) struct Target<'a> {
    pub(super) run: &'a Path,
    pub(super) style: &'a str,
    pub(super) out: &'a Path,
}

/// Draws the answers into one file, and says by what.
pub(super) fn draw(
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
        &CodeSource::Typical,
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
            let blocks: Vec<Block<'_>> = if rows.iter().all(|(_, drawn)| drawn.len() == 1) {
                rows.chunks(ACROSS).map(|row| line(table, row)).collect()
            } else {
                let rows = rows.iter();
                rows.map(|(answer, drawn)| block(table, answer, drawn))
                    .collect()
            };
            let sheet = sheet::draw(&blocks, side, false, &Names::default());
            sheet::save(&sheet, out)?;
        }
    }
    let count = match pictures.len() {
        1 => "1 picture".to_owned(),
        count => format!("{count} pictures"),
    };
    Ok(format!(
        "{count} in {style_name} by step {} of {}, on {}: {}\n",
        info.step,
        run.display(),
        chosen.description,
        out.display()
    ))
}

/// A row of a sheet where each phrase has one picture: over it the phrase, or the idea's name where its
/// letters cannot be drawn.
fn line<'a>(table: &Phrases, row: &[(&Answer, &'a Vec<Drawn>)]) -> Block<'a> {
    let name = |answer: &Answer| {
        if has_letters(&answer.phrase) {
            answer.phrase.clone()
        } else {
            table.ideas()[answer.ranked[0].idea].name.clone()
        }
    };
    Block {
        title: String::new(),
        columns: row.iter().map(|(answer, _)| name(answer)).collect(),
        rows: vec![
            row.iter()
                .map(|(_, drawn)| Some(drawn[0].picture.as_slice()))
                .collect(),
        ],
    }
}

/// A row of a sheet: the phrase, where its letters can be drawn, and the ideas' names.
fn block<'a>(table: &Phrases, answer: &Answer, drawn: &'a [Drawn]) -> Block<'a> {
    let name = |i: usize| table.ideas()[answer.ranked[i].idea].name.clone();
    let title = if has_letters(&answer.phrase) {
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
    let px = (side * scale).to_u32();
    let bytes = sheet::png(&pixels, px, px, ExtendedColorType::Rgb8, out)?;
    Ok(write_whole(out, &bytes)?)
}
