//! Pictures through a trained generator.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use crate::data::canvas::{distance, distances, enclosed, open_canvas};
use crate::data::pen::offsets;
use crate::data::strokes::{Inks, Strokes};
use crate::data::{Channels, Picture, multiplied};
use crate::error::Error;
use crate::model::{CHUNK, Generator, StyleKind};
use crate::number::{Real, Whole};
use crate::ops::{Change, Enlarged, Filter, Large, on_cores};
use crate::rng::{Rng, Stream};
use crate::settings::{Config, Fit};

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

/// Translates one picture into each of `styles`: coded once, decoded for all of them together.
///
/// # Shapes
/// `picture`: `[c, size, size]` in [-1, 1]; the result `[styles.len(), c, size, size]`.
pub fn translate_into_each(
    generator: &Generator,
    device: &Device,
    picture: &[f32],
    size: usize,
    styles: &[u32],
) -> Vec<f32> {
    on_cores(std::slice::from_ref(device), || {
        let data = TensorData::new(picture.to_vec(), [1, generator.channels(), size, size]);
        let picture = Tensor::<4>::from_data(data, device);
        let n = styles.len();
        let latents = generator.encode(picture.clone()).mean().repeat_dim(0, n);
        let decoded = generator.decode_as(latents, generator.table_codes(styles));
        crate::arrays::values_of(generator.laid_in(picture.repeat_dim(0, n), decoded))
    })
}

/// Where the style code of a translation comes from.
#[derive(Clone, Debug, Default)]
pub enum CodeSource {
    /// The style's learned or mean code.
    #[default]
    Typical,
    /// That of noise under a seed; for `generator.style = latent`.
    Seed(u64),
    /// That of a picture in the style, `[c, size, size]` in [-1, 1]; for `generator.style` other than
    /// `table`.
    Picture(Vec<f32>),
}

/// The codes of `count` pictures in one style: `[count, style_dims]`. A seed gives each another one, a
/// picture all the same.
///
/// # Errors
/// [`Error::Config`] where the generator cannot take codes from there, saying which could.
pub fn style_codes(
    generator: &Generator,
    config: &Config,
    device: &Device,
    style: u32,
    count: usize,
    code_source: &CodeSource,
) -> Result<Tensor<2>, Error> {
    let refuse = |what: &str, kinds: &str| {
        Error::Config(vec![format!(
            "{what} needs a run trained with generator.style = {kinds}; this one {}",
            match config.generator.style {
                StyleKind::Table => "has one code per style",
                StyleKind::Latent => "takes its codes from noise",
                StyleKind::Reference => "takes its codes from pictures",
            }
        )])
    };
    let styles = vec![style; count];
    match code_source {
        CodeSource::Typical => Ok(generator.table_codes(&styles)),
        CodeSource::Seed(seed) => {
            let dims = config.generator.style_noise_dims;
            let noise = Rng::new(*seed, Stream::STYLE, 0).normals(count * dims);
            let noise = Tensor::from_data(TensorData::new(noise, [count, dims]), device);
            generator
                .mapped_codes(noise, &styles)
                .ok_or_else(|| refuse("a style seed", "latent"))
        }
        CodeSource::Picture(values) => {
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
    in_chunks(generator, device, pictures, size, |at, pictures| {
        let [n, ..] = pictures.dims();
        generator.translate_as(pictures, codes.clone().narrow(0, at, n))
    })
}

/// Pictures at their own sizes, by one style code: each goes through the square that it is framed for, all
/// of one size, and is laid back where the generator has a filter. They are made one by one, as they are
/// taken.
///
/// # Shapes
/// `code`: `[1, style_dims]`.
pub fn translate_whole(
    generator: &Generator,
    device: &Device,
    framed: Vec<Framed>,
    code: &Tensor<2>,
    rule: AlphaRule,
) -> impl Iterator<Item = Unframed> + use<> {
    let squares: Vec<f32> = framed.iter().flat_map(Framed::square).collect();
    let side = framed.first().map_or(1, |framed| framed.size_px) as usize;
    let codes = code.clone().repeat_dim(0, framed.len());
    let translated = translate_as(generator, device, &squares, side, &codes);
    let (filter, len) = (generator.filter(), generator.channels() * side * side);
    framed.into_iter().enumerate().map(move |(at, framed)| {
        let translated = &translated[at * len..][..len];
        match filter {
            Some(filter) => framed.laid_back(translated, filter, rule),
            None => framed.back(translated, rule),
        }
    })
}

/// Pictures encoded and decoded, each in the style of its number, without what `generator.filter` takes
/// from the input.
///
/// # Shapes
/// As [`translate`].
pub fn redraw(
    generator: &Generator,
    device: &Device,
    pictures: &[f32],
    size: usize,
    styles: &[u32],
) -> Vec<f32> {
    in_chunks(generator, device, pictures, size, |at, pictures| {
        let [n, ..] = pictures.dims();
        generator.decode(generator.encode(pictures).mean(), &styles[at..at + n])
    })
}

/// Pictures through a network, some at a time; `network` also takes the number of the first.
fn in_chunks(
    generator: &Generator,
    device: &Device,
    pictures: &[f32],
    size: usize,
    network: impl Fn(usize, Tensor<4>) -> Tensor<4> + Sync,
) -> Vec<f32> {
    let channels = generator.channels();
    let len = channels * size * size;
    on_cores(std::slice::from_ref(device), || {
        let mut out = Vec::with_capacity(pictures.len());
        for (chunk, pictures) in pictures.chunks(CHUNK * len).enumerate() {
            let n = pictures.len() / len;
            let data = TensorData::new(pictures.to_vec(), [n, channels, size, size]);
            let generated = network(chunk * CHUNK, Tensor::from_data(data, device));
            out.extend(crate::arrays::values_of(generated));
        }
        out
    })
}

/// [-1, 1] to 0..=255.
#[doc(hidden)]
pub fn to_byte(value: f32) -> u8 {
    ((value + 1.0) * 127.5).round().clamp(0.0, 255.0).to_u8()
}

/// Planes `[3, size, size]` of pictures as a person sees them, one after another.
#[doc(hidden)]
pub fn planes(pictures: &[f32], size: usize) -> impl Iterator<Item = &[f32]> {
    pictures.chunks_exact(3 * size * size)
}

/// What becomes of a picture's transparency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlphaRule {
    /// [`Self::Redraw`] where the input's alpha would hide what the translation paints, on more than 2 % of
    /// the picture; else [`Self::Keep`].
    Auto,
    /// The input's own alpha, pixel by pixel.
    Keep,
    /// The input's alpha, and opaque also where the translation paints something other than the background:
    /// for line art that is hollow inside.
    Redraw,
}

/// Share of a picture that a translation may paint where the input is transparent before that is no accident.
const HIDDEN_SHARE: f32 = 0.02;

impl AlphaRule {
    /// What [`Self::Auto`] comes to for a picture of which this share would be hidden.
    fn settled(self, hidden_share: impl FnOnce() -> f32) -> Self {
        match self {
            Self::Auto if hidden_share() > HIDDEN_SHARE => Self::Redraw,
            Self::Auto => Self::Keep,
            settled => settled,
        }
    }
}

/// What becomes of a drawing's paper: of pixels that have the background's colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaperRule {
    /// Paper beside the drawing stays as it is: where three of the eight straight ways to the border meet no
    /// mark. Not so where the translation paints more than half of it: then the style has a ground. A region
    /// that lines enclose gets one colour: its change is the mean over its pixels, weighted by the size of
    /// their change, so that the sure part of a fill fills all of it. A stroke gets one, too, ink of one
    /// colour that hangs together, where nine in ten pixels of ink belong to strokes: its change is the mean
    /// of the middle half of its pixels', and at its edges it mixes with that of what lies beside it. Strokes
    /// that are thinner than those of training are widened for the network alone, in a picture that is larger
    /// than its square.
    Auto,
    /// As the network paints it.
    Redraw,
}

impl PaperRule {
    /// What holds without a word: [`Self::Auto`] where a generator keeps the input's shapes.
    pub fn of(generator: &Generator) -> Self {
        match generator.filter() {
            Some(_) => Self::Auto,
            None => Self::Redraw,
        }
    }
}

/// A change that is none, of a range of 2.
const LITTLE: f32 = 0.02;

/// A picture of any size on its way through the square that a generator knows.
#[derive(Clone, Debug)]
pub struct Framed {
    original: Picture,
    size_px: u32,
    background: [u8; 3],
    channels: Channels,
    fit: Fit,
    paper: PaperRule,
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
    /// Share of pixels that the translation paints and the result's alpha hides; 0 to 1.
    pub(crate) hidden_share: f32,
}

impl Unframed {
    /// Whether more is hidden than by accident.
    pub fn is_hiding(&self) -> bool {
        self.hidden_share > HIDDEN_SHARE
    }
}

impl From<Picture> for Unframed {
    /// The picture as it is: nothing of it is generated, and nothing hidden.
    fn from(picture: Picture) -> Self {
        let rgba = picture.straight_rgba();
        Self {
            width_px: picture.width_px,
            height_px: picture.height_px,
            is_opaque: rgba.as_chunks::<4>().0.iter().all(|pixel| pixel[3] == 255),
            rgba,
            hidden_share: 0.0,
        }
    }
}

/// Least difference from the background, of 255, that counts as paint, as
/// `evaluate --drawings` has it.
const PAINT: u32 = 24;
/// Least one that [`AlphaRule::Redraw`] shows where the input is transparent, a pale fill, too; from twice
/// that on, it is opaque.
const SHOWN: u32 = 12;

impl Framed {
    /// Takes a picture for a square of `size_px` on a background, for a generator of these channels.
    pub fn new(original: Picture, size_px: u32, background: [u8; 3], channels: Channels) -> Self {
        Self {
            original,
            size_px,
            background,
            channels,
            fit: Fit::Pad,
            paper: PaperRule::Auto,
        }
    }

    /// What [`Self::laid_back`] makes of a drawing's paper; without this, [`PaperRule::Auto`].
    #[must_use]
    pub fn with_paper(self, paper: PaperRule) -> Self {
        Self { paper, ..self }
    }

    /// Comes into the square as the pictures of a run did, whole.
    #[must_use]
    pub fn fitted(self, fit: Fit) -> Self {
        Self { fit, ..self }
    }

    /// What the generator sees: `[c, size_px, size_px]` in [-1, 1].
    pub fn square(&self) -> Vec<f32> {
        self.square_of(self.widened().as_ref().unwrap_or(&self.original))
    }

    fn square_of(&self, picture: &Picture) -> Vec<f32> {
        let square = picture.fitted_whole(self.size_px, self.fit);
        square.planes(self.channels, self.background)
    }

    /// The input as the generator gets it in its place, where it is a drawing by a thin pen.
    fn widened(&self) -> Option<Picture> {
        let is_large = self.original.width_px.max(self.original.height_px) > self.size_px;
        let has_rule = is_large && self.is_ruled();
        has_rule.then(|| {
            self.original
                .widened(self.size_px, self.channels, self.background)
        })?
    }

    /// The translated square at the input's size. Laid on the background, it shows what was generated where
    /// alpha allows: colour is `background + (generated - background) / alpha`, in range. A generator of rgba
    /// generates the transparency itself; then there is no rule.
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

    /// The square cut to the picture and brought to its size; `pixel` gives premultiplied RGBA by its place
    /// in the square.
    fn unfitted(&self, pixel: impl Fn(usize) -> [u8; 4]) -> Picture {
        let side = self.size_px as usize;
        let [left, top, width, height] = self.original.place_in(self.size_px).map(|v| v as usize);
        let mut premultiplied = Vec::with_capacity(4 * width * height);
        for y in top..top + height {
            for x in left..left + width {
                premultiplied.extend(pixel(y * side + x));
            }
        }
        let generated = Picture {
            width_px: width.to_u32(),
            height_px: height.to_u32(),
            premultiplied,
        };
        generated.resized(self.original.width_px, self.original.height_px)
    }

    fn back_with_alpha(&self, translated: &[f32]) -> Unframed {
        let plane = self.size_px as usize * self.size_px as usize;
        let generated = self.unfitted(|place| {
            let value = |c: usize| translated[c * plane + place];
            let [red, green, blue] = [0, 1, 2].map(|c| {
                let [colour, _] = multiplied(value(c), value(3), self.background[c]);
                to_byte(2.0 * colour - 1.0)
            });
            [red, green, blue, to_byte(value(3))]
        });
        Unframed::from(generated)
    }

    fn back_on_ground(&self, translated: &[f32], rule: AlphaRule) -> Unframed {
        let plane = self.size_px as usize * self.size_px as usize;
        let generated = self.unfitted(|place| {
            let channel = |c: usize| to_byte(translated[c * plane + place]);
            [channel(0), channel(1), channel(2), 255]
        });
        let (width, height) = (generated.width_px, generated.height_px);
        let mut rgba = generated.premultiplied;
        let pixels = rgba.as_chunks_mut::<4>().0;
        let originals = self.original.premultiplied.as_chunks::<4>().0;
        let count = pixels.len().to_f32();
        let hidden = pixels.iter().zip(originals);
        let hidden = hidden.filter(|(generated, original)| {
            is_hidden(
                [generated[0], generated[1], generated[2]],
                original[3],
                self.background,
            )
        });
        let hidden_share = hidden.count().to_f32() / count;
        let rule = rule.settled(|| hidden_share);
        for (pixel, original) in pixels.iter_mut().zip(originals) {
            let [red, green, blue, _] = *pixel;
            *pixel = on_ground([red, green, blue], original[3], self.background, rule);
        }
        Unframed {
            width_px: width,
            height_px: height,
            is_opaque: pixels.iter().all(|pixel| pixel[3] == 255),
            rgba,
            hidden_share: if rule == AlphaRule::Keep {
                hidden_share
            } else {
                0.0
            },
        }
    }

    /// Whether [`PaperRule::Auto`] holds. Not where the generator generates transparency itself.
    fn is_ruled(&self) -> bool {
        self.paper == PaperRule::Auto && self.channels != Channels::Rgba
    }

    /// What the generator sees of paper.
    fn ground(&self) -> Vec<f32> {
        self.channels.ground(self.background)
    }

    /// The input's strokes, where it is a drawing and [`PaperRule::Auto`] gives each one colour.
    fn strokes(&self, square: &[f32]) -> Option<Strokes> {
        if !self.is_ruled() {
            return None;
        }
        let side = self.size_px as usize;
        Strokes::of(&offsets(square, &self.ground()), [side; 2])
    }

    /// Where each row and each column of a picture lies in the square: the place of the row's first pixel,
    /// and the column.
    fn places(&self, picture: &Picture) -> [Vec<usize>; 2] {
        let side = self.size_px as usize;
        let [left, top, width, height] = picture.place_in(self.size_px).map(|v| v as usize);
        let along = |count: u32, start: usize, length: usize, stride: usize| -> Vec<usize> {
            let count = count as usize;
            let place = |at: usize| (start + at * length / count) * stride;
            (0..count).map(place).collect()
        };
        [
            along(picture.height_px, top, height, side),
            along(picture.width_px, left, width, 1),
        ]
    }

    /// The largest distance from the ground of a picture within each pixel of the square:
    /// `[size_px, size_px]`, 0 to 255.
    fn darkest(&self, picture: &Picture, ground: &[f32]) -> Vec<f32> {
        let side = self.size_px as usize;
        let [down, across] = self.places(picture);
        let rows = picture.premultiplied.par_chunks(4 * across.len());
        let room = || vec![0.0; ground.len() * across.len()];
        let rows = rows.map_init(room, |seen, row| {
            self.channels.write(row, self.background, seen);
            let mut most = vec![0.0_f32; side];
            for (column, distance) in across.iter().zip(distances(seen, ground)) {
                most[*column] = most[*column].max(distance);
            }
            most
        });
        let rows: Vec<Vec<f32>> = rows.collect();
        let mut darkest = vec![0.0_f32; side * side];
        for (row, start) in rows.iter().zip(&down) {
            for (most, value) in darkest[*start..][..side].iter_mut().zip(row) {
                *most = most.max(*value);
            }
        }
        darkest
    }

    /// What [`PaperRule::Auto`] makes of a translation: its paper by the input's lines.
    fn rule_paper(&self, square: &[f32], translated: &mut [f32]) {
        if !self.is_ruled() {
            return;
        }
        let ground = self.ground();
        let side = self.size_px as usize;
        let plane = side * side;
        let distances = distances(square, &ground);
        let canvas = open_canvas(&distances, [side; 2]);
        let canvas: Vec<usize> = (0..plane).filter(|pixel| canvas[*pixel]).collect();
        let painted = canvas
            .iter()
            .filter(|pixel| distance(translated, &ground, **pixel) > PAINT.to_f32());
        let has_ground = 2 * painted.count() > canvas.len();
        for c in 0..ground.len() {
            for pixel in canvas.iter().filter(|_| !has_ground) {
                translated[c * plane + pixel] = square[c * plane + pixel];
            }
        }
        for region in enclosed(&distances, [side; 2]) {
            // Where a pixel changes little the network was not sure.
            let sure: Vec<f32> = region
                .iter()
                .map(|&pixel| {
                    let changes = (0..ground.len()).map(|c| c * plane + pixel);
                    let changes = changes.map(|at| (translated[at] - square[at]).abs());
                    changes.fold(0.0, f32::max)
                })
                .collect();
            let all: f32 = sure.iter().sum();
            let least = LITTLE * region.len().to_f32();
            for c in 0..ground.len() {
                let at = |pixel: &usize| c * plane + pixel;
                let changes = region.iter().zip(&sure);
                let changes =
                    changes.map(|(pixel, sure)| sure * (translated[at(pixel)] - square[at(pixel)]));
                let change = changes.sum::<f32>() / (all + least);
                for pixel in &region {
                    translated[at(pixel)] = square[at(pixel)] + change;
                }
            }
        }
    }

    /// Like [`Self::back`] with the input's own sharpness, where it is larger than the square: what the
    /// translation changes is enlarged, spread within regions of the input, and laid into it, as training
    /// does on the small scale; a drawing's paper by its [`PaperRule`].
    ///
    /// # Shapes
    /// `translated`: `[c, size_px, size_px]` in [-1, 1].
    pub fn laid_back(self, translated: &[f32], filter: Filter, rule: AlphaRule) -> Unframed {
        let (width_px, height_px) = (self.original.width_px, self.original.height_px);
        let widened = self.widened();
        let seen = widened.as_ref().unwrap_or(&self.original);
        let square = self.square_of(seen);
        let mut change = translated.to_vec();
        self.rule_paper(&square, &mut change);
        let strokes = self.strokes(&square);
        if width_px.max(height_px) <= self.size_px {
            if let Some(strokes) = &strokes {
                strokes.lay_in(&square, &mut change);
            }
            return self.back(&change, rule);
        }
        let (channels, background) = (self.channels, self.background);
        for (translated, seen) in change.iter_mut().zip(&square) {
            *translated -= seen;
        }
        let (ground, places) = (self.ground(), self.places(&self.original));
        let inks = strokes.as_ref().map(|strokes| {
            let darkest = self.darkest(seen, &ground);
            strokes.lift(&mut change, &darkest)
        });
        let part = self.original.place_in(self.size_px);
        let change = Enlarged::new(&change, self.size_px as usize, part, width_px, height_px);
        let (bytes, row_len) = (&self.original.premultiplied, width_px as usize);
        let look = |i: usize, columns: Range<usize>, planes: &mut [f32]| {
            let bytes = &bytes[4 * (i * row_len + columns.start)..][..4 * columns.len()];
            channels.write(bytes, background, planes);
        };
        let large = Large {
            guide: &look,
            change: &change,
            filter,
        };
        let layers = Layers {
            fills: large.run(),
            inks,
            ground,
            places,
        };
        self.painted(&layers, rule)
    }

    /// The input with a change laid into it.
    fn painted(self, layers: &Layers<'_>, rule: AlphaRule) -> Unframed {
        let (width_px, height_px) = (self.original.width_px, self.original.height_px);
        let (channels, background) = (self.channels, self.background);
        // Row by row over the input itself: a large picture is held once.
        let mut rgba = self.original.premultiplied;
        let (width, planes) = (width_px as usize, channels.count());
        let laid = |seen: &[f32], i: usize, c: usize, j: usize| {
            (seen[c * width + j] + layers.at(seen, i, c, j)).clamp(-1.0, 1.0)
        };
        let generated = |seen: &[f32], i: usize, j: usize| {
            [0, 1, 2].map(|c| to_byte(laid(seen, i, c.min(planes - 1), j)))
        };
        let room = || vec![0.0; planes * width];
        let mut hidden_share = 0.0;
        if channels != Channels::Rgba && rgba.as_chunks::<4>().0.iter().any(|pixel| pixel[3] < 255)
        {
            let rows = rgba.par_chunks(4 * width).enumerate();
            let hidden = rows.map_init(room, |seen, (i, row)| {
                channels.write(row, background, seen);
                let pixels = row.as_chunks::<4>().0.iter().enumerate();
                let hidden = |(j, pixel): &(usize, &[u8; 4])| {
                    is_hidden(generated(seen, i, *j), pixel[3], background)
                };
                pixels.filter(hidden).count()
            });
            hidden_share = hidden.sum::<usize>().to_f32() / (width * height_px as usize).to_f32();
        }
        let rule = rule.settled(|| hidden_share);
        let rows = rgba.par_chunks_mut(4 * width).enumerate();
        rows.for_each_init(room, |seen, (i, row)| {
            channels.write(row, background, seen);
            for (j, pixel) in row.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                *pixel = if channels == Channels::Rgba {
                    straight([0, 1, 2, 3].map(|c| laid(seen, i, c, j)), background)
                } else {
                    on_ground(generated(seen, i, j), pixel[3], background, rule)
                };
            }
        });
        Unframed {
            width_px,
            height_px,
            is_opaque: rgba.as_chunks::<4>().0.iter().all(|pixel| pixel[3] == 255),
            rgba,
            hidden_share: if rule == AlphaRule::Keep {
                hidden_share
            } else {
                0.0
            },
        }
    }
}

/// What a translation changes of a picture that is larger than the square.
struct Layers<'a> {
    /// Of fills and paper, under strokes, too.
    fills: Change,
    inks: Option<Inks<'a>>,
    /// As [`Framed::ground`] has it.
    ground: Vec<f32>,
    /// As [`Framed::places`] has them.
    places: [Vec<usize>; 2],
}

impl Layers<'_> {
    /// The change of a value of plane `c` in row `i` and column `j`; `seen`: the row, `[c, width]`.
    fn at(&self, seen: &[f32], i: usize, c: usize, j: usize) -> f32 {
        let [down, across] = &self.places;
        let fill = self.fills.at(self.ground.len(), i, c, j);
        let darkness = || distance(seen, &self.ground, j);
        let inks = self.inks.as_ref();
        inks.and_then(|inks| inks.mixed(down[i] + across[j], c, fill, darkness))
            .unwrap_or(fill)
    }
}

/// The largest difference of a channel from the background.
fn difference(generated: [u8; 3], background: [u8; 3]) -> u32 {
    let channels = generated.into_iter().zip(background);
    let differences = channels.map(|(generated, background)| generated.abs_diff(background));
    differences.max().map_or(0, u32::from)
}

/// How much a translation paints at a pixel, 0 to 255: its difference from the background, beyond what passes
/// for none; never less than what it takes to show that difference.
fn paint(generated: [u8; 3], background: [u8; 3]) -> u32 {
    let difference = difference(generated, background);
    match difference.saturating_sub(SHOWN) {
        0 => 0,
        beyond => (beyond * 255 / SHOWN).clamp(difference, 255),
    }
}

/// Whether the input's own alpha would hide what the translation paints.
fn is_hidden(generated: [u8; 3], alpha: u8, background: [u8; 3]) -> bool {
    alpha < 64 && difference(generated, background) > PAINT
}

/// A pixel that was generated on the background, with the transparency that a rule gives it, colour not
/// multiplied.
fn on_ground(generated: [u8; 3], alpha: u8, background: [u8; 3], rule: AlphaRule) -> [u8; 4] {
    let kept = u32::from(alpha);
    let alpha = match rule {
        AlphaRule::Redraw => kept.max(paint(generated, background)),
        AlphaRule::Keep | AlphaRule::Auto => kept,
    };
    let colour = |c: usize| {
        let behind = i32::from(background[c]);
        let offset = (i32::from(generated[c]) - behind) * 255;
        offset
            .checked_div(alpha.to_i32())
            .map_or(0, |o| (behind + o).clamp(0, 255).to_u8())
    };
    [colour(0), colour(1), colour(2), alpha.to_u8()]
}

/// A pixel with transparency of its own: colour on the background and alpha in [-1, 1] to colour not
/// multiplied by alpha.
fn straight([red, green, blue, alpha]: [f32; 4], background: [u8; 3]) -> [u8; 4] {
    let colour = |shown: f32, c: usize| {
        let [colour, alpha] = multiplied(shown, alpha, background[c]);
        to_byte(2.0 * (colour / alpha.max(1e-6)) - 1.0)
    };
    [
        colour(red, 0),
        colour(green, 1),
        colour(blue, 2),
        to_byte(alpha),
    ]
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
    fn paper_beside_a_drawing_stays_as_it_is_unless_the_style_has_a_ground() {
        const SIDE: u32 = 16;
        let is_line = |x: u32, y: u32| {
            let inside = (5..11).contains(&x) && (5..11).contains(&y);
            (4..12).contains(&x) && (4..12).contains(&y) && !inside
        };
        let drawing = picture(SIDE, SIDE, |x, y| {
            let value = if is_line(x, y) { 0 } else { 255 };
            [value, value, value, 255]
        });
        let plane = (SIDE * SIDE) as usize;
        // Painted blue where a rule says so.
        let painted = |is_painted: &dyn Fn(u32, u32) -> bool| {
            let framed = Framed::new(drawing.clone(), SIDE, [255; 3], Channels::Rgb);
            let mut square = framed.square();
            for pixel in 0..SIDE * SIDE {
                let (x, y) = (pixel % SIDE, pixel / SIDE);
                if is_painted(x, y) && !is_line(x, y) {
                    square[pixel as usize] = -1.0;
                    square[plane + pixel as usize] = -1.0;
                }
            }
            (framed, square)
        };
        let filter = Filter {
            reach: 0.6,
            edge: 15.0,
            edge_fake: 0.0,
        };
        let inside = (6 * SIDE + 6) as usize * 4;
        let beside = (6 * SIDE + 13) as usize * 4;
        let colours = |(framed, square): (Framed, Vec<f32>)| {
            let generated = framed.laid_back(&square, filter, AlphaRule::Keep);
            [inside, beside].map(|place| generated.rgba[place])
        };
        // A smear on the right side: put back; the fill stays, but for what is no change.
        let smear = |x: u32, y: u32| (4..12).contains(&y) && x > 4;
        assert_eq!(colours(painted(&smear)), [3, 255]);
        let (framed, square) = painted(&smear);
        assert_eq!(
            colours((framed.with_paper(PaperRule::Redraw), square)),
            [0, 0]
        );
        // A ground everywhere is the style's own.
        assert_eq!(colours(painted(&|_, _| true)), [3, 0]);
        // A third of what is enclosed is painted: all of it has the colour, but for what is no change.
        let third = |x: u32, y: u32| (5..7).contains(&x) && (5..11).contains(&y);
        let (framed, square) = painted(&third);
        let generated = framed.laid_back(&square, filter, AlphaRule::Keep).rgba;
        let pixels = [[5, 5], [6, 6], [10, 10]].map(|[x, y]| generated[4 * (y * 16 + x)]);
        // Of 255 what the little of 36 pixels, 0.72, is beside 12 changes of 2.
        assert_eq!(pixels, [7; 3]);
        assert_eq!(generated[beside], 255);
    }

    const FILTER: Filter = Filter {
        reach: 0.3125,
        edge: 15.0,
        edge_fake: 0.0,
    };

    #[test]
    fn a_stroke_gets_one_colour_at_any_size_and_its_edges_lie_between() {
        const SIDE: u32 = 32;
        // A black line that begins and ends in the middle of the square's rows 3 and 5, and a blue one in row
        // 11.
        let drawing = |scale: u32| {
            let height = 8 / scale;
            picture(SIDE * scale, SIDE * scale, |x, y| {
                let covered = (y * height + height).min(44);
                let covered = covered.saturating_sub((y * height).max(28));
                let black = 255 - (255 * covered / height).to_u8();
                if !(2..14).contains(&(x / scale)) {
                    [255; 4]
                } else if y / scale == 11 {
                    [0, 0, 255, 255]
                } else {
                    [black, black, black, 255]
                }
            })
        };
        // Along the lines the translation adds more and more red to black, and green to blue.
        let laid = |scale: u32, rule: PaperRule| {
            let framed = Framed::new(drawing(scale), SIDE, [255; 3], Channels::Rgb);
            let framed = framed.with_paper(rule);
            let mut square = framed.square();
            let side = SIDE as usize;
            for along in 0..12_usize {
                for (y, more) in [(3, 0.05), (4, 0.1), (5, 0.05)] {
                    square[y * side + along + 2] += more * along.to_f32();
                }
                square[(side + 11) * side + along + 2] += 0.1 + 0.05 * along.to_f32();
            }
            let laid = framed.laid_back(&square, FILTER, AlphaRule::Keep).rgba;
            move |x: u32, y: u32| {
                let at = 4 * (y * SIDE * scale + x) as usize;
                [laid[at], laid[at + 1], laid[at + 2]]
            }
        };
        let pixel = laid(1, PaperRule::Auto);
        let edge = pixel(2, 3);
        // The change of the black line is 0.417, that of the blue one 0.375; an edge has 0.6 of it.
        for x in 2..14 {
            assert_eq!(pixel(x, 4), [53, 0, 0]);
            assert_eq!([pixel(x, 3), pixel(x, 5)], [edge; 2]);
            assert_eq!(pixel(x, 11), [0, 48, 255]);
        }
        assert!((155..165).contains(&edge[0]) && edge[1] == 128, "{edge:?}");
        assert_eq!([pixel(2, 2), pixel(7, 7)], [[255; 3]; 2]);
        let large = laid(8, PaperRule::Auto);
        let (black, blue) = (large(16, 28), large(16, 88));
        for x in 16..112 {
            assert!((28..44).all(|y| large(x, y) == black), "{x}: {black:?}");
            assert!((88..96).all(|y| large(x, y) == blue), "{x}: {blue:?}");
        }
        assert!(
            (45..65).contains(&black[0]) && black[1..] == [0, 0],
            "{black:?}"
        );
        assert!(
            (44..52).contains(&blue[1]) && [blue[0], blue[2]] == [0, 255],
            "{blue:?}"
        );
        // The network's own differ.
        let drawn = laid(1, PaperRule::Redraw);
        assert_ne!(drawn(2, 4), drawn(13, 4));
    }

    #[test]
    fn a_thin_pen_is_widened_for_the_network_and_comes_back_thin() {
        const SIDE: u32 = 64;
        // The outline of a square, 2 of 512 pixels wide, on white and on nothing.
        let drawing = |paper: [u8; 4]| {
            picture(512, 512, |x, y| {
                let is_within = |rim: u32| {
                    let place = 100 + rim..412 - rim;
                    place.contains(&x) && place.contains(&y)
                };
                if is_within(0) && !is_within(2) {
                    [0, 0, 200, 255]
                } else {
                    paper
                }
            })
        };
        for paper in [[255; 4], [0; 4]] {
            let original = drawing(paper);
            let framed = || Framed::new(original.clone(), SIDE, [255; 3], Channels::Rgb);
            let square = framed().square();
            // A pixel of the outline in the colour of its pen, and two that it does not reach.
            let plane = (SIDE * SIDE) as usize;
            let pixel =
                |x: usize, y: usize| [0, 2].map(|c| to_byte(square[c * plane + y * 64 + x]));
            let line = pixel(12, 30);
            assert!(line[0] < 20 && line[1].abs_diff(200) < 10, "{line:?}");
            assert_eq!([pixel(8, 30), pixel(17, 30)], [[255; 2]; 2]);
            let same = framed().laid_back(&square, FILTER, AlphaRule::Auto);
            assert_eq!(same.rgba, original.straight_rgba());
            let faint = framed().with_paper(PaperRule::Redraw).square();
            assert!(to_byte(faint[30 * 64 + 12]) > 150);
        }
    }

    #[test]
    fn a_stroke_that_the_square_continues_beside_the_picture_has_the_edges_of_its_own() {
        // A black line with half covered edges from the upper to the lower side of a wide picture: above and
        // below it the square has its mirror image.
        let line = |x: u32| match x {
            30..34 => [0, 0, 0, 255],
            29 | 34 => [128, 128, 128, 255],
            _ => [255; 4],
        };
        let framed = Framed::new(picture(64, 16, |x, _| line(x)), 32, [255; 3], Channels::Rgb);
        let framed = framed.fitted(Fit::Mirror);
        let mut square = framed.square();
        for (at, value) in square.iter_mut().enumerate() {
            if at < 32 * 32 && (15..17).contains(&(at % 32)) {
                *value += 0.8;
            }
        }
        let laid = framed.laid_back(&square, FILTER, AlphaRule::Keep).rgba;
        let red = |x: usize| laid[4 * (64 * 8 + x)];
        assert_eq!([red(27), red(31)], [255, 102]);
        assert!((165..200).contains(&red(29)), "{}", red(29));
    }

    #[test]
    fn strokes_of_a_photograph_and_of_a_picture_with_fills_stay_as_the_network_paints_them() {
        const SIDE: u32 = 32;
        let photograph = |x: u32, y: u32, _: u32| [3 * x, 2 * y, x * y % 256].map(Whole::to_u8);
        // A red square with a black outline.
        let emoji = |x: u32, y: u32, scale: u32| {
            let is_within = |rim: u32| {
                let place = scale * (8 + rim)..scale * (24 - rim);
                place.contains(&x) && place.contains(&y)
            };
            match (is_within(0), is_within(2)) {
                (_, true) => [200, 40, 30],
                (true, false) => [0; 3],
                (false, false) => [255; 3],
            }
        };
        let kinds: [&dyn Fn(u32, u32, u32) -> [u8; 3]; 2] = [&photograph, &emoji];
        for (kind, scale) in kinds.into_iter().flat_map(|kind| [(kind, 1), (kind, 2)]) {
            let laid = |rule: PaperRule| {
                let original = picture(SIDE * scale, SIDE * scale, |x, y| {
                    let [red, green, blue] = kind(x, y, scale);
                    [red, green, blue, 255]
                });
                let framed = Framed::new(original, SIDE, [255; 3], Channels::Rgb);
                let mut square = framed.square();
                for (at, value) in square.iter_mut().enumerate() {
                    if *value < 0.8 {
                        *value = 0.01 * (at % 7).to_f32() - 0.5 * *value;
                    }
                }
                framed
                    .with_paper(rule)
                    .laid_back(&square, FILTER, AlphaRule::Keep)
            };
            assert!(
                laid(PaperRule::Auto) == laid(PaperRule::Redraw),
                "at {scale}"
            );
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
        // More than an accident: the rule that is meant for both shows it, and leaves alpha alone where
        // nothing is painted.
        assert_eq!(framed.back(&painted, AlphaRule::Auto), redrawn);
        // A pale fill is one, too: 38 of 255 from white.
        let pale: Vec<f32> = painted
            .iter()
            .map(|v| if *v < 0.0 { 0.7 } else { *v })
            .collect();
        let pale = framed.back(&pale, AlphaRule::Auto);
        assert_eq!(pale.hidden_share, 0.0);
        assert_eq!(pale.rgba[4 * (2 * 8 + 4)..][..4], [255, 255, 217, 255]);
        // One of 18 is hidden by the rule for both, not where it is asked for.
        let paler: Vec<f32> = painted
            .iter()
            .map(|v| if *v < 0.0 { 0.86 } else { *v })
            .collect();
        assert_eq!(alpha(&framed.back(&paler, AlphaRule::Auto), 4, 2), 0);
        let shown = framed.back(&paler, AlphaRule::Redraw);
        assert_eq!(shown.rgba[4 * (2 * 8 + 4)..][..4], [255, 255, 219, 127]);
        let nothing = framed.back(&vec![1.0; 192], AlphaRule::Auto);
        assert_eq!((alpha(&nothing, 4, 2), nothing.hidden_share), (0, 0.0));
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
            let generated = [colour, colour, colour, alpha].map(|v: f32| vec![v; 64]);
            let generated = sticker.back(&generated.concat(), AlphaRule::Keep);
            assert_eq!(generated.rgba[..4], pixel, "{colour} {alpha}");
        }
        let grey = framed(Channels::Grey);
        let back = grey.back(&vec![0.2; 64], AlphaRule::Redraw);
        assert!(
            back.rgba.chunks(4).all(|p| p[0] == p[1] && p[1] == p[2]),
            "{:?}",
            back.rgba
        );
    }

    #[test]
    fn a_large_picture_keeps_its_own_detail_and_takes_the_change_of_its_regions() {
        // A square of 4 px lines in 256 px, hollow, on transparency: at 16 px the lines are a grey quarter of
        // a pixel.
        let is_line = |x: u32, y: u32| {
            let ring = |v: u32| (64..192).contains(&v);
            ring(x) && ring(y) && [x, y].iter().any(|v| *v < 68 || *v >= 188)
        };
        let original = picture(256, 256, |x, y| {
            if is_line(x, y) {
                [0, 0, 0, 255]
            } else {
                [0; 4]
            }
        });
        let framed = || Framed::new(original.clone(), 16, [255; 3], Channels::Rgb);
        let square = framed().square();
        // No change: the picture itself, to the byte.
        let same = framed().laid_back(&square, FILTER, AlphaRule::Auto);
        assert_eq!(same.rgba, original.straight_rgba());
        // The inside is painted blue; the small picture's lines are lost.
        let painted: Vec<f32> = (0..768)
            .map(|at| {
                let (plane, y, x) = (at / 256, at / 16 % 16, at % 16);
                let is_inside = (4..12).contains(&x) && (4..12).contains(&y);
                if is_inside && plane < 2 { -0.6 } else { 1.0 }
            })
            .collect();
        let out = framed().laid_back(&painted, FILTER, AlphaRule::Auto);
        let pixel = |x: usize, y: usize| &out.rgba[4 * (256 * y + x)..][..4];
        for (x, y) in [(72, 72), (128, 128), (180, 100)] {
            let [red, green, blue, alpha] = pixel(x, y) else {
                panic!("four bytes")
            };
            assert!(
                *red < 90 && *green < 90 && *blue > 240 && *alpha == 255,
                "{x}, {y}: {:?}",
                pixel(x, y)
            );
        }
        assert!(
            pixel(65, 128)[..3].iter().all(|v| *v < 60),
            "{:?}",
            pixel(65, 128)
        );
        for (x, y) in [(10, 10), (56, 128), (200, 128), (128, 250)] {
            assert!(pixel(x, y)[3] < 30, "{x}, {y}: {:?}", pixel(x, y));
        }
    }
}
