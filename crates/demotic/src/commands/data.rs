//! `demotic data`: makes data sets and looks at them.

use std::time::Instant;

use anyhow::Result;
use demotic_core::data::{
    CachePolicy, Dataset, DatasetOptions, ImportOptions, Selection, Split, import,
};
use demotic_core::metric::{self, TeachOptions};

use crate::cli::{DataCommand, FeaturesArgs, ImportArgs, InspectArgs};
use crate::output::{duration, say};
use crate::run_dir;
use crate::sheet::{self, Block};

/// Rows of a contact sheet.
const SHEET_ROWS: usize = 24;
/// Steps of teaching from one line to the next.
const TEACH_TICK: u64 = 50;

pub(crate) fn run(command: &DataCommand) -> Result<()> {
    match command {
        DataCommand::Import(args) => run_import(args),
        DataCommand::Inspect(args) => inspect(args),
        DataCommand::Features(args) => features(args),
    }
}

fn run_import(args: &ImportArgs) -> Result<()> {
    let options = ImportOptions {
        sources: args.sources.clone(),
        out: args.out.clone(),
        selection: if args.emoji {
            Selection::Emoji
        } else {
            Selection::Everything
        },
        replace: args.replace,
    };
    let report = import(&options)?;
    say(&format!("{report}\n"))
}

fn inspect(args: &InspectArgs) -> Result<()> {
    if let Some(file) = &args.sheet {
        run_dir::require_writable(file, args.force)?;
    }
    let options = DatasetOptions {
        size_px: args.size_px,
        styles: args.styles.clone(),
        cache: CachePolicy::Platform,
        ..DatasetOptions::default()
    };
    let dataset = Dataset::load(&args.source, &options)?;
    if let Some(file) = &args.sheet {
        sheet::save(&contact_sheet(&dataset), file)?;
    }
    let summary = dataset.summary();
    if args.json {
        return say(&format!("{}\n", serde_json::to_string_pretty(&summary)?));
    }
    say(&summary.to_string())
}

/// Teaches the feature network and shows how it ranks what it was not taught on.
fn features(args: &FeaturesArgs) -> Result<()> {
    run_dir::require_writable(&args.out, args.force)?;
    let dataset = Dataset::load("emoji", &DatasetOptions::default())?;
    let options = TeachOptions {
        seed: args.seed,
        steps: args.steps,
        ..TeachOptions::default()
    };
    let started = Instant::now();
    let width = args.steps.to_string().len();
    let mut shown = Ok(());
    let every = TEACH_TICK.min(args.steps);
    let taught = metric::teach(dataset.training(), &options, every, &mut |tick| {
        let left = started.elapsed().as_secs_f64() / tick.step as f64;
        let line = say(&format!(
            "step {:>width$}/{}  identity {:>6.3}  style {:>6.3}  left {:>6}\n",
            tick.step,
            args.steps,
            tick.identity,
            tick.style,
            duration(left * (args.steps - tick.step) as f64)
        ));
        if shown.is_ok() {
            shown = line;
        }
    })?;
    let bytes = taught.write();
    // What is ranked is what is written: in half precision.
    let read = metric::Features::read(&bytes).map_err(anyhow::Error::msg)?;
    let ranks = metric::rank(&read, &dataset, Split::Validation)?;
    run_dir::write_whole(&args.out, &bytes)?;
    shown?;
    say(&format!(
        "rank   on {} validation names: same name nearest {:.3}, nearer {:.4}, style told {:.3}\n\
         done   {} bytes in {}: {}\n",
        ranks.names,
        ranks.same_name_nearest,
        ranks.same_name_nearer,
        ranks.style,
        bytes.len(),
        duration(started.elapsed().as_secs_f64()),
        args.out.display()
    ))
}

/// Items spread evenly over the data set, one a row, in every style.
fn contact_sheet(dataset: &Dataset) -> image::RgbImage {
    let styles = dataset.styles().len();
    let stride = dataset.item_count().div_ceil(SHEET_ROWS).max(1);
    let pictures: Vec<Vec<Option<Vec<f32>>>> = (0..dataset.item_count())
        .step_by(stride)
        .map(|item| {
            (0..styles)
                .map(|style| {
                    dataset
                        .has_picture(style, item)
                        .then(|| dataset.picture(style, item))
                })
                .collect()
        })
        .collect();
    let block = Block {
        title: format!("every {stride}. of {} items", dataset.item_count()),
        columns: dataset
            .styles()
            .iter()
            .map(|style| style.name.clone())
            .collect(),
        rows: pictures
            .iter()
            .map(|row| row.iter().map(Option::as_deref).collect())
            .collect(),
    };
    sheet::draw(&[block], dataset.size_px() as usize, false)
}
