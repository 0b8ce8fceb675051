//! Launches `net_edges.wgsl`: the weights of the edge-aware filter.

use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Launch, Shader, dims, empty, shader};
use crate::ops::Filter;

shader! {
    /// `net_edges.wgsl`.
    NetEdges = "net_edges"
}

/// Decays along rows and columns and shares along each, `[b, 4, H, W]`, of pictures `[b, c, H, W]`, plain.
pub(super) fn launch(guide: &CubeTensor, fake: &CubeTensor, filter: Filter) -> CubeTensor {
    let shape @ [b, _, h, w] = dims(guide);
    let weights = empty(guide, [b, 4, h, w]);
    Launch::<NetEdges>::new(constants(shape, filter))
        .bind_tensor("GUIDE", guide)
        .bind_tensor("FAKE", fake)
        .bind_tensor("WEIGHTS", &weights)
        .over(&guide.client, b * (h + w));
    weights
}

pub(super) fn constants([b, c, h, w]: [usize; 4], filter: Filter) -> Constants {
    Constants::default()
        .with("SIZE", b * (h + w))
        .with("LINES", h + w)
        .with("CHANNELS", c)
        .with("H", h)
        .with("W", w)
        .with("AREA", h * w)
        .real("COST", filter.cost_a_pixel(h.max(w)))
        .real("EDGE", filter.edge / c as f32)
        .real("EDGE_FAKE", filter.edge_fake / c as f32)
}
