//! Training pictures, varied: inked more broadly, mirrored, shifted, scaled, turned, then composed on
//! the background.

use super::DataError;
use crate::number::{Real, Whole};
use crate::rng::{Rng, portable_sin_cos};
use crate::settings::{Augmentation, Channels};

impl Augmentation {
    /// Pictures as they are.
    pub const OFF: Self = Self {
        flip_prob: 0.0,
        affine_prob: 0.0,
        shift_max: 0.0,
        scale_max: 0.0,
        rotate_max_degrees: 0.0,
        stroke_max: 0.0,
    };

    /// All keys out of range, by name.
    ///
    /// # Errors
    /// [`DataError::Option`] naming every one.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        let problems = self.problems();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(DataError::Option(problems.join("; ")))
        }
    }

    /// Draws one variation; always takes the same count of random numbers, so that switching one kind of
    /// change off leaves the others as they were.
    pub(crate) fn draw(&self, rng: &mut Rng) -> Variation {
        let flip = rng.chance(self.flip_prob);
        let is_affine = rng.chance(self.affine_prob);
        let mut within = |limit: f32| rng.uniform_in(-limit, limit);
        let affine = Affine {
            shift_x: within(self.shift_max),
            shift_y: within(self.shift_max),
            scale: 1.0 + within(self.scale_max),
            rotate_degrees: within(self.rotate_max_degrees),
        };
        // Earlier versions varied hue and brightness by two numbers more. They are still drawn, so that runs
        // of those versions resume with the same pictures.
        let _ = (within(0.0), within(0.0));
        let moves = self.shift_max > 0.0 || self.scale_max > 0.0 || self.rotate_max_degrees > 0.0;
        Variation {
            flip,
            affine: (is_affine && moves).then_some(affine),
            stroke: 0.0,
        }
    }

    /// Draws how far the ink of a picture grows to every side, as a share of the side: nothing for half of
    /// the pictures, small growth more often than large.
    pub(crate) fn draw_stroke(&self, rng: &mut Rng) -> f32 {
        let share = (2.0 * rng.uniform_in(0.0, 1.0) - 1.0).max(0.0);
        self.stroke_max * share * share
    }
}

/// One variation; the same one may be applied to both pictures of a pair.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variation {
    pub(super) flip: bool,
    pub(super) affine: Option<Affine>,
    /// Growth of the ink to every side, as a share of the side.
    pub(crate) stroke: f32,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Affine {
    /// Shares of the side.
    shift_x: f32,
    shift_y: f32,
    scale: f32,
    rotate_degrees: f32,
}

/// Renders a picture under a variation.
///
/// # Shapes
/// - `premultiplied`: `[side, side, 4]`
/// - `planes`: `[c, side, side]`, in [-1, 1]
pub(crate) fn render(
    premultiplied: &[u8],
    side: usize,
    variation: &Variation,
    background: [u8; 3],
    channels: Channels,
    planes: &mut [f32],
) {
    let radius = variation.stroke * side.to_f32();
    let grown = (radius > 0.0).then(|| grow_ink(premultiplied, side, radius));
    let premultiplied = grown.as_deref().unwrap_or(premultiplied);
    if variation.affine.is_none() {
        channels.write(premultiplied, background, planes);
        if variation.flip {
            for row in planes.chunks_exact_mut(side) {
                row.reverse();
            }
        }
        return;
    }
    let map = SourceMap::new(variation, side);
    let source = Padded::new(premultiplied, side);
    let ground = background.map(|v| f32::from(v) / 255.0);
    // A row at a time, the last step apart: it then runs on several pixels at once.
    let mut row = vec![[0.0; 4]; side];
    for y in 0..side {
        for (x, shown) in row.iter_mut().enumerate() {
            let (source_x, source_y) = map.source(x.to_f32(), y.to_f32());
            *shown = source.bilinear(source_x, source_y);
        }
        if channels == Channels::Rgb {
            for (channel, plane) in planes.chunks_exact_mut(side * side).enumerate() {
                for (out, shown) in plane[y * side..(y + 1) * side].iter_mut().zip(&row) {
                    *out = (shown[channel] + (255.0 - shown[3]) * ground[channel]) / 127.5 - 1.0;
                }
            }
        } else {
            for (x, shown) in row.iter().enumerate() {
                channels.write_pixel(*shown, background, y * side + x, side * side, planes);
            }
        }
    }
}

/// Grey dilation of what covers a picture: each pixel takes, of all within `radius` pixels, the one that
/// covers the most; at the disc's rim by the share that the disc covers. Strokes get wider by twice the
/// radius, plain fills grow to every side, and what lies within them stays.
///
/// # Shapes
/// `[side, side, 4]` premultiplied, in and out.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "places and the reach are within a side"
)]
fn grow_ink(premultiplied: &[u8], side: usize, radius: f32) -> Vec<u8> {
    let pixels = premultiplied.as_chunks::<4>().0;
    let reach = radius.ceil() as isize;
    let disc: Vec<(isize, isize, f32)> = (-reach..=reach)
        .flat_map(|y| (-reach..=reach).map(move |x| (y, x)))
        .map(|(y, x)| (y, x, (radius + 1.0 - y.to_f32().hypot(x.to_f32())).min(1.0)))
        .filter(|(y, x, share)| *share > 0.0 && (*y, *x) != (0, 0))
        .collect();
    let mut grown = premultiplied.to_vec();
    for (i, out) in grown.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let (y, x) = ((i / side) as isize, (i % side) as isize);
        let mut most = f32::from(out[3]);
        for (down, right, share) in &disc {
            let (y, x) = (y + down, x + right);
            if y < 0 || x < 0 || y >= side as isize || x >= side as isize {
                continue;
            }
            let from = pixels[y.to_usize() * side + x.to_usize()];
            let covers = share * f32::from(from[3]);
            if covers > most {
                most = covers;
                *out = from.map(|value| (share * f32::from(value)).round().to_u8());
            }
        }
    }
    grown
}

/// Where a pixel of the result comes from, both counted from the first pixel's centre:
/// `source = centre + F R(-angle) (pixel - centre - shift) / scale`, F the mirror.
struct SourceMap {
    matrix: [f32; 4],
    offset: [f32; 2],
}

impl SourceMap {
    fn new(variation: &Variation, side: usize) -> Self {
        let affine = variation.affine.as_ref();
        let turns = affine.map_or(0.0, |a| f64::from(a.rotate_degrees) / 360.0);
        let scale = affine.map_or(1.0, |a| f64::from(a.scale));
        let shift = affine.map_or([0.0; 2], |a| {
            [a.shift_x, a.shift_y].map(|s| f64::from(s) * side.to_f64())
        });
        let (sin, cos) = portable_sin_cos(turns);
        let mirror = if variation.flip { -1.0 } else { 1.0 };
        let matrix = [
            mirror * cos / scale,
            mirror * sin / scale,
            -sin / scale,
            cos / scale,
        ];
        let centre = (side.to_f64() - 1.0) / 2.0;
        let start = [-centre - shift[0], -centre - shift[1]];
        Self {
            matrix: matrix.map(Real::to_f32),
            offset: [
                (centre + matrix[0] * start[0] + matrix[1] * start[1]).to_f32(),
                (centre + matrix[2] * start[0] + matrix[3] * start[1]).to_f32(),
            ],
        }
    }

    fn source(&self, x: f32, y: f32) -> (f32, f32) {
        let [a, b, c, d] = self.matrix;
        (
            self.offset[0] + a * x + b * y,
            self.offset[1] + c * x + d * y,
        )
    }
}

/// A picture inside a transparent frame wide enough that looking up any place needs no branch.
struct Padded {
    /// `[side + 3, side + 3]` pixels, one row and column before the picture, two after it.
    pixels: Vec<[f32; 4]>,
    side: usize,
}

impl Padded {
    fn new(premultiplied: &[u8], side: usize) -> Self {
        let width = side + 3;
        let mut pixels = vec![[0.0; 4]; width * width];
        let rows = premultiplied.as_chunks::<4>().0.chunks_exact(side);
        for (row, padded) in rows.zip(pixels[width..].chunks_exact_mut(width)) {
            for (pixel, padded) in row.iter().zip(&mut padded[1..]) {
                *padded = pixel.map(f32::from);
            }
        }
        Self { pixels, side }
    }

    /// Premultiplied RGBA in [0, 255] between pixels; transparent outside.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place within the frame; by way of `i32` it takes one instruction"
    )]
    fn bilinear(&self, x: f32, y: f32) -> [f32; 4] {
        let width = self.side + 3;
        // Within [0, side + 1], counted from the frame: both neighbours exist.
        let high = self.side.to_f32();
        let (x, y) = (x.clamp(-1.0, high) + 1.0, y.clamp(-1.0, high) + 1.0);
        let (left, top) = (x as i32 as usize, y as i32 as usize);
        let (right_share, bottom_share) = (x - left.to_f32(), y - top.to_f32());
        let first = top * width + left;
        let above = &self.pixels[first..first + 2];
        let below = &self.pixels[first + width..first + width + 2];
        std::array::from_fn(|c| {
            let above = above[0][c] + (above[1][c] - above[0][c]) * right_share;
            let below = below[0][c] + (below[1][c] - below[0][c]) * right_share;
            above + (below - above) * bottom_share
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn variation(flip: bool, affine: Option<Affine>) -> Variation {
        Variation {
            flip,
            affine,
            stroke: 0.0,
        }
    }

    #[test]
    fn ink_grows_by_the_radius_and_fills_keep_what_is_in_them() {
        let grown = |radius: f32| {
            let stroke = radius / 5.0;
            ink(&rendered(
                &dot(2, 2),
                &Variation {
                    stroke,
                    ..variation(false, None)
                },
            ))
        };
        assert_eq!(grown(0.0), [(2, 2)]);
        assert_eq!(
            grown(1.0).len(),
            9,
            "a disc of radius one, its corners in part"
        );
        assert_eq!(
            grown(2.0).len(),
            25,
            "a disc of radius two, its corners in part"
        );
        let full: Vec<u8> = (0..25).flat_map(|i| [i * 10, 0, 0, 255]).collect();
        assert_eq!(grow_ink(&full, 5, 2.0), full);
    }

    #[test]
    fn half_of_the_pictures_keep_their_strokes() {
        let augmentation = Augmentation {
            stroke_max: 0.1,
            ..Augmentation::OFF
        };
        let mut rng = Rng::new(1, Stream::TEST, 0);
        let drawn: Vec<f32> = (0..1000)
            .map(|_| augmentation.draw_stroke(&mut rng))
            .collect();
        let kept = drawn.iter().filter(|stroke| **stroke == 0.0).count();
        assert!((450..550).contains(&kept), "{kept}");
        assert!(drawn.iter().all(|stroke| (0.0..=0.1).contains(stroke)));
    }

    /// A 5 x 5 picture, transparent but for one opaque red pixel.
    fn dot(x: usize, y: usize) -> Vec<u8> {
        let mut pixels = vec![0; 5 * 5 * 4];
        pixels[(y * 5 + x) * 4..][..4].copy_from_slice(&[255, 0, 0, 255]);
        pixels
    }

    fn rendered(pixels: &[u8], variation: &Variation) -> Vec<f32> {
        let mut planes = vec![0.0; 3 * 25];
        render(
            pixels,
            5,
            variation,
            [255, 255, 255],
            Channels::Rgb,
            &mut planes,
        );
        planes
    }

    /// Pixels whose green is not white.
    fn ink(planes: &[f32]) -> Vec<(usize, usize)> {
        (0..25)
            .filter(|i| planes[25 + i] < 0.99)
            .map(|i| (i % 5, i / 5))
            .collect()
    }

    #[test]
    fn whole_pixel_moves_are_exact() {
        let at = |x, y, v: &Variation| ink(&rendered(&dot(x, y), v));
        let still = Affine {
            shift_x: 0.0,
            shift_y: 0.0,
            scale: 1.0,
            rotate_degrees: 0.0,
        };
        assert_eq!(at(1, 3, &variation(false, None)), [(1, 3)]);
        assert_eq!(at(1, 3, &variation(true, None)), [(3, 3)]);
        assert_eq!(at(1, 3, &variation(true, Some(still.clone()))), [(3, 3)]);
        let shifted = Affine {
            shift_x: 0.2,
            shift_y: -0.4,
            ..still.clone()
        };
        assert_eq!(at(1, 3, &variation(false, Some(shifted))), [(2, 1)]);
        let quarter = Affine {
            rotate_degrees: 90.0,
            ..still.clone()
        };
        // Clockwise, rows counted from the top: left of the centre goes above it.
        assert_eq!(at(1, 2, &variation(false, Some(quarter))), [(2, 1)]);
        let doubled = Affine {
            scale: 2.0,
            ..still
        };
        let planes = rendered(&dot(2, 2), &variation(false, Some(doubled)));
        // Red on white stays at full red, green falls to -1 at the centre and half-way beside it.
        assert!(planes[..25].iter().all(|&red| (red - 1.0).abs() < 1e-6));
        assert!((planes[25 + 12] + 1.0).abs() < 1e-6);
        assert!((planes[25 + 13]).abs() < 1e-6);
    }

    #[test]
    fn the_mirror_of_both_paths_agrees() {
        let mut rng = Rng::new(1, Stream::TEST, 0);
        let pixels: Vec<u8> = (0..25)
            .flat_map(|_| {
                let alpha = rng.below(256);
                let mut colour = || rng.below(alpha + 1).to_u8();
                [colour(), colour(), colour(), alpha.to_u8()]
            })
            .collect();
        let affine = Affine {
            shift_x: 0.0,
            shift_y: 0.0,
            scale: 1.0,
            rotate_degrees: 0.0,
        };
        let fast = rendered(&pixels, &variation(true, None));
        let slow = rendered(&pixels, &variation(true, Some(affine)));
        for (fast, slow) in fast.iter().zip(&slow) {
            assert!((fast - slow).abs() < 1e-5, "{fast} {slow}");
        }
    }

    #[test]
    fn ranges_are_checked_all_at_once() {
        let bad = Augmentation {
            flip_prob: 1.5,
            scale_max: f32::NAN,
            ..Augmentation::default()
        };
        let message = bad.check().expect_err("two keys are wrong").to_string();
        assert!(message.contains("flip_prob") && message.contains("scale_max"));
        assert!(Augmentation::default().check().is_ok() && Augmentation::OFF.check().is_ok());
    }
}
