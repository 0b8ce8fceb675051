//! Pictures made of characters for what a phrase recalls: listed ones, and ones that are made up.

use demotic_core::number::Real;
use demotic_core::phrase::{Kaomoji, Phrases, Words, Written};

use super::words::Answer;

/// Ideas whose phrases a kaomoji is chosen by.
const IDEAS: usize = 3;

/// Kaomoji for one phrase.
#[derive(Default)]
pub(super) struct Faces {
    /// The nearest listed ones.
    pub(super) listed: Vec<String>,
    /// Made up for the same, where a run has learnt it.
    pub(super) written: Vec<Written>,
}

impl Faces {
    /// Those whose words are nearest to the phrase and to what the recalled ideas are called.
    pub(super) fn of(
        all: &Kaomoji,
        table: &Phrases,
        learnt: Option<&Words>,
        answer: &Answer,
        count: usize,
    ) -> Self {
        let mut phrases = vec![(answer.phrase.as_str(), 1.0)];
        for recalled in answer.ranked.iter().take(IDEAS) {
            let own: Vec<_> = table.of_idea(recalled.idea).collect();
            let weight = recalled.prob / own.len().max(1).to_f32();
            phrases.extend(own.iter().map(|phrase| (phrase.text.as_str(), weight)));
        }
        let nearest = all.nearest(&phrases, count).into_iter();
        let written = learnt.zip(all.nearest_words(&phrases));
        Self {
            listed: nearest.map(|(face, _)| face.to_owned()).collect(),
            written: written.map_or_else(Vec::new, |(learnt, words)| learnt.write(words, count)),
        }
    }

    /// As the screen has them.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let listed = self.listed.iter().map(|face| format!("  {face}"));
        let written = self.written.iter();
        listed.chain(written.map(|one| format!("  {}  new, {:.2} real", one.face, one.real)))
    }

    /// As a file has them: a line each.
    pub(super) fn text(&self) -> String {
        let written = self.written.iter().map(|one| &one.face);
        let all = self.listed.iter().chain(written);
        all.flat_map(|face| [face.as_str(), "\n"]).collect()
    }
}
