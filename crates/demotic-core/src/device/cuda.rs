//! NVIDIA's GPUs through CUDA.

use burn::tensor::{Device, DeviceType};

use super::listed::{Driver, Further};
use super::numbered::{chosen, numbered};

pub(super) const DRIVER: Driver = Driver {
    name: "cuda",
    open: |asked, number| chosen(asked, &further(), Device::cuda(number.unwrap_or(0)), true),
    further,
};

fn further() -> Vec<Further> {
    numbered("cuda", "cuda", DeviceType::Cuda)
}
