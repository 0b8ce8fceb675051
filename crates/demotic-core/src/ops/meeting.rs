//! Gradients that meet at a tensor which several operations read: the later one's kernel adds the earlier
//! one, where Burn's graph would launch an addition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::backend::Backend;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::Ops;
use burn::backend::tensor::FloatTensor;

/// Shared by operations that read one and the same tensor: whether a gradient has come to it. Without a
/// sharer it changes nothing.
///
/// A tensor's gradient stays in the graph's container until all operations that read it have run backward, so
/// what one of them left there can be taken out, added to and put back by the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meeting(Arc<AtomicBool>);

impl Meeting {
    /// Whether one of the sharers has left a gradient.
    pub(super) fn has_come(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes the gradient that has come to a parent so far, if one of the sharers left it.
    pub(super) fn take<B: Backend, const N: usize>(
        &self,
        ops: &Ops<(), N>,
        parent: usize,
        grads: &mut Gradients,
    ) -> Option<FloatTensor<B>> {
        let node = ops.parents[parent].as_ref()?;
        // A leaf's gradient cannot be taken out, only read: there Burn adds.
        (self.has_come() && !is_leaf_or_none(ops, parent)).then(|| grads.consume::<B>(node))
    }

    /// Leaves a gradient at a parent, where that wants one.
    pub(super) fn register<B: Backend, const N: usize>(
        &self,
        ops: &Ops<(), N>,
        parent: usize,
        gradient: FloatTensor<B>,
        grads: &mut Gradients,
    ) {
        if let Some(node) = &ops.parents[parent] {
            grads.register::<B>(node.id, gradient);
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// True where a parent wants no gradient, or keeps it after the backward pass. An operation's own result
/// never is a leaf: Burn knows leaves by another requirement than that.
pub(super) fn is_leaf_or_none<const N: usize>(ops: &Ops<(), N>, parent: usize) -> bool {
    ops.parents[parent]
        .as_ref()
        .is_none_or(|node| node.requirement != ops.node.requirement)
}

/// The nodes of an operation, and what it left for its backward pass.
pub(super) fn split<S, const N: usize>(ops: Ops<S, N>) -> (Ops<(), N>, S) {
    let Ops {
        parents,
        node,
        state,
    } = ops;
    let nodes = Ops {
        parents,
        node,
        state: (),
    };
    (nodes, state)
}
