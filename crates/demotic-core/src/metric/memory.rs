//! What the network of the metrics saw of a data set's pictures: however many figures ask for a picture, it
//! is looked at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::baseline::Nearest;
use super::features::{Seen, pooled, see};
use crate::data::{Dataset, Split};
use crate::model::CHUNK;

/// Pictures whose maps are kept, of 430 kB each: 500 MB, enough for the held-out emoji of all six styles.
const REMEMBERED: usize = 1200;

/// Looks at a data set's pictures. Of all of them it remembers the channel means (5 kB each), of some the
/// maps, too.
#[doc(hidden)]
pub struct Memory<'a> {
    pub(super) dataset: &'a Dataset,
    /// By style and item; at most [`REMEMBERED`].
    seen: BTreeMap<(usize, usize), Arc<Seen>>,
    /// [`Seen::pooled`] by style and item.
    pooled: BTreeMap<(usize, usize), Vec<f32>>,
    looks: usize,
}

impl<'a> Memory<'a> {
    /// Has seen nothing yet.
    pub fn new(dataset: &'a Dataset) -> Self {
        Self {
            dataset,
            seen: BTreeMap::new(),
            pooled: BTreeMap::new(),
            looks: 0,
        }
    }

    /// How often it looked at a picture: a picture that it looked at twice counts twice.
    pub fn looks(&self) -> usize {
        self.looks
    }

    /// Looks at the pictures of `split` that have a counterpart in another style, and keeps their maps while
    /// there is room: the input of one direction is the truth of another.
    pub(super) fn remember(&mut self, split: Split) {
        let dataset = self.dataset;
        let styles = dataset.styles().len();
        for style in 0..styles {
            let is_paired = |item: &usize| {
                (0..styles).any(|other| other != style && dataset.has_picture(other, *item))
            };
            let items = dataset.items(style, split).iter().copied();
            let room = REMEMBERED - self.seen.len();
            let items: Vec<usize> = items.filter(is_paired).take(room).collect();
            for items in items.chunks(CHUNK) {
                let seen = self.see(style, items);
                let keys = items.iter().map(|&item| (style, item));
                self.seen.extend(keys.zip(seen));
            }
        }
    }

    /// Drops the maps, and keeps the means.
    pub(super) fn forget_maps(&mut self) {
        self.seen.clear();
    }

    /// Maps and means of different pictures of a style.
    pub(super) fn see(&mut self, style: usize, items: &[usize]) -> Vec<Arc<Seen>> {
        let is_new = |item: &usize| !self.seen.contains_key(&(style, *item));
        let fresh: Vec<usize> = items.iter().copied().filter(is_new).collect();
        let new = see(&self.dataset.pictures(style, &fresh), self.side());
        self.note(style, &fresh, new.iter().map(|seen| seen.pooled.clone()));
        let mut new = new.into_iter().map(Arc::new);
        let mut next = || new.next().expect("every new picture was looked at");
        let each = items.iter().map(|&item| self.seen.get(&(style, item)));
        each.map(|known| known.map_or_else(&mut next, Arc::clone))
            .collect()
    }

    /// [`Seen::pooled`] of pictures of a style, one after the other; new ones among them are different.
    pub(super) fn pooled(&mut self, style: usize, items: &[usize]) -> Vec<f32> {
        let is_new = |item: &usize| !self.pooled.contains_key(&(style, *item));
        let fresh: Vec<usize> = items.iter().copied().filter(is_new).collect();
        for fresh in fresh.chunks(CHUNK) {
            let new = pooled(&self.dataset.pictures(style, fresh), self.side());
            let each = new.chunks_exact(Seen::POOLED).map(<[f32]>::to_vec);
            self.note(style, fresh, each);
        }
        let each = items.iter().map(|&item| &self.pooled[&(style, item)]);
        each.flatten().copied().collect()
    }

    fn note(&mut self, style: usize, items: &[usize], pooled: impl Iterator<Item = Vec<f32>>) {
        self.looks += items.len();
        let keys = items.iter().map(|&item| (style, item));
        self.pooled.extend(keys.zip(pooled));
    }

    fn side(&self) -> usize {
        self.dataset.size_px() as usize
    }
}

/// What the baseline of nearest training pictures answers in every direction, found before the first one is
/// scored: a training picture answers for several held-out ones and in several directions, and is looked at
/// once for all of them.
pub(super) struct Answers {
    /// By source style, target style and held-out item: the training item.
    items: BTreeMap<[usize; 3], usize>,
    /// By target style, training item and held-out item: the perceptual distance of the two pictures of that
    /// style; `None` until it is measured.
    distances: BTreeMap<[usize; 3], Option<f64>>,
}

impl Answers {
    pub(super) fn new(dataset: &Dataset, split: Split) -> Self {
        let styles = dataset.styles().len();
        let mut found = Self {
            items: BTreeMap::new(),
            distances: BTreeMap::new(),
        };
        for from in 0..styles {
            for chunk in dataset.items(from, split).chunks(CHUNK) {
                let pictures = dataset.pictures(from, chunk);
                let nearest = Nearest::new(dataset.training(), from, &pictures);
                for to in (0..styles).filter(|&to| to != from) {
                    let answers = nearest.items(to).into_iter().flatten();
                    for (&item, answer) in chunk.iter().zip(answers) {
                        if dataset.has_picture(to, item) {
                            found.items.insert([from, to, item], answer.index());
                            found.distances.insert([to, answer.index(), item], None);
                        }
                    }
                }
            }
        }
        found
    }

    /// Training items that answer for held-out ones of style `from` in style `to`; `None` if the styles have
    /// no training pair.
    pub(super) fn items(&self, from: usize, to: usize, items: &[usize]) -> Option<Vec<usize>> {
        let answer = |&item: &usize| self.items.get(&[from, to, item]).copied();
        items.iter().map(answer).collect()
    }

    /// Perceptual distances of `answers` from `truths`, the pictures of the held-out `items` (ascending) of
    /// the same style.
    pub(super) fn distances(
        &mut self,
        memory: &mut Memory<'_>,
        style: usize,
        answers: &[usize],
        items: &[usize],
        truths: &[Arc<Seen>],
    ) -> Vec<f64> {
        let keys = answers.iter().zip(items);
        let keys = keys.map(|(&answer, &item)| [style, answer, item]);
        let unknown = keys.clone().filter(|key| self.distances[key].is_none());
        let unknown: BTreeSet<usize> = unknown.map(|[_, answer, _]| answer).collect();
        let unknown: Vec<usize> = unknown.into_iter().collect();
        for (&answer, seen) in unknown.iter().zip(memory.see(style, &unknown)) {
            // From all pictures that it answers for and whose maps are there: it is not looked at again.
            let all = [style, answer, 0]..=[style, answer, usize::MAX];
            for ([_, _, item], distance) in self.distances.range_mut(all) {
                let truth = match items.binary_search(item) {
                    Ok(place) => Some(&truths[place]),
                    Err(_) => memory.seen.get(&(style, *item)),
                };
                if let Some(truth) = truth {
                    *distance = Some(seen.perceptual(truth));
                }
            }
        }
        keys.map(|key| self.distances[&key].expect("measured just now"))
            .collect()
    }
}
