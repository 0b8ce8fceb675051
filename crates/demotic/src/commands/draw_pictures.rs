//! The pictures of `demotic draw`: one alone, or a sheet of several.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, anyhow};
use demotic_core::data::{CachePolicy, Dataset, DatasetOptions, Originals, Picture};
use demotic_core::device::Chosen;
use demotic_core::files::write_whole;
use demotic_core::phrase::{Drawn, Memory, Origin, Phrases};
use demotic_core::settings::Config;
use demotic_core::train::run::trained;
use demotic_core::translate::{self, AlphaRule, CodeSource, Framed, PaperRule, Unframed};
use image::RgbaImage;

use super::draw_sheet::{longer_side, write_sheet};
use super::words::Answer;
use crate::cli::DrawArgs;
use crate::failure::input;
use crate::options::dataset_options;
use crate::sheet;
use crate::waiting::{Count, during};

/// The built-in pictures.
const EMOJI: &str = "emoji";
/// Foundries whose drawings stand in for what a run's pictures lack, the first one first.
const BESIDE: [&str; 2] = ["openmoji", "twemoji"];
/// Longer side that vector drawings have at least, and pictures on a sheet at most, where no size is asked
/// for.
const DRAWN_PX: u32 = 256;
/// Most pixels of the pictures on a sheet.
const MAX_SHEET_PX: u64 = 32 << 20;

/// By what to draw, in which style, into which file.
pub(super) struct Target<'a> {
    pub(super) run: &'a Path,
    pub(super) style: &'a str,
    pub(super) out: &'a Path,
    /// Whether a person is told what runs.
    pub(super) is_told: bool,
}

/// Draws the answers into one file, and says by what.
pub(super) fn draw(
    args: &DrawArgs,
    &Target {
        run,
        style: style_name,
        out,
        is_told,
    }: &Target<'_>,
    chosen: &Chosen,
    table: &Phrases,
    answers: &[Answer],
    drawn: &mut [Vec<Drawn>],
) -> Result<String> {
    let checkpoint = trained(run, args.weights.checkpoint)?;
    let info = &checkpoint.info;
    let data = &info.config.data;
    let style = info.style_number(style_name)?;
    let read = || known_pictures(&info.config, &info.styles);
    let (dataset, beside) = during("reading the drawings", is_told, read)?;
    checkpoint.check_styles(&dataset)?;
    let generator = checkpoint.generator(&chosen.device)?;
    let typical = CodeSource::Typical;
    let code =
        translate::style_codes(&generator, &info.config, &chosen.device, style, 1, &typical)?;
    let memory = Memory::new(
        &generator,
        &info.config,
        &chosen.device,
        &dataset,
        beside.as_ref(),
        style as usize,
    );
    let remember = |key: &str| memory.draw(key, &code, args.real);
    remembered(args, remember, table, answers, drawn)?;
    let background = data
        .background_rgb()
        .map_err(|problem| demotic_core::Error::Config(vec![problem]))?;
    // Recalled and compared on the networks' scale; what is written is drawn anew at its own size.
    let whole = |drawn: &Drawn, picture: Picture| {
        if drawn.origin == Origin::Real {
            return Unframed::from(picture);
        }
        let framed = Framed::new(picture, data.size_px, background, data.channels)
            .fitted(data.fit)
            .with_paper(PaperRule::of(&generator));
        let rule = AlphaRule::Auto;
        translate::translate_whole(&generator, &chosen.device, vec![framed], &code, rule)
            .next()
            .expect("one picture has one translation")
    };
    let pictures = keyed(table, answers, drawn);
    let most_px = most_px(args, pictures.len(), data.size_px)?;
    let originals = originals(&data.source, style_name, &pictures, args.size_px, most_px)?;
    let bar = Count::new(pictures.len(), "pictures", is_told);
    let made = pictures.iter().zip(originals);
    let mut made = made.map(|(&(drawn, _), picture)| {
        let made = whole(drawn, picture);
        bar.one();
        made
    });
    let mut legend = String::new();
    let count = match pictures.len() {
        0 => return Ok(String::new()),
        1 => {
            let one = made.next().expect("there is one");
            write_whole(out, &sheet::translation_png(&one, out)?)?;
            "1 picture".to_owned()
        }
        count => {
            let made: Vec<Picture> = made.map(picture).collect();
            if let Some(numbers) = write_sheet(table, answers, drawn, &made, background, out)? {
                legend = numbers + "\n";
            }
            format!("{count} pictures")
        }
    };
    Ok(format!(
        "{count} in {style_name} by step {} of {}, on {}: {}\n{legend}",
        info.step,
        run.display(),
        chosen.description,
        out.display()
    ))
}

/// What each phrase recalls, drawn at the networks' size.
fn remembered(
    args: &DrawArgs,
    remember: impl Fn(&str) -> Option<Drawn>,
    table: &Phrases,
    answers: &[Answer],
    drawn: &mut [Vec<Drawn>],
) -> Result<()> {
    let is_wanted = |answer: &Answer| args.anyway || answer.is_sure();
    let mut missing = Vec::new();
    let each = answers.iter().zip(drawn);
    for (answer, drawn) in each.filter(|(answer, _)| is_wanted(answer)) {
        for recalled in answer.ranked.iter().take(args.count as usize) {
            let idea = &table.ideas()[recalled.idea];
            match remember(&idea.key) {
                Some(picture) => drawn.push(picture),
                None => missing.push(idea.name.clone()),
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(anyhow!("nobody has drawn: {}", missing.join(", ")))
}

/// The run's pictures, and those that stand in for what they lack.
fn known_pictures(config: &Config, styles: &[String]) -> Result<(Dataset, Option<Dataset>)> {
    let mut options = dataset_options(config, CachePolicy::Platform)?;
    options.styles = styles.to_vec();
    let dataset = Dataset::load(&config.data.source, &options)?;
    if config.data.source == EMOJI {
        return Ok((dataset, None));
    }
    let styles = BESIDE.map(str::to_owned).to_vec();
    let beside = Dataset::load(EMOJI, &DatasetOptions { styles, ..options })?;
    Ok((dataset, Some(beside)))
}

/// Every picture with its idea's key, in their order on a sheet.
fn keyed<'a>(
    table: &'a Phrases,
    answers: &'a [Answer],
    drawn: &'a [Vec<Drawn>],
) -> Vec<(&'a Drawn, &'a str)> {
    let each = answers.iter().zip(drawn);
    each.flat_map(|(answer, drawn)| drawn.iter().zip(&answer.ranked))
        .map(|(drawn, recalled)| (drawn, table.ideas()[recalled.idea].key.as_str()))
        .collect()
}

/// Longest side of pictures on a sheet; one alone has any.
fn most_px(args: &DrawArgs, count: usize, run_px: u32) -> Result<Option<u32>> {
    let is_too_large = |side: u32| u64::from(side) * u64::from(side) * count as u64 > MAX_SHEET_PX;
    Ok(match args.size_px {
        _ if count < 2 => None,
        Some(side) if is_too_large(side) => {
            return Err(input(format!(
                "--size-px {side}: {count} pictures on one sheet; at most {} megapixels are drawn: give a smaller size, or fewer \
                 phrases",
                MAX_SHEET_PX >> 20
            )));
        }
        Some(side) => Some(side),
        None if is_too_large(DRAWN_PX) => Some(run_px),
        None => Some(DRAWN_PX),
    })
}

/// The drawings that pictures in `style` come from, at their own size or with a longer side of `size_px`;
/// reduced where that is above `most_px`.
fn originals(
    source: &str,
    style: &str,
    pictures: &[(&Drawn, &str)],
    size_px: Option<u32>,
    most_px: Option<u32>,
) -> Result<Vec<Picture>> {
    let drawn_by = |drawn: &Drawn| match &drawn.origin {
        Origin::Real => style.to_owned(),
        Origin::Translated(from) => from.clone(),
    };
    let open = |is_beside: bool| -> Result<Option<Originals>> {
        let of = pictures
            .iter()
            .filter(|(drawn, _)| drawn.is_beside == is_beside);
        let styles: BTreeSet<String> = of.map(|&(drawn, _)| drawn_by(drawn)).collect();
        if styles.is_empty() {
            return Ok(None);
        }
        let source = if is_beside { EMOJI } else { source };
        let styles: Vec<String> = styles.into_iter().collect();
        Ok(Some(Originals::open(source, &styles)?))
    };
    let opened = [open(false)?, open(true)?];
    let original = |&(drawn, key): &(&Drawn, &str)| -> Result<Picture> {
        let found = match &opened[usize::from(drawn.is_beside)] {
            Some(opened) => opened.picture(&drawn_by(drawn), key, size_px, DRAWN_PX)?,
            None => None,
        };
        let found = found.ok_or_else(|| anyhow!("the drawing of {key} is gone"))?;
        Ok(match most_px {
            Some(most_px) if longer_side(&found) > most_px => found.with_longer_side(most_px),
            _ => found,
        })
    };
    pictures.iter().map(original).collect()
}

fn picture(made: Unframed) -> Picture {
    let (width, height) = (made.width_px, made.height_px);
    let made = RgbaImage::from_raw(width, height, made.rgba);
    made.expect("four bytes a pixel").into()
}
