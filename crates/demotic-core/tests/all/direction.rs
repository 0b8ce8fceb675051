//! The direction of imports: files lie in layers, a file imports from its own layer and from those below, and
//! no file imports itself by way of others. `mod` declarations and a module's re-exports of its own children
//! are no imports; test modules may look anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Layers of each crate, bottom first; a file belongs to the longest name that its path begins with.
const LAYERS: [(&str, &[&[&str]]); 3] = [
    (
        "demotic-crf",
        &[
            &[
                "cases.rs",
                "config.rs",
                "diagnostics.rs",
                "hash.rs",
                "number.rs",
            ],
            &["error.rs", "oracle.rs"],
            &["op"],
            &["chain.rs", "grid.rs"],
            &["workload.rs"],
            // The kernels' own tests share the tests' adapter.
            &["lib.rs", "op/wgsl/tests.rs"],
        ],
    ),
    (
        "demotic-core",
        &[
            &[
                "rng.rs",
                "allocation.rs",
                "arrays.rs",
                "error",
                "files.rs",
                "number.rs",
                "ops",
                "protobuf.rs",
                "table.rs",
            ],
            &["settings"],
            &["device", "data", "model", "loss.rs"],
            &["train"],
            &[
                "translate.rs",
                "recognize.rs",
                "sample.rs",
                "metric",
                "report",
                "export",
            ],
            &["phrase"],
            &["check", "translator.rs"],
            // The kernels' own tests compare them with the doctor's float64.
            &["lib.rs", "ops/wgsl/tests.rs"],
        ],
    ),
    (
        "demotic",
        &[
            &[
                "cli",
                "failure.rs",
                "output.rs",
                "recipes.rs",
                "terminal.rs",
            ],
            &[
                "options.rs",
                "greeting.rs",
                "inputs.rs",
                "progress.rs",
                "sheet.rs",
                "tensorboard.rs",
                "page.rs",
                "findings.rs",
                "hints.rs",
                "waiting.rs",
            ],
            &["samples.rs", "recorder.rs", "examination.rs", "serve"],
            &["commands"],
            &["main.rs"],
        ],
    ),
];

/// Source files by their path under `src`.
type Sources = BTreeMap<String, String>;

#[test]
fn no_file_imports_upwards_or_itself() {
    let mut wrong = Vec::new();
    for (name, layers) in LAYERS {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(name)
            .join("src");
        let mut sources = Sources::new();
        read(&root, "", &mut sources);
        assert!(sources.len() > 5, "{}", root.display());
        let found = problems(&sources, layers);
        wrong.extend(found.iter().map(|problem| format!("{name}: {problem}")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn planted_faults_are_found() {
    let layers: &[&[&str]] = &[&["ground.rs"], &["mid"], &["top.rs"], &["lib.rs"]];
    let sound = [
        (
            "lib.rs",
            "mod ground; mod mid; mod top; pub use mid::Middle;",
        ),
        (
            "ground.rs",
            "/// See [`crate::top`].\nfn a() -> &'static str { \"crate::top\" }",
        ),
        (
            "mid/mod.rs",
            "mod one; mod two; pub use one::Middle; use crate::ground;",
        ),
        (
            "mid/one.rs",
            "use super::two::{self, B}; #[cfg(test)] mod tests { use crate::top::C; } #[cfg(all(test, feature = \"x\"))] mod more { use crate::top::C; }",
        ),
        ("mid/two.rs", "use crate::ground::a as b;"),
        (
            "top.rs",
            "use crate::{ground, mid::{Middle}}; fn f() { { } } mod inner { use super::a; }",
        ),
    ];
    let with = |planted: &[(&str, &str)]| {
        let mut sources: Sources = sound
            .iter()
            .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
            .collect();
        for (file, text) in planted {
            *sources.get_mut(*file).expect("a file of the example") += text;
        }
        problems(&sources, layers)
    };
    assert_eq!(with(&[]), [""; 0]);
    for (file, planted, reported) in [
        (
            "ground.rs",
            "use crate::top::C;",
            "ground.rs imports top.rs, which lies above it",
        ),
        (
            "ground.rs",
            "use crate::{mid::Middle};",
            "ground.rs imports mid/one.rs, which lies above it",
        ),
        (
            "mid/two.rs",
            "fn f() { let x = crate::top::c(); }",
            "mid/two.rs imports top.rs, which lies above it",
        ),
        (
            "mid/two.rs",
            "use super::Middle;",
            "a circle: mid/one.rs -> mid/two.rs -> mid/one.rs",
        ),
        (
            "mid/two.rs",
            "use super::other;",
            "a circle: mid/mod.rs -> mid/two.rs -> mid/mod.rs",
        ),
    ] {
        // A module may use its children, by more than a re-export.
        let found = with(&[("mid/mod.rs", "use two::B;"), (file, planted)]);
        assert!(
            found.iter().any(|line| line == reported),
            "{planted}: {found:?}"
        );
    }
    let stray = &layers[1..];
    let sources: Sources = [("ground.rs".to_owned(), String::new())].into();
    assert_eq!(problems(&sources, stray), ["ground.rs belongs to no layer"]);
}

/// Every `.rs` file below a folder.
fn read(folder: &Path, prefix: &str, sources: &mut Sources) {
    for entry in std::fs::read_dir(folder).expect("the sources are there") {
        let entry = entry.expect("a folder that can be listed");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        if path.is_dir() {
            read(&path, &format!("{name}/"), sources);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            sources.insert(
                name,
                std::fs::read_to_string(&path).expect("a source is text"),
            );
        }
    }
}

/// What is wrong with the imports of a crate, a line each.
fn problems(sources: &Sources, layers: &[&[&str]]) -> Vec<String> {
    let layer = |file: &str| {
        let names = layers.iter().enumerate();
        let fitting = names
            .flat_map(|(layer, names)| names.iter().map(move |name| (name.len(), layer, *name)));
        let is_within = |name: &str| {
            file.strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == ".rs")
        };
        fitting
            .filter(|(.., name)| is_within(name))
            .max()
            .map(|(_, layer, _)| layer)
    };
    let graph = Crate::new(sources).imports();
    let mut wrong = Vec::new();
    for (file, imported) in &graph {
        let Some(own) = layer(file) else {
            wrong.push(format!("{file} belongs to no layer"));
            continue;
        };
        for other in imported
            .iter()
            .filter(|other| layer(other).is_some_and(|other| other > own))
        {
            wrong.push(format!("{file} imports {other}, which lies above it"));
        }
    }
    wrong.extend(circles(&graph));
    wrong
}

/// One circle of each group of files that reach each other.
fn circles(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut found = Vec::new();
    let mut reported: BTreeSet<&str> = BTreeSet::new();
    for start in graph.keys() {
        // The shortest way back to the start, breadth first.
        let mut ways: Vec<Vec<&str>> = vec![vec![start]];
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut circle = None;
        while circle.is_none() && !ways.is_empty() {
            let mut longer = Vec::new();
            for way in ways {
                for next in &graph[*way.last().expect("a way has a place")] {
                    let mut way = way.clone();
                    way.push(next);
                    if next == start {
                        circle.get_or_insert(way);
                    } else if seen.insert(next) {
                        longer.push(way);
                    }
                }
            }
            ways = longer;
        }
        if let Some(circle) =
            circle.filter(|circle| circle.iter().all(|file| !reported.contains(file)))
        {
            found.push(format!("a circle: {}", circle.join(" -> ")));
            reported.extend(circle);
        }
    }
    found
}

/// A token: a name, `::`, or one sign.
type Tokens = Vec<String>;

/// The modules of a crate.
struct Crate {
    /// File and tokens of each module by its path, such as `train::step`; the root is empty.
    modules: BTreeMap<String, (String, Tokens)>,
}

impl Crate {
    fn new(sources: &Sources) -> Self {
        let modules = sources.iter().map(|(file, text)| {
            let path = file
                .trim_end_matches(".rs")
                .trim_end_matches("/mod")
                .replace('/', "::");
            let path = if ["lib", "main"].contains(&path.as_str()) {
                String::new()
            } else {
                path
            };
            (path, (file.clone(), without_tests(tokens(text))))
        });
        Self {
            modules: modules.collect(),
        }
    }

    /// The files that each file imports from.
    fn imports(&self) -> BTreeMap<String, BTreeSet<String>> {
        let of = |(module, (file, tokens)): (&String, &(String, Tokens))| {
            let imported =
                self.paths(module, tokens)
                    .into_iter()
                    .filter_map(|(is_exported, path)| {
                        // A module that re-exports its own children is a front door.
                        let is_front = is_exported && below(module, &path.join("::"));
                        let other = self.file(&path)?;
                        (!is_front && other != file).then(|| other.to_owned())
                    });
            (file.clone(), imported.collect())
        };
        self.modules.iter().map(of).collect()
    }

    /// Every path in a module that begins in this crate, from the root; whether it is re-exported.
    fn paths(&self, module: &str, tokens: &[String]) -> Vec<(bool, Vec<String>)> {
        let mut found = Vec::new();
        // Modules within the file, each with the number of braces around it.
        let (mut inner, mut braces) = (Vec::<(&str, usize)>::new(), 0);
        let mut at = 0;
        while at < tokens.len() {
            match tokens[at].as_str() {
                "{" => {
                    braces += 1;
                    if at > 1 && tokens[at - 2] == "mod" {
                        inner.push((&tokens[at - 1], braces));
                    }
                }
                "}" => {
                    inner.retain(|(_, around)| *around < braces);
                    braces -= 1;
                }
                _ => {}
            }
            let names = inner.iter().map(|(name, _)| *name);
            let module = &std::iter::once(module)
                .chain(names)
                .filter(|name| !name.is_empty())
                .collect::<Vec<_>>()
                .join("::");
            let is_start = at == 0 || tokens[at - 1] != "::";
            let has_more = tokens.get(at + 1).is_some_and(|next| next == "::");
            if tokens[at] == "use" {
                let is_exported = at > 0 && (tokens[at - 1] == "pub" || tokens[at - 1] == ")");
                let mut paths = Vec::new();
                at = tree(tokens, at + 1, &[], &mut paths);
                let own = paths.iter().filter_map(|path| self.rooted(module, path));
                found.extend(own.map(|path| (is_exported, path)));
            } else if is_start && has_more && is_name(&tokens[at]) {
                let mut path = vec![tokens[at].clone()];
                while tokens.get(at + 1).is_some_and(|next| next == "::")
                    && tokens.get(at + 2).is_some_and(|next| is_name(next))
                {
                    at += 2;
                    path.push(tokens[at].clone());
                }
                found.extend(self.rooted(module, &path).map(|path| (false, path)));
                at += 1;
            } else {
                at += 1;
            }
        }
        found
    }

    /// A path as it stands in a module, from the root; none where it begins outside the crate.
    fn rooted(&self, module: &str, path: &[String]) -> Option<Vec<String>> {
        let mut place: Vec<String> = module
            .split("::")
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                place.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    place.pop();
                    rest = &rest[1..];
                }
            }
            child => {
                let mut own = place.clone();
                own.push(child.to_owned());
                self.modules.get(&own.join("::"))?;
            }
        }
        place.extend(rest.iter().cloned());
        Some(place)
    }

    /// The file that defines what a path from the root names: through modules and their re-exports as far as
    /// they go.
    fn file(&self, path: &[String]) -> Option<&str> {
        let mut module = String::new();
        for (depth, part) in path.iter().enumerate() {
            let child = if module.is_empty() {
                part.clone()
            } else {
                format!("{module}::{part}")
            };
            if self.modules.contains_key(&child) {
                module = child;
                continue;
            }
            let (file, tokens) = self.modules.get(&module)?;
            let exported = self
                .paths(&module, tokens)
                .into_iter()
                .find(|(is_exported, path)| {
                    *is_exported && path.last() == Some(part) && below(&module, &path.join("::"))
                });
            return match exported {
                Some((_, mut target)) => {
                    target.extend(path[depth + 1..].iter().cloned());
                    self.file(&target)
                }
                None => Some(file),
            };
        }
        self.modules.get(&module).map(|(file, _)| file.as_str())
    }
}

/// Whether a path lies below a module.
fn below(module: &str, path: &str) -> bool {
    module.is_empty()
        || path
            .strip_prefix(module)
            .is_some_and(|rest| rest.starts_with("::"))
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The paths of one `use`, whose braces open a tree; the place behind it. What `as` calls it does not matter.
fn tree(
    tokens: &[String],
    mut at: usize,
    before: &[String],
    found: &mut Vec<Vec<String>>,
) -> usize {
    let mut path = before.to_vec();
    while at < tokens.len() {
        match tokens[at].as_str() {
            "::" | "*" => at += 1,
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = tree(tokens, at, &path, found);
                    if tokens.get(at).is_some_and(|token| token == ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            "as" => at += 2,
            name if is_name(name) => {
                if name != "self" || path.is_empty() {
                    path.push(name.to_owned());
                }
                at += 1;
            }
            _ => break,
        }
    }
    found.push(path);
    at
}

/// Names and signs of a source, without comments, texts and lifetimes.
fn tokens(text: &str) -> Tokens {
    let chars: Vec<char> = text.chars().collect();
    let (mut found, mut at) = (Tokens::new(), 0);
    let is = |at: usize, what: &str| {
        what.chars()
            .enumerate()
            .all(|(i, c)| chars.get(at + i) == Some(&c))
    };
    while at < chars.len() {
        let c = chars[at];
        if is(at, "//") {
            while at < chars.len() && chars[at] != '\n' {
                at += 1;
            }
        } else if is(at, "/*") {
            at += 2;
            while at < chars.len() && !is(at, "*/") {
                at += 1;
            }
            at += 2;
        } else if is(at, "r\"") || is(at, "r#\"") {
            let end = if is(at, "r\"") { "\"" } else { "\"#" };
            at += 1 + end.len();
            while at < chars.len() && !is(at, end) {
                at += 1;
            }
            at += end.len();
        } else if c == '"' {
            at += 1;
            while at < chars.len() && chars[at] != '"' {
                at += if chars[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if c == '\'' {
            // A character ends in a quote, a lifetime does not.
            at += 1;
            if chars.get(at) == Some(&'\\') {
                at += 2;
                while at < chars.len() && chars[at] != '\'' {
                    at += 1;
                }
                at += 1;
            } else if chars.get(at + 1) == Some(&'\'') {
                at += 2;
            }
        } else if is(at, "::") {
            found.push("::".into());
            at += 2;
        } else if c.is_alphanumeric() || c == '_' {
            let start = at;
            while chars
                .get(at)
                .is_some_and(|c| c.is_alphanumeric() || *c == '_')
            {
                at += 1;
            }
            found.push(chars[start..at].iter().collect());
        } else {
            if !c.is_whitespace() {
                found.push(c.into());
            }
            at += 1;
        }
    }
    found
}

/// Without `#[cfg(test)]`, `#[cfg(all(test, ..))]` and the block that follows each.
fn without_tests(tokens: Tokens) -> Tokens {
    let marks = [
        &["#", "[", "cfg", "(", "test", ")", "]"][..],
        &["#", "[", "cfg", "(", "all", "(", "test"],
    ];
    let (mut kept, mut at) = (Tokens::new(), 0);
    while at < tokens.len() {
        let here = || tokens[at..].iter().map(String::as_str);
        if !marks
            .iter()
            .any(|mark| here().take(mark.len()).eq(mark.iter().copied()))
        {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let mut depth = 0;
        while at < tokens.len() {
            depth += match tokens[at].as_str() {
                "{" => 1,
                "}" => -1,
                _ => 0,
            };
            at += 1;
            let ended = ["}", ";"].contains(&tokens[at - 1].as_str());
            if depth == 0 && ended {
                break;
            }
        }
    }
    kept
}
