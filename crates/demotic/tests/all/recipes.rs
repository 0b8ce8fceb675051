//! Recipes and the manual, which are in the program.

use crate::support::{Place, words};

#[test]
fn recipes_are_listed_printed_and_trained_by_their_names() {
    let place = Place::new();
    let list = place.run(&["configs"]).done().out;
    for name in ["quickstart", "paired", "six-styles", "ablation"] {
        assert!(list.contains(&format!("{name} ")), "{list}");
    }
    let printed = place.run(&["configs", "quickstart"]).done().out;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/quickstart.toml");
    assert_eq!(printed, std::fs::read_to_string(file).expect("a recipe"));
    let keys = place.run(&["configs", "keys"]).done().out;
    assert!(
        list.contains("keys ") && keys.contains("\n[train]\n"),
        "{list}\n{keys}"
    );
    // Small: what a dry run takes is measured by steps and validations of the real networks.
    let small = "--set data.size_px=16 --set train.batch=2 --set train.best_metric=l1";
    let dry = format!("train quickstart --dry-run --device flex {small}");
    let dry = words(&dry);
    let said = place.run(&dry).done();
    for expected in [
        "data   emoji (built in)  1551 items, 16 px",
        "style  openmoji-line  1226 train  153 validation  172 test",
        "pair   openmoji-line  openmoji  aligned",
        "best   by l1 of 256 validation pairs over 2 directions, 64 pictures there and back",
        "set    [data] size_px = 16",
    ] {
        assert!(said.out.contains(expected), "`{expected}` in {said:#?}");
    }
    // A file of that name is what is meant.
    place.write("quickstart", b"[train]\nsteps = 0\n");
    place.refuses(&dry, 2, "train.steps");
    place.refuses(&["configs", "slowstart"], 2, "there are quickstart, paired");
}

#[test]
fn every_command_has_a_page_of_the_manual() {
    let place = Place::new();
    place.run(&["man", "pages"]).done();
    for (page, reported) in [
        ("demotic", "demotic\\-train(1)"),
        ("demotic-train", "\\-\\-resume"),
        ("demotic-data-import", "\\-\\-phrases"),
    ] {
        let text = place.text(&format!("pages/{page}.1"));
        assert!(
            text.starts_with(".ie") && text.contains(reported),
            "{page}: {text}"
        );
    }
    place.refuses(&["man", "pages"], 2, "--force");
    place.refuses(&["man", "tiny.toml"], 2, "expected a folder");
    place.refuses(&["man", "tiny.toml/pages"], 2, "expected a folder");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere", place.path("link")).expect("a link");
        place.refuses(&["man", "link"], 2, "a link that leads nowhere");
    }
    // Each page that a page names is there.
    let whole = place.text("pages/demotic.1");
    assert!(!whole.contains("help(1)"), "{whole}");
    place.run(&["man", "pages", "--force"]).done();
}
