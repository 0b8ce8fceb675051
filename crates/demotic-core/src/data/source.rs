//! A data source by name -> its styles, items and drawings, not yet decoded.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::archive::read_tar_gz;
use super::drawing::{Bytes, Drawing, Format, PICTURE_ENDINGS};
use super::index::{INDEX_FILE, Index, Store};
use super::layout::{self, Part};
use super::passed_over::{Leftovers, PassedOver};
use super::picture::{OWN_MARK, PNG_HEADER_BYTES};
use super::{DataError, Picture, Split, split_of_family};

/// Phrases of a folder of pictures of one's own, beside the folders of styles.
pub(crate) const PHRASES_FILE: &str = "phrases.tsv";
/// Name of the data set that is compiled in.
pub(super) const EMBEDDED: &str = "emoji";
/// Endings of archives, of which packages of emoji are imported.
const ARCHIVES: [&str; 2] = [".tgz", ".tar.gz"];
/// Endings of other archives.
const UNREAD_ARCHIVES: [&str; 10] = [
    ".zip", ".tar", ".7z", ".rar", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst",
];
/// Most bytes that the drawings of one style may have together: they are kept in memory.
const MAX_STYLE_BYTES: u64 = 4 << 30;

/// A style and whose art it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StyleInfo {
    /// Its name, as on the command line.
    pub name: String,
    /// SPDX identifier, or what the source says.
    pub licence: String,
    /// Whom to name.
    pub(crate) attribution: String,
    /// Pictures in all splits.
    pub pictures: usize,
}

/// A data source, found but not read.
pub(crate) enum DataSource {
    /// An imported data set, the embedded one among them.
    Imported(Store),
    /// A folder with one sub-folder of pictures a style.
    Folder(PathBuf),
}

/// A source's contents; only the drawings of the styles asked for.
pub(crate) struct Contents {
    /// For messages.
    pub(crate) label: PathBuf,
    /// How the splits' families are made, for people.
    pub(crate) family_rule: &'static str,
    pub(crate) items: Vec<ContentItem>,
    pub(crate) styles: Vec<StyleContents>,
    pub(crate) passed_over: Vec<PassedOver>,
}

#[derive(Clone)]
pub(crate) struct ContentItem {
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) family: String,
    /// Where the source says it; else by the family.
    pub(crate) split: Option<Split>,
}

pub(crate) struct StyleContents {
    pub(crate) info: StyleInfo,
    /// One an item.
    pub(crate) drawings: Vec<Option<Drawing>>,
}

impl DataSource {
    /// `emoji`, a folder of style folders, a data-set folder or its index.
    pub(crate) fn find(source: &str) -> Result<Self, DataError> {
        if source == EMBEDDED {
            return Ok(Self::Imported(Store::Embedded));
        }
        let path = Path::new(source);
        let fail = |problem: &str| {
            Err(DataError::Source {
                problem: problem.into(),
                path: path.to_path_buf(),
            })
        };
        if source.is_empty() {
            return fail("the data source is empty");
        }
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                if has_index(path) {
                    Ok(Self::Imported(Store::Folder(path.to_path_buf())))
                } else if path.join("config.toml").is_file() && path.join("checkpoints").is_dir() {
                    fail("this is the folder of a run: its pictures are what demotic generated")
                } else {
                    Ok(Self::Folder(path.to_path_buf()))
                }
            }
            Ok(_) if path.file_name().is_some_and(|name| name == INDEX_FILE) => {
                let folder = path.parent().unwrap_or(Path::new("."));
                Ok(Self::Imported(Store::Folder(folder.to_path_buf())))
            }
            Ok(_) if is_archive(path) => fail(
                "this is an archive: unpack a folder of pictures first (tar xf, unzip); a package of emoji becomes a data set \
                     by `demotic data import`",
            ),
            Ok(_) => fail("this is a file"),
            Err(_) if source.contains("://") => {
                fail("this is an address: fetch it first, pictures are read from this machine")
            }
            Err(_) if source.starts_with('~') => {
                fail("`~` stands for a home only where a shell writes it out: write the whole path")
            }
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
                fail("there is no such data source")
            }
            Err(source) => Err(DataError::io("look at data source", path)(source)),
        }
    }

    /// The folder that it lies in; none for what is compiled in.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Imported(Store::Embedded) => None,
            Self::Imported(Store::Folder(folder)) | Self::Folder(folder) => Some(folder),
        }
    }

    /// Keys and names of all items, in order; drawings are not read.
    pub(crate) fn items(&self) -> Result<Vec<(String, String)>, DataError> {
        Ok(match self {
            Self::Imported(store) => {
                let items = store.index()?.items.into_iter();
                items.map(|item| (item.key, item.name)).collect()
            }
            Self::Folder(folder) => {
                let styles = scan_style_folders(folder, &[])?.styles;
                let keys = styles
                    .into_iter()
                    .flat_map(|style| style.drawings.into_keys());
                let keys: BTreeSet<String> = keys.collect();
                keys.into_iter().map(|key| (key.clone(), key)).collect()
            }
        })
    }

    /// Texts beside pictures of style folders, `DIR/<style>/<key>.txt`, by key.
    pub(crate) fn texts(&self) -> Result<BTreeMap<String, Vec<PathBuf>>, DataError> {
        let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        let Self::Folder(folder) = self else {
            return Ok(found);
        };
        for style in visible_entries(folder)?
            .0
            .into_iter()
            .filter(|path| path.is_dir())
        {
            for file in visible_entries(&style)?.0 {
                if file
                    .extension()
                    .is_some_and(|ending| ending.eq_ignore_ascii_case("txt"))
                {
                    let key = utf8(file.file_stem(), &file)?;
                    found.entry(key).or_default().push(file);
                }
            }
        }
        Ok(found)
    }

    /// Reads the drawings of `styles`, in the order given; all, by name, if it is empty.
    pub(crate) fn read(&self, styles: &[String]) -> Result<Contents, DataError> {
        match self {
            Self::Imported(store) => read_store(store, styles),
            Self::Folder(folder) => read_folder(folder, styles),
        }
    }
}

/// Pictures of a data source before they come to one size.
pub struct Originals {
    contents: Contents,
}

impl Originals {
    /// Finds the pictures of some styles of a source: see [`super::Dataset::load`].
    ///
    /// # Errors
    /// [`DataError`] for an unknown source or style, or a folder or archive that cannot be read.
    pub fn open(source: &str, styles: &[String]) -> Result<Self, DataError> {
        let contents = DataSource::find(source)?.read(styles)?;
        Ok(Self { contents })
    }

    /// A style's picture of the item with `key`, at its own size, a vector drawing with a longer side of
    /// `least_px` at least; where `longer_px` is given, with that longer side. `None` where there is none.
    ///
    /// # Errors
    /// [`DataError`] where it cannot be read or drawn.
    pub fn picture(
        &self,
        style: &str,
        key: &str,
        longer_px: Option<u32>,
        least_px: u32,
    ) -> Result<Option<Picture>, DataError> {
        let mut styles = self.contents.styles.iter();
        let Some(of_style) = styles.find(|of_style| of_style.info.name == style) else {
            return Ok(None);
        };
        let items = self.contents.items.iter().zip(&of_style.drawings);
        let mut drawings = items
            .filter(|(item, _)| item.key == key)
            .filter_map(|(_, drawing)| drawing.as_ref());
        let drawing = drawings.next();
        drawing
            .map(|drawing| drawing.sized(longer_px, least_px))
            .transpose()
    }
}

/// Whether a folder is an imported data set. An `index.json` that another tool left among folders of pictures
/// makes it none.
fn has_index(folder: &Path) -> bool {
    let path = folder.join(INDEX_FILE);
    if !path.is_file() {
        return false;
    }
    let is_own = std::fs::read(&path)
        .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(super::index::FORMAT));
    let has_style = || {
        let entries = visible_entries(folder).map(|(entries, _)| entries);
        entries.is_ok_and(|entries| {
            let mut folders = entries.iter().filter(|path| path.is_dir());
            folders.any(|path| holds_pictures(path))
        })
    };
    is_own || !has_style()
}

/// Whether a file is an archive by its name: pictures are read from folders.
#[doc(hidden)]
pub fn is_archive(path: &Path) -> bool {
    ends_in(path, &ARCHIVES) || is_unread_archive(path)
}

/// Whether it is one of which nothing is read, packages of emoji neither.
pub(crate) fn is_unread_archive(path: &Path) -> bool {
    ends_in(path, &UNREAD_ARCHIVES)
}

fn ends_in(path: &Path, endings: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_ascii_lowercase();
    endings.iter().any(|ending| name.ends_with(ending))
}

/// Positions of the styles asked for among those known.
fn choose(asked: &[String], known: &[&str]) -> Result<Vec<usize>, DataError> {
    if asked.is_empty() {
        return Ok((0..known.len()).collect());
    }
    let mut seen = BTreeSet::new();
    asked
        .iter()
        .map(|name| {
            if !seen.insert(name) {
                return Err(DataError::Option(format!(
                    "style `{name}` is asked for twice; name each once"
                )));
            }
            known
                .iter()
                .position(|known| known == name)
                .ok_or_else(|| DataError::UnknownStyle {
                    whose: "this data set has",
                    asked: name.clone(),
                    known: known.iter().map(|&name| name.to_owned()).collect(),
                })
        })
        .collect()
}

fn read_store(store: &Store, asked: &[String]) -> Result<Contents, DataError> {
    let index = store.index()?;
    let known: Vec<&str> = index.styles.iter().map(|style| &*style.name).collect();
    let chosen = choose(asked, &known)?;
    let positions: BTreeMap<&str, usize> = index
        .items
        .iter()
        .enumerate()
        .map(|(i, item)| (&*item.key, i))
        .collect();
    let styles: Result<Vec<_>, _> = chosen
        .into_iter()
        .map(|style| read_style(store, &index, style, &positions))
        .collect();
    let styles = styles?;
    Ok(Contents {
        label: store.label(),
        family_rule: "family as stated by the data set's index",
        items: index
            .items
            .iter()
            .map(|item| ContentItem {
                key: item.key.clone(),
                name: item.name.clone(),
                group: item.group.clone(),
                family: item.family.clone(),
                split: None,
            })
            .collect(),
        styles,
        passed_over: Vec::new(),
    })
}

fn read_style(
    store: &Store,
    index: &Index,
    style: usize,
    positions: &BTreeMap<&str, usize>,
) -> Result<StyleContents, DataError> {
    let style = &index.styles[style];
    let path = store.path(&style.file);
    let fail = |problem: String| DataError::Index {
        problem,
        path: path.clone(),
    };
    let bytes = store.read(&style.file)?;
    let mut drawings: Vec<Option<Drawing>> = vec![None; index.items.len()];
    let mut count = 0;
    read_tar_gz(
        &*bytes,
        &path,
        MAX_STYLE_BYTES,
        |_| true,
        |entry, content| {
            let parsed = entry.rsplit_once('.').and_then(|(key, extension)| {
                Some((
                    *positions.get(key)?,
                    Format::of_extension(extension)?,
                    extension,
                ))
            });
            let Some((position, format, extension)) = parsed else {
                return Err(fail(format!(
                    "it holds `{entry}`, which the index does not name; import again"
                )));
            };
            if drawings[position].is_some() {
                return Err(fail(format!("it holds `{entry}` twice; import again")));
            }
            drawings[position] = Some(Drawing {
                bytes: Bytes::Memory(content),
                format,
                extension: extension.to_owned(),
                origin: path.join(&entry),
            });
            count += 1;
            Ok(())
        },
    )?;
    if count != style.drawings {
        return Err(fail(format!(
            "it holds {count} drawings, the index says {}; import again",
            style.drawings
        )));
    }
    Ok(StyleContents {
        info: StyleInfo {
            name: style.name.clone(),
            licence: style.licence.clone(),
            attribution: style.attribution.clone(),
            pictures: count,
        },
        drawings,
    })
}

fn read_folder(folder: &Path, asked: &[String]) -> Result<Contents, DataError> {
    let Scan {
        styles: mut scanned,
        passed_over,
        splits,
    } = scan_style_folders(folder, asked)?;
    let known: Vec<&str> = scanned.iter().map(|style| &*style.name).collect();
    let chosen = choose(asked, &known)?;
    let keys: BTreeSet<String> = chosen
        .iter()
        .flat_map(|&style| scanned[style].drawings.keys().cloned())
        .collect();
    let further: BTreeMap<String, String> = chosen
        .iter()
        .flat_map(|&style| scanned[style].further.clone())
        .collect();
    let styles = chosen
        .into_iter()
        .map(|style| {
            let style = &mut scanned[style];
            StyleContents {
                info: StyleInfo {
                    name: style.name.clone(),
                    licence: "not stated".into(),
                    attribution: "not stated".into(),
                    pictures: style.drawings.len(),
                },
                drawings: keys.iter().map(|key| style.drawings.remove(key)).collect(),
            }
        })
        .collect();
    let item = |key: String| {
        let family = further.get(&key).unwrap_or(&key).clone();
        let split = splits.as_ref().map(|given| given.of(&key, &family));
        ContentItem {
            name: key.clone(),
            group: String::new(),
            split,
            family,
            key,
        }
    };
    Ok(Contents {
        label: folder.to_path_buf(),
        family_rule: if splits.is_some() {
            layout::RULE
        } else {
            "family = file name without its ending"
        },
        items: keys.into_iter().map(item).collect(),
        styles,
        passed_over,
    })
}

/// A style's pictures by file name without ending.
#[derive(Default)]
pub(crate) struct ScannedStyle {
    pub(crate) name: String,
    pub(crate) drawings: BTreeMap<String, Drawing>,
    /// Pictures that differ from another by their ending alone, by their whole name -> the name without it:
    /// they share a family.
    pub(crate) further: BTreeMap<String, String>,
}

/// What a folder of style folders holds.
pub(crate) struct Scan {
    pub(crate) styles: Vec<ScannedStyle>,
    pub(crate) passed_over: Vec<PassedOver>,
    /// The splits that a folder laid out by split gives.
    splits: Option<GivenSplits>,
}

/// Splits as folders say them.
struct GivenSplits {
    by_key: BTreeMap<String, Split>,
    has_validation: bool,
    has_test: bool,
}

impl GivenSplits {
    /// What the folders leave out comes from training by the hash of the name.
    fn of(&self, key: &str, family: &str) -> Split {
        match (self.by_key.get(key), split_of_family(family)) {
            (Some(Split::Train) | None, Split::Validation) if self.has_validation => Split::Train,
            (Some(Split::Train) | None, Split::Test) if self.has_test => Split::Train,
            (Some(Split::Train) | None, by_hash) => by_hash,
            (Some(&given), _) => given,
        }
    }
}

/// Finds the pictures of `DIR/<style>/<name>` with one of [`PICTURE_ENDINGS`], styles by name; also of
/// `DIR/train<style>/<name>` and `DIR/train/<style>/<name>`, with `test` and `val` beside. What else lies
/// there is counted, not read; so are the pictures of a folder that this program wrote, unless it is `asked`
/// for. `DIR/<style>/train/<name>` is read as well.
///
/// # Errors
/// No style at all, names that are not UTF-8.
pub(crate) fn scan_style_folders(folder: &Path, asked: &[String]) -> Result<Scan, DataError> {
    let fail = |problem: String, path: &Path| DataError::Source {
        problem,
        path: path.to_path_buf(),
    };
    let mut styles = Vec::new();
    // By folder, and whether it is a style.
    let mut left: Vec<(String, bool, Leftovers)> = Vec::new();
    let (entries, mut beside) = visible_entries(folder)?;
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) =
        entries.into_iter().partition(|path| path.is_dir());
    for path in &files {
        if path.is_file() && picture_format(path).is_some() {
            beside.add_picture();
        } else if path.file_name().is_none_or(|name| name != PHRASES_FILE) {
            beside.add(path);
        }
    }
    let parts = layout::parts(&folders, &holds_pictures);
    let mut passed_over = Vec::new();
    for path in &folders {
        if parts
            .iter()
            .flatten()
            .any(|part| part.path.starts_with(path))
        {
            continue;
        }
        let (style, leftovers) = scan_style(path)?;
        if !asked.contains(&style.name) && is_own_work(&style) {
            passed_over.push(PassedOver {
                what: vec![format!(
                    "{} pictures that demotic generated",
                    style.drawings.len()
                )],
                style: style.name,
                is_style: false,
            });
            continue;
        }
        let is_style = !style.drawings.is_empty();
        left.push((style.name.clone(), is_style, leftovers));
        if is_style {
            styles.push(style);
        }
    }
    let splits = match parts {
        Some(parts) => Some(merge_parts(parts, &mut styles, &mut left)?),
        None => None,
    };
    let is_picture = |name: &str| styles.iter().any(|style| style.drawings.contains_key(name));
    for (style, is_style, leftovers) in left {
        let what = leftovers.words(is_picture);
        if !is_style || !what.is_empty() {
            passed_over.push(PassedOver {
                style,
                is_style,
                what,
            });
        }
    }
    passed_over.sort_by(|a, b| a.style.cmp(&b.style));
    if styles.is_empty() {
        return Err(fail(
            if beside.pictures() > 0 {
                format!(
                    "{} picture(s) lie in the folder itself; move them into one sub-folder a style",
                    beside.pictures()
                )
            } else if let Some(deeper) = layout::deeper(&folders, &holds_pictures) {
                format!(
                    "the folders of pictures lie deeper; name the folder that they lie in: {}",
                    deeper.display()
                )
            } else {
                let mut problem = format!("no sub-folder holds a picture ({PICTURE_ENDINGS})");
                for folder in &passed_over {
                    // A write into a String cannot fail.
                    let _ = write!(problem, "; {folder}");
                }
                problem
            },
            folder,
        ));
    }
    let what = beside.words(|_| false);
    if !what.is_empty() {
        passed_over.push(PassedOver {
            style: String::new(),
            is_style: false,
            what,
        });
    }
    Ok(Scan {
        styles,
        passed_over,
        splits,
    })
}

/// The pictures of one folder, and what else lies there.
fn scan_style(folder: &Path) -> Result<(ScannedStyle, Leftovers), DataError> {
    let mut style = ScannedStyle {
        name: utf8(folder.file_name(), folder)?,
        ..ScannedStyle::default()
    };
    let (files, mut leftovers) = visible_entries(folder)?;
    let mut found = Vec::new();
    for file in files {
        match picture_format(&file).filter(|_| file.is_file()) {
            Some((format, extension)) => found.push(Drawing {
                bytes: Bytes::File(file.clone()),
                format,
                extension,
                origin: file,
            }),
            None => leftovers.add(&file),
        }
    }
    // Among pictures that differ by their ending alone the first ending in the list gets the plain name.
    let rank = |drawing: &Drawing| {
        PICTURE_ENDINGS
            .split(", ")
            .position(|known| known == drawing.extension)
    };
    found.sort_by_key(rank);
    for drawing in found {
        let file = drawing.origin.clone();
        let key = utf8(file.file_stem(), &file)?;
        if style.drawings.contains_key(&key) {
            let whole = utf8(file.file_name(), &file)?;
            style.further.insert(whole.clone(), key);
            style.drawings.insert(whole, drawing);
        } else {
            style.drawings.insert(key, drawing);
        }
    }
    Ok((style, leftovers))
}

/// Lays the folders of a layout by split together, a style a name; names become `train-<name>`.
fn merge_parts(
    parts: Vec<Part>,
    styles: &mut Vec<ScannedStyle>,
    left: &mut Vec<(String, bool, Leftovers)>,
) -> Result<GivenSplits, DataError> {
    let mut merged: BTreeMap<String, ScannedStyle> = BTreeMap::new();
    let mut by_key = BTreeMap::new();
    for Part { split, style, path } in parts {
        let (scanned, leftovers) = scan_style(&path)?;
        left.push((utf8(path.file_name(), &path)?, true, leftovers));
        let all = merged.entry(style.clone()).or_default();
        all.name = style;
        for (name, drawing) in scanned.drawings {
            let key = format!("{split}-{name}");
            if let Some(stem) = scanned.further.get(&name) {
                all.further.insert(key.clone(), format!("{split}-{stem}"));
            }
            by_key.insert(key.clone(), split);
            all.drawings.insert(key, drawing);
        }
    }
    styles.extend(merged.into_values());
    styles.sort_by(|a, b| a.name.cmp(&b.name));
    let has = |split| by_key.values().any(|&given| given == split);
    Ok(GivenSplits {
        has_validation: has(Split::Validation),
        has_test: has(Split::Test),
        by_key,
    })
}

/// Whether a picture lies in a folder itself. A folder that cannot be looked into is reported when it is
/// read.
fn holds_pictures(folder: &Path) -> bool {
    visible_entries(folder).is_ok_and(|(files, _)| {
        files
            .iter()
            .any(|file| picture_format(file).is_some() && file.is_file())
    })
}

/// Whether this program generated all pictures: its PNG files say so behind their header.
fn is_own_work(style: &ScannedStyle) -> bool {
    let is_own = |drawing: &Drawing| {
        let Bytes::File(path) = &drawing.bytes else {
            return false;
        };
        let mut start = [0; PNG_HEADER_BYTES + OWN_MARK.len()];
        let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
        read.is_ok() && start[PNG_HEADER_BYTES..] == *OWN_MARK
    };
    !style.drawings.is_empty() && style.drawings.values().all(is_own)
}

/// The entries of a folder that are not hidden, by name, and a count of those that are.
fn visible_entries(folder: &Path) -> Result<(Vec<PathBuf>, Leftovers), DataError> {
    let (mut paths, mut hidden) = (Vec::new(), Leftovers::default());
    for entry in std::fs::read_dir(folder).map_err(DataError::io("look into", folder))? {
        let entry = entry.map_err(DataError::io("look into", folder))?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            hidden.add(&entry.path());
        } else {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok((paths, hidden))
}

fn picture_format(path: &Path) -> Option<(Format, String)> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    Some((Format::of_extension(&extension)?, extension))
}

fn utf8(name: Option<&std::ffi::OsStr>, path: &Path) -> Result<String, DataError> {
    name.and_then(std::ffi::OsStr::to_str)
        .map(str::to_owned)
        .ok_or_else(|| DataError::Source {
            problem: "a name is not UTF-8; rename it".into(),
            path: path.to_path_buf(),
        })
}
