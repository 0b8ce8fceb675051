//! Networks by how good they are to become.

use std::str::FromStr;

use super::{Config, DiscriminatorHead, Quality};

impl Quality {
    /// All of them, the largest networks first.
    pub const ALL: [Self; 3] = [Self::Best, Self::Good, Self::Draft];

    /// Pictures that networks of this size must be trained on before they are ahead of smaller ones: 2,500
    /// steps of 8, after which the weights in the program were good for use, and 20,000 of 16, a third of the
    /// large recipe's steps. Rules of thumb: nothing else was measured.
    #[must_use]
    pub const fn least_pictures(self) -> u64 {
        match self {
            Self::Draft => 0,
            Self::Good => 20_000,
            Self::Best => 320_000,
        }
    }
}

impl FromStr for Quality {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|quality| quality.name() == word);
        found.ok_or_else(|| format!("expected {}, got `{word}`", Self::WORDS.join(", ")))
    }
}

impl Config {
    /// These values with networks of a quality, for a run of such settings: the larger its pictures, the
    /// coarser the latent, so that a picture has some 8 to 32 cells a side.
    #[must_use]
    pub fn with_networks(&self, quality: Quality, run: &Self) -> Self {
        let mut config = self.clone();
        let (g, d) = (&mut config.generator, &mut config.discriminator);
        g.latent_stride = match run.data.size_px {
            ..=32 => 2,
            // Context blocks halve the latent once more.
            size if size > 128 && size.is_multiple_of(16) => 8,
            _ => 4,
        };
        let blocks;
        (g.channels, g.context_blocks, d.channels, blocks) = match quality {
            Quality::Draft => (32, 1, 48, 1),
            Quality::Good => (64, 4, 72, 2),
            Quality::Best => (96, 4, 96, 2),
        };
        (g.encoder_blocks, g.decoder_blocks) = (blocks, blocks);
        d.global = quality != Quality::Draft && run.discriminator.head == DiscriminatorHead::Crf;
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_every_quality_fit_pictures_of_every_size() {
        for size in (16..=256).step_by(8) {
            let own = [format!("data.size_px={size}")];
            let plain = Config::resolve(None, &own).expect("a size");
            let mut last = usize::MAX;
            for quality in Quality::ALL {
                let networks = Config::default().with_networks(quality, &plain);
                let config = networks.resolve_over(None, &own).expect("no conflict");
                assert!(config.generator.channels < last, "{size} {quality:?}");
                last = config.generator.channels;
                let cells = size / config.generator.latent_stride;
                assert!(
                    (8..=62).contains(&cells),
                    "{size} {quality:?}: {cells} cells"
                );
                assert_eq!(config.data.size_px as usize, size);
            }
        }
    }

    #[test]
    fn every_word_is_a_quality() {
        for (word, quality) in Quality::WORDS.iter().zip(Quality::ALL.into_iter().rev()) {
            assert_eq!(word.parse(), Ok(quality));
        }
        let refused = "finest".parse::<Quality>().expect_err("no such word");
        assert_eq!(refused, "expected draft, good, best, got `finest`");
    }

    #[test]
    fn what_is_set_by_hand_stays() {
        let own = [
            "discriminator.head=patch".to_owned(),
            "generator.channels=40".to_owned(),
        ];
        let plain = Config::resolve(None, &own).expect("settings");
        let networks = Config::default().with_networks(Quality::Best, &plain);
        let config = networks
            .resolve_over(None, &own)
            .expect("a view of the whole is a CRF's");
        assert_eq!(
            (config.generator.channels, config.discriminator.channels),
            (40, 96)
        );
        assert!(!config.discriminator.global);
    }
}
