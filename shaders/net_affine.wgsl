// net_affine: from the gradients by each picture's scale and shift to those by what they came from.
//
//   not CODED, one row for all pictures:  dscale[c] = sum_b daffine[b, c],
//                                         dshift[c] = sum_b daffine[b, CHANNELS + c]
//   CODED, affine = code W + bias:        dW = code' daffine,  dbias = sum_b daffine[b],  dcode = daffine W'
//                                         (on top of `before` where ADDED)
//
// One invocation an element of the results, end to end in the order of the bindings; pictures, or columns
// of the matrix, are added in their order.
//
// Bindings
//   daffine  [BATCH, WIDTH], WIDTH = 2 * CHANNELS
//   dscale   [CHANNELS]            where not CODED
//   dshift   [CHANNELS]            where not CODED
//   code     [BATCH, CODE]         where CODED
//   weight   [CODE, WIDTH]         where CODED
//   dweight  [CODE, WIDTH]         where CODED
//   dbias    [WIDTH]               where CODED
//   dcode    [BATCH, CODE]         where CODED
//   before   [BATCH, CODE]         where ADDED
// Template: WG, BATCH, WIDTH, CHANNELS, CODE, WEIGHTS, CODES, CODED, ADDED.

@group(0) @binding({{DAFFINE}}) var<storage, read_write> daffine: array<f32>;
//: if CODED
@group(0) @binding({{CODE_AT}}) var<storage, read_write> code: array<f32>;
@group(0) @binding({{WEIGHT}}) var<storage, read_write> weight: array<f32>;
@group(0) @binding({{DWEIGHT}}) var<storage, read_write> dweight: array<f32>;
@group(0) @binding({{DBIAS}}) var<storage, read_write> dbias: array<f32>;
@group(0) @binding({{DCODE}}) var<storage, read_write> dcode: array<f32>;
//: if ADDED
@group(0) @binding({{BEFORE}}) var<storage, read_write> before: array<f32>;
//: end
//: else
@group(0) @binding({{DSCALE}}) var<storage, read_write> dscale: array<f32>;
@group(0) @binding({{DSHIFT}}) var<storage, read_write> dshift: array<f32>;
//: end

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var i = group.x * {{WG}}u + lane;
    var sum = 0.0;
//: if CODED
    if (i < {{WEIGHTS}}) {
        let s = i / {{WIDTH}};
        let k = i % {{WIDTH}};
        for (var b = 0u; b < {{BATCH}}; b++) {
            sum = fma(code[b * {{CODE}} + s], daffine[b * {{WIDTH}} + k], sum);
        }
        dweight[i] = sum;
        return;
    }
    i -= {{WEIGHTS}};
    if (i >= {{WIDTH}}) {
        i -= {{WIDTH}};
        if (i >= {{CODES}}) {
            return;
        }
        let b = i / {{CODE}};
        let s = i % {{CODE}};
        for (var k = 0u; k < {{WIDTH}}; k++) {
            sum = fma(daffine[b * {{WIDTH}} + k], weight[s * {{WIDTH}} + k], sum);
        }
//: if ADDED
        sum += before[i];
//: end
        dcode[i] = sum;
        return;
    }
    for (var b = 0u; b < {{BATCH}}; b++) {
        sum += daffine[b * {{WIDTH}} + i];
    }
    dbias[i] = sum;
//: else
    if (i >= {{WIDTH}}) {
        return;
    }
    for (var b = 0u; b < {{BATCH}}; b++) {
        sum += daffine[b * {{WIDTH}} + i];
    }
    if (i < {{CHANNELS}}) {
        dscale[i] = sum;
    } else {
        dshift[i - {{CHANNELS}}] = sum;
    }
//: end
}
