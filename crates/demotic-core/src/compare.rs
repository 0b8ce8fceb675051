//! The same training on several devices: same weights, noise and batches; how long, how much memory, how far apart.

use std::time::Instant;

use serde::Serialize;

use crate::config::Config;
use crate::data::Dataset;
use crate::device::{Chosen, shader_language};
use crate::error::Error;
use crate::train::{Phases, Tick, Trainer, peak_memory_bytes, weights_of};

/// Steps that are measured phase by phase, after the ones that are timed.
const PHASE_STEPS: u64 = 3;

/// What one device did.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// As it was asked for.
    pub name: String,
    /// In words.
    pub device: String,
    /// Of its kernels; `none` on the processor.
    pub shader_language: String,
    /// The first step in this process, compiling and tuning among it.
    pub first_secs: f64,
    /// Every later step, in order.
    pub step_secs: Vec<f64>,
    /// Of those.
    pub spread: Spread,
    /// Pictures translated a second, by the median.
    pub pictures_per_sec: f64,
    /// Where the time goes, by further steps that wait after every phase.
    pub phases: Option<Phases>,
    /// Highest resident memory of the process while this device worked; since the process began where the system cannot
    /// start anew.
    pub host_peak_bytes: u64,
    /// What the device's allocator has taken; none where it does not say.
    pub device_bytes: Option<u64>,
    /// Distance from the first device; none for the first itself.
    pub apart: Option<Apart>,
    #[serde(skip)]
    losses: Vec<[f32; 8]>,
    #[serde(skip)]
    weights: Vec<f32>,
}

/// Median and quartiles in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// A quarter is faster.
    pub low_secs: f64,
    /// The middle.
    pub median_secs: f64,
    /// A quarter is slower.
    pub high_secs: f64,
}

/// How far one training is from another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Apart {
    /// Largest difference of a loss at any step, over its size there (0.1 at least).
    pub losses_relative_max: f64,
    /// Largest difference of a weight of both networks at the end.
    pub weights_max: f64,
    /// The middle one.
    pub weights_median: f64,
}

/// `fast` is `times` +- `spread` times faster than `slow`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Faster {
    /// Name of the faster device.
    pub fast: String,
    /// Name of the slower one.
    pub slow: String,
    /// Ratio of the medians.
    pub times: f64,
    /// What a single step's spread makes of the ratio: one standard deviation, by the quartiles.
    pub spread: f64,
}

impl Spread {
    /// # Panics
    /// On no steps.
    pub fn of(steps: &[f64]) -> Self {
        let mut sorted = steps.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * (sorted.len() - 1) as f64;
            let (below, above) = (
                sorted[place.floor() as usize],
                sorted[place.ceil() as usize],
            );
            below + (above - below) * place.fract()
        };
        Self {
            low_secs: at(0.25),
            median_secs: at(0.5),
            high_secs: at(0.75),
        }
    }

    /// Standard deviation over median, of a normal with these quartiles.
    fn relative_deviation(&self) -> f64 {
        (self.high_secs - self.low_secs) / 1.349 / self.median_secs
    }
}

/// Trains `steps` steps from the start on a device and measures.
///
/// # Errors
/// What the trainer refuses, and losses that are not finite.
///
/// # Panics
/// On fewer than two steps: the first is told apart.
pub fn measure(
    name: &str,
    chosen: &Chosen,
    config: &Config,
    dataset: &Dataset,
    steps: u64,
    tell: &mut dyn FnMut(u64),
) -> Result<Measured, Error> {
    forget_peak_memory();
    let mut config = config.clone();
    // The schedule is that of the run; phases are measured at a tick's last step, and the timed ones are to have none.
    config.train.tick_steps = u64::MAX;
    let mut trainer = Trainer::new(config.clone(), dataset, &chosen.device)?;
    let failed = |e| Error::Device(format!("{} failed: {e}", chosen.description));
    let mut secs = Vec::new();
    let mut losses = Vec::new();
    for step in 0..steps {
        tell(step);
        let started = Instant::now();
        trainer.advance()?;
        trainer.device().sync().map_err(failed)?;
        secs.push(started.elapsed().as_secs_f64());
        losses.extend(trainer.tick()?.map(|tick| losses_of(&tick)));
    }
    let weights = [
        weights_of(trainer.generator()),
        weights_of(trainer.discriminator()),
    ];
    trainer.set_tick_steps(1);
    let mut phases = Vec::new();
    for step in 0..PHASE_STEPS {
        tell(steps + step);
        trainer.advance()?;
        phases.extend(trainer.tick()?.and_then(|tick| tick.phases));
    }
    let first_secs = secs.remove(0);
    let spread = Spread::of(&secs);
    Ok(Measured {
        name: name.to_owned(),
        device: chosen.description.clone(),
        shader_language: shader_language(&chosen.device),
        first_secs,
        spread,
        pictures_per_sec: config.train.batch as f64 / spread.median_secs,
        step_secs: secs,
        phases: mean_phases(&phases),
        host_peak_bytes: peak_memory_bytes(),
        device_bytes: chosen
            .device
            .memory_pool_usage()
            .map(|usage| usage.bytes_reserved),
        apart: None,
        losses,
        weights: weights
            .into_iter()
            .flat_map(|arrays| arrays.into_values().flat_map(|array| array.values))
            .collect(),
    })
}

/// Fills in how far each is from the first.
pub fn hold_to_the_first(all: &mut [Measured]) {
    if let Some((first, rest)) = all.split_first_mut() {
        for other in rest {
            other.apart = Some(apart(first, other));
        }
    }
}

/// Every device against the fastest, slowest last.
pub fn ranking(all: &[Measured]) -> Vec<Faster> {
    let mut order: Vec<&Measured> = all.iter().collect();
    order.sort_by(|a, b| a.spread.median_secs.total_cmp(&b.spread.median_secs));
    let Some((fast, slower)) = order.split_first() else {
        return Vec::new();
    };
    slower
        .iter()
        .map(|slow| {
            let times = slow.spread.median_secs / fast.spread.median_secs;
            let deviation = fast
                .spread
                .relative_deviation()
                .hypot(slow.spread.relative_deviation());
            Faster {
                fast: fast.name.clone(),
                slow: slow.name.clone(),
                times,
                spread: times * deviation,
            }
        })
        .collect()
}

fn apart(a: &Measured, b: &Measured) -> Apart {
    let pairs = a.losses.as_flattened().iter().zip(b.losses.as_flattened());
    let losses = pairs.map(|(a, b)| f64::from((a - b).abs() / a.abs().max(0.1)));
    let mut weights: Vec<f64> = a
        .weights
        .iter()
        .zip(&b.weights)
        .map(|(a, b)| f64::from((a - b).abs()))
        .collect();
    weights.sort_by(f64::total_cmp);
    Apart {
        losses_relative_max: losses.fold(0.0, f64::max),
        weights_max: weights.last().copied().unwrap_or(0.0),
        weights_median: weights.get(weights.len() / 2).copied().unwrap_or(0.0),
    }
}

fn losses_of(t: &Tick) -> [f32; 8] {
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
}

fn mean_phases(all: &[Phases]) -> Option<Phases> {
    let mean = |of: fn(&Phases) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
    (!all.is_empty()).then(|| Phases {
        inputs_secs: mean(|p| p.inputs_secs),
        generator_forward_secs: mean(|p| p.generator_forward_secs),
        discriminator_forward_secs: mean(|p| p.discriminator_forward_secs),
        discriminator_backward_secs: mean(|p| p.discriminator_backward_secs),
        judge_forward_secs: mean(|p| p.judge_forward_secs),
        generator_backward_secs: mean(|p| p.generator_backward_secs),
        optimiser_secs: mean(|p| p.optimiser_secs),
    })
}

/// Lets the kernel count the peak from now on; elsewhere than on Linux it counts from the process's start.
fn forget_peak_memory() {
    // Where this is refused the figure is an upper bound, which its documentation says.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_quartiles_and_ratios_carry_them() {
        let spread = Spread::of(&[4.0, 1.0, 3.0, 2.0, 5.0]);
        assert_eq!(
            spread,
            Spread {
                low_secs: 2.0,
                median_secs: 3.0,
                high_secs: 4.0
            }
        );
        assert_eq!(Spread::of(&[1.0, 2.0]).median_secs, 1.5);
        let device = |name: &str, steps: &[f64], losses: f32, weight: f32| Measured {
            name: name.into(),
            device: String::new(),
            shader_language: String::new(),
            first_secs: 0.0,
            step_secs: steps.to_vec(),
            spread: Spread::of(steps),
            pictures_per_sec: 0.0,
            phases: None,
            host_peak_bytes: 0,
            device_bytes: None,
            apart: None,
            losses: vec![[losses; 8]],
            weights: vec![weight, 0.0, 0.0],
        };
        let mut all = [
            device("slow", &[6.0, 6.0, 6.0], 2.0, 1.0),
            device("fast", &[2.0, 2.0, 2.0], 2.5, 1.25),
        ];
        hold_to_the_first(&mut all);
        let expected = Apart {
            losses_relative_max: 0.25,
            weights_max: 0.25,
            weights_median: 0.0,
        };
        assert_eq!((all[0].apart, all[1].apart), (None, Some(expected)));
        let expected = Faster {
            fast: "fast".into(),
            slow: "slow".into(),
            times: 3.0,
            spread: 0.0,
        };
        assert_eq!(ranking(&all), [expected]);
        let wide = device("wide", &[3.0, 4.0, 5.0], 0.0, 0.0);
        let told = ranking(&[wide, all[1].clone()]);
        assert!((told[0].spread - 2.0 * (1.0 / 1.349 / 4.0)).abs() < 1e-9);
    }
}
