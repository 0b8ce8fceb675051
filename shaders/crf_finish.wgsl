// crf_finish: adds the sums of chains into groups, in a fixed order: no float atomics, the same bits every
// time.
//
//   values[g]        (+)= scale * sum_(chains of g) value
//   table[g][i][j]     = scale * (sum_(chains of g) pair sum - number of gold transitions i -> j)
//
// A workgroup takes one group; its lanes take the entries in turn and walk the group's chains one after the
// other. Gold transitions are counted as integers in workgroup memory, where the order of additions does not
// matter.
//
// Bindings (group 0; flags decide which exist, the launch code numbers them)
//   sums      [entries, items] of each direction: what crf_chain or an earlier round of this kernel wrote
//   labels    [b, h, w] by strides, i32        where COUNT
//   lengths   [n] i32                          where COUNT and RAGGED
//   rounded   [entries, groups]                where ROUND (an earlier round: unscaled, laid out like `sums`)
//   values    [groups]                         where not ROUND
//   tables    [directions, groups, width]      where TABLES and not ROUND
//   params    one Params
// Template: L, L2 = L * L, ENTRIES, WIDTH = ENTRIES - 1, WG, D directions, COUNT, RAGGED, TABLES, ROUND.

struct Direction {
    sums_at: u32,        // first element
    items: u32,          // chains, or groups of an earlier round
    group: u32,          // items in a group
    length: u32,
    inner: u32,          // chain c's labels begin at (c / inner) * outer + (c % inner) * inner stride
    y_outer: u32,
    y_inner: u32,
    y_step: u32,
    tables_at: u32,
};

struct Params {
    groups: u32,
    scale: f32,
    directions: array<Direction, {{D}}>,
};

@group(0) @binding({{SUMS}}) var<storage, read_write> sums: array<f32>;
//: if COUNT
@group(0) @binding({{LABELS_AT}}) var<storage, read_write> labels: array<i32>;
//: if RAGGED
@group(0) @binding({{LENGTHS}}) var<storage, read_write> lengths: array<i32>;
//: end
//: end
//: if ROUND
@group(0) @binding({{ROUNDED}}) var<storage, read_write> rounded: array<f32>;
//: else
@group(0) @binding({{VALUES}}) var<storage, read_write> values: array<f32>;
//: if TABLES
@group(0) @binding({{TABLES_AT}}) var<storage, read_write> tables: array<f32>;
//: end
//: end
@group(0) @binding({{PARAMS}}) var<storage, read_write> params: Params;

//: if COUNT
var<workgroup> counts: array<atomic<u32>, {{L2}}>;
//: end

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = id.y * ids.x + id.x;
    var value = 0.0;
    for (var d = 0u; d < {{D}}u; d++) {
        let items = params.directions[d].items;
        // A group beyond the last has no items: it meets every barrier and writes nothing.
        let first = min(group * params.directions[d].group, items);
        let to = select(first, min(first + params.directions[d].group, items), group < params.groups);
//: if COUNT
        let inner = params.directions[d].inner;
        let y_step = params.directions[d].y_step;
        workgroupBarrier();
        for (var i = lane; i < {{L2}}u; i += {{WG}}u) {
            atomicStore(&counts[i], 0u);
        }
        workgroupBarrier();
        // One chain at a time, its steps spread over the lanes.
        for (var chain = first; chain < to; chain++) {
            let start = (chain / inner) * params.directions[d].y_outer + (chain % inner) * params.directions[d].y_inner;
//: if RAGGED
            let length = u32(clamp(lengths[chain], 0, i32(params.directions[d].length)));
//: else
            let length = params.directions[d].length;
//: end
            for (var t = lane + 1u; t < length; t += {{WG}}u) {
                let i = labels[start + (t - 1u) * y_step];
                let j = labels[start + t * y_step];
                if (i >= 0 && i < {{L}} && j >= 0 && j < {{L}}) {
                    atomicAdd(&counts[u32(i) * {{L}}u + u32(j)], 1u);
                }
            }
        }
        workgroupBarrier();
//: end
        for (var entry = lane; entry < {{ENTRIES}}u && group < params.groups; entry += {{WG}}u) {
            var total = 0.0;
            var block = 0.0;
            let row = params.directions[d].sums_at + entry * items;
            for (var item = first; item < to; item++) {
                block += sums[row + item];
                if ((item - first) % 32u == 31u) {
                    total += block;
                    block = 0.0;
                }
            }
            total += block;
//: if COUNT
            if (entry < {{L2}}u) {
                total -= f32(atomicLoad(&counts[entry]));
            }
//: end
//: if ROUND
            rounded[entry * params.groups + group] = total;
//: else
            if (entry == {{ENTRIES}}u - 1u) {
                value += total * params.scale;
                values[group] = value;
            }
//: if TABLES
            else {
                tables[params.directions[d].tables_at + group * {{WIDTH}}u + entry] = total * params.scale;
            }
//: end
//: end
        }
    }
}
