//! Where a step's time goes.

use std::time::Instant;

use crate::number::Real;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::launches;

/// Wall-clock seconds of the phases of one step, mean over the steps that were measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Phases {
    /// Waiting for the host's part: pictures, noise, plan of mixtures.
    pub inputs_secs: f64,
    /// The generator's three passes: encode, decode, and the way back.
    pub generator_forward_secs: f64,
    /// The discriminator over real, fake and mixed pictures, with its loss.
    pub discriminator_forward_secs: f64,
    /// Gradients of that.
    pub discriminator_backward_secs: f64,
    /// The generator's losses, the discriminator's view of the translations among them.
    #[serde(rename = "judge_forward_secs")]
    pub generator_losses_secs: f64,
    /// Gradients of those, through the discriminator and the generator.
    pub generator_backward_secs: f64,
    /// The discriminator's clipping and update.
    pub discriminator_step_secs: f64,
    /// The generator's, and the moving average.
    pub generator_step_secs: f64,
}

impl Phases {
    /// The mean of each phase; none of nothing.
    pub(crate) fn mean(all: &[Self]) -> Option<Self> {
        let sum = all.iter().copied().reduce(|a, b| a.zip(b, |a, b| a + b))?;
        Some(sum.map(|secs| secs / all.len().to_f64()))
    }

    /// Every phase by its key.
    pub(crate) fn named(&self) -> [(&'static str, f64); 8] {
        [
            ("inputs_secs", self.inputs_secs),
            ("generator_forward_secs", self.generator_forward_secs),
            (
                "discriminator_forward_secs",
                self.discriminator_forward_secs,
            ),
            (
                "discriminator_backward_secs",
                self.discriminator_backward_secs,
            ),
            ("judge_forward_secs", self.generator_losses_secs),
            ("generator_backward_secs", self.generator_backward_secs),
            ("discriminator_step_secs", self.discriminator_step_secs),
            ("generator_step_secs", self.generator_step_secs),
        ]
    }

    fn map(self, of: impl Fn(f64) -> f64) -> Self {
        self.zip(self, |secs, _| of(secs))
    }

    fn zip(self, other: Self, of: impl Fn(f64, f64) -> f64) -> Self {
        let (a, b) = (self, other);
        Self {
            inputs_secs: of(a.inputs_secs, b.inputs_secs),
            generator_forward_secs: of(a.generator_forward_secs, b.generator_forward_secs),
            discriminator_forward_secs: of(
                a.discriminator_forward_secs,
                b.discriminator_forward_secs,
            ),
            discriminator_backward_secs: of(
                a.discriminator_backward_secs,
                b.discriminator_backward_secs,
            ),
            generator_losses_secs: of(a.generator_losses_secs, b.generator_losses_secs),
            generator_backward_secs: of(a.generator_backward_secs, b.generator_backward_secs),
            discriminator_step_secs: of(a.discriminator_step_secs, b.discriminator_step_secs),
            generator_step_secs: of(a.generator_step_secs, b.generator_step_secs),
        }
    }
}

/// A phase of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    Inputs,
    GeneratorForward,
    DiscriminatorForward,
    DiscriminatorBackward,
    GeneratorLosses,
    GeneratorBackward,
    DiscriminatorStep,
    GeneratorStep,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Inputs => "inputs",
            Self::GeneratorForward => "generator_forward",
            Self::DiscriminatorForward => "discriminator_forward",
            Self::DiscriminatorBackward => "discriminator_backward",
            Self::GeneratorLosses => "generator_losses",
            Self::GeneratorBackward => "generator_backward",
            Self::DiscriminatorStep => "discriminator_step",
            Self::GeneratorStep => "generator_step",
        }
    }
}

/// Adds up phase times of the steps that it is switched on for. Switched on it waits for the device after
/// every phase, so most steps go without.
#[derive(Debug)]
pub(crate) struct Clock {
    device: Device,
    is_on: bool,
    since: Instant,
    sums: Phases,
    steps: u32,
}

impl Clock {
    pub(crate) fn new(device: &Device) -> Self {
        Self {
            device: device.clone(),
            is_on: false,
            since: Instant::now(),
            sums: Phases::default(),
            steps: 0,
        }
    }

    /// Begins a step, which is measured or not.
    pub(crate) fn start(&mut self, is_on: bool) {
        self.is_on = is_on;
        if is_on {
            self.steps += 1;
            self.wait();
            self.since = Instant::now();
        }
    }

    /// Books the time since the last mark under `phase`.
    pub(crate) fn mark(&mut self, phase: Phase) {
        if !self.is_on {
            return;
        }
        self.wait();
        launches::mark(phase.name());
        let now = Instant::now();
        let secs = now.duration_since(self.since).as_secs_f64();
        self.since = now;
        let sums = &mut self.sums;
        *match phase {
            Phase::Inputs => &mut sums.inputs_secs,
            Phase::GeneratorForward => &mut sums.generator_forward_secs,
            Phase::DiscriminatorForward => &mut sums.discriminator_forward_secs,
            Phase::DiscriminatorBackward => &mut sums.discriminator_backward_secs,
            Phase::GeneratorLosses => &mut sums.generator_losses_secs,
            Phase::GeneratorBackward => &mut sums.generator_backward_secs,
            Phase::DiscriminatorStep => &mut sums.discriminator_step_secs,
            Phase::GeneratorStep => &mut sums.generator_step_secs,
        } += secs;
    }

    /// Means over the measured steps, which are then forgotten; none where none was measured.
    pub(crate) fn take(&mut self) -> Option<Phases> {
        let (sums, steps) = (
            std::mem::take(&mut self.sums),
            std::mem::take(&mut self.steps),
        );
        (steps > 0).then(|| sums.map(|secs| secs / f64::from(steps)))
    }

    fn wait(&self) {
        // A device that has failed says so where its figures are read, with an error that can be handled.
        let _ = self.device.sync();
    }
}
