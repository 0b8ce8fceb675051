//! How much of what a line drawing encloses its translation colours: a figure that needs no counterpart, so
//! that any doodle can be scored.

use std::ops::AddAssign;

use crate::data::Picture;
use crate::data::canvas::{INK, canvas};
use crate::number::Real;

/// A channel that is farther from the background than this is colour, of 255.
const COLOUR: f32 = 24.0;

/// Pixels of line drawings and of their translations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Coloured {
    /// Pixels without ink that no way without ink joins to the border: what the lines enclose.
    pub enclosed: usize,
    /// Those of them that the translation colours.
    pub enclosed_coloured: usize,
    /// Pixels without ink that are joined to the border: the canvas.
    pub canvas: usize,
    /// Those of them that the translation colours.
    pub canvas_coloured: usize,
}

impl Coloured {
    /// Counts one drawing's pixels; both pictures are laid on the background.
    ///
    /// # Panics
    /// If the pictures have different sizes.
    pub fn of(drawing: &Picture, translation: &Picture, background: [u8; 3]) -> Self {
        let size = [drawing.width_px, drawing.height_px].map(|side| side as usize);
        let other = [translation.width_px, translation.height_px].map(|side| side as usize);
        assert_eq!(size, other, "a translation has its drawing's size");
        let drawn = distances(drawing, background);
        let is_canvas = canvas(&drawn, size);
        let mut counts = Self::default();
        for ((ink, change), is_canvas) in drawn
            .iter()
            .zip(distances(translation, background))
            .zip(is_canvas)
        {
            let coloured = usize::from(change > COLOUR);
            if is_canvas {
                counts.canvas += 1;
                counts.canvas_coloured += coloured;
            } else if *ink <= INK {
                counts.enclosed += 1;
                counts.enclosed_coloured += coloured;
            }
        }
        counts
    }

    /// Share of the enclosed pixels that are coloured; `None` where nothing is enclosed.
    pub fn share(&self) -> Option<f64> {
        share(self.enclosed_coloured, self.enclosed)
    }

    /// Share of the canvas that is coloured, where it should not be; `None` where there is no canvas.
    pub fn canvas_share(&self) -> Option<f64> {
        share(self.canvas_coloured, self.canvas)
    }
}

impl AddAssign for Coloured {
    fn add_assign(&mut self, other: Self) {
        self.enclosed += other.enclosed;
        self.enclosed_coloured += other.enclosed_coloured;
        self.canvas += other.canvas;
        self.canvas_coloured += other.canvas_coloured;
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part.to_f64() / whole.to_f64())
}

/// The largest distance of a channel from the background, a pixel, in 0 to 255.
fn distances(picture: &Picture, background: [u8; 3]) -> Vec<f32> {
    let planes = picture.compose(background);
    let plane = planes.len() / 3;
    (0..plane)
        .map(|pixel| {
            let channels = background.iter().enumerate();
            let far = channels.map(|(channel, ground)| {
                let value = (planes[channel * plane + pixel] + 1.0) * 127.5;
                (value - f32::from(*ground)).abs()
            });
            far.fold(0.0, f32::max)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgba, RgbaImage};

    /// A square of ink lines around 4 x 4 pixels in a picture of 10 x 8, with a gap of so many pixels.
    fn square(gap: u32, inside: [u8; 3]) -> Picture {
        let image = RgbaImage::from_fn(10, 8, |x, y| {
            let is_line = (2..8).contains(&x) && (1..7).contains(&y);
            let is_inside = (3..7).contains(&x) && (2..6).contains(&y);
            let is_gap = y == 1 && (3..3 + gap).contains(&x);
            match (is_line && !is_gap, is_inside) {
                (_, true) => Rgba([inside[0], inside[1], inside[2], 255]),
                (true, false) => Rgba([0, 0, 0, 255]),
                (false, false) => Rgba([0; 4]),
            }
        });
        Picture::from(image)
    }

    #[test]
    fn what_lines_enclose_is_counted_and_what_a_gap_opens_is_canvas() {
        let white = [255; 3];
        let (hollow, filled) = (square(0, white), square(0, [255, 200, 0]));
        let counts = Coloured::of(&hollow, &filled, white);
        assert_eq!((counts.enclosed, counts.enclosed_coloured), (16, 16));
        assert_eq!((counts.canvas, counts.canvas_coloured), (80 - 36, 0));
        let left = Coloured::of(&hollow, &hollow, white);
        assert_eq!(left.share(), Some(0.0));
        let open = Coloured::of(&square(1, white), &filled, white);
        assert_eq!((open.enclosed, open.share()), (0, None));
        assert_eq!(
            (open.canvas, open.canvas_coloured),
            (80 - 36 + 16 + 1, 16 + 1)
        );
    }
}
