//! Adam with its state by parameter name, clipping by the norm of all gradients together, the moving average, and how
//! rates and memory go with the steps.
//!
//! Burn's own optimiser keys its state by a number drawn at start and clips each tensor by itself; a run that resumes
//! exactly needs names.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};

use super::weights::{Array, Arrays, array_of, update};
use crate::config::{Schedule, TrainConfig};
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

/// Rates at a step over the configured ones: warm-up, constant, fall to 1 %.
pub(crate) fn scheduled_rate(t: &TrainConfig, step: u64) -> f64 {
    let step = step as f64;
    let warm = if t.warmup_steps == 0 {
        1.0
    } else {
        ((step + 1.0) / t.warmup_steps as f64).min(1.0)
    };
    let progress = step / t.steps as f64;
    let fall = if progress <= t.decay_from || t.decay_from >= 1.0 {
        1.0
    } else {
        let gone = ((progress - t.decay_from) / (1.0 - t.decay_from)).min(1.0);
        match t.schedule {
            Schedule::Linear => 1.0 - 0.99 * gone,
            Schedule::Cosine => 1.0 - 0.99 * (0.5 - 0.5 * (std::f64::consts::PI * gone).cos()),
            Schedule::Constant => 1.0,
        }
    };
    warm * fall
}

/// Half-life of the moving average over the steps done, while that is the smaller one: an average of 200 steps would show
/// the first weights for hundreds. 0.25 is an own choice.
const AVERAGE_RAMP: f64 = 0.25;

/// What the moving average keeps of itself in the update after `step` steps, for a half-life in steps.
///
/// # Source
/// `0.5^(1 / min(half_life, ramp * step))`: the ramp-up (`ema_rampup`, there 0.05) of the training loop of Karras et al. 2020,
/// *Training Generative Adversarial Networks with Limited Data*, counted in pictures.
pub(crate) fn average_decay(half_life_steps: f64, step: u64) -> f64 {
    let half_life = half_life_steps.min(AVERAGE_RAMP * step as f64);
    if half_life > 0.0 {
        0.5_f64.powf(1.0 / half_life)
    } else {
        0.0
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Init;
    use crate::train::weights_of;

    #[derive(Module, Debug)]
    struct Network {
        flat: Param<Tensor<1>>,
        square: Param<Tensor<2>>,
    }

    impl Network {
        fn new(device: &Device, seed: u64) -> Self {
            let mut init = Init::new(seed, 0, device);
            Self {
                flat: init.normal([3], 1.0),
                square: init.normal([2, 2], 1.0),
            }
        }

        /// All values, `flat` first.
        fn values(&self) -> Vec<f64> {
            let arrays = weights_of(self);
            let values = arrays.values().flat_map(|array| &array.values);
            values.map(|value| f64::from(*value)).collect()
        }
    }

    #[test]
    fn rates_rise_stay_and_fall_to_a_hundredth() {
        let mut t = TrainConfig {
            steps: 100,
            warmup_steps: 4,
            decay_from: 0.5,
            ..TrainConfig::default()
        };
        for (schedule, expected) in [
            (Schedule::Linear, [0.25, 1.0, 1.0, 0.802, 0.01]),
            // 1 - 0.99 (1 - cos(pi / 5)) / 2
            (Schedule::Cosine, [0.25, 1.0, 1.0, 0.905_463_4, 0.01]),
            (Schedule::Constant, [0.25, 1.0, 1.0, 1.0, 1.0]),
        ] {
            t.schedule = schedule;
            for (step, expected) in [0, 3, 50, 60, 100].into_iter().zip(expected) {
                let got = scheduled_rate(&t, step);
                assert!(
                    (got - expected).abs() < 1e-7,
                    "{schedule:?} at {step}: {got}, expected {expected}"
                );
            }
        }
    }

    #[test]
    fn the_average_forgets_half_in_a_half_life_which_grows_with_the_steps() {
        let device = Device::flex();
        let current = Network::new(&device.clone().autodiff(), 2);
        let first = Network::new(&device, 1);
        let start = first.values();
        let decay = average_decay(5.0, 1000);
        let average = (0..5).fold(first, |average, _| moving_average(average, &current, decay));
        for ((got, start), end) in average.values().iter().zip(start).zip(current.values()) {
            assert!((got - f64::midpoint(start, end)).abs() < 1e-6);
        }
        // Eight steps in, a quarter of them is the half-life; before the first there is nothing to keep.
        assert!((average_decay(5.0, 8) - 0.5_f64.sqrt()).abs() < 1e-12);
        assert_eq!(average_decay(5.0, 0), 0.0);
    }

    #[test]
    fn two_updates_are_those_of_the_textbook_the_first_clipped() {
        let device = Device::flex().autodiff();
        let (b1, b2, norm_max) = (0.8, 0.95, 1.0);
        let rate_of = |name: &str| if name == "flat" { 0.1 } else { 0.01 };
        let mut network = Network::new(&device, 3);
        let mut adam = Adam::new(b1, b2, norm_max);
        let mut expected = network.values();
        let (mut first, mut second) = ([0.0; 7], [0.0; 7]);
        for (time, gradient) in [
            [3.0_f32, -4.0, 0.0, 1.0, 2.0, -2.0, 0.5],
            [-0.1, -0.2, 0.3, 0.0, -0.3, 0.2, 0.1],
        ]
        .into_iter()
        .enumerate()
        {
            let slopes = |range: std::ops::Range<usize>, shape: &[usize]| {
                TensorData::new(gradient[range].to_vec(), shape.to_vec())
            };
            let flat = Tensor::<1>::from_data(slopes(0..3, &[3]), &device);
            let square = Tensor::<2>::from_data(slopes(3..7, &[2, 2]), &device);
            let loss = (network.flat.val() * flat).sum() + (network.square.val() * square).sum();
            let gradients = GradientsParams::from_module(&mut loss.backward(), &network);
            let (updated, norm) = adam.step(network, gradients, rate_of);
            network = updated;

            let wide = gradient.map(f64::from);
            let length = wide.iter().map(|g| g * g).sum::<f64>().sqrt();
            let got = f64::from(crate::train::values_of(norm)[0]);
            assert!((got - length).abs() < 1e-6 * length, "{got} {length}");
            assert_eq!(length > f64::from(norm_max), time == 0);
            let scale = (f64::from(norm_max) / length).min(1.0);
            let t = time as i32 + 1;
            for i in 0..7 {
                let g = wide[i] * scale;
                first[i] = b1 * first[i] + (1.0 - b1) * g;
                second[i] = b2 * second[i] + (1.0 - b2) * g * g;
                let mean = first[i] / (1.0 - b1.powi(t));
                let spread = (second[i] / (1.0 - b2.powi(t))).sqrt();
                let rate = rate_of(if i < 3 { "flat" } else { "square" });
                expected[i] -= rate * mean / (spread + EPSILON);
            }
            for (got, expected) in network.values().iter().zip(&expected) {
                assert!(
                    (got - expected).abs() < 1e-6,
                    "update {t}: {got}, expected {expected}"
                );
            }
        }
    }
}
