//! A corpus of bad inputs, one run of the binary each, with the whole message expected of it in `tests/bad_inputs.txt`.
//!
//! `DEMOTIC_BLESS=1 cargo test --release --test all corpus` writes that file anew; read the difference before keeping it.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use image::{Rgba, RgbaImage};

use crate::support::{Place, TINY, png, png_that_claims};

/// Fewest inputs that the corpus holds.
const LEAST: usize = 60;

/// A bad input: files beside the common ones, then what is typed.
struct Case {
    name: &'static str,
    files: Vec<(&'static str, Vec<u8>)>,
    typed: Vec<&'static str>,
}

fn case(name: &'static str, files: Vec<(&'static str, Vec<u8>)>, typed: &[&'static str]) -> Case {
    Case {
        name,
        files,
        typed: typed.to_vec(),
    }
}

/// A gzipped tar archive; names as they are, also those that lead outside.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, *content)
            .expect("memory takes everything");
    }
    let zip = tar.into_inner().expect("memory takes everything");
    zip.finish().expect("memory takes everything")
}

const SVG: &[u8] =
    br#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8v8z"/></svg>"#;

fn settings() -> Vec<Case> {
    let with = |name, set: &[&'static str]| {
        let typed = set.iter().flat_map(|set| ["--set", *set]);
        let typed: Vec<&'static str> = ["train", "tiny.toml"].into_iter().chain(typed).collect();
        case(name, vec![], &typed)
    };
    let file = |name, text: &[u8]| {
        case(
            name,
            vec![("bad.toml", text.to_vec())],
            &["train", "bad.toml"],
        )
    };
    vec![
        case(
            "settings that are not there",
            vec![],
            &["train", "nowhere.toml"],
        ),
        case(
            "a folder as settings",
            vec![("folder/file", vec![])],
            &["train", "folder"],
        ),
        file("settings that are no TOML", b"[train\nsteps = 3\n"),
        file("a key given twice", b"[train]\nsteps = 3\nsteps = 4\n"),
        file(
            "settings that are not UTF-8",
            b"[data]\nsource = \"\xff\xfe\"\n",
        ),
        file("a section that does not exist", b"[trian]\nsteps = 3\n"),
        file("a value where a section belongs", b"augment = 3\n"),
        file(
            "several faults at once",
            b"[augment]\nflip = 1\nflip_prob = 2.5\nshift_max = \"far\"\n",
        ),
        with("a key that does not exist", &["augment.flip=1"]),
        with("an assignment without a value", &["train.batch"]),
        with("a word for a number", &["train.steps=many"]),
        with("no step", &["train.steps=0"]),
        with("an empty batch", &["train.batch=0"]),
        with(
            "a batch that does not divide",
            &["train.batch=4", "train.accumulate=3"],
        ),
        with(
            "a size that the networks cannot halve",
            &["data.size_px=20"],
        ),
        with("a size beyond what is tried", &["data.size_px=1024"]),
        with("a background by name", &["data.background=white"]),
        with("one style", &["data.styles=[\"openmoji\"]"]),
        with(
            "a style that does not exist",
            &["data.styles=[\"noto\",\"comic-sans\"]"],
        ),
        with("a style twice", &["data.styles=[\"noto\",\"noto\"]"]),
        with("a negative weight", &["loss.kl=-0.5"]),
        with("a weight that is no number", &["loss.cycle=nan"]),
        with("a share above one", &["loss.composite_prob=1.5"]),
        with("a rate above one", &["train.generator_rate=3"]),
        with("a memory without end", &["train.beta_2=1"]),
        with(
            "a stride that is no power of two",
            &["generator.latent_stride=3"],
        ),
        with("no channels", &["generator.channels=0"]),
        with("fewer channels than the fewest", &["generator.channels=4"]),
        with("a bound of nothing", &["discriminator.a_max=0"]),
        with("a device that does not exist", &["seed=1"]),
    ]
    .into_iter()
    .map(|mut case| {
        if case.name == "a device that does not exist" {
            case.typed.extend(["--device", "abacus"]);
        }
        case
    })
    .collect()
}

fn folders() -> Vec<Case> {
    let whole = png(&RgbaImage::from_pixel(9, 9, Rgba([9, 90, 200, 255])));
    let inspect = ["data", "inspect", "set"];
    let beside = |name, file: &'static str, bytes: Vec<u8>| {
        let files = vec![
            (file, bytes),
            ("set/one/a.png", whole.clone()),
            ("set/two/a.png", whole.clone()),
        ];
        case(name, files, &inspect)
    };
    let mut webp = b"RIFF\x1a\0\0\0WEBPVP8L".to_vec();
    webp.extend([9, 0, 0, 0, 0x2f, 255, 255, 255, 255]);
    vec![
        case("data that are not there", vec![], &["data", "inspect", "nowhere"]),
        case("data that are a file", vec![("set.txt", vec![])], &["data", "inspect", "set.txt"]),
        case("an archive in place of a data set", vec![("set.tgz", vec![])], &["data", "inspect", "set.tgz"]),
        case("a folder without pictures", vec![("set/one/a.txt", vec![])], &inspect),
        case("pictures without styles", vec![("set/a.png", whole.clone())], &inspect),
        case("a single style", vec![("set/one/a.png", whole.clone())], &inspect),
        case(
            "one name in two formats",
            vec![("set/one/a.png", whole.clone()), ("set/one/a.webp", whole.clone())],
            &inspect,
        ),
        // By its hash, the name is held out.
        case(
            "nothing to train on",
            vec![("set/one/y.png", whole.clone()), ("set/two/y.png", whole.clone())],
            &inspect,
        ),
        beside("words in place of a picture", "set/one/bad.png", b"PNG?".to_vec()),
        beside("a picture cut off", "set/one/bad.png", whole[..whole.len() / 2].to_vec()),
        beside("a picture that claims too much", "set/one/bad.png", png_that_claims(90_000, 90_000)),
        beside("an empty file", "set/one/bad.jpg", vec![]),
        beside("the beginning of a photograph", "set/one/bad.jpg", vec![0xff, 0xd8, 0xff, 0xe0, 0, 16]),
        beside("a damaged WebP", "set/one/bad.webp", webp),
        beside("a drawing that does not end", "set/one/bad.svg", b"<svg><g>".to_vec()),
        beside("a drawing that is not UTF-8", "set/one/bad.svg", b"<svg>\xff</svg>".to_vec()),
        beside(
            "a drawing without extent",
            "set/one/bad.svg",
            br#"<svg xmlns="http://www.w3.org/2000/svg" width="0" height="5"/>"#.to_vec(),
        ),
        beside(
            "an arc without end",
            "set/one/bad.svg",
            br#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0a1e90 3 0 1 0 5 7"/></svg>"#.to_vec(),
        ),
        case(
            "a sheet that is there",
            vec![("sheet.png", vec![])],
            &["data", "inspect", "emoji", "--sheet", "sheet.png"],
        ),
    ]
}

fn indices() -> Vec<Case> {
    let index = |styles: &str, items: &str| {
        format!(r#"{{"format":"demotic-data-set","schema_version":1,"styles":[{styles}],"items":[{items}]}}"#)
            .into_bytes()
    };
    let style = |file: &str, drawings: usize| {
        format!(
            r#"{{"name":"one","file":"{file}","drawings":{drawings},"source":"","licence":"","licence_file":"","attribution":""}}"#
        )
    };
    let item = r#"{"key":"a","name":"a","group":"","subgroup":"","family":"a"}"#;
    let of = |name, bytes: Vec<u8>| {
        case(
            name,
            vec![("set/index.json", bytes)],
            &["data", "inspect", "set"],
        )
    };
    let with = |name, bytes: Vec<u8>, drawings| {
        let mut case = of(name, index(&style("one.tar.gz", drawings), item));
        case.files.push(("set/one.tar.gz", bytes));
        case
    };
    let good = archive(&[("a.svg", SVG)]);
    vec![
        of("an empty index", vec![]),
        of(
            "an index of something else",
            br#"{"name":"package"}"#.to_vec(),
        ),
        of(
            "an index of another format",
            br#"{"format":"coco","schema_version":1}"#.to_vec(),
        ),
        of(
            "an index of the future",
            br#"{"format":"demotic-data-set","schema_version":9}"#.to_vec(),
        ),
        of(
            "an index with a strange key",
            index("", r#"{"key":"a","colour":1}"#),
        ),
        of(
            "an index that leads outside",
            index(&style("../one.tar.gz", 1), item),
        ),
        of(
            "an index that names an item twice",
            index("", &format!("{item},{item}")),
        ),
        of(
            "an index without its drawings",
            index(&style("one.tar.gz", 1), item),
        ),
        with("drawings cut off", good[..good.len() - 9].to_vec(), 1),
        with("fewer drawings than stated", good.clone(), 2),
        with(
            "a drawing that the index does not name",
            archive(&[("b.svg", SVG)]),
            1,
        ),
        with(
            "a drawing twice",
            archive(&[("a.svg", SVG), ("a.png", SVG)]),
            2,
        ),
    ]
}

fn packages() -> Vec<Case> {
    let icons = br#"{"prefix":"noto","icons":{"grin":{"body":"<path/>"}},"aliases":{"a":{"parent":"b"},"b":{"parent":"a"}}}"#;
    let info = br#"{"name":"N","author":{"name":"A"},"license":{"title":"MIT"}}"#;
    let manifest = br#"{"name":"@iconify-json/noto","version":"1.0.0"}"#;
    let of = |name, chars: &[u8], icons: &[u8]| {
        let files: [(&str, &[u8]); 4] = [
            ("package/icons.json", icons),
            ("package/info.json", info),
            ("package/package.json", manifest),
            ("package/chars.json", chars),
        ];
        case(
            name,
            vec![("noto.tgz", archive(&files))],
            &["data", "import", "--out", "new", "noto.tgz"],
        )
    };
    let raw = |name, bytes: Vec<u8>| {
        case(
            name,
            vec![("a.tgz", bytes)],
            &["data", "import", "--out", "new", "a.tgz"],
        )
    };
    let chars = br#"{"1f600":"grin"}"#;
    vec![
        case(
            "an archive that is not there",
            vec![],
            &["data", "import", "--out", "new", "a.tgz"],
        ),
        raw("words in place of an archive", b"no archive".to_vec()),
        raw(
            "an archive cut off",
            archive(&[("package/icons.json", icons)])[..40].to_vec(),
        ),
        raw(
            "an archive of something else",
            archive(&[("package/README.md", b"hello")]),
        ),
        raw(
            "an entry that leads outside",
            archive(&[("../../etc/passwd", b"root")]),
        ),
        of("icons that are no JSON", chars, b"{"),
        of("a codepoint that is none", br#"{"smile":"grin"}"#, icons),
        of("a name without an icon", br#"{"1f600":"frown"}"#, icons),
        of("aliases in a circle", br#"{"1f600":"a"}"#, icons),
        of(
            "an icon without extent",
            chars,
            br#"{"prefix":"noto","icons":{"grin":{"body":"","width":0}}}"#,
        ),
        raw(
            "openmoji without its licence",
            archive(&[
                ("package/data/openmoji.json", b"[]"),
                ("package/package.json", br#"{"version":"1","license":"CC"}"#),
            ]),
        ),
        case(
            "a destination that is taken",
            vec![("mine/file", vec![]), ("set/one/a.svg", SVG.to_vec())],
            &["data", "import", "--out", "mine", "set"],
        ),
    ]
}

fn runs() -> Vec<Case> {
    let young = || vec![("young/config.toml", TINY.as_bytes().to_vec())];
    let on_run = |name, files: Vec<(&'static str, Vec<u8>)>, typed: &[&'static str]| {
        let mut all = typed.to_vec();
        all.extend(["--run", "run", "--device", "flex"]);
        case(name, files, &all)
    };
    let json = "run/checkpoints/step-00000012.json";
    vec![
        case("a run that is not there", vec![], &["evaluate", "--run", "nowhere"]),
        case("a folder that is no run", vec![("mine/file", vec![])], &["recognize", "--run", "mine", "a.png"]),
        case("a run without a checkpoint", young(), &["evaluate", "--run", "young"]),
        on_run("a description cut off", vec![(json, b"{\"format\":".to_vec())], &["evaluate"]),
        on_run("a description of the future", vec![(json, b"{\"format\":77}".to_vec())], &["evaluate"]),
        on_run("a style that the run does not know", vec![], &["translate", "--to", "noto", "--out", "o", "a.png"]),
        on_run("a picture that is not there", vec![], &["recognize", "a.png"]),
        on_run("a picture of another kind", vec![("a.gif", vec![])], &["recognize", "a.gif"]),
        on_run("a picture that is none", vec![("a.png", b"GIF89a".to_vec())], &["recognize", "a.png"]),
        on_run(
            "a heat map over its own picture",
            vec![("a.png", png(&RgbaImage::new(2, 2)))],
            &["recognize", "--out", ".", "a.png"],
        ),
        on_run("scores over a file", vec![("mine.json", vec![])], &["evaluate", "--json", "mine.json"]),
        case("an ablation that is not there", vec![], &["ablate", "nowhere.toml"]),
        case("an ablation of nothing", vec![("a.toml", b"seeds = []\nvariant = []\n".to_vec())], &["ablate", "a.toml"]),
        case(
            "an ablation that cannot be",
            vec![(
                "a.toml",
                b"seeds = [1]\n[[variant]]\nname = \"A\"\n[[variant]]\nname = \"b\"\nset = [\"train.steps=0\"]\n".to_vec(),
            )],
            &["ablate", "a.toml"],
        ),
    ]
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "the system's own words differ")]
fn every_bad_input_gets_the_message_that_is_expected_of_it() {
    let mut cases = settings();
    cases.extend(folders());
    cases.extend(indices());
    cases.extend(packages());
    cases.extend(runs());
    assert!(cases.len() >= LEAST, "{} inputs", cases.len());
    let mut told = format!(
        "{} bad inputs and the message that each gets.\n",
        cases.len()
    );
    for Case { name, files, typed } in &cases {
        let place = if typed.contains(&"run") {
            Place::with_run()
        } else {
            Place::new()
        };
        for (file, bytes) in files {
            place.write(file, bytes);
        }
        let before = place.contents();
        let said = place.run(typed);
        said.refused(2, "");
        assert!(before == place.contents(), "{name}: files changed");
        // A write into a String cannot fail.
        let _ = write!(
            told,
            "\n# {name}\n$ demotic {}\n{}",
            typed.join(" "),
            said.err
        );
    }
    let names: std::collections::BTreeSet<&str> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len(), "a name is there twice");
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bad_inputs.txt");
    if std::env::var_os("DEMOTIC_BLESS").is_some() {
        let mut file = fs::File::create(golden).expect("the golden file can be written");
        file.write_all(told.as_bytes())
            .expect("the golden file can be written");
    }
    let expected = fs::read_to_string(golden).expect("the golden file is there");
    for (told, expected) in told.split("\n# ").zip(expected.split("\n# ")) {
        assert!(told == expected, "expected\n{expected}\ngot\n{told}");
    }
    assert!(told == expected, "as many inputs as messages");
}
