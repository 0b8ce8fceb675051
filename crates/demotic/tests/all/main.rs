//! The program as a person meets it: the real binary, a fresh folder each, nothing reached but through the
//! command line.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the numbers of a test are small"
)]

mod ablate;
mod bad_input;
mod corpus;
mod data;
mod doctor;
mod doodles;
mod export;
mod gpu_run;
mod help;
#[cfg(feature = "remote")]
mod lend;
#[cfg(target_os = "linux")]
mod memory;
mod recipes;
mod recognize;
mod release;
mod report;
mod resume;
mod serve;
mod support;
mod tables;
mod train;
mod translate;
mod trust;
mod words;
