//! Has a device examined, in a process of its own: a driver may take its process down, or never come back.
//! That process says its findings line by line; the one that started it hears them and watches how it ends.

use std::io::{BufRead, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Result, anyhow};
use demotic_core::check::doctor::{Depth, Progress, examine};
use demotic_core::check::examined::{Unexamined, unexamined};
use demotic_core::device::{self, Chosen};
use demotic_core::settings::Config;

use crate::cli::{DeviceArgs, DoctorArgs, SettingsArgs};
use crate::failure::{self, INTERRUPTED};
use crate::findings::{Ending, Finding, Last, Listener};
use crate::output::say;

/// Seconds without a finding after which a device is taken to hang before a training.
const PATIENCE_SECS: u64 = 600;

/// Has each graphics processor that this build was not found right on yet examined in the doctor's quick
/// form: a kernel that is wrong there is found before anything is trained.
///
/// # Errors
/// What is wrong.
pub(crate) fn examined_once(devices: &[Chosen]) -> Result<()> {
    let unknown = devices.iter().map(|chosen| (chosen, unexamined(chosen)));
    each_once(unknown, quickly, |unknown: Unexamined| {
        unknown.found_right();
    })
}

/// Examines those that are not known, and keeps which are right, until one is not.
fn each_once<'a, T>(
    devices: impl Iterator<Item = (&'a Chosen, Option<T>)>,
    examine: impl Fn(&Chosen) -> Result<()>,
    keep: impl Fn(T),
) -> Result<()> {
    for (chosen, unknown) in devices {
        if let Some(unknown) = unknown {
            examine(chosen)?;
            keep(unknown);
        }
    }
    Ok(())
}

/// `demotic doctor --quick` without a word where all is right.
fn quickly(chosen: &Chosen) -> Result<()> {
    // Whoever waits for a minute or two is told; nobody may read it.
    let _ = writeln!(
        std::io::stderr(),
        "{} is new to this build, or its driver is: `demotic doctor --quick` examines it, this once",
        chosen.description
    );
    let args = DoctorArgs {
        device: DeviceArgs {
            device: chosen.name.clone(),
        },
        settings: SettingsArgs::default(),
        quick: true,
        patience: PATIENCE_SECS,
        json: false,
        watched: false,
    };
    let mut listener = Listener::silent(&args);
    let ending = watch(&args, &mut listener)?;
    listener.conclude(ending)
}

/// Opens the device and runs every check on it, here.
pub(crate) fn examined(
    args: &DoctorArgs,
    config: &Config,
    report: &mut dyn FnMut(Finding) -> Result<()>,
) -> Result<()> {
    let chosen = device::open(&args.device.device)?;
    report(Finding::Opened {
        device: chosen.description.clone(),
        shader_language: device::shader_language(&chosen.device),
        is_software: chosen.is_software,
    })?;
    let depth = if args.quick {
        Depth::Quick
    } else {
        Depth::Whole(config)
    };
    let mut reported = Ok(());
    let diagnosis = examine(&chosen, depth, &mut |progress| {
        let finding = match progress {
            Progress::Begins(number, count, name) => Finding::Begins {
                number,
                count,
                name: name.to_owned(),
            },
            Progress::Ended(check) => Finding::Ended(check.clone()),
        };
        if reported.is_ok() {
            reported = report(finding);
        }
    })?;
    reported?;
    report(Finding::Last(Last::Whole(Box::new(diagnosis))))
}

/// The process that may be killed: reports every finding to the one that started it, and ends well once it
/// did so the last.
pub(crate) fn be_watched(args: &DoctorArgs, config: &Config) -> Result<()> {
    end_with_the_watcher();
    // A driver may leave half a line of its own on standard output.
    let mut report = |finding: Finding| say(&format!("\n{}\n", serde_json::to_string(&finding)?));
    let last = match catch_unwind(AssertUnwindSafe(|| examined(args, config, &mut report))) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => Last::Refused {
            message: error.to_string(),
            is_input: failure::is_input(&error),
        },
        Err(payload) => Last::Panicked(demotic_core::panic_line(&*payload)),
    };
    report(Finding::Last(last))
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

/// Has the device examined in a process of its own; how that was ended, where it did not end well.
pub(crate) fn watch(args: &DoctorArgs, listener: &mut Listener) -> Result<Option<Ending>> {
    let cannot = |error| anyhow!("cannot start the process that checks the device: {error}");
    let mut command = Command::new(std::env::current_exe().map_err(cannot)?);
    command.args(["doctor", "--watched"]);
    command.arg(format!("--device={}", args.device.device));
    command.args(args.quick.then_some("--quick"));
    if let Some(file) = &args.settings.config {
        command.arg("--config").arg(file);
    }
    let assignments = args.settings.set.set.iter();
    command.args(assignments.map(|set| format!("--set={set}")));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(cannot)?;
    // Held to the end of this function: the child dies where it closes. `Child::wait` would close it too
    // early.
    let _lifeline = child.stdin.take();
    let lines = lines_of(child.stdout.take().expect("it is piped"));
    let mut silent_secs = 0;
    loop {
        // A second at a time: the time that both processes are stopped for (Ctrl-Z, a machine that sleeps) is
        // not silence.
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

/// Ends a process that hangs. One that is stuck inside the system's part of a driver dies when that lets go
/// of it, which may be never: it is not waited for.
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use anyhow::ensure;

    use super::{each_once, examined_once};

    #[test]
    fn what_is_not_known_is_examined_and_kept_where_it_is_right_and_ends_the_training_where_not() {
        let flex = demotic_core::device::open("flex").expect("flex opens");
        let kept = RefCell::new(Vec::new());
        let examined = RefCell::new(0);
        let devices = |which: [Option<u8>; 3]| which.map(|one| (&flex, one)).into_iter();
        let keep = |one: u8| kept.borrow_mut().push(one);
        let right = each_once(
            devices([None, Some(1), Some(2)]),
            |_| {
                *examined.borrow_mut() += 1;
                Ok(())
            },
            keep,
        );
        assert!(right.is_ok());
        assert_eq!((*examined.borrow(), kept.take()), (2, vec![1, 2]));
        let wrong = each_once(
            devices([Some(1), Some(2), Some(3)]),
            |_| {
                *examined.borrow_mut() += 1;
                ensure!(*examined.borrow() < 4, "it computes wrongly");
                Ok(())
            },
            keep,
        );
        assert_eq!(
            wrong.expect_err("the second").to_string(),
            "it computes wrongly"
        );
        assert_eq!((*examined.borrow(), kept.take()), (4, vec![1]));
        // The processor needs none: nothing is started.
        examined_once(std::slice::from_ref(&flex)).expect("nothing to examine");
    }
}
