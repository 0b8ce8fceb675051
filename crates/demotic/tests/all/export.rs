//! Weights taken out of a run, and the weights in the program, on pictures and on line drawings.

use image::{Rgba, RgbaImage};
use serde_json::Value;

use crate::support::{Place, png, words};

fn picture() -> Vec<u8> {
    png(&RgbaImage::from_fn(24, 16, |x, y| {
        Rgba([10 * x as u8, 12 * y as u8, 90, 255])
    }))
}

#[test]
fn exported_weights_translate_as_their_run_does() {
    let place = Place::with_run();
    place.write("in/a.png", &picture());
    place.run(&words("export run --out away")).done();
    let card = place.text("away/README.md");
    assert!(
        card.contains("openmoji-line") && card.contains("CC-BY-SA-4.0"),
        "{card}"
    );
    let translate = |run: &str, out: &str| {
        let arguments = format!("translate --run {run} --to openmoji --device flex --out {out} in");
        place.run(&words(&arguments)).done();
        image::open(place.path(&format!("{out}/a.png")))
            .expect("a picture")
            .to_rgb8()
    };
    let (own, away) = (
        translate("run", "one"),
        translate("away/model.safetensors", "two"),
    );
    let difference = own
        .iter()
        .zip(away.iter())
        .map(|(a, b)| a.abs_diff(*b))
        .max();
    assert!(
        difference <= Some(2),
        "half precision moved a value by {difference:?} of 255"
    );
    place.refuses(&words("export run --out away"), 2, "--force");
    let best = "recognize --run away/model.safetensors --checkpoint best in";
    place.refuses(&words(best), 2, "without a run");
    place.refuses(&words("recognize --run in/a.png in"), 2, "demotic export");
}

#[test]
fn the_weights_in_the_program_translate_and_recognise_without_a_run() {
    let place = Place::new();
    place.write("in/a.png", &picture());
    place
        .run(&words("translate --to twemoji --device flex --out out in"))
        .done();
    let translated = image::open(place.path("out/a.png")).expect("a picture");
    assert_eq!((translated.width(), translated.height()), (24, 16));
    let sample = words("sample --device flex --prior normal --style noto -n 1");
    let said = place.run(&sample).done();
    assert!(said.out.ends_with(": prior-0.png\n"), "{said:#?}");
    assert!(place.path("prior-0.png").exists());
    let said = place.run(&words("recognize --device flex in")).done();
    assert!(said.out.contains("a.png"), "{}", said.out);
}

#[test]
fn a_run_starts_from_weights_with_any_styles_and_goes_on_as_any_other() {
    let place = Place::with_run_on_discs();
    // The discs under one known name and one new one, at another size.
    place.discs("mine", 24);
    std::fs::rename(place.path("mine/hollow"), place.path("mine/rings")).expect("a rename");
    let start = words("--from run --data mine --out new --steps 4 --set train.batch=2 --explain");
    let said = place.train(&start).done();
    for reported in [
        "from   step 12 of ",
        "from   filled starts as filled",
        "from   rings starts as ",
    ] {
        assert!(said.out.contains(reported), "`{reported}` in {said:#?}");
    }
    // Networks and size are those of the weights, all else is as without them.
    let config = place.text("new/config.toml");
    for line in [
        "size_px = 16",
        "channels = 8",
        "latent_channels = 4",
        "batch = 2",
    ] {
        assert!(config.contains(line), "`{line}` in {config}");
    }
    // Before the first step the weights are those that it starts from, however it ends.
    assert!(place.path("new/checkpoints/step-00000000.json").exists());
    place.train(&words("--resume --out new --steps 6")).done();
    let rows =
        words("translate --run new --to rings --device flex --out out mine/filled/disc-03.png");
    place.run(&rows).done();

    let larger = words(
        "--from run --data mine --out larger --steps 2 --set train.batch=2 --set data.size_px=32",
    );
    place.train(&larger).done();
    for (wrong, expected) in [
        (
            "train --from run --data mine --out no --set generator.channels=16",
            "generator.channels is 16, was 8",
        ),
        ("train --from nowhere --data mine --out no", "nowhere"),
        ("train --from run --resume --out run", "cannot be used with"),
    ] {
        let said = place.run(&words(wrong));
        assert_eq!(said.code, Some(2), "{said:#?}");
        assert!(said.err.contains(expected), "{said:#?}");
        assert!(!place.path("no").exists());
    }
}

#[test]
fn a_network_is_taken_away_as_onnx_and_as_arrays_each_with_its_card() {
    let place = Place::with_run();
    for (format, file, reported) in [
        ("onnx", "model.onnx", "onnxruntime.InferenceSession"),
        ("safetensors", "generator.safetensors", "| `decoder.*` |"),
    ] {
        let out = format!("away-{format}");
        let arguments = format!("export run --format {format} --out {out}");
        let said = place.run(&words(&arguments)).done();
        let first = place.read(&format!("{out}/{file}"));
        // However small the network is, its size is reported.
        assert!(said.out.contains(" KiB, and a model card"), "{said:#?}");
        let as_run = format!("evaluate --run {out}/{file}");
        place.refuses(&words(&as_run), 2, "`demotic export --format weights`");
        let card = place.text(&format!("{out}/README.md"));
        assert!(card.contains(reported), "{card}");
        // The pictures of the run are share-alike, so its weights are.
        assert!(
            card.starts_with("---\n") && card.contains("license: cc-by-sa-4.0\n"),
            "{card}"
        );
        place.refuses(&words(&arguments), 2, "--force");
        place.run(&words(&format!("{arguments} --force"))).done();
        assert!(
            place.read(&format!("{out}/{file}")) == first,
            "the same weights, the same bytes"
        );
    }
}

#[test]
fn a_page_for_the_browser_is_written_with_the_runtime_beside_it() {
    let place = Place::new();
    let runtime = [
        "ort.wasm.min.mjs",
        "ort-wasm-simd-threaded.mjs",
        "ort-wasm-simd-threaded.wasm",
    ];
    place.write("dist/ort.wasm.min.mjs", b"one");
    let arguments = words("export built-in --web site --runtime dist");
    place.refuses(&arguments, 2, "npm pack onnxruntime-web");
    assert!(!place.path("site").exists());
    for file in runtime {
        place.write(&format!("dist/{file}"), file.as_bytes());
    }
    place.run(&arguments).done();
    for file in runtime {
        assert_eq!(place.text(&format!("site/{file}")), file);
    }
    // Without it, what is to be copied is named, as long as it is not there.
    let bare = "export built-in --web bare";
    let said = place.run(&words(bare)).done();
    assert!(
        said.out.contains("copy ort.wasm.min.mjs, ") && said.out.contains("npm pack"),
        "{said:#?}"
    );
    assert!(!place.path("bare/ort.wasm.min.mjs").exists());
    for file in runtime {
        place.write(&format!("bare/{file}"), file.as_bytes());
    }
    let said = place.run(&words(&format!("{bare} --force"))).done();
    assert!(!said.out.contains("beside it"), "{said:#?}");
    let page = place.text("site/index.html");
    assert!(
        page.contains(r#""styles":["fluent-flat""#) && page.contains("cc-by-sa-4.0"),
        "{page}"
    );
    // Its weights keep the input's shapes, so the rules for a drawing's paper are laid down.
    assert!(page.contains(r#""filter":{"edge":"#), "{page}");
    for outside in ["http:", "https:", "ABOUT"] {
        assert!(!page.contains(outside), "`{outside}` is in the page");
    }
    assert!(place.read("site/model.onnx").len() > 1 << 20);
    place.refuses(&arguments, 2, "--force");
}

#[test]
fn line_drawings_are_scored_by_what_of_them_is_coloured() {
    let place = Place::new();
    let drawing = |shape: &str| {
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#000" stroke-width="2">{shape}</svg>"##
        )
    };
    place.write(
        "ring.svg",
        drawing(r#"<circle cx="12" cy="12" r="9"/>"#).as_bytes(),
    );
    place.write("line.svg", drawing(r#"<path d="M4 4L20 20"/>"#).as_bytes());
    let asked = "evaluate --drawings ring.svg line.svg --to twemoji,noto --device flex";
    let said = place.run(&words(&format!("{asked} --json -"))).done();
    let rows: Value = serde_json::from_str(&said.out).expect("JSON alone");
    for (row, style) in rows
        .as_array()
        .expect("rows")
        .iter()
        .zip(["twemoji", "noto"])
    {
        let count = |name: &str| row[name].as_f64().expect("a count");
        assert_eq!(row["style"], style);
        assert_eq!(row["drawings"], 2);
        // The disc within a ring of radius 9 and width 2, at 256 of 24.
        let disc = std::f64::consts::PI * (8.0 * 256.0 / 24.0_f64).powi(2);
        assert!((count("enclosed") - disc).abs() < 0.03 * disc, "{row}");
        let canvas = count("canvas") / (256.0 * 256.0);
        assert!((1.2..1.7).contains(&canvas), "{row}");
        // Printed and read again: to the last digit but one.
        let share = count("enclosed_coloured") / count("enclosed");
        assert!((count("enclosed_share") - share).abs() < 1e-12, "{row}");
        assert!((0.0..=1.0).contains(&count("canvas_share")), "{row}");
    }
    let said = place.run(&words(asked)).done();
    assert!(said.out.contains("enclosed coloured"), "{said:#?}");
    let refused = ["evaluate", "--drawings", "line.svg", "--device", "flex"];
    place.refuses(&refused, 2, "enclose nothing");
}
