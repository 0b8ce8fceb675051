//! What one choice is worth: the same training with one thing changed, over several seeds, and a table of
//! what came out.
//!
//! Scored first by how well the discriminator finds fake patches in composites that nobody trained on,
//! neither on the pictures nor on the shapes of the masks, then by pictures. Here are the plan, the scores
//! and the table; the launcher runs a session of each training.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::number::{Real, Whole};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use toml::Table as Settings;

use crate::data::{Dataset, Split};
use crate::error::Error;
use crate::metric::{Direction, Evaluation, Measured};
use crate::model::{Discriminator, DiscriminatorConfig, Generator};
use crate::recognize::posteriors;
use crate::report::Table;
use crate::rng::{Rng, Stream};
use crate::settings::{BestMetric, Config};
use crate::train::Best;
use crate::train::composite::{self, Layout};
use crate::train::run::{Which, trained};
use crate::translate::translate;

/// Seed of the composites that are scored: the same for every variant and seed.
const SEED: u64 = 7;
/// Real pictures and fakes that composites of one group are put together from.
const GROUP: usize = 32;
/// Bins of the calibration error.
const BINS: usize = 15;

/// What is varied, as the file of `demotic ablate` has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Each variant is trained once with each.
    pub seeds: Vec<u64>,
    /// Keys of a training configuration that all variants share.
    #[serde(default)]
    pub base: Settings,
    /// The first is what the others are compared with. Those of `[sweep]` follow those that are named.
    #[serde(default, rename = "variant", serialize_with = "named")]
    pub variants: Vec<Variant>,
    /// Settings that are gone through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sweep: Option<Sweep>,
}

/// Only what the file names: the others come from its sweep again.
fn named<S: serde::Serializer>(variants: &[Variant], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(variants.iter().filter(|variant| !variant.is_swept))
}

/// One thing changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// For folders and tables: small letters, digits and `-`.
    pub name: String,
    /// In a few words, for the table.
    #[serde(default)]
    pub about: String,
    /// `key=value` as after `--set`.
    #[serde(default)]
    pub set: Vec<String>,
    /// Whether it is one of a sweep.
    #[serde(skip)]
    is_swept: bool,
}

/// Settings that are gone through: every combination of their values, or some drawn at random.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sweep {
    /// Variants drawn at random, no combination twice; without it, every combination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) random: Option<usize>,
    /// Seed of the draws.
    #[serde(default)]
    pub(crate) seed: u64,
    /// A training of the ablation ends after as many checkpoints without a better validation figure; without
    /// it, none ends before its steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) patience: Option<u64>,
    /// Values by key, such as `"loss.cycle" = [2, 5]`.
    pub(crate) keys: BTreeMap<String, Vec<toml::Value>>,
}

/// Most combinations that a sweep goes through.
const SWEPT_MAX: usize = 256;

impl Sweep {
    /// The variants, in the order of the keys' values, the last key's fastest.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn variants(&self) -> Result<Vec<Variant>, String> {
        if self.keys.is_empty() {
            return Err("sweep.keys: expected at least one key with a list of values".into());
        }
        if let Some((key, _)) = self.keys.iter().find(|(_, values)| values.is_empty()) {
            return Err(format!("sweep.keys: `{key}` has no value"));
        }
        if self.keys.contains_key("seed") {
            return Err(
                "sweep.keys: `seed` is not swept: every combination is trained with each of `seeds = [...]`".into(),
            );
        }
        for (key, values) in &self.keys {
            let mut seen = values.iter().enumerate();
            if let Some((_, twice)) = seen.find(|(at, value)| values[..*at].contains(value)) {
                return Err(format!("sweep.keys: `{key}` has {twice} twice"));
            }
        }
        if self.patience == Some(0) {
            return Err("sweep.patience: expected at least 1".into());
        }
        let counts: Vec<usize> = self.keys.values().map(Vec::len).collect();
        let all = counts
            .iter()
            .try_fold(1_usize, |all, count| all.checked_mul(*count));
        let wanted = match (self.random, all) {
            (None, Some(all)) => all,
            (Some(0), _) => return Err("sweep.random: expected at least 1".into()),
            (Some(count), all) => count.min(all.unwrap_or(usize::MAX)),
            (None, None) => usize::MAX,
        };
        if wanted > SWEPT_MAX {
            return Err(format!(
                "sweep: {wanted} combinations, at most {SWEPT_MAX} are trained; shorten the lists, or set sweep.random"
            ));
        }
        let mut chosen: Vec<Vec<usize>> = Vec::new();
        let mut rng = Rng::new(self.seed, Stream::SCORED.lane(2), 0);
        while chosen.len() < wanted {
            let places = match (self.random, all) {
                // As many as there are, or few of many: those that are drawn again are passed over.
                (Some(_), all) if all != Some(wanted) => counts
                    .iter()
                    .map(|count| rng.below(count.to_u32()) as usize)
                    .collect(),
                _ => places(chosen.len(), &counts),
            };
            if !chosen.contains(&places) {
                chosen.push(places);
            }
        }
        let variant = |(number, places): (usize, Vec<usize>)| {
            let set = self.keys.iter().zip(places);
            let set: Vec<String> = set
                .map(|((key, values), place)| format!("{key}={}", values[place]))
                .collect();
            Variant {
                name: format!("s{:03}", number + 1),
                about: set.join(", "),
                set,
                is_swept: true,
            }
        };
        Ok(chosen.into_iter().enumerate().map(variant).collect())
    }
}

/// Whether an assignment is to the seed.
fn is_of_seed(assignment: &str) -> bool {
    assignment
        .split('=')
        .next()
        .is_some_and(|key| key.trim() == "seed")
}

/// The digits of a number whose places count so far, the last one fastest.
fn places(mut number: usize, counts: &[usize]) -> Vec<usize> {
    let mut places = vec![0; counts.len()];
    for (place, count) in places.iter_mut().zip(counts).rev() {
        (*place, number) = (number % count, number / count);
    }
    places
}

impl Plan {
    /// Reads and checks a plan and every configuration in it.
    ///
    /// # Errors
    /// [`Error::Config`] with every problem.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut plan: Self = toml::from_str(text).map_err(|e| {
            let problem = e.to_string().trim_end().replace('\n', " ");
            Error::Config(vec![format!("not an ablation: {problem}")])
        })?;
        let mut problems = Vec::new();
        match plan.sweep.as_ref().map(Sweep::variants) {
            Some(Ok(swept)) => plan.variants.extend(swept),
            Some(Err(problem)) => return Err(Error::Config(vec![problem])),
            None => {}
        }
        if plan.seeds.is_empty() {
            problems.push("seeds: expected at least one".to_owned());
        }
        if plan.base.contains_key("seed") {
            problems.push(
                "base: `seed` is not shared: every variant is trained with each of `seeds = [...]`"
                    .to_owned(),
            );
        }
        if plan.variants.len() < 2 {
            problems.push(format!(
                "variant: expected at least two, or a [sweep] of as many combinations; got {}",
                plan.variants.len()
            ));
        }
        let mut names = std::collections::BTreeSet::new();
        for variant in &plan.variants {
            let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if variant.name.is_empty() || !variant.name.chars().all(is_plain) {
                problems.push(format!(
                    "variant.name: expected small letters, digits and `-`, got `{}`",
                    variant.name
                ));
            }
            if !names.insert(&variant.name) {
                problems.push(format!("variant `{}` is there twice", variant.name));
            }
            if variant.set.iter().any(|set| is_of_seed(set)) {
                problems.push(format!(
                    "variant `{}`: `seed` is no variant's: every one is trained with each of `seeds = [...]`",
                    variant.name
                ));
            }
        }
        let mut seeds = plan.seeds.clone();
        seeds.sort_unstable();
        if seeds.windows(2).any(|two| two[0] == two[1]) {
            problems.push("seeds: one is there twice".to_owned());
        }
        if let Some(seed) = plan.seeds.first() {
            let (mut data, mut amount) = (None, None);
            for variant in &plan.variants {
                match plan.config(variant, *seed) {
                    Ok(config) => {
                        if *data.get_or_insert_with(|| config.data.clone()) != config.data {
                            problems.push(format!(
                                "variant `{}`: changes `data`; all variants must see the same pictures",
                                variant.name
                            ));
                        }
                        let own = (config.train.steps, config.train.batch);
                        let first = *amount.get_or_insert(own);
                        if first != own {
                            problems.push(format!(
                                "variant `{}`: {} steps of {} pictures, the first variant {} of {}; all variants must be \
                                 trained as long: set train.steps and train.batch in [base.train]",
                                variant.name, own.0, own.1, first.0, first.1
                            ));
                        }
                        let late = plan.never_impatient(&config);
                        if let Some(late) = late.filter(|late| !problems.contains(late)) {
                            problems.push(late);
                        }
                    }
                    Err(Error::Config(found)) => problems.extend(
                        found
                            .into_iter()
                            .map(|p| format!("variant `{}`: {p}", variant.name)),
                    ),
                    Err(other) => return Err(other),
                }
            }
        }
        if problems.is_empty() {
            Ok(plan)
        } else {
            Err(Error::Config(problems))
        }
    }

    /// The configuration of one variant under one seed.
    ///
    /// # Errors
    /// [`Error::Config`] as [`Config::resolve`].
    pub fn config(&self, variant: &Variant, seed: u64) -> Result<Config, Error> {
        let base = toml::to_string(&self.base).expect("a table read from TOML can be written");
        let mut set = variant.set.clone();
        set.push(format!("seed={seed}"));
        Config::resolve(Some(&base), &set)
    }

    /// Checkpoints without a better validation figure after which a training ends.
    pub fn patience(&self) -> Option<u64> {
        self.sweep.as_ref().and_then(|sweep| sweep.patience)
    }

    /// What is wrong where a patience cannot end a training, for it is over before.
    fn never_impatient(&self, config: &Config) -> Option<String> {
        let (steps, every) = (config.train.steps, config.train.checkpoint_steps);
        let patience = self.patience()?;
        // There is a first figure only after the first checkpoint.
        (patience.saturating_add(1).saturating_mul(every) >= steps).then(|| {
            format!(
                "sweep.patience: {patience} checkpoints {every} steps apart after a first one do not come before step {steps}, the last; \
                 set train.checkpoint_steps, or a smaller patience"
            )
        })
    }

    /// Whether settings are gone through: validation figures then say which are best.
    pub fn is_sweep(&self) -> bool {
        self.sweep.is_some()
    }

    /// How many trainings there are.
    pub fn trainings(&self) -> usize {
        self.seeds.len() * self.variants.len()
    }

    /// The folder of one training, in that of the ablation.
    pub fn folder(out: &Path, variant: &Variant, seed: u64) -> PathBuf {
        out.join(format!("{}-{seed}", variant.name))
    }

    /// Asks every discriminator of a seed about composites of all variants' translations, and adds what it
    /// found: only once all are trained are there these composites.
    ///
    /// # Errors
    /// Where a checkpoint cannot be read.
    pub fn pool(
        &self,
        out: &Path,
        dataset: &Dataset,
        device: &Device,
        results: &mut BTreeMap<(String, u64), Outcome>,
    ) -> Result<(), Error> {
        let reals = Reals::of(dataset, Split::Test);
        for &seed in &self.seeds {
            let (mut discriminators, mut fakes) = (Vec::new(), Vec::new());
            for variant in &self.variants {
                let result = results.get(&(variant.name.clone(), seed));
                if result.is_none_or(|result| result.diverged.is_some()) {
                    continue;
                }
                let checkpoint = trained(&Self::folder(out, variant, seed), Which::Latest)?;
                fakes.push(reals.translated(&checkpoint.generator(device)?, device));
                if checkpoint.info.config.loss.adversarial_kind.tells_styles() {
                    discriminators.push((variant, checkpoint.discriminator(device)?));
                }
            }
            if fakes.is_empty() {
                continue;
            }
            let composites = reals.composites(&fakes.iter().map(Vec::as_slice).collect::<Vec<_>>());
            for (variant, discriminator) in discriminators {
                let found = composites.localised(&discriminator, device);
                if let Some(result) = results.get_mut(&(variant.name.clone(), seed)) {
                    result.localised("pooled", found);
                }
            }
        }
        Ok(())
    }

    /// The plan as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a plan read from TOML can be written")
    }
}

/// How well fake patches are found in composites.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Localisation {
    /// Probability that a fake patch gets a higher probability of fake than a real one, over all patches of
    /// all composites.
    pub(crate) auc: f64,
    /// The same among patches of one picture, mean over pictures that have both.
    pub(crate) auc_within: f64,
    /// Patches called fake (more likely than not) that are, over patches called fake or fake.
    pub(crate) iou: f64,
    /// Expected calibration error of the probability that a patch is fake, fifteen bins (Guo et al. 2017).
    pub(crate) ece: f64,
    /// Share of patches whose most probable label, fake or the style, is right.
    pub(crate) labels_right: f64,
}

/// Real pictures of a held-out split, styles in turn.
pub struct Reals {
    pictures: Vec<f32>,
    styles: Vec<u32>,
    style_count: u32,
    size: usize,
}

impl Reals {
    /// All pictures of `split`.
    pub fn of(dataset: &Dataset, split: Split) -> Self {
        let count = dataset.styles().len();
        let longest = (0..count)
            .map(|style| dataset.items(style, split).len())
            .max();
        let (mut pictures, mut styles) = (Vec::new(), Vec::new());
        for i in 0..longest.unwrap_or(0) {
            for style in 0..count {
                if let Some(&item) = dataset.items(style, split).get(i) {
                    pictures.extend(dataset.network_pictures(style, &[item]));
                    styles.push(style.to_u32());
                }
            }
        }
        Self {
            pictures,
            styles,
            style_count: count.to_u32(),
            size: dataset.size_px() as usize,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.styles.len()
    }

    /// Each picture in another style.
    pub fn translated(&self, generator: &Generator, device: &Device) -> Vec<f32> {
        translate(
            generator,
            device,
            &self.pictures,
            self.size,
            &self.targets(),
        )
    }

    fn targets(&self) -> Vec<u32> {
        let mut rng = Rng::new(SEED, Stream::SCORED.lane(1), 0);
        let other = |style: &u32| (style + 1 + rng.below(self.style_count - 1)) % self.style_count;
        self.styles.iter().map(other).collect()
    }

    /// Composites of these pictures and of translations of other ones among them.
    ///
    /// `fakes[m]`: what generator `m` translated all of them into ([`Self::translated`]); the generators take
    /// turns, in every style alike, so that every discriminator can be asked about the same pictures. Masks
    /// are ellipses, half planes at an angle and checkerboards: training draws boxes and blobs.
    pub fn composites(&self, fakes: &[&[f32]]) -> Composites {
        let (n, len) = (self.len(), self.pictures.len() / self.len().max(1));
        let stride = DiscriminatorConfig::PATCH_STRIDE;
        let layout = Layout {
            grid: self.size / stride,
            stride,
        };
        let targets = self.targets();
        let mut all = Composites {
            pictures: Vec::new(),
            labels: Vec::new(),
            grid: layout.grid,
            size: self.size,
        };
        for (group, start) in (0..n).step_by(GROUP).enumerate() {
            let real: Vec<usize> = (start..n.min(start + GROUP)).collect();
            // Fakes come from the other half of the pictures: none meets its own translation.
            let source: Vec<usize> = real.iter().map(|i| (i + n / 2) % n).collect();
            let real_styles: Vec<u32> = real.iter().map(|&i| self.styles[i]).collect();
            let fake_styles: Vec<u32> = source.iter().map(|&i| targets[i]).collect();
            let rng = Rng::new(SEED, Stream::SCORED, group as u64);
            let styles = [&real_styles[..], &fake_styles];
            let plan = composite::plan_in(rng, real.len(), 1.0, styles, layout, unseen_shape);
            let picture = |pool: i32| {
                let pool = pool.to_usize();
                match pool.checked_sub(real.len()) {
                    None => &self.pictures[real[pool] * len..][..len],
                    Some(i) => {
                        // Styles alternate: all of one round of them come from one generator.
                        let turn = source[i] / self.style_count as usize % fakes.len();
                        &fakes[turn][source[i] * len..][..len]
                    }
                }
            };
            let plane = self.size * self.size;
            for (m, (&inside, &outside)) in plan.inside.iter().zip(&plan.outside).enumerate() {
                let mask = &plan.mask[m * plane..][..plane];
                let (inside, outside) = (picture(inside), picture(outside));
                let mixed = (0..len).map(|i| {
                    if mask[i % plane] > 0.5 {
                        inside[i]
                    } else {
                        outside[i]
                    }
                });
                all.pictures.extend(mixed);
            }
            all.labels
                .extend(plan.labels.iter().map(|&label| label.to_usize()));
        }
        all
    }
}

/// Which patches of a grid lie inside a shape that training does not draw: an ellipse at any angle, a half
/// plane at an angle, or a checkerboard of one or two patches a field. Some patches are inside and some are
/// not.
fn unseen_shape(rng: &mut Rng, grid: usize) -> Vec<bool> {
    use std::f32::consts::TAU;
    let span = grid.to_f32();
    let kind = rng.below(3);
    // Whether a patch's middle, in patches, lies inside.
    let inside: Box<dyn Fn(f32, f32) -> bool> = match kind {
        0 => {
            let middle = [0; 2].map(|_| rng.uniform_in(0.25, 0.75) * span);
            let radii = [0; 2].map(|_| rng.uniform_in(0.2, 0.45) * span);
            let (sin, cos) = (rng.uniform() * TAU).sin_cos();
            Box::new(move |x, y| {
                let (x, y) = (x - middle[0], y - middle[1]);
                let (u, v) = (x * cos + y * sin, y * cos - x * sin);
                (u / radii[0]).powi(2) + (v / radii[1]).powi(2) < 1.0
            })
        }
        1 => {
            let point = [0; 2].map(|_| rng.uniform_in(0.3, 0.7) * span);
            // A quarter turn and 15 to 75 degrees: never along the patches' sides.
            let angle =
                rng.below(4).to_f32() * TAU / 4.0 + rng.uniform_in(TAU / 24.0, TAU * 5.0 / 24.0);
            let (sin, cos) = angle.sin_cos();
            Box::new(move |x, y| (x - point[0]) * cos + (y - point[1]) * sin > 0.0)
        }
        _ => {
            let field = 1 + rng.below((grid.to_u32() / 2).clamp(1, 2));
            let shift = [0; 2].map(|_| rng.below(2 * field));
            Box::new(move |x, y| {
                let of = |at: f32, shift: u32| (at.to_u32() + shift) / field;
                (of(x, shift[0]) + of(y, shift[1])) % 2 == 1
            })
        }
    };
    let mut cells: Vec<bool> = (0..grid * grid)
        .map(|cell| inside((cell % grid).to_f32() + 0.5, (cell / grid).to_f32() + 0.5))
        .collect();
    // On a grid of few patches a shape may miss all middles, or take all.
    if cells.iter().all(|cell| *cell == cells[0]) {
        cells[0] = !cells[0];
    }
    cells
}

/// Composites with the label of every patch.
pub struct Composites {
    /// `[n, c, size, size]`
    pictures: Vec<f32>,
    /// `[n, grid, grid]`
    labels: Vec<usize>,
    grid: usize,
    size: usize,
}

impl Composites {
    /// Asks a discriminator about every patch.
    pub fn localised(&self, discriminator: &Discriminator, device: &Device) -> Localisation {
        let values = posteriors(discriminator, device, &self.pictures, self.size);
        localisation(&values, &self.labels, self.grid * self.grid)
    }
}

/// Scores posteriors `[n, labels, patches]` against true labels `[n, patches]`.
fn localisation(posteriors: &[f32], truth: &[usize], patches: usize) -> Localisation {
    let labels = posteriors.len() / truth.len();
    let mut all = Vec::with_capacity(truth.len());
    let (mut within, mut mixed) = (0.0, 0);
    let (mut right, mut both, mut either) = (0, 0, 0);
    for (values, truth) in posteriors
        .chunks_exact(labels * patches)
        .zip(truth.chunks_exact(patches))
    {
        let mut picture = Vec::with_capacity(patches);
        for (patch, &label) in truth.iter().enumerate() {
            let prob = |label: usize| values[label * patches + patch];
            let best = (1..labels).fold(0, |best, l| if prob(l) > prob(best) { l } else { best });
            right += usize::from(best == label);
            let (is_fake, thought) = (label == 0, prob(0) > 0.5);
            both += usize::from(is_fake && thought);
            either += usize::from(is_fake || thought);
            picture.push((prob(0), is_fake));
        }
        if let Some(auc) = area_under_curve(&mut picture) {
            within += auc;
            mixed += 1;
        }
        all.extend(picture);
    }
    let ece = calibration_error(&all);
    Localisation {
        auc: area_under_curve(&mut all).unwrap_or(f64::NAN),
        auc_within: within / f64::from(mixed),
        iou: both.to_f64() / either.to_f64(),
        ece,
        labels_right: right.to_f64() / truth.len().to_f64(),
    }
}

/// Probability that a fake one is ahead of a real one, ties counting half (Mann and Whitney 1947); `None`
/// without both.
fn area_under_curve(scored: &mut [(f32, bool)]) -> Option<f64> {
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut ahead, mut fakes) = (0.0, 0.0, 0.0);
    for same in scored.chunk_by(|a, b| a.0 == b.0) {
        let of_fake = same.iter().filter(|(_, is_fake)| *is_fake).count().to_f64();
        let of_real = same.len().to_f64() - of_fake;
        ahead += of_fake * (below + of_real / 2.0);
        below += of_real;
        fakes += of_fake;
    }
    (fakes > 0.0 && below > 0.0).then(|| ahead / (fakes * below))
}

/// `sum over bins of share * |mean probability - share that is fake|`.
fn calibration_error(scored: &[(f32, bool)]) -> f64 {
    let mut bins = [(0.0_f64, 0.0_f64); BINS];
    for &(prob, is_fake) in scored {
        let bin = (prob * BINS.to_f32()).to_usize().min(BINS - 1);
        bins[bin].0 += f64::from(prob);
        bins[bin].1 += f64::from(u8::from(is_fake));
    }
    let gaps = bins.iter().map(|(probs, fakes)| (probs - fakes).abs());
    gaps.sum::<f64>() / scored.len().to_f64()
}

/// What one training came to: figures by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Name of the variant.
    pub variant: String,
    /// The run's seed.
    pub seed: u64,
    /// Generator steps.
    pub steps: u64,
    /// Figures by name. None where the training diverged for good; none of finding fake patches
    /// where the variant's loss does not train the labels of styles against each other.
    pub figures: BTreeMap<String, f64>,
    /// How often it went back to a checkpoint because something was not a finite number: its rates are
    /// smaller for it.
    #[serde(default)]
    pub rollbacks: u32,
    /// The step at which it was ended because its validation figure had not improved for long; `None`
    /// (`null`) if it was not.
    #[serde(default)]
    pub ended_early: Option<u64>,
    /// The best figure on validation pictures, and its step; `None` (`null`) where none was taken.
    #[serde(default)]
    pub best: Option<Best>,
    /// Where and why it diverged once it had gone back as often as it may; `None` (`null`) if it came to its
    /// end.
    #[serde(default)]
    pub diverged: Option<String>,
}

impl Outcome {
    /// Reads the result of a training that has come to its end; none where there is no such file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Run`] where the file is damaged.
    pub fn load(file: &Path) -> Result<Option<Self>, Error> {
        if !file.is_file() {
            return Ok(None);
        }
        let text = fs::read_to_string(file).map_err(Error::io("read", file))?;
        let found = serde_json::from_str(&text).map_err(|e| {
            let way_out = "delete its folder to train that variant again";
            Error::run(format!("the result is damaged ({e}); {way_out}"), file)
        })?;
        Ok(Some(found))
    }

    /// Adds figures of held-out translations: means over directions, of those that have the figure.
    pub fn scored(&mut self, evaluation: &Evaluation) {
        let paired = |figure: fn(&Measured) -> Option<f64>| -> Vec<f64> {
            let of = |direction: &Direction| direction.model.as_ref().and_then(figure);
            evaluation.directions.iter().filter_map(of).collect()
        };
        let mut kid = paired(|m| m.kid.map(|kid| kid.value));
        let sets = evaluation.unpaired.iter().filter_map(|d| d.model);
        kid.extend(sets.map(|m| m.kid.value));
        for (name, values) in [
            ("l1", paired(|m| Some(m.l1.value))),
            ("ssim", paired(|m| Some(m.ssim.value))),
            ("perceptual", paired(|m| Some(m.perceptual.value))),
            ("kid", kid),
        ] {
            // Without a pair there is no figure, and JSON has no word for that.
            let mean = values.iter().sum::<f64>() / values.len().to_f64();
            if mean.is_finite() {
                self.figures.insert(name.into(), mean);
            }
        }
    }

    /// Adds a localisation under a prefix.
    pub fn localised(&mut self, prefix: &str, found: Localisation) {
        for (name, value) in [
            ("auc", found.auc),
            ("auc_within", found.auc_within),
            ("iou", found.iou),
            ("ece", found.ece),
            ("labels_right", found.labels_right),
        ] {
            self.figures.insert(format!("{prefix}_{name}"), value);
        }
    }
}

/// A figure's name, its heading and the digits it is shown with.
pub(crate) type Column = (&'static str, &'static str, usize);

/// The table's columns in three groups.
pub(crate) const FIGURES: [(&str, &[Column]); 3] = [
    (
        "Fake patches found in unseen composites; translations of all variants, the same for each",
        &[
            ("pooled_auc", "AUC", 3),
            ("pooled_auc_within", "AUC in one picture", 3),
            ("pooled_iou", "IoU", 3),
            ("pooled_ece", "ECE", 3),
            ("pooled_labels_right", "labels right", 3),
        ],
    ),
    (
        "The same, translations of the variant's own generator",
        &[
            ("own_auc", "AUC", 3),
            ("own_auc_within", "AUC in one picture", 3),
            ("own_iou", "IoU", 3),
            ("own_ece", "ECE", 3),
            ("own_labels_right", "labels right", 3),
        ],
    ),
    (
        "Translations of unseen pictures, mean over directions",
        &[
            ("l1", "L1", 4),
            ("ssim", "SSIM", 4),
            ("perceptual", "perceptual", 4),
            ("kid", "KID x1000", 1),
            ("secs_a_step", "seconds per step", 3),
        ],
    ),
];

/// A mean over seeds with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OverSeeds {
    /// Mean.
    pub(crate) mean: f64,
    /// Half the width of the interval: Student's t times the standard error; `None` (`null`) of one seed.
    pub(crate) half_width: Option<f64>,
    /// Seeds.
    pub(crate) n: usize,
}

impl OverSeeds {
    /// The mean of values, one per seed; `None` of none.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n.to_f64();
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n.to_f64() - 1.0);
        Some(Self {
            mean,
            half_width: (n > 1).then(|| student_t(n - 1) * (variance / n.to_f64()).sqrt()),
            n,
        })
    }

    pub(super) fn text(self, digits: usize, signed: bool) -> String {
        let mean = if signed {
            format!("{:+.digits$}", self.mean)
        } else {
            format!("{:.digits$}", self.mean)
        };
        match self.half_width {
            Some(half) => format!("{mean} ± {half:.digits$}"),
            None => mean,
        }
    }
}

/// 97.5 % quantile of Student's t.
fn student_t(freedom: usize) -> f64 {
    const QUANTILES: [f64; 10] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    ];
    if let Some(quantile) = QUANTILES.get(freedom - 1) {
        return *quantile;
    }
    // Within 0.006 from eleven on: the first terms of its expansion about the normal's.
    let (z, f) = (1.96_f64, freedom.to_f64());
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * f * f);
    z + (z.powi(3) + z) / (4.0 * f) + second
}

/// Means of every variant, and what each is away from the first one, seed by seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// In the plan's order.
    pub variants: Vec<VariantMeans>,
    /// What the means are of.
    pub(crate) outcomes: Vec<Outcome>,
}

/// One variant's row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariantMeans {
    /// Its name.
    pub name: String,
    /// In a few words.
    pub about: String,
    /// Means over seeds by figure.
    pub(crate) means: BTreeMap<String, OverSeeds>,
    /// Differences from the first variant under the same seed: empty for the first.
    pub(crate) differences: BTreeMap<String, OverSeeds>,
}

impl VariantMeans {
    /// Means, or differences from the first variant.
    pub(super) fn figures(&self, is_difference: bool) -> &BTreeMap<String, OverSeeds> {
        if is_difference {
            &self.differences
        } else {
            &self.means
        }
    }
}

impl Comparison {
    /// Sums up finished trainings.
    pub fn new(plan: &Plan, outcomes: Vec<Outcome>) -> Self {
        let names = || {
            FIGURES
                .iter()
                .flat_map(|(_, columns)| columns.iter().map(|(name, ..)| *name))
        };
        let of = |variant: &Variant, seed: u64| {
            let mut found = outcomes.iter();
            found.find(|o| o.variant == variant.name && o.seed == seed)
        };
        let summed = |values: &dyn Fn(u64, &str) -> Option<f64>| {
            names()
                .filter_map(|name| {
                    let values: Vec<f64> = plan
                        .seeds
                        .iter()
                        .filter_map(|&seed| values(seed, name))
                        .collect();
                    Some((name.to_owned(), OverSeeds::of(&values)?))
                })
                .collect()
        };
        let figure = |variant: &Variant, seed: u64, name: &str| {
            let value = of(variant, seed)?.figures.get(name).copied();
            value.filter(|v| v.is_finite())
        };
        let first = &plan.variants[0];
        let variants = plan
            .variants
            .iter()
            .map(|variant| VariantMeans {
                name: variant.name.clone(),
                about: variant.about.clone(),
                means: summed(&|seed, name| figure(variant, seed, name)),
                differences: if variant == first {
                    BTreeMap::new()
                } else {
                    summed(&|seed, name| {
                        Some(figure(variant, seed, name)? - figure(first, seed, name)?)
                    })
                },
            })
            .collect();
        Self { variants, outcomes }
    }

    /// The figure on validation pictures that variants are put in order by; none where none was taken.
    pub fn metric(&self) -> Option<BestMetric> {
        let best = self.outcomes.iter().find_map(|o| o.best.as_ref())?;
        serde_json::from_value(best.metric.as_str().into()).ok()
    }

    /// Variants with the mean over seeds of their best figures on validation pictures, the best first.
    pub(super) fn ranked(&self) -> Vec<(&VariantMeans, OverSeeds)> {
        let Some(metric) = self.metric() else {
            return Vec::new();
        };
        let of = |variant: &VariantMeans| {
            let own = self.outcomes.iter().filter(|o| o.variant == variant.name);
            let best = own.filter(|o| o.diverged.is_none());
            let best = best.filter_map(|o| o.best.as_ref());
            let same = best.filter(|best| best.metric == metric.name());
            let values: Vec<f64> = same.map(|best| f64::from(best.value)).collect();
            OverSeeds::of(&values)
        };
        let variants = self.variants.iter();
        let mut ranked: Vec<(&VariantMeans, OverSeeds)> = variants
            .filter_map(|variant| Some((variant, of(variant)?)))
            .collect();
        ranked.sort_by(|(_, a), (_, b)| {
            let ascending = a.mean.total_cmp(&b.mean);
            if metric.improves(0.0, 1.0) {
                ascending
            } else {
                ascending.reverse()
            }
        });
        ranked
    }

    /// A variant's best figure on validation pictures, in words; nothing where none was taken.
    pub fn validated(&self, variant: &Variant) -> Option<String> {
        let ranked = self.ranked();
        let (_, value) = ranked.iter().find(|(own, _)| own.name == variant.name)?;
        Some(format!(
            "{} {}",
            self.metric()?.name(),
            value.text(4, false)
        ))
    }

    /// Numbers of the variants in the plan: those with a figure on validation pictures first, by that, then
    /// the others.
    pub fn order(&self) -> Vec<usize> {
        let place = |of: &VariantMeans| self.variants.iter().position(|v| v.name == of.name);
        let ranked = self.ranked().into_iter();
        let mut order: Vec<usize> = ranked.filter_map(|(variant, _)| place(variant)).collect();
        let rest = (0..self.variants.len()).filter(|i| !order.contains(i));
        let rest: Vec<usize> = rest.collect();
        order.extend(rest);
        order
    }

    /// Trainings that are done.
    pub fn trainings(&self) -> usize {
        self.outcomes.len()
    }

    /// What the figures are of, and which trainings did not come to their end, a sentence each.
    pub fn notes(&self) -> Vec<String> {
        let about = self.about().replace("**", "").replace('`', "");
        let lines = about.lines().filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    }

    /// The tables as a page has them: a row per variant, in their [order](Self::order).
    pub fn tables(&self) -> Vec<Table> {
        let table = |(title, columns): &(&str, &[Column])| Table {
            title: (*title).to_owned(),
            head: std::iter::once("variant")
                .chain(columns.iter().map(|(_, head, _)| *head))
                .map(str::to_owned)
                .collect(),
            rows: self
                .order()
                .into_iter()
                .map(|number| {
                    let variant = &self.variants[number];
                    let cell = |(name, _, digits): &Column| {
                        let mean = variant.means.get(*name);
                        mean.map_or_else(|| "-".to_owned(), |mean| mean.text(*digits, false))
                    };
                    std::iter::once(variant.name.clone())
                        .chain(columns.iter().map(cell))
                        .collect()
                })
                .collect(),
        };
        FIGURES.iter().map(table).collect()
    }

    /// Over a table of means or of differences from the first variant.
    pub(super) fn heading(&self, group: &str, is_difference: bool) -> String {
        if is_difference {
            let first = self.variants.first().map_or("", |v| v.name.as_str());
            format!("difference from `{first}`")
        } else {
            group.to_owned()
        }
    }

    /// What the tables are of, and which trainings did not come to their end.
    pub(super) fn about(&self) -> String {
        let mut text = String::new();
        let seeds = self
            .variants
            .iter()
            .flat_map(|v| v.means.values().map(|m| m.n))
            .max();
        let steps = self.outcomes.iter().map(|o| o.steps).max();
        let steps = steps.unwrap_or(0);
        // A write into a String cannot fail.
        let _ = match seeds.unwrap_or(0) {
            1 => writeln!(
                text,
                "1 seed, {steps} steps each: no intervals, so small differences may be chance."
            ),
            seeds => writeln!(
                text,
                "{seeds} seeds, {steps} steps each; ± half a 95 % interval over seeds (Student's t). Differences are taken seed by seed."
            ),
        };
        for outcome in &self.outcomes {
            let Outcome {
                variant,
                seed,
                rollbacks,
                ..
            } = outcome;
            if let Some(what) = &outcome.diverged {
                let _ = writeln!(
                    text,
                    "\n`{variant}` seed {seed} **diverged** after {rollbacks} roll-backs and has no figures: {what}."
                );
            } else if let Some(step) = outcome.ended_early {
                let _ = writeln!(
                    text,
                    "\n`{variant}` seed {seed} was ended at step {step}: its validation figure had not improved."
                );
            } else if *rollbacks > 0 {
                let _ = writeln!(
                    text,
                    "\n`{variant}` seed {seed} went back to a checkpoint {rollbacks} times and went on at smaller rates."
                );
            }
        }
        text
    }

    /// Over the list of variants in their order.
    pub(super) fn ranking_heading(&self) -> Option<String> {
        let metric = self.metric()?.name();
        Some(format!("Best first, by {metric} on validation pictures"))
    }

    /// Tables in Markdown: the order by validation pictures where there is one, means, then differences from
    /// the first variant.
    pub fn to_markdown(&self) -> String {
        let mut text = self.about();
        if let (Some(heading), Some(metric)) = (self.ranking_heading(), self.metric()) {
            // A write into a String cannot fail.
            let _ = writeln!(
                text,
                "\n**{heading}**\n\n| variant | {} | settings |\n|---|---|---|",
                metric.name()
            );
            for (variant, value) in self.ranked() {
                let (name, about) = (&variant.name, &variant.about);
                let _ = writeln!(text, "| `{name}` | {} | {about} |", value.text(4, false));
            }
        }
        for (group, columns) in FIGURES {
            for is_difference in [false, true] {
                let heading = self.heading(group, is_difference);
                // A write into a String cannot fail.
                let _ = write!(text, "\n**{heading}**\n\n| variant |");
                for (_, head, _) in columns {
                    let _ = write!(text, " {head} |");
                }
                let _ = writeln!(text, "\n|---|{}", "---|".repeat(columns.len()));
                for variant in &self.variants {
                    let row = variant.figures(is_difference);
                    if row.is_empty() {
                        continue;
                    }
                    let about = if is_difference || variant.about.is_empty() {
                        format!("`{}`", variant.name)
                    } else {
                        format!("`{}` {}", variant.name, variant.about)
                    };
                    let _ = write!(text, "| {about} |");
                    for (name, _, digits) in columns {
                        let cell = row.get(*name).map(|v| v.text(*digits, is_difference));
                        let _ = write!(text, " {} |", cell.as_deref().unwrap_or("-"));
                    }
                    text.push('\n');
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localisation_has_its_hand_values() {
        // Two pictures of two patches, labels fake, a, b. The second picture has no fake patch.
        let posteriors = [
            [0.9, 0.2],
            [0.1, 0.7],
            [0.0, 0.1], //
            [0.6, 0.2],
            [0.1, 0.1],
            [0.3, 0.7],
        ]
        .concat();
        let found = localisation(&posteriors, &[0, 1, 2, 2], 2);
        // Fake 0.9 against real 0.2, 0.6, 0.2.
        assert_eq!((found.auc, found.auc_within), (1.0, 1.0));
        assert_eq!((found.iou, found.labels_right), (0.5, 0.75));
        // Bins of 0.9; of 0.2 twice; of 0.6: |0.9 - 1| + |0.4 - 0| + |0.6 - 0| over 4.
        assert!((found.ece - 1.1 / 4.0).abs() < 1e-6, "{found:?}");
        let mut ties = [(0.5, true), (0.5, false), (0.7, false), (0.9, true)];
        // 0.5 against 0.5: half; against 0.7: none; 0.9 against both: two. 2.5 of 4.
        assert_eq!(area_under_curve(&mut ties), Some(0.625));
        assert_eq!(area_under_curve(&mut [(0.5, true)]), None);
    }

    #[test]
    fn intervals_over_seeds_are_students() {
        let of = OverSeeds::of(&[1.0, 2.0, 3.0]).expect("three values");
        assert!((of.mean - 2.0).abs() < 1e-12);
        assert!((of.half_width.expect("more than one") - 4.303 / 3.0_f64.sqrt()).abs() < 1e-9);
        assert_eq!(OverSeeds::of(&[5.0]).expect("one value").half_width, None);
        assert_eq!(OverSeeds::of(&[]), None);
        // Tables: 2.086 at 20, 2.042 at 30.
        assert!((student_t(20) - 2.086).abs() < 0.003 && (student_t(30) - 2.042).abs() < 0.003);
    }

    #[test]
    fn a_plan_tells_all_its_problems_at_once() {
        let text = r#"
            seeds = [1, 1]
            [base]
            seed = 7
            [[variant]]
            name = "Big"
            [[variant]]
            name = "b"
            set = ["train.steps=0", "discriminator.hed=crf"]
            [[variant]]
            name = "b"
            set = ["data.size_px=64", "data.styles=[\"noto\",\"twemoji\"]"]
            [[variant]]
            name = "c"
            set = ["train.steps=9", "train.batch=2"]
            [[variant]]
            name = "d"
            set = ["seed = 3"]
        "#;
        let Err(Error::Config(problems)) = Plan::parse(text) else {
            panic!("a bad plan was taken");
        };
        for expected in [
            "`Big`",
            "twice",
            "seeds: one",
            "train.steps",
            "discriminator.hed",
            "changes `data`",
            "`c`: 9 steps of 2 pictures, the first variant",
            "`d`: `seed` is no variant's",
            "base: `seed` is not shared",
        ] {
            assert!(
                problems.iter().any(|p| p.contains(expected)),
                "{expected}: {problems:#?}"
            );
        }
        assert!(matches!(Plan::parse("seeds = 3"), Err(Error::Config(_))));
        let swept = Plan::parse("seeds = [1]\n[sweep.keys]\nseed = [1, 2]\n");
        let told = swept.expect_err("the seed is not swept").to_string();
        assert!(told.contains("`seed` is not swept"), "{told}");
    }

    #[test]
    fn a_sweep_is_every_combination_or_as_many_at_random_and_its_plan_reads_back() {
        let text = |more: &str| {
            format!(
                "seeds = [1]\n[sweep]\n{more}\n[sweep.keys]\n\"loss.cycle\" = [2, 5]\n\"generator.filter\" = [\"on\", \"off\"]\n\"loss.kl\" = [0.1, 0.01, 0.001]\n"
            )
        };
        let grid = Plan::parse(&text("patience = 3")).expect("a sweep");
        assert_eq!(grid.variants.len(), 12);
        assert_eq!(
            grid.variants[1].set,
            ["generator.filter=\"on\"", "loss.cycle=2", "loss.kl=0.01"]
        );
        let config = grid.config(&grid.variants[11], 1).expect("settings");
        assert_eq!((config.loss.cycle, config.loss.kl), (5.0, 0.001));
        assert_eq!(Plan::parse(&grid.to_toml()).expect("its own plan"), grid);
        let drawn = |seed: u64| {
            let plan = Plan::parse(&text(&format!("random = 5\nseed = {seed}"))).expect("a sweep");
            let sets = plan.variants.into_iter().map(|variant| variant.set);
            sets.collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!((drawn(1).len(), drawn(2).len()), (5, 5));
        assert_ne!(drawn(1), drawn(2));
        let all = Plan::parse(&text("random = 99")).expect("more than there are");
        assert_eq!(all.variants, grid.variants);
        for (more, reported) in [
            ("random = 0", "sweep.random"),
            ("patience = -1", "patience"),
            ("colour = 3", "colour"),
            ("patience = 0", "sweep.patience: expected at least 1"),
            (
                "patience = 99",
                "sweep.patience: 99 checkpoints 1000 steps apart after a first one do not come before step 100000",
            ),
        ] {
            let refused = Plan::parse(&text(more)).expect_err(more).to_string();
            assert!(refused.contains(reported), "{refused}");
        }
        let empty = Plan::parse("seeds = [1]\n[sweep.keys]\n\"loss.cycle\" = []\n");
        assert!(
            empty
                .expect_err("no value")
                .to_string()
                .contains("loss.cycle")
        );
        let twice = Plan::parse("seeds = [1]\n[sweep.keys]\n\"loss.cycle\" = [2, 5, 2]\n");
        let twice = twice.expect_err("a value twice").to_string();
        assert!(twice.contains("`loss.cycle` has 2 twice"), "{twice}");
    }

    #[test]
    fn variants_of_a_sweep_are_put_in_order_by_validation_pictures() {
        let plan = Plan::parse("seeds = [1, 2]\n[sweep.keys]\n\"loss.cycle\" = [2, 5, 10]\n");
        let plan = plan.expect("a plan");
        assert!(plan.is_sweep() && plan.trainings() == 6);
        let outcome = |variant: &str, seed: u64, metric: &str, value: f32| Outcome {
            variant: variant.into(),
            seed,
            steps: 10,
            figures: BTreeMap::new(),
            rollbacks: 0,
            ended_early: None,
            best: Some(Best {
                step: 5,
                metric: metric.into(),
                value,
            }),
            diverged: None,
        };
        let of = |metric: &str| {
            let outcomes = vec![
                outcome("s001", 1, metric, 0.5),
                outcome("s001", 2, metric, 1.0),
                outcome("s003", 1, metric, 0.25),
            ];
            Comparison::new(&plan, outcomes)
        };
        // Lower is better, higher is better; the one that is not trained yet comes last.
        assert_eq!(of("l1").order(), [2, 0, 1]);
        assert_eq!(of("ssim").order(), [0, 2, 1]);
        let comparison = of("l1");
        let reported: Vec<Option<String>> = plan
            .variants
            .iter()
            .map(|v| comparison.validated(v))
            .collect();
        assert_eq!(
            reported,
            [
                Some("l1 0.7500 ± 3.1765".to_owned()),
                None,
                Some("l1 0.2500".to_owned())
            ]
        );
        let text = comparison.to_markdown();
        let (first, second) = (
            text.find("| `s003` | 0.2500 | loss.cycle=10 |"),
            text.find("| `s001` | 0.75"),
        );
        assert!(first.is_some() && first < second, "{text}");
        let shown = comparison.fitted(60);
        assert!(
            shown.contains("Best first, by l1 on validation pictures")
                && shown.contains("s003  l1 0.2500  loss.cycle=10"),
            "{shown}"
        );
        assert!(
            shown.lines().all(|line| line.chars().count() <= 60),
            "{shown}"
        );
    }

    #[test]
    fn the_shipped_plan_is_one() {
        let plan = Plan::parse(include_str!("../../../../configs/ablation.toml")).expect("a plan");
        assert_eq!(
            (plan.variants.len(), plan.variants[0].name.as_str()),
            (11, "learned")
        );
        assert!(plan.seeds.len() >= 3);
    }

    #[test]
    fn every_generator_makes_patches_of_every_style() {
        // A picture is its number: 100 for what generator 1 translated, 200 for generator 2, and the style
        // that it is in.
        let (n, size) = (64, 8);
        let len = 3 * size * size;
        let styles: Vec<u32> = (0..n).map(|i| i % 2).collect();
        let reals = Reals {
            pictures: styles.iter().flat_map(|&s| vec![s.to_f32(); len]).collect(),
            styles: styles.clone(),
            style_count: 2,
            size,
        };
        let fakes = |generator: f32| -> Vec<f32> {
            let targets = reals.targets();
            let pictures = targets.iter();
            pictures
                .flat_map(|&s| vec![100.0 * generator + s.to_f32(); len])
                .collect()
        };
        let [one, two] = [fakes(1.0), fakes(2.0)];
        let all = reals.composites(&[&one, &two]);
        let shown: std::collections::BTreeSet<u32> =
            all.pictures.iter().map(|&v| v.to_u32()).collect();
        assert_eq!(
            shown.into_iter().collect::<Vec<_>>(),
            [0, 1, 100, 101, 200, 201]
        );
    }

    #[test]
    fn unseen_shapes_cover_some_patches_and_leave_some() {
        let mut rng = Rng::new(1, Stream::TEST, 0);
        for grid in [2, 4, 8, 16] {
            let mut total = 0.0;
            for _ in 0..200 {
                let cells = unseen_shape(&mut rng, grid);
                let covered = cells.iter().filter(|cell| **cell).count();
                assert!(cells.len() == grid * grid && covered > 0 && covered < cells.len());
                total += covered.to_f32() / cells.len().to_f32();
            }
            assert!((0.3..0.6).contains(&(total / 200.0)), "{grid}: {total}");
        }
    }

    #[test]
    fn a_training_that_diverged_is_told_and_the_others_are_compared() {
        let plan =
            Plan::parse("seeds = [1, 2]\n[[variant]]\nname = \"a\"\n[[variant]]\nname = \"b\"\n")
                .expect("a plan");
        let outcome = |variant: &str, seed: u64, diverged: Option<&str>| Outcome {
            variant: variant.into(),
            seed,
            steps: 10,
            figures: diverged.map_or_else(|| [("l1".to_owned(), 0.5)].into(), |_| BTreeMap::new()),
            rollbacks: u32::from(diverged.is_some()) * 4,
            ended_early: None,
            best: None,
            diverged: diverged.map(str::to_owned),
        };
        let text = Comparison::new(
            &plan,
            vec![
                outcome("a", 1, None),
                outcome("a", 2, None),
                outcome("b", 1, Some("step 3: g_norm is inf")),
                outcome("b", 2, None),
            ],
        )
        .to_markdown();
        assert!(
            text.contains("`b` seed 1 **diverged** after 4 roll-backs and has no figures: step 3: g_norm is inf.")
                && text.contains("| `b` | +0.0000 |"),
            "{text}"
        );
    }

    #[test]
    fn differences_are_taken_seed_by_seed() {
        let plan = Plan::parse(
            "seeds = [1, 2, 3]\n[[variant]]\nname = \"a\"\n[[variant]]\nname = \"b\"\n",
        )
        .expect("a plan");
        let outcome = |variant: &str, seed: u64, l1: f64| Outcome {
            variant: variant.into(),
            seed,
            steps: 10,
            figures: [("l1".to_owned(), l1)].into(),
            rollbacks: 0,
            ended_early: None,
            best: None,
            diverged: None,
        };
        // Seeds differ much, variants by 0.25 (exact in binary) in each.
        let outcomes = [1, 2, 3]
            .into_iter()
            .flat_map(|seed| {
                [
                    outcome("a", seed, seed.to_f64()),
                    outcome("b", seed, seed.to_f64() + 0.25),
                ]
            })
            .collect();
        let comparison = Comparison::new(&plan, outcomes);
        let b = &comparison.variants[1];
        assert_eq!(
            (b.differences["l1"].mean, b.differences["l1"].half_width),
            (0.25, Some(0.0))
        );
        assert!(b.means["l1"].half_width.expect("three seeds") > 2.0);
        assert!(comparison.variants[0].differences.is_empty());
        let text = comparison.to_markdown();
        assert!(
            text.contains("| `b` | +0.2500 ± 0.0000 |") && text.contains("3 seeds, 10 steps"),
            "{text}"
        );
    }
}
