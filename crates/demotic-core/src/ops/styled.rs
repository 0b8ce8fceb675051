//! Normalisations by a style code that several of them read: where our kernels run, what their gradients by
//! the code and by the learned matrices have in common is one launch for all of them.

use burn::backend::autodiff::{
    Autodiff, NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
#[cfg(feature = "wgpu")]
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::meeting::{Meeting, is_leaf_or_none, split};
use super::near::{NearOps, Waiting};
use super::shapes::{Shape, meet};
use super::{
    StyleAffine, TensorShape, is_near_wgsl, padded, style_norm_act_meeting, takes_own_norm,
};

/// A style code that several normalisations read.
#[derive(Clone, Debug)]
pub(crate) struct Fan {
    /// `[b, s]`
    code: Tensor<2>,
    /// The code as it was: whatever else reads it leaves its gradient there.
    plain: Tensor<2>,
    shared: Shared,
}

/// What the readers of a code share: their gradients meet, or wait for one launch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared {
    meeting: Meeting,
    waiting: Waiting,
    /// The code has a node of its own, whose backward pass comes after all readers'.
    is_fanned: bool,
}

impl Fan {
    /// `code`: `[b, s]`
    pub(crate) fn new(code: Tensor<2>) -> Self {
        let shared = Shared {
            is_fanned: code.is_autodiff() && is_near_wgsl(&code.device()),
            ..Shared::default()
        };
        let plain = code.clone();
        if !shared.is_fanned {
            return Self {
                code,
                plain,
                shared,
            };
        }
        let fanned = <Dispatch as StyleOps>::fan(code.into_dispatch(), shared.clone());
        Self {
            code: Tensor::from_dispatch(fanned),
            plain,
            shared,
        }
    }

    /// `ops::style_norm_act` by this code; `meeting`: that of `x`.
    ///
    /// # Shapes
    /// - `x`: `[b, c, H, W]`; `groups` divides `c`
    /// - `weight`: `[s, 2c]`; `bias`: `[2c]`
    pub(crate) fn norm_act(
        &self,
        x: Tensor<4>,
        (weight, bias): (Tensor<2>, Tensor<1>),
        groups: usize,
        slope: f32,
        meeting: &Meeting,
    ) -> Tensor<4> {
        let [_, channels, side, _] = x.dims();
        let device = x.device();
        if !is_near_wgsl(&device) || !takes_own_norm(&device, channels, groups) {
            let code = self.plain.clone();
            let affine = StyleAffine { code, weight, bias };
            let meetings = [meeting, &self.shared.meeting];
            return style_norm_act_meeting(x, affine, groups, slope, meetings);
        }
        let code = self.code.clone();
        meet(&x, || Shape::Normalisation {
            channels,
            side,
            groups,
        });
        Tensor::from_dispatch(<Dispatch as StyleOps>::styled(
            x.into_dispatch(),
            code.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            groups,
            slope,
            meeting.clone(),
            self.shared.clone(),
        ))
    }
}

/// Normalisations that one call of [`StyleOps::affine_gradients`] takes.
const AT_A_CALL: usize = 6;

/// What a call of [`StyleOps::affine_gradients`] brings.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "wgpu"),
    allow(dead_code, reason = "a build without wgpu has no kernel to read it")
)]
pub(crate) struct AffineCall {
    /// The first of its normalisations; the rest is not looked at.
    pub(super) count: usize,
    pub(super) waiting: Waiting,
    /// Of the last call.
    pub(super) last: Option<LastCall>,
}

/// What the last call knows.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "wgpu"),
    allow(dead_code, reason = "a build without wgpu has no kernel to read it")
)]
pub(crate) struct LastCall {
    /// Whether a gradient that came before is added to the one by the code.
    pub(super) is_added: bool,
    /// Elements of the result.
    pub(super) length: usize,
}

/// The operations of `wgpu` on this machine; other backends never get here.
#[allow(
    clippy::too_many_arguments,
    reason = "an operation's tensors are its arguments: the macro takes them one by one"
)]
#[backend_extension(Cube: cfg(feature = "wgpu"), Autodiff, Fusion: cfg(feature = "wgpu"))]
pub(crate) trait StyleOps: Backend {
    /// The code itself; `shared`: of use to the backward pass.
    #[fusion(dtype = code, shape = code)]
    fn fan(code: FloatTensor<Self>, shared: Shared) -> FloatTensor<Self>;
    /// `NetOps::style_norm_act` of a code that was fanned or not; the last two: of use to the backward pass.
    #[fusion(dtype = x, shape = x)]
    fn styled(
        x: FloatTensor<Self>,
        code: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
        slope: f32,
        meeting: Meeting,
        shared: Shared,
    ) -> FloatTensor<Self>;
    /// By `x`, and by each picture's scale and shift, `[b, 2c]`. `before`: added to the first where
    /// `is_added`, else not looked at.
    #[fusion(meta = |x, _, weight, _, _, _, _, _, _| (x.clone(), TensorSpec::new(TensorShape::new([x.shape[0], weight.shape[1]]), x.dtype)))]
    fn styled_gradients(
        x: FloatTensor<Self>,
        code: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        before: FloatTensor<Self>,
        groups: usize,
        slope: f32,
        is_added: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// Puts gradients by scales and shifts (`a` to `f`), each with the matrix that they came from (`g` to
    /// `l`), to those that wait; a call but the last gives the code itself. The last gives the gradients by
    /// the code, then by each matrix and each bias, one after the other, each padded.
    #[fusion(meta = |code, _, _, _, _, _, _, _, _, _, _, _, _, _, call| affine_spec(code, call))]
    fn affine_gradients(
        code: FloatTensor<Self>,
        before: FloatTensor<Self>,
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
        call: AffineCall,
    ) -> FloatTensor<Self>;
}

#[cfg(feature = "wgpu")]
fn affine_spec(code: &TensorSpec, call: &AffineCall) -> TensorSpec {
    match call.last {
        Some(last) => TensorSpec::new(TensorShape::new([last.length]), code.dtype),
        None => code.clone(),
    }
}

/// Gradients by each picture's scale and shift, and the matrix that they came from.
#[derive(Clone, Debug)]
struct Affine<F> {
    /// `[b, 2c]`
    daffine: F,
    /// `[s, 2c]`
    weight: F,
}

/// The gradients of [`Affine`]s.
struct AffineGradients<F> {
    code: F,
    /// By matrix and bias of each.
    learned: Vec<[F; 2]>,
}

/// By the code `[b, s]`, on top of `before`, and by what each normalisation learns.
fn affine_gradients<B: StyleOps + NearOps>(
    code: FloatTensor<B>,
    before: Option<FloatTensor<B>>,
    affines: &[Affine<FloatTensor<B>>],
) -> AffineGradients<FloatTensor<B>> {
    let code_shape = code.shape();
    let shapes: Vec<[TensorShape; 2]> = affines
        .iter()
        .map(|affine| {
            let weight = affine.weight.shape();
            let bias = TensorShape::new([weight[1]]);
            [weight, bias]
        })
        .collect();
    let room = |shape: &TensorShape| padded(shape.num_elements());
    let length = room(&code_shape) + shapes.iter().flatten().map(room).sum::<usize>();
    let is_added = before.is_some();
    let before = before.unwrap_or_else(|| code.clone());
    let waiting = Waiting::default();
    let mut result = code;
    for (number, some) in affines.chunks(AT_A_CALL).enumerate() {
        let is_last = (number + 1) * AT_A_CALL >= affines.len();
        let call = AffineCall {
            count: some.len(),
            waiting: waiting.clone(),
            last: is_last.then_some(LastCall { is_added, length }),
        };
        let daffine = |k: usize| some[k.min(some.len() - 1)].daffine.clone();
        let weight = |k: usize| some[k.min(some.len() - 1)].weight.clone();
        result = B::affine_gradients(
            result,
            before.clone(),
            daffine(0),
            daffine(1),
            daffine(2),
            daffine(3),
            daffine(4),
            daffine(5),
            weight(0),
            weight(1),
            weight(2),
            weight(3),
            weight(4),
            weight(5),
            call,
        );
    }
    let mut start = 0;
    let mut piece = |shape: TensorShape| {
        let from = start;
        start += room(&shape);
        B::piece(result.clone(), from, shape)
    };
    let code = piece(code_shape);
    let learned = shapes.into_iter().map(|shapes| shapes.map(&mut piece));
    AffineGradients {
        code,
        learned: learned.collect(),
    }
}

/// A normalisation whose gradients wait: they belong to the nodes of its matrix and its bias.
struct Deferred<F> {
    affine: Affine<F>,
    learned: [NodeId; 2],
}

#[derive(Debug)]
struct FanBackward;

impl<B: StyleOps + NearOps> Backward<B, 1> for FanBackward {
    /// The code, and what its readers share.
    type State = (FloatTensor<B>, Shared);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (ops, (code, shared)) = split(ops);
        // A reader that waits leaves nothing at the node.
        let has_come = shared.meeting.has_come();
        let mut by_code = has_come.then(|| grads.consume::<B>(&ops.node));
        let waiting = shared.waiting.take::<Deferred<FloatTensor<B>>>();
        if !waiting.is_empty() {
            let (affines, learned): (Vec<_>, Vec<_>) = waiting
                .into_iter()
                .map(|deferred| (deferred.affine, deferred.learned))
                .unzip();
            let gradients = affine_gradients::<B>(code, by_code, &affines);
            by_code = Some(gradients.code);
            for (nodes, gradients) in learned.into_iter().zip(gradients.learned) {
                for (node, gradient) in nodes.into_iter().zip(gradients) {
                    grads.register::<B>(node, gradient);
                }
            }
        }
        if let (Some(node), Some(gradient)) = (&ops.parents[0], by_code) {
            grads.register::<B>(node.id, gradient);
        }
    }
}

#[derive(Debug)]
struct StyledBackward;

/// What [`StyleOps::styled`] leaves for its backward pass: `x`, code, weight, bias.
#[derive(Clone, Debug)]
struct Styled<F> {
    inputs: [F; 4],
    groups: usize,
    slope: f32,
    meeting: Meeting,
    shared: Shared,
}

impl<B: StyleOps + NearOps> Backward<B, 4> for StyledBackward {
    type State = Styled<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (ops, state) = split(ops);
        let dy = grads.consume::<B>(&ops.node);
        let Styled {
            inputs: [x, code, weight, bias],
            groups,
            slope,
            meeting,
            shared,
        } = state;
        let before = meeting.take::<B, 4>(&ops, 0, grads);
        let is_added = before.is_some();
        let before = before.unwrap_or_else(|| dy.clone());
        let (dx, daffine) = B::styled_gradients(
            x,
            code.clone(),
            weight.clone(),
            bias,
            dy,
            before,
            groups,
            slope,
            is_added,
        );
        meeting.register::<B, 4>(&ops, 0, dx, grads);
        let affine = Affine { daffine, weight };
        // What is computed from a parameter needs its gradient now, and so does a code without a node.
        let is_leaf = |parent| is_leaf_or_none(&ops, parent);
        if shared.is_fanned
            && is_leaf(2)
            && is_leaf(3)
            && let [_, Some(_), Some(weight), Some(bias)] = &ops.parents
        {
            let learned = [weight.id, bias.id];
            shared.waiting.put(Deferred { affine, learned });
            return;
        }
        if ops.parents[1..].iter().all(Option::is_none) {
            return;
        }
        let before = shared.meeting.take::<B, 4>(&ops, 1, grads);
        let gradients = affine_gradients::<B>(code, before, &[affine]);
        let by_code = gradients.code;
        shared.meeting.register::<B, 4>(&ops, 1, by_code, grads);
        let learned = gradients.learned.into_iter().flatten();
        for (parent, gradient) in (2..).zip(learned) {
            if let Some(node) = &ops.parents[parent] {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: StyleOps + NearOps, C: CheckpointStrategy> StyleOps for Autodiff<B, C> {
    fn fan(code: FloatTensor<Self>, shared: Shared) -> FloatTensor<Self> {
        let node = code.node();
        let code = code.into_primitive();
        match FanBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((code.clone(), shared), code),
            OpsKind::UnTracked(prep) => prep.finish(code),
        }
    }

    fn styled(
        x: FloatTensor<Self>,
        code: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
        slope: f32,
        meeting: Meeting,
        shared: Shared,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), code.node(), weight.node(), bias.node()];
        let inputs = [
            x.into_primitive(),
            code.into_primitive(),
            weight.into_primitive(),
            bias.into_primitive(),
        ];
        let run = |[x, code, weight, bias]: [FloatTensor<B>; 4]| {
            let (meeting, shared) = (Meeting::default(), Shared::default());
            B::styled(x, code, weight, bias, groups, slope, meeting, shared)
        };
        match StyledBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let y = run(inputs.clone());
                let state = Styled {
                    inputs,
                    groups,
                    slope,
                    meeting,
                    shared,
                };
                prep.finish(state, y)
            }
            OpsKind::UnTracked(prep) => prep.finish(run(inputs)),
        }
    }

    fn styled_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: usize,
        _: f32,
        _: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("Burn differentiates once: gradients are not differentiated again")
    }

    fn affine_gradients(
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
        _: AffineCall,
    ) -> FloatTensor<Self> {
        unreachable!("Burn differentiates once: gradients are not differentiated again")
    }
}
