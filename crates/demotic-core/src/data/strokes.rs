//! The strokes of a drawing, and what a translation makes of their ink, apart from what lies beside them.

use super::canvas::{INK, MARK, around, neighbours};
use crate::number::Real;

/// Most that a channel of two inks of equal darkness differs by, as a share of it, where they are alike. A
/// pixel at an edge is the same ink, less dark.
const ALIKE: f32 = 0.25;
/// So many strokes of the greatest width fill the picture's longer side. A shape is wider, and a fill within
/// an outline has no rim on paper at all.
const WIDEST: usize = 6;

/// The strokes of a drawing on paper: ink of one colour that hangs together, corners included.
///
/// A pixel's darkness is the largest distance of a channel from the background, a whole number of 0 to 255.
#[derive(Debug)]
pub(crate) struct Strokes {
    /// Pixels of each.
    each: Vec<Vec<usize>>,
    /// One a pixel.
    darkness: Vec<f32>,
    /// How dark a pixel is without its ink, by tinted paper or a pale fill: no darker than what is no ink.
    under: Vec<f32>,
    /// The stroke that a pixel belongs to; without ink, that of the darkest pixel beside it.
    numbers: Vec<Option<usize>>,
    /// Whether a pixel beside ink is the faint edge of that, and itself none.
    is_edge: Vec<bool>,
    /// Pixels of strokes and of their faint edges from their rims inwards, each with its neighbours that are
    /// nearer to the rim.
    inwards: Vec<(usize, Vec<usize>)>,
    /// In pixels: their typical one.
    width: f32,
}

/// What a translation makes of the ink of strokes.
pub(crate) struct Inks<'a> {
    strokes: &'a Strokes,
    each: Vec<Ink>,
}

/// The ink of a stroke.
struct Ink {
    /// Of each channel, in a range of 2.
    change: Vec<f32>,
    /// Darkness of a pixel that it covers.
    darkness: f32,
}

impl Strokes {
    /// Those of a drawing. `None` where less than nine in ten pixels of ink belong to one: a picture with
    /// fills, a photograph, a shape.
    ///
    /// # Shapes
    /// `offsets`: `[c, height, width]`, channels less the background's, whole numbers of -255 to 255; `size`:
    /// `[width, height]`.
    pub(crate) fn of(offsets: &[f32], size: [usize; 2]) -> Option<Self> {
        let area = size[0] * size[1];
        let channels = |pixel: usize| offsets.iter().skip(pixel).step_by(area);
        let darkness: Vec<f32> = (0..area)
            .map(|pixel| channels(pixel).fold(0.0_f32, |most, v| most.max(v.abs())))
            .collect();
        let is_alike = |pixel: usize, darkest: usize| {
            let (own, most) = (darkness[pixel], darkness[darkest]);
            let mut pairs = channels(pixel).zip(channels(darkest));
            pairs.all(|(a, b)| (a * most - b * own).abs() <= ALIKE * own * most)
        };
        let inked_beside = |pixel: usize, numbers: &[Option<usize>]| {
            let inked = around(pixel, size).filter(|at| numbers[*at].is_some());
            inked.max_by(|a, b| darkness[*a].total_cmp(&darkness[*b]))
        };
        // The darkest first: they have a stroke's ink unmixed.
        let mut ink: Vec<usize> = (0..area).filter(|pixel| darkness[*pixel] > INK).collect();
        ink.sort_by(|a, b| darkness[*b].total_cmp(&darkness[*a]));
        let is_rim = |pixel: usize, least: f32| {
            let mut beside = neighbours(pixel, size);
            beside.any(|at| darkness[at] <= least)
        };
        let mut is_taken = vec![false; area];
        let mut each = Vec::<Vec<usize>>::new();
        let (mut numbers, mut rims) = (vec![None::<usize>; area], 0);
        for &darkest in &ink {
            if is_taken[darkest] {
                continue;
            }
            let most = darkness[darkest];
            // Beside ink that is twice as dark it is an edge of that, mixed with paper or a fill of a hue.
            let inked = inked_beside(darkest, &numbers).filter(|at| darkness[*at] >= 2.0 * most);
            if let Some(number) = inked.and_then(|at| numbers[at]) {
                is_taken[darkest] = true;
                numbers[darkest] = Some(number);
                each[number].push(darkest);
                rims += usize::from(is_rim(darkest, INK));
                continue;
            }
            // A faint stroke does not end where it is somewhat fainter.
            let least = INK.min(most / 2.0);
            let (mut stroke, mut met) = (Vec::new(), vec![darkest]);
            while let Some(pixel) = met.pop() {
                if is_taken[pixel] || darkness[pixel] <= least || !is_alike(pixel, darkest) {
                    continue;
                }
                is_taken[pixel] = true;
                stroke.push(pixel);
                met.extend(around(pixel, size));
            }
            // A stroke has two rims: twice its pixels to a pixel of them is its width.
            let rim = stroke.iter().filter(|pixel| is_rim(**pixel, least));
            let rim = rim.count();
            if rim == 0 || 2 * stroke.len() * WIDEST > rim * size[0].max(size[1]) {
                continue;
            }
            for pixel in &stroke {
                numbers[*pixel] = Some(each.len());
            }
            each.push(stroke);
            rims += rim;
        }
        let loose = ink.iter().filter(|pixel| numbers[**pixel].is_none());
        if ink.is_empty() || 10 * loose.count() > ink.len() {
            return None;
        }
        let mut under = faintest(&darkness, &numbers, size);
        let beside = |pixel: usize| {
            let is_paper = numbers[pixel].is_none() && darkness[pixel] <= INK;
            is_paper.then(|| inked_beside(pixel, &numbers)).flatten()
        };
        let beside: Vec<Option<usize>> = (0..area).map(beside).collect();
        // Beside ink plain tinted paper is as dark as it is around.
        let is_edge =
            |pixel: usize| beside[pixel].is_some() && darkness[pixel] - under[pixel] > MARK;
        let is_edge: Vec<bool> = (0..area).map(is_edge).collect();
        let inwards = inwards(|pixel| numbers[pixel].is_some() || is_edge[pixel], size);
        for (pixel, outer) in &inwards {
            under[*pixel] = mean_at(&under, outer);
        }
        let numbers = (0..area).map(|pixel| numbers[beside[pixel].unwrap_or(pixel)]);
        let numbers = numbers.collect();
        let held: usize = each.iter().map(Vec::len).sum();
        Some(Self {
            each,
            darkness,
            under,
            numbers,
            is_edge,
            inwards,
            width: 2.0 * held.to_f32() / rims.to_f32(),
        })
    }

    /// Typical width in pixels: twice the strokes' pixels to a pixel of their rims; 2 where all of them are
    /// rim.
    pub(crate) fn width(&self) -> f32 {
        self.width
    }

    /// Of each pixel.
    pub(crate) fn darkness(&self) -> &[f32] {
        &self.darkness
    }

    /// Gives each stroke one colour in a translation at the strokes' own scale.
    ///
    /// # Shapes
    /// `square` and `translated`: `[c, height, width]` in a range of 2.
    pub(crate) fn lay_in(&self, square: &[f32], translated: &mut [f32]) {
        let pairs = translated.iter().zip(square);
        let mut change: Vec<f32> = pairs.map(|(translated, seen)| translated - seen).collect();
        let inks = self.lift(&mut change, &self.darkness);
        let area = self.darkness.len();
        for (at, translated) in translated.iter_mut().enumerate() {
            let (c, pixel) = (at / area, at % area);
            if let Some(mixed) = inks.mixed(pixel, c, change[at], || self.darkness[pixel]) {
                *translated = square[at] + mixed;
            }
        }
    }

    /// Takes the strokes out of a change, so that it is that of paper and fills, under the strokes, too;
    /// returns what it was at their ink.
    ///
    /// # Shapes
    /// `change`: `[c, height, width]` in a range of 2; `darkest`: `[height, width]`, the most darkness within
    /// each pixel, where the picture itself is larger; 0 beside it.
    pub(crate) fn lift(&self, change: &mut [f32], darkest: &[f32]) -> Inks<'_> {
        let inks = self.each.iter();
        let each: Vec<Ink> = inks.map(|ink| self.ink(ink, change, darkest)).collect();
        let inks = Inks {
            strokes: self,
            each,
        };
        for (pixel, outer) in &self.inwards {
            // Ink that covers less than half of a pixel still shows what lies there; of its faint edge the
            // network is not sure.
            let ink = inks.cover(*pixel, || self.darkness[*pixel]);
            let ink = ink.filter(|_| !self.is_edge[*pixel]);
            let rest = ink.map_or(0.0, |(_, share)| (1.0 - 2.0 * share).max(0.0));
            for plane in change.chunks_exact_mut(self.darkness.len()) {
                let near = mean_at(plane, outer);
                plane[*pixel] = near + (plane[*pixel] - near) * rest;
            }
        }
        inks
    }

    /// What a change is at a stroke's ink: one that is robust, for the network is sure in parts of a stroke
    /// alone. Of a line that covers less than half of its pixels the network has seen too little: its change
    /// counts less.
    fn ink(&self, stroke: &[usize], change: &[f32], darkest: &[f32]) -> Ink {
        // What continues a picture beside it is none of the picture's pixels.
        let within = stroke.iter().copied();
        let within: Vec<usize> = within.filter(|pixel| darkest[*pixel] > 0.0).collect();
        let stroke = if within.is_empty() {
            stroke
        } else {
            &within[..]
        };
        let weight = |pixel: usize| f64::from(self.darkness[pixel]).powi(2);
        let all: f64 = stroke.iter().map(|pixel| weight(*pixel)).sum();
        let mean = |of: &[f32]| {
            let values = stroke.iter();
            let values = values.map(|pixel| weight(*pixel) * f64::from(of[*pixel]));
            values.sum::<f64>() / all
        };
        let darkness = mean(darkest);
        let strength = (2.0 * mean(&self.darkness) / darkness).min(1.0);
        let planes = change.chunks_exact(self.darkness.len());
        let change = planes.map(|plane| {
            let values = stroke.iter();
            let values = values.map(|pixel| (f64::from(plane[*pixel]), weight(*pixel)));
            (strength * mean_of_middle(values.collect())).to_f32()
        });
        Ink {
            change: change.collect(),
            darkness: darkness.to_f32(),
        }
    }
}

impl Inks<'_> {
    /// The ink that a pixel has or lies beside, and how much of the pixel, or of a part that is so dark, it
    /// covers: 0 to 1.
    fn cover(&self, pixel: usize, darkness: impl FnOnce() -> f32) -> Option<(&Ink, f32)> {
        let ink = &self.each[self.strokes.numbers[pixel]?];
        let under = self.strokes.under[pixel];
        // Faint ink may be hardly darker than what it lies on.
        let whole = (ink.darkness - under).max(1.0);
        Some((ink, ((darkness() - under) / whole).clamp(0.0, 1.0)))
    }

    /// The change of a channel of a pixel, or of a part of it: the ink's, as far as it covers that, else that
    /// of the fill. `None` far from ink.
    pub(crate) fn mixed(
        &self,
        pixel: usize,
        c: usize,
        fill: f32,
        darkness: impl FnOnce() -> f32,
    ) -> Option<f32> {
        let (ink, share) = self.cover(pixel, darkness)?;
        Some(ink.change[c] * share + fill * (1.0 - share))
    }
}

/// How dark each pixel is without ink, as far as pixels around it tell: beside ink there is ink in a pixel,
/// too, and none in the faintest one.
fn faintest(darkness: &[f32], numbers: &[Option<usize>], size: [usize; 2]) -> Vec<f32> {
    let faintest = (0..darkness.len()).map(|pixel| {
        let open = around(pixel, size).filter(|at| numbers[*at].is_none());
        open.fold(darkness[pixel].min(INK), |least, at| {
            least.min(darkness[at])
        })
    });
    faintest.collect()
}

/// The mean of some of a plane's values.
fn mean_at(plane: &[f32], pixels: &[usize]) -> f32 {
    let sum: f32 = pixels.iter().map(|at| plane[*at]).sum();
    sum / pixels.len().to_f32()
}

/// Marked pixels from their rims inwards, each with its neighbours that are nearer to the rim.
fn inwards(is_marked: impl Fn(usize) -> bool, size: [usize; 2]) -> Vec<(usize, Vec<usize>)> {
    let pixels = 0..size[0] * size[1];
    let depths = pixels.map(|pixel| if is_marked(pixel) { usize::MAX } else { 0 });
    let mut depths: Vec<usize> = depths.collect();
    let mut met: Vec<usize> = (0..depths.len()).filter(|at| depths[*at] == 0).collect();
    let (outside, mut next) = (met.len(), 0);
    while let Some(&pixel) = met.get(next) {
        next += 1;
        for other in neighbours(pixel, size) {
            if depths[other] == usize::MAX {
                depths[other] = depths[pixel] + 1;
                met.push(other);
            }
        }
    }
    let outer = |pixel: usize| -> (usize, Vec<usize>) {
        let nearer = neighbours(pixel, size).filter(|other| depths[*other] < depths[pixel]);
        (pixel, nearer.collect())
    };
    met.into_iter().skip(outside).map(outer).collect()
}

/// The mean of the middle half of values, each with its weight: as robust as the median, and it does not jump
/// where half of them are one value and half another.
fn mean_of_middle(mut values: Vec<(f64, f64)>) -> f64 {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let quarter = values.iter().map(|(_, weight)| weight).sum::<f64>() / 4.0;
    let (mut below, mut sum) = (0.0_f64, 0.0);
    for (value, weight) in values {
        let part = (below + weight).min(3.0 * quarter) - below.max(quarter);
        sum += part.max(0.0) * value;
        below += weight;
    }
    sum / (2.0 * quarter)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `#` is black ink, `+` half covered by it, `r` red, `f` faint and `g` fainter, as an edge is, `y`
    /// yellow paper and `e` an edge of black on that, the rest paper: `[3, rows, columns]`, less white.
    fn offsets(rows: &[&str]) -> (Vec<f32>, [usize; 2]) {
        let letters = || rows.iter().flat_map(|row| row.bytes());
        let plane = |c: usize| {
            letters().map(move |letter| match letter {
                b'#' => -255.0,
                b'+' => -128.0,
                b'r' if c > 0 => -255.0,
                b'f' => -60.0,
                b'g' => -40.0,
                b'y' if c == 2 => -40.0,
                b'e' if c == 2 => -105.0,
                b'e' => -75.0,
                _ => 0.0,
            })
        };
        let planes = [0, 1, 2].map(plane).into_iter().flatten();
        (planes.collect(), [rows[0].len(), rows.len()])
    }

    fn strokes(rows: &[&str]) -> Option<Strokes> {
        let (offsets, size) = offsets(rows);
        Strokes::of(&offsets, size)
    }

    #[test]
    fn strokes_are_found_by_their_ink_and_fills_and_shapes_are_none() {
        // The corners of a thin line join; a red line on a black one is another.
        let crossed = [
            "                ",
            "   #            ",
            "    #           ",
            "     #          ",
            "      ########  ",
            "          r     ",
            "          r     ",
            "          r     ",
        ];
        let found = strokes(&crossed).expect("a drawing");
        let mut lengths: Vec<usize> = found.each.iter().map(Vec::len).collect();
        lengths.sort_unstable();
        assert_eq!(lengths, [3, 11]);
        let number = |x: usize, y: usize| found.numbers[16 * y + x];
        assert_eq!(number(3, 1), number(13, 4));
        assert!(number(10, 6).is_some() && number(10, 6) != number(10, 4));
        // Paper knows the stroke beside it.
        assert_eq!(
            [number(2, 0), number(11, 7), number(0, 7)],
            [number(3, 1), number(10, 7), None]
        );
        assert!(strokes(&["  ############  "; 12]).is_none());
        let (paper, line) = ("                ", " ############## ");
        let outline = |inside: &'static str| {
            let rows = [paper, line].into_iter().chain([inside; 10]);
            let rows: Vec<&str> = rows.chain([line, paper]).collect();
            strokes(&rows)
        };
        assert!(outline(" #            # ").is_some());
        assert!(outline(" #rrrrrrrrrrrr# ").is_none());
        assert!(strokes(&[paper; 10]).is_none());
    }

    #[test]
    fn ink_is_taken_out_of_a_change_and_edges_lie_between_it_and_the_fill() {
        let rows = [
            "                ",
            " ++++++++++++++ ",
            " ############## ",
            "                ",
            "                ",
            "      rrrr      ",
            "                ",
        ];
        let (offsets, size) = offsets(&rows);
        let strokes = Strokes::of(&offsets, size).expect("a drawing");
        let area = size[0] * size[1];
        // Paper above the black line becomes darker, below it nothing changes; along it the change varies.
        let value = |at: usize| match (at % 16, at / 16) {
            (_, 0) => -0.2,
            (x, 2) if (1..15).contains(&x) => 0.1 * x.to_f32(),
            (x, 5) if (6..10).contains(&x) => 0.5,
            _ => 0.0,
        };
        let mut change: Vec<f32> = (0..3 * area).map(|at| value(at % area)).collect();
        let seen = change.clone();
        let inks = strokes.lift(&mut change, &strokes.darkness);
        let mixed = |x: usize, y: usize| {
            let pixel = size[0] * y + x;
            inks.mixed(pixel, 0, change[pixel], || strokes.darkness[pixel])
        };
        let core = mixed(1, 2).expect("a stroke");
        assert!((0.2..1.0).contains(&core), "{core}");
        for x in 1..15 {
            assert_eq!(mixed(x, 2), Some(core));
            let edge = mixed(x, 1).expect("an edge");
            assert!(edge > -0.2 && edge < core, "{edge} {core}");
        }
        assert_eq!(mixed(7, 5), Some(0.5));
        // Under the ink lies what lies beside it.
        assert_eq!(change[size[0] + 8], -0.2);
        assert_eq!(change[5 * size[0] + 8], 0.0);
        assert_eq!(change[8], -0.2);
        // What is laid in is what was mixed; paper far from ink is not touched.
        let mut laid = seen;
        strokes.lay_in(&vec![0.0; 3 * area], &mut laid);
        let here = |x: usize, y: usize| laid[size[0] * y + x];
        assert_eq!(
            [(7, 1), (7, 2), (7, 5)].map(|(x, y)| Some(here(x, y))),
            [(7, 1), (7, 2), (7, 5)].map(|(x, y)| mixed(x, y))
        );
        assert_eq!(here(0, 6), 0.0);
    }

    #[test]
    fn what_the_network_paints_at_a_faint_edge_does_not_stay() {
        let rows = [
            "            ",
            " gggggggggg ",
            " ########## ",
            " ########## ",
            " gggggggggg ",
            "            ",
        ];
        let (offsets, size) = offsets(&rows);
        let strokes = Strokes::of(&offsets, size).expect("a drawing");
        // A fill below the line, and soot at its edges.
        let value = |at: usize| match at / 12 % 6 {
            1 | 4 => -1.5,
            5 => 0.4,
            _ => 0.0,
        };
        let mut change: Vec<f32> = (0..3 * 72).map(value).collect();
        strokes.lift(&mut change, &strokes.darkness);
        let along = |y: usize| [change[12 * y + 3], change[12 * y + 8]];
        assert_eq!([along(1), along(4)], [[0.0; 2], [0.4; 2]]);
        assert_eq!([along(2), along(3)], [[0.0; 2], [0.4; 2]]);
    }

    #[test]
    fn a_faint_stroke_is_one_where_it_is_fainter() {
        let rows = ["                ", "  fggffgfggggf  ", "                "];
        let found = strokes(&rows).expect("a drawing");
        let lengths: Vec<usize> = found.each.iter().map(Vec::len).collect();
        assert_eq!(lengths, [12]);
        // Faint pixels alone are none.
        assert!(strokes(&["                ", "  gggggggggggg  "]).is_none());
    }

    #[test]
    fn paper_with_a_hue_has_no_ink_and_its_edges_belong_to_the_stroke() {
        let paper = "yyyyyyyyyyyyyyyy";
        let rows = [
            paper,
            paper,
            "yy############yy",
            "yyeeeeeeeeeeeeyy",
            paper,
            paper,
        ];
        let found = strokes(&rows).expect("a drawing");
        let lengths: Vec<usize> = found.each.iter().map(Vec::len).collect();
        assert_eq!(lengths, [24]);
        let value = |at: usize| match at / 16 % 6 {
            2 => 0.5,
            3 => 0.2,
            _ => 0.0,
        };
        let mut change: Vec<f32> = (0..3 * 6 * 16).map(value).collect();
        let inks = found.lift(&mut change, &found.darkness);
        let mixed = |y: usize| {
            let pixel = 16 * y + 8;
            inks.mixed(pixel, 0, change[pixel], || found.darkness[pixel])
        };
        assert_eq!([mixed(0), mixed(1), mixed(4)], [None, Some(0.0), Some(0.0)]);
        assert_eq!(mixed(2), Some(0.5));
        let edge = mixed(3).expect("an edge");
        assert!((0.1..0.4).contains(&edge), "{edge}");
    }

    #[test]
    fn the_middle_is_not_moved_by_a_few_values_and_does_not_jump() {
        let weighed = |values: &[f64]| mean_of_middle(values.iter().map(|v| (*v, 2.0)).collect());
        assert_eq!(weighed(&[0.0, 9.0, 0.0, 0.0, 0.0]), 0.0);
        assert_eq!(weighed(&[0.0, 1.0, 0.0, 1.0]), 0.5);
        assert_eq!(mean_of_middle(vec![(1.0, 1.0), (5.0, 100.0)]), 5.0);
    }
}
