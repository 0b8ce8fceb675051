//! All integration tests of the crate in one binary: linking Burn is the slow part.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::needless_range_loop, reason = "the indices are the formula's")]

mod chain;
mod grid;
mod interface;
mod properties;

use std::sync::OnceLock;

use burn::tensor::{Device, DeviceKind};
use demotic_crf::oracle;

/// The software adapter (or, without one, the default one); `None` where there is no adapter at all.
///
/// # Panics
/// Where there is none although `DEMOTIC_REQUIRE_ADAPTER=1` says that there must be.
fn adapter() -> Option<Device> {
    static FOUND: OnceLock<Option<Device>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        [DeviceKind::Cpu, DeviceKind::DefaultDevice]
            .into_iter()
            .find_map(|kind| Device::wgpu_options().device_kind(kind).init().ok())
    });
    let required = std::env::var("DEMOTIC_REQUIRE_ADAPTER").is_ok_and(|value| value == "1");
    assert!(
        found.is_some() || !required,
        "no wgpu adapter, and DEMOTIC_REQUIRE_ADAPTER=1 asks for one"
    );
    if found.is_none() {
        eprintln!("skipped: no wgpu adapter");
    }
    found.clone()
}

/// [`adapter`] where it compiles WGSL, which the kernels are written in: not in a build whose devices take SPIR-V.
fn wgsl_adapter() -> Option<Device> {
    if cfg!(feature = "spirv") {
        eprintln!("skipped: this build's devices take SPIR-V");
        return None;
    }
    adapter()
}
