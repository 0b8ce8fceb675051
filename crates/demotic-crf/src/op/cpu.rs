//! The CPU's fused loop: forward, backward, marginals and transition sums of eight chains at a time, one to a SIMD lane,
//! blocks of chains spread over threads. Scaled probabilities with locally normalised marginals; no tensor operation inside.

use rayon::prelude::*;
use wide::f32x8;

use super::plan::{Evidence, Group, Lines, Order, Plan, Strides};
use super::reference::{BLOCK, LOG_FLOOR};
use crate::config::FORBIDDEN;

/// Chains computed together.
const LANES: usize = 8;

/// Multiply-adds below which a second thread costs more than it brings (waking one takes some 10 us).
const FMAS_PER_THREAD: usize = 200_000;

/// The tensors of one call as slices, and their strides seen as `[b, l, h, w]` and `[b, h, w]`.
pub(crate) struct Inputs<'a> {
    pub(crate) dims: [usize; 4],
    pub(crate) emissions: &'a [f32],
    pub(crate) emission_strides: [usize; 4],
    pub(crate) labels: &'a [i32],
    pub(crate) label_strides: [usize; 3],
    /// `[d, width]`.
    pub(crate) potentials: &'a [f32],
    /// `[n]`, read where the plan is ragged.
    pub(crate) lengths: &'a [i32],
}

/// What one call gives.
pub(crate) struct Outputs {
    /// `[groups]`.
    pub(crate) values: Vec<f32>,
    /// In the plan's memory order; empty unless asked for.
    pub(crate) emissions: Vec<f32>,
    /// `[d, groups, width]`; empty unless asked for.
    pub(crate) potentials: Vec<f32>,
}

/// Value, and gradient where `gradient`, of all chains.
pub(crate) fn run(inputs: &Inputs<'_>, plan: &Plan, gradient: bool) -> Outputs {
    // One compiled loop a label count up to 10, then coarser steps with padding labels of probability zero.
    match inputs.dims[1] {
        1 => run_as::<1>(inputs, plan, gradient),
        2 => run_as::<2>(inputs, plan, gradient),
        3 => run_as::<3>(inputs, plan, gradient),
        4 => run_as::<4>(inputs, plan, gradient),
        5 => run_as::<5>(inputs, plan, gradient),
        6 => run_as::<6>(inputs, plan, gradient),
        7 => run_as::<7>(inputs, plan, gradient),
        8 => run_as::<8>(inputs, plan, gradient),
        9 | 10 => run_as::<10>(inputs, plan, gradient),
        11 | 12 => run_as::<12>(inputs, plan, gradient),
        13..=16 => run_as::<16>(inputs, plan, gradient),
        17..=24 => run_as::<24>(inputs, plan, gradient),
        25..=32 => run_as::<32>(inputs, plan, gradient),
        more => unreachable!("label counts are checked when a layer is made: {more}"),
    }
}

/// Best paths `[chains, t]` and their scores, of rows; evidence and group do not count.
pub(crate) fn viterbi(inputs: &Inputs<'_>, plan: &Plan) -> (Vec<i32>, Vec<f32>) {
    let [b, l, h, w] = inputs.dims;
    let lines = plan.lines(true, inputs.dims, inputs.emission_strides, [0; 3]);
    let (a, boundary) = inputs.potentials.split_at(l * l);
    let mut paths = vec![0i32; b * h * w];
    let mut scores = vec![0.0f32; b * h];
    let block = |first: usize, paths: &mut [i32], scores: &mut [f32]| {
        let count = scores.len();
        let chain: [usize; LANES] =
            core::array::from_fn(|lane| first + if lane < count { lane } else { 0 });
        let lengths: [usize; LANES] = chain.map(|chain| {
            if plan.ragged {
                (inputs.lengths[chain].max(0) as usize).min(w)
            } else {
                w
            }
        });
        let starts = chain.map(|chain| lines.emission.start(lines.inner, chain));
        let emission = |step: usize, k: usize| {
            let at = step * lines.emission.step + k * lines.emission.label;
            f32x8::from(starts.map(|start| inputs.emissions[start + at]))
        };
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
                } else if plan.boundaries {
                    best = f32x8::splat(boundary[j]);
                }
                *next = best + emission(step, j);
                if plan.boundaries && lengths.contains(&(step + 1)) {
                    let end = lengths.map(|length| {
                        if length == step + 1 {
                            boundary[l + j]
                        } else {
                            0.0
                        }
                    });
                    *next += f32x8::from(end);
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
    };
    let blocks = paths
        .par_chunks_mut(LANES * w)
        .zip(scores.par_chunks_mut(LANES));
    blocks
        .enumerate()
        .for_each(|(index, (paths, scores))| block(index * LANES, paths, scores));
    (paths, scores)
}

/// One direction's scores, padded to `L` labels.
struct Scores<const L: usize> {
    /// `exp(max(A - top, -41))`, 0 where forbidden.
    m: Box<[[f32; L]; L]>,
    /// `top - A`, `l * l`.
    gap: Vec<f32>,
    top: f32,
    start: [f32; L],
    end: [f32; L],
}

impl<const L: usize> Scores<L> {
    fn new(potentials: &[f32], l: usize) -> Self {
        let (a, boundary) = potentials.split_at(l * l);
        let top = a.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut m = Box::new([[0.0; L]; L]);
        for (i, row) in a.chunks_exact(l).enumerate() {
            for (j, &score) in row.iter().enumerate() {
                // Not `score > FORBIDDEN`: a NaN must come out as one.
                m[i][j] = if score <= FORBIDDEN {
                    0.0
                } else {
                    floored(score - top).exp()
                };
            }
        }
        let padded = |values: &[f32]| {
            let mut out = [0.0; L];
            out[..values.len()].copy_from_slice(values);
            out
        };
        let (start, end) = boundary.split_at(boundary.len() / 2);
        Self {
            m,
            gap: a.iter().map(|&score| top - score).collect(),
            top,
            start: padded(start),
            end: padded(end),
        }
    }
}

fn floored(x: f32) -> f32 {
    if x < LOG_FLOOR { LOG_FLOOR } else { x }
}

/// Everything a block needs to know about its direction.
struct Sweep<'a, const L: usize> {
    inputs: &'a Inputs<'a>,
    plan: &'a Plan,
    lines: Lines,
    scores: Scores<L>,
    /// Whether the gradient is added to what the other direction wrote.
    add: bool,
}

/// The sums of one unit's groups, direction by direction.
struct Sums {
    values: Vec<f64>,
    tables: Vec<f64>,
}

fn run_as<const L: usize>(inputs: &Inputs<'_>, plan: &Plan, gradient: bool) -> Outputs {
    let dims @ [b, l, h, w] = inputs.dims;
    let width = plan.width(l);
    let groups = plan.groups(dims);
    let directions = plan.direction_count();
    let sweeps: Vec<Sweep<'_, L>> = plan
        .rows_and_columns()
        .enumerate()
        .map(|(d, rows)| Sweep {
            inputs,
            plan,
            lines: plan.lines(rows, dims, inputs.emission_strides, inputs.label_strides),
            scores: Scores::new(&inputs.potentials[d * width..(d + 1) * width], l),
            add: d > 0,
        })
        .collect();

    // A unit is a run of whole pictures (of chains, for sequences): its gradient is one piece of memory, so threads share
    // nothing. Its size depends on sizes alone, never on the thread count: sums come out the same to the bit.
    let (items, item_len) = match plan.order {
        Order::Grid => (b, l * h * w),
        Order::Sequence => (h, l * w),
    };
    let wanted = (4096 * LANES).div_ceil(item_len.max(1)).max(1);
    let unit = match plan.order {
        // Pictures whose rows and columns do not fill the lanes share a block.
        Order::Grid => wanted.min(8),
        Order::Sequence => wanted.next_multiple_of(LANES),
    };
    let units = items.div_ceil(unit);
    let work = |index: usize, chunk: &mut [f32]| -> Sums {
        let from = index * unit;
        let to = (from + unit).min(items);
        let unit_groups = match plan.group {
            Group::All => 1,
            Group::Picture => to - from,
            Group::Chain => sweeps
                .iter()
                .map(|s| {
                    if plan.order == Order::Grid {
                        s.lines.inner * (to - from)
                    } else {
                        to - from
                    }
                })
                .sum(),
        };
        let mut sums = Sums {
            values: vec![0.0; unit_groups],
            tables: if gradient {
                vec![0.0; directions * unit_groups * width]
            } else {
                vec![]
            },
        };
        let mut scratch = Scratch::<L>::new(h.max(w), gradient);
        for (d, sweep) in sweeps.iter().enumerate() {
            let chains = match plan.order {
                Order::Grid => from * sweep.lines.inner..to * sweep.lines.inner,
                Order::Sequence => from..to,
            };
            let place = Place {
                first_group: plan.group_of(&sweep.lines, chains.start),
                gradient_base: sweep.lines.gradient.start(sweep.lines.inner, chains.start),
                table: d * unit_groups * width,
            };
            for first in chains.clone().step_by(LANES) {
                let count = (chains.end - first).min(LANES);
                sweep.block(first, count, &place, &mut scratch, chunk, &mut sums);
            }
        }
        sums
    };

    let mut emissions = if gradient {
        vec![0.0f32; items * item_len]
    } else {
        vec![]
    };
    let threaded = units > 1
        && b * h * w * l * (l * if gradient { 3 } else { 1 } + 8) * directions > FMAS_PER_THREAD;
    let sums: Vec<Sums> = match (gradient, threaded) {
        (true, true) => emissions
            .par_chunks_mut(unit * item_len)
            .enumerate()
            .map(|(u, chunk)| work(u, chunk))
            .collect(),
        (true, false) => emissions
            .chunks_mut(unit * item_len)
            .enumerate()
            .map(|(u, chunk)| work(u, chunk))
            .collect(),
        (false, true) => (0..units)
            .into_par_iter()
            .map(|u| work(u, &mut []))
            .collect(),
        (false, false) => (0..units).map(|u| work(u, &mut [])).collect(),
    };

    let mut values = Vec::with_capacity(groups);
    let mut potentials = vec![
        0.0f32;
        if gradient {
            directions * groups * width
        } else {
            0
        }
    ];
    let scale = f64::from(plan.scale);
    if plan.group == Group::All {
        let mut value = 0.0;
        let mut table = vec![0.0; potentials.len()];
        for unit in &sums {
            value += unit.values[0];
            table
                .iter_mut()
                .zip(&unit.tables)
                .for_each(|(sum, part)| *sum += part);
        }
        values.push((value * scale) as f32);
        potentials
            .iter_mut()
            .zip(&table)
            .for_each(|(out, sum)| *out = (sum * scale) as f32);
    } else {
        for unit in &sums {
            let first = values.len();
            values.extend(unit.values.iter().map(|v| (v * scale) as f32));
            let count = unit.values.len();
            if gradient {
                for d in 0..directions {
                    let from = &unit.tables[d * count * width..(d + 1) * count * width];
                    let to = &mut potentials[(d * groups + first) * width..][..count * width];
                    to.iter_mut()
                        .zip(from)
                        .for_each(|(out, sum)| *out = (sum * scale) as f32);
                }
            }
        }
    }
    Outputs {
        values,
        emissions,
        potentials,
    }
}

/// Where a unit's results go.
struct Place {
    first_group: usize,
    gradient_base: usize,
    table: usize,
}

/// Working memory of one block, reused from block to block.
struct Scratch<const L: usize> {
    /// Emissions, then scaled probabilities x, then v = x * beta; `[t][l]`.
    x: Vec<[f32x8; L]>,
    /// Forward vectors w, then a = w / zz.
    w: Vec<[f32x8; L]>,
    /// Marginals.
    u: Vec<[f32x8; L]>,
    /// Labels, `[t][lane]`.
    y: Vec<[i32; LANES]>,
}

impl<const L: usize> Scratch<L> {
    fn new(length: usize, gradient: bool) -> Self {
        let kept = if gradient { length } else { 0 };
        Self {
            x: vec![[f32x8::ZERO; L]; length],
            w: vec![[f32x8::ZERO; L]; kept],
            u: vec![[f32x8::ZERO; L]; kept],
            y: vec![[0; LANES]; length],
        }
    }
}

impl<const L: usize> Sweep<'_, L> {
    /// Chains `first..first + count`, one a lane; lanes beyond `count` repeat the first and are thrown away.
    fn block(
        &self,
        first: usize,
        count: usize,
        place: &Place,
        scratch: &mut Scratch<L>,
        chunk: &mut [f32],
        sums: &mut Sums,
    ) {
        let l = self.inputs.dims[1];
        let t = self.lines.length;
        let chain: [usize; LANES] =
            core::array::from_fn(|lane| first + if lane < count { lane } else { 0 });
        let lengths: [usize; LANES] = core::array::from_fn(|lane| {
            if self.plan.ragged {
                (self.inputs.lengths[chain[lane]].max(0) as usize).min(t)
            } else {
                t
            }
        });
        let ragged = lengths.iter().any(|&length| length != t);
        let lengths_f = f32x8::from(lengths.map(|length| length as f32));
        let gradient = !chunk.is_empty();
        let x = &mut scratch.x[..t];
        let y = &mut scratch.y[..t];

        let starts = chain.map(|c| self.lines.emission.start(self.lines.inner, c));
        pack::<L>(
            self.inputs.emissions,
            starts,
            count,
            &self.lines.emission,
            l,
            x,
        );
        let reads_labels = matches!(self.plan.evidence, Evidence::Gold | Evidence::Held { .. });
        if reads_labels {
            for lane in 0..LANES {
                let start = self.lines.label.start(self.lines.inner, chain[lane]);
                for (step, y) in y.iter_mut().enumerate() {
                    y[lane] = self.inputs.labels[start + step * self.lines.label.step];
                }
            }
        }
        if self.plan.boundaries {
            for (e, &score) in x[0][..l].iter_mut().zip(&self.scores.start) {
                *e += f32x8::splat(score);
            }
            for (lane, length) in lengths.iter().enumerate() {
                let Some(last) = length.checked_sub(1) else {
                    continue;
                };
                for (e, &score) in x[last][..l].iter_mut().zip(&self.scores.end) {
                    e.as_mut_array()[lane] += score;
                }
            }
        }

        let value = self.forward(
            x,
            &mut scratch.w,
            y,
            l,
            &lengths,
            lengths_f,
            ragged,
            gradient,
        );
        for lane in 0..count {
            let group = self.plan.group_of(&self.lines, chain[lane]) - place.first_group;
            sums.values[group] += value[lane];
        }
        if !gradient {
            return;
        }
        let (w, u) = (&mut scratch.w[..t], &mut scratch.u[..t]);
        self.backward(x, w, u, lengths_f, ragged);
        let width = self.plan.width(l);
        let groups: [usize; LANES] = core::array::from_fn(|lane| {
            place.table + (self.plan.group_of(&self.lines, chain[lane]) - place.first_group) * width
        });
        self.pair_sums(w, x, l, count, &groups, &mut sums.tables);
        if self.plan.evidence == Evidence::Gold {
            for lane in 0..count {
                let table = &mut sums.tables[groups[lane]..][..width];
                let mut before = None;
                for (u, y) in u.iter_mut().zip(&*y).take(lengths[lane]) {
                    let k = y[lane];
                    if (0..l as i32).contains(&k) {
                        u[k as usize].as_mut_array()[lane] -= 1.0;
                        if let Some(before) = before {
                            table[before * l + k as usize] -= 1.0;
                        }
                        before = Some(k as usize);
                    } else {
                        before = None;
                    }
                }
            }
        }
        if self.plan.boundaries {
            for lane in 0..count {
                if let Some(last) = lengths[lane].checked_sub(1) {
                    let table = &mut sums.tables[groups[lane] + l * l..][..2 * l];
                    for k in 0..l {
                        table[k] += f64::from(u[0][k].as_array()[lane]);
                        table[l + k] += f64::from(u[last][k].as_array()[lane]);
                    }
                }
            }
        }
        let starts =
            chain.map(|c| self.lines.gradient.start(self.lines.inner, c) - place.gradient_base);
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

    /// Turns emissions in `x` into scaled probabilities, leaves the normalised forward vectors in `w` where `keep`, and
    /// returns each lane's value.
    #[allow(
        clippy::too_many_arguments,
        reason = "the state of one block, taken apart so that borrows stay disjoint"
    )]
    fn forward(
        &self,
        x: &mut [[f32x8; L]],
        kept: &mut [[f32x8; L]],
        y: &[[i32; LANES]],
        l: usize,
        lengths: &[usize; LANES],
        lengths_f: f32x8,
        ragged: bool,
        keep: bool,
    ) -> [f64; LANES] {
        let zero = f32x8::ZERO;
        let mut w = [zero; L];
        let mut total = [0.0f64; LANES];
        let mut inner = zero;
        for step in 0..x.len() {
            let row = &mut x[step];
            let mut top = row[0];
            for &e in &row[1..l] {
                top = top.fast_max(e);
            }
            let mut term = zero;
            match self.plan.evidence {
                Evidence::Gold => {
                    let mut gap = [0.0f32; LANES];
                    for lane in 0..LANES {
                        let k = y[step][lane] as usize;
                        gap[lane] = if k < l {
                            -row[k].as_array()[lane]
                        } else {
                            f32::NAN
                        };
                        if step > 0 && step < lengths[lane] {
                            let before = y[step - 1][lane] as usize;
                            gap[lane] = (gap[lane] + top.as_array()[lane])
                                + self
                                    .scores
                                    .gap
                                    .get(before.wrapping_mul(l).wrapping_add(k))
                                    .copied()
                                    .unwrap_or(f32::NAN);
                        } else {
                            gap[lane] += top.as_array()[lane];
                        }
                    }
                    term = f32x8::from(gap);
                }
                Evidence::Held { unknown } => {
                    let label = f32x8::from(y[step].map(|k| {
                        if k == unknown {
                            -1.0
                        } else if (0..l as i32).contains(&k) {
                            k as f32
                        } else {
                            -2.0
                        }
                    }));
                    let any = label.simd_eq(f32x8::splat(-1.0));
                    let mut held = f32x8::splat(f32::NEG_INFINITY);
                    for (k, e) in row[..l].iter_mut().enumerate() {
                        let allowed = label.simd_eq(f32x8::splat(k as f32)) | any;
                        held = allowed.select(held.fast_max(*e), held);
                        // Ruled out: a probability of exactly zero, kept as NaN's opposite until the exponential below.
                        *e = allowed.select(*e, f32x8::splat(f32::NEG_INFINITY));
                    }
                    term = held - top;
                    top = held;
                }
                Evidence::Free => {}
                Evidence::LogPartition => {
                    term = top + f32x8::splat(if step > 0 { self.scores.top } else { 0.0 });
                }
            }
            let held = matches!(self.plan.evidence, Evidence::Held { .. });
            for e in &mut row[..l] {
                let ruled_out = held.then(|| e.simd_eq(f32x8::splat(f32::NEG_INFINITY)));
                let p = exp_scaled(*e - top);
                *e = match ruled_out {
                    Some(ruled_out) => ruled_out.select(zero, p),
                    None => p,
                };
            }
            for pad in &mut row[l..] {
                *pad = zero;
            }
            let exists = ragged.then(|| f32x8::splat(step as f32).simd_lt(lengths_f));
            if let Some(exists) = exists {
                for p in row.iter_mut() {
                    *p = exists.select(*p, zero);
                }
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
            term += z.ln();
            inner += match exists {
                Some(exists) => exists.select(term, zero),
                None => term,
            };
            if keep {
                kept[step] = w;
            }
            if step % BLOCK == BLOCK - 1 || step + 1 == x.len() {
                for (total, inner) in total.iter_mut().zip(inner.as_array()) {
                    *total += f64::from(*inner);
                }
                inner = zero;
            }
        }
        total
    }

    /// Marginals into `u`; leaves v = x * beta in `x` and a = w / zz in `w`, zero where no pair begins.
    fn backward(
        &self,
        x: &mut [[f32x8; L]],
        w: &mut [[f32x8; L]],
        u: &mut [[f32x8; L]],
        lengths_f: f32x8,
        ragged: bool,
    ) {
        let (zero, one) = (f32x8::ZERO, f32x8::ONE);
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

    /// Adds `sum_t P_t[i][j]` of each lane to its group's table.
    #[allow(
        clippy::needless_range_loop,
        reason = "tiles of two matrices walked together"
    )]
    fn pair_sums(
        &self,
        a: &[[f32x8; L]],
        v: &[[f32x8; L]],
        l: usize,
        count: usize,
        groups: &[usize; LANES],
        tables: &mut [f64],
    ) {
        let same = groups[..count].iter().all(|&g| g == groups[0]);
        let keep = f32x8::from(core::array::from_fn::<f32, LANES, _>(|lane| {
            if lane < count { 1.0 } else { 0.0 }
        }));
        // Tiles of 2 x 4 sums stay in registers over the whole chain; f32 sums are flushed every 256 positions.
        for i0 in (0..L).step_by(2) {
            for j0 in (0..L).step_by(4) {
                if i0 >= l || j0 >= l {
                    continue;
                }
                let (i1, js) = (
                    (i0 + 1).min(L - 1),
                    core::array::from_fn::<usize, 4, _>(|j| (j0 + j).min(L - 1)),
                );
                for (a, v) in a[..a.len() - 1].chunks(256).zip(v[1..].chunks(256)) {
                    let mut sums = [[f32x8::ZERO; 4]; 2];
                    for (a, v) in a.iter().zip(v) {
                        for j in 0..4 {
                            sums[0][j] = a[i0].mul_add(v[js[j]], sums[0][j]);
                            sums[1][j] = a[i1].mul_add(v[js[j]], sums[1][j]);
                        }
                    }
                    for (di, sums) in sums.iter().enumerate() {
                        for (dj, &sum) in sums.iter().enumerate() {
                            let (i, j) = (i0 + di, j0 + dj);
                            if i >= l || j >= l {
                                continue;
                            }
                            let sum = sum * f32x8::splat(self.scores.m[i][j]);
                            if same {
                                tables[groups[0] + i * l + j] +=
                                    f64::from((sum * keep).reduce_add());
                            } else {
                                for lane in 0..count {
                                    tables[groups[lane] + i * l + j] +=
                                        f64::from(sum.as_array()[lane]);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// `out[j] = sum_i w[i] * m[i][j]`, eight labels j at a time so that the sums stay in registers.
#[inline(always)]
#[allow(
    clippy::inline_always,
    reason = "the loop's core: a call would spill every lane"
)]
fn times_left<const L: usize>(w: &[f32x8; L], m: &[[f32; L]; L]) -> [f32x8; L] {
    let mut out = [f32x8::ZERO; L];
    let mut j0 = 0;
    while j0 < L {
        let tile = if L - j0 < 8 { L - j0 } else { 8 };
        let mut sums = [f32x8::ZERO; 8];
        for i in 0..L {
            for j in 0..tile {
                sums[j] = w[i].mul_add(f32x8::splat(m[i][j0 + j]), sums[j]);
            }
        }
        out[j0..j0 + tile].copy_from_slice(&sums[..tile]);
        j0 += 8;
    }
    out
}

/// `out[i] = sum_j m[i][j] * v[j]`.
#[inline(always)]
#[allow(
    clippy::inline_always,
    reason = "the loop's core: a call would spill every lane"
)]
fn times_right<const L: usize>(m: &[[f32; L]; L], v: &[f32x8; L]) -> [f32x8; L] {
    let mut out = [f32x8::ZERO; L];
    let mut i0 = 0;
    while i0 < L {
        let tile = if L - i0 < 8 { L - i0 } else { 8 };
        let mut sums = [f32x8::ZERO; 8];
        for j in 0..L {
            for i in 0..tile {
                sums[i] = v[j].mul_add(f32x8::splat(m[i0 + i][j]), sums[i]);
            }
        }
        out[i0..i0 + tile].copy_from_slice(&sums[..tile]);
        i0 += 8;
    }
    out
}

/// Sum over labels, in two interleaved runs: half the depth of one.
#[inline(always)]
#[allow(clippy::inline_always, reason = "the loop's core")]
fn sum_of<const L: usize>(values: &[f32x8; L]) -> f32x8 {
    let mut sums = [f32x8::ZERO; 2];
    for (k, &value) in values.iter().enumerate() {
        sums[k % 2] += value;
    }
    sums[0] + sums[1]
}

/// `exp(max(x, -41))` for x <= 0, within 1.5 units in the last place; NaN stays NaN.
///
/// `x = n ln 2 + r`, a polynomial of degree 6 in `r`, then `n` into the exponent (Cephes' `expf`).
#[inline(always)]
#[allow(clippy::inline_always, reason = "the loop's core")]
fn exp_scaled(x: f32x8) -> f32x8 {
    let floor = f32x8::splat(LOG_FLOOR);
    let x = x.simd_lt(floor).select(floor, x);
    let n = (x * f32x8::splat(core::f32::consts::LOG2_E)).round_ties_even();
    let r = n.mul_neg_add(f32x8::splat(0.693_359_4), x);
    let r = n.mul_neg_add(f32x8::splat(-2.121_944_4e-4), r);
    let mut p = f32x8::splat(1.987_569_1e-4);
    for c in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        p = p.mul_add(r, f32x8::splat(c));
    }
    let p = p.mul_add(r * r, r + f32x8::ONE);
    let exponent = (n.fast_trunc_int() + wide::i32x8::splat(127)) << 23;
    p * bytemuck::cast::<wide::i32x8, f32x8>(exponent)
}

/// Emissions of eight chains into `[t][l]` lanes.
fn pack<const L: usize>(
    e: &[f32],
    starts: [usize; LANES],
    count: usize,
    strides: &Strides,
    l: usize,
    out: &mut [[f32x8; L]],
) {
    let t = out.len();
    if count == LANES && (1..LANES).all(|lane| starts[lane] == starts[0] + lane) {
        for (step, row) in out.iter_mut().enumerate() {
            for (k, value) in row[..l].iter_mut().enumerate() {
                *value = load(e, starts[0] + step * strides.step + k * strides.label);
            }
        }
        return;
    }
    let runs = runs::<L>(strides, l, t);
    for run in 0..runs.count {
        let base = run * strides.label;
        let flat = out.as_flattened_mut();
        let mut f = 0;
        while runs.step == 1 && f + LANES <= runs.length {
            let rows: [f32x8; LANES] =
                core::array::from_fn(|lane| load(e, starts[lane] + base + f));
            for (d, value) in f32x8::transpose(rows).into_iter().enumerate() {
                flat[(f + d) * runs.spread + run] = value;
            }
            f += LANES;
        }
        for f in f..runs.length {
            flat[f * runs.spread + run] =
                f32x8::from(core::array::from_fn::<f32, LANES, _>(|lane| {
                    e[starts[lane] + base + f * runs.step]
                }));
        }
    }
}

/// How a chain's values lie in memory: `count` runs of `length` values `step` apart; value `f` of run `r` belongs at
/// `f * spread + r` of `[t][l]`.
struct Runs {
    count: usize,
    length: usize,
    step: usize,
    spread: usize,
}

fn runs<const L: usize>(strides: &Strides, l: usize, t: usize) -> Runs {
    if strides.label == 1 && strides.step == l && l == L {
        Runs {
            count: 1,
            length: t * l,
            step: 1,
            spread: 1,
        }
    } else {
        Runs {
            count: l,
            length: t,
            step: strides.step,
            spread: L,
        }
    }
}

/// Marginals `[t][l]` of eight chains to where the gradient keeps them, scaled; `add` or replace.
#[allow(
    clippy::too_many_arguments,
    reason = "the mirror of `pack`, with a scale"
)]
fn unpack<const L: usize>(
    out: &mut [f32],
    starts: [usize; LANES],
    count: usize,
    strides: &Strides,
    l: usize,
    u: &[[f32x8; L]],
    scale: f32,
    add: bool,
) {
    let scale = f32x8::splat(scale);
    let put = |to: &mut [f32], value: f32x8| {
        let value = if add {
            value.mul_add(scale, load(to, 0))
        } else {
            value * scale
        };
        to.copy_from_slice(value.as_array());
    };
    if count == LANES && (1..LANES).all(|lane| starts[lane] == starts[0] + lane) {
        for (step, row) in u.iter().enumerate() {
            for (k, &value) in row[..l].iter().enumerate() {
                put(
                    &mut out[starts[0] + step * strides.step + k * strides.label..][..LANES],
                    value,
                );
            }
        }
        return;
    }
    let runs = runs::<L>(strides, l, u.len());
    let flat = u.as_flattened();
    for run in 0..runs.count {
        let base = run * strides.label;
        let mut f = 0;
        while runs.step == 1 && f + LANES <= runs.length {
            let rows =
                f32x8::transpose(core::array::from_fn(|d| flat[(f + d) * runs.spread + run]));
            for lane in 0..count {
                put(&mut out[starts[lane] + base + f..][..LANES], rows[lane]);
            }
            f += LANES;
        }
        for f in f..runs.length {
            let value = (flat[f * runs.spread + run] * scale).to_array();
            for lane in 0..count {
                let to = &mut out[starts[lane] + base + f * runs.step];
                *to = if add { *to + value[lane] } else { value[lane] };
            }
        }
    }
}

fn load(values: &[f32], at: usize) -> f32x8 {
    let mut lanes = [0.0; LANES];
    lanes.copy_from_slice(&values[at..at + LANES]);
    f32x8::from(lanes)
}
