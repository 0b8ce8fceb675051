//! Pictures without an input: latents from N(0, 1), or from a density fitted to the latents of training
//! pictures.
//!
//! A generator with a light `loss.kl` codes pictures far from N(0, 1), and draws texture from there. What its
//! latents are like is known once it is trained: fitting a density to them afterwards costs no training and
//! changes no weight (Ghosh et al. 2020).

use std::iter::repeat_n;

use crate::number::{Real, Whole};
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use crate::arrays::values_of;
use crate::data::TrainingView;
use crate::metric::summed;
use crate::model::{CHUNK, Generator};
use crate::rng::{Rng, Stream};
use crate::settings::Config;

/// Latents that a Gaussian is fitted to: of a training picture and those nearest to it.
const NEIGHBOURS: usize = 10;

/// Where latents without an input come from.
#[derive(Clone, Copy, Debug)]
pub enum Prior<'a> {
    /// N(0, 1), what `loss.kl` holds posteriors to.
    Normal,
    /// A density fitted to the latents of training pictures.
    Fitted(&'a Fitted),
}

/// A density over latents: a Gaussian around each training picture of one style, all alike in weight, with
/// the mean and the covariance of the latents of that picture and its nearest ones, and the mean variance of
/// posteriors on top.
///
/// # Source
/// Vincent and Bengio 2003, *Manifold Parzen Windows*, with a window's mean for its middle; Ghosh et al.
/// 2020, *From Variational to Deterministic Autoencoders*, for fitting it to a trained auto-encoder.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// `[n, len]`
    means: Vec<f32>,
    /// Deviations of posteriors, mean over pictures: `[len]`.
    deviations: Vec<f32>,
}

impl Fitted {
    /// To all training pictures of a style.
    pub fn of(
        generator: &Generator,
        device: &Device,
        view: TrainingView<'_>,
        style: usize,
    ) -> Self {
        let size = view.size_px() as usize;
        let shape = |n| [n, view.channels().count(), size, size];
        let (mut means, mut variances) = (Vec::new(), Vec::new());
        let items = view.items(style);
        for items in items.chunks(CHUNK) {
            let pictures = view.network_pictures(style, items);
            let data = TensorData::new(pictures, shape(items.len()));
            let posterior = generator.encode(Tensor::from_data(data, device));
            means.extend(values_of(posterior.mean()));
            let log_vars = values_of(posterior.log_var());
            let len = log_vars.len() / items.len();
            variances.resize(len, 0.0);
            for log_vars in log_vars.chunks_exact(len) {
                for (sum, log_var) in variances.iter_mut().zip(log_vars) {
                    *sum += log_var.exp();
                }
            }
        }
        let count = items.len().to_f32();
        Self {
            means,
            deviations: variances
                .iter()
                .map(|sum: &f32| (sum / count).sqrt())
                .collect(),
        }
    }

    fn mean(&self, picture: usize) -> &[f32] {
        let len = self.deviations.len();
        &self.means[picture * len..][..len]
    }

    /// The latents nearest to one, itself first.
    fn nearest(&self, picture: usize) -> Vec<&[f32]> {
        let own = self.mean(picture);
        let all = self
            .means
            .par_chunks_exact(own.len())
            .map(|other| (summed(own, other, |a, b| (a - b) * (a - b)), other));
        let mut all: Vec<(f32, &[f32])> = all.collect();
        let count = NEIGHBOURS.min(all.len());
        all.select_nth_unstable_by(count - 1, |a, b| a.0.total_cmp(&b.0));
        all.truncate(count);
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all.into_iter().map(|(_, latent)| latent).collect()
    }

    /// One latent, its distance from the middle of its window times `temperature`.
    fn draw(&self, rng: &mut Rng, temperature: f32) -> Vec<f32> {
        let len = self.deviations.len();
        let count = (self.means.len() / len).to_u32();
        let near = self.nearest(rng.below(count) as usize);
        let each = 1.0 / near.len().to_f32();
        let mut middle = vec![0.0; len];
        for latent in &near {
            for (sum, value) in middle.iter_mut().zip(*latent) {
                *sum += each * value;
            }
        }
        // A sum of differences from the middle with independent normal weights has their covariance.
        let mut sample = middle.clone();
        for (latent, weight) in near.iter().zip(rng.normals(near.len())) {
            let weight = temperature * each.sqrt() * weight;
            for ((value, at), middle) in sample.iter_mut().zip(*latent).zip(&middle) {
                *value += weight * (at - middle);
            }
        }
        let noise = rng.normals(len);
        for ((value, noise), deviation) in sample.iter_mut().zip(noise).zip(&self.deviations) {
            *value += temperature * deviation * noise;
        }
        sample
    }
}

/// Draws pictures, one by each row of `codes`, under `seed`. With [`Prior::Normal`] the same seed gives the
/// same latents for every style. `temperature` scales the distance of latents from the middle: below 1, more
/// ordinary pictures.
///
/// # Shapes
/// `codes`: `[n, style_dims]`; returns `[n, c, size, size]` in [-1, 1].
pub fn sample(
    generator: &Generator,
    config: &Config,
    device: &Device,
    prior: Prior<'_>,
    codes: &Tensor<2>,
    seed: u64,
    temperature: f32,
) -> Vec<f32> {
    let [z, h, w] = config.generator.latent_shape(config.data.size_px as usize);
    let [n, _] = codes.dims();
    let mut rng = Rng::new(seed, Stream::SAMPLES, 1);
    let mut out = Vec::new();
    for start in (0..n).step_by(CHUNK) {
        let count = CHUNK.min(n - start);
        let latents: Vec<f32> = match prior {
            Prior::Normal => {
                let noise = rng.normals(count * z * h * w);
                noise.iter().map(|value| value * temperature).collect()
            }
            Prior::Fitted(fitted) => repeat_n((), count)
                .flat_map(|()| fitted.draw(&mut rng, temperature))
                .collect(),
        };
        let latents = Tensor::from_data(TensorData::new(latents, [count, z, h, w]), device);
        let decoded = generator.decode_as(latents, codes.clone().narrow(0, start, count));
        out.extend(values_of(decoded));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` latents on a line through (1, 2, 3) along (1, -1, 0), evenly from -1 to 1, and `beside` far
    /// from them.
    fn fitted(count: usize, beside: &[f32]) -> Fitted {
        let at = |i: usize| 2.0 * i.to_f32() / (count - 1).to_f32() - 1.0;
        let line = (0..count).flat_map(|i| [1.0 + at(i), 2.0 - at(i), 3.0]);
        Fitted {
            means: line.chain(beside.iter().copied()).collect(),
            deviations: vec![0.0, 0.0, 0.1],
        }
    }

    #[test]
    fn draws_have_the_moments_of_the_latents_they_were_fitted_to() {
        let ten = fitted(10, &[]);
        let mut rng = Rng::new(1, Stream::TEST, 0);
        let draws: Vec<Vec<f32>> = (0..20_000).map(|_| ten.draw(&mut rng, 1.0)).collect();
        let mean = |of: &dyn Fn(&[f32]) -> f32| {
            draws.iter().map(|d| f64::from(of(d))).sum::<f64>() / draws.len().to_f64()
        };
        // All ten are each one's nearest: one Gaussian. Evenly spaced, their variance is that of the
        // positions.
        let variance = (0..10).map(|i| (2.0 * f64::from(i) / 9.0 - 1.0).powi(2));
        let variance = variance.sum::<f64>() / 10.0;
        for (axis, middle) in [1.0_f32, 2.0, 3.0].into_iter().enumerate() {
            assert!((mean(&|d| d[axis]) - f64::from(middle)).abs() < 0.02);
        }
        assert!((mean(&|d| (d[0] - 1.0).powi(2)) / variance - 1.0).abs() < 0.05);
        assert!((mean(&|d| (d[0] - 1.0) * (d[1] - 2.0)) / -variance - 1.0).abs() < 0.05);
        assert!((mean(&|d| (d[2] - 3.0).powi(2)) / 0.01 - 1.0).abs() < 0.05);
        // Never off the line but for the posterior's own spread.
        assert!(draws.iter().all(|d| (d[0] + d[1] - 3.0).abs() < 1e-5));
    }

    #[test]
    fn a_window_holds_the_nearest_alone_and_no_temperature_its_middle() {
        // Ten far away: no window mixes them with the line's.
        let far: Vec<f32> = (0..10).flat_map(|_| [500.0, 0.0, 0.0]).collect();
        let two = fitted(10, &far);
        let mut rng = Rng::new(2, Stream::TEST, 0);
        let mut there = 0;
        for _ in 0..200 {
            let sample = two.draw(&mut rng, 0.0);
            if sample[0] > 250.0 {
                there += 1;
                assert_eq!(sample, [500.0, 0.0, 0.0]);
            } else {
                assert!((sample[0] - 1.0).abs() < 1e-5 && (sample[2] - 3.0).abs() < 1e-5);
            }
        }
        assert!((60..140).contains(&there), "{there}");
        // Fewer pictures than a window takes.
        let mut rng = Rng::new(3, Stream::TEST, 0);
        let sample = fitted(2, &[]).draw(&mut rng, 1.0);
        assert!((sample[0] + sample[1] - 3.0).abs() < 1e-5);
    }
}
