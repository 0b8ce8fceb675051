//! The CRF operation below the modules: which implementation serves a device, and the call that leads to it.

pub(crate) mod reference;

use burn::backend::DispatchDevice;
use burn::tensor::Device;

use crate::config::{Implementation, LABELS_MAX};
use crate::error::CrfError;

/// What a device's runtime is, as far as the choice of an implementation goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Runtime {
    /// CubeCL, named by compiler: `wgpu<wgsl>`, `wgpu<spirv>`, `wgpu<msl>`, `cuda`.
    Cube(String),
    /// Burn's own CPU backend.
    Flex,
}

fn runtime(device: &DispatchDevice) -> Option<Runtime> {
    #[allow(
        dead_code,
        unreachable_patterns,
        reason = "which variants exist depends on Burn's features"
    )]
    match device {
        DispatchDevice::Cube(cube) => Some(Runtime::Cube(cube.client().name().to_string())),
        DispatchDevice::Flex(_) => Some(Runtime::Flex),
        DispatchDevice::Autodiff(outer) => runtime(&outer.clone().inner()),
        _ => None,
    }
}

/// The implementation that a layer set to `asked` uses on `device`: what a run prints in its header.
///
/// Never [`Implementation::Auto`].
///
/// # Errors
/// [`CrfError::Unavailable`] where `asked` names an implementation that the device cannot run.
pub fn implementation_in_use(
    device: &Device,
    asked: Implementation,
) -> Result<Implementation, CrfError> {
    let runtime = runtime(device.as_dispatch());
    let unavailable = |reason| CrfError::Unavailable {
        implementation: asked,
        device: match &runtime {
            Some(Runtime::Cube(name)) => name.clone(),
            Some(Runtime::Flex) => "flex".to_string(),
            None => "another backend".to_string(),
        },
        reason,
    };
    let _ = &unavailable;
    match asked {
        Implementation::Auto | Implementation::Reference => Ok(Implementation::Reference),
        Implementation::Wgsl => Err(unavailable("the kernels are not part of this build")),
        Implementation::Cpu => Err(unavailable("the fused loop is not part of this build")),
    }
}

/// Refuses a label count that the implementation in use does not compute.
pub(crate) fn check_labels(
    labels: usize,
    used: Implementation,
    asked: Implementation,
) -> Result<(), CrfError> {
    let most = if used == Implementation::Reference {
        usize::MAX
    } else {
        LABELS_MAX
    };
    if (2..=most).contains(&labels) {
        Ok(())
    } else {
        Err(CrfError::Labels {
            labels,
            least: 2,
            most,
            implementation: asked,
        })
    }
}
