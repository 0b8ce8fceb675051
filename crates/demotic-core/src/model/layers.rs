//! Layers that both networks are made of. Weights are drawn on the host, the same for every backend.

use crate::number::Real;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};

pub(crate) use crate::ops::halve;
use crate::ops::{self, Fan, Meeting, Read};
use crate::rng::{Rng, Stream};
use crate::settings::Config;

/// Slope of every leaky ReLU below zero.
pub(crate) const SLOPE: f32 = 0.2;

/// What both networks are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Number of styles.
    pub styles: usize,
    /// Planes of a picture.
    pub channels: usize,
    /// Side of a picture.
    pub size_px: usize,
}

impl Config {
    /// What the networks of `styles` styles are made for.
    pub fn domain(&self, styles: usize) -> Domain {
        Domain {
            styles,
            channels: self.data.channels.count(),
            size_px: self.data.size_px as usize,
        }
    }
}

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
    /// Left singular vector of the weights `[to, from * k * k]`, as far as power iteration has come: with it,
    /// the weights are divided by their largest singular value. Never trained.
    spectral: Option<Param<Tensor<1>>>,
}

impl Conv {
    pub(crate) fn new(init: &mut Init, from: usize, to: usize, kernel: usize, gain: f32) -> Self {
        let deviation =
            gain * (2.0 / ((1.0 + SLOPE * SLOPE) * (from * kernel * kernel).to_f32())).sqrt();
        Self {
            weight: init.normal([to, from, kernel, kernel], deviation),
            bias: init.constant([to], 0.0),
            spectral: None,
        }
    }

    /// Channels that go in.
    pub(crate) fn inputs(&self) -> usize {
        self.weight.dims()[1]
    }

    /// Channels that come out.
    pub(crate) fn outputs(&self) -> usize {
        self.weight.dims()[0]
    }

    /// The layer with spectral normalisation (Miyato et al. 2018), after a few power iterations.
    pub(crate) fn spectral(mut self, init: &mut Init) -> Self {
        let [to, ..] = self.weight.dims();
        self.spectral = Some(init.normal([to], 1.0).set_require_grad(false));
        (0..10).fold(self, |conv, _| conv.power_iteration())
    }

    /// One power iteration, `u <- W v / |W v|` with `v = W' u / |W' u|`; nothing without spectral
    /// normalisation.
    pub(crate) fn power_iteration(mut self) -> Self {
        let weight = self.weight.val();
        let is_autodiff = weight.is_autodiff();
        let weight = if is_autodiff { weight.inner() } else { weight };
        self.spectral = self.spectral.map(|vector| {
            vector.map(|u| {
                let u = if is_autodiff { u.inner() } else { u };
                let (matrix, v) = right_vector(weight, u);
                let u = unit(matrix.matmul(v)); // [to, 1]
                let [to, _] = u.dims();
                let u = u.reshape([to]);
                if is_autodiff {
                    Tensor::from_inner(u)
                } else {
                    u
                }
            })
        });
        self
    }

    /// `[b, from, H, W] -> [b, to, H, W]`
    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        ops::conv(x, self.effective_weight(), self.bias.val(), 1.0, true)
    }

    /// `base` and [`Self::forward`] on top of it; `meeting`: that of `base`.
    pub(crate) fn forward_onto(
        &self,
        base: Tensor<4>,
        x: Tensor<4>,
        meeting: &Meeting,
    ) -> Tensor<4> {
        let (weight, bias) = (self.effective_weight(), self.bias.val());
        ops::conv_onto(base, x, weight, bias, meeting, true)
    }

    /// [`Self::forward`] of what is read.
    pub(crate) fn read(&self, x: Read) -> Tensor<4> {
        ops::conv_read(x, self.effective_weight(), self.bias.val(), true)
    }

    /// [`Self::read`], then leaky ReLU with the house slope, for the next layer to read.
    pub(crate) fn read_leaky(&self, x: Read) -> Read {
        ops::conv_read_leaky(x, self.effective_weight(), self.bias.val(), SLOPE, true)
    }

    /// The weights, divided by their largest singular value where that is asked for.
    fn effective_weight(&self) -> Tensor<4> {
        let weight = self.weight.val();
        let Some(u) = &self.spectral else {
            return weight;
        };
        // sigma = u' W v: the vectors are constants, the weights in it are not (Miyato et al. 2018, equation
        // 12).
        let u = u.val().detach();
        let (_, v) = right_vector(weight.clone().detach(), u.clone());
        let [to, from, k, _] = weight.dims();
        let product = weight.clone().reshape([to, from * k * k]).matmul(v);
        let sigma = (product * u.reshape([to, 1])).sum();
        weight / sigma.reshape([1, 1, 1, 1])
    }
}

/// The weights as a matrix `[to, from * k * k]`, and `W' u / |W' u|`: `[from * k * k, 1]`.
fn right_vector(weight: Tensor<4>, u: Tensor<1>) -> (Tensor<2>, Tensor<2>) {
    let [to, from, k, _] = weight.dims();
    let matrix = weight.reshape([to, from * k * k]);
    let v = unit(matrix.clone().transpose().matmul(u.reshape([to, 1])));
    (matrix, v)
}

/// `x / |x|`
fn unit(x: Tensor<2>) -> Tensor<2> {
    let norm = x.clone().square().sum().sqrt() + 1e-12;
    x / norm.reshape([1, 1])
}

/// Channels that share their statistics: eight where that divides, otherwise all in one group.
pub(crate) fn groups(channels: usize) -> usize {
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
        self.forward_meeting(x, &Meeting::default())
    }

    /// [`Self::forward`]; `meeting`: that of `x`.
    pub(crate) fn forward_meeting(&self, x: Tensor<4>, meeting: &Meeting) -> Tensor<4> {
        let [_, c, ..] = x.dims();
        let row = [self.scale.val(), self.shift.val()];
        ops::norm_row(x, row, groups(c), SLOPE, meeting)
    }
}

/// A style code that several layers read.
pub(crate) type Code = Fan;

/// Group normalisation whose scale and shift come from a style code (adaptive normalisation), then leaky
/// ReLU.
#[derive(Module, Debug)]
pub(crate) struct AdaNorm {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl AdaNorm {
    pub(crate) fn new(init: &mut Init, style: usize, channels: usize) -> Self {
        let deviation = (1.0 / style.to_f32()).sqrt() * 0.5;
        Self {
            weight: init.normal([style, 2 * channels], deviation),
            bias: init.constant([2 * channels], 0.0),
        }
    }

    /// `x [b, c, h, w]`
    pub(crate) fn forward(&self, x: Tensor<4>, code: &Code) -> Tensor<4> {
        self.forward_meeting(x, code, &Meeting::default())
    }

    /// [`Self::forward`]; `meeting`: that of `x`.
    pub(crate) fn forward_meeting(
        &self,
        x: Tensor<4>,
        code: &Code,
        meeting: &Meeting,
    ) -> Tensor<4> {
        let [_, c, ..] = x.dims();
        let affine = (self.weight.val(), self.bias.val());
        code.norm_act(x, affine, groups(c), SLOPE, meeting)
    }
}

/// `x + conv(norm(conv(norm(x))))`, pre-activated (He et al. 2016).
#[derive(Module, Debug)]
pub(crate) struct Residual {
    norms: [Norm; 2],
    convs: [Conv; 2],
}

impl Residual {
    /// A fresh block of `channels` channels.
    pub(crate) fn new(init: &mut Init, channels: usize) -> Self {
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
    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let meeting = Meeting::default();
        let y = self.norms[0].forward_meeting(x.clone(), &meeting);
        let y = self.norms[1].forward(self.convs[0].forward(y));
        self.convs[1].forward_onto(x, y, &meeting)
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

    pub(crate) fn forward(&self, x: Tensor<4>, code: &Code) -> Tensor<4> {
        let meeting = Meeting::default();
        let y = self.norms[0].forward_meeting(x.clone(), code, &meeting);
        let y = self.norms[1].forward(self.convs[0].forward(y), code);
        self.convs[1].forward_onto(x, y, &meeting)
    }
}

/// Leaky ReLU with the house slope.
pub(crate) fn leaky<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    ops::leaky(x, SLOPE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spectral_normalisation_makes_the_largest_singular_value_one() {
        let device = Device::flex().autodiff();
        let mut conv = Conv::new(&mut Init::new(3, 0, &device), 6, 10, 3, 2.0)
            .spectral(&mut Init::new(4, 0, &device));
        conv = (0..60).fold(conv, |conv, _| conv.power_iteration());
        let values = crate::arrays::values_of(conv.effective_weight().inner());
        let rows: Vec<Vec<f64>> = values
            .chunks(6 * 9)
            .map(|row| row.iter().map(|v| f64::from(*v)).collect())
            .collect();
        // The largest eigenvalue of W W' by its own power iteration, in f64.
        let mut u = vec![1.0_f64; 10];
        let mut largest = 0.0;
        for _ in 0..500 {
            let v: Vec<f64> = (0..54)
                .map(|j| (0..10).map(|i| rows[i][j] * u[i]).sum())
                .collect();
            let next: Vec<f64> = rows
                .iter()
                .map(|row| row.iter().zip(&v).map(|(a, b)| a * b).sum())
                .collect();
            largest = next.iter().map(|x| x * x).sum::<f64>().sqrt();
            u = next.iter().map(|x| x / largest).collect();
        }
        assert!((largest - 1.0).abs() < 1e-3, "{largest}");
    }
}
