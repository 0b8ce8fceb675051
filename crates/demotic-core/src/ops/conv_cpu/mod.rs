//! Same-size convolutions on the CPU without im2col: forward, data gradient and weight gradient.
//!
//! Used by [`super`] on Burn's Flex backend, whose im2col traffic limits it to a fraction of the processor's
//! rate (`benches/RESULTS.md` has both side by side). [`winograd`] takes the 3x3 convolutions whose pictures
//! and channels are large enough (`winograd::is_faster`), [`direct`] all others. Every output number is
//! summed by one task in one fixed order, and the choice looks at nothing but channels and sides: results are
//! the same to the bit for any number of threads, and a picture's for any number of pictures.
//!
//! Where the processor has AVX-512 the products (`wide512`) and the transforms (`widths`) take it, by the
//! same sums in the same order: the bits stay those of AVX2. The weight gradient of `direct` does not: its
//! sums run over lanes.
//!
//! # Shapes
//! Of all functions: `x` `[batch, channels_in, height, width]`, `weight` `[channels_out, channels_in, kernel,
//! kernel]`, `bias` `[channels_out]`, `dy` as the result of [`forward`], `[batch, channels_out, height,
//! width]`.
//!
//! # Panics
//! All functions: where a slice is not as long as its shape, or the kernel's side is neither 1 nor 3.

mod direct;
mod points;
mod room;
#[cfg(test)]
mod tests;
mod tiles;
mod vector;
mod wide512;
mod widths;
mod winograd;

use rayon::prelude::*;
use wide::f32x8;

pub(crate) use room::ConvShape;
use room::LANES;
pub(super) use room::{require_len, written};
use wide512::Wide;
use widths::Vectors;

/// `y[n, o, p] = bias[o] + sum_{c, d} w[o, c, d] x[n, c, p + d]`.
pub(crate) fn forward(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    shape: ConvShape,
) -> Vec<f32> {
    shape.require(Some(x), Some(weight), None);
    if let Some(bias) = bias {
        require_len("bias", bias.len(), &[shape.channels_out]);
    }
    if winograd::is_faster(shape, winograd::CHANNELS) {
        winograd::forward(x, weight, bias, shape, vectors(shape))
    } else {
        direct::forward(x, weight, bias, shape, Wide::of_processor())
    }
}

/// `dx[n, c, p] = sum_{o, d} w[o, c, d] dy[n, o, p - d]`.
pub(crate) fn data_gradient(weight: &[f32], dy: &[f32], shape: ConvShape) -> Vec<f32> {
    shape.require(None, Some(weight), Some(dy));
    if winograd::is_faster(shape, winograd::CHANNELS) {
        winograd::data_gradient(weight, dy, shape, vectors(shape))
    } else {
        direct::data_gradient(weight, dy, shape, Wide::of_processor())
    }
}

/// `dw[o, c, d] = sum_{n, p} dy[n, o, p] x[n, c, p + d]`.
pub(crate) fn weight_gradient(x: &[f32], dy: &[f32], shape: ConvShape) -> Vec<f32> {
    shape.require(Some(x), None, Some(dy));
    if winograd::is_faster(shape, winograd::WEIGHT_CHANNELS) {
        winograd::weight_gradient(x, dy, shape, vectors(shape))
    } else {
        direct::weight_gradient(x, dy, shape)
    }
}

/// Vectors of sixteen for [`winograd`]. Its products take them where one side has channels enough: 24 on both
/// fill one and a half, and gain nothing.
fn vectors(s: ConvShape) -> Vectors {
    let transforms = Wide::of_processor();
    let products = transforms.filter(|_| s.channels_in.max(s.channels_out) >= 32);
    Vectors {
        transforms,
        products,
    }
}

/// `db[o] = sum_{n, p} dy[n, o, p]`, in blocks: one sum a plane, then over pictures.
pub(crate) fn bias_gradient(dy: &[f32], shape: ConvShape) -> Vec<f32> {
    shape.require(None, None, Some(dy));
    let area = shape.height * shape.width;
    let mut db = vec![0.0; shape.channels_out];
    if area == 0 {
        return db;
    }
    let least = WORTH_A_TASK.div_ceil(shape.batch.max(1) * area);
    let channels = db.par_iter_mut().enumerate().with_min_len(least);
    channels.for_each(|(o, db)| {
        for picture in dy.chunks_exact(shape.channels_out * area) {
            *db += plane_sum(&picture[o * area..][..area]);
        }
    });
    db
}

/// Numbers of a task that does little with each: to wake another thread takes as long as some ten thousand.
pub(super) const WORTH_A_TASK: usize = 1 << 14;

/// Sum of a plane in eight lanes, rows of 256 at a time.
pub(crate) fn plane_sum(plane: &[f32]) -> f32 {
    plane
        .chunks(256)
        .map(|block| {
            let vectors = block.chunks_exact(LANES);
            let rest: f32 = vectors.remainder().iter().sum();
            vectors
                .fold(f32x8::ZERO, |sum, v| sum + f32x8::from(v))
                .reduce_add()
                + rest
        })
        .sum()
}
