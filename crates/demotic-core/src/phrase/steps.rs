//! Steps of the parts that come last: kaomoji, the reader of pictures, speakers against the text
//! discriminator.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData, activation};

use super::discriminator::{Example, FAKE};
use super::eyes::{KEPT, unit};
use super::fit::Retrieval;
use super::learn::{Learner, adam, is_discriminating, updated};
use super::looks::Looks;
use super::speaker::Spoken;
use super::table::Language;
use super::text::fold;
use crate::data::Split;
use crate::error::Error;
use crate::rng::{Rng, Stream};

/// Deviation of what is added to a look, whose length is 1, a value.
const LOOK_NOISE: f32 = 0.03;
/// Pictures at a time that the reader is asked for.
const CHUNK: usize = 256;
/// Least deviation that rewards are divided by.
const LEAST_DEVIATION: f32 = 0.01;

impl Learner {
    pub(super) fn kaomoji_step(&mut self, batch: usize, rate: f64, rng: &mut Rng) -> f32 {
        let device = self.device.clone().inner();
        if self.spoken.is_empty() {
            self.spoken = self.faces().spoken(&self.networks.encoder.valid(), &device);
        }
        let chosen = self.chosen(batch, rng);
        let scribe = self.networks.scribe.as_ref();
        let writer = scribe.expect("made for its steps").writer.clone();
        let loss = writer.loss(&chosen, None, &self.device);
        let (writer, loss) = updated(writer, loss, &mut self.adam, |_| rate);
        if let Some(scribe) = &mut self.networks.scribe {
            scribe.writer = writer;
        }
        loss
    }

    pub(super) fn kaomoji_discriminator_step(
        &mut self,
        batch: usize,
        rate: f64,
        rng: &mut Rng,
    ) -> f32 {
        let device = self.device.clone().inner();
        if self.examples[0].is_empty() {
            let networks = self.networks.valid();
            let scribe = networks.scribe.as_ref().expect("made for its steps");
            // The same faces wherever the part is resumed.
            let mut rng = Rng::new(self.seed(), Stream::WORDS.lane(20), 0);
            self.examples = self
                .faces()
                .examples(scribe, &networks.encoder, &mut rng, &device);
        }
        let scribe = self.networks.scribe.as_ref();
        let discriminator = scribe.expect("made for its steps").discriminator.clone();
        let (discriminator, loss) = self.discriminated(discriminator, batch, rate, rng);
        if let Some(scribe) = &mut self.networks.scribe {
            scribe.discriminator = discriminator;
        }
        loss
    }

    /// One step of the reader: nats a picture of the idea that it shows.
    pub(super) fn reader_step(
        &mut self,
        batch: usize,
        rate: f64,
        rng: &mut Rng,
    ) -> Result<f32, Error> {
        let looks = match self.looks.take() {
            Some(looks) => looks,
            None => Looks::built_in(self.table(), Split::Validation)?,
        };
        let training = &looks.training;
        let mut loss = 0.0;
        if let (1.., Some(mut reader)) = (training.len(), self.networks.reader.clone()) {
            if self.step == 0 {
                reader = reader.begun(training.means());
            }
            let (mut seen, mut right) = (Vec::with_capacity(batch * KEPT), Vec::new());
            for _ in 0..batch {
                let (idea, look) = training.drawing(rng.below(training.len() as u32) as usize);
                let noisy = look.iter().map(|v| v + LOOK_NOISE * rng.normal());
                seen.extend(unit(noisy.collect()));
                right.push(idea as i32);
            }
            let logits = reader.logits(seen, &self.device);
            let right = Tensor::from_data(TensorData::new(right, [batch, 1]), &self.device);
            let gold = activation::log_softmax(logits, 1).gather(1, right);
            let (reader, value) = updated(reader, gold.mean().neg(), &mut self.adam, |_| rate);
            self.networks.reader = Some(reader);
            loss = value;
        }
        self.looks = Some(looks);
        Ok(loss)
    }

    /// How well the reader finds ideas of held-out drawings; fits what it is worth beside the others.
    pub(super) fn read_held_out(&mut self) -> Option<Retrieval> {
        let (looks, networks) = (self.looks.as_ref()?, self.networks.valid());
        let reader = networks.reader.as_ref()?;
        let device = self.device.clone().inner();
        let mut log_probs = Vec::new();
        for looks in looks.held_out_looks().chunks(CHUNK * KEPT) {
            log_probs.extend(reader.log_probs(looks.to_vec(), &device));
        }
        let ideas = self.table().ideas().len();
        let retrieval = looks.retrieval(&log_probs, ideas);
        self.found.drawings = looks.retrieval_by_drawings();
        self.found.reader = retrieval;
        if let Some((blend, retrieval)) = looks.fitted(&log_probs, ideas) {
            self.found.sight = Some(blend);
            self.found.seen = Some(retrieval);
        }
        retrieval
    }

    /// One step of a speaker against the text discriminator, which learns in every second round.
    ///
    /// The speaker is rewarded for tokens that pass for real: the loss of a phrase that it says is its
    /// reward, centred and scaled over the batch, times its negative log-likelihood. Real phrases keep it
    /// from saying one thing only.
    ///
    /// # Source
    /// Williams 1992 for the gradient; Yu et al. 2017, *Sequence Generative Adversarial Nets*, for its use.
    pub(super) fn adversarial_step(
        &mut self,
        language: usize,
        batch: usize,
        rate: f64,
        rng: &mut Rng,
    ) -> f32 {
        if self.step.is_multiple_of(super::learn::ROUND_STEPS) {
            self.adam = adam();
        }
        self.prepare_speech(language);
        if self.spoken.is_empty() {
            return 0.0;
        }
        let inner = self.device.clone().inner();
        let chosen = self.chosen(batch, rng);
        let conditions: Vec<Vec<f32>> = chosen.iter().map(|s| s.condition.clone()).collect();
        let units = &self.units[language];
        let said =
            self.networks.speakers[language]
                .valid()
                .draw(units, &conditions, 1.0, rng, &inner);
        let texts: Vec<String> = said.iter().map(|(said, _)| units.phrase(said)).collect();
        if is_discriminating(self.step) {
            let listed = self.listed(Language::ALL[language]);
            let new = texts.iter().filter(|text| !listed.contains(&fold(text)));
            let fake = new.filter_map(|text| Example::whole(text, FAKE)).collect();
            if self.examples[0].is_empty() {
                self.examples[0] = self.real_examples();
            }
            self.examples[1] = fake;
            let discriminator = self.networks.discriminator.clone();
            let (discriminator, loss) = self.discriminated(discriminator, batch, rate, rng);
            self.networks.discriminator = discriminator;
            return loss;
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let rewards = self.networks.discriminator.valid().realness(&texts, &inner);
        let weights = centred(&rewards);
        let own = said.into_iter().zip(conditions);
        let own = own.map(|((units, _), condition)| Spoken {
            condition,
            units,
            share: 1.0,
        });
        let own: Vec<Spoken> = own.collect();
        let own: Vec<&Spoken> = own.iter().collect();
        let speaker = self.networks.speakers[language].clone();
        let loss = speaker.loss(&own, Some(&weights), &self.device)
            + speaker.loss(&chosen, None, &self.device);
        let (speaker, loss) = updated(speaker, loss, &mut self.adam, |_| rate);
        self.networks.speakers[language] = speaker;
        loss
    }
}

/// Rewards with mean 0 and deviation 1.
fn centred(rewards: &[f32]) -> Vec<f32> {
    let n = rewards.len().max(1) as f32;
    let mean = rewards.iter().sum::<f32>() / n;
    let variance = rewards.iter().map(|r| (r - mean).powi(2)).sum::<f32>() / n;
    let deviation = variance.sqrt().max(LEAST_DEVIATION);
    rewards.iter().map(|r| (r - mean) / deviation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_are_centred_and_equal_ones_say_nothing() {
        assert_eq!(centred(&[0.5, 0.5, 0.5]), [0.0; 3]);
        let centred = centred(&[0.2, 0.4, 0.9]);
        assert!(centred.iter().sum::<f32>().abs() < 1e-5, "{centred:?}");
        let square: f32 = centred.iter().map(|r| r * r).sum();
        assert!((square - 3.0).abs() < 1e-4 && centred[2] > 0.0);
    }
}
