//! The discriminator: a convolutional trunk scores every patch as fake or as one of the styles; a grid CRF ties them.

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use demotic_crf::{GridCrf, GridCrfConfig, Transitions};
use serde::{Deserialize, Serialize};

use super::layers::{Conv, Init, halve, leaky, unshuffle};

/// What stands on the trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiscriminatorHead {
    /// Chains over rows and columns with learned transitions.
    Crf,
    /// The same with all transitions zero: independent patches (Isola et al. 2017).
    Patch,
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
}

impl Default for DiscriminatorConfig {
    fn default() -> Self {
        Self {
            head: DiscriminatorHead::Crf,
            channels: 48,
            a_max: 1.0,
        }
    }
}

impl DiscriminatorConfig {
    /// Pixels of the picture's side to one patch label.
    pub const PATCH_STRIDE: usize = 4;

    /// A discriminator of `styles` styles with fresh weights.
    ///
    /// # Errors
    /// What [`GridCrfConfig::try_init`] refuses.
    pub fn init(
        &self,
        styles: usize,
        init: &mut Init,
    ) -> Result<Discriminator, demotic_crf::CrfError> {
        let c = self.channels;
        let transitions = match self.head {
            DiscriminatorHead::Crf => Transitions::Learned,
            DiscriminatorHead::Patch => Transitions::Zero,
        };
        let crf = GridCrfConfig::new(1 + styles)
            .with_a_max(Some(self.a_max))
            .with_transitions(transitions);
        let crf = crf.try_init(init.device())?;
        Ok(Discriminator {
            stem: Conv::new(init, 12, c, 3, 1.0),
            fine: Conv::new(init, c, c, 3, 1.0),
            coarse: Conv::new(init, c, 2 * c, 3, 1.0),
            mix: Conv::new(init, 2 * c, 2 * c, 1, 1.0),
            emissions: Conv::new(init, 2 * c, 1 + styles, 1, 0.5),
            crf,
        })
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
}

impl Discriminator {
    /// Scores of every patch and label, in nats.
    ///
    /// # Shapes
    /// `pictures`: `[b, 3, H, W]` in [-1, 1], sides divisible by 4; returns `[b, 1 + K, H/4, W/4]`. A patch sees 20 pixels a side.
    pub fn emissions(&self, pictures: Tensor<4>) -> Tensor<4> {
        let x = leaky(self.stem.forward(unshuffle(pictures)));
        let x = halve(leaky(self.fine.forward(x)));
        let x = leaky(self.coarse.forward(x));
        self.emissions.forward(leaky(self.mix.forward(x)))
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

    /// Posterior of every patch's label: `[b, 1 + K, h, w]`, sums to one over labels.
    pub fn marginals(&self, emissions: Tensor<4>) -> Tensor<4> {
        self.crf.marginals(emissions)
    }

    /// The grid CRF on top.
    pub fn crf(&self) -> &GridCrf {
        &self.crf
    }
}
