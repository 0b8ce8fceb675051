//! Folders as other tools lay them out: by split first, then by style.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Split;

/// How splits are made of such folders, for people.
pub(super) const RULE: &str = "as the folders say; what they leave out, by hash of the name";

/// A folder of pictures of one style in one split.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) split: Split,
    pub(super) style: String,
    pub(super) path: PathBuf,
}

/// What folders of training, validation and test pictures are called.
const NAMES: [(&str, Split); 5] = [
    ("train", Split::Train),
    ("validation", Split::Validation),
    ("valid", Split::Validation),
    ("val", Split::Validation),
    ("test", Split::Test),
];

/// `trainA`, `train_photo` -> the split and the style; none for a name of another kind.
fn split_and_style(name: &str) -> Option<(Split, &str)> {
    let (start, split) = NAMES.iter().find(|(start, _)| {
        name.get(..start.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(start))
    })?;
    let rest = &name[start.len()..];
    let style = rest.trim_start_matches(['_', '-', '.']);
    // `training`, `testament`: a word, no style.
    let is_apart = style.len() < rest.len() || rest.starts_with(|c: char| !c.is_lowercase());
    (is_apart && !style.is_empty()).then_some((*split, style))
}

/// The parts of `trainA, trainB, testA, testB`, of `train/A, train/B, test/A, test/B` or of `A/train, A/test,
/// B/train, B/test`: all folders that hold pictures must be named so, and two styles be there for training.
///
/// `folders`: those of the data set, by name; `holds_pictures`: whether a picture lies in a folder itself.
pub(super) fn parts(
    folders: &[PathBuf],
    holds_pictures: &impl Fn(&Path) -> bool,
) -> Option<Vec<Part>> {
    let with_pictures: Vec<&PathBuf> = folders.iter().filter(|path| holds_pictures(path)).collect();
    if with_pictures.is_empty() {
        let is_split = |path: &PathBuf| name(path).is_some_and(|name| split_of(&name).is_some());
        return if folders.iter().any(is_split) {
            whole(split_first(folders, holds_pictures))
        } else {
            whole(style_first(folders, holds_pictures)?)
        };
    }
    let parts: Option<Vec<Part>> = with_pictures
        .into_iter()
        .map(|path| {
            let name = name(path)?;
            let (split, style) = split_and_style(&name)?;
            Some(Part {
                split,
                style: style.to_owned(),
                path: path.clone(),
            })
        })
        .collect();
    whole(parts?)
}

fn name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.to_owned())
}

/// The split that a folder is named after.
fn split_of(name: &str) -> Option<Split> {
    let name = name.to_ascii_lowercase();
    let found = NAMES.iter().find(|(known, _)| *known == name);
    found.map(|(_, split)| *split)
}

/// Parts of which two styles at least are there for training, and no other.
fn whole(parts: Vec<Part>) -> Option<Vec<Part>> {
    let trained = parts.iter().filter(|part| part.split == Split::Train);
    let trained: BTreeSet<&str> = trained.map(|part| &*part.style).collect();
    let is_whole = trained.len() >= 2 && parts.iter().all(|part| trained.contains(&*part.style));
    is_whole.then_some(parts)
}

/// `train/A, train/B`
fn split_first(folders: &[PathBuf], holds_pictures: &impl Fn(&Path) -> bool) -> Vec<Part> {
    let splits = folders
        .iter()
        .filter_map(|path| Some((split_of(&name(path)?)?, path)));
    let parts = splits.flat_map(|(split, path)| {
        let inner = folders_in(path).into_iter();
        let inner = inner.filter(|path| holds_pictures(path));
        inner.filter_map(move |path| {
            Some(Part {
                split,
                style: name(&path)?,
                path,
            })
        })
    });
    parts.collect()
}

/// `A/train, B/train`; nothing where a folder of pictures in one of them is named otherwise.
fn style_first(folders: &[PathBuf], holds_pictures: &impl Fn(&Path) -> bool) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    for folder in folders {
        for path in folders_in(folder) {
            if holds_pictures(&path) {
                parts.push(Part {
                    split: split_of(&name(&path)?)?,
                    style: name(folder)?,
                    path,
                });
            }
        }
    }
    Some(parts)
}

/// Deepest that folders of pictures are looked for.
const MAX_DEPTH: usize = 3;

/// A folder in which two or more folders of pictures lie, or their splits.
pub(super) fn deeper(
    folders: &[PathBuf],
    holds_pictures: &impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    let mut level = folders.to_vec();
    for _ in 0..MAX_DEPTH {
        let is_data = |path: &&PathBuf| {
            let inner = folders_in(path);
            let styles = inner.iter().filter(|path| holds_pictures(path)).count();
            styles >= 2 || parts(&inner, holds_pictures).is_some()
        };
        if let Some(found) = level.iter().find(is_data) {
            // Folders of splits belong to the folder around them.
            let is_split = name(found).is_some_and(|name| split_of(&name).is_some());
            let around = found
                .parent()
                .filter(|_| is_split && !folders.contains(found));
            return Some(around.unwrap_or(found).to_path_buf());
        }
        level = level.iter().flat_map(|path| folders_in(path)).collect();
    }
    None
}

/// Folders in a folder, by name; none where it cannot be looked into.
fn folders_in(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut inner: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    inner.sort();
    inner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        for (name, split, style) in [
            ("trainA", Split::Train, "A"),
            ("testB", Split::Test, "B"),
            ("val_photo", Split::Validation, "photo"),
            ("Validation-line art", Split::Validation, "line art"),
            ("train.1", Split::Train, "1"),
        ] {
            assert_eq!(split_and_style(name), Some((split, style)));
        }
        for name in [
            "train",
            "training",
            "testament",
            "valley",
            "photo",
            "tr",
            "Zug",
            "train_",
        ] {
            assert_eq!(split_and_style(name), None, "{name}");
        }
    }
}
