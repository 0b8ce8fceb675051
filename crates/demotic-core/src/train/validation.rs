//! Figures on validation pictures at every checkpoint, and which of them names the best one.
//!
//! A fixed small choice of pictures: cheap enough for every checkpoint, the same ones throughout a run. The figures of a
//! finished run come from all test pictures (`metric`).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::data::{Dataset, Split};
use crate::error::Error;
use crate::metric::{self, FeatureSet, Features, kernel_distance};
use crate::model::Generator;
use crate::translate;

/// Pairs scored at a checkpoint, over all directions.
const PAIRS: usize = 256;
/// Pictures drawn there and back at a checkpoint, over all styles.
const CYCLES: usize = 64;

/// Which figure names the best checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BestMetric {
    /// `perceptual` where validation pictures have counterparts, else `kid`; `cycle_l1` where no style has two of them.
    Auto,
    /// Mean absolute error against the true picture; lower is better.
    L1,
    /// Peak signal-to-noise ratio against the true picture; higher is better.
    Psnr,
    /// Structural similarity with the true picture; higher is better.
    Ssim,
    /// Perceptual distance to the true picture; lower is better. Unlike those by pixel, it is not at its best for a
    /// generator that leaves the outlines of the input as they are.
    Perceptual,
    /// Kernel distance between translations and pictures of their style; lower is better. Needs no pairs.
    Kid,
    /// Mean absolute error of a picture translated there and back; lower is better. Needs no pairs, and is the best of
    /// all for a generator that changes nothing.
    CycleL1,
}

impl BestMetric {
    /// As the configuration and the figures have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::L1 => "l1",
            Self::Psnr => "psnr",
            Self::Ssim => "ssim",
            Self::Perceptual => "perceptual",
            Self::Kid => "kid",
            Self::CycleL1 => "cycle_l1",
        }
    }

    /// True where `new` is better than `old`.
    pub fn improves(self, new: f32, old: f32) -> bool {
        match self {
            Self::L1 | Self::Perceptual | Self::Kid | Self::CycleL1 => new < old,
            Self::Auto | Self::Psnr | Self::Ssim => new > old,
        }
    }
}

/// The best checkpoint so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Its step.
    pub step: u64,
    /// The figure it is the best by.
    pub metric: String,
    /// That figure.
    pub value: f32,
}

/// Pictures of one direction.
#[derive(Debug)]
struct Direction {
    from: usize,
    to: usize,
    items: Vec<usize>,
}

/// Scores a generator on a fixed choice of validation pictures.
pub struct Validator<'a> {
    dataset: &'a Dataset,
    pairs: Vec<Direction>,
    cycles: Vec<Direction>,
    metric: BestMetric,
    /// What the feature network makes of the true pictures of `pairs`, once it was asked.
    truths: OnceLock<Vec<FeatureSet>>,
}

impl<'a> Validator<'a> {
    /// Chooses the pictures; none where the data set has no validation pictures.
    ///
    /// # Errors
    /// [`Error::Config`] where the metric needs counterparts and there are none.
    pub fn new(dataset: &'a Dataset, metric: BestMetric) -> Result<Option<Self>, Error> {
        let styles = dataset.styles().len();
        let directions = styles * (styles - 1);
        let mut pairs = Vec::new();
        let mut cycles = Vec::new();
        for from in 0..styles {
            let all = dataset.items(from, Split::Validation);
            let items = spread(all, CYCLES.div_ceil(styles));
            if !items.is_empty() {
                cycles.push(Direction {
                    from,
                    to: (from + 1) % styles,
                    items,
                });
            }
            for to in (0..styles).filter(|&to| to != from) {
                let paired: Vec<usize> = all
                    .iter()
                    .copied()
                    .filter(|&item| dataset.has_picture(to, item))
                    .collect();
                let items = spread(&paired, PAIRS.div_ceil(directions));
                if !items.is_empty() {
                    pairs.push(Direction { from, to, items });
                }
            }
        }
        let needs_pairs = matches!(
            metric,
            BestMetric::L1 | BestMetric::Psnr | BestMetric::Ssim | BestMetric::Perceptual
        );
        if needs_pairs && pairs.is_empty() {
            return Err(Error::Config(vec![format!(
                "train.best_metric: `{}` needs validation pictures with a counterpart of the same name in another style; this \
                 data set has none: use `kid`, `cycle_l1` or `auto`",
                metric.name()
            )]));
        }
        if cycles.is_empty() {
            return Ok(None);
        }
        let metric = match metric {
            // Two pictures a set are the least for a kernel distance.
            BestMetric::Auto if pairs.is_empty() && cycles.iter().all(|d| d.items.len() < 2) => {
                BestMetric::CycleL1
            }
            BestMetric::Auto if pairs.is_empty() => BestMetric::Kid,
            BestMetric::Auto => BestMetric::Perceptual,
            chosen => chosen,
        };
        Ok(Some(Self {
            dataset,
            pairs,
            cycles,
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
        let count =
            |directions: &[Direction]| directions.iter().map(|d| d.items.len()).sum::<usize>();
        format!(
            "{} validation pairs over {} directions, {} pictures there and back",
            count(&self.pairs),
            self.pairs.len(),
            count(&self.cycles)
        )
    }

    fn truths(&self) -> &[FeatureSet] {
        self.truths.get_or_init(|| {
            let size = self.dataset.size_px() as usize;
            let of = |d: &Direction| {
                Features::embedded().of(&self.dataset.pictures(d.to, &d.items), size)
            };
            self.pairs.iter().map(of).collect()
        })
    }

    /// Figures by name, each the mean over directions; those that take the feature network only where they name the best.
    pub fn figures(&self, generator: &Generator, device: &Device) -> BTreeMap<String, f32> {
        let size = self.dataset.size_px() as usize;
        let translated = |pictures: &[f32], to: usize, n: usize| {
            translate::translate(generator, device, pictures, size, &vec![to as u32; n])
        };
        let mut sums: BTreeMap<String, (f64, usize)> = BTreeMap::new();
        let mut add = |name: &str, value: f64| {
            let (sum, count) = sums.entry(name.to_owned()).or_default();
            *sum += value;
            *count += 1;
        };
        for (place, d) in self.pairs.iter().enumerate() {
            let made = translated(
                &self.dataset.network_pictures(d.from, &d.items),
                d.to,
                d.items.len(),
            );
            let made = self.dataset.shown(&made);
            let truths = self.dataset.pictures(d.to, &d.items);
            if let Some(scores) = metric::evaluate_pairs(&made, &truths, size) {
                add("l1", scores.l1);
                add("psnr", scores.psnr);
                add("ssim", scores.ssim);
            }
            if self.metric == BestMetric::Perceptual {
                let seen = Features::embedded().of(&made, size);
                let truths = &self.truths()[place];
                let distances = (0..seen.len()).map(|i| seen.perceptual(i, truths, i));
                add("perceptual", distances.sum::<f64>() / seen.len() as f64);
            }
        }
        for d in &self.cycles {
            let n = d.items.len();
            let sources = self.dataset.network_pictures(d.from, &d.items);
            let made = translated(&sources, d.to, n);
            let back = self.dataset.shown(&translated(&made, d.from, n));
            let pictures = self.dataset.pictures(d.from, &d.items);
            add("cycle_l1", metric::l1(&back, &pictures));
            if self.metric == BestMetric::Kid {
                let of_style = self.cycles.iter().find(|other| other.from == d.to);
                let there = of_style.map_or(&[][..], |of_style| &of_style.items);
                let counterparts: Vec<Option<usize>> = d
                    .items
                    .iter()
                    .map(|item| there.iter().position(|other| other == item))
                    .collect();
                let look = |pictures: &[f32]| Features::embedded().of(pictures, size).look;
                if let Some(distance) = kernel_distance(
                    &look(&self.dataset.shown(&made)),
                    &look(&self.dataset.pictures(d.to, there)),
                    Features::DIMENSION,
                    &counterparts,
                ) {
                    add("kid", distance);
                }
            }
        }
        sums.into_iter()
            .map(|(name, (sum, count))| (name, (sum / count as f64) as f32))
            .collect()
    }
}

/// At most `count` items, evenly chosen.
fn spread(items: &[usize], count: usize) -> Vec<usize> {
    let count = count.min(items.len());
    (0..count).map(|i| items[i * items.len() / count]).collect()
}
