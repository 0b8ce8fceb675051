//! What a translation must beat: the best affine colour map, and the most similar training picture's
//! counterpart. Both are fitted on training pairs alone. (The third baseline, the input itself, needs no
//! fitting.)

use std::collections::BTreeSet;

use rayon::prelude::*;

use crate::data::{TrainItem, TrainingView};
use crate::number::Real;

/// Unknowns a colour: three channels and a constant.
const TERMS: usize = 4;
/// Added to the diagonal, relative to its mean: grey sources leave channels undetermined.
const RIDGE: f64 = 1e-9;

/// The affine map of colours `y = M (r, g, b, 1)`, clamped to [-1, 1], that comes nearest to the target style
/// over all pixels of all training pairs, by least squares.
#[derive(Debug, Clone, PartialEq)]
pub struct Remap {
    /// Row a target channel; columns red, green, blue, constant.
    pub(crate) matrix: [[f64; TERMS]; 3],
}

/// Sums of the normal equations of one picture or of many.
#[derive(Clone, Default)]
struct Normal {
    /// Products of terms with terms.
    left: [[f64; TERMS]; TERMS],
    /// Products of target channels with terms.
    right: [[f64; TERMS]; 3],
}

impl Remap {
    /// Fits the map on training pairs; `None` if there is none.
    pub fn fit(view: TrainingView<'_>, from: usize, to: usize) -> Option<Self> {
        let pairs = view.pairs(from, to);
        if pairs.is_empty() {
            return None;
        }
        let pictures: Vec<Normal> = pairs
            .par_iter()
            .map(|&item| Normal::of(&view.picture(from, item), &view.picture(to, item)))
            .collect();
        // Summed in order: the same map on any number of cores.
        let mut total = Normal::default();
        for picture in &pictures {
            total.add(picture);
        }
        Some(total.solve())
    }

    /// Maps a picture `[3, side, side]`, or several one after the other if `plane` is one channel's length.
    ///
    /// # Panics
    /// If the length is not a multiple of three planes.
    pub fn apply(&self, pictures: &[f32], plane: usize) -> Vec<f32> {
        assert_eq!(pictures.len() % (3 * plane), 0, "pictures of another size");
        let mut mapped = vec![0.0; pictures.len()];
        let chunks = mapped.chunks_exact_mut(3 * plane);
        for (out, picture) in chunks.zip(pictures.chunks_exact(3 * plane)) {
            for (channel, row) in self.matrix.iter().enumerate() {
                for i in 0..plane {
                    let value = row[0] * f64::from(picture[i])
                        + row[1] * f64::from(picture[plane + i])
                        + row[2] * f64::from(picture[2 * plane + i])
                        + row[3];
                    out[channel * plane + i] = value.clamp(-1.0, 1.0).to_f32();
                }
            }
        }
        mapped
    }
}

impl Normal {
    fn of(source: &[f32], target: &[f32]) -> Self {
        let plane = source.len() / 3;
        let mut sums = Self::default();
        for i in 0..plane {
            let at = |picture: &[f32], channel: usize| f64::from(picture[channel * plane + i]);
            let terms = [at(source, 0), at(source, 1), at(source, 2), 1.0];
            for (row, &a) in sums.left.iter_mut().zip(&terms) {
                for (sum, &b) in row.iter_mut().zip(&terms) {
                    *sum += a * b;
                }
            }
            for (channel, row) in sums.right.iter_mut().enumerate() {
                let value = at(target, channel);
                for (sum, &b) in row.iter_mut().zip(&terms) {
                    *sum += value * b;
                }
            }
        }
        sums
    }

    fn add(&mut self, other: &Self) {
        let rows = self.left.iter_mut().chain(&mut self.right);
        for (row, other) in rows.zip(other.left.iter().chain(&other.right)) {
            for (sum, value) in row.iter_mut().zip(other) {
                *sum += value;
            }
        }
    }

    fn solve(&self) -> Remap {
        let mut left = self.left;
        let diagonal: f64 = (0..TERMS).map(|i| left[i][i]).sum::<f64>() / TERMS.to_f64();
        for (i, row) in left.iter_mut().enumerate() {
            row[i] += RIDGE * diagonal;
        }
        // Cholesky: left = L L^T, positive definite by the ridge.
        let mut lower = [[0.0; TERMS]; TERMS];
        for i in 0..TERMS {
            for j in 0..=i {
                let known: f64 = (0..j).map(|k| lower[i][k] * lower[j][k]).sum();
                lower[i][j] = if i == j {
                    (left[i][i] - known).sqrt()
                } else {
                    (left[i][j] - known) / lower[j][j]
                };
            }
        }
        Remap {
            matrix: self.right.map(|right| {
                let mut x = right;
                for i in 0..TERMS {
                    let known: f64 = (0..i).map(|k| lower[i][k] * x[k]).sum();
                    x[i] = (x[i] - known) / lower[i][i];
                }
                for i in (0..TERMS).rev() {
                    let known: f64 = (i + 1..TERMS).map(|k| lower[k][i] * x[k]).sum();
                    x[i] = (x[i] - known) / lower[i][i];
                }
                x
            }),
        }
    }
}

/// For pictures of one source style: how far every training picture of that style is.
pub struct Nearest<'a> {
    view: TrainingView<'a>,
    items: &'a [TrainItem],
    /// `[picture][training item]` -> squared distance.
    distances: Vec<Vec<f32>>,
}

impl<'a> Nearest<'a> {
    /// Measures the distance of `pictures` to every training picture of style `from`.
    ///
    /// # Shapes
    /// - `pictures`: `[n, 3, side, side]`, in [-1, 1]
    ///
    /// # Panics
    /// If the length is not a multiple of a picture's.
    pub fn new(view: TrainingView<'a>, from: usize, pictures: &[f32]) -> Self {
        let len = view.picture_len();
        assert_eq!(pictures.len() % len, 0, "pictures of another size");
        let items = view.items(from);
        let count = pictures.len() / len;
        // Composed once a training picture, compared with all: [item][picture], then turned round.
        let by_item: Vec<Vec<f32>> = items
            .par_iter()
            .map(|&item| {
                let known = view.picture(from, item);
                pictures
                    .chunks_exact(len)
                    .map(|picture| squared_distance(picture, &known))
                    .collect()
            })
            .collect();
        let distances = (0..count)
            .map(|picture| by_item.iter().map(|row| row[picture]).collect())
            .collect();
        Self {
            view,
            items,
            distances,
        }
    }

    /// For each picture, the nearest training item among those that style `to` has, the first of equals;
    /// `None` if the styles have no training pair.
    pub fn items(&self, to: usize) -> Option<Vec<TrainItem>> {
        let with_target: BTreeSet<TrainItem> = self.view.items(to).iter().copied().collect();
        let candidates: Vec<usize> = (0..self.items.len())
            .filter(|&place| with_target.contains(&self.items[place]))
            .collect();
        let nearest = |distances: &Vec<f32>| {
            let places = candidates.iter().copied();
            let nearest = places.min_by(|&a, &b| distances[a].total_cmp(&distances[b]));
            nearest.map(|place| self.items[place])
        };
        self.distances.iter().map(nearest).collect()
    }
}

/// Squared Euclidean distance. Sixteen running sums: the compiler may not reorder one.
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            let difference = a[lane] - b[lane];
            sums[lane] += difference * difference;
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b));
    sums.iter().sum::<f32>() + rest.sum::<f32>()
}
