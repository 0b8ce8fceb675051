// net_gather: copies arrays end to end into a part of a longer one, each padded with zeros as the launch
// says. An array that comes in runs, as of `net_conv_weight`, is their sum, in their order.
//
// One invocation an element of the result's part, which begins at START and has LENGTH elements. Each of up
// to seven buffers holds one array or two.
//
// Bindings
//   part_0 .. part_(COUNT - 1)  [.. array .. array ..]
//   flat                        [.. START .. START + LENGTH ..]
// Beside the text, four rows a buffer, of which two are used: (where the array goes in the part, its size,
// its runs, where it begins in the buffer); a size of 0 where there is none.
// Template: WG, COUNT, START, LENGTH.

//: for k in 0..COUNT
@group(0) @binding({{k}}) var<storage, read_write> part_{{k}}: array<f32>;
//: end
@group(0) @binding({{COUNT}}) var<storage, read_write> flat: array<f32>;

//: for k in 0..COUNT
fn from_{{k}}(row: vec4<u32>, i: u32) -> f32 {
    var value = 0.0;
    if (i >= row.x && i < row.x + row.y) {
        for (var run = 0u; run < row.z; run++) {
            value += part_{{k}}[row.w + run * row.y + i - row.x];
        }
    }
    return value;
}
//: end

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * {{WG}}u + lane;
    if (i >= {{LENGTH}}) {
        return;
    }
    var value = 0.0;
//: for k in 0..COUNT
    value += from_{{k}}(sizes[{{k.0}}], i);
    value += from_{{k}}(sizes[{{k.1}}], i);
//: end
    flat[{{START}} + i] = value;
}
