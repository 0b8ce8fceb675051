//! All runs of an ablation on one page: what each is, how it came out, tables and curves. Written anew after
//! each training.

use std::fs;
use std::path::Path;

use anyhow::Result;
use demotic_core::check::ablation::{Comparison, Plan, Variant};
use demotic_core::files::write_beside;
use demotic_core::report::{Run, Runs};

/// Writes the page beside the folders of the trainings.
pub(super) fn write(page: &Path, name: &str, plan: &Plan, comparison: &Comparison) -> Result<()> {
    let out = page.parent().unwrap_or_else(|| Path::new(""));
    let (done, all) = (comparison.trainings(), plan.trainings());
    let is_done = done == all;
    let variants = comparison.order();
    let variants = variants.into_iter().map(|number| &plan.variants[number]);
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
            .map(|variant| run(out, plan, comparison, variant))
            .collect(),
        tables: comparison.tables(),
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
        told: comparison.validated(variant).unwrap_or_default(),
        pages: pages.collect(),
        stats: stats
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect(),
    }
}
