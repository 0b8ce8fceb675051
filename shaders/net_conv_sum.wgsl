// net_conv_sum: adds the runs of `net_conv_weight` up, in their order.
//
//   result[i] = sum_r partial[r, i]
//
// One invocation an element; the first BIAS_AT elements are weights, the rest bias.
//
// Bindings
//   partial  [RUNS, STRIDE]
//   dw       [BIAS_AT]
//   db       [STRIDE - BIAS_AT]
// Template: WG, RUNS, BIAS_AT, STRIDE.

@group(0) @binding({{PARTIAL}}) var<storage, read_write> partial_sums: array<f32>;
@group(0) @binding({{DW}}) var<storage, read_write> dw: array<f32>;
@group(0) @binding({{DB}}) var<storage, read_write> db: array<f32>;

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group.x * {{WG}}u + lane;
    if (i >= {{STRIDE}}u) {
        return;
    }
    var sum = 0.0;
    for (var run = 0u; run < {{RUNS}}u; run++) {
        sum += partial_sums[run * {{STRIDE}}u + i];
    }
    if (i < {{BIAS_AT}}u) {
        dw[i] = sum;
    } else {
        db[i - {{BIAS_AT}}u] = sum;
    }
}
