//! Launches `net_resize.wgsl`: 2x2 patches to values and back.

use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Launch, Shader, dims, empty, shader};

shader! {
    /// `net_resize.wgsl`.
    NetResize = "net_resize", 256
}

/// Sums of 2x2 patches, of their leaky ReLU with this slope, times `factor`: `[b, c, 2h, 2w] -> [b, c, h,
/// w]`, plain. A slope of 1 leaves the activation out.
pub(super) fn pool(x: &CubeTensor, factor: f32, slope: f32) -> CubeTensor {
    let [b, c, h, w] = dims(x);
    let (size, width) = (b * c * (h / 2) * (w / 2), w / 2);
    let y = empty(x, [b, c, h / 2, w / 2]);
    Launch::<NetResize>::new(constants(size, width, factor, Way::Pool { slope }))
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

/// What [`pool`] with a slope leaves of a gradient `dy` by its `x`; both plain.
pub(super) fn pool_leaky_gradient(
    x: &CubeTensor,
    dy: &CubeTensor,
    factor: f32,
    slope: f32,
) -> CubeTensor {
    let [b, c, h, w] = dims(dy);
    let size = b * c * h * w;
    let dx = empty(x, dims::<4>(x));
    let way = Way::Unpool { slope };
    Launch::<NetResize>::new(constants(size, w, factor, way))
        .bind_tensor("X", dy)
        .bind_tensor("READ", x)
        .bind_tensor("Y", &dx)
        .over(&x.client, size);
    dx
}

/// Which way a kernel goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Way {
    /// `slope`: of a leaky ReLU before; 1 leaves it out.
    Pool { slope: f32 },
    /// The gradient of that.
    Unpool { slope: f32 },
    /// `is_added`: on top of another tensor.
    Spread { is_added: bool },
}

/// Constants for `size` patches, `width` of them across.
pub(super) fn constants(size: usize, width: usize, factor: f32, way: Way) -> Constants {
    let slope = match way {
        Way::Pool { slope } | Way::Unpool { slope } => slope,
        Way::Spread { .. } => 1.0,
    };
    Constants::default()
        .size("SIZE", size)
        .size("W", width)
        .real_size("FACTOR", factor)
        .real_size("SLOPE", slope)
        .flag("LEAKY", matches!(way, Way::Unpool { .. }))
        .flag("WIDEN", !matches!(way, Way::Pool { .. }))
        .flag("ADDED", way == Way::Spread { is_added: true })
}
