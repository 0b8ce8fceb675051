//! How large a drawing becomes once all that repeats in it is laid out: every `use`, markers on the points of
//! lines, and what clip paths, masks, filters, patterns and gradients stand for. A few lines of text can
//! stand for billions of elements.

use std::collections::BTreeMap;

use resvg::usvg::roxmltree::{Document, Node, NodeId};

use super::svg_sheet::{self, Rule, declarations, without_remarks};
use super::svg_text;
use crate::number::Whole;

/// Most that a drawing may come to: bytes of its attributes and what the constants below add.
const MAX_EXTENT: u64 = 64 << 20;
/// A letter's outlines take this many times the memory of a byte of a path.
const LETTER_EXTENT: u64 = 256;
/// A letter that another element lends.
const LENT_EXTENT: u64 = 2048;
/// In a row of text, each letter for each part of the row that has a style of its own; and for so many
/// letters of the row.
const PART_EXTENT: u64 = 4;
const ROW_LETTERS: u64 = 64;
/// Text that is set by itself, for its font and its letters' places: an element, or a letter at a place of
/// its own.
const SET_EXTENT: u64 = 2048;
/// An element takes as much as so many bytes of a path.
const ELEMENT_EXTENT: u64 = 16;
/// A marker on one point takes as much as so many, besides what it holds.
const MARKER_EXTENT: u64 = 1024;
/// An element of a pattern that is copied for a shape, and of a gradient.
const PATTERN_EXTENT: u64 = 512;
const GRADIENT_EXTENT: u64 = 32;
/// Most points that an arc becomes, by the largest that is drawn.
const ARC_POINTS: u64 = 48;
/// Most elements that are passed, with all that repeats laid out.
const MAX_NODES: u64 = 16 << 20;
/// Most clip paths, masks, filters, gradients and patterns of shapes: the library compares each with each.
const MAX_LINKS: u64 = 1 << 17;
/// Most elements that point at what they lie in: the library looks for them one by one.
const MAX_CIRCLES: usize = 64;
/// Most steps of one filter.
const MAX_STEPS: usize = 1024;
/// Most `use` elements, markers and the like that are laid out to find that out.
const MAX_REPEATS: usize = 1 << 20;
/// Most of them that point at each other in a row.
const MAX_DEPTH: usize = 64;

/// Holds that a drawing does not become larger than is drawn.
///
/// # Errors
/// A sentence.
pub(super) fn check(document: &Document<'_>) -> Result<(), String> {
    let many_steps = |node: &Node<'_, '_>| {
        let mut steps = node.children().filter(Node::is_element);
        node.tag_name().name() == "filter" && steps.nth(MAX_STEPS).is_some()
    };
    if document.descendants().any(|node| many_steps(&node)) {
        return Err(format!(
            "a filter has more than {MAX_STEPS} steps; leave some out"
        ));
    }
    let whole = Extents::of(document).and_then(Extents::whole);
    match whole {
        Err(Beyond::Much) => Err(too_much()),
        Ok(whole) if whole.extent > MAX_EXTENT => Err(too_much()),
        Ok(whole) if whole.nodes > MAX_NODES || whole.links > MAX_LINKS => Err(format!(
            "with all that repeats laid out, the drawing comes to more than {MAX_NODES} elements, or {MAX_LINKS} \
             shapes with a gradient, pattern, clip path, mask or filter; leave some out"
        )),
        Ok(whole) => svg_sheet::check(document, whole.nodes),
        Err(Beyond::Circle) => Err(
            "masks, clip paths, patterns or filters hold each other in a circle; leave one of them out"
                .to_owned(),
        ),
    }
}

fn too_much() -> String {
    format!(
        "with every `use`, mask and pattern laid out, {MARKER_EXTENT} bytes a marker, {LETTER_EXTENT} bytes a letter and \
         {SET_EXTENT} bytes a text, the drawing comes to more than {MAX_EXTENT} bytes; leave out what repeats"
    )
}

/// Why what a drawing comes to cannot be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beyond {
    Much,
    /// The library would go round until the stack is full.
    Circle,
}

/// What stands for other nodes.
enum Repeat {
    /// What it points at is drawn here, and its lines bear these markers and paints, a place in
    /// [`Extents::marks`].
    Use { marks: usize },
    /// A marker, so many times.
    Marker { times: u64 },
    /// A clip path, a mask or a filter, a picture of a part, or where a pattern, gradient or filter takes its
    /// content from.
    Own,
    /// A gradient or pattern of one shape.
    Paint,
    /// The letters of another element.
    Letters,
}

/// A part of a drawing with its repeats laid out.
#[derive(Clone, Copy, Default, Debug)]
struct Laid {
    extent: u64,
    /// Points of its lines, which a marker may stand on.
    points: u64,
    /// Shapes and texts, which a paint may fill.
    shapes: u64,
    /// Elements that the library passes.
    nodes: u64,
    /// Clip paths, masks, filters, gradients and patterns of shapes.
    links: u64,
    /// Letters, shown or not; not laid out.
    letters: u64,
}

impl Laid {
    fn less(self, before: Self) -> Self {
        Self {
            extent: self.extent - before.extent,
            points: self.points - before.points,
            shapes: self.shapes - before.shapes,
            nodes: self.nodes - before.nodes,
            links: self.links - before.links,
            letters: self.letters - before.letters,
        }
    }

    /// Adds another part, so many times.
    fn add(&mut self, other: Self, times: u64) {
        let sum = |own: &mut u64, more: u64| *own = own.saturating_add(more.saturating_mul(times));
        sum(&mut self.extent, other.extent);
        sum(&mut self.points, other.points);
        sum(&mut self.shapes, other.shapes);
        sum(&mut self.nodes, other.nodes);
        sum(&mut self.links, other.links);
    }
}

/// What can be pointed at.
struct Target {
    /// First and last node.
    nodes: [u32; 2],
    kind: TargetKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TargetKind {
    /// The library takes it in once, however many point at it.
    Shared,
    Pattern,
    Gradient,
    /// With a clip path of its own where it is used.
    Window,
    Other,
}

impl TargetKind {
    fn of(node: &Node<'_, '_>) -> Self {
        let of_user = |attribute: &str| node.attribute(attribute) == Some("userSpaceOnUse");
        match node.tag_name().name() {
            "clipPath" if node.attribute("clipPathUnits") != Some("objectBoundingBox") => {
                Self::Shared
            }
            "mask" if of_user("maskUnits") => match node.attribute("maskContentUnits") {
                Some("objectBoundingBox") => Self::Other,
                _ => Self::Shared,
            },
            "filter" if of_user("filterUnits") => match node.attribute("primitiveUnits") {
                Some("objectBoundingBox") => Self::Other,
                _ => Self::Shared,
            },
            "pattern" => Self::Pattern,
            "linearGradient" | "radialGradient" => Self::Gradient,
            "symbol" | "svg" => Self::Window,
            _ => Self::Other,
        }
    }
}

struct Extents<'a> {
    /// The extent of all nodes before each, in the document's order, nothing laid out.
    before: Vec<Laid>,
    /// By node, in order, what stands there and which of the targets it points at.
    repeats: Vec<(u32, Repeat, usize)>,
    targets: Vec<Target>,
    /// Targets by name. Of two with one name, `use` takes the first, all others the last.
    first: BTreeMap<&'a str, usize>,
    last: BTreeMap<&'a str, usize>,
    /// Markers and paints that a line may bear, a set a line of any node; the first is empty.
    marks: Vec<Vec<Mark>>,
    /// The extents of targets that are known.
    known: Vec<Option<Laid>>,
    /// Targets that are being laid out, one within the other, and whether each is a `use` or marker of the
    /// one before, which the library knows to stop at.
    open: Vec<(usize, bool)>,
    /// Repeats looked at.
    looked_at: usize,
    /// Those that point at what they lie in.
    circles: usize,
}

impl<'a> Extents<'a> {
    fn of(document: &'a Document<'_>) -> Result<Self, Beyond> {
        let mut extents = Self {
            before: vec![Laid::default()],
            repeats: Vec::new(),
            targets: Vec::new(),
            first: BTreeMap::new(),
            last: BTreeMap::new(),
            marks: vec![Vec::new()],
            known: Vec::new(),
            open: Vec::new(),
            looked_at: 0,
            circles: 0,
        };
        let has_markers = document
            .descendants()
            .any(|node| node.tag_name().name() == "marker");
        // Nodes are numbered in the document's order: the last within each, from the last node on.
        let count = document.descendants().count();
        let mut last: Vec<u32> = (0..count.to_u32()).collect();
        for place in (0..last.len()).rev() {
            let node = document.get_node(NodeId::from(place));
            if let Some(child) = node.and_then(|node| node.last_child()) {
                last[place] = last[child.id().get_usize()];
            }
        }
        let mut sum = Laid::default();
        // The last node of the text that was looked at; one within another is a part of it.
        let mut of_text = None;
        for node in document.descendants() {
            let place = node.id().get();
            if node.tag_name().name() == "text" && of_text.is_none_or(|last| place > last) {
                sum.extent = sum.extent.saturating_add(rows_extent(&node));
                of_text = Some(last[place as usize]);
            }
            sum.extent = sum.extent.saturating_add(own_extent(&node));
            sum.points += if has_markers { points(&node) } else { 0 };
            sum.shapes += u64::from(is_painted(&node));
            sum.nodes += u64::from(node.is_element());
            sum.letters += own_letters(&node);
            // A drawing within a drawing is cut to its window.
            sum.links += u64::from(TargetKind::of(&node) == TargetKind::Window);
            extents.before.push(sum);
        }
        for node in document.descendants() {
            if let Some(id) = node.attribute("id") {
                let target = extents.targets.len();
                let place = node.id().get();
                extents.targets.push(Target {
                    nodes: [place, last[place as usize]],
                    kind: TargetKind::of(&node),
                });
                extents.first.entry(id).or_insert(target);
                extents.last.insert(id, target);
            }
        }
        extents.known = vec![None; extents.targets.len()];
        extents.find_repeats(document, has_markers)?;
        Ok(extents)
    }

    fn find_repeats(
        &mut self,
        document: &'a Document<'_>,
        has_markers: bool,
    ) -> Result<(), Beyond> {
        let sheet = svg_sheet::rules(document);
        // By node, its set of markers and paints; children have those of their parents.
        let mut sets: Vec<usize> = Vec::new();
        let mut marks = 0;
        for node in document.descendants() {
            let mut set = node
                .parent()
                .map_or(0, |parent| sets[parent.id().get_usize()]);
            let place = node.id().get();
            let own = if self.targets.is_empty() {
                Vec::new()
            } else {
                self.own_marks(&node, &sheet)
            };
            let is_own = |name: &str| has_paint(&node, name);
            let of_parent = self.marks[set].iter().filter(|mark| match mark.stands {
                Stands::Fill => !is_own("fill"),
                Stands::Stroke => !is_own("stroke"),
                Stands::AtStart | Stands::AtEnd | Stands::OnAll => true,
            });
            let of_parent: Vec<Mark> = of_parent.copied().collect();
            if !own.is_empty() || of_parent.len() < self.marks[set].len() {
                let mut all = [&of_parent[..], &own].concat();
                all.sort_unstable();
                all.dedup();
                marks += all.len();
                set = self.marks.len();
                self.marks.push(all);
            }
            sets.push(set);
            if let Some((repeat, target)) = self.by_href(&node, set) {
                self.repeats.push((place, repeat, target));
            }
            let points = if set == 0 || !has_markers {
                0
            } else {
                points(&node)
            };
            if set > 0 && (points > 0 || is_painted(&node)) {
                for mark in &self.marks[set] {
                    let repeat = match mark.stands {
                        Stands::OnAll => Repeat::Marker { times: points },
                        Stands::AtStart | Stands::AtEnd => Repeat::Marker {
                            times: points.min(1),
                        },
                        Stands::Fill | Stands::Stroke => Repeat::Paint,
                    };
                    self.repeats.push((place, repeat, mark.target));
                }
            }
            if marks + self.repeats.len() > MAX_REPEATS {
                return Err(Beyond::Much);
            }
        }
        Ok(())
    }

    /// What an element takes from another by its name.
    fn by_href(&self, node: &Node<'_, '_>, set: usize) -> Option<(Repeat, usize)> {
        let tag = node.tag_name().name();
        let repeat = match tag {
            "use" => Repeat::Use { marks: set },
            "tref" => Repeat::Letters,
            "feImage" | "textPath" | "pattern" | "filter" | "linearGradient" | "radialGradient" => {
                Repeat::Own
            }
            _ => return None,
        };
        let name = svg_text::href(node)?.trim().strip_prefix('#')?;
        let targets = match repeat {
            Repeat::Use { .. } | Repeat::Letters => &self.first,
            _ => &self.last,
        };
        Some((repeat, *targets.get(name)?))
    }

    /// Markers and paints that an element asks for itself, or by a style sheet; its clip paths, masks and
    /// filters become repeats.
    fn own_marks(&mut self, node: &Node<'a, '_>, sheet: &[Rule]) -> Vec<Mark> {
        let (mut marks, mut own) = (Vec::new(), Vec::new());
        let mut add = |name: &str, value: &str| {
            let stands = match name.trim() {
                "fill" => Some(Stands::Fill),
                "stroke" => Some(Stands::Stroke),
                "mask" | "clip-path" | "filter" => None,
                name if !name.contains("marker") => return,
                name if name.contains("start") => Some(Stands::AtStart),
                name if name.contains("end") => Some(Stands::AtEnd),
                _ => Some(Stands::OnAll),
            };
            for part in value.split("url(").skip(1) {
                let ends =
                    |letter: char| letter.is_whitespace() || [')', '"', '\''].contains(&letter);
                let id = part.trim_start_matches(ends).trim_start_matches('#');
                let id = id.split(ends).next().unwrap_or_default();
                match (self.last.get(id), stands) {
                    (Some(&target), Some(stands)) => marks.push(Mark { stands, target }),
                    (Some(&target), None) => own.push(target),
                    (None, _) => {}
                }
            }
        };
        for attribute in node.attributes() {
            if attribute.name() == "style" {
                declarations(&without_remarks(attribute.value())).for_each(|(n, v)| add(n, v));
            } else {
                add(attribute.name(), attribute.value());
            }
        }
        for rule in sheet.iter().filter(|rule| rule.may_match(node)) {
            declarations(&rule.body).for_each(|(name, value)| add(name, value));
        }
        own.sort_unstable();
        own.dedup();
        let place = node.id().get();
        let own = own.into_iter().map(|target| (place, Repeat::Own, target));
        self.repeats.extend(own);
        marks
    }

    /// What the whole comes to.
    fn whole(mut self) -> Result<Laid, Beyond> {
        let whole = [0, self.before.len().to_u32() - 2];
        self.laid_out(whole).map(|(laid, _)| laid)
    }

    /// A range of nodes with its repeats laid out, and the outermost of the open targets that it points at.
    fn laid_out(&mut self, [first, last]: [u32; 2]) -> Result<(Laid, usize), Beyond> {
        if self.open.len() > MAX_DEPTH {
            return Err(Beyond::Much);
        }
        let mut sum = self.before[last as usize + 1].less(self.before[first as usize]);
        let mut outermost = usize::MAX;
        let begin = self.repeats.partition_point(|(place, ..)| *place < first);
        let end = self.repeats.partition_point(|(place, ..)| *place <= last);
        for i in begin..end {
            if sum.extent > MAX_EXTENT || sum.nodes > MAX_NODES {
                return Ok((sum, outermost));
            }
            let target = self.repeats[i].2;
            let is_plain = matches!(
                self.repeats[i].1,
                Repeat::Use { .. } | Repeat::Marker { .. }
            );
            let (laid, reached) = self.target(target, is_plain)?;
            outermost = outermost.min(reached);
            match self.repeats[i].1 {
                Repeat::Marker { times } => sum.add(marker(laid), times),
                Repeat::Paint => sum.add(paint(laid, self.targets[target].kind), 1),
                Repeat::Letters => {
                    sum.extent = sum
                        .extent
                        .saturating_add(laid.letters.saturating_mul(LENT_EXTENT));
                    // The library looks for it from the first element on.
                    sum.nodes = sum.nodes.saturating_add(self.before.len() as u64 / 16);
                }
                Repeat::Own => {
                    let mut own = laid;
                    if self.targets[target].kind == TargetKind::Shared {
                        own.extent = ELEMENT_EXTENT;
                    }
                    own.links = own.links.saturating_add(1);
                    [own.points, own.shapes] = [0, 0];
                    sum.add(own, 1);
                }
                Repeat::Use { marks } => {
                    sum.add(laid, 1);
                    for mark in 0..self.marks[marks].len() {
                        let Mark { stands, target } = self.marks[marks][mark];
                        let is_paint = matches!(stands, Stands::Fill | Stands::Stroke);
                        let (marked, reached) = self.target(target, !is_paint)?;
                        outermost = outermost.min(reached);
                        match stands {
                            Stands::Fill | Stands::Stroke => {
                                sum.add(paint(marked, self.targets[target].kind), laid.shapes);
                            }
                            _ => sum.add(marker(marked), laid.points),
                        }
                    }
                }
            }
        }
        Ok((sum, outermost))
    }

    /// What a target comes to. A `use` and a marker that hold themselves are not drawn; other circles are
    /// refused.
    fn target(&mut self, target: usize, is_plain: bool) -> Result<(Laid, usize), Beyond> {
        self.looked_at += 1;
        if self.looked_at > MAX_REPEATS {
            return Err(Beyond::Much);
        }
        if let Some(known) = self.known[target] {
            return Ok((known, usize::MAX));
        }
        if let Some(place) = self.open.iter().position(|(open, _)| *open == target) {
            self.circles += 1;
            if self.circles > MAX_CIRCLES {
                return Err(Beyond::Much);
            }
            let inner = &self.open[place + 1..];
            if !is_plain || inner.iter().any(|(_, is_plain)| !is_plain) {
                return Err(Beyond::Circle);
            }
            return Ok((Laid::default(), place));
        }
        let own = self.open.len();
        self.open.push((target, is_plain));
        let (laid, outermost) = self.laid_out(self.targets[target].nodes)?;
        self.open.pop();
        if outermost < own {
            // Less than it comes to elsewhere.
            return Ok((laid, outermost));
        }
        self.known[target] = Some(laid);
        Ok((laid, usize::MAX))
    }
}

/// A marker on one point, which is cut to its window.
fn marker(mut laid: Laid) -> Laid {
    laid.extent = laid.extent.saturating_add(MARKER_EXTENT);
    laid.links = laid.links.saturating_add(1);
    [laid.points, laid.shapes] = [0, 0];
    laid
}

/// A gradient or pattern of one shape: what it holds is copied.
fn paint(laid: Laid, kind: TargetKind) -> Laid {
    let each = match kind {
        TargetKind::Pattern => PATTERN_EXTENT,
        TargetKind::Gradient => GRADIENT_EXTENT,
        // What is no paint is not drawn.
        _ => return Laid::default(),
    };
    Laid {
        extent: laid.nodes.saturating_mul(each),
        nodes: laid.nodes,
        links: laid.links.saturating_add(1),
        ..Laid::default()
    }
}

/// Whether an element has a paint of its own, so that it does not take that of its parents.
fn has_paint(node: &Node<'_, '_>, name: &str) -> bool {
    let is_said = |value: &str| value.trim() != "inherit";
    let in_style = |style: &str| {
        declarations(style).any(|(declared, value)| declared.trim() == name && is_said(value))
    };
    node.attribute(name).is_some_and(is_said) || node.attribute("style").is_some_and(in_style)
}

/// Where a marker stands on a line; or what a paint is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stands {
    AtStart,
    AtEnd,
    OnAll,
    Fill,
    Stroke,
}

/// A marker or paint that a line may bear.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    stands: Stands,
    target: usize,
}

/// Most points of the line that an element draws.
fn points(node: &Node<'_, '_>) -> u64 {
    let value = |attribute: &str| node.attribute(attribute).unwrap_or_default();
    match node.tag_name().name() {
        "path" => svgtypes::PathParser::from(value("d"))
            // What cannot be parsed ends the path, for the renderer too.
            .map_while(Result::ok)
            .map(|segment| match segment {
                svgtypes::PathSegment::EllipticalArc { .. } => ARC_POINTS,
                _ => 1,
            })
            .sum(),
        "polyline" | "polygon" => svgtypes::PointsParser::from(value("points")).count() as u64,
        "line" => 2,
        // With its corners rounded.
        "rect" => 10,
        "circle" | "ellipse" => 6,
        _ => 0,
    }
}

/// Whether an element is filled and stroked.
fn is_painted(node: &Node<'_, '_>) -> bool {
    let shapes = [
        "path", "rect", "circle", "ellipse", "line", "polyline", "polygon",
    ];
    let name = node.tag_name().name();
    node.is_element() && (shapes.contains(&name) || svg_text::TEXT_ELEMENTS.contains(&name))
}

/// What rows of text come to beside their letters: the library sets a whole row anew for each of its parts,
/// and looks for each letter among all.
fn rows_extent(text: &Node<'_, '_>) -> u64 {
    let row = |parts: u64, letters: u64| {
        let each = (PART_EXTENT * parts).saturating_add(letters / ROW_LETTERS);
        letters.saturating_mul(each)
    };
    let (mut sum, mut parts, mut letters) = (0_u64, 0, 0);
    for node in text.descendants() {
        if node.has_attribute("x") || node.has_attribute("y") {
            sum = sum.saturating_add(row(parts, letters));
            [parts, letters] = [0, 0];
        }
        if node.is_text() {
            parts += 1;
            letters += own_letters(&node);
        }
    }
    sum.saturating_add(row(parts, letters))
}

fn own_letters(node: &Node<'_, '_>) -> u64 {
    let text = node.text().filter(|_| node.is_text());
    text.map_or(0, |text| text.chars().count() as u64)
}

fn own_extent(node: &Node<'_, '_>) -> u64 {
    if node.is_text() {
        let parent = node.parent().filter(|parent| {
            let name = parent.tag_name().name();
            svg_text::TEXT_ELEMENTS.contains(&name)
        });
        let Some(parent) = parent else {
            return 0;
        };
        let letters = own_letters(node);
        // Places of single letters, by any of the elements around them.
        let places = |list: &str| {
            let has_several = list.bytes().take(64).any(|byte| b" ,\n\t".contains(&byte));
            if has_several {
                list.len() as u64 / 2
            } else {
                1
            }
        };
        let around = parent.ancestors().take_while(|around| {
            let name = around.tag_name().name();
            svg_text::TEXT_ELEMENTS.contains(&name)
        });
        let lists = around.flat_map(|around| ["x", "y"].map(|name| around.attribute(name)));
        let most = lists.flatten().map(places).max().unwrap_or(1);
        let set = letters.min(most).max(1);
        return letters * LETTER_EXTENT + set * SET_EXTENT;
    }
    let attributes = node.attributes().map(|a| a.value().len() as u64);
    ELEMENT_EXTENT + attributes.sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid(content: &str) -> Result<Laid, Beyond> {
        let svg = format!("<svg>{content}</svg>");
        let document = Document::parse(&svg).expect("well formed");
        Extents::of(&document)?.whole()
    }

    fn extent(content: &str) -> Option<u64> {
        laid(content).ok().map(|laid| laid.extent)
    }

    fn checked(content: &str) -> Result<(), String> {
        check(&Document::parse(&format!("<svg>{content}</svg>")).expect("well formed"))
    }

    /// What a marker of nothing and its uses add, with the attributes left out on both sides.
    fn added(content: &str) -> u64 {
        let plain = content
            .replace("<marker ", "<other ")
            .replace("</marker", "</other");
        let [with, without] = [content, &plain].map(|svg| extent(svg).expect("not too much"));
        with - without
    }

    #[test]
    fn markers_count_for_each_point_that_they_stand_on() {
        let marker = "<marker id='m'></marker>";
        // An element and its name.
        let each = MARKER_EXTENT + ELEMENT_EXTENT + 1;
        for (shape, times) in [
            ("<path marker-mid='url(#m)' d='M0 0 1 1 2 2 3 3'/>", 4),
            ("<path marker-mid=\"url('#m')\" d='M0 0h9v9z'/>", 4),
            (
                "<path marker-start='url(#m)' marker-end='url(#m)' d='M0 0h9v9z'/>",
                2,
            ),
            ("<path style='fill:red;marker:url(#m)' d='M0 0h9v9z'/>", 4),
            (
                "<path style='/*;*/marker-mid:/*;*/url(#m)' d='M0 0h9v9z'/>",
                4,
            ),
            ("<polyline marker-mid='url(#m)' points='0,0 1,1 2,2'/>", 3),
            ("<g marker-mid='url(#m)'><line/><path d='M0 0h9'/></g>", 4),
            (
                "<g marker-mid='url(#m)'><use href='#p'/></g><path id='p' d='M0 0h9v9z'/>",
                4,
            ),
            (
                "<style>.a, .b>path {marker-mid:url(#m)}</style><path d='M0 0h9'/>",
                2,
            ),
            ("<style>.a{marker-mid:url(#m)}</style><path d='M0 0h9'/>", 0),
            (
                "<style>.a{marker-mid:url(#m)}</style><path class='b a' d='M0 0h9'/>",
                2,
            ),
            (
                "<style>@media x {path {marker:url(#m)}}</style><path d='M0 0h9'/>",
                2,
            ),
            ("<path marker-mid='url(#n)' d='M0 0 1 1 2 2 3 3'/>", 0),
            ("<path fill='url(#m)' d='M0 0 1 1 2 2 3 3'/>", 0),
            (
                "<path marker-mid='url(#m)' d='M0 0a9 9 0 1 0 5 7'/>",
                1 + ARC_POINTS,
            ),
        ] {
            let got = added(&format!("{marker}{shape}"));
            assert_eq!(got, times * each, "{shape}");
        }
    }

    #[test]
    fn markers_on_markers_multiply_and_those_on_themselves_do_not() {
        let line = "M0 0".to_owned() + &"h1".repeat(98);
        let path = |mark: &str| format!("<path marker-mid='url(#{mark})' d='{line}'/>");
        let marker = |id: &str, inner: &str| format!("<marker id='{id}'>{inner}</marker>");
        let m0 = marker("a", "");
        let m1 = marker("b", &path("a"));
        let one = extent(&format!("{m0}{m1}")).expect("not too much");
        assert!(
            (99 * MARKER_EXTENT..120 * MARKER_EXTENT).contains(&one),
            "{one}"
        );
        let two = extent(&format!("{m0}{m1}{}", path("b"))).expect("not too much");
        assert!(
            (9_900 * MARKER_EXTENT..11_000 * MARKER_EXTENT).contains(&two),
            "{two}"
        );
        let m2 = marker("c", &path("b"));
        let three = extent(&format!("{m0}{m1}{m2}{}", path("c")));
        assert!(three.is_none_or(|extent| extent > MAX_EXTENT));
        // On itself it is not drawn; two that stand on each other are, once, in whatever order.
        let own = extent(&marker("a", &path("a"))).expect("not too much");
        assert!(own < MAX_EXTENT, "{own}");
        let [a, b] = [marker("a", &path("b")), marker("b", &path("a"))];
        for content in [
            format!("{a}{b}{}", path("a")),
            format!("{a}{b}{}", path("b")),
        ] {
            assert!(extent(&content).is_none_or(|extent| extent > MAX_EXTENT));
        }
    }

    #[test]
    fn of_two_targets_with_one_name_the_larger_cannot_hide() {
        let large = format!("<path id='p' d='{}'/>", "h1".repeat(1000));
        let used = format!("{large}<g id='p'/>{}", "<use href='#p'/>".repeat(100));
        assert!(extent(&used).is_some_and(|extent| extent > 200_000));
        let line = format!("<path marker-mid='url(#m)' d='M0 0{}'/>", "h1".repeat(99));
        let marked = format!("<marker id='m'/><marker id='m'>{large}</marker>{line}");
        assert!(extent(&marked).is_some_and(|extent| extent > 300_000));
    }

    /// Ten elements of ten others each, so many levels deep.
    fn levels(count: usize, of: impl Fn(usize, &str) -> String) -> String {
        let all = (1..=count).map(|level| of(level, &(level - 1).to_string()));
        all.collect()
    }

    #[test]
    fn what_stands_for_other_elements_multiplies() {
        let (last, path) = ("<path mask='url(#m9)' d='M0 0h9v9z'/>", "d='M0 0h9v9z'");
        let own = |units: &str| {
            let mask = |level: usize, inner: &str| {
                let paths = format!("<path mask='url(#m{inner})' {path}/>").repeat(10);
                format!("<mask id='m{level}' {units}>{paths}</mask>")
            };
            format!(
                "<mask id='m0'><path {path}/></mask>{}{last}",
                levels(9, mask)
            )
        };
        assert!(checked(&own("")).is_err_and(|e| e.contains("every `use`")));
        // What the library takes in once it still passes each time.
        let shared = checked(&own("maskUnits='userSpaceOnUse'"));
        assert!(shared.is_err_and(|e| e.contains("elements")));
        let clip = |level: usize, inner: &str| {
            let paths = format!("<path clip-path='url(#c{inner})' {path}/>").repeat(10);
            format!("<clipPath id='c{level}'>{paths}</clipPath>")
        };
        assert!(
            checked(&format!(
                "<clipPath id='c0'><path {path}/></clipPath>{}",
                levels(9, clip)
            ))
            .is_err()
        );
        let pattern = |level: usize, inner: &str| {
            let paths = format!("<path style='fill: url(#p{inner})' {path}/>").repeat(10);
            format!("<pattern id='p{level}'>{paths}</pattern>")
        };
        assert!(
            checked(&format!(
                "<pattern id='p0'><path {path}/></pattern>{}",
                levels(9, pattern)
            ))
            .is_err()
        );
        let image = |level: usize, inner: &str| {
            let images = format!("<feImage href='#e{inner}'/>").repeat(10);
            format!(
                "<filter id='f{level}'>{images}</filter><path id='e{level}' filter='url(#f{level})' {path}/>"
            )
        };
        assert!(checked(&format!("<path id='e0' {path}/>{}", levels(9, image))).is_err());
        // Three levels are no harm.
        assert_eq!(
            checked(&format!(
                "<pattern id='p0'><path {path}/></pattern>{}",
                levels(3, pattern)
            )),
            Ok(())
        );
    }

    #[test]
    fn paints_count_for_each_shape_and_what_is_shared_once() {
        let stops = |count: usize| {
            format!(
                "<linearGradient id='g'>{}</linearGradient>",
                "<stop/>".repeat(count)
            )
        };
        let paths = |count: usize| "<path/>".repeat(count);
        let of = |content: &str| laid(content).expect("not too much");
        let one = of(&(stops(8) + &paths(100)));
        for painted in [
            format!("<g fill='url(#g)'>{}</g>", paths(100)),
            "<path style='stroke:url(#g)'/>".repeat(100),
            "<style>path{fill:url('#g')}</style>".to_owned() + &paths(100),
            format!(
                "<g id='a'>{}</g><use href='#a' fill='url(#g)'/>",
                paths(100)
            ),
        ] {
            let all = of(&(stops(8) + &painted));
            assert_eq!(all.links - one.links, 100, "{painted}");
            assert!(
                all.extent - one.extent >= 100 * 9 * GRADIENT_EXTENT,
                "{painted}"
            );
        }
        let clip = |units: &str| {
            let content = format!(
                "<clipPath id='c' {units}><path d='{}'/></clipPath>",
                "h1".repeat(50_000)
            );
            content + &"<g clip-path='url(#c)'/>".repeat(1000)
        };
        assert_eq!(checked(&clip("")), Ok(()));
        assert!(checked(&clip("clipPathUnits='objectBoundingBox'")).is_err());
        let many = |count: usize| checked(&(stops(2) + &"<path fill='url(#g)'/>".repeat(count)));
        assert_eq!(many(100_000), Ok(()));
        assert!(many(150_000).is_err_and(|e| e.contains("131072 shapes")));
    }

    #[test]
    fn circles_are_refused_where_the_library_would_not_see_them() {
        let is_circle = |content: &str| laid(content).is_err_and(|fault| fault == Beyond::Circle);
        let mask =
            |id: &str, inner: &str| format!("<mask id='{id}'><path mask='url(#{inner})'/></mask>");
        let [a, b, c] = [mask("a", "b"), mask("b", "c"), mask("c", "a")];
        assert!(is_circle(&format!("{a}{b}{c}")));
        let pattern = "<pattern id='p'><path mask='url(#m)'/></pattern>";
        assert!(is_circle(&format!(
            "{pattern}<mask id='m'><path fill='url(#p)'/></mask>"
        )));
        let image =
            "<filter id='f'><feImage href='#e'/></filter><g id='e'><path filter='url(#f)'/></g>";
        assert!(is_circle(image));
        // A paint that is taken from the parents of the pattern, and one that is not.
        let inherited = |fill: &str| {
            format!("<g fill='url(#p)'><pattern id='p'><path {fill}/></pattern><path/></g>")
        };
        assert!(is_circle(&inherited("")));
        assert!(is_circle(&inherited("style='fill:inherit'")));
        assert_eq!(checked(&inherited("fill='red'")), Ok(()));
        assert_eq!(checked(&inherited("style='fill: red'")), Ok(()));
        assert_eq!(
            checked("<g id='a'><use href='#b'/></g><g id='b'><use href='#a'/></g>"),
            Ok(())
        );
    }

    #[test]
    fn texts_circles_rows_and_steps_have_their_bounds() {
        let texts = |count: usize| {
            checked(&format!(
                "<text id='t'>a</text>{}",
                "<use href='#t'/>".repeat(count)
            ))
        };
        assert_eq!(texts(1000), Ok(()));
        assert!(texts(100_000).is_err_and(|e| e.contains("bytes a text")));
        let placed =
            |places: &str| checked(&format!("<text x='{places}'>{}</text>", "a".repeat(50_000)));
        assert_eq!(placed("5"), Ok(()));
        assert!(placed(&"5 ".repeat(100_000)).is_err());
        // A row takes the square of its letters, and its letters for each of its parts.
        let row = |letters: usize| checked(&format!("<text>{}</text>", "a".repeat(letters)));
        assert_eq!(row(20_000), Ok(()));
        assert!(row(80_000).is_err_and(|e| e.contains("bytes a text")));
        let parts = |count: usize, attributes: &str| {
            let part = format!("<tspan {attributes}>word </tspan>");
            checked(&format!("<text>{}</text>", part.repeat(count)))
        };
        assert_eq!(parts(500, ""), Ok(()));
        assert!(parts(3000, "").is_err());
        assert_eq!(parts(3000, "x='3'"), Ok(()));
        let lent = |count: usize| {
            let words = format!("<desc id='d'>{}</desc>", "a".repeat(1000));
            checked(&(words + "<text>" + &"<tref href='#d'/>".repeat(count) + "</text>"))
        };
        assert_eq!(lent(10), Ok(()));
        assert!(lent(1000).is_err());
        let itself = |count: usize| {
            let uses = "<use href='#g'/>".repeat(count);
            checked(&format!("<g id='g'>{uses}</g>"))
        };
        assert_eq!(itself(3), Ok(()));
        assert!(itself(1000).is_err());
        let row = (0..1000)
            .map(|i| format!("<mask id='m{i}'><path mask='url(#m{})'/></mask>", i + 1))
            .collect::<Vec<String>>()
            .concat();
        assert!(checked(&row).is_err());
        let filter =
            |count: usize| checked(&format!("<filter>{}</filter>", "<feOffset/>".repeat(count)));
        assert_eq!(filter(1024), Ok(()));
        assert!(filter(1025).is_err_and(|e| e.contains("1024 steps")));
    }
}
