//! Phrase -> ideas without training: TF-IDF over letter groups, of each phrase by itself and of all phrases
//! of an idea together.
//!
//! ```text
//! similarity(idea | q) = max over its phrases p of cos(q, p) + TOGETHER * cos(q, all its phrases)
//!                        + NAMED [its emoji stands in q]
//! ```

use std::collections::HashMap;

use serde::Serialize;

use super::table::{Idea, Phrases};
use super::text::{Token, fold, grams, stem, tokens};
use crate::data::fnv1a64;

/// Weight of an idea's phrases taken together beside its nearest phrase.
const TOGETHER: f32 = 1.0;
/// Worth of an idea's emoji in the phrase: more than any words.
const NAMED: f32 = 3.0;
/// Sharpness of probabilities over ideas, fitted on validation phrases.
const SHARPNESS: f32 = 8.0;
/// Similarity of the best idea below which a phrase is not known: of 300 challenge phrases (development half)
/// 18 lay below it, of which 22 % were recalled rightly; of those above, 70 %.
pub const FLOOR: f32 = 0.5;

/// An idea that a phrase recalls.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Recalled {
    /// Index among the ideas.
    pub idea: usize,
    /// Share of the belief of all ideas.
    pub prob: f32,
    /// How near the phrase is to what the idea is known by.
    pub similarity: f32,
}

/// TF-IDF of phrases, ready to be asked.
#[derive(Debug, Clone)]
pub struct Recall {
    /// Letter group -> its column.
    columns: HashMap<u64, u32>,
    /// Of each column: `ln((1 + n) / (1 + n with it)) + 1` over phrases, and over ideas.
    rarity: Vec<[f32; 2]>,
    /// Of each column: phrases with it and their weights.
    phrases: Vec<Vec<(u32, f32)>>,
    /// Of each column: ideas with it and their weights.
    ideas: Vec<Vec<(u32, f32)>>,
    /// Idea of each phrase.
    owners: Vec<u32>,
    /// Folded phrase -> ideas that are known by it.
    known: HashMap<String, Vec<u32>>,
    /// Signs of an emoji -> ideas that it stands for.
    signs: HashMap<Vec<char>, Vec<u32>>,
    count: usize,
}

impl Recall {
    /// Learns the phrases by heart.
    pub fn new(table: &Phrases) -> Self {
        let mut columns = HashMap::new();
        let mut counts: Vec<Vec<(u32, f32)>> = Vec::new();
        let mut known: HashMap<String, Vec<u32>> = HashMap::new();
        let count = table.ideas().len();
        let mut together: Vec<HashMap<u32, f32>> = vec![HashMap::new(); count];
        let mut owners = Vec::new();
        for phrase in table.phrases() {
            let mut row: Vec<u32> = Vec::new();
            for gram in grams(&phrase.text) {
                let next = columns.len() as u32;
                row.push(*columns.entry(fnv1a64(gram.as_bytes())).or_insert(next));
            }
            let row = counted(row);
            for (column, times) in &row {
                *together[phrase.idea].entry(*column).or_default() += times;
            }
            counts.push(row);
            owners.push(phrase.idea as u32);
            let folded = known.entry(fold(&phrase.text)).or_default();
            if !folded.contains(&(phrase.idea as u32)) {
                folded.push(phrase.idea as u32);
            }
        }
        let together: Vec<Vec<(u32, f32)>> = together
            .into_iter()
            .map(|row| {
                let mut row: Vec<(u32, f32)> = row.into_iter().collect();
                row.sort_unstable_by_key(|(column, _)| *column);
                row
            })
            .collect();
        let rarity = {
            let [phrases, ideas] = [&counts, &together].map(|rows| rarities(rows, columns.len()));
            phrases
                .into_iter()
                .zip(ideas)
                .map(|(p, i)| [p, i])
                .collect::<Vec<_>>()
        };
        let mut signs: HashMap<Vec<char>, Vec<u32>> = HashMap::new();
        for (idea, emoji) in table.ideas().iter().map(Idea::emoji).enumerate() {
            let own = emoji.map_or_else(Vec::new, |emoji| signs_of(&emoji).concat());
            if !own.is_empty() {
                signs.entry(own).or_default().push(idea as u32);
            }
        }
        let phrases = inverted(&counts, &rarity, 0);
        let ideas = inverted(&together, &rarity, 1);
        Self {
            columns,
            rarity,
            phrases,
            ideas,
            owners,
            known,
            signs,
            count,
        }
    }

    /// Ideas that are known by a phrase, in whatever spelling.
    pub fn known(&self, phrase: &str) -> &[u32] {
        self.known.get(&fold(phrase)).map_or(&[], Vec::as_slice)
    }

    /// The similarity of a phrase to every idea: `[ideas]`, from 0 (nothing shared) to 1 + `TOGETHER`
    /// + `NAMED`.
    pub(crate) fn similarities(&self, phrase: &str) -> Vec<f32> {
        let [mut best, together] = self.cosines(phrase);
        for (best, together) in best.iter_mut().zip(together) {
            *best += TOGETHER * together;
        }
        for run in signs_of(phrase) {
            // The longest emoji that begins here: a man who faces his palm is two signs.
            let mut rest = &run[..];
            while !rest.is_empty() {
                let longest = (1..=rest.len())
                    .rev()
                    .find_map(|len| Some((len, self.signs.get(&rest[..len])?)));
                for idea in longest.iter().flat_map(|(_, ideas)| *ideas) {
                    best[*idea as usize] += NAMED;
                }
                rest = &rest[longest.map_or(1, |(len, _)| len)..];
            }
        }
        best
    }

    /// Cosines of a phrase to each idea's nearest phrase, and to all its phrases together: `[ideas]` each.
    pub(super) fn cosines(&self, phrase: &str) -> [Vec<f32>; 2] {
        let columns = grams(phrase)
            .iter()
            .filter_map(|gram| self.columns.get(&fnv1a64(gram.as_bytes())).copied())
            .collect();
        let row = counted(columns);
        let cosines = |set: usize, postings: &[Vec<(u32, f32)>], len: usize| {
            let mut sums = vec![0.0_f32; len];
            for (column, weight) in weighted(&row, &self.rarity, set) {
                for (at, other) in &postings[column as usize] {
                    sums[*at as usize] += weight * other;
                }
            }
            sums
        };
        let mut best = vec![0.0_f32; self.count];
        let phrases = cosines(0, &self.phrases, self.owners.len());
        for (cosine, owner) in phrases.iter().zip(&self.owners) {
            let best = &mut best[*owner as usize];
            *best = best.max(*cosine);
        }
        [best, cosines(1, &self.ideas, self.count)]
    }

    /// Whether a phrase shares a word or a character with a phrase that is known.
    pub(super) fn shares(&self, phrase: &str) -> bool {
        let whole = tokens(phrase).into_iter().map(|token| match token {
            Token::Word(word) => format!("={}", stem(&word)),
            Token::Han(letter) | Token::Sign(letter) => letter.to_string(),
        });
        let mut whole = whole.map(|name| fnv1a64(name.as_bytes()));
        whole.any(|name| self.columns.contains_key(&name))
    }

    /// All ideas, the most similar first; of equals the one that comes first.
    pub fn rank(&self, phrase: &str) -> Vec<Recalled> {
        ranked(&self.similarities(phrase), SHARPNESS)
    }
}

/// Runs of signs of a phrase: without variation selectors, joiners and skin tones, so that every spelling of
/// an emoji is one.
fn signs_of(phrase: &str) -> Vec<Vec<char>> {
    let mut runs: Vec<Vec<char>> = vec![Vec::new()];
    for token in tokens(phrase) {
        if let Token::Sign(sign) = token {
            runs.last_mut()
                .expect("one is there from the start")
                .push(sign);
        } else {
            runs.push(Vec::new());
        }
    }
    runs
}

/// Ideas by their scores, with `softmax(sharpness * score)`; the best first, of equals the one that comes
/// first.
pub(super) fn ranked(scores: &[f32], sharpness: f32) -> Vec<Recalled> {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f32> = scores
        .iter()
        .map(|score| (sharpness * (score - top)).exp())
        .collect();
    let total: f32 = weights.iter().sum();
    let mut all: Vec<Recalled> = scores
        .iter()
        .zip(weights)
        .enumerate()
        .map(|(idea, (&similarity, weight))| Recalled {
            idea,
            prob: weight / total,
            similarity,
        })
        .collect();
    all.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
    all
}

/// Columns with how often they come, in order.
fn counted(mut row: Vec<u32>) -> Vec<(u32, f32)> {
    row.sort_unstable();
    let runs = row.chunk_by(|a, b| a == b);
    runs.map(|run| (run[0], run.len() as f32)).collect()
}

/// `ln((1 + n) / (1 + rows with the column)) + 1` of every column.
fn rarities(rows: &[Vec<(u32, f32)>], columns: usize) -> Vec<f32> {
    let mut with = vec![0.0_f32; columns];
    for (column, _) in rows.iter().flatten() {
        with[*column as usize] += 1.0;
    }
    let all = rows.len() as f32;
    with.iter()
        .map(|with| ((1.0 + all) / (1.0 + with)).ln() + 1.0)
        .collect()
}

/// A row's weights `(1 + ln times) * rarity`, of length 1.
fn weighted(row: &[(u32, f32)], rarity: &[[f32; 2]], set: usize) -> Vec<(u32, f32)> {
    let weight = |&(column, times): &(u32, f32)| (1.0 + times.ln()) * rarity[column as usize][set];
    let length = row
        .iter()
        .map(|cell| weight(cell).powi(2))
        .sum::<f32>()
        .sqrt();
    row.iter()
        .map(|cell| (cell.0, weight(cell) / length.max(1e-12)))
        .collect()
}

/// Rows by column.
fn inverted(rows: &[Vec<(u32, f32)>], rarity: &[[f32; 2]], set: usize) -> Vec<Vec<(u32, f32)>> {
    let mut postings = vec![Vec::new(); rarity.len()];
    for (at, row) in rows.iter().enumerate() {
        for (column, weight) in weighted(row, rarity, set) {
            postings[column as usize].push((at as u32, weight));
        }
    }
    postings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phrase::table::{Language, Phrase, Register};

    fn table(rows: &[(&str, &[&str])]) -> Phrases {
        let ideas = rows.iter().map(|(key, _)| Idea {
            key: (*key).into(),
            name: (*key).into(),
        });
        let mut table = Phrases::of_ideas(ideas.collect());
        let phrases = rows.iter().enumerate().flat_map(|(idea, (_, phrases))| {
            phrases.iter().map(move |text| Phrase {
                idea,
                language: Language::of(text),
                register: Register::Colloquial,
                source: String::new(),
                text: (*text).into(),
            })
        });
        table.extend(phrases);
        table
    }

    #[test]
    fn similarity_is_that_of_the_formula() {
        // One word an idea, no letters shared but `sun`: cosines are 1 or come from the shared groups alone.
        let table = table(&[("a", &["sun"]), ("b", &["moon"])]);
        let recall = Recall::new(&table);
        let exact = recall.similarities("Sun!");
        assert!((exact[0] - (1.0 + TOGETHER)).abs() < 1e-5, "{exact:?}");
        assert_eq!(exact[1], 0.0);
        // Groups of `<sun>` (3 + 2 + 1) and `=sun`: seven of equal rarity; `sunk` shares `<su`, `sun` and
        // `<sun`.
        let partly = recall.similarities("sunk");
        let known = 3.0; // groups that no phrase has are left out of the query
        let expected = (known / (7.0_f32 * known).sqrt()) * (1.0 + TOGETHER);
        assert!((partly[0] - expected).abs() < 1e-5, "{partly:?} {expected}");
    }

    #[test]
    fn an_emoji_in_the_phrase_stands_for_its_idea() {
        let table = table(&[
            ("1f602", &["tears"]),
            ("1f926-200d-2642", &["omg"]),
            ("1f926", &["palm"]),
        ]);
        let recall = Recall::new(&table);
        for (phrase, expected) in [
            ("\u{1f602}", 0),
            ("OMG \u{1f602}\u{1f602}!", 0),
            ("\u{1f926}\u{1f3fd}\u{200d}\u{2642}\u{fe0f}", 1),
            ("\u{1f926}\u{1f3fd}", 2),
        ] {
            let ranked = recall.rank(phrase);
            assert_eq!(ranked[0].idea, expected, "{phrase}: {ranked:?}");
            assert!(ranked[0].similarity >= NAMED);
        }
        // A sign that no idea has says nothing.
        assert_eq!(recall.similarities("\u{1f680}"), [0.0; 3]);
    }

    #[test]
    fn a_known_phrase_in_any_spelling_recalls_its_idea_first() {
        let table = table(&[
            ("tired", &["so tired", "dead tired", "好累"]),
            ("dead", &["dead", "i'm dead", "笑死"]),
            ("tyre", &["tyre", "so tyred"]),
        ]);
        let recall = Recall::new(&table);
        for (phrase, expected) in [("SO TIRED!!", 0), ("笑死了", 1), ("dead", 1), ("好累啊", 0)]
        {
            let ranked = recall.rank(phrase);
            assert_eq!(ranked[0].idea, expected, "{phrase}: {ranked:?}");
            assert!((ranked.iter().map(|r| r.prob).sum::<f32>() - 1.0).abs() < 1e-5);
            assert!(
                ranked
                    .windows(2)
                    .all(|pair| pair[0].similarity >= pair[1].similarity)
            );
        }
        assert_eq!(recall.known("Dead-Tired"), [0]);
        assert!(recall.known("undead").is_empty());
        // Nothing shared: nothing near, and every idea as likely.
        let ranked = recall.rank("שלום");
        assert!(
            ranked
                .iter()
                .all(|r| r.similarity == 0.0 && (r.prob - 1.0 / 3.0).abs() < 1e-6)
        );
    }
}
