//! Pictures named on the command line: found, opened a few at a time, and the files that are made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::iter::Peekable;
use std::path::{Path, PathBuf};

use anyhow::Result;
use demotic_core::data::{DataError, Leftovers, PICTURE_ENDINGS, Picture, is_archive};
use demotic_core::files::refuse_existing;

use crate::failure::{input, io};

/// Pictures held at once: bounded in number and, as they may be large, in pixels.
const HELD: usize = 64;
const HELD_PX: u64 = 32 << 20;

/// A picture and the file that is made of it.
pub(crate) struct Job {
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
}

/// Every picture named, and those in the folders named. Also counts what else was named or is in folders:
/// `DIR/*` stands for as much as `DIR`, so the folders in `DIR` are counted and left alone.
pub(crate) fn find(inputs: &[PathBuf]) -> Result<(Vec<PathBuf>, Leftovers)> {
    let (mut pictures, mut others) = (Vec::new(), Leftovers::default());
    let mut refused = None;
    let nested = nested(inputs);
    for path in inputs {
        if is_stream(path) {
            return Err(input(
                "`-`: standard input is not read; name a picture's file (./- for one of that name)",
            ));
        }
        if nested.contains(path.as_path()) {
            others.add(path);
        } else if path.is_dir() {
            let found = in_folder(path, &mut others)?;
            if found.is_empty() {
                others.add(path);
                refused.get_or_insert_with(|| {
                    format!(
                        "no picture ({PICTURE_ENDINGS}) in this folder: {}",
                        path.display()
                    )
                });
            }
            pictures.extend(found);
        } else if path.is_file() && is_picture(path) {
            pictures.push(path.clone());
        } else if path.exists() {
            others.add(path);
            refused.get_or_insert_with(|| {
                let problem = if is_archive(path) {
                    "this is an archive: unpack it first (tar xf, unzip) and name its folder".into()
                } else {
                    format!("not a picture by its name; expected {PICTURE_ENDINGS}")
                };
                format!("{problem}: {}", path.display())
            });
        } else if path.is_symlink() {
            others.add(path);
            refused.get_or_insert_with(|| format!("the link leads nowhere: {}", path.display()));
        } else if path.extension().is_some_and(|ending| ending == "json") {
            return Err(input(format!(
                "there is no such picture: {}; `recognize --json` takes no file, it prints: `--json > FILE`",
                path.display()
            )));
        } else {
            return Err(input(format!(
                "there is no such picture: {}",
                path.display()
            )));
        }
    }
    match refused {
        Some(refused) if pictures.is_empty() => Err(input(refused)),
        _ => Ok((pictures, others)),
    }
}

/// The sign that stands for standard input or output elsewhere.
fn is_stream(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Folders that a shell named with everything else that lies beside them, pictures among it, as it writes out
/// `DIR/*`. One that is named with a slash at its end, which no shell does of itself, is meant.
fn nested(inputs: &[PathBuf]) -> BTreeSet<&Path> {
    let mut named: BTreeMap<&Path, BTreeSet<&OsStr>> = BTreeMap::new();
    for path in inputs {
        if let Some((folder, name)) = path.parent().zip(path.file_name()) {
            named.entry(folder).or_default().insert(name);
        }
    }
    named.retain(|folder, names| {
        let here = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            *folder
        };
        let has_picture = names.iter().any(|name| {
            let file = here.join(name);
            is_picture(&file) && file.is_file()
        });
        has_picture
            && fs::read_dir(here).is_ok_and(|entries| {
                let mut shown = entries
                    .flatten()
                    .map(|entry| entry.file_name())
                    .filter(|name| !name.as_encoded_bytes().starts_with(b"."));
                shown.all(|name| names.contains(name.as_os_str()))
            })
    });
    let is_meant = |path: &Path| {
        let last = path.as_os_str().as_encoded_bytes().last();
        last.is_some_and(|byte| std::path::is_separator(char::from(*byte)))
    };
    let folders = inputs.iter().map(PathBuf::as_path);
    folders
        .filter(|path| path.is_dir() && !is_meant(path))
        .filter(|path| {
            path.parent()
                .is_some_and(|folder| named.contains_key(folder))
        })
        .collect()
}

/// The pictures in a folder, by name.
fn in_folder(folder: &Path, others: &mut Leftovers) -> Result<Vec<PathBuf>> {
    let mut pictures = Vec::new();
    let entries = fs::read_dir(folder).map_err(|e| io("look into the folder", folder, &e))?;
    for entry in entries {
        let file = entry
            .map_err(|e| io("look into the folder", folder, &e))?
            .path();
        let is_hidden = file
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && file.is_file() && is_picture(&file) {
            pictures.push(file);
        } else {
            others.add(&file);
        }
    }
    pictures.sort();
    Ok(pictures)
}

/// What happens to results that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Nothing is done at all.
    Refuse,
    /// They are replaced.
    Replace,
    /// They stay, and their pictures are left alone.
    Keep,
}

/// Names `out/<name>.png` for every picture, or `out` itself for a single one where that is the name of a
/// PNG; refuses before any work what could not be written at the end. Also counts the results that are kept.
pub(crate) fn with_outputs(
    pictures: Vec<PathBuf>,
    out: &Path,
    existing: Existing,
) -> Result<(Vec<Job>, usize)> {
    if is_stream(out) {
        return Err(input(
            "--out -: results are files and do not go to standard output; give a folder, or the name of a PNG",
        ));
    }
    let mut named = if names_a_file(out)? {
        if pictures.len() > 1 {
            return Err(input(format!(
                "--out names one file, and there are {} pictures: give a folder: {}",
                pictures.len(),
                out.display()
            )));
        }
        vec![out.to_path_buf(); pictures.len()]
    } else {
        in_folder_of_results(&pictures, out)?
    }
    .into_iter();
    let (mut jobs, mut kept) = (Vec::new(), 0);
    for input_file in pictures {
        let output = named.next().expect("a name a picture");
        refuse_own_input(&output, &input_file)?;
        if existing == Existing::Keep && output.symlink_metadata().is_ok() {
            kept += 1;
            continue;
        }
        refuse_existing(&output, existing == Existing::Replace)?;
        jobs.push(Job {
            input: input_file,
            output,
        });
    }
    Ok((jobs, kept))
}

fn refuse_own_input(output: &Path, picture: &Path) -> Result<()> {
    let whole = |path: &Path| path.canonicalize().ok();
    match whole(output).zip(whole(picture)) {
        Some((output, input_file)) if output == input_file => Err(input(format!(
            "the result would replace its own input; give another --out: {}",
            picture.display()
        ))),
        _ => Ok(()),
    }
}

/// Whether `--out` is the file of a single result rather than a folder.
fn names_a_file(out: &Path) -> Result<bool> {
    if out.is_dir() || !is_picture(out) {
        if out.exists() && !out.is_dir() {
            return Err(input(format!(
                "--out is a file, expected a folder, or the name of a PNG: {}",
                out.display()
            )));
        }
        return Ok(false);
    }
    if ending(out).as_deref() != Some("png") {
        return Err(input(format!(
            "results are PNG; give --out a name that ends in .png, or a folder: {}",
            out.display()
        )));
    }
    Ok(true)
}

/// Refuses a file that is named as another kind of picture than the PNG that is written.
pub(crate) fn refuse_other_kinds(out: &Path) -> Result<()> {
    if is_picture(out) && ending(out).as_deref() != Some("png") {
        return Err(input(format!(
            "results are PNG; give --out a name that ends in .png: {}",
            out.display()
        )));
    }
    Ok(())
}

/// `out/<name>.png` for every picture. Of pictures that differ by their ending alone, `a.png` and `a.JPG`,
/// one has the plain name, a PNG if there is one; the others keep their ending: `a.JPG.png`.
fn in_folder_of_results(pictures: &[PathBuf], out: &Path) -> Result<Vec<PathBuf>> {
    let plain = |picture: &Path| {
        let mut name = picture.file_stem().unwrap_or_default().to_owned();
        name.push(".png");
        out.join(name)
    };
    let whole = |picture: &Path| {
        let mut name = picture.file_name().unwrap_or_default().to_owned();
        name.push(".png");
        out.join(name)
    };
    // PNG first: by how far its ending stands in the list.
    let rank = |picture: &Path| {
        PICTURE_ENDINGS
            .split(", ")
            .position(|known| ending(picture).is_some_and(|e| e == known))
    };
    let mut owners: BTreeMap<PathBuf, &PathBuf> = BTreeMap::new();
    for picture in pictures {
        let owner = owners.entry(plain(picture)).or_insert(picture);
        if rank(picture) < rank(owner) {
            *owner = picture;
        }
    }
    let mut taken: BTreeMap<PathBuf, &PathBuf> = BTreeMap::new();
    let mut outputs = Vec::with_capacity(pictures.len());
    for picture in pictures {
        let owner = owners[&plain(picture)];
        let beside = owner.parent() == picture.parent() && owner.file_name() != picture.file_name();
        let output = if beside {
            whole(picture)
        } else {
            plain(picture)
        };
        refuse_own_input(&output, picture)?;
        if let Some(other) = taken.insert(output.clone(), picture) {
            return Err(input(format!(
                "two pictures of one name, {} and {}, would both become this file; give them two folders: {}",
                other.display(),
                picture.display(),
                output.display()
            )));
        }
        outputs.push(output);
    }
    Ok(outputs)
}

/// Opens the next pictures of a queue, as many as memory should hold; what cannot be opened is reported in
/// words.
pub(crate) fn open_some<'a, T>(
    queue: &mut Peekable<impl Iterator<Item = &'a T>>,
    open: impl Fn(&T) -> Result<Picture, DataError>,
) -> (Vec<(&'a T, Picture)>, Vec<String>) {
    let (mut held, mut problems, mut pixels) = (Vec::new(), Vec::new(), 0);
    while held.len() < HELD && pixels < HELD_PX {
        let Some(job) = queue.next() else { break };
        match open(job) {
            Ok(picture) => {
                pixels += u64::from(picture.width_px) * u64::from(picture.height_px);
                held.push((job, picture));
            }
            Err(problem) => problems.push(problem.to_string()),
        }
    }
    (held, problems)
}

/// A line on what was left alone, if there is anything.
pub(crate) fn passed_over(others: &Leftovers) -> Option<String> {
    let what = others.words(|_| false);
    (!what.is_empty()).then(|| {
        format!(
            "passed over: {}; pictures are {PICTURE_ENDINGS}, those of nested folders by the folder's name",
            what.join(", ")
        )
    })
}

/// One error for all pictures that could not be read.
pub(crate) fn settle(mut problems: Vec<String>, of: usize, done: &str) -> Result<()> {
    match problems.len() {
        0 => Ok(()),
        1 => Err(input(problems.remove(0))),
        n => Err(input(format!(
            "{n} of {of} pictures were not {done}\n{}",
            problems.join("\n")
        ))),
    }
}

fn ending(path: &Path) -> Option<String> {
    Some(path.extension()?.to_string_lossy().to_ascii_lowercase())
}

fn is_picture(path: &Path) -> bool {
    ending(path).is_some_and(|ending| PICTURE_ENDINGS.split(", ").any(|known| known == ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_writes_out_for_a_folder_is_what_the_folder_is() {
        let place = tempfile::tempdir().expect("a temporary folder");
        for file in [
            "a.png",
            "b.svg",
            "notes.txt",
            "more/c.png",
            ".hidden",
            "none/d.txt",
        ] {
            let path = place.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
            fs::write(path, b"").expect("it can be written");
        }
        let of = |names: &[&str]| {
            let inputs: Vec<PathBuf> = names.iter().map(|name| place.path().join(name)).collect();
            let (pictures, others) = find(&inputs).expect("pictures are among them");
            let pictures: Vec<String> = pictures
                .iter()
                .map(|path| {
                    path.file_name()
                        .expect("a name")
                        .to_string_lossy()
                        .into_owned()
                })
                .collect();
            (pictures.join(" "), others.words(|_| false).join(", "))
        };
        let written_out = ["a.png", "b.svg", "more", "none", "notes.txt"];
        let (pictures, left) = of(&[""]);
        assert_eq!(
            (pictures.as_str(), left.as_str()),
            ("a.png b.svg", "1 txt, 2 nested folders, 1 hidden")
        );
        // A shell does not name what is hidden.
        let (pictures, left) = of(&written_out);
        assert_eq!(
            (pictures.as_str(), left.as_str()),
            ("a.png b.svg", "1 txt, 2 nested folders")
        );
        // Folders that are chosen, or named with a slash, are looked into.
        assert_eq!(of(&["a.png", "more"]).0, "a.png c.png");
        assert_eq!(of(&["more", "none"]).0, "c.png");
        let meant = ["a.png", "b.svg", "more/", "none", "notes.txt"];
        assert_eq!(of(&meant).0, "a.png b.svg c.png");
    }
}
