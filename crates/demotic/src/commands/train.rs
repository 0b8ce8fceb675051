//! `demotic train`: a run from its settings to its figures.

use anyhow::{Result, bail};
use demotic_core::data::{CachePolicy, Dataset, Split};
use demotic_core::device::Chosen;
use demotic_core::metric::{Evaluation, Validator, evaluate_networks};
use demotic_core::train::run::{self, RunDir};
use demotic_core::train::{Checkpoint, Ending, Fact, Header, Session, Trainer};
use serde_json::json;

use super::train_start::{
    begin, best, change_of_data, dry_run, greet, opened, origin, paced, voice,
};
use super::{learn_words, scored};
use crate::cli::TrainArgs;
use crate::failure::{Outcome, input};
use crate::options::{Target, TrainPlan, dataset_options};
use crate::progress::{InterruptGuard, Journal};
use crate::recorder::Recorder;
use crate::samples::Samples;
use crate::terminal::Terminal;

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
    let dataset = Dataset::load(&plan.config.data.source, &options)?;
    let changed = match &mut checkpoint {
        Some(checkpoint) if args.data_changed => checkpoint.take_data(&dataset)?,
        _ => None,
    };
    let (devices, chosen_by) = opened(&plan, &dataset)?;
    let devices: Vec<&Chosen> = devices.iter().collect();
    let (chosen, others) = devices.split_first().expect("a list has a first device");
    let handles: Vec<_> = others.iter().map(|other| other.device.clone()).collect();
    let done = checkpoint.as_ref().map_or(0, |held| held.info.step);
    let samples = Samples::new(&dataset);
    let validator = Validator::new(&dataset, plan.config.train.best_metric)?;
    let shown = (&samples, validator.as_ref());
    let time = paced(&mut plan, args.time, done, &dataset, &devices, shown)?;
    let mut trainer = Trainer::on_devices(plan.config.clone(), &dataset, &chosen.device, &handles)?;
    if let Some(checkpoint) = &checkpoint {
        trainer.restore(checkpoint)?;
    }
    let origin = plan.from.as_ref().map(|from| origin(&mut trainer, from));
    let origin = origin.transpose()?;

    // What the run is.
    let mut facts = vec![Fact::new("show", &samples.what), best(validator.as_ref())];
    facts.extend(samples.names.clone());
    facts.splice(
        0..0,
        chosen_by.into_iter().chain(origin.into_iter().flatten()),
    );
    let header = Header::new(&trainer, &devices, facts)?;
    let mut journal = Journal::to_screen(voice(args));

    // Its folder; a dry run has none.
    let is_resumed = held.is_some();
    let run = match (held, &plan.target) {
        (Some(run), _) => run,
        (None, Target::Numbered { root, name }) => RunDir::numbered(root, name)?,
        (None, Target::Folder(path) | Target::Existing(path)) => RunDir::fresh(path)?,
        (None, Target::Nowhere) => {
            drop(trainer);
            dry_run(
                &plan,
                &header,
                &dataset,
                devices.len(),
                &samples,
                validator.as_ref(),
                time.as_deref(),
            )?;
            return Ok(Outcome::Done);
        }
    };
    let (step, steps) = (trainer.step(), plan.config.train.steps);
    journal.emit(&json!({"event": "run", "run": run.path(), "step": step, "steps": steps}))?;
    if is_resumed && step >= steps && run.evaluation_file().exists() {
        journal.show(&format!("run    {}", run.path().display()));
        journal.show(&format!(
            "done   step {step} of {steps}: nothing left to train; --steps makes the run longer"
        ));
        let (path, interrupt) = (run.path(), InterruptGuard::new()?);
        let config = &plan.config;
        return learn_words::at_the_end(path, config, &dataset, chosen, &interrupt, &mut journal);
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
    greet(&recorder, &trainer, time.as_deref());
    begin(&mut recorder, is_resumed, before.as_ref(), [step, steps])?;
    if let Some(contents) = changed {
        recorder.journal.say(&change_of_data(step, &contents))?;
    }
    recorder.open(&trainer)?;
    let mut session = Session::new(trainer, &run)?;
    let ending = session.run(&mut recorder)?;
    recorder.journal.stop();
    let trainer = session.trainer();
    if let Some(outcome) = cut_short(ending, &mut recorder, trainer)? {
        return Ok(outcome);
    }

    finish(&mut recorder, trainer)
}

/// The figures of a run that came to its end, and what may be done with it.
fn finish(recorder: &mut Recorder<'_>, trainer: &Trainer<'_>) -> Result<Outcome> {
    let (run, steps) = (recorder.run, trainer.config().train.steps);
    recorder.journal.say(&format!(
        "end    step {steps}: translations of held-out pictures (test) are scored"
    ))?;
    let evaluation = evaluated(trainer, recorder.chosen);
    scored::write(&evaluation, &run.evaluation_file())?;
    let columns = Terminal::of_table();
    recorder.journal.show(&format!("{evaluation:columns$}"));
    recorder.journal.note(&evaluation.to_string())?;
    let outcome = learn_words::at_the_end(
        run.path(),
        trainer.config(),
        trainer.dataset(),
        recorder.chosen,
        &recorder.interrupt,
        &mut recorder.journal,
    )?;
    recorder.write_page(steps)?;
    recorder
        .journal
        .emit(&json!({"event": "end", "step": steps, "evaluation": evaluation}))?;
    let (page, folder) = (run.report_file(), run.path().display());
    let style = &trainer.dataset().styles()[0].name;
    for line in [
        format!("done   {}", evaluation.advice()),
        format!("look   {}", page.display()),
        format!("next   demotic translate --run {folder} --to {style} --out out/ PICTURE"),
        format!(
            "next   demotic train --resume --out {folder} --steps {}",
            2 * steps
        ),
    ] {
        recorder.journal.show(&line);
    }
    Ok(outcome)
}

/// What is reported of a run that did not come to its end; nothing where it did.
fn cut_short(
    ending: Ending,
    recorder: &mut Recorder<'_>,
    trainer: &Trainer<'_>,
) -> Result<Option<Outcome>> {
    let run = recorder.run;
    match ending {
        Ending::Done => Ok(None),
        Ending::Stopped => {
            recorder.journal.show(&format!(
                "interrupted at step {} of {}, checkpoint saved; go on with: demotic train --resume --out {}",
                trainer.step(),
                trainer.config().train.steps,
                run.path().display()
            ));
            Ok(Some(Outcome::Interrupted))
        }
        Ending::Diverged { step, what } => {
            let rollbacks = trainer.rollbacks();
            let text = format!(
                "training diverged at step {step}: {what}; it went back {rollbacks} of at most {} times, and the rates are {} of the \
                 configured ones; the checkpoints are whole: lower train.generator_rate and train.discriminator_rate, or set \
                 train.gradient_norm_max, in {} and go on with --resume",
                trainer.config().train.rollbacks_max,
                trainer.rate_scale(),
                run.config_file().display()
            );
            recorder.journal.note(&format!("error  {text}"))?;
            bail!(text);
        }
    }
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

/// The networks of a run against all held-out pictures.
fn evaluated(trainer: &Trainer<'_>, chosen: &Chosen) -> Evaluation {
    evaluate_networks(
        trainer.average(),
        &trainer.inference_discriminator(),
        trainer.config(),
        &chosen.device,
        trainer.dataset(),
        Split::Test,
    )
}
