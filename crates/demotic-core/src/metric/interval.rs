//! Figures with their 95 % intervals, by resampling families: pictures of one family are near-copies, so they
//! are drawn together, and the same draws serve every figure, so that differences and means of figures can be
//! resampled too.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::data::{Dataset, Split};
use crate::number::{Real, Whole};
use crate::rng::{Rng, Stream};

/// Share of resamples left out at each end of an interval.
const TAIL: f64 = 0.025;
/// Draws behind each interval.
const RESAMPLES: usize = 500;
/// Seed of those draws: the same for every run, so that intervals of two runs are of the same pictures.
const SEED: u64 = 0x0de3_071c;

/// A figure with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// The figure over all pictures.
    pub value: f64,
    /// Lower end of the percentile interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Families drawn with replacement, as many as there are, again and again.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// `[resample][family]`, how often it was drawn.
    counts: Vec<Vec<f64>>,
}

/// A figure and what became of it in every resample.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    value: f64,
    /// Not a number where no picture of the figure was drawn.
    resampled: Vec<f64>,
}

/// Numbers of the families of a split's pictures, and draws among them.
pub(super) fn families(dataset: &Dataset, split: Split) -> (BTreeMap<&str, usize>, Bootstrap) {
    let items = (0..dataset.item_count()).filter(|&item| dataset.item_split(item) == split);
    let mut families: BTreeMap<&str, usize> =
        items.map(|item| (dataset.item_family(item), 0)).collect();
    for (number, family) in families.values_mut().enumerate() {
        *family = number;
    }
    let bootstrap = Bootstrap::new(families.len(), RESAMPLES, SEED);
    (families, bootstrap)
}

impl Bootstrap {
    /// Draws `resamples` times among `families`.
    ///
    /// # Source
    /// Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, section 13.3 (percentile interval) and
    /// 8.6 (dependent data drawn as blocks).
    pub fn new(families: usize, resamples: usize, seed: u64) -> Self {
        let draw = |step: usize| {
            let mut rng = Rng::new(seed, Stream::BOOTSTRAP, step as u64);
            let mut counts = vec![0.0; families];
            for _ in 0..families {
                counts[rng.below(families.to_u32()) as usize] += 1.0;
            }
            counts
        };
        Self {
            counts: (0..resamples).map(draw).collect(),
        }
    }

    /// A figure of weighted pictures: `figure` gets each picture's weight, all one at first, then as often as
    /// its family was drawn; `families[i]` is the family of picture `i`. `None` where the figure has no value
    /// for all of them.
    pub(crate) fn spread(
        &self,
        families: &[usize],
        figure: impl Fn(&[f64]) -> Option<f64> + Sync,
    ) -> Option<Spread> {
        let value = figure(&vec![1.0; families.len()])?;
        let resampled = self.counts.par_iter().map(|counts| {
            let weights: Vec<f64> = families.iter().map(|&family| counts[family]).collect();
            figure(&weights).unwrap_or(f64::NAN)
        });
        Some(Spread {
            value,
            resampled: resampled.collect(),
        })
    }

    /// Mean over pictures; `None` of none.
    pub fn mean(&self, values: &[f64], families: &[usize]) -> Option<Spread> {
        self.spread(families, |weights| {
            let total: f64 = weights.iter().sum();
            let sum: f64 = weights.iter().zip(values).map(|(w, v)| w * v).sum();
            (total > 0.0).then(|| sum / total)
        })
    }
}

impl Spread {
    /// The figure's mean over several sets, resampled together; `None` of none.
    pub fn mean(of: &[&Self]) -> Option<Self> {
        let first = of.first()?;
        let n = of.len().to_f64();
        let resampled = (0..first.resampled.len())
            .map(|i| of.iter().map(|s| s.resampled[i]).sum::<f64>() / n)
            .collect();
        Some(Self {
            value: of.iter().map(|s| s.value).sum::<f64>() / n,
            resampled,
        })
    }

    /// The figure with its interval; both ends are the figure itself where nothing was resampled.
    pub fn estimate(&self) -> Estimate {
        let mut sorted: Vec<f64> = self
            .resampled
            .iter()
            .copied()
            .filter(|v| v.is_finite())
            .collect();
        sorted.sort_by(f64::total_cmp);
        let quantile = |share: f64| {
            let place = (share * (sorted.len().to_f64() - 1.0)).round().to_usize();
            sorted.get(place).copied().unwrap_or(self.value)
        };
        Estimate {
            value: self.value,
            low: quantile(TAIL),
            high: quantile(1.0 - TAIL),
        }
    }
}
