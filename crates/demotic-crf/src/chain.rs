//! The linear-chain CRF over sequences `[n, t, l]` of any lengths: likelihood, marginals, decoding, samples,
//! entropy.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::cases::Numbers;
use crate::config::{self, Directions, FORBIDDEN, Implementation, WgslKernel};
use crate::error::CrfError;
use crate::number::{Real, Whole};
use crate::op;
use crate::op::ops::Call;
use crate::op::plan::{Evidence, Group, Order, Plan};
use crate::op::reference::Chains;

/// How the values of chains become one loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// One value per chain, `[n]`.
    None,
    /// Their sum, `[1]`.
    Sum,
    /// Their sum divided by the number of chains, `[1]`.
    MeanPerChain,
    /// Their sum divided by the number of positions that exist, `[1]`.
    MeanPerPosition,
}

/// Configuration of a [`LinearChainCrf`].
#[derive(Config, Debug)]
pub struct LinearChainCrfConfig {
    /// Number of labels `l`.
    pub labels: usize,
    /// Whether the first and the last label of a chain have learned scores of their own.
    #[config(default = true)]
    pub boundaries: bool,
    /// Bound of the transition scores in nats, `A = a_max * tanh(raw / a_max)`; `None` leaves them free.
    pub a_max: Option<f32>,
    /// `allowed[i][j]`: whether label `j` may follow label `i`; `None` allows all.
    pub allowed: Option<Vec<Vec<bool>>>,
    /// The label value of unlabelled positions: they are summed over, and the rest of the chain still counts.
    pub ignore_index: Option<i32>,
    /// Which implementation computes.
    #[config(default = "Implementation::Auto")]
    pub implementation: Implementation,
    /// Which WGSL kernel, on devices where those compute.
    #[config(default = "WgslKernel::Auto")]
    pub kernel: WgslKernel,
}

impl LinearChainCrfConfig {
    /// Creates the layer on `device`, all scores at zero.
    ///
    /// # Panics
    /// Where [`Self::try_init`] would return an error.
    pub fn init(&self, device: &Device) -> LinearChainCrf {
        match self.try_init(device) {
            Ok(crf) => crf,
            Err(error) => panic!("{error}"),
        }
    }

    /// Creates the layer on `device`, all scores at zero.
    ///
    /// # Errors
    /// Fewer than two labels or more than the implementation takes, a bound that is not positive, an
    /// allowed-transition table that is not `labels` by `labels` or leaves a label without a successor, or an
    /// implementation that the device cannot run.
    pub fn try_init(&self, device: &Device) -> Result<LinearChainCrf, CrfError> {
        op::check_a_max(self.a_max)?;
        op::check_labels(self.labels)?;
        op::implementation_for(device, self.implementation, self.labels)?;
        if let Some(allowed) = &self.allowed {
            let square =
                allowed.len() == self.labels && allowed.iter().all(|row| row.len() == self.labels);
            if !square || allowed.iter().any(|row| !row.contains(&true)) {
                return Err(CrfError::Config {
                    key: "allowed",
                    got: format!("{allowed:?}"),
                    expected: "labels x labels truth values, at least one true in each row",
                });
            }
        }
        let vector = || Param::from_tensor(Tensor::zeros([self.labels], device));
        Ok(LinearChainCrf {
            transitions: Param::from_tensor(Tensor::zeros([self.labels, self.labels], device)),
            start: self.boundaries.then(vector),
            end: self.boundaries.then(vector),
            config: self.clone(),
        })
    }
}

/// A linear-chain conditional random field.
///
/// ```text
/// score(y) = s[y_1] + f[y_T] + sum_t e_t[y_t] + sum_(t >= 2) A[y_(t-1)][y_t]
/// p(y) = exp(score(y)) / Z
/// ```
/// Chains may differ in length: positions from `lengths[n]` on do not exist, whatever stands there. A chain
/// of length 0 has one (empty) labelling, of probability 1.
///
/// NaN or infinity in the input comes out as NaN in that chain's value and gradient. A label out of range
/// makes the chain's value NaN and has no part in its gradient. A score of minus infinity is read as 41 nats
/// below the position's best. Other chains are not affected.
///
/// # Source
/// Lafferty, `McCallum`, Pereira 2001; scaling as in Rabiner 1989, with marginals normalised where they stand
/// (own derivation).
#[derive(Module, Debug)]
pub struct LinearChainCrf {
    /// Raw transition scores `[l, l]`, from label to label.
    pub transitions: Param<Tensor<2>>,
    /// Scores `[l]` of the first label, where boundaries count.
    pub start: Option<Param<Tensor<1>>>,
    /// Scores `[l]` of the last label, where boundaries count.
    pub end: Option<Param<Tensor<1>>>,
    #[module(skip)]
    config: LinearChainCrfConfig,
}

impl LinearChainCrf {
    /// The configuration that the layer was made from.
    pub fn config(&self) -> &LinearChainCrfConfig {
        &self.config
    }

    /// The implementation in use on `device`.
    ///
    /// # Errors
    /// [`CrfError::Unavailable`] where the configured one cannot run there.
    pub fn implementation(&self, device: &Device) -> Result<Implementation, CrfError> {
        op::implementation_for(device, self.config.implementation, self.config.labels)
    }

    /// The WGSL kernel that the mean likelihood of emissions `[n, t]` runs on `device`; `None` where no WGSL
    /// kernel runs.
    ///
    /// # Errors
    /// [`CrfError::Unavailable`] where the configured implementation cannot run there.
    pub fn kernel(
        &self,
        device: &Device,
        [n, t]: [usize; 2],
    ) -> Result<Option<WgslKernel>, CrfError> {
        let plan = self.plan(false, Evidence::Gold, Group::All, 1.0);
        Ok(match self.implementation(device)? {
            Implementation::Wgsl => op::kernel_in_use(device, &plan, [1, self.config.labels, n, t]),
            _ => None,
        })
    }

    /// The effective transition scores `[l, l]` in nats; [`FORBIDDEN`] where not allowed.
    pub fn effective_transitions(&self) -> Tensor<2> {
        let l = self.config.labels;
        let effective = config::bounded(self.transitions.val(), self.config.a_max);
        match &self.config.allowed {
            None => effective,
            Some(allowed) => {
                let forbidden: Vec<bool> =
                    allowed.iter().flatten().map(|&allowed| !allowed).collect();
                let forbidden =
                    Tensor::from_data(TensorData::new(forbidden, [l, l]), &effective.device());
                effective.mask_fill(forbidden, FORBIDDEN)
            }
        }
    }

    /// `-log p(labels)`.
    ///
    /// # Shapes
    /// - `emissions`: `[n, t, l]`, logits
    /// - `labels`: `[n, t]`, 0 to `l - 1`, or the configuration's `ignore_index`; anything past a chain's
    ///   length
    /// - `lengths`: `[n]`, 0 to `t`; `None`: all chains are `t` long
    /// - result: `[n]` or `[1]` as `reduction` says, nats
    ///
    /// # Panics
    /// On shapes that do not fit; the message names both.
    pub fn negative_log_likelihood(
        &self,
        emissions: Tensor<3>,
        labels: Tensor<2, Int>,
        lengths: Option<Tensor<1, Int>>,
        reduction: Reduction,
    ) -> Tensor<1> {
        let [n, t, _] = self.checked(&emissions, lengths.as_ref());
        op::checked_shape("labels", "[n, t] of the emissions", &[n, t], &labels.dims());
        let positions = match (&lengths, reduction) {
            (Some(lengths), Reduction::MeanPerPosition) => {
                Some(lengths.clone().clamp(0, t.to_i64()).sum().float())
            }
            _ => None,
        };
        let scale = match reduction {
            Reduction::None | Reduction::Sum => 1.0,
            Reduction::MeanPerChain => 1.0 / n.to_f32(),
            Reduction::MeanPerPosition if positions.is_some() => 1.0,
            Reduction::MeanPerPosition => 1.0 / (n * t).to_f32(),
        };
        let value = if self.in_use(&emissions.device()) == Implementation::Reference {
            let chains = self.reference(emissions, lengths);
            let nll = match self.config.ignore_index {
                Some(unknown) => chains.negative_log_likelihood_partial(labels, unknown),
                None => chains.negative_log_likelihood(labels),
            };
            if reduction == Reduction::None {
                nll
            } else {
                op::reference::blocked_sum(nll.reshape([1, n])).mul_scalar(scale)
            }
        } else {
            let group = if reduction == Reduction::None {
                Group::Chain
            } else {
                Group::All
            };
            let call = |emissions, labels, lengths, evidence| {
                self.call(emissions, Some(labels), lengths, evidence, group, scale)
                    .value()
            };
            match self.config.ignore_index {
                None => call(emissions, labels, lengths, Evidence::Gold),
                Some(unknown) => {
                    call(
                        emissions.clone(),
                        labels.clone(),
                        lengths.clone(),
                        Evidence::Free,
                    ) - call(emissions, labels, lengths, Evidence::Held { unknown })
                }
            }
        };
        match positions {
            Some(positions) => value / positions.clamp_min(1.0),
            None => value,
        }
    }

    /// `log Z`, differentiable: its gradient by emissions is the marginals.
    ///
    /// # Shapes
    /// - `emissions`: `[n, t, l]`, logits
    /// - `lengths`: `[n]` or `None`
    /// - result: `[n]`, nats
    ///
    /// # Panics
    /// On shapes that do not fit; the message names both.
    pub fn log_partition(
        &self,
        emissions: Tensor<3>,
        lengths: Option<Tensor<1, Int>>,
    ) -> Tensor<1> {
        self.checked(&emissions, lengths.as_ref());
        if self.in_use(&emissions.device()) == Implementation::Reference {
            return self.reference(emissions, lengths).log_partition();
        }
        self.call(
            emissions,
            None,
            lengths,
            Evidence::LogPartition,
            Group::Chain,
            1.0,
        )
        .value()
    }

    /// Posterior probability of every label at every position; zero past a chain's length. Not
    /// differentiable.
    ///
    /// # Shapes
    /// - `emissions`: `[n, t, l]`, logits
    /// - `lengths`: `[n]` or `None`
    /// - result: `[n, t, l]`, sums to 1 over `l`
    ///
    /// # Panics
    /// On shapes that do not fit; the message names both.
    pub fn marginals(&self, emissions: Tensor<3>, lengths: Option<Tensor<1, Int>>) -> Tensor<3> {
        let dims = self.checked(&emissions, lengths.as_ref());
        if self.in_use(&emissions.device()) == Implementation::Reference {
            return self
                .reference(emissions.detach(), lengths)
                .marginals()
                .0
                .detach();
        }
        let (_, unary, _) = self
            .call(emissions, None, lengths, Evidence::Free, Group::All, 1.0)
            .gradient();
        unary.swap_dims(1, 2).swap_dims(2, 3).reshape(dims) // [1, l, n, t] -> [n, t, l]
    }

    /// Posterior probability of every pair of neighbouring labels, differentiable; zero past a chain's
    /// length.
    ///
    /// Always computed by tensor operations: the table is `l` times as large as anything that a kernel keeps.
    /// The cost stands in `benches/RESULTS.md`.
    ///
    /// # Shapes
    /// - `emissions`: `[n, t, l]`, logits
    /// - `lengths`: `[n]` or `None`
    /// - result: `[n, t - 1, l, l]`, from the label at a position to the one after; sums to 1 over both
    ///
    /// # Panics
    /// On shapes that do not fit; the message names both.
    pub fn pairwise_marginals(
        &self,
        emissions: Tensor<3>,
        lengths: Option<Tensor<1, Int>>,
    ) -> Tensor<4> {
        self.checked(&emissions, lengths.as_ref());
        self.reference(emissions, lengths).marginals().1
    }

    /// Entropy of the labelling, differentiable.
    ///
    /// `H(y_1) + sum_t H(y_t, y_(t+1)) - H(y_t)`, equal to `log Z - E[score]` without its cancellation.
    /// Computed by tensor operations.
    ///
    /// # Shapes
    /// - `emissions`: `[n, t, l]`, logits
    /// - `lengths`: `[n]` or `None`
    /// - result: `[n]`, nats
    ///
    /// # Panics
    /// On shapes that do not fit; the message names both.
    pub fn entropy(&self, emissions: Tensor<3>, lengths: Option<Tensor<1, Int>>) -> Tensor<1> {
        self.checked(&emissions, lengths.as_ref());
        self.reference(emissions, lengths).entropy()
    }

    /// The best labelling of each chain and its score; equal scores go to the lowest label.
    ///
    /// # Shapes
    /// - `emissions`: `[n, t, l]`, logits
    /// - `lengths`: `[n]` or `None`
    /// - result: paths `[n, t]`, 0 past a chain's length; scores `[n]`, nats, unnormalised
    ///
    /// # Panics
    /// On shapes that do not fit; the message names both.
    pub fn viterbi(
        &self,
        emissions: Tensor<3>,
        lengths: Option<Tensor<1, Int>>,
    ) -> (Tensor<2, Int>, Tensor<1>) {
        let [n, t, _] = self.checked(&emissions, lengths.as_ref());
        let device = emissions.device();
        let used = self.in_use(&device);
        // The Viterbi kernel has one loop over the chain, and a software adapter's loops are short.
        let too_long =
            used == Implementation::Wgsl && t > config::LOOP_LENGTH_MAX && op::is_software(&device);
        if used == Implementation::Reference || too_long {
            let (paths, scores) = self.reference(emissions.detach(), lengths).viterbi();
            return (paths, scores.detach());
        }
        let (paths, scores) = self
            .call(emissions, None, lengths, Evidence::Free, Group::Chain, 1.0)
            .viterbi();
        (paths.reshape([n, t]), scores)
    }

    /// The most probable label of each position, from [`Self::marginals`]; equal ones go to the lowest label.
    ///
    /// # Shapes
    /// - `emissions`: `[n, t, l]`, logits
    /// - `lengths`: `[n]` or `None`
    /// - result: `[n, t]`, 0 past a chain's length
    ///
    /// # Panics
    /// On shapes that do not fit; the message names both.
    pub fn posterior_decode(
        &self,
        emissions: Tensor<3>,
        lengths: Option<Tensor<1, Int>>,
    ) -> Tensor<2, Int> {
        let [n, t, _] = self.checked(&emissions, lengths.as_ref());
        self.marginals(emissions, lengths).argmax(2).reshape([n, t])
    }

    /// One labelling of each chain, sampled from `p(y)`: the same for the same seed, on every device up to
    /// rounding.
    ///
    /// Forward filtering, backward sampling, by tensor operations.
    ///
    /// # Shapes
    /// - `emissions`: `[n, t, l]`, logits
    /// - `lengths`: `[n]` or `None`
    /// - result: `[n, t]`, 0 past a chain's length
    ///
    /// # Panics
    /// On shapes that do not fit; the message names both.
    pub fn sample(
        &self,
        emissions: Tensor<3>,
        lengths: Option<Tensor<1, Int>>,
        seed: u64,
    ) -> Tensor<2, Int> {
        let [n, t, _] = self.checked(&emissions, lengths.as_ref());
        let numbers = Numbers::new(seed, 0);
        let uniforms: Vec<f32> = (0..(n * t) as u64)
            .map(|step| numbers.uniform(step).to_f32())
            .collect();
        let uniforms = Tensor::from_data(TensorData::new(uniforms, [n, t]), &emissions.device());
        self.reference(emissions.detach(), lengths).sample(uniforms)
    }

    fn in_use(&self, device: &Device) -> Implementation {
        match self.implementation(device) {
            Ok(implementation) => implementation,
            Err(error) => panic!("{error}"),
        }
    }

    fn reference(&self, emissions: Tensor<3>, lengths: Option<Tensor<1, Int>>) -> Chains {
        Chains {
            emissions,
            transitions: self.effective_transitions(),
            lengths,
        }
        .with_boundaries(
            self.start.as_ref().map(Param::val),
            self.end.as_ref().map(Param::val),
        )
    }

    fn call(
        &self,
        emissions: Tensor<3>,
        labels: Option<Tensor<2, Int>>,
        lengths: Option<Tensor<1, Int>>,
        evidence: Evidence,
        group: Group,
        scale: f32,
    ) -> Call {
        let [n, t, l] = emissions.dims();
        let device = emissions.device();
        let mut potentials = vec![self.effective_transitions().reshape([1, l * l])];
        potentials.extend(
            [&self.start, &self.end]
                .into_iter()
                .flatten()
                .map(|scores| scores.val().reshape([1, l])),
        );
        Call {
            emissions: emissions
                .reshape([1, n, t, l])
                .swap_dims(2, 3)
                .swap_dims(1, 2), // [n, t, l] -> [1, l, n, t]
            labels: match labels {
                Some(labels) => labels.reshape([1, n, t]),
                // No kernel reads labels in this case: one element, expanded, is enough.
                None => Tensor::<3, Int>::zeros([1, 1, 1], &device).expand([1, n, t]),
            },
            potentials: Tensor::cat(potentials, 1),
            plan: self.plan(lengths.is_some(), evidence, group, scale),
            lengths,
        }
    }

    fn plan(&self, ragged: bool, evidence: Evidence, group: Group, scale: f32) -> Plan {
        Plan {
            directions: Directions::Rows,
            group,
            evidence,
            order: Order::Sequence,
            ragged,
            boundaries: self.config.boundaries,
            scale,
            kernel: self.config.kernel,
        }
    }

    fn checked(&self, emissions: &Tensor<3>, lengths: Option<&Tensor<1, Int>>) -> [usize; 3] {
        let dims = emissions.dims();
        let [n, t, l] = dims;
        if l != self.config.labels || n == 0 || t == 0 {
            let error = CrfError::Shape {
                what: "emissions",
                expected: format!("[n, t, {}], none of them 0", self.config.labels),
                got: dims.to_vec(),
            };
            panic!("{error}");
        }
        if let Some(lengths) = lengths {
            op::checked_shape("lengths", "[n] of the emissions", &[n], &lengths.dims());
        }
        dims
    }
}
