//! `demotic data`: makes data sets and looks at them.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use demotic_core::data::{
    CachePolicy, Damaged, Dataset, DatasetOptions, ImportOptions, Selection, Split, import,
};
use demotic_core::files::require_writable;
use demotic_core::number::Real;
use demotic_core::phrase::{self, Language};

use super::contact_sheet::contact_sheet;
use crate::cli::{DamagedArgs, DataCommand, DataExportArgs, ImportArgs, InspectArgs, SourceArgs};
use crate::failure::{input, io};
use crate::output::{say, show};
use crate::samples::sheet_names;
use crate::sheet;
use crate::terminal::Terminal;
use crate::waiting::{Count, during};

/// What is waited for.
const READING: &str = "reading the sources";

pub(crate) fn run(command: &DataCommand) -> Result<()> {
    match command {
        DataCommand::Import(args) => run_import(args),
        DataCommand::Inspect(args) => inspect(args),
        DataCommand::Export(args) => export(args),
    }
}

fn run_import(args: &ImportArgs) -> Result<()> {
    if args.phrases {
        let import = || phrase::import(&args.sources, &args.out, args.force);
        let report = during(READING, true, import)?;
        return show(&format!("{report}\n"));
    }
    let options = ImportOptions {
        sources: args.sources.clone(),
        out: args.out.clone(),
        selection: if args.emoji {
            Selection::Emoji
        } else {
            Selection::Everything
        },
        replace: args.force,
        damaged: damaged(&args.damaged),
    };
    let report = during(READING, !args.json, || import(&options))?;
    if args.json {
        return say(&format!("{}\n", serde_json::to_string_pretty(&report)?));
    }
    show(&format!("{report}\n"))
}

fn damaged(args: &DamagedArgs) -> Damaged {
    if args.skip_damaged {
        Damaged::Skip
    } else {
        Damaged::Refuse
    }
}

/// The pictures that were named, of one size.
fn loaded(source: &SourceArgs, size_px: u32, is_told: bool) -> Result<Dataset> {
    let options = DatasetOptions {
        size_px,
        styles: source.styles.clone(),
        cache: CachePolicy::Platform,
        damaged: damaged(&source.damaged),
        ..DatasetOptions::default()
    };
    let load = || Dataset::load(&source.source, &options);
    Ok(during("reading the pictures", is_told, load)?)
}

fn inspect(args: &InspectArgs) -> Result<()> {
    if let Some(file) = &args.sheet {
        require_writable(file, args.force.force)?;
    }
    let dataset = loaded(&args.source, args.size_px, !args.json)?;
    if let Some(file) = &args.sheet {
        sheet::save(&contact_sheet(&dataset), file)?;
    }
    let summary = dataset.summary();
    let phrases = phrases_a_picture(&dataset, &args.source.source)?;
    if args.json {
        let mut summary = serde_json::to_value(&summary)?;
        let rows = phrases.iter().map(|(language, count, pictures)| {
            serde_json::json!({"language": language, "phrases": count, "items": pictures})
        });
        summary["phrases"] = rows.collect();
        return say(&format!("{}\n", serde_json::to_string_pretty(&summary)?));
    }
    let columns = Terminal::of_table();
    let mut text = format!("{summary:columns$}");
    let legend = sheet_names(&dataset).legend();
    if let Some(legend) = legend.filter(|_| args.sheet.is_some()) {
        let _ = writeln!(text, "sheet  {legend}");
    }
    for (language, count, pictures) in phrases {
        let each = count.to_f64() / summary.items.max(1).to_f64();
        let name = language.name();
        let _ = writeln!(
            text,
            "phrases  {name}  {count:>6}  {each:.1} a picture, {pictures} of {} pictures have one",
            summary.items
        );
    }
    show(&text)
}

/// Phrases of the data set's pictures in each language, and how many pictures have one.
fn phrases_a_picture(dataset: &Dataset, source: &str) -> Result<[(Language, usize, usize); 2]> {
    let table = phrase::load(source)?;
    let ideas: Vec<usize> = dataset
        .drawn_items()
        .filter_map(|item| table.place(dataset.item_key(item)))
        .collect();
    Ok(Language::ALL.map(|language| {
        let of = |idea: &usize| {
            table
                .of_idea(*idea)
                .filter(|p| p.language == language)
                .count()
        };
        let counts: Vec<usize> = ideas.iter().map(of).collect();
        let with = counts.iter().filter(|count| **count > 0).count();
        (language, counts.iter().sum(), with)
    }))
}

/// Writes every picture as training and scoring see it.
fn export(args: &DataExportArgs) -> Result<()> {
    require_empty(&args.out)?;
    let dataset = loaded(&args.source, args.size_px, true)?;
    let size = dataset.size_px() as usize;
    let styles = 0..dataset.styles().len();
    let all = styles.flat_map(|style| Split::ALL.map(|split| dataset.items(style, split).len()));
    let bar = Count::new(all.sum(), "pictures", true);
    let mut count = 0;
    for split in [Split::Train, Split::Validation, Split::Test] {
        for (style, info) in dataset.styles().iter().enumerate() {
            let folder = args.out.join(split.name()).join(&info.name);
            std::fs::create_dir_all(&folder).map_err(|e| io("make the folder", &folder, &e))?;
            for &item in dataset.items(style, split) {
                let file = folder.join(format!("{}.png", dataset.item_key(item)));
                sheet::save_picture(&dataset.picture(style, item), size, &file)?;
                count += 1;
                bar.one();
            }
        }
    }
    drop(bar);
    let (left, out) = (dataset.summary().left(), args.out.display());
    show(&format!("{left}{count} pictures of {size} px: {out}\n"))
}

/// Refuses a place that holds anything.
fn require_empty(folder: &Path) -> Result<()> {
    match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => Err(input(format!(
            "--out is a file, expected a new or empty folder: {}",
            folder.display()
        ))),
        Err(e) => Err(io("look into the folder", folder, &e)),
        Ok(entries) => {
            if entries.count() == 0 {
                return Ok(());
            }
            Err(input(format!(
                "the folder is not empty, and nothing there is overwritten: give a new --out: {}",
                folder.display()
            )))
        }
    }
}
