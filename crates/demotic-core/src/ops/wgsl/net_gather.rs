//! Launches `net_gather.wgsl`: several arrays into one buffer.

use burn::backend::TensorMetadata;
use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Launch, shader};
use crate::ops::{GATHERED, padded};

shader! {
    /// `net_gather.wgsl`.
    NetGather = "net_gather", 256
}

const HAS: [&str; GATHERED] = [
    "HAS_0", "HAS_1", "HAS_2", "HAS_3", "HAS_4", "HAS_5", "HAS_6",
];
const FROM: [&str; GATHERED] = [
    "FROM_0", "FROM_1", "FROM_2", "FROM_3", "FROM_4", "FROM_5", "FROM_6",
];
const SIZE: [&str; GATHERED] = [
    "SIZE_0", "SIZE_1", "SIZE_2", "SIZE_3", "SIZE_4", "SIZE_5", "SIZE_6",
];
const PART: [&str; GATHERED] = [
    "PART_0", "PART_1", "PART_2", "PART_3", "PART_4", "PART_5", "PART_6",
];

/// Writes `parts`, plain, into `flat` from `start` on, each padded.
pub(super) fn launch(flat: &CubeTensor, start: usize, parts: &[CubeTensor]) {
    let sizes: Vec<usize> = parts
        .iter()
        .map(|part| part.shape().num_elements())
        .collect();
    let mut launch = Launch::<NetGather>::new(constants(start, &sizes));
    for (name, part) in PART.into_iter().zip(parts) {
        launch = launch.bind_tensor(name, part);
    }
    let length = sizes.iter().map(|size| padded(*size)).sum();
    launch.bind_tensor("FLAT", flat).over(&flat.client, length);
}

pub(super) fn constants(start: usize, sizes: &[usize]) -> Constants {
    let mut constants = Constants::default()
        .with("COUNT", sizes.len())
        .with("START", start);
    let mut from = 0;
    for k in 0..GATHERED {
        let size = sizes.get(k).copied();
        constants = constants
            .flag(HAS[k], size.is_some())
            .with(FROM[k], from)
            .with(SIZE[k], size.unwrap_or(0));
        from += size.map_or(0, padded);
    }
    constants.with("LENGTH", from)
}
