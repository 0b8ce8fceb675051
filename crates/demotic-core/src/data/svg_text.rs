//! Bytes of an SVG file -> its text, whatever it is packed and encoded in; and what of it is not drawn.

use std::borrow::Cow;
use std::io::Read as _;

use resvg::usvg::roxmltree::{Document, Node, ParsingOptions};
use unicode_normalization::UnicodeNormalization as _;

use super::font;

/// Most bytes of a drawing (SVG) that is parsed.
pub(super) const MAX_DRAWING_BYTES: usize = 16 << 20;

/// The text of a drawing: UTF-8, UTF-16 by its mark or its first letter, Latin-1 where the document says so;
/// also gzipped.
///
/// # Errors
/// A sentence for what is none of these, or larger than [`MAX_DRAWING_BYTES`].
pub(super) fn decoded(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    let unpacked = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut content = Vec::new();
        let limit = MAX_DRAWING_BYTES as u64 + 1;
        flate2::read::MultiGzDecoder::new(bytes)
            .take(limit)
            .read_to_end(&mut content)
            .map_err(|e| format!("a gzipped drawing that is damaged or cut off ({e})"))?;
        Cow::Owned(content)
    } else {
        Cow::Borrowed(bytes)
    };
    if unpacked.len() > MAX_DRAWING_BYTES {
        return Err(format!(
            "a drawing of more than {MAX_DRAWING_BYTES} bytes; no more are read"
        ));
    }
    let wide = |of: fn([u8; 2]) -> u16, start: usize| {
        let units: Vec<u16> = unpacked[start..]
            .as_chunks()
            .0
            .iter()
            .map(|&pair| of(pair))
            .collect();
        String::from_utf16(&units)
            .map(Cow::Owned)
            .map_err(|_unpaired| {
                "not a drawing that can be read as SVG (damaged UTF-16)".to_owned()
            })
    };
    match &unpacked[..] {
        [0xff, 0xfe, ..] => return wide(u16::from_le_bytes, 2),
        [0xfe, 0xff, ..] => return wide(u16::from_be_bytes, 2),
        [b'<', 0, ..] => return wide(u16::from_le_bytes, 0),
        [0, b'<', ..] => return wide(u16::from_be_bytes, 0),
        _ => {}
    }
    if says_latin_1(&unpacked) {
        return Ok(Cow::Owned(
            unpacked.iter().map(|&byte| char::from(byte)).collect(),
        ));
    }
    let fail = |e: std::str::Utf8Error| format!("not a drawing that can be read as SVG ({e})");
    match unpacked {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(fail),
        Cow::Owned(bytes) => String::from_utf8(bytes)
            .map(Cow::Owned)
            .map_err(|e| fail(e.utf8_error())),
    }
}

/// Whether the XML declaration names Latin-1, or the code page of Windows that holds it: they differ in marks
/// that no outline needs.
fn says_latin_1(bytes: &[u8]) -> bool {
    let head = bytes.get(..bytes.len().min(100)).unwrap_or_default();
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let declaration = head.split("?>").next().unwrap_or_default();
    declaration.trim_start().starts_with("<?xml")
        && ["iso-8859-1", "latin1", "latin-1", "windows-1252"]
            .iter()
            .any(|name| declaration.contains(name))
}

/// What is not drawn, as it is called in a message.
const NOT_DRAWN: [&str; 5] = [
    "letters that the built-in font lacks (turn text into paths)",
    "foreign objects",
    "pictures in other files or of unread kinds (embed them as PNG)",
    "parts of other files",
    "CSS variables",
];
/// Places in [`NOT_DRAWN`].
const LETTERS: usize = 0;
const FOREIGN: usize = 1;
const PICTURES: usize = 2;
const PARTS: usize = 3;
const VARIABLES: usize = 4;

/// Elements whose text is drawn.
pub(super) const TEXT_ELEMENTS: [&str; 3] = ["text", "tspan", "textPath"];
/// The kind of a drawing in a drawing.
pub(super) const SVG_KIND: &str = "image/svg+xml";
/// Kinds of pictures in a drawing that are read.
const READ_KINDS: [&str; 7] = [
    "image/png",
    "image/jpeg",
    "image/jpg",
    "image/webp",
    "image/gif",
    "image/bmp",
    SVG_KIND,
];

/// Whether a picture of this kind in a drawing is read.
pub(super) fn is_read_inside(kind: &str) -> bool {
    READ_KINDS.contains(&kind)
}

/// What an element points at, in either spelling.
pub(super) fn href<'a>(node: &Node<'a, '_>) -> Option<&'a str> {
    node.attribute("href")
        .or_else(|| node.attribute(("http://www.w3.org/1999/xlink", "href")))
}

/// What is not drawn of a drawing: a bit for each of [`NOT_DRAWN`].
pub(crate) fn not_drawn(bytes: &[u8]) -> u8 {
    // A drawing that cannot be read is reported when it is drawn.
    let Ok(text) = decoded(bytes) else { return 0 };
    let bit = |what: usize, is_there: bool| u8::from(is_there) << what;
    let of_text = bit(VARIABLES, text.contains("var(--")) | bit(PARTS, text.contains("@import"));
    // Most drawings have none of these, and need not be parsed for it.
    let marks = ["text", "foreignObject", "image", "Image", ".svg"];
    if !marks.iter().any(|mark| text.contains(mark)) {
        return of_text;
    }
    let parsing = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let Ok(document) = Document::parse_with_options(text.trim_start_matches('\u{feff}'), parsing)
    else {
        return of_text;
    };
    let of_node = |node: Node<'_, '_>| {
        if node.is_text() {
            let parent = node.parent().map_or("", |parent| parent.tag_name().name());
            let lacks = |text: &str| text.nfc().any(|letter| !font::has(letter));
            let is_text = TEXT_ELEMENTS.contains(&parent);
            return bit(LETTERS, is_text && node.text().is_some_and(lacks));
        }
        let target = href(&node).map_or("", str::trim);
        match node.tag_name().name() {
            "foreignObject" => bit(FOREIGN, true),
            "image" | "feImage" => bit(PICTURES, !target.starts_with('#') && !is_inside(target)),
            "use" => bit(PARTS, !target.starts_with('#') && !target.is_empty()),
            _ => 0,
        }
    };
    of_text
        | document
            .descendants()
            .map(of_node)
            .fold(0, |bits, more| bits | more)
}

/// Whether what a picture points at is in the drawing itself, and of a kind that is read.
fn is_inside(target: &str) -> bool {
    let kind = target
        .split_once(':')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("data"));
    let kind = kind.and_then(|(_, rest)| rest.split([';', ',']).next());
    kind.is_some_and(|kind| is_read_inside(&kind.trim().to_ascii_lowercase()))
}

/// In words, with counts, of a style's drawings: `foreign objects in 3`; empty where everything is drawn.
pub(super) fn not_drawn_in_words(of_drawings: &[u8]) -> Vec<String> {
    let count = |bit: usize| {
        of_drawings
            .iter()
            .filter(|bits| *bits >> bit & 1 == 1)
            .count()
    };
    let counts = NOT_DRAWN
        .iter()
        .enumerate()
        .map(|(bit, what)| (count(bit), what));
    counts
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{what} in {count}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn every_encoding_gives_the_same_text() {
        let svg = "<svg id=\"\u{e9}\"/>";
        let wide = |of: fn(u16) -> [u8; 2], mark: &str| -> Vec<u8> {
            let text = mark.to_owned() + svg;
            text.encode_utf16().flat_map(of).collect()
        };
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zip.write_all(svg.as_bytes())
            .expect("memory takes everything");
        let zip = zip.finish().expect("memory takes everything");
        for bytes in [
            svg.as_bytes().to_vec(),
            wide(u16::to_le_bytes, "\u{feff}"),
            wide(u16::to_be_bytes, "\u{feff}"),
            wide(u16::to_le_bytes, ""),
            wide(u16::to_be_bytes, ""),
            zip.clone(),
        ] {
            assert_eq!(decoded(&bytes).as_deref(), Ok(svg), "{bytes:?}");
        }
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><svg id=\"\xe9\"/>";
        assert!(decoded(latin).is_ok_and(|text| text.contains('\u{e9}')));
        assert!(decoded(b"<svg id=\"\xe9\"/>").is_err_and(|e| e.contains("as SVG")));
        assert!(decoded(&zip[..zip.len() - 9]).is_err_and(|e| e.contains("cut off")));
    }

    #[test]
    fn a_bomb_is_refused_by_what_it_unpacks_to() {
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        for _ in 0..64 {
            zip.write_all(&vec![b' '; 1 << 20])
                .expect("memory takes everything");
        }
        let zip = zip.finish().expect("memory takes everything");
        assert!(zip.len() < 1 << 20);
        assert!(decoded(&zip).is_err_and(|e| e.contains("more than")));
    }

    #[test]
    fn what_is_not_drawn_is_counted_once_a_drawing() {
        let read = "data:image/png;base64,AAAA";
        for (svg, expected) in [
            (
                "<text>caf\u{e9} cafe\u{301} \u{3b1} &amp;</text>".to_owned(),
                0,
            ),
            ("<text>a<tspan>\u{732b}</tspan></text>".into(), 1 << LETTERS),
            ("<title>\u{732b}</title><style>text{}</style>".into(), 0),
            ("<foreignObject/><foreignObject/>".into(), 1 << FOREIGN),
            (
                format!("<image href='{read}'/><image xlink:href=' {read}'/>"),
                0,
            ),
            ("<image xlink:href='a.png'/>".into(), 1 << PICTURES),
            (
                "<image href='data:image/avif;base64,AAAA'/>".into(),
                1 << PICTURES,
            ),
            ("<use href='#a'/><use href='b.svg#a'/>".into(), 1 << PARTS),
            (
                "<style>@import 'a.css'; .a{fill:var(--b)}</style>".into(),
                1 << PARTS | 1 << VARIABLES,
            ),
            ("<path d='M0 0'/>".into(), 0),
            ("<text>\u{732b}".into(), 0),
        ] {
            let svg = format!("<svg xmlns:xlink='http://www.w3.org/1999/xlink'>{svg}</svg>");
            assert_eq!(not_drawn(svg.as_bytes()), expected, "{svg}");
        }
        assert_eq!(
            not_drawn_in_words(&[1 << FOREIGN, 0, 1 << FOREIGN | 1 << VARIABLES]),
            ["foreign objects in 2", "CSS variables in 1"]
        );
    }
}
