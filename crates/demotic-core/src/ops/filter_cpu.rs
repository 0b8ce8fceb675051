//! The edge-aware filter on the CPU: decays of both axes, and the recursion along them from both ends.
//!
//! Used by [`super::filter`] on Burn's Flex backend. Every line of pixels is one task's, in one order:
//! results are the same to the bit for any number of threads.

use rayon::prelude::*;
use wide::f32x8;

/// Times that rows and then columns are walked: one round leaves streaks where a line ends.
pub(crate) const ROUNDS: usize = 2;

/// How far a change spreads, and what stops it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Filter {
    /// Distance over which a pixel's weight falls to 1/e where nothing stops it, in sides of the picture.
    pub reach: f32,
    /// How much an edge of the input stops it: the weight across falls by `exp(-edge * difference)`, the
    /// difference a mean over channels of values from -1 to 1.
    pub edge: f32,
    /// The same for an edge of the translation.
    pub edge_fake: f32,
}

impl Filter {
    /// What a step of one pixel costs, in the exponent.
    pub(super) fn cost_a_pixel(self, side_px: usize) -> f32 {
        1.0 / (self.reach * side_px as f32)
    }
}

/// Columns walked at once: enough independent sums to keep a core busy, few enough that a strip stays in the
/// cache.
const STRIP: usize = 64;

/// Shape of the filtered pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FilterShape {
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl FilterShape {
    fn area(self) -> usize {
        self.height * self.width
    }
}

/// `exp(-(a + b |x_i - x_(i-1)| + b' |y_i - y_(i-1)|))` between each pixel and its left, then its upper
/// neighbour, 0 at the border: `[b, 2, H, W]`.
pub(crate) fn decays(guide: &[f32], fake: &[f32], filter: Filter, s: FilterShape) -> Vec<f32> {
    let (area, planes) = (s.area(), s.channels * s.area());
    let mut out = vec![0.0; s.batch * 2 * area];
    if area == 0 || s.channels == 0 {
        return out;
    }
    let edges = [(guide, filter.edge), (fake, filter.edge_fake)]
        .map(|(picture, edge)| (picture, edge / s.channels as f32));
    let cost = filter.cost_a_pixel(s.height.max(s.width));
    out.par_chunks_mut(2 * area)
        .enumerate()
        .for_each(|(n, out)| {
            let (by_row, by_column) = out.split_at_mut(area);
            for (picture, edge) in edges {
                if edge == 0.0 {
                    continue;
                }
                for plane in picture[n * planes..][..planes].chunks_exact(area) {
                    let rows = by_row.chunks_exact_mut(s.width);
                    for (to, row) in rows.zip(plane.chunks_exact(s.width)) {
                        add_differences(&mut to[1..], &row[1..], row, edge);
                    }
                    let below = by_column[s.width..].iter_mut();
                    for ((to, a), b) in below.zip(&plane[s.width..]).zip(plane) {
                        *to += edge * (a - b).abs();
                    }
                }
            }
            decay(by_row, cost, 1.0);
            decay(&mut by_column[s.width..], cost, 1.0);
            for row in by_row.chunks_exact_mut(s.width) {
                row[0] = 0.0;
            }
        });
    out
}

fn add_differences(to: &mut [f32], a: &[f32], b: &[f32], edge: f32) {
    for ((to, a), b) in to.iter_mut().zip(a).zip(b) {
        *to += edge * (a - b).abs();
    }
}

/// `exp(-scale * (cost + v))` in place.
pub(super) fn decay(values: &mut [f32], cost: f32, scale: f32) {
    let (cost, scale) = (f32x8::splat(cost), f32x8::splat(-scale));
    let mut vectors = values.chunks_exact_mut(8);
    for chunk in vectors.by_ref() {
        let value = ((f32x8::from(&*chunk) + cost) * scale).exp();
        chunk.copy_from_slice(value.as_array());
    }
    let rest = vectors.into_remainder();
    let mut padded = [0.0; 8];
    padded[..rest.len()].copy_from_slice(rest);
    let value = ((f32x8::from(padded) + cost) * scale).exp();
    rest.copy_from_slice(&value.as_array()[..rest.len()]);
}

/// Filters planes in place: rows, then columns, twice; or, for gradients, the transpose of that map.
pub(crate) fn run(planes: &mut [f32], decays: &[f32], is_transposed: bool, s: FilterShape) {
    let area = s.area();
    if area == 0 || s.channels == 0 {
        return;
    }
    let pictures = planes
        .par_chunks_mut(s.channels * area)
        .zip(decays.par_chunks(2 * area));
    pictures.for_each(|(planes, decays)| {
        let (by_row, by_column) = decays.split_at(area);
        let rows = Walk::new(transposed(by_row, s.width), s.height);
        let columns = Walk::new(by_column.to_vec(), s.width);
        planes.par_chunks_mut(area).for_each(|plane| {
            let mut scratch = Vec::new();
            let mut along_rows = |plane: &mut [f32]| {
                let mut turned = transposed(plane, s.width);
                rows.run(&mut turned, is_transposed, &mut scratch);
                plane.copy_from_slice(&transposed(&turned, s.height));
            };
            let mut scratch = Vec::new();
            for _ in 0..ROUNDS {
                if is_transposed {
                    columns.run(plane, true, &mut scratch);
                    along_rows(plane);
                } else {
                    along_rows(plane);
                    columns.run(plane, false, &mut scratch);
                }
            }
        });
    });
}

/// A walk down the columns of planes, all of which share their decays.
struct Walk {
    /// `[length, width]`, the first row 0.
    decays: Vec<f32>,
    /// One over the sum of weights: `[length, width]`.
    shares: Vec<f32>,
    width: usize,
}

impl Walk {
    fn new(decays: Vec<f32>, width: usize) -> Self {
        let mut walk = Self {
            shares: vec![1.0; decays.len()],
            decays,
            width,
        };
        let mut sums = vec![1.0; walk.decays.len()];
        // With shares of one, the plain sum of weights.
        walk.run(&mut sums, false, &mut Vec::new());
        for sum in &mut sums {
            *sum = sum.recip();
        }
        walk.shares = sums;
        walk
    }

    /// `sum_j w_ij r_j` times the share of i; transposed, times the share of j.
    ///
    /// With `f_i = r_i + e_i f_(i-1)` from above and `g_i = r_i + e_(i+1) g_(i+1)` from below, the sum is
    /// `f_i + e_(i+1) g_(i+1)`.
    fn run(&self, plane: &mut [f32], is_transposed: bool, scratch: &mut Vec<f32>) {
        let (width, length) = (self.width, plane.len() / self.width);
        for start in (0..width).step_by(STRIP) {
            let strip = STRIP.min(width - start);
            let at = |i: usize| i * width + start..i * width + start + strip;
            scratch.resize(length * strip, 0.0);
            let mut above = [0.0; STRIP];
            for (i, sums) in scratch.chunks_exact_mut(strip).enumerate() {
                let values = &mut plane[at(i)];
                if is_transposed {
                    for (value, share) in values.iter_mut().zip(&self.shares[at(i)]) {
                        *value *= share;
                    }
                }
                let inputs = values.iter().zip(&self.decays[at(i)]);
                for ((sum, above), (value, decay)) in sums.iter_mut().zip(&mut above).zip(inputs) {
                    *above = decay.mul_add(*above, *value);
                    *sum = *above;
                }
            }
            let mut below = [0.0; STRIP];
            for (i, sums) in scratch.chunks_exact(strip).enumerate().rev() {
                let factors = self.decays[at(i)].iter().zip(&self.shares[at(i)]);
                for (((value, sum), below), (decay, share)) in plane[at(i)]
                    .iter_mut()
                    .zip(sums)
                    .zip(&mut below)
                    .zip(factors)
                {
                    let from_here = decay * (*value + *below);
                    let total = sum + *below;
                    *value = if is_transposed { total } else { total * share };
                    *below = from_here;
                }
            }
        }
    }
}

/// A plane of rows of `width` values, turned: rows become columns.
fn transposed(plane: &[f32], width: usize) -> Vec<f32> {
    const TILE: usize = 8;
    let height = plane.len() / width;
    let mut out = vec![0.0; plane.len()];
    for top in (0..height).step_by(TILE) {
        let rows = TILE.min(height - top);
        for left in (0..width).step_by(TILE) {
            let columns = TILE.min(width - left);
            if rows == TILE && columns == TILE {
                let tile = std::array::from_fn(|i| {
                    f32x8::from(&plane[(top + i) * width + left..][..TILE])
                });
                for (j, column) in f32x8::transpose(tile).iter().enumerate() {
                    out[(left + j) * height + top..][..TILE].copy_from_slice(column.as_array());
                }
            } else {
                for j in left..left + columns {
                    for i in top..top + rows {
                        out[j * height + i] = plane[i * width + j];
                    }
                }
            }
        }
    }
    out
}
