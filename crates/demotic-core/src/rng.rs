//! Counter-based random numbers: every draw is a pure function of (seed, stream, step, index).
//!
//! There is no state to save: resuming a run at step `n` means asking for step `n`. Only integer and
//! IEEE-exact floating-point operations are used, so the numbers are the same on every machine and backend.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "words are cut into halves, and fractions are made of as many bits as the type holds"
)]

use crate::number::Whole;

/// What a sequence of random numbers is for; different streams under one seed are independent.
///
/// A stream has up to 65,536 lanes (`Stream::lane`) for uses that come in numbers, such as one shuffle
/// a style.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stream(u32);

impl Stream {
    /// Initial weights.
    pub(crate) const INIT: Self = Self(1 << 16);
    /// Order in which training pictures are drawn.
    pub(crate) const SHUFFLE: Self = Self(2 << 16);
    /// Flips, shifts, turns and stroke widths of training pictures.
    pub(crate) const AUGMENT: Self = Self(3 << 16);
    /// Noise of the latent posterior and of `loss.cycle_noise`; latents of `loss.prior`.
    pub(crate) const LATENT: Self = Self(4 << 16);
    /// Target styles of translations.
    pub(crate) const TARGET_STYLE: Self = Self(5 << 16);
    /// Masks of composite pictures.
    pub(crate) const COMPOSITE: Self = Self(6 << 16);
    /// How pictures are varied in front of the discriminator.
    pub(crate) const DISCRIMINATOR: Self = Self(7 << 16);
    /// Pictures shown in sample grids, latents drawn from the prior.
    pub(crate) const SAMPLES: Self = Self(8 << 16);
    /// Resampling of metrics for their confidence intervals.
    pub(crate) const BOOTSTRAP: Self = Self(9 << 16);
    /// Which earlier translations the discriminator is shown.
    pub(crate) const POOL: Self = Self(10 << 16);
    /// Style codes of latent-guided translation, and pictures that styles are taken from.
    pub(crate) const STYLE: Self = Self(11 << 16);
    /// Composites that an ablation is scored on.
    pub(crate) const SCORED: Self = Self(33 << 16);
    /// What is learnt of words.
    pub(crate) const WORDS: Self = Self(34 << 16);
    /// Tests and benches.
    pub const TEST: Self = Self(255 << 16);

    /// One of the 65,536 independent lanes of this stream.
    #[must_use]
    pub(crate) const fn lane(self, lane: u16) -> Self {
        Self((self.0 & 0xffff_0000) | lane as u32)
    }
}

/// Philox4x32 with ten rounds: four 32-bit words for a 128-bit counter under a 64-bit key.
///
/// # Source
/// Salmon, Moraes, Dror, Shaw, *Parallel Random Numbers: As Easy as 1, 2, 3*, SC 2011.
#[must_use]
pub(crate) fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
    const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
    let (mut c, mut k) = (counter, key);
    for _ in 0..10 {
        let p0 = u64::from(MULTIPLIERS[0]) * u64::from(c[0]);
        let p1 = u64::from(MULTIPLIERS[1]) * u64::from(c[2]);
        c = [
            (p1 >> 32) as u32 ^ c[1] ^ k[0],
            p1 as u32,
            (p0 >> 32) as u32 ^ c[3] ^ k[1],
            p0 as u32,
        ];
        k = [k[0].wrapping_add(WEYL[0]), k[1].wrapping_add(WEYL[1])];
    }
    c
}

/// A run of random numbers for one (seed, stream, step): at most 2^34 words.
#[derive(Debug, Clone)]
pub struct Rng {
    key: [u32; 2],
    counter: [u32; 4],
    words: [u32; 4],
    used: usize,
    spare_normal: Option<f32>,
}

impl Rng {
    /// The numbers of `stream` at `step` under `seed`, from their beginning.
    #[must_use]
    pub fn new(seed: u64, stream: Stream, step: u64) -> Self {
        Self {
            key: [seed as u32, (seed >> 32) as u32],
            counter: [0, stream.0, step as u32, (step >> 32) as u32],
            words: [0; 4],
            used: 4,
            spare_normal: None,
        }
    }

    /// A uniform 32-bit word.
    pub(crate) fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.words = philox4x32_10(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        let word = self.words[self.used];
        self.used += 1;
        word
    }

    /// A uniform 64-bit word.
    pub(crate) fn next_u64(&mut self) -> u64 {
        let low = u64::from(self.next_u32());
        low | u64::from(self.next_u32()) << 32
    }

    /// Uniform in [0, 1), a multiple of 2^-24.
    pub(crate) fn uniform(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Uniform in [`low`, `high`).
    pub fn uniform_in(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    /// True with probability `prob`.
    pub(crate) fn chance(&mut self, prob: f32) -> bool {
        self.uniform() < prob
    }

    /// Uniform in `0..bound`, without bias.
    ///
    /// # Panics
    /// If `bound` is 0.
    ///
    /// # Source
    /// Lemire, *Fast Random Integer Generation in an Interval*, 2019.
    pub fn below(&mut self, bound: u32) -> u32 {
        assert!(bound > 0, "a number below 0 was asked for");
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u64::from(self.next_u32()) * u64::from(bound);
            if product as u32 >= threshold {
                return (product >> 32) as u32;
            }
        }
    }

    /// Standard normal, by Box and Muller: `sqrt(-2 ln u) (cos, sin)(2 pi v)`, evaluated in f64 by operations
    /// that are exact on every machine, then rounded to f32.
    pub(crate) fn normal(&mut self) -> f32 {
        if let Some(spare) = self.spare_normal.take() {
            return spare;
        }
        // 53 bits, and never 0, whose logarithm has no value.
        let u = ((self.next_u64() >> 11) + 1) as f64 * (1.0 / 9_007_199_254_740_992.0);
        let v = f64::from(self.next_u32()) * (1.0 / 4_294_967_296.0);
        let radius = (-2.0 * portable_ln(u)).sqrt();
        let (sin, cos) = portable_sin_cos(v);
        self.spare_normal = Some((radius * sin) as f32);
        (radius * cos) as f32
    }

    /// Fills `values` with standard normals.
    pub(crate) fn fill_normal(&mut self, values: &mut [f32]) {
        for value in values {
            *value = self.normal();
        }
    }

    /// `len` standard normals.
    pub fn normals(&mut self, len: usize) -> Vec<f32> {
        let mut values = vec![0.0; len];
        self.fill_normal(&mut values);
        values
    }

    /// Shuffles `values`, every order equally likely (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            values.swap(i, self.below(i as u32 + 1) as usize);
        }
    }

    /// A permutation of `0..len`.
    pub fn permutation(&mut self, len: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..len as u32).collect();
        self.shuffle(&mut order);
        order
    }
}

/// Natural logarithm of a positive normal number within 2e-14, by addition, multiplication and division
/// alone.
fn portable_ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff).to_i64() - 1023;
    let mut mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    // ln m = 2 artanh s with s = (m-1)/(m+1), |s| < 0.172: the term after the last is below 1e-17.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let mut sum = 0.0;
    for odd in (1..=21).rev().step_by(2) {
        sum = sum * square + 1.0 / f64::from(odd);
    }
    exponent as f64 * std::f64::consts::LN_2 + 2.0 * s * sum
}

/// Sine and cosine of `2 pi turns` for `turns` in [-2^31, 2^31], within 2e-15, the same on every machine.
#[must_use]
pub(crate) fn portable_sin_cos(turns: f64) -> (f64, f64) {
    let quarters = (turns * 4.0).round();
    let angle = (turns * 4.0 - quarters) * std::f64::consts::FRAC_PI_2; // within a quarter of pi
    let square = angle * angle;
    let (mut sin, mut cos) = (0.0, 0.0);
    // Taylor series by Horner's rule; the first term left out is below 1e-18.
    for n in (1..=9).rev() {
        let even = f64::from(2 * n);
        sin = (1.0 + sin) * -square / (even * (even + 1.0));
        cos = (1.0 + cos) * -square / (even * (even - 1.0));
    }
    let (sin, cos) = (angle * (1.0 + sin), 1.0 + cos);
    match (quarters as i64).rem_euclid(4) {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_published_vectors() {
        // Random123 1.14, tests/kat_vectors, philox4x32 10.
        let ones = u32::MAX;
        assert_eq!(
            philox4x32_10([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox4x32_10([ones; 4], [ones; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32_10(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn own_functions_agree_with_the_platform() {
        for i in 1..=20_000_u32 {
            let x = f64::from(i) / 20_000.0;
            assert!((portable_ln(x) - x.ln()).abs() < 2e-14, "ln {x}");
            let (sin, cos) = portable_sin_cos(x - 0.5);
            let angle = (x - 0.5) * std::f64::consts::TAU;
            assert!((sin - angle.sin()).abs() < 2e-15, "sin {x}");
            assert!((cos - angle.cos()).abs() < 2e-15, "cos {x}");
        }
    }

    #[test]
    fn streams_steps_seeds_and_lanes_differ() {
        let first = |seed, stream, step| Rng::new(seed, stream, step).next_u64();
        let base = first(1, Stream::TEST, 5);
        assert_eq!(base, first(1, Stream::TEST, 5));
        assert_ne!(base, first(2, Stream::TEST, 5));
        assert_ne!(base, first(1 << 32, Stream::TEST, 5));
        assert_ne!(base, first(1, Stream::AUGMENT, 5));
        assert_ne!(base, first(1, Stream::TEST.lane(1), 5));
        assert_ne!(base, first(1, Stream::TEST, 5 + (1 << 32)));
        assert_eq!(Stream::TEST.lane(7).lane(9), Stream::TEST.lane(9));
    }

    #[test]
    fn normals_have_the_moments_of_a_normal() {
        let n = 400_000;
        let values = Rng::new(3, Stream::TEST, 0).normals(n);
        let moment = |power: i32| {
            values
                .iter()
                .map(|&x| f64::from(x).powi(power))
                .sum::<f64>()
                / n as f64
        };
        // Four standard errors of each moment: sqrt(var / n) with var 1, 2, 15, 96.
        for (power, expected, variance) in
            [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)]
        {
            let error = moment(power) - expected;
            let allowed = 4.0 * f64::sqrt(variance / n as f64);
            assert!(error.abs() < allowed, "moment {power} is off by {error}");
        }
        assert!(
            values.iter().any(|x| x.abs() > 4.0),
            "no tail in {n} values"
        );
    }

    #[test]
    fn below_is_even_and_permutations_hold_every_index_once() {
        let mut rng = Rng::new(9, Stream::TEST, 0);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[rng.below(7) as usize] += 1;
        }
        let chi_square: f64 = counts
            .iter()
            .map(|&c| (f64::from(c) - 10_000.0).powi(2) / 10_000.0)
            .sum();
        // 22.46 is exceeded once in a thousand for 6 degrees of freedom; the seed is fixed.
        assert!(chi_square < 22.46, "{counts:?}");
        let mut order = rng.permutation(1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
        assert!(rng.permutation(0).is_empty());
    }
}
