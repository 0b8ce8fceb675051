#![doc = include_str!("../README.md")]

#[doc(hidden)]
pub mod cases;
mod chain;
pub mod config;
pub mod diagnostics;
mod error;
mod grid;
#[doc(hidden)]
pub mod hash;
#[doc(hidden)]
pub mod number;
mod op;
#[doc(hidden)]
pub mod oracle;
/// Devices of other machines: what this crate's layers need to run there, and what their server runs.
#[cfg(feature = "remote")]
#[doc(hidden)]
pub mod remote {
    #[cfg(feature = "wgpu")]
    pub use crate::op::remote::receive_on_cube;
    pub use crate::op::remote::{Far, SOURCE, is_flex, receive_on_flex, register, send};
}
/// Shaders as texts with constants put in: the kernels of `demotic-core` are of the same kind.
#[cfg(feature = "wgpu")]
#[doc(hidden)]
pub mod template {
    pub use crate::op::wgsl::template::{Values, expand};
}
#[doc(hidden)]
pub mod workload;

pub use chain::{LinearChainCrf, LinearChainCrfConfig, Reduction};
pub use config::{
    Directions, FORBIDDEN, Implementation, LABELS_MAX, Transitions, WgslKernel, Work,
};
pub use error::CrfError;
pub use grid::{GridCrf, GridCrfConfig};
pub use op::{implementation_in_use, runtime_name};
