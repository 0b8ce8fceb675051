//! The discriminator: a convolutional trunk scores every patch as fake or as one of the styles; a head ties patches
//! together, by default a grid CRF.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use demotic_crf::{Directions, GridCrf, GridCrfConfig, Transitions};
use serde::{Deserialize, Serialize};

use super::Domain;
use super::layers::{Conv, Init, halve, leaky, unshuffle};
use crate::config::WordOrNumber;

/// What stands on the trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiscriminatorHead {
    /// Chains over rows and columns.
    Crf,
    /// The same with all transitions zero: independent patches (Isola et al. 2017).
    Patch,
    /// Two 3x3 convolutions over the patches' scores, added to them; then independent patches.
    Conv,
    /// Two fully connected layers over all scores of a picture, added to them; then independent patches.
    Dense,
}

/// Where the chains' transition scores come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransitionKind {
    /// Trained with the rest, bounded by `a_max`.
    Learned,
    /// Fixed: `potts` from a label to itself, zero to others.
    Potts,
}

/// Sizes of the [`Discriminator`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiscriminatorConfig {
    /// How patches are tied together.
    pub head: DiscriminatorHead,
    /// Channels at half the picture's size; doubled at a quarter of it.
    pub channels: usize,
    /// Bound of the learned transitions, in nats.
    pub a_max: f32,
    /// Learned or fixed transitions; the CRF's alone.
    pub transitions: TransitionKind,
    /// Score of staying at a label where transitions are fixed, in nats.
    pub potts: f32,
    /// Which chains count; the CRF's alone.
    pub directions: Directions,
    /// Whether the chains' scores come from the whole picture: two fully connected layers over all scores, added to them,
    /// before they are tied; the CRF's alone (`dense` is the same without ties).
    pub global: bool,
    /// Width of the hidden layer of the `conv` and `dense` heads and of `global`.
    pub head_width: usize,
    /// Whether the trunk's weights are divided by their largest singular value.
    pub spectral_norm: bool,
    /// Probability of each kind of change that pictures undergo before they are judged.
    pub augment_prob: AugmentProb,
}

/// How likely each kind of change in front of the discriminator is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WordOrNumber", into = "WordOrNumber")]
pub enum AugmentProb {
    /// By the number of training pictures: `1 - n / 1000` for the style with the fewest, within 0 and 0.8. An own choice,
    /// after Zhao et al. 2020 and Karras et al. 2020, whose gains vanish as pictures grow many.
    Auto,
    /// This, 0 to 1.
    Fixed(f32),
}

impl AugmentProb {
    /// The probability for a data set whose rarest style has `pictures` in training.
    pub fn prob(self, pictures: usize) -> f32 {
        match self {
            Self::Auto => (1.0 - pictures as f32 / 1000.0).clamp(0.0, 0.8),
            Self::Fixed(prob) => prob,
        }
    }
}

impl TryFrom<WordOrNumber> for AugmentProb {
    type Error = String;

    fn try_from(value: WordOrNumber) -> Result<Self, String> {
        match value {
            WordOrNumber::Word(word) if word == "auto" => Ok(Self::Auto),
            WordOrNumber::Number(prob) if (0.0..=1.0).contains(&prob) => {
                Ok(Self::Fixed(prob as f32))
            }
            other => Err(format!(
                "discriminator.augment_prob: expected auto or 0 to 1, got {other}"
            )),
        }
    }
}

impl From<AugmentProb> for WordOrNumber {
    fn from(value: AugmentProb) -> Self {
        match value {
            AugmentProb::Auto => Self::Word("auto".into()),
            AugmentProb::Fixed(prob) => Self::number(prob),
        }
    }
}

impl Default for DiscriminatorConfig {
    fn default() -> Self {
        Self {
            head: DiscriminatorHead::Crf,
            channels: 72,
            a_max: 1.0,
            transitions: TransitionKind::Learned,
            potts: 2.0,
            directions: Directions::Both,
            global: false,
            head_width: 64,
            spectral_norm: false,
            augment_prob: AugmentProb::Auto,
        }
    }
}

impl DiscriminatorConfig {
    /// Pixels of the picture's side to one patch label.
    pub const PATCH_STRIDE: usize = 4;

    /// A discriminator with fresh weights.
    ///
    /// # Errors
    /// What [`GridCrfConfig::try_init`] refuses.
    pub fn init(
        &self,
        domain: Domain,
        init: &mut Init,
    ) -> Result<Discriminator, demotic_crf::CrfError> {
        let c = self.channels;
        let labels = 1 + domain.styles;
        let transitions = match (self.head, self.transitions) {
            (DiscriminatorHead::Crf, TransitionKind::Learned) => Transitions::Learned,
            (DiscriminatorHead::Crf, TransitionKind::Potts) => Transitions::Potts(self.potts),
            _ => Transitions::Zero,
        };
        let grid = |transitions| {
            GridCrfConfig::new(labels)
                .with_a_max(Some(self.a_max))
                .with_transitions(transitions)
                .with_directions(self.directions)
                .try_init(init.device())
        };
        let (crf, patches) = (grid(transitions)?, grid(Transitions::Zero)?);
        let cells = (domain.size_px / Self::PATCH_STRIDE).pow(2) * labels;
        let mut conv = |from, to, kernel, gain| {
            let conv = Conv::new(init, from, to, kernel, gain);
            if self.spectral_norm {
                conv.spectral(init)
            } else {
                conv
            }
        };
        Ok(Discriminator {
            stem: conv(4 * domain.channels, c, 3, 1.0),
            fine: conv(c, c, 3, 1.0),
            coarse: conv(c, 2 * c, 3, 1.0),
            mix: conv(2 * c, 2 * c, 1, 1.0),
            emissions: conv(2 * c, labels, 1, 0.5),
            crf,
            patches,
            conv_head: (self.head == DiscriminatorHead::Conv)
                .then(|| ConvHead::new(init, labels, self.head_width)),
            dense_head: (self.head == DiscriminatorHead::Dense || self.global)
                .then(|| DenseHead::new(init, cells, self.head_width)),
        })
    }

    /// How patches are tied, for a person.
    pub fn ties(&self) -> String {
        let chains = match self.directions {
            Directions::Both => "rows and columns",
            Directions::Rows => "rows",
            Directions::Columns => "columns",
        };
        let seen = if self.global {
            ", scores from the whole picture"
        } else {
            ""
        };
        match (self.head, self.transitions) {
            (DiscriminatorHead::Crf, TransitionKind::Learned) => format!("{chains}{seen}"),
            (DiscriminatorHead::Crf, TransitionKind::Potts) => {
                format!("{chains}, fixed transitions of {}{seen}", self.potts)
            }
            (DiscriminatorHead::Patch, _) => "independent patches".to_owned(),
            (DiscriminatorHead::Conv, _) => "patches tied by two convolutions".to_owned(),
            (DiscriminatorHead::Dense, _) => "patches tied by two dense layers".to_owned(),
        }
    }
}

/// Labels patches of a picture 0 (fake) or `k` (real, style `k - 1`).
///
/// # Source
/// Patch decisions: Isola et al. 2017; N + 1 classes a position: Sushko et al. 2021; the chain likelihood in their
/// place: own derivation (`demotic_crf`).
#[derive(Module, Debug)]
pub struct Discriminator {
    stem: Conv,
    fine: Conv,
    coarse: Conv,
    mix: Conv,
    emissions: Conv,
    crf: GridCrf,
    /// The CRF without ties: no parameters.
    patches: GridCrf,
    conv_head: Option<ConvHead>,
    dense_head: Option<DenseHead>,
}

impl Discriminator {
    /// Planes of a picture.
    pub fn channels(&self) -> usize {
        self.stem.inputs() / 4
    }

    /// One power iteration of every spectrally normalised layer: once a step, before it.
    #[must_use]
    pub fn power_iteration(mut self) -> Self {
        self.stem = self.stem.power_iteration();
        self.fine = self.fine.power_iteration();
        self.coarse = self.coarse.power_iteration();
        self.mix = self.mix.power_iteration();
        self.emissions = self.emissions.power_iteration();
        self
    }

    /// Scores of every patch and label, in nats.
    ///
    /// # Shapes
    /// `pictures`: `[b, c, H, W]` in [-1, 1], sides divisible by 4 (where patches see everything, those it was made for); returns
    /// `[b, 1 + K, H/4, W/4]`. A patch sees 20 pixels a side, 36 under a conv head, everything under a dense one and with `global`.
    pub fn emissions(&self, pictures: Tensor<4>) -> Tensor<4> {
        let x = leaky(self.stem.forward(unshuffle(pictures)));
        let x = halve(leaky(self.fine.forward(x)));
        let x = leaky(self.coarse.forward(x));
        let x = self.emissions.forward(leaky(self.mix.forward(x)));
        match (&self.conv_head, &self.dense_head) {
            (Some(head), _) => head.forward(x),
            (None, Some(head)) => head.forward(x),
            (None, None) => x,
        }
    }

    /// Mean negative log-likelihood a patch of the given labels: `[b]`, nats.
    ///
    /// # Shapes
    /// `emissions`: `[b, 1 + K, h, w]`; `labels`: `[b, h, w]`.
    pub fn negative_log_likelihood(
        &self,
        emissions: Tensor<4>,
        labels: Tensor<3, Int>,
    ) -> Tensor<1> {
        self.crf.negative_log_likelihood(emissions, labels)
    }

    /// The same with every patch on its own, whatever the head: softmax cross-entropy.
    pub fn patch_negative_log_likelihood(
        &self,
        emissions: Tensor<4>,
        labels: Tensor<3, Int>,
    ) -> Tensor<1> {
        self.patches.negative_log_likelihood(emissions, labels)
    }

    /// How much rather real, of the given style, than fake: score of the style less score of fake.
    ///
    /// # Shapes
    /// - `emissions`: `[b, 1 + K, h, w]`
    /// - `styles`: one at each patch's style, `[b, K, h, w]`
    /// - returns `[b, h, w]`, nats
    ///
    /// # Source
    /// One real-or-fake output a style: Choi et al. 2020 (`StarGAN` v2), here a patch each.
    pub fn real_logits(emissions: Tensor<4>, styles: Tensor<4>) -> Tensor<3> {
        let [b, l, h, w] = emissions.dims();
        let mut parts = emissions.split_with_sizes(vec![1, l - 1], 1).into_iter();
        let (fake, real) = parts
            .next()
            .zip(parts.next())
            .expect("fake and the styles are two parts");
        ((real * styles).sum_dim(1) - fake).reshape([b, h, w])
    }

    /// Posterior of every patch's label: `[b, 1 + K, h, w]`, sums to one over labels.
    pub fn marginals(&self, emissions: Tensor<4>) -> Tensor<4> {
        self.crf.marginals(emissions)
    }

    /// The grid CRF on top; without ties where the head is not the CRF.
    pub fn crf(&self) -> &GridCrf {
        &self.crf
    }
}

/// `scores + conv(leaky(conv(scores)))`.
#[derive(Module, Debug)]
struct ConvHead {
    first: Conv,
    second: Conv,
}

impl ConvHead {
    fn new(init: &mut Init, labels: usize, width: usize) -> Self {
        Self {
            first: Conv::new(init, labels, width, 3, 1.0),
            // Starts near the trunk's own scores.
            second: Conv::new(init, width, labels, 3, 0.1),
        }
    }

    fn forward(&self, scores: Tensor<4>) -> Tensor<4> {
        let tied = self
            .second
            .forward(leaky(self.first.forward(scores.clone())));
        scores + tied
    }
}

/// `scores + B leaky(A scores)` over all patches and labels of a picture at once. The narrow hidden layer keeps the
/// weights proportional to the number of patches rather than to its square.
#[derive(Module, Debug)]
struct DenseHead {
    inward: Param<Tensor<2>>,
    hidden: Param<Tensor<1>>,
    outward: Param<Tensor<2>>,
}

impl DenseHead {
    fn new(init: &mut Init, cells: usize, width: usize) -> Self {
        let deviation = |inputs: usize| (1.0 / inputs as f32).sqrt();
        Self {
            inward: init.normal([cells, width], deviation(cells)),
            hidden: init.constant([width], 0.0),
            outward: init.normal([width, cells], 0.1 * deviation(width)),
        }
    }

    fn forward(&self, scores: Tensor<4>) -> Tensor<4> {
        let [b, l, h, w] = scores.dims();
        let flat = scores.clone().reshape([b, l * h * w]);
        let hidden = leaky(flat.matmul(self.inward.val()) + self.hidden.val().unsqueeze());
        scores + hidden.matmul(self.outward.val()).reshape([b, l, h, w])
    }
}
