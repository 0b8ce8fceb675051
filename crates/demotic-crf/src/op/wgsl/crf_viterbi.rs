//! Launches `crf_viterbi.wgsl`: the best labelling of chains, one invocation per chain.

use bytemuck::{Pod, Zeroable};
use cubecl::server::Handle;

use super::shaders::Shader;
use super::template::Values;
use super::{Bindings, KernelCall, WORKGROUP};
use crate::op::plan::Plan;

/// `Params` of `crf_viterbi.wgsl`, field for field.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct ViterbiParams {
    chains: u32,
    length: u32,
    inner: u32,
    e: [u32; 4],
}

/// Best paths `[chains, t]` and their scores `[chains]`, of the call's first direction.
pub(super) fn launch(call: &KernelCall) -> (Handle, Handle) {
    let l = call.dims[1];
    let lines = call.lines[0];
    let e = lines.emission;
    let params = call.params(&ViterbiParams {
        chains: lines.chains as u32,
        length: lines.length as u32,
        inner: lines.inner as u32,
        e: [e.outer, e.inner, e.step, e.label].map(|stride| stride as u32),
    });
    let positions = lines.chains * lines.length;
    let choices = call.floats(positions * words(l));
    let (paths, scores) = (call.floats(positions), call.floats(lines.chains));
    Bindings::default()
        .bind("EMISSIONS", &call.emissions.handle)
        .bind("POTENTIALS", &call.potentials.handle)
        .bind_if(call.plan.ragged, "LENGTHS", Some(&call.lengths.handle))
        .bind("CHOICES", &choices)
        .bind("PATHS", &paths)
        .bind("SCORES", &scores)
        .bind("PARAMS", &params)
        .launch(
            &call.client,
            Shader::Viterbi,
            |bound| values(bound, l, &call.plan, call.is_half()),
            lines.chains.div_ceil(WORKGROUP as usize),
        );
    (paths, scores)
}

/// Words that hold a position's choices, four labels to a word.
fn words(l: usize) -> usize {
    l.div_ceil(4)
}

fn values(values: Values, l: usize, plan: &Plan, half: bool) -> Values {
    values
        .with("L", l)
        .with("L2", l * l)
        .with("WORDS", words(l))
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
        "LENGTHS",
        "CHOICES",
        "PATHS",
        "SCORES",
        "PARAMS",
    ]);
    super::shaders::Kernel::new(Shader::Viterbi, values(bound, l, plan, half), WORKGROUP)
}
