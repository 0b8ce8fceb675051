//! The folder of a run: where it is, who may write to it, and what its files held at a checkpoint.
//!
//! ```text
//! config.toml  log.txt  stats.jsonl  samples/  checkpoints/  evaluation.json  report.html  tensorboard/
//! ```

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use demotic_core::config::Config;
use demotic_core::train::{Checkpoint, best_step, checkpoint_at, latest_checkpoint};

use crate::cli::CheckpointArg;
use crate::failure::{input, io};

/// Held by the process that trains; it stays behind, and alone it is no run.
const LOCK: &str = ".lock";

/// A run's folder, held by this process alone until it is dropped.
#[derive(Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
    /// The system gives the lock back when the process ends, however it ends.
    _lock: File,
}

impl RunDir {
    /// Makes `root/<next number>-<name>`.
    pub(crate) fn numbered(root: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(root).map_err(|e| io("make the folder of runs", root, &e))?;
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
                Err(e) => return Err(io("make the run folder", &path, &e)),
            }
        }
    }

    /// Takes a folder that is absent or empty.
    pub(crate) fn fresh(path: &Path) -> Result<Self> {
        require_unused(path)?;
        fs::create_dir_all(path).map_err(|e| io("make the run folder", path, &e))?;
        Self::locked(path.to_owned())
    }

    /// Takes the folder of a run that is to go on.
    pub(crate) fn existing(path: &Path) -> Result<Self> {
        require_run(path)?;
        Self::locked(path.to_owned())
    }

    fn locked(path: PathBuf) -> Result<Self> {
        let file = path.join(LOCK);
        let lock =
            File::create(&file).map_err(|e| io("make the lock of the run folder", &file, &e))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(input(format!(
                "another process is training in this run folder; wait for it or stop it: {}",
                path.display()
            ))),
            Err(TryLockError::Error(e)) => Err(io("lock the run folder", &file, &e)),
        }
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The resolved settings.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// What the screen showed.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.path.join("log.txt")
    }

    /// One JSON a tick or event.
    pub(crate) fn stats_file(&self) -> PathBuf {
        self.path.join("stats.jsonl")
    }

    /// Figures of the finished run.
    pub(crate) fn evaluation_file(&self) -> PathBuf {
        self.path.join("evaluation.json")
    }

    /// Pictures to look at.
    pub(crate) fn samples(&self) -> PathBuf {
        self.path.join("samples")
    }

    /// The sample grid of a step.
    pub(crate) fn sample_file(&self, step: u64) -> PathBuf {
        self.samples().join(format!("step-{step:08}.png"))
    }

    /// What the discriminator said of patches at a step.
    pub(crate) fn labels_file(&self, step: u64) -> PathBuf {
        self.samples().join(format!("labels-{step:08}.png"))
    }

    /// The run as a page.
    pub(crate) fn report_file(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// Event files.
    pub(crate) fn tensorboard(&self) -> PathBuf {
        self.path.join("tensorboard")
    }

    /// Checkpoints.
    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// Drops from the run's files what came after `step` or was cut, so that they go on as if the run had not been cut there.
    pub(crate) fn rewind(&self, step: u64) -> Result<()> {
        drop_parts(&self.path)?;
        drop_parts(&self.samples())?;
        rewrite(&self.log_file(), |text| log_until(text, step))?;
        self.rewind_figures(step)
    }

    /// The same without the log, which tells how a run went back by itself.
    pub(crate) fn rewind_figures(&self, step: u64) -> Result<()> {
        let stats = self.stats_file();
        rewrite(&stats, |text| {
            let keeps = |line: &&str| {
                let value = serde_json::from_str::<serde_json::Value>(line).ok();
                value
                    .and_then(|v| v.get("step")?.as_u64())
                    .is_some_and(|s| s <= step)
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
            Err(e) => return Err(io("look into the samples", &samples, &e)),
        };
        for entry in entries {
            let path = entry
                .map_err(|e| io("look into the samples", &samples, &e))?
                .path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let shown = sample_step(name);
            if shown.is_some_and(|shown| shown > step) {
                fs::remove_file(&path).map_err(|e| io("drop a later sample", &path, &e))?;
            }
        }
        self.forget_evaluation()
    }

    /// The figures of an earlier end say nothing about the run that goes on.
    fn forget_evaluation(&self) -> Result<()> {
        let file = self.evaluation_file();
        match fs::remove_file(&file) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(io("drop the earlier evaluation", &file, &e))
            }
            _ => Ok(()),
        }
    }
}

/// The step of a sample's file name, `step-00000500.png` or `labels-00000500.png`.
pub(crate) fn sample_step(name: &str) -> Option<u64> {
    let number = name
        .strip_prefix("step-")
        .or_else(|| name.strip_prefix("labels-"))?;
    number.strip_suffix(".png")?.parse().ok()
}

/// The log's lines up to a step: a line that begins with `step`, or with `valid  step` or `warn   step`, belongs to the
/// step it names, others to the one before; `back` tells of what a checkpoint knows; `end` begins what only a finished
/// run has.
fn log_until(text: &str, step: u64) -> String {
    let mut kept = String::new();
    let mut keeps = true;
    // A line without its end was cut while it was written.
    for line in text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
    {
        let words: Vec<&str> = line.split_whitespace().take(3).collect();
        match words[..] {
            ["step", number, ..] | ["valid" | "warn", "step", number] => {
                let named = number
                    .split(['/', ':'])
                    .next()
                    .and_then(|number| number.parse::<u64>().ok());
                keeps = named.is_some_and(|named| named <= step);
            }
            ["end", ..] => keeps = false,
            _ => {}
        }
        if keeps || words.first() == Some(&"back") {
            kept += line;
        }
    }
    kept
}

/// Changes a text file's contents; an absent one stays absent.
fn rewrite(path: &Path, change: impl FnOnce(&str) -> String) -> Result<()> {
    let old = match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io("read", path, &e)),
    };
    write_whole(path, change(&old).as_bytes())
}

/// Writes a file beside and renames it: a reader meets the old one or the new one.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write_beside(path, |file| file.write_all(bytes))
}

/// [`write_whole`] for what is written piece by piece.
pub(crate) fn write_beside(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let (beside, file) = part(path)?;
    let mut file = BufWriter::new(file);
    write(&mut file)
        .and_then(|()| file.flush())
        .and_then(|()| fs::rename(&beside, path))
        .map_err(|e| {
            // What is half written is of no use; the message below is what counts.
            let _ = fs::remove_file(&beside);
            io("write", path, &e)
        })
}

/// Makes the file that another one is written in, in the same folder, under a name that no other process, no other thread
/// and nobody's own file has.
fn part(path: &Path) -> Result<(PathBuf, File)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let beside = path.with_file_name(format!("{PART}{}-{count}.part", std::process::id()));
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&beside)
        {
            // An earlier process of this number was killed.
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            opened => return Ok((beside, opened.map_err(|e| io("write", path, &e))?)),
        }
    }
}

/// What the names of half-written files begin with.
const PART: &str = ".demotic-";

/// True for a name that [`part`] gives.
fn is_part(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(PART.as_bytes()) && name.ends_with(b".part")
}

/// Deletes what killed processes left half-written in a folder; an absent folder holds none.
fn drop_parts(folder: &Path) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|e| io("look into the folder", folder, &e))?,
    };
    for entry in entries {
        let entry = entry.map_err(|e| io("look into the folder", folder, &e))?;
        if is_part(&entry.file_name()) {
            let path = entry.path();
            fs::remove_file(&path).map_err(|e| io("drop a half-written file", &path, &e))?;
        }
    }
    Ok(())
}

/// Refuses to write where something is, unless that was asked for.
pub(crate) fn refuse_existing(path: &Path, force: bool) -> Result<()> {
    if !force && path.symlink_metadata().is_ok() {
        return Err(input(format!(
            "the file is there already; give another name, or --force to replace it: {}",
            path.display()
        )));
    }
    Ok(())
}

/// Refuses before any work a file that could not be written at its end: one that is there, a folder, or one in a folder that
/// is not there.
pub(crate) fn require_writable(path: &Path, force: bool) -> Result<()> {
    if path.is_dir() || path.file_name().is_none() {
        return Err(input(format!(
            "expected the name of a file, got a folder: {}",
            path.display()
        )));
    }
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(input(format!(
            "there is no such folder to write in; make it, or give another name: {}",
            path.display()
        )));
    }
    refuse_existing(path, force)
}

/// Opens a file for lines to be added at its end.
pub(crate) fn append(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|e| io("open", path, &e))
}

/// Adds one line in one write, so that a cut never mixes two.
pub(crate) fn add_line(file: &mut File, path: &Path, line: &str) -> Result<()> {
    file.write_all(format!("{line}\n").as_bytes())
        .map_err(|e| io("write", path, &e))
}

/// Numbered runs in a folder: number and path.
fn runs(root: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).map_err(|e| io("look into the folder of runs", root, &e))? {
        let path = entry
            .map_err(|e| io("look into the folder of runs", root, &e))?
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
pub(crate) fn newest(root: &Path, name: &str) -> Result<PathBuf> {
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
    found.into_iter().rev().map(|(_, path)| path).find(|path| named(path)).ok_or_else(|| {
        input(format!("no run named {}/<number>-{name} to go on with; name its folder by --out, or start one without --resume", root.display()))
    })
}

/// Refuses a place for a new run that holds anything.
pub(crate) fn require_unused(path: &Path) -> Result<()> {
    match fs::read_dir(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => Err(input(format!(
            "the run folder is a file; give a new --out: {}",
            path.display()
        ))),
        Err(e) => Err(io("look into the run folder", path, &e)),
        Ok(entries) => {
            // A process that was killed before it wrote anything leaves these.
            let is_nothing = |name: &OsStr| name == LOCK || is_part(name);
            let mut names = entries.flatten().map(|entry| entry.file_name());
            if names.all(|name| is_nothing(&name)) {
                return Ok(());
            }
            Err(input(format!(
                "the run folder is not empty; nothing there is overwritten: give a new --out, or go on with the run in it by \
                 --resume: {}",
                path.display()
            )))
        }
    }
}

/// Refuses a folder that is no run.
pub(crate) fn require_run(folder: &Path) -> Result<()> {
    let problem = if !folder.exists() {
        "there is no such run folder"
    } else if !folder.join("config.toml").is_file() {
        "this folder is no run: it has no config.toml"
    } else {
        return Ok(());
    };
    Err(input(format!(
        "{problem}; `demotic train` makes one, by default runs/<number>-<config name>: {}",
        folder.display()
    )))
}

/// The settings of a run.
pub(crate) fn config(folder: &Path) -> Result<Config> {
    require_run(folder)?;
    Ok(Config::load(&folder.join("config.toml"), &[])?)
}

/// The newest checkpoint of a run, read and checked; none where the run has not come that far.
pub(crate) fn checkpoint(folder: &Path) -> Result<Option<Checkpoint>> {
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

/// The checkpoint of a run that is to be used.
pub(crate) fn trained(folder: &Path, which: CheckpointArg) -> Result<Checkpoint> {
    require_run(folder)?;
    let checkpoints = folder.join("checkpoints");
    let none = || {
        input(format!(
            "this run has no checkpoint yet; train on with `demotic train --resume --out {}`: {}",
            folder.display(),
            checkpoints.display()
        ))
    };
    let step = match which {
        CheckpointArg::Step(step) => step,
        CheckpointArg::Latest => return checkpoint(folder)?.ok_or_else(none),
        CheckpointArg::Best => {
            if !checkpoints.is_dir() || latest_checkpoint(&checkpoints)?.is_none() {
                return Err(none());
            }
            best_step(&checkpoints)?.ok_or_else(|| {
                input(format!(
                    "this run names no best checkpoint: it has no validation pictures, or has not come to its first \
                     checkpoint; use --checkpoint latest: {}",
                    folder.display()
                ))
            })?
        }
    };
    let path = checkpoint_at(&checkpoints, step);
    if !path.exists() {
        return Err(input(format!(
            "this run keeps no checkpoint of step {step}; it keeps the newest and the best: {}",
            checkpoints.display()
        )));
    }
    Ok(Checkpoint::load(&path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_rewinds_to_what_it_held_at_a_step() {
        let log =
            "demotic 1\nstyle a\nstep    100/900  x\nnote\nstep    200/900  x\nend  done\ntable\n";
        assert_eq!(
            log_until(log, 250),
            "demotic 1\nstyle a\nstep    100/900  x\nnote\nstep    200/900  x\n"
        );
        assert_eq!(
            log_until(log, 199),
            "demotic 1\nstyle a\nstep    100/900  x\nnote\n"
        );
        assert_eq!(log_until(log, 0), "demotic 1\nstyle a\n");
        assert_eq!(
            log_until("a\nstep  1", 9),
            "a\n",
            "cut before the rest of the number"
        );
        assert_eq!(log_until("a\nb", 9), "a\n");
        let log = "a\nvalid  step 20: x\nback   step 35 to 20\nvalid  step 40: x\nwarn   step 41: x\nnote\n";
        assert_eq!(
            log_until(log, 20),
            "a\nvalid  step 20: x\nback   step 35 to 20\n"
        );
        assert_eq!(
            log_until(log, 40),
            "a\nvalid  step 20: x\nback   step 35 to 20\nvalid  step 40: x\n"
        );
        assert_eq!(log_until(log, 41), log);
    }

    #[test]
    fn numbered_runs_never_meet() -> Result<()> {
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
    fn writing_beside_touches_no_other_file_and_leaves_none() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("page.html");
        let neighbour = folder.path().join("page.part");
        fs::write(&neighbour, "mine")?;
        // As a killed process of the same number left it.
        let stale = |count: u64| format!("{PART}{}-{count}.part", std::process::id());
        for count in 0..100 {
            fs::write(folder.path().join(stale(count)), "stale")?;
        }
        // Two at once do not share a file.
        write_beside(&path, |outer| {
            write_whole(&path, b"inner").map_err(std::io::Error::other)?;
            outer.write_all(b"outer")
        })?;
        assert_eq!(fs::read(&path)?, b"outer");
        let refused = write_beside(&path, |_| Err(std::io::Error::other("full")));
        assert!(refused.is_err());
        assert_eq!(
            (fs::read(&path)?, fs::read(&neighbour)?),
            (b"outer".to_vec(), b"mine".to_vec())
        );
        drop_parts(folder.path())?;
        assert_eq!(fs::read_dir(folder.path())?.count(), 2);
        drop_parts(&folder.path().join("absent"))
    }
}
