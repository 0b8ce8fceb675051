//! The score table of an evaluation, whatever figures it holds: read from its JSON, so that a new figure
//! needs no new page.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Map, Value};

use super::html::escape;
use crate::metric::{FIGURES, LEAST_SET, is_lower_better};

/// The figure that is no better either way.
const NEAREST: &str = "nearest_l1";
/// What the page calls the keys of an evaluation beside those of [`FIGURES`], in the order of its tables,
/// behind those; any other stands as it is, behind these.
const NAMES: [(&str, &str); 8] = [
    (NEAREST, "L1 from the nearest training picture"),
    ("fitted", "fitted prior"),
    ("normal", "N(0, 1)"),
    ("training", "training pictures"),
    ("held_out", "held-out pictures"),
    ("picture", "style right"),
    ("patch", "patches right"),
    ("fake", "patches called fake"),
];
/// Keys that hold the middle of an interval.
const MIDDLES: [&str; 3] = ["mean", "value", "estimate"];

/// Keys and what the page calls them, in the order of its tables.
fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    let figures = FIGURES.iter().map(|figure| (figure.key, figure.title));
    figures.chain(NAMES)
}

/// The name of a key on the page.
fn named(key: &str) -> String {
    let known = names().find(|(known, _)| *known == key);
    escape(known.map_or(key, |(_, name)| name))
}

/// Where a key stands among others.
fn rank(key: &str) -> (usize, &str) {
    let known = names().position(|(known, _)| known == key);
    (known.unwrap_or(usize::MAX), key)
}

/// Tables of an evaluation: one per figure, a row per direction, a column per method.
pub(crate) fn tables(evaluation: &Value) -> String {
    let Some(directions) = evaluation.get("directions").and_then(Value::as_array) else {
        return String::new();
    };
    let also = |key: &str| {
        evaluation
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let translated: Vec<&Map<String, Value>> = directions
        .iter()
        .chain(also("kinds"))
        .chain(also("unpaired"))
        .filter_map(Value::as_object)
        .collect();
    let sampled: Vec<&Map<String, Value>> = also("prior").filter_map(Value::as_object).collect();
    // A method is an entry that holds figures by name.
    let mut methods: Vec<&str> = Vec::new();
    let mut figures: BTreeSet<&str> = BTreeSet::new();
    for direction in translated.iter().chain(&sampled) {
        for (name, value) in *direction {
            let Some(held) = value
                .as_object()
                .filter(|held| held.values().any(|v| figure(v).is_some()))
            else {
                continue;
            };
            if figure(value).is_some() {
                continue;
            }
            if !methods.contains(&name.as_str()) {
                methods.push(name);
            }
            figures.extend(
                held.iter()
                    .filter(|(_, v)| figure(v).is_some())
                    .map(|(name, _)| name.as_str()),
            );
        }
    }
    methods.sort_by_key(|name| (*name != "model", *name));
    let mut figures: Vec<&str> = figures.into_iter().collect();
    figures.sort_by_key(|name| rank(name));
    let mut out = String::new();
    for name in figures {
        // Only what has the figure.
        let cell = |direction: &Map<String, Value>, method: &str| {
            figure(direction.get(method)?.get(name)?)
        };
        for (rows, of) in [(&translated, ""), (&sampled, ", of samples")] {
            let methods: Vec<&str> = methods
                .iter()
                .copied()
                .filter(|method| rows.iter().any(|row| cell(row, method).is_some()))
                .collect();
            let rows: Vec<&Map<String, Value>> = rows
                .iter()
                .copied()
                .filter(|row| methods.iter().any(|method| cell(row, method).is_some()))
                .collect();
            if !rows.is_empty() {
                write_table(&mut out, [name, of], &methods, &rows, cell);
            }
        }
    }
    let notes = evaluation.get("notes").and_then(Value::as_array);
    for note in notes.into_iter().flatten().filter_map(Value::as_str) {
        let _ = write!(out, "<p class=\"note\">{}</p>", escape(note));
    }
    out
}

/// The table of one figure.
fn write_table(
    out: &mut String,
    [name, of]: [&str; 2],
    methods: &[&str],
    directions: &[&Map<String, Value>],
    cell: impl Fn(&Map<String, Value>, &str) -> Option<[f64; 3]>,
) {
    let lower = is_lower_better(name).unwrap_or(name == "cycle_l1");
    // As on the screen; what has no digits there gets them by its size.
    let known = FIGURES.iter().find(|figure| figure.key == name);
    // Pairs are of a kind; sets are not.
    let has_kinds = directions.iter().any(|d| d.contains_key("kind"));
    let _ = write!(
        out,
        "<div class=\"wide\"><table><caption>{}{of} <small>{}</small></caption><tr><th>direction<th>n",
        named(name),
        if name == NEAREST {
            "0 is a copy of a training picture; held-out pictures are what new ones come to"
        } else if lower {
            "lower is better"
        } else {
            "higher is better"
        }
    );
    for method in methods {
        let _ = write!(out, "<th>{}", named(method));
    }
    *out += "</tr>";
    for direction in directions {
        let text = |key: &str| {
            direction.get(key).map_or_else(String::new, |v| match v {
                Value::String(text) => escape(text),
                other => escape(&other.to_string()),
            })
        };
        let cells: Vec<Option<[f64; 3]>> = methods
            .iter()
            .map(|method| cell(direction, method))
            .collect();
        let best = cells
            .iter()
            .flatten()
            .map(|cell| if lower { -cell[0] } else { cell[0] })
            .fold(f64::NEG_INFINITY, f64::max);
        let row = if direction.contains_key("from") {
            format!("{} → {}", text("from"), text("to"))
        } else if direction.contains_key("style") {
            format!("no input → {}", text("style"))
        } else {
            "mean over directions".into()
        };
        // With so few pictures a figure is no score: none is best, and an interval would promise too much.
        let n = direction.get("n").and_then(Value::as_u64);
        let is_few = n.is_some_and(|n| n < LEAST_SET as u64);
        let mark = if is_few { "*" } else { "" };
        let kind = if has_kinds {
            format!(" <small>{}</small>", text("kind"))
        } else {
            String::new()
        };
        let _ = write!(out, "<tr><td>{row}{kind}<td>{}{mark}", text("n"));
        for cell in cells {
            let Some([middle, low, high]) = cell else {
                *out += "<td>–";
                continue;
            };
            let is_best =
                name != NEAREST && !is_few && (if lower { -middle } else { middle }) >= best;
            let tag = if is_best {
                "<td class=\"best\">"
            } else {
                "<td>"
            };
            let digits = known.map_or_else(|| digits([middle, low, high]), |figure| figure.digits);
            let _ = write!(out, "{tag}{middle:.digits$}");
            if high > low && !is_few {
                let _ = write!(out, " <small>[{low:.digits$}, {high:.digits$}]</small>");
            }
        }
        *out += "</tr>";
    }
    *out += "</table></div>";
}

/// Digits behind the point that keep figures of any size about as wide.
fn digits(values: [f64; 3]) -> usize {
    let largest = values.into_iter().map(f64::abs).fold(0.0, f64::max);
    match largest {
        ..10.0 => 4,
        10.0..100.0 => 2,
        _ => 1,
    }
}

/// How well the discriminator recognises the styles of real pictures, if it was asked: a row per style, a
/// column a share.
pub(crate) fn recognition(evaluation: &Value) -> String {
    let found = &evaluation["recognition"];
    let Some(styles) = found["styles"].as_array() else {
        return String::new();
    };
    let rows = styles
        .iter()
        .map(|row| {
            (
                row["style"].as_str().unwrap_or_default(),
                &row["n"],
                &row["shares"],
            )
        })
        .chain(std::iter::once(("all", &Value::Null, &found["all"])));
    let mut out = String::new();
    for (name, n, shares) in rows {
        let Some(shares) = shares.as_object() else {
            continue;
        };
        if out.is_empty() {
            let mut keys: Vec<&str> = shares.keys().map(String::as_str).collect();
            keys.sort_by_key(|key| rank(key));
            let heads = keys
                .iter()
                .fold(String::new(), |all, key| format!("{all}<th>{}", named(key)));
            out = format!("<div class=\"wide\"><table><tr><th>real pictures of<th>n{heads}</tr>");
        }
        let n = n.as_u64().map_or_else(String::new, |n| n.to_string());
        let _ = write!(out, "<tr><td>{}<td>{n}", escape(name));
        let mut shares: Vec<(&String, &Value)> = shares.iter().collect();
        shares.sort_by_key(|(key, _)| rank(key));
        for [middle, low, high] in shares.into_iter().filter_map(|(_, share)| figure(share)) {
            let _ = write!(out, "<td>{middle:.3} <small>[{low:.3}, {high:.3}]</small>");
        }
        out += "</tr>";
    }
    out + if styles.is_empty() {
        ""
    } else {
        "</table></div>"
    }
}

/// A figure and its interval: a number, or an object with a middle and, if it has them, its ends.
fn figure(value: &Value) -> Option<[f64; 3]> {
    if let Some(number) = value.as_f64() {
        return Some([number; 3]);
    }
    let object = value.as_object()?;
    let middle = MIDDLES.iter().find_map(|key| object.get(*key)?.as_f64())?;
    let end = |keys: [&str; 3]| keys.iter().find_map(|key| object.get(*key)?.as_f64());
    let (low, high) = match object.get("interval").and_then(Value::as_array) {
        Some(ends) => (
            ends.first().and_then(Value::as_f64),
            ends.last().and_then(Value::as_f64),
        ),
        None => (end(["low", "lower", "from"]), end(["high", "upper", "to"])),
    };
    Some([middle, low.unwrap_or(middle), high.unwrap_or(middle)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_gets_a_table_and_the_best_of_a_row_is_marked() {
        let html = tables(&serde_json::json!({"directions": [{
            "from": "a<", "to": "b", "kind": "aligned", "n": 160,
            "model": {"l1": 0.07, "kid": {"mean": 2.0, "low": 1.0, "high": 3.0}},
            "copy": {"l1": 0.08, "kid": {"mean": 50.0, "low": 40.0, "high": 60.0}},
            "nearest": null,
        }], "kinds": [{"kind": "aligned", "directions": 1, "model": {"l1": 0.075}, "copy": {"l1": 0.085}}]}));
        assert_eq!(html.matches("<table>").count(), 2, "{html}");
        assert!(html.contains("a&lt; → b"), "{html}");
        assert!(html.contains("<td class=\"best\">0.0700"), "{html}");
        assert!(
            html.contains("<td class=\"best\">2.0 <small>[1.0, 3.0]</small>"),
            "{html}"
        );
        assert!(
            html.contains("<td>0.0800") && !html.contains("nearest"),
            "{html}"
        );
        assert!(
            html.contains(
                "mean over directions <small>aligned</small><td><td class=\"best\">0.0750<td>0.0850"
            ),
            "{html}"
        );
        assert_eq!(tables(&serde_json::json!({"directions": []})), "");
        assert_eq!(digits([0.07, 0.06, 9.99]), 4);
        assert_eq!(digits([12.0, -99.0, 13.0]), 2);
        assert_eq!(digits([1234.5, 900.0, 1500.0]), 1);
        // A row and a column stand where they have the figure, and no draw is the best for being far from
        // training pictures.
        let of = |kid: f64| serde_json::json!({"kid": kid, "nearest_l1": 10.0 * kid});
        let html = tables(&serde_json::json!({"directions": [{
            "from": "a", "to": "b", "kind": "loose", "n": 9, "model": {"kid": 0.5, "l1": 0.25}, "copy": {"kid": 0.75, "l1": 0.5},
        }], "prior": [{"style": "b", "n": 9, "normal": of(0.3), "fitted": of(0.2)}]}));
        let captions = [
            "KID x 1000 ",
            "KID x 1000, of samples",
            "L1, mean absolute difference ",
            "L1 from the nearest training picture, of samples",
        ];
        let [kid, samples, l1, nearest] = captions.map(|name| {
            let (_, rest) = html.split_once(&format!("<caption>{name}")).expect(name);
            rest.split_once("</table>").expect("an end").0
        });
        assert!(kid.contains("a → b") && !kid.contains("fitted"));
        assert!(
            samples.contains("no input → b") && samples.contains("<th>fitted prior<th>N(0, 1)")
        );
        assert!(!l1.contains("no input") && !l1.contains("fitted") && l1.contains("<th>copy"));
        assert!(
            !nearest.contains("a → b")
                && !nearest.contains("best")
                && nearest.contains("<td>2.0000")
        );
        let html = tables(
            &serde_json::json!({"directions": [], "notes": ["no pairs"], "unpaired": [{
                "from": "a", "to": "b", "n": 90, "against": 70, "model": {"kid": {"value": 1.0, "low": 0.5, "high": 2.0}},
                "copy": {"kid": {"value": 4.0, "low": 3.0, "high": 5.0}},
            }]}),
        );
        assert!(
            html.contains("a → b<td>90<td class=\"best\">1.0 <small>[0.5, 2.0]</small>")
                && html.contains("<p class=\"note\">no pairs</p>"),
            "{html}"
        );
        // With few pictures, nothing is the best.
        let html = tables(&serde_json::json!({"directions": [{
            "from": "a", "to": "b", "kind": "loose", "n": 29,
            "model": {"l1": {"value": 0.25, "low": 0.125, "high": 0.5}}, "copy": {"l1": 0.5},
        }]}));
        assert!(
            html.contains("a → b <small>loose</small><td>29*<td>0.2500<td>0.5000"),
            "{html}"
        );
        let share = serde_json::json!({
            "fake": 0.25, "picture": {"value": 0.95, "low": 0.9, "high": 1.0},
        });
        let html = recognition(&serde_json::json!({"recognition": {
            "styles": [{"style": "a<", "n": 7, "shares": share}], "all": share,
        }}));
        assert!(
            html.contains("<th>style right<th>patches called fake</tr>")
                && html.contains("<td>a&lt;<td>7<td>0.950 <small>[0.900, 1.000]</small><td>0.250"),
            "{html}"
        );
        assert_eq!(recognition(&serde_json::json!({"recognition": null})), "");
    }
}
