//! `demotic evaluate`: a trained run, or another program's translations, against held-out pictures.

use std::path::Path;

use anyhow::Result;
use demotic_core::data::{CachePolicy, Dataset, DatasetOptions, Picture, Split};
use demotic_core::files::require_writable;
use demotic_core::metric::{evaluate, evaluate_at_size, evaluate_networks};
use demotic_core::train::run::trained;

use crate::cli::{EvaluateArgs, SplitArg};
use crate::failure::input;
use crate::options::{dataset_options, located, open_device};
use crate::terminal::Terminal;
use crate::waiting::during;

use super::scored::{STANDARD_OUTPUT, is_told, report};

/// Side of another program's translations where it is not said.
const PICTURES_PX: u32 = 32;
/// What is waited for.
const SCORING: &str = "scoring translations of held-out pictures";

pub(crate) fn run(args: &EvaluateArgs) -> Result<()> {
    if let Some(file) = args
        .json
        .as_deref()
        .filter(|file| *file != Path::new(STANDARD_OUTPUT))
    {
        require_writable(file, args.force.force)?;
    }
    let split = match args.split {
        SplitArg::Test => Split::Test,
        SplitArg::Validation => Split::Validation,
    };
    if args.words {
        return super::evaluate_words::run(args, split);
    }
    if !args.drawings.is_empty() {
        return super::evaluate_drawings::run(args);
    }
    match (&args.pictures, args.size_px) {
        (Some(pictures), size_px) => {
            of_pictures(args, pictures, size_px.unwrap_or(PICTURES_PX), split)
        }
        (None, Some(size_px)) => at_size(args, size_px, split),
        (None, None) if !args.styles.is_empty() => Err(input(
            "--styles: a run is scored in all of its styles; say --size-px or --pictures, which score some, or leave it out",
        )),
        (None, None) => of_run(args, split),
    }
}

/// The pictures that are scored on.
fn loaded(args: &EvaluateArgs, source: &str, options: &DatasetOptions) -> Result<Dataset> {
    let load = || Dataset::load(source, options);
    Ok(during("reading the pictures", is_told(args), load)?)
}

/// Scores what some other program translated.
fn of_pictures(args: &EvaluateArgs, folder: &Path, size_px: u32, split: Split) -> Result<()> {
    let options = DatasetOptions {
        size_px,
        styles: args.styles.clone(),
        cache: CachePolicy::Platform,
        ..DatasetOptions::default()
    };
    let source = args.data.as_deref().unwrap_or("emoji");
    let dataset = loaded(args, source, &options)?;
    let mut directions = 0;
    let mut read = |_: &[f32], items: &[usize], from: usize, to: usize| -> Result<Vec<f32>> {
        let [from, to] = [from, to].map(|style| dataset.styles()[style].name.as_str());
        let folder = folder.join(from).join(to);
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        directions += 1;
        let mut pictures = Vec::new();
        for &item in items {
            let file = folder.join(format!("{}.png", dataset.item_key(item)));
            let picture = Picture::open(&file)?;
            let (width, height) = (picture.width_px, picture.height_px);
            if (width, height) != (size_px, size_px) {
                return Err(input(format!(
                    "the translation has {width} x {height} pixels, expected {size_px} x {size_px}; say --size-px if its inputs had another size: {}",
                    file.display(),
                )));
            }
            pictures.extend(picture.compose(dataset.background()));
        }
        Ok(pictures)
    };
    let evaluation = during(SCORING, is_told(args), || {
        evaluate(&dataset, split, Some(&mut read))
    })?;
    if directions == 0 {
        return Err(input(format!(
            "there are no translations, expected {{from}}/{{to}}/{{name}}.png with styles of this data set, such as {}: {}",
            Path::new(&dataset.styles()[0].name)
                .join(&dataset.styles()[1].name)
                .display(),
            folder.display()
        )));
    }
    let columns = Terminal::of_table();
    report(
        args,
        &evaluation,
        &format!(
            "pictures  {}  split {split}\n{evaluation:columns$}",
            folder.display()
        ),
    )
}

/// Scores a run's best or chosen checkpoint.
fn of_run(args: &EvaluateArgs, split: Split) -> Result<()> {
    let run = &args.weights.run;
    let checkpoint = trained(run, args.weights.checkpoint)?;
    let config = &checkpoint.info.config;
    let source = args
        .data
        .as_deref()
        .map_or_else(|| config.data.source.clone(), located);
    let mut options = dataset_options(config, CachePolicy::Platform)?;
    // Their order is their number in the network.
    options.styles.clone_from(&checkpoint.info.styles);
    let dataset = loaded(args, &source, &options)?;
    checkpoint.check_styles(&dataset)?;
    let chosen = open_device(&args.device.device)?;
    let generator = checkpoint.generator(&chosen.device)?;
    let discriminator = checkpoint.discriminator(&chosen.device)?;
    let mut evaluation = during(SCORING, is_told(args), || {
        let device = &chosen.device;
        evaluate_networks(&generator, &discriminator, config, device, &dataset, split)
    });
    evaluation.notes.extend(checkpoint.other_data(&dataset));
    let columns = Terminal::of_table();
    let what = format!(
        "run  {}  step {}  split {split}  on {}\n{evaluation:columns$}",
        run.display(),
        checkpoint.info.step,
        chosen.description
    );
    report(args, &evaluation, &what)
}

/// Scores what `translate` makes of pictures of another size than the networks'.
fn at_size(args: &EvaluateArgs, size_px: u32, split: Split) -> Result<()> {
    let run = &args.weights.run;
    let checkpoint = trained(run, args.weights.checkpoint)?;
    let info = &checkpoint.info;
    let config = &info.config;
    if size_px < config.data.size_px {
        return Err(input(format!(
            "--size-px {size_px}: the networks of this run see {least} px; give {least} or more: {}",
            run.display(),
            least = config.data.size_px
        )));
    }
    let source = args
        .data
        .as_deref()
        .map_or_else(|| config.data.source.clone(), located);
    let mut options = dataset_options(config, CachePolicy::Platform)?;
    options.size_px = size_px;
    options.styles = if args.styles.is_empty() {
        info.styles.clone()
    } else {
        args.styles.clone()
    };
    let numbers = options.styles.iter().map(|style| info.style_number(style));
    let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
    let dataset = loaded(args, &source, &options)?;
    let chosen = open_device(&args.device.device)?;
    let generator = checkpoint.generator(&chosen.device)?;
    let side_px = config.data.size_px;
    let evaluation = during(SCORING, is_told(args), || {
        let device = &chosen.device;
        evaluate_at_size(&generator, side_px, device, &dataset, &numbers, split)
    });
    let columns = Terminal::of_table();
    let what = format!(
        "run  {}  step {}  split {split}  at {size_px} px  on {}\n{evaluation:columns$}",
        run.display(),
        info.step,
        chosen.description
    );
    report(args, &evaluation, &what)
}
