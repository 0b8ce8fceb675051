//! The loss of one network while it is put together, and the figures measured on the way.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::figures::{Figure, Measured};
use super::optimiser::Gradients;
use crate::ops;

/// Terms added so far.
#[derive(Debug, Default)]
pub(super) struct Terms {
    parts: Vec<Term>,
    measured: Vec<Option<Figure>>,
    /// Values of the figures, one after the other.
    values: Vec<Tensor<1>>,
}

/// One term: the weighted mean of values, and the figure that the mean is.
#[derive(Debug)]
struct Term {
    figure: Option<Figure>,
    weight: f32,
    values: Tensor<1>,
}

impl Term {
    /// `[1]`
    fn mean(&self) -> Tensor<1> {
        if self.values.dims() == [1] {
            self.values.clone()
        } else {
            self.values.clone().mean()
        }
    }
}

/// Gradients of one network, and the figures of the pass.
pub(crate) struct Computed {
    pub(crate) gradients: Gradients,
    pub(crate) measured: Measured,
}

impl Computed {
    /// On another device; to another machine and from it in one message.
    pub(super) fn moved_to<M: Module>(self, device: &Device, module: &M) -> Self {
        let (figures, values) = self.measured.into_parts();
        let (gradients, values) = self.gradients.moved_to(device, module, values);
        Self {
            gradients,
            measured: Measured::of(figures, values),
        }
    }
}

impl Terms {
    /// Adds `weight` times the mean of `values`, a vector, to the loss, and measures the mean.
    pub(super) fn add(&mut self, figure: Figure, weight: f32, values: Tensor<1>) {
        let figure = Some(figure);
        self.parts.push(Term {
            figure,
            weight,
            values,
        });
    }

    /// Adds a term that is no figure by itself.
    pub(super) fn add_unmeasured(&mut self, weight: f32, values: Tensor<1>) {
        self.parts.push(Term {
            figure: None,
            weight,
            values,
        });
    }

    /// Measures several values at once: one a figure, without a graph.
    pub(super) fn measure_all(&mut self, figures: &[Figure], values: Tensor<1>) {
        assert_eq!(values.dims(), [figures.len()], "a value for each figure");
        self.measured.extend(figures.iter().copied().map(Some));
        self.values.push(values);
    }

    /// Backward, and gradients and figures times the part's share of the step. `networks`: the one that
    /// is trained, and the copies that share its weights.
    ///
    /// # Panics
    /// If no term was added.
    pub(super) fn computed<M: Module>(mut self, networks: &[&M], share: f32) -> Computed {
        let total = self.total(share);
        let measured = Measured::of(self.measured, self.values);
        let measured = if share == 1.0 {
            measured
        } else {
            measured.scaled(share)
        };
        Computed {
            gradients: Gradients::new(total.backward(), networks),
            measured,
        }
    }

    /// The loss times a share, to begin the backward pass at; its terms' figures are measured.
    fn total(&mut self, share: f32) -> Tensor<1> {
        let terms = std::mem::take(&mut self.parts);
        let first = terms.first().expect("a loss has a term");
        if terms.len() <= ops::TOTALLED && ops::is_near_wgsl(&first.values.device()) {
            let weighted: Vec<(Tensor<1>, f32)> = terms
                .iter()
                .map(|term| (term.values.clone(), share * term.weight))
                .collect();
            let total = ops::total(&weighted);
            // The loss itself is no figure.
            self.measured.push(None);
            self.measured.extend(terms.iter().map(|term| term.figure));
            self.values.push(total.clone().inner());
            return total;
        }
        let mut total: Option<Tensor<1>> = None;
        for term in terms {
            let mean = term.mean();
            if let Some(figure) = term.figure {
                self.measure_all(&[figure], mean.clone().inner());
            }
            let weighted = if term.weight == 1.0 {
                mean
            } else {
                mean * term.weight
            };
            total = Some(match total {
                Some(total) => total + weighted,
                None => weighted,
            });
        }
        let total = total.expect("a loss has a term");
        if share == 1.0 {
            total
        } else {
            total.mul_scalar(share)
        }
    }
}
