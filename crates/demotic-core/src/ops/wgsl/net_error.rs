//! Launches `net_error.wgsl`: the mean absolute difference of two arrays, and its gradient.

use burn::backend::TensorMetadata;
use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Launch, Shader, count, dims, empty, floats, shader, sums_of};

shader! {
    /// `net_error.wgsl`.
    NetError = "net_error", 256
}

/// Which of its three kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The sums of workgroups, or of the one that there is.
    Sums,
    /// The sum of those.
    Finish,
    Backward,
}

/// `1/n sum |a - b|`: `[1]`; both plain.
pub(super) fn forward(a: &CubeTensor, b: &CubeTensor) -> CubeTensor {
    let size = a.shape().num_elements();
    let groups = sums_of(size, NetError::WORKGROUP);
    let e = empty(a, [1]);
    let launch = Launch::<NetError>::new(constants(size, Part::Sums))
        .bind_tensor("A", a)
        .bind_tensor("B", b);
    if groups == 1 {
        launch.bind_tensor("E", &e).groups(&a.client, [1, 1, 1]);
        return e;
    }
    let sums = floats(&a.client, groups);
    launch
        .bind("SUMS", &sums)
        .groups(&a.client, [count(groups), 1, 1]);
    Launch::<NetError>::new(constants(size, Part::Finish))
        .bind("SUMS", &sums)
        .bind_tensor("E", &e)
        .groups(&a.client, [1, 1, 1]);
    e
}

/// By `a`, from that by the result, `[1]`; all plain.
pub(super) fn gradient(a: &CubeTensor, b: &CubeTensor, dy: &CubeTensor) -> CubeTensor {
    let size = a.shape().num_elements();
    let da = empty(a, dims::<4>(a));
    Launch::<NetError>::new(constants(size, Part::Backward))
        .bind_tensor("A", a)
        .bind_tensor("B", b)
        .bind_tensor("DY", dy)
        .bind_tensor("DA", &da)
        .over(&a.client, size);
    da
}

pub(super) fn constants(size: usize, part: Part) -> Constants {
    let groups = sums_of(size, NetError::WORKGROUP);
    Constants::default()
        .with("HALF", NetError::WORKGROUP as usize / 2)
        .size("SIZE", size)
        .size("GROUPS", groups)
        .real_size("FACTOR", 1.0 / size as f32)
        .flag("WHOLE", groups == 1)
        .flag("FINISH", part == Part::Finish)
        .flag("BACKWARD", part == Part::Backward)
}
