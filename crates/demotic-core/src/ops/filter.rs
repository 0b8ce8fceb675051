//! The edge-aware filter that lays a translation into the picture it was made from: the change is spread
//! within regions and stops at edges, the input's own detail stays.

use burn::backend::AutodiffBackend;
use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
#[cfg(feature = "wgpu")]
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

pub(crate) use super::filter_cpu::Filter;
use super::filter_cpu::{self, FilterShape, ROUNDS};
use super::flex::{dims, host, own, tensor};
use super::is_served;
use super::shapes::{Shape, meet};
#[cfg(feature = "wgpu")]
use super::{TensorShape, four};

/// `clamp(x + F(y - x), -1, 1)`: F averages within regions, `F(r)_i = sum_j w_ij r_j / sum_j w_ij` along a
/// line, with `w_ij = exp(-sum of costs between i and j)` and the cost of a step `1 / (reach * side) + edge
/// |x_i - x_(i-1)| + edge_fake
/// |y_i - y_(i-1)|`; rows, then columns, twice. Edges are constants for the gradient.
///
/// # Shapes
/// `guide` (x) and `fake` (y): `[b, c, H, W]` in [-1, 1], as the result.
///
/// # Source
/// Gastal and Oliveira 2011, *Domain Transform for Edge-Aware Image and Video Processing*, with the
/// normalised form of its recursion; trained through as by Chen et al. 2016.
pub(crate) fn lay_in(guide: Tensor<4>, fake: Tensor<4>, filter: Filter) -> Tensor<4> {
    let [_, channels, side, _] = guide.dims();
    meet(&guide, || Shape::Filter { channels, side });
    let change = fake.clone() - guide.clone();
    let (x, y) = (guide.clone().detach(), fake.detach());
    let spread = if is_served(&guide.device()) {
        let decays =
            <Dispatch as FilterOps>::filter_decays(x.into_dispatch(), y.into_dispatch(), filter);
        let change = change.into_dispatch();
        Tensor::from_dispatch(<Dispatch as FilterOps>::filter(change, decays, false))
    } else {
        by_tensors(change, decays(x, y, filter))
    };
    (guide + spread).clamp(-1.0, 1.0)
}

/// Decays along rows and along columns, each `[b, 1, H, W]`: from the left and the upper neighbour, 0 at the
/// border.
fn decays(x: Tensor<4>, y: Tensor<4>, filter: Filter) -> [Tensor<4>; 2] {
    let [b, _, h, w] = x.dims();
    let cost = filter.cost_a_pixel(h.max(w));
    [(3, w), (2, h)].map(|(axis, length)| {
        let steps = |picture: &Tensor<4>, edge: f32| {
            let later = picture.clone().narrow(axis, 1, length - 1);
            let earlier = picture.clone().narrow(axis, 0, length - 1);
            (later - earlier).abs().mean_dim(1).mul_scalar(edge)
        };
        let costs = steps(&x, filter.edge) + steps(&y, filter.edge_fake) + cost;
        let border = if axis == 3 {
            [b, 1, h, 1]
        } else {
            [b, 1, 1, w]
        };
        let border = Tensor::zeros(border, &x.device());
        Tensor::cat(vec![border, costs.neg().exp()], axis)
    })
}

/// The filter by tensor operations, for devices without a kernel.
fn by_tensors(mut r: Tensor<4>, [rows, columns]: [Tensor<4>; 2]) -> Tensor<4> {
    let lines = [(3, rows), (2, columns)].map(|(axis, decays)| {
        let sums = weighted(decays.clone().ones_like(), &decays, axis);
        (axis, decays, sums)
    });
    for _ in 0..ROUNDS {
        for (axis, decays, sums) in &lines {
            r = weighted(r, decays, *axis) / sums.clone();
        }
    }
    r
}

/// `sum_j w_ij r_j` along an axis. Each recursion by doubling: after k rounds a place holds the sum over the
/// 2^k before it.
fn weighted(r: Tensor<4>, decays: &Tensor<4>, axis: usize) -> Tensor<4> {
    let length = r.dims()[axis];
    let swept = |mut decays: Tensor<4>, is_forward: bool| {
        let mut sums = r.clone();
        let mut step = 1;
        while step < length {
            sums = sums.clone() + decays.clone() * moved(sums, axis, step, is_forward);
            decays = decays.clone() * moved(decays, axis, step, is_forward);
            step *= 2;
        }
        sums
    };
    let before = swept(decays.clone(), true);
    let after = swept(moved(decays.clone(), axis, 1, false), false);
    before + after - r.clone()
}

/// Moved along an axis, later (forward) or earlier; zeros come in.
fn moved(x: Tensor<4>, axis: usize, step: usize, is_forward: bool) -> Tensor<4> {
    let mut gap = x.dims();
    let length = gap[axis];
    gap[axis] = step;
    let gap = Tensor::zeros(gap, &x.device());
    let parts = if is_forward {
        vec![gap, x.narrow(axis, 0, length - step)]
    } else {
        vec![x.narrow(axis, step, length - step), gap]
    };
    Tensor::cat(parts, axis)
}

/// The operations of Flex and of `wgpu`, on this machine and others; other backends never get here.
#[backend_extension(Cube: cfg(feature = "wgpu"), Flex, Remote: cfg(feature = "remote"), Autodiff, Fusion: cfg(feature = "wgpu"))]
pub(crate) trait FilterOps: Backend {
    /// Decays along rows, then along columns: `[b, 2, H, W]`, constants to automatic differentiation. On
    /// `wgpu` the shares along each follow: `[b, 4, H, W]`.
    #[fusion(meta = |guide, _, _| weights_spec(guide))]
    fn filter_decays(
        guide: FloatTensor<Self>,
        fake: FloatTensor<Self>,
        filter: Filter,
    ) -> FloatTensor<Self>;
    /// The filter over `[b, c, H, W]`; transposed, what leads a gradient back through it.
    #[fusion(dtype = change, shape = change)]
    fn filter(
        change: FloatTensor<Self>,
        decays: FloatTensor<Self>,
        is_transposed: bool,
    ) -> FloatTensor<Self>;
}

#[cfg(feature = "wgpu")]
fn weights_spec(guide: &TensorSpec) -> TensorSpec {
    let [b, _, h, w] = four(&guide.shape);
    TensorSpec::new(TensorShape::new([b, 4, h, w]), guide.dtype)
}

fn shape(x: &FlexTensor) -> FilterShape {
    let [batch, channels, height, width] = dims(x);
    FilterShape {
        batch,
        channels,
        height,
        width,
    }
}

impl FilterOps for Flex {
    fn filter_decays(guide: FlexTensor, fake: FlexTensor, filter: Filter) -> FlexTensor {
        let (guide, fake) = (own(guide), own(fake));
        let s = shape(&guide);
        let decays = filter_cpu::decays(host(&guide), host(&fake), filter, s);
        tensor(decays, [s.batch, 2, s.height, s.width])
    }

    fn filter(change: FlexTensor, decays: FlexTensor, is_transposed: bool) -> FlexTensor {
        let (mut planes, decays) = (own(change), own(decays));
        let s = shape(&planes);
        filter_cpu::run(planes.storage_mut(), host(&decays), is_transposed, s);
        planes
    }
}

#[derive(Debug)]
struct FilterBackward;

impl<B: FilterOps> Backward<B, 1> for FilterBackward {
    type State = (FloatTensor<B>, bool);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [change_node] = ops.parents;
        let upstream = grads.consume::<B>(&ops.node);
        let (decays, is_transposed) = ops.state;
        if let Some(node) = change_node {
            grads.register::<B>(node.id, B::filter(upstream, decays, !is_transposed));
        }
    }
}

impl<B: FilterOps, C: CheckpointStrategy> FilterOps for Autodiff<B, C> {
    fn filter_decays(
        guide: FloatTensor<Self>,
        fake: FloatTensor<Self>,
        filter: Filter,
    ) -> FloatTensor<Self> {
        let decays = B::filter_decays(guide.into_primitive(), fake.into_primitive(), filter);
        Self::from_inner(decays)
    }

    fn filter(
        change: FloatTensor<Self>,
        decays: FloatTensor<Self>,
        is_transposed: bool,
    ) -> FloatTensor<Self> {
        let decays = decays.into_primitive();
        match FilterBackward
            .prepare::<C>([change.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let out = B::filter(change.into_primitive(), decays.clone(), is_transposed);
                prep.finish((decays, is_transposed), out)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::filter(change.into_primitive(), decays, is_transposed))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::check::doctor::oracle::EdgeAware;
    use crate::ops::testing::worst;
    use crate::rng::{Rng, Stream};

    /// Pictures with flat regions and edges, within [-0.8, 0.8].
    fn picture(step: u64, [b, c, h, w]: [usize; 4]) -> Vec<f32> {
        let values = Rng::new(7, Stream::TEST, step).normals(b * c * h * w);
        let blocks = (0..b * c * h * w).map(|at| {
            let (plane, i, j) = (at / (h * w), at / w % h, at % w);
            let block = (plane * h + i / 3 * 3) * w + j / 4 * 4;
            (0.5 * values[block] + 0.05 * values[at]).clamp(-0.8, 0.8)
        });
        blocks.collect()
    }

    #[test]
    fn values_and_gradient_are_those_of_the_float64_sums_on_ragged_sizes() {
        for (shape, filter) in [
            (
                [2, 3, 9, 13],
                Filter {
                    reach: 0.3,
                    edge: 5.0,
                    edge_fake: 5.0,
                },
            ),
            (
                [1, 1, 16, 70],
                Filter {
                    reach: 0.6,
                    edge: 15.0,
                    edge_fake: 0.0,
                },
            ),
            (
                [1, 4, 2, 5],
                Filter {
                    reach: 0.6,
                    edge: 15.0,
                    edge_fake: 2.0,
                },
            ),
        ] {
            let [b, channels, height, width] = shape;
            let (x, y) = (picture(1, shape), picture(2, shape));
            let up = Rng::new(7, Stream::TEST, 3).normals(x.len());
            let oracle = EdgeAware {
                batch: b,
                channels,
                height,
                width,
                filter,
                scales: &[1.0, 1.0],
            };
            let truth = oracle.run(&x, &y, &up);
            let device = Device::flex().autodiff();
            let place =
                |v: &[f32]| Tensor::<4>::from_data(TensorData::new(v.to_vec(), shape), &device);
            let fake = place(&y).require_grad();
            // By the CPU's loops and by tensor operations, which GPUs without a kernel take.
            let ours = lay_in(place(&x), fake.clone(), filter);
            let edges = decays(place(&x), place(&y), filter);
            let plain = place(&x) + by_tensors(fake.clone() - place(&x), edges);
            for out in [ours, plain.clamp(-1.0, 1.0)] {
                let error = worst(&crate::arrays::values_of(out.clone().inner()), &truth.y);
                assert!(error < 5e-6, "{shape:?}: {error}");
                let gradients = (out * place(&up)).sum().backward();
                let gradient = crate::arrays::values_of(fake.grad(&gradients).expect("fake"));
                let error = worst(&gradient, &truth.dfake);
                assert!(error < 5e-6, "{shape:?}: gradient {error}");
            }
        }
    }

    #[test]
    fn a_change_stays_within_its_region_and_the_inputs_detail_stays() {
        // A dark outline round the middle of a white picture; the translation paints all of it, and the
        // outline too.
        let side = 24;
        let is_outline = |i: usize, j: usize| {
            let ring = |k: usize| (6..18).contains(&k);
            ring(i) && ring(j) && (i == 6 || j == 6 || i == 17 || j == 17)
        };
        let is_inside = |i: usize, j: usize| (7..17).contains(&i) && (7..17).contains(&j);
        let pixels = (0..side * side).map(|at| (at / side, at % side));
        let x: Vec<f32> = pixels
            .clone()
            .map(|(i, j)| if is_outline(i, j) { -1.0 } else { 1.0 })
            .collect();
        // Blotchy inside, faint dirt outside.
        let y: Vec<f32> = pixels
            .clone()
            .map(|(i, j)| match (is_inside(i, j), (i + j) % 2 == 0) {
                (true, true) => -0.4,
                (true, false) => 0.2,
                (false, even) => {
                    1.0 - 0.05 * f32::from(u8::from(even))
                        - 2.0 * f32::from(u8::from(is_outline(i, j)))
                }
            })
            .collect();
        let place = |v: &[f32]| {
            Tensor::<4>::from_data(
                TensorData::new(v.to_vec(), [1, 1, side, side]),
                &Device::flex(),
            )
        };
        let filter = Filter {
            reach: 0.6,
            edge: 15.0,
            edge_fake: 0.0,
        };
        let out = crate::arrays::values_of(lay_in(place(&x), place(&y), filter));
        for ((i, j), value) in pixels.zip(out) {
            if is_inside(i, j) {
                assert!((value + 0.1).abs() < 0.06, "fill at {i}, {j}: {value}");
            } else if !is_outline(i, j) {
                assert!(value > 0.94, "canvas at {i}, {j}: {value}");
            } else {
                assert!(value < -0.9, "outline at {i}, {j}: {value}");
            }
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let shape = [2, 3, 40, 72];
        let (x, y) = (picture(5, shape), picture(6, shape));
        let filter = Filter {
            reach: 0.3,
            edge: 5.0,
            edge_fake: 5.0,
        };
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("a pool");
            pool.install(|| {
                let s = FilterShape {
                    batch: 2,
                    channels: 3,
                    height: 40,
                    width: 72,
                };
                let decays = filter_cpu::decays(&x, &y, filter, s);
                let mut planes = y.clone();
                filter_cpu::run(&mut planes, &decays, false, s);
                planes
            })
        };
        assert!(run(1) == run(3));
    }
}
