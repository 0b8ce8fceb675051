//! Differences between a picture and the truth. Pictures are `[3, side, side]` in [-1, 1]; every figure is in
//! units of the range [0, 1].

use crate::number::Real;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// PSNR of identical pictures, and the highest there is: the mean squared error counts as at least 1e-10.
pub const MAX_PSNR: f64 = 100.0;
/// Side of the Gaussian window of SSIM.
const WINDOW_SIDE: usize = 11;
/// Its standard deviation, in pixels, at full size.
const WINDOW_SIGMA: f64 = 1.5;
/// `(0.01 * range)^2`, with a range of 1.
const C1: f64 = 1e-4;
/// `(0.03 * range)^2`.
const C2: f64 = 9e-4;

/// The three figures of a picture, or their means over pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// Mean absolute difference, 0 to 1; lower is better.
    pub l1: f64,
    /// Peak signal-to-noise ratio in dB, at most [`MAX_PSNR`]; higher is better.
    pub psnr: f64,
    /// Structural similarity, at most 1; higher is better.
    pub ssim: f64,
}

/// Sum of `term` over two equally long runs of values, in sixteen sums side by side: several times faster
/// than one after the other.
pub(crate) fn summed(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let (a, a_rest) = a.as_chunks::<16>();
    let (b, b_rest) = b.as_chunks::<16>();
    let mut sums = [0.0_f32; 16];
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += term(*a, *b);
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| term(*a, *b));
    sums.iter().sum::<f32>() + rest.sum::<f32>()
}

/// Mean absolute difference in units of [0, 1]: `mean |a - b| / 2` for values in [-1, 1].
///
/// # Panics
/// If the lengths differ.
pub fn l1(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "pictures of different sizes");
    let total: f64 = a
        .iter()
        .zip(b)
        .map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs())
        .sum();
    total / (2.0 * a.len().to_f64())
}

/// Peak signal-to-noise ratio in dB with a peak of 1: `-10 log10(mean ((a - b) / 2)^2)` for values in [-1,
/// 1].
///
/// Identical pictures have [`MAX_PSNR`], so that means over pictures stay finite.
///
/// # Panics
/// If the lengths differ.
pub fn psnr(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "pictures of different sizes");
    let total: f64 = a
        .iter()
        .zip(b)
        .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
        .sum();
    let mean_square = total / (4.0 * a.len().to_f64());
    -10.0 * mean_square.max(1e-10).log10()
}

/// Structural similarity, per channel, averaged over red, green and blue: `mean over windows of (2 m_a m_b +
/// C1)(2 s_ab + C2) / ((m_a^2 + m_b^2 + C1)(s_a^2 + s_b^2 + C2))`.
///
/// The window is an 11 x 11 Gaussian of standard deviation 1.5; only windows inside the picture count
/// ("valid"). A picture smaller than 11 px gets the largest odd window that fits, its standard deviation
/// scaled alike.
///
/// # Shapes
/// - `a`, `b`: `[3, side_px, side_px]`, in [-1, 1]
///
/// # Panics
/// If a length is not that of the shape.
///
/// # Source
/// Wang, Bovik, Sheikh, Simoncelli, *Image Quality Assessment*, IEEE TIP 2004, equation 13, K1 = 0.01, K2 =
/// 0.03.
pub fn ssim(a: &[f32], b: &[f32], side_px: usize) -> f64 {
    let plane = side_px * side_px;
    assert!(plane > 0, "an empty picture");
    assert_eq!(a.len(), 3 * plane, "not a picture of this side");
    assert_eq!(b.len(), 3 * plane, "not a picture of this side");
    let window = window(side_px);
    let channels = a.chunks_exact(plane).zip(b.chunks_exact(plane));
    channels
        .map(|(a, b)| channel_ssim(a, b, side_px, &window))
        .sum::<f64>()
        / 3.0
}

/// One axis of the separable window: sums to 1.
fn window(side_px: usize) -> Vec<f64> {
    let largest_odd = side_px - (side_px + 1) % 2;
    let len = largest_odd.min(WINDOW_SIDE);
    let sigma = WINDOW_SIGMA * len.to_f64() / WINDOW_SIDE.to_f64();
    let centre = (len / 2).to_f64();
    let weights: Vec<f64> = (0..len)
        .map(|i| (-(i.to_f64() - centre).powi(2) / (2.0 * sigma * sigma)).exp())
        .collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}

fn channel_ssim(a: &[f32], b: &[f32], side: usize, window: &[f64]) -> f64 {
    let unit = |plane: &[f32]| -> Vec<f64> {
        plane
            .iter()
            .map(|&v| f64::midpoint(f64::from(v), 1.0))
            .collect()
    };
    let (a, b) = (unit(a), unit(b));
    let product =
        |x: &[f64], y: &[f64]| -> Vec<f64> { x.iter().zip(y).map(|(x, y)| x * y).collect() };
    let mean_a = blurred(&a, side, window);
    let mean_b = blurred(&b, side, window);
    let mean_aa = blurred(&product(&a, &a), side, window);
    let mean_bb = blurred(&product(&b, &b), side, window);
    let mean_ab = blurred(&product(&a, &b), side, window);
    let total: f64 = (0..mean_a.len())
        .map(|i| {
            let (ma, mb) = (mean_a[i], mean_b[i]);
            let variance_a = mean_aa[i] - ma * ma;
            let variance_b = mean_bb[i] - mb * mb;
            let covariance = mean_ab[i] - ma * mb;
            (2.0 * ma * mb + C1) * (2.0 * covariance + C2)
                / ((ma * ma + mb * mb + C1) * (variance_a + variance_b + C2))
        })
        .sum();
    total / mean_a.len().to_f64()
}

/// Windowed means at every place where the window fits: `[side, side] -> [valid, valid]`, rows first, then
/// columns.
fn blurred(plane: &[f64], side: usize, window: &[f64]) -> Vec<f64> {
    let valid = side + 1 - window.len();
    let mut rows = vec![0.0; side * valid];
    for (row, out) in plane.chunks_exact(side).zip(rows.chunks_exact_mut(valid)) {
        for (shift, &weight) in window.iter().enumerate() {
            for (out, &value) in out.iter_mut().zip(&row[shift..]) {
                *out += weight * value;
            }
        }
    }
    let mut result = vec![0.0; valid * valid];
    for (y, out) in result.chunks_exact_mut(valid).enumerate() {
        for (shift, &weight) in window.iter().enumerate() {
            let row = &rows[(y + shift) * valid..][..valid];
            for (out, &value) in out.iter_mut().zip(row) {
                *out += weight * value;
            }
        }
    }
    result
}

impl Scores {
    /// The figures of one picture against the truth.
    ///
    /// # Panics
    /// As [`ssim`].
    pub fn of(picture: &[f32], truth: &[f32], side_px: usize) -> Self {
        Self {
            l1: l1(picture, truth),
            psnr: psnr(picture, truth),
            ssim: ssim(picture, truth, side_px),
        }
    }

    /// Mean of each figure; `None` of nothing.
    pub(crate) fn mean(scores: &[Self]) -> Option<Self> {
        if scores.is_empty() {
            return None;
        }
        let mean = |figure: fn(&Self) -> f64| {
            scores.iter().map(figure).sum::<f64>() / scores.len().to_f64()
        };
        Some(Self {
            l1: mean(|s| s.l1),
            psnr: mean(|s| s.psnr),
            ssim: mean(|s| s.ssim),
        })
    }
}

/// Means of the figures over pictures, in parallel, the same to the bit on any number of cores; `None` of no
/// picture.
///
/// # Shapes
/// - `pictures`, `truths`: `[n, 3, side_px, side_px]`, in [-1, 1]
///
/// # Panics
/// As [`ssim`].
pub fn mean_scores(pictures: &[f32], truths: &[f32], side_px: usize) -> Option<Scores> {
    Scores::mean(&each_score(pictures, truths, side_px))
}

pub(super) fn each_score(pictures: &[f32], truths: &[f32], side_px: usize) -> Vec<Scores> {
    assert_eq!(
        pictures.len(),
        truths.len(),
        "not as many pictures as truths"
    );
    let len = 3 * side_px * side_px;
    assert_eq!(pictures.len() % len, 0, "pictures of another size");
    pictures
        .par_chunks_exact(len)
        .zip(truths.par_chunks_exact(len))
        .map(|(picture, truth)| Scores::of(picture, truth, side_px))
        .collect()
}
