//! `demotic data`: makes data sets and looks at them.

use anyhow::Result;
use demotic_core::data::{CachePolicy, Dataset, DatasetOptions, ImportOptions, Selection, import};

use crate::cli::{DataCommand, ImportArgs, InspectArgs};
use crate::output::say;
use crate::run_dir;
use crate::sheet::{self, Block};

/// Rows of a contact sheet.
const SHEET_ROWS: usize = 24;

pub(crate) fn run(command: &DataCommand) -> Result<()> {
    match command {
        DataCommand::Import(args) => run_import(args),
        DataCommand::Inspect(args) => inspect(args),
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
        run_dir::refuse_existing(file, args.force)?;
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
