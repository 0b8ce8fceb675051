//! Group normalisation, affine map and leaky ReLU in one pass each way on the CPU.
//!
//! Used by [`super`] on Burn's Flex backend, where the same chain of tensor operations takes about eight
//! passes over memory forward and sixteen backward.

#![expect(
    unsafe_code,
    reason = "results are written once, not cleared and then written"
)]

use std::mem::MaybeUninit;

use rayon::prelude::*;
use wide::f32x8;

use super::conv_cpu::{WORTH_A_TASK, plane_sum, require_len, written};

/// Added to the variance under the root.
pub(crate) const EPSILON: f32 = 1e-5;

/// Shape of a normalisation: `groups` divides `channels`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NormShape {
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    /// Pixels a plane.
    pub(crate) area: usize,
    pub(crate) groups: usize,
}

impl NormShape {
    /// What is written without being cleared rests on these.
    fn require(self, x: &[f32], scale: &[f32], shift: &[f32]) {
        let planes = [self.batch, self.channels];
        require_len("x", x.len(), &[self.batch, self.channels, self.area]);
        require_len("scale", scale.len(), &planes);
        require_len("shift", shift.len(), &planes);
        assert!(
            self.groups > 0 && self.channels.is_multiple_of(self.groups),
            "{self:?}: groups divide the channels"
        );
    }

    fn per_group(self) -> usize {
        self.channels / self.groups
    }
}

/// Gradients of [`backward`].
pub(crate) struct NormGradients {
    pub(crate) x: Vec<f32>,
    pub(crate) scale: Vec<f32>,
    pub(crate) shift: Vec<f32>,
}

/// `y = leaky(xhat * scale[b, c] + shift[b, c])`, `xhat = (x - mean) / sqrt(var + epsilon)` over a group's
/// channels.
///
/// # Shapes
/// `x` and the result `[batch, channels, area]`; `scale` and `shift` `[batch, channels]`.
///
/// # Panics
/// Where a slice has another length, or the groups do not divide the channels.
pub(crate) fn forward(
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    slope: f32,
    s: NormShape,
) -> Vec<f32> {
    s.require(x, scale, shift);
    if x.is_empty() {
        return vec![];
    }
    let (c, len) = (s.per_group(), s.per_group() * s.area);
    let fill = |y: &mut [MaybeUninit<f32>]| {
        y.par_chunks_mut(len)
            .zip(x.par_chunks(len))
            .enumerate()
            .with_min_len(WORTH_A_TASK.div_ceil(len))
            .for_each(|(g, (y, x))| {
                let (mean, rstd) = moments(x);
                for (i, (y, x)) in y
                    .chunks_exact_mut(s.area)
                    .zip(x.chunks_exact(s.area))
                    .enumerate()
                {
                    let gain = rstd * scale[g * c + i];
                    let offset = shift[g * c + i] - mean * gain;
                    affine_leaky(y, x, [gain, offset, slope]);
                }
            });
    };
    // SAFETY: groups and their planes cover `y`, and `affine_leaky` writes a whole plane.
    unsafe { written(x.len(), fill) }
}

/// `y = leaky(x * gain + offset)`.
fn affine_leaky(y: &mut [MaybeUninit<f32>], x: &[f32], [gain, offset, slope]: [f32; 3]) {
    let (mut to, from) = (y.chunks_exact_mut(8), x.chunks_exact(8));
    for (y, x) in to.by_ref().zip(from.clone()) {
        let u = f32x8::from(x).mul_add(f32x8::splat(gain), f32x8::splat(offset));
        y.write_copy_of_slice(select_not_negative(u, u, u * f32x8::splat(slope)).as_array());
    }
    for (y, x) in to.into_remainder().iter_mut().zip(from.remainder()) {
        let u = x.mul_add(gain, offset);
        y.write(if u >= 0.0 { u } else { u * slope });
    }
}

/// By lane: `taken` where `u >= 0`, else `other`. A branch a number would be guessed wrong half of the time.
///
/// At 0 as Burn has it on other devices: a hole cut into a picture is all zeros, and layers without a bias
/// yet keep them.
pub(super) fn select_not_negative(u: f32x8, taken: f32x8, other: f32x8) -> f32x8 {
    u.simd_ge(f32x8::ZERO).select(taken, other)
}

/// Gradients of [`forward`]; the statistics are computed again rather than kept. Shapes and panics are those
/// of [`forward`]; `dy` is as long as `x`.
pub(crate) fn backward(
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    dy: &[f32],
    slope: f32,
    s: NormShape,
) -> NormGradients {
    s.require(x, scale, shift);
    assert_eq!(x.len(), dy.len(), "a gradient for every value");
    let (mut scales, mut shifts) = (vec![0.0; scale.len()], vec![0.0; shift.len()]);
    let (c, len) = (s.per_group(), s.per_group() * s.area);
    let fill = |dx: &mut [MaybeUninit<f32>]| {
        let groups = dx
            .par_chunks_mut(len.max(1))
            .zip(scales.par_chunks_mut(c))
            .zip(shifts.par_chunks_mut(c))
            .zip(x.par_chunks(len.max(1)))
            .zip(dy.par_chunks(len.max(1)))
            .enumerate()
            .with_min_len(WORTH_A_TASK.div_ceil(2 * len.max(1)));
        groups.for_each(|(g, ((((dx, dscale), dshift), x), dy))| {
            let (mean, rstd) = moments(x);
            // Sums over the group of dxhat and dxhat * xhat, from the channel sums of du and du * xhat.
            let (mut sum, mut product) = (0.0, 0.0);
            for (i, ((dx, x), dy)) in dx
                .chunks_exact_mut(s.area)
                .zip(x.chunks_exact(s.area))
                .zip(dy.chunks_exact(s.area))
                .enumerate()
            {
                let gain = rstd * scale[g * c + i];
                let offset = shift[g * c + i] - mean * gain;
                let (du, du_x) = before_leaky(dx, x, dy, [gain, offset, slope, mean]);
                dshift[i] = du;
                dscale[i] = du_x * rstd;
                sum += du * scale[g * c + i];
                product += du_x * rstd * scale[g * c + i];
            }
            // SAFETY: `before_leaky` wrote every value of every plane of the group.
            let dx = unsafe { &mut *(std::ptr::from_mut(dx) as *mut [f32]) };
            let (mean_dx, mean_product) = (sum / len as f32, product / len as f32);
            for (i, (dx, x)) in dx
                .chunks_exact_mut(s.area)
                .zip(x.chunks_exact(s.area))
                .enumerate()
            {
                let gain = rstd * scale[g * c + i];
                // rstd * (du * scale - mean_dx - xhat * mean_product)
                let slope_x = -rstd * rstd * mean_product;
                let constant = -rstd * mean_dx - slope_x * mean;
                combine(dx, x, [gain, slope_x, constant]);
            }
        });
    };
    // SAFETY: groups cover `dx`, and each of them is written.
    let dx = unsafe { written(x.len(), fill) };
    NormGradients {
        x: dx,
        scale: scales,
        shift: shifts,
    }
}

/// `du = dy * leaky'(x * gain + offset)` and its sums over the plane: `(sum du, sum du * (x - mean))`.
fn before_leaky(
    du: &mut [MaybeUninit<f32>],
    x: &[f32],
    dy: &[f32],
    [gain, offset, slope, mean]: [f32; 4],
) -> (f32, f32) {
    let mut total = (0.0, 0.0);
    // One sum a block: rounding does not grow with the plane.
    let blocks = du.chunks_mut(256).zip(x.chunks(256)).zip(dy.chunks(256));
    for ((du, x), dy) in blocks {
        let (mut plain, mut product) = (f32x8::ZERO, f32x8::ZERO);
        let (mut to, x, dy) = (
            du.chunks_exact_mut(8),
            x.chunks_exact(8),
            dy.chunks_exact(8),
        );
        for ((du, x), dy) in to.by_ref().zip(x.clone()).zip(dy.clone()) {
            let (x, dy) = (f32x8::from(x), f32x8::from(dy));
            let u = x.mul_add(f32x8::splat(gain), f32x8::splat(offset));
            let value = select_not_negative(u, dy, dy * f32x8::splat(slope));
            du.write_copy_of_slice(value.as_array());
            plain += value;
            product = value.mul_add(x - f32x8::splat(mean), product);
        }
        let rest = to.into_remainder().iter_mut().zip(x.remainder());
        for ((du, x), dy) in rest.zip(dy.remainder()) {
            let is_not_negative = x.mul_add(gain, offset) >= 0.0;
            let value = *du.write(if is_not_negative { *dy } else { dy * slope });
            total.0 += value;
            total.1 += value * (x - mean);
        }
        total.0 += plain.reduce_add();
        total.1 += product.reduce_add();
    }
    total
}

/// `dx = dx * gain + x * slope_x + constant`.
fn combine(dx: &mut [f32], x: &[f32], [gain, slope_x, constant]: [f32; 3]) {
    for (dx, x) in dx.iter_mut().zip(x) {
        *dx = dx.mul_add(gain, x.mul_add(slope_x, constant));
    }
}

/// Mean and reciprocal deviation, in two passes.
fn moments(x: &[f32]) -> (f32, f32) {
    let mean = plane_sum(x) / x.len() as f32;
    let blocks = x.chunks(256).map(|block| {
        let vectors = block.chunks_exact(8);
        let rest: f32 = vectors
            .remainder()
            .iter()
            .map(|v| (v - mean) * (v - mean))
            .sum();
        let sum = vectors.fold(f32x8::ZERO, |sum, v| {
            let d = f32x8::from(v) - f32x8::splat(mean);
            d.mul_add(d, sum)
        });
        sum.reduce_add() + rest
    });
    let variance = blocks.sum::<f32>() / x.len() as f32;
    (mean, 1.0 / (variance + EPSILON).sqrt())
}

/// `leaky(x)` in place.
pub(crate) fn leaky(x: &mut [f32], slope: f32) {
    x.par_chunks_mut(WORTH_A_TASK).for_each(|x| {
        let mut vectors = x.chunks_exact_mut(8);
        for x in vectors.by_ref() {
            let u = f32x8::from(&*x);
            x.copy_from_slice(select_not_negative(u, u, u * f32x8::splat(slope)).as_array());
        }
        for x in vectors.into_remainder() {
            *x = if *x >= 0.0 { *x } else { *x * slope };
        }
    });
}

/// `dy * leaky'(x)` in place, read from `y = leaky(x)`: its sign is that of `x`. `leaky'(0) = 1`.
pub(crate) fn leaky_gradient(dy: &mut [f32], y: &[f32], slope: f32) {
    let tasks = dy
        .par_chunks_mut(WORTH_A_TASK)
        .zip(y.par_chunks(WORTH_A_TASK));
    tasks.for_each(|(dy, y)| {
        let (mut to, from) = (dy.chunks_exact_mut(8), y.chunks_exact(8));
        for (dy, y) in to.by_ref().zip(from.clone()) {
            let value = f32x8::from(&*dy);
            let value = select_not_negative(f32x8::from(y), value, value * f32x8::splat(slope));
            dy.copy_from_slice(value.as_array());
        }
        for (dy, y) in to.into_remainder().iter_mut().zip(from.remainder()) {
            *dy = if *y >= 0.0 { *dy } else { *dy * slope };
        }
    });
}

/// `a + b`, into `a`.
pub(crate) fn add(a: &mut [f32], b: &[f32]) {
    let tasks = a
        .par_chunks_mut(WORTH_A_TASK)
        .zip(b.par_chunks(WORTH_A_TASK));
    tasks.for_each(|(a, b)| {
        for (a, b) in a.iter_mut().zip(b) {
            *a += b;
        }
    });
}

/// Means (`factor` 1/4) or sums (1) of 2x2 patches: planes of `[2h, 2w]` to `[h, w]`.
///
/// # Panics
/// Where `x` is not whole planes, or a side is 0.
pub(crate) fn pool(x: &[f32], [h, w]: [usize; 2], factor: f32) -> Vec<f32> {
    require_planes(x, [2 * h, 2 * w]);
    let fill = |y: &mut [MaybeUninit<f32>]| {
        y.par_chunks_mut(w)
            .zip(x.par_chunks(4 * w))
            .with_min_len(WORTH_A_TASK.div_ceil(4 * w.max(1)))
            .for_each(|(y, x)| {
                let (upper, lower) = x.split_at(2 * w);
                // Pairs as arrays: their loops become vectors.
                let pairs = upper
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .zip(lower.as_chunks::<2>().0);
                for (y, (a, b)) in y.iter_mut().zip(pairs) {
                    y.write(((a[0] + a[1]) + (b[0] + b[1])) * factor);
                }
            });
    };
    // SAFETY: rows cover `y`, and each of them is as long as its pairs.
    unsafe { written(x.len() / 4, fill) }
}

/// Each value times `factor` four times: planes of `[h, w]` to `[2h, 2w]`. The transpose of [`pool`].
///
/// # Panics
/// Where `x` is not whole planes, or a side is 0.
pub(crate) fn spread(x: &[f32], [h, w]: [usize; 2], factor: f32) -> Vec<f32> {
    require_planes(x, [h, w]);
    let fill = |y: &mut [MaybeUninit<f32>]| {
        y.par_chunks_mut(4 * w)
            .zip(x.par_chunks(w))
            .with_min_len(WORTH_A_TASK.div_ceil(4 * w.max(1)))
            .for_each(|(y, x)| {
                let (upper, lower) = y.split_at_mut(2 * w);
                for (x, pair) in x.iter().zip(upper.as_chunks_mut::<2>().0) {
                    *pair = [MaybeUninit::new(x * factor); 2];
                }
                lower.copy_from_slice(upper);
            });
    };
    // SAFETY: two rows of `y` a row of `x` cover it, and pairs cover each of them.
    unsafe { written(4 * x.len(), fill) }
}

fn require_planes(x: &[f32], [h, w]: [usize; 2]) {
    let area = h.checked_mul(w).filter(|area| *area > 0);
    assert!(
        area.is_some_and(|area| x.len().is_multiple_of(area)),
        "{} numbers, expected planes of {h} x {w}",
        x.len()
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::doctor::oracle::Normalisation;
    use crate::ops::testing::{noise, worst};

    #[test]
    fn values_and_gradients_match_the_formula_on_ragged_shapes() {
        for (batch, channels, area, groups) in [(1, 1, 1, 1), (2, 6, 35, 3), (3, 4, 300, 1)] {
            let s = NormShape {
                batch,
                channels,
                area,
                groups,
            };
            let len = batch * channels * area;
            let (x, dy) = (noise(len, 1), noise(len, 2));
            let [scale, shift] = [3, 4].map(|seed| noise(batch * channels, seed));
            let formula = Normalisation {
                batch,
                channels,
                area,
                groups,
                slope: f64::from(0.2_f32),
                epsilon: f64::from(EPSILON),
            };
            let truth = formula.run(&x, &scale, &shift, &dy);
            let got = backward(&x, &scale, &shift, &dy, 0.2, s);
            assert!(worst(&forward(&x, &scale, &shift, 0.2, s), &truth.y) < 1e-5);
            assert!(worst(&got.shift, &truth.dshift) < 1e-5);
            if area > 1 {
                assert!(worst(&got.x, &truth.dx) < 1e-4);
                assert!(worst(&got.scale, &truth.dscale) < 1e-4);
            }
        }
    }

    #[test]
    fn slices_of_other_lengths_are_refused() {
        let s = NormShape {
            batch: 1,
            channels: 2,
            area: 4,
            groups: 1,
        };
        let refused = |work: fn(NormShape) -> usize| {
            assert!(std::panic::catch_unwind(move || work(s)).is_err());
        };
        refused(|s| forward(&[0.0; 9], &[0.0; 2], &[0.0; 2], 0.2, s).len());
        refused(|s| forward(&[0.0; 8], &[0.0; 3], &[0.0; 2], 0.2, s).len());
        refused(|s| {
            backward(&[0.0; 8], &[0.0; 2], &[0.0; 2], &[0.0; 7], 0.2, s)
                .x
                .len()
        });
        refused(|s| {
            forward(
                &[0.0; 8],
                &[0.0; 2],
                &[0.0; 2],
                0.2,
                NormShape { groups: 3, ..s },
            )
            .len()
        });
        refused(|_| pool(&[0.0; 24], [1, 5], 1.0).len());
        refused(|_| spread(&[0.0; 7], [2, 2], 1.0).len());
    }
}
