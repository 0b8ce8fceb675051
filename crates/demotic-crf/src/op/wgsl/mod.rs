//! The WGSL kernels: what their launches share. Each file `crf_*.rs` launches the shader of the same name in
//! `shaders/`; `backend.rs` chooses which of them a call runs, and in which order.

pub(crate) mod backend;
mod crf_chain;
mod crf_finish;
mod crf_image;
mod crf_lanes;
mod crf_scale;
mod crf_scan;
mod crf_segments;
mod crf_viterbi;
#[cfg(test)]
mod guards;
mod shaders;
pub(crate) mod template;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;

use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::tensor::{DType, FloatDType, IntDType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use burn_wgpu::SourceKernel;
use bytemuck::{Pod, Zeroable};
use cubecl::client::Client;
use cubecl::prelude::{CubeCount, CubeDim};
use cubecl::server::{Handle, KernelArguments};

use self::shaders::{Kernel, Shader};
use self::template::Values;
use super::plan::{Evidence, Lines, Plan};
use crate::config::WgslKernel;

/// Workgroups along one axis; more go to the second.
const DISPATCH_MAX: u32 = 65_535;

/// Invocations of a workgroup, where the kernel has no reason for another number.
const WORKGROUP: u32 = 64;

/// Storage buffers of a kernel, at most.
const BUFFERS: u32 = 8;

/// Bytes of workgroup memory that a kernel takes at most, `crf_image` aside.
const SHARED_BYTES: usize = 16 << 10;

/// Positions that one invocation takes in the three passes over long chains.
const SEGMENT: usize = 256;

/// Buffers of a launch with the binding numbers that the shader's text asks for by name.
#[derive(Default)]
struct Bindings {
    values: Values,
    handles: Vec<Handle>,
}

impl Bindings {
    fn bind(mut self, name: &str, handle: &Handle) -> Self {
        self.values = self.values.with(name, self.handles.len());
        self.handles.push(handle.clone());
        self
    }

    fn bind_if(self, wanted: bool, name: &str, handle: Option<&Handle>) -> Self {
        match handle {
            Some(handle) if wanted => self.bind(name, handle),
            _ => self,
        }
    }

    /// Launches `workgroups` workgroups of [`WORKGROUP`] invocations.
    fn launch(
        self,
        client: &Client,
        shader: Shader,
        values: impl FnOnce(Values) -> Values,
        workgroups: usize,
    ) {
        self.launch_sized(client, shader, values, workgroups, WORKGROUP);
    }

    fn launch_sized(
        self,
        client: &Client,
        shader: Shader,
        values: impl FnOnce(Values) -> Values,
        workgroups: usize,
        workgroup: u32,
    ) {
        let kernel = Kernel::new(shader, values(self.values), workgroup);
        let workgroups = u32::try_from(workgroups).expect("a tensor's chains fit u32");
        let x = workgroups.clamp(1, DISPATCH_MAX);
        client.launch(
            Box::new(SourceKernel::new(kernel, CubeDim::new_1d(workgroup))),
            CubeCount::Static(x, workgroups.div_ceil(x), 1),
            KernelArguments::new()
                .with_buffers(self.handles.into_iter().map(Handle::binding).collect()),
        );
    }
}

/// The tensors of one call on a device, ready to be bound.
struct KernelCall {
    client: Client,
    emissions: CubeTensor,
    labels: CubeTensor,
    potentials: CubeTensor,
    lengths: CubeTensor,
    dims: [usize; 4],
    lines: Vec<Lines>,
    plan: Plan,
}

impl KernelCall {
    fn new(
        emissions: CubeTensor,
        labels: CubeTensor,
        potentials: CubeTensor,
        lengths: CubeTensor,
        plan: Plan,
    ) -> Self {
        let emissions = match emissions.dtype {
            DType::F32 | DType::F16 => emissions,
            _ => CubeBackend::float_cast(emissions, FloatDType::F32),
        };
        let float = |tensor: CubeTensor| match tensor.dtype {
            DType::F32 => tensor,
            _ => CubeBackend::float_cast(tensor, FloatDType::F32),
        };
        let int = |tensor: CubeTensor| match tensor.dtype {
            DType::I32 => tensor,
            _ => CubeBackend::int_cast(tensor, IntDType::I32),
        };
        let labels = int(labels);
        let dims: [usize; 4] = core::array::from_fn(|axis| emissions.meta.shape()[axis]);
        let e: [usize; 4] = core::array::from_fn(|axis| emissions.meta.strides()[axis]);
        // A call that reads no labels may bring any tensor for them.
        let y: [usize; 3] =
            core::array::from_fn(|axis| labels.meta.strides().get(axis).copied().unwrap_or(0));
        Self {
            client: emissions.client.clone(),
            lines: plan
                .rows_and_columns()
                .map(|rows| plan.lines(rows, dims, e, y))
                .collect(),
            emissions,
            labels,
            potentials: burn_wgpu::into_contiguous(float(potentials)),
            lengths: if plan.ragged {
                burn_wgpu::into_contiguous(int(lengths))
            } else {
                lengths
            },
            dims,
            plan,
        }
    }

    #[cfg(not(test))]
    fn floats(&self, count: usize) -> Handle {
        self.client.empty(count.max(1) * size_of::<f32>())
    }

    /// In this crate's own tests every buffer lies between two guards, which the tests read afterwards.
    #[cfg(test)]
    fn floats(&self, count: usize) -> Handle {
        guards::guarded(&self.client, count.max(1) * size_of::<f32>())
    }

    fn params(&self, params: &impl Pod) -> Handle {
        self.client.create_from_slice(bytemuck::bytes_of(params))
    }

    fn tensor(&self, shape: Shape, handle: Handle) -> CubeTensor {
        CubeTensor::new_contiguous(
            self.client.clone(),
            self.emissions.device.clone(),
            shape,
            handle,
            DType::F32,
        )
    }

    fn reads_labels(&self) -> bool {
        matches!(self.plan.evidence, Evidence::Gold | Evidence::Held { .. })
    }

    /// Whether emissions are stored in f16.
    fn is_half(&self) -> bool {
        self.emissions.dtype == DType::F16
    }

    /// Sums that a chain leaves: pair sums, boundary marginals and value, or the value alone.
    fn entries(&self, gradient: bool) -> usize {
        if gradient {
            self.plan.width(self.dims[1]) + 1
        } else {
            1
        }
    }

    /// Columns of sums that each direction leaves: one per chain, or one per segment of it.
    fn columns(&self) -> Vec<usize> {
        let of = |lines: &Lines| match self.plan.kernel {
            WgslKernel::Scan => lines.chains * lines.length.div_ceil(SEGMENT),
            _ => lines.chains,
        };
        self.lines.iter().map(of).collect()
    }

    fn unknown(&self) -> i32 {
        match self.plan.evidence {
            Evidence::Held { unknown } => unknown,
            _ => 0,
        }
    }
}

/// `Params` of `crf_chain.wgsl`, field for field; `crf_lanes.wgsl` and `crf_segments.wgsl` read the beginning
/// of it.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct ChainParams {
    chains: u32,
    length: u32,
    inner: u32,
    e: [u32; 4],
    y: [u32; 3],
    g: [u32; 4],
    potentials_at: u32,
    sums_at: u32,
    unknown: i32,
    scale: f32,
    not_a_number: f32,
    segments: u32,
    edges_at: u32,
}

/// The chains of one direction, for the kernels that walk chains.
struct Direction<'a> {
    call: &'a KernelCall,
    lines: &'a Lines,
    /// 0 for the call's first direction.
    index: usize,
    /// Receives `[entries, columns]` from element `sums_at` on.
    sums: &'a Handle,
    sums_at: usize,
    /// One per chain, or one per segment of it.
    columns: usize,
    gradient: Option<&'a Handle>,
}

/// Scratch memory of the three passes over long chains.
struct Edges {
    handle: Handle,
    /// First element of the vectors that enter each segment; those that leave follow, then the operators.
    at: usize,
}

impl Direction<'_> {
    fn labels(&self) -> usize {
        self.call.dims[1]
    }

    fn params(&self, edges_at: usize) -> Handle {
        let (call, lines) = (self.call, self.lines);
        let (e, y, g) = (lines.emission, lines.label, lines.gradient);
        call.params(&ChainParams {
            chains: self.columns as u32,
            length: lines.length as u32,
            inner: lines.inner as u32,
            e: [e.outer, e.inner, e.step, e.label].map(|stride| stride as u32),
            y: [y.outer, y.inner, y.step].map(|stride| stride as u32),
            g: [g.outer, g.inner, g.step, g.label].map(|stride| stride as u32),
            potentials_at: (self.index * call.plan.width(self.labels())) as u32,
            sums_at: self.sums_at as u32,
            unknown: call.unknown(),
            scale: call.plan.scale,
            not_a_number: f32::NAN,
            segments: (self.columns / lines.chains).max(1) as u32,
            edges_at: edges_at as u32,
        })
    }

    /// What every kernel over chains reads, and its scratch memory.
    fn inputs(&self, labels: bool, forward: Option<&Handle>) -> Bindings {
        let call = self.call;
        Bindings::default()
            .bind("EMISSIONS", &call.emissions.handle)
            .bind("POTENTIALS", &call.potentials.handle)
            .bind_if(labels, "LABELS_AT", Some(&call.labels.handle))
            .bind_if(call.plan.ragged, "LENGTHS", Some(&call.lengths.handle))
            .bind_if(true, "FORWARD", forward)
    }

    /// Buffers of the kernels that give loss and gradient.
    fn bindings(&self, forward: Option<&Handle>, params: &Handle) -> Bindings {
        self.inputs(self.call.reads_labels(), forward)
            .bind_if(true, "GRADIENT_AT", self.gradient)
            .bind("SUMS", self.sums)
            .bind("PARAMS", params)
    }

    /// Constants of the kernels that give loss and gradient.
    fn guise(&self) -> Guise<'_> {
        Guise {
            labels: self.labels(),
            plan: &self.call.plan,
            gradient: self.gradient.is_some(),
            add: self.index > 0,
            half: self.call.is_half(),
        }
    }
}

/// What distinguishes two kernels of one shader over chains.
#[derive(Clone, Copy)]
struct Guise<'a> {
    labels: usize,
    plan: &'a Plan,
    gradient: bool,
    /// Whether the gradient is added to what another direction wrote.
    add: bool,
    half: bool,
}

impl Guise<'_> {
    /// The constants that `crf_chain.wgsl` and `crf_lanes.wgsl` have in common.
    fn values(&self, values: Values) -> Values {
        let (l, plan) = (self.labels, self.plan);
        values
            .with("L", l)
            .with("L2", l * l)
            .with("VALUE", if self.gradient { plan.width(l) } else { 0 })
            .flag("GRADIENT", self.gradient)
            .evidence(plan)
            .flag("FREE", plan.evidence == Evidence::Free)
            .flag("PARTITION", plan.evidence == Evidence::LogPartition)
            .flag("RAGGED", plan.ragged)
            .flag("BOUNDARIES", plan.boundaries)
            .flag("ADD", self.add)
            .flag("HALF", self.half)
    }
}

impl Values {
    /// What is known of the labels.
    fn evidence(self, plan: &Plan) -> Self {
        let held = matches!(plan.evidence, Evidence::Held { .. });
        let gold = plan.evidence == Evidence::Gold;
        self.flag("LABELS", gold || held)
            .flag("GOLD", gold)
            .flag("HELD", held)
    }
}
