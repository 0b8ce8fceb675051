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
