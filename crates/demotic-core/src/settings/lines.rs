//! Which line of a configuration file a problem is about.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

/// The lines that keys stand on, by their whole names; of settings without a file, none.
#[derive(Default)]
pub(super) struct Lines {
    file: String,
    /// From 1.
    of_key: BTreeMap<String, usize>,
}

impl Lines {
    /// Of a text that reads as TOML; of another, none are known.
    pub(super) fn of(text: &str, file: &Path) -> Self {
        let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
        let line = |at: usize| ends.partition_point(|end| *end < at) + 1;
        let mut of_key = BTreeMap::new();
        if let Ok(table) = DeTable::parse(text) {
            collect(table.get_ref(), "", &line, &mut of_key);
        }
        Self {
            file: file.display().to_string(),
            of_key,
        }
    }

    /// Leaves out a key whose value is not that of the file.
    pub(super) fn forget(&mut self, key: &str) {
        self.of_key.remove(key);
    }

    /// A problem with a key, behind file and line where they are known.
    pub(super) fn at(&self, key: &str, problem: String) -> String {
        match self.of_key.get(key) {
            Some(line) => format!("{}, line {line}: {problem}", self.file),
            None => problem,
        }
    }

    /// [`Lines::at`] for the key that the problem itself names first.
    pub(super) fn located(&self, problem: String) -> String {
        let key = match problem.strip_prefix("unknown key `") {
            Some(rest) => rest.split('`').next(),
            None => problem.split(':').next(),
        };
        let key = key.unwrap_or_default().to_owned();
        self.at(&key, problem)
    }
}

fn collect(
    table: &DeTable<'_>,
    section: &str,
    line: &impl Fn(usize) -> usize,
    of_key: &mut BTreeMap<String, usize>,
) {
    for (key, value) in table {
        let name = if section.is_empty() {
            key.get_ref().to_string()
        } else {
            format!("{section}.{}", key.get_ref())
        };
        if let DeValue::Table(inner) = value.get_ref() {
            collect(inner, &name, line, of_key);
        }
        of_key.insert(name, line(key.span().start));
    }
}
