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

use super::vector::Vector;

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

/// `B' d`
#[inline(always)]
pub(super) fn of_input<V: Vector>([d0, d1, d2, d3, d4, d5]: [V; SPAN]) -> [V; SPAN] {
    let (minus_sum, product) = (V::splat(-A * A - B * B), V::splat(A * A * B * B));
    // Even and odd parts of x (x +- a) (x^2 - b^2), and with a and b exchanged.
    let even_a = d2.mul_add(V::splat(-B * B), d4);
    let odd_a = d1.mul_add(V::splat(-B * B), d3) * V::splat(A);
    let even_b = d2.mul_add(V::splat(-A * A), d4);
    let odd_b = d1.mul_add(V::splat(-A * A), d3) * V::splat(B);
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
pub(super) fn of_products<V: Vector>([m0, m1, m2, m3, m4, m5]: [V; SPAN]) -> [V; OUT] {
    let (sum_a, less_a) = (m1 + m2, m1 - m2);
    let (sum_b, less_b) = (m3 + m4, m3 - m4);
    [
        m0 + sum_a + sum_b,
        less_a.mul_add(V::splat(A), less_b * V::splat(B)),
        sum_a.mul_add(V::splat(A * A), sum_b * V::splat(B * B)),
        less_a.mul_add(V::splat(A * A * A), less_b.mul_add(V::splat(B * B * B), m5)),
    ]
}

/// `A dy`
#[inline(always)]
pub(super) fn of_gradient<V: Vector>([y0, y1, y2, y3]: [V; OUT]) -> [V; SPAN] {
    let even_a = y2.mul_add(V::splat(A * A), y0);
    let odd_a = y3.mul_add(V::splat(A * A), y1) * V::splat(A);
    let even_b = y2.mul_add(V::splat(B * B), y0);
    let odd_b = y3.mul_add(V::splat(B * B), y1) * V::splat(B);
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
pub(super) fn of_taps<V: Vector>([w0, w1, w2]: [V; 3]) -> [V; SPAN] {
    let even_a = w2.mul_add(V::splat(A * A), w0) * V::splat(N_A);
    let odd_a = w1 * V::splat(A * N_A);
    let even_b = w2.mul_add(V::splat(B * B), w0) * V::splat(N_B);
    let odd_b = w1 * V::splat(B * N_B);
    [
        w0 * V::splat(N_0),
        even_a + odd_a,
        even_a - odd_a,
        even_b + odd_b,
        even_b - odd_b,
        w2,
    ]
}

/// `G' du`
#[inline(always)]
pub(super) fn to_taps<V: Vector>([u0, u1, u2, u3, u4, u5]: [V; SPAN]) -> [V; 3] {
    let (sum_a, less_a) = ((u1 + u2) * V::splat(N_A), (u1 - u2) * V::splat(N_A * A));
    let (sum_b, less_b) = ((u3 + u4) * V::splat(N_B), (u3 - u4) * V::splat(N_B * B));
    [
        u0.mul_add(V::splat(N_0), sum_a + sum_b),
        less_a + less_b,
        sum_a.mul_add(V::splat(A * A), sum_b.mul_add(V::splat(B * B), u5)),
    ]
}
