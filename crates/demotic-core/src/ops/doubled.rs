//! The convolution of a picture whose pixels are doubled, on Flex: one operation that never sees the larger
//! picture. Elsewhere it is [`super::upsample`] and a convolution, or read by the kernel of one.

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use super::conv_cpu::{ConvShape, bias_gradient, doubled};
use super::{dims, host, own, tensor};

/// A 3x3 convolution of [`super::upsample`] of `x`, where that is faster as one; on Flex of this machine.
pub(super) fn convolved(x: &Tensor<4>, weight: &Tensor<4>, bias: &Tensor<1>) -> Option<Tensor<4>> {
    let [batch, channels_in, height, width] = x.dims();
    let [channels_out, _, kernel, _] = weight.dims();
    let shape = ConvShape {
        batch,
        channels_in,
        channels_out,
        height,
        width,
        kernel,
    };
    doubled::is_taken(shape).then(|| {
        Tensor::from_dispatch(<Dispatch as DoubledOps>::conv_doubled(
            x.clone().into_dispatch(),
            weight.clone().into_dispatch(),
            bias.clone().into_dispatch(),
        ))
    })
}

/// Of Flex alone; other backends never get here.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait DoubledOps: Backend {
    fn conv_doubled(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    fn conv_doubled_data_gradient(
        weight: FloatTensor<Self>,
        dy: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    /// By the weights and by the bias.
    fn conv_doubled_weight_gradients(
        x: FloatTensor<Self>,
        dy: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// Of a picture `[batch, channels_in, height, width]` before it is doubled.
fn shape([batch, channels_in, height, width]: [usize; 4], channels_out: usize) -> ConvShape {
    ConvShape {
        batch,
        channels_in,
        channels_out,
        height,
        width,
        kernel: 3,
    }
}

impl DoubledOps for Flex {
    fn conv_doubled(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        let [o, ..] = dims::<4>(&weight);
        let s = shape(dims(&x), o);
        let (x, weight, bias) = (own(x), own(weight), own(bias));
        let y = doubled::forward(host(&x), host(&weight), host(&bias), s);
        tensor(y, [s.batch, o, 2 * s.height, 2 * s.width])
    }

    fn conv_doubled_data_gradient(weight: FlexTensor, dy: FlexTensor) -> FlexTensor {
        let [o, c, ..] = dims::<4>(&weight);
        let [b, _, h, w] = dims(&dy);
        let s = shape([b, c, h / 2, w / 2], o);
        let (weight, dy) = (own(weight), own(dy));
        let dx = doubled::data_gradient(host(&weight), host(&dy), s);
        tensor(dx, [b, c, h / 2, w / 2])
    }

    fn conv_doubled_weight_gradients(x: FlexTensor, dy: FlexTensor) -> (FlexTensor, FlexTensor) {
        let [_, o, h, w] = dims(&dy);
        let s = shape(dims(&x), o);
        let (x, dy) = (own(x), own(dy));
        let large = ConvShape {
            height: h,
            width: w,
            ..s
        };
        (
            tensor(
                doubled::weight_gradient(host(&x), host(&dy), s),
                [o, s.channels_in, 3, 3],
            ),
            tensor(bias_gradient(host(&dy), large), [o]),
        )
    }
}

#[derive(Debug)]
struct ConvDoubledBackward;

impl<B: DoubledOps> Backward<B, 3> for ConvDoubledBackward {
    /// `x` and the weights.
    type State = [FloatTensor<B>; 2];

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let [x, weight] = ops.state;
        let [of_x, of_weight, of_bias] = ops.parents;
        if let Some(node) = of_x {
            let dx = B::conv_doubled_data_gradient(weight, dy.clone());
            grads.register::<B>(node.id, dx);
        }
        if of_weight.is_none() && of_bias.is_none() {
            return;
        }
        let (dweight, dbias) = B::conv_doubled_weight_gradients(x, dy);
        for (parent, gradient) in [(of_weight, dweight), (of_bias, dbias)] {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: DoubledOps, C: CheckpointStrategy> DoubledOps for Autodiff<B, C> {
    fn conv_doubled(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        let (x, weight, bias) = (
            x.into_primitive(),
            weight.into_primitive(),
            bias.into_primitive(),
        );
        match ConvDoubledBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let y = B::conv_doubled(x.clone(), weight.clone(), bias);
                prep.finish([x, weight], y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::conv_doubled(x, weight, bias)),
        }
    }

    fn conv_doubled_data_gradient(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("Burn differentiates once: gradients are not differentiated again")
    }

    fn conv_doubled_weight_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("Burn differentiates once: gradients are not differentiated again")
    }
}
