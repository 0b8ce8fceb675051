//! Which device computes: a GPU through wgpu, or the processor through Flex, chosen at run time.

use burn::tensor::Device;
use serde::Serialize;

use crate::error::Error;

mod asked;
#[cfg(feature = "cuda")]
mod cuda;
#[doc(hidden)]
#[cfg(feature = "remote")]
pub mod lend;
mod listed;
#[cfg(any(feature = "cuda", feature = "rocm", feature = "tch"))]
mod numbered;
#[cfg(feature = "remote")]
mod remote;
#[cfg(feature = "rocm")]
mod rocm;
#[cfg(feature = "tch")]
mod tch;
#[cfg(feature = "wgpu")]
mod wgpu;
#[cfg(not(feature = "wgpu"))]
#[path = "without_wgpu.rs"]
mod wgpu;

pub(crate) use asked::Asked;
use listed::Driver;
pub use listed::{Adapter, Chosen, Further, Processor, Unused, processor};
#[doc(hidden)]
#[cfg(feature = "remote")]
pub use remote::{TOKEN_VARIABLE, attended, leave, lent};

/// The backends of this build beside Flex.
const DRIVERS: &[Driver] = &[
    #[cfg(feature = "wgpu")]
    wgpu::DRIVER,
    #[cfg(feature = "cuda")]
    cuda::DRIVER,
    #[cfg(feature = "rocm")]
    rocm::DRIVER,
    #[cfg(feature = "tch")]
    tch::DRIVER,
];

/// A backend that this crate knows, in the build or not.
#[doc(hidden)]
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
#[doc(hidden)]
pub const BACKENDS: [Backend; 8] = [
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
    Backend {
        name: "remote",
        is_built: cfg!(feature = "remote"),
        what: "devices of another machine, where `demotic lend` runs (`remote:ID@HOST:PORT`); needs UDP to it",
    },
];

/// The adapter that `auto` takes: the first discrete GPU, else the first integrated or virtual one. A
/// software adapter is never taken unasked: Flex is faster.
#[doc(hidden)]
pub fn auto_adapter(adapters: &[Adapter]) -> Option<&Adapter> {
    ["discrete", "integrated", "virtual"]
        .iter()
        .find_map(|kind| adapters.iter().find(|a| a.kind == *kind))
}

/// Opens the device asked for: `auto`, `flex`, `wgpu` (the first adapter) or `wgpu:N`; with their features
/// also `cuda:N`, `rocm:N`, `tch`, `tch:N`, and `remote:ID@HOST:PORT` or `remote:ID@HOST:PORT:N` for a device
/// of another machine.
///
/// # Errors
/// [`Error::Config`] for a name that is none of these or not in this build, or a number beyond the adapters
/// there are; [`Error::Device`] where there is no adapter or it does not open.
pub fn open(asked: &str) -> Result<Chosen, Error> {
    let unknown = || {
        let further = ["cuda", "rocm", "tch", "remote"].map(|name| {
            let is_built = BACKENDS.iter().any(|b| b.name == name && b.is_built);
            is_built.then(|| match name {
                "remote" => ", remote:ID@HOST:PORT".to_owned(),
                _ => format!(", {name}, {name}:N"),
            })
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
    #[cfg(feature = "remote")]
    if asked.starts_with(remote::PREFIX) {
        return remote::open(asked);
    }
    let (name, number) = match asked.split_once(':') {
        None => (asked, None),
        Some((name @ "remote", _)) => (name, None),
        Some((name, number)) => (
            name,
            Some(number.parse::<usize>().map_err(|_not_a_number| unknown())?),
        ),
    };
    match (name, number) {
        ("flex" | "cpu", None) => Ok(Chosen::flex()),
        ("auto", None) => {
            auto_adapter(&adapters()).map_or_else(|| Ok(Chosen::flex()), wgpu::open_adapter)
        }
        ("spirv" | "metal-msl", None) => Err(Error::Config(vec![format!(
            "device: `{asked}` is a shader language of wgpu's devices, not a device: build with `--features {asked}` and name \
             `wgpu` or `wgpu:N`"
        )])),
        _ => {
            if let Some(driver) = DRIVERS.iter().find(|driver| driver.name == name) {
                return (driver.open)(asked, number);
            }
            match BACKENDS.iter().find(|b| b.name == name && !b.is_built) {
                Some(backend) => Err(Error::Config(vec![format!(
                    "device: `{asked}` is not in this build; build with `--features {}` ({})",
                    backend.name, backend.what
                )])),
                None => Err(unknown()),
            }
        }
    }
}

/// Opens every device of a list with commas between, such as `wgpu:0,wgpu:1`.
///
/// # Errors
/// As [`open`], for the first that fails.
pub fn open_all(asked: &str) -> Result<Vec<Chosen>, Error> {
    asked.split(',').map(|one| open(one.trim())).collect()
}

/// The shader language that kernels for this device are compiled to: `wgsl`, `spirv`, `msl`, `cuda`, `hip`;
/// `none` where they are not compiled at run time.
#[doc(hidden)]
pub fn shader_language(device: &Device) -> String {
    let name = demotic_crf::runtime_name(device);
    match name.split_once('<') {
        Some((_, language)) => language.trim_end_matches('>').to_owned(),
        None if name == "flex" => "none".into(),
        None => name,
    }
}

/// Fixed seed for Burn's own generator, so that nothing in the run depends on the clock. No code of this
/// crate draws from it.
pub(crate) fn seed_backend(device: &Device) {
    device.seed(0);
}

/// Every adapter on this machine that wgpu reaches; empty where there is none, or no wgpu in this build.
pub fn adapters() -> Vec<Adapter> {
    wgpu::adapters()
}

/// The adapter behind a device that this process opened; none behind others.
pub(crate) fn adapter_of(device: &Device) -> Option<Adapter> {
    wgpu::adapter_of(&device.clone().inner())
}

/// The adapters that tests run on.
///
/// # Panics
/// Where there is none although `DEMOTIC_REQUIRE_ADAPTER=1` says that there must be, and this build has wgpu.
#[doc(hidden)]
pub fn tested_adapters() -> Vec<Adapter> {
    let adapters = adapters();
    let is_required = std::env::var("DEMOTIC_REQUIRE_ADAPTER").is_ok_and(|value| value == "1");
    assert!(
        !(is_required && cfg!(feature = "wgpu") && adapters.is_empty()),
        "no adapter, and DEMOTIC_REQUIRE_ADAPTER=1 asks for one"
    );
    adapters
}

/// Every adapter that wgpu sees through an interface that is not used: mostly the same devices by other
/// names.
#[doc(hidden)]
pub fn unused_adapters() -> Vec<Unused> {
    wgpu::unused()
}

/// Every device of `cuda`, `rocm` and `tch`, where this build has them; those of the first two are opened.
#[doc(hidden)]
pub fn further_devices() -> Vec<Further> {
    DRIVERS
        .iter()
        .flat_map(|driver| (driver.further)())
        .collect()
}

/// Opens an adapter.
///
/// # Errors
/// [`Error::Device`] in the driver's words.
pub(crate) fn open_adapter(adapter: &Adapter) -> Result<Chosen, Error> {
    wgpu::open_adapter(adapter)
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
        for adapter in tested_adapters() {
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
