//! Which device computes: a GPU through wgpu, or the processor through Flex, chosen at run time.

use burn::tensor::wgpu::wgpu;
use burn::tensor::{Device, DeviceKind};
use serde::Serialize;

use crate::error::Error;

/// One adapter that wgpu sees.
#[derive(Clone, Debug, Serialize)]
pub struct Adapter {
    /// Number for `--device wgpu:N`.
    pub index: usize,
    /// The device's own name.
    pub name: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: &'static str,
    /// Graphics interface: `vulkan`, `metal`, `dx12`, ...
    pub api: String,
    /// Driver and its version, as it names itself.
    pub driver: String,
    /// Largest buffer, in bytes.
    pub buffer_bytes_max: u64,
    /// Memory shared by the threads of a workgroup, in bytes.
    pub workgroup_memory_bytes: u32,
    #[serde(skip)]
    device_kind: DeviceKind,
}

/// A device that was opened.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// Burn's handle, without autodiff.
    pub device: Device,
    /// What a person reads in the header line.
    pub description: String,
}

/// Every adapter on this machine, best interface first; empty where there is none.
pub fn adapters() -> Vec<Adapter> {
    // The interface that Burn's wgpu runtime settles on is the first of these with an adapter.
    for backend in [
        wgpu::Backends::VULKAN,
        wgpu::Backends::METAL,
        wgpu::Backends::DX12,
    ] {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: backend,
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let found = cubecl::future::block_on(instance.enumerate_adapters(backend));
        if !found.is_empty() {
            return describe(&found);
        }
    }
    Vec::new()
}

fn describe(found: &[wgpu::Adapter]) -> Vec<Adapter> {
    let mut counts = [0_usize; 3];
    let mut number = |slot: usize| {
        counts[slot] += 1;
        counts[slot] - 1
    };
    found
        .iter()
        .enumerate()
        .map(|(index, adapter)| {
            let info = adapter.get_info();
            let limits = adapter.limits();
            // Burn counts each kind from zero on its own.
            let (kind, device_kind) = match info.device_type {
                wgpu::DeviceType::DiscreteGpu => ("discrete", DeviceKind::DiscreteGpu(number(0))),
                wgpu::DeviceType::IntegratedGpu => {
                    ("integrated", DeviceKind::IntegratedGpu(number(1)))
                }
                wgpu::DeviceType::VirtualGpu => ("virtual", DeviceKind::VirtualGpu(number(2))),
                wgpu::DeviceType::Cpu => ("software", DeviceKind::Cpu),
                wgpu::DeviceType::Other => ("other", DeviceKind::DefaultDevice),
            };
            Adapter {
                index,
                name: info.name,
                kind,
                api: format!("{:?}", info.backend).to_lowercase(),
                driver: format!("{} {}", info.driver, info.driver_info)
                    .trim()
                    .to_owned(),
                buffer_bytes_max: limits.max_buffer_size,
                workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
                device_kind,
            }
        })
        .collect()
}

/// The adapter that `auto` takes: the first discrete GPU, else the first integrated or virtual one. A software adapter is
/// never taken unasked: Flex is faster.
pub fn auto_adapter(adapters: &[Adapter]) -> Option<&Adapter> {
    ["discrete", "integrated", "virtual"]
        .iter()
        .find_map(|kind| adapters.iter().find(|a| a.kind == *kind))
}

/// Opens the device asked for: `auto`, `flex`, `wgpu` (the first adapter) or `wgpu:N`.
///
/// # Errors
/// [`Error::Config`] for a name that is none of these; [`Error::Device`] where there is no such adapter or it does not open.
pub fn open(asked: &str) -> Result<Chosen, Error> {
    let flex = || Chosen {
        device: Device::flex(),
        description: format!("flex ({} threads)", rayon::current_num_threads()),
    };
    match asked {
        "flex" => Ok(flex()),
        "auto" => auto_adapter(&adapters()).map_or_else(|| Ok(flex()), open_adapter),
        _ => {
            let index = match asked.strip_prefix("wgpu") {
                Some("") => 0,
                Some(rest) => rest
                    .strip_prefix(':')
                    .and_then(|n| n.parse::<usize>().ok())
                    .ok_or_else(|| unknown(asked))?,
                None => return Err(unknown(asked)),
            };
            let all = adapters();
            match all.get(index) {
                Some(adapter) => open_adapter(adapter),
                None => Err(Error::Device(format!(
                    "no adapter number {index}: {} found; install a driver (on Debian: mesa-vulkan-drivers and libvulkan1, or your \
                     vendor's) or train on the processor with `--device flex`; `demotic devices` lists what there is",
                    all.len()
                ))),
            }
        }
    }
}

fn unknown(asked: &str) -> Error {
    Error::Config(vec![format!(
        "device: expected auto, flex, wgpu or wgpu:N; got `{asked}`"
    )])
}

fn open_adapter(adapter: &Adapter) -> Result<Chosen, Error> {
    let description = format!(
        "wgpu:{} {} ({}, {})",
        adapter.index, adapter.name, adapter.kind, adapter.api
    );
    // A second init of the same adapter in one process is refused; the running one serves.
    match Device::wgpu_options()
        .device_kind(adapter.device_kind.clone())
        .init()
    {
        Ok(device) => Ok(Chosen {
            device,
            description,
        }),
        Err(error) if error.to_string().to_lowercase().contains("already") => Ok(Chosen {
            device: Device::wgpu(adapter.device_kind.clone()),
            description,
        }),
        Err(error) => Err(Error::Device(format!(
            "{description} does not open: {error}; try `--device flex`"
        ))),
    }
}

/// Fixed seed for Burn's own generator, so that nothing in the run depends on the clock. No code of this crate draws
/// from it.
pub(crate) fn seed_backend(device: &Device) {
    device.seed(0);
}
