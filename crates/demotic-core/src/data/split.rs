//! Which pictures are held out: decided by the *family* of a picture alone, so that near-copies stay together
//! and nothing moves when pictures are added.

use demotic_crf::hash::fnv1a64;
use serde::{Deserialize, Serialize};

/// The part of a data set that a picture belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What training may see: about eight families in ten.
    Train,
    /// For choosing between runs: about one family in ten.
    Validation,
    /// Held out, for the reported figures: about one family in ten.
    Test,
}

impl Split {
    /// All three, in the order of the table they are printed in.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// Lower-case name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// The split of a family: test if `fnv1a64(family) % 10 == 0`, validation if `== 1`, else training.
#[doc(hidden)]
pub fn split_of_family(family: &str) -> Split {
    match fnv1a64(family.as_bytes()) % 10 {
        0 => Split::Test,
        1 => Split::Validation,
        _ => Split::Train,
    }
}

/// The family of an emoji: its first codepoint in lower-case hexadecimal, except that clock faces, phases of
/// the moon, keycaps, hearts, plain circles, plain squares and books are one family each (the same drawing in
/// another colour or turned), and a person doing something (`person ZWJ object`) belongs to the object, since
/// man, woman and person with the same object are near-copies.
///
/// `codepoints`: without variation selectors.
#[doc(hidden)]
pub fn emoji_family(codepoints: &[u32]) -> String {
    const ZERO_WIDTH_JOINER: u32 = 0x200d;
    const KEYCAP: u32 = 0x20e3;
    let hex = |codepoint: u32| format!("{codepoint:04x}");
    match *codepoints {
        [0x1f550..=0x1f567] => "clock".into(),
        // Phases, the crescent, and the moons with a face; 1f31e is a sun.
        [0x1f311..=0x1f31d] => "moon".into(),
        [.., KEYCAP] | [0x1f51f] => "keycap".into(),
        // One drawing in many colours.
        [
            0x2764 | 0x1f499..=0x1f49c | 0x1f5a4 | 0x1f90d | 0x1f90e | 0x1f9e1 | 0x1fa75..=0x1fa77,
        ] => "heart".into(),
        [0x26aa | 0x26ab | 0x1f534 | 0x1f535 | 0x1f7e0..=0x1f7e4] => "circle".into(),
        [0x2b1b | 0x2b1c | 0x25fb..=0x25fe | 0x25aa | 0x25ab | 0x1f7e5..=0x1f7eb] => {
            "square".into()
        }
        [0x1f4d5 | 0x1f4d7..=0x1f4d9] => "book".into(),
        [0x1f468 | 0x1f469 | 0x1f9d1, ZERO_WIDTH_JOINER, object, ..] => hex(object),
        [first, ..] => hex(first),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_gives_the_published_vectors() {
        assert_eq!(fnv1a64(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a64(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a64(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn near_copies_share_a_family() {
        assert_eq!(emoji_family(&[0x1f600]), "1f600");
        assert_eq!(emoji_family(&[0x1f550]), emoji_family(&[0x1f567]));
        assert_eq!(emoji_family(&[0x1f311]), emoji_family(&[0x1f31d]));
        assert_ne!(emoji_family(&[0x1f31e]), "moon");
        assert_eq!(emoji_family(&[0x23, 0x20e3]), emoji_family(&[0x1f51f]));
        assert_eq!(emoji_family(&[0x2764]), emoji_family(&[0x1f49a]));
        // A broken heart is another drawing, and so is a heart on fire.
        assert_ne!(emoji_family(&[0x1f494]), "heart");
        assert_ne!(emoji_family(&[0x2764, 0x200d, 0x1f525]), "heart");
        assert_eq!(emoji_family(&[0x26aa]), emoji_family(&[0x1f7e2]));
        assert_eq!(emoji_family(&[0x2b1b]), emoji_family(&[0x1f7e9]));
        assert_eq!(emoji_family(&[0x1f4d5]), emoji_family(&[0x1f4d8]));
        let firefighter = |person| emoji_family(&[person, 0x200d, 0x1f692]);
        assert_eq!(firefighter(0x1f468), firefighter(0x1f469));
        assert_eq!(firefighter(0x1f468), firefighter(0x1f9d1));
        // A runner is keyed by the activity, of whatever gender and direction.
        assert_eq!(emoji_family(&[0x1f3c3, 0x200d, 0x2640]), "1f3c3");
    }
}
