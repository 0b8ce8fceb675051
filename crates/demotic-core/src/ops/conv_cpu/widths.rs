//! The transforms of all channels: in vectors of sixteen as far as channels fill them and the processor has
//! them, and what is left in vectors of eight.

use std::mem::MaybeUninit;
use std::ops::Range;

use wide::f32x8;

use super::points::{OUT, SPAN};
use super::room::LANES;
use super::tiles::{self, OfGradient, OfInput, Place, Tiling, transform};
use super::wide512::{self, Wide};

/// Where vectors of sixteen are taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vectors {
    pub(super) transforms: Option<Wide>,
    pub(super) products: Option<Wide>,
}

/// The planes that fill vectors of sixteen, zeros up to a whole vector of eight counted, and how many lanes
/// those are; and the rest.
fn split<'a, 'b>(
    planes: &'a [&'b [f32]],
    wide: Option<Wide>,
) -> (&'a [&'b [f32]], usize, &'a [&'b [f32]]) {
    let lanes = planes.len().next_multiple_of(LANES);
    let most = wide.map_or(0, |_| lanes / wide512::LANES * wide512::LANES);
    let (most_planes, rest) = planes.split_at(most.min(planes.len()));
    (most_planes, most, rest)
}

/// `B' d B` of a unit.
#[inline(never)]
pub(super) fn transform_input(
    picture: &[f32],
    unit: (Tiling, Range<usize>),
    strip: &mut [f32],
    (to, place): (&mut [f32], Place),
    wide: Option<Wide>,
) {
    let planes: Vec<&[f32]> = picture.chunks_exact(unit.0.area()).collect();
    let (most, lanes, rest) = split(&planes, wide);
    if let Some(wide) = wide {
        wide.transform_input(most, unit.clone(), strip, (to, place));
    }
    let to = (&mut to[lanes..], place);
    transform::<f32x8, OfInput, SPAN>(1, rest, unit, strip, to);
}

/// `A dy A'` of a unit.
#[inline(never)]
pub(super) fn transform_gradient(
    picture: &[f32],
    unit: (Tiling, Range<usize>),
    strip: &mut [f32],
    (to, place): (&mut [f32], Place),
    wide: Option<Wide>,
) {
    let planes: Vec<&[f32]> = picture.chunks_exact(unit.0.area()).collect();
    let (most, lanes, rest) = split(&planes, wide);
    if let Some(wide) = wide {
        wide.transform_gradient(most, unit.clone(), strip, (to, place));
    }
    let to = (&mut to[lanes..], place);
    transform::<f32x8, OfGradient, OUT>(0, rest, unit, strip, to);
}

/// `A' m A` and the bias, to rows of the planes of a panel's channels.
#[inline(never)]
pub(super) fn inverse(
    (m, place): (&[f32], Place),
    unit: (Tiling, Range<usize>),
    strip: &mut [f32],
    bias: Option<&[f32]>,
    planes: &mut [&mut [MaybeUninit<f32>]],
    wide: Option<Wide>,
) {
    let lanes = wide.map_or(0, |_| place.tile / wide512::LANES * wide512::LANES);
    let (most, rest) = planes.split_at_mut(lanes.min(planes.len()));
    if let Some(wide) = wide {
        wide.inverse((m, place), unit.clone(), strip, bias, most);
    }
    let bias = bias.map(|bias| &bias[lanes.min(bias.len())..]);
    tiles::inverse::<f32x8>((&m[lanes..], place), unit, strip, bias, rest);
}
