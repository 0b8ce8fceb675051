//! A sheet of the pictures of `demotic draw`.

use std::path::Path;

use anyhow::Result;
use demotic_core::data::{Channels, Picture};
use demotic_core::phrase::{Drawn, Phrases};

use super::words::Answer;
use crate::sheet::{self, Block, Names};

/// Pictures side by side where each phrase has one.
const ACROSS: usize = 6;

/// In pixels.
pub(super) fn longer_side(picture: &Picture) -> u32 {
    picture.width_px.max(picture.height_px)
}

/// What a phrase has on a sheet.
struct Line<'a> {
    /// Of the phrase, from 0.
    number: usize,
    answer: &'a Answer,
    /// `[3, side, side]` each, in [-1, 1].
    pictures: &'a [Vec<f32>],
}

/// Writes a sheet of several pictures: six a line where each phrase has one, else a line for each. Says what
/// stands for phrases whose letters cannot be drawn.
pub(super) fn write_sheet(
    table: &Phrases,
    answers: &[Answer],
    drawn: &[Vec<Drawn>],
    made: &[Picture],
    background: [u8; 3],
    out: &Path,
) -> Result<Option<String>> {
    let side = made.iter().map(longer_side).max().unwrap_or(1);
    let planes: Vec<Vec<f32>> = made
        .iter()
        .map(|picture| picture.fit(side).planes(Channels::Rgb, background))
        .collect();
    let (mut lines, mut rest) = (Vec::new(), &planes[..]);
    for (number, (answer, drawn)) in answers.iter().zip(drawn).enumerate() {
        let (pictures, others) = rest.split_at(drawn.len());
        rest = others;
        if !pictures.is_empty() {
            lines.push(Line {
                number,
                answer,
                pictures,
            });
        }
    }
    let phrases = lines
        .iter()
        .map(|line| (line.number, line.answer.phrase.as_str()));
    let names = Names::numbered("phrase", phrases);
    let blocks: Vec<Block<'_>> = if lines.iter().all(|line| line.pictures.len() == 1) {
        lines.chunks(ACROSS).map(side_by_side).collect()
    } else {
        lines.iter().map(|line| block(table, line)).collect()
    };
    let sheet = sheet::draw(&blocks, side as usize, false, &names);
    sheet::save(&sheet, out)?;
    Ok(names.legend())
}

/// Phrases with one picture each, the phrase over it.
fn side_by_side<'a>(lines: &[Line<'a>]) -> Block<'a> {
    let phrases = lines.iter().map(|line| line.answer.phrase.clone());
    let pictures = lines.iter().map(|line| Some(line.pictures[0].as_slice()));
    Block {
        title: String::new(),
        columns: phrases.collect(),
        rows: vec![pictures.collect()],
    }
}

/// One phrase, with the ideas' names over its pictures.
fn block<'a>(table: &Phrases, line: &Line<'a>) -> Block<'a> {
    let ranked = line.answer.ranked.iter().take(line.pictures.len());
    let names = ranked.map(|recalled| table.ideas()[recalled.idea].name.clone());
    let pictures = line.pictures.iter().map(|picture| Some(picture.as_slice()));
    Block {
        title: line.answer.phrase.clone(),
        columns: names.collect(),
        rows: vec![pictures.collect()],
    }
}
