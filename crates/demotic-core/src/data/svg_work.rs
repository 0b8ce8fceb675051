//! What drawing takes, computed from the parsed drawing before it is drawn: pixels worked on, and pixels in
//! memory at once. A filter of one line can ask for hours, a pattern of one line for terabytes.
//!
//! The walk goes where the renderer goes (`resvg`: `render.rs`, `clip.rs`, `mask.rs`, `path.rs`, `image.rs`,
//! `filter/mod.rs`), layer by layer, and stops at the first bound that is passed.

use resvg::tiny_skia::{IntRect, NonZeroRect, Path, PathSegment, Rect, Transform};
use resvg::usvg::{self, filter::Kind};

use crate::number::{Real, Whole};

/// Most work, in pixels that are passed once: about as many nanoseconds.
const MAX_WORK: f64 = 8.0 * (1_u32 << 30) as f64;
/// Most pixels in memory at once, of four bytes each: 1 GiB.
const MAX_HELD: f64 = (256_u32 << 20) as f64;

/// A node that is looked at, besides what it draws.
const NODE: f64 = 64.0;
/// A point of a line that is filled, and one that is stroked.
const FILLED_POINT: f64 = 32.0;
const STROKED_POINT: f64 = 200.0;
/// A dash, of which the renderer makes a million a line at most.
const DASH: f64 = 400.0;
const MAX_DASHES: f64 = 1e6;
/// An edge crosses a row of pixels.
const ROW: f64 = 16.0;
/// A pixel of a layer that is laid on another.
const LAYER: f64 = 6.0;
/// A pixel in a plain colour, of a gradient, of a pattern or picture.
const PLAIN: f64 = 3.0;
const GRADIENT: f64 = 12.0;
const SAMPLED: f64 = 24.0;
/// A pixel of a picture that is unpacked.
const UNPACKED: f64 = 8.0;
/// A pixel of a layer under a clip path or a mask.
const CLIPPED: f64 = 4.0;
const MASKED: f64 = 16.0;
/// A pixel of what any filter step does, and of one that blurs.
const STEP: f64 = 32.0;
const BLUR: f64 = 160.0;
const LIGHT: f64 = 120.0;
/// A pixel of an octave of noise.
const OCTAVE: f64 = 120.0;
/// A pixel that a step looks at around each pixel.
const LOOKED_AT: f64 = 4.0;
/// An earlier step that is looked up by its name.
const NAME: f64 = 2.0;
/// Pixels in memory for each of a filter step while it works.
const STEP_HELD: f64 = 5.0;

/// Holds that drawing `tree` onto a canvas of these sides stays within the bounds.
///
/// # Errors
/// A sentence.
pub(super) fn check(
    tree: &usvg::Tree,
    sides: [u32; 2],
    transform: Transform,
) -> Result<(), String> {
    let fail = |beyond: Beyond| {
        let [width, height] = sides;
        let what = match beyond {
            Beyond::Work => format!(
                "layers, paths, filters, masks and patterns come to the work of more than {MAX_WORK} pixels"
            ),
            Beyond::Held => format!(
                "layers, filters, masks and patterns hold more than {MAX_HELD} pixels at once"
            ),
            Beyond::Reach => "filters reach beyond what can be drawn".to_owned(),
        };
        format!("at {width} x {height} pixels, its {what}; leave some out or make it smaller")
    };
    let mut walk = Walk::default();
    let canvas = Canvas::of(sides.map(f64::from));
    walk.hold(canvas.pixels())
        .and_then(|()| walk.children(tree.root(), &canvas, transform))
        .map_err(fail)
}

/// The bound that is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beyond {
    Work,
    Held,
    /// A rectangle that no whole numbers hold, at which the renderer panics.
    Reach,
}

/// What is drawn on.
struct Canvas {
    sides: [f64; 2],
    /// Layers are cut to this.
    bounds: IntRect,
}

impl Canvas {
    /// A canvas that layers may reach five times as far on each side as it has pixels.
    fn of(sides: [f64; 2]) -> Self {
        let [width, height] = sides.map(|side| side.min(f64::from(i32::MAX / 8)).to_i32());
        let bounds = IntRect::from_xywh(
            -2 * width,
            -2 * height,
            5 * width.unsigned_abs().max(1),
            5 * height.unsigned_abs().max(1),
        );
        Self {
            sides,
            bounds: bounds.expect("sides of a quarter of what whole numbers hold"),
        }
    }

    fn pixels(&self) -> f64 {
        self.sides[0] * self.sides[1]
    }

    /// Pixels of a rectangle that lie on the canvas.
    fn shown(&self, rect: Option<Rect>) -> f64 {
        let Some(rect) = rect else {
            return self.pixels();
        };
        let within = |from: f32, to: f32, side: f64| {
            (f64::from(to).min(side) - f64::from(from).max(0.0) + 1.0).max(0.0)
        };
        within(rect.left(), rect.right(), self.sides[0])
            * within(rect.top(), rect.bottom(), self.sides[1])
    }
}

#[derive(Default)]
struct Walk {
    work: f64,
    held: f64,
}

impl Walk {
    fn add(&mut self, pixels: f64) -> Result<(), Beyond> {
        self.work += pixels;
        // Also what is no number.
        if self.work <= MAX_WORK {
            Ok(())
        } else {
            Err(Beyond::Work)
        }
    }

    fn hold(&mut self, pixels: f64) -> Result<(), Beyond> {
        self.held += pixels;
        if self.held <= MAX_HELD {
            Ok(())
        } else {
            Err(Beyond::Held)
        }
    }

    fn children(
        &mut self,
        parent: &usvg::Group,
        on: &Canvas,
        transform: Transform,
    ) -> Result<(), Beyond> {
        for node in parent.children() {
            self.add(NODE)?;
            match node {
                usvg::Node::Group(group) => self.group(group, on, transform)?,
                usvg::Node::Text(text) => self.group(text.flattened(), on, transform)?,
                usvg::Node::Path(path) if path.is_visible() => {
                    self.fill(path, on, transform)?;
                    self.stroke(path, on, transform)?;
                }
                usvg::Node::Image(image) if image.is_visible() => {
                    self.image(image, on, transform)?;
                }
                usvg::Node::Path(_) | usvg::Node::Image(_) => {}
            }
        }
        Ok(())
    }

    fn group(
        &mut self,
        group: &usvg::Group,
        on: &Canvas,
        transform: Transform,
    ) -> Result<(), Beyond> {
        let transform = transform.pre_concat(group.transform());
        if !group.should_isolate() {
            return self.children(group, on, transform);
        }
        let Some((layer, transform)) = layer_of(group, on, transform) else {
            // The renderer leaves it out.
            return Ok(());
        };
        let pixels = layer.pixels();
        self.hold(pixels)?;
        self.add(pixels * LAYER)?;
        self.children(group, &layer, transform)?;
        for filter in group.filters() {
            self.filter(filter, &layer, transform)?;
        }
        if let Some(clip) = group.clip_path() {
            self.clip(clip, &layer, transform)?;
        }
        if let Some(mask) = group.mask() {
            self.mask(mask, &layer, transform)?;
        }
        self.held -= pixels;
        Ok(())
    }

    fn clip(
        &mut self,
        clip: &usvg::ClipPath,
        on: &Canvas,
        transform: Transform,
    ) -> Result<(), Beyond> {
        let held = on.pixels() * 1.25;
        self.hold(held)?;
        self.add(on.pixels() * CLIPPED)?;
        self.clip_children(clip.root(), on, transform.pre_concat(clip.transform()))?;
        if let Some(inner) = clip.clip_path() {
            self.clip(inner, on, transform)?;
        }
        self.held -= held;
        Ok(())
    }

    fn clip_children(
        &mut self,
        parent: &usvg::Group,
        on: &Canvas,
        transform: Transform,
    ) -> Result<(), Beyond> {
        for node in parent.children() {
            self.add(NODE)?;
            match node {
                usvg::Node::Path(path) if path.is_visible() => self.fill(path, on, transform)?,
                usvg::Node::Text(text) => self.clip_children(text.flattened(), on, transform)?,
                usvg::Node::Group(group) => {
                    let transform = transform.pre_concat(group.transform());
                    let Some(clip) = group.clip_path() else {
                        self.clip_children(group, on, transform)?;
                        continue;
                    };
                    self.hold(on.pixels())?;
                    self.add(on.pixels() * CLIPPED)?;
                    self.clip_children(group, on, transform)?;
                    self.clip(clip, on, transform)?;
                    self.held -= on.pixels();
                }
                usvg::Node::Path(_) | usvg::Node::Image(_) => {}
            }
        }
        Ok(())
    }

    fn mask(&mut self, mask: &usvg::Mask, on: &Canvas, transform: Transform) -> Result<(), Beyond> {
        let held = on.pixels() * 1.5;
        self.hold(held)?;
        self.add(on.pixels() * MASKED)?;
        self.children(mask.root(), on, transform)?;
        if let Some(inner) = mask.mask() {
            self.mask(inner, on, transform)?;
        }
        self.held -= held;
        Ok(())
    }

    fn fill(&mut self, path: &usvg::Path, on: &Canvas, transform: Transform) -> Result<(), Beyond> {
        let Some(fill) = path.fill() else {
            return Ok(());
        };
        let line = Line::of(path.data(), scale_of(transform), on.sides[1]);
        let area =
            line.area * f64::from(transform.sx * transform.sy - transform.kx * transform.ky).abs();
        let shown = on
            .shown(path.data().bounds().transform(transform))
            .min(area + line.length);
        self.add(line.points * FILLED_POINT + line.rows * ROW)?;
        self.paint(fill.paint(), shown, on, transform)
    }

    fn stroke(
        &mut self,
        path: &usvg::Path,
        on: &Canvas,
        transform: Transform,
    ) -> Result<(), Beyond> {
        let Some(stroke) = path.stroke() else {
            return Ok(());
        };
        let scale = scale_of(transform);
        let line = Line::of(path.data(), scale, on.sides[1]);
        let width = f64::from(stroke.width().get()) * scale;
        let dashes = stroke.dasharray().map_or(0.0, |dashes| {
            let period = f64::from(dashes.iter().sum::<f32>()) * scale;
            (line.length / period * dashes.len().to_f64()).clamp(0.0, MAX_DASHES)
        });
        self.add(line.points * STROKED_POINT + dashes * DASH + line.rows * 2.0 * ROW)?;
        let area = (line.length + width * line.points) * (width + 2.0);
        self.paint(stroke.paint(), area.min(on.pixels()), on, transform)
    }

    /// So many pixels in a paint.
    fn paint(
        &mut self,
        paint: &usvg::Paint,
        pixels: f64,
        on: &Canvas,
        transform: Transform,
    ) -> Result<(), Beyond> {
        let pattern = match paint {
            usvg::Paint::Color(_) => return self.add(pixels * PLAIN),
            usvg::Paint::LinearGradient(_) | usvg::Paint::RadialGradient(_) => {
                return self.add(pixels * GRADIENT);
            }
            usvg::Paint::Pattern(pattern) => pattern,
        };
        let (x, y) = transform.pre_concat(pattern.transform()).get_scale();
        let rect = pattern.rect();
        let sides = [rect.width() * x, rect.height() * y].map(|side| f64::from(side.round()));
        let tile = Canvas {
            sides,
            bounds: on.bounds,
        };
        self.hold(tile.pixels())?;
        self.add(tile.pixels() + pixels * SAMPLED)?;
        self.children(pattern.root(), &tile, Transform::from_scale(x, y))?;
        self.held -= tile.pixels();
        Ok(())
    }

    fn image(
        &mut self,
        image: &usvg::Image,
        on: &Canvas,
        transform: Transform,
    ) -> Result<(), Beyond> {
        if let usvg::ImageKind::SVG(tree) = image.kind() {
            let canvas = Canvas::of(on.sides);
            self.hold(canvas.pixels())?;
            self.add(canvas.pixels() * LAYER)?;
            self.children(tree.root(), &canvas, transform)?;
            self.held -= canvas.pixels();
            return Ok(());
        }
        let size = image.size();
        let pixels = f64::from(size.width()) * f64::from(size.height());
        let rect = size.to_rect(0.0, 0.0);
        self.hold(pixels)?;
        let shown = on.shown(rect.and_then(|rect| rect.transform(transform)));
        self.add(pixels * UNPACKED + shown * SAMPLED)?;
        self.held -= pixels;
        Ok(())
    }

    fn filter(
        &mut self,
        filter: &usvg::filter::Filter,
        on: &Canvas,
        transform: Transform,
    ) -> Result<(), Beyond> {
        let [width, height] = on.sides.map(Whole::to_u32);
        let layer = IntRect::from_xywh(0, 0, width, height).ok_or(Beyond::Reach)?;
        let region = whole_numbers(filter.rect(), transform)?;
        let Some(region) = region.and_then(|region| cut(region, layer)) else {
            return Ok(());
        };
        let transform = transform.post_translate(-region.x().to_f32(), -region.y().to_f32());
        let sides = [f64::from(region.width()), f64::from(region.height())];
        let canvas = Canvas {
            sides,
            bounds: IntRect::from_xywh(0, 0, region.width(), region.height())
                .ok_or(Beyond::Reach)?,
        };
        let pixels = canvas.pixels();
        let before = self.held;
        self.hold(pixels * STEP_HELD)?;
        for (step, primitive) in filter.primitives().iter().enumerate() {
            whole_numbers(primitive.rect(), transform)?;
            // What a step gives is kept until the last is done.
            self.hold(pixels)?;
            self.add(step.to_f64() * NAME)?;
            self.add(pixels * weight(primitive.kind(), sides, transform))?;
            if let Kind::Image(image) = primitive.kind() {
                let (x, y) = transform.get_scale();
                self.children(image.root(), &canvas, Transform::from_scale(x, y))?;
            }
        }
        self.held = before;
        Ok(())
    }
}

/// Work on each pixel of a filter step, on a region of these sides.
fn weight(kind: &Kind, sides: [f64; 2], transform: Transform) -> f64 {
    let more = match kind {
        Kind::GaussianBlur(_) => BLUR,
        Kind::DropShadow(_) => BLUR + STEP,
        Kind::DiffuseLighting(_) | Kind::SpecularLighting(_) => LIGHT,
        Kind::Turbulence(noise) => f64::from(noise.num_octaves()) * OCTAVE,
        Kind::Merge(merge) => merge.inputs().len().to_f64() * STEP,
        Kind::Morphology(around) => {
            let (x, y) = transform.get_scale();
            let across = |radius: f32, side: f64| (2.0 * f64::from(radius.round()) + 1.0).min(side);
            let width = across(around.radius_x().get() * x, sides[0]);
            width * across(around.radius_y().get() * y, sides[1]) * LOOKED_AT
        }
        Kind::ConvolveMatrix(step) => {
            let matrix = step.matrix();
            let [columns, rows] = [matrix.columns(), matrix.rows()].map(f64::from);
            // Places left of the region and above it are brought into it by turns of its side.
            let turns = match step.edge_mode() {
                usvg::filter::EdgeMode::Wrap => columns / sides[0] + rows / sides[1],
                _ => 0.0,
            };
            columns * rows * (1.0 + turns) * LOOKED_AT
        }
        _ => 0.0,
    };
    STEP + more
}

/// The layer of a group, and the transform on it; nothing where the renderer draws nothing.
fn layer_of(group: &usvg::Group, on: &Canvas, transform: Transform) -> Option<(Canvas, Transform)> {
    let has_filters = !group.filters().is_empty();
    // Filters are applied before the drawing is turned.
    let turn = if has_filters {
        let (x, y) = (
            transform.sx.hypot(transform.ky),
            transform.kx.hypot(transform.sy),
        );
        Transform::from_row(
            transform.sx / x,
            transform.ky / x,
            transform.kx / y,
            transform.sy / y,
            0.0,
            0.0,
        )
    } else {
        Transform::identity()
    };
    let back = turn.invert()?;
    let bounds = on.bounds.to_rect().transform(back)?.round_out()?;
    let transform = back.pre_concat(transform);
    let rect = group.layer_bounding_box().transform(transform)?;
    let edge = if has_filters { 0 } else { 2 };
    let layer = IntRect::from_xywh(
        (rect.x().floor().to_i32()).checked_sub(edge)?,
        (rect.y().floor().to_i32()).checked_sub(edge)?,
        (rect.width().ceil().max(1.0).to_u32()).checked_add(2 * edge.unsigned_abs())?,
        (rect.height().ceil().max(1.0).to_u32()).checked_add(2 * edge.unsigned_abs())?,
    )?;
    let layer = cut(layer, bounds)?;
    let shift = Transform::from_translate(-layer.x().to_f32(), -layer.y().to_f32());
    let canvas = Canvas {
        sides: [f64::from(layer.width()), f64::from(layer.height())],
        bounds,
    };
    Some((canvas, shift.pre_concat(transform)))
}

/// What two rectangles share.
fn cut(a: IntRect, b: IntRect) -> Option<IntRect> {
    IntRect::from_ltrb(
        a.left().max(b.left()),
        a.top().max(b.top()),
        a.right().min(b.right()),
        a.bottom().min(b.bottom()),
    )
}

/// The rectangle of whole pixels; nothing where the transform leaves none.
fn whole_numbers(rect: NonZeroRect, transform: Transform) -> Result<Option<IntRect>, Beyond> {
    let Some(rect) = rect.transform(transform) else {
        return Ok(None);
    };
    let whole = IntRect::from_xywh(
        rect.x().floor().to_i32(),
        rect.y().floor().to_i32(),
        (rect.width().ceil().to_u32()).max(1),
        (rect.height().ceil().to_u32()).max(1),
    );
    whole.map(Some).ok_or(Beyond::Reach)
}

/// The larger scale of a transform.
fn scale_of(transform: Transform) -> f64 {
    let (x, y) = transform.get_scale();
    f64::from(x.max(y))
}

/// What filling and stroking a path depends on.
#[derive(Default)]
struct Line {
    points: f64,
    /// In pixels.
    length: f64,
    /// Rows of pixels that its edges cross.
    rows: f64,
    /// Area of the triangles that its parts make with its first point, which cover what is filled; in its own
    /// units.
    area: f64,
}

impl Line {
    fn of(path: &Path, scale: f64, height: f64) -> Self {
        let mut line = Self::default();
        let point = |p: resvg::tiny_skia::Point| [f64::from(p.x), f64::from(p.y)];
        let (mut first, mut last) = ([0.0; 2], [0.0; 2]);
        let to = |line: &mut Self, first: [f64; 2], last: &mut [f64; 2], next: [f64; 2]| {
            let [x, y] = [next[0] - last[0], next[1] - last[1]];
            let length = x.hypot(y) * scale;
            line.points += 1.0;
            line.length += length;
            line.rows += length.min(height);
            let corner = [last[0] - first[0], last[1] - first[1]];
            line.area += (corner[0] * y - corner[1] * x).abs() / 2.0;
            *last = next;
        };
        for segment in path.segments() {
            match segment {
                PathSegment::MoveTo(p) => {
                    first = point(p);
                    last = first;
                    line.points += 1.0;
                }
                PathSegment::LineTo(p) => to(&mut line, first, &mut last, point(p)),
                PathSegment::QuadTo(a, p) => {
                    for p in [a, p] {
                        to(&mut line, first, &mut last, point(p));
                    }
                }
                PathSegment::CubicTo(a, b, p) => {
                    for p in [a, b, p] {
                        to(&mut line, first, &mut last, point(p));
                    }
                }
                PathSegment::Close => to(&mut line, first, &mut last, first),
            }
        }
        line
    }
}
