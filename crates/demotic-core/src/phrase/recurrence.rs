//! A gated recurrent unit: `state + update * (tanh(proposal) - state)`.
//!
//! # Source
//! Cho et al. 2014.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};

use crate::model::Init;

/// The unit. Columns of its weights are update, reset and proposal, one after the other.
#[derive(Module, Debug)]
pub(super) struct Recurrence {
    /// `[from, 3 width]`
    input: Param<Tensor<2>>,
    /// `[width, 3 width]`
    state: Param<Tensor<2>>,
    /// `[3 width]`
    bias: Param<Tensor<1>>,
}

impl Recurrence {
    pub(super) fn new(init: &mut Init, from: usize, width: usize) -> Self {
        Self {
            input: init.normal([from, 3 * width], (1.0 / from as f32).sqrt()),
            state: init.normal([width, 3 * width], (1.0 / width as f32).sqrt()),
            bias: init.constant([3 * width], 0.0),
        }
    }

    /// What an input adds to a step: `[b, from] -> [b, 3 width]`.
    pub(super) fn input(&self, input: Tensor<2>) -> Tensor<2> {
        input.matmul(self.input.val()) + self.bias.val().unsqueeze()
    }

    /// One step: `[b, 3 width]`, `[b, width] -> [b, width]`.
    pub(super) fn advance(&self, input: Tensor<2>, state: Tensor<2>) -> Tensor<2> {
        advance(input, state, self.state.val())
    }
}

/// One step of a unit whose weights from state to state are `[width, 3 width]`.
pub(super) fn advance(input: Tensor<2>, state: Tensor<2>, weights: Tensor<2>) -> Tensor<2> {
    let [_, width] = state.dims();
    let own = state.clone().matmul(weights);
    let thirds = |x: Tensor<2>| x.split(width, 1);
    let (input, own) = (thirds(input), thirds(own));
    let update = activation::sigmoid(input[0].clone() + own[0].clone());
    let reset = activation::sigmoid(input[1].clone() + own[1].clone());
    let proposal = (input[2].clone() + reset * own[2].clone()).tanh();
    state.clone() + update * (proposal - state)
}
