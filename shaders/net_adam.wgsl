// net_adam: Adam's update of all weights of a network at once, their gradients clipped by their norm; or
// with SQUARES the sums that the norm is made of; or with BLEND a step of the weights' moving average.
//
//   SQUARES: sums[k] = sum of g[i]^2 over the share of workgroup k
//   BLEND: blended[i] = average[i] + SHARE (current[i] - average[i])
//   else, with norm = sqrt(sum_k sums[k]) and g' = g min(NORM_MAX / norm, 1) where CLIPPED, else g:
//   m[i] = BETA_1 m[i] + (1 - BETA_1) g'[i];  v[i] = BETA_2 v[i] + (1 - BETA_2) g'[i]^2
//   updated[i] = w[i] - RATE m[i] / (sqrt(v[i]) + EPSILON), times rates[i] where RATED
//
// With SQUARES one workgroup sums every GROUPS * WG-th element from its own on, an invocation at a time, then
// as a tree. Else every workgroup adds those sums up by itself, always as the same tree, and an invocation
// computes EACH elements. REST_1 and REST_2 are 1 - BETA_1 and 1 - BETA_2.
//
// Bindings
//   gradient  [SIZE]     where not BLEND
//   sums      [GROUPS]   where not BLEND
//   weights   [SIZE]     where neither SQUARES nor BLEND, as all below
//   first     [SIZE]     the moment m, in place
//   second    [SIZE]     the moment v, in place
//   rates     [SIZE]     where RATED
//   updated   [SIZE]
//   norm      [1]        before the gradients were clipped
//   average, current, blended  [SIZE]   where BLEND
// Template: WG, HALF, EACH, SIZE, GROUPS, SQUARES, BLEND, SHARE, BETA_1, BETA_2, REST_1, REST_2, RATE,
// EPSILON, NORM_MAX, CLIPPED, RATED.

//: if BLEND
@group(0) @binding({{AVERAGE}}) var<storage, read_write> average: array<f32>;
@group(0) @binding({{CURRENT}}) var<storage, read_write> current: array<f32>;
@group(0) @binding({{BLENDED}}) var<storage, read_write> blended: array<f32>;

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let begin = (group.y * groups.x + group.x) * {{EACH}}u * {{WG}}u + lane;
    for (var k = 0u; k < {{EACH}}u; k++) {
        let i = begin + k * {{WG}}u;
        if (i < {{SIZE}}) {
            let old = average[i];
            blended[i] = old + (current[i] - old) * {{SHARE}};
        }
    }
}
//: else
@group(0) @binding({{GRADIENT}}) var<storage, read_write> gradient: array<f32>;
@group(0) @binding({{SUMS}}) var<storage, read_write> sums: array<f32>;

var<workgroup> lanes: array<f32, {{WG}}>;

/// Adds up what the lanes hold, as a tree; the sum is that of lane 0.
fn add_lanes(lane: u32, value: f32) {
    lanes[lane] = value;
    for (var half = {{HALF}}u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) {
            lanes[lane] += lanes[lane + half];
        }
    }
    workgroupBarrier();
}

//: if SQUARES
@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var sum = 0.0;
    for (var i = group.x * {{WG}}u + lane; i < {{SIZE}}; i += {{GROUPS}} * {{WG}}u) {
        sum = fma(gradient[i], gradient[i], sum);
    }
    add_lanes(lane, sum);
    if (lane == 0u) {
        sums[group.x] = lanes[0];
    }
}
//: else
@group(0) @binding({{WEIGHTS}}) var<storage, read_write> weights: array<f32>;
@group(0) @binding({{FIRST}}) var<storage, read_write> first: array<f32>;
@group(0) @binding({{SECOND}}) var<storage, read_write> second: array<f32>;
//: if RATED
@group(0) @binding({{RATES}}) var<storage, read_write> rates: array<f32>;
//: end
@group(0) @binding({{UPDATED}}) var<storage, read_write> updated: array<f32>;
@group(0) @binding({{NORM}}) var<storage, read_write> norm: array<f32>;

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var share = 0.0;
    if (lane < {{GROUPS}}) {
        share = sums[lane];
    }
    add_lanes(lane, share);
    let whole = sqrt(lanes[0]);
    let begin = (group.y * groups.x + group.x) * {{EACH}}u * {{WG}}u + lane;
    if (begin == 0u) {
        norm[0] = whole;
    }
//: if CLIPPED
    // By a comparison: what is not a number stays that.
    let quotient = {{NORM_MAX}} / (whole + 1e-12);
    let factor = select(quotient, 1.0, quotient > 1.0);
//: end
    for (var k = 0u; k < {{EACH}}u; k++) {
        let i = begin + k * {{WG}}u;
        if (i < {{SIZE}}) {
            var g = gradient[i];
//: if CLIPPED
            g *= factor;
//: end
            let m = first[i] * {{BETA_1}} + g * {{REST_1}};
            let v = second[i] * {{BETA_2}} + g * g * {{REST_2}};
            var change = m / (sqrt(v) + {{EPSILON}});
//: if RATED
            change *= rates[i];
//: end
            first[i] = m;
            second[i] = v;
            updated[i] = weights[i] - change * {{RATE}};
        }
    }
}
//: end
//: end
