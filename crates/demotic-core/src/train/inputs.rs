//! What a step takes from the host: pictures, styles, noise and the plan of mixed pictures, as plain values.
//!
//! A pure function of (configuration, step): it may be made ahead, on another thread, and never needs saving.

use crate::config::Config;
use crate::data::{Batch, DataError, Dataset, MixedBatch, Sampler, SamplerOptions};
use crate::model::{DiscriminatorConfig, StyleKind};
use crate::rng::{Rng, Stream};

use super::composite::{self, Composites, Layout};
use super::diff_augment::Variations;
use super::weights::{Array, Arrays};

/// Host values of one part of a step's batch; `n` pictures of `[c, H, W]`.
#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    /// What is translated.
    pub(crate) sources: Batch,
    /// True translations of those sources that come with one: `[m, c, H, W]`.
    pub(crate) truths: Vec<f32>,
    /// Their places among the sources: `[m]`, ascending.
    pub(crate) truth_rows: Vec<usize>,
    /// Style that each source is translated into.
    pub(crate) targets: Vec<u32>,
    /// What the discriminator sees as real.
    pub(crate) reals: Batch,
    /// Mixtures of `reals` and translations.
    pub(crate) composites: Composites,
    /// Standard normal noise of the sources' latents: `[n, z, h, w]`.
    pub(crate) latent_noise: Vec<f32>,
    /// Of the latents on the way back: `[n, z, h, w]`.
    pub(crate) returned_noise: Vec<f32>,
    /// Latents of the prior: `[n, z, h, w]`; empty where unused.
    pub(crate) prior_noise: Vec<f32>,
    /// For each made picture that the discriminator is shown, its row among translations and then pictures of the prior: the
    /// two take turns. Of use only with `prior_noise`.
    pub(crate) made_rows: Vec<i32>,
    /// Laid over a translation before it is drawn back: `[n, c, H, W]`; empty where unused.
    pub(crate) cycle_noise: Vec<f32>,
    /// Two sources of style codes for every picture: noise `[n, style_noise_dims]` or pictures in the target style
    /// `[n, c, H, W]`; empty where codes come from the table.
    pub(crate) style_sources: [Vec<f32>; 2],
    /// For each translation 1 where it is drawn by its style's mean code, else 0: `n`; empty where codes come from the table.
    pub(crate) typical: Vec<f32>,
    /// Changes of the real, then the made pictures in front of the discriminator: `2n`; none where unused.
    pub(crate) variations: Option<Variations>,
    /// Of the made pictures when the generator is judged: `n`.
    pub(crate) fooling_variations: Option<Variations>,
    /// What is left of the weight of diversity in this step: 1 at the start, 0 at the end.
    pub(crate) diversity: f32,
    /// Weight of the gradient penalty in this step; 0 where it is not due.
    pub(crate) r1: f32,
    /// Laid over the discriminator's real, made and mixed pictures: `[3n, c, H, W]`; empty where unused.
    pub(crate) smoothness_noise: Vec<f32>,
}

impl Inputs {
    /// Pictures, true pairs, styles, noise of latents and the plan of mixed pictures by name, for programs that repeat a step
    /// elsewhere; whole numbers as floats. Not in it, so such a step must do without: latents of the prior, sources of style codes, variations in
    /// front of the discriminator, the noise of `loss.smoothness`, and the weights of diversity and R1 in the step.
    pub(crate) fn arrays(&self, config: &Config) -> Arrays {
        let n = self.targets.len();
        let size = config.data.size_px as usize;
        let [z, h, w] = config.generator.latent_shape(size);
        let latent = [n, z, h, w];
        let grid = size / DiscriminatorConfig::PATCH_STRIDE;
        let picture = [n, config.data.channels.count(), size, size];
        let mut arrays = Arrays::new();
        let mut floats = |name: &str, values: &[f32], shape: &[usize]| {
            if !values.is_empty() {
                let (shape, values) = (shape.to_vec(), values.to_vec());
                arrays.insert(name.to_owned(), Array { shape, values });
            }
        };
        floats("sources", &self.sources.images, &picture);
        floats("reals", &self.reals.images, &picture);
        floats("latent_noise", &self.latent_noise, &latent);
        floats("returned_noise", &self.returned_noise, &latent);
        floats("cycle_noise", &self.cycle_noise, &picture);
        let rows = self.truth_rows.len();
        floats("truths", &self.truths, &[rows, picture[1], size, size]);
        floats("mask", &self.composites.mask, &[n, 1, size, size]);
        let mut whole = |name: &str, values: Vec<f32>, shape: &[usize]| {
            floats(name, &values, shape);
        };
        let styles = |styles: &[u32]| styles.iter().map(|s| *s as f32).collect();
        let indices = |indices: &[i32]| indices.iter().map(|i| *i as f32).collect();
        whole("source_styles", styles(&self.sources.styles), &[n]);
        whole("targets", styles(&self.targets), &[n]);
        whole("real_styles", styles(&self.reals.styles), &[n]);
        whole("inside", indices(&self.composites.inside), &[n]);
        whole("outside", indices(&self.composites.outside), &[n]);
        whole("labels", indices(&self.composites.labels), &[n, grid, grid]);
        let places = self.truth_rows.iter().map(|row| *row as f32).collect();
        whole("truth_rows", places, &[rows]);
        arrays
    }
}

/// Makes [`Inputs`].
pub(crate) struct Feed<'a> {
    config: Config,
    styles: u32,
    sources: Sampler<'a>,
    reals: Sampler<'a>,
    /// Probability of each change in front of the discriminator.
    augment_prob: f32,
}

impl<'a> Feed<'a> {
    /// A feed of `config.train.batch` pictures a step from the training part of a data set.
    pub(crate) fn new(config: &Config, dataset: &'a Dataset) -> Result<Self, DataError> {
        let sampler = |draw| {
            let options = SamplerOptions {
                seed: config.seed,
                batch_size: config.train.batch,
                draw,
                augmentation: config.augment.clone(),
            };
            Sampler::new(dataset.training(), options)
        };
        let view = dataset.training();
        let rarest = (0..dataset.styles().len())
            .map(|style| view.items(style).len())
            .min();
        Ok(Self {
            augment_prob: config.discriminator.augment_prob.prob(rarest.unwrap_or(0)),
            config: config.clone(),
            styles: dataset.styles().len() as u32,
            sources: sampler(0)?,
            reals: sampler(1)?,
        })
    }

    /// Probability of each change in front of the discriminator.
    pub(crate) fn augment_prob(&self) -> f32 {
        self.augment_prob
    }

    /// The inputs of `step` in `parts` equal parts, in order. All but the mixtures are the whole batch's, cut: pictures
    /// are mixed within a part, which may be on a device of its own.
    ///
    /// # Panics
    /// If the batch does not divide into the parts.
    pub(crate) fn inputs(&self, step: u64, parts: usize) -> Vec<Inputs> {
        let config = &self.config;
        let batch = config.train.batch;
        assert!(
            parts > 0 && batch.is_multiple_of(parts),
            "a batch of {batch} pictures in {parts} parts"
        );
        let MixedBatch {
            source: sources,
            truth,
            rows,
        } = self
            .sources
            .mixed_batch(step, config.train.pairs.share())
            .expect("pairs were checked when the trainer was made");
        let mut targets = target_styles(config.seed, step, &sources.styles, self.styles);
        for (row, style) in rows.iter().zip(&truth.styles) {
            targets[*row] = *style;
        }
        let reals = self.reals.batch(step);
        let size = config.data.size_px as usize;
        let picture = config.data.channels.count() * size * size;
        let latent: usize = config.generator.latent_shape(size).iter().product();
        let noise = |lane: u16, count: usize, is_used: bool| {
            let count = if is_used { count } else { 0 };
            Rng::new(config.seed, Stream::LATENT.lane(lane), step).normals(count)
        };
        let latent_noise = noise(0, batch * latent, true);
        let returned_noise = noise(1, batch * latent, true);
        let smoothness_noise = noise(2, 3 * batch * picture, config.loss.smoothness > 0.0);
        let prior_noise = noise(4, batch * latent, config.loss.prior > 0.0);
        let cycle_noise = noise(3, batch * picture, config.loss.cycle_noise > 0.0);
        let style_sources: [Vec<f32>; 2] = std::array::from_fn(|which| {
            let lane = which as u16;
            match config.generator.style {
                StyleKind::Table => vec![],
                StyleKind::Latent => Rng::new(config.seed, Stream::STYLE.lane(lane), step)
                    .normals(batch * config.generator.style_noise_dims),
                StyleKind::Reference => self.reals.of_styles(step, lane, &targets).images,
            }
        });
        let typical: Vec<f32> = match config.generator.style {
            StyleKind::Table => vec![],
            StyleKind::Latent | StyleKind::Reference => {
                let mut rng = Rng::new(config.seed, Stream::STYLE.lane(2), step);
                let mut draw = || f32::from(u8::from(rng.chance(TYPICAL_PROB)));
                (0..batch).map(|_| draw()).collect()
            }
        };
        let layout = Layout {
            grid: size / DiscriminatorConfig::PATCH_STRIDE,
            stride: DiscriminatorConfig::PATCH_STRIDE,
        };
        let prob = composite_prob(config, step);
        let variations = |lane: u16, count: usize| {
            let mut rng = Rng::new(config.seed, Stream::DISCRIMINATOR.lane(lane), step);
            (self.augment_prob > 0.0)
                .then(|| Variations::draw(&mut rng, count, size, self.augment_prob))
        };
        let (judged, fooling) = (variations(0, 2 * batch), variations(1, batch));
        let r1 = if step.is_multiple_of(config.loss.r1_interval_steps) {
            config.loss.r1 * config.loss.r1_interval_steps as f32
        } else {
            0.0
        };
        let n = batch / parts;
        (0..parts)
            .map(|part| {
                let cut = |values: &[f32], groups: usize| {
                    cut(values, groups, part, parts)
                        .collect::<Vec<_>>()
                        .concat()
                };
                let batch_part = |whole: &Batch| Batch {
                    images: cut(&whole.images, 1),
                    styles: whole.styles[part * n..][..n].to_vec(),
                    items: whole.items[part * n..][..n].to_vec(),
                };
                let targets = targets[part * n..][..n].to_vec();
                let first = rows.partition_point(|row| *row < part * n);
                let last = rows.partition_point(|row| *row < (part + 1) * n);
                let reals = batch_part(&reals);
                Inputs {
                    composites: composite::plan(
                        Rng::new(config.seed, Stream::COMPOSITE.lane(part as u16), step),
                        n,
                        prob,
                        &reals.styles,
                        &targets,
                        layout,
                    ),
                    sources: batch_part(&sources),
                    truths: truth.images[first * picture..last * picture].to_vec(),
                    truth_rows: rows[first..last].iter().map(|row| row - part * n).collect(),
                    style_sources: style_sources.each_ref().map(|all| cut(all, 1)),
                    typical: cut(&typical, 1),
                    variations: judged
                        .as_ref()
                        .map(|all| all.cut(part * n, n).then(all.cut(batch + part * n, n))),
                    fooling_variations: fooling.as_ref().map(|all| all.cut(part * n, n)),
                    diversity: 1.0 - (step as f32 / config.train.steps as f32).min(1.0),
                    r1,
                    targets,
                    reals,
                    latent_noise: cut(&latent_noise, 1),
                    returned_noise: cut(&returned_noise, 1),
                    prior_noise: cut(&prior_noise, 1),
                    // By the place in the whole batch, and otherwise in the next step: parts of one picture see both.
                    made_rows: (0..n)
                        .map(|i| {
                            let is_prior = (part * n + i) as u64 % 2 != step % 2;
                            (i + if is_prior { n } else { 0 }) as i32
                        })
                        .collect(),
                    cycle_noise: cut(&cycle_noise, 1),
                    smoothness_noise: cut(&smoothness_noise, 3),
                }
            })
            .collect()
    }
}

/// Share of the translations that are drawn by their style's mean code, where codes come from noise or pictures: codes are driven apart,
/// and their mean, which nothing else trains, is what a style looks like where no code is given.
pub(crate) const TYPICAL_PROB: f32 = 0.25;

/// Part number `part` of each of `groups` equal runs of values.
fn cut(values: &[f32], groups: usize, part: usize, parts: usize) -> impl Iterator<Item = &[f32]> {
    let run = values.len() / groups;
    let len = run / parts;
    (0..groups).map(move |group| &values[group * run + part * len..][..len])
}

/// Probability that a picture of the mixed batch is mixed: it rises over the first steps.
fn composite_prob(config: &Config, step: u64) -> f32 {
    let l = &config.loss;
    let warm = if l.composite_warmup_steps == 0 {
        1.0
    } else {
        (step as f32 / l.composite_warmup_steps as f32).min(1.0)
    };
    l.composite_prob * warm
}

/// A style other than the source's for each picture, each with the same chance.
fn target_styles(seed: u64, step: u64, sources: &[u32], styles: u32) -> Vec<u32> {
    let mut rng = Rng::new(seed, Stream::TARGET_STYLE, step);
    sources
        .iter()
        .map(|source| (source + 1 + rng.below(styles - 1)) % styles)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_grouped_values_put_together_are_the_whole() {
        let values: Vec<f32> = (0..24).map(|v| v as f32).collect();
        let part = |part| cut(&values, 3, part, 2).collect::<Vec<_>>().concat();
        assert_eq!(
            part(0),
            [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19].map(|v| v as f32)
        );
        assert_eq!(
            part(1),
            [4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23].map(|v| v as f32)
        );
        assert!(cut(&[], 3, 1, 2).all(<[f32]>::is_empty));
    }
}
