//! How well drawn phrases are recognised, by eyes that know real drawings alone.

use std::collections::BTreeSet;

use burn::tensor::Device;
use serde::Serialize;

use super::gallery::Gallery;
use super::learn::Words;
use super::memory::{Memory, Origin};
use super::recall::Recall;
use super::score::RESAMPLES;
use super::table::{Phrases, Register};
use super::text::{fold, split_of_phrase};
use crate::data::{Dataset, Split};
use crate::error::Error;
use crate::metric::{Bootstrap, Estimate, LEAST_SET, Seen, kernel_distance, pooled};
use crate::model::Generator;
use crate::rng::{Rng, Stream};
use crate::settings::Config;
use crate::table::{Cell, Column, Table};
use crate::translate::{CodeSource, style_codes};

/// Phrases of each kind that are drawn in each style.
const PHRASES: usize = 150;

/// Phrases drawn in one style.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DrawnRow {
    /// The style asked for.
    pub style: String,
    /// The style whose drawings were translated.
    pub from: String,
    /// Split of the phrases: those of training are in the lists that were looked through.
    pub split: Split,
    /// How many.
    pub phrases: usize,
    /// Share whose recalled idea is right: no picture can do better.
    pub recalled: f64,
    /// Share whose picture is taken for a right idea first, with the 95 % interval over phrases.
    pub recognised: Estimate,
    /// The same of the style's own drawings of the recalled ideas: what a perfect translation would reach.
    pub real: f64,
    /// 1000 times the kernel distance of the pictures to the style's own of the same ideas, each idea once;
    /// `None` of too few.
    pub kid: Option<f64>,
    /// Mean of the smallest L1 to a training picture of the style; 0 would be copies.
    pub nearest_l1: f64,
}

/// Draws phrases of training and of `split` in every style of a run, and has the pictures recognised: by the
/// built-in feature network and the built-in drawings, without those of the style asked for and of the style
/// that was translated.
///
/// # Errors
/// [`Error`] where the built-in drawings are damaged or the styles have no codes.
pub fn score_drawn(
    table: &Phrases,
    words: Option<&Words>,
    (generator, config, device): (&Generator, &Config, &Device),
    dataset: &Dataset,
    split: Split,
) -> Result<Vec<DrawnRow>, Error> {
    let table = table.filtered(|phrase| phrase.register != Register::Rude);
    let training = table.filtered(|phrase| split_of_phrase(&fold(&phrase.text)) == Split::Train);
    let recall = Recall::new(&training);
    let all = Recall::new(&table);
    let mut rows = Vec::new();
    for (number, info) in dataset.styles().iter().enumerate() {
        let memory = Memory::new(generator, config, device, dataset, None, number);
        let Some(from) = memory.source().map(str::to_owned) else {
            continue;
        };
        let gallery = Gallery::built_in_but(&table, &[&info.name, &from])?;
        let code = style_codes(
            generator,
            config,
            device,
            number as u32,
            1,
            &CodeSource::Typical,
        )?;
        for of in [Split::Train, split] {
            let own: Vec<&str> = table
                .phrases()
                .iter()
                .map(|phrase| phrase.text.as_str())
                .filter(|text| split_of_phrase(&fold(text)) == of)
                .collect();
            let mut rng = Rng::new(0, Stream::SCORED.lane(35), u64::from(of == Split::Train));
            let order = rng.permutation(own.len());
            let texts: Vec<&str> = order
                .iter()
                .take(PHRASES)
                .map(|at| own[*at as usize])
                .collect();
            let bags = words.map(|words| words.log_probs(&texts));
            let (mut recalled, mut real, mut nearest) = (0.0, 0.0, 0.0);
            let mut hits = Vec::new();
            let (mut ideas, mut sets) = (BTreeSet::new(), [Vec::new(), Vec::new()]);
            for (at, text) in texts.iter().enumerate() {
                let ranked = match words.zip(bags.as_ref()) {
                    Some((words, bags)) => words.blended(&bags[at], &recall.likeness(text)),
                    None => recall.rank(text),
                };
                let right = all.known(text);
                let is_right = |idea: usize| f64::from(u8::from(right.contains(&(idea as u32))));
                let idea = ranked[0].idea;
                let key = &table.ideas()[idea].key;
                let Some(drawn) = memory.draw(key, &code, false) else {
                    continue;
                };
                let seen = |picture: &[f32]| pooled(picture, dataset.size_px() as usize);
                let shows = |seen: &[f32]| gallery.rank_look(&gallery.look_at(seen))[0].idea;
                recalled += is_right(idea);
                let seen_drawn = seen(&drawn.picture);
                hits.push(is_right(shows(&seen_drawn)));
                nearest += drawn.nearest_l1;
                if let Some(own) = memory.draw(key, &code, true) {
                    let seen_own = seen(&own.picture);
                    real += is_right(shows(&seen_own));
                    // Another phrase for the idea is drawn the same.
                    if own.origin == Origin::Real && ideas.insert(idea) {
                        sets[0].extend(seen_drawn);
                        sets[1].extend(seen_own);
                    }
                }
            }
            let pairs: Vec<Option<usize>> = (0..ideas.len()).map(Some).collect();
            let kid = (pairs.len() >= LEAST_SET)
                .then(|| kernel_distance(&sets[0], &sets[1], Seen::POOLED, &pairs));
            let n = hits.len() as f64;
            let units: Vec<usize> = (0..hits.len()).collect();
            let spread = Bootstrap::new(hits.len(), RESAMPLES, 0).mean(&hits, &units);
            let Some(spread) = spread else { continue };
            rows.push(DrawnRow {
                style: info.name.clone(),
                from: from.clone(),
                split: of,
                phrases: hits.len(),
                recalled: recalled / n,
                recognised: spread.estimate(),
                real: real / n,
                kid: kid.flatten(),
                nearest_l1: nearest / n,
            });
        }
    }
    Ok(rows)
}

impl DrawnRow {
    /// A line a row.
    pub fn table(rows: &[Self]) -> Table {
        let mut table = Table::new([
            Column::text("drawn in").at_least(8),
            Column::text("from").at_least(8),
            Column::text("phrases"),
            Column::figure("n"),
            Column::figure("recalled"),
            Column::figure("recognised"),
            Column::figure("real ones"),
            Column::figure("KID").rank(2),
            Column::figure("nearest_l1").rank(1),
        ]);
        for row in rows {
            let Estimate { value, low, high } = row.recognised;
            let figure = |value: f64| Cell::from(format!("{value:.3}"));
            table.push([
                row.style.clone().into(),
                row.from.clone().into(),
                row.split.to_string().into(),
                row.phrases.to_string().into(),
                figure(row.recalled),
                Cell::interval([value, low, high], 3),
                figure(row.real),
                row.kid.map_or_else(|| "-".into(), figure),
                figure(row.nearest_l1),
            ]);
        }
        table
    }
}
