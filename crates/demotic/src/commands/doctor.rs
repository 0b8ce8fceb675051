//! `demotic doctor`: is a device right, and how fast is it?

use std::io::{IsTerminal, Write};

use anyhow::Result;
use demotic_core::device;
use demotic_core::doctor::{Check, Depth, Diagnosis, Progress, examine};

use crate::cli::DoctorArgs;
use crate::output::say;

pub(crate) fn run(args: &DoctorArgs) -> Result<()> {
    let chosen = device::open(&args.device.device)?;
    let depth = if args.quick {
        Depth::Quick
    } else {
        Depth::Whole
    };
    if !args.json {
        say(&format!(
            "device  {}, shaders {}\n",
            chosen.description,
            device::shader_language(&chosen.device)
        ))?;
    }
    let mut broken = None;
    let diagnosis = examine(&chosen, depth, &mut |progress| {
        let told = match progress {
            Progress::Begins(i, count, name) => {
                note(&format!("{i}/{count} {name}"));
                Ok(())
            }
            Progress::Ended(check) => {
                note("");
                if args.json { Ok(()) } else { say(&line(check)) }
            }
        };
        if let Err(error) = told {
            broken.get_or_insert(error);
        }
    })?;
    note("");
    if let Some(error) = broken {
        return Err(error);
    }
    say(&if args.json {
        format!("{}\n", serde_json::to_string_pretty(&diagnosis)?)
    } else {
        summary(&diagnosis)
    })?;
    if diagnosis.is_right {
        return Ok(());
    }
    let wrong: Vec<&str> = diagnosis
        .checks
        .iter()
        .filter(|check| !check.is_right())
        .map(|check| check.operation.as_str())
        .collect();
    Err(anyhow::anyhow!(
        "{} computes wrongly: {}; do not train on it: update its driver, or use `--device flex`",
        diagnosis.device,
        wrong.join(", ")
    ))
}

/// What runs now, on a terminal, in place of what was there.
fn note(text: &str) {
    let mut out = std::io::stderr().lock();
    if out.is_terminal() {
        // Progress is worth no failure.
        let _ = write!(out, "\r\x1b[K{text}");
        let _ = out.flush();
    }
}

/// `right   convolution 3x3     3.1e-7 of 3.0e-5 to float64     0.41 s  [4, 48, 16, 16] to 48 channels`
fn line(check: &Check) -> String {
    let verdict = if check.is_right() { "right" } else { "WRONG" };
    let error = check
        .error
        .map_or_else(|| "none".to_owned(), |error| format!("{error:.1e}"));
    let note = if check.is_right() {
        String::new()
    } else {
        format!("; {}", check.note)
    };
    format!(
        "{verdict:<7} {:<19} {error:>7} of {:.0e} to {:<8} {:>7.2} s  {}{note}\n",
        check.operation, check.tolerance, check.against, check.secs, check.size,
    )
}

fn summary(diagnosis: &Diagnosis) -> String {
    let mut lines = Vec::new();
    let wrong = diagnosis.checks.iter().filter(|c| !c.is_right()).count();
    lines.push(if wrong == 0 {
        format!(
            "verdict right: {} operations, errors over the largest value within their tolerance",
            diagnosis.checks.len()
        )
    } else {
        format!(
            "verdict WRONG: {wrong} of {} operations",
            diagnosis.checks.len()
        )
    });
    lines.push(format!("crf     {}", diagnosis.crf));
    let rate = |rate: Option<f64>, unit: &str| {
        rate.map_or_else(
            || "not measured".to_owned(),
            |rate| format!("{:.1} {unit}", rate / 1e9),
        )
    };
    lines.push(format!(
        "rates   copy {} read and written, {} in f32",
        rate(diagnosis.rates.copy_bytes_per_sec, "GB/s"),
        rate(diagnosis.rates.fma_per_sec, "G multiply-adds/s"),
    ));
    lines.push(match &diagnosis.step {
        Some(step) => format!(
            "step    {:.3} s for {} pictures of {} px, {} channels; the first took {:.1} s",
            step.secs, step.batch, step.size_px, step.channels, step.first_secs
        ),
        None => "step    failed".to_owned(),
    });
    lines.push(String::new());
    lines.join("\n")
}
