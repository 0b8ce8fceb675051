//! Style sheets of a drawing: which declarations point at other elements, and how long matching them takes.

use std::collections::BTreeMap;

use resvg::usvg::roxmltree::{Document, Node};

/// Most times that a selector is compared with an element, parents tried among them.
const MAX_MATCHES: u64 = 1 << 29;
/// Most parts of one selector: the library goes from part to part on the stack.
const MAX_PARTS: usize = 64;
/// Letters of a class list that take as long as a selector.
const CLASS_LETTERS: u64 = 64;
/// Most elements that the library takes in, with every `use` laid out.
const MAX_ELEMENTS: u64 = 1_000_000;

/// A rule of a style sheet whose declarations point at other elements.
pub(super) struct Rule {
    /// The last part of one of its selectors.
    selector: String,
    pub(super) body: String,
}

/// The rules of all style sheets that point at other elements.
pub(super) fn rules(document: &Document<'_>) -> Vec<Rule> {
    let text = sheets(document);
    let rules = blocks(&text).filter(|(_, body)| body.contains("url("));
    rules
        .flat_map(|(selectors, body)| {
            selectors.split(',').map(|selector| Rule {
                selector: parts(selector).next_back().unwrap_or_default().to_owned(),
                body: body.to_owned(),
            })
        })
        .collect()
}

/// Holds that matching the style sheets to `laid` elements ends soon.
///
/// # Errors
/// A sentence.
pub(super) fn check(document: &Document<'_>, laid: u64) -> Result<(), String> {
    let text = sheets(document);
    if text.is_empty() {
        return Ok(());
    }
    let laid = laid.min(MAX_ELEMENTS);
    let (mut elements, mut deepest, mut longest) = (0_u64, 0_u64, 0_u64);
    let mut named: BTreeMap<String, u64> = BTreeMap::new();
    // By node, how deep it lies.
    let mut depths: Vec<u64> = Vec::new();
    for node in document.descendants() {
        let depth = node
            .parent()
            .map_or(0, |parent| depths[parent.id().get_usize()] + 1);
        depths.push(depth);
        if !node.is_element() {
            continue;
        }
        elements += 1;
        deepest = deepest.max(depth);
        let mut count = |name: String| *named.entry(name).or_default() += 1;
        count(node.tag_name().name().to_owned());
        if let Some(id) = node.attribute("id") {
            count(format!("#{id}"));
        }
        let classes = node.attribute("class").unwrap_or_default();
        longest = longest.max(classes.len() as u64);
        for class in classes.split_whitespace() {
            count(format!(".{class}"));
        }
    }
    let mut matches = 0_u64;
    for (selectors, _) in blocks(&text) {
        for selector in selectors.split(',') {
            let all: Vec<&str> = parts(selector).collect();
            if all.len() > MAX_PARTS {
                return Err(format!(
                    "a selector of a style sheet has {} parts; at most {MAX_PARTS} are matched",
                    all.len()
                ));
            }
            // Every parent is tried for a part that stands within another, and for each its own parents.
            let known = |part: &str| {
                let plain = part.strip_prefix(['.', '#']).unwrap_or(part);
                let of_name = named.get(part).copied().unwrap_or(0);
                if is_plain(plain) { of_name } else { elements }
            };
            let mut tried = all.last().map_or(0, |last| known(last));
            for part in all.iter().rev().skip(1) {
                tried = tried.saturating_mul(known(part).min(deepest).max(1));
            }
            matches = matches.saturating_add(tried);
            matches = matches.saturating_add(laid * (1 + longest / CLASS_LETTERS));
        }
        if matches > MAX_MATCHES {
            return Err(format!(
                "its style sheets take more than {MAX_MATCHES} steps to match; leave rules out"
            ));
        }
    }
    Ok(())
}

impl Rule {
    /// Whether the rule may be for this element: false only where it surely is not.
    pub(super) fn may_match(&self, node: &Node<'_, '_>) -> bool {
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

/// Whether a name holds nothing but letters, digits, `-` and `_`.
fn is_plain(name: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    !name.is_empty() && name.chars().all(is_letter)
}

/// The text of all style sheets.
fn sheets(document: &Document<'_>) -> String {
    let sheets = document
        .descendants()
        .filter(|node| node.tag_name().name() == "style");
    let text: String = sheets
        .flat_map(|sheet| sheet.children().filter_map(|child| child.text()))
        .collect();
    without_remarks(&text)
}

/// Selectors and declarations of each rule.
fn blocks(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('}').filter_map(|rule| rule.rsplit_once('{'))
}

/// The parts of a selector that stand within or beside each other.
fn parts(selector: &str) -> impl DoubleEndedIterator<Item = &str> {
    let parts = selector.split([' ', '\t', '\r', '\n', '\u{c}', '>', '+', '~', '{']);
    parts.filter(|part| !part.is_empty())
}

/// Names and values.
pub(super) fn declarations(style: &str) -> impl Iterator<Item = (&str, &str)> {
    style.split(';').filter_map(|one| one.split_once(':'))
}

/// Without what stands between `/*` and `*/`.
pub(super) fn without_remarks(style: &str) -> String {
    let mut kept = String::new();
    let mut rest = style;
    while let Some((before, remark)) = rest.split_once("/*") {
        kept += before;
        rest = remark.split_once("*/").map_or("", |(_, after)| after);
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(sheet: &str, content: &str, laid: u64) -> Result<(), String> {
        let svg = format!("<svg><style>{sheet}</style>{content}</svg>");
        check(&Document::parse(&svg).expect("well formed"), laid)
    }

    #[test]
    fn sheets_are_refused_by_how_long_they_take_to_match() {
        let nested = |depth: usize| "<g>".repeat(depth) + "<path/>" + &"</g>".repeat(depth);
        // As icons and maps have them.
        let classes = (0..500)
            .map(|i| format!(".a{i}, g > .b{i}{{fill:red}}"))
            .collect::<Vec<String>>()
            .concat();
        assert_eq!(checked(&classes, &nested(10), 100_000), Ok(()));
        assert_eq!(
            checked("svg g g g path{fill:red}", &nested(20), 1000),
            Ok(())
        );
        let many = "g{fill:red}".repeat(20_000);
        assert!(checked(&many, "<g/>", 1_000_000).is_err_and(|e| e.contains("steps to match")));
        // Each part is tried at each parent of each parent.
        let within = format!("{}path{{fill:red}}", "g ".repeat(10));
        assert!(checked(&within, &nested(200), 201).is_err_and(|e| e.contains("steps to match")));
        assert_eq!(
            checked(
                &format!("{}rect{{fill:red}}", "g ".repeat(10)),
                &nested(200),
                201
            ),
            Ok(())
        );
        let beside = format!("{}g{{fill:red}}", "g+".repeat(100));
        assert!(checked(&beside, "", 1).is_err_and(|e| e.contains("101 parts")));
    }
}
