//! How large a drawing becomes once all that repeats in it is laid out: every `use`, and markers on the
//! points of lines. A few lines of text can stand for billions of elements.

use std::collections::BTreeMap;

use resvg::usvg::roxmltree::{Document, Node, NodeId};

use super::svg_text;
use crate::number::Whole;

/// Most that a drawing may come to: bytes of its attributes and what the constants below add.
const MAX_EXTENT: u64 = 64 << 20;
/// A letter's outlines take this many times the memory of a byte of a path.
const LETTER_EXTENT: u64 = 256;
/// An element takes as much as so many bytes of a path.
const ELEMENT_EXTENT: u64 = 16;
/// A marker on one point takes as much as so many, besides what it holds.
const MARKER_EXTENT: u64 = 1024;
/// Most points that an arc becomes, by the largest that is drawn.
const ARC_POINTS: u64 = 48;
/// Most `use` elements and markers that are laid out to tell.
const MAX_REPEATS: usize = 1 << 20;
/// Most `use` elements and markers that point at each other in a row.
const MAX_DEPTH: usize = 64;

/// Holds that a drawing does not become larger than is drawn.
///
/// # Errors
/// A sentence.
pub(super) fn check(document: &Document<'_>) -> Result<(), String> {
    let whole = Extents::of(document).and_then(Extents::whole);
    match whole {
        Some(extent) if extent <= MAX_EXTENT => Ok(()),
        _ => Err(format!(
            "with every `use` laid out, {MARKER_EXTENT} bytes a marker and {LETTER_EXTENT} bytes a letter of text, the \
             drawing comes to more than {MAX_EXTENT} bytes; leave out what repeats"
        )),
    }
}

/// What stands for other nodes.
enum Repeat {
    /// What it points at is drawn here, and its lines bear these markers, a place in [`Extents::marks`].
    Use { marks: usize },
    /// A marker, so many times.
    Marker { times: u64 },
}

/// A part of a drawing with its repeats laid out.
#[derive(Clone, Copy, Default)]
struct Laid {
    extent: u64,
    /// Points of its lines, which a marker may stand on.
    points: u64,
}

struct Extents<'a> {
    /// Of all nodes before each, in the document's order, nothing laid out.
    before: Vec<Laid>,
    /// By node, in order, what stands there and which of the targets it points at.
    repeats: Vec<(u32, Repeat, usize)>,
    /// First and last node of what can be pointed at.
    targets: Vec<[u32; 2]>,
    /// Targets by name. Of two with one name, `use` takes the first, markers the last.
    first: BTreeMap<&'a str, usize>,
    last: BTreeMap<&'a str, usize>,
    /// Markers that may stand on a line, a set a line of any node; the first is empty.
    marks: Vec<Vec<Mark>>,
    /// Of targets that are known.
    known: Vec<Option<Laid>>,
    /// Targets that are being laid out, one within the other.
    open: Vec<usize>,
    /// Repeats looked at.
    looked_at: usize,
}

impl<'a> Extents<'a> {
    /// Nothing where there are too many repeats to tell.
    fn of(document: &'a Document<'_>) -> Option<Self> {
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
        };
        let has_markers = document
            .descendants()
            .any(|node| node.tag_name().name() == "marker");
        let mut sum = Laid::default();
        for node in document.descendants() {
            sum.extent += own_extent(&node);
            sum.points += if has_markers { points(&node) } else { 0 };
            extents.before.push(sum);
        }
        // Nodes are numbered in the document's order: the last within each, from the last node on.
        let mut last: Vec<u32> = (0..extents.before.len().to_u32() - 1).collect();
        for place in (0..last.len()).rev() {
            let node = document.get_node(NodeId::from(place));
            if let Some(child) = node.and_then(|node| node.last_child()) {
                last[place] = last[child.id().get_usize()];
            }
        }
        for node in document.descendants() {
            if let Some(id) = node.attribute("id") {
                let target = extents.targets.len();
                let place = node.id().get();
                extents.targets.push([place, last[place as usize]]);
                extents.first.entry(id).or_insert(target);
                extents.last.insert(id, target);
            }
        }
        extents.known = vec![None; extents.targets.len()];
        extents.find_repeats(document, has_markers)?;
        Some(extents)
    }

    fn find_repeats(&mut self, document: &'a Document<'_>, has_markers: bool) -> Option<()> {
        let sheet = if has_markers {
            Rule::all_in(document)
        } else {
            Vec::new()
        };
        // By node, its set of markers; children have those of their parents.
        let mut sets: Vec<usize> = Vec::new();
        let mut marks = 0;
        for node in document.descendants() {
            let mut set = node
                .parent()
                .map_or(0, |parent| sets[parent.id().get_usize()]);
            if has_markers {
                let own = self.own_marks(&node, &sheet);
                if !own.is_empty() {
                    let mut all = [&self.marks[set][..], &own].concat();
                    all.sort_unstable();
                    all.dedup();
                    marks += all.len();
                    set = self.marks.len();
                    self.marks.push(all);
                }
            }
            sets.push(set);
            let place = node.id().get();
            if node.tag_name().name() == "use" {
                let name = svg_text::href(&node).and_then(|href| href.trim().strip_prefix('#'));
                if let Some(&target) = name.and_then(|name| self.first.get(name)) {
                    self.repeats
                        .push((place, Repeat::Use { marks: set }, target));
                }
            }
            let points = if set == 0 { 0 } else { points(&node) };
            if points > 0 {
                for mark in &self.marks[set] {
                    let times = if mark.stands == Stands::OnAll {
                        points
                    } else {
                        1
                    };
                    self.repeats
                        .push((place, Repeat::Marker { times }, mark.target));
                }
            }
            if marks + self.repeats.len() > MAX_REPEATS {
                return None;
            }
        }
        Some(())
    }

    /// Markers that an element asks for itself, or by a style sheet.
    fn own_marks(&self, node: &Node<'a, '_>, sheet: &[Rule]) -> Vec<Mark> {
        let mut found = Vec::new();
        let mut add = |name: &str, value: &str| {
            let Some((_, rest)) = value.split_once('#').filter(|_| name.contains("marker")) else {
                return;
            };
            let ends = |letter: char| letter.is_whitespace() || [')', '"', '\''].contains(&letter);
            let id = rest.split(ends).next().unwrap_or_default();
            if let Some(&target) = self.last.get(id) {
                let stands = if name.contains("start") {
                    Stands::AtStart
                } else if name.contains("end") {
                    Stands::AtEnd
                } else {
                    Stands::OnAll
                };
                found.push(Mark { stands, target });
            }
        };
        for attribute in node.attributes() {
            if attribute.name() == "style" {
                declarations(&without_remarks(attribute.value())).for_each(|(n, v)| add(n, v));
            } else if attribute.name().starts_with("marker-") {
                add(attribute.name(), attribute.value());
            }
        }
        for rule in sheet.iter().filter(|rule| rule.may_match(node)) {
            declarations(&rule.body).for_each(|(name, value)| add(name, value));
        }
        found
    }

    /// Extent of the whole; nothing where that is too much to be told.
    fn whole(mut self) -> Option<u64> {
        let whole = [0, self.before.len().to_u32() - 2];
        self.laid_out(whole).map(|(laid, _)| laid.extent)
    }

    /// A range of nodes with its repeats laid out, and the outermost of the open targets that it points at.
    fn laid_out(&mut self, [first, last]: [u32; 2]) -> Option<(Laid, usize)> {
        if self.open.len() > MAX_DEPTH {
            return None;
        }
        let [from, to] = [self.before[first as usize], self.before[last as usize + 1]];
        let mut sum = Laid {
            extent: to.extent - from.extent,
            points: to.points - from.points,
        };
        let mut outermost = usize::MAX;
        let begin = self.repeats.partition_point(|(place, ..)| *place < first);
        let end = self.repeats.partition_point(|(place, ..)| *place <= last);
        for i in begin..end {
            if sum.extent > MAX_EXTENT {
                return None;
            }
            let target = self.repeats[i].2;
            let (laid, reached) = self.target(target)?;
            outermost = outermost.min(reached);
            match self.repeats[i].1 {
                Repeat::Marker { times } => {
                    let each = laid.extent.saturating_add(MARKER_EXTENT);
                    sum.extent = sum.extent.saturating_add(each.saturating_mul(times));
                }
                Repeat::Use { marks } => {
                    sum.extent = sum.extent.saturating_add(laid.extent);
                    sum.points = sum.points.saturating_add(laid.points);
                    for mark in 0..self.marks[marks].len() {
                        let (marker, reached) = self.target(self.marks[marks][mark].target)?;
                        outermost = outermost.min(reached);
                        let each = marker.extent.saturating_add(MARKER_EXTENT);
                        let all = each.saturating_mul(laid.points);
                        sum.extent = sum.extent.saturating_add(all);
                    }
                }
            }
        }
        Some((sum, outermost))
    }

    /// What a target comes to. What points at itself is not drawn.
    fn target(&mut self, target: usize) -> Option<(Laid, usize)> {
        self.looked_at += 1;
        if self.looked_at > MAX_REPEATS {
            return None;
        }
        if let Some(known) = self.known[target] {
            return Some((known, usize::MAX));
        }
        if let Some(place) = self.open.iter().position(|open| *open == target) {
            return Some((Laid::default(), place));
        }
        let own = self.open.len();
        self.open.push(target);
        let (laid, outermost) = self.laid_out(self.targets[target])?;
        self.open.pop();
        if outermost < own {
            // Less than it comes to elsewhere.
            return Some((laid, outermost));
        }
        self.known[target] = Some(laid);
        Some((laid, usize::MAX))
    }
}

/// Where on a line a marker stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stands {
    AtStart,
    AtEnd,
    OnAll,
}

/// A marker that may stand on a line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    stands: Stands,
    target: usize,
}

/// A rule of a style sheet that has to do with markers.
struct Rule {
    /// The last part of one of its selectors.
    selector: String,
    body: String,
}

impl Rule {
    fn all_in(document: &Document<'_>) -> Vec<Self> {
        let sheets = document
            .descendants()
            .filter(|node| node.tag_name().name() == "style");
        let text: String = sheets
            .flat_map(|sheet| sheet.children().filter_map(|child| child.text()))
            .collect();
        let text = without_remarks(&text);
        let mut rules = Vec::new();
        for rule in text.split('}') {
            let Some((selectors, body)) = rule.rsplit_once('{') else {
                continue;
            };
            if !body.contains("marker") {
                continue;
            }
            rules.extend(selectors.split(',').map(|selector| {
                let mut parts = selector.split([' ', '\t', '\r', '\n', '>', '+', '~', '{']);
                let last = parts.rfind(|part| !part.is_empty());
                Self {
                    selector: last.unwrap_or_default().to_owned(),
                    body: body.to_owned(),
                }
            }));
        }
        rules
    }

    /// Whether the rule may be for this element: false only where it surely is not.
    fn may_match(&self, node: &Node<'_, '_>) -> bool {
        let is_plain = |name: &str| {
            let is_letter = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
            !name.is_empty() && name.chars().all(is_letter)
        };
        if let Some(class) = self
            .selector
            .strip_prefix('.')
            .filter(|class| is_plain(class))
        {
            let classes = node.attribute("class").unwrap_or_default();
            return classes.split_whitespace().any(|own| own == class);
        }
        if let Some(id) = self.selector.strip_prefix('#').filter(|id| is_plain(id)) {
            return node.attribute("id") == Some(id);
        }
        !is_plain(&self.selector) || node.tag_name().name() == self.selector
    }
}

/// Names and values.
fn declarations(style: &str) -> impl Iterator<Item = (&str, &str)> {
    style.split(';').filter_map(|one| one.split_once(':'))
}

/// Without what stands between `/*` and `*/`.
fn without_remarks(style: &str) -> String {
    let mut kept = String::new();
    let mut rest = style;
    while let Some((before, remark)) = rest.split_once("/*") {
        kept += before;
        rest = remark.split_once("*/").map_or("", |(_, after)| after);
    }
    kept + rest
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

fn own_extent(node: &Node<'_, '_>) -> u64 {
    if let Some(text) = node.text().filter(|_| node.is_text()) {
        let is_shown = node
            .parent()
            .is_some_and(|parent| svg_text::TEXT_ELEMENTS.contains(&parent.tag_name().name()));
        let letters = if is_shown { LETTER_EXTENT } else { 0 };
        return letters * text.chars().count() as u64;
    }
    let attributes = node.attributes().map(|a| a.value().len() as u64);
    ELEMENT_EXTENT + attributes.sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(content: &str) -> Option<u64> {
        let svg = format!("<svg>{content}</svg>");
        let document = Document::parse(&svg).expect("well formed");
        Extents::of(&document)?.whole()
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
}
