//! 3x3 convolutions by Winograd's F(4x4, 3x3): a tile of 4x4 outputs takes 36 products a pair of channels,
//! where the sum as it is written takes 144.
//!
//! A tile's 6x6 inputs `d` become `V = B' d B`, the taps `U = G w G'`; outputs are `A' (sum_c U V) A`. At
//! each of the 36 points the sum over channels is a small matrix product. The weight gradient is the
//! transpose: `dw = G' (sum_tiles (A dy A') V) G`. Lanes are channels: pictures are turned into them and back
//! a strip of rows at a time, so that sides need not be multiples of anything.
//!
//! Against float64 the error of a number is below 2e-6 of the sum of its products' sizes on noise. A tile
//! mixes its inputs, so one far greater than its neighbours gives them a rounding of its own size. A NaN or
//! an infinity reaches, as NaN, every output of the tiles that see it.
//!
//! # Source
//! Lavin and Gray 2016.

use std::mem::MaybeUninit;

use rayon::prelude::*;
use wide::f32x8;

use super::points::{OUT, SPAN, of_taps, to_taps};
use super::room::{ConvShape, LANES, with_scratch, with_weights, written};
use super::tiles::{Place, TASK_TILES, Tiling, crossed, each, get, put};
use super::wide512::{self, Wide};
use super::widths::{Vectors, inverse, transform_gradient, transform_input};

/// Products a tile and pair of channels.
const POINTS: usize = SPAN * SPAN;
/// Output channels that are multiplied at once in vectors of eight: three by four tiles fill the registers.
const PANEL: usize = 3 * LANES;
/// Floats between two points beyond what they hold: points a power of two apart would share a few cache sets.
const SKEW: usize = 16;
/// Tiles whose products one accumulator of the weight gradient takes, and whose transforms are held at once.
const GROUP_TILES: usize = 128;
/// Input channels whose weights one task transforms.
const PACK_CHANNELS: usize = 16;
/// Fewer channels on either side do not pay for the transforms.
pub(super) const CHANNELS: usize = 12;
/// The same for the weight gradient, which transforms the pictures of both sides.
pub(super) const WEIGHT_CHANNELS: usize = 16;

/// Parts of planes of a picture, one a channel.
type Planes<'a> = Vec<&'a mut [MaybeUninit<f32>]>;

/// True where this way takes at most half of the products (a whole tile takes a quarter; sides that do not
/// fill their tiles more), and has channels enough to pay for the transforms.
pub(super) fn is_faster(s: ConvShape, channels: usize) -> bool {
    let tiles = s.height.div_ceil(OUT) * s.width.div_ceil(OUT);
    s.kernel == 3
        && s.channels_in.min(s.channels_out) >= channels
        && 2 * POINTS * tiles <= 9 * s.height * s.width
}

/// Output channels that are multiplied at once.
fn panel(wide: Option<Wide>) -> usize {
    wide.map_or(PANEL, |_| wide512::PANEL)
}

/// `G w G'` in panels of output channels, `[panel][point][channel in][lane]`, filled up with zeros to whole
/// vectors. `turned` swaps the channel axes and reverses the taps.
fn pack<'a>(
    weight: &[f32],
    s: ConvShape,
    turned: bool,
    panel: usize,
    room: &'a mut Vec<f32>,
) -> &'a [f32] {
    let (out, inp) = (s.channels_out, s.channels_in);
    let (rows, columns) = if turned { (inp, out) } else { (out, inp) };
    let packed = roomy(room, rows.next_multiple_of(LANES) * columns * POINTS);
    // A task is a run of a panel's input channels, at all points.
    let mut tasks: Vec<(usize, usize, usize, Vec<&mut [f32]>)> = Vec::new();
    for (number, panel_of) in packed.chunks_mut(panel * columns * POINTS).enumerate() {
        let (first, width) = (tasks.len(), panel_of.len() / (columns * POINTS));
        for c in (0..columns).step_by(PACK_CHANNELS) {
            tasks.push((number * panel, width, c, Vec::with_capacity(POINTS)));
        }
        for point in panel_of.chunks_exact_mut(columns * width) {
            let parts = point.chunks_mut(PACK_CHANNELS * width);
            for (task, part) in tasks[first..].iter_mut().zip(parts) {
                task.3.push(part);
            }
        }
    }
    tasks
        .into_par_iter()
        .for_each(|(first, width, from, mut points)| {
            for v in (0..width).step_by(LANES) {
                for c in 0..points[0].len() / width {
                    let lanes: [&[f32]; LANES] = std::array::from_fn(|i| {
                        let (r, c) = (first + v + i, from + c);
                        let pair = if turned { c * inp + r } else { r * inp + c };
                        if r < rows {
                            &weight[pair * 9..][..9]
                        } else {
                            &[0.0; 9]
                        }
                    });
                    let most = f32x8::transpose(each(|i| get(lanes[i], 0)));
                    let last = f32x8::from(lanes.map(|lane| lane[8]));
                    let tap = |t: usize| {
                        let t = if turned { 8 - t } else { t };
                        most.get(t).copied().unwrap_or(last)
                    };
                    let mut half = [[f32x8::ZERO; SPAN]; 3];
                    for (x, half) in half.iter_mut().enumerate() {
                        *half = of_taps(each(|y| tap(3 * y + x)));
                    }
                    for (y, row) in crossed(half).into_iter().enumerate() {
                        for (x, value) in of_taps(row).into_iter().enumerate() {
                            put(points[y * SPAN + x], c * width + v, value);
                        }
                    }
                }
            }
        });
    packed
}

/// As [`super::forward`].
pub(super) fn forward(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    s: ConvShape,
    vectors: Vectors,
) -> Vec<f32> {
    let channels = [s.channels_in, s.channels_out];
    with_weights(|room| {
        let packed = pack(weight, s, false, panel(vectors.products), room);
        convolve(x, bias, channels, s, packed, vectors)
    })
}

/// As [`super::data_gradient`]: the forward pass with turned, transposed weights.
pub(super) fn data_gradient(
    weight: &[f32],
    dy: &[f32],
    s: ConvShape,
    vectors: Vectors,
) -> Vec<f32> {
    let channels = [s.channels_out, s.channels_in];
    with_weights(|room| {
        let packed = pack(weight, s, true, panel(vectors.products), room);
        convolve(dy, None, channels, s, packed, vectors)
    })
}

#[expect(
    unsafe_code,
    reason = "results are written once, not cleared and then written"
)]
fn convolve(
    x: &[f32],
    bias: Option<&[f32]>,
    [inputs, outputs]: [usize; 2],
    s: ConvShape,
    packed: &[f32],
    vectors: Vectors,
) -> Vec<f32> {
    let t = Tiling::new(s);
    let together = (TASK_TILES / t.unit_tiles()).max(1);
    let fill = |y: &mut [MaybeUninit<f32>]| {
        let empty = || Planes::with_capacity(outputs);
        let mut units: Vec<Planes> = (0..s.batch * t.units).map(|_| empty()).collect();
        for (plane, y) in y.chunks_mut(t.area()).enumerate() {
            let parts = y.chunks_mut(t.unit_rows * OUT * t.width);
            for (unit, part) in units[plane / outputs * t.units..].iter_mut().zip(parts) {
                unit.push(part);
            }
        }
        let tasks = units.par_chunks_mut(together).enumerate();
        tasks.for_each(|(task, units)| {
            convolve_units(
                x,
                bias,
                [inputs, outputs],
                t,
                packed,
                (task * together, units),
                vectors,
            );
        });
    };
    // SAFETY: units cover the rows of all planes, and `inverse` writes every pixel of the rows it is given.
    unsafe { written(s.batch * outputs * t.area(), fill) }
}

/// Whole units from number `first` on.
fn convolve_units(
    x: &[f32],
    bias: Option<&[f32]>,
    [inputs, outputs]: [usize; 2],
    t: Tiling,
    packed: &[f32],
    (first, units): (usize, &mut [Planes]),
    Vectors {
        transforms,
        products,
    }: Vectors,
) {
    let lanes = panel(products);
    let tiles = units.len() * t.unit_tiles();
    let channels = inputs.next_multiple_of(LANES);
    let (point, point_out) = (tiles * channels + SKEW, tiles * lanes + SKEW);
    let sizes = [POINTS * point, POINTS * point_out, t.strip()];
    with_scratch(|room| {
        let room = roomy(room, sizes.iter().sum());
        let (v, room) = room.split_at_mut(sizes[0]);
        let (m, strip) = room.split_at_mut(sizes[1]);
        for i in 0..units.len() {
            let (n, rows) = t.unit(first + i);
            let place = Place {
                first: i * t.unit_tiles(),
                point,
                tile: channels,
            };
            let picture = &x[n * inputs * t.area()..][..inputs * t.area()];
            transform_input(picture, (t, rows), strip, (v, place), transforms);
        }
        for (panel, weights) in packed.chunks(lanes * inputs * POINTS).enumerate() {
            let width = weights.len() / (inputs * POINTS);
            for (p, weights) in weights.chunks_exact(inputs * width).enumerate() {
                let v = &v[p * point..][..tiles * channels];
                let m = &mut m[p * point_out..][..tiles * width];
                match (products, width / LANES) {
                    (Some(wide), _) => wide.multiply(v, channels, weights, m, width),
                    (None, 3) => multiply::<4, 3>(v, channels, weights, m),
                    (None, 2) => multiply::<6, 2>(v, channels, weights, m),
                    (None, _) => multiply::<8, 1>(v, channels, weights, m),
                }
            }
            let wanted = panel * lanes..outputs.min(panel * lanes + width);
            let bias = bias.map(|bias| &bias[wanted.clone()]);
            for (i, unit) in units.iter_mut().enumerate() {
                let place = Place {
                    first: i * t.unit_tiles(),
                    point: point_out,
                    tile: width,
                };
                let (_, rows) = t.unit(first + i);
                inverse(
                    (m, place),
                    (t, rows),
                    strip,
                    bias,
                    &mut unit[wanted.clone()],
                    transforms,
                );
            }
        }
    });
}

/// `len` floats of a room that is made large enough, from the start of a cache line on: vectors that lie
/// across two of them cost up to a tenth.
fn roomy(room: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if room.len() < len + 16 {
        room.resize(len + 16, 0.0);
    }
    let skip = room.as_ptr().align_offset(64);
    &mut room[skip..][..len]
}

/// `m[tile][lane] = sum_c v[tile][c] weights[c][lane]`, R tiles by N vectors at once.
#[inline(never)]
fn multiply<const R: usize, const N: usize>(
    v: &[f32],
    channels: usize,
    weights: &[f32],
    m: &mut [f32],
) {
    let inputs = weights.len() / (N * LANES);
    let tiles = v.len() / channels;
    for (block, m) in m.chunks_mut(R * N * LANES).enumerate() {
        // The last block computes its last tile again rather than read past it.
        let rows: [&[f32]; R] =
            std::array::from_fn(|r| &v[(block * R + r).min(tiles - 1) * channels..][..inputs]);
        let mut sums = [[f32x8::ZERO; N]; R];
        for (c, weights) in weights.chunks_exact(N * LANES).enumerate().take(inputs) {
            let weights: [f32x8; N] = each(|i| get(weights, i * LANES));
            for (sums, row) in sums.iter_mut().zip(&rows) {
                let x = f32x8::splat(row[c]);
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum = x.mul_add(weight, *sum);
                }
            }
        }
        for (m, sums) in m.chunks_exact_mut(N * LANES).zip(&sums) {
            for (i, sum) in sums.iter().enumerate() {
                put(m, i * LANES, *sum);
            }
        }
    }
}

/// As [`super::weight_gradient`]. Groups of tiles come one after the other: first their transforms, a unit a
/// task, then their products, a point a task. So memory is bounded, and the order of summation is fixed.
pub(super) fn weight_gradient(x: &[f32], dy: &[f32], s: ConvShape, vectors: Vectors) -> Vec<f32> {
    let (inputs, outputs) = (s.channels_in, s.channels_out);
    let [ci, co] = [inputs, outputs].map(|channels| channels.next_multiple_of(LANES));
    let t = Tiling::new(s);
    let units = s.batch * t.units;
    let group = (GROUP_TILES / t.unit_tiles()).clamp(1, units.max(1));
    let [point_x, point_y] = [ci, co].map(|channels| t.unit_tiles() * channels + SKEW);
    let (part_x, part_y) = (POINTS * point_x, POINTS * point_y);
    with_scratch(|room| {
        let room = roomy(room, group * (part_x + part_y) + POINTS * ci * co);
        let (vs, room) = room.split_at_mut(group * part_x);
        let (ys, du) = room.split_at_mut(group * part_y);
        if units == 0 {
            // No picture, no gradient: the room still holds another call's.
            du.fill(0.0);
        }
        for first in (0..units).step_by(group) {
            let count = group.min(units - first);
            let parts = vs.par_chunks_mut(part_x).zip(ys.par_chunks_mut(part_y));
            parts.take(count).enumerate().for_each(|(i, (v, y))| {
                let (n, rows) = t.unit(first + i);
                let place = |point, tile| Place {
                    first: 0,
                    point,
                    tile,
                };
                let picture =
                    |channels: usize| n * channels * t.area()..(n + 1) * channels * t.area();
                with_scratch(|strip| {
                    let strip = roomy(strip, t.strip());
                    let unit = (t, rows);
                    transform_input(
                        &x[picture(inputs)],
                        unit.clone(),
                        strip,
                        (v, place(point_x, ci)),
                        vectors.transforms,
                    );
                    let to = (y, place(point_y, co));
                    transform_gradient(&dy[picture(outputs)], unit, strip, to, vectors.transforms);
                });
            });
            let (vs, ys) = (&*vs, &*ys);
            du.par_chunks_mut(ci * co).enumerate().for_each(|(p, du)| {
                if first == 0 {
                    du.fill(0.0);
                }
                let part = |i: usize| {
                    let tiles = t.unit(first + i).1.len() * t.columns;
                    let v = &vs[i * part_x + p * point_x..][..tiles * ci];
                    [v, &ys[i * part_y + p * point_y..][..tiles * co]]
                };
                let parts: Vec<[&[f32]; 2]> = (0..count).map(part).collect();
                if let Some(wide) = vectors.products {
                    wide.correlate(&parts, [ci, co], du);
                    return;
                }
                for c in (0..ci).step_by(PANEL) {
                    match (ci - c) / LANES {
                        1 => correlate::<8, 1>(&parts, [ci, co], c, du),
                        2 => correlate::<4, 2>(&parts, [ci, co], c, du),
                        _ => correlate::<4, 3>(&parts, [ci, co], c, du),
                    }
                }
            });
        }
        unpack(du, [ci, co], s)
    })
}

/// `du[o][c..] += sum_tiles y[tile][o] v[tile][c..]`, R output channels by N vectors of input channels at
/// once.
#[inline(never)]
fn correlate<const R: usize, const N: usize>(
    parts: &[[&[f32]; 2]],
    [ci, co]: [usize; 2],
    c: usize,
    du: &mut [f32],
) {
    for o in (0..co).step_by(R) {
        let mut sums = [[f32x8::ZERO; N]; R];
        for [v, y] in parts {
            for (v, y) in v.chunks_exact(ci).zip(y.chunks_exact(co)) {
                let v = &v[c..c + N * LANES];
                let v: [f32x8; N] = each(|i| get(v, i * LANES));
                for (sums, y) in sums.iter_mut().zip(&y[o..o + R]) {
                    for (sum, v) in sums.iter_mut().zip(v) {
                        *sum = f32x8::splat(*y).mul_add(v, *sum);
                    }
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (i, sum) in sums.iter().enumerate() {
                let at = (o + r) * ci + c + i * LANES;
                put(du, at, get(du, at) + *sum);
            }
        }
    }
}

/// `G' du G` as `[o, c, 3, 3]`.
fn unpack(du: &[f32], [ci, co]: [usize; 2], s: ConvShape) -> Vec<f32> {
    let row = s.channels_in * 9;
    let mut dw = vec![0.0; s.channels_out * row];
    dw.par_chunks_mut(row).enumerate().for_each(|(o, dw)| {
        for (v, dw) in dw.chunks_mut(9 * LANES).enumerate() {
            let at = o * ci + v * LANES;
            let mut half = [[f32x8::ZERO; 3]; SPAN];
            for (x, half) in half.iter_mut().enumerate() {
                *half = to_taps(each(|y| get(du, (y * SPAN + x) * ci * co + at)));
            }
            for (y, row) in crossed(half).into_iter().enumerate() {
                let values = to_taps(row);
                for (x, value) in values.into_iter().enumerate() {
                    for (to, value) in dw.chunks_exact_mut(9).zip(value.as_array()) {
                        to[y * 3 + x] = *value;
                    }
                }
            }
        }
    });
    dw
}
