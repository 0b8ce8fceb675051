// net_conv: a convolution that keeps height and width, 3x3 or 1x1, border of zeros, NCHW.
//
//   y[b, o, i, j] = leaky(bias[o] + sum_(c, u, v) w[o, c, u, v] x[b, c, i + u - K/2, j + v - K/2])
//
// TURNED computes the gradient by the input instead: x is dy, the roles of the channels are swapped and the
// taps run backwards.
//
// What stands in front of a convolution happens where it reads x: FROM_SLOPE is that of a leaky ReLU,
// FROM_DOUBLED takes each value of x as a 2x2 patch, FROM_UNSHUFFLED each 2x2 patch as four channels. The
// gradient is that by what was read: TO_LEAKY times the derivative of the leaky ReLU of `read`, of slope
// TO_SLOPE, TO_UNSHUFFLED as 2x2 patches. A slope of 1 leaves a leaky ReLU out; slopes stand beside the text,
// so that layers with and without one share a kernel.
//
// One workgroup computes TY rows of PX pixels of one picture in OUTS output channels. It walks the input
// channels in pieces of CHUNK, which lie in workgroup memory with their border and their weights. An
// invocation keeps PX pixels of one row in 4 * QUADS output channels in registers: 3 * PX * 4 * QUADS
// multiply-adds for each row of taps, from PX + 2 pixels and 12 * QUADS weights. Small pictures leave too few
// tiles to fill a device: there SLICES groups of invocations share the channels of a piece, and their sums
// are added as a tree, always in the same order.
//
// Workgroups: (tiles of a picture, blocks of output channels, pictures).
//
// Bindings
//   x          [b, INPUTS, H, W]; [b, INPUTS, H/2, W/2] where FROM_DOUBLED, [b, INPUTS/4, 2H, 2W] where
//              FROM_UNSHUFFLED
//   weight     [OUTPUTS, INPUTS, K, K]; where TURNED [INPUTS, OUTPUTS, K, K]
//   bias       [OUTPUTS]                  where BIASED
//   base       [b, OUTPUTS, H, W]         where ADDED: added last
//   read       as y                       where TO_LEAKY
//   y          [b, OUTPUTS, H, W]; [b, OUTPUTS/4, 2H, 2W] where TO_UNSHUFFLED
// Template: WG, K, TAPS, HALO, INPUTS, OUTPUTS, H, W, TY, PX, ROWS, COLUMNS, TILES_X, OUTS, OUT_QUADS,
// QUADS, CHUNK, SLICES, HALF, SPOTS, TILE, WEIGHTS, SUMS, SUMS_EACH, SLOPE, BIASED, ADDED, TURNED, SLICED,
// FROM_SLOPE, FROM_DOUBLED, FROM_UNSHUFFLED, TO_LEAKY, TO_SLOPE, TO_UNSHUFFLED, STEP.

@group(0) @binding({{X}}) var<storage, read_write> x: array<f32>;
@group(0) @binding({{WEIGHT}}) var<storage, read_write> weight: array<f32>;
//: if BIASED
@group(0) @binding({{BIAS}}) var<storage, read_write> bias: array<f32>;
//: end
//: if ADDED
@group(0) @binding({{BASE}}) var<storage, read_write> base: array<f32>;
//: end
//: if TO_LEAKY
@group(0) @binding({{READ}}) var<storage, read_write> read: array<f32>;
//: end
@group(0) @binding({{Y}}) var<storage, read_write> y: array<f32>;

var<workgroup> tile: array<f32, {{TILE}}>;             // [CHUNK, ROWS, COLUMNS]
var<workgroup> weights: array<vec4<f32>, {{WEIGHTS}}>; // [CHUNK, TAPS, OUTS / 4]
//: if SLICED
var<workgroup> sums: array<vec4<f32>, {{SUMS}}>;       // [SLICES / 2, SPOTS, QUADS * PX]
//: end

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let top = group.x / {{TILES_X}} * {{TY}}u;
    let left = group.x % {{TILES_X}} * {{PX}}u;
    let first_out = group.y * {{OUTS}}u;
    let spot = lane % {{SPOTS}}u;
    let slice = lane / {{SPOTS}}u;
    let row = spot % {{TY}}u;
    let out_lane = spot / {{TY}}u;
//: for q in 0..QUADS
//: for p in 0..PX
    var a{{q}}_{{p}} = vec4<f32>();
//: end
//: end

    for (var first = 0u; first < {{INPUTS}}; first += {{CHUNK}}u) {
        workgroupBarrier();
        for (var i = lane; i < {{TILE}}u; i += {{WG}}u) {
            let channel = first + i / {{ROWS}}u / {{COLUMNS}}u;
            let line = i32(top + i / {{COLUMNS}}u % {{ROWS}}u) - {{HALO}};
            let column = i32(left + i % {{COLUMNS}}u) - {{HALO}};
            var value = 0.0;
            if (channel < {{INPUTS}} && line >= 0 && line < i32({{H}}) && column >= 0 && column < i32({{W}})) {
                let channels = group.z * {{INPUTS}} + channel;
//: if FROM_DOUBLED
                let at = (channels * ({{H}} / 2u) + u32(line) / 2u) * ({{W}} / 2u) + u32(column) / 2u;
//: else
//: if FROM_UNSHUFFLED
                let top_left = (channels / 4u * {{H}} + u32(line)) * 4u * {{W}} + 2u * u32(column);
                let at = top_left + channels % 4u / 2u * 2u * {{W}} + channels % 2u;
//: else
                let at = (channels * {{H}} + u32(line)) * {{W}} + u32(column);
//: end
//: end
                value = x[at];
                value = select(value * {{FROM_SLOPE}}, value, value >= 0.0);
            }
            tile[i] = value;
        }
        for (var i = lane; i < {{WEIGHTS}}u; i += {{WG}}u) {
            let tap = i % {{TAPS}}u;
            let c = i / {{TAPS}}u % {{CHUNK}}u;
            let quad = i / {{TAPS}}u / {{CHUNK}}u;
            let channel = first + c;
            var value = vec4<f32>();
            if (channel < {{INPUTS}}) {
//: for k in 0..4
                {
                    let o = first_out + 4u * quad + {{k}}u;
                    if (o < {{OUTPUTS}}) {
//: if TURNED
                        let at = (channel * {{OUTPUTS}} + o) * {{TAPS}}u + ({{TAPS}}u - 1u - tap);
//: else
                        let at = (o * {{INPUTS}} + channel) * {{TAPS}}u + tap;
//: end
                        value[{{k}}] = weight[at];
                    }
                }
//: end
            }
            weights[(c * {{TAPS}}u + tap) * {{OUT_QUADS}}u + quad] = value;
        }
        workgroupBarrier();
        for (var c = slice; c < {{CHUNK}}u; c += {{SLICES}}u) {
//: for u in 0..K
            {
                let line = (c * {{ROWS}}u + row + {{u}}u) * {{COLUMNS}}u;
//: for i in 0..COLUMNS
                let x{{i}} = tile[line + {{i}}u];
//: end
                let pixels = array<f32, {{COLUMNS}}>(
//: for i in 0..COLUMNS
                    x{{i}},
//: end
                );
                let at = (c * {{TAPS}}u + {{u}}u * {{K}}u) * {{OUT_QUADS}}u + out_lane * {{QUADS}}u;
//: for v in 0..K
//: for q in 0..QUADS
                let w{{v}}_{{q}} = weights[at + {{v}}u * {{OUT_QUADS}}u + {{q}}u];
//: for p in 0..PX
                a{{q}}_{{p}} = fma(vec4<f32>(pixels[{{p}} + {{v}}]), w{{v}}_{{q}}, a{{q}}_{{p}});
//: end
//: end
//: end
            }
//: end
        }
    }
//: if SLICED
    for (var half = {{HALF}}u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (slice >= half && slice < 2u * half) {
            let at = ((slice - half) * {{SPOTS}}u + spot) * {{SUMS_EACH}}u;
//: for q in 0..QUADS
//: for p in 0..PX
            sums[at + {{q}}u * {{PX}}u + {{p}}u] = a{{q}}_{{p}};
//: end
//: end
        }
        workgroupBarrier();
        if (slice < half) {
            let at = (slice * {{SPOTS}}u + spot) * {{SUMS_EACH}}u;
//: for q in 0..QUADS
//: for p in 0..PX
            a{{q}}_{{p}} += sums[at + {{q}}u * {{PX}}u + {{p}}u];
//: end
//: end
        }
    }
    if (slice > 0u) {
        return;
    }
//: end

    let line = top + row;
    if (line >= {{H}}) {
        return;
    }
//: for q in 0..QUADS
//: for k in 0..4
    {
        let o = first_out + (out_lane * {{QUADS}}u + {{q}}u) * 4u + {{k}}u;
        if (o < {{OUTPUTS}}) {
            let channels = group.z * {{OUTPUTS}} + o;
//: if TO_UNSHUFFLED
            let top_left = (channels / 4u * {{H}} + line) * 4u * {{W}} + 2u * left;
            let at = top_left + channels % 4u / 2u * 2u * {{W}} + channels % 2u;
//: else
            let at = (channels * {{H}} + line) * {{W}} + left;
//: end
//: if BIASED
            let start = bias[o];
//: else
            let start = 0.0;
//: end
//: for p in 0..PX
            if (left + {{p}}u < {{W}}) {
                var value = a{{q}}_{{p}}[{{k}}] + start;
                value = select(value * {{SLOPE}}, value, value >= 0.0);
//: if ADDED
                value += base[at + {{p}}u];
//: end
//: if TO_LEAKY
                value = select(value * {{TO_SLOPE}}, value, read[at + {{p}}u] >= 0.0);
//: end
                y[at + {{STEP}}u * {{p}}u] = value;
            }
//: end
        }
    }
//: end
//: end
}
