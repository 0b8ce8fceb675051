// net_conv_weight: the gradients of a convolution by its weights and its bias.
//
//   dw[o, c, u, v] = sum_(b, i, j) dy[b, o, i, j] x[b, c, i + u - K/2, j + v - K/2]
//   db[o]          = sum_(b, i, j) dy[b, o, i, j]
//
// One workgroup sums OUTS output channels by INS input channels over one of RUNS runs of pieces of pictures,
// TY rows of 8 pixels each, which lie in workgroup memory. An invocation keeps 4 output channels by COUNT
// input channels by all taps in registers. `net_conv_sum` or `net_gather` adds the runs up, in their order;
// a run that no piece falls to is zeros.
//
// FROM_SLOPE, FROM_DOUBLED and FROM_UNSHUFFLED: how x is read, as in `net_conv`.
//
// Workgroups: (blocks of output channels, blocks of input channels, runs).
//
// Bindings
//   x        [b, INPUTS, H, W]; [b, INPUTS, H/2, W/2] where FROM_DOUBLED, [b, INPUTS/4, 2H, 2W] where
//            FROM_UNSHUFFLED
//   dy       [b, OUTPUTS, H, W]
//   dw       [RUNS, OUTPUTS, INPUTS, K, K]
//   db       [RUNS, OUTPUTS]
// Template: WG, K, TAPS, HALO, INPUTS, OUTPUTS, H, W, TY, PIXELS, ROWS, COLUMNS, TILES_X, TILES, OUTS, INS,
// COUNT, OUT_QUADS, TILE, SLOPES, PIECES, RUNS, FROM_SLOPE, FROM_DOUBLED, FROM_UNSHUFFLED.

@group(0) @binding({{X}}) var<storage, read_write> x: array<f32>;
@group(0) @binding({{DY}}) var<storage, read_write> dy: array<f32>;
@group(0) @binding({{DW}}) var<storage, read_write> dw: array<f32>;
@group(0) @binding({{DB}}) var<storage, read_write> db: array<f32>;

var<workgroup> tile: array<f32, {{TILE}}>;           // [INS, ROWS, COLUMNS]
var<workgroup> slopes: array<vec4<f32>, {{SLOPES}}>; // [PIXELS, OUTS / 4]

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first_out = group.x * {{OUTS}}u;
    let first_in = group.y * {{INS}}u;
    let out_lane = lane % {{OUT_QUADS}}u;
    let in_lane = lane / {{OUT_QUADS}}u;
//: for c in 0..COUNT
//: for u in 0..K
//: for v in 0..K
    var a{{c}}_{{u}}_{{v}} = vec4<f32>();
//: end
//: end
//: end
    var bias = vec4<f32>();

    let last = (group.z + 1u) * {{PIECES}} / {{RUNS}};
    for (var piece = group.z * {{PIECES}} / {{RUNS}}; piece < last; piece++) {
        let picture = piece / {{TILES}};
        let top = piece % {{TILES}} / {{TILES_X}} * {{TY}}u;
        let left = piece % {{TILES}} % {{TILES_X}} * 8u;
        workgroupBarrier();
        for (var i = lane; i < {{TILE}}u; i += {{WG}}u) {
            let channel = first_in + i / {{ROWS}}u / {{COLUMNS}}u;
            let line = i32(top + i / {{COLUMNS}}u % {{ROWS}}u) - {{HALO}};
            let column = i32(left + i % {{COLUMNS}}u) - {{HALO}};
            var value = 0.0;
            if (channel < {{INPUTS}} && line >= 0 && line < i32({{H}}) && column >= 0 && column < i32({{W}})) {
                let channels = picture * {{INPUTS}} + channel;
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
        for (var i = lane; i < {{SLOPES}}u; i += {{WG}}u) {
            let pixel = i % {{PIXELS}}u;
            let quad = i / {{PIXELS}}u;
            let line = top + pixel / 8u;
            let column = left + pixel % 8u;
            var value = vec4<f32>();
            if (line < {{H}} && column < {{W}}) {
//: for k in 0..4
                {
                    let o = first_out + 4u * quad + {{k}}u;
                    if (o < {{OUTPUTS}}) {
                        value[{{k}}] = dy[((picture * {{OUTPUTS}} + o) * {{H}} + line) * {{W}} + column];
                    }
                }
//: end
            }
            slopes[pixel * {{OUT_QUADS}}u + quad] = value;
        }
        workgroupBarrier();
        for (var row = 0u; row < {{TY}}u; row++) {
            let at = row * 8u * {{OUT_QUADS}}u + out_lane;
//: for p in 0..8
            let d{{p}} = slopes[at + {{p}}u * {{OUT_QUADS}}u];
            bias += d{{p}};
//: end
//: for c in 0..COUNT
//: for u in 0..K
            {
                let line = ((in_lane * {{COUNT}}u + {{c}}u) * {{ROWS}}u + row + {{u}}u) * {{COLUMNS}}u;
                let pixels = array<f32, {{COLUMNS}}>(
//: for i in 0..COLUMNS
                    tile[line + {{i}}u],
//: end
                );
//: for v in 0..K
//: for p in 0..8
                a{{c}}_{{u}}_{{v}} = fma(vec4<f32>(pixels[{{p}} + {{v}}]), d{{p}}, a{{c}}_{{u}}_{{v}});
//: end
//: end
            }
//: end
//: end
        }
    }

    let first = group.z * {{OUTPUTS}};
//: for k in 0..4
    {
        let o = first_out + 4u * out_lane + {{k}}u;
        if (o < {{OUTPUTS}}) {
//: for c in 0..COUNT
            {
                let channel = first_in + in_lane * {{COUNT}}u + {{c}}u;
                if (channel < {{INPUTS}}) {
                    let at = ((first + o) * {{INPUTS}} + channel) * {{TAPS}}u;
//: for u in 0..K
//: for v in 0..K
                    dw[at + {{u}}u * {{K}}u + {{v}}u] = a{{c}}_{{u}}_{{v}}[{{k}}];
//: end
//: end
                }
            }
//: end
            if (group.y == 0u && in_lane == 0u) {
                db[first + o] = bias[{{k}}];
            }
        }
    }
//: end
}
