//! What the tokens of a text look like: fake, of a real name, of what people really say. Emissions are local
//! (a token and its neighbours), a linear-chain CRF scores the labels of neighbours together.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use demotic_crf::{LinearChainCrf, LinearChainCrfConfig, Reduction};
use serde::Serialize;

use super::table::Register;
use super::text::{Token, stem, tokens};
use crate::arrays::values_of;
use crate::data::fnv1a64;
use crate::model::Init;
use crate::rng::Rng;

/// Labels of a token.
const LABELS: usize = 3;
/// Label of a token that was made up.
pub(crate) const FAKE: usize = 0;
/// Rows of the table that features are hashed to.
const BUCKETS: u64 = 1 << 13;
/// Entries of a feature's vector.
const WIDTH: usize = 32;
/// Features of a token that count.
const FEATURES: usize = 24;
/// Most tokens of a text that are labelled.
pub(crate) const MAX_TOKENS: usize = 32;
/// Bound of the transitions, as in the pictures' discriminator: beyond it neighbours outvote what stands
/// there.
const A_MAX: f32 = 1.0;

/// The label of a real phrase's tokens.
pub(crate) fn real_label(register: Register) -> usize {
    match register {
        Register::Name | Register::Tag => 1,
        Register::Colloquial | Register::Rude => 2,
    }
}

/// A token with the probabilities of its labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Labelled {
    /// The token.
    pub token: String,
    /// `fake`, `name` or `colloquial`: the most probable.
    pub label: &'static str,
    /// Probability that it was made up.
    pub fake: f32,
    /// Probability that it is of a real name.
    pub name: f32,
    /// Probability that it is of what people really say.
    pub colloquial: f32,
}

/// A text with the label of each token.
#[derive(Debug, Clone)]
pub(crate) struct Example {
    pub(crate) tokens: Vec<String>,
    pub(crate) labels: Vec<usize>,
}

impl Example {
    /// A whole phrase of one label; `None` where it has no token or too many.
    pub(crate) fn whole(text: &str, label: usize) -> Option<Self> {
        let tokens = words(text);
        let fits = (1..=MAX_TOKENS).contains(&tokens.len());
        fits.then(|| Self {
            labels: vec![label; tokens.len()],
            tokens,
        })
    }

    /// A kaomoji of one label; `None` where it has no sign or too many.
    pub(crate) fn of_signs(face: &str, label: usize) -> Option<Self> {
        let tokens = signs(face);
        let fits = (1..=MAX_TOKENS).contains(&tokens.len());
        fits.then(|| Self {
            labels: vec![label; tokens.len()],
            tokens,
        })
    }

    /// A batch: real ones, fakes and spliced ones in equal parts. Neither list is empty.
    pub(crate) fn mixed(real: &[Self], fake: &[Self], batch: usize, rng: &mut Rng) -> Vec<Self> {
        let any = |of: &[Self], rng: &mut Rng| of[rng.below(of.len() as u32) as usize].clone();
        let one = |slot: usize| match slot % 3 {
            0 => any(real, rng),
            1 => any(fake, rng),
            _ => {
                let (a, b) = (any(real, rng), any(fake, rng));
                match rng.below(4) {
                    0 => Self::spliced(&a, &b, rng),
                    1 => Self::spliced(&b, &a, rng),
                    // Seams alone must not give a fake away.
                    2 => Self::spliced(&a, &any(real, rng), rng),
                    _ => Self::spliced(&b, &any(fake, rng), rng),
                }
            }
        };
        (0..batch).map(one).collect()
    }

    /// The beginning of one phrase and the end of another, each with its labels; of two single tokens both.
    pub(crate) fn spliced(a: &Self, b: &Self, rng: &mut Rng) -> Self {
        let cut = |example: &Self, rng: &mut Rng| rng.below(example.tokens.len() as u32) as usize;
        let (end, start) = (cut(a, rng) + 1, cut(b, rng));
        let join = |a: &[String], b: &[String]| [a, b].concat();
        let mut tokens = join(&a.tokens[..end], &b.tokens[start..]);
        let mut labels = [&a.labels[..end], &b.labels[start..]].concat();
        tokens.truncate(MAX_TOKENS);
        labels.truncate(MAX_TOKENS);
        Self { tokens, labels }
    }
}

/// Tokens as the discriminator sees them.
pub(crate) fn words(text: &str) -> Vec<String> {
    tokens(text)
        .into_iter()
        .map(|token| match token {
            Token::Word(word) => word,
            Token::Han(letter) | Token::Sign(letter) => letter.to_string(),
        })
        .collect()
}

/// Signs of a kaomoji as the discriminator sees them.
pub(super) fn signs(face: &str) -> Vec<String> {
    face.chars().map(String::from).collect()
}

/// Buckets of what can be seen at a token: itself, its stem, its groups of three letters, both neighbours and
/// the pairs with them.
fn features(tokens: &[String], at: usize) -> Vec<u32> {
    let near = |offset: isize| {
        let place = at
            .checked_add_signed(offset)
            .and_then(|place| tokens.get(place));
        place.map_or("|", String::as_str)
    };
    let own = near(0);
    let mut names = vec![
        format!("0 {own}"),
        format!("- {}", near(-1)),
        format!("+ {}", near(1)),
        format!("-0 {} {own}", near(-1)),
        format!("0+ {own} {}", near(1)),
        format!("-+ {} {}", near(-1), near(1)),
        format!("s {}", stem(own)),
        format!("n {}", own.chars().count().min(9)),
    ];
    let letters: Vec<char> = format!("<{own}>").chars().collect();
    names.extend(
        letters
            .windows(3)
            .map(|group| format!("3 {}", group.iter().collect::<String>())),
    );
    names.truncate(FEATURES);
    names
        .iter()
        .map(|name| (fnv1a64(name.as_bytes()) % BUCKETS) as u32)
        .collect()
}

/// The network.
#[derive(Module, Debug)]
pub struct TextDiscriminator {
    /// `[BUCKETS, WIDTH]`
    table: Param<Tensor<2>>,
    /// `[WIDTH, LABELS]`
    output: Param<Tensor<2>>,
    /// `[LABELS]`
    bias: Param<Tensor<1>>,
    crf: LinearChainCrf,
}

/// Texts as tensors.
struct Batch {
    /// `[n, t, LABELS]`
    emissions: Tensor<3>,
    /// `[n]`
    lengths: Tensor<1, Int>,
    steps: usize,
}

impl TextDiscriminator {
    pub(crate) fn new(init: &mut Init) -> Self {
        Self {
            table: init.normal([BUCKETS as usize, WIDTH], 0.1),
            output: init.normal([WIDTH, LABELS], (1.0 / WIDTH as f32).sqrt()),
            bias: init.constant([LABELS], 0.0),
            crf: LinearChainCrfConfig::new(LABELS)
                .with_a_max(Some(A_MAX))
                .init(init.device()),
        }
    }

    fn batch(&self, texts: &[&[String]], device: &Device) -> Batch {
        let n = texts.len();
        let steps = texts
            .iter()
            .map(|tokens| tokens.len())
            .max()
            .unwrap_or(1)
            .max(1);
        let cells = n * steps;
        let mut rows = vec![0_i32; cells * FEATURES];
        let mut weights = vec![0.0_f32; cells * FEATURES];
        for (i, tokens) in texts.iter().enumerate() {
            for at in 0..tokens.len() {
                let found = features(tokens, at);
                let weight = 1.0 / (found.len() as f32).sqrt();
                for (slot, bucket) in found.into_iter().enumerate() {
                    let place = (i * steps + at) * FEATURES + slot;
                    rows[place] = bucket as i32;
                    weights[place] = weight;
                }
            }
        }
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [cells * FEATURES]), device);
        let weights =
            Tensor::<3>::from_data(TensorData::new(weights, [cells, FEATURES, 1]), device);
        let found = self
            .table
            .val()
            .select(0, rows)
            .reshape([cells, FEATURES, WIDTH]);
        let seen = activation::tanh((found * weights).sum_dim(1).reshape([cells, WIDTH]));
        let emissions = seen.matmul(self.output.val()) + self.bias.val().unsqueeze();
        let lengths: Vec<i32> = texts.iter().map(|tokens| tokens.len() as i32).collect();
        Batch {
            emissions: emissions.reshape([n, steps, LABELS]),
            lengths: Tensor::from_data(TensorData::new(lengths, [n]), device),
            steps,
        }
    }

    /// Mean negative log-likelihood of the labels, nats a token: as a chain, or each token by itself.
    pub(crate) fn loss(&self, examples: &[&Example], chain: bool, device: &Device) -> Tensor<1> {
        let texts: Vec<&[String]> = examples.iter().map(|e| e.tokens.as_slice()).collect();
        let batch = self.batch(&texts, device);
        let (n, t) = (examples.len(), batch.steps);
        let label = |i: usize, at: usize| examples[i].labels.get(at).map(|label| *label as i32);
        let cells = (0..n).flat_map(|i| (0..t).map(move |at| (i, at)));
        let labels: Vec<i32> = cells
            .clone()
            .map(|(i, at)| label(i, at).unwrap_or(0))
            .collect();
        let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [n, t]), device);
        if chain {
            return self.crf.negative_log_likelihood(
                batch.emissions,
                labels,
                Some(batch.lengths),
                Reduction::MeanPerPosition,
            );
        }
        let exists: Vec<f32> = cells
            .map(|(i, at)| f32::from(u8::from(label(i, at).is_some())))
            .collect();
        let total: f32 = exists.iter().sum();
        let exists = Tensor::<2>::from_data(TensorData::new(exists, [n, t]), device);
        let gold = activation::log_softmax(batch.emissions, 2)
            .gather(2, labels.reshape([n, t, 1]))
            .reshape([n, t]);
        (gold * exists).sum().neg() / total
    }

    /// Probabilities of the labels of each token, `[fake, name, colloquial]`: as a chain, or each token by
    /// itself.
    pub(crate) fn label(
        &self,
        texts: &[&[String]],
        chain: bool,
        device: &Device,
    ) -> Vec<Vec<[f32; LABELS]>> {
        let texts: Vec<&[String]> = texts
            .iter()
            .map(|tokens| &tokens[..tokens.len().min(MAX_TOKENS)])
            .collect();
        let batch = self.batch(&texts, device);
        let probs = if chain {
            self.crf.marginals(batch.emissions, Some(batch.lengths))
        } else {
            activation::softmax(batch.emissions, 2)
        };
        let values = values_of(probs);
        texts
            .iter()
            .zip(values.chunks_exact(batch.steps * LABELS))
            .map(|(tokens, row)| {
                let cells = row.as_chunks::<LABELS>().0.iter().copied();
                cells.take(tokens.len()).collect()
            })
            .collect()
    }

    /// The tokens of a text with their labels; at most the first 32.
    pub fn read(&self, text: &str, device: &Device) -> Vec<Labelled> {
        let tokens = words(text);
        if tokens.is_empty() {
            return Vec::new();
        }
        let probs = self.label(&[&tokens], true, device).remove(0);
        tokens
            .into_iter()
            .zip(probs)
            .map(|(token, [fake, name, colloquial])| Labelled {
                token,
                label: if fake >= name && fake >= colloquial {
                    "fake"
                } else if name >= colloquial {
                    "name"
                } else {
                    "colloquial"
                },
                fake,
                name,
                colloquial,
            })
            .collect()
    }

    /// Mean probability that the tokens of texts are real.
    pub(crate) fn realness(&self, texts: &[&str], device: &Device) -> Vec<f32> {
        let tokens: Vec<Vec<String>> = texts.iter().map(|text| words(text)).collect();
        let slices: Vec<&[String]> = tokens.iter().map(Vec::as_slice).collect();
        let probs = self.label(&slices, true, device);
        let mean = |row: &Vec<[f32; LABELS]>| {
            let real: f32 = row.iter().map(|cell| 1.0 - cell[FAKE]).sum();
            real / row.len().max(1) as f32
        };
        probs.iter().map(mean).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn spliced_phrases_keep_the_labels_of_their_parts() {
        let a = Example::whole("so very tired", 2).expect("it has tokens");
        let b = Example::whole("笑哭了", FAKE).expect("it has tokens");
        let mut rng = Rng::new(1, Stream::TEST, 0);
        for _ in 0..50 {
            let spliced = Example::spliced(&a, &b, &mut rng);
            assert_eq!(spliced.tokens.len(), spliced.labels.len());
            assert!(spliced.tokens.len() >= 2);
            for (token, label) in spliced.tokens.iter().zip(&spliced.labels) {
                assert_eq!(*label == FAKE, !token.is_ascii());
            }
        }
        assert!(Example::whole("?!", 1).is_none());
    }

    #[test]
    fn labels_sum_to_one_and_do_not_depend_on_neighbouring_texts() {
        let device = Device::flex();
        let net = TextDiscriminator::new(&mut Init::new(3, 90, &device));
        let texts = [
            "so tired",
            "笑死我了",
            "a much longer text about nothing at all",
        ]
        .map(words);
        let slices: Vec<&[String]> = texts.iter().map(Vec::as_slice).collect();
        for chain in [true, false] {
            let together = net.label(&slices, chain, &device);
            for (text, row) in slices.iter().zip(&together) {
                assert_eq!(row.len(), text.len());
                assert!(
                    row.iter()
                        .all(|cell| (cell.iter().sum::<f32>() - 1.0).abs() < 1e-5)
                );
                let alone = net.label(&[text], chain, &device).remove(0);
                let pairs = row.iter().flatten().zip(alone.iter().flatten());
                assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-5));
            }
        }
    }
}
