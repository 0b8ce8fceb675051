//! The second stage: phrase encoder, speakers and text discriminator, one after the other, on what the ideas
//! of a data source are called. The picture networks have no part in it. Every draw is a function of (seed,
//! stream, step): a run that resumes ends with the same weights.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData, activation};
use serde::{Deserialize, Serialize};

use super::discriminator::{Example, FAKE, TextDiscriminator, real_label};
use super::encoder::{PhraseEncoder, bag};
use super::recall::{Recall, Recalled, ranked};
use super::speaker::{Speaker, Spoken, Units, condition};
use super::table::{Language, Phrases, Register};
use super::text::{fold, split_of_phrase};
use crate::arrays::{Array, Arrays, values_of, weights_of, with_weights};
use crate::data::{Split, fnv1a64};
use crate::error::Error;
use crate::model::Init;
use crate::rng::{Rng, Stream};
use crate::train::{Adam, Gradients};

/// Raised when old files cannot be read any more.
const FORMAT: u32 = 1;
/// Share of letter groups left out of each phrase while learning.
const GRAM_DROP: f32 = 0.3;
/// Share of phrases that get another one of the same idea beside them, and that get a filler word before or
/// after.
const JOINED: f32 = 0.15;
const FILLED: f32 = 0.25;
/// Words that people put around what they say.
const FILLERS: [&[&str]; 2] = [
    &["so", "very", "really", "lol", "omg", "just", "totally"],
    &["好", "太", "真", "了", "死了", "啊", "我"],
];
/// Phrases that the speakers make up for the discriminator to tell apart, a language.
const MADE_UP: usize = 1500;
/// Temperature at which it is taught by them.
const TEMPERATURE: f32 = 0.8;
/// What the similarity of TF-IDF is worth in nats beside the encoder's log-probability: set by hand, not
/// fitted.
pub(super) const TFIDF_NATS: f32 = 6.0;
/// Times that a phrase is drawn again for being everybody's.
const REDRAWS: usize = 4;
/// Steps over which a rate rises.
const WARMUP_STEPS: f64 = 20.0;

/// How long to learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnOptions {
    /// Source of every random number.
    pub seed: u64,
    /// Steps of the phrase encoder.
    pub encoder_steps: u64,
    /// Steps of the speaker of each language.
    pub speaker_steps: u64,
    /// Steps of the text discriminator.
    pub discriminator_steps: u64,
}

impl Default for LearnOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            encoder_steps: 1200,
            speaker_steps: 700,
            discriminator_steps: 400,
        }
    }
}

impl LearnOptions {
    /// About so many steps in all, shared out as by default, one per part at least.
    #[must_use]
    pub fn of_steps(steps: u64) -> Self {
        let default = Self::default();
        let all = default.encoder_steps + 2 * default.speaker_steps + default.discriminator_steps;
        let share = |own: u64| (own * steps / all).max(1);
        Self {
            encoder_steps: share(default.encoder_steps),
            speaker_steps: share(default.speaker_steps),
            discriminator_steps: share(default.discriminator_steps),
            ..default
        }
    }
}

/// The parts that are learnt, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Phrase -> ideas.
    Encoder,
    /// Idea -> English.
    SpeakerEn,
    /// Idea -> Chinese.
    SpeakerZh,
    /// Tokens -> fake or real.
    Discriminator,
}

impl Part {
    /// All, in order.
    pub const ALL: [Self; 4] = [
        Self::Encoder,
        Self::SpeakerEn,
        Self::SpeakerZh,
        Self::Discriminator,
    ];

    /// As it is told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::SpeakerEn => "speaker en",
            Self::SpeakerZh => "speaker zh",
            Self::Discriminator => "discriminator",
        }
    }

    /// Phrases a step, and the highest rate.
    fn pace(self) -> (usize, f64) {
        match self {
            Self::Encoder => (256, 5e-3),
            Self::SpeakerEn | Self::SpeakerZh => (96, 4e-3),
            Self::Discriminator => (96, 5e-3),
        }
    }

    fn lane(self) -> u16 {
        self as u16
    }
}

/// A step that was done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LearnTick {
    /// Of which part.
    pub part: Part,
    /// Steps of the part done.
    pub step: u64,
    /// Of how many.
    pub steps: u64,
    /// Nats a phrase, a unit or a token.
    pub loss: f32,
}

/// A folded phrase and whose it is.
struct Entry {
    language: Language,
    owners: Vec<usize>,
    bag: Vec<u32>,
}

/// Everything that is learnt.
#[derive(Debug, Clone)]
struct Networks {
    encoder: PhraseEncoder,
    speakers: [Speaker; 2],
    discriminator: TextDiscriminator,
}

impl Networks {
    fn new(seed: u64, ideas: usize, units: [usize; 2], device: &Device) -> Self {
        let mut init = Init::new(seed, 90, device);
        Self {
            encoder: PhraseEncoder::new(&mut init, ideas),
            speakers: units.map(|units| Speaker::new(&mut init, units)),
            discriminator: TextDiscriminator::new(&mut init),
        }
    }

    fn arrays(&self) -> Arrays {
        let mut all = Arrays::new();
        let mut add = |name: &str, arrays: Arrays| {
            all.extend(
                arrays
                    .into_iter()
                    .map(|(key, array)| (format!("{name}.{key}"), array)),
            );
        };
        add("encoder", weights_of(&self.encoder));
        add("speaker_en", weights_of(&self.speakers[0]));
        add("speaker_zh", weights_of(&self.speakers[1]));
        add("discriminator", weights_of(&self.discriminator));
        all
    }

    fn with_arrays(self, arrays: &Arrays) -> Result<Self, Vec<String>> {
        let of = |name: &str| part_of(arrays, name);
        let [en, zh] = self.speakers;
        Ok(Self {
            encoder: with_weights(self.encoder, &of("encoder"))?,
            speakers: [
                with_weights(en, &of("speaker_en"))?,
                with_weights(zh, &of("speaker_zh"))?,
            ],
            discriminator: with_weights(self.discriminator, &of("discriminator"))?,
        })
    }
}

/// The arrays whose names begin with `name.`, without that.
fn part_of(arrays: &Arrays, name: &str) -> Arrays {
    let own = arrays.iter().filter_map(|(key, array)| {
        let rest = key.strip_prefix(name)?.strip_prefix('.')?;
        Some((rest.to_owned(), array.clone()))
    });
    own.collect()
}

/// Learns step by step; what it holds can be put away between steps.
pub struct Learner {
    options: LearnOptions,
    device: Device,
    entries: Vec<Entry>,
    /// Entries of each idea.
    of_idea: Vec<Vec<usize>>,
    phrases: Vec<(Register, Language, usize, String, f32)>,
    units: [Units; 2],
    ideas: usize,
    fingerprint: String,
    networks: Networks,
    adam: Adam,
    part: usize,
    step: u64,
    /// What a speaker learns from, or the discriminator; made when its part begins.
    spoken: Vec<Spoken>,
    examples: [Vec<Example>; 2],
}

/// What is put away of a learner, beside its arrays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LearnState {
    /// Raised when old files cannot be read any more.
    pub format: u32,
    /// How long to learn.
    pub options: LearnOptions,
    /// Of the phrases that are learnt.
    pub fingerprint: String,
    /// Parts done.
    pub part: usize,
    /// Steps of the next part done.
    pub step: u64,
    /// Updates of its optimiser.
    pub updates: u64,
}

/// Hash of ideas and phrases.
fn fingerprint(table: &Phrases) -> String {
    let mut text = table.to_table();
    for idea in table.ideas() {
        text += &idea.key;
        text.push('\n');
    }
    format!("{:016x}", fnv1a64(text.as_bytes()))
}

impl Learner {
    /// Begins with the training phrases of a table: those held out by [`split_of_phrase`] are never seen.
    ///
    /// # Errors
    /// [`Error::Config`] where there are no phrases to learn from.
    pub fn new(table: &Phrases, options: LearnOptions, device: &Device) -> Result<Self, Error> {
        let device = device.clone().autodiff();
        let training = table.filtered(|p| {
            split_of_phrase(&fold(&p.text)) == Split::Train && p.register != Register::Rude
        });
        let mut by_fold: BTreeMap<(Language, String), Entry> = BTreeMap::new();
        for phrase in training.phrases() {
            let entry = by_fold
                .entry((phrase.language, fold(&phrase.text)))
                .or_insert_with(|| Entry {
                    language: phrase.language,
                    owners: Vec::new(),
                    bag: bag(&phrase.text),
                });
            if !entry.owners.contains(&phrase.idea) {
                entry.owners.push(phrase.idea);
            }
        }
        let shares: BTreeMap<(Language, String), f32> = by_fold
            .iter()
            .map(|(key, entry)| (key.clone(), 1.0 / (entry.owners.len() as f32).sqrt()))
            .collect();
        let phrases: Vec<(Register, Language, usize, String, f32)> = training
            .phrases()
            .iter()
            .map(|p| {
                let share = shares[&(p.language, fold(&p.text))];
                (p.register, p.language, p.idea, p.text.clone(), share)
            })
            .collect();
        let entries: Vec<Entry> = by_fold.into_values().collect();
        if entries.is_empty() {
            return Err(Error::Config(vec![
                "words: there is no phrase to learn from; bring phrases.tsv or <name>.txt with the pictures".into(),
            ]));
        }
        let mut of_idea = vec![Vec::new(); table.ideas().len()];
        for (at, entry) in entries.iter().enumerate() {
            for owner in &entry.owners {
                of_idea[*owner].push(at);
            }
        }
        let units = Language::ALL.map(|language| {
            let own = training.phrases().iter().filter(|p| p.language == language);
            Units::new(language, own.map(|p| p.text.as_str()))
        });
        let ideas = table.ideas().len();
        let networks = Networks::new(
            options.seed,
            ideas,
            units.each_ref().map(Units::count),
            &device,
        );
        Ok(Self {
            options,
            entries,
            of_idea,
            phrases,
            ideas,
            fingerprint: fingerprint(table),
            networks,
            adam: Adam::new(0.9, 0.999, 5.0),
            part: 0,
            step: 0,
            spoken: Vec::new(),
            examples: [Vec::new(), Vec::new()],
            units,
            device,
        })
    }

    /// Steps of a part.
    pub fn steps_of(&self, part: Part) -> u64 {
        match part {
            Part::Encoder => self.options.encoder_steps,
            Part::SpeakerEn | Part::SpeakerZh => self.options.speaker_steps,
            Part::Discriminator => self.options.discriminator_steps,
        }
    }

    /// Steps done and steps in all.
    pub fn progress(&self) -> (u64, u64) {
        let done: u64 = Part::ALL[..self.part]
            .iter()
            .map(|part| self.steps_of(*part))
            .sum();
        let all = Part::ALL.iter().map(|part| self.steps_of(*part)).sum();
        (done + self.step, all)
    }

    /// One step; `None` where all is learnt.
    ///
    /// # Errors
    /// [`Error::Diverged`] where a loss is not a number.
    pub fn step(&mut self) -> Result<Option<LearnTick>, Error> {
        while self.part < Part::ALL.len() && self.step >= self.steps_of(Part::ALL[self.part]) {
            self.part += 1;
            self.step = 0;
            self.adam = Adam::new(0.9, 0.999, 5.0);
            self.spoken.clear();
            self.examples = [Vec::new(), Vec::new()];
        }
        let Some(&part) = Part::ALL.get(self.part) else {
            return Ok(None);
        };
        let steps = self.steps_of(part);
        let (batch, rate) = part.pace();
        let warm = ((self.step + 1) as f64 / WARMUP_STEPS).min(1.0);
        let rate = rate * warm * (1.0 - 0.99 * self.step as f64 / steps as f64);
        let mut rng = Rng::new(
            self.options.seed,
            Stream::WORDS.lane(part.lane()),
            self.step,
        );
        let loss = match part {
            Part::Encoder => self.encoder_step(batch, rate, &mut rng),
            Part::SpeakerEn => self.speaker_step(0, batch, rate, &mut rng),
            Part::SpeakerZh => self.speaker_step(1, batch, rate, &mut rng),
            Part::Discriminator => self.discriminator_step(batch, rate, &mut rng),
        };
        self.step += 1;
        if !loss.is_finite() {
            return Err(Error::Diverged {
                step: self.step,
                what: format!("words: the loss of the {} is {loss}", part.name()),
            });
        }
        Ok(Some(LearnTick {
            part,
            step: self.step,
            steps,
            loss,
        }))
    }

    fn encoder_step(&mut self, batch: usize, rate: f64, rng: &mut Rng) -> f32 {
        let (mut bags, mut targets) = (Vec::new(), vec![0.0_f32; batch * self.ideas]);
        for row in targets.chunks_exact_mut(self.ideas) {
            let entry = &self.entries[rng.below(self.entries.len() as u32) as usize];
            let mut groups = entry.bag.clone();
            let owner = entry.owners[rng.below(entry.owners.len() as u32) as usize];
            if rng.chance(JOINED) {
                let of = &self.of_idea[owner];
                let other = &self.entries[of[rng.below(of.len() as u32) as usize]];
                groups.extend(&other.bag);
            }
            if rng.chance(FILLED) {
                let fillers = FILLERS[entry.language as usize];
                groups.extend(bag(fillers[rng.below(fillers.len() as u32) as usize]));
            }
            // At least one group stays.
            let kept: Vec<u32> = groups
                .iter()
                .copied()
                .filter(|_| !rng.chance(GRAM_DROP))
                .collect();
            bags.push(if kept.is_empty() { groups } else { kept });
            for owner in &entry.owners {
                row[*owner] = 1.0 / entry.owners.len() as f32;
            }
        }
        let encoder = &self.networks.encoder;
        let logits = encoder.logits(encoder.codes(&bags, &self.device));
        let targets =
            Tensor::<2>::from_data(TensorData::new(targets, [batch, self.ideas]), &self.device);
        let loss = (activation::log_softmax(logits, 1) * targets)
            .sum_dim(1)
            .mean()
            .neg();
        let encoder = self.networks.encoder.clone();
        let (encoder, loss) = updated(encoder, loss, &mut self.adam, |_| rate);
        self.networks.encoder = encoder;
        loss
    }

    fn speaker_step(&mut self, language: usize, batch: usize, rate: f64, rng: &mut Rng) -> f32 {
        if self.spoken.is_empty() {
            let codes = self.networks.encoder.idea_codes();
            let own = self.phrases.iter().filter(|p| p.1 as usize == language);
            self.spoken = own
                .filter_map(|(register, _, idea, text, share)| {
                    let units = self.units[language].of_phrase(text)?;
                    Some(Spoken {
                        condition: condition(&codes[*idea], *register),
                        units,
                        share: *share,
                    })
                })
                .collect();
        }
        if self.spoken.is_empty() {
            return 0.0;
        }
        // A phrase that many ideas have is said of each of them more seldom.
        let chosen: Vec<&Spoken> = (0..batch)
            .map(|_| {
                let mut spoken = &self.spoken[rng.below(self.spoken.len() as u32) as usize];
                for _ in 0..REDRAWS {
                    if rng.chance(spoken.share) {
                        break;
                    }
                    spoken = &self.spoken[rng.below(self.spoken.len() as u32) as usize];
                }
                spoken
            })
            .collect();
        let loss = self.networks.speakers[language].loss(&chosen, &self.device);
        let speaker = self.networks.speakers[language].clone();
        let (speaker, loss) = updated(speaker, loss, &mut self.adam, |_| rate);
        self.networks.speakers[language] = speaker;
        loss
    }

    fn discriminator_step(&mut self, batch: usize, rate: f64, rng: &mut Rng) -> f32 {
        if self.examples[0].is_empty() {
            self.examples = self.examples();
        }
        let [real, fake] = &self.examples;
        if real.is_empty() || fake.is_empty() {
            return 0.0;
        }
        let any =
            |of: &'_ [Example], rng: &mut Rng| of[rng.below(of.len() as u32) as usize].clone();
        let examples: Vec<Example> = (0..batch)
            .map(|slot| match slot % 3 {
                0 => any(real, rng),
                1 => any(fake, rng),
                _ => {
                    let (a, b) = (any(real, rng), any(fake, rng));
                    match rng.below(4) {
                        0 => Example::spliced(&a, &b, rng),
                        1 => Example::spliced(&b, &a, rng),
                        // Seams alone must not tell.
                        2 => Example::spliced(&a, &any(real, rng), rng),
                        _ => Example::spliced(&b, &any(fake, rng), rng),
                    }
                }
            })
            .collect();
        let examples: Vec<&Example> = examples.iter().collect();
        let loss = self
            .networks
            .discriminator
            .loss(&examples, true, &self.device);
        let discriminator = self.networks.discriminator.clone();
        // Transitions move slowly beside emissions: docs of `demotic-crf`.
        let rates = |name: &str| {
            if name.starts_with("crf") {
                4.0 * rate
            } else {
                rate
            }
        };
        let (discriminator, loss) = updated(discriminator, loss, &mut self.adam, rates);
        self.networks.discriminator = discriminator;
        loss
    }

    /// Real phrases, and what the speakers make up for the same ideas.
    fn examples(&self) -> [Vec<Example>; 2] {
        let real = self.phrases.iter();
        let real = real
            .filter_map(|p| Example::whole(&p.3, real_label(p.0)))
            .collect();
        let words = self.words();
        let mut fake = Vec::new();
        for language in Language::ALL {
            let own: Vec<&(Register, Language, usize, String, f32)> =
                self.phrases.iter().filter(|p| p.1 == language).collect();
            if own.is_empty() {
                continue;
            }
            let mut rng = Rng::new(
                self.options.seed,
                Stream::WORDS.lane(16 + language as u16),
                0,
            );
            let wanted: Vec<(usize, Register)> = (0..MADE_UP)
                .map(|_| {
                    let phrase = own[rng.below(own.len() as u32) as usize];
                    (phrase.2, phrase.0)
                })
                .collect();
            let said = words.make_up(language, &wanted, TEMPERATURE, &mut rng);
            let known: std::collections::BTreeSet<String> =
                own.iter().map(|p| fold(&p.3)).collect();
            // What it learnt by heart is no fake.
            let new = said.iter().filter(|(text, _)| !known.contains(&fold(text)));
            fake.extend(new.filter_map(|(text, _)| Example::whole(text, FAKE)));
        }
        [real, fake]
    }

    /// What is learnt so far, for use.
    pub fn words(&self) -> Words {
        let networks = &self.networks;
        let codes = networks.encoder.idea_codes();
        Words {
            networks: Networks {
                encoder: networks.encoder.valid(),
                speakers: networks.speakers.each_ref().map(Module::valid),
                discriminator: networks.discriminator.valid(),
            },
            device: self.device.clone().inner(),
            units: self.units.clone(),
            codes,
            state: self.state(),
        }
    }

    /// What to put away, beside [`Self::arrays`].
    pub fn state(&self) -> LearnState {
        LearnState {
            format: FORMAT,
            options: self.options,
            fingerprint: self.fingerprint.clone(),
            part: self.part,
            step: self.step,
            updates: self.adam.state().0,
        }
    }

    /// Weights, and the memory of the optimiser.
    pub fn arrays(&self) -> Arrays {
        let mut all = self.networks.arrays();
        let memory = self.adam.state().1.into_iter();
        all.extend(memory.map(|(name, array)| (format!("adam.{name}"), array)));
        all
    }

    /// Goes on from what was put away.
    ///
    /// # Errors
    /// [`Error::Run`] where it belongs to other phrases or options, or is damaged.
    pub fn restore(
        &mut self,
        state: &LearnState,
        arrays: &Arrays,
        path: &Path,
    ) -> Result<(), Error> {
        if state.format != FORMAT {
            return Err(Error::run(
                format!(
                    "format {}; this program reads {FORMAT}: learn the words anew",
                    state.format
                ),
                path,
            ));
        }
        if state.fingerprint != self.fingerprint || state.options != self.options {
            return Err(Error::run(
                "what was learnt is of other phrases or options; learn the words anew with --restart",
                path,
            ));
        }
        let damaged = |problems: Vec<String>| {
            Error::run(
                format!(
                    "what was learnt is damaged: {}; learn the words anew with --restart",
                    problems.join("; ")
                ),
                path,
            )
        };
        self.networks = self.networks.clone().with_arrays(arrays).map_err(damaged)?;
        self.part = state.part;
        self.step = state.step;
        self.spoken.clear();
        self.examples = [Vec::new(), Vec::new()];
        let weights = match Part::ALL.get(self.part) {
            Some(Part::Encoder) => weights_of(&self.networks.encoder),
            Some(Part::SpeakerEn) => weights_of(&self.networks.speakers[0]),
            Some(Part::SpeakerZh) => weights_of(&self.networks.speakers[1]),
            Some(Part::Discriminator) => weights_of(&self.networks.discriminator),
            None => Arrays::new(),
        };
        let memory = part_of(arrays, "adam");
        self.adam = Adam::new(0.9, 0.999, 5.0);
        if self.step > 0 {
            // Only what gradients reach has a memory.
            let weights = weights
                .into_iter()
                .filter(|(name, _)| memory.contains_key(&format!("first.{name}")));
            let weights: BTreeMap<String, Array> = weights.collect();
            let device = self.device.clone().inner();
            self.adam
                .restore(state.updates, memory, &weights, &device)
                .map_err(damaged)?;
        }
        Ok(())
    }
}

/// A network after one update, and the loss before it.
fn updated<M: Module>(
    network: M,
    loss: Tensor<1>,
    adam: &mut Adam,
    rate: impl Fn(&str) -> f64,
) -> (M, f32) {
    let value = values_of(loss.clone().inner())[0];
    let gradients = Gradients::new(loss.backward(), &[&network]);
    (adam.step(network, gradients, rate).0, value)
}

/// What was learnt, for use.
#[derive(Debug, Clone)]
pub struct Words {
    networks: Networks,
    device: Device,
    units: [Units; 2],
    codes: Vec<Vec<f32>>,
    state: LearnState,
}

impl Words {
    /// Reads what [`Learner::state`] and [`Learner::arrays`] gave; `table` is that of the same data source.
    ///
    /// # Errors
    /// [`Error::Run`] where it is of other phrases, not finished, or damaged.
    pub fn new(
        table: &Phrases,
        state: LearnState,
        arrays: &Arrays,
        device: &Device,
        path: &Path,
    ) -> Result<Self, Error> {
        let mut learner = Learner::new(table, state.options, device)?;
        learner.restore(&state, arrays, path)?;
        let (done, all) = learner.progress();
        if done < all {
            return Err(Error::run(
                format!(
                    "the words are learnt up to step {done} of {all}; go on with `demotic learn-words --run`"
                ),
                path,
            ));
        }
        Ok(learner.words())
    }

    /// All ideas by encoder and TF-IDF together, the most probable first; [`Recalled::similarity`] stays that
    /// of TF-IDF.
    ///
    /// ```text
    /// p(idea | phrase) = softmax(log p_bag + TFIDF_NATS * similarity)
    /// ```
    pub fn rank(&self, recall: &Recall, phrase: &str) -> Vec<Recalled> {
        let similarities = recall.similarities(phrase);
        let bag = self.networks.encoder.log_probs(&[phrase], &self.device);
        blended(&bag, &similarities, TFIDF_NATS)
    }

    /// `log p_bag` of phrases: `[phrases][ideas]`.
    pub fn log_probs(&self, phrases: &[&str]) -> Vec<Vec<f32>> {
        let ideas = self.codes.len();
        let values = self.networks.encoder.log_probs(phrases, &self.device);
        values
            .chunks_exact(ideas.max(1))
            .map(<[f32]>::to_vec)
            .collect()
    }

    /// Makes phrases up for ideas in registers, with the mean log-likelihood of their units.
    pub fn make_up(
        &self,
        language: Language,
        wanted: &[(usize, Register)],
        temperature: f32,
        rng: &mut Rng,
    ) -> Vec<(String, f32)> {
        let (speaker, units) = (
            &self.networks.speakers[language as usize],
            &self.units[language as usize],
        );
        let mut all = Vec::new();
        for wanted in wanted.chunks(256) {
            let conditions: Vec<Vec<f32>> = wanted
                .iter()
                .map(|(idea, register)| condition(&self.codes[*idea], *register))
                .collect();
            all.extend(speaker.sample(units, &conditions, temperature, rng, &self.device));
        }
        all
    }

    /// The text discriminator.
    pub fn discriminator(&self) -> &TextDiscriminator {
        &self.networks.discriminator
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Mean probability that the tokens of texts are real.
    pub fn realness(&self, texts: &[&str]) -> Vec<f32> {
        self.networks.discriminator.realness(texts, &self.device)
    }

    /// How it was learnt.
    pub fn options(&self) -> LearnOptions {
        self.state.options
    }
}

/// Ideas by `log_prob + nats * similarity`, the most probable first; similarities stay beside them.
pub(super) fn blended(log_probs: &[f32], similarities: &[f32], nats: f32) -> Vec<Recalled> {
    let scores: Vec<f32> = log_probs
        .iter()
        .zip(similarities)
        .map(|(p, s)| p + nats * s)
        .collect();
    let mut all = ranked(&scores, 1.0);
    for recalled in &mut all {
        recalled.similarity = similarities[recalled.idea];
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phrase::table::{Idea, Phrase};

    /// Ideas with phrases in both languages; none is held out by its hash, so that all are learnt.
    fn table() -> Phrases {
        let rows: [(&str, &[&str]); 4] = [
            (
                "tired",
                &[
                    "so tired",
                    "dead tired",
                    "need a nap",
                    "sleepy head",
                    "好累",
                    "困死了",
                ],
            ),
            (
                "happy",
                &[
                    "so happy",
                    "over joyed",
                    "happy days",
                    "glad to hear",
                    "开心",
                    "高兴",
                ],
            ),
            (
                "food",
                &["hungry", "dinner time", "what is for lunch", "饿了", "吃饭"],
            ),
            (
                "rain",
                &[
                    "raining cats",
                    "wet day",
                    "umbrella needed",
                    "下雨了",
                    "淋雨",
                ],
            ),
        ];
        let ideas = rows.iter().map(|(key, _)| Idea {
            key: (*key).into(),
            name: (*key).into(),
        });
        let mut table = Phrases::of_ideas(ideas.collect());
        table.extend(rows.iter().enumerate().flat_map(|(idea, (_, phrases))| {
            phrases.iter().map(move |text| Phrase {
                idea,
                language: Language::of(text),
                register: Register::Colloquial,
                source: String::new(),
                text: (*text).into(),
            })
        }));
        table
    }

    const TINY: LearnOptions = LearnOptions {
        seed: 3,
        encoder_steps: 12,
        speaker_steps: 4,
        discriminator_steps: 3,
    };

    fn to_the_end(learner: &mut Learner) -> Vec<LearnTick> {
        let mut ticks = Vec::new();
        while let Some(tick) = learner.step().expect("losses are finite") {
            ticks.push(tick);
        }
        ticks
    }

    #[test]
    fn learning_that_was_put_away_ends_with_the_same_weights() {
        let (table, device) = (table(), Device::flex());
        let mut whole = Learner::new(&table, TINY, &device).expect("there are phrases");
        let ticks = to_the_end(&mut whole);
        assert_eq!(ticks.len() as u64, whole.progress().1);
        let expected = whole.arrays();
        // In the middle of every part, and where one ends.
        for cut in [5, 12, 14, 18, 21] {
            let mut first = Learner::new(&table, TINY, &device).expect("there are phrases");
            for _ in 0..cut {
                first.step().expect("losses are finite");
            }
            let (state, arrays) = (first.state(), first.arrays());
            let mut second = Learner::new(&table, TINY, &device).expect("there are phrases");
            second
                .restore(&state, &arrays, Path::new("words"))
                .expect("it is of the same phrases");
            assert_eq!(to_the_end(&mut second), ticks[cut..], "cut at {cut}");
            assert!(second.arrays() == expected, "cut at {cut}");
        }
    }

    #[test]
    fn training_phrases_recall_their_ideas_and_held_out_ones_are_not_learnt() {
        let (table, device) = (table(), Device::flex());
        let options = LearnOptions {
            encoder_steps: 60,
            ..TINY
        };
        let mut learner = Learner::new(&table, options, &device).expect("there are phrases");
        let ticks = to_the_end(&mut learner);
        let losses: Vec<f32> = ticks
            .iter()
            .filter(|t| t.part == Part::Encoder)
            .map(|t| t.loss)
            .collect();
        assert!(losses[59] < 0.5 * losses[0], "{losses:?}");
        let words = learner.words();
        for phrase in table.phrases() {
            let row = words.log_probs(&[phrase.text.as_str()]).remove(0);
            let total: f32 = row.iter().map(|p| p.exp()).sum();
            assert!((total - 1.0).abs() < 1e-4);
            if split_of_phrase(&fold(&phrase.text)) == Split::Train {
                let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
                assert_eq!(best, Some(phrase.idea), "{}", phrase.text);
            } else {
                let own = bag(&phrase.text);
                assert!(!learner.entries.iter().any(|entry| entry.bag == own));
            }
        }
        let said = words.make_up(
            Language::Zh,
            &[(0, Register::Colloquial); 3],
            1.0,
            &mut Rng::new(0, Stream::TEST, 0),
        );
        assert_eq!(said.len(), 3);
        assert!(words.realness(&["so tired"])[0] > 0.0);
    }

    #[test]
    fn what_was_learnt_of_other_phrases_is_refused() {
        let device = Device::flex();
        let mut learner = Learner::new(&table(), TINY, &device).expect("there are phrases");
        learner.step().expect("losses are finite");
        let (state, arrays) = (learner.state(), learner.arrays());
        let fewer = table().filtered(|phrase| phrase.text != "wet day");
        let mut other = Learner::new(&fewer, TINY, &device).expect("there are phrases");
        let refused = other.restore(&state, &arrays, Path::new("words"));
        assert!(refused.is_err_and(|e| e.to_string().contains("other phrases or options")));
        let half = Words::new(&table(), state, &arrays, &device, Path::new("words"));
        assert!(half.is_err_and(|e| e.to_string().contains("up to step 1 of")));
        let none = table().filtered(|_| false);
        assert!(Learner::new(&none, TINY, &device).is_err());
    }
}
