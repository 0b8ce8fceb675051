//! How far two pictures of one idea cover the same pixels: separates redrawings in place from free ones.

use super::canvas::joined_to_the_border;
use crate::number::{Real, Whole};

/// A pixel is ink if a channel differs from the background by more than this, of 255.
const INK_DISTANCE: u8 = 24;

/// Side at which silhouettes are compared: the answer does not change with the size of training, and gaps in
/// an outline stay closed.
pub(crate) const SILHOUETTE_SIDE_PX: usize = 32;

/// Mean over equal blocks, down to [`SILHOUETTE_SIDE_PX`]; smaller pictures as they are. Returns pixels and
/// side.
pub(crate) fn reduced(premultiplied: &[u8], side: usize) -> (Vec<u8>, usize) {
    let target = SILHOUETTE_SIDE_PX;
    if side <= target {
        return (premultiplied.to_vec(), side);
    }
    let pixels = premultiplied.as_chunks::<4>().0;
    let edge = |i: usize| i * side / target;
    let mut small = Vec::with_capacity(target * target * 4);
    for y in 0..target {
        for x in 0..target {
            let mut sums = [0_u32; 4];
            for row in edge(y)..edge(y + 1) {
                for pixel in &pixels[row * side + edge(x)..row * side + edge(x + 1)] {
                    for (sum, &value) in sums.iter_mut().zip(pixel) {
                        *sum += u32::from(value);
                    }
                }
            }
            let count = ((edge(y + 1) - edge(y)) * (edge(x + 1) - edge(x))).to_u32();
            small.extend(sums.map(|sum| ((sum + count / 2) / count).to_u8()));
        }
    }
    (small, target)
}

/// Silhouette of a picture: everything that is not background connected to the border. The inside of a closed
/// outline belongs to it, so that line art has the silhouette of its coloured counterpart.
///
/// `premultiplied`: `[side, side, 4]`. Connected means by an edge, not by a corner. Returns `[side, side]`.
pub(crate) fn silhouette(premultiplied: &[u8], side: usize, background: [u8; 3]) -> Vec<bool> {
    let is_ink = |pixel: &[u8; 4]| {
        let uncovered = u32::from(255 - pixel[3]);
        (0..3).any(|c| {
            let shown = u32::from(pixel[c]) + (uncovered * u32::from(background[c]) + 127) / 255;
            shown.abs_diff(u32::from(background[c])) > u32::from(INK_DISTANCE)
        })
    };
    let pixels = premultiplied.as_chunks::<4>().0;
    let outside = joined_to_the_border(|i| !is_ink(&pixels[i]), [side; 2]);
    outside.into_iter().map(|is_outside| !is_outside).collect()
}

/// The larger side of the box around a silhouette, as a share of the square's; 0 of an empty one.
pub(crate) fn fill(silhouette: &[bool], side: usize) -> f32 {
    let places = (0..silhouette.len()).filter(|i| silhouette[*i]);
    let (mut least, mut most) = ([side; 2], [0; 2]);
    for place in places {
        for (axis, at) in [place % side, place / side].into_iter().enumerate() {
            least[axis] = least[axis].min(at);
            most[axis] = most[axis].max(at + 1);
        }
    }
    let larger = (0..2)
        .map(|axis| most[axis].saturating_sub(least[axis]))
        .max();
    larger.unwrap_or(0).to_f32() / side.to_f32()
}

/// Intersection over union of two silhouettes; 1 if both are empty.
pub(crate) fn overlap(a: &[bool], b: &[bool]) -> f32 {
    let (mut both, mut either) = (0_u32, 0_u32);
    for (&a, &b) in a.iter().zip(b) {
        both += u32::from(a && b);
        either += u32::from(a || b);
    }
    if either == 0 {
        1.0
    } else {
        both.to_f32() / either.to_f32()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outline_has_the_silhouette_of_the_filled_shape() {
        let side = 7;
        let draw = |is_black: &dyn Fn(usize, usize) -> bool| -> Vec<u8> {
            (0..side * side)
                .flat_map(|i| {
                    if is_black(i % side, i / side) {
                        [0, 0, 0, 255]
                    } else {
                        [0, 0, 0, 0]
                    }
                })
                .collect()
        };
        let within = |x: usize, y: usize| (1..=5).contains(&x) && (1..=5).contains(&y);
        let edge = |x: usize, y: usize| within(x, y) && (x == 1 || x == 5 || y == 1 || y == 5);
        let white = [255; 3];
        let outline = silhouette(&draw(&edge), side, white);
        let filled = silhouette(&draw(&within), side, white);
        assert_eq!(outline, filled);
        assert_eq!(filled.iter().filter(|&&x| x).count(), 25);
        assert_eq!(overlap(&outline, &filled), 1.0);

        // An open outline is only its line.
        let open = |x: usize, y: usize| edge(x, y) && !(x == 3 && y == 1);
        let line = silhouette(&draw(&open), side, white);
        assert_eq!(line.iter().filter(|&&x| x).count(), 15);
        assert_eq!(overlap(&line, &filled), 15.0 / 25.0);

        // The box around it, whatever is inside.
        assert_eq!([fill(&line, side), fill(&filled, side)], [5.0 / 7.0; 2]);
        assert_eq!(fill(&[false; 49], side), 0.0);

        // Black art on black is nothing at all.
        let nothing = silhouette(&draw(&within), side, [0; 3]);
        assert!(nothing.iter().all(|&x| !x));
        assert_eq!(overlap(&nothing, &nothing), 1.0);
    }
}
