//! Pictures varied in front of the discriminator, real and fake alike, so that it cannot learn a small data
//! set by heart: colour, translation, cutout. Differentiable; the random parameters come from the host.
//!
//! # Source
//! Zhao, Liu, Lin, Zhu, Han 2020 (`DiffAugment`); one probability for each kind of change as in Karras et al.
//! 2020.

use crate::number::{Real, Whole};
use burn::tensor::{Device, Tensor, TensorData};

use crate::rng::Rng;

/// Parameters of `n` pictures of `[c, H, W]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Variations {
    /// Brightness, saturation and contrast of each picture: `[n, 3]`.
    colour: Vec<f32>,
    /// Rows and columns that each picture moves by: `[n, 2]`.
    shift_px: Vec<i32>,
    /// First row, first column and side of the square that is left out: `[n, 3]`; a side of 0 leaves out
    /// nothing.
    hole_px: Vec<i32>,
}

/// Largest move, as a share of the side.
const SHIFT_MAX: f32 = 0.125;

impl Variations {
    /// Draws the variations of `n` pictures, each kind with probability `prob`.
    pub(crate) fn draw(rng: &mut Rng, n: usize, side: usize, prob: f32) -> Self {
        let mut drawn = Self::default();
        let reach = (side.to_f32() * SHIFT_MAX).to_i32();
        for _ in 0..n {
            // The same count of numbers for every picture.
            let [is_coloured, is_moved, has_hole] = std::array::from_fn(|_| rng.chance(prob));
            let colour = [
                rng.uniform_in(-0.5, 0.5),
                rng.uniform_in(0.0, 2.0),
                rng.uniform_in(0.5, 1.5),
            ];
            let mut within = || rng.below(2 * reach.to_u32() + 1).to_i32() - reach;
            let shift = [within(), within()];
            let hole = side.to_i32() / 2;
            // Centred anywhere in the picture, as in the source: at the border part of it falls outside.
            let mut start = || rng.below(side.to_u32()).to_i32() - hole / 2;
            let hole = [start(), start(), hole];
            drawn
                .colour
                .extend(if is_coloured { colour } else { [0.0, 1.0, 1.0] });
            drawn.shift_px.extend(if is_moved { shift } else { [0; 2] });
            drawn.hole_px.extend(if has_hole { hole } else { [0; 3] });
        }
        drawn
    }

    /// Those of `count` pictures from number `first` on.
    pub(crate) fn cut(&self, first: usize, count: usize) -> Self {
        Self {
            colour: self.colour[3 * first..][..3 * count].to_vec(),
            shift_px: self.shift_px[2 * first..][..2 * count].to_vec(),
            hole_px: self.hole_px[3 * first..][..3 * count].to_vec(),
        }
    }

    /// These pictures, then those.
    pub(crate) fn then(mut self, other: Self) -> Self {
        self.colour.extend(other.colour);
        self.shift_px.extend(other.shift_px);
        self.hole_px.extend(other.hole_px);
        self
    }

    /// The pictures varied: colour and contrast about their means, then moved (what comes in is grey), then
    /// the hole (grey).
    ///
    /// `pictures`: `[n, c, H, W]`, with or without a graph; a fourth plane, alpha, keeps its values and moves
    /// along.
    pub(crate) fn apply(&self, pictures: Tensor<4>, device: &Device) -> Tensor<4> {
        let [n, c, h, w] = pictures.dims();
        let column = |i: usize| {
            let values: Vec<f32> = self.colour.iter().skip(i).step_by(3).copied().collect();
            Tensor::<4>::from_data(TensorData::new(values, [n, 1, 1, 1]), device)
        };
        let colours = c.min(3);
        let mut planes = pictures
            .split_with_sizes(if c > 3 { vec![3, c - 3] } else { vec![c] }, 1)
            .into_iter();
        let mut x = planes.next().expect("a picture has a plane") + column(0);
        let grey = x.clone().mean_dim(1); // [n, 1, h, w]
        x = (x - grey.clone()) * column(1) + grey;
        let mean = x
            .clone()
            .reshape([n, colours * h, w])
            .mean_dim(2)
            .reshape([n, colours * h])
            .mean_dim(1)
            .reshape([n, 1, 1, 1]);
        x = (x - mean.clone()) * column(2) + mean;
        if let Some(alpha) = planes.next() {
            x = Tensor::cat(vec![x, alpha], 1);
        }
        let (rows, columns) = (
            self.moves(0, h, device),
            self.moves(1, w, device).swap_dims(2, 3),
        );
        let moved = rows
            .expand([n, c, h, h])
            .matmul(x)
            .matmul(columns.expand([n, c, w, w]));
        moved * self.mask(h, w, device)
    }

    /// Matrices that move a column of pixels along `axis`: `[n, 1, side, side]`.
    fn moves(&self, axis: usize, side: usize, device: &Device) -> Tensor<4> {
        let shifts = self.shift_px.iter().skip(axis).step_by(2);
        let mut values = vec![0.0; self.shift_px.len() / 2 * side * side];
        for (matrix, shift) in values.chunks_exact_mut(side * side).zip(shifts) {
            for (to, row) in matrix.chunks_exact_mut(side).enumerate() {
                let from = to.to_i32() - shift;
                if (0..side.to_i32()).contains(&from) {
                    row[from.to_usize()] = 1.0;
                }
            }
        }
        let n = self.shift_px.len() / 2;
        Tensor::from_data(TensorData::new(values, [n, 1, side, side]), device)
    }

    /// Zero in the hole, one elsewhere: `[n, 1, h, w]`.
    fn mask(&self, h: usize, w: usize, device: &Device) -> Tensor<4> {
        let holes = self.hole_px.as_chunks::<3>().0;
        let mut values = vec![1.0; holes.len() * h * w];
        for (plane, [top, left, side]) in values.chunks_exact_mut(h * w).zip(holes) {
            let span = |start: i32, end: usize| {
                start.clamp(0, end.to_i32()).to_usize()
                    ..(start + side).clamp(0, end.to_i32()).to_usize()
            };
            for y in span(*top, h) {
                plane[y * w..][span(*left, w)].fill(0.0);
            }
        }
        Tensor::from_data(TensorData::new(values, [holes.len(), 1, h, w]), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrays::values_of;
    use crate::rng::Stream;

    const N: usize = 3;
    const SIDE: usize = 8;

    fn pictures(channels: usize) -> Vec<f32> {
        Rng::new(5, Stream::TEST, 0).normals(N * channels * SIDE * SIDE)
    }

    fn applied(variations: &Variations, values: &[f32], channels: usize) -> Vec<f32> {
        let device = Device::flex();
        let data = TensorData::new(values.to_vec(), [N, channels, SIDE, SIDE]);
        values_of(variations.apply(Tensor::from_data(data, &device), &device))
    }

    #[test]
    fn variations_follow_their_formulas_and_probability_zero_changes_nothing() {
        for channels in [1, 3, 4] {
            let values = pictures(channels);
            let none = Variations::draw(&mut Rng::new(1, Stream::TEST, 1), N, SIDE, 0.0);
            for (a, b) in applied(&none, &values, channels).iter().zip(&values) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
            let all = Variations::draw(&mut Rng::new(1, Stream::TEST, 1), N, SIDE, 1.0);
            let got = applied(&all, &values, channels);
            let colours = channels.min(3);
            for n in 0..N {
                let [brightness, saturation, contrast] =
                    std::array::from_fn(|i| all.colour[3 * n + i]);
                let at = |c: usize, y: usize, x: usize| {
                    values[((n * channels + c) * SIDE + y) * SIDE + x]
                };
                let saturated = |c: usize, y: usize, x: usize| {
                    let grey = (0..colours).map(|c| at(c, y, x)).sum::<f32>() / colours.to_f32()
                        + brightness;
                    (at(c, y, x) + brightness - grey) * saturation + grey
                };
                let mut sum = 0.0;
                for c in 0..colours {
                    for i in 0..SIDE * SIDE {
                        sum += saturated(c, i / SIDE, i % SIDE);
                    }
                }
                let mean = sum / (colours * SIDE * SIDE).to_f32();
                for c in 0..channels {
                    for (y, x) in (0..SIDE * SIDE).map(|i| (i / SIDE, i % SIDE)) {
                        let from = [
                            y.to_i32() - all.shift_px[2 * n],
                            x.to_i32() - all.shift_px[2 * n + 1],
                        ];
                        let [top, left, side] = std::array::from_fn(|i| all.hole_px[3 * n + i]);
                        let is_hole = (top..top + side).contains(&y.to_i32())
                            && (left..left + side).contains(&x.to_i32());
                        let expected =
                            if is_hole || from.iter().any(|v| !(0..SIDE.to_i32()).contains(v)) {
                                0.0
                            } else {
                                let [y, x] = from.map(Whole::to_usize);
                                if c < 3 {
                                    (saturated(c, y, x) - mean) * contrast + mean
                                } else {
                                    at(c, y, x)
                                }
                            };
                        let got = got[((n * channels + c) * SIDE + y) * SIDE + x];
                        assert!((got - expected).abs() < 1e-4, "{got}, expected {expected}");
                    }
                }
            }
        }
    }
    #[test]
    fn gradients_to_the_pictures_agree_with_differences() {
        for channels in [1, 3, 4] {
            let all = Variations::draw(&mut Rng::new(1, Stream::TEST, 1), N, SIDE, 1.0);
            let values = pictures(channels);
            let weights = Rng::new(6, Stream::TEST, 0).normals(values.len());
            let device = Device::flex().autodiff();
            let tensor = |values: &[f32]| {
                let data = TensorData::new(values.to_vec(), [N, channels, SIDE, SIDE]);
                Tensor::<4>::from_data(data, &device)
            };
            let x = tensor(&values).require_grad();
            let sum = (all.apply(x.clone(), &device) * tensor(&weights)).sum();
            let gradient = values_of(x.grad(&sum.backward()).expect("pictures count"));
            // Every change is linear in the pictures, so a difference over a whole unit is as good as a small
            // one.
            let at = |i: usize, by: f32| -> f64 {
                let mut moved = values.clone();
                moved[i] += by;
                let varied = applied(&all, &moved, channels);
                let terms = varied.iter().zip(&weights);
                terms.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            };
            for i in (0..values.len()).step_by(7) {
                let slope = at(i, 0.5) - at(i, -0.5);
                let got = f64::from(gradient[i]);
                assert!((got - slope).abs() < 1e-4, "{i}: {got}, expected {slope}");
            }
        }
    }
}
