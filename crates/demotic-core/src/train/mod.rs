//! The adversarial loop: one object that owns both networks and goes forward a step at a time.

mod checkpoint;
pub(crate) mod composite;
mod diff_augment;
pub mod health;
mod inputs;
mod optimiser;
mod parallel;
mod phases;
mod pool;
mod record;
mod step;
mod validation;
mod weights;

use std::sync::Arc;
use std::time::Instant;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use demotic_crf::diagnostics;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::data::Dataset;
use crate::error::Error;
use crate::model::{Discriminator, Generator, Init};
use crate::rng::{Rng, Stream};
pub(crate) use composite::{Composites, Layout, plan};
use inputs::{Feed, Inputs};
pub(crate) use optimiser::Adam;
use optimiser::{average_decay, moving_average, scheduled_rate};
use parallel::{Replica, gathered, on_all};
use phases::{Clock, Phase};
use pool::Pool;
pub(crate) use step::style_planes;
pub(crate) use weights::values_of;

pub use checkpoint::{Checkpoint, CheckpointInfo, best_step, checkpoint_at, latest_checkpoint};
pub use phases::Phases;
pub use record::{Event, Record};
pub use validation::{Best, BestMetric, Validator};
pub use weights::{Array, Arrays, weights_of, with_weights};

/// Names of the figures of one tick, in the order they are kept on the device.
const FIGURES: [&str; 17] = [
    "d_real",
    "d_fake",
    "d_composite",
    "d_real_prob",
    "d_fake_prob",
    "d_r1",
    "g_reconstruction",
    "g_kl",
    "g_cycle",
    "g_adversarial",
    "g_paired",
    "g_style",
    "g_diversity",
    "g_prior",
    "g_latent",
    "d_norm",
    "g_norm",
];

/// Means over one tick, and where the time went: a line on the screen and a line of `stats.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tick {
    /// Generator steps done.
    pub step: u64,
    /// Thousands of source pictures shown.
    pub kimg: f64,
    /// Discriminator's loss on real pictures, nats a patch.
    pub d_real: f32,
    /// On made pictures, nats a patch.
    pub d_fake: f32,
    /// On mixed pictures, nats a patch.
    pub d_composite: f32,
    /// D(real): probability that a patch of a real picture is real, by the patch's own scores; mean over patches.
    pub d_real_prob: f32,
    /// D(fake): the same of made pictures.
    pub d_fake_prob: f32,
    /// Mean squared norm of the discriminator's gradient at real pictures, over the steps that measured it; none where no
    /// step did.
    pub d_r1: Option<f32>,
    /// Mean absolute error of a picture drawn again, in units of the [-1, 1] range.
    pub g_reconstruction: f32,
    /// Divergence of the posterior, nats a picture value.
    pub g_kl: f32,
    /// Mean absolute error there and back.
    pub g_cycle: f32,
    /// Generator's loss against the discriminator, nats a patch.
    pub g_adversarial: f32,
    /// Mean absolute error against true translations, where there is none counted as 0.
    pub g_paired: f32,
    /// Mean absolute error of the style code read from a translation; 0 where codes are the table's.
    pub g_style: f32,
    /// Mean absolute difference between translations by two codes of one style; 0 where codes are the table's.
    pub g_diversity: f32,
    /// Generator's loss against the discriminator of pictures drawn from the prior, nats a patch; 0 without `loss.prior`.
    pub g_prior: f32,
    /// Mean absolute error of the latent read from a picture of the prior, against the one it was drawn from; 0 without
    /// `loss.prior`.
    pub g_latent: f32,
    /// Norm of the discriminator's gradients before clipping.
    pub d_norm: f32,
    /// Norm of the generator's gradients before clipping.
    pub g_norm: f32,
    /// Log-odds that a neighbour keeps its label rather than changes it, mean of rows and columns.
    pub crf_stay_log_odds: f32,
    /// Patches over which a label's influence falls to 1/e, mean of rows and columns.
    pub crf_coupling_length: f32,
    /// Wall-clock seconds for a thousand source pictures.
    pub secs_per_kimg: f64,
    /// Share of the time spent waiting for pictures and noise: they are made during the step before, on another thread.
    pub data_wait_share: f64,
    /// Where the time of a step went, by the last step before the tick; absent where that was not measured.
    pub phases: Option<Phases>,
    /// Resident memory of the process now.
    pub memory_bytes: u64,
    /// Highest resident memory of the process so far: most often that of the first validation.
    pub peak_memory_bytes: u64,
    /// What the first device's allocator has taken of its memory; none where it does not say, as on the processor.
    pub device_memory_bytes: Option<u64>,
    /// Seconds to the run's end at the pace of this tick.
    pub secs_left: f64,
}

/// Both networks, their optimisers and the place in the run.
pub struct Trainer<'a> {
    config: Config,
    dataset: &'a Dataset,
    device: Device,
    /// Devices that take a share of every step, beside the first.
    others: Vec<Device>,
    feed: Arc<Feed<'a>>,
    /// Inputs of the step that they were made for, ahead of it.
    ready: Option<(u64, Vec<Inputs>)>,
    generator: Generator,
    discriminator: Discriminator,
    average: Generator,
    adam_generator: Adam,
    adam_discriminator: Adam,
    step: u64,
    window: Window,
    clock: Clock,
    pool: Pool,
    /// How often the run went back to a checkpoint.
    rollbacks: u32,
    best: Option<Best>,
}

/// What has gathered since the last tick.
///
/// Figures are read from the device one step late: the read is asked for when a step has been handed over and looked at
/// when the next one has, so that neither side waits for the other.
struct Window {
    pending: Option<TensorData>,
    sums: Vec<f32>,
    steps: u64,
    /// Steps of this process: those before a resumed checkpoint have no time here.
    timed_steps: u64,
    since: Instant,
    data_secs: f64,
}

impl Window {
    fn new() -> Self {
        Self {
            pending: None,
            sums: Vec::new(),
            steps: 0,
            timed_steps: 0,
            since: Instant::now(),
            data_secs: 0.0,
        }
    }

    /// Waits for the figures that are on their way and adds them up. `step` is the number of steps handed over.
    fn settle(&mut self, step: u64) -> Result<(), Error> {
        let Some(data) = self.pending.take() else {
            return Ok(());
        };
        let figures: Vec<f32> = data.try_into_vec().expect("losses and norms are f32");
        let bad: Vec<String> = FIGURES
            .iter()
            .zip(&figures)
            .filter(|(_, v)| !v.is_finite())
            .map(|(name, v)| format!("{name} is {v}"))
            .collect();
        if !bad.is_empty() {
            return Err(Error::Diverged {
                step,
                what: bad.join(", "),
            });
        }
        if self.sums.is_empty() {
            self.sums = figures;
        } else {
            for (sum, figure) in self.sums.iter_mut().zip(figures) {
                *sum += figure;
            }
        }
        self.steps += 1;
        Ok(())
    }
}

impl<'a> Trainer<'a> {
    /// Fresh networks for a configuration and a data set.
    ///
    /// # Errors
    /// What the samplers and the CRF refuse, in the configuration's words.
    pub fn new(config: Config, dataset: &'a Dataset, device: &Device) -> Result<Self, Error> {
        Self::on_devices(config, dataset, device, &[])
    }

    /// Fresh networks on a first device, and others that take an equal share of every step each: a replica of both networks
    /// a step, gradients summed on the first. Equal, up to the order of sums, to one device that works the batch in as many
    /// parts (`train.accumulate`).
    ///
    /// # Errors
    /// As [`Self::new`]; a batch that does not divide over the devices.
    pub fn on_devices(
        config: Config,
        dataset: &'a Dataset,
        device: &Device,
        others: &[Device],
    ) -> Result<Self, Error> {
        let others: Vec<Device> = others.iter().map(|d| d.clone().inner()).collect();
        let t = &config.train;
        let parts = t.accumulate * (1 + others.len());
        if !t.batch.is_multiple_of(parts) {
            return Err(Error::Config(vec![format!(
                "train.batch: {} pictures a step do not divide into {parts} equal parts ({} devices, train.accumulate = {}); expected \
                 a multiple of {parts}",
                t.batch,
                1 + others.len(),
                t.accumulate,
            )]));
        }
        if t.image_pool > 0 && !others.is_empty() {
            return Err(Error::Config(vec![format!(
                "train.image_pool: expected 0 with {} devices, got {}: the pool is one, in one order; train on one device or \
                 without it",
                1 + others.len(),
                t.image_pool
            )]));
        }
        for device in std::iter::once(device).chain(&others) {
            crate::device::seed_backend(device);
        }
        let device = device.clone().inner();
        let autodiff_device = device.clone().autodiff();
        let domain = config.domain(dataset.styles().len());
        let generator = config
            .generator
            .init(domain, &mut Init::new(config.seed, 0, &autodiff_device));
        let discriminator = config
            .discriminator
            .init(domain, &mut Init::new(config.seed, 1, &autodiff_device))
            .map_err(|e| Error::Config(vec![format!("discriminator: {e}")]))?;
        if config.data.channels != dataset.channels() {
            return Err(Error::Config(vec![format!(
                "data.channels: the pictures were loaded as {:?}, the networks are to see {:?}",
                dataset.channels(),
                config.data.channels
            )]));
        }
        if config.train.pairs.share() > 0.0 && !dataset.pairs_known() {
            return Err(Error::Config(vec![
                "train.pairs: this needs pictures of the same name in two styles; this data set has none: use `none`".into(),
            ]));
        }
        let t = &config.train;
        let adam = || Adam::new(t.beta_1, t.beta_2, t.gradient_norm_max);
        Ok(Self {
            feed: Arc::new(Feed::new(&config, dataset)?),
            ready: None,
            average: generator.valid(),
            adam_generator: adam(),
            adam_discriminator: adam(),
            generator,
            discriminator,
            step: 0,
            window: Window::new(),
            clock: Clock::new(&device),
            pool: Pool::new(config.train.image_pool),
            rollbacks: 0,
            best: None,
            config,
            dataset,
            device,
            others,
        })
    }

    /// Steps from one measured step to the next, from now on.
    pub(crate) fn set_tick_steps(&mut self, steps: u64) {
        self.config.train.tick_steps = steps;
    }

    /// Generator steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The configuration of the run.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The moving average of the generator, without autodiff: what samples, evaluation and checkpoints show.
    pub fn average(&self) -> &Generator {
        &self.average
    }

    /// The generator as it stands.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    /// The discriminator as it stands.
    pub fn discriminator(&self) -> &Discriminator {
        &self.discriminator
    }

    /// The discriminator as it stands, without autodiff.
    pub fn judge(&self) -> Discriminator {
        self.discriminator.valid()
    }

    /// The device without autodiff.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Trainable values of generator and discriminator.
    pub fn parameter_counts(&self) -> (usize, usize) {
        (self.generator.num_params(), self.discriminator.num_params())
    }

    /// What the next step takes from the host, undivided, by name: to repeat the step in another program.
    pub fn next_inputs(&self) -> Arrays {
        let whole = self.feed.inputs(self.step, 1);
        let inputs = whole.first().expect("one part was asked for");
        inputs.arrays(&self.config)
    }

    /// Probability of each change that pictures undergo in front of the discriminator.
    pub fn augment_prob(&self) -> f32 {
        self.feed.augment_prob()
    }

    /// How often the run went back to a checkpoint because something was not finite.
    pub fn rollbacks(&self) -> u32 {
        self.rollbacks
    }

    /// Both rates over the configured ones, for the times the run went back.
    pub fn rate_scale(&self) -> f64 {
        let times = i32::try_from(self.rollbacks).unwrap_or(i32::MAX);
        self.config.train.rollback_rate.powi(times)
    }

    /// The best checkpoint so far, by a figure on validation pictures.
    pub fn best(&self) -> Option<&Best> {
        self.best.as_ref()
    }

    /// Takes a figure of the current step; true where it is the best so far. The checkpoint saved next is then the best.
    pub fn consider_best(&mut self, metric: BestMetric, value: f32) -> bool {
        let is_best = value.is_finite()
            && self.best.as_ref().is_none_or(|best| {
                best.metric != metric.name() || metric.improves(value, best.value)
            });
        if is_best {
            self.best = Some(Best {
                step: self.step,
                metric: metric.name().to_owned(),
                value,
            });
        }
        is_best
    }

    /// Rate of both optimisers at the current step over the configured one: warm-up, constant, fall to 1 %, and
    /// what roll-backs took off.
    fn rate_factor(&self) -> f64 {
        scheduled_rate(&self.config.train, self.step) * self.rate_scale()
    }

    /// One step of the discriminator and one of the generator.
    ///
    /// # Errors
    /// [`Error::Diverged`] where a loss or a gradient of the step before was not finite: figures are looked at one step
    /// late, at the latest before a tick or a checkpoint. The networks are of no use then; [`Self::roll_back`] helps.
    pub fn advance(&mut self) -> Result<(), Error> {
        let step = self.step;
        let t = &self.config.train;
        let started = Instant::now();
        if self.window.timed_steps == 0 {
            // What was done between two ticks besides training (samples, checkpoints) is not training time.
            self.window.since = started;
        }
        let is_last_of_tick = (step + 1).is_multiple_of(t.tick_steps) || step + 1 == t.steps;
        self.clock.start(is_last_of_tick);
        let is_last = step + 1 == t.steps;
        let parts = t.accumulate * (1 + self.others.len());
        // Made during the step before; inputs depend on (configuration, step) alone, so a run that was resumed or went back
        // makes the same ones here.
        let inputs = match self.ready.take() {
            Some((made_for, inputs)) if made_for == step => inputs,
            _ => self.feed.inputs(step, parts),
        };
        self.window.data_secs += started.elapsed().as_secs_f64();
        self.clock.mark(Phase::Inputs);
        let feed = Arc::clone(&self.feed);
        std::thread::scope(|scope| {
            let next = (!is_last).then(|| scope.spawn(move || feed.inputs(step + 1, parts)));
            let result = self.step_on(&inputs);
            let waiting = Instant::now();
            self.ready = next.map(|next| match next.join() {
                Ok(inputs) => (step + 1, inputs),
                Err(panic) => std::panic::resume_unwind(panic),
            });
            self.window.data_secs += waiting.elapsed().as_secs_f64();
            self.clock.mark(Phase::Inputs);
            result
        })
    }

    /// The step itself, on the inputs of every part.
    fn step_on(&mut self, inputs: &[Inputs]) -> Result<(), Error> {
        let step = self.step;
        if self.config.discriminator.spectral_norm {
            self.discriminator = self.discriminator.clone().power_iteration();
        }
        let replicas: Vec<Replica> = self
            .others
            .iter()
            .map(|device| Replica::new(&self.generator, &self.discriminator, device))
            .collect();
        let shares = parallel::shares(&self.config, &self.device, &self.others, inputs);
        let (own, others) = shares.split_first().expect("a step has a share");
        let seed = self.config.seed;
        let pool = &mut self.pool;
        let ((computed, drawn), others) = on_all(
            || {
                own.discriminator_gradients(
                    &self.generator,
                    &self.discriminator,
                    |number, fake, styles| {
                        let rng = Rng::new(seed, Stream::POOL.lane(number as u16), step);
                        pool.exchange(rng, fake, styles)
                    },
                    &mut self.clock,
                )
            },
            others
                .iter()
                .zip(replicas)
                .map(|(share, replica)| move || replica.discriminator_gradients(share))
                .collect(),
        );
        let (others, mut replicas): (Vec<_>, Vec<_>) = others.into_iter().unzip();
        let discriminator = gathered(computed, others, &self.discriminator, &self.device);
        let d_norm = self.update_discriminator(discriminator.gradients);
        self.clock.mark(Phase::DiscriminatorStep);

        for replica in &mut replicas {
            replica.follow(&self.discriminator);
        }
        let shares = parallel::shares(&self.config, &self.device, &self.others, inputs);
        let (own, others) = shares.split_first().expect("a step has a share");
        let (computed, others) = on_all(
            || {
                own.generator_gradients(
                    &self.generator,
                    &self.discriminator,
                    drawn,
                    &mut self.clock,
                )
            },
            others
                .iter()
                .zip(replicas)
                .map(|(share, replica)| move || replica.generator_gradients(share))
                .collect(),
        );
        let generator = gathered(computed, others, &self.generator, &self.device);
        let g_norm = self.update_generator(generator.gradients);
        self.clock.mark(Phase::GeneratorStep);

        let figures = Tensor::cat(
            vec![discriminator.figures, generator.figures, d_norm, g_norm],
            0,
        );
        // Asked for here, looked at a step later.
        let figures = figures.into_data();
        self.window.settle(step)?;
        self.window.pending = Some(figures);
        self.window.timed_steps += 1;
        self.step += 1;
        Ok(())
    }

    /// Clips and applies the discriminator's gradients; their norm before clipping, `[1]`.
    fn update_discriminator(&mut self, gradients: GradientsParams) -> Tensor<1> {
        let rate = self.config.train.discriminator_rate * self.rate_factor();
        let factor = self.config.train.transition_rate_factor;
        let rate_of = |name: &str| {
            if name.starts_with("crf.") {
                rate * factor
            } else {
                rate
            }
        };
        let (discriminator, norm) =
            self.adam_discriminator
                .step(self.discriminator.clone(), gradients, rate_of);
        self.discriminator = discriminator;
        norm
    }

    /// Clips and applies the generator's gradients and moves its average; their norm before clipping, `[1]`.
    fn update_generator(&mut self, gradients: GradientsParams) -> Tensor<1> {
        let rate = self.config.train.generator_rate * self.rate_factor();
        let (generator, norm) = self
            .adam_generator
            .step(self.generator.clone(), gradients, |_| rate);
        self.generator = generator;
        let decay = average_decay(self.config.train.ema_half_life_steps, self.step);
        self.average = moving_average(self.average.clone(), &self.generator, decay);
        norm
    }

    /// Means since the last tick; waits for the device.
    ///
    /// # Errors
    /// [`Error::Diverged`] where a figure is not finite.
    pub fn tick(&mut self) -> Result<Option<Tick>, Error> {
        self.window.settle(self.step)?;
        let window = std::mem::replace(&mut self.window, Window::new());
        if window.steps == 0 {
            return Ok(None);
        }
        let values: Vec<f32> = window
            .sums
            .iter()
            .map(|v| v / window.steps as f32)
            .collect();
        // The window is the last steps: those of them that the penalty was due in.
        let due = |end: u64| end.div_ceil(self.config.loss.r1_interval_steps);
        let penalties = if self.config.loss.r1 > 0.0 {
            due(self.step) - due(self.step - window.steps)
        } else {
            0
        };
        let labels = self.dataset.styles().len() + 1;
        let (row, column) = self.discriminator.crf().transitions();
        let transitions = [values_of(row.inner()), values_of(column.inner())];
        let mean = |f: fn(&[f32], usize) -> f32| {
            transitions.iter().map(|a| f(a, labels)).sum::<f32>() / 2.0
        };
        let secs = window.since.elapsed().as_secs_f64();
        // A tick right after a resumed checkpoint has figures, but no step to time.
        let images = (window.timed_steps.max(1) * self.config.train.batch as u64) as f64;
        Ok(Some(Tick {
            step: self.step,
            kimg: (self.step * self.config.train.batch as u64) as f64 / 1000.0,
            d_real: values[0],
            d_fake: values[1],
            d_composite: values[2],
            d_real_prob: values[3],
            d_fake_prob: values[4],
            d_r1: (penalties > 0).then(|| window.sums[5] / penalties as f32),
            g_reconstruction: values[6],
            g_kl: values[7],
            g_cycle: values[8],
            g_adversarial: values[9],
            g_paired: values[10],
            g_style: values[11],
            g_diversity: values[12],
            g_prior: values[13],
            g_latent: values[14],
            d_norm: values[15],
            g_norm: values[16],
            crf_stay_log_odds: mean(diagnostics::stay_log_odds),
            crf_coupling_length: mean(diagnostics::coupling_length),
            secs_per_kimg: secs / images * 1000.0,
            data_wait_share: window.data_secs / secs.max(1e-9),
            phases: self.clock.take(),
            memory_bytes: resident_memory_bytes(),
            peak_memory_bytes: peak_memory_bytes(),
            device_memory_bytes: self
                .device
                .memory_pool_usage()
                .map(|usage| usage.bytes_reserved),
            secs_left: secs / images
                * (self.config.train.steps.saturating_sub(self.step)
                    * self.config.train.batch as u64) as f64,
        }))
    }
}

/// Highest resident memory of this process in bytes; 0 where the system does not say.
pub fn peak_memory_bytes() -> u64 {
    memory_bytes("VmHWM:")
}

/// Resident memory of this process in bytes; 0 where the system does not say.
pub fn resident_memory_bytes() -> u64 {
    memory_bytes("VmRSS:")
}

fn memory_bytes(entry: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(entry));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
