//! `demotic evaluate`: a trained run against held-out pictures.

use std::convert::Infallible;
use std::path::Path;

use anyhow::Result;
use demotic_core::config::Config;
use demotic_core::data::{CachePolicy, Dataset, Split};
use demotic_core::device::{self, Chosen};
use demotic_core::metric::{self, Evaluation};
use demotic_core::model::{Discriminator, Generator};
use demotic_core::sample::{self, Fitted, Prior};
use demotic_core::{recognize, translate};

use crate::cli::{EvaluateArgs, SplitArg};
use crate::options::{dataset_options, located};
use crate::output::say;
use crate::run_dir;

pub(crate) fn run(args: &EvaluateArgs) -> Result<()> {
    if let Some(file) = &args.json {
        run_dir::require_writable(file, args.force)?;
    }
    let checkpoint = run_dir::trained(&args.run, args.checkpoint)?;
    let config = &checkpoint.info.config;
    let source = args
        .data
        .as_deref()
        .map_or_else(|| config.data.source.clone(), located);
    let mut options = dataset_options(config, CachePolicy::Platform)?;
    // Their order is their number in the network.
    options.styles.clone_from(&checkpoint.info.styles);
    let dataset = Dataset::load(&source, &options)?;
    checkpoint.check_styles(&dataset)?;
    let chosen = device::open(&args.device.device)?;
    let generator = checkpoint.generator(&chosen.device)?;
    let split = match args.split {
        SplitArg::Test => Split::Test,
        SplitArg::Validation => Split::Validation,
    };
    let discriminator = checkpoint.discriminator(&chosen.device)?;
    let mut evaluation = evaluate(&generator, &discriminator, config, &chosen, &dataset, split);
    evaluation.notes.extend(checkpoint.other_data(&dataset));
    // Neither a file that cannot be written nor a reader that went away takes the figures from the other.
    let written = match &args.json {
        Some(file) => write(&evaluation, file),
        None => Ok(()),
    };
    let told = say(&format!(
        "run  {}  step {}  split {split}  on {}\n{}",
        args.run.display(),
        checkpoint.info.step,
        chosen.description,
        evaluation
    ));
    written.and(told)
}

/// Translates and scores every held-out pair, or sets of pictures where there are no pairs, draws from the prior where training
/// minded that, and lets the discriminator name the style of every held-out picture. What cannot be told is said in the notes.
pub(crate) fn evaluate(
    generator: &Generator,
    discriminator: &Discriminator,
    config: &Config,
    chosen: &Chosen,
    dataset: &Dataset,
    split: Split,
) -> Evaluation {
    let size = dataset.size_px() as usize;
    let mut translator = |pictures: &[f32], _from: usize, to: usize| {
        let count = pictures.len() / (generator.channels() * size * size);
        let styles = vec![to as u32; count];
        Ok::<_, Infallible>(translate::translate(
            generator,
            &chosen.device,
            pictures,
            size,
            &styles,
        ))
    };
    let mut judge = |pictures: &[f32]| {
        Ok::<_, Infallible>(recognize::opinions(
            discriminator,
            &chosen.device,
            pictures,
            size,
        ))
    };
    let Ok(mut evaluation) = metric::evaluate(dataset, split, Some(&mut translator));
    let mut draw =
        |style: usize, n: usize| {
            let codes = generator.table_codes(&vec![style as u32; n]);
            let fitted = Fitted::of(generator, &chosen.device, dataset.training(), style);
            Ok::<_, Infallible>([Prior::Normal, Prior::Fitted(&fitted)].map(|prior| {
                sample::sample(generator, config, &chosen.device, prior, &codes, 0, 1.0)
            }))
        };
    let Ok(prior) = metric::from_prior(dataset, split, &mut draw);
    evaluation.prior = prior;
    if config.loss.adversarial_kind.tells_styles() {
        let Ok(told) = metric::recognition(dataset, split, &mut judge);
        evaluation.recognition = told;
    } else {
        evaluation.notes.push(NO_STYLES_TOLD.to_owned());
    }
    if evaluation.directions.is_empty() {
        let lacks = format!("no {split} picture has a counterpart in another style");
        evaluation.notes.push(if evaluation.unpaired.is_empty() {
            format!("{lacks}, and no two styles have two {split} pictures: nothing can be scored")
        } else {
            format!("{lacks}: translations are scored as sets, by KID alone")
        });
    }
    evaluation
}

/// Why some discriminators are not asked for styles.
pub(crate) const NO_STYLES_TOLD: &str = "the discriminator of this run cannot name styles: a loss.adversarial_kind other than \
    `likelihood` only trains the score of a patch's own style against that of made";

/// The figures as a program reads them.
pub(crate) fn write(evaluation: &Evaluation, path: &Path) -> Result<()> {
    let mut text = serde_json::to_string_pretty(evaluation)?;
    text.push('\n');
    run_dir::write_whole(path, text.as_bytes())
}
