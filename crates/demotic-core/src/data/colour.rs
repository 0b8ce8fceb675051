//! Colours of a file as its profile means them -> sRGB, 8 bits: what the networks and the results are in.

use std::io::Read as _;

use crate::number::Real;
use image::{DynamicImage, ImageFormat, Rgba, RgbaImage};
use moxcms::{
    Chromaticity, ColorPrimaries, ColorProfile, DataColorSpace, Layout, ParsingOptions,
    TransformOptions, XyY, curve_from_gamma,
};

/// Most bytes of an ICC profile; one of an RGB or grey device has a few thousand, one with large tables a
/// million.
pub(super) const MAX_PROFILE_BYTES: usize = 4 << 20;

/// What a file says of its colours.
pub(super) enum Meaning {
    /// Nothing, or that they are sRGB.
    Srgb,
    /// An ICC profile.
    Icc(Vec<u8>),
    /// PNG's gamma and, where they are stated, chromaticities.
    Gamma(f64, Option<[f64; 8]>),
}

impl Meaning {
    /// By the file's ICC profile and, for PNG, its chunks.
    pub(super) fn of(format: Option<ImageFormat>, bytes: &[u8], profile: Option<Vec<u8>>) -> Self {
        match profile {
            Some(profile) => Self::Icc(profile),
            None if format == Some(ImageFormat::Png) => png_meaning(bytes),
            None => Self::Srgb,
        }
    }

    /// The pixels in sRGB.
    ///
    /// A profile of another kind than the pixels, such as one for printing on a picture in RGB, means nothing
    /// here: it is passed over, as browsers do.
    ///
    /// # Errors
    /// A sentence for a profile that is damaged, or larger than 4 MiB.
    pub(super) fn to_srgb(&self, decoded: DynamicImage) -> Result<RgbaImage, String> {
        let profile = match self {
            Self::Srgb => return Ok(decoded.into_rgba8()),
            Self::Icc(bytes) => parsed(bytes)?,
            Self::Gamma(gamma, chromaticities) => by_gamma(*gamma, chromaticities.as_ref()),
        };
        let is_grey = !decoded.color().has_color();
        let (width, height) = (decoded.width(), decoded.height());
        let target = ColorProfile::new_srgb();
        let options = TransformOptions::default();
        let mut converted = RgbaImage::from_pixel(width, height, Rgba([0; 4]));
        match (profile.color_space, is_grey) {
            (DataColorSpace::Gray, true) => {
                let grey = decoded.into_luma_alpha8();
                profile
                    .create_transform_8bit(Layout::GrayAlpha, &target, Layout::Rgba, options)
                    .and_then(|transform| transform.transform(&grey, &mut converted))
                    .map_err(unusable)?;
            }
            (DataColorSpace::Rgb, _) => {
                let pixels = decoded.into_rgba8();
                profile
                    .create_transform_8bit(Layout::Rgba, &target, Layout::Rgba, options)
                    .and_then(|transform| transform.transform(&pixels, &mut converted))
                    .map_err(unusable)?;
            }
            _ => return Ok(decoded.into_rgba8()),
        }
        Ok(converted)
    }

    /// Inks, `[height, width, 4]`, 255 is full ink, in sRGB; nothing where no profile for CMYK says what they
    /// look like.
    ///
    /// # Errors
    /// As [`Meaning::to_srgb`].
    pub(super) fn inks_to_srgb(
        &self,
        inks: &[u8],
        width: u32,
        height: u32,
    ) -> Result<Option<RgbaImage>, String> {
        let Self::Icc(bytes) = self else {
            return Ok(None);
        };
        let profile = parsed(bytes)?;
        if profile.color_space != DataColorSpace::Cmyk {
            return Ok(None);
        }
        let target = ColorProfile::new_srgb();
        let mut converted = RgbaImage::from_pixel(width, height, Rgba([0; 4]));
        // Four inks lie as red, green, blue and alpha do.
        profile
            .create_transform_8bit(
                Layout::Rgba,
                &target,
                Layout::Rgba,
                TransformOptions::default(),
            )
            .and_then(|transform| transform.transform(inks, &mut converted))
            .map_err(unusable)?;
        Ok(Some(converted))
    }
}

fn unusable(source: moxcms::CmsError) -> String {
    format!("its colour profile cannot be used ({source}); save the picture as sRGB")
}

/// Refuses a profile that has more bytes than are read.
pub(super) fn check_profile_bytes(bytes: u64) -> Result<(), String> {
    if bytes > MAX_PROFILE_BYTES as u64 {
        return Err(format!(
            "its colour profile has {bytes} bytes; at most {MAX_PROFILE_BYTES} are read: save the picture as sRGB"
        ));
    }
    Ok(())
}

/// Refuses a PNG whose packed colour profile comes to more than is read, without keeping what it unpacks to:
/// the decoder would hold all of it.
pub(super) fn check_packed_profile(png: &[u8]) -> Result<(), String> {
    for (_, content) in chunks_before_pixels(png).filter(|(kind, _)| *kind == b"iCCP") {
        // Its name, ended by a zero, and one byte on how it is packed.
        let name = content.iter().position(|byte| *byte == 0);
        let packed = name.and_then(|end| content.get(end + 2..));
        let unpacked = flate2::read::ZlibDecoder::new(packed.unwrap_or_default());
        let mut bounded = unpacked.take(MAX_PROFILE_BYTES as u64 + 1);
        // One that is damaged before that is left to the decoder.
        let bytes = std::io::copy(&mut bounded, &mut std::io::sink()).unwrap_or(0);
        if bytes > MAX_PROFILE_BYTES as u64 {
            return Err(format!(
                "its colour profile unpacks to more than {MAX_PROFILE_BYTES} bytes; no more are read: save the picture as sRGB"
            ));
        }
    }
    Ok(())
}

fn parsed(bytes: &[u8]) -> Result<ColorProfile, String> {
    check_profile_bytes(bytes.len() as u64)?;
    let options = ParsingOptions {
        max_profile_size: MAX_PROFILE_BYTES + 1,
        ..ParsingOptions::default()
    };
    ColorProfile::new_from_slice_with_options(bytes, options).map_err(|e| {
        format!(
            "its colour profile is damaged ({e}); save the picture as sRGB, or without a profile"
        )
    })
}

/// A display of this gamma (of encoding, such as 1/2.2), with sRGB's primaries where none are stated.
fn by_gamma(gamma: f64, chromaticities: Option<&[f64; 8]>) -> ColorProfile {
    let mut profile = ColorProfile::new_srgb();
    if let Some([white_x, white_y, rest @ ..]) = chromaticities {
        let white = XyY {
            x: *white_x,
            y: *white_y,
            yb: 1.0,
        };
        let [red, green, blue] = [0, 2, 4].map(|i| Chromaticity {
            x: rest[i].to_f32(),
            y: rest[i + 1].to_f32(),
        });
        profile.update_rgb_colorimetry(white, ColorPrimaries { red, green, blue });
    }
    let curve = curve_from_gamma((1.0 / gamma).to_f32());
    profile.red_trc = Some(curve.clone());
    profile.green_trc = Some(curve.clone());
    profile.blue_trc = Some(curve);
    profile.cicp = None;
    profile
}

/// sRGB's chromaticities as PNG states them: white, red, green, blue.
const SRGB_CHROMATICITIES: [f64; 8] = [0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06];
/// 1/2.2, which programs state of pictures in sRGB.
const USUAL_GAMMA: f64 = 0.45455;

/// What a PNG's chunks before its pixels say; a chunk that says it is sRGB wins.
fn png_meaning(bytes: &[u8]) -> Meaning {
    let number = |bytes: &[u8]| {
        let word = bytes
            .first_chunk()
            .map_or(0, |word| u32::from_be_bytes(*word));
        f64::from(word) / 100_000.0
    };
    let (mut gamma, mut chromaticities) = (None, None);
    for (kind, content) in chunks_before_pixels(bytes) {
        match kind {
            b"sRGB" => return Meaning::Srgb,
            b"gAMA" if content.len() == 4 => gamma = Some(number(content)),
            b"cHRM" if content.len() == 32 => {
                chromaticities = Some(std::array::from_fn(|i| number(&content[i * 4..i * 4 + 4])));
            }
            _ => {}
        }
    }
    let Some(gamma) = gamma.filter(|gamma| (0.1..=10.0).contains(gamma)) else {
        return Meaning::Srgb;
    };
    // What no display has, such as a primary without brightness, cannot be computed with.
    let chromaticities = chromaticities.filter(|all: &[f64; 8]| {
        let pairs = all.as_chunks::<2>().0;
        pairs
            .iter()
            .all(|[x, y]| *x > 0.0 && *y > 0.0 && x + y <= 1.0)
            && has_extent(all)
    });
    let is_usual = |all: &[f64; 8]| {
        let pairs = all.iter().zip(&SRGB_CHROMATICITIES);
        pairs.into_iter().all(|(a, b)| (a - b).abs() < 0.002)
    };
    if (gamma - USUAL_GAMMA).abs() < 0.001 && chromaticities.as_ref().is_none_or(is_usual) {
        return Meaning::Srgb;
    }
    Meaning::Gamma(gamma, chromaticities)
}

/// The chunks of a PNG before its pixels: kind and content of each, as far as they are whole.
fn chunks_before_pixels(png: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let mut rest = png.get(8..).unwrap_or_default();
    let chunks = std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let content = after.get(..length)?;
        rest = after.get(length + 4..).unwrap_or_default();
        Some((kind, content))
    });
    chunks.take_while(|(kind, _)| !matches!(*kind, b"IDAT" | b"IEND"))
}

/// Whether the primaries span a triangle.
fn has_extent(all: &[f64; 8]) -> bool {
    let [_, _, rx, ry, gx, gy, bx, by] = *all;
    ((gx - rx) * (by - ry) - (bx - rx) * (gy - ry)).abs() > 0.001
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Whole;

    fn one(pixel: [u8; 4]) -> DynamicImage {
        DynamicImage::ImageRgba8(RgbaImage::from_pixel(3, 2, Rgba(pixel)))
    }

    /// Encoded value of an intensity in sRGB, of 255.
    fn encoded(linear: f64) -> f64 {
        255.0
            * if linear <= 0.003_130_8 {
                12.92 * linear
            } else {
                1.055 * linear.powf(1.0 / 2.4) - 0.055
            }
    }

    #[test]
    fn a_linear_picture_is_encoded_and_keeps_its_alpha() {
        let meaning = Meaning::Gamma(1.0, None);
        for value in [0, 3, 20, 128, 200, 255] {
            let converted = meaning.to_srgb(one([value, value, value, 77]));
            let got = converted.expect("a gamma is no damage").get_pixel(1, 1).0;
            let expected = encoded(f64::from(value) / 255.0);
            assert!(
                (f64::from(got[0]) - expected).abs() <= 2.0,
                "{value}: {got:?}"
            );
            assert_eq!(got[3], 77);
        }
    }

    #[test]
    fn colours_of_display_p3_are_those_of_srgb() {
        let profile = ColorProfile::new_display_p3();
        let meaning = Meaning::Icc(profile.encode().expect("it can be written"));
        // By the matrices of both spaces, in double precision.
        let p3 = [
            [1.224_940_176_3, -0.224_940_176_3, 0.0],
            [-0.042_056_954_7, 1.042_056_954_7, 0.0],
            [-0.019_637_554_6, -0.078_636_045_6, 1.098_273_600_2],
        ];
        let linear = |value: u8| {
            let v = f64::from(value) / 255.0;
            if v <= 0.040_45 {
                v / 12.92
            } else {
                ((v + 0.055) / 1.055).powf(2.4)
            }
        };
        for pixel in [[120, 90, 60, 255], [200, 180, 40, 255], [40, 70, 90, 128]] {
            let got = meaning
                .to_srgb(one(pixel))
                .expect("a good profile")
                .get_pixel(0, 0)
                .0;
            for c in 0..3 {
                let sum: f64 = (0..3).map(|k| p3[c][k] * linear(pixel[k])).sum();
                let expected = encoded(sum.clamp(0.0, 1.0));
                assert!(
                    (f64::from(got[c]) - expected).abs() <= 2.0,
                    "{pixel:?}: {got:?} {expected}"
                );
            }
        }
    }

    #[test]
    fn grey_is_read_by_its_profile_and_no_other_kind_of_pixels_is() {
        let profile = ColorProfile::new_gray_with_gamma(1.0);
        let meaning = Meaning::Icc(profile.encode().expect("it can be written"));
        for value in [0, 20, 128, 255] {
            let pixel = image::LumaA([value, 77]);
            let grey = image::GrayAlphaImage::from_pixel(3, 2, pixel);
            let got = meaning
                .to_srgb(DynamicImage::ImageLumaA8(grey))
                .expect("a good profile")
                .get_pixel(1, 1)
                .0;
            let expected = encoded(f64::from(value) / 255.0);
            assert!(
                (f64::from(got[0]) - expected).abs() <= 2.0 && got[3] == 77,
                "{value}: {got:?}"
            );
            assert!(got[0] == got[1] && got[1] == got[2]);
        }
        let colours = meaning.to_srgb(one([9, 90, 200, 255]));
        assert_eq!(
            colours.expect("passed over").get_pixel(0, 0).0,
            [9, 90, 200, 255]
        );
    }

    #[test]
    fn a_profile_is_refused_by_its_size_and_by_its_damage() {
        let large = Meaning::Icc(vec![0; 10 << 20]).to_srgb(one([1; 4]));
        assert!(large.is_err_and(|e| e.contains("has 10485760 bytes")));
        let damaged = Meaning::Icc(vec![7; 300]).to_srgb(one([1; 4]));
        assert!(damaged.is_err_and(|e| e.contains("is damaged")));
    }

    #[test]
    fn a_packed_profile_is_refused_by_what_it_unpacks_to() {
        use std::io::Write as _;
        let png = |bytes: usize| {
            let mut zip = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
            zip.write_all(&vec![7; bytes])
                .expect("memory takes everything");
            let zip = zip.finish().expect("memory takes everything");
            let content = [&b"of mine\0\0"[..], &zip].concat();
            let length = content.len().to_u32().to_be_bytes();
            [
                &b"\x89PNG\r\n\x1a\n"[..],
                &length,
                b"iCCP",
                &content,
                &[0; 4],
            ]
            .concat()
        };
        assert_eq!(check_packed_profile(&png(MAX_PROFILE_BYTES)), Ok(()));
        let large = check_packed_profile(&png(MAX_PROFILE_BYTES + 1));
        assert!(large.is_err_and(|e| e.contains("unpacks to more than 4194304 bytes")));
        // Cut off, or none at all: nothing to refuse by its size.
        let whole = png(300);
        for end in 0..whole.len() {
            assert_eq!(check_packed_profile(&whole[..end]), Ok(()));
        }
    }

    #[test]
    fn the_usual_gamma_changes_nothing() {
        let chunk = |kind: &[u8; 4], content: &[u8]| {
            let length = content.len().to_u32().to_be_bytes();
            [&length[..], kind, content, &[0; 4]].concat()
        };
        let png = |chunks: &[Vec<u8>]| [&b"\x89PNG\r\n\x1a\n"[..], &chunks.concat()].concat();
        let gamma = |value: u32| chunk(b"gAMA", &value.to_be_bytes());
        assert!(matches!(png_meaning(&png(&[gamma(45_455)])), Meaning::Srgb));
        assert!(matches!(
            png_meaning(&png(&[gamma(100_000)])),
            Meaning::Gamma(1.0, None)
        ));
        let both = png(&[gamma(100_000), chunk(b"sRGB", &[0])]);
        assert!(matches!(png_meaning(&both), Meaning::Srgb));
        // Primaries on one point span nothing.
        let flat = chunk(b"cHRM", &30_000_u32.to_be_bytes().repeat(8));
        assert!(matches!(
            png_meaning(&png(&[gamma(50_000), flat])),
            Meaning::Gamma(0.5, None)
        ));
    }
}
