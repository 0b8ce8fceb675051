//! Teaches a network how pictures are drawn in other styles: data, models, losses, training, metrics.
//!
//! What a user needs:
//!
//! - [`Translator`]: pictures into a style, samples and drawings of phrases by what is trained; what it rests
//!   on: [`translate`], [`sample`](mod@sample), [`phrase`]
//! - [`recognize`]: which style a picture has
//! - [`data`]: a [`data::Dataset`] of pictures on disk and its options
//! - [`settings`]: a [`settings::Config`] with every key
//! - [`device`]: what computes
//! - [`train`]: a [`train::Trainer`] steps, a [`train::Session`] drives it to its end in a run's folder, with
//!   checkpoints and figures beside
//! - [`model`]: the two networks that are trained
//! - [`metric`]: how good they are
//! - [`export`]: the network for other programs
//! - [`Error`]: what can go wrong
//!
//! Nothing here knows a terminal; the launcher `demotic` does. Training and scoring:
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
//! Modules that only the launcher, the tests or the benches need are public, hidden here, and may change at
//! any time.

#[doc(hidden)]
pub mod allocation;
#[doc(hidden)]
pub mod arrays;
#[doc(hidden)]
pub mod check;
pub mod data;
pub mod device;
mod error;
pub mod export;
#[doc(hidden)]
pub mod files;
mod loss;
pub mod metric;
pub mod model;
#[doc(hidden)]
pub mod number;
#[doc(hidden)]
pub mod ops;
pub mod phrase;
#[doc(hidden)]
pub mod protobuf;
pub mod recognize;
#[doc(hidden)]
pub mod report;
#[doc(hidden)]
pub mod rng;
pub mod sample;
pub mod settings;
#[doc(hidden)]
pub mod table;
pub mod train;
pub mod translate;
mod translator;

pub use error::{Error, caught, nearest, panic_line, panic_message};
pub use translator::{IntoStyle, Translator};
