//! What an examination of a device finds, and how it is shown.

use std::io::Write;

use anyhow::{Result, anyhow};
use demotic_core::check::doctor::{Check, Diagnosis};
use demotic_core::number::Real;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cli::DoctorArgs;
use crate::failure;
use crate::options::of_software;
use crate::output::{duration, note, say, show, wrapped};
use crate::terminal::{Terminal, fitted};

/// What an examination reports as it goes; between processes, each is a line of JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Finding {
    Opened {
        device: String,
        shader_language: String,
        is_software: bool,
    },
    Begins {
        number: usize,
        count: usize,
        name: String,
    },
    Ended(Check),
    Last(Last),
}

/// The last finding.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Last {
    /// Every check ran.
    Whole(Box<Diagnosis>),
    /// There is no such device, or it does not open.
    Refused { message: String, is_input: bool },
    /// A panic outside the checks, which catch their own.
    Panicked(String),
}

/// How the process that examined came to an end, where it did not end well.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself, by this signal or exit code.
    Died(String),
    /// By the one that watched, after so many seconds without a finding.
    Hung { secs: u64 },
}

/// How findings are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Voice {
    /// A line each, and a summary.
    Words,
    /// At the end, all of them.
    Json,
    /// Only what runs, as a passing line.
    Silent,
}

/// Shows findings as they come, and draws the conclusion.
#[derive(Debug)]
pub(crate) struct Listener {
    /// How findings are shown.
    voice: Voice,
    /// As typed, then in words.
    device: String,
    shader_language: Option<String>,
    /// What was going on when the latest finding came.
    running: String,
    /// The same with its number, as a terminal shows it.
    shown: String,
    checks: Vec<Check>,
    last: Option<Last>,
}

impl Listener {
    pub(crate) fn new(args: &DoctorArgs) -> Self {
        let voice = if args.json { Voice::Json } else { Voice::Words };
        Self::with(voice, args)
    }

    /// One for a command that goes on where all is right, without a word of it.
    pub(crate) fn silent(args: &DoctorArgs) -> Self {
        Self::with(Voice::Silent, args)
    }

    fn with(voice: Voice, args: &DoctorArgs) -> Self {
        Self {
            voice,
            device: format!("--device {}", args.device.device),
            shader_language: None,
            running: "opening the device".to_owned(),
            shown: "opening the device".to_owned(),
            checks: vec![],
            last: None,
        }
    }

    /// Nothing came for a while.
    pub(crate) fn wait(&self, silent_secs: u64) {
        note(&format!(
            "{}, {}",
            self.shown,
            duration(silent_secs.to_f64())
        ));
    }

    pub(crate) fn hear(&mut self, finding: Finding) -> Result<()> {
        note("");
        match finding {
            Finding::Opened {
                device,
                shader_language,
                is_software,
            } => {
                if is_software && self.voice != Voice::Silent {
                    // A warning that cannot be written is no error.
                    let _ = writeln!(std::io::stderr(), "{}", of_software(&device));
                }
                if self.voice == Voice::Words {
                    show(&format!("device  {device}, shaders {shader_language}\n"))?;
                }
                self.device = device;
                self.shader_language = Some(shader_language);
                "preparing the checks".clone_into(&mut self.running);
            }
            Finding::Begins {
                number,
                count,
                name,
            } => {
                self.shown = format!("{number}/{count} {name}");
                note(&self.shown);
                self.running = name;
            }
            Finding::Ended(check) => {
                if self.voice == Voice::Words {
                    say(&line(&check, Terminal::of_table()))?;
                }
                self.checks.push(check);
            }
            Finding::Last(last) => {
                if matches!(last, Last::Whole(_)) {
                    "closing the device".clone_into(&mut self.running);
                }
                self.last = Some(last);
            }
        }
        Ok(())
    }

    /// `ending`: of the process that examined; none where it ended well.
    pub(crate) fn conclude(self, ending: Option<Ending>) -> Result<()> {
        note("");
        match (self.last, ending) {
            (Some(Last::Refused { message, is_input }), _) => Err(if is_input {
                failure::input(message)
            } else {
                anyhow!(message)
            }),
            (Some(Last::Whole(diagnosis)), None) => {
                match self.voice {
                    Voice::Json => {
                        say(&format!("{}\n", serde_json::to_string_pretty(&diagnosis)?))?;
                    }
                    Voice::Words => show(&summary(&diagnosis))?,
                    Voice::Silent => {}
                }
                verdict(&diagnosis)
            }
            (last, ending) => {
                let (diagnosis, by) = match last {
                    Some(Last::Panicked(message)) => (None, format!("a panic ({message})")),
                    Some(Last::Whole(diagnosis)) => (Some(diagnosis), String::new()),
                    _ => (None, "exit code 0x0".to_owned()),
                };
                let during = &self.running;
                let (by, what) = match ending {
                    Some(Ending::Hung { secs }) => (
                        format!("a hang ({secs} s without a finding)"),
                        format!(
                            "the process that was checking it hung during: {during}; nothing came for {secs} s (--patience), and it \
                             was killed"
                        ),
                    ),
                    ended => {
                        let by = match ended {
                            Some(Ending::Died(by)) => by,
                            _ => by,
                        };
                        let hint = if by == "SIGKILL" {
                            " (which a system short of memory sends too)"
                        } else {
                            ""
                        };
                        let what = format!(
                            "the process that was checking it died by {by}{hint}, during: {during}"
                        );
                        (by, what)
                    }
                };
                if self.voice == Voice::Json {
                    let mut found = match diagnosis {
                        Some(diagnosis) => serde_json::to_value(diagnosis)?,
                        None => json!({
                            "device": self.device,
                            "shader_language": self.shader_language,
                            "is_right": false,
                            "checks": self.checks,
                        }),
                    };
                    found["died"] = json!({ "during": during, "by": by });
                    say(&format!("{found:#}\n"))?;
                } else if let Some(diagnosis) = diagnosis
                    && self.voice == Voice::Words
                {
                    show(&summary(&diagnosis))?;
                }
                Err(anyhow!(
                    "{}: {what}; do not train on it: update its driver, try another one of `demotic devices`, or use `--device \
                     flex`",
                    self.device,
                ))
            }
        }
    }
}

/// An error where anything was wrong.
fn verdict(diagnosis: &Diagnosis) -> Result<()> {
    if diagnosis.is_right {
        return Ok(());
    }
    let wrong: Vec<&str> = diagnosis
        .checks
        .iter()
        .filter(|check| !check.is_right())
        .map(|check| check.operation.as_str())
        .collect();
    Err(anyhow!(
        "{} computes wrongly: {}; do not train on it: update its driver, or use `--device flex`",
        diagnosis.device,
        wrong.join(", ")
    ))
}

/// `right   convolution 3x3   3.1e-7 of 3e-5  to float64   0.41 s  [24, 48, 16, 16] to 48 channels`. Where
/// there is no room, sizes go first, then seconds; what is wrong is shown whole.
fn line(check: &Check, columns: usize) -> String {
    let verdict = if check.is_right() { "right" } else { "WRONG" };
    let error = check
        .error
        .map_or_else(|| "none".to_owned(), |error| format!("{error:.1e}"));
    let parts = [
        (0, format!("{verdict:<6}")),
        (0, format!("{:<24}", check.operation)),
        (0, format!("{error:>7} of {:.0e}", check.tolerance)),
        (1, format!("to {:<8}", check.against)),
        (2, format!("{:>6.2} s", check.secs)),
        (3, check.size.clone()),
    ];
    if check.is_right() {
        return fitted(&parts, columns).trim_end().to_owned() + "\n";
    }
    let parts = parts.map(|(_, part)| part);
    wrapped(&format!("{}; {}\n", parts.join("  "), check.note), columns)
}

fn summary(diagnosis: &Diagnosis) -> String {
    let mut lines = Vec::new();
    let wrong = diagnosis.checks.iter().filter(|c| !c.is_right()).count();
    lines.push(if wrong == 0 {
        format!(
            "verdict right: {} operations, each error within its share of the largest value",
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

#[cfg(test)]
mod tests {
    use super::{Ending, Last, Listener, Voice};

    #[test]
    fn an_examination_without_its_end_is_told_by_what_ended_it() {
        let conclude = |last: Option<Last>, ending: Option<Ending>| {
            let listener = Listener {
                voice: Voice::Words,
                device: "wgpu:0 Card".to_owned(),
                shader_language: None,
                running: "CRF".to_owned(),
                shown: "7/20 CRF".to_owned(),
                checks: vec![],
                last,
            };
            let ended = listener.conclude(ending);
            ended.expect_err("it never came to an end").to_string()
        };
        let refused = || Last::Refused {
            message: "no such device".to_owned(),
            is_input: true,
        };
        let died = |by: &str| Some(Ending::Died(by.to_owned()));
        for (last, ending, expected) in [
            (None, died("SIGBUS"), "died by SIGBUS, during: CRF;"),
            (
                None,
                Some(Ending::Hung { secs: 9 }),
                "hung during: CRF; nothing came for 9 s",
            ),
            // A driver that ends the process as if all were well.
            (None, None, "died by exit code 0x0, during: CRF;"),
            (
                Some(Last::Panicked("queue lost".to_owned())),
                None,
                "died by a panic (queue lost), during: CRF;",
            ),
            (Some(refused()), None, "no such device"),
            // What was wrong first counts.
            (Some(refused()), died("SIGSEGV"), "no such device"),
        ] {
            let message = conclude(last, ending);
            assert!(message.contains(expected), "`{expected}`: {message}");
        }
    }
}
