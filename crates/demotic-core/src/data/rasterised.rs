//! Every picture of a data set at one size, from the cache where that has them; what cannot be read is
//! collected.

use rayon::prelude::*;

use super::cache::{self, BlockKey, RASTERISER_VERSION};
use super::drawing::{Drawing, Format};
use super::source::{ContentItem, Contents, StyleContents};
use super::summary::LeftOut;
use super::{DataError, DatasetOptions, svg_text};
use crate::settings::Damaged;
use demotic_crf::hash::{fnv1a64, fnv1a64_from};

/// The pictures of a data set, read.
#[derive(Default)]
pub(super) struct Rasterised {
    /// By style.
    pub(super) pixels: Vec<Vec<u8>>,
    /// Hash of each style's drawings.
    pub(super) hashes: Vec<u64>,
    pub(super) left_out: Vec<LeftOut>,
    /// Sentences on what of drawings is not drawn.
    pub(super) not_drawn: Vec<String>,
}

/// Reads every picture; damaged ones leave `contents` where that is asked for.
///
/// # Errors
/// [`DataError::Picture`] or [`DataError::Pictures`], with all that cannot be read.
pub(super) fn rasterise(
    contents: &mut Contents,
    options: &DatasetOptions,
) -> Result<Rasterised, DataError> {
    let (mut all, mut faults) = (Rasterised::default(), Vec::new());
    for style in &mut contents.styles {
        let read = rasterise_style(&contents.items, style, options);
        all.pixels.push(read.pixels);
        all.hashes.push(read.hash);
        let name = &style.info.name;
        let not_drawn = svg_text::not_drawn_in_words(&read.not_drawn);
        if !not_drawn.is_empty() {
            all.not_drawn.push(format!(
                "{name}: not everything in drawings is drawn: {}",
                not_drawn.join(", ")
            ));
        }
        for (item, fault) in read.damaged {
            style.drawings[item] = None;
            style.info.pictures -= 1;
            all.left_out.push(LeftOut {
                style: name.clone(),
                name: contents.items[item].key.clone(),
                problem: fault.to_string(),
            });
            faults.push(fault);
        }
    }
    if options.damaged == Damaged::Refuse && !faults.is_empty() {
        return Err(DataError::of_pictures(faults));
    }
    Ok(all)
}

/// The pictures of one style, read.
struct StyleRead {
    pixels: Vec<u8>,
    /// Hash of the drawings.
    hash: u64,
    /// Items that cannot be read.
    damaged: Vec<(usize, DataError)>,
    /// For each drawing in vectors, what is not drawn.
    not_drawn: Vec<u8>,
}

/// Reads a style's pictures, from the cache where that has them.
fn rasterise_style(
    items: &[ContentItem],
    style: &StyleContents,
    options: &DatasetOptions,
) -> StyleRead {
    let present: Vec<(usize, &Drawing)> = style
        .drawings
        .iter()
        .enumerate()
        .filter_map(|(item, drawing)| Some((item, drawing.as_ref()?)))
        .collect();
    let (hashes, not_drawn): (Vec<Result<u64, DataError>>, Vec<u8>) = present
        .par_iter()
        .map(|(_, drawing)| match drawing.read() {
            Ok(bytes) if drawing.format == Format::Svg => {
                (Ok(fnv1a64(&bytes)), svg_text::not_drawn(&bytes))
            }
            Ok(bytes) => (Ok(fnv1a64(&bytes)), 0),
            Err(fault) => (Err(fault), 0),
        })
        .unzip();
    let folder = options.cache.folder();
    let whole: Option<Vec<(usize, &Drawing, u64)>> = present
        .iter()
        .zip(&hashes)
        .map(|(&(item, drawing), hash)| Some((item, drawing, *hash.as_ref().ok()?)))
        .collect();
    if let Some(whole) = whole {
        let (hash, key) = block_key(items, &whole, options);
        if let Some(pixels) = folder.as_ref().and_then(|folder| cache::read(folder, key)) {
            return StyleRead {
                pixels,
                hash,
                damaged: Vec::new(),
                not_drawn,
            };
        }
    }
    let len = options.size_px as usize * options.size_px as usize * 4;
    let mut pixels = vec![0; present.len() * len];
    let read: Vec<Result<u64, DataError>> = pixels
        .par_chunks_mut(len)
        .zip(&present)
        .zip(hashes)
        .map(|((pixels, (_, drawing)), hash)| {
            let hash = hash?;
            pixels.copy_from_slice(
                &drawing
                    .rasterise(options.size_px, options.fit)?
                    .premultiplied,
            );
            Ok(hash)
        })
        .collect();
    let (mut kept, mut damaged) = (Vec::new(), Vec::new());
    for (place, (&(item, drawing), read)) in present.iter().zip(read).enumerate() {
        match read {
            Ok(hash) => {
                pixels.copy_within(place * len..(place + 1) * len, kept.len() * len);
                kept.push((item, drawing, hash));
            }
            Err(fault) => damaged.push((item, fault)),
        }
    }
    pixels.truncate(kept.len() * len);
    let (hash, key) = block_key(items, &kept, options);
    if let Some(folder) = &folder {
        cache::write(folder, key, &pixels);
    }
    StyleRead {
        pixels,
        hash,
        damaged,
        not_drawn,
    }
}

/// The hash of a style's drawings, and where the cache has their pixels.
fn block_key(
    items: &[ContentItem],
    drawings: &[(usize, &Drawing, u64)],
    options: &DatasetOptions,
) -> (u64, BlockKey) {
    let content = drawings
        .iter()
        .fold(fnv1a64(b""), |hash, (item, _, drawing)| {
            let hash = fnv1a64_from(hash, items[*item].key.as_bytes());
            fnv1a64_from(hash, &drawing.to_le_bytes())
        });
    // The same bytes under another ending go to another reader, which may refuse them.
    let readers: Vec<u8> = drawings.iter().map(|(_, d, _)| d.format as u8).collect();
    let kept = fnv1a64_from(content, &RASTERISER_VERSION.to_le_bytes());
    let key = BlockKey {
        content: fnv1a64_from(fnv1a64_from(kept, &readers), options.fit.name().as_bytes()),
        size_px: options.size_px,
        pictures: drawings.len(),
    };
    (content, key)
}
