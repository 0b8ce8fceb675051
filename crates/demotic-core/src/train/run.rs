//! The folder of a run: where it is, who may write to it, and what its files held at a checkpoint.
//!
//! ```text
//! config.toml  header.json  log.txt  stats.jsonl  samples/  checkpoints/
//! evaluation.json  report.html  tensorboard/
//! ```

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::checkpoint::{Checkpoint, best_step, checkpoint_at, latest_checkpoint};
use super::header::Header;
use super::record::Record;
use super::weights::BUILT_IN;
use crate::error::Error;
use crate::files::{drop_parts, is_part, rewrite, write_whole};
use crate::number::Whole;
use crate::settings::Config;

/// Most runs that a message lists, the newest first.
const RUNS_LISTED: usize = 10;
/// Where numbered runs are by default, in the working directory.
pub const RUNS: &str = "runs";
/// Held by the process that trains; it stays behind, and alone it is no run.
const LOCK: &str = ".lock";
/// What a run is.
const HEADER: &str = "header.json";

/// A run's folder, held by this process alone until it is dropped.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// The system gives the lock back when the process ends, however it ends.
    _lock: File,
}

impl RunDir {
    /// Makes `root/<next number>-<name>`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn numbered(root: &Path, name: &str) -> Result<Self, Error> {
        fs::create_dir_all(root).map_err(Error::io("make the folder of runs", root))?;
        let mut number = runs(root)?
            .into_iter()
            .map(|(number, _)| number + 1)
            .max()
            .unwrap_or(1);
        loop {
            let path = root.join(format!("{number:05}-{name}"));
            match fs::create_dir(&path) {
                Ok(()) => return Self::locked(path),
                // Another run that started in this moment has it.
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(e) => return Err(Error::io("make the run folder", &path)(e)),
            }
        }
    }

    /// Takes a folder that is absent or empty.
    ///
    /// # Errors
    /// [`Error::Input`] where it holds anything or another process has it, [`Error::Io`].
    pub fn fresh(path: &Path) -> Result<Self, Error> {
        require_unused(path)?;
        fs::create_dir_all(path).map_err(Error::io("make the run folder", path))?;
        Self::locked(path.to_owned())
    }

    /// Takes the folder of a run that is to go on.
    ///
    /// # Errors
    /// [`Error::Input`] for a folder that is no run, or that another process has, [`Error::Io`].
    pub fn existing(path: &Path) -> Result<Self, Error> {
        require_run(path)?;
        Self::locked(path.to_owned())
    }

    fn locked(path: PathBuf) -> Result<Self, Error> {
        let file = path.join(LOCK);
        let lock =
            File::create(&file).map_err(Error::io("make the lock of the run folder", &file))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::Input(format!(
                "another process is training in this run folder; wait for it or stop it: {}",
                path.display()
            ))),
            Err(TryLockError::Error(e)) => Err(Error::io("lock the run folder", &file)(e)),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The resolved settings.
    pub fn config_file(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// What the run is, and where its log stood at its checkpoints.
    pub(crate) fn header_file(&self) -> PathBuf {
        self.path.join(HEADER)
    }

    /// What the screen showed.
    pub fn log_file(&self) -> PathBuf {
        self.path.join("log.txt")
    }

    /// One JSON a tick or event.
    pub(crate) fn stats_file(&self) -> PathBuf {
        self.path.join("stats.jsonl")
    }

    /// Figures of the finished run.
    pub fn evaluation_file(&self) -> PathBuf {
        self.path.join("evaluation.json")
    }

    /// Pictures to look at.
    pub fn samples(&self) -> PathBuf {
        self.path.join("samples")
    }

    /// The sample grid of a step.
    pub fn sample_file(&self, step: u64) -> PathBuf {
        self.samples().join(format!("step-{step:08}.png"))
    }

    /// What the discriminator said of patches at a step.
    pub fn labels_file(&self, step: u64) -> PathBuf {
        self.samples().join(format!("labels-{step:08}.png"))
    }

    /// The run as a page.
    pub fn report_file(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// Event files.
    pub fn tensorboard(&self) -> PathBuf {
        self.path.join("tensorboard")
    }

    /// Checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The folder of a new run gets its settings: with them, it can be resumed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_config(&self, config: &Config) -> Result<(), Error> {
        write_whole(&self.config_file(), config.to_toml(true).as_bytes())
    }

    /// What the run was when it was last begun; none for one of an earlier build.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn header(&self) -> Result<Option<Header>, Error> {
        header(&self.path)
    }

    /// Writes what the run is.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_header(&self, header: &Header) -> Result<(), Error> {
        let mut text = serde_json::to_string_pretty(header).expect("a header is JSON");
        text.push('\n');
        write_whole(&self.header_file(), text.as_bytes())
    }

    /// Drops from the run's files what came after `step` or was cut, so that they go on as if the run had not
    /// been cut there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn rewind(&self, step: u64) -> Result<(), Error> {
        drop_parts(&self.path)?;
        drop_parts(&self.samples())?;
        let end = self.header()?.and_then(|header| header.log_end(step));
        cut(&self.log_file(), end)?;
        self.rewind_figures(step)
    }

    /// The same without the log, which says how a run went back by itself.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn rewind_figures(&self, step: u64) -> Result<(), Error> {
        rewrite(&self.stats_file(), |text| {
            let keeps = |line: &&str| {
                serde_json::from_str::<Record>(line).is_ok_and(|record| record.step() <= step)
            };
            text.lines()
                .filter(keeps)
                .flat_map(|line| [line, "\n"])
                .collect()
        })?;
        let samples = self.samples();
        let entries = match fs::read_dir(&samples) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return self.forget_evaluation(),
            Err(e) => return Err(Error::io("look into the samples", &samples)(e)),
        };
        for entry in entries {
            let path = entry
                .map_err(Error::io("look into the samples", &samples))?
                .path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let shown = sample_step(name);
            if shown.is_some_and(|shown| shown > step) {
                fs::remove_file(&path).map_err(Error::io("drop a later sample", &path))?;
            }
        }
        self.forget_evaluation()
    }

    /// The figures of an earlier end say nothing about the run that goes on.
    fn forget_evaluation(&self) -> Result<(), Error> {
        let file = self.evaluation_file();
        match fs::remove_file(&file) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("drop the earlier evaluation", &file)(e))
            }
            _ => Ok(()),
        }
    }
}

/// The step of a sample's file name, `step-00000500.png` or `labels-00000500.png`.
#[doc(hidden)]
pub fn sample_step(name: &str) -> Option<u64> {
    let number = name
        .strip_prefix("step-")
        .or_else(|| name.strip_prefix("labels-"))?;
    number.strip_suffix(".png")?.parse().ok()
}

/// Numbered runs in a folder: number and path.
fn runs(root: &Path) -> Result<Vec<(u64, PathBuf)>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).map_err(Error::io("look into the folder of runs", root))? {
        let path = entry
            .map_err(Error::io("look into the folder of runs", root))?
            .path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(number) = name.and_then(|name| name.split_once('-')?.0.parse().ok()) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// The run of a name with the highest number.
///
/// # Errors
/// [`Error::Input`] where there is none, [`Error::Io`].
pub fn newest(root: &Path, name: &str) -> Result<PathBuf, Error> {
    let found = if root.is_dir() {
        runs(root)?
    } else {
        Vec::new()
    };
    let named = |path: &Path| {
        let file = path.file_name().and_then(|file| file.to_str());
        file.and_then(|file| file.split_once('-'))
            .is_some_and(|(_, rest)| rest == name)
    };
    let known: Vec<PathBuf> = found.into_iter().rev().map(|(_, path)| path).collect();
    if let Some(run) = known.iter().find(|path| named(path)) {
        return Ok(run.clone());
    }
    let others: Vec<PathBuf> = known.into_iter().filter(|path| is_run(path)).collect();
    let way_out = if others.is_empty() {
        "name its folder by --out, or start one without --resume".to_owned()
    } else {
        format!(
            "runs that can go on, by --resume --out RUN: {}",
            listed(&others)
        )
    };
    Err(Error::Input(format!(
        "no run named {}/<number>-{name} to go on with; {way_out}",
        root.display()
    )))
}

/// Refuses a place for a new run that holds anything.
///
/// # Errors
/// [`Error::Input`] where it is not empty or a file, [`Error::Io`].
#[doc(hidden)]
pub fn require_unused(path: &Path) -> Result<(), Error> {
    match fs::read_dir(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => Err(Error::Input(format!(
            "the run folder is a file; give a new --out: {}",
            path.display()
        ))),
        Err(e) => Err(Error::io("look into the run folder", path)(e)),
        Ok(entries) => {
            // A process that was killed before it wrote anything leaves these.
            let is_nothing = |name: &OsStr| name == LOCK || is_part(name);
            let mut names = entries.flatten().map(|entry| entry.file_name());
            if names.all(|name| is_nothing(&name)) {
                return Ok(());
            }
            Err(Error::Input(format!(
                "the run folder is not empty; nothing there is overwritten: give a new --out, or go on with the run in it by \
                 --resume: {}",
                path.display()
            )))
        }
    }
}

/// Refuses a folder that is no run.
///
/// # Errors
/// [`Error::Input`].
#[doc(hidden)]
pub fn require_run(folder: &Path) -> Result<(), Error> {
    let problem = if !folder.exists() {
        "there is no such run folder"
    } else if !is_run(folder) {
        "this folder is no run: it has no config.toml"
    } else {
        return Ok(());
    };
    let near = runs_near(folder);
    let way_out = if near.is_empty() {
        format!("`demotic train` makes one, by default {RUNS}/<number>-<config name>")
    } else {
        format!("runs that are there: {}", listed(&near))
    };
    Err(Error::Input(format!(
        "{problem}; {way_out}: {}",
        folder.display()
    )))
}

/// Whether a folder is a run: with its settings, it can go on.
fn is_run(folder: &Path) -> bool {
    folder.join("config.toml").is_file()
}

/// Runs that may be meant by a folder that is none: in it, beside it and where runs are by default, the last
/// by name first.
fn runs_near(folder: &Path) -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    let places = [Some(folder), folder.parent(), Some(Path::new(RUNS))];
    for place in places.into_iter().flatten() {
        let here = if place.as_os_str().is_empty() {
            Path::new(".")
        } else {
            place
        };
        // A place that cannot be looked into has none to offer.
        let entries = fs::read_dir(here).into_iter().flatten().flatten();
        let paths = entries.map(|entry| place.join(entry.file_name()));
        found.extend(paths.filter(|path| is_run(path)));
    }
    found.into_iter().rev().collect()
}

/// The first of some runs, in words.
fn listed(runs: &[PathBuf]) -> String {
    let first = runs.iter().take(RUNS_LISTED);
    let names: Vec<String> = first.map(|path| path.display().to_string()).collect();
    let more = if runs.len() > RUNS_LISTED {
        ", ..."
    } else {
        ""
    };
    names.join(", ") + more
}

/// Shortens a file of lines to at most `end` bytes, and by a line that was cut while it was written; an
/// absent file stays absent.
fn cut(path: &Path, end: Option<u64>) -> Result<(), Error> {
    let bytes = match fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(Error::io("read", path))?,
    };
    let end = end.map_or(bytes.len(), |end| bytes.len().min(end.to_usize()));
    let lines = bytes[..end].iter().rposition(|byte| *byte == b'\n');
    let kept = &bytes[..lines.map_or(0, |last| last + 1)];
    if kept.len() < bytes.len() {
        write_whole(path, kept)?;
    }
    Ok(())
}

/// What a run was when it was last begun; none for one of an earlier build, or where the file is damaged.
///
/// # Errors
/// [`Error::Io`].
pub fn header(folder: &Path) -> Result<Option<Header>, Error> {
    let path = folder.join(HEADER);
    match fs::read(&path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", &path)(e)),
    }
}

/// The settings of a run.
///
/// # Errors
/// [`Error::Input`] for a folder that is no run, and what [`Config::load`] refuses.
pub fn config(folder: &Path) -> Result<Config, Error> {
    require_run(folder)?;
    Config::load(&folder.join("config.toml"), &[])
}

/// The newest checkpoint of a run, read and checked; none where the run has not come that far.
///
/// # Errors
/// What [`Checkpoint::load`] refuses, [`Error::Io`].
pub fn checkpoint(folder: &Path) -> Result<Option<Checkpoint>, Error> {
    let checkpoints = folder.join("checkpoints");
    if !checkpoints.is_dir() {
        return Ok(None);
    }
    loop {
        let Some(path) = latest_checkpoint(&checkpoints)? else {
            return Ok(None);
        };
        match Checkpoint::load(&path) {
            // The run is training: it has a newer one, and has deleted this one in the meantime.
            Err(_) if !path.exists() => {}
            loaded => return Ok(Some(loaded?)),
        }
    }
}

/// Which checkpoint of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The best that validation has named, and where it has named none the newest: a training can be past its
    /// best.
    Auto,
    /// The newest.
    Latest,
    /// The best by `train.best_metric`.
    Best,
    /// That of a step.
    Step(u64),
}

/// `auto`, `latest`, `best` or the number of a step.
impl std::str::FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "latest" => Ok(Self::Latest),
            "best" => Ok(Self::Best),
            step => step.parse().map(Self::Step).map_err(|_not_a_number| {
                "expected auto, latest, best or the number of a step".to_owned()
            }),
        }
    }
}

/// The file of a run's best checkpoint, where its newest one names one that is there.
pub fn best_checkpoint(checkpoints: &Path) -> Option<PathBuf> {
    let step = best_step(checkpoints).ok().flatten()?;
    Some(checkpoint_at(checkpoints, step)).filter(|path| path.exists())
}

/// The checkpoint that is to be used: of a run's folder, of a file of weights, or [`BUILT_IN`].
///
/// # Errors
/// [`Error::Input`] where there is no such checkpoint, and what [`Checkpoint::load`] and
/// `Checkpoint::open_weights` refuse.
pub fn trained(folder: &Path, which: Which) -> Result<Checkpoint, Error> {
    let is_built_in = folder == Path::new(BUILT_IN);
    if is_built_in || folder.is_file() {
        if let Which::Best | Which::Step(_) = which {
            return Err(Error::Input(format!(
                "weights without a run are of one step; leave --checkpoint out: {}",
                folder.display()
            )));
        }
        return if is_built_in {
            Checkpoint::built_in()
        } else {
            Checkpoint::open_weights(folder)
        };
    }
    require_run(folder)?;
    let checkpoints = folder.join("checkpoints");
    let none = || {
        Error::Input(format!(
            "this run has no checkpoint yet; train on with `demotic train --resume --out {}`: {}",
            folder.display(),
            checkpoints.display()
        ))
    };
    let gone = |step: u64| {
        Error::Input(format!(
            "the best checkpoint, of step {step}, is gone; use --checkpoint latest: {}",
            checkpoints.display()
        ))
    };
    let step = match which {
        Which::Step(step) => step,
        Which::Latest => return checkpoint(folder)?.ok_or_else(none),
        // A newest one that is not whole is refused rather than passed over without a word.
        Which::Auto => loop {
            let newest = checkpoint(folder)?.ok_or_else(none)?;
            let Some(best) = newest.info.best.as_ref().map(|best| best.step) else {
                return Ok(newest);
            };
            if best == newest.info.step {
                return Ok(newest);
            }
            let path = checkpoint_at(&checkpoints, best);
            match Checkpoint::load(&path) {
                // The run is training: it has a better one, and has deleted this one in the meantime.
                Err(_) if !path.exists() && best_step(&checkpoints)? != Some(best) => {}
                Err(_) if !path.exists() => return Err(gone(best)),
                loaded => return loaded,
            }
        },
        Which::Best => {
            if !checkpoints.is_dir() || latest_checkpoint(&checkpoints)?.is_none() {
                return Err(none());
            }
            let step = best_step(&checkpoints)?.ok_or_else(|| {
                Error::Input(format!(
                    "this run names no best checkpoint: it has no validation pictures, or has not come to its first \
                     checkpoint; use --checkpoint latest: {}",
                    folder.display()
                ))
            })?;
            if !checkpoint_at(&checkpoints, step).exists() {
                return Err(gone(step));
            }
            step
        }
    };
    let path = checkpoint_at(&checkpoints, step);
    if !path.exists() {
        return Err(Error::Input(format!(
            "this run keeps no checkpoint of step {step}; it keeps the newest and the best: {}",
            checkpoints.display()
        )));
    }
    Checkpoint::load(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_runs_never_meet() -> Result<(), Box<dyn std::error::Error>> {
        let root = tempfile::tempdir()?;
        let first = RunDir::numbered(root.path(), "x")?;
        let second = RunDir::numbered(root.path(), "y")?;
        fs::create_dir(root.path().join("00041-x"))?;
        let third = RunDir::numbered(root.path(), "x")?;
        let name = |run: &RunDir| {
            run.path()
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
        };
        assert_eq!(
            [name(&first), name(&second), name(&third)],
            [
                Some("00001-x".into()),
                Some("00002-y".into()),
                Some("00042-x".into())
            ]
        );
        assert_eq!(newest(root.path(), "x")?, third.path());
        assert_eq!(newest(root.path(), "y")?, second.path());
        assert!(newest(root.path(), "z").is_err());
        assert!(RunDir::fresh(third.path()).is_err(), "it is held");
        // What a process leaves that was killed before it wrote anything is no run.
        let path = third.path().to_owned();
        drop(third);
        drop(RunDir::fresh(&path)?);
        fs::write(path.join("mine.txt"), "mine")?;
        assert!(RunDir::fresh(&path).is_err(), "it holds a file");
        Ok(())
    }

    #[test]
    fn a_rewound_run_holds_what_it_held_at_the_checkpoint() -> Result<(), Box<dyn std::error::Error>>
    {
        let root = tempfile::tempdir()?;
        let run = RunDir::fresh(&root.path().join("run"))?;
        fs::write(run.log_file(), "header\nstep 20\n")?;
        let mut header = Header::default();
        header.mark_log(20, fs::metadata(run.log_file())?.len());
        run.write_header(&header)?;
        fs::write(run.log_file(), "header\nstep 20\nstep 30\nste")?;
        let warning = |step: u64| {
            format!(
                "{{\"event\":\"warning\",\"step\":{step},\"condition\":\"data-starves\",\"text\":\"x\"}}\n"
            )
        };
        fs::write(
            run.stats_file(),
            format!("{}{}{{\"ste", warning(20), warning(30)),
        )?;
        fs::create_dir(run.samples())?;
        for step in [20, 30] {
            fs::write(run.sample_file(step), "png")?;
        }
        fs::write(run.evaluation_file(), "{}")?;
        run.rewind(20)?;
        assert_eq!(fs::read_to_string(run.log_file())?, "header\nstep 20\n");
        assert_eq!(fs::read_to_string(run.stats_file())?, warning(20));
        assert_eq!(
            [
                run.sample_file(20),
                run.sample_file(30),
                run.evaluation_file()
            ]
            .map(|file| file.exists()),
            [true, false, false]
        );
        // A step whose place in the log is not known leaves whole lines alone.
        fs::write(run.log_file(), "header\nstep 20\nst")?;
        run.rewind(10)?;
        assert_eq!(fs::read_to_string(run.log_file())?, "header\nstep 20\n");
        Ok(())
    }
}
