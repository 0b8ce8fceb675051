//! Whose kernels compute the convolutions of a device, as the configuration asks.

use burn::tensor::Device;

use crate::data::CachePolicy;
use crate::device::{self, Adapter};
use crate::ops::{self, Counts, Preference, Store};
use crate::settings::{Config, KernelKind};

/// Where choices that were measured on an adapter are kept: by its name, its driver, and this build's kernels.
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

/// Tells a device's operations what is asked.
pub(super) fn prefer(config: &Config, device: &Device) {
    if !ops::has_wgsl(device) {
        return;
    }
    let preference = match config.device.kernels {
        KernelKind::Own => Preference::Own,
        KernelKind::Burn => Preference::Burn,
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
    Some(match (config.device.kernels, timed(device)) {
        (KernelKind::Own, _) => "convolutions by own kernels, as device.kernels asks".to_owned(),
        (KernelKind::Burn, _) => {
            "convolutions by Burn's kernels, as device.kernels asks".to_owned()
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
