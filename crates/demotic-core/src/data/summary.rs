//! What a data set holds, in words and as JSON: shown at the start of a run and by `demotic data inspect`.

use serde::{Deserialize, Serialize};

use super::layout;
use super::passed_over::PassedOver;
use super::source::StyleInfo;
use crate::table::{Column, TOPIC, Table, WHOLE};

/// What equal names mean for two styles: whether one was drawn over the other, by the mean overlap of
/// silhouettes over training pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PairKind {
    /// The same shapes in the same place: differences by pixel mean what they say.
    Aligned,
    /// The same idea drawn anew: differences by pixel also punish honest redrawing. Also if there is no
    /// training pair.
    Loose,
}

impl PairKind {
    /// Lower-case name, as in the files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Aligned => "aligned",
            Self::Loose => "loose",
        }
    }
}

impl std::fmt::Display for PairKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Most names of damaged pictures in a line of the summary.
const NAMES_SHOWN: usize = 20;
/// Most pairs of styles with a line of their own: those of eight styles.
const PAIRS_SHOWN: usize = 28;
/// Letters that names are shortened to at most, in a narrow terminal.
const NAME_LEAST: usize = 8;

/// What a data set holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatasetSummary {
    /// Where it came from.
    pub source: String,
    /// Side of a picture.
    pub size_px: u32,
    /// What transparent pixels show.
    pub background: [u8; 3],
    /// Ideas, in whatever style.
    pub items: usize,
    /// How families, by which the split is made, are found.
    pub(crate) family_rule: String,
    /// `Dataset::fingerprint` in hexadecimal.
    pub(crate) fingerprint: String,
    /// One a style.
    pub styles: Vec<StyleSummary>,
    /// One for every two styles.
    pub pairs: Vec<PairSummary>,
    /// What of a folder was not read, by style.
    pub passed_over: Vec<PassedOver>,
    /// Damaged pictures that are left out.
    pub left_out: Vec<LeftOut>,
    /// What may be wrong with the pictures, in sentences.
    pub warnings: Vec<String>,
}

/// A damaged picture that a data set goes without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its style.
    pub style: String,
    /// Its name without ending.
    pub name: String,
    /// What is wrong with it, and its file.
    pub problem: String,
}

/// Pictures of one style by split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StyleSummary {
    /// The style.
    #[serde(flatten)]
    pub info: StyleInfo,
    /// Training pictures.
    pub train: usize,
    /// Validation pictures.
    pub(crate) validation: usize,
    /// Held-out pictures.
    pub test: usize,
}

/// Pairs of two styles by split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairSummary {
    /// One style.
    pub a: String,
    /// The other.
    pub b: String,
    /// Redrawn in place or not.
    pub kind: PairKind,
    /// Mean silhouette overlap of training pairs.
    pub(crate) overlap: Option<f32>,
    /// Training pairs.
    pub train: usize,
    /// Validation pairs.
    pub(crate) validation: usize,
    /// Held-out pairs.
    pub test: usize,
}

impl std::fmt::Display for DatasetSummary {
    /// Lines that begin with what they are about; with a width (`{:80}`), tables that fit into it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = f.width().unwrap_or(WHOLE);
        for (topic, text) in self.facts(width.saturating_sub(TOPIC + 1)) {
            writeln!(f, "{topic:<TOPIC$} {text}")?;
        }
        Ok(())
    }
}

impl DatasetSummary {
    /// What there is to say, each line with its topic; tables fit into the width.
    pub(crate) fn facts(&self, width: usize) -> Vec<(&'static str, String)> {
        let [r, g, b] = self.background;
        let of_all = format!(
            "{}  {} items, {} px on #{r:02x}{g:02x}{b:02x}, fingerprint {}",
            self.source, self.items, self.size_px, self.fingerprint
        );
        let split = if self.family_rule == layout::RULE {
            self.family_rule.clone()
        } else {
            format!(
                "by hash of the family ({}): test 1 in 10, validation 1 in 10, of 20 pictures at least one each",
                self.family_rule
            )
        };
        let mut facts = vec![("data", of_all), ("split", split)];
        facts.extend(self.style_lines(width).map(|line| ("style", line)));
        facts.extend(
            self.pair_lines(width)
                .into_iter()
                .map(|line| ("pair", line)),
        );
        facts.extend(self.left_lines().into_iter().map(|line| ("left", line)));
        facts.extend(
            self.warnings
                .iter()
                .map(|warning| ("warn", warning.clone())),
        );
        facts
    }

    /// What of the source was left out, a line each.
    pub fn left(&self) -> String {
        let lines = self.left_lines().into_iter();
        lines.fold(String::new(), |all, line| all + "left   " + &line + "\n")
    }

    fn left_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.passed_over.iter().map(ToString::to_string).collect();
        for style in &self.styles {
            let of_style = self.left_out.iter().filter(|d| d.style == style.info.name);
            let names: Vec<&str> = of_style.map(|damaged| &*damaged.name).collect();
            if !names.is_empty() {
                let more = if names.len() > NAMES_SHOWN {
                    ", ..."
                } else {
                    ""
                };
                lines.push(format!(
                    "of {}, damaged: {} pictures: {}{more}",
                    style.info.name,
                    names.len(),
                    names[..names.len().min(NAMES_SHOWN)].join(", ")
                ));
            }
        }
        lines
    }

    /// A line a style.
    fn style_lines(&self, width: usize) -> impl Iterator<Item = String> {
        let mut table = Table::new([
            Column::text("").at_least(NAME_LEAST),
            Column::figure(""),
            Column::figure("").rank(1),
            Column::figure(""),
            Column::text("").at_least(NAME_LEAST).rank(2),
        ]);
        for style in &self.styles {
            table.push(
                [
                    style.info.name.clone(),
                    format!("{} train", style.train),
                    format!("{} validation", style.validation),
                    format!("{} test", style.test),
                    style.info.licence.clone(),
                ]
                .map(Into::into),
            );
        }
        // Cells say what they are: what has no room is not spoken of.
        table.fitted(width).lines.into_iter()
    }

    /// A line for every two styles; of many styles, a line for each kind.
    fn pair_lines(&self, width: usize) -> Vec<String> {
        if self.pairs.len() > PAIRS_SHOWN {
            let with = self.pairs.iter().filter(|pair| pair.train > 0);
            let aligned = with.clone().filter(|pair| pair.kind == PairKind::Aligned);
            let (with, aligned) = (with.count(), aligned.count());
            return vec![format!(
                "{} of styles: {aligned} aligned, {} loose, {} without training pairs (each: demotic data inspect --json)",
                self.pairs.len(),
                with - aligned,
                self.pairs.len() - with
            )];
        }
        let mut table = Table::new([
            Column::text("").at_least(NAME_LEAST),
            Column::text("").at_least(NAME_LEAST),
            Column::text(""),
            Column::text("").rank(1),
            Column::figure(""),
            Column::figure("").rank(2),
            Column::figure(""),
        ]);
        for pair in &self.pairs {
            let overlap = pair
                .overlap
                .map_or_else(|| "   -".into(), |overlap| format!("{overlap:.2}"));
            table.push(
                [
                    pair.a.clone(),
                    pair.b.clone(),
                    pair.kind.to_string(),
                    format!("overlap {overlap}"),
                    format!("{} train", pair.train),
                    format!("{} validation", pair.validation),
                    format!("{} test", pair.test),
                ]
                .map(Into::into),
            );
        }
        table.fitted(width).lines
    }
}
