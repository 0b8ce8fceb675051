//! Words on the page: how their networks learnt, and the scores of `demotic evaluate --words`; read from
//! JSON, since words lie above pages.

use std::fmt::Write as _;

use serde_json::Value;

use super::chart::{Series, plain, points};
use super::html::{escape, section};

/// Tables of the scores: key, title, and the columns.
const TABLES: [(&str, &str, &[&str]); 6] = [
    (
        "rows",
        "Phrase to idea: first right, among the first five",
        &["table", "method", "group", "phrases", "first", "five"],
    ),
    (
        "drawn",
        "Drawn, and recognised again",
        &[
            "style",
            "from",
            "split",
            "phrases",
            "recalled",
            "recognised",
            "real",
            "kid",
            "nearest_l1",
        ],
    ),
    (
        "pictures",
        "What is said of drawings",
        &[
            "language", "by", "pictures", "right", "specific", "distinct", "listed",
        ],
    ),
    (
        "rephrase",
        "Said in another register, and recalled again",
        &[
            "rephrased",
            "phrases",
            "answered",
            "kept",
            "kept_by_encoder",
            "copied",
        ],
    ),
    (
        "spoken",
        "Made up",
        &[
            "language",
            "temperature",
            "phrases",
            "distinct",
            "listed",
            "real_words",
            "right",
            "realness",
        ],
    ),
    (
        "faces",
        "Kaomoji made up, beside real ones",
        &["faces", "n", "distinct", "novel", "real", "passes"],
    ),
];

/// The section of words; empty where none are learnt. `stats`: lines of `words/stats.jsonl`; `scores`:
/// `words/evaluation.json`.
pub(super) fn html(stats: &[Value], scores: Option<&Value>) -> String {
    let parts = parts(stats);
    let (summary, charts) = (summary(&parts), charts(&parts));
    let tables = scores.map(tables).unwrap_or_default();
    if parts.is_empty() && tables.is_empty() {
        return String::new();
    }
    let split = scores.and_then(|scores| scores["split"].as_str());
    let note = split.map_or_else(String::new, |split| {
        format!(
            "<p class=\"note\">Phrases of the {} split; intervals of 95 %.</p>",
            escape(split)
        )
    });
    section(
        "Words",
        &format!("{summary}<div class=\"charts\">{charts}</div>{note}{tables}"),
    )
}

/// Parts in the order they are learnt, as a person reads their names, each with its lines.
fn parts(stats: &[Value]) -> Vec<(String, Vec<&Value>)> {
    let mut parts: Vec<(String, Vec<&Value>)> = Vec::new();
    for line in stats {
        let Some(part) = line["part"].as_str() else {
            continue;
        };
        let name = part.replace('_', " ");
        match parts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, lines)) => lines.push(line),
            None => parts.push((name, vec![line])),
        }
    }
    parts
}

/// Where each part has come to.
fn summary(parts: &[(String, Vec<&Value>)]) -> String {
    if parts.is_empty() {
        return String::new();
    }
    let rows = parts.iter().fold(String::new(), |rows, (part, lines)| {
        let last = lines.last().expect("a part has a line");
        let held_out = &last["held_out"];
        let cells = [
            &last["step"],
            &last["loss"],
            &held_out["first"],
            &held_out["five"],
        ]
        .map(cell);
        let cells = cells.join("<td>");
        format!("{rows}<tr><th>{}<td>{cells}</tr>", escape(part))
    });
    format!(
        "<div class=\"wide\"><table><tr><th>part<th>step<th>loss<th>held out: first<th>among five</tr>{rows}</table></div>"
    )
}

/// A chart of the loss a part, and one of what is held out.
fn charts(parts: &[(String, Vec<&Value>)]) -> String {
    let of = |lines: &[&Value], value: &dyn Fn(&Value) -> Option<f64>| {
        let values = lines
            .iter()
            .filter_map(|line| Some((line["step"].as_u64()?, value(line))));
        points(values)
    };
    let mut html = String::new();
    for (part, lines) in parts {
        let series = Series {
            name: "loss".into(),
            points: of(lines, &|line| line["loss"].as_f64()),
        };
        html += &plain(part, "loss", "nats", vec![series]);
        let series = ["first", "five"].map(|key| Series {
            name: key.into(),
            points: of(lines, &|line| line["held_out"][key].as_f64()),
        });
        html += &plain(
            &format!("{part}: held out"),
            "share that is right, first and among five",
            "share",
            series.into(),
        );
    }
    html
}

fn tables(scores: &Value) -> String {
    let mut html = String::new();
    for (key, title, columns) in TABLES {
        let Some(rows) = scores[key].as_array().filter(|rows| !rows.is_empty()) else {
            continue;
        };
        let head = columns.iter().fold(String::new(), |head, column| {
            format!("{head}<th>{}", column.replace('_', " "))
        });
        let rows = rows.iter().fold(String::new(), |rows, row| {
            let cells = columns.iter().fold(String::new(), |cells, column| {
                format!("{cells}<td>{}", cell(&row[*column]))
            });
            format!("{rows}<tr>{cells}</tr>")
        });
        let _ = write!(
            html,
            "<div class=\"wide\"><table><caption>{title}</caption><tr>{head}</tr>{rows}</table></div>"
        );
    }
    html
}

/// A word, a count, a share, or a share with its interval.
fn cell(value: &Value) -> String {
    let middle = value["value"].as_f64();
    if let (Some(middle), Some(low), Some(high)) =
        (middle, value["low"].as_f64(), value["high"].as_f64())
    {
        return format!("{middle:.3} <small>[{low:.3}, {high:.3}]</small>");
    }
    match value {
        Value::String(text) => escape(text),
        Value::Number(number) if number.is_f64() => number
            .as_f64()
            .map_or_else(String::new, |v| format!("{v:.3}")),
        Value::Number(number) => number.to_string(),
        _ => "\u{2013}".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn figures_of_words_are_on_the_page_and_a_run_without_them_has_no_section() {
        assert_eq!(html(&[], None), "");
        let line = |step: u64, loss: f64| json!({"part": "speaker_en", "step": step, "loss": loss, "held_out": {"first": 0.25, "five": 0.5}});
        let scores = json!({
            "split": "validation",
            "rows": [{"table": "held out", "method": "a <b>", "group": "all", "phrases": 12,
                "first": {"value": 0.25, "low": 0.125, "high": 0.5}, "five": {"value": 0.75, "low": 0.5, "high": 1.0}}],
            "rephrase": [{"rephrased": "en name -> colloquial", "phrases": 7, "kept_by_encoder": null, "copied": 0.0,
                "answered": {"value": 1.0, "low": 1.0, "high": 1.0}, "kept": {"value": 0.5, "low": 0.25, "high": 0.75}}],
            "spoken": [],
        });
        let page = html(&[line(100, 2.0), line(200, 1.0)], Some(&scores));
        for expected in [
            "<h2>Words</h2>",
            "<tr><th>speaker en<td>200<td>1.000<td>0.250<td>0.500</tr>",
            "<td>a &lt;b&gt;<td>all<td>12<td>0.250 <small>[0.125, 0.500]</small>",
            "<td>en name -&gt; colloquial<td>7<td>1.000 <small>[1.000, 1.000]</small><td>0.500 <small>[0.250, 0.750]</small><td>\u{2013}<td>0.000",
            "validation split",
        ] {
            assert!(page.contains(expected), "`{expected}` is missing: {page}");
        }
        assert!(
            !page.contains("Made up"),
            "a table without rows is left out"
        );
        assert_eq!(page.matches("<polyline").count(), 3);
    }
}
