//! The networks behind the page: a picture in every style, what the discriminator says of each, and one at
//! full size.

use std::io::Cursor;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use demotic_core::data::Picture;
use demotic_core::device::Chosen;
use demotic_core::model::{Discriminator, Generator};
use demotic_core::number::Whole;
use demotic_core::recognize::{self, Opinion};
use demotic_core::settings::DiscriminatorConfig;
use demotic_core::train::run::{Which, best_checkpoint, trained};
use demotic_core::train::{Checkpoint, CheckpointInfo, latest_checkpoint};
use demotic_core::translate::{self, AlphaRule, Framed, PaperRule, Unframed};
use image::ImageReader;
use serde_json::{Value, json};

use crate::failure::input;
use crate::hints::{Hint, Known};
use crate::sheet;

/// Most bytes of a picture's file.
pub(crate) const PICTURE_BYTES: usize = 32 << 20;
/// Most pixels: they take 20 bytes each while a picture is translated.
const PICTURE_PX: u64 = 16 << 20;
/// Most pixels of a picture that is shown in every style.
const PREVIEW_PX: u64 = 1 << 20;
/// A run in training has new weights now and then.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Networks of a run.
pub(crate) struct Studio {
    source: PathBuf,
    which: Which,
    chosen: Chosen,
    model: Option<Model>,
    looked: Instant,
}

struct Model {
    info: CheckpointInfo,
    file: PathBuf,
    background: [u8; 3],
    generator: Generator,
    /// None where it does not distinguish styles.
    discriminator: Option<Discriminator>,
    known: Known,
}

impl Model {
    fn of(checkpoint: Checkpoint, chosen: &Chosen) -> Result<Self> {
        let info = checkpoint.info.clone();
        let background = info.config.data.background_rgb();
        let tells_styles = info.config.loss.adversarial_kind.tells_styles();
        let discriminator = tells_styles.then(|| checkpoint.discriminator(&chosen.device));
        Ok(Self {
            background: background.map_err(|problem| demotic_core::Error::Config(vec![problem]))?,
            generator: checkpoint.generator(&chosen.device)?,
            discriminator: discriminator.transpose()?,
            file: checkpoint.path.clone(),
            known: Known::of(&info, false),
            info,
        })
    }

    fn size_px(&self) -> u32 {
        self.info.config.data.size_px
    }

    fn framed(&self, picture: Picture) -> Framed {
        let data = &self.info.config.data;
        Framed::new(picture, data.size_px, self.background, data.channels)
            .fitted(data.fit)
            .with_paper(PaperRule::of(&self.generator))
    }

    fn laid_back(&self, framed: Framed, translated: &[f32]) -> Unframed {
        match self.generator.filter() {
            Some(filter) => framed.laid_back(translated, filter, AlphaRule::Auto),
            None => framed.back(translated, AlphaRule::Auto),
        }
    }
}

impl Studio {
    /// The networks of a run, or none yet of one that is in training.
    ///
    /// # Errors
    /// Where the checkpoint and its own settings disagree.
    pub(crate) fn open(
        source: &Path,
        which: Which,
        checkpoint: Option<Checkpoint>,
        chosen: Chosen,
    ) -> Result<Self> {
        Ok(Self {
            model: checkpoint
                .map(|checkpoint| Model::of(checkpoint, &chosen))
                .transpose()?,
            source: source.to_owned(),
            which,
            chosen,
            looked: Instant::now(),
        })
    }

    /// The newest networks that are to be shown; what cannot be read just now leaves those that are here.
    fn model(&mut self) -> Result<&Model> {
        if !matches!(self.which, Which::Step(_)) && self.looked.elapsed() > LOOK_AGAIN {
            self.looked = Instant::now();
            let checkpoints = self.source.join("checkpoints");
            let best = (self.which != Which::Latest).then(|| best_checkpoint(&checkpoints));
            let newest = || latest_checkpoint(&checkpoints).ok().flatten();
            let newest = best.flatten().or_else(newest);
            let is_new = newest
                .is_some_and(|newest| self.model.as_ref().is_none_or(|model| model.file != newest));
            let opened = || Model::of(trained(&self.source, self.which)?, &self.chosen);
            if is_new && let Ok(model) = opened() {
                self.model = Some(model);
            }
        }
        self.model
            .as_ref()
            .ok_or_else(|| input("this run has no checkpoint yet"))
    }

    /// What the page has to know: styles, size, step; null while there are no networks.
    pub(crate) fn about(&mut self) -> Value {
        match self.model() {
            Ok(model) => json!({
                "styles": model.info.styles,
                "size_px": model.size_px(),
                "step": model.info.step,
                "labels": model.discriminator.is_some(),
            }),
            Err(_) => Value::Null,
        }
    }

    /// A picture in every style, at its size, and what the discriminator says of each and of the picture
    /// itself.
    ///
    /// # Errors
    /// What is wrong with the picture.
    pub(crate) fn every_style(&mut self, bytes: &[u8]) -> Result<Value> {
        let picture = decoded(bytes, PREVIEW_PX)?;
        let model = self.model()?;
        let side = model.size_px() as usize;
        let started = Instant::now();
        let framed = model.framed(picture.clone());
        let square = framed.square();
        let is_strange = model.known.is_strange(&picture);
        let styles: Vec<u32> = (0..model.info.styles.len().to_u32()).collect();
        let device = &self.chosen.device;
        let model = self.model.as_ref().expect("it was just looked at");
        let squares =
            translate::translate_into_each(&model.generator, device, &square, side, &styles);
        let translated = started.elapsed();
        let mut opinions = model.discriminator.as_ref().map(|discriminator| {
            let all = [square.as_slice(), &squares].concat();
            let values = recognize::posteriors(discriminator, device, &all, side);
            let opinions = values.chunks_exact(values.len() / (styles.len() + 1));
            opinions
                .map(|values| recognized(values, &picture, model.size_px()))
                .collect::<Vec<_>>()
                .into_iter()
        });
        let mut opinion = || opinions.as_mut().and_then(Iterator::next);
        let own = opinion();
        let recognised = started.elapsed();
        // Each style is laid into the picture on a thread of its own: sharp outlines take as long as the
        // networks.
        let pictures = thread::scope(|scope| {
            let squares = squares.chunks_exact(square.len());
            let threads: Vec<_> = squares
                .map(|translated| {
                    let framed = framed.clone();
                    scope.spawn(move || png(&model.laid_back(framed, translated)))
                })
                .collect();
            let done = threads.into_iter().map(ScopedJoinHandle::join);
            done.map(|picture| picture.unwrap_or_else(|panic| resume_unwind(panic)))
                .collect::<Result<Vec<Vec<u8>>>>()
        })?;
        let shown = pictures
            .iter()
            .zip(&model.info.styles)
            .map(|(picture, name)| {
                let url = format!("data:image/png;base64,{}", STANDARD.encode(picture));
                json!({"name": name, "picture": url, "opinion": opinion()})
            });
        let shown = shown.collect::<Vec<Value>>();
        let millis = |time: Duration| (time.as_secs_f64() * 1e4).round() / 10.0;
        Ok(json!({
            "width_px": picture.width_px,
            "height_px": picture.height_px,
            "opinion": own,
            "hint": is_strange.then(|| Hint::Photograph.words()),
            "styles": shown,
            "millis": {
                "networks": millis(translated),
                "labels": millis(recognised.saturating_sub(translated)),
                "all": millis(started.elapsed()),
            },
        }))
    }

    /// A picture in one style as PNG, at its own size: what `demotic translate` writes.
    ///
    /// # Errors
    /// What is wrong with the picture or the number of the style.
    pub(crate) fn one_style(&mut self, bytes: &[u8], style: usize) -> Result<Vec<u8>> {
        let picture = decoded(bytes, PICTURE_PX)?;
        let model = self.model()?;
        if style >= model.info.styles.len() {
            return Err(input(format!(
                "there are {} styles, from 0",
                model.info.styles.len()
            )));
        }
        let framed = model.framed(picture);
        let side = model.size_px() as usize;
        let square = framed.square();
        let model = self.model.as_ref().expect("it was just looked at");
        let translated = translate::translate(
            &model.generator,
            &self.chosen.device,
            &square,
            side,
            &[style.to_u32()],
        );
        png(&model.laid_back(framed, &translated))
    }
}

/// What is served of a run, a file of weights or those in the program; `has_begun`: a run in training may
/// have no checkpoint yet.
///
/// # Errors
/// What is wrong with the run.
pub(crate) fn checkpoint(
    source: &Path,
    which: Which,
    has_begun: bool,
) -> Result<Option<Checkpoint>> {
    let has_none =
        || latest_checkpoint(&source.join("checkpoints")).map_or(true, |newest| newest.is_none());
    match trained(source, which) {
        Err(_) if has_begun && has_none() => Ok(None),
        opened => Ok(Some(opened?)),
    }
}

/// Decides by its header whether a picture is too large, before any memory is taken.
fn decoded(bytes: &[u8], most_px: u64) -> Result<Picture> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    if let Ok((width, height)) = reader.into_dimensions()
        && u64::from(width) * u64::from(height) > most_px
    {
        return Err(input(format!(
            "{width} x {height} pixels; at most {} megapixels are taken: make it smaller",
            most_px >> 20
        )));
    }
    Ok(Picture::decode(bytes, Path::new("the picture"))?)
}

/// As `demotic translate` writes it.
fn png(picture: &Unframed) -> Result<Vec<u8>> {
    sheet::translation_png(picture, Path::new("answer.png"))
}

/// What the discriminator says of a square: `[labels, grid, grid]`. Patches beside the picture have no say.
fn recognized(posteriors: &[f32], picture: &Picture, size_px: u32) -> Value {
    let stride = DiscriminatorConfig::PATCH_STRIDE;
    let grid = size_px as usize / stride;
    let [left, top, width, height] = picture.place_in(size_px);
    let is_within =
        |centre: usize, start: u32, length: u32| (start..start + length).contains(&centre.to_u32());
    let opinion = Opinion::new(posteriors, grid, |patch| {
        let [x, y] = [patch % grid, patch / grid].map(|i| i * stride + stride / 2);
        is_within(x, left, width) && is_within(y, top, height)
    });
    let side = f64::from(size_px);
    let place = [left, top, width, height].map(|px| f64::from(px) / side);
    let percent = |share: &f32| (100.0 * share).round();
    json!({
        "style": opinion.style(),
        "styles": opinion.styles.iter().map(percent).collect::<Vec<f32>>(),
        "fake": percent(&opinion.fake),
        "fakes": opinion.patches.iter().map(percent).collect::<Vec<f32>>(),
        "labels": opinion.labels,
        "grid": grid,
        "place": place,
    })
}
