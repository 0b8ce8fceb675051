//! Launches `net_resize.wgsl`: 2x2 patches to values and back.

use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Launch, dims, empty, shader};

shader! {
    /// `net_resize.wgsl`.
    NetResize = "net_resize", 256
}

/// Sums of 2x2 patches times `factor`: `[b, c, 2h, 2w] -> [b, c, h, w]`, plain.
pub(super) fn pool(x: &CubeTensor, factor: f32) -> CubeTensor {
    let [b, c, h, w] = dims(x);
    launch(
        x,
        empty(x, [b, c, h / 2, w / 2]),
        [b * c * (h / 2), w / 2],
        factor,
        false,
    )
}

/// Each value times `factor` as a 2x2 patch: `[b, c, h, w] -> [b, c, 2h, 2w]`, plain.
pub(super) fn spread(x: &CubeTensor, factor: f32) -> CubeTensor {
    let [b, c, h, w] = dims(x);
    launch(
        x,
        empty(x, [b, c, 2 * h, 2 * w]),
        [b * c * h, w],
        factor,
        true,
    )
}

fn launch(
    x: &CubeTensor,
    y: CubeTensor,
    [rows, width]: [usize; 2],
    factor: f32,
    is_wider: bool,
) -> CubeTensor {
    Launch::<NetResize>::new(constants(rows * width, width, factor, is_wider))
        .bind_tensor("X", x)
        .bind_tensor("Y", &y)
        .over(&x.client, rows * width);
    y
}

pub(super) fn constants(size: usize, width: usize, factor: f32, is_wider: bool) -> Constants {
    Constants::default()
        .with("SIZE", size)
        .with("W", width)
        .real("FACTOR", factor)
        .flag("WIDEN", is_wider)
}
