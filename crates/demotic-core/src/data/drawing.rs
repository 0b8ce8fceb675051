//! A picture before it is decoded, in whatever kind of file or memory.

use std::path::{Path, PathBuf};

use super::picture::read_file;
use super::svg::draw_whole;
use super::{DataError, Picture};
use crate::settings::Fit;

/// Endings of the names of pictures that are read, besides `svg` and `svgz`.
const ENDINGS: [&str; 10] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "webp", "gif", "bmp", "tif", "tiff",
];
/// The endings of pictures and drawings, in words.
pub const PICTURE_ENDINGS: &str = "png, jpg, jpeg, jpe, jfif, webp, gif, bmp, tif, tiff, svg, svgz";

/// What a file holds, by its name's ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Svg,
    Raster,
}

impl Format {
    /// `None` for anything that is not a picture.
    pub(crate) fn of_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "svg" | "svgz" => Some(Self::Svg),
            ending if ENDINGS.contains(&ending) => Some(Self::Raster),
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
            Bytes::File(path) => read_file(path).map(Into::into),
        }
    }

    /// Decodes and fits into a square of `size_px`: see [`Picture::fitted`].
    pub(crate) fn rasterise(&self, size_px: u32, fit: Fit) -> Result<Picture, DataError> {
        let bytes = self.read()?;
        Ok(match self.format {
            Format::Svg => Picture::draw(&bytes, size_px, fit, &self.origin)?,
            Format::Raster => Picture::decode(&bytes, &self.origin)?.fitted(size_px, fit),
        })
    }

    /// Decodes at its own size, a drawing with a longer side of `least_px` at least; or with a longer side of
    /// `longer_px`.
    pub(super) fn sized(
        &self,
        longer_px: Option<u32>,
        least_px: u32,
    ) -> Result<Picture, DataError> {
        let bytes = self.read()?;
        let picture = match self.format {
            Format::Svg => draw_whole(&bytes, longer_px.unwrap_or(least_px), &self.origin)?,
            Format::Raster => Picture::decode(&bytes, &self.origin)?,
        };
        Ok(match longer_px {
            Some(longer_px) => picture.with_longer_side(longer_px),
            None => picture,
        })
    }
}

impl Picture {
    /// Like [`Picture::open`], and draws SVG as well: at the size it states, enlarged where its longer side
    /// is below `least_px`.
    ///
    /// # Errors
    /// As [`Picture::open`]; [`DataError::Picture`] also where the name has another ending than
    /// [`PICTURE_ENDINGS`].
    pub fn open_or_draw(path: &Path, least_px: u32) -> Result<Self, DataError> {
        match path
            .extension()
            .and_then(|e| Format::of_extension(e.to_str()?))
        {
            Some(Format::Raster) => Self::open(path),
            Some(Format::Svg) => draw_whole(&read_file(path)?, least_px, path),
            None => Err(DataError::Picture {
                problem: format!("the name ends in none of {PICTURE_ENDINGS}"),
                path: path.to_path_buf(),
            }),
        }
    }
}
