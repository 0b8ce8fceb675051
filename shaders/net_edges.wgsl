// net_edges: what the edge-aware filter weighs its neighbours by: a decay from each pixel to the one before
// it along its row and its column, and one over the sum of a pixel's weights along each.
//
//   e[i] = exp(-(COST + sum_c EDGE |x_i - x_(i-1)| + EDGE_FAKE |y_i - y_(i-1)|)), e[0] = 0
//   f[i] = 1 + e[i] f[i-1],  g[i] = e[i+1] (1 + g[i+1]),  share[i] = 1 / (f[i] + g[i])
//
// One invocation a row or a column of a picture, from both ends. LINES = H + W: rows, then columns.
//
// Bindings
//   guide    [BATCH, CHANNELS, H, W]
//   fake     [BATCH, CHANNELS, H, W]
//   weights  [BATCH, 4, H, W]: decays along rows, along columns, shares along rows, along columns
// Template: WG, SIZE (BATCH * LINES), LINES, CHANNELS, H, W, AREA, COST, EDGE, EDGE_FAKE.

@group(0) @binding({{GUIDE}}) var<storage, read_write> guide: array<f32>;
@group(0) @binding({{FAKE}}) var<storage, read_write> fake: array<f32>;
@group(0) @binding({{WEIGHTS}}) var<storage, read_write> weights: array<f32>;

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
    let picture = i / {{LINES}}u;
    let line = i % {{LINES}}u;
    let is_column = line >= {{H}}u;
    let start = select(line * {{W}}u, line - {{H}}u, is_column);
    let stride = select(1u, {{W}}u, is_column);
    let length = select({{W}}u, {{H}}u, is_column);
    let planes = picture * {{CHANNELS}}u * {{AREA}}u + start;
    let decays = (picture * 4u + select(0u, 1u, is_column)) * {{AREA}}u + start;
    let shares = decays + 2u * {{AREA}}u;

    var above = 1.0;
    weights[decays] = 0.0;
    weights[shares] = 1.0;
    for (var k = 1u; k < length; k++) {
        var cost = {{COST}};
        for (var c = 0u; c < {{CHANNELS}}u; c++) {
            let at = planes + c * {{AREA}}u + k * stride;
            cost += {{EDGE}} * abs(guide[at] - guide[at - stride]);
            cost += {{EDGE_FAKE}} * abs(fake[at] - fake[at - stride]);
        }
        let decay = exp(-cost);
        above = fma(decay, above, 1.0);
        weights[decays + k * stride] = decay;
        weights[shares + k * stride] = above;
    }
    var below = 0.0;
    for (var k = length; k > 0u; k--) {
        let at = (k - 1u) * stride;
        weights[shares + at] = 1.0 / (weights[shares + at] + below);
        below = weights[decays + at] * (1.0 + below);
    }
}
