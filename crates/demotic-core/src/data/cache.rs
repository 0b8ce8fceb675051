//! Rasterised pictures kept between runs. A cache: nothing depends on it, a damaged file is made anew,
//! failing to write one is no error.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Raised when rasterising changes, so that old pictures are not met again.
pub(crate) const RASTERISER_VERSION: u32 = 4;
/// First bytes of a cache file; the last is the layout's version.
const MAGIC: [u8; 8] = *b"DEMOTIC\x01";
const HEADER_BYTES: usize = 8 + 4 + 4 + 8 + 4;
/// A larger block of pictures is not cached: disks fill quietly.
const MAX_BLOCK_BYTES: usize = 1 << 30;
/// Least recently written blocks go beyond this.
const MAX_CACHE_BYTES: u64 = 4 << 30;
/// Begins the ending of a file that is being written; the process follows.
const PARTIAL: &str = "partial-";
/// A file that has been written for longer belongs to a process that was killed.
const PARTIAL_AGE: Duration = Duration::from_hours(24);

/// Where rasterised pictures are kept between runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CachePolicy {
    /// `$XDG_CACHE_HOME/demotic`, else `~/.cache/demotic` (`%LOCALAPPDATA%\demotic` on Windows,
    /// `~/Library/Caches/demotic` on macOS).
    #[default]
    Platform,
    /// This folder.
    Folder(PathBuf),
    /// Nowhere.
    Off,
}

impl CachePolicy {
    /// The folder for pictures, if there is one.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        self.base().map(|folder| folder.join("pictures"))
    }

    /// The file for what was measured on devices, if there is one.
    pub(crate) fn kernels_file(&self) -> Option<PathBuf> {
        self.base().map(|folder| folder.join("kernels.json"))
    }

    /// The file for which devices were found right, if there is one.
    pub(crate) fn examined_file(&self) -> Option<PathBuf> {
        self.base().map(|folder| folder.join("examined.json"))
    }

    fn base(&self) -> Option<PathBuf> {
        match self {
            Self::Off => None,
            Self::Folder(folder) => Some(folder.clone()),
            Self::Platform => platform_folder(|name| std::env::var_os(name)),
        }
    }
}

fn platform_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    // The XDG specification has relative paths ignored.
    let folder = |name| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = folder("XDG_CACHE_HOME").or_else(|| {
        if cfg!(windows) {
            folder("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            folder("HOME").map(|home| home.join("Library/Caches"))
        } else {
            folder("HOME").map(|home| home.join(".cache"))
        }
    })?;
    Some(base.join("demotic"))
}

/// What a block of pictures is kept under.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockKey {
    /// Hash of the drawings, in order.
    pub(crate) content: u64,
    pub(crate) size_px: u32,
    pub(crate) pictures: usize,
}

impl BlockKey {
    fn file(self, folder: &Path) -> PathBuf {
        folder.join(format!("{:016x}-{}.rgba", self.content, self.size_px))
    }

    fn body_bytes(self) -> usize {
        self.pictures * self.size_px as usize * self.size_px as usize * 4
    }

    fn header(self, checksum: u32) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&RASTERISER_VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&self.size_px.to_le_bytes());
        header[16..24].copy_from_slice(&(self.pictures as u64).to_le_bytes());
        header[24..28].copy_from_slice(&checksum.to_le_bytes());
        header
    }
}

/// The block, if it is there and whole.
pub(crate) fn read(folder: &Path, key: BlockKey) -> Option<Vec<u8>> {
    let mut bytes = std::fs::read(key.file(folder)).ok()?;
    if bytes.len() != HEADER_BYTES + key.body_bytes() {
        return None;
    }
    let checksum = crc32fast::hash(&bytes[HEADER_BYTES..]);
    if bytes[..HEADER_BYTES] != key.header(checksum) {
        return None;
    }
    bytes.drain(..HEADER_BYTES);
    Some(bytes)
}

/// Keeps a block if that is possible: written beside, then renamed, so that two runs do not meet half a file.
pub(crate) fn write(folder: &Path, key: BlockKey, pictures: &[u8]) {
    debug_assert_eq!(pictures.len(), key.body_bytes());
    if pictures.len() > MAX_BLOCK_BYTES {
        return;
    }
    let file = key.file(folder);
    let beside = file.with_extension(format!("{PARTIAL}{}", std::process::id()));
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::File::create(&beside))
        .and_then(|mut out| {
            out.write_all(&key.header(crc32fast::hash(pictures)))?;
            out.write_all(pictures)
        })
        .and_then(|()| std::fs::rename(&beside, &file));
    if written.is_err() {
        // Best effort both times: the pictures themselves are in memory.
        std::fs::remove_file(&beside).ok();
    } else {
        prune(folder, &file);
    }
}

/// Removes the oldest blocks beyond [`MAX_CACHE_BYTES`], never `keep`, and what a process that was killed
/// left half written.
fn prune(folder: &Path, keep: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let now = SystemTime::now();
    let mut files = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(meta) = entry.metadata() else { continue };
        let (true, Ok(modified)) = (meta.is_file(), meta.modified()) else {
            continue;
        };
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        if ending == "rgba" {
            files.push((modified, path, meta.len()));
        } else if ending.starts_with(PARTIAL)
            && now
                .duration_since(modified)
                .is_ok_and(|age| age > PARTIAL_AGE)
        {
            // Best effort: the next block that is written tries again.
            std::fs::remove_file(&path).ok();
        }
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, _, len)| len).sum();
    for (_, path, len) in files {
        if total <= MAX_CACHE_BYTES {
            break;
        }
        if path != keep && std::fs::remove_file(&path).is_ok() {
            total -= len;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platform_folder_follows_the_variables() {
        let with = |set: &'static [(&str, &str)]| {
            platform_folder(move |name| {
                set.iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| OsString::from(value))
            })
        };
        assert_eq!(
            with(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")]),
            Some("/c/demotic".into())
        );
        if cfg!(target_os = "linux") {
            assert_eq!(
                with(&[("XDG_CACHE_HOME", "relative"), ("HOME", "/h")]),
                Some("/h/.cache/demotic".into())
            );
        }
        assert_eq!(with(&[]), None);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_after_a_day() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = |name: &str, hours: u64| {
            let path = folder.path().join(name);
            let file = std::fs::File::create(&path).expect("it can be written");
            file.set_modified(SystemTime::now() - Duration::from_hours(hours))
                .expect("its time can be set");
            path
        };
        let (old, young) = (file("00-2.partial-9", 25), file("01-2.partial-10", 23));
        let mine = file("thesis.txt", 1000);
        let key = BlockKey {
            content: 7,
            size_px: 2,
            pictures: 1,
        };
        write(folder.path(), key, &[1; 16]);
        assert!(!old.exists() && young.exists() && mine.exists());
        assert!(read(folder.path(), key).is_some());
    }

    #[test]
    fn damage_of_any_byte_is_noticed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let key = BlockKey {
            content: 7,
            size_px: 2,
            pictures: 3,
        };
        let pictures: Vec<u8> = (0..48).collect();
        assert_eq!(read(folder.path(), key), None);
        write(folder.path(), key, &pictures);
        assert_eq!(read(folder.path(), key), Some(pictures));
        let file = key.file(folder.path());
        let whole = std::fs::read(&file).expect("the block was written");
        for position in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[position] ^= 1;
            std::fs::write(&file, &damaged).expect("the block can be written");
            assert_eq!(read(folder.path(), key), None, "byte {position}");
        }
        std::fs::write(&file, &whole[..whole.len() - 1]).expect("the block can be written");
        assert_eq!(read(folder.path(), key), None, "cut off");
    }
}
