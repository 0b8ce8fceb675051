//! Drawings as people make them, into the weights in the program: icons of families that training never saw,
//! by pens of several widths, on white and on nothing; open outlines; a pencil on paper under a lamp.

use image::{Rgba, RgbaImage};
use serde_json::Value;

use crate::support::{Place, png, words};

/// Two families; their notices are beside them.
const ICONS: [(&str, [&str; 6]); 2] = [
    (
        "lucide",
        [
            include_str!("../icons/lucide/apple.svg"),
            include_str!("../icons/lucide/cat.svg"),
            include_str!("../icons/lucide/fish.svg"),
            include_str!("../icons/lucide/gift.svg"),
            include_str!("../icons/lucide/house.svg"),
            include_str!("../icons/lucide/umbrella.svg"),
        ],
    ),
    (
        "tabler",
        [
            include_str!("../icons/tabler/apple.svg"),
            include_str!("../icons/tabler/cat.svg"),
            include_str!("../icons/tabler/fish.svg"),
            include_str!("../icons/tabler/gift.svg"),
            include_str!("../icons/tabler/home.svg"),
            include_str!("../icons/tabler/umbrella.svg"),
        ],
    ),
];

/// Shares of what is enclosed, and of the canvas, that are coloured.
fn coloured(place: &Place, what: &str) -> [f64; 2] {
    let line = format!("evaluate --drawings {what} --to twemoji --device flex --json -");
    let said = place.run(&words(&line)).done();
    let rows: Value = serde_json::from_str(&said.out).expect("JSON alone");
    ["enclosed_share", "canvas_share"].map(|share| rows[0][share].as_f64().expect("a share"))
}

#[test]
fn icons_that_training_never_saw_are_coloured_on_white_and_on_nothing() {
    let place = Place::new();
    for (family, icons) in ICONS {
        let drawn = |ground: &str| {
            for (i, icon) in icons.iter().enumerate() {
                assert!(icon.contains("stroke-width=\"2\""), "{family} {i}");
                let icon = match icon.split_once("<path") {
                    Some((head, rest)) if ground == "white" => {
                        format!(
                            "{head}<rect width=\"24\" height=\"24\" fill=\"#fff\" stroke=\"none\"/><path{rest}"
                        )
                    }
                    _ => (*icon).to_owned(),
                };
                place.write(&format!("{family}-{ground}/{i}.svg"), icon.as_bytes());
            }
            coloured(&place, &format!("{family}-{ground}"))
        };
        let (clear, white) = (drawn("clear"), drawn("white"));
        for ((clear, white), name) in clear.iter().zip(white).zip(["enclosed", "canvas"]) {
            assert!(
                (clear - white).abs() < 0.02,
                "{family} {name}: {clear} {white}"
            );
        }
        assert!(
            white[0] > 0.4,
            "{family}: {} of what lines enclose",
            white[0]
        );
        assert!(white[1] < 0.2, "{family}: {} of the canvas", white[1]);
    }
}

#[test]
fn a_photographed_pencil_drawing_is_translated_as_ink_on_white_is() {
    let place = Place::new();
    // A ring on paper of some light, a little yellow.
    let ring = |ink: f32, light: fn(u32) -> f32, tint: f32| {
        png(&RgbaImage::from_fn(240, 240, |x, y| {
            let radius = (x as f32 - 120.0).hypot(y as f32 - 120.0);
            let share = if (80.0..88.0).contains(&radius) {
                ink
            } else {
                1.0
            };
            let value = 255.0 * light(x) * share;
            Rgba([value as u8, value as u8, (tint * value) as u8, 255])
        }))
    };
    place.write("in/ink.png", &ring(0.0, |_| 1.0, 1.0));
    let lamp = |x: u32| 0.92 - 0.35 * x as f32 / 240.0;
    place.write("in/photo.png", &ring(0.55, lamp, 0.9));
    let translated = |out: &str, more: &str| {
        let line = format!("translate --to twemoji --device flex --out {out} {more} in");
        place.run(&words(&line)).done();
        let open = |name: &str| {
            let picture = image::open(place.path(&format!("{out}/{name}.png")));
            picture.expect("a picture").to_rgb8().into_raw()
        };
        let (ink, photo) = (open("ink"), open("photo"));
        let far = ink
            .iter()
            .zip(&photo)
            .map(|(a, b)| f64::from(a.abs_diff(*b)));
        far.sum::<f64>() / ink.len() as f64
    };
    let (as_it_is, white) = (
        translated("plain", ""),
        translated("white", "--white-paper"),
    );
    assert!(white < 3.0 && as_it_is > 20.0, "{white} {as_it_is}");
    place.refuses(
        &words("evaluate --white-paper --device flex"),
        2,
        "--drawings",
    );
}
