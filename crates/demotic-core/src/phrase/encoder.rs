//! Phrase -> code -> ideas: a bag of hashed letter groups, taught on what ideas are called.
//!
//! ```text
//! code = sum over groups of table[hash(group)] / sqrt(groups);   p(idea | phrase) = softmax(code W + b)
//! ```
//!
//! # Source
//! Joulin, Grave, Bojanowski, Mikolov 2017, *Bag of Tricks for Efficient Text Classification*.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use super::text::grams;
use crate::arrays::values_of;
use crate::data::fnv1a64;
use crate::model::Init;

/// Rows of the table that letter groups are hashed to.
const BUCKETS: u64 = 1 << 14;
/// Entries of a code.
pub(crate) const CODE: usize = 96;
/// Letter groups of a phrase that count.
const GROUPS: usize = 96;
/// Phrases at a time when codes are asked for.
const CHUNK: usize = 256;

/// Buckets of a phrase's letter groups, each once, in order.
pub(crate) fn bag(phrase: &str) -> Vec<u32> {
    let hashed = grams(phrase)
        .into_iter()
        .map(|gram| (fnv1a64(gram.as_bytes()) % BUCKETS) as u32);
    let mut bag: Vec<u32> = hashed.collect();
    bag.sort_unstable();
    bag.dedup();
    bag
}

/// The network.
#[derive(Module, Debug)]
pub(super) struct PhraseEncoder {
    /// `[BUCKETS, CODE]`
    table: Param<Tensor<2>>,
    /// `[CODE, ideas]`: a column is the code of an idea.
    ideas: Param<Tensor<2>>,
    /// `[ideas]`
    bias: Param<Tensor<1>>,
}

impl PhraseEncoder {
    pub(crate) fn new(init: &mut Init, ideas: usize) -> Self {
        Self {
            table: init.normal([BUCKETS as usize, CODE], 0.3),
            ideas: init.normal([CODE, ideas], (1.0 / CODE as f32).sqrt()),
            bias: init.constant([ideas], 0.0),
        }
    }

    /// Codes of bags: `[n, CODE]`. Groups beyond the 96th of a bag are left out.
    pub(crate) fn codes(&self, bags: &[Vec<u32>], device: &Device) -> Tensor<2> {
        let n = bags.len();
        let mut rows = vec![0_i32; n * GROUPS];
        let mut weights = vec![0.0_f32; n * GROUPS];
        for (i, bag) in bags.iter().enumerate() {
            let count = bag.len().min(GROUPS);
            for (slot, bucket) in bag.iter().take(GROUPS).enumerate() {
                rows[i * GROUPS + slot] = *bucket as i32;
                weights[i * GROUPS + slot] = 1.0 / (count as f32).sqrt();
            }
        }
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [n * GROUPS]), device);
        let weights = Tensor::<3>::from_data(TensorData::new(weights, [n, GROUPS, 1]), device);
        let found = self.table.val().select(0, rows).reshape([n, GROUPS, CODE]);
        (found * weights).sum_dim(1).reshape([n, CODE])
    }

    /// `code W + b`: `[n, CODE] -> [n, ideas]`.
    pub(crate) fn logits(&self, codes: Tensor<2>) -> Tensor<2> {
        codes.matmul(self.ideas.val()) + self.bias.val().unsqueeze()
    }

    /// `log p(idea | phrase)` of phrases: `[n * ideas]`.
    pub(crate) fn log_probs(&self, phrases: &[&str], device: &Device) -> Vec<f32> {
        let mut all = Vec::new();
        for phrases in phrases.chunks(CHUNK) {
            let bags: Vec<Vec<u32>> = phrases.iter().map(|phrase| bag(phrase)).collect();
            let logits = self.logits(self.codes(&bags, device));
            all.extend(values_of(activation::log_softmax(logits, 1)));
        }
        all
    }

    /// The codes of all ideas, each of length `sqrt(CODE)`: `[ideas][CODE]`.
    pub(crate) fn idea_codes(&self) -> Vec<Vec<f32>> {
        let values = values_of(self.ideas.val().transpose());
        let rows = values.chunks_exact(CODE);
        rows.map(|row| {
            let length = row.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-6);
            row.iter()
                .map(|v| v / length * (CODE as f32).sqrt())
                .collect()
        })
        .collect()
    }
}
