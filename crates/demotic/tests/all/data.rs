//! Making and looking at data sets.

use serde_json::Value;

use image::{Rgba, RgbaImage};

use crate::support::{Place, TINY, png, words};

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
fn a_sheet_shows_every_style_without_gaps() {
    let place = Place::new();
    for i in 0..100 {
        let picture = png(&RgbaImage::from_pixel(8, 8, Rgba([i, 100, 0, 255])));
        place.write(&format!("set/many/m{i}.png"), &picture);
    }
    for i in [1, 2, 4] {
        let picture = png(&RgbaImage::from_pixel(8, 8, Rgba([0, 0, 200 + i, 255])));
        place.write(&format!("set/few/f{i}.png"), &picture);
    }
    place
        .run(&words("data inspect --size-px 8 --sheet sheet.png set"))
        .done();
    let sheet = image::load_from_memory(&place.read("sheet.png"))
        .expect("a PNG")
        .into_rgb8();
    let count = |is: &dyn Fn(&[u8; 3]) -> bool| sheet.pixels().filter(|pixel| is(&pixel.0)).count();
    let cell = 96 * 96;
    assert_eq!(count(&|p| p[2] > 200 && p[0] == 0), 3 * cell, "all of few");
    assert_eq!(
        count(&|p| p[2] == 0 && p[1] == 100),
        20 * cell,
        "every fifth of many"
    );
}

#[test]
fn styles_whose_letters_the_sheet_lacks_are_numbered_and_the_output_says_which() {
    let place = Place::new();
    let fill = |set: &str, styles: [&str; 3]| {
        for (i, style) in styles.into_iter().enumerate() {
            for name in ["f1", "f2", "f4"] {
                let picture = RgbaImage::from_pixel(8, 8, Rgba([90 * i as u8, 100, 0, 255]));
                place.write(&format!("{set}/{style}/{name}.png"), &png(&picture));
            }
        }
    };
    let sheet = |set: &str| {
        let file = format!("{set}.png");
        let said = place
            .run(&["data", "inspect", "--size-px", "8", "--sheet", &file, set])
            .done();
        let sheet = image::load_from_memory(&place.read(&file)).expect("a PNG");
        (said.out, sheet.into_rgb8())
    };
    // One style in letters that are drawn, two in letters that are not.
    fill(
        "mixed",
        ["caf\u{e9}", "\u{65e5}\u{672c}", "\u{65e5}\u{672c}\u{753b}"],
    );
    let (out, mixed) = sheet("mixed");
    let legend = "sheet  style 2 is \u{65e5}\u{672c}, style 3 is \u{65e5}\u{672c}\u{753b}\n";
    assert!(out.contains(legend), "{out}");
    let without = place.run(&words("data inspect --size-px 8 mixed")).done();
    assert!(!without.out.contains("style 2 is"), "{without:#?}");
    // The same sheet as of styles that are called so.
    fill("plain", ["caf\u{e9}", "style 2", "style 3"]);
    let (out, plain) = sheet("plain");
    assert!(!out.contains("sheet  "), "{out}");
    assert!(mixed == plain);
    // Accents, Greek and Cyrillic are written, each name as itself.
    fill(
        "greek",
        ["cafe", "\u{3b1}\u{3b2}\u{3b3}", "\u{430}\u{431}\u{432}"],
    );
    let (out, greek) = sheet("greek");
    assert!(!out.contains("sheet  "), "{out}");
    assert!(greek != plain);
}

#[test]
fn a_run_says_which_style_a_number_on_its_samples_is() {
    let place = Place::new();
    place.discs("set", 20);
    let name = "\u{65e5}\u{672c}";
    std::fs::rename(place.path("set/hollow"), place.path(&format!("set/{name}")))
        .expect("a rename");
    place.write(
        "own.toml",
        TINY.replace("styles = [\"openmoji-line\", \"openmoji\"]", "")
            .as_bytes(),
    );
    let train = words("own.toml --data set --out run --steps 2");
    let said = place.train(&train).done();
    let legend = format!("names  in samples/, style 2 is {name}\n");
    assert!(said.out.contains(&legend), "{said:#?}");
    assert!(place.text("run/log.txt").contains(&legend));
    // The page has letters of its own.
    assert!(
        place
            .text("run/report.html")
            .contains(&format!(">from {name}, step 0<"))
    );
    let sample = words("sample --run run --device flex --prior normal -n 2 -o s.png");
    let said = place.run(&sample).done();
    let legend = format!("in it, style 2 is {name}\n");
    assert!(said.out.contains(&legend), "{said:#?}");
    // The sheets of an ablation are drawn as those of a run.
    let base = TINY
        .replace(
            "styles = [\"openmoji-line\", \"openmoji\"]",
            "source = \"set\"",
        )
        .replace("steps = 12", "steps = 2")
        .replace('[', "[base.");
    let variants =
        "[[variant]]\nname = \"one\"\n[[variant]]\nname = \"two\"\nset = [\"loss.cycle=2\"]\n";
    place.write(
        "plan.toml",
        format!("seeds = [0]\n{base}{variants}").as_bytes(),
    );
    let ablate = words("ablate plan.toml --device flex --out variants");
    let said = place.run(&ablate).done();
    let legend = format!("names  in samples/, style 2 is {name}\n");
    assert_eq!(said.out.matches(&legend).count(), 1, "{said:#?}");
}

/// Every PNG of a folder holds noise from here on.
fn become_noise(place: &Place, folder: &str) {
    let noise = png(&RgbaImage::from_fn(32, 32, |x, y| {
        let value =
            |salt: u32| ((x * 7919 + y * 104_729 + salt).wrapping_mul(2_654_435_761) >> 24) as u8;
        Rgba([value(1), value(2), value(3), 255])
    }));
    for picture in std::fs::read_dir(place.path(folder)).expect("a folder") {
        let path = picture.expect("a picture").path();
        if path.extension().is_some_and(|ending| ending == "png") {
            std::fs::write(path, &noise).expect("written");
        }
    }
}

/// More pictures in `set`, and others that nothing is like, for the run of three steps on it.
fn other_pictures_are_taken_on_request_and_the_best_of_the_old_forgotten(place: &Place) {
    place.write("set/filled/disc-99.png", b"");
    become_noise(place, "set/filled");
    let best = |step: u32| {
        let file = format!("run/checkpoints/step-{step:08}.json");
        let description: Value = serde_json::from_str(&place.text(&file)).expect("JSON");
        description["best"].clone()
    };
    let before = best(3);
    let resume = words("train --device flex --resume --out run --steps 4");
    place.run(&resume).refused(2, "--resume --data-changed");
    let said = place
        .run(&[&resume[..], &["--data-changed"]].concat())
        .done();
    assert!(said.out.contains("data   changed at step 3"), "{said:#?}");
    assert!(place.text("run/log.txt").contains("changed at step 3"));
    // The best figure before was one of other pictures.
    assert!(before["step"].is_u64(), "{before}");
    let after = best(4);
    assert_eq!(after["step"], 4, "{before} {after}");
    assert!(
        after["value"].as_f64() > before["value"].as_f64(),
        "worse, or kept for nothing: {before} {after}"
    );
}

#[test]
fn damaged_pictures_are_named_together_and_can_be_left_out() {
    let place = Place::new();
    place.discs("set", 20);
    for name in ["filled/disc-03", "hollow/disc-05"] {
        place.write(&format!("set/{name}.png"), b"no picture");
    }
    let said = place.run(&words("data inspect set"));
    said.refused(2, "2 pictures cannot be read");
    assert!(
        said.err.contains("disc-03.png") && said.err.contains("disc-05.png"),
        "{said:#?}"
    );
    let said = place.run(&words("data inspect --skip-damaged set")).done();
    assert!(
        said.out
            .contains("left   of filled, damaged: 1 pictures: disc-03"),
        "{said:#?}"
    );
    // A name that is damaged in its only style counts as no picture.
    place.write("set/filled/lonely.png", b"no picture");
    let said = place.run(&words("data inspect --skip-damaged set")).done();
    assert!(said.out.contains(" 20 items, "), "{said:#?}");
    assert!(said.out.contains(" of 20 pictures have one"), "{said:#?}");
    std::fs::remove_file(place.path("set/filled/lonely.png")).expect("it was written");
    place.refuses(
        &words("data import --out made set"),
        2,
        "2 pictures cannot be read",
    );
    let said = place
        .run(&words("data import --skip-damaged --out made set"))
        .done();
    assert!(said.out.contains("disc-05.png"), "{said:#?}");
    place.refuses(
        &words("data import --skip-damaged --out made set"),
        2,
        "by --force",
    );
    place.refuses(
        &words("data export --out seen set"),
        2,
        "2 pictures cannot be read",
    );
    let said = place
        .run(&words("data export --skip-damaged --out seen set"))
        .done();
    for expected in [
        "left   of hollow, damaged: 1 pictures: disc-05",
        "38 pictures of 32 px",
    ] {
        assert!(said.out.contains(expected), "{said:#?}");
    }

    place.write(
        "own.toml",
        TINY.replace("styles = [\"openmoji-line\", \"openmoji\"]", "")
            .as_bytes(),
    );
    let train = words("own.toml --data set --out run");
    place.refuses(
        &[&["train", "--device", "flex"], &train[..]].concat(),
        2,
        "--skip-damaged",
    );
    place.write("set/hollow/disc-06.heic", b"not read");
    let said = place
        .train(&[&train[..], &["--skip-damaged", "--steps", "2"]].concat())
        .done();
    assert!(
        said.out
            .contains("left   (2 more in log.txt) of hollow, not read: 1 heic"),
        "{said:#?}"
    );
    assert!(
        place
            .text("run/log.txt")
            .contains("damaged: 1 pictures: disc-03")
    );
    // The run goes on, and is scored, without them.
    place.train(&words("--resume --out run --steps 3")).done();
    let said = place
        .run(&words("evaluate --run run --device flex --json -"))
        .done();
    let _: Value = serde_json::from_str(&said.out).expect("JSON alone");

    other_pictures_are_taken_on_request_and_the_best_of_the_old_forgotten(&place);
}

#[test]
fn every_command_that_reads_a_set_says_what_it_left_out() {
    let place = Place::new();
    place.discs("set", 20);
    place.write("set/hollow/a.heic", b"not read");
    place.write("set/hollow/more/b.png", b"not read");
    place.write("set/of-other-programs/c.psd", b"not read");
    place.write(
        "own.toml",
        TINY.replace("styles = [\"openmoji-line\", \"openmoji\"]", "")
            .as_bytes(),
    );
    for line in [
        "data inspect set",
        "data import --out made set",
        "data export --out seen set",
        "train own.toml --device flex --dry-run --data set",
    ] {
        let said = place.run(&words(line)).done();
        for expected in [
            "of hollow, not read: 1 heic, 1 nested folders",
            "of-other-programs is no style, as nothing in it is read: 1 psd",
        ] {
            assert!(said.out.contains(expected), "{line}: {said:#?}");
        }
    }
}

#[test]
fn pairs_that_are_hardly_there_are_not_trained_on() {
    let place = Place::new();
    place.discs("discs", 30);
    for i in 0..30 {
        let [filled, hollow] =
            ["filled", "hollow"].map(|style| place.read(&format!("discs/{style}/disc-{i:02}.png")));
        place.write(&format!("set/filled/DISC_{i:02}.png"), &filled);
        let name = if [5, 6].contains(&i) { "DISC" } else { "disc" };
        place.write(&format!("set/hollow/{name}_{i:02}.png"), &hollow);
    }
    place.write(
        "own.toml",
        TINY.replace("styles = [\"openmoji-line\", \"openmoji\"]", "")
            .as_bytes(),
    );
    let train = words("train own.toml --device flex --dry-run --set train.pairs=all --data");
    let said = place.run(&[&train[..], &["set"]].concat());
    said.refused(
        2,
        "train.pairs: `all` trains on pictures with a counterpart",
    );
    assert!(
        said.err.contains("28 names differ by letters' case"),
        "{said:#?}"
    );
    let share = words("train own.toml --device flex --dry-run --set train.pairs=0.5 --data set");
    let said = place.run(&share).done();
    assert!(
        said.out
            .contains("training pictures have a counterpart; the others come without"),
        "{said:#?}"
    );
    place.run(&[&train[..], &["discs"]].concat()).done();
    // Enough of them to train on, and not all: how many is said.
    for i in 0..30 {
        let [filled, hollow] =
            ["filled", "hollow"].map(|style| place.read(&format!("discs/{style}/disc-{i:02}.png")));
        let name = if i < 12 { "disc" } else { "ring" };
        place.write(&format!("half/filled/disc-{i:02}.png"), &filled);
        place.write(&format!("half/hollow/{name}-{i:02}.png"), &hollow);
    }
    let said = place.run(&[&train[..], &["half"]].concat()).done();
    assert!(
        said.out
            .contains("training pictures have a counterpart; the others are not trained on"),
        "{said:#?}"
    );
    let none = words(
        "train own.toml --device flex --dry-run --set train.pairs=all --set data.pairs=none --data discs",
    );
    place
        .run(&none)
        .refused(2, "data.pairs = none says that there are none");
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
        .run(&["data", "import", "--force", "--out", "one", "pictures"])
        .done();
    let said = place
        .run(&["data", "import", "--json", "-o", "three", "pictures"])
        .done();
    let written: serde_json::Value = serde_json::from_str(&said.out).expect("JSON alone");
    let styles = written["styles"].as_array().expect("a list");
    let names: Vec<&str> = styles.iter().filter_map(|s| s["name"].as_str()).collect();
    assert_eq!(names, ["filled", "hollow"], "{written:#}");
    place.write(
        "own.toml",
        TINY.replace("styles = [\"openmoji-line\", \"openmoji\"]", "")
            .as_bytes(),
    );
    let said = place
        .train(&[
            "own.toml",
            "--data",
            "one",
            "--steps",
            "2",
            "--out",
            "run",
            "--explain",
        ])
        .done();
    assert!(said.out.contains("style  hollow"), "{said:#?}");
}
