// net_latent: a sample of the posterior, or with BACKWARD its gradients.
//
//   l = clamp(both[log variance] + START, LEAST, MOST)
//   y = both[mean] + exp(l / 2) noise
//   BACKWARD: dboth[mean] = dy;  dboth[log variance] = dy noise exp(l / 2) / 2 where l was not clamped, else
//   0; on top of `before` where ADDED
//
// One invocation an element of the sample.
//
// Bindings
//   both    [b, 2, PLANES]   of each picture the means, then the raw logarithms of variances
//   noise   [b, PLANES]
//   y       [b, PLANES]      where not BACKWARD
//   dy      [b, PLANES]      where BACKWARD
//   before  [b, 2, PLANES]   where ADDED
//   dboth   [b, 2, PLANES]   where BACKWARD
// Template: WG, SIZE, PLANES, START, LEAST, MOST, BACKWARD, ADDED.

@group(0) @binding({{BOTH}}) var<storage, read_write> both: array<f32>;
@group(0) @binding({{NOISE}}) var<storage, read_write> noise: array<f32>;
//: if BACKWARD
@group(0) @binding({{DY}}) var<storage, read_write> dy: array<f32>;
//: if ADDED
@group(0) @binding({{BEFORE}}) var<storage, read_write> before: array<f32>;
//: end
@group(0) @binding({{DBOTH}}) var<storage, read_write> dboth: array<f32>;
//: else
@group(0) @binding({{Y}}) var<storage, read_write> y: array<f32>;
//: end

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
    // By comparisons: what is not a number stays that.
    var bounded = select(raw, {{LEAST}}, raw < {{LEAST}});
    bounded = select(bounded, {{MOST}}, raw > {{MOST}});
    let deviation = exp(0.5 * bounded);
//: if BACKWARD
    let slope = dy[i];
    var by_mean = slope;
    var by_log_var = select(0.5 * slope * noise[i] * deviation, 0.0, raw < {{LEAST}} || raw > {{MOST}});
//: if ADDED
    by_mean += before[mean];
    by_log_var += before[log_var];
//: end
    dboth[mean] = by_mean;
    dboth[log_var] = by_log_var;
//: else
    y[i] = both[mean] + deviation * noise[i];
//: end
}
