//! The page of a run: one file, everything in it.

use std::time::{Duration, Instant};

use crate::resume::begin;
use crate::support::Place;

#[test]
fn the_page_shows_everything_and_needs_nothing() {
    let place = Place::with_run();
    let page = place.text("run/report.html");
    for expected in [
        "<title>run</title>",
        "step 12 of 12",
        "best checkpoint at step",
        "Translations of held-out pictures",
        "What the discriminator says of each patch",
        "Scores on held-out pictures",
        "openmoji-line → openmoji",
        "<b>ssim</b>",
        "<b>Reconstruction</b>",
        "Where a step&#39;s time goes",
        "<th>train.steps<td>12",
        "flex (",
        "type=\"range\"",
        "prefers-color-scheme:dark",
        "width=device-width",
    ] {
        assert!(
            page.contains(expected) || page.contains(&expected.replace("&#39;", "'")),
            "`{expected}` is missing"
        );
    }
    assert!(
        page.contains("title=\"openmoji-line / true\">openmoji-line / true</span>"),
        "labels are text"
    );
    for axis in [
        ">step</text>",
        ">nats a patch</text>",
        ">ssim</text>",
        ">MiB</text>",
    ] {
        assert!(page.contains(axis), "`{axis}`: axes have names");
    }
    let verdict = page
        .find("class=\"verdict\">Translations look")
        .expect("a verdict");
    assert!(
        verdict < page.find("<section").expect("a section"),
        "the verdict comes first"
    );
    assert!(
        page.contains("<p class=\"note\">Ahead of the unchanged input in "),
        "and its figures"
    );
    // Three grids (fresh, 6, 12), two label maps, the training pictures.
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), 6);
    assert_eq!(page.matches("src=").count(), 6, "every picture is inside");
    for outside in ["http:", "https:", "href=", "@import", "url("] {
        assert!(!page.contains(outside), "`{outside}` reaches outside");
    }
    assert!(page.ends_with("</html>\n"));
    let drawn = page.matches("<polyline").count();
    assert!(drawn > 12, "{drawn} lines");

    // Anew from the files alone, also elsewhere, and never over a file unasked.
    std::fs::remove_file(place.path("run/report.html")).expect("a file");
    let said = place.run(&["report", "run"]).done();
    assert_eq!(said.out.trim(), "run/report.html");
    assert!(
        place.text("run/report.html") == page,
        "the same files give the same page"
    );
    place.run(&["report", "run", "--out", "page.html"]).done();
    assert!(place.text("page.html") == page);
    place.refuses(
        &["report", "run", "--out", "page.html"],
        2,
        "the file is there already",
    );
    place.refuses(
        &["report", "run", "--out", "nowhere/page.html"],
        2,
        "there is no such folder to write in",
    );
    place.refuses(
        &["report", "run", "--out", ".", "--force"],
        2,
        "expected the name of a file, got a folder",
    );
    place.refuses(&["report", "nowhere"], 2, "there is no such run folder");
    place.refuses(&["report", "."], 2, "this folder is no run");
    place
        .run(&["report", "run", "--out", "page.html", "--force"])
        .done();
}

#[test]
fn a_run_in_training_is_read_again_and_again_and_not_hindered() {
    let place = Place::of_discs();
    // A checkpoint and a page every few moments, and nothing older kept.
    let sets = ["train.checkpoint_steps=3", "train.checkpoints_kept=1"];
    let sets = sets.into_iter().flat_map(|set| ["--set", set]);
    let start = ["tiny.toml", "--steps", "24", "--out", "run"];
    let train: Vec<&str> = start.into_iter().chain(sets).collect();
    let mut child = begin(&place, &train);
    let patience = Instant::now() + Duration::from_mins(5);
    let mut reports = 0;
    while child.try_wait().expect("a child").is_none() {
        assert!(Instant::now() < patience, "the run never ended");
        if place.path("run/report.html").exists() {
            let said = place.run(&["report", "run"]).done();
            assert_eq!(said.out, "run/report.html\n");
            let page = place.text("run/report.html");
            assert!(page.ends_with("</html>\n"), "half a page");
            if reports % 8 == 4 {
                let evaluate = ["evaluate", "--run", "run", "--device", "flex"];
                place.run(&evaluate).done();
            }
            reports += 1;
        }
    }
    assert_eq!(child.wait().expect("a child").code(), Some(0));
    assert!(reports > 3, "{reports} reports");
    assert!(
        !place
            .text("run/log.txt")
            .contains("no report.html this time")
    );
    let leftover = |path: &std::path::Path| path.to_string_lossy().ends_with(".part");
    assert!(!place.contents().keys().any(|path| leftover(path)));
}

#[test]
fn a_page_that_cannot_be_written_is_a_warning_and_not_the_end() {
    let place = Place::of_discs();
    // A folder where the page goes: nothing is renamed over it.
    place.write("run/report.html/mine.txt", b"mine");
    place.write("run/config.toml", &place.read("tiny.toml"));
    let said = place.train(&["--resume", "--out", "run"]).done();
    assert_eq!(
        said.out
            .matches("no report.html this time: cannot write")
            .count(),
        5,
        "the start, three checkpoints and the end: {said:#?}"
    );
    assert!(place.path("run/evaluation.json").exists());
}

#[test]
fn a_run_that_has_hardly_begun_has_a_page_too() {
    let place = Place::with_run();
    let stats = place.text("run/stats.jsonl");
    let tick = stats.lines().find(|line| !line.contains("\"event\""));
    for gone in ["stats.jsonl", "log.txt", "evaluation.json", "report.html"] {
        std::fs::remove_file(place.path(&format!("run/{gone}"))).expect("a file");
    }
    std::fs::remove_dir_all(place.path("run/samples")).expect("a folder");
    place.run(&["report", "run"]).done();
    assert!(
        place
            .text("run/report.html")
            .contains("step 0 of 12: no figures yet")
    );
    // A line that is just being written.
    let lines = format!("{}\n{{\"step\":6,\"ki", tick.expect("a tick"));
    place.write("run/stats.jsonl", lines.as_bytes());
    place.run(&["report", "run"]).done();
    assert!(place.text("run/report.html").contains("step 5 of 12"));
}
