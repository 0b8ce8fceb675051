// net_styles: from the gradients by each picture's scales and shifts, of several normalisations by one style
// code, to those by the code and by each one's matrix and bias.
//
//   affine_n = code W_n + bias_n:
//   dcode    = sum_n daffine_n W_n'   on top of `before` where ADDED, of an earlier launch's where ONTO
//   dW_n     = code' daffine_n
//   dbias_n  = sum_b daffine_n[b]
//
// The first CODES workgroups are an element of dcode each: every WG-th column from its own on an invocation,
// then as a tree. Behind them one invocation is an element of the result from START to END; pictures are
// added in their order. Each of the buffers holds any number of arrays.
//
// Bindings
//   part_0 .. part_(COUNT - 1)  [.. daffine_n [BATCH, width] .. W_n [CODE, width] ..]
//   code    [BATCH, CODE]
//   result  dcode [BATCH, CODE], then dW_n [CODE, width] and dbias_n [width] of each; zeros between them
//   before  [BATCH, CODE]   where ADDED
// Beside the text, two rows a normalisation: (where dW_n stands in the result, width, where daffine_n and
// where W_n begin in their buffers); (numbers of these buffers, what dW_n takes with its zeros, nothing).
// Template: WG, HALF, COUNT, NORMS, BATCH, CODE, CODES, START, END, ADDED, ONTO.

//: for k in 0..COUNT
@group(0) @binding({{k}}) var<storage, read_write> part_{{k}}: array<f32>;
//: end
@group(0) @binding({{CODE_AT}}) var<storage, read_write> code: array<f32>;
@group(0) @binding({{RESULT}}) var<storage, read_write> result: array<f32>;
//: if ADDED
@group(0) @binding({{BEFORE}}) var<storage, read_write> before: array<f32>;
//: end

var<workgroup> lanes: array<f32, {{WG}}>;

fn element(buffer: u32, at: u32) -> f32 {
    var value = 0.0;
//: for k in 0..COUNT
    if (buffer == {{k}}u) {
        value = part_{{k}}[at];
    }
//: end
    return value;
}

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = group.y * groups.x + group.x;
    var sum = 0.0;
    if (number < {{CODES}}) {
        let picture = number / {{CODE}};
        let entry = number % {{CODE}};
        for (var n = 0u; n < {{NORMS}}; n++) {
            let row = sizes[2u * n];
            let buffers = sizes[2u * n + 1u];
            for (var k = lane; k < row.y; k += {{WG}}u) {
                let slope = element(buffers.x, row.z + picture * row.y + k);
                sum = fma(slope, element(buffers.y, row.w + entry * row.y + k), sum);
            }
        }
    }
    lanes[lane] = sum;
    for (var half = {{HALF}}u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) {
            lanes[lane] += lanes[lane + half];
        }
    }
    if (number < {{CODES}}) {
        if (lane == 0u) {
            var value = lanes[0];
//: if ADDED
            value += before[number];
//: end
//: if ONTO
            value += result[number];
//: end
            result[number] = value;
        }
        return;
    }

    let i = {{START}} + (number - {{CODES}}) * {{WG}}u + lane;
    if (i >= {{END}}) {
        return;
    }
    var norm = 0u;
    for (var n = 1u; n < {{NORMS}}; n++) {
        if (sizes[2u * n].x <= i) {
            norm = n;
        }
    }
    let row = sizes[2u * norm];
    let buffers = sizes[2u * norm + 1u];
    sum = 0.0;
    if (i >= row.x) {
        let at = i - row.x;
        if (at < {{CODE}} * row.y) {
            let entry = at / row.y;
            let k = at % row.y;
            for (var picture = 0u; picture < {{BATCH}}; picture++) {
                let slope = element(buffers.x, row.z + picture * row.y + k);
                sum = fma(code[picture * {{CODE}} + entry], slope, sum);
            }
        }
        if (at >= buffers.z && at - buffers.z < row.y) {
            for (var picture = 0u; picture < {{BATCH}}; picture++) {
                sum += element(buffers.x, row.z + picture * row.y + at - buffers.z);
            }
        }
    }
    result[i] = sum;
}
