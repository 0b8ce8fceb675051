//! The networks' kernels in WGSL: what their launches share. Each file `net_*.rs` launches the shader of
//! the same name in `shaders/`. Sizes are constants of a kernel's text: a launch then uploads nothing, and
//! divisions cost nothing.

mod backend;
#[cfg(test)]
mod guards;
mod net_affine;
mod net_conv;
mod net_conv_sum;
mod net_conv_weight;
mod net_edges;
mod net_error;
mod net_filter;
mod net_gather;
mod net_leaky;
mod net_norm;
mod net_part;
mod net_resize;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::tensor::{DType, Shape};
use burn_cubecl::tensor::CubeTensor;
use burn_wgpu::{KernelSource, SourceKernel, SourceTemplate};
use cubecl::client::Client;
use cubecl::prelude::{CubeCount, CubeDim, KernelId};
use cubecl::server::{Handle, KernelArguments};
use demotic_crf::hash::fnv1a64;
use demotic_crf::template::{Values, expand};

pub(crate) use backend::convolution_kernels;
pub(crate) use net_conv_weight::runs as weight_gradient_runs;

/// Workgroups along one axis; more go to the second.
const DISPATCH_MAX: u32 = 65_535;

/// Workgroups that a launch should have at least: fewer leave a large card's cores idle.
const WORKGROUPS_LEAST: usize = 128;

/// Bytes of workgroup memory that every device has.
const SHARED_BYTES: usize = 16 << 10;

/// A shader. The type is what names its kernels in profiles.
trait Shader: Debug + Copy + Eq + std::hash::Hash + Send + Sync + 'static {
    /// Its text, a template.
    const SOURCE: &'static str;
    /// Of the text: caches on disk do not hold the text, and an edit must not find its old kernel.
    const HASH: u64 = fnv1a64(Self::SOURCE.as_bytes());
    /// Invocations of a workgroup, where it has no reason for another number.
    const WORKGROUP: u32 = 64;
}

/// Declares a shader by the stem that its file, its launch file and its row in `shaders/README.md` share.
macro_rules! shader {
    ($(#[$doc:meta])* $name:ident = $stem:literal $(, $workgroup:literal)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(super) struct $name;

        impl Shader for $name {
            const SOURCE: &'static str = include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../shaders/",
                $stem,
                ".wgsl"
            ));
            $(const WORKGROUP: u32 = $workgroup;)?
        }
    };
}
use shader;

/// A constant of a kernel's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Constant {
    Number(u32),
    /// The bits of an f32.
    Real(u32),
}

/// The constants of a kernel, and the numbers of its bindings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Constants(Vec<(&'static str, Constant)>);

impl Constants {
    fn with(mut self, name: &'static str, value: usize) -> Self {
        let value = u32::try_from(value).expect("sizes of tensors on a device fit u32");
        self.0.push((name, Constant::Number(value)));
        self
    }

    fn flag(self, name: &'static str, on: bool) -> Self {
        self.with(name, usize::from(on))
    }

    fn real(mut self, name: &'static str, value: f32) -> Self {
        self.0.push((name, Constant::Real(value.to_bits())));
        self
    }

    fn values(&self) -> Values {
        let all = self.0.iter();
        all.fold(Values::default(), |values, (name, constant)| {
            match constant {
                Constant::Number(number) => values.with(name, number),
                // As WGSL writes it: with a point or an exponent.
                Constant::Real(bits) => values.with(name, format!("{:?}", f32::from_bits(*bits))),
            }
        })
    }
}

/// A shader and the constants that make it one kernel.
#[derive(Debug, Clone)]
struct Kernel<S> {
    constants: Constants,
    workgroup: u32,
    shader: PhantomData<S>,
}

impl<S: Shader> Kernel<S> {
    fn text(&self) -> String {
        let values = self.constants.values().with("WG", self.workgroup);
        expand(S::SOURCE, &values)
    }
}

impl<S: Shader> KernelSource for Kernel<S> {
    fn source(&self) -> SourceTemplate {
        SourceTemplate::new(self.text())
    }

    fn id(&self) -> KernelId {
        KernelId::new::<Self>()
            .info((S::HASH, self.constants.clone()))
            .cube_dim(CubeDim::new_1d(self.workgroup).0)
    }

    fn lang(&self) -> &'static str {
        "wgsl"
    }
}

/// A launch that is being put together: buffers under the names that the shader's text has for their
/// bindings, and constants.
struct Launch<S> {
    handles: Vec<Handle>,
    constants: Constants,
    workgroup: u32,
    shader: PhantomData<S>,
}

impl<S: Shader> Launch<S> {
    fn new(constants: Constants) -> Self {
        Self {
            handles: Vec::with_capacity(8),
            constants,
            workgroup: S::WORKGROUP,
            shader: PhantomData,
        }
    }

    fn workgroup(mut self, invocations: usize) -> Self {
        self.workgroup = u32::try_from(invocations).expect("workgroups are small");
        self
    }

    fn bind(mut self, name: &'static str, handle: &Handle) -> Self {
        self.constants = self.constants.with(name, self.handles.len());
        self.handles.push(handle.clone());
        self
    }

    fn bind_tensor(self, name: &'static str, tensor: &CubeTensor) -> Self {
        self.bind(name, &tensor.handle)
    }

    fn kernel(self) -> (Kernel<S>, Vec<Handle>) {
        let kernel = Kernel {
            constants: self.constants,
            workgroup: self.workgroup,
            shader: PhantomData,
        };
        (kernel, self.handles)
    }

    /// Launches one invocation an element.
    fn over(self, client: &Client, elements: usize) {
        let groups = elements.div_ceil(self.workgroup as usize);
        let groups = u32::try_from(groups).expect("sizes of tensors on a device fit u32");
        let x = groups.clamp(1, DISPATCH_MAX);
        self.groups(client, [x, groups.div_ceil(x), 1]);
    }

    /// Launches a grid of workgroups.
    fn groups(self, client: &Client, [x, y, z]: [u32; 3]) {
        let (kernel, handles) = self.kernel();
        let dim = CubeDim::new_1d(kernel.workgroup);
        client.launch(
            Box::new(SourceKernel::new(kernel, dim)),
            CubeCount::Static(x, y, z),
            KernelArguments::new().with_buffers(handles.into_iter().map(Handle::binding).collect()),
        );
    }
}

/// A workgroup count.
fn count(groups: usize) -> u32 {
    u32::try_from(groups).expect("sizes of tensors on a device fit u32")
}

/// Row-major in f32, as every kernel reads its inputs.
fn plain(tensor: CubeTensor) -> CubeTensor {
    debug_assert_eq!(tensor.dtype, DType::F32);
    burn_wgpu::into_contiguous(tensor)
}

fn dims<const D: usize>(tensor: &CubeTensor) -> [usize; D] {
    let shape = tensor.meta.shape();
    std::array::from_fn(|axis| shape[axis])
}

#[cfg(not(test))]
fn floats(client: &Client, count: usize) -> Handle {
    client.empty(count.max(1) * size_of::<f32>())
}

/// In this crate's own tests every buffer lies between two guards, which the tests read afterwards.
#[cfg(test)]
fn floats(client: &Client, count: usize) -> Handle {
    guards::guarded(client, count.max(1) * size_of::<f32>())
}

/// A new tensor on the device of another.
fn empty<const D: usize>(like: &CubeTensor, shape: [usize; D]) -> CubeTensor {
    let handle = floats(&like.client, shape.iter().product());
    CubeTensor::new_contiguous(
        like.client.clone(),
        like.device.clone(),
        Shape::new(shape),
        handle,
        DType::F32,
    )
}
