//! What a training of an ablation shows, and when it ends early.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Result;
use demotic_core::device::Chosen;
use demotic_core::metric::Validator;
use demotic_core::number::Real;
use demotic_core::train::{Event, Figure, Observer, RunDir, Tick, Trainer, Validation};

use crate::failure::io;
use crate::output::{self, duration};
use crate::progress::InterruptGuard;
use crate::samples::Samples;
use crate::sheet;
use crate::terminal::{Terminal, fitted};

/// A text for whoever still looks; on a screen, the first words of its lines in their colours.
pub(super) fn report(text: &str) {
    output::report(&Terminal::of_output().painted(text));
}

/// Shows a training of an ablation.
pub(super) struct Screen<'a> {
    pub(super) interrupt: &'a InterruptGuard,
    pub(super) started: Instant,
    /// Steps taken here and now: those of an earlier, interrupted command are not timed.
    pub(super) taken: u32,
    /// Of it, what validations and pictures took.
    pub(super) aside: Duration,
    pub(super) chosen: &'a Chosen,
    pub(super) run: &'a RunDir,
    pub(super) samples: &'a Samples<'a>,
    /// None where no training is to end early, or there is nothing to tell by.
    pub(super) validator: Option<Validator<'a>>,
    /// Checkpoints without a better figure that end a training.
    pub(super) patience: Option<u64>,
    /// It has had as many.
    pub(super) is_stale: bool,
}

impl Screen<'_> {
    /// Draws held-out pictures in every style, unless they are there.
    pub(super) fn sample(&self, trainer: &Trainer<'_>) -> Result<()> {
        let folder = self.run.samples();
        fs::create_dir_all(&folder).map_err(|e| io("make the folder of samples", &folder, &e))?;
        let file = self.run.sample_file(trainer.step());
        if file.is_file() {
            return Ok(());
        }
        sheet::save(&self.samples.draw(trainer, self.chosen), &file)
    }

    /// Seconds for a step, without validations and pictures between steps.
    pub(super) fn secs_a_step(&self) -> Option<f64> {
        let secs = self.started.elapsed().saturating_sub(self.aside);
        (self.taken > 0).then(|| secs.as_secs_f64() / f64::from(self.taken))
    }
}

impl Observer for Screen<'_> {
    type Error = anyhow::Error;

    fn wants_to_stop(&self) -> bool {
        self.is_stale || self.interrupt.is_requested()
    }

    fn validate(&mut self, trainer: &Trainer<'_>) -> Option<Validation> {
        let validator = self.validator.as_ref()?;
        let began = Instant::now();
        let found = validator.validation(trainer.average(), &self.chosen.device);
        self.aside += began.elapsed();
        Some(found)
    }

    fn sampled(&mut self, trainer: &Trainer<'_>) -> Result<()> {
        let began = Instant::now();
        self.sample(trainer)?;
        self.aside += began.elapsed();
        Ok(())
    }

    fn stepped(&mut self, _trainer: &Trainer<'_>) {
        self.taken += 1;
    }

    fn ticked(&mut self, trainer: &Trainer<'_>, tick: &Tick) -> Result<()> {
        let steps = trainer.config().train.steps;
        let secs = self.started.elapsed().as_secs_f64() / f64::from(self.taken.max(1));
        let left = secs * (steps - tick.step).to_f64();
        let figure = |rank: usize, figure: Figure, digits: usize| {
            let (name, value) = (figure.row().name, tick[figure]);
            (rank, format!("{name} {value:.digits$}"))
        };
        let parts = [
            (
                0,
                format!("step   {:>1$}/{steps}", tick.step, steps.to_string().len()),
            ),
            figure(2, Figure::DReal, 3),
            figure(2, Figure::DFake, 3),
            figure(3, Figure::DComposite, 3),
            figure(1, Figure::GAdversarial, 3),
            figure(0, Figure::GReconstruction, 4),
            (0, format!("left {}", duration(left))),
        ];
        report(&(fitted(&parts, Terminal::of_table()) + "\n"));
        Ok(())
    }

    fn happened(&mut self, trainer: &Trainer<'_>, event: &Event) -> Result<()> {
        match event {
            Event::Rollback { text, .. } => report(&format!("back   {text}\n")),
            Event::Validation {
                step,
                figures,
                metric,
                is_best,
                ..
            } => {
                if let Some(value) = figures.get(metric) {
                    let note = if *is_best { "  (best so far)" } else { "" };
                    report(&format!("valid  step {step}: {metric} {value:.4}{note}\n"));
                }
                let every = trainer.config().train.checkpoint_steps;
                if let (Some(patience), Some(best)) = (self.patience, trainer.best())
                    && *step < trainer.config().train.steps
                    && step - best.step >= patience * every
                {
                    self.is_stale = true;
                    report(&format!(
                        "early  step {step}: {} has not improved since step {}\n",
                        best.metric, best.step
                    ));
                }
            }
            Event::Warning { .. } => {}
        }
        Ok(())
    }
}
