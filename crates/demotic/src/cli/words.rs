//! Commands of words as they are typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::common::{DeviceArgs, ForceArgs, RudeArgs, SaidArgs, WeightsArgs};
use super::of_styles;

/// `demotic draw`
#[derive(Debug, Args)]
#[command(after_help = "\
Recall first, invent second, and say which. The phrase is compared with some 31,000 phrases of 1,551 emoji (names, tags, what people \
say; English and Chinese) and with those of the run's own pictures, and, where the run has learnt words (`demotic learn-words`), by its phrase encoder; the idea \
that fits best is drawn: a drawing of it in another \
style is translated into the style asked for, at the drawing's own size. That is of use where the style has no such drawing. `real` takes the style's own drawing \
where there is one. Without --to nothing is drawn: what is recalled is printed. Without --run the weights in the program draw.

What it draws is a known idea in another style: `nearest_l1` is the smallest difference to a training picture of the style \
(0 is a copy). Sentences, negation (`not tired`) and ideas that nobody has drawn are beyond it. Where no idea is near enough it says \
so and exits with 1; --anyway draws the nearest.

--to kaomoji answers with pictures made of characters, and needs no run. With a run that has learnt words, `new` ones follow that \
are made up for the same, each with the CRF's probability that its signs are real; --json has every sign.

Own pictures bring their phrases: pictures/phrases.tsv with lines `name<tab>language<tab>register<tab>phrase`, or a text \
<name>.txt beside a picture, one phrase a line.

Examples:
  demotic draw 'so tired'
  demotic draw 'so tired' --to openmoji --out tired.png
  demotic draw 笑死我了 'broke my heart' -n 3 --to openmoji -o sheet.png
  demotic draw --file phrases.txt --json recalled.jsonl
  demotic draw 好累 --to kaomoji -n 5")]
pub(crate) struct DrawArgs {
    #[command(flatten)]
    pub(crate) weights: WeightsArgs,
    #[arg(long = "to", alias = "style", value_name = "STYLE", help = of_styles("Style to draw in: one of the run's, or kaomoji"))]
    pub(crate) style: Option<String>,
    /// A file with one phrase a line
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Ideas per phrase, the best first
    #[arg(short = 'n', long = "count", default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) count: u32,
    /// PNG to write (for kaomoji, a text); several pictures become one sheet: six a row where each phrase has
    /// one, under their phrases, else a row per phrase
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Longer side of each picture: drawings (SVG) are drawn, pictures resized to it first; without it, 256
    /// for drawings that state less, a picture's own, and on a sheet 256 at most
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(16..=8192))]
    pub(crate) size_px: Option<u32>,
    /// As JSON: what is recalled, a line per phrase, in place of the words; with FILE, into that file beside
    /// them
    #[arg(long, value_name = "FILE|-", num_args = 0..=1, default_missing_value = "-")]
    pub(crate) json: Option<PathBuf>,
    /// Draw the nearest idea also where none is near
    #[arg(long)]
    pub(crate) anyway: bool,
    /// Take the style's own drawing of the idea where it has one
    #[arg(long)]
    pub(crate) real: bool,
    #[command(flatten)]
    pub(crate) rude: RudeArgs,
    #[command(flatten)]
    pub(crate) force: ForceArgs,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// What to draw, in English or Chinese
    #[arg(required_unless_present = "file", value_name = "PHRASE")]
    pub(crate) phrases: Vec<String>,
}

/// `demotic say`
#[derive(Debug, Args)]
#[command(after_help = "\
A picture is compared with the six drawings of each of 1,551 emoji, and with the run's pictures where --run is given; the \
phrases of the ideas that it resembles are printed, the most distinctive first, all `known`: they stand in a list. Where the run has learnt \
words (`demotic learn-words`), phrases follow that its speaker makes up for the first idea, each `new`, scored by how real the text \
discriminator takes its words for. \
Pictures of other things than emoji get the phrases of what they resemble; one that is of a single colour shows nothing, and the exit code \
is 1. The first call with a run looks at its pictures; what it saw is \
kept in the cache.

Examples:
  demotic say picture.png
  demotic say --lang zh --register colloquial -n 5 drawings/
  demotic say --run runs/00001-mine --json picture.png")]
pub(crate) struct SayArgs {
    /// Run folder: its pictures and their phrases are known, too
    #[arg(long, value_name = "RUN_DIR")]
    pub(crate) run: Option<PathBuf>,
    /// In this language alone
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    pub(crate) lang: Option<LanguageArg>,
    /// In this register alone
    #[arg(long, value_enum, value_name = "REGISTER")]
    pub(crate) register: Option<RegisterArg>,
    #[command(flatten)]
    pub(crate) said: SaidArgs,
    /// As JSON:
    /// [{"picture":.., "recalled":[..], "said":[{"phrase":.., "language":.., "register":.., "score":..,
    /// "known":true}, ..]}]
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Pictures (png, jpg, webp, gif, bmp, tif, svg), or folders of pictures
    #[arg(required = true, value_name = "PICTURE")]
    pub(crate) inputs: Vec<PathBuf>,
}

/// `demotic rephrase`
#[derive(Debug, Args)]
#[command(after_help = "\
The phrase recalls ideas, and the ideas give their phrases in the register asked for: `name` is the formal name, `colloquial` what \
people say. Without --lang the answer is in the language of the phrase. Nothing is made up: every answer stands in a list.

Examples:
  demotic rephrase 'face with tears of joy' --to colloquial
  demotic rephrase 'so tired' --to name
  demotic rephrase 'broken heart' --to colloquial --lang zh -n 3 --json")]
pub(crate) struct RephraseArgs {
    /// Register of the answer
    #[arg(long, value_enum, value_name = "REGISTER")]
    pub(crate) to: RegisterArg,
    /// Language of the answer; without it, the phrase's own
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    pub(crate) lang: Option<LanguageArg>,
    #[command(flatten)]
    pub(crate) said: SaidArgs,
    /// Answer also where no idea is near
    #[arg(long)]
    pub(crate) anyway: bool,
    /// As JSON, a line per phrase:
    /// {"phrase":.., "recalled":[..], "said":[{"phrase":.., "score":.., "known":true}, ..]}
    #[arg(long)]
    pub(crate) json: bool,
    /// What to say otherwise
    #[arg(required = true, value_name = "PHRASE")]
    pub(crate) phrases: Vec<String>,
}

/// `--lang`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LanguageArg {
    /// English
    En,
    /// Chinese
    Zh,
}

/// `--register`, `--to`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RegisterArg {
    /// The formal name
    Name,
    /// What people say
    Colloquial,
}

/// `demotic read`
#[derive(Debug, Args)]
#[command(after_help = "\
The text discriminator of a run says of every word (of every character in Chinese) whether it looks fake (made up by the speaker), of a \
real name, or as people really say it; a linear-chain conditional random field scores neighbouring labels together. Probabilities are of \
the token's label; the bar is the heat map: ten signs are surely fake. Only the first 32 tokens of a text are labelled.

Examples:
  demotic read --run runs/00001-quickstart 'so tired of this' 笑死我了
  demotic read --run runs/00001-quickstart --json 'face with crossed socks'")]
pub(crate) struct ReadArgs {
    /// Run folder whose words are learnt: `demotic learn-words`
    #[arg(long, value_name = "RUN_DIR")]
    pub(crate) run: PathBuf,
    /// As JSON, a line a text:
    /// {"text":.., "tokens":[{"token":.., "label":.., "fake":.., "name":.., "colloquial":..}, ..]}
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// What to label
    #[arg(required = true, value_name = "TEXT")]
    pub(crate) texts: Vec<String>,
}

/// `demotic learn-words`
#[derive(Debug, Args)]
#[command(after_help = "\
Learns from what the ideas of the run's pictures are called, in minutes: the phrase encoder (phrase to idea), a speaker a language \
(idea to new phrase), the text discriminator (fake or real, token by token), what writes kaomoji, and the reader of pictures. The \
picture networks stay as they are. Phrases that are held out for scoring (`evaluate --words`) are never learnt; those of the validation \
split decide when the phrase encoder stops and what it is worth beside TF-IDF. Everything goes to RUN/words/: words.safetensors, and \
stats.jsonl with a line per tick. `demotic train` does this at its end: see `words.learn`.

Ctrl-C finishes the step, keeps what is learnt and exits with 130; the same command goes on and ends with the same weights, to the bit \
on flex. Where all is learnt it does nothing; --restart learns anew.

Examples:
  demotic learn-words --run runs/00001-quickstart
  demotic learn-words --run runs/00001-quickstart --restart --seed 1
  demotic learn-words --run runs/00002-mine --set words.encoder=recurrent")]
pub(crate) struct LearnArgs {
    /// Run folder made by `demotic train`
    #[arg(long, value_name = "RUN_DIR")]
    pub(crate) run: PathBuf,
    /// A setting of words: `words.encoder=recurrent`; `demotic configs keys` lists them
    #[arg(long, value_name = "words.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Steps in all; shared out over the parts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(9..=10_000_000))]
    pub(crate) steps: Option<u64>,
    /// Source of every random number; without it, the run's
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Learn anew, dropping what was learnt
    #[arg(long)]
    pub(crate) restart: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}
