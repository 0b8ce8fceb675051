//! Teaches a network how pictures are said in another hand: data, models, losses, training, metrics.
//!
//! The data's way: [`data`] (pictures on disk to batches) -> [`model`] (generator and discriminator) ->
//! [`loss`] -> [`train`] (the adversarial loop and its checkpoints) -> [`translate`], [`sample`](mod@sample)
//! and [`metric`] (what came out, and how good it is), [`export`] (taken away) -> [`report`] (a run as one
//! page) -> [`check`] (devices and choices against each other). Nothing here knows a terminal; the launcher
//! `demotic` does.

pub mod allocation;
pub mod arrays;
pub mod check;
pub mod data;
pub mod device;
mod error;
pub mod export;
pub mod files;
pub mod loss;
pub mod metric;
pub mod model;
pub mod ops;
pub mod phrase;
pub mod protobuf;
pub mod recognize;
pub mod report;
pub mod rng;
pub mod sample;
pub mod settings;
pub mod table;
pub mod train;
pub mod translate;
mod translator;

pub use error::{Error, caught, panic_line, panic_message};
pub use translator::{IntoStyle, Translator};
