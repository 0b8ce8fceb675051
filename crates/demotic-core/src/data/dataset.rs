//! A data set at one size: every picture rasterised, the split made, pairs found. Training reads it through
//! [`TrainingView`], which cannot reach a held-out picture.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rayon::prelude::*;

use super::drawing::Drawing;
use super::overlap;
use super::pairing::{self, Look};
use super::passed_over::PassedOver;
use super::picture::is_plain;
use super::rasterised::{Rasterised, rasterise};
use super::source::{ContentItem, Contents, DataSource, StyleContents, StyleInfo};
use super::summary::{DatasetSummary, LeftOut, PairKind, PairSummary, StyleSummary};
use super::{DataError, DatasetOptions, Split, split_of_family};
use crate::number::Real;
use crate::settings::{Channels, Counterparts, Fit, PairedStyles};
use demotic_crf::hash::{fnv1a64, fnv1a64_from};

/// Least mean silhouette overlap of aligned pairs.
///
/// Measured on the embedded emoji on white: the two pairs of styles that share their outlines have 0.94
/// (`openmoji`, `openmoji-line`) and 0.85 (`fluent-flat`, `fluent-high-contrast`), the thirteen others 0.46
/// to 0.74. The threshold stands in the middle of the gap.
const ALIGNED_OVERLAP: f32 = 0.8;
/// Most training pairs looked at for one overlap.
const OVERLAP_PAIRS: usize = 256;
/// Difference of two styles' bars, as a share of the square, from which on they are warned about.
const BARS_DIFFER: f32 = 0.1;
/// Warnings of one kind; what more there are is reported in one.
const NAMED: usize = 3;
/// One copy of a training picture in so many held-out ones passes: of the built-in emoji, a few are drawn
/// alike in some style.
const COPIES_PASS: usize = 100;
/// A style with as many pictures has at least one for validation and one for the test.
const SMALL_SET: usize = 20;
/// Largest side of a picture in a data set.
const MAX_SIZE_PX: u32 = 4096;

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
    passed_over: Vec<PassedOver>,
    left_out: Vec<LeftOut>,
    near_misses: Vec<String>,
    warnings: Vec<String>,
    fingerprint: u64,
}

impl Dataset {
    /// Loads `source`: `emoji` (built in), a folder with one sub-folder of pictures a style, or a data set
    /// made by `demotic data import`.
    ///
    /// SVG is drawn at the size asked for, other pictures are fitted: see [`super::Picture::fit`]. Uses all
    /// cores.
    ///
    /// # Errors
    /// [`DataError`] for an unknown source or style, fewer than two styles, a style without a training
    /// picture, or a picture that cannot be read.
    pub fn load(source: &str, options: &DatasetOptions) -> Result<Self, DataError> {
        if !(1..=MAX_SIZE_PX).contains(&options.size_px) {
            return Err(DataError::Option(format!(
                "a picture size of {} px; expected 1 to {MAX_SIZE_PX}",
                options.size_px
            )));
        }
        let mut contents = DataSource::find(source)?.read(&options.styles)?;
        require_two_styles(&contents)?;
        let near_misses = match options.pairs {
            Counterparts::Names => near_misses(&contents),
            Counterparts::None => {
                contents = without_pairs(contents);
                Vec::new()
            }
        };
        let Rasterised {
            pixels,
            hashes,
            left_out,
            not_drawn,
        } = rasterise(&mut contents, options)?;
        let splits = splits(&contents);
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
        let places = contents.styles.iter().map(places).collect();
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
            passed_over: contents.passed_over,
            left_out,
            near_misses,
            warnings: not_drawn,
        };
        if options.fit == Fit::Pad {
            dataset.look_at_shapes();
        }
        dataset.look_at_pairs();
        dataset.look_for_copies();
        dataset.look_for_blanks();
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
                whose: "this data set has",
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
    pub(crate) fn channels(&self) -> Channels {
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
    pub(crate) fn pairs(&self, from: usize, to: usize, split: Split) -> Vec<usize> {
        let items = self.items(from, split).iter().copied();
        items.filter(|&item| self.has_picture(to, item)).collect()
    }

    /// Items with a picture in some style; a damaged one that was left out may have been an item's only one.
    pub fn drawn_items(&self) -> impl Iterator<Item = usize> {
        let styles = 0..self.styles.len();
        let is_drawn =
            move |item: &usize| styles.clone().any(|style| self.has_picture(style, *item));
        (0..self.items.len()).filter(is_drawn)
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

    /// A picture as a person sees it: `[3, size_px, size_px]` in [-1, 1], composed on the background; grey
    /// where the network sees grey.
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
    pub(crate) fn write_picture(&self, style: usize, item: usize, planes: &mut [f32]) {
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

    /// Mean silhouette overlap (intersection over union) of training pairs of two styles, over at most 256 of
    /// them; `None` without a training pair.
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

    /// Whether pairs of two styles are among those that a setting asks for.
    pub(crate) fn shows_pairs(&self, from: usize, to: usize, asked: PairedStyles) -> bool {
        asked == PairedStyles::Any || self.pair_kind(from, to) == PairKind::Aligned
    }

    /// Whether any two styles have a training pair.
    pub fn pairs_known(&self) -> bool {
        let k = self.styles.len();
        (0..k).any(|from| (0..k).any(|to| from != to && self.pair_overlap(from, to).is_some()))
    }

    /// Training pictures that have a counterpart in another style that a setting asks for, and all there are.
    pub fn paired_pictures(&self, asked: PairedStyles) -> [usize; 2] {
        let k = self.styles.len();
        let mut counts = [0, 0];
        for style in 0..k {
            let items = self.items(style, Split::Train);
            let others = (0..k).filter(|to| *to != style && self.shows_pairs(style, *to, asked));
            let others: Vec<usize> = others.collect();
            let is_paired = |item: &&usize| others.iter().any(|to| self.has_picture(*to, **item));
            counts[0] += items.iter().filter(is_paired).count();
            counts[1] += items.len();
        }
        counts
    }

    /// How much of the square's side the training pictures of each style take up, mean over at most 256 of
    /// them: 0 to 1.
    pub(crate) fn fills(&self) -> Vec<f32> {
        let side = self.size_px as usize;
        let of_style = |style| {
            let items = self.items(style, Split::Train);
            let stride = items.len().div_ceil(OVERLAP_PAIRS).max(1);
            let chosen: Vec<usize> = items.iter().copied().step_by(stride).collect();
            let fills = chosen.par_iter().map(|&item| {
                let (small, side) = overlap::reduced(self.rgba(style, item), side);
                overlap::fill(&overlap::silhouette(&small, side, self.background), side)
            });
            fills.collect::<Vec<_>>().iter().sum::<f32>() / chosen.len().max(1).to_f32()
        };
        (0..self.styles.len()).map(of_style).collect()
    }

    /// Sentences on names of two styles that are nearly equal.
    pub fn near_misses(&self) -> &[String] {
        &self.near_misses
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
            items: self.drawn_items().count(),
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
            passed_over: self.passed_over.clone(),
            left_out: self.left_out.clone(),
            warnings: [&self.near_misses[..], &self.warnings].concat(),
        }
    }

    /// Measures how training pairs overlap, and warns where they are no more alike than shuffled pictures.
    fn look_at_pairs(&mut self) {
        let (k, side) = (self.styles.len(), self.size_px as usize);
        let directions: Vec<(usize, usize)> = (0..k)
            .flat_map(|a| (a + 1..k).map(move |b| (a, b)))
            .collect();
        let seen: Vec<(Option<f32>, [Option<String>; 3])> = directions
            .par_iter()
            .map(|&(a, b)| {
                let pairs = self.training().pairs(a, b);
                // Evenly chosen, for the same answer every time.
                let stride = pairs.len().div_ceil(OVERLAP_PAIRS).max(1);
                let look = |style, item: &TrainItem| {
                    Look::new(self.rgba(style, item.index()), side, self.background)
                };
                let looks: Vec<(Look, Look)> = pairs
                    .iter()
                    .step_by(stride)
                    .map(|item| (look(a, item), look(b, item)))
                    .collect();
                let overlaps = looks.iter().map(|(a, b)| a.overlap(b));
                let overlap = (!looks.is_empty()).then(|| overlaps.sum::<f32>() / looks.len().to_f32());
                let same = pairs
                    .iter()
                    .filter(|item| self.rgba(a, item.index()) == self.rgba(b, item.index()));
                let same = same.count();
                let copied = (pairs.len() >= pairing::LEAST_PAIRS && 2 * same > pairs.len()).then(|| {
                    format!(
                        "{} and {}: {same} of {} training pairs are the same picture to the pixel: one folder may be a copy of the \
                         other",
                        self.styles[a].name,
                        self.styles[b].name,
                        pairs.len()
                    )
                });
                let are_numbers = || {
                    let keys = pairs.iter().map(|item| &self.items[item.index()].key);
                    2 * keys.filter(|key| pairing::is_numbered(key)).count() > pairs.len()
                };
                let styles = format!("{} and {}", self.styles[a].name, self.styles[b].name);
                let meaningless = pairing::no_better_than_shuffled(&looks).map(|[own, shuffled]| {
                    let names = if are_numbers() {
                        ", and the names are numbers"
                    } else {
                        ""
                    };
                    format!(
                        "{styles}: equal names may mean nothing: their pictures are no more alike than shuffled ones (likeness \
                         {own:.2}, shuffled {shuffled:.2}){names}; where they are no pairs, say data.pairs = \"none\": figures against \
                         counterparts are chance"
                    )
                });
                let are_few = (1..pairing::LEAST_PAIRS).contains(&pairs.len());
                let unknown = (are_few && are_numbers()).then(|| {
                    format!(
                        "{styles}: the names are numbers, and {} training pairs are too few to tell whether equal ones are pairs; where \
                         they are none, say data.pairs = \"none\"",
                        pairs.len()
                    )
                });
                (overlap, [copied, meaningless, unknown])
            })
            .collect();
        self.overlaps = vec![None; k * k];
        let mut kinds: [Vec<String>; 3] = [vec![], vec![], vec![]];
        for ((a, b), (overlap, found)) in directions.into_iter().zip(seen) {
            self.overlaps[a * k + b] = overlap;
            self.overlaps[b * k + a] = overlap;
            for (kind, warning) in kinds.iter_mut().zip(found) {
                kind.extend(warning);
            }
        }
        let more = [
            "pairs of styles are the same pictures",
            "pairs of styles have equal names that may mean nothing",
            "pairs of styles have numbers for names",
        ];
        for (kind, more) in kinds.into_iter().zip(more) {
            self.warnings.extend(few(kind, more));
        }
    }

    /// Warns where bars at the edges of opaque pictures give a style away: their share of the square, across
    /// and upright, differs.
    fn look_at_shapes(&mut self) {
        let side = self.size_px as usize;
        let bars: Vec<[f32; 2]> = (0..self.styles.len())
            .map(|style| {
                let items = self.items(style, Split::Train);
                let sums = items
                    .par_iter()
                    .map(|&item| bars(self.rgba(style, item), side))
                    .reduce(|| [0; 2], |a, b| [a[0] + b[0], a[1] + b[1]]);
                sums.map(|sum| sum.to_f32() / (items.len() * side).to_f32())
            })
            .collect();
        let differ =
            |a: &[f32; 2], b: &[f32; 2]| a.iter().zip(b).any(|(a, b)| (a - b).abs() > BARS_DIFFER);
        let shapes = |[upright, across]: [f32; 2]| {
            format!(
                "{:.0} % above and below, {:.0} % at the sides",
                100.0 * across,
                100.0 * upright
            )
        };
        let found = (0..bars.len())
            .find_map(|b| (0..b).find(|&a| differ(&bars[a], &bars[b])).map(|a| (a, b)));
        if let Some((a, b)) = found {
            self.warnings.push(format!(
                "pictures of {} and {} differ in shape: their squares have bars ({}; {}), which become part of the style; \
                 data.fit = \"auto\", \"mirror\" or \"crop\" leaves none",
                self.styles[a].name,
                self.styles[b].name,
                shapes(bars[a]),
                shapes(bars[b])
            ));
        }
    }

    /// Warns of held-out pictures that training has, to the pixel, in the same style.
    fn look_for_copies(&mut self) {
        let mut warnings = Vec::new();
        for style in 0..self.styles.len() {
            let trained: BTreeMap<&[u8], usize> = self
                .items(style, Split::Train)
                .iter()
                .map(|&item| (self.rgba(style, item), item))
                .collect();
            let held_out = [Split::Validation, Split::Test].map(|split| self.items(style, split));
            let copies: Vec<[usize; 2]> = held_out
                .concat()
                .into_iter()
                .filter_map(|item| Some([item, *trained.get(self.rgba(style, item))?]))
                .collect();
            let all = self.validation[style].len() + self.test[style].len();
            if let Some(&[held_out, trained]) = copies.first()
                && copies.len() * COPIES_PASS > all
            {
                warnings.push(format!(
                    "{}: {} of {} held-out pictures are in training under another name, such as {} as {}; remove copies, or \
                     figures are too good",
                    self.styles[style].name,
                    copies.len(),
                    all,
                    self.items[held_out].key,
                    self.items[trained].key,
                ));
            }
        }
        let more = "styles have held-out pictures in training, too";
        self.warnings.extend(few(warnings, more));
    }

    /// Warns of styles whose pictures show nothing on the background.
    fn look_for_blanks(&mut self) {
        let [r, g, b] = self.background;
        let mut found = Vec::new();
        for style in 0..self.styles.len() {
            let all: Vec<usize> = Split::ALL
                .iter()
                .flat_map(|&split| self.items(style, split))
                .copied()
                .collect();
            let blank = all
                .par_iter()
                .filter(|&&item| self.is_flat(style, item))
                .count();
            if 2 * blank > all.len() {
                found.push((style, blank, all.len()));
            }
        }
        for &(style, blank, all) in found.iter().take(NAMED) {
            self.warnings.push(format!(
                "{}: {blank} of {all} pictures are one flat colour on the background #{r:02x}{g:02x}{b:02x}; another shows them: \
                 data.background = \"#808080\", say",
                self.styles[style].name,
            ));
        }
        if let Some(more) = found.get(NAMED..).filter(|more| !more.is_empty()) {
            let names: Vec<&str> = more
                .iter()
                .map(|&(style, ..)| &*self.styles[style].name)
                .collect();
            self.warnings.push(format!(
                "{} more styles are mostly flat on that background: {}",
                names.len(),
                names.join(", ")
            ));
        }
    }

    /// Whether all pixels of a picture show the same colour, within 2 of 255.
    fn is_flat(&self, style: usize, item: usize) -> bool {
        is_plain(self.rgba(style, item), self.background, 2)
    }
}

fn require_two_styles(contents: &Contents) -> Result<(), DataError> {
    if contents.styles.len() < 2 {
        return Err(DataError::TooFewStyles {
            found: contents.styles.len(),
            names: contents
                .styles
                .iter()
                .map(|s| s.info.name.clone())
                .collect(),
            unread: contents
                .passed_over
                .iter()
                .filter(|folder| !folder.is_style)
                .map(ToString::to_string)
                .collect(),
            path: contents.label.clone(),
        });
    }
    Ok(())
}

/// Each item's place among the style's pictures.
fn places(style: &StyleContents) -> Vec<Option<u32>> {
    let mut next = 0;
    let place = |drawing: &Option<Drawing>| {
        drawing.as_ref().map(|_| {
            next += 1;
            next - 1
        })
    };
    style.drawings.iter().map(place).collect()
}

/// Columns of a square, `[side, side, 4]`, in bars at the left and right, and rows in bars above and below,
/// where the rest is opaque.
fn bars(rgba: &[u8], side: usize) -> [usize; 2] {
    let pixels = rgba.as_chunks::<4>().0;
    let middle = side / 2;
    let clear = |pixel: &&[u8; 4]| pixel[3] == 0;
    let row = &pixels[middle * side..(middle + 1) * side];
    let upright = row.iter().filter(clear).count();
    let across = pixels[middle..].iter().step_by(side).filter(clear).count();
    // Anything but bars is a picture with transparency of its own.
    let is_bars = pixels.iter().filter(clear).count() == side * (upright + across)
        && (upright == 0 || across == 0);
    if is_bars { [upright, across] } else { [0; 2] }
}

/// The split of every item: as the source says it, else by the hash of the family. Where that holds none of a
/// style's [`SMALL_SET`] pictures and more out, the training family with the smallest hash is, in every
/// style.
fn splits(contents: &Contents) -> Vec<Split> {
    let mut splits: Vec<Split> = contents
        .items
        .iter()
        .map(|item| item.split.unwrap_or_else(|| split_of_family(&item.family)))
        .collect();
    for style in &contents.styles {
        let own: Vec<usize> = (0..splits.len())
            .filter(|&item| style.drawings[item].is_some())
            .collect();
        for held_out in [Split::Test, Split::Validation] {
            let is_empty = own.iter().all(|&item| splits[item] != held_out);
            if own.len() < SMALL_SET || !is_empty {
                continue;
            }
            let trained = own.iter().filter(|&&item| splits[item] == Split::Train);
            let families = trained.map(|&item| contents.items[item].family.as_str());
            let first = families.min_by_key(|family| (fnv1a64(family.as_bytes()), *family));
            for (split, item) in splits.iter_mut().zip(&contents.items) {
                if Some(item.family.as_str()) == first {
                    *split = held_out;
                }
            }
        }
    }
    splits
}

/// The same pictures where equal names mean nothing: an item a picture.
fn without_pairs(contents: Contents) -> Contents {
    let places: Vec<(usize, usize)> = contents
        .styles
        .iter()
        .enumerate()
        .flat_map(|(style, of)| {
            let present = of.drawings.iter().enumerate();
            present.filter_map(move |(item, drawing)| drawing.is_some().then_some((style, item)))
        })
        .collect();
    let items = places.iter().map(|&(_, item)| contents.items[item].clone());
    let items: Vec<ContentItem> = items.collect();
    let styles = contents.styles.into_iter().enumerate();
    let styles = styles.map(|(style, mut of)| StyleContents {
        drawings: places
            .iter()
            .map(|&(owner, item)| (owner == style).then(|| of.drawings[item].take()).flatten())
            .collect(),
        info: of.info,
    });
    Contents {
        styles: styles.collect(),
        items,
        ..contents
    }
}

/// The first warnings of one kind, and in one what more there are.
fn few(mut warnings: Vec<String>, what: &str) -> Vec<String> {
    let more = warnings.len().saturating_sub(NAMED);
    warnings.truncate(NAMED);
    if more > 0 {
        warnings.push(format!("{more} more {what}"));
    }
    warnings
}

/// Warnings of two styles each of which names are nearly equal.
fn near_misses(contents: &Contents) -> Vec<String> {
    let mut warnings = Vec::new();
    for (i, a) in contents.styles.iter().enumerate() {
        for b in &contents.styles[i + 1..] {
            let lone = |own: &StyleContents, other: &StyleContents| -> Vec<&str> {
                let pairs = own
                    .drawings
                    .iter()
                    .zip(&other.drawings)
                    .zip(&contents.items);
                pairs
                    .filter(|((own, other), _)| own.is_some() && other.is_none())
                    .map(|(_, item)| &*item.key)
                    .collect()
            };
            let (of_a, of_b) = (lone(a, b), lone(b, a));
            let found = pairing::near_misses(of_a.into_iter(), of_b.into_iter());
            if let Some((count, [x, y])) = found {
                warnings.push(format!(
                    "{} and {}: {count} names differ by letters' case, Unicode form or zeros alone, such as {x} and {y}: rename \
                     them where they are pairs",
                    a.info.name, b.info.name
                ));
            }
        }
    }
    few(
        warnings,
        "pairs of styles have names that differ by as little",
    )
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
    pub(crate) fn styles(self) -> &'a [StyleInfo] {
        &self.dataset.styles
    }

    /// Side of a picture.
    pub(crate) fn size_px(self) -> u32 {
        self.dataset.size_px
    }

    /// What transparent pixels show.
    pub(crate) fn background(self) -> [u8; 3] {
        self.dataset.background
    }

    /// Channels that a network sees.
    pub(crate) fn channels(self) -> Channels {
        self.dataset.channels
    }

    /// Floats of one composed picture.
    pub(crate) fn picture_len(self) -> usize {
        self.dataset.picture_len()
    }

    /// Training items with a picture in `style`; never empty.
    pub fn items(self, style: usize) -> &'a [TrainItem] {
        &self.dataset.train[style]
    }

    /// Whether pairs of two styles are among those that a setting asks for.
    pub(crate) fn shows_pairs(self, from: usize, to: usize, asked: PairedStyles) -> bool {
        self.dataset.shows_pairs(from, to, asked)
    }

    /// Training items with a picture in both styles.
    pub(crate) fn pairs(self, from: usize, to: usize) -> Vec<TrainItem> {
        let items = self.items(from).iter().copied();
        items
            .filter(|&item| self.dataset.has_picture(to, item.0))
            .collect()
    }

    /// Pixels of a picture: see [`Dataset::rgba`].
    ///
    /// # Panics
    /// If the item has no picture in the style, or is of another data set and not for training here.
    pub(crate) fn rgba(self, style: usize, item: TrainItem) -> &'a [u8] {
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
    pub(crate) fn network_pictures(self, style: usize, items: &[TrainItem]) -> Vec<f32> {
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
    /// If the item has no picture in the style, or is of another data set and not for training here.
    pub fn picture(self, style: usize, item: TrainItem) -> Vec<f32> {
        let mut planes = vec![0.0; self.picture_len()];
        self.dataset
            .write_shown(self.rgba(style, item), &mut planes);
        planes
    }
}
