//! How the built-in [`Eyes`] were learnt: only the test that writes them needs it.

use rayon::prelude::*;

use super::eyes::{Eyes, KEPT, WIDTH, product, unit};
use crate::rng::{Rng, Stream};

/// Directions of largest variance that they are chosen from.
const LARGEST: usize = 256;
/// Rounds of the search for those: the subspace is what counts, not its axes.
const ROUNDS: usize = 30;
/// Share of the mean variance within ideas that is added to all directions.
const RIDGE: f64 = 0.1;
/// Sweeps of the rotations, and the share of all that may stay off the diagonal.
const SWEEPS: usize = 30;
const OFF_DIAGONAL: f64 = 1e-10;

impl Eyes {
    /// Learns from styles that draw the same ideas: row `i` of each is of one idea.
    ///
    /// # Shapes
    /// - `styles`: `[ideas, WIDTH]` each
    ///
    /// # Source
    /// Fisher 1936, *The Use of Multiple Measurements in Taxonomic Problems*, behind the largest principal
    /// components.
    pub(super) fn fit(styles: &[Vec<f32>]) -> Self {
        let rows: Vec<&[f32]> = styles
            .iter()
            .flat_map(|seen| seen.chunks_exact(WIDTH))
            .collect();
        let mut mean = vec![0.0_f64; WIDTH];
        for row in &rows {
            for (mean, value) in mean.iter_mut().zip(*row) {
                *mean += f64::from(*value) / rows.len() as f64;
            }
        }
        let mean: Vec<f32> = mean.into_iter().map(|value| value as f32).collect();
        let apart: Vec<Vec<f32>> = rows
            .par_iter()
            .map(|row| row.iter().zip(&mean).map(|(v, m)| v - m).collect())
            .collect();
        let largest = largest_directions(&apart);
        let codes: Vec<Vec<f64>> = apart
            .par_iter()
            .map(|row| largest.iter().map(|axis| product(axis, row)).collect())
            .collect();
        // Within an idea: what foundries do differently, once each foundry's own mean is gone.
        let ideas = rows.len() / styles.len();
        let of_style: Vec<&[Vec<f64>]> = codes.chunks_exact(ideas).collect();
        let means: Vec<Vec<f64>> = of_style.iter().map(|codes| mean_of(codes)).collect();
        let within: Vec<Vec<f64>> = (0..ideas)
            .flat_map(|idea| {
                let own: Vec<Vec<f64>> = of_style
                    .iter()
                    .zip(&means)
                    .map(|(codes, mean)| minus(&codes[idea], mean))
                    .collect();
                let mean = mean_of(&own);
                own.into_iter()
                    .map(move |code| minus(&code, &mean))
                    .collect::<Vec<_>>()
            })
            .collect();
        let lower = cholesky(&scatter(&codes));
        let whitened: Vec<Vec<f64>> = within.iter().map(|code| solve(&lower, code)).collect();
        let mut spread = scatter(&whitened);
        let ridge = RIDGE * (0..LARGEST).map(|i| spread[i][i]).sum::<f64>() / LARGEST as f64;
        for (i, row) in spread.iter_mut().enumerate() {
            row[i] += ridge;
        }
        let (values, vectors) = eigen(spread);
        let mut order: Vec<usize> = (0..LARGEST).collect();
        order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
        let basis = order
            .iter()
            .take(KEPT)
            .flat_map(|&at| {
                let axis: Vec<f64> = vectors
                    .iter()
                    .map(|row| row[at] / values[at].sqrt())
                    .collect();
                let weights = solve_transposed(&lower, &axis);
                (0..WIDTH)
                    .map(|column| {
                        let parts = weights.iter().zip(&largest);
                        parts
                            .map(|(w, axis)| w * f64::from(axis[column]))
                            .sum::<f64>() as f32
                    })
                    .collect::<Vec<f32>>()
            })
            .collect();
        Self { mean, basis }
    }
}

fn minus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn mean_of(rows: &[Vec<f64>]) -> Vec<f64> {
    let mut mean = vec![0.0; rows[0].len()];
    for row in rows {
        for (mean, value) in mean.iter_mut().zip(row) {
            *mean += value / rows.len() as f64;
        }
    }
    mean
}

/// Mean of `row row^T`.
fn scatter(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let width = rows[0].len();
    let line = |i: usize| -> Vec<f64> {
        let mut line = vec![0.0; width];
        for row in rows {
            for (sum, value) in line.iter_mut().zip(row) {
                *sum += row[i] * value / rows.len() as f64;
            }
        }
        line
    };
    (0..width).into_par_iter().map(line).collect()
}

/// An orthonormal basis of the directions of largest variance: subspace iteration from a fixed start.
fn largest_directions(rows: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let scatter: Vec<Vec<f32>> = (0..WIDTH)
        .into_par_iter()
        .map(|i| {
            let mut line = vec![0.0_f32; WIDTH];
            for row in rows {
                let weight = row[i] / rows.len() as f32;
                for (sum, value) in line.iter_mut().zip(row) {
                    *sum += weight * value;
                }
            }
            line
        })
        .collect();
    let mut rng = Rng::new(0, Stream::WORDS.lane(64), 0);
    let mut axes: Vec<Vec<f32>> = (0..LARGEST)
        .map(|_| (0..WIDTH).map(|_| rng.uniform() - 0.5).collect())
        .collect();
    for _ in 0..ROUNDS {
        axes = axes
            .par_iter()
            .map(|axis| {
                scatter
                    .iter()
                    .map(|line| product(line, axis) as f32)
                    .collect()
            })
            .collect();
        // Gram and Schmidt: each axis without those before it.
        for at in 0..axes.len() {
            let (before, rest) = axes.split_at_mut(at);
            let axis = &mut rest[0];
            for other in before.iter() {
                let shared = product(other, axis) as f32;
                for (value, other) in axis.iter_mut().zip(other) {
                    *value -= shared * other;
                }
            }
            *axis = unit(std::mem::take(axis));
        }
    }
    axes
}

/// `lower lower^T = matrix`, which is positive definite.
fn cholesky(matrix: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n = matrix.len();
    let mut lower = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| lower[i][k] * lower[j][k]).sum();
            let rest = matrix[i][j] - known;
            lower[i][j] = if i == j {
                rest.max(1e-12).sqrt()
            } else {
                rest / lower[j][j]
            };
        }
    }
    lower
}

/// `x` with `lower x = y`.
fn solve(lower: &[Vec<f64>], y: &[f64]) -> Vec<f64> {
    let mut x = Vec::with_capacity(y.len());
    for (row, y) in lower.iter().zip(y) {
        let known: f64 = row.iter().zip(&x).map(|(a, x)| a * x).sum();
        x.push((y - known) / row[x.len()]);
    }
    x
}

/// `x` with `lower^T x = y`.
fn solve_transposed(lower: &[Vec<f64>], y: &[f64]) -> Vec<f64> {
    let n = y.len();
    let mut x = vec![0.0; n];
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|k| lower[k][i] * x[k]).sum();
        x[i] = (y[i] - known) / lower[i][i];
    }
    x
}

/// Eigenvalues and eigenvectors (columns) of a symmetric matrix, in no order.
///
/// # Source
/// Jacobi 1846, by cyclic rotations: Golub and Van Loan, *Matrix Computations*, 8.5.
fn eigen(mut matrix: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = matrix.len();
    let mut vectors: Vec<Vec<f64>> = (0..n)
        .map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect())
        .collect();
    let total: f64 = matrix.iter().flatten().map(|v| v * v).sum();
    for _ in 0..SWEEPS {
        let rows = matrix.iter().enumerate();
        let off: f64 = rows
            .flat_map(|(i, row)| {
                row.iter()
                    .enumerate()
                    .map(move |(j, v)| if i == j { 0.0 } else { v * v })
            })
            .sum();
        if off <= OFF_DIAGONAL * total {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if matrix[p][q] == 0.0 {
                    continue;
                }
                let theta = (matrix[q][q] - matrix[p][p]) / (2.0 * matrix[p][q]);
                let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                let sine = tangent * cosine;
                for row in matrix.iter_mut().chain(&mut vectors) {
                    let (a, b) = (row[p], row[q]);
                    row[p] = cosine * a - sine * b;
                    row[q] = sine * a + cosine * b;
                }
                let (head, tail) = matrix.split_at_mut(q);
                for (a, b) in head[p].iter_mut().zip(&mut tail[0]) {
                    (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
                }
            }
        }
    }
    ((0..n).map(|i| matrix[i][i]).collect(), vectors)
}

#[test]
fn eigenvectors_and_triangles_solve_what_they_should() {
    let matrix = vec![
        vec![4.0, 1.0, -0.5],
        vec![1.0, 3.0, 0.2],
        vec![-0.5, 0.2, 2.0],
    ];
    let (values, vectors) = eigen(matrix.clone());
    for (at, value) in values.iter().enumerate() {
        for (row, own) in matrix.iter().zip(&vectors) {
            let image: f64 = row.iter().zip(&vectors).map(|(a, v)| a * v[at]).sum();
            assert!(
                // What `OFF_DIAGONAL` leaves: its root, of the matrix's size.
                (image - value * own[at]).abs() < 5e-5,
                "{values:?} {vectors:?}"
            );
        }
    }
    let lower = cholesky(&matrix);
    let y = [1.0, -2.0, 3.0];
    // lower (lower^T x) = y is matrix x = y.
    let x = solve_transposed(&lower, &solve(&lower, &y));
    for (row, y) in matrix.iter().zip(y) {
        let image: f64 = row.iter().zip(&x).map(|(a, x)| a * x).sum();
        assert!((image - y).abs() < 1e-9, "{x:?}");
    }
}
