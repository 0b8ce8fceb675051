//! Idea -> new phrases: a gated recurrent network a language, Chinese by characters, English by words. A word
//! that is not in the vocabulary is spelled after an explicit *new word* unit, which only learning takes: a
//! network that may spell invents words (of those it said at temperatures 0.3 to 1, .67 to .86 were real).
//!
//! # Source
//! Cho et al. 2014 for the unit.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use super::encoder::CODE;
use super::recurrence::advance;
use super::table::{Language, Register};
use super::text::{Token, tokens};
use crate::arrays::values_of;
use crate::model::Init;
use crate::rng::Rng;

/// Entries of a unit's vector.
const UNIT: usize = 64;
/// Entries of the state.
const STATE: usize = 128;
/// Most units of a phrase, the end included.
const MAX_UNITS: usize = 14;
/// Most signs of a kaomoji, the end included.
const MAX_SIGNS: usize = 12;
/// Registers that the speaker tells apart: name, what people say, tag.
const REGISTERS: usize = 3;
/// Entries of what a phrase is said of.
pub(crate) const CONDITION: usize = CODE + REGISTERS;
/// Begins and ends a phrase.
const END: usize = 0;
/// Begins a word that is spelled.
const NEW_WORD: usize = 1;
/// Ends a word that is spelled.
const WORD_END: usize = 2;
/// Times that a word comes to be a unit of its own.
const WORD_COUNT: usize = 2;

/// The units of a language.
#[derive(Debug, Clone)]
pub(super) struct Units {
    language: Language,
    /// After the three special ones: letters, then words or characters.
    names: Vec<String>,
    places: BTreeMap<String, usize>,
    /// Most units of a phrase, the end included.
    longest: usize,
}

impl Units {
    /// From phrases: every Chinese character; English words that come twice, letters and digits.
    pub(crate) fn new<'a>(language: Language, phrases: impl Iterator<Item = &'a str>) -> Self {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for phrase in phrases {
            for token in tokens(phrase) {
                match (language, token) {
                    (Language::En, Token::Word(word)) => *counts.entry(word).or_default() += 1,
                    (Language::Zh, Token::Word(word)) => {
                        for letter in word.chars() {
                            *counts.entry(letter.to_string()).or_default() += 1;
                        }
                    }
                    (Language::Zh, Token::Han(letter)) => {
                        *counts.entry(letter.to_string()).or_default() += 1;
                    }
                    _ => {}
                }
            }
        }
        let mut names: Vec<String> = Vec::new();
        if language == Language::En {
            names.extend(('a'..='z').chain('0'..='9').map(String::from));
            counts.retain(|word, count| *count >= WORD_COUNT && word.chars().count() > 1);
        }
        names.extend(counts.into_keys());
        Self::of(language, names)
    }

    pub(crate) fn of(language: Language, names: Vec<String>) -> Self {
        let places = names
            .iter()
            .enumerate()
            .map(|(at, name)| (name.clone(), at + 3))
            .collect();
        Self {
            language,
            names,
            places,
            longest: MAX_UNITS,
        }
    }

    /// The units of kaomoji: every sign is one.
    pub(crate) fn of_signs<'a>(faces: impl Iterator<Item = &'a str>) -> Self {
        let signs: BTreeSet<char> = faces.flat_map(str::chars).collect();
        Self {
            longest: MAX_SIGNS,
            ..Self::of(Language::Zh, signs.into_iter().map(String::from).collect())
        }
    }

    /// The units of a kaomoji, the end at its end; `None` as in [`Self::of_phrase`].
    pub(crate) fn of_face(&self, face: &str) -> Option<Vec<usize>> {
        let place = |sign: char| self.places.get(&String::from(sign)).copied();
        let mut units = face.chars().map(place).collect::<Option<Vec<usize>>>()?;
        units.push(END);
        (units.len() > 1 && units.len() <= self.longest).then_some(units)
    }

    pub(crate) fn count(&self) -> usize {
        self.names.len() + 3
    }

    /// The units of a phrase, the end at its end; `None` where it has a letter without a unit, or too many
    /// units.
    pub(crate) fn of_phrase(&self, phrase: &str) -> Option<Vec<usize>> {
        let mut units = Vec::new();
        for token in tokens(phrase) {
            match (self.language, token) {
                (Language::En, Token::Word(word)) => {
                    if let Some(place) = self.places.get(&word) {
                        units.push(*place);
                    } else {
                        units.push(NEW_WORD);
                        for letter in word.chars() {
                            units.push(*self.places.get(&letter.to_string())?);
                        }
                        units.push(WORD_END);
                    }
                }
                (Language::Zh, Token::Word(word)) => {
                    for letter in word.chars() {
                        units.push(*self.places.get(&letter.to_string())?);
                    }
                }
                (Language::Zh, Token::Han(letter)) => {
                    units.push(*self.places.get(&letter.to_string())?);
                }
                _ => return None,
            }
        }
        units.push(END);
        (units.len() > 1 && units.len() <= self.longest).then_some(units)
    }

    /// The phrase of units, as people write it.
    pub(super) fn phrase(&self, units: &[usize]) -> String {
        let mut text = String::new();
        let mut is_spelling = false;
        for unit in units {
            let blank = self.language == Language::En && !is_spelling && !text.is_empty();
            match *unit {
                NEW_WORD => {
                    if blank {
                        text.push(' ');
                    }
                    is_spelling = true;
                }
                WORD_END | END => is_spelling = false,
                named => {
                    if blank {
                        text.push(' ');
                    }
                    text.push_str(&self.names[named - 3]);
                }
            }
        }
        text
    }
}

/// The network of one language.
#[derive(Module, Debug)]
pub(super) struct Speaker {
    /// `[units, UNIT]`
    units: Param<Tensor<2>>,
    /// `[CONDITION, STATE]`: the first state.
    start: Param<Tensor<2>>,
    /// `[CONDITION, 3 STATE]`: of every step.
    condition: Param<Tensor<2>>,
    /// `[UNIT, 3 STATE]`
    input: Param<Tensor<2>>,
    /// `[STATE, 3 STATE]`
    state: Param<Tensor<2>>,
    /// `[3 STATE]`
    bias: Param<Tensor<1>>,
    /// `[STATE, units]`
    output: Param<Tensor<2>>,
    /// `[units]`
    output_bias: Param<Tensor<1>>,
}

/// A phrase to learn to say.
pub(crate) struct Spoken {
    pub(crate) condition: Vec<f32>,
    pub(crate) units: Vec<usize>,
    /// The share of the phrase that is this idea's own: `1 / sqrt(ideas that have it)`.
    pub(crate) share: f32,
}

/// The code of an idea and the register, side by side.
pub(crate) fn condition(code: &[f32], register: Register) -> Vec<f32> {
    let place = match register {
        Register::Name => 0,
        Register::Colloquial | Register::Rude => 1,
        Register::Tag => 2,
    };
    let one_hot = (0..REGISTERS).map(|at| f32::from(u8::from(at == place)));
    code.iter().copied().chain(one_hot).collect()
}

impl Speaker {
    pub(crate) fn new(init: &mut Init, units: usize) -> Self {
        let of = |from: usize| (1.0 / from as f32).sqrt();
        Self {
            units: init.normal([units, UNIT], of(UNIT)),
            start: init.normal([CONDITION, STATE], of(CONDITION)),
            condition: init.normal([CONDITION, 3 * STATE], of(CONDITION)),
            input: init.normal([UNIT, 3 * STATE], of(UNIT)),
            state: init.normal([STATE, 3 * STATE], of(STATE)),
            bias: init.constant([3 * STATE], 0.0),
            output: init.normal([STATE, units], of(STATE)),
            output_bias: init.constant([units], 0.0),
        }
    }

    /// First states `[b, STATE]` and what the condition adds to every step `[b, 3 STATE]`.
    fn begin(&self, condition: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let state = condition.clone().matmul(self.start.val()).tanh();
        let every = condition.matmul(self.condition.val()) + self.bias.val().unsqueeze();
        (state, every)
    }

    /// Mean negative log-likelihood of the units of phrases, nats a unit; a phrase counts by its share of
    /// `weights`, where there are any.
    pub(crate) fn loss(
        &self,
        batch: &[&Spoken],
        weights: Option<&[f32]>,
        device: &Device,
    ) -> Tensor<1> {
        let b = batch.len();
        let steps = batch
            .iter()
            .map(|spoken| spoken.units.len())
            .max()
            .unwrap_or(1);
        let conditions: Vec<f32> = batch
            .iter()
            .flat_map(|s| s.condition.iter().copied())
            .collect();
        let conditions = Tensor::from_data(TensorData::new(conditions, [b, CONDITION]), device);
        let (mut state, every) = self.begin(conditions);
        let mut states = Vec::with_capacity(steps);
        for step in 0..steps {
            let before: Vec<i32> = batch
                .iter()
                .map(|spoken| match step {
                    0 => END as i32,
                    _ => spoken
                        .units
                        .get(step - 1)
                        .map_or(END as i32, |unit| *unit as i32),
                })
                .collect();
            let before = Tensor::<1, Int>::from_data(TensorData::new(before, [b]), device);
            let input = self.units.val().select(0, before).matmul(self.input.val()) + every.clone();
            state = advance(input, state, self.state.val());
            states.push(state.clone());
        }
        // Only steps that exist are told apart: most phrases are short.
        let (mut rows, mut targets, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        for (i, spoken) in batch.iter().enumerate() {
            for (step, unit) in spoken.units.iter().enumerate() {
                rows.push((step * b + i) as i32);
                targets.push(*unit as i32);
                shares.push(weights.map_or(1.0, |weights| weights[i]));
            }
        }
        let n = rows.len();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [n]), device);
        let targets = Tensor::<2, Int>::from_data(TensorData::new(targets, [n, 1]), device);
        let states = Tensor::cat(states, 0).select(0, rows); // [n, STATE]
        let logits = states.matmul(self.output.val()) + self.output_bias.val().unsqueeze();
        let log_probs = activation::log_softmax(logits, 1).gather(1, targets);
        if weights.is_none() {
            return log_probs.mean().neg();
        }
        let shares = Tensor::<2>::from_data(TensorData::new(shares, [n, 1]), device);
        (log_probs * shares).mean().neg()
    }

    /// Draws a phrase for each condition; below temperature 1, more usual ones. Also gives the mean
    /// log-likelihood of its units.
    pub(crate) fn sample(
        &self,
        units: &Units,
        conditions: &[Vec<f32>],
        temperature: f32,
        rng: &mut Rng,
        device: &Device,
    ) -> Vec<(String, f32)> {
        let drawn = self.draw(units, conditions, temperature, rng, device);
        let said = drawn.into_iter();
        said.map(|(said, log_prob)| (units.phrase(&said), log_prob))
            .collect()
    }

    /// [`Self::sample`] as units. Phrases that do not end within the longest length are cut there.
    pub(super) fn draw(
        &self,
        units: &Units,
        conditions: &[Vec<f32>],
        temperature: f32,
        rng: &mut Rng,
        device: &Device,
    ) -> Vec<(Vec<usize>, f32)> {
        let b = conditions.len();
        let flat: Vec<f32> = conditions.iter().flatten().copied().collect();
        let (mut state, every) = self.begin(Tensor::from_data(
            TensorData::new(flat, [b, CONDITION]),
            device,
        ));
        let mut said: Vec<Vec<usize>> = vec![Vec::new(); b];
        let mut log_probs = vec![0.0_f32; b];
        let mut ended = vec![false; b];
        for _ in 0..units.longest {
            let before: Vec<i32> = said
                .iter()
                .map(|units| units.last().map_or(END as i32, |unit| *unit as i32))
                .collect();
            let before = Tensor::<1, Int>::from_data(TensorData::new(before, [b]), device);
            let input = self.units.val().select(0, before).matmul(self.input.val()) + every.clone();
            state = advance(input, state, self.state.val());
            let logits =
                state.clone().matmul(self.output.val()) + self.output_bias.val().unsqueeze();
            let logits = values_of(activation::log_softmax(logits, 1));
            for (i, row) in logits.chunks_exact(units.count()).enumerate() {
                // Every phrase draws at every step, so that a phrase does not depend on when its neighbours
                // end.
                let draw = rng.uniform();
                if ended[i] {
                    continue;
                }
                let unit = drawn(&without_new_words(row), temperature, draw);
                log_probs[i] += row[unit];
                ended[i] = unit == END;
                said[i].push(unit);
            }
            if ended.iter().all(|ended| *ended) {
                break;
            }
        }
        said.into_iter()
            .zip(log_probs)
            .map(|(said, log_prob)| {
                let count = said.len().max(1) as f32;
                (said, log_prob / count)
            })
            .collect()
    }
}

/// Log-probabilities of the units of which none begins to spell.
fn without_new_words(log_probs: &[f32]) -> Vec<f32> {
    let mut known = log_probs.to_vec();
    known[NEW_WORD] = f32::NEG_INFINITY;
    known
}

/// The entry at `draw` (0 to 1) of `softmax(log_probs / temperature)`; the most probable one at temperature
/// 0.
fn drawn(log_probs: &[f32], temperature: f32, draw: f32) -> usize {
    let mut best = 0;
    for (at, value) in log_probs.iter().enumerate() {
        if *value > log_probs[best] {
            best = at;
        }
    }
    if temperature <= 0.0 {
        return best;
    }
    let weight = |value: &f32| ((value - log_probs[best]) / temperature).exp();
    let total: f32 = log_probs.iter().map(weight).sum();
    let mut left = draw * total;
    for (at, value) in log_probs.iter().enumerate() {
        left -= weight(value);
        if left < 0.0 {
            return at;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_say_what_they_were_made_of() {
        let phrases = ["so tired", "so dead tired", "qed", "dead"];
        let en = Units::new(Language::En, phrases.iter().copied());
        for phrase in ["so tired", "tired qed so", "dead"] {
            let units = en.of_phrase(phrase).expect("it has units");
            assert_eq!(en.phrase(&units), phrase);
        }
        assert!(en.of_phrase("qed").expect("spelled").contains(&NEW_WORD));
        assert!(!en.of_phrase("so tired").expect("words").contains(&NEW_WORD));
        assert_eq!(en.of_phrase("naïve"), None, "a letter without a unit");
        assert_eq!(en.of_phrase("an unreasonably long phrase"), None);
        let zh = Units::new(Language::Zh, ["笑死我了", "emo了"].into_iter());
        let units = zh.of_phrase("笑死了").expect("its characters are known");
        assert_eq!((units.len(), zh.phrase(&units).as_str()), (4, "笑死了"));
        assert_eq!(zh.of_phrase("哭"), None);
    }

    #[test]
    fn draws_follow_the_distribution() {
        let log_probs = [0.1_f32.ln(), 0.6_f32.ln(), 0.3_f32.ln()];
        assert_eq!(drawn(&log_probs, 0.0, 0.99), 1);
        let mut counts = [0_u32; 3];
        for i in 0..1000 {
            counts[drawn(&log_probs, 1.0, (i as f32 + 0.5) / 1000.0)] += 1;
        }
        assert_eq!(counts, [100, 600, 300]);
        // The most probable unit is left out where it would begin to spell.
        let spelling = [0.2_f32.ln(), 0.6_f32.ln(), 0.2_f32.ln()];
        for i in 0..100 {
            let unit = drawn(&without_new_words(&spelling), 1.0, (i as f32 + 0.5) / 100.0);
            assert_ne!(unit, NEW_WORD);
        }
        // 0.1^2 : 0.6^2 : 0.3^2
        assert_eq!(drawn(&log_probs, 0.5, 0.02), 0);
        assert_eq!(drawn(&log_probs, 0.5, 0.03), 1);
    }
}
