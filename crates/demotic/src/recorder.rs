//! What a training run leaves besides figures and checkpoints, and what it shows: log, pictures, page, event
//! files.

use std::fs;

use anyhow::Result;
use demotic_core::device::Chosen;
use demotic_core::files::write_whole;
use demotic_core::metric::Validator;
use demotic_core::settings::Config;
use demotic_core::train::{Event, Header, Observer, RunDir, Tick, Trainer, Validation};

use crate::failure::io;
use crate::page;
use crate::progress::{InterruptGuard, Journal};
use crate::samples::{Samples, reals};
use crate::sheet;
use crate::tensorboard::EventFile;

/// Follows a session of `demotic train`.
pub(crate) struct Recorder<'a> {
    pub(crate) run: &'a RunDir,
    pub(crate) journal: Journal,
    pub(crate) header: Header,
    pub(crate) samples: &'a Samples<'a>,
    pub(crate) chosen: &'a Chosen,
    pub(crate) validator: Option<Validator<'a>>,
    pub(crate) interrupt: InterruptGuard,
    pub(crate) events: Option<EventFile>,
}

impl Recorder<'_> {
    /// Opens the files of a session that begins where the trainer stands.
    pub(crate) fn open(&mut self, trainer: &Trainer<'_>) -> Result<()> {
        let folder = self.run.samples();
        fs::create_dir_all(&folder).map_err(|e| io("make the folder of samples", &folder, &e))?;
        if trainer.step() == 0 {
            sheet::save(&reals(trainer.dataset()), &folder.join("reals.png"))?;
            let first = self.samples.draw(trainer, self.chosen);
            sheet::save(&first, &folder.join("fakes_init.png"))?;
        }
        self.reopen_events(trainer)?;
        self.journal
            .start(trainer.step(), trainer.config().train.steps);
        Ok(())
    }

    fn reopen_events(&mut self, trainer: &Trainer<'_>) -> Result<()> {
        if trainer.config().train.tensorboard {
            let mut file = EventFile::open(&self.run.tensorboard(), trainer.step())?;
            if file.is_new()? {
                file.add_text("settings", trainer.step(), &settings(trainer.config()))?;
            }
            self.events = Some(file);
        }
        Ok(())
    }

    /// Notes how long the log is at the checkpoint of a step: a resumed run goes on behind that.
    pub(crate) fn mark_log(&mut self, step: u64) -> Result<()> {
        self.header.mark_log(step, self.journal.log_bytes()?);
        self.run.write_header(&self.header)?;
        Ok(())
    }

    /// Writes the run's page. Whatever hinders that does not hinder the training.
    pub(crate) fn write_page(&mut self, step: u64) -> Result<()> {
        match page::write(self.run.path(), &self.run.report_file()) {
            Ok(()) => Ok(()),
            Err(error) => self.journal.say(&format!(
                "warn   step {step}: no report.html this time: {error}"
            )),
        }
    }
}

impl Observer for Recorder<'_> {
    type Error = anyhow::Error;

    fn wants_to_stop(&self) -> bool {
        self.interrupt.is_requested()
    }

    fn stepped(&mut self, trainer: &Trainer<'_>) {
        self.journal.advance(trainer.step());
    }

    fn ticked(&mut self, trainer: &Trainer<'_>, tick: &Tick) -> Result<()> {
        if let Some(events) = &mut self.events {
            events.add("train", tick.step, &serde_json::to_value(tick)?)?;
        }
        self.journal.tick(tick, trainer.config().train.steps)
    }

    fn happened(&mut self, trainer: &Trainer<'_>, event: &Event) -> Result<()> {
        self.journal.emit(event)?;
        match event {
            Event::Warning { step, text, .. } => {
                self.journal.say(&format!("warn   step {step}: {text}"))
            }
            Event::Validation {
                step,
                figures,
                metric,
                is_best,
                ..
            } => {
                if let Some(events) = &mut self.events {
                    events.add("validation", *step, &serde_json::to_value(figures)?)?;
                }
                let value = figures.get(metric);
                let figures: Vec<String> = figures
                    .iter()
                    .map(|(name, value)| format!("{name} {value:.4}"))
                    .collect();
                let note = match trainer.best() {
                    _ if *is_best => format!("best {metric} so far"),
                    Some(best) => {
                        let (metric, value, step) = (&best.metric, best.value, best.step);
                        format!("best {metric} {value:.4} at step {step}")
                    }
                    None => "no best yet".into(),
                };
                // The screen has the figure that counts, the log all of them.
                let counts =
                    value.map_or_else(String::new, |value| format!("{metric} {value:.4}  "));
                self.journal
                    .show(&format!("valid  step {step}: {counts}({note})"));
                let figures = figures.join("  ");
                self.journal
                    .note(&format!("valid  step {step}: {figures}  ({note})"))
            }
            Event::Rollback { step, text, .. } => {
                self.reopen_events(trainer)?;
                self.journal.say(&format!("back   {text}"))?;
                self.mark_log(*step)
            }
        }
    }

    fn sampled(&mut self, trainer: &Trainer<'_>) -> Result<()> {
        let step = trainer.step();
        let sheets = [
            (
                "samples",
                self.samples.draw(trainer, self.chosen),
                self.run.sample_file(step),
            ),
            (
                "labels",
                self.samples.labels(trainer),
                self.run.labels_file(step),
            ),
        ];
        for (tag, sheet, file) in sheets {
            let png = sheet.png(&file)?;
            write_whole(&file, &png)?;
            if let Some(events) = &mut self.events {
                events.add_picture(tag, step, &png, sheet.image.dimensions())?;
            }
        }
        Ok(())
    }

    fn validate(&mut self, trainer: &Trainer<'_>) -> Option<Validation> {
        let validator = self.validator.as_ref()?;
        Some(validator.validation(trainer.average(), &self.chosen.device))
    }

    fn saving(&mut self, trainer: &Trainer<'_>) -> Result<()> {
        self.mark_log(trainer.step())
    }

    fn saved(&mut self, trainer: &Trainer<'_>) -> Result<()> {
        self.write_page(trainer.step())
    }
}

/// Every setting as a table in Markdown; those that are not the default in bold.
fn settings(config: &Config) -> String {
    let rows = config.entries().into_iter().map(|entry| {
        let dot = if entry.section.is_empty() { "" } else { "." };
        let bold = if entry.is_default { "" } else { "**" };
        format!(
            "| {bold}{}{dot}{}{bold} | {bold}{}{bold} |\n",
            entry.section, entry.key, entry.value
        )
    });
    format!(
        "| setting | value |\n|---|---|\n{}",
        rows.collect::<String>()
    )
}
