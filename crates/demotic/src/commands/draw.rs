//! `demotic draw`: a phrase, the idea it recalls, and its picture in a style of a run.

use std::path::Path;

use anyhow::Result;
use demotic_core::files::{require_writable, write_whole};
use demotic_core::phrase::{self, Drawn, Origin, Phrases, Recall, Written};
use demotic_core::train::BUILT_IN;
use serde::Serialize;

use super::draw_kaomoji::Faces;
use super::draw_pictures::{Target, draw};
use super::learn_words;
use super::words::{self, Answer, LISTED_LEAST, Listed, in_words};
use crate::cli::DrawArgs;
use crate::failure::input;
use crate::inputs::refuse_other_kinds;
use crate::options::open_device;
use crate::output::{say, show};

/// The style that is made of characters.
const KAOMOJI: &str = "kaomoji";

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    phrase: &'a str,
    /// Whether it stands in a list.
    listed: bool,
    /// Whether the best idea is near enough.
    known: bool,
    recalled: Vec<Listed<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    drawn: Vec<ListedPicture<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    kaomoji: &'a [String],
    /// Those that are made up.
    #[serde(skip_serializing_if = "<[Written]>::is_empty")]
    written: &'a [Written],
}

/// A picture as it is listed.
#[derive(Serialize)]
struct ListedPicture<'a> {
    name: &'a str,
    /// `real`, or the style it was translated from.
    from: String,
    nearest_l1: f64,
}

/// Refuses options that do not go together.
fn check(args: &DrawArgs, is_text: bool) -> Result<()> {
    if args.out.is_some() && args.style.is_none() {
        return Err(input("--out: expected --to with it, the style to draw in"));
    }
    if args.style.is_some() && !is_text && args.out.is_none() {
        return Err(input("--to: expected --out with the picture's file"));
    }
    if args.size_px.is_some() && (is_text || args.style.is_none()) {
        return Err(input(
            "--size-px: expected --to with it, a style of pictures",
        ));
    }
    Ok(())
}

pub(crate) fn run(args: &DrawArgs) -> Result<()> {
    let phrases = words::phrases(&args.phrases, args.file.as_deref())?;
    let is_text = args.style.as_deref() == Some(KAOMOJI);
    check(args, is_text)?;
    if let Some(out) = args.out.as_deref().filter(|_| !is_text) {
        refuse_other_kinds(out)?;
    }
    let is_stdout = args.json.as_deref() == Some(Path::new("-"));
    let files = args
        .out
        .iter()
        .chain(args.json.iter().filter(|_| !is_stdout));
    for file in files {
        require_writable(file, args.force.force)?;
    }
    let run = &args.weights.run;
    // The weights in the program have learnt no words, and are read where they draw.
    let is_built_in = run == Path::new(BUILT_IN);
    let source = if is_built_in {
        "emoji".to_owned()
    } else {
        words::source(run)?
    };
    let table = words::table(&source, args.rude.rude)?;
    let recall = Recall::new(&table);
    let chosen = open_device(&args.device.device)?;
    let learnt = if is_built_in {
        None
    } else {
        learn_words::learnt(run, &chosen)?
    };
    let answers: Vec<Answer> = phrases
        .iter()
        .map(|p| Answer::new(&recall, learnt.as_ref(), p))
        .collect();
    let is_wanted = |answer: &Answer| args.anyway || answer.is_sure();
    let count = args.count as usize;

    let mut drawn: Vec<Vec<Drawn>> = answers.iter().map(|_| Vec::new()).collect();
    let mut faces: Vec<Faces> = answers.iter().map(|_| Faces::default()).collect();
    let mut done = String::new();
    if is_text {
        let all = phrase::kaomoji()?;
        for (answer, faces) in answers.iter().zip(&mut faces).filter(|(a, _)| is_wanted(a)) {
            *faces = Faces::of(&all, &table, learnt.as_ref(), answer, count);
        }
        if let Some(out) = &args.out {
            let texts: String = faces.iter().map(Faces::text).collect();
            write_whole(out, texts.as_bytes())?;
        }
    } else if let (Some(style), Some(out)) = (&args.style, &args.out) {
        let is_told = !is_stdout;
        let to = Target {
            run,
            style,
            out,
            is_told,
        };
        done = draw(args, &to, &chosen, &table, &answers, &mut drawn)?;
    }
    let lines = lines(&table, &answers, &drawn, &faces, LISTED_LEAST.max(count));
    let json = || -> Result<String> {
        let lines = lines.iter().map(serde_json::to_string);
        Ok(lines.collect::<Result<Vec<_>, _>>()?.join("\n") + "\n")
    };
    match &args.json {
        Some(_) if is_stdout => say(&json()?)?,
        Some(file) => write_whole(file, json()?.as_bytes())?,
        None => {}
    }
    if !is_stdout {
        // Of kaomoji, the number says how many faces one idea has.
        let ideas = if is_text { 1 } else { count };
        show(&(shown(&table, &answers, &drawn, &faces, ideas, args.anyway) + &done))?;
    }
    if !args.anyway {
        words::unknown(&table, &answers, "; --anyway draws it")?;
    }
    words::tell_of_quotes(&args.phrases);
    Ok(())
}

/// What is listed of each phrase, `count` ideas at most.
fn lines<'a>(
    table: &'a Phrases,
    answers: &'a [Answer],
    drawn: &'a [Vec<Drawn>],
    faces: &'a [Faces],
    count: usize,
) -> Vec<Line<'a>> {
    let each = answers.iter().zip(drawn).zip(faces);
    let line = |((answer, drawn), faces): ((&'a Answer, &'a Vec<Drawn>), &'a Faces)| {
        let drawn = drawn.iter().zip(&answer.ranked);
        let drawn = drawn.map(|(drawn, recalled)| ListedPicture {
            name: &table.ideas()[recalled.idea].name,
            from: from(&drawn.origin).to_owned(),
            nearest_l1: drawn.nearest_l1,
        });
        Line {
            phrase: &answer.phrase,
            listed: answer.listed,
            known: answer.is_sure(),
            recalled: words::listed(table, &answer.ranked, count),
            drawn: drawn.collect(),
            kaomoji: &faces.listed,
            written: &faces.written,
        }
    };
    each.map(line).collect()
}

/// What the screen shows; of each phrase `count` ideas at least.
fn shown(
    table: &Phrases,
    answers: &[Answer],
    drawn: &[Vec<Drawn>],
    faces: &[Faces],
    count: usize,
    anyway: bool,
) -> String {
    let mut lines: Vec<String> = Vec::new();
    for ((answer, drawn), faces) in answers.iter().zip(drawn).zip(faces) {
        if !anyway && !answer.is_sure() {
            continue;
        }
        let ranked = &answer.ranked;
        let also: Vec<String> = ranked
            .iter()
            .take(LISTED_LEAST.max(count))
            .enumerate()
            .skip(1)
            .filter(|(at, recalled)| *at < count || recalled.prob >= 0.005)
            .map(|(_, recalled)| in_words(table, recalled))
            .collect();
        let similarity = ranked[0].similarity;
        let how = if ranked[0].is_by_emoji() {
            "by the emoji itself".to_owned()
        } else if answer.listed {
            format!("listed, similarity {similarity:.2}")
        } else {
            format!("by likeness, similarity {similarity:.2}")
        };
        lines.push(format!(
            "{}: {}  ({how})",
            answer.phrase,
            in_words(table, &ranked[0])
        ));
        if !also.is_empty() {
            // A number and its unit stay in one line.
            let also = also.join(", ").replace(" %", "\u{a0}%");
            lines.push(format!("  also {also}"));
        }
        for (drawn, recalled) in drawn.iter().zip(ranked) {
            let name = &table.ideas()[recalled.idea].name;
            lines.push(match &drawn.origin {
                Origin::Real => format!("  {name}: the style's own drawing"),
                Origin::Translated(from) => format!(
                    "  {name}: drawn from {from}'s, translated; L1 {:.3} from the nearest training picture",
                    drawn.nearest_l1
                ),
            });
        }
        lines.extend(faces.lines());
    }
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

fn from(origin: &Origin) -> &str {
    match origin {
        Origin::Real => "real",
        Origin::Translated(style) => style,
    }
}
