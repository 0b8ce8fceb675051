//! `demotic compare`: the same training on several devices, side by side.

use anyhow::{Result, ensure};
use demotic_core::check::compare::{Comparison, Entrant, Faster, SET_UP_STEPS, compare};
use demotic_core::data::{CachePolicy, Dataset};
use demotic_core::settings::Config;
use demotic_core::table::{Cell, Column, Table};
use demotic_core::train::Phases;
use serde::Serialize;

use super::compare_profile::profile;
use crate::cli::CompareArgs;
use crate::options::{dataset_options, settings, warn_of_software};
use crate::output::{bytes, note, say, show};
use crate::terminal::Terminal;

pub(crate) fn run(args: &CompareArgs) -> Result<()> {
    let config = settings(&args.settings)?;
    let entrants = Entrant::open_all(&args.devices, args.profile)?;
    warn_of_software(entrants.iter().flat_map(|one| &one.opened));
    let dataset = Dataset::load(
        &config.data.source,
        &dataset_options(&config, CachePolicy::Platform)?,
    )?;
    let compared = compare(
        entrants,
        &config,
        &dataset,
        args.steps,
        args.profile,
        &mut note,
    );
    note("");
    let compared = compared?;
    if args.json {
        let all = AsJson {
            config: &config,
            compared: &compared,
        };
        say(&format!("{}\n", serde_json::to_string_pretty(&all)?))?;
    } else {
        show(&table(&compared, &config))?;
        if args.profile {
            show(&profile(&compared))?;
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
    let columns = Terminal::of_table();
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
    let mut shown = paces(compared).fitted(columns);
    shown.add(phases(compared).fitted(columns));
    let note = shown.note();
    lines.extend(shown.lines);
    lines.extend(note);
    for one in compared.devices.iter().filter(|one| one.measured.is_some()) {
        lines.push(format!(
            "device  {}: {}, shaders {}",
            one.name, one.device, one.shader_language
        ));
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

/// How fast each device is, and what it takes: a row a device.
fn paces(compared: &Comparison) -> Table {
    let mut table = Table::new([
        Column::text("pace").at_least(9),
        Column::figure("s a step"),
        Column::figure("half of them in").rank(1),
        Column::figure("first s").rank(2),
        Column::figure("pictures/s"),
        Column::figure("host mem").rank(3),
        Column::figure("device mem").rank(3),
    ]);
    for one in &compared.devices {
        let Some(m) = &one.measured else { continue };
        let cells = [
            one.name.clone(),
            format!("{:.4}", m.spread.median_secs),
            format!("{:.4} to {:.4}", m.spread.low_secs, m.spread.high_secs),
            format!("{:.2}", m.first_secs),
            format!("{:.1}", m.pictures_per_sec),
            bytes(m.host_bytes),
            m.device_bytes.map_or_else(|| "-".to_owned(), bytes),
        ];
        table.push(cells.map(Into::into));
    }
    table
}

/// Where the time of a step goes: a row a device.
fn phases(compared: &Comparison) -> Table {
    let heads = [
        "inputs", "G draws", "D loss", "D grad", "D step", "G loss", "G grad", "G step",
    ];
    let first = Column::text("phases, s").at_least(9);
    let figures = heads.map(Column::figure);
    let mut table = Table::new(std::iter::once(first).chain(figures));
    for one in &compared.devices {
        if let Some(p) = one.measured.as_ref().and_then(|m| m.phases) {
            let figures = phase_columns(&p).map(|secs| format!("{secs:.4}").into());
            table.push(std::iter::once(Cell::from(one.name.clone())).chain(figures));
        }
    }
    table
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
        p.generator_losses_secs,
        p.generator_backward_secs,
        p.generator_step_secs,
    ]
}
