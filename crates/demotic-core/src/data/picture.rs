//! One picture: decoded or drawn, fitted to a square, composed on a background.
//!
//! Pixels are RGBA, 8 bits, **premultiplied** by alpha: what resampling and composing need.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{ImageDecoder, ImageReader, RgbaImage};
use resvg::{tiny_skia, usvg};
use serde::{Deserialize, Serialize};

use super::DataError;

/// Most pixels of a picture that is decoded; decided from its header, before any memory is taken.
pub const MAX_PICTURE_PIXELS: u64 = 64 << 20;
/// Most bytes of a drawing (SVG) that is parsed.
const MAX_DRAWING_BYTES: usize = 16 << 20;

/// Largest radius or coordinate of an arc in a drawing: found by fuzzing, one of 1e90 took all memory.
const MAX_ARC: f64 = 1e9;

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

/// What a file holds, told by its name's ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Svg,
    Raster,
}

impl Format {
    /// `None` for anything that is not a picture.
    pub(crate) fn of_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "svg" => Some(Self::Svg),
            "png" | "jpg" | "jpeg" | "webp" => Some(Self::Raster),
            _ => None,
        }
    }
}

/// Where a drawing's bytes are.
#[derive(Debug, Clone)]
pub(crate) enum Bytes {
    Memory(Vec<u8>),
    File(PathBuf),
}

/// A picture before it is decoded.
#[derive(Debug, Clone)]
pub(crate) struct Drawing {
    pub(crate) bytes: Bytes,
    pub(crate) format: Format,
    /// File ending, without the point.
    pub(crate) extension: String,
    /// The file, or the archive and the entry in it: for messages.
    pub(crate) origin: PathBuf,
}

impl Drawing {
    pub(crate) fn svg(text: String, origin: PathBuf) -> Self {
        Self {
            bytes: Bytes::Memory(text.into_bytes()),
            format: Format::Svg,
            extension: "svg".into(),
            origin,
        }
    }

    pub(crate) fn read(&self) -> Result<std::borrow::Cow<'_, [u8]>, DataError> {
        match &self.bytes {
            Bytes::Memory(bytes) => Ok(bytes.as_slice().into()),
            Bytes::File(path) => std::fs::read(path)
                .map(Into::into)
                .map_err(DataError::io("read picture", path)),
        }
    }

    /// Decodes and fits into a square of `size_px`: see [`Picture::fit`].
    pub(crate) fn rasterise(&self, size_px: u32) -> Result<Picture, DataError> {
        let bytes = self.read()?;
        match self.format {
            Format::Svg => Picture::draw(&bytes, size_px, &self.origin),
            Format::Raster => Ok(Picture::decode(&bytes, &self.origin)?.fit(size_px)),
        }
    }
}

impl Picture {
    /// Reads a PNG, JPEG or WebP file at its own size; grey is widened to colour, 16 bits narrowed to 8, a camera's
    /// turn (EXIF orientation) applied.
    ///
    /// # Errors
    /// [`DataError::Io`] if the file cannot be read; [`DataError::Picture`] if it is no picture, is cut off or has more
    /// than [`MAX_PICTURE_PIXELS`].
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let bytes = std::fs::read(path).map_err(DataError::io("read picture", path))?;
        Self::decode(&bytes, path)
    }

    /// Like [`Picture::open`], and draws SVG as well: at the size it states, enlarged where its longer side is below
    /// `least_px`.
    ///
    /// # Errors
    /// As [`Picture::open`]; [`DataError::Picture`] also where the name ends in none of png, jpg, jpeg, webp and svg.
    pub fn open_or_draw(path: &Path, least_px: u32) -> Result<Self, DataError> {
        match path
            .extension()
            .and_then(|e| Format::of_extension(e.to_str()?))
        {
            Some(Format::Raster) => Self::open(path),
            Some(Format::Svg) => {
                let bytes = std::fs::read(path).map_err(DataError::io("read picture", path))?;
                draw_svg_whole(&bytes, least_px, path)
            }
            None => Err(DataError::Picture {
                problem: "the name ends in none of png, jpg, jpeg, webp, svg".into(),
                path: path.to_path_buf(),
            }),
        }
    }

    /// Like [`Picture::open`], from memory; `origin` names the picture in messages.
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn decode(bytes: &[u8], origin: &Path) -> Result<Self, DataError> {
        let fail = |problem: String| DataError::Picture {
            problem,
            path: origin.to_path_buf(),
        };
        let mut reader = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(DataError::io("read picture", origin))?;
        let mut limits = image::Limits::default();
        // Decoded (up to 16 bytes a pixel) and working memory: the pixel limit below is the one a person meets.
        limits.max_alloc = Some(MAX_PICTURE_PIXELS * 20);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(|source| {
            fail(format!(
                "expected a PNG, JPEG or WebP file, got {} bytes of something else or a damaged one ({})",
                bytes.len(),
                // Some decoders end their words with a line.
                source.to_string().trim_end()
            ))
        })?;
        let (width, height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > MAX_PICTURE_PIXELS {
            return Err(fail(format!(
                "{width} x {height} pixels; at most {} megapixels are read: make it smaller",
                MAX_PICTURE_PIXELS >> 20
            )));
        }
        if width == 0 || height == 0 {
            return Err(fail(format!("{width} x {height} pixels: it is empty")));
        }
        let orientation = decoder
            .orientation()
            .unwrap_or(image::metadata::Orientation::NoTransforms);
        let mut decoded = image::DynamicImage::from_decoder(decoder)
            .map_err(|source| fail(format!("it is damaged or cut off ({source})")))?;
        decoded.apply_orientation(orientation);
        let mut pixels = decoded.into_rgba8();
        for pixel in pixels.pixels_mut() {
            let alpha = u32::from(pixel.0[3]);
            for colour in &mut pixel.0[..3] {
                *colour = ((u32::from(*colour) * alpha + 127) / 255) as u8;
            }
        }
        Ok(Self {
            width_px: pixels.width(),
            height_px: pixels.height(),
            premultiplied: pixels.into_raw(),
        })
    }

    /// Draws an SVG document from memory into a square, proportions kept, centred. References to other files are not
    /// followed; `origin` names it in messages.
    pub(crate) fn draw(bytes: &[u8], size_px: u32, origin: &Path) -> Result<Self, DataError> {
        let tree = parse_svg(bytes, origin)?;
        let size = tree.size();
        let side = size_px as f32;
        let scale = side / size.width().max(size.height());
        let shift = |length: f32| (side - length * scale) / 2.0;
        draw_tree(
            &tree,
            [size_px, size_px],
            scale,
            [shift(size.width()), shift(size.height())],
            origin,
        )
    }

    /// Fits the picture into a square of `size_px` without changing its proportions: the longer side fills the
    /// square, the rest stays transparent, shared evenly.
    ///
    /// Resampled with a Catmull-Rom filter whose support grows when shrinking, on premultiplied colour, so that
    /// transparent pixels bleed no colour.
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

    /// Where [`Picture::fit`] puts the picture in a square: left, top, width, height.
    #[must_use]
    pub fn place_in(&self, size_px: u32) -> [u32; 4] {
        let longer = f64::from(self.width_px.max(self.height_px));
        let side = |px: u32| ((f64::from(px) / longer * f64::from(size_px)).round() as u32).max(1);
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
                    .min(255) as u8;
            }
        }
        pixels
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

/// Colour channels of a picture as a network sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Red, green, blue on the background; grey pictures are widened.
    #[default]
    Rgb,
    /// Red, green, blue on the background, and alpha: transparency is drawn. Colour multiplied by alpha is what the first
    /// three planes show less the background's share; so a line is a line to the network, as it is to the eye, where
    /// multiplied colour alone has black lines on nothing all 0.
    Rgba,
    /// Brightness on the background.
    Grey,
}

/// Shares of red, green and blue in brightness (ITU-R BT.601).
const BRIGHTNESS: [f32; 3] = [0.299, 0.587, 0.114];

impl Channels {
    /// Planes of a picture.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Rgba => 4,
            Self::Grey => 1,
        }
    }

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

/// Colour multiplied by alpha, and alpha, in [0, 1], of what [`Channels::Rgba`] has of a pixel in [-1, 1]: a colour on the
/// background, and alpha. Colour below nothing and beyond alpha means nothing.
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

/// Draws an SVG document at the size it states, enlarged where its longer side is below `least_px`.
fn draw_svg_whole(bytes: &[u8], least_px: u32, origin: &Path) -> Result<Picture, DataError> {
    let tree = parse_svg(bytes, origin)?;
    let size = tree.size();
    let scale = (least_px as f32 / size.width().max(size.height())).max(1.0);
    let sides = [size.width(), size.height()].map(|length| (length * scale).round().max(1.0));
    if f64::from(sides[0]) * f64::from(sides[1]) > MAX_PICTURE_PIXELS as f64 {
        return Err(DataError::Picture {
            problem: format!(
                "a drawing of {} x {} pixels; at most {} megapixels are drawn: make it smaller",
                sides[0],
                sides[1],
                MAX_PICTURE_PIXELS >> 20
            ),
            path: origin.to_path_buf(),
        });
    }
    draw_tree(
        &tree,
        sides.map(|side| side as u32),
        scale,
        [0.0, 0.0],
        origin,
    )
}

fn parse_svg(bytes: &[u8], origin: &Path) -> Result<usvg::Tree, DataError> {
    let fail = |problem: String| DataError::Picture {
        problem,
        path: origin.to_path_buf(),
    };
    if bytes.len() > MAX_DRAWING_BYTES {
        return Err(fail(format!(
            "a drawing of {} bytes; at most {MAX_DRAWING_BYTES} are read",
            bytes.len()
        )));
    }
    let options = usvg::Options {
        image_href_resolver: usvg::ImageHrefResolver {
            resolve_data: Box::new(|_, _, _| None),
            resolve_string: Box::new(|_, _| None),
        },
        ..usvg::Options::default()
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|source| fail(format!("not a drawing that can be read as SVG ({source})")))?;
    let parsing = usvg::roxmltree::ParsingOptions {
        allow_dtd: true,
        ..usvg::roxmltree::ParsingOptions::default()
    };
    let document = usvg::roxmltree::Document::parse_with_options(text, parsing)
        .map_err(|source| fail(format!("not a drawing that can be read as SVG ({source})")))?;
    if document.descendants().any(|node| has_vast_arc(&node)) {
        return Err(fail(format!(
            "a path has an arc with a number beyond {MAX_ARC}: mend or leave out that path"
        )));
    }
    usvg::Tree::from_xmltree(&document, &options)
        .map_err(|source| fail(format!("not a drawing that can be read as SVG ({source})")))
}

/// Whether an element has a path with an arc that would be cut into curves without end: their number grows with its
/// radius.
fn has_vast_arc(node: &usvg::roxmltree::Node<'_, '_>) -> bool {
    let is_vast = |segment: svgtypes::PathSegment| match segment {
        svgtypes::PathSegment::EllipticalArc { rx, ry, x, y, .. } => {
            // Also what is no number.
            [rx, ry, x, y]
                .iter()
                .any(|v| v.is_nan() || v.abs() > MAX_ARC)
        }
        _ => false,
    };
    node.attribute("d").is_some_and(|path| {
        svgtypes::PathParser::from(path)
            // What cannot be parsed ends the path, for the renderer too.
            .map_while(Result::ok)
            .any(is_vast)
    })
}

/// Draws at `scale` with the corner at `shift`.
fn draw_tree(
    tree: &usvg::Tree,
    sides: [u32; 2],
    scale: f32,
    shift: [f32; 2],
    origin: &Path,
) -> Result<Picture, DataError> {
    let [width_px, height_px] = sides;
    let mut pixmap =
        tiny_skia::Pixmap::new(width_px, height_px).ok_or_else(|| DataError::Picture {
            problem: format!("it cannot be drawn at {width_px} x {height_px} pixels"),
            path: origin.to_path_buf(),
        })?;
    let transform =
        tiny_skia::Transform::from_scale(scale, scale).post_translate(shift[0], shift[1]);
    resvg::render(tree, transform, &mut pixmap.as_mut());
    Ok(Picture {
        width_px,
        height_px,
        premultiplied: pixmap.take(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUND: [u8; 3] = [255, 204, 51];

    #[test]
    fn what_is_shown_of_any_channels_is_what_a_composed_picture_shows() {
        let premultiplied: Vec<u8> = (0..64_u32)
            .flat_map(|i| {
                let alpha = (i * 4) as u8;
                [alpha / 2, alpha / 3, (i % 3) as u8 * (alpha / 3), alpha]
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
