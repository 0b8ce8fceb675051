//! The best checkpoint of a run, and the figure it is the best by.

use serde::{Deserialize, Serialize};

use crate::settings::BestMetric;

impl BestMetric {
    /// True where `new` is better than `old`.
    pub(crate) fn improves(self, new: f32, old: f32) -> bool {
        match self {
            Self::Overall | Self::L1 | Self::Perceptual | Self::Kid | Self::CycleL1 => new < old,
            Self::Auto | Self::Psnr | Self::Ssim => new > old,
        }
    }
}

/// The best checkpoint so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Its step.
    pub step: u64,
    /// The figure it is the best by.
    pub metric: String,
    /// That figure.
    pub value: f32,
}
