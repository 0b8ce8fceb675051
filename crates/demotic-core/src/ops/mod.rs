//! Network operations with kernels of our own: same-size convolution, group norm with affine map and leaky
//! ReLU, changes of sides; and the edge-aware filter.
//!
//! On Flex they run `conv_cpu` and `norm_cpu`, on `wgpu` devices that take WGSL the kernels under `wgsl`,
//! both with a hand-written backward pass. Everywhere else they are Burn's tensor operations, which fusion
//! and autotune serve.
//!
//! `NetOps` extends Burn's backends: `backend_extension` makes each of its methods an operation of every
//! backend that is named there, and `Dispatch` chooses among them at run time. Fusion describes operations
//! before they run, so `#[fusion(..)]` says the type and shape of each result. `flex` computes on the
//! processor, `wgsl::backend` launches the kernels, `autodiff` registers the backward passes. `near::NearOps`
//! does the same for kernels that join several launches on `wgpu` devices of this machine.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "kernels: sides and places of pictures are bounded where data enters"
)]

mod autodiff;
mod choice;
mod conv_cpu;
mod cores;
mod filter;
mod filter_cpu;
mod filter_large;
mod flex;
mod meeting;
#[cfg_attr(
    not(feature = "wgpu"),
    allow(
        unused_variables,
        reason = "without wgpu no backend is left that takes them"
    )
)]
mod near;
#[cfg_attr(
    not(feature = "wgpu"),
    allow(dead_code, reason = "without wgpu there is no device to ask")
)]
mod needs;
mod norm_cpu;
mod reading;
#[cfg(feature = "remote")]
pub(crate) mod remote;
mod shapes;
#[cfg_attr(
    not(feature = "wgpu"),
    allow(
        unused_variables,
        reason = "without wgpu no backend is left that takes them"
    )
)]
mod styled;
#[cfg(test)]
mod testing;
#[cfg(feature = "wgpu")]
mod wgsl;

#[cfg(feature = "wgpu")]
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, DispatchDevice, backend_extension};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Int, Shape as TensorShape, Tensor, module};

pub use choice::Counts;
#[cfg(all(test, feature = "wgpu"))]
pub(crate) use choice::measurements;
pub(crate) use choice::{Preference, Store, kept, prefer};
pub(crate) use cores::on_cores;
pub(crate) use filter::{Filter, lay_in};
pub(crate) use filter_cpu::ROUNDS;
pub(crate) use filter_large::{Change, Enlarged, Large};
pub(crate) use meeting::Meeting;
pub(crate) use near::{
    LOG_VAR_RANGE, LOG_VAR_START, Reading, TOTALLED, adam_clipped, blend, clipping, divergence,
    figures, gather, gather_sums, gathered_at_once, join, latent, mixed, norm_row, total, twice,
};
use needs::Family;
pub(crate) use norm_cpu::EPSILON as NORM_EPSILON;
pub(crate) use reading::{Read, conv_read, conv_read_leaky, unshuffle};
use shapes::meet;
pub(crate) use shapes::{Resize, Shape, meet_resizing, shapes_met};
pub(crate) use styled::Fan;
#[cfg(feature = "wgpu")]
pub(crate) use wgsl::{convolution_kernels, squared_sums, weight_gradient_runs};

/// True where a device is another machine's.
#[cfg(feature = "remote")]
pub(crate) fn is_far(device: &Device) -> bool {
    matches!(
        device.clone().inner().as_dispatch(),
        DispatchDevice::Remote(_)
    )
}

/// There is none in this build.
#[cfg(not(feature = "remote"))]
pub(crate) fn is_far(_: &Device) -> bool {
    false
}

/// True where tensors of this device live in Flex, on this machine or another.
pub(crate) fn is_flex(device: &Device) -> bool {
    if is_far(device) {
        return demotic_crf::runtime_name(device) == "flex";
    }
    matches!(
        device.clone().inner().as_dispatch(),
        DispatchDevice::Flex(_)
    )
}

/// True where a device takes kernels under `wgsl`, if it has what they need.
fn takes_wgsl(device: &Device) -> bool {
    !is_flex(device) && demotic_crf::runtime_name(device) == "wgpu<wgsl>"
}

/// True where the networks' operations run kernels under `wgsl`.
pub(crate) fn has_wgsl(device: &Device) -> bool {
    takes_wgsl(device) && needs::runs(device, Family::Others)
}

/// The same of convolutions, which need less of a device.
pub(crate) fn has_convolutions(device: &Device) -> bool {
    takes_wgsl(device) && needs::runs(device, Family::Convolutions)
}

/// What Burn's kernels compute on a device of this machine that takes ours, and what it lacks for them, in
/// words; none where ours compute everything.
pub fn lacking(device: &Device) -> Option<String> {
    takes_wgsl(device).then(|| needs::report(device)).flatten()
}

/// True where [`NetOps`] serves a device.
fn is_served(device: &Device) -> bool {
    is_flex(device) || has_wgsl(device)
}

/// Stride-1 convolution that keeps height and width (zero border).
///
/// # Shapes
/// - `x`: `[b, c, H, W]`
/// - `weight`: `[o, c, k, k]`, `k` 1 or 3
/// - `bias`: `[o]`
/// - returns `[b, o, H, W]`
pub(crate) fn conv_same(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
    conv_leaky(x, weight, bias, 1.0)
}

/// [`conv_same`], then [`leaky`]; `slope = 1` leaves the activation out.
pub(crate) fn conv_leaky(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    slope: f32,
) -> Tensor<4> {
    conv(x, weight, bias, slope, false)
}

/// [`conv_leaky`]. `in_runs`: the gradients of weight and bias may come as runs that are to be added up
/// ([`whole`]), which saves a launch; for parameters whose gradients the optimiser takes.
pub(crate) fn conv(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    slope: f32,
    in_runs: bool,
) -> Tensor<4> {
    meet_convolution(&x, x.dims(), &weight);
    let device = x.device();
    let is_own = takes_own_convolution(&device, x.dims(), &weight);
    // The activation's gradient has a kernel of its own.
    if is_own && (slope == 1.0 || is_served(&device)) {
        return own_conv(x, weight, bias, slope, in_runs);
    }
    let y = if is_own {
        own_conv(x, weight, bias, 1.0, in_runs)
    } else {
        burns_conv(x, weight, bias)
    };
    if slope == 1.0 { y } else { leaky(y, slope) }
}

fn own_conv(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    slope: f32,
    in_runs: bool,
) -> Tensor<4> {
    let in_runs = in_runs && is_near_wgsl(&x.device());
    Tensor::from_dispatch(<Dispatch as NetOps>::conv_same(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        slope,
        in_runs,
    ))
}

/// True where [`NetOps`] computes a convolution of pictures of this shape: it can, and is to.
fn takes_own_convolution(device: &Device, pictures: [usize; 4], weight: &Tensor<4>) -> bool {
    let [channels_out, channels_in, _, kernel] = weight.dims();
    if kernel != 1 && kernel != 3 {
        return false;
    }
    if !has_convolutions(device) {
        return is_flex(device);
    }
    let [pictures, _, height, width] = pictures;
    let layer = choice::Layer {
        channels_in,
        channels_out,
        sides: [height, width],
        kernel,
    };
    let own: choice::Convolve = |x, weight, bias| own_conv(x, weight, bias, 1.0, false);
    choice::takes_own(device, layer, pictures, [own, burns_conv])
}

/// `base + conv(x)`: the end of a residual block. `meeting`: that of `base`; `in_runs` as of [`conv`].
///
/// # Shapes
/// As [`conv_same`]; `base`: as the result
pub(crate) fn conv_onto(
    base: Tensor<4>,
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    meeting: &Meeting,
    in_runs: bool,
) -> Tensor<4> {
    meet_convolution(&x, x.dims(), &weight);
    if takes_own_convolution(&x.device(), x.dims(), &weight) {
        let in_runs = in_runs && is_near_wgsl(&x.device());
        return Tensor::from_dispatch(<Dispatch as NetOps>::conv_onto(
            base.into_dispatch(),
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            meeting.clone(),
            in_runs,
        ));
    }
    base + burns_conv(x, weight, bias)
}

/// Notes a convolution's shape; `seen`: that of what it sees of `x`.
fn meet_convolution(x: &Tensor<4>, seen: [usize; 4], weight: &Tensor<4>) {
    let [channels_out, channels_in, _, kernel] = weight.dims();
    let [_, _, side, _] = seen;
    meet(x, || Shape::Convolution {
        channels_in,
        channels_out,
        side,
        kernel,
    });
}

/// There are none in this build.
#[cfg(not(feature = "wgpu"))]
pub(crate) fn convolution_kernels() -> u64 {
    0
}

fn burns_conv(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
    let [.., kernel] = weight.dims();
    let border = kernel / 2;
    let options = ConvOptions::new([1, 1], [border, border], [1, 1], 1);
    module::conv2d(x, weight, Some(bias), options)
}

/// True for a device of this machine that runs the networks' kernels in WGSL: gradients of weights come in
/// runs there if asked for, and there are views of flat buffers.
pub(crate) fn is_near_wgsl(device: &Device) -> bool {
    has_wgsl(device) && !is_far(device)
}

/// A gradient of a parameter of this shape, its runs added up: they lie one after the other along the first
/// axis.
pub(crate) fn whole<const D: usize>(gradient: Tensor<D>, shape: [usize; D]) -> Tensor<D> {
    if gradient.dims() == shape {
        return gradient;
    }
    let runs = gradient.dims()[0] / shape[0];
    let elements: usize = shape.iter().product();
    gradient.reshape([runs, elements]).sum_dim(0).reshape(shape)
}

/// Group normalisation (Wu and He 2018) with a scale and a shift a picture and channel, then a leaky ReLU:
/// `leaky(xhat * scale + shift)`. With style-dependent scale and shift this is adaptive normalisation (Huang
/// and Belongie 2017); `slope = 1` leaves the activation out.
///
/// # Shapes
/// - `x`: `[b, c, H, W]`; `groups` divides `c`
/// - `scale`, `shift`: `[b, c]`, or `[1, c]` for all pictures alike
pub(crate) fn norm_act(
    x: Tensor<4>,
    scale: Tensor<2>,
    shift: Tensor<2>,
    groups: usize,
    slope: f32,
) -> Tensor<4> {
    norm_act_meeting(x, scale, shift, groups, slope, &Meeting::default())
}

/// [`norm_act`]; `meeting`: that of `x`.
pub(crate) fn norm_act_meeting(
    x: Tensor<4>,
    scale: Tensor<2>,
    shift: Tensor<2>,
    groups: usize,
    slope: f32,
    meeting: &Meeting,
) -> Tensor<4> {
    let [b, c, h, _] = x.dims();
    meet(&x, || Shape::Normalisation {
        channels: c,
        side: h,
        groups,
    });
    let rows = |row: Tensor<2>| match row.dims() {
        [rows, _] if rows == b => row,
        _ => row.expand([b, c]),
    };
    if takes_own_norm(&x.device(), c, groups) {
        let (scale, shift) = if has_wgsl(&x.device()) {
            (scale, shift)
        } else {
            (rows(scale), rows(shift))
        };
        return Tensor::from_dispatch(<Dispatch as NetOps>::norm_act(
            x.into_dispatch(),
            scale.into_dispatch(),
            shift.into_dispatch(),
            groups,
            slope,
            meeting.clone(),
        ));
    }
    norm_act_plain(x, rows(scale), rows(shift), groups, slope)
}

/// True where our kernels normalise groups of so many channels; those in WGSL keep a group's scales and
/// shifts in workgroup memory.
fn takes_own_norm(device: &Device, channels: usize, groups: usize) -> bool {
    is_flex(device) || (has_wgsl(device) && channels / groups <= needs::GROUP_MOST)
}

/// [`norm_act`] in tensor operations, with a row of `scale` and `shift` a picture.
fn norm_act_plain(
    x: Tensor<4>,
    scale: Tensor<2>,
    shift: Tensor<2>,
    groups: usize,
    slope: f32,
) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    let grouped = x.reshape([b, groups, c / groups * h * w]);
    let centred = grouped.clone() - grouped.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2);
    let normal = (centred / (variance + norm_cpu::EPSILON).sqrt()).reshape([b, c, h, w]);
    let y = normal * scale.reshape([b, c, 1, 1]) + shift.reshape([b, c, 1, 1]);
    if slope == 1.0 {
        y
    } else {
        burn::tensor::activation::leaky_relu(y, f64::from(slope))
    }
}

/// [`norm_act`] whose scale and shift come from a style code: `scale = 1 + (code W + bias)[:c]`, `shift =
/// (code W + bias)[c:]`.
///
/// # Shapes
/// - `x`: `[b, c, H, W]`; `groups` divides `c`
/// - `code`: `[b, s]`; `weight`: `[s, 2c]`; `bias`: `[2c]`
pub(crate) fn style_norm_act(
    x: Tensor<4>,
    code: Tensor<2>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    groups: usize,
    slope: f32,
) -> Tensor<4> {
    let affine = StyleAffine { code, weight, bias };
    let alone = [Meeting::default(), Meeting::default()];
    style_norm_act_meeting(x, affine, groups, slope, alone.each_ref())
}

/// Where the scales and shifts of a normalisation come from.
pub(crate) struct StyleAffine {
    /// `[b, s]`
    pub(crate) code: Tensor<2>,
    /// `[s, 2c]`
    pub(crate) weight: Tensor<2>,
    /// `[2c]`
    pub(crate) bias: Tensor<1>,
}

/// [`style_norm_act`]; `meetings`: those of `x` and of the code.
pub(crate) fn style_norm_act_meeting(
    x: Tensor<4>,
    affine: StyleAffine,
    groups: usize,
    slope: f32,
    [of_x, of_code]: [&Meeting; 2],
) -> Tensor<4> {
    let StyleAffine { code, weight, bias } = affine;
    let [_, c, h, _] = x.dims();
    let device = x.device();
    if has_wgsl(&device) && takes_own_norm(&device, c, groups) {
        meet(&x, || Shape::Normalisation {
            channels: c,
            side: h,
            groups,
        });
        return Tensor::from_dispatch(<Dispatch as NetOps>::style_norm_act(
            x.into_dispatch(),
            code.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            groups,
            slope,
            [of_x.clone(), of_code.clone()],
        ));
    }
    let affine = code.matmul(weight) + bias.unsqueeze(); // [b, 2c]
    let mut halves = affine.split(c, 1).into_iter();
    let (scale, shift) = halves
        .next()
        .zip(halves.next())
        .expect("2c columns split into two");
    norm_act_meeting(x, scale + 1.0, shift, groups, slope, of_x)
}

/// Leaky ReLU: `max(x, slope * x)`, `slope` in (0, 1]; its derivative at 0 is 1.
///
/// # Shapes
/// `x`: any, as the result
pub(crate) fn leaky<const D: usize>(x: Tensor<D>, slope: f32) -> Tensor<D> {
    if is_served(&x.device()) {
        let y = <Dispatch as NetOps>::leaky(x.into_dispatch(), slope);
        return Tensor::from_dispatch(y);
    }
    burn::tensor::activation::leaky_relu(x, f64::from(slope))
}

/// Means of 2x2 patches.
///
/// # Shapes
/// `x`: `[b, c, 2h, 2w]`; returns `[b, c, h, w]`
pub(crate) fn halve(x: Tensor<4>) -> Tensor<4> {
    halve_meeting(x, &Meeting::default())
}

/// [`halve`]; `meeting`: that of `x`.
pub(crate) fn halve_meeting(x: Tensor<4>, meeting: &Meeting) -> Tensor<4> {
    meet_resizing(&x, Resize::Halve);
    if is_served(&x.device()) {
        let y = <Dispatch as NetOps>::pool(x.into_dispatch(), 0.25, meeting.clone());
        return Tensor::from_dispatch(y);
    }
    let [b, c, h, w] = x.dims();
    x.reshape([b, c, h / 2, 2, w / 2, 2])
        .mean_dim(5)
        .mean_dim(3)
        .reshape([b, c, h / 2, w / 2])
}

/// Each pixel becomes a 2x2 patch of itself.
///
/// # Shapes
/// `x`: `[b, c, h, w]`; returns `[b, c, 2h, 2w]`
pub(crate) fn upsample(x: Tensor<4>) -> Tensor<4> {
    meet_resizing(&x, Resize::Upsample);
    if is_served(&x.device()) {
        let y = <Dispatch as NetOps>::spread(x.into_dispatch(), 1.0);
        return Tensor::from_dispatch(y);
    }
    burns_upsample(x)
}

/// `base + upsample(x)`. `meeting`: that of `base`.
///
/// # Shapes
/// As [`upsample`]; `base`: as the result
pub(crate) fn upsample_onto(base: Tensor<4>, x: Tensor<4>, meeting: &Meeting) -> Tensor<4> {
    meet_resizing(&x, Resize::Upsample);
    if is_served(&x.device()) {
        let (base, x) = (base.into_dispatch(), x.into_dispatch());
        let y = <Dispatch as NetOps>::spread_onto(base, x, 1.0, meeting.clone());
        return Tensor::from_dispatch(y);
    }
    base + burns_upsample(x)
}

fn burns_upsample(x: Tensor<4>) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    x.reshape([b, c, h, 1, w, 1])
        .expand([b, c, h, 2, w, 2])
        .reshape([b, c, 2 * h, 2 * w])
}

/// Some of a tensor's planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Along which axis.
    pub(crate) axis: usize,
    pub(crate) start: usize,
    pub(crate) count: usize,
}

impl Part {
    /// The shape of this part of a tensor.
    #[cfg(feature = "wgpu")]
    fn shape(self, mut whole: [usize; 4]) -> [usize; 4] {
        whole[self.axis] = self.count;
        whole
    }
}

/// A tensor in two halves along an axis. Where our kernels run, the gradient of both is two launches in the
/// place of five.
///
/// # Panics
/// For an odd number of planes.
pub(crate) fn halves(x: Tensor<4>, axis: usize) -> [Tensor<4>; 2] {
    let count = x.dims()[axis] / 2;
    assert_eq!(2 * count, x.dims()[axis], "an even number has halves");
    let starts = [0, count];
    if !is_near_wgsl(&x.device()) {
        return starts.map(|start| x.clone().narrow(axis, start, count));
    }
    let meeting = Meeting::default();
    starts.map(|start| {
        let part = Part { axis, start, count };
        let x = x.clone().into_dispatch();
        Tensor::from_dispatch(<Dispatch as NetOps>::part(x, part, meeting.clone()))
    })
}

/// `1/n sum |a - b|` over every value, `[1]`, on devices [`is_near_wgsl`]; there one launch takes the place
/// of ten or so.
///
/// # Shapes
/// `a`, `b`: `[b, c, H, W]`
pub(crate) fn mean_error(a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
    assert_eq!(a.dims(), b.dims(), "values of one shape");
    let (a, b) = (a.into_dispatch(), b.into_dispatch());
    Tensor::from_dispatch(<Dispatch as NetOps>::mean_error(a, b))
}

/// Numbers of one Adam update, bias corrections folded into `rate` and `epsilon`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamScalars {
    /// What the first moment keeps of itself.
    pub(crate) beta_1: f32,
    /// The same of the second moment.
    pub(crate) beta_2: f32,
    /// Step size.
    pub(crate) rate: f32,
    /// Added to the root of the second moment.
    pub(crate) epsilon: f32,
}

/// `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`, `w = w - rate m / (sqrt(v) + epsilon)`, all `[n]`:
/// `[w, m, v]`.
pub(crate) fn adam(
    weight: Tensor<1>,
    gradient: Tensor<1>,
    first: Tensor<1>,
    second: Tensor<1>,
    s: AdamScalars,
) -> [Tensor<1>; 3] {
    if is_flex(&weight.device()) {
        let (weight, first, second) = <Dispatch as NetOps>::adam(
            weight.into_dispatch(),
            gradient.into_dispatch(),
            first.into_dispatch(),
            second.into_dispatch(),
            s,
        );
        return [weight, first, second].map(Tensor::from_dispatch);
    }
    let first = first.mul_scalar(s.beta_1) + gradient.clone().mul_scalar(1.0 - s.beta_1);
    let second = second.mul_scalar(s.beta_2) + gradient.square().mul_scalar(1.0 - s.beta_2);
    let change = first.clone() / (second.clone().sqrt() + s.epsilon);
    [weight - change.mul_scalar(s.rate), first, second]
}

/// Arrays that one [`NetOps::gather`] takes: with the buffer they go to, eight bindings.
pub(crate) const GATHERED: usize = 7;

/// Elements that an array takes in a flat buffer: a view of it has to begin where a device can bind it.
pub(crate) fn padded(elements: usize) -> usize {
    elements.next_multiple_of(64)
}

/// What [`NetOps::gather`] writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gather {
    /// Where in the buffer.
    pub(crate) start: usize,
    /// The first of the arrays; the rest is not looked at.
    pub(crate) count: usize,
    /// Elements of each array in the buffer. One that has several times as many comes in runs, which are
    /// added up in their order.
    pub(crate) sizes: [usize; GATHERED],
}

/// Part of a flat buffer as a tensor, without a copy; `start` as [`padded`] arrays lie.
pub(crate) fn view<const D: usize>(flat: Tensor<1>, start: usize, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as NetOps>::view(
        flat.into_dispatch(),
        start,
        TensorShape::new(shape),
    ))
}

/// [`view`] of whole numbers, which stand in the buffer bit by bit. On devices [`is_near_wgsl`] alone.
pub(crate) fn view_int<const D: usize>(
    flat: Tensor<1>,
    start: usize,
    shape: [usize; D],
) -> Tensor<D, Int> {
    Tensor::from_dispatch(<Dispatch as NetOps>::view_int(
        flat.into_dispatch(),
        start,
        TensorShape::new(shape),
    ))
}

/// The operations of Flex and of `wgpu`, on this machine and others; other backends never get here.
#[allow(
    clippy::too_many_arguments,
    reason = "an operation's tensors are its arguments: the macro takes them one by one"
)]
#[backend_extension(Cube: cfg(feature = "wgpu"), Flex, Remote: cfg(feature = "remote"), Autodiff, Fusion: cfg(feature = "wgpu"))]
pub(crate) trait NetOps: Backend {
    /// `in_runs`: of use to the backward pass.
    #[fusion(meta = |x, weight, _, _, _| conv_spec(x, weight))]
    fn conv_same(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        slope: f32,
        in_runs: bool,
    ) -> FloatTensor<Self>;
    /// `base + conv(x)`; `meeting` and `in_runs`: of use to the backward pass.
    #[fusion(dtype = base, shape = base)]
    fn conv_onto(
        base: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        meeting: Meeting,
        in_runs: bool,
    ) -> FloatTensor<Self>;
    #[fusion(meta = data_gradient_spec)]
    fn conv_same_data_gradient(
        weight: FloatTensor<Self>,
        dy: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    /// By the weights and by the bias. `in_runs`: as runs along the first axis that are to be added up, as
    /// many as the kernel cuts its sums into.
    #[fusion(meta = |x, dy, kernel, in_runs| weight_gradient_specs(x, dy, *kernel, *in_runs))]
    fn conv_same_weight_gradients(
        x: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        kernel: usize,
        in_runs: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// `meeting`: of use to the backward pass.
    #[fusion(dtype = x, shape = x)]
    fn norm_act(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        groups: usize,
        slope: f32,
        meeting: Meeting,
    ) -> FloatTensor<Self>;
    /// `before`: added to the gradient by `x` where `is_added`, else not looked at.
    #[fusion(meta = |x, scale, shift, _, _, _, _, _| (x.clone(), scale.clone(), shift.clone()))]
    fn norm_act_gradients(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        before: FloatTensor<Self>,
        groups: usize,
        slope: f32,
        is_added: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    /// Only on `wgpu`, as are its gradients, `gather` and `view`.
    #[fusion(dtype = x, shape = x)]
    fn style_norm_act(
        x: FloatTensor<Self>,
        code: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
        slope: f32,
        meetings: [Meeting; 2],
    ) -> FloatTensor<Self>;
    /// By the first four, in their order. `before` and `code_before`: added to those by `x` and by the code
    /// where `are_added`, else not looked at.
    #[fusion(meta = |x, code, weight, bias, _, _, _, _, _, _| (x.clone(), code.clone(), weight.clone(), bias.clone()))]
    fn style_norm_act_gradients(
        x: FloatTensor<Self>,
        code: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        before: FloatTensor<Self>,
        code_before: FloatTensor<Self>,
        groups: usize,
        slope: f32,
        are_added: [bool; 2],
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    );
    #[fusion(dtype = x, shape = x)]
    fn leaky(x: FloatTensor<Self>, slope: f32) -> FloatTensor<Self>;
    /// Sums of 2x2 patches times `factor`; `meeting`: of use to the backward pass.
    #[fusion(dtype = x, shape = { let [b, c, h, w] = four(x); TensorShape::new([b, c, h / 2, w / 2]) })]
    fn pool(x: FloatTensor<Self>, factor: f32, meeting: Meeting) -> FloatTensor<Self>;
    /// Each value times `factor` as a 2x2 patch: the transpose of [`NetOps::pool`].
    #[fusion(dtype = x, shape = { let [b, c, h, w] = four(x); TensorShape::new([b, c, 2 * h, 2 * w]) })]
    fn spread(x: FloatTensor<Self>, factor: f32) -> FloatTensor<Self>;
    /// `base + spread(x)`; `meeting`: that of `base`, of use to the backward pass.
    #[fusion(dtype = base, shape = base)]
    fn spread_onto(
        base: FloatTensor<Self>,
        x: FloatTensor<Self>,
        factor: f32,
        meeting: Meeting,
    ) -> FloatTensor<Self>;
    /// `y`: the result of [`NetOps::leaky`].
    #[fusion(dtype = y, shape = y)]
    fn leaky_gradient(y: FloatTensor<Self>, dy: FloatTensor<Self>, slope: f32)
    -> FloatTensor<Self>;
    /// On `wgpu` devices of this machine alone; `meeting`: that of `x`, of use to the backward pass.
    #[fusion(dtype = x, shape = TensorShape::new(part.shape(four(x))))]
    fn part(x: FloatTensor<Self>, part: Part, meeting: Meeting) -> FloatTensor<Self>;
    /// By the tensor of `shape` that the part is of. `before`: added where `is_added`, else not looked at.
    #[fusion(meta = |dy, _, shape, _, _| TensorSpec::new(TensorShape::new(*shape), dy.dtype))]
    fn part_gradient(
        dy: FloatTensor<Self>,
        before: FloatTensor<Self>,
        shape: [usize; 4],
        part: Part,
        is_added: bool,
    ) -> FloatTensor<Self>;
    /// On `wgpu` devices of this machine alone.
    #[fusion(dtype = a, shape = TensorShape::new([1]))]
    fn mean_error(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
    /// By `a`; `dy`: `[1]`.
    #[fusion(dtype = a, shape = a)]
    fn mean_error_gradient(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        dy: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    /// On Flex alone.
    #[fusion(meta = |weight, _, first, second, _| (weight.clone(), first.clone(), second.clone()))]
    fn adam(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        scalars: AdamScalars,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    #[fusion(dtype = flat, shape = flat)]
    fn gather(
        flat: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        f: FloatTensor<Self>,
        g: FloatTensor<Self>,
        plan: Gather,
    ) -> FloatTensor<Self>;
    #[fusion(meta = |flat, _, shape| TensorSpec::new(shape.clone(), flat.dtype))]
    fn view(flat: FloatTensor<Self>, start: usize, shape: TensorShape) -> FloatTensor<Self>;
    /// On `wgpu` devices of this machine alone.
    #[fusion(meta = |_, _, shape| TensorSpec::new(shape.clone(), burn::tensor::DType::I32))]
    fn view_int(flat: FloatTensor<Self>, start: usize, shape: TensorShape) -> IntTensor<Self>;
}

#[cfg(feature = "wgpu")]
fn four(shape: &TensorShape) -> [usize; 4] {
    std::array::from_fn(|axis| shape[axis])
}

#[cfg(feature = "wgpu")]
fn conv_spec(x: &TensorSpec, weight: &TensorSpec) -> TensorSpec {
    let [b, _, h, w] = four(&x.shape);
    TensorSpec::new(TensorShape::new([b, weight.shape[0], h, w]), x.dtype)
}

#[cfg(feature = "wgpu")]
fn data_gradient_spec(weight: &TensorSpec, dy: &TensorSpec) -> TensorSpec {
    let [b, _, h, w] = four(&dy.shape);
    TensorSpec::new(TensorShape::new([b, weight.shape[1], h, w]), dy.dtype)
}

#[cfg(feature = "wgpu")]
fn weight_gradient_specs(
    x: &TensorSpec,
    dy: &TensorSpec,
    kernel: usize,
    in_runs: bool,
) -> (TensorSpec, TensorSpec) {
    let (o, c) = (dy.shape[1], x.shape[1]);
    let runs = if in_runs {
        weight_gradient_runs(c, o, kernel)
    } else {
        1
    };
    (
        TensorSpec::new(TensorShape::new([runs * o, c, kernel, kernel]), x.dtype),
        TensorSpec::new(TensorShape::new([runs * o]), x.dtype),
    )
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::rng::{Rng, Stream};

    fn tensor<const D: usize>(step: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
        let values = Rng::new(7, Stream::TEST, step).normals(shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// Largest difference over the largest value of `b`.
    fn apart<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
        let scale: f32 = b.clone().abs().max().into_scalar();
        let difference: f32 = (a - b).abs().max().into_scalar();
        difference / scale.max(1e-6)
    }

    #[test]
    fn convolution_on_flex_has_burns_values_and_gradients() {
        let device = Device::flex().autodiff();
        for (kernel, step) in [(3, 0), (1, 10)] {
            let x = tensor(step, [2, 5, 6, 9], &device).require_grad();
            let w = tensor(step + 1, [7, 5, kernel, kernel], &device).require_grad();
            let b = tensor(step + 2, [7], &device).require_grad();
            let up = tensor(step + 3, [2, 7, 6, 9], &device);
            let border = kernel / 2;
            let options = ConvOptions::new([1, 1], [border, border], [1, 1], 1);
            let ours = conv_same(x.clone(), w.clone(), b.clone());
            let burns = module::conv2d(x.clone(), w.clone(), Some(b.clone()), options);
            assert!(apart(ours.clone().inner(), burns.clone().inner()) < 1e-5);
            let ours = (ours * up.clone()).sum().backward();
            let burns = (burns * up).sum().backward();
            assert!(apart(x.grad(&ours).expect("x"), x.grad(&burns).expect("x")) < 1e-5);
            assert!(apart(w.grad(&ours).expect("w"), w.grad(&burns).expect("w")) < 1e-5);
            assert!(apart(b.grad(&ours).expect("b"), b.grad(&burns).expect("b")) < 1e-5);
        }
    }

    #[test]
    fn normalisation_on_flex_has_the_gradients_of_its_tensor_operations() {
        let device = Device::flex().autodiff();
        for (groups, slope, width) in [(1, 0.2, 5), (3, 0.2, 5), (6, 1.0, 8)] {
            let x = tensor(20, [2, 6, 4, width], &device).require_grad();
            let scale = tensor(21, [2, 6], &device).require_grad();
            let shift = tensor(22, [2, 6], &device).require_grad();
            let up = tensor(23, [2, 6, 4, width], &device);
            let ours = norm_act(x.clone(), scale.clone(), shift.clone(), groups, slope);
            let plain = norm_act_plain(x.clone(), scale.clone(), shift.clone(), groups, slope);
            assert!(apart(ours.clone().inner(), plain.clone().inner()) < 1e-5);
            let ours = (ours * up.clone()).sum().backward();
            let plain = (plain * up).sum().backward();
            assert!(apart(x.grad(&ours).expect("x"), x.grad(&plain).expect("x")) < 2e-5);
            assert!(
                apart(
                    scale.grad(&ours).expect("scale"),
                    scale.grad(&plain).expect("scale")
                ) < 2e-5
            );
            assert!(
                apart(
                    shift.grad(&ours).expect("shift"),
                    shift.grad(&plain).expect("shift")
                ) < 2e-5
            );
        }
    }

    #[test]
    fn leaky_on_flex_has_burns_values_and_gradients_and_leaves_its_input() {
        let device = Device::flex().autodiff();
        // Zeros among them.
        let x = tensor(40, [2, 3, 4, 5], &device).round().require_grad();
        let up = tensor(41, [2, 3, 4, 5], &device);
        let before = x.clone().inner();
        let ours = leaky(x.clone(), 0.2);
        let burns = burn::tensor::activation::leaky_relu(x.clone(), 0.2);
        assert!(apart(ours.clone().inner(), burns.clone().inner()) == 0.0);
        assert!(apart(x.clone().inner(), before) == 0.0);
        let ours = (ours * up.clone()).sum().backward();
        let burns = (burns * up).sum().backward();
        assert!(apart(x.grad(&ours).expect("x"), x.grad(&burns).expect("x")) < 1e-6);
    }

    #[test]
    fn halving_and_doubling_on_flex_have_the_gradients_of_their_tensor_operations() {
        let device = Device::flex().autodiff();
        let x = tensor(50, [2, 3, 4, 6], &device).require_grad();
        let (small, large) = (
            tensor(51, [2, 3, 2, 3], &device),
            tensor(52, [2, 3, 8, 12], &device),
        );
        let means = x
            .clone()
            .reshape([2, 3, 2, 2, 3, 2])
            .mean_dim(5)
            .mean_dim(3);
        let wide = x
            .clone()
            .reshape([2, 3, 4, 1, 6, 1])
            .expand([2, 3, 4, 2, 6, 2]);
        for (ours, plain, up) in [
            (halve(x.clone()), means.reshape([2, 3, 2, 3]), small),
            (upsample(x.clone()), wide.reshape([2, 3, 8, 12]), large),
        ] {
            assert!(apart(ours.clone().inner(), plain.clone().inner()) < 1e-6);
            let ours = (ours * up.clone()).sum().backward();
            let plain = (plain * up).sum().backward();
            assert!(apart(x.grad(&ours).expect("x"), x.grad(&plain).expect("x")) < 1e-6);
        }
    }

    /// Runs a check on an adapter, where there is one, one such test at a time.
    #[cfg(feature = "wgpu")]
    fn on_adapter(check: impl FnOnce(&Device)) {
        if let Some(device) = crate::train::adapter() {
            let _turn = crate::train::turn();
            check(&device.autodiff());
        }
    }

    /// Results of operations that Burn's kernels can stand in for, and a gradient; one group is too wide for
    /// workgroup memory.
    #[cfg(feature = "wgpu")]
    fn composed(device: &Device) -> [Vec<f32>; 3] {
        let x = tensor(120, [2, 6, 4, 6], device).require_grad();
        let weight = tensor(121, [6, 6, 3, 3], device);
        let bias = tensor(122, [6], device);
        let code = tensor::<2>(123, [2, 5], device);
        let affine = (tensor(124, [5, 12], device), tensor(125, [12], device));
        let y = conv(x.clone(), weight.clone(), bias.clone(), 0.2, true);
        let y = Fan::new(code).norm_act(y, affine, 3, 0.2, &Meeting::default());
        let y = conv_onto(x.clone(), y, weight, bias, &Meeting::default(), true);
        let small = leaky(halve(y.clone()), 0.2);
        let y = upsample_onto(y, small, &Meeting::default());
        let gradients = (y.clone() * tensor(126, [2, 6, 4, 6], device))
            .sum()
            .backward();
        let channels = needs::GROUP_MOST + 1;
        let row = |step| tensor::<1>(step, [channels], device);
        let wide = tensor(127, [1, channels, 2, 2], device);
        let rows = [row(128), row(129)];
        let wide = norm_row(wide, rows, 1, 0.2, &Meeting::default());
        let dx = x.grad(&gradients).expect("it counts");
        [y.inner(), dx, wide.inner()].map(crate::arrays::values_of)
    }

    /// As on a device with narrow workgroups, which keeps our convolutions, and on one with few buffers, too.
    #[cfg(feature = "wgpu")]
    #[test]
    fn a_device_that_lacks_what_our_kernels_need_computes_the_same_by_burns() {
        let expected = composed(&Device::flex().autodiff());
        let near = |got: [Vec<f32>; 3], what: &str| {
            for (got, expected) in got.iter().zip(&expected) {
                let scale = expected
                    .iter()
                    .fold(0.0_f32, |top, value| top.max(value.abs()));
                assert_eq!(got.len(), expected.len(), "{what}");
                for (a, b) in got.iter().zip(expected) {
                    assert!((a - b).abs() < 1e-4 * scale, "{what}: {a} and {b}");
                }
            }
        };
        on_adapter(|device| {
            assert_eq!(lacking(device), None);
            near(composed(device), "everything");
            for (buffers, invocations) in [(8, 128), (4, 256)] {
                let has = needs::Limits {
                    buffers,
                    invocations,
                    shared_bytes: 16 << 10,
                };
                needs::as_if(has, || {
                    assert!(!has_wgsl(device) && has_convolutions(device) == (buffers == 8));
                    let said = lacking(device).expect("it lacks something");
                    near(composed(device), &said);
                });
            }
        });
    }

    /// A software adapter's times say nothing, but choices that hang on them are made, kept and found again.
    #[cfg(feature = "wgpu")]
    #[test]
    fn the_faster_kernels_are_measured_once_a_layer_and_found_again() {
        on_adapter(|device| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let store = Store {
                file: Some(folder.path().join("kernels.json")),
                name: "this adapter".to_owned(),
            };
            let before = measurements();
            prefer(device, Preference::Faster(store.clone()));
            let chosen = composed(device);
            let measured = measurements() - before;
            let Counts { own, burn } = kept(&store);
            assert!(measured > 0 && own + burn == measured, "{measured}");
            // Another process: it finds them, and computes the same to the bit.
            prefer(device, Preference::Faster(store));
            assert_eq!(composed(device), chosen);
            assert_eq!(measurements() - before, measured);
            prefer(device, Preference::Own);
        });
    }

    #[test]
    fn gradients_that_meet_on_flex_are_those_of_additions() {
        gradients_meet(&Device::flex().autodiff());
    }

    #[cfg(feature = "wgpu")]
    #[test]
    fn gradients_that_meet_on_an_adapter_are_those_of_additions() {
        on_adapter(gradients_meet);
    }

    /// A residual block, and a wide branch, on a leaf and on what is computed; two layers that read one code.
    fn gradients_meet(device: &Device) {
        let weight = tensor(61, [6, 6, 3, 3], device).require_grad();
        let bias = tensor(62, [6], device).require_grad();
        let leaf = tensor(60, [2, 6, 4, 6], device).require_grad();
        let source = tensor(63, [2, 5], device).require_grad();
        let matrix = tensor(64, [5, 12], device).require_grad();
        let offset = tensor(65, [12], device).require_grad();
        let up = tensor(66, [2, 6, 4, 6], device);
        let styled = |x: Tensor<4>, code: &Tensor<2>, meetings: [&Meeting; 2]| {
            let affine = StyleAffine {
                code: code.clone(),
                weight: matrix.clone(),
                bias: offset.clone(),
            };
            style_norm_act_meeting(x, affine, 3, 0.2, meetings)
        };
        let (weights, biases) = (|| weight.clone(), || bias.clone());
        let alone = Meeting::default;
        for is_leaf in [true, false] {
            // A backward pass uses its graph up: each begins at the leaves.
            let inputs = || {
                if is_leaf {
                    (leaf.clone(), source.clone())
                } else {
                    (leaf.clone() * 2.0, source.clone() * 0.5)
                }
            };
            let (x, code) = inputs();
            let [of_x, of_z, of_code] = std::array::from_fn(|_| Meeting::default());
            let y = styled(x.clone(), &code, [&of_x, &of_code]);
            let y = styled(y, &code, [&alone(), &of_code]);
            let z = conv_onto(x.clone(), y, weights(), biases(), &of_x, false);
            let rows = tensor::<2>(67, [1, 6], device);
            let wide = halve_meeting(z.clone(), &of_z);
            let wide = norm_act_meeting(wide, rows.clone(), rows.clone(), 2, 0.2, &alone());
            let ours = upsample_onto(z, wide, &of_z);

            let (x, code) = inputs();
            let y = styled(x.clone(), &code, [&alone(), &alone()]);
            let y = styled(y, &code, [&alone(), &alone()]);
            let z = x + conv_same(y, weights(), biases());
            let wide = norm_act(halve(z.clone()), rows.clone(), rows, 2, 0.2);
            let plain = z + upsample(wide);

            assert!(apart(ours.clone().inner(), plain.clone().inner()) < 1e-6);
            let ours = (ours * up.clone()).sum().backward();
            let plain = (plain * up.clone()).sum().backward();
            let same = |name: &str, ours: Option<f32>| {
                let worst = ours.expect("it has a gradient");
                assert!(worst < 1e-5, "{name}, a leaf {is_leaf}: {worst}");
            };
            let of = |t: &Tensor<4>| Some(apart(t.grad(&ours)?, t.grad(&plain)?));
            same("x", of(&leaf));
            same("weight", of(&weight));
            let of = |t: &Tensor<2>| Some(apart(t.grad(&ours)?, t.grad(&plain)?));
            same("code", of(&source));
            same("matrix", of(&matrix));
            let of = |t: &Tensor<1>| Some(apart(t.grad(&ours)?, t.grad(&plain)?));
            same("bias", of(&bias));
            same("offset", of(&offset));
        }
    }

    #[test]
    fn gradients_of_a_fanned_code_on_flex_are_those_of_its_readers() {
        gradients_of_a_fan(&Device::flex().autodiff());
    }

    #[cfg(feature = "wgpu")]
    #[test]
    fn gradients_of_a_fanned_code_on_an_adapter_are_those_of_its_readers() {
        on_adapter(gradients_of_a_fan);
    }

    /// More layers by one code than one call takes, one of them with a matrix that is computed; a code that
    /// wants gradients, and one that does not.
    fn gradients_of_a_fan(device: &Device) {
        let leaf = tensor(90, [2, 6, 4, 6], device).require_grad();
        let source = tensor(91, [2, 5], device).require_grad();
        let matrices: Vec<Tensor<2>> = (92..100)
            .map(|step| tensor(step, [5, 12], device).require_grad())
            .collect();
        let offsets: Vec<Tensor<1>> = (100..108)
            .map(|step| tensor(step, [12], device).require_grad())
            .collect();
        let up = tensor(110, [2, 6, 4, 6], device);
        for is_learned in [true, false] {
            let run = |is_fanned: bool| {
                // A backward pass uses its graph up: each begins at the leaves.
                let code = if is_learned {
                    source.clone() * 0.5
                } else {
                    tensor(91, [2, 5], device)
                };
                let fan = is_fanned.then(|| Fan::new(code.clone()));
                let y = (0..8).fold(leaf.clone() * 2.0, |x, k: usize| {
                    let matrix = matrices[k].clone();
                    let weight = if k == 3 { matrix * 0.5 } else { matrix };
                    let bias = offsets[k].clone();
                    match &fan {
                        Some(fan) => fan.norm_act(x, (weight, bias), 3, 0.2, &Meeting::default()),
                        None => style_norm_act(x, code.clone(), weight, bias, 3, 0.2),
                    }
                });
                (y * up.clone()).sum().backward()
            };
            let (fanned, plain) = (run(true), run(false));
            let same = |name: &str, worst: Option<f32>| {
                let worst = worst.expect("it has a gradient");
                assert!(
                    worst < 1e-4,
                    "{name}, a code that learns {is_learned}: {worst}"
                );
            };
            same(
                "x",
                leaf.grad(&fanned)
                    .zip(leaf.grad(&plain))
                    .map(|(a, b)| apart(a, b)),
            );
            if is_learned {
                let both = source.grad(&fanned).zip(source.grad(&plain));
                same("code", both.map(|(a, b)| apart(a, b)));
            }
            for (k, (matrix, offset)) in matrices.iter().zip(&offsets).enumerate() {
                let both = matrix.grad(&fanned).zip(matrix.grad(&plain));
                same(&format!("matrix {k}"), both.map(|(a, b)| apart(a, b)));
                let both = offset.grad(&fanned).zip(offset.grad(&plain));
                same(&format!("offset {k}"), both.map(|(a, b)| apart(a, b)));
            }
        }
    }

    #[test]
    fn halves_on_flex_have_the_gradients_of_slices() {
        gradients_of_halves(&Device::flex().autodiff());
    }

    #[cfg(feature = "wgpu")]
    #[test]
    fn halves_on_an_adapter_have_the_gradients_of_slices() {
        on_adapter(gradients_of_halves);
    }

    fn gradients_of_halves(device: &Device) {
        let leaf = tensor(81, [4, 6, 3, 5], device).require_grad();
        for axis in [0, 1] {
            // A backward pass uses its graph up: each reads a tensor of its own.
            let x = || leaf.clone() * 2.0;
            let count = leaf.dims()[axis] / 2;
            let loss = |[first, second]: [Tensor<4>; 2]| {
                let ups = [82, 83].map(|step| tensor(step, first.dims(), device));
                let [up, up_2] = ups;
                (first * up).sum() + (second.square() * up_2).sum()
            };
            let (whole, cut) = (x(), x());
            let slices = [0, count].map(|start| cut.clone().narrow(axis, start, count));
            let parts = halves(whole, axis);
            for (ours, slice) in parts.iter().zip(&slices) {
                assert!(apart(ours.clone().inner(), slice.clone().inner()) == 0.0);
            }
            let ours = loss(parts).backward();
            let plain = loss(slices).backward();
            let of = |gradients| leaf.grad(gradients).expect("it counts");
            assert!(apart(of(&ours), of(&plain)) < 1e-6, "axis {axis}");
        }
    }

    #[test]
    fn gradients_in_runs_on_flex_add_up_to_the_gradients() {
        gradients_in_runs(&Device::flex().autodiff());
    }

    #[cfg(feature = "wgpu")]
    #[test]
    fn gradients_in_runs_on_an_adapter_add_up_to_the_gradients() {
        on_adapter(gradients_in_runs);
    }

    /// Gradients of a layer that two batches of different sizes go through; and of one that is no parameter.
    fn gradients_in_runs(device: &Device) {
        let weight = tensor(71, [7, 5, 3, 3], device).require_grad();
        let bias = tensor(72, [7], device).require_grad();
        let sum = |in_runs: bool| {
            let of = |step, pictures: usize| {
                let x = tensor(step, [pictures, 5, 6, 9], device);
                let y = conv(x, weight.clone(), bias.clone(), 0.2, in_runs);
                (y * tensor(step + 1, [pictures, 7, 6, 9], device)).sum()
            };
            (of(73, 2) + of(75, 3)).backward()
        };
        let (runs, sums) = (sum(true), sum(false));
        let got = whole(weight.grad(&runs).expect("weight"), weight.dims());
        assert!(apart(got, weight.grad(&sums).expect("weight")) < 1e-5);
        let got = whole(bias.grad(&runs).expect("bias"), bias.dims());
        assert!(apart(got, bias.grad(&sums).expect("bias")) < 1e-5);

        // Half of it is computed: the gradient that goes on is the sum.
        let half = weight.clone() * 0.5;
        let x = tensor(73, [2, 5, 6, 9], device);
        let y = conv(x.clone(), half, bias.clone(), 1.0, true);
        let got = y.sum().backward();
        let y = conv(x, weight.clone() * 0.5, bias.clone(), 1.0, false);
        let expected = y.sum().backward();
        let got = weight.grad(&got).expect("weight");
        assert_eq!(got.dims(), weight.dims());
        assert!(apart(got, weight.grad(&expected).expect("weight")) < 1e-6);
    }

    #[test]
    fn adam_moves_by_its_formula() {
        let device = Device::flex();
        let [w, g, m, v] = std::array::from_fn(|i| tensor(30 + i as u64, [11], &device));
        let v = v.abs();
        let s = AdamScalars {
            beta_1: 0.5,
            beta_2: 0.9,
            rate: 0.1,
            epsilon: 1e-3,
        };
        let host = |t: &Tensor<1>| t.clone().into_data().try_into_vec::<f32>().expect("f32");
        let (hw, hg, hm, hv) = (host(&w), host(&g), host(&m), host(&v));
        let [w, m, v] = adam(w, g, m, v, s);
        for i in 0..11 {
            let first = f64::from(hm[i]) * 0.5 + f64::from(hg[i]) * 0.5;
            let second = f64::from(hv[i]) * 0.9 + f64::from(hg[i]).powi(2) * 0.1;
            let weight = f64::from(hw[i]) - 0.1 * first / (second.sqrt() + 1e-3);
            assert!((f64::from(host(&w)[i]) - weight).abs() < 1e-6);
            assert!((f64::from(host(&m)[i]) - first).abs() < 1e-6);
            assert!((f64::from(host(&v)[i]) - second).abs() < 1e-6);
        }
    }
}
