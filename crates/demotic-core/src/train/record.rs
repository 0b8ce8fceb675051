//! What a run notes: figures at every tick, and events. Each is one line of `stats.jsonl`; an event has the
//! key `event`. Every line has a `step`, so that a file can be brought back to a checkpoint.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::health::Condition;
use super::tick::Tick;

/// Something that happened at a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// Figures on validation pictures.
    Validation {
        /// Generator steps done.
        step: u64,
        /// Which pictures, in words.
        what: String,
        /// Figures by name.
        figures: BTreeMap<String, f32>,
        /// The figure that names the best checkpoint.
        metric: String,
        /// True where it is the best so far.
        is_best: bool,
    },
    /// A state began that a person should know of.
    Warning {
        /// Generator steps done.
        step: u64,
        /// Which state.
        condition: Condition,
        /// What it is and what to try.
        text: String,
    },
    /// The run went back to a checkpoint.
    Rollback {
        /// The checkpoint's step.
        step: u64,
        /// The step that was not finite.
        diverged_at: u64,
        /// How often the run has gone back so far.
        rollbacks: u32,
        /// Both rates over the configured ones from here on.
        rate_scale: f64,
        /// What happened, in words.
        text: String,
    },
}

/// A line of `stats.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Record {
    /// What happened.
    Event(Event),
    /// Figures of some steps.
    Tick(Box<Tick>),
}

impl Record {
    /// The generator steps done when it was noted.
    pub(crate) fn step(&self) -> u64 {
        match self {
            Self::Tick(tick) => tick.step,
            Self::Event(
                Event::Validation { step, .. }
                | Event::Warning { step, .. }
                | Event::Rollback { step, .. },
            ) => *step,
        }
    }
}
