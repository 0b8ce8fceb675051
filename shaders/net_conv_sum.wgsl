// net_conv_sum: adds the runs of `net_conv_weight` up, in their order.
//
//   result[i] = sum_r runs[r, i]
//
// One invocation an element, weights first.
//
// Bindings
//   runs_w  [RUNS, WEIGHTS]
//   runs_b  [RUNS, BIASES]
//   dw      [WEIGHTS]
//   db      [BIASES]
// Template: WG, RUNS, WEIGHTS, BIASES.

@group(0) @binding({{RUNS_W}}) var<storage, read_write> runs_w: array<f32>;
@group(0) @binding({{RUNS_B}}) var<storage, read_write> runs_b: array<f32>;
@group(0) @binding({{DW}}) var<storage, read_write> dw: array<f32>;
@group(0) @binding({{DB}}) var<storage, read_write> db: array<f32>;

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * {{WG}}u + lane;
    if (i >= {{WEIGHTS}} + {{BIASES}}) {
        return;
    }
    var sum = 0.0;
    if (i < {{WEIGHTS}}) {
        for (var run = 0u; run < {{RUNS}}; run++) {
            sum += runs_w[run * {{WEIGHTS}} + i];
        }
        dw[i] = sum;
    } else {
        for (var run = 0u; run < {{RUNS}}; run++) {
            sum += runs_b[run * {{BIASES}} + i - {{WEIGHTS}}];
        }
        db[i - {{WEIGHTS}}] = sum;
    }
}
