//! The inner loops of convolutions in vectors of sixteen, for processors with AVX-512.
//!
//! The crate is built for AVX2 and FMA; these functions alone are built for more, and a [`Wide`] is there
//! only where the processor has it. Every output number is the same chain of fused multiply-adds as in
//! vectors of eight, so both give the same bits. A build without FMA rounds twice in vectors of eight, and
//! has no [`Wide`].

#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "vectors of sixteen are read and written through raw pointers, and need the processor's word"
    )
)]
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        clippy::inline_always,
        reason = "vectors returned from a call would go through memory"
    )
)]

#[cfg(not(target_arch = "x86_64"))]
use std::convert::Infallible as Proof;
use std::mem::MaybeUninit;
use std::ops::Range;

use super::room::{ConvShape, Padding};
use super::tiles::{Place, Tiling};
use super::vector::WIDEST;
#[cfg(target_arch = "x86_64")]
use x86::Proof;

/// Lanes of one vector.
pub(super) const LANES: usize = WIDEST;
/// Output channels of Winograd's products that are multiplied at once: three vectors by eight tiles fill the
/// registers.
pub(super) const PANEL: usize = 3 * LANES;

/// Says that the processor has AVX-512.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wide(Proof);

#[cfg(not(target_arch = "x86_64"))]
impl Wide {
    pub(super) fn of_processor() -> Option<Self> {
        None
    }

    pub(super) fn multiply(self, _: &[f32], _: usize, _: &[f32], _: &mut [f32], _: usize) {
        match self.0 {}
    }

    pub(super) fn correlate(self, _: &[[&[f32]; 2]], _: [usize; 2], _: &mut [f32]) {
        match self.0 {}
    }

    pub(super) fn convolve_picture<const BLOCK: usize, const K: usize>(
        self,
        _: (&[f32], Padding),
        _: &[f32],
        _: [f32; BLOCK],
        _: ConvShape,
        _: &mut [MaybeUninit<f32>],
    ) {
        match self.0 {}
    }

    pub(super) fn transform_input(
        self,
        _: &[&[f32]],
        _: (Tiling, Range<usize>),
        _: &mut [f32],
        _: (&mut [f32], Place),
    ) {
        match self.0 {}
    }

    pub(super) fn transform_gradient(
        self,
        _: &[&[f32]],
        _: (Tiling, Range<usize>),
        _: &mut [f32],
        _: (&mut [f32], Place),
    ) {
        match self.0 {}
    }

    pub(super) fn inverse(
        self,
        _: (&[f32], Place),
        _: (Tiling, Range<usize>),
        _: &mut [f32],
        _: Option<&[f32]>,
        _: &mut [&mut [MaybeUninit<f32>]],
    ) {
        match self.0 {}
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m512, __mmask16, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps,
        _mm512_maskz_loadu_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
        _mm512_sub_ps,
    };
    use std::ops::{Add, Mul, Sub};

    use super::super::points::{OUT, SPAN};
    use super::super::tiles::{self, OfGradient, OfInput};
    use super::super::vector::Vector;
    use super::{ConvShape, LANES, MaybeUninit, PANEL, Padding, Place, Range, Tiling, Wide};

    /// A vector that only functions with AVX-512 make: those below, which a [`Wide`] calls.
    #[derive(Clone, Copy)]
    struct Sixteen(__m512);

    /// An operation of two vectors by its instruction.
    macro_rules! by {
        ($operation:ident, $method:ident, $instruction:ident) => {
            impl $operation for Sixteen {
                type Output = Self;

                #[inline(always)]
                fn $method(self, other: Self) -> Self {
                    // SAFETY: a value of this type is made with AVX-512 alone.
                    Self(unsafe { $instruction(self.0, other.0) })
                }
            }
        };
    }

    by!(Add, add, _mm512_add_ps);
    by!(Sub, sub, _mm512_sub_ps);
    by!(Mul, mul, _mm512_mul_ps);

    impl Vector for Sixteen {
        const LANES: usize = LANES;

        #[inline(always)]
        fn splat(value: f32) -> Self {
            // SAFETY: the type is private, and used where a `Wide` says that the processor has AVX-512.
            Self(unsafe { _mm512_set1_ps(value) })
        }

        #[inline(always)]
        fn mul_add(self, factor: Self, summand: Self) -> Self {
            // SAFETY: as of `splat`.
            Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, summand.0) })
        }

        #[inline(always)]
        fn read(from: &[f32]) -> Self {
            // SAFETY: as of `splat`; so many values are there.
            Self(unsafe { _mm512_loadu_ps(from[..LANES].as_ptr()) })
        }

        #[inline(always)]
        fn write(self, to: &mut [f32]) {
            // SAFETY: as of `splat`; there is room for so many values.
            unsafe { _mm512_storeu_ps(to[..LANES].as_mut_ptr(), self.0) }
        }
    }

    #[derive(Clone, Copy, Debug)]
    pub(super) struct Proof(());

    #[expect(
        clippy::unused_self,
        reason = "a value of this type is the proof that these may be called"
    )]
    impl Wide {
        /// `None` where vectors have eight lanes at most, or would not give the bits of eight.
        pub(crate) fn of_processor() -> Option<Self> {
            let is_fused = cfg!(target_feature = "fma");
            (is_fused && is_x86_feature_detected!("avx512f")).then_some(Self(Proof(())))
        }

        /// `m[tile][lane] = sum_c v[tile][c] weights[c][lane]`, `width` lanes.
        pub(crate) fn multiply(
            self,
            v: &[f32],
            channels: usize,
            weights: &[f32],
            m: &mut [f32],
            width: usize,
        ) {
            // SAFETY: `self` says that the processor has AVX-512.
            unsafe {
                match width.div_ceil(LANES) {
                    3 => multiply::<8, 3>(v, channels, weights, m, width),
                    2 => multiply::<8, 2>(v, channels, weights, m, width),
                    _ => multiply::<16, 1>(v, channels, weights, m, width),
                }
            }
        }

        /// `du[o][c] += sum_tiles y[tile][o] v[tile][c]` of parts `[v, y]`; `co` is a multiple of eight.
        pub(crate) fn correlate(self, parts: &[[&[f32]; 2]], [ci, co]: [usize; 2], du: &mut [f32]) {
            let tiles = parts
                .iter()
                .flat_map(|[v, y]| v.chunks_exact(ci).zip(y.chunks_exact(co)));
            // One loop over all of them keeps the sums in registers.
            let tiles: Vec<[&[f32]; 2]> = tiles.map(|(v, y)| [v, y]).collect();
            for c in (0..ci).step_by(PANEL) {
                // SAFETY: `self` says that the processor has AVX-512.
                unsafe {
                    match (ci - c).div_ceil(LANES) {
                        1 => correlate::<8, 1>(&tiles, [ci, co], c, du),
                        2 => correlate::<8, 2>(&tiles, [ci, co], c, du),
                        _ => correlate::<8, 3>(&tiles, [ci, co], c, du),
                    }
                }
            }
        }

        /// `BLOCK` output channels of one picture whose rows are padded to whole vectors.
        pub(crate) fn convolve_picture<const BLOCK: usize, const K: usize>(
            self,
            source: (&[f32], Padding),
            weights: &[f32],
            start: [f32; BLOCK],
            s: ConvShape,
            to: &mut [MaybeUninit<f32>],
        ) {
            // SAFETY: `self` says that the processor has AVX-512.
            unsafe { convolve_picture::<BLOCK, K>(source, weights, start, s, to) }
        }

        /// `B' d B` of planes that fill vectors of sixteen.
        pub(crate) fn transform_input(
            self,
            planes: &[&[f32]],
            unit: (Tiling, Range<usize>),
            strip: &mut [f32],
            to: (&mut [f32], Place),
        ) {
            // SAFETY: `self` says that the processor has AVX-512.
            unsafe { transform_input(planes, unit, strip, to) }
        }

        /// `A dy A'` of planes that fill vectors of sixteen.
        pub(crate) fn transform_gradient(
            self,
            planes: &[&[f32]],
            unit: (Tiling, Range<usize>),
            strip: &mut [f32],
            to: (&mut [f32], Place),
        ) {
            // SAFETY: `self` says that the processor has AVX-512.
            unsafe { transform_gradient(planes, unit, strip, to) }
        }

        /// `A' m A` and the bias of channels that fill vectors of sixteen.
        pub(crate) fn inverse(
            self,
            m: (&[f32], Place),
            unit: (Tiling, Range<usize>),
            strip: &mut [f32],
            bias: Option<&[f32]>,
            planes: &mut [&mut [MaybeUninit<f32>]],
        ) {
            // SAFETY: `self` says that the processor has AVX-512.
            unsafe { inverse(m, unit, strip, bias, planes) }
        }
    }

    #[inline(never)]
    #[target_feature(enable = "avx512f")]
    fn transform_input(
        planes: &[&[f32]],
        unit: (Tiling, Range<usize>),
        strip: &mut [f32],
        to: (&mut [f32], Place),
    ) {
        tiles::transform::<Sixteen, OfInput, SPAN>(1, planes, unit, strip, to);
    }

    #[inline(never)]
    #[target_feature(enable = "avx512f")]
    fn transform_gradient(
        planes: &[&[f32]],
        unit: (Tiling, Range<usize>),
        strip: &mut [f32],
        to: (&mut [f32], Place),
    ) {
        tiles::transform::<Sixteen, OfGradient, OUT>(0, planes, unit, strip, to);
    }

    #[inline(never)]
    #[target_feature(enable = "avx512f")]
    fn inverse(
        m: (&[f32], Place),
        unit: (Tiling, Range<usize>),
        strip: &mut [f32],
        bias: Option<&[f32]>,
        planes: &mut [&mut [MaybeUninit<f32>]],
    ) {
        tiles::inverse::<Sixteen>(m, unit, strip, bias, planes);
    }

    /// The lanes of a vector of which `count` are wanted.
    fn first_lanes(count: usize) -> __mmask16 {
        __mmask16::MAX >> (LANES - count)
    }

    /// The lanes of the last of N vectors that hold `width` values.
    fn last_lanes<const N: usize>(width: usize) -> __mmask16 {
        assert!(
            width > (N - 1) * LANES && width <= N * LANES,
            "{width} lanes"
        );
        first_lanes(width - (N - 1) * LANES)
    }

    /// N vectors, the last one's lanes by `last`, the others zero.
    ///
    /// # Safety
    /// So many values must lie from `at` on.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load<const N: usize>(at: *const f32, last: __mmask16) -> [__m512; N] {
        let mut values = [_mm512_setzero_ps(); N];
        for (i, value) in values.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *value = unsafe {
                if i + 1 < N {
                    _mm512_loadu_ps(at.add(i * LANES))
                } else {
                    _mm512_maskz_loadu_ps(last, at.add(i * LANES))
                }
            };
        }
        values
    }

    /// # Safety
    /// As of [`load`].
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn store<const N: usize>(at: *mut f32, last: __mmask16, values: &[__m512; N]) {
        for (i, value) in values.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                if i + 1 < N {
                    _mm512_storeu_ps(at.add(i * LANES), *value);
                } else {
                    _mm512_mask_storeu_ps(at.add(i * LANES), last, *value);
                }
            }
        }
    }

    /// R tiles by N vectors at once.
    #[inline(never)]
    #[target_feature(enable = "avx512f")]
    fn multiply<const R: usize, const N: usize>(
        v: &[f32],
        channels: usize,
        weights: &[f32],
        m: &mut [f32],
        width: usize,
    ) {
        let (inputs, tiles) = (weights.len() / width, v.len() / channels);
        let last = last_lanes::<N>(width);
        assert!(inputs <= channels);
        for (block, m) in m.chunks_mut(R * width).enumerate() {
            // The last block computes its last tile again rather than read past it.
            let rows: [&[f32]; R] =
                std::array::from_fn(|r| &v[(block * R + r).min(tiles - 1) * channels..][..inputs]);
            let mut sums = [[_mm512_setzero_ps(); N]; R];
            for c in 0..inputs {
                // SAFETY: `weights` has `inputs` rows of `width` values, N vectors of them by `last`.
                let weights = unsafe { load::<N>(weights.as_ptr().add(c * width), last) };
                for (sums, row) in sums.iter_mut().zip(&rows) {
                    // SAFETY: a row has `inputs` values.
                    let x = _mm512_set1_ps(unsafe { *row.get_unchecked(c) });
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum = _mm512_fmadd_ps(x, weight, *sum);
                    }
                }
            }
            for (m, sums) in m.chunks_exact_mut(width).zip(&sums) {
                // SAFETY: `m` has `width` values.
                unsafe { store(m.as_mut_ptr(), last, sums) };
            }
        }
    }

    /// R output channels by N vectors of input channels from `c` on at once; `tiles`: rows of `ci` and of
    /// `co` values.
    #[inline(never)]
    #[target_feature(enable = "avx512f")]
    fn correlate<const R: usize, const N: usize>(
        tiles: &[[&[f32]; 2]],
        [ci, co]: [usize; 2],
        c: usize,
        du: &mut [f32],
    ) {
        let width = (ci - c).min(N * LANES);
        let last = last_lanes::<N>(width);
        assert!(co.is_multiple_of(R));
        assert!(tiles.iter().all(|[v, y]| v.len() == ci && y.len() == co));
        for o in (0..co).step_by(R) {
            let mut sums = [[_mm512_setzero_ps(); N]; R];
            for [v, y] in tiles {
                // SAFETY: `width` values lie from `c` on in a row of `ci`, N vectors of them by `last`.
                let v = unsafe { load::<N>(v.as_ptr().add(c), last) };
                for (r, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: R divides the `co` values of a row.
                    let y = _mm512_set1_ps(unsafe { *y.get_unchecked(o + r) });
                    for (sum, v) in sums.iter_mut().zip(v) {
                        *sum = _mm512_fmadd_ps(y, v, *sum);
                    }
                }
            }
            for (du, sums) in du[o * ci..].chunks_exact_mut(ci).zip(&sums) {
                let du = &mut du[c..c + width];
                // SAFETY: `du` has `width` values.
                unsafe {
                    let mut values = load::<N>(du.as_ptr(), last);
                    for (value, sum) in values.iter_mut().zip(sums) {
                        *value = _mm512_add_ps(*value, *sum);
                    }
                    store(du.as_mut_ptr(), last, &values);
                }
            }
        }
    }

    /// Two vectors of positions at once.
    #[inline(never)]
    #[target_feature(enable = "avx512f")]
    fn convolve_picture<const BLOCK: usize, const K: usize>(
        (source, padding): (&[f32], Padding),
        weights: &[f32],
        start: [f32; BLOCK],
        s: ConvShape,
        to: &mut [MaybeUninit<f32>],
    ) {
        let per_row = s.width.div_ceil(LANES);
        let vectors = s.height * per_row;
        let inputs = weights.len() / (K * K * BLOCK);
        for v in (0..vectors).step_by(2) {
            // An odd last vector is computed twice rather than read past the picture.
            let at = [v, (v + 1).min(vectors - 1)].map(|v| (v / per_row, v % per_row * LANES));
            let offsets = at.map(|(row, x)| row * padding.row + x);
            let farthest = (inputs - 1) * padding.plane + (K - 1) * (padding.row + 1) + LANES;
            assert!(offsets[1] + farthest <= source.len());
            let mut sums = start.map(|start| [_mm512_set1_ps(start); 2]);
            for (c, taps) in weights.chunks_exact(K * K * BLOCK).enumerate() {
                for ky in 0..K {
                    for kx in 0..K {
                        let from = c * padding.plane + ky * padding.row + kx;
                        // SAFETY: the assertion above states the farthest read.
                        let values = unsafe {
                            let source = source.as_ptr().add(from);
                            [
                                _mm512_loadu_ps(source.add(offsets[0])),
                                _mm512_loadu_ps(source.add(offsets[1])),
                            ]
                        };
                        let taps = &taps[(ky * K + kx) * BLOCK..][..BLOCK];
                        for (sums, tap) in sums.iter_mut().zip(taps) {
                            let tap = _mm512_set1_ps(*tap);
                            for (sum, value) in sums.iter_mut().zip(values) {
                                *sum = _mm512_fmadd_ps(tap, value, *sum);
                            }
                        }
                    }
                }
            }
            for (channel, sums) in to.chunks_exact_mut(s.height * s.width).zip(&sums) {
                for ((row, x), sum) in at.iter().zip(sums) {
                    let count = LANES.min(s.width - x);
                    let to = &mut channel[row * s.width + x..][..count];
                    // SAFETY: `to` has `count` values.
                    unsafe {
                        _mm512_mask_storeu_ps(to.as_mut_ptr().cast(), first_lanes(count), *sum);
                    }
                }
            }
        }
    }
}
