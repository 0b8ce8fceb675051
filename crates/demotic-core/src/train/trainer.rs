//! The adversarial training: one object that owns both networks and goes forward a step at a time.

use std::sync::Arc;
use std::time::Instant;

use crate::number::{Real, Whole};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use demotic_crf::diagnostics;

use super::best::Best;
use super::figures::{Figure, Measured};
use super::fills::Fills;
use super::inputs::{Feed, Inputs};
use super::optimiser::{Adam, Gradients, average_decay, scheduled_rate};
use super::parallel::{Replica, Team};
use super::phases::{Clock, Phase};
use super::pool::Pool;
use super::tick::Tick;
use super::window::Window;
use crate::allocation::{peak_memory_bytes, resident_memory_bytes};
use crate::arrays::{Arrays, values_of};
use crate::data::Dataset;
use crate::error::Error;
use crate::model::{Discriminator, Generator, Init};
use crate::ops::on_cores;
use crate::rng::{Rng, Stream};
use crate::settings::{BestMetric, Config, PairedStyles};

/// Both networks, their optimisers and the place in the run.
pub struct Trainer<'a> {
    pub(super) config: Arc<Config>,
    pub(super) dataset: &'a Dataset,
    /// Without autodiff. Each takes a share of every step; networks and optimisers are on the first.
    pub(super) devices: Arc<[Device]>,
    feed: Arc<Feed<'a>>,
    /// Inputs prepared ahead, for the step that they belong to.
    ready: Option<(u64, Vec<Inputs>)>,
    pub(super) generator: Generator,
    pub(super) discriminator: Discriminator,
    /// Both networks on the other devices, as they stand; none where they have to be sent anew.
    pub(super) replicas: Vec<Replica>,
    pub(super) average: Generator,
    pub(super) adam_generator: Adam,
    pub(super) adam_discriminator: Adam,
    pub(super) step: u64,
    pub(super) window: Window,
    clock: Clock,
    pub(super) pool: Pool,
    /// How often the run went back to a checkpoint.
    pub(super) rollbacks: u32,
    pub(super) best: Option<Best>,
}

/// Least share of training pictures that have a counterpart, one in so many, where no others are trained on.
const LEAST_PAIRED: usize = 10;

/// Refuses to train on pairs that are not there.
fn require_pairs(config: &Config, dataset: &Dataset) -> Result<(), Error> {
    let share = config.train.pairs.share();
    let [paired, all] = dataset.paired_pictures(config.train.paired_styles);
    let problem = if share <= 0.0 {
        return Ok(());
    } else if paired == 0 && config.train.paired_styles == PairedStyles::Aligned {
        "train.paired_styles: `aligned` shows pairs of styles that are drawn over the same outlines, and `demotic data inspect` \
         names none; use `any`, or train.pairs = `none`"
            .to_owned()
    } else if paired == 0 {
        "train.pairs: this needs pictures of the same name in two styles; this data set has none: use `none`".to_owned()
    } else if share >= 1.0 && paired * LEAST_PAIRED < all {
        format!(
            "train.pairs: `all` trains on pictures with a counterpart of the same name alone, and those are {paired} of {all} \
             training pictures; use `none`, or a share such as 0.5, which samples the others, too"
        )
    } else {
        return Ok(());
    };
    let mut problems = vec![problem];
    problems.extend_from_slice(dataset.near_misses());
    Err(Error::Config(problems))
}

impl<'a> Trainer<'a> {
    /// Fresh networks for a configuration and a data set.
    ///
    /// # Errors
    /// What the samplers and the CRF refuse, in the configuration's words.
    pub fn new(config: Config, dataset: &'a Dataset, device: &Device) -> Result<Self, Error> {
        Self::on_devices(config, dataset, device, &[])
    }

    /// Fresh networks on a first device, and others that take an equal share of every step each: a replica of
    /// both networks a step, gradients summed on the first. Equal, up to the order of sums, to one device
    /// that works the batch in as many parts (`train.accumulate`).
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
                "train.batch: {} pictures per step do not divide into {parts} equal parts ({} devices, train.accumulate = {}); expected \
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
            super::kernels::prefer(&config, device);
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
        require_pairs(&config, dataset)?;
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
            replicas: Vec::new(),
            step: 0,
            window: Window::default(),
            clock: Clock::new(&device),
            pool: Pool::new(config.train.image_pool),
            rollbacks: 0,
            best: None,
            config: Arc::new(config),
            dataset,
            devices: std::iter::once(device).chain(others).collect(),
        })
    }

    /// Steps from one measured step to the next, from now on.
    pub(crate) fn set_tick_steps(&mut self, steps: u64) {
        Arc::make_mut(&mut self.config).train.tick_steps = steps;
    }

    /// Generator steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The configuration of the run.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The pictures it is trained on, held-out ones among them.
    pub fn dataset(&self) -> &'a Dataset {
        self.dataset
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
    pub fn inference_discriminator(&self) -> Discriminator {
        self.discriminator.valid()
    }

    /// The device without autodiff.
    pub fn device(&self) -> &Device {
        &self.devices[0]
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
    pub(crate) fn augment_prob(&self) -> f32 {
        self.feed.augment_prob()
    }

    /// The styles that fill the square least and most, where that makes a margin a sign of a style.
    pub(crate) fn fills(&self) -> Option<&Fills> {
        self.feed.fills()
    }

    /// Weight of the canvas's change, `auto` resolved.
    pub(crate) fn canvas_weight(&self) -> f32 {
        self.feed.canvas_weight()
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

    /// Takes a figure of the current step; true where it is the best so far. The checkpoint saved next is
    /// then the best.
    pub(crate) fn consider_best(&mut self, metric: BestMetric, value: f32) -> bool {
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

    /// Rate of both optimisers at the current step over the configured one: warm-up, constant, fall to 1 %,
    /// and what roll-backs took off.
    fn rate_factor(&self) -> f64 {
        scheduled_rate(&self.config.train, self.step) * self.rate_scale()
    }

    /// One step of the discriminator and one of the generator.
    ///
    /// # Errors
    /// [`Error::Diverged`] where a loss or a gradient of the step before was not finite: figures are looked
    /// at one step late, at the latest before a tick or a checkpoint. The networks are of no use then,
    /// until they go back to a checkpoint.
    pub fn advance(&mut self) -> Result<(), Error> {
        let step = self.step;
        let t = &self.config.train;
        let started = Instant::now();
        self.window.start(started);
        let is_last = step + 1 == t.steps;
        self.clock
            .start((step + 1).is_multiple_of(t.tick_steps) || is_last);
        let parts = t.accumulate * self.devices.len();
        // Prepared during the step before; inputs depend on (configuration, step) alone, so a run that was
        // resumed or went back prepares the same ones here.
        let inputs = match self.ready.take() {
            Some((ready_for, inputs)) if ready_for == step => inputs,
            _ => self.feed.inputs(step, parts),
        };
        self.window.data_secs += started.elapsed().as_secs_f64();
        self.clock.mark(Phase::Inputs);
        let feed = Arc::clone(&self.feed);
        std::thread::scope(|scope| {
            let next = (!is_last).then(|| scope.spawn(move || feed.inputs(step + 1, parts)));
            let devices = Arc::clone(&self.devices);
            let result = on_cores(&devices, || self.step_on(&inputs));
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

    /// The step itself, on the inputs of every part: generate fakes; the discriminator's loss on them, and
    /// its update; the generator's loss against the updated discriminator, and its update; the average.
    fn step_on(&mut self, inputs: &[Inputs]) -> Result<(), Error> {
        let (config, devices, step) = (
            Arc::clone(&self.config),
            Arc::clone(&self.devices),
            self.step,
        );
        if config.discriminator.spectral_norm {
            self.discriminator = self.discriminator.clone().power_iteration();
            for replica in &mut self.replicas {
                replica.follow_discriminator(&self.discriminator);
            }
        }
        let mut team = Team::new(
            &config,
            &devices,
            inputs,
            &self.generator,
            &self.discriminator,
            std::mem::take(&mut self.replicas),
        );

        // Fakes; the discriminator's loss on real, fake and mixed pictures, earlier fakes of the pool among
        // them.
        let pool = &mut self.pool;
        let shown = |part: usize, fakes: Tensor<4>, styles: &[u32]| {
            let rng = Rng::new(config.seed, Stream::POOL.lane(part.to_u16()), step);
            pool.exchange(rng, fakes, styles)
        };
        let discriminator = team.discriminator_gradients(
            &self.generator,
            &self.discriminator,
            shown,
            &mut self.clock,
        );

        // Update the discriminator.
        let d_norm = self.update_discriminator(discriminator.gradients);
        self.clock.mark(Phase::DiscriminatorStep);

        // The generator's loss on what was generated, against the discriminator as it is now.
        let (generator, replicas) =
            team.generator_gradients(&self.generator, &self.discriminator, &mut self.clock);
        self.replicas = replicas;

        // Update the generator, send it on, and update its average.
        let g_norm = self.update_generator(generator.gradients);
        for replica in &mut self.replicas {
            replica.follow_generator(&self.generator);
        }
        let decay = average_decay(config.train.ema_half_life_steps, step);
        self.average = self
            .adam_generator
            .average(self.average.clone(), &self.generator, decay);
        self.clock.mark(Phase::GeneratorStep);

        let norms = Measured::new(vec![(Figure::DNorm, d_norm), (Figure::GNorm, g_norm)]);
        let measured = Measured::joined([discriminator.measured, generator.measured, norms]);
        self.window.follow(measured.read(), step)?;
        self.step += 1;
        Ok(())
    }

    /// Clips and applies the discriminator's gradients; their norm before clipping, `[1]`.
    fn update_discriminator(&mut self, gradients: Gradients) -> Tensor<1> {
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

    /// Clips and applies the generator's gradients; their norm before clipping, `[1]`.
    fn update_generator(&mut self, gradients: Gradients) -> Tensor<1> {
        let rate = self.config.train.generator_rate * self.rate_factor();
        let (generator, norm) = self
            .adam_generator
            .step(self.generator.clone(), gradients, |_| rate);
        self.generator = generator;
        norm
    }

    /// Means since the last tick; waits for the device.
    ///
    /// # Errors
    /// [`Error::Diverged`] where a figure is not finite.
    pub fn tick(&mut self) -> Result<Option<Tick>, Error> {
        self.window.settle(self.step)?;
        let window = std::mem::take(&mut self.window);
        if window.sums.steps() == 0 {
            return Ok(None);
        }
        let labels = self.dataset.styles().len() + 1;
        let (row, column) = self.discriminator.crf().transitions();
        let transitions = [values_of(row.inner()), values_of(column.inner())];
        let mean = |f: fn(&[f32], usize) -> f32| {
            transitions.iter().map(|a| f(a, labels)).sum::<f32>() / 2.0
        };
        let secs = window.since.elapsed().as_secs_f64();
        // A tick right after a resumed checkpoint has figures, but no step to time.
        let images = (window.timed_steps.max(1) * self.config.train.batch as u64).to_f64();
        Ok(Some(Tick {
            step: self.step,
            kimg: (self.step * self.config.train.batch as u64).to_f64() / 1000.0,
            figures: window.sums.means(),
            crf_stay_log_odds: mean(diagnostics::stay_log_odds),
            crf_coupling_length: mean(diagnostics::coupling_length),
            secs_per_kimg: secs / images * 1000.0,
            data_wait_share: window.data_secs / secs.max(1e-9),
            phases: self.clock.take(),
            memory_bytes: resident_memory_bytes(),
            peak_memory_bytes: peak_memory_bytes(),
            device_memory_bytes: self
                .device()
                .memory_pool_usage()
                .map(|usage| usage.bytes_reserved),
            secs_left: secs / images
                * (self.config.train.steps.saturating_sub(self.step)
                    * self.config.train.batch as u64)
                    .to_f64(),
        }))
    }
}
