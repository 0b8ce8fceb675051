//! A line of text in the built-in font, as pixels: the names on sheets of pictures.

use resvg::{tiny_skia, usvg};
use unicode_normalization::UnicodeNormalization as _;

use super::font;
use crate::number::{Real, Whole};

/// Of a line's height: the letters' size, and how far below the top they stand. Accents of capitals and the
/// tails of `g` and `y` find room.
const SIZE: f32 = 6.0 / 7.0;
const BASELINE: f32 = 11.0 / 14.0;
/// Ends a text that is cut.
const CUT: &str = "...";
/// Stands for a letter that the font lacks.
const LACKING: char = '?';

/// A line of text as pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lettering {
    /// Columns.
    pub width_px: usize,
    /// Rows.
    pub height_px: usize,
    /// How much of each pixel is ink, of 255, rows from the top: `width_px * height_px` bytes.
    pub ink: Vec<u8>,
}

/// Whether the built-in font has every letter of a text. It has those of Latin with its accents, of Greek and
/// of Cyrillic.
#[must_use]
pub fn has_letters(text: &str) -> bool {
    text.nfc().all(font::has)
}

/// Writes a text onto a line of these sides. It begins at the left edge; where it is too long, as many
/// letters stay as fit with `...` behind them. A letter that the font lacks becomes `?`.
#[must_use]
pub fn lettering(text: &str, width_px: usize, height_px: usize) -> Lettering {
    let letter = |letter: char| match letter {
        letter if letter.is_control() => ' ',
        letter if font::has(letter) => letter,
        _ => LACKING,
    };
    let mut ink = vec![0; width_px * height_px];
    // No letter is narrower than a tenth of the line's height: more of them need not be tried.
    let most = 10 * width_px / height_px.max(1);
    let mut letters: Vec<char> = text.nfc().map(letter).take(most + 1).collect();
    let mut shown = letters.clone();
    while !shown.is_empty() && !ink.is_empty() {
        // Text that leaves nothing to draw, such as spaces alone, makes an empty tree or none.
        let Some(tree) = laid_out(&shown, width_px, height_px) else {
            break;
        };
        if tree.root().abs_bounding_box().right() <= width_px.to_f32() {
            ink = drawn(&tree, width_px, height_px).unwrap_or(ink);
            break;
        }
        if letters.pop().is_none() {
            break;
        }
        shown = letters.iter().copied().chain(CUT.chars()).collect();
    }
    Lettering {
        width_px,
        height_px,
        ink,
    }
}

/// The letters as a drawing of these sides.
fn laid_out(letters: &[char], width_px: usize, height_px: usize) -> Option<usvg::Tree> {
    let mut escaped = String::new();
    for letter in letters {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            letter => escaped.push(*letter),
        }
    }
    let [size, baseline] = [SIZE, BASELINE].map(|share| share * height_px.to_f32());
    let svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width_px}" height="{height_px}"><text y="{baseline}" font-size="{size}">{escaped}</text></svg>"#
    );
    let options = usvg::Options {
        font_family: font::FAMILY.to_owned(),
        fontdb: font::database(),
        ..usvg::Options::default()
    };
    usvg::Tree::from_str(&svg, &options).ok()
}

/// How much of each pixel is ink.
fn drawn(tree: &usvg::Tree, width_px: usize, height_px: usize) -> Option<Vec<u8>> {
    let mut pixmap = tiny_skia::Pixmap::new(width_px.to_u32(), height_px.to_u32())?;
    resvg::render(tree, tiny_skia::Transform::identity(), &mut pixmap.as_mut());
    Some(pixmap.data().iter().skip(3).step_by(4).copied().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The line as sheets have it.
    fn line(text: &str, width_px: usize) -> Vec<u8> {
        lettering(text, width_px, 14).ink
    }

    #[test]
    fn letters_of_three_scripts_are_told_apart() {
        for letters in [
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,:;+/()!&<>%#@",
            "\u{e9}\u{e8}\u{eb}\u{fc}\u{f6}\u{df}\u{142}\u{f1}\u{e7}\u{f8}\u{e5}\u{e6}\u{153}\u{17e}\u{15f}\u{11f}\u{151}\u{105}\u{119}",
            "\u{3b1}\u{3b2}\u{3b3}\u{3b4}\u{3b5}\u{3b6}\u{3b7}\u{3b8}\u{3ba}\u{3bb}\u{3bc}\u{3be}\u{3c0}\u{3c1}\u{3c3}\u{3c4}\u{3c6}\u{3c8}\u{3c9}",
            "\u{430}\u{431}\u{432}\u{433}\u{434}\u{435}\u{436}\u{437}\u{438}\u{439}\u{43a}\u{43b}\u{43c}\u{43d}\u{44e}\u{44f}\u{44b}\u{446}\u{449}",
        ] {
            assert!(has_letters(letters), "{letters}");
            let drawn: BTreeSet<Vec<u8>> = letters
                .chars()
                .map(|letter| line(&letter.to_string(), 20))
                .collect();
            assert_eq!(drawn.len(), letters.chars().count(), "{letters}");
            assert!(!drawn.contains(&vec![0; 20 * 14]), "{letters}");
        }
    }

    #[test]
    fn an_accent_is_ink_above_its_letter_in_either_unicode_form() {
        let sum = |rows: &[u8]| rows.iter().map(|ink| u32::from(*ink)).sum::<u32>();
        let (plain, accented) = (line("e", 20), line("\u{e9}", 20));
        // The letter is half as high as a capital: nothing above its fifth row.
        assert_eq!(sum(&plain[..4 * 20]), 0);
        assert!(sum(&accented[..4 * 20]) > 100, "{accented:?}");
        assert_eq!(line("e\u{301}", 20), accented);
        assert!(has_letters("e\u{301}"));
    }

    #[test]
    fn what_does_not_fit_is_cut_between_letters_and_says_so_and_what_is_lacking_is_marked() {
        assert!(!has_letters("\u{65e5}\u{672c}") && !has_letters("a \u{627}"));
        assert_eq!(line("a\u{65e5}", 40), line("a?", 40));
        let long = line(&"wi".repeat(50), 40);
        let begun = |count: usize| -> String { "wi".repeat(50).chars().take(count).collect() };
        let cut = |count: usize| line(&(begun(count) + CUT), 40);
        let fits = (0..20).find(|&count| cut(count) == long);
        let fits = fits.expect("a beginning of it with dots");
        assert!(fits > 0);
        // One letter more has no room before the dots.
        assert_eq!(cut(fits + 1), long);
        assert_ne!(line(&begun(fits), 40), long);
        // What fits whole has no dots.
        assert_ne!(line("wi", 40), line("wi...", 40));
        // Nothing to write, or nowhere.
        assert_eq!(line("", 5), [0; 5 * 14]);
        assert_eq!(line("  ", 5), [0; 5 * 14]);
        assert_eq!(line("W", 3), [0; 3 * 14]);
        assert!(line("W", 0).is_empty());
    }
}
