// net_part: some of a tensor's planes along an axis, and their gradient, which is zero elsewhere; or with
// TWICE a tensor behind itself, and its gradient.
//
//   y[o, k, i] = x[o, START + k, i]
//   BACKWARD: dx[o, k, i] = dy[o, k - START, i] where START <= k < START + COUNT, else 0; on top of `before`
//   where ADDED
//   TWICE: y[i] = x[i % INNER], i < SIZE = 2 INNER
//   TWICE and BACKWARD: dx[i] = dy[i] + dy[INNER + i], i < SIZE = INNER
//
// One invocation an element of the result. Axes before and after the one that is cut lie together: OUTER and
// INNER.
//
// Bindings
//   x       [OUTER, ALL, INNER]
//   y       [OUTER, COUNT, INNER]
//   dy      [OUTER, COUNT, INNER]   in the place of x and y where BACKWARD, with dx
//   dx      [OUTER, ALL, INNER]
//   before  [OUTER, ALL, INNER]     where ADDED
// Template: WG, SIZE, ALL, COUNT, START, INNER, BACKWARD, ADDED, TWICE.

//: if BACKWARD
@group(0) @binding({{DY}}) var<storage, read_write> dy: array<f32>;
//: if ADDED
@group(0) @binding({{BEFORE}}) var<storage, read_write> before: array<f32>;
//: end
@group(0) @binding({{DX}}) var<storage, read_write> dx: array<f32>;
//: else
@group(0) @binding({{X}}) var<storage, read_write> x: array<f32>;
@group(0) @binding({{Y}}) var<storage, read_write> y: array<f32>;
//: end

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = (group.y * groups.x + group.x) * {{WG}}u + lane;
    if (at >= {{SIZE}}) {
        return;
    }
//: if TWICE
//: if BACKWARD
    dx[at] = dy[at] + dy[{{INNER}} + at];
//: else
    y[at] = x[at % {{INNER}}];
//: end
//: else
    let i = at % {{INNER}};
//: if BACKWARD
    let k = at / {{INNER}} % {{ALL}};
    let o = at / {{INNER}} / {{ALL}};
    var value = 0.0;
    if (k >= {{START}} && k < {{START}} + {{COUNT}}) {
        value = dy[(o * {{COUNT}} + k - {{START}}) * {{INNER}} + i];
    }
//: if ADDED
    value += before[at];
//: end
    dx[at] = value;
//: else
    let k = at / {{INNER}} % {{COUNT}};
    let o = at / {{INNER}} / {{COUNT}};
    y[at] = x[(o * {{ALL}} + {{START}} + k) * {{INNER}} + i];
//: end
//: end
}
