//! Launches `net_mixed.wgsl`: real pictures, fakes, and mixtures of both.

use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Launch, Shader, dims, empty, shader};

shader! {
    /// `net_mixed.wgsl`.
    NetMixed = "net_mixed", 256
}

/// `[3n, c, H, W]` from real pictures and fakes `[n, c, H, W]`, numbers of pictures `[n]`, and masks `[n, 1,
/// H, W]`; all plain.
pub(super) fn launch(
    [real, fake]: [&CubeTensor; 2],
    [inside, outside]: [&CubeTensor; 2],
    mask: &CubeTensor,
) -> CubeTensor {
    let shape: [usize; 4] = dims(real);
    let [n, c, h, w] = shape;
    let y = empty(real, [3 * n, c, h, w]);
    Launch::<NetMixed>::new(constants(shape))
        .bind_tensor("REAL", real)
        .bind_tensor("FAKE", fake)
        .bind_tensor("INSIDE", inside)
        .bind_tensor("OUTSIDE", outside)
        .bind_tensor("MASK", mask)
        .bind_tensor("Y", &y)
        .over(&real.client, 3 * n * c * h * w);
    y
}

/// `shape`: of the real pictures.
pub(super) fn constants([n, c, h, w]: [usize; 4]) -> Constants {
    Constants::default()
        .size("SIZE", 3 * n * c * h * w)
        .size("N", n)
        .size("PICTURE", c * h * w)
        .size("AREA", h * w)
}
