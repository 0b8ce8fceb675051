//! Choices that both layers share: where transitions come from, their bound, directions, implementation and
//! kernel.

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// A transition score at or below this is forbidden: its probability is exactly zero, not merely small.
///
/// Finite on purpose: WGSL promises nothing about infinities.
pub const FORBIDDEN: f32 = -1.0e30;

/// The largest label count of the compiled kernels; the reference has no limit.
pub const LABELS_MAX: usize = 32;

/// The longest chain that is walked in one loop on a CPU behind a GPU's interface. Mesa's lavapipe stops a
/// shader's loops at 65,535 trips without a word, and a kernel goes forward, back, and past the chain's end.
pub(crate) const LOOP_LENGTH_MAX: usize = 16_384;

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

/// Which chains of a grid count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Directions {
    /// Rows and columns, half each.
    Both,
    /// Rows only.
    Rows,
    /// Columns only.
    Columns,
}

/// Which WGSL kernel walks the chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WgslKernel {
    /// By the table of [`WgslKernel::chosen`].
    Auto,
    /// `crf_chain.wgsl`: one invocation per chain.
    Chain,
    /// `crf_lanes.wgsl`: one invocation per (chain, label, side), meeting in the middle.
    Lanes,
    /// `crf_segments.wgsl`, `crf_scan.wgsl`, `crf_chain.wgsl`: three passes over segments of few long chains.
    Scan,
    /// `crf_image.wgsl`: one workgroup per picture, rows and columns at once, for pictures that fit one.
    Image,
}

/// What the choice of a kernel depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Whether the adapter is a CPU behind a GPU's interface.
    pub software: bool,
    /// Labels, L.
    pub labels: usize,
    /// Chains in the direction that has more of them.
    pub chains: usize,
    /// Positions of the longer chains.
    pub length: usize,
    /// Whether the call is over rows and columns of pictures, and a picture's emissions (8 KiB at most) and
    /// forward vectors fit the device's workgroup memory.
    pub image_fits: bool,
}

impl WgslKernel {
    /// Those that can be asked for by name.
    pub const ALL: [Self; 4] = [Self::Chain, Self::Lanes, Self::Image, Self::Scan];

    /// The kernel that runs where this one is asked for; never [`WgslKernel::Auto`].
    ///
    /// A picture of at most eight labels that fits a workgroup is read once, in one dispatch. Otherwise few
    /// long chains take the scan, which keeps a GPU busy; many chains of few labels fill it by themselves,
    /// one invocation per chain; everything else takes more lanes and half the depth. By design, not by
    /// measurement: see `benches/RESULTS.md`. [`WgslKernel::Image`] is `Auto` where the picture does not fit.
    ///
    /// Beyond 16,384 positions a software adapter gets the scan whatever is asked: lavapipe counts no more
    /// than 65,535 trips through a shader's loops and would give wrong results without a word.
    #[must_use]
    pub const fn chosen(self, work: Work) -> Self {
        let Work {
            software,
            labels,
            chains,
            length,
            image_fits,
        } = work;
        if software && length > LOOP_LENGTH_MAX {
            return Self::Scan;
        }
        match self {
            Self::Image if image_fits => Self::Image,
            Self::Auto | Self::Image => {
                let few_long = length >= 1024 && chains <= 64 && labels <= 16;
                let many_narrow = labels < 4 || (labels <= 8 && chains >= 16_384);
                if image_fits && labels <= 8 {
                    Self::Image
                } else if few_long {
                    Self::Scan
                } else if many_narrow {
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
    /// All zero: positions are independent, and the likelihood equals a softmax per position.
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
