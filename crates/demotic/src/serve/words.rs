//! Words on the page: a phrase, the ideas it recalls, and a built-in drawing of each to begin from.

use std::path::Path;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use demotic_core::data::{Dataset, DatasetOptions};
use demotic_core::phrase::{self, MAX_PHRASE_CHARS, Phrases, Recall, Register};
use image::ExtendedColorType;
use serde_json::{Value, json};

use crate::failure::input;
use crate::sheet;

/// Most bytes of a phrase: four a letter.
pub(super) const PHRASE_BYTES: usize = 4 * MAX_PHRASE_CHARS;
/// Whose drawings are begun from.
const DRAWN_BY: &str = "openmoji";
/// Their side.
const SIDE_PX: u32 = 128;
/// Ideas that are offered.
const IDEAS: usize = 5;

/// The built-in phrases and drawings: some 100 MB, held from the first phrase on.
pub(super) struct Words {
    table: Phrases,
    recall: Recall,
    drawings: Dataset,
}

impl Words {
    /// Reads phrases, rude ones left out, and drawings.
    ///
    /// # Errors
    /// Where what is built in is damaged: a test reads it.
    pub(super) fn open() -> Result<Self> {
        let table = phrase::load("emoji")?.filtered(|phrase| phrase.register != Register::Rude);
        let options = DatasetOptions {
            size_px: SIDE_PX,
            // A data set has two styles at least.
            styles: vec![DRAWN_BY.to_owned(), "openmoji-line".to_owned()],
            ..DatasetOptions::default()
        };
        Ok(Self {
            recall: Recall::new(&table),
            drawings: Dataset::load("emoji", &options)?,
            table,
        })
    }

    /// The ideas that a phrase recalls, best first, each with its drawing; whether the best is near enough to
    /// be taken.
    ///
    /// # Errors
    /// What is no phrase.
    pub(super) fn answer(&self, bytes: &[u8]) -> Result<Value> {
        let phrase = std::str::from_utf8(bytes)
            .map_err(|e| input(format!("the phrase is not UTF-8: {e}")))?
            .trim();
        if phrase.chars().count() > MAX_PHRASE_CHARS || phrase::tokens(phrase).is_empty() {
            return Err(input(format!(
                "expected words or emoji, at most {MAX_PHRASE_CHARS} letters"
            )));
        }
        let ranked = self.recall.rank(phrase);
        let floor = self.recall.floor(phrase);
        let is_known = ranked.iter().any(|recalled| recalled.similarity >= floor);
        let mut ideas = Vec::new();
        for recalled in ranked.iter().filter(|recalled| recalled.similarity > 0.0) {
            let idea = &self.table.ideas()[recalled.idea];
            if let Some(png) = self.drawing(&idea.key)? {
                ideas.push(json!({
                    "name": idea.name,
                    "emoji": idea.emoji(),
                    "percent": (100.0 * recalled.prob).round(),
                    "picture": format!("data:image/png;base64,{}", STANDARD.encode(png)),
                }));
            }
            if ideas.len() == IDEAS {
                break;
            }
        }
        Ok(json!({"is_known": is_known, "ideas": ideas}))
    }

    fn drawing(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let mut items = 0..self.drawings.item_count();
        let item = items.find(|&item| self.drawings.item_key(item) == key);
        let Some(item) = item.filter(|&item| self.drawings.has_picture(0, item)) else {
            return Ok(None);
        };
        let drawn = sheet::picture(&self.drawings.picture(0, item), SIDE_PX as usize);
        let kind = ExtendedColorType::Rgb8;
        sheet::png(drawn.as_raw(), SIDE_PX, SIDE_PX, kind, Path::new(key)).map(Some)
    }
}
