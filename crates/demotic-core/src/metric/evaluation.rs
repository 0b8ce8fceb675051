//! Translations of pictures that training never saw, compared with the true picture and the baselines.

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::baseline::Remap;
use super::features::{Seen, pooled, see};
use super::interval::{Bootstrap, Estimate, families};
use super::kid::{Gram, Grams, LEAST_SET};
use super::measured::{FIGURES, Measure, Measured, Spreads, name_of};
use super::memory::{Answers, Memory};
use super::recognition::Recognition;
use super::scores::{Scores, each_score, l1, summed};
use crate::data::{Channels, Dataset, PairKind, Split};
use crate::model::CHUNK;
use crate::number::Real;
use crate::table::{Cell, Column, Fitted, Table, WHOLE, wrapped};

/// Most pictures of a direction that enter the kernel distance, whose cost grows with their square.
const KERNEL_PICTURES: usize = 1000;

/// Figures of every direction between two styles that has pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// One a direction, by source style, then by target style.
    pub directions: Vec<Direction>,
    /// Means over the directions of each kind that occurs.
    pub kinds: Vec<KindMeans>,
    /// Directions without any pair, where only sets of pictures can be compared.
    #[serde(default)]
    pub unpaired: Vec<Unpaired>,
    /// Samples, one entry per style.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prior: Vec<FromPrior>,
    /// How well the discriminator recognises the styles of real pictures; `None` (`null`) where it was not
    /// asked.
    pub recognition: Option<Recognition>,
    /// What a reader of these figures must know, in sentences.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Figures of one direction without pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unpaired {
    /// Source style.
    pub from: String,
    /// Target style.
    pub to: String,
    /// Pictures of the source style, translated.
    pub n: usize,
    /// Pictures of the target style that they are compared with.
    pub against: usize,
    /// The translator; `None` (`null`) if only the input was asked for.
    pub model: Option<SetMeasured>,
    /// The input, unchanged.
    pub copy: SetMeasured,
}

/// Figures of a set of pictures, each with its 95 % interval over families.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetMeasured {
    /// [`super::kernel_distance`] to the pictures of the target style; lower is better.
    pub kid: Estimate,
}

/// Figures of samples, each with its 95 % interval over families.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleMeasured {
    /// [`super::kernel_distance`] to held-out pictures of the style; lower is better.
    pub kid: Estimate,
    /// Mean over pictures of the least mean absolute difference from any training picture of the style: 0 is
    /// a copy.
    pub nearest_l1: Estimate,
}

/// How far pictures are from what was trained on, with its 95 % interval over families.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NearestMeasured {
    /// As [`SampleMeasured::nearest_l1`].
    pub nearest_l1: Estimate,
}

/// Figures of one style's samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FromPrior {
    /// The style.
    pub style: String,
    /// Samples, and as many held-out pictures of the style that they are compared with.
    pub n: usize,
    /// Latents from N(0, 1).
    pub normal: SampleMeasured,
    /// Latents from the density that was fitted to those of training pictures.
    pub fitted: SampleMeasured,
    /// As many training pictures of the style in their place: the KID that a perfect sampler comes to.
    pub training: SetMeasured,
    /// The held-out pictures themselves: what new pictures of the style come to.
    pub held_out: NearestMeasured,
}

/// Figures of one direction.
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
    pub model: Option<Measured>,
    /// The input, unchanged.
    pub copy: Measured,
    /// The best affine colour map fitted on training pairs; `None` without any.
    pub remap: Option<Measured>,
    /// The nearest training picture's counterpart; `None` without any training pair.
    pub nearest: Option<Measured>,
}

/// Means over directions of one kind, each direction counting once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindMeans {
    /// Redrawn in place, or anew.
    pub kind: PairKind,
    /// Directions of this kind.
    pub directions: usize,
    /// The translator; `None` (`null`) unless every direction has it.
    pub model: Option<Measured>,
    /// The input, unchanged.
    pub copy: Measured,
    /// The best affine colour map; `None` unless every direction has it.
    pub remap: Option<Measured>,
    /// The nearest training picture's counterpart; `None` unless every direction has it.
    pub nearest: Option<Measured>,
}

/// Takes pictures as the network sees them, `[n, c, side, side]` in [-1, 1], their items, their style and the
/// style wanted; returns translations of the same shape, or nothing where it does not translate in this
/// direction.
pub type Translate<'a, E> = dyn FnMut(&[f32], &[usize], usize, usize) -> Result<Vec<f32>, E> + 'a;

/// Translates every picture of `split` into every style that has its counterpart, and scores that and the
/// baselines; into a style without any counterpart too, where the translations are scored as a set.
///
/// `translate` gets at most 64 pictures at a time; without it only baselines are scored. Use a held-out
/// split: for [`Split::Train`] the nearest training picture is the picture itself.
///
/// # Errors
/// What `translate` reports.
///
/// # Panics
/// If `translate` returns another number of values than it was given.
pub fn evaluate<E>(
    dataset: &Dataset,
    split: Split,
    translate: Option<&mut Translate<'_, E>>,
) -> Result<Evaluation, E> {
    evaluate_with(&mut Memory::new(dataset), split, translate)
}

/// [`evaluate`] of the data set of `memory`, which then knows every picture that was looked at.
///
/// # Errors
/// As of [`evaluate`].
///
/// # Panics
/// As [`evaluate`].
#[doc(hidden)]
pub fn evaluate_with<E>(
    memory: &mut Memory<'_>,
    split: Split,
    mut translate: Option<&mut Translate<'_, E>>,
) -> Result<Evaluation, E> {
    let dataset = memory.dataset;
    let styles = dataset.styles();
    let side = dataset.size_px() as usize;
    let (families, bootstrap) = families(dataset, split);
    let mut measured: Vec<(Direction, ByMethod<Option<Spreads>>)> = Vec::new();
    let mut unpaired = Vec::new();
    let mut answers = Answers::new(dataset, split);
    memory.remember(split);
    for from in 0..styles.len() {
        for to in (0..styles.len()).filter(|&to| to != from) {
            let remap = Remap::fit(dataset.training(), from, to);
            let mut rows = ByMethod([const { Rows::new() }; 4]);
            let mut true_pooled: Vec<f32> = Vec::new();
            let mut family = Vec::new();
            for chunk in dataset.items(from, split).chunks(CHUNK) {
                let has_truth = |item: &usize| dataset.has_picture(to, *item);
                let paired: Vec<usize> = chunk.iter().copied().filter(has_truth).collect();
                if paired.is_empty() {
                    continue;
                }
                family.extend(
                    paired
                        .iter()
                        .map(|&item| families[dataset.item_family(item)]),
                );
                let sources = Looked::real(memory, from, &paired);
                let truths = Looked::real(memory, to, &paired);
                let seen = dataset.network_pictures(from, &paired);
                let true_alpha = alpha(dataset, &dataset.network_pictures(to, &paired));
                rows[Method::Copy].add(&sources, &truths);
                rows[Method::Copy].add_alpha(&alpha(dataset, &seen), &true_alpha, side);
                if let Some(remap) = &remap {
                    let remapped = remap.apply(&sources.pictures, side * side);
                    rows[Method::Remap].add(&Looked::new(remapped, side), &truths);
                }
                if let Some(known) = answers.items(from, to, &paired) {
                    let rows = &mut rows[Method::Nearest];
                    let distances = answers.distances(memory, to, &known, &paired, &truths.seen);
                    rows.add_scores(&dataset.pictures(to, &known), &truths);
                    rows.perceptual.extend(distances);
                    rows.pooled.extend(memory.pooled(to, &known));
                }
                if let Some(translate) = &mut translate {
                    let fakes = translate(&seen, &paired, from, to)?;
                    if !fakes.is_empty() {
                        let shown = Looked::new(dataset.shown(&fakes), side);
                        rows[Method::Model].add(&shown, &truths);
                        rows[Method::Model].add_alpha(&alpha(dataset, &fakes), &true_alpha, side);
                    }
                }
                true_pooled.extend(truths.seen.iter().flat_map(|seen| &seen.pooled));
            }
            if family.is_empty() {
                let sets = Sets::new(dataset, split, &families, &bootstrap, from, to);
                unpaired.extend(sets.measured(memory, &mut translate)?);
                continue;
            }
            let true_pooled =
                (family.len() >= LEAST_SET).then(|| KernelSet::of(&true_pooled, &family));
            let spread = |rows: Rows| rows.spreads(&family, true_pooled.as_ref(), &bootstrap);
            let spreads = ByMethod(rows.0.map(spread));
            let of = |method: Method| spreads[method].as_ref().map(Spreads::measured);
            let Some(copy) = of(Method::Copy) else {
                continue;
            };
            let direction = Direction {
                from: styles[from].name.clone(),
                to: styles[to].name.clone(),
                kind: dataset.pair_kind(from, to),
                n: family.len(),
                model: of(Method::Model),
                copy,
                remap: of(Method::Remap),
                nearest: of(Method::Nearest),
            };
            measured.push((direction, spreads));
        }
    }
    // What follows compares sets, by means alone.
    memory.forget_maps();
    let (kinds, notes) = (kind_means(&measured), notes(&measured, split));
    Ok(Evaluation {
        directions: measured
            .into_iter()
            .map(|(direction, _)| direction)
            .collect(),
        kinds,
        unpaired,
        prior: Vec::new(),
        recognition: None,
        notes,
    })
}

/// Means over the directions of each kind that occurs.
fn kind_means(measured: &[(Direction, ByMethod<Option<Spreads>>)]) -> Vec<KindMeans> {
    [PairKind::Aligned, PairKind::Loose]
        .into_iter()
        .filter_map(|kind| {
            let of_kind: Vec<&ByMethod<Option<Spreads>>> = measured
                .iter()
                .filter(|(direction, _)| direction.kind == kind)
                .map(|(_, spreads)| spreads)
                .collect();
            let mean = |method: Method| {
                let all: Option<Vec<&Spreads>> = of_kind
                    .iter()
                    .map(|spreads| spreads[method].as_ref())
                    .collect();
                Some(Spreads::mean(&all?)?.measured())
            };
            Some(KindMeans {
                kind,
                directions: of_kind.len(),
                model: mean(Method::Model),
                copy: mean(Method::Copy)?,
                remap: mean(Method::Remap),
                nearest: mean(Method::Nearest),
            })
        })
        .collect()
}

/// What a reader of figures of few pictures must know.
fn notes(measured: &[(Direction, ByMethod<Option<Spreads>>)], split: Split) -> Vec<String> {
    let few: Vec<String> = measured
        .iter()
        .filter(|(direction, _)| direction.n < LEAST_SET)
        .map(|(d, _)| format!("{} -> {} ({})", d.from, d.to, d.n))
        .collect();
    let note = (!few.is_empty()).then(|| {
        format!(
            "* fewer than {LEAST_SET} {split} pictures: {}: there is no KID of so few, and other pictures may well give other \
             figures; give more pictures, or read none of this as a score",
            few.join(", ")
        )
    });
    note.into_iter().collect()
}

/// Compares samples of every style, as sets, with the held-out pictures of `split`; a style of fewer than
/// [`LEAST_SET`] held-out pictures has no figures. Pictures that `memory` knows are not looked at again.
///
/// `draw(style, n)` returns two times `n` samples as the network generates them, `[n, c, side, side]` in [-1,
/// 1]: from N(0, 1) and from the fitted density. A sample belongs to no family: in the intervals the `i`-th
/// stands or falls with the family of the `i`-th held-out picture, as a training picture in its place does.
///
/// # Errors
/// What `draw` reports.
///
/// # Panics
/// If `draw` returns another number of values.
#[doc(hidden)]
pub fn from_prior<E>(
    memory: &mut Memory<'_>,
    split: Split,
    draw: &mut dyn FnMut(usize, usize) -> Result<[Vec<f32>; 2], E>,
) -> Result<Vec<FromPrior>, E> {
    let dataset = memory.dataset;
    let side = dataset.size_px() as usize;
    let (numbers, bootstrap) = families(dataset, split);
    let mut all = Vec::new();
    for (style, info) in dataset.styles().iter().enumerate() {
        let held_out = dataset.items(style, split);
        let stride = KernelSet::stride(held_out.len());
        let held_out: Vec<usize> = held_out.iter().copied().step_by(stride).collect();
        let trained = dataset.items(style, Split::Train);
        let n = held_out.len().min(trained.len());
        let held_out = &held_out[..n];
        if n < LEAST_SET {
            continue;
        }
        let of_family: Vec<usize> = held_out
            .iter()
            .map(|&item| numbers[dataset.item_family(item)])
            .collect();
        let trained: Vec<usize> = (0..n).map(|i| trained[i * trained.len() / n]).collect();
        let trained_pooled = memory.pooled(style, &trained);
        let true_pooled = memory.pooled(style, held_out);
        let gram = Gram::own(&true_pooled, Seen::POOLED);
        let measured = |set: &[f32]| {
            let grams = Grams::of(set, &true_pooled, Seen::POOLED, &[], &gram);
            let spread = grams.spread([&of_family, &of_family], &bootstrap)?;
            Some(SetMeasured {
                kid: spread.estimate(),
            })
        };
        let nearest = |pictures: &[f32]| {
            let distances = nearest_l1(dataset, style, pictures);
            Some(bootstrap.mean(&distances, &of_family)?.estimate())
        };
        let of_samples = |pictures: &[f32]| {
            let pictures = dataset.shown(pictures);
            Some(SampleMeasured {
                kid: measured(&pooled(&pictures, side))?.kid,
                nearest_l1: nearest(&pictures)?,
            })
        };
        let [normal, fitted] = draw(style, n)?;
        let figures = || {
            Some(FromPrior {
                style: info.name.clone(),
                n,
                normal: of_samples(&normal)?,
                fitted: of_samples(&fitted)?,
                training: measured(&trained_pooled)?,
                held_out: NearestMeasured {
                    nearest_l1: nearest(&dataset.pictures(style, held_out))?,
                },
            })
        };
        all.extend(figures());
    }
    Ok(all)
}

/// For each picture, the smallest mean absolute difference to any training picture of the style.
fn nearest_l1(dataset: &Dataset, style: usize, pictures: &[f32]) -> Vec<f64> {
    let len = dataset.picture_len();
    let mut least = vec![f64::INFINITY; pictures.len() / len];
    for items in dataset.items(style, Split::Train).chunks(CHUNK) {
        let trained = dataset.pictures(style, items);
        least
            .par_iter_mut()
            .zip(pictures.par_chunks_exact(len))
            .for_each(|(least, picture)| {
                let sums = trained
                    .chunks_exact(len)
                    .map(|other| summed(picture, other, |a, b| (a - b).abs()));
                let sum = sums.fold(f32::INFINITY, f32::min);
                *least = least.min(f64::from(sum) / (2.0 * len.to_f64()));
            });
    }
    least
}

/// The last planes of a network's pictures where those are transparency, `[n, side, side]`; else nothing.
fn alpha(dataset: &Dataset, pictures: &[f32]) -> Vec<f32> {
    if dataset.channels() != Channels::Rgba {
        return Vec::new();
    }
    let plane = dataset.size_px() as usize * dataset.size_px() as usize;
    let each = pictures.chunks_exact(Channels::Rgba.count() * plane);
    each.flat_map(|picture| picture[3 * plane..].to_vec())
        .collect()
}

/// Pictures of two styles that share no idea.
struct Sets<'a> {
    dataset: &'a Dataset,
    bootstrap: &'a Bootstrap,
    styles: [usize; 2],
    items: [Vec<usize>; 2],
    families: [Vec<usize>; 2],
}

impl<'a> Sets<'a> {
    fn new(
        dataset: &'a Dataset,
        split: Split,
        numbers: &BTreeMap<&str, usize>,
        bootstrap: &'a Bootstrap,
        from: usize,
        to: usize,
    ) -> Self {
        let items = [from, to].map(|style| {
            let all = dataset.items(style, split);
            let chosen = all.iter().step_by(KernelSet::stride(all.len()));
            chosen.copied().collect::<Vec<usize>>()
        });
        let family = |item: &usize| numbers[dataset.item_family(*item)];
        Self {
            dataset,
            bootstrap,
            styles: [from, to],
            families: items.each_ref().map(|set| set.iter().map(family).collect()),
            items,
        }
    }

    /// `None` where a set has fewer than [`LEAST_SET`] pictures.
    fn measured<E>(
        &self,
        memory: &mut Memory<'_>,
        translate: &mut Option<&mut Translate<'_, E>>,
    ) -> Result<Option<Unpaired>, E> {
        let [from, to] = self.styles;
        let [sources, targets] = &self.items;
        if sources.len().min(targets.len()) < LEAST_SET {
            return Ok(None);
        }
        let side = self.dataset.size_px() as usize;
        let mut translated_pooled = Vec::new();
        if let Some(translate) = translate {
            for chunk in sources.chunks(CHUNK) {
                let seen = self.dataset.network_pictures(from, chunk);
                let translated = translate(&seen, chunk, from, to)?;
                translated_pooled.extend(pooled(&self.dataset.shown(&translated), side));
            }
        }
        let there = memory.pooled(to, targets);
        let gram = Gram::own(&there, Seen::POOLED);
        let [own, other] = &self.families;
        let measured = |set: &[f32]| {
            let grams = Grams::of(set, &there, Seen::POOLED, &[], &gram);
            let kid = grams.spread([own, other], self.bootstrap)?.estimate();
            Some(SetMeasured { kid })
        };
        let copy = measured(&memory.pooled(from, sources));
        let name = |style: usize| self.dataset.styles()[style].name.clone();
        Ok(copy.map(|copy| Unpaired {
            from: name(from),
            to: name(to),
            n: sources.len(),
            against: targets.len(),
            model: (!translated_pooled.is_empty())
                .then(|| measured(&translated_pooled))
                .flatten(),
            copy,
        }))
    }
}

/// Pictures with their features.
struct Looked {
    pictures: Vec<f32>,
    seen: Vec<Arc<Seen>>,
    side: usize,
}

impl Looked {
    fn new(pictures: Vec<f32>, side: usize) -> Self {
        Self {
            seen: see(&pictures, side).into_iter().map(Arc::new).collect(),
            pictures,
            side,
        }
    }

    /// Pictures of the data set.
    fn real(memory: &mut Memory<'_>, style: usize, items: &[usize]) -> Self {
        Self {
            seen: memory.see(style, items),
            pictures: memory.dataset.pictures(style, items),
            side: memory.dataset.size_px() as usize,
        }
    }
}

/// Figures of one method by picture.
struct Rows {
    scores: Vec<Scores>,
    perceptual: Vec<f64>,
    pooled: Vec<f32>,
    alpha: Vec<f64>,
}

impl Rows {
    const fn new() -> Self {
        Self {
            scores: Vec::new(),
            perceptual: Vec::new(),
            pooled: Vec::new(),
            alpha: Vec::new(),
        }
    }

    /// Transparency of as many pictures and of the true ones; nothing where there is none.
    fn add_alpha(&mut self, planes: &[f32], truths: &[f32], side: usize) {
        let pairs = planes
            .chunks_exact(side * side)
            .zip(truths.chunks_exact(side * side));
        self.alpha
            .extend(pairs.map(|(plane, truth)| l1(plane, truth)));
    }

    fn add_scores(&mut self, pictures: &[f32], truths: &Looked) {
        self.scores
            .extend(each_score(pictures, &truths.pictures, truths.side));
    }

    fn add(&mut self, looked: &Looked, truths: &Looked) {
        self.add_scores(&looked.pictures, truths);
        for (seen, truth) in looked.seen.iter().zip(&truths.seen) {
            self.perceptual.push(seen.perceptual(truth));
            self.pooled.extend(&seen.pooled);
        }
    }

    /// `None` where the method has no picture.
    fn spreads(
        self,
        families: &[usize],
        truths: Option<&KernelSet>,
        bootstrap: &Bootstrap,
    ) -> Option<Spreads> {
        if self.scores.is_empty() {
            return None;
        }
        let mean = |figure: fn(&Scores) -> f64| {
            let values: Vec<f64> = self.scores.iter().map(figure).collect();
            bootstrap.mean(&values, families)
        };
        let kid = truths.and_then(|truths| {
            let own = KernelSet::chosen(&self.pooled, families.len());
            let dimension = Seen::POOLED;
            let grams = Grams::of(&own, &truths.look, dimension, &truths.itself, &truths.gram);
            grams.spread([&truths.families, &truths.families], bootstrap)
        });
        Some(Spreads {
            l1: mean(|s| s.l1)?,
            psnr: mean(|s| s.psnr)?,
            ssim: mean(|s| s.ssim)?,
            perceptual: bootstrap.mean(&self.perceptual, families)?,
            kid,
            alpha_l1: (!self.alpha.is_empty())
                .then(|| bootstrap.mean(&self.alpha, families))
                .flatten(),
        })
    }
}

/// What enters the kernel distance of one set.
struct KernelSet {
    look: Vec<f32>,
    families: Vec<usize>,
    gram: Gram,
    /// Picture `i` of another method is of the same idea as picture `i` here.
    itself: Vec<Option<usize>>,
}

impl KernelSet {
    fn of(look: &[f32], families: &[usize]) -> Self {
        let look = Self::chosen(look, families.len());
        let stride = Self::stride(families.len());
        let families: Vec<usize> = families.iter().copied().step_by(stride).collect();
        Self {
            gram: Gram::own(&look, Seen::POOLED),
            itself: (0..families.len()).map(Some).collect(),
            families,
            look,
        }
    }

    /// Vectors evenly chosen among `n`.
    fn chosen(look: &[f32], n: usize) -> Vec<f32> {
        let rows = look.chunks_exact(Seen::POOLED);
        rows.step_by(Self::stride(n)).flatten().copied().collect()
    }

    fn stride(n: usize) -> usize {
        n.div_ceil(KERNEL_PICTURES).max(1)
    }
}

impl std::fmt::Display for Evaluation {
    /// One line per method of each direction, then of the mean of each kind: every figure with its interval.
    /// Then how well the discriminator recognises real pictures, then the notes. In fewer columns than the
    /// lines take (`{:80}`), headings of directions with values alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = f.width().unwrap_or(WHOLE);
        let figures = (!(self.directions.is_empty() && self.unpaired.is_empty()))
            .then(|| self.figures(width));
        let prior = (!self.prior.is_empty()).then(|| self.samples_table().fitted(width));
        let recognition = self.recognition.as_ref();
        let recognition = recognition.map(|recognition| recognition.table().fitted(width));
        let mut all = Fitted::default();
        for part in [figures, prior, recognition].into_iter().flatten() {
            all.add(part);
        }
        for line in all.lines.iter().cloned().chain(all.note()) {
            writeln!(f, "{line}")?;
        }
        for verdict in [self.plainly(), self.verdict()].into_iter().flatten() {
            writeln!(f, "in sum {verdict}")?;
        }
        for note in &self.notes {
            writeln!(f, "note   {note}")?;
        }
        Ok(())
    }
}

impl Evaluation {
    /// The figures of translations.
    fn figures(&self, width: usize) -> Fitted {
        let directions = self.directions.len() + self.unpaired.len();
        let rows = self.rows(directions <= DIRECTIONS_SHOWN);
        let shown = shown(&rows);
        let mut fitted = table(&rows, &shown).fitted(width);
        if fitted.is_split || !fitted.left_out.is_empty() {
            let lines = below_headings(&rows, &shown);
            let lines = lines.iter().flat_map(|line| {
                let broken = wrapped(line, width);
                broken.lines().map(str::to_owned).collect::<Vec<_>>()
            });
            fitted.lines = lines.collect();
            fitted.left_out.truncate(1);
        }
        if directions > DIRECTIONS_SHOWN {
            let note = format!("{directions} directions: the figures of each are in the JSON");
            fitted.lines.push(note);
        }
        fitted
    }

    /// Samples: of each style, each figure of every way to sample.
    fn samples_table(&self) -> Table {
        let mut table = Table::new([
            Column::text("samples").at_least(8),
            Column::figure("n"),
            Column::text("figure"),
            Column::figure("fitted prior"),
            Column::figure("N(0, 1)"),
            Column::figure("training ones").rank(1),
            Column::figure("held-out ones").rank(1),
        ]);
        for p in &self.prior {
            let cell =
                |e: &Estimate, digits: usize| Cell::interval([e.value, e.low, e.high], digits);
            table.push([
                p.style.clone().into(),
                p.n.to_string().into(),
                name_of("kid").into(),
                cell(&p.fitted.kid, 1),
                cell(&p.normal.kid, 1),
                cell(&p.training.kid, 1),
                "-".into(),
            ]);
            table.push([
                "".into(),
                "".into(),
                "l1 from nearest".into(),
                cell(&p.fitted.nearest_l1, 3),
                cell(&p.normal.nearest_l1, 3),
                "-".into(),
                cell(&p.held_out.nearest_l1, 3),
            ]);
        }
        table
    }

    /// The rows of the table: directions, where they are asked for, means over kinds, then sets.
    fn rows(&self, is_each: bool) -> Vec<Row> {
        let mut rows = Vec::new();
        let each = usize::from(is_each);
        for d in self.directions.iter().take(each * self.directions.len()) {
            let methods = ByMethod([d.model, Some(d.copy), d.remap, d.nearest]);
            rows.push(Row {
                from: d.from.clone(),
                to: d.to.clone(),
                kind: d.kind.to_string(),
                n: format!("{}{}", d.n, if d.n < LEAST_SET { "*" } else { " " }),
                is_few: d.n < LEAST_SET,
                methods: methods.map(Measured::row),
            });
        }
        let of_kind = |kind: PairKind| self.directions.iter().filter(move |d| d.kind == kind);
        for k in &self.kinds {
            let methods = ByMethod([k.model, Some(k.copy), k.remap, k.nearest]);
            rows.push(Row {
                from: "mean of".into(),
                to: format!("{} directions", k.directions),
                kind: k.kind.to_string(),
                n: String::new(),
                is_few: of_kind(k.kind).all(|d| d.n < LEAST_SET),
                methods: methods.map(Measured::row),
            });
        }
        for d in self.unpaired.iter().take(each * self.unpaired.len()) {
            let row = |m: SetMeasured| FIGURES.map(|figure| (figure.key == "kid").then_some(m.kid));
            rows.push(Row {
                from: d.from.clone(),
                to: d.to.clone(),
                kind: "unpaired".into(),
                n: format!("{} ", d.n),
                is_few: false,
                methods: ByMethod([d.model, Some(d.copy), None, None]).map(row),
            });
        }
        rows
    }
}

/// One direction of the table.
struct Row {
    from: String,
    to: String,
    kind: String,
    n: String,
    /// Whether there are so few pictures that an interval would promise too much.
    is_few: bool,
    methods: ByMethod<Option<[Option<Estimate>; FIGURES.len()]>>,
}

/// Places in [`FIGURES`] of those that a row has, and of KID: a note says why sets have none.
fn shown(rows: &[Row]) -> Vec<usize> {
    let has = |place: usize| {
        let mut values = rows.iter().flat_map(|row| row.methods.0.iter().flatten());
        FIGURES[place].key == "kid" || values.any(|values| values[place].is_some())
    };
    (0..FIGURES.len()).filter(|&place| has(place)).collect()
}

/// A line per method, each figure of `shown` with its interval.
fn table(rows: &[Row], shown: &[usize]) -> Table {
    let mut columns = ["from", "to", "kind"].map(Column::text).to_vec();
    columns.extend([Column::figure("n "), Column::text("method")]);
    columns.extend(
        shown
            .iter()
            .map(|&place| Column::figure(FIGURES[place].name)),
    );
    let mut table = Table::new(columns);
    for row in rows {
        for (method, values) in Method::ALL.into_iter().zip(&row.methods.0) {
            let Some(values) = values else { continue };
            let figures = shown.iter().map(|&place| (values[place], &FIGURES[place]));
            let cells =
                [&row.from, &row.to, &row.kind, &row.n].map(|text| Cell::from(text.clone()));
            let figures = figures.map(|(estimate, figure)| match estimate {
                Some(e) if row.is_few => Cell::from(format!("{:.1$}", e.value, figure.digits)),
                Some(e) => Cell::interval([e.value, e.low, e.high], figure.digits),
                None => Cell::from("-"),
            });
            let method = std::iter::once(Cell::from(method.name()));
            table.push(cells.into_iter().chain(method).chain(figures));
        }
    }
    table
}

/// A heading a direction, and values alone: the intervals have no room.
fn below_headings(rows: &[Row], shown: &[usize]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows {
        // A mean has no pictures of its own, and is no direction.
        let (to, count) = match row.n.trim() {
            "" => ("", String::new()),
            n => ("-> ", format!(", {n} pictures")),
        };
        lines.push(format!(
            "{} {to}{}  ({}{count})",
            row.from, row.to, row.kind
        ));
        let line = |method: &str, figure: &dyn Fn(usize) -> String| {
            let start = format!("  {method:7}");
            shown.iter().fold(start, |line, &place| {
                let Measure { name, digits, .. } = &FIGURES[place];
                let text = figure(place);
                format!("{line}  {text:>0$}", name.len().max(digits + 3))
            })
        };
        lines.push(line("", &|place| FIGURES[place].name.to_owned()));
        for (method, values) in Method::ALL.into_iter().zip(&row.methods.0) {
            let Some(values) = values else { continue };
            lines.push(line(method.name(), &|place| {
                let digits = FIGURES[place].digits;
                values[place].map_or_else(|| "-".into(), |e| format!("{:.digits$}", e.value))
            }));
        }
    }
    lines
}

/// Most directions with lines of their own: those of eight styles.
const DIRECTIONS_SHOWN: usize = 56;
/// What is compared with the true picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// The translation.
    Model,
    /// The input as it is.
    Copy,
    /// The input under the best affine map of colours.
    Remap,
    /// The counterpart of the nearest training picture.
    Nearest,
}

impl Method {
    /// In the order of the tables.
    const ALL: [Self; 4] = [Self::Model, Self::Copy, Self::Remap, Self::Nearest];

    fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Copy => "copy",
            Self::Remap => "remap",
            Self::Nearest => "nearest",
        }
    }
}

/// A value for each [`Method`], in the order of [`Method::ALL`].
struct ByMethod<T>([T; Method::ALL.len()]);

impl<T> ByMethod<Option<T>> {
    fn map<U>(self, of: impl Fn(T) -> U) -> ByMethod<Option<U>> {
        ByMethod(self.0.map(|value| value.map(&of)))
    }
}

impl<T> Index<Method> for ByMethod<T> {
    type Output = T;

    fn index(&self, method: Method) -> &T {
        &self.0[method as usize]
    }
}

impl<T> IndexMut<Method> for ByMethod<T> {
    fn index_mut(&mut self, method: Method) -> &mut T {
        &mut self.0[method as usize]
    }
}
