//! The command line as it is typed. What it means is `options.rs`.

mod common;
mod words;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use common::{
    DamagedArgs, DeviceArgs, ForceArgs, SetArgs, SettingsArgs, SourceArgs, WeightsArgs,
};
pub(crate) use words::{
    DrawArgs, LanguageArg, LearnArgs, ReadArgs, RegisterArg, RephraseArgs, SayArgs,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use demotic_core::settings::Quality;
use demotic_core::train::run::Which;
use demotic_core::train::{BUILT_IN, built_in_styles};

/// Learns how pictures are drawn in other styles, and translates yours.
#[derive(Debug, Parser)]
#[command(name = "demotic", version, about, long_about = None, subcommand_required = true, arg_required_else_help = true, after_help = AFTER)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER: &str = "\
Start here:
  # a page to draw on, with nothing to train first
  demotic serve
  # a first training, minutes on a processor: runs/00001-quickstart
  demotic train quickstart
  # figures on pictures that training never saw
  demotic evaluate --run runs/00001-quickstart
  # a picture of yours in a style that it learnt
  demotic translate --run runs/00001-quickstart --to openmoji --out o/ a.png

Environment: NO_COLOR for no colours, COLUMNS for the width of tables where output is no terminal.

Exit codes: 0 done, 1 failed, 2 usage, configuration or input, 130 interrupted (a checkpoint was saved).";

/// Help of an option that names a style, with the styles of the weights in the program, as these know them.
fn of_styles(what: &str) -> String {
    let styles = built_in_styles().unwrap_or_default().join(", ");
    format!("{what}. The weights in the program know {styles}; of a run, log.txt names them")
}

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
    /// Say which style pictures are in, how sure, and which of their patches look fake
    Recognize(RecognizeArgs),
    /// Export a run's network: as weights, as ONNX, or as a page that runs it in the browser
    Export(ExportArgs),
    /// Draw what a phrase says, in any style of a run
    Draw(DrawArgs),
    /// Say what pictures show, in words
    Say(SayArgs),
    /// Say a phrase formally, or as people say it
    Rephrase(RephraseArgs),
    /// Label the words of a text: fake, of a real name, or as people really say it
    Read(ReadArgs),
    /// Teach a run its words: phrase encoder, speakers, text discriminator
    LearnWords(LearnArgs),
    /// Write a run as one page of HTML: curves, pictures through time, label maps, scores
    Report(ReportArgs),
    /// Train variants over several seeds and print what one choice is worth
    Ablate(AblateArgs),
    /// Make a data set from archives or folders, or look at one
    #[command(subcommand)]
    Data(DataCommand),
    /// List the devices that can compute, and which one `auto` takes
    Devices(DevicesArgs),
    /// Check that a device computes correctly, and measure how fast it is
    Doctor(DoctorArgs),
    /// Train the same few steps on several devices: speed, memory, distance
    Compare(CompareArgs),
    /// Time the CRF layer on a device, every implementation and kernel, each checked first
    Bench(BenchArgs),
    /// Serve a page to draw on and see every style, or to watch a training
    Serve(ServeArgs),
    /// Lend this machine's devices: other machines train, translate and score on them
    #[cfg(feature = "remote")]
    Lend(LendArgs),
    /// List the recipes in the program, print one, or explain every key
    Configs(ConfigsArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Write the manual as man pages
    Man(ManArgs),
}

/// `demotic train`
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[derive(Debug, Args)]
#[command(after_help = "\
Settings come from built-in defaults, then CONFIG.toml, then --set, then the flags; `demotic configs keys` explains every key. \
The run folder gets config.toml (all settings), header.json, log.txt, stats.jsonl (one line per tick), samples/, checkpoints/, \
report.html and, at the end, evaluation.json. A loss or gradient that is not finite sends the run back to its last checkpoint with \
smaller rates. Ctrl-C finishes the step, saves a checkpoint and exits with 130; --resume goes on from there and \
ends with the same weights, to the bit on flex, as if it had never stopped.

Examples:
  demotic train quickstart
  demotic train quickstart --steps 200 --set train.batch=8
  # pictures/<style>/<name>.png
  demotic train --data pictures/ --set data.size_px=64
  # a few drawings, a few minutes
  demotic train --from built-in --data pictures/ --time 5m
  # networks and steps by what the device does in 2 h
  demotic train --data pictures/ --time 2h
  # the newest run of that name
  demotic train quickstart --resume
  demotic train --resume --out runs/00003-quickstart --steps 20000")]
pub(crate) struct TrainArgs {
    /// Settings, in TOML, or a recipe of `demotic configs`; without it, the defaults
    #[arg(value_name = "CONFIG.toml|RECIPE")]
    pub(crate) config: Option<PathBuf>,
    /// Pictures: `emoji` (built in), a folder `DIR/<style>/<name>.png|jpg|webp|gif|bmp|tif|svg`, or a data
    /// set made by `demotic data import`
    #[arg(long, value_name = "emoji|DIR|DATASET")]
    pub(crate) data: Option<String>,
    /// Run folder, new or empty; without it `runs/<number>-<config name>`
    #[arg(short = 'o', long, value_name = "RUN_DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Train this many steps in all (train.steps). With --resume it makes the run longer or shorter; learning
    /// rates fall towards the new end
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) steps: Option<u64>,
    /// Train for about this long, such as 20m or 2h30m: a few steps are timed on the device first, and
    /// train.steps is set to what fits. With --resume: for this long from here
    #[arg(long, value_name = "TIME", conflicts_with = "steps", value_parser = parse_time)]
    pub(crate) time: Option<Duration>,
    /// How large the networks are: draft, good or best, by the pictures' size; auto: the largest that --time
    /// is enough for on this device, as it is with --time alone. What a file or --set says still counts
    #[arg(long, value_name = "auto|draft|good|best", value_parser = parse_quality, conflicts_with_all = ["resume", "from"])]
    pub(crate) quality: Option<QualityArg>,
    #[command(flatten)]
    pub(crate) set: SetArgs,
    /// Start from the weights of a run, of a file made by `demotic export`, or of the program, rather than
    /// from nothing: their networks, side length and channels; any styles
    #[arg(long, value_name = "RUN_DIR|FILE|built-in", conflicts_with = "resume")]
    pub(crate) from: Option<PathBuf>,
    /// Which of its checkpoints: best, latest or a step; auto is the best, or the latest where none is named
    #[arg(
        long,
        requires = "from",
        default_value = "auto",
        value_name = "auto|best|latest|STEP"
    )]
    pub(crate) from_checkpoint: Which,
    #[command(flatten)]
    pub(crate) damaged: DamagedArgs,
    /// Go on with the run in --out, or with the newest one of this config's name; the run's own config.toml
    /// counts
    #[arg(long, conflicts_with = "set")]
    pub(crate) resume: bool,
    /// With --resume: go on although pictures were added, removed or changed since; the log says so. Styles
    /// stay the same
    #[arg(long, requires = "resume")]
    pub(crate) data_changed: bool,
    /// Show the whole header and what every figure means
    #[arg(long)]
    pub(crate) explain: bool,
    /// Show nothing but errors; log.txt has all of it
    #[arg(long, conflicts_with_all = ["explain", "json"])]
    pub(crate) quiet: bool,
    /// As JSON: an object per tick and event, as stats.jsonl has them, and the figures at the end
    #[arg(long, conflicts_with = "explain")]
    pub(crate) json: bool,
    /// Read everything, print what would be trained and what it takes, write nothing; with --explain, every
    /// setting too, with --json one object
    #[arg(long, conflicts_with = "resume")]
    pub(crate) dry_run: bool,
}

/// `--quality`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QualityArg {
    /// As good as there is time for.
    Auto,
    /// This one.
    Of(Quality),
}

fn at_least_one(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) => Err("expected at least 1".into()),
        Ok(count) => Ok(count),
        Err(_no_number) => Err("expected a whole number, at least 1".into()),
    }
}

fn parse_quality(text: &str) -> Result<QualityArg, String> {
    if text == "auto" {
        return Ok(QualityArg::Auto);
    }
    text.parse()
        .map(QualityArg::Of)
        .map_err(|problem: String| problem.replacen("expected ", "expected auto, ", 1))
}

/// `90s`, `20m`, `2h30m`: whole numbers with their units, the larger one first.
fn parse_time(text: &str) -> Result<Duration, String> {
    let refuse = || format!("expected a time such as 90s, 20m or 2h30m, got `{text}`");
    let mut secs = 0_u64;
    let mut rest = text.trim();
    let mut is_given = false;
    for (unit, of_one) in [('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            let number: u64 = number.parse().map_err(|_no_number| refuse())?;
            secs = number
                .checked_mul(of_one)
                .and_then(|part| secs.checked_add(part))
                .ok_or_else(refuse)?;
            (rest, is_given) = (after, true);
        }
    }
    // More than a century is a slip of the finger.
    if is_given && rest.is_empty() && (1..100 * 365 * 86_400).contains(&secs) {
        Ok(Duration::from_secs(secs))
    } else {
        Err(refuse())
    }
}

/// `demotic translate`
#[derive(Debug, Args)]
#[command(after_help = "\
Each picture is fitted to the square that the run was trained on and translated; what that changes is enlarged and spread \
within regions of the picture at its own size, up to their edges (with generator.filter = on), so that OUT/<name>.png is as \
large and as sharp as its input. An SVG drawing keeps its stated size, or the run's where that is larger. Transparency is \
laid on the run's background for the network and given back afterwards.

Examples:
  demotic translate --run runs/00001-quickstart --to openmoji --out o/ a.png
  demotic translate --to openmoji --size-px 1024 --out out/ line-art/*.svg")]
pub(crate) struct TranslateArgs {
    #[command(flatten)]
    pub(crate) weights: WeightsArgs,
    #[arg(long, alias = "style", value_name = "STYLE", help = of_styles("Style to translate into"))]
    pub(crate) to: String,
    /// Folder for the translations, made if absent; for a single picture also a file, such as out.png
    #[arg(short = 'o', long, value_name = "DIR|FILE.png")]
    pub(crate) out: PathBuf,
    /// Longer side of the results: drawings (SVG) are drawn and pictures resized to it first; without it, the
    /// input's own
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(16..=8192))]
    pub(crate) size_px: Option<u32>,
    /// What becomes of transparency
    #[arg(long, value_enum, default_value_t = AlphaArg::Auto)]
    pub(crate) alpha: AlphaArg,
    /// What becomes of a drawing's paper, where a run's filter keeps the input's shapes
    #[arg(long, value_enum, default_value_t = PaperArg::Auto)]
    pub(crate) paper: PaperArg,
    /// For photographs of line drawings: paper becomes white and pencil black first, whatever the light
    #[arg(long)]
    pub(crate) white_paper: bool,
    /// Style example: translate as this picture of the style is drawn (runs with generator.style = latent or
    /// reference)
    #[arg(long, value_name = "FILE", conflicts_with = "style_seed")]
    pub(crate) reference: Option<PathBuf>,
    /// Translate by a style code sampled with this seed, the same for all pictures (runs with
    /// generator.style = latent)
    #[arg(long, value_name = "N")]
    pub(crate) style_seed: Option<u64>,
    #[command(flatten)]
    pub(crate) force: ForceArgs,
    /// Skip pictures whose translation is there already
    #[arg(long, conflicts_with = "force")]
    pub(crate) skip_existing: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Pictures (png, jpg, webp, gif, bmp, tif, svg), or folders of pictures
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
}

/// `demotic sample`
#[derive(Debug, Args)]
#[command(after_help = "\
The fitted prior is a density over the latents of the run's training pictures of a style, fitted when it is asked for: near each \
picture it follows that picture and the nearest others, so that draws lie between pictures that are alike; it needs the run's pictures. \
The normal one is N(0, 1), which training pulls latents towards; a run with a small loss.kl, as in the recipes, encodes pictures far from it, \
and its samples are texture. `demotic evaluate` scores both.

Examples:
  demotic sample --run runs/00001-quickstart --to openmoji -o sample.png
  demotic sample --run runs/00001-quickstart --seed 7 --temperature 0.7")]
pub(crate) struct SampleArgs {
    #[command(flatten)]
    pub(crate) weights: WeightsArgs,
    #[arg(
        long = "to",
        alias = "style",
        value_delimiter = ',',
        value_name = "STYLE,STYLE",
        help = of_styles("Styles to draw in; without it, all of the run")
    )]
    pub(crate) styles: Vec<String>,
    /// Pictures per style
    #[arg(short = 'n', long = "count", default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) count: u32,
    /// Another seed draws other pictures
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    /// Where latents come from: fitted to those of training pictures, or N(0, 1)
    #[arg(long, value_enum, default_value_t = PriorArg::Fitted, value_name = "PRIOR")]
    pub(crate) prior: PriorArg,
    /// Scale of the latents' distance from the mean: below 1, more ordinary pictures
    #[arg(long, default_value_t = 1.0, value_name = "T", allow_negative_numbers = true, value_parser = temperature)]
    pub(crate) temperature: f32,
    /// Sheet to write; without it, `samples/prior-<seed>.png` in the run, or `prior-<seed>.png` here where
    /// weights without a run draw; what is written is printed
    #[arg(short = 'o', long, value_name = "FILE.png")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) force: ForceArgs,
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

/// `--paper`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PaperArg {
    /// Beside a drawing it stays as it is, unless the translation paints most of it; what lines enclose gets
    /// one colour, and each stroke one
    Auto,
    /// As the network paints it
    Redraw,
}

/// `--alpha`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AlphaArg {
    /// redraw where keep would hide what the translation paints, on more than 2 % of the picture; else keep
    Auto,
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
distance (0 to 16, lower is better) and, for the translations as a set, the kernel distance KID x1000 (about 0 is the target style \
itself, lower is better); both look through EfficientNet-Lite0, a network trained on photographs that is built in. In brackets \
the 95 % interval over families of pictures. Beside the model stand `copy` (the input unchanged), `remap` (the best affine \
colour map) and `nearest` (the counterpart of the nearest training picture). Pairs are `aligned` (drawn over the same outlines) \
or `loose` (drawn anew: there L1 also punishes honest redrawing). Last, how well the discriminator recognises the styles of real \
held-out pictures. Of fewer than 30 pictures there is no KID, and a note says that the other figures are not reliable.

Styles that share no held-out picture are compared as sets, by KID alone. Networks that draw transparency are scored on it too \
(alpha_l1). In the repository docs/scoring.md explains every figure and the JSON.

With --pictures, translations by any other program are scored in the same way, without a run: one file for every held-out picture \
that has a counterpart, DIR/<from>/<to>/<name>.png; directions without a folder are left out. `demotic data export` writes the pictures \
to translate.

Examples:
  demotic evaluate --run runs/00001-quickstart
  demotic evaluate --run runs/00001-quickstart --json scores.json
  demotic evaluate --split validation
  demotic evaluate --size-px 256 --styles openmoji-line,openmoji
  demotic evaluate --pictures translated/ --styles noto,openmoji")]
#[command(mut_arg("force", |force| force.requires("json")))]
pub(crate) struct EvaluateArgs {
    #[command(flatten)]
    pub(crate) weights: WeightsArgs,
    /// Score these translations, `DIR/<from>/<to>/<name>.png`, in place of a run's
    #[arg(long, value_name = "DIR", conflicts_with_all = ["run", "checkpoint", "device"])]
    pub(crate) pictures: Option<PathBuf>,
    /// With --size-px or --pictures: only these styles
    #[arg(long, value_delimiter = ',', value_name = "STYLE,STYLE", conflicts_with_all = ["words", "drawings"])]
    pub(crate) styles: Vec<String>,
    /// Score translations at this size, of which the network sees a small picture: as `translate` makes them,
    /// against true pictures of that size. With --pictures: side of the pictures, 32 without it
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(8..=1024), conflicts_with_all = ["words", "drawings"])]
    pub(crate) size_px: Option<u32>,
    /// Which held-out pictures
    #[arg(long, value_enum, default_value_t = SplitArg::Test)]
    pub(crate) split: SplitArg,
    /// Score the words instead: phrases that training never saw and a list of challenges, by every method;
    /// docs/words.md explains the tables
    #[arg(long, conflicts_with_all = ["data", "checkpoint"])]
    pub(crate) words: bool,
    /// Score line drawings without counterparts instead: how much of what their lines enclose is coloured,
    /// and how much of the canvas, which should stay; docs/scoring.md
    #[arg(long, value_name = "DIR|PICTURE", num_args = 1.., conflicts_with_all = ["pictures", "words", "data", "split"])]
    pub(crate) drawings: Vec<PathBuf>,
    /// With --drawings: only into these styles
    #[arg(
        long,
        value_delimiter = ',',
        requires = "drawings",
        value_name = "STYLE,STYLE"
    )]
    pub(crate) to: Vec<String>,
    /// With --drawings: as `translate --white-paper` sees them
    #[arg(long, requires = "drawings")]
    pub(crate) white_paper: bool,
    /// As JSON: the figures, in place of the tables; with FILE, into that file beside them
    #[arg(long, value_name = "FILE|-", num_args = 0..=1, default_missing_value = "-")]
    pub(crate) json: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) force: ForceArgs,
    /// The pictures at another place; without it, where the run found them, or the built-in emoji. Other ones
    /// than training saw are scored too, with a note: what is held out of them may have been trained on under
    /// another name
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

/// `demotic export`
#[derive(Debug, Args)]
#[command(after_help = "\
weights: model.safetensors, the averaged generator (average.*) and the discriminator (discriminator.*) in half precision, and in \
its metadata the styles, the step and every setting; `translate`, `sample`, `evaluate` and `recognize` take it as --run.

onnx: model.onnx, for any runtime: pictures [batch, channels, height, width] from -1 to 1 and the numbers of their styles go in, \
translations come out; operator set 18, every generator.

safetensors: generator.safetensors, the averaged generator alone by named arrays in single precision.

README.md beside it is the model card; complete it before you publish. In the repository docs/export.md says more.

--web writes a page that runs the network in the browser, for any server of files: nothing is sent anywhere. It needs three files \
of onnxruntime-web, which `npm pack onnxruntime-web` fetches: --runtime names the folder that they are copied from; without it \
you copy them.

Examples:
  demotic export --run runs/00001-quickstart --out quickstart-weights/
  demotic recognize --run quickstart-weights/model.safetensors doodle.png
  demotic export --format onnx --out onnx/
  demotic export --web site/ --runtime package/dist/
  python3 -m http.server --directory site")]
#[command(override_usage = "demotic export [OPTIONS] <--out <DIR>|--web <DIR>>")]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) weights: WeightsArgs,
    /// The same as --run
    #[arg(
        hide = true,
        value_name = "RUN_DIR|FILE|built-in",
        conflicts_with = "run"
    )]
    named: Option<PathBuf>,
    /// What is written
    #[arg(long, value_enum, default_value_t = FormatArg::Weights)]
    pub(crate) format: FormatArg,
    /// Folder for the file and its model card; made if absent
    #[arg(short = 'o', long, value_name = "DIR", required_unless_present_any = ["web", "runtime"])]
    pub(crate) out: Option<PathBuf>,
    /// Folder for a page that runs the network in the browser; made if absent
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "format"])]
    pub(crate) web: Option<PathBuf>,
    /// Folder with the files of onnxruntime-web: `package/dist` of what `npm pack onnxruntime-web` fetches
    #[arg(long, value_name = "DIR", requires = "web", conflicts_with_all = ["out", "format"])]
    pub(crate) runtime: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) force: ForceArgs,
}

impl ExportArgs {
    /// Whose network.
    pub(crate) fn run(&self) -> &Path {
        self.named.as_deref().unwrap_or(&self.weights.run)
    }
}

/// `demotic export --format`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// Generator and discriminator, for --run of this program
    Weights,
    /// The averaged generator as named arrays
    Safetensors,
    /// The averaged generator as a graph for any runtime
    Onnx,
}

/// `demotic recognize`
#[derive(Debug, Args)]
#[command(after_help = "\
Asks the discriminator of a run: the style that a picture is most likely in, the probability of that among the run's \
styles, and how fake it looks: the mean over its patches of the probability that they are fake rather than real. Pictures of \
any size are fitted to the run's square and laid on its background; patches outside the picture are ignored. With --out, \
OUT/<name>.png shows the picture in grey with the patches that look fake in red. --json prints all of it, every patch's \
probability too.

Examples:
  demotic recognize --run runs/00001-quickstart picture.png
  demotic recognize --out heat/ drawings/
  demotic recognize --json drawings/ | jq '.[].style'")]
#[command(mut_arg("force", |force| force.requires("out")))]
pub(crate) struct RecognizeArgs {
    #[command(flatten)]
    pub(crate) weights: WeightsArgs,
    /// As JSON:
    /// [{"picture":.., "style":.., "probability":.., "styles":{..}, "fake":.., "patches":[[..]],
    /// "place":{..}}]
    #[arg(long)]
    pub(crate) json: bool,
    /// Folder for heat maps; made if absent
    #[arg(short = 'o', long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) force: ForceArgs,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Pictures (png, jpg, webp, gif, bmp, tif, svg), or folders of pictures
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
}

/// `demotic report`
#[derive(Debug, Args)]
#[command(after_help = "\
Training writes the same page at every checkpoint. It holds everything it shows: no server, no network, no other file.

Examples:
  demotic report --run runs/00001-quickstart
  demotic report --run runs/00001-quickstart --out quickstart.html")]
#[command(
    override_usage = "demotic report [OPTIONS] --run <RUN_DIR>",
    mut_arg("force", |force| force.requires("out"))
)]
pub(crate) struct ReportArgs {
    /// Run folder made by `demotic train`
    #[arg(long, value_name = "RUN_DIR", required_unless_present = "named")]
    run: Option<PathBuf>,
    /// The same as --run
    #[arg(hide = true, value_name = "RUN_DIR", conflicts_with = "run")]
    named: Option<PathBuf>,
    /// Where to write it, to a file that is not there yet; without it, the run's own report.html is written
    /// anew
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) force: ForceArgs,
}

impl ReportArgs {
    /// Whose page.
    pub(crate) fn run(&self) -> &Path {
        let run = self.run.as_deref().or(self.named.as_deref());
        run.expect("the command line asks for one of them")
    }
}

/// `demotic ablate`
#[derive(Debug, Args)]
#[command(after_help = "\
PLAN.toml names seeds, the settings that all variants share ([base.*]) and the variants ([[variant]]: name, about, set); \
the others are compared with the first variant. [sweep.keys] goes through lists of values, \"loss.cycle\" = [2, 5], in every \
combination, or in as many as [sweep] random = N draws; with [sweep] patience = N a training ends after N checkpoints without a \
better validation figure. Variants of a sweep are listed best first by that figure. Every variant is trained with every seed on the same pictures in \
the same order, as a run of its own in OUT/<variant>-<seed>. Then every discriminator is asked which patches of composites \
of held-out pictures are fake, and every generator's translations are scored. OUT/table.md and OUT/table.json hold means \
over seeds with 95 % intervals, and differences from the first variant; OUT/report.html shows all runs on one page, written again after each.

Ctrl-C finishes the step, saves a checkpoint and exits with 130; the same command goes on, and does nothing twice.

Examples:
  demotic ablate ablation
  demotic ablate mine.toml --out /tmp/ablation --device flex")]
pub(crate) struct AblateArgs {
    /// What is varied: a file, or `ablation`, the plan in the program
    #[arg(value_name = "PLAN.toml")]
    pub(crate) plan: PathBuf,
    /// Folder of the ablation: new, empty, or of the same plan; without it `runs/<plan name>`
    #[arg(short = 'o', long, value_name = "DIR")]
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
    /// Write a data set's pictures as PNG files at one size, a folder a split and style
    Export(DataExportArgs),
}

/// `demotic data export`
#[derive(Debug, Args)]
#[command(after_help = "\
What training and scoring see: fitted to one size, laid on white, split by family. OUT/<split>/<style>/<name>.png, with train, \
validation and test as splits: for other programs that are to be trained on the same pictures. `demotic evaluate --pictures` \
scores what they translate.

Examples:
  demotic data export emoji --out pictures --styles noto,openmoji
  demotic data export my-set/ --out pictures")]
pub(crate) struct DataExportArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Folder to write; new or empty
    #[arg(short = 'o', long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Side that pictures are fitted to, in pixels
    #[arg(long, default_value_t = 32, value_name = "PX", value_parser = clap::value_parser!(u32).range(8..=1024))]
    pub(crate) size_px: u32,
}

/// `demotic data import`
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[derive(Debug, Args)]
#[command(after_help = "\
Archives are read as `npm pack` leaves them: @iconify-json/* emoji packages and openmoji. Drawings stay vector graphics; \
names, codepoints, groups and licences go with them. The same sources give the same bytes.

Examples:
  npm pack @iconify-json/noto@1.2.9
  demotic data import --out my-emoji iconify-json-noto-1.2.9.tgz
  # pictures/<style>/<name>.png
  demotic data import --out my-set pictures/
  demotic data import --phrases --out phrases/ emojilib-4.0.3.tgz mine.tsv")]
pub(crate) struct ImportArgs {
    /// Import phrases of the built-in emoji instead, from npm archives (cldr-annotations-full,
    /// cldr-annotations-derived-full, emojilib, emojibase-data, @emoji-mart/data), the wheel of
    /// kaomoji-dataset, and lists `emoji<tab>language<tab>rude<tab>phrase`
    #[arg(long, conflicts_with_all = ["emoji", "json"])]
    pub(crate) phrases: bool,
    /// Keep only base emoji that every style draws: no flags, no skin tones, none with less than 8 % ink
    #[arg(long)]
    pub(crate) emoji: bool,
    /// Folder to write; new or empty
    #[arg(short = 'o', long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) damaged: DamagedArgs,
    /// Replace an earlier data set there
    #[arg(long, alias = "replace")]
    pub(crate) force: bool,
    /// As JSON: what was written, and what was left out
    #[arg(long)]
    pub(crate) json: bool,
    /// Archives (.tgz) and folders `DIR/<style>/<name>.png|jpg|webp|gif|bmp|tif|svg`
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
#[command(mut_arg("force", |force| force.requires("sheet")))]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// As JSON: the summary
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a contact sheet: one row per item, one column per style, shown by its number where its name has
    /// letters beyond Latin, Greek and Cyrillic
    #[arg(long, value_name = "FILE.png")]
    pub(crate) sheet: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) force: ForceArgs,
    /// Side that pictures are fitted to, in pixels
    #[arg(long, default_value_t = 64, value_name = "PX", value_parser = clap::value_parser!(u32).range(8..=1024))]
    pub(crate) size_px: u32,
}

/// `demotic devices`
#[derive(Debug, Args)]
#[command(after_help = "\
--device of other commands takes: auto: a discrete GPU, else an integrated one, else flex; `train` times three steps on each kind that \
is there and takes the fastest. flex or cpu: this machine's processor cores. wgpu: the first adapter listed here; wgpu:N: adapter N. \
For training also several with commas between, such as wgpu:0,wgpu:1: an equal share of every step each. Builds with the cargo \
features of those names also know cuda:N, rocm:N, tch (libtorch on the processor), tch:N, and remote:ID@HOST:PORT, a device of another \
machine, where `demotic lend` runs.

`shaders` is the language that kernels are compiled to, and with it what computes the CRF: WGSL devices run the kernels of \
shaders/; SPIR-V and MSL devices (cargo features spirv and metal-msl) refuse those and take tensor operations. \
`unused` adapters are mostly the same devices through another interface (Vulkan, DirectX 12, Metal; OpenGL is never used). Builds with cuda, rocm or tch list those devices too. `demotic doctor --device D` measures whether a device computes correctly, and how fast.

Examples:
  demotic devices
  demotic devices --json | jq '.adapters[].name'")]
pub(crate) struct DevicesArgs {
    /// The devices of another machine instead: remote:ID@HOST:PORT, as `demotic lend` there prints it
    #[cfg(feature = "remote")]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
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

Devices other than flex are checked in a process of their own: a driver that kills it is reported by the check that was running and \
the signal; one that says nothing for as long as --patience is killed, and reported by the check that hung. Both exit with 1; --json then \
has what was found until there, and `died` with both.

Examples:
  demotic doctor
  demotic doctor --config six-styles --set train.batch=32
  demotic doctor --device wgpu:1 --json > doctor.json")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    /// A small network's sizes and step, and the choices that need no other convolutions
    #[arg(long, conflicts_with_all = ["config", "set"])]
    pub(crate) quick: bool,
    /// Seconds without a finding after which a device is taken to hang
    #[arg(long, value_name = "SECS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) patience: u64,
    /// As JSON: the findings
    #[arg(long)]
    pub(crate) json: bool,
    /// Be the process that may be killed: findings go to standard output as they come, in lines for the one
    /// that started it
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
fails is reported by its name and message, the others' figures stay, and the exit code is 1.

Examples:
  demotic compare --devices flex,wgpu
  demotic compare --devices wgpu:0,wgpu:1 --config six-styles --json")]
pub(crate) struct CompareArgs {
    /// Devices, as --device of other commands knows them, with commas between
    #[arg(
        long,
        alias = "device",
        value_name = "DEVICE,DEVICE",
        required = true,
        value_delimiter = ','
    )]
    pub(crate) devices: Vec<String>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    /// Steps on each device; the first two are not timed
    #[arg(long, value_name = "N", default_value_t = 42, value_parser = clap::value_parser!(u64).range(3..=100_000))]
    pub(crate) steps: u64,
    /// Also print each device's kernel launches of a step, by phase and by kernel (JSON has them anyway);
    /// submissions, uploads and pipelines of the first step and of one more, and tuned keys of the first; and
    /// by another step each kernel's time by the device's own clock
    #[arg(long)]
    pub(crate) profile: bool,
    /// As JSON: the figures, every step among them
    #[arg(long)]
    pub(crate) json: bool,
}

/// `demotic bench`
#[derive(Debug, Args)]
#[command(after_help = "\
Loss and gradient of the CRF layer over fixed sizes, chains (T positions, B chains, L labels) and grids (B pictures of so many \
patches), by every implementation and kernel of the device: `cpu` and `reference` on flex, `wgsl` (the kernel that is chosen) and \
`chain`, `lanes`, `image`, `scan` on WGSL devices, `reference` elsewhere. Then every kernel of the networks at the sizes of the \
recipes, `own` (what training uses there) beside `burn` (the same by Burn's tensor operations), `-forward` and `-train`, values \
alone and with all gradients. A kernel that does not take a size has no row there. Labels are `op/impl/device/case`. Each row is \
compared with the reference on flex, then timed in whole calls, to the device's end of each: median, range of the middle half, \
compulsory bytes as a share of the device's copy bandwidth, multiply-adds a second (half of FLOP/s) and as a share of what the \
device does. A row that is wrong or fails is reported by its label, the others stay, and the exit code is 1. A training step is \
timed by `demotic compare`.

Examples:
  demotic bench --device wgpu
  demotic bench --device wgpu --only conv3x3,norm
  demotic bench --only crf/cpu,T16 --json | jq '.cases[].median_secs'")]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Only labels that hold one of these words
    #[arg(long, value_name = "WORD,WORD", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Time for each row; a row has 5 calls at least
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = seconds)]
    pub(crate) secs: f64,
    /// As JSON: the figures
    #[arg(long)]
    pub(crate) json: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.001..=600.0).contains(&value) => Ok(value),
        _ => Err("expected seconds, from 0.001 to 600".into()),
    }
}

/// `demotic serve`
#[derive(Debug, Args)]
#[command(after_help = "\
Prints the address of the page, one line, and serves it until Ctrl-C, which ends it with exit code 0. Draw, drop, paste or choose a \
picture: every style shows its version while the pen moves, two of them can be compared, the discriminator's labels laid over \
them, and each saved as PNG at the picture's size. With run folders the page also shows their curves, samples through time, time left and \
warnings, also while they train.

Only this machine is answered. --listen opens the page to others: the address then ends with a token, without which nothing is \
answered; the connection is not encrypted, so use it in a network that you trust, or leave it out and use `ssh -L 7500:localhost:7500`. \
Pictures stay in the memory of this program and of the browser; nothing is written.

Examples:
  demotic serve
  demotic serve --run runs/00001-quickstart
  demotic serve --run runs/00002-a --run runs/00003-b --port 8000
  demotic serve --listen 0.0.0.0:7500")]
pub(crate) struct ServeArgs {
    /// Run folder made by `demotic train`, weights made by `demotic export`, or the weights in the program;
    /// several times for several
    #[arg(long, value_name = "RUN_DIR|FILE|built-in", default_value = BUILT_IN)]
    pub(crate) run: Vec<PathBuf>,
    /// Which checkpoint: the best by `train.best_metric` or the latest, also while it trains, or a step; auto
    /// is the best, or the latest where validation names none
    #[arg(long, default_value = "auto", value_name = "auto|best|latest|STEP")]
    pub(crate) checkpoint: Which,
    /// Port on 127.0.0.1; 0 takes any that is free
    #[arg(long, value_name = "PORT", default_value_t = 7500)]
    pub(crate) port: u16,
    /// Answer other machines too, by a token
    #[arg(long, value_name = "ADDR:PORT", conflicts_with = "port")]
    pub(crate) listen: Option<String>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

/// `demotic configs`
#[derive(Debug, Args)]
#[command(after_help = "\
`train`, `doctor` and `compare` take a recipe by its name in place of a file, `ablate` its plan.

Examples:
  demotic configs
  demotic train quickstart
  demotic configs quickstart > mine.toml
  # every key with its default, meaning and range, as a file
  demotic configs keys")]
pub(crate) struct ConfigsArgs {
    /// Recipe to print, or `keys`: every key explained; without it, all are listed
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// `demotic man`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  demotic man ~/.local/share/man/man1 && man demotic-train
  demotic man pages/ && man pages/demotic.1")]
pub(crate) struct ManArgs {
    /// Folder for the pages; made if absent
    #[arg(value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) force: ForceArgs,
}

/// `demotic lend`
#[cfg(feature = "remote")]
#[derive(Debug, Args)]
#[command(after_help = "\
Prints a token, and for each device what the other machine types as --device: id and address. Its files stay there; what travels is \
operations and their numbers, the pictures of a batch and weights among them, over QUIC (UDP): encrypted, the server known by its id, \
the client by the token. \
Whoever has the token computes here, and can make this machine do any amount of work: give it to nobody else. Nothing is written, but \
the file of --identity. Both machines need the same demotic. Standard error says who comes, takes a device, is refused and leaves. \
With DEMOTIC_TOKEN set, that is the token, so that several machines share one. In the repository docs/machines.md says more.

Examples:
  demotic lend --device wgpu
  demotic lend --device wgpu:0,wgpu:1 --listen 192.168.1.7:7501
  # the same id after a restart
  demotic lend --device flex --identity ~/.demotic-identity")]
pub(crate) struct LendArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Address of this machine and UDP port; port 0 takes any that is free
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:7501")]
    pub(crate) listen: String,
    /// Keep the id in this file, made where it is absent: names on other machines stay as they are
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
    /// Count what a client asks for, and say it when the client leaves: operations, groups of them that come
    /// by a number, answers, tensors moved
    #[arg(long)]
    pub(crate) count: bool,
    /// As JSON: token and names, in one line
    #[arg(long)]
    pub(crate) json: bool,
}

/// `demotic completions`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # for ~/.local/share/bash-completion/completions/
  demotic completions bash > demotic
  demotic completions zsh  > ~/.zfunc/_demotic
  demotic completions fish > ~/.config/fish/completions/demotic.fish")]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use clap::{Arg, CommandFactory, Parser};

    use super::{Cli, Command};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Every option with a name, by the command that has it.
    fn options(command: &clap::Command, all: &mut Vec<(String, Arg)>) {
        let own = command
            .get_arguments()
            .filter(|arg| arg.get_long().is_some());
        all.extend(own.map(|arg| (command.get_name().to_owned(), arg.clone())));
        for below in command.get_subcommands() {
            options(below, all);
        }
    }

    #[test]
    fn options_of_one_name_are_alike_in_every_command() {
        /// What means something else: the device of another machine, a run that is followed while it
        /// trains, a data set as a whole, settings of words alone.
        const APART: [(&str, &str); 4] = [
            ("devices", "device"),
            ("serve", "checkpoint"),
            ("import", "force"),
            ("learn-words", "set"),
        ];
        let mut all = Vec::new();
        options(&Cli::command(), &mut all);
        let mut texts: BTreeMap<&str, (String, &str)> = BTreeMap::new();
        for (command, arg) in &all {
            let command = command.as_str();
            let name = arg.get_long().unwrap_or_default();
            let has_value = arg.get_action().takes_values();
            let short = match name {
                "out" => Some('o'),
                "count" if has_value => Some('n'),
                _ => None,
            };
            assert_eq!(arg.get_short(), short, "{command} --{name}");
            if name == "json" {
                let least = arg.get_num_args().map_or(0, |count| count.min_values());
                assert!(!has_value || least == 0, "{command} --json needs no file");
            }
            let values = arg.get_value_names().unwrap_or_default();
            if name == "size-px" {
                assert_eq!(values, ["PX"], "{command}");
            }
            let alike = [
                "device",
                "checkpoint",
                "force",
                "set",
                "config",
                "skip-damaged",
                "rude",
            ];
            if !alike.contains(&name) || APART.contains(&(command, name)) {
                continue;
            }
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let text = format!("{help} {values:?}");
            let (first, of) = texts.entry(name).or_insert_with(|| (text.clone(), command));
            assert_eq!(*first, text, "--{name} of {of} and of {command}");
        }
        assert_eq!(texts.len(), 7, "{texts:?}");
    }

    #[test]
    fn spellings_of_before_are_understood_and_options_need_what_they_are_for() {
        let parsed = |line: &str| {
            let words = line.split(' ').filter(|word| !word.is_empty());
            Cli::try_parse_from(["demotic"].into_iter().chain(words))
        };
        for line in [
            "translate --style openmoji -o out a.png",
            "data import --replace -o set pictures",
            "evaluate --drawings a.png b.png --to noto,openmoji",
            "export built-in -o out",
            "report runs/1 -o page.html --force",
            "compare --device flex,flex",
            "train -o runs/1",
            "data export emoji -o pictures",
            "evaluate --json --force",
        ] {
            assert!(parsed(line).is_ok(), "{line}: {:?}", parsed(line).err());
        }
        // The run is needed, by whatever spelling.
        let help = parsed("report --help").expect_err("help is no command");
        assert!(
            help.to_string()
                .contains("report [OPTIONS] --run <RUN_DIR>")
        );
        for line in [
            "export built-in --run built-in -o out",
            "report",
            "report runs/1 --force",
            "recognize --force a.png",
            "evaluate --force",
            "evaluate --run runs/1 --pictures done",
            "data inspect emoji --force",
            "data import --phrases --json -o set list.tsv",
            "translate --force --skip-existing --to noto -o out a.png",
            "train --resume --set seed=1",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
        let sampled = ["--style noto --style openmoji", "--to noto,openmoji"].map(|styles| {
            match parsed(&format!("sample {styles}"))
                .expect("a command")
                .command
            {
                Command::Sample(args) => args.styles,
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(sampled[0], ["noto", "openmoji"]);
        assert_eq!(sampled[0], sampled[1]);
        for (line, file) in [("tired --json", "-"), ("--json a.json tired", "a.json")] {
            match parsed(&format!("draw {line}")).expect("a command").command {
                Command::Draw(args) => {
                    assert_eq!(args.json.as_deref(), Some(Path::new(file)));
                    assert_eq!(args.phrases, ["tired"]);
                }
                other => panic!("{other:?}"),
            }
        }
        for (line, run) in [("runs/1", "runs/1"), ("--run a", "a"), ("", "built-in")] {
            match parsed(&format!("export {line} -o out"))
                .expect("a command")
                .command
            {
                Command::Export(args) => assert_eq!(args.run(), Path::new(run)),
                other => panic!("{other:?}"),
            }
        }
    }
}
