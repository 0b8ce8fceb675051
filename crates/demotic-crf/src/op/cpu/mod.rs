//! The CPU's fused loops: forward, backward, marginals and transition sums of eight chains at a time, one to
//! a SIMD lane (or four from both ends), blocks of chains spread over threads. Scaled probabilities with
//! locally normalised marginals; no tensor operation inside.

mod both_ends;
mod forward_backward;
mod lanes;
mod sums;
mod sweep;
mod viterbi;

use std::cell::RefCell;

use rayon::prelude::*;
use wide::f32x8;

use self::both_ends::BothEnds;
use self::lanes::{HALF, LANES};
use self::sums::{PairSums, Sums};
pub(crate) use self::sweep::Inputs;
use self::sweep::{Block, Place, Scores, Sweep};
pub(crate) use self::viterbi::viterbi;
use super::plan::{Group, Order, Plan};

/// Vectors of working memory that a thread keeps from call to call: 4 MiB.
const MEMORY_KEPT: usize = 1 << 17;

/// Multiply-adds below which a second thread costs more than it brings (waking one takes some 10 us).
const FMAS_PER_THREAD: usize = 200_000;

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
    // One compiled loop per label count up to 10, then coarser steps with padding labels of probability zero.
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

fn run_as<const L: usize>(inputs: &Inputs<'_>, plan: &Plan, gradient: bool) -> Outputs {
    let units = Units::<L>::new(inputs, plan, gradient);
    let mut emissions = if gradient {
        vec![0.0f32; units.items * units.item_len]
    } else {
        vec![]
    };
    let sums = units.run(&mut emissions);
    let (values, potentials) = if plan.group == Group::All {
        units.total(&sums)
    } else {
        units.joined(&sums)
    };
    Outputs {
        values,
        emissions,
        potentials,
    }
}

/// A call cut into units that threads take. A unit is a run of whole pictures (of chains, for sequences): its
/// gradient is one piece of memory, so threads share nothing. Its size depends on sizes alone, never on the
/// thread count: sums come out the same to the bit.
struct Units<'a, const L: usize> {
    inputs: &'a Inputs<'a>,
    plan: &'a Plan,
    gradient: bool,
    sweeps: Vec<Sweep<'a, L>>,
    /// Pictures, or chains of a sequence.
    items: usize,
    /// Elements of an item's gradient.
    item_len: usize,
    /// Items of a unit.
    unit: usize,
}

impl<'a, const L: usize> Units<'a, L> {
    fn new(inputs: &'a Inputs<'a>, plan: &'a Plan, gradient: bool) -> Self {
        let dims @ [b, l, h, w] = inputs.dims;
        let width = plan.width(l);
        let sweeps = plan
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
        Self {
            inputs,
            plan,
            gradient,
            sweeps,
            items,
            item_len,
            unit,
        }
    }

    /// Sums of every unit, in order; the gradient into `emissions` unless that is empty.
    fn run(&self, emissions: &mut [f32]) -> Vec<Sums> {
        let [b, l, h, w] = self.inputs.dims;
        let units = self.items.div_ceil(self.unit);
        let piece = self.unit * self.item_len;
        let fmas_a_position = l * (l * if self.gradient { 3 } else { 1 } + 8);
        let threaded = units > 1
            && b * h * w * fmas_a_position * self.plan.direction_count() > FMAS_PER_THREAD;
        match (self.gradient, threaded) {
            (true, true) => emissions
                .par_chunks_mut(piece)
                .enumerate()
                .map(|(u, chunk)| self.unit(u, chunk))
                .collect(),
            (true, false) => emissions
                .chunks_mut(piece)
                .enumerate()
                .map(|(u, chunk)| self.unit(u, chunk))
                .collect(),
            (false, true) => (0..units)
                .into_par_iter()
                .map(|u| self.unit(u, &mut []))
                .collect(),
            (false, false) => (0..units).map(|u| self.unit(u, &mut [])).collect(),
        }
    }

    /// One unit: its sums, and its gradient into `chunk` unless that is empty.
    fn unit(&self, index: usize, chunk: &mut [f32]) -> Sums {
        let [_, l, h, w] = self.inputs.dims;
        let (plan, width) = (self.plan, self.plan.width(l));
        let from = index * self.unit;
        let to = (from + self.unit).min(self.items);
        let groups = self.groups_of(to - from);
        let mut sums = Sums {
            values: vec![0.0; groups],
            tables: if self.gradient {
                vec![0.0; plan.direction_count() * groups * width]
            } else {
                vec![]
            },
        };
        with_memory(memory_wanted::<L>(h.max(w)), |memory| {
            let (pair_sums, memory) = memory.split_at_mut(L * L);
            let mut pairs = PairSums::<L>::new(pair_sums.as_chunks_mut::<L>().0);
            for (d, sweep) in self.sweeps.iter().enumerate() {
                let chains = match plan.order {
                    Order::Grid => from * sweep.lines.inner..to * sweep.lines.inner,
                    Order::Sequence => from..to,
                };
                let place = Place {
                    first_group: plan.group_of(&sweep.lines, chains.start),
                    gradient_base: sweep.lines.gradient.start(sweep.lines.inner, chains.start),
                    table: d * groups * width,
                };
                for first in chains.clone().step_by(LANES) {
                    let count = (chains.end - first).min(LANES);
                    let block = Block::new(sweep, first, count, &place);
                    if count <= HALF && sweep.lines.length > 1 {
                        BothEnds::run(sweep, &block, memory, &mut pairs, chunk, &mut sums);
                    } else {
                        sweep.forward_backward(&block, memory, &mut pairs, chunk, &mut sums);
                    }
                }
                pairs.flush(&sweep.scores.m, l, &mut sums.tables);
            }
        });
        sums
    }

    /// Groups of a unit of this many items.
    fn groups_of(&self, items: usize) -> usize {
        match (self.plan.group, self.plan.order) {
            (Group::All, _) => 1,
            (Group::Picture, _) | (Group::Chain, Order::Sequence) => items,
            (Group::Chain, Order::Grid) => self.sweeps.iter().map(|s| s.lines.inner * items).sum(),
        }
    }

    /// The one group's value and tables, out of all units.
    fn total(&self, sums: &[Sums]) -> (Vec<f32>, Vec<f32>) {
        let scale = f64::from(self.plan.scale);
        let mut value = 0.0;
        let mut table = vec![0.0; sums.first().map_or(0, |unit| unit.tables.len())];
        for unit in sums {
            value += unit.values[0];
            table
                .iter_mut()
                .zip(&unit.tables)
                .for_each(|(sum, part)| *sum += part);
        }
        (
            vec![(value * scale) as f32],
            table.iter().map(|sum| (sum * scale) as f32).collect(),
        )
    }

    /// Every group's value and tables: each lies in one unit.
    fn joined(&self, sums: &[Sums]) -> (Vec<f32>, Vec<f32>) {
        let width = self.plan.width(self.inputs.dims[1]);
        let groups = self.plan.groups(self.inputs.dims);
        let directions = self.plan.direction_count();
        let scale = f64::from(self.plan.scale);
        let tables = if self.gradient { directions } else { 0 };
        let mut values = Vec::with_capacity(groups);
        let mut potentials = vec![0.0f32; tables * groups * width];
        for unit in sums {
            let first = values.len();
            values.extend(unit.values.iter().map(|v| (v * scale) as f32));
            let len = unit.values.len() * width;
            for d in 0..tables {
                let from = &unit.tables[d * len..(d + 1) * len];
                let to = &mut potentials[(d * groups + first) * width..][..len];
                to.iter_mut()
                    .zip(from)
                    .for_each(|(out, sum)| *out = (sum * scale) as f32);
            }
        }
        (values, potentials)
    }
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

/// Vectors that a unit of chains `length` long needs: pair sums, then a block's x, forward vectors, marginals
/// and labels.
const fn memory_wanted<const L: usize>(length: usize) -> usize {
    L * L + (3 * L + 1) * (length + both_ends::CHUNK + 1) + L * L
}
