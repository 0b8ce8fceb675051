//! `demotic compare`: the same training on several devices, side by side.

use anyhow::{Result, ensure};
use demotic_core::check::compare::{Comparison, Entrant, Faster, SET_UP_STEPS, compare};
use demotic_core::data::{CachePolicy, Dataset};
use demotic_core::settings::Config;
use demotic_core::train::Phases;
use serde::Serialize;

use crate::cli::CompareArgs;
use crate::options::{dataset_options, settings};
use crate::output::{bytes, note, say};

pub(crate) fn run(args: &CompareArgs) -> Result<()> {
    let config = settings(args.config.as_deref(), &args.set)?;
    let entrants = Entrant::open_all(&args.devices)?;
    let dataset = Dataset::load(
        &config.data.source,
        &dataset_options(&config, CachePolicy::Platform)?,
    )?;
    let compared = compare(entrants, &config, &dataset, args.steps, &mut note);
    note("");
    let compared = compared?;
    if args.json {
        let all = AsJson {
            config: &config,
            compared: &compared,
        };
        say(&format!("{}\n", serde_json::to_string_pretty(&all)?))?;
    } else {
        say(&table(&compared, &config))?;
        if args.profile {
            say(&profile(&compared))?;
        }
    }
    let failed: Vec<&str> = compared
        .devices
        .iter()
        .filter(|one| one.failure.is_some())
        .map(|one| one.name.as_str())
        .collect();
    ensure!(
        failed.is_empty(),
        "{} of {} devices failed: {}",
        failed.len(),
        compared.devices.len(),
        failed.join(", ")
    );
    Ok(())
}

/// What `--json` prints.
#[derive(Serialize)]
struct AsJson<'a> {
    config: &'a Config,
    #[serde(flatten)]
    compared: &'a Comparison,
}

fn table(compared: &Comparison, config: &Config) -> String {
    let names = compared.devices.iter().map(|one| one.name.len());
    let width = names.max().unwrap_or(0).max(9);
    let mut lines = vec![format!(
        "same weights, noise and batches: {} steps of {} pictures at {} px, seed {}; the first {SET_UP_STEPS} untimed, then {} round{}",
        compared.steps,
        config.train.batch,
        config.data.size_px,
        config.seed,
        compared.round_steps.len(),
        if compared.round_steps.len() == 1 {
            ""
        } else {
            "s"
        },
    )];
    lines.push(format!(
        "{:<width$}  {:>9} {:>19} {:>9} {:>10} {:>10} {:>10}  device",
        "", "s a step", "half of them in", "first s", "pictures/s", "host mem", "device mem"
    ));
    for one in &compared.devices {
        let Some(m) = &one.measured else { continue };
        lines.push(format!(
            "{:<width$}  {:>9.4} {:>8.4} to {:>7.4} {:>9.2} {:>10.1} {:>10} {:>10}  {}, shaders {}",
            one.name,
            m.spread.median_secs,
            m.spread.low_secs,
            m.spread.high_secs,
            m.first_secs,
            m.pictures_per_sec,
            bytes(m.host_bytes),
            m.device_bytes.map_or_else(|| "-".to_owned(), bytes),
            one.device,
            one.shader_language,
        ));
    }
    lines.push(format!(
        "{:<width$}  {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "phases, s",
        "inputs",
        "G draws",
        "D loss",
        "D grad",
        "D step",
        "G loss",
        "G grad",
        "G step"
    ));
    for one in &compared.devices {
        let Some(p) = one.measured.as_ref().and_then(|m| m.phases) else {
            continue;
        };
        let columns = phase_columns(&p).map(|secs| format!("{secs:>9.4}"));
        lines.push(format!("{:<width$}  {}", one.name, columns.join(" ")));
    }
    lines.push(format!(
        "memory  {} of the process at its highest, all devices together",
        bytes(compared.host_peak_bytes)
    ));
    let mut measured = compared.devices.iter().filter(|one| one.measured.is_some());
    let first = measured.next().map_or("", |one| &one.name);
    for one in measured {
        if let Some(apart) = one.measured.as_ref().and_then(|m| m.apart) {
            lines.push(format!(
                "apart   {} from {first}: losses to {:.1e} of their size, weights to {:.1e}, half of them within {:.1e}",
                one.name,
                apart.losses_relative_max,
                apart.weights_max,
                apart.weights_median
            ));
        }
    }
    lines.extend(compared.faster.iter().map(in_words));
    for one in &compared.devices {
        if let Some(failure) = &one.failure {
            lines.push(format!("failed  {}: {failure}", one.name));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// Kernel launches of a step on each device, by phase and by kernel.
fn profile(compared: &Comparison) -> String {
    let mut lines = Vec::new();
    for one in &compared.devices {
        let Some(measured) = &one.measured else {
            continue;
        };
        let Some(launches) = &measured.launches else {
            lines.push(format!("launches  {}: none seen", one.name));
            continue;
        };
        lines.push(format!(
            "launches  {}: {} a step, of {} kernels; first step {:.2} s",
            one.name,
            launches.total,
            launches.distinct(),
            measured.first_secs
        ));
        for (what, counts) in [
            ("phase", &launches.by_phase),
            ("kernel", &launches.by_kernel),
        ] {
            let rows = counts.iter();
            lines.extend(rows.map(|(name, count)| format!("  {what:<7} {count:>6}  {name}")));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn in_words(f: &Faster) -> String {
    let (Some([low, high]), Some(spread)) = (f.interval, f.spread) else {
        return format!(
            "faster  {} looks {:.2} times faster than {}; {} rounds are too few to tell, take more --steps",
            f.fast, f.times, f.slow, f.rounds
        );
    };
    let ratio = format!(
        "{:.2} +- {spread:.2} times faster than {} (median of {} rounds, 99 % interval {low:.2} to {high:.2})",
        f.times, f.slow, f.rounds
    );
    if f.is_told {
        format!("faster  {} is {ratio}", f.fast)
    } else {
        format!("faster  no difference seen: {} {ratio}", f.fast)
    }
}

fn phase_columns(p: &Phases) -> [f64; 8] {
    [
        p.inputs_secs,
        p.generator_forward_secs,
        p.discriminator_forward_secs,
        p.discriminator_backward_secs,
        p.discriminator_step_secs,
        p.judge_forward_secs,
        p.generator_backward_secs,
        p.generator_step_secs,
    ]
}
