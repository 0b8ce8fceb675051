//! How words are learnt: lengths and choices of the parts.

use serde::{Deserialize, Serialize};

use crate::settings::{PhraseEncoderKind, WordsConfig};

/// How to learn. Files of earlier versions lack what came later: there, parts that were not, and choices that
/// there were none of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LearnOptions {
    /// Source of every random number.
    pub seed: u64,
    /// Most steps of the phrase encoder.
    pub encoder_steps: u64,
    /// Steps of the speaker of each language.
    pub speaker_steps: u64,
    /// Steps of the text discriminator.
    pub discriminator_steps: u64,
    /// How a phrase becomes a code.
    #[serde(default = "grams")]
    pub encoder: PhraseEncoderKind,
    /// Looks at validation phrases without gain after which the encoder stops; 0 never looks.
    #[serde(default)]
    pub patience: u64,
    /// Share of what the encoder looks at in a phrase that is left out.
    #[serde(default = "a_third")]
    pub drop: f32,
    /// Steps of what writes kaomoji, and of its discriminator.
    #[serde(default)]
    pub kaomoji_steps: u64,
    /// Steps of the reader of pictures.
    #[serde(default)]
    pub reader_steps: u64,
    /// Steps in which each speaker and the text discriminator learn from each other.
    #[serde(default)]
    pub adversarial_steps: u64,
}

fn grams() -> PhraseEncoderKind {
    PhraseEncoderKind::Grams
}

fn a_third() -> f32 {
    0.3
}

impl Default for LearnOptions {
    fn default() -> Self {
        Self::new(0, &WordsConfig::default())
    }
}

impl LearnOptions {
    /// As a run's settings have them.
    pub fn new(seed: u64, config: &WordsConfig) -> Self {
        Self {
            seed,
            encoder_steps: config.encoder_steps,
            speaker_steps: config.speaker_steps,
            discriminator_steps: config.discriminator_steps,
            encoder: config.encoder,
            patience: config.patience,
            drop: config.drop,
            kaomoji_steps: config.kaomoji_steps,
            reader_steps: config.reader_steps,
            adversarial_steps: config.adversarial_steps,
        }
    }

    /// Steps of all parts together.
    pub(crate) fn steps(&self) -> u64 {
        self.encoder_steps
            + 2 * (self.speaker_steps + self.kaomoji_steps + self.adversarial_steps)
            + self.discriminator_steps
            + self.reader_steps
    }

    /// About so many steps in all, shared out as they are now; a part that there is has one at least.
    #[must_use]
    pub fn of_steps(self, steps: u64) -> Self {
        let all = self.steps();
        let share = |own: u64| match own {
            0 => 0,
            _ => (own * steps / all).max(1),
        };
        Self {
            encoder_steps: share(self.encoder_steps),
            speaker_steps: share(self.speaker_steps),
            discriminator_steps: share(self.discriminator_steps),
            kaomoji_steps: share(self.kaomoji_steps),
            reader_steps: share(self.reader_steps),
            adversarial_steps: share(self.adversarial_steps),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_an_earlier_version_mean_what_they_meant() {
        let old =
            r#"{"seed":3,"encoder_steps":1200,"speaker_steps":700,"discriminator_steps":400}"#;
        let read: LearnOptions = serde_json::from_str(old).expect("it is whole");
        assert_eq!(read.encoder, PhraseEncoderKind::Grams);
        assert_eq!((read.patience, read.drop), (0, 0.3));
        assert_eq!(read.steps(), 1200 + 2 * 700 + 400);
        let few = LearnOptions::default().of_steps(30);
        assert!((24..=36).contains(&few.steps()), "{few:?}");
        assert!(few.kaomoji_steps > 0 && few.adversarial_steps == 0);
        assert_eq!(read.of_steps(4).kaomoji_steps, 0);
    }
}
