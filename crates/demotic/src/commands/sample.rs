//! `demotic sample`: pictures without an input, from N(0, 1) or what is fitted to the latents of training
//! pictures.

use anyhow::{Context, Result};
use demotic_core::data::{CachePolicy, Dataset};
use demotic_core::files::require_writable;
use demotic_core::sample::{self, Fitted, Prior};
use demotic_core::settings::StyleKind;
use demotic_core::train::Checkpoint;
use demotic_core::train::run::trained;
use demotic_core::translate::{self, CodeSource};

use crate::cli::{PriorArg, SampleArgs};
use crate::options::{dataset_options, open_device};
use crate::output::show;
use crate::sheet::{self, Block, Names};
use crate::waiting::{Count, during};

/// Pictures side by side.
const COLUMNS: usize = 8;

pub(crate) fn run(args: &SampleArgs) -> Result<()> {
    let run = &args.weights.run;
    let checkpoint = trained(run, args.weights.checkpoint)?;
    let info = &checkpoint.info;
    let asked = if args.styles.is_empty() {
        &info.styles
    } else {
        &args.styles
    };
    let out = args.out.clone().unwrap_or_else(|| {
        let name = format!("prior-{}.png", args.seed);
        if run.is_dir() {
            run.join("samples").join(name)
        } else {
            name.into()
        }
    });
    let styles = asked
        .iter()
        .map(|name| info.style_number(name))
        .collect::<Result<Vec<u32>, _>>()?;
    require_writable(&out, args.force.force)?;
    let dataset = match args.prior {
        PriorArg::Normal => None,
        PriorArg::Fitted => Some(during("reading the run's pictures", true, || {
            pictures_of(&checkpoint)
        })?),
    };
    let chosen = open_device(&args.device.device)?;
    let generator = checkpoint.generator(&chosen.device)?;
    let code_source = match info.config.generator.style {
        StyleKind::Latent => CodeSource::Seed(args.seed),
        StyleKind::Table | StyleKind::Reference => CodeSource::Typical,
    };
    let count = args.count as usize;
    let size_px = info.config.data.size_px as usize;
    let background = info
        .config
        .data
        .background_rgb()
        .map_err(|problem| demotic_core::Error::Config(vec![problem]))?;
    let bar = Count::new(styles.len(), "styles", true);
    let mut sampled = Vec::new();
    for style in &styles {
        let codes = translate::style_codes(
            &generator,
            &info.config,
            &chosen.device,
            *style,
            count,
            &code_source,
        )?;
        let fitted = dataset.as_ref().map(|dataset| {
            let view = dataset.training();
            Fitted::of(&generator, &chosen.device, view, *style as usize)
        });
        let pictures = sample::sample(
            &generator,
            &info.config,
            &chosen.device,
            fitted.as_ref().map_or(Prior::Normal, Prior::Fitted),
            &codes,
            args.seed,
            args.temperature,
        );
        let data = &info.config.data;
        sampled.push(
            data.channels
                .shown(&pictures, size_px * size_px, background),
        );
        bar.one();
    }
    drop(bar);
    let prior = match args.prior {
        PriorArg::Fitted => "the fitted prior",
        PriorArg::Normal => "the normal prior",
    };
    let sampled = asked.iter().zip(&sampled);
    let blocks: Vec<Block<'_>> = sampled
        .map(|(name, pictures)| block(format!("{name}, from {prior}"), pictures, size_px))
        .collect();
    let names = Names::of(info.styles.iter().map(String::as_str));
    sheet::save(&sheet::draw(&blocks, size_px, false, &names), &out)?;
    let legend = names.legend();
    let legend = legend.map_or_else(String::new, |legend| format!("in it, {legend}\n"));
    show(&format!(
        "{} pictures from {prior} of step {} of {}, seed {}, on {}: {}\n{legend}",
        count * styles.len(),
        info.step,
        run.display(),
        args.seed,
        chosen.description,
        out.display()
    ))
}

/// The pictures that a run was trained on.
fn pictures_of(checkpoint: &Checkpoint) -> Result<Dataset> {
    let info = &checkpoint.info;
    let mut options = dataset_options(&info.config, CachePolicy::Platform)?;
    options.styles.clone_from(&info.styles);
    let dataset = Dataset::load(&info.config.data.source, &options)
        .context("the fitted prior needs the run's pictures; `--prior normal` needs none")?;
    checkpoint.check_styles(&dataset)?;
    Ok(dataset)
}

/// Pictures of one style under their title.
fn block(title: String, pictures: &[f32], size_px: usize) -> Block<'_> {
    let pictures: Vec<&[f32]> = translate::planes(pictures, size_px).collect();
    Block {
        title,
        columns: vec![String::new(); COLUMNS.min(pictures.len())],
        rows: pictures
            .chunks(COLUMNS)
            .map(|row| row.iter().copied().map(Some).collect())
            .collect(),
    }
}
