//! A data source by name -> its styles, items and drawings, not yet decoded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::archive::read_tar_gz;
use super::index::{INDEX_FILE, Index, Store};
use super::picture::{Bytes, Drawing, Format};
use super::{DataError, StyleInfo};

/// Name of the data set that is compiled in.
const EMBEDDED: &str = "emoji";
/// Most bytes that the drawings of one style may have together: they are kept in memory.
const MAX_STYLE_BYTES: u64 = 4 << 30;

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
}

pub(crate) struct ContentItem {
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) family: String,
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
                if path.join(INDEX_FILE).is_file() {
                    Ok(Self::Imported(Store::Folder(path.to_path_buf())))
                } else {
                    Ok(Self::Folder(path.to_path_buf()))
                }
            }
            Ok(_) if path.file_name().is_some_and(|name| name == INDEX_FILE) => {
                let folder = path.parent().unwrap_or(Path::new("."));
                Ok(Self::Imported(Store::Folder(folder.to_path_buf())))
            }
            Ok(_) if is_archive(path) => {
                fail("this is an archive; turn it into a data set first with `demotic data import`")
            }
            Ok(_) => fail("this is a file"),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
                fail("there is no such data source")
            }
            Err(source) => Err(DataError::io("look at data source", path)(source)),
        }
    }

    /// Reads the drawings of `styles`, in the order given; all, by name, if it is empty.
    pub(crate) fn read(&self, styles: &[String]) -> Result<Contents, DataError> {
        match self {
            Self::Imported(store) => read_store(store, styles),
            Self::Folder(folder) => read_folder(folder, styles),
        }
    }
}

fn is_archive(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_ascii_lowercase();
    [".tgz", ".tar.gz"]
        .iter()
        .any(|ending| name.ends_with(ending))
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
            })
            .collect(),
        styles,
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
    let mut scanned = scan_style_folders(folder)?;
    let known: Vec<&str> = scanned.iter().map(|style| &*style.name).collect();
    let chosen = choose(asked, &known)?;
    let keys: BTreeSet<String> = chosen
        .iter()
        .flat_map(|&style| scanned[style].drawings.keys().cloned())
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
    Ok(Contents {
        label: folder.to_path_buf(),
        family_rule: "family = file name without its ending",
        items: keys
            .into_iter()
            .map(|key| ContentItem {
                name: key.clone(),
                group: String::new(),
                family: key.clone(),
                key,
            })
            .collect(),
        styles,
    })
}

/// A style's sub-folder: pictures by file name without ending.
pub(crate) struct ScannedStyle {
    pub(crate) name: String,
    pub(crate) drawings: BTreeMap<String, Drawing>,
}

/// Finds the pictures of `DIR/<style>/<name>.png|jpg|jpeg|webp|svg`, styles by name. Hidden entries and files of other
/// kinds are passed over, and so is a sub-folder without any picture.
///
/// # Errors
/// No style at all, two files of one name in a style, names that are not UTF-8.
pub(crate) fn scan_style_folders(folder: &Path) -> Result<Vec<ScannedStyle>, DataError> {
    let fail = |problem: String, path: &Path| DataError::Source {
        problem,
        path: path.to_path_buf(),
    };
    let mut styles = Vec::new();
    let mut loose_pictures = 0;
    for path in visible_entries(folder)? {
        if !path.is_dir() {
            loose_pictures += usize::from(picture_format(&path).is_some());
            continue;
        }
        let name = utf8(path.file_name(), &path)?;
        let mut drawings: BTreeMap<String, Drawing> = BTreeMap::new();
        for file in visible_entries(&path)? {
            let Some((format, extension)) = picture_format(&file) else {
                continue;
            };
            if !file.is_file() {
                continue;
            }
            let key = utf8(file.file_stem(), &file)?;
            let drawing = Drawing {
                bytes: Bytes::File(file.clone()),
                format,
                extension,
                origin: file.clone(),
            };
            if let Some(other) = drawings.insert(key.clone(), drawing) {
                return Err(fail(
                    format!(
                        "`{key}` is there twice in one style (the other is {}); keep one",
                        other.origin.display()
                    ),
                    &file,
                ));
            }
        }
        if !drawings.is_empty() {
            styles.push(ScannedStyle { name, drawings });
        }
    }
    if styles.is_empty() {
        return Err(fail(
            if loose_pictures > 0 {
                format!(
                    "{loose_pictures} picture(s) lie in the folder itself; move them into one sub-folder a style"
                )
            } else {
                "no sub-folder holds a picture (png, jpg, webp, svg)".into()
            },
            folder,
        ));
    }
    Ok(styles)
}

fn visible_entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(DataError::io("look into", folder))? {
        let entry = entry.map_err(DataError::io("look into", folder))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
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
