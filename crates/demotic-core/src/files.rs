//! Files that are whole or absent, and lines that are added whole.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;

/// Changes a text file's contents; an absent one stays absent.
pub(crate) fn rewrite(path: &Path, change: impl FnOnce(&str) -> String) -> Result<(), Error> {
    let old = match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("read", path)(e)),
    };
    write_whole(path, change(&old).as_bytes())
}

/// Writes a file beside and renames it: a reader meets the old one or the new one.
///
/// # Errors
/// [`Error::Io`]; the old file is untouched then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_beside(path, |file| file.write_all(bytes))
}

/// [`write_whole`] for what is written piece by piece.
///
/// # Errors
/// As [`write_whole`].
pub fn write_beside(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), Error> {
    let (beside, file) = part(path)?;
    let mut file = BufWriter::new(file);
    write(&mut file)
        .and_then(|()| file.flush())
        .and_then(|()| fs::rename(&beside, path))
        .map_err(|e| {
            // What is half written is of no use; the message below is what counts.
            let _ = fs::remove_file(&beside);
            Error::io("write", path)(e)
        })
}

/// Makes the file that another one is written in, in the same folder, under a name that no other process, no
/// other thread and nobody's own file has.
fn part(path: &Path) -> Result<(PathBuf, File), Error> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let beside = path.with_file_name(format!("{PART}{}-{count}.part", std::process::id()));
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&beside)
        {
            // An earlier process of this number was killed.
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            opened => return Ok((beside, opened.map_err(Error::io("write", path))?)),
        }
    }
}

/// What the names of half-written files begin with.
const PART: &str = ".demotic-";

/// True for a name that [`part`] gives.
pub(crate) fn is_part(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(PART.as_bytes()) && name.ends_with(b".part")
}

/// Deletes what killed processes left half-written in a folder; an absent folder holds none.
pub(crate) fn drop_parts(folder: &Path) -> Result<(), Error> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io("look into the folder", folder))?,
    };
    for entry in entries {
        let entry = entry.map_err(Error::io("look into the folder", folder))?;
        if is_part(&entry.file_name()) {
            let path = entry.path();
            fs::remove_file(&path).map_err(Error::io("drop a half-written file", &path))?;
        }
    }
    Ok(())
}

/// Refuses to write where something is, unless that was asked for.
///
/// # Errors
/// [`Error::Input`] where there is one.
pub fn refuse_existing(path: &Path, force: bool) -> Result<(), Error> {
    if !force && path.symlink_metadata().is_ok() {
        return Err(Error::Input(format!(
            "the file is there already; give another name, or --force to replace it: {}",
            path.display()
        )));
    }
    Ok(())
}

/// Refuses before any work a file that could not be written at its end: one that is there, a folder, or one
/// in a folder that is not there.
///
/// # Errors
/// [`Error::Input`] saying what is in the way.
pub fn require_writable(path: &Path, force: bool) -> Result<(), Error> {
    if path.is_dir() || path.file_name().is_none() {
        return Err(Error::Input(format!(
            "expected the name of a file, got a folder: {}",
            path.display()
        )));
    }
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(Error::Input(format!(
            "there is no such folder to write in; make it, or give another name: {}",
            path.display()
        )));
    }
    refuse_existing(path, force)
}

/// Opens a file for lines to be added at its end.
///
/// # Errors
/// [`Error::Io`].
pub fn append(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(Error::io("open", path))
}

/// Adds one line in one write, so that a cut never mixes two.
///
/// # Errors
/// [`Error::Io`].
pub fn add_line(file: &mut File, path: &Path, line: &str) -> Result<(), Error> {
    file.write_all(format!("{line}\n").as_bytes())
        .map_err(Error::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_beside_touches_no_other_file_and_leaves_none()
    -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("page.html");
        let neighbour = folder.path().join("page.part");
        fs::write(&neighbour, "mine")?;
        // As a killed process of the same number left it.
        let stale = |count: u64| format!("{PART}{}-{count}.part", std::process::id());
        for count in 0..100 {
            fs::write(folder.path().join(stale(count)), "stale")?;
        }
        // Two at once do not share a file.
        write_beside(&path, |outer| {
            write_whole(&path, b"inner").map_err(std::io::Error::other)?;
            outer.write_all(b"outer")
        })?;
        assert_eq!(fs::read(&path)?, b"outer");
        let refused = write_beside(&path, |_| Err(std::io::Error::other("full")));
        assert!(refused.is_err());
        assert_eq!(
            (fs::read(&path)?, fs::read(&neighbour)?),
            (b"outer".to_vec(), b"mine".to_vec())
        );
        drop_parts(folder.path())?;
        assert_eq!(fs::read_dir(folder.path())?.count(), 2);
        drop_parts(&folder.path().join("absent"))?;
        Ok(())
    }
}
