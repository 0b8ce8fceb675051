//! Pictures of any size through the discriminator of a run.

use image::{GenericImageView, Rgba, RgbaImage};
use serde_json::Value;

use crate::support::{Place, png, words};

#[test]
fn every_picture_gets_a_style_a_grid_and_a_heat_map_of_its_size() {
    let place = Place::with_run();
    place.write(
        "in/wide.png",
        &png(&RgbaImage::from_fn(41, 20, |x, y| {
            Rgba([200, 30, 90, (x * 6 + y) as u8])
        })),
    );
    place.write(
        "in/dot.png",
        &png(&RgbaImage::from_pixel(1, 1, Rgba([5, 6, 7, 255]))),
    );
    place.write("in/notes.txt", b"not a picture");
    let drawing = r#"<svg xmlns="http://www.w3.org/2000/svg" width="20" height="60"><circle cx="10" cy="30" r="9"/></svg>"#;
    place.write("drawing.svg", drawing.as_bytes());
    let arguments = words("recognize --run run --device flex -o heat --json in drawing.svg");
    let said = place.run(&arguments).done();
    let reported: Value = serde_json::from_str(&said.out).expect("JSON alone");
    let reported = reported.as_array().expect("a list");
    let names: Vec<&str> = reported
        .iter()
        .filter_map(|t| t["picture"].as_str())
        .collect();
    assert_eq!(names, ["in/dot.png", "in/wide.png", "drawing.svg"]);
    for reported in reported {
        let styles = reported["styles"].as_object().expect("an object");
        assert_eq!(
            styles.keys().collect::<Vec<_>>(),
            ["openmoji", "openmoji-line"]
        );
        let probs: Vec<f64> = styles.values().filter_map(Value::as_f64).collect();
        assert!(
            (probs.iter().sum::<f64>() - 1.0).abs() < 1e-5,
            "{reported:#}"
        );
        let largest = probs.iter().copied().fold(0.0, f64::max);
        assert_eq!(reported["probability"].as_f64(), Some(largest));
        assert_eq!(
            styles[reported["style"].as_str().expect("a name")].as_f64(),
            Some(largest)
        );
        // 16 px in patches of 4.
        let rows = reported["patches"].as_array().expect("rows");
        assert!(
            rows.len() == 4
                && rows
                    .iter()
                    .all(|row| row.as_array().is_some_and(|r| r.len() == 4))
        );
        // Where the picture lies among them, for a reader to cut the rest away.
        let place_in = ["left", "top", "width", "height"]
            .map(|side| reported["place"][side].as_f64().expect("a number"));
        let expected = match reported["picture"].as_str() {
            Some("in/wide.png") => [0.0, 1.0, 4.0, 2.0],
            Some("in/dot.png") => [0.0, 0.0, 4.0, 4.0],
            _ => [1.25, 0.0, 1.25, 4.0],
        };
        assert_eq!(place_in, expected, "{reported:#}");
        assert!(
            place
                .path(reported["heat_map"].as_str().expect("a file"))
                .exists()
        );
    }
    for (name, size) in [("wide", (41, 20)), ("dot", (1, 1)), ("drawing", (20, 60))] {
        let map = image::load_from_memory(&place.read(&format!("heat/{name}.png"))).expect("PNG");
        assert_eq!(map.dimensions(), size, "{name}");
    }
    place.refuses(&arguments, 2, "the file is there already");

    // The same in words, and nothing written.
    let before = place.contents();
    let said = place
        .run(&["recognize", "--run", "run", "--device", "flex", "in"])
        .done();
    assert!(
        said.out
            .contains("2 of 2 pictures recognised by step 12 of run"),
        "{said:#?}"
    );
    assert!(said.out.contains("passed over: 1 "), "{said:#?}");
    assert!(before == place.contents());
}
