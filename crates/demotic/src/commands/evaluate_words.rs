//! `demotic evaluate --words`: phrases that training never saw, the challenge list, and what is drawn of
//! phrases.

use anyhow::Result;
use demotic_core::data::{CachePolicy, Dataset, Split};
use demotic_core::phrase::{self, DrawnRow, WordScores};
use demotic_core::train::run::trained;
use serde::Serialize;

use super::scored::{is_told, report, write};
use super::{learn_words, words};
use crate::cli::EvaluateArgs;
use crate::failure::io;
use crate::options::{dataset_options, open_device};
use crate::terminal::Terminal;
use crate::waiting::during;

/// `--json`
#[derive(Serialize)]
struct Scored {
    #[serde(flatten)]
    words: WordScores,
    /// Phrases drawn by the run, and recognised.
    drawn: Vec<DrawnRow>,
}

pub(super) fn run(args: &EvaluateArgs, split: Split) -> Result<()> {
    let run = &args.weights.run;
    let source = words::source(run)?;
    let table = phrase::load(&source)?;
    let chosen = open_device(&args.device.device)?;
    let learnt = learn_words::learnt(run, &chosen)?;
    let checkpoint = trained(run, args.weights.checkpoint)?;
    let config = &checkpoint.info.config;
    let mut options = dataset_options(config, CachePolicy::Platform)?;
    options.styles.clone_from(&checkpoint.info.styles);
    let is_told = is_told(args);
    let load = || Dataset::load(&source, &options);
    let dataset = during("reading the pictures", is_told, load)?;
    checkpoint.check_styles(&dataset)?;
    let generator = checkpoint.generator(&chosen.device)?;
    let learnt = learnt.as_ref();
    let score = || -> Result<Scored> {
        let networks = (&generator, config, &chosen.device);
        Ok(Scored {
            words: phrase::score(&table, learnt, split)?,
            drawn: phrase::score_drawn(&table, learnt, networks, &dataset, split)?,
        })
    };
    let scored = during("scoring words and what is drawn of them", is_told, score)?;
    let how = if learnt.is_some() {
        "learnt words"
    } else {
        "no words learnt: TF-IDF alone"
    };
    let columns = Terminal::of_table();
    let drawn = DrawnRow::table(&scored.drawn).fitted(columns);
    let note = drawn.note();
    let drawn: String = drawn
        .lines
        .into_iter()
        .chain(note)
        .flat_map(|line| [line, "\n".into()])
        .collect();
    let text = format!(
        "run  {}  split {split}  {how}\n\n{:columns$}\n{drawn}",
        run.display(),
        scored.words,
    );
    if run.is_dir() {
        // The run's page shows it.
        let folder = run.join(learn_words::FOLDER);
        std::fs::create_dir_all(&folder)
            .map_err(|e| io("make the folder of words", &folder, &e))?;
        write(&scored, &folder.join("evaluation.json"))?;
    }
    report(args, &scored, &text)
}
