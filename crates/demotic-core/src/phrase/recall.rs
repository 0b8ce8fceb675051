//! Phrase -> ideas without training: TF-IDF over letter groups, of each phrase by itself and of all phrases
//! of an idea together.
//!
//! ```text
//! similarity(idea | q) = max over its phrases p of cos(q, p) + TOGETHER * cos(q, all its phrases)
//!                        + NAMED [its emoji stands in q]
//! score(idea | q) = similarity + WHOLE * cos(q, all its phrases), both by whole words and characters
//!                   + AROUND * mean similarity of the ideas whose phrases are most like its own
//!                   + COMMON * ln(1 + its phrases)
//!                   + CALLED [q is its name, or what people say for it]
//! ```
//! Ideas are ranked by score; similarity is what is printed of one. Where nothing is shared, both are 0.

use std::collections::HashMap;

use rayon::prelude::*;
use serde::Serialize;

use super::table::{Idea, Phrases, Register};
use super::text::{Token, fold, grams, is_whole, stem, tokens};
use crate::data::fnv1a64;

/// Weight of an idea's phrases taken together beside its nearest phrase.
const TOGETHER: f32 = 1.0;
/// Weight of whole words and characters. With the next two, chosen on validation phrases: .372 / .565 of them
/// where similarity alone finds .348 / .546, and .680 / .817 of the challenge's (development half) for
/// .673 / .813.
const WHOLE: f32 = 0.8;
/// Weight of the ideas around, and how many they are.
const AROUND: f32 = 0.3;
const NEIGHBOURS: usize = 8;
/// Weight of having many phrases.
const COMMON: f32 = 0.05;
/// Worth of an idea's emoji in the phrase: more than any words.
const NAMED: f32 = 3.0;
/// Worth of a phrase that is an idea's name, or what people say for it, where others have it as a tag: a tag
/// is a word that an idea is found by, and not what it is. Of 790 phrases that one idea has as a name or a
/// spoken phrase and another one as a tag, the tag's idea came first for 426: a man with a ball for
/// `basketball`, a fuel pump for 加油. No phrase that is held out is in a list, so none is changed by it.
const CALLED: f32 = 0.5;
/// Sharpness of probabilities over ideas, fitted on validation phrases.
const SHARPNESS: f32 = 7.0;
/// Similarity of the best idea below which a phrase is not known: of 300 challenge phrases (development half)
/// 18 lay below it, of which 22 % were recalled rightly; of those above, 71 %.
const FLOOR: f32 = 0.5;
/// The same of a phrase none of whose words and characters stands in a list: what it shares are parts of
/// words, as `quantum chromodynamics` does with dynamite. Of 1,653 validation phrases 49 of this kind lie
/// between both floors, of which 4 are recalled rightly (8 %); of the next 50, up to 0.7, 9 are (18 %), as of
/// phrases that share a word and lie between both floors (21 of 141, 15 %). No challenge phrase is of it.
const FLOOR_OF_PARTS: f32 = 0.6;

/// An idea that a phrase recalls, or a picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Recalled {
    /// Index among the ideas.
    pub idea: usize,
    /// Share of the belief of all ideas.
    pub prob: f32,
    /// How near the phrase is to what the idea is known by.
    pub similarity: f32,
}

impl Recalled {
    /// Whether the idea's emoji stands in the phrase that recalled it: no words alone are as near.
    pub fn is_by_emoji(&self) -> bool {
        self.similarity >= NAMED
    }
}

/// TF-IDF of phrases, ready to be asked.
#[derive(Debug, Clone)]
pub struct Recall {
    /// Letter group -> its column.
    columns: HashMap<u64, u32>,
    /// For each column `ln((1 + n) / (1 + n with it)) + 1`, over phrases and over ideas.
    rarity: Vec<[f32; 2]>,
    /// For each column the phrases with it and their weights.
    phrases: Vec<Vec<(u32, f32)>>,
    /// For each column the ideas with it and their weights.
    ideas: Vec<Vec<(u32, f32)>>,
    /// Whether a column is a whole word or character.
    is_whole: Vec<bool>,
    /// The same of these columns alone.
    wholes: Vec<Vec<(u32, f32)>>,
    /// For each idea those most like it, with weights whose sum is 1.
    neighbours: Vec<Vec<(u32, f32)>>,
    /// `ln(1 + phrases)` of each idea.
    common: Vec<f32>,
    /// Idea of each phrase.
    owners: Vec<u32>,
    /// Folded phrase -> ideas that are known by it.
    known: HashMap<String, Vec<u32>>,
    /// The same of names and of what people say, without tags.
    called: HashMap<String, Vec<u32>>,
    /// Signs of an emoji -> ideas that it stands for.
    signs: HashMap<Vec<char>, Vec<u32>>,
    count: usize,
}

impl Recall {
    /// Learns the phrases by heart.
    pub fn new(table: &Phrases) -> Self {
        let mut columns = HashMap::new();
        let mut whole = Vec::new();
        let mut counts: Vec<Vec<(u32, f32)>> = Vec::new();
        let mut known: HashMap<String, Vec<u32>> = HashMap::new();
        let mut called: HashMap<String, Vec<u32>> = HashMap::new();
        let count = table.ideas().len();
        let mut together: Vec<HashMap<u32, f32>> = vec![HashMap::new(); count];
        let mut owners = Vec::new();
        for phrase in table.phrases() {
            let mut row: Vec<u32> = Vec::new();
            for gram in grams(&phrase.text) {
                let next = columns.len() as u32;
                let column = *columns.entry(fnv1a64(gram.as_bytes())).or_insert(next);
                if column == next {
                    whole.push(is_whole(&gram));
                }
                row.push(column);
            }
            let row = counted(row);
            for (column, times) in &row {
                *together[phrase.idea].entry(*column).or_default() += times;
            }
            counts.push(row);
            owners.push(phrase.idea as u32);
            let (folded, idea) = (fold(&phrase.text), phrase.idea as u32);
            if phrase.register != Register::Tag {
                put_once(called.entry(folded.clone()).or_default(), idea);
            }
            put_once(known.entry(folded).or_default(), idea);
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
        let wholes: Vec<Vec<(u32, f32)>> = together.iter().map(|row| kept(row, &whole)).collect();
        let mut common = vec![0.0_f32; count];
        for owner in &owners {
            common[*owner as usize] += 1.0;
        }
        Self {
            neighbours: neighbours(&together, &rarity, &ideas),
            wholes: inverted(&wholes, &rarity, 1),
            is_whole: whole,
            common: common.into_iter().map(f32::ln_1p).collect(),
            columns,
            rarity,
            phrases,
            ideas,
            owners,
            known,
            called,
            signs,
            count,
        }
    }

    /// Ideas that are known by a phrase, in whatever spelling.
    pub fn known(&self, phrase: &str) -> &[u32] {
        self.known.get(&fold(phrase)).map_or(&[], Vec::as_slice)
    }

    /// The likeness of a phrase to every idea.
    pub(super) fn likeness(&self, phrase: &str) -> Likeness {
        let [mut best, together, wholes] = self.cosines(phrase);
        for (best, together) in best.iter_mut().zip(together) {
            *best += TOGETHER * together;
        }
        let score = |(idea, around): (usize, &Vec<(u32, f32)>)| {
            let around = around
                .iter()
                .map(|(other, weight)| weight * best[*other as usize]);
            let around = AROUND * around.sum::<f32>();
            let common = f32::from(u8::from(best[idea] > 0.0)) * self.common[idea];
            best[idea] + WHOLE * wholes[idea] + around + COMMON * common
        };
        let mut scores: Vec<f32> = self.neighbours.iter().enumerate().map(score).collect();
        for idea in self.called.get(&fold(phrase)).into_iter().flatten() {
            scores[*idea as usize] += CALLED;
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
                    scores[*idea as usize] += NAMED;
                }
                rest = &rest[longest.map_or(1, |(len, _)| len)..];
            }
        }
        Likeness {
            similarities: best,
            scores,
        }
    }

    /// Cosines of a phrase to each idea's nearest phrase, to all its phrases together, and to these by whole
    /// words and characters: `[ideas]` each.
    pub(super) fn cosines(&self, phrase: &str) -> [Vec<f32>; 3] {
        let columns = grams(phrase)
            .iter()
            .filter_map(|gram| self.columns.get(&fnv1a64(gram.as_bytes())).copied())
            .collect();
        let row = counted(columns);
        let cosines = |row: &[(u32, f32)], set: usize, postings: &[Vec<(u32, f32)>], len: usize| {
            sums(&weighted(row, &self.rarity, set), postings, len)
        };
        let mut best = vec![0.0_f32; self.count];
        let phrases = cosines(&row, 0, &self.phrases, self.owners.len());
        for (cosine, owner) in phrases.iter().zip(&self.owners) {
            let best = &mut best[*owner as usize];
            *best = best.max(*cosine);
        }
        let wholes = kept(&row, &self.is_whole);
        [
            best,
            cosines(&row, 1, &self.ideas, self.count),
            cosines(&wholes, 1, &self.wholes, self.count),
        ]
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

    /// Similarity of the best idea below which a phrase is not known: 0.5, or 0.6 where no list has a word or
    /// character of it.
    pub fn floor(&self, phrase: &str) -> f32 {
        if self.shares(phrase) {
            FLOOR
        } else {
            FLOOR_OF_PARTS
        }
    }

    /// All ideas, that of the highest score first; of equals the one that comes first.
    pub fn rank(&self, phrase: &str) -> Vec<Recalled> {
        let Likeness {
            similarities,
            scores,
        } = self.likeness(phrase);
        let mut all = ranked(&scores, SHARPNESS);
        for recalled in &mut all {
            recalled.similarity = similarities[recalled.idea];
        }
        all
    }
}

/// How like a phrase is to every idea: `[ideas]` each.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Likeness {
    /// From 0 (nothing shared) to 1 + `TOGETHER` + `NAMED`.
    pub(super) similarities: Vec<f32>,
    /// What ideas are ranked by.
    pub(super) scores: Vec<f32>,
}

/// Puts an idea into a list that does not have it.
fn put_once(ideas: &mut Vec<u32>, idea: u32) {
    if !ideas.contains(&idea) {
        ideas.push(idea);
    }
}

/// The cells of a row whose column is marked.
fn kept(row: &[(u32, f32)], marks: &[bool]) -> Vec<(u32, f32)> {
    let cells = row.iter().copied();
    cells
        .filter(|(column, _)| marks[*column as usize])
        .collect()
}

/// For rows by column, the sums of what each has of a row's weights.
fn sums(row: &[(u32, f32)], postings: &[Vec<(u32, f32)>], len: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f32; len];
    for (column, weight) in row {
        for (at, other) in &postings[*column as usize] {
            sums[*at as usize] += weight * other;
        }
    }
    sums
}

/// For each idea, the others whose phrases, taken together, are most like its own, by their share of the
/// cosines.
fn neighbours(
    together: &[Vec<(u32, f32)>],
    rarity: &[[f32; 2]],
    postings: &[Vec<(u32, f32)>],
) -> Vec<Vec<(u32, f32)>> {
    let of = |(idea, row): (usize, &Vec<(u32, f32)>)| {
        let cosines = sums(&weighted(row, rarity, 1), postings, together.len());
        let mut others: Vec<(u32, f32)> = cosines
            .into_iter()
            .enumerate()
            .filter(|(other, cosine)| *other != idea && *cosine > 0.0)
            .map(|(other, cosine)| (other as u32, cosine))
            .collect();
        others.sort_by(|a, b| b.1.total_cmp(&a.1));
        others.truncate(NEIGHBOURS);
        let total: f32 = others.iter().map(|(_, cosine)| cosine).sum();
        others
            .into_iter()
            .map(|(other, cosine)| (other, cosine / total))
            .collect()
    };
    together.par_iter().enumerate().map(of).collect()
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
    use crate::phrase::table::{Language, Phrase};

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
        let exact = recall.likeness("Sun!").similarities;
        assert!((exact[0] - (1.0 + TOGETHER)).abs() < 1e-5, "{exact:?}");
        assert_eq!(exact[1], 0.0);
        // Groups of `<sun>` (3 + 2 + 1) and `=sun`: seven of equal rarity; `sunk` shares `<su`, `sun` and
        // `<sun`.
        let partly = recall.likeness("sunk").similarities;
        let known = 3.0; // groups that no phrase has are left out of the query
        let expected = (known / (7.0_f32 * known).sqrt()) * (1.0 + TOGETHER);
        assert!((partly[0] - expected).abs() < 1e-5, "{partly:?} {expected}");
    }

    #[test]
    fn scores_add_whole_words_ideas_around_and_how_common_one_is() {
        // `a` and `b` share `sun`, and neither shares a letter with `c`.
        let table = table(&[
            ("a", &["sun", "hot sun"]),
            ("b", &["sun"]),
            ("c", &["moon"]),
        ]);
        let recall = Recall::new(&table);
        let Likeness {
            similarities,
            scores,
        } = recall.likeness("sun");
        let wholes = recall.cosines("sun")[2].clone();
        for (idea, around, phrases) in [(0, 1, 2.0_f32), (1, 0, 1.0)] {
            let expected = similarities[idea]
                + WHOLE * wholes[idea]
                + AROUND * similarities[around]
                + COMMON * phrases.ln_1p()
                + CALLED;
            assert!(
                (scores[idea] - expected).abs() < 1e-5,
                "{scores:?} {expected}"
            );
        }
        // `sun` is all of `b`, and comes twice in `a` beside `hot`.
        assert!((wholes[1] - 1.0).abs() < 1e-5, "{wholes:?}");
        let (sun, hot) = (1.0 + 2.0_f32.ln(), 1.0);
        let rarity = |with: f32| ((1.0 + 3.0) / (1.0 + with)).ln() + 1.0;
        let (sun, hot) = (sun * rarity(2.0), hot * rarity(1.0));
        assert!(
            (wholes[0] - sun / sun.hypot(hot)).abs() < 1e-5,
            "{wholes:?}"
        );
        assert_eq!((similarities[2], scores[2]), (0.0, 0.0));
    }

    #[test]
    fn parts_of_words_have_to_be_nearer_than_words() {
        let recall = Recall::new(&table(&[("a", &["dynamite", "so tired", "好累"])]));
        for (phrase, floor) in [
            ("chromodynamics", FLOOR_OF_PARTS),
            ("tired of chromodynamics", FLOOR),
            ("累死", FLOOR),
            ("שלום", FLOOR_OF_PARTS),
        ] {
            assert_eq!(recall.floor(phrase), floor, "{phrase}");
        }
        assert!(recall.rank("chromodynamics")[0].similarity > 0.0);
    }

    #[test]
    fn what_an_idea_is_called_comes_before_what_another_is_found_by() {
        let of = |register| {
            let mut table = table(&[("a", &["slam dunk"]), ("b", &["a bat"]), ("c", &["moon"])]);
            let ball = |idea, register| Phrase {
                idea,
                language: Language::En,
                register,
                source: String::new(),
                text: "ball".into(),
            };
            table.extend([ball(0, register), ball(1, Register::Tag)]);
            Recall::new(&table)
        };
        let near = |found: &[f32], expected: &[f32]| {
            let mut pairs = found.iter().zip(expected);
            assert!(
                pairs.all(|(a, b)| (a - b).abs() < 1e-5),
                "{found:?} {expected:?}"
            );
        };
        let tags = of(Register::Tag);
        for register in [Register::Name, Register::Colloquial] {
            let recall = of(register);
            let (found, mut as_tag) = (recall.likeness("Balls!"), tags.likeness("Balls!"));
            near(&found.similarities, &as_tag.similarities);
            as_tag.scores[0] += CALLED;
            near(&found.scores, &as_tag.scores);
            assert_eq!(recall.rank("ball")[0].idea, 0);
            assert_eq!(recall.known("ball"), [0, 1]);
            // A part of a phrase is not the phrase.
            let [found, as_tag] = [&recall, &tags].map(|of| of.likeness("a ball game").scores);
            near(&found, &as_tag);
        }
    }

    #[test]
    fn built_in_names_and_spoken_phrases_recall_what_they_are_called_by() {
        let ideas = crate::phrase::emoji_ideas().expect("built in");
        let table = crate::phrase::built_in(ideas).expect("built in");
        let table = table.filtered(|phrase| phrase.register != Register::Rude);
        let recall = Recall::new(&table);
        for (phrase, emoji) in [
            ("basketball", "🏀"),
            ("mushroom", "🍄"),
            ("电池", "🔋"),
            ("加油", "📣"),
            ("good morning", "🌞"),
            ("let's go", "🚀"),
            ("i have a headache", "🤕"),
            ("太好笑了", "🤣"),
            ("好饿", "🤤"),
        ] {
            let best = recall.rank(phrase)[0].idea;
            let found = table.ideas()[best].emoji();
            assert_eq!(found.as_deref(), Some(emoji), "{phrase}");
        }
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
        let nothing = recall.likeness("\u{1f680}");
        assert_eq!([nothing.similarities, nothing.scores], [[0.0; 3], [0.0; 3]]);
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
            assert!(ranked.windows(2).all(|pair| pair[0].prob >= pair[1].prob));
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
