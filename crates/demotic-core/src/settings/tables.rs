//! The keys explained, from their declaration: the tables of `configs/README.md`, and a file of all defaults.

use super::Config;
use super::keys::{SECTIONS, keys};
use crate::table::wrapped;

/// Columns of the comments in [`Config::explained`].
const COLUMNS: usize = 98;

/// Every section as Markdown: a heading, and a row per key with its meaning, default and range.
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "a test holds the guide against it")
)]
pub(crate) fn key_tables() -> String {
    let defaults = defaults();
    let mut lines = vec!["### The run".to_owned()];
    lines.extend(table("", &defaults));
    for (section, about) in SECTIONS {
        let about = about.trim().trim_end_matches('.');
        let mut letters = about.chars();
        let first: String = letters
            .next()
            .into_iter()
            .flat_map(char::to_lowercase)
            .collect();
        lines.push(format!("\n### `[{section}]`: {first}{}", letters.as_str()));
        lines.extend(table(section, &defaults));
    }
    lines.join("\n") + "\n"
}

/// Names of all keys with their defaults, in the order and the form of a run's `config.toml`.
fn defaults() -> Vec<(String, String)> {
    let mut section = String::new();
    let mut all = Vec::new();
    for line in Config::default().to_toml(false).lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
        } else if let Some((key, value)) = line.split_once(" = ") {
            all.push((format!("{section}{key}"), value.to_owned()));
        }
    }
    all
}

/// The keys of a section, `""` for those of none.
fn table(section: &str, defaults: &[(String, String)]) -> Vec<String> {
    let mut lines = vec![
        "\n| key | meaning | default | range |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    for key in keys() {
        let of = key.name.split_once('.').map_or("", |(section, _)| section);
        if of != section {
            continue;
        }
        let default = defaults.iter().find(|(name, _)| name == key.name);
        let (_, default) = default.expect("every key has a default");
        let default = match default.parse::<f64>() {
            Ok(_) => default.clone(),
            Err(_not_a_number) => format!("`{default}`"),
        };
        let condition = key.condition.map_or(String::new(), |condition| {
            format!("; only with {}", condition.needs)
        });
        lines.push(format!(
            "| `{}` | {} | {default} | {}{condition} |",
            key.name, key.meaning, key.range
        ));
    }
    lines
}

impl Config {
    /// The defaults as a file of settings (TOML) that can be changed and used, each key below a comment with
    /// its meaning and range.
    pub fn explained() -> String {
        let keys = keys();
        let mut section = String::new();
        let mut out = String::new();
        for line in Self::default().to_toml(false).lines() {
            if let Some(name) = line.strip_prefix('[') {
                section = format!("{}.", name.trim_end_matches(']'));
            } else if let Some((name, _)) = line.split_once(" = ") {
                let key = keys.iter().find(|key| {
                    let own = key.name.strip_prefix(section.as_str());
                    own == Some(name)
                });
                let key = key.expect("every default is a key's");
                let range = match key.range.as_str() {
                    "" => String::new(),
                    range => format!(" Range: {range}."),
                };
                let condition = key.condition.as_ref().map_or(String::new(), |condition| {
                    format!(" Only with {}.", condition.needs)
                });
                let text = format!("{}{range}{condition}", key.meaning);
                for line in wrapped(&text, COLUMNS).lines() {
                    out.extend(["# ", line.trim_start(), "\n"]);
                }
            }
            out.push_str(line);
            out.push('\n');
        }
        out
    }
}
