//! What has gathered since the last tick.
//!
//! Figures are read from the device one step late: the read is asked for when a step has been handed over and
//! looked at when the next one has, so that neither side waits for the other.

use std::time::Instant;

use super::figures::{Reading, Sums};
use crate::error::Error;

/// Figures and times since the last tick.
pub(super) struct Window {
    pending: Option<Reading>,
    pub(super) sums: Sums,
    /// Steps of this process: those before a resumed checkpoint have no time here.
    pub(super) timed_steps: u64,
    pub(super) since: Instant,
    /// Waiting for inputs.
    pub(super) data_secs: f64,
}

impl Default for Window {
    fn default() -> Self {
        Self::of(Sums::default())
    }
}

impl Window {
    /// With the figures of steps before a checkpoint.
    pub(super) fn of(sums: Sums) -> Self {
        Self {
            pending: None,
            sums,
            timed_steps: 0,
            since: Instant::now(),
            data_secs: 0.0,
        }
    }

    /// A step begins. What was done between two ticks besides training (samples, checkpoints) is not training
    /// time.
    pub(super) fn start(&mut self, now: Instant) {
        if self.timed_steps == 0 {
            self.since = now;
        }
    }

    /// Takes the figures of step number `step`, still on their way, and looks at those of the one before.
    pub(super) fn follow(&mut self, reading: Reading, step: u64) -> Result<(), Error> {
        self.settle(step)?;
        self.pending = Some(reading);
        self.timed_steps += 1;
        Ok(())
    }

    /// Waits for the figures that are on their way and adds them up. `step` is the number of steps handed
    /// over.
    ///
    /// # Errors
    /// [`Error::Diverged`] naming those that are not finite.
    pub(super) fn settle(&mut self, step: u64) -> Result<(), Error> {
        let Some(reading) = self.pending.take() else {
            return Ok(());
        };
        let values = reading.values();
        let bad = values.iter().filter(|(_, value)| !value.is_finite());
        let bad: Vec<String> = bad
            .map(|(figure, value)| format!("{} is {value}", figure.row().key))
            .collect();
        if !bad.is_empty() {
            return Err(Error::Diverged {
                step,
                what: bad.join(", "),
            });
        }
        self.sums.add(&values);
        Ok(())
    }
}
