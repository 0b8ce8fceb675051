//! What is settled and reported of a run before its first step: how long it will take, where it starts, what
//! it is.

use std::time::Duration;

use anyhow::Result;
use demotic_core::check::estimate::Pace;
use demotic_core::check::fastest::{Fastest, fastest, few_cores};
use demotic_core::data::{Dataset, Split};
use demotic_core::device::{self, Chosen};
use demotic_core::metric::Validator;
use demotic_core::train::{Checkpoint, Fact, Header, Trainer};

use crate::cli::TrainArgs;
use crate::examination::examined_once;
use crate::greeting::greeting;
use crate::options::{Target, TrainPlan};
use crate::output::duration;
use crate::progress::{Voice, legend};
use crate::recorder::Recorder;
use crate::samples::Samples;
use crate::waiting::during;

/// A run that is over sooner is not timed before it starts.
const WORTH_TIMING_SECS: f64 = 60.0;
/// A training of so long on fewer pictures than these has a shorter way.
const LONG_SECS: f64 = 10.0 * 3600.0;
const FEW_PICTURES: usize = 2000;

/// Opens the devices of a run: those that are named; for `auto` the one whose steps are the fastest, and why.
/// A graphics processor that is new to this build is examined first, where something is to be trained.
/// `is_told`: what takes long is told meanwhile.
pub(super) fn opened(
    plan: &TrainPlan,
    dataset: &Dataset,
    is_told: bool,
) -> Result<(Vec<Chosen>, Vec<Fact>)> {
    let (devices, notes) = if plan.device == "auto" {
        let Fastest { chosen, notes } = during("looking for the fastest device", is_told, || {
            fastest(&plan.config, dataset)
        })?;
        (vec![chosen], notes)
    } else {
        let devices = device::open_all(&plan.device)?;
        let notes = few_cores(&devices).into_iter().collect();
        (devices, notes)
    };
    if !matches!(plan.target, Target::Nowhere) {
        examined_once(&devices)?;
    }
    let facts = notes.into_iter().map(|note| Fact::new("device", note));
    Ok((devices, facts.collect()))
}

/// What the time of a run is expected to be.
pub(super) struct Expected {
    /// For a person.
    pub(super) line: String,
    /// The steps that are left, in seconds.
    pub(super) secs: f64,
    /// One of them, in seconds.
    pub(super) secs_a_step: f64,
    /// What would be over sooner, for a person.
    pub(super) sooner: Option<String>,
}

/// How long the run will take on its devices, where that is worth a line or is asked for; where a time is
/// given, its steps are set to it. `done`: steps behind it. `size`: which networks the time was found to be
/// enough for.
pub(super) fn paced(
    plan: &mut TrainPlan,
    (time, size): (Option<Duration>, &str),
    done: u64,
    dataset: &Dataset,
    devices: &[&Chosen],
    (samples, validator): (&Samples<'_>, Option<&Validator<'_>>),
) -> Result<Option<Expected>> {
    let (chosen, others) = devices.split_first().expect("a list has a first device");
    let others: Vec<_> = others.iter().map(|other| other.device.clone()).collect();
    let between = |trainer: &Trainer<'_>| {
        drop((samples.draw(trainer, chosen), samples.labels(trainer)));
        if let Some(validator) = validator {
            validator.figures(trainer.average(), &chosen.device);
        }
    };
    let is_asked_for = time.is_some() || matches!(plan.target, Target::Nowhere);
    let least = if is_asked_for { 0.0 } else { WORTH_TIMING_SECS };
    let (config, device) = (&plan.config, &chosen.device);
    let pace = match Pace::measure(config, dataset, device, &others, least, between) {
        // What diverges so early is the run's own to report; without a pace, a time means no number of steps.
        Err(demotic_core::Error::Diverged { .. }) if time.is_none() => None,
        pace => pace?,
    };
    let Some(pace) = pace else {
        return Ok(None);
    };
    if let Some(time) = time {
        plan.config.train.steps = done + pace.steps_in(&plan.config, time.as_secs_f64());
    }
    let left = plan.config.train.steps.saturating_sub(done);
    let secs = pace.secs(&plan.config, left);
    let hours = if secs > 2.0 * 3600.0 { 2 } else { 1 };
    let steps = pace.steps_in(&plan.config, f64::from(hours) * 3600.0);
    let (lasts, secs_a_step) = (duration(secs), pace.secs_a_step);
    Ok(Some(Expected {
        line: format!(
            "{size}time   about {lasts} for {left} steps at {secs_a_step:.3} s a step; --time {hours}h would do {steps}"
        ),
        secs,
        secs_a_step,
        sooner: sooner(plan, dataset, secs),
    }))
}

/// The way that is over in minutes, where a few pictures are trained on from nothing for many hours.
fn sooner(plan: &TrainPlan, dataset: &Dataset, secs: f64) -> Option<String> {
    let styles = 0..dataset.styles().len();
    let pictures = styles.map(|style| dataset.items(style, Split::Train).len());
    let is_new = plan.from.is_none() && !matches!(plan.target, Target::Existing(_));
    let source = &plan.config.data.source;
    let is_meant = is_new && source != "emoji" && secs > LONG_SECS;
    (is_meant && pictures.sum::<usize>() < FEW_PICTURES).then(|| {
        format!(
            "note   so few pictures ask for no training from nothing; this starts from the weights in the program:\n\
             next   demotic train --from built-in --data {source} --time 20m"
        )
    })
}

/// What follows from pictures that are others than before, whose contents had that checksum.
pub(super) fn change_of_data(step: u64, contents: &str) -> String {
    format!(
        "data   changed at step {step} (contents {contents} before): what follows depends on both, and figures on \
         pictures that were trained on before are too good"
    )
}

/// Starts from the weights; what is reported of them.
pub(super) fn origin(trainer: &mut Trainer<'_>, from: &Checkpoint) -> Result<Vec<Fact>> {
    let origin = trainer.start_from(from)?;
    let mut facts = vec![Fact::new(
        "from",
        format!("step {} of {}", from.info.step, from.path.display()),
    )];
    for (style, mut shares) in origin.styles {
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        let parts = shares.iter().take(3).map(|(name, share)| match share {
            1.0 => name.clone(),
            share => format!("{name} {:.0} %", 100.0 * share),
        });
        let parts: Vec<String> = parts.collect();
        facts.push(Fact::new(
            "from",
            format!("{style} starts as {}", parts.join(", ")),
        ));
    }
    if origin.is_view_fresh {
        let text = "the discriminator's view of the whole picture fits one side length and starts from nothing at this one";
        facts.push(Fact::new("from", text));
    }
    Ok(facts)
}

/// How the best checkpoint is chosen.
pub(super) fn best(validator: Option<&Validator<'_>>) -> Fact {
    let text = match validator {
        None => "none: there are no validation pictures to choose a checkpoint by".into(),
        Some(validator) => format!("by {} of {}", validator.metric().name(), validator.what()),
    };
    Fact::new("best", text)
}

/// How much the screen shows.
pub(super) fn voice(args: &TrainArgs) -> Voice {
    match (args.quiet, args.json, args.explain) {
        (true, ..) => Voice::Quiet,
        (_, true, _) => Voice::Json,
        (.., true) => Voice::Explained,
        _ => Voice::Short,
    }
}

/// Shows what the run is: in a few lines, or all of it.
pub(super) fn greet(recorder: &Recorder<'_>, trainer: &Trainer<'_>, time: Option<&Expected>) {
    let (journal, path) = (&recorder.journal, recorder.run.path());
    let line = time.map(|time| time.line.as_str());
    if journal.voice == Voice::Explained {
        journal.show(&format!("run    {}", path.display()));
        journal.show(&recorder.header.lines().join("\n"));
        journal.show(&legend());
        if let Some(line) = line {
            journal.show(line);
        }
    } else {
        let lines = greeting(path, trainer, &recorder.header, line, journal.terminal());
        journal.show(&lines.join("\n"));
    }
    if let Some(sooner) = time.and_then(|time| time.sooner.as_ref()) {
        journal.show(sooner);
    }
}

/// Begins the log of a new run, or says in that of a resumed one what is not as it was `before`.
pub(super) fn begin(
    recorder: &mut Recorder<'_>,
    is_resumed: bool,
    before: Option<&Header>,
    [step, steps]: [u64; 2],
) -> Result<()> {
    let lines = recorder.header.lines().join("\n");
    if !is_resumed {
        recorder.journal.note(&lines)?;
        return recorder.journal.note(&legend());
    }
    recorder
        .journal
        .show(&format!("resume step {step} of {steps}"));
    if recorder.journal.log_bytes()? == 0 {
        recorder.journal.note(&lines)?;
        recorder.journal.note(&legend())?;
    } else if let Some(before) = before {
        for change in recorder.header.changes(before) {
            recorder
                .journal
                .note(&format!("resume at step {step} {change}"))?;
        }
        recorder.header = recorder.header.clone().continuing(before);
    } else {
        // A run of an earlier build, or whose header is damaged.
        recorder
            .journal
            .note(&format!("resume at step {step} as:\n{lines}"))?;
    }
    recorder.mark_log(step)
}
