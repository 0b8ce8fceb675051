//! Eight chains in the lanes of one vector: their values into lanes and back, and the arithmetic that every
//! walk shares.

use wide::{f32x4, f32x8, i32x8};

use crate::op::plan::{LOG_FLOOR, Strides};

/// Chains computed together.
pub(super) const LANES: usize = 8;

/// Chains computed together from both ends.
pub(super) const HALF: usize = LANES / 2;

/// `out[j] = sum_i w[i] * m[i][j]`, eight labels j at a time so that the sums stay in registers.
#[inline(always)]
#[allow(
    clippy::inline_always,
    reason = "the loop's core: a call would spill every lane"
)]
pub(super) fn times_left<const L: usize>(w: &[f32x8; L], m: &[[f32; L]; L]) -> [f32x8; L] {
    let mut out = [f32x8::ZERO; L];
    let mut j0 = 0;
    while j0 < L {
        let tile = if L - j0 < 8 { L - j0 } else { 8 };
        let mut sums = [f32x8::ZERO; 8];
        for i in 0..L {
            for j in 0..tile {
                sums[j] = w[i].mul_add(f32x8::splat(m[i][j0 + j]), sums[j]);
            }
        }
        out[j0..j0 + tile].copy_from_slice(&sums[..tile]);
        j0 += 8;
    }
    out
}

/// `out[i] = sum_j m[i][j] * v[j]`.
#[inline(always)]
#[allow(
    clippy::inline_always,
    reason = "the loop's core: a call would spill every lane"
)]
pub(super) fn times_right<const L: usize>(m: &[[f32; L]; L], v: &[f32x8; L]) -> [f32x8; L] {
    let mut out = [f32x8::ZERO; L];
    let mut i0 = 0;
    while i0 < L {
        let tile = if L - i0 < 8 { L - i0 } else { 8 };
        let mut sums = [f32x8::ZERO; 8];
        for j in 0..L {
            for i in 0..tile {
                sums[i] = v[j].mul_add(f32x8::splat(m[i0 + i][j]), sums[i]);
            }
        }
        out[i0..i0 + tile].copy_from_slice(&sums[..tile]);
        i0 += 8;
    }
    out
}

/// `out[j] = sum_i w[i] * m[i][j]`, lane by lane.
#[inline(always)]
#[allow(
    clippy::inline_always,
    reason = "the loop's core: a call would spill every lane"
)]
pub(super) fn times_both<const L: usize>(w: &[f32x8; L], m: &[[f32x8; L]]) -> [f32x8; L] {
    let mut out = [f32x8::ZERO; L];
    let mut j0 = 0;
    while j0 < L {
        let tile = if L - j0 < 8 { L - j0 } else { 8 };
        let mut sums = [f32x8::ZERO; 8];
        for i in 0..L {
            for j in 0..tile {
                sums[j] = w[i].mul_add(m[i][j0 + j], sums[j]);
            }
        }
        out[j0..j0 + tile].copy_from_slice(&sums[..tile]);
        j0 += 8;
    }
    out
}

/// Sum over labels, in two interleaved runs: half the depth of one.
#[inline(always)]
#[allow(clippy::inline_always, reason = "the loop's core")]
pub(super) fn sum_of<const L: usize>(values: &[f32x8; L]) -> f32x8 {
    let mut sums = [f32x8::ZERO; 2];
    for (k, &value) in values.iter().enumerate() {
        sums[k % 2] += value;
    }
    sums[0] + sums[1]
}

/// `exp(max(x, -41))` for x <= 0, within 1.5 units in the last place; NaN stays NaN.
///
/// `x = n ln 2 + r`, a polynomial of degree 6 in `r`, then `n` into the exponent (Cephes' `expf`).
#[inline(always)]
#[allow(clippy::inline_always, reason = "the loop's core")]
pub(super) fn exp_scaled(x: f32x8) -> f32x8 {
    let floor = f32x8::splat(LOG_FLOOR);
    let x = x.simd_lt(floor).select(floor, x);
    let n = (x * f32x8::splat(core::f32::consts::LOG2_E)).round_ties_even();
    let r = n.mul_neg_add(f32x8::splat(0.693_359_4), x);
    let r = n.mul_neg_add(f32x8::splat(-2.121_944_4e-4), r);
    let mut p = f32x8::splat(1.987_569_1e-4);
    for c in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        p = p.mul_add(r, f32x8::splat(c));
    }
    let p = p.mul_add(r * r, r + f32x8::ONE);
    let exponent = (n.fast_trunc_int() + i32x8::splat(127)) << 23;
    p * bytemuck::cast::<i32x8, f32x8>(exponent)
}

/// The upper four lanes below, the lower four above.
#[inline(always)]
#[allow(clippy::inline_always, reason = "the loop's core")]
pub(super) fn swapped(x: f32x8) -> f32x8 {
    let [below, above]: [f32x4; 2] = bytemuck::cast(x);
    bytemuck::cast([above, below])
}

/// Zero in lanes whose vector is made of numbers, otherwise NaN.
pub(super) fn nothing_or_nan<const L: usize>(vector: &[f32x8; L]) -> f32x8 {
    sum_of(vector) * f32x8::ZERO
}

#[inline]
pub(super) fn floored(x: f32) -> f32 {
    if x < LOG_FLOOR { LOG_FLOOR } else { x }
}

/// Emissions of eight chains into `[t][l]` lanes.
pub(super) fn pack<const L: usize>(
    e: &[f32],
    starts: [usize; LANES],
    count: usize,
    strides: &Strides,
    l: usize,
    out: &mut [[f32x8; L]],
) {
    let t = out.len();
    if count == LANES && (1..LANES).all(|lane| starts[lane] == starts[0] + lane) {
        for (step, row) in out.iter_mut().enumerate() {
            for (k, value) in row[..l].iter_mut().enumerate() {
                *value = load(e, starts[0] + step * strides.step + k * strides.label);
            }
        }
        return;
    }
    let runs = runs::<L>(strides, l, t);
    for run in 0..runs.count {
        let base = run * strides.label;
        let flat = out.as_flattened_mut();
        let mut f = 0;
        while runs.step == 1 && f + LANES <= runs.length {
            let rows: [f32x8; LANES] =
                core::array::from_fn(|lane| load(e, starts[lane] + base + f));
            for (d, value) in f32x8::transpose(rows).into_iter().enumerate() {
                flat[(f + d) * runs.stride + run] = value;
            }
            f += LANES;
        }
        for f in f..runs.length {
            flat[f * runs.stride + run] =
                f32x8::from(core::array::from_fn::<f32, LANES, _>(|lane| {
                    e[starts[lane] + base + f * runs.step]
                }));
        }
    }
}

/// Marginals `[t][l]` of eight chains to where the gradient keeps them, scaled; `add` or replace.
#[allow(
    clippy::too_many_arguments,
    reason = "the mirror of `pack`, with a scale"
)]
pub(super) fn unpack<const L: usize>(
    out: &mut [f32],
    starts: [usize; LANES],
    count: usize,
    strides: &Strides,
    l: usize,
    u: &[[f32x8; L]],
    scale: f32,
    add: bool,
) {
    let scale = f32x8::splat(scale);
    let put = |to: &mut [f32], value: f32x8| {
        let value = if add {
            value.mul_add(scale, load(to, 0))
        } else {
            value * scale
        };
        to.copy_from_slice(value.as_array());
    };
    if count == LANES && (1..LANES).all(|lane| starts[lane] == starts[0] + lane) {
        for (step, row) in u.iter().enumerate() {
            for (k, &value) in row[..l].iter().enumerate() {
                put(
                    &mut out[starts[0] + step * strides.step + k * strides.label..][..LANES],
                    value,
                );
            }
        }
        return;
    }
    let runs = runs::<L>(strides, l, u.len());
    let flat = u.as_flattened();
    for run in 0..runs.count {
        let base = run * strides.label;
        let mut f = 0;
        while runs.step == 1 && f + LANES <= runs.length {
            let rows =
                f32x8::transpose(core::array::from_fn(|d| flat[(f + d) * runs.stride + run]));
            for lane in 0..count {
                put(&mut out[starts[lane] + base + f..][..LANES], rows[lane]);
            }
            f += LANES;
        }
        for f in f..runs.length {
            let value = (flat[f * runs.stride + run] * scale).to_array();
            for lane in 0..count {
                let to = &mut out[starts[lane] + base + f * runs.step];
                *to = if add { *to + value[lane] } else { value[lane] };
            }
        }
    }
}

/// How a chain's values lie in memory: `count` runs of `length` values `step` apart; value `f` of run `r`
/// belongs at `f * stride + r` of `[t][l]`.
struct Runs {
    count: usize,
    length: usize,
    step: usize,
    stride: usize,
}

fn runs<const L: usize>(strides: &Strides, l: usize, t: usize) -> Runs {
    if strides.label == 1 && strides.step == l && l == L {
        Runs {
            count: 1,
            length: t * l,
            step: 1,
            stride: 1,
        }
    } else {
        Runs {
            count: l,
            length: t,
            step: strides.step,
            stride: L,
        }
    }
}

#[inline]
pub(super) fn load(values: &[f32], at: usize) -> f32x8 {
    let mut lanes = [0.0; LANES];
    lanes.copy_from_slice(&values[at..at + LANES]);
    f32x8::from(lanes)
}
