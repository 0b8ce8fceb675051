//! GPUs through wgpu, numbered as Burn numbers them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use burn::tensor::wgpu::{WgpuBackend, wgpu};
use burn::tensor::{Device, DeviceKind};

use super::listed::{Adapter, Chosen, Driver, Unused};
use crate::error::Error;

/// How its devices open.
pub(super) const DRIVER: Driver = Driver {
    name: "wgpu",
    open: |_asked, number| open_number(number.unwrap_or(0)),
    further: Vec::new,
};

/// Graphics interfaces that are looked at, in this order. `OpenGL` is not, but for [`unused`]: where it is
/// all there is, a driver is missing.
const INTERFACES: &[wgpu::Backends] = if cfg!(target_vendor = "apple") {
    &[wgpu::Backends::METAL]
} else {
    &[wgpu::Backends::VULKAN, wgpu::Backends::DX12]
};

fn seen(backends: wgpu::Backends) -> Vec<wgpu::Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    cubecl::future::block_on(instance.enumerate_adapters(backends))
}

/// What is seen through the other interfaces of this platform, `OpenGL` among them.
pub(super) fn unused() -> Vec<Unused> {
    let used: Vec<String> = adapters().into_iter().map(|adapter| adapter.api).collect();
    let others = INTERFACES.iter().copied();
    others
        .chain([wgpu::Backends::GL])
        .flat_map(seen)
        .filter_map(|adapter| {
            let info = adapter.get_info();
            let api = format!("{:?}", info.backend).to_lowercase();
            let reason = match used.first() {
                Some(used) if *used == api => return None,
                _ if info.backend == wgpu::Backend::Gl => {
                    "training takes no OpenGL; where the device is not listed above, its Vulkan driver is missing".to_owned()
                }
                Some(used) => format!("{used} is taken, which comes first or has a GPU"),
                None => "it did not count as an adapter a moment ago".to_owned(),
            };
            Some(Unused {
                kind: kind_of(info.device_type),
                api,
                driver: driver_of(&info),
                name: info.name,
                reason,
            })
        })
        .collect()
}

fn kind_of(device_type: wgpu::DeviceType) -> &'static str {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    }
}

fn driver_of(info: &wgpu::AdapterInfo) -> String {
    format!("{} {}", info.driver, info.driver_info)
        .trim()
        .to_owned()
}

/// Those of the first interface with a GPU, else of the first with any adapter.
pub(super) fn adapters() -> Vec<Adapter> {
    let mut software = Vec::new();
    for backend in INTERFACES {
        let found = seen(*backend);
        let is_gpu = |a: &wgpu::Adapter| a.get_info().device_type != wgpu::DeviceType::Cpu;
        if found.iter().any(is_gpu) {
            return describe(&found);
        }
        if software.is_empty() {
            software = describe(&found);
        }
    }
    software
}

fn describe(found: &[wgpu::Adapter]) -> Vec<Adapter> {
    // Burn counts each kind from zero on its own.
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    found
        .iter()
        .enumerate()
        .map(|(index, adapter)| {
            let info = adapter.get_info();
            let limits = adapter.limits();
            let kind = kind_of(info.device_type);
            let count = counts.entry(kind).or_default();
            *count += 1;
            Adapter {
                index,
                driver: driver_of(&info),
                name: info.name,
                kind,
                api: format!("{:?}", info.backend).to_lowercase(),
                memory_bytes: memory_bytes(adapter),
                buffer_bytes_max: limits.max_buffer_size,
                binding_bytes_max: limits.max_storage_buffer_binding_size,
                bindings_max: limits.max_storage_buffers_per_shader_stage,
                workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
                workgroup_threads_max: limits.max_compute_invocations_per_workgroup,
                subgroup_threads: [info.subgroup_min_size, info.subgroup_max_size],
                has_f16: adapter.features().contains(wgpu::Features::SHADER_F16),
                place: *count - 1,
            }
        })
        .collect()
}

/// What Burn opens an adapter by.
fn handle(adapter: &Adapter) -> (DeviceKind, WgpuBackend) {
    let kind = match adapter.kind {
        "discrete" => DeviceKind::DiscreteGpu(adapter.place),
        "integrated" => DeviceKind::IntegratedGpu(adapter.place),
        "virtual" => DeviceKind::VirtualGpu(adapter.place),
        "software" => DeviceKind::Cpu,
        _ => DeviceKind::DefaultDevice,
    };
    let interface = match adapter.api.as_str() {
        "vulkan" => WgpuBackend::Vulkan,
        "dx12" => WgpuBackend::Dx12,
        // Left to the runtime, which falls back to WGSL where a build for MSL finds no support for it.
        _ => WgpuBackend::Auto,
    };
    (kind, interface)
}

/// The largest heap of the device's own: a driver may list a small window into it first.
#[cfg(not(target_vendor = "apple"))]
fn memory_bytes(adapter: &wgpu::Adapter) -> Option<u64> {
    const DEVICE_LOCAL: u32 = 1;
    #[expect(unsafe_code, reason = "wgpu itself does not tell a device's memory")]
    // SAFETY: the adapter is only asked for its properties, and lives longer than the answer.
    let heaps = unsafe {
        let vulkan = adapter.as_hal::<wgpu::hal::api::Vulkan>()?;
        vulkan
            .shared_instance()
            .raw_instance()
            .get_physical_device_memory_properties(vulkan.raw_physical_device())
    };
    heaps.memory_heaps[..heaps.memory_heap_count as usize]
        .iter()
        .filter(|heap| heap.flags.as_raw() & DEVICE_LOCAL != 0)
        .map(|heap| heap.size)
        .max()
}

#[cfg(target_vendor = "apple")]
fn memory_bytes(_: &wgpu::Adapter) -> Option<u64> {
    None
}

pub(super) fn open_number(index: usize) -> Result<Chosen, Error> {
    let all = adapters();
    match all.get(index) {
        Some(adapter) => open_adapter(adapter),
        None if all.is_empty() => Err(Error::Device(format!(
            "no adapter number {index}: 0 found; install a driver (on Debian: mesa-vulkan-drivers and libvulkan1, or your \
             vendor's) or train on the processor with `--device flex`; `demotic devices` lists what there is"
        ))),
        None => Err(Error::Config(vec![format!(
            "device: no adapter number {index}; there are {}, and flex",
            all.iter()
                .map(|adapter| format!("wgpu:{} ({})", adapter.index, adapter.name))
                .collect::<Vec<_>>()
                .join(", ")
        )])),
    }
}

/// Launches that go to an adapter in one submission; none leaves it to the runtime, which takes 32. A step
/// has hundreds: on a card each submission costs the host more than it delays the first launch. Windows kills
/// a submission of over two seconds, which 32 slow ones on an integrated GPU can come to.
fn submitted_together(kind: &str, is_windows: bool) -> Option<usize> {
    match (kind, is_windows) {
        ("discrete", false) => Some(128),
        ("integrated", true) => Some(8),
        _ => None,
    }
}

/// Devices that this process runs: the runtime starts each once.
static RUNNING: Mutex<BTreeMap<usize, (Device, Adapter)>> = Mutex::new(BTreeMap::new());

/// The adapter behind a device that this process runs.
pub(super) fn adapter_of(device: &Device) -> Option<Adapter> {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut all = running.values();
    all.find(|(other, _)| other == device)
        .map(|(_, adapter)| adapter.clone())
}

pub(super) fn open_adapter(adapter: &Adapter) -> Result<Chosen, Error> {
    let description = format!(
        "wgpu:{} {} ({}, {})",
        adapter.index, adapter.name, adapter.kind, adapter.api
    );
    let name = format!("wgpu:{}", adapter.index);
    let is_software = adapter.kind == "software";
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((device, _)) = running.get(&adapter.index) {
        return Ok(Chosen {
            device: device.clone(),
            name,
            description,
            is_software,
            is_tuned: true,
        });
    }
    let (kind, interface) = handle(adapter);
    let mut options = Device::wgpu_options()
        .device_kind(kind)
        .graphics_api(interface);
    // The variable is for trying other numbers.
    if std::env::var_os("CUBECL_WGPU_MAX_TASKS").is_none()
        && let Some(tasks) = submitted_together(adapter.kind, cfg!(windows))
    {
        options = options.tasks_max(tasks);
    }
    let device = options.init().map_err(|error| {
        Error::Device(format!(
            "{description} does not open: {error}; try `--device flex`"
        ))
    })?;
    running.insert(adapter.index, (device.clone(), adapter.clone()));
    Ok(Chosen {
        device,
        name,
        description,
        is_software,
        is_tuned: true,
    })
}

#[cfg(test)]
mod tests {
    use super::submitted_together;

    #[test]
    fn cards_take_many_launches_at_once_and_slow_ones_under_a_watchdog_few() {
        assert_eq!(submitted_together("discrete", false), Some(128));
        assert_eq!(submitted_together("discrete", true), None);
        assert_eq!(submitted_together("integrated", true), Some(8));
        assert_eq!(submitted_together("integrated", false), None);
        assert_eq!(submitted_together("software", false), None);
    }
}
