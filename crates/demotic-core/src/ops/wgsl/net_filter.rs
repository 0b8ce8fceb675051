//! Launches `net_filter.wgsl`: the edge-aware filter and its transpose.

use burn_cubecl::tensor::CubeTensor;

use super::{Constants, DISPATCH_MAX, Launch, Shader, count, dims, empty, floats, shader};
use crate::ops::filter_cpu::ROUNDS;

shader! {
    /// `net_filter.wgsl`.
    NetFilter = "net_filter"
}

/// Filters `[b, c, H, W]` by the weights that `net_edges` wrote; both plain.
pub(super) fn launch(change: &CubeTensor, weights: &CubeTensor, is_transposed: bool) -> CubeTensor {
    let shape @ [b, c, h, w] = dims(change);
    let y = empty(change, shape);
    let sums = floats(&change.client, b * c * h * w);
    let planes = count(b * c);
    let x = planes.clamp(1, DISPATCH_MAX);
    Launch::<NetFilter>::new(constants(shape, is_transposed))
        .workgroup(workgroup(h.max(w)))
        .bind_tensor("CHANGE", change)
        .bind_tensor("WEIGHTS", weights)
        .bind("SUMS", &sums)
        .bind_tensor("Y", &y)
        .groups(&change.client, [x, planes.div_ceil(x), 1]);
    y
}

/// An invocation a line, within what every device has.
pub(super) fn workgroup(lines: usize) -> usize {
    lines.next_power_of_two().clamp(32, 256)
}

pub(super) fn constants([b, c, h, w]: [usize; 4], is_transposed: bool) -> Constants {
    Constants::default()
        .with("PLANES", b * c)
        .with("CHANNELS", c)
        .with("H", h)
        .with("W", w)
        .with("AREA", h * w)
        .with("ROUNDS", ROUNDS)
        .flag("TRANSPOSED", is_transposed)
}
