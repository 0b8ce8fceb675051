//! Whether a file comes to the end that its format states: decoders are content with all pixels, or fill with
//! grey what is missing.

use image::ImageFormat;

use super::jpeg;

/// Whether a file that its decoder has accepted is whole, as far as it is read; bytes after its end are left
/// alone. Formats without an end of their own are left to their decoders.
pub(super) fn is_whole(format: Option<ImageFormat>, bytes: &[u8]) -> bool {
    match format {
        Some(ImageFormat::Png) => is_whole_png(bytes),
        Some(ImageFormat::Jpeg) => jpeg::is_whole(bytes),
        Some(ImageFormat::WebP) => is_whole_webp(bytes),
        Some(ImageFormat::Gif) => first_of_gif(bytes).is_some(),
        _ => true,
    }
}

fn is_whole_png(bytes: &[u8]) -> bool {
    // After the signature; a chunk is its length, kind, content and checksum.
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let end = (u32::from_be_bytes(*length) as usize).saturating_add(8);
        if end > after.len() {
            return false;
        }
        if after.starts_with(b"IEND") {
            return true;
        }
        rest = &after[end..];
    }
    false
}

/// `RIFF`, and how many bytes follow.
fn is_whole_webp(bytes: &[u8]) -> bool {
    let length = bytes.get(4..).and_then(|rest| rest.first_chunk());
    length.is_some_and(|length| u32::from_le_bytes(*length) as usize <= bytes.len() - 8)
}

/// The first picture of a GIF, to the end of its blocks: the only one that is read.
fn first_of_gif(bytes: &[u8]) -> Option<&[u8]> {
    let table = |flags: u8| {
        if flags & 0x80 == 0 {
            0
        } else {
            3 << ((flags & 7) + 1)
        }
    };
    // Signature, sides, and a table of colours where the header says so.
    let mut at = 13 + table(*bytes.get(10)?);
    loop {
        let is_picture = match bytes.get(at)? {
            // An extension and its kind.
            0x21 => {
                at += 2;
                false
            }
            // A picture: place, sides, a table of colours, the bits of a number.
            0x2c => {
                at += 11 + table(*bytes.get(at + 9)?);
                true
            }
            _ => return None,
        };
        // Blocks, each behind its length; the last is empty.
        loop {
            let length = usize::from(*bytes.get(at)?);
            at += 1 + length;
            if length == 0 {
                break;
            }
        }
        if is_picture {
            return bytes.get(..at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::number::Whole;

    #[test]
    fn every_cut_is_found_and_what_follows_the_end_is_not_read() {
        let picture = image::RgbaImage::from_fn(40, 30, |x, y| {
            image::Rgba([
                (x * 6 % 256).to_u8(),
                (y * 8 % 256).to_u8(),
                (x * y % 256).to_u8(),
                255,
            ])
        });
        for (format, behind) in [
            (ImageFormat::Png, 0),
            (ImageFormat::WebP, 0),
            // The mark at a GIF's end may be missing: no picture follows it.
            (ImageFormat::Gif, 1),
        ] {
            let mut whole = Cursor::new(Vec::new());
            picture
                .write_to(&mut whole, format)
                .expect("memory takes everything");
            let mut whole = whole.into_inner();
            for end in 8..whole.len() - behind {
                assert!(
                    !is_whole(Some(format), &whole[..end]),
                    "{format:?}: {end} of {}",
                    whole.len()
                );
            }
            assert!(is_whole(Some(format), &whole), "{format:?}");
            whole.extend(b"more");
            assert!(is_whole(Some(format), &whole), "{format:?}");
        }
    }
}
