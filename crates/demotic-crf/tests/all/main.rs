//! All integration tests of the crate in one binary: linking Burn is the slow part.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the numbers of a test are small"
)]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::needless_range_loop, reason = "the indices are the formula's")]

mod chain;
mod grid;
mod interface;
mod precision;
mod problem;
mod properties;
#[path = "../../examples/tagger.rs"]
#[allow(dead_code, reason = "its `main` is for `cargo run --example tagger`")]
mod tagger;

use burn::tensor::Device;
use demotic_crf::oracle;
use demotic_crf::workload::test_adapter as adapter;

/// [`adapter`] where it compiles WGSL, which the kernels are written in: not in a build whose devices take
/// SPIR-V.
fn wgsl_adapter() -> Option<Device> {
    if cfg!(feature = "spirv") {
        eprintln!("skipped: this build's devices take SPIR-V");
        return None;
    }
    adapter()
}
