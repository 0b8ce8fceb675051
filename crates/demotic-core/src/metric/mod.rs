//! How good translations are: differences to the true picture, three baselines to hold them against, and a distance
//! between two sets of features. Everything here is host arithmetic on composed pictures.

mod baseline;
mod evaluation;
mod features;
mod interval;
mod kid;
mod recognition;
mod scores;
mod teach;

pub use baseline::{Nearest, Remap};
pub use evaluation::{
    Direction, DrawnMeasured, Evaluation, FromPrior, KindMeans, Measured, NearestMeasured,
    SetMeasured, Translate, Unpaired, evaluate, evaluate_pairs, from_prior,
};
pub use features::{FeatureSet, Features};
pub use interval::{Bootstrap, Estimate, Spread};
pub use kid::{kernel_distance, kernel_spread};
pub use recognition::{Judge, Recognition, Recognized, StyleRecognition, recognition};
pub(crate) use scores::summed;
pub use scores::{MAX_PSNR, Scores, l1, mean_scores, psnr, ssim};
pub use teach::{Ranks, TeachOptions, TeachTick, rank, teach};
