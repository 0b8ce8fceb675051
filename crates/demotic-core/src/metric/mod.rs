//! How good translations are: differences to the true picture, three baselines to hold them against, and a distance
//! between two sets of features. Everything here is host arithmetic on composed pictures.

mod baseline;
mod evaluation;
mod kid;
mod scores;

pub use baseline::{Nearest, Remap};
pub use evaluation::{Direction, Evaluation, Translate, evaluate, evaluate_pairs};
pub use kid::{KernelDistance, kernel_distance};
pub use scores::{MAX_PSNR, Scores, l1, mean_scores, psnr, ssim};
