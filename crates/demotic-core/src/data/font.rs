//! The font of text in drawings: two faces of Noto Sans, the same on every machine.

use std::sync::{Arc, OnceLock};

use resvg::usvg::fontdb::{Database, Source};

/// The faces' family; stands for every other one.
pub(super) const FAMILY: &str = "Noto Sans";

static FACES: [&[u8]; 2] = [
    include_bytes!("../../assets/fonts/NotoSans-Regular.ttf"),
    include_bytes!("../../assets/fonts/NotoSans-Bold.ttf"),
];

/// First and last of the letters that the faces have.
const LETTERS: [(char, char); 23] = [
    (' ', '~'),
    ('\u{a0}', '\u{17f}'),
    ('\u{192}', '\u{192}'),
    ('\u{218}', '\u{21b}'),
    ('\u{384}', '\u{38a}'),
    ('\u{38c}', '\u{38c}'),
    ('\u{38e}', '\u{3a1}'),
    ('\u{3a3}', '\u{3ce}'),
    ('\u{400}', '\u{45f}'),
    ('\u{490}', '\u{491}'),
    ('\u{1e9e}', '\u{1e9e}'),
    ('\u{2010}', '\u{2015}'),
    ('\u{2018}', '\u{201e}'),
    ('\u{2020}', '\u{2022}'),
    ('\u{2026}', '\u{2026}'),
    ('\u{2030}', '\u{2030}'),
    ('\u{2032}', '\u{2033}'),
    ('\u{2039}', '\u{203a}'),
    ('\u{2044}', '\u{2044}'),
    ('\u{20ac}', '\u{20ac}'),
    ('\u{20bd}', '\u{20bd}'),
    ('\u{2116}', '\u{2116}'),
    ('\u{2122}', '\u{2122}'),
];

/// The faces, as the renderer of drawings takes them.
pub(super) fn database() -> Arc<Database> {
    static FONTS: OnceLock<Arc<Database>> = OnceLock::new();
    let load = || {
        let mut fonts = Database::new();
        for face in FACES {
            fonts.load_font_source(Source::Binary(Arc::new(face)));
        }
        fonts.set_serif_family(FAMILY);
        fonts.set_sans_serif_family(FAMILY);
        fonts.set_cursive_family(FAMILY);
        fonts.set_fantasy_family(FAMILY);
        fonts.set_monospace_family(FAMILY);
        Arc::new(fonts)
    };
    Arc::clone(FONTS.get_or_init(load))
}

/// Whether a letter can be drawn, or leaves nothing out where it is not.
pub(super) fn has(letter: char) -> bool {
    letter.is_whitespace()
        || letter.is_control()
        || LETTERS
            .iter()
            .any(|(first, last)| (first..=last).contains(&&letter))
}
