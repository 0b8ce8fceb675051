//! Features of pictures by EfficientNet-Lite0, which was trained on photographs of a thousand things: the
//! perceptual and the kernel distance are distances of these. Always computed on the processor, so that a
//! figure does not depend on the device a run was trained on.

use rayon::prelude::*;

use super::network::{MAPS, Maps, Network, POOLED, SIDE_PX};
use super::scores::summed;
use crate::number::Real;

/// Pictures through the network together: its last layers' weights are read once for all of them.
const CHUNK: usize = 4;
/// Least length that channels are divided by: places without any stay zero.
const LEAST_LENGTH: f32 = 1e-8;

/// What the network makes of a picture.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Channel means of the last layer: what the kernel distance compares. [`Seen::POOLED`] values.
    pub pooled: Vec<f32>,
    /// Maps at strides 2, 4, 8 and 16, the channels of each place scaled to length 1.
    maps: [Vec<f32>; 4],
}

/// Looks at pictures of any size: larger ones than 128 px are averaged, smaller ones interpolated.
///
/// # Shapes
/// - `pictures`: `[n, 3, side_px, side_px]` in [-1, 1]
///
/// # Panics
/// If the length is not a multiple of a picture's.
///
/// # Source
/// `EfficientNet-Lite0`: Tan and Le, *`EfficientNet`*, ICML 2019, without squeeze and excitation and with
/// `ReLU6`; weights of `ImageNet`.
pub fn see(pictures: &[f32], side_px: usize) -> Vec<Seen> {
    look(pictures, side_px, Seen::of)
}

/// [`Seen::pooled`] of pictures, one after the other, as [`super::kernel_distance`] takes them.
///
/// # Panics
/// As [`see`].
pub fn pooled(pictures: &[f32], side_px: usize) -> Vec<f32> {
    look(pictures, side_px, |maps| maps.pooled).concat()
}

/// What `kept` keeps of each picture.
fn look<T: Send>(pictures: &[f32], side_px: usize, kept: impl Fn(Maps) -> T + Sync) -> Vec<T> {
    let len = 3 * side_px * side_px;
    assert_eq!(pictures.len() % len, 0, "pictures of another size");
    let network = Network::embedded();
    let resize = Resize::new(side_px, SIDE_PX);
    let seen = pictures.par_chunks(CHUNK * len).flat_map_iter(|chunk| {
        let mut shown = resize.planes(chunk);
        for value in &mut shown {
            // [-1, 1] -> 0 to 255 -> as the network was trained.
            *value = (127.5 * *value + 0.5) / 128.0;
        }
        network.see(&shown).into_iter().map(&kept)
    });
    seen.collect()
}

impl Seen {
    /// Values of [`Seen::pooled`].
    pub const POOLED: usize = POOLED;

    fn of(maps: Maps) -> Self {
        let mut kept = maps.kept;
        for (map, (_, channels, _)) in kept.iter_mut().zip(MAPS) {
            for place in map.chunks_exact_mut(channels) {
                let length = summed(place, place, |a, b| a * b).sqrt().max(LEAST_LENGTH);
                for value in place {
                    *value /= length;
                }
            }
        }
        Self {
            pooled: maps.pooled,
            maps: kept,
        }
    }

    /// Perceptual distance, 0 (alike) to 16: `sum over maps of mean over places of |u - v|^2`, where `u` and
    /// `v` are the channels of a place, of length 1.
    ///
    /// # Source
    /// Zhang, Isola, Efros, Shechtman, Wang, *The Unreasonable Effectiveness of Deep Features as a Perceptual
    /// Metric*, CVPR 2018, equation 1, with all weights 1.
    pub fn perceptual(&self, other: &Self) -> f64 {
        let maps = self.maps.iter().zip(&other.maps).zip(MAPS);
        maps.map(|((u, v), (_, channels, _))| {
            let places = u.len() / channels;
            let rows = u.chunks(SUMMED).zip(v.chunks(SUMMED));
            let sums = rows.map(|(u, v)| f64::from(summed(u, v, |u, v| (u - v) * (u - v))));
            sums.sum::<f64>() / places.to_f64()
        })
        .sum()
    }
}

/// Squares that are added in single precision.
const SUMMED: usize = 1024;

/// Planes to another size: means where they shrink, lines between neighbours where they grow. Both are a
/// triangle as wide as the larger of the two pixels, so that whole factors lose nothing to aliasing.
struct Resize {
    side: usize,
    target: usize,
    /// By row or column of the target: the first of the source and its weights.
    weights: Vec<(usize, Vec<f32>)>,
}

impl Resize {
    fn new(side: usize, target: usize) -> Self {
        let ratio = side.to_f32() / target.to_f32();
        let support = ratio.max(1.0);
        let row = |i: usize| {
            let centre = (i.to_f32() + 0.5) * ratio - 0.5;
            let weight = |j: usize| 1.0 - (j.to_f32() - centre).abs() / support;
            let within: Vec<usize> = (0..side).filter(|&j| weight(j) > 0.0).collect();
            let total: f32 = within.iter().map(|&j| weight(j)).sum();
            let weights = within.iter().map(|&j| weight(j) / total).collect();
            (within[0], weights)
        };
        Self {
            side,
            target,
            weights: (0..target).map(row).collect(),
        }
    }

    /// `[n, side, side] -> [n, target, target]`
    fn planes(&self, planes: &[f32]) -> Vec<f32> {
        let (side, target) = (self.side, self.target);
        if side == target {
            return planes.to_vec();
        }
        let n = planes.len() / (side * side);
        let mut out = vec![0.0; n * target * target];
        let mut narrow = vec![0.0; side * target]; // [side, target]
        for (plane, out) in planes
            .chunks_exact(side * side)
            .zip(out.chunks_exact_mut(target * target))
        {
            for (row, narrow) in plane
                .chunks_exact(side)
                .zip(narrow.chunks_exact_mut(target))
            {
                for (value, (first, weights)) in narrow.iter_mut().zip(&self.weights) {
                    let terms = weights.iter().zip(&row[*first..]);
                    *value = terms.map(|(weight, v)| weight * v).sum();
                }
            }
            for (out, (first, weights)) in out.chunks_exact_mut(target).zip(&self.weights) {
                let rows = narrow.chunks_exact(target).skip(*first);
                for (weight, row) in weights.iter().zip(rows) {
                    for (out, v) in out.iter_mut().zip(row) {
                        *out += weight * v;
                    }
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_stays_a_ramp_at_any_size() {
        for side in [16_usize, 32, 48, 64, 100] {
            // Where sizes are no multiples of each other, a triangle's samples are uneven: up to a twentieth
            // of a pixel.
            let whole = side.is_multiple_of(32) || 32_usize.is_multiple_of(side);
            let tolerance = if whole { 1e-5 } else { 0.05 / side.to_f32() };
            let ramp: Vec<f32> = (0..side * side)
                .map(|i| ((i % side).to_f32() + 0.5) / side.to_f32())
                .collect();
            let small = Resize::new(side, 32).planes(&ramp);
            assert_eq!(small.len(), 32 * 32);
            for x in 2..30 {
                let expected = (x.to_f32() + 0.5) / 32.0;
                let error = (small[7 * 32 + x] - expected).abs();
                assert!(error < tolerance, "{side} {x}: {error}");
            }
        }
    }
}
