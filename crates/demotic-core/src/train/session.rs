//! A training session: the steps of a run from where it stands to its end, with what is due between them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::time::Instant;

use super::checkpoint::latest_checkpoint;
use super::health::Watch;
use super::record::{Event, Record};
use super::run::RunDir;
use super::tick::Tick;
use super::trainer::Trainer;
use crate::error::Error;
use crate::files::{add_line, append};
use crate::number::Real;
use crate::settings::BestMetric;

/// What happens around the steps of a [`Session`]. Each method is called after the run's own files have what
/// it hears; by default it does nothing.
pub trait Observer {
    /// How an observer fails; that ends the session.
    type Error: From<Error>;

    /// Whether the session is to stop before its next step, with a checkpoint.
    fn wants_to_stop(&self) -> bool {
        false
    }

    /// A step was taken.
    fn stepped(&mut self, _trainer: &Trainer<'_>) {}

    /// Figures of the steps since the last tick.
    ///
    /// # Errors
    /// The observer's own.
    fn ticked(&mut self, _trainer: &Trainer<'_>, _tick: &Tick) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Something happened that `stats.jsonl` has a line for. After a roll-back, the trainer is at the
    /// checkpoint again.
    ///
    /// # Errors
    /// The observer's own.
    fn happened(&mut self, _trainer: &Trainer<'_>, _event: &Event) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Pictures are due: after every `train.sample_steps` steps and the last one.
    ///
    /// # Errors
    /// The observer's own.
    fn sampled(&mut self, _trainer: &Trainer<'_>) -> Result<(), Self::Error> {
        Ok(())
    }

    /// A checkpoint is due: figures of the generator on validation pictures, where it is to be chosen by
    /// them.
    fn validate(&mut self, _trainer: &Trainer<'_>) -> Option<Validation> {
        None
    }

    /// A checkpoint is about to be saved: what the run's other files hold now is what they hold at this
    /// checkpoint.
    ///
    /// # Errors
    /// The observer's own.
    fn saving(&mut self, _trainer: &Trainer<'_>) -> Result<(), Self::Error> {
        Ok(())
    }

    /// A checkpoint was saved.
    ///
    /// # Errors
    /// The observer's own.
    fn saved(&mut self, _trainer: &Trainer<'_>) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// Figures of a generator on validation pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Validation {
    /// Which pictures, in words.
    pub what: String,
    /// Figures by name.
    pub figures: BTreeMap<String, f32>,
    /// The one that names the best checkpoint.
    pub metric: BestMetric,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// At the run's last step.
    Done,
    /// Before, as the observer wanted; there is a checkpoint of the last step.
    Stopped,
    /// Figures were not finite, and the run has gone back as often as it may. Its checkpoints are whole.
    Diverged {
        /// The step it happened at.
        step: u64,
        /// Which figures, with their values.
        what: String,
    },
}

/// A run in progress: what is trained, and the files of figures and checkpoints that grow with it.
pub struct Session<'a> {
    trainer: Trainer<'a>,
    run: &'a RunDir,
    watch: Watch,
    stats: File,
    /// Step of the newest checkpoint.
    saved: Option<u64>,
    samples: Between,
    checkpoints: Between,
}

/// What comes between steps, pictures or a checkpoint with its validation: how long it took in this session.
#[derive(Clone, Copy, Debug, Default)]
struct Between {
    secs: f64,
    times: u64,
}

impl Between {
    /// It came once more.
    fn took(&mut self, began: Instant) {
        self.secs += began.elapsed().as_secs_f64();
        self.times += 1;
    }

    /// Seconds that it will yet take, at its mean so far: it comes after every `interval` steps and the last
    /// one, and what follows `step` itself is yet to come. Nothing before it came once.
    fn secs_left(self, interval: u64, step: u64, steps: u64) -> f64 {
        if self.times == 0 {
            return 0.0;
        }
        let before = step.saturating_sub(1) / interval;
        let times = steps / interval - before + u64::from(!steps.is_multiple_of(interval));
        self.secs / self.times.to_f64() * times.to_f64()
    }
}

/// Why a step does not lead to the next one.
enum Halt<E> {
    Diverged { step: u64, what: String },
    Failed(E),
}

impl<E: From<Error>> From<Error> for Halt<E> {
    fn from(error: Error) -> Self {
        match error {
            Error::Diverged { step, what } => Self::Diverged { step, what },
            other => Self::Failed(other.into()),
        }
    }
}

impl<'a> Session<'a> {
    /// Begins where the trainer stands: at a checkpoint of the run, whose files were brought back to it
    /// ([`RunDir::rewind`]), or at step 0.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn new(trainer: Trainer<'a>, run: &'a RunDir) -> Result<Self, Error> {
        let (stats, watch) = reopened(run, &trainer)?;
        let checkpoints = run.checkpoints();
        let has_one = checkpoints.is_dir() && latest_checkpoint(&checkpoints)?.is_some();
        let saved = has_one.then(|| trainer.step());
        Ok(Self {
            trainer,
            run,
            watch,
            stats,
            saved,
            samples: Between::default(),
            checkpoints: Between::default(),
        })
    }

    /// What is trained.
    pub fn trainer(&self) -> &Trainer<'a> {
        &self.trainer
    }

    /// The steps to the run's end, going back to a checkpoint where figures are not finite.
    ///
    /// # Errors
    /// The observer's, and [`Error::Io`].
    pub fn run<O: Observer>(&mut self, observer: &mut O) -> Result<Ending, O::Error> {
        let steps = self.trainer.config().train.steps;
        if self.saved.is_none() {
            // Something to go back to from the first step on.
            self.save(observer).or_else(failed)?;
        }
        loop {
            let result = if self.trainer.step() >= steps {
                return Ok(Ending::Done);
            } else if observer.wants_to_stop() {
                match self.save(observer) {
                    Ok(()) => return Ok(Ending::Stopped),
                    halted => halted,
                }
            } else {
                self.step(observer)
            };
            match result {
                Ok(()) => {}
                Err(Halt::Failed(error)) => return Err(error),
                Err(Halt::Diverged { step, what }) => {
                    if self.trainer.rollbacks() >= self.trainer.config().train.rollbacks_max {
                        return Ok(Ending::Diverged { step, what });
                    }
                    self.roll_back(step, &what, observer).or_else(failed)?;
                }
            }
        }
    }

    /// One step, and what is due after it.
    fn step<O: Observer>(&mut self, observer: &mut O) -> Result<(), Halt<O::Error>> {
        // Both networks.
        self.trainer.advance()?;
        observer.stepped(&self.trainer);
        let (step, t) = (self.trainer.step(), &self.trainer.config().train);
        let is_due = |interval: u64| step.is_multiple_of(interval) || step == t.steps;
        let (ticks, samples, saves) = (
            is_due(t.tick_steps),
            is_due(t.sample_steps),
            is_due(t.checkpoint_steps),
        );
        let between_secs = self.samples.secs_left(t.sample_steps, step, t.steps)
            + self
                .checkpoints
                .secs_left(t.checkpoint_steps, step, t.steps);

        // Figures, and states that a person should know of.
        if ticks && let Some(mut tick) = self.trainer.tick()? {
            tick.secs_left += between_secs;
            self.note(&Record::Tick(Box::new(tick.clone())))?;
            observer
                .ticked(&self.trainer, &tick)
                .map_err(Halt::Failed)?;
            for condition in self.watch.observe(&tick) {
                let text = condition.advice(self.trainer.config()).to_owned();
                self.report(
                    Event::Warning {
                        step,
                        condition,
                        text,
                    },
                    observer,
                )?;
            }
        }

        // Pictures.
        if samples {
            let began = Instant::now();
            observer.sampled(&self.trainer).map_err(Halt::Failed)?;
            self.samples.took(began);
        }

        // Validation, then the checkpoint, which knows whether it is the best.
        if saves {
            let began = Instant::now();
            if let Some(validation) = observer.validate(&self.trainer) {
                self.consider(step, validation, observer)?;
            }
            self.save(observer)?;
            self.checkpoints.took(began);
        }
        Ok(())
    }

    /// Saves a checkpoint, if there is none of this step.
    fn save<O: Observer>(&mut self, observer: &mut O) -> Result<(), Halt<O::Error>> {
        let step = Some(self.trainer.step());
        if self.saved != step {
            observer.saving(&self.trainer).map_err(Halt::Failed)?;
            self.trainer.save(&self.run.checkpoints())?;
            self.saved = step;
            observer.saved(&self.trainer).map_err(Halt::Failed)?;
        }
        Ok(())
    }

    /// Notes figures on validation pictures, and whether they are the best so far.
    fn consider<O: Observer>(
        &mut self,
        step: u64,
        validation: Validation,
        observer: &mut O,
    ) -> Result<(), Halt<O::Error>> {
        let Validation {
            what,
            figures,
            metric,
        } = validation;
        let value = figures.get(metric.name()).copied().unwrap_or(f32::NAN);
        let event = Event::Validation {
            step,
            what,
            figures,
            metric: metric.name().to_owned(),
            is_best: self.trainer.consider_best(metric, value),
        };
        self.report(event, observer)
    }

    /// Goes back to the newest checkpoint, with smaller rates from there on.
    fn roll_back<O: Observer>(
        &mut self,
        diverged_at: u64,
        what: &str,
        observer: &mut O,
    ) -> Result<(), Halt<O::Error>> {
        self.trainer.roll_back(&self.run.checkpoints())?;
        let step = self.trainer.step();
        self.saved = Some(step);
        self.run.rewind_figures(step)?;
        (self.stats, self.watch) = reopened(self.run, &self.trainer)?;
        let (rollbacks, rate_scale) = (self.trainer.rollbacks(), self.trainer.rate_scale());
        let text = format!(
            "step {diverged_at} diverged: {what}; back to the checkpoint of step {step}, both rates times {rate_scale} from here on \
             ({rollbacks} of at most {} times)",
            self.trainer.config().train.rollbacks_max
        );
        let event = Event::Rollback {
            step,
            diverged_at,
            rollbacks,
            rate_scale,
            text,
        };
        self.report(event, observer)
    }

    /// Notes an event and reports it to the observer.
    fn report<O: Observer>(
        &mut self,
        event: Event,
        observer: &mut O,
    ) -> Result<(), Halt<O::Error>> {
        self.note(&Record::Event(event.clone()))?;
        observer
            .happened(&self.trainer, &event)
            .map_err(Halt::Failed)
    }

    /// Adds a line to `stats.jsonl`.
    fn note(&mut self, record: &Record) -> Result<(), Error> {
        let line = serde_json::to_string(record).expect("a record is JSON");
        add_line(&mut self.stats, &self.run.stats_file(), &line)
    }
}

/// A failure outside the steps is one even where figures are not finite.
fn failed<E: From<Error>>(halt: Halt<E>) -> Result<(), E> {
    Err(match halt {
        Halt::Failed(error) => error,
        Halt::Diverged { step, what } => Error::Diverged { step, what }.into(),
    })
}

/// `stats.jsonl`, open at its end, and a watch that has seen its ticks.
fn reopened(run: &RunDir, trainer: &Trainer<'_>) -> Result<(File, Watch), Error> {
    let path = run.stats_file();
    let mut watch = Watch::new(trainer.config());
    for line in fs::read_to_string(&path).unwrap_or_default().lines() {
        if let Ok(Record::Tick(tick)) = serde_json::from_str(line) {
            watch.observe(&tick);
        }
    }
    Ok((append(&path)?, watch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_yet_to_come_between_steps_is_counted_with_that_of_the_last_step() {
        let once = Between {
            secs: 6.0,
            times: 3,
        };
        // Of 2 s each, after steps 100, 200 and so on, and after the last.
        for (step, steps, times) in [
            (1, 400, 4.0),
            (100, 400, 4.0),
            (101, 400, 3.0),
            (400, 400, 1.0),
            (350, 450, 2.0),
            (450, 450, 1.0),
            (7, 50, 1.0),
        ] {
            assert_eq!(once.secs_left(100, step, steps), 2.0 * times, "{step}");
        }
        assert_eq!(Between::default().secs_left(100, 1, 400), 0.0);
    }
}
