//! TIFF -> sRGB, 8 bits: the first picture of a file, in grey, RGB, `YCbCr`, CMYK or a palette.
//!
//! The decoder knows no palettes, drops samples that it finds superfluous, and takes colours multiplied by
//! alpha for others. So every file looks grey to it: it hands over all samples as they lie, and this module
//! reads what they stand for.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use image::metadata::Orientation;
use image::{DynamicImage, GrayAlphaImage, ImageFormat, Rgba, RgbaImage};
use tiff::TiffError;
use tiff::decoder::{ChunkType, Decoder, DecodingResult, Limits};
use tiff::tags::{Tag, Type, ValueBuffer};

use super::colour::{MAX_PROFILE_BYTES, Meaning, check_profile_bytes};
use super::jpeg;
use crate::number::Whole;

/// The tag that says what samples stand for.
const KIND: u16 = 262;
/// What it says of grey.
const GREY: u16 = 1;
/// A tag that the decoder has no name for: whether inks are cyan, magenta, yellow and black.
const INK_SET: Tag = Tag::Unknown(332);
/// Most samples of a pixel; those that stand for nothing are passed over.
const MAX_SAMPLES: usize = 8;
/// Values of the tag for packing.
const NOT_PACKED: u32 = 1;
const AS_JPEG: u32 = 7;
/// Most bytes of tables that all JPEGs of a file share; each is read with them.
const MAX_TABLE_BYTES: u64 = 1 << 16;

/// What samples stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    WhiteIsZero,
    BlackIsZero,
    Rgb,
    Palette,
    Inks,
    YCbCr,
}

impl Kind {
    fn of(number: u16) -> Result<Self, String> {
        Ok(match number {
            0 => Self::WhiteIsZero,
            GREY => Self::BlackIsZero,
            2 => Self::Rgb,
            3 => Self::Palette,
            5 => Self::Inks,
            6 => Self::YCbCr,
            _ => return Err(unread(&format!("colours of kind {number}"))),
        })
    }

    /// Samples of a pixel that it takes; alpha and others follow.
    fn samples(self) -> usize {
        match self {
            Self::WhiteIsZero | Self::BlackIsZero | Self::Palette => 1,
            Self::Rgb | Self::YCbCr => 3,
            Self::Inks => 4,
        }
    }
}

/// How colours and alpha go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alpha {
    None,
    Straight,
    /// Colours are multiplied by it.
    Multiplied,
}

/// The bytes of a file with its kind replaced by grey.
struct AsGrey<'a> {
    bytes: Cursor<&'a [u8]>,
    /// Where the two bytes of [`KIND`] lie.
    place: u64,
    /// What is read there instead.
    grey: [u8; 2],
}

impl Read for AsGrey<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let start = self.bytes.position();
        let count = self.bytes.read(buffer)?;
        for (place, grey) in (self.place..).zip(self.grey) {
            let at = place.checked_sub(start).map(Whole::to_usize);
            if let Some(byte) = at.and_then(|at| buffer[..count].get_mut(at)) {
                *byte = grey;
            }
        }
        Ok(count)
    }
}

impl Seek for AsGrey<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}

/// A TIFF of which the header has been read.
pub(super) struct File<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    bytes: &'a [u8],
    decoder: Decoder<AsGrey<'a>>,
    kind: Kind,
    bits: u32,
    /// Samples of a pixel.
    samples: usize,
    alpha: Alpha,
    /// Whether each sample lies in a picture of its own.
    is_apart: bool,
}

impl<'a> File<'a> {
    /// Reads the header of the first picture.
    ///
    /// # Errors
    /// A sentence where it is damaged, or of a kind that is not read.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        if is_big(bytes) {
            return Err(unread("BigTIFF"));
        }
        let is_little = bytes.starts_with(b"II");
        let Some((place, number)) = place_of_kind(bytes, is_little) else {
            return Err(damaged(&"it does not say what its samples stand for"));
        };
        let source = AsGrey {
            bytes: Cursor::new(bytes),
            place: place as u64,
            grey: if is_little {
                GREY.to_le_bytes()
            } else {
                GREY.to_be_bytes()
            },
        };
        let mut decoder = Decoder::new(source).map_err(problem)?;
        let kind = Kind::of(number)?;
        let (width, height) = decoder.dimensions().map_err(problem)?;
        let bits = numbers(&mut decoder, Tag::BitsPerSample)?;
        let extra = numbers(&mut decoder, Tag::ExtraSamples)?;
        let samples = number_of(&mut decoder, Tag::SamplesPerPixel, 1)? as usize;
        let is_apart = number_of(&mut decoder, Tag::PlanarConfiguration, 1)? == 2 && samples > 1;
        let more = samples.saturating_sub(kind.samples());
        let file = Self {
            width,
            height,
            bytes,
            decoder,
            kind,
            bits: bits.first().copied().unwrap_or(1),
            samples,
            alpha: match extra.first() {
                _ if more == 0 => Alpha::None,
                Some(1) => Alpha::Multiplied,
                Some(2) => Alpha::Straight,
                // Files that leave the tag out mean this by a sample more.
                None if more == 1 => Alpha::Straight,
                _ => Alpha::None,
            },
            is_apart,
        };
        file.check_samples()?;
        Ok(file)
    }

    fn check_samples(&self) -> Result<(), String> {
        let Self {
            kind,
            bits,
            samples,
            alpha,
            ..
        } = *self;
        if samples < kind.samples() || samples > MAX_SAMPLES {
            return Err(unread(&format!("{samples} samples a pixel")));
        }
        let is_read = match bits {
            1 | 2 | 4 => samples == 1,
            8 => true,
            16 => ![Kind::Palette, Kind::YCbCr].contains(&kind),
            _ => false,
        };
        if !is_read {
            return Err(unread(&format!(
                "{bits} bits a sample and {samples} samples a pixel"
            )));
        }
        if kind == Kind::Inks && alpha != Alpha::None {
            return Err(unread("inks and transparency"));
        }
        Ok(())
    }

    /// The picture, turned as its tag says, its colours as its profile means them.
    ///
    /// # Errors
    /// A sentence where it is damaged, cut off, of a kind that is not read, or takes more work than a picture
    /// of `max_pixels` does.
    pub(super) fn srgb(mut self, max_pixels: u64) -> Result<RgbaImage, String> {
        let mut limits = Limits::default();
        // Red, green, blue and alpha of two bytes.
        let max_bytes = 8 * max_pixels;
        limits.decoding_buffer_size = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        limits.intermediate_buffer_size = limits.decoding_buffer_size;
        limits.ifd_value_size = MAX_PROFILE_BYTES;
        self.decoder = self.decoder.with_limits(limits);
        let bytes = (self.pixels() * self.samples) as u64 * u64::from(self.bits).div_ceil(8);
        if bytes > max_bytes {
            return Err(format!(
                "its {} samples a pixel come to {bytes} bytes; at most {max_bytes} are read: make it smaller",
                self.samples
            ));
        }
        self.check_parts(max_pixels)?;
        let profile = self.profile()?;
        let meaning = Meaning::of(Some(ImageFormat::Tiff), self.bytes, profile);
        let palette = self.palette()?;
        let turn = number_of(&mut self.decoder, Tag::Orientation, 1)?;
        let values = self.values()?;
        let colours = if self.kind == Kind::Inks {
            self.inks(&values, &meaning)?
        } else {
            let colours = self.colours(&values, &palette)?;
            drop(values);
            meaning.to_srgb(colours)?
        };
        let mut colours = DynamicImage::ImageRgba8(colours);
        let turn = u8::try_from(turn).ok().and_then(Orientation::from_exif);
        colours.apply_orientation(turn.unwrap_or(Orientation::NoTransforms));
        Ok(colours.into_rgba8())
    }

    /// Holds that the parts that a picture lies in are whole, and not more work than the picture: tiles may
    /// be larger than it, and a part packed as JPEG has a size of its own.
    fn check_parts(&mut self, max_pixels: u64) -> Result<(), String> {
        let packing = number_of(&mut self.decoder, Tag::Compression, NOT_PACKED)?;
        let (width, height) = self.decoder.chunk_dimensions();
        let tags = match self.decoder.get_chunk_type() {
            ChunkType::Strip => [Tag::StripOffsets, Tag::StripByteCounts],
            ChunkType::Tile => {
                if self.is_apart {
                    // The decoder would stop the program at the last of them.
                    return Err(unread("tiles of single samples"));
                }
                let tiles = [(self.width, width), (self.height, height)]
                    .map(|(whole, part)| u128::from(whole.div_ceil(part)) * u128::from(part));
                if tiles[0] * tiles[1] > u128::from(2 * max_pixels) {
                    return Err(unread("tiles much larger than the picture"));
                }
                [Tag::TileOffsets, Tag::TileByteCounts]
            }
        };
        if self.bits < 8 && number_of(&mut self.decoder, Tag::FillOrder, 1)? != 1 {
            return Err(unread("bits from right to left"));
        }
        if self.kind == Kind::Inks {
            if number_of(&mut self.decoder, INK_SET, 1)? != 1 {
                return Err(unread("other inks than CMYK"));
            }
            if packing == AS_JPEG {
                return Err(unread("inks packed as JPEG"));
            }
        }
        if self.kind == Kind::YCbCr && packing != AS_JPEG {
            let shares = numbers(&mut self.decoder, Tag::ChromaSubsampling)?;
            if shares != [1, 1] {
                return Err(unread("colours of fewer pixels than brightness"));
            }
        }
        if packing == NOT_PACKED {
            // The decoder misses what is not there.
            return Ok(());
        }
        let [places, sizes] = [
            numbers(&mut self.decoder, tags[0])?,
            numbers(&mut self.decoder, tags[1])?,
        ];
        let tables = self.decoder.image_ifd().find_entry(Tag::JPEGTables);
        if tables.is_some_and(|tables| tables.count() > MAX_TABLE_BYTES) {
            return Err(damaged(&"tables larger than JPEG has"));
        }
        let samples = if self.is_apart { 1 } else { self.samples };
        let mut pixels = 0;
        for (place, size) in places.into_iter().zip(sizes) {
            let part = self.bytes.get(place as usize..);
            let part = part.and_then(|part| part.get(..size.to_usize()));
            let part = part.ok_or_else(|| damaged(&"a part of its pixels is missing"))?;
            if packing == AS_JPEG {
                jpeg::check(part)?;
                let frame = jpeg::frame(part);
                let frame = frame.ok_or_else(|| damaged(&"a JPEG in it without a frame"))?;
                if frame.width != width || frame.components != samples {
                    return Err(damaged(&"a JPEG in it of another size or kind"));
                }
                let own = u64::from(frame.width) * u64::from(frame.height);
                pixels += own;
                if own > max_pixels || pixels > 2 * max_pixels {
                    return Err(damaged(&"JPEGs in it larger than the picture"));
                }
            }
        }
        Ok(())
    }

    fn profile(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut directory = self.decoder.image_ifd();
        let Some(entry) = directory.find_entry(Tag::IccProfile) else {
            return Ok(None);
        };
        let is_bytes = [Type::BYTE, Type::UNDEFINED].contains(&entry.field_type());
        if !is_bytes || entry.count() > self.bytes.len() as u64 {
            return Err("its colour profile is damaged or cut off".into());
        }
        check_profile_bytes(entry.count())?;
        let mut profile = ValueBuffer::empty(Type::BYTE);
        directory
            .find_tag_buf(Tag::IccProfile, &mut profile)
            .map_err(problem)?;
        Ok(Some(profile.as_bytes().to_vec()))
    }

    /// Colours by number; nothing for a picture without a palette.
    fn palette(&mut self) -> Result<Vec<[u8; 3]>, String> {
        if self.kind != Kind::Palette {
            return Ok(Vec::new());
        }
        let all = numbers(&mut self.decoder, Tag::ColorMap)?;
        let count = 1_usize << self.bits;
        if all.len() != 3 * count {
            return Err(damaged(&"a palette of another size than its numbers"));
        }
        // Values have 16 bits. Some programs write 8.
        let shift = if all.iter().all(|value| *value < 256) {
            0
        } else {
            8
        };
        let value = |place: usize| (all[place] >> shift).min(255).to_u8();
        Ok((0..count)
            .map(|i| [0, 1, 2].map(|channel| value(channel * count + i)))
            .collect())
    }

    /// All samples, 8 bits each, in the order of the file; numbers of a palette as they are.
    fn values(&mut self) -> Result<Vec<u8>, String> {
        let mut decoded = DecodingResult::U8(Vec::new());
        self.decoder
            .read_image_to_buffer(&mut decoded)
            .map_err(problem)?;
        let values: Vec<u8> = match decoded {
            DecodingResult::U8(values) if self.bits == 8 => values,
            DecodingResult::U8(values) => self.unpacked(&values),
            DecodingResult::U16(values) => values
                .iter()
                .map(|value| ((u32::from(*value) + 128) / 257).to_u8())
                .collect(),
            _ => return Err(unread("samples that are signed or of floating point")),
        };
        if values.len() != self.pixels() * self.samples {
            return Err(damaged(&"another number of samples than its size says"));
        }
        Ok(values)
    }

    /// Samples of less than a byte, from the left; each row begins a byte.
    fn unpacked(&self, values: &[u8]) -> Vec<u8> {
        let bits = self.bits as usize;
        let (each, mask) = (8 / bits, (1_u8 << bits) - 1);
        let scale = if self.kind == Kind::Palette {
            1
        } else {
            255 / mask
        };
        let width = self.width as usize;
        let rows = values.chunks(width.div_ceil(each));
        rows.flat_map(|row| {
            (0..row.len() * each)
                .take(width)
                .map(move |x| ((row[x / each] >> (8 - bits * (x % each + 1))) & mask) * scale)
        })
        .collect()
    }

    fn pixels(&self) -> usize {
        self.width as usize * self.height as usize
    }

    /// A sample of a pixel.
    fn value(&self, values: &[u8], pixel: usize, sample: usize) -> u8 {
        if self.is_apart {
            values[sample * self.pixels() + pixel]
        } else {
            values[pixel * self.samples + sample]
        }
    }

    /// Grey or colours that a profile may still change, not multiplied by alpha.
    fn colours(&self, values: &[u8], palette: &[[u8; 3]]) -> Result<DynamicImage, String> {
        let alpha = |pixel: usize| match self.alpha {
            Alpha::None => 255,
            Alpha::Straight | Alpha::Multiplied => self.value(values, pixel, self.kind.samples()),
        };
        let straight = |value: u8, alpha: u8| {
            if self.alpha != Alpha::Multiplied {
                return value;
            }
            let alpha = u32::from(alpha);
            let whole = u32::from(value) * 255 + alpha / 2;
            whole.checked_div(alpha).unwrap_or(0).min(255).to_u8()
        };
        let read = |pixel: usize, sample: usize| self.value(values, pixel, sample);
        let (width, height) = (self.width, self.height);
        let short = || damaged(&"another number of samples than its size says");
        if self.kind.samples() == 1 && self.kind != Kind::Palette {
            let grey = |pixel: usize| {
                let (value, alpha) = (read(pixel, 0), alpha(pixel));
                let is_turned = self.kind == Kind::WhiteIsZero;
                let value = if is_turned { 255 - value } else { value };
                [straight(value, alpha), alpha]
            };
            let pixels = (0..self.pixels()).flat_map(grey).collect();
            let picture = GrayAlphaImage::from_raw(width, height, pixels).ok_or_else(short)?;
            return Ok(DynamicImage::ImageLumaA8(picture));
        }
        let colour = |pixel: usize| {
            let three = || [0, 1, 2].map(|sample| read(pixel, sample));
            let colour = match self.kind {
                Kind::Palette => palette[usize::from(read(pixel, 0))],
                Kind::YCbCr => jpeg::colours(three()),
                _ => three(),
            };
            let alpha = alpha(pixel);
            let [red, green, blue] = colour.map(|value| straight(value, alpha));
            [red, green, blue, alpha]
        };
        let pixels = (0..self.pixels()).flat_map(colour).collect();
        let picture = RgbaImage::from_raw(width, height, pixels).ok_or_else(short)?;
        Ok(DynamicImage::ImageRgba8(picture))
    }

    /// Inks as their profile means them, else by the plain rule.
    fn inks(&self, values: &[u8], meaning: &Meaning) -> Result<RgbaImage, String> {
        let inks = |pixel: usize| [0, 1, 2, 3].map(|sample| self.value(values, pixel, sample));
        let inks: Vec<u8> = (0..self.pixels()).flat_map(inks).collect();
        if let Some(colours) = meaning.inks_to_srgb(&inks, self.width, self.height)? {
            return Ok(colours);
        }
        let mut colours = RgbaImage::new(self.width, self.height);
        for (pixel, inks) in colours.pixels_mut().zip(inks.as_chunks::<4>().0) {
            let [cyan, magenta, yellow, black] = inks.map(|ink| 255 - u32::from(ink));
            let [red, green, blue] =
                [cyan, magenta, yellow].map(|paper| ((paper * black + 127) / 255).to_u8());
            *pixel = Rgba([red, green, blue, 255]);
        }
        Ok(colours)
    }
}

/// Whether it is a TIFF whose places have 64 bits.
pub(super) fn is_big(bytes: &[u8]) -> bool {
    bytes.starts_with(b"II+\0") || bytes.starts_with(b"MM\0+")
}

/// Where the value of [`KIND`] lies, and the value; of one given twice the last counts, as for the decoder.
fn place_of_kind(bytes: &[u8], is_little: bool) -> Option<(usize, u16)> {
    let half = |at: usize| {
        let two = *bytes.get(at..)?.first_chunk()?;
        Some(if is_little {
            u16::from_le_bytes(two)
        } else {
            u16::from_be_bytes(two)
        })
    };
    let four = *bytes.get(4..)?.first_chunk()?;
    let first = if is_little {
        u32::from_le_bytes(four)
    } else {
        u32::from_be_bytes(four)
    } as usize;
    let count = usize::from(half(first)?);
    // An entry is its tag, its type (3 is two bytes), how many, and the value.
    let place = (0..count)
        .map(|i| first + 2 + 12 * i)
        .rfind(|&at| half(at) == Some(KIND) && half(at + 2) == Some(3))?;
    Some((place + 8, half(place + 8)?))
}

fn numbers(decoder: &mut Decoder<AsGrey<'_>>, tag: Tag) -> Result<Vec<u32>, String> {
    let numbers = decoder.find_tag_unsigned_vec(tag).map_err(problem)?;
    Ok(numbers.unwrap_or_default())
}

fn number_of(decoder: &mut Decoder<AsGrey<'_>>, tag: Tag, usual: u32) -> Result<u32, String> {
    let number = decoder.find_tag_unsigned(tag).map_err(problem)?;
    Ok(number.unwrap_or(usual))
}

fn problem(error: TiffError) -> String {
    match error {
        TiffError::UnsupportedError(what) => unread(&what.to_string()),
        TiffError::LimitsExceeded => damaged(&"a part of it claims too much"),
        other => damaged(&other),
    }
}

fn damaged(what: &dyn std::fmt::Display) -> String {
    format!("it is damaged or cut off ({what})")
}

fn unread(what: &str) -> String {
    format!(
        "a TIFF of a kind that is not read ({what}); save it with 8 or 16 bits a sample in grey, RGB or CMYK, or as PNG"
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// A TIFF in either order of bytes: its parts at its beginning, then its entries (tag, type, values; type
    /// 3 is two bytes, 4 is four, 7 is one), then what does not fit into them. Where the parts lie is filled
    /// in.
    fn tiff(is_little: bool, entries: &[(u16, u16, Vec<u32>)], parts: &[Vec<u8>]) -> Vec<u8> {
        let put = |value: u32, bytes: usize| -> Vec<u8> {
            if is_little {
                value.to_le_bytes()[..bytes].to_vec()
            } else {
                value.to_be_bytes()[4 - bytes..].to_vec()
            }
        };
        let mut file = if is_little { b"II" } else { b"MM" }.to_vec();
        file.extend(put(42, 2));
        let sizes: Vec<u32> = parts.iter().map(|part| part.len().to_u32()).collect();
        let data: Vec<u8> = parts.concat();
        let first = (8 + data.len()).next_multiple_of(2).to_u32();
        file.extend(put(first, 4));
        let places = sizes.iter().scan(8, |place, size| {
            *place += size;
            Some(*place - size)
        });
        let mut entries = entries.to_vec();
        let is_tiled = entries.iter().any(|(tag, ..)| *tag == 322);
        let tags = if is_tiled { [324, 325] } else { [273, 279] };
        entries.push((tags[0], 4, places.collect()));
        entries.push((tags[1], 4, sizes.clone()));
        entries.sort();
        file.extend(data);
        file.resize(first as usize, 0);
        let after = first as usize + 2 + 12 * entries.len() + 4;
        let mut outside = Vec::new();
        file.extend(put(entries.len().to_u32(), 2));
        for (tag, kind, values) in &entries {
            let each = match kind {
                3 => 2,
                4 => 4,
                _ => 1,
            };
            let mut bytes: Vec<u8> = values.iter().flat_map(|value| put(*value, each)).collect();
            file.extend(put((*tag).into(), 2));
            file.extend(put((*kind).into(), 2));
            file.extend(put(values.len().to_u32(), 4));
            if bytes.len() > 4 {
                file.extend(put((after + outside.len()).to_u32(), 4));
                outside.extend(bytes);
            } else {
                bytes.resize(4, 0);
                file.extend(bytes);
            }
        }
        file.extend([0; 4]);
        file.extend(outside);
        file
    }

    /// Entries of a picture: sides, kind, bits, samples a pixel, packing.
    fn entries(
        [width, height]: [u32; 2],
        kind: u32,
        bits: u32,
        samples: u32,
        packing: u32,
    ) -> Vec<(u16, u16, Vec<u32>)> {
        vec![
            (256, 4, vec![width]),
            (257, 4, vec![height]),
            (258, 3, vec![bits; samples as usize]),
            (259, 3, vec![packing]),
            (KIND, 3, vec![kind]),
            (277, 3, vec![samples]),
        ]
    }

    const MOST: u64 = 1 << 20;

    fn read(bytes: &[u8]) -> Result<RgbaImage, String> {
        File::open(bytes)?.srgb(MOST)
    }

    /// What is read of one that must be good, pixel by pixel.
    fn pixels(bytes: &[u8]) -> Vec<[u8; 4]> {
        let picture = read(bytes).expect("a good file");
        picture.pixels().map(|pixel| pixel.0).collect()
    }

    fn grey(values: &[u8]) -> Vec<[u8; 4]> {
        let pixels = values.iter().map(|&value| [value, value, value, 255]);
        pixels.collect()
    }

    #[test]
    fn grey_of_every_depth_is_read_in_either_order() {
        for is_little in [true, false] {
            // Five pixels a row: the rest of its last byte is nothing.
            let bits = [vec![0b1010_1111, 0b0101_1000]];
            let file = |kind| tiff(is_little, &entries([5, 2], kind, 1, 1, 1), &bits);
            let black = [255, 0, 255, 0, 255, 0, 255, 0, 255, 255];
            assert_eq!(pixels(&file(1)), grey(&black));
            assert_eq!(pixels(&file(0)), grey(&black.map(|value| 255 - value)));
            let two = tiff(
                is_little,
                &entries([3, 1], 1, 2, 1, 1),
                &[vec![0b0001_1000]],
            );
            assert_eq!(pixels(&two), grey(&[0, 85, 170]));
            let four = tiff(is_little, &entries([3, 1], 1, 4, 1, 1), &[vec![0x0f, 0x70]]);
            assert_eq!(pixels(&four), grey(&[0, 255, 119]));
            let eight = tiff(is_little, &entries([2, 1], 1, 8, 1, 1), &[vec![9, 200]]);
            assert_eq!(pixels(&eight), grey(&[9, 200]));
            let wide = [0_u16, 0x8080, 0xffff].map(|value| {
                if is_little {
                    value.to_le_bytes()
                } else {
                    value.to_be_bytes()
                }
            });
            let sixteen = tiff(is_little, &entries([3, 1], 1, 16, 1, 1), &[wide.concat()]);
            assert_eq!(pixels(&sixteen), grey(&[0, 128, 255]));
        }
    }

    #[test]
    fn colours_alpha_inks_and_palettes_are_read() {
        let with = |kind, samples, more: &[(u16, u16, Vec<u32>)], data: &[u8]| {
            let entries = [&entries([2, 1], kind, 8, samples, 1)[..], more].concat();
            tiff(true, &entries, &[data.to_vec()])
        };
        let rgb = with(2, 3, &[], &[1, 2, 3, 250, 0, 9]);
        assert_eq!(pixels(&rgb), [[1, 2, 3, 255], [250, 0, 9, 255]]);
        let extra = |meaning: u32| (338, 3, vec![meaning]);
        let data = [100, 50, 0, 128, 7, 7, 7, 0];
        let straight = [[100, 50, 0, 128], [7, 7, 7, 0]];
        assert_eq!(pixels(&with(2, 4, &[extra(2)], &data)), straight);
        assert_eq!(pixels(&with(2, 4, &[], &data)), straight);
        // Multiplied by it: 100 of 128 is 199 of 255.
        let multiplied = pixels(&with(2, 4, &[extra(1)], &data));
        assert_eq!(multiplied, [[199, 100, 0, 128], [0, 0, 0, 0]]);
        // A sample that stands for nothing, also where each is stored as its difference to the pixel before.
        let passed = [[100, 50, 0, 255], [7, 7, 7, 255]];
        assert_eq!(pixels(&with(2, 4, &[extra(0)], &data)), passed);
        let differences = [100, 50, 0, 128, 163, 213, 7, 128];
        let more = [extra(0), (317, 3, vec![2])];
        assert_eq!(pixels(&with(2, 4, &more, &differences)), passed);
        let grey = with(1, 2, &[extra(2)], &[40, 255, 90, 3]);
        assert_eq!(pixels(&grey), [[40, 40, 40, 255], [90, 90, 90, 3]]);
        // Samples in pictures of their own.
        let apart = tiff(
            true,
            &[&entries([2, 1], 2, 8, 3, 1)[..], &[(284, 3, vec![2])]].concat(),
            &[vec![1, 250], vec![2, 0], vec![3, 9]],
        );
        assert_eq!(pixels(&apart), [[1, 2, 3, 255], [250, 0, 9, 255]]);
        // No ink is white; cyan takes the red, black takes all.
        let inks = with(5, 4, &[], &[255, 0, 0, 0, 0, 0, 0, 204]);
        assert_eq!(pixels(&inks), [[0, 255, 255, 255], [51, 51, 51, 255]]);
        let brightness = with(6, 3, &[(530, 3, vec![1, 1])], &[76, 85, 255, 128, 128, 128]);
        assert_eq!(
            pixels(&brightness),
            [[254, 0, 0, 255], [128, 128, 128, 255]]
        );
        // Reds, greens, blues; in 16 bits, or in 8 by programs that know no better.
        let colours = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110];
        for scale in [257, 256, 1] {
            let map = colours.iter().map(|value| value * scale).collect();
            let entries = [&entries([3, 1], 3, 2, 1, 1)[..], &[(320, 3, map)]].concat();
            let file = tiff(true, &entries, &[vec![0b0011_0100]]);
            let expected = [[0, 40, 80, 255], [30, 70, 110, 255], [10, 50, 90, 255]];
            assert_eq!(pixels(&file), expected, "{scale}");
        }
    }

    #[test]
    fn packings_turns_and_further_pictures_are_read() {
        let values: Vec<u8> = (0..60).collect();
        let mut zip = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zip.write_all(&values).expect("memory takes everything");
        let zip = zip.finish().expect("memory takes everything");
        // Literal bytes after how many they are, less one.
        let bits: Vec<u8> = [&[59][..], &values].concat();
        for (packing, part) in [(8, zip), (32773, bits)] {
            let file = tiff(true, &entries([10, 6], 1, 8, 1, packing), &[part]);
            assert_eq!(pixels(&file), grey(&values), "{packing}");
        }
        // In strips of four rows, and in tiles that reach beyond the picture.
        let strips = [&entries([10, 6], 1, 8, 1, 1)[..], &[(278, 3, vec![4])]].concat();
        let parts = [values[..40].to_vec(), values[40..].to_vec()];
        assert_eq!(pixels(&tiff(true, &strips, &parts)), grey(&values));
        let size = [(322, 3, vec![16]), (323, 3, vec![16])];
        let tiles = [&entries([10, 6], 1, 8, 1, 1)[..], &size].concat();
        let mut tile = vec![77; 256];
        for (row, values) in values.chunks(10).enumerate() {
            tile[16 * row..16 * row + 10].copy_from_slice(values);
        }
        assert_eq!(pixels(&tiff(true, &tiles, &[tile])), grey(&values));
        // Turned by a quarter: what was the left column comes to the top, from below.
        let turned = [&entries([2, 2], 1, 8, 1, 1)[..], &[(274, 3, vec![6])]].concat();
        let turned = tiff(true, &turned, &[vec![1, 2, 3, 4]]);
        assert_eq!(pixels(&turned), grey(&[3, 1, 4, 2]));
        // A second picture, which may be anything, follows the first.
        let mut file = tiff(true, &entries([2, 1], 1, 8, 1, 1), &[vec![9, 200]]);
        let next = 10 + 2 + 12 * 8;
        assert_eq!(file[next..next + 4], [0; 4]);
        file[next..next + 4].copy_from_slice(&7_u32.to_le_bytes());
        assert_eq!(pixels(&file), grey(&[9, 200]));
    }

    /// A JPEG in colours, as a part of a TIFF.
    fn jpeg_part(width: u32, height: u32) -> Vec<u8> {
        let mut part = Cursor::new(Vec::new());
        image::RgbImage::from_pixel(width, height, image::Rgb([200, 40, 60]))
            .write_to(&mut part, ImageFormat::Jpeg)
            .expect("memory takes everything");
        part.into_inner()
    }

    #[test]
    fn what_is_packed_as_jpeg_is_read_whole_or_not_at_all() {
        let entries = |sides| entries(sides, 6, 8, 3, AS_JPEG);
        let part = jpeg_part(24, 16);
        let file = tiff(true, &entries([24, 16]), std::slice::from_ref(&part));
        for pixel in pixels(&file) {
            let is_near = |(a, b): (&u8, u8)| a.abs_diff(b) <= 4;
            assert!(
                pixel.iter().zip([200, 40, 60, 255]).all(is_near),
                "{pixel:?}"
            );
        }
        let refused = |sides, parts: &[Vec<u8>], why: &str| {
            let problem = read(&tiff(true, &entries(sides), parts));
            assert!(
                problem.as_ref().is_err_and(|e| e.contains(why)),
                "{problem:?}"
            );
        };
        refused(
            [24, 16],
            &[part[..part.len() - 2].to_vec()],
            "without its end",
        );
        let one = std::slice::from_ref(&part);
        refused([32, 16], one, "of another size or kind");
        refused([24, 32], one, "cut off");
        // A header that claims more than the picture, once or in many parts.
        let mut vast = part.clone();
        let frame = vast.windows(2).position(|two| two == [0xff, 0xc0]);
        let frame = frame.expect("a JPEG has a frame");
        vast[frame + 5..frame + 7].copy_from_slice(&60_000_u16.to_be_bytes());
        refused([24, 16], &[vast], "larger than the picture");
        let tables = [&entries([24, 16])[..], &[(347, 7, vec![0; 70_000])]].concat();
        let problem = read(&tiff(true, &tables, &[part]));
        assert!(problem.is_err_and(|e| e.contains("tables larger")));
    }

    #[test]
    fn grey_and_inks_are_read_as_their_profile_means_them() {
        let profile = moxcms::ColorProfile::new_gray_with_gamma(1.0);
        let profile = profile.encode().expect("it can be written");
        let with = |profile: &[u8]| {
            let profile = profile.iter().map(|&byte| u32::from(byte)).collect();
            let own = [(34675, 7, profile)];
            let entries = [&entries([2, 1], 1, 8, 1, 1)[..], &own].concat();
            tiff(true, &entries, &[vec![0, 128]])
        };
        // Half the light is 188 of 255 in sRGB.
        let got = pixels(&with(&profile));
        assert!(
            got[0] == [0, 0, 0, 255] && got[1][0].abs_diff(188) <= 2,
            "{got:?}"
        );
        let large = read(&with(&vec![7; 10 << 20]));
        assert!(large.is_err_and(|e| e.contains("has 10485760 bytes")));
        assert!(read(&with(&[7; 300])).is_err_and(|e| e.contains("is damaged")));
    }

    #[test]
    fn every_cut_is_refused() {
        let values: Vec<u8> = (0..60).collect();
        let mut zip = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zip.write_all(&values).expect("memory takes everything");
        let zip = zip.finish().expect("memory takes everything");
        for (packing, part) in [(1, values), (8, zip)] {
            let whole = tiff(true, &entries([10, 6], 1, 8, 1, packing), &[part]);
            assert!(read(&whole).is_ok());
            for end in 4..whole.len() {
                assert!(read(&whole[..end]).is_err(), "{end} of {}", whole.len());
            }
        }
        // Pixels that lie behind the end, in a file whose header is whole.
        let mut short = tiff(true, &entries([10, 6], 1, 8, 1, 1), &[vec![1; 60]]);
        let entry = short.windows(4).position(|four| four == [0x11, 1, 4, 0]);
        let place = entry.expect("the places of parts are stated") + 8;
        short[place..place + 4].copy_from_slice(&160_u32.to_le_bytes());
        assert!(read(&short).is_err_and(|e| e.contains("cut off")));
    }

    #[test]
    fn what_is_not_read_is_named() {
        let refused = |file: &[u8], why: &str| {
            let problem = read(file);
            assert!(
                problem.as_ref().is_err_and(|e| e.contains(why)),
                "{problem:?}"
            );
        };
        let plain = |kind, bits, samples| {
            tiff(
                true,
                &entries([2, 1], kind, bits, samples, 1),
                &[vec![0; 64]],
            )
        };
        refused(&plain(8, 8, 3), "colours of kind 8");
        refused(&plain(1, 32, 1), "32 bits a sample");
        refused(&plain(2, 8, 9), "9 samples a pixel");
        let wide = entries([1024, 1024], 2, 16, 5, 1);
        refused(&tiff(true, &wide, &[vec![0]]), "come to 10485760 bytes");
        refused(&plain(2, 4, 3), "4 bits a sample and 3 samples");
        refused(&plain(6, 8, 3), "fewer pixels than brightness");
        let with = |more: &[(u16, u16, Vec<u32>)], kind, samples| {
            let entries = [&entries([2, 1], kind, 8, samples, 1)[..], more].concat();
            tiff(true, &entries, &[vec![0; 256]])
        };
        refused(
            &with(&[(339, 3, vec![2])], 1, 1),
            "signed or of floating point",
        );
        refused(&with(&[(338, 3, vec![2])], 5, 5), "inks and transparency");
        refused(&with(&[(332, 3, vec![2])], 5, 4), "other inks than CMYK");
        refused(
            &with(&[(320, 3, vec![0; 6])], 3, 1),
            "a palette of another size",
        );
        let tile = |side: u32| [(322, 4, vec![side]), (323, 4, vec![side])];
        refused(&with(&tile(1 << 30), 1, 1), "tiles much larger");
        let mut apart = entries([2, 1], 2, 8, 3, 1);
        apart.extend(tile(16));
        apart.push((284, 3, vec![2]));
        let parts = [(); 3].map(|()| vec![0; 256]);
        refused(&tiff(true, &apart, &parts), "tiles of single samples");
        refused(
            &tiff(true, &entries([2, 1], 1, 8, 1, 6), &[vec![0; 9]]),
            "not read",
        );
        refused(b"II*\0\x08\0\0\0", "what its samples stand for");
        refused(b"MM\0+\0\x08\0\0", "BigTIFF");
    }
}
