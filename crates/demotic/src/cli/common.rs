//! Options that several commands have, each declared once.

use std::path::PathBuf;

use clap::Args;
use demotic_core::train::BUILT_IN;
use demotic_core::train::run::Which;

/// `--device`, alike everywhere.
#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// auto, flex, wgpu, wgpu:N; `demotic devices` lists and explains
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    pub(crate) device: String,
}

/// The weights that a command works with.
#[derive(Debug, Args)]
pub(crate) struct WeightsArgs {
    /// Run folder made by `demotic train`, weights made by `demotic export`, or the weights in the program
    #[arg(long, value_name = "RUN_DIR|FILE|built-in", default_value = BUILT_IN)]
    pub(crate) run: PathBuf,
    /// Which checkpoint: the best by `train.best_metric`, the latest, or a step; auto is the best, or the
    /// latest where validation names none
    #[arg(long, default_value = "auto", value_name = "auto|best|latest|STEP")]
    pub(crate) checkpoint: Which,
}

/// `--force`
#[derive(Debug, Args)]
pub(crate) struct ForceArgs {
    /// Replace files that are already there
    #[arg(long)]
    pub(crate) force: bool,
}

/// `--set`
#[derive(Debug, Default, Args)]
pub(crate) struct SetArgs {
    /// Change one setting, such as train.batch=8; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// The settings of what is only tried.
#[derive(Debug, Default, Args)]
pub(crate) struct SettingsArgs {
    /// Settings, in TOML, or a recipe of `demotic configs`; without it, the quickstart's sizes
    #[arg(long, value_name = "CONFIG.toml|RECIPE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) set: SetArgs,
}

/// `--skip-damaged`
#[derive(Debug, Args)]
pub(crate) struct DamagedArgs {
    /// Go on without damaged pictures, and say which
    #[arg(long)]
    pub(crate) skip_damaged: bool,
}

/// A data set, as the commands of `demotic data` read it.
#[derive(Debug, Args)]
pub(crate) struct SourceArgs {
    /// `emoji`, a folder `DIR/<style>/<name>.png|jpg|webp|gif|bmp|tif|svg`, or a data set made by `demotic
    /// data import`
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// Only these styles, in this order
    #[arg(long, value_delimiter = ',', value_name = "STYLE,STYLE")]
    pub(crate) styles: Vec<String>,
    #[command(flatten)]
    pub(crate) damaged: DamagedArgs,
}

/// `--rude`
#[derive(Debug, Args)]
pub(crate) struct RudeArgs {
    /// Rude phrases, too
    #[arg(long)]
    pub(crate) rude: bool,
}

/// Which phrases are said, and how many.
#[derive(Debug, Args)]
pub(crate) struct SaidArgs {
    /// Phrases for each; without it, 5 at most, and on the screen none of a score below 0.01
    #[arg(short = 'n', long = "count", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) count: Option<u32>,
    #[command(flatten)]
    pub(crate) rude: RudeArgs,
}
