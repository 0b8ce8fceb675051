//! Teaches a network how pictures are said in another hand: data, models, losses, training, metrics.
//!
//! The data's way: [`data`] (pictures on disk to batches) -> [`model`] (generator and discriminator) -> [`loss`] ->
//! [`train`] (the adversarial loop and its checkpoints) -> [`translate`], [`sample`](mod@sample) and [`metric`] (what came out, and how good it is)
//! -> [`report`] (a run as one page).
//! Nothing here knows a terminal; the launcher `demotic` does.

pub mod ablation;
pub mod allocation;
pub mod compare;
pub mod config;
pub mod data;
pub mod device;
pub mod doctor;
mod error;
pub mod loss;
pub mod metric;
pub mod model;
pub mod ops;
pub mod recognize;
pub mod report;
pub mod rng;
pub mod sample;
pub mod train;
pub mod translate;

pub use error::{Error, panic_line, panic_message};
