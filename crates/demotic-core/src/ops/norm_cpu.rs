//! Group normalisation, affine map and leaky ReLU in one pass each way on the CPU.
//!
//! Used by [`super`] on Burn's Flex backend, where the same chain of tensor operations takes about eight passes over
//! memory forward and sixteen backward.

use rayon::prelude::*;
use wide::f32x8;

use super::conv_cpu::plane_sum;

/// Added to the variance under the root.
pub(super) const EPSILON: f32 = 1e-5;

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

/// `y = leaky(xhat * scale[b, c] + shift[b, c])`, `xhat = (x - mean) / sqrt(var + epsilon)` over a group's channels.
pub(crate) fn forward(
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    slope: f32,
    s: NormShape,
) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    if x.is_empty() {
        return y;
    }
    let (c, len) = (s.per_group(), s.per_group() * s.area);
    y.par_chunks_mut(len)
        .zip(x.par_chunks(len))
        .enumerate()
        .for_each(|(g, (y, x))| {
            let (mean, rstd) = moments(x);
            for (i, (y, x)) in y
                .chunks_exact_mut(s.area)
                .zip(x.chunks_exact(s.area))
                .enumerate()
            {
                let gain = rstd * scale[g * c + i];
                let offset = shift[g * c + i] - mean * gain;
                for (y, x) in y.iter_mut().zip(x) {
                    let u = x.mul_add(gain, offset);
                    *y = if u > 0.0 { u } else { u * slope };
                }
            }
        });
    y
}

/// Gradients of [`forward`]; the statistics are computed again rather than kept.
pub(crate) fn backward(
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    dy: &[f32],
    slope: f32,
    s: NormShape,
) -> NormGradients {
    let mut out = NormGradients {
        x: vec![0.0; x.len()],
        scale: vec![0.0; scale.len()],
        shift: vec![0.0; shift.len()],
    };
    if x.is_empty() {
        return out;
    }
    let (c, len) = (s.per_group(), s.per_group() * s.area);
    let groups = out
        .x
        .par_chunks_mut(len)
        .zip(out.scale.par_chunks_mut(c))
        .zip(out.shift.par_chunks_mut(c))
        .zip(x.par_chunks(len))
        .zip(dy.par_chunks(len));
    groups
        .enumerate()
        .for_each(|(g, ((((dx, dscale), dshift), x), dy))| {
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
                for ((dx, x), dy) in dx.iter_mut().zip(x).zip(dy) {
                    *dx = if x.mul_add(gain, offset) > 0.0 {
                        *dy
                    } else {
                        dy * slope
                    };
                }
                let (du, du_x) = sums(dx, x, mean);
                dshift[i] = du;
                dscale[i] = du_x * rstd;
                sum += du * scale[g * c + i];
                product += du_x * rstd * scale[g * c + i];
            }
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
                for (dx, x) in dx.iter_mut().zip(x) {
                    *dx = dx.mul_add(gain, x.mul_add(slope_x, constant));
                }
            }
        });
    out
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

/// `(sum du, sum du * (x - mean))`.
fn sums(du: &[f32], x: &[f32], mean: f32) -> (f32, f32) {
    let mut total = (0.0, 0.0);
    for (du, x) in du.chunks(256).zip(x.chunks(256)) {
        let (a, b) = (du.chunks_exact(8), x.chunks_exact(8));
        for (du, x) in a.remainder().iter().zip(b.remainder()) {
            total.0 += du;
            total.1 += du * (x - mean);
        }
        let (mut plain, mut product) = (f32x8::ZERO, f32x8::ZERO);
        for (du, x) in a.zip(b) {
            let du = f32x8::from(du);
            plain += du;
            product = du.mul_add(f32x8::from(x) - f32x8::splat(mean), product);
        }
        total.0 += plain.reduce_add();
        total.1 += product.reduce_add();
    }
    total
}
