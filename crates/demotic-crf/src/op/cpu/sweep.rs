//! One direction of a call on the CPU: its scores, its chains block by block, and what each position's
//! emissions become.

use wide::{f32x8, i32x8};

use super::lanes::{HALF, LANES, exp_scaled, floored};
use super::sums::Sums;
use crate::config::FORBIDDEN;
use crate::op::plan::{Evidence, Lines, Plan, Strides};

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

/// One direction's scores, padded to `L` labels.
pub(super) struct Scores<const L: usize> {
    /// `exp(max(A - top, -41))`, 0 where forbidden.
    pub(super) m: Box<[[f32; L]; L]>,
    /// `top - A`, `l * l`.
    gap: Vec<f64>,
    top: f32,
    pub(super) start: [f32; L],
    pub(super) end: [f32; L],
}

impl<const L: usize> Scores<L> {
    pub(super) fn new(potentials: &[f32], l: usize) -> Self {
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

/// Everything a block needs to know about its direction.
pub(super) struct Sweep<'a, const L: usize> {
    pub(super) inputs: &'a Inputs<'a>,
    pub(super) plan: &'a Plan,
    pub(super) lines: Lines,
    pub(super) scores: Scores<L>,
    /// Whether the gradient is added to what the other direction wrote.
    pub(super) add: bool,
}

/// Where a unit's results go.
pub(super) struct Place {
    pub(super) first_group: usize,
    pub(super) gradient_base: usize,
    pub(super) table: usize,
}

/// Up to eight chains, one per lane; lanes beyond `count` repeat the first and their results are dropped.
/// From both ends: up to four chains, and lane `c + 4` is chain `c` too.
pub(super) struct Block {
    pub(super) count: usize,
    pub(super) chain: [usize; LANES],
    pub(super) lengths: [usize; LANES],
    /// Whether a chain ends before the last position.
    pub(super) ragged: bool,
    /// First element of each chain's group in the tables.
    pub(super) tables: [usize; LANES],
    /// Each chain's group among the unit's values.
    pub(super) groups: [usize; LANES],
    pub(super) gradient_base: usize,
}

impl Block {
    pub(super) fn new<const L: usize>(
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

    #[inline]
    pub(super) fn lengths_f(&self) -> f32x8 {
        f32x8::from(self.lengths.map(|length| length as f32))
    }
}

impl<const L: usize> Sweep<'_, L> {
    /// The first element of each chain's values.
    #[inline]
    pub(super) fn starts(&self, block: &Block, strides: &Strides) -> [usize; LANES] {
        block
            .chain
            .map(|chain| strides.start(self.lines.inner, chain))
    }

    pub(super) fn reads_labels(&self) -> bool {
        matches!(self.plan.evidence, Evidence::Gold | Evidence::Held { .. })
    }

    /// What transitions add to each chain's value beside the logarithms: the gold ones, which also leave the
    /// tables, or the largest score at every step for a `log Z` in full.
    pub(super) fn gold_transitions(
        &self,
        block: &Block,
        gradient: bool,
        sums: &mut Sums,
    ) -> [f64; LANES] {
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

    /// Turns a row of emissions into `x[k] = exp(max(e[k] - m, -41))` and returns what the position adds to
    /// the value beside log z.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "the loop's core")]
    pub(super) fn scaled(&self, row: &mut [f32x8; L], y: i32x8, l: usize) -> f32x8 {
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
}
