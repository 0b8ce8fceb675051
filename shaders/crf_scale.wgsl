// crf_scale: a gradient by emissions times the upstream gradient of its group.
//
//   scaled[i] = gradient[i] * upstream[i / piece]
//
// One invocation per word: four elements where WIDE, otherwise one. In place, a factor of one moves nothing.
//
// Bindings
//   gradient   [groups, piece] f32; receives the result where IN_PLACE
//   scaled     likewise               where not IN_PLACE
//   upstream   [groups]
//   params     one Params
// Template: WG, WIDE, IN_PLACE.

struct Params {
    words: u32,
    piece: u32,          // words of a group
};

//: if WIDE
@group(0) @binding({{GRADIENT_AT}}) var<storage, read_write> gradient: array<vec4<f32>>;
//: if IN_PLACE
//: else
@group(0) @binding({{SCALED}}) var<storage, read_write> scaled: array<vec4<f32>>;
//: end
//: else
@group(0) @binding({{GRADIENT_AT}}) var<storage, read_write> gradient: array<f32>;
//: if IN_PLACE
//: else
@group(0) @binding({{SCALED}}) var<storage, read_write> scaled: array<f32>;
//: end
//: end
@group(0) @binding({{UPSTREAM}}) var<storage, read_write> upstream: array<f32>;
@group(0) @binding({{PARAMS}}) var<storage, read_write> params: Params;

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let word = (group.y * groups.x + group.x) * {{WG}}u + lane;
    if (word >= params.words) {
        return;
    }
    let factor = upstream[word / params.piece];
//: if IN_PLACE
    if (factor != 1.0) {
        gradient[word] *= factor;
    }
//: else
    scaled[word] = gradient[word] * factor;
//: end
}
