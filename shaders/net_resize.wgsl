// net_resize: sums of 2x2 patches times FACTOR, or with WIDEN each value times FACTOR as a 2x2 patch, which
// is the transpose.
//
//   y[i, j] = FACTOR (x[2i, 2j] + x[2i, 2j + 1] + x[2i + 1, 2j] + x[2i + 1, 2j + 1])
//   WIDEN: y[2i + u, 2j + v] = FACTOR x[i, j], on top of `base` where ADDED
//
// One invocation a patch. Planes of pictures lie end to end: W is the width of the smaller picture, SIZE the
// number of patches.
//
// Bindings
//   x     [2h, 2W], or [h, W] where WIDEN
//   base  [2h, 2W] where ADDED
//   y     [h, W], or [2h, 2W] where WIDEN
// Template: WG, W, SIZE, FACTOR, WIDEN, ADDED.

@group(0) @binding({{X}}) var<storage, read_write> x: array<f32>;
//: if ADDED
@group(0) @binding({{BASE}}) var<storage, read_write> base: array<f32>;
//: end
@group(0) @binding({{Y}}) var<storage, read_write> y: array<f32>;

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * {{WG}}u + lane;
    if (i >= {{SIZE}}u) {
        return;
    }
    let corner = i / {{W}}u * 4u * {{W}}u + i % {{W}}u * 2u;
    let below = corner + 2u * {{W}}u;
//: if WIDEN
    let value = x[i] * {{FACTOR}};
//: if ADDED
    y[corner] = base[corner] + value;
    y[corner + 1u] = base[corner + 1u] + value;
    y[below] = base[below] + value;
    y[below + 1u] = base[below + 1u] + value;
//: else
    y[corner] = value;
    y[corner + 1u] = value;
    y[below] = value;
    y[below + 1u] = value;
//: end
//: else
    y[i] = ((x[corner] + x[corner + 1u]) + (x[below] + x[below + 1u])) * {{FACTOR}};
//: end
}
