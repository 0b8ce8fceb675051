//! Same-size convolutions on the CPU without im2col: forward, data gradient and weight gradient.
//!
//! Used by [`super`] on Burn's Flex backend, whose im2col traffic limits it to a fraction of the processor's rate
//! (`benches/README.md` has both side by side). Every output number is summed by one task in one fixed order, so
//! results are the same to the bit for any number of threads.

#![expect(
    unsafe_code,
    reason = "the inner loops read through raw pointers; `Padded::offset` bounds every one of them"
)]

use std::cell::Cell;
use std::mem::MaybeUninit;

use rayon::prelude::*;
use wide::f32x8;

/// Lanes of one vector.
const LANES: usize = 8;
/// Output channels that one weight-gradient tile accumulates at once.
const GRAD_BLOCK: usize = 4;
/// Positions whose products one accumulator takes, in whole pictures.
const PICTURE_GROUP: usize = 1024;

/// Shape of a stride-1 convolution that keeps the picture's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConvShape {
    pub(crate) batch: usize,
    pub(crate) channels_in: usize,
    pub(crate) channels_out: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Side of the kernel: 1 or 3.
    pub(crate) kernel: usize,
}

impl ConvShape {
    /// A 1x1 convolution does not see rows: one long row wastes no lanes.
    fn flattened(self) -> Self {
        if self.kernel == 1 {
            Self {
                height: 1,
                width: self.height * self.width,
                ..self
            }
        } else {
            self
        }
    }
}

/// Where the zero-bordered copy of a run of planes lies: rows hold a whole number of vectors plus the border.
#[derive(Clone, Copy, Debug)]
struct Padding {
    /// Elements from one plane to the next.
    plane: usize,
    /// Elements from one row to the next.
    row: usize,
    border: usize,
}

impl Padding {
    fn new(height: usize, width: usize, border: usize) -> Self {
        let row = width.next_multiple_of(LANES) + 2 * border;
        let plane = row * (height + 2 * border);
        Self { plane, row, border }
    }

    /// Copies planes of `height * width` values into `to`, which becomes as long as the copy.
    fn fill<'a>(
        self,
        to: &mut Vec<f32>,
        planes: impl ExactSizeIterator<Item = &'a [f32]>,
        width: usize,
    ) {
        to.resize(planes.len() * self.plane, 0.0);
        for (to, from) in to.chunks_exact_mut(self.plane).zip(planes) {
            let mut rows = to.chunks_exact_mut(self.row);
            // The room held other planes before: the border is cleared each time.
            rows.by_ref()
                .take(self.border)
                .for_each(|row| row.fill(0.0));
            for line in from.chunks_exact(width) {
                let row = rows
                    .next()
                    .expect("a padded plane has more rows than its plane");
                row[..self.border].fill(0.0);
                let (middle, rest) = row[self.border..].split_at_mut(width);
                rest.fill(0.0);
                let (mut to, from) = (middle.chunks_exact_mut(LANES), line.chunks_exact(LANES));
                for (to, from) in to.by_ref().zip(from.clone()) {
                    to.copy_from_slice(from);
                }
                to.into_remainder().copy_from_slice(from.remainder());
            }
            rows.for_each(|row| row.fill(0.0));
        }
    }
}

/// A vector of `len` values, written by `f` without being cleared first.
///
/// # Safety
/// `f` must write every element.
pub(super) unsafe fn written(len: usize, f: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    f(&mut values.spare_capacity_mut()[..len]);
    // SAFETY: the capacity is there, and by the caller's promise all of it was written.
    unsafe { values.set_len(len) };
    values
}

thread_local! {
    /// Room for padded planes, kept: fresh memory a call would cost the system's clearing of it.
    static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Runs `f` with this thread's room. A task that rayon starts inside `f` on this thread finds a new, empty one.
fn with_scratch(f: impl FnOnce(&mut Vec<f32>)) {
    let mut scratch = SCRATCH.take();
    f(&mut scratch);
    SCRATCH.set(scratch);
}

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
pub(crate) fn forward(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    shape: ConvShape,
) -> Vec<f32> {
    let s = shape.flattened();
    let packed = |block: usize| pack(weight, s, block, false);
    convolve(x, bias, s.channels_in, s.channels_out, s, packed)
}

/// `dx[n, c, p] = sum_{o, d} w[o, c, d] dy[n, o, p - d]`: the forward pass with turned, transposed weights.
pub(crate) fn data_gradient(weight: &[f32], dy: &[f32], shape: ConvShape) -> Vec<f32> {
    let s = shape.flattened();
    let packed = |block: usize| pack(weight, s, block, true);
    convolve(dy, None, s.channels_out, s.channels_in, s, packed)
}

/// Weights as `[block][channel in][tap][lane of the block]`, so that a tile reads them in one run. `turned` swaps the
/// channel axes and reverses the taps; the last block is filled up with zeros.
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
    inputs: usize,
    outputs: usize,
    s: ConvShape,
    packed: impl Fn(usize) -> Vec<f32>,
) -> Vec<f32> {
    let len = s.batch * outputs * s.height * s.width;
    if len == 0 || inputs == 0 {
        return vec![0.0; len];
    }
    // Six output channels by two vectors fill the registers; four waste less where six does not divide.
    let is_six = outputs.is_multiple_of(6) || outputs > 24 && !outputs.is_multiple_of(4);
    let fill = |y: &mut [MaybeUninit<f32>]| match (s.kernel, is_six) {
        (1, true) => convolve_blocks::<6, 1>(x, &packed(6), bias, [inputs, outputs], s, y),
        (1, false) => convolve_blocks::<4, 1>(x, &packed(4), bias, [inputs, outputs], s, y),
        (3, true) => convolve_blocks::<6, 3>(x, &packed(6), bias, [inputs, outputs], s, y),
        (3, false) => convolve_blocks::<4, 3>(x, &packed(4), bias, [inputs, outputs], s, y),
        (other, _) => unreachable!("kernel side {other}: `super::conv_same` admits 1 and 3 only"),
    };
    // SAFETY: every block of every picture is written by `convolve_picture`, every position of it by a vector.
    unsafe { written(len, fill) }
}

fn convolve_blocks<const BLOCK: usize, const K: usize>(
    x: &[f32],
    packed: &[f32],
    bias: Option<&[f32]>,
    [inputs, outputs]: [usize; 2],
    s: ConvShape,
    y: &mut [MaybeUninit<f32>],
) {
    let area = s.height * s.width;
    let padding = Padding::new(s.height, s.width, K / 2);
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
                    convolve_picture::<BLOCK, K>(source, padding, weights, start, s, to);
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
        // SAFETY: the assertion above states the farthest read; rows are padded to whole vectors by `Padding`.
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
/// For each channel `c < inputs` and tap `(ky, kx)`, eight elements from `offset + c * plane + ky * row + kx` must exist.
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
/// A task is a run of input channels. It pads their planes of a few pictures and takes every block of output channels past
/// them, so that both stay near the core; one accumulator a few pictures keeps the sums short, so rounding does not grow
/// with the batch.
pub(crate) fn weight_gradient(x: &[f32], dy: &[f32], shape: ConvShape) -> Vec<f32> {
    let s = shape.flattened();
    let taps = s.kernel * s.kernel;
    let (inputs, outputs) = (s.channels_in, s.channels_out);
    let mut dw = vec![0.0; outputs * inputs * taps];
    let area = s.height * s.width;
    if dw.is_empty() || s.batch * area == 0 {
        return dw;
    }
    let padding = Padding::new(s.height, s.width, s.kernel / 2);
    let mut padded_dy = Vec::new();
    let dy_padding = Padding::new(s.height, s.width, 0);
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
            // SAFETY: the starts are of whole planes, or of a plane's first rows and columns: `weight_tile` reads `height` rows
            // of whole vectors from there, and a padded plane has two border rows and columns more.
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
/// Each start must have `height` rows of `vectors` whole vectors behind it, at its padding's stride, in every picture.
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
        // SAFETY: the caller's promise, asserted above in debug builds: every row read below lies inside both buffers.
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

/// `db[o] = sum_{n, p} dy[n, o, p]`, in blocks: one sum a plane, then over pictures.
pub(crate) fn bias_gradient(dy: &[f32], shape: ConvShape) -> Vec<f32> {
    let area = shape.height * shape.width;
    let mut db = vec![0.0; shape.channels_out];
    if area == 0 {
        return db;
    }
    for picture in dy.chunks_exact(shape.channels_out * area) {
        for (db, plane) in db.iter_mut().zip(picture.chunks_exact(area)) {
            *db += plane_sum(plane);
        }
    }
    db
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_769).wrapping_add(1);
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / 8_388_608.0 - 1.0
            })
            .collect()
    }

    /// Straight from the formula, in f64: (y, dx, dw).
    fn oracle(x: &[f32], w: &[f32], dy: &[f32], s: ConvShape) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let (k, p) = (s.kernel, s.kernel / 2);
        let mut y = vec![0.0; dy.len()];
        let mut dx = vec![0.0; x.len()];
        let mut dw = vec![0.0; w.len()];
        for n in 0..s.batch {
            for o in 0..s.channels_out {
                for c in 0..s.channels_in {
                    for row in 0..s.height {
                        for column in 0..s.width {
                            for ky in 0..k {
                                for kx in 0..k {
                                    let (iy, ix) = (row + ky, column + kx);
                                    if iy < p || ix < p || iy - p >= s.height || ix - p >= s.width {
                                        continue;
                                    }
                                    let xi = ((n * s.channels_in + c) * s.height + iy - p)
                                        * s.width
                                        + ix
                                        - p;
                                    let wi = ((o * s.channels_in + c) * k + ky) * k + kx;
                                    let yi = ((n * s.channels_out + o) * s.height + row) * s.width
                                        + column;
                                    y[yi] += f64::from(w[wi]) * f64::from(x[xi]);
                                    dx[xi] += f64::from(w[wi]) * f64::from(dy[yi]);
                                    dw[wi] += f64::from(dy[yi]) * f64::from(x[xi]);
                                }
                            }
                        }
                    }
                }
            }
        }
        (y, dx, dw)
    }

    fn worst(got: &[f32], want: &[f64]) -> f64 {
        assert_eq!(got.len(), want.len());
        let scale = want.iter().map(|v| v.abs()).fold(1e-12, f64::max);
        got.iter()
            .zip(want)
            .map(|(a, b)| (f64::from(*a) - b).abs())
            .fold(0.0, f64::max)
            / scale
    }

    #[test]
    fn convolution_and_both_gradients_match_the_formula_on_ragged_shapes() {
        for (i, (batch, ci, co, h, w, kernel)) in [
            (1, 1, 1, 1, 1, 3),
            (2, 3, 5, 4, 7, 3),
            (1, 12, 12, 8, 8, 3),
            (3, 7, 26, 5, 9, 3),
            (2, 4, 6, 3, 17, 3),
            (2, 5, 7, 3, 3, 1),
            (1, 6, 8, 16, 16, 1),
            (2, 29, 30, 2, 11, 1),
        ]
        .into_iter()
        .enumerate()
        {
            let s = ConvShape {
                batch,
                channels_in: ci,
                channels_out: co,
                height: h,
                width: w,
                kernel,
            };
            let x = noise(batch * ci * h * w, 3 * i as u32);
            let weight = noise(co * ci * kernel * kernel, 3 * i as u32 + 1);
            let dy = noise(batch * co * h * w, 3 * i as u32 + 2);
            let (y, dx, dw) = oracle(&x, &weight, &dy, s);
            // f32 sums of at most 3 * 5 * 9 * 29 products: rounding stays near 1e-6 of the largest value.
            assert!(worst(&forward(&x, &weight, None, s), &y) < 4e-6, "{s:?}");
            assert!(worst(&data_gradient(&weight, &dy, s), &dx) < 4e-6, "{s:?}");
            assert!(worst(&weight_gradient(&x, &dy, s), &dw) < 4e-6, "{s:?}");
            let bias = noise(co, 99);
            let with_bias = forward(&x, &weight, Some(&bias), s);
            let want: Vec<f64> = y
                .iter()
                .enumerate()
                .map(|(i, y)| y + f64::from(bias[i / (h * w) % co]))
                .collect();
            assert!(worst(&with_bias, &want) < 4e-6, "{s:?}");
            let db: Vec<f64> = (0..co)
                .map(|o| {
                    dy.iter()
                        .enumerate()
                        .filter(|(i, _)| i / (h * w) % co == o)
                        .map(|(_, v)| f64::from(*v))
                        .sum()
                })
                .collect();
            assert!(worst(&bias_gradient(&dy, s), &db) < 4e-6, "{s:?}");
        }
    }
}
