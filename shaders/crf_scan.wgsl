// crf_scan: second pass over long chains, from operators to the vectors that enter and leave each segment.
//
//   enter_(g+1)[j] ~ sum_i enter_g[i] exp(log_g[i]) R_g[i][j]    from the first segment up; enter_1 = R_0[0]
//   leave_(g-1)[i] ~ exp(log_g[i]) sum_j R_g[i][j] leave_g[j]    from the last down, leave_last = 1
//
// One invocation per (chain, way): even ones go up, odd ones down. Vectors are normalised at every segment.
//
// Bindings
//   forward   as crf_segments leaves it; receives vectors entering [l, segments] at `edges_at`, then leaving
//   params    one Params
// Template: L, L2, WG.

struct Params {
    chains: u32,         // segments of all chains
    segments: u32,       // per chain
    edges_at: u32,
};

@group(0) @binding({{FORWARD}}) var<storage, read_write> forward: array<f32>;
@group(0) @binding({{PARAMS}}) var<storage, read_write> params: Params;

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let chains = params.chains;
    let id = (group.y * groups.x + group.x) * {{WG}}u + lane;
    let line = id / 2u;
    if (line >= chains / params.segments) {
        return;
    }
    let operators = params.edges_at + 2u * {{L}}u * chains;
    let logarithms = operators + {{L2}}u * chains;
    let up = id % 2u == 0u;
    let edges = params.edges_at + select({{L}}u * chains, 0u, up);
//: for k in 0..L
    var v{{k}} = 1.0;
//: end
    for (var step = 0u; step < params.segments; step++) {
        let g = line * params.segments + select(params.segments - 1u - step, step, up);
//: for k in 0..L
        forward[edges + {{k}}u * chains + g] = v{{k}};
//: end
        var peak = forward[logarithms + g];
//: for i in 1..L
        peak = max(peak, forward[logarithms + {{i}}u * chains + g]);
//: end
//: for i in 0..L
        let c{{i}} = exp(max(forward[logarithms + {{i}}u * chains + g] - peak, -80.0));
        var n{{i}} = 0.0;
//: end
        if (up) {
//: for i in 0..L
            // Nothing enters a chain's first segment: its rows are all the same, and the first is used.
            let a{{i}} = select(v{{i}} * c{{i}}, select(0.0, 1.0, {{i}}u == 0u), step == 0u);
//: for j in 0..L
            n{{j}} += a{{i}} * forward[operators + ({{i}}u * {{L}}u + {{j}}u) * chains + g];
//: end
//: end
        } else {
//: for i in 0..L
//: for j in 0..L
            n{{i}} += forward[operators + ({{i}}u * {{L}}u + {{j}}u) * chains + g] * v{{j}};
//: end
            n{{i}} *= c{{i}};
//: end
        }
        var sum = n0;
//: for k in 1..L
        sum += n{{k}};
//: end
        let inverse = 1.0 / sum;
//: for k in 0..L
        v{{k}} = n{{k}} * inverse;
//: end
    }
}
