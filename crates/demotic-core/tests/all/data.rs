//! Import, loading, splits and batches, through the public interface; archives and pictures are made here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use demotic_core::data::{
    Augmentation, CachePolicy, Channels, Counterparts, Damaged, DataError, Dataset, DatasetOptions,
    Fit, ImportOptions, PairKind, PairedStyles, Picture, Sampler, SamplerOptions, Selection, Split,
    import, signed_png, split_of_family,
};
use demotic_core::settings::Config;
use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use tempfile::TempDir;

const SIZE_PX: u32 = 32;

fn options() -> DatasetOptions {
    DatasetOptions {
        cache: CachePolicy::Off,
        ..DatasetOptions::default()
    }
}

/// The embedded emoji, rasterised once for all tests.
pub(crate) fn emoji() -> &'static Dataset {
    static EMOJI: OnceLock<Dataset> = OnceLock::new();
    EMOJI.get_or_init(|| Dataset::load("emoji", &options()).unwrap())
}

/// The pictures of a configuration, loaded once for all tests that have the same.
pub(crate) fn pictures_of(config: &Config) -> &'static Dataset {
    static LOADED: Mutex<BTreeMap<String, &'static Dataset>> = Mutex::new(BTreeMap::new());
    let mut loaded = LOADED.lock().unwrap();
    let load = || -> &'static Dataset {
        let options = config.data.options(CachePolicy::Platform).unwrap();
        let set = Dataset::load(&config.data.source, &options).unwrap();
        // Never freed, as a static is not.
        Box::leak(Box::new(set))
    };
    let key = format!("{:?}", config.data);
    loaded.entry(key).or_insert_with(load)
}

fn load(path: &Path, options: &DatasetOptions) -> Result<Dataset, DataError> {
    Dataset::load(path.to_str().unwrap(), options)
}

/// The message of a failure that must happen.
fn failure<T>(result: Result<T, DataError>) -> String {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error.to_string(),
    }
}

fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

// ---- archives made here

/// A gzipped tar archive with these entries, names written as given, however hostile.
fn tgz(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(gzip);
    for (name, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append(&header, *content).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

const INFO: &str = r#"{"prefix":"hand","name":"A Hand","author":{"name":"Somebody","url":"https://example.org"},
    "license":{"title":"MIT","spdx":"MIT","url":"https://example.org/licence"}}"#;
const MANIFEST: &str = r#"{"name":"@iconify-json/hand","version":"1.2.3"}"#;
/// A bar at the left, above the middle, its edges on whole pixels at 32 px.
const LEFT: &str = r##"<path fill="#c00000" d="M0 2H8V6H0z"/>"##;
const FILLED: &str = r##"<path fill="#0000c0" d="M0 0H16V16H0z"/>"##;

/// Icons: `left` with a mirrored alias of an alias, a filled square, one off the origin, one of another size,
/// a dot, a flag and a skin tone.
fn icons() -> String {
    let quoted = |body: &str| serde_json::to_string(body).unwrap();
    format!(
        r##"{{"prefix":"hand","width":16,"height":16,
        "icons":{{
          "left":{{"body":{left}}},
          "filled":{{"body":{filled}}},
          "away":{{"body":"<path fill=\"#0000c0\" d=\"M100 200h4v4h-4z\"/>","left":100,"top":200,"width":4,"height":4}},
          "wide":{{"body":"<path fill=\"#0000c0\" d=\"M0 0H32V16H0z\"/>","width":32}},
          "dot":{{"body":"<path d=\"M0 0h1v1h-1z\"/>"}},
          "flag":{{"body":{filled}}}, "toned":{{"body":{filled}}}, "alone":{{"body":{filled}}}
        }},
        "aliases":{{"right":{{"parent":"other","hFlip":true}},"other":{{"parent":"left"}},
                    "down":{{"parent":"left","rotate":1}}}}}}"##,
        left = quoted(LEFT),
        filled = quoted(FILLED),
    )
}

const CHARS: &str = r#"{"1f600":"left","1f601":"right","1f602":"filled","1f603":"away","1f604":"wide","1f605":"dot",
    "1f1e6-1f1e7":"flag","1f44b-1f3fb":"toned","1f606":"alone","1f607-fe0f":"down"}"#;

fn iconify_entries(icons: &str, chars: &str) -> Vec<u8> {
    tgz(&[
        ("package/package.json", MANIFEST.as_bytes()),
        ("package/icons.json", icons.as_bytes()),
        ("package/info.json", INFO.as_bytes()),
        ("package/chars.json", chars.as_bytes()),
        (
            "package/metadata.json",
            br#"{"categories":{"Shapes":["left","filled"]}}"#,
        ),
        ("package/README.md", b"not read"),
    ])
}

fn openmoji_archive() -> Vec<u8> {
    let svg = |body: &str| {
        format!(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{body}</svg>"#)
    };
    let (left, filled) = (svg(LEFT), svg(FILLED));
    let mut entries: Vec<(String, Vec<u8>)> = vec![
        (
            "package/package.json".into(),
            br#"{"name":"openmoji","version":"17.0.0","license":"CC-BY-SA-4.0"}"#.to_vec(),
        ),
        // A byte-order mark and a licence with line ends of another system.
        (
            "package/data/openmoji.json".into(),
            "\u{feff}[{\"hexcode\":\"1F600\",\"annotation\":\"pointing left\",\"group\":\"shapes\",\"subgroups\":\"pointers\"}]"
                .as_bytes()
                .to_vec(),
        ),
        ("package/LICENSE.txt".into(), b"Share\r\nalike\r\n".to_vec()),
        ("package/src/1F600.svg".into(), b"not read".to_vec()),
    ];
    for code in [
        "1F600", "1F601", "1F602", "1F603", "1F604", "1F605", "1F607",
    ] {
        let body = if code == "1F600" { &left } else { &filled };
        for folder in ["color", "black"] {
            let name = format!("package/{folder}/svg/{code}.svg");
            entries.push((name, body.clone().into_bytes()));
        }
    }
    let borrowed: Vec<(&str, &[u8])> = entries.iter().map(|(n, c)| (&**n, &**c)).collect();
    tgz(&borrowed)
}

fn import_from(folder: &Path, archives: &[&[u8]], selection: Selection) -> ImportOptions {
    ImportOptions {
        sources: archives
            .iter()
            .enumerate()
            .map(|(i, bytes)| write(folder, &format!("package-{i}.tgz"), bytes))
            .collect(),
        out: folder.join("out"),
        selection,
        replace: false,
        damaged: Damaged::Refuse,
    }
}

/// An import of both kinds of package.
fn import_from_both(folder: &Path, selection: Selection) -> ImportOptions {
    let hand = iconify_entries(&icons(), CHARS);
    import_from(folder, &[&hand, &openmoji_archive()], selection)
}

/// Where an item stands.
fn item_of(set: &Dataset, key: &str) -> usize {
    let mut items = 0..set.item_count();
    items.find(|&item| set.item_key(item) == key).unwrap()
}

fn files_below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                files.insert(path.strip_prefix(folder).unwrap().to_path_buf(), bytes);
            }
        }
    }
    files
}

#[test]
fn import_keeps_base_emoji_that_all_styles_draw() {
    let folder = TempDir::new().unwrap();
    let options = import_from_both(folder.path(), Selection::Emoji);
    let report = import(&options).unwrap();
    let names: Vec<_> = report
        .styles
        .iter()
        .map(|s| (&*s.name, s.drawings))
        .collect();
    assert_eq!(names, [("hand", 6), ("openmoji", 6), ("openmoji-line", 6)]);
    assert_eq!((report.flags, report.skin_tones), (1, 1));
    assert_eq!(report.not_in_every_style, 1);
    assert_eq!(report.low_ink.len(), 1);
    assert_says(&report.low_ink[0], &["1f605", "hand", "0.00"]);

    let files = files_below(&options.out);
    let text = |name: &str| String::from_utf8(files[Path::new(name)].clone()).unwrap();
    assert!(files.contains_key(Path::new("openmoji/openmoji-line.tar.gz")));
    assert_eq!(text("openmoji/LICENSE.txt"), "Share\r\nalike\r\n");
    assert_says(
        &text("licences/hand.txt"),
        &["MIT License", "Copyright (c) Somebody"],
    );
    assert_says(
        &text("NOTICE"),
        &[
            "A Hand by Somebody",
            "@iconify-json/hand 1.2.3",
            "CC-BY-SA-4.0",
            "rasterises",
        ],
    );
    assert_says(
        &text("README.md"),
        &[
            "npm pack @iconify-json/hand@1.2.3",
            "data import --emoji",
            "package-0.tgz package-1.tgz",
        ],
    );
    assert!(!text("README.md").contains(folder.path().join("package-0.tgz").to_str().unwrap()));

    // OpenMoji's name wins; the other falls back on the icon's.
    let set = load(&options.out, &self::options()).unwrap();
    let name_of = |key: &str| {
        let item = item_of(&set, key);
        (
            set.item_name(item).to_owned(),
            set.item_group(item).to_owned(),
        )
    };
    assert_eq!(name_of("1f600"), ("pointing left".into(), "shapes".into()));
    assert_eq!(name_of("1f602"), ("filled".into(), "Shapes".into()));
}

#[test]
fn the_same_sources_give_the_same_bytes() {
    let run = || {
        let folder = TempDir::new().unwrap();
        let mut options = import_from_both(folder.path(), Selection::Emoji);
        let out = std::mem::replace(&mut options.out, "out".into());
        // The destination is part of the command in README: compare everything else.
        options.out.clone_from(&out);
        import(&options).unwrap();
        let mut files = files_below(&out);
        files.remove(Path::new("README.md")).unwrap();
        files
    };
    assert!(run() == run());
}

#[test]
fn aliases_turns_offsets_and_sizes_are_drawn_in_place() {
    let folder = TempDir::new().unwrap();
    let options = import_from_both(folder.path(), Selection::Everything);
    let report = import(&options).unwrap();
    assert_eq!(report.items, 10);
    let set = load(&options.out, &self::options()).unwrap();
    let style = set.style_index("hand").unwrap();
    let rgba = |key: &str| {
        let item = item_of(&set, key);
        set.rgba(style, item)
    };
    let side = SIZE_PX as usize;
    let alpha = |pixels: &[u8], x: usize, y: usize| pixels[(y * side + x) * 4 + 3];
    let moved = |key: &str, from: &dyn Fn(usize, usize) -> (usize, usize)| {
        let (moved, left) = (rgba(key), rgba("1f600"));
        for y in 0..side {
            for x in 0..side {
                let (source_x, source_y) = from(x, y);
                assert_eq!(
                    alpha(moved, x, y),
                    alpha(left, source_x, source_y),
                    "{key} at {x} {y}"
                );
            }
        }
    };
    assert_eq!(alpha(rgba("1f600"), 15, 4), 255);
    assert_eq!(alpha(rgba("1f600"), 16, 4), 0);
    moved("1f601", &|x, y| (side - 1 - x, y));
    // A quarter clockwise: what was on the left is at the top.
    moved("1f607", &|x, y| (y, side - 1 - x));
    // Off the origin and of its own size: fills the square; a wide one is centred, and its edge goes on.
    assert!(rgba("1f603").iter().skip(3).step_by(4).all(|&a| a == 255));
    let wide = rgba("1f604");
    assert_eq!([alpha(wide, 0, 7), alpha(wide, 0, 8)], [255, 255]);
    assert_eq!([alpha(wide, 31, 23), alpha(wide, 31, 24)], [255, 255]);
}

#[test]
fn names_without_codepoints_are_resolved_by_the_other_packages() {
    let folder = TempDir::new().unwrap();
    let hand = iconify_entries(&icons(), CHARS);
    let named = tgz(&[
        ("package/package.json", MANIFEST.as_bytes()),
        (
            "package/icons.json",
            br#"{"prefix":"hand-two","icons":{"filled":{"body":"<path d='M0 0h16v16z'/>"},"other":{"body":"<path d='M0 0h16v16z'/>"},"unheard-of":{"body":""}}}"#,
        ),
        ("package/info.json", INFO.as_bytes()),
    ]);
    let options = import_from(folder.path(), &[&named, &hand], Selection::Everything);
    let report = import(&options).unwrap();
    assert_eq!(report.without_codepoint, 1);
    assert_eq!(report.styles[1].name, "hand-two");
    // `other` is the first package's alias of `left`; `right`, a turned one, is something else.
    assert_eq!(report.styles[1].drawings, 2);
    let set = load(&options.out, &self::options()).unwrap();
    let has = |key: &str| {
        let item = item_of(&set, key);
        set.has_picture(1, item)
    };
    assert!(has("1f600") && has("1f602") && !has("1f601"));
    let index = fs::read_to_string(options.out.join("index.json")).unwrap();
    assert!(index.contains(r#""key":"1f600""#));
}

#[test]
fn a_cut_off_archive_is_named_wherever_it_ends() {
    let hand = iconify_entries(&icons(), CHARS);
    let folder = TempDir::new().unwrap();
    for len in (0..hand.len()).step_by(7) {
        let options = import_from(folder.path(), &[&hand[..len]], Selection::Everything);
        let message = failure(import(&options));
        assert_says(&message, &["cannot read archive", "package-0.tgz"]);
        assert!(!options.out.exists(), "half a data set at {len}");
    }
    // Damage in the middle: the checksum at the end tells, if nothing before does.
    let mut damaged = hand.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    failure(import(&import_from(
        folder.path(),
        &[&damaged],
        Selection::Everything,
    )));
}

#[test]
fn hostile_archives_are_refused_by_name_of_what_is_wrong() {
    let folder = TempDir::new().unwrap();
    let refused = |archive: &[u8], parts: &[&str]| {
        let options = import_from(folder.path(), &[archive], Selection::Everything);
        let message = failure(import(&options));
        assert_says(&message, parts);
        assert_says(&message, &["package-0.tgz"]);
        assert!(!options.out.exists());
    };
    refused(b"not an archive", &["npm pack"]);
    refused(&tgz(&[]), &["icons.json is missing"]);
    refused(
        &tgz(&[("package/../../evil.svg", b"x")]),
        &["points outside"],
    );
    refused(&tgz(&[("/etc/evil", b"x")]), &["points outside"]);
    refused(&tgz(&[("package\\..\\evil", b"x")]), &["points outside"]);
    refused(
        &iconify_entries("{", CHARS),
        &["icons.json is not as expected"],
    );
    refused(
        &iconify_entries(&icons(), r#"{"smile":"left"}"#),
        &["smile", "codepoints"],
    );
    refused(
        &iconify_entries(&icons(), r#"{"1f600":"gone"}"#),
        &["no icon or alias `gone`"],
    );
    refused(
        &iconify_entries(
            r#"{"prefix":"hand","icons":{},"aliases":{"a":{"parent":"b"},"b":{"parent":"a"}}}"#,
            r#"{"1f600":"a"}"#,
        ),
        &["run in a circle"],
    );
    refused(
        &iconify_entries(
            r#"{"prefix":"hand","icons":{"a":{"body":"","width":0}}}"#,
            r#"{"1f600":"a"}"#,
        ),
        &["measures 0 x"],
    );
    refused(
        &iconify_entries(
            r#"{"prefix":"hand","icons":{"a":{"body":"<path"}}}"#,
            r#"{"1f600":"a"}"#,
        ),
        &["SVG", "package-0.tgz/a"],
    );

    // An entry that claims more than there is, and more than is read.
    for (size, says) in [(1 << 20, "cut off"), (1 << 30, "at most")] {
        let mut header = tar::Header::new_ustar();
        header.set_path("package/icons.json").unwrap();
        header.set_size(size);
        header.set_cksum();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(header.as_bytes()).unwrap();
        gzip.write_all(b"{}").unwrap();
        refused(&gzip.finish().unwrap(), &[says]);
    }
}

#[test]
fn a_drawing_cannot_read_other_files() {
    let folder = TempDir::new().unwrap();
    let other = write(
        folder.path(),
        "secret.svg",
        br#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path d="M0 0h1v1H0z"/></svg>"#,
    );
    let svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><image href="{}" width="1" height="1"/></svg>"#,
        other.display()
    );
    for style in ["a", "b"] {
        write(
            folder.path(),
            &format!("set/{style}/{TRAIN}.svg"),
            svg.as_bytes(),
        );
    }
    let set = load(&folder.path().join("set"), &options()).unwrap();
    assert!(
        set.rgba(0, 0).iter().all(|&v| v == 0),
        "the other file was drawn"
    );
}

#[test]
fn nothing_at_the_destination_is_overwritten_unasked() {
    let folder = TempDir::new().unwrap();
    let hand = iconify_entries(&icons(), CHARS);
    let mut options = import_from(folder.path(), &[&hand], Selection::Everything);
    let keep = write(&options.out, "thesis.txt", b"years of work");
    options.replace = true;
    assert_says(&failure(import(&options)), &["not a data set", "out"]);
    assert_eq!(fs::read(&keep).unwrap(), b"years of work");
    fs::remove_file(&keep).unwrap();

    options.replace = false;
    import(&options).unwrap();
    let first = files_below(&options.out);
    assert_says(&failure(import(&options)), &["is there already"]);
    options.replace = true;
    import(&options).unwrap();
    assert!(files_below(&options.out) == first);
    // What no import wrote is not lost.
    let mine = write(&options.out, "licences/mine.txt", b"years of work");
    let message = failure(import(&options));
    assert_says(
        &message,
        &["1 files that no import wrote", "licences/mine.txt"],
    );
    assert_eq!(fs::read(&mine).unwrap(), b"years of work");
    fs::remove_file(&mine).unwrap();
    import(&options).unwrap();
    // Nothing is left beside it.
    let beside: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(beside.len(), 2, "{beside:?}");

    options.out = keep.with_file_name("../package-0.tgz");
    assert_says(&failure(import(&options)), &["is a file"]);
}

#[test]
fn two_sources_of_one_style_are_refused() {
    let folder = TempDir::new().unwrap();
    let hand = iconify_entries(&icons(), CHARS);
    let options = import_from(folder.path(), &[&hand, &hand], Selection::Everything);
    assert_says(
        &failure(import(&options)),
        &["two sources hold style `hand`"],
    );
}

#[test]
fn an_imported_folder_loads_as_the_folder_does() {
    let folder = TempDir::new().unwrap();
    let plain = two_styles(folder.path());
    let out = folder.path().join("imported");
    let report = import(&ImportOptions {
        sources: vec![plain.clone()],
        out: out.clone(),
        selection: Selection::Everything,
        replace: false,
        damaged: Damaged::Refuse,
    })
    .unwrap();
    assert_eq!(report.styles.len(), 2);
    let (a, b) = (
        load(&plain, &options()).unwrap(),
        load(&out, &options()).unwrap(),
    );
    let by_index = load(&out.join("index.json"), &options()).unwrap();
    assert_eq!(b.fingerprint(), by_index.fingerprint());
    for style in 0..2 {
        for split in Split::ALL {
            let keys = |set: &Dataset| -> Vec<String> {
                let items = set.items(style, split).iter();
                items.map(|&item| set.item_key(item).to_owned()).collect()
            };
            assert_eq!(keys(&a), keys(&b));
            for (&x, &y) in a.items(style, split).iter().zip(b.items(style, split)) {
                assert!(a.rgba(style, x) == b.rgba(style, y));
            }
        }
    }
}

#[test]
fn a_data_set_that_does_not_match_its_index_is_refused() {
    let folder = TempDir::new().unwrap();
    let options = import_from_both(folder.path(), Selection::Emoji);
    import(&options).unwrap();
    let index = options.out.join("index.json");
    let good = fs::read_to_string(&index).unwrap();
    let refused = |text: &str, parts: &[&str]| {
        assert_ne!(text, good, "nothing was changed");
        fs::write(&index, text).unwrap();
        assert_says(&failure(load(&options.out, &self::options())), parts);
    };
    refused(&good[..good.len() / 2], &["index.json", "import again"]);
    refused(
        &good.replace("demotic-data-set", "other"),
        &["`format` is `other`"],
    );
    refused(
        &good.replace("\"schema_version\":1", "\"schema_version\":2"),
        &["schema version 2", "reads 1"],
    );
    refused(
        &good.replace("hand.tar.gz", "../hand.tar.gz"),
        &["outside the folder"],
    );
    refused(
        &good.replace("\"1f602\"", "\"1f600\""),
        &["`1f600` is there twice"],
    );
    refused(
        &good.replace("\"key\":\"1f602\"", "\"key\":\"1f6ff\""),
        &["1f602.svg"],
    );
    refused(
        &good.replace("\"drawings\":6", "\"drawings\":7"),
        &["holds 6", "says 7"],
    );
    fs::write(&index, &good).unwrap();
    let drawings = options.out.join("hand.tar.gz");
    let bytes = fs::read(&drawings).unwrap();
    fs::write(&drawings, &bytes[..bytes.len() - 20]).unwrap();
    assert_says(
        &failure(load(&options.out, &self::options())),
        &["hand.tar.gz"],
    );
    fs::remove_file(&drawings).unwrap();
    assert_says(
        &failure(load(&options.out, &self::options())),
        &["hand.tar.gz"],
    );
}

// ---- folders of pictures made here

/// Names by split, found once by the rule itself.
const TRAIN: &str = "picture-0";

pub(crate) fn names_in(split: Split, count: usize) -> Vec<String> {
    (0..)
        .map(|i| format!("picture-{i}"))
        .filter(|name| split_of_family(name) == split)
        .take(count)
        .collect()
}

fn save(picture: &RgbaImage, path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture.save(path).unwrap();
}

/// Styles `a` and `b`: 40 pictures each of which 30 are common; every colour its own.
fn two_styles(folder: &Path) -> PathBuf {
    let set = folder.join("set");
    for (s, style) in ["a", "b"].into_iter().enumerate() {
        for i in 0..40 {
            let number = i + 10 * s;
            let colour = Rgba([number as u8 * 5, 100 * s as u8, 255 - number as u8, 255]);
            let picture = RgbaImage::from_pixel(8, 8, colour);
            save(
                &picture,
                &set.join(style).join(format!("picture-{number}.png")),
            );
        }
    }
    set
}

fn colour_at(planes: &[f32], x: usize, y: usize) -> [u8; 3] {
    let side = SIZE_PX as usize;
    let plane = side * side;
    std::array::from_fn(|c| ((planes[c * plane + y * side + x] + 1.0) * 127.5).round() as u8)
}

#[test]
fn any_picture_is_fitted_widened_and_composed() {
    let folder = TempDir::new().unwrap();
    assert_eq!(split_of_family(TRAIN), Split::Train);
    let set = folder.path().join("set");
    let at = |style: &str, ending: &str| set.join(style).join(format!("{TRAIN}.{ending}"));
    for style in [
        "bitmap", "film", "grey", "half", "jpeg", "pages", "point", "tall", "webp", "wide16",
    ] {
        fs::create_dir_all(set.join(style)).unwrap();
    }
    GrayImage::from_pixel(64, 64, Luma([60]))
        .save(at("grey", "png"))
        .unwrap();
    save(
        &RgbaImage::from_pixel(32, 32, Rgba([255, 0, 0, 128])),
        &at("half", "png"),
    );
    RgbImage::from_pixel(50, 50, Rgb([0, 128, 255]))
        .save(at("jpeg", "JPG"))
        .unwrap();
    save(
        &RgbaImage::from_pixel(1, 1, Rgba([10, 20, 30, 255])),
        &at("point", "png"),
    );
    save(
        &RgbaImage::from_pixel(10, 40, Rgba([0, 200, 0, 255])),
        &at("tall", "png"),
    );
    RgbImage::from_pixel(9, 9, Rgb([7, 8, 9]))
        .save_with_format(at("webp", "webp"), ImageFormat::WebP)
        .unwrap();
    image::ImageBuffer::from_pixel(300, 2, image::Rgb([0xffff_u16, 0, 0x8080]))
        .save(at("wide16", "png"))
        .unwrap();
    RgbImage::from_pixel(5, 5, Rgb([1, 2, 3]))
        .save(at("bitmap", "bmp"))
        .unwrap();
    RgbaImage::from_pixel(5, 5, Rgba([90, 60, 30, 255]))
        .save_with_format(at("pages", "TIF"), ImageFormat::Tiff)
        .unwrap();
    // Of a film, the first picture.
    let mut film =
        image::codecs::gif::GifEncoder::new(fs::File::create(at("film", "gif")).unwrap());
    for value in [200, 20] {
        let picture = RgbaImage::from_pixel(6, 6, Rgba([value, value, value, 255]));
        film.encode_frame(image::Frame::new(picture)).unwrap();
    }
    drop(film);
    // Not pictures, or not to be seen.
    fs::write(set.join("grey/notes.txt"), "x").unwrap();
    // Phrases, which are read.
    fs::write(set.join(format!("grey/{TRAIN}.txt")), "x").unwrap();
    fs::write(set.join("phrases.tsv"), "").unwrap();
    fs::write(set.join("grey/.hidden.png"), "x").unwrap();
    fs::create_dir(set.join("grey/more")).unwrap();
    fs::create_dir(set.join("no-pictures")).unwrap();

    let options = DatasetOptions {
        background: [0, 0, 255],
        fit: Fit::Pad,
        ..options()
    };
    let set = load(&set, &options).unwrap();
    let show = |style: &str| set.picture(set.style_index(style).unwrap(), 0);
    assert_eq!(set.styles().len(), 10);
    let left: Vec<String> = set
        .summary()
        .passed_over
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        left,
        [
            "of grey, not read: 1 txt, 1 nested folders, 1 hidden",
            "no-pictures is no style: it is empty"
        ]
    );
    assert_eq!(colour_at(&show("bitmap"), 16, 16), [1, 2, 3]);
    assert_eq!(colour_at(&show("film"), 16, 16), [200, 200, 200]);
    assert_eq!(colour_at(&show("grey"), 16, 16), [60, 60, 60]);
    assert_eq!(colour_at(&show("half"), 3, 30), [128, 0, 127]);
    let [r, g, b] = colour_at(&show("jpeg"), 16, 16);
    assert!(r < 4 && g.abs_diff(128) < 4 && b > 251, "{r} {g} {b}");
    assert_eq!(colour_at(&show("pages"), 16, 16), [90, 60, 30]);
    assert_eq!(colour_at(&show("point"), 0, 31), [10, 20, 30]);
    assert_eq!(colour_at(&show("webp"), 31, 0), [7, 8, 9]);
    // Proportions are kept: 10 x 40 becomes 8 x 32 in the middle, 300 x 2 one row.
    let tall = show("tall");
    assert_eq!(colour_at(&tall, 11, 5), [0, 0, 255]);
    assert_eq!(colour_at(&tall, 12, 0), [0, 200, 0]);
    assert_eq!(colour_at(&tall, 19, 31), [0, 200, 0]);
    assert_eq!(colour_at(&tall, 20, 5), [0, 0, 255]);
    let wide = show("wide16");
    assert_eq!(colour_at(&wide, 0, 15), [255, 0, 128]);
    assert_eq!(colour_at(&wide, 0, 16), [0, 0, 255]);
    assert!(wide.iter().all(|v| (-1.0..=1.0).contains(v)));
}

#[test]
#[cfg(unix)]
fn what_lies_among_pictures_is_counted_by_kind() {
    let folder = TempDir::new().unwrap();
    let set = two_styles(folder.path());
    // Endings of other programs' pictures are read.
    let photo = RgbImage::from_pixel(8, 8, Rgb([90, 80, 70]));
    let mut jpeg = std::io::Cursor::new(Vec::new());
    photo.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    for ending in ["jfif", "JPE"] {
        write(&set, &format!("a/telephone.{ending}"), jpeg.get_ref());
    }
    // Others are counted, each by its kind.
    for name in ["1.heic", "2.HEIC", "3.avif", "more/4.png", ".5.png", "6"] {
        write(&set, &format!("a/{name}"), b"x");
    }
    std::os::unix::fs::symlink("/nowhere.png", set.join("a/7.png")).unwrap();
    write(&set, "b/8.psd", b"x");
    write(&set, "of-telephones/9.heic", b"x");
    let set = load(&set, &options()).unwrap();
    let pictures: Vec<usize> = set.styles().iter().map(|style| style.pictures).collect();
    assert_eq!(pictures, [42, 40]);
    let left: Vec<String> = set
        .summary()
        .passed_over
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        left,
        [
            "of a, not read: 1 avif, 2 heic, 1 nested folders, 1 broken links, 1 files without an ending, 1 hidden",
            "of b, not read: 1 psd",
            "of-telephones is no style, as nothing in it is read: 1 heic",
        ]
    );
}

#[test]
fn shrinking_averages_and_transparent_colour_does_not_bleed() {
    // Alternating black and white columns, 16 to a pixel of the result.
    let stripes = RgbaImage::from_fn(512, 512, |x, _| {
        let v = if x % 2 == 0 { 0 } else { 255 };
        Rgba([v, v, v, 255])
    });
    let mut png = Vec::new();
    stripes
        .write_to(&mut std::io::Cursor::new(&mut png), ImageFormat::Png)
        .unwrap();
    let small = Picture::decode(&png, Path::new("stripes")).unwrap().fit(32);
    for pixel in small.premultiplied.as_chunks::<4>().0 {
        assert!(pixel[0].abs_diff(127) <= 4 && pixel[3] == 255, "{pixel:?}");
    }
    // Transparent red beside opaque blue: no red in between.
    let edge = RgbaImage::from_fn(64, 64, |x, _| {
        if x < 31 {
            Rgba([255, 0, 0, 0])
        } else {
            Rgba([0, 0, 255, 255])
        }
    });
    let mut png = Vec::new();
    edge.write_to(&mut std::io::Cursor::new(&mut png), ImageFormat::Png)
        .unwrap();
    let picture = Picture::decode(&png, Path::new("edge")).unwrap();
    let small = picture.fit(20);
    for pixel in small.premultiplied.as_chunks::<4>().0 {
        assert_eq!(pixel[0], 0, "{pixel:?}");
        assert!(pixel[2] <= pixel[3], "{pixel:?}");
    }
    assert_eq!(&picture.straight_rgba()[40 * 4..41 * 4], [0, 0, 255, 255]);
}

/// A TIFF of 60,000 x 60,000 grey pixels by its header: entries of tag, type, count and value.
fn vast_tiff() -> Vec<u8> {
    let entries = [
        [256, 4, 60_000],
        [257, 4, 60_000],
        [258, 3, 8],
        [262, 3, 1],
        [273, 4, 8],
        [279, 4, 9],
    ];
    let mut file = b"II*\0\x08\0\0\0\x06\0".to_vec();
    for [tag, kind, value] in entries {
        file.extend((tag as u16).to_le_bytes());
        file.extend((kind as u16).to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        file.extend((value as u32).to_le_bytes());
    }
    file.extend([0; 4]);
    file
}

#[test]
fn bad_pictures_are_named() {
    let folder = TempDir::new().unwrap();
    let set = two_styles(folder.path());
    let victim = set.join("b/picture-15.png");
    let good = fs::read(&victim).unwrap();
    let refused = |bytes: &[u8], parts: &[&str]| {
        fs::write(&victim, bytes).unwrap();
        let message = failure(load(&set, &options()));
        assert_says(&message, parts);
        assert!(message.ends_with("b/picture-15.png"), "{message}");
    };
    refused(&good[..good.len() - 20], &["damaged or cut off"]);
    // All of its pixels, and not all of its end.
    refused(&good[..good.len() - 1], &["a PNG without its end"]);
    refused(&good[..20], &["cannot read picture"]);
    refused(b"", &["PNG, JPEG, WebP, GIF, BMP or TIFF"]);
    refused(b"<html>", &["PNG, JPEG, WebP, GIF, BMP or TIFF"]);
    // 20,000 x 20,000 by its header: refused before memory is taken.
    let mut huge = good.clone();
    huge[16..20].copy_from_slice(&20_000_u32.to_be_bytes());
    huge[20..24].copy_from_slice(&20_000_u32.to_be_bytes());
    let checksum = crc32fast::hash(&huge[12..29]);
    huge[29..33].copy_from_slice(&checksum.to_be_bytes());
    refused(&huge, &["20000 x 20000", "64 megapixels"]);
    // Other kinds that claim as much.
    let side = 60_000_u32;
    let [low, high, ..] = side.to_le_bytes();
    let gif = [
        &b"GIF89a"[..],
        &[
            low, high, low, high, 0x80, 0, 0, 16, 128, 240, 255, 255, 255,
        ],
        b",\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0;",
    ]
    .concat();
    refused(&gif, &["60000 x 60000", "64 megapixels"]);
    let words = [
        54_u32,
        0,
        54,
        40,
        side,
        side,
        1 | 24 << 16,
        0,
        0,
        0,
        0,
        0,
        0,
    ];
    let bitmap: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    refused(
        &[b"BM", &bitmap[..]].concat(),
        &["60000 x 60000", "64 megapixels"],
    );
    // Of a JPEG, the size stands behind the start of its frame; of a WebP, 14 bits a side are all there is.
    let frame = [
        0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, high, low, high, low, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11,
        0, 0xff, 0xda, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0, 0xff, 0xd9,
    ];
    refused(&frame, &["60000 x 60000", "64 megapixels"]);
    let mut webp = b"RIFF\x1a\0\0\0WEBPVP8L".to_vec();
    webp.extend([
        13, 0, 0, 0, 0x2f, 0xfe, 0xbf, 0xff, 0x0f, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]);
    refused(&webp, &["16383 x 16383", "64 megapixels"]);
    refused(&vast_tiff(), &["60000 x 60000", "64 megapixels"]);
    fs::remove_file(&victim).unwrap();
    // A drawing has any size, but is not drawn at all of them.
    let vast = write(
        folder.path(),
        "vast.svg",
        br#"<svg xmlns="http://www.w3.org/2000/svg" width="60000" height="60000"><path d="M0 0h9v9z"/></svg>"#,
    );
    assert_says(
        &failure(Picture::open_or_draw(&vast, 32)),
        &["60000 x 60000 pixels", "64 megapixels"],
    );
    // A file is measured before it is read.
    let sparse = folder.path().join("sparse.png");
    fs::File::create(&sparse).unwrap().set_len(1 << 30).unwrap();
    assert_says(
        &failure(Picture::open(&sparse)),
        &["a file of 1073741824 bytes", "sparse.png"],
    );
    // A photograph without its end, which its decoder would fill with grey; bytes after the end are nobody's
    // business.
    let victim = victim.with_extension("jpe");
    let photo = RgbImage::from_fn(60, 40, |x, y| Rgb([(x * 4) as u8, (y * 6) as u8, 90]));
    let mut jpeg = std::io::Cursor::new(Vec::new());
    photo.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    let jpeg = jpeg.into_inner();
    // In its tables, which the decoder misses itself; in its pixels, which it would not.
    for (end, problem) in [
        (jpeg.len() / 2, "a damaged one"),
        (jpeg.len() - 2, "a JPEG without its end"),
    ] {
        fs::write(&victim, &jpeg[..end]).unwrap();
        assert_says(
            &failure(load(&set, &options())),
            &[problem, "picture-15.jpe"],
        );
    }
    fs::write(&victim, [&jpeg[..], b"a preview"].concat()).unwrap();
    load(&set, &options()).unwrap();
    fs::remove_file(&victim).unwrap();
    let svg = victim.with_extension("svg");
    fs::write(&svg, "<svg").unwrap();
    assert_says(&failure(load(&set, &options())), &["SVG", "picture-15.svg"]);
}

#[test]
fn what_reading_refuses_is_not_served_from_the_cache() {
    let folder = TempDir::new().unwrap();
    let options = DatasetOptions {
        cache: CachePolicy::Folder(folder.path().join("cache")),
        ..DatasetOptions::default()
    };
    let set = two_styles(folder.path());
    load(&set, &options).unwrap();
    load(&set, &options).unwrap();
    // The same bytes under names that promise drawings.
    for entry in fs::read_dir(set.join("b")).unwrap() {
        let path = entry.unwrap().path();
        fs::rename(&path, path.with_extension("svg")).unwrap();
    }
    assert_says(
        &failure(load(&set, &options)),
        &["not a drawing", "picture-"],
    );
}

#[test]
fn colours_are_read_as_their_file_means_them() {
    let chunk = |kind: &[u8; 4], content: &[u8]| {
        let body = [&kind[..], content].concat();
        let length = (content.len() as u32).to_be_bytes();
        [&length[..], &body, &crc32fast::hash(&body).to_be_bytes()].concat()
    };
    let picture = RgbaImage::from_pixel(4, 4, Rgba([128, 60, 200, 255]));
    let mut plain = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut plain, ImageFormat::Png).unwrap();
    let plain = plain.into_inner();
    let read = |chunks: &[u8]| {
        // Behind the header's chunk.
        let bytes = [&plain[..33], chunks, &plain[33..]].concat();
        let picture = Picture::decode(&bytes, Path::new("a.png")).unwrap();
        <[u8; 4]>::try_from(&picture.premultiplied[..4]).unwrap()
    };
    assert_eq!(read(b""), [128, 60, 200, 255]);
    assert_eq!(
        read(&chunk(b"gAMA", &45_455_u32.to_be_bytes())),
        [128, 60, 200, 255]
    );
    // Stored as intensities: 128 of 255 is .502, which sRGB writes as 188; 60 as 133, 200 as 229.
    let linear = read(&chunk(b"gAMA", &100_000_u32.to_be_bytes()));
    for (got, expected) in linear.into_iter().zip([188_u8, 133, 229, 255]) {
        assert!(got.abs_diff(expected) <= 2, "{linear:?}");
    }
}

#[test]
fn profiles_in_files_are_read_as_they_mean_their_colours() {
    // Squares and a triangle of known sRGB colours, stored in other colours by another program's conversion.
    let places = [
        (10, 10, [200_u8, 40, 40]),
        (60, 10, [40, 170, 60]),
        (10, 50, [50, 70, 200]),
        (50, 50, [230, 230, 230]),
        (44, 28, [20, 20, 20]),
    ];
    let adobe: &[u8] = include_bytes!("../../../../fuzz/seeds/picture/adobe-rgb.png");
    let p3: &[u8] = include_bytes!("../../../../fuzz/seeds/picture/p3.jpg");
    // Rounding in the files themselves is worth up to 2.2, in a dark green of Adobe RGB.
    for (name, file) in [("adobe-rgb.png", adobe), ("p3.jpg", p3)] {
        let picture = Picture::decode(file, Path::new(name)).unwrap();
        assert_eq!((picture.width_px, picture.height_px), (64, 64));
        for (x, y, expected) in places {
            let got = &picture.premultiplied[4 * (64 * y + x)..][..4];
            let is_near = got.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 3);
            assert!(
                is_near && got[3] == 255,
                "{name} at {x}, {y}: {got:?}, expected {expected:?}"
            );
        }
    }
}

#[test]
fn inks_are_read_as_their_profile_means_them() {
    // 16 squares of known inks, and what LittleCMS 2 makes of them by the profile in the files, without its
    // options for black and for white paper.
    let expected: [[u8; 3]; 16] = [
        [239, 241, 244],
        [0, 157, 218],
        [210, 54, 131],
        [249, 227, 61],
        [44, 44, 45],
        [97, 48, 142],
        [200, 62, 0],
        [86, 146, 59],
        [131, 198, 231],
        [231, 155, 186],
        [249, 233, 160],
        [134, 135, 137],
        [191, 186, 156],
        [112, 115, 155],
        [132, 113, 96],
        [191, 169, 82],
    ];
    let files: [&[u8]; 2] = [
        include_bytes!("../../../../fuzz/seeds/picture/cmyk.jpg"),
        include_bytes!("../../../../fuzz/seeds/picture/ycck.jpg"),
    ];
    for file in files {
        let picture = Picture::decode(file, Path::new("inks.jpg")).unwrap();
        assert_eq!((picture.width_px, picture.height_px), (64, 64));
        for (i, expected) in expected.into_iter().enumerate() {
            let at = 4 * (64 * (i / 4 * 16 + 8) + i % 4 * 16 + 8);
            let got = &picture.premultiplied[at..at + 4];
            let is_near = got.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 2);
            assert!(
                is_near && got[3] == 255,
                "square {i}: {got:?}, expected {expected:?}"
            );
        }
    }
}

#[test]
fn sources_that_are_no_data_set_say_the_way_out() {
    let folder = TempDir::new().unwrap();
    let set = folder.path().join("set");
    let says = |source: &Path, parts: &[&str]| {
        assert_says(&failure(load(source, &options())), parts);
    };
    says(&set, &["no such data source", "`emoji`", "set"]);
    fs::create_dir(&set).unwrap();
    says(&set, &["no sub-folder holds a picture"]);
    let picture = RgbaImage::from_pixel(2, 2, Rgba([1, 2, 3, 255]));
    save(&picture, &set.join("loose.png"));
    says(&set, &["1 picture(s) lie in the folder itself"]);
    save(&picture, &set.join(format!("a/{TRAIN}.png")));
    says(&set, &["1 style(s) (a)", "at least two"]);
    let held_out = names_in(Split::Test, 1).remove(0);
    save(&picture, &set.join(format!("b/{held_out}.png")));
    says(
        &set,
        &["style `b`", "1 picture(s)", "0 of them for training"],
    );
    says(
        &write(folder.path(), "x.tgz", b""),
        &["data import", "tar xf"],
    );
    says(&write(folder.path(), "x.zip", b""), &["unzip"]);
    let deep = folder.path().join("deep");
    save(&picture, &deep.join("mine/a/1.png"));
    save(&picture, &deep.join("mine/b/1.png"));
    says(&deep, &["lie deeper", "deep/mine"]);
    let run = folder.path().join("run");
    save(&picture, &run.join("samples/step-00000001.png"));
    fs::create_dir(run.join("checkpoints")).unwrap();
    fs::write(run.join("config.toml"), "").unwrap();
    says(&run, &["the folder of a run"]);
    says(&write(folder.path(), "x.png", b""), &["this is a file"]);
    says(Path::new(""), &["data source is empty"]);
}

#[test]
fn unknown_and_repeated_styles_are_refused() {
    let ask = |styles: &[&str]| {
        let styles = styles.iter().map(|&s| s.to_owned()).collect();
        failure(Dataset::load(
            "emoji",
            &DatasetOptions {
                styles,
                ..options()
            },
        ))
    };
    assert_says(
        &ask(&["twemoji", "wingdings"]),
        &[
            "unknown style `wingdings`",
            "fluent-flat, fluent-high-contrast, noto, openmoji",
        ],
    );
    assert_says(&ask(&["noto", "noto"]), &["`noto` is asked for twice"]);
    assert_says(&ask(&["noto"]), &["1 style(s) (noto)"]);
    let size = DatasetOptions {
        size_px: 0,
        ..options()
    };
    assert_says(&failure(Dataset::load("emoji", &size)), &["0 px"]);
}

#[test]
fn all_damaged_pictures_are_named_or_left_out() {
    let folder = TempDir::new().unwrap();
    let set = two_styles(folder.path());
    let whole = load(&set, &options()).unwrap();
    for i in 10..34 {
        write(&set, &format!("b/picture-{i}.png"), b"no picture");
    }
    // One that is too large is refused by itself, too.
    write(&set, "a/picture-3.png", &vast_tiff());
    let message = failure(load(&set, &options()));
    assert_says(
        &message,
        &[
            "25 pictures cannot be read",
            "--skip-damaged",
            "a/picture-3.png",
            "b/picture-28.png",
            "and 5 more",
        ],
    );
    assert!(!message.contains("picture-29"), "{message}");

    let skipping = DatasetOptions {
        damaged: Damaged::Skip,
        cache: CachePolicy::Folder(folder.path().join("cache")),
        ..DatasetOptions::default()
    };
    for _ in 0..2 {
        let rest = load(&set, &skipping).unwrap();
        let summary = rest.summary();
        assert_eq!(summary.left_out.len(), 25);
        assert_eq!(
            summary
                .styles
                .iter()
                .map(|s| s.info.pictures)
                .collect::<Vec<_>>(),
            [39, 16]
        );
        assert_says(
            &summary.left_out[0].problem,
            &["60000 x 60000", "64 megapixels", "a/picture-3.png"],
        );
        assert_says(
            &summary.to_string(),
            &["left   of b, damaged: 24 pictures: picture-10, ", ", ..."],
        );
        // What is left is as it was, in the split where it was.
        for style in 0..2 {
            for split in Split::ALL {
                for &item in rest.items(style, split) {
                    let before = item_of(&whole, rest.item_key(item));
                    assert_eq!(whole.item_split(before), split);
                    assert!(rest.rgba(style, item) == whole.rgba(style, before));
                }
            }
        }
    }
    // Nothing left to train on is reported as such.
    for i in 34..50 {
        write(&set, &format!("b/picture-{i}.png"), b"no picture");
    }
    assert_says(
        &failure(load(&set, &skipping)),
        &["style `b` has 0 picture(s)"],
    );
}

/// Discs of two styles, filled and hollow, at places of their own; `name(i)` of the second style's picture
/// `i`.
fn discs(folder: &Path, name: impl Fn(usize) -> String) -> PathBuf {
    let set = folder.join("discs");
    for i in 0..30_usize {
        let (x, y, radius) = (
            (i * 7 % 17) as f32,
            (i * 5 % 19) as f32,
            6.0 + (i % 5) as f32,
        );
        for (style, is_filled, name) in [
            ("filled", true, format!("{i:04}")),
            ("hollow", false, name(i)),
        ] {
            let picture = RgbaImage::from_fn(40, 40, |u, v| {
                let distance = (u as f32 - 10.0 - x).hypot(v as f32 - 10.0 - y);
                let is_ink = distance < radius && (is_filled || distance > radius - 1.5);
                if is_ink {
                    Rgba([20, 40 + i as u8, 90, 255])
                } else {
                    Rgba([0; 4])
                }
            });
            save(&picture, &set.join(style).join(format!("{name}.png")));
        }
    }
    set
}

#[test]
fn equal_names_that_are_no_pairs_are_warned_about_and_can_be_switched_off() {
    let folder = TempDir::new().unwrap();
    let paired = load(&discs(folder.path(), |i| format!("{i:04}")), &options()).unwrap();
    assert_eq!(paired.summary().warnings, [""; 0]);
    let set = discs(folder.path(), |i| format!("{:04}", (i * 7 + 11) % 30));
    let shuffled = load(&set, &options()).unwrap();
    let warnings = shuffled.summary().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert_says(
        &warnings[0],
        &[
            "filled and hollow",
            "no more alike than shuffled",
            "the names are numbers",
            "data.pairs = \"none\"",
        ],
    );
    let unpaired = DatasetOptions {
        pairs: Counterparts::None,
        ..options()
    };
    let apart = load(&set, &unpaired).unwrap();
    assert!(!apart.pairs_known() && apart.summary().warnings.is_empty());
    assert_eq!(
        apart.paired_pictures(PairedStyles::Any),
        [0, shuffled.paired_pictures(PairedStyles::Any)[1]]
    );
    for style in 0..2 {
        for split in Split::ALL {
            let names = |set: &Dataset| -> Vec<String> {
                let items = set.items(style, split).iter();
                items.map(|&item| set.item_key(item).to_owned()).collect()
            };
            assert_eq!(names(&apart), names(&shuffled));
            for (&x, &y) in apart
                .items(style, split)
                .iter()
                .zip(shuffled.items(style, split))
            {
                assert!(apart.rgba(style, x) == shuffled.rgba(style, y));
            }
        }
    }
    // Of a few, nothing can be told by their looks; of what says more than a number, nothing need be.
    for (i, kind) in ["0", "thing-"].into_iter().enumerate() {
        let few = folder.path().join(kind);
        for number in 0..6_u8 {
            for style in ["a", "b"] {
                let picture = RgbaImage::from_pixel(9, 9, Rgba([9 * number, 90, 200, 255]));
                save(&picture, &few.join(format!("{style}/{kind}{number}.png")));
            }
        }
        let warnings = load(&few, &options()).unwrap().summary().warnings;
        let reported = warnings
            .iter()
            .filter(|warning| warning.contains("a and b: the names are numbers, and"));
        assert_eq!(reported.count(), 1 - i, "{warnings:?}");
    }
    // The built-in emoji are pairs, and no copies of each other.
    assert_eq!(emoji().summary().warnings, [""; 0]);
}

#[test]
fn names_that_are_nearly_equal_and_copies_and_blanks_are_pointed_out() {
    let folder = TempDir::new().unwrap();
    let set = discs(folder.path(), |i| {
        if i == 4 {
            "0004".into()
        } else {
            format!("{i}")
        }
    });
    let near = load(&set, &options()).unwrap();
    assert_eq!(near.near_misses().len(), 1);
    // One digit against four, of 30 but the one that is equal.
    assert_says(
        &near.near_misses()[0],
        &[
            "filled and hollow: 29 names differ by letters' case",
            "0000 and 0",
        ],
    );

    let set = two_styles(folder.path());
    let [trained, held_out] = [Split::Train, Split::Test].map(|split| {
        let number = (10..40)
            .find(|i| split_of_family(&format!("picture-{i}")) == split)
            .unwrap();
        format!("a/picture-{number}.png")
    });
    fs::copy(set.join(&trained), set.join(&held_out)).unwrap();
    let copied = load(&set, &options()).unwrap().summary().warnings;
    let says = copied
        .iter()
        .find(|warning| warning.contains("held-out pictures are in training"));
    assert_says(says.unwrap(), &["a: 1 of"]);

    let white = RgbaImage::from_fn(20, 20, |x, y| {
        Rgba([255, 255, 255, if x > y { 255 } else { 0 }])
    });
    for i in 0..30 {
        save(
            &white,
            &folder.path().join(format!("discs/white/{i:04}.png")),
        );
    }
    let warned = |background| {
        let options = DatasetOptions {
            background,
            ..options()
        };
        let warnings = load(&folder.path().join("discs"), &options)
            .unwrap()
            .summary()
            .warnings;
        warnings
            .iter()
            .any(|warning| warning.contains("white: 30 of 30 pictures are one flat colour"))
    };
    assert!(warned([255; 3]) && !warned([128; 3]));
}

#[test]
fn styles_of_other_shapes_are_warned_about_and_brought_into_the_square_without_bars() {
    let folder = TempDir::new().unwrap();
    for i in 0..12_u8 {
        for (style, width, height) in [("day", 96, 54), ("night", 54, 96)] {
            let picture =
                RgbaImage::from_fn(width, height, |x, y| Rgba([x as u8, y as u8, 100 + i, 255]));
            save(
                &picture,
                &folder.path().join(format!("set/{style}/{style}{i}.png")),
            );
        }
    }
    let set = folder.path().join("set");
    let with = |fit| load(&set, &DatasetOptions { fit, ..options() }).unwrap();
    let warnings = with(Fit::Pad).summary().warnings;
    let bars = warnings
        .iter()
        .find(|warning| warning.contains("differ in shape"));
    assert_says(
        bars.unwrap(),
        &[
            "day and night",
            "44 % above and below",
            "44 % at the sides",
            "data.fit",
        ],
    );
    for fit in [Fit::Auto, Fit::Mirror, Fit::Crop] {
        let set = with(fit);
        assert!(
            set.summary()
                .warnings
                .iter()
                .all(|warning| !warning.contains("shape"))
        );
        for style in 0..2 {
            for &item in set.items(style, Split::Train) {
                assert!(
                    set.rgba(style, item)
                        .iter()
                        .skip(3)
                        .step_by(4)
                        .all(|&alpha| alpha == 255)
                );
            }
        }
    }
}

#[test]
fn landscape_and_portrait_styles_have_no_white_bars_by_default() {
    let folder = TempDir::new().unwrap();
    for i in 0..24_u32 {
        let discs = [
            ("day", [96, 54], [120, 180, 240], [255, 255, 0]),
            ("night", [54, 96], [20, 20, 60], [128; 3]),
        ];
        for (style, [width, height], ground, [r, g, b]) in discs {
            let middle = [11 + 7 * i % (width - 20), 11 + 5 * i % (height - 20)];
            let picture = RgbaImage::from_fn(width, height, |x, y| {
                let is_in = x.abs_diff(middle[0]).pow(2) + y.abs_diff(middle[1]).pow(2) <= 100;
                let [r, g, b] = if is_in { [r, g, b] } else { ground };
                Rgba([r, g, b, 255])
            });
            save(
                &picture,
                &folder.path().join(format!("set/{style}/{style}{i}.png")),
            );
        }
    }
    let set = folder.path().join("set");
    let near_white = |fit: Option<Fit>, channels: Channels| {
        let default = options();
        let options = DatasetOptions {
            fit: fit.unwrap_or(default.fit),
            channels,
            ..default
        };
        let set = load(&set, &options).unwrap();
        let plane = (SIZE_PX * SIZE_PX) as usize;
        let (mut white, mut all) = (0, 0);
        for style in 0..2 {
            let items = set.items(style, Split::Train);
            for picture in set
                .network_pictures(style, items)
                .chunks_exact(channels.count() * plane)
            {
                white += (0..plane)
                    .filter(|i| (0..3).all(|c| picture[c * plane + i] > 0.9))
                    .count();
                all += plane;
            }
        }
        white as f64 / f64::from(all as u32)
    };
    for channels in [Channels::Rgb, Channels::Rgba] {
        assert_eq!(near_white(None, channels), 0.0, "{channels:?}");
        let bars = near_white(Some(Fit::Pad), channels);
        assert!((bars - 0.4375).abs() < 1e-6, "{channels:?}: {bars}");
    }
}

#[test]
fn of_twenty_pictures_some_are_held_out() {
    let folder = TempDir::new().unwrap();
    let picture = RgbaImage::from_pixel(4, 4, Rgba([9, 200, 3, 255]));
    let names = names_in(Split::Train, 20);
    let set = |count: usize| {
        let set = folder.path().join(format!("set-{count}"));
        for (i, name) in names[..count].iter().enumerate() {
            save(&picture, &set.join(format!("few/{name}.png")));
            // The other style has five of them, and others.
            let other = if i < 5 {
                name.clone()
            } else {
                format!("other-{i}")
            };
            save(&picture, &set.join(format!("other/{other}.png")));
        }
        load(&set, &options()).unwrap()
    };
    let held_out = |set: &Dataset, style| {
        [Split::Validation, Split::Test].map(|split| set.items(style, split).len())
    };
    assert_eq!(held_out(&set(19), 0), [0, 0], "by their names");
    let whole = set(20);
    for style in 0..2 {
        let held_out = held_out(&whole, style);
        assert!(held_out.iter().all(|&count| count > 0), "{held_out:?}");
    }
    // One family for each split and style, no more.
    assert!(whole.items(0, Split::Train).len() >= 16);
}

#[test]
fn layouts_by_split_keep_their_splits() {
    let folder = TempDir::new().unwrap();
    let picture = |i: u32| RgbaImage::from_pixel(4, 4, Rgba([i as u8, 200, 3, 255]));
    let flat = folder.path().join("flat");
    let nested = folder.path().join("nested");
    let turned = folder.path().join("turned");
    for i in 0..30 {
        for (number, style) in ["A", "B"].into_iter().enumerate() {
            let split = if i < 24 { "train" } else { "test" };
            let picture = picture(i + 30 * number as u32);
            save(&picture, &flat.join(format!("{split}{style}/{i}.png")));
            save(&picture, &nested.join(format!("{split}/{style}/{i}.png")));
            save(&picture, &turned.join(format!("{style}/{split}/{i}.png")));
        }
    }
    fs::write(flat.join("readme.txt"), "x").unwrap();
    let mut fingerprints = BTreeSet::new();
    for set in [&flat, &nested, &turned] {
        let set = load(set, &options()).unwrap();
        let names: Vec<&str> = set.styles().iter().map(|style| &*style.name).collect();
        assert_eq!(names, ["A", "B"]);
        for style in 0..2 {
            let keys = |split| -> Vec<&str> {
                set.items(style, split)
                    .iter()
                    .map(|&item| set.item_key(item))
                    .collect()
            };
            let mut test: Vec<String> = (24..30).map(|i| format!("test-{i}")).collect();
            test.sort();
            assert_eq!(keys(Split::Test), test);
            // Validation is taken from training: there is no folder of it.
            let validation = keys(Split::Validation);
            assert!(!validation.is_empty() && validation.len() + keys(Split::Train).len() == 24);
            assert!(
                validation
                    .iter()
                    .all(|key| split_of_family(key) == Split::Validation)
            );
        }
        assert_says(&set.summary().to_string(), &["split  as the folders say"]);
        fingerprints.insert(set.fingerprint());
    }
    assert_eq!(fingerprints.len(), 1, "all layouts say the same");
    // A style that is called so is a style.
    let odd = folder.path().join("odd");
    for style in ["train", "test", "plane"] {
        save(&picture(1), &odd.join(format!("{style}/{TRAIN}.png")));
    }
    assert_eq!(load(&odd, &options()).unwrap().styles().len(), 3);
}

#[test]
fn an_index_of_another_tool_among_folders_of_pictures_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let set = two_styles(folder.path());
    fs::write(set.join("index.json"), r#"{"images":[]}"#).unwrap();
    let summary = load(&set, &options()).unwrap().summary().to_string();
    assert_says(&summary, &["beside the styles, not read: 1 json"]);
    // Alone, it is what was meant.
    let alone = folder.path().join("alone");
    fs::create_dir(&alone).unwrap();
    fs::write(alone.join("index.json"), r#"{"images":[]}"#).unwrap();
    assert_says(&failure(load(&alone, &options())), &["not an index"]);
}

#[test]
fn a_style_that_is_a_copy_of_another_draws_a_warning() {
    let folder = TempDir::new().unwrap();
    let set = folder.path().join("set");
    for i in 0..30 {
        let other = if i < 10 { i } else { i + 100 };
        for (style, shade) in [("a", i), ("b", i), ("c", other)] {
            let picture = RgbaImage::from_pixel(4, 4, Rgba([shade, 2, 3, 255]));
            save(
                &picture,
                &set.join(style).join(format!("picture-{i:02}.png")),
            );
        }
    }
    let warnings = load(&set, &options()).unwrap().summary().warnings;
    let copies: Vec<&String> = warnings
        .iter()
        .filter(|warning| warning.contains("the same picture to the pixel"))
        .collect();
    assert_eq!(copies.len(), 1, "{warnings:?}");
    assert!(copies[0].starts_with("a and b: "), "{copies:?}");
}

#[test]
fn one_name_in_two_formats_is_two_pictures_of_one_family() {
    let folder = TempDir::new().unwrap();
    let set = two_styles(folder.path());
    let photo = RgbImage::from_pixel(8, 8, Rgb([90, 80, 70]));
    photo.save(set.join("a/picture-12.JPG")).unwrap();
    let set = load(&set, &options()).unwrap();
    let (png, jpeg) = (item_of(&set, "picture-12"), item_of(&set, "picture-12.JPG"));
    assert_eq!(set.item_family(jpeg), set.item_family(png));
    assert_eq!(set.item_split(jpeg), set.item_split(png));
    // The PNG keeps its counterpart.
    assert!(set.has_picture(1, png) && !set.has_picture(1, jpeg));
}

#[test]
fn what_this_program_generated_is_no_style_unless_it_is_asked_for() {
    let folder = TempDir::new().unwrap();
    let set = two_styles(folder.path());
    for i in 0..5 {
        let png = fs::read(set.join(format!("a/picture-{i}.png"))).unwrap();
        let signed = signed_png(&png);
        let read = |bytes: &[u8]| Picture::decode(bytes, Path::new("a.png")).unwrap();
        assert_eq!(read(&signed), read(&png));
        write(&set, &format!("out/picture-{i}.png"), &signed);
    }
    let own = load(&set, &options()).unwrap();
    assert_eq!(own.styles().len(), 2);
    assert_says(
        &own.summary().to_string(),
        &["out is no style", "5 pictures that demotic generated"],
    );
    let styles = ["a", "out"].map(str::to_owned).to_vec();
    let asked = load(
        &set,
        &DatasetOptions {
            styles,
            ..options()
        },
    )
    .unwrap();
    assert_eq!(asked.styles()[1].pictures, 5);
}

#[test]
fn drawings_are_read_in_any_encoding_and_what_is_not_drawn_is_told() {
    let folder = TempDir::new().unwrap();
    let set = two_styles(folder.path());
    let svg =
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8v8z"/></svg>"#;
    let wide: Vec<u8> = format!("\u{feff}{svg}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zip.write_all(svg.as_bytes()).unwrap();
    write(&set, "a/plain.svg", svg.as_bytes());
    write(&set, "a/wide.svg", &wide);
    let zip = zip.finish().unwrap();
    write(&set, "a/zipped.svgz", &zip);
    write(&set, "a/packed.svg", &zip);
    let latin = format!("<?xml version='1.0' encoding='ISO-8859-1'?>{svg}");
    let latin = latin.replace("<path", "<title>Caf#</title><path");
    let latin: Vec<u8> = latin
        .bytes()
        .map(|byte| if byte == b'#' { 0xe9 } else { byte })
        .collect();
    write(&set, "a/latin.svg", &latin);
    let foreign = svg.replace("<path", "<foreignObject><p>a</p></foreignObject><path");
    write(&set, "a/foreign.svg", foreign.as_bytes());
    let set = load(&set, &options()).unwrap();
    let pixels = |key| set.rgba(0, item_of(&set, key));
    assert!(pixels("plain").iter().any(|&value| value > 0));
    for key in ["wide", "zipped", "packed", "latin", "foreign"] {
        assert!(pixels(key) == pixels("plain"), "{key}");
    }
    let warnings = set.summary().warnings.join("\n");
    assert_says(
        &warnings,
        &["a: not everything in drawings is drawn: foreign objects in 1"],
    );
}

/// An SVG document of 64 x 64 with this in it, read as 64 x 64 pixels.
fn drawn(content: &str) -> Result<Picture, DataError> {
    let folder = TempDir::new().unwrap();
    let svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 64 64">{content}</svg>"#
    );
    Picture::open_or_draw(&write(folder.path(), "a.svg", svg.as_bytes()), 64)
}

/// Opaque pixels of a picture, in 255ths.
fn ink(picture: &Picture) -> u32 {
    let alpha = picture.premultiplied.iter().skip(3).step_by(4);
    alpha.map(|&alpha| u32::from(alpha)).sum::<u32>() / 255
}

#[test]
fn text_in_drawings_is_drawn_in_one_font_whatever_is_asked_for() {
    let text = |attributes: &str, words: &str| {
        drawn(&format!(
            r#"<text x="4" y="48" font-size="40" {attributes}>{words}</text>"#
        ))
        .unwrap()
    };
    let plain = text("", "Abc");
    assert!((300..1000).contains(&ink(&plain)), "{}", ink(&plain));
    for family in ["DejaVu Sans, sans-serif", "Times", "monospace", "Noto Sans"] {
        assert_eq!(text(&format!(r#"font-family="{family}""#), "Abc"), plain);
    }
    assert!(ink(&text(r#"font-weight="bold""#, "Abc")) > ink(&plain) * 5 / 4);
    // Every kind of letter that it has, and none of those that it lacks.
    for words in [
        "\u{416}", "\u{3a9}", "\u{17c}", "\u{20ac}", "e\u{301}", "&amp;",
    ] {
        assert!(ink(&text("", words)) > 50, "{words}");
    }
    assert_eq!(text("", "e\u{301}"), text("", "\u{e9}"));
    assert_eq!(ink(&text("", "\u{732b}")), 0);
}

#[test]
fn pictures_in_drawings_are_drawn_within_bounds() {
    use base64::Engine as _;
    let data = |kind: &str, bytes: &[u8]| {
        let text = base64::engine::general_purpose::STANDARD.encode(bytes);
        format!(
            r#"<image x="16" y="16" width="32" height="32" xlink:href="data:{kind};base64,{text}"/>"#
        )
    };
    let encoded = |picture: RgbImage, format| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let red = || RgbImage::from_pixel(8, 8, Rgb([200, 40, 40]));
    let inner = br##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path fill="#c82828" d="M0 0h8v8H0z"/></svg>"##;
    for (kind, bytes) in [
        ("image/png", encoded(red(), ImageFormat::Png)),
        ("image/jpeg", encoded(red(), ImageFormat::Jpeg)),
        ("image/webp", encoded(red(), ImageFormat::WebP)),
        ("image/bmp", encoded(red(), ImageFormat::Bmp)),
        ("image/gif", encoded(red(), ImageFormat::Gif)),
        ("image/svg+xml", inner.to_vec()),
    ] {
        let picture = drawn(&data(kind, &bytes)).unwrap();
        let pixel = |x: usize, y: usize| &picture.premultiplied[4 * (64 * y + x)..][..4];
        for (got, expected) in pixel(32, 32).iter().zip([200_u8, 40, 40, 255]) {
            assert!(got.abs_diff(expected) <= 4, "{kind}: {:?}", pixel(32, 32));
        }
        assert_eq!(pixel(8, 32), [0; 4], "{kind}");
    }
    // What is cut off, larger or more than is read.
    let whole = encoded(red(), ImageFormat::Png);
    let refused = |content: &str, parts: &[&str]| assert_says(&failure(drawn(content)), parts);
    refused(
        &data("image/png", &whole[..whole.len() - 14]),
        &["a picture in the drawing", "cut off", "a.svg"],
    );
    let large = encoded(RgbImage::new(4200, 4200), ImageFormat::Png);
    refused(
        &data("image/png", &large),
        &["4200 x 4200 pixels; at most 16 megapixels"],
    );
    let tall = data(
        "image/png",
        &encoded(RgbImage::new(4096, 4000), ImageFormat::Png),
    );
    refused(&tall.repeat(5), &["at most 64 megapixels"]);
    refused(
        &data("image/png", &whole).repeat(257),
        &["there are 257 of"],
    );
    let mut deep = inner.to_vec();
    for _ in 0..6 {
        let svg = format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 64 64">{}</svg>"#,
            data("image/svg+xml", &deep)
        );
        deep = svg.into_bytes();
    }
    refused(&data("image/svg+xml", &deep), &["more than 4 deep"]);
}

#[test]
fn a_drawing_that_lays_itself_out_without_end_is_refused_soon() {
    // Ten levels of ten, of ten thousand letters.
    let text = format!(r#"<text id="u0">{}</text>"#, "a".repeat(10_000));
    let content = (1..=10).fold(text, |content, level| {
        let uses = format!(r##"<use href="#u{}"/>"##, level - 1).repeat(10);
        format!(r#"{content}<g id="u{level}">{uses}</g>"#)
    });
    let begun = std::time::Instant::now();
    assert_says(
        &failure(drawn(&content)),
        &["every `use`, mask and pattern laid out"],
    );
    assert_says(
        &failure(drawn(&format!("<text>{}</text>", "a".repeat(300_000)))),
        &["256 bytes a letter"],
    );
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    // A few uses, some of them of what does not exist or of themselves.
    let path = r#"<path id="p" d="M0 0h64v64z"/>"#;
    let some = r##"<use href="#p"/><g id="g"><use href="#g"/></g><use xlink:href="#none"/>"##;
    assert!(ink(&drawn(&(path.to_owned() + some)).unwrap()) > 1000);
}

#[test]
fn a_drawing_of_a_million_nodes_is_refused_soon() {
    let folder = TempDir::new().unwrap();
    let mut svg =
        br#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8v8z"/>"#
            .to_vec();
    svg.extend(b"<g/>".repeat(1_000_000));
    svg.extend(b"</svg>");
    let path = write(folder.path(), "many.svg", &svg);
    let begun = std::time::Instant::now();
    let message = failure(Picture::open_or_draw(&path, 32));
    assert_says(&message, &["nodes limit reached", "many.svg"]);
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}

#[test]
fn markers_on_a_million_points_are_refused_soon_and_on_a_few_are_drawn() {
    let marked = |points: usize| {
        let line = "h.001".repeat(points);
        drawn(&format!(
            r##"<marker id="m" markerWidth="9" markerHeight="9" refX="1" refY="1"><path d="M0 0h4v4h-4z"/></marker>
            <path d="M4 32{line}" stroke="#000" marker-mid="url(#m)"/>"##
        ))
    };
    let begun = std::time::Instant::now();
    assert_says(
        &failure(marked(1_000_000)),
        &["mask and pattern laid out, 1024 bytes a marker"],
    );
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    // As many as are drawn take their time, but not for ever.
    let picture = marked(50_000).unwrap();
    assert!(ink(&picture) > 50, "{}", ink(&picture));
    assert!(begun.elapsed().as_secs() < 120, "{:?}", begun.elapsed());
}

#[test]
fn a_drawing_of_layers_without_end_is_refused_soon() {
    let folder = TempDir::new().unwrap();
    let layered = |groups: usize| {
        let group = r#"<g opacity=".9"><path d="M0 0h4000v4000z"/></g>"#.repeat(groups);
        let svg = format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="4000" height="4000">{group}</svg>"#
        );
        Picture::open_or_draw(&write(folder.path(), "a.svg", svg.as_bytes()), 32)
    };
    let begun = std::time::Instant::now();
    assert_says(
        &failure(layered(1000)),
        &["4000 x 4000 pixels, its layers, paths", "a.svg"],
    );
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    assert_eq!(layered(2).unwrap().width_px, 4000);
}

/// A drawing of these sides in pixels, read at its own size.
fn drawn_at(side: u32, content: &str) -> Result<Picture, DataError> {
    let folder = TempDir::new().unwrap();
    let svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}">{content}</svg>"#
    );
    Picture::open_or_draw(&write(folder.path(), "a.svg", svg.as_bytes()), 16)
}

#[test]
fn filters_are_refused_by_what_they_take_before_they_are_drawn() {
    let filtered = |side: u32, steps: &str| {
        let shape = format!(r#"<path d="M0 0h{side}v{side}h-{side}z" filter="url(#f)"/>"#);
        drawn_at(side, &format!(r#"<filter id="f">{steps}</filter>{shape}"#))
    };
    let begun = std::time::Instant::now();
    let noise =
        |octaves: u32| format!(r#"<feTurbulence baseFrequency=".1" numOctaves="{octaves}"/>"#);
    let spread = |radius: u32| format!(r#"<feMorphology operator="dilate" radius="{radius}"/>"#);
    let matrix = |side: usize, more: &str| {
        let numbers = "1 ".repeat(side * side);
        format!(r#"<feConvolveMatrix order="{side}" kernelMatrix="{numbers}" {more}/>"#)
    };
    let far = r#"<feFlood x="-1e12" y="0" width="1e13" height="9"/>"#;
    let work = "the work of more than";
    for (side, steps, says) in [
        (64, noise(4_000_000_000), work),
        (2000, noise(40), work),
        (1000, spread(1_000_000), work),
        (1000, matrix(50, ""), work),
        (1, matrix(1000, r#"edgeMode="wrap""#), work),
        (
            2000,
            r#"<feGaussianBlur stdDeviation="90"/>"#.repeat(12),
            work,
        ),
        (4000, "<feFlood/>".repeat(20), "pixels at once"),
        (64, far.into(), "reach beyond"),
    ] {
        let message = failure(filtered(side, &steps));
        assert_says(&message, &[says, "a.svg"]);
    }
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    // What people have is drawn: noise, outlines, sharpening, a shadow in the seven steps of design programs.
    let shadow = r#"<feFlood flood-opacity="0" result="a"/><feColorMatrix in="SourceAlpha"/><feOffset dy="4"/>
        <feGaussianBlur stdDeviation="9"/><feColorMatrix/><feBlend in2="a" result="b"/><feBlend in="SourceGraphic" in2="b"/>"#;
    for (side, steps) in [
        (512, noise(5)),
        (512, spread(9)),
        (512, matrix(3, "")),
        (2000, shadow.to_owned()),
    ] {
        assert_eq!(filtered(side, &steps).unwrap().width_px, side);
    }
    assert!(begun.elapsed().as_secs() < 120, "{:?}", begun.elapsed());
}

#[test]
fn what_a_few_lines_of_a_drawing_stand_for_is_bounded() {
    let begun = std::time::Instant::now();
    let path = r#"d="M0 0h64v64h-64z""#;
    let nested = |tag: &str, reference: &str, attributes: &str| {
        let mut content = format!(r#"<{tag} id="t0" {attributes}><path {path}/></{tag}>"#);
        for level in 1..12 {
            let inner = format!(r#"<path {path} {reference}="url(#t{})"/>"#, level - 1).repeat(10);
            content = [
                content,
                format!(r#"<{tag} id="t{level}" {attributes}>{inner}</{tag}>"#),
            ]
            .concat();
        }
        content + &format!(r#"<path {path} {reference}="url(#t11)"/>"#)
    };
    let chained = (0..50_000)
        .map(|i| {
            format!(
                r#"<mask id="t{i}"><path {path} mask="url(#t{})"/></mask>"#,
                i + 1
            )
        })
        .collect::<Vec<String>>()
        .concat();
    let circle = (0..3)
        .map(|i| {
            format!(
                r#"<mask id="c{i}"><path {path} mask="url(#c{})"/></mask>"#,
                (i + 1) % 3
            )
        })
        .collect::<Vec<String>>()
        .concat();
    let circle = circle + r#"<path d="M0 0h9v9z" mask="url(#c0)"/>"#;
    let too_much = "leave out what repeats";
    for (content, says) in [
        (nested("mask", "mask", ""), too_much),
        (nested("clipPath", "clip-path", r#"clipPathUnits="objectBoundingBox""#), too_much),
        (nested("clipPath", "clip-path", ""), "comes to more than 16777216 elements"),
        (nested("pattern", "fill", r#"width="9" height="9""#), too_much),
        (circle, "in a circle"),
        (chained + r#"<path d="M0 0h9v9z" mask="url(#t0)"/>"#, too_much),
        (
            r#"<pattern id="p" patternUnits="userSpaceOnUse" width="1e5" height="1e5"><path d="M0 0h9v9z"/></pattern><path d="M0 0h64v64z" fill="url(#p)"/>"#.into(),
            "pixels at once",
        ),
        (format!(r#"<text id="t" y="9">a</text>{}"#, r##"<use href="#t"/>"##.repeat(100_000)), "2048 bytes a text"),
        (format!("<style>{}</style>{}", "g{fill:red}".repeat(100_000), "<g/>".repeat(100_000)), "steps to match"),
        (format!("<style>{}g{{fill:red}}</style>", "*+".repeat(100_000)), "100001 parts"),
        (
            r#"<path d="M0 9h1000000" stroke="red" stroke-dasharray="1"/>"#.repeat(30_000),
            "the work of more than",
        ),
    ] {
        assert_says(&failure(drawn(&content)), &[says]);
    }
    let covered = r#"<path d="M0 0h8000v8000h-8000z"/>"#.repeat(1000);
    assert_says(
        &failure(drawn_at(8000, &covered)),
        &["the work of more than"],
    );
    let folder = TempDir::new().unwrap();
    let file =
        |svg: String| Picture::open_or_draw(&write(folder.path(), "a.svg", svg.as_bytes()), 64);
    let entities = format!(
        r#"<!DOCTYPE svg [<!ENTITY a "{}">]><svg>{}</svg>"#,
        "x".repeat(50_000),
        "&a;".repeat(10_000)
    );
    assert_says(&failure(file(entities)), &["entities written out", "a.svg"]);
    let attributes = (0..100_000)
        .map(|i| format!(r#" a{i}="""#))
        .collect::<Vec<String>>()
        .concat();
    assert_says(
        &failure(file(format!("<svg{attributes}/>"))),
        &["1024 attributes"],
    );
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}

#[test]
fn styles_without_common_names_are_fine_without_pairs() {
    let folder = TempDir::new().unwrap();
    let set = folder.path().join("set");
    for (style, names) in [("photo", ["x1", "x2", "x3"]), ("paint", ["y1", "y2", "y4"])] {
        for (i, name) in names.into_iter().enumerate() {
            let colour = Rgba([i as u8, 0, 0, 255]);
            save(
                &RgbaImage::from_pixel(4, 4, colour),
                &set.join(style).join(format!("{name}.png")),
            );
        }
    }
    let set = load(&set, &options()).unwrap();
    assert!(!set.pairs_known());
    assert_eq!(set.pair_kind(0, 1), PairKind::Loose);
    assert_eq!(set.pair_overlap(0, 1), None);
    let sampler = Sampler::new(set.training(), sampling(4, 0)).unwrap();
    assert_eq!(sampler.batch(0).styles, [0, 1, 0, 1]);
    assert!(sampler.paired_batch(0).is_none());
}

// ---- the embedded emoji

#[test]
fn embedded_emoji_have_the_known_counts() {
    let set = emoji();
    let names: Vec<_> = set
        .styles()
        .iter()
        .map(|s| (&*s.name, &*s.licence))
        .collect();
    assert_eq!(
        names,
        [
            ("fluent-flat", "MIT"),
            ("fluent-high-contrast", "MIT"),
            ("noto", "Apache-2.0"),
            ("openmoji", "CC-BY-SA-4.0"),
            ("openmoji-line", "CC-BY-SA-4.0"),
            ("twemoji", "CC-BY-4.0"),
        ]
    );
    for style in 0..6 {
        let counts = Split::ALL.map(|split| set.items(style, split).len());
        assert_eq!(counts, [1226, 153, 172], "{}", set.styles()[style].name);
        assert_eq!(set.styles()[style].pictures, 1551);
    }
    // The whole split, not only its counts: a checkpoint is scored on the pictures it was meant to be scored
    // on.
    let keys = set.items(0, Split::Test).iter();
    let held_out: Vec<&str> = keys.map(|&item| set.item_key(item)).collect();
    let hash = demotic_core::data::fnv1a64(held_out.join(" ").as_bytes());
    assert_eq!(hash, GOLDEN_TEST_SPLIT);
}

/// Hash of the keys of the held-out emoji, in order.
const GOLDEN_TEST_SPLIT: u64 = 14_338_674_451_912_257_831;

#[test]
fn no_family_crosses_splits_and_near_copies_stay_together() {
    let set = emoji();
    let codepoints = |item: usize| -> Vec<u32> {
        let parts = set.item_key(item).split('-');
        parts
            .map(|part| u32::from_str_radix(part, 16).unwrap())
            .collect()
    };
    let mut families: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for item in 0..set.item_count() {
        let family = demotic_core::data::emoji_family(&codepoints(item));
        assert_eq!(
            set.item_split(item),
            split_of_family(&family),
            "{}",
            set.item_key(item)
        );
        families
            .entry(family)
            .or_default()
            .insert(set.item_split(item).name());
    }
    assert!(families.values().all(|splits| splits.len() == 1));
    assert!(families.len() > 1000);
    // By name, so that the rule is not checked by itself.
    for (words, count) in [
        (vec!["o’clock", "-thirty"], 24),
        (vec!["keycap"], 13),
        (vec!["firefighter"], 3),
        (
            vec![
                "quarter moon",
                "gibbous moon",
                "new moon",
                "full moon",
                "crescent moon",
            ],
            13,
        ),
        (vec!["person running", "man running"], 6),
    ] {
        let named = |item: &usize| words.iter().any(|word| set.item_name(*item).contains(word));
        let items: Vec<usize> = (0..set.item_count()).filter(named).collect();
        assert_eq!(items.len(), count, "{words:?}");
        let splits: BTreeSet<&str> = items.iter().map(|&i| set.item_split(i).name()).collect();
        assert_eq!(splits.len(), 1, "{words:?}");
    }
    // One drawing in many colours.
    for (shape, count) in [("heart", 10), ("circle", 9), ("square", 7), ("book", 3)] {
        let colours = [
            "red", "orange", "yellow", "green", "blue", "purple", "brown", "black", "white", "grey",
        ];
        let named = |item: &usize| {
            colours
                .iter()
                .any(|colour| set.item_name(*item) == format!("{colour} {shape}"))
        };
        let items: Vec<usize> = (0..set.item_count()).filter(named).collect();
        assert_eq!(items.len(), count, "{shape}");
        let splits: BTreeSet<&str> = items.iter().map(|&i| set.item_split(i).name()).collect();
        assert_eq!(splits.len(), 1, "{shape}");
    }
    // No flags, no skin tones.
    for item in 0..set.item_count() {
        assert_ne!(set.item_group(item), "flags");
        let codepoints = codepoints(item);
        assert!(!codepoints.iter().any(|c| (0x1f3fb..=0x1f3ff).contains(c)));
        assert!(!codepoints.iter().any(|c| (0x1f1e6..=0x1f1ff).contains(c)));
    }
}

#[test]
fn embedded_emoji_are_small_and_carry_their_licences() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/emoji");
    let files = files_below(&folder);
    let total: usize = files.values().map(Vec::len).sum();
    assert!(total < 7 << 20, "{total} bytes");
    let text = |name: &str| String::from_utf8(files[Path::new(name)].clone()).unwrap();
    assert_says(
        &text("openmoji/LICENSE.txt"),
        &["Attribution-ShareAlike 4.0"],
    );
    assert_says(
        &text("licences/twemoji.txt"),
        &["Attribution 4.0 International"],
    );
    assert_says(&text("licences/noto.txt"), &["Apache License"]);
    assert_says(
        &text("licences/fluent-flat.txt"),
        &["Copyright (c) Microsoft Corporation"],
    );
    assert_says(
        &text("NOTICE"),
        &["Twitter", "Google", "Microsoft", "OpenMoji", "rasterises"],
    );
    assert_says(
        &text("README.md"),
        &["demotic data import --emoji --out crates/demotic-core/assets/emoji"],
    );
    for name in files.keys() {
        let name = name.to_str().unwrap();
        assert!(
            !name.contains("openmoji") || name.starts_with("openmoji/"),
            "{name}"
        );
    }
}

#[test]
fn emoji_redrawn_in_place_are_told_from_loose_ones_at_any_size() {
    let kinds = |set: &Dataset| -> Vec<(String, String)> {
        let pairs = set.summary().pairs.into_iter();
        pairs
            .filter(|pair| pair.kind == PairKind::Aligned)
            .map(|pair| (pair.a, pair.b))
            .collect()
    };
    let expected = [
        ("fluent-flat".to_owned(), "fluent-high-contrast".to_owned()),
        ("openmoji".into(), "openmoji-line".into()),
    ];
    assert_eq!(kinds(emoji()), expected);
    let larger = DatasetOptions {
        size_px: 64,
        ..options()
    };
    assert_eq!(kinds(&Dataset::load("emoji", &larger).unwrap()), expected);
    assert_eq!(emoji().pair_kind(3, 4), emoji().pair_kind(4, 3));
}

#[test]
fn every_embedded_picture_has_ink() {
    let set = emoji();
    for style in 0..set.styles().len() {
        for item in 0..set.item_count() {
            let picture = set.picture(style, item);
            let ink = picture.iter().filter(|&&v| v < 0.9).count();
            assert!(
                ink > 40,
                "{} in {}",
                set.item_name(item),
                set.styles()[style].name
            );
        }
    }
}

#[test]
fn the_fingerprint_is_of_contents_alone() {
    let folder = TempDir::new().unwrap();
    let path = two_styles(folder.path());
    let first = load(&path, &options()).unwrap().fingerprint();
    let larger = DatasetOptions {
        size_px: 8,
        background: [0; 3],
        ..options()
    };
    assert_eq!(load(&path, &larger).unwrap().fingerprint(), first);
    let one = path.join("a/picture-3.png");
    let saved = fs::read(&one).unwrap();
    save(&RgbaImage::from_pixel(8, 8, Rgba([9, 9, 9, 255])), &one);
    assert_ne!(load(&path, &options()).unwrap().fingerprint(), first);
    fs::write(&one, saved).unwrap();
    assert_eq!(load(&path, &options()).unwrap().fingerprint(), first);
    fs::rename(&one, path.join("a/renamed.png")).unwrap();
    assert_ne!(load(&path, &options()).unwrap().fingerprint(), first);
}

#[test]
fn the_summary_shows_styles_splits_and_pairs() {
    let text = emoji().summary().to_string();
    assert_says(
        &text,
        &[
            "emoji (built in)",
            "32 px on #ffffff",
            "1226 train",
            "aligned",
            "loose",
            "overlap 0.9",
        ],
    );
    let styles = text
        .lines()
        .filter(|line| line.starts_with("style "))
        .count();
    let pairs = text
        .lines()
        .filter(|line| line.starts_with("pair "))
        .count();
    assert_eq!((styles, pairs), (6, 15));
    let json = serde_json::to_value(emoji().summary()).unwrap();
    assert_eq!(json["styles"][0]["name"], "fluent-flat");
    assert_eq!(json["pairs"].as_array().unwrap().len(), 15);
}

#[test]
fn the_summary_of_thirty_styles_stays_short() {
    let folder = TempDir::new().unwrap();
    let set = folder.path().join("set");
    for i in 0..30 {
        let picture = RgbaImage::from_pixel(4, 4, Rgba([8 * i, 9, 200, 255]));
        save(&picture, &set.join(format!("style-{i:02}/{TRAIN}.png")));
    }
    let summary = load(&set, &options()).unwrap().summary();
    let text = summary.to_string();
    assert_says(&text, &["pair   435 of styles: ", "style  style-29"]);
    assert!(text.lines().count() < 45, "{text}");
    assert_eq!(summary.pairs.len(), 435);
    // Whatever is wrong with all of them: numbers for names, of the next style with other zeros.
    for i in 0..30_u8 {
        for number in 0..5_usize {
            let picture = RgbaImage::from_pixel(4, 4, Rgba([8 * i, 50 * number as u8, 200, 255]));
            let width = 2 + usize::from(i % 2);
            save(
                &picture,
                &set.join(format!("style-{i:02}/{number:0width$}.png")),
            );
        }
    }
    let warnings = load(&set, &options()).unwrap().summary().warnings;
    let text = warnings.join("\n");
    assert_says(
        &text,
        &[
            "style-00 and style-01: 5 names differ by letters' case",
            "222 more pairs of styles have names that differ by as little",
            "style-00 and style-02: the names are numbers",
            "more pairs of styles have numbers for names",
        ],
    );
    assert!(warnings.len() < 16, "{text}");
}

// ---- cache

#[test]
fn the_cache_gives_the_same_pictures_and_heals() {
    let folder = TempDir::new().unwrap();
    let set = two_styles(folder.path());
    let cache = folder.path().join("cache");
    let cached = DatasetOptions {
        cache: CachePolicy::Folder(cache.clone()),
        ..options()
    };
    let pixels = |set: &Dataset| -> Vec<u8> {
        set.items(1, Split::Train)
            .iter()
            .flat_map(|&i| set.rgba(1, i).to_vec())
            .collect()
    };
    let expected = pixels(&load(&set, &options()).unwrap());
    assert!(pixels(&load(&set, &cached).unwrap()) == expected);
    let blocks = files_below(&cache);
    assert_eq!(blocks.len(), 2, "one block a style");

    // It is really read: a block changed with its checksum shows in the pictures.
    for (name, block) in &blocks {
        let mut changed = block.clone();
        let header = changed.len() % 1024;
        changed[header..].fill(77);
        let checksum = crc32fast::hash(&changed[header..]);
        changed[header - 4..header].copy_from_slice(&checksum.to_le_bytes());
        fs::write(cache.join(name), changed).unwrap();
    }
    assert!(
        pixels(&load(&set, &cached).unwrap())
            .iter()
            .all(|&v| v == 77)
    );

    // Damaged, it is made anew.
    for (name, block) in &blocks {
        let mut damaged = block.clone();
        *damaged.last_mut().unwrap() ^= 1;
        fs::write(cache.join(name), damaged).unwrap();
    }
    assert!(pixels(&load(&set, &cached).unwrap()) == expected);
    assert!(files_below(&cache) == blocks);

    // Changed pictures are not served from it.
    let whole = load(&set, &options()).unwrap();
    let name = whole.item_key(whole.items(1, Split::Train)[3]);
    save(
        &RgbaImage::from_pixel(8, 8, Rgba([9, 9, 9, 255])),
        &set.join(format!("b/{name}.png")),
    );
    assert!(pixels(&load(&set, &cached).unwrap()) != expected);

    // A place that cannot be written is no error.
    let file = write(folder.path(), "file", b"");
    let blocked = DatasetOptions {
        cache: CachePolicy::Folder(file),
        ..options()
    };
    load(&set, &blocked).unwrap();
}

// ---- batches

fn sampling(batch_size: usize, draw: u16) -> SamplerOptions {
    SamplerOptions {
        seed: 5,
        batch_size,
        draw,
        augmentation: Augmentation::default(),
        paired_styles: PairedStyles::Any,
    }
}

#[test]
fn a_batch_is_a_pure_function_of_seed_and_step() {
    let set = emoji();
    let first = Sampler::new(set.training(), sampling(16, 0)).unwrap();
    let straight: Vec<_> = (0..6).map(|step| first.batch(step)).collect();
    // Resumed at step 4, and asked backwards over an epoch's end.
    let resumed = Sampler::new(set.training(), sampling(16, 0)).unwrap();
    let far = resumed.batch(1000);
    for step in [5, 4, 0, 3] {
        assert!(
            resumed.batch(step) == straight[step as usize],
            "step {step}"
        );
    }
    assert!(first.batch(1000) == far);
    let paired = first.paired_batch(3).unwrap();
    assert!(resumed.paired_batch(3).unwrap() == paired);
    // On one core as on many.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    assert!(pool.install(|| resumed.batch(2)) == straight[2]);

    let other_draw = Sampler::new(set.training(), sampling(16, 1)).unwrap();
    assert_ne!(other_draw.batch(0).items, straight[0].items);
    let other_seed = SamplerOptions {
        seed: 6,
        ..sampling(16, 0)
    };
    let other_seed = Sampler::new(set.training(), other_seed).unwrap();
    assert_ne!(other_seed.batch(0).items, straight[0].items);
}

#[test]
fn every_training_picture_is_drawn_once_an_epoch_and_styles_take_turns() {
    let folder = TempDir::new().unwrap();
    let set = load(&two_styles(folder.path()), &options()).unwrap();
    let sampler = Sampler::new(set.training(), sampling(5, 0)).unwrap();
    let mut drawn: [Vec<usize>; 2] = Default::default();
    for step in 0..400 {
        let batch = sampler.batch(step);
        assert_eq!(batch.images.len(), 5 * set.picture_len());
        let ones = batch.styles.iter().filter(|&&style| style == 1).count();
        assert!((2..=3).contains(&ones));
        for (&style, &item) in batch.styles.iter().zip(&batch.items) {
            drawn[style as usize].push(item);
        }
    }
    for (style, drawn) in drawn.iter().enumerate() {
        let expected = set.items(style, Split::Train);
        let epochs: Vec<&[usize]> = drawn.chunks_exact(expected.len()).collect();
        assert!(epochs.len() > 20);
        for epoch in &epochs {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, expected);
        }
        assert_ne!(epochs[0], epochs[1], "every epoch in the same order");
    }
}

#[test]
fn pairs_share_item_and_augmentation() {
    let folder = TempDir::new().unwrap();
    let set = folder.path().join("set");
    // Two styles of the very same pictures: equal batches show equal augmentation.
    for i in 0..12 {
        let picture = RgbaImage::from_fn(32, 32, |x, y| {
            Rgba([
                x as u8 * 8,
                y as u8 * 8,
                i as u8 * 20,
                if x + y > 20 { 255 } else { 90 },
            ])
        });
        for style in ["a", "b"] {
            save(&picture, &set.join(style).join(format!("picture-{i}.png")));
        }
    }
    let set = load(&set, &options()).unwrap();
    let augmentation = Augmentation {
        affine_prob: 1.0,
        ..Augmentation::default()
    };
    let sampler = Sampler::new(
        set.training(),
        SamplerOptions {
            augmentation,
            ..sampling(8, 0)
        },
    )
    .unwrap();
    let mut varied = false;
    for step in 0..10 {
        let pair = sampler.paired_batch(step).unwrap();
        assert_eq!(pair.source.items, pair.target.items);
        assert!(pair.source.images == pair.target.images);
        for (from, to) in pair.source.styles.iter().zip(&pair.target.styles) {
            assert_ne!(from, to);
        }
        let plain = set.picture(pair.source.styles[0] as usize, pair.source.items[0]);
        varied |= pair.source.images[..plain.len()] != plain[..];
        assert!(pair.source.images.iter().all(|v| (-1.0..=1.0).contains(v)));
    }
    assert!(varied, "nothing was augmented");
}

#[test]
fn pairs_of_aligned_styles_alone_are_drawn_where_asked() {
    let set = emoji();
    let directions = |paired_styles| {
        let options = SamplerOptions {
            paired_styles,
            ..sampling(8, 0)
        };
        let sampler = Sampler::new(set.training(), options).unwrap();
        let mut met = std::collections::BTreeSet::new();
        for step in 0..8 {
            let pair = sampler.paired_batch(step).unwrap();
            met.extend(pair.source.styles.iter().copied().zip(pair.target.styles));
        }
        met
    };
    let of = |name: &str| {
        let place = set.styles().iter().position(|style| style.name == name);
        u32::try_from(place.unwrap()).unwrap()
    };
    let aligned = [
        ["fluent-flat", "fluent-high-contrast"],
        ["openmoji", "openmoji-line"],
    ];
    let both = aligned.map(|names| names.map(of));
    let expected = both.iter().flat_map(|[a, b]| [(*a, *b), (*b, *a)]);
    assert_eq!(directions(PairedStyles::Aligned), expected.collect());
    assert_eq!(directions(PairedStyles::Any).len(), 30);
    let counts = [PairedStyles::Any, PairedStyles::Aligned].map(|asked| set.paired_pictures(asked));
    assert!(
        counts[1][0] < counts[0][0] && counts[1][0] > 0,
        "{counts:?}"
    );
    assert_eq!(counts[0][1], counts[1][1]);
}

#[test]
fn without_augmentation_batches_are_the_pictures() {
    let set = emoji();
    let options = SamplerOptions {
        augmentation: Augmentation::OFF,
        ..sampling(12, 0)
    };
    let batch = Sampler::new(set.training(), options).unwrap().batch(9);
    for (i, images) in batch.images.chunks(set.picture_len()).enumerate() {
        assert!(images == set.picture(batch.styles[i] as usize, batch.items[i]));
    }
}

#[test]
fn training_never_reads_a_held_out_picture() {
    // Training pictures are grey, held-out ones magenta: any leak, however mixed and turned, leaves colour
    // behind.
    let folder = TempDir::new().unwrap();
    let set = folder.path().join("set");
    let mut held_out = 0;
    for i in 0..60 {
        let name = format!("picture-{i}");
        let colour = if split_of_family(&name) == Split::Train {
            Rgba([100, 100, 100, 255])
        } else {
            held_out += 1;
            Rgba([255, 0, 255, 255])
        };
        for style in ["a", "b", "c"] {
            save(
                &RgbaImage::from_pixel(16, 16, colour),
                &set.join(style).join(format!("{name}.png")),
            );
        }
    }
    assert!(held_out > 5, "{held_out}");
    let set = load(&set, &options()).unwrap();
    let view = set.training();
    let train: BTreeSet<usize> = set.items(0, Split::Train).iter().copied().collect();
    let is_grey = |images: &[f32]| {
        let plane = (SIZE_PX * SIZE_PX) as usize;
        images
            .chunks(3 * plane)
            .all(|p| (0..plane).all(|i| p[i] == p[plane + i] && p[i] == p[2 * plane + i]))
    };
    // The check itself sees a held-out picture.
    assert!(!is_grey(&set.picture(0, set.items(0, Split::Test)[0])));
    let augmentation = Augmentation {
        affine_prob: 1.0,
        ..Augmentation::default()
    };
    let sampler = Sampler::new(
        view,
        SamplerOptions {
            augmentation,
            ..sampling(16, 0)
        },
    )
    .unwrap();
    for step in 0..60 {
        let mut batches = vec![sampler.batch(step)];
        let pair = sampler.paired_batch(step).unwrap();
        batches.extend([pair.source, pair.target]);
        for batch in batches {
            assert!(batch.items.iter().all(|item| train.contains(item)));
            assert!(
                is_grey(&batch.images),
                "colour of a held-out picture at step {step}"
            );
        }
    }
    for style in 0..3 {
        for &item in view.items(style) {
            assert!(train.contains(&item.index()));
            assert!(is_grey(&view.picture(style, item)));
        }
    }
}

#[test]
fn bad_sampler_options_are_refused() {
    let view = emoji().training();
    assert_says(
        &failure(Sampler::new(view, sampling(0, 0)).map(drop)),
        &["0 pictures"],
    );
    let augmentation = Augmentation {
        flip_prob: 2.0,
        ..Augmentation::default()
    };
    let options = SamplerOptions {
        augmentation,
        ..sampling(4, 0)
    };
    assert_says(
        &failure(Sampler::new(view, options).map(drop)),
        &["augment.flip_prob: expected 0 to 1, got 2"],
    );
}
