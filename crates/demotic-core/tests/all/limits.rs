//! The sizes that keep the code readable; CONTRIBUTING.md names those of comments and commands.

use std::fs;
use std::path::{Path, PathBuf};

/// Folder, ending of a name, most lines.
const FILES: [(&str, &str, usize); 4] = [
    ("crates/demotic/src/commands", ".rs", 250),
    ("crates/demotic-crf/src", ".rs", 500),
    ("benches", "README.md", 80),
    ("", "README.md", 120),
];
/// Most letters of a line that is a comment.
const COMMENT: usize = 110;

#[test]
fn files_and_comments_are_no_longer_than_agreed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut wrong = Vec::new();
    for (folder, ending, most) in FILES {
        let is_tree = ending.starts_with('.');
        let files = found(&root.join(folder), ending, is_tree);
        assert!(!files.is_empty(), "{folder} {ending}");
        for file in files {
            let lines = text(&file).lines().count();
            if lines > most {
                wrong.push(format!("{}: {lines} lines", file.display()));
            }
        }
    }
    for folder in ["crates", "benches", "shaders", "fuzz/fuzz_targets"] {
        for ending in [".rs", ".wgsl"] {
            for file in found(&root.join(folder), ending, true) {
                for (at, line) in text(&file).lines().enumerate() {
                    if is_long_comment(line) {
                        wrong.push(format!("{}:{}", file.display(), at + 1));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_long_comment_is_found_and_long_code_is_not() {
    let long = "x".repeat(COMMENT);
    assert!(is_long_comment(&format!("  // {long}")));
    assert!(!is_long_comment(&format!("// {}", &long[3..])));
    assert!(!is_long_comment(&format!("let x = \"{long}\";")));
}

fn is_long_comment(line: &str) -> bool {
    line.trim_start().starts_with("//") && line.chars().count() > COMMENT
}

fn text(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// Files in a folder whose names end so; those of nested folders, too, where it is a tree.
fn found(folder: &Path, ending: &str, is_tree: bool) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("a folder that can be listed").path();
        let name = path.file_name().expect("an entry has a name");
        if path.is_dir() {
            if is_tree {
                files.extend(found(&path, ending, is_tree));
            }
        } else if name.to_string_lossy().ends_with(ending) {
            files.push(path);
        }
    }
    files
}
