//! What the words of `demotic train` mean: which settings, which run folder, fresh or resumed.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use demotic_core::data::{CachePolicy, Damaged, DatasetOptions};
use demotic_core::device::{self, Chosen};
use demotic_core::settings::{Config, Quality};
use demotic_core::train::{Checkpoint, run};

use crate::cli::{QualityArg, SettingsArgs, TrainArgs};
use crate::failure::input;
use crate::recipes::settings_over;

/// The quickstart without a file: its styles and sizes.
const QUICKSTART: &str = "\
[data]
size_px = 32
styles = [\"openmoji-line\", \"openmoji\"]
[train]
batch = 8
";

/// The settings of a file, or the quickstart's, with assignments laid over them.
pub(crate) fn settings(args: &SettingsArgs) -> Result<Config> {
    let assignments = &args.set.set;
    Ok(match &args.config {
        Some(path) => settings_over(&Config::default(), path, assignments)?,
        None => Config::resolve(Some(QUICKSTART), assignments)?,
    })
}

/// Opens the device asked for.
pub(crate) fn open_device(asked: &str) -> Result<Chosen> {
    let chosen = device::open(asked)?;
    warn_of_software([&chosen]);
    Ok(chosen)
}

/// Says on standard error, once, where a device is the processor behind a graphics driver: nobody who names
/// it by `wgpu` has to know.
pub(crate) fn warn_of_software<'a>(devices: impl IntoIterator<Item = &'a Chosen>) {
    let mut devices = devices.into_iter();
    if let Some(chosen) = devices.find(|chosen| chosen.is_software) {
        // A warning that cannot be written is no error.
        let _ = writeln!(std::io::stderr(), "{}", of_software(&chosen.description));
    }
}

/// The warning of a software adapter.
pub(crate) fn of_software(description: &str) -> String {
    format!(
        "warning: {description} is a driver that computes on the processor; --device flex does that without it, and faster"
    )
}

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
    /// What a new run starts from; nothing for fresh weights.
    pub(crate) from: Option<Checkpoint>,
    /// Settings with networks to choose from by time, the largest first; none where those of `config` count.
    pub(crate) sizes: Vec<(Quality, Config)>,
}

impl TrainPlan {
    /// Reads the configuration that counts.
    pub(crate) fn new(args: &TrainArgs) -> Result<Self> {
        let name = run_name(args.config.as_deref());
        let mut from_weights = None;
        let mut sizes = Vec::new();
        let (config, target) = if args.resume {
            let folder = match &args.out {
                Some(out) => out.clone(),
                None => run::newest(Path::new(run::RUNS), &name)?,
            };
            (run::config(&folder)?, Target::Existing(folder))
        } else {
            let from = args.from.as_deref();
            from_weights = from
                .map(|from| run::trained(from, args.from_checkpoint))
                .transpose()?;
            let defaults = from_weights
                .as_ref()
                .map_or_else(Config::default, Config::starting_from);
            let resolved = |defaults: &Config| match &args.config {
                Some(path) => settings_over(defaults, path, &args.set.set),
                None => Ok(defaults.resolve_over(None, &args.set.set)?),
            };
            let plain = resolved(&defaults)?;
            let sized = |quality| resolved(&defaults.with_networks(quality, &plain));
            let config = match quality(args)? {
                None => plain,
                Some(QualityArg::Of(quality)) => sized(quality)?,
                Some(QualityArg::Auto) => {
                    for quality in Quality::ALL {
                        sizes.push((quality, sized(quality)?));
                    }
                    plain
                }
            };
            let target = match &args.out {
                _ if args.dry_run => {
                    args.out.as_deref().map_or(Ok(()), run::require_unused)?;
                    Target::Nowhere
                }
                Some(out) => Target::Folder(out.clone()),
                None => Target::Numbered {
                    root: run::RUNS.into(),
                    name,
                },
            };
            (config, target)
        };
        let finished = |mut config: Config| {
            if let Some(data) = &args.data {
                config.data.source.clone_from(data);
            }
            config.data.source = located(&config.data.source);
            if args.damaged.skip_damaged {
                config.data.damaged = Damaged::Skip;
            }
            if let Some(steps) = args.steps {
                config.train.steps = steps;
            }
            config
        };
        let sizes = sizes.into_iter();
        Ok(Self {
            config: finished(config),
            target,
            device: args.device.device.clone(),
            from: from_weights,
            sizes: sizes
                .map(|(quality, config)| (quality, finished(config)))
                .collect(),
        })
    }
}

/// Whose networks a new run has, where it is not the settings' own say: by time, where nothing else says it.
fn quality(args: &TrainArgs) -> Result<Option<QualityArg>> {
    match args.quality {
        Some(QualityArg::Auto) if args.time.is_none() => Err(input(
            "--quality auto: the networks follow from a time; give --time, such as --time 2h, or say draft, good or best",
        )),
        Some(quality) => Ok(Some(quality)),
        None => {
            let is_open = args.time.is_some() && args.config.is_none() && args.from.is_none();
            Ok(is_open.then_some(QualityArg::Auto))
        }
    }
}

/// A run is called after its configuration file.
fn run_name(config: Option<&Path>) -> String {
    let stem = config
        .and_then(Path::file_stem)
        .map(|stem| stem.to_string_lossy().into_owned());
    stem.unwrap_or_else(|| "default".into())
}

/// A source as a run remembers it: folders by their whole path, so that the run is found to fit from
/// anywhere.
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
