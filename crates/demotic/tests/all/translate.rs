//! Pictures of any size through a trained run.

use image::{DynamicImage, GenericImageView, Rgba, RgbaImage};

use crate::support::{Place, few_emoji, photo_like, png, words};

fn open(place: &Place, name: &str) -> DynamicImage {
    image::load_from_memory(&place.read(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn size_alpha_and_names_are_kept() {
    let place = Place::with_run();
    let soft = RgbaImage::from_fn(40, 25, |x, y| Rgba([200, 30, 90, (x * 6 + y) as u8]));
    place.write("in/soft.png", &png(&soft));
    place.write(
        "in/dot.png",
        &png(&RgbaImage::from_pixel(1, 1, Rgba([5, 6, 7, 255]))),
    );
    place.write("in/notes.txt", b"not a picture");
    place.write("in/.hidden.png", b"not a picture");
    place.write("in/more/a.png", b"not a picture");
    let photo =
        DynamicImage::ImageRgba8(RgbaImage::from_pixel(300, 200, Rgba([120, 130, 20, 255])))
            .to_rgb8();
    let mut jpeg = std::io::Cursor::new(Vec::new());
    photo
        .write_to(&mut jpeg, image::ImageFormat::Jpeg)
        .expect("JPEG can be encoded");
    place.write("in/photo.with.points.JPG", jpeg.get_ref());
    place.write("grey.png", &{
        let mut bytes = std::io::Cursor::new(Vec::new());
        DynamicImage::ImageLuma8(image::GrayImage::new(7, 90))
            .write_to(&mut bytes, image::ImageFormat::Png)
            .expect("PNG");
        bytes.into_inner()
    });
    let drawing = r#"<svg xmlns="http://www.w3.org/2000/svg" width="72" height="48"><circle cx="36" cy="24" r="20"/></svg>"#;
    place.write("drawing.svg", drawing.as_bytes());

    let arguments = words(
        "translate --run run --to openmoji --alpha keep --out out/deep --device flex in grey.png drawing.svg",
    );
    let said = place.run(&arguments).done();
    assert!(
        said.out.contains("5 of 5 pictures translated to openmoji"),
        "{said:#?}"
    );
    assert!(
        said.out
            .contains("passed over: 1 txt, 1 nested folders, 1 hidden;"),
        "{said:#?}"
    );

    for (name, size) in [
        ("soft", (40, 25)),
        ("dot", (1, 1)),
        ("photo.with.points", (300, 200)),
        ("grey", (7, 90)),
        ("drawing", (72, 48)),
    ] {
        let picture = open(&place, &format!("out/deep/{name}.png"));
        assert_eq!(picture.dimensions(), size, "{name}");
        assert_eq!(
            picture.color().has_alpha(),
            matches!(name, "soft" | "drawing"),
            "{name}"
        );
    }
    let alphas =
        |picture: &RgbaImage| -> Vec<u8> { picture.pixels().map(|pixel| pixel.0[3]).collect() };
    let kept = open(&place, "out/deep/soft.png").into_rgba8();
    assert_eq!(alphas(&kept), alphas(&soft));
    assert!(kept != soft, "it was translated");

    // Nothing is overwritten unasked; asked, it is, and with the same bytes.
    let before = place.contents();
    place.refuses(&arguments, 2, "the file is there already");
    place.run(&[&arguments[..], &["--force"]].concat()).done();
    assert!(before == place.contents(), "the same translation again");
}

#[test]
fn one_file_one_name_and_what_is_there_already() {
    let place = Place::with_run();
    let picture = |value| png(&RgbaImage::from_pixel(20, 12, Rgba([value, 90, 200, 255])));
    let translate = |rest: &str| {
        let line = format!("translate --run run --to openmoji --device cpu {rest}");
        place.run(&words(&line))
    };
    place.write("in/a.png", &picture(9));
    let said = translate("--out made/one.png in/a.png").done();
    assert!(said.out.contains("1 of 1 pictures"), "{said:#?}");
    let bytes = place.read("made/one.png");
    assert_eq!(open(&place, "made/one.png").dimensions(), (20, 12));
    // It says whose work it is, and what its colours are.
    for mark in [&b"tEXtSoftware\0demotic"[..], b"sRGB\0"] {
        assert!(bytes.windows(mark.len()).any(|part| part == mark));
    }
    translate("--out made/one.png in/a.png").refused(2, "the file is there already");
    translate("--out one.jpg in/a.png").refused(2, "results are PNG");

    // Names that differ by their ending, and litter that a shell names with the pictures.
    let photo = DynamicImage::ImageRgba8(RgbaImage::from_pixel(30, 10, Rgba([1, 2, 3, 255])));
    let mut jpeg = std::io::Cursor::new(Vec::new());
    photo
        .to_rgb8()
        .write_to(&mut jpeg, image::ImageFormat::Jpeg)
        .expect("JPEG can be encoded");
    place.write("in/a.JPG", jpeg.get_ref());
    place.write("in/notes.txt", b"litter");
    place.write("in/more/a.png", &picture(50));
    let by_folder = translate("--out out in").done();
    let by_name = translate("--out named in/a.JPG in/a.png in/more in/notes.txt").done();
    for (said, out) in [(by_folder, "out"), (by_name, "named")] {
        assert!(said.out.contains("2 of 2 pictures"), "{said:#?}");
        let left = "passed over: 1 txt, 1 nested folders;";
        assert!(said.out.contains(left), "{said:#?}");
        assert_eq!(open(&place, &format!("{out}/a.png")).dimensions(), (20, 12));
        assert_eq!(
            open(&place, &format!("{out}/a.JPG.png")).dimensions(),
            (30, 10)
        );
    }
    translate("--out all.png in").refused(2, "there are 2 pictures: give a folder");

    // Only what is missing is done again.
    place.write("in/b.png", &picture(70));
    let before = place.read("out/a.png");
    let said = translate("--out out --skip-existing in").done();
    assert!(said.out.contains("1 of 1 pictures"), "{said:#?}");
    assert!(
        said.out.contains("2 translations were there already"),
        "{said:#?}"
    );
    assert!(place.read("out/a.png") == before && place.path("out/b.png").exists());
    let said = translate("--out out --skip-existing in").done();
    assert!(
        said.out.contains("nothing to do: 3 translations"),
        "{said:#?}"
    );
}

#[test]
fn redrawn_alpha_only_adds() {
    let place = Place::with_run();
    let hollow = RgbaImage::from_fn(32, 32, |x, y| {
        Rgba([0, 0, 0, if x.abs_diff(y) < 2 { 255 } else { 0 }])
    });
    place.write("hollow.png", &png(&hollow));
    // Hardly trained, the network paints everywhere: that the alpha hides it is said.
    let keep = place
        .run(&words(
            "translate --run run --to openmoji --out keep --alpha keep --device flex hollow.png",
        ))
        .done();
    assert!(keep.out.contains("--alpha redraw shows it"), "{keep:#?}");
    let redraw = place.run(&words(
        "translate --run run --to openmoji --out redraw --alpha redraw --device flex hollow.png",
    ));
    assert!(!redraw.done().out.contains("--alpha redraw"));
    let (keep, redraw) = (
        open(&place, "keep/hollow.png").into_rgba8(),
        open(&place, "redraw/hollow.png").into_rgba8(),
    );
    let pixels = || hollow.pixels().zip(keep.pixels().zip(redraw.pixels()));
    assert!(
        pixels()
            .all(|(input, (keep, redraw))| keep.0[3] == input.0[3] && redraw.0[3] >= input.0[3])
    );
    assert!(pixels().any(|(input, (_, redraw))| redraw.0[3] > input.0[3]));
}

#[test]
fn a_damaged_picture_does_not_stop_the_others() {
    let place = Place::with_run();
    let whole = png(&RgbaImage::from_pixel(50, 50, Rgba([9, 90, 200, 255])));
    for name in ["a", "b", "c"] {
        place.write(&format!("in/{name}.png"), &whole);
    }
    place.write("in/b.png", &whole[..whole.len() / 2]);
    let said = place.run(&words(
        "translate --run run --to OpenMoji --out out --device flex in",
    ));
    said.refused(2, "in/b.png");
    // The style by its name, however it was typed.
    let translated = "2 of 3 pictures translated to openmoji in ";
    assert!(said.out.contains(translated), "{said:#?}");
    assert!(
        place.path("out/a.png").exists()
            && place.path("out/c.png").exists()
            && !place.path("out/b.png").exists()
    );
}

#[test]
fn pictures_come_from_the_prior_and_by_the_hand_that_is_asked_for() {
    let place = Place::with_run_on_discs();
    let said = place
        .run(&["sample", "--run", "run", "--device", "flex", "-n", "3"])
        .done();
    assert!(
        said.out.contains("6 pictures from the fitted prior"),
        "{said:#?}"
    );
    open(&place, "run/samples/prior-0.png");
    let sheet = |arguments: &[&str], name: &str| {
        let run = ["sample", "--device", "flex", "-o", name, "-n", "2"];
        place.run(&[&run[..], arguments].concat()).done();
        place.read(name)
    };
    let one = sheet(&["--run", "run", "--style", "filled"], "a.png");
    assert_eq!(one, sheet(&["--run", "run", "--style", "filled"], "b.png"));
    assert_ne!(
        one,
        sheet(
            &["--run", "run", "--style", "filled", "--seed", "1"],
            "c.png"
        )
    );
    let normal = &["--run", "run", "--style", "filled", "--prior", "normal"];
    assert_ne!(one, sheet(normal, "d.png"));
    for (arguments, expected) in [
        (&["-o", "a.png"][..], "a.png"),
        (&["--prior", "posterior"], "fitted"),
        (&["--style", "cuneiform"], "cuneiform"),
        (&["--temperature", "11"], "0 to 10"),
    ] {
        place.refuses(
            &[&["sample", "--run", "run"][..], arguments].concat(),
            2,
            expected,
        );
    }

    // A run with one code per style refuses style examples; one with many codes translates by them.
    place.write(
        "dot.png",
        &png(&RgbaImage::from_pixel(9, 9, Rgba([5, 200, 7, 255]))),
    );
    let translate = |run: &'static str, example: &[&'static str]| {
        let start = [
            "translate",
            "--run",
            run,
            "--to",
            "filled",
            "--device",
            "flex",
            "--out",
            "out",
            "--force",
            "dot.png",
        ];
        [&start[..], example].concat()
    };
    place.refuses(
        &translate("run", &["--style-seed", "3"]),
        2,
        "generator.style = latent",
    );
    place.refuses(
        &translate("run", &["--reference", "dot.png"]),
        2,
        "latent or reference",
    );
    place
        .train(&words(
            "tiny.toml --out coded --set generator.style=latent --set generator.style_dims=8",
        ))
        .done();
    let translated = |example: &[&'static str]| {
        place.run(&translate("coded", example)).done();
        place.read("out/dot.png")
    };
    let by_seed = translated(&["--style-seed", "3"]);
    assert_eq!(by_seed, translated(&["--style-seed", "3"]));
    assert_ne!(by_seed, translated(&["--style-seed", "4"]));
    assert_ne!(by_seed, translated(&["--reference", "dot.png"]));
    assert_ne!(by_seed, translated(&[]));
}

#[test]
fn a_sticker_stays_a_sticker_where_transparency_is_drawn_and_grey_stays_grey() {
    let place = Place::of_discs();
    let half = RgbaImage::from_fn(20, 16, |x, _| {
        Rgba([200, 90, 10, if x < 10 { 255 } else { 0 }])
    });
    place.write("half.png", &png(&half));
    for channels in ["rgba", "grey"] {
        let set = format!("data.channels={channels}");
        place
            .train(&["tiny.toml", "--out", channels, "--set", &set])
            .done();
        for file in [
            "evaluation.json",
            "samples/reals.png",
            "samples/fakes_init.png",
        ] {
            assert!(
                !place.read(&format!("{channels}/{file}")).is_empty(),
                "{file}"
            );
        }
        let start = ["--run", channels, "--device", "flex"];
        place.run(&[&["evaluate"][..], &start].concat()).done();
        place
            .run(&[&["sample", "-n", "2"][..], &start].concat())
            .done();
        place
            .run(&[&["recognize"][..], &start, &["half.png"]].concat())
            .done();
        let translate = [
            &["translate"][..],
            &start,
            &["--to", "filled", "--out", channels, "half.png"],
        ]
        .concat();
        place.run(&translate).done();
        let picture = open(&place, &format!("{channels}/half.png"));
        assert_eq!(picture.dimensions(), (20, 16));
        let pixels = picture.to_rgba8();
        if channels == "rgba" {
            // After a dozen steps its edges are soft, but alpha is the network's, not the input's.
            let alphas: std::collections::BTreeSet<u8> = pixels.pixels().map(|p| p.0[3]).collect();
            assert!(alphas.len() > 4, "{alphas:?}");
            let redraw = [&translate[..], &["--force", "--alpha", "redraw"]].concat();
            place.refuses(&redraw, 2, "draws its own transparency");
        } else {
            assert!(
                pixels
                    .pixels()
                    .filter(|p| p.0[3] == 255)
                    .all(|p| p.0[0] == p.0[1] && p.0[1] == p.0[2])
            );
        }
    }
}

#[test]
fn a_run_is_scored_at_another_size_by_what_it_translates_there() {
    let place = Place::with_run();
    let styles = ["--styles", "openmoji-line,openmoji", "--size-px", "40"];
    let emoji = few_emoji().to_str().expect("a path in Unicode");
    let export = ["data", "export", emoji, "--out", "set"];
    place.run(&[&export[..], &styles].concat()).done();
    let translate = "translate --run run --to openmoji --device flex --out drawn/openmoji-line/openmoji set/test/openmoji-line";
    place.run(&words(translate)).done();
    let scores = |what: &[&str]| -> Vec<[f64; 4]> {
        let line = [&["evaluate"][..], what, &["--json", "-"]].concat();
        let out = place.run(&line).done().out;
        let scores: serde_json::Value = serde_json::from_str(&out).expect("JSON alone");
        let directions = scores["directions"].as_array().expect("directions");
        let to_colour = directions.iter().filter(|d| d["to"] == "openmoji");
        to_colour
            .flat_map(|d| {
                ["model", "copy"].map(|method| {
                    ["l1", "ssim", "perceptual", "kid"]
                        .map(|figure| d[method][figure]["value"].as_f64().expect("a figure"))
                })
            })
            .collect()
    };
    let own = scores(&words("--run run --device flex --size-px 40"));
    let files = ["--pictures", "drawn", "--data", emoji];
    let of_files = scores(&[&files[..], &styles].concat());
    assert_eq!(own.len(), 2);
    for (own, of_files) in own.iter().zip(&of_files) {
        for (own, of_files) in own.iter().zip(of_files) {
            // Both are rounded to 256 levels at the same places.
            let far = (own - of_files).abs();
            assert!(far < 1e-3 * of_files.abs().max(0.1), "{own} {of_files}");
        }
    }
    let [model, copy] = [own[0], own[1]];
    assert!(model != copy, "something was translated");
    for (wrong, expected) in [
        (
            "--size-px 8",
            "the networks of this run see 16 px; give 16 or more",
        ),
        (
            "--styles openmoji,openmoji-line",
            "say --size-px or --pictures",
        ),
        ("--size-px 40 --styles noto,twemoji", "unknown style `noto`"),
    ] {
        let line = format!("evaluate --run run --device flex {wrong}");
        place.refuses(&words(&line), 2, expected);
    }
}

#[test]
fn a_hint_says_what_helps_drawings_that_do_not_stand_on_white() {
    let place = Place::new();
    let ring = |ground: u8, line: u8| {
        RgbaImage::from_fn(64, 64, |x, y| {
            let far = (f64::from(x) - 31.5).hypot(f64::from(y) - 31.5);
            let value = if (18.0..22.0).contains(&far) {
                line
            } else {
                ground
            };
            Rgba([value, value, value, 255])
        })
    };
    for (name, ground, line) in [("dark", 0, 255), ("dim", 200, 30), ("white", 255, 0)] {
        place.write(&format!("{name}.png"), &png(&ring(ground, line)));
    }
    let hint = |rest: &str| {
        let line = format!("translate --to openmoji --device flex --out {rest}");
        place.run(&words(&line)).done().err
    };
    let dark = "note: light lines on a dark ground; the weights know drawings on white: invert the picture (pictures: 1)\n";
    assert_eq!(hint("a dark.png white.png"), dark);
    let dim = hint("b dim.png");
    assert!(
        dim.contains("--white-paper") && dim.contains("(pictures: 1)"),
        "{dim}"
    );
    assert_eq!(hint("c white.png"), "");
    assert_eq!(hint("d --white-paper dim.png"), "");
}

#[test]
fn a_hint_says_that_weights_of_drawings_know_no_photographs() {
    let place = Place::with_run_on_discs();
    for (name, side) in [("photo", 300), ("small", 100)] {
        place.write(&format!("{name}.png"), &png(&photo_like(side)));
    }
    let hint = |rest: &str| {
        let line = format!("translate --device flex --out {rest}");
        place.run(&words(&line)).done().err
    };
    let of_built_in = hint("a --to openmoji photo.png small.png");
    assert!(
        of_built_in.starts_with("note: a photograph, as it seems, and the weights know drawings;"),
        "{of_built_in}"
    );
    let way_out = "demotic train --from built-in --data DIR (pictures: 1)\n";
    assert!(of_built_in.ends_with(way_out), "{of_built_in}");
    // A run of drawings knows as little of photographs.
    assert_eq!(hint("b --run run --to filled photo.png"), of_built_in);
    assert_eq!(hint("c --to openmoji small.png"), "");
    assert_eq!(hint("d --to openmoji --white-paper photo.png"), "");
}
