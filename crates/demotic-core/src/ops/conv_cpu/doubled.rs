//! 3x3 convolutions of a picture each of whose pixels is doubled to a 2x2 patch, without the larger picture.
//!
//! At each of the four places in a patch, neighbouring taps fall on one pixel: their sums are a 2x2 kernel on
//! the picture itself. The four are the output channels of one [`winograd`] convolution, `[place][channel]`,
//! whose taps are zero along a border of the kernel: at 11 of its 36 points a place then has no products.

use rayon::prelude::*;

use super::room::ConvShape;
use super::winograd::{self, Places};

/// Places in a patch.
const PLACES: usize = 4;
/// Where a tap of a row (or column) falls in the kernel of the first place, and in that of the second.
const FALLS: [[usize; 3]; 2] = [[0, 1, 1], [1, 1, 2]];

/// True where this way is taken: by channels and sides alone. `s`: of the picture that is doubled.
pub(crate) fn is_taken(s: ConvShape) -> bool {
    s.channels_out.is_multiple_of(8) && winograd::is_faster(s, winograd::WEIGHT_CHANNELS)
}

/// The convolution of the picture itself, to all places.
fn placed(s: ConvShape) -> ConvShape {
    ConvShape {
        channels_out: PLACES * s.channels_out,
        ..s
    }
}

fn places(s: ConvShape) -> Places {
    Places {
        channels: s.channels_out,
    }
}

/// For each tap of `[u, v]` and each place: number of the place, and of the tap of its kernel.
fn falls() -> impl Iterator<Item = (usize, [usize; 2])> {
    (0..PLACES).flat_map(|place| {
        (0..9).map(move |tap| {
            let row = FALLS[place / 2][tap / 3];
            let column = FALLS[place % 2][tap % 3];
            (tap, [place, 3 * row + column])
        })
    })
}

/// The taps `[o, c, 3, 3]` of all places: `[place, o, c, 3, 3]`.
fn spread(weight: &[f32]) -> Vec<f32> {
    let mut all = vec![0.0; PLACES * weight.len()];
    for (pair, taps) in weight.chunks_exact(9).enumerate() {
        for (tap, [place, to]) in falls() {
            all[place * weight.len() + pair * 9 + to] += taps[tap];
        }
    }
    all
}

/// The transpose of [`spread`].
fn gathered(all: &[f32]) -> Vec<f32> {
    let mut weight = vec![0.0; all.len() / PLACES];
    let length = weight.len();
    for (pair, taps) in weight.chunks_exact_mut(9).enumerate() {
        for (tap, [place, to]) in falls() {
            taps[tap] += all[place * length + pair * 9 + to];
        }
    }
    weight
}

/// `[b, place, o, h, w] -> [b, o, 2h, 2w]`
fn laid_out(all: &[f32], s: ConvShape) -> Vec<f32> {
    let (area, width) = (s.height * s.width, s.width);
    let mut large = vec![0.0; all.len()];
    if area == 0 {
        return large;
    }
    let planes = large.par_chunks_exact_mut(4 * area).enumerate();
    planes.for_each(|(plane, large)| {
        let (n, o) = (plane / s.channels_out, plane % s.channels_out);
        for (i, row) in large.chunks_exact_mut(2 * width).enumerate() {
            let from = |column: usize| {
                let place = i % 2 * 2 + column;
                let start = ((n * PLACES + place) * s.channels_out + o) * area + i / 2 * width;
                &all[start..start + width]
            };
            let pairs = from(0).iter().zip(from(1));
            for (to, (left, right)) in row.as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
                *to = [*left, *right];
            }
        }
    });
    large
}

/// The transpose of [`laid_out`].
fn taken_apart(large: &[f32], s: ConvShape) -> Vec<f32> {
    let (area, width) = (s.height * s.width, s.width);
    let mut all = vec![0.0; large.len()];
    if area == 0 {
        return all;
    }
    let planes = all.par_chunks_exact_mut(area).enumerate();
    planes.for_each(|(at, plane)| {
        let (n, rest) = (
            at / (PLACES * s.channels_out),
            at % (PLACES * s.channels_out),
        );
        let (place, o) = (rest / s.channels_out, rest % s.channels_out);
        let large = &large[(n * s.channels_out + o) * 4 * area..][..4 * area];
        for (i, row) in plane.chunks_exact_mut(width).enumerate() {
            let from = &large[(2 * i + place / 2) * 2 * width..][..2 * width];
            for (to, pair) in row.iter_mut().zip(from.as_chunks::<2>().0) {
                *to = pair[place % 2];
            }
        }
    });
    all
}

/// As [`super::forward`] of the doubled picture; `x` and `s`: as it is before.
pub(crate) fn forward(x: &[f32], weight: &[f32], bias: &[f32], s: ConvShape) -> Vec<f32> {
    let y = winograd::forward(x, &spread(weight), Some(&bias.repeat(PLACES)), placed(s));
    laid_out(&y, s)
}

/// By the picture before it is doubled.
pub(crate) fn data_gradient(weight: &[f32], dy: &[f32], s: ConvShape) -> Vec<f32> {
    let dy = taken_apart(dy, s);
    winograd::data_gradient_of_places(&spread(weight), &dy, placed(s), Some(places(s)))
}

/// By the weights.
pub(crate) fn weight_gradient(x: &[f32], dy: &[f32], s: ConvShape) -> Vec<f32> {
    let dy = taken_apart(dy, s);
    gathered(&winograd::weight_gradient_of_places(
        x,
        &dy,
        placed(s),
        Some(places(s)),
    ))
}
