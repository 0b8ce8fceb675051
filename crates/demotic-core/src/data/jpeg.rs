//! What the decoder of JPEG leaves to others: whether a file is whole, as it fills what is missing with grey
//! and says nothing; and the inks of one for printing.

use crate::number::Whole;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Most scans of a JPEG: each goes through all of its pixels, and a few bytes make one.
const MAX_SCANS: usize = 256;

/// Whether a JPEG that its decoder has accepted comes to its end marker. Bytes after that are left alone:
/// cameras and editors put previews there.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    scans(bytes).is_some()
}

/// Holds that a JPEG comes to its end, and in no more scans than any program writes.
///
/// # Errors
/// A sentence.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    match scans(bytes) {
        Some(count) if count <= MAX_SCANS => Ok(()),
        Some(count) => Err(format!(
            "a JPEG of {count} scans; at most {MAX_SCANS} are read: save it again"
        )),
        None => Err("it is cut off: a JPEG without its end; copy or save it again".into()),
    }
}

/// Scans up to the end marker; nothing where there is none.
fn scans(bytes: &[u8]) -> Option<usize> {
    let mut count = 0;
    // After the marker that every JPEG begins with.
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let Some(start) = rest.iter().position(|byte| *byte == 0xff) {
        rest = &rest[start + 1..];
        match rest {
            [0xd9, ..] => return Some(count),
            // A filling byte, a byte of pixels, restarts among them, and markers without content.
            [0xff | 0x00 | 0x01 | 0xd0..=0xd8, ..] => {}
            // A segment is passed over whole: a preview in it has an end marker of its own.
            [marker, high, low, ..] => {
                count += usize::from(*marker == 0xda);
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                rest = rest.get(1 + length.max(2)..).unwrap_or_default();
            }
            _ => return None,
        }
    }
    None
}

/// What the header of a JPEG says of its pixels.
pub(super) struct Frame {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Values of a pixel.
    pub(super) components: usize,
}

/// The first frame of a JPEG; nothing where none comes before its pixels.
pub(super) fn frame(bytes: &[u8]) -> Option<Frame> {
    let mut rest = bytes.get(2..)?;
    loop {
        let start = rest.iter().position(|byte| *byte == 0xff)?;
        rest = &rest[start + 1..];
        match rest {
            // Markers of frames, without those that lie among them and mean tables.
            [
                0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf,
                _,
                _,
                _,
                high,
                low,
                wide,
                narrow,
                components,
                ..,
            ] => {
                return Some(Frame {
                    width: u16::from_be_bytes([*wide, *narrow]).into(),
                    height: u16::from_be_bytes([*high, *low]).into(),
                    components: usize::from(*components),
                });
            }
            // Pixels, or the end.
            [0xd9 | 0xda, ..] => return None,
            [0xff | 0x00 | 0x01 | 0xd0..=0xd8, ..] => {}
            [_, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                rest = rest.get(1 + length.max(2)..)?;
            }
            _ => return None,
        }
    }
}

/// Red, green and blue of brightness and two colours, by the formula of JFIF.
pub(super) fn colours(values: [u8; 3]) -> [u8; 3] {
    let [y, cb, cr] = values.map(f32::from);
    let (cb, cr) = (cb - 128.0, cr - 128.0);
    [
        y + 1.402 * cr,
        y - 0.344_136 * cb - 0.714_136 * cr,
        y + 1.772 * cb,
    ]
    .map(|value| value.round().clamp(0.0, 255.0).to_u8())
}

/// The inks of a JPEG in four planes, cyan, magenta, yellow and black: `[height, width, 4]`, 255 is full ink.
/// Nothing for one in grey or in red, green and blue.
///
/// Such files hold the ink that is missing, as the program that began with them wrote it and all readers
/// take it.
///
/// # Errors
/// A sentence where it is damaged.
pub(super) fn inks(bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let fail =
        |source: zune_jpeg::errors::DecodeErrors| format!("it is damaged or cut off ({source})");
    // As the other decoder, which has read the header before, sets it.
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(fail)?;
    let Some(space @ (ColorSpace::CMYK | ColorSpace::YCCK)) = decoder.input_colorspace() else {
        return Ok(None);
    };
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let mut pixels = decoder.decode().map_err(fail)?;
    for pixel in pixels.as_chunks_mut::<4>().0 {
        let [y, cb, cr, black] = *pixel;
        *pixel = if space == ColorSpace::YCCK {
            // The formula gives the inks here.
            let [cyan, magenta, yellow] = colours([y, cb, cr]);
            [cyan, magenta, yellow, 255 - black]
        } else {
            pixel.map(|missing| 255 - missing)
        };
    }
    Ok(Some(pixels))
}

#[cfg(test)]
mod tests {
    use super::{MAX_SCANS, check, is_whole};
    use crate::number::Whole;

    #[test]
    fn every_cut_is_found_and_what_follows_the_end_is_not_read() {
        let picture = image::RgbImage::from_fn(40, 30, |x, y| {
            image::Rgb([
                (x * 6 % 256).to_u8(),
                (y * 8 % 256).to_u8(),
                (x * y % 256).to_u8(),
            ])
        });
        let mut whole = std::io::Cursor::new(Vec::new());
        picture
            .write_to(&mut whole, image::ImageFormat::Jpeg)
            .expect("memory takes everything");
        let mut whole = whole.into_inner();
        for end in 4..whole.len() {
            assert!(!is_whole(&whole[..end]), "{end} of {}", whole.len());
        }
        assert!(is_whole(&whole));
        assert_eq!(check(&whole), Ok(()));
        // As many scans as no program writes, of nothing.
        let end = whole.len() - 2;
        let many = [
            &whole[..end],
            &b"\xff\xda\0\x02".repeat(MAX_SCANS),
            &whole[end..],
        ]
        .concat();
        assert!(check(&many).is_err_and(|e| e.contains("257 scans")));
        whole.extend(b"a preview \xff\xd8\xff");
        assert!(is_whole(&whole));
    }
}
