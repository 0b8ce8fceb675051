// net_figures: figures of a discriminator's step.
//
//   y[k] = mean of losses[k N .. k N + N],                       k < 3: real, fake, mixed pictures
//   y[3 + k] = mean over pictures k N .. k N + N and patches of 1 - softmax(emissions)[label 0],  k < 2
//
// One workgroup a figure: every WG-th value from its own on, an invocation at a time, then as a tree.
//
// Bindings
//   losses     [3N]
//   emissions  [3N, LABELS, AREA]
//   y          [5]
// Template: WG, HALF, N, LABELS, AREA, LOSS_FACTOR, PROB_FACTOR.

@group(0) @binding({{LOSSES}}) var<storage, read_write> losses: array<f32>;
@group(0) @binding({{EMISSIONS}}) var<storage, read_write> emissions: array<f32>;
@group(0) @binding({{Y}}) var<storage, read_write> y: array<f32>;

var<workgroup> lanes: array<f32, {{WG}}>;

/// The share of all labels but the first, at a cell of a picture.
fn real_probability(picture: u32, cell: u32) -> f32 {
    let start = picture * {{LABELS}} * {{AREA}} + cell;
    let fake = emissions[start];
    var top = fake;
    for (var l = 1u; l < {{LABELS}}; l++) {
        top = max(top, emissions[start + l * {{AREA}}]);
    }
    var real = 0.0;
    for (var l = 1u; l < {{LABELS}}; l++) {
        real += exp(emissions[start + l * {{AREA}}] - top);
    }
    return real / (real + exp(fake - top));
}

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var sum = 0.0;
    var factor = {{LOSS_FACTOR}};
    if (group.x < 3u) {
        for (var i = lane; i < {{N}}; i += {{WG}}u) {
            sum += losses[group.x * {{N}} + i];
        }
    } else {
        factor = {{PROB_FACTOR}};
        for (var i = lane; i < {{N}} * {{AREA}}; i += {{WG}}u) {
            sum += real_probability((group.x - 3u) * {{N}} + i / {{AREA}}, i % {{AREA}});
        }
    }
    lanes[lane] = sum;
    for (var half = {{HALF}}u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) {
            lanes[lane] += lanes[lane + half];
        }
    }
    if (lane == 0u) {
        y[group.x] = lanes[0] * factor;
    }
}
