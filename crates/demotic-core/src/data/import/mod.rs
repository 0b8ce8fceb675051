//! Published archives and plain folders -> a data-set folder: drawings as they are, an index, licences.
//!
//! Drawings stay vector graphics; only the choice of emoji looks at pixels (the low-ink rule).

mod iconify;
mod openmoji;
mod package;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::DataError;
use super::archive::read_tar_gz;
use super::drawing::Drawing;
use super::index::{FORMAT, Index, IndexItem, IndexStyle, SCHEMA_VERSION};
use super::passed_over::PassedOver;
use super::source::{is_unread_archive, scan_style_folders};
use super::split::emoji_family;
use crate::number::Real;
use crate::settings::{Damaged, Fit};
use package::{Codepoints, Idea, Names, Package, StyleMeta, parse_codepoints};
pub use package::{ImportOptions, ImportedStyle, Selection};

/// Least ink of a kept emoji in every style: see [`ink`].
const MIN_INK: f32 = 0.08;
/// Ink differs from white by more, of 255.
const INK_DISTANCE: u8 = 12;
/// Size at which ink is measured.
const INK_SIZE_PX: u32 = 64;

/// Most bytes of a package that are kept; the largest known has 50 MB of drawings, names and codepoints.
const MAX_PACKAGE_BYTES: u64 = 512 << 20;

/// What an import wrote.
#[derive(Debug, Clone, Serialize)]
pub struct ImportReport {
    /// The folder.
    pub out: PathBuf,
    /// The styles, by name.
    pub styles: Vec<ImportedStyle>,
    /// Ideas drawn in at least one style.
    pub items: usize,
    /// Flags left out.
    pub flags: usize,
    /// Skin tones left out.
    pub skin_tones: usize,
    /// Ideas left out because some style does not have them.
    pub not_in_every_style: usize,
    /// Ideas left out because a style draws them with too little ink, as `KEY NAME (STYLE INK)`.
    pub low_ink: Vec<String>,
    /// Icons without a codepoint in their own or another package.
    pub without_codepoint: usize,
    /// What of folders was not read, by style.
    pub passed_over: Vec<PassedOver>,
    /// Damaged pictures that are left out, with what is wrong with them.
    pub damaged: Vec<String>,
}

impl std::fmt::Display for ImportReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = self.styles.iter().map(|s| s.name.len()).max().unwrap_or(0);
        for style in &self.styles {
            writeln!(
                f,
                "style  {:width$}  {:>6} drawings  {:>8.1} KiB  {}",
                style.name,
                style.drawings,
                style.size_bytes.to_f64() / 1024.0,
                style.licence
            )?;
        }
        writeln!(f, "items  {}", self.items)?;
        writeln!(
            f,
            "left out  {} not in every style, {} flags, {} skin tones, {} low ink, {} without codepoint",
            self.not_in_every_style,
            self.flags,
            self.skin_tones,
            self.low_ink.len(),
            self.without_codepoint
        )?;
        for passed_over in &self.passed_over {
            writeln!(f, "left  {passed_over}")?;
        }
        for damaged in &self.damaged {
            writeln!(f, "left  {damaged}")?;
        }
        write!(f, "written to  {}", self.out.display())
    }
}

/// Reads the sources and writes a data-set folder; the bytes depend on the sources and the selection alone.
///
/// # Errors
/// [`DataError`] for a source that cannot be read or is not known, two sources of one style, a destination
/// that holds something else, or a selection that leaves nothing. Nothing is left at `out` then.
pub fn import(options: &ImportOptions) -> Result<ImportReport, DataError> {
    write::check_destination(&options.out, options.replace)?;
    let mut packages = Vec::new();
    let mut folders = Vec::new();
    for source in &options.sources {
        if source.is_dir() {
            folders.push(source.as_path());
        } else {
            packages.extend(read_archive(source)?);
        }
    }
    packages.sort_by(|a, b| a.style.name.cmp(&b.style.name));
    let without_codepoint = resolve_names(&mut packages);

    let mut styles: Vec<StyleMeta> = packages
        .iter()
        .map(|p| p.style.clone().licensed())
        .collect();
    let mut ideas = collect_ideas(packages);
    let mut passed_over = Vec::new();
    for folder in folders {
        add_folder(folder, &mut styles, &mut ideas, &mut passed_over)?;
    }
    check_styles(&styles, options)?;

    let mut report = ImportReport {
        out: options.out.clone(),
        styles: Vec::new(),
        items: 0,
        flags: 0,
        skin_tones: 0,
        not_in_every_style: 0,
        low_ink: Vec::new(),
        without_codepoint,
        passed_over,
        damaged: Vec::new(),
    };
    let mut ideas = sort_by_codepoints(ideas, styles.len());
    if options.selection == Selection::Emoji {
        select_emoji(&mut ideas, &styles, &mut report)?;
    } else {
        // A damaged picture is found now and named, not in the middle of a training run.
        let faults = drop_damaged(&mut ideas);
        if options.damaged == Damaged::Refuse && !faults.is_empty() {
            return Err(DataError::of_pictures(faults));
        }
        report.damaged = faults.iter().map(ToString::to_string).collect();
    }
    if ideas.is_empty() {
        return Err(DataError::Import {
            problem:
                "no drawing is left; with the emoji selection every style must draw the same emoji"
                    .into(),
            path: options.out.clone(),
        });
    }
    report.items = ideas.len();

    let index = Index {
        format: FORMAT.into(),
        schema_version: SCHEMA_VERSION,
        styles: styles
            .iter()
            .enumerate()
            .map(|(i, style)| IndexStyle {
                name: style.name.clone(),
                file: style.file(),
                drawings: ideas.iter().filter(|x| x.drawings[i].is_some()).count(),
                source: style.source.clone(),
                licence: style.licence.clone(),
                licence_file: style.licence_file(),
                attribution: style.attribution.clone(),
            })
            .collect(),
        items: ideas.iter().map(|idea| idea.item.clone()).collect(),
    };
    report.styles = write::write(options, &index, &styles, &ideas)?;
    Ok(report)
}

/// Takes out drawings that cannot be read, and ideas without any other; returns what is wrong with them.
fn drop_damaged(ideas: &mut Vec<Idea>) -> Vec<DataError> {
    let faults: Vec<Vec<DataError>> = ideas
        .par_iter_mut()
        .map(|idea| {
            let mut faults = Vec::new();
            for drawing in &mut idea.drawings {
                let read = drawing
                    .as_ref()
                    .map(|drawing| drawing.rasterise(16, Fit::Pad));
                if let Some(Err(fault)) = read {
                    faults.push(fault);
                    *drawing = None;
                }
            }
            faults
        })
        .collect();
    ideas.retain(|idea| idea.drawings.iter().any(Option::is_some));
    faults.into_iter().flatten().collect()
}

fn read_archive(path: &Path) -> Result<Vec<Package>, DataError> {
    let file = File::open(path).map_err(DataError::io("open archive", path))?;
    if is_unread_archive(path) {
        return Err(DataError::Archive {
            problem: "of archives, .tgz is read; unpack this one first (unzip, tar xf) and name its folder"
                .into(),
            path: path.to_path_buf(),
        });
    }
    read_packages(BufReader::new(file), path)
}

/// The packages of an npm archive; `path` is for messages.
pub(crate) fn read_packages(reader: impl Read, path: &Path) -> Result<Vec<Package>, DataError> {
    let mut iconify = iconify::Files::default();
    let mut openmoji = openmoji::Files::default();
    read_tar_gz(
        reader,
        path,
        MAX_PACKAGE_BYTES,
        |entry| {
            iconify::slot(&mut iconify::Files::default(), entry).is_some()
                || openmoji::wanted(entry)
        },
        |entry, content| {
            if openmoji::wanted(&entry) {
                openmoji.insert(entry.clone(), content.clone());
            }
            if let Some(slot) = iconify::slot(&mut iconify, &entry) {
                *slot = Some(content);
            }
            Ok(())
        },
    )?;
    if openmoji.found() {
        openmoji::read(&openmoji, path)
    } else {
        Ok(vec![iconify::read(&iconify, path)?])
    }
}

/// Gives items without codepoints those that another package, the one with the most similar name first, has
/// for the same icon name. Returns how many stay unknown; those are dropped.
fn resolve_names(packages: &mut [Package]) -> usize {
    let names: Vec<(String, Names)> = packages
        .iter()
        .map(|package| (package.style.name.clone(), package.names.clone()))
        .collect();
    let mut unknown = 0;
    for package in packages {
        let common_prefix = |other: &str| {
            let pairs = package.style.name.bytes().zip(other.bytes());
            pairs.take_while(|(a, b)| a == b).count()
        };
        let mut others: Vec<&(String, Names)> = names.iter().collect();
        others.sort_by_key(|(style, _)| std::cmp::Reverse(common_prefix(style)));
        for item in &mut package.items {
            if item.codepoints.is_none() {
                item.codepoints = others.iter().find_map(|(_, n)| n.get(&item.name).cloned());
            }
        }
        let before = package.items.len();
        package.items.retain(|item| item.codepoints.is_some());
        unknown += before - package.items.len();
    }
    unknown
}

fn is_flag(codepoints: &[u32], group: &str) -> bool {
    group.eq_ignore_ascii_case("flags")
        || codepoints
            .iter()
            .any(|c| matches!(c, 0x1f1e6..=0x1f1ff | 0xe0020..=0xe007f))
}

/// Ideas by codepoints, packages in the order of styles. Names and groups are those of `openmoji` where it
/// has them: they follow Unicode's own.
fn collect_ideas(packages: Vec<Package>) -> BTreeMap<Codepoints, Idea> {
    let style_count = packages.len();
    let mut ideas: BTreeMap<Codepoints, Idea> = BTreeMap::new();
    for (style, package) in packages.into_iter().enumerate() {
        let names_win = package.style.name.starts_with("openmoji");
        for item in package.items {
            let Some(codepoints) = item.codepoints else {
                continue;
            };
            let key: Vec<String> = codepoints.iter().map(|c| format!("{c:04x}")).collect();
            let idea = ideas
                .entry(codepoints)
                .or_insert_with_key(|codepoints| Idea {
                    item: IndexItem {
                        key: key.join("-"),
                        name: item.label.clone(),
                        group: item.group.clone(),
                        subgroup: item.subgroup.clone(),
                        family: emoji_family(codepoints),
                    },
                    is_flag: false,
                    has_skin_tone: codepoints.iter().any(|c| (0x1f3fb..=0x1f3ff).contains(c)),
                    drawings: vec![None; style_count],
                });
            if names_win && !item.group.is_empty() {
                idea.item.name = item.label;
                idea.item.group.clone_from(&item.group);
                idea.item.subgroup = item.subgroup;
            }
            // An icon under several names is drawn once.
            idea.drawings[style].get_or_insert(item.drawing);
        }
    }
    for (codepoints, idea) in &mut ideas {
        idea.is_flag = is_flag(codepoints, &idea.item.group);
    }
    ideas
}

/// Adds the styles of a plain folder; a picture named like an emoji's codepoints joins that emoji.
fn add_folder(
    folder: &Path,
    styles: &mut Vec<StyleMeta>,
    ideas: &mut BTreeMap<Codepoints, Idea>,
    passed_over: &mut Vec<PassedOver>,
) -> Result<(), DataError> {
    let scan = scan_style_folders(folder, &[])?;
    passed_over.extend(scan.passed_over);
    for scanned in scan.styles {
        let style = styles.len();
        styles.push(StyleMeta {
            name: scanned.name.clone(),
            folder: None,
            source: format!("folder {}", scanned.name),
            attribution: "not stated".into(),
            licence: "not stated".into(),
            licence_url: String::new(),
            licence_text: None,
        });
        for (key, drawing) in scanned.drawings {
            // Names share one ordered map with codepoints: a name becomes its characters above the last
            // codepoint.
            let place = parse_codepoints(&key)
                .filter(|codepoints| ideas.contains_key(codepoints))
                .unwrap_or_else(|| key.chars().map(|c| 0x0020_0000 + c as u32).collect());
            let idea = ideas.entry(place).or_insert_with(|| Idea {
                item: IndexItem {
                    key: key.clone(),
                    name: key.clone(),
                    group: String::new(),
                    subgroup: String::new(),
                    family: scanned.further.get(&key).unwrap_or(&key).clone(),
                },
                is_flag: false,
                has_skin_tone: false,
                drawings: Vec::new(),
            });
            idea.drawings.resize(style + 1, None);
            idea.drawings[style] = Some(drawing);
        }
    }
    Ok(())
}

fn check_styles(styles: &[StyleMeta], options: &ImportOptions) -> Result<(), DataError> {
    let fail = |problem: String| DataError::Import {
        problem,
        path: options.out.clone(),
    };
    if styles.is_empty() {
        return Err(fail("no source was given".into()));
    }
    let mut names = BTreeSet::new();
    for style in styles {
        if !names.insert(style.name.as_str()) {
            return Err(fail(format!(
                "two sources hold style `{}`; name each once or rename a folder",
                style.name
            )));
        }
    }
    Ok(())
}

fn sort_by_codepoints(ideas: BTreeMap<Codepoints, Idea>, style_count: usize) -> Vec<Idea> {
    ideas
        .into_values()
        .map(|mut idea| {
            idea.drawings.resize(style_count, None);
            idea
        })
        .collect()
}

/// Ink of a picture on white: the share of pixels of which a channel differs from white by more than
/// [`INK_DISTANCE`].
fn ink(drawing: &Drawing) -> Result<f32, DataError> {
    let picture = drawing.rasterise(INK_SIZE_PX, Fit::Pad)?;
    let pixels = picture.premultiplied.as_chunks::<4>().0;
    let marked = pixels
        .iter()
        .filter(|p| p[..3].iter().any(|&colour| p[3] - colour > INK_DISTANCE))
        .count();
    Ok(marked.to_f32() / pixels.len().to_f32())
}

/// Keeps base emoji that every style draws with enough ink.
fn select_emoji(
    ideas: &mut Vec<Idea>,
    styles: &[StyleMeta],
    report: &mut ImportReport,
) -> Result<(), DataError> {
    ideas.retain(|idea| {
        if idea.has_skin_tone {
            report.skin_tones += 1;
        } else if idea.is_flag {
            report.flags += 1;
        } else if idea.drawings.iter().any(Option::is_none) {
            report.not_in_every_style += 1;
        } else {
            return true;
        }
        false
    });
    let faintest: Result<Vec<(f32, usize)>, DataError> = ideas
        .par_iter()
        .map(|idea| {
            let mut faintest = (f32::INFINITY, 0);
            for (style, drawing) in idea.drawings.iter().flatten().enumerate() {
                let ink = ink(drawing)?;
                if ink < faintest.0 {
                    faintest = (ink, style);
                }
            }
            Ok(faintest)
        })
        .collect();
    let mut faintest = faintest?.into_iter();
    ideas.retain(|idea| {
        let (ink, style) = faintest.next().expect("one measurement an idea");
        if ink < MIN_INK {
            report.low_ink.push(format!(
                "{} {} ({} {ink:.3})",
                idea.item.key, idea.item.name, styles[style].name
            ));
        }
        ink >= MIN_INK
    });
    Ok(())
}
