//! Which device computes: a GPU through wgpu, or the processor through Flex, chosen at run time.

use burn::tensor::Device;
use serde::Serialize;

use crate::error::Error;

/// A backend that this crate knows, in the build or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Backend {
    /// First part of a `--device` name, or the shader language that a cargo feature adds.
    pub name: &'static str,
    /// Whether this build has it.
    pub is_built: bool,
    /// What it is, and what it needs.
    pub what: &'static str,
}

/// Every backend, those of this build and those that a cargo feature of the same name adds.
pub const BACKENDS: [Backend; 7] = [
    Backend {
        name: "flex",
        is_built: true,
        what: "this machine's processor; needs nothing",
    },
    Backend {
        name: "wgpu",
        is_built: cfg!(feature = "wgpu"),
        what: "any GPU through Vulkan, Metal or DirectX 12 with kernels in WGSL; needs the GPU's driver",
    },
    Backend {
        name: "spirv",
        is_built: cfg!(feature = "spirv"),
        what: "wgpu's Vulkan devices take SPIR-V; needs Vulkan 1.2 with its memory model; the CRF computes by tensor operations",
    },
    Backend {
        name: "metal-msl",
        is_built: cfg!(feature = "metal-msl"),
        what: "wgpu's Metal devices take MSL; needs macOS; the CRF computes by tensor operations",
    },
    Backend {
        name: "cuda",
        is_built: cfg!(feature = "cuda"),
        what: "NVIDIA; needs its driver and CUDA toolkit (12 or later)",
    },
    Backend {
        name: "rocm",
        is_built: cfg!(feature = "rocm"),
        what: "AMD on Linux; needs ROCm (6.4 or later) with HIP",
    },
    Backend {
        name: "tch",
        is_built: cfg!(feature = "tch"),
        what: "libtorch 2.9.0, on the processor (`tch`) or CUDA (`tch:N`); for comparing",
    },
];

/// The processor, as Flex uses it.
#[derive(Clone, Debug, Serialize)]
pub struct Processor {
    /// The processor's own name; empty where the system does not say.
    pub name: String,
    /// Worker threads.
    pub threads: usize,
    /// The machine's memory in bytes; none where the system does not say.
    pub memory_bytes: Option<u64>,
}

/// This machine's processor.
pub fn processor() -> Processor {
    let field = |file: &str, key: &str| {
        let text = std::fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let kib = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    Processor {
        name: field("/proc/cpuinfo", "model name").unwrap_or_default(),
        threads: rayon::current_num_threads(),
        memory_bytes: kib.map(|kib| kib * 1024),
    }
}

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
    /// Largest pool of memory of its own, in bytes; none where the interface does not tell.
    pub memory_bytes: Option<u64>,
    /// Largest buffer, in bytes.
    pub buffer_bytes_max: u64,
    /// Largest part of a buffer that a kernel may see, in bytes.
    pub binding_bytes_max: u64,
    /// Buffers that a kernel may see.
    pub bindings_max: u32,
    /// Memory shared by the threads of a workgroup, in bytes.
    pub workgroup_memory_bytes: u32,
    /// Threads of a workgroup.
    pub workgroup_threads_max: u32,
    /// Fewest and most threads that go in step.
    pub subgroup_threads: [u32; 2],
    /// Whether kernels may compute in 16-bit floats.
    pub has_f16: bool,
    #[cfg(feature = "wgpu")]
    #[serde(skip)]
    device_kind: burn::tensor::DeviceKind,
    #[cfg(feature = "wgpu")]
    #[serde(skip)]
    interface: burn::tensor::wgpu::WgpuBackend,
}

/// A device that was opened.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// Burn's handle, without autodiff.
    pub device: Device,
    /// For `--device`: `auto` has become what it took, `wgpu` its number.
    pub name: String,
    /// What a person reads in the header line.
    pub description: String,
    /// Whether a processor stands behind a GPU's interface.
    pub is_software: bool,
}

impl Chosen {
    /// True where the first run of every operation times several kernels and keeps the fastest (autotune).
    pub fn is_tuned(&self) -> bool {
        !crate::ops::is_flex(&self.device) && !self.name.starts_with("tch")
    }

    fn flex() -> Self {
        Self {
            device: Device::flex(),
            name: "flex".into(),
            description: format!("flex ({} threads)", rayon::current_num_threads()),
            is_software: false,
        }
    }
}

/// The adapter that `auto` takes: the first discrete GPU, else the first integrated or virtual one. A software adapter is
/// never taken unasked: Flex is faster.
pub fn auto_adapter(adapters: &[Adapter]) -> Option<&Adapter> {
    ["discrete", "integrated", "virtual"]
        .iter()
        .find_map(|kind| adapters.iter().find(|a| a.kind == *kind))
}

/// Opens the device asked for: `auto`, `flex`, `wgpu` (the first adapter) or `wgpu:N`; with their features also `cuda:N`,
/// `rocm:N`, `tch` and `tch:N`.
///
/// # Errors
/// [`Error::Config`] for a name that is none of these or not in this build, or a number beyond the adapters there are;
/// [`Error::Device`] where there is no adapter or it does not open.
pub fn open(asked: &str) -> Result<Chosen, Error> {
    let unknown = || {
        let further = ["cuda", "rocm", "tch"].map(|name| {
            let is_built = BACKENDS.iter().any(|b| b.name == name && b.is_built);
            is_built.then(|| format!(", {name}, {name}:N"))
        });
        let further: String = further.into_iter().flatten().collect();
        Error::Config(vec![format!(
            "device: expected auto, flex, wgpu or wgpu:N{further}; got `{asked}`"
        )])
    };
    if asked.contains(',') {
        return Err(Error::Config(vec![format!(
            "device: expected one device, got `{asked}`; several devices only train (`demotic train --device {asked}`) or are \
             compared (`demotic compare`)"
        )]));
    }
    let (name, number) = match asked.split_once(':') {
        None => (asked, None),
        Some((name, number)) => (
            name,
            Some(number.parse::<usize>().map_err(|_not_a_number| unknown())?),
        ),
    };
    match (name, number) {
        ("flex", None) => Ok(Chosen::flex()),
        #[cfg(feature = "wgpu")]
        ("auto", None) => {
            auto_adapter(&adapters()).map_or_else(|| Ok(Chosen::flex()), wgpu::open_adapter)
        }
        #[cfg(not(feature = "wgpu"))]
        ("auto", None) => Ok(Chosen::flex()),
        #[cfg(feature = "wgpu")]
        ("wgpu", index) => wgpu::open_number(index.unwrap_or(0)),
        #[cfg(feature = "cuda")]
        ("cuda", index) => open_further(asked, Device::cuda(index.unwrap_or(0))),
        #[cfg(feature = "rocm")]
        ("rocm", index) => open_further(asked, Device::rocm(index.unwrap_or(0))),
        #[cfg(feature = "tch")]
        #[expect(deprecated, reason = "there for comparing")]
        ("tch", index) => open_further(
            asked,
            index.map_or_else(Device::libtorch, Device::libtorch_cuda),
        ),
        ("spirv" | "metal-msl", None) => Err(Error::Config(vec![format!(
            "device: `{asked}` is a shader language of wgpu's devices, not a device: build with `--features {asked}` and name \
             `wgpu` or `wgpu:N`"
        )])),
        _ => match BACKENDS.iter().find(|b| b.name == name && !b.is_built) {
            Some(backend) => Err(Error::Config(vec![format!(
                "device: `{asked}` is not in this build; build with `--features {}` ({})",
                backend.name, backend.what
            )])),
            None => Err(unknown()),
        },
    }
}

/// A device of [`further_devices`], by that name or without its number for the first.
///
/// # Errors
/// [`Error::Config`] where there is none of the name, [`Error::Device`] where there is none of the backend.
#[cfg(any(feature = "cuda", feature = "rocm", feature = "tch"))]
fn open_further(asked: &str, device: Device) -> Result<Chosen, Error> {
    let all = further_devices();
    let named = all.iter().find(|one| {
        one.name == asked
            || one
                .name
                .strip_suffix(":0")
                .is_some_and(|first| first == asked)
    });
    let Some(one) = named else {
        let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
        return Err(if names.is_empty() {
            Error::Device(format!(
                "no device `{asked}`: the backend finds none; `demotic devices` lists what there is"
            ))
        } else {
            Error::Config(vec![format!(
                "device: no `{asked}`; there are {}, and flex",
                names.join(", ")
            )])
        });
    };
    Ok(Chosen {
        device,
        name: one.name.clone(),
        description: format!("{} {}", one.name, one.what),
        is_software: false,
    })
}

/// Opens every device of a list with commas between, such as `wgpu:0,wgpu:1`.
///
/// # Errors
/// As [`open`], for the first that fails.
pub fn open_all(asked: &str) -> Result<Vec<Chosen>, Error> {
    asked.split(',').map(|one| open(one.trim())).collect()
}

/// The shader language that kernels for this device are compiled to: `wgsl`, `spirv`, `msl`, `cuda`, `hip`; `none` where they
/// are not compiled at run time.
pub fn shader_language(device: &Device) -> String {
    let name = demotic_crf::runtime_name(device);
    match name.split_once('<') {
        Some((_, language)) => language.trim_end_matches('>').to_owned(),
        None if name == "flex" => "none".into(),
        None => name,
    }
}

/// Fixed seed for Burn's own generator, so that nothing in the run depends on the clock. No code of this crate draws
/// from it.
pub(crate) fn seed_backend(device: &Device) {
    device.seed(0);
}

/// Every adapter on this machine that wgpu reaches; empty where there is none, or no wgpu in this build.
pub fn adapters() -> Vec<Adapter> {
    #[cfg(feature = "wgpu")]
    return wgpu::adapters();
    #[cfg(not(feature = "wgpu"))]
    Vec::new()
}

/// An adapter that no `wgpu:N` reaches.
#[derive(Clone, Debug, Serialize)]
pub struct Unused {
    /// The device's own name.
    pub name: String,
    /// As of an [`Adapter`].
    pub kind: &'static str,
    /// Graphics interface.
    pub api: String,
    /// Driver and its version, as it names itself.
    pub driver: String,
    /// Why not.
    pub reason: String,
}

/// Every adapter that wgpu sees through an interface that is not used: mostly the same devices by other names.
pub fn unused_adapters() -> Vec<Unused> {
    #[cfg(feature = "wgpu")]
    return wgpu::unused();
    #[cfg(not(feature = "wgpu"))]
    Vec::new()
}

/// A device of a backend that a cargo feature adds.
#[derive(Clone, Debug, Serialize)]
pub struct Further {
    /// For `--device`.
    pub name: String,
    /// What it calls itself, or what it is.
    pub what: String,
    /// What its kernels are compiled to: `cuda`, `hip`; `none` for libtorch, which brings its own.
    pub shader_language: &'static str,
    /// What they are compiled for, such as `ptx_sm90`; empty where nothing is. Memory and limits are not told by these backends.
    pub target: String,
}

/// Every device of `cuda`, `rocm` and `tch`, where this build has them; those of the first two are opened.
pub fn further_devices() -> Vec<Further> {
    #[allow(unused_mut, reason = "filled by features")]
    let mut all: Vec<Further> = Vec::new();
    #[cfg(any(feature = "cuda", feature = "rocm"))]
    let numbered = |backend: &str, shader_language, kind: burn::tensor::DeviceType| {
        let devices = Device::enumerate(kind).into_iter().enumerate();
        let told = devices.map(|(index, device)| {
            let identity = device.identity();
            let (what, target) = identity.map_or_else(Default::default, |identity| {
                (identity.name, identity.fingerprint)
            });
            Further {
                name: format!("{backend}:{index}"),
                what,
                shader_language,
                target,
            }
        });
        told.collect::<Vec<_>>()
    };
    #[cfg(feature = "cuda")]
    all.extend(numbered("cuda", "cuda", burn::tensor::DeviceType::Cuda));
    #[cfg(feature = "rocm")]
    all.extend(numbered("rocm", "hip", burn::tensor::DeviceType::Rocm));
    #[cfg(feature = "tch")]
    {
        all.push(Further {
            name: "tch".into(),
            what: "libtorch on the processor".into(),
            shader_language: "none",
            target: String::new(),
        });
        let devices = Device::enumerate(burn::tensor::DeviceType::LibTorch).into_iter();
        let cuda = devices.filter(|device| format!("{device:?}").contains("Cuda"));
        all.extend(cuda.enumerate().map(|(index, _)| Further {
            name: format!("tch:{index}"),
            what: "libtorch on CUDA".into(),
            shader_language: "none",
            target: String::new(),
        }));
    }
    all
}

/// Opens an adapter.
///
/// # Errors
/// [`Error::Device`] in the driver's words.
#[cfg(feature = "wgpu")]
pub fn open_adapter(adapter: &Adapter) -> Result<Chosen, Error> {
    wgpu::open_adapter(adapter)
}

/// Adapters through wgpu, numbered as Burn numbers them.
#[cfg(feature = "wgpu")]
mod wgpu {
    use std::collections::BTreeMap;
    use std::sync::{Mutex, PoisonError};

    use burn::tensor::wgpu::{WgpuBackend, wgpu};
    use burn::tensor::{Device, DeviceKind};

    use super::{Adapter, Chosen, Unused};
    use crate::error::Error;

    /// Graphics interfaces that are looked at, in this order. `OpenGL` is not, but for [`unused`]: where it is all there is, a driver is missing.
    const INTERFACES: &[(wgpu::Backends, WgpuBackend)] = if cfg!(target_vendor = "apple") {
        // Left to the runtime, which falls back to WGSL where a build for MSL finds no support for it.
        &[(wgpu::Backends::METAL, WgpuBackend::Auto)]
    } else {
        &[
            (wgpu::Backends::VULKAN, WgpuBackend::Vulkan),
            (wgpu::Backends::DX12, WgpuBackend::Dx12),
        ]
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
        let others = INTERFACES.iter().map(|(backend, _)| *backend);
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
        for (backend, interface) in INTERFACES {
            let found = seen(*backend);
            let is_gpu = |a: &wgpu::Adapter| a.get_info().device_type != wgpu::DeviceType::Cpu;
            if found.iter().any(is_gpu) {
                return describe(&found, *interface);
            }
            if software.is_empty() {
                software = describe(&found, *interface);
            }
        }
        software
    }

    fn describe(found: &[wgpu::Adapter], interface: WgpuBackend) -> Vec<Adapter> {
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
                let device_kind = match info.device_type {
                    wgpu::DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu(number(0)),
                    wgpu::DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu(number(1)),
                    wgpu::DeviceType::VirtualGpu => DeviceKind::VirtualGpu(number(2)),
                    wgpu::DeviceType::Cpu => DeviceKind::Cpu,
                    wgpu::DeviceType::Other => DeviceKind::DefaultDevice,
                };
                Adapter {
                    index,
                    driver: driver_of(&info),
                    name: info.name,
                    kind: kind_of(info.device_type),
                    api: format!("{:?}", info.backend).to_lowercase(),
                    memory_bytes: memory_bytes(adapter),
                    buffer_bytes_max: limits.max_buffer_size,
                    binding_bytes_max: limits.max_storage_buffer_binding_size,
                    bindings_max: limits.max_storage_buffers_per_shader_stage,
                    workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
                    workgroup_threads_max: limits.max_compute_invocations_per_workgroup,
                    subgroup_threads: [info.subgroup_min_size, info.subgroup_max_size],
                    has_f16: adapter.features().contains(wgpu::Features::SHADER_F16),
                    device_kind,
                    interface,
                }
            })
            .collect()
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

    /// Devices that this process runs: the runtime starts each once.
    static RUNNING: Mutex<BTreeMap<usize, Device>> = Mutex::new(BTreeMap::new());

    pub(super) fn open_adapter(adapter: &Adapter) -> Result<Chosen, Error> {
        let description = format!(
            "wgpu:{} {} ({}, {})",
            adapter.index, adapter.name, adapter.kind, adapter.api
        );
        let name = format!("wgpu:{}", adapter.index);
        let is_software = adapter.kind == "software";
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = running.get(&adapter.index) {
            return Ok(Chosen {
                device: device.clone(),
                name,
                description,
                is_software,
            });
        }
        let device = Device::wgpu_options()
            .device_kind(adapter.device_kind.clone())
            .graphics_api(adapter.interface)
            .init()
            .map_err(|error| {
                Error::Device(format!(
                    "{description} does not open: {error}; try `--device flex`"
                ))
            })?;
        running.insert(adapter.index, device.clone());
        Ok(Chosen {
            device,
            name,
            description,
            is_software,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_opens_twice_and_is_the_same() {
        let names = adapters();
        for asked in ["flex", "auto"]
            .into_iter()
            .map(str::to_owned)
            .chain(names.iter().map(|a| format!("wgpu:{}", a.index)))
        {
            let [first, second] = [open(&asked), open(&asked)].map(|d| d.expect("it opens"));
            assert_eq!(first.device, second.device, "{asked}");
        }
    }

    #[test]
    fn the_build_compiles_the_shader_language_of_its_features() {
        assert_eq!(shader_language(&Device::flex()), "none");
        let is_required = std::env::var("DEMOTIC_REQUIRE_ADAPTER").is_ok_and(|value| value == "1");
        assert!(
            !(is_required && cfg!(feature = "wgpu") && adapters().is_empty()),
            "no adapter, and DEMOTIC_REQUIRE_ADAPTER=1 asks for one"
        );
        for adapter in adapters() {
            let chosen = open(&format!("wgpu:{}", adapter.index)).expect("it opens");
            let expected = match adapter.api.as_str() {
                // A Vulkan driver without the memory model falls back to WGSL; lavapipe has it.
                "vulkan" if cfg!(feature = "spirv") => "spirv",
                "metal" if cfg!(feature = "metal-msl") => "msl",
                _ => "wgsl",
            };
            assert_eq!(
                shader_language(&chosen.device),
                expected,
                "{}",
                adapter.name
            );
        }
    }

    #[test]
    fn a_backend_outside_the_build_is_refused_by_its_feature() {
        for backend in BACKENDS.iter().filter(|b| !b.is_built) {
            let error = open(backend.name).expect_err("it is not built").to_string();
            assert!(
                error.contains(&format!("--features {}", backend.name)),
                "{error}"
            );
        }
        for wrong in ["", "gpu", "wgpu:", "wgpu:x", "flex:1", "auto:0", "wgpu:0:1"] {
            assert!(open(wrong).is_err(), "{wrong}");
        }
    }
}
