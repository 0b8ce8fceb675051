//! Distance between two sets of feature vectors: whether translations as a whole look like the target style, where
//! pixel differences also punish honest redrawing.

use serde::{Deserialize, Serialize};

use crate::rng::{Rng, Stream};

/// Share of resamples left out at each end of the interval.
const TAIL: f64 = 0.025;

/// Kernel distance with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KernelDistance {
    /// Unbiased estimate; may fall below 0 for sets of the same distribution.
    pub value: f64,
    /// Lower end of the bootstrap interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Squared maximum mean discrepancy of two sets under the kernel `k(x, y) = (x . y / d + 1)^3`, without bias:
/// `mean over i != j of k(x_i, x_j) + mean over i != j of k(y_i, y_j) - 2 mean of k(x_i, y_j)`.
///
/// The interval is a percentile bootstrap: both sets are resampled `resamples` times; a vector is never paired with its
/// own copy, which would bias the estimate upwards. `None` if a set has fewer than two vectors.
///
/// # Shapes
/// - `a`: `[n, dimension]`, `b`: `[m, dimension]`
///
/// # Panics
/// If `dimension` is 0 or a length is not a multiple of it.
///
/// # Source
/// Binkowski, Sutherland, Arbel, Gretton, *Demystifying MMD GANs*, ICLR 2018 (KID); Gretton et al., *A Kernel Two-Sample
/// Test*, JMLR 2012, equation 3.
pub fn kernel_distance(
    a: &[f32],
    b: &[f32],
    dimension: usize,
    resamples: usize,
    seed: u64,
) -> Option<KernelDistance> {
    assert!(dimension > 0, "features without a dimension");
    assert_eq!(a.len() % dimension, 0, "features of another dimension");
    assert_eq!(b.len() % dimension, 0, "features of another dimension");
    let (n, m) = (a.len() / dimension, b.len() / dimension);
    if n < 2 || m < 2 {
        return None;
    }
    let grams = Grams {
        aa: gram(a, a, dimension),
        bb: gram(b, b, dimension),
        ab: gram(a, b, dimension),
        n,
        m,
    };
    let value = grams.distance(&vec![1.0; n], &vec![1.0; m])?;
    let mut distances = Vec::with_capacity(resamples);
    for step in 0..resamples {
        let mut rng = Rng::new(seed, Stream::BOOTSTRAP, step as u64);
        let mut counts = |len: usize| {
            let mut counts = vec![0.0; len];
            for _ in 0..len {
                counts[rng.below(len as u32) as usize] += 1.0;
            }
            counts
        };
        // A resample of one vector alone has no pair: as rare as n^(1-n), left out.
        distances.extend(grams.distance(&counts(n), &counts(m)));
    }
    distances.sort_by(f64::total_cmp);
    let quantile = |share: f64| {
        let place = (share * (distances.len() as f64 - 1.0)).round() as usize;
        distances.get(place).copied().unwrap_or(value)
    };
    Some(KernelDistance {
        value,
        low: quantile(TAIL),
        high: quantile(1.0 - TAIL),
    })
}

struct Grams {
    aa: Vec<f64>,
    bb: Vec<f64>,
    ab: Vec<f64>,
    n: usize,
    m: usize,
}

fn gram(a: &[f32], b: &[f32], dimension: usize) -> Vec<f64> {
    let mut values = Vec::with_capacity(a.len() / dimension * (b.len() / dimension));
    for x in a.chunks_exact(dimension) {
        for y in b.chunks_exact(dimension) {
            let products = x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y));
            let product: f64 = products.sum();
            values.push((product / dimension as f64 + 1.0).powi(3));
        }
    }
    values
}

impl Grams {
    /// The distance with every vector counted as often as it was drawn; `None` if a set has no pair.
    fn distance(&self, a: &[f64], b: &[f64]) -> Option<f64> {
        let aa = mean_off_diagonal(&self.aa, a)?;
        let bb = mean_off_diagonal(&self.bb, b)?;
        let mut cross = 0.0;
        for (row, &weight) in self.ab.chunks_exact(self.m).zip(a) {
            cross += weight * row.iter().zip(b).map(|(k, w)| k * w).sum::<f64>();
        }
        Some(aa + bb - 2.0 * cross / (self.n * self.m) as f64)
    }
}

/// Weighted mean of `k_ij` over `i != j`.
fn mean_off_diagonal(gram: &[f64], weights: &[f64]) -> Option<f64> {
    let n = weights.len();
    let (mut sum, mut pairs) = (0.0, 0.0);
    for (i, row) in gram.chunks_exact(n).enumerate() {
        for (j, &value) in row.iter().enumerate() {
            if i != j {
                sum += weights[i] * weights[j] * value;
                pairs += weights[i] * weights[j];
            }
        }
    }
    (pairs > 0.0).then(|| sum / pairs)
}
