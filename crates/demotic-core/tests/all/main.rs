//! All integration tests of the crate in one binary: linking Burn is the slow part.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod choices;
mod data;
mod metric;
mod train;
