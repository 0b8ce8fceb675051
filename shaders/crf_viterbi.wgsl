// crf_viterbi: the best labelling of linear chains, one invocation per chain.
//
//   d_t[j] = e_t[j] + max_i (d_(t-1)[i] + A[i][j]), the lowest i of equals; then back along the choices
//
// d is kept relative to its maximum and the maxima are summed apart: a long chain decides as finely as a
// short one.
//
// Bindings (group 0; flags decide which exist, the launch code numbers them)
//   emissions   [b, l, h, w] by strides, f32, or f16 two to a word where HALF
//   potentials  [width]: transitions row by row, then start and end scores where BOUNDARIES
//   lengths     [n] i32                     where RAGGED
//   choices     [t, words, chains] scratch, four labels to a word
//   paths       [chains, t] i32, 0 past a chain's length
//   scores      [chains]
//   params      one Params
// Template: L labels, L2 its square, WORDS = ceil(L / 4), WG workgroup size, RAGGED, BOUNDARIES, HALF.

struct Params {
    chains: u32,
    length: u32,
    inner: u32,          // chain c lies at (c / inner) * outer + (c % inner) * inner stride
    e_outer: u32,        // strides in elements
    e_inner: u32,
    e_step: u32,
    e_label: u32,
};

//: include emissions
@group(0) @binding({{POTENTIALS}}) var<storage, read_write> potentials: array<f32>;
//: if RAGGED
@group(0) @binding({{LENGTHS}}) var<storage, read_write> lengths: array<i32>;
//: end
@group(0) @binding({{CHOICES}}) var<storage, read_write> choices: array<u32>;
@group(0) @binding({{PATHS}}) var<storage, read_write> paths: array<i32>;
@group(0) @binding({{SCORES}}) var<storage, read_write> scores: array<f32>;
@group(0) @binding({{PARAMS}}) var<storage, read_write> params: Params;

//: include numbers

var<workgroup> a: array<f32, {{L2}}>;

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    for (var i = lane; i < {{L2}}u; i += {{WG}}u) {
        a[i] = potentials[i];
    }
    workgroupBarrier();

    let chains = params.chains;
    let chain = (group.y * groups.x + group.x) * {{WG}}u + lane;
    if (chain >= chains) {
        return;
    }
    let e_start = (chain / params.inner) * params.e_outer + (chain % params.inner) * params.e_inner;
//: if RAGGED
    let length = u32(clamp(lengths[chain], 0, i32(params.length)));
//: else
    let length = params.length;
//: end

//: for k in 0..L
    var d{{k}} = 0.0;
//: end
    var total = 0.0;
    var block = 0.0;
    for (var t = 0u; t < length; t++) {
        let at = e_start + t * params.e_step;
        var word = 0u;
//: for j in 0..L
        var best{{j}} = d0 + a[{{j}}];
        var choice{{j}} = 0u;
//: for i in 1..L
        {
            let candidate = d{{i}} + a[{{i}} * {{L}} + {{j}}];
            choice{{j}} = select(choice{{j}}, {{i}}u, candidate > best{{j}});
            best{{j}} = max(best{{j}}, candidate);
        }
//: end
        best{{j}} = select(best{{j}}, 0.0, t == 0u) + emission(at + {{j}}u * params.e_label);
//: if BOUNDARIES
        if (t == 0u) {
            best{{j}} += potentials[{{L2}}u + {{j}}u];
        }
        if (t + 1u == length) {
            best{{j}} += potentials[{{L2}}u + {{L}}u + {{j}}u];
        }
//: end
        word |= choice{{j}} << (({{j}}u % 4u) * 8u);
        if ({{j}}u % 4u == 3u || {{j}}u == {{L}}u - 1u) {
            choices[(t * {{WORDS}}u + {{j}}u / 4u) * chains + chain] = word;
            word = 0u;
        }
//: end
        var top = best0;
//: for k in 1..L
        top = max(top, best{{k}});
//: end
//: for k in 0..L
        d{{k}} = best{{k}} - top;
//: end
        block += top;
        if (t % BLOCK == BLOCK - 1u) {
            total += block;
            block = 0.0;
        }
    }
    scores[chain] = total + block;

    var label = 0u;
    var top = d0;
//: for k in 1..L
    label = select(label, {{k}}u, d{{k}} > top);
    top = max(top, d{{k}});
//: end
    for (var back = 0u; back < length; back++) {
        let t = length - 1u - back;
        paths[chain * params.length + t] = i32(label);
        label = (choices[(t * {{WORDS}}u + label / 4u) * chains + chain] >> ((label % 4u) * 8u)) & 255u;
    }
    for (var t = length; t < params.length; t++) {
        paths[chain * params.length + t] = 0;
    }
}
