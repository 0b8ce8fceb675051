//! Launches `net_total.wgsl`: a loss of several terms, and its gradients.

use burn::backend::TensorMetadata;
use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Launch, Shader, empty, shader, word};
use crate::ops::near::{TOTALLED, Weights};
use crate::ops::padded;

shader! {
    /// `net_total.wgsl`.
    NetTotal = "net_total"
}

const TERM: [&str; TOTALLED] = ["TERM_0", "TERM_1", "TERM_2", "TERM_3", "TERM_4", "TERM_5"];

/// The loss, then the mean of every term, `[1 + terms]`; all plain.
pub(super) fn forward(terms: &[CubeTensor], weights: &Weights) -> CubeTensor {
    let y = empty(&terms[0], [1 + terms.len()]);
    let sizes: Vec<usize> = terms
        .iter()
        .map(|term| term.shape().num_elements())
        .collect();
    let mut launch = Launch::<NetTotal>::new(constants(&sizes, weights, false));
    for (name, term) in TERM.into_iter().zip(terms) {
        launch = launch.bind_tensor(name, term);
    }
    launch
        .bind_tensor("Y", &y)
        .groups(&terms[0].client, [1, 1, 1]);
    y
}

/// By every term of these sizes, one after the other, each padded; `dy` plain.
pub(super) fn gradient(dy: &CubeTensor, sizes: &[usize], weights: &Weights) -> CubeTensor {
    let length = sizes.iter().map(|size| padded(*size)).sum();
    let dterms = empty(dy, [length]);
    Launch::<NetTotal>::new(constants(sizes, weights, true))
        .bind_tensor("DY", dy)
        .bind_tensor("DTERMS", &dterms)
        .over(&dy.client, length);
    dterms
}

pub(super) fn constants(sizes: &[usize], weights: &Weights, is_backward: bool) -> Constants {
    let mut from = 0;
    let rows = sizes.iter().zip(weights.0);
    let constants = rows.fold(Constants::default(), |constants, (size, weight)| {
        let row = constants.row([word(from), word(*size), weight.to_bits(), 0]);
        from += padded(*size);
        row
    });
    constants
        .with("HALF", NetTotal::WORKGROUP as usize / 2)
        .with("COUNT", sizes.len())
        .size("LENGTH", from)
        .flag("BACKWARD", is_backward)
}
