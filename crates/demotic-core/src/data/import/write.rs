//! Writing of a data-set folder: beside its place first, then renamed, so that no half of one is ever seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::package::{Idea, ImportOptions, ImportedStyle, Selection, StyleMeta};
use crate::data::DataError;
use crate::data::archive::write_tar_gz;
use crate::data::index::{INDEX_FILE, Index, Store};

/// Whose the drawings are.
const NOTICE: &str = "NOTICE";
/// What the folder is.
const README: &str = "README.md";
/// Files named in a message.
const SHOWN_FILES: usize = 5;

/// Refuses a destination that holds anything but an earlier data set that may be replaced.
pub(super) fn check_destination(out: &Path, replace: bool) -> Result<(), DataError> {
    let fail = |problem: &str| {
        Err(DataError::Import {
            problem: problem.into(),
            path: out.to_path_buf(),
        })
    };
    if !out.exists() {
        return Ok(());
    }
    let mut entries = match std::fs::read_dir(out) {
        Ok(entries) => entries,
        Err(source) if source.kind() == std::io::ErrorKind::NotADirectory => {
            return fail("the destination is a file; name a folder");
        }
        Err(source) => return Err(DataError::io("look into", out)(source)),
    };
    if entries.next().is_none() {
        return Ok(());
    }
    let Ok(earlier) = Store::Folder(out.to_path_buf()).index() else {
        return fail("the destination holds something that is not a data set; name another folder");
    };
    if !replace {
        return fail(
            "a data set is there already; name another folder, or let it be replaced by --force",
        );
    }
    let foreign = foreign_files(out, &earlier)?;
    if foreign.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = foreign
        .iter()
        .take(SHOWN_FILES)
        .map(|file| format!("`{}`", file.display()))
        .collect();
    fail(&format!(
        "besides the data set the destination holds {} files that no import wrote, and that would be lost: {}{}; move them, \
         or name another folder",
        foreign.len(),
        shown.join(", "),
        if foreign.len() > SHOWN_FILES {
            ", .."
        } else {
            ""
        }
    ))
}

/// Files below a data-set folder that its index does not name, relative to it, in order.
fn foreign_files(out: &Path, index: &Index) -> Result<Vec<PathBuf>, DataError> {
    let mut own: BTreeSet<&Path> = [INDEX_FILE, NOTICE, README].map(Path::new).into();
    for style in &index.styles {
        own.extend([Path::new(&style.file), Path::new(&style.licence_file)]);
    }
    let mut foreign = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let path = out.join(&folder);
        let look = || DataError::io("look into", &path);
        for entry in std::fs::read_dir(&path).map_err(look())? {
            let entry = entry.map_err(look())?;
            let relative = folder.join(entry.file_name());
            // A link to a folder is a file here: what it leads to is not removed.
            if entry.file_type().map_err(look())?.is_dir() {
                folders.push(relative);
            } else if !own.contains(relative.as_path()) {
                foreign.push(relative);
            }
        }
    }
    foreign.sort();
    Ok(foreign)
}

/// Writes drawings, index, licences, NOTICE and README; returns what each style takes.
pub(super) fn write(
    options: &ImportOptions,
    index: &Index,
    styles: &[StyleMeta],
    ideas: &[Idea],
) -> Result<Vec<ImportedStyle>, DataError> {
    let out = &options.out;
    let beside = sibling(out, "partial");
    remove(&beside)?;
    let written = write_files(options, index, styles, ideas, &beside)
        .and_then(|styles| put_in_place(&beside, out).map(|()| styles));
    if written.is_err() {
        // The first error is the one to report; leftovers are removed as far as possible.
        remove(&beside).ok();
    }
    written
}

fn sibling(out: &Path, suffix: &str) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{suffix}-{}", std::process::id()));
    out.with_file_name(name)
}

fn remove(folder: &Path) -> Result<(), DataError> {
    match std::fs::remove_dir_all(folder) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(DataError::io("remove", folder)(source))
        }
        _ => Ok(()),
    }
}

fn put_in_place(beside: &Path, out: &Path) -> Result<(), DataError> {
    let old = sibling(out, "old");
    if out.exists() {
        std::fs::rename(out, &old).map_err(DataError::io("move aside", out))?;
    }
    std::fs::rename(beside, out).map_err(|source| {
        // Give the earlier data set its place back.
        std::fs::rename(&old, out).ok();
        DataError::io("write", out)(source)
    })?;
    remove(&old)
}

fn write_files(
    options: &ImportOptions,
    index: &Index,
    styles: &[StyleMeta],
    ideas: &[Idea],
    folder: &Path,
) -> Result<Vec<ImportedStyle>, DataError> {
    let mut texts = BTreeMap::new();
    let json = index.to_json().map_err(|source| DataError::Index {
        problem: format!("it cannot be written ({source})"),
        path: folder.join(INDEX_FILE),
    })?;
    texts.insert(INDEX_FILE.to_owned(), json);
    texts.insert(NOTICE.to_owned(), notice(styles, index));
    texts.insert(README.to_owned(), readme(options, index));
    for style in styles {
        if let Some(text) = &style.licence_text {
            texts.insert(style.licence_file(), text.clone());
        }
    }
    for (name, text) in texts {
        create(&folder.join(name), text.as_bytes())?;
    }
    styles
        .par_iter()
        .enumerate()
        .map(|(i, style)| {
            let path = folder.join(style.file());
            let files = ideas.iter().filter_map(|idea| {
                let drawing = idea.drawings[i].as_ref()?;
                Some(drawing.read().map(|bytes| {
                    let name = format!("{}.{}", idea.item.key, drawing.extension);
                    (name, bytes.into_owned())
                }))
            });
            let bytes = write_tar_gz(Vec::new(), files, &path)?;
            create(&path, &bytes)?;
            Ok(ImportedStyle {
                name: style.name.clone(),
                drawings: index.styles[i].drawings,
                size_bytes: bytes.len() as u64,
                licence: style.licence.clone(),
            })
        })
        .collect()
}

fn create(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(DataError::io("create folder", parent))?;
    }
    std::fs::write(path, bytes).map_err(DataError::io("write", path))
}

fn notice(styles: &[StyleMeta], index: &Index) -> String {
    let mut text = String::from(
        "The drawings in this folder are the work of others, under their own licences. They were chosen, renamed and\n\
         packed; the drawings themselves are unchanged. A program that uses them turns them into pixels (rasterises\n\
         them), and may fit, turn, shift, mirror and recolour those. Networks trained on them learn from these works.\n",
    );
    for (style, entry) in styles.iter().zip(&index.styles) {
        let licence = match (&*style.licence_url, &*entry.licence_file) {
            ("", "") => style.licence.clone(),
            (url, "") => format!("{} ({url})", style.licence),
            ("", file) => format!("{}, text in {file}", style.licence),
            (url, file) => format!("{} ({url}), text in {file}", style.licence),
        };
        // A write into a String cannot fail.
        let _ = write!(
            text,
            "\n{}\n  {}\n  Licence: {licence}\n  Taken from: {} ({} drawings)\n",
            entry.file, style.attribution, style.source, entry.drawings
        );
    }
    text
}

fn readme(options: &ImportOptions, index: &Index) -> String {
    let mut sources: Vec<String> = options
        .sources
        .iter()
        .map(|path| {
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    sources.sort();
    let flag = match options.selection {
        Selection::Emoji => " --emoji",
        Selection::Everything => "",
    };
    let mut packages: Vec<&str> = index
        .styles
        .iter()
        .map(|style| style.source.as_str())
        .filter(|source| !source.starts_with("folder "))
        .collect();
    packages.sort_unstable();
    packages.dedup();
    let mut text = format!(
        "# A demotic data set\n\n{} items in {} styles. `index.json` lists both; each `.tar.gz` holds one style's drawings, named by item.\n\
         Whose they are, and under which licence, is in `NOTICE`.\n\nMade by\n\n```\n",
        index.items.len(),
        index.styles.len()
    );
    for package in packages {
        let _ = writeln!(text, "npm pack {}", package.replace(' ', "@"));
    }
    let _ = write!(
        text,
        "demotic data import{flag} --out {} {}\n```\n\nThe same sources give the same bytes.\n",
        options.out.display(),
        sources.join(" ")
    );
    text
}
