//! One test binary for the crate: linking Burn twice costs more than it gives.

mod data;
mod metric;
