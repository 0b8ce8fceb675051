//! Convolutions summed as the formula has them: taps of padded planes, without im2col.

#![expect(
    unsafe_code,
    reason = "the inner loops read through raw pointers; `Padding` leaves room for every one of them"
)]

use std::mem::MaybeUninit;

use rayon::prelude::*;
use wide::f32x8;

use super::room::{ConvShape, LANES, Padding, with_scratch, written};
use super::wide512::{self, Wide};

/// Output channels that one weight-gradient tile accumulates at once.
const GRAD_BLOCK: usize = 4;
/// Positions whose products one accumulator takes, in whole pictures.
const PICTURE_GROUP: usize = 1024;

/// Reads eight neighbours.
///
/// # Safety
/// `at..at + 8` must lie inside one allocation.
#[expect(
    clippy::inline_always,
    reason = "a call here would spill the accumulators"
)]
#[inline(always)]
unsafe fn load(at: *const f32) -> f32x8 {
    // SAFETY: the caller's promise; f32x8 is plain data and the read is unaligned.
    unsafe { at.cast::<f32x8>().read_unaligned() }
}

/// `y[n, o, p] = bias[o] + sum_{c, d} w[o, c, d] x[n, c, p + d]`.
pub(super) fn forward(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    shape: ConvShape,
    wide: Option<Wide>,
) -> Vec<f32> {
    let s = shape.flattened();
    let packed = |block: usize| pack(weight, s, block, false);
    convolve(x, bias, [s.channels_in, s.channels_out], s, packed, wide)
}

/// `dx[n, c, p] = sum_{o, d} w[o, c, d] dy[n, o, p - d]`: the forward pass with turned, transposed weights.
pub(super) fn data_gradient(
    weight: &[f32],
    dy: &[f32],
    shape: ConvShape,
    wide: Option<Wide>,
) -> Vec<f32> {
    let s = shape.flattened();
    let packed = |block: usize| pack(weight, s, block, true);
    convolve(dy, None, [s.channels_out, s.channels_in], s, packed, wide)
}

/// Weights as `[block][channel in][tap][lane of the block]`, so that a tile reads them in one run. `turned`
/// swaps the channel axes and reverses the taps; the last block is filled up with zeros.
fn pack(weight: &[f32], shape: ConvShape, block: usize, turned: bool) -> Vec<f32> {
    let (out, inp) = (shape.channels_out, shape.channels_in);
    let taps = shape.kernel * shape.kernel;
    let (rows, columns) = if turned { (inp, out) } else { (out, inp) };
    let mut packed = vec![0.0; rows.div_ceil(block) * columns * taps * block];
    let blocks = packed.par_chunks_exact_mut(columns * taps * block);
    blocks.enumerate().for_each(|(b, to)| {
        for lane in 0..block.min(rows - b * block) {
            let r = b * block + lane;
            for c in 0..columns {
                for t in 0..taps {
                    let from = if turned {
                        (c * inp + r) * taps + (taps - 1 - t)
                    } else {
                        (r * inp + c) * taps + t
                    };
                    to[(c * taps + t) * block + lane] = weight[from];
                }
            }
        }
    });
    packed
}

fn convolve(
    x: &[f32],
    bias: Option<&[f32]>,
    [inputs, outputs]: [usize; 2],
    s: ConvShape,
    packed: impl Fn(usize) -> Vec<f32>,
    wide: Option<Wide>,
) -> Vec<f32> {
    let len = s.batch * outputs * s.height * s.width;
    if len == 0 || inputs == 0 {
        return vec![0.0; len];
    }
    // Six output channels by two vectors fill the registers; four waste less where six does not divide.
    let is_six = outputs.is_multiple_of(6) || outputs > 24 && !outputs.is_multiple_of(4);
    let fill = |y: &mut [MaybeUninit<f32>]| match (s.kernel, is_six) {
        (1, true) => convolve_blocks::<6, 1>(x, &packed(6), bias, [inputs, outputs], (s, wide), y),
        (1, false) => convolve_blocks::<4, 1>(x, &packed(4), bias, [inputs, outputs], (s, wide), y),
        (3, true) => convolve_blocks::<6, 3>(x, &packed(6), bias, [inputs, outputs], (s, wide), y),
        (3, false) => convolve_blocks::<4, 3>(x, &packed(4), bias, [inputs, outputs], (s, wide), y),
        (other, _) => unreachable!("kernel side {other}: `ConvShape::require` admits 1 and 3 only"),
    };
    // SAFETY: every block of every picture is written by `convolve_picture`, every position of it by a
    // vector.
    unsafe { written(len, fill) }
}

/// True where vectors of sixteen are no emptier than those of eight.
fn fills(width: usize) -> bool {
    width.next_multiple_of(wide512::LANES) == width.next_multiple_of(LANES)
}

fn convolve_blocks<const BLOCK: usize, const K: usize>(
    x: &[f32],
    packed: &[f32],
    bias: Option<&[f32]>,
    [inputs, outputs]: [usize; 2],
    (s, wide): (ConvShape, Option<Wide>),
    y: &mut [MaybeUninit<f32>],
) {
    let area = s.height * s.width;
    let wide = wide.filter(|_| fills(s.width));
    let lanes = wide.map_or(LANES, |_| wide512::LANES);
    let padding = Padding::new([s.height, s.width], K / 2, lanes);
    let block_len = inputs * K * K * BLOCK;
    // A picture is a task, padded where it is used; few pictures are cut further.
    let is_cut = s.batch < 2 * rayon::current_num_threads();
    y.par_chunks_mut(outputs * area)
        .zip(x.par_chunks(inputs * area))
        .for_each(|(picture, x)| {
            with_scratch(|source| {
                padding.fill(source, x.chunks_exact(area), s.width);
                let block = |(b, to): (usize, &mut [MaybeUninit<f32>])| {
                    let weights = &packed[b * block_len..(b + 1) * block_len];
                    let start: [f32; BLOCK] = std::array::from_fn(|j| {
                        bias.and_then(|bias| bias.get(b * BLOCK + j))
                            .copied()
                            .unwrap_or(0.0)
                    });
                    if let Some(wide) = wide {
                        let source = (source.as_slice(), padding);
                        wide.convolve_picture::<BLOCK, K>(source, weights, start, s, to);
                    } else {
                        convolve_picture::<BLOCK, K>(source, padding, weights, start, s, to);
                    }
                };
                if is_cut {
                    picture
                        .par_chunks_mut(BLOCK * area)
                        .enumerate()
                        .for_each(block);
                } else {
                    picture.chunks_mut(BLOCK * area).enumerate().for_each(block);
                }
            });
        });
}

/// `BLOCK` output channels of one picture.
#[inline(never)]
fn convolve_picture<const BLOCK: usize, const K: usize>(
    source: &[f32],
    padding: Padding,
    weights: &[f32],
    start: [f32; BLOCK],
    s: ConvShape,
    to: &mut [MaybeUninit<f32>],
) {
    let per_row = s.width.div_ceil(LANES);
    let vectors = s.height * per_row;
    let inputs = weights.len() / (K * K * BLOCK);
    let mut v = 0;
    while v < vectors {
        // An odd last vector is computed twice rather than read past the picture.
        let at = [v, (v + 1).min(vectors - 1)].map(|v| (v / per_row, v % per_row * LANES));
        let offsets = at.map(|(row, x)| row * padding.row + x);
        debug_assert!(
            offsets[1] + (inputs - 1) * padding.plane + (K - 1) * (padding.row + 1) + LANES
                <= source.len()
        );
        // SAFETY: the assertion above states the farthest read; rows are padded to whole vectors by
        // `Padding`.
        let sums =
            unsafe { tile::<BLOCK, K>(source.as_ptr(), offsets, padding, weights, inputs, &start) };
        for (channel, sums) in to.chunks_exact_mut(s.height * s.width).zip(&sums) {
            for ((row, x), sum) in at.iter().zip(sums) {
                let count = LANES.min(s.width - x);
                let start = row * s.width + x;
                if count == LANES {
                    channel[start..start + LANES].write_copy_of_slice(sum.as_array());
                } else {
                    channel[start..start + count].write_copy_of_slice(&sum.as_array()[..count]);
                }
            }
        }
        v += 2;
    }
}

/// Sums of `BLOCK` output channels at two vectors of positions.
///
/// # Safety
/// For each channel `c < inputs` and tap `(ky, kx)`, eight elements from `offset + c * plane + ky * row + kx`
/// must exist.
#[expect(
    clippy::inline_always,
    reason = "a call here would spill the accumulators"
)]
#[inline(always)]
unsafe fn tile<const BLOCK: usize, const K: usize>(
    source: *const f32,
    offsets: [usize; 2],
    padding: Padding,
    weights: &[f32],
    inputs: usize,
    start: &[f32; BLOCK],
) -> [[f32x8; 2]; BLOCK] {
    let mut sums: [[f32x8; 2]; BLOCK] = std::array::from_fn(|j| [f32x8::splat(start[j]); 2]);
    for (c, taps) in weights.chunks_exact(K * K * BLOCK).enumerate().take(inputs) {
        for ky in 0..K {
            for kx in 0..K {
                let at = c * padding.plane + ky * padding.row + kx;
                // SAFETY: the caller's promise.
                let values = unsafe {
                    [
                        load(source.add(offsets[0] + at)),
                        load(source.add(offsets[1] + at)),
                    ]
                };
                let lanes = &taps[(ky * K + kx) * BLOCK..][..BLOCK];
                for j in 0..BLOCK {
                    let w = f32x8::splat(lanes[j]);
                    sums[j][0] = w.mul_add(values[0], sums[j][0]);
                    sums[j][1] = w.mul_add(values[1], sums[j][1]);
                }
            }
        }
    }
    sums
}

/// `dw[o, c, d] = sum_{n, p} dy[n, o, p] x[n, c, p + d]`.
///
/// A task is a run of input channels. It pads their planes of a few pictures and takes every block of output
/// channels past them, so that both stay near the core; one accumulator a few pictures keeps the sums short,
/// so rounding does not grow with the batch.
pub(super) fn weight_gradient(x: &[f32], dy: &[f32], shape: ConvShape) -> Vec<f32> {
    let s = shape.flattened();
    let taps = s.kernel * s.kernel;
    let (inputs, outputs) = (s.channels_in, s.channels_out);
    let mut dw = vec![0.0; outputs * inputs * taps];
    let area = s.height * s.width;
    if dw.is_empty() || s.batch * area == 0 {
        return dw;
    }
    let padding = Padding::new([s.height, s.width], s.kernel / 2, LANES);
    let mut padded_dy = Vec::new();
    let dy_padding = Padding::new([s.height, s.width], 0, LANES);
    let dy = if s.width.is_multiple_of(LANES) {
        dy
    } else {
        dy_padding.fill(&mut padded_dy, dy.chunks_exact(area), s.width);
        &padded_dy
    };
    // Three views a tile: a row of taps of one channel, or one tap of three channels.
    let together = if s.kernel == 3 { 4 } else { 6 };
    let mut turned = vec![0.0; inputs * outputs * taps]; // [c, o, taps]
    turned
        .par_chunks_mut(together * outputs * taps)
        .enumerate()
        .for_each(|(task, to)| {
            let channels = to.len() / (outputs * taps);
            with_scratch(|planes| {
                let group = PICTURE_GROUP.div_ceil(area);
                for first in (0..s.batch).step_by(group) {
                    let pictures = first..(first + group).min(s.batch);
                    let wanted: Vec<&[f32]> = pictures
                        .clone()
                        .flat_map(|n| (0..channels).map(move |c| n * inputs + task * together + c))
                        .map(|plane| &x[plane * area..][..area])
                        .collect();
                    padding.fill(planes, wanted.into_iter(), s.width);
                    let dy = &dy[first * outputs * dy_padding.plane
                        ..pictures.end * outputs * dy_padding.plane];
                    weight_group(planes, padding, dy, dy_padding, s, to);
                }
            });
        });
    for (c, from) in turned.chunks_exact(outputs * taps).enumerate() {
        for (o, from) in from.chunks_exact(taps).enumerate() {
            dw[(o * inputs + c) * taps..][..taps].copy_from_slice(from);
        }
    }
    dw
}

/// Adds what a few pictures give to the weights `to [c, o, taps]` of a few input channels.
///
/// `planes`: `[n, c, ..]` by `padding`; `dy`: `[n, o, ..]` by `dy_padding`.
#[inline(never)]
fn weight_group(
    planes: &[f32],
    padding: Padding,
    dy: &[f32],
    dy_padding: Padding,
    s: ConvShape,
    to: &mut [f32],
) {
    let (outputs, taps) = (s.channels_out, s.kernel * s.kernel);
    let channels = to.len() / (outputs * taps);
    let pictures = dy.len() / (outputs * dy_padding.plane);
    for first in (0..outputs).step_by(GRAD_BLOCK) {
        let rows: [usize; GRAD_BLOCK] =
            std::array::from_fn(|j| (first + j).min(outputs - 1) * dy_padding.plane);
        let count = GRAD_BLOCK.min(outputs - first);
        let tile = |columns: [usize; 3]| {
            // SAFETY: the starts are of whole planes, or of a plane's first rows and columns: `weight_tile`
            // reads `height` rows of whole vectors from there, and a padded plane has two border rows and
            // columns more.
            unsafe {
                weight_tile(
                    [planes, dy],
                    [padding, dy_padding],
                    [channels, outputs],
                    columns,
                    rows,
                    [pictures, s.height, s.width.div_ceil(LANES)],
                )
            }
        };
        if s.kernel == 3 {
            for c in 0..channels {
                for ky in 0..3 {
                    let columns =
                        std::array::from_fn(|kx| c * padding.plane + ky * padding.row + kx);
                    for (j, sums) in tile(columns).iter().enumerate().take(count) {
                        let to = &mut to[(c * outputs + first + j) * 9 + ky * 3..][..3];
                        to.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum);
                    }
                }
            }
        } else {
            for c in (0..channels).step_by(3) {
                let columns = std::array::from_fn(|i| (c + i).min(channels - 1) * padding.plane);
                for (j, sums) in tile(columns).iter().enumerate().take(count) {
                    for (i, sum) in sums.iter().enumerate().take(3.min(channels - c)) {
                        to[(c + i) * outputs + first + j] += sum;
                    }
                }
            }
        }
    }
}

/// Products of four upstream channels with three views of the input, summed over pictures and positions.
///
/// # Safety
/// Each start must have `height` rows of `vectors` whole vectors behind it, at its padding's stride, in every
/// picture.
#[expect(
    clippy::inline_always,
    reason = "a call here would hide where the time goes from a profile"
)]
#[inline(always)]
unsafe fn weight_tile(
    [planes, dy]: [&[f32]; 2],
    [padding, dy_padding]: [Padding; 2],
    [channels, outputs]: [usize; 2],
    columns: [usize; 3],
    rows: [usize; GRAD_BLOCK],
    [pictures, height, vectors]: [usize; 3],
) -> [[f32; 3]; GRAD_BLOCK] {
    let mut sums = [[f32x8::ZERO; 3]; GRAD_BLOCK];
    for n in 0..pictures {
        let (from, dy_from) = (n * channels * padding.plane, n * outputs * dy_padding.plane);
        debug_assert!(
            from + columns[2] + (height - 1) * padding.row + vectors * LANES <= planes.len()
        );
        debug_assert!(
            dy_from + rows[GRAD_BLOCK - 1] + (height - 1) * dy_padding.row + vectors * LANES
                <= dy.len()
        );
        // SAFETY: the caller's promise, asserted above in debug builds: every row read below lies inside both
        // buffers.
        let (x_rows, dy_rows) = unsafe {
            (
                columns.map(|column| planes.as_ptr().add(from + column)),
                rows.map(|row| dy.as_ptr().add(dy_from + row)),
            )
        };
        for y in 0..height {
            let (x_start, dy_start) = (y * padding.row, y * dy_padding.row);
            for v in (0..vectors * LANES).step_by(LANES) {
                // SAFETY: as above.
                let x = x_rows.map(|row| unsafe { load(row.add(x_start + v)) });
                for j in 0..GRAD_BLOCK {
                    // SAFETY: as above.
                    let dy = unsafe { load(dy_rows[j].add(dy_start + v)) };
                    for i in 0..3 {
                        sums[j][i] = dy.mul_add(x[i], sums[j][i]);
                    }
                }
            }
        }
    }
    sums.map(|sums| sums.map(f32x8::reduce_add))
}
