//! `demotic completions`: a script that teaches a shell this command line.

use anyhow::Result;
use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs};
use crate::output::say;

pub(crate) fn run(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "demotic", &mut script);
    say(&String::from_utf8_lossy(&script))
}
