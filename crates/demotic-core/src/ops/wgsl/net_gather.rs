//! Launches `net_gather.wgsl`: several arrays into one buffer, runs added up.

use burn::backend::TensorMetadata;
use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Launch, Shader, shader};
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
const RUNS: [&str; GATHERED] = [
    "RUNS_0", "RUNS_1", "RUNS_2", "RUNS_3", "RUNS_4", "RUNS_5", "RUNS_6",
];
const PART: [&str; GATHERED] = [
    "PART_0", "PART_1", "PART_2", "PART_3", "PART_4", "PART_5", "PART_6",
];

/// Writes `parts`, plain, into `flat` from `start` on, each padded; `sizes`: what each takes there.
pub(super) fn launch(flat: &CubeTensor, start: usize, parts: &[CubeTensor], sizes: &[usize]) {
    let runs = parts.iter().zip(sizes);
    let runs: Vec<usize> = runs
        .map(|(part, size)| part.shape().num_elements() / size)
        .collect();
    let mut launch = Launch::<NetGather>::new(constants(start, sizes, &runs));
    for (name, part) in PART.into_iter().zip(parts) {
        launch = launch.bind_tensor(name, part);
    }
    let length = sizes.iter().map(|size| padded(*size)).sum();
    launch.bind_tensor("FLAT", flat).over(&flat.client, length);
}

pub(super) fn constants(start: usize, sizes: &[usize], runs: &[usize]) -> Constants {
    let mut constants = Constants::default()
        .with("COUNT", sizes.len())
        .with("START", start);
    let mut from = 0;
    for k in 0..GATHERED {
        let size = sizes.get(k).copied();
        constants = constants
            .flag(HAS[k], size.is_some())
            .with(FROM[k], from)
            .with(RUNS[k], runs.get(k).copied().unwrap_or(0))
            .with(SIZE[k], size.unwrap_or(0));
        from += size.map_or(0, padded);
    }
    constants.with("LENGTH", from)
}
