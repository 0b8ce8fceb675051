//! What a file holds that is named like a picture and is none: renamed by hand, or saved by a program that
//! had something else.

/// In words, with the way out; nothing for what is not known.
pub(super) fn named(bytes: &[u8]) -> Option<&'static str> {
    let start = &bytes[..bytes.len().min(1024)];
    let text = String::from_utf8_lossy(start);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let begins = |word: &str| {
        text.get(..word.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(word))
    };
    if bytes.is_empty() {
        return Some("it is empty: copy or save it again");
    }
    if begins("<!doctype html") || begins("<html") {
        return Some("it is a web page, saved in place of the picture: save the picture itself");
    }
    if begins("version https://git-lfs") {
        return Some("it is a pointer of Git LFS: fetch the picture (git lfs pull)");
    }
    if begins("<svg") || (begins("<?xml") && text.contains("<svg")) {
        return Some("it is a drawing: let its name end in svg");
    }
    // A box of type `ftyp`, then what kind.
    if let Some([b'f', b't', b'y', b'p', kind @ ..]) = start.get(4..12) {
        return Some(match kind {
            b"avif" | b"avis" => "it is AVIF: make it a PNG (magick a.avif a.png)",
            b"heic" | b"heix" | b"heim" | b"hevc" | b"mif1" | b"msf1" => {
                "it is HEIC: make it a PNG (magick a.heic a.png)"
            }
            _ => "it is a film",
        });
    }
    let known: [(&[u8], &str); 9] = [
        (b"8BPS", "it is a Photoshop file: export it as PNG"),
        (b"%PDF", "it is a PDF: export its pictures as PNG"),
        (b"%!PS", "it is PostScript: export it as SVG or PNG"),
        (
            b"\xff\x0a",
            "it is JPEG XL: make it a PNG (magick a.jxl a.png)",
        ),
        (
            b"\0\0\0\x0cJXL ",
            "it is JPEG XL: make it a PNG (magick a.jxl a.png)",
        ),
        (
            b"\0\0\0\x0cjP  ",
            "it is JPEG 2000: make it a PNG (magick a.jp2 a.png)",
        ),
        (b"\0\0\x01\0", "it is an icon file (ICO): make it a PNG"),
        (b"PK\x03\x04", "it is a zip archive: unpack it"),
        (
            b"\x1f\x8b",
            "it is gzipped: unpack it, or let a drawing's name end in svgz",
        ),
    ];
    let found = known.iter().find(|(mark, _)| bytes.starts_with(mark));
    found.map(|(_, words)| *words)
}

/// The ending that the name of a picture of pixels should have, by its first bytes; nothing for what is none.
pub(super) fn pixels(bytes: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 6] = [
        (b"\x89PNG", "png"),
        (b"\xff\xd8\xff", "jpg"),
        (b"GIF8", "gif"),
        (b"II*\0", "tif"),
        (b"MM\0*", "tif"),
        (b"BM", "bmp"),
    ];
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return Some("webp");
    }
    let found = known.iter().find(|(mark, _)| bytes.starts_with(mark));
    found.map(|(_, ending)| *ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_picture_is_named() {
        for (bytes, words) in [
            (&b""[..], "empty"),
            (b"\n<!DOCTYPE html><html>", "web page"),
            (b"<HTML>", "web page"),
            (b"\xef\xbb\xbf<svg/>", "drawing"),
            (b"<?xml version='1.0'?>\n<svg/>", "drawing"),
            (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
            (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
            (b"\0\0\0\x18ftypavif\0\0\0\0", "AVIF"),
            (b"\0\0\0\x18ftypisom\0\0\0\0", "film"),
            (b"8BPS\0\x01", "Photoshop"),
            (b"PK\x03\x04..", "zip"),
        ] {
            let named = named(bytes).expect("known");
            assert!(named.contains(words), "{named}");
        }
        for bytes in [
            &b"PNG?"[..],
            b"<?xml version='1.0'?><kml/>",
            b"\0\0\0\x18ft",
        ] {
            assert_eq!(named(bytes), None);
        }
    }
}
