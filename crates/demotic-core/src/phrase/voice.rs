//! Ideas -> what people call them: phrases of the recalled ideas, the most telling first, and phrases that
//! are made up.

use std::collections::BTreeMap;

use serde::Serialize;

use super::learn::Words;
use super::recall::{Recall, Recalled};
use super::speaker::condition;
use super::table::{Language, Phrases, Register};
use super::text::fold;
use crate::rng::{Rng, Stream};

/// Ideas whose phrases are looked at.
const IDEAS: usize = 8;

/// A phrase for an idea.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Said {
    /// As people write it.
    pub phrase: String,
    /// The language of its words.
    pub language: Language,
    /// How it is used; `None` for one that was made up.
    pub register: Option<Register>,
    /// Index of the idea that it is said of.
    #[serde(skip)]
    pub idea: usize,
    /// How sure: the idea's probability, times the share of the phrase that is this idea's own.
    pub score: f32,
    /// Whether it stands in a list; else the speaker made it up.
    pub known: bool,
}

/// What phrases are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// In this language alone.
    pub language: Option<Language>,
    /// In this register alone; without it, names and what people say, tags where there is neither.
    pub register: Option<Register>,
    /// Not this phrase again, in whatever spelling.
    pub but: Option<&'a str>,
}

/// Phrases of the recalled ideas, the best first. A phrase that many ideas have says less of one of them: its
/// score is divided by the root of their number. `listed` is of the same `table`.
pub fn phrases_of(
    table: &Phrases,
    listed: &Recall,
    recalled: &[Recalled],
    wanted: Wanted<'_>,
    count: usize,
) -> Vec<Said> {
    let but = wanted.but.map(fold);
    let mut best: BTreeMap<(Language, String), Said> = BTreeMap::new();
    for recalled in recalled.iter().take(IDEAS) {
        let fits = |language: Language, register: Register| {
            wanted.language.is_none_or(|asked| asked == language)
                && match wanted.register {
                    Some(Register::Colloquial) => {
                        matches!(register, Register::Colloquial | Register::Rude)
                    }
                    Some(asked) => asked == register,
                    None => true,
                }
        };
        let own = table
            .of_idea(recalled.idea)
            .filter(|p| fits(p.language, p.register));
        for (place, phrase) in own.enumerate() {
            let key = (phrase.language, fold(&phrase.text));
            if but.as_ref() == Some(&key.1) {
                continue;
            }
            // Earlier in the list: more usual. Tags come after what is said.
            let usual = match phrase.register {
                Register::Name | Register::Colloquial | Register::Rude => 1.0,
                Register::Tag => 0.5,
            };
            let shared = (listed.known(&phrase.text).len().max(1) as f32).sqrt();
            let score = recalled.prob * usual / (shared * (1.0 + 0.01 * place as f32));
            let said = Said {
                phrase: phrase.text.clone(),
                language: phrase.language,
                register: Some(phrase.register),
                idea: recalled.idea,
                score,
                known: true,
            };
            match best.get(&key) {
                Some(other) if other.score >= score => {}
                _ => {
                    best.insert(key, said);
                }
            }
        }
    }
    let mut said: Vec<Said> = best.into_values().collect();
    said.sort_by(|a, b| b.score.total_cmp(&a.score));
    said.truncate(count);
    said
}

/// Draws of the speaker for each phrase that is kept.
const DRAWS: usize = 8;
/// Temperature of the draws.
const TEMPERATURE: f32 = 0.7;
/// Temperature where no phrase is refused for being known.
const COOL: f32 = 0.5;

/// What people might say of each code: phrases that the speaker draws, known or new, with the mean
/// log-likelihood of their units.
pub(super) fn drawn_of(
    words: &Words,
    language: Language,
    codes: &[Vec<f32>],
    rng: &mut Rng,
) -> Vec<Vec<(String, f32)>> {
    let conditions: Vec<Vec<f32>> = codes
        .iter()
        .flat_map(|code| vec![condition(code, Register::Colloquial); DRAWS])
        .collect();
    let drawn = words.make_up_of(language, &conditions, COOL, rng);
    drawn.chunks(DRAWS).map(<[_]>::to_vec).collect()
}

/// The phrase of the highest score.
pub(super) fn best_of(drawn: &[(String, f32)]) -> &str {
    let best = drawn.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    best.map_or("", |(text, _)| text)
}

/// The code that phrases of a picture are made up of: where the reader takes it for the recalled idea, what
/// it reads; else the idea's. `look`: what the gallery looks at in the picture.
pub(super) fn code_of(words: &Words, recalled: &Recalled, look: &[f32]) -> Vec<f32> {
    let read = words.read(look).filter(|(_, idea)| *idea == recalled.idea);
    read.map_or_else(|| words.code(recalled.idea).to_vec(), |(code, _)| code)
}

/// Phrases that the speaker makes up for a recalled idea and that stand in no list, the most usual first: the
/// mean probability of their units, of ratios, is their score. In the language and register that are wanted;
/// in both languages, and as people say it, where nothing is said of them. `look`: what the gallery looks at
/// in the picture that recalled it.
pub fn new_phrases(
    words: &Words,
    listed: &Recall,
    recalled: &Recalled,
    look: &[f32],
    wanted: Wanted<'_>,
    count: usize,
) -> Vec<Said> {
    let code = code_of(words, recalled, look);
    let register = wanted.register.unwrap_or(Register::Colloquial);
    let mut found: BTreeMap<String, Said> = BTreeMap::new();
    for language in Language::ALL {
        if wanted.language.is_some_and(|asked| asked != language) {
            continue;
        }
        let seed = words.options().seed;
        let mut rng = Rng::new(
            seed,
            Stream::WORDS.lane(32 + language as u16),
            recalled.idea as u64,
        );
        let conditions = vec![condition(&code, register); DRAWS * count];
        for (text, likelihood) in words.make_up_of(language, &conditions, TEMPERATURE, &mut rng) {
            let folded = fold(&text);
            if folded.is_empty() || !listed.known(&text).is_empty() {
                continue;
            }
            found.entry(folded).or_insert_with(|| Said {
                phrase: text,
                language,
                register: Some(register),
                idea: recalled.idea,
                score: likelihood.exp(),
                known: false,
            });
        }
    }
    let mut found: Vec<Said> = found.into_values().collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(count);
    found
}
