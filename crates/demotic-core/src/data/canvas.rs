//! The canvas of a drawing: what lies beside it.

/// A channel that is farther from the background than this is ink, of 255.
pub(crate) const INK: f32 = 55.0;

/// The largest distance of a channel from the ground, 0 to 255.
///
/// # Shapes
/// `planes`: `[c, n]` in a range of 2; `ground`: `[c]`.
pub(crate) fn distance(planes: &[f32], ground: &[f32], pixel: usize) -> f32 {
    let plane = planes.len() / ground.len();
    let channels = ground.iter().enumerate();
    let far = channels.map(|(c, ground)| (planes[c * plane + pixel] - ground).abs());
    127.5 * far.fold(0.0, f32::max)
}

/// [`distance`] of every pixel: `[n]`.
pub(crate) fn distances(planes: &[f32], ground: &[f32]) -> Vec<f32> {
    let mut distances = vec![0.0_f32; planes.len() / ground.len()];
    for (plane, ground) in planes.chunks_exact(distances.len()).zip(ground) {
        for (distance, value) in distances.iter_mut().zip(plane) {
            *distance = distance.max((value - ground).abs());
        }
    }
    for distance in &mut distances {
        *distance *= 127.5;
    }
    distances
}

/// Pixels without ink that a way without ink joins to the border.
///
/// `distances` as of [`distances()`], row after row; returns one a pixel.
pub(crate) fn canvas(distances: &[f32], size: [usize; 2]) -> Vec<bool> {
    joined_to_the_border(|pixel| distances[pixel] <= INK, size)
}

/// A channel that is farther from the background than this is a mark, of 255: thin or faint ink, too.
pub(crate) const MARK: f32 = 16.0;
/// Of eight straight ways to the border, along rows, columns and diagonals, so many lie open beside a
/// drawing: half of the picture or more does. Inside an outline with a gap it is one or two.
const OPEN_WAYS: u8 = 3;

/// Pixels that plainly lie beside a drawing: no mark stands on them, nor on three of the eight straight ways
/// from them to the border.
///
/// `distances` as [`canvas`] has them; returns one a pixel.
pub(crate) fn open_canvas(distances: &[f32], [width, height]: [usize; 2]) -> Vec<bool> {
    let mut ways = vec![0; width * height];
    for [down, right] in [[0, 1], [1, 1], [1, 0], [1, -1]] {
        for sign in [1, -1] {
            // A way lies open where the next pixel along it does, or none is left.
            let mut open = vec![false; width * height];
            let mut look = |pixel: usize| {
                let (x, y) = (pixel % width, pixel / width);
                let next_x = x.checked_add_signed(sign * right).filter(|x| *x < width);
                let next_y = y.checked_add_signed(sign * down).filter(|y| *y < height);
                let next = next_x.zip(next_y);
                let is_on = next.is_none_or(|(x, y)| open[y * width + x]);
                open[pixel] = distances[pixel] <= MARK && is_on;
                ways[pixel] += u8::from(open[pixel]);
            };
            // The next pixel is looked at before.
            if sign > 0 {
                (0..width * height).rev().for_each(&mut look);
            } else {
                (0..width * height).for_each(&mut look);
            }
        }
    }
    ways.into_iter().map(|ways| ways >= OPEN_WAYS).collect()
}

/// Pixels of a region that is given one colour, at least.
const LEAST_REGION: usize = 6;

/// What lines enclose: regions of pixels without a mark that no way without one joins to the border.
///
/// `distances` as [`canvas`] has them; returns the pixels of each.
pub(crate) fn enclosed(distances: &[f32], size: [usize; 2]) -> Vec<Vec<usize>> {
    let is_open = |pixel: usize| distances[pixel] <= MARK;
    let mut seen = joined_to_the_border(is_open, size);
    let mut regions = Vec::new();
    for first in 0..seen.len() {
        let mut region = Vec::new();
        let mut met = vec![first];
        while let Some(pixel) = met.pop() {
            if seen[pixel] || !is_open(pixel) {
                continue;
            }
            seen[pixel] = true;
            region.push(pixel);
            met.extend(neighbours(pixel, size));
        }
        if region.len() >= LEAST_REGION {
            regions.push(region);
        }
    }
    regions
}

/// Pixels that share an edge with one.
pub(crate) fn neighbours(pixel: usize, [width, height]: [usize; 2]) -> impl Iterator<Item = usize> {
    let (x, y) = (pixel % width, pixel / width);
    let left = (x > 0).then(|| pixel - 1);
    let right = (x + 1 < width).then(|| pixel + 1);
    let above = (y > 0).then(|| pixel - width);
    let below = (y + 1 < height).then(|| pixel + width);
    [left, right, above, below].into_iter().flatten()
}

/// Pixels that share an edge or a corner with one.
pub(crate) fn around(pixel: usize, [width, height]: [usize; 2]) -> impl Iterator<Item = usize> {
    let near = |at: usize, count: usize| at.saturating_sub(1)..(at + 2).min(count);
    let columns = near(pixel % width, width);
    let rows = near(pixel / width, height);
    rows.flat_map(move |y| columns.clone().map(move |x| y * width + x))
        .filter(move |other| *other != pixel)
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
        met.extend(neighbours(pixel, [width, height]));
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixels by letters: `#` is ink, `.` faint ink, the rest paper.
    fn kept(rows: &[&str]) -> Vec<String> {
        let size = [rows[0].len(), rows.len()];
        let distances: Vec<f32> = rows
            .iter()
            .flat_map(|row| row.bytes())
            .map(|letter| match letter {
                b'#' => 255.0,
                b'.' => 20.0,
                _ => 0.0,
            })
            .collect();
        let open = open_canvas(&distances, size);
        let letter = |open: &bool| if *open { 'o' } else { ' ' };
        open.chunks(size[0])
            .map(|row| row.iter().map(letter).collect())
            .collect()
    }

    #[test]
    fn paper_beside_a_drawing_is_open_and_what_an_outline_holds_is_not() {
        let closed = [
            "         ",
            " ####### ",
            " #     # ",
            " #     # ",
            " #     # ",
            " ####### ",
            "         ",
        ];
        let open = [
            "ooooooooo",
            "o       o",
            "o       o",
            "o       o",
            "o       o",
            "o       o",
            "ooooooooo",
        ];
        assert_eq!(kept(&closed), open);
        // A gap lets one or two straight ways in; faint ink holds as well as black.
        let gap = [
            "         ",
            " ### ### ",
            " #     . ",
            " #     . ",
            " #     . ",
            " ####### ",
            "         ",
        ];
        let found = kept(&gap);
        assert_eq!(found[2..5], open[2..5]);
        // What is enclosed is one region; what a gap opens, and what is a few pixels large, is none.
        let regions = |rows: &[&str]| {
            let letters = rows.iter().flat_map(|row| row.bytes());
            let distances: Vec<f32> = letters
                .map(|letter| if letter == b' ' { 0.0 } else { 255.0 })
                .collect();
            enclosed(&distances, [rows[0].len(), rows.len()])
        };
        let inside: Vec<usize> = (2..5)
            .flat_map(|y| (2..7).map(move |x| 9 * y + x))
            .collect();
        let mut found = regions(&closed);
        assert_eq!(found.len(), 1);
        found[0].sort_unstable();
        assert_eq!(found[0], inside);
        assert_eq!(regions(&gap), Vec::<Vec<usize>>::new());
        assert_eq!(regions(&["####", "#  #", "####"]), Vec::<Vec<usize>>::new());
        // Without ink all of it is open.
        assert_eq!(kept(&["    "; 4]), ["oooo"; 4]);
    }
}
