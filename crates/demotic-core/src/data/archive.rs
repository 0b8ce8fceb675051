//! Gzipped tar archives: read as hostile input, under limits; written with the same bytes every time.

use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};

use super::DataError;

/// Most bytes one entry may unpack to; the largest known is an index of icons of 26 MB.
pub(crate) const MAX_ENTRY_BYTES: u64 = 256 << 20;
/// Most bytes a whole archive may unpack to: a bomb stops here.
pub(crate) const MAX_ARCHIVE_BYTES: u64 = 8 << 30;
/// Most entries; the largest known package has 18,000.
pub(crate) const MAX_ENTRIES: usize = 1_000_000;

/// Reads the files of a gzipped tar archive for which `wanted` holds, in the archive's order.
///
/// Entry names are only ever compared and shown, never used as a path to write to. Links and devices are skipped.
/// `label` names the archive in messages.
///
/// # Errors
/// [`DataError::Archive`] for a damaged, cut-off or oversized archive, an entry name that is absolute, goes up (`..`)
/// or is not UTF-8.
pub(crate) fn read_tar_gz(
    reader: impl Read,
    label: &Path,
    mut wanted: impl FnMut(&str) -> bool,
    mut visit: impl FnMut(String, Vec<u8>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let fail = |problem: String| DataError::Archive {
        problem,
        path: label.to_path_buf(),
    };
    let damaged = |source: std::io::Error| {
        fail(format!(
            "not a complete gzipped tar archive ({source}); fetch it again with `npm pack`"
        ))
    };
    let limited = Limited {
        inner: MultiGzDecoder::new(reader),
        left: MAX_ARCHIVE_BYTES,
    };
    let mut archive = tar::Archive::new(limited);
    let mut entries = 0_usize;
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        entries += 1;
        if entries > MAX_ENTRIES {
            return Err(fail(format!("more than {MAX_ENTRIES} entries")));
        }
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let bytes = entry.path_bytes();
        let name = std::str::from_utf8(&bytes)
            .map_err(|source| fail(format!("an entry name is not UTF-8 ({source})")))?
            .replace('\\', "/");
        if name.starts_with('/') || name.split('/').any(|part| part == "..") {
            return Err(fail(format!(
                "entry `{name}` points outside the archive: not a package"
            )));
        }
        if !wanted(&name) {
            continue;
        }
        let size = entry.size();
        if size > MAX_ENTRY_BYTES {
            return Err(fail(format!(
                "entry `{name}` has {size} bytes; at most {MAX_ENTRY_BYTES} are read"
            )));
        }
        let mut content = Vec::with_capacity(size.min(1 << 20) as usize);
        entry.read_to_end(&mut content).map_err(damaged)?;
        if content.len() as u64 != size {
            return Err(fail(format!(
                "entry `{name}` is cut off: {} of {size} bytes; fetch the archive again",
                content.len()
            )));
        }
        visit(name, content)?;
    }
    // A gzip checksum stands at the very end: read up to it, so that damage anywhere is noticed.
    let mut rest = archive.into_inner();
    std::io::copy(&mut rest, &mut std::io::sink()).map_err(damaged)?;
    Ok(())
}

/// Stops a decompression bomb.
struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            std::io::Error::other(format!("it unpacks to more than {MAX_ARCHIVE_BYTES} bytes"))
        })?;
        Ok(count)
    }
}

/// Writes files as a gzipped tar archive. The bytes depend on names and contents alone: no times, no owners.
///
/// # Errors
/// What `output` reports, and names that tar cannot hold.
pub(crate) fn write_tar_gz<W: std::io::Write>(
    output: W,
    files: impl IntoIterator<Item = Result<(String, Vec<u8>), DataError>>,
    path: &Path,
) -> Result<W, DataError> {
    let encoder = GzBuilder::new()
        .mtime(0)
        .operating_system(255)
        .write(output, Compression::best());
    let mut archive = tar::Builder::new(encoder);
    for file in files {
        let (name, content) = file?;
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        archive
            .append_data(&mut header, &name, content.as_slice())
            .map_err(DataError::io("write a drawing to", path))?;
    }
    archive
        .into_inner()
        .and_then(flate2::write::GzEncoder::finish)
        .map_err(DataError::io("write", path))
}
