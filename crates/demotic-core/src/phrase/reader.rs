//! Picture -> code -> ideas: a small head on what the frozen eyes look at, into the codes of the phrase
//! encoder.
//!
//! ```text
//! code = tanh(look A + a) B + b;   p(idea | picture) = softmax(code W + w)   with the phrase encoder's W, w
//! ```

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData, activation};

use super::encoder::{CODE, PhraseEncoder, of_length};
use super::eyes::KEPT;
use crate::arrays::values_of;
use crate::model::Init;

/// Width of the hidden layer.
const HIDDEN: usize = 192;

/// The network.
#[derive(Module, Debug)]
pub(super) struct Reader {
    /// `[KEPT, HIDDEN]`
    hidden: Param<Tensor<2>>,
    /// `[HIDDEN]`
    hidden_bias: Param<Tensor<1>>,
    /// `[HIDDEN, CODE]`
    output: Param<Tensor<2>>,
    /// `[CODE]`
    output_bias: Param<Tensor<1>>,
}

impl Reader {
    pub(super) fn new(init: &mut Init) -> Self {
        Self {
            // Looks have length 1.
            hidden: init.normal([KEPT, HIDDEN], 2.0),
            hidden_bias: init.constant([HIDDEN], 0.0),
            output: init.normal([HIDDEN, CODE], (1.0 / HIDDEN as f32).sqrt()),
            output_bias: init.constant([CODE], 0.0),
        }
    }

    /// Codes of looks `[n * KEPT]`: `[n, CODE]`.
    pub(super) fn codes(&self, looks: Vec<f32>, device: &Device) -> Tensor<2> {
        let n = looks.len() / KEPT;
        let looks = Tensor::<2>::from_data(TensorData::new(looks, [n, KEPT]), device);
        let hidden = looks.matmul(self.hidden.val()) + self.hidden_bias.val().unsqueeze();
        hidden.tanh().matmul(self.output.val()) + self.output_bias.val().unsqueeze()
    }

    /// The code of one look, of length `sqrt(CODE)`.
    pub(super) fn code(&self, look: &[f32], device: &Device) -> Vec<f32> {
        of_length(&values_of(self.codes(look.to_vec(), device)))
    }

    /// `log p(idea | picture)` of looks: `[n * ideas]`.
    pub(super) fn log_probs(
        &self,
        encoder: &PhraseEncoder,
        looks: Vec<f32>,
        device: &Device,
    ) -> Vec<f32> {
        let logits = encoder.logits(self.codes(looks, device));
        values_of(activation::log_softmax(logits, 1))
    }
}
