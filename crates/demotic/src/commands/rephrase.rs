//! `demotic rephrase`: a phrase, the ideas it recalls, and what they are called in another register.

use anyhow::Result;
use demotic_core::phrase::{self, Language, Recall, Said, Wanted};
use serde::Serialize;

use super::say::{lines_of, said_at_most};
use super::words::{self, Answer, LISTED_LEAST, Listed, in_words};
use crate::cli::RephraseArgs;
use crate::output::{say, show};

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    phrase: &'a str,
    known: bool,
    recalled: Vec<Listed<'a>>,
    said: Vec<Said>,
}

pub(crate) fn run(args: &RephraseArgs) -> Result<()> {
    let phrases = words::phrases(&args.phrases, None)?;
    let table = words::table("emoji", args.said.rude.rude)?;
    let recall = Recall::new(&table);
    let answers: Vec<Answer> = phrases
        .iter()
        .map(|p| Answer::new(&recall, None, p))
        .collect();
    let count = said_at_most(args.said.count);
    let (mut text, mut json) = (Vec::new(), Vec::new());
    for answer in &answers {
        let is_wanted = args.anyway || answer.is_sure();
        let wanted = Wanted {
            language: Some(
                args.lang
                    .map_or_else(|| Language::of(&answer.phrase), Into::into),
            ),
            register: Some(args.to.into()),
            but: Some(&answer.phrase),
        };
        let said = if is_wanted {
            phrase::phrases_of(&table, &recall, &answer.ranked, wanted, count)
        } else {
            Vec::new()
        };
        if is_wanted {
            let first = in_words(&table, &answer.ranked[0]);
            text.push(format!("{}: {first}", answer.phrase));
            text.extend(lines_of(&said, args.said.count));
        }
        json.push(serde_json::to_string(&Line {
            phrase: &answer.phrase,
            known: answer.is_sure(),
            recalled: words::listed(&table, &answer.ranked, LISTED_LEAST),
            said,
        })?);
    }
    let mut lines = if args.json { json } else { text };
    lines.push(String::new());
    let lines = lines.join("\n");
    if args.json {
        say(&lines)?;
    } else {
        show(&lines)?;
    }
    if !args.anyway {
        words::unknown(&table, &answers, "; --anyway answers for it")?;
    }
    words::tell_of_quotes(&args.phrases);
    Ok(())
}
