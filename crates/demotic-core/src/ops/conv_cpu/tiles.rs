//! Tiles of pictures, and their transforms into vectors of channels.

#![expect(
    clippy::inline_always,
    reason = "vectors returned from a call would go through memory"
)]

use std::ops::Range;

use wide::f32x8;

use super::points::{OUT, SPAN, of_gradient, of_input};
use super::room::{ConvShape, LANES};

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

    /// Floats of a strip: a row of tiles with its border, eight channels.
    pub(super) fn strip(self) -> usize {
        (self.columns * OUT + 2) * SPAN * LANES
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

/// Reads a row of eight planes, or of fewer and zeros: `to(x, eight channels)`.
#[inline(always)]
fn turn(planes: &[&[f32]], at: Range<usize>, mut to: impl FnMut(usize, f32x8)) {
    let width = at.len();
    for x in (0..width).step_by(LANES) {
        let count = LANES.min(width - x);
        let block = f32x8::transpose(each(|i| match planes.get(i) {
            Some(plane) if count == LANES => get(plane, at.start + x),
            // Filled up with zeros.
            Some(plane) => f32x8::from(&plane[at.start + x..at.end]),
            None => f32x8::ZERO,
        }));
        // A count known beforehand keeps the block in registers.
        if count == LANES {
            for (i, value) in block.into_iter().enumerate() {
                to(x + i, value);
            }
        } else {
            for (i, value) in block.into_iter().enumerate().take(count) {
                to(x + i, value);
            }
        }
    }
}

/// Transforms by `of`, both ways, of a unit's tiles: N values a side each, `border` of them before the tile.
#[inline(always)]
fn transform<const N: usize>(
    of: impl Fn([f32x8; N]) -> [f32x8; SPAN],
    border: usize,
    picture: &[f32],
    (t, rows): (Tiling, Range<usize>),
    strip: &mut [f32],
    (to, place): (&mut [f32], Place),
) {
    const COLUMN: usize = SPAN * LANES;
    let strip = &mut strip[..(t.columns * OUT + 2 * border) * COLUMN];
    let planes: Vec<&[f32]> = picture.chunks_exact(t.area()).collect();
    for (c, planes) in planes.chunks(LANES).enumerate() {
        for (i, row) in rows.clone().enumerate() {
            strip[..border * COLUMN].fill(0.0);
            strip[(t.width + border) * COLUMN..].fill(0.0);
            for r in 0..N {
                let mut set =
                    |x: usize, value| put(strip, (x + border) * COLUMN + r * LANES, value);
                match (row * OUT + r).checked_sub(border) {
                    Some(y) if y < t.height => turn(planes, y * t.width..(y + 1) * t.width, set),
                    _ => (0..t.width).for_each(|x| set(x, f32x8::ZERO)),
                }
            }
            for column in strip.chunks_exact_mut(COLUMN) {
                let values = of(each(|r| get(column, r * LANES)));
                for (r, value) in values.into_iter().enumerate() {
                    put(column, r * LANES, value);
                }
            }
            for x in 0..t.columns {
                let tile = (place.first + i * t.columns + x) * place.tile + c * LANES;
                let from = &strip[x * OUT * COLUMN..][..N * COLUMN];
                for r in 0..SPAN {
                    let values = of(each(|j| get(from, j * COLUMN + r * LANES)));
                    for (j, value) in values.into_iter().enumerate() {
                        put(to, (r * SPAN + j) * place.point + tile, value);
                    }
                }
            }
        }
    }
}

/// `B' d B` of a unit.
#[inline(never)]
pub(super) fn transform_input(
    picture: &[f32],
    unit: (Tiling, Range<usize>),
    strip: &mut [f32],
    to: (&mut [f32], Place),
) {
    transform(of_input, 1, picture, unit, strip, to);
}

/// `A dy A'` of a unit.
#[inline(never)]
pub(super) fn transform_gradient(
    picture: &[f32],
    unit: (Tiling, Range<usize>),
    strip: &mut [f32],
    to: (&mut [f32], Place),
) {
    transform(of_gradient, 0, picture, unit, strip, to);
}
