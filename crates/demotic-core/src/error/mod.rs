//! What can go wrong in the library, sorted by who can mend it.

mod data;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

pub use data::DataError;

/// Any failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration, one line a problem, in the user's key names.
    #[error("configuration: {}", .0.join("\nconfiguration: "))]
    Config(Vec<String>),
    /// Pictures, archives or data sets.
    #[error(transparent)]
    Data(#[from] DataError),
    /// No such device, or it does not open.
    #[error("device: {0}")]
    Device(String),
    /// A run folder or checkpoint that is missing, damaged or belongs to something else.
    #[error("{problem}: {}", path.display())]
    Run {
        /// What is wrong, and the way out.
        problem: String,
        /// The file or folder.
        path: PathBuf,
    },
    /// Something else that was typed or given.
    #[error("{0}")]
    Input(String),
    /// The file system refused.
    #[error("cannot {action}: {source}: {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The system's words.
        source: std::io::Error,
        /// Where.
        path: PathBuf,
    },
    /// A loss, a gradient or a weight is not a finite number any more.
    #[error(
        "training diverged at step {step}: {what}; lower `train.generator_rate` and `train.discriminator_rate`"
    )]
    Diverged {
        /// The step it happened at.
        step: u64,
        /// Which losses, with their values.
        what: String,
    },
}

impl Error {
    /// True where the user's input is at fault (exit code 2), false for a failure of the machine or the
    /// training (1).
    pub fn is_input(&self) -> bool {
        match self {
            Self::Config(_) | Self::Data(_) | Self::Run { .. } | Self::Input(_) => true,
            Self::Device(_) | Self::Io { .. } | Self::Diverged { .. } => false,
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            source,
            path,
        }
    }

    pub(crate) fn run(problem: impl Into<String>, path: &Path) -> Self {
        Self::Run {
            problem: problem.into(),
            path: path.to_owned(),
        }
    }
}

/// The known name that is most likely meant by one that nobody knows, whatever its letters' case: a third of
/// the letters may be wrong; `None` where no name is so near.
#[doc(hidden)]
pub fn nearest<'a>(asked: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let asked: Vec<char> = asked.to_lowercase().chars().collect();
    let rated = known.into_iter().map(|name| {
        let letters: Vec<char> = name.to_lowercase().chars().collect();
        (edits(&asked, &letters), name)
    });
    let near = rated.filter(|(edits, _)| *edits <= asked.len().div_ceil(3));
    near.min_by_key(|(edits, _)| *edits).map(|(_, name)| name)
}

/// Letters to insert, drop or replace until one word is the other: Levenshtein's distance, row by row.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in b.iter().enumerate() {
            let replaced = corner + usize::from(left != right);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Work that may panic: a driver that refuses a kernel, or is lost, does so by a panic where the result is
/// read. The panic's message as one line takes the result's place.
///
/// # Errors
/// [`panic_line`] of the panic.
#[doc(hidden)]
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| panic_line(&*payload))
}

/// What a caught panic said.
#[doc(hidden)]
pub fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// A panic's message as one line: its first, or all where that is only a banner (`=== Tensor Operation Error
/// ===`).
#[doc(hidden)]
pub fn panic_line(payload: &(dyn Any + Send)) -> String {
    let lines = panic_message(payload).lines().map(str::trim);
    let mut lines = lines.filter(|line| !line.is_empty()).peekable();
    let is_banner = |line: &&str| line.starts_with("===");
    if lines.peek().is_some_and(is_banner) {
        let rest: Vec<&str> = lines.filter(|line| !is_banner(line)).collect();
        return rest.join(" ");
    }
    lines.next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_name_and_another_word_none() {
        let known = ["openmoji", "openmoji-line", "noto"];
        let found = |asked: &str| nearest(asked, known);
        assert_eq!(found("openmjoi"), Some("openmoji"));
        assert_eq!(found("OpenMoji-Lin"), Some("openmoji-line"));
        assert_eq!(found("nato"), Some("noto"));
        assert_eq!(found("comic"), None);
        assert_eq!(found(""), None);
        let letters = |text: &str| -> Vec<char> { text.chars().collect() };
        assert_eq!(edits(&letters("kitten"), &letters("sitting")), 3);
    }
}
