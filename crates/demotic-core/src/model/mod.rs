//! The networks: a variational translator ([`Generator`]) and its patch-labelling adversary ([`Discriminator`]).

mod discriminator;
mod generator;
pub(crate) mod layers;

pub use discriminator::{Discriminator, DiscriminatorConfig, DiscriminatorHead};
pub use generator::{Generator, GeneratorConfig, Posterior};
pub use layers::{Init, Residual};
