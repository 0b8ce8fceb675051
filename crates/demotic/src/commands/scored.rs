//! Figures of `demotic evaluate`, shown and written.

use std::path::Path;

use anyhow::Result;
use demotic_core::files::write_whole;
use serde::Serialize;

use crate::cli::EvaluateArgs;
use crate::output::{say, show};

/// In place of a file's name.
pub(super) const STANDARD_OUTPUT: &str = "-";

/// Whether a person is told what runs: not where standard output is for a program.
pub(super) fn is_told(args: &EvaluateArgs) -> bool {
    args.json.as_deref() != Some(Path::new(STANDARD_OUTPUT))
}

/// Shows the figures, and writes them where that was asked: neither a file that cannot be written nor a
/// reader that went away takes them from the other.
pub(super) fn report(args: &EvaluateArgs, figures: &impl Serialize, text: &str) -> Result<()> {
    let written = match args.json.as_deref() {
        Some(file) if file == Path::new(STANDARD_OUTPUT) => {
            return say(&format!("{}\n", serde_json::to_string_pretty(figures)?));
        }
        Some(file) => write(figures, file),
        None => Ok(()),
    };
    written.and(show(text))
}

/// The figures as a program reads them.
pub(super) fn write(figures: &impl Serialize, path: &Path) -> Result<()> {
    let mut text = serde_json::to_string_pretty(figures)?;
    text.push('\n');
    Ok(write_whole(path, text.as_bytes())?)
}
