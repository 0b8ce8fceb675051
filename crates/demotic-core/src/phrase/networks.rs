//! Everything that is learnt of words.

use burn::module::Module;
use burn::tensor::Device;

use super::discriminator::TextDiscriminator;
use super::encoder::PhraseEncoder;
use super::options::LearnOptions;
use super::reader::Reader;
use super::speaker::Speaker;
use crate::arrays::{Arrays, weights_of, with_weights};
use crate::model::Init;

/// What writes kaomoji, and what tells them from real ones.
#[derive(Debug, Clone)]
pub(super) struct Scribe {
    pub(super) writer: Speaker,
    pub(super) discriminator: TextDiscriminator,
}

/// All networks; those that are learnt in no step are left out.
#[derive(Debug, Clone)]
pub(super) struct Networks {
    pub(super) encoder: PhraseEncoder,
    pub(super) speakers: [Speaker; 2],
    pub(super) discriminator: TextDiscriminator,
    pub(super) scribe: Option<Scribe>,
    pub(super) reader: Option<Reader>,
}

impl Networks {
    /// `units` of both speakers and of what writes kaomoji.
    pub(super) fn new(
        options: LearnOptions,
        ideas: usize,
        [en, zh, signs]: [usize; 3],
        device: &Device,
    ) -> Self {
        let mut init = Init::new(options.seed, 90, device);
        Self {
            encoder: PhraseEncoder::new(&mut init, options.encoder, ideas),
            speakers: [en, zh].map(|units| Speaker::new(&mut init, units)),
            discriminator: TextDiscriminator::new(&mut init),
            scribe: (options.kaomoji_steps > 0).then(|| Scribe {
                writer: Speaker::new(&mut init, signs),
                discriminator: TextDiscriminator::new(&mut init),
            }),
            reader: (options.reader_steps > 0).then(|| Reader::new(&mut init, ideas)),
        }
    }

    pub(super) fn arrays(&self) -> Arrays {
        let mut all = Arrays::new();
        let mut add = |name: &str, arrays: Arrays| {
            let named = arrays.into_iter();
            all.extend(named.map(|(key, array)| (format!("{name}.{key}"), array)));
        };
        add("encoder", weights_of(&self.encoder));
        add("speaker_en", weights_of(&self.speakers[0]));
        add("speaker_zh", weights_of(&self.speakers[1]));
        add("discriminator", weights_of(&self.discriminator));
        if let Some(scribe) = &self.scribe {
            add("kaomoji", weights_of(&scribe.writer));
            add("kaomoji_discriminator", weights_of(&scribe.discriminator));
        }
        if let Some(reader) = &self.reader {
            add("reader", weights_of(reader));
        }
        all
    }

    pub(super) fn with_arrays(self, arrays: &Arrays) -> Result<Self, Vec<String>> {
        let of = |name: &str| part_of(arrays, name);
        let [en, zh] = self.speakers;
        let scribe = self.scribe.map(|scribe| {
            Ok::<Scribe, Vec<String>>(Scribe {
                writer: with_weights(scribe.writer, &of("kaomoji"))?,
                discriminator: with_weights(scribe.discriminator, &of("kaomoji_discriminator"))?,
            })
        });
        let reader = self
            .reader
            .map(|reader| with_weights(reader, &of("reader")));
        Ok(Self {
            encoder: with_weights(self.encoder, &of("encoder"))?,
            speakers: [
                with_weights(en, &of("speaker_en"))?,
                with_weights(zh, &of("speaker_zh"))?,
            ],
            discriminator: with_weights(self.discriminator, &of("discriminator"))?,
            scribe: scribe.transpose()?,
            reader: reader.transpose()?,
        })
    }

    /// Outside any graph.
    pub(super) fn valid(&self) -> Self {
        Self {
            encoder: self.encoder.valid(),
            speakers: self.speakers.each_ref().map(Module::valid),
            discriminator: self.discriminator.valid(),
            scribe: self.scribe.as_ref().map(|scribe| Scribe {
                writer: scribe.writer.valid(),
                discriminator: scribe.discriminator.valid(),
            }),
            reader: self.reader.as_ref().map(Module::valid),
        }
    }
}

/// The arrays whose names begin with `name.`, without that.
pub(super) fn part_of(arrays: &Arrays, name: &str) -> Arrays {
    let own = arrays.iter().filter_map(|(key, array)| {
        let rest = key.strip_prefix(name)?.strip_prefix('.')?;
        Some((rest.to_owned(), array.clone()))
    });
    own.collect()
}
