//! The arithmetic of one step: from host values and two networks to gradients and figures. Nothing here changes a network.
//!
//! A step is made of parts, one after the other (gradient accumulation) or on several devices; the gradients of all parts
//! add up to the batch's.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use crate::config::Config;
use crate::loss::{self, AdversarialKind};
use crate::model::{Discriminator, DiscriminatorConfig, Generator, Posterior, StyleKind};

use super::inputs::{Inputs, TYPICAL_PROB};
use super::phases::{Clock, Phase};

/// Deviation of the noise of `loss.smoothness`, where the picture's range is 2: an own choice.
const SMOOTHNESS_NOISE: f32 = 0.05;

/// One part of a step on one device.
pub(crate) struct Part<'a> {
    pub(crate) config: &'a Config,
    /// Without autodiff.
    pub(crate) device: &'a Device,
    pub(crate) inputs: &'a Inputs,
    /// Of the batch: 1 over the number of parts.
    pub(crate) share: f32,
}

/// What the generator drew, with the graph that leads back to its weights.
pub(crate) struct Drawn {
    /// The sources as they went in.
    sources: Tensor<4>,
    posterior: Posterior,
    /// The sources in their own style.
    again: Tensor<4>,
    /// The sources in the target style.
    fake: Tensor<4>,
    /// Pictures of the prior in the target style, where `loss.prior` asks for them.
    prior: Option<Tensor<4>>,
    /// The translations, translated back.
    cycled: Tensor<4>,
    guided: Option<Guided>,
}

/// What translations by other codes than the table's were drawn from.
struct Guided {
    /// `[n, z, h, w]`
    latent: Tensor<4>,
    /// `[n, style_dims]`
    code: Tensor<2>,
}

/// Gradients of one network, and the means that a person reads.
pub(crate) struct Computed {
    pub(crate) gradients: GradientsParams,
    /// Already times the part's share.
    pub(crate) figures: Tensor<1>,
}

impl Part<'_> {
    /// Draws each picture again in its own style and in the target's, then the translation back.
    pub(crate) fn draw(&self, generator: &Generator, clock: &mut Clock) -> Drawn {
        let inputs = self.inputs;
        let n = inputs.sources.styles.len();
        let sources = self.pictures(&inputs.sources.images, n);
        let posterior = generator.encode(sources.clone());
        let noise = self.tensor(&inputs.latent_noise, posterior.mean.dims());
        let latent = posterior.sample(noise);
        let own = &inputs.sources.styles;
        let mut latents = vec![latent.clone(), latent.clone()];
        latents.extend(self.prior_latents(posterior.mean.dims()));
        let has_prior = latents.len() == 3;
        let latents = Tensor::cat(latents, 0);
        let (drawn, own_code, guided) = match generator.picture_codes(sources.clone(), own) {
            None => {
                let targets = inputs.targets.iter().copied();
                let mut styles: Vec<u32> = own.iter().copied().chain(targets.clone()).collect();
                styles.extend(targets.filter(|_| has_prior));
                let drawn = generator.decode(latents, &styles);
                (drawn, generator.table_codes(own), None)
            }
            Some(own_code) => {
                let code = self.target_codes(generator, 0);
                let mut codes = vec![own_code.clone(), code.clone()];
                codes.extend(has_prior.then(|| code.clone()));
                let drawn = generator.decode_as(latents, Tensor::cat(codes, 0));
                (drawn, own_code, Some(Guided { latent, code }))
            }
        };
        let mut groups = drawn.split(n, 0).into_iter();
        let (again, fake) = groups
            .next()
            .zip(groups.next())
            .expect("2n pictures and more split into two groups and more");
        let prior = groups.next();
        let seen = if self.config.loss.cycle_noise > 0.0 {
            let noise = self.tensor(&inputs.cycle_noise, fake.dims());
            fake.clone() + noise.mul_scalar(self.config.loss.cycle_noise)
        } else {
            fake.clone()
        };
        let returned = generator.encode(seen);
        let noise = self.tensor(&inputs.returned_noise, returned.mean.dims());
        let cycled = generator.decode_as(returned.sample(noise), own_code);
        clock.mark(Phase::GeneratorForward);
        Drawn {
            sources,
            posterior,
            again,
            fake,
            prior,
            cycled,
            guided,
        }
    }

    /// What the discriminator is shown as made, without a graph: the translations, or by turns a translation and a picture of
    /// the prior. `[n, c, H, W]`
    pub(crate) fn made(&self, drawn: &Drawn) -> Tensor<4> {
        let fake = drawn.fake.clone().inner();
        match &drawn.prior {
            None => fake,
            Some(prior) => self.by_turns(fake, prior.clone().inner(), self.device),
        }
    }

    /// The same drawn for itself alone.
    pub(crate) fn drawn_as_made(&self, generator: &Generator, clock: &mut Clock) -> Tensor<4> {
        let generator = generator.clone().no_grad();
        let targets = &self.inputs.targets;
        let posterior = generator.encode(self.pictures(&self.inputs.sources.images, targets.len()));
        let noise = self.tensor(&self.inputs.latent_noise, posterior.mean.dims());
        let mut latent = posterior.sample(noise);
        if let Some(prior) = self.prior_latents(latent.dims()) {
            latent = self.by_turns(latent, prior, &self.autodiff());
        }
        let fake = match self.config.generator.style {
            StyleKind::Table => generator.decode(latent, targets),
            _ => generator.decode_as(latent, self.target_codes(&generator, 0)),
        };
        clock.mark(Phase::GeneratorForward);
        fake.inner()
    }

    /// Latents of the prior, `[n, z, h, w]`, where `loss.prior` asks for them.
    fn prior_latents(&self, shape: [usize; 4]) -> Option<Tensor<4>> {
        let noise = &self.inputs.prior_noise;
        (!noise.is_empty()).then(|| self.tensor(noise, shape))
    }

    /// Rows of one or the other, as the inputs say: `[n, ..]`.
    fn by_turns(&self, translated: Tensor<4>, prior: Tensor<4>, device: &Device) -> Tensor<4> {
        let rows = TensorData::new(self.inputs.made_rows.clone(), [self.inputs.made_rows.len()]);
        let rows = Tensor::<1, Int>::from_data(rows, device);
        Tensor::cat(vec![translated, prior], 0).select(0, rows)
    }

    /// Style codes of the translations: `[n, style_dims]`. `which` of the two sources, where codes have one; by the first, some are
    /// drawn by their style's mean code.
    fn target_codes(&self, generator: &Generator, which: usize) -> Tensor<2> {
        let targets = &self.inputs.targets;
        let n = targets.len();
        let values = &self.inputs.style_sources[which];
        let codes = match self.config.generator.style {
            StyleKind::Table => None,
            StyleKind::Latent => {
                let dims = self.config.generator.style_noise_dims;
                generator.mapped_codes(self.tensor(values, [n, dims]), targets)
            }
            StyleKind::Reference => generator.picture_codes(self.pictures(values, n), targets),
        };
        match codes {
            None => generator.table_codes(targets),
            Some(codes) if which == 0 => {
                let typical = self.tensor(&self.inputs.typical, [n, 1]);
                let mean = generator.table_codes(targets).detach();
                codes.clone() + (mean - codes) * typical
            }
            Some(codes) => codes,
        }
    }

    /// Terms that make style codes mean something: (total, reconstruction, diversity).
    fn style_terms(
        &self,
        generator: &Generator,
        fake: &Tensor<4>,
        guided: Guided,
    ) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
        let targets = &self.inputs.targets;
        let weights = &self.config.loss;
        let Guided { latent, code } = guided;
        let read = generator
            .picture_codes(fake.clone(), targets)
            .expect("a generator guided by codes reads them");
        let reconstruction = (read - code.clone()).abs().mean();
        let other = generator.decode_as(latent, self.target_codes(generator, 1));
        // A mean code is not to be driven from the others: in what it draws that would be tints on the background.
        let n = targets.len();
        let drawn_by_code = self.tensor::<4>(&self.inputs.typical, [n, 1, 1, 1]).neg() + 1.0;
        let diversity =
            ((fake.clone() - other.detach()).abs() * drawn_by_code).mean() / (1.0 - TYPICAL_PROB);
        // The table follows the mean code: what a style looks like when no code is given.
        let strayed = (generator.table_codes(targets) - code.detach())
            .square()
            .mean();
        let total = reconstruction.clone() * weights.style + strayed
            - diversity.clone() * (weights.diversity * self.inputs.diversity);
        (total, reconstruction.inner(), diversity.inner())
    }

    /// The discriminator on real, made and mixed pictures. Figures: `[d_real, d_fake, d_composite, d_real_prob, d_fake_prob,
    /// d_r1]`; the last is 0 where the penalty is not due.
    ///
    /// `fake`: `[n, c, H, W]`, without a graph.
    pub(crate) fn discriminator_gradients(
        &self,
        discriminator: &Discriminator,
        fake: Tensor<4>,
        clock: &mut Clock,
    ) -> Computed {
        let [n, c, size, _] = fake.dims();
        let grid = size / DiscriminatorConfig::PATCH_STRIDE;
        let plan = &self.inputs.composites;
        let reals = &self.inputs.reals;
        let real = Tensor::<4>::from_data(
            TensorData::new(reals.images.clone(), [n, c, size, size]),
            self.device,
        );
        let untouched = real.clone();
        let mut pool = Tensor::cat(vec![real.clone(), fake.clone()], 0);
        let (mut real, mut fake) = (real, fake);
        if let Some(variations) = &self.inputs.variations {
            // Before mixing: the label grids of mixed pictures stay as they were planned.
            pool = variations.apply(pool, self.device);
            real = pool.clone().narrow(0, 0, n);
            fake = pool.clone().narrow(0, n, n);
        }
        let pick = |indices: &[i32]| {
            let indices = TensorData::new(indices.to_vec(), [n]);
            pool.clone()
                .select(0, Tensor::<1, Int>::from_data(indices, self.device))
        };
        let mask = Tensor::<4>::from_data(
            TensorData::new(plan.mask.clone(), [n, 1, size, size]),
            self.device,
        );
        let outside = pick(&plan.outside);
        let mixed = outside.clone() + (pick(&plan.inside) - outside) * mask;
        let all = Tensor::from_inner(Tensor::cat(vec![real, fake, mixed], 0));

        let patches = grid * grid;
        let real_labels = reals.styles.iter().map(|style| 1 + *style as i32);
        let mut labels = spread(real_labels, patches);
        labels.extend(std::iter::repeat_n(0, n * patches));
        labels.extend(&plan.labels);
        let mut styles = spread(reals.styles.iter().copied(), patches);
        styles.extend(spread(self.inputs.targets.iter().copied(), patches));
        styles.extend(&plan.styles);

        let emissions = discriminator.emissions(all.clone());
        let judged = self.judged(discriminator, emissions.clone(), &labels, &styles);
        let parts = judged.clone().inner().split(n, 0).into_iter();
        let mut figures: Vec<Tensor<1>> = parts.map(Tensor::mean).collect();
        let seen = emissions.clone().inner().narrow(0, 0, 2 * n);
        let believed = self.believed(seen, &styles[..2 * n * patches]);
        figures.extend(believed.split(n, 0).into_iter().map(Tensor::mean));
        let mut total = judged.mean();
        let unary = self.config.loss.unary;
        if unary > 0.0 {
            let labels = self.labels(labels, [3 * n, grid, grid]);
            let alone = discriminator.patch_negative_log_likelihood(emissions.clone(), labels);
            total = total + alone.mean().mul_scalar(unary);
        }
        let smoothness = self.config.loss.smoothness;
        if smoothness > 0.0 {
            let noise = self
                .tensor(&self.inputs.smoothness_noise, all.dims())
                .mul_scalar(SMOOTHNESS_NOISE);
            let shaken = discriminator.emissions(all + noise);
            total = total + (shaken - emissions).square().mean().mul_scalar(smoothness);
        }
        let r1 = self.inputs.r1;
        figures.push(if r1 > 0.0 {
            let penalty = loss::gradient_penalty(untouched, |x| self.realness(discriminator, x));
            total = total + penalty.clone().mul_scalar(r1);
            penalty.inner()
        } else {
            Tensor::zeros([1], self.device)
        });
        clock.mark(Phase::DiscriminatorForward);
        let computed = self.computed(discriminator, total, figures);
        clock.mark(Phase::DiscriminatorBackward);
        computed
    }

    /// The generator against a discriminator that stays as it is. Figures: `[g_reconstruction, g_kl, g_cycle,
    /// g_adversarial, g_paired, g_style, g_diversity, g_prior, g_latent]`.
    pub(crate) fn generator_gradients(
        &self,
        generator: &Generator,
        discriminator: &Discriminator,
        drawn: Drawn,
        clock: &mut Clock,
    ) -> Computed {
        let Drawn {
            sources,
            posterior,
            again,
            fake,
            prior,
            cycled,
            guided,
        } = drawn;
        let [n, c, size, _] = sources.dims();
        let weights = &self.config.loss;
        let reconstruction = loss::absolute_error(again, sources.clone());
        let kl = loss::divergence(&posterior, c * size * size);
        let cycle = loss::absolute_error(cycled, sources);
        let judge = discriminator.clone().no_grad();
        let fooled = |pictures: Tensor<4>| {
            let shown = match &self.inputs.fooling_variations {
                Some(variations) => variations.apply(pictures, &self.autodiff()),
                None => pictures,
            };
            self.fooled(&judge, judge.emissions(shown)).mean()
        };
        let adversarial = fooled(fake.clone());
        let prior = prior.map(|pictures| {
            let read = generator.encode(pictures.clone()).mean;
            let drawn_by = self.tensor(&self.inputs.prior_noise, read.dims());
            (fooled(pictures), loss::absolute_error(read, drawn_by))
        });
        let style = guided.map(|guided| self.style_terms(generator, &fake, guided));
        let rows = &self.inputs.truth_rows;
        let paired = (!rows.is_empty()).then(|| {
            let truths = self.pictures(&self.inputs.truths, rows.len());
            if rows.len() == n {
                return loss::absolute_error(fake, truths);
            }
            let rows: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
            let share = rows.len() as f32 / n as f32;
            let rows = TensorData::new(rows, [self.inputs.truth_rows.len()]);
            let drawn = fake.select(0, Tensor::<1, Int>::from_data(rows, &self.autodiff()));
            loss::absolute_error(drawn, truths).mul_scalar(share)
        });
        let mut total = reconstruction.clone() * weights.reconstruction
            + kl.clone() * weights.kl
            + cycle.clone() * weights.cycle
            + adversarial.clone() * weights.adversarial;
        if let Some(paired) = &paired {
            total = total + paired.clone() * weights.paired;
        }
        if let Some((fooling, latent)) = &prior {
            total = total + fooling.clone() * weights.prior + latent.clone() * weights.latent;
        }
        let zero = || Tensor::zeros([1], self.device);
        let (g_style, g_diversity) = match style {
            Some((terms, reconstruction, diversity)) => {
                total = total + terms;
                (reconstruction, diversity)
            }
            None => (zero(), zero()),
        };
        clock.mark(Phase::JudgeForward);
        let shown = |term: Option<Tensor<1>>| term.map_or_else(zero, Tensor::inner);
        let (prior, latent) = prior.unzip();
        let figures = vec![
            reconstruction.inner(),
            kl.inner(),
            cycle.inner(),
            adversarial.inner(),
            shown(paired),
            g_style,
            g_diversity,
            shown(prior),
            shown(latent),
        ];
        let computed = self.computed(generator, total, figures);
        clock.mark(Phase::GeneratorBackward);
        computed
    }

    /// Backward, and both results times the part's share.
    fn computed<M: Module>(
        &self,
        module: &M,
        total: Tensor<1>,
        figures: Vec<Tensor<1>>,
    ) -> Computed {
        let figures = Tensor::cat(figures, 0);
        let (total, figures) = if self.share == 1.0 {
            (total, figures)
        } else {
            (total.mul_scalar(self.share), figures.mul_scalar(self.share))
        };
        Computed {
            gradients: GradientsParams::from_module(&mut total.backward(), module),
            figures,
        }
    }

    /// The discriminator's loss of each picture, `[b]`, mean over patches; without `loss.unary`.
    ///
    /// `labels`, `styles`: of every patch, `b * h * w`; a style is the one that a patch has or was made for.
    fn judged(
        &self,
        discriminator: &Discriminator,
        emissions: Tensor<4>,
        labels: &[i32],
        styles: &[u32],
    ) -> Tensor<1> {
        let [b, _, h, w] = emissions.dims();
        let kind = self.config.loss.adversarial_kind;
        if kind == AdversarialKind::Likelihood {
            let labels = self.labels(labels.to_vec(), [b, h, w]);
            return discriminator.negative_log_likelihood(emissions, labels);
        }
        let real: Vec<f32> = labels.iter().map(|label| f32::from(*label > 0)).collect();
        let real = self.tensor(&real, [b, h, w]);
        let styles = style_planes(styles, &emissions);
        loss::judge_loss(kind, Discriminator::real_logits(emissions, styles), real)
    }

    /// Probability that a patch is real by its own emissions, mean over patches: `[b]`. With the likelihood, one less that of
    /// fake among all labels; with the other losses, which know two sides, the logistic function of the logit.
    fn believed(&self, emissions: Tensor<4>, styles: &[u32]) -> Tensor<1> {
        let [b, _, h, w] = emissions.dims();
        let probs = if self.config.loss.adversarial_kind == AdversarialKind::Likelihood {
            let fake = activation::softmax(emissions, 1).narrow(1, 0, 1);
            (fake.neg() + 1.0).reshape([b, h * w])
        } else {
            let styles = style_planes(styles, &emissions);
            let logits = Discriminator::real_logits(emissions, styles);
            let kind = self.config.loss.adversarial_kind;
            kind.real_prob(logits).reshape([b, h * w])
        };
        probs.mean_dim(1).reshape([b])
    }

    /// How much the discriminator holds each of the step's real pictures for real and of its style: the logits summed over
    /// the `P` patches, over `sqrt(P)`, `[m]`. `pictures`: the reals once or more.
    ///
    /// A logit and not its logarithm of a probability, whose gradient vanishes where the discriminator is sure and the
    /// penalty is needed. With chains as without: the log-odds of all patches real against all fake are the sum of
    /// `e_k - e_0` and a constant, for log Z is the same in both.
    ///
    /// Of a sum over patches that each see a window, the squared gradient grows with their number (few windows overlap),
    /// so over `sqrt(P)` it is that of one patch whatever the picture's size: for a single patch, equation 9 of Mescheder
    /// et al. 2018.
    fn realness(&self, discriminator: &Discriminator, pictures: Tensor<4>) -> Tensor<1> {
        let emissions = discriminator.emissions(pictures);
        let [m, _, h, w] = emissions.dims();
        let styles = self.inputs.reals.styles.iter().copied().cycle().take(m);
        let styles: Vec<u32> = spread(styles, h * w);
        let styles = style_planes(&styles, &emissions);
        let logits = Discriminator::real_logits(emissions, styles);
        let mean = logits.reshape([m, h * w]).mean_dim(1).reshape([m]);
        mean.mul_scalar(((h * w) as f32).sqrt())
    }

    /// The generator's loss of each translation against the discriminator, `[n]`.
    fn fooled(&self, discriminator: &Discriminator, emissions: Tensor<4>) -> Tensor<1> {
        let [n, _, h, w] = emissions.dims();
        let targets = self.inputs.targets.iter().copied();
        let l = &self.config.loss;
        if l.adversarial_kind == AdversarialKind::Likelihood {
            let labels = spread(targets.map(|style| 1 + style as i32), h * w);
            let labels = self.labels(labels, [n, h, w]);
            return if l.adversarial_patchwise {
                discriminator.patch_negative_log_likelihood(emissions, labels)
            } else {
                discriminator.negative_log_likelihood(emissions, labels)
            };
        }
        let styles: Vec<u32> = spread(targets, h * w);
        let styles = style_planes(&styles, &emissions);
        let logits = Discriminator::real_logits(emissions, styles);
        loss::fooling_loss(l.adversarial_kind, logits)
    }

    /// Label grids: `[b, h, w]`.
    fn labels(&self, labels: Vec<i32>, shape: [usize; 3]) -> Tensor<3, Int> {
        Tensor::from_data(TensorData::new(labels, shape), &self.autodiff())
    }

    /// Pictures on the training device: `[n, c, H, W]`.
    fn pictures(&self, values: &[f32], n: usize) -> Tensor<4> {
        let size = self.config.data.size_px as usize;
        let channels = self.config.data.channels.count();
        self.tensor(values, [n, channels, size, size])
    }

    /// Host values as a constant of the graph.
    fn tensor<const D: usize>(&self, values: &[f32], shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &self.autodiff())
    }

    fn autodiff(&self) -> Device {
        self.device.clone().autodiff()
    }
}

/// Each value `count` times.
fn spread<T: Copy>(values: impl Iterator<Item = T>, count: usize) -> Vec<T> {
    values
        .flat_map(|value| std::iter::repeat_n(value, count))
        .collect()
}

/// One at each patch's style, zero elsewhere: `[b, K, h, w]`, on the emissions' device.
pub(crate) fn style_planes(styles: &[u32], emissions: &Tensor<4>) -> Tensor<4> {
    let [b, labels, h, w] = emissions.dims();
    let count = labels - 1;
    let mut planes = vec![0.0; b * count * h * w];
    for (i, style) in styles.iter().enumerate() {
        let (picture, patch) = (i / (h * w), i % (h * w));
        planes[(picture * count + *style as usize) * h * w + patch] = 1.0;
    }
    Tensor::from_data(
        TensorData::new(planes, [b, count, h, w]),
        &emissions.device(),
    )
}
