// crf_image: loss and gradient of a small picture's rows and columns, one workgroup per picture, in one
// dispatch.
//
// The picture's emissions are read and exponentiated once, for rows and columns alike, and stay in workgroup
// memory with the forward vectors of both: compulsory traffic only. The recursions are those of crf_chain;
// half of the lanes take a row each, the other half a column each, at the same time. Sums over chains are
// taken here, in a fixed order, so nothing is left to finish.
//
// Bindings (group 0; flags decide which exist, the launch code numbers them)
//   emissions   [b, l, h, w] by strides, f32, or f16 two to a word where HALF
//   potentials  [2, l * l]: transitions of rows, then of columns
//   labels      [b, h, w] by strides, i32          where LABELS
//   gradient    [b, l, h, w], f32                  where GRADIENT
//   tables      [2, b, l * l]                      where GRADIENT
//   values      [b]
//   params      one Params
// Template: L, L2 = L * L, TABLES2 = 2 L2, WG, HALF_WG = WG / 2, SIZE = l * h * (w + 1), SIZE2 = 2 SIZE,
//   GRADIENT, LABELS, GOLD, HELD, HALF. A row's stride is one more than its length: neighbouring rows lie in
//   different banks.

struct Params {
    pictures: u32,
    h: u32,
    w: u32,
    e_b: u32,            // strides in elements
    e_l: u32,
    e_y: u32,
    e_x: u32,
    y_b: u32,
    y_y: u32,
    y_x: u32,
    unknown: i32,
    scale: f32,
    not_a_number: f32,   // WGSL has no literal for one
};

//: include emissions
@group(0) @binding({{POTENTIALS}}) var<storage, read_write> potentials: array<f32>;
//: if LABELS
@group(0) @binding({{LABELS_AT}}) var<storage, read_write> labels: array<i32>;
//: end
//: if GRADIENT
@group(0) @binding({{GRADIENT_AT}}) var<storage, read_write> gradient: array<f32>;
@group(0) @binding({{TABLES_AT}}) var<storage, read_write> tables: array<f32>;
//: end
@group(0) @binding({{VALUES}}) var<storage, read_write> values: array<f32>;
@group(0) @binding({{PARAMS}}) var<storage, read_write> params: Params;

//: include numbers

var<workgroup> x: array<f32, {{SIZE}}>;          // [l, h, w + 1]; later pair sums, [chain, l]
//: if GRADIENT
var<workgroup> kept: array<f32, {{SIZE2}}>;      // forward vectors, then marginals, of rows and of columns
//: end
var<workgroup> m: array<f32, {{TABLES2}}>;
var<workgroup> partial: array<f32, {{WG}}>;
//: if GOLD
var<workgroup> counts: array<atomic<u32>, {{TABLES2}}>;
//: end

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    // A workgroup beyond the last picture computes the last one and writes nothing, but meets every barrier.
    let id = group.y * groups.x + group.x;
    let live = id < params.pictures;
    let picture = min(id, params.pictures - 1u);
    let h = params.h;
    let w = params.w;
    let pitch = w + 1u;
    let plane = h * pitch;
    let scale = params.scale;
    let is_row = lane < {{HALF_WG}}u;
    let d = select(1u, 0u, is_row);
    let potentials_at = d * {{L2}}u;

    // Each half of the workgroup prepares its direction's transitions.
    var top = potentials[potentials_at];
    for (var i = 1u; i < {{L2}}u; i++) {
        top = max(top, potentials[potentials_at + i]);
    }
    for (var i = lane % {{HALF_WG}}u; i < {{L2}}u; i += {{HALF_WG}}u) {
        let a = potentials[potentials_at + i];
        m[potentials_at + i] = select(scaled(a - top), 0.0, a <= FORBIDDEN);
//: if GOLD
        atomicStore(&counts[potentials_at + i], 0u);
//: end
    }
    workgroupBarrier();

    // One position per lane: x, and what the position adds to the value, once for each direction.
    var total = 0.0;
    for (var at = lane; at < h * w; at += {{WG}}u) {
        let row = at / w;
        let column = at % w;
        let here = row * pitch + column;
        let e_at = picture * params.e_b + row * params.e_y + column * params.e_x;
//: for k in 0..L
        let e{{k}} = emission(e_at + {{k}}u * params.e_l);
//: end
        var peak = e0;
//: for k in 1..L
        peak = max(peak, e{{k}});
//: end
//: if LABELS
        let y_at = picture * params.y_b + row * params.y_y + column * params.y_x;
        let y = labels[y_at];
        let known = y >= 0 && y < {{L}};
//: end
//: if GOLD
        var gold = params.not_a_number;
//: for k in 0..L
        gold = select(gold, e{{k}}, y == {{k}});
//: end
        total += 2.0 * (peak - gold);
        if (known && column + 1u < w) {
            let next = labels[y_at + params.y_x];
            if (next >= 0 && next < {{L}}) {
                atomicAdd(&counts[u32(y) * {{L}}u + u32(next)], 1u);
            }
        }
        if (known && row + 1u < h) {
            let next = labels[y_at + params.y_y];
            if (next >= 0 && next < {{L}}) {
                atomicAdd(&counts[{{L2}}u + u32(y) * {{L}}u + u32(next)], 1u);
            }
        }
//: end
//: if HELD
        let any = y == params.unknown;
        var held = -3.4e38;
//: for k in 0..L
        held = select(held, max(held, e{{k}}), any || y == {{k}});
//: end
        total += 2.0 * select(params.not_a_number, held - peak, any || known);
        peak = held;
//: end
//: for k in 0..L
//: if HELD
        x[{{k}}u * plane + here] = select(0.0, scaled(e{{k}} - peak), any || y == {{k}});
//: else
        x[{{k}}u * plane + here] = scaled(e{{k}} - peak);
//: end
//: end
    }
    workgroupBarrier();

    // One chain per lane.
    let chain = lane % {{HALF_WG}}u;
    let works = chain < select(w, h, is_row);
    let length = select(0u, select(h, w, is_row), works);
    let start = chain * select(1u, pitch, is_row);
    let step = select(pitch, 1u, is_row);
//: for k in 0..L
    var w{{k}} = 0.0;
//: end
    var block = 0.0;
    for (var t = 0u; t < length; t++) {
        let at = start + t * step;
//: for j in 0..L
        var q{{j}} = x[{{j}}u * plane + at];
        var s{{j}} = 0.0;
//: for i in 0..L
        s{{j}} += w{{i}} * m[potentials_at + {{i}}u * {{L}}u + {{j}}u];
//: end
        q{{j}} *= select(s{{j}}, 1.0, t == 0u);
//: end
        var z = q0;
//: for k in 1..L
        z += q{{k}};
//: end
        let inverse = 1.0 / z;
//: for k in 0..L
        w{{k}} = q{{k}} * inverse;
//: if GRADIENT
        kept[d * {{SIZE}}u + {{k}}u * plane + at] = w{{k}};
//: end
//: end
        block += log(z);
        let flush = t % BLOCK == BLOCK - 1u;
        total += select(0.0, block, flush);
        block = select(block, 0.0, flush);
    }
    total += block;
//: if GRADIENT
//: for i in 0..L
    var v{{i}} = 0.0;
//: for j in 0..L
    var p{{i}}_{{j}} = 0.0;
//: end
//: end
    for (var back = 0u; back < length; back++) {
        let at = start + (length - 1u - back) * step;
        let last = back == 0u;
        var zz = 0.0;
        var sum_n = 0.0;
//: for i in 0..L
        var n{{i}} = 0.0;
//: for j in 0..L
        n{{i}} += m[potentials_at + {{i}}u * {{L}}u + {{j}}u] * v{{j}};
//: end
        n{{i}} = select(n{{i}}, 1.0, last);
        let a{{i}} = kept[d * {{SIZE}}u + {{i}}u * plane + at];
        let joint{{i}} = a{{i}} * n{{i}};
        zz += joint{{i}};
        sum_n += n{{i}};
//: end
        let inverse = 1.0 / zz;
        let norm = 1.0 / sum_n;
        // v is zero at the last position: no pair begins there.
//: for i in 0..L
        let c{{i}} = a{{i}} * inverse;
//: for j in 0..L
        p{{i}}_{{j}} += c{{i}} * v{{j}};
//: end
//: end
//: for k in 0..L
        kept[d * {{SIZE}}u + {{k}}u * plane + at] = joint{{k}} * inverse;
        v{{k}} = x[{{k}}u * plane + at] * n{{k}} * norm;
//: end
    }
    workgroupBarrier();

    // One position per lane again: the gradient, written once.
    for (var at = lane; at < h * w; at += {{WG}}u) {
        let row = at / w;
        let column = at % w;
        let here = row * pitch + column;
//: if GOLD
        let y = labels[picture * params.y_b + row * params.y_y + column * params.y_x];
//: end
//: for k in 0..L
        {
//: if GOLD
            let gold = select(0.0, 1.0, y == {{k}});
//: else
            let gold = 0.0;
//: end
            let u = (kept[{{k}}u * plane + here] - gold) + (kept[{{SIZE}}u + {{k}}u * plane + here] - gold);
            if (live) {
                gradient[(picture * {{L}}u + {{k}}u) * h * w + at] = u * scale;
            }
        }
//: end
    }

    // Pair sums, one from-label at a time: each chain's row into x, then one entry per lane, chains in order.
    let slot = select(h + chain, chain, is_row);
//: for i in 0..L
    workgroupBarrier();
    if (works) {
//: for j in 0..L
        x[slot * {{L}}u + {{j}}u] = p{{i}}_{{j}} * m[potentials_at + {{i}}u * {{L}}u + {{j}}u];
//: end
    }
    workgroupBarrier();
    for (var entry = chain; entry < {{L}}u; entry += {{HALF_WG}}u) {
        let first = select(h, 0u, is_row);
        let stop = first + select(w, h, is_row);
        var sum = 0.0;
        for (var c = first; c < stop; c++) {
            sum += x[c * {{L}}u + entry];
        }
//: if GOLD
        sum -= f32(atomicLoad(&counts[potentials_at + {{i}}u * {{L}}u + entry]));
//: end
        if (live) {
            tables[(d * params.pictures + picture) * {{L2}}u + {{i}}u * {{L}}u + entry] = sum * scale;
        }
    }
//: end
//: end

//: if GOLD
    // Gold transitions; each half of the workgroup has its own direction's.
    for (var i = chain; i < {{L2}}u; i += {{HALF_WG}}u) {
        let count = atomicLoad(&counts[potentials_at + i]);
        total += select(0.0, f32(count) * (top - potentials[potentials_at + i]), count > 0u);
    }
//: end
    partial[lane] = total;
    workgroupBarrier();
    if (lane == 0u && live) {
        var value = 0.0;
        for (var i = 0u; i < {{WG}}u; i++) {
            value += partial[i];
        }
        values[picture] = value * scale;
    }
}
