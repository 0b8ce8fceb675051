//! The networks: a variational translator ([`Generator`]) and its patch-labelling adversary
//! ([`Discriminator`]).

mod discriminator;
mod generator;
pub(crate) mod layers;
mod recurrent;
mod style;

pub(crate) use crate::settings::{
    DiscriminatorConfig, GeneratorConfig, GeneratorKind, StyleKind, TransitionKind,
};
pub use discriminator::Discriminator;
pub use generator::Generator;
pub(crate) use generator::{Posterior, one_hot_rows};
pub(crate) use layers::Residual;
#[doc(hidden)]
pub use layers::{Domain, Init};

/// Pictures through a network at a time: bounds memory, and is enough to keep a device busy.
pub(crate) const CHUNK: usize = 64;
