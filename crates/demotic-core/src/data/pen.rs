//! Drawings by a pen that is too thin for a small network: their ink is widened.

use rayon::prelude::*;

use super::canvas::{INK, distances};
use super::strokes::Strokes;
use super::{Channels, Picture};
use crate::number::{Real, Whole};

/// Pixels along a side of each pixel of the network, in which a drawing's strokes are measured and widened.
const FINE: u32 = 4;
/// A typical stroke that is thinner than this is widened, in sides of the picture. Training draws strokes of
/// 0.7 to 3 parts in 24.
const THIN: f32 = 0.7 / 24.0;
/// What it is widened to: from here on a network fills as sure as within wider strokes. Edges count as ink:
/// what is measured is up to a fifth more than the pen.
const WIDENED: f32 = 1.125 / 24.0;

impl Picture {
    /// A drawing by a thin pen at four times the scale of a network's pixels, `size_px` a side, with its
    /// strokes widened in their own colours. `None` for any other picture.
    pub(crate) fn widened(
        &self,
        size_px: u32,
        channels: Channels,
        background: [u8; 3],
    ) -> Option<Self> {
        let ground = channels.ground(background);
        let fine = self.of_farthest(size_px, channels, background, &ground);
        let size = [fine.width_px, fine.height_px].map(|v| v as usize);
        let planes = fine.planes(channels, background);
        let side = (FINE * size_px).to_f32();
        let strokes = Strokes::of(&offsets(&planes, &ground), size)?;
        let width = strokes.width();
        let radius = ((WIDENED * side - width) / 2.0).round().to_i32();
        (width < THIN * side).then(|| fine.spread(strokes.darkness(), radius))
    }

    /// The picture at four times the scale of a network's pixels: each pixel is the one within it that is
    /// farthest from the ground, so that no line is lost or pale.
    fn of_farthest(
        &self,
        size_px: u32,
        channels: Channels,
        background: [u8; 3],
        ground: &[f32],
    ) -> Self {
        let [_, _, width_px, height_px] = self.place_in(size_px).map(|px| FINE * px);
        let [width, height] = [width_px, height_px].map(|v| v as usize);
        let [columns, rows] = [self.width_px, self.height_px].map(|v| v as usize);
        let pixels = self.premultiplied.as_chunks::<4>().0;
        let within = |at: usize, fine: usize, own: usize| {
            let first = at * own / fine;
            first..((at + 1) * own / fine).max(first + 1)
        };
        let line = |y: usize| {
            let mut seen = vec![0.0; ground.len() * columns];
            let mut farthest = vec![(-1.0, [0; 4]); width];
            for row in within(y, height, rows) {
                let start = row * columns;
                let bytes = &self.premultiplied[4 * start..][..4 * columns];
                channels.write(bytes, background, &mut seen);
                let distances = distances(&seen, ground);
                for (x, farthest) in farthest.iter_mut().enumerate() {
                    for column in within(x, width, columns) {
                        let distance = distances[column];
                        if distance > farthest.0 {
                            *farthest = (distance, pixels[start + column]);
                        }
                    }
                }
            }
            farthest.into_iter().flat_map(|(_, pixel)| pixel)
        };
        Self {
            width_px,
            height_px,
            premultiplied: (0..height).into_par_iter().flat_map_iter(line).collect(),
        }
    }

    /// The picture with the darkest ink within a radius in the place of each pixel: of equals the nearest.
    /// Grain of the paper does not spread.
    fn spread(&self, darkness: &[f32], radius: i32) -> Self {
        let width = self.width_px as usize;
        let rows = (-radius..=radius).flat_map(|y| (-radius..=radius).map(move |x| [x, y]));
        let far = |[x, y]: [i32; 2]| x * x + y * y;
        let mut steps: Vec<[i32; 2]> = rows.filter(|step| far(*step) <= radius * radius).collect();
        steps.sort_by_key(|step| far(*step));
        let pixels = self.premultiplied.as_chunks::<4>().0;
        let pixel = |at: usize| {
            let near = steps.iter().filter_map(|[right, down]| {
                let x = (at % width).to_u32().checked_add_signed(*right);
                let y = (at / width).to_u32().checked_add_signed(*down);
                let x = x.filter(|x| *x < self.width_px)?;
                let y = y.filter(|y| *y < self.height_px)?;
                Some(y as usize * width + x as usize)
            });
            let darkest = near.fold(at, |most, other| {
                if darkness[other] > INK.max(darkness[most]) {
                    other
                } else {
                    most
                }
            });
            pixels[darkest]
        };
        Self {
            premultiplied: (0..pixels.len())
                .into_par_iter()
                .flat_map_iter(pixel)
                .collect(),
            ..*self
        }
    }
}

/// Channels less the ground's, whole numbers of -255 to 255.
///
/// # Shapes
/// `planes`: `[c, n]` in a range of 2, as the result; `ground`: `[c]`.
pub(crate) fn offsets(planes: &[f32], ground: &[f32]) -> Vec<f32> {
    let planes = planes.chunks_exact(planes.len() / ground.len());
    let offsets = planes.zip(ground).flat_map(|(plane, ground)| {
        let values = plane.iter();
        values.map(move |value| (127.5 * (value - ground)).round())
    });
    offsets.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: u32 = 64;

    /// A blue ring of a width on white, 320 pixels a side.
    fn ring(width: f32) -> Picture {
        const PX: u32 = 320;
        let middle = PX.to_f32() / 2.0;
        let pixel = |at: u32| {
            let [x, y] = [at % PX, at / PX].map(|v| v.to_f32() + 0.5 - middle);
            let is_ink = (x.hypot(y) - 120.0).abs() < width / 2.0;
            if is_ink { [0, 0, 200, 255] } else { [255; 4] }
        };
        Picture {
            width_px: PX,
            height_px: PX,
            premultiplied: (0..PX * PX).flat_map(pixel).collect(),
        }
    }

    #[test]
    fn thin_strokes_are_widened_in_their_colour_and_others_are_left() {
        let widened = |picture: &Picture| picture.widened(SIDE, Channels::Rgb, [255; 3]);
        for width in [1.5, 3.0, 6.0] {
            let fine = widened(&ring(width)).expect("a thin pen");
            assert_eq!([fine.width_px, fine.height_px], [FINE * SIDE; 2]);
            // Along the row through the middle ink lies twice, as wide at any pen.
            let row = &fine.premultiplied.as_chunks::<4>().0[128 * 256..][..256];
            let ink = row.iter().filter(|pixel| **pixel == [0, 0, 200, 255]);
            let ink = ink.count();
            assert!((18..=28).contains(&ink), "{width}: {ink}");
            let is_paper = |pixel: &&[u8; 4]| **pixel == [255; 4];
            assert_eq!(row.iter().filter(is_paper).count(), 256 - ink);
        }
        // A pen of training's, ink all over, and a picture without paper.
        assert!(widened(&ring(11.0)).is_none());
        assert!(widened(&ring(300.0)).is_none());
        let shades = Picture {
            premultiplied: (0..320 * 320_u32)
                .flat_map(|at| [(at % 200).to_u8(), (at / 640).to_u8(), 90, 255])
                .collect(),
            ..ring(1.0)
        };
        assert!(widened(&shades).is_none());
    }
}
