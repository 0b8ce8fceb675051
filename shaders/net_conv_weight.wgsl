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
// Workgroups: (blocks of output channels, blocks of input channels, runs).
//
// Bindings
//   x        [b, INPUTS, H, W]
//   dy       [b, OUTPUTS, H, W]
//   dw       [RUNS, OUTPUTS, INPUTS, K, K]
//   db       [RUNS, OUTPUTS]
// Template: WG, K, TAPS, HALO, INPUTS, OUTPUTS, H, W, TY, PIXELS, ROWS, COLUMNS, TILES_X, TILES, OUTS, INS,
// COUNT, OUT_QUADS, TILE, SLOPES, PIECES, RUNS.

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

    let last = (group.z + 1u) * {{PIECES}}u / {{RUNS}}u;
    for (var piece = group.z * {{PIECES}}u / {{RUNS}}u; piece < last; piece++) {
        let picture = piece / {{TILES}}u;
        let top = piece % {{TILES}}u / {{TILES_X}}u * {{TY}}u;
        let left = piece % {{TILES}}u % {{TILES_X}}u * 8u;
        workgroupBarrier();
        for (var i = lane; i < {{TILE}}u; i += {{WG}}u) {
            let channel = first_in + i / {{ROWS}}u / {{COLUMNS}}u;
            let line = i32(top + i / {{COLUMNS}}u % {{ROWS}}u) - {{HALO}};
            let column = i32(left + i % {{COLUMNS}}u) - {{HALO}};
            var value = 0.0;
            if (channel < {{INPUTS}}u && line >= 0 && line < {{H}} && column >= 0 && column < {{W}}) {
                let plane = (picture * {{INPUTS}}u + channel) * {{H}}u;
                value = x[(plane + u32(line)) * {{W}}u + u32(column)];
            }
            tile[i] = value;
        }
        for (var i = lane; i < {{SLOPES}}u; i += {{WG}}u) {
            let pixel = i % {{PIXELS}}u;
            let quad = i / {{PIXELS}}u;
            let line = top + pixel / 8u;
            let column = left + pixel % 8u;
            var value = vec4<f32>();
            if (line < {{H}}u && column < {{W}}u) {
//: for k in 0..4
                {
                    let o = first_out + 4u * quad + {{k}}u;
                    if (o < {{OUTPUTS}}u) {
                        value[{{k}}] = dy[((picture * {{OUTPUTS}}u + o) * {{H}}u + line) * {{W}}u + column];
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

    let first = group.z * {{OUTPUTS}}u;
//: for k in 0..4
    {
        let o = first_out + 4u * out_lane + {{k}}u;
        if (o < {{OUTPUTS}}u) {
//: for c in 0..COUNT
            {
                let channel = first_in + in_lane * {{COUNT}}u + {{c}}u;
                if (channel < {{INPUTS}}u) {
                    let at = ((first + o) * {{INPUTS}}u + channel) * {{TAPS}}u;
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
