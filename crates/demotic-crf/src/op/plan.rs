//! What one call of the operation computes, and where each chain lies in memory. Shared by the CPU loop and
//! the kernels.

use crate::config::{Directions, WgslKernel};

/// Below this a scaled log score counts as this: every product of two such probabilities stays a normal f32.
pub(crate) const LOG_FLOOR: f32 = -41.0;

/// Positions summed in one go before they are added to the total.
pub(crate) const BLOCK: usize = 32;

/// Which chains share one value and one table of transition gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Group {
    /// One value per picture.
    Picture,
    /// One value per chain (one direction only).
    Chain,
    /// One value in all.
    All,
}

/// What is known about the labels, and so what the value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Evidence {
    /// All labels known. Value: `-log p(labels)`.
    Gold,
    /// Labels other than `unknown` are held fixed. Value: log of the sum over labellings that agree, relative
    /// to `sum_t max_k e_t[k]` and the largest transition, so that two such values can be subtracted without
    /// loss.
    Held {
        /// The label value of unlabelled positions.
        unknown: i32,
    },
    /// Nothing known. Value: `log Z`, relative as for [`Evidence::Held`].
    Free,
    /// Nothing known. Value: `log Z` in full.
    LogPartition,
}

/// In which memory order a gradient is written; emissions may come in any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Order {
    /// `[b, l, h, w]`.
    Grid,
    /// `[n, t, l]`, seen as `[1, l, n, t]`.
    Sequence,
}

/// One call, beside its tensors.
///
/// Tensors are always seen as a grid: emissions `[b, l, h, w]`, labels `[b, h, w]`, potentials `[d, width]`
/// (for each direction the transitions row by row, then, where they count, start and end scores). A set of
/// chains `[n, t, l]` is `[1, l, n, t]` with rows only.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Plan {
    pub(crate) directions: Directions,
    pub(crate) group: Group,
    pub(crate) evidence: Evidence,
    pub(crate) order: Order,
    /// Whether the lengths `[n]` count; otherwise that tensor is a placeholder.
    pub(crate) ragged: bool,
    /// Whether start and end scores count, and stand behind the transitions.
    pub(crate) boundaries: bool,
    /// Multiplies values and gradients.
    pub(crate) scale: f32,
    /// Which WGSL kernel, where those compute.
    pub(crate) kernel: WgslKernel,
}

/// Element strides of the four axes a chain walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Strides {
    pub(crate) outer: usize,
    pub(crate) inner: usize,
    pub(crate) step: usize,
    pub(crate) label: usize,
}

/// One direction's chains: chain `c` starts at `(c / inner) * outer stride + (c % inner) * inner stride`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lines {
    pub(crate) chains: usize,
    pub(crate) length: usize,
    pub(crate) inner: usize,
    pub(crate) emission: Strides,
    pub(crate) label: Strides,
    pub(crate) gradient: Strides,
}

impl Strides {
    pub(crate) fn start(&self, inner_count: usize, chain: usize) -> usize {
        (chain / inner_count) * self.outer + (chain % inner_count) * self.inner
    }
}

impl Plan {
    /// `true` for rows, then `false` for columns, as far as each direction counts.
    pub(crate) fn rows_and_columns(&self) -> impl Iterator<Item = bool> + use<> {
        let directions = self.directions;
        [true, false].into_iter().filter(move |&rows| {
            directions
                == if rows {
                    Directions::Rows
                } else {
                    Directions::Columns
                }
                || directions == Directions::Both
        })
    }

    /// Number of directions, the potentials' first axis.
    pub(crate) fn direction_count(&self) -> usize {
        if self.directions == Directions::Both {
            2
        } else {
            1
        }
    }

    /// Scores of one direction: `l * l`, and `2 l` more with boundaries.
    pub(crate) fn width(&self, l: usize) -> usize {
        l * l + if self.boundaries { 2 * l } else { 0 }
    }

    /// Number of values that come out.
    pub(crate) fn groups(&self, [b, _, h, w]: [usize; 4]) -> usize {
        match self.group {
            Group::Picture => b,
            Group::All => 1,
            Group::Chain if self.directions == Directions::Columns => b * w,
            Group::Chain => b * h,
        }
    }

    /// Whether each group's gradient by emissions is one piece of memory.
    pub(crate) fn group_in_one_piece(&self) -> bool {
        matches!(
            (self.group, self.order),
            (Group::All, _) | (Group::Picture, Order::Grid) | (Group::Chain, Order::Sequence)
        )
    }

    /// The group of a chain.
    pub(crate) fn group_of(&self, lines: &Lines, chain: usize) -> usize {
        match self.group {
            Group::Picture => chain / lines.inner,
            Group::Chain => chain,
            Group::All => 0,
        }
    }

    /// Strides of the gradient, seen as `[b, l, h, w]`.
    pub(crate) fn gradient_strides(&self, [_, l, h, w]: [usize; 4]) -> [usize; 4] {
        match self.order {
            Order::Grid => [l * h * w, h * w, w, 1],
            Order::Sequence => [l * h * w, 1, w * l, l],
        }
    }

    /// The chains of one direction; strides of emissions `[b, l, h, w]` and labels `[b, h, w]` as their
    /// tensors have them.
    pub(crate) fn lines(
        &self,
        rows: bool,
        dims: [usize; 4],
        emission: [usize; 4],
        label: [usize; 3],
    ) -> Lines {
        let [b, _, h, w] = dims;
        let gradient = self.gradient_strides(dims);
        let of = |s: [usize; 4]| {
            let (inner, step) = if rows { (s[2], s[3]) } else { (s[3], s[2]) };
            Strides {
                outer: s[0],
                inner,
                step,
                label: s[1],
            }
        };
        let (inner, length) = if rows { (h, w) } else { (w, h) };
        Lines {
            chains: b * inner,
            length,
            inner,
            emission: of(emission),
            label: of([label[0], 0, label[1], label[2]]),
            gradient: of(gradient),
        }
    }
}
