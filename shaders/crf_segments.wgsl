// crf_segments: first pass over long chains, what SEGMENT positions do to any vector that enters them.
//
//   R[i][.] = e_i * prod_(t in segment) M diag(x_t), normalised at every position; its logarithm kept apart
//
// One invocation per (segment, entering label i). Logarithms are relative to those of label 0, whose row
// every invocation walks beside its own. Rows soon forget where they began; from then on both take the same
// steps and nothing is added. A plain sum of logarithms would go on rounding for the rest of the segment
// (marginals off by 3e-6 instead of 1e-6 at T = 1024). A segment beyond a chain's end is the identity;
// nothing enters a chain's first segment, whose rows are the same for every i.
//
// Bindings: as in crf_chain. From `edges_at` on, `forward` receives the vectors of crf_scan, then R
//   [l, l, segments] and logarithms [l, segments].
// Template: L, L2, WG, SEGMENT, HELD, RAGGED, BOUNDARIES, HALF.
// Source: Hassan, Sarkka, Garcia-Fernandez 2021 (temporal parallelisation of sum-product), as
// reduce-then-scan.

//: include params

//: include emissions
@group(0) @binding({{POTENTIALS}}) var<storage, read_write> potentials: array<f32>;
//: if HELD
@group(0) @binding({{LABELS_AT}}) var<storage, read_write> labels: array<i32>;
//: end
//: if RAGGED
@group(0) @binding({{LENGTHS}}) var<storage, read_write> lengths: array<i32>;
//: end
@group(0) @binding({{FORWARD}}) var<storage, read_write> forward: array<f32>;
@group(0) @binding({{PARAMS}}) var<storage, read_write> params: Params;

//: include numbers

var<workgroup> m: array<f32, {{L2}}>;

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var top = potentials[params.potentials_at];
    for (var i = 1u; i < {{L2}}u; i++) {
        top = max(top, potentials[params.potentials_at + i]);
    }
    for (var i = lane; i < {{L2}}u; i += {{WG}}u) {
        let a = potentials[params.potentials_at + i];
        m[i] = select(scaled(a - top), 0.0, a <= FORBIDDEN);
    }
    workgroupBarrier();

    let chains = params.chains;
    let id = (group.y * groups.x + group.x) * {{WG}}u + lane;
    let segment = id % chains;
    let enter = id / chains;
    if (enter >= {{L}}u) {
        return;
    }
    let line = segment / params.segments;
    let e_start = (line / params.inner) * params.e_outer + (line % params.inner) * params.e_inner;
//: if HELD
    let y_start = (line / params.inner) * params.y_outer + (line % params.inner) * params.y_inner;
//: end
//: if RAGGED
    let length = u32(clamp(lengths[line], 0, i32(params.length)));
//: else
    let length = params.length;
//: end
    let first = min((segment % params.segments) * {{SEGMENT}}u, length);
    let stop = min(first + {{SEGMENT}}u, length);
//: for k in 0..L
    var w{{k}} = select(0.0, 1.0, enter == {{k}}u);
    var r{{k}} = select(0.0, 1.0, {{k}}u == 0u);
//: end
    var logarithm = 0.0;
    for (var t = first; t < stop; t++) {
        let at = e_start + t * params.e_step;
//: for k in 0..L
        var e{{k}} = emission(at + {{k}}u * params.e_label);
//: end
//: if BOUNDARIES
        if (t == 0u) {
//: for k in 0..L
            e{{k}} += potentials[params.potentials_at + {{L2}}u + {{k}}u];
//: end
        }
        if (t + 1u == length) {
//: for k in 0..L
            e{{k}} += potentials[params.potentials_at + {{L2}}u + {{L}}u + {{k}}u];
//: end
        }
//: end
//: if HELD
        let y = labels[y_start + t * params.y_step];
        let any = y == params.unknown;
        var peak = -3.4e38;
//: for k in 0..L
        peak = select(peak, max(peak, e{{k}}), any || y == {{k}});
//: end
//: else
        var peak = e0;
//: for k in 1..L
        peak = max(peak, e{{k}});
//: end
//: end
        var z = 0.0;
        var rz = 0.0;
//: for j in 0..L
        var x{{j}} = scaled(e{{j}} - peak);
//: if HELD
        x{{j}} = select(0.0, x{{j}}, any || y == {{j}});
//: end
        var q{{j}} = 0.0;
        var rq{{j}} = 0.0;
//: for i in 0..L
        {
            let step = m[{{i}} * {{L}} + {{j}}];
            q{{j}} += w{{i}} * step;
            rq{{j}} += r{{i}} * step;
        }
//: end
        q{{j}} = x{{j}} * select(q{{j}}, 1.0, t == 0u);
        rq{{j}} = x{{j}} * select(rq{{j}}, 1.0, t == 0u);
        z += q{{j}};
        rz += rq{{j}};
//: end
        // Nothing passes from this label: the row is zero, its logarithm as low as can be.
        let dead = z == 0.0;
        rz = select(rz, 1.0, rz == 0.0);
        let inverse = select(1.0 / z, 0.0, dead);
        let r_inverse = 1.0 / rz;
        logarithm += select(log(z * r_inverse), -1.0e30, dead);
//: for k in 0..L
        w{{k}} = q{{k}} * inverse;
        r{{k}} = rq{{k}} * r_inverse;
//: end
    }
    let operators = params.edges_at + 2u * {{L}}u * chains;
//: for k in 0..L
    forward[operators + (enter * {{L}}u + {{k}}u) * chains + segment] = w{{k}};
//: end
    forward[operators + ({{L2}}u + enter) * chains + segment] = logarithm;
}
