//! How a training ends: at its last step, with its figures; before that, or where nothing was left to train.

use anyhow::{Result, bail};
use demotic_core::data::Split;
use demotic_core::device::Chosen;
use demotic_core::metric::{Evaluation, evaluate_networks};
use demotic_core::train::run::{RunDir, Which, trained};
use demotic_core::train::{Checkpoint, Ending, Trainer};
use serde_json::json;

use super::{learn_words, scored};
use crate::failure::Outcome;
use crate::progress::{InterruptGuard, Journal};
use crate::recorder::Recorder;
use crate::terminal::Terminal;

/// A run that has every step and its figures: only its words may be left to learn.
pub(super) fn nothing_left(
    run: &RunDir,
    trainer: &Trainer<'_>,
    chosen: &Chosen,
    journal: &mut Journal,
) -> Result<Outcome> {
    let (path, config) = (run.path(), trainer.config());
    journal.show(&format!("run    {}", path.display()));
    journal.show(&format!(
        "done   step {} of {}: nothing left to train; --steps makes the run longer",
        trainer.step(),
        config.train.steps
    ));
    let (dataset, interrupt) = (trainer.dataset(), InterruptGuard::new()?);
    learn_words::at_the_end(path, config, dataset, chosen, &interrupt, journal)
}

/// What is reported of a session that ended, and what is still done for its run.
pub(super) fn conclude(
    ending: Ending,
    recorder: &mut Recorder<'_>,
    trainer: &Trainer<'_>,
) -> Result<Outcome> {
    let run = recorder.run;
    match ending {
        Ending::Done => finish(recorder, trainer),
        Ending::Stopped => {
            recorder.journal.show(&format!(
                "interrupted at step {} of {}, checkpoint saved; go on with: demotic train --resume --out {}",
                trainer.step(),
                trainer.config().train.steps,
                run.path().display()
            ));
            Ok(Outcome::Interrupted)
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

/// The figures of a run that came to its end, and what may be done with it.
fn finish(recorder: &mut Recorder<'_>, trainer: &Trainer<'_>) -> Result<Outcome> {
    let (run, steps) = (recorder.run, trainer.config().train.steps);
    // A file that was damaged beside the training does not cost the run its end.
    let best = match trained(run.path(), Which::Auto) {
        Ok(best) => Some(best).filter(|best| best.info.step != trainer.step()),
        Err(error) => {
            recorder.journal.say(&format!(
                "warn   the weights of the last step are scored, not the best: {error}"
            ))?;
            None
        }
    };
    let of_step = best.as_ref().map_or_else(String::new, |best| {
        format!(
            " by the weights of step {}, the best on validation pictures,",
            best.info.step
        )
    });
    recorder.journal.say(&format!(
        "end    step {steps}: translations{of_step} of held-out pictures (test) are scored"
    ))?;
    let evaluation = evaluated(best.as_ref(), trainer, recorder.chosen)?;
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
    // In its last third a run still finds better weights now and then.
    let past_best = best
        .map(|best| best.info.step)
        .filter(|&step| 3 * step < 2 * trainer.step());
    let mut lines = vec![
        format!("done   {}", evaluation.advice(past_best)),
        format!("look   {}", page.display()),
        format!("next   demotic translate --run {folder} --to {style} --out out/ PICTURE"),
    ];
    if past_best.is_none() {
        lines.push(format!(
            "next   demotic train --resume --out {folder} --steps {}",
            2 * steps
        ));
    }
    for line in lines {
        recorder.journal.show(&line);
    }
    Ok(outcome)
}

/// The best checkpoint's networks, or without one those of the last step, against all held-out pictures.
fn evaluated(
    best: Option<&Checkpoint>,
    trainer: &Trainer<'_>,
    chosen: &Chosen,
) -> Result<Evaluation> {
    let (generator, discriminator) = match best {
        Some(best) => (
            best.generator(&chosen.device)?,
            best.discriminator(&chosen.device)?,
        ),
        None => (trainer.average().clone(), trainer.inference_discriminator()),
    };
    Ok(evaluate_networks(
        &generator,
        &discriminator,
        trainer.config(),
        &chosen.device,
        trainer.dataset(),
        Split::Test,
    ))
}
