//! The speed tables as work on a device, ready to be checked and timed: what `cargo bench --bench crf` and
//! `demotic bench` share.

use std::hint::black_box;
#[cfg(feature = "wgpu")]
use std::sync::OnceLock;
use std::time::Instant;

use crate::number::Real;
use burn::module::Param;
#[cfg(feature = "wgpu")]
use burn::tensor::DeviceKind;
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::cases::{Case, GRIDS, Numbers, SPEED};
use crate::chain::{LinearChainCrf, LinearChainCrfConfig, Reduction};
use crate::config::{Implementation, WgslKernel};
use crate::grid::{GridCrf, GridCrfConfig};
use crate::op::implementation_in_use;

/// A row of the tables: loss and all gradients at one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Work on chains.
    Chains(Case),
    /// Work on grids `[b, l, h, w]`.
    Grid([usize; 4]),
}

/// What computes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Second word of a label: the implementation's name, or the kernel's where one is asked for.
    pub name: &'static str,
    /// The implementation asked for.
    pub implementation: Implementation,
    /// The kernel asked for.
    pub kernel: WgslKernel,
}

/// A task on a device.
pub struct Workload {
    layer: Layer,
    device: Device,
}

enum Layer {
    Chains {
        crf: LinearChainCrf,
        emissions: Tensor<3>,
        labels: Tensor<2, Int>,
    },
    Grid {
        crf: GridCrf,
        emissions: Tensor<4>,
        labels: Tensor<3, Int>,
    },
}

/// The gradient by the emissions.
enum Gradient {
    Chains(Tensor<3>),
    Grid(Tensor<4>),
}

/// What a call gives, on the device.
struct Computed {
    /// Summed over chains, or mean over grids.
    loss: Tensor<1>,
    emissions: Gradient,
    /// Gradients of the raw transition scores: one of chains, rows' and columns' of grids.
    transitions: Vec<Tensor<2>>,
}

/// What a device computed, on the host.
struct Read {
    loss: f32,
    emissions: Vec<f32>,
    transitions: Vec<f32>,
}

/// Every row, chains first.
pub fn tasks() -> impl Iterator<Item = Task> {
    let chains = SPEED.into_iter().map(Task::Chains);
    chains.chain(GRIDS.into_iter().map(Task::Grid))
}

/// What computes on a device: the loop and the reference on Flex, each WGSL kernel where there are kernels,
/// else the reference.
pub fn ways(device: &Device) -> Vec<Way> {
    let way = |name, implementation, kernel| Way {
        name,
        implementation,
        kernel,
    };
    let reference = way("reference", Implementation::Reference, WgslKernel::Auto);
    let runs = |implementation| implementation_in_use(device, implementation).is_ok();
    if runs(Implementation::Cpu) {
        vec![way("cpu", Implementation::Cpu, WgslKernel::Auto), reference]
    } else if runs(Implementation::Wgsl) {
        let kernels =
            WgslKernel::ALL.map(|kernel| way(kernel.name(), Implementation::Wgsl, kernel));
        let automatic = way("wgsl", Implementation::Wgsl, WgslKernel::Auto);
        core::iter::once(automatic).chain(kernels).collect()
    } else {
        vec![reference]
    }
}

/// The adapter that tests run on: the software one, or else the default one; `None`, with a line on standard
/// error, where there is none.
///
/// # Panics
/// Where there is none although `DEMOTIC_REQUIRE_ADAPTER=1` says that there must be.
#[cfg(feature = "wgpu")]
pub fn test_adapter() -> Option<Device> {
    static FOUND: OnceLock<Option<Device>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        [DeviceKind::Cpu, DeviceKind::DefaultDevice]
            .into_iter()
            .find_map(|kind| Device::wgpu_options().device_kind(kind).init().ok())
    });
    let required = std::env::var("DEMOTIC_REQUIRE_ADAPTER").is_ok_and(|value| value == "1");
    assert!(
        found.is_some() || !required,
        "no wgpu adapter, and DEMOTIC_REQUIRE_ADAPTER=1 asks for one"
    );
    if found.is_none() {
        eprintln!("skipped: no wgpu adapter");
    }
    found.clone()
}

/// None: a build without `wgpu` has no adapters.
#[cfg(not(feature = "wgpu"))]
pub fn test_adapter() -> Option<Device> {
    None
}

/// Bytes a second of one element-wise pass over 128 MiB that lie in the device's memory already, out of reach
/// of most caches, reads and writes counted: what a perfect kernel could move.
///
/// # Panics
/// Where the device is lost.
pub fn copy_bytes_per_sec(device: &Device) -> f64 {
    const LEN: usize = 32 << 20; // 128 MiB, the most that many drivers let a kernel see at once
    let mut tensor = Tensor::<1>::ones([LEN], device);
    let mut best = f64::INFINITY;
    for _ in 0..8 {
        device.sync().expect("the device is alive");
        let start = Instant::now();
        tensor = tensor.add_scalar(1.0); // nobody else holds it: in place
        device.sync().expect("the device is alive");
        best = best.min(start.elapsed().as_secs_f64());
    }
    black_box(tensor);
    (2 * size_of::<f32>() * LEN).to_f64() / best
}

impl Task {
    /// First word of a label.
    pub fn op(&self) -> &'static str {
        match self {
            Self::Chains(_) => "crf",
            Self::Grid(_) => "crf_grid",
        }
    }

    /// Last word of a label: `T16_B1024_L8`, `B8_8x8_L3`.
    pub fn name(&self) -> String {
        match self {
            Self::Chains(case) => case.name(),
            Self::Grid([b, l, h, w]) => format!("B{b}_{h}x{w}_L{l}"),
        }
    }

    /// Positions of the longest chains.
    fn length(&self) -> usize {
        match self {
            Self::Chains(case) => case.length,
            Self::Grid([_, _, h, w]) => *h.max(w),
        }
    }

    /// Compulsory traffic of loss and gradient.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Chains(case) => case.bytes(),
            // Emissions read, gradient written, one label byte per patch.
            Self::Grid([b, l, h, w]) => (8 * l + 1) * b * h * w,
        }
    }

    /// Multiply-adds of loss and gradient.
    pub fn fmas(&self) -> usize {
        match self {
            Self::Chains(case) => case.fmas(),
            // Forward, backward and pair sums, in rows and in columns.
            Self::Grid([b, l, h, w]) => 2 * 3 * l * l * b * h * w,
        }
    }

    /// Whether this is timed that way: a kernel that is asked for has to be the one that runs.
    pub fn is_timed(&self, way: Way, device: &Device) -> bool {
        match (self, way.implementation, way.kernel) {
            // It takes a handful of small operations per position: seconds at this length.
            (Self::Chains(case), Implementation::Reference, _) => case.length <= 64,
            (_, _, WgslKernel::Auto) => true,
            // Its passes cost l times the work: for long chains only.
            (_, _, WgslKernel::Scan) => self.length() >= 1024,
            (Self::Chains(case), _, asked) => {
                let crf = case.layer(way, device);
                crf.kernel(device, [case.chains, case.length]) == Ok(Some(asked))
            }
            (Self::Grid(dims @ [b, _, h, w]), _, asked) => {
                grid_layer(*dims, way, device).kernel(device, [*b, *h, *w]) == Ok(Some(asked))
            }
        }
    }
}

impl Case {
    fn layer(&self, way: Way, device: &Device) -> LinearChainCrf {
        LinearChainCrfConfig::new(self.labels)
            .with_implementation(way.implementation)
            .with_kernel(way.kernel)
            .init(device)
    }
}

fn grid_layer([_, l, _, _]: [usize; 4], way: Way, device: &Device) -> GridCrf {
    GridCrfConfig::new(l)
        .with_implementation(way.implementation)
        .with_kernel(way.kernel)
        .init(device)
}

impl Workload {
    /// Fills a task's tensors, the same numbers on every device.
    pub fn new(task: Task, way: Way, device: &Device) -> Self {
        let device = device.clone().autodiff();
        // At zero, as a layer begins, a kernel that left them out would be right.
        let transitions = |stream, labels: usize| {
            let values = Numbers::new(1, stream).normals(labels * labels, 1.0);
            let values = TensorData::new(values, [labels, labels]);
            Param::from_tensor(Tensor::from_data(values, &device))
        };
        let layer = match task {
            Task::Chains(case) => {
                let Case {
                    length,
                    chains,
                    labels,
                } = case;
                let emissions = Numbers::new(1, 0).normals(case.positions() * labels, 1.0);
                let gold = Numbers::new(1, 1).labels(case.positions(), labels);
                let mut crf = case.layer(way, &device);
                crf.transitions = transitions(2, labels);
                Layer::Chains {
                    crf,
                    emissions: Tensor::from_data(
                        TensorData::new(emissions, [chains, length, labels]),
                        &device,
                    ),
                    labels: Tensor::from_data(TensorData::new(gold, [chains, length]), &device),
                }
            }
            Task::Grid(dims @ [b, l, h, w]) => {
                let emissions = Numbers::new(1, 0).normals(b * l * h * w, 1.0);
                let gold = Numbers::new(1, 1).labels(b * h * w, l);
                let mut crf = grid_layer(dims, way, &device);
                crf.row = Some(transitions(2, l));
                crf.column = Some(transitions(3, l));
                Layer::Grid {
                    crf,
                    emissions: Tensor::from_data(TensorData::new(emissions, dims), &device),
                    labels: Tensor::from_data(TensorData::new(gold, [b, h, w]), &device),
                }
            }
        };
        Self { layer, device }
    }

    /// One whole call: loss and all gradients, to the device's end of it.
    ///
    /// # Panics
    /// Where the device is lost.
    pub fn run(&self) {
        black_box(self.compute());
        self.device.sync().expect("the device is alive");
    }

    fn compute(&self) -> Computed {
        let known = "the loss depends on all of it";
        match &self.layer {
            Layer::Chains {
                crf,
                emissions,
                labels,
            } => {
                let emissions = emissions.clone().detach().require_grad();
                let loss = crf.negative_log_likelihood(
                    emissions.clone(),
                    labels.clone(),
                    None,
                    Reduction::Sum,
                );
                let mut gradients = loss.backward();
                let gradient = emissions.grad_remove(&mut gradients).expect(known);
                let transitions = crf.transitions.val().grad_remove(&mut gradients);
                Computed {
                    loss: loss.inner(),
                    emissions: Gradient::Chains(gradient),
                    transitions: vec![transitions.expect(known)],
                }
            }
            Layer::Grid {
                crf,
                emissions,
                labels,
            } => {
                let emissions = emissions.clone().detach().require_grad();
                let loss = crf.negative_log_likelihood(emissions.clone(), labels.clone());
                let loss = loss.mean();
                let mut gradients = loss.backward();
                let gradient = emissions.grad_remove(&mut gradients).expect(known);
                let mut of = |raw: &Param<Tensor<2>>| raw.val().grad_remove(&mut gradients);
                let transitions = [&crf.row, &crf.column]
                    .into_iter()
                    .flatten()
                    .map(|raw| of(raw).expect(known))
                    .collect();
                Computed {
                    loss: loss.inner(),
                    emissions: Gradient::Grid(gradient),
                    transitions,
                }
            }
        }
    }

    /// Holds the loss and the gradients of emissions and transitions against the reference's on Flex: a
    /// launch that failed shows only where its output is read.
    ///
    /// # Errors
    /// What is off, and by how much.
    pub fn verify(&self, task: Task) -> Result<(), String> {
        let reference = Way {
            name: "reference",
            implementation: Implementation::Reference,
            kernel: WgslKernel::Auto,
        };
        let got = self.read();
        let expected = Self::new(task, reference, &Device::flex()).read();
        // A sum of up to 131,072 positions in f32, in another order.
        let is_near = (got.loss - expected.loss).abs() <= 1e-5 * expected.loss.abs(); // not where it is no number
        if !is_near {
            return Err(format!("loss {}, reference {}", got.loss, expected.loss));
        }
        for (what, got, expected, tolerance) in [
            // Marginals of the kernels are within 2e-6 of float64; the reference's, by differences of
            // logarithms, are farther.
            ("emissions", &got.emissions, &expected.emissions, 1e-5),
            // Sums of as many marginals as there are positions, which mostly cancel.
            ("transitions", &got.transitions, &expected.transitions, 1e-4),
        ] {
            if got.len() != expected.len() {
                return Err(format!(
                    "{} gradients of {what}, expected {}",
                    got.len(),
                    expected.len()
                ));
            }
            let largest = expected.iter().fold(0.0_f32, |a, g| g.abs().max(a));
            let pairs = got.iter().zip(expected);
            let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, nan_or_larger);
            if worst > tolerance * largest || worst.is_nan() {
                return Err(format!(
                    "gradient of {what} off by {worst:e}, where it is {largest:e} at most"
                ));
            }
        }
        Ok(())
    }

    fn read(&self) -> Read {
        let Computed {
            loss,
            emissions,
            transitions,
        } = self.compute();
        let known = "the gradient is on the device";
        let emissions = match emissions {
            Gradient::Chains(gradient) => gradient.try_into_vec_as(),
            Gradient::Grid(gradient) => gradient.try_into_vec_as(),
        };
        let transitions = transitions
            .into_iter()
            .flat_map(|gradient| gradient.try_into_vec_as::<f32>().expect(known));
        Read {
            loss: loss.into_scalar(),
            emissions: emissions.expect(known),
            transitions: transitions.collect(),
        }
    }
}

fn nan_or_larger(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() {
        f32::NAN
    } else {
        a.max(b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flex_times_its_loop_and_the_reference_where_that_ends_in_time() {
        let flex = Device::flex();
        let [cpu, reference] = ways(&flex)[..] else {
            panic!("two ways: {:?}", ways(&flex));
        };
        assert_eq!((cpu.name, reference.name), ("cpu", "reference"));
        assert!(tasks().all(|task| task.is_timed(cpu, &flex)));
        let left_out = tasks().filter(|task| !task.is_timed(reference, &flex));
        let left_out: Vec<String> = left_out.map(|task| task.name()).collect();
        assert_eq!(left_out, ["T4096_B4_L8"]);
        let named: Vec<String> = tasks()
            .map(|task| format!("{}/{}", task.op(), task.name()))
            .collect();
        assert_eq!(named.len(), SPEED.len() + GRIDS.len());
        assert!(named.contains(&"crf/T16_B1024_L8".to_owned()), "{named:?}");
        assert!(
            named.contains(&"crf_grid/B8_8x8_L3".to_owned()),
            "{named:?}"
        );
    }

    #[test]
    fn a_result_that_is_not_the_tasks_is_refused() {
        let flex = Device::flex();
        let small = Task::Chains(Case::new(7, 9, 3));
        let grid = Task::Grid([2, 3, 4, 4]);
        for task in [small, grid] {
            for way in ways(&flex) {
                let work = Workload::new(task, way, &flex);
                assert_eq!(work.verify(task), Ok(()), "{task:?} {way:?}");
            }
        }
        // The numbers of one size against the truth of another of as many emissions.
        let work = Workload::new(small, ways(&flex)[0], &flex);
        let other = work.verify(Task::Chains(Case::new(9, 7, 3)));
        assert!(other.is_err_and(|what| what.contains("reference")));
        assert!(nan_or_larger(f32::NAN, 1.0).is_nan() && nan_or_larger(1.0, f32::NAN).is_nan());
    }
}
