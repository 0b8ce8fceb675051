//! Launches `crf_scan.wgsl`: the second pass over long chains, one invocation per (chain, way).

use super::shaders::Shader;
use super::template::Values;
use super::{Bindings, Direction, Edges, WORKGROUP};

/// Turns what each segment does into the vectors that enter and leave it.
pub(super) fn launch(direction: &Direction<'_>, edges: &Edges) {
    let (call, l) = (direction.call, direction.labels());
    let (segments, chains) = (direction.columns, direction.lines.chains);
    let params = [segments, segments / chains, edges.at].map(|value| value as u32);
    Bindings::default()
        .bind("FORWARD", &edges.handle)
        .bind("PARAMS", &call.params(&params))
        .launch(
            &call.client,
            Shader::Scan,
            |bound| values(bound, l),
            (2 * chains).div_ceil(WORKGROUP as usize),
        );
}

fn values(values: Values, l: usize) -> Values {
    values.with("L", l).with("L2", l * l)
}

/// The kernel of this shader over `l` labels.
#[cfg(test)]
pub(super) fn kernel(l: usize) -> super::shaders::Kernel {
    let bound = super::shaders::numbered(&["FORWARD", "PARAMS"]);
    super::shaders::Kernel::new(Shader::Scan, values(bound, l), WORKGROUP)
}
