//! What the commands of words share: phrases as they were typed, what they recall, and how that is printed.

use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use demotic_core::phrase::{self, MAX_PHRASE_CHARS, Phrases, Recall, Recalled, Register, Words};
use demotic_core::train::run::{Which, config as config_of, trained};
use serde::Serialize;

use crate::cli::{LanguageArg, RegisterArg};
use crate::failure::{input, io};

/// Most bytes of a file of phrases.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// Recalled ideas that are listed at least.
pub(super) const LISTED_LEAST: usize = 5;

impl From<LanguageArg> for phrase::Language {
    fn from(language: LanguageArg) -> Self {
        match language {
            LanguageArg::En => Self::En,
            LanguageArg::Zh => Self::Zh,
        }
    }
}

impl From<RegisterArg> for Register {
    fn from(register: RegisterArg) -> Self {
        match register {
            RegisterArg::Name => Self::Name,
            RegisterArg::Colloquial => Self::Colloquial,
        }
    }
}

/// The pictures of a run, of weights without a run, or of the weights in the program.
pub(super) fn source(run: &Path) -> Result<String> {
    let config = if run.is_dir() {
        config_of(run)?
    } else {
        trained(run, Which::Latest)?.info.config
    };
    Ok(config.data.source)
}

/// Phrases of a data source; rude ones only where they are asked for.
pub(super) fn table(source: &str, rude: bool) -> Result<Phrases> {
    let all = phrase::load(source)?;
    Ok(if rude {
        all
    } else {
        all.filtered(|phrase| phrase.register != Register::Rude)
    })
}

/// Refuses what is no phrase.
fn check(phrase: &str, place: &str) -> Result<()> {
    let count = phrase.chars().count();
    let problem = if phrase.trim().is_empty() {
        "expected a phrase, got nothing".to_owned()
    } else if count > MAX_PHRASE_CHARS {
        format!("expected a phrase of at most {MAX_PHRASE_CHARS} letters, got {count}")
    } else if let Some(control) = phrase.trim().chars().find(|letter| letter.is_control()) {
        // It would reach the terminal with the phrase.
        format!("expected words in one line, got the control character {control:?}; leave it out")
    } else if phrase::tokens(phrase).is_empty() {
        format!("expected words or emoji, got `{}`", phrase.escape_debug())
    } else {
        return Ok(());
    };
    Err(input(format!("{problem}{place}")))
}

/// What is said where every phrase is a Latin word and there are several: most likely one phrase without its
/// quotes.
fn unquoted(typed: &[String]) -> Option<String> {
    let is_word = |text: &String| text.chars().all(|letter| letter.is_ascii_alphabetic());
    let (count, whole) = (typed.len(), typed.join(" "));
    (count > 1 && typed.iter().all(is_word))
        .then(|| format!("{count} phrases; quote them for one: '{whole}'"))
}

/// Says on standard error that one phrase may have been meant: once all is answered, for an error says more.
pub(super) fn tell_of_quotes(typed: &[String]) {
    if let Some(note) = unquoted(typed) {
        // A note that cannot be written is no error.
        let _ = writeln!(std::io::stderr(), "{note}");
    }
}

/// The phrases typed, then those of a file, a line each.
pub(super) fn phrases(typed: &[String], file: Option<&Path>) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for phrase in typed {
        check(phrase, "")?;
        all.push(phrase.trim().to_owned());
    }
    let Some(file) = file else {
        return Ok(all);
    };
    let length = match std::fs::metadata(file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(input(format!(
                "there is no such file of phrases: {}",
                file.display()
            )));
        }
        Ok(meta) if meta.is_dir() => {
            return Err(input(format!(
                "expected a file of phrases, got a folder: {}",
                file.display()
            )));
        }
        metadata => metadata
            .map_err(|e| io("look at the phrases", file, &e))?
            .len(),
    };
    if length > MAX_FILE_BYTES {
        return Err(input(format!(
            "a file of {length} bytes; at most {MAX_FILE_BYTES} are read: {}",
            file.display()
        )));
    }
    let bytes = std::fs::read(file).map_err(|e| io("read the phrases", file, &e))?;
    let text = std::str::from_utf8(&bytes).map_err(|e| {
        let line = bytes[..e.valid_up_to()].split(|b| *b == b'\n').count();
        input(format!(
            "line {line} is not UTF-8; save the file as UTF-8: {}",
            file.display()
        ))
    })?;
    let before = all.len();
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() {
            check(line, &format!(" on line {}: {}", at + 1, file.display()))?;
            all.push(line.to_owned());
        }
    }
    if all.len() == before {
        return Err(input(format!("no phrase in this file: {}", file.display())));
    }
    Ok(all)
}

/// What a phrase recalls.
pub(super) struct Answer {
    pub(super) phrase: String,
    /// Best first.
    pub(super) ranked: Vec<Recalled>,
    /// Whether the phrase stands in a list.
    pub(super) listed: bool,
    /// Similarity from which on an idea is near enough.
    floor: f32,
}

impl Answer {
    /// By what the run has learnt, where it has; else by TF-IDF alone.
    pub(super) fn new(recall: &Recall, learnt: Option<&Words>, phrase: &str) -> Self {
        Self {
            phrase: phrase.to_owned(),
            ranked: learnt.map_or_else(|| recall.rank(phrase), |words| words.rank(recall, phrase)),
            listed: !recall.known(phrase).is_empty(),
            floor: recall.floor(phrase),
        }
    }

    /// Whether an idea is near enough to be drawn.
    pub(super) fn is_sure(&self) -> bool {
        self.ranked
            .iter()
            .any(|recalled| recalled.similarity >= self.floor)
    }
}

/// A recalled idea as it is listed.
#[derive(Serialize)]
pub(super) struct Listed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    emoji: Option<String>,
    key: &'a str,
    name: &'a str,
    prob: f32,
    similarity: f32,
}

pub(super) fn listed<'a>(table: &'a Phrases, ranked: &[Recalled], count: usize) -> Vec<Listed<'a>> {
    let list = |recalled: &Recalled| {
        let idea = &table.ideas()[recalled.idea];
        Listed {
            emoji: idea.emoji(),
            key: &idea.key,
            name: &idea.name,
            prob: recalled.prob,
            similarity: recalled.similarity,
        }
    };
    ranked.iter().take(count).map(list).collect()
}

/// `😴 sleeping face  41 %`
pub(super) fn in_words(table: &Phrases, recalled: &Recalled) -> String {
    let idea = &table.ideas()[recalled.idea];
    format!(
        "{}{}  {:.0} %",
        sign(idea),
        idea.name,
        100.0 * recalled.prob
    )
}

/// An idea's emoji, where it has one, before its name.
fn sign(idea: &phrase::Idea) -> String {
    idea.emoji()
        .map_or_else(String::new, |emoji| format!("{emoji} "))
}

/// The failure of phrases that recall nothing near enough; none where there is none.
pub(super) fn unknown(table: &Phrases, answers: &[Answer], way_out: &str) -> Result<()> {
    let lines: Vec<String> = answers
        .iter()
        .filter(|answer| !answer.is_sure())
        .map(|answer| {
            let near = answer.ranked.first().filter(|best| best.similarity > 0.0);
            let phrase = &answer.phrase;
            near.map_or_else(
                || format!("nothing is known like `{phrase}`; expected English or Chinese words, or an emoji"),
                |best| {
                    let idea = &table.ideas()[best.idea];
                    format!(
                        "`{phrase}` is not known; nearest is {}{} (similarity {:.2}, below {}){way_out}",
                        sign(idea),
                        idea.name,
                        best.similarity,
                        answer.floor
                    )
                },
            )
        })
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    Err(anyhow::anyhow!(lines.join("\n")))
}
