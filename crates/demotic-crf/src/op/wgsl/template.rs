//! Turns a shader's text into the text of one kernel: constants put in, label loops written out. Written-out
//! loops matter: some drivers stop counting a shader's loop trips at 65,535, and scalars in registers are the
//! point of a small `L`.
//!
//! Directives stand on lines of their own: `//: for k in 0..L`, `//: if FLAG`, `//: else`, `//: end`, `//:
//! let NAME = TEXT`; `{{NAME}}` is replaced anywhere, and in a loop over `q` `{{q.0}}` to `{{q.3}}` by `4 q`
//! to `4 q + 3`. A text given by `let` may hold names of its own, which mean what they mean where it is put
//! in.

use std::collections::BTreeMap;

/// The names a shader's text refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Values(BTreeMap<String, String>);

impl Values {
    /// Gives a name its text.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.0.insert(name.to_string(), value.to_string());
        self
    }

    /// `1` or `0`.
    #[must_use]
    pub fn flag(self, name: &str, on: bool) -> Self {
        self.with(name, u32::from(on))
    }

    fn number(&self, text: &str) -> usize {
        let value = self.0.get(text).map_or(text, String::as_str);
        value.parse().unwrap_or_else(|_| {
            panic!("the shader counts to `{text}`, which is no number: {value}")
        })
    }

    fn is_on(&self, name: &str) -> bool {
        match self.0.get(name).map(String::as_str) {
            Some("1") => true,
            Some("0") => false,
            other => panic!("the shader asks for flag `{name}`, which is {other:?}"),
        }
    }
}

/// The kernel's text.
///
/// # Panics
/// On a shader that is not well formed: an unknown name, a directive without its end.
pub fn expand(source: &str, values: &Values) -> String {
    let lines: Vec<&str> = source.lines().collect();
    let mut out = String::with_capacity(source.len() * 2);
    let read = block(&lines, 0, &mut values.clone(), Some(&mut out));
    assert_eq!(
        read,
        lines.len(),
        "the shader has an `end` or `else` too many, line {}",
        read + 1
    );
    out
}

fn directive(line: &str) -> Option<Vec<&str>> {
    Some(
        line.trim()
            .strip_prefix("//: ")?
            .split_whitespace()
            .collect(),
    )
}

/// Writes lines from `at` to the block's `end` or `else` (or the text's end) and returns where that stands.
fn block(
    lines: &[&str],
    mut at: usize,
    values: &mut Values,
    mut out: Option<&mut String>,
) -> usize {
    while at < lines.len() {
        match directive(lines[at]).as_deref() {
            None => {
                if let Some(out) = out.as_deref_mut() {
                    put_in(lines[at], values, out);
                    out.push('\n');
                }
                at += 1;
            }
            Some(["end" | "else"]) => return at,
            Some(["let", name, "=", text @ ..]) => {
                if out.is_some() {
                    *values = values.clone().with(name, text.join(" "));
                }
                at += 1;
            }
            Some(["if", name]) => {
                let on = out.is_some() && values.is_on(name);
                let mut stop = block(
                    lines,
                    at + 1,
                    values,
                    if on { out.as_deref_mut() } else { None },
                );
                if directive(line_at(lines, stop)).as_deref() == Some(&["else"]) {
                    let other = out.is_some() && !on;
                    stop = block(
                        lines,
                        stop + 1,
                        values,
                        if other { out.as_deref_mut() } else { None },
                    );
                }
                at = stop + 1;
            }
            Some(["for", name, "in", range]) => {
                let (from, to) = range
                    .split_once("..")
                    .unwrap_or_else(|| panic!("`{range}` is no range"));
                let range = match out {
                    Some(_) => values.number(from)..values.number(to),
                    None => 0..0,
                };
                let mut stop = block(lines, at + 1, values, None);
                for k in range {
                    let mut inner = values.clone().with(name, k);
                    for lane in 0..4 {
                        inner = inner.with(&format!("{name}.{lane}"), 4 * k + lane);
                    }
                    stop = block(lines, at + 1, &mut inner, out.as_deref_mut());
                }
                line_at(lines, stop);
                at = stop + 1;
            }
            Some(other) => panic!("the shader has an unknown directive: {other:?}"),
        }
    }
    at
}

fn line_at<'a>(lines: &[&'a str], at: usize) -> &'a str {
    lines
        .get(at)
        .copied()
        .unwrap_or_else(|| panic!("the shader has a directive without its `end`"))
}

/// Writes a text with its names replaced.
fn put_in(line: &str, values: &Values, out: &mut String) {
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after
            .split_once("}}")
            .unwrap_or_else(|| panic!("`{{{{` without its end: {line}"));
        let value = values
            .0
            .get(name)
            .unwrap_or_else(|| panic!("the shader names `{name}`, which has no value: {line}"));
        out.push_str(before);
        put_in(value, values, out);
        rest = after;
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_nest_and_flags_choose() {
        let source = "a{{L}}\n//: for i in 0..L\n//: for j in 1..L\np{{i}}_{{j}}\n//: end\n//: if ON\nyes{{i}}\n//: else\nno\n//: end\n//: end\nlast";
        let values = Values::default().with("L", 2).flag("ON", true);
        assert_eq!(
            expand(source, &values),
            "a2\np0_1\nyes0\np1_1\nyes1\nlast\n"
        );
        let values = Values::default().with("L", 1).flag("ON", false);
        assert_eq!(expand(source, &values), "a1\nno\nlast\n");
    }

    #[test]
    fn a_text_with_names_is_put_in_where_its_name_stands() {
        let source = "//: if FEW\n//: let M = m{{i}}\n//: else\n//: let M = m[{{i}}]\n//: end\n//: for i in 0..2\nx{{M}}\n//: end";
        let few = |on| expand(source, &Values::default().flag("FEW", on));
        assert_eq!(few(true), "xm0\nxm1\n");
        assert_eq!(few(false), "xm[0]\nxm[1]\n");
    }

    #[test]
    #[should_panic(expected = "without its `end`")]
    fn an_open_loop_is_refused() {
        expand("//: for i in 0..2\nx", &Values::default());
    }
}
