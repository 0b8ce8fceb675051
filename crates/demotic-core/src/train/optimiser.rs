//! Adam with its state by parameter name, clipping by the norm of all gradients together, and the moving average.
//!
//! Burn's own optimiser keys its state by a number drawn at start and clips each tensor by itself; a run that resumes
//! exactly needs names.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};

use super::weights::{Array, Arrays, array_of, update};
use crate::ops;

/// Added to the root of the second moment.
const EPSILON: f64 = 1e-8;

/// Adam (Kingma and Ba 2015) for one network.
#[derive(Clone, Debug)]
pub(crate) struct Adam {
    beta_1: f64,
    beta_2: f64,
    /// Largest norm of all gradients together; 0 leaves them.
    norm_max: f32,
    steps: u64,
    /// First and second moment of each parameter, flat.
    moments: BTreeMap<String, [Tensor<1>; 2]>,
}

impl Adam {
    pub(crate) fn new(beta_1: f64, beta_2: f64, norm_max: f32) -> Self {
        Self {
            beta_1,
            beta_2,
            norm_max,
            steps: 0,
            moments: BTreeMap::new(),
        }
    }

    /// One update; `rate` gives the step size of a parameter by its name. Also returns the gradients' norm `[1]`.
    pub(crate) fn step<M: Module>(
        &mut self,
        module: M,
        mut gradients: GradientsParams,
        rate: impl Fn(&str) -> f64,
    ) -> (M, Tensor<1>) {
        self.steps += 1;
        let norm = gradient_norm(&module, &gradients);
        let factor = (self.norm_max > 0.0).then(|| {
            (norm.clone() + 1e-12)
                .recip()
                .mul_scalar(self.norm_max)
                .clamp_max(1.0)
        });
        let mut apply = Apply {
            adam: self,
            gradients: &mut gradients,
            factor,
            rate,
            path: Vec::new(),
        };
        (module.map(&mut apply), norm)
    }

    /// State as named arrays; the step count is kept beside them.
    pub(crate) fn state(&self) -> (u64, Arrays) {
        let mut arrays = Arrays::new();
        for (name, [first, second]) in &self.moments {
            arrays.insert(format!("first.{name}"), array_of(first.clone()));
            arrays.insert(format!("second.{name}"), array_of(second.clone()));
        }
        (self.steps, arrays)
    }

    /// Takes a state back, for the parameters named by `weights`.
    pub(crate) fn restore(
        &mut self,
        steps: u64,
        mut arrays: Arrays,
        weights: &Arrays,
        device: &Device,
    ) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        self.moments.clear();
        self.steps = steps;
        if arrays.is_empty() && steps == 0 {
            return Ok(());
        }
        for (name, weight) in weights {
            let mut take = |moment: &str| {
                let found = arrays.remove(&format!("{moment}.{name}"));
                match found {
                    Some(Array { values, .. }) if values.len() == weight.values.len() => {
                        let len = values.len();
                        Some(Tensor::from_data(TensorData::new(values, [len]), device))
                    }
                    Some(array) => {
                        problems.push(format!(
                            "`{moment}.{name}` has {} values, expected {}",
                            array.values.len(),
                            weight.values.len()
                        ));
                        None
                    }
                    None => {
                        problems.push(format!("`{moment}.{name}` is missing"));
                        None
                    }
                }
            };
            if let Some(both) = take("first").zip(take("second")) {
                self.moments.insert(name.clone(), both.into());
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }
}

/// `sqrt(sum g^2)` over all gradients of a network: `[1]`, on the device.
fn gradient_norm<M: Module>(module: &M, gradients: &GradientsParams) -> Tensor<1> {
    struct Squares<'a> {
        gradients: &'a GradientsParams,
        sum: Option<Tensor<1>>,
    }
    impl ModuleVisitor for Squares<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.gradients.get::<D>(param.id) {
                let square = gradient.square().sum();
                self.sum = Some(match self.sum.take() {
                    Some(sum) => sum + square,
                    None => square,
                });
            }
        }
    }
    let mut squares = Squares {
        gradients,
        sum: None,
    };
    module.visit(&mut squares);
    squares
        .sum
        .expect("a network that is trained has gradients")
        .sqrt()
}

/// The sum of two sets of gradients of one network, on the first one's device.
pub(crate) fn sum_of_gradients<M: Module>(
    module: &M,
    mut a: GradientsParams,
    mut b: GradientsParams,
) -> GradientsParams {
    struct Add<'a> {
        a: &'a mut GradientsParams,
        b: &'a mut GradientsParams,
    }
    impl ModuleVisitor for Add<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let sum = match (self.a.remove::<D>(param.id), self.b.remove::<D>(param.id)) {
                (Some(a), Some(b)) => a + b,
                (Some(only), None) | (None, Some(only)) => only,
                (None, None) => return,
            };
            self.a.register(param.id, sum);
        }
    }
    module.visit(&mut Add {
        a: &mut a,
        b: &mut b,
    });
    a
}

struct Apply<'a, F> {
    adam: &'a mut Adam,
    gradients: &'a mut GradientsParams,
    factor: Option<Tensor<1>>,
    rate: F,
    path: Vec<String>,
}

impl<F: Fn(&str) -> f64> ModuleMapper for Apply<'_, F> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else {
            return param;
        };
        let name = self.path.join(".");
        let (b1, b2) = (self.adam.beta_1, self.adam.beta_2);
        let time = i32::try_from(self.adam.steps).unwrap_or(i32::MAX);
        let correction = (1.0 - b2.powi(time)).sqrt();
        // rate * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon), with both corrections moved to the scalars
        let rate = (self.rate)(&name) * correction / (1.0 - b1.powi(time));
        let epsilon = EPSILON * correction;
        let len = gradient.shape().num_elements();
        let mut gradient = gradient.reshape([len]);
        if let Some(factor) = &self.factor {
            gradient = gradient * factor.clone();
        }
        let [first, second] = self
            .adam
            .moments
            .remove(&name)
            .unwrap_or_else(|| [gradient.zeros_like(), gradient.zeros_like()]);
        let mut moments = None;
        let param = update(param, |weight| {
            let shape = weight.dims();
            let scalars = ops::AdamScalars {
                beta_1: b1 as f32,
                beta_2: b2 as f32,
                rate: rate as f32,
                epsilon: epsilon as f32,
            };
            let [weight, first, second] =
                ops::adam(weight.reshape([len]), gradient, first, second, scalars);
            moments = Some([first, second]);
            weight.reshape(shape)
        });
        if let Some(moments) = moments {
            self.adam.moments.insert(name, moments);
        }
        param
    }
}

/// `average + (1 - decay) * (current - average)` of every parameter: the network that is judged and shipped.
pub(crate) fn moving_average<M: Module>(average: M, current: &M, decay: f64) -> M {
    struct Collect {
        tensors: Vec<Tensor<1>>,
    }
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let value = param.val();
            let value = if value.is_autodiff() {
                value.inner()
            } else {
                value
            };
            let len = value.shape().num_elements();
            self.tensors.push(value.reshape([len]));
        }
    }
    struct Blend {
        tensors: std::vec::IntoIter<Tensor<1>>,
        share: f64,
    }
    impl ModuleMapper for Blend {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let current = self
                .tensors
                .next()
                .expect("both networks have the same parameters");
            update(param, |average| {
                let current = current.reshape(average.dims());
                average.clone() + (current - average).mul_scalar(self.share)
            })
        }
    }
    let mut collect = Collect {
        tensors: Vec::new(),
    };
    current.visit(&mut collect);
    average.map(&mut Blend {
        tensors: collect.tensors.into_iter(),
        share: 1.0 - decay,
    })
}
