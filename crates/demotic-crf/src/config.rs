//! Choices shared by both layers: where transitions come from, how they are bounded, which implementation computes.

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::CrfError;

/// A transition score at or below this is forbidden: its probability is exactly zero, not merely small.
///
/// Finite on purpose: WGSL gives no promise about infinities.
pub const FORBIDDEN: f32 = -1.0e30;

/// The largest label count of the compiled kernels; the reference has no limit.
pub const LABELS_MAX: usize = 32;

/// The longest chain that a software adapter walks in one loop, forward and back within its count of loop trips.
pub(crate) const SOFTWARE_LENGTH_MAX: usize = 16_384;

/// Which code computes the likelihood, its gradient and the marginals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Implementation {
    /// The fastest one that the device can run; the reference where there is none.
    Auto,
    /// The hand-written WGSL kernels; an error on a device that takes no WGSL.
    Wgsl,
    /// The fused loop of the CPU; an error on any other device.
    Cpu,
    /// Plain tensor operations, on any device.
    Reference,
}

impl Implementation {
    /// `auto`, `wgsl`, `cpu` or `reference`: as a run's header line and its configuration write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Wgsl => "wgsl",
            Self::Cpu => "cpu",
            Self::Reference => "reference",
        }
    }
}

/// Which WGSL kernel walks the chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WgslKernel {
    /// By the table of [`WgslKernel::chosen`].
    Auto,
    /// `crf_chain.wgsl`: one invocation a chain.
    Chain,
    /// `crf_lanes.wgsl`: one invocation a (chain, label, side), meeting in the middle.
    Lanes,
    /// `crf_segments.wgsl`, `crf_scan.wgsl`, `crf_chain.wgsl`: three passes over segments of few long chains.
    Scan,
    /// `crf_image.wgsl`: one workgroup a picture, rows and columns at once. For pictures that fit: see [`WgslKernel::chosen`].
    Image,
}

/// What a call brings, as far as the choice of a kernel goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Whether the adapter is a CPU behind a GPU's interface.
    pub software: bool,
    /// Labels, L.
    pub labels: usize,
    /// Chains of the direction that has more.
    pub chains: usize,
    /// Positions of the longer chains.
    pub length: usize,
    /// Whether rows and columns of pictures are wanted, and a picture's emissions (8 KiB at most) and forward vectors fit the
    /// device's workgroup memory.
    pub image_fits: bool,
}

impl WgslKernel {
    /// The kernel that runs where this one is asked for; never [`WgslKernel::Auto`].
    ///
    /// A picture that fits a workgroup is read once, in one dispatch. Otherwise, on a software adapter (`software`) barriers are dear
    /// and workgroup memory is walked lane by lane: one invocation a chain, until its unrolled text grows too large to compile. On a
    /// GPU many short label sets fill the machine by themselves, and otherwise more lanes and half the depth win. The GPU's half of
    /// the table is by design, not by measurement: see `benches/README.md`. [`WgslKernel::Image`] is `Auto` where the picture does
    /// not fit.
    ///
    /// Beyond 16,384 positions a software adapter runs the scan whatever is asked: lavapipe counts no more than 65,535 trips through
    /// a shader's loops and would give wrong results without a word. A GPU takes it for few long chains, which nothing else
    /// would keep busy.
    #[must_use]
    pub const fn chosen(self, work: Work) -> Self {
        let Work {
            software,
            labels,
            chains,
            length,
            image_fits,
        } = work;
        if software && length > SOFTWARE_LENGTH_MAX {
            return Self::Scan;
        }
        match self {
            Self::Image if image_fits => Self::Image,
            Self::Auto | Self::Image => {
                let few_long = !software && length >= 1024 && chains <= 64 && labels <= 16;
                let many_narrow = labels < 4 || (labels <= 8 && chains >= 16_384);
                // Measured on lavapipe: ahead by a fifth at 3 labels of 8x8, behind by a half at 8 of 16x16.
                if image_fits && labels <= if software { 4 } else { 8 } {
                    Self::Image
                } else if few_long {
                    Self::Scan
                } else if labels <= 16 && (software || many_narrow) {
                    Self::Chain
                } else {
                    Self::Lanes
                }
            }
            asked => asked,
        }
    }

    /// `auto`, `chain`, `lanes`, `scan` or `image`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Chain => "chain",
            Self::Lanes => "lanes",
            Self::Scan => "scan",
            Self::Image => "image",
        }
    }
}

/// Where the transition scores come from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transitions {
    /// Parameters that start at zero and are learned.
    Learned,
    /// All zero: positions become independent and the likelihood equals a softmax a position.
    Zero,
    /// Fixed: this score on the diagonal, zero elsewhere.
    Potts(f32),
}

impl Transitions {
    /// The fixed scores `[l, l]`, or `None` where they are learned.
    pub(crate) fn fixed(self, labels: usize, device: &Device) -> Option<Tensor<2>> {
        match self {
            Self::Learned => None,
            Self::Zero => Some(Tensor::zeros([labels, labels], device)),
            Self::Potts(score) => Some(Tensor::eye(labels, device).mul_scalar(score)),
        }
    }
}

/// `A = a_max * tanh(raw / a_max)`, or `A = raw` without a bound.
///
/// # Shapes
/// `raw`: `[l, l]`, from label to label; the result likewise, in nats.
pub(crate) fn bounded(raw: Tensor<2>, a_max: Option<f32>) -> Tensor<2> {
    match a_max {
        Some(a_max) => raw.div_scalar(a_max).tanh().mul_scalar(a_max),
        None => raw,
    }
}

/// Refuses a bound that is not a positive number.
pub(crate) fn check_a_max(a_max: Option<f32>) -> Result<(), CrfError> {
    match a_max {
        Some(a_max) if !(a_max.is_finite() && a_max > 0.0) => Err(CrfError::Config {
            key: "a_max",
            got: a_max.to_string(),
            expected: "a positive number, or none",
        }),
        _ => Ok(()),
    }
}
