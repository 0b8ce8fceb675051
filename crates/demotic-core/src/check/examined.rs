//! Graphics processors that the doctor has found right, by device, driver and build, kept in a file: a
//! training has each examined once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::data::CachePolicy;
use crate::device::{Adapter, Chosen, adapter_of};
use crate::files::write_whole;

/// A graphics processor that this build was not found right on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unexamined {
    /// Where it is kept once it was; none where nothing is kept.
    file: Option<PathBuf>,
    /// Device, interface and driver.
    device: String,
    build: String,
}

/// By device, the build that was found right on it last.
type File = BTreeMap<String, String>;

/// What is to be examined before this build trains on a device. Nothing for the processor, a software adapter
/// (an hour's work that says nothing of a card), a device of another machine or of another backend than wgpu,
/// and one that was found right before.
pub fn unexamined(chosen: &Chosen) -> Option<Unexamined> {
    let adapter = adapter_of(&chosen.device).filter(|adapter| adapter.kind != "software")?;
    Unexamined::of(&adapter, CachePolicy::Platform.examined_file(), build())
}

/// This program's version with its file's size and date: whatever was compiled into it.
fn build() -> String {
    let file = std::env::current_exe().and_then(std::fs::metadata).ok();
    let bytes = file.as_ref().map_or(0, std::fs::Metadata::len);
    let secs = file
        .and_then(|file| file.modified().ok()?.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_secs());
    let version = env!("CARGO_PKG_VERSION");
    format!("demotic {version}, {bytes} bytes, made at {secs}")
}

impl Unexamined {
    fn of(adapter: &Adapter, file: Option<PathBuf>, build: String) -> Option<Self> {
        let device = adapter.identity();
        let known = file.as_deref().map(read).unwrap_or_default();
        let is_known = known.get(&device) == Some(&build);
        (!is_known).then_some(Self {
            file,
            device,
            build,
        })
    }

    /// Keeps that it was found right. Where that cannot be written, the next training has it examined again.
    pub fn found_right(&self) {
        let Some(path) = &self.file else { return };
        let mut known = read(path);
        known.insert(self.device.clone(), self.build.clone());
        let text = serde_json::to_string_pretty(&known).expect("a map of words is JSON");
        if let Some(folder) = path.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        let _ = write_whole(path, text.as_bytes());
    }
}

/// The file is a cache: a damaged one is none.
fn read(path: &Path) -> File {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::open;

    fn card(name: &str, driver: &str) -> Adapter {
        Adapter {
            name: name.to_owned(),
            driver: driver.to_owned(),
            ..Adapter::of_kind("discrete")
        }
    }

    #[test]
    fn a_card_is_examined_once_by_driver_and_build_and_again_where_the_file_is_lost() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("new/examined.json");
        let of = |driver: &str, build: &str| {
            Unexamined::of(&card("Card", driver), Some(file.clone()), build.to_owned())
        };
        let first = of("1.0", "a").expect("nobody has seen it");
        assert!(of("1.0", "a").is_some(), "it was not found right yet");
        first.found_right();
        assert_eq!(of("1.0", "a"), None);
        assert!(of("1.1", "a").is_some() && of("1.0", "b").is_some());
        let other = Unexamined::of(&card("Other", "1.0"), Some(file.clone()), "a".to_owned());
        other.expect("another card").found_right();
        assert_eq!(of("1.0", "a"), None, "both are known");
        // A newer build takes the place of the one before.
        of("1.0", "b").expect("a newer build").found_right();
        assert_eq!(of("1.0", "b"), None);
        assert!(of("1.0", "a").is_some());
        std::fs::write(&file, "{").expect("it can be written");
        assert!(of("1.0", "b").is_some(), "a damaged file is none");
        // Where nothing can be kept.
        let nowhere = Unexamined::of(&card("Card", "1.0"), None, "a".to_owned());
        nowhere.expect("never known").found_right();
    }

    #[test]
    fn the_processor_needs_no_examination_and_a_build_has_one_name() {
        let flex = open("flex").expect("flex opens");
        assert_eq!(unexamined(&flex), None);
        assert_eq!(build(), build());
        assert!(!build().contains(" 0 bytes"), "{}", build());
    }
}
