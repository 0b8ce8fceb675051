//! Pictures into a style in three calls, for programs that use this crate: open weights, name a style, give
//! pictures.

use std::path::Path;

use burn::tensor::Tensor;
use image::RgbaImage;

use crate::data::Picture;
use crate::device::{self, Chosen};
use crate::error::Error;
use crate::model::Generator;
use crate::train::CheckpointInfo;
use crate::train::run::{Which, trained};
use crate::translate::{self, AlphaRule, Framed, Hand, style_codes, translate_as};

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
    /// `[1, style_dims]`
    code: Tensor<2>,
}

impl Translator {
    /// Opens the newest checkpoint of a run's folder, a file of weights made by `demotic export`, or the
    /// weights in the program ([`crate::train::BUILT_IN`]), on the device that `auto` takes.
    ///
    /// # Errors
    /// [`Error`] where there are no such weights, they are damaged, or no device opens.
    pub fn open(run: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_on(run, "auto")
    }

    /// [`Self::open`] on a device by its name, as `--device` takes it: `flex`, `wgpu`, `wgpu:1`.
    ///
    /// # Errors
    /// As there.
    pub fn open_on(run: impl AsRef<Path>, device: &str) -> Result<Self, Error> {
        let checkpoint = trained(run.as_ref(), Which::Latest)?;
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

    /// What transparent pictures are laid on before the network sees them.
    pub fn background(&self) -> [u8; 3] {
        self.background
    }

    /// Side of the square that the network sees, in pixels; results have their input's size.
    pub fn size_px(&self) -> u32 {
        self.info.config.data.size_px
    }

    /// Into one of [`Self::styles`].
    ///
    /// # Errors
    /// [`Error::Data`] naming the styles that there are.
    pub fn to(&self, style: &str) -> Result<IntoStyle<'_>, Error> {
        let number = self.info.style_number(style)?;
        let (config, device) = (&self.info.config, &self.chosen.device);
        let code = style_codes(&self.generator, config, device, number, 1, &Hand::Typical)?;
        Ok(IntoStyle {
            translator: self,
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
        };
        let framed: Vec<Framed> = pictures.iter().map(framed).collect();
        let squares: Vec<f32> = framed.iter().flat_map(Framed::square).collect();
        let codes = self.code.clone().repeat_dim(0, framed.len());
        let side = data.size_px as usize;
        let drawn = translate_as(&t.generator, &t.chosen.device, &squares, side, &codes);
        let len = t.generator.channels() * side * side;
        let back = |(framed, drawn): (Framed, &[f32])| {
            let translated = match t.generator.filter() {
                Some(filter) => framed.laid_back(drawn, filter, AlphaRule::Auto),
                None => framed.back(drawn, AlphaRule::Auto),
            };
            let translate::Unframed {
                width_px,
                height_px,
                rgba,
                ..
            } = translated;
            RgbaImage::from_raw(width_px, height_px, rgba).expect("four bytes a pixel")
        };
        framed
            .into_iter()
            .zip(drawn.chunks_exact(len))
            .map(back)
            .collect()
    }
}
