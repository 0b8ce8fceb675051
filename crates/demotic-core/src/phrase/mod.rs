//! Words: what people call an idea, and the way from a phrase to a picture and back.
//!
//! ```text
//! phrase -> letter groups -> recall -> ideas -> a drawing of the idea in any style
//!        -> encoder -> decoder(.., style) -> picture
//! picture -> nearest known drawings -> ideas -> their phrases
//! ```
//! Recall first, invent second, and say which.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "places in lists that are in the program or bounded where they are read"
)]

mod discriminator;
mod encoder;
mod eyes;
#[cfg(test)]
mod eyes_fit;
mod faces;
mod fit;
mod gallery;
mod import;
mod kaomoji;
mod learn;
mod looks;
mod memory;
mod networks;
mod options;
mod own;
mod reader;
mod recall;
mod recurrence;
mod score;
mod score_drawn;
mod speaker;
mod steps;
mod store;
mod table;
mod text;
mod voice;

use std::path::Path;

#[doc(hidden)]
pub use discriminator::Labelled;
pub use faces::{FaceRow, Written};
pub use gallery::Gallery;
#[doc(hidden)]
pub use import::{PhraseReport, import};
pub use kaomoji::Kaomoji;
pub use learn::{Found, LearnState, LearnTick, Learner, Part, Words};
pub use memory::{Drawn, Memory, Origin};
pub use options::LearnOptions;
pub use own::{has_phrases, load};
pub use recall::{Recall, Recalled};
#[doc(hidden)]
pub use score::{WordScores, score};
#[doc(hidden)]
pub use score_drawn::{DrawnRow, score_drawn};
pub use store::{read_learnt, write_learnt};
pub use table::{Idea, Language, Phrase, Phrases, Register};
pub use text::{MAX_PHRASE_CHARS, Token, tokens};
pub use voice::{Said, Wanted, new_phrases, phrases_of};

use crate::data::DataError;
use crate::data::index::Store;

/// Tables that `demotic data import --phrases` made of published lists; whose they are is in `NOTICE` there.
static TABLE: &[u8] = include_bytes!("../../assets/phrases/phrases.tsv.gz");
static FACES: &[u8] = include_bytes!("../../assets/phrases/kaomoji.tsv.gz");
/// Named in messages.
const BUILT_IN: &str = "phrases (built in)";

/// The built-in emoji, in the order of their index.
pub(crate) fn emoji_ideas() -> Result<Vec<Idea>, DataError> {
    let items = Store::Embedded.index()?.items.into_iter();
    Ok(items
        .map(|item| Idea {
            key: item.key,
            name: item.name,
        })
        .collect())
}

/// The built-in phrases of `ideas`.
pub(crate) fn built_in(ideas: Vec<Idea>) -> Result<Phrases, DataError> {
    Phrases::read_table(TABLE, ideas, Path::new(BUILT_IN))
}

/// The built-in kaomoji.
///
/// # Errors
/// [`DataError::Phrases`] where the table that is built in is damaged: a test reads it.
pub fn kaomoji() -> Result<Kaomoji, DataError> {
    Ok(Kaomoji::new(&kaomoji::read_table(
        FACES,
        Path::new(BUILT_IN),
    )?))
}

#[cfg(test)]
mod tests {
    use super::text::fold;
    use super::*;

    #[test]
    fn what_is_built_in_is_small_and_has_every_phrase_of_the_own_list() {
        let bytes = TABLE.len() + FACES.len();
        assert!(bytes <= 150 << 10, "{bytes} bytes");
        let table = built_in(emoji_ideas().expect("built in")).expect("built in");
        let list = include_str!("../../assets/phrases/colloquial.tsv");
        for line in list.lines().skip(1) {
            let cells: Vec<&str> = line.split('\t').collect();
            let place = table.place(&import::key_of(cells[0]));
            let idea = place.unwrap_or_else(|| panic!("no emoji that is built in: {line}"));
            let folded = fold(cells[3]);
            let found = table
                .of_idea(idea)
                .find(|phrase| phrase.language.name() == cells[1] && fold(&phrase.text) == folded);
            let found = found.unwrap_or_else(|| panic!("not packed, see README.md there: {line}"));
            assert!(found.register != Register::Tag, "{line}");
            assert!(
                found.register != Register::Rude || cells[2] == "1",
                "{line}"
            );
        }
    }
}
