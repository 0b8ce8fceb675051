//! The configuration of a run: defaults < file < `--set a.b=c`, every problem reported at once in the user's
//! key names.
//!
//! `keys.rs` declares the keys, `choices.rs` the words they choose between, `declare.rs` what follows from a
//! declaration, `lines.rs` which line of a file a problem is about, `quality.rs` networks by name,
//! `tables.rs` the keys explained.

mod choices;
mod declare;
mod keys;
mod lines;
mod quality;
mod tables;

use std::path::Path;

use toml::{Table, Value};

use crate::error::Error;
use crate::number::Real;
pub use choices::{
    AdversarialKind, AugmentProb, BestMetric, CanvasWeight, Channels, Counterparts, Damaged,
    Directions, DiscriminatorHead, FilterKind, Fit, GeneratorKind, KernelKind, LearnWords,
    PairedStyles, Pairs, PhraseEncoderKind, Quality, Schedule, StyleKind, TransitionKind,
};
pub use keys::{
    Augmentation, Config, DataConfig, DeviceConfig, DiscriminatorConfig, GeneratorConfig,
    LossConfig, TrainConfig, WordsConfig,
};
use keys::{REMOVED, keys};
use lines::Lines;

impl DataConfig {
    /// The background as bytes.
    ///
    /// # Errors
    /// A sentence where it is not `#rrggbb`.
    pub fn background_rgb(&self) -> Result<[u8; 3], String> {
        let bad = || {
            format!(
                "data.background: expected #rrggbb, got `{}`",
                self.background
            )
        };
        let digits = self
            .background
            .strip_prefix('#')
            .filter(|d| d.len() == 6 && d.is_ascii())
            .ok_or_else(bad)?;
        let mut rgb = [0; 3];
        for (i, byte) in rgb.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).map_err(|_not_hex| bad())?;
        }
        Ok(rgb)
    }
}

impl Augmentation {
    /// What is out of range, one line per key.
    pub(crate) fn problems(&self) -> Vec<String> {
        let config = Config {
            augment: self.clone(),
            ..Config::default()
        };
        let keys = keys();
        let own = keys.iter().filter(|key| key.name.starts_with("augment."));
        own.filter_map(|key| key.out_of_range(&config)).collect()
    }
}

/// One key of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Such as `train`; empty for a key of none.
    pub section: String,
    /// Such as `steps`.
    pub key: String,
    /// As it is written in a file.
    pub value: String,
    /// Whether that is the default.
    pub is_default: bool,
}

impl Config {
    /// Defaults, then the file's text, then `a.b=c` assignments.
    ///
    /// # Errors
    /// [`Error::Config`] with every unknown key, wrong type and value out of range.
    pub fn resolve(file: Option<&str>, assignments: &[String]) -> Result<Self, Error> {
        Self::default().resolve_over(file, assignments)
    }

    /// [`Self::resolve`] with these values in place of the defaults.
    ///
    /// # Errors
    /// As of [`Self::resolve`].
    pub fn resolve_over(&self, file: Option<&str>, assignments: &[String]) -> Result<Self, Error> {
        self.resolved(file, None, assignments)
    }

    /// [`Self::resolve_over`]; problems of a text that is that of the file at `origin` are reported with
    /// their lines.
    fn resolved(
        &self,
        file: Option<&str>,
        origin: Option<&Path>,
        assignments: &[String],
    ) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let mut table = self.table();
        let known = table.clone();
        let mut lines = Lines::default();
        if let Some(text) = file {
            // Editors of some systems begin a file with a mark.
            let text = text.trim_start_matches('\u{feff}');
            match text.parse::<Table>() {
                Ok(mut given) => {
                    if let Some(origin) = origin {
                        lines = Lines::of(text, origin);
                    }
                    let mut of_file = drop_removed(&mut given);
                    merge(&mut table, &given, "", &mut of_file);
                    problems.extend(of_file.into_iter().map(|problem| lines.located(problem)));
                }
                Err(error) => {
                    // It shows the line, with what ends it.
                    let error = error.to_string().replace('\r', "");
                    let way_out = if error.contains("escape") || error.contains("unicode") {
                        "\na backslash begins an escape in \"...\": write a path in '...', such as 'C:\\pictures', or with /"
                    } else {
                        ""
                    };
                    let file =
                        origin.map_or_else(String::new, |path| format!("{}: ", path.display()));
                    return Err(Error::Config(vec![format!(
                        "{file}not valid TOML: {}{way_out}",
                        error.trim_end()
                    )]));
                }
            }
        }
        for assignment in assignments {
            match parse_assignment(assignment, &known) {
                Ok(mut given) => {
                    if let Some((key, _)) = assignment.split_once('=') {
                        lines.forget(key.trim());
                    }
                    problems.extend(drop_removed(&mut given));
                    merge(&mut table, &given, "", &mut problems);
                }
                Err(problem) => problems.push(problem),
            }
        }
        let mut table = Value::Table(table);
        if table.clone().try_into::<Self>().is_err() {
            problems.extend(reset_unreadable(&mut table, &Value::Table(known), &lines));
        }
        match table.try_into::<Self>() {
            Ok(config) => {
                let found = config.problems().into_iter();
                problems.extend(found.map(|problem| lines.located(problem)));
                if problems.is_empty() {
                    Ok(config)
                } else {
                    Err(Error::Config(problems))
                }
            }
            Err(error) => {
                problems.push(error.to_string().trim_end().replace('\n', " "));
                Err(Error::Config(problems))
            }
        }
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`Error::Run`] where it cannot be read, [`Error::Config`] as in [`Self::resolve`].
    pub fn load(path: &Path, assignments: &[String]) -> Result<Self, Error> {
        Self::default().load_over(path, assignments)
    }

    /// [`Self::load`] with these values in place of the defaults.
    ///
    /// # Errors
    /// As of [`Self::load`].
    pub fn load_over(&self, path: &Path, assignments: &[String]) -> Result<Self, Error> {
        let fail = |e: &dyn std::fmt::Display| {
            Error::run(
                format!("cannot read the configuration ({e}); `demotic configs` lists recipes"),
                path,
            )
        };
        let bytes = std::fs::read(path).map_err(|e| fail(&e))?;
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            return Err(fail(&"it is saved as UTF-16; save it as UTF-8"));
        }
        let text = String::from_utf8(bytes).map_err(|e| fail(&e.utf8_error()))?;
        self.resolved(Some(&text), Some(path), assignments)
    }

    fn table(&self) -> Table {
        Table::try_from(self).expect("a configuration is a table")
    }

    /// The whole configuration as TOML; lines that differ from the defaults end in `# not the default`.
    pub fn to_toml(&self, mark: bool) -> String {
        let text = toml::to_string(self).expect("a configuration is a table");
        if !mark {
            return text;
        }
        let defaults = toml::to_string(&Self::default()).expect("a configuration is a table");
        let lines = text.lines().zip(defaults.lines());
        lines.fold(String::new(), |all, (line, default)| {
            let note = if line == default {
                ""
            } else {
                "  # not the default"
            };
            all + line + note + "\n"
        })
    }

    /// Every key with its value, in the order of the file.
    pub fn entries(&self) -> Vec<Entry> {
        let text = toml::to_string(self).expect("a configuration is a table");
        let defaults = toml::to_string(&Self::default()).expect("a configuration is a table");
        let (mut section, mut entries) = (String::new(), Vec::new());
        for (line, default) in text.lines().zip(defaults.lines()) {
            if let Some(name) = line.strip_prefix('[') {
                name.trim_end_matches(']').clone_into(&mut section);
            } else if let Some((key, value)) = line.split_once(" = ") {
                entries.push(Entry {
                    section: section.clone(),
                    key: key.to_owned(),
                    value: value.to_owned(),
                    is_default: line == default,
                });
            }
        }
        entries
    }

    /// Whether chains connect the discriminator's patches.
    fn has_crf(&self) -> bool {
        self.discriminator.head == DiscriminatorHead::Crf
    }

    /// Whether the edge-aware filter keeps the input's shapes where they are.
    pub(crate) fn keeps_shapes(&self) -> bool {
        self.generator.filter == FilterKind::On
    }

    /// Settings of the two networks that differ in `now`, a line each: `generator.channels is 12, was 8`.
    pub(crate) fn networks_otherwise(&self, now: &Self) -> Vec<String> {
        let (was, now) = (self.table(), now.table());
        let mut lines = Vec::new();
        for section in ["generator", "discriminator"] {
            let Some(keys) = now[section].as_table() else {
                continue;
            };
            for (key, value) in keys {
                let old = &was[section][key];
                if old != value {
                    lines.push(format!("{section}.{key} is {value}, was {old}"));
                }
            }
        }
        lines
    }

    /// Values out of range, values that cannot go together, and keys without effect.
    fn problems(&self) -> Vec<String> {
        let keys = keys();
        let mut problems: Vec<String> = keys
            .iter()
            .filter_map(|key| key.out_of_range(self))
            .collect();
        problems.extend(self.conflicts());
        problems.extend(keys.iter().filter_map(|key| key.without_effect(self)));
        problems
    }

    /// Values that cannot go together, and names that cannot be written.
    fn conflicts(&self) -> Vec<String> {
        let (d, g, t) = (&self.data, &self.generator, &self.train);
        let mut problems = Vec::new();
        let mut check = |good: bool, problem: String| {
            if !good {
                problems.push(problem);
            }
        };
        // The run's own copy of the settings marks them line by line.
        let is_one_line = |text: &String| !text.chars().any(char::is_control);
        check(
            is_one_line(&d.source),
            "data.source: expected a name without line breaks or other control characters; a backslash in \"...\" begins an escape: \
             write a path in '...' or with /"
                .into(),
        );
        check(
            d.styles.iter().all(is_one_line),
            "data.styles: expected names without line breaks or other control characters".into(),
        );
        if let Err(problem) = d.background_rgb() {
            check(false, problem);
        }
        check(
            d.styles.is_empty() || d.styles.len() >= 2,
            "data.styles: expected at least two styles, or none for all".into(),
        );
        check(
            d.pairs == Counterparts::Names || t.pairs.share() == 0.0,
            "train.pairs: it shows counterparts, and data.pairs = none says that there are none; set one of them otherwise"
                .into(),
        );
        check(
            g.channels >= g.channels_min,
            format!(
                "generator.channels: expected at least generator.channels_min = {}, got {}; lower both",
                g.channels_min, g.channels
            ),
        );
        check(
            !self.has_crf() || self.loss.adversarial_kind == AdversarialKind::Likelihood,
            "loss.adversarial_kind: the CRF judges a whole row or column by its likelihood and has no score of a single \
             patch for this loss; use `likelihood`, or discriminator.head = patch, conv or dense"
                .into(),
        );
        check(
            t.accumulate >= 1 && t.batch.is_multiple_of(t.accumulate),
            format!(
                "train.accumulate: expected a divisor of train.batch = {}, got {}",
                t.batch, t.accumulate
            ),
        );
        let cell = g.latent_stride * if g.context_blocks > 0 { 2 } else { 1 };
        check(
            cell == 0 || (d.size_px as usize).is_multiple_of(cell),
            format!(
                "data.size_px: {} is not divisible by {cell}, which generator.latent_stride and its context blocks need",
                d.size_px
            ),
        );
        problems
    }
}

/// Puts every key whose value cannot be read, such as a word that it does not know, back to its default;
/// returns what was wrong with each.
fn reset_unreadable(table: &mut Value, known: &Value, lines: &Lines) -> Vec<String> {
    fn at<'a>(table: &'a mut Value, path: &[String]) -> &'a mut Value {
        path.iter().fold(table, |table, key| &mut table[key])
    }
    let mut paths = Vec::new();
    for (name, value) in table.as_table().into_iter().flatten() {
        match value {
            Value::Table(keys) => {
                paths.extend(keys.keys().map(|key| vec![name.clone(), key.clone()]));
            }
            _ => paths.push(vec![name.clone()]),
        }
    }
    let mut problems = Vec::new();
    for path in paths {
        // By itself among defaults: a reader stops at the first fault that it meets.
        let mut alone = known.clone();
        let place = at(&mut alone, &path);
        let default = std::mem::replace(place, at(table, &path).clone());
        if let Err(error) = alone.try_into::<Config>() {
            let problem = error.to_string().trim_end().replace('\n', " ");
            problems.push(lines.at(&path.join("."), problem));
            *at(table, &path) = default;
        }
    }
    problems
}

/// Takes the keys of earlier versions out of a table; a message for each that was set to have an effect.
pub(crate) fn drop_removed(table: &mut Table) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, without_effect, instead) in REMOVED {
        let (section, key) = name.split_once('.').expect("a section and a name");
        let keys = table.get_mut(section).and_then(Value::as_table_mut);
        let Some(value) = keys.and_then(|keys| keys.remove(key)) else {
            continue;
        };
        let number = value.as_float().or(value.as_integer().map(Real::to_f64));
        if number != Some(*without_effect) {
            problems.push(format!(
                "{name}: this version does not have the key any more, and it is {value} here; {instead}; leave it out"
            ));
        }
    }
    problems
}

/// Whether both words and numbers can be read for the key.
fn is_word_or_number(name: &str) -> bool {
    keys()
        .iter()
        .any(|key| key.name == name && key.is_word_or_number)
}

/// Merges `given` into `table`, noting keys that the table does not have and values of another type.
fn merge(table: &mut Table, given: &Table, prefix: &str, problems: &mut Vec<String>) {
    for (key, value) in given {
        let name = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        let siblings = table.keys().cloned().collect::<Vec<_>>().join(", ");
        match (table.get_mut(key), value) {
            (None, _) => problems.push(format!("unknown key `{name}`; known here: {siblings}")),
            (Some(Value::Table(inner)), Value::Table(given)) => {
                merge(inner, given, &name, problems);
            }
            (Some(old @ Value::Float(_)), Value::Integer(whole)) => {
                *old = Value::Float(whole.to_f64());
            }
            (Some(old), new)
                if old.same_type(new)
                    || is_word_or_number(&name)
                        && matches!(
                            new,
                            Value::String(_) | Value::Integer(_) | Value::Float(_)
                        ) =>
            {
                *old = new.clone();
            }
            (Some(old), new) => {
                problems.push(format!(
                    "{name}: expected {}, got {} `{new}`",
                    old.type_str(),
                    new.type_str()
                ));
            }
        }
    }
}

/// `a.b=c` as a nested table; what is not TOML is taken as text where text is expected.
fn parse_assignment(assignment: &str, known: &Table) -> Result<Table, String> {
    let bad = || format!("--set: expected key=value such as train.steps=500, got `{assignment}`");
    let (key, text) = assignment.split_once('=').ok_or_else(bad)?;
    let mut path: Vec<&str> = key.trim().split('.').collect();
    let last = path.pop().filter(|last| !last.is_empty()).ok_or_else(bad)?;
    let old = path
        .iter()
        .try_fold(known, |table, part| table.get(*part)?.as_table())
        .and_then(|table| table.get(last));
    let wants_text = old.is_some_and(Value::is_str);
    let wants_list = old.is_some_and(Value::is_array);
    let takes_numbers = is_word_or_number(key.trim());
    let parsed = format!("value = {}", text.trim())
        .parse::<Table>()
        .ok()
        .and_then(|mut t| t.remove("value"));
    let value = match parsed {
        Some(value) if wants_list && value.is_array() => value,
        // Words with commas between, as they are typed.
        _ if wants_list => {
            let words = text.split(',').map(|word| word.trim().trim_matches('"'));
            let words = words.filter(|word| !word.is_empty());
            Value::Array(words.map(|word| Value::String(word.to_owned())).collect())
        }
        Some(value) if !wants_text || value.is_str() || takes_numbers => value,
        _ => Value::String(text.trim().to_owned()),
    };
    let mut table = Table::from_iter([(last.to_owned(), value)]);
    for part in path.into_iter().rev() {
        table = Table::from_iter([(part.to_owned(), Value::Table(table))]);
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(file: &str, sets: &[&str]) -> Vec<String> {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        match Config::resolve(Some(file), &sets) {
            Err(Error::Config(problems)) => problems,
            other => panic!("expected configuration problems, got {other:?}"),
        }
    }

    #[test]
    fn every_problem_is_reported_at_once_in_the_users_key_names() {
        let found = problems(
            "sed = 1\n[train]\nsteps = \"many\"\nbatch = 0\n[loss]\nkl = -1\n",
            &["generator.latent_stride=3", "data.syles=[]", "nonsense"],
        );
        for expected in [
            "`sed`",
            "train.steps",
            "train.batch",
            "loss.kl",
            "latent_stride",
            "`data.syles`",
            "nonsense",
        ] {
            assert!(
                found.iter().any(|p| p.contains(expected)),
                "{expected} in {found:#?}"
            );
        }
    }

    #[test]
    fn words_that_are_not_known_hide_no_other_problem() {
        let sets = [
            "generator.kind=foo",
            "loss.adversarial_kind=bar",
            "train.batch=0",
            "train.steps=-1",
            "sed=1",
            "augment.flip_prob=2",
        ];
        let found = problems("", &sets);
        assert_eq!(found.len(), sets.len(), "{found:#?}");
        for set in sets {
            let key = set.split('=').next().expect("a key");
            assert_eq!(
                found.iter().filter(|p| p.contains(key)).count(),
                1,
                "{key} in {found:#?}"
            );
        }
    }

    #[test]
    fn only_the_default_passes_where_a_key_has_no_effect() {
        for (without, with) in [
            ("discriminator.potts=1", "discriminator.transitions=potts"),
            ("discriminator.a_max=2", "discriminator.head=crf"),
            ("discriminator.head_width=8", "discriminator.head=dense"),
            ("discriminator.global=true", "discriminator.head=crf"),
            ("generator.draw_steps=2", "generator.kind=recurrent"),
            ("generator.filter_edge=2", "generator.filter=on"),
            ("generator.style_noise_dims=4", "generator.style=latent"),
            ("generator.style_channels=8", "generator.style=reference"),
            ("loss.latent=2", "loss.prior=1"),
            ("loss.style=2", "generator.style=latent"),
            ("loss.diversity=0", "generator.style=reference"),
            ("train.decay_from=0.2", "train.schedule=cosine"),
            ("train.transition_rate_factor=1", "discriminator.head=crf"),
        ] {
            let other = match without.split('=').next() {
                Some("generator.filter_edge") => "generator.filter=off",
                Some("discriminator.a_max") => "discriminator.transitions=potts",
                Some("train.decay_from") => "train.schedule=constant",
                Some("train.transition_rate_factor" | "discriminator.global") => {
                    "discriminator.head=patch"
                }
                _ => "seed=0",
            };
            let found = problems("", &[without, other]);
            let key = without.split('=').next().expect("a key");
            assert!(
                found.len() == 1 && found[0].starts_with(key),
                "{without}: {found:#?}"
            );
            let both = [without.to_owned(), with.to_owned()];
            Config::resolve(None, &both).unwrap_or_else(|e| panic!("{both:?}: {e}"));
        }
    }

    #[test]
    fn the_file_of_explained_keys_is_the_defaults_with_a_comment_a_key() {
        let text = Config::explained();
        let read = Config::resolve(Some(&text), &[]).expect("settings");
        assert_eq!(read, Config::default());
        let lines: Vec<&str> = text.lines().collect();
        let of_key = |line: &str| line.contains(" = ") && !line.starts_with('#');
        for pair in lines.windows(2).filter(|pair| of_key(pair[1])) {
            assert!(pair[0].starts_with("# "), "{pair:?}");
        }
        assert_eq!(
            lines.iter().filter(|line| of_key(line)).count(),
            keys().len()
        );
        let size = "# Side in pixels of the square that pictures are fitted to and the networks see. Range: a multiple\n\
                    # of 8 from 16 to 256.\nsize_px = 64\n";
        assert!(text.contains(size), "{text}");
    }

    #[test]
    fn the_tables_of_the_guide_are_those_of_the_declaration() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/README.md");
        let guide = std::fs::read_to_string(path).expect("the guide");
        let start = guide.find("### The run").expect("the tables come last");
        let tables = tables::key_tables();
        if std::env::var_os("DEMOTIC_BLESS").is_some() {
            let text = guide[..start].to_owned() + &tables;
            std::fs::write(path, text).expect("the guide can be written");
            return;
        }
        assert!(
            guide[start..] == tables,
            "the key tables are not those of settings/keys.rs; write them by \
             `DEMOTIC_BLESS=1 cargo test --release --lib tables_of_the_guide` and look at the difference"
        );
    }

    #[test]
    fn every_key_has_its_place_in_the_page_of_reasons_once() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/keys.md");
        let page = std::fs::read_to_string(path).expect("the page of reasons");
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        let mut named: Vec<&str> = rows
            .filter_map(|row| row.split('|').nth(1))
            .flat_map(|names| names.split('`').skip(1).step_by(2))
            .collect();
        let mut declared: Vec<&str> = keys().iter().map(|key| key.name).collect();
        named.sort_unstable();
        declared.sort_unstable();
        assert_eq!(named, declared);
    }

    #[test]
    fn a_key_of_an_earlier_version_passes_where_it_had_no_effect_and_is_named_where_it_had() {
        for (name, without_effect, _) in REMOVED {
            assert!(keys().iter().all(|key| key.name != *name), "{name} is back");
            let (section, key) = name.split_once('.').expect("a section and a name");
            let file = format!("[{section}]\n{key} = {without_effect:?}\n");
            let config = Config::resolve(Some(&file), &[]).expect("it changes nothing");
            assert_eq!(config, Config::default());
            let found = problems("", &[&format!("{name}={}", without_effect + 1.0)]);
            assert!(
                found.len() == 1 && found[0].starts_with(*name) && found[0].contains("any more"),
                "{found:#?}"
            );
        }
    }

    #[test]
    fn names_of_several_lines_are_refused() {
        let found = problems("[data]\nsource = \"a\\nb\"\n", &[]);
        assert!(
            found.len() == 1 && found[0].contains("data.source"),
            "{found:#?}"
        );
        assert!(!problems("[data]\nstyles = [\"a\", \"b\\tc\"]\n", &[]).is_empty());
    }

    #[test]
    fn a_list_is_typed_with_commas() {
        for typed in ["a,b", "a, b", "\"a\",\"b\"", "[\"a\",\"b\"]"] {
            let set = format!("data.styles={typed}");
            let config = Config::resolve(None, &[set]).expect("two styles");
            assert_eq!(config.data.styles, ["a", "b"], "{typed}");
        }
        let none = Config::resolve(None, &["data.styles=".into()]).expect("all styles");
        assert!(none.data.styles.is_empty());
        let found = problems("", &["data.styles=a"]);
        assert!(found[0].contains("at least two styles"), "{found:#?}");
    }

    #[test]
    fn files_of_other_systems_are_read_or_explained() {
        let marked = Config::resolve(Some("\u{feff}seed = 3\r\n[train]\r\nsteps = 7\r\n"), &[]);
        let config = marked.expect("a mark and line ends of another system");
        assert_eq!((config.seed, config.train.steps), (3, 7));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("own.toml");
        let refused = |bytes: &[u8]| {
            std::fs::write(&file, bytes).expect("it can be written");
            Config::load(&file, &[])
                .expect_err("it is refused")
                .to_string()
        };
        for path in ["C:\\pictures\\own", "C:\\Users\\own"] {
            let reported = refused(format!("[data]\r\nsource = \"{path}\"\r\n").as_bytes());
            assert!(!reported.contains('\r'), "{reported:?}");
            for part in ["own.toml", "line 2", "write a path in '...'"] {
                assert!(reported.contains(part), "{part} in {reported}");
            }
        }
        // Escapes that there are make it two lines; the path is wrong all the same.
        let reported = refused(b"[data]\r\nsource = \"C:\\new\"\r\n");
        for part in ["own.toml, line 2: data.source", "write a path in '...'"] {
            assert!(reported.contains(part), "{part} in {reported}");
        }
        let wide: Vec<u8> = "\u{feff}seed = 3"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert!(refused(&wide).contains("UTF-16; save it as UTF-8"));
    }

    #[test]
    fn a_problem_of_a_file_is_told_with_its_line_whatever_ends_its_lines() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("own.toml");
        let text = "\u{feff}# mine\r\nsed = 1\r\n[train]\r\nbacth = 4\r\nsteps = \"many\"\r\npairs = \"some\"\r\nbatch = 0\r\n\
                    [generator]\r\nkind = \"foo\"\r\nlatent_stride = 3\r\n[loss]\r\nsmoothness = 2\r\nkl = -1\r\n";
        for text in [text.to_owned(), text.replace("\r\n", "\n")] {
            std::fs::write(&file, text).expect("it can be written");
            // What is given on the command line is not the file's fault, nor is what follows from it.
            let sets = ["train.batch=-1".to_owned(), "augment.flip=1".to_owned()];
            let reported = Config::load(&file, &sets).expect_err("all of it is wrong");
            let reported = reported.to_string();
            for (line, problem) in [
                (2, "unknown key `sed`"),
                (4, "unknown key `train.bacth`"),
                (5, "train.steps: expected integer"),
                (6, "train.pairs: expected none"),
                (9, "unknown variant `foo`"),
                (10, "generator.latent_stride: expected 2, 4 or 8"),
                (12, "loss.smoothness: this version"),
                (13, "loss.kl: expected 0 or more"),
            ] {
                let expected = format!("own.toml, line {line}: {problem}");
                assert!(reported.contains(&expected), "{expected} in {reported}");
            }
            assert!(
                reported.contains("configuration: unknown key `augment.flip`"),
                "{reported}"
            );
            assert_eq!(reported.matches(", line ").count(), 8, "{reported}");
        }
    }

    #[test]
    fn assignments_win_over_the_file_and_the_file_over_defaults() {
        let sets = [
            "train.steps=7".to_owned(),
            "data.source=./pictures".to_owned(),
            "train.pairs=all".to_owned(),
        ];
        let config =
            Config::resolve(Some("[train]\nsteps = 5\nbatch = 3\n"), &sets).expect("valid");
        assert_eq!((config.train.steps, config.train.batch), (7, 3));
        assert_eq!(
            (config.data.source.as_str(), config.train.pairs),
            ("./pictures", Pairs::All)
        );
    }

    #[test]
    fn a_resolved_configuration_reads_back_as_itself() {
        let config = Config::resolve(None, &["train.generator_rate=0.001".into()]).expect("valid");
        let again = Config::resolve(Some(&config.to_toml(false)), &[]).expect("valid");
        assert_eq!(config, again);
        let marked = config.to_toml(true);
        assert_eq!(marked.matches("# not the default").count(), 1, "{marked}");
        assert_eq!(
            Config::resolve(Some(&marked), &[]).expect("comments are TOML"),
            config
        );
    }
}
