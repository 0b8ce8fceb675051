//! The second stage: phrase encoder, speakers and text discriminator, one after the other, on what the ideas
//! of a data source are called. The picture networks have no part in it. Every draw is a function of (seed,
//! stream, step): a run that resumes ends with the same weights.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData, activation};
use serde::{Deserialize, Serialize};

use super::discriminator::{Example, FAKE, TextDiscriminator, real_label};
use super::encoder::{PhraseEncoder, units_of};
use super::faces::{Faces, Written};
use super::fit::{Blend, HeldOut, Retrieval};
use super::gallery::{Gallery, drawn_ones};
use super::looks::Looks;
use super::networks::{Networks, Scribe, part_of};
use super::options::LearnOptions;
use super::reader::code_of_picture;
use super::recall::{Likeness, Recall, Recalled};
use super::speaker::{Spoken, Units, condition};
use super::table::{Language, Phrases, Register};
use super::text::{fold, split_of_phrase};
use crate::arrays::{Array, Arrays, values_of, weights_of, with_weights};
use crate::data::{Split, fnv1a64};
use crate::error::Error;
use crate::rng::{Rng, Stream};
use crate::train::{Adam, Gradients};

/// Raised when old files cannot be read any more.
const FORMAT: u32 = 2;
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
/// Steps for which a speaker, then the discriminator, learns from the other.
pub(super) const ROUND_STEPS: u64 = 10;
/// Steps from one look at validation phrases to the next.
const LOOK_STEPS: u64 = 100;
/// Times that a phrase is drawn again for being everybody's.
const REDRAWS: usize = 4;
/// Steps over which a rate rises.
const WARMUP_STEPS: f64 = 20.0;

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
    /// What a face is found by -> kaomoji.
    Kaomoji,
    /// Signs -> fake or real.
    KaomojiDiscriminator,
    /// Picture -> ideas.
    Reader,
    /// English against the text discriminator.
    AdversarialEn,
    /// Chinese against the text discriminator.
    AdversarialZh,
}

impl Part {
    /// All, in order.
    const ALL: [Self; 9] = [
        Self::Encoder,
        Self::SpeakerEn,
        Self::SpeakerZh,
        Self::Discriminator,
        Self::Kaomoji,
        Self::KaomojiDiscriminator,
        Self::Reader,
        Self::AdversarialEn,
        Self::AdversarialZh,
    ];

    /// As lines and records have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::SpeakerEn => "speaker en",
            Self::SpeakerZh => "speaker zh",
            Self::Discriminator => "discriminator",
            Self::Kaomoji => "kaomoji",
            Self::KaomojiDiscriminator => "kaomoji real",
            Self::Reader => "reader",
            Self::AdversarialEn => "adversary en",
            Self::AdversarialZh => "adversary zh",
        }
    }

    /// Phrases a step, and the highest rate.
    fn pace(self) -> (usize, f64) {
        match self {
            Self::Encoder => (256, 5e-3),
            Self::SpeakerEn | Self::SpeakerZh | Self::Kaomoji => (96, 4e-3),
            Self::Discriminator | Self::KaomojiDiscriminator => (96, 5e-3),
            Self::Reader => (128, 1e-3),
            Self::AdversarialEn | Self::AdversarialZh => (64, 5e-4),
        }
    }

    /// Phrases, faces or pictures a step.
    pub fn batch(self) -> usize {
        self.pace().0
    }

    fn lane(self) -> u16 {
        self as u16
    }
}

/// A step that was done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LearnTick {
    /// The part that learns.
    pub part: Part,
    /// Steps of the part done.
    pub step: u64,
    /// Steps of the part in all.
    pub steps: u64,
    /// Nats a phrase, a unit or a token.
    pub loss: f32,
    /// How well ideas of what is held out are found, where that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out: Option<Retrieval>,
}

/// What was found on what is held out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// What encoder and TF-IDF are worth beside each other.
    pub blend: Blend,
    /// Step whose weights the encoder has; 0 before it is learnt.
    pub encoder_step: u64,
    /// Validation phrases by the encoder alone.
    pub encoder: Option<Retrieval>,
    /// Validation phrases by the blend.
    pub blended: Option<Retrieval>,
    /// Drawings that are held out, by the reader.
    pub reader: Option<Retrieval>,
    /// The same by the other drawings.
    pub drawings: Option<Retrieval>,
    /// What reader and drawings are worth beside each other.
    pub sight: Option<Blend>,
    /// Drawings that are held out, by that blend.
    pub seen: Option<Retrieval>,
}

/// A folded phrase and whose it is.
struct Entry {
    language: Language,
    owners: Vec<usize>,
    units: Vec<u32>,
}

/// Learns step by step; what it holds can be put away between steps.
pub struct Learner {
    options: LearnOptions,
    pub(super) device: Device,
    /// All phrases, those that are held out as well.
    table: Phrases,
    entries: Vec<Entry>,
    /// Entries of each idea.
    of_idea: Vec<Vec<usize>>,
    phrases: Vec<(Register, Language, usize, String, f32)>,
    pub(super) units: [Units; 2],
    faces: Option<Faces>,
    ideas: usize,
    fingerprint: String,
    pub(super) networks: Networks,
    pub(super) adam: Adam,
    part: usize,
    pub(super) step: u64,
    /// What a part learns from; made when it begins.
    pub(super) spoken: Vec<Spoken>,
    pub(super) examples: [Vec<Example>; 2],
    pub(super) looks: Option<Looks>,
    held_out: Option<HeldOut>,
    /// The encoder's best weights so far, how well they find ideas of validation phrases, and looks since.
    best: Option<(Retrieval, Arrays)>,
    waited: u64,
    pub(super) found: Found,
}

/// What is put away of a learner, beside its arrays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LearnState {
    /// Raised when old files cannot be read any more.
    pub format: u32,
    /// How long to learn.
    pub options: LearnOptions,
    /// Fingerprint of the phrases that are learnt.
    pub fingerprint: String,
    /// Parts done.
    pub part: usize,
    /// Steps of the next part done.
    pub step: u64,
    /// Updates of its optimiser.
    pub updates: u64,
    /// How well the encoder's best weights so far find ideas of validation phrases, and looks since.
    #[serde(default)]
    pub best: Option<Retrieval>,
    /// See [`Self::best`].
    #[serde(default)]
    pub waited: u64,
    /// What was found on what is held out.
    #[serde(default)]
    pub found: Found,
}

/// An optimiser at its start.
pub(super) fn adam() -> Adam {
    Adam::new(0.9, 0.999, 5.0)
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

/// What is learnt from: without phrases that are held out, and rude ones.
fn training(table: &Phrases) -> Phrases {
    table.filtered(|p| {
        split_of_phrase(&fold(&p.text)) == Split::Train && p.register != Register::Rude
    })
}

impl Learner {
    /// Begins with the training phrases of a table: those that are held out are never seen.
    ///
    /// # Errors
    /// [`Error::Config`] where there are no phrases to learn from.
    pub fn new(table: &Phrases, options: LearnOptions, device: &Device) -> Result<Self, Error> {
        let device = device.clone().autodiff();
        let training = training(table);
        let mut by_fold: BTreeMap<(Language, String), Entry> = BTreeMap::new();
        for phrase in training.phrases() {
            let entry = by_fold
                .entry((phrase.language, fold(&phrase.text)))
                .or_insert_with(|| Entry {
                    language: phrase.language,
                    owners: Vec::new(),
                    units: units_of(options.encoder, &phrase.text),
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
        let faces = (options.kaomoji_steps > 0).then(Faces::built_in);
        let faces = faces.transpose()?;
        let [en, zh] = units.each_ref().map(Units::count);
        let signs = faces.as_ref().map_or(0, |faces| faces.units().count());
        let networks = Networks::new(options, ideas, [en, zh, signs], &device);
        Ok(Self {
            options,
            table: table.clone(),
            faces,
            looks: None,
            held_out: None,
            best: None,
            waited: 0,
            found: Found::default(),
            entries,
            of_idea,
            phrases,
            ideas,
            fingerprint: fingerprint(table),
            networks,
            adam: adam(),
            part: 0,
            step: 0,
            spoken: Vec::new(),
            examples: [Vec::new(), Vec::new()],
            units,
            device,
        })
    }

    /// Steps of a part.
    pub(crate) fn steps_of(&self, part: Part) -> u64 {
        match part {
            Part::Encoder => self.options.encoder_steps,
            Part::SpeakerEn | Part::SpeakerZh => self.options.speaker_steps,
            Part::Discriminator => self.options.discriminator_steps,
            Part::Kaomoji | Part::KaomojiDiscriminator => self.options.kaomoji_steps,
            Part::Reader => self.options.reader_steps,
            Part::AdversarialEn | Part::AdversarialZh => self.options.adversarial_steps,
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
            if Part::ALL[self.part] == Part::Encoder {
                self.settle();
            }
            self.part += 1;
            self.step = 0;
            self.adam = adam();
            self.spoken.clear();
            self.examples = [Vec::new(), Vec::new()];
            self.looks = None;
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
            Part::Kaomoji => self.kaomoji_step(batch, rate, &mut rng),
            Part::KaomojiDiscriminator => self.kaomoji_discriminator_step(batch, rate, &mut rng),
            Part::Reader => self.reader_step(batch, rate, &mut rng)?,
            Part::AdversarialEn => self.adversarial_step(0, batch, rate, &mut rng),
            Part::AdversarialZh => self.adversarial_step(1, batch, rate, &mut rng),
        };
        self.step += 1;
        if !loss.is_finite() {
            return Err(Error::Diverged {
                step: self.step,
                what: format!("words: the loss of the {} is {loss}", part.name()),
            });
        }
        let step = self.step;
        let is_last = step == steps;
        let held_out = match part {
            Part::Encoder if is_last || step.is_multiple_of(LOOK_STEPS) => self.look(),
            Part::Reader if is_last => self.read_held_out(),
            _ => None,
        };
        Ok(Some(LearnTick {
            part,
            step,
            steps,
            loss,
            held_out,
        }))
    }

    /// How well the encoder finds ideas of validation phrases; keeps its weights where they are the best so
    /// far, and ends its part where they have not been for long. Nothing where it never looks.
    fn look(&mut self) -> Option<Retrieval> {
        if self.options.patience == 0 {
            return None;
        }
        let held_out = self
            .held_out
            .get_or_insert_with(|| HeldOut::new(&self.table));
        let texts: Vec<&str> = held_out.texts.iter().map(String::as_str).collect();
        let device = self.device.clone().inner();
        let log_probs = self.networks.encoder.valid().log_probs(&texts, &device);
        let retrieval = held_out.retrieval(&log_probs, self.ideas)?;
        if self
            .best
            .as_ref()
            .is_none_or(|(best, _)| retrieval.nats < best.nats)
        {
            self.best = Some((retrieval, weights_of(&self.networks.encoder)));
            self.found.encoder_step = self.step;
            self.waited = 0;
        } else {
            self.waited += 1;
            if self.waited >= self.options.patience {
                self.step = self.options.encoder_steps;
            }
        }
        Some(retrieval)
    }

    /// Takes the encoder's best weights, and fits what they are worth beside TF-IDF: on validation phrases,
    /// of which neither knows one.
    fn settle(&mut self) {
        match self.best.take() {
            Some((_, weights)) => {
                let encoder = with_weights(self.networks.encoder.clone(), &weights);
                self.networks.encoder = encoder.expect("they were its own");
            }
            None => self.found.encoder_step = self.step,
        }
        self.waited = 0;
        let held_out = self
            .held_out
            .take()
            .unwrap_or_else(|| HeldOut::new(&self.table));
        let texts: Vec<&str> = held_out.texts.iter().map(String::as_str).collect();
        let device = self.device.clone().inner();
        let log_probs = self.networks.encoder.valid().log_probs(&texts, &device);
        self.found.encoder = held_out.retrieval(&log_probs, self.ideas);
        let recall = Recall::new(&training(&self.table));
        if let Some((blend, retrieval)) = held_out.fitted(&recall, &log_probs, self.ideas) {
            self.found.blend = blend;
            self.found.blended = Some(retrieval);
        }
    }

    fn encoder_step(&mut self, batch: usize, rate: f64, rng: &mut Rng) -> f32 {
        let (mut bags, mut targets) = (Vec::new(), vec![0.0_f32; batch * self.ideas]);
        for row in targets.chunks_exact_mut(self.ideas) {
            let entry = &self.entries[rng.below(self.entries.len() as u32) as usize];
            let mut groups = entry.units.clone();
            let owner = entry.owners[rng.below(entry.owners.len() as u32) as usize];
            if rng.chance(JOINED) {
                let of = &self.of_idea[owner];
                let other = &self.entries[of[rng.below(of.len() as u32) as usize]];
                groups.extend(&other.units);
            }
            if rng.chance(FILLED) {
                let fillers = FILLERS[entry.language as usize];
                let filler = fillers[rng.below(fillers.len() as u32) as usize];
                groups.extend(units_of(self.options.encoder, filler));
            }
            // At least one group stays.
            let kept: Vec<u32> = groups
                .iter()
                .copied()
                .filter(|_| !rng.chance(self.options.drop))
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
        self.prepare_speech(language);
        if self.spoken.is_empty() {
            return 0.0;
        }
        let chosen = self.chosen(batch, rng);
        let loss = self.networks.speakers[language].loss(&chosen, None, &self.device);
        let speaker = self.networks.speakers[language].clone();
        let (speaker, loss) = updated(speaker, loss, &mut self.adam, |_| rate);
        self.networks.speakers[language] = speaker;
        loss
    }

    /// What the speaker of a language learns from, where it is not there yet.
    pub(super) fn prepare_speech(&mut self, language: usize) {
        if !self.spoken.is_empty() {
            return;
        }
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

    /// Phrases of a batch. One that many ideas have is said of each of them more seldom.
    pub(super) fn chosen(&self, batch: usize, rng: &mut Rng) -> Vec<&Spoken> {
        let any = |rng: &mut Rng| &self.spoken[rng.below(self.spoken.len() as u32) as usize];
        let one = |_| {
            let mut spoken = any(rng);
            for _ in 0..REDRAWS {
                if rng.chance(spoken.share) {
                    break;
                }
                spoken = any(rng);
            }
            spoken
        };
        (0..batch).map(one).collect()
    }

    fn discriminator_step(&mut self, batch: usize, rate: f64, rng: &mut Rng) -> f32 {
        if self.examples[0].is_empty() {
            self.examples = self.examples();
        }
        let discriminator = self.networks.discriminator.clone();
        let (discriminator, loss) = self.discriminated(discriminator, batch, rate, rng);
        self.networks.discriminator = discriminator;
        loss
    }

    /// A discriminator after one update on `examples`, and its loss before.
    pub(super) fn discriminated(
        &mut self,
        discriminator: TextDiscriminator,
        batch: usize,
        rate: f64,
        rng: &mut Rng,
    ) -> (TextDiscriminator, f32) {
        let [real, fake] = &self.examples;
        if real.is_empty() || fake.is_empty() {
            return (discriminator, 0.0);
        }
        let examples = Example::mixed(real, fake, batch, rng);
        let examples: Vec<&Example> = examples.iter().collect();
        let loss = discriminator.loss(&examples, true, &self.device);
        // Transitions move slowly beside emissions: docs of `demotic-crf`.
        let rates = |name: &str| {
            if name.starts_with("crf") {
                4.0 * rate
            } else {
                rate
            }
        };
        updated(discriminator, loss, &mut self.adam, rates)
    }

    /// Real phrases.
    pub(super) fn real_examples(&self) -> Vec<Example> {
        let real = self.phrases.iter();
        real.filter_map(|p| Example::whole(&p.3, real_label(p.0)))
            .collect()
    }

    /// Folded training phrases of a language.
    pub(super) fn listed(&self, language: Language) -> BTreeSet<String> {
        let own = self.phrases.iter().filter(|p| p.1 == language);
        own.map(|p| fold(&p.3)).collect()
    }

    /// Real phrases, and what the speakers make up for the same ideas.
    fn examples(&self) -> [Vec<Example>; 2] {
        let real = self.real_examples();
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
            let known = self.listed(language);
            // What it learnt by heart is no fake.
            let new = said.iter().filter(|(text, _)| !known.contains(&fold(text)));
            fake.extend(new.filter_map(|(text, _)| Example::whole(text, FAKE)));
        }
        [real, fake]
    }

    /// What is learnt so far, for use.
    pub(crate) fn words(&self) -> Words {
        let codes = self.networks.encoder.idea_codes();
        Words {
            networks: self.networks.valid(),
            faces: self.faces.clone(),
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
            best: self.best.as_ref().map(|(retrieval, _)| *retrieval),
            waited: self.waited,
            found: self.found,
        }
    }

    /// Weights, and the memory of the optimiser.
    pub fn arrays(&self) -> Arrays {
        let mut all = self.networks.arrays();
        let memory = self.adam.state().1.into_iter();
        all.extend(memory.map(|(name, array)| (format!("adam.{name}"), array)));
        if let Some((_, best)) = &self.best {
            let best = best.iter();
            all.extend(best.map(|(name, array)| (format!("best.{name}"), array.clone())));
        }
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
        self.found = state.found;
        self.waited = state.waited;
        self.best = state
            .best
            .map(|retrieval| (retrieval, part_of(arrays, "best")));
        if let Some((_, best)) = &self.best {
            // Whether they are whole shows now, not when they are needed.
            with_weights(self.networks.encoder.clone(), best).map_err(damaged)?;
        }
        self.spoken.clear();
        self.examples = [Vec::new(), Vec::new()];
        self.looks = None;
        let weights = self.weights_of_part();
        let memory = part_of(arrays, "adam");
        self.adam = adam();
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

    /// The weights that the last step learnt.
    fn weights_of_part(&self) -> Arrays {
        let networks = &self.networks;
        let speaker = |language: usize| weights_of(&networks.speakers[language]);
        let scribe = networks.scribe.as_ref();
        let is_discriminating = is_discriminating(self.step.saturating_sub(1));
        match Part::ALL.get(self.part) {
            None => Arrays::new(),
            Some(Part::Encoder) => weights_of(&networks.encoder),
            Some(Part::AdversarialEn | Part::AdversarialZh) if is_discriminating => {
                weights_of(&networks.discriminator)
            }
            Some(Part::SpeakerEn | Part::AdversarialEn) => speaker(0),
            Some(Part::SpeakerZh | Part::AdversarialZh) => speaker(1),
            Some(Part::Discriminator) => weights_of(&networks.discriminator),
            Some(Part::Kaomoji) => scribe.map_or_else(Arrays::new, |s| weights_of(&s.writer)),
            Some(Part::KaomojiDiscriminator) => {
                scribe.map_or_else(Arrays::new, |s| weights_of(&s.discriminator))
            }
            Some(Part::Reader) => {
                let reader = networks.reader.as_ref();
                reader.map_or_else(Arrays::new, weights_of)
            }
        }
    }

    /// Kaomoji that are learnt from; there where a part of theirs has steps.
    pub(super) fn faces(&self) -> &Faces {
        self.faces.as_ref().expect("read before their parts begin")
    }

    /// Source of every random number.
    pub(super) fn seed(&self) -> u64 {
        self.options.seed
    }

    /// All phrases, those that are held out as well.
    pub(super) fn table(&self) -> &Phrases {
        &self.table
    }
}

/// Whether a step of an adversarial part teaches the discriminator: rounds take turns.
pub(super) fn is_discriminating(step: u64) -> bool {
    step / ROUND_STEPS % 2 == 1
}

/// A network after one update, and the loss before it.
pub(super) fn updated<M: Module>(
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
    faces: Option<Faces>,
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

    /// All ideas by encoder and TF-IDF together, as [`Found::blend`] has it, the most probable first;
    /// [`Recalled::similarity`] stays that of TF-IDF.
    pub fn rank(&self, recall: &Recall, phrase: &str) -> Vec<Recalled> {
        let bag = self.networks.encoder.log_probs(&[phrase], &self.device);
        self.blended(&bag, &recall.likeness(phrase))
    }

    /// The ideas that a look at a picture recalls, by drawings and reader together, as [`Found::sight`] has
    /// it; by drawings alone where no reader was learnt.
    pub fn rank_look(&self, gallery: &Gallery, look: &[f32]) -> Vec<Recalled> {
        let blend = self.state.found.sight.zip(self.networks.reader.as_ref());
        let Some((blend, reader)) = blend else {
            return gallery.rank_look(look);
        };
        let log_probs = reader.log_probs(look.to_vec(), &self.device);
        let similarities = gallery.similarities(look);
        let likeness = Likeness {
            scores: similarities.clone(),
            similarities,
        };
        drawn_ones(blend.ranked(&log_probs, &likeness))
    }

    /// [`Self::rank`] of what encoder and TF-IDF say.
    pub(super) fn blended(&self, log_probs: &[f32], likeness: &Likeness) -> Vec<Recalled> {
        self.state.found.blend.ranked(log_probs, likeness)
    }

    /// What was found on what is held out.
    pub(crate) fn found(&self) -> Found {
        self.state.found
    }

    /// `log p_bag` of phrases: `[phrases][ideas]`.
    pub(crate) fn log_probs(&self, phrases: &[&str]) -> Vec<Vec<f32>> {
        let ideas = self.codes.len();
        let values = self.networks.encoder.log_probs(phrases, &self.device);
        values
            .chunks_exact(ideas.max(1))
            .map(<[f32]>::to_vec)
            .collect()
    }

    /// Makes phrases up for ideas in registers, with the mean log-likelihood of their units.
    pub(crate) fn make_up(
        &self,
        language: Language,
        wanted: &[(usize, Register)],
        temperature: f32,
        rng: &mut Rng,
    ) -> Vec<(String, f32)> {
        let conditions: Vec<Vec<f32>> = wanted
            .iter()
            .map(|(idea, register)| condition(&self.codes[*idea], *register))
            .collect();
        self.make_up_of(language, &conditions, temperature, rng)
    }

    /// [`Self::make_up`] of conditions.
    pub(super) fn make_up_of(
        &self,
        language: Language,
        conditions: &[Vec<f32>],
        temperature: f32,
        rng: &mut Rng,
    ) -> Vec<(String, f32)> {
        let at = language as usize;
        let (speaker, units) = (&self.networks.speakers[at], &self.units[at]);
        let mut all = Vec::new();
        for conditions in conditions.chunks(256) {
            all.extend(speaker.sample(units, conditions, temperature, rng, &self.device));
        }
        all
    }

    /// The code of an idea.
    pub(super) fn code(&self, idea: usize) -> &[f32] {
        &self.codes[idea]
    }

    /// The code that the reader gives a look at a picture, and the idea that it takes it for; `None` where
    /// none was learnt.
    pub(super) fn read(&self, look: &[f32]) -> Option<(Vec<f32>, usize)> {
        let reader = self.networks.reader.as_ref()?;
        let log_probs = reader.log_probs(look.to_vec(), &self.device);
        let best = (0..log_probs.len()).max_by(|&a, &b| log_probs[a].total_cmp(&log_probs[b]))?;
        Some((code_of_picture(&log_probs, &self.codes), best))
    }

    /// Writes kaomoji for what faces are found by (`Kaomoji::nearest_words`), none of them a listed one, the
    /// most real first; none where writing was not learnt.
    pub fn write(&self, words: &str, count: usize) -> Vec<Written> {
        let (Some(faces), Some(scribe)) = (&self.faces, &self.networks.scribe) else {
            return Vec::new();
        };
        let code = self
            .networks
            .encoder
            .phrase_codes(&[words], &self.device)
            .remove(0);
        faces.written(scribe, &code, count, self.state.options.seed, &self.device)
    }

    /// What writes kaomoji, with those that it learnt from; `None` where it was not learnt.
    pub(super) fn scribe(&self) -> Option<(&Faces, &Scribe)> {
        self.faces.as_ref().zip(self.networks.scribe.as_ref())
    }

    /// The phrase encoder.
    pub(super) fn encoder(&self) -> &PhraseEncoder {
        &self.networks.encoder
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
    pub(crate) fn realness(&self, texts: &[&str]) -> Vec<f32> {
        self.networks.discriminator.realness(texts, &self.device)
    }

    /// How it was learnt.
    pub(crate) fn options(&self) -> LearnOptions {
        self.state.options
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phrase::table::{Idea, Phrase};
    use crate::settings::PhraseEncoderKind;

    /// Ideas with phrases in both languages; none is held out by its hash, so that all are learnt.
    fn table() -> Phrases {
        let rows: [(&str, &[&str]); 4] = [
            // Emoji, so that there are drawings of them.
            (
                "1f634",
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
                "1f600",
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
                "1f354",
                &["hungry", "dinner time", "what is for lunch", "饿了", "吃饭"],
            ),
            (
                "1f327",
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
        encoder: PhraseEncoderKind::Grams,
        patience: 1,
        drop: 0.3,
        kaomoji_steps: 2,
        reader_steps: 3,
        adversarial_steps: 12,
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
        let new = || Learner::new(&table, TINY, &device).expect("there are phrases");
        let take = |learner: &mut Learner, steps: usize| -> Vec<LearnTick> {
            let ticks = (0..steps).map(|_| learner.step().expect("losses are finite"));
            ticks.map(|tick| tick.expect("there are more")).collect()
        };
        let mut whole = new();
        let (_, all) = whole.progress();
        // In the middle of every part, where one ends, and at the end.
        let cuts = [5, 12, 18, 22, 27, 29, 41, all as usize];
        let (mut ticks, mut put_away) = (Vec::new(), Vec::new());
        for cut in cuts {
            ticks.extend(take(&mut whole, cut - ticks.len()));
            put_away.push((whole.state(), whole.arrays()));
        }
        assert_eq!(whole.step().expect("losses are finite"), None);
        for part in Part::ALL {
            let mut own = ticks.iter().filter(|tick| tick.part == part);
            assert!(own.any(|tick| tick.loss != 0.0), "{part:?} learns nothing");
        }
        for (at, cut) in cuts[..cuts.len() - 1].iter().enumerate() {
            let (state, arrays) = &put_away[at];
            let mut second = new();
            second
                .restore(state, arrays, Path::new("words"))
                .expect("it is of the same phrases");
            // Beyond the next cut, in another part. All that a part goes on from is put away: what is the
            // same there ends the same.
            let to = (at + 2).min(cuts.len() - 1);
            let expected = &ticks[*cut..cuts[to]];
            assert_eq!(take(&mut second, expected.len()), expected, "cut at {cut}");
            let (state, arrays) = (second.state(), second.arrays());
            assert!((state, arrays) == put_away[to], "cut at {cut}");
        }
    }

    #[test]
    fn the_encoder_stops_where_validation_phrases_gain_nothing_and_keeps_its_best_weights() {
        let (table, device) = (table(), Device::flex());
        let options = LearnOptions {
            encoder_steps: 400,
            speaker_steps: 1,
            discriminator_steps: 1,
            kaomoji_steps: 0,
            reader_steps: 0,
            adversarial_steps: 0,
            ..TINY
        };
        let mut learner = Learner::new(&table, options, &device).expect("there are phrases");
        let ticks = to_the_end(&mut learner);
        let looks: Vec<(u64, Retrieval)> = ticks
            .iter()
            .filter_map(|tick| Some((tick.step, tick.held_out?)))
            .collect();
        assert!(
            looks.len() >= 2,
            "the table has validation phrases: {looks:?}"
        );
        // Each look but the last, or the last two, is better than the one before.
        let worse = looks
            .windows(2)
            .position(|pair| pair[1].1.nats >= pair[0].1.nats);
        let last = worse.map_or(looks.len(), |place| place + 2);
        assert_eq!(looks.len(), last, "{looks:?}");
        let best = looks
            .iter()
            .min_by(|a, b| a.1.nats.total_cmp(&b.1.nats))
            .expect("there are some");
        let found = learner.words().state.found;
        assert_eq!(found.encoder_step, best.0);
        assert_eq!(found.encoder, Some(best.1), "the weights of that step");
        assert!(
            found
                .blended
                .is_some_and(|retrieval| retrieval.nats <= best.1.nats)
        );
        // Without looks the last weights stay.
        let blind = LearnOptions {
            encoder_steps: 5,
            patience: 0,
            ..options
        };
        let mut learner = Learner::new(&table, blind, &device).expect("there are phrases");
        assert!(
            to_the_end(&mut learner)
                .iter()
                .all(|tick| tick.held_out.is_none())
        );
        assert_eq!(learner.words().state.found.encoder_step, 5);
    }

    #[test]
    fn a_recurrent_encoder_learns_and_is_put_away() {
        let (table, device) = (table(), Device::flex());
        let options = LearnOptions {
            encoder: PhraseEncoderKind::Recurrent,
            encoder_steps: 40,
            speaker_steps: 1,
            discriminator_steps: 1,
            kaomoji_steps: 0,
            reader_steps: 0,
            adversarial_steps: 0,
            drop: 0.1,
            ..TINY
        };
        let mut learner = Learner::new(&table, options, &device).expect("there are phrases");
        let ticks = to_the_end(&mut learner);
        let mean = |ticks: &[LearnTick]| ticks.iter().map(|tick| tick.loss).sum::<f32>() / 5.0;
        assert!(mean(&ticks[35..40]) < 0.9 * mean(&ticks[..5]));
        let (state, arrays) = (learner.state(), learner.arrays());
        assert!(arrays.contains_key("encoder.recurrence.input"));
        let words = Words::new(&table, state, &arrays, &device, Path::new("words"));
        let row = words.expect("it is whole").log_probs(&["so tired"]);
        assert_eq!(row, learner.words().log_probs(&["so tired"]));
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
                let own = units_of(TINY.encoder, &phrase.text);
                assert!(!learner.entries.iter().any(|entry| entry.units == own));
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

    // As few steps as teach every part: a software driver compiles each kernel for tenths of a second.
    #[cfg(feature = "wgpu")]
    #[test]
    #[ignore = "a minute on a software driver"]
    fn words_are_learnt_on_a_graphics_device_as_on_the_processor() {
        let _turn = crate::train::turn();
        let Some(device) = crate::train::adapter() else {
            return;
        };
        let table = table().filtered(|phrase| phrase.language == Language::En);
        let options = LearnOptions {
            encoder_steps: 2,
            speaker_steps: 2,
            discriminator_steps: 1,
            patience: 0,
            kaomoji_steps: 0,
            reader_steps: 2,
            adversarial_steps: 0,
            ..TINY
        };
        let learnt = |device: &Device| {
            let mut learner = Learner::new(&table, options, device).expect("there are phrases");
            to_the_end(&mut learner)
        };
        let (there, here) = (learnt(&device), learnt(&Device::flex()));
        assert_eq!(there.len(), here.len());
        for (there, here) in there.iter().zip(&here) {
            assert!(there.loss.is_finite(), "{there:?}");
            // What a speaker makes up turns on its last digits, and the discriminator on that.
            if there.part != Part::Discriminator {
                let off = (there.loss - here.loss).abs() / here.loss.abs().max(1.0);
                assert!(off < 0.01, "{there:?}, on the processor {here:?}");
            }
        }
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
