//! Loss terms: pure functions of tensors, each a mean that does not depend on the batch's or the picture's size.

use burn::tensor::Tensor;

use crate::model::Posterior;

/// Mean absolute error, `1/n sum |a - b|` over every value: the Laplace likelihood up to constants. Shape `[1]`.
///
/// Summed a row at a time: one f32 sum over a whole batch loses digits on the processor.
pub fn absolute_error(a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
    let [n, c, h, w] = a.dims();
    let rows = (a - b).abs().reshape([n * c * h, w]).mean_dim(1); // [n*c*h, 1]
    rows.reshape([n * c, h]).mean_dim(1).reshape([n * c]).mean()
}

/// The posterior's divergence from N(0, 1) in nats a picture value: `KL / values`, mean over the batch. Shape `[1]`.
///
/// With `absolute_error` as likelihood of scale `b`, the evidence bound (Kingma and Welling 2014) asks for a weight of
/// `b` on this term; above it the code is shorter, below it pictures are sharper.
pub fn divergence(posterior: &Posterior, values: usize) -> Tensor<1> {
    posterior.kl().mean().div_scalar(values as f32)
}
