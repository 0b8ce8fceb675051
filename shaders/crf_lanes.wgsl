// crf_lanes: loss and gradient of linear chains, one invocation per (chain, label, side).
//
// The recursions of crf_chain from both ends at once:
//   left   f_t[j] = x_t[j] * sum_i f_(t-1)[i] M[i][j] / sum f_(t-1)         from t = 0 up
//   right  v_t[i] = x_t[i] * sum_j M[i][j] v_(t+1)[j] / sum v_(t+1)         from the last t down
// Phase 1: each side walks to the middle and keeps its vectors. Phase 2: each walks on, past the other's:
//   left   U_t[j] ~ (sum_i f_(t-1)[i] M[i][j]) * v_t[j]        P[i][j] += f_(t-1)[i] M[i][j] v_t[j] / zz
//   right  U_t[i] ~ f_t[i] * (sum_j M[i][j] v_(t+1)[j])        P[i][j] += f_t[i] M[i][j] v_(t+1)[j] / zz
// Both sides run the same code: a lane's `mv` is column j of M on the left, row i on the right. The left
// counts the pair across the middle. Half the depth of crf_chain, L multiply-adds per lane and step, one
// barrier per step, no spilled register at L = 16.
//
// A workgroup computes WG / (2 LP) chains; lane = (chain * 2 + side) * LP + label. Trip counts are the same
// for the whole workgroup: a lane without work still meets every barrier.
//
// Bindings: as in crf_chain; `kept` [chains, t, l] scratch exists where GRADIENT and not SHARED.
// Template: L, L2, LP = L rounded up to a power of two, CHAINS per workgroup, WG = CHAINS * 2 * LP; SHARED:
//   kept vectors lie in workgroup memory, STORE elements; EXCHANGE, PAIRS: sizes of the other arrays; VALUE,
//   GRADIENT, LABELS, GOLD, HELD, FREE, PARTITION, RAGGED, BOUNDARIES, HALF, ADD as in crf_chain.

//: include params

//: include emissions
@group(0) @binding({{POTENTIALS}}) var<storage, read_write> potentials: array<f32>;
//: if LABELS
@group(0) @binding({{LABELS_AT}}) var<storage, read_write> labels: array<i32>;
//: end
//: if RAGGED
@group(0) @binding({{LENGTHS}}) var<storage, read_write> lengths: array<i32>;
//: end
//: if GRADIENT
//: if SHARED
//: else
@group(0) @binding({{FORWARD}}) var<storage, read_write> kept: array<f32>;
//: end
@group(0) @binding({{GRADIENT_AT}}) var<storage, read_write> gradient: array<f32>;
//: end
@group(0) @binding({{SUMS}}) var<storage, read_write> sums: array<f32>;
@group(0) @binding({{PARAMS}}) var<storage, read_write> params: Params;

//: include numbers
const SIDES = {{CHAINS}}u * 2u;

// By (side of a chain, parity of the step, label): emissions of the next step, the vector of the last step,
// unnormalised marginals.
var<workgroup> ahead: array<f32, {{EXCHANGE}}>;
var<workgroup> vector: array<f32, {{EXCHANGE}}>;
//: if GRADIENT
var<workgroup> joint: array<f32, {{EXCHANGE}}>;
var<workgroup> pairs: array<f32, {{PAIRS}}>;
//: if SHARED
var<workgroup> kept: array<f32, {{STORE}}>;
//: end
//: end

// Label `label` of position `t` of a chain `length` long whose emissions begin at `start`.
fn score(start: u32, t: u32, label: u32, length: u32) -> f32 {
    var e = emission(start + t * params.e_step + label * params.e_label);
//: if BOUNDARIES
    if (t == 0u) {
        e += potentials[params.potentials_at + {{L2}}u + label];
    }
    if (t + 1u == length) {
        e += potentials[params.potentials_at + {{L2}}u + {{L}}u + label];
    }
//: end
    return e;
}

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let label = lane % {{LP}}u;
    let side = lane / {{LP}}u;           // of all chains of the workgroup
    let left = side % 2u == 0u;
    let here = side / 2u;                // chain within the workgroup
    let chain = (group.y * groups.x + group.x) * {{CHAINS}}u + here;
    let chains = params.chains;
    let real = chain < chains && label < {{L}}u;

    // This lane's column of M (left) or row of it (right).
    var top = potentials[params.potentials_at];
    for (var i = 1u; i < {{L2}}u; i++) {
        top = max(top, potentials[params.potentials_at + i]);
    }
    let mine = min(label, {{L}}u - 1u);
//: for k in 0..L
    let a{{k}} = potentials[params.potentials_at + select(mine * {{L}}u + {{k}}u, {{k}}u * {{L}}u + mine, left)];
    let mv{{k}} = select(scaled(a{{k}} - top), 0.0, a{{k}} <= FORBIDDEN);
//: end

    var length = 0u;
    var e_start = 0u;
//: if LABELS
    var y_start = 0u;
//: end
    if (real) {
        length = params.length;
//: if RAGGED
        length = u32(clamp(lengths[chain], 0, i32(params.length)));
//: end
        e_start = (chain / params.inner) * params.e_outer + (chain % params.inner) * params.e_inner;
//: if LABELS
        y_start = (chain / params.inner) * params.y_outer + (chain % params.inner) * params.y_inner;
//: end
    }
//: if GRADIENT
    // Left keeps 0 .. middle - 1, right the rest; then each walks over what the other kept.
    let middle = (length + 1u) / 2u;
    let half = (params.length + 1u) / 2u;
    let steps = 2u * half;
    let own = select(length - middle, middle, left);      // steps of phase 1
    let other = select(middle, length - middle, left);    // steps of phase 2
    let g_start = (chain / params.inner) * params.g_outer + (chain % params.inner) * params.g_inner;
//: if SHARED
    let kept_at = here * params.length * {{L}}u;
//: else
    let kept_at = chain * params.length * {{L}}u;
//: end
//: for k in 0..L
    var p{{k}} = 0.0;
//: end
//: if BOUNDARIES
    if (real && left) {
        sums[params.sums_at + ({{L2}}u + label) * chains + chain] = 0.0;
        sums[params.sums_at + ({{L2}}u + {{L}}u + label) * chains + chain] = 0.0;
    }
//: end
//: else
    // The value alone: the left side walks the whole chain.
    let half = params.length;
    let steps = half;
    let own = select(0u, length, left);
    let other = 0u;
//: end

    var total = 0.0;
    var block = 0.0;
//: if GOLD
    var before = 0;
//: end
    var done = 0u;   // steps this side has taken; its parity says which half of the exchange is which
    var e = 0.0;
    if (own > 0u) {
        e = score(e_start, select(length - 1u, 0u, left), label, length);
        ahead[(side * 2u) * {{LP}}u + label] = e;
    } else if (other > 0u) {
        // A side without a phase of its own (a chain of one position) begins with the other's.
        e = score(e_start, select(0u, length - 1u, left), label, length);
        ahead[(side * 2u) * {{LP}}u + label] = e;
    }
    workgroupBarrier();

    for (var s = 0u; s < steps; s++) {
        let first_phase = s < half;
        let local = select(s - half, s, first_phase);
        let walks = local < select(other, own, first_phase);
        // Left walks 0, 1, ..; right walks length - 1, length - 2, ..; the count of steps gives the position.
        let t = select(length - 1u - done, done, left);
        let now = (side * 2u + done % 2u) * {{LP}}u;
        let past = (side * 2u + (done + 1u) % 2u) * {{LP}}u;
        var dot = 1.0;
        var weight = 0.0;
        var kept_value = 0.0;
//: for k in 0..L
        var prev{{k}} = 0.0;
//: end
        if (walks) {
//: if LABELS
            let y = labels[y_start + t * params.y_step];
//: end
            var peak = ahead[now];
//: for k in 1..L
            peak = max(peak, ahead[now + {{k}}u]);
//: end
//: if GOLD
            let known = y >= 0 && y < {{L}};
            var term = peak - select(params.not_a_number, ahead[now + u32(clamp(y, 0, {{L}} - 1))], known);
            if (done > 0u && known && before >= 0 && before < {{L}}) {
                term += top - potentials[params.potentials_at + u32(before) * {{L}}u + u32(y)];
            }
            before = y;
//: end
//: if HELD
            let any = y == params.unknown;
            let known = y >= 0 && y < {{L}};
            let held = select(ahead[now + u32(clamp(y, 0, {{L}} - 1))], peak, any);
            var term = select(params.not_a_number, held - peak, any || known);
            peak = held;
//: end
//: if FREE
            var term = 0.0;
//: end
//: if PARTITION
            var term = peak + select(0.0, top, done > 0u);
//: end
            var x = scaled(e - peak);
//: if HELD
            x = select(0.0, x, any || y == i32(label));
//: end
            if (done > 0u) {
                var z = 0.0;
                dot = 0.0;
//: for k in 0..L
                prev{{k}} = vector[past + {{k}}u];
                z += prev{{k}};
                dot += prev{{k}} * mv{{k}};
//: end
                let inverse = 1.0 / z;
                dot *= inverse;
//: for k in 0..L
                prev{{k}} *= inverse;
//: end
                term += log(z); // of the last step; the final one is added after the loop
            }
            block += term;
            if (done % BLOCK == BLOCK - 1u) {
                total += block;
                block = 0.0;
            }
            vector[now + label] = x * dot;
//: if GRADIENT
            if (first_phase) {
                kept[kept_at + t * {{L}}u + label] = x * dot;
            } else {
                kept_value = kept[kept_at + t * {{L}}u + label];
                joint[now + label] = dot * kept_value;
            }
//: end
            done += 1u;
            if (done < length) {
                e = score(e_start, select(length - 1u - done, done, left), label, length);
                ahead[past + label] = e;
            }
        }
//: if GRADIENT
//: if SHARED
//: else
        storageBarrier();
//: end
//: end
        workgroupBarrier();
//: if GRADIENT
        if (walks && !first_phase) {
            var zz = 0.0;
//: for k in 0..L
            zz += joint[now + {{k}}u];
//: end
            let inverse = 1.0 / zz;
            var u = dot * kept_value * inverse;
            // Both sides would count the pair across the middle: the left does.
            let a = select(kept_value * inverse, 0.0, !left && t + 1u == middle);
//: for k in 0..L
            p{{k}} += prev{{k}} * a;
//: end
//: if GOLD
            u -= select(0.0, 1.0, labels[y_start + t * params.y_step] == i32(label));
//: end
            let g_at = g_start + t * params.g_step + label * params.g_label;
//: if ADD
            gradient[g_at] += u * params.scale;
//: else
            gradient[g_at] = u * params.scale;
//: end
//: if BOUNDARIES
            if (t == 0u) {
                sums[params.sums_at + ({{L2}}u + label) * chains + chain] = u;
            }
            if (t + 1u == length) {
                sums[params.sums_at + ({{L2}}u + {{L}}u + label) * chains + chain] = u;
            }
//: end
        }
//: end
    }

    if (real && left && label == 0u) {
        var z = 1.0;
        if (length > 0u) {
            z = 0.0;
            let past = (side * 2u + (done + 1u) % 2u) * {{LP}}u;
//: for k in 0..L
            z += vector[past + {{k}}u];
//: end
        }
        sums[params.sums_at + {{VALUE}}u * chains + chain] = total + block + log(z);
    }
//: if GRADIENT
//: if RAGGED
//: if ADD
//: else
    // Positions past the end have no gradient.
    if (real && left) {
        for (var t = length; t < params.length; t++) {
            gradient[g_start + t * params.g_step + label * params.g_label] = 0.0;
        }
    }
//: end
//: end
    // The right side's rows of the pair sums meet the left side's columns.
    if (real && !left) {
//: for k in 0..L
        pairs[(here * {{L}}u + label) * {{L}}u + {{k}}u] = p{{k}};
//: end
    }
    workgroupBarrier();
    if (real && left) {
//: for k in 0..L
        sums[params.sums_at + ({{k}}u * {{L}}u + label) * chains + chain] =
            (p{{k}} + pairs[(here * {{L}}u + {{k}}u) * {{L}}u + label]) * mv{{k}};
//: end
    }
//: end
}
