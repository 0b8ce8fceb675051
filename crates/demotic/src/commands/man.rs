//! `demotic man`: the manual as pages of troff, one a command.

use anyhow::Result;
use clap::CommandFactory;
use demotic_core::files::write_whole;

use crate::cli::{Cli, ManArgs};
use crate::output::{make_folder, say};

pub(crate) fn run(args: &ManArgs) -> Result<()> {
    let mut pages = Vec::new();
    // A page a command stands in for `demotic help COMMAND`.
    let mut whole = Cli::command().disable_help_subcommand(true);
    whole.build();
    collect(&whole, &mut pages)?;
    let out = &args.out;
    let files: Vec<_> = pages.iter().map(|(name, _)| out.join(name)).collect();
    make_folder(out, &files, args.force.force)?;
    for (name, page) in &pages {
        write_whole(&out.join(name), page)?;
    }
    say(&format!(
        "{} pages; `man {}` reads the first: {}\n",
        pages.len(),
        out.join("demotic.1").display(),
        out.display()
    ))
}

/// The page of a command and of those below it, by the names of their files.
fn collect(command: &clap::Command, pages: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name());
    let name = format!("{name}.1");
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    pages.push((name, page));
    let below = command.get_subcommands();
    for command in below.filter(|command| !command.is_hide_set()) {
        collect(command, pages)?;
    }
    Ok(())
}
