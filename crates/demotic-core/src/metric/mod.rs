//! How good translations are: differences to the true picture, three baselines to compare them with, and a
//! distance between two sets of features. Everything here is host arithmetic on composed pictures.

mod baseline;
mod coloured;
mod evaluation;
mod features;
mod interval;
mod kid;
mod measured;
mod memory;
mod network;
mod networks;
mod recognition;
mod scores;
mod validation;
mod verdict;

#[doc(hidden)]
pub use baseline::{Nearest, Remap};
#[doc(hidden)]
pub use coloured::Coloured;
pub use evaluation::{
    Direction, Evaluation, FromPrior, KindMeans, NearestMeasured, SampleMeasured, SetMeasured,
    Translate, Unpaired, evaluate, evaluate_with, from_prior,
};
#[doc(hidden)]
pub use features::{Seen, pooled, see};
pub use interval::{Bootstrap, Estimate, Spread};
pub use kid::{LEAST_SET, kernel_distance, kernel_spread};
pub use measured::Measured;
pub(crate) use measured::{FIGURES, is_lower_better};
#[doc(hidden)]
pub use memory::Memory;
pub use networks::{NAMES_NO_STYLE, evaluate_at_size, evaluate_networks, evaluate_translations};
pub use recognition::{Recognition, Recognized, Recognizer, StyleRecognition, recognition};
pub(crate) use scores::summed;
pub use scores::{MAX_PSNR, Scores, l1, mean_scores, psnr, ssim};
pub use validation::Validator;
