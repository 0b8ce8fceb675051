//! libtorch, on the processor or CUDA: for comparing.

use burn::tensor::{Device, DeviceType};

use super::listed::{Chosen, Driver, Further};
use super::numbered::chosen;
use crate::error::Error;

pub(super) const DRIVER: Driver = Driver {
    name: "tch",
    open,
    further,
};

#[expect(deprecated, reason = "there for comparing")]
fn open(asked: &str, number: Option<usize>) -> Result<Chosen, Error> {
    let device = number.map_or_else(Device::libtorch, Device::libtorch_cuda);
    chosen(asked, &further(), device, false)
}

fn further() -> Vec<Further> {
    let of = |name: String, what: &str| Further {
        name,
        what: what.into(),
        shader_language: "none",
        target: String::new(),
    };
    let devices = Device::enumerate(DeviceType::LibTorch).into_iter();
    let cuda = devices.filter(|device| format!("{device:?}").contains("Cuda"));
    let cuda = cuda
        .enumerate()
        .map(|(index, _)| of(format!("tch:{index}"), "libtorch on CUDA"));
    std::iter::once(of("tch".into(), "libtorch on the processor"))
        .chain(cuda)
        .collect()
}
