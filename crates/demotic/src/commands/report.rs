//! `demotic report`: the files of a run as one page.

use anyhow::Result;
use demotic_core::files::require_writable;
use demotic_core::train::run;

use crate::cli::ReportArgs;
use crate::output::say;
use crate::page;

pub(crate) fn run(args: &ReportArgs) -> Result<()> {
    run::require_run(&args.run)?;
    let file = match &args.out {
        Some(file) => {
            require_writable(file, args.force)?;
            file.clone()
        }
        None => args.run.join("report.html"),
    };
    page::write(&args.run, &file)?;
    say(&format!("{}\n", file.display()))
}
