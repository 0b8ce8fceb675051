//! The adversarial loop: one object that owns both networks and goes forward a step at a time.

mod checkpoint;
mod composite;
mod optimiser;
mod weights;

use std::time::Instant;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use demotic_crf::diagnostics;
use serde::{Deserialize, Serialize};

use crate::config::{Config, Pairs};
use crate::data::{Batch, Dataset, Sampler, SamplerOptions};
use crate::error::Error;
use crate::loss;
use crate::model::{Discriminator, DiscriminatorConfig, Generator, Init};
use crate::rng::{Rng, Stream};
use composite::Layout;
use optimiser::{Adam, moving_average};
pub(crate) use weights::values_of;

pub use checkpoint::{Checkpoint, CheckpointInfo, latest_checkpoint};
pub use weights::{Array, Arrays, weights_of, with_weights};

/// Names of the figures of one tick, in the order they are kept on the device.
const FIGURES: [&str; 10] = [
    "d_real",
    "d_fake",
    "d_composite",
    "g_reconstruction",
    "g_kl",
    "g_cycle",
    "g_adversarial",
    "g_paired",
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
    /// Mean absolute error of a picture drawn again, in units of the [-1, 1] range.
    pub g_reconstruction: f32,
    /// Divergence of the posterior, nats a picture value.
    pub g_kl: f32,
    /// Mean absolute error there and back.
    pub g_cycle: f32,
    /// Generator's loss against the discriminator, nats a patch.
    pub g_adversarial: f32,
    /// Mean absolute error against true translations; 0 where pairs are not used.
    pub g_paired: f32,
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
    /// Share of the time spent waiting for pictures.
    pub data_wait_share: f64,
    /// Highest resident memory of the process so far.
    pub peak_memory_bytes: u64,
}

/// Both networks, their optimisers and the place in the run.
pub struct Trainer<'a> {
    config: Config,
    dataset: &'a Dataset,
    autodiff_device: Device,
    device: Device,
    sources: Sampler<'a>,
    reals: Sampler<'a>,
    generator: Generator,
    discriminator: Discriminator,
    average: Generator,
    adam_generator: Adam,
    adam_discriminator: Adam,
    step: u64,
    window: Window,
}

/// What has gathered since the last tick.
struct Window {
    sums: Option<Tensor<1>>,
    steps: u64,
    /// Steps of this process: those before a resumed checkpoint have no time here.
    timed_steps: u64,
    since: Instant,
    data_secs: f64,
}

impl Window {
    fn new() -> Self {
        Self {
            sums: None,
            steps: 0,
            timed_steps: 0,
            since: Instant::now(),
            data_secs: 0.0,
        }
    }
}

impl<'a> Trainer<'a> {
    /// Fresh networks for a configuration and a data set.
    ///
    /// # Errors
    /// What the samplers and the CRF refuse, in the configuration's words.
    pub fn new(config: Config, dataset: &'a Dataset, device: &Device) -> Result<Self, Error> {
        crate::device::seed_backend(device);
        let device = device.clone().inner();
        let autodiff_device = device.clone().autodiff();
        let styles = dataset.styles().len();
        let sampler = |draw| {
            let options = SamplerOptions {
                seed: config.seed,
                batch_size: config.train.batch,
                draw,
                augmentation: config.augment.clone(),
            };
            Sampler::new(dataset.training(), options)
        };
        let generator = config
            .generator
            .init(styles, &mut Init::new(config.seed, 0, &autodiff_device));
        let discriminator = config
            .discriminator
            .init(styles, &mut Init::new(config.seed, 1, &autodiff_device))
            .map_err(|e| Error::Config(vec![format!("discriminator: {e}")]))?;
        if config.train.pairs == Pairs::All && !dataset.pairs_known() {
            return Err(Error::Config(vec![
                "train.pairs: `all` needs pictures of the same name in two styles; this data set has none: use `none`".into(),
            ]));
        }
        let t = &config.train;
        let adam = || Adam::new(t.beta_1, t.beta_2, t.gradient_norm_max);
        Ok(Self {
            sources: sampler(0)?,
            reals: sampler(1)?,
            average: generator.valid(),
            adam_generator: adam(),
            adam_discriminator: adam(),
            generator,
            discriminator,
            step: 0,
            window: Window::new(),
            config,
            dataset,
            autodiff_device,
            device,
        })
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

    /// The discriminator as it stands.
    pub fn discriminator(&self) -> &Discriminator {
        &self.discriminator
    }

    /// The device without autodiff.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Trainable values of generator and discriminator.
    pub fn parameter_counts(&self) -> (usize, usize) {
        (self.generator.num_params(), self.discriminator.num_params())
    }

    /// Rate of both optimisers at the current step over the configured one: warm-up, constant, linear fall to 1 %.
    fn rate_factor(&self) -> f64 {
        let t = &self.config.train;
        let step = self.step as f64;
        let warm = if t.warmup_steps == 0 {
            1.0
        } else {
            ((step + 1.0) / t.warmup_steps as f64).min(1.0)
        };
        let progress = step / t.steps as f64;
        let fall = if progress <= t.decay_from || t.decay_from >= 1.0 {
            1.0
        } else {
            1.0 - 0.99 * ((progress - t.decay_from) / (1.0 - t.decay_from)).min(1.0)
        };
        warm * fall
    }

    /// One step of the discriminator and one of the generator.
    pub fn advance(&mut self) {
        let step = self.step;
        let started = Instant::now();
        if self.window.timed_steps == 0 {
            // What was done between two ticks besides training (samples, checkpoints) is not training time.
            self.window.since = started;
        }
        let (sources, truths) = self.next_sources();
        let reals = self.reals.batch(step);
        self.window.data_secs += started.elapsed().as_secs_f64();

        let styles = self.dataset.styles().len() as u32;
        let targets = match &truths {
            Some(truths) => truths.styles.clone(),
            None => target_styles(self.config.seed, step, &sources.styles, styles),
        };
        let n = sources.styles.len();
        let size = self.config.data.size_px as usize;
        let x = self.pictures(&sources.images, n);

        // Draw each picture again in its own style and in the target's, then the translation back.
        let posterior = self.generator.encode(x.clone());
        let latent = posterior.sample(self.noise(step, 0, posterior.mean.dims()));
        let both: Vec<u32> = sources.styles.iter().chain(&targets).copied().collect();
        let drawn = self
            .generator
            .decode(Tensor::cat(vec![latent.clone(), latent], 0), &both);
        let mut halves = drawn.split(n, 0).into_iter();
        let (again, fake) = halves
            .next()
            .zip(halves.next())
            .expect("2n pictures split into two");
        let seen = if self.config.loss.cycle_noise > 0.0 {
            let noise = self.noise(step, 3, fake.dims());
            fake.clone() + noise.mul_scalar(self.config.loss.cycle_noise)
        } else {
            fake.clone()
        };
        let returned = self.generator.encode(seen);
        let latent = returned.sample(self.noise(step, 1, returned.mean.dims()));
        let cycled = self.generator.decode(latent, &sources.styles);

        let real = Tensor::<4>::from_data(
            TensorData::new(reals.images.clone(), [n, 3, size, size]),
            &self.device,
        );
        let discriminator = self.discriminator_step(&reals, real, fake.clone().inner(), &targets);

        let weights = &self.config.loss;
        let reconstruction = loss::absolute_error(again, x.clone());
        let kl = loss::divergence(&posterior, 3 * size * size);
        let cycle = loss::absolute_error(cycled, x);
        let judge = self.discriminator.clone().no_grad();
        let emissions = judge.emissions(fake.clone());
        let adversarial = judge
            .negative_log_likelihood(emissions, self.constant_labels(&targets, 1))
            .mean();
        let paired =
            truths.map(|truths| loss::absolute_error(fake, self.pictures(&truths.images, n)));
        let mut total = reconstruction.clone() * weights.reconstruction
            + kl.clone() * weights.kl
            + cycle.clone() * weights.cycle
            + adversarial.clone() * weights.adversarial;
        if let Some(paired) = &paired {
            total = total + paired.clone() * weights.paired;
        }
        let mut gradients = total.backward();
        let gradients = GradientsParams::from_module(&mut gradients, &self.generator);
        let rate = self.config.train.generator_rate * self.rate_factor();
        let (generator, g_norm) =
            self.adam_generator
                .step(self.generator.clone(), gradients, |_| rate);
        self.generator = generator;
        let half_life = self
            .config
            .train
            .ema_half_life_steps
            .min(0.25 * step as f64);
        let decay = if half_life > 0.0 {
            0.5_f64.powf(1.0 / half_life)
        } else {
            0.0
        };
        self.average = moving_average(self.average.clone(), &self.generator, decay);

        let plain = |t: Tensor<1>| t.inner();
        let paired = paired.map_or_else(|| Tensor::zeros([1], &self.device), plain);
        let [d_real, d_fake, d_composite, d_norm] = discriminator;
        let figures = vec![
            d_real,
            d_fake,
            d_composite,
            plain(reconstruction),
            plain(kl),
            plain(cycle),
            plain(adversarial),
            paired,
            d_norm,
            g_norm,
        ];
        let figures = Tensor::cat(figures, 0);
        self.window.sums = Some(match self.window.sums.take() {
            Some(sums) => sums + figures,
            None => figures,
        });
        self.window.steps += 1;
        self.window.timed_steps += 1;
        self.step += 1;
    }

    /// Source pictures and, with pairs, their true translations.
    fn next_sources(&self) -> (Batch, Option<Batch>) {
        match self.config.train.pairs {
            Pairs::All => {
                let pair = self
                    .sources
                    .paired_batch(self.step)
                    .expect("pairs were checked when the trainer was made");
                (pair.source, Some(pair.target))
            }
            Pairs::None => (self.sources.batch(self.step), None),
        }
    }

    /// Trains the discriminator on real, made and mixed pictures: `[d_real, d_fake, d_composite, norm]`.
    fn discriminator_step(
        &mut self,
        reals: &Batch,
        real: Tensor<4>,
        fake: Tensor<4>,
        fake_styles: &[u32],
    ) -> [Tensor<1>; 4] {
        let [n, _, size, _] = real.dims();
        let layout = Layout {
            grid: size / DiscriminatorConfig::PATCH_STRIDE,
            stride: DiscriminatorConfig::PATCH_STRIDE,
        };
        let l = &self.config.loss;
        let warm = if l.composite_warmup_steps == 0 {
            1.0
        } else {
            (self.step as f32 / l.composite_warmup_steps as f32).min(1.0)
        };
        let plan = composite::plan(
            self.config.seed,
            self.step,
            n,
            l.composite_prob * warm,
            &reals.styles,
            fake_styles,
            layout,
        );
        let pool = Tensor::cat(vec![real.clone(), fake.clone()], 0);
        let pick = |indices: Vec<i32>| {
            pool.clone().select(
                0,
                Tensor::<1, Int>::from_data(TensorData::new(indices, [n]), &self.device),
            )
        };
        let mask =
            Tensor::<4>::from_data(TensorData::new(plan.mask, [n, 1, size, size]), &self.device);
        let outside = pick(plan.outside);
        let mixed = outside.clone() + (pick(plan.inside) - outside) * mask;
        let all = Tensor::cat(vec![real, fake, mixed], 0);

        let patches = layout.grid * layout.grid;
        let mut labels = Vec::with_capacity(3 * n * patches);
        for style in &reals.styles {
            labels.extend(std::iter::repeat_n(1 + *style as i32, patches));
        }
        labels.extend(std::iter::repeat_n(0, n * patches));
        labels.extend(plan.labels);
        let labels = Tensor::<3, Int>::from_data(
            TensorData::new(labels, [3 * n, layout.grid, layout.grid]),
            &self.autodiff_device,
        );

        let all = Tensor::from_inner(all);
        let emissions = self.discriminator.emissions(all.clone());
        let nll = self
            .discriminator
            .negative_log_likelihood(emissions.clone(), labels);
        let parts: Vec<Tensor<1>> = nll
            .clone()
            .split(n, 0)
            .into_iter()
            .map(|part| part.inner().mean())
            .collect();
        let mut total = nll.mean();
        if l.smoothness > 0.0 {
            let noise = self.noise(self.step, 2, all.dims()).mul_scalar(0.05);
            let shaken = self.discriminator.emissions(all + noise);
            total = total
                + (shaken - emissions)
                    .square()
                    .mean()
                    .mul_scalar(l.smoothness);
        }
        let mut gradients = total.backward();
        let gradients = GradientsParams::from_module(&mut gradients, &self.discriminator);
        let rate = self.config.train.discriminator_rate * self.rate_factor();
        let factor = self.config.train.transition_rate_factor;
        let (discriminator, norm) =
            self.adam_discriminator
                .step(self.discriminator.clone(), gradients, |name| {
                    if name.starts_with("crf.") {
                        rate * factor
                    } else {
                        rate
                    }
                });
        self.discriminator = discriminator;
        let mut parts = parts.into_iter();
        std::array::from_fn(|i| {
            if i < 3 {
                parts.next().expect("three parts")
            } else {
                norm.clone()
            }
        })
    }

    /// Pictures on the training device: `[n, 3, H, W]`.
    fn pictures(&self, values: &[f32], n: usize) -> Tensor<4> {
        let size = self.config.data.size_px as usize;
        Tensor::from_data(
            TensorData::new(values.to_vec(), [n, 3, size, size]),
            &self.autodiff_device,
        )
    }

    /// Standard normal noise for (step, lane), made on the host.
    fn noise(&self, step: u64, lane: u16, shape: [usize; 4]) -> Tensor<4> {
        let values = Rng::new(self.config.seed, Stream::LATENT.lane(lane), step)
            .normals(shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), &self.autodiff_device)
    }

    /// Label grids that say `offset + style` everywhere: `[n, h, w]`.
    fn constant_labels(&self, styles: &[u32], offset: i32) -> Tensor<3, Int> {
        let grid = self.config.data.size_px as usize / DiscriminatorConfig::PATCH_STRIDE;
        let labels: Vec<i32> = styles
            .iter()
            .flat_map(|s| std::iter::repeat_n(offset + *s as i32, grid * grid))
            .collect();
        Tensor::from_data(
            TensorData::new(labels, [styles.len(), grid, grid]),
            &self.autodiff_device,
        )
    }

    /// Means since the last tick; reads the device once.
    ///
    /// # Errors
    /// [`Error::Diverged`] where a figure is not finite.
    pub fn tick(&mut self) -> Result<Option<Tick>, Error> {
        let window = std::mem::replace(&mut self.window, Window::new());
        let Some(sums) = window.sums else {
            return Ok(None);
        };
        let values: Vec<f32> = values_of(sums)
            .into_iter()
            .map(|v| v / window.steps as f32)
            .collect();
        let bad: Vec<String> = FIGURES
            .iter()
            .zip(&values)
            .filter(|(_, v)| !v.is_finite())
            .map(|(name, v)| format!("{name} is {v}"))
            .collect();
        if !bad.is_empty() {
            return Err(Error::Diverged {
                step: self.step,
                what: bad.join(", "),
            });
        }
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
            g_reconstruction: values[3],
            g_kl: values[4],
            g_cycle: values[5],
            g_adversarial: values[6],
            g_paired: values[7],
            d_norm: values[8],
            g_norm: values[9],
            crf_stay_log_odds: mean(diagnostics::stay_log_odds),
            crf_coupling_length: mean(diagnostics::coupling_length),
            secs_per_kimg: secs / images * 1000.0,
            data_wait_share: window.data_secs / secs.max(1e-9),
            peak_memory_bytes: peak_memory_bytes(),
        }))
    }
}

/// A style other than the source's for each picture, each with the same chance.
fn target_styles(seed: u64, step: u64, sources: &[u32], styles: u32) -> Vec<u32> {
    let mut rng = Rng::new(seed, Stream::TARGET_STYLE, step);
    sources
        .iter()
        .map(|source| (source + 1 + rng.below(styles - 1)) % styles)
        .collect()
}

/// Highest resident memory of this process in bytes; 0 where the system does not say.
pub fn peak_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
