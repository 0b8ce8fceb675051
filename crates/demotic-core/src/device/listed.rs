//! What is known of a device: listed, or opened.

use burn::tensor::Device;
use serde::Serialize;

use crate::error::Error;

/// How a backend of this build opens and lists its devices.
#[derive(Clone, Copy)]
pub(super) struct Driver {
    /// First part of a `--device` name.
    pub(super) name: &'static str,
    /// Opens the device asked for, by the whole name and the number in it.
    pub(super) open: fn(&str, Option<usize>) -> Result<Chosen, Error>,
    /// Devices that are no adapters of wgpu.
    pub(super) further: fn() -> Vec<Further>,
}

/// The processor, as Flex uses it.
#[doc(hidden)]
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
#[doc(hidden)]
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
    /// Largest pool of memory of its own, in bytes; none where the interface does not say.
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
    /// Its number among those of its kind, as Burn counts.
    #[serde(skip)]
    #[cfg_attr(
        not(feature = "wgpu"),
        expect(dead_code, reason = "a build without wgpu lists no adapter")
    )]
    pub(crate) place: usize,
}

impl Adapter {
    /// Device, interface and driver: what measurements and examinations hold for.
    pub(crate) fn identity(&self) -> String {
        format!("{}, {}, {}", self.name, self.api, self.driver)
    }

    /// One that has nothing but its kind.
    #[cfg(test)]
    pub(crate) fn of_kind(kind: &'static str) -> Self {
        Self {
            index: 0,
            name: String::new(),
            kind,
            api: String::new(),
            driver: String::new(),
            memory_bytes: None,
            buffer_bytes_max: 0,
            binding_bytes_max: 0,
            bindings_max: 0,
            workgroup_memory_bytes: 0,
            workgroup_threads_max: 0,
            subgroup_threads: [0, 0],
            has_f16: false,
            place: 0,
        }
    }
}

/// An adapter that no `wgpu:N` reaches.
#[doc(hidden)]
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

/// A device of a backend that a cargo feature adds.
#[doc(hidden)]
#[derive(Clone, Debug, Serialize)]
pub struct Further {
    /// For `--device`.
    pub name: String,
    /// What it calls itself, or what it is.
    pub what: String,
    /// What its kernels are compiled to: `cuda`, `hip`; `none` for libtorch, which brings its own.
    pub shader_language: &'static str,
    /// What they are compiled for, such as `ptx_sm90`; empty where nothing is. These backends do
    /// not say memory and limits.
    pub target: String,
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
    /// Whether the first run of every operation times several kernels and keeps the fastest (autotune).
    pub(crate) is_tuned: bool,
}

impl Chosen {
    /// This machine's processor.
    pub(super) fn flex() -> Self {
        Self {
            device: Device::flex(),
            name: "flex".into(),
            description: format!("flex ({} threads)", rayon::current_num_threads()),
            is_software: false,
            is_tuned: false,
        }
    }
}
