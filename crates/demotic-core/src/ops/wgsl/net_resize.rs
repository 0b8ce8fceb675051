//! Launches `net_resize.wgsl`: 2x2 patches to values and back.

use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Launch, Shader, dims, empty, shader};

shader! {
    /// `net_resize.wgsl`.
    NetResize = "net_resize", 256
}

/// Sums of 2x2 patches times `factor`: `[b, c, 2h, 2w] -> [b, c, h, w]`, plain.
pub(super) fn pool(x: &CubeTensor, factor: f32) -> CubeTensor {
    let [b, c, h, w] = dims(x);
    let (size, width) = (b * c * (h / 2) * (w / 2), w / 2);
    let y = empty(x, [b, c, h / 2, w / 2]);
    Launch::<NetResize>::new(constants(size, width, factor, Way::Pool))
        .bind_tensor("X", x)
        .bind_tensor("Y", &y)
        .over(&x.client, size);
    y
}

/// Each value times `factor` as a 2x2 patch, on top of `base` where there is one: `[b, c, h, w] -> [b, c,
/// 2h, 2w]`, plain.
pub(super) fn spread(x: &CubeTensor, base: Option<&CubeTensor>, factor: f32) -> CubeTensor {
    let [b, c, h, w] = dims(x);
    let size = b * c * h * w;
    let y = empty(x, [b, c, 2 * h, 2 * w]);
    let way = Way::Spread {
        is_added: base.is_some(),
    };
    let launch = Launch::<NetResize>::new(constants(size, w, factor, way)).bind_tensor("X", x);
    let launch = match base {
        Some(base) => launch.bind_tensor("BASE", base),
        None => launch,
    };
    launch.bind_tensor("Y", &y).over(&x.client, size);
    y
}

/// Which way a kernel goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Pool,
    /// `is_added`: on top of another tensor.
    Spread {
        is_added: bool,
    },
}

/// Of `size` patches, `width` of them across.
pub(super) fn constants(size: usize, width: usize, factor: f32, way: Way) -> Constants {
    Constants::default()
        .with("SIZE", size)
        .with("W", width)
        .real("FACTOR", factor)
        .flag("WIDEN", way != Way::Pool)
        .flag("ADDED", way == Way::Spread { is_added: true })
}
