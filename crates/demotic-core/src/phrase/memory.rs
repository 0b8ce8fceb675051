//! Idea -> picture in a style: a drawing of the idea in another style, encoded and decoded in the style asked
//! for.
//!
//! Drawings are remembered whole. A blend of several is a double exposure (measured on latents: recognised
//! .21 of held-out phrases against .33 for the best one alone), and a network from words to latents draws
//! ghosts (.01).

use burn::tensor::{Device, Tensor};

use crate::data::{Dataset, Split};
use crate::metric::l1;
use crate::model::Generator;
use crate::settings::Config;
use crate::translate::translate_as;

/// Training pairs that hues are compared on.
const HUE_PAIRS: usize = 128;
/// Standard deviation of hues below which a style is grey.
const LEAST_HUE: f32 = 0.02;

/// Where a picture of an idea comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The style's own drawing, as it is in the data.
    Real,
    /// A drawing of this style, translated.
    Translated(String),
}

/// A picture of an idea.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// `[3, size, size]` in [-1, 1], as a person sees it.
    pub picture: Vec<f32>,
    /// How it came about.
    pub origin: Origin,
    /// Whether the drawing that it came from is one beside the run's.
    pub is_beside: bool,
    /// Smallest mean absolute difference, 0 to 1, to a training picture of the style: 0 is a copy.
    pub nearest_l1: f64,
}

/// Draws ideas in one style by a trained generator.
pub struct Memory<'a> {
    generator: &'a Generator,
    config: &'a Config,
    device: &'a Device,
    dataset: &'a Dataset,
    beside: Option<&'a Dataset>,
    style: usize,
    /// Other styles, the one that says most about this one first.
    sources: Vec<usize>,
}

impl<'a> Memory<'a> {
    /// Draws in `style` of the run's pictures. `beside` has drawings of ideas that these lack, of the same
    /// size and channels.
    ///
    /// What is drawn in several styles is translated from the one with the largest sum of silhouette overlap
    /// and agreement of hues, both over training pairs. By silhouettes alone that would be line art or a
    /// black shape, which do not say what is red.
    pub fn new(
        generator: &'a Generator,
        config: &'a Config,
        device: &'a Device,
        dataset: &'a Dataset,
        beside: Option<&'a Dataset>,
        style: usize,
    ) -> Self {
        let says = |other: usize| {
            let pairs = dataset.pairs(other, style, Split::Train);
            let stride = pairs.len().div_ceil(HUE_PAIRS).max(1);
            let pairs: Vec<usize> = pairs.into_iter().step_by(stride).collect();
            let [there, here] = [other, style].map(|of| hues(dataset, of, &pairs));
            dataset.pair_overlap(other, style).unwrap_or(0.0) + agreement(&there, &here)
        };
        let mut sources: Vec<(f32, usize)> = (0..dataset.styles().len())
            .filter(|&other| other != style)
            .map(|other| (says(other), other))
            .collect();
        sources.sort_by(|a, b| b.0.total_cmp(&a.0));
        Self {
            generator,
            config,
            device,
            dataset,
            beside,
            style,
            sources: sources.into_iter().map(|(_, other)| other).collect(),
        }
    }

    /// The style whose drawings are taken first.
    pub(super) fn source(&self) -> Option<&str> {
        let source = self.sources.first()?;
        Some(&self.dataset.styles()[*source].name)
    }

    /// The picture of the idea with `key`, by the style's code `[1, style_dims]`; `None` where nobody has
    /// drawn it.
    ///
    /// With `real`, the style's own drawing where it has one. Else a drawing of another style of the run,
    /// translated; then one beside the run's; last, the style's own, reconstructed.
    pub fn draw(&self, key: &str, code: &Tensor<2>, real: bool) -> Option<Drawn> {
        let own = item_of(self.dataset, key);
        let has = |of: usize| own.is_some_and(|item| self.dataset.has_picture(of, item));
        if let Some(item) = own.filter(|_| real && has(self.style)) {
            let picture = self.dataset.picture(self.style, item);
            return Some(self.drawn(picture, Origin::Real, false));
        }
        let beside = self.beside.and_then(|dataset| {
            let item = item_of(dataset, key)?;
            let styles = 0..dataset.styles().len();
            let mut drawn = styles.filter(|&other| dataset.has_picture(other, item));
            Some((dataset, drawn.next()?, item))
        });
        let of_run = |other: usize| own.map(|item| (self.dataset, other, item));
        let others = self.sources.iter().copied().find(|&other| has(other));
        let last = own.filter(|_| has(self.style));
        let is_beside = others.is_none() && beside.is_some();
        let found = others
            .and_then(of_run)
            .or(beside)
            .or(last.and_then(|_| of_run(self.style)));
        let (dataset, from, item) = found?;
        let source = dataset.network_pictures(from, &[item]);
        let side = self.config.data.size_px as usize;
        let translated = translate_as(self.generator, self.device, &source, side, code);
        let picture = self.dataset.shown(&translated);
        let origin = Origin::Translated(dataset.styles()[from].name.clone());
        Some(self.drawn(picture, origin, is_beside))
    }

    fn drawn(&self, picture: Vec<f32>, origin: Origin, is_beside: bool) -> Drawn {
        let training = self.dataset.items(self.style, Split::Train);
        let nearest = training
            .iter()
            .map(|&item| l1(&picture, &self.dataset.picture(self.style, item)))
            .fold(f64::INFINITY, f64::min);
        Drawn {
            picture,
            origin,
            is_beside,
            nearest_l1: nearest,
        }
    }
}

/// The item with a key.
fn item_of(dataset: &Dataset, key: &str) -> Option<usize> {
    (0..dataset.item_count()).find(|&item| dataset.item_key(item) == key)
}

/// Mean red against green, and yellow against blue, of pictures: `[2, items]`. Grey has neither.
fn hues(dataset: &Dataset, style: usize, items: &[usize]) -> [Vec<f32>; 2] {
    let plane = dataset.picture_len() / 3;
    let mut hues = [Vec::new(), Vec::new()];
    for item in items {
        let picture = dataset.picture(style, *item);
        let mut planes = picture.chunks_exact(plane);
        let mut mean = || {
            let plane = planes.next().expect("a picture has three planes");
            plane.iter().sum::<f32>() / plane.len() as f32
        };
        let [red, green, blue] = [mean(), mean(), mean()];
        hues[0].push(red - green);
        hues[1].push(f32::midpoint(red, green) - blue);
    }
    hues
}

/// Correlation of two sets of hues, -1 to 1; 0 where one hardly has any.
fn agreement(a: &[Vec<f32>; 2], b: &[Vec<f32>; 2]) -> f32 {
    let centred = |hues: &[Vec<f32>; 2]| -> Vec<f32> {
        let apart = hues.iter().flat_map(|hues| {
            let mean = hues.iter().sum::<f32>() / hues.len().max(1) as f32;
            hues.iter().map(move |hue| hue - mean)
        });
        apart.collect()
    };
    let (a, b) = (centred(a), centred(b));
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let spread = |hues: &[f32]| (product(hues, hues) / hues.len().max(1) as f32).sqrt();
    if spread(&a) < LEAST_HUE || spread(&b) < LEAST_HUE {
        return 0.0;
    }
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hues_agree_with_themselves_and_greys_say_nothing() {
        let hues = [vec![0.5, -0.2, 0.1], vec![0.0, 0.3, -0.3]];
        let more = hues
            .clone()
            .map(|row| row.iter().map(|h| 2.0 * h + 1.0).collect());
        let other = hues.clone().map(|row| row.iter().map(|h| -h).collect());
        let grey = [vec![0.001; 3], vec![0.0, 0.002, 0.0]];
        assert!((agreement(&hues, &more) - 1.0).abs() < 1e-6);
        assert!((agreement(&hues, &other) + 1.0).abs() < 1e-6);
        assert_eq!(agreement(&hues, &grey), 0.0);
        assert_eq!(agreement(&[vec![], vec![]], &[vec![], vec![]]), 0.0);
    }
}
