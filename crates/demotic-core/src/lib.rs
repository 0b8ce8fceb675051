//! Teaches a network how pictures are drawn in other styles: data, models, losses, training, metrics.
//!
//! The data's way: [`data`] (pictures on disk to batches) -> [`model`] (generator and discriminator) ->
//! [`loss`] -> [`train`] (the adversarial loop and its checkpoints) -> [`translate`], [`sample`](mod@sample)
//! and [`metric`] (what came out, and how good it is), [`export`] (taken away) -> [`report`] (a run as one
//! page) -> [`check`] (devices and choices against each other). Nothing here knows a terminal; the launcher
//! `demotic` does.
//!
//! Pictures into a style, samples and drawings of phrases: [`Translator`]. Training and scoring:
//!
//! ```
//! use burn::tensor::Device;
//! use demotic_core::data::{CachePolicy, Dataset, Split};
//! use demotic_core::metric::evaluate_translations;
//! use demotic_core::settings::Config;
//! use demotic_core::train::Trainer;
//!
//! let settings = ["data.size_px=16", "data.styles=[\"openmoji-line\", \"openmoji\"]", "train.batch=2"];
//! let config = Config::resolve(None, &settings.map(str::to_owned))?;
//! let pictures = Dataset::load("emoji", &config.data.options(CachePolicy::Platform)?)?;
//! let device = Device::flex(); // the processor cores
//!
//! let mut trainer = Trainer::new(config, &pictures, &device)?;
//! for _ in 0..2 {
//!     trainer.advance()?; // thousands of these
//! }
//! let scores = evaluate_translations(trainer.average(), &device, &pictures, Split::Test);
//! assert_eq!(scores.directions.len(), 2);
//! # Ok::<(), demotic_core::Error>(())
//! ```
//!
//! [`train::Session`] keeps a run's folder with checkpoints and figures beside. Modules that only the
//! launcher and the benches need are public, and not in this list.

#[doc(hidden)]
pub mod allocation;
pub mod arrays;
pub mod check;
pub mod data;
pub mod device;
mod error;
pub mod export;
#[doc(hidden)]
pub mod files;
pub mod loss;
pub mod metric;
pub mod model;
#[doc(hidden)]
pub mod number;
pub mod ops;
pub mod phrase;
#[doc(hidden)]
pub mod protobuf;
pub mod recognize;
pub mod report;
pub mod rng;
pub mod sample;
pub mod settings;
#[doc(hidden)]
pub mod table;
pub mod train;
pub mod translate;
mod translator;

pub use error::{Error, caught, panic_line, panic_message};
pub use translator::{IntoStyle, Translator};
