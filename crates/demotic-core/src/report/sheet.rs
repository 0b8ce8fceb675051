//! Where the pictures of a sheet lie and what they show, kept in the sheet's own PNG: the page writes the
//! labels as text over it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::html::escape;
use crate::number::Whole;

/// The chunk's keyword, and what stands between it and the text: not compressed, no language.
const KEYWORD: &[u8] = b"demotic-sheet\0\0\0\0\0";
/// Signature and header of a PNG, which come before any other chunk.
const HEADER_BYTES: usize = 33;

/// A sheet of pictures, all lengths in its pixels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sheet {
    /// From one picture to the next.
    pub cell: usize,
    /// Side of a picture.
    pub side: usize,
    /// Height of a line of text.
    pub line: usize,
    /// Tables of pictures: a title, a line of names, rows of pictures.
    pub blocks: Vec<Block>,
}

/// A table of pictures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Left edge.
    pub left: usize,
    /// Upper edge of the title.
    pub top: usize,
    /// What the table shows.
    pub title: String,
    /// Names over the columns; a name may run on over columns whose own name is empty.
    pub columns: Vec<String>,
    /// Rows of pictures.
    pub rows: usize,
}

impl Sheet {
    /// A PNG with this layout in it, as international text behind its header.
    ///
    /// # Source
    /// PNG (third edition), 11.3.3.4: keyword, two flags, language, translated keyword, UTF-8.
    #[must_use]
    pub fn written_into(&self, png: &[u8]) -> Vec<u8> {
        let text = serde_json::to_vec(self).expect("plain data is JSON");
        let chunk = [b"iTXt", KEYWORD, &text].concat();
        let (header, rest) = png.split_at(HEADER_BYTES.min(png.len()));
        let len = (chunk.len() - 4).to_u32();
        let sum = crc32fast::hash(&chunk);
        [header, &len.to_be_bytes(), &chunk, &sum.to_be_bytes(), rest].concat()
    }

    /// The layout in a PNG; none in a PNG from elsewhere, or of an earlier build.
    pub fn of(png: &[u8]) -> Option<Self> {
        let rest = png.get(HEADER_BYTES..)?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let chunk = rest.get(..4 + u32::from_be_bytes(*len) as usize)?;
        let text = chunk.strip_prefix(b"iTXt")?.strip_prefix(KEYWORD)?;
        serde_json::from_slice(text).ok()
    }

    /// Names over the columns of all tables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.blocks.iter().flat_map(|block| &block.columns);
        names.map(String::as_str)
    }

    /// The labels as elements over the picture, at their places in its pixels; and cells that can be
    /// enlarged.
    pub(super) fn html(&self) -> String {
        let mut out = String::new();
        for block in &self.blocks {
            let width = block.columns.len() * self.cell;
            self.label(&mut out, block, 0, 0, width, &block.title);
            for (c, name) in block.columns.iter().enumerate() {
                let run_on = block.columns[c + 1..]
                    .iter()
                    .take_while(|next| next.is_empty());
                let width = (1 + run_on.count()) * self.cell;
                if !name.is_empty() {
                    self.label(&mut out, block, c, 1, width, name);
                }
            }
            let mut name = "";
            for (c, own) in block.columns.iter().enumerate() {
                name = if own.is_empty() { name } else { own };
                for row in 0..block.rows {
                    let (x, y) = (
                        block.left + c * self.cell,
                        block.top + 2 * self.line + row * self.cell,
                    );
                    // A write into a String cannot fail.
                    let _ = write!(
                        out,
                        "<button class=\"cell\" style=\"left:{x}px;top:{y}px;width:{side}px;height:{side}px\" aria-label=\"enlarge: {}, {}, row {}\"></button>",
                        escape(&block.title),
                        escape(name),
                        row + 1,
                        side = self.side
                    );
                }
            }
        }
        out
    }

    fn label(
        &self,
        out: &mut String,
        block: &Block,
        column: usize,
        line: usize,
        width: usize,
        text: &str,
    ) {
        let text = escape(text);
        let _ = write!(
            out,
            "<span class=\"label{}\" style=\"left:{}px;top:{}px;width:{width}px;height:{}px\" title=\"{text}\">{text}</span>",
            if line == 0 { " title" } else { "" },
            block.left + column * self.cell,
            block.top + line * self.line,
            self.line,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_comes_back_from_its_png_and_none_from_another() {
        let sheet = Sheet {
            cell: 100,
            side: 96,
            line: 14,
            blocks: vec![Block {
                left: 4,
                top: 4,
                title: "Großer <Titel>".into(),
                columns: vec!["in".into(), "a / true".into(), String::new()],
                rows: 2,
            }],
        };
        let mut png = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(3, 2)
            .write_to(&mut png, image::ImageFormat::Png)
            .expect("it can be encoded");
        let png = png.into_inner();
        let written = sheet.written_into(&png);
        assert_eq!(Sheet::of(&written), Some(sheet.clone()));
        assert_eq!(Sheet::of(&png), None);
        for cut in 0..written.len().min(300) {
            let _ = Sheet::of(&written[..cut]);
        }
        let read = image::load_from_memory(&written).expect("it is still a PNG");
        assert_eq!((read.width(), read.height()), (3, 2));
        let html = sheet.html();
        assert!(
            html.contains("left:104px;top:18px;width:200px;height:14px\" title=\"a / true\"")
                && html.contains("Großer &lt;Titel&gt;"),
            "{html}"
        );
        assert_eq!(html.matches("<button").count(), 6);
    }
}
