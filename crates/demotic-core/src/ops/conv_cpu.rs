//! Same-size convolutions on the CPU without im2col: forward, data gradient and weight gradient.
//!
//! Used by [`super`] on Burn's Flex backend, whose im2col traffic limits it to a fraction of the processor's rate
//! (`benches/README.md` has both side by side). Every output number is summed by one task in one fixed order, so
//! results are the same to the bit for any number of threads.

#![expect(
    unsafe_code,
    reason = "the inner loops read through raw pointers; `Padded::offset` bounds every one of them"
)]

use rayon::prelude::*;
use wide::f32x8;

/// Lanes of one vector.
const LANES: usize = 8;
/// Output channels that one weight-gradient tile accumulates at once.
const GRAD_BLOCK: usize = 4;

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

/// Zero-bordered copy of `[n, c, h, w]` whose rows hold a whole number of vectors plus the border.
struct Padded {
    data: Vec<f32>,
    /// Elements from one channel to the next.
    plane: usize,
    /// Elements from one row to the next.
    row: usize,
}

impl Padded {
    fn new(source: &[f32], planes: usize, height: usize, width: usize, border: usize) -> Self {
        let row = width.next_multiple_of(LANES) + 2 * border;
        let plane = row * (height + 2 * border);
        let mut data = vec![0.0; planes * plane];
        data.par_chunks_mut(plane)
            .zip(source.par_chunks(height * width))
            .with_min_len(8)
            .for_each(|(to, from)| {
                for (y, line) in from.chunks_exact(width).enumerate() {
                    let start = (y + border) * row + border;
                    to[start..start + width].copy_from_slice(line);
                }
            });
        Self { data, plane, row }
    }

    /// Start of the vector that covers output positions `(y, x..x + LANES)` at kernel offset (0, 0).
    fn offset(&self, y: usize, x: usize) -> usize {
        y * self.row + x
    }
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
    let packed = |block: usize| {
        pack(
            weight,
            s.channels_out,
            s.channels_in,
            s.kernel * s.kernel,
            block,
            false,
        )
    };
    convolve(x, bias, s.channels_in, s.channels_out, s, packed)
}

/// `dx[n, c, p] = sum_{o, d} w[o, c, d] dy[n, o, p - d]`: the forward pass with turned, transposed weights.
pub(crate) fn data_gradient(weight: &[f32], dy: &[f32], shape: ConvShape) -> Vec<f32> {
    let s = shape.flattened();
    let packed = |block: usize| {
        pack(
            weight,
            s.channels_out,
            s.channels_in,
            s.kernel * s.kernel,
            block,
            true,
        )
    };
    convolve(dy, None, s.channels_out, s.channels_in, s, packed)
}

/// Weights as `[block][channel in][tap][lane of the block]`, so that a tile reads them in one run. `turned` swaps the
/// channel axes and reverses the taps; the last block is filled up with zeros.
fn pack(
    weight: &[f32],
    out: usize,
    inp: usize,
    taps: usize,
    block: usize,
    turned: bool,
) -> Vec<f32> {
    let (rows, columns) = if turned { (inp, out) } else { (out, inp) };
    let blocks = rows.div_ceil(block);
    let mut packed = vec![0.0; blocks * columns * taps * block];
    for (b, to) in packed.chunks_exact_mut(columns * taps * block).enumerate() {
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
    }
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
    let mut y = vec![0.0; s.batch * outputs * s.height * s.width];
    if y.is_empty() || inputs == 0 {
        return y;
    }
    let source = Padded::new(x, s.batch * inputs, s.height, s.width, s.kernel / 2);
    // Six output channels by two vectors fill the registers; four waste less where six does not divide.
    match (
        s.kernel,
        outputs.is_multiple_of(6) || outputs > 24 && !outputs.is_multiple_of(4),
    ) {
        (1, true) => convolve_blocks::<6, 1>(&source, &packed(6), bias, inputs, outputs, s, &mut y),
        (1, false) => {
            convolve_blocks::<4, 1>(&source, &packed(4), bias, inputs, outputs, s, &mut y);
        }
        (3, true) => convolve_blocks::<6, 3>(&source, &packed(6), bias, inputs, outputs, s, &mut y),
        (3, false) => {
            convolve_blocks::<4, 3>(&source, &packed(4), bias, inputs, outputs, s, &mut y);
        }
        (other, _) => unreachable!("kernel side {other}: `super::conv_same` admits 1 and 3 only"),
    }
    y
}

fn convolve_blocks<const BLOCK: usize, const K: usize>(
    source: &Padded,
    packed: &[f32],
    bias: Option<&[f32]>,
    inputs: usize,
    outputs: usize,
    s: ConvShape,
    y: &mut [f32],
) {
    let area = s.height * s.width;
    let per_row = s.width.div_ceil(LANES);
    let vectors = s.height * per_row;
    let block_len = inputs * K * K * BLOCK;
    y.par_chunks_mut(outputs * area)
        .enumerate()
        .for_each(|(n, picture)| {
            let first = n * inputs * source.plane;
            picture
                .par_chunks_mut(BLOCK * area)
                .enumerate()
                .for_each(|(b, to)| {
                    let weights = &packed[b * block_len..(b + 1) * block_len];
                    let start: [f32; BLOCK] = std::array::from_fn(|j| {
                        bias.and_then(|bias| bias.get(b * BLOCK + j))
                            .copied()
                            .unwrap_or(0.0)
                    });
                    let mut v = 0;
                    while v < vectors {
                        // An odd last vector is computed twice rather than read past the picture.
                        let at = [v, (v + 1).min(vectors - 1)]
                            .map(|v| (v / per_row, v % per_row * LANES));
                        let offsets = at.map(|(row, x)| first + source.offset(row, x));
                        debug_assert!(
                            offsets[1]
                                + (inputs - 1) * source.plane
                                + (K - 1) * (source.row + 1)
                                + LANES
                                <= source.data.len()
                        );
                        // SAFETY: the assertion above states the farthest read; rows are padded to whole vectors by `Padded`.
                        let sums = unsafe {
                            tile::<BLOCK, K>(
                                source.data.as_ptr(),
                                offsets,
                                source.plane,
                                source.row,
                                weights,
                                inputs,
                                &start,
                            )
                        };
                        for (channel, sums) in to.chunks_exact_mut(area).zip(&sums) {
                            for ((row, x), sum) in at.iter().zip(sums) {
                                let count = LANES.min(s.width - x);
                                let start = row * s.width + x;
                                if count == LANES {
                                    channel[start..start + LANES].copy_from_slice(sum.as_array());
                                } else {
                                    channel[start..start + count]
                                        .copy_from_slice(&sum.as_array()[..count]);
                                }
                            }
                        }
                        v += 2;
                    }
                });
        });
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
    plane: usize,
    row: usize,
    weights: &[f32],
    inputs: usize,
    start: &[f32; BLOCK],
) -> [[f32x8; 2]; BLOCK] {
    let mut sums: [[f32x8; 2]; BLOCK] = std::array::from_fn(|j| [f32x8::splat(start[j]); 2]);
    for (c, taps) in weights.chunks_exact(K * K * BLOCK).enumerate().take(inputs) {
        for ky in 0..K {
            for kx in 0..K {
                let at = c * plane + ky * row + kx;
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
pub(crate) fn weight_gradient(x: &[f32], dy: &[f32], shape: ConvShape) -> Vec<f32> {
    let s = shape.flattened();
    let taps = s.kernel * s.kernel;
    let mut dw = vec![0.0; s.channels_out * s.channels_in * taps];
    if dw.is_empty() || s.batch * s.height * s.width == 0 {
        return dw;
    }
    let source = Padded::new(x, s.batch * s.channels_in, s.height, s.width, s.kernel / 2);
    let upstream = (!s.width.is_multiple_of(LANES))
        .then(|| Padded::new(dy, s.batch * s.channels_out, s.height, s.width, 0));
    let upstream = match &upstream {
        Some(padded) => Upstream {
            data: &padded.data,
            plane: padded.plane,
            row: padded.row,
        },
        None => Upstream {
            data: dy,
            plane: s.height * s.width,
            row: s.width,
        },
    };
    dw.par_chunks_mut(GRAD_BLOCK * s.channels_in * taps)
        .enumerate()
        .for_each(|(b, to)| {
            let first = b * GRAD_BLOCK;
            let rows: [usize; GRAD_BLOCK] =
                std::array::from_fn(|j| (first + j).min(s.channels_out - 1));
            if s.kernel == 3 {
                for c in 0..s.channels_in {
                    for ky in 0..3 {
                        let columns =
                            std::array::from_fn(|kx| c * source.plane + ky * source.row + kx);
                        // SAFETY: `weight_tile` reads at most (h - 1) rows and one row's vectors beyond these starts, and
                        // `Padded` has two border rows and columns more.
                        let sums = unsafe { weight_tile(&source, columns, &upstream, rows, s) };
                        for (to, sums) in to.chunks_exact_mut(s.channels_in * 9).zip(sums) {
                            to[c * 9 + ky * 3..][..3].copy_from_slice(&sums);
                        }
                    }
                }
            } else {
                for c in (0..s.channels_in).step_by(3) {
                    let columns =
                        std::array::from_fn(|i| (c + i).min(s.channels_in - 1) * source.plane);
                    // SAFETY: no border and no shift: every read lies in its own plane.
                    let sums = unsafe { weight_tile(&source, columns, &upstream, rows, s) };
                    for (to, sums) in to.chunks_exact_mut(s.channels_in).zip(sums) {
                        let count = 3.min(s.channels_in - c);
                        to[c..c + count].copy_from_slice(&sums[..count]);
                    }
                }
            }
        });
    dw
}

struct Upstream<'a> {
    data: &'a [f32],
    plane: usize,
    row: usize,
}

/// Products of four upstream channels with three views of the input, summed over pictures and positions.
///
/// # Safety
/// Each view must hold `height` rows of whole vectors at the source's stride from its start, in every picture.
unsafe fn weight_tile(
    source: &Padded,
    columns: [usize; 3],
    upstream: &Upstream<'_>,
    rows: [usize; GRAD_BLOCK],
    s: ConvShape,
) -> [[f32; 3]; GRAD_BLOCK] {
    let mut total = [[0.0_f32; 3]; GRAD_BLOCK];
    let vectors = s.width.div_ceil(LANES);
    let last_row = (s.height - 1) * upstream.row + vectors * LANES;
    for n in 0..s.batch {
        let from = n * s.channels_in * source.plane;
        let dy_from = n * s.channels_out * upstream.plane;
        debug_assert!(
            columns[2] + from + (s.height - 1) * source.row + vectors * LANES <= source.data.len()
        );
        debug_assert!(
            rows[GRAD_BLOCK - 1] * upstream.plane + dy_from + last_row <= upstream.data.len()
        );
        // SAFETY: the caller's promise, asserted above in debug builds: every row read below lies inside both buffers.
        let (x_rows, dy_rows) = unsafe {
            (
                columns.map(|column| source.data.as_ptr().add(column + from)),
                rows.map(|row| upstream.data.as_ptr().add(row * upstream.plane + dy_from)),
            )
        };
        // One accumulator a picture keeps the sums short: rounding grows with the picture, not with the batch.
        let mut sums = [[f32x8::ZERO; 3]; GRAD_BLOCK];
        for y in 0..s.height {
            let (x_start, dy_start) = (y * source.row, y * upstream.row);
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
        for (total, sums) in total.iter_mut().zip(&sums) {
            for (total, sum) in total.iter_mut().zip(sums) {
                *total += sum.reduce_add();
            }
        }
    }
    total
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
