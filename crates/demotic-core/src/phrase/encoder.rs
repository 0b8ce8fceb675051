//! Phrase -> code -> ideas, taught on what ideas are called: a bag of hashed letter groups, or a gated
//! recurrent network over letters.
//!
//! ```text
//! code = sum over groups of table[hash(group)] / sqrt(groups);   p(idea | phrase) = softmax(code W + b)
//! code = last state of a GRU over table[hash(letter)]
//! ```
//!
//! # Source
//! Joulin, Grave, Bojanowski, Mikolov 2017, *Bag of Tricks for Efficient Text Classification*; Cho et al.
//! 2014 for the recurrent unit.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use super::recurrence::Recurrence;
use super::text::{Token, grams, tokens};
use crate::arrays::values_of;
use crate::data::fnv1a64;
use crate::model::Init;
use crate::settings::PhraseEncoderKind;

/// Rows of the table that letter groups, or letters, are hashed to.
const BUCKETS: u64 = 1 << 14;
/// Entries of a code.
pub(crate) const CODE: usize = 96;
/// Letter groups of a phrase that count.
const GROUPS: usize = 96;
/// Letters of a phrase that count.
const LETTERS: usize = 40;
/// Phrases at a time when codes are asked for.
const CHUNK: usize = 256;

fn bucket(name: &str) -> u32 {
    (fnv1a64(name.as_bytes()) % BUCKETS) as u32
}

/// Buckets of what an encoder of a kind looks at in a phrase: its letter groups, each once, in order; or its
/// letters as they come, with a blank behind each word.
pub(crate) fn units_of(kind: PhraseEncoderKind, phrase: &str) -> Vec<u32> {
    match kind {
        PhraseEncoderKind::Grams => {
            let mut bag: Vec<u32> = grams(phrase).iter().map(|gram| bucket(gram)).collect();
            bag.sort_unstable();
            bag.dedup();
            bag
        }
        PhraseEncoderKind::Recurrent => {
            let mut letters = Vec::new();
            for token in tokens(phrase) {
                let mut buffer = [0; 4];
                match token {
                    Token::Word(word) => {
                        for letter in word.chars() {
                            letters.push(bucket(letter.encode_utf8(&mut buffer)));
                        }
                        letters.push(bucket(" "));
                    }
                    Token::Han(letter) | Token::Sign(letter) => {
                        letters.push(bucket(letter.encode_utf8(&mut buffer)));
                    }
                }
            }
            letters
        }
    }
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
    /// Over letters; without it, a bag of letter groups.
    recurrence: Option<Recurrence>,
}

impl PhraseEncoder {
    pub(crate) fn new(init: &mut Init, kind: PhraseEncoderKind, ideas: usize) -> Self {
        Self {
            table: init.normal([BUCKETS as usize, CODE], 0.3),
            ideas: init.normal([CODE, ideas], (1.0 / CODE as f32).sqrt()),
            bias: init.constant([ideas], 0.0),
            recurrence: match kind {
                PhraseEncoderKind::Grams => None,
                PhraseEncoderKind::Recurrent => Some(Recurrence::new(init, CODE, CODE)),
            },
        }
    }

    fn kind(&self) -> PhraseEncoderKind {
        match self.recurrence {
            None => PhraseEncoderKind::Grams,
            Some(_) => PhraseEncoderKind::Recurrent,
        }
    }

    /// Codes of what [`units_of`] gives: `[n, CODE]`. Groups beyond the 96th and letters beyond the 40th are
    /// left out.
    pub(crate) fn codes(&self, phrases: &[Vec<u32>], device: &Device) -> Tensor<2> {
        match &self.recurrence {
            None => self.of_groups(phrases, device),
            Some(recurrence) => self.of_letters(recurrence, phrases, device),
        }
    }

    fn of_groups(&self, bags: &[Vec<u32>], device: &Device) -> Tensor<2> {
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

    fn of_letters(
        &self,
        recurrence: &Recurrence,
        phrases: &[Vec<u32>],
        device: &Device,
    ) -> Tensor<2> {
        let n = phrases.len();
        let steps = phrases.iter().map(Vec::len).max().unwrap_or(0).min(LETTERS);
        let mut state = Tensor::<2>::zeros([n, CODE], device);
        for step in 0..steps {
            let at = |letters: &Vec<u32>| letters.get(step).copied();
            let rows: Vec<i32> = phrases.iter().map(|p| at(p).unwrap_or(0) as i32).collect();
            // A phrase that has ended keeps its state.
            let exists = phrases.iter().map(|p| f32::from(u8::from(at(p).is_some())));
            let exists = TensorData::new(exists.collect::<Vec<f32>>(), [n, 1]);
            let exists = Tensor::<2>::from_data(exists, device);
            let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [n]), device);
            let input = recurrence.input(self.table.val().select(0, rows));
            let next = recurrence.advance(input, state.clone());
            state = state.clone() + (next - state) * exists;
        }
        state
    }

    /// `code W + b`: `[n, CODE] -> [n, ideas]`.
    pub(crate) fn logits(&self, codes: Tensor<2>) -> Tensor<2> {
        codes.matmul(self.ideas.val()) + self.bias.val().unsqueeze()
    }

    /// `log p(idea | phrase)` of phrases: `[n * ideas]`.
    pub(crate) fn log_probs(&self, phrases: &[&str], device: &Device) -> Vec<f32> {
        let mut all = Vec::new();
        for phrases in phrases.chunks(CHUNK) {
            let logits = self.logits(self.codes(&self.units(phrases), device));
            all.extend(values_of(activation::log_softmax(logits, 1)));
        }
        all
    }

    fn units(&self, phrases: &[&str]) -> Vec<Vec<u32>> {
        let kind = self.kind();
        phrases.iter().map(|text| units_of(kind, text)).collect()
    }

    /// Codes of phrases, each of length `sqrt(CODE)`: `[phrases][CODE]`.
    pub(crate) fn phrase_codes(&self, phrases: &[&str], device: &Device) -> Vec<Vec<f32>> {
        let mut all = Vec::new();
        for phrases in phrases.chunks(CHUNK) {
            let values = values_of(self.codes(&self.units(phrases), device));
            all.extend(values.chunks_exact(CODE).map(of_length));
        }
        all
    }

    /// The codes of all ideas, each of length `sqrt(CODE)`: `[ideas][CODE]`.
    pub(crate) fn idea_codes(&self) -> Vec<Vec<f32>> {
        let values = values_of(self.ideas.val().transpose());
        values.chunks_exact(CODE).map(of_length).collect()
    }
}

/// A code of length `sqrt(CODE)`.
pub(super) fn of_length(code: &[f32]) -> Vec<f32> {
    let length = code.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-6);
    let scale = (CODE as f32).sqrt();
    code.iter().map(|v| v / length * scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recurrent_encoder_reads_in_order_and_a_bag_does_not() {
        let device = Device::flex();
        for kind in [PhraseEncoderKind::Grams, PhraseEncoderKind::Recurrent] {
            let encoder = PhraseEncoder::new(&mut Init::new(5, 90, &device), kind, 7);
            let codes = |phrases: &[Vec<u32>]| values_of(encoder.codes(phrases, &device));
            let distance =
                |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum() };
            let there = units_of(kind, "dog bites");
            let mut back = there.clone();
            back.reverse();
            let moved = distance(&codes(std::slice::from_ref(&there)), &codes(&[back]));
            match kind {
                PhraseEncoderKind::Grams => assert!(moved < 1e-4, "{moved}"),
                PhraseEncoderKind::Recurrent => assert!(moved > 1e-2, "{moved}"),
            }
            // A phrase does not depend on its neighbours in a batch.
            let long = units_of(kind, "a much longer phrase 笑死我了");
            let both = codes(&[there.clone(), long]);
            assert!(distance(&both[..CODE], &codes(&[there])) < 1e-4);
            let log_probs = encoder.log_probs(&["dog bites", "", "笑死"], &device);
            assert_eq!(log_probs.len(), 3 * 7);
            for row in log_probs.chunks_exact(7) {
                assert!((row.iter().map(|p| p.exp()).sum::<f32>() - 1.0).abs() < 1e-4);
            }
        }
    }
}
