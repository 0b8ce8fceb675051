//! What the words of `demotic train` mean: which settings, which run folder, fresh or resumed.

use std::path::{Path, PathBuf};

use anyhow::Result;
use demotic_core::config::Config;
use demotic_core::data::{CachePolicy, DatasetOptions};

use crate::cli::TrainArgs;
use crate::run_dir;

/// The quickstart without a file: its styles and sizes.
const QUICKSTART: &str = "\
[data]
size_px = 32
styles = [\"openmoji-line\", \"openmoji\"]
[train]
batch = 8
";

/// The settings of a file, or the quickstart's, with assignments laid over them.
pub(crate) fn settings(file: Option<&Path>, assignments: &[String]) -> Result<Config> {
    Ok(match file {
        Some(path) => Config::load(path, assignments)?,
        None => Config::resolve(Some(QUICKSTART), assignments)?,
    })
}

/// Folder of numbered runs, in the working directory.
const RUNS: &str = "runs";

/// Where the run goes.
#[derive(Debug)]
pub(crate) enum Target {
    /// `runs/<number>-<name>`
    Numbered { root: PathBuf, name: String },
    /// A folder that is new or empty.
    Folder(PathBuf),
    /// Nowhere: a dry run.
    Nowhere,
    /// A run that goes on.
    Existing(PathBuf),
}

/// A training run, settled.
#[derive(Debug)]
pub(crate) struct TrainPlan {
    pub(crate) config: Config,
    pub(crate) target: Target,
    pub(crate) device: String,
}

impl TrainPlan {
    /// Reads the configuration that counts.
    pub(crate) fn new(args: &TrainArgs) -> Result<Self> {
        let name = run_name(args.config.as_deref());
        let (mut config, target) = if args.resume {
            let folder = match &args.out {
                Some(out) => out.clone(),
                None => run_dir::newest(Path::new(RUNS), &name)?,
            };
            (run_dir::config(&folder)?, Target::Existing(folder))
        } else {
            let config = match &args.config {
                Some(path) => Config::load(path, &args.set)?,
                None => Config::resolve(None, &args.set)?,
            };
            let target = match &args.out {
                _ if args.dry_run => {
                    args.out
                        .as_deref()
                        .map_or(Ok(()), run_dir::require_unused)?;
                    Target::Nowhere
                }
                Some(out) => Target::Folder(out.clone()),
                None => Target::Numbered {
                    root: RUNS.into(),
                    name,
                },
            };
            (config, target)
        };
        if let Some(data) = &args.data {
            config.data.source.clone_from(data);
        }
        config.data.source = located(&config.data.source);
        if let Some(steps) = args.steps {
            config.train.steps = steps;
        }
        Ok(Self {
            config,
            target,
            device: args.device.device.clone(),
        })
    }
}

/// A run is called after its configuration file.
fn run_name(config: Option<&Path>) -> String {
    let stem = config
        .and_then(Path::file_stem)
        .map(|stem| stem.to_string_lossy().into_owned());
    stem.unwrap_or_else(|| "default".into())
}

/// A source as a run remembers it: folders by their whole path, so that the run is found to fit from anywhere.
pub(crate) fn located(source: &str) -> String {
    if source == "emoji" {
        return source.to_owned();
    }
    std::path::absolute(source).map_or_else(
        |_| source.to_owned(),
        |path| path.to_string_lossy().into_owned(),
    )
}

/// How a run's pictures are loaded.
pub(crate) fn dataset_options(config: &Config, cache: CachePolicy) -> Result<DatasetOptions> {
    Ok(config.data.options(cache)?)
}
