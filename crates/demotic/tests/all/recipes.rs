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
    let dry = words("train quickstart --dry-run --device flex --set data.size_px=16");
    let said = place.run(&dry).done();
    assert!(said.out.contains("set    [data] size_px = 16"), "{said:#?}");
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
    place.run(&["man", "pages", "--force"]).done();
}
