//! The doctor outlives what it examines: drivers that kill their process, and people who stop waiting.

use serde_json::Value;

use crate::support::Place;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Names of the checks, in order.
fn operations(found: &Value) -> Vec<&str> {
    let checks = found["checks"].as_array().expect("checks").iter();
    checks.filter_map(|c| c["operation"].as_str()).collect()
}

#[test]
fn doctor_finds_flex_right_and_says_how_fast_it_is() {
    let place = Place::new();
    let examine = |device: &str| {
        let said = place.run(&["doctor", "--device", device, "--quick", "--json"]);
        json(&said.done().out)
    };
    let found = examine("flex");
    assert_eq!(found["is_right"].as_bool(), Some(true), "{found:#}");
    for check in found["checks"].as_array().expect("checks") {
        assert!(check["error"].as_f64() <= check["tolerance"].as_f64());
    }
    assert!(found["step"]["secs"].as_f64() > Some(0.0), "{found:#}");
    assert!(found.get("died").is_none());
    // In a process of its own the findings are the same; without a graphics processor, `auto` is flex.
    let apart = examine("auto");
    let keys = |found: &Value| {
        found
            .as_object()
            .map(|o| o.keys().cloned().collect::<Vec<_>>())
    };
    assert_eq!(keys(&found), keys(&apart));
    assert_eq!(operations(&found), operations(&apart));
    place.refuses(
        &["doctor", "--device", "gpu"],
        2,
        "expected auto, flex, wgpu",
    );
}

#[cfg(target_os = "linux")]
mod death {
    use std::fs;
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    use super::{Place, json, operations};
    use crate::support::{Said, said};

    fn begin(place: &Place, arguments: &[&str]) -> Child {
        let mut command = place.command(&[&["doctor", "--device", "auto"], arguments].concat());
        command.spawn().expect("the binary starts")
    }

    /// The process that `parent` started to examine in: its only child.
    fn examiner(parent: u32) -> u32 {
        let patience = Instant::now() + Duration::from_secs(20);
        loop {
            let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
            if let Some(child) = children.expect("it runs").split_whitespace().next() {
                // Until it runs the program anew it is half its parent: stopped then, it stops both.
                let words = fs::read_to_string(format!("/proc/{child}/cmdline"));
                if words.is_ok_and(|words| words.contains("--watched")) {
                    return child.parse().expect("a number");
                }
            }
            assert!(Instant::now() < patience, "no process to examine in");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// True while a process runs; one that nobody waited for runs no more.
    fn runs(process: u32) -> bool {
        let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let state = status.rsplit(')').next().unwrap_or_default().trim_start();
        !state.is_empty() && !state.starts_with(['Z', 'X'])
    }

    fn send(signal: &str, process: u32) {
        let sent = Command::new("kill")
            .args([signal, &process.to_string()])
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {signal}");
    }

    fn end(child: Child, before: String) -> Said {
        let output = child.wait_with_output().expect("it ends");
        Said {
            code: output.status.code(),
            out: before + &String::from_utf8_lossy(&output.stdout),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[test]
    fn a_killed_examination_is_told_by_its_check_and_signal() {
        let place = Place::new();
        // A small network: what is checked, in which order, does not hang on its size.
        let small = ["--config", "tiny.toml"];
        let flex = ["doctor", "--device", "flex", "--json"];
        let whole = place.run(&[&flex[..], &small].concat());
        let whole = json(&whole.done().out);
        let names = operations(&whole);

        let mut child = begin(&place, &small);
        let mut out = String::new();
        let mut reader = BufReader::new(child.stdout.take().expect("it is piped"));
        while !out.contains("right ") {
            assert!(reader.read_line(&mut out).expect("text") > 0, "{out}");
        }
        send("-KILL", examiner(child.id()));
        reader.read_to_string(&mut out).expect("text");
        let said = end(child, out);
        said.refused(1, "the process that was checking it died by SIGKILL");
        let done = said.out.matches("right ").count();
        // The check after those that were reported; the last one reported, where the signal came right behind
        // it.
        let during = |name: &str| said.err.contains(&format!("during: {name};"));
        assert!(
            during(names[done]) || during(names[done - 1]),
            "{said:#?} {names:?}"
        );
        assert!(
            said.err.contains("update its driver") && said.err.contains("`--device flex`"),
            "{said:#?}"
        );

        let child = begin(&place, &["--json"]);
        send("-ABRT", examiner(child.id()));
        let said = end(child, String::new());
        said.refused(1, "died by SIGABRT");
        let found = json(&said.out);
        assert_eq!(found["is_right"], false, "{found:#}");
        assert_eq!(found["died"]["by"], "SIGABRT", "{found:#}");
        assert!(found["died"]["during"].is_string() && found["checks"].is_array());
    }

    #[test]
    fn a_silent_examination_is_killed_and_told_by_its_check() {
        let place = Place::new();
        let child = begin(&place, &["--json", "--patience", "3"]);
        let stopped = examiner(child.id());
        send("-STOP", stopped);
        let said = end(child, String::new());
        said.refused(1, "hung during: opening the device; nothing came for 3 s");
        let found = json(&said.out);
        assert_eq!(found["is_right"], false, "{found:#}");
        assert_eq!(found["died"]["during"], "opening the device", "{found:#}");
        assert_eq!(found["died"]["by"], "a hang (3 s without a finding)");
        assert!(!runs(stopped), "it was left behind");
    }

    #[test]
    fn time_that_both_are_stopped_for_is_not_silence() {
        let place = Place::new();
        let child = begin(&place, &["--quick", "--patience", "8"]);
        let examiner = examiner(child.id());
        for signal in ["-STOP", "-CONT"] {
            // As Ctrl-Z and `fg` do.
            send(signal, child.id());
            send(signal, examiner);
            if signal == "-STOP" {
                std::thread::sleep(Duration::from_secs(9));
            }
        }
        let said = end(child, String::new()).done();
        assert!(said.out.contains("verdict right"), "{said:#?}");
    }

    #[test]
    fn who_stops_the_doctor_stops_the_examination() {
        let place = Place::new();
        for signal in ["-INT", "-KILL"] {
            let mut child = begin(&place, &[]);
            let examiner = examiner(child.id());
            send(signal, child.id());
            assert_eq!(child.wait().expect("it ends").code(), None, "by a signal");
            let patience = Instant::now() + Duration::from_secs(5);
            while runs(examiner) {
                assert!(Instant::now() < patience, "it examines on");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// A Vulkan driver that reads where nothing is, when it is asked for its first function.
    const DRIVER: &str = r#"
        #[unsafe(no_mangle)]
        pub extern "C" fn vk_icdGetInstanceProcAddr() -> u8 {
            unsafe { (64 as *const u8).read_volatile() }
        }
    "#;

    #[test]
    fn a_vulkan_driver_that_crashes_is_told_from_a_wrong_one() {
        let place = Place::new();
        let adapters = place.run(&["devices", "--json"]).done();
        if json(&adapters.out)["adapters"] == json("[]") {
            assert!(demotic_core::device::tested_adapters().is_empty());
            eprintln!("no adapter: passed over, there may be no loader of drivers either");
            return;
        }
        place.write("driver.rs", DRIVER.as_bytes());
        let library = place.path("driver.so");
        let mut compiler = Command::new(option_env!("RUSTC").unwrap_or("rustc"));
        compiler
            .args([
                "--edition=2024",
                "--crate-type=cdylib",
                "-O",
                "driver.rs",
                "-o",
            ])
            .arg(&library)
            .current_dir(place.path("."));
        said(compiler).done();
        let manifest = serde_json::json!({
            "file_format_version": "1.0.0",
            "ICD": { "library_path": library, "api_version": "1.3.0" },
        });
        place.write("driver.json", manifest.to_string().as_bytes());
        let mut doctor = place.command(&["doctor", "--device", "wgpu", "--json"]);
        doctor
            .env("VK_DRIVER_FILES", place.path("driver.json"))
            .env("VK_ICD_FILENAMES", place.path("driver.json"));
        let said = said(doctor);
        said.refused(1, "died by SIGSEGV, during: opening the device;");
        let died = &json(&said.out)["died"];
        assert_eq!(died["by"], "SIGSEGV", "{said:#?}");
    }
}
