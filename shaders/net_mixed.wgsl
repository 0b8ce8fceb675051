// net_mixed: what a discriminator sees: real pictures, fakes, and mixtures of both.
//
//   y[m] = real[m] for m < N, fake[m - N] for m < 2N, and after those
//   y[2N + m] = p[outside[m]] + (p[inside[m]] - p[outside[m]]) mask[m],  p: the first 2N of y
//
// One invocation an element of the result.
//
// Bindings
//   real, fake       [N, PLANES, AREA]
//   inside, outside  [N]               whole numbers below 2N
//   mask             [N, AREA]
//   y                [3N, PLANES, AREA]
// Template: WG, SIZE, N, PICTURE, AREA; PICTURE = PLANES * AREA.

@group(0) @binding({{REAL}}) var<storage, read_write> real: array<f32>;
@group(0) @binding({{FAKE}}) var<storage, read_write> fake: array<f32>;
@group(0) @binding({{INSIDE}}) var<storage, read_write> inside: array<i32>;
@group(0) @binding({{OUTSIDE}}) var<storage, read_write> outside: array<i32>;
@group(0) @binding({{MASK}}) var<storage, read_write> mask: array<f32>;
@group(0) @binding({{Y}}) var<storage, read_write> y: array<f32>;

fn pure(picture: u32, at: u32) -> f32 {
    if (picture < {{N}}) {
        return real[picture * {{PICTURE}} + at];
    }
    return fake[(picture - {{N}}) * {{PICTURE}} + at];
}

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
    let picture = i / {{PICTURE}};
    let at = i % {{PICTURE}};
    if (picture < 2u * {{N}}) {
        y[i] = pure(picture, at);
        return;
    }
    let m = picture - 2u * {{N}};
    let behind = pure(u32(outside[m]), at);
    y[i] = behind + (pure(u32(inside[m]), at) - behind) * mask[m * {{AREA}} + at % {{AREA}}];
}
