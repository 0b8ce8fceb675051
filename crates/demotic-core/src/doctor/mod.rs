//! Is a device right, and how fast is it? The operations of the default networks run on it, at a choice of their shapes, and are
//! held against float64 written from the formula; a whole training step is held against Flex. Wrong results of a driver, of fusion or of a tuned kernel
//! show here, and so does a kernel in a shader language that the device refuses.

mod checks;
pub(crate) mod oracle;
mod rates;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::data::{Dataset, DatasetOptions};
use crate::device::{Chosen, shader_language};
use crate::error::Error;
use crate::train::{Trainer, weights_of};
use checks::{Case, Outputs, Truths, cases};

pub use rates::Rates;

/// One operation, held against its truth.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Check {
    /// What was computed.
    pub operation: String,
    /// At which size.
    pub size: String,
    /// `float64` or `flex`.
    pub against: String,
    /// Largest difference over the largest true value, of the worst output; none where it is not a number or the operation
    /// failed.
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
    /// Of its kernels; `none` on the processor.
    pub shader_language: String,
    /// What computes the CRF.
    pub crf: String,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The networks' sizes, and the time of the quickstart's step; on a software adapter, which would tune its shapes for a
    /// quarter of an hour, of a small network's.
    Whole,
    /// Small sizes and a small network: minutes less on a software adapter.
    Quick,
}

/// What is going on, for whoever waits.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// Check number `.0` of `.1` begins.
    Begins(usize, usize, &'a str),
    /// A check ended.
    Ended(&'a Check),
}

/// Runs every check on a device.
///
/// # Errors
/// The built-in pictures cannot be read. A device that fails is no error: the diagnosis says so.
pub fn examine(
    chosen: &Chosen,
    depth: Depth,
    tell: &mut dyn FnMut(Progress<'_>),
) -> Result<Diagnosis, Error> {
    let device = &chosen.device;
    let cases = cases(depth == Depth::Quick);
    let count = cases.len() + 1;
    let mut checks = Vec::with_capacity(count);
    for (i, case) in cases.iter().enumerate() {
        tell(Progress::Begins(i + 1, count, case.operation));
        let check = case.check(device);
        tell(Progress::Ended(&check));
        checks.push(check);
    }
    tell(Progress::Begins(count, count, "training step"));
    let config = small_config();
    let dataset = pictures(&config)?;
    let (check, small_step) = training_step(&config, &dataset, device);
    tell(Progress::Ended(&check));
    checks.push(check);
    let step = if depth == Depth::Whole && !chosen.is_software && small_step.is_some() {
        tell(Progress::Begins(count, count, "time of a training step"));
        let config = quickstart_config();
        let dataset = pictures(&config)?;
        let started = Instant::now();
        match guarded(|| time_step(&config, &dataset, device)) {
            Ok(step) => Some(step),
            Err(failure) => {
                // Right at small sizes, and yet of no use.
                let check = Check {
                    operation: "training step".into(),
                    size: format!("{} of {} px", config.train.batch, config.data.size_px),
                    against: "flex".into(),
                    error: None,
                    tolerance: 0.0,
                    note: failure,
                    secs: started.elapsed().as_secs_f64(),
                };
                tell(Progress::Ended(&check));
                checks.push(check);
                None
            }
        }
    } else {
        small_step
    };
    let is_right = checks.iter().all(Check::is_right);
    tell(Progress::Begins(count, count, "rates"));
    Ok(Diagnosis {
        device: chosen.description.clone(),
        shader_language: shader_language(device),
        crf: demotic_crf::implementation_in_use(device, demotic_crf::Implementation::Auto)
            .map_or("none", demotic_crf::Implementation::name)
            .to_owned(),
        is_right,
        checks,
        rates: guarded(|| rates::measure(device)).unwrap_or_default(),
        step,
    })
}

impl Case {
    fn check(&self, device: &Device) -> Check {
        let started = Instant::now();
        let got = guarded(|| (self.run)(device));
        let secs = started.elapsed().as_secs_f64();
        let truth = match &self.truth {
            Some(truth) => Ok(truth()),
            None => guarded(|| widened((self.run)(&Device::flex()))),
        };
        let (error, note) = match (got, truth) {
            (Ok(got), Ok(truth)) => worst(&got, &truth),
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

/// The largest difference over the largest true value, over all outputs, and the output's name. None for an output that is not
/// finite, or that has another length than the truth.
fn worst(got: &Outputs, truth: &Truths) -> (Option<f64>, String) {
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

/// A driver that refuses a kernel does so by a panic, where the result is read.
fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| {
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        format!("failed: {}", text.lines().next().unwrap_or_default())
    })
}

fn resolved(sets: &[&str]) -> Config {
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    Config::resolve(None, &sets).expect("a configuration of this file")
}

/// Every part of a step in few shapes: a software adapter tunes each for seconds.
fn small_config() -> Config {
    resolved(&[
        "data.size_px=16",
        "data.styles=[\"openmoji-line\", \"openmoji\"]",
        "generator.channels=8",
        "generator.channels_min=8",
        "generator.latent_channels=4",
        "generator.encoder_blocks=0",
        "generator.decoder_blocks=1",
        "generator.context_blocks=0",
        "generator.style_dims=4",
        "discriminator.channels=8",
        "train.batch=3",
        "train.pairs=all",
        "train.warmup_steps=2",
        "loss.composite_warmup_steps=2",
    ])
}

/// The sizes of `configs/quickstart.toml`.
fn quickstart_config() -> Config {
    resolved(&[
        "data.size_px=32",
        "data.styles=[\"openmoji-line\", \"openmoji\"]",
        "train.batch=8",
    ])
}

fn pictures(config: &Config) -> Result<Dataset, Error> {
    let options = DatasetOptions {
        size_px: config.data.size_px,
        styles: config.data.styles.clone(),
        ..DatasetOptions::default()
    };
    Ok(Dataset::load(&config.data.source, &options)?)
}

/// What a few steps of training came to.
#[derive(Clone, Debug)]
struct Trained {
    /// Means over the steps.
    losses: Vec<f32>,
    /// Of both networks.
    weights: Vec<f32>,
}

/// Two steps of a small network here and on Flex, from the same weights, noise and batches.
fn training_step(config: &Config, dataset: &Dataset, device: &Device) -> (Check, Option<StepTime>) {
    const STEPS: usize = 2;
    let run = |device: &Device| -> Result<Trained, Error> {
        let mut trainer = Trainer::new(config.clone(), dataset, device)?;
        for _ in 0..STEPS {
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
            losses: vec![
                tick.d_real,
                tick.d_fake,
                tick.d_composite,
                tick.g_reconstruction,
                tick.g_kl,
                tick.g_cycle,
                tick.g_adversarial,
                tick.g_paired,
                tick.d_norm,
                tick.g_norm,
            ],
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
    let here = flat(guarded(|| run(device)));
    let secs = started.elapsed().as_secs_f64();
    let there = flat(guarded(|| run(&Device::flex())));
    // Of the way that a weight goes in these steps: Adam's rate a step.
    let way = STEPS as f64 * config.train.generator_rate;
    let (error, note) = match (here, there) {
        (Ok(here), Ok(there)) => training_error(&here, &there, way),
        (Err(failure), _) | (_, Err(failure)) => (None, failure),
    };
    let check = Check {
        operation: "training step".to_owned(),
        size: format!(
            "{STEPS} steps of {} at {} px",
            config.train.batch, config.data.size_px
        ),
        against: "flex".to_owned(),
        error,
        tolerance: 3e-4,
        note,
        secs,
    };
    let step = check
        .error
        .and_then(|_| guarded(|| time_step(config, dataset, device)).ok());
    (check, step)
}

/// The worst of: each loss and gradient norm relative to itself; the middle difference of weights over the way that they
/// went. The middle, for where a gradient is nearly zero Adam makes a whole step of its sign.
fn training_error(here: &Trained, there: &Trained, way: f64) -> (Option<f64>, String) {
    /// Weights may be off by 3 % of their way where losses may by 3e-4: Adam divides a gradient's error by its size.
    const WEIGHTS_TO_LOSSES: f64 = 0.01;
    let mut worst_of = (Some(0.0), String::new());
    for (got, truth) in here.losses.iter().zip(&there.losses) {
        let one = vec![("losses", vec![*got])];
        let (error, note) = worst(&one, &vec![vec![f64::from(*truth)]]);
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

fn time_step(config: &Config, dataset: &Dataset, device: &Device) -> StepTime {
    let mut trainer = Trainer::new(config.clone(), dataset, device)
        .expect("the configuration and its pictures fit");
    let mut secs: Vec<f64> = (0..6)
        .map(|_| {
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
    fn every_operation_is_right_on_flex() {
        let chosen = crate::device::open("flex").expect("flex opens");
        let mut begun = Vec::new();
        let diagnosis = examine(&chosen, Depth::Quick, &mut |progress| {
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
        assert!(step.secs > 0.0 && diagnosis.rates.copy_bytes_per_sec > Some(1e8));
        assert!(diagnosis.rates.fma_per_sec > Some(1e8));
    }

    #[test]
    fn sums_and_convolutions_of_the_networks_sizes_are_right_on_flex() {
        for case in cases(false) {
            let check = case.check(&Device::flex());
            assert!(check.is_right(), "{check:#?}");
        }
    }
}
