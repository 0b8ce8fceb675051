//! What the program says about itself.

use std::process::Stdio;

use serde_json::Value;

use crate::support::{Place, said, words};

const COMMANDS: &[&[&str]] = &[
    &["train"],
    &["translate"],
    &["evaluate"],
    &["recognize"],
    &["export"],
    &["report"],
    &["ablate"],
    &["sample"],
    &["draw"],
    &["say"],
    &["rephrase"],
    &["read"],
    &["learn-words"],
    &["data"],
    &["data", "import"],
    &["data", "inspect"],
    &["data", "export"],
    &["devices"],
    &["doctor"],
    &["compare"],
    &["bench"],
    &["serve"],
    &["configs"],
    &["completions"],
    &["man"],
];

#[test]
fn every_command_explains_itself() {
    let place = Place::new();
    let whole = place.run(&["--help"]).done();
    // Every command is looked at here.
    let section = whole.out.lines().skip_while(|line| *line != "Commands:");
    let mut listed = 0;
    for line in section.skip(1).take_while(|line| !line.is_empty()) {
        let name = line
            .strip_prefix("  ")
            .and_then(|line| line.split(' ').next());
        // The rest of a summary that is longer than a line.
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            continue;
        };
        let is_known = ["help", "lend"].contains(&name);
        assert!(
            is_known || COMMANDS.iter().any(|command| command[0] == name),
            "{name} is not in COMMANDS"
        );
        listed += 1;
    }
    assert!(listed > 20, "{whole:#?}");
    for &command in COMMANDS {
        let said = place.run(&[command, &["--help"]].concat()).done();
        assert!(
            said.out
                .contains(&format!("Usage: demotic {}", command.join(" "))),
            "{said:#?}"
        );
        assert!(whole.out.contains(command[0]), "{whole:#?}");
        let teaches = !matches!(command, ["data"]);
        assert_eq!(said.out.contains("Examples:\n"), teaches, "{said:#?}");
        assert!(
            !said.out.contains('\x1b'),
            "no escapes when piped: {said:#?}"
        );
    }
    assert!(whole.out.contains("130 interrupted"), "{whole:#?}");
    assert!(place.run(&["--version"]).done().out.starts_with("demotic "));
}

#[test]
fn paragraphs_of_help_are_broken_where_a_line_is_full_and_nowhere_else() {
    const WIDTH: usize = 100;
    let place = Place::new();
    for command in COMMANDS.iter().copied().chain([&[][..]]) {
        let mut help = place.command(&[command, &["--help"]].concat());
        help.env("COLUMNS", WIDTH.to_string());
        let said = crate::support::said(help).done();
        assert!(!said.out.contains("\\\""), "{said:#?}");
        let lines: Vec<&str> = said.out.lines().collect();
        // Lists and examples are indented; titles end with a colon.
        let is_prose =
            |line: &str| !line.is_empty() && !line.starts_with(' ') && !line.ends_with(':');
        for pair in lines
            .windows(2)
            .filter(|pair| pair.iter().all(|line| is_prose(line)))
        {
            let word = pair[1].split(' ').next().unwrap_or_default();
            assert!(
                pair[0].chars().count() + 1 + word.chars().count() > WIDTH,
                "{command:?}: `{word}` has room in `{}`",
                pair[0]
            );
        }
        // An example is a line: what is broken cannot be copied.
        let examples = lines
            .iter()
            .skip_while(|line| !matches!(**line, "Examples:" | "Start here:"))
            .skip(1)
            .take_while(|line| !line.is_empty());
        for line in examples {
            assert!(line.chars().count() <= 76, "{command:?}: `{line}` is long");
            // A comment has a line of its own.
            let mut programs = ["demotic", "npm", "python3", "#"].into_iter();
            assert!(
                programs.any(|program| line.starts_with(&format!("  {program} "))),
                "{command:?}: `{line}`"
            );
        }
    }
}

#[test]
fn devices_are_explained_in_one_place() {
    let place = Place::new();
    let said = place.run(&["devices", "--help"]).done().out;
    assert!(said.contains("wgpu:0,wgpu:1") && said.contains("remote:ID@HOST:PORT"));
    for command in ["translate", "train", "doctor", "serve"] {
        let said = place.run(&[command, "--help"]).done().out;
        let text: Vec<&str> = said.split_whitespace().collect();
        let line = "auto, flex, wgpu, wgpu:N; `demotic devices` lists and explains [default: auto]";
        assert!(text.join(" ").contains(line), "{command}: {said}");
        assert!(!said.contains("wgpu:0,wgpu:1"), "{command}: {said}");
    }
}

#[test]
fn a_driver_that_computes_on_the_processor_is_told_once() {
    let place = Place::new();
    let devices = place.run(&["devices", "--json"]).done();
    let devices: Value = serde_json::from_str(&devices.out).expect("JSON");
    // No row has this name: a device is opened, and nothing is timed.
    let said = |device: &str| {
        let bench = ["bench", "--device", device, "--only", "no-row"];
        place.run(&bench).err
    };
    assert!(!said("flex").contains("warning"));
    if devices["adapters"][0]["kind"] != "software" {
        eprintln!("skipped: there is no software adapter");
        return;
    }
    let warned = said("wgpu:0");
    assert_eq!(warned.matches("warning: wgpu:0 ").count(), 1, "{warned}");
    assert!(warned.contains("--device flex does that"), "{warned}");
}

#[test]
fn help_names_the_styles_of_the_weights_in_the_program() {
    let place = Place::new();
    for command in ["translate", "sample", "draw"] {
        let said = place.run(&[command, "--help"]).done();
        let text: Vec<&str> = said.out.split_whitespace().collect();
        let text = text.join(" ");
        let named = "The weights in the program know fluent-flat, fluent-high-contrast, noto, openmoji, openmoji-line, twemoji;";
        assert!(text.contains(named), "{said:#?}");
    }
}

#[test]
fn wrong_usage_is_refused_with_the_right_one() {
    let place = Place::new();
    for (arguments, expected) in [
        (&["trian"][..], "unrecognized subcommand 'trian'"),
        (&["train", "--step", "5"], "unexpected argument '--step'"),
        (
            &["train", "--steps", "0"],
            "invalid value '0' for '--steps <N>': expected at least 1",
        ),
        (&["train", "--steps", "many"], "invalid value 'many'"),
        (
            &["train", "--resume", "--set", "seed=1"],
            "cannot be used with",
        ),
        (&["train", "--resume", "--dry-run"], "cannot be used with"),
        (
            &words("translate --run run --to openmoji --out out"),
            "<INPUT>...",
        ),
        (&["translate", "a.png"], "--to <STYLE>"),
        (
            &["evaluate", "--run", "run", "--split", "train"],
            "possible values: test, validation",
        ),
        (&["data", "import", "a.tgz"], "--out <DIR>"),
        (
            &["data", "inspect", "--size-px", "3", "emoji"],
            "3 is not in 8..=1024",
        ),
        (&["completions", "dos"], "possible values: bash"),
    ] {
        place.refuses(arguments, 2, expected);
    }
}

#[test]
fn completions_know_the_commands() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = place.run(&["completions", shell]).done().out;
        assert!(
            script.contains("translate") && script.contains("dry-run"),
            "{shell}"
        );
    }
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let place = Place::new();
    for arguments in [
        &["completions", "bash"][..],
        &["devices"],
        &words("data inspect --size-px 16 --styles openmoji,openmoji-line emoji"),
    ] {
        let mut child = place
            .command(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("the binary ends");
        assert_eq!(
            (
                output.status.code(),
                String::from_utf8_lossy(&output.stderr).as_ref()
            ),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn devices_say_what_auto_takes_and_why() {
    let place = Place::new();
    let said = place.run(&["devices"]).done();
    assert!(
        said.out.contains("flex ") && said.out.contains("auto "),
        "{said:#?}"
    );
    let json: Value =
        serde_json::from_str(&place.run(&["devices", "--json"]).done().out).expect("JSON");
    assert!(
        json["auto"].is_string() && json["reason"].is_string(),
        "{json:#}"
    );
    for adapter in json["adapters"].as_array().expect("adapters") {
        for key in ["name", "kind", "api", "driver", "shader_language", "crf"] {
            assert!(adapter[key].is_string(), "{key}: {json:#}");
        }
        assert!(adapter["buffer_bytes_max"].as_u64() > Some(1 << 20));
        assert!(said.out.contains(adapter["name"].as_str().expect("a name")));
    }
    // An interface is used or not.
    let used = &json["adapters"][0]["api"];
    for unused in json["unused"].as_array().expect("those that are not used") {
        for key in ["name", "kind", "api", "driver", "reason"] {
            assert!(unused[key].is_string(), "{key}: {json:#}");
        }
        assert_ne!(&unused["api"], used);
        assert!(said.out.contains("\nunused  "), "{said:#?}");
    }
    let further = json["further"].as_array().expect("those of features");
    let has_tch = further.iter().any(|device| device["name"] == "tch");
    assert_eq!(has_tch, cfg!(feature = "tch"), "{json:#}");
    if let Some(first) = json["adapters"][0]["name"].as_str() {
        place.refuses(
            &["doctor", "--device", "wgpu:99"],
            2,
            &format!("no adapter number 99; there are wgpu:0 ({first})"),
        );
    }
    let is_built = |name: &str| {
        let all = json["backends"].as_array().expect("backends");
        let found = all.iter().find(|b| b["name"] == name);
        found.expect("known")["is_built"].as_bool()
    };
    assert_eq!(
        ["flex", "wgpu", "spirv"].map(is_built),
        [
            Some(true),
            Some(cfg!(feature = "wgpu")),
            Some(cfg!(feature = "spirv"))
        ]
    );

    let mut bare = place.command(&["devices"]);
    bare.env("VK_DRIVER_FILES", "/nonexistent")
        .env("VK_ICD_FILENAMES", "/nonexistent");
    let said = crate::support::said(bare).done();
    if cfg!(target_os = "linux") {
        assert!(
            said.out.contains("auto    flex: wgpu finds no adapter"),
            "{said:#?}"
        );
        assert!(said.out.contains("apt-get install libvulkan1"), "{said:#?}");
    }
}

#[test]
fn compare_finds_a_device_equal_to_itself() {
    let place = Place::new();
    let compare = |more: &[&str]| {
        let start = ["compare", "--devices", "flex,flex", "--config", "tiny.toml"];
        let mut command = place.command(&[&start[..], more].concat());
        // Each thread that multiplies matrices for the first time takes 2.1 MiB for good: one thread here.
        command.env("RAYON_NUM_THREADS", "1");
        said(command).done().out
    };
    let json: Value = serde_json::from_str(&compare(&["--json", "--steps", "24"])).expect("JSON");
    let apart = &json["devices"][1]["apart"];
    for key in ["losses_relative_max", "weights_max", "weights_median"] {
        assert_eq!(apart[key].as_f64(), Some(0.0), "{json:#}");
    }
    assert!(json["devices"][0]["apart"].is_null(), "{json:#}");
    let devices = json["devices"].as_array().expect("devices");
    for (device, name) in devices.iter().zip(["flex", "flex (2)"]) {
        assert_eq!(device["name"], name);
        assert_eq!(device["step_secs"].as_array().map(Vec::len), Some(22));
        assert_eq!(device["round_secs"].as_array().map(Vec::len), Some(20));
        assert!(device["phases"]["generator_backward_secs"].as_f64() > Some(0.0));
        assert!(device["failure"].is_null(), "{json:#}");
    }
    // Whoever comes first: beside what the process takes once, two trainers of one kind take the same memory.
    let [first, second] = [0, 1].map(|n| devices[n]["host_bytes"].as_u64().expect("counted"));
    assert!(second > 1 << 18 && first >= second, "{first} {second}");
    // The first one also fills the scratch memory of the thread, which the second finds: 2.1 MiB.
    assert!(first - second < 3 << 20, "{first} {second}");
    assert!(json["host_peak_bytes"].as_u64() > Some(1 << 20));
    // A 99.7 % interval of 20 rounds is wrong once in 400 times: twice in a row is no chance.
    let is_told = |json: &Value| json["faster"][0]["is_told"].as_bool().expect("20 rounds");
    let again = || serde_json::from_str(&compare(&["--json", "--steps", "24"])).expect("JSON");
    assert!(!is_told(&json) || !is_told(&again()), "{json:#}");

    // What the table says follows from the rounds there are.
    let few = compare(&["--steps", "5"]);
    assert!(few.contains("3 rounds are too few to tell"), "{few}");
    let alike = ["compare", "--config", "tiny.toml"];
    place.refuses(
        &[&alike[..], &["--devices", "gpu"]].concat(),
        2,
        "expected auto, flex",
    );
    place.refuses(&alike, 2, "--devices");
}

#[test]
fn a_device_that_fails_leaves_the_figures_of_the_others_and_exit_code_1() {
    let place = Place::new();
    let start = ["compare", "--config", "tiny.toml", "--steps", "4"];
    // Without a driver there is no adapter.
    let compare = |more: &[&str]| {
        let devices = ["--devices", "wgpu,flex"];
        let mut command = place.command(&[&start[..], &devices, more].concat());
        command
            .env("VK_DRIVER_FILES", "/nonexistent")
            .env("VK_ICD_FILENAMES", "/nonexistent");
        crate::support::said(command)
    };
    if cfg!(all(target_os = "linux", feature = "wgpu")) {
        let said = compare(&["--json"]);
        said.refused(1, "1 of 2 devices failed: wgpu");
        let json: Value = serde_json::from_str(&said.out).expect("JSON");
        let failure = json["devices"][0]["failure"].as_str().unwrap_or_default();
        assert!(failure.contains("no adapter number 0"), "{json:#}");
        assert!(json["devices"][0]["spread"].is_null(), "{json:#}");
        assert!(json["devices"][1]["spread"]["median_secs"].as_f64() > Some(0.0));
        assert_eq!(json["faster"], serde_json::json!([]));
        let said = compare(&[]);
        said.refused(1, "1 of 2 devices failed: wgpu");
        let reported = ["\nflex  ", "\nfailed  wgpu: device: no adapter"];
        assert!(
            reported.iter().all(|line| said.out.contains(line)),
            "{said:#?}"
        );
    }
    // In the midst of training, on all of them.
    let diverges = words("--devices flex,flex --set loss.reconstruction=1e30");
    let said = place.run(&[&start[..], &diverges].concat());
    said.refused(1, "2 of 2 devices failed: flex, flex (2)");
    for name in ["flex", "flex (2)"] {
        let line = format!("\nfailed  {name}: training diverged");
        assert!(said.out.contains(&line), "{said:#?}");
    }
    // A fault of the configuration is no device's: these pictures have no pairs.
    place.discs("pictures", 12);
    for i in 0..12 {
        let name = |stem: &str| place.path(&format!("pictures/hollow/{stem}-{i:02}.png"));
        std::fs::rename(name("disc"), name("ring")).expect("a rename");
    }
    let refused = words(
        "--devices flex --set data.source=\"pictures\" --set data.styles=[] --set train.pairs=\"all\"",
    );
    place.refuses(
        &[&start[..], &refused].concat(),
        2,
        "train.pairs: this needs pictures of the same name",
    );
}

#[test]
fn bench_checks_and_times_the_rows_that_are_asked_for() {
    let place = Place::new();
    let bench = ["bench", "--device", "flex", "--secs", "0.01"];
    let only = ["--only", "cpu/flex/B8_8x8_L3,reference/flex/T16"];
    let said = place
        .run(&[&bench[..], &only, &["--json"]].concat())
        .done()
        .out;
    let json: Value = serde_json::from_str(&said).expect("JSON");
    let cases = json["cases"].as_array().expect("cases");
    let labels: Vec<&str> = cases.iter().filter_map(|c| c["label"].as_str()).collect();
    assert_eq!(
        labels,
        [
            "crf_grid/cpu/flex/B8_8x8_L3",
            "crf/reference/flex/T16_B1024_L8"
        ]
    );
    for case in cases {
        assert!(case["failure"].is_null() && case["calls"].as_u64() >= Some(5));
        let [secs, share] = ["median_secs", "copy_share"].map(|key| {
            let value = case[key].as_f64();
            value.filter(|v| *v > 0.0).expect("a figure")
        });
        let [bytes, copies] = [&case["bytes"], &json["copy_bytes_per_sec"]].map(Value::as_f64);
        let expected = bytes.expect("bytes") / secs / copies.expect("a rate");
        assert!((share / expected - 1.0).abs() < 1e-9, "{case:#}");
    }
    let table = place.run(&[&bench[..], &only].concat()).done().out;
    assert!(labels.iter().all(|label| table.contains(label)), "{table}");
    // Kernels of the networks: own beside Burn's, with their share of the multiply-adds, too.
    let only = ["--only", "b8_144to3_8px", "--json"];
    let said = place.run(&[&bench[..], &only].concat()).done().out;
    let json: Value = serde_json::from_str(&said).expect("JSON");
    let cases = json["cases"].as_array().expect("cases");
    let labels: Vec<&str> = cases.iter().filter_map(|c| c["label"].as_str()).collect();
    let of = |way: &str| format!("conv1x1-{way}/flex/b8_144to3_8px");
    let expected = ["forward/own", "train/own", "forward/burn", "train/burn"].map(of);
    assert_eq!(labels, expected);
    for case in cases {
        assert!(case["failure"].is_null(), "{case:#}");
        let figure = |value: &Value| value.as_f64().filter(|v| *v > 0.0).expect("a figure");
        let adds = figure(&case["multiply_adds"]) / figure(&case["median_secs"]);
        let share = adds / figure(&json["fma_per_sec"]);
        assert!((figure(&case["multiply_add_share"]) / share - 1.0).abs() < 1e-9);
    }
    place.refuses(
        &[&bench[..], &["--only", "T17"]].concat(),
        2,
        "--only: no label holds `T17`; labels are such as crf/cpu/flex/T16_B1024_L8",
    );
    place.refuses(&["bench", "--secs", "0"], 2, "from 0.001 to 600");
    place.refuses(&["bench", "--device", "gpu"], 2, "expected auto, flex");
}
