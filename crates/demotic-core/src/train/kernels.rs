//! Whose kernels compute the convolutions of a device, as the configuration asks.

use burn::tensor::Device;

use crate::data::CachePolicy;
use crate::device::{self, Adapter};
use crate::ops::{self, Counts, Preference, Store};
use crate::settings::{Config, KernelKind};

/// Where choices that were measured on an adapter are kept: by its name, its driver, and this build's
/// kernels.
fn store(adapter: &Adapter) -> Store {
    let Adapter {
        name, driver, api, ..
    } = adapter;
    let (version, kernels) = (env!("CARGO_PKG_VERSION"), ops::convolution_kernels());
    Store {
        file: CachePolicy::Platform.kernels_file(),
        name: format!("{name}, {api}, {driver}, demotic {version}, kernels {kernels:016x}"),
    }
}

/// What was measured on an adapter by this build, in this process or before.
pub fn measured_on(adapter: &Adapter) -> Counts {
    ops::kept(&store(adapter))
}

/// The adapter whose kernels are timed against each other; a software adapter is not: its times say nothing
/// of a card.
fn timed(device: &Device) -> Option<Adapter> {
    device::adapter_of(device).filter(|adapter| adapter.kind != "software")
}

/// What our convolutions need and an adapter lacks.
fn lacking(adapter: &Adapter) -> Option<String> {
    let needs = [
        (adapter.bindings_max, 5, "buffers for a kernel"),
        (
            adapter.workgroup_memory_bytes,
            16 << 10,
            "bytes of workgroup memory",
        ),
        (
            adapter.workgroup_threads_max,
            64,
            "invocations of a workgroup",
        ),
    ];
    let missing = needs.iter().find(|(has, needed, _)| has < needed);
    missing.map(|(has, needed, what)| format!("own kernels need {needed} {what}, it has {has}"))
}

/// Tells a device's operations what is asked.
pub(super) fn prefer(config: &Config, device: &Device) {
    if !ops::has_wgsl(device) {
        return;
    }
    let adapter = device::adapter_of(device);
    let is_lacking = adapter.as_ref().and_then(lacking).is_some();
    let preference = match config.device.kernels {
        KernelKind::Own => Preference::Own,
        KernelKind::Burn => Preference::Burn,
        KernelKind::Auto if is_lacking => Preference::Burn,
        KernelKind::Auto => match timed(device) {
            Some(adapter) => Preference::Faster(store(&adapter)),
            None => Preference::Own,
        },
    };
    ops::prefer(device, preference);
}

/// What the header says of a device that has both.
pub(super) fn described(config: &Config, device: &Device) -> Option<String> {
    if !ops::has_wgsl(device) {
        return None;
    }
    let lacking = device::adapter_of(device).as_ref().and_then(lacking);
    Some(match (config.device.kernels, timed(device)) {
        (KernelKind::Own, _) => "convolutions by own kernels, as device.kernels asks".to_owned(),
        (KernelKind::Burn, _) => {
            "convolutions by Burn's kernels, as device.kernels asks".to_owned()
        }
        (KernelKind::Auto, _) if lacking.is_some() => {
            let lacking = lacking.unwrap_or_default();
            format!("convolutions by Burn's kernels: {lacking}")
        }
        (KernelKind::Auto, None) => {
            "convolutions by own kernels; not timed against Burn's on a software adapter".to_owned()
        }
        (KernelKind::Auto, Some(adapter)) => {
            let Counts { own, burn } = measured_on(&adapter);
            format!(
                "convolutions by the faster of own kernels and Burn's: measured so far {own} layers own, {burn} Burn's; new ones \
                 are timed in the first step"
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_lacks_what_a_kernel_needs_is_told_what() {
        for adapter in device::adapters() {
            assert_eq!(lacking(&adapter), None, "{}", adapter.name);
            let mut less = adapter.clone();
            less.workgroup_memory_bytes = 8 << 10;
            let said = lacking(&less).expect("half of it");
            assert!(
                said.contains("16384 bytes") && said.contains("8192"),
                "{said}"
            );
            less = adapter;
            less.bindings_max = 4;
            assert!(lacking(&less).is_some());
        }
    }
}
