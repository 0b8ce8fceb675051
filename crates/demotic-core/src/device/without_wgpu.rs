//! In the place of `wgpu.rs` in a build without it: there is no adapter.

use burn::tensor::Device;

use super::listed::{Adapter, Chosen, Unused};
use crate::error::Error;

pub(super) fn adapters() -> Vec<Adapter> {
    Vec::new()
}

pub(super) fn adapter_of(_: &Device) -> Option<Adapter> {
    None
}

pub(super) fn unused() -> Vec<Unused> {
    Vec::new()
}

pub(super) fn open_adapter(adapter: &Adapter) -> Result<Chosen, Error> {
    Err(Error::Device(format!(
        "this build has no wgpu: {}",
        adapter.name
    )))
}
