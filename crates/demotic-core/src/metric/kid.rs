//! Distance between two sets of feature vectors: whether translations as a whole look like the target style, where
//! pixel differences also punish honest redrawing.

use rayon::prelude::*;

use super::interval::{Bootstrap, Spread};

/// Squared maximum mean discrepancy of two sets under the kernel `k(x, y) = (x . y / d + 1)^3`, without bias:
/// `mean over i != j of k(x_i, x_j) + mean over i != j of k(y_i, y_j) - 2 mean of k(x_i, y_j)`. It may fall below 0 for
/// sets of the same distribution; `None` if a set has fewer than two vectors.
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
pub fn kernel_distance(a: &[f32], b: &[f32], dimension: usize) -> Option<f64> {
    let there = Gram::of(b, b, dimension);
    let ones = |gram: &Gram| vec![1.0; gram.columns];
    let grams = Grams::of(a, b, dimension, &there);
    grams.distance(&ones(&grams.own), &ones(&there))
}

/// [`kernel_distance`] with resampled families; those of both sets are drawn together. A vector is never paired with its
/// own copy, which would bias the estimate upwards.
///
/// # Panics
/// As [`kernel_distance`], and if there are not as many families as vectors.
pub fn kernel_spread(
    a: &[f32],
    b: &[f32],
    dimension: usize,
    families: [&[usize]; 2],
    bootstrap: &Bootstrap,
) -> Option<Spread> {
    let there = Gram::of(b, b, dimension);
    Grams::of(a, b, dimension, &there).spread(families, bootstrap)
}

/// Kernel values of every vector of one set with every one of another.
pub(super) struct Gram {
    values: Vec<f64>,
    columns: usize,
}

/// One set, another, and both together.
pub(super) struct Grams<'a> {
    own: Gram,
    there: &'a Gram,
    across: Gram,
}

impl Gram {
    pub(super) fn of(a: &[f32], b: &[f32], dimension: usize) -> Self {
        assert!(dimension > 0, "features without a dimension");
        assert_eq!(a.len() % dimension, 0, "features of another dimension");
        assert_eq!(b.len() % dimension, 0, "features of another dimension");
        let columns = b.len() / dimension;
        let mut values = vec![0.0; a.len() / dimension * columns];
        values
            .par_chunks_mut(columns.max(1))
            .zip(a.par_chunks_exact(dimension))
            .for_each(|(row, x)| {
                for (value, y) in row.iter_mut().zip(b.chunks_exact(dimension)) {
                    let products = x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y));
                    *value = (products.sum::<f64>() / dimension as f64 + 1.0).powi(3);
                }
            });
        Self { values, columns }
    }

    /// Weighted mean of `k_ij` over `i != j`; `None` if no two vectors count.
    fn mean_off_diagonal(&self, weights: &[f64]) -> Option<f64> {
        let mut sum = 0.0;
        for (i, row) in self.values.chunks_exact(self.columns).enumerate() {
            if weights[i] > 0.0 {
                let products = row.iter().zip(weights).map(|(k, w)| k * w);
                sum += weights[i] * (products.sum::<f64>() - row[i] * weights[i]);
            }
        }
        let total: f64 = weights.iter().sum();
        let pairs = total * total - weights.iter().map(|w| w * w).sum::<f64>();
        (pairs > 0.0).then(|| sum / pairs)
    }
}

impl<'a> Grams<'a> {
    /// Sets `a` and `b`; `there` is the gram of `b` with itself.
    pub(super) fn of(a: &[f32], b: &[f32], dimension: usize, there: &'a Gram) -> Self {
        Self {
            own: Gram::of(a, a, dimension),
            there,
            across: Gram::of(a, b, dimension),
        }
    }

    /// The distance with every vector counted by its weight; `None` if a set has no pair.
    fn distance(&self, a: &[f64], b: &[f64]) -> Option<f64> {
        let mut across = 0.0;
        let rows = self.across.values.chunks_exact(self.across.columns.max(1));
        for (row, &weight) in rows.zip(a) {
            if weight > 0.0 {
                across += weight * row.iter().zip(b).map(|(k, w)| k * w).sum::<f64>();
            }
        }
        let pairs = a.iter().sum::<f64>() * b.iter().sum::<f64>();
        let (own, there) = (
            self.own.mean_off_diagonal(a)?,
            self.there.mean_off_diagonal(b)?,
        );
        Some(own + there - 2.0 * across / pairs)
    }

    pub(super) fn spread(&self, families: [&[usize]; 2], bootstrap: &Bootstrap) -> Option<Spread> {
        let [a, b] = families;
        assert_eq!(
            (a.len(), b.len()),
            (self.own.columns, self.there.columns),
            "a family a vector"
        );
        bootstrap.spread(&[a, b].concat(), |weights| {
            let (a, b) = weights.split_at(a.len());
            self.distance(a, b)
        })
    }
}
