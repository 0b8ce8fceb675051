//! The operation's place in automatic differentiation: the forward pass already computes the gradient, the
//! backward pass scales it.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{AutodiffBackend, TensorMetadata};
use burn::tensor::Shape;

use super::ops::CrfOps;
use super::plan::Plan;

/// `d loss / d emissions = upstream of the group * gradient`; potentials likewise, summed over groups.
#[derive(Debug)]
struct CrfBackward;

/// What the forward pass leaves for the backward one.
#[derive(Debug)]
struct Saved<F> {
    /// `[b, l, h, w]`.
    emissions: F,
    /// `[d, groups, width]`.
    potentials: F,
    plan: Plan,
}

impl<F: Clone> Clone for Saved<F> {
    fn clone(&self) -> Self {
        Self {
            emissions: self.emissions.clone(),
            potentials: self.potentials.clone(),
            plan: self.plan,
        }
    }
}

impl<B: CrfOps> Backward<B, 2> for CrfBackward {
    type State = Saved<FloatTensor<B>>;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let upstream = grads.consume::<B>(&ops.node);
        let [emissions, potentials] = ops.parents;
        let saved = ops.state;
        if let Some(node) = potentials {
            let [d, groups, width] = core::array::from_fn(|axis| saved.potentials.shape()[axis]);
            let by_group = B::float_reshape(upstream.clone(), Shape::new([1, groups, 1]));
            let sum = B::float_sum_dim(B::float_mul(saved.potentials, by_group), 1); // [d, 1, width]
            grads.register::<B>(node.id, B::float_reshape(sum, Shape::new([d, width])));
        }
        if let Some(node) = emissions {
            grads.register::<B>(
                node.id,
                B::crf_scaled(saved.emissions, upstream, saved.plan),
            );
        }
    }
}

impl<B: CrfOps, C: CheckpointStrategy> CrfOps for Autodiff<B, C> {
    fn crf_value(
        emissions: FloatTensor<Self>,
        labels: IntTensor<Self>,
        potentials: FloatTensor<Self>,
        lengths: IntTensor<Self>,
        plan: Plan,
    ) -> FloatTensor<Self> {
        match CrfBackward
            .prepare::<C>([emissions.node(), potentials.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let (value, by_emissions, by_potentials) = B::crf_gradient(
                    emissions.into_primitive(),
                    labels,
                    potentials.into_primitive(),
                    lengths,
                    plan,
                );
                prep.finish(
                    Saved {
                        emissions: by_emissions,
                        potentials: by_potentials,
                        plan,
                    },
                    value,
                )
            }
            OpsKind::UnTracked(prep) => prep.finish(B::crf_value(
                emissions.into_primitive(),
                labels,
                potentials.into_primitive(),
                lengths,
                plan,
            )),
        }
    }

    fn crf_gradient(
        emissions: FloatTensor<Self>,
        labels: IntTensor<Self>,
        potentials: FloatTensor<Self>,
        lengths: IntTensor<Self>,
        plan: Plan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (value, by_emissions, by_potentials) = B::crf_gradient(
            emissions.into_primitive(),
            labels,
            potentials.into_primitive(),
            lengths,
            plan,
        );
        (
            Self::from_inner(value),
            Self::from_inner(by_emissions),
            Self::from_inner(by_potentials),
        )
    }

    fn crf_viterbi(
        emissions: FloatTensor<Self>,
        potentials: FloatTensor<Self>,
        lengths: IntTensor<Self>,
        plan: Plan,
    ) -> (IntTensor<Self>, FloatTensor<Self>) {
        let (paths, scores) = B::crf_viterbi(
            emissions.into_primitive(),
            potentials.into_primitive(),
            lengths,
            plan,
        );
        (paths, Self::from_inner(scores))
    }

    fn crf_scaled(
        gradient: FloatTensor<Self>,
        upstream: FloatTensor<Self>,
        plan: Plan,
    ) -> FloatTensor<Self> {
        Self::from_inner(B::crf_scaled(
            gradient.into_primitive(),
            upstream.into_primitive(),
            plan,
        ))
    }
}
