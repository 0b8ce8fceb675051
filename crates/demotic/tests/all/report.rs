//! The page of a run: one file, everything in it.

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
        "<b>Drawn again</b>",
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
    place.refuses(&["report", "nowhere"], 2, "there is no such run folder");
    place.refuses(&["report", "."], 2, "this folder is no run");
    place
        .run(&["report", "run", "--out", "page.html", "--force"])
        .done();
}

#[test]
fn a_run_that_has_hardly_begun_has_a_page_too() {
    let place = Place::with_run();
    for gone in ["stats.jsonl", "log.txt", "evaluation.json", "report.html"] {
        std::fs::remove_file(place.path(&format!("run/{gone}"))).expect("a file");
    }
    std::fs::remove_dir_all(place.path("run/samples")).expect("a folder");
    place.run(&["report", "run"]).done();
    assert!(place.text("run/report.html").contains("no figures yet"));
    // A line that is just being written.
    place.write(
        "run/stats.jsonl",
        b"{\"step\":1,\"kimg\":0.1}\n{\"step\":2,\"ki",
    );
    place.run(&["report", "run"]).done();
    assert!(place.text("run/report.html").contains("step 1 of 12"));
}
