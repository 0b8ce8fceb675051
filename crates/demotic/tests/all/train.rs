//! A training run and what it leaves behind.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Place, TINY, few_emoji, words};

#[test]
fn event_files_hold_figures_pictures_and_every_setting() {
    let place = Place::of_discs();
    let sets = "--set train.tensorboard=true --set seed=7";
    place
        .train(&words(&format!("tiny.toml --out run {sets}")))
        .done();
    let events = place.read("run/tensorboard/events.out.tfevents.0000000000.demotic");
    let holds = |wanted: &[u8]| events.windows(wanted.len()).any(|window| window == wanted);
    for tag in [
        "train/d_real",
        "train/g_reconstruction",
        "samples",
        "labels",
        "settings",
    ] {
        assert!(holds(tag.as_bytes()), "{tag}");
    }
    // Pictures byte for byte; settings as a table, those that are not the default in bold.
    for step in [6, 12] {
        for kind in ["step", "labels"] {
            let name = format!("run/samples/{kind}-{step:08}.png");
            assert!(holds(&place.read(&name)), "{name}");
        }
    }
    for row in [
        "| setting | value |\n",
        "| **seed** | **7** |",
        "| **train.steps** | **12** |",
        "| loss.composite_warmup_steps | 200 |",
    ] {
        assert!(holds(row.as_bytes()), "{row}");
    }
}

#[test]
fn a_run_leaves_every_file_it_promises() {
    let place = Place::with_run();
    let files: Vec<String> = place
        .contents()
        .keys()
        .filter_map(|path| {
            Some(
                path.strip_prefix("run")
                    .ok()?
                    .to_string_lossy()
                    .into_owned(),
            )
        })
        .collect();
    // The newest two checkpoints, and the best one where it is older.
    let stats = place.text("run/stats.jsonl");
    let stats = stats
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let best = stats
        .filter(|line: &Value| line["is_best"] == true)
        .filter_map(|line| line["step"].as_u64())
        .next_back()
        .expect("a best checkpoint");
    let checkpoints = BTreeSet::from([10, 12, best]).into_iter().flat_map(|step| {
        ["json", "safetensors"].map(|ending| format!("checkpoints/step-{step:08}.{ending}"))
    });
    let others = [
        "config.toml",
        "evaluation.json",
        "header.json",
        "log.txt",
        "report.html",
        "samples/fakes_init.png",
        "samples/labels-00000006.png",
        "samples/labels-00000012.png",
        "samples/reals.png",
        "samples/step-00000006.png",
        "samples/step-00000012.png",
        "stats.jsonl",
    ];
    let expected: Vec<String> = checkpoints.chain(others.map(str::to_owned)).collect();
    assert_eq!(files, expected);
    for sample in [
        "fakes_init",
        "reals",
        "labels-00000012",
        "step-00000006",
        "step-00000012",
    ] {
        let picture = image::load_from_memory(&place.read(&format!("run/samples/{sample}.png")))
            .expect("a PNG");
        assert!(
            picture.width() > 300 && picture.height() > 200,
            "{sample}: {}x{}",
            picture.width(),
            picture.height()
        );
    }
    assert_ne!(
        place.read("run/samples/fakes_init.png"),
        place.read("run/samples/step-00000012.png")
    );
}

#[test]
fn figures_come_as_one_json_a_tick_and_as_equally_long_lines() {
    let place = Place::with_run();
    let stats: Vec<Value> = place
        .text("run/stats.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let (stats, events): (Vec<Value>, Vec<Value>) = stats
        .into_iter()
        .partition(|line| line.get("event").is_none());
    let validated: Vec<u64> = events
        .iter()
        .filter(|event| event["event"] == "validation" && event["figures"]["ssim"].is_f64())
        .filter_map(|event| event["step"].as_u64())
        .collect();
    assert_eq!(validated, [5, 10, 12]);
    let steps: Vec<u64> = stats
        .iter()
        .filter_map(|tick| tick["step"].as_u64())
        .collect();
    assert_eq!(steps, [5, 10, 12]);
    for tick in &stats {
        for key in [
            "kimg",
            "d_real",
            "d_fake",
            "d_composite",
            "d_real_prob",
            "d_fake_prob",
            "g_reconstruction",
            "g_kl",
            "g_cycle",
            "g_adversarial",
            "secs_per_kimg",
        ] {
            let value = tick[key].as_f64().unwrap_or(f64::NAN);
            assert!(value.is_finite() && value > 0.0, "{key}: {tick}");
        }
        assert!(
            (0.0..=1.0).contains(&tick["data_wait_share"].as_f64().unwrap_or(f64::NAN)),
            "{tick}"
        );
    }
    let log = place.text("run/log.txt");
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.starts_with("step "))
        .collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert!(
        lines.iter().all(|line| line.len() == lines[0].len()
            && line.contains("sec/kimg")
            && line.contains("left")),
        "{log}"
    );
}

#[test]
fn the_header_names_version_device_crf_data_and_changed_settings() {
    let place = Place::with_run();
    let log = place.text("run/log.txt");
    // What is said of the built-in emoji: recipes.rs.
    let data = format!("data   {}  312 items, 16 px", few_emoji().display());
    for expected in [
        concat!("demotic ", env!("CARGO_PKG_VERSION")),
        "device flex (",
        "crf    cpu over 3 labels",
        &data,
        "style  openmoji-line  246 train  31 validation  35 test",
        "pair   openmoji-line  openmoji  aligned",
        "model  generator ",
        "set    [train] steps = 12",
        "set    [generator] channels = 8",
    ] {
        assert!(log.contains(expected), "`{expected}` in {log}");
    }
    assert!(
        !log.contains("set    [train] beta_1"),
        "a default is not marked: {log}"
    );
}

#[test]
fn the_evaluation_has_exactly_the_keys_that_are_promised() {
    let place = Place::with_run();
    let evaluation: Value = serde_json::from_str(&place.text("run/evaluation.json")).expect("JSON");
    let keys = |value: &Value| -> Vec<String> {
        value
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(
        keys(&evaluation),
        [
            "directions",
            "kinds",
            "notes",
            "prior",
            "recognition",
            "unpaired"
        ]
    );
    assert_eq!(evaluation["notes"], serde_json::json!([]));
    let directions = evaluation["directions"].as_array().expect("a list");
    assert_eq!(directions.len(), 2);
    for direction in directions {
        let mut found = keys(direction);
        found.sort();
        assert_eq!(
            found,
            [
                "copy", "from", "kind", "model", "n", "nearest", "remap", "to"
            ]
        );
        assert_eq!(
            (direction["kind"].as_str(), direction["n"].as_u64()),
            (Some("aligned"), Some(35))
        );
        for method in ["model", "copy", "remap", "nearest"] {
            let mut found = keys(&direction[method]);
            found.sort();
            assert_eq!(found, ["kid", "l1", "perceptual", "psnr", "ssim"]);
            let l1 = &direction[method]["l1"];
            let [low, value, high] =
                ["low", "value", "high"].map(|end| l1[end].as_f64().unwrap_or(f64::NAN));
            assert!(
                0.0 < low && low < value && value < high && high < 1.0,
                "{direction:#}"
            );
        }
    }
    let kinds = evaluation["kinds"].as_array().expect("a list");
    assert_eq!((kinds.len(), kinds[0]["directions"].as_u64()), (1, Some(2)));
    let recognition = &evaluation["recognition"];
    assert_eq!(recognition["styles"][1]["style"], "openmoji");
    assert_eq!(recognition["styles"][1]["n"], 35);
    let reported = recognition["all"]["picture"]["value"]
        .as_f64()
        .unwrap_or(f64::NAN);
    assert!((0.0..=1.0).contains(&reported), "{recognition:#}");

    // The command on the finished run gives the same figures, and never replaces a file unasked.
    let said = place
        .run(&words("evaluate --run run --device flex --json again.json"))
        .done();
    assert_eq!(place.text("again.json"), place.text("run/evaluation.json"));
    assert!(
        ["nearest", "split test", "perceptual", "patches right"]
            .iter()
            .all(|word| said.out.contains(word)),
        "{said:#?}"
    );
    place.refuses(
        &words("evaluate --run run --device flex --json again.json"),
        2,
        "the file is there already",
    );
    // Before anything is scored.
    place.refuses(
        &["evaluate", "--run", "run", "--json", "nowhere/again.json"],
        2,
        "there is no such folder to write in",
    );
    place.refuses(
        &["sample", "--run", "run", "--out", "nowhere/sheet.png"],
        2,
        "there is no such folder to write in",
    );
    let validation =
        words("evaluate --run run --device flex --split validation --json again.json --force");
    place.run(&validation).done();
    let evaluation: Value = serde_json::from_str(&place.text("again.json")).expect("JSON");
    assert_eq!(evaluation["directions"][0]["n"].as_u64(), Some(31));
}

#[test]
fn a_warning_is_told_on_the_screen_in_the_log_and_in_the_figures_once() {
    let place = Place::of_discs();
    // Transition scores that no patch overcomes.
    let sets = ["discriminator.transitions=potts", "discriminator.potts=9"];
    let sets = sets.into_iter().flat_map(|set| ["--set", set]);
    let start = ["tiny.toml", "--out", "run", "--set", "train.tick_steps=2"];
    let train: Vec<&str> = start.into_iter().chain(sets).collect();
    let said = place.train(&train).done();
    // Three ticks in a row show it from the sixth step on.
    let reported = "warn   step 6: the CRF is saturated";
    for text in [&said.out, &place.text("run/log.txt")] {
        assert_eq!(text.matches(reported).count(), 1, "{text}");
    }
    let warnings: Vec<Value> = place
        .text("run/stats.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|line: &Value| line["event"] == "warning")
        .filter(|line| line["condition"] == "crf-saturated")
        .collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0]["step"], 6);
    assert!(
        place
            .text("run/report.html")
            .contains("the CRF is saturated")
    );
}

#[test]
fn the_screen_has_few_short_lines_and_the_log_all_of_them() {
    let place = Place::of_discs();
    let start = ["tiny.toml", "--out"];
    let train = |out: &'static str, more: &[&'static str]| {
        place.train(&[&start[..], &[out], more].concat()).done().out
    };
    let short = train("short", &[]);
    let (head, _) = short.split_once("\nstep").expect("a tick");
    assert!(
        head.lines().count() <= 9,
        "eight lines and the pace: {head}"
    );
    assert!(
        head.contains("\npace   ") && head.ends_with("left"),
        "{head}"
    );
    let ticks: Vec<&str> = short
        .lines()
        .filter(|line| line.starts_with("step "))
        .collect();
    assert_eq!(ticks.len(), 3, "{short}");
    assert!(
        ticks
            .iter()
            .all(|line| line.len() <= 80 && line.contains("left ")),
        "{ticks:?}"
    );
    assert!(!short.contains('\u{1b}'), "no colour into a pipe: {short}");
    let log = place.text("short/log.txt");
    assert!(
        log.contains("columns  g_rec") && log.contains("sec/kimg"),
        "{log}"
    );

    let explained = train("explained", &["--explain"]);
    assert!(
        explained.contains("columns  g_rec") && explained.contains("set    [train] steps = 12")
    );
    assert_eq!(train("quiet", &["--quiet"]), "");
    assert!(place.text("quiet/log.txt").contains("step 12/12"));

    let json = train("json", &["--json"]);
    let records: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let steps = records
        .iter()
        .filter(|record| record.get("event").is_none());
    let steps: Vec<Option<u64>> = steps.map(|tick| tick["step"].as_u64()).collect();
    assert_eq!(steps, [Some(5), Some(10), Some(12)]);
    assert_eq!(records[0]["event"], "run");
    let end = records.last().expect("an end");
    assert!(
        end["event"] == "end" && end["evaluation"]["directions"].is_array(),
        "{end}"
    );
}

#[test]
fn runs_are_numbered_and_none_is_overwritten() {
    let place = Place::of_discs();
    for number in 1..=2 {
        let said = place.train(&["tiny.toml", "--steps", "2"]).done();
        assert!(
            said.out.contains(&format!("runs/0000{number}-tiny")),
            "{said:#?}"
        );
    }
    let first = place.read("runs/00001-tiny/log.txt");
    place.refuses(
        &["train", "tiny.toml", "--out", "runs/00001-tiny"],
        2,
        "the run folder is not empty",
    );
    place.refuses(
        &[
            "train",
            "tiny.toml",
            "--dry-run",
            "--out",
            "runs/00001-tiny",
        ],
        2,
        "the run folder is not empty",
    );
    assert_eq!(place.read("runs/00001-tiny/log.txt"), first);

    // Resuming by name takes the newest and leaves the other alone.
    let said = place
        .train(&["tiny.toml", "--resume", "--steps", "4"])
        .done();
    assert!(said.out.contains("runs/00002-tiny"), "{said:#?}");
    assert!(
        place
            .path("runs/00002-tiny/checkpoints/step-00000004.json")
            .exists()
    );
    assert!(
        !place
            .path("runs/00001-tiny/checkpoints/step-00000004.json")
            .exists()
    );
    let config = place.text("runs/00002-tiny/config.toml");
    assert!(config.contains("steps = 4"), "{config}");
}

#[test]
fn the_resolved_configuration_repeats_the_run() {
    let place = Place::with_run_on_discs();
    let config = place.text("run/config.toml");
    assert!(
        config.contains("channels = 8  # not the default") && config.contains("beta_1 = 0.5\n"),
        "{config}"
    );
    place.train(&["run/config.toml", "--out", "again"]).done();
    assert!(
        place.read("run/checkpoints/step-00000012.safetensors")
            == place.read("again/checkpoints/step-00000012.safetensors"),
        "the same settings give the same weights"
    );
}

#[test]
fn a_dry_run_says_all_and_writes_nothing() {
    let place = Place::of_few_emoji();
    let before = place.contents();
    let mut command = place.command(&words(
        "train tiny.toml --device flex --dry-run --explain --out run --steps 77",
    ));
    command.env("XDG_CACHE_HOME", place.path("cache"));
    let said = crate::support::said(command).done();
    for expected in [
        "crf    cpu",
        "style  openmoji ",
        "model  generator",
        "set    [train] steps = 77",
        "best   by overall of 62 validation pairs over 2 directions, sets of 62 validation pictures, 62 pictures there and back",
        "       [discriminator]\n",
        "       steps = 77  # not the default\n",
        "       beta_1 = 0.5\n",
        "memory about ",
        "disk   0.1 MiB a checkpoint",
        "time   about ",
        " for 77 steps at ",
        "nothing was written",
    ] {
        assert!(said.out.contains(expected), "{said:#?}");
    }
    assert!(before == place.contents(), "a dry run wrote files");
    assert!(
        !place.path("run").exists()
            && !place.path("cache").exists()
            && !place.path("runs").exists()
    );
}

#[test]
fn a_folder_of_pictures_trains_as_it_is_with_and_without_pairs() {
    let place = Place::new();
    place.discs("pictures", 30);
    place.write(
        "own.toml",
        TINY.replace("styles = [\"openmoji-line\", \"openmoji\"]", "")
            .as_bytes(),
    );
    for pairs in ["none", "all"] {
        let set = format!("train.pairs={pairs}");
        let said = place
            .train(&[
                "own.toml", "--data", "pictures", "--set", &set, "--out", pairs,
            ])
            .done();
        assert!(
            said.out.contains("hollow, filled") || said.out.contains("filled, hollow"),
            "{said:#?}"
        );
        let log = place.text(&format!("{pairs}/log.txt"));
        assert!(log.contains("pair   filled  hollow"), "{log}");
        let evaluation: Value =
            serde_json::from_str(&place.text(&format!("{pairs}/evaluation.json"))).expect("JSON");
        assert_eq!(
            evaluation["directions"].as_array().map(Vec::len),
            Some(2),
            "{evaluation:#}"
        );
        let paired = place
            .text(&format!("{pairs}/stats.jsonl"))
            .lines()
            .all(|line| !line.contains("\"g_paired\":0.0,"));
        assert_eq!(paired, pairs == "all");
    }
    assert!(
        place.read("none/checkpoints/step-00000012.safetensors")
            != place.read("all/checkpoints/step-00000012.safetensors")
    );
}

#[test]
fn a_handful_of_tiny_pictures_trains() {
    let place = Place::new();
    for style in ["one", "two"] {
        for name in 0..3 {
            let dot = image::RgbaImage::from_pixel(1, 1, image::Rgba([80 * name, 9, 200, 255]));
            place.write(
                &format!("dots/{style}/{name}.png"),
                &crate::support::png(&dot),
            );
        }
    }
    place.write(
        "own.toml",
        TINY.replace("styles = [\"openmoji-line\", \"openmoji\"]", "")
            .as_bytes(),
    );
    let said = place
        .train(&["own.toml", "--data", "dots", "--out", "run", "--steps", "2"])
        .done();
    assert!(said.out.contains("held out: one, two"), "{said:#?}");
}

#[test]
fn a_canvas_that_is_held_is_told_of_on_the_screen() {
    let place = Place::new();
    for (style, margin) in [("large", 1), ("small", 6)] {
        for (name, red) in [("sun", 0), ("tree", 80), ("cat", 160)] {
            let square = image::RgbaImage::from_fn(20, 20, |x, y| {
                let is_ink = [x, y].iter().all(|at| (margin..20 - margin).contains(at));
                image::Rgba(if is_ink { [red, 9, 200, 255] } else { [255; 4] })
            });
            place.write(
                &format!("squares/{style}/{name}.png"),
                &crate::support::png(&square),
            );
        }
    }
    place.write(
        "own.toml",
        TINY.replace("styles = [\"openmoji-line\", \"openmoji\"]", "")
            .as_bytes(),
    );
    let start = words("own.toml --data squares --steps 2 --out");
    let said = |more: &[&str]| place.train(&[&start[..], more].concat()).done().out;
    let held = said(&["held"]);
    assert!(held.contains("\nmargin small fills "), "{held}");
    assert!(held.contains("(loss.canvas 2)\n"), "{held}");
    // Nobody holds it: a warning says what would help.
    let open = said(&["open", "--set", "loss.canvas=0"]);
    assert!(!open.contains("\nmargin "), "{open}");
    assert!(
        open.contains("--set loss.canvas=2 holds the canvas"),
        "{open}"
    );
}

#[test]
fn a_dry_run_is_short_quiet_or_json_as_it_is_asked() {
    let place = Place::of_discs();
    let dry = words("tiny.toml --dry-run --steps 77");
    let short = place.train(&dry).done().out;
    assert!(short.starts_with("memory about "), "{short}");
    assert!(short.contains("time   about ") && short.contains("set    [train] steps = 77"));
    assert!(
        !short.contains("beta_1"),
        "every setting without --explain: {short}"
    );
    assert_eq!(
        place.train(&[&dry[..], &["--quiet"]].concat()).done().out,
        ""
    );
    let said = place.train(&[&dry[..], &["--json"]].concat()).done().out;
    let object: serde_json::Value = serde_json::from_str(&said).expect("one object");
    assert_eq!(object["event"], "dry_run");
    assert_eq!(object["devices"], serde_json::json!(["flex"]));
    assert_eq!(object["steps"], 77);
    assert!(object["secs"].as_f64().expect("seconds") > 0.0);
    assert!(object["memory"]["training_bytes"].as_u64().expect("bytes") > 1000);
    assert_eq!(object["styles"][1]["name"], "filled");
    let of_styles = object["styles"].as_array().expect("styles");
    for style in of_styles {
        let count = |split: &str| style[split].as_u64().expect("a count");
        assert_eq!(count("train") + count("validation") + count("test"), 24);
    }
    let settings = object["settings"].as_array().expect("settings");
    assert!(settings.iter().any(|entry| entry["key"] == "beta_1"));
}

#[test]
fn what_memory_does_not_hold_is_refused_before_a_step_of_it() {
    let place = Place::of_discs();
    // Some 350 GiB: at 256 pixels `--dry-run` says 85 MiB a picture.
    let vast = "train tiny.toml --device flex --set data.size_px=256 --set generator.channels=16 --set \
                generator.channels_min=16 --set train.batch=4096";
    let out = "lower train.batch or data.size_px";
    place.refuses(&words(&format!("{vast} --out run")), 2, out);
    let said = place.run(&words(&format!("{vast} --dry-run")));
    said.refused(2, out);
    assert!(said.out.starts_with("memory about "), "{said:#?}");
}

#[test]
fn hours_on_a_few_pictures_come_with_the_shorter_way() {
    let place = Place::of_discs();
    let said = place.train(&words("tiny.toml --dry-run --steps 1000000000"));
    let said = said.done();
    let last = said.out.lines().last().expect("lines");
    assert!(
        last.starts_with("next   demotic train --from built-in --data ")
            && last.ends_with("24-discs --time 20m"),
        "{said:#?}"
    );
    let said = place.train(&words("tiny.toml --dry-run")).done();
    assert!(!said.out.contains("--from built-in"), "{said:#?}");
}

#[test]
fn every_recipe_is_explained_and_resolves() {
    let place = Place::new();
    let configs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs");
    let guide = std::fs::read_to_string(format!("{configs}/README.md")).expect("the guide");
    for recipe in ["quickstart", "paired", "six-styles"] {
        assert!(
            guide.contains(&format!("{recipe}.toml")),
            "{recipe} is not in the guide"
        );
        let path = format!("{configs}/{recipe}.toml");
        // Small: what a dry run takes is measured by steps and validations of the real networks.
        let small = "--set data.size_px=16 --set generator.channels=24 --set discriminator.channels=16 --set train.batch=2 --set \
                     train.best_metric=l1";
        let start = ["train", &path, "--device", "flex", "--dry-run"];
        let said = place.run(&[&start[..], &words(small)].concat()).done();
        assert!(said.out.contains("nothing was written"), "{said:#?}");
    }
}

#[test]
fn two_devices_share_a_run_that_can_go_on() {
    let place = Place::of_discs();
    let devices = ["--device", "flex,flex"];
    let start = ["train", "tiny.toml", "--out", "run", "--steps", "6"];
    let said = place.run(&[&start[..], &devices].concat()).done();
    assert!(
        said.out.contains("; each takes 1/2 of every step"),
        "{said:#?}"
    );
    // On one core, too: neither device may hold the only worker while it waits for the other.
    let on = ["train", "--resume", "--out", "run", "--steps", "12"];
    let mut on = place.command(&[&on[..], &devices].concat());
    on.env("RAYON_NUM_THREADS", "1");
    crate::support::said(on).done();
    let odd = words("train tiny.toml --set train.batch=3 --out odd");
    place.refuses(
        &[&odd[..], &devices].concat(),
        2,
        "train.batch: 3 pictures per step do not divide into 2 equal parts",
    );
    place.refuses(
        &[
            "compare",
            "--devices",
            "flex,flex,",
            "--config",
            "tiny.toml",
        ],
        2,
        "expected auto, flex",
    );
}

#[test]
fn a_time_becomes_as_many_steps_as_fit() {
    let place = Place::of_discs();
    let began = std::time::Instant::now();
    let said = place.train(&words("tiny.toml --time 3s --out run")).done();
    let config = place.text("run/config.toml");
    let steps = config.lines().find_map(|line| {
        let value = line.strip_prefix("steps = ")?;
        value.split_whitespace().next()?.parse::<u64>().ok()
    });
    let steps = steps.expect("a number of steps");
    // A step takes milliseconds, a hundred beside other work.
    assert!(steps > 4, "{steps} steps: {said:#?}");
    assert!(
        said.out.contains(&format!("for {steps} steps at ")),
        "{said:#?}"
    );
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    let said = place.train(&words("--resume --out run --time 1s")).done();
    assert!(
        said.out.contains(&format!("resume step {steps} of ")),
        "{said:#?}"
    );
    for wrong in ["3", "h", "0s", "5m2h", "-1s", "3 hours"] {
        let said = place.train(&["tiny.toml", "--out", "no", "--time", wrong]);
        assert_eq!(said.code, Some(2), "{wrong}: {said:#?}");
    }
    assert!(!place.path("no").exists());
}

#[test]
fn a_time_chooses_networks_and_a_word_names_them() {
    let place = Place::new();
    place.discs("pictures", 24);
    let dry = "--data pictures --set data.size_px=16 --set train.batch=1 --dry-run --explain";
    let said = |more: &str| {
        let line = format!("{dry} {more}");
        place.train(&words(&line)).done().out
    };
    // Nothing learns from 20,000 pictures in a second.
    let out = said("--time 1s");
    let size = out.lines().find(|line| line.starts_with("size "));
    let size = size.unwrap_or_else(|| panic!("no networks are named: {out}"));
    for part in [
        "draft networks",
        "in 1s",
        "best would see ",
        "and takes 320000",
        "; good ",
    ] {
        assert!(size.contains(part), "`{part}` in {size}");
    }
    let channels = |out: &str| -> Vec<usize> {
        let values = out.lines().filter_map(|line| {
            let value = line.trim().strip_prefix("channels = ")?;
            value.split_whitespace().next()?.parse().ok()
        });
        values.collect()
    };
    assert_eq!(channels(&out), [32, 48]);
    assert_eq!(channels(&said("--quality good")), [64, 72]);
    assert_eq!(
        channels(&said("--quality best --set generator.channels=24")),
        [24, 96]
    );
    // Settings of a file count, unless a quality is asked for.
    place.write("own.toml", b"[generator]\nchannels = 40\n");
    let with_file = |more: &str| {
        let line = format!("own.toml {dry} {more}");
        channels(&place.train(&words(&line)).done().out)
    };
    assert_eq!(with_file("--time 1s"), [40, 72]);
    assert_eq!(with_file("--time 1s --quality auto"), [40, 48]);
    for (wrong, expected) in [
        ("--quality auto", "give --time"),
        (
            "--quality huge",
            "expected auto, draft, good, best, got `huge`",
        ),
        ("--quality good --from built-in", "cannot be used with"),
    ] {
        let line = format!("train --device flex --data pictures {wrong} --out no");
        place.refuses(&words(&line), 2, expected);
    }
}
