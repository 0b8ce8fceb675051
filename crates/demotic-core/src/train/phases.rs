//! Where a step's time goes.

use std::time::Instant;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// Wall-clock seconds of the phases of one step, mean over the steps that were measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Phases {
    /// Waiting for the host's part: pictures, noise, plan of mixtures.
    pub inputs_secs: f64,
    /// The generator's three passes: coding, drawing, drawing back.
    pub generator_forward_secs: f64,
    /// The discriminator over real, made and mixed pictures, with its loss.
    pub discriminator_forward_secs: f64,
    /// Gradients of that.
    pub discriminator_backward_secs: f64,
    /// The generator's losses, the discriminator's view of the translations among them.
    pub judge_forward_secs: f64,
    /// Gradients of those, through the discriminator and the generator.
    pub generator_backward_secs: f64,
    /// The discriminator's clipping and update.
    pub discriminator_step_secs: f64,
    /// The generator's, and the moving average.
    pub generator_step_secs: f64,
}

/// A phase of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    Inputs,
    GeneratorForward,
    DiscriminatorForward,
    DiscriminatorBackward,
    JudgeForward,
    GeneratorBackward,
    DiscriminatorStep,
    GeneratorStep,
}

/// Adds up phase times of the steps that it is switched on for. Switched on it waits for the device after every phase,
/// so most steps go without.
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
        let now = Instant::now();
        let secs = now.duration_since(self.since).as_secs_f64();
        self.since = now;
        let sums = &mut self.sums;
        *match phase {
            Phase::Inputs => &mut sums.inputs_secs,
            Phase::GeneratorForward => &mut sums.generator_forward_secs,
            Phase::DiscriminatorForward => &mut sums.discriminator_forward_secs,
            Phase::DiscriminatorBackward => &mut sums.discriminator_backward_secs,
            Phase::JudgeForward => &mut sums.judge_forward_secs,
            Phase::GeneratorBackward => &mut sums.generator_backward_secs,
            Phase::DiscriminatorStep => &mut sums.discriminator_step_secs,
            Phase::GeneratorStep => &mut sums.generator_step_secs,
        } += secs;
    }

    /// Means over the measured steps, which are then forgotten; none where none was measured.
    pub(crate) fn take(&mut self) -> Option<Phases> {
        let (s, steps) = (
            std::mem::take(&mut self.sums),
            std::mem::take(&mut self.steps),
        );
        let mean = |secs: f64| secs / f64::from(steps);
        (steps > 0).then(|| Phases {
            inputs_secs: mean(s.inputs_secs),
            generator_forward_secs: mean(s.generator_forward_secs),
            discriminator_forward_secs: mean(s.discriminator_forward_secs),
            discriminator_backward_secs: mean(s.discriminator_backward_secs),
            judge_forward_secs: mean(s.judge_forward_secs),
            generator_backward_secs: mean(s.generator_backward_secs),
            discriminator_step_secs: mean(s.discriminator_step_secs),
            generator_step_secs: mean(s.generator_step_secs),
        })
    }

    fn wait(&self) {
        // A device that has failed says so where its figures are read, with an error that can be handled.
        let _ = self.device.sync();
    }
}
