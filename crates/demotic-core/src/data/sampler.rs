//! Training batches as a pure function of (seed, step): nothing to save, resuming asks for the next step.
//!
//! Styles take turns. Within a style every picture is drawn once an epoch, in an order shuffled anew each
//! epoch.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::augment::{Variation, render};
use super::dataset::TrainItem;
use super::{Augmentation, DataError, PairedStyles, TrainingView};
use crate::number::{Real, Whole};
use crate::rng::{Rng, Stream};

/// How training batches are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplerOptions {
    /// The run's seed.
    pub seed: u64,
    /// Pictures a batch.
    pub batch_size: usize,
    /// Samplers with different numbers draw independently under one seed, e.g. 0 for sources and 1 for real
    /// targets.
    pub draw: u16,
    /// How pictures vary.
    pub augmentation: Augmentation,
    /// Styles whose pairs are drawn.
    pub paired_styles: PairedStyles,
}

/// Pictures of one batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[n, c, size_px, size_px]` in [-1, 1].
    pub images: Vec<f32>,
    /// Style of each picture.
    pub styles: Vec<u32>,
    /// Item of each picture, an index into the data set.
    pub items: Vec<usize>,
}

/// Pictures of the same items in two styles, under the same augmentation.
#[derive(Debug, Clone, PartialEq)]
pub struct PairedBatch {
    /// What is translated.
    pub source: Batch,
    /// What it should become.
    pub target: Batch,
}

/// Pictures of which some come with their counterparts, under the same augmentation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MixedBatch {
    /// What is translated.
    pub(crate) source: Batch,
    /// What those in `rows` should become.
    pub(crate) truth: Batch,
    /// Places of the paired pictures in the source batch, ascending.
    pub(crate) rows: Vec<usize>,
}

/// Draws training batches.
pub struct Sampler<'a> {
    view: TrainingView<'a>,
    options: SamplerOptions,
    /// `[style]`
    unpaired: Vec<Deck<'a>>,
    /// Directions with at least one training pair: (from, to, pairs).
    paired: Vec<(usize, usize, Deck<'a>)>,
}

impl<'a> Sampler<'a> {
    /// A sampler over the training part of a data set.
    ///
    /// # Errors
    /// [`DataError::Option`] for an empty batch, an augmentation out of range or more than 180 styles.
    pub fn new(view: TrainingView<'a>, options: SamplerOptions) -> Result<Self, DataError> {
        options.augmentation.check()?;
        if options.batch_size == 0 {
            return Err(DataError::Option(
                "a batch of 0 pictures; expected at least 1".into(),
            ));
        }
        let k = view.styles().len();
        // Each style and each direction has a lane of the shuffling stream: 2^15 of either.
        if k > 180 {
            return Err(DataError::Option(format!(
                "{k} styles; batches are drawn from at most 180: name those to use"
            )));
        }
        let unpaired = (0..k)
            .map(|style| Deck::new(view.items(style).into(), style.to_u16()))
            .collect();
        let mut paired = Vec::new();
        for from in 0..k {
            for to in (0..k).filter(|&to| to != from) {
                if !view.shows_pairs(from, to, options.paired_styles) {
                    continue;
                }
                let items = view.pairs(from, to);
                if !items.is_empty() {
                    let lane = 1 << 15 | (from * k + to).to_u16();
                    paired.push((from, to, Deck::new(items.into(), lane)));
                }
            }
        }
        Ok(Self {
            view,
            options,
            unpaired,
            paired,
        })
    }

    /// The batch of `step`: styles in turn, beginning where the step before ended.
    pub fn batch(&self, step: u64) -> Batch {
        let drawn = self.slots(step).map(|slot| self.draw_unpaired(slot));
        let (styles, items) = drawn.unzip();
        let variations = self.variations(step);
        self.render(styles, items, &variations)
    }

    /// The batch of `step` in which a share of the pictures comes with its counterpart, spread evenly over
    /// the run: at 0 it is [`Self::batch`], at 1 [`Self::paired_batch`]. `None` if a share is wanted and no
    /// pair is there.
    pub(crate) fn mixed_batch(&self, step: u64, share: f32) -> Option<MixedBatch> {
        if share > 0.0 && self.paired.is_empty() {
            return None;
        }
        let before = |slot: u64| (slot.to_f64() * f64::from(share)).floor().to_u64();
        let (mut styles, mut items) = (Vec::new(), Vec::new());
        let (mut rows, mut to_styles, mut to_items) = (Vec::new(), Vec::new(), Vec::new());
        for (row, slot) in self.slots(step).enumerate() {
            let paired = before(slot);
            if before(slot + 1) > paired {
                let (from, to, item) = self.draw_paired(paired);
                styles.push(from);
                items.push(item);
                rows.push(row);
                to_styles.push(to);
                to_items.push(item);
            } else {
                let (style, item) = self.draw_unpaired(slot - paired);
                styles.push(style);
                items.push(item);
            }
        }
        let variations = self.variations(step);
        let same = rows.iter().map(|row| Variation {
            stroke: 0.0,
            ..variations[*row].clone()
        });
        let same: Vec<_> = same.collect();
        Some(MixedBatch {
            source: self.render(styles, items, &variations),
            truth: self.render(to_styles, to_items, &same),
            rows,
        })
    }

    /// Pictures of the given styles, drawn anew each with the same chance, by generator number `lane` of its
    /// stream.
    pub(crate) fn of_styles(&self, step: u64, lane: u16, styles: &[u32]) -> Batch {
        let mut rng = Rng::new(self.options.seed, Stream::STYLE.lane(lane), step);
        let mut draw = |style: &u32| {
            let items = self.view.items(*style as usize);
            let item = items[rng.below(items.len().to_u32()) as usize];
            (
                *style as usize,
                item,
                self.options.augmentation.draw(&mut rng),
            )
        };
        let (mut from, mut items, mut variations) = (vec![], vec![], vec![]);
        for (style, item, variation) in styles.iter().map(&mut draw) {
            from.push(style);
            items.push(item);
            variations.push(variation);
        }
        self.render(from, items, &variations)
    }

    /// The `count`-th unpaired picture of the run: its style and item.
    fn draw_unpaired(&self, count: u64) -> (usize, TrainItem) {
        let k = self.unpaired.len() as u64;
        let style = (count % k).to_usize();
        (style, self.unpaired[style].draw(count / k, &self.options))
    }

    /// The `count`-th pair of the run: from, to, item.
    fn draw_paired(&self, count: u64) -> (usize, usize, TrainItem) {
        let directions = self.paired.len() as u64;
        let (from, to, deck) = &self.paired[(count % directions).to_usize()];
        (*from, *to, deck.draw(count / directions, &self.options))
    }

    /// The paired batch of `step`: directions in turn, source and target of the same item under the same
    /// augmentation; `None` if the data set has no training pair.
    pub fn paired_batch(&self, step: u64) -> Option<PairedBatch> {
        if self.paired.is_empty() {
            return None;
        }
        let (mut from_styles, mut to_styles, mut items) = (Vec::new(), Vec::new(), Vec::new());
        for slot in self.slots(step) {
            let (from, to, item) = self.draw_paired(slot);
            from_styles.push(from);
            to_styles.push(to);
            items.push(item);
        }
        let variations = self.variations(step);
        Some(PairedBatch {
            source: self.render(from_styles, items.clone(), &variations),
            target: self.render(to_styles, items, &variations),
        })
    }

    /// Numbers of the pictures of a step, counted over the whole run.
    fn slots(&self, step: u64) -> std::ops::Range<u64> {
        let n = self.options.batch_size as u64;
        step * n..(step + 1) * n
    }

    fn variations(&self, step: u64) -> Vec<Variation> {
        let stream = Stream::AUGMENT.lane(self.options.draw);
        let mut rng = Rng::new(self.options.seed, stream, step);
        // Strokes have numbers of their own: without them, all else is as it was before they were there.
        let mut strokes = Rng::new(
            self.options.seed,
            Stream::AUGMENT.lane(2 + self.options.draw),
            step,
        );
        (0..self.options.batch_size)
            .map(|_| Variation {
                stroke: self.options.augmentation.draw_stroke(&mut strokes),
                ..self.options.augmentation.draw(&mut rng)
            })
            .collect()
    }

    fn render(&self, styles: Vec<usize>, items: Vec<TrainItem>, variations: &[Variation]) -> Batch {
        let channels = self.view.channels();
        let side = self.view.size_px() as usize;
        let len = channels.count() * side * side;
        let mut images = vec![0.0; items.len() * len];
        images
            .par_chunks_mut(len)
            .enumerate()
            .for_each(|(i, planes)| {
                let rgba = self.view.rgba(styles[i], items[i]);
                let background = self.view.background();
                render(rgba, side, &variations[i], background, channels, planes);
            });
        Batch {
            images,
            styles: styles.into_iter().map(Whole::to_u32).collect(),
            items: items.into_iter().map(TrainItem::index).collect(),
        }
    }
}

/// Items drawn without repetition until all were, then shuffled anew.
struct Deck<'a> {
    items: std::borrow::Cow<'a, [TrainItem]>,
    lane: u16,
    /// The order met last: a pure function of (seed, lane, draw, epoch), kept only to save making it again.
    latest: Mutex<Option<(u64, Arc<[u32]>)>>,
}

impl<'a> Deck<'a> {
    fn new(items: std::borrow::Cow<'a, [TrainItem]>, lane: u16) -> Self {
        Self {
            items,
            lane,
            latest: Mutex::new(None),
        }
    }

    /// The `count`-th item drawn since the beginning.
    fn draw(&self, count: u64, options: &SamplerOptions) -> TrainItem {
        let len = self.items.len() as u64;
        let order = self.order(count / len, options);
        self.items[order[(count % len).to_usize()] as usize]
    }

    fn order(&self, epoch: u64, options: &SamplerOptions) -> Arc<[u32]> {
        // A panic elsewhere cannot leave half an order behind: it is written whole.
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, order)) = &*latest
            && *known == epoch
        {
            return Arc::clone(order);
        }
        let step = u64::from(options.draw) << 48 | epoch;
        let mut rng = Rng::new(options.seed, Stream::SHUFFLE.lane(self.lane), step);
        let order: Arc<[u32]> = rng.permutation(self.items.len()).into();
        *latest = Some((epoch, Arc::clone(&order)));
        order
    }
}
