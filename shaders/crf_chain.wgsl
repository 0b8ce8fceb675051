// crf_chain: loss and gradient of linear chains, one invocation per chain.
//
//   x_t[k] = exp(max(e_t[k] - max_k e_t[k], -41))      q_t[j] = x_t[j] * sum_i w_(t-1)[i] M[i][j]
//   z_t = sum_j q_t[j]                                 w_t = q_t / z_t
//   value = sum_t (max e_t - e_t[y_t]) + (top - A[y_(t-1)][y_t]) + log z_t
//   n_t[i] = sum_j M[i][j] v_(t+1)[j]                  zz_t = sum_i w_t[i] n_t[i]
//   U_t = w_t n_t / zz_t                               P_t[i][j] = w_t[i] M[i][j] v_(t+1)[j] / zz_t
//   v_t = x_t * n_t / sum n_t
//
// An invocation walks its chain forward, then backward. A workgroup shares M = exp(max(A - top, -41)) and
// nothing else; no invocation waits for another inside the two loops over t. Each marginal is normalised at
// its own position, so errors do not grow with the length. Emissions are read once: on the way back x_t
// follows from the forward vectors, x_t / z_t = w_t / (w_(t-1) M), and v_t may have any scale.
//
// Bindings (group 0; flags decide which exist, the launch code numbers them)
//   emissions   [b, l, h, w] by strides, f32, or f16 two to a word where HALF
//   potentials  [d, width]: transitions row by row, then start and end scores where BOUNDARIES
//   labels      [b, h, w] by strides, i32          where LABELS
//   lengths     [n] i32                            where RAGGED
//   forward     [t, l, chains] scratch             where GRADIENT or SEGMENTS
//   gradient    [b, l, h, w] by strides, f32       where GRADIENT
//   sums        [entries, chains]: pair sums and boundary marginals where GRADIENT, then the value
//   params      one Params
// Template
//   L labels, L2 = L * L, L4 = ceil(L / 4), LP4 = 4 * L4, WG lanes, VALUE the value's entry of `sums`
//   GOLD: all labels known; HELD: some known, the others summed over; FREE: none known; PARTITION: none,
//     and the value is log Z in full; LABELS = GOLD or HELD
//   RAGGED, BOUNDARIES, HALF, GRADIENT, KEEPS = GRADIENT or SEGMENTS; ADD: the gradient is added to another's
//   FEW: at most four labels, M stays in registers; otherwise M lies in workgroup memory
//   VEC4: the labels of a position are contiguous; emissions and gradient move four at a time
//   VEC4_FORWARD: forward vectors likewise; not with SEGMENTS
//   SEGMENTS: the third pass over long chains. An invocation takes SEGMENT positions of a chain, between the
//     two vectors that crf_scan left in `forward`; `chains` counts segments, `segments` of them per chain

//: include params

//: if VEC4
@group(0) @binding({{EMISSIONS}}) var<storage, read_write> emissions: array<vec4<f32>>;
//: else
//: include emissions
//: end
@group(0) @binding({{POTENTIALS}}) var<storage, read_write> potentials: array<f32>;
//: if LABELS
@group(0) @binding({{LABELS_AT}}) var<storage, read_write> labels: array<i32>;
//: end
//: if RAGGED
@group(0) @binding({{LENGTHS}}) var<storage, read_write> lengths: array<i32>;
//: end
//: if KEEPS
@group(0) @binding({{FORWARD}}) var<storage, read_write> forward: array<{{FORWARD_TYPE}}>;
//: end
//: if GRADIENT
@group(0) @binding({{GRADIENT_AT}}) var<storage, read_write> gradient: array<{{GRADIENT_TYPE}}>;
//: end
@group(0) @binding({{SUMS}}) var<storage, read_write> sums: array<f32>;
@group(0) @binding({{PARAMS}}) var<storage, read_write> params: Params;

//: include numbers

//: if FEW
//: let M = m{{i}}_{{j}}
//: else
//: let M = m[{{i}} * {{L}} + {{j}}]
var<workgroup> m: array<f32, {{L2}}>;
//: end

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let potentials_at = params.potentials_at;
    let e_step = params.e_step;
    let e_label = params.e_label;
    let y_step = params.y_step;
    let g_step = params.g_step;
    let g_label = params.g_label;
    let unknown = params.unknown;
    let scale = params.scale;
    let not_a_number = params.not_a_number;

    // --- Transitions: M[i][j] is written M in braces below ---
//: if FEW
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

    // --- The chain, and what is summed along it ---
    let chains = params.chains;
    let chain = (group.y * groups.x + group.x) * {{WG}}u + lane;
    if (chain >= chains) {
        return;
    }
    var total = 0.0;
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

    // --- Forward: w becomes the normalised forward vector of t ---
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
//: if VEC4
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
        if (step_known) {
            term += top - potentials[potentials_at + u32(before) * {{L}}u + u32(y)];
        }
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
        s{{j}} += w{{i}} * {{M}};
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
//: if VEC4_FORWARD
//: for q in 0..L4
        forward[(t * {{L4}}u + {{q}}u) * chains + chain] = vec4<f32>(w{{q.0}}, w{{q.1}}, w{{q.2}}, w{{q.3}});
//: end
//: else
//: for k in 0..L
        forward[((t - first) * {{L}}u + {{k}}u) * chains + chain] = w{{k}};
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
    // --- Backward: v is x * beta of the position after t, in any scale; w the forward vector of t ---
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
        n{{i}} += {{M}} * v{{j}};
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
//: if VEC4
//: else
//: if ADD
        gradient[g_at + {{k}}u * g_label] += u{{k}} * scale;
//: else
        gradient[g_at + {{k}}u * g_label] = u{{k}} * scale;
//: end
//: end
//: end
//: if VEC4
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
        // b, the forward vector of t - 1; b and w give x_t, and so v of t.
        let earlier = max(t, first + 1u) - 1u;
//: if VEC4_FORWARD
//: for q in 0..L4
        let kept{{q}} = forward[(earlier * {{L4}}u + {{q}}u) * chains + chain];
        var b{{q.0}} = kept{{q}}.x;
        var b{{q.1}} = kept{{q}}.y;
        var b{{q.2}} = kept{{q}}.z;
        var b{{q.3}} = kept{{q}}.w;
//: end
//: else
//: for k in 0..L
        var b{{k}} = forward[((earlier - first) * {{L}}u + {{k}}u) * chains + chain];
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
        s{{j}} += b{{i}} * {{M}};
//: end
        // Nothing leads to this label: no pair ends there.
        v{{j}} = select(w{{j}} * n{{j}} * norm / s{{j}}, 0.0, s{{j}} == 0.0);
//: end
//: for k in 0..L
        w{{k}} = b{{k}};
//: end
    }
//: if SEGMENTS
    // The pair across the segment's beginning: from the vector that entered it to v of its first position.
    if (first > 0u && first < stop) {
        var zz = 0.0;
//: for i in 0..L
        var reach{{i}} = 0.0;
//: for j in 0..L
        reach{{i}} += {{M}} * v{{j}};
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
    // Positions past the end have no gradient.
//: if SEGMENTS
    let begin = max(stop, (chain % params.segments) * {{SEGMENT}}u);
    let end = min(params.length, (chain % params.segments) * {{SEGMENT}}u + {{SEGMENT}}u);
//: else
    let begin = length;
    let end = params.length;
//: end
    for (var t = begin; t < end; t++) {
        let g_at = g_start + t * g_step;
//: if VEC4
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

    // --- Sums of this chain ---
//: for i in 0..L
//: for j in 0..L
    sums[params.sums_at + ({{i}}u * {{L}}u + {{j}}u) * chains + chain] = p{{i}}_{{j}} * {{M}};
//: end
//: end
//: if BOUNDARIES
//: for k in 0..L
    sums[params.sums_at + ({{L2}}u + {{k}}u) * chains + chain] = at_start{{k}};
    sums[params.sums_at + ({{L2}}u + {{L}}u + {{k}}u) * chains + chain] = at_end{{k}};
//: end
//: end
//: if SEGMENTS
//: if GOLD
    // Gold transitions into this segment's positions; crf_finish counts those of whole chains.
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
    sums[params.sums_at + {{VALUE}}u * chains + chain] = total;
}
