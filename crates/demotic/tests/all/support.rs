//! A fresh folder, the real binary in it, and pictures to give it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use demotic_core::data::split_of_family;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use image::{Rgba, RgbaImage};
use serde_json::Value;
use tempfile::TempDir;

/// A network and a run small enough for a test: a few milliseconds a step.
pub(crate) const TINY: &str = r#"
[data]
size_px = 16
styles = ["openmoji-line", "openmoji"]
[generator]
channels = 8
channels_min = 8
encoder_blocks = 1
decoder_blocks = 1
context_blocks = 0
latent_channels = 4
style_dims = 8
[discriminator]
channels = 8
[train]
batch = 2
steps = 12
tick_steps = 5
sample_steps = 6
checkpoint_steps = 5
"#;

/// [`TINY`] on the pictures of a folder.
fn tiny_on(folder: &Path, styles: [&str; 2]) -> String {
    let emoji = "styles = [\"openmoji-line\", \"openmoji\"]";
    assert!(TINY.contains(emoji));
    let source = format!(
        "source = {:?}\nstyles = {styles:?}",
        folder.to_str().expect("a path in Unicode")
    );
    TINY.replace(emoji, &source)
}

/// [`TINY`] on a handful of discs, `hollow` and `filled`: hardly a picture is held out, so scoring a
/// checkpoint and the end of a run takes no time. Every test uses the same folder, which runs remember by its
/// path.
pub(crate) fn tiny_on_discs() -> String {
    static DISCS: OnceLock<PathBuf> = OnceLock::new();
    let discs = DISCS.get_or_init(|| shared("24-discs", |place, name| place.discs(name, 24)));
    tiny_on(discs, ["hollow", "filled"])
}

/// Every fifth of the built-in emoji of each split in [`TINY`]'s styles, as an imported data set: 246 to
/// train on, 31 for validation, 35 held out. So many have every figure that all of the emoji have, in a fifth
/// of the time.
pub(crate) fn few_emoji() -> &'static Path {
    static FEW: OnceLock<PathBuf> = OnceLock::new();
    FEW.get_or_init(|| {
        let index = asset("index.json");
        let name = format!("few-emoji-{:08x}", crc32(&index));
        shared(&name, |place, name| write_few_emoji(place, name, &index))
    })
}

/// A file of the built-in emoji.
fn asset(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../demotic-core/assets/emoji");
    fs::read(Path::new(folder).join(name)).expect("it is built in")
}

fn write_few_emoji(place: &Place, name: &str, index: &[u8]) {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let mut index: Value = serde_json::from_slice(index).expect("JSON");
    let mut seen = [0; 3];
    let items = index["items"].as_array_mut().expect("items");
    items.retain(|item| {
        let of_split = &mut seen[split_of_family(&text(&item["family"])) as usize];
        *of_split += 1;
        *of_split % 5 == 1
    });
    let keys: BTreeSet<String> = items.iter().map(|item| text(&item["key"])).collect();
    let styles = index["styles"].as_array_mut().expect("styles");
    // As JSON a name has its quotes, as in the settings.
    styles.retain(|style| TINY.contains(&style["name"].to_string()));
    for style in styles {
        style["drawings"] = keys.len().into();
        let (drawings, licence) = (text(&style["file"]), text(&style["licence_file"]));
        let few = only(&asset(&drawings), &keys);
        place.write(&format!("{name}/{drawings}"), &few);
        place.write(&format!("{name}/{licence}"), &asset(&licence));
    }
    place.write(&format!("{name}/index.json"), index.to_string().as_bytes());
}

/// Those of an archive's files whose names are among these, but for their endings.
fn only(archive: &[u8], names: &BTreeSet<String>) -> Vec<u8> {
    let mut whole = tar::Archive::new(GzDecoder::new(archive));
    let mut few = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for entry in whole.entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").into_owned();
        let stem = path.file_stem().expect("a name").to_string_lossy();
        if names.contains(&*stem) {
            let header = entry.header().clone();
            few.append(&header, &mut entry)
                .expect("memory takes everything");
        }
    }
    let zip = few.into_inner().expect("memory takes everything");
    zip.finish().expect("memory takes everything")
}

/// A folder of this name that all tests of all processes share; `make` writes it below a place.
fn shared(name: &str, make: impl FnOnce(&Place, &str)) -> PathBuf {
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if !shared.exists() {
        let place = Place {
            folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder"),
        };
        make(&place, name);
        // Whole or not at all; another process may have been quicker.
        let is_first = fs::rename(place.path(name), &shared).is_ok();
        assert!(is_first || shared.exists());
    }
    shared
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Holds that the command did what it was asked.
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        assert!(!self.err.contains("error:"), "{self:#?}");
        self
    }

    /// Holds that the command refused with one message that says `expected`, and that it did not fall over.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, expected: &str) {
        assert_eq!(self.code, Some(code), "expected `{expected}`: {self:#?}");
        assert!(self.err.starts_with("error: "), "{self:#?}");
        assert_eq!(
            self.err.matches("error:").count(),
            1,
            "one message: {self:#?}"
        );
        assert!(
            self.err.contains(expected),
            "expected `{expected}`: {self:#?}"
        );
        for fault in ["panicked", "bug in demotic", "RUST_BACKTRACE"] {
            assert!(!self.err.contains(fault), "{self:#?}");
        }
    }
}

/// A fresh folder that is the working directory of every command; gone with the value.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        place.write("tiny.toml", TINY.as_bytes());
        place
    }

    /// A folder whose `tiny.toml` is [`TINY`] on [`few_emoji`].
    pub(crate) fn of_few_emoji() -> Self {
        let place = Self::new();
        let tiny = tiny_on(few_emoji(), ["openmoji-line", "openmoji"]);
        place.write("tiny.toml", tiny.as_bytes());
        place
    }

    /// A folder whose `tiny.toml` is [`tiny_on_discs`].
    pub(crate) fn of_discs() -> Self {
        let place = Self::new();
        place.write("tiny.toml", tiny_on_discs().as_bytes());
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder"))
            .expect("folders can be made");
        fs::write(path, bytes).expect("files can be written");
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).expect("text")
    }

    /// The binary in this folder. Rasterised pictures are shared between tests: they are keyed by content.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_demotic"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env(
                "XDG_CACHE_HOME",
                concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"),
            )
            .env_remove("RUST_BACKTRACE")
            .env_remove("COLUMNS")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        said(self.command(arguments))
    }

    /// Trains on flex.
    pub(crate) fn train(&self, arguments: &[&str]) -> Said {
        self.run(&[&["train", "--device", "flex"], arguments].concat())
    }

    /// Every file below the folder with its bytes; a lock says nothing.
    pub(crate) fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        contents(self.folder.path())
    }

    /// Holds that a command refuses and leaves every file as it was.
    #[track_caller]
    pub(crate) fn refuses(&self, arguments: &[&str], code: i32, expected: &str) {
        let before = self.contents();
        self.run(arguments).refused(code, expected);
        assert!(before == self.contents(), "{arguments:?} changed files");
    }

    /// A copy of a small run on [`few_emoji`], under `run`: trained once for all tests.
    pub(crate) fn with_run() -> Self {
        static RUN: OnceLock<BTreeMap<PathBuf, Vec<u8>>> = OnceLock::new();
        Self::of_few_emoji().with(&RUN)
    }

    /// As [`Self::with_run`], on discs.
    pub(crate) fn with_run_on_discs() -> Self {
        static RUN: OnceLock<BTreeMap<PathBuf, Vec<u8>>> = OnceLock::new();
        Self::of_discs().with(&RUN)
    }

    /// Trains `tiny.toml` where nobody has yet; copies the run.
    fn with(self, run: &OnceLock<BTreeMap<PathBuf, Vec<u8>>>) -> Self {
        let mut is_here = false;
        let run = run.get_or_init(|| {
            is_here = true;
            self.train(&["tiny.toml", "--out", "run"]).done();
            contents(&self.path("run"))
        });
        if !is_here {
            for (name, bytes) in run {
                self.write(&format!("run/{}", name.display()), bytes);
            }
        }
        self
    }

    /// A folder of two styles, `filled` and `hollow` discs of one size a name, as PNG.
    pub(crate) fn discs(&self, folder: &str, names: usize) {
        for i in 0..names {
            let radius = 2.0 + 5.0 * i as f32 / names as f32;
            for (style, is_filled) in [("filled", true), ("hollow", false)] {
                let disc = RgbaImage::from_fn(16, 16, |x, y| {
                    let distance = (x as f32 - 7.5).hypot(y as f32 - 7.5);
                    let is_ink = distance <= radius && (is_filled || distance > radius - 1.5);
                    if is_ink {
                        Rgba([200, 40 + (i % 200) as u8, 30, 255])
                    } else {
                        Rgba([0; 4])
                    }
                });
                self.write(&format!("{folder}/{style}/disc-{i:02}.png"), &png(&disc));
            }
        }
    }
}

/// The words of a command line, none of which holds a space.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

pub(crate) fn said(mut command: Command) -> Said {
    let output = command.output().expect("the binary starts");
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name != ".lock") {
                let name = path
                    .strip_prefix(folder)
                    .expect("below the folder")
                    .to_owned();
                // A link that leads nowhere is where it leads.
                let led =
                    || fs::read_link(&path).map(|to| to.into_os_string().into_encoded_bytes());
                let bytes = fs::read(&path).or_else(|_| led());
                found.insert(name, bytes.expect("a file"));
            }
        }
    }
    found
}

pub(crate) fn png(picture: &RgbaImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .expect("PNG can be encoded");
    bytes.into_inner()
}

/// A picture with something at every scale and in every colour, as a photograph has it.
pub(crate) fn photo_like(side: u32) -> RgbaImage {
    // A hash of the place: any values that are spread do.
    let noise = |x: u32, y: u32, lane: u32| {
        let mixed = x.wrapping_mul(0x9e37_79b1)
            ^ y.wrapping_mul(0x85eb_ca77)
            ^ lane.wrapping_mul(0xc2b2_ae3d);
        let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x2c1b_3c6d);
        let mixed = (mixed ^ mixed >> 12).wrapping_mul(0x297a_2d39);
        (mixed ^ mixed >> 15) % 64
    };
    RgbaImage::from_fn(side, side, |x, y| {
        let [red, green, blue] = [1, 2, 3].map(|lane| {
            let parts = [(32, lane), (8, lane + 3), (2, lane + 6)];
            let parts = parts.map(|(cell, lane)| noise(x / cell, y / cell, lane));
            (30 + parts.iter().sum::<u32>()) as u8
        });
        Rgba([red, green, blue, 255])
    })
}

/// A whole PNG that states another size in its header, checksum and all: what a decompression bomb looks
/// like.
pub(crate) fn png_that_claims(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = png(&RgbaImage::new(1, 1));
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&bytes[12..29]).to_be_bytes();
    bytes[29..33].copy_from_slice(&checksum);
    bytes
}

/// The checksum of a PNG's chunk: of its kind and content.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}
