//! The operation on a device of another machine: it travels by name, and runs there as a device of that
//! machine runs it.

use std::sync::{Mutex, PoisonError};

use burn::backend::ir::{BackendIr, CustomOpIr, OperationOutput, ScalarIr, TensorIr};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{DispatchDevice, Remote, RemoteDevice, TensorMetadata};
use burn::remote::CustomOpClient;
use burn::server::CustomOpRegistry;
use burn::tensor::{DType, Device, Shape};

use super::ops::{CrfOps, FLEX};
use super::plan::{Evidence, Group, Order, Plan};
use crate::config::{Directions, WgslKernel};
use crate::number::Whole;

/// This text and the plan's: what travels, and how.
pub const SOURCE: &str = concat!(include_str!("remote.rs"), include_str!("plan.rs"));

/// What a device of another machine is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Far {
    /// `runtime_name` of it, over there.
    pub runtime: String,
    /// Whether it is a CPU behind a GPU's interface.
    pub is_software: bool,
}

/// Devices of other machines that were named; a handful at most.
static KNOWN: Mutex<Vec<(RemoteDevice, Far)>> = Mutex::new(Vec::new());

/// Says what stands behind a device of another machine: before that, the reference computes there.
pub fn register(device: &Device, far: Far) {
    if let DispatchDevice::Remote(device) = device.clone().inner().as_dispatch() {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(other, _)| other != device);
        known.push((device.clone(), far));
    }
}

/// What is known of a device.
pub(super) fn far(device: &RemoteDevice) -> Option<Far> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let found = known.iter().find(|(other, _)| other == device);
    found.map(|(_, far)| far.clone())
}

/// Whether a tensor lies in Flex, over there.
pub fn is_flex(tensor: &FloatTensor<Remote>) -> bool {
    far(&tensor.device()).is_some_and(|far| far.runtime == FLEX)
}

/// Sends an operation to the machine that holds its first tensor; integer tensors are known by their type.
///
/// # Panics
/// If there is no tensor.
pub fn send<const IN: usize, const OUT: usize>(
    name: &'static str,
    inputs: [FloatTensor<Remote>; IN],
    outputs: [(Shape, DType); OUT],
    scalars: Vec<ScalarIr>,
) -> [FloatTensor<Remote>; OUT] {
    let device = inputs.first().expect("an operation has a tensor").device();
    let client = CustomOpClient::new(&device);
    let inputs = inputs.map(FloatTensor::<Remote>::into_ir);
    let outputs =
        outputs.map(|(shape, dtype)| TensorIr::uninit(client.create_empty_handle(), shape, dtype));
    client
        .register(CustomOpIr::with_scalars(name, &inputs, &outputs, scalars))
        .outputs()
}

/// The names that the operations travel by.
const VALUE: &str = "demotic_crf_value";
const GRADIENT: &str = "demotic_crf_gradient";
const VITERBI: &str = "demotic_crf_viterbi";
const SCALED: &str = "demotic_crf_scaled";

/// Every value of each choice in a plan: its place here is what travels.
const DIRECTIONS: [Directions; 3] = [Directions::Both, Directions::Rows, Directions::Columns];
const GROUPS: [Group; 3] = [Group::Picture, Group::Chain, Group::All];
const ORDERS: [Order; 2] = [Order::Grid, Order::Sequence];
const KERNELS: [WgslKernel; 5] = [
    WgslKernel::Auto,
    WgslKernel::Chain,
    WgslKernel::Lanes,
    WgslKernel::Scan,
    WgslKernel::Image,
];

fn place<T: PartialEq>(all: &[T], one: &T) -> ScalarIr {
    let place = all.iter().position(|other| other == one);
    ScalarIr::UInt(place.expect("the list has every choice").to_u64())
}

impl Plan {
    /// As it travels.
    fn to_scalars(self) -> Vec<ScalarIr> {
        let (evidence, unknown) = match self.evidence {
            Evidence::Gold => (0, 0),
            Evidence::Held { unknown } => (1, unknown),
            Evidence::Free => (2, 0),
            Evidence::LogPartition => (3, 0),
        };
        vec![
            place(&DIRECTIONS, &self.directions),
            place(&GROUPS, &self.group),
            ScalarIr::UInt(evidence),
            ScalarIr::Int(unknown.into()),
            place(&ORDERS, &self.order),
            ScalarIr::Bool(self.ragged),
            ScalarIr::Bool(self.boundaries),
            ScalarIr::Float(self.scale.into()),
            place(&KERNELS, &self.kernel),
        ]
    }

    /// As it arrived.
    ///
    /// # Panics
    /// If no plan was sent: that ends the sender's session.
    fn from_scalars(scalars: &[ScalarIr]) -> Self {
        let at = |index: usize| scalars[index].elem::<u64>().to_usize();
        let flag = |index: usize| scalars[index].elem::<bool>();
        Self {
            directions: DIRECTIONS[at(0)],
            group: GROUPS[at(1)],
            evidence: match at(2) {
                0 => Evidence::Gold,
                1 => Evidence::Held {
                    unknown: scalars[3].elem(),
                },
                2 => Evidence::Free,
                3 => Evidence::LogPartition,
                other => panic!("no evidence number {other}"),
            },
            order: ORDERS[at(4)],
            ragged: flag(5),
            boundaries: flag(6),
            scale: scalars[7].elem(),
            kernel: KERNELS[at(8)],
        }
    }
}

/// `[b, l, h, w]`
fn dims(emissions: &FloatTensor<Remote>) -> [usize; 4] {
    let shape = emissions.shape();
    core::array::from_fn(|axis| shape[axis])
}

impl CrfOps for Remote {
    fn crf_value(
        emissions: FloatTensor<Self>,
        labels: IntTensor<Self>,
        potentials: FloatTensor<Self>,
        lengths: IntTensor<Self>,
        plan: Plan,
    ) -> FloatTensor<Self> {
        let value = (Shape::new([plan.groups(dims(&emissions))]), DType::F32);
        let inputs = [emissions, labels, potentials, lengths];
        let [value] = send(VALUE, inputs, [value], plan.to_scalars());
        value
    }

    fn crf_gradient(
        emissions: FloatTensor<Self>,
        labels: IntTensor<Self>,
        potentials: FloatTensor<Self>,
        lengths: IntTensor<Self>,
        plan: Plan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let dims = dims(&emissions);
        let groups = plan.groups(dims);
        let outputs = [
            Shape::new([groups]),
            Shape::new(dims),
            Shape::new([plan.direction_count(), groups, plan.width(dims[1])]),
        ];
        let inputs = [emissions, labels, potentials, lengths];
        let outputs = outputs.map(|shape| (shape, DType::F32));
        let [value, by_emissions, by_potentials] =
            send(GRADIENT, inputs, outputs, plan.to_scalars());
        (value, by_emissions, by_potentials)
    }

    fn crf_viterbi(
        emissions: FloatTensor<Self>,
        potentials: FloatTensor<Self>,
        lengths: IntTensor<Self>,
        plan: Plan,
    ) -> (IntTensor<Self>, FloatTensor<Self>) {
        let [b, _, h, w] = dims(&emissions);
        let outputs = [
            (Shape::new([b, h, w]), DType::I32),
            (Shape::new([b * h]), DType::F32),
        ];
        let inputs = [emissions, potentials, lengths];
        let [paths, scores] = send(VITERBI, inputs, outputs, plan.to_scalars());
        (paths, scores)
    }

    fn crf_scaled(
        gradient: FloatTensor<Self>,
        upstream: FloatTensor<Self>,
        plan: Plan,
    ) -> FloatTensor<Self> {
        let scaled = (gradient.shape(), DType::F32);
        let [scaled] = send(SCALED, [gradient, upstream], [scaled], plan.to_scalars());
        scaled
    }
}

/// Runs what is sent here, on a backend of this machine.
fn receive<B: BackendIr + CrfOps>(registry: &mut CustomOpRegistry<B>) {
    registry.register(VALUE, |handles, ir, _| {
        let ([emissions, labels, potentials, lengths], [value]) = ir.as_fixed::<4, 1>();
        let result = B::crf_value(
            handles.get_float_tensor::<B>(emissions),
            handles.get_int_tensor::<B>(labels),
            handles.get_float_tensor::<B>(potentials),
            handles.get_int_tensor::<B>(lengths),
            Plan::from_scalars(&ir.scalars),
        );
        handles.register_float_tensor::<B>(&value.id, result);
    });
    registry.register(GRADIENT, |handles, ir, _| {
        let ([emissions, labels, potentials, lengths], outputs) = ir.as_fixed::<4, 3>();
        let (value, by_emissions, by_potentials) = B::crf_gradient(
            handles.get_float_tensor::<B>(emissions),
            handles.get_int_tensor::<B>(labels),
            handles.get_float_tensor::<B>(potentials),
            handles.get_int_tensor::<B>(lengths),
            Plan::from_scalars(&ir.scalars),
        );
        for (output, result) in outputs.iter().zip([value, by_emissions, by_potentials]) {
            handles.register_float_tensor::<B>(&output.id, result);
        }
    });
    registry.register(VITERBI, |handles, ir, _| {
        let ([emissions, potentials, lengths], [paths, scores]) = ir.as_fixed::<3, 2>();
        let (best, score) = B::crf_viterbi(
            handles.get_float_tensor::<B>(emissions),
            handles.get_float_tensor::<B>(potentials),
            handles.get_int_tensor::<B>(lengths),
            Plan::from_scalars(&ir.scalars),
        );
        handles.register_int_tensor::<B>(&paths.id, best);
        handles.register_float_tensor::<B>(&scores.id, score);
    });
    registry.register(SCALED, |handles, ir, _| {
        let ([gradient, upstream], [scaled]) = ir.as_fixed::<2, 1>();
        let result = B::crf_scaled(
            handles.get_float_tensor::<B>(gradient),
            handles.get_float_tensor::<B>(upstream),
            Plan::from_scalars(&ir.scalars),
        );
        handles.register_float_tensor::<B>(&scaled.id, result);
    });
}

/// What a server of Flex runs for the layers of its clients.
pub fn receive_on_flex(registry: &mut CustomOpRegistry<burn::backend::Flex>) {
    receive(registry);
}

/// What a server of `wgpu`'s devices runs for the layers of its clients.
#[cfg(feature = "wgpu")]
pub fn receive_on_cube(registry: &mut CustomOpRegistry<burn::backend::Cube>) {
    receive(registry);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Real;

    #[test]
    fn a_plan_arrives_as_it_was_sent() {
        for (index, evidence) in [
            Evidence::Gold,
            Evidence::Held { unknown: -1 },
            Evidence::Free,
            Evidence::LogPartition,
        ]
        .into_iter()
        .enumerate()
        {
            for kernel in KERNELS {
                let plan = Plan {
                    directions: DIRECTIONS[index % 3],
                    group: GROUPS[(index + 1) % 3],
                    evidence,
                    order: ORDERS[index % 2],
                    ragged: index % 2 == 0,
                    boundaries: index > 1,
                    scale: 0.3 + index.to_f32(),
                    kernel,
                };
                assert_eq!(Plan::from_scalars(&plan.to_scalars()), plan);
            }
        }
    }
}
