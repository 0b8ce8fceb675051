//! The operation as Burn sees it: its signature, its output shapes under fusion, its implementation on the
//! CPU backend, and the call from a tensor.

#[cfg(feature = "wgpu")]
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, DispatchTensor, backend_extension};
use burn::tensor::{DType, FloatDType, Int, IntDType, Shape, Tensor};
use burn_flex::{Flex, FlexTensor, Layout};

use super::cpu;
use super::plan::{Group, Plan};
use crate::config::Directions;

/// Names of runtimes that are not `CubeCL`'s.
pub(crate) const FLEX: &str = "flex";
pub(crate) const OTHER: &str = "other";

/// The operation. Tensors are laid out as [`Plan`] says; `lengths` is any tensor (the labels, say) where the
/// plan is not ragged.
#[backend_extension(Cube: cfg(feature = "wgpu"), Flex, Remote: cfg(feature = "remote"), Autodiff, Fusion: cfg(feature = "wgpu"))]
pub(crate) trait CrfOps: Backend {
    /// Values `[groups]`.
    #[fusion(meta = value_spec)]
    fn crf_value(
        emissions: FloatTensor<Self>,
        labels: IntTensor<Self>,
        potentials: FloatTensor<Self>,
        lengths: IntTensor<Self>,
        plan: Plan,
    ) -> FloatTensor<Self>;

    /// Values `[groups]`, gradient by emissions `[b, l, h, w]`, gradient by potentials of each group `[d,
    /// groups, width]`.
    #[fusion(meta = gradient_specs)]
    fn crf_gradient(
        emissions: FloatTensor<Self>,
        labels: IntTensor<Self>,
        potentials: FloatTensor<Self>,
        lengths: IntTensor<Self>,
        plan: Plan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// The best paths `[b, h, w]` and their scores `[chains]` (one direction only; evidence and group do not
    /// count).
    #[fusion(meta = viterbi_specs)]
    fn crf_viterbi(
        emissions: FloatTensor<Self>,
        potentials: FloatTensor<Self>,
        lengths: IntTensor<Self>,
        plan: Plan,
    ) -> (IntTensor<Self>, FloatTensor<Self>);

    /// A gradient by emissions times its group's upstream gradient `[groups]`.
    #[fusion(dtype = gradient, shape = gradient)]
    fn crf_scaled(
        gradient: FloatTensor<Self>,
        upstream: FloatTensor<Self>,
        plan: Plan,
    ) -> FloatTensor<Self>;
}

#[cfg(feature = "wgpu")]
fn grid_dims(emissions: &TensorSpec) -> [usize; 4] {
    core::array::from_fn(|axis| emissions.shape[axis])
}

#[cfg(feature = "wgpu")]
fn value_spec(
    emissions: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    plan: &Plan,
) -> TensorSpec {
    TensorSpec::new(Shape::new([plan.groups(grid_dims(emissions))]), DType::F32)
}

#[cfg(feature = "wgpu")]
fn gradient_specs(
    emissions: &TensorSpec,
    labels: &TensorSpec,
    potentials: &TensorSpec,
    lengths: &TensorSpec,
    plan: &Plan,
) -> (TensorSpec, TensorSpec, TensorSpec) {
    let dims = grid_dims(emissions);
    (
        value_spec(emissions, labels, potentials, lengths, plan),
        TensorSpec::new(emissions.shape.clone(), DType::F32),
        TensorSpec::new(
            Shape::new([
                plan.direction_count(),
                plan.groups(dims),
                plan.width(dims[1]),
            ]),
            DType::F32,
        ),
    )
}

#[cfg(feature = "wgpu")]
fn viterbi_specs(
    emissions: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &Plan,
) -> (TensorSpec, TensorSpec) {
    let [b, _, h, w] = grid_dims(emissions);
    (
        TensorSpec::new(Shape::new([b, h, w]), DType::I32),
        TensorSpec::new(Shape::new([b * h]), DType::F32),
    )
}

/// The upstream gradient `[groups]` as a shape that broadcasts over `[b, l, h, w]`.
pub(crate) fn upstream_shape(groups: usize, [b, _, h, w]: [usize; 4], plan: &Plan) -> [usize; 4] {
    match plan.group {
        Group::All => [1, 1, 1, 1],
        Group::Picture => [groups, 1, 1, 1],
        Group::Chain if plan.directions == Directions::Columns => [b, 1, 1, w],
        Group::Chain => [b, 1, h, 1],
    }
}

// --- The CPU backend ---

/// A tensor's values in f32 or i32 with strides that only go forward.
fn plain(tensor: FlexTensor) -> FlexTensor {
    let tensor = match tensor.dtype() {
        DType::F32 | DType::I32 => tensor,
        dtype if dtype.is_float() => {
            <Flex as burn::backend::ops::FloatTensorOps<Flex>>::float_cast(tensor, FloatDType::F32)
        }
        _ => <Flex as burn::backend::ops::IntTensorOps<Flex>>::int_cast(tensor, IntDType::I32),
    };
    if tensor.layout().strides().iter().any(|&stride| stride < 0) {
        tensor.to_contiguous()
    } else {
        tensor
    }
}

fn strides<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    core::array::from_fn(|axis| tensor.layout().strides()[axis] as usize)
}

fn values<E: burn::tensor::Element + bytemuck::Pod>(tensor: &FlexTensor) -> &[E] {
    &tensor.storage::<E>()[tensor.layout().start_offset()..]
}

fn floats(values: Vec<f32>, shape: Shape, strides: Vec<isize>) -> FlexTensor {
    FlexTensor::new(
        burn::tensor::Bytes::from_elems(values),
        Layout::new(shape, strides, 0),
        DType::F32,
    )
}

/// Lengths as plain values; untouched where the plan is not ragged.
fn plain_lengths(lengths: FlexTensor, plan: &Plan) -> FlexTensor {
    if plan.ragged {
        plain(lengths).to_contiguous()
    } else {
        lengths
    }
}

fn run_flex(
    emissions: FlexTensor,
    labels: FlexTensor,
    potentials: FlexTensor,
    lengths: FlexTensor,
    plan: &Plan,
    gradient: bool,
) -> (cpu::Outputs, [usize; 4]) {
    let (emissions, labels) = (plain(emissions), plain(labels));
    let potentials = plain(potentials).to_contiguous();
    let lengths = plain_lengths(lengths, plan);
    let shape = emissions.layout().shape();
    let dims: [usize; 4] = core::array::from_fn(|axis| shape[axis]);
    let outputs = cpu::run(
        &cpu::Inputs {
            dims,
            emissions: values(&emissions),
            emission_strides: strides(&emissions),
            labels: values(&labels),
            label_strides: strides(&labels),
            potentials: values(&potentials),
            lengths: if plan.ragged { values(&lengths) } else { &[] },
        },
        plan,
        gradient,
    );
    (outputs, dims)
}

fn contiguous(shape: &Shape) -> Vec<isize> {
    let mut strides = vec![1; shape.num_dims()];
    for axis in (1..strides.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as isize;
    }
    strides
}

fn dense(values: Vec<f32>, shape: Shape) -> FlexTensor {
    let strides = contiguous(&shape);
    floats(values, shape, strides)
}

impl CrfOps for Flex {
    fn crf_value(
        emissions: FlexTensor,
        labels: FlexTensor,
        potentials: FlexTensor,
        lengths: FlexTensor,
        plan: Plan,
    ) -> FlexTensor {
        let (outputs, _) = run_flex(emissions, labels, potentials, lengths, &plan, false);
        let groups = outputs.values.len();
        dense(outputs.values, Shape::new([groups]))
    }

    fn crf_gradient(
        emissions: FlexTensor,
        labels: FlexTensor,
        potentials: FlexTensor,
        lengths: FlexTensor,
        plan: Plan,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (outputs, dims) = run_flex(emissions, labels, potentials, lengths, &plan, true);
        let groups = outputs.values.len();
        let strides = plan
            .gradient_strides(dims)
            .map(|stride| stride as isize)
            .to_vec();
        (
            dense(outputs.values, Shape::new([groups])),
            floats(outputs.emissions, Shape::new(dims), strides),
            dense(
                outputs.potentials,
                Shape::new([plan.direction_count(), groups, plan.width(dims[1])]),
            ),
        )
    }

    fn crf_viterbi(
        emissions: FlexTensor,
        potentials: FlexTensor,
        lengths: FlexTensor,
        plan: Plan,
    ) -> (FlexTensor, FlexTensor) {
        let emissions = plain(emissions);
        let potentials = plain(potentials).to_contiguous();
        let lengths = plain_lengths(lengths, &plan);
        let shape = emissions.layout().shape();
        let dims @ [b, _, h, w]: [usize; 4] = core::array::from_fn(|axis| shape[axis]);
        let (paths, scores) = cpu::viterbi(
            &cpu::Inputs {
                dims,
                emissions: values(&emissions),
                emission_strides: strides(&emissions),
                labels: &[],
                label_strides: [0; 3],
                potentials: values(&potentials),
                lengths: if plan.ragged { values(&lengths) } else { &[] },
            },
            &plan,
        );
        let shape = Shape::new([b, h, w]);
        let layout = Layout::contiguous(shape);
        (
            FlexTensor::new(burn::tensor::Bytes::from_elems(paths), layout, DType::I32),
            dense(scores, Shape::new([b * h])),
        )
    }

    fn crf_scaled(gradient: FlexTensor, upstream: FlexTensor, plan: Plan) -> FlexTensor {
        let upstream = plain(upstream).to_contiguous();
        let factors: &[f32] = values(&upstream);
        if factors.iter().all(|&factor| factor == 1.0) {
            return gradient;
        }
        let shape = gradient.layout().shape();
        let dims: [usize; 4] = core::array::from_fn(|axis| shape[axis]);
        if !plan.group_in_one_piece() || gradient.layout().start_offset() != 0 {
            let upstream = upstream.reshape(Shape::new(upstream_shape(factors.len(), dims, &plan)));
            return <Flex as burn::backend::ops::FloatTensorOps<Flex>>::float_mul(
                gradient, upstream,
            );
        }
        // Each group's gradient is one piece of memory, as `crf_gradient` wrote it.
        let factors = factors.to_vec();
        let mut gradient = gradient;
        let storage: &mut [f32] = gradient.storage_mut();
        let piece = storage.len() / factors.len();
        for (piece, factor) in storage.chunks_exact_mut(piece).zip(factors) {
            for value in piece {
                *value *= factor;
            }
        }
        gradient
    }
}

// --- Calls from a tensor ---

/// The tensors of one call, seen as a grid.
pub(crate) struct Call {
    /// `[b, l, h, w]`.
    pub(crate) emissions: Tensor<4>,
    /// `[b, h, w]`.
    pub(crate) labels: Tensor<3, Int>,
    /// `[d, width]`.
    pub(crate) potentials: Tensor<2>,
    /// `[n]` where the plan is ragged.
    pub(crate) lengths: Option<Tensor<1, Int>>,
    pub(crate) plan: Plan,
}

impl Call {
    fn lengths(&self) -> DispatchTensor {
        match &self.lengths {
            Some(lengths) => lengths.clone().into_dispatch(),
            // No kernel binds it: a tensor that exists already costs no launch.
            None => self.labels.clone().into_dispatch(),
        }
    }

    /// Values `[groups]`, differentiable by emissions and potentials.
    pub(crate) fn value(self) -> Tensor<1> {
        let lengths = self.lengths();
        Tensor::from_dispatch(<Dispatch as CrfOps>::crf_value(
            self.emissions.into_dispatch(),
            self.labels.into_dispatch(),
            self.potentials.into_dispatch(),
            lengths,
            self.plan,
        ))
    }

    /// Values, gradient by emissions, gradient by potentials of each group: constants to automatic
    /// differentiation.
    pub(crate) fn gradient(self) -> (Tensor<1>, Tensor<4>, Tensor<3>) {
        let lengths = self.lengths();
        let (value, emissions, potentials) = <Dispatch as CrfOps>::crf_gradient(
            self.emissions.detach().into_dispatch(),
            self.labels.into_dispatch(),
            self.potentials.detach().into_dispatch(),
            lengths,
            self.plan,
        );
        (
            Tensor::from_dispatch(value),
            Tensor::from_dispatch(emissions),
            Tensor::from_dispatch(potentials),
        )
    }

    /// Best paths `[b, h, w]` and scores `[chains]`.
    pub(crate) fn viterbi(self) -> (Tensor<3, Int>, Tensor<1>) {
        let lengths = self.lengths();
        let (paths, scores) = <Dispatch as CrfOps>::crf_viterbi(
            self.emissions.detach().into_dispatch(),
            self.potentials.detach().into_dispatch(),
            lengths,
            self.plan,
        );
        (Tensor::from_dispatch(paths), Tensor::from_dispatch(scores))
    }
}
