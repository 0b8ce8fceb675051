//! The commands: each takes what was typed to the library and shows what came of it.

mod ablate;
mod bench;
mod compare;
mod completions;
mod data;
mod devices;
mod doctor;
mod evaluate;
mod inputs;
mod recognize;
mod report;
mod sample;
mod train;
mod translate;

use anyhow::Result;

use crate::cli::Command;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All of it.
    Done,
    /// Stopped on request, with a checkpoint saved.
    Interrupted,
}

/// Runs what was typed.
pub(crate) fn run(command: &Command) -> Result<Outcome> {
    match command {
        Command::Train(args) => return train::run(args),
        Command::Ablate(args) => return ablate::run(args),
        Command::Translate(args) => translate::run(args)?,
        Command::Sample(args) => sample::run(args)?,
        Command::Evaluate(args) => evaluate::run(args)?,
        Command::Recognize(args) => recognize::run(args)?,
        Command::Report(args) => report::run(args)?,
        Command::Data(args) => data::run(args)?,
        Command::Devices(args) => devices::run(args)?,
        Command::Doctor(args) => doctor::run(args)?,
        Command::Compare(args) => compare::run(args)?,
        Command::Bench(args) => bench::run(args)?,
        Command::Completions(args) => completions::run(args)?,
    }
    Ok(Outcome::Done)
}
