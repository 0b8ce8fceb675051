//! What a data set holds, in words and as JSON: shown at the start of a run and by `demotic data inspect`.

use serde::{Deserialize, Serialize};

use super::layout;
use super::passed_over::PassedOver;
use super::source::StyleInfo;

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
    pub fn name(self) -> &'static str {
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
    pub family_rule: String,
    /// `Dataset::fingerprint` in hexadecimal.
    pub fingerprint: String,
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
    pub validation: usize,
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
    pub overlap: Option<f32>,
    /// Training pairs.
    pub train: usize,
    /// Validation pairs.
    pub validation: usize,
    /// Held-out pairs.
    pub test: usize,
}

impl std::fmt::Display for DatasetSummary {
    /// Aligned lines, the first word of which says what they are about.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [r, g, b] = self.background;
        writeln!(
            f,
            "data   {}  {} items, {} px on #{r:02x}{g:02x}{b:02x}, fingerprint {}",
            self.source, self.items, self.size_px, self.fingerprint
        )?;
        if self.family_rule == layout::RULE {
            writeln!(f, "split  {}", self.family_rule)?;
        } else {
            writeln!(
                f,
                "split  by hash of the family ({}): test 1 in 10, validation 1 in 10, of 20 pictures at least one each",
                self.family_rule
            )?;
        }
        let width = self.styles.iter().map(|s| s.info.name.len()).max();
        let width = width.unwrap_or(0);
        for style in &self.styles {
            writeln!(
                f,
                "style  {:width$}  {:>6} train {:>6} validation {:>6} test  {}",
                style.info.name, style.train, style.validation, style.test, style.info.licence
            )?;
        }
        self.write_pairs(f, width)?;
        for passed_over in &self.passed_over {
            writeln!(f, "left   {passed_over}")?;
        }
        for style in &self.styles {
            let of_style = self.left_out.iter().filter(|d| d.style == style.info.name);
            let names: Vec<&str> = of_style.map(|damaged| &*damaged.name).collect();
            if !names.is_empty() {
                let more = if names.len() > NAMES_SHOWN {
                    ", ..."
                } else {
                    ""
                };
                writeln!(
                    f,
                    "left   of {}, damaged: {} pictures: {}{more}",
                    style.info.name,
                    names.len(),
                    names[..names.len().min(NAMES_SHOWN)].join(", ")
                )?;
            }
        }
        for warning in &self.warnings {
            writeln!(f, "warn   {warning}")?;
        }
        Ok(())
    }
}

impl DatasetSummary {
    /// A line for every two styles; of many styles, a line for each kind.
    fn write_pairs(&self, f: &mut std::fmt::Formatter<'_>, width: usize) -> std::fmt::Result {
        if self.pairs.len() > PAIRS_SHOWN {
            let with = self.pairs.iter().filter(|pair| pair.train > 0);
            let aligned = with.clone().filter(|pair| pair.kind == PairKind::Aligned);
            let (with, aligned) = (with.count(), aligned.count());
            return writeln!(
                f,
                "pair   {} of styles: {aligned} aligned, {} loose, {} without training pairs (each: demotic data inspect --json)",
                self.pairs.len(),
                with - aligned,
                self.pairs.len() - with
            );
        }
        for pair in &self.pairs {
            let overlap = pair
                .overlap
                .map_or_else(|| "   -".into(), |overlap| format!("{overlap:.2}"));
            writeln!(
                f,
                "pair   {:width$}  {:width$}  {:7}  overlap {overlap}  {:>6} train {:>6} validation {:>6} test",
                pair.a, pair.b, pair.kind, pair.train, pair.validation, pair.test
            )?;
        }
        Ok(())
    }
}
