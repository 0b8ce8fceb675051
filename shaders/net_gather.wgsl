// net_gather: arrays end to end into a part of a longer one, each padded with zeros as the launch says. Each
// is the sum of up to SUMMANDS arrays. A summand that comes in runs, as of `net_conv_weight`, is their sum,
// in their order.
//
// One invocation an element of the result's part, which begins at START and has LENGTH elements. Each of up
// to seven buffers holds any number of summands.
//
// Bindings
//   part_0 .. part_(COUNT - 1)  [.. summand .. summand ..]
//   flat                        [.. START .. START + LENGTH ..]
// Beside the text, in the order of the places, a row a summand, SUMMANDS rows an array: (where the array goes
// in the part, its size, runs * 8 + number of the buffer, where the summand begins there); a size of 0 where
// there is none.
// Template: WG, COUNT, START, LENGTH, ARRAYS, SUMMANDS.

//: for k in 0..COUNT
@group(0) @binding({{k}}) var<storage, read_write> part_{{k}}: array<f32>;
//: end
@group(0) @binding({{COUNT}}) var<storage, read_write> flat: array<f32>;

/// Element i of a summand.
fn summed(row: vec4<u32>, i: u32) -> f32 {
    let buffer = row.z % 8u;
    let runs = row.z / 8u;
    var sum = 0.0;
//: for k in 0..COUNT
    if (buffer == {{k}}u) {
        for (var run = 0u; run < runs; run++) {
            sum += part_{{k}}[row.w + run * row.y + i];
        }
    }
//: end
    return sum;
}

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * {{WG}}u + lane;
    if (i >= {{LENGTH}}) {
        return;
    }
    // The last array that begins here or before: it is `low` or stands between `low` and `high`.
    var low = 0u;
    var high = {{ARRAYS}};
    while (high - low > 1u) {
        let middle = (low + high) / 2u;
        if (sizes[middle * {{SUMMANDS}}].x <= i) {
            low = middle;
        } else {
            high = middle;
        }
    }
    var value = 0.0;
    for (var summand = 0u; summand < {{SUMMANDS}}; summand++) {
        let row = sizes[low * {{SUMMANDS}} + summand];
        if (i - row.x < row.y) {
            value += summed(row, i - row.x);
        }
    }
    flat[{{START}} + i] = value;
}
