//! Figures on validation pictures at every checkpoint, and which of them names the best one.
//!
//! A fixed small choice of pictures: cheap enough for every checkpoint, the same ones throughout a run. The
//! figures of a finished run come from all test pictures (`evaluation`).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::number::{Real, Whole};
use burn::tensor::Device;

use super::features::{Seen, pooled, see};
use super::kid::{LEAST_SET, kernel_distance};
use super::scores;
use crate::data::{Dataset, Split};
use crate::error::Error;
use crate::model::Generator;
use crate::settings::BestMetric;
use crate::train::Validation;
use crate::translate;

/// Pictures translated and scored at a checkpoint, over all directions.
const PAIRS: usize = 256;
/// Pictures of a style that translations into it are compared with as a set.
const SET: usize = 128;
/// What weighs as much as 1 of the perceptual distance, in `overall`: the damage that moves one by about 1
/// moves the other by about as much (`docs/scoring.md`).
const KID_OF_ONE: f64 = 200.0;
/// Pictures translated there and back at a checkpoint, over all styles.
const CYCLES: usize = 64;

/// Pictures of one direction.
#[derive(Debug)]
struct Direction {
    from: usize,
    to: usize,
    items: Vec<usize>,
    /// Whether the true pictures are there.
    is_paired: bool,
}

/// True pictures, as the network of the metrics sees them.
#[derive(Debug)]
struct Truths {
    /// By direction; none where it has no pairs.
    paired: Vec<Vec<Seen>>,
    /// By style, the pooled features of its set.
    sets: Vec<Vec<f32>>,
}

/// Scores a generator on a fixed choice of validation pictures.
pub struct Validator<'a> {
    dataset: &'a Dataset,
    /// Directions that are translated; those without pairs only where the metric can use them.
    directions: Vec<Direction>,
    cycles: Vec<Direction>,
    /// By style.
    sets: Vec<Vec<usize>>,
    metric: BestMetric,
    truths: OnceLock<Truths>,
}

impl<'a> Validator<'a> {
    /// Chooses the pictures; none where the data set has no validation pictures.
    ///
    /// # Errors
    /// [`Error::Config`] where the metric cannot be measured on this data set's validation pictures.
    pub fn new(dataset: &'a Dataset, metric: BestMetric) -> Result<Option<Self>, Error> {
        let styles = dataset.styles().len();
        let count = PAIRS.div_ceil(styles * (styles - 1));
        let of = |style: usize| dataset.items(style, Split::Validation);
        let mut directions = Vec::new();
        let mut cycles = Vec::new();
        for from in 0..styles {
            let items = evenly(of(from), CYCLES.div_ceil(styles));
            if !items.is_empty() {
                cycles.push(Direction {
                    from,
                    to: (from + 1) % styles,
                    items,
                    is_paired: false,
                });
            }
            for to in (0..styles).filter(|&to| to != from) {
                let paired = dataset.pairs(from, to, Split::Validation);
                let is_paired = !paired.is_empty();
                let items = evenly(if is_paired { &paired } else { of(from) }, count);
                if !items.is_empty() {
                    directions.push(Direction {
                        from,
                        to,
                        items,
                        is_paired,
                    });
                }
            }
        }
        let has_pairs = directions.iter().any(|d| d.is_paired);
        let sets: Vec<Vec<usize>> = (0..styles).map(|style| evenly(of(style), SET)).collect();
        // A style whose set, or what is translated into it, is too small; and how many pictures there are.
        let small = (0..styles).find_map(|style| {
            let into = directions.iter().filter(|d| d.to == style);
            let least = sets[style].len().min(into.map(|d| d.items.len()).sum());
            (least < LEAST_SET).then_some((style, least))
        });
        let needs_pairs = matches!(
            metric,
            BestMetric::L1
                | BestMetric::Psnr
                | BestMetric::Ssim
                | BestMetric::Perceptual
                | BestMetric::Overall
        );
        if needs_pairs && !has_pairs {
            return Err(Error::Config(vec![format!(
                "train.best_metric: `{}` needs validation pictures with a counterpart of the same name in another style; this \
                 data set has none: use `kid`, `cycle_l1` or `auto`",
                metric.name()
            )]));
        }
        if let (BestMetric::Kid | BestMetric::Overall, Some((style, least))) = (metric, small) {
            return Err(Error::Config(vec![format!(
                "train.best_metric: `{}` needs {LEAST_SET} validation pictures of every style, and as many to translate into it; \
                 `{}` has {least}: use `auto`, or give more pictures",
                metric.name(),
                dataset.styles()[style].name
            )]));
        }
        if cycles.is_empty() {
            return Ok(None);
        }
        let metric = match (metric, has_pairs, small) {
            (BestMetric::Auto, true, None) => BestMetric::Overall,
            (BestMetric::Auto, true, Some(_)) => BestMetric::Perceptual,
            (BestMetric::Auto, false, None) => BestMetric::Kid,
            (BestMetric::Auto, false, Some(_)) => BestMetric::CycleL1,
            (chosen, ..) => chosen,
        };
        let takes_sets = matches!(metric, BestMetric::Kid | BestMetric::Overall);
        directions.retain(|d| d.is_paired || takes_sets);
        Ok(Some(Self {
            dataset,
            directions,
            cycles,
            sets: if takes_sets { sets } else { Vec::new() },
            metric,
            truths: OnceLock::new(),
        }))
    }

    /// The figure that names the best checkpoint.
    pub fn metric(&self) -> BestMetric {
        self.metric
    }

    /// Which pictures, in words.
    pub fn what(&self) -> String {
        let paired = self.directions.iter().filter(|d| d.is_paired);
        let pairs: usize = paired.clone().map(|d| d.items.len()).sum();
        let in_sets: usize = self.sets.iter().map(Vec::len).sum();
        let there_and_back: usize = self.cycles.iter().map(|d| d.items.len()).sum();
        let mut parts = Vec::new();
        if pairs > 0 {
            let few = if pairs < LEAST_SET {
                " (few: chance has a say)"
            } else {
                ""
            };
            parts.push(format!(
                "{pairs} validation pairs over {} directions{few}",
                paired.count()
            ));
        }
        if in_sets > 0 {
            parts.push(format!("sets of {in_sets} validation pictures"));
        }
        parts.push(format!("{there_and_back} pictures there and back"));
        parts.join(", ")
    }

    /// Which pictures, the metric and the figures of a generator.
    pub fn validation(&self, generator: &Generator, device: &Device) -> Validation {
        Validation {
            what: self.what(),
            figures: self.figures(generator, device),
            metric: self.metric,
        }
    }

    fn truths(&self) -> &Truths {
        let side = self.dataset.size_px() as usize;
        let is_seen = matches!(self.metric, BestMetric::Perceptual | BestMetric::Overall);
        let paired = |d: &Direction| {
            if d.is_paired && is_seen {
                see(&self.dataset.pictures(d.to, &d.items), side)
            } else {
                Vec::new()
            }
        };
        self.truths.get_or_init(|| {
            let paired: Vec<Vec<Seen>> = self.directions.iter().map(paired).collect();
            let set = |(style, items): (usize, &Vec<usize>)| {
                // Where every picture has a counterpart, they were seen already.
                let mut known = self.directions.iter().zip(&paired);
                match known.find(|(d, seen)| {
                    d.to == style && d.items == *items && seen.len() == items.len()
                }) {
                    Some((_, seen)) => seen.iter().flat_map(|s| s.pooled.clone()).collect(),
                    None => pooled(&self.dataset.pictures(style, items), side),
                }
            };
            Truths {
                sets: self.sets.iter().enumerate().map(set).collect(),
                paired,
            }
        })
    }

    /// Figures by name, each the mean over directions or, of sets, over styles; those that the network of the
    /// metrics sees only where they name the best.
    pub fn figures(&self, generator: &Generator, device: &Device) -> BTreeMap<String, f32> {
        let size = self.dataset.size_px() as usize;
        let translated = |pictures: &[f32], to: usize, n: usize| {
            translate::translate(generator, device, pictures, size, &vec![to.to_u32(); n])
        };
        let mut sums: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
        let mut add = |name, value: f64| {
            let (sum, count) = sums.entry(name).or_default();
            *sum += value;
            *count += 1;
        };
        let takes_network = matches!(
            self.metric,
            BestMetric::Perceptual | BestMetric::Kid | BestMetric::Overall
        );
        // By style: pooled features of what was translated into it, and the place of each one's counterpart
        // in the style's set.
        let mut into = vec![(Vec::new(), Vec::new()); self.sets.len()];
        for (place, d) in self.directions.iter().enumerate() {
            let sources = self.dataset.network_pictures(d.from, &d.items);
            let fakes = self
                .dataset
                .shown(&translated(&sources, d.to, d.items.len()));
            if d.is_paired {
                let truths = self.dataset.pictures(d.to, &d.items);
                if let Some(scores) = scores::mean_scores(&fakes, &truths, size) {
                    add("l1", scores.l1);
                    add("psnr", scores.psnr);
                    add("ssim", scores.ssim);
                }
            }
            if !takes_network {
                continue;
            }
            let seen = see(&fakes, size);
            let truths = &self.truths().paired[place];
            if !truths.is_empty() {
                let distances = seen.iter().zip(truths).map(|(a, b)| a.perceptual(b));
                add("perceptual", distances.sum::<f64>() / seen.len().to_f64());
            }
            if let (Some((features, counterparts)), Some(set)) =
                (into.get_mut(d.to), self.sets.get(d.to))
            {
                features.extend(seen.into_iter().flat_map(|seen| seen.pooled));
                let place = |item: &usize| set.binary_search(item).ok();
                counterparts.extend(d.items.iter().map(place));
            }
        }
        for (style, (features, counterparts)) in into.iter().enumerate() {
            let truths = &self.truths().sets[style];
            let kid = kernel_distance(features, truths, Seen::POOLED, counterparts);
            add("kid", kid.unwrap_or(f64::NAN));
        }
        for d in &self.cycles {
            let n = d.items.len();
            let sources = self.dataset.network_pictures(d.from, &d.items);
            let fakes = translated(&sources, d.to, n);
            let back = self.dataset.shown(&translated(&fakes, d.from, n));
            let pictures = self.dataset.pictures(d.from, &d.items);
            add("cycle_l1", scores::l1(&back, &pictures));
        }
        let means = sums.into_iter();
        let mut figures: BTreeMap<String, f32> = means
            .map(|(name, (sum, count))| (name.to_owned(), (sum / count.to_f64()).to_f32()))
            .collect();
        if self.metric == BestMetric::Overall {
            let overall = figures["perceptual"] + figures["kid"] / KID_OF_ONE.to_f32();
            figures.insert(self.metric.name().to_owned(), overall);
        }
        figures
    }
}

/// At most `count` items, evenly chosen.
fn evenly(items: &[usize], count: usize) -> Vec<usize> {
    let count = count.min(items.len());
    (0..count).map(|i| items[i * items.len() / count]).collect()
}
