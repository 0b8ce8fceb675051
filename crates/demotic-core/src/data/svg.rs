//! SVG -> pixels: shapes, text in a font of our own, pictures inside the drawing; nothing of other files.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _};
use resvg::usvg::roxmltree::Node;
use resvg::{tiny_skia, usvg};

use super::svg_source::{self, MAX_DRAWING_BYTES};
use super::{DataError, MAX_PICTURE_PIXELS, Picture, font, svg_extent, svg_text, svg_work};
use crate::number::{Real, Whole};
use crate::settings::Fit;

/// Largest radius or coordinate of an arc in a drawing: found by fuzzing, one of 1e90 took all memory.
const MAX_ARC: f64 = 1e9;

/// Most pictures in a drawing.
const MAX_PICTURES: usize = 256;
/// Most pixels of one of them; together they may have [`MAX_PICTURE_PIXELS`].
const MAX_INNER_PIXELS: u64 = 16 << 20;
/// Drawings in drawings, in a row.
const MAX_DRAWING_DEPTH: usize = 4;
/// A drawing with pictures in it is drawn at four times the size, within these bounds, and reduced: the
/// renderer takes single pixels of them.
const REDUCED_FROM_PX: [u32; 2] = [1024, 4096];

impl Picture {
    /// Draws an SVG document from memory into a square, proportions kept: see [`Picture::fitted`]. References
    /// to other files are not followed; `origin` names it in messages.
    pub(crate) fn draw(
        bytes: &[u8],
        size_px: u32,
        fit: Fit,
        origin: &Path,
    ) -> Result<Self, DataError> {
        let Parsed { tree, has_pictures } = parse(bytes, origin)?;
        let size = tree.size();
        let is_square = size.width().to_bits() == size.height().to_bits();
        // Larger than it needs to be: the middle of a long drawing stays sharp.
        let whole = || draw_whole_tree(&tree, 4 * size_px, origin);
        match fit {
            Fit::Mirror | Fit::Crop => return Ok(whole()?.fitted(size_px, fit)),
            Fit::Auto if !is_square => {
                if let Some(continued) = whole()?.continued(size_px) {
                    return Ok(continued);
                }
            }
            Fit::Auto | Fit::Pad => {}
        }
        if !has_pictures {
            return draw_square(&tree, size_px, origin);
        }
        let [least, most] = REDUCED_FROM_PX;
        let side = (4 * size_px).clamp(least, most).max(size_px);
        Ok(draw_square(&tree, side, origin)?.fit(size_px))
    }
}

/// Draws an SVG document at the size it states, enlarged where its longer side is below `least_px`.
pub(super) fn draw_whole(bytes: &[u8], least_px: u32, origin: &Path) -> Result<Picture, DataError> {
    draw_whole_tree(&parse(bytes, origin)?.tree, least_px, origin)
}

fn draw_whole_tree(tree: &usvg::Tree, least_px: u32, origin: &Path) -> Result<Picture, DataError> {
    let size = tree.size();
    let scale = (least_px.to_f32() / size.width().max(size.height())).max(1.0);
    let sides = [size.width(), size.height()].map(|length| (length * scale).round().max(1.0));
    if f64::from(sides[0]) * f64::from(sides[1]) > MAX_PICTURE_PIXELS.to_f64() {
        return Err(DataError::Picture {
            problem: format!(
                "a drawing of {} x {} pixels; at most {} megapixels are drawn: make it smaller",
                sides[0],
                sides[1],
                MAX_PICTURE_PIXELS >> 20
            ),
            path: origin.to_path_buf(),
        });
    }
    draw_tree(tree, sides.map(Whole::to_u32), scale, [0.0, 0.0], origin)
}

fn draw_square(tree: &usvg::Tree, size_px: u32, origin: &Path) -> Result<Picture, DataError> {
    let size = tree.size();
    let side = size_px.to_f32();
    let scale = side / size.width().max(size.height());
    let shift = |length: f32| (side - length * scale) / 2.0;
    draw_tree(
        tree,
        [size_px, size_px],
        scale,
        [shift(size.width()), shift(size.height())],
        origin,
    )
}

/// Draws at `scale` with the corner at `shift`.
fn draw_tree(
    tree: &usvg::Tree,
    sides: [u32; 2],
    scale: f32,
    shift: [f32; 2],
    origin: &Path,
) -> Result<Picture, DataError> {
    let [width_px, height_px] = sides;
    let fail = |problem: String| DataError::Picture {
        problem,
        path: origin.to_path_buf(),
    };
    let transform =
        tiny_skia::Transform::from_scale(scale, scale).post_translate(shift[0], shift[1]);
    svg_work::check(tree, sides, transform).map_err(fail)?;
    let mut pixmap = tiny_skia::Pixmap::new(width_px, height_px).ok_or_else(|| {
        fail(format!(
            "it cannot be drawn at {width_px} x {height_px} pixels"
        ))
    })?;
    resvg::render(tree, transform, &mut pixmap.as_mut());
    Ok(Picture {
        width_px,
        height_px,
        premultiplied: pixmap.take(),
    })
}

/// A drawing, ready to be drawn.
struct Parsed {
    tree: usvg::Tree,
    /// Whether pictures of pixels are in it.
    has_pictures: bool,
}

fn parse(bytes: &[u8], origin: &Path) -> Result<Parsed, DataError> {
    let inner = Mutex::new(Inner::default());
    let parsed = parse_inner(bytes, &inner, 0);
    let inner = inner.into_inner().unwrap_or_else(PoisonError::into_inner);
    let fail = |problem: String| DataError::Picture {
        problem,
        path: origin.to_path_buf(),
    };
    let tree = parsed.map_err(fail)?;
    match inner.fault {
        Some(fault) => Err(fail(format!("a picture in the drawing: {fault}"))),
        None => Ok(Parsed {
            tree,
            has_pictures: inner.pixels > 0,
        }),
    }
}

/// What pictures inside a drawing came to, those of drawings inside it among them.
#[derive(Default)]
struct Inner {
    count: usize,
    bytes: usize,
    pixels: u64,
    /// What is wrong with the first that cannot be read.
    fault: Option<String>,
}

/// `depth`: how many drawings this one lies in.
fn parse_inner(bytes: &[u8], inner: &Mutex<Inner>, depth: usize) -> Result<usvg::Tree, String> {
    if bytes.len() > MAX_DRAWING_BYTES {
        return Err(format!(
            "a drawing of {} bytes; at most {MAX_DRAWING_BYTES} are read",
            bytes.len()
        ));
    }
    let text = svg_source::decoded(bytes)?;
    let document = svg_source::parsed(&text)?;
    if document.descendants().any(|node| has_vast_arc(&node)) {
        return Err(format!(
            "a path has an arc with a number beyond {MAX_ARC}: mend or leave out that path"
        ));
    }
    svg_extent::check(&document)?;
    let resolve_data = |kind: &str, data: Arc<Vec<u8>>, _: &usvg::Options<'_>| {
        read_inner(kind, &data, inner, depth).unwrap_or_else(|fault| {
            let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.fault.get_or_insert(fault);
            None
        })
    };
    let options = usvg::Options {
        image_href_resolver: usvg::ImageHrefResolver {
            resolve_data: Box::new(resolve_data),
            resolve_string: Box::new(|_, _| None),
        },
        font_family: font::FAMILY.to_owned(),
        fontdb: font::database(),
        ..usvg::Options::default()
    };
    usvg::Tree::from_xmltree(&document, &options)
        .map_err(|source| format!("not a drawing that can be read as SVG ({source})"))
}

/// Reads a picture inside a drawing; `None` where its kind is none of those read, which `svg_text` counts.
fn read_inner(
    kind: &str,
    bytes: &[u8],
    inner: &Mutex<Inner>,
    depth: usize,
) -> Result<Option<usvg::ImageKind>, String> {
    if !svg_text::is_read_inside(kind) {
        return Ok(None);
    }
    {
        let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.count += 1;
        inner.bytes += bytes.len();
        if inner.count > MAX_PICTURES || inner.bytes > MAX_DRAWING_BYTES {
            return Err(format!(
                "with it, there are {} of {} bytes; at most {MAX_PICTURES} of {MAX_DRAWING_BYTES} bytes are read",
                inner.count, inner.bytes
            ));
        }
    }
    if kind == svg_text::SVG_KIND {
        if depth == MAX_DRAWING_DEPTH {
            return Err(format!(
                "drawings lie in each other more than {MAX_DRAWING_DEPTH} deep"
            ));
        }
        let tree = parse_inner(bytes, inner, depth + 1)?;
        return Ok(Some(usvg::ImageKind::SVG(tree)));
    }
    let picture = Picture::decoded(bytes, MAX_INNER_PIXELS)?;
    {
        let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.pixels += picture.premultiplied.len() as u64 / 4;
        if inner.pixels > MAX_PICTURE_PIXELS {
            return Err(format!(
                "with it, there are {} pixels in pictures; at most {} megapixels are read",
                inner.pixels,
                MAX_PICTURE_PIXELS >> 20
            ));
        }
    }
    // As the renderer takes it: whole, turned and in sRGB.
    let mut png = Vec::new();
    PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::NoFilter)
        .write_image(
            &picture.straight_rgba(),
            picture.width_px,
            picture.height_px,
            ExtendedColorType::Rgba8,
        )
        .map_err(|source| source.to_string())?;
    Ok(Some(usvg::ImageKind::PNG(Arc::new(png))))
}

/// Whether an element has a path with an arc that would be cut into curves without end: their number grows
/// with its radius.
fn has_vast_arc(node: &Node<'_, '_>) -> bool {
    let is_vast = |segment: svgtypes::PathSegment| match segment {
        svgtypes::PathSegment::EllipticalArc { rx, ry, x, y, .. } => {
            // Also what is no number.
            [rx, ry, x, y]
                .iter()
                .any(|v| v.is_nan() || v.abs() > MAX_ARC)
        }
        _ => false,
    };
    node.attribute("d").is_some_and(|path| {
        svgtypes::PathParser::from(path)
            // What cannot be parsed ends the path, for the renderer too.
            .map_while(Result::ok)
            .any(is_vast)
    })
}
