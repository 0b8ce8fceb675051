//! Launches `crf_lanes.wgsl`: loss and gradient of chains, one invocation per (chain, label, side).

use super::shaders::Shader;
use super::template::Values;
use super::{Direction, Guise, SHARED_BYTES, WORKGROUP};

/// How one workgroup is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tile {
    labels: usize,
    /// Labels rounded up to a power of two.
    lanes: usize,
    /// Chains per workgroup.
    chains: usize,
    /// Elements of the kept vectors, where they fit workgroup memory.
    store: Option<usize>,
}

/// Leaves sums and gradient of one direction.
pub(super) fn launch(direction: &Direction<'_>) {
    let call = direction.call;
    let (l, length) = (direction.labels(), direction.lines.length);
    let memory_bytes = call.client.properties().hardware.max_shared_memory_size;
    let tile = Tile::new(l, length, memory_bytes);
    let kept = (direction.gradient.is_some() && tile.store.is_none())
        .then(|| call.floats(length * l * direction.columns));
    let params = direction.params(0);
    direction.bindings(kept.as_ref(), &params).launch_sized(
        &call.client,
        Shader::Lanes,
        |bound| tile.values(bound, &direction.guise()),
        direction.columns.div_ceil(tile.chains),
        tile.workgroup(),
    );
}

impl Tile {
    fn new(labels: usize, length: usize, memory_bytes: usize) -> Self {
        let lanes = labels.next_power_of_two();
        let chains = (WORKGROUP as usize / (2 * lanes)).max(1);
        // Lengths in steps of powers of two: the text, and so the pipeline, changes with them.
        let store = chains * length.next_power_of_two() * labels;
        // More would cost occupancy.
        let budget = memory_bytes.min(SHARED_BYTES) / size_of::<f32>();
        let shared = store + chains * (12 * lanes + labels * labels) <= budget;
        Self {
            labels,
            lanes,
            chains,
            store: shared.then_some(store),
        }
    }

    fn workgroup(&self) -> u32 {
        (self.chains * 2 * self.lanes) as u32
    }

    fn values(&self, values: Values, guise: &Guise<'_>) -> Values {
        guise
            .values(values)
            .with("LP", self.lanes)
            .with("CHAINS", self.chains)
            .with("EXCHANGE", self.chains * 4 * self.lanes)
            .with("PAIRS", self.chains * self.labels * self.labels)
            .with("STORE", self.store.unwrap_or(0))
            .flag("SHARED", self.store.is_some())
    }
}

/// Every kernel of this shader that a call like this one may launch.
#[cfg(test)]
pub(super) fn kernels(guise: &Guise<'_>) -> Vec<super::shaders::Kernel> {
    let bound = super::shaders::numbered(&[
        "EMISSIONS",
        "POTENTIALS",
        "LABELS_AT",
        "LENGTHS",
        "FORWARD",
        "GRADIENT_AT",
        "SUMS",
        "PARAMS",
    ]);
    [32, 1000]
        .map(|length| {
            let tile = Tile::new(guise.labels, length, 32 << 10);
            let values = tile.values(bound.clone(), guise);
            super::shaders::Kernel::new(Shader::Lanes, values, tile.workgroup())
        })
        .to_vec()
}
