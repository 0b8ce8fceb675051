//! Pictures side by side with their names on, as PNG: sample grids and contact sheets.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use anyhow::Result;
use demotic_core::data::{Lettering, has_letters, lettering, signed_png};
use demotic_core::files::write_whole;
use demotic_core::number::Whole;
use demotic_core::report;
use demotic_core::translate::{Unframed, to_byte};
use image::{ExtendedColorType, ImageFormat, RgbImage};

use crate::failure::io;

/// Pixels between pictures.
const GAP: usize = 4;
/// Height of a line of text.
const LINE: usize = 14;
/// How dark letters are: 0 is black.
const INK: u32 = 60;
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

/// What a sheet writes for names of styles, and for phrases: the built-in font has Latin, Greek and Cyrillic
/// letters, and one that has others is shown by its number.
#[derive(Default)]
pub(crate) struct Names {
    /// Each such name, and what stands for it.
    numbered: Vec<(String, String)>,
}

impl Names {
    /// Of styles in the order of their data set, which numbers them from 1.
    pub(crate) fn of<'a>(styles: impl IntoIterator<Item = &'a str>) -> Self {
        Self::numbered("style", styles.into_iter().enumerate())
    }

    /// Of what `kind` says, each with its number from 0; people see it from 1.
    pub(crate) fn numbered<'a>(
        kind: &str,
        names: impl IntoIterator<Item = (usize, &'a str)>,
    ) -> Self {
        let names: Vec<(usize, &str)> = names.into_iter().collect();
        let lacking = names.iter().filter(|(_, name)| !has_letters(name));
        let numbered = lacking.map(|(at, name)| {
            let mut label = format!("{kind} {}", at + 1);
            while names.iter().any(|(_, name)| *name == label) {
                label.push('*');
            }
            ((*name).to_owned(), label)
        });
        Self {
            numbered: numbered.collect(),
        }
    }

    /// What numbers stand for, for the command's output; nothing where every name is shown.
    pub(crate) fn legend(&self) -> Option<String> {
        let each: Vec<String> = self
            .numbered
            .iter()
            .map(|(name, label)| format!("{label} is {name}"))
            .collect();
        (!each.is_empty()).then(|| each.join(", "))
    }

    /// A text with numbers in place of the names whose letters are lacking.
    fn shown(&self, text: &str) -> String {
        // One name may begin another.
        let mut longest_first: Vec<&(String, String)> = self.numbered.iter().collect();
        longest_first.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        longest_first
            .into_iter()
            .fold(text.to_owned(), |text, (name, label)| {
                text.replace(name, label)
            })
    }
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

/// Draws blocks beside (`across`) or below each other. The layout in the sheet has the names as they are.
pub(crate) fn draw(blocks: &[Block<'_>], size_px: usize, across: bool, names: &Names) -> Sheet {
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
    let mut pen = Pen {
        names,
        written: BTreeMap::new(),
    };
    let mut layout = report::Sheet {
        cell,
        side: size_px * scale,
        line: LINE,
        blocks: Vec::new(),
    };
    let (mut left, mut top) = (GAP, GAP);
    for (block, extent) in blocks.iter().zip(extents) {
        pen.write(
            &mut sheet,
            [left, top],
            &block.title,
            block.columns.len() * cell,
        );
        for (c, name) in block.columns.iter().enumerate() {
            let free = 1 + block.columns[c + 1..]
                .iter()
                .take_while(|next| next.is_empty())
                .count();
            let place = [left + c * cell, top + LINE];
            pen.write(&mut sheet, place, name, free * cell);
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

/// Writes the texts of one sheet. Most come several times, and each is laid out once.
struct Pen<'a> {
    names: &'a Names,
    /// By the text and the pixels that it may take.
    written: BTreeMap<(String, usize), Lettering>,
}

impl Pen<'_> {
    /// Writes a text with its upper left corner at a place, cut where it would run over `width` pixels.
    fn write(&mut self, sheet: &mut RgbImage, [left, top]: [usize; 2], text: &str, width: usize) {
        let width = width.saturating_sub(GAP);
        if text.is_empty() || width == 0 {
            return;
        }
        let names = self.names;
        let line = self
            .written
            .entry((text.to_owned(), width))
            .or_insert_with(|| lettering(&names.shown(text), width, LINE));
        for (at, ink) in line.ink.iter().enumerate().filter(|(_, ink)| **ink > 0) {
            let (x, y) = (left + at % line.width_px, top + at / line.width_px);
            let (x, y) = (x.to_u32(), y.to_u32());
            if x < sheet.width() && y < sheet.height() {
                // On white.
                let grey = 255 - ((255 - INK) * u32::from(*ink) + 127) / 255;
                sheet.put_pixel(x, y, image::Rgb([grey.to_u8(); 3]));
            }
        }
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
        let sheet = draw(&[block], 2, false, &Names::default()).image;
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

    fn named(title: &str, column: &str, names: &Names) -> Sheet {
        let block = Block {
            title: title.to_owned(),
            columns: vec![column.to_owned()],
            rows: vec![vec![None]],
        };
        draw(&[block], 96, false, names)
    }

    #[test]
    fn names_are_written_in_their_own_letters() {
        let plain = Names::default();
        let sheets = ["", "A", "a", "\u{e9}", "\u{df}", "\u{3a9}", "\u{416}"]
            .map(|name| named(name, "", &plain).image.into_raw());
        for (i, one) in sheets.iter().enumerate() {
            assert!(sheets[..i].iter().all(|other| other != one), "{i}");
        }
        // The darkest pixel of a stem is nearly the ink's own.
        let darkest = named("H", "", &plain).image.into_raw().into_iter().min();
        assert!((60..130).contains(&darkest.expect("pixels")), "{darkest:?}");
    }

    #[test]
    fn a_style_whose_letters_are_lacking_is_shown_by_its_number() {
        let styles = [
            "photo",
            "\u{65e5}\u{672c}",
            "\u{65e5}\u{672c}\u{753b}",
            "caf\u{e9}",
        ];
        let names = Names::of(styles);
        assert_eq!(
            names.legend().as_deref(),
            Some("style 2 is \u{65e5}\u{672c}, style 3 is \u{65e5}\u{672c}\u{753b}")
        );
        let sheet = named(
            "from \u{65e5}\u{672c}\u{753b}, step 5",
            "\u{65e5}\u{672c} / true",
            &names,
        );
        let plain = named("from style 3, step 5", "style 2 / true", &Names::default());
        assert!(sheet.image == plain.image);
        // The page has letters of its own: it is told the names.
        assert_eq!(sheet.layout.blocks[0].columns, ["\u{65e5}\u{672c} / true"]);
        // Numbers that are names already, and styles that need none.
        let taken = Names::of(["\u{65e5}", "style 1"]);
        assert_eq!(taken.legend().as_deref(), Some("style 1* is \u{65e5}"));
        assert_eq!(Names::of(["photo", "caf\u{e9}"]).legend(), None);
        // Phrases keep their numbers where others are not shown.
        let phrases = Names::numbered("phrase", [(0, "so tired"), (2, "\u{65e5}\u{672c}")]);
        assert_eq!(
            phrases.legend().as_deref(),
            Some("phrase 3 is \u{65e5}\u{672c}")
        );
    }
}
