//! The networks' operations in float64, written from their formulas with plain loops: what every backend is
//! compared with. Shares no code with the operations. The CRF's is `demotic_crf::oracle`.

use rayon::prelude::*;

use crate::number::Real;
use crate::ops::Filter;

/// Sizes of a same-size convolution with stride 1 and a border of zeros.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convolution {
    pub(crate) batch: usize,
    pub(crate) channels_in: usize,
    pub(crate) channels_out: usize,
    pub(crate) side: usize,
    pub(crate) kernel: usize,
}

/// Values and gradients of [`Convolution`].
pub(crate) struct Convolved {
    pub(crate) y: Vec<f64>,
    pub(crate) dx: Vec<f64>,
    pub(crate) dweight: Vec<f64>,
    pub(crate) dbias: Vec<f64>,
}

impl Convolution {
    /// `y[b, o, i, j] = bias[o] + sum_(c, u, v) weight[o, c, u, v] x[b, c, i + u - k/2, j + v - k/2]`, and
    /// the gradients of `sum y * up`. Output channels at once, then input channels: every sum is one
    /// thread's, in order.
    pub(crate) fn run(&self, x: &[f32], weight: &[f32], bias: &[f32], up: &[f32]) -> Convolved {
        let Self {
            batch,
            channels_in,
            channels_out,
            side,
            kernel,
        } = *self;
        let area = side * side;
        let x_at = |b: usize, c: usize| (b * channels_in + c) * area;
        let y_at = |b: usize, o: usize| (b * channels_out + o) * area;
        let w_at = |o: usize, c: usize, u: usize, v: usize| {
            ((o * channels_in + c) * kernel + u) * kernel + v
        };
        let by_output = (0..channels_out).into_par_iter().map(|o| {
            let mut y = vec![f64::from(bias[o]); batch * area];
            let mut dweight = Vec::with_capacity(channels_in * kernel * kernel);
            let mut dbias = 0.0;
            for b in 0..batch {
                dbias += up[y_at(b, o)..][..area]
                    .iter()
                    .map(|d| f64::from(*d))
                    .sum::<f64>();
            }
            for c in 0..channels_in {
                for (u, v) in self.taps() {
                    let w = f64::from(weight[w_at(o, c, u, v)]);
                    let mut dw = 0.0;
                    for b in 0..batch {
                        for (from, to, count) in self.rows(u, v) {
                            let x = &x[x_at(b, c) + from..][..count];
                            let up = &up[y_at(b, o) + to..][..count];
                            let y = &mut y[b * area + to..][..count];
                            for ((y, x), up) in y.iter_mut().zip(x).zip(up) {
                                *y += w * f64::from(*x);
                                dw += f64::from(*x) * f64::from(*up);
                            }
                        }
                    }
                    dweight.push(dw);
                }
            }
            (y, dweight, dbias)
        });
        let by_output: Vec<_> = by_output.collect();
        let by_input = (0..channels_in).into_par_iter().map(|c| {
            let mut dx = vec![0.0; batch * area];
            for o in 0..channels_out {
                for (u, v) in self.taps() {
                    let w = f64::from(weight[w_at(o, c, u, v)]);
                    for b in 0..batch {
                        for (from, to, count) in self.rows(u, v) {
                            let up = &up[y_at(b, o) + to..][..count];
                            let dx = &mut dx[b * area + from..][..count];
                            for (dx, up) in dx.iter_mut().zip(up) {
                                *dx += w * f64::from(*up);
                            }
                        }
                    }
                }
            }
            dx
        });
        let by_input: Vec<Vec<f64>> = by_input.collect();
        // [channel][picture, pixel] -> [picture, channel, pixel]
        let picture_first = |planes: &[&[f64]]| -> Vec<f64> {
            let pictures =
                (0..batch).flat_map(|b| planes.iter().map(move |p| &p[b * area..][..area]));
            pictures.flatten().copied().collect()
        };
        let y: Vec<&[f64]> = by_output.iter().map(|(y, _, _)| &y[..]).collect();
        let dx: Vec<&[f64]> = by_input.iter().map(|dx| &dx[..]).collect();
        Convolved {
            y: picture_first(&y),
            dx: picture_first(&dx),
            dweight: by_output
                .iter()
                .flat_map(|(_, dw, _)| dw)
                .copied()
                .collect(),
            dbias: by_output.iter().map(|(_, _, db)| *db).collect(),
        }
    }

    /// Rows and columns of the kernel.
    fn taps(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let kernel = self.kernel;
        (0..kernel * kernel).map(move |tap| (tap / kernel, tap % kernel))
    }

    /// The parts of rows that a tap leads from the input to the output, without the border: where each begins
    /// in a plane of the input, in one of the output, and its length.
    fn rows(&self, u: usize, v: usize) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let (side, border) = (self.side, self.kernel / 2);
        // Rows or columns of the output whose input lies inside.
        let inside = move |tap: usize| border.saturating_sub(tap)..side.min(side + border - tap);
        inside(u).map(move |i| {
            let columns = inside(v);
            let (row, column) = (i + u - border, columns.start + v - border);
            (row * side + column, i * side + columns.start, columns.len())
        })
    }
}

/// Sizes of a group normalisation with affine map and leaky ReLU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Normalisation {
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    pub(crate) area: usize,
    pub(crate) groups: usize,
    pub(crate) slope: f64,
    /// Added to the variance.
    pub(crate) epsilon: f64,
}

/// Values and gradients of [`Normalisation`].
pub(crate) struct Normalised {
    pub(crate) y: Vec<f64>,
    pub(crate) dx: Vec<f64>,
    pub(crate) dscale: Vec<f64>,
    pub(crate) dshift: Vec<f64>,
}

impl Normalisation {
    /// `y = leaky(xhat * scale + shift)` with `xhat = (x - mean) / sqrt(variance + epsilon)` over each group
    /// of channels, and the gradients of `sum y * up`.
    pub(crate) fn run(&self, x: &[f32], scale: &[f32], shift: &[f32], up: &[f32]) -> Normalised {
        let span = self.channels / self.groups * self.area;
        let mut out = Normalised {
            y: vec![0.0; x.len()],
            dx: vec![0.0; x.len()],
            dscale: vec![0.0; scale.len()],
            dshift: vec![0.0; shift.len()],
        };
        for start in (0..self.batch * self.groups).map(|group| group * span) {
            let values: Vec<f64> = x[start..][..span].iter().map(|v| f64::from(*v)).collect();
            let mean = values.iter().sum::<f64>() / span.to_f64();
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / span.to_f64();
            let deviation = (variance + self.epsilon).sqrt();
            let normal: Vec<f64> = values.iter().map(|v| (v - mean) / deviation).collect();
            let mut dnormal = vec![0.0; span];
            for (i, normal) in normal.iter().enumerate() {
                let at = start + i;
                let channel = at / self.area; // of all pictures, one after the other
                let (scale, shift) = (f64::from(scale[channel]), f64::from(shift[channel]));
                let affine = normal * scale + shift;
                let slope = if affine >= 0.0 { 1.0 } else { self.slope };
                out.y[at] = affine * slope;
                let d = f64::from(up[at]) * slope;
                out.dscale[channel] += d * normal;
                out.dshift[channel] += d;
                dnormal[i] = d * scale;
            }
            let mean_d = dnormal.iter().sum::<f64>() / span.to_f64();
            let mean_dn =
                dnormal.iter().zip(&normal).map(|(d, n)| d * n).sum::<f64>() / span.to_f64();
            for i in 0..span {
                out.dx[start + i] = (dnormal[i] - mean_d - normal[i] * mean_dn) / deviation;
            }
        }
        out
    }
}

/// `a [n, k] * b [k, m]`.
pub(crate) fn product(a: &[f64], b: &[f64], [n, k, m]: [usize; 3]) -> Vec<f64> {
    let mut out = vec![0.0; n * m];
    for i in 0..n {
        for t in 0..k {
            for j in 0..m {
                out[i * m + j] += a[i * k + t] * b[t * m + j];
            }
        }
    }
    out
}

/// `[n, m] -> [m, n]`.
pub(crate) fn transposed(a: &[f64], [n, m]: [usize; 2]) -> Vec<f64> {
    (0..n * m).map(|at| a[at % n * m + at / n]).collect()
}

/// Sizes and settings of the edge-aware filter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EdgeAware<'a> {
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) filter: Filter,
    /// What costs are multiplied by, a round.
    pub(crate) scales: &'a [f64],
}

/// Values and gradient of [`EdgeAware`].
pub(crate) struct LaidIn {
    pub(crate) y: Vec<f64>,
    pub(crate) dfake: Vec<f64>,
}

impl EdgeAware<'_> {
    /// `y = clamp(x + F(fake - x))`, every weight written out, and the gradient of `sum y * up` by the fake
    /// with its edges held.
    pub(crate) fn run(&self, x: &[f32], fake: &[f32], up: &[f32]) -> LaidIn {
        let (area, picture) = (
            self.height * self.width,
            self.channels * self.height * self.width,
        );
        let mut out = LaidIn {
            y: vec![0.0; x.len()],
            dfake: vec![0.0; x.len()],
        };
        for b in 0..self.batch {
            let of_picture = b * picture..(b + 1) * picture;
            let (x, fake) = (&x[of_picture.clone()], &fake[of_picture.clone()]);
            let walks = self.scales.iter().flat_map(|scale| {
                [self.rows(), self.columns()].map(|lines| {
                    let weights = lines.iter().map(|line| self.weights(x, fake, line, *scale));
                    weights.zip(lines.clone()).collect::<Vec<_>>()
                })
            });
            let walks: Vec<_> = walks.collect();
            for c in 0..self.channels {
                let plane = c * area..(c + 1) * area;
                let pairs = x[plane.clone()].iter().zip(&fake[plane.clone()]);
                let mut r: Vec<f64> = pairs.map(|(x, y)| f64::from(*y) - f64::from(*x)).collect();
                for lines in &walks {
                    walk(&mut r, lines, false);
                }
                let at = of_picture.start + plane.start;
                let mut d: Vec<f64> = up[at..at + area].iter().map(|v| f64::from(*v)).collect();
                for (i, d) in d.iter_mut().enumerate() {
                    let laid = f64::from(x[plane.start + i]) + r[i];
                    out.y[at + i] = laid.clamp(-1.0, 1.0);
                    *d *= f64::from(u8::from(laid.abs() <= 1.0));
                }
                for lines in walks.iter().rev() {
                    walk(&mut d, lines, true);
                }
                out.dfake[at..at + area].copy_from_slice(&d);
            }
        }
        out
    }

    /// Pixels of each row.
    fn rows(&self) -> Vec<Vec<usize>> {
        let row = |i: usize| (0..self.width).map(move |j| i * self.width + j);
        (0..self.height).map(|i| row(i).collect()).collect()
    }

    /// Pixels of each column.
    fn columns(&self) -> Vec<Vec<usize>> {
        let column = |j: usize| (0..self.height).map(move |i| i * self.width + j);
        (0..self.width).map(|j| column(j).collect()).collect()
    }

    /// `exp(-cost of the way from i to j)` over its sum by j, for every two pixels of a line.
    fn weights(&self, x: &[f32], fake: &[f32], line: &[usize], scale: f64) -> Vec<Vec<f64>> {
        let area = self.height * self.width;
        let side = self.height.max(self.width).to_f64();
        let difference = |picture: &[f32], a: usize, b: usize| {
            let planes = (0..self.channels).map(|c| c * area);
            let sum = planes.map(|c| (f64::from(picture[c + a]) - f64::from(picture[c + b])).abs());
            sum.sum::<f64>() / self.channels.to_f64()
        };
        let costs = line.windows(2).map(|two| {
            1.0 / (f64::from(self.filter.reach) * side)
                + f64::from(self.filter.edge) * difference(x, two[0], two[1])
                + f64::from(self.filter.edge_fake) * difference(fake, two[0], two[1])
        });
        let costs: Vec<f64> = costs.map(|cost| scale * cost).collect();
        let way = |i: usize, j: usize| costs[i.min(j)..i.max(j)].iter().sum::<f64>();
        (0..line.len())
            .map(|i| {
                let row: Vec<f64> = (0..line.len()).map(|j| (-way(i, j)).exp()).collect();
                let sum: f64 = row.iter().sum();
                row.iter().map(|w| w / sum).collect()
            })
            .collect()
    }
}

/// Averages along every line by its weights, or their transpose.
fn walk(r: &mut [f64], lines: &[(Vec<Vec<f64>>, Vec<usize>)], is_transposed: bool) {
    for (weights, line) in lines {
        let sum = |i: usize| {
            (0..line.len())
                .map(|j| {
                    let weight = if is_transposed {
                        weights[j][i]
                    } else {
                        weights[i][j]
                    };
                    weight * r[line[j]]
                })
                .sum::<f64>()
        };
        let sums: Vec<f64> = (0..line.len()).map(sum).collect();
        for (at, sum) in line.iter().zip(sums) {
            r[*at] = sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Stream};

    /// `(f(x + h) - f(x - h)) / 2h` of one entry.
    fn slope(x: &[f32], at: usize, f: impl Fn(&[f32]) -> f64) -> f64 {
        let moved = |by: f32| {
            let mut x = x.to_vec();
            x[at] += by;
            (f(&x), f64::from(x[at]))
        };
        let ((high, above), (low, below)) = (moved(1e-3), moved(-1e-3));
        (high - low) / (above - below)
    }

    fn numbers(step: u64, count: usize) -> Vec<f32> {
        Rng::new(5, Stream::TEST, step).normals(count)
    }

    fn weighted(y: &[f64], up: &[f32]) -> f64 {
        y.iter().zip(up).map(|(y, u)| y * f64::from(*u)).sum()
    }

    #[test]
    fn convolution_gradients_are_the_slopes_of_its_values() {
        let shape = Convolution {
            batch: 2,
            channels_in: 2,
            channels_out: 3,
            side: 4,
            kernel: 3,
        };
        let (x, w, b, up) = (
            numbers(0, 64),
            numbers(1, 54),
            numbers(2, 3),
            numbers(3, 96),
        );
        let out = shape.run(&x, &w, &b, &up);
        // A picture that is one pixel: its values are the kernel's, mirrored.
        let mut pixel = vec![0.0; 64];
        pixel[5] = 1.0;
        let seen = shape.run(&pixel, &w, &[0.0; 3], &up).y;
        for (i, j) in [(0, 0), (1, 1), (2, 0)] {
            let (u, v) = (2 - i, 2 - j);
            assert_eq!(seen[i * 4 + j], f64::from(w[u * 3 + v]));
        }
        for at in [0, 17, 40, 53] {
            let along = |f: &dyn Fn(&[f32]) -> Convolved, x: &[f32]| {
                slope(x, at, |x| weighted(&f(x).y, &up))
            };
            let dx = along(&|x| shape.run(x, &w, &b, &up), &x);
            let dw = along(&|w| shape.run(&x, w, &b, &up), &w);
            assert!((dx - out.dx[at]).abs() < 1e-9 && (dw - out.dweight[at]).abs() < 1e-9);
        }
        let db = slope(&b, 1, |b| weighted(&shape.run(&x, &w, b, &up).y, &up));
        assert!((db - out.dbias[1]).abs() < 1e-9);
    }

    #[test]
    fn normalisation_gradients_are_the_slopes_of_its_values() {
        let shape = Normalisation {
            batch: 2,
            channels: 4,
            area: 6,
            groups: 2,
            slope: 0.2,
            epsilon: 1e-5,
        };
        let (x, scale, shift, up) = (numbers(0, 48), numbers(1, 8), numbers(2, 8), numbers(3, 48));
        let out = shape.run(&x, &scale, &shift, &up);
        for at in [0, 13, 30, 47] {
            let dx = slope(&x, at, |x| {
                weighted(&shape.run(x, &scale, &shift, &up).y, &up)
            });
            assert!((dx - out.dx[at]).abs() < 1e-5, "{dx} {}", out.dx[at]);
        }
        for at in [0, 5, 7] {
            let ds = slope(&scale, at, |s| {
                weighted(&shape.run(&x, s, &shift, &up).y, &up)
            });
            let dt = slope(&shift, at, |s| {
                weighted(&shape.run(&x, &scale, s, &up).y, &up)
            });
            assert!((ds - out.dscale[at]).abs() < 1e-5 && (dt - out.dshift[at]).abs() < 1e-5);
        }
    }

    #[test]
    fn the_filters_gradient_is_the_slope_of_its_values_where_edges_of_the_fake_do_not_count() {
        let shape = EdgeAware {
            batch: 1,
            channels: 2,
            height: 3,
            width: 4,
            filter: Filter {
                reach: 0.5,
                edge: 3.0,
                edge_fake: 0.0,
            },
            scales: &[1.0, 1.0],
        };
        let [x, fake, up] = [0, 1, 2].map(|step| numbers(step, 24));
        let [x, fake] = [x, fake].map(|v| v.iter().map(|v| 0.2 * v).collect::<Vec<_>>());
        let out = shape.run(&x, &fake, &up);
        for at in [0, 7, 13, 23] {
            let slope = slope(&fake, at, |fake| weighted(&shape.run(&x, fake, &up).y, &up));
            assert!((slope - out.dfake[at]).abs() < 1e-6);
        }
        // A change that is the same everywhere stays what it is.
        let lighter: Vec<f32> = x.iter().map(|v| v + 0.25).collect();
        let same = shape.run(&x, &lighter, &up).y;
        assert!(
            same.iter()
                .zip(&lighter)
                .all(|(a, b)| (a - f64::from(*b)).abs() < 1e-6)
        );
    }
}
