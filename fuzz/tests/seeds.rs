//! Every seed still gets as far as it was made for: a reader that changes leaves none behind at its first
//! check.

use std::path::Path;

type Target = fn(&[u8]) -> Result<(), String>;

const TARGETS: [(&str, Target); 8] = [
    ("checkpoint", demotic_fuzz::checkpoint),
    ("configuration", demotic_fuzz::configuration),
    ("drawing", demotic_fuzz::drawing),
    ("index", demotic_fuzz::index),
    ("package", demotic_fuzz::package),
    ("phrases", demotic_fuzz::phrases),
    ("picture", demotic_fuzz::picture),
    ("profile", demotic_fuzz::profile),
];

/// Seeds that are refused, and words of why; all others are read.
const REFUSED: [(&str, &str); 43] = [
    ("checkpoint/f16", "expected F32"),
    ("checkpoint/format", "format 9"),
    ("checkpoint/outside", "invalid offset"),
    ("checkpoint/removed-key", "loss.smoothness"),
    ("configuration/broken", "not valid TOML"),
    ("configuration/set", "loss.kl"),
    ("configuration/several-lines", "control characters"),
    ("drawing/billion.svg", "every `use`, mask"),
    ("drawing/bomb.svgz", "a drawing of more than"),
    ("drawing/broken-picture.svg", "a picture in the drawing"),
    ("drawing/markers.svg", "every `use`, mask"),
    ("drawing/circle.svg", "in a circle"),
    ("drawing/entities.svg", "entities written out"),
    ("drawing/masks.svg", "every `use`, mask"),
    ("drawing/noise.svg", "the work of more than"),
    ("drawing/page.svg", "a web page"),
    ("drawing/reach.svg", "reach beyond"),
    ("drawing/sheet.svg", "71 parts"),
    ("drawing/tile.svg", "pixels at once"),
    ("drawing/vast-arc.svg", "an arc with a number beyond"),
    ("index/outside", "outside the folder"),
    ("index/twice", "twice"),
    ("index/version", "schema version 2"),
    ("package/files-circle", "run in a circle"),
    ("package/tar", "info.json is missing"),
    ("package/tar-extended", "icons.json is missing"),
    ("package/tar-long-header", "a header has"),
    ("phrases/bytes", "line 2: not UTF-8"),
    (
        "phrases/columns",
        "line 2: expected name, language, register and phrase",
    ),
    ("phrases/source-rude", "rude: expected 0 or 1"),
    ("phrases/source-wheel", "not a complete wheel"),
    ("phrases/table-language", "language: expected en or zh"),
    ("phrases/table-source", "line 2: source: expected a name"),
    (
        "phrases/wheel-of-others",
        "not the wheel of kaomoji-dataset",
    ),
    ("picture/bomb.png", "at most 64 megapixels"),
    ("picture/cut.jpg", "a JPEG without its end"),
    ("picture/cut.tif", "a part of its pixels is missing"),
    ("picture/cut.webp", "cut off"),
    ("picture/heic.jpg", "it is HEIC"),
    (
        "picture/profile-damaged.png",
        "its colour profile is damaged",
    ),
    (
        "picture/profile-packed.png",
        "its colour profile unpacks to more than",
    ),
    ("picture/vast.tif", "60000 x 60000 pixels"),
    ("profile/damaged", "its colour profile is damaged"),
];

#[test]
fn every_seed_is_read_or_refused_for_what_is_wrong_with_it() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let mut unseen = REFUSED.map(|(seed, _)| seed).to_vec();
    for (target, run) in TARGETS {
        for entry in std::fs::read_dir(seeds.join(target)).expect("each target has seeds") {
            let path = entry.expect("an entry").path();
            let file = path.file_name().expect("an entry has a name");
            let seed = format!("{target}/{}", file.to_string_lossy());
            let got = run(&std::fs::read(&path).expect("a seed can be read"));
            unseen.retain(|refused| *refused != seed);
            let expected = REFUSED.iter().find(|(refused, _)| *refused == seed);
            let is_expected = match (&got, expected) {
                (Ok(()), None) => true,
                (Err(message), Some((_, why))) => message.contains(why),
                _ => false,
            };
            assert!(is_expected, "{seed}: {got:?}");
        }
    }
    assert!(unseen.is_empty(), "no such seeds: {unseen:?}");
}
