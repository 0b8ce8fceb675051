//! Translations of pictures that training never saw, held against the true picture and against the baselines.

use serde::{Deserialize, Serialize};

use super::baseline::{Nearest, Remap};
use super::scores::{Scores, each_score};
use crate::data::{Dataset, PairKind, Split};

/// Pictures handed to the translator at a time: bounds memory.
const CHUNK: usize = 64;

/// Figures of every direction between two styles that has pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// One a direction, by source style, then by target style.
    pub directions: Vec<Direction>,
}

/// Figures of one direction: means over its pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Direction {
    /// Source style.
    pub from: String,
    /// Target style.
    pub to: String,
    /// Redrawn in place, or anew.
    pub kind: PairKind,
    /// Pairs.
    pub n: usize,
    /// The translator; `None` (`null`) if only baselines were asked for.
    pub model: Option<Scores>,
    /// The input, unchanged.
    pub copy: Scores,
    /// The best affine colour map fitted on training pairs; `None` without any.
    pub remap: Option<Scores>,
    /// The nearest training picture's counterpart; `None` without any training pair.
    pub nearest: Option<Scores>,
}

/// Means of the figures of some translations against the true pictures; `None` of no picture.
///
/// # Shapes
/// - `translations`, `truths`: `[n, 3, side_px, side_px]`, in [-1, 1]
///
/// # Panics
/// If the lengths differ or are not those of pictures.
pub fn evaluate_pairs(translations: &[f32], truths: &[f32], side_px: usize) -> Option<Scores> {
    super::mean_scores(translations, truths, side_px)
}

/// Takes pictures `[n, 3, side, side]` in [-1, 1], their style and the style wanted; returns as many pictures.
pub type Translate<'a, E> = dyn FnMut(&[f32], usize, usize) -> Result<Vec<f32>, E> + 'a;

/// Translates every picture of `split` into every style that has its counterpart, and scores that and the baselines.
///
/// `translate` gets at most 64 pictures at a time; without it only baselines are scored. Use a held-out split: for
/// [`Split::Train`] the nearest training picture is the picture itself.
///
/// # Errors
/// What `translate` reports.
///
/// # Panics
/// If `translate` returns another number of values than it was given.
pub fn evaluate<E>(
    dataset: &Dataset,
    split: Split,
    mut translate: Option<&mut Translate<'_, E>>,
) -> Result<Evaluation, E> {
    let styles = dataset.styles();
    let view = dataset.training();
    let side = dataset.size_px() as usize;
    let mut directions = Vec::new();
    for from in 0..styles.len() {
        let items = dataset.items(from, split);
        // Distances to training pictures serve all targets.
        let mut nearest = Vec::new();
        for chunk in items.chunks(CHUNK) {
            nearest.push(Nearest::new(view, from, &dataset.pictures(from, chunk)));
        }
        for to in (0..styles.len()).filter(|&to| to != from) {
            let remap = Remap::fit(view, from, to);
            let mut scores = Rows::default();
            for (chunk, nearest) in items.chunks(CHUNK).zip(&nearest) {
                let places: Vec<usize> = (0..chunk.len())
                    .filter(|&place| dataset.has_picture(to, chunk[place]))
                    .collect();
                if places.is_empty() {
                    continue;
                }
                let paired: Vec<usize> = places.iter().map(|&place| chunk[place]).collect();
                let sources = dataset.pictures(from, &paired);
                let truths = dataset.pictures(to, &paired);
                scores.copy.extend(each_score(&sources, &truths, side));
                if let Some(remap) = &remap {
                    let mapped = remap.apply(&sources, side * side);
                    scores.remap.extend(each_score(&mapped, &truths, side));
                }
                if let Some(pictures) = nearest.pictures(&places, to) {
                    scores.nearest.extend(each_score(&pictures, &truths, side));
                }
                if let Some(translate) = &mut translate {
                    let translated = translate(&sources, from, to)?;
                    scores.model.extend(each_score(&translated, &truths, side));
                }
            }
            let Some(copy) = Scores::mean(&scores.copy) else {
                continue;
            };
            directions.push(Direction {
                from: styles[from].name.clone(),
                to: styles[to].name.clone(),
                kind: dataset.pair_kind(from, to),
                n: scores.copy.len(),
                model: Scores::mean(&scores.model),
                copy,
                remap: Scores::mean(&scores.remap),
                nearest: Scores::mean(&scores.nearest),
            });
        }
    }
    Ok(Evaluation { directions })
}

/// Figures by picture.
#[derive(Default)]
struct Rows {
    model: Vec<Scores>,
    copy: Vec<Scores>,
    remap: Vec<Scores>,
    nearest: Vec<Scores>,
}

impl Evaluation {
    /// Mean of one method's figures over the directions of a kind; `None` if it has none.
    pub fn mean(
        &self,
        kind: PairKind,
        method: impl Fn(&Direction) -> Option<Scores>,
    ) -> Option<Scores> {
        let of_kind = self.directions.iter().filter(|d| d.kind == kind);
        let scores: Option<Vec<Scores>> = of_kind.map(method).collect();
        Scores::mean(&scores?)
    }
}

/// Heads of the four columns of each figure.
const METHODS: [&str; 4] = ["model", "copy", "remap", "nearest"];

impl std::fmt::Display for Evaluation {
    /// One line a direction, then the mean of each kind; `-` for what was not measured.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = |name: fn(&Direction) -> &String| {
            let names = self.directions.iter().map(|d| name(d).len());
            names.max().unwrap_or(0).max("mean".len())
        };
        let (from, to) = (width(|d| &d.from), width(|d| &d.to));
        write!(
            f,
            "{:from$}  {:to$}  {:7}  {:>5}",
            "from", "to", "kind", "n"
        )?;
        for figure in ["l1", "psnr", "ssim"] {
            write!(f, "  {figure:>4}:")?;
            for method in METHODS {
                write!(f, " {method:>7}")?;
            }
        }
        writeln!(f)?;
        for d in &self.directions {
            write!(
                f,
                "{:from$}  {:to$}  {:7}  {:>5}",
                d.from, d.to, d.kind, d.n
            )?;
            write_figures(f, [d.model, Some(d.copy), d.remap, d.nearest])?;
        }
        for kind in [PairKind::Aligned, PairKind::Loose] {
            let count = self.directions.iter().filter(|d| d.kind == kind).count();
            if count > 0 {
                write!(f, "{:from$}  {:to$}  {:7}  {:>5}", "mean", "", kind, "")?;
                write_figures(
                    f,
                    [
                        self.mean(kind, |d| d.model),
                        self.mean(kind, |d| Some(d.copy)),
                        self.mean(kind, |d| d.remap),
                        self.mean(kind, |d| d.nearest),
                    ],
                )?;
            }
        }
        Ok(())
    }
}

fn write_figures(
    f: &mut std::fmt::Formatter<'_>,
    methods: [Option<Scores>; 4],
) -> std::fmt::Result {
    type Figure = fn(Scores) -> f64;
    let figures: [(Figure, usize); 3] = [(|s| s.l1, 4), (|s| s.psnr, 2), (|s| s.ssim, 4)];
    for (figure, digits) in figures {
        write!(f, "       ")?;
        for method in methods {
            match method {
                Some(scores) => write!(f, " {:>7.digits$}", figure(scores))?,
                None => write!(f, " {:>7}", "-")?,
            }
        }
    }
    writeln!(f)
}
