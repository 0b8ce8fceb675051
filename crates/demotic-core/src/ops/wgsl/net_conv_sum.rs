//! Launches `net_conv_sum.wgsl`: the runs of a convolution's weight gradient, added up.

use burn::backend::TensorMetadata;
use burn_cubecl::tensor::CubeTensor;
use cubecl::client::Client;
use cubecl::server::Handle;

use super::{Constants, Launch, shader};

shader! {
    /// `net_conv_sum.wgsl`.
    NetConvSum = "net_conv_sum"
}

/// `partial` `[runs, dw and db end to end]`.
pub(super) fn launch(
    client: &Client,
    partial: &Handle,
    runs: usize,
    dw: &CubeTensor,
    db: &CubeTensor,
) {
    let (weights, biases) = (dw.shape().num_elements(), db.shape().num_elements());
    Launch::<NetConvSum>::new(constants(runs, weights, biases))
        .bind("PARTIAL", partial)
        .bind_tensor("DW", dw)
        .bind_tensor("DB", db)
        .over(client, weights + biases);
}

pub(super) fn constants(runs: usize, weights: usize, biases: usize) -> Constants {
    Constants::default()
        .with("RUNS", runs)
        .with("BIAS_AT", weights)
        .with("STRIDE", weights + biases)
}
