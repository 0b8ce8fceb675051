//! The readers of the program, given anything: each function holds that a reader answers with a value or an
//! error, and that a value keeps what its documentation promises. What it returns is why the input was
//! refused, for the test of the seeds.
//!
//! The readers are the program's own source files, taken in by path: linking the program itself would build
//! Burn with coverage, an hour for code that reads nothing.

#![allow(
    dead_code,
    unused_imports,
    reason = "only the readers are called here; the program uses the rest"
)]

use std::fmt::Display;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

#[path = "../../crates/demotic-core/src/data/mod.rs"]
mod data;
#[path = "../../crates/demotic-core/src/error/mod.rs"]
mod error;
#[path = "../../crates/demotic-crf/src/hash.rs"]
mod hash;
#[path = "../../crates/demotic-crf/src/number.rs"]
mod number;
#[path = "../../crates/demotic-core/src/rng.rs"]
mod rng;
#[path = "../../crates/demotic-core/src/settings/mod.rs"]
mod settings;
#[path = "../../crates/demotic-core/src/table.rs"]
mod table;

// The settings name a choice of the CRF's crate, `demotic_crf::Directions`: here it is one of this crate.
extern crate self as demotic_crf;
pub use crf::Directions;

/// Phrases without the parts that look at pictures.
#[path = "."]
mod phrase {
    #[path = "../../crates/demotic-core/src/phrase/import.rs"]
    pub(crate) mod import;
    #[path = "../../crates/demotic-core/src/phrase/kaomoji.rs"]
    pub(crate) mod kaomoji;
    #[path = "../../crates/demotic-core/src/phrase/own.rs"]
    pub(crate) mod own;
    #[path = "../../crates/demotic-core/src/phrase/table.rs"]
    pub(crate) mod table;
    #[path = "../../crates/demotic-core/src/phrase/text.rs"]
    pub(crate) mod text;

    pub(crate) fn emoji_ideas() -> Result<Vec<table::Idea>, crate::data::DataError> {
        Ok(Vec::new())
    }

    pub(crate) fn built_in(
        ideas: Vec<table::Idea>,
    ) -> Result<table::Phrases, crate::data::DataError> {
        Ok(table::Phrases::of_ideas(ideas))
    }
}

/// What `build.rs` took out of files that also hold networks.
mod crf {
    include!(concat!(env!("OUT_DIR"), "/crf.rs"));
}
mod train {
    include!(concat!(env!("OUT_DIR"), "/checkpoint.rs"));

    /// What this build writes and reads.
    pub(crate) const FORMAT_TODAY: u32 = FORMAT;
}

use data::Picture;

/// Named in messages.
const ORIGIN: &str = "input";
/// Most pixels of a picture that is also resampled: that part is no reader.
const RESAMPLED_PX: u64 = 1 << 18;

/// `index.json` of a data set.
pub fn index(bytes: &[u8]) -> Result<(), String> {
    let index = data::index::Index::parse(bytes, Path::new(ORIGIN)).map_err(message)?;
    for style in &index.styles {
        let stays = Path::new(&style.file)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        assert!(stays, "{:?} leads out of the folder", style.file);
    }
    let text = index.to_json().expect("what was read can be written");
    let again = data::index::Index::parse(text.as_bytes(), Path::new(ORIGIN));
    assert!(
        again.is_ok_and(|again| again == index),
        "it reads back as itself"
    );
    Ok(())
}

/// PNG, JPEG (also of inks), WebP, GIF, BMP and TIFF, with colour profiles.
pub fn picture(bytes: &[u8]) -> Result<(), String> {
    let picture = Picture::decode(bytes, Path::new(ORIGIN)).map_err(message)?;
    whole(&picture);
    let pixels = u64::from(picture.width_px) * u64::from(picture.height_px);
    assert!(pixels <= data::MAX_PICTURE_PIXELS);
    if pixels <= RESAMPLED_PX {
        let square = picture.fit(16);
        whole(&square);
        assert_eq!((square.width_px, square.height_px), (16, 16));
        assert!(
            square
                .compose([255; 3])
                .iter()
                .all(|v| (-1.001..=1.001).contains(v))
        );
        assert_eq!(picture.straight_rgba().len(), picture.premultiplied.len());
    }
    Ok(())
}

/// A colour profile on a picture of four pixels: in grey, RGB or inks, as the first byte says. In the files
/// that `picture` reads, profiles are packed, and mutations break the packing.
pub fn profile(bytes: &[u8]) -> Result<(), String> {
    let (kind, rest) = bytes.split_first().ok_or("nothing")?;
    let tiff = match kind % 3 {
        0 => with_profile(1, 1, rest),
        1 => with_profile(2, 3, rest),
        _ => with_profile(5, 4, rest),
    };
    let picture = Picture::decode(&tiff, Path::new(ORIGIN)).map_err(message)?;
    whole(&picture);
    assert_eq!((picture.width_px, picture.height_px), (2, 2));
    assert!(
        picture
            .premultiplied
            .iter()
            .skip(3)
            .step_by(4)
            .all(|alpha| *alpha == 255)
    );
    Ok(())
}

/// SVG, with its text and the pictures inside it; and what of it is reported as not drawn.
pub fn drawing(bytes: &[u8]) -> Result<(), String> {
    assert!(data::svg_text::not_drawn(bytes) < 1 << 5);
    whole(&Picture::draw(bytes, 32, settings::Fit::Auto, Path::new(ORIGIN)).map_err(message)?);
    Ok(())
}

/// npm archives. The first byte says what the rest is: the archive itself, the tar archive in it, or the
/// files in that, since no mutation finds the checksums of gzip and tar.
pub fn package(bytes: &[u8]) -> Result<(), String> {
    let (kind, rest) = bytes.split_first().ok_or("nothing")?;
    let archive = match kind % 3 {
        0 => rest.to_vec(),
        1 => zipped(rest),
        _ => zipped(&tarred(rest)),
    };
    let packages = data::import::read_packages(&archive[..], Path::new(ORIGIN)).map_err(message)?;
    assert!(
        !packages.is_empty(),
        "an archive that is read holds something"
    );
    Ok(())
}

/// Phrases: a folder's own list after `0`, the source of an import after `1` (a list, an npm archive, a
/// wheel), an unpacked table after `2`, the files of a wheel after `3`, as [`package`] has those of an
/// archive; the list in it is packed here.
pub fn phrases(bytes: &[u8]) -> Result<(), String> {
    let (kind, rest) = bytes.split_first().ok_or("nothing")?;
    let origin = Path::new(ORIGIN);
    match kind % 4 {
        0 => {
            let place = |name: &str| ["cat", "dog"].iter().position(|known| *known == name);
            let found = phrase::own::read_own(rest, origin, place).map_err(message)?;
            for phrase in &found {
                assert!(phrase.idea < 2 && !phrase::text::fold(&phrase.text).is_empty());
                assert!(phrase.text.chars().count() <= phrase::text::MAX_PHRASE_CHARS);
            }
        }
        1 => drop(phrase::import::read_source(rest, origin).map_err(message)?),
        3 => drop(phrase::import::read_source(&wheel(rest), origin).map_err(message)?),
        _ => {
            let idea = |key: &str| phrase::table::Idea {
                key: key.into(),
                name: key.into(),
            };
            let ideas = || vec![idea("cat"), idea("dog")];
            let read = |bytes: &[u8]| phrase::table::Phrases::read_table(bytes, ideas(), origin);
            let table = read(&zipped(rest)).map_err(message)?;
            let again = read(&zipped(table.to_table().as_bytes())).expect("what was written reads");
            assert_eq!(again.phrases(), table.phrases(), "it reads back as itself");
        }
    }
    Ok(())
}

/// A configuration file, and `--set` assignments after it, each begun by SOH.
pub fn configuration(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(message)?;
    let mut parts = text.split('\x01').map(str::to_owned);
    let file = parts.next();
    let assignments: Vec<String> = parts.collect();
    let config = settings::Config::resolve(file.as_deref(), &assignments).map_err(message)?;
    let again = settings::Config::resolve(Some(&config.to_toml(true)), &[]);
    assert!(
        again.is_ok_and(|again| again == config),
        "it reads back as itself"
    );
    Ok(())
}

/// A checkpoint: its description, SOH, its weights. What the description states of the weights and of itself
/// is made true, since no mutation finds a checksum; one without a format gets today's, so that seeds need
/// not follow it.
pub fn checkpoint(bytes: &[u8]) -> Result<(), String> {
    let end = bytes
        .iter()
        .position(|byte| *byte == 1)
        .unwrap_or(bytes.len());
    let (description, weights) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let mut description = description.to_vec();
    if let Ok(serde_json::Value::Object(mut map)) = serde_json::from_slice(&description) {
        map.entry("format").or_insert(train::FORMAT_TODAY.into());
        map.insert("tensors_bytes".into(), weights.len().into());
        let checksum = format!("{:016x}", data::fnv1a64(weights));
        map.insert("tensors_fnv1a64".into(), checksum.into());
        let open = "0".repeat(16);
        map.insert("description_fnv1a64".into(), open.clone().into());
        let text = serde_json::to_string(&map).expect("a map is JSON");
        let sum = format!("{:016x}", data::fnv1a64(text.as_bytes()));
        description = match text.rfind(&open) {
            Some(at) => format!("{}{sum}{}", &text[..at], &text[at + 16..]).into_bytes(),
            None => text.into_bytes(),
        };
    }
    let folder = std::env::temp_dir().join(format!("demotic-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("temporary folders can be made");
    let path = folder.join("step-00000001.json");
    std::fs::write(&path, &description).expect("temporary files can be written");
    std::fs::write(path.with_extension("safetensors"), weights)
        .expect("temporary files can be written");
    let checkpoint = train::Checkpoint::load(&path).map_err(message)?;
    for (name, array) in checkpoint.arrays() {
        let values: usize = array.shape.iter().product();
        assert_eq!(values, array.values.len(), "{name}");
    }
    Ok(())
}

fn message(error: impl Display) -> String {
    let message = error.to_string();
    assert!(!message.is_empty(), "an error says something");
    message
}

/// Colour within alpha, and as many bytes as the sides say.
fn whole(picture: &Picture) {
    let pixels = picture.width_px as usize * picture.height_px as usize;
    assert_eq!(picture.premultiplied.len(), pixels * 4);
    let pixels = picture.premultiplied.as_chunks::<4>().0;
    assert!(pixels.iter().all(|p| p[..3].iter().all(|c| *c <= p[3])));
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut zip = GzEncoder::new(Vec::new(), Compression::none());
    zip.write_all(bytes).expect("memory takes everything");
    zip.finish().expect("memory takes everything")
}

/// Files one after the other, each `name NUL content SOH`.
fn tarred(bytes: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in bytes.split(|byte| *byte == 1) {
        let mut parts = file.splitn(2, |byte| *byte == 0);
        let (name, content) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let place = &mut header.as_old_mut().name;
        let len = name.len().min(place.len());
        place[..len].copy_from_slice(&name[..len]);
        header.set_cksum();
        archive
            .append(&header, content)
            .expect("memory takes everything");
    }
    archive.into_inner().expect("memory takes everything")
}

/// A zip archive of files one after the other, each `name NUL content SOH`; what ends in `.gz` is packed.
fn wheel(bytes: &[u8]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::<u8>::new(), Vec::<u8>::new());
    let mut count = 0_u16;
    for file in bytes.split(|byte| *byte == 1).take(64) {
        let mut parts = file.splitn(2, |byte| *byte == 0);
        let name = parts.next().unwrap_or_default();
        let name = &name[..name.len().min(100)];
        let mut content = parts.next().unwrap_or_default().to_vec();
        if name.ends_with(b".gz") {
            content = zipped(&content);
        }
        // Version, no flags, not packed, no time; checksum, both sizes, lengths of name and extra field.
        let mut about = b"\x14\0\0\0\0\0\0\0\0\0".to_vec();
        about.extend(crc32fast::hash(&content).to_le_bytes());
        about.extend((content.len() as u32).to_le_bytes().repeat(2));
        about.extend((name.len() as u32).to_le_bytes());
        let start = (archive.len() as u32).to_le_bytes();
        archive.extend([b"PK\x03\x04", &about[..], name, &content].concat());
        directory.extend([b"PK\x01\x02\x14\0", &about[..], &[0; 10], &start, name].concat());
        count += 1;
    }
    let (size, start) = (directory.len() as u32, archive.len() as u32);
    archive.extend(directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend(count.to_le_bytes().repeat(2));
    archive.extend([size.to_le_bytes(), start.to_le_bytes()].concat());
    archive.extend([0; 2]);
    archive
}

/// A TIFF of 2 x 2 pixels, not packed, with this colour profile.
fn with_profile(kind: u32, samples: u32, profile: &[u8]) -> Vec<u8> {
    const BYTES: u16 = 7;
    const SHORT: u16 = 3;
    const LONG: u16 = 4;
    // Behind the directory of ten entries: bits a sample, pixels, profile.
    let bits = 8 + 2 + 10 * 12 + 4;
    let (pixels, size) = (bits + 8, 4 * samples);
    let entries = [
        (256, LONG, 1, 2),
        (257, LONG, 1, 2),
        (258, SHORT, samples, if samples == 1 { 8 } else { bits }),
        (259, SHORT, 1, 1),
        (262, SHORT, 1, kind),
        (273, LONG, 1, pixels),
        (277, SHORT, 1, samples),
        (278, LONG, 1, 2),
        (279, LONG, 1, size),
        (34675, BYTES, profile.len() as u32, pixels + size),
    ];
    let mut file = b"II*\0\x08\0\0\0\x0a\0".to_vec();
    for (tag, kind, count, value) in entries {
        file.extend([u16::to_le_bytes(tag), kind.to_le_bytes()].concat());
        file.extend([u32::to_le_bytes(count), value.to_le_bytes()].concat());
    }
    file.extend([0; 4]);
    file.extend([8_u16; 4].map(u16::to_le_bytes).concat());
    file.extend((0..size).map(|at| (16 * at) as u8));
    file.extend(profile);
    file
}
