//! Photographs of line drawings: paper becomes white, strokes become black.

use rayon::prelude::*;

use super::Picture;
use crate::number::{Real, Whole};

/// Cells along the longer side, in each of which the paper's colour is looked for; a stroke may be as wide as
/// two of them.
const CELLS: usize = 24;
/// Fewest pixels of a cell's side.
const LEAST_CELL: usize = 4;
/// Share of a cell's pixels that are darker than its paper: strokes, and half of the grain.
const DARKER: f32 = 0.75;
/// Share of the paper's brightness from which on a pixel is paper: its grain is finer.
const PAPER: f32 = 0.9;
/// Most of the paper's brightness that ink has.
const INK_MAX: f32 = 0.75;
/// How far from ink towards paper a pixel is still ink: strokes have grain, too.
const STROKE: f32 = 0.35;

/// What a line drawing stands on, where that is no white paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// Plain and dark, under light lines.
    Dark,
    /// Paper that is not white, or not under much light.
    Dim,
}

/// Most brightness of a dark ground, and least of light ink on it.
const DARK: [f32; 2] = [64.0, 160.0];
/// Brightness of paper in a photograph.
const DIM: std::ops::RangeInclusive<f32> = 140.0..=245.0;
/// Largest distance of a channel from red of what counts as grey.
const GREY: u8 = 60;
/// Shares of the pixels that lines are.
const LINES: std::ops::RangeInclusive<f32> = 0.002..=0.35;
/// Least share of pixels, at the border or in all, that are as is said.
const MOST: f32 = 0.9;

impl Picture {
    /// What the lines of a drawing stand on, by the picture's border, where that is no white paper; `None`
    /// for what is no line drawing, as far as brightness tells.
    pub fn ground(&self) -> Option<Ground> {
        let [width, height] = [self.width_px, self.height_px].map(|v| v as usize);
        let pixels = self.premultiplied.as_chunks::<4>().0;
        let value = |pixel: [u8; 4]| {
            let channels = [0, 1, 2].map(|c| f32::from(on_white(pixel, c)));
            channels.iter().sum::<f32>() / 3.0
        };
        let is_grey = |pixel: [u8; 4]| {
            let channels = [0, 1, 2].map(|c| on_white(pixel, c));
            let far = channels.map(|channel| channel.abs_diff(channels[0]));
            far.into_iter().max().is_none_or(|far| far <= GREY)
        };
        let is_edge = |at: &usize| {
            let (x, y) = (at % width, at / width);
            x == 0 || y == 0 || x + 1 == width || y + 1 == height
        };
        let edge = (0..pixels.len()).filter(is_edge);
        let edge: Vec<f32> = edge.map(|at| value(pixels[at])).collect();
        let mean = edge.iter().sum::<f32>() / edge.len().to_f32();
        let share = |count: usize, of: usize| count.to_f32() / of.to_f32();
        let of_all = |is: &(dyn Fn([u8; 4]) -> bool + Sync)| {
            let found = pixels.par_iter().filter(|pixel| is(**pixel));
            share(found.count(), pixels.len())
        };
        let [darkest, lightest] = DARK;
        let is_plain = |value: f32| (value - mean).abs() <= darkest / 2.0;
        let plain = edge.iter().filter(|value| is_plain(**value)).count();
        if mean <= darkest
            && share(plain, edge.len()) >= MOST
            && LINES.contains(&of_all(&|pixel| value(pixel) >= lightest))
            && of_all(&|pixel| is_plain(value(pixel)) || value(pixel) >= lightest) >= MOST
        {
            return Some(Ground::Dark);
        }
        let is_dim = DIM.contains(&mean)
            && of_all(&is_grey) >= MOST
            && LINES.contains(&of_all(&|pixel| value(pixel) < INK_MAX * mean));
        is_dim.then_some(Ground::Dim)
    }

    /// The picture with its paper white and its strokes black: every pixel divided by the colour of the paper
    /// around it, which may be shaded, and spread from ink to paper over the full range; where ink ends is
    /// found by Otsu's threshold (1979). For line drawings: a large dark area is taken for paper.
    #[must_use]
    pub fn with_white_paper(&self) -> Self {
        let paper = Paper::of(self);
        let width = self.width_px as usize;
        let rows = || self.premultiplied.par_chunks(4 * width).enumerate();
        let counts = rows()
            .map(|(y, row)| {
                let mut counts = [0_u32; 256];
                for (x, pixel) in row.as_chunks::<4>().0.iter().enumerate() {
                    let share = paper.share(*pixel, x, y).iter().sum::<f32>() / 3.0;
                    counts[(share * 255.0).min(255.0).to_usize()] += 1;
                }
                counts
            })
            .reduce(
                || [0; 256],
                |a, b| std::array::from_fn(|level| a[level] + b[level]),
            );
        let ink = mean_of_dark(&counts).min(INK_MAX);
        let ink = ink + STROKE * (1.0 - ink);
        let white = |(y, row): (usize, &[u8])| -> Vec<u8> {
            let pixels = row.as_chunks::<4>().0.iter().enumerate();
            let pixel = |(x, pixel): (usize, &[u8; 4])| {
                let [red, green, blue] = paper.share(*pixel, x, y).map(|share| {
                    (255.0 * ((share - ink) / (PAPER - ink)).clamp(0.0, 1.0))
                        .round()
                        .to_u8()
                });
                [red, green, blue, 255]
            };
            pixels.flat_map(pixel).collect()
        };
        Self {
            premultiplied: rows().flat_map_iter(white).collect(),
            ..*self
        }
    }
}

/// The paper's colour all over a picture.
struct Paper {
    /// `[rows, columns]`
    cells: Vec<[f32; 3]>,
    columns: usize,
    rows: usize,
    side: usize,
}

impl Paper {
    fn of(picture: &Picture) -> Self {
        let [width, height] = [picture.width_px, picture.height_px].map(|v| v as usize);
        let side = width.max(height).div_ceil(CELLS).max(LEAST_CELL);
        let [columns, rows] = [width, height].map(|v| v.div_ceil(side));
        let pixels = picture.premultiplied.as_chunks::<4>().0;
        let cells = (0..rows * columns).into_par_iter().map(|cell| {
            let [top, left] = [cell / columns * side, cell % columns * side];
            let [right, bottom] = [(left + side).min(width), (top + side).min(height)];
            [0, 1, 2].map(|c| {
                let row = |y: usize| &pixels[y * width..][left..right];
                let values =
                    (top..bottom).flat_map(|y| row(y).iter().map(|pixel| on_white(*pixel, c)));
                let mut values: Vec<u8> = values.collect();
                let place = ((values.len() - 1).to_f32() * DARKER).to_usize();
                f32::from(*values.select_nth_unstable(place).1).max(1.0)
            })
        });
        let mut paper = Self {
            cells: cells.collect(),
            columns,
            rows,
            side,
        };
        // A cell of ink alone has the paper of its neighbours; then shades without steps.
        paper.cells = paper.around(|near| near.fold(0.0, f32::max));
        paper.cells = paper.around(|near| {
            let (sum, count) = near.fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
            sum / count
        });
        paper
    }

    /// Each cell by itself and its eight neighbours.
    fn around(&self, of: impl Fn(&mut dyn Iterator<Item = f32>) -> f32) -> Vec<[f32; 3]> {
        let near = |at: usize, count: usize| at.saturating_sub(1)..(at + 2).min(count);
        let cell = |at: usize| {
            let (row, column) = (at / self.columns, at % self.columns);
            [0, 1, 2].map(|c| {
                let mut values = near(row, self.rows).flat_map(|row| {
                    near(column, self.columns)
                        .map(move |column| self.cells[row * self.columns + column][c])
                });
                of(&mut values)
            })
        };
        (0..self.cells.len()).map(cell).collect()
    }

    /// How bright a pixel is beside the paper at its place, by colour; 1 is paper.
    fn share(&self, pixel: [u8; 4], x: usize, y: usize) -> [f32; 3] {
        let place = |at: usize, count: usize| {
            let place = (at.to_f32() + 0.5) / self.side.to_f32() - 0.5;
            let place = place.clamp(0.0, (count - 1).to_f32());
            let first = place.to_usize();
            (first, (first + 1).min(count - 1), place - first.to_f32())
        };
        let ((left, right, across), (above, below, down)) =
            (place(x, self.columns), place(y, self.rows));
        [0, 1, 2].map(|c| {
            let at = |row: usize, column: usize| self.cells[row * self.columns + column][c];
            let between = |row: usize| at(row, left) + (at(row, right) - at(row, left)) * across;
            let paper = between(above) + (between(below) - between(above)) * down;
            f32::from(on_white(pixel, c)) / paper
        })
    }
}

/// Mean, of 1, of the darker of two classes of 256 levels that are as far apart as can be.
fn mean_of_dark(counts: &[u32; 256]) -> f32 {
    let sums = |from: &[u32], first: usize| {
        let levels = from.iter().enumerate();
        levels.fold([0.0; 2], |[count, sum], (i, n)| {
            let n = f64::from(*n);
            [count + n, sum + n * (first + i).to_f64()]
        })
    };
    let mut best = (-1.0, 0.0);
    for level in 0..255 {
        let (dark, bright) = counts.split_at(level + 1);
        let ([dark, dark_sum], [bright, bright_sum]) = (sums(dark, 0), sums(bright, level + 1));
        if dark == 0.0 || bright == 0.0 {
            continue;
        }
        let apart = dark * bright * (bright_sum / bright - dark_sum / dark).powi(2);
        if apart > best.0 {
            best = (apart, dark_sum / dark / 255.0);
        }
    }
    best.1.to_f32()
}

/// A channel of a premultiplied pixel, laid on white.
pub(super) fn on_white(pixel: [u8; 4], c: usize) -> u8 {
    pixel[c].saturating_add(255 - pixel[3])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Stream};

    #[test]
    fn a_pencil_ring_on_shaded_grainy_paper_becomes_black_on_white() {
        let mut rng = Rng::new(5, Stream::TEST, 0);
        let (width, height) = (200, 140);
        let grain: Vec<f32> = rng.normals((width * height) as usize);
        let distance = |i: u32| (i % width).to_f32() - 100.0;
        let ring = |i: u32| distance(i).hypot((i / width).to_f32() - 70.0);
        let value = |i: u32| {
            // From a bright left to a dim right, a little yellow; the pencil takes two fifths of the light.
            let light = 0.95 - 0.4 * (i % width).to_f32() / width.to_f32();
            let ink = if (38.0..42.0).contains(&ring(i)) {
                0.6
            } else {
                1.0
            };
            let value = 255.0 * light * ink + 2.5 * grain[i as usize];
            let [red, green, blue] = [1.0, 0.98, 0.9].map(|tint| (value * tint).to_u8());
            [red, green, blue, 255]
        };
        let photo = Picture {
            width_px: width,
            height_px: height,
            premultiplied: (0..width * height).flat_map(value).collect(),
        };
        assert_eq!(photo.ground(), Some(Ground::Dim));
        let clean = photo.with_white_paper();
        assert_eq!((clean.width_px, clean.height_px), (width, height));
        let (mut paper, mut ink) = (Vec::new(), Vec::new());
        for (i, pixel) in clean.premultiplied.as_chunks::<4>().0.iter().enumerate() {
            match ring(i.to_u32()) {
                r if (39.0..41.0).contains(&r) => ink.push(pixel[0]),
                r if !(37.0..43.0).contains(&r) => paper.push(pixel[2]),
                _ => {}
            }
        }
        let share = |values: &[u8], holds: fn(&u8) -> bool| {
            values.iter().filter(|v| holds(v)).count().to_f32() / values.len().to_f32()
        };
        assert!(
            share(&paper, |v| *v >= 250) > 0.99,
            "{}",
            share(&paper, |v| *v >= 250)
        );
        assert!(
            share(&ink, |v| *v <= 60) > 0.95,
            "{}",
            share(&ink, |v| *v <= 60)
        );
        // What is black on white stays so, and a single pixel is a picture.
        let drawn = Picture {
            premultiplied: (0..width * height)
                .flat_map(|i| {
                    let v = if (38.0..42.0).contains(&ring(i)) {
                        0
                    } else {
                        255
                    };
                    [v, v, v, 255]
                })
                .collect(),
            ..photo
        };
        assert_eq!(drawn.with_white_paper(), drawn);
        assert_eq!(drawn.ground(), None);
        let inverted = Picture {
            premultiplied: drawn
                .premultiplied
                .as_chunks::<4>()
                .0
                .iter()
                .flat_map(|[v, ..]| [255 - v, 255 - v, 255 - v, 255])
                .collect(),
            ..drawn
        };
        assert_eq!(inverted.ground(), Some(Ground::Dark));
        let dot = Picture {
            width_px: 1,
            height_px: 1,
            premultiplied: vec![0; 4],
        };
        assert_eq!(dot.with_white_paper().premultiplied, [255; 4]);
        assert_eq!(dot.ground(), None);
    }
}
