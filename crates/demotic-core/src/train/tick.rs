//! The figures of some steps: a line on the screen and a line of `stats.jsonl`.

use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

use super::figures::{Figure, Figures};
use super::phases::Phases;

/// Means over the steps since the last tick, and where the time went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tick {
    /// Generator steps done.
    pub step: u64,
    /// Thousands of source pictures shown.
    pub kimg: f64,
    /// What the steps measured.
    #[serde(flatten)]
    pub figures: Figures,
    /// Log-odds that a neighbour keeps its label rather than changes it, mean of rows and columns.
    pub crf_stay_log_odds: f32,
    /// Patches over which a label's influence falls to 1/e, mean of rows and columns.
    pub crf_coupling_length: f32,
    /// Wall-clock seconds for a thousand source pictures.
    pub secs_per_kimg: f64,
    /// Share of the time spent waiting for pictures and noise: they are prepared during the step before, on
    /// another thread.
    pub data_wait_share: f64,
    /// Where the time of a step went, by the last step before the tick; absent where that was not measured.
    pub phases: Option<Phases>,
    /// Resident memory of the process now.
    pub memory_bytes: u64,
    /// Highest resident memory of the process so far: most often that of the first validation.
    pub peak_memory_bytes: u64,
    /// What the first device's allocator has taken of its memory; none where it does not say, as on the
    /// processor.
    pub device_memory_bytes: Option<u64>,
    /// Seconds to the run's end at the pace of this tick; in a session also what is yet to come between steps
    /// (sample grids, validations, checkpoints), by what it took so far.
    pub secs_left: f64,
}

/// A figure; 0 where it was not measured.
impl Index<Figure> for Tick {
    type Output = f32;

    fn index(&self, figure: Figure) -> &f32 {
        &self.figures[figure]
    }
}

impl IndexMut<Figure> for Tick {
    fn index_mut(&mut self, figure: Figure) -> &mut f32 {
        &mut self.figures[figure]
    }
}
