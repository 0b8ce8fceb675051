//! The networks' operations on the processor: tensors of Flex in and out, the loops are those of `conv_cpu`
//! and `norm_cpu`.

use burn::backend::Flex;
use burn::tensor::TensorData;
use burn_flex::FlexTensor;

use super::conv_cpu::{self, ConvShape};
use super::norm_cpu::{self, NormShape};
use super::{AdamScalars, Gather, Meeting, NetOps, Part, TensorShape};

pub(super) fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    let shape = tensor.layout().shape();
    std::array::from_fn(|i| shape[i])
}

pub(super) fn host(tensor: &FlexTensor) -> &[f32] {
    tensor
        .as_slice::<f32>()
        .expect("made contiguous f32 at the operation's entry")
}

/// A contiguous tensor that gives its handle up, so that `storage_mut` copies only where there is another
/// owner.
pub(super) fn own(tensor: FlexTensor) -> FlexTensor {
    tensor.to_contiguous()
}

pub(super) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

fn conv_shape(x: &FlexTensor, channels_out: usize, kernel: usize) -> ConvShape {
    let [batch, channels_in, height, width] = dims(x);
    ConvShape {
        batch,
        channels_in,
        channels_out,
        height,
        width,
        kernel,
    }
}

impl NetOps for Flex {
    fn conv_same(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        slope: f32,
        _: bool,
    ) -> FlexTensor {
        let [o, _, k, _] = dims(&weight);
        let shape = conv_shape(&x, o, k);
        let (x, weight, bias) = (
            x.to_contiguous(),
            weight.to_contiguous(),
            bias.to_contiguous(),
        );
        let mut y = conv_cpu::forward(host(&x), host(&weight), Some(host(&bias)), shape);
        if slope != 1.0 {
            norm_cpu::leaky(&mut y, slope);
        }
        tensor(y, [shape.batch, o, shape.height, shape.width])
    }

    fn conv_onto(
        base: FlexTensor,
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        _: Meeting,
        in_runs: bool,
    ) -> FlexTensor {
        let mut y = Self::conv_same(x, weight, bias, 1.0, in_runs);
        norm_cpu::add(y.storage_mut::<f32>(), host(&own(base)));
        y
    }

    fn conv_same_data_gradient(weight: FlexTensor, dy: FlexTensor) -> FlexTensor {
        let [o, c, kernel, _] = dims(&weight);
        let [batch, _, height, width] = dims(&dy);
        let shape = ConvShape {
            batch,
            channels_in: c,
            channels_out: o,
            height,
            width,
            kernel,
        };
        let (weight, dy) = (weight.to_contiguous(), dy.to_contiguous());
        tensor(
            conv_cpu::data_gradient(host(&weight), host(&dy), shape),
            [batch, c, height, width],
        )
    }

    fn conv_same_weight_gradients(
        x: FlexTensor,
        dy: FlexTensor,
        kernel: usize,
        _: bool,
    ) -> (FlexTensor, FlexTensor) {
        let [_, o, _, _] = dims(&dy);
        let shape = conv_shape(&x, o, kernel);
        let (x, dy) = (x.to_contiguous(), dy.to_contiguous());
        (
            tensor(
                conv_cpu::weight_gradient(host(&x), host(&dy), shape),
                [o, shape.channels_in, kernel, kernel],
            ),
            tensor(conv_cpu::bias_gradient(host(&dy), shape), [o]),
        )
    }

    fn norm_act(
        x: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        groups: usize,
        slope: f32,
        _: Meeting,
    ) -> FlexTensor {
        let [batch, channels, h, w] = dims(&x);
        let shape = NormShape {
            batch,
            channels,
            area: h * w,
            groups,
        };
        let (x, scale, shift) = (
            x.to_contiguous(),
            scale.to_contiguous(),
            shift.to_contiguous(),
        );
        tensor(
            norm_cpu::forward(host(&x), host(&scale), host(&shift), slope, shape),
            [batch, channels, h, w],
        )
    }

    fn norm_act_gradients(
        x: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        dy: FlexTensor,
        before: FlexTensor,
        groups: usize,
        slope: f32,
        is_added: bool,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [batch, channels, h, w] = dims(&x);
        let shape = NormShape {
            batch,
            channels,
            area: h * w,
            groups,
        };
        let (x, scale, shift, dy) = (
            x.to_contiguous(),
            scale.to_contiguous(),
            shift.to_contiguous(),
            dy.to_contiguous(),
        );
        let mut gradients = norm_cpu::backward(
            host(&x),
            host(&scale),
            host(&shift),
            host(&dy),
            slope,
            shape,
        );
        if is_added {
            norm_cpu::add(&mut gradients.x, host(&own(before)));
        }
        (
            tensor(gradients.x, [batch, channels, h, w]),
            tensor(gradients.scale, [batch, channels]),
            tensor(gradients.shift, [batch, channels]),
        )
    }

    fn style_norm_act(
        _: FlexTensor,
        _: FlexTensor,
        _: FlexTensor,
        _: FlexTensor,
        _: usize,
        _: f32,
        _: [Meeting; 2],
    ) -> FlexTensor {
        unreachable!("`style_norm_act` is a product and `norm_act` here")
    }

    fn style_norm_act_gradients(
        _: FlexTensor,
        _: FlexTensor,
        _: FlexTensor,
        _: FlexTensor,
        _: FlexTensor,
        _: FlexTensor,
        _: FlexTensor,
        _: usize,
        _: f32,
        _: [bool; 2],
    ) -> (FlexTensor, FlexTensor, FlexTensor, FlexTensor) {
        unreachable!("`style_norm_act` is a product and `norm_act` here")
    }

    fn gather(
        _: FlexTensor,
        _: FlexTensor,
        _: FlexTensor,
        _: FlexTensor,
        _: FlexTensor,
        _: FlexTensor,
        _: FlexTensor,
        _: FlexTensor,
        _: Gather,
    ) -> FlexTensor {
        unreachable!("an update goes through the parameters one by one here")
    }

    fn view(_: FlexTensor, _: usize, _: TensorShape) -> FlexTensor {
        unreachable!("an update goes through the parameters one by one here")
    }

    fn view_int(_: FlexTensor, _: usize, _: TensorShape) -> FlexTensor {
        unreachable!("inputs are tensors of their own here")
    }

    fn pool(x: FlexTensor, factor: f32, _: Meeting) -> FlexTensor {
        let [b, c, h, w] = dims(&x);
        let (h, w) = (h / 2, w / 2);
        tensor(norm_cpu::pool(host(&own(x)), [h, w], factor), [b, c, h, w])
    }

    fn spread(x: FlexTensor, factor: f32) -> FlexTensor {
        let [b, c, h, w] = dims(&x);
        let y = norm_cpu::spread(host(&own(x)), [h, w], factor);
        tensor(y, [b, c, 2 * h, 2 * w])
    }

    fn spread_onto(base: FlexTensor, x: FlexTensor, factor: f32, _: Meeting) -> FlexTensor {
        let mut y = Self::spread(x, factor);
        norm_cpu::add(y.storage_mut::<f32>(), host(&own(base)));
        y
    }

    fn part(_: FlexTensor, _: Part, _: Meeting) -> FlexTensor {
        unreachable!("a part of a tensor is a slice here")
    }

    fn part_gradient(_: FlexTensor, _: FlexTensor, _: [usize; 4], _: Part, _: bool) -> FlexTensor {
        unreachable!("a part of a tensor is a slice here")
    }

    fn mean_error(_: FlexTensor, _: FlexTensor) -> FlexTensor {
        unreachable!("a mean error is tensor operations here")
    }

    fn mean_error_gradient(_: FlexTensor, _: FlexTensor, _: FlexTensor) -> FlexTensor {
        unreachable!("a mean error is tensor operations here")
    }

    fn leaky(x: FlexTensor, slope: f32) -> FlexTensor {
        let mut y = own(x);
        norm_cpu::leaky(y.storage_mut::<f32>(), slope);
        y
    }

    fn leaky_gradient(y: FlexTensor, dy: FlexTensor, slope: f32) -> FlexTensor {
        let (y, mut dx) = (own(y), own(dy));
        norm_cpu::leaky_gradient(dx.storage_mut::<f32>(), host(&y), slope);
        dx
    }

    fn adam(
        weight: FlexTensor,
        gradient: FlexTensor,
        first: FlexTensor,
        second: FlexTensor,
        s: AdamScalars,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let gradient = gradient.to_contiguous();
        let [mut weight, mut first, mut second] =
            [weight, first, second].map(|t| t.to_contiguous());
        {
            let (w, m, v) = (
                weight.storage_mut::<f32>(),
                first.storage_mut::<f32>(),
                second.storage_mut::<f32>(),
            );
            for (((w, m), v), g) in w.iter_mut().zip(m).zip(v).zip(host(&gradient)) {
                *m = s.beta_1.mul_add(*m, (1.0 - s.beta_1) * g);
                *v = s.beta_2.mul_add(*v, (1.0 - s.beta_2) * g * g);
                *w -= s.rate * *m / (v.sqrt() + s.epsilon);
            }
        }
        (weight, first, second)
    }
}
