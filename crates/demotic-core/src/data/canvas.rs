//! The canvas of a drawing: what lies beside it.

/// A channel that is farther from the background than this is ink, of 255.
pub(crate) const INK: f32 = 55.0;

/// Pixels without ink that a way over their four neighbours joins to the border.
///
/// `distances`: the largest distance of a channel from the background, a pixel, in 0 to 255, row after row;
/// returns one a pixel.
pub(crate) fn canvas(distances: &[f32], [width, height]: [usize; 2]) -> Vec<bool> {
    let mut joined = vec![false; distances.len()];
    let mut open: Vec<usize> = (0..distances.len())
        .filter(|pixel| {
            let (x, y) = (pixel % width, pixel / width);
            x == 0 || y == 0 || x + 1 == width || y + 1 == height
        })
        .collect();
    while let Some(pixel) = open.pop() {
        if joined[pixel] || distances[pixel] > INK {
            continue;
        }
        joined[pixel] = true;
        let (x, y) = (pixel % width, pixel / width);
        open.extend((x > 0).then(|| pixel - 1));
        open.extend((x + 1 < width).then(|| pixel + 1));
        open.extend((y > 0).then(|| pixel - width));
        open.extend((y + 1 < height).then(|| pixel + width));
    }
    joined
}
