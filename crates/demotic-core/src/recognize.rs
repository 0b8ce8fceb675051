//! What the discriminator thinks of a picture: which style, how sure, which patches look fake, and a heat map
//! of that.

use crate::number::{Real, Whole};
use burn::tensor::{Device, Tensor, TensorData};

use crate::arrays::values_of;
use crate::data::{BRIGHTNESS, Channels, Fit, Picture};
use crate::model::{CHUNK, Discriminator, DiscriminatorConfig};
use crate::translate::to_byte;

/// What a patch that is surely fake is tinted with.
const TINT: [f32; 3] = [230.0, 20.0, 30.0];
/// How much of the tint covers it.
const COVER: f32 = 0.75;

/// Labels of one picture's patches.
#[derive(Clone, Debug, PartialEq)]
pub struct Opinion {
    /// Probability of each style given that the picture is real; sums to 1.
    pub styles: Vec<f32>,
    /// Mean over patches of the probability that they are fake.
    pub fake: f32,
    /// Probability that each patch is fake: rows from the top, `grid * grid`.
    pub patches: Vec<f32>,
    /// The most probable label of each patch: 0 fake, `1 + k` real of style `k`.
    pub labels: Vec<usize>,
    /// Patches along a side.
    pub grid: usize,
}

impl Opinion {
    /// Takes posteriors `[labels, grid, grid]`; only patches for which `counts` holds have a say in what is
    /// said of the whole picture, all of them if it holds for none.
    ///
    /// The probability of a style is the mean over patches of its label, over the sum of those of all styles.
    pub fn new(posteriors: &[f32], grid: usize, counts: impl Fn(usize) -> bool) -> Self {
        let patches = grid * grid;
        let labels = posteriors.len() / patches;
        let mut counted: Vec<usize> = (0..patches).filter(|&patch| counts(patch)).collect();
        if counted.is_empty() {
            counted = (0..patches).collect();
        }
        let means: Vec<f32> = posteriors
            .chunks_exact(patches)
            .map(|row| counted.iter().map(|&p| row[p]).sum::<f32>() / counted.len().to_f32())
            .collect();
        let real: f32 = means[1..].iter().sum();
        let most = |patch: usize| {
            let mut best = 0;
            for label in 1..labels {
                if posteriors[label * patches + patch] > posteriors[best * patches + patch] {
                    best = label;
                }
            }
            best
        };
        Self {
            // Where no patch could be real, every style is as likely.
            styles: means[1..]
                .iter()
                .map(|mean| {
                    if real > 0.0 {
                        mean / real
                    } else {
                        1.0 / (labels - 1).to_f32()
                    }
                })
                .collect(),
            fake: means[0],
            patches: posteriors[..patches].to_vec(),
            labels: (0..patches).map(most).collect(),
            grid,
        }
    }

    /// The most probable style, the first of equals.
    pub fn style(&self) -> usize {
        let mut best = 0;
        for (style, prob) in self.styles.iter().enumerate() {
            if *prob > self.styles[best] {
                best = style;
            }
        }
        best
    }
}

/// Posteriors of every patch's label: `[n, labels, grid, grid]`, one picture after the other.
///
/// # Shapes
/// `pictures`: `[n, c, size, size]` in [-1, 1].
pub fn posteriors(
    discriminator: &Discriminator,
    device: &Device,
    pictures: &[f32],
    size: usize,
) -> Vec<f32> {
    let channels = discriminator.channels();
    let len = channels * size * size;
    let mut all = Vec::new();
    for chunk in pictures.chunks(CHUNK * len) {
        let data = TensorData::new(chunk.to_vec(), [chunk.len() / len, channels, size, size]);
        let emissions = discriminator.emissions(Tensor::from_data(data, device));
        all.extend(values_of(discriminator.marginals(emissions)));
    }
    all
}

/// Opinions of whole square pictures: see [`posteriors`].
pub(crate) fn opinions(
    discriminator: &Discriminator,
    device: &Device,
    pictures: &[f32],
    size: usize,
) -> Vec<Opinion> {
    let grid = size / DiscriminatorConfig::PATCH_STRIDE;
    let n = pictures.len() / (discriminator.channels() * size * size);
    let values = posteriors(discriminator, device, pictures, size);
    let len = values.len() / n.max(1);
    let rows = values.chunks_exact(len.max(1));
    rows.map(|row| Opinion::new(row, grid, |_| true)).collect()
}

/// Opinions of pictures of any size, laid on `background` in the square that the discriminator knows. Patches
/// whose centre lies beside the picture have no say.
pub fn recognize(
    discriminator: &Discriminator,
    device: &Device,
    pictures: &[Picture],
    size_px: u32,
    background: [u8; 3],
    channels: Channels,
    fit: Fit,
) -> Vec<Opinion> {
    let (grid, stride) = grid_of(size_px);
    let squares: Vec<f32> = pictures
        .iter()
        .flat_map(|picture| {
            picture
                .fitted_whole(size_px, fit)
                .planes(channels, background)
        })
        .collect();
    let values = posteriors(discriminator, device, &squares, size_px as usize);
    let len = values.len() / pictures.len().max(1);
    pictures
        .iter()
        .zip(values.chunks_exact(len.max(1)))
        .map(|(picture, values)| {
            let [left, top, width, height] = picture.place_in(size_px).map(|v| v as usize);
            Opinion::new(values, grid, |patch| {
                let centre = |i: usize| i * stride + stride / 2;
                let (x, y) = (centre(patch % grid), centre(patch / grid));
                (left..left + width).contains(&x) && (top..top + height).contains(&y)
            })
        })
        .collect()
}

/// Patches along a side, and pixels along a patch's.
fn grid_of(size_px: u32) -> (usize, usize) {
    let stride = DiscriminatorConfig::PATCH_STRIDE;
    (size_px as usize / stride, stride)
}

/// A picture on its background in grey, patches that look fake tinted red: `[height, width, 3]` at the
/// picture's size.
pub fn heat_map(
    picture: &Picture,
    opinion: &Opinion,
    size_px: u32,
    background: [u8; 3],
) -> Vec<u8> {
    let (grid, stride) = grid_of(size_px);
    let [left, top, width, height] = picture.place_in(size_px);
    let planes = picture.compose(background);
    let (columns, rows) = (picture.width_px as usize, picture.height_px as usize);
    let area = columns * rows;
    let mut pixels = Vec::with_capacity(3 * area);
    for y in 0..rows {
        for x in 0..columns {
            // The pixel's middle in the square, then its patch.
            let place = |i: usize, length: usize, start: u32, span: u32| {
                let within = (i.to_f32() + 0.5) / length.to_f32() * span.to_f32();
                ((start.to_f32() + within).to_usize() / stride).min(grid - 1)
            };
            let patch = place(y, rows, top, height) * grid + place(x, columns, left, width);
            let cover = COVER * opinion.patches[patch].clamp(0.0, 1.0);
            let value = |c: usize| f32::from(to_byte(planes[c * area + y * columns + x]));
            let parts = (0..3).map(|c| BRIGHTNESS[c] * value(c));
            let grey: f32 = parts.sum();
            pixels.extend(TINT.map(|tint| (grey * (1.0 - cover) + tint * cover).round().to_u8()));
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opinion_tells_style_and_made_patches_of_those_that_count() {
        // Labels fake, a, b over a grid of 2: the upper row is a, the lower left fake, the lower right b.
        let posteriors = [
            [0.1, 0.0, 0.9, 0.2],
            [0.7, 0.8, 0.1, 0.1],
            [0.2, 0.2, 0.0, 0.7],
        ]
        .concat();
        let all = Opinion::new(&posteriors, 2, |_| true);
        assert_eq!((all.style(), all.labels.as_slice()), (0, &[1, 1, 0, 2][..]));
        assert!(
            (all.fake - 0.3).abs() < 1e-6 && (all.styles.iter().sum::<f32>() - 1.0).abs() < 1e-6
        );
        assert_eq!(all.patches, [0.1, 0.0, 0.9, 0.2]);
        let last = Opinion::new(&posteriors, 2, |patch| patch == 3);
        assert_eq!(last.style(), 1);
        assert!((last.styles[1] - 0.875).abs() < 1e-6 && (last.fake - 0.2).abs() < 1e-6);
        let none = Opinion::new(&posteriors, 2, |_| false);
        assert_eq!(none, all);
    }

    #[test]
    fn a_heat_map_has_the_pictures_size_and_is_red_where_it_looks_made() {
        // Twice as wide as high: in a square of 16 it takes rows 4 to 12, patches 1 and 2 of the four rows.
        let picture = Picture {
            width_px: 8,
            height_px: 4,
            premultiplied: vec![0; 8 * 4 * 4],
        };
        let mut patches = vec![0.0; 16];
        patches[4 + 3] = 1.0; // second row, last column: the upper right quarter-width block
        let opinion = Opinion {
            styles: vec![1.0],
            fake: 0.0,
            patches,
            labels: vec![1; 16],
            grid: 4,
        };
        let map = heat_map(&picture, &opinion, 16, [255; 3]);
        assert_eq!(map.len(), 8 * 4 * 3);
        let pixel = |x: usize, y: usize| &map[3 * (y * 8 + x)..][..3];
        assert_eq!(pixel(0, 0), [255; 3]);
        assert_eq!(pixel(5, 1), [255; 3]);
        assert_eq!(pixel(7, 3), [255; 3]);
        for (x, y) in [(6, 0), (7, 1)] {
            assert!(
                pixel(x, y)[0] > 200 && pixel(x, y)[1] < 100,
                "{:?}",
                pixel(x, y)
            );
        }
    }
}
