//! Where style codes come from when a style has more than one: from noise, or from a picture in that style.
//!
//! # Source
//! Choi, Uh, Yoo, Ha 2020 (`StarGAN` v2): mapping network and style encoder with an output a style.

use crate::number::Real;
use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};

use super::layers::{Conv, Domain, Init, SLOPE, leaky};
use crate::ops::Read;

/// `x W + b`
#[derive(Module, Debug)]
struct Linear {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Linear {
    fn new(init: &mut Init, from: usize, to: usize, gain: f32) -> Self {
        let deviation = gain * (2.0 / ((1.0 + SLOPE * SLOPE) * from.to_f32())).sqrt();
        Self {
            weight: init.normal([from, to], deviation),
            bias: init.constant([to], 0.0),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val()) + self.bias.val().unsqueeze()
    }
}

/// Noise to style codes.
#[derive(Module, Debug)]
pub(crate) struct Mapping {
    layers: Vec<Linear>,
    output: Linear,
    styles: usize,
}

impl Mapping {
    /// `noise` values to codes of `dims` for each of `styles`.
    pub(crate) fn new(
        init: &mut Init,
        noise: usize,
        width: usize,
        styles: usize,
        dims: usize,
    ) -> Self {
        Self {
            layers: vec![
                Linear::new(init, noise, width, 1.0),
                Linear::new(init, width, width, 1.0),
            ],
            output: Linear::new(init, width, styles * dims, 1.0),
            styles,
        }
    }

    /// `noise [b, noise] -> [b, dims]`
    pub(crate) fn forward(&self, noise: Tensor<2>, styles: &[u32]) -> Tensor<2> {
        let x = self
            .layers
            .iter()
            .fold(noise, |x, layer| leaky(layer.forward(x)));
        of_styles(self.output.forward(x), styles, self.styles)
    }
}

/// Pictures to style codes.
#[derive(Module, Debug)]
pub(crate) struct StyleEncoder {
    stem: Conv,
    convs: Vec<Conv>,
    output: Linear,
    styles: usize,
}

impl StyleEncoder {
    /// Pictures of a domain to codes of `dims` for each of its styles.
    pub(crate) fn new(init: &mut Init, domain: Domain, channels: usize, dims: usize) -> Self {
        Self {
            stem: Conv::new(init, 4 * domain.channels, channels, 3, 1.0),
            convs: vec![
                Conv::new(init, channels, 2 * channels, 3, 1.0),
                Conv::new(init, 2 * channels, 2 * channels, 3, 1.0),
            ],
            output: Linear::new(init, 2 * channels, domain.styles * dims, 1.0),
            styles: domain.styles,
        }
    }

    /// `pictures [b, c, H, W] -> [b, dims]`
    pub(crate) fn forward(&self, pictures: Tensor<4>, styles: &[u32]) -> Tensor<2> {
        let stem = self.stem.read_leaky(Read::unshuffled(pictures));
        let convs = self.convs.iter();
        let x = convs
            .fold(stem, |x, conv| conv.read_leaky(Read::plain(x.halved())))
            .value();
        let [b, c, h, w] = x.dims();
        let mean = x.reshape([b, c, h * w]).mean_dim(2).reshape([b, c]);
        of_styles(self.output.forward(mean), styles, self.styles)
    }
}

/// Each row's code of its own style: `[b, count * dims] -> [b, dims]`.
fn of_styles(codes: Tensor<2>, styles: &[u32], count: usize) -> Tensor<2> {
    let [b, all] = codes.dims();
    let mut rows = vec![0.0_f32; b * count];
    for (row, style) in rows.chunks_exact_mut(count).zip(styles) {
        row[*style as usize] = 1.0;
    }
    let mask = Tensor::<3>::from_data(TensorData::new(rows, [b, count, 1]), &codes.device());
    let dims = all / count;
    (codes.reshape([b, count, dims]) * mask)
        .sum_dim(1)
        .reshape([b, dims])
}
