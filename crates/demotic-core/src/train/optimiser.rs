//! Adam with its state by parameter name, clipping by the norm of all gradients together, the moving average,
//! and how rates and memory go with the steps.
//!
//! Burn's own optimiser keys its state by a number drawn at start and clips each tensor by itself; a run that
//! resumes exactly needs names. Where our kernels run ([`ops::has_wgsl`]) a network's weights, moments and
//! average lie in one buffer each, its parameters are views, and an update is a few launches instead of
//! several a parameter.

use std::collections::BTreeMap;

use crate::number::Real;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Gradients as Graph, Tensor, TensorData};

use crate::arrays::{Array, Arrays, array_of, update, values_of};
use crate::ops;
use crate::settings::{Schedule, TrainConfig};

/// Added to the root of the second moment.
const EPSILON: f64 = 1e-8;

/// Gradients of one network, in summands: a network that draws twice in a step draws the second time by its
/// [`twin`], and gradients of both are added up here, all parameters at once where that is faster. Those of
/// convolutions may come in runs along their first axis (`ops::conv`), which are added up on the way into the
/// flat buffer.
pub(crate) struct Gradients {
    summands: Vec<GradientsParams>,
}

impl Gradients {
    /// The gradients of a network and its twins.
    pub(crate) fn new<M: Module>(mut graph: Graph, networks: &[&M]) -> Self {
        let summands = networks.iter();
        Self {
            summands: summands
                .map(|network| GradientsParams::from_module(&mut graph, *network))
                .collect(),
        }
    }

    /// The sum of two, on the first one's device.
    pub(crate) fn added<M: Module>(self, other: Self, module: &M) -> Self {
        let mut others = other.summands.into_iter();
        let both = self.summands.into_iter().map(|own| match others.next() {
            Some(other) => sum_of_gradients(module, own, other),
            None => own,
        });
        let mut summands: Vec<_> = both.collect();
        summands.extend(others);
        Self { summands }
    }

    /// On another device, runs added up: there they may be cut otherwise. `along`: what goes there, too, and
    /// comes back in its order. From and to another machine all of it is one message: the other side waits
    /// for each by itself.
    pub(crate) fn moved_to<M: Module>(
        self,
        device: &Device,
        module: &M,
        along: Vec<Tensor<1>>,
    ) -> (Self, Vec<Tensor<1>>) {
        let summands = self.summands.into_iter();
        let summands = summands.map(|summand| whole_gradients(module, summand));
        let mut summands: Vec<GradientsParams> = summands.collect();
        let mut arrays: Vec<Tensor<1>> = Vec::new();
        if cfg!(feature = "remote") {
            for summand in &summands {
                arrays.extend(gradients_in_order(module, summand));
            }
        }
        let come_from = arrays.first().map(Tensor::device);
        let is_far = ops::is_far(device) || come_from.is_some_and(|device| ops::is_far(&device));
        if !is_far {
            let summands = summands.into_iter();
            let summands = summands.map(|summand| summand.to_device(device, module));
            let along = along.into_iter().map(|values| values.to_device(device));
            let moved = Self {
                summands: summands.collect(),
            };
            return (moved, along.collect());
        }
        arrays.extend(along);
        let mut arrived = sent(arrays, device).into_iter();
        for summand in &mut summands {
            put_gradients(module, summand, &mut arrived);
        }
        (Self { summands }, arrived.collect())
    }

    /// The sum, parameter by parameter.
    fn sum<M: Module>(self, module: &M) -> GradientsParams {
        let sum = |a, b| sum_of_gradients(module, a, b);
        let summands = self.summands.into_iter();
        summands.reduce(sum).unwrap_or_default()
    }
}

/// The same weights with a graph of their own: the gradients of what they do are apart from the network's.
pub(crate) fn twin<M: Module>(network: &M) -> M {
    struct Apart;
    impl ModuleMapper for Apart {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            update(param, |weight| weight)
        }
    }
    network.clone().map(&mut Apart)
}

/// Adam (Kingma and Ba 2015) for one network.
#[derive(Clone, Debug)]
pub(crate) struct Adam {
    beta_1: f64,
    beta_2: f64,
    /// Largest norm of all gradients together; 0 leaves them.
    norm_max: f32,
    steps: u64,
    /// First and second moment of each parameter, flat; none of those in `flat`.
    moments: BTreeMap<String, [Tensor<1>; 2]>,
    /// All in one, where that is faster.
    flat: Option<Flat>,
}

impl Adam {
    pub(crate) fn new(beta_1: f64, beta_2: f64, norm_max: f32) -> Self {
        Self {
            beta_1,
            beta_2,
            norm_max,
            steps: 0,
            moments: BTreeMap::new(),
            flat: None,
        }
    }

    /// One update; `rate` gives the step size of a parameter by its name. Also returns the gradients' norm
    /// `[1]`.
    ///
    /// `module`: what the last update returned, unless [`Self::restore`] came between.
    pub(crate) fn step<M: Module>(
        &mut self,
        module: M,
        gradients: Gradients,
        rate: impl Fn(&str) -> f64,
    ) -> (M, Tensor<1>) {
        self.steps += 1;
        if module.devices().first().is_some_and(ops::has_wgsl) {
            return self.flat_step(module, gradients, rate);
        }
        let mut gradients = gradients.sum(&module);
        let norm = gradient_norm(&module, &gradients);
        let factor = ops::clipping(&norm, self.norm_max);
        let mut apply = Apply {
            adam: self,
            gradients: &mut gradients,
            factor,
            rate,
            path: Vec::new(),
        };
        (module.map(&mut apply), norm)
    }

    /// Step size and epsilon at a rate: `rate * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)`, with
    /// both corrections moved to the scalars.
    fn corrected(&self, rate: f64) -> ops::AdamScalars {
        let (b1, b2) = (self.beta_1, self.beta_2);
        let time = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let correction = (1.0 - b2.powi(time)).sqrt();
        ops::AdamScalars {
            beta_1: b1.to_f32(),
            beta_2: b2.to_f32(),
            rate: (rate * correction / (1.0 - b1.powi(time))).to_f32(),
            epsilon: (EPSILON * correction).to_f32(),
        }
    }

    /// [`Self::step`] on all parameters at once.
    fn flat_step<M: Module>(
        &mut self,
        module: M,
        gradients: Gradients,
        rate: impl Fn(&str) -> f64,
    ) -> (M, Tensor<1>) {
        let mut summands = gradients.summands.into_iter();
        let mut first = summands.next().unwrap_or_default();
        let Collected {
            names,
            arrays: gradients,
            sizes,
        } = collect(&module, Pick::Gradients(&mut first));
        let layout = Layout::new(&names, &sizes);
        let zeros = |size: usize| Tensor::zeros([size], &gradients[0].device());
        if self.flat.as_ref().is_none_or(|flat| flat.layout != layout) {
            self.give_up_flat();
            let weights = collect(&module, Pick::Inside(&layout)).arrays;
            let moments = [0, 1].map(|which| {
                let of = names.iter().zip(&sizes);
                let of = of.map(|(name, size)| match self.moments.get(name) {
                    Some(both) => both[which].clone(),
                    None => zeros(*size),
                });
                layout.flat(&of.collect::<Vec<_>>())
            });
            for name in &names {
                self.moments.remove(name);
            }
            self.flat = Some(Flat {
                weights: layout.flat(&weights),
                moments,
                average: None,
                rates: None,
                layout,
            });
        }
        let scalars = self.corrected(rate(&names[0]));
        let mut flat = self.flat.take().expect("set above");
        let others = summands.map(|mut summand| {
            let of = collect(&module, Pick::Gradients(&mut summand));
            of.names.into_iter().zip(of.arrays).collect()
        });
        let gradient = flat.layout.sum(gradients, others.collect());
        let rates: Vec<f64> = names.iter().map(|name| rate(name)).collect();
        let relative = flat.relative_rates(&rates);
        let [first, second] = flat.moments;
        let before = [flat.weights, gradient, first, second];
        let [weights, first, second, norm] =
            ops::adam_clipped(before, relative, scalars, self.norm_max);
        let module = flat.layout.views(module, &weights, None);
        self.flat = Some(Flat {
            weights,
            moments: [first, second],
            ..flat
        });
        (module, norm)
    }

    /// Moments by name again.
    fn give_up_flat(&mut self) {
        let Some(flat) = self.flat.take() else { return };
        for (name, (start, size)) in &flat.layout.starts {
            let of = |moments: &Tensor<1>| ops::view(moments.clone(), *start, [*size]);
            self.moments
                .insert(name.clone(), flat.moments.each_ref().map(of));
        }
    }

    /// [`moving_average`] of the network that the last [`Self::step`] returned.
    pub(crate) fn average<M: Module>(&mut self, average: M, current: &M, decay: f64) -> M {
        let Some(flat) = &mut self.flat else {
            return moving_average(average, current, decay);
        };
        let old = flat.average.take().unwrap_or_else(|| {
            let arrays = collect(&average, Pick::Inside(&flat.layout)).arrays;
            flat.layout.flat(&arrays)
        });
        let share = 1.0 - decay;
        let new = ops::blend(old, flat.weights.clone(), share.to_f32());
        // The few that are not trained by gradients, by name.
        let others = collect(current, Pick::Outside(&flat.layout));
        let others = others.names.into_iter().zip(others.arrays).collect();
        let average = flat.layout.views(average, &new, Some((others, share)));
        flat.average = Some(new);
        average
    }

    /// State as named arrays; the step count is kept beside them.
    pub(crate) fn state(&self) -> (u64, Arrays) {
        let mut arrays = Arrays::new();
        for (name, [first, second]) in &self.moments {
            arrays.insert(format!("first.{name}"), array_of(first.clone()));
            arrays.insert(format!("second.{name}"), array_of(second.clone()));
        }
        if let Some(flat) = &self.flat {
            for (moment, values) in ["first", "second"].into_iter().zip(&flat.moments) {
                let values = values_of(values.clone());
                for (name, (start, size)) in &flat.layout.starts {
                    let array = Array {
                        shape: vec![*size],
                        values: values[*start..][..*size].to_vec(),
                    };
                    arrays.insert(format!("{moment}.{name}"), array);
                }
            }
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
        self.flat = None;
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

/// A network's state in one buffer each, by [`Layout`].
#[derive(Clone, Debug)]
struct Flat {
    layout: Layout,
    weights: Tensor<1>,
    moments: [Tensor<1>; 2],
    /// The moving average, once there is one.
    average: Option<Tensor<1>>,
    /// Rates over the first parameter's, and the same for every element; kept while they stay.
    rates: Option<(Vec<f64>, Tensor<1>)>,
}

impl Flat {
    /// What the elements' rates are over the first one's, `[n]`; none where all are alike. `rates`: in the
    /// layout's order.
    fn relative_rates(&mut self, rates: &[f64]) -> Option<Tensor<1>> {
        let first = rates[0];
        let relative: Vec<f64> = rates
            .iter()
            .map(|rate| if first == 0.0 { 0.0 } else { rate / first })
            .collect();
        if relative.iter().all(|rate| *rate == relative[0]) {
            return None;
        }
        // Both rates go with the schedule, so that their quotient wavers in its last digits.
        let is_same = |old: &[f64]| {
            old.iter()
                .zip(&relative)
                .all(|(a, b)| (a - b).abs() < 1e-9 * b.abs())
        };
        if !self.rates.as_ref().is_some_and(|(old, _)| is_same(old)) {
            let mut values = vec![0.0_f32; self.layout.length];
            for (name, rate) in self.layout.names.iter().zip(&relative) {
                let (start, size) = self.layout.starts[name];
                values[start..][..size].fill(rate.to_f32());
            }
            let data = TensorData::new(values, [self.layout.length]);
            let tensor = Tensor::from_data(data, &self.weights.device());
            self.rates = Some((relative, tensor));
        }
        self.rates.as_ref().map(|(_, tensor)| tensor.clone())
    }
}

/// Where the parameters of a network lie in a buffer.
#[derive(Clone, Debug, PartialEq)]
struct Layout {
    /// In the network's order.
    names: Vec<String>,
    /// Start and size of each.
    starts: BTreeMap<String, (usize, usize)>,
    length: usize,
}

impl Layout {
    fn new(names: &[String], sizes: &[usize]) -> Self {
        let mut length = 0;
        let mut starts = BTreeMap::new();
        for (name, size) in names.iter().zip(sizes) {
            starts.insert(name.clone(), (length, *size));
            length += ops::padded(*size);
        }
        Self {
            names: names.to_vec(),
            starts,
            length,
        }
    }

    /// Arrays in the layout's order, in one buffer; of one that comes in runs, their sum.
    fn flat(&self, arrays: &[Tensor<1>]) -> Tensor<1> {
        let first = arrays
            .first()
            .expect("a network that is trained has gradients");
        let flat = Tensor::empty([self.length], &first.device());
        let most = ops::gathered_at_once(&first.device());
        let runs = self.names.chunks(most);
        runs.zip(arrays.chunks(most))
            .fold(flat, |flat, (names, arrays)| {
                let places: Vec<(usize, usize)> =
                    names.iter().map(|name| self.starts[name]).collect();
                let sizes: Vec<usize> = places.iter().map(|(_, size)| *size).collect();
                ops::gather(flat, places[0].0, arrays.to_vec(), &sizes)
            })
    }

    /// The sum, in one buffer, of gradients in the layout's order and of others by name, which may lack some.
    fn sum(
        &self,
        gradients: Vec<Tensor<1>>,
        mut others: Vec<BTreeMap<String, Tensor<1>>>,
    ) -> Tensor<1> {
        let device = gradients[0].device();
        let sum = if ops::is_near_wgsl(&device) {
            let mut summands = Vec::new();
            let mut sizes = Vec::new();
            for (name, gradient) in self.names.iter().zip(gradients) {
                summands.push(Some(gradient));
                summands.extend(others.iter_mut().map(|arrays| arrays.remove(name)));
                sizes.push(self.starts[name].1);
            }
            let flat = Tensor::empty([self.length], &device);
            ops::gather_sums(flat, 0, summands, &sizes)
        } else {
            let mut sum = self.flat(&gradients);
            for arrays in &mut others {
                let zeros = |name: &String| Tensor::zeros([self.starts[name].1], &device);
                let all = self.names.iter();
                let all = all.map(|name| arrays.remove(name).unwrap_or_else(|| zeros(name)));
                sum = sum + self.flat(&all.collect::<Vec<_>>());
            }
            sum
        };
        let are_taken = others.iter().all(BTreeMap::is_empty);
        assert!(are_taken, "a twin learns what its network does");
        sum
    }

    /// The network with views of a buffer as its parameters. The others stay, or move towards the named
    /// values by a share.
    fn views<M: Module>(
        &self,
        module: M,
        flat: &Tensor<1>,
        others: Option<(BTreeMap<String, Tensor<1>>, f64)>,
    ) -> M {
        struct Views<'a> {
            layout: &'a Layout,
            flat: &'a Tensor<1>,
            others: Option<(BTreeMap<String, Tensor<1>>, f64)>,
            path: Vec<String>,
        }
        impl ModuleMapper for Views<'_> {
            fn enter_module(&mut self, name: &str, _container: &str) {
                self.path.push(name.to_owned());
            }
            fn exit_module(&mut self, _name: &str, _container: &str) {
                self.path.pop();
            }
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                let name = self.path.join(".");
                if let Some((start, _)) = self.layout.starts.get(&name) {
                    return update(param, |old| {
                        ops::view(self.flat.clone(), *start, old.dims())
                    });
                }
                let Some((others, share)) = &mut self.others else {
                    return param;
                };
                let current = others
                    .remove(&name)
                    .expect("both networks have the same parameters");
                update(param, |old| blended(old, current, *share))
            }
        }
        module.map(&mut Views {
            layout: self,
            flat,
            others,
            path: Vec::new(),
        })
    }
}

/// Which parameters [`collect`] takes, and what of them.
enum Pick<'a> {
    /// The gradients, of those that have one.
    Gradients(&'a mut GradientsParams),
    /// Values of those in the layout.
    Inside(&'a Layout),
    /// Values of the others.
    Outside(&'a Layout),
}

/// What [`collect`] found, in the network's order.
#[derive(Default)]
struct Collected {
    names: Vec<String>,
    /// Flat, outside any graph.
    arrays: Vec<Tensor<1>>,
    /// Elements of each parameter; its gradient may have several times as many, in runs.
    sizes: Vec<usize>,
}

/// Names, flat arrays and sizes of parameters.
fn collect<M: Module>(module: &M, pick: Pick<'_>) -> Collected {
    struct Collect<'a> {
        pick: Pick<'a>,
        path: Vec<String>,
        found: Collected,
    }
    impl ModuleVisitor for Collect<'_> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let name = self.path.join(".");
            let array = match &mut self.pick {
                Pick::Gradients(gradients) => gradients.remove::<D>(param.id).map(flat),
                Pick::Inside(layout) if layout.starts.contains_key(&name) => Some(value(param)),
                Pick::Outside(layout) if !layout.starts.contains_key(&name) => Some(value(param)),
                _ => None,
            };
            if let Some(array) = array {
                self.found.names.push(name);
                self.found.arrays.push(array);
                self.found.sizes.push(param.shape().num_elements());
            }
        }
    }
    let mut collect = Collect {
        pick,
        path: Vec::new(),
        found: Collected::default(),
    };
    module.visit(&mut collect);
    collect.found
}

fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let size = tensor.shape().num_elements();
    tensor.reshape([size])
}

/// A parameter's value outside any graph, flat.
fn value<const D: usize>(param: &Param<Tensor<D>>) -> Tensor<1> {
    let value = param.val();
    flat(if value.is_autodiff() {
        value.inner()
    } else {
        value
    })
}

/// `average + share * (current - average)`
fn blended<const D: usize>(average: Tensor<D>, current: Tensor<1>, share: f64) -> Tensor<D> {
    let current = current.reshape(average.dims());
    average.clone() + (current - average).mul_scalar(share)
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
fn sum_of_gradients<M: Module>(
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
                (Some(a), Some(b)) if a.dims() == b.dims() => a + b,
                // One of them in runs.
                (Some(a), Some(b)) => {
                    let shape = param.dims();
                    ops::whole(a, shape) + ops::whole(b, shape)
                }
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

/// Gradients of one network, runs added up.
fn whole_gradients<M: Module>(module: &M, mut gradients: GradientsParams) -> GradientsParams {
    struct Whole<'a>(&'a mut GradientsParams);
    impl ModuleVisitor for Whole<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.remove::<D>(param.id) {
                self.0
                    .register(param.id, ops::whole(gradient, param.dims()));
            }
        }
    }
    module.visit(&mut Whole(&mut gradients));
    gradients
}

/// Puts what arrived in the place of one network's gradients, as many as it has, in the order of its
/// parameters.
fn put_gradients<M: Module>(
    module: &M,
    gradients: &mut GradientsParams,
    arrived: &mut std::vec::IntoIter<Tensor<1>>,
) {
    struct Put<'a> {
        arrays: &'a mut std::vec::IntoIter<Tensor<1>>,
        gradients: &'a mut GradientsParams,
    }
    impl ModuleVisitor for Put<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.gradients.remove::<D>(param.id) {
                let arrived = self.arrays.next().expect("as many as were sent");
                self.gradients
                    .register(param.id, arrived.reshape(gradient.dims()));
            }
        }
    }
    module.visit(&mut Put {
        arrays: arrived,
        gradients,
    });
}

/// The gradients of one network, flat, in the order of its parameters.
fn gradients_in_order<M: Module>(module: &M, gradients: &GradientsParams) -> Vec<Tensor<1>> {
    struct Get<'a> {
        gradients: &'a GradientsParams,
        found: Vec<Tensor<1>>,
    }
    impl ModuleVisitor for Get<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.found
                .extend(self.gradients.get::<D>(param.id).map(flat));
        }
    }
    let mut get = Get {
        gradients,
        found: Vec::new(),
    };
    module.visit(&mut get);
    get.found
}

/// The same weights on another device, with a graph of their own.
pub(crate) fn replica<M: Module>(network: &M, device: &Device) -> M {
    struct Put(std::vec::IntoIter<Tensor<1>>);
    impl ModuleMapper for Put {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let arrived = self.0.next().expect("as many as were sent");
            update(param, |weight| arrived.reshape(weight.dims()))
        }
    }
    let autodiff = device.clone().autodiff();
    let is_far = ops::is_far(device) || network.devices().iter().any(ops::is_far);
    if !is_far {
        return network.clone().fork(&autodiff);
    }
    let arrived = sent(values_in_order(network), device).into_iter();
    network.clone().map(&mut Put(arrived)).fork(&autodiff)
}

/// A network's weights, flat, in the order of its parameters.
fn values_in_order<M: Module>(network: &M) -> Vec<Tensor<1>> {
    struct Get(Vec<Tensor<1>>);
    impl ModuleVisitor for Get {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(value(param));
        }
    }
    let mut get = Get(Vec::new());
    network.visit(&mut get);
    get.0
}

/// Arrays on another device, sent as one: each by itself would be a message to the other machine, and the way
/// back a wait.
fn sent(arrays: Vec<Tensor<1>>, device: &Device) -> Vec<Tensor<1>> {
    let sizes: Vec<usize> = arrays.iter().map(|array| array.dims()[0]).collect();
    let all = Tensor::cat(arrays, 0).to_device(device);
    let starts = sizes.iter().scan(0, |next, size| {
        let start = *next;
        *next += size;
        Some(start)
    });
    starts
        .zip(&sizes)
        .map(|(start, size)| all.clone().narrow(0, start, *size))
        .collect()
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
        let scalars = self.adam.corrected((self.rate)(&name));
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
    let step = step.to_f64();
    let warm = if t.warmup_steps == 0 {
        1.0
    } else {
        ((step + 1.0) / t.warmup_steps.to_f64()).min(1.0)
    };
    let progress = step / t.steps.to_f64();
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

/// Half-life of the moving average over the steps done, while that is the smaller one: an average of 200
/// steps would show the first weights for hundreds. 0.25 is an own choice.
const AVERAGE_RAMP: f64 = 0.25;

/// What the moving average keeps of itself in the update after `step` steps, for a half-life in steps.
///
/// # Source
/// `0.5^(1 / min(half_life, ramp * step))`: the ramp-up (`ema_rampup`, there 0.05) of the training loop of
/// Karras et al. 2020, *Training Generative Adversarial Networks with Limited Data*, counted in pictures.
pub(crate) fn average_decay(half_life_steps: f64, step: u64) -> f64 {
    let half_life = half_life_steps.min(AVERAGE_RAMP * step.to_f64());
    if half_life > 0.0 {
        0.5_f64.powf(1.0 / half_life)
    } else {
        0.0
    }
}

/// `average + (1 - decay) * (current - average)` of every parameter: the network that is scored and shipped.
pub(crate) fn moving_average<M: Module>(average: M, current: &M, decay: f64) -> M {
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
            update(param, |average| blended(average, current, self.share))
        }
    }
    average.map(&mut Blend {
        tensors: values_in_order(current).into_iter(),
        share: 1.0 - decay,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrays::weights_of;
    use crate::model::Init;
    use crate::number::Whole;

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
        two_updates(&Device::flex().autodiff());
    }

    /// Where our kernels run, all parameters are updated in one buffer.
    #[cfg(feature = "wgpu")]
    #[test]
    fn two_updates_on_an_adapter_are_those_of_the_textbook_the_first_clipped() {
        if crate::device::tested_adapters().is_empty() {
            eprintln!("skipped: no wgpu adapter");
            return;
        }
        let _turn = crate::train::turn();
        let device = crate::device::open("wgpu")
            .expect("an adapter opens")
            .device;
        two_updates(&device.autodiff());
    }

    fn two_updates(device: &Device) {
        let (b1, b2, norm_max) = (0.8, 0.95, 1.0);
        let rate_of = |name: &str| if name == "flat" { 0.1 } else { 0.01 };
        let mut network = Network::new(device, 3);
        let mut adam = Adam::new(b1, b2, norm_max);
        let mut expected = network.values();
        let mut average = Network::new(&device.clone().inner(), 3);
        let mut averaged = expected.clone();
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
            let flat = Tensor::<1>::from_data(slopes(0..3, &[3]), device);
            let square = Tensor::<2>::from_data(slopes(3..7, &[2, 2]), device);
            let loss = (network.flat.val() * flat).sum() + (network.square.val() * square).sum();
            let gradients = Gradients::new(loss.backward(), &[&network]);
            let (updated, norm) = adam.step(network, gradients, rate_of);
            network = updated;

            let wide = gradient.map(f64::from);
            let length = wide.iter().map(|g| g * g).sum::<f64>().sqrt();
            let got = f64::from(crate::arrays::values_of(norm)[0]);
            assert!((got - length).abs() < 1e-6 * length, "{got} {length}");
            assert_eq!(length > f64::from(norm_max), time == 0);
            let scale = (f64::from(norm_max) / length).min(1.0);
            let t = time.to_i32() + 1;
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
            average = adam.average(average, &network, 0.75);
            for ((got, averaged), now) in average.values().iter().zip(&mut averaged).zip(&expected)
            {
                *averaged += 0.25 * (now - *averaged);
                assert!((got - *averaged).abs() < 1e-6, "average {t}: {got}");
            }
            let (steps, state) = adam.state();
            assert_eq!(steps, t.to_u64());
            let moment = |name: &str| -> Vec<f64> {
                let arrays = ["flat", "square"].map(|of| &state[&format!("{name}.{of}")].values);
                let values = arrays.into_iter().flatten();
                values.map(|v| f64::from(*v)).collect()
            };
            for (got, expected) in [(moment("first"), first), (moment("second"), second)] {
                let mut pairs = got.iter().zip(expected);
                assert!(
                    pairs.all(|(a, b)| (a - b).abs() < 1e-6),
                    "{got:?} {expected:?}"
                );
            }
        }
    }
}
