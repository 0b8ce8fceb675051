//! Bytes of an SVG file -> its text, whatever it is packed and encoded in -> its elements. Before the XML
//! parser takes it, what entities come to once they are written out, attributes of one element and declared
//! names are held within bounds.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use resvg::usvg::roxmltree::{Document, ParsingOptions};

use super::foreign;

/// Most bytes of a drawing (SVG) that is parsed.
pub(super) const MAX_DRAWING_BYTES: usize = 16 << 20;
/// Most nodes of a drawing: twice the elements that are drawn, for what stands between them.
const MAX_NODES: u32 = 2 << 20;

/// Most attributes of one element: the parser compares each with each.
const MAX_ATTRIBUTES: usize = 1024;
/// Most copies of declared name spaces: each element that declares one has those of its parents.
const MAX_COPIES: u64 = 1 << 24;
/// Most entities that stand in each other.
const MAX_DEPTH: usize = 10;

/// The text of a drawing: UTF-8, UTF-16 by its mark or its first letter, Latin-1 where the document says so;
/// also gzipped.
///
/// # Errors
/// A sentence for what is none of these, or larger than [`MAX_DRAWING_BYTES`].
pub(super) fn decoded(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    if let Some(ending) = foreign::pixels(bytes) {
        return Err(format!(
            "a picture of pixels, not a drawing: let its name end in {ending}"
        ));
    }
    let unpacked = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut content = Vec::new();
        let limit = MAX_DRAWING_BYTES as u64 + 1;
        flate2::read::MultiGzDecoder::new(bytes)
            .take(limit)
            .read_to_end(&mut content)
            .map_err(|e| format!("a gzipped drawing that is damaged or cut off ({e})"))?;
        Cow::Owned(content)
    } else {
        Cow::Borrowed(bytes)
    };
    if unpacked.len() > MAX_DRAWING_BYTES {
        return Err(format!(
            "a drawing of more than {MAX_DRAWING_BYTES} bytes; no more are read"
        ));
    }
    let wide = |of: fn([u8; 2]) -> u16, start: usize| {
        let units: Vec<u16> = unpacked[start..]
            .as_chunks()
            .0
            .iter()
            .map(|&pair| of(pair))
            .collect();
        String::from_utf16(&units)
            .map(Cow::Owned)
            .map_err(|_unpaired| {
                "not a drawing that can be read as SVG (damaged UTF-16)".to_owned()
            })
    };
    match &unpacked[..] {
        [0xff, 0xfe, ..] => return wide(u16::from_le_bytes, 2),
        [0xfe, 0xff, ..] => return wide(u16::from_be_bytes, 2),
        [b'<', 0, ..] => return wide(u16::from_le_bytes, 0),
        [0, b'<', ..] => return wide(u16::from_be_bytes, 0),
        _ => {}
    }
    if says_latin_1(&unpacked) {
        return Ok(Cow::Owned(
            unpacked.iter().map(|&byte| char::from(byte)).collect(),
        ));
    }
    let fail = |e: std::str::Utf8Error| format!("not a drawing that can be read as SVG ({e})");
    match unpacked {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(fail),
        Cow::Owned(bytes) => String::from_utf8(bytes)
            .map(Cow::Owned)
            .map_err(|e| fail(e.utf8_error())),
    }
}

/// Whether the XML declaration names Latin-1, or the code page of Windows that holds it: they differ in marks
/// that no outline needs.
fn says_latin_1(bytes: &[u8]) -> bool {
    let head = bytes.get(..bytes.len().min(100)).unwrap_or_default();
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let declaration = head.split("?>").next().unwrap_or_default();
    declaration.trim_start().starts_with("<?xml")
        && ["iso-8859-1", "latin1", "latin-1", "windows-1252"]
            .iter()
            .any(|name| declaration.contains(name))
}

/// Parses a drawing's text; a mark that it begins with is no part of it.
///
/// # Errors
/// A sentence.
pub(super) fn parsed(text: &str) -> Result<Document<'_>, String> {
    let text = text.trim_start_matches('\u{feff}');
    // A web page is no XML, and the parser's words would be about its marks.
    let is_page = ["<!doctype html", "<html"].iter().any(|mark| {
        let head = text.trim_start().get(..mark.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(mark))
    });
    if is_page {
        return Err("a web page, saved in place of the drawing: save the drawing itself".into());
    }
    check(text)?;
    let parsing = ParsingOptions {
        allow_dtd: true,
        nodes_limit: MAX_NODES,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(text, parsing)
        .map_err(|source| format!("not a drawing that can be read as SVG ({source})"))
}

/// Holds that a drawing's text can be parsed in time and memory.
///
/// # Errors
/// A sentence.
fn check(text: &str) -> Result<(), String> {
    if most_attributes(text) > MAX_ATTRIBUTES {
        return Err(format!(
            "an element has more than {MAX_ATTRIBUTES} attributes; leave some out"
        ));
    }
    let entities = Entities::of(text);
    let written_out = entities.written_out(text);
    if written_out > MAX_DRAWING_BYTES as u64 {
        return Err(format!(
            "with its entities written out, a drawing of more than {MAX_DRAWING_BYTES} bytes; no more are read"
        ));
    }
    let declared: Vec<&str> = text
        .split("xmlns:")
        .skip(1)
        .filter_map(|rest| rest.split('=').next())
        .collect();
    let names: BTreeSet<&str> = declared.iter().copied().collect();
    // Those that stand in entities are declared as often as these are used.
    let times = 1 + entities.uses_of_declarations(text);
    let copies = (declared.len() as u64).saturating_mul(names.len() as u64);
    if copies.saturating_mul(times) > MAX_COPIES {
        return Err(format!(
            "{} declarations of {} name spaces; leave out what is not used",
            declared.len(),
            names.len()
        ));
    }
    Ok(())
}

/// Most attributes in one tag, remarks and literal text left out.
fn most_attributes(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut most, mut at) = (0, 0);
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('<')) {
        at += found + 1;
        let skipped = [("!--", "-->"), ("![CDATA[", "]]>")];
        let ends = skipped
            .iter()
            .find(|(begins, _)| text[at..].starts_with(begins));
        if let Some((_, ends)) = ends {
            at = text[at..]
                .find(ends)
                .map_or(bytes.len(), |found| at + found);
            continue;
        }
        if !bytes
            .get(at)
            .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80 || b"_:".contains(byte))
        {
            continue;
        }
        let (mut count, mut quote) = (0, None);
        while let Some(&byte) = bytes.get(at) {
            match quote {
                Some(open) if open == byte => quote = None,
                Some(_) => {}
                None => match byte {
                    b'"' | b'\'' => quote = Some(byte),
                    b'=' => count += 1,
                    b'>' | b'<' => break,
                    _ => {}
                },
            }
            at += 1;
        }
        most = most.max(count);
    }
    most
}

/// Entities that a drawing declares, by name.
struct Entities<'a> {
    values: BTreeMap<&'a str, &'a str>,
}

impl<'a> Entities<'a> {
    fn of(text: &'a str) -> Self {
        let mut values = BTreeMap::new();
        for declaration in text.split("<!ENTITY").skip(1) {
            let mut words = declaration.split_whitespace();
            let name = words.next().unwrap_or_default();
            let quoted = declaration.split_once(['"', '\'']).and_then(|(before, _)| {
                let quote = declaration[before.len()..].chars().next()?;
                declaration[before.len() + 1..].split(quote).next()
            });
            // The parser takes the first of two with one name.
            values.entry(name).or_insert(quoted.unwrap_or_default());
        }
        Self { values }
    }

    /// The names of the entities that stand in a text.
    fn used(&self, text: &'a str) -> impl Iterator<Item = &'a str> {
        let parts = text.split('&').skip(1);
        parts.filter_map(|part| {
            let (name, _) = part.split_once(';')?;
            self.values.get_key_value(name).map(|(known, _)| *known)
        })
    }

    /// Bytes of the text with every entity written out; looking each up counts as well.
    fn written_out(&self, text: &'a str) -> u64 {
        if self.values.is_empty() {
            return text.len() as u64;
        }
        let mut known = BTreeMap::new();
        let lookup = self.values.len() as u64 / 16;
        let sizes = self
            .used(text)
            .map(|name| lookup + self.size(name, 0, &mut known));
        let sizes = sizes.fold(0_u64, u64::saturating_add);
        sizes.saturating_add(text.len() as u64)
    }

    /// Bytes of one entity, written out. Those that stand in each other deeper are refused by the parser.
    fn size(&self, name: &'a str, depth: usize, known: &mut BTreeMap<&'a str, u64>) -> u64 {
        if let Some(&size) = known.get(name) {
            return size;
        }
        let Some(&value) = self.values.get(name).filter(|_| depth < MAX_DEPTH) else {
            return 0;
        };
        let inner: Vec<&str> = self.used(value).collect();
        let inner = inner
            .into_iter()
            .map(|name| self.size(name, depth + 1, known));
        let size = inner.fold(value.len() as u64, u64::saturating_add);
        known.insert(name, size);
        size
    }

    /// How often entities are used that hold declarations of name spaces.
    fn uses_of_declarations(&self, text: &'a str) -> u64 {
        if !self.values.values().any(|value| value.contains("xmlns:")) {
            return 0;
        }
        self.used(text).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn every_encoding_gives_the_same_text() {
        let svg = "<svg id=\"\u{e9}\"/>";
        let wide = |of: fn(u16) -> [u8; 2], mark: &str| -> Vec<u8> {
            let text = mark.to_owned() + svg;
            text.encode_utf16().flat_map(of).collect()
        };
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zip.write_all(svg.as_bytes())
            .expect("memory takes everything");
        let zip = zip.finish().expect("memory takes everything");
        for bytes in [
            svg.as_bytes().to_vec(),
            wide(u16::to_le_bytes, "\u{feff}"),
            wide(u16::to_be_bytes, "\u{feff}"),
            wide(u16::to_le_bytes, ""),
            wide(u16::to_be_bytes, ""),
            zip.clone(),
        ] {
            assert_eq!(decoded(&bytes).as_deref(), Ok(svg), "{bytes:?}");
        }
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><svg id=\"\xe9\"/>";
        assert!(decoded(latin).is_ok_and(|text| text.contains('\u{e9}')));
        assert!(decoded(b"<svg id=\"\xe9\"/>").is_err_and(|e| e.contains("as SVG")));
        assert!(decoded(&zip[..zip.len() - 9]).is_err_and(|e| e.contains("cut off")));
    }

    #[test]
    fn a_bomb_is_refused_by_what_it_unpacks_to() {
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        for _ in 0..64 {
            zip.write_all(&vec![b' '; 1 << 20])
                .expect("memory takes everything");
        }
        let zip = zip.finish().expect("memory takes everything");
        assert!(zip.len() < 1 << 20);
        assert!(decoded(&zip).is_err_and(|e| e.contains("more than")));
    }

    fn refused(text: &str) -> String {
        check(text).expect_err("too much")
    }

    #[test]
    fn entities_are_counted_as_they_are_written_out() {
        let drawing = |value: &str, content: &str| {
            format!(
                "<!DOCTYPE svg [<!ENTITY a \"{value}\"> <!ENTITY b '&a;&a;'>]><svg>{content}</svg>"
            )
        };
        assert_eq!(check(&drawing("red", "&a; &b; &lt; &c;")), Ok(()));
        let (small, large) = (
            drawing(&"x".repeat(1 << 16), &"&b;".repeat(100)),
            drawing(&"x".repeat(1 << 16), &"&b;".repeat(200)),
        );
        assert_eq!(check(&small), Ok(()));
        assert!(refused(&large).contains("entities written out"));
        // In each other, and in a circle.
        let deep = (1..10)
            .map(|i| format!("<!ENTITY e{i} \"{}\">", format!("&e{};", i - 1).repeat(10)))
            .collect::<Vec<String>>()
            .concat();
        assert!(
            refused(&format!(
                "<!DOCTYPE svg [<!ENTITY e0 \"x\">{deep}]><svg>&e9;</svg>"
            ))
            .contains("written out")
        );
        assert_eq!(
            check("<!DOCTYPE svg [<!ENTITY a '&b;'><!ENTITY b '&a;'>]><svg>&a;</svg>"),
            Ok(())
        );
    }

    #[test]
    fn attributes_are_counted_by_element() {
        let many = |count: usize| {
            (0..count)
                .map(|i| format!(" a{i}='='"))
                .collect::<Vec<String>>()
                .concat()
        };
        assert_eq!(
            check(&format!("<svg{}><g{}/></svg>", many(1024), many(1024))),
            Ok(())
        );
        assert!(refused(&format!("<svg><g{}/></svg>", many(1025))).contains("1024 attributes"));
        let remark = format!(
            "<svg><!-- <g{} --><![CDATA[<g{}]]></svg>",
            many(2000),
            many(2000)
        );
        assert_eq!(check(&remark), Ok(()));
    }

    #[test]
    fn declared_names_are_counted_as_they_are_copied() {
        let root = (0..10_000)
            .map(|i| format!(" xmlns:n{i}=''"))
            .collect::<Vec<String>>()
            .concat();
        // Each attribute counts, too.
        assert!(refused(&format!("<svg{root}/>")).contains("attributes"));
        let nested = (0..10_000)
            .map(|i| format!("<g xmlns:n{i}=''>"))
            .collect::<Vec<String>>()
            .concat();
        assert!(refused(&nested).contains("10000 name spaces"));
        let icons = "<svg xmlns:xlink='x' xmlns:sketch='y'/>".repeat(50_000);
        assert_eq!(check(&icons), Ok(()));
    }
}
