//! What is held out decides, and nothing is learnt from it: when the phrase encoder stops, and what networks
//! are worth beside recall.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::recall::{Likeness, Recall, Recalled, ranked};
use super::table::{Language, Phrases, Register};
use super::text::{fold, split_of_phrase};
use crate::data::Split;

/// Weights of the encoder's log-probability, and nats for a similarity of 1, that are tried.
const ENCODER: [f32; 9] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0];
const TFIDF: [f32; 10] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0];

/// What a network and recall are worth beside each other: phrase encoder and TF-IDF, reader and drawings.
///
/// ```text
/// p(idea) = softmax(network * log p_network + recall * score)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Blend {
    /// Weight of the network's log-probability.
    pub network: f32,
    /// Nats for a score of 1.
    pub recall: f32,
}

impl Default for Blend {
    /// The blend for phrases where none is held out.
    fn default() -> Self {
        Self {
            network: 1.0,
            recall: 6.0,
        }
    }
}

impl Blend {
    /// `network * log_prob + recall * score` of every idea.
    fn scores(self, log_probs: &[f32], scores: &[f32]) -> Vec<f32> {
        let pairs = log_probs.iter().zip(scores);
        pairs
            .map(|(p, s)| self.network * p + self.recall * s)
            .collect()
    }

    /// Ideas by their scores, the most probable first; similarities stay beside them.
    pub(super) fn ranked(self, log_probs: &[f32], likeness: &Likeness) -> Vec<Recalled> {
        let mut all = ranked(&self.scores(log_probs, &likeness.scores), 1.0);
        for recalled in &mut all {
            recalled.similarity = likeness.similarities[recalled.idea];
        }
        all
    }
}

/// How well the right ideas of held-out phrases, or of drawings, are found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Retrieval {
    /// Mean negative log-probability that one of the right ideas has.
    pub nats: f32,
    /// Share whose first idea is right.
    pub first: f32,
    /// Share with a right idea among the first five.
    pub five: f32,
}

impl Retrieval {
    /// Measures scores over ideas, a row each, whose softmax is their probability.
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

/// The blend under which what is right is most probable, of those whose weights are tried, and how well it
/// finds it. `log_probs`, `scores` of recall: rows over ideas; `right`: the right ideas of each row.
pub(super) fn fitted(
    log_probs: &[&[f32]],
    scores: &[Vec<f32>],
    right: &[&[usize]],
    networks: &[f32],
    recalls: &[f32],
) -> Option<(Blend, Retrieval)> {
    let tried = networks.iter().flat_map(|network| {
        let tried = recalls.iter();
        tried.map(move |recall| Blend {
            network: *network,
            recall: *recall,
        })
    });
    let retrieval = tried.filter_map(|blend| {
        let rows = log_probs.par_iter().zip(scores);
        let rows: Vec<Vec<f32>> = rows.map(|(p, s)| blend.scores(p, s)).collect();
        let rows = rows.iter().map(Vec::as_slice);
        Some((blend, Retrieval::of(rows.zip(right.iter().copied()))?))
    });
    retrieval.min_by(|(_, a), (_, b)| a.nats.total_cmp(&b.nats))
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

    /// How well the encoder finds their ideas, by its log-probabilities `[texts * ideas]` times the weight of
    /// those tried under which they are most probable: an encoder goes on to learn what is right after it
    /// has become too sure. `None` where there are none.
    pub(super) fn retrieval(&self, log_probs: &[f32], ideas: usize) -> Option<Retrieval> {
        let tried = ENCODER.into_iter().filter(|weight| *weight > 0.0);
        let retrieval = tried.filter_map(|weight| {
            let scores: Vec<f32> = log_probs.iter().map(|p| weight * p).collect();
            let right = self.right.iter().map(Vec::as_slice);
            Retrieval::of(scores.chunks_exact(ideas).zip(right))
        });
        retrieval.min_by(|a, b| a.nats.total_cmp(&b.nats))
    }

    /// The blend under which they are most probable, of those that are tried, and how well it finds their
    /// ideas. `recall` knows none of them.
    pub(super) fn fitted(
        &self,
        recall: &Recall,
        log_probs: &[f32],
        ideas: usize,
    ) -> Option<(Blend, Retrieval)> {
        let texts = self.texts.par_iter();
        let scores: Vec<Vec<f32>> = texts.map(|text| recall.likeness(text).scores).collect();
        let rows: Vec<&[f32]> = log_probs.chunks_exact(ideas).collect();
        let right: Vec<&[usize]> = self.right.iter().map(Vec::as_slice).collect();
        fitted(&rows, &scores, &right, &ENCODER, &TFIDF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phrase::table::{Idea, Phrase};

    #[test]
    fn right_ideas_are_told_by_their_share_and_their_place() {
        let scores = [0.5_f32.ln(), 0.25_f32.ln(), 0.25_f32.ln()];
        let retrieval =
            |right: &[usize]| Retrieval::of([(&scores[..], right)].into_iter()).expect("a row");
        let one = retrieval(&[0]);
        assert!(
            (one.nats - 2.0_f32.ln()).abs() < 1e-6 && one.first == 1.0,
            "{one:?}"
        );
        let two = retrieval(&[1, 2]);
        assert!((two.nats - 2.0_f32.ln()).abs() < 1e-6, "{two:?}");
        assert_eq!((two.first, two.five), (0.0, 1.0));
        // Far below: finite.
        let far = Retrieval::of([(&[0.0, -500.0][..], &[1][..])].into_iter()).expect("a row");
        assert!((far.nats - 500.0).abs() < 1e-3, "{far:?}");
        assert_eq!(Retrieval::of(std::iter::empty()), None);
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
        let (wrong, retrieval) = held.fitted(&recall, &log_probs(false), 2).expect("phrases");
        assert_eq!(wrong.network, 0.0);
        assert!(
            wrong.recall > 0.0 && retrieval.first == 1.0,
            "{wrong:?} {retrieval:?}"
        );
        // Where TF-IDF knows nothing.
        let nothing = Recall::new(&training.filtered(|_| false));
        let (right, retrieval) = held.fitted(&nothing, &log_probs(true), 2).expect("phrases");
        assert!(
            right.network == 1.0 && retrieval.nats < 0.01,
            "{right:?} {retrieval:?}"
        );
        assert_eq!(
            held.retrieval(&log_probs(false), 2).map(|t| t.first),
            Some(0.0)
        );
        let likeness = Likeness {
            similarities: vec![0.3, 0.4],
            scores: vec![0.3, 0.4],
        };
        let best = right.ranked(&[-8.0, -0.1], &likeness);
        assert_eq!((best[0].idea, best[0].similarity), (1, 0.4));
    }
}
