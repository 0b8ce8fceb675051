//! Is a device right, and how fast is it? Every operation that training uses runs on it and is held against float64 written
//! from the formula; a whole training step is held against Flex. Wrong results of a driver, of fusion or of a tuned kernel
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
#[derive(Clone, Debug, Serialize)]
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
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// The device in words.
    pub device: String,
    /// Of its kernels; `none` on the processor.
    pub shader_language: String,
    /// What computes the CRF.
    pub crf: &'static str,
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
    /// The networks' sizes, and the time of the quickstart's step.
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
    let is_right = checks.iter().all(Check::is_right);
    let step = if depth == Depth::Whole && small_step.is_some() {
        tell(Progress::Begins(count, count, "time of a training step"));
        let config = quickstart_config();
        let dataset = pictures(&config)?;
        guarded(|| time_step(&config, &dataset, device)).ok()
    } else {
        small_step
    };
    tell(Progress::Begins(count, count, "rates"));
    Ok(Diagnosis {
        device: chosen.description.clone(),
        shader_language: shader_language(device),
        crf: demotic_crf::implementation_in_use(device, demotic_crf::Implementation::Auto)
            .map_or("none", demotic_crf::Implementation::name),
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

/// Two steps of a small network here and on Flex, from the same weights, noise and batches. Losses are held to each other;
/// weights in the middle, for where a gradient is nearly zero Adam makes a whole step of its sign.
fn training_step(config: &Config, dataset: &Dataset, device: &Device) -> (Check, Option<StepTime>) {
    const STEPS: usize = 2;
    let run = |device: &Device| -> Result<(Vec<f64>, Vec<f32>), Error> {
        let mut trainer = Trainer::new(config.clone(), dataset, device)?;
        (0..STEPS).for_each(|_| trainer.advance());
        let tick = trainer.tick()?;
        let losses = tick.map_or_else(Vec::new, |t| {
            [
                t.d_real,
                t.d_fake,
                t.d_composite,
                t.g_reconstruction,
                t.g_kl,
                t.g_cycle,
                t.g_adversarial,
                t.g_paired,
            ]
            .map(f64::from)
            .to_vec()
        });
        let weights = weights_of(trainer.average()).into_values();
        Ok((losses, weights.flat_map(|array| array.values).collect()))
    };
    let started = Instant::now();
    let flat = |result: Result<Result<_, Error>, String>| match result {
        Ok(Ok(values)) => Ok(values),
        Ok(Err(error)) => Err(error.to_string()),
        Err(failure) => Err(failure),
    };
    let here = flat(guarded(|| run(device)));
    let secs = started.elapsed().as_secs_f64();
    let there = flat(guarded(|| run(&Device::flex())));
    let (error, note) = match (here, there) {
        (Ok((losses, weights)), Ok((true_losses, true_weights))) => {
            let losses: Outputs = vec![("losses", losses.iter().map(|v| *v as f32).collect())];
            let (error, note) = worst(&losses, &vec![true_losses]);
            let mut apart: Vec<f32> = weights
                .iter()
                .zip(&true_weights)
                .map(|(a, b)| (a - b).abs())
                .collect();
            apart.sort_by(f32::total_cmp);
            let middle = f64::from(apart[apart.len() / 2]);
            // Of the way that a weight goes in these steps: Adam's rate a step.
            let way = STEPS as f64 * config.train.generator_rate;
            let weights_error = middle / way * WEIGHTS_TO_LOSSES;
            match error {
                Some(error) if error < weights_error => (Some(weights_error), "weights".to_owned()),
                _ => (error, note),
            }
        }
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

/// Weights may be off by 3 % of their way where losses may by 3e-4: a gradient's error counts whole, a loss averages it.
const WEIGHTS_TO_LOSSES: f64 = 0.01;

fn time_step(config: &Config, dataset: &Dataset, device: &Device) -> StepTime {
    let mut trainer = Trainer::new(config.clone(), dataset, device)
        .expect("the configuration and its pictures fit");
    let mut secs: Vec<f64> = (0..6)
        .map(|_| {
            let started = Instant::now();
            trainer.advance();
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
