//! `demotic train`: a run from its settings to its figures.

use anyhow::Result;
use demotic_core::data::{CachePolicy, Dataset};
use demotic_core::device::Chosen;
use demotic_core::metric::Validator;
use demotic_core::train::run::{self, RunDir};
use demotic_core::train::{Checkpoint, Fact, Header, Session, Trainer};
use serde_json::json;

use super::train_end::{conclude, nothing_left};
use super::train_size::{afforded, dry_run, sized};
use super::train_start::{begin, best, change_of_data, greet, opened, origin, paced, voice};
use crate::cli::TrainArgs;
use crate::failure::{Outcome, input};
use crate::options::{Target, TrainPlan, dataset_options, warn_of_software};
use crate::progress::{InterruptGuard, Journal};
use crate::recorder::Recorder;
use crate::samples::Samples;
use crate::waiting::during;

pub(crate) fn run(args: &TrainArgs) -> Result<Outcome> {
    // Read everything that can be wrong before the first file is written.
    let mut plan = TrainPlan::new(args)?;
    let (held, mut checkpoint) = held(&plan)?;

    // Pictures, devices, networks.
    let cache = match plan.target {
        Target::Nowhere => CachePolicy::Off,
        _ => CachePolicy::Platform,
    };
    let options = dataset_options(&plan.config, cache)?;
    let is_told = !args.quiet && !args.json;
    let dataset = during("reading the pictures", is_told, || {
        Dataset::load(&plan.config.data.source, &options)
    })?;
    let changed = match &mut checkpoint {
        Some(checkpoint) if args.data_changed => checkpoint.take_data(&dataset)?,
        _ => None,
    };
    let (devices, chosen_by) = opened(&plan, &dataset, is_told)?;
    if !args.quiet {
        warn_of_software(&devices);
    }
    let devices: Vec<&Chosen> = devices.iter().collect();
    let chosen = devices[0];
    let done = checkpoint.as_ref().map_or(0, |held| held.info.step);
    let samples = Samples::new(&dataset);
    let validator = Validator::new(&dataset, plan.config.train.best_metric)?;
    let shown = (&samples, validator.as_ref());
    let mut journal = Journal::to_screen(voice(args));
    let size = during("timing networks", is_told && args.time.is_some(), || {
        sized(&mut plan, args.time, &dataset, &devices)
    })?;
    let taken = afforded(&plan, &dataset, &devices, shown, &journal)?;
    let time = (args.time, size.as_str());
    let time = during("timing a step", is_told, || {
        paced(&mut plan, time, done, &dataset, &devices, shown)
    })?;
    let (mut trainer, origin) = networks(&plan, checkpoint.as_ref(), &dataset, &devices)?;

    // What the run is.
    let on_pictures = [Fact::new("show", &samples.what), best(validator.as_ref())];
    let facts = chosen_by.into_iter().chain(origin).chain(on_pictures);
    let facts = facts.chain(samples.names.clone()).collect();
    let header = Header::new(&trainer, &devices, facts)?;

    // Its folder; a dry run has none.
    let is_resumed = held.is_some();
    let Some(run) = folder(held, &plan.target)? else {
        drop(trainer);
        let figures = (taken.as_ref(), time.as_ref());
        dry_run(&plan, &header, &dataset, &devices, figures, &journal)?;
        return Ok(Outcome::Done);
    };
    let (step, steps) = (trainer.step(), plan.config.train.steps);
    journal.emit(&json!({"event": "run", "run": run.path(), "step": step, "steps": steps}))?;
    if is_resumed && step >= steps && run.evaluation_file().exists() {
        return nothing_left(&run, &trainer, chosen, &mut journal);
    }
    let before = if is_resumed {
        run.rewind(step)?;
        run.header()?
    } else {
        None
    };
    if plan.from.is_some() {
        // Whatever ends the run before its first step, it goes on from these weights.
        trainer.save(&run.checkpoints())?;
    }
    // First of a new run's files but that: with it, a folder can be resumed.
    run.write_config(&plan.config)?;
    journal.log_to(run.log_file())?;

    // The session.
    let mut recorder = Recorder {
        run: &run,
        journal,
        header,
        samples: &samples,
        chosen,
        validator,
        interrupt: InterruptGuard::new()?,
        events: None,
    };
    greet(&recorder, &trainer, time.as_ref());
    begin(&mut recorder, is_resumed, before.as_ref(), [step, steps])?;
    if let Some(contents) = changed {
        recorder.journal.say(&change_of_data(step, &contents))?;
    }
    recorder.open(&trainer)?;
    let mut session = Session::new(trainer, &run)?;
    let ending = session.run(&mut recorder)?;
    recorder.journal.stop();
    conclude(ending, &mut recorder, session.trainer())
}

/// The run that is to go on, held, with its newest checkpoint; nothing for a new one, whose place is found to
/// be free.
fn held(plan: &TrainPlan) -> Result<(Option<RunDir>, Option<Checkpoint>)> {
    let path = match &plan.target {
        Target::Existing(path) => path,
        Target::Folder(path) => {
            run::require_unused(path)?;
            return Ok((None, None));
        }
        Target::Numbered { .. } | Target::Nowhere => return Ok((None, None)),
    };
    let held = RunDir::existing(path)?;
    let checkpoint = run::checkpoint(path)?;
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
    Ok((Some(held), checkpoint))
}

/// The networks: new ones, which may start from weights, or a checkpoint's; and where new ones start.
fn networks<'a>(
    plan: &TrainPlan,
    checkpoint: Option<&Checkpoint>,
    dataset: &'a Dataset,
    devices: &[&Chosen],
) -> Result<(Trainer<'a>, Vec<Fact>)> {
    let (chosen, others) = devices.split_first().expect("a list has a first device");
    let others: Vec<_> = others.iter().map(|other| other.device.clone()).collect();
    let config = plan.config.clone();
    let mut trainer = Trainer::on_devices(config, dataset, &chosen.device, &others)?;
    if let Some(checkpoint) = checkpoint {
        trainer.restore(checkpoint)?;
    }
    let origin = match &plan.from {
        Some(from) => origin(&mut trainer, from)?,
        None => Vec::new(),
    };
    Ok((trainer, origin))
}

/// The run's folder: the one that is held, or a new one; a dry run has none.
fn folder(held: Option<RunDir>, target: &Target) -> Result<Option<RunDir>> {
    Ok(match (held, target) {
        (Some(run), _) => Some(run),
        (None, Target::Numbered { root, name }) => Some(RunDir::numbered(root, name)?),
        (None, Target::Folder(path) | Target::Existing(path)) => Some(RunDir::fresh(path)?),
        (None, Target::Nowhere) => None,
    })
}
