// net_error: the mean absolute difference of two arrays, and its gradient.
//
//   e = FACTOR sum_i |a[i] - b[i]|,  FACTOR = 1 / SIZE
//   BACKWARD: da[i] = FACTOR dy sign(a[i] - b[i])
//
// Forward one workgroup sums every GROUPS * WG-th element from its own on, an invocation at a time, then as a
// tree. Where one workgroup takes all (WHOLE) that is the result; otherwise FINISH adds the workgroups' sums
// up, as a tree. Backward one invocation an element.
//
// Bindings
//   a, b  [SIZE]     where not FINISH
//   sums  [GROUPS]   written where neither WHOLE nor BACKWARD, read by FINISH
//   e     [1]        where WHOLE or FINISH
//   dy    [1]        where BACKWARD
//   da    [SIZE]     where BACKWARD
// Template: WG, HALF, SIZE, GROUPS, FACTOR, WHOLE, FINISH, BACKWARD.

//: if FINISH
@group(0) @binding({{SUMS}}) var<storage, read_write> sums: array<f32>;
@group(0) @binding({{E}}) var<storage, read_write> e: array<f32>;
//: else
@group(0) @binding({{A}}) var<storage, read_write> a: array<f32>;
@group(0) @binding({{B}}) var<storage, read_write> b: array<f32>;
//: if BACKWARD
@group(0) @binding({{DY}}) var<storage, read_write> dy: array<f32>;
@group(0) @binding({{DA}}) var<storage, read_write> da: array<f32>;
//: else
//: if WHOLE
@group(0) @binding({{E}}) var<storage, read_write> e: array<f32>;
//: else
@group(0) @binding({{SUMS}}) var<storage, read_write> sums: array<f32>;
//: end
//: end
//: end

//: if BACKWARD
@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * {{WG}}u + lane;
    if (i >= {{SIZE}}) {
        return;
    }
    da[i] = sign(a[i] - b[i]) * (dy[0] * {{FACTOR}});
}
//: else
var<workgroup> lanes: array<f32, {{WG}}>;

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var sum = 0.0;
//: if FINISH
    if (lane < {{GROUPS}}) {
        sum = sums[lane];
    }
//: else
    for (var i = group.x * {{WG}}u + lane; i < {{SIZE}}; i += {{GROUPS}} * {{WG}}u) {
        sum += abs(a[i] - b[i]);
    }
//: end
    lanes[lane] = sum;
    for (var half = {{HALF}}u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) {
            lanes[lane] += lanes[lane + half];
        }
    }
    if (lane == 0u) {
//: if FINISH
        e[0] = lanes[0] * {{FACTOR}};
//: else
//: if WHOLE
        e[0] = lanes[0] * {{FACTOR}};
//: else
        sums[group.x] = lanes[0];
//: end
//: end
    }
}
//: end
