//! The matrices of F(4x4, 3x3) along one side, at the points 0, A, -A, B, -B and infinity; lanes are
//! channels.
//!
//! With the points 0, 3/4, -3/4, 3/2, -3/2 numbers grow little on the way: against float64 on noise the error
//! is a quarter of what 0, 1, -1, 2, -2 give.
//!
//! # Source
//! Lavin and Gray 2016 (the algorithm); Barabasz et al. 2020 (points and error). The matrices for any A and B
//! are derived here.

#![expect(
    clippy::inline_always,
    reason = "vectors returned from a call would go through memory"
)]

use wide::f32x8;

/// Side of a tile's outputs.
pub(super) const OUT: usize = 4;
/// Side of a tile's inputs.
pub(super) const SPAN: usize = 6;
/// The finite points beside 0, with both signs.
const A: f32 = 0.75;
const B: f32 = 1.5;
/// Reciprocals of the products of a point's distances to the other finite ones, of 0, A and B.
const N_0: f32 = 1.0 / (A * A * B * B);
const N_A: f32 = 1.0 / (2.0 * A * A * (A * A - B * B));
const N_B: f32 = 1.0 / (2.0 * B * B * (B * B - A * A));

#[inline(always)]
pub(super) fn splat(value: f32) -> f32x8 {
    f32x8::splat(value)
}

/// `B' d`
#[inline(always)]
pub(super) fn of_input([d0, d1, d2, d3, d4, d5]: [f32x8; SPAN]) -> [f32x8; SPAN] {
    let (minus_sum, product) = (splat(-A * A - B * B), splat(A * A * B * B));
    // Even and odd parts of x (x +- a) (x^2 - b^2), and with a and b exchanged.
    let even_a = d2.mul_add(splat(-B * B), d4);
    let odd_a = d1.mul_add(splat(-B * B), d3) * splat(A);
    let even_b = d2.mul_add(splat(-A * A), d4);
    let odd_b = d1.mul_add(splat(-A * A), d3) * splat(B);
    [
        d0.mul_add(product, d2.mul_add(minus_sum, d4)),
        even_a + odd_a,
        even_a - odd_a,
        even_b + odd_b,
        even_b - odd_b,
        d1.mul_add(product, d3.mul_add(minus_sum, d5)),
    ]
}

/// `A' m`
#[inline(always)]
pub(super) fn of_products([m0, m1, m2, m3, m4, m5]: [f32x8; SPAN]) -> [f32x8; OUT] {
    let (sum_a, less_a) = (m1 + m2, m1 - m2);
    let (sum_b, less_b) = (m3 + m4, m3 - m4);
    [
        m0 + sum_a + sum_b,
        less_a.mul_add(splat(A), less_b * splat(B)),
        sum_a.mul_add(splat(A * A), sum_b * splat(B * B)),
        less_a.mul_add(splat(A * A * A), less_b.mul_add(splat(B * B * B), m5)),
    ]
}

/// `A dy`
#[inline(always)]
pub(super) fn of_gradient([y0, y1, y2, y3]: [f32x8; OUT]) -> [f32x8; SPAN] {
    let even_a = y2.mul_add(splat(A * A), y0);
    let odd_a = y3.mul_add(splat(A * A), y1) * splat(A);
    let even_b = y2.mul_add(splat(B * B), y0);
    let odd_b = y3.mul_add(splat(B * B), y1) * splat(B);
    [
        y0,
        even_a + odd_a,
        even_a - odd_a,
        even_b + odd_b,
        even_b - odd_b,
        y3,
    ]
}

/// `G w`
#[inline(always)]
pub(super) fn of_taps([w0, w1, w2]: [f32x8; 3]) -> [f32x8; SPAN] {
    let even_a = w2.mul_add(splat(A * A), w0) * splat(N_A);
    let odd_a = w1 * splat(A * N_A);
    let even_b = w2.mul_add(splat(B * B), w0) * splat(N_B);
    let odd_b = w1 * splat(B * N_B);
    [
        w0 * splat(N_0),
        even_a + odd_a,
        even_a - odd_a,
        even_b + odd_b,
        even_b - odd_b,
        w2,
    ]
}

/// `G' du`
#[inline(always)]
pub(super) fn to_taps([u0, u1, u2, u3, u4, u5]: [f32x8; SPAN]) -> [f32x8; 3] {
    let (sum_a, less_a) = ((u1 + u2) * splat(N_A), (u1 - u2) * splat(N_A * A));
    let (sum_b, less_b) = ((u3 + u4) * splat(N_B), (u3 - u4) * splat(N_B * B));
    [
        u0.mul_add(splat(N_0), sum_a + sum_b),
        less_a + less_b,
        sum_a.mul_add(splat(A * A), sum_b.mul_add(splat(B * B), u5)),
    ]
}
