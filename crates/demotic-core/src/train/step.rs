//! The arithmetic of one step: from host values and two networks to gradients and figures. Nothing here
//! changes a network.
//!
//! A step is made of parts, one after the other (gradient accumulation) or on several devices; the gradients
//! of all parts add up to the batch's.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::figures::Figure;
use super::inputs::{Inputs, TYPICAL_PROB, repeated};
use super::optimiser::twin;
use super::phases::{Clock, Phase};
use super::terms::{Computed, Terms};
use super::upload::Upload;
use crate::loss;
use crate::model::{Discriminator, DiscriminatorConfig, Generator, Posterior};
use crate::number::{Real, Whole};
use crate::ops;
use crate::settings::{AdversarialKind, Config, StyleKind};

/// One part of a step on one device.
pub(crate) struct Part<'a> {
    pub(crate) config: &'a Config,
    /// Without autodiff.
    pub(crate) device: &'a Device,
    pub(crate) inputs: &'a Inputs,
    /// The inputs on the device, where they went there in one piece.
    pub(crate) upload: Option<&'a Upload>,
    /// The part's share of the batch: 1 over the number of parts.
    pub(crate) share: f32,
}

/// What the generator generated, with the graph that leads back to its weights.
pub(crate) struct Generated {
    /// The sources as they went in.
    sources: Tensor<4>,
    posterior: Posterior,
    /// The sources in their own style.
    again: Tensor<4>,
    /// The sources in the target style.
    fake: Tensor<4>,
    /// Samples from the prior in the target style, where `loss.prior` asks for them.
    prior: Option<Tensor<4>>,
    /// The translations, translated back.
    cycled: Tensor<4>,
    /// The generator that did so.
    way_back: Generator,
    guided: Option<Guided>,
}

/// What translations by other codes than the table's were decoded from.
struct Guided {
    /// `[n, z, h, w]`
    latent: Tensor<4>,
    /// `[n, style_dims]`
    code: Tensor<2>,
}

impl Part<'_> {
    /// Generates each picture in its own style and in the target's, then the translation back.
    pub(crate) fn generate(&self, generator: &Generator, clock: &mut Clock) -> Generated {
        let inputs = self.inputs;
        let n = inputs.sources.styles.len();
        let sources = self.pictures(&inputs.sources.images, n);
        let posterior = generator.encode(sources.clone());
        let noise = self.tensor(&inputs.latent_noise, posterior.dims());
        let latent = posterior.sample(noise);
        let own = &inputs.sources.styles;
        let prior = self.prior_latents(posterior.dims());
        let has_prior = prior.is_some();
        let latents = match prior {
            None => ops::twice(latent.clone()),
            Some(prior) => Tensor::cat(vec![latent.clone(), latent.clone(), prior], 0),
        };
        let (decoded, own_code, guided) = match generator.picture_codes(sources.clone(), own) {
            None => {
                let codes = |rows: &[f32], n: usize| {
                    generator.codes_of_rows(self.tensor(rows, [n, rows.len() / n]))
                };
                let pictures = if has_prior { 3 * n } else { 2 * n };
                let decoded = generator.decode_as(
                    latents,
                    codes(&inputs.conditioning.generated_rows, pictures),
                );
                (decoded, codes(&inputs.conditioning.own_rows, n), None)
            }
            Some(own_code) => {
                let code = self.target_codes(generator, 0);
                let mut codes = vec![own_code.clone(), code.clone()];
                codes.extend(has_prior.then(|| code.clone()));
                let decoded = generator.decode_as(latents, Tensor::cat(codes, 0));
                (decoded, own_code, Some(Guided { latent, code }))
            }
        };
        let (again, fake, prior) = if has_prior {
            let groups: [Tensor<4>; 3] = decoded
                .split(n, 0)
                .try_into()
                .expect("3n pictures split into three groups");
            let [again, fake, prior] = groups;
            (again, fake, Some(prior))
        } else {
            let [again, fake] = ops::halves(decoded, 0);
            (again, fake, None)
        };
        let fake = generator.laid_in(sources.clone(), fake);
        let mut seen = if self.config.loss.cycle_through {
            fake.clone()
        } else {
            // Nothing rewards a translation for hiding what the way back needs.
            fake.clone().detach()
        };
        if self.config.loss.cycle_noise > 0.0 {
            let noise = self.tensor(&inputs.cycle_noise, fake.dims());
            seen = seen + noise.mul_scalar(self.config.loss.cycle_noise);
        }
        let way_back = twin(generator);
        let returned = way_back.encode(seen);
        let noise = self.tensor(&inputs.returned_noise, returned.dims());
        let cycled = way_back.decode_as(returned.sample(noise), own_code);
        clock.mark(Phase::GeneratorForward);
        Generated {
            sources,
            posterior,
            again,
            fake,
            prior,
            cycled,
            way_back,
            guided,
        }
    }

    /// What the discriminator sees as fakes, without a graph: the translations, or translations and samples
    /// from the prior in turn. `[n, c, H, W]`
    pub(crate) fn fakes(&self, generated: &Generated) -> Tensor<4> {
        let fake = generated.fake.clone().inner();
        match &generated.prior {
            None => fake,
            Some(prior) => self.interleave(fake, prior.clone().inner(), self.device),
        }
    }

    /// As [`Self::fakes`], but only the forward pass.
    pub(crate) fn fakes_only(&self, generator: &Generator, clock: &mut Clock) -> Tensor<4> {
        let generator = generator.clone().no_grad();
        let targets = &self.inputs.targets;
        let sources = self.pictures(&self.inputs.sources.images, targets.len());
        let posterior = generator.encode(sources.clone());
        let noise = self.tensor(&self.inputs.latent_noise, posterior.dims());
        let mut latent = posterior.sample(noise);
        if let Some(prior) = self.prior_latents(latent.dims()) {
            latent = self.interleave(latent, prior, &self.autodiff());
        }
        let decoded = match self.config.generator.style {
            StyleKind::Table => generator.decode(latent, targets),
            _ => generator.decode_as(latent, self.target_codes(&generator, 0)),
        };
        let fake = generator.laid_in(sources, decoded.clone());
        let fake = if self.inputs.prior_noise.is_empty() {
            fake
        } else {
            // A sample from the prior has no input to be laid into. The same rows as of the latents above,
            // now of filtered pictures: the same bits as where a graph is kept.
            self.interleave(fake, decoded, &self.autodiff())
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
    fn interleave(&self, translated: Tensor<4>, prior: Tensor<4>, device: &Device) -> Tensor<4> {
        let rows = TensorData::new(self.inputs.fake_rows.clone(), [self.inputs.fake_rows.len()]);
        let rows = Tensor::<1, Int>::from_data(rows, device);
        Tensor::cat(vec![translated, prior], 0).select(0, rows)
    }

    /// Style codes of the translations: `[n, style_dims]`. `which` of the two sources, where codes have one;
    /// by the first, some are generated by their style's mean code.
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

    /// The discriminator's loss on real, fake and mixed pictures, and its gradients.
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
        let reals: Tensor<4> = self.constant(&self.inputs.reals.images, [n, c, size, size]);
        let pictures = Tensor::from_inner(self.real_fake_and_mixed(reals.clone(), fake));
        let labels = &self.inputs.conditioning.patch_labels;
        let styles = &self.inputs.conditioning.patch_styles;
        let mut terms = Terms::default();

        // Every kind of picture, by the labels of its patches.
        let emissions = discriminator.emissions(pictures);
        let losses = self.discriminator_loss(discriminator, emissions.clone());
        terms.add_unmeasured(1.0, losses.clone());
        let means = [Figure::DReal, Figure::DFake, Figure::DComposite];
        let probabilities = [Figure::DRealProb, Figure::DFakeProb];
        let shown = emissions.clone().inner();
        if self.config.loss.adversarial_kind == AdversarialKind::Likelihood {
            let figures = ops::figures(losses.inner(), shown);
            terms.measure_all(&[&means[..], &probabilities[..]].concat(), figures);
        } else {
            let losses = losses.inner().reshape([3, n]).mean_dim(1).reshape([3]);
            terms.measure_all(&means, losses);
            let pure = shown.narrow(0, 0, 2 * n);
            let probs = self.real_probability(pure, &styles[..2 * n * grid * grid]);
            let probs = probs.reshape([2, n]).mean_dim(1).reshape([2]);
            terms.measure_all(&probabilities, probs);
        }
        // Each patch by itself.
        let unary = self.config.loss.unary;
        if unary > 0.0 {
            let labels = self.labels(labels, [3 * n, grid, grid]);
            let alone = discriminator.patch_negative_log_likelihood(emissions, labels);
            terms.add_unmeasured(unary, alone);
        }
        // Its gradient at real pictures, in the steps that measure it.
        let r1 = self.inputs.r1;
        if r1 > 0.0 {
            let penalty = loss::gradient_penalty(reals, |x| self.realness(discriminator, x));
            terms.add(Figure::DR1, r1, penalty);
        }
        clock.mark(Phase::DiscriminatorForward);
        let computed = terms.computed(&[discriminator], self.share);
        clock.mark(Phase::DiscriminatorBackward);
        computed
    }

    /// What the discriminator sees: real pictures, fakes, and mixtures of both, `[3n, c, H, W]`. Both are
    /// varied before they are mixed: the label grids of mixed pictures stay as they were planned.
    fn real_fake_and_mixed(&self, real: Tensor<4>, fake: Tensor<4>) -> Tensor<4> {
        let [n, _, size, _] = real.dims();
        let plan = &self.inputs.composites;
        let mask: Tensor<4> = self.constant(&plan.mask, [n, 1, size, size]);
        let pure = match &self.inputs.variations {
            None => [real, fake],
            Some(variations) => {
                let pure = Tensor::cat(vec![real, fake], 0);
                ops::halves(variations.apply(pure, self.device), 0)
            }
        };
        let rows = |indices: &[i32]| self.whole_numbers(indices, [n]);
        ops::mixed(pure, [rows(&plan.inside), rows(&plan.outside)], mask)
    }

    /// The generator's loss against a discriminator that stays as it is, and its gradients.
    pub(crate) fn generator_gradients(
        &self,
        generator: &Generator,
        discriminator: &Discriminator,
        generated: Generated,
        clock: &mut Clock,
    ) -> Computed {
        let Generated {
            sources,
            posterior,
            again,
            fake,
            prior,
            cycled,
            way_back,
            guided,
        } = generated;
        let [_, c, size, _] = sources.dims();
        let weights = &self.config.loss;
        let frozen = discriminator.clone().no_grad();
        let mut terms = Terms::default();

        // Reconstruction, divergence and cycle.
        terms.add(
            Figure::GReconstruction,
            weights.reconstruction,
            loss::absolute_error(again, sources.clone()),
        );
        terms.add(
            Figure::GKl,
            weights.kl,
            loss::divergence(&posterior, c * size * size),
        );
        terms.add(
            Figure::GCycle,
            weights.cycle,
            loss::absolute_error(cycled, sources.clone()),
        );

        // Against the discriminator, and against true translations where there are any.
        let adversarial = |pictures: Tensor<4>| {
            let shown = match &self.inputs.generator_variations {
                Some(variations) => variations.apply(pictures, &self.autodiff()),
                None => pictures,
            };
            self.generator_loss(&frozen, frozen.emissions(shown))
        };
        terms.add(
            Figure::GAdversarial,
            weights.adversarial,
            adversarial(fake.clone()),
        );
        if !self.inputs.truth_rows.is_empty() {
            terms.add(
                Figure::GPaired,
                weights.paired,
                self.paired_error(fake.clone()),
            );
        }

        // What lies beside the drawing stays.
        if self.inputs.canvas_weight > 0.0 {
            let [n, _, height, width] = fake.dims();
            let mask: Tensor<4> = self.tensor(&self.inputs.canvas, [n, 1, height, width]);
            let (was, is) = (sources.clone() * mask.clone(), fake.clone() * mask);
            terms.add(
                Figure::GCanvas,
                self.inputs.canvas_weight,
                loss::absolute_error(is, was),
            );
        }

        // Samples from the prior: they are to convince, and their latents must be readable from them.
        if let Some(pictures) = prior {
            let read = generator.encode(pictures.clone()).mean();
            let latents = self.tensor(&self.inputs.prior_noise, read.dims());
            terms.add(Figure::GPrior, weights.prior, adversarial(pictures));
            terms.add(
                Figure::GLatent,
                weights.latent,
                loss::absolute_error(read, latents),
            );
        }

        // Style codes that mean something.
        if let Some(guided) = guided {
            self.add_style_terms(&mut terms, generator, sources, &fake, guided);
        }
        clock.mark(Phase::GeneratorLosses);
        let computed = terms.computed(&[generator, &way_back], self.share);
        clock.mark(Phase::GeneratorBackward);
        computed
    }

    /// Mean absolute error of the translations that have a true one, over all `n` of them, where the others
    /// count as 0. `fake`: `[n, c, H, W]`.
    fn paired_error(&self, fake: Tensor<4>) -> Tensor<1> {
        let (rows, n) = (&self.inputs.truth_rows, self.inputs.targets.len());
        let truths = self.pictures(&self.inputs.truths, rows.len());
        if rows.len() == n {
            return loss::absolute_error(fake, truths);
        }
        let share = rows.len().to_f32() / n.to_f32();
        let rows: Vec<i32> = rows.iter().map(|row| row.to_i32()).collect();
        let rows = TensorData::new(rows, [self.inputs.truth_rows.len()]);
        let paired = fake.select(0, Tensor::<1, Int>::from_data(rows, &self.autodiff()));
        loss::absolute_error(paired, truths).mul_scalar(share)
    }

    /// Terms of style codes: the code can be read from the translation, two codes give two translations, and
    /// the table's code is the mean of the others.
    fn add_style_terms(
        &self,
        terms: &mut Terms,
        generator: &Generator,
        sources: Tensor<4>,
        fake: &Tensor<4>,
        guided: Guided,
    ) {
        let targets = &self.inputs.targets;
        let weights = &self.config.loss;
        let Guided { latent, code } = guided;
        let read = generator
            .picture_codes(fake.clone(), targets)
            .expect("a generator guided by codes reads them");
        let reconstruction = (read - code.clone()).abs().mean();
        let other = generator.decode_as(latent, self.target_codes(generator, 1));
        let other = generator.laid_in(sources, other);
        // A mean code is not to be driven from the others: in its translations that would be tints on the
        // background.
        let n = targets.len();
        let by_code = self.tensor::<4>(&self.inputs.typical, [n, 1, 1, 1]).neg() + 1.0;
        let diversity =
            ((fake.clone() - other.detach()).abs() * by_code).mean() / (1.0 - TYPICAL_PROB);
        // The table follows the mean code: what a style looks like when no code is given.
        let strayed = (generator.table_codes(targets) - code.detach())
            .square()
            .mean();
        terms.add(Figure::GStyle, weights.style, reconstruction);
        terms.add_unmeasured(1.0, strayed);
        terms.add(
            Figure::GDiversity,
            -(weights.diversity * self.inputs.diversity),
            diversity,
        );
    }

    /// The discriminator's loss of each picture, `[3n]`, mean over patches; without `loss.unary`.
    fn discriminator_loss(&self, discriminator: &Discriminator, emissions: Tensor<4>) -> Tensor<1> {
        let [b, _, h, w] = emissions.dims();
        let kind = self.config.loss.adversarial_kind;
        let (labels, styles) = (
            &self.inputs.conditioning.patch_labels,
            &self.inputs.conditioning.patch_styles,
        );
        if kind == AdversarialKind::Likelihood {
            let labels = self.labels(labels, [b, h, w]);
            return discriminator.negative_log_likelihood(emissions, labels);
        }
        let real: Vec<f32> = labels.iter().map(|label| f32::from(*label > 0)).collect();
        let real = self.tensor(&real, [b, h, w]);
        let styles = style_planes(styles, &emissions);
        loss::discriminator_loss(kind, Discriminator::real_logits(emissions, styles), real)
    }

    /// Probability that a patch is real by its own emissions, mean over patches: `[b]`. Of the losses that
    /// know two sides: a function of the logit (the likelihood's is `ops::figures`).
    fn real_probability(&self, emissions: Tensor<4>, styles: &[u32]) -> Tensor<1> {
        let [b, _, h, w] = emissions.dims();
        let styles = style_planes(styles, &emissions);
        let logits = Discriminator::real_logits(emissions, styles);
        let kind = self.config.loss.adversarial_kind;
        let probs = kind.real_prob(logits).reshape([b, h * w]);
        probs.mean_dim(1).reshape([b])
    }

    /// The real-versus-fake logit of each real picture, in its own style: the sum over its `P` patches, over
    /// `sqrt(P)`. `[m]` `pictures`: the step's reals, once or more.
    ///
    /// It is the logit, for the gradient of a log-probability vanishes where the discriminator is sure and
    /// the penalty is needed. With chains as without: the log-odds of all patches real against all
    /// fake are the sum of `e_k - e_0` and a constant, for log Z is the same in both.
    ///
    /// For a sum over patches that each see a window, the squared gradient grows with their number (few
    /// windows overlap), so over `sqrt(P)` it is that of one patch whatever the picture's size: for a single
    /// patch, equation 9 of Mescheder et al. 2018.
    fn realness(&self, discriminator: &Discriminator, pictures: Tensor<4>) -> Tensor<1> {
        let emissions = discriminator.emissions(pictures);
        let [m, _, h, w] = emissions.dims();
        let styles = self.inputs.reals.styles.iter().copied().cycle().take(m);
        let styles: Vec<u32> = repeated(styles, h * w);
        let styles = style_planes(&styles, &emissions);
        let logits = Discriminator::real_logits(emissions, styles);
        let mean = logits.reshape([m, h * w]).mean_dim(1).reshape([m]);
        mean.mul_scalar((h * w).to_f32().sqrt())
    }

    /// The generator's loss of each translation against the discriminator, `[n]`.
    fn generator_loss(&self, discriminator: &Discriminator, emissions: Tensor<4>) -> Tensor<1> {
        let [n, _, h, w] = emissions.dims();
        let targets = self.inputs.targets.iter().copied();
        let l = &self.config.loss;
        if l.adversarial_kind == AdversarialKind::Likelihood {
            let labels = self.labels(&self.inputs.conditioning.wanted_labels, [n, h, w]);
            return if l.adversarial_patchwise {
                discriminator.patch_negative_log_likelihood(emissions, labels)
            } else {
                discriminator.negative_log_likelihood(emissions, labels)
            };
        }
        let styles: Vec<u32> = repeated(targets, h * w);
        let styles = style_planes(&styles, &emissions);
        let logits = Discriminator::real_logits(emissions, styles);
        loss::generator_loss(l.adversarial_kind, logits)
    }

    /// Label grids: `[b, h, w]`.
    fn labels(&self, labels: &[i32], shape: [usize; 3]) -> Tensor<3, Int> {
        Tensor::from_inner(self.whole_numbers(labels, shape))
    }

    /// Pictures on the training device: `[n, c, H, W]`.
    fn pictures(&self, values: &[f32], n: usize) -> Tensor<4> {
        let size = self.config.data.size_px as usize;
        let channels = self.config.data.channels.count();
        self.tensor(values, [n, channels, size, size])
    }

    /// Host values as a constant of the graph.
    fn tensor<const D: usize>(&self, values: &[f32], shape: [usize; D]) -> Tensor<D> {
        Tensor::from_inner(self.constant(values, shape))
    }

    /// Host values outside any graph.
    fn constant<const D: usize>(&self, values: &[f32], shape: [usize; D]) -> Tensor<D> {
        let uploaded = self.upload.and_then(|upload| upload.floats(values, shape));
        uploaded.unwrap_or_else(|| {
            Tensor::from_data(TensorData::new(values.to_vec(), shape), self.device)
        })
    }

    /// A tensor of whole numbers from the inputs.
    fn whole_numbers<const D: usize>(&self, values: &[i32], shape: [usize; D]) -> Tensor<D, Int> {
        let uploaded = self
            .upload
            .and_then(|upload| upload.whole_numbers(values, shape));
        uploaded.unwrap_or_else(|| {
            Tensor::from_data(TensorData::new(values.to_vec(), shape), self.device)
        })
    }

    fn autodiff(&self) -> Device {
        self.device.clone().autodiff()
    }
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
