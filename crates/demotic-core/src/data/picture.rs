//! One picture: decoded, fitted to a square, composed on a background.
//!
//! Pixels are RGBA, 8 bits, **premultiplied** by alpha: what resampling and composing need.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbaImage};

use super::colour::{Meaning, check_packed_profile};
use super::{DataError, foreign, jpeg, tif, whole};
use crate::number::Whole;
use crate::settings::{Channels, Fit};

/// Most pixels of a picture that is decoded; decided from its header, before any memory is taken.
pub(crate) const MAX_PICTURE_PIXELS: u64 = 64 << 20;

/// Most bytes of a picture's file: pixels of 8 bytes, not packed at all.
const MAX_FILE_BYTES: u64 = 8 * MAX_PICTURE_PIXELS;

/// Bytes of a PNG before its second chunk.
pub(crate) const PNG_HEADER_BYTES: usize = 33;
/// The second chunk of a PNG that this program generated, without its checksum: text, `Software`, `demotic`.
pub(crate) const OWN_MARK: &[u8; 24] = b"\0\0\0\x10tEXtSoftware\0demotic";

/// A PNG with two chunks behind its header: that demotic generated it, so that it is not taken for a picture
/// to train on, and that its colours are sRGB.
#[doc(hidden)]
#[must_use]
pub fn signed_png(png: &[u8]) -> Vec<u8> {
    let (header, rest) = png.split_at(PNG_HEADER_BYTES.min(png.len()));
    let mut signed = header.to_vec();
    for chunk in [&OWN_MARK[..], b"\0\0\0\x01sRGB\0"] {
        signed.extend(chunk);
        signed.extend(crc32fast::hash(&chunk[4..]).to_be_bytes());
    }
    signed.extend(rest);
    signed
}

/// Refuses what is empty, and what has more pixels than are read.
fn check_size(width: u32, height: u32, max_pixels: u64) -> Result<(), String> {
    if u64::from(width) * u64::from(height) > max_pixels {
        return Err(format!(
            "{width} x {height} pixels; at most {} megapixels are read: make it smaller",
            max_pixels >> 20
        ));
    }
    if width == 0 || height == 0 {
        return Err(format!("{width} x {height} pixels: it is empty"));
    }
    Ok(())
}

/// The bytes of a picture's file.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, DataError> {
    let fail = DataError::io("read picture", path);
    let size = match std::fs::metadata(path) {
        Ok(meta) => meta.len(),
        Err(source) => return Err(fail(source)),
    };
    if size > MAX_FILE_BYTES {
        return Err(DataError::Picture {
            problem: format!("a file of {size} bytes; at most {MAX_FILE_BYTES} are read"),
            path: path.to_path_buf(),
        });
    }
    std::fs::read(path).map_err(fail)
}

/// A picture of any size: RGBA, 8 bits a channel, rows from the top, colour premultiplied by alpha.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width_px: u32,
    /// Rows.
    pub height_px: u32,
    /// `width_px * height_px * 4` bytes; colour never exceeds alpha.
    pub premultiplied: Vec<u8>,
}

impl Picture {
    /// Reads a PNG, JPEG, WebP, GIF (its first frame), BMP or TIFF (its first picture) file at its own size;
    /// grey is widened to colour, 16 bits narrowed to 8, a camera's turn (EXIF orientation) applied. Colours
    /// become sRGB: by the file's ICC profile for RGB, grey or, in JPEG and TIFF, CMYK, or by PNG's gamma and
    /// chromaticities; without either they are sRGB.
    ///
    /// # Errors
    /// [`DataError::Io`] if the file cannot be read; [`DataError::Picture`] if it is no picture, is cut off
    /// or has more than 64 Mi pixels.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        Self::decode(&read_file(path)?, path)
    }

    /// Like [`Picture::open`], from memory; `origin` names the picture in messages.
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn decode(bytes: &[u8], origin: &Path) -> Result<Self, DataError> {
        Self::decoded(bytes, MAX_PICTURE_PIXELS).map_err(|problem| DataError::Picture {
            problem,
            path: origin.to_path_buf(),
        })
    }

    /// [`Picture::decode`] of at most `max_pixels`.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn decoded(bytes: &[u8], max_pixels: u64) -> Result<Self, String> {
        let mut reader = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|source| source.to_string())?;
        let mut limits = image::Limits::default();
        // Decoded (up to 16 bytes a pixel) and working memory: the pixel limit below is the one a person
        // meets.
        limits.max_alloc = Some(max_pixels * 20);
        reader.limits(limits);
        let format = reader.format();
        if format == Some(ImageFormat::Tiff) || tif::is_big(bytes) {
            let file = tif::File::open(bytes)?;
            check_size(file.width, file.height, max_pixels)?;
            return Ok(file.srgb(max_pixels)?.into());
        }
        if format == Some(ImageFormat::Png) {
            check_packed_profile(bytes)?;
        }
        let mut decoder = reader.into_decoder().map_err(|source| {
            const EXPECTED: &str = "expected a PNG, JPEG, WebP, GIF, BMP or TIFF file";
            match foreign::named(bytes) {
                Some(words) => format!("{EXPECTED}; {words}"),
                // Some decoders end their words with a line.
                None => format!(
                    "{EXPECTED}, got {} bytes of something else or a damaged one ({})",
                    bytes.len(),
                    source.to_string().trim_end()
                ),
            }
        })?;
        let (width, height) = decoder.dimensions();
        check_size(width, height, max_pixels)?;
        if format == Some(ImageFormat::Jpeg) {
            jpeg::check(bytes)?;
        }
        let profile = decoder
            .icc_profile()
            .map_err(|source| format!("its colour profile is damaged ({source})"))?;
        let meaning = Meaning::of(format, bytes, profile);
        let orientation = decoder
            .orientation()
            .unwrap_or(image::metadata::Orientation::NoTransforms);
        let inks = match (format, &meaning) {
            // The decoder's own way from inks to colours knows no profile.
            (Some(ImageFormat::Jpeg), Meaning::Icc(_)) => jpeg::inks(bytes)?,
            _ => None,
        };
        let inks = inks.map(|inks| meaning.inks_to_srgb(&inks, width, height));
        let colours = match inks.transpose()?.flatten() {
            Some(colours) => colours,
            None => meaning.to_srgb(
                DynamicImage::from_decoder(decoder)
                    .map_err(|source| format!("it is damaged or cut off ({source})"))?,
            )?,
        };
        if !whole::is_whole(format, bytes) {
            let name = format.map_or("file", |format| format.extensions_str()[0]);
            return Err(format!(
                "it is damaged or cut off: a {} without its end; copy or save it again",
                name.to_uppercase()
            ));
        }
        let mut colours = DynamicImage::ImageRgba8(colours);
        colours.apply_orientation(orientation);
        Ok(colours.into_rgba8().into())
    }

    /// Fits the picture into a square of `size_px` without changing its proportions: the longer side fills
    /// the square, the rest stays transparent, shared evenly.
    ///
    /// Resampled with a Catmull-Rom filter whose support grows when shrinking, on premultiplied colour, so
    /// that transparent pixels bleed no colour.
    ///
    /// # Panics
    /// If `size_px` is 0.
    #[must_use]
    pub fn fit(&self, size_px: u32) -> Self {
        assert!(size_px > 0, "a picture cannot be fitted to 0 pixels");
        if self.width_px == size_px && self.height_px == size_px {
            return self.clone();
        }
        let [left, top, width, height] = self.place_in(size_px);
        let resized = self.resized(width, height);
        let mut premultiplied = vec![0; size_px as usize * size_px as usize * 4];
        for y in 0..height as usize {
            let row = width as usize * 4;
            let from = y * row;
            let to = ((y + top as usize) * size_px as usize + left as usize) * 4;
            premultiplied[to..to + row].copy_from_slice(&resized.premultiplied[from..from + row]);
        }
        Self {
            width_px: size_px,
            height_px: size_px,
            premultiplied,
        }
    }

    /// Brings the picture into a square of `size_px`, as training sees it.
    ///
    /// # Panics
    /// If `size_px` is 0.
    #[must_use]
    pub(crate) fn fitted(&self, size_px: u32, fit: Fit) -> Self {
        match fit {
            Fit::Auto => self.continued(size_px).unwrap_or_else(|| self.fit(size_px)),
            Fit::Pad => self.fit(size_px),
            Fit::Mirror => self.mirrored(size_px),
            Fit::Crop => self.middle().resized(size_px, size_px),
        }
    }

    /// Like [`Picture::fitted`] for a picture that is shown as a whole afterwards: with [`Fit::Crop`] it is
    /// mirrored.
    ///
    /// # Panics
    /// If `size_px` is 0.
    #[must_use]
    pub(crate) fn fitted_whole(&self, size_px: u32, fit: Fit) -> Self {
        match fit {
            Fit::Auto | Fit::Pad => self.fitted(size_px, fit),
            Fit::Mirror | Fit::Crop => self.mirrored(size_px),
        }
    }

    /// Like [`Picture::fit`], with the rest of the square continuing the picture: on either side in the
    /// colour of its edge there where that is plain, else as its mirror image. `None` where that is what
    /// [`Picture::fit`] does: there is no rest, or the edges are transparent.
    pub(super) fn continued(&self, size_px: u32) -> Option<Self> {
        let [left, top, width, height] = self.place_in(size_px);
        if width == size_px && height == size_px {
            return None;
        }
        let mut square = self.mirrored(size_px);
        let pixels = square.premultiplied.as_chunks_mut::<4>().0;
        let is_wide = height < size_px;
        let (start, length) = if is_wide {
            (top, height)
        } else {
            (left, width)
        };
        let end = start + length;
        let place = |along: u32, across: u32| {
            let (row, column) = if is_wide {
                (across, along)
            } else {
                (along, across)
            };
            (row * size_px + column) as usize
        };
        let mut is_clear = true;
        for (edge, rest) in [(start, 0..start), (end - 1, end..size_px)] {
            let line: Vec<[u8; 4]> = (0..size_px)
                .map(|along| pixels[place(along, edge)])
                .collect();
            let plain = plain_colour(&line);
            is_clear &= plain.is_some_and(|[.., alpha]| alpha == 0);
            let Some(colour) = plain else { continue };
            for across in rest {
                for along in 0..size_px {
                    pixels[place(along, across)] = colour;
                }
            }
        }
        (!is_clear).then_some(square)
    }

    /// Like [`Picture::fit`], with the rest of the square filled by the picture's mirror images.
    fn mirrored(&self, size_px: u32) -> Self {
        let [left, top, width, height] = self.place_in(size_px);
        let resized = self.resized(width, height);
        let reflected = |place: u32, start: u32, length: u32| {
            let place = (i64::from(place) - i64::from(start)).rem_euclid(2 * i64::from(length));
            place.min(2 * i64::from(length) - 1 - place).to_usize()
        };
        let mut premultiplied = Vec::with_capacity(size_px as usize * size_px as usize * 4);
        for y in 0..size_px {
            let row = reflected(y, top, height) * width as usize;
            for x in 0..size_px {
                let pixel = 4 * (row + reflected(x, left, width));
                premultiplied.extend(&resized.premultiplied[pixel..pixel + 4]);
            }
        }
        Self {
            width_px: size_px,
            height_px: size_px,
            premultiplied,
        }
    }

    /// The largest square in the middle.
    fn middle(&self) -> Self {
        let side = self.width_px.min(self.height_px);
        let [left, top] =
            [self.width_px, self.height_px].map(|length| (length - side) as usize / 2);
        let side = side as usize;
        let mut premultiplied = Vec::with_capacity(4 * side * side);
        for y in top..top + side {
            let start = 4 * (y * self.width_px as usize + left);
            premultiplied.extend(&self.premultiplied[start..start + 4 * side]);
        }
        Self {
            width_px: side.to_u32(),
            height_px: side.to_u32(),
            premultiplied,
        }
    }

    /// Where [`Picture::fit`] puts the picture in a square: left, top, width, height.
    #[must_use]
    pub fn place_in(&self, size_px: u32) -> [u32; 4] {
        let longer = f64::from(self.width_px.max(self.height_px));
        let side = |px: u32| {
            (f64::from(px) / longer * f64::from(size_px))
                .round()
                .to_u32()
                .max(1)
        };
        let (width, height) = (side(self.width_px), side(self.height_px));
        [(size_px - width) / 2, (size_px - height) / 2, width, height]
    }

    /// The picture at another size, proportions ignored; filter as in [`Picture::fit`].
    ///
    /// # Panics
    /// If a side is 0.
    #[must_use]
    pub fn resized(&self, width_px: u32, height_px: u32) -> Self {
        assert!(
            width_px > 0 && height_px > 0,
            "a picture cannot be resized to 0 pixels"
        );
        if (width_px, height_px) == (self.width_px, self.height_px) {
            return self.clone();
        }
        let source = RgbaImage::from_raw(self.width_px, self.height_px, self.premultiplied.clone())
            .expect("a picture holds width * height * 4 bytes");
        let filter = image::imageops::FilterType::CatmullRom;
        let mut premultiplied =
            image::imageops::resize(&source, width_px, height_px, filter).into_raw();
        for pixel in premultiplied.as_chunks_mut::<4>().0 {
            // The filter overshoots at edges: colour stays within alpha.
            let alpha = pixel[3];
            for colour in &mut pixel[..3] {
                *colour = (*colour).min(alpha);
            }
        }
        Self {
            width_px,
            height_px,
            premultiplied,
        }
    }

    /// The pixels with colour not multiplied by alpha, as PNG holds them; fully transparent ones are black.
    #[must_use]
    pub fn straight_rgba(&self) -> Vec<u8> {
        let mut pixels = self.premultiplied.clone();
        for pixel in pixels.as_chunks_mut::<4>().0 {
            let alpha = u32::from(pixel[3]);
            for colour in &mut pixel[..3] {
                *colour = (u32::from(*colour) * 255 + alpha / 2)
                    .checked_div(alpha)
                    .unwrap_or(0)
                    .min(255)
                    .to_u8();
            }
        }
        pixels
    }

    /// Whether all pixels show one colour on a background, within `within` of 255.
    #[must_use]
    pub fn is_plain(&self, background: [u8; 3], within: u8) -> bool {
        is_plain(&self.premultiplied, background, within)
    }

    /// The picture with a longer side of `longer_px`, proportions kept; filter as in [`Picture::fit`].
    ///
    /// # Panics
    /// If `longer_px` is 0.
    #[must_use]
    pub fn with_longer_side(&self, longer_px: u32) -> Self {
        let [_, _, width, height] = self.place_in(longer_px);
        self.resized(width, height)
    }

    /// The picture on an opaque background, as the network sees it.
    ///
    /// # Shapes
    /// Returns `[3, height_px, width_px]`, values in [-1, 1].
    #[must_use]
    pub fn compose(&self, background: [u8; 3]) -> Vec<f32> {
        let mut planes = vec![0.0; self.premultiplied.len() / 4 * 3];
        compose_into(&self.premultiplied, background, &mut planes);
        planes
    }

    /// The picture as a network of these channels sees it: see `Channels::write`.
    ///
    /// # Shapes
    /// Returns `[c, height_px, width_px]`, values in [-1, 1].
    #[must_use]
    pub fn planes(&self, channels: Channels, background: [u8; 3]) -> Vec<f32> {
        let mut planes = vec![0.0; self.premultiplied.len() / 4 * channels.count()];
        channels.write(&self.premultiplied, background, &mut planes);
        planes
    }
}

/// Most that a pixel of a plain edge differs from its colour, of 255.
const PLAIN: u8 = 16;

/// The colour of a line of pixels where nine in ten have it: the median of each channel.
fn plain_colour(line: &[[u8; 4]]) -> Option<[u8; 4]> {
    let median = [0, 1, 2, 3].map(|c| {
        let mut values: Vec<u8> = line.iter().map(|pixel| pixel[c]).collect();
        values.sort_unstable();
        values[values.len() / 2]
    });
    let has_it = |pixel: &&[u8; 4]| {
        pixel
            .iter()
            .zip(median)
            .all(|(a, b)| a.abs_diff(b) <= PLAIN)
    };
    let [.., alpha] = median;
    // Medians of channels are of different pixels: colour stays within alpha.
    (10 * line.iter().filter(has_it).count() >= 9 * line.len())
        .then(|| median.map(|v| v.min(alpha)))
}

/// Takes colour that is not multiplied by alpha.
impl From<RgbaImage> for Picture {
    fn from(straight: RgbaImage) -> Self {
        let (width_px, height_px) = straight.dimensions();
        let mut premultiplied = straight.into_raw();
        for pixel in premultiplied.as_chunks_mut::<4>().0 {
            let alpha = u32::from(pixel[3]);
            for colour in &mut pixel[..3] {
                *colour = ((u32::from(*colour) * alpha + 127) / 255).to_u8();
            }
        }
        Self {
            width_px,
            height_px,
            premultiplied,
        }
    }
}

/// [`Picture::is_plain`] of premultiplied pixels.
pub(super) fn is_plain(premultiplied: &[u8], background: [u8; 3], within: u8) -> bool {
    let mut range = [[255_u32, 0]; 3];
    for pixel in premultiplied.as_chunks::<4>().0 {
        let uncovered = u32::from(255 - pixel[3]);
        for (c, [low, high]) in range.iter_mut().enumerate() {
            let shown = u32::from(pixel[c]) + (uncovered * u32::from(background[c]) + 127) / 255;
            (*low, *high) = ((*low).min(shown), (*high).max(shown));
        }
    }
    range
        .iter()
        .all(|[low, high]| high.saturating_sub(*low) <= u32::from(within))
}

/// Shares of red, green and blue in brightness (ITU-R BT.601).
pub(crate) const BRIGHTNESS: [f32; 3] = [0.299, 0.587, 0.114];

impl Channels {
    /// Premultiplied RGBA as planes, each value in [-1, 1].
    ///
    /// # Shapes
    /// `premultiplied`: `[H, W, 4]`; `planes`: `[c, H, W]`
    pub(crate) fn write(self, premultiplied: &[u8], background: [u8; 3], planes: &mut [f32]) {
        if self == Self::Rgb {
            return compose_into(premultiplied, background, planes);
        }
        let pixels = premultiplied.as_chunks::<4>().0;
        debug_assert_eq!(planes.len(), pixels.len() * self.count());
        for (i, pixel) in pixels.iter().enumerate() {
            self.write_pixel(pixel.map(f32::from), background, i, pixels.len(), planes);
        }
    }

    /// What a network sees where nothing is drawn: `[c]` in [-1, 1].
    pub(crate) fn ground(self, background: [u8; 3]) -> Vec<f32> {
        let mut ground = vec![0.0; self.count()];
        self.write(&[0; 4], background, &mut ground);
        ground
    }

    /// One pixel, number `place` of `count`: premultiplied RGBA in [0, 255].
    pub(crate) fn write_pixel(
        self,
        pixel: [f32; 4],
        background: [u8; 3],
        place: usize,
        count: usize,
        planes: &mut [f32],
    ) {
        let on_ground =
            |c: usize| pixel[c] + (255.0 - pixel[3]) * (f32::from(background[c]) / 255.0);
        match self {
            Self::Rgb | Self::Rgba => {
                for c in 0..3 {
                    planes[c * count + place] = on_ground(c) / 127.5 - 1.0;
                }
                if self == Self::Rgba {
                    planes[3 * count + place] = pixel[3] / 127.5 - 1.0;
                }
            }
            Self::Grey => {
                let grey: f32 = (0..3).map(|c| BRIGHTNESS[c] * on_ground(c)).sum();
                planes[place] = grey / 127.5 - 1.0;
            }
        }
    }

    /// What a person sees of a network's pictures: laid on the background, grey in three equal planes.
    ///
    /// # Shapes
    /// `pictures`: `[n, c, H, W]` in [-1, 1], `plane` is `H * W`; returns `[n, 3, H, W]` in [-1, 1].
    #[must_use]
    pub fn shown(self, pictures: &[f32], plane: usize, background: [u8; 3]) -> Vec<f32> {
        let each = pictures.chunks_exact(self.count() * plane);
        match self {
            Self::Rgb => pictures.to_vec(),
            Self::Grey => each.flat_map(|picture| picture.repeat(3)).collect(),
            Self::Rgba => each
                .flat_map(|picture| {
                    (0..3 * plane).map(|i| {
                        let (c, alpha) = (i / plane, picture[3 * plane + i % plane]);
                        let [colour, alpha] = multiplied(picture[i], alpha, background[c]);
                        2.0 * (colour + (1.0 - alpha) * f32::from(background[c]) / 255.0) - 1.0
                    })
                })
                .collect(),
        }
    }
}

/// Colour multiplied by alpha, and alpha, in [0, 1], of what [`Channels::Rgba`] has of a pixel in [-1, 1]: a
/// colour on the background, and alpha. Colour below nothing and beyond alpha means nothing.
pub(crate) fn multiplied(shown: f32, alpha: f32, background: u8) -> [f32; 2] {
    let alpha = f32::midpoint(alpha, 1.0).clamp(0.0, 1.0);
    let colour = f32::midpoint(shown, 1.0) - (1.0 - alpha) * f32::from(background) / 255.0;
    [colour.clamp(0.0, alpha), alpha]
}

/// Composes premultiplied RGBA `[H, W, 4]` on `background` into `planes` `[3, H, W]` in [-1, 1]:
/// `(colour + (255 - alpha) / 255 * background) / 127.5 - 1`.
pub(crate) fn compose_into(premultiplied: &[u8], background: [u8; 3], planes: &mut [f32]) {
    let pixels = premultiplied.as_chunks::<4>().0;
    debug_assert_eq!(planes.len(), pixels.len() * 3);
    let background = background.map(|v| f32::from(v) / 255.0);
    let (red, rest) = planes.split_at_mut(pixels.len());
    let (green, blue) = rest.split_at_mut(pixels.len());
    for (i, pixel) in pixels.iter().enumerate() {
        let uncovered = f32::from(255 - pixel[3]);
        let value = |c: usize| (f32::from(pixel[c]) + uncovered * background[c]) / 127.5 - 1.0;
        red[i] = value(0);
        green[i] = value(1);
        blue[i] = value(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUND: [u8; 3] = [255, 204, 51];

    #[test]
    fn a_long_picture_fills_the_square_by_its_mirror_or_its_middle() {
        let value = |i: u32| [i.to_u8() * 10, 0, 0, 255];
        let row = Picture {
            width_px: 6,
            height_px: 2,
            premultiplied: (0..12).flat_map(value).collect(),
        };
        let reds = |picture: &Picture| -> Vec<u8> {
            assert_eq!(picture.width_px, picture.height_px);
            picture.premultiplied.iter().step_by(4).copied().collect()
        };
        let [first, second]: [[u8; 6]; 2] = [[0, 10, 20, 30, 40, 50], [60, 70, 80, 90, 100, 110]];
        // The two rows stand in the middle; above and below them they come again, the nearest first.
        let expected = [second, first, first, second, second, first];
        assert_eq!(
            reds(&row.fitted(6, Fit::Mirror)),
            [second, first, first, second, second, first].concat()
        );
        assert_eq!(expected[2..4], [first, second]);
        assert_eq!(reds(&row.fitted(2, Fit::Crop)), [20, 30, 80, 90]);
        assert_eq!(row.fitted_whole(6, Fit::Crop), row.fitted(6, Fit::Mirror));
        let square = row.fitted(2, Fit::Crop);
        for fit in [Fit::Auto, Fit::Pad, Fit::Mirror, Fit::Crop] {
            assert_eq!(square.fitted(2, fit), square, "a square stays as it is");
        }
    }

    #[test]
    fn the_rest_of_a_square_continues_the_picture() {
        // Twenty columns of four rows: plain above but for one pixel in ten, colourful below.
        let picture = |above: [u8; 4]| Picture {
            width_px: 20,
            height_px: 4,
            premultiplied: (0..80_u8)
                .flat_map(|i| match (i / 20, i % 20) {
                    (0, 3 | 4) => [0, 0, 0, 255],
                    (0, _) => above,
                    (_, column) => [12 * column, 0, 0, 255],
                })
                .collect(),
        };
        let sky = picture([90, 160, 240, 255]);
        let square = sky.fitted(20, Fit::Auto);
        let pixels = square.premultiplied.as_chunks::<4>().0;
        assert!(
            pixels[..8 * 20]
                .iter()
                .all(|pixel| *pixel == [90, 160, 240, 255])
        );
        let mirrored = sky.fitted(20, Fit::Mirror);
        assert_eq!(
            square.premultiplied[8 * 80..],
            mirrored.premultiplied[8 * 80..]
        );
        assert_eq!(sky.fitted_whole(20, Fit::Auto), square);
        // A sticker stays one.
        let mut sticker = picture([0; 4]);
        sticker.premultiplied[..80].fill(0);
        sticker.premultiplied[240..].fill(0);
        assert_eq!(sticker.continued(20), None);
        assert_eq!(sticker.fitted(20, Fit::Auto), sticker.fit(20));
        // Upright, the same at the sides.
        let turned = |picture: &Picture| Picture {
            width_px: picture.height_px,
            height_px: picture.width_px,
            premultiplied: (0..picture.width_px * picture.height_px)
                .flat_map(|i| {
                    let at = i % picture.height_px * picture.width_px + i / picture.height_px;
                    let at = 4 * at as usize;
                    picture.premultiplied[at..at + 4].to_vec()
                })
                .collect(),
        };
        assert_eq!(turned(&sky).fitted(20, Fit::Auto), turned(&square));
        // A line that is plain in nine pixels of ten, and one of eight.
        let line = |odd: usize| {
            [
                vec![[200, 10, 10, 255]; 20 - odd],
                vec![[0, 0, 9, 255]; odd],
            ]
            .concat()
        };
        assert_eq!(plain_colour(&line(2)), Some([200, 10, 10, 255]));
        assert_eq!(plain_colour(&line(3)), None);
    }

    #[test]
    fn what_is_shown_of_any_channels_is_what_a_composed_picture_shows() {
        let premultiplied: Vec<u8> = (0..64_u32)
            .flat_map(|i| {
                let alpha = (i * 4).to_u8();
                [alpha / 2, alpha / 3, (i % 3).to_u8() * (alpha / 3), alpha]
            })
            .collect();
        let picture = Picture {
            width_px: 8,
            height_px: 8,
            premultiplied,
        };
        let composed = picture.compose(GROUND);
        for channels in [Channels::Rgb, Channels::Rgba, Channels::Grey] {
            let planes = picture.planes(channels, GROUND);
            assert_eq!(planes.len(), 64 * channels.count());
            let shown = channels.shown(&planes, 64, GROUND);
            for i in 0..3 * 64 {
                let expected = if channels == Channels::Grey {
                    (0..3)
                        .map(|c| BRIGHTNESS[c] * composed[c * 64 + i % 64])
                        .sum()
                } else {
                    composed[i]
                };
                assert!(
                    (shown[i] - expected).abs() < 1e-5,
                    "{channels:?} {i}: {} {expected}",
                    shown[i]
                );
            }
        }
    }
}
