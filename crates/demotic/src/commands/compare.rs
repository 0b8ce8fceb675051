//! `demotic compare`: the same training on several devices, side by side.

use anyhow::Result;
use demotic_core::compare::{Measured, hold_to_the_first, measure, ranking};
use demotic_core::config::Config;
use demotic_core::data::{CachePolicy, Dataset};
use demotic_core::device;
use demotic_core::train::Phases;
use serde_json::json;

use crate::cli::CompareArgs;
use crate::options::dataset_options;
use crate::output::{bytes, note, say};

/// The quickstart without a file: its styles and sizes.
const QUICKSTART: &str = "\
[data]
size_px = 32
styles = [\"openmoji-line\", \"openmoji\"]
[train]
batch = 8
";

pub(crate) fn run(args: &CompareArgs) -> Result<()> {
    let config = match &args.config {
        Some(path) => Config::load(path, &args.set)?,
        None => Config::resolve(Some(QUICKSTART), &args.set)?,
    };
    let chosen = args
        .devices
        .iter()
        .map(|name| Ok((name, device::open(name)?)))
        .collect::<Result<Vec<_>>>()?;
    let dataset = Dataset::load(
        &config.data.source,
        &dataset_options(&config, CachePolicy::Platform)?,
    )?;
    let mut all = Vec::new();
    for (name, chosen) in &chosen {
        let measured = measure(name, chosen, &config, &dataset, args.steps, &mut |step| {
            note(&format!("{name}: step {}", step + 1));
        });
        note("");
        all.push(measured?);
    }
    hold_to_the_first(&mut all);
    if args.json {
        let all = json!({
            "config": config, "steps": args.steps, "devices": all, "faster": ranking(&all),
        });
        return say(&format!("{all:#}\n"));
    }
    say(&table(&all, &config, args.steps))
}

fn table(all: &[Measured], config: &Config, steps: u64) -> String {
    let width = all.iter().map(|m| m.name.len()).max().unwrap_or(0).max(8);
    let mut lines = vec![format!(
        "same weights, noise and batches: {steps} steps of {} pictures at {} px, seed {}",
        config.train.batch, config.data.size_px, config.seed
    )];
    lines.push(format!(
        "{:<width$}  {:>9} {:>19} {:>9} {:>10} {:>10} {:>10}  device",
        "", "s a step", "half of them in", "first s", "pictures/s", "host mem", "device mem"
    ));
    for m in all {
        lines.push(format!(
            "{:<width$}  {:>9.4} {:>8.4} to {:>7.4} {:>9.2} {:>10.1} {:>10} {:>10}  {}, shaders {}",
            m.name,
            m.spread.median_secs,
            m.spread.low_secs,
            m.spread.high_secs,
            m.first_secs,
            m.pictures_per_sec,
            bytes(m.host_peak_bytes),
            m.device_bytes.map_or_else(|| "-".to_owned(), bytes),
            m.device,
            m.shader_language,
        ));
    }
    lines.push(format!(
        "{:<width$}  {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "phases, s", "inputs", "G draws", "D loss", "D grad", "G loss", "G grad", "update"
    ));
    for m in all {
        let Some(p) = m.phases else { continue };
        let columns = phase_columns(&p).map(|secs| format!("{secs:>9.4}"));
        lines.push(format!("{:<width$}  {}", m.name, columns.join(" ")));
    }
    for m in all {
        if let Some(apart) = m.apart {
            lines.push(format!(
                "apart   {} from {}: losses to {:.1e} of their size, weights to {:.1e}, half of them within {:.1e}",
                m.name,
                all[0].name,
                apart.losses_relative_max,
                apart.weights_max,
                apart.weights_median
            ));
        }
    }
    for f in ranking(all) {
        lines.push(format!(
            "faster  {} is {:.2} +- {:.2} times faster than {}",
            f.fast, f.times, f.spread, f.slow
        ));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn phase_columns(p: &Phases) -> [f64; 7] {
    [
        p.inputs_secs,
        p.generator_forward_secs,
        p.discriminator_forward_secs,
        p.discriminator_backward_secs,
        p.judge_forward_secs,
        p.generator_backward_secs,
        p.optimiser_secs,
    ]
}
