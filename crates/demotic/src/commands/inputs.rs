//! Pictures named on the command line: found, opened a few at a time, and the files that are made of them.

use std::collections::BTreeMap;
use std::fs;
use std::iter::Peekable;
use std::path::{Path, PathBuf};

use anyhow::Result;
use demotic_core::data::Picture;

use crate::failure::{input, io};
use crate::run_dir;

/// Endings of pictures that are read.
const ENDINGS: [&str; 5] = ["png", "jpg", "jpeg", "webp", "svg"];
/// Pictures held at once: bounded in number and, as they may be large, in pixels.
const HELD: usize = 64;
const HELD_PX: u64 = 32 << 20;

/// A picture and the file that is made of it.
pub(super) struct Job {
    pub(super) input: PathBuf,
    pub(super) output: PathBuf,
}

/// Every picture named, and those in the folders named. Also counts the files in folders that are no pictures.
pub(super) fn find(inputs: &[PathBuf]) -> Result<(Vec<PathBuf>, usize)> {
    let (mut pictures, mut others) = (Vec::new(), 0);
    for path in inputs {
        if path.is_dir() {
            let before = pictures.len();
            let entries = fs::read_dir(path).map_err(|e| io("look into the folder", path, &e))?;
            for entry in entries {
                let file = entry
                    .map_err(|e| io("look into the folder", path, &e))?
                    .path();
                let is_hidden = file
                    .file_name()
                    .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
                if !is_hidden && file.is_file() {
                    if is_picture(&file) {
                        pictures.push(file);
                    } else {
                        others += 1;
                    }
                }
            }
            if pictures.len() == before {
                return Err(input(format!(
                    "no picture ({}) in this folder: {}",
                    ENDINGS.join(", "),
                    path.display()
                )));
            }
            pictures[before..].sort();
        } else if !path.exists() && path.extension().is_some_and(|ending| ending == "json") {
            return Err(input(format!(
                "there is no such picture: {}; `recognize --json` takes no file, it prints: `--json > FILE`",
                path.display()
            )));
        } else if !path.exists() {
            return Err(input(format!(
                "there is no such picture: {}",
                path.display()
            )));
        } else if !is_picture(path) {
            return Err(input(format!(
                "not a picture by its name; expected {}: {}",
                ENDINGS.join(", "),
                path.display()
            )));
        } else {
            pictures.push(path.clone());
        }
    }
    Ok((pictures, others))
}

/// Names `out/<name>.png` for every picture, and refuses before any work what could not be written at the end.
pub(super) fn with_outputs(pictures: Vec<PathBuf>, out: &Path, force: bool) -> Result<Vec<Job>> {
    if out.exists() && !out.is_dir() {
        return Err(input(format!(
            "--out is a file, expected a folder: {}",
            out.display()
        )));
    }
    let mut taken: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    let mut jobs = Vec::new();
    for picture in pictures {
        let stem = picture.file_stem().unwrap_or_default();
        let mut name = stem.to_owned();
        name.push(".png");
        let output = out.join(name);
        if let Some(other) = taken.insert(output.clone(), picture.clone()) {
            return Err(input(format!(
                "two pictures of one name, {} and {}, would both become this file; give them two folders: {}",
                other.display(),
                picture.display(),
                output.display()
            )));
        }
        let same = output
            .canonicalize()
            .ok()
            .zip(picture.canonicalize().ok())
            .is_some_and(|(a, b)| a == b);
        if same {
            return Err(input(format!(
                "the result would replace its own input; give another --out: {}",
                picture.display()
            )));
        }
        run_dir::refuse_existing(&output, force)?;
        jobs.push(Job {
            input: picture,
            output,
        });
    }
    Ok(jobs)
}

/// Opens the next pictures of a queue, as many as memory should hold; what cannot be opened is told in words.
pub(super) fn open_some<'a, T>(
    queue: &mut Peekable<impl Iterator<Item = &'a T>>,
    path: impl Fn(&T) -> &Path,
    size_px: u32,
) -> (Vec<(&'a T, Picture)>, Vec<String>) {
    let (mut held, mut problems, mut pixels) = (Vec::new(), Vec::new(), 0);
    while held.len() < HELD && pixels < HELD_PX {
        let Some(job) = queue.next() else { break };
        match Picture::open_or_draw(path(job), size_px) {
            Ok(picture) => {
                pixels += u64::from(picture.width_px) * u64::from(picture.height_px);
                held.push((job, picture));
            }
            Err(problem) => problems.push(problem.to_string()),
        }
    }
    (held, problems)
}

/// A line on files that are no pictures, if there are any.
pub(super) fn passed_over(others: usize) -> Option<String> {
    (others > 0).then(|| {
        format!(
            "{others} files in folders passed over: they are no {}",
            ENDINGS.join(", ")
        )
    })
}

/// One error for all pictures that could not be read.
pub(super) fn settle(mut problems: Vec<String>, of: usize, done: &str) -> Result<()> {
    match problems.len() {
        0 => Ok(()),
        1 => Err(input(problems.remove(0))),
        n => Err(input(format!(
            "{n} of {of} pictures were not {done}\n{}",
            problems.join("\n")
        ))),
    }
}

fn is_picture(path: &Path) -> bool {
    let ending = path
        .extension()
        .map(|e| e.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}
