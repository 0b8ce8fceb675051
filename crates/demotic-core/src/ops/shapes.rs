//! Records, on this thread and on request, the shapes that the networks' operations run with: the doctor
//! checks those that a configuration really uses.

use std::cell::RefCell;
use std::collections::BTreeMap;

use burn::tensor::Tensor;

/// One operation at one shape, of square pictures and without their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// `[b, channels_in, side, side] -> [b, channels_out, side, side]`
    Convolution {
        channels_in: usize,
        channels_out: usize,
        side: usize,
        kernel: usize,
    },
    /// A normalisation of `[b, channels, side, side]`, with leaky ReLU.
    Normalisation {
        channels: usize,
        side: usize,
        groups: usize,
    },
    /// A change of sides of `[b, channels, side, side]`.
    Resizing {
        way: Resize,
        channels: usize,
        side: usize,
    },
    /// The edge-aware filter over `[b, channels, side, side]`.
    Filter { channels: usize, side: usize },
}

/// How sides change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Resize {
    /// Means of 2x2 patches.
    Halve,
    /// Each pixel as a 2x2 patch.
    Upsample,
    /// Each 2x2 patch as four channels.
    Unshuffle,
}

thread_local! {
    /// The largest number of pictures at each shape; none while nobody asks.
    static MET: RefCell<Option<BTreeMap<Shape, usize>>> = const { RefCell::new(None) };
}

/// Runs something, and gives the shapes that it met on this thread, each with the largest number of pictures.
pub(crate) fn shapes_met(run: impl FnOnce()) -> BTreeMap<Shape, usize> {
    MET.with_borrow_mut(|met| *met = Some(BTreeMap::new()));
    run();
    MET.take().expect("nobody else on this thread asks")
}

/// Whether somebody asks on this thread.
pub(crate) fn is_meeting() -> bool {
    MET.with_borrow(Option::is_some)
}

/// Notes a shape, where somebody asks.
pub(crate) fn meet(x: &Tensor<4>, shape: impl FnOnce() -> Shape) {
    MET.with_borrow_mut(|met| {
        if let Some(met) = met {
            let most = met.entry(shape()).or_default();
            *most = (*most).max(x.dims()[0]);
        }
    });
}

/// Notes a change of sides, where somebody asks.
pub(crate) fn meet_resizing(x: &Tensor<4>, way: Resize) {
    let [_, channels, side, _] = x.dims();
    meet(x, || Shape::Resizing {
        way,
        channels,
        side,
    });
}
