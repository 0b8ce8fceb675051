//! The edge-aware filter over one picture of any size, in little memory: the change as 16-bit numbers, the
//! guide as its own bytes, decays made anew for every walk.
//!
//! Used by `translate`. The change comes from a small network and is enlarged; the guide is the picture at
//! full size. Rounds shrink their reach: what a long one leaves as streaks where an outline is open, a
//! shorter one takes away.

use std::ops::Range;

use rayon::prelude::*;

use super::filter_cpu::{Filter, decay};

/// Rounds of rows and columns, each of half the reach of the one before it.
const ROUNDS: i32 = 3;
/// Columns walked at once: a cache line of the change.
const STRIP: usize = 32;
/// A change of 1 as it is stored; changes are within [-2, 2].
const UNIT: f32 = 16_000.0;

/// A small change, enlarged row by row as it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Enlarged {
    /// Enlarged along rows alone: `[h, c, W]`.
    rows: Vec<f32>,
    channels: usize,
    small_height: usize,
    width: usize,
    height: usize,
}

impl Enlarged {
    /// A part of a small square, `[left, top, width, height]` of `[c, side, side]`, to be enlarged by
    /// straight lines between the middles of its pixels.
    pub(crate) fn new(
        square: &[f32],
        side: usize,
        part: [u32; 4],
        width: u32,
        height: u32,
    ) -> Self {
        let [left, top, small_width, small_height] = part.map(|v| v as usize);
        let channels = square.len() / (side * side);
        let width = width as usize;
        let mut rows = Vec::with_capacity(small_height * channels * width);
        for i in top..top + small_height {
            for c in 0..channels {
                let row = &square[(c * side + i) * side + left..][..small_width];
                rows.extend((0..width).map(|j| {
                    let (at, next, share) = between(j, width, small_width);
                    row[at] + (row[next] - row[at]) * share
                }));
            }
        }
        Self {
            rows,
            channels,
            small_height,
            width,
            height: height as usize,
        }
    }

    /// A part of row `i`: `[c, columns]`.
    fn write(&self, i: usize, columns: Range<usize>, out: &mut [f32]) {
        let (at, next, share) = between(i, self.height, self.small_height);
        for (c, out) in out.chunks_exact_mut(columns.len()).enumerate() {
            let row = |small: usize| {
                &self.rows[(small * self.channels + c) * self.width..][columns.clone()]
            };
            for ((out, a), b) in out.iter_mut().zip(row(at)).zip(row(next)) {
                *out = a + (b - a) * share;
            }
        }
    }
}

/// The two of `small` pixels whose middles are on either side of pixel `at` of `large`, and how far it is
/// towards the second.
fn between(at: usize, large: usize, small: usize) -> (usize, usize, f32) {
    let place = (at as f64 + 0.5) * small as f64 / large as f64 - 0.5;
    let place = place.clamp(0.0, (small - 1) as f64);
    let first = place as usize;
    (
        first,
        (first + 1).min(small - 1),
        (place - first as f64) as f32,
    )
}

/// Writes a part of a row of a picture as planes, `(row, columns, [c, columns])`, values in [-1, 1].
pub(crate) type Look<'a> = dyn Fn(usize, Range<usize>, &mut [f32]) + Sync + 'a;

/// A picture and the change that is to be laid into it.
pub(crate) struct Large<'a> {
    pub(crate) guide: &'a Look<'a>,
    pub(crate) change: &'a Enlarged,
    pub(crate) filter: Filter,
}

/// A filtered change.
pub(crate) struct Change {
    /// `[H, c, W]`
    values: Vec<i16>,
    width: usize,
}

impl Change {
    /// The change of a value of row `i` of plane `c`, in column `j`.
    pub(crate) fn at(&self, channels: usize, i: usize, c: usize, j: usize) -> f32 {
        f32::from(self.values[(i * channels + c) * self.width + j]) / UNIT
    }
}

impl Large<'_> {
    /// The change, smoothed within regions of the guide.
    ///
    /// # Panics
    /// On pictures of other than 1, 3 or 4 planes.
    pub(crate) fn run(&self) -> Change {
        let values = match self.change.channels {
            1 => self.smoothed::<1>(),
            3 => self.smoothed::<3>(),
            4 => self.smoothed::<4>(),
            planes => unreachable!("pictures have 1, 3 or 4 planes, not {planes}"),
        };
        Change {
            values,
            width: self.change.width,
        }
    }

    fn smoothed<const C: usize>(&self) -> Vec<i16> {
        let (width, height) = (self.change.width, self.change.height);
        let mut change = vec![0; height * C * width];
        let rows = change.par_chunks_mut(C * width).enumerate();
        rows.for_each_init(
            || vec![0.0; C * width],
            |wide, (i, row)| {
                self.change.write(i, 0..width, wide);
                for (to, value) in row.iter_mut().zip(wide) {
                    *to = stored(*value * UNIT);
                }
            },
        );
        // The variance of rounds that shrink is that of two alike.
        let first = (2.0 / 3.0 * (1.0 - 0.25_f32.powi(ROUNDS))).sqrt();
        for round in 0..ROUNDS {
            let scale = first * 2.0_f32.powi(round);
            self.walk_rows::<C>(&mut change, scale);
            self.walk_columns::<C>(&mut change, scale);
        }
        change
    }

    /// What the guide shows, and what the enlarged translation does, of a part of a row: `[c, columns]` each.
    fn look(&self, i: usize, columns: &Range<usize>, seen: &mut Seen) {
        (self.guide)(i, columns.clone(), &mut seen.guide);
        if self.filter.edge_fake > 0.0 {
            self.change.write(i, columns.clone(), &mut seen.fake);
            for (fake, guide) in seen.fake.iter_mut().zip(&seen.guide) {
                *fake += guide;
            }
        }
    }

    /// Adds `edge * mean over channels of |a - b|`, of both pictures.
    fn add_edges<const C: usize>(
        &self,
        costs: &mut [f32],
        pairs: [(&[f32], &[f32]); 2],
        stride: usize,
    ) {
        let edges = [self.filter.edge, self.filter.edge_fake];
        for ((a, b), edge) in pairs.into_iter().zip(edges) {
            if edge == 0.0 {
                continue;
            }
            for c in 0..C {
                let (a, b) = (&a[c * stride..], &b[c * stride..]);
                for ((cost, a), b) in costs.iter_mut().zip(a).zip(b) {
                    *cost += edge / C as f32 * (a - b).abs();
                }
            }
        }
    }

    fn cost_a_pixel(&self) -> f32 {
        let side = self.change.width.max(self.change.height);
        self.filter.cost_a_pixel(side)
    }

    fn walk_rows<const C: usize>(&self, change: &mut [i16], scale: f32) {
        let width = self.change.width;
        let cost = self.cost_a_pixel();
        let rows = change.par_chunks_mut(C * width).enumerate();
        rows.for_each_init(
            || {
                (
                    Seen::new::<C>(width),
                    vec![0.0; width],
                    vec![0.0; C * width],
                    vec![0.0; width],
                )
            },
            |(seen, decays, sums, weights), (i, row)| {
                self.look(i, &(0..width), seen);
                decays.fill(0.0);
                let (guide, fake) = (&seen.guide, &seen.fake);
                // Differences across the end of a plane fall off the end of the shorter slice.
                self.add_edges::<C>(
                    &mut decays[1..],
                    [(&guide[1..], guide), (&fake[1..], fake)],
                    width,
                );
                decay(decays, cost, scale);
                decays[0] = 0.0;
                walk_row::<C>(row, decays, sums, weights);
            },
        );
    }

    fn walk_columns<const C: usize>(&self, change: &mut [i16], scale: f32) {
        let (width, height) = (self.change.width, self.change.height);
        let cost = self.cost_a_pixel();
        let mut strips: Vec<Vec<&mut [i16]>> = Vec::new();
        strips.resize_with(width.div_ceil(STRIP), || Vec::with_capacity(height * C));
        for line in change.chunks_exact_mut(width) {
            for (strip, piece) in strips.iter_mut().zip(line.chunks_mut(STRIP)) {
                strip.push(piece);
            }
        }
        let strips = strips.into_par_iter().enumerate();
        strips.for_each_init(
            || (Vec::new(), Vec::new(), Vec::new()),
            |(sums, weights, decays), (number, mut lines)| {
                let columns = number * STRIP..width.min((number + 1) * STRIP);
                let n = columns.len();
                sums.resize(height * C * n, 0.0);
                weights.resize(height * n, 0.0);
                decays.clear();
                decays.resize(height * n, 0.0);
                let (mut last, mut seen) = (Seen::new::<C>(n), Seen::new::<C>(n));
                self.look(0, &columns, &mut last);
                for i in 1..height {
                    self.look(i, &columns, &mut seen);
                    let pairs = [(&seen.guide[..], &last.guide[..]), (&seen.fake, &last.fake)];
                    self.add_edges::<C>(&mut decays[i * n..][..n], pairs, n);
                    std::mem::swap(&mut last, &mut seen);
                }
                decay(&mut decays[n..], cost, scale);
                walk_strip::<C>(&mut lines, n, decays, sums, weights);
            },
        );
    }
}

/// What is to be seen of a part of a row: `[c, columns]` each.
struct Seen {
    guide: Vec<f32>,
    fake: Vec<f32>,
}

impl Seen {
    fn new<const C: usize>(columns: usize) -> Self {
        Self {
            guide: vec![0.0; C * columns],
            fake: vec![0.0; C * columns],
        }
    }
}

/// Rounded towards zero, by way of 32 bits: conversions to 16 are done one by one, not in vectors. Means of
/// stored changes are within their range.
fn stored(value: f32) -> i16 {
    value as i32 as i16
}

/// Weighted means along a row `[c, W]`, from both ends; sums of weights as those of one more plane of ones.
fn walk_row<const C: usize>(
    row: &mut [i16],
    decays: &[f32],
    sums: &mut [f32],
    weights: &mut [f32],
) {
    let width = decays.len();
    let (mut before, mut weight) = ([0.0_f32; C], 0.0_f32);
    for (j, decay) in decays.iter().enumerate() {
        weight = decay.mul_add(weight, 1.0);
        weights[j] = weight;
        for c in 0..C {
            before[c] = decay.mul_add(before[c], f32::from(row[c * width + j]));
            sums[c * width + j] = before[c];
        }
    }
    let (mut after, mut weight) = ([0.0_f32; C], 0.0_f32);
    for (j, decay) in decays.iter().enumerate().rev() {
        let share = 1.0 / (weights[j] + weight);
        weight = decay * (1.0 + weight);
        for c in 0..C {
            let value = &mut row[c * width + j];
            let total = sums[c * width + j] + after[c];
            after[c] = decay * (f32::from(*value) + after[c]);
            *value = stored(total * share);
        }
    }
}

/// Walks down `n` columns; `lines`: `[H, c]` slices of as many values.
fn walk_strip<const C: usize>(
    lines: &mut [&mut [i16]],
    n: usize,
    decays: &[f32],
    sums: &mut [f32],
    weights: &mut [f32],
) {
    let (mut before, mut weight) = ([[0.0_f32; STRIP]; C], [0.0_f32; STRIP]);
    let rows = decays.chunks_exact(n).zip(weights.chunks_exact_mut(n));
    let rows = rows
        .zip(sums.chunks_exact_mut(C * n))
        .zip(lines.chunks_exact(C));
    for (((decays, weights), sums), lines) in rows {
        for ((to, weight), decay) in weights.iter_mut().zip(&mut weight).zip(decays) {
            *weight = decay.mul_add(*weight, 1.0);
            *to = *weight;
        }
        for ((sums, line), before) in sums.chunks_exact_mut(n).zip(lines).zip(&mut before) {
            let values = sums.iter_mut().zip(line.iter()).zip(decays);
            for (((sum, value), decay), before) in values.zip(before) {
                *before = decay.mul_add(*before, f32::from(*value));
                *sum = *before;
            }
        }
    }
    let (mut after, mut weight) = ([[0.0_f32; STRIP]; C], [0.0_f32; STRIP]);
    let rows = decays.chunks_exact(n).zip(weights.chunks_exact(n));
    let rows = rows
        .zip(sums.chunks_exact(C * n))
        .zip(lines.chunks_exact_mut(C));
    for (((decays, weights), sums), lines) in rows.rev() {
        let mut shares = [0.0_f32; STRIP];
        let all = shares.iter_mut().zip(&mut weight).zip(weights).zip(decays);
        for (((share, weight), before), decay) in all {
            *share = 1.0 / (before + *weight);
            *weight = decay * (1.0 + *weight);
        }
        for ((sums, line), after) in sums.chunks_exact(n).zip(lines).zip(&mut after) {
            let values = sums.iter().zip(line.iter_mut()).zip(decays).zip(&shares);
            for ((((sum, value), decay), share), after) in values.zip(after) {
                let total = sum + *after;
                *after = decay * (f32::from(*value) + *after);
                *value = stored(total * share);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::doctor::oracle::EdgeAware;
    use crate::data::{Channels, Picture};
    use crate::rng::{Rng, Stream};

    /// A picture of grey blocks, half of them half transparent, and a change of 5 x 4 pixels.
    fn case(channels: Channels, width: u32, height: u32) -> (Picture, Vec<f32>) {
        let mut rng = Rng::new(3, Stream::TEST, u64::from(width));
        let levels: Vec<u8> = (0..64).map(|_| (rng.next_u64() % 256) as u8).collect();
        let pixel = |at: u32| {
            let (i, j) = (at / width, at % width);
            let level = levels[((i / 3 * 5 + j / 4) % 64) as usize];
            let alpha = if i % 2 == 0 { 255 } else { 128 };
            [level / 2, level / 3, 20, alpha]
        };
        let picture = Picture {
            width_px: width,
            height_px: height,
            premultiplied: (0..width * height).flat_map(pixel).collect(),
        };
        let change = rng.normals(channels.count() * 25);
        (
            picture,
            change.iter().map(|v| (0.4 * v).clamp(-1.5, 1.5)).collect(),
        )
    }

    fn look(picture: &Picture, background: [u8; 3], channels: Channels) -> Box<Look<'_>> {
        let width = picture.width_px as usize;
        Box::new(move |i, columns, planes| {
            let bytes = &picture.premultiplied[4 * (i * width + columns.start)..];
            channels.write(&bytes[..4 * columns.len()], background, planes);
        })
    }

    #[test]
    fn a_large_change_is_that_of_the_float64_sums_on_ragged_sizes_and_any_channels() {
        for (channels, edge_fake, width, height) in [
            (Channels::Rgb, 5.0, 70, 22),
            (Channels::Rgba, 0.0, 9, 40),
            (Channels::Grey, 2.0, 33, 1),
        ] {
            let (picture, small) = case(channels, width, height);
            let background = [255, 250, 240];
            let filter = Filter {
                reach: 0.3,
                edge: 5.0,
                edge_fake,
            };
            let change = Enlarged::new(&small, 5, [0, 1, 5, 4], width, height);
            let large = Large {
                guide: &look(&picture, background, channels),
                change: &change,
                filter,
            };
            let out = large.run();
            let (w, h, c) = (width as usize, height as usize, channels.count());
            let x = picture.planes(channels, background);
            let mut rows = vec![0.0; c * w];
            let mut fake = x.clone();
            for i in 0..h {
                change.write(i, 0..w, &mut rows);
                for (at, value) in rows.iter().enumerate() {
                    fake[(at / w * h + i) * w + at % w] += value;
                }
            }
            let first = (2.0_f64 / 3.0 * (1.0 - 0.25_f64.powi(3))).sqrt();
            let oracle = EdgeAware {
                batch: 1,
                channels: c,
                height: h,
                width: w,
                filter,
                scales: &[first, 2.0 * first, 4.0 * first],
            };
            let truth = oracle.run(&x, &fake, &vec![0.0; x.len()]).y;
            for (at, truth) in truth.iter().enumerate() {
                let (plane, i, j) = (at / (w * h), at / w % h, at % w);
                let value = (x[at] + out.at(c, i, plane, j)).clamp(-1.0, 1.0);
                // Seven roundings to 16 bits, each of at most a step.
                assert!(
                    (f64::from(value) - truth).abs() < 7.0 / f64::from(UNIT),
                    "{at}: {value} {truth}"
                );
            }
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let (picture, small) = case(Channels::Rgb, 100, 70);
        let change = Enlarged::new(&small, 5, [0, 0, 5, 5], 100, 70);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("a pool").install(|| {
                let large = Large {
                    guide: &look(&picture, [255; 3], Channels::Rgb),
                    change: &change,
                    filter: Filter {
                        reach: 0.3,
                        edge: 5.0,
                        edge_fake: 5.0,
                    },
                };
                large.run().values
            })
        };
        assert!(run(1) == run(3));
    }
}
