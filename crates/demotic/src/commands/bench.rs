//! `demotic bench`: the CRF layer's speed tables on a device, each row checked before it is timed.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use demotic_core::caught;
use demotic_core::check::compare::Spread;
use demotic_core::device::{self, Chosen};
use demotic_core::number::Real;
use demotic_core::table::{Column, Table};
use demotic_crf::workload::{Task, Way, Workload, copy_bytes_per_sec, tasks, ways};
use serde::Serialize;

use crate::cli::BenchArgs;
use crate::failure::input;
use crate::output::{note, say, show};
use crate::terminal::Terminal;

/// Calls of a row at least, however long they take.
const CALLS_MIN: usize = 5;

/// And at most.
const CALLS_MAX: usize = 10_000;

pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    let chosen = device::open(&args.device.device)?;
    let name = match args.device.device.as_str() {
        "auto" => &chosen.name,
        asked => asked,
    };
    let is_wanted =
        |label: &str| args.only.is_empty() || args.only.iter().any(|word| label.contains(word));
    let rows: Vec<(String, Way, Task)> = ways(&chosen.device)
        .into_iter()
        .flat_map(|way| tasks().map(move |task| (way, task)))
        .filter(|(way, task)| task.is_timed(*way, &chosen.device))
        .map(|(way, task)| (label(way, task, name), way, task))
        .collect();
    let first = rows[0].0.clone();
    let rows: Vec<_> = rows.into_iter().filter(|row| is_wanted(&row.0)).collect();
    if rows.is_empty() {
        return Err(input(format!(
            "--only: no label holds `{}`; labels are such as {first}, and `demotic bench` without --only prints all",
            args.only.join("` or `")
        )));
    }
    let copy_bytes_per_sec = caught(|| copy_bytes_per_sec(&chosen.device)).ok();
    let mut timed = Vec::new();
    for (label, way, task) in rows {
        note(&label);
        let figures =
            caught(|| figures(way, task, &chosen, args.secs, copy_bytes_per_sec)).flatten();
        timed.push(Timed {
            label,
            op: task.op(),
            implementation: way.name,
            case: task.name(),
            bytes: task.bytes(),
            multiply_adds: task.fmas(),
            failure: figures.as_ref().err().cloned(),
            figures: figures.ok(),
        });
    }
    note("");
    let all = Bench {
        device: name,
        description: &chosen.description,
        shader_language: device::shader_language(&chosen.device),
        copy_bytes_per_sec,
        cases: timed,
    };
    if args.json {
        say(&format!("{}\n", serde_json::to_string_pretty(&all)?))?;
    } else {
        show(&table(&all))?;
    }
    let failed: Vec<&str> = all
        .cases
        .iter()
        .filter(|case| case.failure.is_some())
        .map(|case| case.label.as_str())
        .collect();
    ensure!(
        failed.is_empty(),
        "{} of {} rows failed: {}",
        failed.len(),
        all.cases.len(),
        failed.join(", ")
    );
    Ok(())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Bench<'a> {
    /// As it was asked for.
    device: &'a str,
    /// In words.
    description: &'a str,
    shader_language: String,
    /// None where the device could not be timed.
    copy_bytes_per_sec: Option<f64>,
    cases: Vec<Timed>,
}

/// A row.
#[derive(Serialize)]
struct Timed {
    label: String,
    op: &'static str,
    implementation: &'static str,
    case: String,
    /// Compulsory traffic.
    bytes: usize,
    multiply_adds: usize,
    /// Why there are no figures.
    failure: Option<String>,
    #[serde(flatten)]
    figures: Option<Figures>,
}

#[derive(Serialize)]
struct Figures {
    /// Spread of whole calls.
    #[serde(flatten)]
    spread: Spread,
    calls: usize,
    /// Compulsory traffic over time, as a share of the copy bandwidth.
    copy_share: Option<f64>,
    multiply_adds_per_sec: f64,
}

/// `op/impl/device/case`, as the criterion benches name their rows.
fn label(way: Way, task: Task, device: &str) -> String {
    format!("{}/{}/{device}/{}", task.op(), way.name, task.name())
}

/// Checks a row, then times it.
fn figures(
    way: Way,
    task: Task,
    chosen: &Chosen,
    budget_secs: f64,
    copy_bytes_per_sec: Option<f64>,
) -> Result<Figures, String> {
    let work = Workload::new(task, way, &chosen.device);
    work.verify(task)?;
    // Kernels are compiled and memory is taken by now; once more for what is decided at the second call.
    work.run();
    let mut secs = Vec::new();
    let ends = Instant::now() + Duration::from_secs_f64(budget_secs);
    while secs.len() < CALLS_MIN || (secs.len() < CALLS_MAX && Instant::now() < ends) {
        let started = Instant::now();
        work.run();
        secs.push(started.elapsed().as_secs_f64());
    }
    let spread = Spread::of(&secs);
    let bytes_per_sec = task.bytes().to_f64() / spread.median_secs;
    Ok(Figures {
        calls: secs.len(),
        copy_share: copy_bytes_per_sec.map(|most| bytes_per_sec / most),
        multiply_adds_per_sec: task.fmas().to_f64() / spread.median_secs,
        spread,
    })
}

fn table(all: &Bench) -> String {
    let copies = all.copy_bytes_per_sec.map_or_else(
        || "copies not timed".to_owned(),
        |bytes| format!("copies {:.1} GB/s", bytes / 1e9),
    );
    let mut lines = vec![format!(
        "loss and gradient of the CRF on {}, shaders {}; {copies}; every row agrees with the reference",
        all.description, all.shader_language
    )];
    let mut rows = Table::new([
        Column::text("row"),
        Column::figure("ms"),
        Column::figure("half of them in").rank(3),
        Column::figure("calls").rank(4),
        Column::figure("of copies").rank(1),
        Column::figure("GFMA/s").rank(2),
    ]);
    for case in &all.cases {
        let Some(f) = &case.figures else { continue };
        let share = f.copy_share.map(|share| format!("{:.1} %", share * 100.0));
        let cells = [
            case.label.clone(),
            format!("{:.4}", f.spread.median_secs * 1e3),
            format!(
                "{:.4} to {:.4}",
                f.spread.low_secs * 1e3,
                f.spread.high_secs * 1e3
            ),
            f.calls.to_string(),
            share.unwrap_or_else(|| "-".to_owned()),
            format!("{:.3}", f.multiply_adds_per_sec / 1e9),
        ];
        rows.push(cells.map(Into::into));
    }
    let shown = rows.fitted(Terminal::of_table());
    let note = shown.note();
    lines.extend(shown.lines);
    lines.extend(note);
    for case in &all.cases {
        if let Some(failure) = &case.failure {
            lines.push(format!("failed  {}: {failure}", case.label));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}
