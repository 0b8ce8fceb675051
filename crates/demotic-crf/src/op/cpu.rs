//! The CPU's fused loop: forward, backward, marginals and transition sums of eight chains at a time, one to a SIMD lane (or four
//! from both ends), blocks of chains spread over threads. Scaled probabilities with locally normalised marginals; no tensor
//! operation inside.

use std::cell::RefCell;

use rayon::prelude::*;
use wide::{f32x4, f32x8, i32x8};

use super::plan::{Evidence, Group, Lines, Order, Plan, Strides};
use super::reference::{BLOCK, LOG_FLOOR};
use crate::config::FORBIDDEN;

/// Chains computed together.
const LANES: usize = 8;

/// Chains computed together from both ends.
const HALF: usize = LANES / 2;

/// Positions whose pair sums are added in f32 before they join the table in f64.
const FLUSH: usize = 256;

/// Steps of [`Sweep::block_from_both_ends`] whose results are put away at once: they stay in a core's nearest memory.
const CHUNK: usize = 128;

/// Vectors of working memory that a thread keeps from call to call: 4 MiB.
const MEMORY_KEPT: usize = 1 << 17;

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
    gap: Vec<f64>,
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
            gap: a.iter().map(|&score| f64::from(top - score)).collect(),
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
        with_memory(memory_wanted::<L>(h.max(w)), |memory| {
            let (pair_sums, memory) = memory.split_at_mut(L * L);
            let mut pairs = PairSums::<L>::new(pair_sums.as_chunks_mut::<L>().0);
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
                    let block = Block::new(sweep, first, count, &place);
                    if count <= HALF && sweep.lines.length > 1 {
                        sweep.block_from_both_ends(&block, memory, &mut pairs, chunk, &mut sums);
                    } else {
                        sweep.block(&block, memory, &mut pairs, chunk, &mut sums);
                    }
                }
                pairs.flush(&sweep.scores.m, l, &mut sums.tables);
            }
        });
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

thread_local! {
    /// A thread's working memory: fresh memory would cost page faults on every call.
    static MEMORY: RefCell<Vec<f32x8>> = const { RefCell::new(vec![]) };
}

/// Calls `run` with this many vectors of the thread's working memory, whatever they hold.
fn with_memory(vectors: usize, run: impl FnOnce(&mut [f32x8])) {
    let mut memory = MEMORY.take();
    if memory.len() < vectors {
        memory.resize(vectors, f32x8::ZERO);
    }
    run(&mut memory[..vectors]);
    if memory.len() <= MEMORY_KEPT {
        MEMORY.set(memory);
    }
}

/// Vectors that a unit of chains `length` long needs: pair sums, then a block's x, forward vectors, marginals and labels.
const fn memory_wanted<const L: usize>(length: usize) -> usize {
    L * L + (3 * L + 1) * (length + CHUNK + 1) + L * L
}

/// Up to eight chains, one a lane; lanes beyond `count` repeat the first and are thrown away. From both ends: up to four chains,
/// and lane `c + 4` is chain `c` too.
struct Block {
    count: usize,
    chain: [usize; LANES],
    lengths: [usize; LANES],
    /// Whether a chain ends before the last position.
    ragged: bool,
    /// First element of each chain's group in the tables.
    tables: [usize; LANES],
    /// Each chain's group among the unit's values.
    groups: [usize; LANES],
    gradient_base: usize,
}

impl Block {
    fn new<const L: usize>(
        sweep: &Sweep<'_, L>,
        first: usize,
        count: usize,
        place: &Place,
    ) -> Self {
        let t = sweep.lines.length;
        let both_ends = count <= HALF && t > 1;
        let chain: [usize; LANES] = core::array::from_fn(|lane| {
            let lane = if both_ends { lane % HALF } else { lane };
            first + if lane < count { lane } else { 0 }
        });
        let lengths = chain.map(|chain| {
            if sweep.plan.ragged {
                (sweep.inputs.lengths[chain].max(0) as usize).min(t)
            } else {
                t
            }
        });
        let groups =
            chain.map(|chain| sweep.plan.group_of(&sweep.lines, chain) - place.first_group);
        let width = sweep.plan.width(sweep.inputs.dims[1]);
        Self {
            count,
            chain,
            lengths,
            ragged: lengths.iter().any(|&length| length != t),
            tables: groups.map(|group| place.table + group * width),
            groups,
            gradient_base: place.gradient_base,
        }
    }

    fn lengths_f(&self) -> f32x8 {
        f32x8::from(self.lengths.map(|length| length as f32))
    }
}

/// `sum_t P_t[i][j] / M[i][j]`, lane by lane, of whole blocks of one group: carried from block to block.
struct PairSums<'a, const L: usize> {
    sums: &'a mut [[f32x8; L]],
    /// Positions in the sums.
    positions: usize,
    /// The group's table.
    table: usize,
}

impl<'a, const L: usize> PairSums<'a, L> {
    fn new(sums: &'a mut [[f32x8; L]]) -> Self {
        sums.fill([f32x8::ZERO; L]);
        Self {
            sums,
            positions: 0,
            table: 0,
        }
    }

    /// Adds `a_t[i] v_t[j]` over rows walked together.
    #[allow(
        clippy::needless_range_loop,
        reason = "tiles of two matrices walked together"
    )]
    fn add(&mut self, a: &[[f32x8; L]], v: &[[f32x8; L]], l: usize) {
        self.positions += a.len();
        // Tiles of 2 x 4 sums stay in registers over all rows.
        for i0 in (0..l).step_by(2) {
            for j0 in (0..l).step_by(4) {
                let i: [usize; 2] = core::array::from_fn(|i| (i0 + i).min(L - 1));
                let j: [usize; 4] = core::array::from_fn(|j| (j0 + j).min(L - 1));
                let mut sums = [[f32x8::ZERO; 4]; 2];
                for (a, v) in a.iter().zip(v) {
                    for dj in 0..4 {
                        sums[0][dj] = a[i[0]].mul_add(v[j[dj]], sums[0][dj]);
                        sums[1][dj] = a[i[1]].mul_add(v[j[dj]], sums[1][dj]);
                    }
                }
                for di in 0..2.min(l - i0) {
                    for dj in 0..4.min(l - j0) {
                        self.sums[i0 + di][j0 + dj] += sums[di][dj];
                    }
                }
            }
        }
    }

    /// Adds what is held to its group's table; nothing is held afterwards.
    fn flush(&mut self, m: &[[f32; L]; L], l: usize, tables: &mut [f64]) {
        if self.positions == 0 {
            return;
        }
        for i in 0..l {
            for j in 0..l {
                let sum = self.sums[i][j] * f32x8::splat(m[i][j]);
                tables[self.table + i * l + j] += f64::from(sum.reduce_add());
                self.sums[i][j] = f32x8::ZERO;
            }
        }
        self.positions = 0;
    }

    /// Hands each entry's lanes to `take`; nothing is held afterwards.
    fn drain(&mut self, l: usize, mut take: impl FnMut(usize, usize, [f32; LANES])) {
        for i in 0..l {
            for j in 0..l {
                take(i, j, self.sums[i][j].to_array());
                self.sums[i][j] = f32x8::ZERO;
            }
        }
        self.positions = 0;
    }
}

/// A running sum of logarithms: mantissas are multiplied and exponents added, and one logarithm taken in [`BLOCK`]. It does not
/// see a NaN: the caller does, by [`nothing_or_nan`].
struct LogSum {
    mantissa: f32x8,
    exponent: i32x8,
}

impl LogSum {
    const fn new() -> Self {
        Self {
            mantissa: f32x8::ONE,
            exponent: i32x8::ZERO,
        }
    }

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "the loop's core")]
    fn add(&mut self, z: f32x8) {
        let bits: i32x8 = bytemuck::cast(z);
        self.exponent += (bits >> 23) - i32x8::splat(127);
        let mantissa = (bits & i32x8::splat(0x007f_ffff)) | i32x8::splat(0x3f80_0000);
        self.mantissa *= bytemuck::cast::<i32x8, f32x8>(mantissa);
    }

    /// Adds the sum to `total` and begins again.
    fn take(&mut self, total: &mut [f64; LANES]) {
        let (ln, exponent) = (self.mantissa.ln().to_array(), self.exponent.to_array());
        for (lane, total) in total.iter_mut().enumerate() {
            *total +=
                f64::from(exponent[lane]).mul_add(core::f64::consts::LN_2, f64::from(ln[lane]));
        }
        *self = Self::new();
    }
}

/// Adds a block's f32 sum to the total.
fn flush_terms(terms: &mut f32x8, total: &mut [f64; LANES]) {
    for (total, term) in total.iter_mut().zip(terms.as_array()) {
        *total += f64::from(*term);
    }
    *terms = f32x8::ZERO;
}

impl<const L: usize> Sweep<'_, L> {
    fn reads_labels(&self) -> bool {
        matches!(self.plan.evidence, Evidence::Gold | Evidence::Held { .. })
    }

    /// What each chain's value has beside its emissions' terms and logarithms: gold steps, which are taken from the tables too, or the
    /// transitions' top for a `log Z` in full.
    fn steps(&self, block: &Block, gradient: bool, sums: &mut Sums) -> [f64; LANES] {
        let l = self.inputs.dims[1];
        let mut values = [0.0; LANES];
        for (lane, value) in values.iter_mut().enumerate().take(block.count) {
            let length = block.lengths[lane];
            match self.plan.evidence {
                Evidence::LogPartition => {
                    *value = f64::from(self.scores.top) * length.saturating_sub(1) as f64;
                }
                Evidence::Gold => {
                    let start = self.lines.label.start(self.lines.inner, block.chain[lane]);
                    let table = block.tables[lane];
                    let (mut gap, mut known, mut before) = (0.0, true, usize::MAX);
                    for step in 0..length {
                        let y = self.inputs.labels[start + step * self.lines.label.step] as usize;
                        if y < l && before < l {
                            gap += self.scores.gap[before * l + y];
                            if gradient {
                                sums.tables[table + before * l + y] -= 1.0;
                            }
                        }
                        known &= y < l;
                        before = y;
                    }
                    *value = if known { gap } else { f64::NAN };
                }
                _ => {}
            }
        }
        values
    }

    /// Turns a row of emissions into `x[k] = exp(max(e[k] - m, -41))` and returns what the position adds to the value beside log z.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "the loop's core")]
    fn scaled(&self, row: &mut [f32x8; L], y: i32x8, l: usize) -> f32x8 {
        let mut top = row[0];
        for &e in &row[1..l] {
            top = top.fast_max(e);
        }
        let is = |k: usize| -> f32x8 { bytemuck::cast(y.simd_eq(i32x8::splat(k as i32))) };
        let mut term = f32x8::ZERO;
        match self.plan.evidence {
            Evidence::Gold => {
                let mut gold = f32x8::splat(f32::NAN);
                for (k, &e) in row[..l].iter().enumerate() {
                    gold = is(k).select(e, gold);
                }
                term = top - gold;
            }
            Evidence::Held { unknown } => {
                let any: f32x8 = bytemuck::cast(y.simd_eq(i32x8::splat(unknown)));
                let mut held = f32x8::splat(f32::NEG_INFINITY);
                for (k, &e) in row[..l].iter().enumerate() {
                    held = (is(k) | any).select(held.fast_max(e), held);
                }
                term = held - top;
                for (k, e) in row[..l].iter_mut().enumerate() {
                    // Ruled out: a probability of exactly zero.
                    *e = (is(k) | any).select(exp_scaled(*e - held), f32x8::ZERO);
                }
            }
            Evidence::Free => {}
            Evidence::LogPartition => term = top,
        }
        if !matches!(self.plan.evidence, Evidence::Held { .. }) {
            for e in &mut row[..l] {
                *e = exp_scaled(*e - top);
            }
        }
        for pad in &mut row[l..] {
            *pad = f32x8::ZERO;
        }
        term
    }

    /// Eight chains, each from its first position to its last and back.
    fn block(
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

        let starts = block
            .chain
            .map(|c| self.lines.emission.start(self.lines.inner, c));
        pack::<L>(
            self.inputs.emissions,
            starts,
            count,
            &self.lines.emission,
            l,
            x,
        );
        if self.reads_labels() {
            let starts = block
                .chain
                .map(|c| self.lines.label.start(self.lines.inner, c));
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

        let steps = self.steps(block, gradient, sums);
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
        let starts = block
            .chain
            .map(|c| self.lines.gradient.start(self.lines.inner, c) - block.gradient_base);
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

    /// Turns emissions in `x` into scaled probabilities, leaves the normalised forward vectors in `kept` where `keep`, and
    /// returns each lane's value.
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

    /// At most four chains from both ends at once: lane `c` walks chain `c` from its first position up, lane `c + 4` from the last
    /// down. Once they have met, each side passes what the other kept, and marginals follow without a second walk: half the
    /// steps of [`Self::block`], each position's x made once, no lane idle.
    ///
    /// ```text
    /// left   f_t = x_t (f_(t-1) M) / sum f_(t-1)     right  v_t = x_t (M v_(t+1)) / sum v_(t+1)     D: what x_t multiplies
    /// U_t = D_t * kept by the other / zz             P_t[i][j] = f_(t-1)[i] / sum f_(t-1) * M[i][j] * v_t[j] / zz
    /// ```
    fn block_from_both_ends(
        &self,
        block: &Block,
        memory: &mut [f32x8],
        pairs: &mut PairSums<'_, L>,
        chunk: &mut [f32],
        sums: &mut Sums,
    ) {
        let (zero, one) = (f32x8::ZERO, f32x8::ONE);
        let l = self.inputs.dims[1];
        let t = self.lines.length;
        let count = block.count;
        let gradient = !chunk.is_empty();
        let (rows, met) = (t.div_ceil(2), t / 2);
        let odd = rows > met;
        let (x, memory) = memory.split_at_mut(rows * L);
        let (kept, memory) = memory.split_at_mut(met * L);
        let (mm, memory) = memory.split_at_mut(L * L);
        let (a, memory) = memory.split_at_mut(CHUNK * L);
        let (v, memory) = memory.split_at_mut(CHUNK * L);
        let (u, y) = memory.split_at_mut(CHUNK * L);
        let [x, kept, mm, a, v, u] = [x, kept, mm, a, v, u].map(|rows| rows.as_chunks_mut::<L>().0);
        let y = &mut y[..rows];
        let left: f32x8 = bytemuck::cast([-1i32, -1, -1, -1, 0, 0, 0, 0]);
        let lengths_f = block.lengths_f();
        // The position of each lane at a step, and whether it exists, and whether what the right side came from does.
        let positions = |step: usize| {
            let (up, down) = (step as f32, (t - 1 - step) as f32);
            f32x8::from([up, up, up, up, down, down, down, down])
        };
        let existing = |step: usize| block.ragged.then(|| positions(step).simd_lt(lengths_f));
        let going_on = |step: usize| {
            block
                .ragged
                .then(|| left | (positions(step) + one).simd_lt(lengths_f))
        };

        // x of both halves, once.
        let starts = block
            .chain
            .map(|c| self.lines.emission.start(self.lines.inner, c));
        pack_both_ends::<L>(self.inputs.emissions, starts, &self.lines.emission, l, t, x);
        if self.reads_labels() {
            let starts = block
                .chain
                .map(|c| self.lines.label.start(self.lines.inner, c));
            for (step, y) in y.iter_mut().enumerate() {
                let labels: [i32; LANES] = core::array::from_fn(|lane| {
                    let position = if lane < HALF { step } else { t - 1 - step };
                    self.inputs.labels[starts[lane] + position * self.lines.label.step]
                });
                *y = bytemuck::cast(labels);
            }
        }
        if self.plan.boundaries {
            for (e, &score) in x[0][..l].iter_mut().zip(&self.scores.start) {
                *e += left & f32x8::splat(score);
            }
            for lane in 0..LANES {
                let Some(last) = block.lengths[lane].checked_sub(1) else {
                    continue;
                };
                let row = if lane < HALF { last } else { t - 1 - last };
                if row < rows {
                    for (e, &score) in x[row][..l].iter_mut().zip(&self.scores.end) {
                        e.as_mut_array()[lane] += score;
                    }
                }
            }
        }
        let mut total = self.steps(block, gradient, sums);
        let mut terms = zero;
        for (step, row) in x.iter_mut().enumerate() {
            let mut term = self.scaled(row, bytemuck::cast(y[step]), l);
            if let Some(exists) = existing(step) {
                for p in row.iter_mut() {
                    *p = exists.select(*p, zero);
                }
                term = exists.select(term, zero);
            }
            // The middle of an odd length is one position in two lanes.
            terms += if odd && step == met {
                left.select(term, zero)
            } else {
                term
            };
            if step % BLOCK == BLOCK - 1 || step + 1 == rows {
                flush_terms(&mut terms, &mut total);
            }
        }
        for (i, row) in mm.iter_mut().enumerate() {
            for (j, m) in row.iter_mut().enumerate() {
                let (up, down) = (self.scores.m[i][j], self.scores.m[j][i]);
                *m = f32x8::from([up, up, up, up, down, down, down, down]);
            }
        }

        // To the middle, keeping vectors.
        let mut state = [one; L];
        let mut inverse = one;
        let mut logs = LogSum::new();
        for step in 0..met {
            let mut dot = [one; L];
            if step > 0 {
                dot = times_both::<L>(&state, mm);
                if let Some(goes_on) = going_on(step) {
                    for dot in &mut dot {
                        *dot = goes_on.select(*dot, one);
                    }
                }
            }
            for k in 0..L {
                state[k] = (x[step][k] * inverse) * dot[k];
            }
            let mut z = sum_of(&state);
            if let Some(exists) = existing(step) {
                z = exists.select(z, one);
            }
            // Of an even length, the right side's last sum is part of what the two make where they meet.
            let split = !odd && step + 1 == met;
            logs.add(if split { left.select(z, one) } else { z });
            if step % BLOCK == BLOCK - 1 || step + 1 == met {
                logs.take(&mut total);
            }
            inverse = one / z;
            kept[step] = state;
        }
        flush_terms(&mut nothing_or_nan(&state), &mut total);

        // Past each other.
        let gradient_starts = block
            .chain
            .map(|c| self.lines.gradient.start(self.lines.inner, c) - block.gradient_base);
        pairs.flush(&self.scores.m, l, &mut sums.tables);
        let mut from = met;
        while from < t {
            let to = (from + CHUNK).min(t);
            for step in from..to {
                let mut dot = times_both::<L>(&state, mm);
                if let Some(goes_on) = going_on(step) {
                    for dot in &mut dot {
                        *dot = goes_on.select(*dot, one);
                    }
                }
                let at = step - from;
                for k in 0..L {
                    a[at][k] = state[k] * inverse;
                    dot[k] *= inverse;
                }
                let mirrored = t - 1 - step;
                for k in 0..L {
                    let x = if step < rows {
                        x[step][k]
                    } else {
                        swapped(x[mirrored][k])
                    };
                    state[k] = x * dot[k];
                }
                let exists = existing(step);
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
                    for lane in 0..count {
                        if met < block.lengths[lane] {
                            total[lane] += f64::from(ln[lane]);
                        }
                    }
                    if !gradient {
                        break;
                    }
                }
                let part = one / zz;
                // Both sides would count the pair across the middle: the left does, and neither that into a middle of its own.
                let mut counted = going_on(step)
                    .zip(exists)
                    .map(|(goes_on, exists)| left.select(exists, goes_on));
                if step == met {
                    let side = if odd { zero } else { left };
                    counted = Some(counted.map_or(side, |counted| counted & side));
                }
                for k in 0..L {
                    let p = joint[k] * part;
                    u[at][k] = exists.map_or(p, |exists| exists.select(p, zero));
                    let c = other[k] * part;
                    v[at][k] = counted.map_or(c, |counted| counted.select(c, zero));
                }
                if self.plan.evidence == Evidence::Gold {
                    let y: i32x8 = bytemuck::cast(if step < rows {
                        y[step]
                    } else {
                        swapped(y[mirrored])
                    });
                    let one = exists.map_or(one, |exists| exists & one);
                    for (k, u) in u[at][..l].iter_mut().enumerate() {
                        let is: f32x8 = bytemuck::cast(y.simd_eq(i32x8::splat(k as i32)));
                        *u -= is & one;
                    }
                }
            }
            if !gradient {
                break;
            }
            let done = to - from;
            pairs.add(&a[..done], &v[..done], l);
            pairs.drain(l, |i, j, sum| {
                let (up, down) = (self.scores.m[i][j], self.scores.m[j][i]);
                for lane in 0..count {
                    let table = &mut sums.tables[block.tables[lane]..];
                    table[i * l + j] += f64::from(sum[lane] * up);
                    table[j * l + i] += f64::from(sum[HALF + lane] * down);
                }
            });
            if self.plan.boundaries {
                for lane in 0..count {
                    let Some(last) = block.lengths[lane].checked_sub(1) else {
                        continue;
                    };
                    for (position, table) in [(0, l * l), (last, l * l + l)] {
                        let (step, lane_of) = if position < met {
                            (t - 1 - position, HALF + lane)
                        } else {
                            (position, lane)
                        };
                        if (from..to).contains(&step) {
                            let table = &mut sums.tables[block.tables[lane] + table..][..l];
                            for (sum, u) in table.iter_mut().zip(&u[step - from]) {
                                *sum += f64::from(u.as_array()[lane_of]);
                            }
                        }
                    }
                }
            }
            self.unpack_both_ends(chunk, gradient_starts, count, l, from, &u[..done]);
            from = to;
        }
        for lane in 0..count {
            sums.values[block.groups[lane]] += total[lane] + total[HALF + lane];
        }
    }

    /// Marginals of steps `from..` of [`Self::block_from_both_ends`] to where the gradient keeps them.
    fn unpack_both_ends(
        &self,
        out: &mut [f32],
        starts: [usize; LANES],
        count: usize,
        l: usize,
        from: usize,
        u: &[[f32x8; L]],
    ) {
        let strides = &self.lines.gradient;
        let scale = f32x8::splat(self.plan.scale);
        let t = self.lines.length;
        for (at, row) in u.iter().enumerate() {
            let step = from + at;
            let mirrored = t - 1 - step;
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
                        let value = if self.add {
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
                        *to = if self.add {
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

/// Zero in lanes whose vector is made of numbers, otherwise NaN.
fn nothing_or_nan<const L: usize>(vector: &[f32x8; L]) -> f32x8 {
    sum_of(vector) * f32x8::ZERO
}

/// The upper four lanes below, the lower four above.
#[inline(always)]
#[allow(clippy::inline_always, reason = "the loop's core")]
fn swapped(x: f32x8) -> f32x8 {
    let [below, above]: [f32x4; 2] = bytemuck::cast(x);
    bytemuck::cast([above, below])
}

/// `out[j] = sum_i w[i] * m[i][j]`, lane by lane.
#[inline(always)]
#[allow(
    clippy::inline_always,
    reason = "the loop's core: a call would spill every lane"
)]
fn times_both<const L: usize>(w: &[f32x8; L], m: &[[f32x8; L]]) -> [f32x8; L] {
    let mut out = [f32x8::ZERO; L];
    let mut j0 = 0;
    while j0 < L {
        let tile = if L - j0 < 8 { L - j0 } else { 8 };
        let mut sums = [f32x8::ZERO; 8];
        for i in 0..L {
            for j in 0..tile {
                sums[j] = w[i].mul_add(m[i][j0 + j], sums[j]);
            }
        }
        out[j0..j0 + tile].copy_from_slice(&sums[..tile]);
        j0 += 8;
    }
    out
}

/// Emissions of four chains, from the first position up in the lower lanes and from the last down in the upper ones.
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
