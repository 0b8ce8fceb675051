//! What validation phrases decide, from which nothing is learnt: when the phrase encoder stops, and what it
//! is worth beside TF-IDF.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::recall::{Recall, Recalled, ranked};
use super::table::{Language, Phrases, Register};
use super::text::{fold, split_of_phrase};
use crate::data::Split;

/// Weights of the encoder's log-probability, and nats for a similarity of 1, that are tried.
const ENCODER: [f32; 9] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0];
const TFIDF: [f32; 10] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0];

/// What encoder and TF-IDF are worth beside each other.
///
/// ```text
/// p(idea | phrase) = softmax(encoder * log p_bag + tfidf * similarity)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Blend {
    /// Weight of the encoder's log-probability.
    pub encoder: f32,
    /// Nats for a similarity of 1.
    pub tfidf: f32,
}

impl Default for Blend {
    /// That of words that were learnt before it was fitted, and of those without validation phrases.
    fn default() -> Self {
        Self {
            encoder: 1.0,
            tfidf: 6.0,
        }
    }
}

impl Blend {
    /// `encoder * log_prob + tfidf * similarity` of every idea.
    fn scores(self, log_probs: &[f32], similarities: &[f32]) -> Vec<f32> {
        let pairs = log_probs.iter().zip(similarities);
        pairs
            .map(|(p, s)| self.encoder * p + self.tfidf * s)
            .collect()
    }

    /// Ideas by their scores, the most probable first; similarities stay beside them.
    pub(super) fn ranked(self, log_probs: &[f32], similarities: &[f32]) -> Vec<Recalled> {
        let mut all = ranked(&self.scores(log_probs, similarities), 1.0);
        for recalled in &mut all {
            recalled.similarity = similarities[recalled.idea];
        }
        all
    }
}

/// How well held-out phrases, or drawings, are told.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Mean negative log-probability that one of the right ideas has.
    pub nats: f32,
    /// Share whose first idea is right.
    pub first: f32,
    /// Share with a right idea among the first five.
    pub five: f32,
}

impl Told {
    /// Of scores over ideas, a row each, whose softmax is their probability.
    pub(super) fn of<'a>(rows: impl Iterator<Item = (&'a [f32], &'a [usize])>) -> Option<Self> {
        let (mut n, mut sums) = (0.0_f32, [0.0_f32; 3]);
        for (scores, right) in rows {
            let best = right.iter().map(|idea| scores[*idea]);
            let best = best.fold(f32::NEG_INFINITY, f32::max);
            let before = scores.iter().filter(|score| **score > best).count();
            n += 1.0;
            sums[0] += nats(scores, right);
            sums[1] += f32::from(u8::from(before == 0));
            sums[2] += f32::from(u8::from(before < 5));
        }
        let [nats, first, five] = sums.map(|sum| sum / n);
        (n > 0.0).then_some(Self { nats, first, five })
    }
}

/// `-ln` of the share that the right ideas have in `softmax(scores)`.
fn nats(scores: &[f32], right: &[usize]) -> f32 {
    let log_sum = |values: &mut dyn Iterator<Item = f32>, top: f32| {
        values.map(|value| (value - top).exp()).sum::<f32>().ln()
    };
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let all = log_sum(&mut scores.iter().copied(), top);
    // The best right one may lie far below all others.
    let mut own = right.iter().map(|idea| scores[*idea]);
    let best = own.clone().fold(f32::NEG_INFINITY, f32::max);
    all + top - best - log_sum(&mut own, best)
}

/// Validation phrases, once each language and folded form, with the ideas that have them.
#[derive(Debug)]
pub(super) struct HeldOut {
    pub(super) texts: Vec<String>,
    right: Vec<Vec<usize>>,
}

impl HeldOut {
    pub(super) fn new(table: &Phrases) -> Self {
        let mut found: BTreeMap<(Language, String), (String, BTreeSet<usize>)> = BTreeMap::new();
        for phrase in table.phrases() {
            let folded = fold(&phrase.text);
            if phrase.register == Register::Rude || split_of_phrase(&folded) != Split::Validation {
                continue;
            }
            let entry = found.entry((phrase.language, folded));
            let (_, right) = entry.or_insert_with(|| (phrase.text.clone(), BTreeSet::new()));
            right.insert(phrase.idea);
        }
        let found = found.into_values();
        let (texts, right) = found
            .map(|(text, right)| (text, right.into_iter().collect::<Vec<usize>>()))
            .unzip();
        Self { texts, right }
    }

    /// How well the encoder tells them, by its log-probabilities `[texts * ideas]` times the weight of those
    /// tried under which they are most probable: an encoder goes on to learn what is right after it has
    /// become too sure. `None` where there are none.
    pub(super) fn told(&self, log_probs: &[f32], ideas: usize) -> Option<Told> {
        let tried = ENCODER.into_iter().filter(|weight| *weight > 0.0);
        let told = tried.filter_map(|weight| {
            let scores: Vec<f32> = log_probs.iter().map(|p| weight * p).collect();
            let right = self.right.iter().map(Vec::as_slice);
            Told::of(scores.chunks_exact(ideas).zip(right))
        });
        told.min_by(|a, b| a.nats.total_cmp(&b.nats))
    }

    /// The blend under which they are most probable, of those that are tried, and how well it tells them.
    /// `recall` knows none of them.
    pub(super) fn fitted(
        &self,
        recall: &Recall,
        log_probs: &[f32],
        ideas: usize,
    ) -> Option<(Blend, Told)> {
        let similarities: Vec<Vec<f32>> = self
            .texts
            .par_iter()
            .map(|text| recall.similarities(text))
            .collect();
        let rows = |blend: Blend| -> Vec<Vec<f32>> {
            let rows = log_probs.par_chunks_exact(ideas).zip(&similarities);
            rows.map(|(p, s)| blend.scores(p, s)).collect()
        };
        let tried = ENCODER.into_iter().flat_map(|encoder| {
            let tried = TFIDF.into_iter();
            tried.map(move |tfidf| Blend { encoder, tfidf })
        });
        let told = tried.filter_map(|blend| {
            let scores = rows(blend);
            let scores = scores.iter().map(Vec::as_slice);
            let told = Told::of(scores.zip(self.right.iter().map(Vec::as_slice)))?;
            Some((blend, told))
        });
        told.min_by(|(_, a), (_, b)| a.nats.total_cmp(&b.nats))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phrase::table::{Idea, Phrase};

    #[test]
    fn right_ideas_are_told_by_their_share_and_their_place() {
        let scores = [0.5_f32.ln(), 0.25_f32.ln(), 0.25_f32.ln()];
        let told = |right: &[usize]| Told::of([(&scores[..], right)].into_iter()).expect("a row");
        let one = told(&[0]);
        assert!(
            (one.nats - 2.0_f32.ln()).abs() < 1e-6 && one.first == 1.0,
            "{one:?}"
        );
        let two = told(&[1, 2]);
        assert!((two.nats - 2.0_f32.ln()).abs() < 1e-6, "{two:?}");
        assert_eq!((two.first, two.five), (0.0, 1.0));
        // Far below: finite.
        let far = Told::of([(&[0.0, -500.0][..], &[1][..])].into_iter()).expect("a row");
        assert!((far.nats - 500.0).abs() < 1e-3, "{far:?}");
        assert_eq!(Told::of(std::iter::empty()), None);
    }

    /// Ideas `a` and `b` of many phrases; validation phrases are found by their hash.
    fn table() -> Phrases {
        let ideas = ["a", "b"].map(|key| Idea {
            key: key.into(),
            name: key.into(),
        });
        let mut table = Phrases::of_ideas(ideas.into());
        table.extend((0..200).map(|at| Phrase {
            idea: at % 2,
            language: Language::En,
            register: Register::Tag,
            source: String::new(),
            text: format!("{} word{at}x", if at % 2 == 0 { "sunny" } else { "gloomy" }),
        }));
        table
    }

    #[test]
    fn the_blend_trusts_what_tells_held_out_phrases() {
        let table = table();
        let held = HeldOut::new(&table);
        assert!((5..60).contains(&held.texts.len()), "{}", held.texts.len());
        let training =
            table.filtered(|phrase| split_of_phrase(&fold(&phrase.text)) == Split::Train);
        let recall = Recall::new(&training);
        // An encoder that is always wrong, and one that is always right.
        let log_probs = |is_right: bool| -> Vec<f32> {
            let row = |right: &Vec<usize>| {
                let first = (right[0] == 0) == is_right;
                let low = -8.0_f32;
                let high = (1.0 - low.exp()).ln();
                if first { [high, low] } else { [low, high] }
            };
            held.right.iter().flat_map(row).collect()
        };
        let (wrong, told) = held.fitted(&recall, &log_probs(false), 2).expect("phrases");
        assert_eq!(wrong.encoder, 0.0);
        assert!(wrong.tfidf > 0.0 && told.first == 1.0, "{wrong:?} {told:?}");
        // Where TF-IDF knows nothing.
        let nothing = Recall::new(&training.filtered(|_| false));
        let (right, told) = held.fitted(&nothing, &log_probs(true), 2).expect("phrases");
        assert!(
            right.encoder == 1.0 && told.nats < 0.01,
            "{right:?} {told:?}"
        );
        assert_eq!(held.told(&log_probs(false), 2).map(|t| t.first), Some(0.0));
        let best = right.ranked(&[-8.0, -0.1], &[0.3, 0.4]);
        assert_eq!((best[0].idea, best[0].similarity), (1, 0.4));
    }
}
