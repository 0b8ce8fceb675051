//! Launches `crf_segments.wgsl`: the first pass over long chains, one invocation per (segment, entering
//! label).

use super::shaders::Shader;
use super::template::Values;
use super::{Direction, Edges, SEGMENT, WORKGROUP};
use crate::op::plan::{Evidence, Plan};

/// What each segment does to any vector that enters it.
pub(super) fn launch(direction: &Direction<'_>) -> Edges {
    let (call, l) = (direction.call, direction.labels());
    let segments = direction.columns;
    // Forward vectors come first, where the third pass will keep any; then vectors entering, leaving,
    // operators, logarithms.
    let at = match direction.gradient {
        Some(_) => SEGMENT * l * segments,
        None => 0,
    };
    let handle = call.floats(at + (3 * l + l * l) * segments);
    let reads_labels = matches!(call.plan.evidence, Evidence::Held { .. });
    direction
        .inputs(reads_labels, Some(&handle))
        .bind("PARAMS", &direction.params(at))
        .launch(
            &call.client,
            Shader::Segments,
            |bound| values(bound, l, &call.plan, call.is_half()),
            (segments * l).div_ceil(WORKGROUP as usize),
        );
    Edges { handle, at }
}

fn values(values: Values, l: usize, plan: &Plan, half: bool) -> Values {
    values
        .with("L", l)
        .with("L2", l * l)
        .with("SEGMENT", SEGMENT)
        .flag("HELD", matches!(plan.evidence, Evidence::Held { .. }))
        .flag("RAGGED", plan.ragged)
        .flag("BOUNDARIES", plan.boundaries)
        .flag("HALF", half)
}

/// The kernel of this shader that a call like this one launches.
#[cfg(test)]
pub(super) fn kernel(l: usize, plan: &Plan, half: bool) -> super::shaders::Kernel {
    let bound = super::shaders::numbered(&[
        "EMISSIONS",
        "POTENTIALS",
        "LABELS_AT",
        "LENGTHS",
        "FORWARD",
        "PARAMS",
    ]);
    super::shaders::Kernel::new(Shader::Segments, values(bound, l, plan, half), WORKGROUP)
}
