//! The kernels' launch code.

use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::Shape;
use burn_cubecl::CubeBackend;

use super::ops::{CrfOps, upstream_shape};
use super::plan::Plan;

impl CrfOps for CubeBackend {
    fn crf_value(
        _: FloatTensor<Self>,
        _: IntTensor<Self>,
        _: FloatTensor<Self>,
        _: IntTensor<Self>,
        _: Plan,
    ) -> FloatTensor<Self> {
        unreachable!("no kernel yet")
    }
    fn crf_gradient(
        _: FloatTensor<Self>,
        _: IntTensor<Self>,
        _: FloatTensor<Self>,
        _: IntTensor<Self>,
        _: Plan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("no kernel yet")
    }
    fn crf_scaled(
        gradient: FloatTensor<Self>,
        upstream: FloatTensor<Self>,
        plan: Plan,
    ) -> FloatTensor<Self> {
        let dims = core::array::from_fn(|axis| gradient.shape()[axis]);
        let [groups] = core::array::from_fn(|axis| upstream.shape()[axis]);
        Self::float_mul(
            gradient,
            Self::float_reshape(upstream, Shape::new(upstream_shape(groups, dims, &plan))),
        )
    }
}
