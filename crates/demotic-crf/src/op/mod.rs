//! The CRF operation below the layers: which implementation serves a device, and checks that both layers
//! share.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "kernels: labels, lengths and strides are bounded where tensors enter"
)]

mod autodiff;
mod cpu;
pub(crate) mod ops;
pub(crate) mod plan;
pub(crate) mod reference;
#[cfg(feature = "remote")]
pub(crate) mod remote;
#[cfg(feature = "wgpu")]
pub(crate) mod wgsl;

use burn::backend::DispatchDevice;
use burn::tensor::Device;

use crate::config::{Implementation, LABELS_MAX, WgslKernel};
use crate::error::CrfError;
use ops::{FLEX, OTHER};

/// Whether the device is a CPU behind a GPU's interface.
pub(crate) fn is_software(device: &Device) -> bool {
    #[allow(
        unreachable_patterns,
        reason = "which variants exist depends on Burn's features"
    )]
    match device.clone().inner().as_dispatch() {
        #[cfg(feature = "wgpu")]
        DispatchDevice::Cube(cube) => wgsl::backend::is_software(&cube.client()),
        #[cfg(feature = "remote")]
        DispatchDevice::Remote(device) => remote::far(device).is_some_and(|far| far.is_software),
        _ => false,
    }
}

/// The WGSL kernel that a call on `device` would run.
#[cfg_attr(
    not(feature = "wgpu"),
    allow(unused_variables, reason = "a build without wgpu has no kernels")
)]
pub(crate) fn kernel_in_use(
    device: &Device,
    plan: &plan::Plan,
    dims: [usize; 4],
) -> Option<WgslKernel> {
    #[allow(
        unreachable_patterns,
        reason = "which variants exist depends on Burn's features"
    )]
    match device.clone().inner().as_dispatch() {
        #[cfg(feature = "wgpu")]
        DispatchDevice::Cube(cube) => {
            Some(wgsl::backend::kernel_in_use(&cube.client(), plan, dims))
        }
        _ => None,
    }
}

/// A device's runtime, as the choice of an implementation sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Runtime {
    /// `CubeCL`, named by compiler: `wgpu<wgsl>`, `wgpu<spirv>`, `wgpu<msl>`, `cuda`.
    #[cfg_attr(
        not(any(feature = "wgpu", feature = "remote")),
        expect(dead_code, reason = "a build without wgpu has no such device")
    )]
    Cube(String),
    /// One that compiles WGSL on a device that lacks what the kernels need.
    #[cfg_attr(
        not(feature = "wgpu"),
        allow(dead_code, reason = "a build without wgpu asks no device what it has")
    )]
    Weak(String),
    /// Burn's own CPU backend.
    Flex,
}

/// Whether a `CubeCL` runtime of this name compiles WGSL text: one built for SPIR-V or MSL refuses it, and
/// only when the output is read.
fn takes_wgsl(name: &str) -> bool {
    name == "wgpu<wgsl>"
}

/// What computes on a device; on another machine's device, what computes there.
fn runtime(device: &DispatchDevice) -> Option<Runtime> {
    #[allow(
        dead_code,
        unreachable_patterns,
        reason = "which variants exist depends on Burn's features"
    )]
    match device {
        #[cfg(feature = "wgpu")]
        DispatchDevice::Cube(cube) => {
            let client = cube.client();
            let name = client.name().to_string();
            let is_weak = takes_wgsl(&name) && !wgsl::backend::fits(&client);
            Some(if is_weak {
                Runtime::Weak(name)
            } else {
                Runtime::Cube(name)
            })
        }
        DispatchDevice::Flex(_) => Some(Runtime::Flex),
        #[cfg(feature = "remote")]
        DispatchDevice::Remote(device) => match remote::far(device)?.runtime.as_str() {
            FLEX => Some(Runtime::Flex),
            OTHER => None,
            cube => Some(Runtime::Cube(cube.to_owned())),
        },
        DispatchDevice::Autodiff(outer) => runtime(&outer.clone().inner()),
        _ => None,
    }
}

/// The name of a device's runtime: `wgpu<wgsl>`, `wgpu<spirv>`, `wgpu<msl>`, `cuda`, `hip`, `flex`, or
/// `other`.
pub fn runtime_name(device: &Device) -> String {
    match runtime(device.as_dispatch()) {
        Some(Runtime::Cube(name) | Runtime::Weak(name)) => name,
        Some(Runtime::Flex) => FLEX.to_string(),
        None => OTHER.to_string(),
    }
}

/// The implementation that a layer set to `asked` uses on `device`: a run prints it in its header.
///
/// Never [`Implementation::Auto`]. Layers over more than [`LABELS_MAX`] labels differ: ask the layer.
///
/// # Errors
/// [`CrfError::Unavailable`] where `asked` names an implementation that the device cannot run.
pub fn implementation_in_use(
    device: &Device,
    asked: Implementation,
) -> Result<Implementation, CrfError> {
    implementation_for(device, asked, 2)
}

/// [`implementation_in_use`] for a layer over `labels` labels.
pub(crate) fn implementation_for(
    device: &Device,
    asked: Implementation,
    labels: usize,
) -> Result<Implementation, CrfError> {
    choose(runtime(device.as_dispatch()).as_ref(), asked, labels)
}

/// The choice itself: by the runtime's name, what is asked for, and the label count.
fn choose(
    runtime: Option<&Runtime>,
    asked: Implementation,
    labels: usize,
) -> Result<Implementation, CrfError> {
    let unavailable = |reason| CrfError::Unavailable {
        implementation: asked,
        device: match runtime {
            Some(Runtime::Cube(name) | Runtime::Weak(name)) => name.clone(),
            Some(Runtime::Flex) => "flex".to_string(),
            None => "another backend".to_string(),
        },
        reason,
    };
    if labels > LABELS_MAX {
        return match asked {
            Implementation::Auto | Implementation::Reference => Ok(Implementation::Reference),
            _ => Err(CrfError::Labels {
                labels,
                least: 2,
                most: LABELS_MAX,
                implementation: asked,
            }),
        };
    }
    match (asked, runtime) {
        (Implementation::Auto | Implementation::Cpu, Some(Runtime::Flex)) => {
            Ok(Implementation::Cpu)
        }
        (Implementation::Auto | Implementation::Wgsl, Some(Runtime::Cube(name)))
            if takes_wgsl(name) =>
        {
            Ok(Implementation::Wgsl)
        }
        (Implementation::Auto | Implementation::Reference, _) => Ok(Implementation::Reference),
        (Implementation::Cpu, _) => Err(unavailable(
            "the fused loop reads memory of the CPU backend, flex",
        )),
        (Implementation::Wgsl, Some(Runtime::Weak(_))) => Err(unavailable(
            "WGSL kernels need 8 storage buffers, 64 invocations of a workgroup and 16 KiB of its memory",
        )),
        (Implementation::Wgsl, _) => Err(unavailable(
            "WGSL kernels need a wgpu device that compiles WGSL",
        )),
    }
}

/// Refuses fewer than two labels: nothing to distinguish.
pub(crate) fn check_labels(labels: usize) -> Result<(), CrfError> {
    if labels >= 2 {
        Ok(())
    } else {
        Err(CrfError::Labels {
            labels,
            least: 2,
            most: usize::MAX,
            implementation: Implementation::Reference,
        })
    }
}

/// Refuses a bound that is not a positive number.
pub(crate) fn check_a_max(a_max: Option<f32>) -> Result<(), CrfError> {
    match a_max {
        Some(a_max) if !(a_max.is_finite() && a_max > 0.0) => Err(CrfError::Config {
            key: "a_max",
            got: a_max.to_string(),
            expected: "a positive number, or none",
        }),
        _ => Ok(()),
    }
}

/// Panics with both shapes where they differ: the counterpart of Burn's own shape checks.
pub(crate) fn checked_shape(what: &'static str, expected: &str, wanted: &[usize], got: &[usize]) {
    if wanted != got {
        let error = CrfError::Shape {
            what,
            expected: format!("{expected} = {wanted:?}"),
            got: got.to_vec(),
        };
        panic!("{error}");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    /// Builds for SPIR-V, MSL, CUDA or HIP compile no WGSL text: tensor operations run there, and asking for
    /// the kernels says why not, naming the client.
    #[test]
    fn kernels_run_only_where_the_client_compiles_wgsl() {
        let auto = |runtime: &Runtime| choose(Some(runtime), Implementation::Auto, 8);
        let wgsl = Runtime::Cube("wgpu<wgsl>".to_string());
        assert_eq!(auto(&wgsl), Ok(Implementation::Wgsl));
        assert_eq!(auto(&Runtime::Flex), Ok(Implementation::Cpu));
        for name in ["wgpu<spirv>", "wgpu<msl>", "cuda", "hip", "cpu"] {
            let other = Runtime::Cube(name.to_string());
            assert_eq!(auto(&other), Ok(Implementation::Reference), "{name}");
            let error = choose(Some(&other), Implementation::Wgsl, 8).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        // A device that compiles it and lacks what the kernels need.
        let weak = Runtime::Weak("wgpu<wgsl>".to_string());
        assert_eq!(auto(&weak), Ok(Implementation::Reference));
        let error = choose(Some(&weak), Implementation::Wgsl, 8).unwrap_err();
        assert!(error.to_string().contains("8 storage buffers"), "{error}");
        assert_eq!(
            choose(None, Implementation::Auto, 8),
            Ok(Implementation::Reference)
        );
        assert_eq!(
            choose(Some(&wgsl), Implementation::Auto, LABELS_MAX + 1),
            Ok(Implementation::Reference)
        );
        assert!(choose(Some(&wgsl), Implementation::Cpu, 8).is_err());
    }
}
