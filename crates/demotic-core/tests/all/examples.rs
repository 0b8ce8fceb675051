//! The examples do what they say.

use demotic_core::Translator;
use demotic_core::train::BUILT_IN;
use image::{Rgba, RgbaImage};

use crate::train_tiny::train_tiny;
use crate::translate_one::translate_one;

#[test]
fn a_tiny_network_learns_to_draw_again() {
    let errors = train_tiny(60).unwrap();
    let steps: Vec<u64> = errors.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [10, 20, 30, 40, 50, 60]);
    assert!(errors[5].1 < 0.7 * errors[0].1, "{errors:?}");
}

#[test]
fn one_picture_is_translated_at_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a.png"), folder.path().join("b.png"));
    let disc = RgbaImage::from_fn(40, 30, |x, y| {
        let is_ink = (f64::from(x) - 20.0).hypot(f64::from(y) - 15.0) < 10.0;
        Rgba([if is_ink { 0 } else { 255 }, 90, 200, 255])
    });
    disc.save(&from).unwrap();
    translate_one(&from, "twemoji", &to).unwrap();
    let drawn = image::open(&to).unwrap().into_rgba8();
    assert_eq!(drawn.dimensions(), (40, 30));
    assert_ne!(drawn, disc);

    // One by one or together, by name or refused by the names that there are.
    let translator = Translator::open_on(BUILT_IN, "flex").unwrap();
    let both = translator
        .to("noto")
        .unwrap()
        .pictures(&[disc.clone(), drawn.clone()]);
    let alone = translator.to("noto").unwrap().picture(&drawn);
    let apart = |a: &RgbaImage, b: &RgbaImage| {
        let pixels = a.as_raw().iter().zip(b.as_raw());
        pixels.map(|(a, b)| a.abs_diff(*b)).max().unwrap()
    };
    assert!(both.len() == 2 && apart(&both[1], &alone) <= 1);
    let refused = translator.to("cuneiform").unwrap_err().to_string();
    assert!(
        refused.contains("cuneiform") && refused.contains("twemoji"),
        "{refused}"
    );
}
