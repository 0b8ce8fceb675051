//! What of a drawing is not drawn, and names of elements.

use resvg::usvg::roxmltree::Node;
use unicode_normalization::UnicodeNormalization as _;

use super::{font, svg_source};

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
    let Ok(text) = svg_source::decoded(bytes) else {
        return 0;
    };
    let bit = |what: usize, is_there: bool| u8::from(is_there) << what;
    let of_text = bit(VARIABLES, text.contains("var(--")) | bit(PARTS, text.contains("@import"));
    // Most drawings have none of these, and need not be parsed for it.
    let marks = ["text", "foreignObject", "image", "Image", ".svg"];
    if !marks.iter().any(|mark| text.contains(mark)) {
        return of_text;
    }
    let Ok(document) = svg_source::parsed(&text) else {
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
    use super::*;

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
