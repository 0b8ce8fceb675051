//! `demotic bench`: speed tables of a device, the CRF layer's and those of the networks' kernels, each row
//! checked before it is timed.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use demotic_core::caught;
use demotic_core::check::compare::Spread;
use demotic_core::check::doctor::{Rates, measure};
use demotic_core::device::{Chosen, shader_language};
use demotic_core::number::Real;
use demotic_core::table::{Column, Table};
use serde::Serialize;

use super::bench_rows::Row;
use crate::cli::BenchArgs;
use crate::failure::input;
use crate::options::open_device;
use crate::output::{note, say, show};
use crate::terminal::Terminal;

/// Calls of a row at least, however long they take.
const CALLS_MIN: usize = 5;

/// And at most.
const CALLS_MAX: usize = 10_000;

pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    let chosen = open_device(&args.device.device)?;
    let name = match args.device.device.as_str() {
        "auto" => &chosen.name,
        asked => asked,
    };
    let is_wanted =
        |label: &str| args.only.is_empty() || args.only.iter().any(|word| label.contains(word));
    let rows = Row::all(&chosen);
    let first = rows[0].label(name);
    let rows: Vec<_> = rows
        .into_iter()
        .filter(|row| is_wanted(&row.label(name)))
        .collect();
    if rows.is_empty() {
        return Err(input(format!(
            "--only: no label holds `{}`; labels are such as {first}, and `demotic bench` without --only prints all",
            args.only.join("` or `")
        )));
    }
    let rates = caught(|| measure(&chosen.device)).unwrap_or_default();
    let mut timed = Vec::new();
    for row in rows {
        let label = row.label(name);
        note(&label);
        let figures = caught(|| figures(&row, &chosen, args.secs, rates)).flatten();
        let [bytes, multiply_adds] = row.size();
        let word = |place| label.split('/').nth(place).unwrap_or_default().to_owned();
        timed.push(Timed {
            op: word(0),
            implementation: word(1),
            case: word(3),
            label: label.clone(),
            bytes,
            multiply_adds,
            failure: figures.as_ref().err().cloned(),
            figures: figures.ok(),
        });
    }
    note("");
    let all = Bench {
        device: name,
        description: &chosen.description,
        shader_language: shader_language(&chosen.device),
        copy_bytes_per_sec: rates.copy_bytes_per_sec,
        fma_per_sec: rates.fma_per_sec,
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
    /// The same of multiply-adds.
    fma_per_sec: Option<f64>,
    cases: Vec<Timed>,
}

/// A row.
#[derive(Serialize)]
struct Timed {
    label: String,
    op: String,
    implementation: String,
    case: String,
    /// Compulsory traffic.
    bytes: usize,
    /// 0 where they are no measure.
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
    /// As a share of what the device does outside memory and matrix units.
    multiply_add_share: Option<f64>,
}

/// Checks a row, then times it.
fn figures(row: &Row, chosen: &Chosen, budget_secs: f64, most: Rates) -> Result<Figures, String> {
    let run = row.checked(chosen)?;
    // Kernels are compiled and memory is taken by now; once more for what is decided at the second call.
    run();
    let mut secs = Vec::new();
    let ends = Instant::now() + Duration::from_secs_f64(budget_secs);
    while secs.len() < CALLS_MIN || (secs.len() < CALLS_MAX && Instant::now() < ends) {
        let started = Instant::now();
        run();
        secs.push(started.elapsed().as_secs_f64());
    }
    let spread = Spread::of(&secs);
    let [bytes_per_sec, multiply_adds_per_sec] =
        row.size().map(|count| count.to_f64() / spread.median_secs);
    let share = |rate: f64, most: Option<f64>| most.filter(|_| rate > 0.0).map(|most| rate / most);
    Ok(Figures {
        calls: secs.len(),
        copy_share: share(bytes_per_sec, most.copy_bytes_per_sec),
        multiply_add_share: share(multiply_adds_per_sec, most.fma_per_sec),
        multiply_adds_per_sec,
        spread,
    })
}

fn table(all: &Bench) -> String {
    let rate = |rate: Option<f64>, unit| {
        let text = rate.map(|rate| format!("{:.1} {unit}", rate / 1e9));
        text.unwrap_or_else(|| format!("{unit} not timed"))
    };
    let mut lines = vec![format!(
        "the CRF's loss and gradient and the networks' kernels on {}, shaders {}; copies {}, {}; every row agrees with the reference",
        all.description,
        all.shader_language,
        rate(all.copy_bytes_per_sec, "GB/s"),
        rate(all.fma_per_sec, "GFMA/s")
    )];
    let mut rows = Table::new([
        Column::text("row"),
        Column::figure("ms"),
        Column::figure("half of them in").rank(3),
        Column::figure("calls").rank(4),
        Column::figure("of copies").rank(1),
        Column::figure("GFMA/s").rank(2),
        Column::figure("of FMAs").rank(2),
    ]);
    for case in &all.cases {
        let Some(f) = &case.figures else { continue };
        let share = |share: Option<f64>| {
            share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
        };
        let cells = [
            case.label.clone(),
            format!("{:.4}", f.spread.median_secs * 1e3),
            format!(
                "{:.4} to {:.4}",
                f.spread.low_secs * 1e3,
                f.spread.high_secs * 1e3
            ),
            f.calls.to_string(),
            share(f.copy_share),
            format!("{:.3}", f.multiply_adds_per_sec / 1e9),
            share(f.multiply_add_share),
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
