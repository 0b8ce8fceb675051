//! Pictures side by side with their names on, as PNG: sample grids and contact sheets.

use std::io::Cursor;
use std::path::Path;

use anyhow::Result;
use demotic_core::data::signed_png;
use demotic_core::files::write_whole;
use demotic_core::number::Whole;
use demotic_core::report;
use demotic_core::translate::{Unframed, to_byte};
use image::{ExtendedColorType, ImageFormat, RgbImage};

use crate::failure::io;

/// Pixels between pictures.
const GAP: usize = 4;
/// Letters are 3 x 5 dots; dots are this many pixels wide.
const DOT: usize = 2;
/// Height of a line of text, with the space below it.
const LINE: usize = 5 * DOT + GAP;
/// Width of a letter, with the space after it.
const ADVANCE: usize = 4 * DOT;
/// Sides of pictures on a sheet are enlarged to at least this.
const SHOWN_PX: usize = 96;

/// Ends the name of columns where a translation stands beside the true picture.
pub(crate) const TRUE: &str = " / true";

/// One row of pictures; gaps stay white.
pub(crate) type Row<'a> = Vec<Option<&'a [f32]>>;

/// A table of pictures under one title.
pub(crate) struct Block<'a> {
    pub(crate) title: String,
    /// Names over the columns; a name may run on over columns whose own name is empty.
    pub(crate) columns: Vec<String>,
    /// `[rows][columns]` of `[3, size, size]` in [-1, 1].
    pub(crate) rows: Vec<Row<'a>>,
}

/// A picture of pictures, and where they are in it.
pub(crate) struct Sheet {
    pub(crate) image: RgbImage,
    layout: report::Sheet,
}

impl Sheet {
    /// As PNG, with its layout in it.
    pub(crate) fn png(&self, path: &Path) -> Result<Vec<u8>> {
        let (width, height) = self.image.dimensions();
        let bytes = png(
            self.image.as_raw(),
            width,
            height,
            ExtendedColorType::Rgb8,
            path,
        )?;
        Ok(self.layout.written_into(&bytes))
    }
}

/// Draws blocks beside (`across`) or below each other.
pub(crate) fn draw(blocks: &[Block<'_>], size_px: usize, across: bool) -> Sheet {
    let scale = SHOWN_PX.div_ceil(size_px).max(1);
    let cell = size_px * scale + GAP;
    let extent = |block: &Block<'_>| {
        (
            GAP + block.columns.len() * cell,
            GAP + 2 * LINE + block.rows.len() * cell,
        )
    };
    let extents: Vec<(usize, usize)> = blocks.iter().map(extent).collect();
    let widths = extents.iter().map(|e| e.0);
    let heights = extents.iter().map(|e| e.1);
    let (width, height) = if across {
        (
            widths.map(|w| w + 4 * GAP).sum::<usize>(),
            heights.max().unwrap_or(1),
        )
    } else {
        (widths.max().unwrap_or(1), heights.sum::<usize>())
    };
    let mut sheet = RgbImage::from_pixel(
        width.max(1).to_u32(),
        height.max(1).to_u32(),
        image::Rgb([255; 3]),
    );
    let mut layout = report::Sheet {
        cell,
        side: size_px * scale,
        line: LINE,
        blocks: Vec::new(),
    };
    let (mut left, mut top) = (GAP, GAP);
    for (block, extent) in blocks.iter().zip(extents) {
        text(
            &mut sheet,
            left,
            top,
            &block.title,
            block.columns.len() * cell,
        );
        for (c, name) in block.columns.iter().enumerate() {
            let free = 1 + block.columns[c + 1..]
                .iter()
                .take_while(|next| next.is_empty())
                .count();
            text(&mut sheet, left + c * cell, top + LINE, name, free * cell);
        }
        for (r, row) in block.rows.iter().enumerate() {
            for (c, picture) in row.iter().enumerate() {
                if let Some(picture) = picture {
                    paste(
                        &mut sheet,
                        left + c * cell,
                        top + 2 * LINE + r * cell,
                        picture,
                        size_px,
                        scale,
                    );
                }
            }
        }
        layout.blocks.push(report::Block {
            left,
            top,
            title: block.title.clone(),
            columns: block.columns.clone(),
            rows: block.rows.len(),
        });
        if across {
            left += extent.0 + 4 * GAP;
        } else {
            top += extent.1;
        }
    }
    Sheet {
        image: sheet,
        layout,
    }
}

/// A picture by itself, `[3, size, size]` in [-1, 1].
pub(crate) fn picture(planes: &[f32], size: usize) -> RgbImage {
    let mut picture = RgbImage::new(size.to_u32(), size.to_u32());
    paste(&mut picture, 0, 0, planes, size, 1);
    picture
}

/// Writes a sheet beside and renames it.
pub(crate) fn save(sheet: &Sheet, path: &Path) -> Result<()> {
    Ok(write_whole(path, &sheet.png(path)?)?)
}

/// Writes a picture by itself, `[3, size, size]` in [-1, 1].
pub(crate) fn save_picture(planes: &[f32], size: usize, path: &Path) -> Result<()> {
    let picture = picture(planes, size);
    let (width, height) = picture.dimensions();
    let bytes = png(
        picture.as_raw(),
        width,
        height,
        ExtendedColorType::Rgb8,
        path,
    )?;
    Ok(write_whole(path, &bytes)?)
}

/// A translation as PNG, with alpha only where something is transparent; it says that its colours are sRGB,
/// and who generated it.
pub(crate) fn translation_png(picture: &Unframed, path: &Path) -> Result<Vec<u8>> {
    let (width, height) = (picture.width_px, picture.height_px);
    let bytes = if picture.is_opaque {
        let pixels = picture.rgba.as_chunks::<4>().0;
        let rgb: Vec<u8> = pixels.iter().flat_map(|p| [p[0], p[1], p[2]]).collect();
        png(&rgb, width, height, ExtendedColorType::Rgb8, path)?
    } else {
        png(&picture.rgba, width, height, ExtendedColorType::Rgba8, path)?
    };
    Ok(signed_png(&bytes))
}

/// PNG bytes of raw pixels.
pub(crate) fn png(
    pixels: &[u8],
    width: u32,
    height: u32,
    color: image::ExtendedColorType,
    path: &Path,
) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    image::write_buffer_with_format(&mut bytes, pixels, width, height, color, ImageFormat::Png)
        .map_err(|e| io("encode picture", path, &std::io::Error::other(e)))?;
    Ok(bytes.into_inner())
}

fn paste(
    sheet: &mut RgbImage,
    left: usize,
    top: usize,
    picture: &[f32],
    size: usize,
    scale: usize,
) {
    let plane = size * size;
    for y in 0..size * scale {
        for x in 0..size * scale {
            let at = y / scale * size + x / scale;
            let pixel = [0, 1, 2].map(|c| to_byte(picture[c * plane + at]));
            sheet.put_pixel((left + x).to_u32(), (top + y).to_u32(), image::Rgb(pixel));
        }
    }
}

/// Writes a text, cut where it would run over `width` pixels.
fn text(sheet: &mut RgbImage, left: usize, top: usize, text: &str, width: usize) {
    let fits = text.chars().take(width.saturating_sub(GAP) / ADVANCE);
    for (i, letter) in fits.enumerate() {
        let dots = glyph(letter);
        for dot in (0..15).filter(|dot| dots >> (14 - dot) & 1 == 1) {
            for (dy, dx) in (0..DOT * DOT).map(|k| (k / DOT, k % DOT)) {
                let (x, y) = (
                    left + i * ADVANCE + dot % 3 * DOT + dx,
                    top + dot / 3 * DOT + dy,
                );
                if x.to_u32() < sheet.width() && y.to_u32() < sheet.height() {
                    sheet.put_pixel(x.to_u32(), y.to_u32(), image::Rgb([60; 3]));
                }
            }
        }
    }
}

/// Dots of a letter: five rows of three, the top left one highest. Capitals look like small letters; a box is
/// 0, and what is not here.
fn glyph(letter: char) -> u16 {
    match letter.to_ascii_lowercase() {
        ' ' => 0,
        'a' => 0b010_101_111_101_101,
        'b' => 0b110_101_110_101_110,
        'c' => 0b011_100_100_100_011,
        'd' => 0b110_101_101_101_110,
        'e' => 0b111_100_110_100_111,
        'f' => 0b111_100_110_100_100,
        'g' => 0b011_100_101_101_011,
        'h' => 0b101_101_111_101_101,
        'i' => 0b111_010_010_010_111,
        'j' => 0b001_001_001_101_010,
        'k' => 0b101_110_100_110_101,
        'l' => 0b100_100_100_100_111,
        'm' => 0b101_111_111_101_101,
        'n' => 0b110_101_101_101_101,
        'o' => 0b010_101_101_101_010,
        'p' => 0b110_101_110_100_100,
        'q' => 0b010_101_101_110_011,
        'r' => 0b110_101_110_101_101,
        's' => 0b011_100_010_001_110,
        't' => 0b111_010_010_010_010,
        'u' => 0b101_101_101_101_111,
        'v' => 0b101_101_101_101_010,
        'w' => 0b101_101_111_111_101,
        'x' => 0b101_101_010_101_101,
        'y' => 0b101_101_010_010_010,
        'z' => 0b111_001_010_100_111,
        '1' => 0b010_110_010_010_111,
        '2' => 0b110_001_010_100_111,
        '3' => 0b110_001_010_001_110,
        '4' => 0b101_101_111_001_001,
        '5' => 0b111_100_110_001_110,
        '6' => 0b011_100_111_101_111,
        '7' => 0b111_001_010_010_010,
        '8' => 0b111_101_111_101_111,
        '9' => 0b111_101_111_001_110,
        '-' => 0b000_000_111_000_000,
        '_' => 0b000_000_000_000_111,
        '.' => 0b000_000_000_000_010,
        ',' => 0b000_000_000_010_100,
        ':' => 0b000_010_000_010_000,
        ';' => 0b000_010_000_010_100,
        '+' => 0b000_010_111_010_000,
        '/' => 0b001_001_010_100_100,
        '(' => 0b001_010_010_010_001,
        ')' => 0b100_010_010_010_100,
        _ => 0b111_101_101_101_111,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_land_in_their_cells_and_gaps_stay_white() {
        let black = [-1.0; 3 * 4];
        let block = Block {
            title: String::new(),
            columns: vec![String::new(); 2],
            rows: vec![vec![None, Some(&black[..])], vec![Some(&black[..]), None]],
        };
        let sheet = draw(&[block], 2, false).image;
        let cell = 2 * 48 + GAP;
        let at = |c: usize, r: usize| {
            sheet
                .get_pixel(
                    (GAP + c * cell + 40).to_u32(),
                    (GAP + 2 * LINE + r * cell + 40).to_u32(),
                )
                .0[0]
        };
        assert_eq!([at(0, 0), at(1, 0), at(0, 1), at(1, 1)], [255, 0, 0, 255]);
    }

    #[test]
    fn letters_are_told_apart() {
        let letters: std::collections::BTreeSet<u16> =
            "abcdefghijklmnopqrstuvwxyz0123456789-_.,:+/()"
                .chars()
                .map(glyph)
                .collect();
        assert_eq!(letters.len(), 45);
    }
}
