//! All runs of an ablation on one page: what each is, how it came out, tables and curves. Written anew after
//! each training.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use demotic_core::check::ablation::{Comparison, Plan, Variant};
use demotic_core::files::write_beside;
use demotic_core::report::{Film, Run, Runs};
use demotic_core::train::run::sample_step;

/// Most variants whose pictures are on the page.
const SHOWN: usize = 24;

/// Writes the page beside the folders of the trainings.
pub(super) fn write(page: &Path, name: &str, plan: &Plan, comparison: &Comparison) -> Result<()> {
    let out = page.parent().unwrap_or_else(|| Path::new(""));
    let (done, all) = (comparison.trainings(), plan.trainings());
    let is_done = done == all;
    let order = comparison.order();
    let variants: Vec<&Variant> = order.iter().map(|number| &plan.variants[*number]).collect();
    let mut tables = comparison.tables();
    if plan.is_sweep() {
        // A sweep is for the pictures; those figures are in the last table.
        tables.rotate_right(1);
    }
    let runs = Runs {
        name: name.to_owned(),
        status: if is_done {
            let count = plan.variants.len();
            format!("{all} trainings of {count} variants, all done")
        } else {
            format!("{done} of {all} trainings are done; this page is written again after each")
        },
        notes: notes(comparison),
        runs: variants
            .iter()
            .map(|variant| run(out, plan, comparison, variant))
            .collect(),
        film: film(out, plan, &variants),
        tables,
    };
    Ok(write_beside(page, |file| runs.write(file))?)
}

fn notes(comparison: &Comparison) -> Vec<String> {
    let order = comparison.metric().map(|metric| {
        format!(
            "Best first, by {} on validation pictures; figures on test pictures are in the tables.",
            metric.name()
        )
    });
    order.into_iter().chain(comparison.notes()).collect()
}

/// What each variant of the first seed makes of the same pictures; the first of the list is shown first.
fn film(out: &Path, plan: &Plan, variants: &[&Variant]) -> Film {
    let newest = |variant: &&Variant| {
        let entries = fs::read_dir(Plan::folder(out, variant, plan.seeds[0]).join("samples"));
        let found = entries.ok()?.filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?;
            let step = sample_step(name).filter(|_| name.starts_with("step-"))?;
            Some((step, path))
        });
        let (_, path) = found.max()?;
        Some((variant.name.clone(), path))
    };
    // A page without scripts shows the last one.
    let mut frames: Vec<(String, PathBuf)> =
        variants.iter().filter_map(newest).take(SHOWN).collect();
    frames.reverse();
    Film {
        title: "The same held-out pictures by each".into(),
        note: format!(
            "The slider goes through the variants, at its right end the first of the list above; seed {}. The input, itself drawn again, \
             and its translations.",
            plan.seeds[0]
        ),
        frames,
    }
}

/// A variant: pages of all its seeds, curves of the first.
fn run(out: &Path, plan: &Plan, comparison: &Comparison, variant: &Variant) -> Run {
    let folder = |seed: u64| Plan::folder(out, variant, seed);
    let seeds = plan.seeds.iter().enumerate();
    let pages = seeds.filter(|(_, seed)| folder(**seed).join("report.html").is_file());
    let pages = pages.map(|(number, &seed)| {
        let label = if number == 0 {
            variant.name.clone()
        } else {
            format!("seed {seed}")
        };
        (label, format!("{}-{seed}/report.html", variant.name))
    });
    let stats = folder(plan.seeds[0]).join("stats.jsonl");
    let stats = fs::read_to_string(stats).unwrap_or_default();
    Run {
        name: variant.name.clone(),
        about: variant.about.clone(),
        measured: comparison.validated(variant).unwrap_or_default(),
        pages: pages.collect(),
        stats: stats
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect(),
    }
}
