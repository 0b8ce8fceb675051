//! Standard output that may be closed early, a passing line on a terminal, a folder for files, and small
//! figures in words.

use std::fs;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;

use anyhow::Result;
use demotic_core::files::require_writable;
use demotic_core::number::{Real, Whole};
use demotic_core::table;

use crate::failure::{input, io};
use crate::terminal::Terminal;

/// Writes a text to standard output.
///
/// # Errors
/// What the system says; a closed pipe is recognised by [`is_broken_pipe`].
pub(crate) fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// [`say`] in lines that fit: long ones are broken at their blanks where they go to a terminal.
///
/// # Errors
/// As [`say`].
pub(crate) fn show(text: &str) -> Result<()> {
    say(&wrapped(text, Terminal::of_table()))
}

/// Beginnings of lines that end in a command: broken by the terminal itself, it can be copied whole.
const WITH_COMMAND: [&str; 2] = ["next ", "interrupted "];

/// Every line of a text, broken to at most so many columns.
pub(crate) fn wrapped(text: &str, columns: usize) -> String {
    let fit = |line: &str| {
        if WITH_COMMAND.iter().any(|start| line.starts_with(start)) {
            line.to_owned()
        } else {
            table::wrapped(line, columns)
        }
    };
    text.split('\n').map(fit).collect::<Vec<_>>().join("\n")
}

/// Makes a folder, once nothing stands in the way of its files.
///
/// # Errors
/// Where something does, or the system does not let it be made.
pub(crate) fn make_folder(folder: &Path, files: &[impl AsRef<Path>], force: bool) -> Result<()> {
    if folder.is_dir() {
        for file in files {
            require_writable(file.as_ref(), force)?;
        }
        return Ok(());
    }
    let refused = |got: &str| {
        Err(input(format!(
            "expected a folder to write into, got {got}; give another name: {}",
            folder.display()
        )))
    };
    if folder.is_symlink() && !folder.exists() {
        return refused("a link that leads nowhere");
    }
    match fs::create_dir_all(folder) {
        Ok(()) => Ok(()),
        Err(e)
            if matches!(
                e.kind(),
                ErrorKind::AlreadyExists | ErrorKind::NotADirectory
            ) =>
        {
            refused("a file")
        }
        Err(e) => Err(io("make the folder", folder, &e)),
    }
}

/// What runs now, on a terminal, in place of what was there.
pub(crate) fn note(text: &str) {
    let mut out = std::io::stderr().lock();
    if out.is_terminal() {
        // A line of progress that cannot be written is no error.
        let _ = write!(out, "\r\x1b[K{text}");
        let _ = out.flush();
    }
}

/// Writes to standard output for whoever still looks. Work that takes hours does not end because a pipe was
/// closed or a terminal went away: what it says is in its files, too.
pub(crate) fn report(text: &str) {
    let _ = say(text);
}

/// True where a reader of standard output went away.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
}

/// `0.2 s`, `42s`, `7m05s`, `3h12m`.
pub(crate) fn duration(secs: f64) -> String {
    if (0.05..0.95).contains(&secs) {
        return format!("{secs:.1} s");
    }
    let secs = secs.max(0.0).round().to_u64();
    match secs {
        0..60 => format!("{secs}s"),
        60..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        _ => format!("{}h{:02}m", secs / 3600, secs / 60 % 60),
    }
}

/// `32 KiB`, `1.5 GiB`: to three figures.
pub(crate) fn bytes(count: u64) -> String {
    let mut value = count.to_f64();
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    let decimals = if value >= 100.0 || value.fract() == 0.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::{bytes, duration, wrapped};

    #[test]
    fn lines_fit_and_commands_stay_whole() {
        assert_eq!(
            wrapped("note   much to say\nnext   demotic train --resume", 14),
            "note   much to\n       say\nnext   demotic train --resume"
        );
    }

    #[test]
    fn sizes_carry_their_units() {
        let reported: Vec<String> = [0, 32 << 10, (3 << 30) / 2, 25_128_000_000, 1 << 60]
            .into_iter()
            .map(bytes)
            .collect();
        assert_eq!(
            reported,
            ["0 B", "32 KiB", "1.50 GiB", "23.4 GiB", "1048576 TiB"]
        );
    }

    #[test]
    fn durations_carry_their_units() {
        let reported: Vec<String> = [0.0, 0.21, 59.6, 425.0, 11_520.0, 360_000.0]
            .into_iter()
            .map(duration)
            .collect();
        assert_eq!(
            reported,
            ["0s", "0.2 s", "1m00s", "7m05s", "3h12m", "100h00m"]
        );
    }
}
