//! Memory that reading takes, of the real binary: files of a few bytes that stand for much, each refused or
//! drawn within the bounds of docs/pictures.md.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;

use crate::corpus::{
    small_picture, tiff, vast_bitmap, vast_gif, vast_jpeg, vast_webp, with_profile, zipped,
};
use crate::support::{Place, Said, png_that_claims};

/// Most memory that the process may have at any moment.
const MOST_MIB: u64 = 256;
/// Most address space, in KiB: an allocation beyond it fails, however short it is held.
const SPACE_KIB: u64 = 2 << 20;

/// A data set of small pictures in two styles, and files beside them.
fn set(files: &[(&str, Vec<u8>)]) -> Place {
    let place = Place::new();
    for style in ["one", "two"] {
        for name in ["f1", "f2", "f4"] {
            place.write(&format!("set/{style}/{name}.png"), &small_picture());
        }
    }
    for (name, bytes) in files {
        place.write(&format!("set/one/{name}"), bytes);
    }
    place
}

/// What `data inspect` says of the set, and its highest resident memory in MiB.
fn inspected(place: &Place, size_px: u32) -> (Said, u64) {
    let binary = env!("CARGO_BIN_EXE_demotic");
    let line =
        format!("ulimit -v {SPACE_KIB}; exec '{binary}' data inspect --size-px {size_px} set");
    // One picture after the other, so that what two of them take does not add up.
    let mut child = Command::new("sh")
        .args(["-c", &line])
        .current_dir(place.path("."))
        .env("XDG_CACHE_HOME", place.path("cache"))
        .env("RAYON_NUM_THREADS", "1")
        .env("MALLOC_ARENA_MAX", "1")
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell");
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    // The system keeps the highest value itself: what is missed is the last millisecond alone.
    while child.try_wait().expect("a child").is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        peak_kib = peak_kib.max(kib.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output().expect("it ended");
    let said = Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert!(peak_kib > 0, "it was looked at: {said:#?}");
    (said, peak_kib >> 10)
}

/// Holds that each file is refused for its reason, and what that takes.
#[track_caller]
fn refuses_within_bounds(files: &[(&str, &str, Vec<u8>)]) {
    let beside: Vec<(&str, Vec<u8>)> = files
        .iter()
        .map(|(name, _, bytes)| (*name, bytes.clone()))
        .collect();
    let (said, peak_mib) = inspected(&set(&beside), 64);
    said.refused(2, &format!("{} pictures cannot be read", files.len()));
    for (name, why, _) in files {
        let line = said.err.lines().find(|line| line.ends_with(name));
        assert!(
            line.is_some_and(|line| line.contains(why)),
            "expected `{why}` of {name}: {said:#?}"
        );
    }
    assert!(peak_mib <= MOST_MIB, "{peak_mib} MiB");
}

fn drawing(content: &str) -> Vec<u8> {
    let root = r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">"#;
    format!("{root}{content}</svg>").into_bytes()
}

#[test]
fn headers_of_billions_of_pixels_take_no_memory() {
    let vast = png_that_claims(60_000, 60_000);
    let inside = base64::engine::general_purpose::STANDARD.encode(&vast);
    let inside = format!(r#"<image width="9" href="data:image/png;base64,{inside}"/>"#);
    let large = "60000 x 60000 pixels";
    refuses_within_bounds(&[
        ("png.png", large, vast),
        ("gif.gif", large, vast_gif()),
        ("bmp.bmp", large, vast_bitmap()),
        ("tif.tif", large, tiff(60_000, 8)),
        ("jpg.jpg", large, vast_jpeg()),
        ("webp.webp", "16383 x 16383 pixels", vast_webp()),
        ("svg.svg", large, drawing(&inside)),
    ]);
}

#[test]
fn nodes_profiles_and_what_is_packed_are_held_within_bounds() {
    let whole = small_picture();
    let nodes = "<g/>".repeat(1_000_000);
    // More than may be held in all, packed into a megabyte or two.
    let bomb = vec![7_u8; 320 << 20];
    let profile = "its colour profile unpacks to more than 4194304 bytes";
    refuses_within_bounds(&[
        ("nodes.svg", "nodes limit reached", drawing(&nodes)),
        (
            "profile.png",
            profile,
            with_profile(&whole, &bomb[..10 << 20]),
        ),
        ("bomb.png", profile, with_profile(&whole, &bomb)),
        (
            "packed.svgz",
            "a drawing of more than",
            zipped(&bomb[..64 << 20]),
        ),
    ]);
}

#[test]
fn filters_and_patterns_are_drawn_within_bounds_or_refused() {
    let filtered = |steps: &str, region: &str| {
        drawing(&format!(
            r#"<filter id="f" {region}>{steps}</filter><path d="M0 0h9v9z" filter="url(#f)"/>"#
        ))
    };
    let tile = r#"<pattern id="p" patternUnits="userSpaceOnUse" width="1e6" height="1e6"><path d="M0 0h9v9z"/></pattern><path d="M0 0h9v9z" fill="url(#p)"/>"#;
    let beyond = r#"x="-1e12" y="0" width="1e13" height="9""#;
    refuses_within_bounds(&[
        ("tile.svg", "pixels at once", drawing(tile)),
        (
            "noise.svg",
            "the work of more than",
            filtered(r#"<feTurbulence numOctaves="4000000000"/>"#, ""),
        ),
        (
            "reach.svg",
            "reach beyond what can be drawn",
            filtered(&format!("<feFlood {beyond}/>"), ""),
        ),
    ]);
    // A region of millions of pixels a side is cut to five times the picture's sides, and drawn.
    let region = r#"filterUnits="userSpaceOnUse" x="-1e6" y="-1e6" width="2e6" height="2e6""#;
    let blur = r#"<feGaussianBlur stdDeviation=".1"/><feOffset dx=".1"/><feFlood/>"#;
    let place = set(&[("b.svg", filtered(blur, region))]);
    let (said, peak_mib) = inspected(&place, 256);
    said.done();
    assert!(peak_mib <= MOST_MIB, "{peak_mib} MiB");
}
