//! Launches `net_part.wgsl`: some of a tensor's planes along an axis, and their gradient.

use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Launch, Shader, dims, empty, shader};
use crate::ops::Part;

shader! {
    /// `net_part.wgsl`.
    NetPart = "net_part", 256
}

/// The planes; `x` plain.
pub(super) fn forward(x: &CubeTensor, part: Part) -> CubeTensor {
    let shape: [usize; 4] = dims(x);
    let y = empty(x, part.shape(shape));
    Launch::<NetPart>::new(constants(shape, part, Way::Forward))
        .bind_tensor("X", x)
        .bind_tensor("Y", &y)
        .over(&x.client, part.shape(shape).iter().product());
    y
}

/// By the whole tensor of `shape`, on top of `before` where there is one; both plain.
pub(super) fn gradient(
    dy: &CubeTensor,
    before: Option<&CubeTensor>,
    shape: [usize; 4],
    part: Part,
) -> CubeTensor {
    let dx = empty(dy, shape);
    let way = Way::Backward {
        is_added: before.is_some(),
    };
    let launch = Launch::<NetPart>::new(constants(shape, part, way)).bind_tensor("DY", dy);
    let launch = match before {
        Some(before) => launch.bind_tensor("BEFORE", before),
        None => launch,
    };
    launch
        .bind_tensor("DX", &dx)
        .over(&dy.client, shape.iter().product());
    dx
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

/// `shape`: of the whole tensor.
pub(super) fn constants(shape: [usize; 4], part: Part, way: Way) -> Constants {
    let result = match way {
        Way::Forward => part.shape(shape),
        Way::Backward { .. } => shape,
    };
    Constants::default()
        .size("SIZE", result.iter().product())
        .size("ALL", shape[part.axis])
        .size("COUNT", part.count)
        .size("START", part.start)
        .size("INNER", shape[part.axis + 1..].iter().product())
        .flag("BACKWARD", way != Way::Forward)
        .flag("ADDED", way == Way::Backward { is_added: true })
        .flag("TWICE", false)
}

/// A plain tensor behind itself along its first axis.
pub(super) fn twice(x: &CubeTensor) -> CubeTensor {
    let [b, c, h, w] = dims(x);
    let y = empty(x, [2 * b, c, h, w]);
    let size = b * c * h * w;
    Launch::<NetPart>::new(twice_constants(size, false))
        .bind_tensor("X", x)
        .bind_tensor("Y", &y)
        .over(&x.client, 2 * size);
    y
}

/// By what was doubled; plain.
pub(super) fn twice_gradient(dy: &CubeTensor) -> CubeTensor {
    let [b, c, h, w] = dims(dy);
    let dx = empty(dy, [b / 2, c, h, w]);
    let size = b / 2 * c * h * w;
    Launch::<NetPart>::new(twice_constants(size, true))
        .bind_tensor("DY", dy)
        .bind_tensor("DX", &dx)
        .over(&dy.client, size);
    dx
}

/// `size`: of one of the two.
pub(super) fn twice_constants(size: usize, is_backward: bool) -> Constants {
    Constants::default()
        .size("SIZE", if is_backward { size } else { 2 * size })
        .size("INNER", size)
        .flag("BACKWARD", is_backward)
        .flag("ADDED", false)
        .flag("TWICE", true)
}
