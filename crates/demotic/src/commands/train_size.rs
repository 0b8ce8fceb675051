//! What a run takes of memory, disk and time, before a step of its own size is taken; dry runs.

use std::time::Duration;

use anyhow::Result;
use demotic_core::Error;
use demotic_core::check::estimate::{Estimate, Networks, estimate, require_memory};
use demotic_core::data::Dataset;
use demotic_core::device::{self, Chosen};
use demotic_core::metric::Validator;
use demotic_core::train::Header;
use serde_json::json;

use super::train_start::Expected;
use crate::options::{Target, TrainPlan};
use crate::output::duration;
use crate::progress::{Journal, Voice};
use crate::samples::Samples;

/// As many of the devices as are this machine's processor.
fn on_processor(devices: &[&Chosen]) -> usize {
    devices
        .iter()
        .filter(|chosen| chosen.name == "flex")
        .count()
}

/// Settles the networks, where they follow from a time: the largest that it is enough for and that memory
/// holds; which ones, in a line.
pub(super) fn sized(
    plan: &mut TrainPlan,
    time: Option<Duration>,
    dataset: &Dataset,
    devices: &[&Chosen],
) -> Result<String> {
    let Some(time) = time.filter(|_| !plan.sizes.is_empty()) else {
        return Ok(String::new());
    };
    let (mut held, mut lacking) = (Vec::new(), None);
    for (quality, config) in &plan.sizes {
        match require_memory(config, dataset, devices.len(), on_processor(devices)) {
            Ok(()) => held.push((*quality, config.clone())),
            Err(error @ Error::Input(_)) => lacking = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    if let (true, Some(lacking)) = (held.is_empty(), lacking) {
        return Err(lacking.into());
    }
    let (chosen, others) = devices.split_first().expect("a list has a first device");
    let others: Vec<_> = others.iter().map(|other| other.device.clone()).collect();
    let secs = time.as_secs_f64();
    let sized = Networks::for_secs(&held, dataset, &chosen.device, &others, secs)?;
    plan.config = sized.config.clone();
    Ok(size_fact(&sized, time) + "\n")
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

/// What the run takes, which a dry run shows at once. Refuses what memory does not hold.
pub(super) fn afforded(
    plan: &TrainPlan,
    dataset: &Dataset,
    devices: &[&Chosen],
    (samples, validator): (&Samples<'_>, Option<&Validator<'_>>),
    journal: &Journal,
) -> Result<Option<Estimate>> {
    let own = on_processor(devices);
    if !matches!(plan.target, Target::Nowhere) {
        require_memory(&plan.config, dataset, devices.len(), own)?;
        return Ok(None);
    }
    let flex = device::open("flex")?;
    let found = estimate(&plan.config, dataset, devices.len(), |trainer| {
        drop((samples.draw(trainer, &flex), samples.labels(trainer)));
        if let Some(validator) = validator {
            validator.figures(trainer.average(), &flex.device);
        }
    })?;
    journal.show(&found.to_string());
    found.require(own)?;
    Ok(Some(found))
}

/// Shows what a run would be, and how long it would last; what it takes was shown.
pub(super) fn dry_run(
    plan: &TrainPlan,
    header: &Header,
    dataset: &Dataset,
    devices: &[&Chosen],
    (taken, time): (Option<&Estimate>, Option<&Expected>),
    journal: &Journal,
) -> Result<()> {
    let names: Vec<&str> = devices.iter().map(|chosen| chosen.name.as_str()).collect();
    journal.emit(&json!({
        "event": "dry_run",
        "devices": names,
        "steps": plan.config.train.steps,
        "secs": time.map(|time| time.secs),
        "secs_a_step": time.map(|time| time.secs_a_step),
        "memory": taken,
        "styles": dataset.summary().styles,
        "settings": plan.config.entries(),
    }))?;
    journal.show(&header.lines().join("\n"));
    if journal.voice == Voice::Explained {
        let settings = plan.config.to_toml(true);
        let lines = settings.lines().filter(|line| !line.is_empty());
        let settings: String = lines.flat_map(|line| ["       ", line, "\n"]).collect();
        journal.show(&format!("config\n{settings}"));
    }
    if let Some(time) = time {
        journal.show(&time.line);
    }
    journal.show("dry run: nothing was written; --explain shows every setting");
    if let Some(sooner) = time.and_then(|time| time.sooner.as_ref()) {
        journal.show(sooner);
    }
    Ok(())
}
