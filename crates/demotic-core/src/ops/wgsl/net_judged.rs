//! Launches `net_judged.wgsl`: figures of a discriminator's step.

use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Launch, Shader, count, dims, empty, shader};
use crate::ops::near::JUDGED;

shader! {
    /// `net_judged.wgsl`.
    NetJudged = "net_judged", 256
}

/// The figures, from losses `[3n]` and emissions `[3n, l, h, w]`; both plain.
pub(super) fn launch(losses: &CubeTensor, emissions: &CubeTensor) -> CubeTensor {
    let y = empty(losses, [JUDGED]);
    Launch::<NetJudged>::new(constants(dims(emissions)))
        .bind_tensor("LOSSES", losses)
        .bind_tensor("EMISSIONS", emissions)
        .bind_tensor("Y", &y)
        .groups(&losses.client, [count(JUDGED), 1, 1]);
    y
}

/// `shape`: of the emissions.
pub(super) fn constants([pictures, labels, h, w]: [usize; 4]) -> Constants {
    let n = pictures / 3;
    Constants::default()
        .with("HALF", NetJudged::WORKGROUP as usize / 2)
        .size("N", n)
        .size("LABELS", labels)
        .size("AREA", h * w)
        .real_size("LOSS_FACTOR", 1.0 / n as f32)
        .real_size("PROB_FACTOR", 1.0 / (n * h * w) as f32)
}
