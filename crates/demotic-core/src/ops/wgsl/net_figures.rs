//! Launches `net_figures.wgsl`: figures of a discriminator's step.

use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Launch, Shader, count, dims, empty, shader};
use crate::ops::near::FIGURES;

shader! {
    /// `net_figures.wgsl`.
    NetFigures = "net_figures", 256
}

/// The figures, from losses `[3n]` and emissions `[3n, l, h, w]`; both plain.
pub(super) fn launch(losses: &CubeTensor, emissions: &CubeTensor) -> CubeTensor {
    let y = empty(losses, [FIGURES]);
    Launch::<NetFigures>::new(constants(dims(emissions)))
        .bind_tensor("LOSSES", losses)
        .bind_tensor("EMISSIONS", emissions)
        .bind_tensor("Y", &y)
        .groups(&losses.client, [count(FIGURES), 1, 1]);
    y
}

/// `shape`: of the emissions.
pub(super) fn constants([pictures, labels, h, w]: [usize; 4]) -> Constants {
    let n = pictures / 3;
    Constants::default()
        .with("HALF", NetFigures::WORKGROUP as usize / 2)
        .size("N", n)
        .size("LABELS", labels)
        .size("AREA", h * w)
        .real_size("LOSS_FACTOR", 1.0 / n as f32)
        .real_size("PROB_FACTOR", 1.0 / (n * h * w) as f32)
}
