//! `demotic train`: a run from its settings to its figures, with everything it leaves behind.

use std::collections::BTreeMap;
use std::fs::{self, File};

use anyhow::Result;
use demotic_core::Error;
use demotic_core::allocation;
use demotic_core::config::Config;
use demotic_core::data::{CachePolicy, Dataset, Split};
use demotic_core::device::{self, Chosen};
use demotic_core::model::DiscriminatorConfig;
use demotic_core::train::health::Watch;
use demotic_core::train::{Event, Record, Trainer, Validator, resident_memory_bytes};
use serde::Serialize;

use super::{Outcome, evaluate, report};
use crate::cli::TrainArgs;
use crate::failure::{input, io};
use crate::options::{Target, TrainPlan, dataset_options};
use crate::progress::{InterruptGuard, Journal, LEGEND};
use crate::run_dir::{self, RunDir};
use crate::samples::{Samples, reals};
use crate::sheet;
use crate::tensorboard::EventFile;

pub(crate) fn run(args: &TrainArgs) -> Result<Outcome> {
    // Read everything that can be wrong before the first file is made.
    let plan = TrainPlan::new(args)?;
    let (mut held, mut checkpoint) = (None, None);
    match &plan.target {
        Target::Folder(path) => run_dir::require_unused(path)?,
        Target::Existing(path) => {
            held = Some(RunDir::existing(path)?);
            checkpoint = run_dir::checkpoint(path)?;
            let step = checkpoint
                .as_ref()
                .map_or(0, |checkpoint| checkpoint.info.step);
            if plan.config.train.steps < step {
                return Err(input(format!(
                    "--steps {} lies behind the run, which is at step {step}; give that or more: {}",
                    plan.config.train.steps,
                    path.display()
                )));
            }
        }
        Target::Numbered { .. } | Target::Nowhere => {}
    }
    let cache = if matches!(plan.target, Target::Nowhere) {
        CachePolicy::Off
    } else {
        CachePolicy::Platform
    };
    let dataset = Dataset::load(
        &plan.config.data.source,
        &dataset_options(&plan.config, cache)?,
    )?;
    let mut devices = device::open_all(&plan.device)?.into_iter();
    let chosen = devices.next().expect("a list has a first device");
    let others: Vec<Chosen> = devices.collect();
    let handles: Vec<_> = others.iter().map(|other| other.device.clone()).collect();
    let mut trainer = Trainer::on_devices(plan.config.clone(), &dataset, &chosen.device, &handles)?;
    if let Some(checkpoint) = &checkpoint {
        trainer.restore(checkpoint)?;
    }
    let samples = Samples::new(&dataset);
    let validator = Validator::new(&dataset, plan.config.train.best_metric)?;
    let header = header(
        &plan.config,
        &chosen,
        &others,
        &dataset,
        &trainer,
        &samples,
        validator.as_ref(),
    )?;

    let mut journal = Journal::to_screen();
    let is_resumed = held.is_some();
    let run = match (held, &plan.target) {
        (Some(run), _) => run,
        (None, Target::Numbered { root, name }) => RunDir::numbered(root, name)?,
        (None, Target::Folder(path) | Target::Existing(path)) => RunDir::fresh(path)?,
        (None, Target::Nowhere) => {
            journal.say(&header)?;
            journal.say(&format!("config\n{}", compact(&plan.config.to_toml(true))))?;
            drop(trainer);
            let found = estimate(
                &plan.config,
                &dataset,
                1 + others.len(),
                &samples,
                validator.as_ref(),
            )?;
            journal.say(&found)?;
            journal.say("dry run: nothing was written")?;
            return Ok(Outcome::Done);
        }
    };
    let steps = plan.config.train.steps;
    journal.show(&format!("run    {}", run.path().display()));
    if is_resumed {
        if trainer.step() >= steps && run.evaluation_file().exists() {
            journal.show(&format!(
                "done   step {} of {steps}: nothing left to train; --steps makes the run longer",
                trainer.step()
            ));
            return Ok(Outcome::Done);
        }
        resume(&run, &mut journal, &header, trainer.step(), steps)?;
    }
    // First of a new run's files: with it, a folder can be resumed.
    run_dir::write_whole(&run.config_file(), plan.config.to_toml(true).as_bytes())?;
    if !is_resumed {
        journal.log_to(run.log_file())?;
        journal.say(&header)?;
        journal.say(LEGEND)?;
    }
    fs::create_dir_all(run.samples())
        .map_err(|e| io("make the folder of samples", &run.samples(), &e))?;
    if trainer.step() == 0 {
        sheet::save(&reals(&dataset), &run.samples().join("reals.png"))?;
        sheet::save(
            &samples.draw(&trainer, &chosen),
            &run.samples().join("fakes_init.png"),
        )?;
    }

    if trainer.step() == 0 && checkpoint.is_none() {
        // Something to go back to from the first step on.
        trainer.save(&run.checkpoints())?;
    }
    let mut session = Session::new(trainer, &run, journal, &samples, &chosen, validator)?;
    let is_done = session.train()?;
    let Session {
        trainer,
        mut journal,
        ..
    } = session;
    if !is_done {
        journal.show(&format!(
            "interrupted at step {} of {steps}, checkpoint saved; go on with: demotic train --resume --out {}",
            trainer.step(),
            run.path().display()
        ));
        return Ok(Outcome::Interrupted);
    }

    journal.say(&format!(
        "end    step {}: held-out pictures (test) against their counterparts",
        trainer.step()
    ))?;
    let evaluation = evaluate::evaluate(
        trainer.average(),
        &trainer.judge(),
        &plan.config,
        &chosen,
        &dataset,
        Split::Test,
    );
    evaluate::write(&evaluation, &run.evaluation_file())?;
    journal.say(&evaluation.to_string())?;
    report_on(&run, &mut journal, steps)?;
    journal.show(&format!("done   look at {}", run.report_file().display()));
    Ok(Outcome::Done)
}

/// Writes the run's page. Whatever hinders that does not hinder the training.
fn report_on(run: &RunDir, journal: &mut Journal, step: u64) -> Result<()> {
    match report::write(run.path(), &run.report_file()) {
        Ok(()) => Ok(()),
        Err(error) => journal.say(&format!(
            "warn   step {step}: no report.html this time: {error}"
        )),
    }
}

/// Settings without the empty lines between their tables, as a block under a heading.
fn compact(settings: &str) -> String {
    let lines = settings.lines().filter(|line| !line.is_empty());
    lines.flat_map(|line| ["       ", line, "\n"]).collect()
}

/// A run in progress: what is trained, and every file that grows with it.
struct Session<'a> {
    trainer: Trainer<'a>,
    run: &'a RunDir,
    journal: Journal,
    samples: &'a Samples<'a>,
    chosen: &'a Chosen,
    validator: Option<Validator<'a>>,
    watch: Watch,
    stats: File,
    events: Option<EventFile>,
    saved: Option<u64>,
}

impl<'a> Session<'a> {
    fn new(
        trainer: Trainer<'a>,
        run: &'a RunDir,
        journal: Journal,
        samples: &'a Samples<'a>,
        chosen: &'a Chosen,
        validator: Option<Validator<'a>>,
    ) -> Result<Self> {
        let saved = Some(trainer.step());
        let mut session = Self {
            watch: Watch::new(trainer.config()),
            stats: run_dir::append(&run.stats_file())?,
            trainer,
            run,
            journal,
            samples,
            chosen,
            validator,
            events: None,
            // Every session starts at a checkpoint.
            saved,
        };
        session.reopen()?;
        Ok(session)
    }

    /// Opens the files of figures at the trainer's step, and brings the watch to where it was then.
    fn reopen(&mut self) -> Result<()> {
        self.stats = run_dir::append(&self.run.stats_file())?;
        self.watch = Watch::new(self.trainer.config());
        for line in fs::read_to_string(self.run.stats_file())
            .unwrap_or_default()
            .lines()
        {
            if let Ok(Record::Tick(tick)) = serde_json::from_str(line) {
                self.watch.observe(&tick);
            }
        }
        if self.trainer.config().train.tensorboard {
            self.events = Some(EventFile::open(
                &self.run.tensorboard(),
                self.trainer.step(),
            )?);
        }
        Ok(())
    }

    /// The steps to the end, going back where something is not finite. False if interrupted.
    fn train(&mut self) -> Result<bool> {
        let steps = self.trainer.config().train.steps;
        let interrupt = InterruptGuard::new()?;
        self.journal.start(self.trainer.step(), steps);
        while self.trainer.step() < steps && !interrupt.is_requested() {
            match self.step() {
                Ok(()) => {}
                Err(error) => match error.downcast::<Error>() {
                    Ok(Error::Diverged { step, what }) => self.roll_back(step, &what)?,
                    Ok(other) => return Err(other.into()),
                    Err(other) => return Err(other),
                },
            }
        }
        self.journal.stop();
        if self.saved != Some(self.trainer.step()) && self.trainer.step() < steps {
            match self.trainer.save(&self.run.checkpoints()) {
                Ok(_) => {}
                Err(Error::Diverged { step, what }) => self.roll_back(step, &what)?,
                Err(other) => return Err(other.into()),
            }
        }
        Ok(self.trainer.step() >= steps)
    }

    /// One step, with a tick, a sample grid and a checkpoint where they are due and at the end.
    fn step(&mut self) -> Result<()> {
        self.trainer.advance()?;
        let step = self.trainer.step();
        self.journal.advance(step);
        let t = self.trainer.config().train.clone();
        let is_due = |interval: u64| step.is_multiple_of(interval) || step == t.steps;
        if is_due(t.tick_steps)
            && let Some(tick) = self.trainer.tick()?
        {
            self.note(&tick)?;
            self.journal.tick(&tick, t.steps)?;
            for condition in self.watch.observe(&tick) {
                let text = condition.advice(self.trainer.config()).to_owned();
                self.journal.say(&format!("warn   step {step}: {text}"))?;
                self.note(&Event::Warning {
                    step,
                    condition,
                    text,
                })?;
            }
        }
        if is_due(t.sample_steps) {
            sheet::save(
                &self.samples.draw(&self.trainer, self.chosen),
                &self.run.sample_file(step),
            )?;
            sheet::save(
                &self.samples.labels(&self.trainer),
                &self.run.labels_file(step),
            )?;
        }
        if is_due(t.checkpoint_steps) {
            self.validate(step)?;
            self.trainer.save(&self.run.checkpoints())?;
            self.saved = Some(step);
            report_on(self.run, &mut self.journal, step)?;
        }
        Ok(())
    }

    /// Adds a line to stats.jsonl, and its numbers to the event file.
    fn note(&mut self, line: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(line)?;
        run_dir::add_line(&mut self.stats, &self.run.stats_file(), &text)?;
        let Some(events) = &mut self.events else {
            return Ok(());
        };
        let line = serde_json::to_value(line)?;
        let step = line["step"].as_u64().unwrap_or_default();
        match line["event"].as_str() {
            None => events.add("train", step, &line),
            Some("validation") => events.add("validation", step, &line["figures"]),
            Some(_) => Ok(()),
        }
    }

    /// Scores the network on validation pictures, and says whether it is the best so far.
    fn validate(&mut self, step: u64) -> Result<()> {
        let Some(validator) = &self.validator else {
            return Ok(());
        };
        let figures = validator.figures(self.trainer.average(), &self.chosen.device);
        let metric = validator.metric();
        let value = figures.get(metric.name()).copied().unwrap_or(f32::NAN);
        let what = validator.what();
        let is_best = self.trainer.consider_best(metric, value);
        let told: Vec<String> = figures
            .iter()
            .map(|(name, value)| format!("{name} {value:.4}"))
            .collect();
        let note = match self.trainer.best() {
            _ if is_best => format!("best {} so far", metric.name()),
            Some(best) => format!(
                "best {} {:.4} at step {}",
                best.metric, best.value, best.step
            ),
            None => "no best yet".into(),
        };
        self.journal.say(&format!(
            "valid  step {step}: {}  ({note})",
            told.join("  ")
        ))?;
        let event = Event::Validation {
            step,
            what,
            figures,
            metric: metric.name().to_owned(),
            is_best,
        };
        self.note(&event)
    }

    /// Goes back to the last checkpoint with smaller rates, as often as the configuration allows.
    fn roll_back(&mut self, diverged_at: u64, what: &str) -> Result<()> {
        let (rollbacks, max) = (
            self.trainer.rollbacks(),
            self.trainer.config().train.rollbacks_max,
        );
        if rollbacks >= max {
            self.journal.stop();
            let text = format!(
                "training diverged at step {diverged_at}: {what}; it went back {rollbacks} of at most {max} times, and the rates \
                 are {} of the configured ones; the checkpoints are whole: lower train.generator_rate and \
                 train.discriminator_rate, or set train.gradient_norm_max, in {} and go on with --resume",
                self.trainer.rate_scale(),
                self.run.config_file().display()
            );
            self.journal.note(&format!("error  {text}"))?;
            anyhow::bail!(text);
        }
        self.trainer.roll_back(&self.run.checkpoints())?;
        let step = self.trainer.step();
        self.saved = Some(step);
        self.run.rewind_figures(step)?;
        self.reopen()?;
        let text = format!(
            "step {diverged_at} diverged: {what}; back to the checkpoint of step {step}, both rates times {} from here on ({} of \
             at most {max} times)",
            self.trainer.rate_scale(),
            self.trainer.rollbacks()
        );
        self.journal.say(&format!("back   {text}"))?;
        let event = Event::Rollback {
            step,
            diverged_at,
            rollbacks: self.trainer.rollbacks(),
            rate_scale: self.trainer.rate_scale(),
            text,
        };
        self.note(&event)
    }
}

/// What a run of this configuration would take, found on the processor: by two steps of one and of two pictures, for memory
/// grows evenly with the pictures that are worked on at once; by a checkpoint; by sample grids and a validation. The image
/// pool, which fills with the steps, is reckoned.
fn estimate(
    config: &Config,
    dataset: &Dataset,
    devices: usize,
    samples: &Samples<'_>,
    validator: Option<&Validator<'_>>,
) -> Result<String> {
    let flex = device::open("flex")?;
    let trial = |batch: usize| {
        let mut config = config.clone();
        (config.train.batch, config.train.accumulate) = (batch, 1);
        config.train.image_pool = 0;
        allocation::peak_of(|| -> Result<Trainer<'_>, Error> {
            let mut trainer = Trainer::new(config, dataset, &flex.device)?;
            trainer.advance()?;
            trainer.advance()?;
            trainer.tick()?;
            Ok(trainer)
        })
    };
    let resident = resident_memory_bytes() as usize;
    let (trainer, two) = trial(2);
    drop(trainer?);
    let before = allocation::in_use();
    let (trainer, one) = trial(1);
    let trainer = trainer?;
    let state = allocation::in_use().saturating_sub(before);
    let (bytes, saving) = allocation::peak_of(|| trainer.checkpoint_bytes());
    let ((), showing) = allocation::peak_of(|| {
        drop((samples.draw(&trainer, &flex), samples.labels(&trainer)));
        if let Some(validator) = validator {
            validator.figures(trainer.average(), &flex.device);
        }
    });
    let at_once = config.train.batch / (config.train.accumulate * devices);
    let each = two.saturating_sub(one);
    let size = config.data.size_px as usize;
    let pool =
        config.train.image_pool * config.data.channels.count() * size * size * size_of::<f32>();
    let step = one.saturating_sub(each) + each * at_once + pool;
    // A checkpoint holds the pool as one array, as bytes and as the file, beside the pool itself.
    let between = (saving + 3 * pool).max(showing) + state + pool;
    let training = step.max(between);
    let mib = |bytes: usize| bytes.div_ceil(1 << 20);
    Ok(format!(
        "memory about {} MiB for networks, optimisers and a step of {at_once} pictures, on the device; {} MiB for program and \
         pictures; flex needs both: {} MiB; it counts blocks, not pages: leave a fifth of room\ndisk   {:.1} MiB a checkpoint; {} are kept, the best beside them",
        mib(training),
        mib(resident),
        mib(training + resident),
        (bytes + pool) as f64 / f64::from(1 << 20),
        config.train.checkpoints_kept
    ))
}

/// Brings the run's files back to the checkpoint. The log says what is not as it was.
fn resume(run: &RunDir, journal: &mut Journal, header: &str, step: u64, steps: u64) -> Result<()> {
    run.rewind(step)?;
    let before = fs::read_to_string(run.log_file()).unwrap_or_default();
    journal.show(header);
    journal.show(&format!("resume step {step} of {steps}"));
    journal.log_to(run.log_file())?;
    if before.is_empty() {
        journal.note(header)?;
        return journal.note(LEGEND);
    }
    for change in changes(&before, header) {
        journal.note(&format!("resume at step {step} {change}"))?;
    }
    Ok(())
}

/// What a header says otherwise than the log that it is resumed with, whose own header was changed by each resume before.
fn changes(log: &str, header: &str) -> Vec<String> {
    let own = log.lines().take_while(|line| !line.starts_with("columns"));
    let mut before = facts(own);
    for line in log.lines() {
        let noted = line
            .strip_prefix("resume at step ")
            .and_then(|rest| rest.split_once(' '));
        match noted.and_then(|(_, rest)| rest.split_once(": ")) {
            Some(("with", fact)) => {
                before.insert(topic(fact).to_owned(), fact.to_owned());
            }
            Some(("without", fact)) => {
                before.remove(topic(fact));
            }
            _ => {}
        }
    }
    let now = facts(header.lines());
    let with = now
        .iter()
        .filter(|(topic, fact)| before.get(*topic) != Some(fact))
        .map(|(_, fact)| format!("with: {fact}"));
    let without = before
        .iter()
        .filter(|(topic, _)| !now.contains_key(*topic))
        .map(|(_, fact)| format!("without: {fact}"));
    with.chain(without).collect()
}

/// The lines of a header by what they are about; several about one thing are one fact.
fn facts<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    let mut facts: BTreeMap<String, String> = BTreeMap::new();
    for line in lines {
        let fact = facts.entry(topic(line).to_owned()).or_default();
        if !fact.is_empty() {
            fact.push_str("; ");
        }
        fact.push_str(line);
    }
    facts
}

/// What a line of a header is about: its first word, or the key that it sets.
fn topic(line: &str) -> &str {
    match line.split_once(" = ") {
        Some((key, _)) if line.starts_with("set ") => key,
        _ => line.split_whitespace().next().unwrap_or_default(),
    }
}

/// What a run is, in lines whose first word says what they are about.
fn header(
    config: &Config,
    chosen: &Chosen,
    others: &[Chosen],
    dataset: &Dataset,
    trainer: &Trainer<'_>,
    samples: &Samples<'_>,
    validator: Option<&Validator<'_>>,
) -> Result<String> {
    let (generator, discriminator) = trainer.parameter_counts();
    let crf = trainer
        .discriminator()
        .crf()
        .implementation(trainer.device())?;
    // The discriminator sees as many real, made and mixed pictures in one call.
    let side = config.data.size_px as usize / DiscriminatorConfig::PATCH_STRIDE;
    let kernel = trainer
        .discriminator()
        .crf()
        .kernel(trainer.device(), [3 * config.train.batch, side, side])?;
    let kernel = kernel.map_or_else(String::new, |kernel| {
        format!(" (crf_{})", format!("{kernel:?}").to_lowercase())
    });
    let mut devices = vec![format!("device {}", chosen.description)];
    devices.extend(others.iter().map(|other| other.description.clone()));
    if !others.is_empty() {
        devices.push(format!(
            "each takes 1/{} of every step; gradients are summed on the first",
            devices.len()
        ));
    }
    if chosen.is_tuned() || others.iter().any(Chosen::is_tuned) {
        devices.push(
            "first step measures kernels (autotune) and takes longer: minutes on a software adapter".into(),
        );
    }
    let mut lines = vec![
        format!("demotic {}", env!("CARGO_PKG_VERSION")),
        devices.join("\ndevice "),
        format!(
            "crf    {}{kernel} over {} labels, {}",
            crf.name(),
            dataset.styles().len() + 1,
            config.discriminator.ties()
        ),
        dataset.summary().to_string().trim_end().to_owned(),
        format!("model  generator {generator} parameters, discriminator {discriminator}"),
        format!("show   {}", samples.what),
        validator.map_or_else(
            || "best   none: there are no validation pictures to choose a checkpoint by".into(),
            |validator| {
                format!(
                    "best   by {} of {}",
                    validator.metric().name(),
                    validator.what()
                )
            },
        ),
    ];
    if trainer.augment_prob() > 0.0 {
        lines.push(format!(
            "judge  the discriminator's pictures are varied, each way with probability {:.2}",
            trainer.augment_prob()
        ));
    }
    let resolved = config.to_toml(true);
    let mut section = "";
    for line in resolved.lines() {
        if line.starts_with('[') {
            section = line;
        } else if let Some(setting) = line.strip_suffix("# not the default") {
            lines.push(format!("set    {section} {}", setting.trim_end()));
        }
    }
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::changes;

    #[test]
    fn a_resume_notes_what_differs_from_the_run_as_it_last_was() {
        let log = "demotic 1\ndevice a\nset    [train] steps = 2000\ncolumns  x\nstep 5/2000\n";
        let header = |steps: u64, device: &str| {
            format!("demotic 1\ndevice {device}\nset    [train] steps = {steps}")
        };
        assert!(changes(log, &header(2000, "a")).is_empty());
        assert_eq!(
            changes(log, &header(200, "a")),
            ["with: set    [train] steps = 200"],
            "a beginning of the value is another value"
        );
        let log = format!("{log}resume at step 5 with: set    [train] steps = 200\nstep 9/200\n");
        assert!(changes(&log, &header(200, "a")).is_empty());
        assert_eq!(
            changes(&log, &header(2000, "a")),
            ["with: set    [train] steps = 2000"],
            "back to what it was before"
        );
        // Back to the default, which a header does not name; more devices than one.
        let now = "demotic 1\ndevice a\ndevice b";
        assert_eq!(
            changes(&log, now),
            [
                "with: device a; device b",
                "without: set    [train] steps = 200"
            ]
        );
        let log = format!(
            "{log}resume at step 9 with: device a; device b\nresume at step 9 without: set    [train] steps = 200\n"
        );
        assert!(changes(&log, now).is_empty());
    }
}
