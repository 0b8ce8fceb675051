//! Layers that both networks are made of. Weights are drawn on the host, the same for every backend.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData, activation};

use crate::ops;
use crate::rng::{Rng, Stream};

/// Slope of every leaky ReLU below zero.
pub(crate) const SLOPE: f32 = 0.2;

/// Source of initial weights: a run of normals keyed by the seed, and the device they go to.
#[derive(Debug)]
pub struct Init {
    rng: Rng,
    device: Device,
}

impl Init {
    /// Weights of network number `network` under `seed`, on `device` (an autodiff device for training).
    pub fn new(seed: u64, network: u16, device: &Device) -> Self {
        Self {
            rng: Rng::new(seed, Stream::INIT.lane(network), 0),
            device: device.clone(),
        }
    }

    /// Normal weights of the given deviation.
    pub(crate) fn normal<const D: usize>(
        &mut self,
        shape: [usize; D],
        deviation: f32,
    ) -> Param<Tensor<D>> {
        let mut values = self.rng.normals(shape.iter().product());
        for value in &mut values {
            *value *= deviation;
        }
        Param::from_data(TensorData::new(values, shape), &self.device)
    }

    /// A constant parameter.
    pub(crate) fn constant<const D: usize>(
        &mut self,
        shape: [usize; D],
        value: f32,
    ) -> Param<Tensor<D>> {
        Param::from_data(
            TensorData::new(vec![value; shape.iter().product()], shape),
            &self.device,
        )
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }
}

/// Same-size convolution with bias; weights start as He et al. 2015 times `gain`.
#[derive(Module, Debug)]
pub(crate) struct Conv {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

impl Conv {
    pub(crate) fn new(init: &mut Init, from: usize, to: usize, kernel: usize, gain: f32) -> Self {
        let deviation =
            gain * (2.0 / ((1.0 + SLOPE * SLOPE) * (from * kernel * kernel) as f32)).sqrt();
        Self {
            weight: init.normal([to, from, kernel, kernel], deviation),
            bias: init.constant([to], 0.0),
        }
    }

    /// `[b, from, H, W] -> [b, to, H, W]`
    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        ops::conv_same(x, self.weight.val(), self.bias.val())
    }
}

/// Channels that share their statistics: eight where that divides, otherwise all in one group.
fn groups(channels: usize) -> usize {
    if channels.is_multiple_of(8) {
        channels / 8
    } else {
        1
    }
}

/// Group normalisation with a learned scale and shift a channel, then leaky ReLU.
#[derive(Module, Debug)]
pub(crate) struct Norm {
    scale: Param<Tensor<1>>,
    shift: Param<Tensor<1>>,
}

impl Norm {
    pub(crate) fn new(init: &mut Init, channels: usize) -> Self {
        Self {
            scale: init.constant([channels], 1.0),
            shift: init.constant([channels], 0.0),
        }
    }

    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, c, ..] = x.dims();
        let wide = |p: &Param<Tensor<1>>| p.val().reshape([1, c]).expand([b, c]);
        ops::norm_act(x, wide(&self.scale), wide(&self.shift), groups(c), SLOPE)
    }
}

/// Group normalisation whose scale and shift come from a style code (adaptive normalisation), then leaky ReLU.
#[derive(Module, Debug)]
pub(crate) struct AdaNorm {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl AdaNorm {
    pub(crate) fn new(init: &mut Init, style: usize, channels: usize) -> Self {
        let deviation = (1.0 / style as f32).sqrt() * 0.5;
        Self {
            weight: init.normal([style, 2 * channels], deviation),
            bias: init.constant([2 * channels], 0.0),
        }
    }

    /// `x [b, c, h, w]`, `code [b, style]`
    pub(crate) fn forward(&self, x: Tensor<4>, code: Tensor<2>) -> Tensor<4> {
        let [_, c, ..] = x.dims();
        let affine = code.matmul(self.weight.val()) + self.bias.val().unsqueeze(); // [b, 2c]
        let mut halves = affine.split(c, 1).into_iter();
        let (scale, shift) = halves
            .next()
            .zip(halves.next())
            .expect("2c columns split into two");
        ops::norm_act(x, scale + 1.0, shift, groups(c), SLOPE)
    }
}

/// `x + conv(norm(conv(norm(x))))`, pre-activated (He et al. 2016).
#[derive(Module, Debug)]
pub struct Residual {
    norms: [Norm; 2],
    convs: [Conv; 2],
}

impl Residual {
    /// A fresh block of `channels` channels.
    pub fn new(init: &mut Init, channels: usize) -> Self {
        Self {
            norms: [Norm::new(init, channels), Norm::new(init, channels)],
            // The second convolution starts small: a deep stack starts near the identity.
            convs: [
                Conv::new(init, channels, channels, 3, 1.0),
                Conv::new(init, channels, channels, 3, 0.3),
            ],
        }
    }

    /// `[b, channels, H, W] -> [b, channels, H, W]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.convs[0].forward(self.norms[0].forward(x.clone()));
        x + self.convs[1].forward(self.norms[1].forward(y))
    }
}

/// [`Residual`] whose normalisations follow a style code.
#[derive(Module, Debug)]
pub(crate) struct AdaResidual {
    norms: [AdaNorm; 2],
    convs: [Conv; 2],
}

impl AdaResidual {
    pub(crate) fn new(init: &mut Init, style: usize, channels: usize) -> Self {
        Self {
            norms: [
                AdaNorm::new(init, style, channels),
                AdaNorm::new(init, style, channels),
            ],
            convs: [
                Conv::new(init, channels, channels, 3, 1.0),
                Conv::new(init, channels, channels, 3, 0.3),
            ],
        }
    }

    pub(crate) fn forward(&self, x: Tensor<4>, code: Tensor<2>) -> Tensor<4> {
        let y = self.convs[0].forward(self.norms[0].forward(x.clone(), code.clone()));
        x + self.convs[1].forward(self.norms[1].forward(y, code))
    }
}

/// Every 2x2 patch becomes four channels: `[b, c, 2h, 2w] -> [b, 4c, h, w]`.
pub(crate) fn unshuffle(x: Tensor<4>) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    x.reshape([b, c, h / 2, 2, w / 2, 2])
        .permute([0, 1, 3, 5, 2, 4])
        .reshape([b, 4 * c, h / 2, w / 2])
}

/// Each pixel becomes a 2x2 patch of itself: `[b, c, h, w] -> [b, c, 2h, 2w]`.
pub(crate) fn upsample(x: Tensor<4>) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    x.reshape([b, c, h, 1, w, 1])
        .expand([b, c, h, 2, w, 2])
        .reshape([b, c, 2 * h, 2 * w])
}

/// Means of 2x2 patches: `[b, c, 2h, 2w] -> [b, c, h, w]`.
pub(crate) fn halve(x: Tensor<4>) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    x.reshape([b, c, h / 2, 2, w / 2, 2])
        .mean_dim(5)
        .mean_dim(3)
        .reshape([b, c, h / 2, w / 2])
}

/// Leaky ReLU with the house slope.
pub(crate) fn leaky<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::leaky_relu(x, f64::from(SLOPE))
}
