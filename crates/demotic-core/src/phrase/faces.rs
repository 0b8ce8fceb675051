//! Kaomoji that are made up: written sign by sign for what faces are found by, and labelled sign by sign by a
//! linear-chain conditional random field.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Device;
use serde::Serialize;

use super::discriminator::{Example, FAKE, signs};
use super::encoder::PhraseEncoder;
use super::kaomoji::Kaomoji;
use super::networks::Scribe;
use super::speaker::{Spoken, Units, condition};
use super::table::Register;
use crate::data::{DataError, Split, split_of_family};
use crate::rng::{Rng, Stream};

/// The label of a real face's signs.
const REAL: usize = 1;
/// Faces that are written for the discriminator to tell apart.
const MADE_UP: usize = 1500;
/// Temperature at which faces are written.
const TEMPERATURE: f32 = 0.8;
/// Draws for each face that is wanted.
const DRAWS: usize = 8;

/// A face that was made up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Written {
    /// As it is written.
    pub face: String,
    /// Mean probability that its signs are real.
    pub real: f32,
    /// Each sign with the probability that it was made up.
    pub signs: Vec<(char, f32)>,
}

/// How faces of one kind fare.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaceRow {
    /// `made up`, or `real, held out`.
    pub faces: &'static str,
    /// How many.
    pub n: usize,
    /// Share that is no repetition of another one.
    pub distinct: f64,
    /// Share that is no listed face.
    pub novel: f64,
    /// Mean probability that their signs are real.
    pub real: f64,
    /// Share that passes for real: most signs are rather real than fake.
    pub passes: f64,
}

/// The built-in kaomoji as something to learn from.
#[derive(Debug, Clone)]
pub(super) struct Faces {
    /// What the faces of each group are found by.
    words: Vec<String>,
    /// Group and face; without those that are held out.
    training: Vec<(usize, String)>,
    held_out: Vec<(usize, String)>,
    units: Units,
}

impl Faces {
    pub(super) fn built_in() -> Result<Self, DataError> {
        Ok(Self::new(&super::kaomoji()?))
    }

    /// A tenth of the faces is held out, by their hash.
    pub(super) fn new(kaomoji: &Kaomoji) -> Self {
        let words = kaomoji.groups().map(|(words, _)| words.to_owned());
        let groups = kaomoji.groups().enumerate();
        let all = groups
            .flat_map(|(group, (_, faces))| faces.iter().map(move |face| (group, face.clone())));
        let is_held_out = |(_, face): &(usize, String)| {
            split_of_family(&format!("kaomoji:{face}")) == Split::Test
        };
        let (held_out, training) = all.partition(is_held_out);
        Self {
            words: words.collect(),
            training,
            held_out,
            units: Units::of_signs(kaomoji.faces()),
        }
    }

    pub(super) fn units(&self) -> &Units {
        &self.units
    }

    /// Conditions of all groups, by the codes of what their faces are found by.
    fn conditions(&self, encoder: &PhraseEncoder, device: &Device) -> Vec<Vec<f32>> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let codes = encoder.phrase_codes(&words, device).into_iter();
        codes.map(|code| condition(&code, Register::Name)).collect()
    }

    /// Training faces to learn to write.
    pub(super) fn spoken(&self, encoder: &PhraseEncoder, device: &Device) -> Vec<Spoken> {
        let conditions = self.conditions(encoder, device);
        let own = self.training.iter();
        own.filter_map(|(group, face)| {
            Some(Spoken {
                condition: conditions[*group].clone(),
                units: self.units.of_face(face)?,
                share: 1.0,
            })
        })
        .collect()
    }

    /// Every face that there is.
    fn listed(&self) -> BTreeSet<&str> {
        let all = self.training.iter().chain(&self.held_out);
        all.map(|(_, face)| face.as_str()).collect()
    }

    /// Training faces, and faces written for the same groups that are none of them.
    pub(super) fn examples(
        &self,
        scribe: &Scribe,
        encoder: &PhraseEncoder,
        rng: &mut Rng,
        device: &Device,
    ) -> [Vec<Example>; 2] {
        let real = self.training.iter();
        let real = real.filter_map(|(_, face)| Example::of_signs(face, REAL));
        let listed = self.listed();
        let written = self.drawn(scribe, encoder, MADE_UP, rng, device);
        let new = written
            .iter()
            .filter(|face| !listed.contains(face.as_str()));
        let fake = new.filter_map(|face| Example::of_signs(face, FAKE));
        [real.collect(), fake.collect()]
    }

    /// Faces written for groups as often as these have faces.
    fn drawn(
        &self,
        scribe: &Scribe,
        encoder: &PhraseEncoder,
        count: usize,
        rng: &mut Rng,
        device: &Device,
    ) -> Vec<String> {
        let conditions = self.conditions(encoder, device);
        let wanted: Vec<Vec<f32>> = (0..count)
            .map(|_| {
                let (group, _) = &self.training[rng.below(self.training.len() as u32) as usize];
                conditions[*group].clone()
            })
            .collect();
        let mut faces = Vec::new();
        for wanted in wanted.chunks(256) {
            let writer = &scribe.writer;
            let drawn = writer.sample(&self.units, wanted, TEMPERATURE, rng, device);
            faces.extend(drawn.into_iter().map(|(face, _)| face));
        }
        faces
    }

    /// Faces written for a code, none of them a listed one, the most real first.
    pub(super) fn written(
        &self,
        scribe: &Scribe,
        code: &[f32],
        count: usize,
        seed: u64,
        device: &Device,
    ) -> Vec<Written> {
        let wanted = vec![condition(code, Register::Name); DRAWS * count];
        let mut rng = Rng::new(seed, Stream::WORDS.lane(36), 0);
        let drawn = scribe
            .writer
            .sample(&self.units, &wanted, TEMPERATURE, &mut rng, device);
        let listed = self.listed();
        let new: BTreeSet<&str> = drawn
            .iter()
            .map(|(face, _)| face.as_str())
            .filter(|face| !face.is_empty() && !listed.contains(face))
            .collect();
        let new: Vec<&str> = new.into_iter().collect();
        let mut written: Vec<Written> = labelled(scribe, &new, device)
            .into_iter()
            .zip(new)
            .map(|(fakes, face)| Written {
                real: 1.0 - mean(&fakes),
                signs: face.chars().zip(fakes).collect(),
                face: face.to_owned(),
            })
            .collect();
        written.sort_by(|a, b| b.real.total_cmp(&a.real));
        written.truncate(count);
        written
    }

    /// How faces that are made up fare beside real ones that are held out.
    pub(super) fn scores(
        &self,
        scribe: &Scribe,
        encoder: &PhraseEncoder,
        count: usize,
        device: &Device,
    ) -> Vec<FaceRow> {
        let mut rng = Rng::new(0, Stream::SCORED.lane(36), 0);
        let made_up = self.drawn(scribe, encoder, count, &mut rng, device);
        let listed = self.listed();
        let real: Vec<&str> = self
            .held_out
            .iter()
            .map(|(_, face)| face.as_str())
            .collect();
        let made_up: Vec<&str> = made_up.iter().map(String::as_str).collect();
        [("made up", made_up), ("real, held out", real)]
            .into_iter()
            .filter(|(_, faces)| !faces.is_empty())
            .map(|(kind, faces)| {
                let n = faces.len() as f64;
                let mut times: BTreeMap<&str, usize> = BTreeMap::new();
                for face in &faces {
                    *times.entry(*face).or_default() += 1;
                }
                let novel = faces.iter().filter(|face| !listed.contains(**face)).count();
                let fakes = labelled(scribe, &faces, device);
                let real: f32 = fakes.iter().map(|fakes| 1.0 - mean(fakes)).sum();
                let is_passing = |fakes: &&Vec<f32>| {
                    let real = fakes.iter().filter(|fake| **fake < 0.5).count();
                    2 * real > fakes.len()
                };
                FaceRow {
                    faces: kind,
                    n: faces.len(),
                    distinct: times.len() as f64 / n,
                    novel: novel as f64 / n,
                    real: f64::from(real) / n,
                    passes: fakes.iter().filter(is_passing).count() as f64 / n,
                }
            })
            .collect()
    }
}

/// For each sign of each face, the probability that it was made up.
fn labelled(scribe: &Scribe, faces: &[&str], device: &Device) -> Vec<Vec<f32>> {
    let split: Vec<Vec<String>> = faces.iter().map(|face| signs(face)).collect();
    let split: Vec<&[String]> = split.iter().map(Vec::as_slice).collect();
    let labels = scribe.discriminator.label(&split, true, device);
    let fakes = |row: Vec<_>| row.iter().map(|cell: &[f32; 3]| cell[FAKE]).collect();
    labels.into_iter().map(fakes).collect()
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Init;
    use crate::phrase::discriminator::TextDiscriminator;
    use crate::phrase::speaker::Speaker;
    use crate::settings::PhraseEncoderKind;

    #[test]
    fn written_faces_are_none_of_the_list_and_every_sign_is_labelled() {
        let device = Device::flex();
        let faces = Faces::built_in().expect("it is whole");
        let all = faces.listed().len();
        assert!(all > 2000 && (all / 20..all / 5).contains(&faces.held_out.len()));
        let mut init = Init::new(1, 90, &device);
        let encoder = PhraseEncoder::new(&mut init, PhraseEncoderKind::Grams, 5);
        let scribe = Scribe {
            writer: Speaker::new(&mut init, faces.units.count()),
            discriminator: TextDiscriminator::new(&mut init),
        };
        assert!(faces.spoken(&encoder, &device).len() == faces.training.len());
        let code = &encoder.phrase_codes(&["happy"], &device)[0];
        let written = faces.written(&scribe, code, 5, 0, &device);
        assert_eq!(written.len(), 5);
        for one in &written {
            assert!(!faces.listed().contains(one.face.as_str()), "{one:?}");
            let signs: String = one.signs.iter().map(|(sign, _)| sign).collect();
            assert_eq!(signs, one.face);
            let real = 1.0 - mean(&one.signs.iter().map(|(_, fake)| *fake).collect::<Vec<_>>());
            assert!((one.real - real).abs() < 1e-6, "{one:?}");
        }
        assert!(written.windows(2).all(|pair| pair[0].real >= pair[1].real));
        // What is real is listed, and what nobody learnt to write is not.
        let scores = faces.scores(&scribe, &encoder, 50, &device);
        assert_eq!(scores.len(), 2);
        assert!(
            scores[0].novel > 0.9 && scores[1].novel == 0.0,
            "{scores:?}"
        );
        // A few stand in the list under two names.
        assert!(scores[1].distinct > 0.95, "{scores:?}");
    }
}
