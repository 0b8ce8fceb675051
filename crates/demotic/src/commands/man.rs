//! `demotic man`: the manual as pages of troff, one a command.

use std::fs;

use anyhow::Result;
use clap::CommandFactory;
use demotic_core::files::{require_writable, write_whole};

use crate::cli::{Cli, ManArgs};
use crate::failure::{input, io};
use crate::output::say;

pub(crate) fn run(args: &ManArgs) -> Result<()> {
    let mut pages = Vec::new();
    let mut whole = Cli::command();
    whole.build();
    collect(&whole, &mut pages)?;
    let out = &args.out;
    if out.is_dir() {
        for (name, _) in &pages {
            require_writable(&out.join(name), args.force.force)?;
        }
    } else if out.exists() {
        return Err(input(format!(
            "expected a folder to write into, got a file; give another name: {}",
            out.display()
        )));
    } else {
        fs::create_dir_all(out).map_err(|e| io("make the folder of pages", out, &e))?;
    }
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
    for command in below.filter(|command| command.get_name() != "help" && !command.is_hide_set()) {
        collect(command, pages)?;
    }
    Ok(())
}
