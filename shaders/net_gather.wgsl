// net_gather: copies up to seven arrays end to end into a part of a longer one, each padded with zeros to a
// multiple of 64. An array that comes in RUNS_k runs, as of `net_conv_weight`, is their sum, in their order.
//
// One invocation an element of the result's part, which begins at START and has LENGTH elements. Array k,
// where HAS_k, begins at FROM_k in the part.
//
// Bindings
//   part_0 .. part_(COUNT - 1)  [RUNS_k, SIZE_k]
//   flat                        [.. START .. START + LENGTH ..]
// Template: WG, COUNT, START, LENGTH, HAS_k, FROM_k, SIZE_k, RUNS_k.

//: for k in 0..COUNT
@group(0) @binding({{k}}) var<storage, read_write> part_{{k}}: array<f32>;
//: end
@group(0) @binding({{COUNT}}) var<storage, read_write> flat: array<f32>;

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * {{WG}}u + lane;
    if (i >= {{LENGTH}}u) {
        return;
    }
    var value = 0.0;
//: if HAS_0
    if (i >= {{FROM_0}}u && i < {{FROM_0}}u + {{SIZE_0}}u) {
        for (var run = 0u; run < {{RUNS_0}}u; run++) {
            value += part_0[run * {{SIZE_0}}u + i - {{FROM_0}}u];
        }
    }
//: end
//: if HAS_1
    if (i >= {{FROM_1}}u && i < {{FROM_1}}u + {{SIZE_1}}u) {
        for (var run = 0u; run < {{RUNS_1}}u; run++) {
            value += part_1[run * {{SIZE_1}}u + i - {{FROM_1}}u];
        }
    }
//: end
//: if HAS_2
    if (i >= {{FROM_2}}u && i < {{FROM_2}}u + {{SIZE_2}}u) {
        for (var run = 0u; run < {{RUNS_2}}u; run++) {
            value += part_2[run * {{SIZE_2}}u + i - {{FROM_2}}u];
        }
    }
//: end
//: if HAS_3
    if (i >= {{FROM_3}}u && i < {{FROM_3}}u + {{SIZE_3}}u) {
        for (var run = 0u; run < {{RUNS_3}}u; run++) {
            value += part_3[run * {{SIZE_3}}u + i - {{FROM_3}}u];
        }
    }
//: end
//: if HAS_4
    if (i >= {{FROM_4}}u && i < {{FROM_4}}u + {{SIZE_4}}u) {
        for (var run = 0u; run < {{RUNS_4}}u; run++) {
            value += part_4[run * {{SIZE_4}}u + i - {{FROM_4}}u];
        }
    }
//: end
//: if HAS_5
    if (i >= {{FROM_5}}u && i < {{FROM_5}}u + {{SIZE_5}}u) {
        for (var run = 0u; run < {{RUNS_5}}u; run++) {
            value += part_5[run * {{SIZE_5}}u + i - {{FROM_5}}u];
        }
    }
//: end
//: if HAS_6
    if (i >= {{FROM_6}}u && i < {{FROM_6}}u + {{SIZE_6}}u) {
        for (var run = 0u; run < {{RUNS_6}}u; run++) {
            value += part_6[run * {{SIZE_6}}u + i - {{FROM_6}}u];
        }
    }
//: end
    flat[{{START}}u + i] = value;
}
