//! What a processor's cores spend a training step in: convolution, normalisation, the edge-aware filter.
//!
//! Slices in, slices out: nothing here knows a tensor, a model or a picture file. `demotic-core` calls these
//! loops from its operations on Burn's Flex backend; [`oracle`] has the same formulas in float64, which they
//! and every GPU are checked against. Lengths are checked at the entry: what is wrong panics.
//!
//! Every result is the same to the bit for any number of threads.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "kernels: sides and places of pictures are bounded where data enters"
)]

pub mod conv;
pub mod filter;
pub mod filter_large;
pub mod norm;
pub mod oracle;
#[cfg(test)]
mod testing;
