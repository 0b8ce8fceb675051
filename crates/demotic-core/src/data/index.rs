//! The folder that an import writes and a data set is loaded from: `index.json`, one gzipped tar archive of
//! drawings a style (entries `KEY.svg|png|jpg|webp`), licences.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{DataError, emoji};

/// Name of the index in its folder.
pub(crate) const INDEX_FILE: &str = "index.json";
/// What `format` must say.
pub(crate) const FORMAT: &str = "demotic-data-set";
/// Raised when an old program could not read a new folder.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// Contents of `index.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Index {
    /// Always [`FORMAT`].
    pub(crate) format: String,
    /// [`SCHEMA_VERSION`].
    pub(crate) schema_version: u32,
    pub(crate) styles: Vec<IndexStyle>,
    pub(crate) items: Vec<IndexItem>,
}

/// What every version of the index begins with.
#[derive(Deserialize)]
struct Head {
    format: String,
    schema_version: u32,
}

/// One style: its drawings and whose they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IndexStyle {
    pub(crate) name: String,
    /// Archive of drawings, relative to the folder.
    pub(crate) file: String,
    /// How many it holds.
    pub(crate) drawings: usize,
    /// Package and version, or folder, that it was made from.
    pub(crate) source: String,
    /// SPDX identifier, or what the source says.
    pub(crate) licence: String,
    /// Text of the licence, relative to the folder; empty if none was found.
    pub(crate) licence_file: String,
    pub(crate) attribution: String,
}

/// One idea, drawn in some or all styles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IndexItem {
    /// File stem of its drawings: codepoints in lower-case hexadecimal, or the name of the picture.
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) subgroup: String,
    /// What the split goes by.
    pub(crate) family: String,
}

/// Where an imported data set lies.
#[derive(Debug, Clone)]
pub(crate) enum Store {
    /// Compiled into the program.
    Embedded,
    /// A folder with an [`INDEX_FILE`].
    Folder(PathBuf),
}

impl Store {
    pub(crate) fn label(&self) -> PathBuf {
        match self {
            Self::Embedded => PathBuf::from("emoji (built in)"),
            Self::Folder(folder) => folder.clone(),
        }
    }

    /// Path of a file in it, for messages.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.label().join(relative)
    }

    pub(crate) fn read(&self, relative: &str) -> Result<Cow<'static, [u8]>, DataError> {
        let path = self.path(relative);
        match self {
            Self::Embedded => {
                emoji::file(relative)
                    .map(Cow::Borrowed)
                    .ok_or_else(|| DataError::Index {
                        problem: format!("`{relative}` is not built in"),
                        path,
                    })
            }
            Self::Folder(_) => std::fs::read(&path)
                .map(Cow::Owned)
                .map_err(DataError::io("read part of a data set", &path)),
        }
    }

    /// Reads and checks the index.
    pub(crate) fn index(&self) -> Result<Index, DataError> {
        Index::parse(&self.read(INDEX_FILE)?, &self.path(INDEX_FILE))
    }
}

impl Index {
    /// Reads and checks the bytes of an index; `path` is for messages.
    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self, DataError> {
        let fail = |problem: String| DataError::Index {
            problem,
            path: path.to_path_buf(),
        };
        // The version first: a newer index may differ in everything else.
        let head: Head = serde_json::from_slice(bytes).map_err(|source| {
            fail(format!(
                "not an index written by `demotic data import` ({source}); import again"
            ))
        })?;
        if head.format != FORMAT {
            return Err(fail(format!(
                "`format` is `{}`; expected `{FORMAT}`",
                head.format
            )));
        }
        if head.schema_version != SCHEMA_VERSION {
            return Err(fail(format!(
                "schema version {}; this program reads {SCHEMA_VERSION}: import again with it",
                head.schema_version
            )));
        }
        let index: Self = serde_json::from_slice(bytes)
            .map_err(|source| fail(format!("it is damaged ({source}); import again")))?;
        for style in &index.styles {
            if !is_plain_relative(&style.file) {
                return Err(fail(format!(
                    "style `{}` points at `{}`, outside the folder",
                    style.name, style.file
                )));
            }
        }
        let mut keys: Vec<&str> = index.items.iter().map(|item| item.key.as_str()).collect();
        keys.sort_unstable();
        let mut neighbours = keys.iter().zip(keys.iter().skip(1));
        if let Some((twice, _)) = neighbours.find(|(a, b)| a == b) {
            return Err(fail(format!("item `{twice}` is there twice")));
        }
        Ok(index)
    }
}

/// Whether a path stays inside its folder.
fn is_plain_relative(path: &str) -> bool {
    !path.is_empty()
        && Path::new(path)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)))
        && !path.contains('\\')
}

impl Index {
    /// JSON with one style or item a line, so that a change shows as a line.
    pub(crate) fn to_json(&self) -> Result<String, serde_json::Error> {
        let lines = |values: Vec<String>| values.join(",\n");
        let styles: Result<Vec<_>, _> = self.styles.iter().map(serde_json::to_string).collect();
        let items: Result<Vec<_>, _> = self.items.iter().map(serde_json::to_string).collect();
        Ok(format!(
            "{{\n\"format\":{},\n\"schema_version\":{},\n\"styles\":[\n{}\n],\n\"items\":[\n{}\n]\n}}\n",
            serde_json::to_string(&self.format)?,
            self.schema_version,
            lines(styles?),
            lines(items?),
        ))
    }
}
