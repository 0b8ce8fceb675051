//! The operation on CubeCL devices: which kernels a call runs, and the tensors that come out.

use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::client::Client;
use cubecl::server::Handle;

use super::crf_image::Picture;
use super::{
    BUFFERS, Direction, KernelCall, SHARED_BYTES, WORKGROUP, crf_chain, crf_finish, crf_image,
    crf_lanes, crf_scale, crf_scan, crf_segments, crf_viterbi,
};
use crate::config::{Directions, WgslKernel, Work};
use crate::op::ops::{CrfOps, upstream_shape};
use crate::op::plan::{Evidence, Group, Lines, Order, Plan};

/// Whether the adapter is a CPU behind a GPU's interface.
pub(crate) fn is_software(client: &Client) -> bool {
    client.properties().identity.physical.is_none()
}

/// Whether a device has what all kernels need but `crf_image`, which is asked by its picture.
pub(crate) fn fits(client: &Client) -> bool {
    let hardware = &client.properties().hardware;
    // CubeCL takes one off those that wgpu has, for a buffer of its own; our kernels have none.
    hardware.max_bindings.saturating_add(1) >= BUFFERS
        && invocations(client) >= WORKGROUP
        && hardware.max_shared_memory_size >= SHARED_BYTES
}

/// Invocations that a workgroup may have along its first axis.
fn invocations(client: &Client) -> u32 {
    let hardware = &client.properties().hardware;
    hardware.max_units_per_cube.min(hardware.max_cube_dim.0)
}

/// The kernel that a call runs: what [`WgslKernel::chosen`] says of it.
pub(crate) fn kernel_in_use(
    client: &Client,
    plan: &Plan,
    dims @ [_, l, h, w]: [usize; 4],
) -> WgslKernel {
    let lines = |rows| plan.lines(rows, dims, [0; 4], [0; 3]);
    let most = |of: fn(&Lines) -> usize| {
        plan.rows_and_columns()
            .map(|rows| of(&lines(rows)))
            .max()
            .unwrap_or(0)
    };
    let memory_bytes = client.properties().hardware.max_shared_memory_size;
    let whole_pictures = plan.order == Order::Grid
        && plan.group == Group::Picture
        && plan.directions == Directions::Both
        && plan.evidence != Evidence::LogPartition;
    plan.kernel.chosen(Work {
        software: is_software(client),
        labels: l,
        chains: most(|lines| lines.chains),
        length: most(|lines| lines.length),
        image_fits: whole_pictures && Picture::new(l, h, w).fits(memory_bytes, invocations(client)),
    })
}

/// A call whose plan names the kernel that it runs.
fn call(
    emissions: CubeTensor,
    labels: CubeTensor,
    potentials: CubeTensor,
    lengths: CubeTensor,
    plan: Plan,
) -> KernelCall {
    let dims = core::array::from_fn(|axis| emissions.meta.shape()[axis]);
    let kernel = kernel_in_use(&emissions.client, &plan, dims);
    let plan = Plan { kernel, ..plan };
    KernelCall::new(emissions, labels, potentials, lengths, plan)
}

/// Values, and tables where there is a gradient.
pub(super) fn run(
    call: &KernelCall,
    gradient: Option<&Handle>,
) -> (CubeTensor, Option<CubeTensor>) {
    if call.plan.kernel == WgslKernel::Image {
        return crf_image::launch(call, gradient);
    }
    let entries = call.entries(gradient.is_some());
    let columns = call.columns();
    let sums = call.floats(entries * columns.iter().sum::<usize>());
    let mut sums_at = 0;
    for (index, (lines, columns)) in call.lines.iter().zip(columns).enumerate() {
        walk(&Direction {
            call,
            lines,
            index,
            sums: &sums,
            sums_at,
            columns,
            gradient,
        });
        sums_at += entries * columns;
    }
    crf_finish::launch(call, sums, gradient.is_some())
}

/// Sums and gradient of one direction's chains.
fn walk(direction: &Direction<'_>) {
    match direction.call.plan.kernel {
        WgslKernel::Lanes => crf_lanes::launch(direction),
        WgslKernel::Scan => {
            let edges = crf_segments::launch(direction);
            crf_scan::launch(direction, &edges);
            crf_chain::launch(direction, Some(&edges));
        }
        _ => crf_chain::launch(direction, None),
    }
}

impl CrfOps for CubeBackend {
    fn crf_value(
        emissions: FloatTensor<Self>,
        labels: IntTensor<Self>,
        potentials: FloatTensor<Self>,
        lengths: IntTensor<Self>,
        plan: Plan,
    ) -> FloatTensor<Self> {
        run(&call(emissions, labels, potentials, lengths, plan), None).0
    }

    fn crf_gradient(
        emissions: FloatTensor<Self>,
        labels: IntTensor<Self>,
        potentials: FloatTensor<Self>,
        lengths: IntTensor<Self>,
        plan: Plan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let call = call(emissions, labels, potentials, lengths, plan);
        let [b, l, h, w] = call.dims;
        let gradient = call.floats(b * l * h * w);
        let (values, tables) = run(&call, Some(&gradient));
        let gradient = match plan.order {
            Order::Grid => call.tensor(Shape::new(call.dims), gradient),
            Order::Sequence => {
                let dense = call.tensor(Shape::new([b, h, w, l]), gradient);
                CubeBackend::float_permute(dense, &[0, 3, 1, 2]) // [1, n, t, l] -> [1, l, n, t]
            }
        };
        let tables = tables.expect("tables come with a gradient");
        (values, gradient, tables)
    }

    fn crf_viterbi(
        emissions: FloatTensor<Self>,
        potentials: FloatTensor<Self>,
        lengths: IntTensor<Self>,
        plan: Plan,
    ) -> (IntTensor<Self>, FloatTensor<Self>) {
        let labels = lengths.clone(); // no label is read
        let call = call(emissions, labels, potentials, lengths, plan);
        let (paths, scores) = crf_viterbi::launch(&call);
        let [b, _, h, w] = call.dims;
        let mut paths = call.tensor(Shape::new([b, h, w]), paths);
        paths.dtype = DType::I32;
        (paths, call.tensor(Shape::new([b * h]), scores))
    }

    fn crf_scaled(
        gradient: FloatTensor<Self>,
        upstream: FloatTensor<Self>,
        plan: Plan,
    ) -> FloatTensor<Self> {
        let dims: [usize; 4] = core::array::from_fn(|axis| gradient.shape()[axis]);
        let groups = upstream.shape()[0];
        let as_written =
            (0..4).all(|axis| gradient.meta.strides()[axis] == plan.gradient_strides(dims)[axis]);
        if !plan.group_in_one_piece() || !as_written || upstream.dtype != DType::F32 {
            return Self::float_mul(
                gradient,
                Self::float_reshape(upstream, Shape::new(upstream_shape(groups, dims, &plan))),
            );
        }
        crf_scale::launch(gradient, &burn_wgpu::into_contiguous(upstream), groups)
    }
}
