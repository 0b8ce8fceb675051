//! A corpus of bad inputs, one run of the binary each, with the whole message expected of it in
//! `tests/bad_inputs.txt`.
//!
//! `DEMOTIC_BLESS=1 cargo test --release --test all corpus` writes that file anew; read the difference before
//! keeping it.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;

use demotic_core::data::signed_png;
use flate2::Compression;
use flate2::write::GzEncoder;
use image::{Rgba, RgbaImage};

use crate::support::{Place, TINY, crc32, png, png_that_claims, words};

/// Fewest inputs that the corpus holds.
const LEAST: usize = 60;

/// Stands for a port that the test holds.
const TAKEN: &str = "7500";

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

pub(crate) fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut zip = GzEncoder::new(Vec::new(), Compression::best());
    zip.write_all(bytes).expect("memory takes everything");
    zip.finish().expect("memory takes everything")
}

/// A PNG with this colour profile behind its header, packed as PNG packs it.
pub(crate) fn with_profile(png: &[u8], profile: &[u8]) -> Vec<u8> {
    let mut zip = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
    zip.write_all(profile).expect("memory takes everything");
    let zip = zip.finish().expect("memory takes everything");
    let body = [b"iCCPof mine\0\0", &zip[..]].concat();
    let length = (body.len() as u32 - 4).to_be_bytes();
    let checksum = crc32(&body).to_be_bytes();
    [&png[..33], &length, &body, &checksum, &png[33..]].concat()
}

/// A drawing of a few lines that stands for ten billion letters.
fn repeating_drawing() -> Vec<u8> {
    let mut svg = String::from(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><text id="u0">a</text>"#,
    );
    for level in 1..=10 {
        let uses = format!(r##"<use href="#u{}"/>"##, level - 1).repeat(10);
        let _ = write!(svg, r#"<g id="u{level}">{uses}</g>"#);
    }
    (svg + "</svg>").into_bytes()
}

/// A JPEG without its last marker.
fn cut_jpeg() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(20, 20, image::Rgb([9, 90, 200]))
        .write_to(&mut bytes, image::ImageFormat::Jpeg)
        .expect("JPEG can be encoded");
    let bytes = bytes.into_inner();
    bytes[..bytes.len() - 2].to_vec()
}

const SVG: &[u8] =
    br#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8v8z"/></svg>"#;

fn settings() -> Vec<Case> {
    let with = |name, set: &[&'static str]| {
        let typed = set.iter().flat_map(|set| ["--set", *set]);
        let typed: Vec<&'static str> = ["train", "tiny.toml"].into_iter().chain(typed).collect();
        case(name, vec![], &typed)
    };
    let on = |name, device| case(name, vec![], &["train", "tiny.toml", "--device", device]);
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
        case("a recipe misspelt", vec![], &["train", "quickstrat"]),
        case(
            "a plan in place of a recipe",
            vec![],
            &["train", "ablation"],
        ),
        case(
            "a folder as settings",
            vec![("folder/file", vec![])],
            &["train", "folder"],
        ),
        file("settings that are no TOML", b"[train\nsteps = 3\n"),
        file("settings in UTF-16", b"\xff\xfes\0e\0e\0d\0=\x001\0"),
        file("a key given twice", b"[train]\nsteps = 3\nsteps = 4\n"),
        file(
            "settings that are not UTF-8",
            b"[data]\nsource = \"\xff\xfe\"\n",
        ),
        file("a section that does not exist", b"[trian]\nsteps = 3\n"),
        file(
            "a wrong key in a file of Windows",
            b"\xef\xbb\xbf[train]\r\nsteps = 5\r\nbacth = 4\r\n",
        ),
        file(
            "a path of Windows between double quotes",
            b"[data]\r\nsource = \"C:\\pictures\"\r\n",
        ),
        file(
            "a path of Windows that becomes two lines",
            b"[data]\r\nsource = \"C:\\new\"\r\n",
        ),
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
            "pairs that are said to be none",
            &["data.pairs=none", "train.pairs=all"],
        ),
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
        on("a device that does not exist", "abacus"),
        on(
            "a device of another machine, in a build without them",
            "flex,remote:ID@there:7501",
        ),
    ]
}

/// The head of a bitmap of 60,000 x 60,000 pixels.
pub(crate) fn vast_bitmap() -> Vec<u8> {
    let words = [
        54_u32,
        0,
        54,
        40,
        60_000,
        60_000,
        1 | 24 << 16,
        0,
        0,
        0,
        0,
        0,
        0,
    ];
    let words = words.iter().flat_map(|word| word.to_le_bytes());
    b"BM".iter().copied().chain(words).collect()
}

/// A GIF of 60,000 x 60,000 pixels, of which one is there.
pub(crate) fn vast_gif() -> Vec<u8> {
    let mut file = b"GIF89a\x60\xea\x60\xea\x80\0\0\x10\x80\xf0\xff\xff\xff".to_vec();
    file.extend(b",\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0;");
    file
}

/// A JPEG of 60,000 x 60,000 pixels, of which none is there.
pub(crate) fn vast_jpeg() -> Vec<u8> {
    let mut file =
        b"\xff\xd8\xff\xc0\0\x11\x08\xea\x60\xea\x60\x03\x01\x11\0\x02\x11\0\x03\x11\0".to_vec();
    file.extend(b"\xff\xda\0\x0c\x03\x01\0\x02\0\x03\0\0\x3f\0\xff\xd9");
    file
}

/// A WebP of as many pixels as that format has: 16,383 a side.
pub(crate) fn vast_webp() -> Vec<u8> {
    let mut file = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\xfe\xbf\xff\x0f".to_vec();
    file.extend([0; 9]);
    file
}

/// A TIFF in grey of these sides and bits a sample, its pixels behind its end.
pub(crate) fn tiff(side: u32, bits: u32) -> Vec<u8> {
    let entries = [
        [256, 4, side],
        [257, 4, side],
        [258, 3, bits],
        [262, 3, 1],
        [273, 4, 90],
        [279, 4, side],
    ];
    let mut file = b"II*\0\x08\0\0\0\x06\0".to_vec();
    for [tag, kind, value] in entries {
        file.extend((tag as u16).to_le_bytes());
        file.extend((kind as u16).to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file
}

/// A file that cannot be read, in a data set that is whole without it.
fn beside(name: &'static str, file: &'static str, bytes: Vec<u8>) -> Case {
    let whole = small_picture();
    let files = vec![
        (file, bytes),
        ("set/one/a.png", whole.clone()),
        ("set/two/a.png", whole),
    ];
    case(name, files, &["data", "inspect", "set"])
}

pub(crate) fn small_picture() -> Vec<u8> {
    png(&RgbaImage::from_pixel(9, 9, Rgba([9, 90, 200, 255])))
}

fn damaged_drawings_and_profiles() -> Vec<Case> {
    let whole = small_picture();
    vec![
        beside(
            "a drawing with a picture that is cut off",
            "set/one/bad.svg",
            br#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><image width="9" href="data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA"/></svg>"#.to_vec(),
        ),
        beside("a drawing that repeats itself without end", "set/one/bad.svg", repeating_drawing()),
        beside("a drawing of too many letters", "set/one/bad.svg", {
            let text = "a".repeat(300_000);
            format!(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><text>{text}</text></svg>"#).into_bytes()
        }),
        beside("a drawing of a million nodes", "set/one/bad.svg", {
            let nodes = "<g/>".repeat(1_000_000);
            format!(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{nodes}</svg>"#).into_bytes()
        }),
        beside("a drawing with a marker on each of a million points", "set/one/bad.svg", {
            let line = "h.1".repeat(1_000_000);
            format!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><marker id="m"><path d="M0 0h1v1z"/></marker><path marker-mid="url(#m)" d="M0 0{line}"/></svg>"#
            )
            .into_bytes()
        }),
        beside("a drawing of layers without end", "set/one/bad.svg", {
            let group = r#"<g opacity=".5"><path d="M-99-99h999v999z"/></g>"#.repeat(200_000);
            format!(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{group}</svg>"#).into_bytes()
        }),
        beside("a picture with a large colour profile", "set/one/bad.png", with_profile(&whole, &vec![7; 10 << 20])),
        beside("a picture with a damaged colour profile", "set/one/bad.png", with_profile(&whole, &[7; 300])),
        beside("a bitmap that claims too much", "set/one/bad.bmp", vast_bitmap()),
        beside("a TIFF that claims too much", "set/one/bad.tif", tiff(60_000, 8)),
        beside("a TIFF cut off", "set/one/bad.tiff", tiff(9, 8)),
        beside("a TIFF of a kind that is not read", "set/one/bad.tif", tiff(9, 32)),
        beside(
            "a GIF cut off",
            "set/one/bad.gif",
            b"GIF89a\x09\0\x09\0\x80\0\0\x10\x80\xf0\xff\xff\xff,\0\0\0\0\x09\0\x09\0\0\x02".to_vec(),
        ),
        beside("a photograph without its end", "set/one/bad.jpg", cut_jpeg()),
        beside("a drawing that unpacks without end", "set/one/bad.svgz", zipped(&vec![b' '; 17 << 20])),
    ]
}

/// Drawings of a few lines that stand for more than can be drawn.
fn endless_drawings() -> Vec<Case> {
    let filtered = |steps: &str| {
        format!(r#"<filter id="f">{steps}</filter><path d="M0 0h9v9z" filter="url(#f)"/>"#)
    };
    let masks = (1..12)
        .map(|level| {
            let inner = format!(r#"<path d="M0 0h9v9z" mask="url(#m{})"/>"#, level - 1).repeat(10);
            format!(r#"<mask id="m{level}">{inner}</mask>"#)
        })
        .collect::<Vec<String>>()
        .concat();
    let attributes = (0..2000)
        .map(|i| format!(r#" a{i}="""#))
        .collect::<Vec<String>>()
        .concat();
    let drawings = [
        (
            "a filter of noise without end",
            filtered(r#"<feTurbulence numOctaves="4000000000"/>"#),
        ),
        (
            "a filter of too many steps",
            filtered(&"<feOffset/>".repeat(2000)),
        ),
        (
            "a filter that reaches beyond all numbers",
            filtered(r#"<feFlood x="-1e12" y="0" width="1e13" height="9"/>"#),
        ),
        (
            "masks in masks without end",
            format!(r#"<mask id="m0"><path d="M0 0h9v9z"/></mask>{masks}"#),
        ),
        (
            "a mask and a pattern that hold each other",
            r#"<pattern id="p"><path mask="url(#m)"/></pattern><mask id="m"><path fill="url(#p)"/></mask>"#.into(),
        ),
        (
            "a pattern of a vast tile",
            r#"<pattern id="p" patternUnits="userSpaceOnUse" width="1e6" height="1e6"><path d="M0 0h9v9z"/></pattern><path d="M0 0h9v9z" fill="url(#p)"/>"#.into(),
        ),
        (
            "gradients of more shapes than are compared",
            r#"<linearGradient id="g"><stop/><stop offset="1"/></linearGradient>"#.to_owned()
                + &r#"<path fill="url(#g)"/>"#.repeat(140_000),
        ),
        (
            "a style sheet without end",
            format!("<style>{}</style>{}", "g{fill:red}".repeat(50_000), "<g/>".repeat(50_000)),
        ),
        (
            "a selector without end",
            format!("<style>{}g{{fill:red}}</style>", "g+".repeat(1000)),
        ),
        (
            "an element of too many attributes",
            format!("<g{attributes}/>"),
        ),
        (
            "name spaces without end",
            (0..5000)
                .map(|i| format!(r#"<g xmlns:n{i}="a"/>"#))
                .collect::<Vec<String>>()
                .concat(),
        ),
    ];
    let mut cases: Vec<Case> = drawings
        .into_iter()
        .map(|(name, content)| {
            let svg = format!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{content}</svg>"#
            );
            beside(name, "set/one/bad.svg", svg.into_bytes())
        })
        .collect();
    let entity = "x".repeat(50_000);
    let entities = format!(
        r#"<!DOCTYPE svg [<!ENTITY a "{entity}">]><svg>{}</svg>"#,
        "&a;".repeat(1000)
    );
    cases.push(beside(
        "entities that come to too much",
        "set/one/bad.svg",
        entities.into_bytes(),
    ));
    cases
}

fn damaged_pictures() -> Vec<Case> {
    let whole = small_picture();
    let mut webp = b"RIFF\x1a\0\0\0WEBPVP8L".to_vec();
    webp.extend([9, 0, 0, 0, 0x2f, 255, 255, 255, 255]);
    vec![
        beside("words in place of a picture", "set/one/bad.png", b"PNG?".to_vec()),
        beside("a picture cut off", "set/one/bad.png", whole[..whole.len() / 2].to_vec()),
        beside("a picture that claims too much", "set/one/bad.png", png_that_claims(90_000, 90_000)),
        beside("an empty file", "set/one/bad.jpg", vec![]),
        beside("a web page in place of a picture", "set/one/bad.png", b"<!DOCTYPE html><html>404".to_vec()),
        beside("a web page in place of a drawing", "set/one/bad.svg", b"<!DOCTYPE html><html>404".to_vec()),
        beside("a picture named as a drawing", "set/one/bad.svg", whole.clone()),
        beside("a drawing named as a photograph", "set/one/bad.jpg", SVG.to_vec()),
        beside(
            "a pointer in place of a picture",
            "set/one/bad.png",
            b"version https://git-lfs.github.com/spec/v1\nsize 9\n".to_vec(),
        ),
        beside(
            "a telephone's picture, renamed",
            "set/one/bad.jpg",
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec(),
        ),
        beside("the beginning of a photograph", "set/one/bad.jpg", vec![0xff, 0xd8, 0xff, 0xe0, 0, 16]),
        beside("a damaged WebP", "set/one/bad.webp", webp),
        beside(
            "a WebP cut off",
            "set/one/bad.webp",
            include_bytes!("../../../../fuzz/seeds/picture/cut.webp").to_vec(),
        ),
        beside("a WebP that claims too much", "set/one/bad.webp", vast_webp()),
        beside("a photograph that claims too much", "set/one/bad.jpg", vast_jpeg()),
        beside("a GIF that claims too much", "set/one/bad.gif", vast_gif()),
        beside("a bitmap cut off", "set/one/bad.bmp", {
            let mut bytes = vast_bitmap();
            bytes[18..26].copy_from_slice(&[9, 0, 0, 0, 9, 0, 0, 0]);
            bytes
        }),
        beside("a gzipped drawing cut off", "set/one/bad.svgz", zipped(SVG)[..30].to_vec()),
        beside("a drawing in UTF-16 cut off", "set/one/bad.svg", b"\xff\xfe<\0s\0v\0g\0>\0".to_vec()),
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
    ]
}

fn folders() -> Vec<Case> {
    let whole = small_picture();
    let inspect = ["data", "inspect", "set"];
    vec![
        case(
            "data that are not there",
            vec![],
            &["data", "inspect", "nowhere"],
        ),
        case(
            "data that are a file",
            vec![("set.txt", vec![])],
            &["data", "inspect", "set.txt"],
        ),
        case(
            "an archive in place of a data set",
            vec![("set.tgz", vec![])],
            &["data", "inspect", "set.tgz"],
        ),
        case(
            "a folder without pictures",
            vec![("set/one/a.txt", vec![])],
            &inspect,
        ),
        case(
            "pictures without styles",
            vec![("set/a.png", whole.clone())],
            &inspect,
        ),
        case(
            "a single style",
            vec![("set/one/a.png", whole.clone())],
            &inspect,
        ),
        case(
            "a folder of pictures, zipped",
            vec![("set.zip", vec![])],
            &["data", "inspect", "set.zip"],
        ),
        case(
            "a folder of pictures, as tar.gz",
            vec![("set.tar.gz", archive(&[("set/one/a.png", &whole)]))],
            &["data", "inspect", "set.tar.gz"],
        ),
        case(
            "a folder of pictures, packed in another way",
            vec![("set.tar.xz", vec![])],
            &["data", "inspect", "set.tar.xz"],
        ),
        case(
            "pictures of kinds that are not read",
            vec![("set/one/a.heic", vec![]), ("set/two/b.psd", vec![])],
            &inspect,
        ),
        case(
            "a style of a kind that is not read",
            vec![("set/one/a.png", whole.clone()), ("set/two/b.avif", vec![])],
            &inspect,
        ),
    ]
}

fn layouts() -> Vec<Case> {
    let whole = small_picture();
    let inspect = ["data", "inspect", "set"];
    vec![
        case(
            "styles one level deeper",
            vec![
                ("set/in/one/a.png", whole.clone()),
                ("set/in/two/a.png", whole.clone()),
            ],
            &inspect,
        ),
        case(
            "styles two levels deeper",
            vec![
                ("set/in/deep/one/a.png", whole.clone()),
                ("set/in/deep/two/a.png", whole.clone()),
            ],
            &inspect,
        ),
        case(
            "splits two levels deeper",
            vec![
                ("set/in/train/one/a.png", whole.clone()),
                ("set/in/train/two/a.png", whole.clone()),
            ],
            &inspect,
        ),
        case(
            "an address in place of data",
            vec![],
            &["data", "inspect", "https://example.org/set"],
        ),
        case(
            "a home that the shell did not write out",
            vec![],
            &["data", "inspect", "~/set"],
        ),
        case(
            "a run in place of pictures",
            vec![
                ("set/config.toml", vec![]),
                ("set/samples/a.png", whole.clone()),
                ("set/checkpoints/a.json", vec![]),
            ],
            &inspect,
        ),
        case(
            "translations in place of a style",
            vec![
                ("set/one/a.png", whole.clone()),
                ("set/two/a.png", signed_png(&whole)),
            ],
            &inspect,
        ),
        case(
            "several damaged pictures",
            vec![
                ("set/one/a.png", whole.clone()),
                ("set/one/b.png", vec![]),
                ("set/two/a.png", whole.clone()),
                ("set/two/c.jpg", vec![]),
            ],
            &inspect,
        ),
        // By its hash, the name is held out.
        case(
            "nothing to train on",
            vec![
                ("set/one/y.png", whole.clone()),
                ("set/two/y.png", whole.clone()),
            ],
            &inspect,
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
        case(
            "a zipped folder to import",
            vec![("a.zip", b"PK".to_vec())],
            &["data", "import", "--out", "new", "a.zip"],
        ),
        raw(
            "an archive cut off",
            archive(&[("package/icons.json", icons)])[..40].to_vec(),
        ),
        raw(
            "an archive of something else",
            archive(&[("package/README.md", b"hello")]),
        ),
        case(
            "a folder of pictures to import, as tar.gz",
            vec![("a.tar.gz", archive(&[("set/one/a.png", &small_picture())]))],
            &["data", "import", "--out", "new", "a.tar.gz"],
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

/// A run that has only just begun.
fn young() -> Vec<(&'static str, Vec<u8>)> {
    vec![("young/config.toml", TINY.as_bytes().to_vec())]
}

/// A case on a run, on flex.
fn on_run(name: &'static str, files: Vec<(&'static str, Vec<u8>)>, typed: &[&'static str]) -> Case {
    let on = ["--run", "run", "--device", "flex"];
    case(name, files, &[typed, &on[..]].concat())
}

fn runs() -> Vec<Case> {
    let json = "run/checkpoints/step-00000012.json";
    vec![
        case(
            "a run that is not there",
            vec![],
            &["evaluate", "--run", "nowhere"],
        ),
        case(
            "a run of almost that name to go on with",
            young(),
            &["train", "--resume", "--out", "yuong"],
        ),
        case(
            "a folder that is no run",
            vec![("mine/file", vec![])],
            &["recognize", "--run", "mine", "a.png"],
        ),
        case(
            "a run without a checkpoint",
            young(),
            &["evaluate", "--run", "young"],
        ),
        on_run(
            "a description cut off",
            vec![(json, b"{\"format\":".to_vec())],
            &["evaluate"],
        ),
        on_run(
            "a description of the future",
            vec![(json, b"{\"format\":77}".to_vec())],
            &["evaluate"],
        ),
        on_run(
            "a style that the run does not know",
            vec![],
            &["translate", "--to", "noto", "--out", "o", "a.png"],
        ),
        on_run(
            "a style misspelt",
            vec![],
            &["translate", "--to", "OpenMjoi", "--out", "o", "a.png"],
        ),
        on_run(
            "a picture that is not there",
            vec![],
            &["recognize", "a.png"],
        ),
        on_run(
            "a result that is no PNG",
            vec![("a.png", vec![])],
            &["translate", "--to", "openmoji", "--out", "b.jpg", "a.png"],
        ),
        on_run(
            "one file for two results",
            vec![("a.png", vec![]), ("b.png", vec![])],
            &words("translate --to openmoji --out c.png a.png b.png"),
        ),
        case(
            "a run of no name to go on with",
            vec![("runs/00007-mine/config.toml", vec![])],
            &["train", "tiny.toml", "--resume"],
        ),
        on_run(
            "a picture of another kind",
            vec![("a.heic", vec![])],
            &["recognize", "a.heic"],
        ),
        on_run(
            "a picture that is none",
            vec![("a.png", b"II*\0\0\0".to_vec())],
            &["recognize", "a.png"],
        ),
        on_run(
            "a heat map over its own picture",
            vec![("a.png", png(&RgbaImage::new(2, 2)))],
            &["recognize", "--out", ".", "a.png"],
        ),
        on_run(
            "scores over a file",
            vec![("mine.json", vec![])],
            &["evaluate", "--json", "mine.json"],
        ),
        on_run(
            "scores at a smaller size than the networks'",
            vec![],
            &["evaluate", "--size-px", "8"],
        ),
        on_run(
            "scores of some styles of a run",
            vec![],
            &["evaluate", "--styles", "openmoji,openmoji-line"],
        ),
    ]
}

fn budgets() -> Vec<Case> {
    vec![case(
        "networks by a time that is not said",
        vec![],
        &["train", "tiny.toml", "--quality", "auto"],
    )]
}

fn pages() -> Vec<Case> {
    vec![
        case(
            "a page of a run that is not there",
            vec![],
            &["serve", "--port", "0", "--run", "nowhere"],
        ),
        case(
            "a page of a run without a checkpoint",
            young(),
            &["serve", "--port", "0", "--run", "young"],
        ),
        on_run(
            "a page of a checkpoint that is not there",
            vec![],
            &["serve", "--port", "0", "--checkpoint", "99"],
        ),
        case(
            "a page of a file that is no network",
            vec![("f", b"mine".to_vec())],
            &["serve", "--port", "0", "--run", "f"],
        ),
        case("a page nowhere", vec![], &["serve", "--listen", "here"]),
        case(
            "a page at a port that is none",
            vec![],
            &["serve", "--listen", "127.0.0.1:70000"],
        ),
        case(
            "a page at an address of another machine",
            vec![],
            &["serve", "--listen", "203.0.113.7:7500"],
        ),
        case(
            "a page at a port that is in use",
            vec![],
            &["serve", "--port", TAKEN],
        ),
    ]
}

fn exports() -> Vec<Case> {
    vec![
        case(
            "a network of a run that is not there",
            vec![],
            &["export", "nowhere", "--format", "onnx", "--out", "o"],
        ),
        case(
            "a network of a run without a checkpoint",
            young(),
            &["export", "young", "--format", "onnx", "--out", "o"],
        ),
        case(
            "a format that is not known",
            vec![],
            &["export", "built-in", "--format", "pickle", "--out", "o"],
        ),
        case(
            "a network without a place to go",
            vec![],
            &["export", "built-in", "--format", "onnx"],
        ),
        case(
            "a network over a file",
            vec![("o/model.onnx", b"mine".to_vec())],
            &["export", "built-in", "--format", "onnx", "--out", "o"],
        ),
        case(
            "a network into a file",
            vec![("o", b"mine".to_vec())],
            &["export", "built-in", "--format", "onnx", "--out", "o"],
        ),
        case(
            "a runtime for a file",
            vec![],
            &["export", "built-in", "--runtime", "dist", "--out", "o"],
        ),
        case(
            "a runtime that is not where it is said to be",
            vec![("dist/ort.js", vec![])],
            &["export", "built-in", "--web", "site", "--runtime", "dist"],
        ),
        case(
            "a page over a page",
            vec![
                ("dist/ort.wasm.min.mjs", vec![]),
                ("dist/ort-wasm-simd-threaded.mjs", vec![]),
                ("dist/ort-wasm-simd-threaded.wasm", vec![]),
                ("site/index.html", b"mine".to_vec()),
            ],
            &["export", "built-in", "--web", "site", "--runtime", "dist"],
        ),
        case(
            "a recipe that is not there",
            vec![],
            &["configs", "slowstart"],
        ),
        case(
            "a page of the manual over a file",
            vec![("man/demotic.1", b"mine".to_vec())],
            &["man", "man"],
        ),
        case(
            "pages of the manual into a file",
            vec![("man", b"mine".to_vec())],
            &["man", "man"],
        ),
        case(
            "quiet in JSON",
            vec![],
            &["train", "tiny.toml", "--quiet", "--json"],
        ),
    ]
}

fn ablations() -> Vec<Case> {
    vec![
        case("a sweep of nothing", vec![("a.toml", b"seeds = [1]\n[sweep]\nkeys = {}\n".to_vec())], &["ablate", "a.toml"]),
        case(
            "a sweep without end",
            vec![(
                "a.toml",
                b"seeds = [1]\n[sweep.keys]\n\"loss.kl\" = [1,2,3,4,5,6,7]\n\"loss.cycle\" = [1,2,3,4,5,6,7]\n\"loss.r1\" = [1,2,3,4,5,6,7]\n"
                    .to_vec(),
            )],
            &["ablate", "a.toml"],
        ),
        case(
            "a sweep of a key that does not exist",
            vec![("a.toml", b"seeds = [1]\n[sweep.keys]\n\"loss.colour\" = [1, 2]\n".to_vec())],
            &["ablate", "a.toml"],
        ),
        case(
            "a sweep through a value twice",
            vec![("a.toml", b"seeds = [1]\n[sweep.keys]\n\"loss.cycle\" = [2, 5, 2]\n".to_vec())],
            &["ablate", "a.toml"],
        ),
        case(
            "a sweep without patience",
            vec![("a.toml", b"seeds = [1]\n[sweep]\npatience = 0\n[sweep.keys]\n\"loss.cycle\" = [2, 5]\n".to_vec())],
            &["ablate", "a.toml"],
        ),
        case(
            "a sweep with too much patience",
            vec![(
                "a.toml",
                b"seeds = [1]\n[base.train]\nsteps = 2000\n[sweep]\npatience = 4\n[sweep.keys]\n\"loss.cycle\" = [2, 5]\n".to_vec(),
            )],
            &["ablate", "a.toml"],
        ),
        case(
            "a sweep into a folder of something else",
            vec![("a.toml", b"seeds = [1]\n[sweep.keys]\n\"loss.cycle\" = [2, 5]\n".to_vec()), ("o/mine.txt", b"mine".to_vec())],
            &["ablate", "a.toml", "--out", "o"],
        ),
        case(
            "a sweep over the seed",
            vec![("a.toml", b"seeds = [1]\n[sweep.keys]\nseed = [1, 2]\n".to_vec())],
            &["ablate", "a.toml"],
        ),
        case(
            "a variant of the seed",
            vec![(
                "a.toml",
                b"seeds = [1]\n[[variant]]\nname = \"a\"\n[[variant]]\nname = \"b\"\nset = [\"seed=2\"]\n".to_vec(),
            )],
            &["ablate", "a.toml"],
        ),
        case("an ablation that is not there", vec![], &["ablate", "nowhere.toml"]),
        case("a recipe in place of a plan", vec![], &["ablate", "quickstart"]),
        case("a plan that is not there", vec![], &["ablate", "ablatoin"]),
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

/// What `translate` is given beside pictures, and checkpoints that a run does not have.
fn translations() -> Vec<Case> {
    let whole = small_picture;
    let translate = |name, files: Vec<(&'static str, Vec<u8>)>, typed: &[&'static str]| {
        let start = ["translate", "--run", "run", "--device", "flex"];
        let to = ["--to", "openmoji", "--out", "o"];
        case(name, files, &[&start[..], &to, typed].concat())
    };
    vec![
        translate(
            "an archive to translate",
            vec![("a.zip", b"PK".to_vec())],
            &["a.zip"],
        ),
        translate("standard input to translate", vec![], &["-"]),
        case(
            "translations to standard output",
            vec![("x.png", whole())],
            &[
                "translate",
                "--run",
                "run",
                "--to",
                "openmoji",
                "--out",
                "-",
                "x.png",
            ],
        ),
        translate(
            "two pictures of one name to translate",
            vec![("a/x.png", whole()), ("b/x.png", whole())],
            &["a", "b"],
        ),
        translate(
            "translations that are there",
            vec![("x.png", whole()), ("o/x.png", b"mine".to_vec())],
            &["x.png"],
        ),
        translate(
            "translations to keep and to replace",
            vec![("x.png", whole())],
            &["--force", "--skip-existing", "x.png"],
        ),
        translate(
            "a rule for paper that is none",
            vec![("x.png", whole())],
            &["--paper", "white", "x.png"],
        ),
        translate(
            "a rule for transparency that is none",
            vec![("x.png", whole())],
            &["--alpha", "none", "x.png"],
        ),
        translate(
            "a size beyond what is translated",
            vec![("x.png", whole())],
            &["--size-px", "9000", "x.png"],
        ),
        translate(
            "a checkpoint that the run does not keep",
            vec![("x.png", whole())],
            &["--checkpoint", "7", "x.png"],
        ),
        case(
            "the best of weights without a run",
            vec![("x.png", whole())],
            &["recognize", "--checkpoint", "best", "x.png"],
        ),
        case(
            "other pictures for a run that does not go on",
            vec![],
            &["train", "tiny.toml", "--data-changed"],
        ),
    ]
}

/// Data sets that cannot be trained on as it is asked.
fn unfit_sets() -> Vec<Case> {
    let set = |shared: u8| -> Vec<(&'static str, Vec<u8>)> {
        let of = |style: &str, number: u8, start: &str| {
            let file = format!("set/{style}/{start}{number:02}.png");
            let colour = Rgba([9 * number, 90, 200, 255]);
            // Shared by all cases of the corpus: made once, never freed.
            let file: &'static str = Box::leak(file.into_boxed_str());
            (file, png(&RgbaImage::from_pixel(9, 9, colour)))
        };
        let pictures = (0..24).flat_map(|number| {
            let start = if number < shared { "img_" } else { "IMG_" };
            [of("one", number, "img_"), of("two", number, start)]
        });
        let settings = ("own.toml", b"[data]\nsize_px = 16\n".to_vec());
        pictures.chain([settings]).collect()
    };
    let train = |name, files, sets: &[&'static str]| {
        let start = ["train", "own.toml", "--device", "flex", "--data", "set"];
        case(name, files, &[&start[..], sets].concat())
    };
    vec![
        train(
            "pairs that are hardly there",
            set(1),
            &["--set", "train.pairs=all"],
        ),
        train(
            "pairs that are not there",
            set(0),
            &["--set", "train.pairs=0.5"],
        ),
        train(
            "a best checkpoint by counterparts that are not there",
            set(0),
            &["--set", "train.best_metric=ssim"],
        ),
        train(
            "a best checkpoint by sets that are too small",
            set(24),
            &["--set", "train.best_metric=kid"],
        ),
    ]
}

/// What was typed, its middle left out where it is very long; signs that cannot be seen are spelled.
fn shortened(typed: &str) -> String {
    let spelled = |letter: char| {
        let is_seen =
            !letter.is_control() && !matches!(letter, '\u{200e}'..='\u{202e}' | '\u{3000}');
        if is_seen {
            letter.to_string()
        } else {
            letter.escape_unicode().to_string()
        }
    };
    let letters: Vec<char> = typed.chars().collect();
    if letters.len() <= 400 {
        return letters.into_iter().map(spelled).collect();
    }
    let start: String = letters[..40].iter().copied().map(spelled).collect();
    format!("{start}.. ({} letters)", letters.len())
}

fn phrases() -> Vec<Case> {
    // Shared by all cases of the corpus: made once, never freed.
    let long: &'static str = Box::leak("a".repeat(10_000).into_boxed_str());
    vec![
        case("nothing to draw", vec![], &["draw", ""]),
        case("blanks to draw", vec![], &["draw", " \u{3000} "]),
        case("punctuation to draw", vec![], &["draw", "?!..."]),
        case("ten thousand letters to draw", vec![], &["draw", long]),
        case(
            "marks of direction to draw",
            vec![],
            &["draw", "\u{202e}\u{200f}"],
        ),
        case(
            "what moves the terminal to draw",
            vec![],
            &["draw", "so \u{1b}[31mtired"],
        ),
        case(
            "two lines to rephrase",
            vec![],
            &["rephrase", "--to", "name", "so tired\nof this"],
        ),
        case(
            "a run without words to read by",
            vec![],
            &["read", "--run", "run", "--device", "flex", "so tired"],
        ),
        case(
            "a run that is not there to read by",
            vec![],
            &["read", "--run", "nowhere", "--device", "flex", "so tired"],
        ),
        case(
            "a language that is not known",
            vec![],
            &["rephrase", "so tired", "--to", "name", "--lang", "fr"],
        ),
        case(
            "a register that is not known",
            vec![],
            &["rephrase", "so tired", "--to", "slang"],
        ),
        case(
            "nothing to rephrase",
            vec![],
            &["rephrase", "--to", "name", ""],
        ),
    ]
}

/// Files, styles and runs that do not fit the words.
fn around_phrases() -> Vec<Case> {
    let whole = png(&RgbaImage::from_pixel(9, 9, Rgba([9, 90, 200, 255])));
    vec![
        case(
            "a picture file without a style",
            vec![],
            &["draw", "so tired", "--out", "a.png"],
        ),
        case(
            "a picture to draw as a photograph",
            vec![],
            &["draw", "so tired", "--to", "openmoji", "--out", "a.jpg"],
        ),
        case(
            "a style that the run does not draw in",
            vec![],
            &[
                "draw", "so tired", "--run", "run", "--to", "comic", "--out", "a.png",
            ],
        ),
        case(
            "a style without a picture file",
            vec![],
            &["draw", "so tired", "--run", "run", "--to", "openmoji"],
        ),
        case(
            "a size of what is not drawn",
            vec![],
            &["draw", "so tired", "--size-px", "64"],
        ),
        case(
            "a file of phrases that is not there",
            vec![],
            &["draw", "--file", "nowhere.txt"],
        ),
        case(
            "a file of phrases without one",
            vec![("p.txt", b"\n \n".to_vec())],
            &["draw", "--file", "p.txt"],
        ),
        case(
            "a file of phrases that is not UTF-8",
            vec![("p.txt", b"so tired\n\xff\xfe\n".to_vec())],
            &["draw", "--file", "p.txt"],
        ),
        case(
            "a file of phrases with a line of signs",
            vec![("p.txt", b"so tired\n---\n".to_vec())],
            &["draw", "--file", "p.txt"],
        ),
        case(
            "recalled ideas over a file",
            vec![("mine.json", vec![])],
            &["draw", "so tired", "--json", "mine.json"],
        ),
        case(
            "a picture to tell that is not there",
            vec![],
            &["say", "a.png"],
        ),
        case(
            "a run to tell by that is not there",
            vec![("a.png", whole.clone())],
            &["say", "--run", "nowhere", "a.png"],
        ),
        case(
            "a language to tell in that is not known",
            vec![("a.png", whole)],
            &["say", "--lang", "de", "a.png"],
        ),
    ]
}

fn lists_of_phrases() -> Vec<Case> {
    let whole = png(&RgbaImage::from_pixel(9, 9, Rgba([9, 90, 200, 255])));
    let folder = |name, list: &[u8]| {
        let files = vec![
            ("set/phrases.tsv", list.to_vec()),
            ("set/one/bird.png", whole.clone()),
            ("set/two/bird.png", whole.clone()),
        ];
        case(name, files, &["data", "inspect", "set"])
    };
    let list = |name, list: &[u8]| {
        case(
            name,
            vec![("list.tsv", list.to_vec())],
            &["data", "import", "--phrases", "--out", "o", "list.tsv"],
        )
    };
    vec![
        folder(
            "phrases with a column too few",
            b"name\tlanguage\tregister\tphrase\nbird\ten\there birdie\n",
        ),
        folder(
            "phrases of a picture that is not there",
            b"dog\ten\tname\tgood boy\n",
        ),
        folder(
            "phrases in another language",
            "bird\tfr\tname\toiseau\n".as_bytes(),
        ),
        folder(
            "a phrase given twice",
            b"bird\ten\tname\tHere birdie\n\nbird\ten\ttag\there, birdie!\n",
        ),
        folder(
            "phrases that are not UTF-8",
            b"bird\ten\tname\tbirdie\nbird\ten\ttag\t\xff\n",
        ),
        case(
            "ten thousand letters beside a picture",
            vec![
                ("set/one/bird.txt", vec![b'b'; 10_000]),
                ("set/one/bird.png", whole.clone()),
                ("set/two/bird.png", whole.clone()),
            ],
            &["data", "inspect", "set"],
        ),
        list("a list to import without phrases", b""),
        list(
            "a list to import with a wrong mark",
            "\u{1f634}\ten\tyes\tso tired\n".as_bytes(),
        ),
        list("a list to import of another shape", b"so tired\n"),
        case(
            "a wheel of phrases cut off",
            vec![("k.whl", b"PK\x03\x04 cut".to_vec())],
            &["data", "import", "--phrases", "--out", "o", "k.whl"],
        ),
        case(
            "a package without phrases to import",
            vec![(
                "p.tgz",
                archive(&[(
                    "package/package.json",
                    br#"{"name":"left-pad","version":"1.0.0","license":"MIT"}"#,
                )]),
            )],
            &["data", "import", "--phrases", "--out", "o", "p.tgz"],
        ),
    ]
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "the system's own words differ")]
#[cfg_attr(
    feature = "remote",
    ignore = "a build that knows other machines says so"
)]
fn every_bad_input_gets_the_message_that_is_expected_of_it() {
    let mut cases = settings();
    cases.extend(folders());
    cases.extend(layouts());
    cases.extend(damaged_drawings_and_profiles());
    cases.extend(endless_drawings());
    cases.extend(damaged_pictures());
    cases.extend(indices());
    cases.extend(packages());
    cases.extend(runs());
    cases.extend(budgets());
    cases.extend(pages());
    cases.extend(exports());
    cases.extend(ablations());
    cases.extend(translations());
    cases.extend(unfit_sets());
    cases.extend(phrases());
    cases.extend(around_phrases());
    cases.extend(lists_of_phrases());
    assert!(cases.len() >= LEAST, "{} inputs", cases.len());
    let mut reported = format!(
        "{} bad inputs and the message that each gets.\n",
        cases.len()
    );
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = held.local_addr().expect("an address").port().to_string();
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
        let is_held = typed.contains(&TAKEN);
        let own = |word: &&'static str| if *word == TAKEN { port.as_str() } else { *word };
        let said = place.run(&typed.iter().map(own).collect::<Vec<&str>>());
        said.refused(2, "");
        let err = if is_held {
            said.err.replace(&port, TAKEN)
        } else {
            said.err
        };
        assert!(before == place.contents(), "{name}: files changed");
        // A write into a String cannot fail.
        let _ = write!(
            reported,
            "\n# {name}\n$ demotic {}\n{}",
            shortened(&typed.join(" ")),
            err
        );
    }
    let names: std::collections::BTreeSet<&str> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len(), "a name is there twice");
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bad_inputs.txt");
    if std::env::var_os("DEMOTIC_BLESS").is_some() {
        let mut file = fs::File::create(golden).expect("the golden file can be written");
        file.write_all(reported.as_bytes())
            .expect("the golden file can be written");
    }
    let expected = fs::read_to_string(golden).expect("the golden file is there");
    for (reported, expected) in reported.split("\n# ").zip(expected.split("\n# ")) {
        assert!(
            reported == expected,
            "expected\n{expected}\ngot\n{reported}"
        );
    }
    assert!(reported == expected, "as many inputs as messages");
}
