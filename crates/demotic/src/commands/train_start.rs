//! What is settled and reported of a run before its first step: how long it will take, where it starts, what
//! it is.

use std::time::Duration;

use anyhow::Result;
use demotic_core::check::estimate::{Networks, Pace, estimate};
use demotic_core::check::fastest::{Fastest, fastest, few_cores};
use demotic_core::data::Dataset;
use demotic_core::device::{self, Chosen};
use demotic_core::metric::Validator;
use demotic_core::train::{Checkpoint, Fact, Header, Trainer};

use crate::cli::TrainArgs;
use crate::examination::examined_once;
use crate::greeting::greeting;
use crate::options::{Target, TrainPlan};
use crate::output::duration;
use crate::progress::{Journal, Voice, legend};
use crate::recorder::Recorder;
use crate::samples::Samples;

/// A run that is over sooner is not timed before it starts.
const WORTH_TIMING_SECS: f64 = 60.0;

/// Opens the devices of a run: those that are named; for `auto` the one whose steps are the fastest, and why.
/// A graphics processor that is new to this build is examined first, where something is to be trained.
pub(super) fn opened(plan: &TrainPlan, dataset: &Dataset) -> Result<(Vec<Chosen>, Vec<Fact>)> {
    let (devices, notes) = if plan.device == "auto" {
        let Fastest { chosen, notes } = fastest(&plan.config, dataset)?;
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

/// How long the run will take on its devices, in a line, where that is worth one or is asked for; where a
/// time is given, its steps are set to it. `done`: steps behind it.
pub(super) fn paced(
    plan: &mut TrainPlan,
    time: Option<Duration>,
    done: u64,
    dataset: &Dataset,
    devices: &[&Chosen],
    (samples, validator): (&Samples<'_>, Option<&Validator<'_>>),
) -> Result<Option<String>> {
    let (chosen, others) = devices.split_first().expect("a list has a first device");
    let others: Vec<_> = others.iter().map(|other| other.device.clone()).collect();
    let between = |trainer: &Trainer<'_>| {
        drop((samples.draw(trainer, chosen), samples.labels(trainer)));
        if let Some(validator) = validator {
            validator.figures(trainer.average(), &chosen.device);
        }
    };
    let size = match time {
        Some(time) if !plan.sizes.is_empty() => {
            let secs = time.as_secs_f64();
            let sized = Networks::for_secs(&plan.sizes, dataset, &chosen.device, &others, secs)?;
            plan.config = sized.config.clone();
            size_fact(&sized, time) + "\n"
        }
        _ => String::new(),
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
    Ok(Some(format!(
        "{size}time   about {} for {left} steps at {:.3} s a step; --time {hours}h would do {steps}",
        duration(secs),
        pace.secs_a_step,
    )))
}

/// Which networks a time was found to be enough for, and why no larger ones.
fn size_fact(sized: &Networks, time: Duration) -> String {
    let time = duration(time.as_secs_f64());
    let larger = sized.too_large.iter().map(|(quality, pictures)| {
        let (name, least) = (quality.name(), quality.least_pictures());
        format!("; {name} would see {pictures}, and takes {least}")
    });
    let larger: String = larger.collect();
    format!(
        "size   {} networks, which see some {} pictures in {time}{larger}",
        sized.quality.name(),
        sized.pictures
    )
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

/// Shows what a run would be and take.
pub(super) fn dry_run(
    plan: &TrainPlan,
    header: &Header,
    dataset: &Dataset,
    devices: usize,
    (samples, validator): (&Samples<'_>, Option<&Validator<'_>>),
    time: Option<&str>,
) -> Result<()> {
    let mut journal = Journal::to_screen(Voice::Explained);
    journal.say(&header.lines().join("\n"))?;
    let settings = plan.config.to_toml(true);
    let lines = settings.lines().filter(|line| !line.is_empty());
    let settings: String = lines.flat_map(|line| ["       ", line, "\n"]).collect();
    journal.say(&format!("config\n{settings}"))?;
    let flex = device::open("flex")?;
    let found = estimate(&plan.config, dataset, devices, |trainer| {
        drop((samples.draw(trainer, &flex), samples.labels(trainer)));
        if let Some(validator) = validator {
            validator.figures(trainer.average(), &flex.device);
        }
    })?;
    journal.say(&found.to_string())?;
    time.map_or(Ok(()), |line| journal.say(line))?;
    journal.say("dry run: nothing was written")
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
pub(super) fn greet(recorder: &Recorder<'_>, trainer: &Trainer<'_>, time: Option<&str>) {
    let (journal, path) = (&recorder.journal, recorder.run.path());
    if journal.voice == Voice::Explained {
        journal.show(&format!("run    {}", path.display()));
        journal.show(&recorder.header.lines().join("\n"));
        journal.show(&legend());
        if let Some(line) = time {
            journal.show(line);
        }
        return;
    }
    let lines = greeting(path, trainer, &recorder.header, time, journal.terminal());
    journal.show(&lines.join("\n"));
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
