//! A small sequence tagger on real text: given the letters of a sentence without spaces, find the words.
//!
//! From a window of five letters, every letter is labelled B (begins a word), M (middle), E (ends one) or S
//! (a word by itself). The same network is trained twice: each label by itself (softmax), and the labels as a
//! chain (this crate's layer, which also knows that M cannot follow E). Scores are of held-out paragraphs:
//! `cargo run --release -p demotic-crf --example tagger`.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "the numbers of an example are small"
)]
#![allow(clippy::print_stdout, reason = "an example's result is what it prints")]

use burn::module::{Module, Param};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Int, Tensor, TensorData};
use demotic_crf::cases::Numbers;
use demotic_crf::{LinearChainCrf, LinearChainCrfConfig, Reduction};

const TEXT: &str = include_str!("alice.txt");
const WINDOW: usize = 5;
/// 26 letters and the sentence's outside.
const SYMBOLS: usize = 27;
const HIDDEN: usize = 32;
const LABELS: usize = 4;
const STEPS: usize = 300;
const WORDS_A_CHAIN: usize = 12;

/// Letters (0 to 25) and labels (0 B, 1 M, 2 E, 3 S) of one stretch of text.
struct Sentence {
    letters: Vec<usize>,
    labels: Vec<i32>,
}

impl Sentence {
    fn new(words: &[String]) -> Self {
        let (mut letters, mut labels) = (vec![], vec![]);
        for word in words {
            for (at, letter) in word.bytes().enumerate() {
                letters.push(usize::from(letter - b'a'));
                labels.push(match (at == 0, at + 1 == word.len()) {
                    (true, true) => 3,
                    (true, false) => 0,
                    (false, true) => 2,
                    (false, false) => 1,
                });
            }
        }
        Self { letters, labels }
    }

    /// Spans of words: each begins at a B or S, or after an E or S.
    fn words(labels: &[i32]) -> Vec<(usize, usize)> {
        let mut words = vec![];
        let mut start = 0;
        for at in 1..=labels.len() {
            let breaks = at == labels.len()
                || matches!(labels[at], 0 | 3)
                || matches!(labels[at - 1], 2 | 3);
            if breaks {
                words.push((start, at));
                start = at;
            }
        }
        words
    }
}

/// Every fourth paragraph is held out; both parts come as stretches of at most [`WORDS_A_CHAIN`] words.
fn sentences() -> (Vec<Sentence>, Vec<Sentence>) {
    let (mut train, mut test) = (vec![], vec![]);
    for (number, paragraph) in TEXT.lines().enumerate() {
        let words: Vec<String> = paragraph
            .split(|c: char| !c.is_ascii_alphabetic())
            .filter(|word| !word.is_empty())
            .map(str::to_ascii_lowercase)
            .collect();
        let part = if number % 4 == 3 {
            &mut test
        } else {
            &mut train
        };
        part.extend(words.chunks(WORDS_A_CHAIN).map(Sentence::new));
    }
    (train, test)
}

/// Sentences as tensors: symbols of each window `[n, t, window]`, labels `[n, t]`, lengths `[n]`.
struct Batch {
    windows: Tensor<3, Int>,
    labels: Tensor<2, Int>,
    lengths: Tensor<1, Int>,
    exists: Tensor<2>,
}

impl Batch {
    fn new(sentences: &[Sentence], device: &Device) -> Self {
        let (n, t) = (
            sentences.len(),
            sentences.iter().map(|s| s.letters.len()).max().unwrap_or(1),
        );
        let (mut windows, mut labels, mut exists) = (vec![], vec![], vec![]);
        for sentence in sentences {
            for at in 0..t {
                for offset in 0..WINDOW {
                    let letter = (at + offset)
                        .checked_sub(WINDOW / 2)
                        .and_then(|at| sentence.letters.get(at));
                    // Every place in the window has symbols of its own.
                    windows
                        .push((offset * SYMBOLS + letter.copied().unwrap_or(SYMBOLS - 1)) as i32);
                }
                labels.push(sentence.labels.get(at).copied().unwrap_or(0));
                exists.push(if at < sentence.letters.len() {
                    1.0f32
                } else {
                    0.0
                });
            }
        }
        let lengths: Vec<i32> = sentences.iter().map(|s| s.letters.len() as i32).collect();
        Self {
            windows: Tensor::from_data(TensorData::new(windows, [n, t, WINDOW]), device),
            labels: Tensor::from_data(TensorData::new(labels, [n, t]), device),
            lengths: Tensor::from_data(TensorData::new(lengths, [n]), device),
            exists: Tensor::from_data(TensorData::new(exists, [n, t]), device),
        }
    }
}

/// Window of letters to label scores, and the chain over them.
#[derive(Module, Debug)]
struct Tagger {
    /// `[window * symbols, hidden]`.
    embedding: Param<Tensor<2>>,
    /// `[hidden, labels]`.
    output: Param<Tensor<2>>,
    crf: LinearChainCrf,
}

impl Tagger {
    fn new(seed: u64, device: &Device) -> Self {
        let normal = |stream, shape: [usize; 2], sd| {
            let values = Numbers::new(seed, stream).normals(shape[0] * shape[1], sd);
            Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
        };
        // What may follow what: B and M go on inside the word, E and S end it.
        let inside = vec![false, true, true, false];
        let outside = vec![true, false, false, true];
        let allowed = vec![inside.clone(), inside, outside.clone(), outside];
        Self {
            embedding: normal(0, [WINDOW * SYMBOLS, HIDDEN], 0.4),
            output: normal(1, [HIDDEN, LABELS], 0.2),
            crf: LinearChainCrfConfig::new(LABELS)
                .with_allowed(Some(allowed))
                .init(device),
        }
    }

    /// `[n, t, labels]`.
    fn emissions(&self, batch: &Batch) -> Tensor<3> {
        let [n, t, window] = batch.windows.dims();
        let rows = self
            .embedding
            .val()
            .select(0, batch.windows.clone().reshape([n * t * window]));
        let hidden = relu(
            rows.reshape([n * t, window, HIDDEN])
                .sum_dim(1)
                .reshape([n * t, HIDDEN]),
        );
        hidden.matmul(self.output.val()).reshape([n, t, LABELS])
    }

    fn loss(&self, batch: &Batch, chain: bool) -> Tensor<1> {
        let emissions = self.emissions(batch);
        let (labels, lengths) = (batch.labels.clone(), batch.lengths.clone());
        if chain {
            return self.crf.negative_log_likelihood(
                emissions,
                labels,
                Some(lengths),
                Reduction::MeanPerPosition,
            );
        }
        let [n, t] = labels.dims();
        let gold = log_softmax(emissions, 2)
            .gather(2, labels.reshape([n, t, 1]))
            .reshape([n, t]);
        (gold * batch.exists.clone()).sum().neg() / batch.exists.clone().sum()
    }

    fn decode(&self, batch: &Batch, chain: bool) -> Vec<i32> {
        let emissions = self.emissions(batch);
        let [n, t, _] = emissions.dims();
        let paths = if chain {
            self.crf.viterbi(emissions, Some(batch.lengths.clone())).0
        } else {
            emissions.argmax(2).reshape([n, t])
        };
        paths
            .try_into_vec_as()
            .expect("the paths are on the device")
    }
}

/// Letters labelled right, and the F1 of whole words, on `sentences`.
fn score(paths: &[i32], sentences: &[Sentence]) -> (f64, f64) {
    let t = paths.len() / sentences.len();
    let (mut right, mut letters, mut found, mut said, mut there) = (0, 0, 0, 0, 0);
    for (path, sentence) in paths.chunks(t).zip(sentences) {
        let path = &path[..sentence.labels.len()];
        right += path
            .iter()
            .zip(&sentence.labels)
            .filter(|(a, b)| a == b)
            .count();
        letters += path.len();
        let (mine, gold) = (Sentence::words(path), Sentence::words(&sentence.labels));
        found += mine.iter().filter(|word| gold.contains(word)).count();
        said += mine.len();
        there += gold.len();
    }
    (
        right as f64 / letters as f64,
        2.0 * found as f64 / (said + there) as f64,
    )
}

/// Text to learn from and text held out.
struct Data {
    train: Batch,
    test: Batch,
    /// What `test` holds, for counting whole words.
    test_sentences: Vec<Sentence>,
}

impl Data {
    fn new(device: &Device) -> Self {
        let (train, test) = sentences();
        Self {
            train: Batch::new(&train, device),
            test: Batch::new(&test, device),
            test_sentences: test,
        }
    }

    /// Trains a tagger and scores it on the text held out: letters labelled right, and the F1 of whole words.
    fn score(&self, seed: u64, steps: usize, chain: bool, device: &Device) -> (f64, f64) {
        let mut tagger = Tagger::new(seed, device);
        let mut optimiser = AdamConfig::new().with_epsilon(1e-8).init();
        for _ in 0..steps {
            let gradients = tagger.loss(&self.train, chain).backward();
            let gradients = GradientsParams::from_grads(gradients, &tagger);
            tagger = optimiser.step(0.01, tagger, gradients);
        }
        score(&tagger.decode(&self.test, chain), &self.test_sentences)
    }
}

fn main() {
    let device = Device::flex().autodiff();
    let data = Data::new(&device);
    let letters = |batch: &Batch| batch.exists.clone().sum().into_scalar::<f32>();
    println!(
        "{} letters to learn from, {} held out",
        letters(&data.train),
        letters(&data.test)
    );
    println!("seed  head     letters right  word F1");
    let mut means = [0.0; 2];
    for seed in 1..=3 {
        for (chain, name) in [(false, "softmax"), (true, "crf")] {
            let (right, f1) = data.score(seed, STEPS, chain, &device);
            println!("{seed:<5} {name:<8} {right:<14.3} {f1:.3}");
            means[usize::from(chain)] += f1 / 3.0;
        }
    }
    println!("mean word F1: softmax {:.3}, crf {:.3}", means[0], means[1]);
}

/// Run by the crate's tests: a third of the steps of one seed are enough to see the difference.
#[cfg(test)]
#[test]
fn the_chain_finds_more_words_than_letters_by_themselves() {
    let device = Device::flex().autodiff();
    let data = Data::new(&device);
    let [(_, softmax), (_, crf)] =
        [false, true].map(|chain| data.score(1, STEPS / 3, chain, &device));
    assert!(crf > softmax, "word F1: crf {crf}, softmax {softmax}");
    assert!(crf > 0.5, "word F1: crf {crf}");
}
