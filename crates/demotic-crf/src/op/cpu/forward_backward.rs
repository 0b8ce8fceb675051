//! Eight chains at a time, one per lane, each from its first position to its last and back.

use wide::{f32x8, i32x8};

use super::lanes::{LANES, nothing_or_nan, pack, sum_of, times_left, times_right, unpack};
use super::sums::{LogSum, PairSums, Sums, flush_terms};
use super::sweep::{Block, Sweep};
use crate::op::plan::{BLOCK, Evidence};

/// Positions whose pair sums are added in f32 before they join the table in f64.
const FLUSH: usize = 256;

impl<const L: usize> Sweep<'_, L> {
    /// Adds the block's values and tables to `sums` and `pairs`, and its gradient to `chunk` unless that is
    /// empty.
    pub(super) fn forward_backward(
        &self,
        block: &Block,
        memory: &mut [f32x8],
        pairs: &mut PairSums<'_, L>,
        chunk: &mut [f32],
        sums: &mut Sums,
    ) {
        let l = self.inputs.dims[1];
        let t = self.lines.length;
        let count = block.count;
        let gradient = !chunk.is_empty();
        let (x, memory) = memory.split_at_mut(t * L);
        let (w, memory) = memory.split_at_mut(t * L);
        let (u, y) = memory.split_at_mut(t * L);
        let [x, w, u] = [x, w, u].map(|rows| rows.as_chunks_mut::<L>().0);
        let y = y[..t].as_chunks_mut::<1>().0;

        self.load(block, x, y);
        let steps = self.gold_transitions(block, gradient, sums);
        let value = self.forward(x, w, y, l, block, gradient);
        for lane in 0..count {
            sums.values[block.groups[lane]] += value[lane] + steps[lane];
        }
        if !gradient {
            return;
        }
        self.backward(x, w, u, block);
        self.pair_sums(w, x, l, block, pairs, &mut sums.tables);
        if self.plan.evidence == Evidence::Gold {
            Self::take_gold(u, y, l, block);
        }
        if self.plan.boundaries {
            for lane in 0..count {
                if let Some(last) = block.lengths[lane].checked_sub(1) {
                    let table = &mut sums.tables[block.tables[lane] + l * l..][..2 * l];
                    for k in 0..l {
                        table[k] += f64::from(u[0][k].as_array()[lane]);
                        table[l + k] += f64::from(u[last][k].as_array()[lane]);
                    }
                }
            }
        }
        let starts = self.starts(block, &self.lines.gradient);
        let starts = starts.map(|start| start - block.gradient_base);
        unpack::<L>(
            chunk,
            starts,
            count,
            &self.lines.gradient,
            l,
            u,
            self.plan.scale,
            self.add,
        );
    }

    /// Emissions with boundary scores into `x`, labels into `y`.
    fn load(&self, block: &Block, x: &mut [[f32x8; L]], y: &mut [[f32x8; 1]]) {
        let (l, count) = (self.inputs.dims[1], block.count);
        let starts = self.starts(block, &self.lines.emission);
        pack::<L>(
            self.inputs.emissions,
            starts,
            count,
            &self.lines.emission,
            l,
            x,
        );
        if self.reads_labels() {
            let starts = self.starts(block, &self.lines.label);
            let bits = bytemuck::cast_slice(self.inputs.labels);
            pack::<1>(bits, starts, count, &self.lines.label, 1, y);
        }
        if self.plan.boundaries {
            for (e, &score) in x[0][..l].iter_mut().zip(&self.scores.start) {
                *e += f32x8::splat(score);
            }
            for (lane, length) in block.lengths.iter().enumerate() {
                let Some(last) = length.checked_sub(1) else {
                    continue;
                };
                for (e, &score) in x[last][..l].iter_mut().zip(&self.scores.end) {
                    e.as_mut_array()[lane] += score;
                }
            }
        }
    }

    /// `U_t[k] - 1[y_t = k]` where the position exists.
    fn take_gold(u: &mut [[f32x8; L]], y: &[[f32x8; 1]], l: usize, block: &Block) {
        let lengths_f = block.lengths_f();
        for (step, (u, [y])) in u.iter_mut().zip(y).enumerate() {
            let y: i32x8 = bytemuck::cast(*y);
            let one = if block.ragged {
                f32x8::splat(step as f32).simd_lt(lengths_f) & f32x8::ONE
            } else {
                f32x8::ONE
            };
            for (k, u) in u[..l].iter_mut().enumerate() {
                let is: f32x8 = bytemuck::cast(y.simd_eq(i32x8::splat(k as i32)));
                *u -= is & one;
            }
        }
    }

    /// Turns emissions in `x` into scaled probabilities, leaves the normalised forward vectors in `kept`
    /// where `keep`, and returns each lane's value.
    fn forward(
        &self,
        x: &mut [[f32x8; L]],
        kept: &mut [[f32x8; L]],
        y: &[[f32x8; 1]],
        l: usize,
        block: &Block,
        keep: bool,
    ) -> [f64; LANES] {
        let zero = f32x8::ZERO;
        let lengths_f = block.lengths_f();
        let mut w = [zero; L];
        let mut total = [0.0f64; LANES];
        let mut terms = zero;
        let mut logs = LogSum::new();
        let t = x.len();
        for (step, row) in x.iter_mut().enumerate() {
            let mut term = self.scaled(row, bytemuck::cast(y[step][0]), l);
            let exists = block
                .ragged
                .then(|| f32x8::splat(step as f32).simd_lt(lengths_f));
            if let Some(exists) = exists {
                for p in row.iter_mut() {
                    *p = exists.select(*p, zero);
                }
                term = exists.select(term, zero);
            }
            let mut q = *row;
            if step > 0 {
                let sum = times_left::<L>(&w, &self.scores.m);
                for (q, sum) in q.iter_mut().zip(&sum) {
                    *q *= *sum;
                }
            }
            let mut z = sum_of(&q);
            if let Some(exists) = exists {
                // Past the end nothing is read any more; one keeps the logarithm and the quotient finite.
                z = exists.select(z, f32x8::ONE);
            }
            let scale = f32x8::ONE / z;
            for (w, q) in w.iter_mut().zip(&q) {
                *w = *q * scale;
            }
            terms += term;
            logs.add(z);
            if keep {
                kept[step] = w;
            }
            if step % BLOCK == BLOCK - 1 || step + 1 == t {
                flush_terms(&mut terms, &mut total);
                logs.take(&mut total);
            }
        }
        // What is not a number stays so to the end, where it joins the value.
        flush_terms(&mut nothing_or_nan(&w), &mut total);
        total
    }

    /// Marginals into `u`; leaves v = x * beta in `x` and a = w / zz in `w`, zero where no pair begins.
    fn backward(
        &self,
        x: &mut [[f32x8; L]],
        w: &mut [[f32x8; L]],
        u: &mut [[f32x8; L]],
        block: &Block,
    ) {
        let (zero, one) = (f32x8::ZERO, f32x8::ONE);
        let (ragged, lengths_f) = (block.ragged, block.lengths_f());
        let t = x.len();
        let mut beta = [one; L];
        for step in (0..t).rev() {
            let next = step + 1;
            let goes_on = ragged.then(|| f32x8::splat(next as f32).simd_lt(lengths_f));
            let mut back = [one; L];
            if next < t {
                for (v, beta) in x[next].iter_mut().zip(&beta) {
                    *v *= *beta;
                }
                back = times_right::<L>(&self.scores.m, &x[next]);
                if let Some(goes_on) = goes_on {
                    for back in &mut back {
                        *back = goes_on.select(*back, one);
                    }
                }
            }
            let row = &mut w[step];
            let mut joint = [zero; L];
            for k in 0..L {
                joint[k] = row[k] * back[k];
            }
            let inverse = one / sum_of(&joint);
            let exists = ragged.then(|| f32x8::splat(step as f32).simd_lt(lengths_f));
            for k in 0..L {
                let p = joint[k] * inverse;
                u[step][k] = exists.map_or(p, |exists| exists.select(p, zero));
                let a = row[k] * inverse;
                row[k] = goes_on.map_or(a, |goes_on| goes_on.select(a, zero));
            }
            if next < t {
                let norm = one / sum_of(&back);
                for (beta, back) in beta.iter_mut().zip(&back) {
                    *beta = *back * norm;
                }
            }
        }
    }

    /// Adds `sum_t P_t[i][j]` of each lane to its group's table, sooner or later.
    fn pair_sums(
        &self,
        a: &[[f32x8; L]],
        v: &[[f32x8; L]],
        l: usize,
        block: &Block,
        pairs: &mut PairSums<'_, L>,
        tables: &mut [f64],
    ) {
        let (m, count) = (&self.scores.m, block.count);
        let table = block.tables[0];
        let whole = count == LANES && block.tables.iter().all(|&other| other == table);
        if !whole || pairs.table != table {
            pairs.flush(m, l, tables);
            pairs.table = table;
        }
        for (a, v) in a[..a.len() - 1].chunks(FLUSH).zip(v[1..].chunks(FLUSH)) {
            if pairs.positions + a.len() > FLUSH {
                pairs.flush(m, l, tables);
            }
            pairs.add(a, v, l);
            if !whole {
                pairs.drain(l, |i, j, sums| {
                    for lane in 0..count {
                        tables[block.tables[lane] + i * l + j] += f64::from(sums[lane] * m[i][j]);
                    }
                });
            }
        }
    }
}
