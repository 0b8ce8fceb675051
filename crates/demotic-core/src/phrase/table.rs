//! Phrases of ideas, as they are stored: `key language register source phrase`, in a gzipped file that is
//! built in, or in a folder of one's own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use serde::Serialize;

use super::text::{MAX_PHRASE_CHARS, fold, is_han};
use crate::data::DataError;

/// Most bytes of a table of phrases, unpacked.
const MAX_TABLE_BYTES: u64 = 64 << 20;
/// First line of a table.
pub(super) const HEADER: &str = "key\tlanguage\tregister\tsource\tphrases";
/// Between phrases that share the other columns.
pub(super) const SEPARATOR: char = '|';

/// A language that phrases are known in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    En,
    /// Chinese, in simplified characters.
    Zh,
}

impl Language {
    /// Both.
    pub const ALL: [Self; 2] = [Self::En, Self::Zh];

    /// `en` or `zh`.
    pub fn name(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    /// The language of a phrase by its script: Chinese where it has a Chinese character.
    pub fn of(phrase: &str) -> Self {
        if phrase.chars().any(is_han) {
            Self::Zh
        } else {
            Self::En
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|language| language.name() == text)
    }
}

/// How a phrase is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Register {
    /// The formal name of an idea.
    Name,
    /// What people say.
    Colloquial,
    /// What people say and some mind: left out unless asked for.
    Rude,
    /// A word that an idea is found by.
    Tag,
}

impl Register {
    /// All, the most telling first: where an idea has a phrase twice, the first register stays.
    const ALL: [Self; 4] = [Self::Name, Self::Colloquial, Self::Rude, Self::Tag];

    /// Lower-case name, as in the files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Colloquial => "colloquial",
            Self::Rude => "rude",
            Self::Tag => "tag",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|register| register.name() == text)
    }
}

/// What a picture can mean: one emoji, or one picture's name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Idea {
    /// Codepoints in lower-case hexadecimal, or the file name without ending.
    pub key: String,
    /// In English words.
    pub name: String,
}

impl Idea {
    /// The emoji that the key spells, if it does.
    pub fn emoji(&self) -> Option<String> {
        let letters = self.key.split('-').map(|part| {
            let is_codepoint = part.len() >= 4 && part.bytes().all(|b| b.is_ascii_hexdigit());
            is_codepoint
                .then(|| u32::from_str_radix(part, 16).ok().and_then(char::from_u32))
                .flatten()
        });
        letters.collect()
    }
}

/// One phrase of one idea.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase {
    /// Index of the idea.
    pub idea: usize,
    /// The language of its words.
    pub language: Language,
    /// How it is used.
    pub register: Register,
    /// Who wrote it down, such as `cldr`.
    pub source: String,
    /// As people write it.
    pub text: String,
}

/// Ideas and their phrases, each phrase once an idea and language.
#[derive(Debug, Clone, Default)]
pub struct Phrases {
    ideas: Vec<Idea>,
    places: BTreeMap<String, usize>,
    rows: Vec<Phrase>,
}

impl Phrases {
    /// Ideas without a phrase.
    pub(crate) fn of_ideas(ideas: Vec<Idea>) -> Self {
        let places = ideas.iter().enumerate();
        let places = places.map(|(at, idea)| (idea.key.clone(), at)).collect();
        Self {
            ideas,
            places,
            rows: Vec::new(),
        }
    }

    /// The ideas.
    pub fn ideas(&self) -> &[Idea] {
        &self.ideas
    }

    /// Index of the idea with a key.
    pub fn place(&self, key: &str) -> Option<usize> {
        self.places.get(key).copied()
    }

    /// The phrases, those of an idea one after the other.
    pub fn phrases(&self) -> &[Phrase] {
        &self.rows
    }

    /// Phrases of one idea.
    pub fn of_idea(&self, idea: usize) -> impl Iterator<Item = &Phrase> {
        let start = self.rows.partition_point(|phrase| phrase.idea < idea);
        self.rows[start..]
            .iter()
            .take_while(move |phrase| phrase.idea == idea)
    }

    /// Without those for which `keeps` does not hold.
    #[must_use]
    pub fn filtered(&self, keeps: impl Fn(&Phrase) -> bool) -> Self {
        let mut kept = self.clone();
        kept.rows.retain(|phrase| keeps(phrase));
        kept
    }

    /// Adds phrases and puts all in order: by idea, language, register, source, then as they came. Of two
    /// phrases of one idea and language that fold to the same key, the one of the more telling register
    /// stays; a phrase without letters goes.
    pub(crate) fn extend(&mut self, phrases: impl IntoIterator<Item = Phrase>) {
        self.rows.extend(phrases);
        let place = |phrase: &Phrase| (phrase.idea, phrase.language, phrase.register);
        self.rows.sort_by(|a, b| {
            let sources = || a.source.cmp(&b.source);
            place(a).cmp(&place(b)).then_with(sources)
        });
        let mut seen = BTreeSet::new();
        self.rows.retain(|phrase| {
            let folded = fold(&phrase.text);
            !folded.is_empty() && seen.insert((phrase.idea, phrase.language, folded))
        });
    }

    /// Reads a gzipped table for `ideas`; rows of other ideas are passed over.
    ///
    /// # Errors
    /// [`DataError::Phrases`] with the line that is wrong.
    pub(crate) fn read_table(
        bytes: &[u8],
        ideas: Vec<Idea>,
        path: &Path,
    ) -> Result<Self, DataError> {
        let mut text = String::new();
        let fail = |line, problem: String| DataError::Phrases {
            problem,
            line,
            path: path.to_path_buf(),
        };
        GzDecoder::new(bytes)
            .take(MAX_TABLE_BYTES)
            .read_to_string(&mut text)
            .map_err(|e| fail(0, format!("not a gzipped text in UTF-8 ({e})")))?;
        let mut table = Self::of_ideas(ideas);
        let mut lines = text.lines().enumerate();
        if lines.next().is_none_or(|(_, first)| first != HEADER) {
            return Err(fail(
                1,
                format!("expected the line `{}`", HEADER.replace('\t', "<tab>")),
            ));
        }
        let mut above: [&str; 4] = [""; 4];
        let mut found = Vec::new();
        for (number, line) in lines {
            let cells: Vec<&str> = line.split('\t').collect();
            let [key, language, register, source, phrases] = cells[..] else {
                return Err(fail(
                    number + 1,
                    format!("expected 5 columns with tabs between, got {}", cells.len()),
                ));
            };
            // An empty cell repeats the one above.
            for (kept, cell) in above.iter_mut().zip([key, language, register, source]) {
                if !cell.is_empty() {
                    *kept = cell;
                }
            }
            let [key, language, register, source] = above;
            let language = parse_language(language).map_err(|e| fail(number + 1, e))?;
            let register = parse_register(register).map_err(|e| fail(number + 1, e))?;
            if source.is_empty() {
                return Err(fail(number + 1, "source: expected a name".to_owned()));
            }
            let Some(idea) = table.place(key) else {
                continue;
            };
            for text in phrases.split(SEPARATOR) {
                check_phrase(text).map_err(|e| fail(number + 1, e))?;
                found.push(Phrase {
                    idea,
                    language,
                    register,
                    source: source.to_owned(),
                    text: text.to_owned(),
                });
            }
        }
        table.extend(found);
        Ok(table)
    }

    /// The table as a text: see [`Self::read_table`].
    pub(crate) fn to_table(&self) -> String {
        let mut rows: BTreeMap<(Language, usize, Register, &str), Vec<&str>> = BTreeMap::new();
        for phrase in &self.rows {
            let row = (
                phrase.language,
                phrase.idea,
                phrase.register,
                phrase.source.as_str(),
            );
            rows.entry(row).or_default().push(&phrase.text);
        }
        let mut text = format!("{HEADER}\n");
        let mut above = ["", "", "", ""];
        for ((language, idea, register, source), phrases) in rows {
            let cells = [
                self.ideas[idea].key.as_str(),
                language.name(),
                register.name(),
                source,
            ];
            for (kept, cell) in above.iter_mut().zip(cells) {
                if *kept != cell {
                    text.push_str(cell);
                    *kept = cell;
                }
                text.push('\t');
            }
            text.push_str(&phrases.join(&SEPARATOR.to_string()));
            text.push('\n');
        }
        text
    }
}

/// A language by its name, or what is wrong with it.
pub(super) fn parse_language(text: &str) -> Result<Language, String> {
    Language::parse(text).ok_or_else(|| format!("language: expected en or zh, got `{text}`"))
}

/// A register by its name, or what is wrong with it.
pub(super) fn parse_register(text: &str) -> Result<Register, String> {
    Register::parse(text)
        .ok_or_else(|| format!("register: expected name, tag, colloquial or rude, got `{text}`"))
}

/// What is wrong with a phrase that stands in a file, if anything.
pub(super) fn check_phrase(text: &str) -> Result<(), String> {
    let count = text.chars().count();
    if text.trim().is_empty() {
        return Err("the phrase is empty".into());
    }
    if count > MAX_PHRASE_CHARS {
        return Err(format!(
            "a phrase of {count} letters; at most {MAX_PHRASE_CHARS} are read"
        ));
    }
    if let Some(control) = text.chars().find(|letter| letter.is_control()) {
        return Err(format!("a phrase with the control character {control:?}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn ideas() -> Vec<Idea> {
        let idea = |key: &str, name: &str| Idea {
            key: key.into(),
            name: name.into(),
        };
        vec![
            idea("1f634", "sleeping face"),
            idea("1f602", "face with tears of joy"),
        ]
    }

    fn packed(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder
            .write_all(text.as_bytes())
            .expect("memory takes all");
        encoder.finish().expect("memory takes all")
    }

    fn read(text: &str) -> Result<Phrases, String> {
        Phrases::read_table(&packed(text), ideas(), Path::new("table")).map_err(|e| e.to_string())
    }

    #[test]
    fn a_table_reads_back_as_itself_with_repeated_cells_left_out() {
        let text = format!(
            "{HEADER}\n1f634\ten\tname\tcldr\tsleeping face\n\t\tcolloquial\town\tso tired|dead tired\n1f602\t\t\t\ti'm dead\n\tzh\t\t\t笑死\n"
        );
        let table = read(&text).expect("it is whole");
        assert_eq!(table.phrases().len(), 5);
        assert_eq!(table.to_table(), text);
        // Sources in any order are put in one.
        let text = format!("{HEADER}\n1f602\ten\ttag\tb\tlaugh\n\t\t\ta\tjoy\n");
        let mixed = read(&text).expect("it is whole");
        let again = read(&mixed.to_table()).expect("it was written");
        assert_eq!(again.phrases(), mixed.phrases());
        let of: Vec<&str> = table
            .of_idea(1)
            .map(|phrase| phrase.text.as_str())
            .collect();
        assert_eq!(of, ["i'm dead", "笑死"]);
        assert_eq!(table.ideas()[1].emoji().as_deref(), Some("😂"));
        assert_eq!(
            Idea {
                key: "disc-01".into(),
                name: String::new()
            }
            .emoji(),
            None
        );
    }

    #[test]
    fn a_phrase_stays_once_an_idea_in_its_most_telling_register() {
        let text = format!(
            "{HEADER}\n1f634\ten\ttag\ta\tSleepy!|:-)\n1f634\ten\tcolloquial\tb\tsleepy\n1f602\ten\ttag\ta\tsleepy\nffff\ten\ttag\ta\tx\n"
        );
        let table = read(&text).expect("it is whole");
        let kept: Vec<(usize, Register)> = table
            .phrases()
            .iter()
            .map(|phrase| (phrase.idea, phrase.register))
            .collect();
        assert_eq!(kept, [(0, Register::Colloquial), (1, Register::Tag)]);
    }

    #[test]
    fn wrong_tables_are_refused_by_line() {
        for (text, expected) in [
            ("x\n".to_owned(), "line 1: expected the line `key<tab>"),
            (
                format!("{HEADER}\na\tb\n"),
                "line 2: expected 5 columns with tabs between, got 2",
            ),
            (
                format!("{HEADER}\n1f634\tla\tname\ts\tx\n"),
                "line 2: language: expected en or zh, got `la`",
            ),
            (
                format!("{HEADER}\n1f634\ten\ttag\ts\ta||b\n"),
                "line 2: the phrase is empty",
            ),
        ] {
            let said = read(&text).expect_err("it is wrong");
            assert!(said.contains(expected), "{said}");
        }
        let said = Phrases::read_table(b"no gzip", ideas(), Path::new("table"));
        assert!(said.is_err_and(|e| e.to_string().contains("not a gzipped text")));
    }
}
