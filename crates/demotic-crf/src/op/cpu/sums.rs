//! Sums of the CPU's loops: pair sums in f32 that join their tables in f64, and logarithms taken once in a
//! block.

use wide::{f32x8, i32x8};

use super::lanes::LANES;

/// The sums of one unit's groups, direction by direction.
pub(super) struct Sums {
    pub(super) values: Vec<f64>,
    pub(super) tables: Vec<f64>,
}

/// `sum_t P_t[i][j] / M[i][j]`, lane by lane, of whole blocks of one group: carried from block to block.
pub(super) struct PairSums<'a, const L: usize> {
    sums: &'a mut [[f32x8; L]],
    /// Positions in the sums.
    pub(super) positions: usize,
    /// The group's table.
    pub(super) table: usize,
}

impl<'a, const L: usize> PairSums<'a, L> {
    pub(super) fn new(sums: &'a mut [[f32x8; L]]) -> Self {
        sums.fill([f32x8::ZERO; L]);
        Self {
            sums,
            positions: 0,
            table: 0,
        }
    }

    /// Adds `a_t[i] v_t[j]` over rows walked together.
    #[allow(
        clippy::needless_range_loop,
        reason = "tiles of two matrices walked together"
    )]
    pub(super) fn add(&mut self, a: &[[f32x8; L]], v: &[[f32x8; L]], l: usize) {
        self.positions += a.len();
        // Tiles of 2 x 4 sums stay in registers over all rows.
        for i0 in (0..l).step_by(2) {
            for j0 in (0..l).step_by(4) {
                let i: [usize; 2] = core::array::from_fn(|i| (i0 + i).min(L - 1));
                let j: [usize; 4] = core::array::from_fn(|j| (j0 + j).min(L - 1));
                let mut sums = [[f32x8::ZERO; 4]; 2];
                for (a, v) in a.iter().zip(v) {
                    for dj in 0..4 {
                        sums[0][dj] = a[i[0]].mul_add(v[j[dj]], sums[0][dj]);
                        sums[1][dj] = a[i[1]].mul_add(v[j[dj]], sums[1][dj]);
                    }
                }
                for di in 0..2.min(l - i0) {
                    for dj in 0..4.min(l - j0) {
                        self.sums[i0 + di][j0 + dj] += sums[di][dj];
                    }
                }
            }
        }
    }

    /// Adds what is held to its group's table; nothing is held afterwards.
    pub(super) fn flush(&mut self, m: &[[f32; L]; L], l: usize, tables: &mut [f64]) {
        if self.positions == 0 {
            return;
        }
        for i in 0..l {
            for j in 0..l {
                let sum = self.sums[i][j] * f32x8::splat(m[i][j]);
                tables[self.table + i * l + j] += f64::from(sum.reduce_add());
                self.sums[i][j] = f32x8::ZERO;
            }
        }
        self.positions = 0;
    }

    /// Hands each entry's lanes to `take`; nothing is held afterwards.
    pub(super) fn drain(&mut self, l: usize, mut take: impl FnMut(usize, usize, [f32; LANES])) {
        for i in 0..l {
            for j in 0..l {
                take(i, j, self.sums[i][j].to_array());
                self.sums[i][j] = f32x8::ZERO;
            }
        }
        self.positions = 0;
    }
}

/// A running sum of logarithms: mantissas are multiplied and exponents added, and one logarithm is taken in a
/// block of positions. It does not see a NaN: the caller does, by
/// [`nothing_or_nan`](super::lanes::nothing_or_nan).
pub(super) struct LogSum {
    mantissa: f32x8,
    exponent: i32x8,
}

impl LogSum {
    pub(super) const fn new() -> Self {
        Self {
            mantissa: f32x8::ONE,
            exponent: i32x8::ZERO,
        }
    }

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "the loop's core")]
    pub(super) fn add(&mut self, z: f32x8) {
        let bits: i32x8 = bytemuck::cast(z);
        self.exponent += (bits >> 23) - i32x8::splat(127);
        let mantissa = (bits & i32x8::splat(0x007f_ffff)) | i32x8::splat(0x3f80_0000);
        self.mantissa *= bytemuck::cast::<i32x8, f32x8>(mantissa);
    }

    /// Adds the sum to `total` and begins again.
    #[inline]
    pub(super) fn take(&mut self, total: &mut [f64; LANES]) {
        let (ln, exponent) = (self.mantissa.ln().to_array(), self.exponent.to_array());
        for (lane, total) in total.iter_mut().enumerate() {
            *total +=
                f64::from(exponent[lane]).mul_add(core::f64::consts::LN_2, f64::from(ln[lane]));
        }
        *self = Self::new();
    }
}

/// Adds a block's f32 sum to the total.
#[inline]
pub(super) fn flush_terms(terms: &mut f32x8, total: &mut [f64; LANES]) {
    for (total, term) in total.iter_mut().zip(terms.as_array()) {
        *total += f64::from(*term);
    }
    *terms = f32x8::ZERO;
}
