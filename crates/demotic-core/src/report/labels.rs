//! What a discriminator says of every patch of some pictures: real ones, translations, and mixtures of both.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use crate::arrays::values_of;
use crate::data::Dataset;
use crate::model::{Discriminator, DiscriminatorConfig, Generator};
use crate::number::{Real, Whole};
use crate::rng::{Rng, Stream};
use crate::settings::AdversarialKind;
use crate::train::{Composites, Layout, plan, style_planes};
use crate::translate;

/// What a picture is put together from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A picture of the data set.
    Real,
    /// A translation.
    Fake,
    /// Patches of both.
    Mixed,
}

/// A picture, the truth about its patches, and what the discriminator says of them.
#[derive(Clone, Debug)]
pub struct LabelMap {
    /// What the picture is put together from.
    pub kind: Kind,
    /// `[c, size, size]` in [-1, 1].
    pub picture: Vec<f32>,
    /// Patches along a side.
    pub grid: usize,
    /// `[grid, grid]`: 0 for fake, `1 + style` for real.
    pub truth: Vec<u32>,
    /// `[1 + styles, grid, grid]`: posterior of each label, sums to one over labels. Under a loss that does
    /// not distinguish styles: that of fake and of the style that the patch has or was translated into, zero
    /// for the others.
    pub probs: Vec<f32>,
}

/// Maps of the given pictures `(style, item)`, of their translations into the next style, and of mixtures of
/// both, most of which hold fake patches beside real ones. `kind`: what the discriminator was trained by.
pub fn label_maps(
    generator: &Generator,
    discriminator: &Discriminator,
    kind: AdversarialKind,
    dataset: &Dataset,
    device: &Device,
    pictures: &[(usize, usize)],
) -> Vec<LabelMap> {
    let (styles, size, n) = (
        dataset.styles().len(),
        dataset.size_px() as usize,
        pictures.len(),
    );
    let grid = size / DiscriminatorConfig::PATCH_STRIDE;
    let channels = dataset.channels().count();
    let len = channels * size * size;
    let own: Vec<u32> = pictures.iter().map(|&(style, _)| style.to_u32()).collect();
    let targets: Vec<u32> = own
        .iter()
        .map(|style| (style + 1) % styles.to_u32())
        .collect();
    let real: Vec<f32> = pictures
        .iter()
        .flat_map(|&(style, item)| dataset.network_pictures(style, &[item]))
        .collect();
    let fakes = translate::translate(generator, device, &real, size, &targets);
    let layout = Layout {
        grid,
        stride: DiscriminatorConfig::PATCH_STRIDE,
    };
    let mixtures = telling_mixtures(n, &own, &targets, layout);
    let picture = |i: i32| {
        let i = i.to_usize();
        if i < n {
            &real[i * len..][..len]
        } else {
            &fakes[(i - n) * len..][..len]
        }
    };
    let mut maps: Vec<LabelMap> = Vec::new();
    let mut add = |kind, picture: Vec<f32>, truth: Vec<u32>| {
        maps.push(LabelMap {
            kind,
            picture,
            grid,
            truth,
            probs: Vec::new(),
        });
    };
    for (i, style) in own.iter().enumerate() {
        add(
            Kind::Real,
            picture(i.to_i32()).to_vec(),
            vec![1 + style; grid * grid],
        );
    }
    for i in 0..n {
        add(
            Kind::Fake,
            picture((n + i).to_i32()).to_vec(),
            vec![0; grid * grid],
        );
    }
    for i in 0..n {
        let (inside, outside) = (picture(mixtures.inside[i]), picture(mixtures.outside[i]));
        let mask = mixtures.mask[i * size * size..][..size * size].repeat(channels);
        let mixed = inside
            .iter()
            .zip(outside)
            .zip(&mask)
            .map(|((a, b), &m)| m * a + (1.0 - m) * b);
        let truth = mixtures.labels[i * grid * grid..][..grid * grid]
            .iter()
            .map(|&label| label.to_u32());
        add(Kind::Mixed, mixed.collect(), truth.collect());
    }

    let all: Vec<f32> = maps
        .iter()
        .flat_map(|map| map.picture.iter().copied())
        .collect();
    let shape = [maps.len(), channels, size, size];
    let pictures = Tensor::<4>::from_data(TensorData::new(all, shape), device);
    let styles_at = || {
        let whole = own.iter().chain(&targets);
        let mut at: Vec<u32> = whole.flat_map(|s| vec![*s; grid * grid]).collect();
        at.extend(&mixtures.styles);
        at
    };
    let probs = label_probs(&discriminator.valid(), kind, pictures, styles_at);
    for (map, probs) in maps
        .iter_mut()
        .zip(probs.chunks_exact((1 + styles) * grid * grid))
    {
        map.probs = probs.to_vec();
        map.picture = dataset.shown(&map.picture);
    }
    maps
}

/// A plan of `n` mixtures, most of which hold fake patches beside real ones.
fn telling_mixtures(n: usize, own: &[u32], targets: &[u32], layout: Layout) -> Composites {
    // Some draws hold seams that mean nothing only. The first with as many fake and real ones as there may
    // be.
    let draw = |number| {
        plan(
            Rng::new(0, Stream::COMPOSITE, number),
            n,
            1.0,
            own,
            targets,
            layout,
        )
    };
    let patches = layout.grid * layout.grid;
    let telling = |draw: &Composites| {
        let labels = draw.labels.chunks_exact(patches);
        labels
            .filter(|labels| labels.contains(&0) && labels.iter().any(|label| *label > 0))
            .count()
    };
    (0..64)
        .map(draw)
        .find(|draw| telling(draw) + 1 >= n)
        .unwrap_or_else(|| draw(0))
}

/// Posteriors as [`LabelMap::probs`] holds them, one picture after the other. `styles_at`: the style that
/// each patch has or was translated into.
fn label_probs(
    discriminator: &Discriminator,
    kind: AdversarialKind,
    pictures: Tensor<4>,
    styles_at: impl FnOnce() -> Vec<u32>,
) -> Vec<f32> {
    let emissions = discriminator.emissions(pictures);
    values_of(if kind.tells_styles() {
        discriminator.marginals(emissions)
    } else {
        let planes = style_planes(&styles_at(), &emissions);
        let real = kind.real_prob(Discriminator::real_logits(emissions, planes.clone()));
        let real = real.unsqueeze_dim::<4>(1); // [m, 1, grid, grid]
        Tensor::cat(vec![real.clone().neg() + 1.0, planes * real], 1)
    })
}

impl LabelMap {
    /// The most probable label of each patch.
    pub fn said(&self) -> Vec<u32> {
        let patches = self.grid * self.grid;
        let best = |patch: usize| {
            let probs = self.probs.iter().skip(patch).step_by(patches);
            let (label, _) =
                probs
                    .enumerate()
                    .fold((0, f32::NEG_INFINITY), |best, (label, &prob)| {
                        if prob > best.1 { (label, prob) } else { best }
                    });
            label.to_u32()
        };
        (0..patches).map(best).collect()
    }

    /// Share of the patches whose most probable label is the true one; 0 to 1.
    pub fn right_share(&self) -> f32 {
        let said = self.said();
        let right = said.iter().zip(&self.truth).filter(|(a, b)| a == b).count();
        right.to_f32() / said.len().to_f32()
    }
}

/// Colour of a label, red, green and blue in 0 to 1: vermilion for fake, then one per style.
pub fn label_colour(label: u32) -> [f32; 3] {
    // After Okabe and Ito, distinguishable with any colour vision.
    const COLOURS: [[u8; 3]; 8] = [
        [213, 94, 0],
        [0, 114, 178],
        [0, 158, 115],
        [240, 228, 66],
        [204, 121, 167],
        [86, 180, 233],
        [230, 159, 0],
        [90, 90, 90],
    ];
    COLOURS[label as usize % COLOURS.len()].map(|v| f32::from(v) / 255.0)
}

/// Colour of a probability: dark violet at 0 to yellow at 1, brighter throughout.
///
/// # Source
/// Five points of the map `viridis` (van der Walt and Smith 2015), straight lines between them.
pub fn heat_colour(prob: f32) -> [f32; 3] {
    const POINTS: [[u8; 3]; 5] = [
        [68, 1, 84],
        [59, 82, 139],
        [33, 145, 140],
        [94, 201, 98],
        [253, 231, 37],
    ];
    let at = prob.clamp(0.0, 1.0) * (POINTS.len() - 1).to_f32();
    let low = at.to_usize().min(POINTS.len() - 2);
    let share = at - low.to_f32();
    std::array::from_fn(|c| {
        let [a, b] = [POINTS[low][c], POINTS[low + 1][c]].map(f32::from);
        (a + (b - a) * share) / 255.0
    })
}

/// A patch grid as a picture `[3, size, size]` in [-1, 1].
pub fn painted(grid: usize, size: usize, colour: impl Fn(usize) -> [f32; 3]) -> Vec<f32> {
    let stride = size / grid;
    let colours: Vec<[f32; 3]> = (0..grid * grid).map(colour).collect();
    let patch = |y: usize, x: usize| (y / stride).min(grid - 1) * grid + (x / stride).min(grid - 1);
    let plane = |channel: usize| {
        let colours = &colours;
        (0..size * size).map(move |at| 2.0 * colours[patch(at / size, at % size)][channel] - 1.0)
    };
    [0, 1, 2].into_iter().flat_map(plane).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_says_the_most_probable_label_of_each_patch() {
        let map = LabelMap {
            kind: Kind::Real,
            picture: vec![],
            grid: 2,
            truth: vec![1, 1, 1, 1],
            // label 0, then 1, then 2, over four patches
            probs: vec![0.1, 0.6, 0.2, 0.0, 0.8, 0.3, 0.2, 1.0, 0.1, 0.1, 0.6, 0.0],
        };
        assert_eq!(map.said(), [1, 0, 2, 1]);
        assert_eq!(map.right_share(), 0.5);
    }

    #[test]
    fn heat_grows_brighter_and_patches_land_in_their_place() {
        let luminance = |[r, g, b]: [f32; 3]| 0.2126 * r + 0.7152 * g + 0.0722 * b;
        let steps: Vec<f32> = (0..=20)
            .map(|i| luminance(heat_colour(i.to_f32() / 20.0)))
            .collect();
        assert!(steps.windows(2).all(|w| w[1] > w[0]), "{steps:?}");
        let picture = painted(2, 8, |patch| {
            if patch == 1 {
                [1.0, 0.0, 0.0]
            } else {
                [0.0; 3]
            }
        });
        assert_eq!(
            [picture[0], picture[4], picture[4 * 8 + 4], picture[64 + 4]],
            [-1.0, 1.0, -1.0, -1.0]
        );
    }
}
