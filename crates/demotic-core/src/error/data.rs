//! Everything that can be wrong with pictures, archives and data sets, in words a person can act on.

use std::path::{Path, PathBuf};

use super::nearest;

/// Why data could not be read, imported or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file system refused.
    #[error("cannot {action}: {source}: {}", path.display())]
    Io {
        /// What was tried, as a verb with its object.
        action: &'static str,
        /// The system's own words.
        source: std::io::Error,
        /// Where.
        path: PathBuf,
    },
    /// A data source that is neither `emoji`, nor a folder of style folders, nor an imported data set.
    #[error("{problem}; expected `emoji`, a folder with one sub-folder of pictures a style, or a folder made by `demotic data import`: {}", path.display())]
    Source {
        /// What is wrong with it.
        problem: String,
        /// The source asked for.
        path: PathBuf,
    },
    /// A style that a data set does not have, or weights do not know.
    #[error("unknown style `{asked}`; {whose}: {}{}", known.join(", "), meant(asked, known))]
    UnknownStyle {
        /// Whose styles are meant, with their verb: `this data set has`.
        whose: &'static str,
        /// The name asked for.
        asked: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// Fewer than two styles.
    #[error("a data set of {found} style(s) ({}): translation needs at least two; add a style folder or name more styles{}: {}", names.join(", "), unread.iter().flat_map(|folder| ["; ", folder]).collect::<String>(), path.display())]
    TooFewStyles {
        /// How many there are.
        found: usize,
        /// Which.
        names: Vec<String>,
        /// Folders that are no styles, with why.
        unread: Vec<String>,
        /// The source.
        path: PathBuf,
    },
    /// Nothing to train on in a style.
    #[error("style `{style}` has {pictures} picture(s), {training} of them for training; it needs at least one for training (about one name in five is held out): add pictures, or leave the style out (data.styles): {}", path.display())]
    TooFewPictures {
        /// The style.
        style: String,
        /// Pictures of any split.
        pictures: usize,
        /// Training pictures.
        training: usize,
        /// The source.
        path: PathBuf,
    },
    /// A picture that cannot be decoded or is too large.
    #[error("cannot read picture: {problem}: {}", path.display())]
    Picture {
        /// What is wrong with it and the way out.
        problem: String,
        /// The picture, or the archive and the entry in it.
        path: PathBuf,
    },
    /// Several pictures that cannot be read.
    #[error("{} pictures cannot be read; mend or remove them, or go on without them by --skip-damaged (data.damaged = \"skip\"):{}", problems.len(), listed(problems))]
    Pictures {
        /// What is wrong with each, and where it is.
        problems: Vec<String>,
    },
    /// An archive that is damaged, hostile or not one of the known packages.
    #[error("cannot read archive: {problem}: {}", path.display())]
    Archive {
        /// What is wrong with it and the way out.
        problem: String,
        /// The archive, or the archive and the entry in it.
        path: PathBuf,
    },
    /// An imported data set whose index is damaged, foreign or does not match its files.
    #[error("cannot read data set: {problem}: {}", path.display())]
    Index {
        /// What is wrong with it and the way out.
        problem: String,
        /// The file.
        path: PathBuf,
    },
    /// A list of phrases that cannot be read.
    #[error("cannot read phrases: {}{problem}: {}", at_line(*line), path.display())]
    Phrases {
        /// What is wrong and what was expected.
        problem: String,
        /// The line it is wrong in, from 1; 0 where no line is to blame.
        line: usize,
        /// The file.
        path: PathBuf,
    },
    /// An import that has no result.
    #[error("nothing imported: {problem}: {}", path.display())]
    Import {
        /// What is wrong and the way out.
        problem: String,
        /// The source or destination.
        path: PathBuf,
    },
    /// An option out of its range.
    #[error("{0}")]
    Option(String),
}

/// `; did you mean `noto`?`, or nothing where no name is near.
fn meant(asked: &str, known: &[String]) -> String {
    let found = nearest(asked, known.iter().map(String::as_str));
    found.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

/// `line 3: `, or nothing for line 0.
fn at_line(line: usize) -> String {
    if line == 0 {
        String::new()
    } else {
        format!("line {line}: ")
    }
}

/// Most faults that a message lists.
const FAULTS_SHOWN: usize = 20;

/// A line each, of the first ones, and how many more there are.
fn listed(problems: &[String]) -> String {
    let shown = problems.iter().take(FAULTS_SHOWN);
    let lines: String = shown.flat_map(|problem| ["\n", problem]).collect();
    match problems.len().checked_sub(FAULTS_SHOWN) {
        Some(more @ 1..) => format!("{lines}\nand {more} more"),
        _ => lines,
    }
}

impl DataError {
    /// One or more faults of pictures.
    pub(crate) fn of_pictures(mut faults: Vec<Self>) -> Self {
        if faults.len() == 1 {
            return match faults.remove(0) {
                Self::Picture { problem, path } => Self::Picture {
                    problem: format!("{problem}; --skip-damaged goes on without it"),
                    path,
                },
                other => other,
            };
        }
        let problem = |fault: Self| match fault {
            Self::Picture { problem, path } => format!("{problem}: {}", path.display()),
            other => other.to_string(),
        };
        Self::Pictures {
            problems: faults.into_iter().map(problem).collect(),
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            action,
            source,
            path,
        }
    }
}
