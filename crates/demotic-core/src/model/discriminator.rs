//! The discriminator: a convolutional trunk scores every patch as fake or as one of the styles; a head scores
//! them together, by default a grid CRF.

use crate::number::Real;
use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use demotic_crf::{Directions, GridCrf, GridCrfConfig, Transitions};

use super::layers::{Conv, Domain, Init, leaky};
use crate::ops::Read;
use crate::settings::{DiscriminatorConfig, DiscriminatorHead, TransitionKind};

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

    /// How patches are scored together, for a person.
    pub(crate) fn links(&self) -> String {
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
            (DiscriminatorHead::Conv, _) => "patches joined by two convolutions".to_owned(),
            (DiscriminatorHead::Dense, _) => "patches joined by two dense layers".to_owned(),
        }
    }
}

/// Labels patches of a picture 0 (fake) or `k` (real, style `k - 1`).
///
/// # Source
/// Patch decisions: Isola et al. 2017; N + 1 classes a position: Sushko et al. 2021; the chain likelihood in
/// their place: own derivation (`demotic_crf`).
#[derive(Module, Debug)]
pub struct Discriminator {
    stem: Conv,
    fine: Conv,
    coarse: Conv,
    mix: Conv,
    emissions: Conv,
    crf: GridCrf,
    /// The CRF without transitions: no parameters.
    patches: GridCrf,
    conv_head: Option<ConvHead>,
    dense_head: Option<DenseHead>,
}

impl Discriminator {
    /// Planes of a picture.
    pub(crate) fn channels(&self) -> usize {
        self.stem.inputs() / 4
    }

    /// One power iteration of every spectrally normalised layer: once a step, before it.
    #[must_use]
    pub(crate) fn power_iteration(mut self) -> Self {
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
    /// `pictures`: `[b, c, H, W]` in [-1, 1], sides divisible by 4 (where patches see everything, those it
    /// was made for); returns `[b, 1 + K, H/4, W/4]`. A patch sees 20 pixels a side, 36 under a conv head,
    /// everything under a dense one and with `global`.
    pub fn emissions(&self, pictures: Tensor<4>) -> Tensor<4> {
        let x = self.stem.read_leaky(Read::unshuffled(pictures));
        let x = self.fine.read_leaky(x).halved();
        let x = self.coarse.read_leaky(Read::plain(x));
        let x = self.emissions.read(self.mix.read_leaky(x));
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

    /// The likelihood with every patch on its own, whatever the head: softmax cross-entropy.
    pub(crate) fn patch_negative_log_likelihood(
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
    pub(crate) fn real_logits(emissions: Tensor<4>, styles: Tensor<4>) -> Tensor<3> {
        let [b, l, h, w] = emissions.dims();
        let mut parts = emissions.split_with_sizes(vec![1, l - 1], 1).into_iter();
        let (fake, real) = parts
            .next()
            .zip(parts.next())
            .expect("fake and the styles are two parts");
        ((real * styles).sum_dim(1) - fake).reshape([b, h, w])
    }

    /// Posterior of every patch's label: `[b, 1 + K, h, w]`, sums to one over labels.
    pub(crate) fn marginals(&self, emissions: Tensor<4>) -> Tensor<4> {
        self.crf.marginals(emissions)
    }

    /// The grid CRF on top; without transitions where the head is not the CRF.
    pub(crate) fn crf(&self) -> &GridCrf {
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
        let first = self.first.read_leaky(Read::plain(scores.clone()));
        let joined = self.second.read(first);
        scores + joined
    }
}

/// `scores + B leaky(A scores)` over all patches and labels of a picture at once. The narrow hidden layer
/// keeps the weights proportional to the number of patches rather than to its square.
#[derive(Module, Debug)]
struct DenseHead {
    inward: Param<Tensor<2>>,
    hidden: Param<Tensor<1>>,
    outward: Param<Tensor<2>>,
}

impl DenseHead {
    fn new(init: &mut Init, cells: usize, width: usize) -> Self {
        let deviation = |inputs: usize| (1.0 / inputs.to_f32()).sqrt();
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
