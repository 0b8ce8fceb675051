//! Tiles of pictures, and their transforms into vectors of channels.

#![expect(
    clippy::inline_always,
    reason = "vectors returned from a call would go through memory"
)]
#![expect(
    unsafe_code,
    reason = "the 36 points of a tile are checked once, not each by itself"
)]

use std::mem::MaybeUninit;
use std::ops::Range;

use wide::f32x8;

use super::points::{OUT, SPAN, of_gradient, of_input, of_products};
use super::room::{ConvShape, LANES};
use super::vector::{Vector, WIDEST};

/// Tiles a task: their transforms stay in a core's second cache.
pub(super) const TASK_TILES: usize = 16;

/// Eight values from `at` on.
#[inline(always)]
pub(super) fn get(from: &[f32], at: usize) -> f32x8 {
    f32x8::from(&from[at..at + LANES])
}

#[inline(always)]
pub(super) fn put(to: &mut [f32], at: usize, value: f32x8) {
    to[at..at + LANES].copy_from_slice(value.as_array());
}

/// `[f(0), f(1), ..]`; unlike `array::from_fn` always inlined.
#[inline(always)]
pub(super) fn each<const N: usize>(f: impl Fn(usize) -> f32x8) -> [f32x8; N] {
    let mut values = [f32x8::ZERO; N];
    for (i, value) in values.iter_mut().enumerate() {
        *value = f(i);
    }
    values
}

/// Rows of columns.
#[inline(always)]
pub(super) fn crossed<const N: usize, const M: usize>(columns: [[f32x8; M]; N]) -> [[f32x8; N]; M] {
    let mut rows = [[f32x8::ZERO; N]; M];
    for (x, column) in columns.iter().enumerate() {
        for (row, value) in rows.iter_mut().zip(column) {
            row[x] = *value;
        }
    }
    rows
}

/// Tiles of a batch of pictures. A unit is a run of rows of tiles of one picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    pub(super) height: usize,
    pub(super) width: usize,
    /// Rows of tiles a picture.
    pub(super) rows: usize,
    /// Tiles a row.
    pub(super) columns: usize,
    /// Rows of tiles a unit; a picture's last unit may have fewer.
    pub(super) unit_rows: usize,
    /// Units a picture.
    pub(super) units: usize,
}

impl Tiling {
    pub(super) fn new(s: ConvShape) -> Self {
        let (rows, columns) = (s.height.div_ceil(OUT), s.width.div_ceil(OUT));
        let unit_rows = (TASK_TILES / columns).clamp(1, rows);
        Self {
            height: s.height,
            width: s.width,
            rows,
            columns,
            unit_rows,
            units: rows.div_ceil(unit_rows),
        }
    }

    /// Pixels a plane.
    pub(super) fn area(self) -> usize {
        self.height * self.width
    }

    pub(super) fn unit_tiles(self) -> usize {
        self.unit_rows * self.columns
    }

    /// Picture and rows of tiles of a unit.
    pub(super) fn unit(self, unit: usize) -> (usize, Range<usize>) {
        let first = unit % self.units * self.unit_rows;
        (
            unit / self.units,
            first..(first + self.unit_rows).min(self.rows),
        )
    }

    /// Floats of a strip: a row of tiles with its border, a vector of channels.
    pub(super) fn strip(self) -> usize {
        (self.columns * OUT + 2) * SPAN * WIDEST
    }
}

/// Where a unit's transforms go: `[point][tile][channel]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The unit's first tile.
    pub(super) first: usize,
    /// Floats from one point to the next.
    pub(super) point: usize,
    /// Floats from one tile to the next.
    pub(super) tile: usize,
}

/// Reads a row of eight planes into columns `stride` floats apart: eight channels each.
#[inline(always)]
fn turn(planes: &[&[f32]], row: Range<usize>, to: &mut [f32], stride: usize) {
    let width = row.len();
    if planes.len() < LANES || !width.is_multiple_of(LANES) {
        turn_some(planes, row, to, stride);
        return;
    }
    let mut rows: [&[f32]; LANES] = [&[]; LANES];
    for (to, plane) in rows.iter_mut().zip(planes) {
        *to = &plane[row.start..][..width];
    }
    for x in (0..width).step_by(LANES) {
        let mut block = [f32x8::ZERO; LANES];
        for (to, row) in block.iter_mut().zip(rows) {
            *to = get(row, x);
        }
        for (i, value) in f32x8::transpose(block).into_iter().enumerate() {
            put(to, (x + i) * stride, value);
        }
    }
}

/// As [`turn`], of fewer planes and zeros, or of rows that do not fill whole vectors.
#[inline(never)]
fn turn_some(planes: &[&[f32]], row: Range<usize>, to: &mut [f32], stride: usize) {
    let width = row.len();
    for x in (0..width).step_by(LANES) {
        let count = LANES.min(width - x);
        let part = |plane: &&[f32]| f32x8::from(&plane[row.start + x..][..count]);
        let block = f32x8::transpose(each(|i| planes.get(i).map_or(f32x8::ZERO, part)));
        for (i, value) in block.into_iter().enumerate().take(count) {
            put(to, (x + i) * stride, value);
        }
    }
}

/// Asks for memory that is read soon: planes lie too far apart for the processor to guess it.
#[inline(always)]
fn ahead(values: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in values.chunks(16) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}

/// A transform along one side. A type, not a function passed along: a call through `Fn` is not inlined into
/// code for a processor of more.
pub(super) trait Side<V, const N: usize> {
    fn of(values: [V; N]) -> [V; SPAN];
}

/// `B' d`
pub(super) struct OfInput;

impl<V: Vector> Side<V, SPAN> for OfInput {
    #[inline(always)]
    fn of(values: [V; SPAN]) -> [V; SPAN] {
        of_input(values)
    }
}

/// `A dy`
pub(super) struct OfGradient;

impl<V: Vector> Side<V, OUT> for OfGradient {
    #[inline(always)]
    fn of(values: [V; OUT]) -> [V; SPAN] {
        of_gradient(values)
    }
}

/// Transforms by `S`, both ways, of a unit's tiles: N values a side each, `border` of them before the tile.
/// `to` holds whole vectors of channels, filled up with zeros where there are fewer planes.
#[inline(always)]
pub(super) fn transform<V: Vector, S: Side<V, N>, const N: usize>(
    border: usize,
    planes: &[&[f32]],
    (t, rows): (Tiling, Range<usize>),
    strip: &mut [f32],
    (to, place): (&mut [f32], Place),
) {
    let column = SPAN * V::LANES;
    let strip = &mut strip[..(t.columns * OUT + 2 * border) * column];
    for (c, after) in (0..planes.len()).step_by(V::LANES).enumerate() {
        let (planes, after) = planes[after..].split_at((planes.len() - after).min(V::LANES));
        for (i, row) in rows.clone().enumerate() {
            let lines = row * OUT..((row + 1) * OUT + border).min(t.height);
            for plane in after.iter().take(V::LANES) {
                ahead(&plane[lines.start * t.width..lines.end * t.width]);
            }
            strip[..border * column].fill(0.0);
            strip[(t.width + border) * column..].fill(0.0);
            for r in 0..N {
                let strip = &mut strip[border * column + r * V::LANES..];
                match (row * OUT + r).checked_sub(border) {
                    Some(y) if y < t.height => {
                        for lane in (0..V::LANES).step_by(LANES) {
                            let planes = planes.get(lane..).unwrap_or_default();
                            let line = y * t.width..(y + 1) * t.width;
                            turn(planes, line, &mut strip[lane..], column);
                        }
                    }
                    _ => (0..t.width).for_each(|x| V::splat(0.0).write(&mut strip[x * column..])),
                }
            }
            for column in strip.chunks_exact_mut(column) {
                let mut values = [V::splat(0.0); N];
                for (r, value) in values.iter_mut().enumerate() {
                    *value = V::read(&column[r * V::LANES..]);
                }
                for (r, value) in S::of(values).into_iter().enumerate() {
                    value.write(&mut column[r * V::LANES..]);
                }
            }
            for x in 0..t.columns {
                let tile = (place.first + i * t.columns + x) * place.tile + c * V::LANES;
                let from = &strip[x * OUT * column..][..N * column];
                let to = &mut to[tile..];
                assert!((SPAN * SPAN - 1) * place.point + V::LANES <= to.len());
                for r in 0..SPAN {
                    let mut values = [V::splat(0.0); N];
                    for (j, value) in values.iter_mut().enumerate() {
                        *value = V::read(&from[j * column + r * V::LANES..]);
                    }
                    for (j, value) in S::of(values).into_iter().enumerate() {
                        let at = (r * SPAN + j) * place.point;
                        // SAFETY: the assertion above states the farthest of them.
                        value.write(unsafe { to.get_unchecked_mut(at..at + V::LANES) });
                    }
                }
            }
        }
    }
}

/// `A' m A` and the bias of whole vectors of channels, to rows of their planes.
#[inline(always)]
pub(super) fn inverse<V: Vector>(
    (m, place): (&[f32], Place),
    (t, rows): (Tiling, Range<usize>),
    strip: &mut [f32],
    bias: Option<&[f32]>,
    planes: &mut [&mut [MaybeUninit<f32>]],
) {
    let line = t.columns * OUT * V::LANES;
    for (c, planes) in planes.chunks_mut(V::LANES).enumerate() {
        let mut start = [0.0; WIDEST];
        if let Some(bias) = bias {
            start[..planes.len()].copy_from_slice(&bias[c * V::LANES..][..planes.len()]);
        }
        let start = V::read(&start);
        for (i, row) in rows.clone().enumerate() {
            for column in 0..t.columns {
                let tile = (place.first + i * t.columns + column) * place.tile + c * V::LANES;
                let m = &m[tile..];
                assert!((SPAN * SPAN - 1) * place.point + V::LANES <= m.len());
                // SAFETY: the assertion above states the farthest value.
                let half = unsafe {
                    [
                        half_inverse::<V>(m, 0, place.point),
                        half_inverse::<V>(m, 1, place.point),
                        half_inverse::<V>(m, 2, place.point),
                        half_inverse::<V>(m, 3, place.point),
                        half_inverse::<V>(m, 4, place.point),
                        half_inverse::<V>(m, 5, place.point),
                    ]
                };
                for y in 0..OUT {
                    let values = of_products([
                        half[0][y], half[1][y], half[2][y], half[3][y], half[4][y], half[5][y],
                    ]);
                    let to = &mut strip[y * line + column * OUT * V::LANES..][..OUT * V::LANES];
                    for (x, value) in values.into_iter().enumerate() {
                        (value + start).write(&mut to[x * V::LANES..]);
                    }
                }
            }
            for y in 0..OUT.min(t.height - row * OUT) {
                let from = &strip[y * line..][..line];
                let to = (i * OUT + y) * t.width;
                for (e, planes) in planes.chunks_mut(LANES).enumerate() {
                    turn_back(&from[e * LANES..], V::LANES, planes, to..to + t.width);
                }
            }
        }
    }
}

/// Column `x` of a tile's products.
///
/// # Safety
/// A vector must lie at each of the 36 points.
#[inline(always)]
unsafe fn half_inverse<V: Vector>(m: &[f32], x: usize, point: usize) -> [V; OUT] {
    let mut values = [V::splat(0.0); SPAN];
    for (y, value) in values.iter_mut().enumerate() {
        let at = (y * SPAN + x) * point;
        // SAFETY: the caller's promise.
        *value = V::read(unsafe { m.get_unchecked(at..at + V::LANES) });
    }
    of_products(values)
}

/// Columns of eight channels, `stride` floats apart, to a row of their planes.
#[inline(always)]
fn turn_back(
    from: &[f32],
    stride: usize,
    planes: &mut [&mut [MaybeUninit<f32>]],
    row: Range<usize>,
) {
    let width = row.len();
    for x in (0..width).step_by(LANES) {
        let count = LANES.min(width - x);
        // A length known beforehand is a store, any other a call.
        if count == LANES {
            let block = f32x8::transpose(each(|j| get(from, (x + j) * stride)));
            for (plane, values) in planes.iter_mut().zip(&block) {
                plane[row.start + x..][..LANES].write_copy_of_slice(values.as_array());
            }
        } else {
            let some = |j| {
                if j < count {
                    get(from, (x + j) * stride)
                } else {
                    f32x8::ZERO
                }
            };
            let block = f32x8::transpose(each(some));
            for (plane, values) in planes.iter_mut().zip(&block) {
                plane[row.start + x..][..count].write_copy_of_slice(&values.as_array()[..count]);
            }
        }
    }
}
