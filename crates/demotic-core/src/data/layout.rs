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

/// The parts of `trainA, trainB, testA, testB` or of `train/A, train/B, test/A, test/B`: all folders that
/// hold pictures must be named so, and two styles be there for training.
///
/// `folders`: those of the data set, by name; `holds_pictures`: whether a picture lies in a folder itself.
pub(super) fn parts(
    folders: &[PathBuf],
    holds_pictures: &impl Fn(&Path) -> bool,
) -> Option<Vec<Part>> {
    let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
    let with_pictures: Vec<&PathBuf> = folders.iter().filter(|path| holds_pictures(path)).collect();
    let parts: Option<Vec<Part>> = if with_pictures.is_empty() {
        let splits = folders.iter().filter_map(|path| {
            let name = name(path)?.to_ascii_lowercase();
            let (_, split) = NAMES.iter().find(|(known, _)| *known == name)?;
            Some((*split, path))
        });
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
        Some(parts.collect())
    } else {
        with_pictures
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
            .collect()
    };
    parts.filter(|parts| {
        let trained = parts.iter().filter(|part| part.split == Split::Train);
        let trained: BTreeSet<&str> = trained.map(|part| &*part.style).collect();
        let is_known = |part: &Part| trained.contains(&*part.style);
        trained.len() >= 2 && parts.iter().all(is_known)
    })
}

/// A folder in which two or more folders of pictures lie.
pub(super) fn one_level_deeper<'a>(
    folders: &'a [PathBuf],
    holds_pictures: &impl Fn(&Path) -> bool,
) -> Option<&'a PathBuf> {
    let styles = |path: &PathBuf| {
        let inner = folders_in(path);
        inner.iter().filter(|path| holds_pictures(path)).count()
    };
    folders.iter().find(|path| styles(path) >= 2)
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
