//! At most four chains from both ends at once: lane `c` walks chain `c` from its first position up, lane
//! `c + 4` from the last down. Once they have met, each side passes what the other kept, and marginals follow
//! without a second walk: half the steps of `forward_backward.rs`, each x computed once, no lane idle.
//!
//! ```text
//! left         f_t = x_t D_t, D_t = f_(t-1) M / sum f_(t-1)
//! right        v_t = x_t D_t, D_t = M v_(t+1) / sum v_(t+1)
//! marginals    U_t = D_t * what the other side kept / zz
//! pairs        P_t[i][j] = f_(t-1)[i] / sum f_(t-1) * M[i][j] * v_t[j] / zz
//! ```

use wide::{f32x8, i32x8};

use super::lanes::{HALF, LANES, load, nothing_or_nan, sum_of, swapped, times_both};
use super::sums::{LogSum, PairSums, Sums, flush_terms};
use super::sweep::{Block, Sweep};
use crate::op::plan::{BLOCK, Evidence, Strides};

/// Steps whose results are put away at once: they stay in a core's nearest memory.
pub(super) const CHUNK: usize = 128;

/// A block on its way. Step `s` is position `s` of the left lanes and position `t - 1 - s` of the right ones.
pub(super) struct BothEnds<'a, const L: usize> {
    sweep: &'a Sweep<'a, L>,
    block: &'a Block,
    reach: Reach,
    /// Steps whose x are made: half the positions, the middle of an odd length included.
    rows: usize,
    /// Steps before the sides meet.
    met: usize,
    /// Scaled probabilities of emissions, `[rows, l]`.
    x: &'a mut [[f32x8; L]],
    /// Labels, `[rows]`.
    y: &'a mut [f32x8],
    /// Each side's vectors before they meet, `[met, l]`.
    kept: &'a mut [[f32x8; L]],
    /// M in the left lanes, its transpose in the right ones.
    m: &'a mut [[f32x8; L]],
    /// A chunk's steps: the vectors where pairs begin, those where they end, and the marginals.
    a: &'a mut [[f32x8; L]],
    v: &'a mut [[f32x8; L]],
    u: &'a mut [[f32x8; L]],
    /// Each side's vector at the last step, and one over its sum.
    state: [f32x8; L],
    inverse: f32x8,
    /// Values, side by side.
    total: [f64; LANES],
}

/// Which positions exist.
#[derive(Clone, Copy)]
struct Reach {
    t: usize,
    ragged: bool,
    lengths: f32x8,
    /// All ones in the left lanes.
    left: f32x8,
}

impl Reach {
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "the loop's core")]
    fn positions(&self, step: usize) -> f32x8 {
        let (up, down) = (step as f32, (self.t - 1 - step) as f32);
        f32x8::from([up, up, up, up, down, down, down, down])
    }

    /// The lanes whose position exists; `None` where all do.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "the loop's core")]
    fn exists(&self, step: usize) -> Option<f32x8> {
        self.ragged
            .then(|| self.positions(step).simd_lt(self.lengths))
    }

    /// The lanes whose step comes from a position that exists: on the right, the next one.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "the loop's core")]
    fn goes_on(&self, step: usize) -> Option<f32x8> {
        self.ragged
            .then(|| self.left | (self.positions(step) + f32x8::ONE).simd_lt(self.lengths))
    }
}

impl<'a, const L: usize> BothEnds<'a, L> {
    /// Adds the block's values and tables to `sums`, and its gradient to `chunk` unless that is empty.
    pub(super) fn run(
        sweep: &'a Sweep<'a, L>,
        block: &'a Block,
        memory: &'a mut [f32x8],
        pairs: &mut PairSums<'_, L>,
        chunk: &mut [f32],
        sums: &mut Sums,
    ) {
        let gradient = !chunk.is_empty();
        let t = sweep.lines.length;
        let total = sweep.gold_transitions(block, gradient, sums);
        let mut walk = Self::new(sweep, block, memory, total);
        walk.load();
        walk.meet();
        pairs.flush(&sweep.scores.m, sweep.inputs.dims[1], &mut sums.tables);
        if gradient {
            let mut from = walk.met;
            while from < t {
                let to = (from + CHUNK).min(t);
                walk.pass(from, to);
                walk.put_away(from, to, pairs, chunk, sums);
                from = to;
            }
        } else {
            walk.pass(walk.met, walk.met + 1);
        }
        for lane in 0..block.count {
            sums.values[block.groups[lane]] += walk.total[lane] + walk.total[HALF + lane];
        }
    }

    fn new(
        sweep: &'a Sweep<'a, L>,
        block: &'a Block,
        memory: &'a mut [f32x8],
        total: [f64; LANES],
    ) -> Self {
        let t = sweep.lines.length;
        let (rows, met) = (t.div_ceil(2), t / 2);
        let (x, memory) = memory.split_at_mut(rows * L);
        let (kept, memory) = memory.split_at_mut(met * L);
        let (m, memory) = memory.split_at_mut(L * L);
        let (a, memory) = memory.split_at_mut(CHUNK * L);
        let (v, memory) = memory.split_at_mut(CHUNK * L);
        let (u, y) = memory.split_at_mut(CHUNK * L);
        let [x, kept, m, a, v, u] = [x, kept, m, a, v, u].map(|rows| rows.as_chunks_mut::<L>().0);
        Self {
            sweep,
            block,
            reach: Reach {
                t,
                ragged: block.ragged,
                lengths: block.lengths_f(),
                left: bytemuck::cast([-1i32, -1, -1, -1, 0, 0, 0, 0]),
            },
            rows,
            met,
            x,
            y: &mut y[..rows],
            kept,
            m,
            a,
            v,
            u,
            state: [f32x8::ONE; L],
            inverse: f32x8::ONE,
            total,
        }
    }

    /// x of both halves, labels and transitions; what emissions add to the values.
    fn load(&mut self) {
        let (sweep, reach, met, rows) = (self.sweep, self.reach, self.met, self.rows);
        let l = sweep.inputs.dims[1];
        let odd = rows > met;
        let starts = sweep.starts(self.block, &sweep.lines.emission);
        let emissions = sweep.inputs.emissions;
        pack_both_ends::<L>(emissions, starts, &sweep.lines.emission, l, reach.t, self.x);
        if sweep.reads_labels() {
            let strides = &sweep.lines.label;
            let starts = sweep.starts(self.block, strides);
            for (step, y) in self.y.iter_mut().enumerate() {
                let labels: [i32; LANES] = core::array::from_fn(|lane| {
                    let position = if lane < HALF {
                        step
                    } else {
                        reach.t - 1 - step
                    };
                    sweep.inputs.labels[starts[lane] + position * strides.step]
                });
                *y = bytemuck::cast(labels);
            }
        }
        if sweep.plan.boundaries {
            self.add_boundaries(l);
        }
        let mut terms = f32x8::ZERO;
        for (step, row) in self.x.iter_mut().enumerate() {
            let mut term = sweep.scaled(row, bytemuck::cast(self.y[step]), l);
            if let Some(exists) = reach.exists(step) {
                for p in row.iter_mut() {
                    *p = exists.select(*p, f32x8::ZERO);
                }
                term = exists.select(term, f32x8::ZERO);
            }
            // The middle of an odd length is one position in two lanes.
            terms += if odd && step == met {
                reach.left.select(term, f32x8::ZERO)
            } else {
                term
            };
            if step % BLOCK == BLOCK - 1 || step + 1 == rows {
                flush_terms(&mut terms, &mut self.total);
            }
        }
        let m = &sweep.scores.m;
        for (i, row) in self.m.iter_mut().enumerate() {
            for (j, both) in row.iter_mut().enumerate() {
                let (up, down) = (m[i][j], m[j][i]);
                *both = f32x8::from([up, up, up, up, down, down, down, down]);
            }
        }
    }

    fn add_boundaries(&mut self, l: usize) {
        let scores = &self.sweep.scores;
        for (e, &score) in self.x[0][..l].iter_mut().zip(&scores.start) {
            *e += self.reach.left & f32x8::splat(score);
        }
        for lane in 0..LANES {
            let Some(last) = self.block.lengths[lane].checked_sub(1) else {
                continue;
            };
            let row = if lane < HALF {
                last
            } else {
                self.reach.t - 1 - last
            };
            if row < self.rows {
                for (e, &score) in self.x[row][..l].iter_mut().zip(&scores.end) {
                    e.as_mut_array()[lane] += score;
                }
            }
        }
    }

    /// Both sides to the middle, keeping their vectors.
    fn meet(&mut self) {
        let one = f32x8::ONE;
        let (reach, met) = (self.reach, self.met);
        let odd = self.rows > met;
        let mut logs = LogSum::new();
        let (mut state, mut inverse) = (self.state, self.inverse);
        for step in 0..met {
            let mut dot = [one; L];
            if step > 0 {
                dot = times_both::<L>(&state, self.m);
                if let Some(goes_on) = reach.goes_on(step) {
                    for dot in &mut dot {
                        *dot = goes_on.select(*dot, one);
                    }
                }
            }
            for k in 0..L {
                state[k] = (self.x[step][k] * inverse) * dot[k];
            }
            let mut z = sum_of(&state);
            if let Some(exists) = reach.exists(step) {
                z = exists.select(z, one);
            }
            // In an even length, the right side's last sum is part of what the two make where they meet.
            let split = !odd && step + 1 == met;
            logs.add(if split { reach.left.select(z, one) } else { z });
            if step % BLOCK == BLOCK - 1 || step + 1 == met {
                logs.take(&mut self.total);
            }
            inverse = one / z;
            self.kept[step] = state;
        }
        flush_terms(&mut nothing_or_nan(&state), &mut self.total);
        (self.state, self.inverse) = (state, inverse);
    }

    /// Steps `from..to`, past each other: marginals less the gold labels into `u`, factors of pairs into `a`
    /// and `v`. The first step past the middle adds the last logarithm to the values.
    fn pass(&mut self, from: usize, to: usize) {
        let (zero, one) = (f32x8::ZERO, f32x8::ONE);
        let (reach, rows, met) = (self.reach, self.rows, self.met);
        let (t, l) = (reach.t, self.sweep.inputs.dims[1]);
        let gold = self.sweep.plan.evidence == Evidence::Gold;
        let (x, y, kept, m) = (&*self.x, &*self.y, &*self.kept, &*self.m);
        let (a, v, u) = (&mut *self.a, &mut *self.v, &mut *self.u);
        let (mut state, mut inverse) = (self.state, self.inverse);
        for step in from..to {
            let (at, mirrored) = (step - from, t - 1 - step);
            let (exists, goes_on) = (reach.exists(step), reach.goes_on(step));
            let mut dot = times_both::<L>(&state, m);
            if let Some(goes_on) = goes_on {
                for dot in &mut dot {
                    *dot = goes_on.select(*dot, one);
                }
            }
            for k in 0..L {
                a[at][k] = state[k] * inverse;
                dot[k] *= inverse;
            }
            for k in 0..L {
                let x = if step < rows {
                    x[step][k]
                } else {
                    swapped(x[mirrored][k])
                };
                state[k] = x * dot[k];
            }
            let mut z = sum_of(&state);
            if let Some(exists) = exists {
                z = exists.select(z, one);
            }
            inverse = one / z;
            let other: [f32x8; L] = if mirrored == step {
                state.map(swapped)
            } else {
                kept[mirrored].map(swapped)
            };
            let mut joint = [zero; L];
            for k in 0..L {
                joint[k] = dot[k] * other[k];
            }
            let zz = sum_of(&joint);
            if step == met {
                let ln = zz.ln().to_array();
                for (lane, ln) in ln.iter().enumerate().take(self.block.count) {
                    if met < self.block.lengths[lane] {
                        self.total[lane] += f64::from(*ln);
                    }
                }
            }
            let part = one / zz;
            // Both sides would count the pair across the middle: the left does, and neither that into a
            // middle of its own.
            let mut counted = goes_on
                .zip(exists)
                .map(|(goes_on, exists)| reach.left.select(exists, goes_on));
            if step == met {
                let side = if rows > met { zero } else { reach.left };
                counted = Some(counted.map_or(side, |counted| counted & side));
            }
            for k in 0..L {
                let p = joint[k] * part;
                u[at][k] = exists.map_or(p, |exists| exists.select(p, zero));
                let c = other[k] * part;
                v[at][k] = counted.map_or(c, |counted| counted.select(c, zero));
            }
            if gold {
                let y = if step < rows {
                    y[step]
                } else {
                    swapped(y[mirrored])
                };
                take_gold(&mut u[at][..l], bytemuck::cast(y), exists);
            }
        }
        (self.state, self.inverse) = (state, inverse);
    }

    /// What steps `from..to` left in `a`, `v` and `u`: pair sums and boundary marginals to the tables,
    /// marginals to the gradient.
    fn put_away(
        &self,
        from: usize,
        to: usize,
        pairs: &mut PairSums<'_, L>,
        chunk: &mut [f32],
        sums: &mut Sums,
    ) {
        let (block, count) = (self.block, self.block.count);
        let (l, done) = (self.sweep.inputs.dims[1], to - from);
        let m = &self.sweep.scores.m;
        pairs.add(&self.a[..done], &self.v[..done], l);
        pairs.drain(l, |i, j, sum| {
            let (up, down) = (m[i][j], m[j][i]);
            for lane in 0..count {
                let table = &mut sums.tables[block.tables[lane]..];
                table[i * l + j] += f64::from(sum[lane] * up);
                table[j * l + i] += f64::from(sum[HALF + lane] * down);
            }
        });
        if self.sweep.plan.boundaries {
            self.boundary_marginals(from, to, sums);
        }
        let starts = self.sweep.starts(block, &self.sweep.lines.gradient);
        let starts = starts.map(|start| start - block.gradient_base);
        self.unpack(chunk, starts, from, &self.u[..done]);
    }

    fn boundary_marginals(&self, from: usize, to: usize, sums: &mut Sums) {
        let l = self.sweep.inputs.dims[1];
        for lane in 0..self.block.count {
            let Some(last) = self.block.lengths[lane].checked_sub(1) else {
                continue;
            };
            for (position, table) in [(0, l * l), (last, l * l + l)] {
                let (step, lane_of) = if position < self.met {
                    (self.reach.t - 1 - position, HALF + lane)
                } else {
                    (position, lane)
                };
                if (from..to).contains(&step) {
                    let table = &mut sums.tables[self.block.tables[lane] + table..][..l];
                    for (sum, u) in table.iter_mut().zip(&self.u[step - from]) {
                        *sum += f64::from(u.as_array()[lane_of]);
                    }
                }
            }
        }
    }

    /// Marginals of the steps from `from` on to where the gradient keeps them.
    fn unpack(&self, out: &mut [f32], starts: [usize; LANES], from: usize, u: &[[f32x8; L]]) {
        let (sweep, count) = (self.sweep, self.block.count);
        let l = sweep.inputs.dims[1];
        let strides = &sweep.lines.gradient;
        let scale = f32x8::splat(sweep.plan.scale);
        for (at, row) in u.iter().enumerate() {
            let step = from + at;
            let mirrored = self.reach.t - 1 - step;
            // The middle of an odd length stands in both sides' lanes.
            let sides = if mirrored == step { 1 } else { 2 };
            let lanes = (0..sides).flat_map(|side| (0..count).map(move |c| side * HALF + c));
            let place = |lane: usize| {
                let position = if lane < HALF { step } else { mirrored };
                starts[lane] + position * strides.step
            };
            if strides.label == 1 && l == L && L.is_multiple_of(LANES) {
                for (k, rows) in row.as_chunks::<LANES>().0.iter().enumerate() {
                    let rows = f32x8::transpose(*rows);
                    for lane in lanes.clone() {
                        let to = &mut out[place(lane) + k * LANES..][..LANES];
                        let value = if sweep.add {
                            rows[lane].mul_add(scale, load(to, 0))
                        } else {
                            rows[lane] * scale
                        };
                        to.copy_from_slice(value.as_array());
                    }
                }
            } else {
                for (k, value) in row[..l].iter().enumerate() {
                    let value = (*value * scale).to_array();
                    for lane in lanes.clone() {
                        let to = &mut out[place(lane) + k * strides.label];
                        *to = if sweep.add {
                            *to + value[lane]
                        } else {
                            value[lane]
                        };
                    }
                }
            }
        }
    }
}

/// Takes one from the gold label's marginal, in the lanes whose position exists.
#[inline(always)]
#[allow(clippy::inline_always, reason = "the loop's core")]
fn take_gold(u: &mut [f32x8], y: i32x8, exists: Option<f32x8>) {
    let one = exists.map_or(f32x8::ONE, |exists| exists & f32x8::ONE);
    for (k, u) in u.iter_mut().enumerate() {
        let is: f32x8 = bytemuck::cast(y.simd_eq(i32x8::splat(k as i32)));
        *u -= is & one;
    }
}

/// Emissions of four chains, from the first position up in the lower lanes and from the last down in the
/// upper ones.
fn pack_both_ends<const L: usize>(
    e: &[f32],
    starts: [usize; LANES],
    strides: &Strides,
    l: usize,
    t: usize,
    out: &mut [[f32x8; L]],
) {
    for (step, row) in out.iter_mut().enumerate() {
        let starts: [usize; LANES] = core::array::from_fn(|lane| {
            let position = if lane < HALF { step } else { t - 1 - step };
            starts[lane] + position * strides.step
        });
        if strides.label == 1 && l == L && L.is_multiple_of(LANES) {
            for (k, row) in row.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                *row = f32x8::transpose(starts.map(|start| load(e, start + k * LANES)));
            }
        } else {
            for (k, row) in row[..l].iter_mut().enumerate() {
                *row = f32x8::from(starts.map(|start| e[start + k * strides.label]));
            }
        }
    }
}
