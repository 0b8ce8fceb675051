//! A data set at one size: every picture rasterised, the split made, pairs found. Training reads it through
//! [`TrainingView`], which cannot reach a held-out picture.

use std::path::PathBuf;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::cache::{self, BlockKey, RASTERISER_VERSION};
use super::overlap::{overlap, reduced, silhouette};
use super::picture::{Channels, Drawing};
use super::source::{Contents, DataSource, StyleContents};
use super::split::{fnv1a64, fnv1a64_from};
use super::{CachePolicy, DataError, Split, split_of_family};

/// Least mean silhouette overlap of aligned pairs.
///
/// Measured on the embedded emoji on white: the two pairs of styles that share their outlines have 0.94 (`openmoji`,
/// `openmoji-line`) and 0.85 (`fluent-flat`, `fluent-high-contrast`), the thirteen others 0.46 to 0.74. The threshold
/// stands in the middle of the gap.
const ALIGNED_OVERLAP: f32 = 0.8;
/// Most training pairs looked at for one overlap.
const OVERLAP_PAIRS: usize = 256;
/// Largest side of a picture in a data set.
const MAX_SIZE_PX: u32 = 4096;

/// How a data set is loaded.
#[derive(Debug, Clone)]
pub struct DatasetOptions {
    /// Side of the square that every picture is fitted into.
    pub size_px: u32,
    /// Styles to load, in this order; all, by name, if empty.
    pub styles: Vec<String>,
    /// What transparent pixels show.
    pub background: [u8; 3],
    /// Colour channels.
    pub channels: Channels,
    /// Where rasterised pictures are kept between runs.
    pub cache: CachePolicy,
}

impl Default for DatasetOptions {
    /// 32 px, all styles, on white.
    fn default() -> Self {
        Self {
            size_px: 32,
            styles: Vec::new(),
            background: [255; 3],
            channels: Channels::Rgb,
            cache: CachePolicy::Platform,
        }
    }
}

/// A style and whose art it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StyleInfo {
    /// Its name, as on the command line.
    pub name: String,
    /// SPDX identifier, or what the source says.
    pub licence: String,
    /// Whom to name.
    pub attribution: String,
    /// Pictures in all splits.
    pub pictures: usize,
}

/// What equal names mean for two styles: whether one was drawn over the other, told by the mean overlap of silhouettes
/// over training pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PairKind {
    /// The same shapes in the same place: differences by pixel mean what they say.
    Aligned,
    /// The same idea drawn anew: differences by pixel also punish honest redrawing. Also if there is no training pair.
    Loose,
}

impl PairKind {
    /// Lower-case name, as in the files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aligned => "aligned",
            Self::Loose => "loose",
        }
    }
}

impl std::fmt::Display for PairKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

struct Item {
    family: String,
    key: String,
    name: String,
    group: String,
    split: Split,
}

/// An item that training may see; only a [`TrainingView`] hands them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrainItem(usize);

impl TrainItem {
    /// Its index among all items of the data set.
    pub fn index(self) -> usize {
        self.0
    }
}

/// Pictures of several styles at one size, with a split by family.
pub struct Dataset {
    label: PathBuf,
    family_rule: &'static str,
    size_px: u32,
    background: [u8; 3],
    channels: Channels,
    styles: Vec<StyleInfo>,
    items: Vec<Item>,
    /// `[style]` -> premultiplied RGBA of its pictures, one after the other.
    pixels: Vec<Vec<u8>>,
    /// `[style][item]` -> place in `pixels`.
    places: Vec<Vec<Option<u32>>>,
    /// `[style]` -> items with a picture, in the items' order.
    train: Vec<Vec<TrainItem>>,
    validation: Vec<Vec<usize>>,
    test: Vec<Vec<usize>>,
    train_indices: Vec<Vec<usize>>,
    /// `[from * styles + to]` -> mean silhouette overlap, if there is a training pair.
    overlaps: Vec<Option<f32>>,
    fingerprint: u64,
}

impl Dataset {
    /// Loads `source`: `emoji` (built in), a folder with one sub-folder of pictures a style, or a data set made by
    /// `demotic data import`.
    ///
    /// SVG is drawn at the size asked for, other pictures are fitted: see [`super::Picture::fit`]. Uses all cores.
    ///
    /// # Errors
    /// [`DataError`] for an unknown source or style, fewer than two styles, a style without a training picture, or a
    /// picture that cannot be read.
    pub fn load(source: &str, options: &DatasetOptions) -> Result<Self, DataError> {
        if !(1..=MAX_SIZE_PX).contains(&options.size_px) {
            return Err(DataError::Option(format!(
                "a picture size of {} px; expected 1 to {MAX_SIZE_PX}",
                options.size_px
            )));
        }
        let contents = DataSource::find(source)?.read(&options.styles)?;
        if contents.styles.len() < 2 {
            return Err(DataError::TooFewStyles {
                found: contents.styles.len(),
                names: contents
                    .styles
                    .iter()
                    .map(|s| s.info.name.clone())
                    .collect(),
                path: contents.label,
            });
        }
        let splits: Vec<Split> = contents
            .items
            .iter()
            .map(|item| split_of_family(&item.family))
            .collect();
        let in_split = |style: &StyleContents, split: Split| -> Vec<usize> {
            (0..splits.len())
                .filter(|&item| splits[item] == split && style.drawings[item].is_some())
                .collect()
        };
        let by_style = |split: Split| -> Vec<Vec<usize>> {
            contents.styles.iter().map(|s| in_split(s, split)).collect()
        };
        let train_indices = by_style(Split::Train);
        for (style, training) in contents.styles.iter().zip(&train_indices) {
            if training.is_empty() {
                return Err(DataError::TooFewPictures {
                    style: style.info.name.clone(),
                    pictures: style.info.pictures,
                    training: 0,
                    path: contents.label.clone(),
                });
            }
        }
        let (validation, test) = (by_style(Split::Validation), by_style(Split::Test));

        let mut pixels = Vec::new();
        let mut hashes = Vec::new();
        for style in &contents.styles {
            let (style_pixels, hash) = rasterise_style(&contents, style, options)?;
            pixels.push(style_pixels);
            hashes.push(hash);
        }
        let places = contents
            .styles
            .iter()
            .map(|style| {
                let mut next = 0;
                let place = |drawing: &Option<Drawing>| {
                    drawing.as_ref().map(|_| {
                        next += 1;
                        next - 1
                    })
                };
                style.drawings.iter().map(place).collect()
            })
            .collect();
        let mut dataset = Self {
            fingerprint: fingerprint(&contents, &hashes),
            label: contents.label,
            family_rule: contents.family_rule,
            size_px: options.size_px,
            background: options.background,
            channels: options.channels,
            styles: contents
                .styles
                .into_iter()
                .map(|style| style.info)
                .collect(),
            items: contents
                .items
                .into_iter()
                .zip(splits)
                .map(|(item, split)| Item {
                    family: item.family,
                    key: item.key,
                    name: item.name,
                    group: item.group,
                    split,
                })
                .collect(),
            pixels,
            places,
            train: train_indices
                .iter()
                .map(|items| items.iter().copied().map(TrainItem).collect())
                .collect(),
            validation,
            test,
            train_indices,
            overlaps: Vec::new(),
        };
        dataset.overlaps = dataset.measure_overlaps();
        Ok(dataset)
    }

    /// The styles, in the order of their indices.
    pub fn styles(&self) -> &[StyleInfo] {
        &self.styles
    }

    /// Index of a style.
    ///
    /// # Errors
    /// [`DataError::UnknownStyle`], with the known ones.
    pub fn style_index(&self, name: &str) -> Result<usize, DataError> {
        self.styles
            .iter()
            .position(|style| style.name == name)
            .ok_or_else(|| DataError::UnknownStyle {
                asked: name.to_owned(),
                known: self.styles.iter().map(|style| style.name.clone()).collect(),
            })
    }

    /// Side of a picture.
    pub fn size_px(&self) -> u32 {
        self.size_px
    }

    /// What transparent pixels show.
    pub fn background(&self) -> [u8; 3] {
        self.background
    }

    /// Channels that a network sees.
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// Floats of one composed picture: `3 * size_px * size_px`.
    pub fn picture_len(&self) -> usize {
        3 * self.size_px as usize * self.size_px as usize
    }

    /// Number of items, in whatever split and style.
    pub fn item_count(&self) -> usize {
        self.items.len()
    }

    /// Items of a split that have a picture in `style`, in the data set's order.
    pub fn items(&self, style: usize, split: Split) -> &[usize] {
        match split {
            Split::Train => &self.train_indices[style],
            Split::Validation => &self.validation[style],
            Split::Test => &self.test[style],
        }
    }

    /// Items of a split that have a picture in both styles, in the data set's order.
    pub fn pairs(&self, from: usize, to: usize, split: Split) -> Vec<usize> {
        let items = self.items(from, split).iter().copied();
        items.filter(|&item| self.has_picture(to, item)).collect()
    }

    /// Whether an item is drawn in a style.
    pub fn has_picture(&self, style: usize, item: usize) -> bool {
        self.places[style][item].is_some()
    }

    /// Pixels of a picture: `[size_px, size_px, 4]`, RGBA, colour **premultiplied** by alpha.
    ///
    /// # Panics
    /// If the item has no picture in the style: see [`Self::items`] and [`Self::has_picture`].
    pub fn rgba(&self, style: usize, item: usize) -> &[u8] {
        let place = self.places[style][item]
            .expect("the item was listed as having a picture in this style")
            as usize;
        let len = self.size_px as usize * self.size_px as usize * 4;
        &self.pixels[style][place * len..(place + 1) * len]
    }

    /// A picture as a person sees it: `[3, size_px, size_px]` in [-1, 1], composed on the background; grey where the network
    /// sees grey.
    ///
    /// # Panics
    /// As [`Self::rgba`].
    pub fn picture(&self, style: usize, item: usize) -> Vec<f32> {
        let mut planes = vec![0.0; self.picture_len()];
        self.write_picture(style, item, &mut planes);
        planes
    }

    /// [`Self::picture`] into a slice of [`Self::picture_len`] floats.
    ///
    /// # Panics
    /// As [`Self::rgba`], and if the slice has another length.
    pub fn write_picture(&self, style: usize, item: usize, planes: &mut [f32]) {
        assert_eq!(
            planes.len(),
            self.picture_len(),
            "a picture of another size"
        );
        self.write_shown(self.rgba(style, item), planes);
    }

    /// Pixels as a person sees what a network saw: on the background; grey where the network sees grey.
    fn write_shown(&self, rgba: &[u8], planes: &mut [f32]) {
        if self.channels == Channels::Grey {
            let (first, rest) = planes.split_at_mut(rgba.len() / 4);
            Channels::Grey.write(rgba, self.background, first);
            rest.chunks_exact_mut(first.len())
                .for_each(|plane| plane.copy_from_slice(first));
        } else {
            Channels::Rgb.write(rgba, self.background, planes);
        }
    }

    /// Pictures of one style as a network sees them, one after the other: `[n, c, size_px, size_px]`.
    ///
    /// # Panics
    /// As [`Self::rgba`].
    pub fn network_pictures(&self, style: usize, items: &[usize]) -> Vec<f32> {
        let len = self.channels.count() * self.size_px as usize * self.size_px as usize;
        let mut planes = vec![0.0; items.len() * len];
        planes
            .par_chunks_mut(len)
            .zip(items)
            .for_each(|(planes, &item)| {
                let rgba = self.rgba(style, item);
                self.channels.write(rgba, self.background, planes);
            });
        planes
    }

    /// A network's pictures as a person sees them: `[n, c, size_px, size_px] -> [n, 3, size_px, size_px]`.
    pub fn shown(&self, pictures: &[f32]) -> Vec<f32> {
        let plane = self.size_px as usize * self.size_px as usize;
        self.channels.shown(pictures, plane, self.background)
    }

    /// Several pictures of one style, one after the other: `[n, 3, size_px, size_px]`.
    ///
    /// # Panics
    /// As [`Self::rgba`].
    pub fn pictures(&self, style: usize, items: &[usize]) -> Vec<f32> {
        let len = self.picture_len();
        let mut planes = vec![0.0; items.len() * len];
        planes
            .par_chunks_mut(len)
            .zip(items)
            .for_each(|(planes, &item)| self.write_picture(style, item, planes));
        planes
    }

    /// What an item shows, in words: `grinning face`, or the file name without ending.
    pub fn item_name(&self, item: usize) -> &str {
        &self.items[item].name
    }

    /// An item's key: codepoints in hexadecimal, or the file name without ending.
    pub fn item_key(&self, item: usize) -> &str {
        &self.items[item].key
    }

    /// An item's group, such as `animals-nature`; may be empty.
    pub fn item_group(&self, item: usize) -> &str {
        &self.items[item].group
    }

    /// What the split of an item goes by: near-copies share it.
    pub fn item_family(&self, item: usize) -> &str {
        &self.items[item].family
    }

    /// The split of an item.
    pub fn item_split(&self, item: usize) -> Split {
        self.items[item].split
    }

    /// Mean silhouette overlap (intersection over union) of training pairs of two styles, over at most 256 of them;
    /// `None` without a training pair.
    pub fn pair_overlap(&self, from: usize, to: usize) -> Option<f32> {
        self.overlaps[from * self.styles.len() + to]
    }

    /// Whether pairs of two styles are redrawn in place.
    pub fn pair_kind(&self, from: usize, to: usize) -> PairKind {
        match self.pair_overlap(from, to) {
            Some(overlap) if overlap >= ALIGNED_OVERLAP => PairKind::Aligned,
            _ => PairKind::Loose,
        }
    }

    /// Whether any two styles have a training pair.
    pub fn pairs_known(&self) -> bool {
        let k = self.styles.len();
        (0..k).any(|from| (0..k).any(|to| from != to && self.pair_overlap(from, to).is_some()))
    }

    /// Hash of names, families and drawings of the loaded styles; size and background do not enter.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// What training may see.
    pub fn training(&self) -> TrainingView<'_> {
        TrainingView { dataset: self }
    }

    /// What was found, to be shown at the start of a run.
    pub fn summary(&self) -> DatasetSummary {
        let k = self.styles.len();
        let mut pairs = Vec::new();
        for a in 0..k {
            for b in a + 1..k {
                pairs.push(PairSummary {
                    a: self.styles[a].name.clone(),
                    b: self.styles[b].name.clone(),
                    kind: self.pair_kind(a, b),
                    overlap: self.pair_overlap(a, b),
                    train: self.pairs(a, b, Split::Train).len(),
                    validation: self.pairs(a, b, Split::Validation).len(),
                    test: self.pairs(a, b, Split::Test).len(),
                });
            }
        }
        DatasetSummary {
            source: self.label.display().to_string(),
            size_px: self.size_px,
            background: self.background,
            items: self.items.len(),
            family_rule: self.family_rule.to_owned(),
            fingerprint: format!("{:016x}", self.fingerprint),
            styles: (0..k)
                .map(|style| StyleSummary {
                    info: self.styles[style].clone(),
                    train: self.items(style, Split::Train).len(),
                    validation: self.items(style, Split::Validation).len(),
                    test: self.items(style, Split::Test).len(),
                })
                .collect(),
            pairs,
        }
    }

    fn measure_overlaps(&self) -> Vec<Option<f32>> {
        let k = self.styles.len();
        let side = self.size_px as usize;
        let measured: Vec<Option<f32>> = (0..k * k)
            .into_par_iter()
            .map(|direction| {
                let (a, b) = (direction / k, direction % k);
                if a >= b {
                    return None;
                }
                let pairs = self.training().pairs(a, b);
                // Evenly chosen, for the same answer every time.
                let stride = pairs.len().div_ceil(OVERLAP_PAIRS).max(1);
                let overlaps: Vec<f32> = pairs
                    .iter()
                    .step_by(stride)
                    .map(|item| {
                        let of = |style| {
                            let (small, side) = reduced(self.rgba(style, item.index()), side);
                            silhouette(&small, side, self.background)
                        };
                        overlap(&of(a), &of(b))
                    })
                    .collect();
                (!overlaps.is_empty()).then(|| overlaps.iter().sum::<f32>() / overlaps.len() as f32)
            })
            .collect();
        (0..k * k)
            .map(|direction| {
                let (a, b) = (direction / k, direction % k);
                measured[a.min(b) * k + a.max(b)]
            })
            .collect()
    }
}

/// A style's pictures and the hash of its drawings; from the cache where that has them.
fn rasterise_style(
    contents: &Contents,
    style: &StyleContents,
    options: &DatasetOptions,
) -> Result<(Vec<u8>, u64), DataError> {
    let present: Vec<(&str, &Drawing)> = contents
        .items
        .iter()
        .zip(&style.drawings)
        .filter_map(|(item, drawing)| Some((item.key.as_str(), drawing.as_ref()?)))
        .collect();
    let hashes: Result<Vec<u64>, DataError> = present
        .par_iter()
        .map(|(_, drawing)| Ok(fnv1a64(&drawing.read()?)))
        .collect();
    let content = present
        .iter()
        .zip(hashes?)
        .fold(fnv1a64(b""), |hash, ((key, _), drawing)| {
            let hash = fnv1a64_from(hash, key.as_bytes());
            fnv1a64_from(hash, &drawing.to_le_bytes())
        });
    let key = BlockKey {
        content: fnv1a64_from(content, &RASTERISER_VERSION.to_le_bytes()),
        size_px: options.size_px,
        pictures: present.len(),
    };
    let folder = options.cache.folder();
    if let Some(pixels) = folder.as_ref().and_then(|folder| cache::read(folder, key)) {
        return Ok((pixels, content));
    }
    let len = options.size_px as usize * options.size_px as usize * 4;
    let mut pixels = vec![0; present.len() * len];
    pixels
        .par_chunks_mut(len)
        .zip(&present)
        .try_for_each(|(pixels, (_, drawing))| {
            pixels.copy_from_slice(&drawing.rasterise(options.size_px)?.premultiplied);
            Ok::<_, DataError>(())
        })?;
    if let Some(folder) = &folder {
        cache::write(folder, key, &pixels);
    }
    Ok((pixels, content))
}

fn fingerprint(contents: &Contents, style_hashes: &[u64]) -> u64 {
    let mut hash = fnv1a64(b"demotic data set");
    let mut add = |bytes: &[u8]| {
        hash = fnv1a64_from(hash, &(bytes.len() as u64).to_le_bytes());
        hash = fnv1a64_from(hash, bytes);
    };
    for item in &contents.items {
        add(item.key.as_bytes());
        add(item.family.as_bytes());
    }
    for (style, content) in contents.styles.iter().zip(style_hashes) {
        add(style.info.name.as_bytes());
        add(&content.to_le_bytes());
    }
    hash
}

/// A data set as training sees it: items of [`Split::Train`] and nothing else can be reached from here.
#[derive(Clone, Copy)]
pub struct TrainingView<'a> {
    dataset: &'a Dataset,
}

impl<'a> TrainingView<'a> {
    /// The styles, in the order of their indices.
    pub fn styles(self) -> &'a [StyleInfo] {
        &self.dataset.styles
    }

    /// Side of a picture.
    pub fn size_px(self) -> u32 {
        self.dataset.size_px
    }

    /// What transparent pixels show.
    pub fn background(self) -> [u8; 3] {
        self.dataset.background
    }

    /// Channels that a network sees.
    pub fn channels(self) -> Channels {
        self.dataset.channels
    }

    /// Floats of one composed picture.
    pub fn picture_len(self) -> usize {
        self.dataset.picture_len()
    }

    /// Training items with a picture in `style`; never empty.
    pub fn items(self, style: usize) -> &'a [TrainItem] {
        &self.dataset.train[style]
    }

    /// Training items with a picture in both styles.
    pub fn pairs(self, from: usize, to: usize) -> Vec<TrainItem> {
        let items = self.items(from).iter().copied();
        items
            .filter(|&item| self.dataset.has_picture(to, item.0))
            .collect()
    }

    /// Pixels of a picture: see [`Dataset::rgba`].
    ///
    /// # Panics
    /// If the item has no picture in the style, or is of another data set and not for training here.
    pub fn rgba(self, style: usize, item: TrainItem) -> &'a [u8] {
        assert_eq!(
            self.dataset.items[item.0].split,
            Split::Train,
            "an item of another data set"
        );
        self.dataset.rgba(style, item.0)
    }

    /// Several pictures as a network sees them: see [`Dataset::network_pictures`].
    ///
    /// # Panics
    /// As [`Self::rgba`].
    pub fn network_pictures(self, style: usize, items: &[TrainItem]) -> Vec<f32> {
        let items: Vec<usize> = items
            .iter()
            .inspect(|item| {
                self.rgba(style, **item);
            })
            .map(|item| item.index())
            .collect();
        self.dataset.network_pictures(style, &items)
    }

    /// A picture as a person sees it: see [`Dataset::picture`].
    ///
    /// # Panics
    /// As [`Self::rgba`].
    pub fn picture(self, style: usize, item: TrainItem) -> Vec<f32> {
        let mut planes = vec![0.0; self.picture_len()];
        self.dataset
            .write_shown(self.rgba(style, item), &mut planes);
        planes
    }
}

/// What a data set holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatasetSummary {
    /// Where it came from.
    pub source: String,
    /// Side of a picture.
    pub size_px: u32,
    /// What transparent pixels show.
    pub background: [u8; 3],
    /// Ideas, in whatever style.
    pub items: usize,
    /// How families, by which the split is made, are told.
    pub family_rule: String,
    /// [`Dataset::fingerprint`] in hexadecimal.
    pub fingerprint: String,
    /// One a style.
    pub styles: Vec<StyleSummary>,
    /// One for every two styles.
    pub pairs: Vec<PairSummary>,
}

/// Pictures of one style by split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StyleSummary {
    /// The style.
    #[serde(flatten)]
    pub info: StyleInfo,
    /// Training pictures.
    pub train: usize,
    /// Validation pictures.
    pub validation: usize,
    /// Held-out pictures.
    pub test: usize,
}

/// Pairs of two styles by split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairSummary {
    /// One style.
    pub a: String,
    /// The other.
    pub b: String,
    /// Redrawn in place or not.
    pub kind: PairKind,
    /// Mean silhouette overlap of training pairs.
    pub overlap: Option<f32>,
    /// Training pairs.
    pub train: usize,
    /// Validation pairs.
    pub validation: usize,
    /// Held-out pairs.
    pub test: usize,
}

impl std::fmt::Display for DatasetSummary {
    /// Aligned lines, the first word of which says what they are about.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [r, g, b] = self.background;
        writeln!(
            f,
            "data   {}  {} items, {} px on #{r:02x}{g:02x}{b:02x}, fingerprint {}",
            self.source, self.items, self.size_px, self.fingerprint
        )?;
        writeln!(
            f,
            "split  by hash of the family ({}): test 1 in 10, validation 1 in 10",
            self.family_rule
        )?;
        let width = self.styles.iter().map(|s| s.info.name.len()).max();
        let width = width.unwrap_or(0);
        for style in &self.styles {
            writeln!(
                f,
                "style  {:width$}  {:>6} train {:>6} validation {:>6} test  {}",
                style.info.name, style.train, style.validation, style.test, style.info.licence
            )?;
        }
        for pair in &self.pairs {
            let overlap = pair
                .overlap
                .map_or_else(|| "   -".into(), |overlap| format!("{overlap:.2}"));
            writeln!(
                f,
                "pair   {:width$}  {:width$}  {:7}  overlap {overlap}  {:>6} train {:>6} validation {:>6} test",
                pair.a, pair.b, pair.kind, pair.train, pair.validation, pair.test
            )?;
        }
        Ok(())
    }
}
