// crf_chain: loss and gradient of linear chains, one invocation a chain.
//
//   x_t[k] = exp(max(e_t[k] - max_k e_t[k], -41))      q_t[j] = x_t[j] * sum_i w_(t-1)[i] M[i][j]
//   z_t = sum_j q_t[j]                                 w_t = q_t / z_t
//   value = sum_t (max e_t - e_t[y_t]) + (top - A[y_(t-1)][y_t]) + log z_t
//   n_t[i] = sum_j M[i][j] v_(t+1)[j]                  zz_t = sum_i w_t[i] n_t[i]
//   U_t = w_t n_t / zz_t                               P_t[i][j] = w_t[i] M[i][j] v_(t+1)[j] / zz_t
//   v_t = x_t * n_t / sum n_t
//
// An invocation walks its chain forward, then backward; a workgroup shares only M = exp(max(A - top, -41)). Nothing in
// the two time loops waits for another lane. Marginals are normalised where they stand, so nothing drifts with length. Emissions
// are read once: going back, x_t comes from what was kept, x_t / z_t = w_t / (w_(t-1) M), up to a factor that v_t may have.
//
// Bindings (group 0; which of them exist follows from the flags, numbers from the launch code)
//   emissions   [b, l, h, w] by strides, f32, or f16 two to a word where HALF
//   potentials  [d, width]: transitions row by row, then start and end scores where BOUNDARIES
//   labels      [b, h, w] by strides, i32          where LABELS
//   lengths     [n] i32                            where RAGGED
//   forward     [t, l, columns] scratch            where GRADIENT or SEGMENTS
//   gradient    [b, l, h, w] by strides, f32       where GRADIENT
//   sums        [entries, columns]: pair sums and boundary marginals where GRADIENT, then the value
//   params      one Params
// Template: L labels, WG workgroup size, GRADIENT, LABELS, GOLD (all labels known), HELD (some held, the rest summed
//   over), FREE (nothing known), PARTITION (likewise; value is log Z in full), RAGGED, BOUNDARIES, HALF, ADD (gradient is
//   added to what is there), SEGMENTS (the third pass over long chains: an invocation takes SEGMENT positions of a chain between
//   the vectors that crf_scan left in `forward`; `chains` counts segments, `segments` of them a chain), WIDE (forward vectors four
//   labels to a word; not with SEGMENTS), LINED (labels lie side by side in fours: emissions and gradient are read and written so);
//   and for software adapters, which walk buffers and workgroup memory lane by lane but spill registers cheaply: REGISTERS (each
//   lane keeps M to itself; small L on GPUs too), TALLY (gold steps are counted here, not by crf_finish), MANY (an invocation
//   takes chain after chain, `columns` apart, into one column of sums).

struct Params {
    chains: u32,
    length: u32,
    inner: u32,          // chain c lies at (c / inner) * outer + (c % inner) * inner stride
    e_outer: u32,        // strides in elements
    e_inner: u32,
    e_step: u32,
    e_label: u32,
    y_outer: u32,
    y_inner: u32,
    y_step: u32,
    g_outer: u32,
    g_inner: u32,
    g_step: u32,
    g_label: u32,
    potentials_at: u32,  // this direction's first element
    sums_at: u32,        // this direction's first element
    unknown: i32,
    scale: f32,
    not_a_number: f32,   // WGSL has no literal for one
    segments: u32,       // of a chain
    edges_at: u32,       // in `forward`: vectors entering [l, chains], then leaving [l, chains], then operators
    columns: u32,        // of sums: as many as chains, or fewer where MANY
};

//: if HALF
@group(0) @binding({{EMISSIONS}}) var<storage, read_write> emissions: array<u32>;
//: else
//: if LINED
@group(0) @binding({{EMISSIONS}}) var<storage, read_write> emissions: array<vec4<f32>>;
//: else
@group(0) @binding({{EMISSIONS}}) var<storage, read_write> emissions: array<f32>;
//: end
//: end
@group(0) @binding({{POTENTIALS}}) var<storage, read_write> potentials: array<f32>;
//: if LABELS
@group(0) @binding({{LABELS_AT}}) var<storage, read_write> labels: array<i32>;
//: end
//: if RAGGED
@group(0) @binding({{LENGTHS}}) var<storage, read_write> lengths: array<i32>;
//: end
//: if KEEPS
//: if WIDE
@group(0) @binding({{FORWARD}}) var<storage, read_write> forward: array<vec4<f32>>;
//: else
@group(0) @binding({{FORWARD}}) var<storage, read_write> forward: array<f32>;
//: end
//: end
//: if GRADIENT
//: if LINED
@group(0) @binding({{GRADIENT_AT}}) var<storage, read_write> gradient: array<vec4<f32>>;
//: else
@group(0) @binding({{GRADIENT_AT}}) var<storage, read_write> gradient: array<f32>;
//: end
//: end
@group(0) @binding({{SUMS}}) var<storage, read_write> sums: array<f32>;
@group(0) @binding({{PARAMS}}) var<storage, read_write> params: Params;

const FORBIDDEN = -1.0e30;
const LOG_FLOOR = -41.0;
const BLOCK = 32u;

//: if REGISTERS
//: else
var<workgroup> m: array<f32, {{L2}}>;
//: end

// Not max(): a NaN must come out as one.
fn scaled(x: f32) -> f32 {
    return exp(select(x, LOG_FLOOR, x < LOG_FLOOR));
}

//: if LINED
//: else
fn emission(at: u32) -> f32 {
//: if HALF
    let pair = unpack2x16float(emissions[at >> 1u]);
    return select(pair.x, pair.y, (at & 1u) == 1u);
//: else
    return emissions[at];
//: end
}
//: end

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    // Read once, outside all loops: a software adapter reads a parameter lane by lane inside one.
    let potentials_at = params.potentials_at;
    let e_step = params.e_step;
//: if LINED
//: else
    let e_label = params.e_label;
//: end
//: if LABELS
    let y_step = params.y_step;
    let not_a_number = params.not_a_number;
//: end
//: if HELD
    let unknown = params.unknown;
//: end
//: if GRADIENT
    let scale = params.scale;
    let g_step = params.g_step;
//: if LINED
//: else
    let g_label = params.g_label;
//: end
//: end
//: if REGISTERS
//: for i in 0..L
//: for j in 0..L
    let score{{i}}_{{j}} = potentials[potentials_at + {{i}}u * {{L}}u + {{j}}u];
//: end
//: end
    var top = score0_0;
//: for i in 0..L
//: for j in 0..L
    top = max(top, score{{i}}_{{j}});
//: end
//: end
//: for i in 0..L
//: for j in 0..L
    let m{{i}}_{{j}} = select(scaled(score{{i}}_{{j}} - top), 0.0, score{{i}}_{{j}} <= FORBIDDEN);
//: end
//: end
//: else
    var top = potentials[potentials_at];
    for (var i = 1u; i < {{L2}}u; i++) {
        top = max(top, potentials[potentials_at + i]);
    }
    for (var i = lane; i < {{L2}}u; i += {{WG}}u) {
        let a = potentials[potentials_at + i];
        m[i] = select(scaled(a - top), 0.0, a <= FORBIDDEN);
    }
    workgroupBarrier();
//: end
//: if BOUNDARIES
//: for k in 0..L
    let start{{k}} = potentials[potentials_at + {{L2}}u + {{k}}u];
    let end{{k}} = potentials[potentials_at + {{L2}}u + {{L}}u + {{k}}u];
//: end
//: end

    let chains = params.chains;
    let columns = params.columns;
    let column = (group.y * groups.x + group.x) * {{WG}}u + lane;
    if (column >= columns) {
        return;
    }
    var total = 0.0;
//: if TALLY
//: for i in 0..L
//: for j in 0..L
    var steps{{i}}_{{j}} = 0.0;
//: end
//: end
//: end
//: if GRADIENT
//: for i in 0..L
//: for j in 0..L
    var p{{i}}_{{j}} = 0.0;
//: end
//: if BOUNDARIES
    var at_start{{i}} = 0.0;
    var at_end{{i}} = 0.0;
//: end
//: end
//: end
//: if MANY
    for (var chain = column; chain < chains; chain += columns) {
//: else
    let chain = column;
//: end
//: if SEGMENTS
    let line = chain / params.segments;
//: else
    let line = chain;
//: end
    let outer = line / params.inner;
    let inner = line % params.inner;
    let e_start = outer * params.e_outer + inner * params.e_inner;
//: if LABELS
    let y_start = outer * params.y_outer + inner * params.y_inner;
    var before = 0;
//: end
//: if RAGGED
    let length = u32(clamp(lengths[line], 0, i32(params.length)));
//: else
    let length = params.length;
//: end
    // This invocation's positions: first <= t < stop.
//: if SEGMENTS
    let first = min((chain % params.segments) * {{SEGMENT}}u, length);
    let stop = min(first + {{SEGMENT}}u, length);
//: if GOLD
    if (first > 0u && first < stop) {
        before = labels[y_start + (first - 1u) * y_step];
    }
//: end
//: for k in 0..L
    let enter{{k}} = forward[params.edges_at + {{k}}u * chains + chain];
//: if GRADIENT
    let leave{{k}} = forward[params.edges_at + ({{L}}u + {{k}}u) * chains + chain];
//: end
//: end
//: else
    let first = 0u;
    let stop = length;
//: end

    // Forward.
//: for k in 0..L
//: if SEGMENTS
    var w{{k}} = enter{{k}};
//: else
    var w{{k}} = 0.0;
//: end
//: end
//: for k in L..LP4
    let w{{k}} = 0.0;
//: end
    var block = 0.0; // flushed every BLOCK positions: a long f32 sum that does not drift
    for (var t = first; t < stop; t++) {
        let at = e_start + t * e_step;
//: if LINED
//: for q in 0..L4
        let line{{q}} = emissions[(at >> 2u) + {{q}}u];
        var e{{q.0}} = line{{q}}.x;
        var e{{q.1}} = line{{q}}.y;
        var e{{q.2}} = line{{q}}.z;
        var e{{q.3}} = line{{q}}.w;
//: end
//: else
//: for k in 0..L
        var e{{k}} = emission(at + {{k}}u * e_label);
//: end
//: end
//: if BOUNDARIES
        let begins = t == 0u;
        let ends = t + 1u == length;
//: for k in 0..L
        e{{k}} += select(0.0, start{{k}}, begins);
        e{{k}} += select(0.0, end{{k}}, ends);
//: end
//: end
        var peak = e0;
//: for k in 1..L
        peak = max(peak, e{{k}});
//: end
//: if GOLD
        let y = labels[y_start + t * y_step];
        let step_known = t > 0u && y >= 0 && y < {{L}} && before >= 0 && before < {{L}};
        var gold = not_a_number;
//: for k in 0..L
        gold = select(gold, e{{k}}, y == {{k}});
//: end
        var term = peak - gold;
//: if TALLY
        let step = select(-1, before * {{L}} + y, step_known);
//: for i in 0..L
//: for j in 0..L
        steps{{i}}_{{j}} += select(0.0, 1.0, step == {{i}} * {{L}} + {{j}});
//: end
//: end
//: else
        if (step_known) {
            term += top - potentials[potentials_at + u32(before) * {{L}}u + u32(y)];
        }
//: end
        before = y;
//: end
//: if HELD
        let y = labels[y_start + t * y_step];
        let any = y == unknown;
        var held = -3.4e38;
//: for k in 0..L
        held = select(held, max(held, e{{k}}), any || y == {{k}});
//: end
        var term = held - peak;
        term = select(not_a_number, term, any || (y >= 0 && y < {{L}}));
        peak = held;
//: end
//: if FREE
        var term = 0.0;
//: end
//: if PARTITION
        var term = peak + select(0.0, top, t > 0u);
//: end
//: for j in 0..L
        var q{{j}} = scaled(e{{j}} - peak);
//: if HELD
        q{{j}} = select(0.0, q{{j}}, any || y == {{j}});
//: end
        var s{{j}} = 0.0;
//: for i in 0..L
//: if REGISTERS
        s{{j}} += w{{i}} * m{{i}}_{{j}};
//: else
        s{{j}} += w{{i}} * m[{{i}} * {{L}} + {{j}}];
//: end
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
//: end
//: if GRADIENT
//: if WIDE
//: for q in 0..L4
        forward[(t * {{L4}}u + {{q}}u) * columns + column] = vec4<f32>(w{{q.0}}, w{{q.1}}, w{{q.2}}, w{{q.3}});
//: end
//: else
//: for k in 0..L
        forward[((t - first) * {{L}}u + {{k}}u) * columns + column] = w{{k}};
//: end
//: end
//: end
        block += term + log(z);
        let flush = t % BLOCK == BLOCK - 1u;
        total += select(0.0, block, flush);
        block = select(block, 0.0, flush);
    }
    total += block;

//: if GRADIENT
    // Backward: v is x * beta of the position after t, in any scale; w that of position t.
    let g_start = outer * params.g_outer + inner * params.g_inner;
//: for i in 0..L
    var v{{i}} = 0.0;
//: end
    for (var back = 0u; back < stop - first; back++) {
        let t = stop - 1u - back;
        let last = back == 0u;
        var zz = 0.0;
        var sum_n = 0.0;
//: for i in 0..L
        var n{{i}} = 0.0;
//: for j in 0..L
//: if REGISTERS
        n{{i}} += m{{i}}_{{j}} * v{{j}};
//: else
        n{{i}} += m[{{i}} * {{L}} + {{j}}] * v{{j}};
//: end
//: end
//: if SEGMENTS
        n{{i}} = select(n{{i}}, leave{{i}}, last);
//: else
        n{{i}} = select(n{{i}}, 1.0, last);
//: end
        let joint{{i}} = w{{i}} * n{{i}};
        zz += joint{{i}};
        sum_n += n{{i}};
//: end
        let inverse = 1.0 / zz;
        // v is zero at the last position: no pair begins there.
//: for i in 0..L
        let c{{i}} = w{{i}} * inverse;
//: for j in 0..L
        p{{i}}_{{j}} += c{{i}} * v{{j}};
//: end
//: end
//: if GOLD
        let y = labels[y_start + t * y_step];
//: end
        let g_at = g_start + t * g_step;
//: for k in 0..L
        var u{{k}} = joint{{k}} * inverse;
//: if GOLD
        u{{k}} -= select(0.0, 1.0, y == {{k}});
//: end
//: if LINED
//: else
//: if ADD
        gradient[g_at + {{k}}u * g_label] += u{{k}} * scale;
//: else
        gradient[g_at + {{k}}u * g_label] = u{{k}} * scale;
//: end
//: end
//: end
//: if LINED
//: for q in 0..L4
        gradient[(g_at >> 2u) + {{q}}u] = vec4<f32>(u{{q.0}}, u{{q.1}}, u{{q.2}}, u{{q.3}}) * scale;
//: end
//: end
//: if BOUNDARIES
//: for k in 0..L
        at_start{{k}} += select(0.0, u{{k}}, t == 0u);
        at_end{{k}} += select(0.0, u{{k}}, t + 1u == length);
//: end
//: end
        // The step before: its forward vector, and from both x of this position.
        let earlier = max(t, first + 1u) - 1u;
//: if WIDE
//: for q in 0..L4
        let kept{{q}} = forward[(earlier * {{L4}}u + {{q}}u) * columns + column];
        var b{{q.0}} = kept{{q}}.x;
        var b{{q.1}} = kept{{q}}.y;
        var b{{q.2}} = kept{{q}}.z;
        var b{{q.3}} = kept{{q}}.w;
//: end
//: else
//: for k in 0..L
        var b{{k}} = forward[((earlier - first) * {{L}}u + {{k}}u) * columns + column];
//: end
//: end
//: if SEGMENTS
//: for k in 0..L
        b{{k}} = select(b{{k}}, enter{{k}}, t == first);
//: end
//: end
        let norm = 1.0 / sum_n;
//: for j in 0..L
        var s{{j}} = 0.0;
//: for i in 0..L
//: if REGISTERS
        s{{j}} += b{{i}} * m{{i}}_{{j}};
//: else
        s{{j}} += b{{i}} * m[{{i}} * {{L}} + {{j}}];
//: end
//: end
        // No way leads to this label: no pair ends there.
        v{{j}} = select(w{{j}} * n{{j}} * norm / s{{j}}, 0.0, s{{j}} == 0.0);
//: end
//: for k in 0..L
        w{{k}} = b{{k}};
//: end
    }
//: if SEGMENTS
    // The pair across this segment's beginning, from the vector that entered it to the first position's v.
    if (first > 0u && first < stop) {
        var zz = 0.0;
//: for i in 0..L
        var reach{{i}} = 0.0;
//: for j in 0..L
//: if REGISTERS
        reach{{i}} += m{{i}}_{{j}} * v{{j}};
//: else
        reach{{i}} += m[{{i}} * {{L}} + {{j}}] * v{{j}};
//: end
//: end
        zz += enter{{i}} * reach{{i}};
//: end
        let inverse = 1.0 / zz;
//: for i in 0..L
//: for j in 0..L
        p{{i}}_{{j}} += enter{{i}} * v{{j}} * inverse;
//: end
//: end
    }
//: end
//: if RAGGED
    // Past the end nothing moves the loss.
//: if SEGMENTS
    let begin = max(stop, (chain % params.segments) * {{SEGMENT}}u);
    let end = min(params.length, (chain % params.segments) * {{SEGMENT}}u + {{SEGMENT}}u);
//: else
    let begin = length;
    let end = params.length;
//: end
    for (var t = begin; t < end; t++) {
        let g_at = g_start + t * g_step;
//: if LINED
//: for q in 0..L4
        gradient[(g_at >> 2u) + {{q}}u] = vec4<f32>(0.0);
//: end
//: else
//: for k in 0..L
//: if ADD
//: else
        gradient[g_at + {{k}}u * g_label] = 0.0;
//: end
//: end
//: end
    }
//: end
//: end
//: if MANY
    }
//: end
//: if GRADIENT
//: for i in 0..L
//: for j in 0..L
    {
//: if REGISTERS
        let pair = p{{i}}_{{j}} * m{{i}}_{{j}};
//: else
        let pair = p{{i}}_{{j}} * m[{{i}} * {{L}} + {{j}}];
//: end
        let entry = params.sums_at + ({{i}}u * {{L}}u + {{j}}u) * columns + column;
//: if TALLY
        sums[entry] = pair - steps{{i}}_{{j}};
//: else
        sums[entry] = pair;
//: end
    }
//: end
//: end
//: if BOUNDARIES
//: for k in 0..L
    sums[params.sums_at + ({{L2}}u + {{k}}u) * columns + column] = at_start{{k}};
    sums[params.sums_at + ({{L2}}u + {{L}}u + {{k}}u) * columns + column] = at_end{{k}};
//: end
//: end
//: if SEGMENTS
//: if GOLD
    // Gold steps into this segment's positions, in this invocation's own column.
    for (var t = max(first, 1u); t < stop; t++) {
        let i = labels[y_start + (t - 1u) * y_step];
        let j = labels[y_start + t * y_step];
        if (i >= 0 && i < {{L}} && j >= 0 && j < {{L}}) {
            sums[params.sums_at + (u32(i) * {{L}}u + u32(j)) * chains + chain] -= 1.0;
        }
    }
//: end
//: end
//: end
//: if TALLY
//: for i in 0..L
//: for j in 0..L
    total += select(0.0, steps{{i}}_{{j}} * (top - score{{i}}_{{j}}), steps{{i}}_{{j}} > 0.0);
//: end
//: end
//: end
    sums[params.sums_at + {{VALUE}}u * columns + column] = total;
}
