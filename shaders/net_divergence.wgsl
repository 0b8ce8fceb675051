// net_divergence: the posterior's divergence from the standard normal, or with BACKWARD its gradients.
//
//   l = clamp(both[log variance] + START, LEAST, MOST)
//   e = SHARE sum (mean^2 + exp(l) - 1 - l) / 2
//   BACKWARD: dboth[mean] = SHARE dy mean;  dboth[log variance] = SHARE dy (exp(l) - 1) / 2 where l was not
//   clamped, else 0; on top of `before` where ADDED
//
// Forward one workgroup sums every GROUPS * WG-th element from its own on, an invocation at a time, then as a
// tree. Where one workgroup takes all (WHOLE) that is the result; otherwise FINISH adds the workgroups' sums
// up, as a tree. Backward one invocation a mean and its variance.
//
// Bindings
//   both    [b, 2, PLANES]   where not FINISH
//   sums    [GROUPS]         written where neither WHOLE nor BACKWARD, read by FINISH
//   e       [1]              where WHOLE or FINISH
//   dy      [1]              where BACKWARD
//   before  [b, 2, PLANES]   where ADDED
//   dboth   [b, 2, PLANES]   where BACKWARD
// Template: WG, HALF, SIZE, PLANES, GROUPS, SHARE, START, LEAST, MOST, WHOLE, FINISH, BACKWARD, ADDED.

//: if FINISH
@group(0) @binding({{SUMS}}) var<storage, read_write> sums: array<f32>;
@group(0) @binding({{E}}) var<storage, read_write> e: array<f32>;
//: else
@group(0) @binding({{BOTH}}) var<storage, read_write> both: array<f32>;
//: if BACKWARD
@group(0) @binding({{DY}}) var<storage, read_write> dy: array<f32>;
//: if ADDED
@group(0) @binding({{BEFORE}}) var<storage, read_write> before: array<f32>;
//: end
@group(0) @binding({{DBOTH}}) var<storage, read_write> dboth: array<f32>;
//: else
//: if WHOLE
@group(0) @binding({{E}}) var<storage, read_write> e: array<f32>;
//: else
@group(0) @binding({{SUMS}}) var<storage, read_write> sums: array<f32>;
//: end
//: end

/// The logarithm of a variance. By comparisons: what is not a number stays that.
fn bounded(raw: f32) -> f32 {
    let above = select(raw, {{LEAST}}, raw < {{LEAST}});
    return select(above, {{MOST}}, raw > {{MOST}});
}
//: end

//: if BACKWARD
@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * {{WG}}u + lane;
    if (i >= {{SIZE}}) {
        return;
    }
    let mean = i + i / {{PLANES}} * {{PLANES}};
    let log_var = mean + {{PLANES}};
    let raw = both[log_var] + {{START}};
    let share = dy[0] * {{SHARE}};
    var by_mean = share * both[mean];
    let free = 0.5 * share * (exp(bounded(raw)) - 1.0);
    var by_log_var = select(free, 0.0, raw < {{LEAST}} || raw > {{MOST}});
//: if ADDED
    by_mean += before[mean];
    by_log_var += before[log_var];
//: end
    dboth[mean] = by_mean;
    dboth[log_var] = by_log_var;
}
//: else
var<workgroup> lanes: array<f32, {{WG}}>;

@compute @workgroup_size({{WG}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var sum = 0.0;
//: if FINISH
    if (lane < {{GROUPS}}) {
        sum = sums[lane];
    }
//: else
    for (var i = group.x * {{WG}}u + lane; i < {{SIZE}}; i += {{GROUPS}} * {{WG}}u) {
        let at = i + i / {{PLANES}} * {{PLANES}};
        let mean = both[at];
        let log_var = bounded(both[at + {{PLANES}}] + {{START}});
        sum += 0.5 * (mean * mean + exp(log_var) - 1.0 - log_var);
    }
//: end
    lanes[lane] = sum;
    for (var half = {{HALF}}u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) {
            lanes[lane] += lanes[lane + half];
        }
    }
    if (lane == 0u) {
//: if FINISH
        e[0] = lanes[0] * {{SHARE}};
//: else
//: if WHOLE
        e[0] = lanes[0] * {{SHARE}};
//: else
        sums[group.x] = lanes[0];
//: end
//: end
    }
}
//: end
