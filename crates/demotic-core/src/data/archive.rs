//! Gzipped tar archives: read as hostile input, under limits; written with the same bytes every time.

use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};

use super::DataError;
use crate::number::Whole;

/// Most bytes one entry may unpack to; the largest known is an index of icons of 26 MB.
pub(crate) const MAX_ENTRY_BYTES: u64 = 256 << 20;
/// Most bytes a whole archive may unpack to: a bomb stops here.
const MAX_ARCHIVE_BYTES: u64 = 8 << 30;
/// Most entries; the largest known package has 18,000.
pub(crate) const MAX_ENTRIES: usize = 1_000_000;
/// Most bytes of a header that says something of the entry after it, such as a name of more than 100 letters.
const MAX_HEADER_BYTES: u64 = 64 << 10;

/// Reads the files of a gzipped tar archive for which `wanted` holds, in the archive's order; all of them
/// together may have `max_bytes`.
///
/// Entry names are only ever compared and shown, never used as a path to write to. Links and devices are
/// skipped. `label` names the archive in messages.
///
/// # Errors
/// [`DataError::Archive`] for a damaged, cut-off or oversized archive, an entry name that is absolute, goes
/// up (`..`) or is not UTF-8.
pub(crate) fn read_tar_gz(
    reader: impl Read,
    label: &Path,
    max_bytes: u64,
    wanted: impl FnMut(&str) -> bool,
    visit: impl FnMut(String, Vec<u8>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let unpacked = Limited::new(MultiGzDecoder::new(reader), MAX_ARCHIVE_BYTES);
    read_tar(unpacked, label, max_bytes, wanted, visit)
}

/// [`read_tar_gz`] of what is unpacked.
fn read_tar(
    unpacked: Limited<impl Read>,
    label: &Path,
    max_bytes: u64,
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
    let mut archive = tar::Archive::new(unpacked);
    let mut entries = 0_usize;
    let mut kept = 0;
    // What header entries said of the entry after them.
    let (mut long_name, mut stated_size) = (None, None);
    // Raw: the library would read long names and extended headers whole, whatever size they claim.
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        let mut entry = entry.map_err(damaged)?;
        entries += 1;
        if entries > MAX_ENTRIES {
            return Err(fail(format!("more than {MAX_ENTRIES} entries")));
        }
        let (kind, size) = (entry.header().entry_type(), entry.size());
        if kind.is_gnu_longname() || kind.is_pax_local_extensions() {
            if size > MAX_HEADER_BYTES {
                return Err(fail(format!(
                    "a header has {size} bytes; at most {MAX_HEADER_BYTES} are read"
                )));
            }
            let mut header = Vec::new();
            entry.read_to_end(&mut header).map_err(damaged)?;
            if kind.is_gnu_longname() {
                let end = header.iter().position(|byte| *byte == 0);
                header.truncate(end.unwrap_or(header.len()));
                long_name = Some(header);
                continue;
            }
            for extension in tar::PaxExtensions::new(&header) {
                let extension = extension.map_err(damaged)?;
                match extension.key_bytes() {
                    b"path" => long_name = Some(extension.value_bytes().to_vec()),
                    b"size" => stated_size = Some(extension.value_bytes().to_vec()),
                    _ => {}
                }
            }
            continue;
        }
        if kind.is_gnu_longlink() || kind.is_pax_global_extensions() {
            continue;
        }
        let bytes = long_name
            .take()
            .unwrap_or_else(|| entry.path_bytes().into_owned());
        // It may repeat the size; another one is for entries above 8 GiB, or meant to be read in two ways.
        let stated = stated_size.take();
        if stated.is_some_and(|stated| stated != size.to_string().as_bytes()) {
            return Err(fail(format!(
                "an extended header states another size than the {size} bytes of its entry"
            )));
        }
        if !kind.is_file() {
            continue;
        }
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
        if size > MAX_ENTRY_BYTES {
            return Err(fail(format!(
                "entry `{name}` has {size} bytes; at most {MAX_ENTRY_BYTES} are read"
            )));
        }
        kept += size;
        if kept > max_bytes {
            return Err(fail(format!(
                "its files have more than {max_bytes} bytes together, with entry `{name}`"
            )));
        }
        let mut content = Vec::with_capacity(size.min(1 << 20).to_usize());
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
    most: u64,
}

impl<R> Limited<R> {
    fn new(inner: R, most: u64) -> Self {
        Self {
            inner,
            left: most,
            most,
        }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            std::io::Error::other(format!("it unpacks to more than {} bytes", self.most))
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Names and lengths of what is read, or the message.
    fn read(bytes: &[u8], max_bytes: u64) -> Result<Vec<(String, usize)>, String> {
        let mut found = Vec::new();
        let visit = |name, content: Vec<u8>| {
            found.push((name, content.len()));
            Ok(())
        };
        read_tar_gz(bytes, Path::new("a.tgz"), max_bytes, |_| true, visit)
            .map_err(|e| e.to_string())?;
        Ok(found)
    }

    fn zipped(tar: &[u8]) -> Vec<u8> {
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
        std::io::Write::write_all(&mut zip, tar).expect("memory takes everything");
        zip.finish().expect("memory takes everything")
    }

    /// An extended header, then a file of 3 bytes, then another of 4.
    fn extended(extensions: &[(&str, &str)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        archive
            .append_pax_extensions(
                extensions
                    .iter()
                    .map(|(key, value)| (*key, value.as_bytes())),
            )
            .expect("memory takes everything");
        for size in [3, 4] {
            archive
                .append(
                    &header(tar::EntryType::Regular, size),
                    &[0; 4][..size.to_usize()],
                )
                .expect("memory takes everything");
        }
        zipped(&archive.into_inner().expect("memory takes everything"))
    }

    fn header(kind: tar::EntryType, size: u64) -> tar::Header {
        let mut header = tar::Header::new_ustar();
        header.set_path("package/a").expect("a short name");
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_cksum();
        header
    }

    #[test]
    fn long_names_are_read_in_both_forms() {
        let name = format!("package/{}.svg", "n".repeat(180));
        let written = write_tar_gz(Vec::new(), [Ok((name.clone(), vec![7; 9]))], Path::new("a"))
            .expect("it can be written");
        assert_eq!(read(&written, 100), Ok(vec![(name.clone(), 9)]));

        // The extended header holds for one entry alone; npm's own archives repeat the size in it.
        let bytes = extended(&[("mtime", "1.5"), ("path", &name), ("size", "3")]);
        let both = vec![(name, 3), ("package/a".to_owned(), 4)];
        assert_eq!(read(&bytes, 7), Ok(both));
        let refused = read(&bytes, 6).expect_err("seven bytes");
        assert!(refused.contains("more than 6 bytes together"), "{refused}");
        let refused = read(&extended(&[("size", "512")]), 7).expect_err("two sizes");
        assert!(
            refused.contains("another size than the 3 bytes"),
            "{refused}"
        );
    }

    #[test]
    fn an_archive_that_unpacks_without_end_is_refused_soon() {
        // Behind the end of an empty archive, in parts that gzip joins: the limit and a little of nothing.
        // 64 MiB, for 8 GiB take many seconds.
        let bytes = zipped(&vec![0; 16 << 20]).repeat(5);
        let begun = std::time::Instant::now();
        let unpacked = Limited::new(MultiGzDecoder::new(&bytes[..]), 64 << 20);
        let refused = read_tar(unpacked, Path::new("a.tgz"), 100, |_| true, |_, _| Ok(()));
        let refused = refused.expect_err("more than the limit").to_string();
        assert!(
            refused.contains("it unpacks to more than 67108864 bytes"),
            "{refused}"
        );
        assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    }

    #[test]
    fn a_header_is_refused_by_the_size_it_claims() {
        for kind in [tar::EntryType::GNULongName, tar::EntryType::XHeader] {
            let bytes = zipped(header(kind, 2 << 30).as_bytes());
            let refused = read(&bytes, 100).expect_err("two gigabytes");
            assert!(
                refused.contains("a header has 2147483648 bytes"),
                "{refused}"
            );
        }
    }
}
