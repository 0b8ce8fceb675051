//! What the keys of a configuration choose between: words, and words or numbers.

use serde::{Deserialize, Serialize};

use super::declare::choices;
use crate::number::Real;

pub use demotic_crf::Directions;

/// The words of [`Directions`].
pub(super) const DIRECTIONS: &[&str] = &["both", "rows", "columns"];

choices! {
    /// Colour channels of a picture as a network sees it.
    Channels {
        /// Red, green, blue on the background; grey pictures are widened.
        Rgb = "rgb",
        /// Red, green, blue on the background, and alpha: the network also generates transparency. The first
        /// three planes show colour multiplied by alpha plus the background's share. So a line is a line to
        /// the network, as to the eye; in multiplied colour alone, black lines on nothing are all 0.
        Rgba = "rgba",
        /// Brightness on the background.
        Grey = "grey",
    }
}

impl Channels {
    /// Planes of a picture.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Rgba => 4,
            Self::Grey => 1,
        }
    }
}

choices! {
    /// How a picture of another shape comes into the square.
    Fit {
        /// Whole, and what is left continues the picture: on either side in its edge's colour where that is
        /// plain or transparent, else as its mirror image.
        Auto = "auto",
        /// Whole, on the background.
        Pad = "pad",
        /// Whole, and what is left is filled with its mirror image.
        Mirror = "mirror",
        /// Its middle alone, in training. Inputs of `translate` are mirrored instead: nothing is cut off.
        Crop = "crop",
    }
}

choices! {
    /// How large networks are, smallest first.
    Quality {
        /// For a look in minutes.
        Draft = "draft",
        /// Those of the weights in the program.
        Good = "good",
        /// Those of the recipe for a graphics processor.
        Best = "best",
    }
}

choices! {
    /// What equal names in two styles mean.
    Counterparts {
        /// The pictures are counterparts.
        Names = "names",
        /// Nothing.
        None = "none",
    }
}

choices! {
    /// Styles whose true pairs are shown.
    PairedStyles {
        /// All that have some.
        Any = "any",
        /// Those that are drawn over the same outlines.
        Aligned = "aligned",
    }
}

choices! {
    /// What becomes of a data set with damaged pictures.
    Damaged {
        /// It is refused, every one named.
        Refuse = "refuse",
        /// They are left out and named.
        Skip = "skip",
    }
}

choices! {
    /// How a latent becomes a picture.
    GeneratorKind {
        /// At once.
        Conv = "conv",
        /// In steps on a canvas, each with a latent of its own.
        Recurrent = "recurrent",
    }
}

choices! {
    /// How a translation is put together.
    FilterKind {
        /// As the decoder generates it.
        Off = "off",
        /// The decoder's change of the input, averaged within regions up to edges and laid into the input.
        On = "on",
    }
}

choices! {
    /// Whose kernels compute convolutions on a graphics processor.
    KernelKind {
        /// The faster of both, by measurement.
        Auto = "auto",
        /// This program's.
        Own = "own",
        /// Burn's.
        Burn = "burn",
    }
}

choices! {
    /// Where style codes come from.
    StyleKind {
        /// One learned code per style.
        Table = "table",
        /// From noise, by a mapping network; the table holds each style's mean code.
        Latent = "latent",
        /// From a picture in the style, by an encoder; the table holds each style's mean code.
        Reference = "reference",
    }
}

choices! {
    /// What stands on the discriminator's trunk.
    DiscriminatorHead {
        /// Chains over rows and columns.
        Crf = "crf",
        /// The same with all transitions zero: independent patches (Isola et al. 2017).
        Patch = "patch",
        /// Two 3x3 convolutions over the patches' scores, added to them; then independent patches.
        Conv = "conv",
        /// Two fully connected layers over all scores of a picture, added to them; then independent patches.
        Dense = "dense",
    }
}

choices! {
    /// Where the chains' transition scores come from.
    TransitionKind {
        /// Trained with the rest, bounded by `a_max`.
        Learned = "learned",
        /// Fixed: `potts` from a label to itself, zero to others.
        Potts = "potts",
    }
}

choices! {
    /// Which losses the discriminator and the generator train on.
    AdversarialKind {
        /// The labels' likelihood under the head, over all styles and fake at once.
        Likelihood = "likelihood",
        /// `max(0, 1 - r)` for real and `max(0, 1 + r)` for fake (Lim and Ye 2017).
        Hinge = "hinge",
        /// `(r - 1)^2 / 2` for real and `r^2 / 2` for fake (Mao et al. 2017).
        LeastSquares = "least-squares",
        /// `softplus(-r)` for real and `softplus(r)` for fake (Goodfellow et al. 2014).
        NonSaturating = "non-saturating",
    }
}

choices! {
    /// How learning rates go after the warm-up.
    Schedule {
        /// Constant, from `decay_from` on in a straight line to a hundredth.
        Linear = "linear",
        /// Constant, from `decay_from` on along half a cosine to a hundredth.
        Cosine = "cosine",
        /// Constant.
        Constant = "constant",
    }
}

choices! {
    /// Which figure names the best checkpoint.
    BestMetric {
        /// `overall` where validation pictures have counterparts and every style has 30 of them; else
        /// `perceptual`, `kid` or `cycle_l1`, the first that can be measured.
        Auto = "auto",
        /// `perceptual + kid / 200`; lower is better. Each sees what the other does not: a generator that
        /// returns its input is near the true picture and far from the style, one that ignores its input the
        /// other way round.
        Overall = "overall",
        /// Mean absolute error against the true picture; lower is better.
        L1 = "l1",
        /// Peak signal-to-noise ratio against the true picture; higher is better.
        Psnr = "psnr",
        /// Structural similarity with the true picture; higher is better.
        Ssim = "ssim",
        /// Perceptual distance to the true picture; lower is better. Unlike the figures by pixel, it is not
        /// best for a generator that leaves the outlines of the input as they are.
        Perceptual = "perceptual",
        /// Kernel distance between translations and pictures of their style, x1000; lower is better. Needs no
        /// pairs, but 30 pictures per style.
        Kid = "kid",
        /// Mean absolute error of a picture translated there and back; lower is better. Needs no pairs, and
        /// is best for a generator that changes nothing.
        CycleL1 = "cycle_l1",
    }
}

choices! {
    /// Whether `demotic train` learns words at its end.
    LearnWords {
        /// Where the run's own pictures have phrases and it has 1,000 steps or more.
        Auto = "auto",
        /// Always.
        Always = "always",
        /// Never: `demotic learn-words` does it later.
        Never = "never",
    }
}

choices! {
    /// How a phrase becomes a code.
    PhraseEncoderKind {
        /// The sum of its hashed letter groups.
        Grams = "grams",
        /// A gated recurrent network over its letters.
        Recurrent = "recurrent",
    }
}

/// A word or a number, as it stands in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum WordOrNumber {
    /// Such as `auto`.
    Word(String),
    /// Such as 0.5.
    Number(f64),
}

impl WordOrNumber {
    /// A share as it is typed: 0.1 as a single-precision number stays 0.1 in the file.
    fn number(value: f32) -> Self {
        Self::Number(
            value
                .to_string()
                .parse()
                .unwrap_or_else(|_| f64::from(value)),
        )
    }
}

impl std::fmt::Display for WordOrNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// Whether true translations are shown in training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WordOrNumber", into = "WordOrNumber")]
pub enum Pairs {
    /// Never: the pictures of each style are sampled independently.
    None,
    /// Every picture comes with its counterpart.
    All,
    /// This share of the pictures does, spread evenly over the batches; the others are sampled independently.
    Share(f32),
}

impl Pairs {
    /// Share of the pictures that come with their counterpart.
    pub(crate) fn share(self) -> f32 {
        match self {
            Self::None => 0.0,
            Self::All => 1.0,
            Self::Share(share) => share,
        }
    }
}

impl TryFrom<WordOrNumber> for Pairs {
    type Error = String;

    fn try_from(value: WordOrNumber) -> Result<Self, String> {
        match value {
            WordOrNumber::Word(word) if word == "none" => Ok(Self::None),
            WordOrNumber::Word(word) if word == "all" => Ok(Self::All),
            WordOrNumber::Number(share) if (0.0..=1.0).contains(&share) => {
                Ok(Self::Share(share.to_f32()))
            }
            other => Err(format!(
                "train.pairs: expected none, all or a share from 0 to 1, got {other}"
            )),
        }
    }
}

impl From<Pairs> for WordOrNumber {
    fn from(value: Pairs) -> Self {
        match value {
            Pairs::None => Self::Word("none".into()),
            Pairs::All => Self::Word("all".into()),
            Pairs::Share(share) => Self::number(share),
        }
    }
}

/// How likely each kind of change in front of the discriminator is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WordOrNumber", into = "WordOrNumber")]
pub enum AugmentProb {
    /// By the number of training pictures: `1 - n / 1000` for the style with the fewest, within 0 and 0.8. An
    /// own choice, after Zhao et al. 2020 and Karras et al. 2020, whose gains vanish as pictures grow many.
    Auto,
    /// This, 0 to 1.
    Fixed(f32),
}

impl AugmentProb {
    /// The probability for a data set whose rarest style has `pictures` in training.
    pub(crate) fn prob(self, pictures: usize) -> f32 {
        match self {
            Self::Auto => (1.0 - pictures.to_f32() / 1000.0).clamp(0.0, 0.8),
            Self::Fixed(prob) => prob,
        }
    }
}

/// Weight of the term that holds what lies beside a drawing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WordOrNumber", into = "WordOrNumber")]
pub enum CanvasWeight {
    /// By the styles: 2 where they fill the square differently and the edge-aware filter keeps shapes where
    /// they are, else 0.
    Auto,
    /// This, 0 or more.
    Fixed(f32),
}

impl CanvasWeight {
    /// What `auto` is where the canvas is to be held.
    pub(crate) const HELD: f32 = 2.0;

    /// The weight, where `auto` holds the canvas or does not.
    pub(crate) fn weight(self, is_held: bool) -> f32 {
        match self {
            Self::Auto if is_held => Self::HELD,
            Self::Auto => 0.0,
            Self::Fixed(weight) => weight,
        }
    }
}

/// `auto` or a number, as it stands in a file.
macro_rules! auto_or_number {
    ($($kind:ident, $key:literal, $range:literal, $numbers:expr;)+) => {$(
        impl TryFrom<WordOrNumber> for $kind {
            type Error = String;

            fn try_from(value: WordOrNumber) -> Result<Self, String> {
                match value {
                    WordOrNumber::Word(word) if word == "auto" => Ok(Self::Auto),
                    WordOrNumber::Number(number) if $numbers.contains(&number) => {
                        Ok(Self::Fixed(number.to_f32()))
                    }
                    other => Err(format!(
                        concat!($key, ": expected auto or ", $range, ", got {}"),
                        other
                    )),
                }
            }
        }

        impl From<$kind> for WordOrNumber {
            fn from(value: $kind) -> Self {
                match value {
                    $kind::Auto => Self::Word("auto".into()),
                    $kind::Fixed(number) => Self::number(number),
                }
            }
        }
    )+};
}

auto_or_number! {
    AugmentProb, "discriminator.augment_prob", "0 to 1", (0.0..=1.0);
    CanvasWeight, "loss.canvas", "0 or more", (0.0..f64::from(f32::MAX));
}
