// net_filter: the edge-aware filter of planes, or with TRANSPOSED what leads a gradient back through it.
//
//   along a line: f[i] = r[i] + e[i] f[i-1],  g[i] = e[i+1] (r[i+1] + g[i+1]),
//                 r'[i] = share[i] (f[i] + g[i])
//   TRANSPOSED: r is multiplied by its share first, not last
//
// Rows, then columns, ROUNDS times; TRANSPOSED in the opposite order. One workgroup a plane, one invocation a
// row or a column of it at a time, from both ends.
//
// Bindings
//   change   [PLANES, H, W]
//   weights  [PLANES / CHANNELS, 4, H, W]: what `net_edges` writes
//   sums     [PLANES, H, W]: f, scratch
//   y        [PLANES, H, W]
// Template: WG, PLANES, CHANNELS, H, W, AREA, ROUNDS, TRANSPOSED.

@group(0) @binding({{CHANGE}}) var<storage, read_write> change: array<f32>;
@group(0) @binding({{WEIGHTS}}) var<storage, read_write> weights: array<f32>;
@group(0) @binding({{SUMS}}) var<storage, read_write> sums: array<f32>;
@group(0) @binding({{Y}}) var<storage, read_write> y: array<f32>;

/// Along the line of a plane that begins at `start`; `decays` is where the plane's decays along such lines
/// begin.
fn walk(plane: u32, decays: u32, start: u32, stride: u32, length: u32, is_first: bool) {
    var above = 0.0;
    for (var k = 0u; k < length; k++) {
        let pixel = start + k * stride;
        let at = plane + pixel;
        var value = 0.0;
        if (is_first) {
            value = change[at];
        } else {
            value = y[at];
        }
//: if TRANSPOSED
        value *= weights[decays + 2u * {{AREA}}u + pixel];
//: end
        above = fma(weights[decays + pixel], above, value);
        y[at] = value;
        sums[at] = above;
    }
    var below = 0.0;
    for (var k = length; k > 0u; k--) {
        let pixel = start + (k - 1u) * stride;
        let at = plane + pixel;
        let total = sums[at] + below;
        below = weights[decays + pixel] * (y[at] + below);
//: if TRANSPOSED
        y[at] = total;
//: else
        y[at] = total * weights[decays + 2u * {{AREA}}u + pixel];
//: end
    }
}

fn along_rows(plane: u32, decays: u32, lane: u32, is_first: bool) {
    for (var line = lane; line < {{H}}u; line += {{WG}}u) {
        walk(plane, decays, line * {{W}}u, 1u, {{W}}u, is_first);
    }
}

fn along_columns(plane: u32, decays: u32, lane: u32, is_first: bool) {
    for (var line = lane; line < {{W}}u; line += {{WG}}u) {
        walk(plane, decays + {{AREA}}u, line, {{W}}u, {{H}}u, is_first);
    }
}

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = group.y * groups.x + group.x;
    if (number >= {{PLANES}}u) {
        return;
    }
    let plane = number * {{AREA}}u;
    let decays = number / {{CHANNELS}}u * 4u * {{AREA}}u;
    for (var round = 0u; round < {{ROUNDS}}u; round++) {
//: if TRANSPOSED
        along_columns(plane, decays, lane, round == 0u);
        storageBarrier();
        along_rows(plane, decays, lane, false);
//: else
        along_rows(plane, decays, lane, round == 0u);
        storageBarrier();
        along_columns(plane, decays, lane, false);
//: end
        storageBarrier();
    }
}
