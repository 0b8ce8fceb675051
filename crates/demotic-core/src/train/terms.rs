//! The loss of one network while it is put together, and the figures measured on the way.

use burn::module::Module;
use burn::tensor::Tensor;

use super::figures::{Figure, Measured};
use super::optimiser::Gradients;

/// Terms added so far.
#[derive(Debug, Default)]
pub(super) struct Terms {
    total: Option<Tensor<1>>,
    measured: Vec<Figure>,
    /// Values of the figures, one after the other.
    values: Vec<Tensor<1>>,
}

/// Gradients of one network, and the figures of the pass.
pub(crate) struct Computed {
    pub(crate) gradients: Gradients,
    pub(crate) measured: Measured,
}

impl Terms {
    /// Adds `weight * value` to the loss, and measures the value: `[1]`.
    pub(super) fn add(&mut self, figure: Figure, weight: f32, value: Tensor<1>) {
        self.measure(figure, value.clone().inner());
        self.add_unmeasured(value * weight);
    }

    /// Adds a term that is no figure by itself: `[1]`.
    pub(super) fn add_unmeasured(&mut self, term: Tensor<1>) {
        self.total = Some(match self.total.take() {
            Some(total) => total + term,
            None => term,
        });
    }

    /// Measures a value that is no term by itself: `[1]`, without a graph.
    pub(super) fn measure(&mut self, figure: Figure, value: Tensor<1>) {
        self.measure_all(&[figure], value);
    }

    /// Measures several values at once: one a figure, without a graph.
    pub(super) fn measure_all(&mut self, figures: &[Figure], values: Tensor<1>) {
        assert_eq!(values.dims(), [figures.len()], "a value for each figure");
        self.measured.extend_from_slice(figures);
        self.values.push(values);
    }

    /// Backward, and gradients and figures times the part's share of the step. `networks`: the one that
    /// is trained, and the copies that share its weights.
    ///
    /// # Panics
    /// If no term was added, or nothing measured.
    pub(super) fn computed<M: Module>(self, networks: &[&M], share: f32) -> Computed {
        let total = self.total.expect("a loss has a term");
        let measured = Measured::of(self.measured, self.values);
        let (total, measured) = if share == 1.0 {
            (total, measured)
        } else {
            (total.mul_scalar(share), measured.scaled(share))
        };
        Computed {
            gradients: Gradients::new(total.backward(), networks),
            measured,
        }
    }
}
