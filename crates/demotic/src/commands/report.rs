//! `demotic report`: the files of a run as one page.

use anyhow::Result;
use demotic_core::files::require_writable;
use demotic_core::train::run::require_run;

use crate::cli::ReportArgs;
use crate::output::say;
use crate::page;

pub(crate) fn run(args: &ReportArgs) -> Result<()> {
    let run = args.run();
    require_run(run)?;
    let file = match &args.out {
        Some(file) => {
            require_writable(file, args.force.force)?;
            file.clone()
        }
        None => run.join("report.html"),
    };
    page::write(run, &file)?;
    say(&format!("{}\n", file.display()))
}
