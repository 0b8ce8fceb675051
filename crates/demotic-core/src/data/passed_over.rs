//! What is left alone in folders of pictures: counted by kind, named in words.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

/// What was not read of a folder of pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// The style's folder; empty for what lies beside the folders of styles.
    pub style: String,
    /// False for a folder of which nothing is read, so that it makes no style.
    pub(crate) is_style: bool,
    /// What it is, such as `50 gif`, in order, with counts.
    pub what: Vec<String>,
}

impl std::fmt::Display for PassedOver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            style,
            is_style,
            what,
        } = self;
        let what = what.join(", ");
        match (&**style, is_style) {
            ("", _) => write!(f, "beside the styles, not read: {what}"),
            (style, true) => write!(f, "of {style}, not read: {what}"),
            (style, false) if what.is_empty() => write!(f, "{style} is no style: it is empty"),
            (style, false) => write!(f, "{style} is no style, as nothing in it is read: {what}"),
        }
    }
}

/// Counts of what is not read in a folder, or of what was named.
#[doc(hidden)]
#[derive(Debug, Clone, Default)]
pub struct Leftovers {
    by_ending: BTreeMap<String, usize>,
    without_ending: usize,
    folders: usize,
    broken: usize,
    hidden: usize,
    pictures: usize,
    /// Names of texts without their ending: what stands beside a picture is read as its phrases.
    texts: Vec<String>,
}

impl Leftovers {
    /// Counts what is no picture to be read.
    pub fn add(&mut self, path: &Path) {
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_hidden {
            self.hidden += 1;
        } else if path.is_dir() {
            self.folders += 1;
        } else if !path.exists() {
            self.broken += 1;
        } else if let Some(ending) = path.extension() {
            let ending = ending.to_string_lossy().to_ascii_lowercase();
            if let Some(stem) = path.file_stem().filter(|_| ending == "txt") {
                self.texts.push(stem.to_string_lossy().into_owned());
            } else {
                *self.by_ending.entry(ending).or_default() += 1;
            }
        } else {
            self.without_ending += 1;
        }
    }

    /// Counts a picture that belongs to no style.
    pub(super) fn add_picture(&mut self) {
        self.pictures += 1;
    }

    /// Pictures that belong to no style.
    pub(super) fn pictures(&self) -> usize {
        self.pictures
    }

    /// In words, with counts; texts beside a picture, known by its name, are read.
    pub fn words(&self, is_picture: impl Fn(&str) -> bool) -> Vec<String> {
        let mut by_ending = self.by_ending.clone();
        let texts = self.texts.iter().filter(|name| !is_picture(name)).count();
        if texts > 0 {
            by_ending.insert("txt".into(), texts);
        }
        let mut what: Vec<String> = by_ending
            .iter()
            .map(|(ending, count)| format!("{count} {ending}"))
            .collect();
        for (count, words) in [
            (self.pictures, "pictures in the folder itself, of no style"),
            (self.folders, "nested folders"),
            (self.broken, "broken links"),
            (self.without_ending, "files without an ending"),
            (self.hidden, "hidden"),
        ] {
            if count > 0 {
                what.push(format!("{count} {words}"));
            }
        }
        what
    }
}
