//! The configuration of a run: defaults < file < `--set a.b=c`, every problem reported at once in the user's key names.

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::data::{Augmentation, CachePolicy, Channels, DatasetOptions};
use crate::error::Error;
use crate::loss::AdversarialKind;
use crate::model::{
    DiscriminatorConfig, DiscriminatorHead, Domain, GeneratorConfig, GeneratorKind, StyleKind,
    TransitionKind,
};
use crate::train::BestMetric;

/// Everything a run depends on besides its pictures and its device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Source of every random number.
    pub seed: u64,
    /// Which pictures.
    pub data: DataConfig,
    /// How training pictures are varied.
    pub augment: Augmentation,
    /// The translator.
    pub generator: GeneratorConfig,
    /// Its adversary.
    pub discriminator: DiscriminatorConfig,
    /// Weights of the loss terms.
    pub loss: LossConfig,
    /// Lengths, rates and intervals.
    pub train: TrainConfig,
}

/// Which pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// `emoji`, a folder `DIR/<style>/<name>.png`, or a data set made by `demotic data import`.
    pub source: String,
    /// Side of the pictures the networks see: a multiple of 8 from 16 to 256.
    pub size_px: u32,
    /// Styles by name; empty takes all there are.
    pub styles: Vec<String>,
    /// What transparent pictures are laid on, `#rrggbb`.
    pub background: String,
    /// What the networks see and draw of a picture.
    pub channels: Channels,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: "emoji".into(),
            size_px: 64,
            styles: Vec::new(),
            background: "#ffffff".into(),
            channels: Channels::Rgb,
        }
    }
}

impl DataConfig {
    /// The background as bytes.
    ///
    /// # Errors
    /// A sentence where it is not `#rrggbb`.
    pub fn background_rgb(&self) -> Result<[u8; 3], String> {
        let bad = || {
            format!(
                "data.background: expected #rrggbb, got `{}`",
                self.background
            )
        };
        let digits = self
            .background
            .strip_prefix('#')
            .filter(|d| d.len() == 6 && d.is_ascii())
            .ok_or_else(bad)?;
        let mut rgb = [0; 3];
        for (i, byte) in rgb.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).map_err(|_not_hex| bad())?;
        }
        Ok(rgb)
    }

    /// How the pictures are loaded.
    ///
    /// # Errors
    /// [`Error::Config`] where the background is not `#rrggbb`.
    pub fn options(&self, cache: CachePolicy) -> Result<DatasetOptions, Error> {
        let background = self
            .background_rgb()
            .map_err(|problem| Error::Config(vec![problem]))?;
        Ok(DatasetOptions {
            size_px: self.size_px,
            styles: self.styles.clone(),
            background,
            channels: self.channels,
            cache,
        })
    }
}

/// Weights of the loss terms; the formulas are in `loss.rs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossConfig {
    /// Mean absolute error of a picture coded and drawn again in its own style.
    pub reconstruction: f32,
    /// Kullback-Leibler divergence of the posterior from N(0, 1), nats a picture value.
    pub kl: f32,
    /// Mean absolute error of a picture translated there and back.
    pub cycle: f32,
    /// Deviation of the noise laid over a translation before it is drawn back: without it the way back is served by
    /// faint patterns hidden in the translation (Chu, Zhmoginov, Sandler 2017). The picture's range is 2.
    pub cycle_noise: f32,
    /// Likelihood, under the discriminator, that every patch of a translation is real and of the target style.
    pub adversarial: f32,
    /// The same of pictures drawn from the prior, which then are half of what the discriminator is shown as made (Larsen et
    /// al. 2016).
    pub prior: f32,
    /// Mean absolute error of the latent read from a picture of the prior, against the one it was drawn from: without it all
    /// draws may come to one picture (Zhu et al. 2017, `BicycleGAN`); with `prior` only.
    pub latent: f32,
    /// What the discriminator and the generator play for.
    pub adversarial_kind: AdversarialKind,
    /// Whether the generator plays against single patches although the discriminator's are tied by the CRF.
    pub adversarial_patchwise: bool,
    /// Weight of the patches' own cross-entropy beside the chains' likelihood, in the discriminator's loss.
    pub unary: f32,
    /// Mean absolute error against the true translation, where pairs are used.
    pub paired: f32,
    /// Mean absolute error of the style code that the style encoder reads from a translation, against the code that it was
    /// drawn by; where style codes are not from the table.
    pub style: f32,
    /// Mean absolute difference between translations of one picture by two codes of one style, to be large; falls to 0 over
    /// the run; where style codes are not from the table.
    pub diversity: f32,
    /// Share of the discriminator's third batch that is mixed, where the batch has a partner, reached after
    /// `composite_warmup_steps`; the rest is left pure. 0 to 1.
    pub composite_prob: f32,
    /// Steps over which composites come in.
    pub composite_warmup_steps: u64,
    /// Weight of the discriminator's sensitivity to small noise: mean of `(D(x) - D(x + noise))^2` over emissions, with noise
    /// of deviation 0.05 where the picture's range is 2.
    pub smoothness: f32,
    /// Weight of half the squared norm of the discriminator's gradient at real pictures (R1; Mescheder et al. 2018): of its
    /// logits summed over patches over the root of their number, so that the picture's size does not matter.
    pub r1: f32,
    /// Steps from one evaluation of that term to the next; it then counts as many times.
    pub r1_interval_steps: u64,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            reconstruction: 10.0,
            kl: 0.03,
            cycle: 5.0,
            cycle_noise: 0.15,
            adversarial: 2.0,
            prior: 0.0,
            latent: 1.0,
            adversarial_kind: AdversarialKind::Likelihood,
            adversarial_patchwise: false,
            unary: 0.0,
            paired: 10.0,
            style: 1.0,
            diversity: 1.0,
            composite_prob: 0.5,
            composite_warmup_steps: 200,
            smoothness: 0.0,
            r1: 0.0,
            r1_interval_steps: 16,
        }
    }
}

/// Keys whose value is a word or a number.
const WORDS_OR_NUMBERS: [&str; 2] = ["train.pairs", "discriminator.augment_prob"];

/// A word or a number, as it stands in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum WordOrNumber {
    /// Such as `auto`.
    Word(String),
    /// Such as 0.5.
    Number(f64),
}

impl WordOrNumber {
    /// A share as it is typed: 0.1 as a single-precision number stays 0.1 in the file.
    pub(crate) fn number(value: f32) -> Self {
        Self::Number(
            value
                .to_string()
                .parse()
                .unwrap_or_else(|_| f64::from(value)),
        )
    }
}

impl std::fmt::Display for WordOrNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// Whether true translations are shown in training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WordOrNumber", into = "WordOrNumber")]
pub enum Pairs {
    /// Never: pictures of each style are drawn on their own.
    None,
    /// Every picture comes with its counterpart.
    All,
    /// This share of the pictures does, spread evenly over the batches; the rest is drawn on its own.
    Share(f32),
}

impl Pairs {
    /// Share of the pictures that come with their counterpart.
    pub fn share(self) -> f32 {
        match self {
            Self::None => 0.0,
            Self::All => 1.0,
            Self::Share(share) => share,
        }
    }
}

impl TryFrom<WordOrNumber> for Pairs {
    type Error = String;

    fn try_from(value: WordOrNumber) -> Result<Self, String> {
        match value {
            WordOrNumber::Word(word) if word == "none" => Ok(Self::None),
            WordOrNumber::Word(word) if word == "all" => Ok(Self::All),
            WordOrNumber::Number(share) if (0.0..=1.0).contains(&share) => {
                Ok(Self::Share(share as f32))
            }
            other => Err(format!(
                "train.pairs: expected none, all or a share from 0 to 1, got {other}"
            )),
        }
    }
}

impl From<Pairs> for WordOrNumber {
    fn from(value: Pairs) -> Self {
        match value {
            Pairs::None => Self::Word("none".into()),
            Pairs::All => Self::Word("all".into()),
            Pairs::Share(share) => Self::number(share),
        }
    }
}

/// How rates go after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Constant, from `decay_from` on in a straight line to a hundredth.
    Linear,
    /// Constant, from `decay_from` on along half a cosine to a hundredth.
    Cosine,
    /// Constant.
    Constant,
}

/// Lengths, rates and intervals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Generator steps.
    pub steps: u64,
    /// Pictures a step.
    pub batch: usize,
    /// Equal parts that a step's pictures are worked in, one after the other: the gradients are the whole batch's, the
    /// memory is one part's, and pictures are drawn twice.
    pub accumulate: usize,
    /// Whether true translations are shown.
    pub pairs: Pairs,
    /// Adam's rate for the generator.
    pub generator_rate: f64,
    /// Adam's rate for the discriminator's trunk.
    pub discriminator_rate: f64,
    /// The transitions' rate over the trunk's: with the same rate they hardly move.
    pub transition_rate_factor: f64,
    /// Adam's decay of the first moment.
    pub beta_1: f64,
    /// Adam's decay of the second moment.
    pub beta_2: f64,
    /// How rates go after the warm-up.
    pub schedule: Schedule,
    /// Part of the run after which rates fall to a hundredth; 1 keeps them constant.
    pub decay_from: f64,
    /// Steps over which rates rise from zero.
    pub warmup_steps: u64,
    /// Translations of earlier steps that are kept to be shown to the discriminator among today's; 0 keeps none.
    pub image_pool: usize,
    /// Largest norm of all gradients of a network together; larger ones are scaled down. 0 does not clip.
    pub gradient_norm_max: f32,
    /// Steps over which the moving average of the generator's weights halves its memory.
    pub ema_half_life_steps: f64,
    /// Steps from one line of figures to the next.
    pub tick_steps: u64,
    /// Steps from one sample grid to the next.
    pub sample_steps: u64,
    /// Steps from one checkpoint to the next.
    pub checkpoint_steps: u64,
    /// Newest checkpoints kept; older ones are deleted, the best one never.
    pub checkpoints_kept: usize,
    /// Figure on validation pictures that names the best checkpoint.
    pub best_metric: BestMetric,
    /// How often a run may go back to its last checkpoint because a loss or gradient was not finite.
    pub rollbacks_max: u32,
    /// Both rates times this, each time it does.
    pub rollback_rate: f64,
    /// Whether event files for `TensorBoard` are written.
    pub tensorboard: bool,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 100_000,
            batch: 16,
            accumulate: 1,
            pairs: Pairs::None,
            generator_rate: 2e-4,
            discriminator_rate: 2e-4,
            transition_rate_factor: 10.0,
            beta_1: 0.5,
            beta_2: 0.99,
            schedule: Schedule::Linear,
            decay_from: 0.4,
            warmup_steps: 100,
            image_pool: 0,
            gradient_norm_max: 10.0,
            ema_half_life_steps: 200.0,
            tick_steps: 100,
            sample_steps: 1000,
            checkpoint_steps: 1000,
            checkpoints_kept: 2,
            best_metric: BestMetric::Auto,
            rollbacks_max: 3,
            rollback_rate: 0.5,
            tensorboard: false,
        }
    }
}

impl Config {
    /// Defaults, then the file's text, then `a.b=c` assignments.
    ///
    /// # Errors
    /// [`Error::Config`] with every unknown key, wrong type and value out of range.
    pub fn resolve(file: Option<&str>, assignments: &[String]) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let mut table = Self::default().table();
        let known = table.clone();
        if let Some(text) = file {
            match text.parse::<Table>() {
                Ok(given) => merge(&mut table, &given, "", &mut problems),
                Err(error) => {
                    return Err(Error::Config(vec![format!(
                        "not valid TOML: {}",
                        error.to_string().trim_end()
                    )]));
                }
            }
        }
        for assignment in assignments {
            match parse_assignment(assignment, &known) {
                Ok(given) => merge(&mut table, &given, "", &mut problems),
                Err(problem) => problems.push(problem),
            }
        }
        let mut table = Value::Table(table);
        if table.clone().try_into::<Self>().is_err() {
            problems.extend(reset_unreadable(&mut table, &Value::Table(known)));
        }
        match table.try_into::<Self>() {
            Ok(config) => {
                problems.extend(config.problems());
                if problems.is_empty() {
                    Ok(config)
                } else {
                    Err(Error::Config(problems))
                }
            }
            Err(error) => {
                problems.push(error.to_string().trim_end().replace('\n', " "));
                Err(Error::Config(problems))
            }
        }
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`Error::Run`] where it cannot be read, [`Error::Config`] as in [`Self::resolve`].
    pub fn load(path: &Path, assignments: &[String]) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            Error::run(
                format!("cannot read the configuration ({e}); see configs/README.md for recipes"),
                path,
            )
        })?;
        Self::resolve(Some(&text), assignments)
    }

    fn table(&self) -> Table {
        Table::try_from(self).expect("a configuration is a table")
    }

    /// The whole configuration as TOML; lines that differ from the defaults end in `# not the default`.
    pub fn to_toml(&self, mark: bool) -> String {
        let text = toml::to_string(self).expect("a configuration is a table");
        if !mark {
            return text;
        }
        let defaults = toml::to_string(&Self::default()).expect("a configuration is a table");
        let lines = text.lines().zip(defaults.lines());
        lines.fold(String::new(), |all, (line, default)| {
            let note = if line == default {
                ""
            } else {
                "  # not the default"
            };
            all + line + note + "\n"
        })
    }

    /// What the networks of `styles` styles are made for.
    pub fn domain(&self, styles: usize) -> Domain {
        Domain {
            styles,
            channels: self.data.channels.count(),
            size_px: self.data.size_px as usize,
        }
    }

    /// Which choices around the discriminator's head go together, and that no key is set that the choices made leave
    /// without effect: only its default passes then.
    fn check_head(&self, check: &mut impl FnMut(bool, String)) {
        let (d, l) = (&self.discriminator, &self.loss);
        check(
            (-20.0..=20.0).contains(&d.potts),
            format!("discriminator.potts: expected -20 to 20, got {}", d.potts),
        );
        let is_crf = d.head == DiscriminatorHead::Crf;
        check(
            !is_crf || l.adversarial_kind == AdversarialKind::Likelihood,
            "loss.adversarial_kind: the CRF judges a whole row or column by its likelihood and has no score of a single \
             patch for this loss; use `likelihood`, or discriminator.head = patch, conv or dense"
                .into(),
        );
        let has_ties = is_crf && d.transitions == TransitionKind::Learned;
        let is_guided = self.generator.style != StyleKind::Table;
        let crf = "discriminator.head = crf";
        let learned = "discriminator.head = crf and discriminator.transitions = learned";
        let guided = "generator.style = latent or reference";
        let (own, default) = (self.table(), Self::default().table());
        let is_default = |key: &str| {
            let (section, name) = key.split_once('.').expect("a section and a name");
            let value = |table: &Table| table[section][name].clone();
            value(&own) == value(&default)
        };
        for (key, has_effect, needs) in [
            ("discriminator.transitions", is_crf, crf),
            ("discriminator.directions", is_crf, crf),
            ("discriminator.global", is_crf, crf),
            ("loss.unary", is_crf, crf),
            ("loss.adversarial_patchwise", is_crf, crf),
            ("discriminator.a_max", has_ties, learned),
            ("train.transition_rate_factor", has_ties, learned),
            (
                "discriminator.potts",
                is_crf && d.transitions == TransitionKind::Potts,
                "discriminator.transitions = potts",
            ),
            (
                "discriminator.head_width",
                matches!(d.head, DiscriminatorHead::Conv | DiscriminatorHead::Dense) || d.global,
                "discriminator.head = conv or dense, or discriminator.global",
            ),
            (
                "generator.draw_steps",
                self.generator.kind == GeneratorKind::Recurrent,
                "generator.kind = recurrent",
            ),
            (
                "generator.style_noise_dims",
                self.generator.style == StyleKind::Latent,
                "generator.style = latent",
            ),
            ("generator.style_channels", is_guided, guided),
            ("loss.latent", l.prior > 0.0, "loss.prior above 0"),
            (
                "loss.paired",
                self.train.pairs.share() > 0.0,
                "train.pairs above 0",
            ),
            ("loss.r1_interval_steps", l.r1 > 0.0, "loss.r1 above 0"),
            (
                "loss.composite_warmup_steps",
                l.composite_prob > 0.0,
                "loss.composite_prob above 0",
            ),
            (
                "train.rollback_rate",
                self.train.rollbacks_max > 0,
                "train.rollbacks_max above 0",
            ),
            ("loss.style", is_guided, guided),
            ("loss.diversity", is_guided, guided),
            (
                "train.decay_from",
                self.train.schedule != Schedule::Constant,
                "train.schedule = linear or cosine",
            ),
        ] {
            check(
                has_effect || is_default(key),
                format!("{key}: this has an effect with {needs} only; leave it out"),
            );
        }
    }

    /// Settings of the two networks that are otherwise in `now`, a line each: `generator.channels is 12, was 8`.
    pub(crate) fn networks_otherwise(&self, now: &Self) -> Vec<String> {
        let (was, now) = (self.table(), now.table());
        let mut lines = Vec::new();
        for section in ["generator", "discriminator"] {
            let Some(keys) = now[section].as_table() else {
                continue;
            };
            for (key, value) in keys {
                let old = &was[section][key];
                if old != value {
                    lines.push(format!("{section}.{key} is {value}, was {old}"));
                }
            }
        }
        lines
    }

    /// Values out of range and combinations that cannot work.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |good: bool, problem: String| {
            if !good {
                problems.push(problem);
            }
        };
        for problem in self.augment.problems() {
            check(false, problem);
        }
        let d = &self.data;
        check(
            d.size_px.is_multiple_of(8) && (16..=256).contains(&d.size_px),
            format!(
                "data.size_px: expected a multiple of 8 from 16 to 256, got {}",
                d.size_px
            ),
        );
        // The run's own copy of the settings marks them line by line.
        let is_one_line = |text: &String| !text.chars().any(char::is_control);
        check(
            is_one_line(&d.source) && d.styles.iter().all(is_one_line),
            "data.source and data.styles: expected names without line breaks or other control characters".into(),
        );
        if let Err(problem) = d.background_rgb() {
            check(false, problem);
        }
        check(
            d.styles.is_empty() || d.styles.len() >= 2,
            "data.styles: expected at least two styles, or none for all".into(),
        );
        let g = &self.generator;
        check(
            [2, 4, 8].contains(&g.latent_stride),
            format!(
                "generator.latent_stride: expected 2, 4 or 8, got {}",
                g.latent_stride
            ),
        );
        for (key, value) in [
            ("generator.latent_channels", g.latent_channels),
            ("generator.channels", g.channels),
            ("generator.channels_min", g.channels_min),
            ("generator.style_dims", g.style_dims),
            ("generator.style_noise_dims", g.style_noise_dims),
            ("generator.style_channels", g.style_channels),
            ("generator.draw_steps", g.draw_steps),
            ("discriminator.channels", self.discriminator.channels),
            ("discriminator.head_width", self.discriminator.head_width),
            ("train.batch", self.train.batch),
            ("train.checkpoints_kept", self.train.checkpoints_kept),
        ] {
            check(
                (1..=4096).contains(&value),
                format!("{key}: expected 1 to 4096, got {value}"),
            );
        }
        check(
            g.channels >= g.channels_min,
            format!(
                "generator.channels: expected at least generator.channels_min = {}, got {}; lower both",
                g.channels_min, g.channels
            ),
        );
        for (key, value) in [
            ("train.steps", self.train.steps),
            ("loss.r1_interval_steps", self.loss.r1_interval_steps),
            ("train.tick_steps", self.train.tick_steps),
            ("train.sample_steps", self.train.sample_steps),
            ("train.checkpoint_steps", self.train.checkpoint_steps),
        ] {
            check(
                value >= 1,
                format!("{key}: expected at least 1, got {value}"),
            );
        }
        let l = &self.loss;
        for (key, value) in [
            ("loss.reconstruction", l.reconstruction),
            ("loss.kl", l.kl),
            ("loss.cycle", l.cycle),
            ("loss.cycle_noise", l.cycle_noise),
            ("loss.adversarial", l.adversarial),
            ("loss.prior", l.prior),
            ("loss.latent", l.latent),
            ("loss.paired", l.paired),
            ("loss.unary", l.unary),
            ("loss.style", l.style),
            ("loss.diversity", l.diversity),
            ("loss.smoothness", l.smoothness),
            ("loss.r1", l.r1),
            ("train.gradient_norm_max", self.train.gradient_norm_max),
        ] {
            check(
                value >= 0.0 && value.is_finite(),
                format!("{key}: expected 0 or more, got {value}"),
            );
        }
        check(
            (0.0..=1.0).contains(&l.composite_prob),
            format!(
                "loss.composite_prob: expected 0 to 1, got {}",
                l.composite_prob
            ),
        );
        check(
            self.discriminator.a_max > 0.0 && self.discriminator.a_max.is_finite(),
            format!(
                "discriminator.a_max: expected more than 0, got {}",
                self.discriminator.a_max
            ),
        );
        self.check_head(&mut check);
        let t = &self.train;
        for (key, value, low, high) in [
            ("train.generator_rate", t.generator_rate, 0.0, 1.0),
            ("train.discriminator_rate", t.discriminator_rate, 0.0, 1.0),
            (
                "train.transition_rate_factor",
                t.transition_rate_factor,
                0.0,
                1e4,
            ),
            ("train.beta_1", t.beta_1, 0.0, 0.9999),
            ("train.beta_2", t.beta_2, 0.0, 0.999_999),
            ("train.decay_from", t.decay_from, 0.0, 1.0),
            ("train.ema_half_life_steps", t.ema_half_life_steps, 0.0, 1e9),
            ("train.rollback_rate", t.rollback_rate, 1e-6, 1.0),
        ] {
            check(
                (low..=high).contains(&value),
                format!("{key}: expected {low} to {high}, got {value}"),
            );
        }
        check(
            t.accumulate >= 1 && t.batch.is_multiple_of(t.accumulate),
            format!(
                "train.accumulate: expected a divisor of train.batch = {}, got {}",
                t.batch, t.accumulate
            ),
        );
        check(
            t.image_pool <= 10_000,
            format!(
                "train.image_pool: expected 0 to 10000, got {}",
                t.image_pool
            ),
        );
        let cell = g.latent_stride as u32 * if g.context_blocks > 0 { 2 } else { 1 };
        check(
            cell == 0 || d.size_px.is_multiple_of(cell),
            format!(
                "data.size_px: {} is not divisible by {cell}, which generator.latent_stride and its context blocks need",
                d.size_px
            ),
        );
        problems
    }
}

/// Puts every key whose value cannot be read, such as a word that it does not know, back to its default; returns what was
/// wrong with each.
fn reset_unreadable(table: &mut Value, known: &Value) -> Vec<String> {
    fn at<'a>(table: &'a mut Value, path: &[String]) -> &'a mut Value {
        path.iter().fold(table, |table, key| &mut table[key])
    }
    let mut paths = Vec::new();
    for (name, value) in table.as_table().into_iter().flatten() {
        match value {
            Value::Table(keys) => {
                paths.extend(keys.keys().map(|key| vec![name.clone(), key.clone()]));
            }
            _ => paths.push(vec![name.clone()]),
        }
    }
    let mut problems = Vec::new();
    for path in paths {
        // By itself among defaults: a reader stops at the first fault that it meets.
        let mut alone = known.clone();
        let place = at(&mut alone, &path);
        let default = std::mem::replace(place, at(table, &path).clone());
        if let Err(error) = alone.try_into::<Config>() {
            problems.push(error.to_string().trim_end().replace('\n', " "));
            *at(table, &path) = default;
        }
    }
    problems
}

/// Lays `given` over `table`, noting keys that the table does not have and values of another type.
fn merge(table: &mut Table, given: &Table, prefix: &str, problems: &mut Vec<String>) {
    for (key, value) in given {
        let name = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        let siblings = table.keys().cloned().collect::<Vec<_>>().join(", ");
        match (table.get_mut(key), value) {
            (None, _) => problems.push(format!("unknown key `{name}`; known here: {siblings}")),
            (Some(Value::Table(inner)), Value::Table(given)) => {
                merge(inner, given, &name, problems);
            }
            (Some(old @ Value::Float(_)), Value::Integer(whole)) => {
                *old = Value::Float(*whole as f64);
            }
            (Some(old), new)
                if old.same_type(new)
                    || WORDS_OR_NUMBERS.contains(&name.as_str())
                        && matches!(
                            new,
                            Value::String(_) | Value::Integer(_) | Value::Float(_)
                        ) =>
            {
                *old = new.clone();
            }
            (Some(old), new) => {
                problems.push(format!(
                    "{name}: expected {}, got {} `{new}`",
                    old.type_str(),
                    new.type_str()
                ));
            }
        }
    }
}

/// `a.b=c` as a nested table; what is not TOML is taken as text where text is expected.
fn parse_assignment(assignment: &str, known: &Table) -> Result<Table, String> {
    let bad = || format!("--set: expected key=value such as train.steps=500, got `{assignment}`");
    let (key, text) = assignment.split_once('=').ok_or_else(bad)?;
    let mut path: Vec<&str> = key.trim().split('.').collect();
    let last = path.pop().filter(|last| !last.is_empty()).ok_or_else(bad)?;
    let wants_text = path
        .iter()
        .try_fold(known, |table, part| table.get(*part)?.as_table())
        .and_then(|table| table.get(last))
        .is_some_and(Value::is_str);
    let takes_numbers = WORDS_OR_NUMBERS.contains(&key.trim());
    let parsed = format!("value = {}", text.trim())
        .parse::<Table>()
        .ok()
        .and_then(|mut t| t.remove("value"));
    let value = match parsed {
        Some(value) if !wants_text || value.is_str() || takes_numbers => value,
        _ => Value::String(text.trim().to_owned()),
    };
    let mut table = Table::from_iter([(last.to_owned(), value)]);
    for part in path.into_iter().rev() {
        table = Table::from_iter([(part.to_owned(), Value::Table(table))]);
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(file: &str, sets: &[&str]) -> Vec<String> {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        match Config::resolve(Some(file), &sets) {
            Err(Error::Config(problems)) => problems,
            other => panic!("expected configuration problems, got {other:?}"),
        }
    }

    #[test]
    fn every_problem_is_reported_at_once_in_the_users_key_names() {
        let found = problems(
            "sed = 1\n[train]\nsteps = \"many\"\nbatch = 0\n[loss]\nkl = -1\n",
            &["generator.latent_stride=3", "data.syles=[]", "nonsense"],
        );
        for expected in [
            "`sed`",
            "train.steps",
            "train.batch",
            "loss.kl",
            "latent_stride",
            "`data.syles`",
            "nonsense",
        ] {
            assert!(
                found.iter().any(|p| p.contains(expected)),
                "{expected} in {found:#?}"
            );
        }
    }

    #[test]
    fn words_that_are_not_known_hide_no_other_problem() {
        let sets = [
            "generator.kind=foo",
            "loss.adversarial_kind=bar",
            "train.batch=0",
            "train.steps=-1",
            "sed=1",
            "augment.flip_prob=2",
        ];
        let found = problems("", &sets);
        assert_eq!(found.len(), sets.len(), "{found:#?}");
        for set in sets {
            let key = set.split('=').next().expect("a key");
            assert_eq!(
                found.iter().filter(|p| p.contains(key)).count(),
                1,
                "{key} in {found:#?}"
            );
        }
    }

    #[test]
    fn only_the_default_passes_where_a_key_has_no_effect() {
        for (without, with) in [
            ("discriminator.potts=1", "discriminator.transitions=potts"),
            ("discriminator.a_max=2", "discriminator.head=crf"),
            ("discriminator.head_width=8", "discriminator.head=dense"),
            ("discriminator.global=true", "discriminator.head=crf"),
            ("generator.draw_steps=2", "generator.kind=recurrent"),
            ("generator.style_noise_dims=4", "generator.style=latent"),
            ("generator.style_channels=8", "generator.style=reference"),
            ("loss.latent=2", "loss.prior=1"),
            ("loss.style=2", "generator.style=latent"),
            ("loss.diversity=0", "generator.style=reference"),
            ("train.decay_from=0.2", "train.schedule=cosine"),
            ("train.transition_rate_factor=1", "discriminator.head=crf"),
        ] {
            let other = match without.split('=').next() {
                Some("discriminator.a_max") => "discriminator.transitions=potts",
                Some("train.decay_from") => "train.schedule=constant",
                Some("train.transition_rate_factor" | "discriminator.global") => {
                    "discriminator.head=patch"
                }
                _ => "seed=0",
            };
            let found = problems("", &[without, other]);
            let key = without.split('=').next().expect("a key");
            assert!(
                found.len() == 1 && found[0].starts_with(key),
                "{without}: {found:#?}"
            );
            let both = [without.to_owned(), with.to_owned()];
            Config::resolve(None, &both).unwrap_or_else(|e| panic!("{both:?}: {e}"));
        }
    }

    #[test]
    fn names_of_several_lines_are_refused() {
        let found = problems("[data]\nsource = \"a\\nb\"\n", &[]);
        assert!(
            found.len() == 1 && found[0].contains("data.source"),
            "{found:#?}"
        );
        assert!(!problems("[data]\nstyles = [\"a\", \"b\\tc\"]\n", &[]).is_empty());
    }

    #[test]
    fn assignments_win_over_the_file_and_the_file_over_defaults() {
        let sets = [
            "train.steps=7".to_owned(),
            "data.source=./pictures".to_owned(),
            "train.pairs=all".to_owned(),
        ];
        let config =
            Config::resolve(Some("[train]\nsteps = 5\nbatch = 3\n"), &sets).expect("valid");
        assert_eq!((config.train.steps, config.train.batch), (7, 3));
        assert_eq!(
            (config.data.source.as_str(), config.train.pairs),
            ("./pictures", Pairs::All)
        );
    }

    #[test]
    fn a_resolved_configuration_reads_back_as_itself() {
        let config = Config::resolve(None, &["train.generator_rate=0.001".into()]).expect("valid");
        let again = Config::resolve(Some(&config.to_toml(false)), &[]).expect("valid");
        assert_eq!(config, again);
        let marked = config.to_toml(true);
        assert_eq!(marked.matches("# not the default").count(), 1, "{marked}");
        assert_eq!(
            Config::resolve(Some(&marked), &[]).expect("comments are TOML"),
            config
        );
    }
}
