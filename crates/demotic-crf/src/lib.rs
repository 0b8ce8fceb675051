//! Conditional random fields for [Burn](https://burn.dev): over chains and over the rows and columns of a grid.

#[doc(hidden)]
pub mod cases;
mod chain;
pub mod config;
pub mod diagnostics;
mod error;
mod grid;
mod op;

pub use chain::{LinearChainCrf, LinearChainCrfConfig, Reduction};
pub use config::{FORBIDDEN, Implementation, LABELS_MAX, Transitions, WgslKernel};
pub use error::CrfError;
pub use grid::{Directions, GridCrf, GridCrfConfig};
pub use op::implementation_in_use;
