//! The `openmoji` package: `color/svg` and `black/svg` by codepoint, names and groups in
//! `data/openmoji.json`, the licence in `LICENSE.txt`. It makes two styles, `openmoji` and `openmoji-line`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::package::{Names, Package, PackageItem, StyleMeta, parse_codepoints};
use crate::data::DataError;
use crate::data::drawing::Drawing;

const COLOUR: &str = "package/color/svg/";
const BLACK: &str = "package/black/svg/";
const EMOJI: &str = "package/data/openmoji.json";
const LICENCE: &str = "package/LICENSE.txt";
const MANIFEST: &str = "package/package.json";
/// Art under a share-alike licence stays in a folder of its own.
const FOLDER: &str = "openmoji";

#[derive(Deserialize)]
struct Emoji {
    hexcode: String,
    annotation: String,
    group: String,
    subgroups: String,
}

#[derive(Deserialize)]
struct Manifest {
    version: String,
    license: String,
}

/// The files of the package that matter, by entry name.
#[derive(Default)]
pub(super) struct Files(BTreeMap<String, Vec<u8>>);

/// Whether an entry is one of them.
pub(super) fn wanted(entry: &str) -> bool {
    let drawing = |folder| {
        entry.strip_prefix(folder).is_some_and(|rest| {
            rest.strip_suffix(".svg")
                .is_some_and(|name| !name.contains('/'))
        })
    };
    matches!(entry, EMOJI | LICENCE | MANIFEST) || drawing(COLOUR) || drawing(BLACK)
}

impl Files {
    pub(super) fn insert(&mut self, entry: String, content: Vec<u8>) {
        self.0.insert(entry, content);
    }

    pub(super) fn found(&self) -> bool {
        self.0.contains_key(EMOJI)
    }

    fn text(&self, entry: &str, archive: &Path) -> Result<&str, DataError> {
        let fail = |problem: String| DataError::Archive {
            problem,
            path: archive.to_path_buf(),
        };
        let bytes = self.0.get(entry).ok_or_else(|| {
            fail(format!(
                "{entry} is missing; expected the npm archive of openmoji"
            ))
        })?;
        let bytes = bytes
            .strip_prefix(b"\xef\xbb\xbf".as_slice())
            .unwrap_or(bytes);
        std::str::from_utf8(bytes)
            .map_err(|source| fail(format!("{entry} is not UTF-8 text ({source})")))
    }

    fn json<T: serde::de::DeserializeOwned>(
        &self,
        entry: &str,
        archive: &Path,
    ) -> Result<T, DataError> {
        serde_json::from_str(self.text(entry, archive)?).map_err(|source| DataError::Archive {
            problem: format!("{entry} is not as expected ({source})"),
            path: archive.to_path_buf(),
        })
    }
}

/// Reads both styles.
///
/// # Errors
/// [`DataError::Archive`] for missing or malformed files.
pub(super) fn read(files: &Files, archive: &Path) -> Result<Vec<Package>, DataError> {
    let manifest: Manifest = files.json(MANIFEST, archive)?;
    let emoji: Vec<Emoji> = files.json(EMOJI, archive)?;
    let licence_text = files.text(LICENCE, archive)?.to_owned();
    let known: BTreeMap<_, _> = emoji
        .iter()
        .filter_map(|emoji| Some((parse_codepoints(&emoji.hexcode)?, emoji)))
        .collect();
    let mut packages = Vec::new();
    for (style, folder, what) in [
        ("openmoji", COLOUR, "OpenMoji"),
        ("openmoji-line", BLACK, "OpenMoji, black line art"),
    ] {
        let mut items = Vec::new();
        for entry in files.0.keys().filter(|entry| entry.starts_with(folder)) {
            let stem = &entry[folder.len()..entry.len() - ".svg".len()];
            // A drawing that is not named by codepoints has no counterpart elsewhere.
            let Some(codepoints) = parse_codepoints(stem) else {
                continue;
            };
            let emoji = known.get(&codepoints);
            let svg = files.text(entry, archive)?.to_owned();
            items.push(PackageItem {
                name: stem.to_owned(),
                label: emoji.map_or(stem, |emoji| &emoji.annotation).to_owned(),
                group: emoji.map_or("", |emoji| &emoji.group).to_owned(),
                subgroup: emoji.map_or("", |emoji| &emoji.subgroups).to_owned(),
                codepoints: Some(codepoints),
                drawing: Drawing::svg(svg, archive.join(entry)),
            });
        }
        packages.push(Package {
            style: StyleMeta {
                name: style.into(),
                folder: Some(FOLDER.into()),
                source: format!("openmoji {}", manifest.version),
                attribution: format!(
                    "{what}: all emojis designed by OpenMoji, the open-source emoji and icon project (https://openmoji.org)"
                ),
                licence: manifest.license.clone(),
                licence_url: "https://creativecommons.org/licenses/by-sa/4.0/".into(),
                licence_text: Some(licence_text.clone()),
            },
            items,
            names: Names::new(),
        });
    }
    Ok(packages)
}
