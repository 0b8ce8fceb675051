//! All integration tests of the crate in one binary: linking Burn is the slow part.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the numbers of a test are small"
)]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod choices;
mod data;
mod direction;
mod examples;
mod export;
mod limits;
mod metric;
mod train;
#[path = "../../examples/train_tiny.rs"]
#[allow(
    dead_code,
    reason = "its `main` is for `cargo run --example train_tiny`"
)]
mod train_tiny;
#[path = "../../examples/translate_one.rs"]
#[allow(
    dead_code,
    reason = "its `main` is for `cargo run --example translate_one`"
)]
mod translate_one;
