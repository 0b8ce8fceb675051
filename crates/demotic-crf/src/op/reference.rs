//! The CRF in plain tensor operations: differentiable, on any device, of any label count. The fallback where
//! no kernel runs, and what kernels are compared with. Slow: a handful of small operations for every position
//! of the chain.

use burn::tensor::{Bool, Device, Int, Tensor};

use super::plan::{BLOCK, LOG_FLOOR};
use crate::config::FORBIDDEN;

/// A set of equally long chains and their scores.
#[derive(Clone, Debug)]
pub(crate) struct Chains {
    /// `[n, t, l]`, logits.
    pub(crate) emissions: Tensor<3>,
    /// `[l, l]`, from label to label, logits; [`FORBIDDEN`] where not allowed.
    pub(crate) transitions: Tensor<2>,
    /// `[n]`: positions from there on do not exist. `None`: all do.
    pub(crate) lengths: Option<Tensor<1, Int>>,
}

/// Results of the forward recursion.
struct Scan {
    /// Normalised forward vectors, `t` times `[n, l]`.
    forward: Vec<Tensor<2>>,
    /// Log of each step's normaliser, `[n, t]`.
    log_scale: Tensor<2>,
}

impl Chains {
    /// Folds start and end scores `[l]` into the first and the last emission of every chain.
    pub(crate) fn with_boundaries(
        mut self,
        start: Option<Tensor<1>>,
        end: Option<Tensor<1>>,
    ) -> Self {
        let [n, t, l] = self.emissions.dims();
        let device = self.emissions.device();
        let position = Tensor::<1, Int>::arange(0..t as i64, &device).reshape([1, t]);
        if let Some(start) = start {
            let first = position.clone().equal_scalar(0).float().reshape([1, t, 1]);
            self.emissions = self.emissions + first * start.reshape([1, 1, l]);
        }
        if let Some(end) = end {
            let last = match &self.lengths {
                Some(lengths) => position
                    .expand([n, t])
                    .equal(lengths.clone().sub_scalar(1).reshape([n, 1]).expand([n, t]))
                    .float()
                    .reshape([n, t, 1]),
                None => position
                    .equal_scalar(t as i64 - 1)
                    .float()
                    .reshape([1, t, 1]),
            };
            self.emissions = self.emissions + last * end.reshape([1, 1, l]);
        }
        self
    }

    /// 1 where the position exists, `[n, t]`; `None` where all do.
    fn valid(&self) -> Option<Tensor<2>> {
        let [n, t, _] = self.emissions.dims();
        let device = self.emissions.device();
        self.lengths.clone().map(|lengths| {
            Tensor::<1, Int>::arange(0..t as i64, &device)
                .reshape([1, t])
                .expand([n, t])
                .lower(lengths.reshape([n, 1]).expand([n, t]))
                .float()
        })
    }

    /// The mask where positions exist.
    fn existing(&self, mask: Tensor<2, Bool>) -> Tensor<2, Bool> {
        match self.valid() {
            Some(valid) => mask.bool_and(valid.equal_scalar(1.0)),
            None => mask,
        }
    }

    /// The largest transition score, a constant to the gradient: it cancels.
    fn transition_top(&self) -> Tensor<1> {
        self.transitions.clone().detach().max()
    }

    /// `M[i][j] = exp(max(A[i][j] - max A, -41))`, exactly 0 where forbidden.
    fn transition_probs(&self) -> Tensor<2> {
        let [l, _] = self.transitions.dims();
        let top = self.transition_top().reshape([1, 1]).expand([l, l]);
        let allowed = self
            .transitions
            .clone()
            .detach()
            .greater_scalar(FORBIDDEN)
            .float();
        (self.transitions.clone() - top).clamp_min(LOG_FLOOR).exp() * allowed
    }

    /// `max_k e_t[k]` over the labels allowed, a constant to the gradient, `[n, t]`.
    fn emission_top(&self, allowed: Option<&Tensor<3>>) -> Tensor<2> {
        let [n, t, _] = self.emissions.dims();
        let mut emissions = self.emissions.clone().detach();
        if let Some(allowed) = allowed {
            emissions = emissions.mask_fill(allowed.clone().equal_scalar(0.0), f32::MIN);
        }
        emissions.max_dim(2).reshape([n, t])
    }

    /// `x_t[k] = exp(max(e_t[k] - top_t, -41))`, 0 for labels ruled out, `[n, t, l]`.
    fn emission_probs(&self, top: &Tensor<2>, allowed: Option<&Tensor<3>>) -> Tensor<3> {
        let [n, t, _] = self.emissions.dims();
        let probs = (self.emissions.clone() - top.clone().reshape([n, t, 1])).clamp_min(LOG_FLOOR);
        match allowed {
            // Ruled-out labels may lie far above the top: without the cap 0 * inf would be NaN.
            Some(allowed) => probs.clamp_max(0.0).exp() * allowed.clone(),
            None => probs.exp(),
        }
    }

    /// The forward recursion in scaled probabilities.
    fn scan(&self, x: &Tensor<3>) -> Scan {
        let [n, t, l] = x.dims();
        let m = self.transition_probs();
        let valid = self.valid();
        let mut forward: Vec<Tensor<2>> = Vec::with_capacity(t);
        let mut log_scale = Vec::with_capacity(t);
        for step in 0..t {
            let x_t = x.clone().narrow(1, step, 1).reshape([n, l]);
            let q = match forward.last() {
                Some(w) => w.clone().matmul(m.clone()) * x_t,
                None => x_t,
            };
            let (q, exists) = match &valid {
                Some(valid) => {
                    // Past the end a uniform vector stands in: it is never read, and keeps the logarithm
                    // finite.
                    let exists = valid.clone().narrow(1, step, 1); // [n, 1]
                    let missing = exists.clone().neg().add_scalar(1.0);
                    (q * exists.clone() + missing, Some(exists))
                }
                None => (q, None),
            };
            let z = q.clone().sum_dim(1);
            forward.push(q / z.clone());
            let log_z = z.log();
            log_scale.push(match exists {
                Some(exists) => log_z * exists,
                None => log_z,
            });
        }
        Scan {
            forward,
            log_scale: Tensor::cat(log_scale, 1),
        }
    }

    /// `-log p(labels)` of each chain, `[n]`; labels `[n, t]` all known.
    ///
    /// Sums `(m_t - e_t[y_t]) + (am - A[y_(t-1)][y_t]) + log z_t`: never a difference of two large totals.
    pub(crate) fn negative_log_likelihood(&self, labels: Tensor<2, Int>) -> Tensor<1> {
        let [n, t, l] = self.emissions.dims();
        let top = self.emission_top(None);
        let scan = self.scan(&self.emission_probs(&top, None));
        // Labels past a chain's end may be anything: brought into range, their terms are masked below.
        let in_range = labels.clone().clamp(0, l as i64 - 1);
        let wrong = self.existing(labels.not_equal(in_range.clone()));
        let labels = in_range;
        let gold = self
            .emissions
            .clone()
            .gather(2, labels.clone().reshape([n, t, 1]))
            .reshape([n, t]);
        // A label out of range: no value for the chain, and no part in the gradient.
        let mut gap = (top - gold).mask_fill(wrong.clone(), f32::NAN);
        if t > 1 {
            let pair = labels.clone().narrow(1, 0, t - 1).mul_scalar(l as i64)
                + labels.narrow(1, 1, t - 1);
            let score = self
                .transitions
                .clone()
                .reshape([l * l])
                .select(0, pair.reshape([n * (t - 1)]));
            let step = self.transition_top().reshape([1, 1]) - score.reshape([n, t - 1]);
            let wrong = wrong
                .clone()
                .narrow(1, 0, t - 1)
                .bool_or(wrong.narrow(1, 1, t - 1));
            let step = step.mask_fill(wrong, 0.0);
            gap = gap + Tensor::cat(vec![Tensor::zeros([n, 1], &step.device()), step], 1);
        }
        if let Some(valid) = self.valid() {
            gap = gap * valid;
        }
        blocked_sum(gap + scan.log_scale)
    }

    /// `-log p(known labels)` of each chain, `[n]`, with labels equal to `unknown` summed over.
    pub(crate) fn negative_log_likelihood_partial(
        &self,
        labels: Tensor<2, Int>,
        unknown: i32,
    ) -> Tensor<1> {
        let [n, t, l] = self.emissions.dims();
        let device = self.emissions.device();
        let labels = labels.reshape([n, t, 1]).expand([n, t, l]);
        let label = Tensor::<1, Int>::arange(0..l as i64, &device)
            .reshape([1, 1, l])
            .expand([n, t, l]);
        let allowed = labels
            .clone()
            .equal(label)
            .bool_or(labels.equal_scalar(unknown))
            .float();
        let top = self.emission_top(None);
        let top_allowed = self.emission_top(Some(&allowed));
        let free = self.scan(&self.emission_probs(&top, None)).log_scale;
        let held = self
            .scan(&self.emission_probs(&top_allowed, Some(&allowed)))
            .log_scale;
        let impossible = allowed.sum_dim(2).reshape([n, t]).equal_scalar(0.0);
        let mut gap = top - top_allowed;
        if let Some(valid) = self.valid() {
            gap = gap * valid;
        }
        let gap = gap.mask_fill(self.existing(impossible), f32::NAN);
        blocked_sum(gap + free - held)
    }

    /// `log Z` of each chain, `[n]`, in nats.
    pub(crate) fn log_partition(&self) -> Tensor<1> {
        let [_, t, _] = self.emissions.dims();
        let top = self.emission_top(None);
        let scan = self.scan(&self.emission_probs(&top, None));
        match self.valid() {
            Some(valid) => {
                let later = valid.clone().sum_dim(1).sub_scalar(1.0).clamp_min(0.0);
                blocked_sum(top * valid + scan.log_scale)
                    + (later * self.transition_top().reshape([1, 1])).squeeze_dim::<1>(1)
            }
            None => {
                blocked_sum(top + scan.log_scale) + self.transition_top().mul_scalar(t as f32 - 1.0)
            }
        }
    }

    /// Marginals of every position `[n, t, l]` and of every neighbouring pair `[n, t - 1, l, l]`; zero past a
    /// chain's end.
    pub(crate) fn marginals(&self) -> (Tensor<3>, Tensor<4>) {
        let [n, t, l] = self.emissions.dims();
        let device = self.emissions.device();
        let top = self.emission_top(None);
        let x = self.emission_probs(&top, None);
        let forward = self.scan(&x).forward;
        let m = self.transition_probs();
        let valid = self.valid();
        let mut beta = Tensor::<2>::ones([n, l], &device);
        let mut unary = Vec::with_capacity(t);
        let mut pair = Vec::with_capacity(t);
        for step in (0..t).rev() {
            let w = forward[step].clone();
            if step + 1 == t {
                unary.push(normalised(w));
                continue;
            }
            let v = x.clone().narrow(1, step + 1, 1).reshape([n, l]) * beta;
            let mut n_t = v.clone().matmul(m.clone().transpose());
            let mut joint =
                w.clone().reshape([n, l, 1]) * m.clone().reshape([1, l, l]) * v.reshape([n, 1, l]);
            let zz = (w.clone() * n_t.clone()).sum_dim(1);
            if let Some(valid) = &valid {
                let next = valid.clone().narrow(1, step + 1, 1); // [n, 1]
                n_t = n_t * next.clone() + next.clone().neg().add_scalar(1.0);
                joint = joint * next.reshape([n, 1, 1]);
            }
            pair.push((joint / zz.reshape([n, 1, 1])).reshape([n, 1, l, l]));
            unary.push(normalised(w * n_t.clone()));
            beta = normalised(n_t);
        }
        unary.reverse();
        pair.reverse();
        let mut unary = Tensor::stack::<3>(unary, 1);
        if let Some(valid) = valid {
            unary = unary * valid.reshape([n, t, 1]);
        }
        let pair = if pair.is_empty() {
            Tensor::empty([n, 0, l, l], &device)
        } else {
            Tensor::cat(pair, 1)
        };
        (unary, pair)
    }

    /// Entropy of the labelling of each chain, `[n]`, in nats.
    pub(crate) fn entropy(&self) -> Tensor<1> {
        let [n, t, l] = self.emissions.dims();
        let (unary, pair) = self.marginals();
        // p log p with 0 log 0 = 0; the floor keeps the logarithm's gradient finite there.
        let terms = |p: Tensor<3>| p.clone() * p.clamp_min(f32::MIN_POSITIVE).log();
        let single = terms(unary).sum_dim(2).reshape([n, t]);
        let first = single.clone().narrow(1, 0, 1).reshape([n]);
        if t == 1 {
            return first.neg();
        }
        let joint = terms(pair.reshape([n, t - 1, l * l]))
            .sum_dim(2)
            .reshape([n, t - 1]);
        let mut conditional = joint - single.narrow(1, 0, t - 1);
        if let Some(valid) = self.valid() {
            // A pair exists where its second position does.
            conditional = conditional * valid.narrow(1, 1, t - 1);
        }
        (first + blocked_sum(conditional)).neg()
    }

    /// A labelling of each chain, `[n, t]`, sampled with these uniforms in `[0, 1)`, `[n, t]`.
    pub(crate) fn sample(&self, uniforms: Tensor<2>) -> Tensor<2, Int> {
        let [n, t, l] = self.emissions.dims();
        let top = self.emission_top(None);
        let forward = self.scan(&self.emission_probs(&top, None)).forward;
        let m = self.transition_probs().detach();
        let valid = self.valid();
        let mut path: Vec<Tensor<2, Int>> = Vec::with_capacity(t);
        for step in (0..t).rev() {
            let mut weights = forward[step].clone().detach();
            if let Some(next) = path.last() {
                // M[i][y_(t+1)] for every i: rows of the transpose.
                let mut to_next = m.clone().transpose().select(0, next.clone().reshape([n])); // [n, l]
                if let Some(valid) = &valid {
                    let next = valid.clone().narrow(1, step + 1, 1); // [n, 1]
                    to_next = to_next * next.clone() + next.neg().add_scalar(1.0);
                }
                weights = weights * to_next;
            }
            let cumulative = weights.cumsum(1);
            let threshold =
                uniforms.clone().narrow(1, step, 1) * cumulative.clone().narrow(1, l - 1, 1);
            let label = cumulative
                .lower_equal(threshold.expand([n, l]))
                .int()
                .sum_dim(1);
            path.push(label.clamp(0, l as i64 - 1)); // [n, 1]
        }
        path.reverse();
        let path = Tensor::cat(path, 1);
        match valid {
            Some(valid) => path * valid.int(),
            None => path,
        }
    }

    /// The best path of each chain `[n, t]` (0 past the end) and its score `[n]`; equal scores go to the
    /// lowest label.
    pub(crate) fn viterbi(&self) -> (Tensor<2, Int>, Tensor<1>) {
        let [n, t, l] = self.emissions.dims();
        let device = self.emissions.device();
        let valid = self.valid();
        let mut best = Tensor::<2>::zeros([n, l], &device);
        let mut tops = Vec::with_capacity(t);
        let mut from: Vec<Tensor<2, Int>> = Vec::with_capacity(t);
        for step in 0..t {
            let e = self.emissions.clone().narrow(1, step, 1).reshape([n, l]);
            let (score, back) = if step == 0 {
                (e, Tensor::zeros([n, l], &device))
            } else {
                let candidates =
                    best.clone().reshape([n, l, 1]) + self.transitions.clone().reshape([1, l, l]);
                let top = candidates.clone().max_dim(1);
                (
                    top.clone().reshape([n, l]) + e,
                    first_equal(candidates, top),
                )
            };
            let (score, back) = match &valid {
                Some(valid) => {
                    let gone = valid
                        .clone()
                        .narrow(1, step, 1)
                        .equal_scalar(0.0)
                        .expand([n, l]);
                    // Past the end: the score stands still and each label follows itself.
                    let stay = Tensor::<1, Int>::arange(0..l as i64, &device)
                        .reshape([1, l])
                        .expand([n, l]);
                    (
                        score.mask_where(gone.clone(), best),
                        back.mask_where(gone, stay),
                    )
                }
                None => (score, back),
            };
            best = score;
            from.push(back);
            // Relative to the maximum, the maxima summed apart: a long chain decides as finely as a short
            // one.
            let top = best.clone().max_dim(1); // [n, 1]
            best = best - top.clone();
            tops.push(top);
        }
        let top = best.clone().max_dim(1);
        let mut label = first_equal(best.reshape([n, l, 1]), top.clone().reshape([n, 1, 1])); // [n, 1]
        let mut path = Vec::with_capacity(t);
        for back in from.into_iter().rev() {
            path.push(label.clone());
            label = back.gather(1, label);
        }
        path.reverse();
        let mut path = Tensor::cat(path, 1);
        if let Some(valid) = valid {
            path = path * valid.int();
        }
        (path, blocked_sum(Tensor::cat(tops, 1)))
    }
}

/// The lowest index along axis 1 of `[n, i, j]` whose value is the top one `[n, 1, j]`: every implementation
/// chooses the same among equals.
fn first_equal(values: Tensor<3>, top: Tensor<3>) -> Tensor<2, Int> {
    let [n, i, j] = values.dims();
    let index = Tensor::<1, Int>::arange(0..i as i64, &values.device())
        .reshape([1, i, 1])
        .expand([n, i, j]);
    let below = values.lower(top.expand([n, i, j]));
    index
        .mask_fill(below, i as i64)
        .min_dim(1)
        .reshape([n, j])
        .clamp(0, i as i64 - 1)
}

/// Rows of `[n, l]` divided by their sums.
fn normalised(rows: Tensor<2>) -> Tensor<2> {
    let sum = rows.clone().sum_dim(1);
    rows / sum
}

/// Row sums of `[n, t]` in blocks of [`BLOCK`], then over the blocks: a long f32 sum that does not drift.
pub(crate) fn blocked_sum(terms: Tensor<2>) -> Tensor<1> {
    let [n, t] = terms.dims();
    let blocks = t.div_ceil(BLOCK);
    let missing = blocks * BLOCK - t;
    let device: Device = terms.device();
    let terms = if missing > 0 {
        Tensor::cat(vec![terms, Tensor::zeros([n, missing], &device)], 1)
    } else {
        terms
    };
    terms
        .reshape([n, blocks, BLOCK])
        .sum_dim(2)
        .sum_dim(1)
        .reshape([n])
}
