//! What an import is asked for, and what its sources hold, whatever package they came in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::data::drawing::Drawing;
use crate::data::index::IndexItem;
use crate::settings::Damaged;

/// What of the sources is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Selection {
    /// Every drawing.
    Everything,
    /// Base emoji that every style has: no flags, no skin tones, none with less than 8 % ink on white in some
    /// style.
    Emoji,
}

/// What to import.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// npm archives (`.tgz`) of `@iconify-json/*` emoji packages or of `openmoji`, and folders with one
    /// sub-folder of pictures a style.
    pub sources: Vec<PathBuf>,
    /// Folder to write.
    pub out: PathBuf,
    /// What to keep.
    pub selection: Selection,
    /// Whether an earlier data set at `out` may be replaced. Anything else at `out` is never touched: a
    /// folder that holds a file which no import wrote is refused.
    pub replace: bool,
    /// What becomes of damaged pictures in folders.
    pub damaged: Damaged,
}

/// One imported style.
#[derive(Debug, Clone, Serialize)]
pub struct ImportedStyle {
    /// Its name.
    pub name: String,
    /// Drawings kept.
    pub drawings: usize,
    /// Size of their archive.
    pub(crate) size_bytes: u64,
    /// Licence of the art.
    pub licence: String,
}

/// Codepoints of an emoji, without variation selectors.
pub(super) type Codepoints = Vec<u32>;

/// One style as its source has it.
pub(crate) struct Package {
    pub(super) style: StyleMeta,
    pub(super) items: Vec<PackageItem>,
    /// Icon name -> codepoints, for packages that have names only.
    pub(super) names: Names,
}

pub(super) struct PackageItem {
    /// `None`: to be resolved by name.
    pub(super) codepoints: Option<Codepoints>,
    pub(super) name: String,
    pub(super) label: String,
    pub(super) group: String,
    pub(super) subgroup: String,
    pub(super) drawing: Drawing,
}

/// Everything of one idea.
pub(super) struct Idea {
    pub(super) item: IndexItem,
    pub(super) is_flag: bool,
    pub(super) has_skin_tone: bool,
    /// One a style, in the order of styles.
    pub(super) drawings: Vec<Option<Drawing>>,
}

/// The codepoints that a package knows for its icon names.
pub(super) type Names = BTreeMap<String, Codepoints>;

/// A style without its drawings.
#[derive(Clone)]
pub(super) struct StyleMeta {
    pub(super) name: String,
    /// Sub-folder for its files: art that must not mix with the rest.
    pub(super) folder: Option<String>,
    pub(super) source: String,
    pub(super) attribution: String,
    pub(super) licence: String,
    pub(super) licence_url: String,
    pub(super) licence_text: Option<String>,
}

impl StyleMeta {
    /// With the text of its licence, where that is known.
    pub(super) fn licensed(mut self) -> Self {
        self.licence_text = self
            .licence_text
            .or_else(|| standard_licence(&self.licence, &self.attribution));
        self
    }

    pub(super) fn file(&self) -> String {
        match &self.folder {
            Some(folder) => format!("{folder}/{}.tar.gz", self.name),
            None => format!("{}.tar.gz", self.name),
        }
    }

    /// Empty if the text is not known.
    pub(super) fn licence_file(&self) -> String {
        match (&self.licence_text, &self.folder) {
            (None, _) => String::new(),
            (Some(_), Some(folder)) => format!("{folder}/LICENSE.txt"),
            (Some(_), None) => format!("licences/{}.txt", self.name),
        }
    }
}

/// The texts of licences whose archives do not hold them.
pub(super) fn standard_licence(spdx: &str, attribution: &str) -> Option<String> {
    Some(match spdx {
        "Apache-2.0" => include_str!("licences/Apache-2.0.txt").to_owned(),
        "CC-BY-4.0" => include_str!("licences/CC-BY-4.0.txt").to_owned(),
        "MIT" => {
            // `NAME by AUTHOR (URL)`: the licence is granted by the author.
            let author = attribution.split_once(" by ").map_or(attribution, |x| x.1);
            let author = author.split(" (").next().unwrap_or(author);
            include_str!("licences/MIT.txt").replace("<copyright holders>", author)
        }
        _ => return None,
    })
}

/// `1f469-200d-1f52c` (any case) as numbers, without the variation selector FE0F.
pub(super) fn parse_codepoints(text: &str) -> Option<Codepoints> {
    let codepoints: Option<Vec<u32>> = text
        .split('-')
        .map(|part| {
            u32::from_str_radix(part, 16)
                .ok()
                .filter(|&codepoint| codepoint <= 0x0010_ffff && !part.starts_with('+'))
        })
        .collect();
    let mut codepoints = codepoints?;
    codepoints.retain(|&codepoint| codepoint != 0xfe0f);
    (!codepoints.is_empty()).then_some(codepoints)
}
