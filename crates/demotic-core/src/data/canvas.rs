//! The canvas of a drawing: what lies beside it.

/// A channel that is farther from the background than this is ink, of 255.
pub(crate) const INK: f32 = 55.0;

/// Pixels without ink that a way without ink joins to the border.
///
/// `distances`: the largest distance of a channel from the background, a pixel, in 0 to 255, row after row;
/// returns one a pixel.
pub(crate) fn canvas(distances: &[f32], size: [usize; 2]) -> Vec<bool> {
    joined_to_the_border(|pixel| distances[pixel] <= INK, size)
}

/// Open pixels that a way over open neighbours, by an edge and not by a corner, joins to the border.
pub(crate) fn joined_to_the_border(
    is_open: impl Fn(usize) -> bool,
    [width, height]: [usize; 2],
) -> Vec<bool> {
    let mut joined = vec![false; width * height];
    let mut met: Vec<usize> = (0..joined.len())
        .filter(|pixel| {
            let (x, y) = (pixel % width, pixel / width);
            x == 0 || y == 0 || x + 1 == width || y + 1 == height
        })
        .collect();
    while let Some(pixel) = met.pop() {
        if joined[pixel] || !is_open(pixel) {
            continue;
        }
        joined[pixel] = true;
        let (x, y) = (pixel % width, pixel / width);
        met.extend((x > 0).then(|| pixel - 1));
        met.extend((x + 1 < width).then(|| pixel + 1));
        met.extend((y > 0).then(|| pixel - width));
        met.extend((y + 1 < height).then(|| pixel + width));
    }
    joined
}
