//! How a command ends, and how failures reach the person: one message on standard error, an exit code, and
//! never a raw panic.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;

pub(crate) use demotic_core::panic_message;

/// Exit code of a failure of the machine or the training.
const FAILED: u8 = 1;
/// Exit code of a fault in what was typed or given.
const INPUT: u8 = 2;
/// Exit code after Ctrl-C or a request to terminate.
pub(crate) const INTERRUPTED: u8 = 130;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All of it.
    Done,
    /// Stopped on request, with a checkpoint saved.
    Interrupted,
}

/// A fault in what was typed or given, found by the launcher itself.
#[derive(Debug)]
pub(crate) struct InputError(pub(crate) String);

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InputError {}

/// An [`InputError`] as the launcher's error.
pub(crate) fn input(message: impl Into<String>) -> anyhow::Error {
    InputError(message.into()).into()
}

/// A failure of the file system that is nobody's input.
pub(crate) fn io(action: &str, path: &std::path::Path, source: &std::io::Error) -> anyhow::Error {
    anyhow::anyhow!("cannot {action}: {source}: {}", path.display())
}

/// Prints the message and gives the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    print(&error.to_string());
    ExitCode::from(if is_input(error) { INPUT } else { FAILED })
}

/// True for a fault in what was typed or given.
pub(crate) fn is_input(error: &anyhow::Error) -> bool {
    use demotic_core::{Error, data::DataError};
    error.is::<InputError>()
        || error.is::<DataError>()
        || error.downcast_ref::<Error>().is_some_and(Error::is_input)
}

/// `error: ...` with following lines under the first; standard error may be closed.
fn print(message: &str) {
    let bold = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let head = if bold {
        "\x1b[1;31merror:\x1b[0m"
    } else {
        "error:"
    };
    let _ = writeln!(
        std::io::stderr(),
        "{head} {}",
        message.trim_end().replace('\n', "\n       ")
    );
}

/// The place of the latest panic. Libraries catch panics of their own (a kernel that a device refuses while
/// candidates are measured), so a panic is reported only when it reaches the top.
static LATEST: Mutex<String> = Mutex::new(String::new());

/// Runs the program; a panic becomes a message that asks for a report.
pub(crate) fn catch_bugs(program: impl FnOnce() -> ExitCode) -> ExitCode {
    panic::set_hook(Box::new(|info| {
        let place = info
            .location()
            .map_or_else(String::new, |at| format!(" ({}:{})", at.file(), at.line()));
        if let Ok(mut latest) = LATEST.lock() {
            *latest = place;
        }
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|v| v != "0") {
            let _ = writeln!(
                std::io::stderr(),
                "{info}\n{}",
                std::backtrace::Backtrace::force_capture()
            );
        }
    }));
    panic::catch_unwind(AssertUnwindSafe(program)).unwrap_or_else(|payload| {
        let message = panic_message(&*payload);
        let place = LATEST.lock().map(|place| place.clone()).unwrap_or_default();
        print(&format!(
            "this is a bug in demotic {}: {message}{place}\nplease report it with the command you typed and the output of \
             `demotic devices`; RUST_BACKTRACE=1 adds where it happened",
            env!("CARGO_PKG_VERSION")
        ));
        ExitCode::from(FAILED)
    })
}
