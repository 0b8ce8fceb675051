//! The grid CRF over a convolution's `[b, l, h, w]`: every row and every column is a chain, and the two
//! likelihoods are averaged.

use crate::number::Real;
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};

use crate::config::{self, Directions, Implementation, Transitions, WgslKernel};
use crate::error::CrfError;
use crate::op;
use crate::op::ops::Call;
use crate::op::plan::{Evidence, Group, Order, Plan};
use crate::op::reference::Chains;

/// Configuration of a [`GridCrf`].
#[derive(Config, Debug)]
pub struct GridCrfConfig {
    /// Number of labels `l`.
    pub labels: usize,
    /// Bound of the learned transition scores in nats, `A = a_max * tanh(raw / a_max)`; `None` leaves them
    /// free.
    #[config(default = "Some(1.0)")]
    pub a_max: Option<f32>,
    /// Rows, columns or both.
    #[config(default = "Directions::Both")]
    pub directions: Directions,
    /// Where the transition scores come from.
    #[config(default = "Transitions::Learned")]
    pub transitions: Transitions,
    /// Whether rows and columns share one transition matrix.
    #[config(default = false)]
    pub shared: bool,
    /// The label value of unlabelled patches: they are summed over, and the rest of the grid still counts.
    #[config(default = "None")]
    pub ignore_index: Option<i32>,
    /// Which implementation computes.
    #[config(default = "Implementation::Auto")]
    pub implementation: Implementation,
    /// Which WGSL kernel, on devices where those compute.
    #[config(default = "WgslKernel::Auto")]
    pub kernel: WgslKernel,
}

impl GridCrfConfig {
    /// Creates the layer on `device`, transitions at zero.
    ///
    /// # Panics
    /// Where [`Self::try_init`] would return an error.
    pub fn init(&self, device: &Device) -> GridCrf {
        match self.try_init(device) {
            Ok(crf) => crf,
            Err(error) => panic!("{error}"),
        }
    }

    /// Creates the layer on `device`, transitions at zero.
    ///
    /// # Errors
    /// A label count below 2 or above what the implementation takes, a bound that is not positive, or an
    /// implementation that the device cannot run.
    pub fn try_init(&self, device: &Device) -> Result<GridCrf, CrfError> {
        op::check_a_max(self.a_max)?;
        op::check_labels(self.labels)?;
        op::implementation_for(device, self.implementation, self.labels)?;
        let raw = || Param::from_tensor(Tensor::zeros([self.labels, self.labels], device));
        let learned = self.transitions == Transitions::Learned;
        let row = learned && (self.shared || self.directions != Directions::Columns);
        let column = learned && !self.shared && self.directions != Directions::Rows;
        Ok(GridCrf {
            row: row.then(raw),
            column: column.then(raw),
            config: self.clone(),
        })
    }
}

/// A conditional random field over the rows and columns of a grid of patches.
///
/// ```text
/// loss = 1/2 (sum over rows of NLL + sum over columns of NLL) / (h * w)        one value per picture
/// NLL(chain) = log Z - sum_t e_t[y_t] - sum_t A[y_(t-1)][y_t]
/// ```
/// With `A = 0` this is exactly the softmax cross-entropy averaged over patches. With learned `A` it bounds
/// the NLL of the grid CRF with edge scores `A / 2` from above.
///
/// # Source
/// Lafferty, `McCallum`, Pereira 2001 for the chain; Wainwright, Jaakkola, Willsky 2005 for the bound over
/// two forests.
#[derive(Module, Debug)]
pub struct GridCrf {
    /// Raw row transitions `[l, l]` (also the columns' where shared); `None` where nothing is learned.
    pub row: Option<Param<Tensor<2>>>,
    /// Raw column transitions `[l, l]`; `None` where shared or nothing is learned.
    pub column: Option<Param<Tensor<2>>>,
    #[module(skip)]
    config: GridCrfConfig,
}

impl GridCrf {
    /// The configuration that the layer was made from.
    pub fn config(&self) -> &GridCrfConfig {
        &self.config
    }

    /// The implementation in use on `device`.
    ///
    /// # Errors
    /// [`CrfError::Unavailable`] where the configured one cannot run there.
    pub fn implementation(&self, device: &Device) -> Result<Implementation, CrfError> {
        op::implementation_for(device, self.config.implementation, self.config.labels)
    }

    /// The WGSL kernel that likelihoods of grids `[b, h, w]` run on `device`; `None` where no WGSL kernel
    /// runs.
    ///
    /// # Errors
    /// [`CrfError::Unavailable`] where the configured implementation cannot run there.
    pub fn kernel(
        &self,
        device: &Device,
        [b, h, w]: [usize; 3],
    ) -> Result<Option<WgslKernel>, CrfError> {
        let dims = [b, self.config.labels, h, w];
        Ok(match self.implementation(device)? {
            Implementation::Wgsl => {
                op::kernel_in_use(device, &self.plan(Evidence::Gold, 1.0), dims)
            }
            _ => None,
        })
    }

    /// The effective transition scores of rows and of columns, in nats.
    ///
    /// # Shapes
    /// both: `[l, l]`, from label to label
    pub fn transitions(&self) -> (Tensor<2>, Tensor<2>) {
        let device = self
            .row
            .as_ref()
            .or(self.column.as_ref())
            .map(|raw| raw.val().device());
        let device = device.unwrap_or_else(Device::flex);
        self.transitions_on(&device)
    }

    fn transitions_on(&self, device: &Device) -> (Tensor<2>, Tensor<2>) {
        let labels = self.config.labels;
        if let Some(fixed) = self.config.transitions.fixed(labels, device) {
            return (fixed.clone(), fixed);
        }
        let effective = |raw: &Param<Tensor<2>>| config::bounded(raw.val(), self.config.a_max);
        match (&self.row, &self.column) {
            (Some(row), Some(column)) => (effective(row), effective(column)),
            (Some(only), None) | (None, Some(only)) => {
                let only = effective(only);
                (only.clone(), only)
            }
            (None, None) => (
                Tensor::zeros([labels, labels], device),
                Tensor::zeros([labels, labels], device),
            ),
        }
    }

    /// `-log p(labels)` per patch: half from rows, half from columns, divided by `h * w`.
    ///
    /// # Shapes
    /// - `emissions`: `[b, l, h, w]`, logits
    /// - `labels`: `[b, h, w]`, 0 to `l - 1`, or the configuration's `ignore_index`
    /// - result: `[b]`, nats per patch
    ///
    /// # Panics
    /// On shapes that do not fit; the message names both.
    pub fn negative_log_likelihood(
        &self,
        emissions: Tensor<4>,
        labels: Tensor<3, Int>,
    ) -> Tensor<1> {
        let [b, _, h, w] = self.checked(&emissions);
        op::checked_shape(
            "labels",
            "[b, h, w] of the emissions",
            &[b, h, w],
            &labels.dims(),
        );
        if self.in_use(&emissions.device()) == Implementation::Reference {
            return self.reference_nll(emissions, labels);
        }
        let call = |emissions, labels, evidence| {
            let scale = self.share() / (h * w).to_f32();
            self.call(emissions, labels, evidence, scale).value()
        };
        match self.config.ignore_index {
            None => call(emissions, labels, Evidence::Gold),
            Some(unknown) => {
                call(emissions.clone(), labels.clone(), Evidence::Free)
                    - call(emissions, labels, Evidence::Held { unknown })
            }
        }
    }

    /// What a direction counts: both together as much as one alone.
    fn share(&self) -> f32 {
        match self.config.directions {
            Directions::Both => 0.5,
            Directions::Rows | Directions::Columns => 1.0,
        }
    }

    fn in_use(&self, device: &Device) -> Implementation {
        match op::implementation_for(device, self.config.implementation, self.config.labels) {
            Ok(implementation) => implementation,
            Err(error) => panic!("{error}"),
        }
    }

    /// One call of the fused operation, one value per picture.
    fn call(
        &self,
        emissions: Tensor<4>,
        labels: Tensor<3, Int>,
        evidence: Evidence,
        scale: f32,
    ) -> Call {
        let device = emissions.device();
        let l = self.config.labels;
        let (row, column) = self.transitions_on(&device);
        let potentials: Vec<Tensor<2>> = match self.config.directions {
            Directions::Both => vec![row, column],
            Directions::Rows => vec![row],
            Directions::Columns => vec![column],
        };
        Call {
            emissions,
            labels,
            potentials: Tensor::cat(
                potentials
                    .into_iter()
                    .map(|a| a.reshape([1, l * l]))
                    .collect(),
                0,
            ),
            lengths: None,
            plan: self.plan(evidence, scale),
        }
    }

    fn plan(&self, evidence: Evidence, scale: f32) -> Plan {
        Plan {
            directions: self.config.directions,
            group: Group::Picture,
            evidence,
            order: Order::Grid,
            ragged: false,
            boundaries: false,
            scale,
            kernel: self.config.kernel,
        }
    }

    fn reference_nll(&self, emissions: Tensor<4>, labels: Tensor<3, Int>) -> Tensor<1> {
        let [b, _, h, w] = emissions.dims();
        let (row, column) = self.transitions_on(&emissions.device());
        let (rows, columns) = (
            self.config.directions != Directions::Columns,
            self.config.directions != Directions::Rows,
        );
        let scale = self.share() / (h * w).to_f32();
        let mut total: Option<Tensor<1>> = None;
        for (wanted, chains, labels) in [
            (
                rows,
                row_chains(emissions.clone(), row),
                labels.clone().reshape([b * h, w]),
            ),
            (
                columns,
                column_chains(emissions, column),
                labels.permute([0, 2, 1]).reshape([b * w, h]),
            ),
        ] {
            if !wanted {
                continue;
            }
            let nll = match self.config.ignore_index {
                Some(unknown) => chains.negative_log_likelihood_partial(labels, unknown),
                None => chains.negative_log_likelihood(labels),
            };
            let [n] = nll.dims();
            let a_picture = nll
                .reshape([b, n / b])
                .sum_dim(1)
                .reshape([b])
                .mul_scalar(scale);
            total = Some(match total {
                Some(total) => total + a_picture,
                None => a_picture,
            });
        }
        total.expect("a direction is always configured")
    }

    /// Posterior probability of every label of every patch: `1/2 (row + column)` marginals, or the one
    /// direction's.
    ///
    /// # Shapes
    /// - `emissions`: `[b, l, h, w]`, logits
    /// - result: `[b, l, h, w]`, sums to 1 over `l`
    ///
    /// # Panics
    /// On shapes that do not fit; the message names both.
    pub fn marginals(&self, emissions: Tensor<4>) -> Tensor<4> {
        let [b, l, h, w] = self.checked(&emissions);
        if self.in_use(&emissions.device()) != Implementation::Reference {
            // No kernel reads labels in this case: one element, expanded, is enough.
            let labels = Tensor::<3, Int>::zeros([1, 1, 1], &emissions.device()).expand([b, h, w]);
            let (_, unary, _) = self
                .call(emissions, labels, Evidence::Free, self.share())
                .gradient();
            return unary;
        }
        let (row, column) = self.transitions_on(&emissions.device());
        let rows = |emissions| {
            let (unary, _) = row_chains(emissions, row).marginals();
            unary.reshape([b, h, w, l]).swap_dims(2, 3).swap_dims(1, 2)
        };
        let columns = |emissions| {
            let (unary, _) = column_chains(emissions, column).marginals();
            unary.reshape([b, w, h, l]).swap_dims(1, 3)
        };
        match self.config.directions {
            Directions::Both => (rows(emissions.clone()) + columns(emissions)).mul_scalar(0.5),
            Directions::Rows => rows(emissions),
            Directions::Columns => columns(emissions),
        }
    }

    /// The most probable label of every patch, from [`Self::marginals`]; equal ones go to the lowest label.
    ///
    /// # Shapes
    /// - `emissions`: `[b, l, h, w]`, logits
    /// - result: `[b, h, w]`
    ///
    /// # Panics
    /// On shapes that do not fit; the message names both.
    pub fn posterior_decode(&self, emissions: Tensor<4>) -> Tensor<3, Int> {
        let [b, _, h, w] = self.checked(&emissions);
        self.marginals(emissions).argmax(1).reshape([b, h, w])
    }

    fn checked(&self, emissions: &Tensor<4>) -> [usize; 4] {
        let dims = emissions.dims();
        let [b, l, h, w] = dims;
        if l != self.config.labels || b == 0 || h == 0 || w == 0 {
            let error = CrfError::Shape {
                what: "emissions",
                expected: format!("[b, {}, h, w], none of them 0", self.config.labels),
                got: dims.to_vec(),
            };
            panic!("{error}");
        }
        dims
    }
}

fn row_chains(emissions: Tensor<4>, transitions: Tensor<2>) -> Chains {
    let [b, l, h, w] = emissions.dims();
    Chains {
        emissions: emissions
            .swap_dims(1, 2)
            .swap_dims(2, 3)
            .reshape([b * h, w, l]), // [b, l, h, w] -> [b*h, w, l]
        transitions,
        lengths: None,
    }
}

fn column_chains(emissions: Tensor<4>, transitions: Tensor<2>) -> Chains {
    let [b, l, h, w] = emissions.dims();
    Chains {
        emissions: emissions.swap_dims(1, 3).reshape([b * w, h, l]), // [b, l, h, w] -> [b*w, h, l]
        transitions,
        lengths: None,
    }
}
