//! What is looked at in a picture to tell its idea: directions of the feature network in which ideas differ
//! and foundries agree.

use crate::metric::Seen;

/// Values of what the network sees of a picture.
pub(super) const WIDTH: usize = Seen::POOLED;
/// Directions that are kept.
pub(super) const KEPT: usize = 96;

/// A linear map from the network's features to those that distinguish ideas.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Eyes {
    /// `[WIDTH]`
    pub(super) mean: Vec<f32>,
    /// `[KEPT, WIDTH]`
    pub(super) basis: Vec<f32>,
}

impl Eyes {
    /// What of a picture distinguishes its idea, of length 1: `[KEPT]`.
    pub(super) fn look(&self, seen: &[f32]) -> Vec<f32> {
        let apart: Vec<f32> = seen.iter().zip(&self.mean).map(|(v, m)| v - m).collect();
        let axes = self.basis.chunks_exact(WIDTH);
        unit(axes.map(|axis| product(axis, &apart) as f32).collect())
    }
}

/// The vector scaled to length 1.
pub(super) fn unit(mut values: Vec<f32>) -> Vec<f32> {
    let length = product(&values, &values).sqrt().max(1e-12) as f32;
    for value in &mut values {
        *value /= length;
    }
    values
}

pub(super) fn product(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum()
}
