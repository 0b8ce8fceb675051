// net_leaky: leaky ReLU, or with BACKWARD its gradient from its result, whose sign is that of the input.
//
//   y = x where x >= 0, otherwise SLOPE x;   dx = dy where y >= 0, otherwise SLOPE dy
//
// One invocation four elements, SPREAD elements apart.
//
// Bindings
//   x   [SIZE]   the input, or dy where BACKWARD
//   y   [SIZE]   the result, or read where BACKWARD
//   dx  [SIZE]   where BACKWARD
// Template: WG, SIZE, SPREAD, SLOPE, BACKWARD.

@group(0) @binding({{X}}) var<storage, read_write> x: array<f32>;
@group(0) @binding({{Y}}) var<storage, read_write> y: array<f32>;
//: if BACKWARD
@group(0) @binding({{DX}}) var<storage, read_write> dx: array<f32>;
//: end

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.y * groups.x + group.x) * {{WG}}u + lane;
    if (first >= {{SPREAD}}) {
        return;
    }
//: for k in 0..4
    {
        let i = first + {{k}}u * {{SPREAD}};
        if (i < {{SIZE}}) {
            let value = x[i];
//: if BACKWARD
            dx[i] = select(value * {{SLOPE}}, value, y[i] >= 0.0);
//: else
            y[i] = select(value * {{SLOPE}}, value, value >= 0.0);
//: end
        }
    }
//: end
}
