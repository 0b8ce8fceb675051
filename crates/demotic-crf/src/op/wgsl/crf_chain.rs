//! Launches `crf_chain.wgsl`: loss and gradient of chains, one invocation per chain or a segment of one.

use burn::tensor::DType;

use super::shaders::Shader;
use super::template::Values;
use super::{Direction, Edges, Guise, SEGMENT, WORKGROUP};
use crate::op::plan::Order;

/// What one invocation walks, and how it moves labels.
#[derive(Clone, Copy)]
struct Walk {
    /// A segment of a chain, the third pass of the scan; otherwise a chain.
    segments: bool,
    /// Emissions and gradient move four labels at a time.
    vec4: bool,
}

/// Leaves sums and gradient of one direction; `edges` are those of the first two passes over long chains.
pub(super) fn launch(direction: &Direction<'_>, edges: Option<&Edges>) {
    let call = direction.call;
    let l = direction.labels();
    let forward = match (edges, direction.gradient) {
        (Some(edges), _) => Some(edges.handle.clone()),
        (None, Some(_)) => {
            // Four labels to a word.
            let elements = direction.lines.length * l.next_multiple_of(4) * direction.columns;
            Some(call.floats(elements))
        }
        (None, None) => None,
    };
    let walk = Walk {
        segments: edges.is_some(),
        vec4: labels_lie_in_fours(direction),
    };
    let params = direction.params(edges.map_or(0, |edges| edges.at));
    direction.bindings(forward.as_ref(), &params).launch(
        &call.client,
        Shader::Chain,
        |bound| values(bound, &direction.guise(), walk),
        direction.columns.div_ceil(WORKGROUP as usize),
    );
}

/// Whether emissions and gradient can be read and written four labels at a time.
fn labels_lie_in_fours(direction: &Direction<'_>) -> bool {
    let emissions = &direction.call.emissions;
    let e = direction.lines.emission;
    let offset = emissions.handle.offset_start.unwrap_or(0);
    direction.call.plan.order == Order::Sequence
        && emissions.dtype == DType::F32
        && direction.labels().is_multiple_of(4)
        && e.label == 1
        && offset.is_multiple_of(16)
        && [e.outer, e.inner, e.step]
            .iter()
            .all(|stride| stride.is_multiple_of(4))
}

fn values(values: Values, guise: &Guise<'_>, walk: Walk) -> Values {
    const VEC4: &str = "vec4<f32>";
    let l = guise.labels;
    let vec4_forward = guise.gradient && !walk.segments;
    guise
        .values(values)
        .with("L4", l.div_ceil(4))
        .with("LP4", l.next_multiple_of(4))
        .with("SEGMENT", SEGMENT)
        .with("FORWARD_TYPE", if vec4_forward { VEC4 } else { "f32" })
        .with("GRADIENT_TYPE", if walk.vec4 { VEC4 } else { "f32" })
        // Each invocation keeps the transition matrix to itself: 16 registers at most.
        .flag("FEW", l <= 4)
        .flag("SEGMENTS", walk.segments)
        .flag("KEEPS", guise.gradient || walk.segments)
        .flag("VEC4", walk.vec4)
        .flag("VEC4_FORWARD", vec4_forward)
}

/// Every kernel of this shader that a call like this one may launch.
#[cfg(test)]
pub(super) fn kernels(guise: &Guise<'_>) -> Vec<super::shaders::Kernel> {
    let fours = guise.labels.is_multiple_of(4) && !guise.add && !guise.half;
    let mut walks = vec![(false, false), (true, false)];
    if fours {
        walks.extend([(false, true), (true, true)]);
    }
    let bound = super::shaders::numbered(&[
        "EMISSIONS",
        "POTENTIALS",
        "LABELS_AT",
        "LENGTHS",
        "FORWARD",
        "GRADIENT_AT",
        "SUMS",
        "PARAMS",
    ]);
    let kernel = |(segments, vec4)| {
        let values = values(bound.clone(), guise, Walk { segments, vec4 });
        super::shaders::Kernel::new(Shader::Chain, values, WORKGROUP)
    };
    walks.into_iter().map(kernel).collect()
}
