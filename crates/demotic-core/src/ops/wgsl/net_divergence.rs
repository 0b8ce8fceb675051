//! Launches `net_divergence.wgsl`: the posterior's divergence from the standard normal, and its gradients.

use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Launch, Shader, count, dims, empty, floats, shader, sums_of};
use crate::ops::{LOG_VAR_RANGE, LOG_VAR_START};

shader! {
    /// `net_divergence.wgsl`.
    NetDivergence = "net_divergence", 256
}

/// Which of its kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The sums of workgroups, or of the one that there is.
    Sums,
    /// The sum of those.
    Finish,
    /// `is_added`: on top of a gradient that came before.
    Backward { is_added: bool },
}

/// `[1]`, from means and logarithms of variances `[b, 2z, h, w]`, plain.
pub(super) fn forward(both: &CubeTensor, share: f32) -> CubeTensor {
    let shape: [usize; 4] = dims(both);
    let groups = sums_of(
        shape.iter().product::<usize>() / 2,
        NetDivergence::WORKGROUP,
    );
    let e = empty(both, [1]);
    let launch =
        Launch::<NetDivergence>::new(constants(shape, share, Part::Sums)).bind_tensor("BOTH", both);
    if groups == 1 {
        launch.bind_tensor("E", &e).groups(&both.client, [1, 1, 1]);
        return e;
    }
    let sums = floats(&both.client, groups);
    launch
        .bind("SUMS", &sums)
        .groups(&both.client, [count(groups), 1, 1]);
    Launch::<NetDivergence>::new(constants(shape, share, Part::Finish))
        .bind("SUMS", &sums)
        .bind_tensor("E", &e)
        .groups(&both.client, [1, 1, 1]);
    e
}

/// By `both`, from that by the result, `[1]`, on top of `before` where there is one; all plain.
pub(super) fn gradient(
    both: &CubeTensor,
    dy: &CubeTensor,
    before: Option<&CubeTensor>,
    share: f32,
) -> CubeTensor {
    let shape: [usize; 4] = dims(both);
    let dboth = empty(both, shape);
    let part = Part::Backward {
        is_added: before.is_some(),
    };
    let launch = Launch::<NetDivergence>::new(constants(shape, share, part))
        .bind_tensor("BOTH", both)
        .bind_tensor("DY", dy);
    let launch = match before {
        Some(before) => launch.bind_tensor("BEFORE", before),
        None => launch,
    };
    launch
        .bind_tensor("DBOTH", &dboth)
        .over(&both.client, shape.iter().product::<usize>() / 2);
    dboth
}

/// `shape`: of means and logarithms together.
pub(super) fn constants(shape: [usize; 4], share: f32, part: Part) -> Constants {
    let size = shape.iter().product::<usize>() / 2;
    let groups = sums_of(size, NetDivergence::WORKGROUP);
    let [least, most] = LOG_VAR_RANGE;
    Constants::default()
        .with("HALF", NetDivergence::WORKGROUP as usize / 2)
        .size("SIZE", size)
        .size("PLANES", shape[1..].iter().product::<usize>() / 2)
        .size("GROUPS", groups)
        .real_size("SHARE", share)
        .real("START", LOG_VAR_START)
        .real("LEAST", least)
        .real("MOST", most)
        .flag("WHOLE", groups == 1)
        .flag("FINISH", part == Part::Finish)
        .flag("BACKWARD", matches!(part, Part::Backward { .. }))
        .flag("ADDED", part == Part::Backward { is_added: true })
}
