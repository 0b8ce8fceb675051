//! The commands: each takes what was typed to the library and shows what came of it.

mod ablate;
mod ablate_page;
mod ablate_screen;
mod bench;
mod bench_rows;
mod compare;
mod compare_profile;
mod completions;
mod configs;
mod contact_sheet;
mod data;
mod devices;
mod doctor;
mod draw;
mod draw_kaomoji;
mod draw_pictures;
mod draw_sheet;
mod evaluate;
mod evaluate_drawings;
mod evaluate_words;
mod export;
mod learn_words;
#[cfg(feature = "remote")]
mod lend;
mod man;
mod read;
mod recognize;
mod rephrase;
mod report;
mod sample;
mod say;
mod scored;
mod serve;
mod train;
mod train_end;
mod train_size;
mod train_start;
mod translate;
mod words;

use anyhow::Result;

use crate::cli::Command;
use crate::failure::Outcome;

/// Runs what was typed.
pub(crate) fn run(command: &Command) -> Result<Outcome> {
    match command {
        Command::Train(args) => return train::run(args),
        Command::Ablate(args) => return ablate::run(args),
        Command::LearnWords(args) => return learn_words::run(args),
        Command::Translate(args) => translate::run(args)?,
        Command::Sample(args) => sample::run(args)?,
        Command::Evaluate(args) => evaluate::run(args)?,
        Command::Recognize(args) => recognize::run(args)?,
        Command::Export(args) => export::run(args)?,
        Command::Draw(args) => draw::run(args)?,
        Command::Say(args) => say::run(args)?,
        Command::Read(args) => read::run(args)?,
        Command::Rephrase(args) => rephrase::run(args)?,
        Command::Report(args) => report::run(args)?,
        Command::Data(args) => data::run(args)?,
        Command::Devices(args) => devices::run(args)?,
        Command::Doctor(args) => doctor::run(args)?,
        Command::Compare(args) => compare::run(args)?,
        Command::Bench(args) => bench::run(args)?,
        Command::Serve(args) => serve::run(args)?,
        #[cfg(feature = "remote")]
        Command::Lend(args) => lend::run(args)?,
        Command::Configs(args) => configs::run(args)?,
        Command::Completions(args) => completions::run(args)?,
        Command::Man(args) => man::run(args)?,
    }
    Ok(Outcome::Done)
}
