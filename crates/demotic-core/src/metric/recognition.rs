//! How well the discriminator's labels name the styles of real pictures.

use serde::{Deserialize, Serialize};

use super::interval::{Estimate, families};
use super::kid::LEAST_SET;
use crate::data::{Dataset, Split};
use crate::model::CHUNK;
use crate::number::Real;
use crate::recognize::Opinion;
use crate::table::{Cell, Column, Table, WHOLE};

/// Shares of real, held-out pictures and of their patches that the discriminator labels right, with 95 %
/// intervals over families.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recognition {
    /// One a style that has pictures.
    pub styles: Vec<StyleRecognition>,
    /// Over all pictures.
    pub all: Recognized,
}

/// Shares of one style's pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StyleRecognition {
    /// The style.
    pub style: String,
    /// Its pictures.
    pub n: usize,
    /// Their shares.
    pub shares: Recognized,
}

/// Shares, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recognized {
    /// Pictures whose style is right: see [`Opinion::style`].
    pub picture: Estimate,
    /// Patches whose most probable label is *real, the picture's style*.
    pub patch: Estimate,
    /// Patches of these real pictures whose most probable label is *fake*: false alarms.
    #[serde(alias = "made")]
    pub fake: Estimate,
}

/// Takes pictures as the network sees them, `[n, c, side, side]` in [-1, 1]; returns an opinion each.
pub type Recognizer<'a, E> = dyn FnMut(&[f32]) -> Result<Vec<Opinion>, E> + 'a;

/// Labels every real picture of `split`; styles without any are left out, and `None` is returned where all
/// are.
///
/// # Errors
/// What `recognizer` reports.
///
/// # Panics
/// If `recognizer` returns another number of opinions than it was given pictures.
#[doc(hidden)]
pub fn recognition<E>(
    dataset: &Dataset,
    split: Split,
    recognizer: &mut Recognizer<'_, E>,
) -> Result<Option<Recognition>, E> {
    let (numbers, bootstrap) = families(dataset, split);
    let mut all = Rows::default();
    let mut by_style = Vec::new();
    for style in 0..dataset.styles().len() {
        let mut rows = Rows::default();
        for items in dataset.items(style, split).chunks(CHUNK) {
            let opinions = recognizer(&dataset.network_pictures(style, items))?;
            assert_eq!(opinions.len(), items.len(), "an opinion a picture");
            for (opinion, &item) in opinions.iter().zip(items) {
                let share = |wanted: usize| {
                    let of = opinion.labels.iter().filter(|&&label| label == wanted);
                    of.count().to_f64() / opinion.labels.len().to_f64()
                };
                rows.picture
                    .push(f64::from(u8::from(opinion.style() == style)));
                rows.patch.push(share(1 + style));
                rows.fake.push(share(0));
                rows.families.push(numbers[dataset.item_family(item)]);
            }
        }
        all.extend(&rows);
        by_style.push(rows);
    }
    let shares = |rows: &Rows| {
        let mean = |values: &[f64]| Some(bootstrap.mean(values, &rows.families)?.estimate());
        Some(Recognized {
            picture: mean(&rows.picture)?,
            patch: mean(&rows.patch)?,
            fake: mean(&rows.fake)?,
        })
    };
    let styles: Vec<StyleRecognition> = by_style
        .iter()
        .zip(dataset.styles())
        .filter_map(|(rows, style)| {
            Some(StyleRecognition {
                style: style.name.clone(),
                n: rows.picture.len(),
                shares: shares(rows)?,
            })
        })
        .collect();
    Ok(shares(&all).map(|all| Recognition { styles, all }))
}

/// Shares by picture.
#[derive(Default)]
struct Rows {
    picture: Vec<f64>,
    patch: Vec<f64>,
    fake: Vec<f64>,
    families: Vec<usize>,
}

impl Rows {
    fn extend(&mut self, other: &Self) {
        self.picture.extend(&other.picture);
        self.patch.extend(&other.patch);
        self.fake.extend(&other.fake);
        self.families.extend(&other.families);
    }
}

impl Recognition {
    /// A row per style; of fewer pictures than [`LEAST_SET`] without intervals.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new([
            Column::text("real pictures of").at_least(8),
            Column::figure("n"),
            Column::figure("style right"),
            Column::figure("patches right"),
            Column::figure("called fake"),
        ]);
        let all = (
            "all".to_owned(),
            self.styles.iter().map(|s| s.n).sum::<usize>(),
            self.all,
        );
        let of_style = self.styles.iter().map(|s| (s.style.clone(), s.n, s.shares));
        for (name, n, shares) in of_style.chain([all]) {
            let share = |e: Estimate| {
                if n < LEAST_SET {
                    Cell::from(format!("{:.3}", e.value))
                } else {
                    Cell::interval([e.value, e.low, e.high], 3)
                }
            };
            let shares = [shares.picture, shares.patch, shares.fake].map(share);
            let cells = [Cell::from(name), Cell::from(n.to_string())];
            table.push(cells.into_iter().chain(shares));
        }
        table
    }
}

impl std::fmt::Display for Recognition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fitted = self.table().fitted(f.width().unwrap_or(WHOLE));
        let note = fitted.note();
        for line in fitted.lines.into_iter().chain(note) {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}
