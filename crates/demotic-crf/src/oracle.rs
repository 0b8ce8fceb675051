//! The CRF in float64, written from the formula in log space with plain loops. Shares no code with the rest
//! of the crate; tests and `demotic doctor` compare every implementation with it.

#![allow(clippy::needless_range_loop, reason = "the indices are the formula's")]

use crate::config::FORBIDDEN;
use crate::number::Whole;

/// One chain: `e[t * l + k]`, `a[i * l + j]`; start and end scores are folded into `e` by the caller.
pub struct Chain {
    /// Number of labels.
    pub labels: usize,
    /// Emissions.
    pub e: Vec<f64>,
    /// Transitions.
    pub a: Vec<f64>,
}

/// The posterior of a chain.
pub struct Posterior {
    /// Log-partition.
    pub log_z: f64,
    /// Marginals of labels, `u[t * l + k]`.
    pub unary: Vec<f64>,
    /// Marginals of neighbours, `p[t * l * l + i * l + j]`, `t` from 0 to length - 2.
    pub pair: Vec<f64>,
}

fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let top = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY {
        return top;
    }
    top + values.map(|v| (v - top).exp()).sum::<f64>().ln()
}

impl Chain {
    /// From single precision; a transition at [`FORBIDDEN`] is impossible.
    pub fn new(labels: usize, e: &[f32], a: &[f32]) -> Self {
        let transition = |&a: &f32| {
            if a <= FORBIDDEN {
                f64::NEG_INFINITY
            } else {
                f64::from(a)
            }
        };
        Self {
            labels,
            e: e.iter().map(|&e| f64::from(e)).collect(),
            a: a.iter().map(transition).collect(),
        }
    }

    /// Positions.
    pub fn length(&self) -> usize {
        self.e.len() / self.labels
    }

    /// Emissions outside `allowed` become impossible.
    #[must_use]
    pub fn held(&self, y: &[i32], unknown: i32) -> Self {
        let l = self.labels;
        let e = self.e.iter().enumerate().map(|(k, &e)| {
            let label = y[k / l];
            if label == unknown || label == number(k % l) {
                e
            } else {
                f64::NEG_INFINITY
            }
        });
        Self {
            labels: l,
            e: e.collect(),
            a: self.a.clone(),
        }
    }

    /// Forward and backward sums.
    pub fn posterior(&self) -> Posterior {
        let (l, t) = (self.labels, self.length());
        if t == 0 {
            return Posterior {
                log_z: 0.0,
                unary: vec![],
                pair: vec![],
            };
        }
        let mut alpha = vec![0.0; t * l];
        let mut beta = vec![0.0; t * l];
        for s in 0..t {
            for j in 0..l {
                let before = if s == 0 {
                    0.0
                } else {
                    log_sum_exp((0..l).map(|i| alpha[(s - 1) * l + i] + self.a[i * l + j]))
                };
                alpha[s * l + j] = self.e[s * l + j] + before;
            }
        }
        for s in (0..t - 1).rev() {
            for i in 0..l {
                beta[s * l + i] =
                    log_sum_exp((0..l).map(|j| {
                        self.a[i * l + j] + self.e[(s + 1) * l + j] + beta[(s + 1) * l + j]
                    }));
            }
        }
        let log_z = log_sum_exp((0..l).map(|k| alpha[(t - 1) * l + k]));
        let unary = (0..t * l)
            .map(|k| (alpha[k] + beta[k] - log_z).exp())
            .collect();
        let mut pair = vec![0.0; (t - 1) * l * l];
        for s in 0..t - 1 {
            for i in 0..l {
                for j in 0..l {
                    let score = alpha[s * l + i]
                        + self.a[i * l + j]
                        + self.e[(s + 1) * l + j]
                        + beta[(s + 1) * l + j];
                    pair[(s * l + i) * l + j] = (score - log_z).exp();
                }
            }
        }
        Posterior { log_z, unary, pair }
    }

    /// The score of one labelling.
    pub fn score(&self, y: &[i32]) -> f64 {
        let l = self.labels;
        let emissions: f64 = y
            .iter()
            .enumerate()
            .map(|(s, &k)| self.e[s * l + k.to_usize()])
            .sum();
        let transitions: f64 = y
            .windows(2)
            .map(|p| self.a[p[0].to_usize() * l + p[1].to_usize()])
            .sum();
        emissions + transitions
    }

    /// `-log p(y)`; positions equal to `unknown` are summed over.
    pub fn nll(&self, y: &[i32], unknown: i32) -> f64 {
        self.posterior().log_z - self.held(y, unknown).posterior().log_z
    }

    /// Gradients of [`Self::nll`] by emission and by transition.
    pub fn gradient(&self, y: &[i32], unknown: i32) -> (Vec<f64>, Vec<f64>) {
        let (free, held) = (self.posterior(), self.held(y, unknown).posterior());
        let e = free
            .unary
            .iter()
            .zip(&held.unary)
            .map(|(f, h)| f - h)
            .collect();
        let l2 = self.labels * self.labels;
        let mut a = vec![0.0; l2];
        for (k, (f, h)) in free.pair.iter().zip(&held.pair).enumerate() {
            a[k % l2] += f - h;
        }
        (e, a)
    }

    /// The best path, ties to the lowest label, and its score.
    pub fn viterbi(&self) -> (Vec<i32>, f64) {
        let (l, t) = (self.labels, self.length());
        if t == 0 {
            return (vec![], 0.0);
        }
        let first_best = |values: &[f64]| {
            let mut best = 0;
            for (k, v) in values.iter().enumerate() {
                if *v > values[best] {
                    best = k;
                }
            }
            best
        };
        let mut score: Vec<f64> = self.e[..l].to_vec();
        let mut from = vec![];
        for s in 1..t {
            let mut next = vec![0.0; l];
            for j in 0..l {
                let candidates: Vec<f64> = (0..l).map(|i| score[i] + self.a[i * l + j]).collect();
                let best = first_best(&candidates);
                from.push(best);
                next[j] = candidates[best] + self.e[s * l + j];
            }
            score = next;
        }
        let mut label = first_best(&score);
        let top = score[label];
        let mut path = vec![number(label)];
        for s in (1..t).rev() {
            label = from[(s - 1) * l + label];
            path.push(number(label));
        }
        path.reverse();
        (path, top)
    }
}

/// A label as tensors hold it.
fn number(label: usize) -> i32 {
    i32::try_from(label).expect("labels are few")
}

#[cfg(test)]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the numbers of a test are small"
)]
mod tests {
    use super::Chain;
    use crate::cases::Numbers;

    /// Every path of a small chain, one by one.
    #[test]
    fn oracle_equals_the_sum_over_all_paths() {
        let (l, t) = (3usize, 5usize);
        let chain = Chain::new(
            l,
            &Numbers::new(1, 0).normals(t * l, 2.0),
            &Numbers::new(1, 1).normals(l * l, 1.0),
        );
        let paths: Vec<Vec<i32>> = (0..l.pow(t as u32))
            .map(|code| {
                (0..t)
                    .map(|s| (code / l.pow(s as u32) % l) as i32)
                    .collect()
            })
            .collect();
        let z: f64 = paths.iter().map(|y| chain.score(y).exp()).sum();
        let posterior = chain.posterior();
        assert!((posterior.log_z - z.ln()).abs() < 1e-12);
        for s in 0..t {
            for k in 0..l {
                let p: f64 = paths
                    .iter()
                    .filter(|y| y[s] == k as i32)
                    .map(|y| chain.score(y).exp() / z)
                    .sum();
                assert!((posterior.unary[s * l + k] - p).abs() < 1e-12);
            }
        }
        let best = paths
            .iter()
            .max_by(|x, y| chain.score(x).total_cmp(&chain.score(y)))
            .expect("there are paths");
        assert_eq!(&chain.viterbi().0, best);
        let known = [0, -1, 2, -1, 1];
        let held: f64 = paths
            .iter()
            .filter(|y| y.iter().zip(known).all(|(&a, b)| b < 0 || a == b))
            .map(|y| chain.score(y).exp())
            .sum();
        assert!((chain.nll(&known, -1) + (held / z).ln()).abs() < 1e-12);
    }
}
