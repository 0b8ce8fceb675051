//! `demotic doctor`: is a device right, and how fast is it?
//!
//! A driver may take its process down, or never come back. So every device but flex is opened and checked in a process of its own,
//! which tells its findings line by line; this one shows them, and where that one dies or falls silent, says during what.

use std::io::{BufRead, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Result, anyhow};
use demotic_core::config::Config;
use demotic_core::device;
use demotic_core::doctor::{Check, Depth, Diagnosis, Progress, examine};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cli::DoctorArgs;
use crate::failure::{self, INTERRUPTED};
use crate::options::settings;
use crate::output::{duration, note, say};

pub(crate) fn run(args: &DoctorArgs) -> Result<()> {
    // Before a process is started for it.
    let config = settings(args.config.as_deref(), &args.set)?;
    if args.watched {
        return be_watched(args, &config);
    }
    let mut listener = Listener::new(args);
    let ending = if args.device.device == "flex" {
        examined(args, &config, &mut |finding| listener.hear(finding))?;
        None
    } else {
        watch(args, &mut listener)?
    };
    listener.conclude(ending)
}

/// What an examination tells as it goes; between processes, each is a line of JSON.
#[derive(Debug, Serialize, Deserialize)]
enum Finding {
    Opened {
        device: String,
        shader_language: String,
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
enum Last {
    /// Every check ran.
    Whole(Box<Diagnosis>),
    /// There is no such device, or it does not open.
    Refused { message: String, is_input: bool },
    /// A panic outside the checks, which catch their own.
    Panicked(String),
}

/// Opens the device and runs every check on it, here.
fn examined(
    args: &DoctorArgs,
    config: &Config,
    tell: &mut dyn FnMut(Finding) -> Result<()>,
) -> Result<()> {
    let chosen = device::open(&args.device.device)?;
    tell(Finding::Opened {
        device: chosen.description.clone(),
        shader_language: device::shader_language(&chosen.device),
    })?;
    let depth = if args.quick {
        Depth::Quick
    } else {
        Depth::Whole(config)
    };
    let mut told = Ok(());
    let diagnosis = examine(&chosen, depth, &mut |progress| {
        let finding = match progress {
            Progress::Begins(number, count, name) => Finding::Begins {
                number,
                count,
                name: name.to_owned(),
            },
            Progress::Ended(check) => Finding::Ended(check.clone()),
        };
        if told.is_ok() {
            told = tell(finding);
        }
    })?;
    told?;
    tell(Finding::Last(Last::Whole(Box::new(diagnosis))))
}

/// The process that may be killed: tells every finding to the one that started it, and ends well once it told the last.
fn be_watched(args: &DoctorArgs, config: &Config) -> Result<()> {
    end_with_the_watcher();
    // A driver may leave half a line of its own on standard output.
    let mut tell = |finding: Finding| say(&format!("\n{}\n", serde_json::to_string(&finding)?));
    let last = match catch_unwind(AssertUnwindSafe(|| examined(args, config, &mut tell))) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => Last::Refused {
            message: error.to_string(),
            is_input: failure::is_input(&error),
        },
        Err(payload) => Last::Panicked(demotic_core::panic_line(&*payload)),
    };
    tell(Finding::Last(last))
}

/// Ends this process when the one that started it ends, however that does: the pipe between them closes.
fn end_with_the_watcher() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        // At once: leaving in order would run the driver's code, which may be what hangs.
        #[cfg(unix)]
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
        std::process::exit(i32::from(INTERRUPTED));
    });
}

/// How the process that examined came to an end, where it did not end well.
#[derive(Debug, PartialEq, Eq)]
enum Ending {
    /// By itself, by this signal or exit code.
    Died(String),
    /// By the one that watched, after so many seconds without a finding.
    Hung { secs: u64 },
}

/// Has the device examined in a process of its own; how that was ended, where it did not end well.
fn watch(args: &DoctorArgs, listener: &mut Listener) -> Result<Option<Ending>> {
    let cannot = |error| anyhow!("cannot start the process that checks the device: {error}");
    let mut command = Command::new(std::env::current_exe().map_err(cannot)?);
    command.args(["doctor", "--watched"]);
    command.arg(format!("--device={}", args.device.device));
    command.args(args.quick.then_some("--quick"));
    if let Some(file) = &args.config {
        command.arg("--config").arg(file);
    }
    command.args(args.set.iter().map(|set| format!("--set={set}")));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(cannot)?;
    // Held to the end of this function: the child dies where it closes. `Child::wait` would close it too early.
    let _lifeline = child.stdin.take();
    let lines = lines_of(child.stdout.take().expect("it is piped"));
    let mut silent_secs = 0;
    loop {
        // A second at a time: the time that both processes are stopped for (Ctrl-Z, a machine that sleeps) is not silence.
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                let line = line?;
                match serde_json::from_slice(&line) {
                    Ok(finding) => {
                        silent_secs = 0;
                        listener.hear(finding)?;
                    }
                    // A driver's words.
                    Err(_no_finding) if !line.is_empty() => {
                        let _ = std::io::stderr().write_all(&[&line[..], b"\n"].concat());
                    }
                    Err(_no_finding) => {}
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                silent_secs += 1;
                listener.wait(silent_secs);
                if silent_secs >= args.patience {
                    kill(&mut child);
                    return Ok(Some(Ending::Hung { secs: silent_secs }));
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Ok(ended_by(child.wait()?).map(Ending::Died));
            }
        }
    }
}

/// The lines of a process, read on a thread of their own: a read has no time limit.
fn lines_of(out: ChildStdout) -> Receiver<std::io::Result<Vec<u8>>> {
    let (sender, lines) = sync_channel(16);
    std::thread::spawn(move || {
        for line in BufReader::new(out).split(b'\n') {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Ends a process that hangs. One that is stuck inside the system's part of a driver dies when that lets go of it, which may be
/// never: it is not waited for.
fn kill(child: &mut Child) {
    let _ = child.kill();
    for _ in 0..20 {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// `SIGSEGV`, `exit code 0xc0000005`; none for a process that ended well.
fn ended_by(status: ExitStatus) -> Option<String> {
    #[cfg(unix)]
    if let Some(number) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let known = nix::sys::signal::Signal::try_from(number);
        return Some(known.map_or_else(
            |_unknown| format!("signal {number}"),
            |signal| signal.as_str().to_owned(),
        ));
    }
    match status.code() {
        Some(0) => None,
        code => Some(format!("exit code {:#x}", code.unwrap_or(-1))),
    }
}

/// Shows findings as they come, and draws the conclusion.
#[derive(Debug)]
struct Listener {
    is_json: bool,
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
    fn new(args: &DoctorArgs) -> Self {
        Self {
            is_json: args.json,
            device: format!("--device {}", args.device.device),
            shader_language: None,
            running: "opening the device".to_owned(),
            shown: "opening the device".to_owned(),
            checks: vec![],
            last: None,
        }
    }

    /// Nothing came for a while.
    fn wait(&self, silent_secs: u64) {
        note(&format!("{}, {}", self.shown, duration(silent_secs as f64)));
    }

    fn hear(&mut self, finding: Finding) -> Result<()> {
        note("");
        match finding {
            Finding::Opened {
                device,
                shader_language,
            } => {
                if !self.is_json {
                    say(&format!("device  {device}, shaders {shader_language}\n"))?;
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
                if !self.is_json {
                    say(&line(&check))?;
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
    fn conclude(self, ending: Option<Ending>) -> Result<()> {
        note("");
        match (self.last, ending) {
            (Some(Last::Refused { message, is_input }), _) => Err(if is_input {
                failure::input(message)
            } else {
                anyhow!(message)
            }),
            (Some(Last::Whole(diagnosis)), None) => {
                say(&if self.is_json {
                    format!("{}\n", serde_json::to_string_pretty(&diagnosis)?)
                } else {
                    summary(&diagnosis)
                })?;
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
                if self.is_json {
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
                } else if let Some(diagnosis) = diagnosis {
                    say(&summary(&diagnosis))?;
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

/// `right   convolution 3x3        3.1e-7 of 3e-5 to float64     0.41 s  [24, 48, 16, 16] to 48 channels`
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
        "{verdict:<7} {:<22} {error:>7} of {:.0e} to {:<8} {:>7.2} s  {}{note}\n",
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

#[cfg(test)]
mod tests {
    use super::{Ending, Last, Listener};

    #[test]
    fn an_examination_without_its_end_is_told_by_what_ended_it() {
        let conclude = |last: Option<Last>, ending: Option<Ending>| {
            let listener = Listener {
                is_json: false,
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
