//! Launches `net_adam.wgsl`: Adam's update of all weights of a network, and their moving average.

use burn::backend::TensorMetadata;
use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Launch, Shader, count, empty, shader, sums_of};
use crate::ops::near::Clipped;

shader! {
    /// `net_adam.wgsl`.
    NetAdam = "net_adam", 256
}

/// Elements of an invocation.
const EACH: usize = 4;

/// Which of its kernels.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    /// The sums of squares.
    Squares,
    Update(Clipped),
    Blend {
        share: f32,
    },
}

/// How many sums the squares of a vector of `size` elements leave.
pub(crate) fn sums(size: usize) -> usize {
    sums_of(size, NetAdam::WORKGROUP)
}

/// Sums of the squares of a vector, plain.
pub(super) fn squares(gradient: &CubeTensor) -> CubeTensor {
    let size = gradient.shape().num_elements();
    let groups = sums(size);
    let result = empty(gradient, [groups]);
    Launch::<NetAdam>::new(constants(size, Part::Squares))
        .bind_tensor("GRADIENT", gradient)
        .bind_tensor("SUMS", &result)
        .groups(&gradient.client, [count(groups), 1, 1]);
    result
}

/// The updated weights, and the norm of the gradients, `[1]`; the moments change in place. All plain.
pub(super) fn update(
    weights: &CubeTensor,
    [gradient, squares]: [&CubeTensor; 2],
    [first, second]: [&CubeTensor; 2],
    rates: &CubeTensor,
    clipped: Clipped,
) -> (CubeTensor, CubeTensor) {
    let size = weights.shape().num_elements();
    let (updated, norm) = (empty(weights, [size]), empty(weights, [1]));
    let launch = Launch::<NetAdam>::new(constants(size, Part::Update(clipped)))
        .bind_tensor("GRADIENT", gradient)
        .bind_tensor("SUMS", squares)
        .bind_tensor("WEIGHTS", weights)
        .bind_tensor("FIRST", first)
        .bind_tensor("SECOND", second);
    let launch = if clipped.is_rated {
        launch.bind_tensor("RATES", rates)
    } else {
        launch
    };
    launch
        .bind_tensor("UPDATED", &updated)
        .bind_tensor("NORM", &norm)
        .over(&weights.client, size.div_ceil(EACH));
    (updated, norm)
}

/// `average + share * (current - average)`; both plain.
pub(super) fn blend(average: &CubeTensor, current: &CubeTensor, share: f32) -> CubeTensor {
    let size = average.shape().num_elements();
    let blended = empty(average, [size]);
    Launch::<NetAdam>::new(constants(size, Part::Blend { share }))
        .bind_tensor("AVERAGE", average)
        .bind_tensor("CURRENT", current)
        .bind_tensor("BLENDED", &blended)
        .over(&average.client, size.div_ceil(EACH));
    blended
}

pub(super) fn constants(size: usize, part: Part) -> Constants {
    let constants = Constants::default()
        .with("HALF", NetAdam::WORKGROUP as usize / 2)
        .with("EACH", EACH)
        .size("SIZE", size)
        .size("GROUPS", sums(size))
        .flag("SQUARES", matches!(part, Part::Squares))
        .flag("BLEND", matches!(part, Part::Blend { .. }));
    match part {
        Part::Squares => constants,
        Part::Blend { share } => constants.real_size("SHARE", share),
        Part::Update(Clipped {
            scalars: s,
            norm_max,
            is_rated,
        }) => constants
            .real("BETA_1", s.beta_1)
            .real("BETA_2", s.beta_2)
            .real("REST_1", 1.0 - s.beta_1)
            .real("REST_2", 1.0 - s.beta_2)
            .real("NORM_MAX", norm_max)
            .real_size("RATE", s.rate)
            .real_size("EPSILON", s.epsilon)
            .flag("CLIPPED", norm_max > 0.0)
            .flag("RATED", is_rated),
    }
}
