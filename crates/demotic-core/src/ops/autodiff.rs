//! The backward passes of the networks' operations, by hand: what a forward pass leaves for them, and the
//! gradients that they register.

use burn::backend::Backend;
use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::{FloatTensor, IntTensor};

use super::meeting::{Meeting, is_leaf_or_none, split};
use super::{AdamScalars, Gather, NetOps, Part, TensorShape};

#[derive(Debug)]
struct ConvSameBackward;

/// What a convolution leaves for its backward pass.
#[derive(Clone, Debug)]
struct Convolved<F> {
    x: F,
    weight: F,
    kernel: usize,
    in_runs: bool,
}

/// Registers the gradients of a convolution by input, weight and bias, the parents from number `first` on.
fn convolution_backward<B: NetOps, const N: usize>(
    ops: &Ops<(), N>,
    first: usize,
    state: Convolved<FloatTensor<B>>,
    dy: FloatTensor<B>,
    grads: &mut Gradients,
) {
    let Convolved {
        x,
        weight,
        kernel,
        in_runs,
    } = state;
    if let Some(node) = &ops.parents[first] {
        grads.register::<B>(node.id, B::conv_same_data_gradient(weight, dy.clone()));
    }
    let learning = [first + 1, first + 2];
    if learning.iter().all(|parent| ops.parents[*parent].is_none()) {
        return;
    }
    // What is computed from a parameter needs the sum itself.
    let in_runs = in_runs && learning.iter().all(|parent| is_leaf_or_none(ops, *parent));
    let (dweight, dbias) = B::conv_same_weight_gradients(x, dy, kernel, in_runs);
    for (parent, gradient) in learning.into_iter().zip([dweight, dbias]) {
        if let Some(node) = &ops.parents[parent] {
            grads.register::<B>(node.id, gradient);
        }
    }
}

impl<B: NetOps> Backward<B, 3> for ConvSameBackward {
    /// Also the result and the slope, where a leaky ReLU follows.
    type State = (Convolved<FloatTensor<B>>, Option<(FloatTensor<B>, f32)>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (ops, state) = split(ops);
        let mut dy = grads.consume::<B>(&ops.node);
        let (convolved, leaky) = state;
        if let Some((y, slope)) = leaky {
            dy = B::leaky_gradient(y, dy, slope);
        }
        convolution_backward::<B, 3>(&ops, 0, convolved, dy, grads);
    }
}

#[derive(Debug)]
struct ConvOntoBackward;

impl<B: NetOps> Backward<B, 4> for ConvOntoBackward {
    type State = (Convolved<FloatTensor<B>>, Meeting);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (ops, state) = split(ops);
        let dy = grads.consume::<B>(&ops.node);
        let (convolved, meeting) = state;
        meeting.register::<B, 4>(&ops, 0, dy.clone(), grads);
        convolution_backward::<B, 4>(&ops, 1, convolved, dy, grads);
    }
}

#[derive(Debug)]
struct LeakyBackward;

impl<B: NetOps> Backward<B, 1> for LeakyBackward {
    type State = (FloatTensor<B>, f32);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x_node] = ops.parents;
        let dy = grads.consume::<B>(&ops.node);
        let (y, slope) = ops.state;
        if let Some(node) = x_node {
            grads.register::<B>(node.id, B::leaky_gradient(y, dy, slope));
        }
    }
}

#[derive(Debug)]
struct PartBackward;

impl<B: NetOps> Backward<B, 1> for PartBackward {
    /// The whole tensor's shape, the part, and the meeting of the whole tensor.
    type State = ([usize; 4], Part, Meeting);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (ops, (shape, part, meeting)) = split(ops);
        let dy = grads.consume::<B>(&ops.node);
        let before = meeting.take::<B, 1>(&ops, 0, grads);
        let is_added = before.is_some();
        let before = before.unwrap_or_else(|| dy.clone());
        let dx = B::part_gradient(dy, before, shape, part, is_added);
        meeting.register::<B, 1>(&ops, 0, dx, grads);
    }
}

#[derive(Debug)]
struct MeanErrorBackward;

impl<B: NetOps> Backward<B, 2> for MeanErrorBackward {
    type State = [FloatTensor<B>; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (ops, [a, b]) = split(ops);
        let dy = grads.consume::<B>(&ops.node);
        let by_a = B::mean_error_gradient(a, b, dy);
        if let Some(node) = &ops.parents[1] {
            grads.register::<B>(node.id, B::float_neg(by_a.clone()));
        }
        if let Some(node) = &ops.parents[0] {
            grads.register::<B>(node.id, by_a);
        }
    }
}

#[derive(Debug)]
struct PoolBackward;

impl<B: NetOps> Backward<B, 1> for PoolBackward {
    type State = (f32, Meeting);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (ops, state) = split(ops);
        let dy = grads.consume::<B>(&ops.node);
        if ops.parents[0].is_none() {
            return;
        }
        let (factor, meeting) = state;
        let dx = match meeting.take::<B, 1>(&ops, 0, grads) {
            Some(before) => B::spread_onto(before, dy, factor, Meeting::default()),
            None => B::spread(dy, factor),
        };
        meeting.register::<B, 1>(&ops, 0, dx, grads);
    }
}

#[derive(Debug)]
struct SpreadBackward;

impl<B: NetOps> Backward<B, 1> for SpreadBackward {
    type State = f32;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x_node] = ops.parents;
        let dy = grads.consume::<B>(&ops.node);
        if let Some(node) = x_node {
            grads.register::<B>(node.id, B::pool(dy, ops.state, Meeting::default()));
        }
    }
}

#[derive(Debug)]
struct SpreadOntoBackward;

impl<B: NetOps> Backward<B, 2> for SpreadOntoBackward {
    type State = (f32, Meeting);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (ops, state) = split(ops);
        let dy = grads.consume::<B>(&ops.node);
        let (factor, meeting) = state;
        meeting.register::<B, 2>(&ops, 0, dy.clone(), grads);
        if let Some(node) = &ops.parents[1] {
            grads.register::<B>(node.id, B::pool(dy, factor, Meeting::default()));
        }
    }
}

/// What a normalisation leaves for its backward pass: `x`, scale, shift.
#[derive(Clone, Debug)]
pub(super) struct Normed<F> {
    inputs: [F; 3],
    groups: usize,
    slope: f32,
    meeting: Meeting,
}

/// A normalisation of `x` by scale and shift in the graph, which `run` computes.
pub(super) fn normed<B, C, K>(
    backward: K,
    [x, scale, shift]: [FloatTensor<Autodiff<B, C>>; 3],
    (groups, slope, meeting): (usize, f32, Meeting),
    run: impl Fn([FloatTensor<B>; 3]) -> FloatTensor<B>,
) -> FloatTensor<Autodiff<B, C>>
where
    B: Backend,
    C: CheckpointStrategy,
    K: Backward<B, 3, State = Normed<FloatTensor<B>>>,
{
    let nodes = [x.node(), scale.node(), shift.node()];
    let inputs = [
        x.into_primitive(),
        scale.into_primitive(),
        shift.into_primitive(),
    ];
    match backward.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let y = run(inputs.clone());
            let state = Normed {
                inputs,
                groups,
                slope,
                meeting,
            };
            prep.finish(state, y)
        }
        OpsKind::UnTracked(prep) => prep.finish(run(inputs)),
    }
}

/// The way back through [`normed`]. `gradients`: those by `x`, scale and shift, from the three, the result's
/// and the one that came to `x` before, by groups and slope; whether that one is to be added, and whether
/// those by scale and shift may come in runs.
pub(super) fn normed_backward<B: Backend>(
    ops: Ops<Normed<FloatTensor<B>>, 3>,
    grads: &mut Gradients,
    gradients: impl FnOnce(
        [FloatTensor<B>; 5],
        (usize, f32),
        bool,
        bool,
    ) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>),
) {
    let (ops, state) = split(ops);
    let dy = grads.consume::<B>(&ops.node);
    let Normed {
        inputs: [x, scale, shift],
        groups,
        slope,
        meeting,
    } = state;
    let before = meeting.take::<B, 3>(&ops, 0, grads);
    let is_added = before.is_some();
    let before = before.unwrap_or_else(|| dy.clone());
    // What is computed from a parameter needs the sum itself.
    let in_runs = [1, 2].iter().all(|parent| is_leaf_or_none(&ops, *parent));
    let tensors = [x, scale, shift, dy, before];
    let (dx, dscale, dshift) = gradients(tensors, (groups, slope), is_added, in_runs);
    meeting.register::<B, 3>(&ops, 0, dx, grads);
    for (parent, gradient) in [(1, dscale), (2, dshift)] {
        if let Some(node) = &ops.parents[parent] {
            grads.register::<B>(node.id, gradient);
        }
    }
}

#[derive(Debug)]
struct NormActBackward;

impl<B: NetOps> Backward<B, 3> for NormActBackward {
    type State = Normed<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradients =
            |[x, scale, shift, dy, before]: [FloatTensor<B>; 5], (groups, slope), is_added, _| {
                B::norm_act_gradients(x, scale, shift, dy, before, groups, slope, is_added)
            };
        normed_backward::<B>(ops, grads, gradients);
    }
}

#[derive(Debug)]
struct StyleNormActBackward;

/// What [`NetOps::style_norm_act`] leaves for its backward pass: `x`, code, weight, bias.
#[derive(Clone, Debug)]
struct StyleNormed<F> {
    inputs: [F; 4],
    groups: usize,
    slope: f32,
    /// The meetings at `x` and at the code.
    meetings: [Meeting; 2],
}

impl<B: NetOps> Backward<B, 4> for StyleNormActBackward {
    type State = StyleNormed<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (ops, state) = split(ops);
        let dy = grads.consume::<B>(&ops.node);
        let StyleNormed {
            inputs: [x, code, weight, bias],
            groups,
            slope,
            meetings: [of_x, of_code],
        } = state;
        let before = of_x.take::<B, 4>(&ops, 0, grads);
        let code_before = of_code.take::<B, 4>(&ops, 1, grads);
        let are_added = [before.is_some(), code_before.is_some()];
        let before = before.unwrap_or_else(|| dy.clone());
        let code_before = code_before.unwrap_or_else(|| code.clone());
        let (dx, dcode, dweight, dbias) = B::style_norm_act_gradients(
            x,
            code,
            weight,
            bias,
            dy,
            before,
            code_before,
            groups,
            slope,
            are_added,
        );
        of_x.register::<B, 4>(&ops, 0, dx, grads);
        of_code.register::<B, 4>(&ops, 1, dcode, grads);
        for (parent, gradient) in [(2, dweight), (3, dbias)] {
            if let Some(node) = &ops.parents[parent] {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: NetOps, C: CheckpointStrategy> NetOps for Autodiff<B, C> {
    fn conv_same(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        slope: f32,
        in_runs: bool,
    ) -> FloatTensor<Self> {
        use burn::backend::TensorMetadata;
        let kernel = weight.shape()[3];
        let nodes = [x.node(), weight.node(), bias.node()];
        let (x, weight, bias) = (
            x.into_primitive(),
            weight.into_primitive(),
            bias.into_primitive(),
        );
        match ConvSameBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let y = B::conv_same(x.clone(), weight.clone(), bias, slope, in_runs);
                let convolved = Convolved {
                    x,
                    weight,
                    kernel,
                    in_runs,
                };
                let leaky = (slope != 1.0).then(|| (y.clone(), slope));
                prep.finish((convolved, leaky), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::conv_same(x, weight, bias, slope, in_runs)),
        }
    }

    fn conv_onto(
        base: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        meeting: Meeting,
        in_runs: bool,
    ) -> FloatTensor<Self> {
        use burn::backend::TensorMetadata;
        let kernel = weight.shape()[3];
        let nodes = [base.node(), x.node(), weight.node(), bias.node()];
        let (base, x, weight, bias) = (
            base.into_primitive(),
            x.into_primitive(),
            weight.into_primitive(),
            bias.into_primitive(),
        );
        let run = |x, weight| B::conv_onto(base, x, weight, bias, Meeting::default(), in_runs);
        match ConvOntoBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let y = run(x.clone(), weight.clone());
                let convolved = Convolved {
                    x,
                    weight,
                    kernel,
                    in_runs,
                };
                prep.finish((convolved, meeting), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(run(x, weight)),
        }
    }

    fn norm_act(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        groups: usize,
        slope: f32,
        meeting: Meeting,
    ) -> FloatTensor<Self> {
        let run = |[x, scale, shift]: [FloatTensor<B>; 3]| {
            B::norm_act(x, scale, shift, groups, slope, Meeting::default())
        };
        let how = (groups, slope, meeting);
        normed::<B, C, _>(NormActBackward, [x, scale, shift], how, run)
    }

    fn style_norm_act(
        x: FloatTensor<Self>,
        code: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
        slope: f32,
        meetings: [Meeting; 2],
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), code.node(), weight.node(), bias.node()];
        let inputs = [
            x.into_primitive(),
            code.into_primitive(),
            weight.into_primitive(),
            bias.into_primitive(),
        ];
        let run = |[x, code, weight, bias]: [FloatTensor<B>; 4]| {
            let unmet = [Meeting::default(), Meeting::default()];
            B::style_norm_act(x, code, weight, bias, groups, slope, unmet)
        };
        match StyleNormActBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let y = run(inputs.clone());
                let state = StyleNormed {
                    inputs,
                    groups,
                    slope,
                    meetings,
                };
                prep.finish(state, y)
            }
            OpsKind::UnTracked(prep) => prep.finish(run(inputs)),
        }
    }

    fn pool(x: FloatTensor<Self>, factor: f32, meeting: Meeting) -> FloatTensor<Self> {
        let node = x.node();
        let y = B::pool(x.into_primitive(), factor, Meeting::default());
        match PoolBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((factor, meeting), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn spread(x: FloatTensor<Self>, factor: f32) -> FloatTensor<Self> {
        let node = x.node();
        let y = B::spread(x.into_primitive(), factor);
        match SpreadBackward
            .prepare::<C>([node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(factor, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn spread_onto(
        base: FloatTensor<Self>,
        x: FloatTensor<Self>,
        factor: f32,
        meeting: Meeting,
    ) -> FloatTensor<Self> {
        let nodes = [base.node(), x.node()];
        let (base, x) = (base.into_primitive(), x.into_primitive());
        let y = B::spread_onto(base, x, factor, Meeting::default());
        match SpreadOntoBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((factor, meeting), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn part(x: FloatTensor<Self>, part: Part, meeting: Meeting) -> FloatTensor<Self> {
        use burn::backend::TensorMetadata;
        let shape = x.shape();
        let shape: [usize; 4] = std::array::from_fn(|axis| shape[axis]);
        let node = x.node();
        let y = B::part(x.into_primitive(), part, Meeting::default());
        match PartBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((shape, part, meeting), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn part_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: [usize; 4],
        _: Part,
        _: bool,
    ) -> FloatTensor<Self> {
        unreachable!("Burn differentiates once: gradients are not differentiated again")
    }

    fn mean_error(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [a.node(), b.node()];
        let (a, b) = (a.into_primitive(), b.into_primitive());
        match MeanErrorBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let e = B::mean_error(a.clone(), b.clone());
                prep.finish([a, b], e)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::mean_error(a, b)),
        }
    }

    fn mean_error_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        unreachable!("Burn differentiates once: gradients are not differentiated again")
    }

    fn leaky(x: FloatTensor<Self>, slope: f32) -> FloatTensor<Self> {
        match LeakyBackward
            .prepare::<C>([x.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let y = B::leaky(x.into_primitive(), slope);
                prep.finish((y.clone(), slope), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::leaky(x.into_primitive(), slope)),
        }
    }

    fn leaky_gradient(_: FloatTensor<Self>, _: FloatTensor<Self>, _: f32) -> FloatTensor<Self> {
        unreachable!("Burn differentiates once: gradients are not differentiated again")
    }

    fn conv_same_data_gradient(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("Burn differentiates once: gradients are not differentiated again")
    }

    fn conv_same_weight_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: usize,
        _: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("Burn differentiates once: gradients are not differentiated again")
    }

    fn style_norm_act_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: usize,
        _: f32,
        _: [bool; 2],
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    ) {
        unreachable!("Burn differentiates once: gradients are not differentiated again")
    }

    fn gather(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Gather,
    ) -> FloatTensor<Self> {
        unreachable!("parameters are updated outside the graph")
    }

    fn view(_: FloatTensor<Self>, _: usize, _: TensorShape) -> FloatTensor<Self> {
        unreachable!("parameters are updated outside the graph")
    }

    fn view_int(_: FloatTensor<Self>, _: usize, _: TensorShape) -> IntTensor<Self> {
        unreachable!("inputs are uploaded outside the graph")
    }

    fn norm_act_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: usize,
        _: f32,
        _: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("Burn differentiates once: gradients are not differentiated again")
    }

    fn adam(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: AdamScalars,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("parameters are updated outside the graph")
    }
}
