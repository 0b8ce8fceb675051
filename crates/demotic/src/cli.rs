//! The command line as it is typed. What it means is `options.rs`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Learns how pictures are said in another hand, and says yours that way.
#[derive(Debug, Parser)]
#[command(name = "demotic", version, about, long_about = None, subcommand_required = true, arg_required_else_help = true, after_help = AFTER)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER: &str = "\
Start here:
  demotic train configs/quickstart.toml        minutes on a processor; makes runs/00001-quickstart
  demotic translate --run runs/00001-quickstart --to openmoji --out out/ picture.png
  demotic evaluate --run runs/00001-quickstart  figures on pictures that training never saw

Exit codes: 0 done, 1 failed, 2 usage, configuration or input, 130 interrupted (a checkpoint was saved).";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a translator between styles of pictures
    Train(TrainArgs),
    /// Translate pictures into a style with a trained run
    Translate(TranslateArgs),
    /// Draw pictures without an input
    Sample(SampleArgs),
    /// Score a trained run on held-out pictures, beside three baselines
    Evaluate(EvaluateArgs),
    /// Say which style pictures are in, how sure, and which of their patches look made
    Recognize(RecognizeArgs),
    /// Write a run as one page of HTML: curves, pictures through time, label maps, scores
    Report(ReportArgs),
    /// Train variants over several seeds and print what one choice is worth
    Ablate(AblateArgs),
    /// Make a data set from archives or folders, or look at one
    #[command(subcommand)]
    Data(DataCommand),
    /// List the devices that can compute, and which one `auto` takes
    Devices(DevicesArgs),
    /// Check that a device computes rightly, and measure how fast it is
    Doctor(DoctorArgs),
    /// Train the same few steps on several devices: speed, memory, distance
    Compare(CompareArgs),
    /// Time the CRF layer on a device, every implementation and kernel, each checked first
    Bench(BenchArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

/// `--device`, alike everywhere.
#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// auto: a discrete GPU, else an integrated one, else flex; flex: this machine's processor cores; wgpu: the first
    /// adapter of `demotic devices`; wgpu:N: adapter N; for training also several with commas between, such as
    /// wgpu:0,wgpu:1: an equal share of every step each. Builds with the cargo features of those names also know cuda:N,
    /// rocm:N, tch (libtorch on the processor) and tch:N
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    pub(crate) device: String,
}

/// `demotic train`
#[derive(Debug, Args)]
#[command(after_help = "\
Settings come from built-in defaults, then CONFIG.toml, then --set, then the flags; configs/README.md explains every key. \
The run folder gets config.toml (all settings), log.txt, stats.jsonl (one line a tick), samples/, checkpoints/, report.html \
and, at the end, evaluation.json. A loss or gradient that is not finite sends the run back to its last checkpoint with \
smaller rates. Ctrl-C finishes the step, saves a checkpoint and exits with 130; --resume goes on from there and \
ends with the same weights, to the bit on flex, as if it had never stopped.

Examples:
  demotic train configs/quickstart.toml
  demotic train configs/quickstart.toml --steps 200 --set train.batch=8 --out /tmp/try
  demotic train --data pictures/ --set data.size_px=64      pictures/<style>/<name>.png
  demotic train configs/quickstart.toml --resume            the newest run of that name
  demotic train --resume --out runs/00003-quickstart --steps 20000")]
pub(crate) struct TrainArgs {
    /// Settings, in TOML; without it, the defaults
    #[arg(value_name = "CONFIG.toml")]
    pub(crate) config: Option<PathBuf>,
    /// Pictures: `emoji` (built in), a folder `DIR/<style>/<name>.png|jpg|webp|svg`, or a data set made by `demotic data import`
    #[arg(long, value_name = "emoji|DIR|DATASET")]
    pub(crate) data: Option<String>,
    /// Run folder, new or empty; without it `runs/<number>-<config name>`
    #[arg(long, value_name = "RUN_DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Train this many steps in all (train.steps). With --resume it makes the run longer or shorter; learning rates fall
    /// towards the new end
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) steps: Option<u64>,
    /// Change one setting, such as train.batch=8; may be repeated
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "resume")]
    pub(crate) set: Vec<String>,
    /// Go on with the run in --out, or with the newest one of this config's name; the run's own config.toml counts
    #[arg(long)]
    pub(crate) resume: bool,
    /// Read everything, print every setting and what would be trained, write nothing
    #[arg(long, conflicts_with = "resume")]
    pub(crate) dry_run: bool,
}

/// `demotic translate`
#[derive(Debug, Args)]
#[command(after_help = "\
Each picture is fitted to the square that the run was trained on, translated, and brought back to its own size as \
OUT/<name>.png; an SVG drawing keeps its stated size, or the run's where that is larger. Transparency is laid on the \
run's background for the network and given back afterwards.

Examples:
  demotic translate --run runs/00001-quickstart --to openmoji --out out/ doodle.png
  demotic translate --run runs/00001-quickstart --to openmoji --alpha redraw --out out/ line-art/*.svg")]
pub(crate) struct TranslateArgs {
    /// Run folder made by `demotic train`
    #[arg(long, value_name = "RUN_DIR")]
    pub(crate) run: PathBuf,
    /// Style to translate into; the run's config.toml and log.txt name them
    #[arg(long, value_name = "STYLE")]
    pub(crate) to: String,
    /// Which checkpoint: latest, the best by `train.best_metric`, or a step
    #[arg(long, default_value = "latest", value_name = "latest|best|STEP")]
    pub(crate) checkpoint: CheckpointArg,
    /// Folder for the translations; made if absent
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// What becomes of transparency
    #[arg(long, value_enum, default_value_t = AlphaArg::Keep)]
    pub(crate) alpha: AlphaArg,
    /// Translate in the hand of this picture, which is in the style (runs with generator.style = latent or reference)
    #[arg(long, value_name = "FILE", conflicts_with = "style_seed")]
    pub(crate) reference: Option<PathBuf>,
    /// Translate in a hand drawn by this number, the same for all pictures (runs with generator.style = latent)
    #[arg(long, value_name = "N")]
    pub(crate) style_seed: Option<u64>,
    /// Replace translations that are already there
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Pictures (png, jpg, webp, svg), or folders of pictures
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
}

/// `demotic sample`
#[derive(Debug, Args)]
#[command(after_help = "\
The fitted prior is a density over the latents of the run's training pictures of a style, fitted when it is asked for: near each \
picture it follows that picture and the nearest others, so that draws lie between pictures that are alike; it needs the run's pictures. \
The normal one is N(0, 1), which training holds latents to; a run with a light loss.kl, as the recipes are, codes pictures far from it, \
and what it draws from there is texture. `demotic evaluate` says what both come to.

Examples:
  demotic sample --run runs/00001-quickstart --style openmoji -n 16 --out sample.png
  demotic sample --run runs/00001-quickstart --seed 7 --temperature 0.7")]
pub(crate) struct SampleArgs {
    /// Run folder made by `demotic train`
    #[arg(long, value_name = "RUN_DIR")]
    pub(crate) run: PathBuf,
    /// Which checkpoint: latest, the best by `train.best_metric`, or a step
    #[arg(long, default_value = "latest", value_name = "latest|best|STEP")]
    pub(crate) checkpoint: CheckpointArg,
    /// Style to draw in; may be repeated; without it, all of the run
    #[arg(long, value_name = "STYLE")]
    pub(crate) style: Vec<String>,
    /// Pictures a style
    #[arg(short = 'n', long = "count", default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) count: u32,
    /// Another seed draws other pictures
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    /// Where latents come from: fitted to those of training pictures, or N(0, 1)
    #[arg(long, value_enum, default_value_t = PriorArg::Fitted, value_name = "PRIOR")]
    pub(crate) prior: PriorArg,
    /// Scale of their distance from the middle: below 1, more ordinary pictures
    #[arg(long, default_value_t = 1.0, value_name = "T", allow_negative_numbers = true, value_parser = temperature)]
    pub(crate) temperature: f32,
    /// Sheet to write; without it, `samples/prior-<seed>.png` in the run
    #[arg(short = 'o', long, value_name = "FILE.png")]
    pub(crate) out: Option<PathBuf>,
    /// Replace the sheet
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

/// `demotic sample --prior`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PriorArg {
    /// Fitted to the latents of training pictures
    Fitted,
    /// N(0, 1)
    Normal,
}

fn temperature(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=10.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 10".into()),
    }
}

/// `--alpha`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AlphaArg {
    /// The input's own, pixel by pixel
    Keep,
    /// The input's, and opaque also where the translation paints: for line art that is hollow inside
    Redraw,
}

/// `demotic evaluate`
#[derive(Debug, Args)]
#[command(after_help = "\
Every held-out picture is translated into every style that has its counterpart, and compared with it: L1 (mean absolute \
difference, 0 to 1, lower is better), PSNR (decibels, higher is better), SSIM (up to 1, higher is better), a perceptual \
distance (0 to 2, lower is better) and, for the translations as a set, the kernel distance KID (0 is the target style \
itself, lower is better); both look through a small network that is built in. In brackets the 95 % interval over families \
of pictures. Beside the model stand `copy` (the input unchanged), `remap` (the best affine colour map) and `nearest` (the \
counterpart of the nearest training picture). Pairs are `aligned` (drawn over the same outlines) or `loose` (drawn anew: there L1 also punishes honest \
redrawing). Last, how well the discriminator tells the styles of real held-out pictures.

Styles that share no held-out picture are compared as sets, by KID alone. Networks that draw transparency are scored on it too \
(alpha_l1). docs/scoring.md explains every figure and the JSON.

Examples:
  demotic evaluate --run runs/00001-quickstart
  demotic evaluate --run runs/00001-quickstart --split validation --json scores.json")]
pub(crate) struct EvaluateArgs {
    /// Run folder made by `demotic train`
    #[arg(long, value_name = "RUN_DIR")]
    pub(crate) run: PathBuf,
    /// Which checkpoint: latest, the best by `train.best_metric`, or a step
    #[arg(long, default_value = "latest", value_name = "latest|best|STEP")]
    pub(crate) checkpoint: CheckpointArg,
    /// Which held-out pictures
    #[arg(long, value_enum, default_value_t = SplitArg::Test)]
    pub(crate) split: SplitArg,
    /// Also write the figures as JSON, to a file that is not there yet
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Replace the JSON file
    #[arg(long, requires = "json")]
    pub(crate) force: bool,
    /// The pictures at another place; without it, where the run found them. Other ones than training saw are scored too, with a
    /// note: what is held out of them may have been trained on under another name
    #[arg(long, value_name = "emoji|DIR|DATASET")]
    pub(crate) data: Option<String>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

/// `--split`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SplitArg {
    /// For reported figures
    Test,
    /// For choosing between runs
    Validation,
}

/// `demotic recognize`
#[derive(Debug, Args)]
#[command(after_help = "\
Asks the discriminator of a run: the style that a picture is most likely in, the probability of that among the run's \
styles, and how made it looks: the mean over its patches of the probability that they are made rather than real. Pictures of \
any size are fitted to the run's square and laid on its background; patches beside a picture have no say. With --out, \
OUT/<name>.png shows the picture in grey with the patches that look made in red. --json prints all of it, every patch's \
probability too.

Examples:
  demotic recognize --run runs/00001-quickstart picture.png
  demotic recognize --run runs/00001-quickstart --json --out heat/ drawings/ | jq '.[].style'")]
pub(crate) struct RecognizeArgs {
    /// Run folder made by `demotic train`
    #[arg(long, value_name = "RUN_DIR")]
    pub(crate) run: PathBuf,
    /// Which checkpoint: latest, the best by `train.best_metric`, or a step
    #[arg(long, default_value = "latest", value_name = "latest|best|STEP")]
    pub(crate) checkpoint: CheckpointArg,
    /// As JSON: [{"picture":..,"style":..,"probability":..,"styles":{..},"made":..,"patches":[[..]],"place":{..}}]
    #[arg(long)]
    pub(crate) json: bool,
    /// Folder for heat maps; made if absent
    #[arg(long, short, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Replace heat maps that are already there
    #[arg(long, requires = "out")]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Pictures (png, jpg, webp, svg), or folders of pictures
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
}

/// `--checkpoint`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckpointArg {
    /// The newest
    Latest,
    /// The best by `train.best_metric`
    Best,
    /// That of a step
    Step(u64),
}

impl std::str::FromStr for CheckpointArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "latest" => Ok(Self::Latest),
            "best" => Ok(Self::Best),
            step => step.parse().map(Self::Step).map_err(|_not_a_number| {
                "expected latest, best or the number of a step".to_owned()
            }),
        }
    }
}

/// `demotic report`
#[derive(Debug, Args)]
#[command(after_help = "\
Training writes the same page at every checkpoint. It holds everything it shows: no server, no network, no other file.

Examples:
  demotic report runs/00001-quickstart
  demotic report runs/00001-quickstart --out quickstart.html")]
pub(crate) struct ReportArgs {
    /// Run folder made by `demotic train`
    #[arg(value_name = "RUN_DIR")]
    pub(crate) run: PathBuf,
    /// Where to write it, to a file that is not there yet; without it, the run's own report.html is written anew
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Replace the file
    #[arg(long, requires = "out")]
    pub(crate) force: bool,
}

/// `demotic ablate`
#[derive(Debug, Args)]
#[command(after_help = "\
PLAN.toml names seeds, the settings that all variants share ([base.*]) and the variants ([[variant]]: name, about, set); \
the first variant is what the others are held against. Every variant is trained with every seed on the same pictures in \
the same order, as a run of its own in OUT/<variant>-<seed>. Then every discriminator is asked which patches of composites \
of held-out pictures are made, and every generator's translations are scored. OUT/table.md and OUT/table.json hold means \
over seeds with 95 % intervals, and differences from the first variant.

Ctrl-C finishes the step, saves a checkpoint and exits with 130; the same command goes on, and does nothing twice.

Examples:
  demotic ablate configs/ablation.toml
  demotic ablate configs/ablation.toml --out /tmp/ablation --device flex")]
pub(crate) struct AblateArgs {
    /// What is varied
    #[arg(value_name = "PLAN.toml")]
    pub(crate) plan: PathBuf,
    /// Folder of the ablation: new, empty, or of the same plan; without it `runs/<plan name>`
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

/// `demotic data`
#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Turn archives of emoji packages, or folders, into one data-set folder
    Import(ImportArgs),
    /// Show what a data set holds: styles, splits, pairs
    Inspect(InspectArgs),
    /// Teach the feature network of `evaluate` anew, on the built-in emoji
    Features(FeaturesArgs),
}

/// `demotic data features`
#[derive(Debug, Args)]
#[command(after_help = "\
The network that KID and the perceptual distance look with is built in; this command is how it was made. It is taught on \
training families alone, always on the processor, and ranked on validation families. The same seed gives the same file.

Examples:
  demotic data features --out features.safetensors
  demotic data features --steps 1000 --seed 1 --out other.safetensors")]
pub(crate) struct FeaturesArgs {
    /// File to write, not there yet
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Replace the file
    #[arg(long)]
    pub(crate) force: bool,
    /// Steps
    #[arg(long, default_value_t = demotic_core::metric::TeachOptions::default().steps, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) steps: u64,
    /// Source of every random number
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
}

/// `demotic data import`
#[derive(Debug, Args)]
#[command(after_help = "\
Archives are read as `npm pack` leaves them: @iconify-json/* emoji packages and openmoji. Drawings stay vector graphics; \
names, codepoints, groups and licences go with them. The same sources give the same bytes.

Examples:
  npm pack @iconify-json/noto@1.2.9 openmoji@17.0.0
  demotic data import --out my-emoji iconify-json-noto-1.2.9.tgz openmoji-17.0.0.tgz
  demotic data import --out my-set pictures/                pictures/<style>/<name>.png")]
pub(crate) struct ImportArgs {
    /// Keep only base emoji that every style draws: no flags, no skin tones, none with less than 8 % ink
    #[arg(long)]
    pub(crate) emoji: bool,
    /// Folder to write; new or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Replace an earlier data set there
    #[arg(long, visible_alias = "force")]
    pub(crate) replace: bool,
    /// Archives (.tgz) and folders `DIR/<style>/<name>.png|jpg|webp|svg`
    #[arg(required = true, value_name = "SOURCE")]
    pub(crate) sources: Vec<PathBuf>,
}

/// `demotic data inspect`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  demotic data inspect emoji
  demotic data inspect --sheet sheet.png --size-px 64 pictures/
  demotic data inspect --json my-emoji | jq .pairs")]
pub(crate) struct InspectArgs {
    /// `emoji`, a folder `DIR/<style>/<name>.png|jpg|webp|svg`, or a data set made by `demotic data import`
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// The summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a contact sheet: one row an item, one column a style
    #[arg(long, value_name = "FILE.png")]
    pub(crate) sheet: Option<PathBuf>,
    /// Replace the contact sheet
    #[arg(long, requires = "sheet")]
    pub(crate) force: bool,
    /// Side that pictures are fitted to, in pixels
    #[arg(long, default_value_t = 64, value_name = "PX", value_parser = clap::value_parser!(u32).range(8..=1024))]
    pub(crate) size_px: u32,
    /// Only these styles, in this order
    #[arg(long, value_delimiter = ',', value_name = "STYLE,STYLE")]
    pub(crate) styles: Vec<String>,
}

/// `demotic devices`
#[derive(Debug, Args)]
#[command(after_help = "\
`shaders` is the language that kernels are compiled to, and with it what computes the CRF: WGSL devices run the kernels of \
shaders/; SPIR-V and MSL devices (cargo features spirv and metal-msl) refuse those and take tensor operations. \
`unused` adapters are mostly the same devices through another interface (Vulkan, DirectX 12, Metal; OpenGL is never used). Builds with cuda, rocm or tch list those devices too. `demotic doctor --device D` tells whether a device computes rightly, and how fast.

Examples:
  demotic devices
  demotic devices --json | jq '.adapters[].name'")]
pub(crate) struct DevicesArgs {
    /// As JSON: flex, adapters, further and unused ones, auto and reason, backends in the build and not
    #[arg(long)]
    pub(crate) json: bool,
}

/// `demotic doctor`
#[derive(Debug, Args)]
#[command(after_help = "\
Every convolution, normalisation and change of size that a training step of the configuration meets, each with its gradients, and \
the other operations of a step run on the device and are compared with float64 written from their formulas (the CRF's loss, \
gradients and marginals among them). Then small training steps are compared with flex: by the defaults, and with every \
choice that computes something else (DiffAugment, spectral norm, R1, heads and losses, generators, sources of styles), each by \
name. The error of an operation is its largest difference over the largest true value; of steps, that of losses and \
norms. Copies, multiply-adds and a training step of the configuration are timed, on a software adapter that of a small network. \
Exit code 0: all right; 1: a wrong result. A software adapter takes an hour or more, most of it to tune \
convolutions: --quick takes fewer.

Devices other than flex are checked in a process of their own: a driver that kills it is told by the check that was running and \
the signal; one that says nothing for as long as --patience is killed, and told by the check that hung. Both exit with 1; --json then \
has what was found until there, and `died` with both.

Examples:
  demotic doctor
  demotic doctor --config configs/six-styles.toml --set train.batch=32
  demotic doctor --device wgpu:1 --json > doctor.json")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Settings whose networks are checked and timed; without it, the quickstart's sizes
    #[arg(long, value_name = "CONFIG.toml")]
    pub(crate) config: Option<PathBuf>,
    /// Change one setting, such as train.batch=8; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// A small network's sizes and step, and the choices that need no other convolutions
    #[arg(long, conflicts_with_all = ["config", "set"])]
    pub(crate) quick: bool,
    /// Seconds without a finding after which a device is taken to hang
    #[arg(long, value_name = "SECS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) patience: u64,
    /// The findings as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Be the process that may be killed: findings go to standard output as they come, in lines for the one that started it
    #[arg(long, hide = true)]
    pub(crate) watched: bool,
}

/// `demotic compare`
#[derive(Debug, Args)]
#[command(after_help = "\
Each device starts from the same weights and gets the same noise and batches. One after the other is set up and takes two steps \
that are not timed (`first s` is the first, with compiling and tuning); then all take their steps in up to 20 alternating rounds, \
so that a busy machine is busy for all. `s a step` is the median of the timed steps, beside the range of the middle half; `phases` \
come from further steps that wait for the device after each: host inputs, the generator's pictures, the discriminator's loss, \
gradient and update, the generator's loss, gradient and update. `host mem` is the most that its trainer had in use of the host's memory at once, from its \
set-up on, without what a driver takes by itself. \
`device mem` is what the device's allocator has taken, for all on that device; a software adapter's lies in the host's memory too. \
`apart` holds each device to the first one: every loss of every step, every weight after the last.

`A is X +- Y times faster than B`: X is the median over rounds of B's time over A's in the same round, Y half the width of the 99 % \
interval of that median. Where the interval holds 1, no difference was seen; fewer than 8 rounds have no such interval. A device that \
fails is told by its name and message, the others' figures stay, and the exit code is 1.

Examples:
  demotic compare --devices flex,wgpu
  demotic compare --devices wgpu:0,wgpu:1 --config configs/six-styles.toml --steps 50 --json")]
pub(crate) struct CompareArgs {
    /// Devices, as --device of other commands knows them, with commas between
    #[arg(
        long,
        value_name = "DEVICE,DEVICE",
        required = true,
        value_delimiter = ','
    )]
    pub(crate) devices: Vec<String>,
    /// Settings of the training; without it, the quickstart's sizes
    #[arg(long, value_name = "CONFIG.toml")]
    pub(crate) config: Option<PathBuf>,
    /// Change one setting, such as train.batch=8; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Steps on each device; the first two are not timed
    #[arg(long, value_name = "N", default_value_t = 42, value_parser = clap::value_parser!(u64).range(3..=100_000))]
    pub(crate) steps: u64,
    /// The figures as JSON, every step among them
    #[arg(long)]
    pub(crate) json: bool,
}

/// `demotic bench`
#[derive(Debug, Args)]
#[command(after_help = "\
Loss and gradient of the CRF layer over fixed sizes, chains (T positions, B chains, L labels) and grids (B pictures of so many \
patches), by every implementation and kernel of the device: `cpu` and `reference` on flex, `wgsl` (the kernel that is chosen) and \
`chain`, `lanes`, `image` on WGSL devices, `reference` elsewhere. A kernel that does not take a size has no row there. Labels are \
`op/impl/device/case`. Each row is compared with the reference on flex, then timed in whole calls, to the device's end of each: \
median, range of the middle half, compulsory bytes as a share of the device's copy bandwidth, multiply-adds a second. A row \
that is wrong or fails is told by its label, the others stay, and the exit code is 1. A training step is timed by `demotic compare`.

Examples:
  demotic bench --device wgpu
  demotic bench --device flex --only crf/cpu,T16 --json | jq '.cases[].median_secs'")]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Only labels that hold one of these words
    #[arg(long, value_name = "WORD,WORD", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Time for each row; a row has 5 calls at least
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = seconds)]
    pub(crate) secs: f64,
    /// The figures as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.001..=600.0).contains(&value) => Ok(value),
        _ => Err("expected seconds, from 0.001 to 600".into()),
    }
}

/// `demotic completions`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  demotic completions bash > ~/.local/share/bash-completion/completions/demotic
  demotic completions zsh  > ~/.zfunc/_demotic
  demotic completions fish > ~/.config/fish/completions/demotic.fish")]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
