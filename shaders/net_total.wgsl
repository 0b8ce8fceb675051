// net_total: a loss of up to six terms, each a mean, or with BACKWARD its gradients.
//
//   m_k = 1/SIZE_k sum_i term_k[i];  y = [sum_k WEIGHT_k m_k, m_0, m_1 ..]
//   BACKWARD: dterms[FROM_k + i] = dy[0] WEIGHT_k / SIZE_k
//
// Forward one workgroup: a term after the other, every WG-th value from its own on, an invocation at a time,
// then as a tree. Backward one invocation an element of the result.
//
// Bindings
//   term_0 .. term_(COUNT - 1)  [SIZE_k]        where not BACKWARD
//   y                           [1 + COUNT]     where not BACKWARD
//   dy                          [1 + COUNT]     where BACKWARD; that by the loss alone counts
//   dterms                      [LENGTH]        where BACKWARD, zero between the terms
// Beside the text, a row a term: sizes[k] = (FROM_k, SIZE_k, WEIGHT_k, nothing).
// Template: WG, HALF, COUNT, LENGTH, BACKWARD.

//: if BACKWARD
@group(0) @binding({{DY}}) var<storage, read_write> dy: array<f32>;
@group(0) @binding({{DTERMS}}) var<storage, read_write> dterms: array<f32>;

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group.x * {{WG}}u + lane;
    if (i >= {{LENGTH}}) {
        return;
    }
    var value = 0.0;
//: for k in 0..COUNT
    if (i >= sizes[{{k}}].x && i < sizes[{{k}}].x + sizes[{{k}}].y) {
        value = dy[0] * bitcast<f32>(sizes[{{k}}].z) / f32(sizes[{{k}}].y);
    }
//: end
    dterms[i] = value;
}
//: else
//: for k in 0..COUNT
@group(0) @binding({{k}}) var<storage, read_write> term_{{k}}: array<f32>;
//: end
@group(0) @binding({{COUNT}}) var<storage, read_write> y: array<f32>;

var<workgroup> lanes: array<f32, {{WG}}>;

@compute @workgroup_size({{WG}})
fn main(@builtin(local_invocation_index) lane: u32) {
    var total = 0.0;
//: for k in 0..COUNT
    {
        var sum = 0.0;
        for (var i = lane; i < sizes[{{k}}].y; i += {{WG}}u) {
            sum += term_{{k}}[i];
        }
        workgroupBarrier();
        lanes[lane] = sum;
        for (var half = {{HALF}}u; half > 0u; half /= 2u) {
            workgroupBarrier();
            if (lane < half) {
                lanes[lane] += lanes[lane + half];
            }
        }
        if (lane == 0u) {
            let mean = lanes[0] / f32(sizes[{{k}}].y);
            y[1u + {{k}}u] = mean;
            total = fma(bitcast<f32>(sizes[{{k}}].z), mean, total);
        }
    }
//: end
    if (lane == 0u) {
        y[0] = total;
    }
}
//: end
