//! The networks' kernels as work on a device, at the sizes of the recipes and beside the same by Burn's
//! tensor operations, each checked before it is timed: what `cargo bench --bench kernels` and
//! `demotic bench` share.

mod cases;

use std::hint::black_box;

use burn::tensor::{Device, Tensor, TensorData};

use crate::arrays::values_of;
use crate::number::Real;
use crate::ops;
use crate::rng::{Rng, Stream};

#[cfg(all(test, feature = "wgpu"))]
pub(crate) use cases::CONVOLUTIONS;
pub use cases::{blocks, kernels};

/// A function of flat leaves; its own parameters, if it has any, live on the device that it was made for.
type Block = Box<dyn Fn(&[Tensor<1>]) -> Tensor<4>>;

type Make = Box<dyn Fn(&Device, Impl) -> Block>;

/// One thing to time, on whatever device.
pub struct Case {
    /// First word of a label: what `shaders/README.md` says that a kernel is timed by.
    pub op: &'static str,
    /// Last word of a label: the sizes.
    pub name: String,
    /// Whether it is trained through, or only computed.
    has_gradient: bool,
    /// Whether Burn's own operations can do it, too.
    has_burn: bool,
    /// Whether it is there for our kernels alone.
    is_near: bool,
    /// Values of each leaf.
    leaves: Vec<usize>,
    /// Values that are read beside them, or written beside the result.
    constants: usize,
    /// Values of the result; 0 of a block of many kernels: how much they move is no measure of it.
    result: usize,
    /// Of the forward pass; 0 where they are no measure.
    multiply_adds: usize,
    make: Make,
    /// The same without the kink of a leaky ReLU behind a sum, where gradients are verified: a value next to
    /// 0 may fall on either side of it by the order of the sum.
    smooth: Option<Make>,
}

/// Whose kernels compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impl {
    /// Ours, as training uses them.
    Own,
    /// Burn's tensor operations.
    Burn,
}

impl Impl {
    /// Second word of a label.
    fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Burn => "burn",
        }
    }
}

/// What is timed of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// The values.
    Forward,
    /// Values and all gradients.
    Train,
}

impl Pass {
    /// Behind the first word of a label.
    fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Train => "train",
        }
    }
}

/// A case on a device, ready to be run.
pub struct Work {
    block: Block,
    leaves: Vec<Tensor<1>>,
    /// What the result is multiplied by to become a loss.
    up: Tensor<4>,
    pass: Pass,
    device: Device,
}

impl Case {
    fn new(
        op: &'static str,
        name: String,
        leaves: Vec<usize>,
        make: impl Fn(&Device, Impl) -> Block + 'static,
    ) -> Self {
        Self {
            op,
            name,
            has_gradient: true,
            has_burn: true,
            is_near: false,
            leaves,
            constants: 0,
            result: 0,
            multiply_adds: 0,
            make: Box::new(make),
            smooth: None,
        }
    }

    /// Who computes it on a device, and which passes it has; nothing where our kernels do not run and it is
    /// there for them alone.
    pub fn ways(&self, device: &Device) -> Vec<(Impl, Pass)> {
        if self.is_near && !ops::is_near_wgsl(device) {
            return Vec::new();
        }
        let by: &[Impl] = if self.has_burn {
            &[Impl::Own, Impl::Burn]
        } else {
            &[Impl::Own]
        };
        let passes: &[Pass] = if self.has_gradient {
            &[Pass::Forward, Pass::Train]
        } else {
            &[Pass::Forward]
        };
        let pairs = by
            .iter()
            .flat_map(|by| passes.iter().map(move |pass| (*by, *pass)));
        pairs.collect()
    }

    /// `op-pass/impl/device/case`
    pub fn label(&self, (by, pass): (Impl, Pass), device: &str) -> String {
        format!(
            "{}-{}/{}/{device}/{}",
            self.op,
            pass.name(),
            by.name(),
            self.name
        )
    }

    /// Multiply-adds of a pass: two gradients, each as much as the forward pass. 0 where they are no measure.
    pub fn multiply_adds(&self, pass: Pass) -> usize {
        match pass {
            Pass::Forward => self.multiply_adds,
            Pass::Train => 3 * self.multiply_adds,
        }
    }

    /// Bytes that a pass must move: it reads what it is given and writes its result; backward it reads the
    /// result's gradient and what was given once more, and writes a gradient a leaf. None of a block of many
    /// kernels.
    pub fn bytes(&self, pass: Pass) -> Option<usize> {
        let given: usize = self.leaves.iter().sum();
        let values = match pass {
            Pass::Forward => given + self.constants + self.result,
            Pass::Train => 3 * given + 2 * (self.constants + self.result),
        };
        (self.result > 0).then_some(values * size_of::<f32>())
    }

    fn leaves(&self, device: &Device) -> Vec<Tensor<1>> {
        let leaf = |(i, len): (u64, &usize)| {
            let values = Rng::new(1, Stream::TEST, i).normals(*len);
            Tensor::from_data(TensorData::new(values, [*len]), device)
        };
        (0..).zip(&self.leaves).map(leaf).collect()
    }

    /// Holds values and gradients against Burn's operations where it has them, against Flex on another
    /// device, else the gradient against differences of the case's own values.
    ///
    /// # Errors
    /// What is off, and by how much.
    pub fn verify(&self, device: &Device) -> Result<(), String> {
        if !self.has_gradient {
            let run = |by: Impl, device: &Device| {
                values_of((self.make)(device, by)(&self.leaves(device)))
            };
            let error = worst(&run(Impl::Own, device), &run(Impl::Burn, &Device::flex()))?;
            return within("values", error, 1e-5);
        }
        let (y, gradients) = self.outcome(Impl::Own, device);
        if !self.has_burn && ops::is_flex(device) {
            return self.verify_by_differences(device, &gradients[0]);
        }
        let reference = if self.has_burn { Impl::Burn } else { Impl::Own };
        let (expected, expected_gradients) = self.outcome(reference, &Device::flex());
        // f32 sums of up to a batch's pixels in another order.
        within("values", worst(&y, &expected)?, 1e-4)?;
        for (i, (got, want)) in gradients.iter().zip(&expected_gradients).enumerate() {
            within(&format!("gradient {i}"), worst(got, want)?, 5e-4)?;
        }
        Ok(())
    }

    /// Values and the gradient of every leaf.
    fn outcome(&self, by: Impl, device: &Device) -> (Vec<f32>, Vec<Vec<f32>>) {
        let device = device.clone().autodiff();
        let leaves = self.leaves(&device).into_iter();
        let leaves: Vec<_> = leaves.map(Tensor::require_grad).collect();
        let smooth = self.smooth.as_ref().unwrap_or(&self.make);
        let y = smooth(&device, by)(&leaves);
        let gradients = (y.clone() * upstream(&y, &device)).sum().backward();
        let of_leaves = leaves.iter().map(|leaf| {
            let gradient = leaf.grad(&gradients);
            values_of(gradient.expect("the loss depends on every leaf"))
        });
        let of_leaves = of_leaves.collect();
        let y = match &self.smooth {
            None => y,
            Some(_) => (self.make)(&device, by)(&leaves),
        };
        (values_of(y.inner()), of_leaves)
    }

    /// The gradient's component along itself against a difference of the loss.
    fn verify_by_differences(&self, device: &Device, gradient: &[f32]) -> Result<(), String> {
        let block = (self.make)(device, Impl::Own);
        let squares = gradient.iter().map(|g| f64::from(*g).powi(2));
        let norm = squares.sum::<f64>().sqrt();
        let direction = gradient.iter().map(|g| (f64::from(*g) / norm).to_f32());
        let direction: Vec<f32> = direction.collect();
        let data = TensorData::new(direction, [gradient.len()]);
        let direction = Tensor::<1>::from_data(data, device);
        let step = 0.05;
        let loss = |h: f64| -> f64 {
            let moved = self.leaves(device).remove(0) + direction.clone().mul_scalar(h);
            let y = block(&[moved]);
            let up = values_of(upstream(&y, device));
            let pairs = values_of(y).into_iter().zip(up);
            pairs.map(|(y, up)| f64::from(y) * f64::from(up)).sum()
        };
        let slope = (loss(step) - loss(-step)) / (2.0 * step);
        // Kinks of the leaky ReLU and the curvature over the step.
        if (slope - norm).abs() < 0.02 * norm {
            Ok(())
        } else {
            Err(format!("slope {slope}, gradient's norm {norm}"))
        }
    }
}

/// What the output is multiplied by to become a loss.
fn upstream(y: &Tensor<4>, device: &Device) -> Tensor<4> {
    let values = Rng::new(1, Stream::TEST, 99).normals(y.shape().num_elements());
    Tensor::from_data(TensorData::new(values, y.dims()), device)
}

/// Largest difference over the largest value.
fn worst(got: &[f32], want: &[f32]) -> Result<f32, String> {
    if got.len() != want.len() {
        return Err(format!("{} values, expected {}", got.len(), want.len()));
    }
    let scale = want.iter().fold(1e-12_f32, |max, v| max.max(v.abs()));
    let mut apart = got.iter().zip(want).map(|(a, b)| (a - b).abs());
    // `max` would swallow what is no number.
    let largest = apart.try_fold(0.0_f32, |max, d| (!d.is_nan()).then(|| max.max(d)));
    largest
        .map(|largest| largest / scale)
        .ok_or_else(|| "a value is no number".to_owned())
}

fn within(what: &str, error: f32, most: f32) -> Result<(), String> {
    if error < most {
        Ok(())
    } else {
        Err(format!("{what} off by {error:e} of the largest"))
    }
}

impl Work {
    /// Makes a case's tensors on a device, the same numbers on every one.
    ///
    /// # Panics
    /// Where the device is lost.
    pub fn new(case: &Case, (by, pass): (Impl, Pass), device: &Device) -> Self {
        let place = match pass {
            Pass::Forward => device.clone(),
            Pass::Train => device.clone().autodiff(),
        };
        let leaves = case.leaves(&place);
        let block = (case.make)(&place, by);
        let up = upstream(&block(&leaves), &place);
        device.sync().expect("the device finishes its work");
        Self {
            block,
            leaves,
            up,
            pass,
            device: device.clone(),
        }
    }

    /// Runs it once, to the device's end of it.
    ///
    /// # Panics
    /// Where the device is lost.
    pub fn run(&self) {
        let wait = || {
            let ended = self.device.sync();
            ended.expect("the device finishes its work");
        };
        // Held until then: what nobody holds may never be computed.
        match self.pass {
            Pass::Forward => {
                let held = (self.block)(&self.leaves);
                wait();
                black_box(held);
            }
            Pass::Train => {
                let leaves = self.leaves.iter();
                let leaves: Vec<_> = leaves
                    .map(|leaf| leaf.clone().detach().require_grad())
                    .collect();
                let loss = ((self.block)(&leaves) * self.up.clone()).sum();
                let held = loss.backward();
                wait();
                black_box(held);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn labels_are_one_a_row_and_say_what_is_timed() {
        let flex = Device::flex();
        let mut seen = BTreeSet::new();
        for case in kernels().iter().chain(&blocks()) {
            for way in case.ways(&flex) {
                let label = case.label(way, "flex");
                assert!(!label.contains(' '), "{label}");
                assert!(seen.insert(label.clone()), "{label} twice");
            }
        }
        for label in [
            "conv3x3-forward/own/flex/b8_48to48_16px",
            "conv3x3-train/burn/flex/b8_96to48_32px",
            "styles-train/own/flex/b8_48_16px",
            "adam-forward/own/flex/20736",
            "decoder-train/own/flex/b8_64px_six-styles",
        ] {
            assert!(seen.contains(label), "{label}: {seen:#?}");
        }
        // What is there for our kernels alone has no row on the processor.
        assert!(!seen.iter().any(|label| label.starts_with("gather")));
    }

    #[test]
    fn work_and_traffic_of_a_convolution_are_those_of_its_formula() {
        let flex = Device::flex();
        let all = kernels();
        let case = all.iter().find(|case| case.name == "b8_144to3_8px");
        let case = case.expect("the last layer of the quickstart's trunk");
        let products = 8 * 8 * 8 * 144 * 3;
        assert_eq!(case.multiply_adds(Pass::Forward), products);
        assert_eq!(case.multiply_adds(Pass::Train), 3 * products);
        let given = 8 * 144 * 64 + 144 * 3 + 3;
        let result = 8 * 3 * 64;
        for (pass, values) in [
            (Pass::Forward, given + result),
            (Pass::Train, 3 * given + 2 * result),
        ] {
            let work = Work::new(case, (Impl::Own, pass), &flex);
            work.run();
            assert_eq!(work.up.shape().num_elements(), result);
            assert_eq!(case.bytes(pass), Some(4 * values), "{pass:?}");
        }
        assert_eq!(case.verify(&flex), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_told_and_no_number_never_passes() {
        assert!(worst(&[1.0, f32::NAN], &[1.0, 2.0]).is_err());
        assert!(worst(&[1.0], &[1.0, 2.0]).is_err());
        assert_eq!(worst(&[1.0, 3.0], &[1.0, 2.0]), Ok(0.5));
        assert!(within("values", 1e-3, 1e-4).is_err_and(|what| what.contains("values off by")));
    }

    /// Each at one size is enough here: the benches check every row that they time, and the kernels' own
    /// tests compare them with float64 on the adapter.
    #[test]
    fn one_size_of_every_kernel_is_right_on_the_processor() {
        let flex = Device::flex();
        let mut all = kernels();
        all.sort_by_key(|case| case.leaves.iter().sum::<usize>());
        let mut seen = BTreeSet::new();
        for case in all {
            if !case.ways(&flex).is_empty() && seen.insert(case.op) {
                assert_eq!(case.verify(&flex), Ok(()), "{} {}", case.op, case.name);
                let work = Work::new(&case, (Impl::Own, Pass::Forward), &flex);
                let result = work.up.shape().num_elements();
                assert_eq!(case.result, result, "{} {}", case.op, case.name);
            }
        }
        assert!(seen.len() > 15, "{seen:?}");
    }
}
