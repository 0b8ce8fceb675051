//! A vector of floats, as wide as the processor has them: the transforms are written once for all.

#![expect(
    clippy::inline_always,
    reason = "vectors returned from a call would go through memory"
)]

use std::ops::{Add, Mul, Sub};

use wide::f32x8;

/// Lanes of the widest of them.
pub(super) const WIDEST: usize = 16;

/// As many floats as one instruction takes.
pub(super) trait Vector:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self>
{
    const LANES: usize;

    fn splat(value: f32) -> Self;

    /// `self * factor + summand`, rounded once where the processor can.
    fn mul_add(self, factor: Self, summand: Self) -> Self;

    /// The first [`Self::LANES`] values.
    fn read(from: &[f32]) -> Self;

    fn write(self, to: &mut [f32]);
}

impl Vector for f32x8 {
    const LANES: usize = 8;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self::splat(value)
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, summand: Self) -> Self {
        self.mul_add(factor, summand)
    }

    #[inline(always)]
    fn read(from: &[f32]) -> Self {
        Self::from(&from[..8])
    }

    #[inline(always)]
    fn write(self, to: &mut [f32]) {
        to[..8].copy_from_slice(self.as_array());
    }
}
