// net_norm: group normalisation, affine map and leaky ReLU; with BACKWARD their gradients.
//
//   n = (x - mean) / sqrt(var + EPSILON) over the EACH channels of a group and all pixels
//   u = n * scale + shift
//   y = leaky(u)
//   backward, with g = dy * leaky'(u) and m(.) the mean over the group:
//   dshift = sum_pixels g,  dscale = sum_pixels g n
//   dx = (g scale - m(g scale) - n m(g scale n)) / sqrt(var + EPSILON), on top of `before` where ADDED
//
// Scale and shift come from rows [ROWS, CHANNELS], one row for all pictures or one per picture; or (CODED)
// from a style code and a matrix: scale = 1 + bias[c] + code W[:, c], shift = bias[CHANNELS + c] + code
// W[:, CHANNELS + c].
//
// One workgroup is a group of channels of a picture. LANES invocations share a channel; a channel's sums
// are added as a tree, the channels' in their order. Workgroups: (groups, pictures).
//
// Bindings
//   x        [b, CHANNELS, AREA]
//   scale    [ROWS, CHANNELS]              where not CODED
//   shift    [ROWS, CHANNELS]              where not CODED
//   code     [b, CODE]                     where CODED
//   weight   [CODE, 2 * CHANNELS]          where CODED
//   bias     [2 * CHANNELS]                where CODED
//   y        [b, CHANNELS, AREA]           where not BACKWARD
//   dy, dx   [b, CHANNELS, AREA]           where BACKWARD
//   before   [b, CHANNELS, AREA]           where ADDED
//   daffine  [b, 2 * CHANNELS]             where BACKWARD and not APART: dscale, then dshift
//   dscale, dshift  [b, CHANNELS]          where BACKWARD and APART
// Template: WG, CHANNELS, AREA, EACH, LANES, ACROSS, CODE, SLOPE, EPSILON, BY_ROW, CODED, BACKWARD,
// ADDED, APART.

@group(0) @binding({{X}}) var<storage, read_write> x: array<f32>;
//: if CODED
@group(0) @binding({{CODE_AT}}) var<storage, read_write> code: array<f32>;
@group(0) @binding({{WEIGHT}}) var<storage, read_write> weight: array<f32>;
@group(0) @binding({{BIAS}}) var<storage, read_write> bias: array<f32>;
//: else
@group(0) @binding({{SCALE}}) var<storage, read_write> scale: array<f32>;
@group(0) @binding({{SHIFT}}) var<storage, read_write> shift: array<f32>;
//: end
//: if BACKWARD
@group(0) @binding({{DY}}) var<storage, read_write> dy: array<f32>;
//: if ADDED
@group(0) @binding({{BEFORE}}) var<storage, read_write> before: array<f32>;
//: end
@group(0) @binding({{DX}}) var<storage, read_write> dx: array<f32>;
//: if APART
@group(0) @binding({{DSCALE}}) var<storage, read_write> dscale: array<f32>;
@group(0) @binding({{DSHIFT}}) var<storage, read_write> dshift: array<f32>;
//: else
@group(0) @binding({{DAFFINE}}) var<storage, read_write> daffine: array<f32>;
//: end
//: else
@group(0) @binding({{Y}}) var<storage, read_write> y: array<f32>;
//: end

/// Sums of the lanes that share a channel.
var<workgroup> lanes: array<vec2<f32>, {{WG}}>;
/// Sums of a channel.
var<workgroup> totals: array<vec2<f32>, {{EACH}}>;
/// Scale and shift of a channel.
var<workgroup> affine: array<vec2<f32>, {{EACH}}>;

/// Adds up what the lanes of a channel hold, as a tree.
fn add_lanes(lane: u32, channel: u32, value: vec2<f32>) {
    lanes[lane] = value;
    for (var half = {{LANES}}u / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane % {{LANES}}u < half) {
            lanes[lane] += lanes[lane + half];
        }
    }
    workgroupBarrier();
    if (lane % {{LANES}}u == 0u && channel < {{EACH}}u) {
        totals[channel] = lanes[lane];
    }
    workgroupBarrier();
}

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = group.x * {{EACH}}u;
    let start = (group.y * {{CHANNELS}} + first) * {{AREA}};
    let own = lane / {{LANES}}u;
    let place = lane % {{LANES}}u;

    for (var c = lane; c < {{EACH}}u; c += {{WG}}u) {
//: if CODED
        var both = vec2<f32>(1.0 + bias[first + c], bias[{{CHANNELS}} + first + c]);
        for (var s = 0u; s < {{CODE}}; s++) {
            let at = s * 2u * {{CHANNELS}} + first + c;
            both += code[group.y * {{CODE}} + s] * vec2<f32>(weight[at], weight[at + {{CHANNELS}}]);
        }
        affine[c] = both;
//: else
//: if BY_ROW
        let at = group.y * {{CHANNELS}} + first + c;
//: else
        let at = first + c;
//: end
        affine[c] = vec2<f32>(scale[at], shift[at]);
//: end
    }

    for (var block = 0u; block < {{EACH}}u; block += {{ACROSS}}u) {
        let channel = block + own;
        var sum = 0.0;
        if (channel < {{EACH}}u) {
            for (var p = place; p < {{AREA}}; p += {{LANES}}u) {
                sum += x[start + channel * {{AREA}} + p];
            }
        }
        add_lanes(lane, channel, vec2<f32>(sum, 0.0));
    }
    var mean = 0.0;
    for (var c = 0u; c < {{EACH}}u; c++) {
        mean += totals[c].x;
    }
    mean /= f32({{EACH}}u * {{AREA}});
    workgroupBarrier();

    for (var block = 0u; block < {{EACH}}u; block += {{ACROSS}}u) {
        let channel = block + own;
        var sum = 0.0;
        if (channel < {{EACH}}u) {
            for (var p = place; p < {{AREA}}; p += {{LANES}}u) {
                let d = x[start + channel * {{AREA}} + p] - mean;
                sum += d * d;
            }
        }
        add_lanes(lane, channel, vec2<f32>(sum, 0.0));
    }
    var variance = 0.0;
    for (var c = 0u; c < {{EACH}}u; c++) {
        variance += totals[c].x;
    }
    variance /= f32({{EACH}}u * {{AREA}});
    let factor = 1.0 / sqrt(variance + {{EPSILON}});
    workgroupBarrier();

//: if BACKWARD
    for (var block = 0u; block < {{EACH}}u; block += {{ACROSS}}u) {
        let channel = block + own;
        var sum = vec2<f32>();
        if (channel < {{EACH}}u) {
            let by = affine[channel];
            for (var p = place; p < {{AREA}}; p += {{LANES}}u) {
                let at = start + channel * {{AREA}} + p;
                let n = (x[at] - mean) * factor;
                let g = dy[at] * select({{SLOPE}}, 1.0, n * by.x + by.y >= 0.0);
                sum += vec2<f32>(g * n, g);
            }
        }
        add_lanes(lane, channel, sum);
    }
    // Means over the group of g scale n and of g scale.
    var means = vec2<f32>();
    for (var c = 0u; c < {{EACH}}u; c++) {
        means += totals[c] * affine[c].x;
    }
    means /= f32({{EACH}}u * {{AREA}});
    for (var c = lane; c < {{EACH}}u; c += {{WG}}u) {
//: if APART
        let at = group.y * {{CHANNELS}} + first + c;
        dscale[at] = totals[c].x;
        dshift[at] = totals[c].y;
//: else
        let at = group.y * 2u * {{CHANNELS}} + first + c;
        daffine[at] = totals[c].x;
        daffine[at + {{CHANNELS}}] = totals[c].y;
//: end
    }
    for (var channel = own; channel < {{EACH}}u; channel += {{ACROSS}}u) {
        let by = affine[channel];
        for (var p = place; p < {{AREA}}; p += {{LANES}}u) {
            let at = start + channel * {{AREA}} + p;
            let n = (x[at] - mean) * factor;
            let g = dy[at] * select({{SLOPE}}, 1.0, n * by.x + by.y >= 0.0);
            var value = (g * by.x - means.y - n * means.x) * factor;
//: if ADDED
            value += before[at];
//: end
            dx[at] = value;
        }
    }
//: else
    for (var channel = own; channel < {{EACH}}u; channel += {{ACROSS}}u) {
        let by = affine[channel];
        for (var p = place; p < {{AREA}}; p += {{LANES}}u) {
            let at = start + channel * {{AREA}} + p;
            let u = (x[at] - mean) * factor * by.x + by.y;
            y[at] = select(u * {{SLOPE}}, u, u >= 0.0);
        }
    }
//: end
}
