//! Operations that `wgpu` devices of this machine have as kernels ([`is_near_wgsl`]), where they take the
//! place of several launches; elsewhere the same is composed of [`super::NetOps`] and tensor operations.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
#[cfg(feature = "wgpu")]
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Device, Int, Tensor, activation};

use super::autodiff::{Normed, normed, normed_backward};
use super::meeting::{Meeting, is_leaf_or_none, split};
use super::shapes::{Shape, meet};
use super::{AdamScalars, GATHERED, Gather, TensorShape, padded};
#[cfg(feature = "wgpu")]
use super::{four, squared_sums, weight_gradient_runs};
use super::{is_near_wgsl, norm_act_meeting, takes_own_norm};

/// What is done to a tensor on the way into a convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reading {
    Plain,
    /// A leaky ReLU of this slope.
    Leaky(f32),
    /// Each pixel as a 2x2 patch.
    Doubled,
    /// Each 2x2 patch as four channels.
    Unshuffled,
}

impl Reading {
    /// The shape that the convolution sees of a tensor of this one.
    pub(super) fn seen(self, [b, c, h, w]: [usize; 4]) -> [usize; 4] {
        match self {
            Self::Plain | Self::Leaky(_) => [b, c, h, w],
            Self::Doubled => [b, c, 2 * h, 2 * w],
            Self::Unshuffled => [b, 4 * c, h / 2, w / 2],
        }
    }
}

/// Least and largest logarithm of a variance of the posterior, and what is added to what the network says.
pub(crate) const LOG_VAR_RANGE: [f32; 2] = [-10.0, 4.0];
/// See [`LOG_VAR_RANGE`]: it starts at a deviation of e^-2, for a decoder that sees only noise learns
/// nothing.
pub(crate) const LOG_VAR_START: f32 = -4.0;

/// `mean + exp(log_var / 2) * noise`, with `log_var` shifted and bounded by [`LOG_VAR_START`] and
/// [`LOG_VAR_RANGE`]. `meeting`: that of `both`. On devices [`is_near_wgsl`] alone, as is [`divergence`].
///
/// # Shapes
/// - `both`: `[b, 2z, h, w]`, mean, then raw logarithm of the variance
/// - `noise`: `[b, z, h, w]`, without a graph; as the result
pub(crate) fn latent(both: Tensor<4>, noise: Tensor<4>, meeting: &Meeting) -> Tensor<4> {
    let (both, noise) = (both.into_dispatch(), noise.into_dispatch());
    let y = <Dispatch as NearOps>::latent(both, noise, meeting.clone());
    Tensor::from_dispatch(y)
}

/// `share * sum (mean^2 + var - 1 - log_var) / 2`, `[1]`; `both` as of [`latent`].
pub(crate) fn divergence(both: Tensor<4>, share: f32, meeting: &Meeting) -> Tensor<1> {
    let both = both.into_dispatch();
    let y = <Dispatch as NearOps>::divergence(both, share, meeting.clone());
    Tensor::from_dispatch(y)
}

/// Real pictures, fakes, and mixtures of both, outside any graph: mixture `m` shows picture `inside[m]` of
/// both where its mask is 1, `outside[m]` where it is 0. `[3n, c, H, W]`
///
/// # Shapes
/// - `real`, `fake`: `[n, c, H, W]`; `inside`, `outside`: `[n]`; `mask`: `[n, 1, H, W]`
pub(crate) fn mixed(
    [real, fake]: [Tensor<4>; 2],
    [inside, outside]: [Tensor<1, Int>; 2],
    mask: Tensor<4>,
) -> Tensor<4> {
    if !is_near_wgsl(&real.device()) {
        let pure = Tensor::cat(vec![real, fake], 0);
        let outside = pure.clone().select(0, outside);
        let mixed = outside.clone() + (pure.clone().select(0, inside) - outside) * mask;
        return Tensor::cat(vec![pure, mixed], 0);
    }
    Tensor::from_dispatch(<Dispatch as NearOps>::mixed(
        real.into_dispatch(),
        fake.into_dispatch(),
        inside.into_dispatch(),
        outside.into_dispatch(),
        mask.into_dispatch(),
    ))
}

/// What a discriminator's step shows of itself, outside any graph, `[5]`: means of the losses of real, fake
/// and mixed pictures; mean probability, over patches, that they are real by their own emissions, of real and
/// of fake pictures.
///
/// # Shapes
/// - `losses`: `[3n]`; `emissions`: `[3n, l, h, w]`, label 0 fake
pub(crate) fn figures(losses: Tensor<1>, emissions: Tensor<4>) -> Tensor<1> {
    if !is_near_wgsl(&losses.device()) {
        let [pictures, _, h, w] = emissions.dims();
        let n = pictures / 3;
        let losses = losses.reshape([3, n]).mean_dim(1).reshape([3]);
        let fake = activation::softmax(emissions.narrow(0, 0, 2 * n), 1).narrow(1, 0, 1);
        let real = (fake.neg() + 1.0).reshape([2 * n, h * w]).mean_dim(1);
        let real = real.reshape([2, n]).mean_dim(1).reshape([2]);
        return Tensor::cat(vec![losses, real], 0);
    }
    Tensor::from_dispatch(<Dispatch as NearOps>::figures(
        losses.into_dispatch(),
        emissions.into_dispatch(),
    ))
}

/// A tensor behind itself: `[b, ..] -> [2b, ..]`.
pub(crate) fn twice(x: Tensor<4>) -> Tensor<4> {
    if !is_near_wgsl(&x.device()) {
        return Tensor::cat(vec![x.clone(), x], 0);
    }
    Tensor::from_dispatch(<Dispatch as NearOps>::twice(x.into_dispatch()))
}

/// Terms that one [`total`] takes: with its result, seven bindings.
pub(crate) const TOTALLED: usize = 6;

/// Weights of the terms of a [`total`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "wgpu"),
    allow(dead_code, reason = "a build without wgpu has no kernel to read them")
)]
pub(crate) struct Weights(pub(super) [f32; TOTALLED]);

/// The sum of weighted means of vectors, then each mean: `[1 + terms]`. Its backward pass begins at the first
/// alone, whatever comes to the others. On devices [`is_near_wgsl`] alone.
///
/// # Panics
/// For no terms, or more than six.
pub(crate) fn total(terms: &[(Tensor<1>, f32)]) -> Tensor<1> {
    let count = terms.len();
    assert!((1..=TOTALLED).contains(&count), "{count} terms at once");
    let weights = Weights(std::array::from_fn(|k| {
        terms.get(k).map_or(0.0, |term| term.1)
    }));
    let term = |k: usize| terms[k.min(count - 1)].0.clone().into_dispatch();
    Tensor::from_dispatch(<Dispatch as NearOps>::total(
        term(0),
        term(1),
        term(2),
        term(3),
        term(4),
        term(5),
        count,
        weights,
    ))
}

/// Arrays that one [`gather`] takes on a device, at most.
pub(crate) fn gathered_at_once(device: &Device) -> usize {
    if is_near_wgsl(device) {
        usize::MAX
    } else {
        GATHERED
    }
}

/// Copies arrays into a flat buffer, end to end from `start` on, each padded with zeros. `sizes`: what each
/// takes there; a longer array comes in runs, which are added up. Only where our kernels run.
///
/// # Panics
/// For no arrays, more than a device takes at once (seven, or any number), and one whose length is no
/// multiple of its size.
pub(crate) fn gather(
    flat: Tensor<1>,
    start: usize,
    parts: Vec<Tensor<1>>,
    sizes: &[usize],
) -> Tensor<1> {
    let count = parts.len();
    let most = gathered_at_once(&flat.device());
    assert!((1..=most).contains(&count), "{count} arrays at once");
    assert_eq!(count, sizes.len(), "each array has its size");
    for (part, size) in parts.iter().zip(sizes) {
        let [all] = part.dims();
        assert!(
            all.is_multiple_of(*size),
            "{all} elements are no runs of {size}"
        );
    }
    if is_near_wgsl(&flat.device()) {
        let parts = parts.into_iter().map(Some).collect();
        return gather_sums(flat, start, parts, sizes);
    }
    let sizes = std::array::from_fn(|k| sizes.get(k).copied().unwrap_or(1));
    let mut parts = parts.into_iter();
    let first = parts.next().expect("there is one");
    let mut next = || {
        parts
            .next()
            .unwrap_or_else(|| first.clone())
            .into_dispatch()
    };
    let (b, c, d, e, f, g) = (next(), next(), next(), next(), next(), next());
    Tensor::from_dispatch(<Dispatch as super::NetOps>::gather(
        flat.into_dispatch(),
        first.into_dispatch(),
        b,
        c,
        d,
        e,
        f,
        g,
        Gather {
            start,
            count,
            sizes,
        },
    ))
}

/// [`gather`] of any number of arrays, each the sum of as many: `summands` has those of the first array, then
/// those of the second, and so on; one that is not there counts as zeros. On devices [`is_near_wgsl`] alone.
pub(crate) fn gather_sums(
    flat: Tensor<1>,
    start: usize,
    summands: Vec<Option<Tensor<1>>>,
    sizes: &[usize],
) -> Tensor<1> {
    assert!(
        !sizes.is_empty() && summands.len().is_multiple_of(sizes.len()),
        "{} summands of {} arrays",
        summands.len(),
        sizes.len()
    );
    let places = Places {
        start,
        sizes: sizes.to_vec(),
        are_there: summands.iter().map(Option::is_some).collect(),
    };
    let waiting = Waiting::default();
    let there: Vec<Tensor<1>> = summands.into_iter().flatten().collect();
    let calls = there.len().div_ceil(AT_A_CALL);
    let calls = there.chunks(AT_A_CALL).zip(1..=calls).map(|(parts, call)| {
        let is_last = call * AT_A_CALL >= there.len();
        let call = GatherCall {
            count: parts.len(),
            waiting: waiting.clone(),
            places: is_last.then(|| places.clone()),
        };
        (parts, call)
    });
    calls.fold(flat, |flat, (parts, call)| gather_call(flat, parts, call))
}

/// Arrays that one call of [`NearOps::gather_all`] takes.
const AT_A_CALL: usize = 14;

/// Where arrays go in a flat buffer.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "wgpu"),
    allow(dead_code, reason = "a build without wgpu has no kernel to read them")
)]
pub(crate) struct Places {
    pub(super) start: usize,
    /// Elements of each array in the buffer.
    pub(super) sizes: Vec<usize>,
    /// Of each array, one after the other, which summands there are.
    pub(super) are_there: Vec<bool>,
}

/// Arrays of earlier calls, which wait for the launch that takes them all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting(Arc<Mutex<Vec<Box<dyn Any + Send>>>>);

impl Waiting {
    pub(super) fn put(&self, array: impl Any + Send) {
        let mut arrays = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        arrays.push(Box::new(array));
    }

    /// All of them, which are of one type.
    pub(super) fn take<T: Any>(&self) -> Vec<T> {
        let arrays = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let arrays = arrays.into_iter().map(|array| {
            let array = array.downcast::<T>();
            *array.unwrap_or_else(|_| unreachable!("arrays of one backend wait together"))
        });
        arrays.collect()
    }
}

/// What a call of [`NearOps::gather_all`] brings.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "wgpu"),
    allow(dead_code, reason = "a build without wgpu has no kernel to read it")
)]
pub(crate) struct GatherCall {
    /// The first of its arrays; the rest is not looked at.
    pub(super) count: usize,
    pub(super) waiting: Waiting,
    /// Of the last call.
    pub(super) places: Option<Places>,
}

fn gather_call(flat: Tensor<1>, parts: &[Tensor<1>], call: GatherCall) -> Tensor<1> {
    let part = |k: usize| parts[k.min(parts.len() - 1)].clone().into_dispatch();
    Tensor::from_dispatch(<Dispatch as NearOps>::gather_all(
        flat.into_dispatch(),
        part(0),
        part(1),
        part(2),
        part(3),
        part(4),
        part(5),
        part(6),
        part(7),
        part(8),
        part(9),
        part(10),
        part(11),
        part(12),
        part(13),
        call,
    ))
}

/// Vectors one after the other, outside any graph.
pub(crate) fn join(parts: Vec<Tensor<1>>) -> Tensor<1> {
    let first = parts.first().expect("there is one");
    if parts.len() == 1 || parts.len() > GATHERED || !is_near_wgsl(&first.device()) {
        return Tensor::cat(parts, 0);
    }
    let sizes: Vec<usize> = parts.iter().map(|part| part.dims()[0]).collect();
    let part = |k: usize| parts[k.min(parts.len() - 1)].clone().into_dispatch();
    Tensor::from_dispatch(<Dispatch as NearOps>::join(
        part(0),
        part(1),
        part(2),
        part(3),
        part(4),
        part(5),
        part(6),
        sizes,
    ))
}

/// What gradients of this norm are multiplied by, `[1]`; none where they are left.
pub(crate) fn clipping(norm: &Tensor<1>, norm_max: f32) -> Option<Tensor<1>> {
    (norm_max > 0.0).then(|| {
        (norm.clone() + 1e-12)
            .recip()
            .mul_scalar(norm_max)
            .clamp_max(1.0)
    })
}

/// What an update of all weights at once takes.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "wgpu"),
    allow(dead_code, reason = "a build without wgpu has no kernel to read them")
)]
pub(crate) struct Clipped {
    pub(super) scalars: AdamScalars,
    pub(super) norm_max: f32,
    /// Elements have rates of their own.
    pub(super) is_rated: bool,
}

/// An update by Adam (`ops::adam`) of all weights of a network, whose gradients are first multiplied by
/// `norm_max` over their norm where that is above it; a `norm_max` of 0 leaves them. `rates`: factors on the
/// step size, an element each. Weights, both moments, and the norm before, `[1]`.
///
/// # Shapes
/// weights, gradients, both moments and `rates`: `[n]`
pub(crate) fn adam_clipped(
    [weights, gradient, first, second]: [Tensor<1>; 4],
    rates: Option<Tensor<1>>,
    scalars: AdamScalars,
    norm_max: f32,
) -> [Tensor<1>; 4] {
    if is_near_wgsl(&weights.device()) {
        let is_rated = rates.is_some();
        let rates = rates.unwrap_or_else(|| gradient.clone());
        let squares = <Dispatch as NearOps>::squares(gradient.clone().into_dispatch());
        let (weights, first, second, norm) = <Dispatch as NearOps>::adam_clipped(
            weights.into_dispatch(),
            gradient.into_dispatch(),
            first.into_dispatch(),
            second.into_dispatch(),
            squares,
            rates.into_dispatch(),
            Clipped {
                scalars,
                norm_max,
                is_rated,
            },
        );
        return [weights, first, second, norm].map(Tensor::from_dispatch);
    }
    let s = scalars;
    let norm = gradient.clone().square().sum().sqrt();
    let gradient = match clipping(&norm, norm_max) {
        Some(factor) => gradient * factor,
        None => gradient,
    };
    let first = first.mul_scalar(s.beta_1) + gradient.clone().mul_scalar(1.0 - s.beta_1);
    let second = second.mul_scalar(s.beta_2) + gradient.square().mul_scalar(1.0 - s.beta_2);
    let change = first.clone() / (second.clone().sqrt() + s.epsilon);
    let change = match rates {
        Some(rates) => change * rates,
        None => change,
    };
    [weights - change.mul_scalar(s.rate), first, second, norm]
}

/// How far [`blend`] goes.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "wgpu"),
    allow(dead_code, reason = "a build without wgpu has no kernel to read it")
)]
pub(crate) struct Share(pub(super) f32);

/// `average + share * (current - average)`, outside any graph, `[n]`.
pub(crate) fn blend(average: Tensor<1>, current: Tensor<1>, share: f32) -> Tensor<1> {
    if !is_near_wgsl(&average.device()) {
        return average.clone() + (current - average).mul_scalar(share);
    }
    let (average, current) = (average.into_dispatch(), current.into_dispatch());
    let blended = <Dispatch as NearOps>::blend(average, current, Share(share));
    Tensor::from_dispatch(blended)
}

/// [`super::norm_act`] with one scale and shift a channel for all pictures, whose gradients may come in runs
/// (`super::conv`). `meeting`: that of `x`.
///
/// # Shapes
/// `scale`, `shift`: `[c]`
pub(crate) fn norm_row(
    x: Tensor<4>,
    [scale, shift]: [Tensor<1>; 2],
    groups: usize,
    slope: f32,
    meeting: &Meeting,
) -> Tensor<4> {
    let [_, c, h, _] = x.dims();
    let device = x.device();
    if !is_near_wgsl(&device) || !takes_own_norm(&device, c, groups) {
        let (scale, shift) = (scale.reshape([1, c]), shift.reshape([1, c]));
        return norm_act_meeting(x, scale, shift, groups, slope, meeting);
    }
    meet(&x, || Shape::Normalisation {
        channels: c,
        side: h,
        groups,
    });
    Tensor::from_dispatch(<Dispatch as NearOps>::norm_row(
        x.into_dispatch(),
        scale.into_dispatch(),
        shift.into_dispatch(),
        groups,
        slope,
        meeting.clone(),
    ))
}

/// The operations of `wgpu` on this machine; other backends never get here.
#[allow(
    clippy::too_many_arguments,
    reason = "an operation's tensors are its arguments: the macro takes them one by one"
)]
#[backend_extension(Cube: cfg(feature = "wgpu"), Autodiff, Fusion: cfg(feature = "wgpu"))]
pub(crate) trait NearOps: Backend {
    /// A same-size convolution of `x` as it is read; `in_runs`: of use to the backward pass.
    #[fusion(meta = |x, weight, _, reading, _| reading_spec(x, weight, *reading))]
    fn conv_reading(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        reading: Reading,
        in_runs: bool,
    ) -> FloatTensor<Self>;
    /// By `x`.
    #[fusion(dtype = x, shape = x)]
    fn conv_reading_data_gradient(
        weight: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        x: FloatTensor<Self>,
        reading: Reading,
    ) -> FloatTensor<Self>;
    /// By the weights and by the bias, in runs or not.
    #[fusion(meta = |x, dy, kernel, reading, in_runs| reading_gradient_specs(x, dy, *kernel, *reading, *in_runs))]
    fn conv_reading_weight_gradients(
        x: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        kernel: usize,
        reading: Reading,
        in_runs: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// Sums of 2x2 patches of `leaky(x)` times `factor`.
    #[fusion(dtype = x, shape = { let [b, c, h, w] = four(x); TensorShape::new([b, c, h / 2, w / 2]) })]
    fn pool_leaky(x: FloatTensor<Self>, factor: f32, slope: f32) -> FloatTensor<Self>;
    /// By `x`.
    #[fusion(dtype = x, shape = x)]
    fn pool_leaky_gradient(
        x: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        factor: f32,
        slope: f32,
    ) -> FloatTensor<Self>;
    /// `meeting`: that of `both`, of use to the backward pass.
    #[fusion(dtype = noise, shape = noise)]
    fn latent(
        both: FloatTensor<Self>,
        noise: FloatTensor<Self>,
        meeting: Meeting,
    ) -> FloatTensor<Self>;
    /// By `both`. `before`: added where `is_added`, else not looked at.
    #[fusion(dtype = both, shape = both)]
    fn latent_gradient(
        both: FloatTensor<Self>,
        noise: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        before: FloatTensor<Self>,
        is_added: bool,
    ) -> FloatTensor<Self>;
    /// `meeting`: that of `both`, of use to the backward pass.
    #[fusion(dtype = both, shape = TensorShape::new([1]))]
    fn divergence(both: FloatTensor<Self>, share: f32, meeting: Meeting) -> FloatTensor<Self>;
    /// By `both`; `before` as of [`NearOps::latent_gradient`].
    #[fusion(dtype = both, shape = both)]
    fn divergence_gradient(
        both: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        before: FloatTensor<Self>,
        share: f32,
        is_added: bool,
    ) -> FloatTensor<Self>;
    /// Outside any graph, as is [`NearOps::figures`].
    #[fusion(meta = |real, _, _, _, _| mixed_spec(real))]
    fn mixed(
        real: FloatTensor<Self>,
        fake: FloatTensor<Self>,
        inside: IntTensor<Self>,
        outside: IntTensor<Self>,
        mask: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    #[fusion(dtype = losses, shape = TensorShape::new([FIGURES]))]
    fn figures(losses: FloatTensor<Self>, emissions: FloatTensor<Self>) -> FloatTensor<Self>;
    #[fusion(dtype = x, shape = { let [b, c, h, w] = four(x); TensorShape::new([2 * b, c, h, w]) })]
    fn twice(x: FloatTensor<Self>) -> FloatTensor<Self>;
    #[fusion(dtype = dy, shape = { let [b, c, h, w] = four(dy); TensorShape::new([b / 2, c, h, w]) })]
    fn twice_gradient(dy: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Puts arrays to those that wait; the last call writes all of them into `flat`, as [`gather_sums`] says.
    #[fusion(dtype = flat, shape = flat)]
    fn gather_all(
        flat: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        f: FloatTensor<Self>,
        g: FloatTensor<Self>,
        h: FloatTensor<Self>,
        i: FloatTensor<Self>,
        j: FloatTensor<Self>,
        k: FloatTensor<Self>,
        l: FloatTensor<Self>,
        m: FloatTensor<Self>,
        n: FloatTensor<Self>,
        call: GatherCall,
    ) -> FloatTensor<Self>;
    /// The total of the first `count` tensors.
    #[fusion(meta = |a, _, _, _, _, _, count, _| TensorSpec::new(TensorShape::new([1 + *count]), a.dtype))]
    fn total(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        f: FloatTensor<Self>,
        count: usize,
        weights: Weights,
    ) -> FloatTensor<Self>;
    /// By terms of these sizes, each padded.
    #[fusion(meta = |dy, sizes, _| padded_spec(dy, sizes))]
    fn total_gradient(
        dy: FloatTensor<Self>,
        sizes: Vec<usize>,
        weights: Weights,
    ) -> FloatTensor<Self>;
    /// As `NetOps::view`.
    #[fusion(meta = |flat, _, shape| TensorSpec::new(shape.clone(), flat.dtype))]
    fn piece(flat: FloatTensor<Self>, start: usize, shape: TensorShape) -> FloatTensor<Self>;
    /// Joins as many tensors as there are sizes.
    #[fusion(meta = |a, _, _, _, _, _, _, sizes| TensorSpec::new(TensorShape::new([sizes.iter().sum::<usize>()]), a.dtype))]
    fn join(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        f: FloatTensor<Self>,
        g: FloatTensor<Self>,
        sizes: Vec<usize>,
    ) -> FloatTensor<Self>;
    /// Sums of squares, shares of the vector's, for [`NearOps::adam_clipped`]; as that, outside any graph.
    #[fusion(meta = squares_spec)]
    fn squares(gradient: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Weights, moments and norm. `rates`: not looked at unless `clipped` says so.
    #[fusion(meta = |weights, _, first, second, _, _, _| (weights.clone(), first.clone(), second.clone(), TensorSpec::new(TensorShape::new([1]), weights.dtype)))]
    fn adam_clipped(
        weights: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        squares: FloatTensor<Self>,
        rates: FloatTensor<Self>,
        clipped: Clipped,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    );
    #[fusion(dtype = average, shape = average)]
    fn blend(
        average: FloatTensor<Self>,
        current: FloatTensor<Self>,
        share: Share,
    ) -> FloatTensor<Self>;
    /// `meeting`: that of `x`, of use to the backward pass.
    #[fusion(dtype = x, shape = x)]
    fn norm_row(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        groups: usize,
        slope: f32,
        meeting: Meeting,
    ) -> FloatTensor<Self>;
    /// By the first three; those by scale and shift a run a picture where `in_runs`. `before`: added to the
    /// one by `x` where `is_added`, else not looked at.
    #[fusion(meta = |x, scale, _, _, _, _, _, _, in_runs| row_gradient_specs(x, scale, *in_runs))]
    fn norm_row_gradients(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        before: FloatTensor<Self>,
        groups: usize,
        slope: f32,
        is_added: bool,
        in_runs: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// Values of [`figures`].
#[cfg(feature = "wgpu")]
pub(super) const FIGURES: usize = 5;

#[cfg(feature = "wgpu")]
fn reading_spec(x: &TensorSpec, weight: &TensorSpec, reading: Reading) -> TensorSpec {
    let [b, _, h, w] = reading.seen(four(&x.shape));
    TensorSpec::new(TensorShape::new([b, weight.shape[0], h, w]), x.dtype)
}

#[cfg(feature = "wgpu")]
fn reading_gradient_specs(
    x: &TensorSpec,
    dy: &TensorSpec,
    kernel: usize,
    reading: Reading,
    in_runs: bool,
) -> (TensorSpec, TensorSpec) {
    let (o, c) = (dy.shape[1], reading.seen(four(&x.shape))[1]);
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

#[cfg(feature = "wgpu")]
fn mixed_spec(real: &TensorSpec) -> TensorSpec {
    let [n, c, h, w] = four(&real.shape);
    TensorSpec::new(TensorShape::new([3 * n, c, h, w]), real.dtype)
}

#[cfg(feature = "wgpu")]
fn padded_spec(dy: &TensorSpec, sizes: &[usize]) -> TensorSpec {
    let length: usize = sizes.iter().map(|size| padded(*size)).sum();
    TensorSpec::new(TensorShape::new([length]), dy.dtype)
}

#[cfg(feature = "wgpu")]
fn squares_spec(gradient: &TensorSpec) -> TensorSpec {
    let sums = squared_sums(gradient.shape.num_elements());
    TensorSpec::new(TensorShape::new([sums]), gradient.dtype)
}

#[cfg(feature = "wgpu")]
fn row_gradient_specs(
    x: &TensorSpec,
    scale: &TensorSpec,
    in_runs: bool,
) -> (TensorSpec, TensorSpec, TensorSpec) {
    let runs = if in_runs { x.shape[0] } else { 1 };
    let row = TensorSpec::new(TensorShape::new([runs * scale.shape[0]]), x.dtype);
    (x.clone(), row.clone(), row)
}

#[derive(Debug)]
struct ConvReadingBackward;

/// What [`NearOps::conv_reading`] leaves for its backward pass.
#[derive(Clone, Debug)]
struct Convolved<F> {
    x: F,
    weight: F,
    kernel: usize,
    reading: Reading,
    in_runs: bool,
}

impl<B: NearOps> Backward<B, 3> for ConvReadingBackward {
    type State = Convolved<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (ops, state) = split(ops);
        let dy = grads.consume::<B>(&ops.node);
        let Convolved {
            x,
            weight,
            kernel,
            reading,
            in_runs,
        } = state;
        if let Some(node) = &ops.parents[0] {
            let dx = B::conv_reading_data_gradient(weight, dy.clone(), x.clone(), reading);
            grads.register::<B>(node.id, dx);
        }
        if ops.parents[1].is_none() && ops.parents[2].is_none() {
            return;
        }
        // What is computed from a parameter needs the sum itself.
        let in_runs = in_runs && [1, 2].iter().all(|parent| is_leaf_or_none(&ops, *parent));
        let (dweight, dbias) = B::conv_reading_weight_gradients(x, dy, kernel, reading, in_runs);
        for (parent, gradient) in [(1, dweight), (2, dbias)] {
            if let Some(node) = &ops.parents[parent] {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct PoolLeakyBackward;

impl<B: NearOps> Backward<B, 1> for PoolLeakyBackward {
    type State = (FloatTensor<B>, f32, f32);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let (x, factor, slope) = ops.state;
        let [x_node] = ops.parents;
        if let Some(node) = x_node {
            grads.register::<B>(node.id, B::pool_leaky_gradient(x, dy, factor, slope));
        }
    }
}

#[derive(Debug)]
struct LatentBackward;

impl<B: NearOps> Backward<B, 1> for LatentBackward {
    /// `both`, the noise, and the meeting of `both`.
    type State = (FloatTensor<B>, FloatTensor<B>, Meeting);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (ops, (both, noise, meeting)) = split(ops);
        let dy = grads.consume::<B>(&ops.node);
        let before = meeting.take::<B, 1>(&ops, 0, grads);
        let is_added = before.is_some();
        let before = before.unwrap_or_else(|| both.clone());
        let gradient = B::latent_gradient(both, noise, dy, before, is_added);
        meeting.register::<B, 1>(&ops, 0, gradient, grads);
    }
}

#[derive(Debug)]
struct DivergenceBackward;

impl<B: NearOps> Backward<B, 1> for DivergenceBackward {
    /// `both`, the share, and the meeting of `both`.
    type State = (FloatTensor<B>, f32, Meeting);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (ops, (both, share, meeting)) = split(ops);
        let dy = grads.consume::<B>(&ops.node);
        let before = meeting.take::<B, 1>(&ops, 0, grads);
        let is_added = before.is_some();
        let before = before.unwrap_or_else(|| both.clone());
        let gradient = B::divergence_gradient(both, dy, before, share, is_added);
        meeting.register::<B, 1>(&ops, 0, gradient, grads);
    }
}

#[derive(Debug)]
struct TwiceBackward;

impl<B: NearOps> Backward<B, 1> for TwiceBackward {
    type State = ();

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let [x_node] = ops.parents;
        if let Some(node) = x_node {
            grads.register::<B>(node.id, B::twice_gradient(dy));
        }
    }
}

#[derive(Debug)]
struct TotalBackward;

impl<B: NearOps> Backward<B, TOTALLED> for TotalBackward {
    /// The shapes of the terms, and their weights.
    type State = (Vec<TensorShape>, Weights);

    fn backward(
        self,
        ops: Ops<Self::State, TOTALLED>,
        grads: &mut Gradients,
        _: &mut Checkpointer,
    ) {
        let (ops, (shapes, weights)) = split(ops);
        let dy = grads.consume::<B>(&ops.node);
        let sizes: Vec<usize> = shapes.iter().map(TensorShape::num_elements).collect();
        let flat = B::total_gradient(dy, sizes, weights);
        let mut start = 0;
        for (parent, shape) in ops.parents.iter().zip(shapes) {
            let size = padded(shape.num_elements());
            if let Some(node) = parent {
                grads.register::<B>(node.id, B::piece(flat.clone(), start, shape));
            }
            start += size;
        }
    }
}

#[derive(Debug)]
struct NormRowBackward;

impl<B: NearOps> Backward<B, 3> for NormRowBackward {
    type State = Normed<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradients = |[x, scale, shift, dy, before]: [FloatTensor<B>; 5],
                         (groups, slope),
                         is_added,
                         in_runs| {
            B::norm_row_gradients(
                x, scale, shift, dy, before, groups, slope, is_added, in_runs,
            )
        };
        normed_backward::<B>(ops, grads, gradients);
    }
}

impl<B: NearOps, C: CheckpointStrategy> NearOps for Autodiff<B, C> {
    fn conv_reading(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        reading: Reading,
        in_runs: bool,
    ) -> FloatTensor<Self> {
        let kernel = weight.shape()[3];
        let nodes = [x.node(), weight.node(), bias.node()];
        let (x, weight, bias) = (
            x.into_primitive(),
            weight.into_primitive(),
            bias.into_primitive(),
        );
        match ConvReadingBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let y = B::conv_reading(x.clone(), weight.clone(), bias, reading, in_runs);
                let state = Convolved {
                    x,
                    weight,
                    kernel,
                    reading,
                    in_runs,
                };
                prep.finish(state, y)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::conv_reading(x, weight, bias, reading, in_runs))
            }
        }
    }

    fn pool_leaky(x: FloatTensor<Self>, factor: f32, slope: f32) -> FloatTensor<Self> {
        let node = x.node();
        let x = x.into_primitive();
        match PoolLeakyBackward
            .prepare::<C>([node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let y = B::pool_leaky(x.clone(), factor, slope);
                prep.finish((x, factor, slope), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::pool_leaky(x, factor, slope)),
        }
    }

    fn latent(
        both: FloatTensor<Self>,
        noise: FloatTensor<Self>,
        meeting: Meeting,
    ) -> FloatTensor<Self> {
        let node = both.node();
        let (both, noise) = (both.into_primitive(), noise.into_primitive());
        match LatentBackward
            .prepare::<C>([node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let y = B::latent(both.clone(), noise.clone(), Meeting::default());
                prep.finish((both, noise, meeting), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::latent(both, noise, meeting)),
        }
    }

    fn divergence(both: FloatTensor<Self>, share: f32, meeting: Meeting) -> FloatTensor<Self> {
        let node = both.node();
        let both = both.into_primitive();
        match DivergenceBackward
            .prepare::<C>([node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let y = B::divergence(both.clone(), share, Meeting::default());
                prep.finish((both, share, meeting), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::divergence(both, share, meeting)),
        }
    }

    fn total(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        f: FloatTensor<Self>,
        count: usize,
        weights: Weights,
    ) -> FloatTensor<Self> {
        let shapes = [&a, &b, &c, &d, &e, &f].map(TensorMetadata::shape);
        let shapes = shapes.into_iter().take(count).collect();
        let nodes = [a.node(), b.node(), c.node(), d.node(), e.node(), f.node()];
        let (a, b, c) = (a.into_primitive(), b.into_primitive(), c.into_primitive());
        let (d, e, f) = (d.into_primitive(), e.into_primitive(), f.into_primitive());
        let y = B::total(a, b, c, d, e, f, count, weights);
        match TotalBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((shapes, weights), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn twice(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let node = x.node();
        let y = B::twice(x.into_primitive());
        match TwiceBackward
            .prepare::<C>([node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn twice_gradient(_: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("Burn differentiates once: gradients are not differentiated again")
    }

    fn gather_all(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: GatherCall,
    ) -> FloatTensor<Self> {
        unreachable!("parameters are updated outside the graph")
    }

    fn squares(_: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("parameters are updated outside the graph")
    }

    fn adam_clipped(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Clipped,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    ) {
        unreachable!("parameters are updated outside the graph")
    }

    fn blend(_: FloatTensor<Self>, _: FloatTensor<Self>, _: Share) -> FloatTensor<Self> {
        unreachable!("parameters are averaged outside the graph")
    }

    fn total_gradient(_: FloatTensor<Self>, _: Vec<usize>, _: Weights) -> FloatTensor<Self> {
        unreachable!("Burn differentiates once: gradients are not differentiated again")
    }

    fn piece(_: FloatTensor<Self>, _: usize, _: TensorShape) -> FloatTensor<Self> {
        unreachable!("gradients are cut outside the graph")
    }

    fn join(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Vec<usize>,
    ) -> FloatTensor<Self> {
        unreachable!("figures are joined outside the graph")
    }

    fn norm_row(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        groups: usize,
        slope: f32,
        meeting: Meeting,
    ) -> FloatTensor<Self> {
        let run = |[x, scale, shift]: [FloatTensor<B>; 3]| {
            B::norm_row(x, scale, shift, groups, slope, Meeting::default())
        };
        let how = (groups, slope, meeting);
        normed::<B, C, _>(NormRowBackward, [x, scale, shift], how, run)
    }

    fn mixed(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: IntTensor<Self>,
        _: IntTensor<Self>,
        _: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        unreachable!("pictures are mixed outside the graph")
    }

    fn figures(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("what is shown is computed outside the graph")
    }

    fn conv_reading_data_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Reading,
    ) -> FloatTensor<Self> {
        unreachable!("Burn differentiates once: gradients are not differentiated again")
    }

    fn conv_reading_weight_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: usize,
        _: Reading,
        _: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("Burn differentiates once: gradients are not differentiated again")
    }

    fn pool_leaky_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: f32,
        _: f32,
    ) -> FloatTensor<Self> {
        unreachable!("Burn differentiates once: gradients are not differentiated again")
    }

    fn latent_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: bool,
    ) -> FloatTensor<Self> {
        unreachable!("Burn differentiates once: gradients are not differentiated again")
    }

    fn divergence_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: f32,
        _: bool,
    ) -> FloatTensor<Self> {
        unreachable!("Burn differentiates once: gradients are not differentiated again")
    }

    fn norm_row_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: usize,
        _: f32,
        _: bool,
        _: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("Burn differentiates once: gradients are not differentiated again")
    }
}
