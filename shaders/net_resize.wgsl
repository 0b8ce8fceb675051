// net_resize: sums of 2x2 patches times FACTOR, or with WIDEN each value times FACTOR as a 2x2 patch, which
// is the transpose.
//
//   y[i, j] = FACTOR (x[2i, 2j] + x[2i, 2j + 1] + x[2i + 1, 2j] + x[2i + 1, 2j + 1])
//   WIDEN: y[2i + u, 2j + v] = FACTOR x[i, j], on top of `base` where ADDED
//
// Sums are those of leaky(x), whose SLOPE may be 1. LEAKY, with WIDEN alone: each value is times the
// derivative of the leaky ReLU of `read`.
//
// One invocation a patch. Planes of pictures lie end to end: W is the width of the smaller picture, SIZE the
// number of patches.
//
// Bindings
//   x     [2h, 2W], or [h, W] where WIDEN
//   base  [2h, 2W] where ADDED
//   read  [2h, 2W] where LEAKY
//   y     [h, W], or [2h, 2W] where WIDEN
// Template: WG, W, SIZE, FACTOR, SLOPE, WIDEN, ADDED, LEAKY.

@group(0) @binding({{X}}) var<storage, read_write> x: array<f32>;
//: if ADDED
@group(0) @binding({{BASE}}) var<storage, read_write> base: array<f32>;
//: end
//: if WIDEN
//: if LEAKY
@group(0) @binding({{READ}}) var<storage, read_write> read: array<f32>;
//: end
//: end
@group(0) @binding({{Y}}) var<storage, read_write> y: array<f32>;

fn leaky(value: f32, sign: f32) -> f32 {
    return select(value * {{SLOPE}}, value, sign >= 0.0);
}

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
    let corner = i / {{W}} * 4u * {{W}} + i % {{W}} * 2u;
    let below = corner + 2u * {{W}};
//: if WIDEN
    let value = x[i] * {{FACTOR}};
//: if ADDED
    y[corner] = base[corner] + value;
    y[corner + 1u] = base[corner + 1u] + value;
    y[below] = base[below] + value;
    y[below + 1u] = base[below + 1u] + value;
//: else
//: if LEAKY
    y[corner] = leaky(value, read[corner]);
    y[corner + 1u] = leaky(value, read[corner + 1u]);
    y[below] = leaky(value, read[below]);
    y[below + 1u] = leaky(value, read[below + 1u]);
//: else
    y[corner] = value;
    y[corner + 1u] = value;
    y[below] = value;
    y[below + 1u] = value;
//: end
//: end
//: else
    let a = x[corner];
    let b = x[corner + 1u];
    let c = x[below];
    let d = x[below + 1u];
    y[i] = ((leaky(a, a) + leaky(b, b)) + (leaky(c, c) + leaky(d, d))) * {{FACTOR}};
//: end
}
