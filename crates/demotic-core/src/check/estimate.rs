//! What a run of a configuration would take, found by steps on the processor.

use std::fmt;
use std::time::Instant;

use crate::number::{Real, Whole};
use burn::tensor::Device;
use serde::Serialize;

use crate::allocation::{available_memory_bytes, in_use, peak_of, resident_memory_bytes};
use crate::data::Dataset;
use crate::error::Error;
use crate::settings::{Config, Quality};
use crate::train::Trainer;

/// Memory and disk of a run, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// Pictures that a device works on at once.
    pub(crate) pictures_at_once: usize,
    /// Networks, optimisers and a step, on the device; or what stands between steps, where that is more.
    pub(crate) training_bytes: usize,
    /// Program and pictures.
    pub(crate) resident_bytes: usize,
    /// One checkpoint on disk.
    pub(crate) checkpoint_bytes: usize,
    /// Checkpoints that are kept.
    pub(crate) checkpoints_kept: usize,
}

/// Measures two steps of one and of two pictures, for memory grows evenly with the pictures that are worked
/// on at once; a checkpoint; and `between`, which is what else a run does at a checkpoint (sample grids,
/// validation). The image pool, which fills with the steps, is reckoned.
///
/// # Errors
/// What the trainer refuses.
pub fn estimate(
    config: &Config,
    dataset: &Dataset,
    devices: usize,
    between: impl FnOnce(&Trainer<'_>),
) -> Result<Estimate, Error> {
    let resident_bytes = resident_memory_bytes().to_usize();
    let steps = Steps::measure(config, dataset, devices)?;
    let pool = steps.pool_bytes;
    let (bytes, saving) = peak_of(|| steps.trainer.checkpoint_bytes());
    let ((), showing) = peak_of(|| between(&steps.trainer));
    // A checkpoint holds the pool as one array, as bytes and as the file, beside the pool itself.
    let between = (saving + 3 * pool).max(showing) + steps.state_bytes + pool;
    Ok(Estimate {
        pictures_at_once: steps.pictures_at_once,
        training_bytes: steps.bytes.max(between),
        resident_bytes,
        checkpoint_bytes: bytes + pool,
        checkpoints_kept: config.train.checkpoints_kept,
    })
}

/// What the steps of a configuration take.
struct Steps<'a> {
    /// After two steps of one picture.
    trainer: Trainer<'a>,
    /// What it holds between steps.
    state_bytes: usize,
    /// The full image pool.
    pool_bytes: usize,
    /// Pictures that a device works on at once.
    pictures_at_once: usize,
    /// The most that is in use at once, with the pool.
    bytes: usize,
}

impl<'a> Steps<'a> {
    fn measure(config: &Config, dataset: &'a Dataset, devices: usize) -> Result<Self, Error> {
        let (trainer, two) = trial(config, dataset, 2);
        drop(trainer?);
        let before = in_use();
        let (trainer, one) = trial(config, dataset, 1);
        let trainer = trainer?;
        let state_bytes = in_use().saturating_sub(before);
        let pictures_at_once = config.train.batch / (config.train.accumulate * devices);
        let each = two.saturating_sub(one);
        let size = config.data.size_px as usize;
        let picture_bytes = config.data.channels.count() * size * size * size_of::<f32>();
        let pool_bytes = config.train.image_pool * picture_bytes;
        Ok(Self {
            trainer,
            state_bytes,
            pool_bytes,
            pictures_at_once,
            bytes: one.saturating_sub(each) + each * pictures_at_once + pool_bytes,
        })
    }
}

/// A trainer after two steps of so many pictures, without an image pool, and the most bytes that were in use.
fn trial<'a>(
    config: &Config,
    dataset: &'a Dataset,
    batch: usize,
) -> (Result<Trainer<'a>, Error>, usize) {
    let mut config = config.clone();
    (config.train.batch, config.train.accumulate) = (batch, 1);
    config.train.image_pool = 0;
    peak_of(|| -> Result<Trainer<'a>, Error> {
        let mut trainer = Trainer::new(config, dataset, &Device::flex())?;
        trainer.advance()?;
        trainer.advance()?;
        trainer.tick()?;
        Ok(trainer)
    })
}

/// Refuses steps that need more memory than this process may still take, measured as for [`estimate`], before
/// one of the configuration's size is taken. `on_processor`: as many of the `devices` are this machine's
/// processor; the memory of others is not known. Where the system does not say what is free, nothing is
/// refused.
///
/// # Errors
/// [`Error::Input`] with what is needed, what is free and the way out; what the trainer refuses.
pub fn require_memory(
    config: &Config,
    dataset: &Dataset,
    devices: usize,
    on_processor: usize,
) -> Result<(), Error> {
    if on_processor == 0 || available_memory_bytes().is_none() {
        return Ok(());
    }
    let steps = match Steps::measure(config, dataset, devices) {
        // What diverges so early is the run's own to report.
        Err(Error::Diverged { .. }) => return Ok(()),
        steps => steps?,
    };
    let (bytes, at_once) = (steps.bytes, steps.pictures_at_once);
    drop(steps);
    require(bytes * on_processor, at_once, available_memory_bytes())
}

/// Refuses what is more than is free.
fn require(bytes: usize, pictures_at_once: usize, free: Option<u64>) -> Result<(), Error> {
    let gib = |bytes: f64| bytes / f64::from(1 << 30);
    match free {
        Some(free) if bytes.to_u64() > free => Err(Error::Input(format!(
            "memory: a training of these settings needs about {:.1} GiB on the processor, for steps of {pictures_at_once} pictures, and {:.1} GiB are free; lower train.batch or data.size_px, or raise train.accumulate",
            gib(bytes.to_f64()),
            gib(free.to_f64())
        ))),
        _ => Ok(()),
    }
}

/// The networks that a time is enough for.
#[derive(Clone, Debug)]
pub struct Networks {
    /// Their quality.
    pub quality: Quality,
    /// The settings with them.
    pub config: Config,
    /// Pictures that they would be trained on in that time.
    pub pictures: u64,
    /// Larger ones, with as many pictures as they would be trained on.
    pub too_large: Vec<(Quality, u64)>,
}

impl Networks {
    /// The first of these settings, the largest networks first, that are trained on enough pictures in so
    /// many seconds; the last where none are. Half a second of steps of each is timed after one that is not
    /// counted.
    ///
    /// # Errors
    /// What the trainer refuses; [`Error::Diverged`].
    ///
    /// # Panics
    /// Without any settings.
    pub fn for_secs(
        candidates: &[(Quality, Config)],
        dataset: &Dataset,
        device: &Device,
        others: &[Device],
        secs: f64,
    ) -> Result<Self, Error> {
        let (smallest, larger) = candidates
            .split_last()
            .expect("there are settings to choose from");
        let seen = |config: &Config| -> Result<u64, Error> {
            let secs_a_step = secs_a_step(config, dataset, device, others)?;
            Ok((secs / secs_a_step * config.train.batch.to_f64()).to_u64())
        };
        let mut too_large = Vec::new();
        for (quality, config) in larger {
            let pictures = seen(config)?;
            if pictures >= quality.least_pictures() {
                return Ok(Self::new((*quality, config), pictures, too_large));
            }
            too_large.push((*quality, pictures));
        }
        let (quality, config) = smallest;
        Ok(Self::new((*quality, config), seen(config)?, too_large))
    }

    fn new(
        (quality, config): (Quality, &Config),
        pictures: u64,
        too_large: Vec<(Quality, u64)>,
    ) -> Self {
        Self {
            quality,
            config: config.clone(),
            pictures,
            too_large,
        }
    }
}

/// One step, in seconds.
fn secs_a_step(
    config: &Config,
    dataset: &Dataset,
    device: &Device,
    others: &[Device],
) -> Result<f64, Error> {
    let mut config = config.clone();
    (config.train.steps, config.train.tick_steps) = (u64::MAX, u64::MAX);
    let mut trainer = Trainer::on_devices(config, dataset, device, others)?;
    trainer.advance()?;
    trainer.tick()?;
    let began = Instant::now();
    let mut steps = 0;
    while steps == 0 || began.elapsed().as_secs_f64() < 0.5 {
        trainer.advance()?;
        steps += 1;
    }
    trainer.tick()?;
    Ok(began.elapsed().as_secs_f64() / f64::from(steps))
}

/// Steps that a pace is taken from at most, once half a second has passed.
const PACED_MOST: u32 = 50;

/// How fast a run goes on its devices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// One step, in seconds.
    pub secs_a_step: f64,
    /// Sample grids and validation, which are due at a checkpoint, in seconds.
    pub(crate) secs_a_checkpoint: f64,
}

impl Pace {
    /// Takes one step that is not counted (a GPU measures its kernels in it), then as many as fit in half a
    /// second, or, of up to fifty, in two; and `between`, as for [`estimate`]. Takes nothing from the run
    /// itself. `None` where the run is over within `least_secs` by the first step's time.
    ///
    /// # Errors
    /// What the trainer refuses; [`Error::Diverged`].
    pub fn measure(
        config: &Config,
        dataset: &Dataset,
        device: &Device,
        others: &[Device],
        least_secs: f64,
        between: impl FnOnce(&Trainer<'_>),
    ) -> Result<Option<Self>, Error> {
        let steps = config.train.steps.to_f64();
        let mut config = config.clone();
        // Neither an end nor a measured step comes in the way.
        (config.train.steps, config.train.tick_steps) = (u64::MAX, u64::MAX);
        let mut trainer = Trainer::on_devices(config, dataset, device, others)?;
        let began = Instant::now();
        trainer.advance()?;
        trainer.tick()?;
        if steps * began.elapsed().as_secs_f64() < least_secs {
            return Ok(None);
        }
        let began = Instant::now();
        let (mut steps, mut secs) = (0, 0.0);
        while secs < 0.5 || steps < PACED_MOST && secs < 2.0 {
            trainer.advance()?;
            steps += 1;
            secs = began.elapsed().as_secs_f64();
        }
        // Waits for the device.
        trainer.tick()?;
        let secs_a_step = began.elapsed().as_secs_f64() / f64::from(steps);
        let began = Instant::now();
        between(&trainer);
        Ok(Some(Self {
            secs_a_step,
            secs_a_checkpoint: began.elapsed().as_secs_f64(),
        }))
    }

    /// Seconds of a step with its share of what is due at checkpoints.
    fn secs_with_share(&self, config: &Config) -> f64 {
        self.secs_a_step + self.secs_a_checkpoint / config.train.checkpoint_steps.to_f64()
    }

    /// Seconds that so many steps of the run take, with what is due at its checkpoints and its end; without
    /// the evaluation.
    pub fn secs(&self, config: &Config, steps: u64) -> f64 {
        steps.to_f64() * self.secs_with_share(config) + self.secs_a_checkpoint
    }

    /// Steps that fit in so many seconds; at least one.
    pub fn steps_in(&self, config: &Config, secs: f64) -> u64 {
        ((secs - self.secs_a_checkpoint) / self.secs_with_share(config))
            .to_u64()
            .max(1)
    }
}

impl Estimate {
    /// As [`require_memory`], by what was measured already.
    ///
    /// # Errors
    /// [`Error::Input`].
    pub fn require(&self, on_processor: usize) -> Result<(), Error> {
        let bytes = self.training_bytes * on_processor;
        require(bytes, self.pictures_at_once, available_memory_bytes())
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: usize| bytes.div_ceil(1 << 20);
        write!(
            f,
            "memory about {} MiB for networks, optimisers and a step of {} pictures, on the device; {} MiB for program and pictures; \
             flex needs both: {} MiB; it counts blocks, not pages: leave a fifth of room\ndisk   {:.1} MiB a checkpoint; {} are kept, \
             the best beside them",
            mib(self.training_bytes),
            self.pictures_at_once,
            mib(self.resident_bytes),
            mib(self.training_bytes + self.resident_bytes),
            self.checkpoint_bytes.to_f64() / f64::from(1 << 20),
            self.checkpoints_kept
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_than_is_free_is_refused_with_the_way_out() {
        let gib = 1_usize << 30;
        let refused = require(3 * gib, 4000, Some(2 << 30)).expect_err("2 GiB do not hold 3");
        assert!(refused.is_input());
        let text = refused.to_string();
        for part in [
            "3.0 GiB",
            "4000 pictures",
            "2.0 GiB are free",
            "train.batch",
        ] {
            assert!(text.contains(part), "`{part}` in {text}");
        }
        assert!(!text.contains("  "), "{text}");
        require(2 * gib, 4000, Some(2 << 30)).expect("it fits");
        require(3 * gib, 4000, None).expect("nobody says what is free");
    }

    #[test]
    fn steps_that_fit_take_no_longer_and_one_more_does() {
        let config = Config::default();
        let pace = Pace {
            secs_a_step: 0.25,
            secs_a_checkpoint: 4.0,
        };
        for secs in [60.0, 3600.0, 7200.0] {
            let steps = pace.steps_in(&config, secs);
            assert!(pace.secs(&config, steps) <= secs);
            assert!(pace.secs(&config, steps + 1) > secs);
        }
        assert_eq!(pace.steps_in(&config, 1.0), 1, "never none");
    }
}
