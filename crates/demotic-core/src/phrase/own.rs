//! Phrases of a data source: the built-in ones of every emoji, and those that a folder of one's own brings.
//!
//! `DIR/phrases.tsv` has lines `name <tab> language <tab> register <tab> phrase`; `DIR/<style>/<name>.txt`
//! has one phrase a line, what people say of the picture beside it. A picture's name is a phrase too, unless
//! it spells an emoji's codepoints.

use std::path::Path;

use super::table::{
    Idea, Language, Phrase, Phrases, Register, check_phrase, parse_language, parse_register,
};
use super::text::{fold, line_of};
use super::{built_in, emoji_ideas};
use crate::data::DataError;
use crate::data::source::{DataSource, PHRASES_FILE};

/// Where phrases of a folder come from, in tables.
const SOURCE: &str = "folder";
/// Most bytes of a file of phrases.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Phrases for a data source, as `--data` names one: the ideas of the built-in emoji with what is known of
/// them, and those of the source's own pictures.
///
/// # Errors
/// [`DataError`] for a source that is not there, and for a wrong line of its phrases.
pub fn load(source: &str) -> Result<Phrases, DataError> {
    let mut ideas = emoji_ideas()?;
    let emoji = ideas.len();
    let found = DataSource::find(source)?;
    let own = found.items()?;
    let texts = found.texts()?;
    for (key, name) in &own {
        if !ideas[..emoji].iter().any(|idea| idea.key == *key) {
            ideas.push(Idea {
                key: key.clone(),
                name: name.clone(),
            });
        }
    }
    let mut table = built_in(ideas)?;
    let Some(folder) = found.folder() else {
        return Ok(table);
    };
    let mut phrases = Vec::new();
    let file = folder.join(PHRASES_FILE);
    if file.exists() {
        let bytes = read_file(&file)?;
        let of = |name: &str| table.place(name);
        phrases.extend(read_own(&bytes, &file, of)?);
    }
    for (key, _) in &own {
        let Some(idea) = table.place(key) else {
            continue;
        };
        let spoken = key.replace(['-', '_'], " ");
        if table.ideas()[idea].emoji().is_none() && !fold(&spoken).is_empty() {
            phrases.push(Phrase {
                idea,
                language: Language::of(&spoken),
                register: Register::Name,
                source: SOURCE.to_owned(),
                text: spoken,
            });
        }
        for path in texts.get(key).into_iter().flatten() {
            phrases.extend(read_beside(&read_file(path)?, path, idea)?);
        }
    }
    table.extend(phrases);
    Ok(table)
}

/// Whether any picture of a data source, by the keys of its items, has a phrase beside its own file's name.
pub fn has_phrases<'a>(table: &Phrases, mut keys: impl Iterator<Item = &'a str>) -> bool {
    keys.any(|key| {
        let idea = table.place(key);
        idea.is_some_and(|idea| {
            let mut own = table.of_idea(idea);
            own.any(|phrase| phrase.source != SOURCE || phrase.register != Register::Name)
        })
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, DataError> {
    let length = std::fs::metadata(path)
        .map_err(DataError::io("read phrases", path))?
        .len();
    if length > MAX_FILE_BYTES {
        return Err(DataError::Phrases {
            problem: format!("{length} bytes; at most {MAX_FILE_BYTES} are read"),
            line: 0,
            path: path.to_path_buf(),
        });
    }
    std::fs::read(path).map_err(DataError::io("read phrases", path))
}

/// Lines of a text, numbered from 1, without the byte order mark and the carriage returns that some editors
/// write.
fn lines<'a>(
    bytes: &'a [u8],
    path: &Path,
) -> Result<impl Iterator<Item = (usize, &'a str)>, DataError> {
    let text = std::str::from_utf8(bytes).map_err(|e| DataError::Phrases {
        problem: format!(
            "not UTF-8 (byte {:#04x}); save it as UTF-8",
            bytes[e.valid_up_to()]
        ),
        line: line_of(bytes, e.valid_up_to()),
        path: path.to_path_buf(),
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Ok(text
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim_end_matches('\r'))))
}

/// Reads `name language register phrase`; `place` gives the idea of a name. A first line with exactly these
/// four words, and empty lines, are passed over.
///
/// # Errors
/// [`DataError::Phrases`] with the line: other columns, an unknown language or register, a name that no
/// picture has, a line that is there twice, bytes that are not UTF-8.
pub(crate) fn read_own(
    bytes: &[u8],
    path: &Path,
    place: impl Fn(&str) -> Option<usize>,
) -> Result<Vec<Phrase>, DataError> {
    let fail = |line, problem: String| DataError::Phrases {
        problem,
        line,
        path: path.to_path_buf(),
    };
    let mut found = Vec::new();
    let mut seen = std::collections::BTreeMap::new();
    for (number, line) in lines(bytes, path)? {
        if line.is_empty() || number == 1 && line == "name\tlanguage\tregister\tphrase" {
            continue;
        }
        let cells: Vec<&str> = line.split('\t').collect();
        let [name, language, register, phrase] = cells[..] else {
            return Err(fail(
                number,
                format!(
                    "expected name, language, register and phrase with tabs between, got {} column(s)",
                    cells.len()
                ),
            ));
        };
        let Some(idea) = place(name) else {
            return Err(fail(
                number,
                format!("no picture is named `{name}`; expected a file name without its ending"),
            ));
        };
        let language = parse_language(language).map_err(|e| fail(number, e))?;
        let register = parse_register(register).map_err(|e| fail(number, e))?;
        check_phrase(phrase).map_err(|e| fail(number, e))?;
        let spelled = match fold(phrase) {
            folded if folded.is_empty() => {
                return Err(fail(number, format!("`{phrase}` has no letter")));
            }
            folded => folded,
        };
        if let Some(first) = seen.insert((idea, language, spelled), number) {
            return Err(fail(
                number,
                format!("`{name}` has this phrase already, on line {first}; keep one"),
            ));
        }
        found.push(Phrase {
            idea,
            language,
            register,
            source: SOURCE.to_owned(),
            text: phrase.to_owned(),
        });
    }
    Ok(found)
}

/// Reads the phrases beside a picture, one a line.
fn read_beside(bytes: &[u8], path: &Path, idea: usize) -> Result<Vec<Phrase>, DataError> {
    let mut found = Vec::new();
    for (number, line) in lines(bytes, path)? {
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        check_phrase(text).map_err(|problem| DataError::Phrases {
            problem,
            line: number,
            path: path.to_path_buf(),
        })?;
        found.push(Phrase {
            idea,
            language: Language::of(text),
            register: Register::Colloquial,
            source: SOURCE.to_owned(),
            text: text.to_owned(),
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<Phrase>, String> {
        let place = |name: &str| ["cat", "dog"].iter().position(|known| *known == name);
        read_own(text, Path::new("phrases.tsv"), place).map_err(|e| e.to_string())
    }

    #[test]
    fn phrases_of_a_folder_are_read_and_wrong_lines_named() {
        let whole = "\u{feff}name\tlanguage\tregister\tphrase\r\ncat\ten\tcolloquial\there kitty\r\n\ndog\tzh\tname\t小狗\n";
        let found = read(whole.as_bytes()).expect("it is whole");
        assert_eq!(
            found
                .iter()
                .map(|p| (p.idea, p.text.as_str()))
                .collect::<Vec<_>>(),
            [(0, "here kitty"), (1, "小狗")]
        );
        for (text, expected) in [
            (
                "cat\ten\tname",
                "line 1: expected name, language, register and phrase with tabs between, got 3",
            ),
            (
                "\ncat\tfr\tname\tchat",
                "line 2: language: expected en or zh, got `fr`",
            ),
            (
                "cat\ten\tslang\tx",
                "line 1: register: expected name, tag, colloquial or rude",
            ),
            ("cow\ten\tname\tcow", "line 1: no picture is named `cow`"),
            ("cat\ten\tname\t ", "line 1: the phrase is empty"),
            ("cat\ten\tname\t?!", "line 1: `?!` has no letter"),
            (
                "cat\ten\tname\tCats\ncat\ten\ttag\tcat!",
                "line 2: `cat` has this phrase already, on line 1",
            ),
        ] {
            let said = read(text.as_bytes()).expect_err("it is wrong");
            assert!(said.contains(expected), "{said}");
        }
        assert!(
            read(b"cat\ten\tname\ta\n\xff")
                .expect_err("bytes")
                .contains("line 2: not UTF-8 (byte 0xff)")
        );
        let long = format!("cat\ten\tname\t{}", "a".repeat(10_000));
        assert!(
            read(long.as_bytes())
                .expect_err("long")
                .contains("10000 letters; at most 200")
        );
    }
}
