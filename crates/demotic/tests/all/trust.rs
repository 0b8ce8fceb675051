//! A run that is left alone for a night: killed at any moment, on a disk that fills, with numbers that are
//! none any more.

use std::fs;
use std::process::{Child, Command};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use demotic_core::data::split_of_family;
use serde_json::Value;

use crate::resume::{assert_same_run, begin};
use crate::support::{Place, Said, said, words};

/// The step of the last whole tick of a run; 0 before the first.
fn last_tick(place: &Place, run: &str) -> u64 {
    let text = fs::read_to_string(place.path(&format!("{run}/stats.jsonl"))).unwrap_or_default();
    let mut steps = text.lines().rev().filter_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line.get("event").is_none().then(|| line["step"].as_u64())?
    });
    steps.next().unwrap_or(0)
}

/// Kills a run by SIGKILL some microseconds after it has passed a step.
pub(crate) fn kill_after(place: &Place, run: &str, mut child: Child, step: u64, micros: u64) {
    let patience = Instant::now() + Duration::from_mins(2);
    while last_tick(place, run) < step {
        assert!(Instant::now() < patience, "step {step} never came");
        assert!(
            child.try_wait().expect("a child").is_none(),
            "the run ended before step {step}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_micros(micros));
    child.kill().expect("the run is there");
    assert_eq!(child.wait().expect("a child").code(), None, "killed");
}

/// Random numbers from the clock: another moment in every run of the tests.
fn moments() -> impl FnMut(u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut state = now.map_or(1, |now| now.as_nanos() as u64) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

#[test]
fn a_run_killed_at_ten_random_moments_equals_one_that_never_stopped_to_the_bit() {
    let place = Place::of_discs();
    let run = |out: &'static str| {
        let sets = [
            "train.tick_steps=7",
            "train.sample_steps=200",
            "train.checkpoint_steps=40",
            "train.tensorboard=true",
            "augment.rotate_max_degrees=20",
        ];
        let sets: Vec<&str> = sets.into_iter().flat_map(|set| ["--set", set]).collect();
        begin(
            &place,
            &[&["tiny.toml", "--steps", "1000", "--out", out][..], &sets].concat(),
        )
    };
    let mut whole = run("whole");
    let mut child = run("killed");
    let mut random = moments();
    for tenth in 0..10 {
        // In the middle of a step, of a tick, of a checkpoint: steps take about 5 ms, checkpoints longer.
        kill_after(
            &place,
            "killed",
            child,
            100 * tenth + 7 + random(80),
            random(60_000),
        );
        child = begin(&place, &["--resume", "--out", "killed"]);
    }
    assert_eq!(child.wait().expect("a child").code(), Some(0));
    assert_eq!(whole.wait().expect("a child").code(), Some(0));
    assert_same_run(&place, "whole", "killed");

    assert_memory_stays(&place.text("whole/stats.jsonl"), 500, 1000);
}

/// Resident memory (the highest of the ticks of 100 steps, for it goes up and down) and its peak grow by less
/// than 5 %.
fn assert_memory_stays(stats: &str, early: u64, late: u64) {
    for key in ["memory_bytes", "peak_memory_bytes"] {
        let ticks: Vec<(u64, u64)> = stats
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter_map(|tick| Some((tick["step"].as_u64()?, tick[key].as_u64()?)))
            .collect();
        let before = |step: u64| {
            let ticks = ticks.iter().filter(|t| t.0 + 100 > step && t.0 <= step);
            ticks.map(|t| t.1).max().expect("a tick") as f64
        };
        let (early_bytes, late_bytes) = (before(early), before(late));
        eprintln!(
            "{key}: {early_bytes} after {early} steps, {late_bytes} after {late}: {:+.2} %",
            100.0 * (late_bytes / early_bytes - 1.0)
        );
        assert!(early_bytes > 1e6, "{ticks:?}");
        assert!(late_bytes <= 1.05 * early_bytes, "{key}: {ticks:?}");
    }
}

#[test]
fn a_torn_line_and_files_beyond_the_checkpoint_are_dropped_on_resume() {
    let place = Place::of_discs();
    let run = |out: &'static str| begin(&place, &["tiny.toml", "--steps", "60", "--out", out]);
    assert_eq!(run("whole").wait().expect("a child").code(), Some(0));
    kill_after(&place, "torn", run("torn"), 30, 0);
    for (file, tail) in [
        ("stats.jsonl", "{\"step\":55,\"kimg\":1.0}\n{\"step\":5"),
        ("log.txt", "step 55/60  kimg\nvalid  step 55: ssim\nstep 5"),
    ] {
        let text = place.text(&format!("torn/{file}"));
        place.write(&format!("torn/{file}"), format!("{text}{tail}").as_bytes());
    }
    place.write("torn/samples/step-00000059.png", b"of a later step");
    place.write("torn/samples/labels-00000059.png", b"of a later step");
    place.write("torn/checkpoints/step-00000040.part", b"half a checkpoint");
    place.write(
        "torn/checkpoints/step-00000033.safetensors",
        b"without its description",
    );
    place.train(&["--resume", "--out", "torn"]).done();
    assert_same_run(&place, "whole", "torn");
    let names = |run: &str| {
        let mut names: Vec<_> = fs::read_dir(place.path(&format!("{run}/checkpoints")))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("whole"), names("torn"));
}

/// Trains on with files limited to `blocks` of 512 bytes: writing beyond fails as on a full disk.
#[cfg(unix)]
fn train_on_a_full_disk(place: &Place, blocks: u32) -> Said {
    let mut shell = Command::new("sh");
    let binary = env!("CARGO_BIN_EXE_demotic");
    let train = format!(
        "trap '' XFSZ; ulimit -f {blocks}; exec {binary} train --resume --out run --steps 30 --device flex"
    );
    shell.args(["-c", &train]).current_dir(place.path("."));
    shell.stdin(std::process::Stdio::null());
    said(shell)
}

#[test]
#[cfg(unix)]
fn a_disk_that_fills_loses_at_most_the_checkpoint_being_written() {
    let place = Place::with_run_on_discs();
    let config = place
        .text("run/config.toml")
        .replace("sample_steps = 6 ", "sample_steps = 999 ");
    place.write("run/config.toml", config.as_bytes());
    let checkpoints = |place: &Place| -> Vec<_> {
        let all = place.contents().into_iter();
        all.filter(|(name, _)| name.starts_with("run/checkpoints"))
            .collect()
    };
    let before = checkpoints(&place);
    let count = before.len();
    assert!(
        [4, 6].contains(&count),
        "{count} files: the newest two, and the best where it is older"
    );
    // A checkpoint of this network has 140 kB.
    let said = train_on_a_full_disk(&place, 200);
    said.refused(1, "cannot write checkpoint (earlier ones are untouched)");
    assert!(before == checkpoints(&place), "checkpoints changed");
    place
        .run(&["evaluate", "--run", "run", "--device", "flex"])
        .done();
    // Once there is room, the run goes on as if nothing had been.
    place
        .train(&["--resume", "--out", "run", "--steps", "30"])
        .done();
    let other = Place::with_run_on_discs();
    other.write("run/config.toml", config.as_bytes());
    other
        .train(&["--resume", "--out", "run", "--steps", "30"])
        .done();
    assert!(
        checkpoints(&place) == checkpoints(&other),
        "not the same end"
    );
}

/// A divergence that big steps cause and small ones do not: at the full rate the gradients' norm overflows.
const DIVERGES: [&str; 12] = [
    "--set",
    "loss.kl=1e17",
    "--set",
    "train.generator_rate=1",
    "--set",
    "train.gradient_norm_max=0",
    "--set",
    "train.warmup_steps=0",
    "--set",
    "train.rollback_rate=0.000001",
    "--set",
    "train.tick_steps=2",
];

#[test]
fn a_run_that_diverges_goes_back_with_smaller_rates_and_still_resumes_exactly() {
    let place = Place::of_discs();
    let run = |out: &'static str| {
        begin(
            &place,
            &[&["tiny.toml", "--steps", "40", "--out", out][..], &DIVERGES].concat(),
        )
    };
    assert_eq!(run("whole").wait().expect("a child").code(), Some(0));
    let log = place.text("whole/log.txt");
    assert!(
        log.contains(
            "diverged: g_norm is inf; back to the checkpoint of step 0, both rates times 0.000001"
        ),
        "{log}"
    );
    let stats: Vec<Value> = place
        .text("whole/stats.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let backs: Vec<&Value> = stats
        .iter()
        .filter(|line| line["event"] == "rollback")
        .collect();
    assert_eq!(backs.len(), 1, "{stats:?}");
    assert!(
        backs[0]["step"] == 0
            && backs[0]["diverged_at"].as_u64() > Some(0)
            && backs[0]["rate_scale"] == 1e-6,
        "{backs:?}"
    );
    let steps: Vec<u64> = stats
        .iter()
        .filter(|line| line.get("event").is_none())
        .filter_map(|line| line["step"].as_u64())
        .collect();
    assert!(
        steps.is_sorted_by(|a, b| a < b),
        "every step is there once: {steps:?}"
    );
    let info: Value =
        serde_json::from_str(&place.text("whole/checkpoints/step-00000040.json")).expect("JSON");
    assert_eq!(info["rollbacks"], 1);

    kill_after(&place, "killed", run("killed"), 22, 300);
    place.train(&["--resume", "--out", "killed"]).done();
    assert_same_run(&place, "whole", "killed");
}

#[test]
fn a_run_that_cannot_be_mended_says_so_and_keeps_its_checkpoints() {
    let place = Place::of_discs();
    let said = place.train(&words(
        "tiny.toml --out run --set loss.reconstruction=1e30 --set train.rollbacks_max=2",
    ));
    said.refused(
        1,
        "training diverged at step 1: g_norm is inf; it went back 2 of at most 2 times",
    );
    assert!(said.err.contains("run/config.toml"), "{said:#?}");
    assert_eq!(
        said.out.matches("back   step 1 diverged").count(),
        2,
        "{said:#?}"
    );
    place
        .run(&["evaluate", "--run", "run", "--device", "flex"])
        .done();
    // The way out that the message names.
    let config = place.text("run/config.toml");
    let mended: String = config
        .lines()
        .map(|line| {
            if line.starts_with("reconstruction") {
                "reconstruction = 10.0"
            } else {
                line
            }
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    place.write("run/config.toml", mended.as_bytes());
    place.train(&["--resume", "--out", "run"]).done();
}

/// A run whose best is gone says so, and ends by the weights of its last step.
fn a_run_without_its_best_comes_to_its_end(place: &Place, best: u64) {
    let description = format!("other/checkpoints/step-{best:08}.json");
    let whole = place.read(&description);
    std::fs::remove_file(place.path(&description)).expect("a file");
    let gone = format!("the best checkpoint, of step {best}, is gone; use --checkpoint latest");
    for which in ["auto", "best"] {
        let line = format!("evaluate --run other --device flex --checkpoint {which}");
        place.run(&words(&line)).refused(2, &gone);
    }
    std::fs::remove_file(place.path("other/evaluation.json")).expect("a file");
    let said = place.train(&["--resume", "--out", "other"]).done();
    assert!(
        said.out
            .contains("the weights of the last step are scored, not the best"),
        "{said:#?}"
    );
    place.read("other/evaluation.json");
    place.write(&description, &whole);
}

#[test]
fn the_best_checkpoint_stays_and_is_found_by_its_name() {
    let place = Place::with_run_on_discs();
    let stats = place.text("run/stats.jsonl");
    let best = stats
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["is_best"] == true)
        .filter_map(|line| line["step"].as_u64())
        .next_back()
        .expect("a best checkpoint");
    let evaluate = |which: &str| {
        place.run(&[
            "evaluate",
            "--run",
            "run",
            "--device",
            "flex",
            "--checkpoint",
            which,
        ])
    };
    assert!(
        evaluate("best")
            .done()
            .out
            .contains(&format!("step {best} "))
    );
    // Taken where nothing is said, too.
    assert!(
        evaluate("auto")
            .done()
            .out
            .contains(&format!("step {best} "))
    );
    assert!(evaluate("latest").done().out.contains("step 12 "));
    assert!(evaluate("10").done().out.contains("step 10 "));
    evaluate("7").refused(2, "this run keeps no checkpoint of step 7");
    evaluate("newest").refused(2, "expected auto, latest, best or the number of a step");

    // However many come after it.
    let metric = "train.best_metric=l1";
    let sets = [
        "--set",
        metric,
        "--set",
        "train.generator_rate=0.01",
        "--set",
        "train.checkpoints_kept=1",
    ];
    let said = place
        .train(&[&["tiny.toml", "--steps", "20", "--out", "other"][..], &sets].concat())
        .done();
    assert_eq!(said.code, Some(0));
    assert!(place.text("other/log.txt").contains("best   by l1 of "));
    // From here on nothing holds a translation to its input.
    let config = place.text("other/config.toml");
    let worse = config.lines().flat_map(|line| {
        let line = match line.split_once(" = ") {
            Some(("reconstruction", _)) => "reconstruction = 0.0",
            Some(("cycle", _)) => "cycle = 0.0",
            Some(("adversarial", _)) => "adversarial = 1000.0",
            Some(("generator_rate", _)) => "generator_rate = 0.3",
            _ => line,
        };
        [line, "\n"]
    });
    place.write("other/config.toml", worse.collect::<String>().as_bytes());
    place
        .train(&["--resume", "--out", "other", "--steps", "40"])
        .done();
    let values: Vec<(u64, f64)> = place
        .text("other/stats.jsonl")
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| Some((line["step"].as_u64()?, line["figures"]["l1"].as_f64()?)))
        .collect();
    assert_eq!(values.len(), 8);
    let lowest = values
        .iter()
        .fold((0, f64::INFINITY), |a, b| if b.1 < a.1 { *b } else { a });
    let said = place
        .run(&words(
            "evaluate --run other --device flex --checkpoint best",
        ))
        .done();
    assert!(
        said.out.contains(&format!("step {} ", lowest.0)),
        "{said:#?} {values:?}"
    );

    a_run_without_its_best_comes_to_its_end(&place, lowest.0);

    // Whatever becomes of the newest.
    assert_ne!(lowest.0, 40, "others came after it: {values:?}");
    let best = || {
        let named = ["--run", "other", "--checkpoint", "best"];
        place.run(&[&["evaluate", "--device", "flex"], &named[..]].concat())
    };
    let named = format!("step {} ", lowest.0);
    place.write("other/checkpoints/step-00000040.safetensors", b"cut");
    assert!(best().done().out.contains(&named));
    place.write("other/checkpoints/step-00000040.json", b"{");
    assert!(best().done().out.contains(&named));
}

#[test]
fn pictures_without_counterparts_choose_the_best_by_a_distance_between_sets() {
    let place = Place::new();
    // Thirty of every style for either split: as few as a distance between sets is measured on. Other names
    // in one style: no pairs anywhere.
    place.discs("discs", 400);
    for (style, stem) in [("filled", "disc"), ("hollow", "ring")] {
        let mut wanted = [60, 30, 30];
        for i in 0..400 {
            let name = format!("{stem}-{i:02}");
            let of_split = &mut wanted[split_of_family(&name) as usize];
            if *of_split > 0 {
                *of_split -= 1;
                let disc = place.read(&format!("discs/{style}/disc-{i:02}.png"));
                place.write(&format!("pictures/{style}/{name}.png"), &disc);
            }
        }
        assert_eq!(wanted, [0; 3], "{style}");
    }
    let config = crate::support::TINY.replace("styles = [\"openmoji-line\", \"openmoji\"]", "");
    place.write("own.toml", config.as_bytes());
    let train = ["own.toml", "--data", "pictures", "--out", "run"];
    let said = place.train(&train).done();
    let log = place.text("run/log.txt");
    assert!(log.contains("best   by kid of sets of "), "{log}");
    // Nor are there pairs to score: sets are compared, and the discriminator is heard.
    assert!(
        ["scored as sets, by KID alone", "unpaired", "patches right"]
            .iter()
            .all(|words| said.out.contains(words)),
        "{said:#?}"
    );
    let evaluation: Value = serde_json::from_str(&place.text("run/evaluation.json")).expect("JSON");
    assert_eq!(evaluation["directions"], serde_json::json!([]));
    for direction in evaluation["unpaired"].as_array().expect("a list") {
        for method in ["model", "copy"] {
            assert!(
                direction[method]["kid"]["value"].is_number(),
                "{direction:#}"
            );
        }
    }
    assert!(evaluation["recognition"]["all"]["picture"]["value"].is_number());
    // The page speaks of pairs nowhere, and has a verdict all the same.
    let page = place.text("run/report.html");
    assert!(
        page.contains("class=\"verdict\">Translations look "),
        "a verdict"
    );
    for of_pairs in [
        "true picture",
        "<small>aligned",
        ">true pair",
        "<th>pair<td>",
    ] {
        assert!(!page.contains(of_pairs), "`{of_pairs}` without pairs");
    }
    // Sample grids, of which films are made, have no columns for counterparts that are not there.
    let grid = place.read("run/samples/step-00000012.png");
    for columns in [
        r#""columns":["input","again","hollow"]"#,
        r#""columns":["input","again","filled"]"#,
    ] {
        let is_there = grid.windows(columns.len()).any(|w| w == columns.as_bytes());
        assert!(is_there, "{columns}");
    }
    // Other pictures under the run's name: said, not passed over.
    let other = place.path("pictures/filled/disc-00.png");
    fs::copy(place.path("pictures/filled/disc-01.png"), &other).expect("a copy");
    let said = place
        .run(&[
            "evaluate",
            "--run",
            "run",
            "--device",
            "flex",
            "--json",
            "scores.json",
        ])
        .done();
    let words = "these are not the pictures of training";
    assert!(
        said.out.contains(words) && place.text("scores.json").contains(words),
        "{said:#?}"
    );
    let refused = [
        &["train", "--device", "flex"],
        &train[..4],
        &["new", "--set", "train.best_metric=psnr"],
    ]
    .concat();
    place.refuses(
        &refused,
        2,
        "train.best_metric: `psnr` needs validation pictures with a counterpart",
    );
}

/// `cargo test --release --test all memory_stays -- --ignored --nocapture`: a minute on Flex, longer on a
/// software adapter.
#[test]
#[ignore = "10,000 steps"]
fn memory_stays_where_it_was_after_the_first_steps() {
    let place = Place::new();
    let adapter = place.run(&["devices", "--json"]).done();
    let has_adapter = serde_json::from_str::<Value>(&adapter.out).is_ok_and(|said| {
        said["adapters"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
    });
    for (device, steps, asked) in [("flex", "10000", true), ("wgpu", "2000", has_adapter)] {
        if !asked {
            eprintln!("no adapter: {device} was not asked");
            continue;
        }
        let sets = words(
            "--set train.tick_steps=20 --set train.sample_steps=250 --set train.checkpoint_steps=100",
        );
        let train = [
            "train",
            "tiny.toml",
            "--device",
            device,
            "--steps",
            steps,
            "--out",
            device,
        ];
        place.run(&[&train[..], &sets].concat()).done();
        eprintln!("{device}");
        let stats = place.text(&format!("{device}/stats.jsonl"));
        assert_memory_stays(&stats, 500, steps.parse().expect("a number"));
    }
}
