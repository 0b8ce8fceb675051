//! What stands in front of a convolution may happen where it reads its input: where our kernels run, a leaky
//! ReLU, a doubling or the unshuffling of a picture is no pass of its own.

use burn::tensor::Tensor;

use super::near::{NearOps, Reading};
use super::{
    Dispatch, Resize, burns_conv, conv, halve, is_near_wgsl, leaky, meet_convolution,
    meet_resizing, takes_own_convolution, upsample,
};

/// A tensor, and what is still to be done to it: nothing, but on devices [`is_near_wgsl`].
#[derive(Clone, Debug)]
pub(crate) struct Read {
    x: Tensor<4>,
    reading: Reading,
}

impl Read {
    /// The tensor as it is.
    pub(crate) fn plain(x: Tensor<4>) -> Self {
        let reading = Reading::Plain;
        Self { x, reading }
    }

    /// Its leaky ReLU.
    pub(crate) fn leaky(x: Tensor<4>, slope: f32) -> Self {
        Self::pending(x, Reading::Leaky(slope))
    }

    /// [`upsample`]
    pub(crate) fn doubled(x: Tensor<4>) -> Self {
        meet_resizing(&x, Resize::Upsample);
        Self::pending(x, Reading::Doubled)
    }

    /// [`unshuffle`]
    pub(crate) fn unshuffled(x: Tensor<4>) -> Self {
        meet_resizing(&x, Resize::Unshuffle);
        Self::pending(x, Reading::Unshuffled)
    }

    fn pending(x: Tensor<4>, reading: Reading) -> Self {
        let read = Self { x, reading };
        if is_near_wgsl(&read.x.device()) {
            read
        } else {
            Self::plain(read.value())
        }
    }

    /// What the convolution sees, as a tensor.
    pub(crate) fn value(self) -> Tensor<4> {
        match self.reading {
            Reading::Plain => self.x,
            Reading::Leaky(slope) => leaky(self.x, slope),
            Reading::Doubled => upsample(self.x),
            Reading::Unshuffled => unshuffle(self.x),
        }
    }

    /// Means of 2x2 patches of it.
    pub(crate) fn halved(self) -> Tensor<4> {
        match self.reading {
            Reading::Leaky(slope) => {
                meet_resizing(&self.x, Resize::Halve);
                let x = self.x.into_dispatch();
                Tensor::from_dispatch(<Dispatch as NearOps>::pool_leaky(x, 0.25, slope))
            }
            _ => halve(self.value()),
        }
    }
}

/// Every 2x2 patch becomes four channels: `[b, c, 2h, 2w] -> [b, 4c, h, w]`.
pub(crate) fn unshuffle(x: Tensor<4>) -> Tensor<4> {
    meet_resizing(&x, Resize::Unshuffle);
    let [b, c, h, w] = x.dims();
    // [b, c, h, 2, w, 2] -> [b, c, 2, 2, h, w]. By swaps: Burn 0.22.1 sends a permutation of floats to
    // another machine as one of whole numbers, which is refused there.
    x.reshape([b, c, h / 2, 2, w / 2, 2])
        .swap_dims(2, 3)
        .swap_dims(3, 5)
        .swap_dims(4, 5)
        .reshape([b, 4 * c, h / 2, w / 2])
}

/// [`conv`] without an activation, of what is read.
pub(crate) fn conv_read(
    read: Read,
    weight: Tensor<4>,
    bias: Tensor<1>,
    in_runs: bool,
) -> Tensor<4> {
    let Read { x, reading } = read;
    if reading == Reading::Plain {
        return conv(x, weight, bias, 1.0, in_runs);
    }
    let seen = reading.seen(x.dims());
    meet_convolution(&x, seen, &weight);
    if takes_own_convolution(&x.device(), seen, &weight) {
        return Tensor::from_dispatch(<Dispatch as NearOps>::conv_reading(
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            reading,
            in_runs,
        ));
    }
    burns_conv(Read { x, reading }.value(), weight, bias)
}

/// The leaky ReLU of [`conv_read`], to be read by the next layer.
pub(crate) fn conv_read_leaky(
    read: Read,
    weight: Tensor<4>,
    bias: Tensor<1>,
    slope: f32,
    in_runs: bool,
) -> Read {
    if is_near_wgsl(&read.x.device()) {
        return Read::leaky(conv_read(read, weight, bias, in_runs), slope);
    }
    Read::plain(conv(read.value(), weight, bias, slope, in_runs))
}
