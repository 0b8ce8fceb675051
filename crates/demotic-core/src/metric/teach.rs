//! How the feature network is taught: the same name in two styles is brought together, other names are kept apart, and
//! styles are told from each other. From training families alone; held-out ones only rank what came out.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use serde::Serialize;

use super::features::{FeatureNet, Features, LOOK, SIDE_PX};
use crate::data::{Augmentation, Channels, Dataset, Split, TrainItem, TrainingView, render};
use crate::error::Error;
use crate::model::Init;
use crate::rng::{Rng, Stream};
use crate::train::{Adam, values_of};

/// Divides cosines before the softmax over names.
const TEMPERATURE: f32 = 0.1;
/// Weight of the styles' cross-entropy beside that of identity.
const STYLE_WEIGHT: f32 = 0.5;
/// Steps over which the rate rises.
const WARMUP_STEPS: f64 = 50.0;
/// Pictures through the network at a time when the spread of features is measured.
const CHUNK: usize = 64;

/// How long and how fast.
#[derive(Clone, Debug)]
pub struct TeachOptions {
    /// Source of every random number.
    pub seed: u64,
    /// Steps of Adam.
    pub steps: u64,
    /// Names a step, each in two styles.
    pub names: usize,
    /// Highest rate.
    pub rate: f64,
}

impl Default for TeachOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            steps: 2500,
            names: 64,
            rate: 1e-3,
        }
    }
}

/// Losses at a step, in nats.
#[derive(Clone, Copy, Debug)]
pub struct TeachTick {
    /// Steps done.
    pub step: u64,
    /// Of what is shown.
    pub identity: f32,
    /// Of the style.
    pub style: f32,
}

/// Trains a network on the training families of a data set, on the processor: the same weights from the same seed.
///
/// `tick` is told the losses every `every` steps.
///
/// # Errors
/// [`Error::Config`] where fewer names than a step needs are drawn in two styles, and where the pictures have another
/// size than the network's 32 px; [`Error::Diverged`] where a loss is not a number.
pub fn teach(
    view: TrainingView<'_>,
    options: &TeachOptions,
    every: u64,
    tick: &mut dyn FnMut(TeachTick),
) -> Result<Features, Error> {
    if view.size_px() as usize != SIDE_PX {
        return Err(Error::Config(vec![format!(
            "features: pictures of {} px, expected {SIDE_PX}",
            view.size_px()
        )]));
    }
    let drawn = drawn_twice(view);
    if drawn.len() < options.names || options.names < 2 {
        return Err(Error::Config(vec![format!(
            "features: {} training names are drawn in two styles, expected at least {} (and 2): give more pictures or fewer names a step",
            drawn.len(),
            options.names
        )]));
    }
    let device = Device::flex();
    let training = device.clone().autodiff();
    let mut init = Init::new(options.seed, 16, &training);
    let styles = view.styles().len();
    let mut net = FeatureNet::new(&mut init, styles);
    let mut adam = Adam::new(0.9, 0.999, 5.0);
    let augmentation = Augmentation {
        // A mirrored arrow is another name.
        flip_prob: 0.0,
        affine_prob: 0.8,
        brightness_max: 0.1,
        hue_max_degrees: 10.0,
        ..Augmentation::default()
    };
    let n = options.names;
    for step in 0..options.steps {
        let chosen = names_of_step(drawn.len(), n, step, options.seed);
        let mut rng = Rng::new(options.seed, Stream::FEATURES.lane(1), step);
        let (mut pictures, mut labels) = (Vec::new(), vec![0; 2 * n]);
        let mut planes = vec![0.0; view.picture_len()];
        for (slot, &name) in chosen.iter().enumerate() {
            let (item, has) = &drawn[name];
            let first = rng.below(has.len() as u32) as usize;
            let second = (first + 1 + rng.below(has.len() as u32 - 1) as usize) % has.len();
            labels[slot] = has[first];
            labels[n + slot] = has[second];
            for style in [has[first], has[second]] {
                let variation = augmentation.draw(&mut rng);
                let rgba = view.rgba(style, *item);
                let background = view.background();
                render(
                    rgba,
                    SIDE_PX,
                    &variation,
                    background,
                    Channels::Rgb,
                    &mut planes,
                );
                // A little noise, so that it is not what tells pictures apart.
                let noise = 0.1 * rng.uniform();
                pictures.push(
                    planes
                        .iter()
                        .map(|v| v + noise * rng.normal())
                        .collect::<Vec<f32>>(),
                );
            }
        }
        // First drawings, then second ones.
        let ordered: Vec<f32> = (0..2)
            .flat_map(|half| pictures.iter().skip(half).step_by(2).flatten().copied())
            .collect();
        let data = TensorData::new(ordered, [2 * n, 3, SIDE_PX, SIDE_PX]);
        let seen = net.see(Tensor::from_data(data, &training));
        let identity = contrast(seen.identity, &training);
        let style = cross_entropy(net.style(seen.look), &labels, &training);
        let total = identity.clone() + style.clone().mul_scalar(STYLE_WEIGHT);
        let mut gradients = total.backward();
        let gradients = GradientsParams::from_module(&mut gradients, &net);
        let progress = step as f64 / options.steps as f64;
        let warm = ((step + 1) as f64 / WARMUP_STEPS).min(1.0);
        let rate = options.rate * warm * (1.0 - 0.99 * progress);
        (net, _) = adam.step(net, gradients, |_| rate);
        if (step + 1) % every == 0 || step + 1 == options.steps {
            let [identity, style] = [identity, style].map(|loss| values_of(loss.inner())[0]);
            if !(identity.is_finite() && style.is_finite()) {
                return Err(Error::Diverged {
                    step: step + 1,
                    what: format!("identity is {identity}, style is {style}"),
                });
            }
            tick(TeachTick {
                step: step + 1,
                identity,
                style,
            });
        }
    }
    let net = net.valid();
    let (mean, deviation) = spread(&net, view, &device);
    let names = view
        .styles()
        .iter()
        .map(|style| style.name.clone())
        .collect();
    Ok(Features::new(net, mean, deviation, names))
}

/// Training items with a picture in at least two styles, and which.
fn drawn_twice(view: TrainingView<'_>) -> Vec<(TrainItem, Vec<usize>)> {
    let mut styles = std::collections::BTreeMap::<TrainItem, Vec<usize>>::new();
    for style in 0..view.styles().len() {
        for item in view.items(style) {
            styles.entry(*item).or_default().push(style);
        }
    }
    styles
        .into_iter()
        .filter(|(_, has)| has.len() >= 2)
        .collect()
}

/// The names of a step: every name once an epoch, in an order shuffled anew.
fn names_of_step(count: usize, n: usize, step: u64, seed: u64) -> Vec<usize> {
    let steps_an_epoch = (count / n) as u64;
    let epoch = step / steps_an_epoch;
    let order = Rng::new(seed, Stream::FEATURES, epoch).permutation(count);
    let start = (step % steps_an_epoch) as usize * n;
    order[start..start + n]
        .iter()
        .map(|&i| i as usize)
        .collect()
}

/// Each of the first half must find its counterpart among the second half, and the other way round: mean, nats.
///
/// # Source
/// van den Oord, Li, Vinyals 2018 (`InfoNCE`); Radford et al. 2021 for both ways.
fn contrast(identity: Tensor<2>, device: &Device) -> Tensor<1> {
    let n = identity.dims()[0] / 2;
    let mut halves = identity.split(n, 0).into_iter();
    let (a, b) = halves
        .next()
        .zip(halves.next())
        .expect("2n rows split into two");
    let cosines = a.matmul(b.transpose()).div_scalar(TEMPERATURE); // [n, n]
    let own: Vec<usize> = (0..n).collect();
    let there = cross_entropy(cosines.clone(), &own, device);
    let back = cross_entropy(cosines.transpose(), &own, device);
    (there + back).div_scalar(2.0)
}

/// `-log softmax(logits)[target]`, mean over rows.
fn cross_entropy(logits: Tensor<2>, targets: &[usize], device: &Device) -> Tensor<1> {
    let [n, _] = logits.dims();
    let targets: Vec<i32> = targets.iter().map(|&t| t as i32).collect();
    let targets = Tensor::<2, Int>::from_data(TensorData::new(targets, [n, 1]), device);
    activation::log_softmax(logits, 1)
        .gather(1, targets)
        .mean()
        .neg()
}

/// Mean and deviation of every entry of the look over all training pictures.
fn spread(net: &FeatureNet, view: TrainingView<'_>, device: &Device) -> (Vec<f32>, Vec<f32>) {
    let (mut sums, mut squares, mut count) = (vec![0.0_f64; LOOK], vec![0.0_f64; LOOK], 0.0);
    for style in 0..view.styles().len() {
        for items in view.items(style).chunks(CHUNK) {
            let pictures: Vec<f32> = items
                .iter()
                .flat_map(|&item| view.picture(style, item))
                .collect();
            let data = TensorData::new(pictures, [items.len(), 3, SIDE_PX, SIDE_PX]);
            let look = values_of(net.see(Tensor::from_data(data, device)).look);
            for row in look.chunks_exact(LOOK) {
                for ((sum, square), &v) in sums.iter_mut().zip(&mut squares).zip(row) {
                    *sum += f64::from(v);
                    *square += f64::from(v).powi(2);
                }
                count += 1.0;
            }
        }
    }
    let mean: Vec<f64> = sums.iter().map(|sum| sum / count).collect();
    let deviation = squares
        .iter()
        .zip(&mean)
        // A channel that never moves would blow rounding up.
        .map(|(square, mean)| (square / count - mean * mean).max(1e-6).sqrt() as f32)
        .collect();
    (mean.into_iter().map(|v| v as f32).collect(), deviation)
}

/// How a network ranks pictures that it was not taught on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ranks {
    /// Held-out names.
    pub names: usize,
    /// Share of drawings whose nearest drawing in another style, among all held-out names, has their name; mean over
    /// ordered pairs of styles.
    pub same_name_nearest: f64,
    /// Share of (drawing, counterpart, other drawing of the counterpart's style) in which the counterpart is nearer.
    pub same_name_nearer: f64,
    /// Share of drawings whose style is told.
    pub style: f64,
}

/// Ranks the pictures of a held-out split.
///
/// # Errors
/// [`Error::Config`] where the data set lacks a style of the network.
pub fn rank(features: &Features, dataset: &Dataset, split: Split) -> Result<Ranks, Error> {
    let side = dataset.size_px() as usize;
    let mut sets = Vec::new();
    for (known, name) in features.styles().iter().enumerate() {
        let style = dataset.style_index(name)?;
        let items = dataset.items(style, split).to_vec();
        let set = features.of(&dataset.pictures(style, &items), side);
        sets.push((known, items, set));
    }
    let (mut nearest, mut nearer, mut pairs, mut triples) = (0.0, 0.0, 0.0, 0.0);
    let (mut right, mut pictures) = (0.0, 0.0);
    for (known, items, set) in &sets {
        right += set.style.iter().filter(|style| *style == known).count() as f64;
        pictures += set.len() as f64;
        for (other, there, others) in &sets {
            if known == other {
                continue;
            }
            for (i, item) in items.iter().enumerate() {
                let Ok(own) = there.binary_search(item) else {
                    continue;
                };
                let likeness = set.likeness(i, others, own);
                let farther = (0..others.len())
                    .filter(|&j| j != own && set.likeness(i, others, j) < likeness)
                    .count();
                nearest += f64::from(u8::from(farther == others.len() - 1));
                nearer += farther as f64;
                pairs += 1.0;
                triples += (others.len() - 1) as f64;
            }
        }
    }
    Ok(Ranks {
        names: sets.first().map_or(0, |(_, items, _)| items.len()),
        same_name_nearest: nearest / pairs,
        same_name_nearer: nearer / triples,
        style: right / pictures,
    })
}
