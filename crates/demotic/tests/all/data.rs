//! Making and looking at data sets.

use serde_json::Value;

use crate::support::{Place, TINY, words};

#[test]
fn the_embedded_emoji_are_shown_with_styles_splits_and_pairs() {
    let place = Place::new();
    let said = place
        .run(&words("data inspect --size-px 16 --sheet sheet.png emoji"))
        .done();
    for expected in [
        "style  fluent-high-contrast",
        "CC-BY-SA-4.0",
        "pair   openmoji              openmoji-line         aligned",
    ] {
        assert!(said.out.contains(expected), "`{expected}` in {}", said.out);
    }
    let sheet = image::load_from_memory(&place.read("sheet.png")).expect("a PNG");
    assert!(
        sheet.width() > 600 && sheet.height() > 2000,
        "{}x{}",
        sheet.width(),
        sheet.height()
    );
    place.refuses(
        &words("data inspect --size-px 16 --sheet sheet.png emoji"),
        2,
        "the file is there already",
    );

    let json = place
        .run(&words(
            "data inspect --size-px 16 --json --styles noto,twemoji emoji",
        ))
        .done();
    let json: Value = serde_json::from_str(&json.out).expect("JSON");
    let names: Vec<&str> = json["styles"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|style| style["name"].as_str())
        .collect();
    assert_eq!(names, ["noto", "twemoji"], "in the order asked for");
    assert_eq!(json["pairs"][0]["kind"].as_str(), Some("loose"));
}

#[test]
fn an_imported_folder_trains_and_the_same_pictures_give_the_same_bytes() {
    let place = Place::new();
    place.discs("pictures", 20);
    for out in ["one", "two"] {
        let said = place
            .run(&["data", "import", "--out", out, "pictures"])
            .done();
        assert!(
            said.out.contains("style  filled") && said.out.contains("written to"),
            "{said:#?}"
        );
    }
    for file in ["index.json", "filled.tar.gz", "hollow.tar.gz"] {
        assert!(
            place.read(&format!("one/{file}")) == place.read(&format!("two/{file}")),
            "{file}"
        );
    }
    place.refuses(&["data", "import", "--out", "one", "pictures"], 2, "one");
    place
        .run(&["data", "import", "--replace", "--out", "one", "pictures"])
        .done();
    place.write(
        "own.toml",
        TINY.replace("styles = [\"openmoji-line\", \"openmoji\"]", "")
            .as_bytes(),
    );
    let said = place
        .train(&["own.toml", "--data", "one", "--steps", "2", "--out", "run"])
        .done();
    assert!(said.out.contains("style  hollow"), "{said:#?}");
}
