//! What each kernel in WGSL needs of a device, and what a device has. Where one of the convolutions' kernels
//! cannot run, Burn's compute the convolutions; where one of the others cannot, they compute all else.

#[cfg(feature = "wgpu")]
use std::sync::{Mutex, PoisonError};

use burn::tensor::Device;
#[cfg(feature = "wgpu")]
use cubecl::client::Client;

/// What a kernel needs at most, or a device has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Storage buffers of a kernel.
    pub(super) buffers: u32,
    /// Invocations of a workgroup, all along its first axis.
    pub(super) invocations: u32,
    /// Bytes of workgroup memory.
    pub(super) shared_bytes: u32,
}

/// What a kernel needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Stem of its files.
    pub(super) kernel: &'static str,
    pub(super) needs: Limits,
}

const fn row(kernel: &'static str, buffers: u32, invocations: u32, shared_bytes: u32) -> Row {
    Row {
        kernel,
        needs: Limits {
            buffers,
            invocations,
            shared_bytes,
        },
    }
}

/// Every kernel: storage buffers, invocations of a workgroup, bytes of workgroup memory. Tests hold what the
/// shaders take, and every launch, to its row.
pub(super) const NEEDS: [Row; 19] = [
    row("net_conv", 5, 64, 16 << 10),
    row("net_conv_weight", 4, 64, 16 << 10),
    row("net_conv_sum", 4, 64, 0),
    row("net_norm", 8, 256, 16 << 10),
    row("net_affine", 7, 64, 0),
    row("net_styles", 8, 64, 256),
    row("net_leaky", 3, 256, 0),
    row("net_part", 3, 256, 0),
    row("net_resize", 3, 256, 0),
    row("net_latent", 5, 256, 0),
    row("net_divergence", 4, 256, 1 << 10),
    row("net_mixed", 6, 256, 0),
    row("net_figures", 3, 256, 1 << 10),
    row("net_error", 4, 256, 1 << 10),
    row("net_edges", 3, 64, 0),
    row("net_filter", 4, 256, 0),
    row("net_total", 7, 64, 256),
    row("net_adam", 8, 256, 1 << 10),
    row("net_gather", 8, 256, 0),
];

/// Channels of a group that `net_norm` has workgroup memory for: two pairs of floats each, beside one an
/// invocation.
pub(super) const GROUP_MOST: usize = ((16 << 10) - 256 * 8) / 16;

/// Kernels that Burn's stand in for together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Convolutions,
    /// All others: buffers that they share, and gradients that they leave to each other, tie them together.
    Others,
}

impl Row {
    fn family(&self) -> Family {
        if self.kernel.starts_with("net_conv") {
            Family::Convolutions
        } else {
            Family::Others
        }
    }
}

impl Limits {
    /// What the runtime knows of a device.
    #[cfg(feature = "wgpu")]
    fn of(client: &Client) -> Self {
        let hardware = &client.properties().hardware;
        let bytes = hardware.max_shared_memory_size;
        Self {
            // CubeCL takes one off those that wgpu has, for a buffer of its own; our kernels have none.
            buffers: hardware.max_bindings.saturating_add(1),
            invocations: hardware.max_units_per_cube.min(hardware.max_cube_dim.0),
            shared_bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        }
    }

    /// What a kernel needs and this lacks, in words.
    fn missing(self, row: &Row) -> Option<String> {
        let Row { kernel, needs } = row;
        [
            (self.buffers, needs.buffers, "storage buffers"),
            (
                self.invocations,
                needs.invocations,
                "invocations of a workgroup",
            ),
            (
                self.shared_bytes,
                needs.shared_bytes,
                "bytes of workgroup memory",
            ),
        ]
        .into_iter()
        .find(|(has, needed, _)| has < needed)
        .map(|(has, needed, what)| format!("{kernel} needs {needed} {what}, the device has {has}"))
    }

    /// The first kernel of a family that cannot run, and why.
    fn lacking(self, family: Family) -> Option<String> {
        let mut rows = NEEDS.iter().filter(|row| row.family() == family);
        rows.find_map(|row| self.missing(row))
    }

    /// What Burn's kernels compute, and why, in words; none where all of ours run.
    fn report(self) -> Option<String> {
        let families = [Family::Convolutions, Family::Others];
        let (what, why) = match families.map(|family| self.lacking(family)) {
            [None, None] => return None,
            [Some(why), None] => ("convolutions", why),
            [None, Some(why)] => ("all but convolutions", why),
            [Some(_), Some(why)] => ("networks", why),
        };
        Some(format!("{what} by Burn's kernels: {why}"))
    }
}

/// What a device that takes WGSL runs of our kernels, looked up once.
#[derive(Clone, Debug)]
struct Known {
    convolutions: bool,
    others: bool,
    report: Option<String>,
}

impl From<Limits> for Known {
    fn from(limits: Limits) -> Self {
        let runs = |family| limits.lacking(family).is_none();
        Self {
            convolutions: runs(Family::Convolutions),
            others: runs(Family::Others),
            report: limits.report(),
        }
    }
}

/// Devices of this machine that were asked for.
#[cfg(feature = "wgpu")]
static KNOWN: Mutex<Vec<(Device, Known)>> = Mutex::new(Vec::new());

/// Looks at what is known of a device of this machine that takes WGSL; none of others, whose own machine
/// looks after that.
#[cfg(feature = "wgpu")]
fn look<T>(device: &Device, at: impl FnOnce(&Known) -> T) -> Option<T> {
    use burn::backend::DispatchDevice;

    #[cfg(test)]
    if let Some(invented) = INVENTED.get() {
        return Some(at(&invented.into()));
    }
    let device = device.clone().inner();
    let DispatchDevice::Cube(cube) = device.as_dispatch() else {
        return None;
    };
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, found)) = known.iter().find(|(other, _)| *other == device) {
        return Some(at(found));
    }
    let new = Known::from(Limits::of(&cube.client()));
    let result = at(&new);
    known.push((device.clone(), new));
    Some(result)
}

/// Without wgpu there is no such device here.
#[cfg(not(feature = "wgpu"))]
fn look<T>(_: &Device, _: impl FnOnce(&Known) -> T) -> Option<T> {
    None
}

/// True where a device that takes WGSL has what the kernels of a family need.
pub(super) fn runs(device: &Device, family: Family) -> bool {
    let runs = look(device, |known| match family {
        Family::Convolutions => known.convolutions,
        Family::Others => known.others,
    });
    runs.unwrap_or(true)
}

/// What Burn's kernels compute on a device that takes WGSL, and why, in words; none where all of ours run.
pub(super) fn report(device: &Device) -> Option<String> {
    look(device, |known| known.report.clone()).flatten()
}

#[cfg(all(test, feature = "wgpu"))]
thread_local! {
    /// What every device has, as far as this thread knows.
    static INVENTED: std::cell::Cell<Option<Limits>> = const { std::cell::Cell::new(None) };
}

/// Runs something as if every device had this.
#[cfg(all(test, feature = "wgpu"))]
pub(super) fn as_if<T>(has: Limits, run: impl FnOnce() -> T) -> T {
    INVENTED.set(Some(has));
    let result = run();
    INVENTED.set(None);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `WebGPU` asks of every device.
    const LEAST: Limits = Limits {
        buffers: 8,
        invocations: 256,
        shared_bytes: 16 << 10,
    };

    #[test]
    fn what_webgpu_asks_of_every_device_is_enough_for_every_kernel() {
        assert_eq!(LEAST.report(), None);
        for row in &NEEDS {
            assert_eq!(LEAST.missing(row), None);
            assert_eq!(
                row.needs.missing(row),
                None,
                "no kernel needs more than it needs"
            );
        }
    }

    #[test]
    fn what_a_weak_device_lacks_is_named_for_every_kernel() {
        let weak = Limits {
            buffers: 4,
            invocations: 128,
            shared_bytes: 8 << 10,
        };
        for row in &NEEDS {
            let Limits {
                buffers,
                invocations,
                shared_bytes,
            } = row.needs;
            let lacks = buffers > 4 || invocations > 128 || shared_bytes > 8 << 10;
            let said = weak.missing(row);
            assert_eq!(said.is_some(), lacks, "{row:?}: {said:?}");
            assert!(said.is_none_or(|said| said.starts_with(row.kernel)));
            // One less of anything that it needs is too little.
            let less = [
                Limits {
                    buffers: buffers - 1,
                    ..LEAST
                },
                Limits {
                    invocations: invocations - 1,
                    ..LEAST
                },
                Limits {
                    shared_bytes: shared_bytes.saturating_sub(1),
                    ..LEAST
                },
            ];
            let [few, narrow, small] = less.map(|limits| limits.missing(row));
            let few = few.expect("a buffer less");
            assert!(few.contains(&format!("needs {buffers} storage")), "{few}");
            let narrow = narrow.expect("an invocation less");
            assert!(narrow.ends_with(&format!("has {}", invocations - 1)));
            assert_eq!(small.is_some(), shared_bytes > 0, "{small:?}");
        }
        let said = weak.report().expect("it lacks something");
        assert!(said.starts_with("networks by Burn's kernels: net_norm needs 8 storage buffers"));
    }

    #[test]
    fn a_device_of_narrow_workgroups_keeps_our_convolutions() {
        // What Vulkan asks of every device.
        let narrow = Limits {
            invocations: 128,
            ..LEAST
        };
        let known = Known::from(narrow);
        assert!(known.convolutions && !known.others);
        assert_eq!(
            known.report.as_deref(),
            Some(
                "all but convolutions by Burn's kernels: net_norm needs 256 invocations of a workgroup, the device has 128"
            )
        );
        let small = Limits {
            shared_bytes: 8 << 10,
            ..LEAST
        };
        let known = Known::from(small);
        assert!(!known.convolutions && !known.others);
    }

    #[test]
    fn a_group_that_fits_takes_all_the_workgroup_memory_of_its_row() {
        let row = NEEDS.iter().find(|row| row.kernel == "net_norm");
        let needs = row.expect("it has a row").needs;
        let [invocations, bytes] = [needs.invocations, needs.shared_bytes]
            .map(|count| usize::try_from(count).expect("a small number"));
        assert_eq!(8 * invocations + 16 * GROUP_MOST, bytes);
    }
}
