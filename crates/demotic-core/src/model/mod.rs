//! The networks: a variational translator ([`Generator`]) and its patch-labelling adversary ([`Discriminator`]).

mod discriminator;
mod generator;
pub(crate) mod layers;
mod recurrent;
mod style;

pub use demotic_crf::Directions;
pub use discriminator::{
    AugmentProb, Discriminator, DiscriminatorConfig, DiscriminatorHead, TransitionKind,
};
pub use generator::{Generator, GeneratorConfig, GeneratorKind, Posterior, StyleKind};
pub(crate) use layers::{Conv, Norm, halve, leaky, unshuffle};
pub use layers::{Init, Residual};

/// What both networks are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Number of styles.
    pub styles: usize,
    /// Planes of a picture.
    pub channels: usize,
    /// Side of a picture.
    pub size_px: usize,
}
