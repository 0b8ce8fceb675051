//! Is a device right, and how fast is it? The operations of a configuration's networks run on it, at every
//! shape that a training step meets, and are compared with float64 written from the formula; training steps
//! of small networks, one for each choice that changes what is computed, with those of Flex. Wrong results of
//! a driver, of fusion or of a tuned kernel show here, and so does a kernel in a shader language that the
//! device refuses.

mod checks;
pub(crate) mod oracle;
mod rates;

use std::collections::BTreeMap;
use std::time::Instant;

use crate::number::Real;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::arrays::weights_of;
use crate::data::{CachePolicy, Dataset};
use crate::device::{Chosen, shader_language};
use crate::error::{Error, caught};
use crate::ops::{Shape, shapes_met};
use crate::settings::Config;
use crate::train::Trainer;
use checks::{Case, Outputs, Scope, Truths, cases};

pub use rates::{Rates, measure};

/// One operation, compared with its truth.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Check {
    /// What was computed.
    pub operation: String,
    /// At which size.
    pub size: String,
    /// `float64` or `flex`.
    pub against: String,
    /// Largest difference over the largest true value, of the worst output; none where it is not a number or
    /// the operation failed.
    pub error: Option<f64>,
    /// Largest that passes.
    pub tolerance: f64,
    /// The worst output, or how it failed.
    pub note: String,
    /// Seconds for the first run, compiling and tuning among them.
    pub secs: f64,
}

impl Check {
    /// Whether the operation is right.
    pub fn is_right(&self) -> bool {
        self.error.is_some_and(|error| error <= self.tolerance)
    }
}

/// Time of a training step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepTime {
    /// Pictures of a step.
    pub batch: usize,
    /// Their side.
    pub size_px: u32,
    /// Channels of the networks' middle.
    pub channels: usize,
    /// The first step, compiling and tuning among it.
    pub first_secs: f64,
    /// Middle of the later ones.
    pub secs: f64,
}

/// What was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The device in words.
    pub device: String,
    /// The language of its kernels; `none` on the processor.
    pub shader_language: String,
    /// What computes the CRF.
    pub crf: String,
    /// Whose shapes were checked.
    pub config: Config,
    /// Whether every check passed.
    pub is_right: bool,
    /// Every operation.
    pub checks: Vec<Check>,
    /// The device's limits.
    pub rates: Rates,
    /// None where a training step failed.
    pub step: Option<StepTime>,
}

/// How thorough.
#[derive(Clone, Copy, Debug)]
pub enum Depth<'a> {
    /// Every shape of a configuration's networks, every choice, and the time of the configuration's step; on
    /// a software adapter, which would tune its shapes for a quarter of an hour, of a small network's.
    Whole(&'a Config),
    /// The shapes of a small network, the choices that need no further ones, and the time of its step.
    Quick,
}

/// What is going on, for whoever waits.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// Check number `.0` of `.1` begins, or goes on.
    Begins(usize, usize, &'a str),
    /// A check ended.
    Ended(&'a Check),
}

/// Multiply-adds of a convolution's forward pass, at most: float64 takes seconds for as many.
const MULTIPLY_ADDS_MAX: usize = 1 << 30;
/// Fewer on a software adapter, which is asked for each many times, to tune them.
const MULTIPLY_ADDS_MAX_SOFTWARE: usize = 1 << 25;

/// Runs every check on a device.
///
/// # Errors
/// The pictures cannot be read, or the configuration does not fit them. A device that fails is no error: the
/// diagnosis says so.
pub fn examine(
    chosen: &Chosen,
    depth: Depth<'_>,
    report: &mut dyn FnMut(Progress<'_>),
) -> Result<Diagnosis, Error> {
    let device = &chosen.device;
    let small = small_config(&[]);
    let small_pictures = pictures(&small)?;
    let whole = match depth {
        Depth::Whole(config) => Some((config, pictures(config)?)),
        Depth::Quick => None,
    };
    let (config, dataset) = whole
        .as_ref()
        .map_or((&small, &small_pictures), |(config, dataset)| {
            (*config, dataset)
        });

    // Operations at the networks' shapes. Those are found on the processor: a panic there is not the
    // device's.
    let shapes = checked(|| step_shapes(config, dataset)).map_err(|failure| {
        Error::Device(format!(
            "a step of this configuration on the processor {failure}"
        ))
    })??;
    let cases = cases(Scope {
        config,
        styles: dataset.styles().len(),
        shapes: &shapes,
        multiply_adds_max: if chosen.is_software {
            MULTIPLY_ADDS_MAX_SOFTWARE
        } else {
            MULTIPLY_ADDS_MAX
        },
    });
    let choices = CHOICES
        .iter()
        .filter(|choice| whole.is_some() || choice.is_quick);
    let count = cases.len() + choices.clone().count() + 2;
    let mut checks = Vec::with_capacity(count);
    for case in &cases {
        report(Progress::Begins(checks.len() + 1, count, case.operation));
        let check = case.check(device);
        report(Progress::Ended(&check));
        checks.push(check);
    }

    // Training steps of small networks, with each choice.
    for choice in choices {
        let mut go_on = || report(Progress::Begins(checks.len() + 1, count, choice.name));
        let check = training_steps(choice, &small_pictures, device, &mut go_on);
        report(Progress::Ended(&check));
        checks.push(check);
    }

    // How fast.
    let (timed, timed_pictures) = if chosen.is_software {
        (&small, &small_pictures)
    } else {
        (config, dataset)
    };
    let mut go_on = || report(Progress::Begins(count - 1, count, TIMING));
    let started = Instant::now();
    let step = match checked(|| time_step(timed, timed_pictures, device, &mut go_on)) {
        Ok(step) => Some(step),
        Err(failure) => {
            // Right by itself, and yet of no use.
            let check = Check {
                operation: TIMING.into(),
                size: format!("{} of {} px", timed.train.batch, timed.data.size_px),
                against: "flex".into(),
                error: None,
                tolerance: 0.0,
                note: failure,
                secs: started.elapsed().as_secs_f64(),
            };
            report(Progress::Ended(&check));
            checks.push(check);
            None
        }
    };
    let is_right = checks.iter().all(Check::is_right);
    report(Progress::Begins(count, count, "rates"));
    Ok(Diagnosis {
        device: chosen.description.clone(),
        shader_language: shader_language(device),
        crf: demotic_crf::implementation_in_use(device, demotic_crf::Implementation::Auto)
            .map_or("none", demotic_crf::Implementation::name)
            .to_owned(),
        config: config.clone(),
        is_right,
        checks,
        rates: checked(|| rates::measure(device)).unwrap_or_default(),
        step,
    })
}

/// What is timed.
const TIMING: &str = "time of a training step";

/// The shapes that a training step meets, each with the largest number of pictures: those of a step of one
/// picture a part, on Flex, times the pictures that there are.
fn step_shapes(config: &Config, dataset: &Dataset) -> Result<BTreeMap<Shape, usize>, Error> {
    let mut single = config.clone();
    single.train.batch = config.train.accumulate;
    // Any step may be the one that measures the gradient at real pictures; the first one is.
    let mut trainer = Trainer::new(single, dataset, &Device::flex())?;
    let mut result = Ok(());
    let mut shapes = shapes_met(|| result = trainer.advance());
    result?;
    for pictures in shapes.values_mut() {
        *pictures *= config.train.batch / config.train.accumulate;
    }
    Ok(shapes)
}

impl Case {
    fn check(&self, device: &Device) -> Check {
        let started = Instant::now();
        let got = checked(|| (self.run)(device));
        let secs = started.elapsed().as_secs_f64();
        let truth = match &self.truth {
            Some(truth) => Ok(truth()),
            None => checked(|| widened((self.run)(&Device::flex()))),
        };
        let (error, note) = match (got, truth) {
            (Ok(got), Ok(truth)) => largest_error(&got, &truth),
            (Err(failure), _) | (_, Err(failure)) => (None, failure),
        };
        Check {
            operation: self.operation.to_owned(),
            size: self.size.clone(),
            against: if self.truth.is_some() {
                "float64"
            } else {
                "flex"
            }
            .to_owned(),
            error,
            tolerance: self.tolerance,
            note,
            secs,
        }
    }
}

fn widened(outputs: Outputs) -> Truths {
    let values = outputs.into_iter().map(|(_, values)| values);
    values
        .map(|values| values.into_iter().map(f64::from).collect())
        .collect()
}

/// The largest difference over the largest true value, over all outputs, and the output's name. None for an
/// output that is not finite, or that has another length than the truth.
fn largest_error(got: &Outputs, truth: &Truths) -> (Option<f64>, String) {
    if got.len() != truth.len() {
        return (
            None,
            format!("{} outputs, expected {}", got.len(), truth.len()),
        );
    }
    let mut worst = (0.0_f64, String::new());
    for ((name, got), truth) in got.iter().zip(truth) {
        if got.len() != truth.len() {
            return (
                None,
                format!("{name}: {} values, expected {}", got.len(), truth.len()),
            );
        }
        if let Some(at) = got.iter().position(|v| !v.is_finite()) {
            return (None, format!("{name}: {} at {at}", got[at]));
        }
        let scale = truth.iter().fold(1e-30_f64, |top, v| top.max(v.abs()));
        let differences = got
            .iter()
            .zip(truth)
            .map(|(g, t)| (f64::from(*g) - t).abs());
        let error = differences.fold(0.0, f64::max) / scale;
        if error >= worst.0 {
            worst = (error, (*name).to_owned());
        }
    }
    (Some(worst.0), worst.1)
}

/// What ran, or how it failed.
fn checked<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    caught(run).map_err(|line| format!("failed: {line}"))
}

/// Settings that make pictures and both networks small: what is checked needs no more.
pub const SMALL: [&str; 6] = [
    "data.size_px=16",
    "generator.channels=8",
    "generator.channels_min=8",
    "generator.decoder_blocks=1",
    "generator.style_dims=4",
    "discriminator.channels=8",
];

/// Every part of a step in few shapes: a software adapter tunes each for seconds.
fn small_config(sets: &[&str]) -> Config {
    let further = [
        "data.styles=[\"openmoji-line\", \"openmoji\"]",
        "generator.latent_channels=4",
        "generator.encoder_blocks=0",
        "generator.context_blocks=0",
        "train.batch=3",
        "train.pairs=all",
        "train.warmup_steps=2",
        "loss.composite_warmup_steps=2",
    ];
    let sets = SMALL.iter().chain(&further).chain(sets);
    let sets: Vec<String> = sets.map(|s| (*s).to_owned()).collect();
    Config::resolve(None, &sets).expect("a configuration of this file")
}

/// A choice of settings that makes a training step compute something else.
struct Choice {
    name: &'static str,
    /// What differs from [`small_config`].
    sets: &'static [&'static str],
    /// Whether it needs no convolution that the small network is without: a software adapter tunes each for a
    /// minute.
    is_quick: bool,
}

const fn choice(name: &'static str, is_quick: bool, sets: &'static [&'static str]) -> Choice {
    Choice {
        name,
        sets,
        is_quick,
    }
}

/// The first is the defaults.
const CHOICES: [Choice; 15] = [
    choice("training step", true, &[]),
    choice("step, DiffAugment", true, &["discriminator.augment_prob=1"]),
    choice(
        "step, spectral norm",
        true,
        &["discriminator.spectral_norm=true"],
    ),
    choice(
        "step, fixed transitions",
        true,
        &["discriminator.transitions=potts"],
    ),
    choice(
        "step, patch head",
        true,
        &["discriminator.head=patch", "loss.adversarial_kind=hinge"],
    ),
    choice(
        "step, dense head",
        true,
        &[
            "discriminator.head=dense",
            "discriminator.head_width=8",
            "loss.adversarial_kind=non-saturating",
        ],
    ),
    choice(
        "step, conv head",
        false,
        &[
            "discriminator.head=conv",
            "discriminator.head_width=8",
            "loss.adversarial_kind=least-squares",
        ],
    ),
    choice(
        "step, global scores",
        false,
        &["discriminator.global=true", "discriminator.head_width=8"],
    ),
    choice(
        "step, R1",
        false,
        &["loss.r1=1", "loss.r1_interval_steps=1"],
    ),
    choice(
        "step, single patches",
        false,
        &["loss.unary=0.5", "loss.adversarial_patchwise=true"],
    ),
    choice("step, prior", false, &["loss.prior=1"]),
    choice(
        "step, deep generator",
        false,
        &[
            "generator.latent_stride=4",
            "generator.encoder_blocks=1",
            "generator.context_blocks=1",
        ],
    ),
    choice(
        "step, recurrent",
        false,
        &["generator.kind=recurrent", "generator.draw_steps=2"],
    ),
    choice(
        "step, latent styles",
        false,
        &[
            "generator.style=latent",
            "generator.style_noise_dims=4",
            "generator.style_channels=4",
        ],
    ),
    choice(
        "step, reference styles",
        false,
        &["generator.style=reference", "generator.style_channels=4"],
    ),
];

fn pictures(config: &Config) -> Result<Dataset, Error> {
    let options = config.data.options(CachePolicy::Platform)?;
    Ok(Dataset::load(&config.data.source, &options)?)
}

/// What a few steps of training came to.
#[derive(Clone, Debug)]
struct Trained {
    /// Means over the steps.
    losses: Vec<f32>,
    /// The weights of both networks.
    weights: Vec<f32>,
}

/// Two steps of a small network here and on Flex, from the same weights, noise and batches. `go_on` is
/// called before each.
fn training_steps(
    choice: &Choice,
    dataset: &Dataset,
    device: &Device,
    go_on: &mut dyn FnMut(),
) -> Check {
    const STEPS: usize = 2;
    let config = small_config(choice.sets);
    let mut run = |device: &Device| -> Result<Trained, Error> {
        let mut trainer = Trainer::new(config.clone(), dataset, device)?;
        for _ in 0..STEPS {
            go_on();
            trainer.advance()?;
        }
        let tick = trainer
            .tick()?
            .expect("there are figures after the first step");
        let weights = [
            weights_of(trainer.generator()),
            weights_of(trainer.discriminator()),
        ];
        Ok(Trained {
            losses: tick.figures.iter().map(|(_, value)| value).collect(),
            weights: weights
                .into_iter()
                .flat_map(|arrays| arrays.into_values().flat_map(|array| array.values))
                .collect(),
        })
    };
    let flat = |result: Result<Result<_, Error>, String>| match result {
        Ok(Ok(values)) => Ok(values),
        Ok(Err(error)) => Err(error.to_string()),
        Err(failure) => Err(failure),
    };
    let started = Instant::now();
    let here = flat(checked(|| run(device)));
    let secs = started.elapsed().as_secs_f64();
    let there = flat(checked(|| run(&Device::flex())));
    // How far a weight goes in these steps: Adam's rate a step.
    let way = STEPS.to_f64() * config.train.generator_rate;
    let (error, note) = match (here, there) {
        (Ok(here), Ok(there)) => training_error(&here, &there, way),
        (Err(failure), _) | (_, Err(failure)) => (None, failure),
    };
    let sets = choice.sets.iter().map(|set| format!("; {set}"));
    Check {
        operation: choice.name.to_owned(),
        size: format!(
            "{STEPS} steps of {} at {} px{}",
            config.train.batch,
            config.data.size_px,
            sets.collect::<String>()
        ),
        against: "flex".to_owned(),
        error,
        tolerance: 3e-4,
        note,
        secs,
    }
}

/// The worst of: each loss and gradient norm relative to itself; the middle difference of weights over the
/// way that they went. The middle, for where a gradient is nearly zero Adam makes a whole step of its sign.
fn training_error(here: &Trained, there: &Trained, way: f64) -> (Option<f64>, String) {
    /// Weights may be off by 3 % of their way where losses may by 3e-4: Adam divides a gradient's error by
    /// its size.
    const WEIGHTS_TO_LOSSES: f64 = 0.01;
    let mut worst_of = (Some(0.0), String::new());
    for (got, truth) in here.losses.iter().zip(&there.losses) {
        let one = vec![("losses", vec![*got])];
        let (error, note) = largest_error(&one, &vec![vec![f64::from(*truth)]]);
        if error.is_none_or(|error| worst_of.0.is_some_and(|worst| error >= worst)) {
            worst_of = (error, note);
        }
    }
    if worst_of.0.is_none() {
        return worst_of;
    }
    let mut apart: Vec<f64> = here
        .weights
        .iter()
        .zip(&there.weights)
        .map(|(a, b)| f64::from((a - b).abs()))
        .collect();
    apart.sort_by(f64::total_cmp);
    let middle = apart.get(apart.len() / 2).copied().unwrap_or(f64::NAN);
    let weights_error = middle / way * WEIGHTS_TO_LOSSES;
    if !weights_error.is_finite() {
        return (None, "weights that are not numbers".to_owned());
    }
    if worst_of.0.is_some_and(|worst| worst < weights_error) {
        return (Some(weights_error), "weights".to_owned());
    }
    worst_of
}

fn time_step(
    config: &Config,
    dataset: &Dataset,
    device: &Device,
    go_on: &mut dyn FnMut(),
) -> StepTime {
    let mut trainer = Trainer::new(config.clone(), dataset, device)
        .expect("the configuration and its pictures fit");
    let mut secs: Vec<f64> = (0..6)
        .map(|_| {
            go_on();
            let started = Instant::now();
            trainer.advance().expect("the steps before were finite");
            trainer
                .device()
                .sync()
                .expect("the device finishes its work");
            started.elapsed().as_secs_f64()
        })
        .collect();
    let first_secs = secs.remove(0);
    secs.sort_by(f64::total_cmp);
    StepTime {
        batch: config.train.batch,
        size_px: config.data.size_px,
        channels: config.generator.channels,
        first_secs,
        secs: secs[secs.len() / 2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Figure;

    fn case(truth: Vec<f64>, run: impl Fn(&Device) -> Outputs + 'static) -> Check {
        Case {
            operation: "test",
            size: String::new(),
            tolerance: 1e-5,
            run: Box::new(run),
            truth: Some(Box::new(move || vec![truth.clone()])),
        }
        .check(&Device::flex())
    }

    #[test]
    fn a_wrong_operation_is_found_however_it_is_wrong() {
        let truth = vec![1.0, -2.0, 0.5];
        let gives =
            |values: Vec<f32>| case(truth.clone(), move |_| vec![("values", values.clone())]);
        assert!(gives(vec![1.0, -2.0, 0.500_01]).is_right());
        for wrong in [
            vec![1.0, -2.0, 0.500_1],
            vec![1.0, 2.0, 0.5],
            vec![0.0; 3],
            vec![1.0, f32::NAN, 0.5],
            vec![1.0, f32::INFINITY, 0.5],
            vec![1.0, -2.0],
            vec![],
        ] {
            let check = gives(wrong.clone());
            assert!(!check.is_right(), "{wrong:?}: {check:?}");
        }
        assert!(!case(truth.clone(), |_| vec![]).is_right());
        let refused = case(truth, |_| panic!("SPIR-V device given a WGSL kernel"));
        assert!(!refused.is_right() && refused.note.contains("given a WGSL kernel"));
    }

    #[test]
    fn a_training_step_that_goes_elsewhere_is_found() {
        let right = Trained {
            losses: vec![1.0, 0.01],
            weights: vec![0.5, -0.5, 0.25],
        };
        let error = |losses: [f32; 2], weights: [f32; 3]| {
            let here = Trained {
                losses: losses.to_vec(),
                weights: weights.to_vec(),
            };
            training_error(&here, &right, 1e-3).0
        };
        assert_eq!(error([1.0, 0.01], [0.5, -0.5, 0.25]), Some(0.0));
        // One weight took a whole step the other way: the middle does not mind.
        assert!(error([1.0, 0.01], [0.501, -0.5, 0.25]) < Some(3e-4));
        for wrong in [
            error([1.0, 0.010_01], [0.5, -0.5, 0.25]),
            error([1.0, 0.01], [0.501, -0.501, 0.25]),
        ] {
            assert!(wrong > Some(3e-4), "{wrong:?}");
        }
        assert_eq!(error([f32::NAN, 0.01], [0.5, -0.5, 0.25]), None);
        assert_eq!(error([1.0, 0.01], [f32::NAN; 3]), None);
    }

    #[test]
    fn every_operation_and_choice_is_right_on_flex() {
        let chosen = crate::device::open("flex").expect("flex opens");
        // The recipe's shapes, with fewer pictures in each: the float64 truths take most of the time.
        let mut config = quickstart();
        config.train.batch = 2;
        for depth in [Depth::Quick, Depth::Whole(&config)] {
            let mut begun = Vec::new();
            let diagnosis = examine(&chosen, depth, &mut |progress| {
                if let Progress::Begins(_, _, name) = progress {
                    begun.push(name.to_owned());
                }
            })
            .expect("the pictures are built in");
            for check in &diagnosis.checks {
                assert!(check.is_right(), "{check:#?}");
            }
            assert!(diagnosis.is_right && begun.contains(&"CRF".to_owned()));
            let step = diagnosis.step.expect("a step was timed");
            assert!(step.secs > 0.0 && step.batch == diagnosis.config.train.batch);
            assert!(diagnosis.rates.copy_bytes_per_sec > Some(1e8));
            assert!(diagnosis.rates.fma_per_sec > Some(1e8));
        }
    }

    fn quickstart() -> Config {
        let text = include_str!("../../../../../configs/quickstart.toml");
        Config::resolve(Some(text), &[]).expect("the recipe is valid")
    }

    #[test]
    fn shapes_are_those_of_a_whole_batch() {
        for sets in [
            &["train.batch=6", "loss.r1=1", "generator.style=reference"][..],
            &["train.batch=6", "train.accumulate=2", "loss.prior=1"],
            &["train.batch=4", "generator.kind=recurrent"],
        ] {
            let config = small_config(sets);
            let dataset = pictures(&config).expect("the pictures are built in");
            let mut trainer =
                Trainer::new(config.clone(), &dataset, &Device::flex()).expect("they fit");
            let met = shapes_met(|| trainer.advance().expect("finite"));
            let reported = step_shapes(&config, &dataset).expect("they fit");
            assert_eq!(reported, met, "{sets:?}");
        }
    }

    #[test]
    fn every_layer_of_the_quickstart_is_among_its_shapes() {
        let config = quickstart();
        let dataset = pictures(&config).expect("the pictures are built in");
        let shapes = step_shapes(&config, &dataset).expect("they fit");
        let convolution = |channels_in, channels_out, side, kernel| Shape::Convolution {
            channels_in,
            channels_out,
            side,
            kernel,
        };
        // By configs/README.md: coder and drawer at 16 px, context at 8, the picture at 32; the trunk at 16
        // and 8.
        for (shape, pictures) in [
            (convolution(12, 48, 16, 3), 8),
            (convolution(48, 48, 16, 3), 16),
            (convolution(48, 32, 16, 3), 8),
            (convolution(16, 48, 16, 3), 16),
            (convolution(48, 48, 8, 3), 16),
            (convolution(48, 24, 32, 3), 16),
            (convolution(24, 3, 32, 3), 16),
            (convolution(12, 72, 16, 3), 24),
            (convolution(72, 72, 16, 3), 24),
            (convolution(72, 144, 8, 3), 24),
            (convolution(144, 144, 8, 1), 24),
            (convolution(144, 3, 8, 1), 24),
        ] {
            assert_eq!(shapes.get(&shape), Some(&pictures), "{shape:?}");
        }
        let count = |is: fn(&Shape) -> bool| shapes.keys().filter(|shape| is(shape)).count();
        assert_eq!(count(|s| matches!(s, Shape::Convolution { .. })), 12);
        assert_eq!(count(|s| matches!(s, Shape::Normalisation { .. })), 3);
        // The picture unshuffled; halved from 16 px by the drawer and by the trunk; doubled from 8 and from
        // 16.
        assert_eq!(count(|s| matches!(s, Shape::Resizing { .. })), 5);
    }

    #[test]
    fn every_choice_changes_what_a_step_computes() {
        let dataset = pictures(&small_config(&[])).expect("the pictures are built in");
        let [plain, choices @ ..] = &CHOICES;
        let losses = |choice: &Choice| {
            let config = small_config(choice.sets);
            let mut trainer = Trainer::new(config, &dataset, &Device::flex()).expect("they fit");
            trainer.advance().expect("finite");
            let tick = trainer.tick().expect("finite").expect("a step was done");
            [tick[Figure::DNorm], tick[Figure::GNorm]]
        };
        let known = losses(plain);
        for choice in choices {
            assert_ne!(losses(choice), known, "{}", choice.name);
        }
    }
}
