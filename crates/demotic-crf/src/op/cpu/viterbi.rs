//! The best labelling of chains on the CPU, eight chains at a time.

use rayon::prelude::*;
use wide::f32x8;

use super::lanes::LANES;
use super::sweep::Inputs;
use crate::op::plan::{Lines, Plan};

/// Best paths `[chains, t]` and their scores, of rows; evidence and group do not count.
pub(crate) fn viterbi(inputs: &Inputs<'_>, plan: &Plan) -> (Vec<i32>, Vec<f32>) {
    let [b, l, h, w] = inputs.dims;
    let (transitions, boundary) = inputs.potentials.split_at(l * l);
    let search = Search {
        inputs,
        plan,
        lines: plan.lines(true, inputs.dims, inputs.emission_strides, [0; 3]),
        transitions,
        boundary,
    };
    let mut paths = vec![0i32; b * h * w];
    let mut scores = vec![0.0f32; b * h];
    let blocks = paths
        .par_chunks_mut(LANES * w)
        .zip(scores.par_chunks_mut(LANES));
    blocks
        .enumerate()
        .for_each(|(index, (paths, scores))| search.block(index * LANES, paths, scores));
    (paths, scores)
}

/// What every block of chains reads.
struct Search<'a> {
    inputs: &'a Inputs<'a>,
    plan: &'a Plan,
    lines: Lines,
    /// `[l, l]`.
    transitions: &'a [f32],
    /// Start scores `[l]`, then end scores; empty without boundaries.
    boundary: &'a [f32],
}

/// What the way forward leaves.
struct Forward {
    /// Scores of the best paths by last label, relative to the best of them.
    d: Vec<f32x8>,
    /// The label before each label: `[t, l]`, lane by lane.
    choices: Vec<[u8; LANES]>,
    /// Score of each lane's best path.
    total: [f64; LANES],
}

impl Search<'_> {
    /// Paths and scores of up to eight chains from `first` on; lanes beyond repeat the first.
    fn block(&self, first: usize, paths: &mut [i32], scores: &mut [f32]) {
        let [_, l, _, w] = self.inputs.dims;
        let count = scores.len();
        let chain: [usize; LANES] =
            core::array::from_fn(|lane| first + if lane < count { lane } else { 0 });
        let lengths: [usize; LANES] = chain.map(|chain| {
            if self.plan.ragged {
                (self.inputs.lengths[chain].max(0) as usize).min(w)
            } else {
                w
            }
        });
        let Forward { d, choices, total } = self.forward(chain, lengths);
        for lane in 0..count {
            scores[lane] = total[lane] as f32;
            let mut label = 0;
            for k in 1..l {
                if d[k].as_array()[lane] > d[label].as_array()[lane] {
                    label = k;
                }
            }
            for step in (0..lengths[lane]).rev() {
                paths[lane * w + step] = label as i32;
                label = usize::from(choices[step * l + label][lane]);
            }
        }
    }

    fn forward(&self, chain: [usize; LANES], lengths: [usize; LANES]) -> Forward {
        let [_, l, _, w] = self.inputs.dims;
        let (emission, a) = (&self.lines.emission, self.transitions);
        let starts = chain.map(|chain| emission.start(self.lines.inner, chain));
        // d relative to its maximum, the maxima summed apart: a long chain decides as finely as a short one.
        let mut d = vec![f32x8::ZERO; l];
        let mut next = d.clone();
        let mut choices = vec![[0u8; LANES]; l * w];
        let mut total = [0.0f64; LANES];
        for step in 0..w {
            for (j, next) in next.iter_mut().enumerate() {
                let mut best = f32x8::ZERO;
                if step > 0 {
                    best = d[0] + f32x8::splat(a[j]);
                    let mut choice = f32x8::ZERO;
                    for (i, &d) in d.iter().enumerate().skip(1) {
                        let candidate = d + f32x8::splat(a[i * l + j]);
                        let better = best.simd_lt(candidate);
                        best = better.select(candidate, best);
                        choice = better.select(f32x8::splat(i as f32), choice);
                    }
                    choices[step * l + j] = choice.to_array().map(|label| label as u8);
                } else if self.plan.boundaries {
                    best = f32x8::splat(self.boundary[j]);
                }
                let at = step * emission.step + j * emission.label;
                *next = best + f32x8::from(starts.map(|start| self.inputs.emissions[start + at]));
                if self.plan.boundaries && lengths.contains(&(step + 1)) {
                    *next += f32x8::from(lengths.map(|length| {
                        if length == step + 1 {
                            self.boundary[l + j]
                        } else {
                            0.0
                        }
                    }));
                }
            }
            let exists =
                f32x8::splat(step as f32).simd_lt(f32x8::from(lengths.map(|length| length as f32)));
            let top = next
                .iter()
                .skip(1)
                .fold(next[0], |top, &next| top.fast_max(next));
            for (lane, total) in total.iter_mut().enumerate() {
                if step < lengths[lane] {
                    *total += f64::from(top.as_array()[lane]);
                }
            }
            for (d, next) in d.iter_mut().zip(&next) {
                *d = exists.select(*next - top, *d);
            }
        }
        Forward { d, choices, total }
    }
}
