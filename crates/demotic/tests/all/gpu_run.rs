//! `benches/gpu/run` reads what this program prints: a key that is renamed here would be missed there on a
//! lent GPU.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[test]
fn one_call_leaves_tables_of_a_device_and_refuses_what_is_none() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/gpu/run");
    let folder = tempfile::tempdir().expect("a folder");
    let run = |out: &str, device: &str| {
        let mut python = Command::new("python3");
        python
            .arg(&script)
            .arg("--out")
            .arg(folder.path().join(out));
        python.args(["--tiny", "--device", device, "--demotic"]);
        python.arg(env!("CARGO_BIN_EXE_demotic"));
        python.args(["--parts", "doctor,compare-quickstart,bench-flex"]);
        python.output()
    };
    let Ok(done) = run("tried", "flex") else {
        eprintln!("skipped: no python3");
        return;
    };
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{said}");
    let read = |file: &str| fs::read_to_string(folder.path().join("tried").join(file)).expect(file);
    let summary: Value = serde_json::from_str(&read("summary.json")).expect("JSON");
    assert_eq!(summary["measured_on"], "not measured on a GPU");
    let tables = read("tables.md");
    for held in ["## Doctor", "D step", "crf/cpu/flex/T16_B1024_L8"] {
        assert!(tables.contains(held), "{held} in\n{tables}");
    }
    // A figure that is not found stands as a dash.
    let (_, steps) = tables.split_once("## Training step").expect("a table");
    let step = steps
        .lines()
        .find(|line| line.starts_with("| flex ("))
        .expect("a step on flex");
    let missing = step.split('|').filter(|cell| cell.trim() == "-").count();
    assert_eq!(missing, 1, "the device's memory alone: {step}");

    let refused = run("none", "gpu").expect("python3 was there");
    assert_eq!(refused.status.code(), Some(2));
    assert!(!folder.path().join("none").exists());
}
