//! A run that is cut short and goes on ends as one that never stopped.

use std::fs;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::Place;

/// Long enough to be hit in the middle; ticks, samples and checkpoints at steps of their own.
const STEPS: &str = "240";
const SETS: [&str; 6] = [
    "--set",
    "train.tick_steps=7",
    "--set",
    "train.sample_steps=50",
    "--set",
    "train.checkpoint_steps=20",
];

fn start(place: &Place, run: &str) -> Child {
    let arguments = ["--steps", STEPS, "--out", run];
    begin(place, &[&["tiny.toml"], &arguments[..], &SETS].concat())
}

/// `demotic train` on flex, left to itself.
pub(crate) fn begin(place: &Place, arguments: &[&str]) -> Child {
    let arguments = [&["train", "--device", "flex"], arguments].concat();
    let mut command = place.command(&arguments);
    // Nobody reads along: a full pipe would stop the run.
    command.stdout(std::process::Stdio::null());
    command.spawn().expect("the binary starts")
}

/// Waits for a file of the run, then sends a signal; gives the exit code.
fn cut(place: &Place, mut child: Child, file: &str, signal: &str) -> Option<i32> {
    let patience = Instant::now() + Duration::from_mins(1);
    while !place.path(file).exists() {
        assert!(Instant::now() < patience, "{file} never came");
        assert!(
            child.try_wait().expect("a child").is_none(),
            "the run ended before it could be cut"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    let send = || {
        let mut kill = Command::new("kill");
        kill.args([&format!("-{signal}"), &child.id().to_string()]);
        kill.status().is_ok_and(|status| status.success())
    };
    assert!(send(), "kill");
    if signal == "HUP" {
        // The system, the shell and the end of the shell each send one.
        send();
    }
    child.wait().expect("a child").code()
}

/// Weights, optimiser states, figures and pictures alike; times are another matter.
pub(crate) fn assert_same_run(place: &Place, one: &str, other: &str) {
    let named = |run: &str, folder: &str| -> Vec<String> {
        let entries = fs::read_dir(place.path(&format!("{run}/{folder}"))).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
            .into_iter()
            .map(|name| format!("{folder}/{name}"))
            .collect()
    };
    assert_eq!(named(one, "samples"), named(other, "samples"));
    let newest = named(one, "checkpoints").into_iter().rev().take(2);
    let files = ["config.toml", "evaluation.json"].map(str::to_owned);
    for file in named(one, "samples").into_iter().chain(newest).chain(files) {
        assert!(
            place.read(&format!("{one}/{file}")) == place.read(&format!("{other}/{file}")),
            "{file} of {one} and {other} differ"
        );
    }
    // How long pictures were waited for is a time, and so is what is said of it.
    let is_timed =
        |line: &str| line.contains("data-starves") || line.contains("waits for pictures");
    let stats = |run: &str| -> Vec<Value> {
        let untimed = |line: &str| {
            let mut record: Value = serde_json::from_str(line).expect("JSON");
            if record.get("event").is_none() {
                for key in [
                    "secs_per_kimg",
                    "data_wait_share",
                    "phases",
                    "memory_bytes",
                    "peak_memory_bytes",
                    "device_memory_bytes",
                    "secs_left",
                ] {
                    record
                        .as_object_mut()
                        .and_then(|tick| tick.remove(key))
                        .expect("a time");
                }
            }
            record
        };
        let text = place.text(&format!("{run}/stats.jsonl"));
        text.lines()
            .filter(|line| !is_timed(line))
            .map(untimed)
            .collect()
    };
    assert_same_lines(&stats(one), &stats(other));
    // On another machine the same is computed by another name.
    let names_a_device = |line: &str| line.starts_with("device ");
    let log = |run: &str| -> Vec<String> {
        let untimed = |line: &str| {
            line.split("  sec/kimg")
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let text = place.text(&format!("{run}/log.txt"));
        text.lines()
            .filter(|line| !is_timed(line) && !names_a_device(line))
            .map(untimed)
            .collect()
    };
    assert_same_lines(&log(one), &log(other));
}

/// Names the first line that differs rather than printing both files.
fn assert_same_lines<T: PartialEq + std::fmt::Debug>(one: &[T], other: &[T]) {
    for (number, (one, other)) in one.iter().zip(other).enumerate() {
        assert_eq!(one, other, "line {}", number + 1);
    }
    assert_eq!(one.len(), other.len(), "lines");
}

#[test]
#[cfg(unix)]
fn a_run_that_is_asked_to_stop_ends_like_one_that_never_stopped() {
    let place = Place::of_discs();
    assert_eq!(
        start(&place, "whole").wait().expect("a child").code(),
        Some(0)
    );

    // Ctrl-C: the step is finished, a checkpoint saved. Asked to terminate: the same.
    for (run, file, signal) in [
        ("interrupted", "checkpoints/step-00000040.json", "INT"),
        ("terminated", "samples/step-00000050.png", "TERM"),
    ] {
        let code = cut(&place, start(&place, run), &format!("{run}/{file}"), signal);
        assert_eq!(code, Some(130), "{run}");
        let said = place
            .run(&["evaluate", "--run", run, "--device", "flex"])
            .done();
        assert!(
            said.out.contains("hollow"),
            "the checkpoint loads: {said:#?}"
        );
        place.train(&["--resume", "--out", run]).done();
        assert_same_run(&place, "whole", run);
    }
}

/// Whether this process was started with SIGHUP ignored; false where the system does not say.
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[test]
#[cfg(unix)]
fn a_lost_terminal_stops_a_run_unless_nohup_says_otherwise() {
    let place = Place::of_discs();
    let file = |run: &str| format!("{run}/checkpoints/step-00000040.json");
    let code = cut(&place, start(&place, "left"), &file("left"), "HUP");
    // The tests themselves may run under `nohup`, which children inherit.
    assert_eq!(code, Some(if hangup_is_ignored() { 0 } else { 130 }));

    // What `nohup` does.
    let mut shell = Command::new("sh");
    let binary = env!("CARGO_BIN_EXE_demotic");
    let train = format!(
        "trap '' HUP; exec {binary} train tiny.toml --device flex --steps 90 --out kept --set train.checkpoint_steps=20"
    );
    shell.args(["-c", &train]).current_dir(place.path("."));
    shell
        .env("XDG_CACHE_HOME", place.path("cache"))
        .stdout(std::process::Stdio::null());
    let code = cut(
        &place,
        shell.spawn().expect("a shell"),
        &file("kept"),
        "HUP",
    );
    assert_eq!(code, Some(0));
    assert!(place.path("kept/evaluation.json").exists());
}

/// Trains in a terminal of its own that goes away after a while; gives the exit code and what the terminal
/// showed.
#[cfg(target_os = "linux")]
fn train_in_a_terminal(place: &Place, run: &str, trap: &str) -> (Option<i32>, String) {
    let binary = env!("CARGO_BIN_EXE_demotic");
    // The outer shell ends with its terminal, as a person's does; the inner one tells how the training ended.
    let line = format!(
        "sh -c \"trap {trap} HUP; {binary} train tiny.toml --device flex --steps 300 --out {run} --set train.tick_steps=1 \
         --set train.checkpoint_steps=300; echo \\$? > {run}.code\"; :"
    );
    let shown = format!("{run}.shown");
    let mut terminal = Command::new("script");
    terminal
        .args(["--quiet", "--flush", "--command", &line, &shown])
        .current_dir(place.path("."))
        .env("SHELL", "/bin/sh")
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .env(
            "XDG_CACHE_HOME",
            concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"),
        )
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null());
    let mut terminal = terminal.spawn().expect("script, of util-linux");
    let patience = Instant::now() + Duration::from_mins(2);
    let code = format!("{run}.code");
    let is_there = |name: &str| fs::read(place.path(name)).is_ok_and(|bytes| !bytes.is_empty());
    // What the screen showed, not what the run's files tell: they are written a moment earlier.
    let has_begun = || {
        fs::read(place.path(&shown))
            .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains("step\u{1b}[0m  20/300  "))
    };
    while !has_begun() {
        assert!(Instant::now() < patience, "step 20 never came");
        std::thread::sleep(Duration::from_millis(2));
    }
    terminal.kill().expect("the terminal is there");
    terminal.wait().expect("a child");
    while !is_there(&code) {
        assert!(Instant::now() < patience, "the training never ended");
        std::thread::sleep(Duration::from_millis(2));
    }
    let shown = String::from_utf8_lossy(&place.read(&shown)).into_owned();
    (place.text(&code).trim().parse().ok(), shown)
}

#[test]
#[cfg(target_os = "linux")]
fn a_terminal_that_is_closed_loses_no_step() {
    let place = Place::of_discs();
    let steps = |run: &str| -> Vec<u64> {
        let text = place.text(&format!("{run}/stats.jsonl"));
        let ticks = text.lines().filter(|line| !line.contains("\"event\""));
        ticks
            .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["step"].as_u64())
            .collect()
    };
    if !hangup_is_ignored() {
        let (code, shown) = train_in_a_terminal(&place, "closed", ":");
        assert_eq!(code, Some(130));
        // A line per tick stood on the screen, above the bar, in colour.
        let log = place.text("closed/log.txt");
        let ticks = log.lines().filter(|line| line.starts_with("step "));
        for tick in ticks.take(20) {
            let step = tick.split_whitespace().nth(1).expect("its number");
            let on_screen = shown.lines().any(|line| {
                line.contains("step\u{1b}[0m ") && line.contains(&format!(" {step}  g_rec "))
            });
            assert!(on_screen, "`{step}` in {shown}");
        }
        let last = *steps("closed").last().expect("a tick");
        assert!((20..300).contains(&last), "{last}");
        assert!(
            place
                .path(&format!("closed/checkpoints/step-{last:08}.json"))
                .exists(),
            "step {last} is saved"
        );
    }
    // A training that ignores the hang-up goes on without a screen.
    let (code, _) = train_in_a_terminal(&place, "ignored", "''");
    assert_eq!(code, Some(0));
    assert_eq!(steps("ignored"), (1..=300).collect::<Vec<u64>>());
}

#[test]
#[cfg(unix)]
fn a_run_killed_before_its_first_checkpoint_starts_again() {
    let place = Place::of_discs();
    let code = cut(
        &place,
        start(&place, "run"),
        "run/samples/fakes_init.png",
        "KILL",
    );
    assert_eq!(code, None);
    fs::remove_dir_all(place.path("run/checkpoints")).ok();
    let said = place
        .train(&["--resume", "--out", "run", "--steps", "9"])
        .done();
    assert!(said.out.contains("resume step 0 of 9"), "{said:#?}");
    assert!(place.path("run/evaluation.json").exists());
}

#[test]
fn a_finished_run_can_be_made_longer_but_not_shorter() {
    let place = Place::with_run_on_discs();
    let said = place.train(&["--resume", "--out", "run"]).done();
    assert!(said.out.contains("nothing left to train"), "{said:#?}");
    place.refuses(
        &[
            "train", "--device", "flex", "--resume", "--out", "run", "--steps", "3",
        ],
        2,
        "lies behind the run, which is at step 12",
    );
    place
        .train(&["--resume", "--out", "run", "--steps", "15"])
        .done();
    let log = place.text("run/log.txt");
    assert!(
        log.contains("resume at step 12 with: set    [train] steps = 15"),
        "{log}"
    );
    let steps: Vec<u64> = place
        .text("run/stats.jsonl")
        .lines()
        .filter(|line| !line.contains("\"event\""))
        .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["step"].as_u64())
        .collect();
    assert_eq!(steps, [5, 10, 12, 15]);
    assert_eq!(log.matches("end    step").count(), 1, "{log}");
}

#[test]
fn other_pictures_are_refused_on_resume() {
    let place = Place::new();
    place.discs("pictures", 20);
    let config = crate::support::TINY.replace("styles = [\"openmoji-line\", \"openmoji\"]", "");
    place.write("own.toml", config.as_bytes());
    place
        .train(&["own.toml", "--data", "pictures", "--out", "run"])
        .done();
    // The same pictures elsewhere are the same pictures.
    fs::rename(place.path("pictures"), place.path("moved")).expect("a rename");
    place.refuses(
        &[
            "train", "--device", "flex", "--resume", "--out", "run", "--steps", "14",
        ],
        2,
        "pictures",
    );
    place
        .train(&[
            "--resume", "--out", "run", "--steps", "14", "--data", "moved",
        ])
        .done();
    fs::remove_file(place.path("moved/filled/disc-03.png")).expect("a file");
    place.refuses(
        &[
            "train", "--device", "flex", "--resume", "--out", "run", "--steps", "16", "--data",
            "moved",
        ],
        2,
        "trained on other pictures",
    );
}

#[test]
fn one_run_folder_serves_one_process() {
    let place = Place::with_run_on_discs();
    let lock = fs::File::create(place.path("run/.lock")).expect("a file");
    lock.try_lock().expect("nobody else has it");
    place.refuses(
        &[
            "train", "--device", "flex", "--resume", "--out", "run", "--steps", "20",
        ],
        2,
        "another process is training in this run folder",
    );
}
