//! Whatever a person gives by mistake: one message with the way out, the right exit code, no file touched.

use std::fs;

use image::{Rgba, RgbaImage};

use crate::support::{Place, TINY, png, png_that_claims, said, words};

/// What becomes of a file; none where it is removed.
type Damage = fn(&[u8]) -> Option<Vec<u8>>;

/// A text with one part replaced.
fn replaced(text: &[u8], from: &str, to: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let (before, after) = text.split_once(from)?;
    Some([before, to, after].concat().into_bytes())
}

/// Styles are found, not named.
fn any_styles() -> String {
    TINY.replace("styles = [\"openmoji-line\", \"openmoji\"]", "")
}

#[test]
fn settings() {
    let place = Place::new();
    place.write("unknown.toml", b"[train]\nstepps = 5\n[data]\nsource = 3\n");
    place.write("broken.toml", b"[train\nsteps = ");
    place.write("one.toml", b"[data]\nstyles = [\"noto\"]\n");
    for (arguments, expected) in [
        ("unknown.toml", "unknown key `train.stepps`"),
        ("unknown.toml", "data.source: expected string, got integer"),
        ("broken.toml", "not valid TOML"),
        ("missing.toml", "cannot read the configuration"),
        ("one.toml", "data.styles: expected at least two styles"),
        ("tiny.toml --set train.bacth=4", "unknown key `train.bacth`"),
        ("tiny.toml --set train.batch", "expected key=value"),
        (
            "tiny.toml --set train.batch=0 --set loss.kl=-1",
            "train.batch: expected 1 to 4096, got 0",
        ),
        (
            "tiny.toml --set train.batch=0 --set loss.kl=-1",
            "loss.kl: expected 0 or more, got -1",
        ),
        (
            "tiny.toml --set data.size_px=20",
            "data.size_px: expected a multiple of 8",
        ),
        (
            "tiny.toml --set data.background=white",
            "data.background: expected #rrggbb",
        ),
        ("tiny.toml --set augment.flip_prob=2", "flip_prob"),
        (
            "tiny.toml --set data.styles=[\"noto\",\"nosuch\"]",
            "unknown style `nosuch`; this data set has: ",
        ),
        (
            "tiny.toml --set data.styles=[\"noto\",\"noto\"]",
            "asked for twice",
        ),
        (
            "tiny.toml --device gpu",
            "device: expected auto, flex, wgpu or wgpu:N; got `gpu`",
        ),
        (
            "tiny.toml --device wgpu:x",
            "device: expected auto, flex, wgpu or wgpu:N; got `wgpu:x`",
        ),
    ] {
        place.refuses(&words(&format!("train {arguments}")), 2, expected);
    }
}

#[test]
fn data_to_train_on() {
    let place = Place::new();
    let whole = png(&RgbaImage::from_pixel(20, 20, Rgba([9, 90, 200, 255])));
    let dot = png(&RgbaImage::new(1, 1));
    place.write("own.toml", any_styles().as_bytes());
    fs::create_dir(place.path("empty")).expect("a folder");
    place.write("loose/a.png", &whole);
    place.write("texts/style/a.txt", b"no picture");
    for (folder, first) in [
        ("cut", &whole[..whole.len() / 2]),
        ("huge", &png_that_claims(40_000, 40_000)),
        ("words", b"PNG?"),
    ] {
        place.write(&format!("{folder}/one/bad.png"), first);
        for name in 0..4 {
            place.write(&format!("{folder}/one/{name}.png"), &dot);
            place.write(&format!("{folder}/two/{name}.png"), &dot);
        }
    }
    for name in 0..4 {
        place.write(&format!("single/one/{name}.png"), &whole);
        place.write(&format!("strangers/one/a{name}.png"), &whole);
        place.write(&format!("strangers/two/b{name}.png"), &whole);
    }
    for (source, expected) in [
        ("missing", "expected `emoji`, a folder"),
        ("own.toml", "expected `emoji`, a folder"),
        ("empty", "no sub-folder holds a picture"),
        ("texts", "no sub-folder holds a picture"),
        ("loose", "move them into one sub-folder a style"),
        ("single", "translation needs at least two"),
        ("cut", "cut/one/bad.png"),
        (
            "huge",
            "40000 x 40000 pixels; at most 64 megapixels are read",
        ),
        ("words", "words/one/bad.png"),
    ] {
        place.refuses(
            &[
                "train", "own.toml", "--device", "flex", "--data", source, "--out", "run",
            ],
            2,
            expected,
        );
        place.refuses(&["data", "inspect", source], 2, expected);
    }
    let pairs =
        words("train own.toml --device flex --data strangers --set train.pairs=all --out run");
    place.refuses(&pairs, 2, "needs pictures of the same name in two styles");
}

#[test]
fn run_folders() {
    let place = Place::with_run();
    fs::create_dir(place.path("folder")).expect("a folder");
    place.write("file", b"");
    place.write("young/config.toml", TINY.as_bytes());
    place.write("picture.png", &png(&RgbaImage::new(3, 3)));
    for (arguments, expected) in [
        (
            "train tiny.toml --out run",
            "the run folder is not empty; nothing there is overwritten",
        ),
        ("train tiny.toml --out file", "the run folder is a file"),
        (
            "train tiny.toml --resume",
            "no run named runs/<number>-tiny",
        ),
        (
            "train --resume --out nowhere",
            "there is no such run folder",
        ),
        ("train --resume --out folder", "this folder is no run"),
        ("evaluate --run nowhere", "there is no such run folder"),
        ("evaluate --run file", "no weights of demotic, or cut"),
        ("evaluate --run young", "this run has no checkpoint yet"),
        (
            "translate --run nowhere --to noto --out out picture.png",
            "there is no such run folder",
        ),
        (
            "translate --run young --to noto --out out picture.png",
            "this run has no checkpoint yet",
        ),
        (
            "translate --run run --to noto --out out picture.png",
            "unknown style `noto`; these weights know: openmoji-line, openmoji",
        ),
    ] {
        place.refuses(&words(arguments), 2, expected);
    }
}

#[test]
fn pictures_to_translate() {
    let place = Place::with_run();
    let whole = png(&RgbaImage::from_pixel(20, 20, Rgba([9, 90, 200, 255])));
    fs::create_dir(place.path("empty")).expect("a folder");
    place.write("text.txt", b"no picture");
    place.write("a/same.png", &whole);
    place.write("b/same.png", &whole);
    place.write("cut.png", &whole[..whole.len() / 2]);
    place.write("huge.png", &png_that_claims(40_000, 40_000));
    place.write("drawing.svg", b"<svg><circle");
    place.write(
        "vast.svg",
        br#"<svg xmlns="http://www.w3.org/2000/svg" width="90000" height="90000"/>"#,
    );
    place.write("there/same.png", b"mine");
    let translate = "translate --run run --to openmoji --device flex --out";
    let refuses = |rest: &str, expected: &str| {
        place.refuses(&words(&format!("{translate} {rest}")), 2, expected);
    };
    refuses("new missing.png", "there is no such picture");
    refuses("new text.txt", "not a picture by its name");
    refuses(
        "new empty",
        "no picture (png, jpg, jpeg, jpe, jfif, webp, gif, bmp, tif, tiff, svg, svgz) in this folder",
    );
    refuses("new a b", "two pictures of one name");
    refuses("there a", "the file is there already");
    refuses("a a", "would replace its own input");
    refuses("a --force a/same.png", "would replace its own input");
    refuses("text.txt a", "--out is a file");
    refuses("new text.txt empty", "not a picture by its name");
    for (input, expected) in [
        ("cut.png", "it is damaged or cut off"),
        ("huge.png", "40000 x 40000 pixels; at most 64 megapixels"),
        ("drawing.svg", "not a drawing that can be read as SVG"),
        ("vast.svg", "90000 x 90000 pixels; at most 64 megapixels"),
    ] {
        fs::remove_dir_all(place.path("new")).ok();
        fs::create_dir(place.path("new")).expect("a folder");
        refuses(&format!("new {input}"), expected);
    }
}

#[test]
fn damaged_checkpoints() {
    let weights = "run/checkpoints/step-00000012.safetensors";
    let description = "run/checkpoints/step-00000012.json";
    let cases: [(&str, Damage, &str); 7] = [
        (
            weights,
            |whole| Some(whole[..5000].to_vec()),
            "checkpoint weights are cut: 5000 bytes",
        ),
        (
            weights,
            |whole| {
                let (last, rest) = whole.split_last()?;
                Some([rest, &[last ^ 1]].concat())
            },
            "the checksum differs",
        ),
        (weights, |_| None, "cannot read checkpoint weights"),
        (
            description,
            |_| Some(b"{\"format\": 1, ".to_vec()),
            "checkpoint description is damaged",
        ),
        (
            description,
            |_| Some(vec![]),
            "checkpoint description is damaged",
        ),
        (
            description,
            |whole| replaced(whole, "\"format\": 5", "\"format\": 99"),
            "checkpoint has format 99, this build reads 4 and 5",
        ),
        (
            description,
            |whole| replaced(whole, "\"latent_channels\": 4", "\"latent_channels\": 6"),
            "checkpoint description is altered: the checksum differs",
        ),
    ];
    let place = Place::with_run_on_discs();
    let whole_weights = place.read(weights);
    place.write("picture.png", &png(&RgbaImage::new(3, 3)));
    let resume = words("train --resume --out run --device flex --steps 14");
    for (file, damage, expected) in cases {
        let whole = place.read(file);
        match damage(&whole) {
            Some(damaged) => place.write(file, &damaged),
            None => fs::remove_file(place.path(file)).expect("a file"),
        }
        for arguments in [
            &words("evaluate --run run --device flex"),
            &words("translate --run run --to filled --device flex --out out picture.png"),
            &resume,
        ] {
            place.refuses(arguments, 2, expected);
        }
        place.write(file, &whole);
    }
    // Both ways out that the message names.
    place.write(weights, &whole_weights[..999]);
    place.refuses(
        &["evaluate", "--run", "run", "--device", "flex"],
        2,
        "that of step 10 is whole: use it by --checkpoint 10, or delete both step-00000012.json and \
         step-00000012.safetensors to go on from there",
    );
    let older = ["--checkpoint", "10", "--device", "flex"];
    place
        .run(&[&["evaluate", "--run", "run"], &older[..]].concat())
        .done();
    for file in [weights, description] {
        fs::remove_file(place.path(file)).expect("a file");
    }
    let said = place.train(&["--resume", "--out", "run"]).done();
    assert!(said.out.contains("resume step 10 of 12"), "{said:#?}");
    assert!(
        place.read(weights) == whole_weights,
        "the same end from the earlier checkpoint"
    );

    // A network of another size than the checkpoint's.
    let config = place
        .text("run/config.toml")
        .replace("latent_channels = 4", "latent_channels = 6");
    place.write("run/config.toml", config.as_bytes());
    place.refuses(
        &resume,
        2,
        "the checkpoint does not fit this network: generator.latent_channels is 6, was 4; ",
    );
}

#[test]
fn no_adapter() {
    let place = Place::with_run();
    place.write("picture.png", &png(&RgbaImage::new(3, 3)));
    let before = place.contents();
    for arguments in [
        &["train", "tiny.toml", "--device", "wgpu", "--out", "new"][..],
        &["train", "tiny.toml", "--device", "wgpu:9", "--out", "new"],
        &["evaluate", "--run", "run", "--device", "wgpu"],
        &words("translate --run run --to openmoji --out out --device wgpu picture.png"),
    ] {
        let mut command = place.command(arguments);
        // Only Vulkan's loader can be told to find nothing.
        command
            .env("VK_DRIVER_FILES", "/nonexistent")
            .env("VK_ICD_FILENAMES", "/nonexistent");
        if cfg!(target_os = "linux") {
            said(command).refused(1, "train on the processor with `--device flex`");
        }
    }
    assert!(before == place.contents(), "files changed");
}

#[test]
fn archives_and_folders_to_import() {
    let place = Place::new();
    place.discs("pictures", 5);
    place.write("cut.tgz", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2]);
    place.write("text.tgz", b"no archive");
    place.write("full/mine.txt", b"mine");
    place.write("broken/one/a.png", b"no picture");
    place.write("broken/two/a.png", &png(&RgbaImage::new(3, 3)));
    fs::create_dir(place.path("empty")).expect("a folder");
    for (arguments, expected) in [
        ("--out new missing.tgz", "missing.tgz"),
        ("--out new cut.tgz", "cut.tgz"),
        ("--out new text.tgz", "text.tgz"),
        ("--out new empty", "no sub-folder holds a picture"),
        ("--out new broken", "broken/one/a.png"),
        ("--out full pictures", "full"),
        ("--replace --out full pictures", "full"),
        ("--out full/mine.txt pictures", "full/mine.txt"),
    ] {
        place.refuses(&words(&format!("data import {arguments}")), 2, expected);
    }
}
