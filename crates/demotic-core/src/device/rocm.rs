//! AMD's GPUs through ROCm.

use burn::tensor::{Device, DeviceType};

use super::listed::{Driver, Further};
use super::numbered::{chosen, numbered};

pub(super) const DRIVER: Driver = Driver {
    name: "rocm",
    open: |asked, number| chosen(asked, &further(), Device::rocm(number.unwrap_or(0)), true),
    further,
};

fn further() -> Vec<Further> {
    numbered("rocm", "hip", DeviceType::Rocm)
}
