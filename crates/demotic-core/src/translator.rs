//! Pictures into a style in three calls, for programs that use this crate: open weights, name a style, give
//! pictures. As short: pictures without an input, and pictures of phrases.

use std::path::Path;

use burn::tensor::Tensor;
use image::RgbaImage;

use crate::data::{CachePolicy, Dataset, Picture};
use crate::device::{self, Chosen};
use crate::error::Error;
use crate::model::Generator;
use crate::phrase::{self, Memory, Recall};
use crate::sample::{Fitted, Prior, sample};
use crate::train::CheckpointInfo;
use crate::train::run::{Which, trained};
use crate::translate::{
    AlphaRule, CodeSource, Framed, PaperRule, Unframed, style_codes, to_byte, translate_whole,
};

/// A trained generator on a device.
///
/// ```
/// use demotic_core::Translator;
/// use demotic_core::train::BUILT_IN;
/// use image::{Rgba, RgbaImage};
///
/// // A ring, black on white, as large as it likes.
/// let doodle = RgbaImage::from_fn(96, 80, |x, y| {
///     let radius = (x as f32 - 48.0).hypot(y as f32 - 40.0);
///     let ink = if (28.0..32.0).contains(&radius) { 0 } else { 255 };
///     Rgba([ink, ink, ink, 255])
/// });
/// let coloured = Translator::open_on(BUILT_IN, "flex")?.to("twemoji")?.picture(&doodle);
/// assert_eq!(coloured.dimensions(), doodle.dimensions());
/// # Ok::<(), demotic_core::Error>(())
/// ```
///
/// Without an input, and of words:
///
/// ```
/// use demotic_core::Translator;
/// use demotic_core::train::BUILT_IN;
///
/// let translator = Translator::open_on(BUILT_IN, "flex")?;
/// let pictures = translator.own_pictures()?;
/// let noto = translator.to("noto")?;
/// let made_up = noto.samples(&pictures, 4, 0);
/// let tired = noto.drawn(&pictures, "so tired")?.expect("an idea that is known");
/// assert!(made_up.len() == 4 && made_up[0].dimensions() == tired.dimensions());
/// assert!(noto.drawn(&pictures, "qzxv")?.is_none());
/// # Ok::<(), demotic_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Translator {
    generator: Generator,
    info: CheckpointInfo,
    background: [u8; 3],
    chosen: Chosen,
}

/// A [`Translator`] into one style.
#[derive(Debug)]
pub struct IntoStyle<'a> {
    translator: &'a Translator,
    style: u32,
    /// `[1, style_dims]`
    code: Tensor<2>,
}

impl Translator {
    /// Opens the best checkpoint of a run's folder (the newest where none is named the best), a file of
    /// weights made by `demotic export`, or the weights in the program ([`crate::train::BUILT_IN`]), on the
    /// device that `auto` takes.
    ///
    /// # Errors
    /// [`Error`] where there are no such weights, they are damaged, or no device opens.
    pub fn open(run: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_on(run, "auto")
    }

    /// [`Self::open`] on a device by its name, as `--device` takes it: `flex`, `wgpu`, `wgpu:1`.
    ///
    /// # Errors
    /// As of [`Self::open`].
    pub fn open_on(run: impl AsRef<Path>, device: &str) -> Result<Self, Error> {
        Self::open_checkpoint(run, Which::Auto, device)
    }

    /// [`Self::open_on`] of another checkpoint than the best, or where none is named the newest.
    ///
    /// # Errors
    /// As of [`Self::open`].
    pub fn open_checkpoint(
        run: impl AsRef<Path>,
        which: Which,
        device: &str,
    ) -> Result<Self, Error> {
        let checkpoint = trained(run.as_ref(), which)?;
        let chosen = device::open(device)?;
        let background = checkpoint.info.config.data.background_rgb();
        Ok(Self {
            generator: checkpoint.generator(&chosen.device)?,
            background: background.map_err(|problem| Error::Config(vec![problem]))?,
            info: checkpoint.info,
            chosen,
        })
    }

    /// Names of the styles.
    pub fn styles(&self) -> &[String] {
        &self.info.styles
    }

    /// What computes.
    pub fn device(&self) -> &Chosen {
        &self.chosen
    }

    /// What transparent pictures are laid on before the network sees them.
    pub fn background(&self) -> [u8; 3] {
        self.background
    }

    /// Side of the square that the network sees, in pixels; results have their input's size.
    pub fn size_px(&self) -> u32 {
        self.info.config.data.size_px
    }

    /// The pictures that the weights were trained on, which samples and drawings start from.
    ///
    /// # Errors
    /// [`Error`] where they are gone, damaged or not of these styles any more.
    pub fn own_pictures(&self) -> Result<Dataset, Error> {
        let data = &self.info.config.data;
        let mut options = data.options(CachePolicy::Platform)?;
        // Their order is their number in the network.
        options.styles.clone_from(&self.info.styles);
        Ok(Dataset::load(&data.source, &options)?)
    }

    /// Into one of [`Self::styles`].
    ///
    /// # Errors
    /// [`Error::Data`] naming the styles that there are.
    pub fn to(&self, style: &str) -> Result<IntoStyle<'_>, Error> {
        let number = self.info.style_number(style)?;
        let (config, device) = (&self.info.config, &self.chosen.device);
        let code = style_codes(
            &self.generator,
            config,
            device,
            number,
            1,
            &CodeSource::Typical,
        )?;
        Ok(IntoStyle {
            translator: self,
            style: number,
            code,
        })
    }
}

impl IntoStyle<'_> {
    /// The translation at the picture's own size; transparency as by `demotic translate --alpha auto`.
    ///
    /// # Panics
    /// If the picture has no pixel.
    pub fn picture(&self, picture: &RgbaImage) -> RgbaImage {
        let mut all = self.pictures(std::slice::from_ref(picture));
        all.swap_remove(0)
    }

    /// New pictures without an input, of latents like those of these training pictures
    /// ([`Translator::own_pictures`]). The same seed gives the same pictures.
    pub fn samples(&self, pictures: &Dataset, count: usize, seed: u64) -> Vec<RgbaImage> {
        let t = self.translator;
        let (config, device) = (&t.info.config, &t.chosen.device);
        let fitted = Fitted::of(
            &t.generator,
            device,
            pictures.training(),
            self.style as usize,
        );
        let codes = self.code.clone().repeat_dim(0, count);
        let prior = Prior::Fitted(&fitted);
        let drawn = sample(&t.generator, config, device, prior, &codes, seed, 1.0);
        let shown = pictures.shown(&drawn);
        let each = shown.chunks_exact(pictures.picture_len());
        each.map(|planes| opaque(planes, t.size_px())).collect()
    }

    /// What a phrase recalls of these pictures ([`Translator::own_pictures`]), drawn in this style; `None`
    /// where it recalls nothing, or nobody has drawn it.
    ///
    /// # Errors
    /// [`Error::Data`] where the phrases of the pictures are damaged.
    pub fn drawn(&self, pictures: &Dataset, phrase: &str) -> Result<Option<RgbaImage>, Error> {
        let t = self.translator;
        let (config, device) = (&t.info.config, &t.chosen.device);
        let table = phrase::load(&config.data.source)?;
        let recall = Recall::new(&table);
        let (ranked, floor) = (recall.rank(phrase), recall.floor(phrase));
        let Some(best) = ranked.first().filter(|best| best.similarity >= floor) else {
            return Ok(None);
        };
        let style = self.style as usize;
        let memory = Memory::new(&t.generator, config, device, pictures, None, style);
        let drawn = memory.draw(&table.ideas()[best.idea].key, &self.code, false);
        Ok(drawn.map(|drawn| opaque(&drawn.picture, t.size_px())))
    }

    /// Several at once: quicker than one by one where they are small.
    ///
    /// # Panics
    /// If one has no pixel.
    pub fn pictures(&self, pictures: &[RgbaImage]) -> Vec<RgbaImage> {
        let t = self.translator;
        let data = &t.info.config.data;
        let framed = |picture: &RgbaImage| {
            Framed::new(
                Picture::from(picture.clone()),
                data.size_px,
                t.background,
                data.channels,
            )
            .fitted(data.fit)
            .with_paper(PaperRule::of(&t.generator))
        };
        let framed: Vec<Framed> = pictures.iter().map(framed).collect();
        let back = |translated: Unframed| {
            let Unframed {
                width_px,
                height_px,
                rgba,
                ..
            } = translated;
            RgbaImage::from_raw(width_px, height_px, rgba).expect("four bytes a pixel")
        };
        let (device, rule) = (&t.chosen.device, AlphaRule::Auto);
        translate_whole(&t.generator, device, framed, &self.code, rule)
            .map(back)
            .collect()
    }
}

/// A picture of planes `[3, side, side]` in [-1, 1].
fn opaque(planes: &[f32], side: u32) -> RgbaImage {
    let area = (side * side) as usize;
    RgbaImage::from_fn(side, side, |x, y| {
        let at = (y * side + x) as usize;
        let [r, g, b] = [0, 1, 2].map(|channel| to_byte(planes[channel * area + at]));
        image::Rgba([r, g, b, 255])
    })
}
