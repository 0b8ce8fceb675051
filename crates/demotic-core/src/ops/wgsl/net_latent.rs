//! Launches `net_latent.wgsl`: a sample of the posterior, and its gradients.

use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Launch, Shader, dims, empty, shader};
use crate::ops::{LOG_VAR_RANGE, LOG_VAR_START};

shader! {
    /// `net_latent.wgsl`.
    NetLatent = "net_latent", 256
}

/// The sample, `[b, z, h, w]`, from means and logarithms of variances `[b, 2z, h, w]` and noise; both plain.
pub(super) fn forward(both: &CubeTensor, noise: &CubeTensor) -> CubeTensor {
    let shape: [usize; 4] = dims(noise);
    let y = empty(both, shape);
    Launch::<NetLatent>::new(constants(shape, Way::Forward))
        .bind_tensor("BOTH", both)
        .bind_tensor("NOISE", noise)
        .bind_tensor("Y", &y)
        .over(&both.client, shape.iter().product());
    y
}

/// By `both`, on top of `before` where there is one; all plain.
pub(super) fn gradient(
    both: &CubeTensor,
    noise: &CubeTensor,
    dy: &CubeTensor,
    before: Option<&CubeTensor>,
) -> CubeTensor {
    let shape: [usize; 4] = dims(noise);
    let dboth = empty(both, dims::<4>(both));
    let way = Way::Backward {
        is_added: before.is_some(),
    };
    let launch = Launch::<NetLatent>::new(constants(shape, way))
        .bind_tensor("BOTH", both)
        .bind_tensor("NOISE", noise)
        .bind_tensor("DY", dy);
    let launch = match before {
        Some(before) => launch.bind_tensor("BEFORE", before),
        None => launch,
    };
    launch
        .bind_tensor("DBOTH", &dboth)
        .over(&both.client, shape.iter().product());
    dboth
}

/// Which way a kernel goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Forward,
    /// `is_added`: on top of a gradient that came before.
    Backward {
        is_added: bool,
    },
}

/// `shape`: of the sample.
pub(super) fn constants(shape: [usize; 4], way: Way) -> Constants {
    let [least, most] = LOG_VAR_RANGE;
    Constants::default()
        .size("SIZE", shape.iter().product())
        .size("PLANES", shape[1..].iter().product())
        .real("START", LOG_VAR_START)
        .real("LEAST", least)
        .real("MOST", most)
        .flag("BACKWARD", way != Way::Forward)
        .flag("ADDED", way == Way::Backward { is_added: true })
}
