//! Launches `net_conv_sum.wgsl`: the runs of a convolution's weight gradient, added up.

use burn::backend::TensorMetadata;
use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Launch, Shader, shader};

shader! {
    /// `net_conv_sum.wgsl`.
    NetConvSum = "net_conv_sum"
}

/// Weights and biases in `runs`, to their sums.
pub(super) fn launch([dw, db]: [&CubeTensor; 2], runs: usize, [sum_w, sum_b]: [&CubeTensor; 2]) {
    let (weights, biases) = (sum_w.shape().num_elements(), sum_b.shape().num_elements());
    Launch::<NetConvSum>::new(constants(runs, weights, biases))
        .bind_tensor("RUNS_W", dw)
        .bind_tensor("RUNS_B", db)
        .bind_tensor("DW", sum_w)
        .bind_tensor("DB", sum_b)
        .over(&dw.client, weights + biases);
}

pub(super) fn constants(runs: usize, weights: usize, biases: usize) -> Constants {
    Constants::default()
        .size("RUNS", runs)
        .size("WEIGHTS", weights)
        .size("BIASES", biases)
}
