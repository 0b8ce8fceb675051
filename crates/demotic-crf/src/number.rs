//! Conversions of numbers that are small enough for the type they go to: counts, sides, places, labels,
//! bytes, seconds. The reasons why nothing is lost stand here once, and not at every `as`.

/// A number in arithmetic with fractions, rounded to what the type holds.
pub trait Real: Copy {
    /// Counts are exact up to 2^24.
    fn to_f32(self) -> f32;
    /// Counts are exact up to 2^53.
    fn to_f64(self) -> f64;
}

/// A number as a whole one of another type. An integer that does not fit is a bug and panics; a fraction
/// loses what stands behind its point, and beyond the type's ends it becomes the end.
pub trait Whole: Copy {
    /// A byte of a pixel.
    fn to_u8(self) -> u8;
    /// A number of a lane of random numbers.
    fn to_u16(self) -> u16;
    /// A count in a file or of a kernel.
    fn to_u32(self) -> u32;
    /// A label.
    fn to_i32(self) -> i32;
    /// A count as Burn's integer tensors hold it.
    fn to_i64(self) -> i64;
    /// A count of bytes or steps.
    fn to_u64(self) -> u64;
    /// A place in memory.
    fn to_usize(self) -> usize;
}

macro_rules! real {
    ($($type:ident)+) => {$(
        #[allow(
            clippy::cast_lossless,
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "it rounds, as is said above"
        )]
        impl Real for $type {
            #[inline]
            fn to_f32(self) -> f32 {
                self as f32
            }

            #[inline]
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    )+};
}

macro_rules! whole {
    (@checked $($name:ident $to:ident),+) => {$(
        #[inline]
        #[track_caller]
        #[allow(
            clippy::unnecessary_fallible_conversions,
            clippy::useless_conversion,
            reason = "one text for all pairs of types"
        )]
        fn $name(self) -> $to {
            $to::try_from(self).expect("the number is small")
        }
    )+};
    (@cut $($name:ident $to:ident),+) => {$(
        #[inline]
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates, as is said above"
        )]
        fn $name(self) -> $to {
            self as $to
        }
    )+};
    ($how:ident: $($type:ident)+) => {$(
        impl Whole for $type {
            whole! { @$how to_u8 u8, to_u16 u16, to_u32 u32, to_i32 i32, to_i64 i64, to_u64 u64, to_usize usize }
        }
    )+};
}

real! { u32 u64 u128 usize i32 i64 isize f32 f64 }
whole! { checked: u16 u32 u64 u128 usize i32 i64 isize }
whole! { cut: f32 f64 }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays_and_fractions_are_cut_at_the_ends() {
        assert_eq!((7_usize.to_f32(), 0.1_f64.to_f32()), (7.0, 0.1));
        assert_eq!((7_usize.to_i32(), 255_usize.to_u8()), (7, 255));
        assert_eq!(
            ((-0.5_f32).to_u8(), 2.9_f32.to_u8(), 300.0_f64.to_u8()),
            (0, 2, 255)
        );
        assert_eq!(f32::NAN.to_usize(), 0);
    }

    #[test]
    #[should_panic(expected = "the number is small")]
    fn a_count_that_does_not_fit_is_a_bug() {
        let _ = 256_usize.to_u8();
    }
}
