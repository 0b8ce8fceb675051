//! Devices of the backends that only a cargo feature adds.

use burn::tensor::{Device, DeviceType};

use super::listed::{Chosen, Further};
use crate::error::Error;

/// Every device of a backend, `cuda:0` and so on; they are opened for it.
#[cfg_attr(
    not(any(feature = "cuda", feature = "rocm")),
    expect(dead_code, reason = "libtorch numbers its own")
)]
pub(super) fn numbered(
    backend: &str,
    shader_language: &'static str,
    kind: DeviceType,
) -> Vec<Further> {
    let devices = Device::enumerate(kind).into_iter().enumerate();
    let further = devices.map(|(index, device)| {
        let identity = device.identity();
        let (what, target) = identity.map_or_else(Default::default, |identity| {
            (identity.name, identity.fingerprint)
        });
        Further {
            name: format!("{backend}:{index}"),
            what,
            shader_language,
            target,
        }
    });
    further.collect()
}

/// One of the devices of a backend, by its name, or without its number for the first.
///
/// # Errors
/// [`Error::Config`] where there is none of the name, [`Error::Device`] where there is none of the backend.
pub(super) fn chosen(
    asked: &str,
    all: &[Further],
    device: Device,
    is_tuned: bool,
) -> Result<Chosen, Error> {
    let named = all.iter().find(|one| {
        one.name == asked
            || one
                .name
                .strip_suffix(":0")
                .is_some_and(|first| first == asked)
    });
    let Some(one) = named else {
        let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
        return Err(if names.is_empty() {
            Error::Device(format!(
                "no device `{asked}`: the backend finds none; `demotic devices` lists what there is"
            ))
        } else {
            Error::Config(vec![format!(
                "device: no `{asked}`; there are {}, and flex",
                names.join(", ")
            )])
        });
    };
    Ok(Chosen {
        device,
        name: one.name.clone(),
        description: format!("{} {}", one.name, one.what),
        is_software: false,
        is_tuned,
    })
}
