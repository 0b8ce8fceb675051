//! Launches `net_leaky.wgsl`: leaky ReLU and its gradient.

use burn::backend::TensorMetadata;
use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Launch, Shader, empty, shader};

shader! {
    /// `net_leaky.wgsl`.
    NetLeaky = "net_leaky", 256
}

/// Leaky ReLU of a plain tensor.
pub(super) fn forward(x: &CubeTensor, slope: f32) -> CubeTensor {
    let size = x.shape().num_elements();
    let y = like(x);
    Launch::<NetLeaky>::new(constants(size, slope, false))
        .bind_tensor("X", x)
        .bind_tensor("Y", &y)
        .over(&x.client, size.div_ceil(4));
    y
}

/// `dy` times the derivative, read from the result `y`; both plain.
pub(super) fn gradient(y: &CubeTensor, dy: &CubeTensor, slope: f32) -> CubeTensor {
    let size = y.shape().num_elements();
    let dx = like(y);
    Launch::<NetLeaky>::new(constants(size, slope, true))
        .bind_tensor("X", dy)
        .bind_tensor("Y", y)
        .bind_tensor("DX", &dx)
        .over(&y.client, size.div_ceil(4));
    dx
}

fn like(tensor: &CubeTensor) -> CubeTensor {
    let flat = empty(tensor, [tensor.shape().num_elements()]);
    CubeTensor {
        meta: tensor.meta.clone(),
        ..flat
    }
}

pub(super) fn constants(size: usize, slope: f32, is_backward: bool) -> Constants {
    Constants::default()
        .size("SIZE", size)
        .size("SPREAD", size.div_ceil(4))
        .real("SLOPE", slope)
        .flag("BACKWARD", is_backward)
}
