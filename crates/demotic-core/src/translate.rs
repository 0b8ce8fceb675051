//! Pictures through a trained generator, and grids of pictures to look at.

use burn::tensor::{Device, Tensor, TensorData};

use crate::config::Config;
use crate::data::{Channels, Picture, multiplied};
use crate::error::Error;
use crate::model::{Generator, StyleKind};
use crate::rng::{Rng, Stream};

/// Pictures translated at once: bounds memory, large enough to keep a device busy.
const CHUNK: usize = 64;

/// Translates pictures of any style into `styles[i]`.
///
/// # Shapes
/// `pictures`: `[n, c, size, size]` in [-1, 1]; the result likewise.
pub fn translate(
    generator: &Generator,
    device: &Device,
    pictures: &[f32],
    size: usize,
    styles: &[u32],
) -> Vec<f32> {
    translate_as(
        generator,
        device,
        pictures,
        size,
        &generator.table_codes(styles),
    )
}

/// Which of a style's hands a translation is drawn by.
#[derive(Clone, Debug, Default)]
pub enum Hand {
    /// The style's learned or mean code.
    #[default]
    Typical,
    /// That of noise under a seed; for `generator.style = latent`.
    Seed(u64),
    /// That of a picture in the style, `[c, size, size]` in [-1, 1]; for `generator.style` other than `table`.
    Picture(Vec<f32>),
}

/// The codes of `count` pictures in one style: `[count, style_dims]`. A seed gives each another one, a picture all the same.
///
/// # Errors
/// [`Error::Config`] where the generator cannot take codes from there, saying which could.
pub fn style_codes(
    generator: &Generator,
    config: &Config,
    device: &Device,
    style: u32,
    count: usize,
    hand: &Hand,
) -> Result<Tensor<2>, Error> {
    let refuse = |what: &str, kinds: &str| {
        Error::Config(vec![format!(
            "{what} needs a run trained with generator.style = {kinds}; this one {}",
            match config.generator.style {
                StyleKind::Table => "has one code a style",
                StyleKind::Latent => "takes its codes from noise",
                StyleKind::Reference => "takes its codes from pictures",
            }
        )])
    };
    let styles = vec![style; count];
    match hand {
        Hand::Typical => Ok(generator.table_codes(&styles)),
        Hand::Seed(seed) => {
            let dims = config.generator.style_noise_dims;
            let noise = Rng::new(*seed, Stream::STYLE, 0).normals(count * dims);
            let noise = Tensor::from_data(TensorData::new(noise, [count, dims]), device);
            generator
                .mapped_codes(noise, &styles)
                .ok_or_else(|| refuse("a style seed", "latent"))
        }
        Hand::Picture(values) => {
            let size = config.data.size_px as usize;
            let shape = [1, generator.channels(), size, size];
            let picture = Tensor::from_data(TensorData::new(values.clone(), shape), device);
            let code = generator
                .picture_codes(picture, &[style])
                .ok_or_else(|| refuse("a reference picture", "latent or reference"))?;
            let [_, dims] = code.dims();
            Ok(code.expand([count, dims]))
        }
    }
}

/// Translates pictures by style codes, one each.
///
/// # Shapes
/// `pictures`: `[n, c, size, size]` in [-1, 1]; `codes`: `[n, style_dims]`; the result as the pictures.
pub fn translate_as(
    generator: &Generator,
    device: &Device,
    pictures: &[f32],
    size: usize,
    codes: &Tensor<2>,
) -> Vec<f32> {
    let channels = generator.channels();
    let len = channels * size * size;
    let mut out = Vec::with_capacity(pictures.len());
    for (chunk, pictures) in pictures.chunks(CHUNK * len).enumerate() {
        let n = pictures.len() / len;
        let data = TensorData::new(pictures.to_vec(), [n, channels, size, size]);
        let latent = generator.encode(Tensor::from_data(data, device)).mean;
        let drawn = generator.decode_as(latent, codes.clone().narrow(0, chunk * CHUNK, n));
        out.extend(crate::train::values_of(drawn));
    }
    out
}

/// Lays pictures out in rows: `rows[r][c]` is `[3, size, size]` in [-1, 1]; gaps are white.
///
/// Returns `(width, height, RGB bytes)`.
pub fn grid(rows: &[Vec<Option<&[f32]>>], size: usize) -> (u32, u32, Vec<u8>) {
    const GAP: usize = 2;
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let (width, height) = (
        columns * (size + GAP) + GAP,
        rows.len() * (size + GAP) + GAP,
    );
    let mut bytes = vec![255; 3 * width * height];
    for (r, row) in rows.iter().enumerate() {
        for (c, picture) in row.iter().enumerate() {
            let Some(picture) = picture else { continue };
            let (top, left) = (GAP + r * (size + GAP), GAP + c * (size + GAP));
            for y in 0..size {
                for x in 0..size {
                    for channel in 0..3 {
                        let value = picture[(channel * size + y) * size + x];
                        bytes[3 * ((top + y) * width + left + x) + channel] = to_byte(value);
                    }
                }
            }
        }
    }
    (width as u32, height as u32, bytes)
}

/// [-1, 1] to 0..=255.
pub fn to_byte(value: f32) -> u8 {
    ((value + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8
}

/// Planes `[3, size, size]` of pictures as a person sees them, one after another.
pub fn planes(pictures: &[f32], size: usize) -> impl Iterator<Item = &[f32]> {
    pictures.chunks_exact(3 * size * size)
}

/// What becomes of a picture's transparency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlphaRule {
    /// The input's own alpha, pixel by pixel.
    Keep,
    /// The input's alpha, and opaque also where the translation paints something other than the background: for line
    /// art that is hollow inside.
    Redraw,
}

/// A picture of any size on its way through the square that a generator knows.
#[derive(Clone, Debug)]
pub struct Framed {
    original: Picture,
    size_px: u32,
    background: [u8; 3],
    channels: Channels,
}

/// A translation at its input's size.
#[derive(Clone, Debug, PartialEq)]
pub struct Unframed {
    /// Columns.
    pub width_px: u32,
    /// Rows.
    pub height_px: u32,
    /// `[height_px, width_px, 4]`, colour not multiplied by alpha.
    pub rgba: Vec<u8>,
    /// Whether no pixel is transparent.
    pub is_opaque: bool,
    /// Share of pixels that the translation paints and the alpha hides; 0 to 1.
    pub hidden_share: f32,
}

/// Least difference from the background, of 255, that counts as paint; from twice that on, it is opaque.
const PAINT: u32 = 32;

impl Framed {
    /// Takes a picture for a square of `size_px` on a background, for a generator of these channels.
    pub fn new(original: Picture, size_px: u32, background: [u8; 3], channels: Channels) -> Self {
        Self {
            original,
            size_px,
            background,
            channels,
        }
    }

    /// What the generator sees: `[c, size_px, size_px]` in [-1, 1].
    pub fn square(&self) -> Vec<f32> {
        let square = self.original.fit(self.size_px);
        square.planes(self.channels, self.background)
    }

    /// The translated square at the input's size. Laid on the background, it shows what the generator drew wherever
    /// alpha allows: colour is `background + (drawn - background) / alpha`, in range. A generator of rgba has drawn the
    /// transparency itself; then there is no rule.
    ///
    /// # Shapes
    /// `translated`: `[c, size_px, size_px]` in [-1, 1].
    pub fn back(&self, translated: &[f32], rule: AlphaRule) -> Unframed {
        match self.channels {
            Channels::Rgba => self.back_with_alpha(translated),
            Channels::Rgb => self.back_on_ground(translated, rule),
            Channels::Grey => self.back_on_ground(&translated.repeat(3), rule),
        }
    }

    /// The square cut to the picture and brought to its size; `pixel` gives premultiplied RGBA by its place in the square.
    fn unfitted(&self, pixel: impl Fn(usize) -> [u8; 4]) -> Picture {
        let side = self.size_px as usize;
        let [left, top, width, height] = self.original.place_in(self.size_px).map(|v| v as usize);
        let mut premultiplied = Vec::with_capacity(4 * width * height);
        for y in top..top + height {
            for x in left..left + width {
                premultiplied.extend(pixel(y * side + x));
            }
        }
        let drawn = Picture {
            width_px: width as u32,
            height_px: height as u32,
            premultiplied,
        };
        drawn.resized(self.original.width_px, self.original.height_px)
    }

    fn back_with_alpha(&self, translated: &[f32]) -> Unframed {
        let plane = self.size_px as usize * self.size_px as usize;
        let drawn = self.unfitted(|place| {
            let value = |c: usize| translated[c * plane + place];
            let [red, green, blue] = [0, 1, 2].map(|c| {
                let [colour, _] = multiplied(value(c), value(3), self.background[c]);
                to_byte(2.0 * colour - 1.0)
            });
            [red, green, blue, to_byte(value(3))]
        });
        let rgba = drawn.straight_rgba();
        Unframed {
            width_px: drawn.width_px,
            height_px: drawn.height_px,
            is_opaque: rgba.as_chunks::<4>().0.iter().all(|pixel| pixel[3] == 255),
            rgba,
            hidden_share: 0.0,
        }
    }

    fn back_on_ground(&self, translated: &[f32], rule: AlphaRule) -> Unframed {
        let plane = self.size_px as usize * self.size_px as usize;
        let drawn = self.unfitted(|place| {
            let channel = |c: usize| to_byte(translated[c * plane + place]);
            [channel(0), channel(1), channel(2), 255]
        });
        let (width, height) = (drawn.width_px, drawn.height_px);
        let (mut is_opaque, mut hidden) = (true, 0_usize);
        let mut rgba = drawn.premultiplied;
        let pixels = rgba.as_chunks_mut::<4>().0;
        for (pixel, original) in pixels
            .iter_mut()
            .zip(self.original.premultiplied.as_chunks::<4>().0)
        {
            let paint = (0..3)
                .map(|c| u32::from(pixel[c].abs_diff(self.background[c])))
                .max()
                .unwrap_or(0);
            let kept = u32::from(original[3]);
            let painted = (paint.saturating_sub(PAINT) * 255 / PAINT).min(255);
            hidden += usize::from(painted == 255 && kept < 64);
            let alpha = match rule {
                AlphaRule::Keep => kept,
                AlphaRule::Redraw => kept.max(painted),
            };
            for (value, background) in pixel.iter_mut().zip(self.background) {
                let behind = i32::from(background);
                let offset = (i32::from(*value) - behind) * 255;
                *value = offset
                    .checked_div(alpha as i32)
                    .map_or(0, |o| (behind + o).clamp(0, 255) as u8);
            }
            pixel[3] = alpha as u8;
            is_opaque &= alpha == 255;
        }
        let count = pixels.len() as f32;
        Unframed {
            width_px: width,
            height_px: height,
            rgba,
            is_opaque,
            hidden_share: hidden as f32 / count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width_px: u32, height_px: u32, pixel: impl Fn(u32, u32) -> [u8; 4]) -> Picture {
        let premultiplied = (0..width_px * height_px)
            .flat_map(|i| pixel(i % width_px, i / width_px))
            .collect();
        Picture {
            width_px,
            height_px,
            premultiplied,
        }
    }

    #[test]
    fn a_picture_that_is_not_changed_comes_back_with_its_size_alpha_and_colour() {
        for (width, height) in [(16, 16), (16, 5), (3, 16), (1, 1)] {
            let original = picture(width, height, |x, _| {
                if x % 2 == 0 {
                    [120, 60, 30, 128]
                } else {
                    [10, 200, 90, 255]
                }
            });
            let framed = Framed::new(original.clone(), 16, [255; 3], Channels::Rgb);
            if width.max(height) == 16 {
                let back = framed.back(&framed.square(), AlphaRule::Keep);
                assert_eq!(
                    (back.width_px, back.height_px, back.is_opaque),
                    (width, height, false)
                );
                for (got, (given, straight)) in back.rgba.chunks(4).zip(
                    original
                        .premultiplied
                        .chunks(4)
                        .zip(original.straight_rgba().chunks(4)),
                ) {
                    assert_eq!(got[3], given[3]);
                    // One step of rounding, twice where half transparent.
                    assert!(
                        (0..3).all(|c| got[c].abs_diff(straight[c]) <= 2),
                        "{got:?} {straight:?}"
                    );
                }
            } else {
                let back = framed.back(&framed.square(), AlphaRule::Keep);
                assert_eq!((back.width_px, back.height_px, back.rgba[3]), (1, 1, 128));
            }
        }
    }

    #[test]
    fn paint_in_a_hollow_picture_is_hidden_by_keep_and_shown_by_redraw() {
        let hollow = picture(8, 8, |x, y| {
            if x.min(y) == 0 {
                [0, 0, 0, 255]
            } else {
                [0; 4]
            }
        });
        let framed = Framed::new(hollow, 8, [255; 3], Channels::Rgb);
        // The translation paints the upper half yellow and leaves the lower half white.
        let painted: Vec<f32> = (0..3)
            .flat_map(|c| (0..64).map(move |i| if c == 2 && i < 32 { -0.6 } else { 1.0 }))
            .collect();
        let kept = framed.back(&painted, AlphaRule::Keep);
        let redrawn = framed.back(&painted, AlphaRule::Redraw);
        let alpha = |picture: &Unframed, x: usize, y: usize| picture.rgba[4 * (y * 8 + x) + 3];
        assert_eq!(
            [alpha(&kept, 4, 2), alpha(&kept, 4, 6), alpha(&kept, 0, 6)],
            [0, 0, 255]
        );
        assert_eq!(
            [
                alpha(&redrawn, 4, 2),
                alpha(&redrawn, 4, 6),
                alpha(&redrawn, 0, 6)
            ],
            [255, 0, 255]
        );
        assert_eq!(redrawn.rgba[4 * (2 * 8 + 4)..][..3], [255, 255, 51]);
        assert_eq!(kept.hidden_share, 21.0 / 64.0);
        let opaque = Framed::new(
            picture(8, 8, |_, _| [9, 9, 9, 255]),
            8,
            [255; 3],
            Channels::Rgb,
        );
        assert!(opaque.back(&painted, AlphaRule::Keep).is_opaque);
    }

    #[test]
    fn a_generator_of_rgba_draws_its_own_transparency_and_one_of_grey_shows_grey() {
        let original = picture(8, 4, |x, _| if x < 4 { [40, 80, 120, 160] } else { [0; 4] });
        let framed = |channels| Framed::new(original.clone(), 8, [255; 3], channels);
        let sticker = framed(Channels::Rgba);
        let back = sticker.back(&sticker.square(), AlphaRule::Keep);
        assert_eq!(
            (back.rgba, back.is_opaque),
            (original.straight_rgba(), false)
        );
        // On white, white at half alpha is white, and so is white at no alpha; black at no alpha is nothing.
        for (colour, alpha, pixel) in [
            (1.0, 0.0, [255, 255, 255, 128]),
            (1.0, -1.0, [0; 4]),
            (-1.0, -1.0, [0; 4]),
            (-1.0, 0.0, [0, 0, 0, 128]),
        ] {
            let drawn = [colour, colour, colour, alpha].map(|v: f32| vec![v; 64]);
            let drawn = sticker.back(&drawn.concat(), AlphaRule::Keep);
            assert_eq!(drawn.rgba[..4], pixel, "{colour} {alpha}");
        }
        let grey = framed(Channels::Grey);
        let back = grey.back(&vec![0.2; 64], AlphaRule::Redraw);
        assert!(
            back.rgba.chunks(4).all(|p| p[0] == p[1] && p[1] == p[2]),
            "{:?}",
            back.rgba
        );
    }
}
