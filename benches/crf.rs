//! Times loss and gradient of the linear-chain and the grid CRF over the speed tables, each implementation on its device:
//! `cargo bench --bench crf`. Every figure stands beside its compulsory bytes, its multiply-adds, and its share of the device's own
//! copy bandwidth. A result is compared with the reference once before it is timed.
//!
//! `CRF_DEVICES=flex,wgpu` chooses devices (default: flex, and wgpu where there is an adapter).

use std::cell::{Cell, OnceCell};
use std::hint::black_box;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::{Device, DeviceKind, Int, Tensor, TensorData};
use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use demotic_crf::cases::{Case, GRIDS, Numbers, SPEED};
use demotic_crf::{
    GridCrf, GridCrfConfig, Implementation, LinearChainCrf, LinearChainCrfConfig, Reduction,
    WgslKernel,
};

/// One case on one device, ready to run.
struct Setup {
    crf: LinearChainCrf,
    emissions: Tensor<3>,
    labels: Tensor<2, Int>,
    device: Device,
}

impl Setup {
    fn new(
        case: Case,
        implementation: Implementation,
        kernel: WgslKernel,
        device: &Device,
    ) -> Self {
        let Case {
            length,
            chains,
            labels,
        } = case;
        let device = device.clone().autodiff();
        let crf = LinearChainCrfConfig::new(labels)
            .with_implementation(implementation)
            .with_kernel(kernel)
            .init(&device);
        let emissions = TensorData::new(
            Numbers::new(1, 0).normals(case.positions() * labels, 1.0),
            [chains, length, labels],
        );
        let gold = TensorData::new(
            Numbers::new(1, 1).labels(case.positions(), labels),
            [chains, length],
        );
        Self {
            crf,
            emissions: Tensor::from_data(emissions, &device),
            labels: Tensor::from_data(gold, &device),
            device,
        }
    }

    /// Loss and all gradients, on the device.
    fn run(&self) -> (Tensor<1>, Tensor<3>) {
        let emissions = self.emissions.clone().detach().require_grad();
        let loss = self.crf.negative_log_likelihood(
            emissions.clone(),
            self.labels.clone(),
            None,
            Reduction::Sum,
        );
        let mut gradients = loss.backward();
        let gradient = emissions
            .grad_remove(&mut gradients)
            .expect("the loss depends on the emissions");
        (loss.inner(), gradient)
    }

    /// A launch that failed shows only where its output is read: read once, and hold it against the reference.
    fn verify(&self, case: Case) {
        let read = |(loss, gradient): (Tensor<1>, Tensor<3>)| -> (f32, Vec<f32>) {
            (
                loss.into_scalar(),
                gradient
                    .try_into_vec_as()
                    .expect("the gradient is on the device"),
            )
        };
        let (loss, gradient) = read(self.run());
        let (expected, expected_gradient) = read(
            Self::new(
                case,
                Implementation::Reference,
                WgslKernel::Auto,
                &Device::flex(),
            )
            .run(),
        );
        assert!(
            (loss - expected).abs() < 1e-5 * expected,
            "{}: loss {loss}, reference {expected}",
            case.name()
        );
        let worst = gradient
            .iter()
            .zip(&expected_gradient)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst < 1e-5, "{}: gradient off by {worst}", case.name());
    }

    fn sync(&self) {
        self.device.sync().expect("the device is alive");
    }
}

/// Bytes a second of one element-wise pass over 64 MiB that lie in the device's memory already, reads and writes counted: what
/// a perfect kernel could move.
fn copy_bandwidth(device: &Device) -> f64 {
    let mut tensor = Tensor::<1>::ones([16 << 20], device);
    let bytes = 2.0 * 4.0 * f64::from(16 << 20);
    let mut best = f64::INFINITY;
    for _ in 0..8 {
        device.sync().expect("the device is alive");
        let start = Instant::now();
        tensor = tensor.add_scalar(1.0); // nobody else holds it: in place
        device.sync().expect("the device is alive");
        best = best.min(start.elapsed().as_secs_f64());
    }
    black_box(tensor);
    bytes / best
}

/// Devices and what is timed on each: a name, an implementation, a kernel.
type Timed = (&'static str, Implementation, WgslKernel);

fn devices() -> Vec<(&'static str, Device, Vec<Timed>)> {
    let wanted = std::env::var("CRF_DEVICES").unwrap_or_else(|_| "flex,wgpu".to_string());
    let mut devices = vec![];
    if wanted.contains("flex") {
        devices.push((
            "flex",
            Device::flex(),
            vec![
                ("cpu", Implementation::Cpu, WgslKernel::Auto),
                ("reference", Implementation::Reference, WgslKernel::Auto),
            ],
        ));
    }
    if wanted.contains("wgpu") {
        let kinds = [DeviceKind::DefaultDevice, DeviceKind::Cpu];
        match kinds
            .into_iter()
            .find_map(|kind| Device::wgpu_options().device_kind(kind).init().ok())
        {
            Some(device) => devices.push((
                "wgpu",
                device,
                vec![
                    ("wgsl", Implementation::Wgsl, WgslKernel::Auto),
                    ("chain", Implementation::Wgsl, WgslKernel::Chain),
                    ("lanes", Implementation::Wgsl, WgslKernel::Lanes),
                    ("image", Implementation::Wgsl, WgslKernel::Image),
                ],
            )),
            None => eprintln!("no wgpu adapter: its figures are left out"),
        }
    }
    devices
}

/// One grid on one device, ready to run.
struct GridSetup {
    crf: GridCrf,
    emissions: Tensor<4>,
    labels: Tensor<3, Int>,
    device: Device,
}

impl GridSetup {
    fn new(
        dims @ [b, l, h, w]: [usize; 4],
        implementation: Implementation,
        kernel: WgslKernel,
        device: &Device,
    ) -> Self {
        let device = device.clone().autodiff();
        let crf = GridCrfConfig::new(l)
            .with_implementation(implementation)
            .with_kernel(kernel)
            .init(&device);
        let emissions = Numbers::new(1, 0).normals(b * l * h * w, 1.0);
        let gold = Numbers::new(1, 1).labels(b * h * w, l);
        Self {
            crf,
            emissions: Tensor::from_data(TensorData::new(emissions, dims), &device),
            labels: Tensor::from_data(TensorData::new(gold, [b, h, w]), &device),
            device,
        }
    }

    /// Mean loss and all gradients, on the device.
    fn run(&self) -> (Tensor<1>, Tensor<4>) {
        let emissions = self.emissions.clone().detach().require_grad();
        let loss = self
            .crf
            .negative_log_likelihood(emissions.clone(), self.labels.clone())
            .mean();
        let mut gradients = loss.backward();
        let gradient = emissions
            .grad_remove(&mut gradients)
            .expect("the loss depends on the emissions");
        (loss.inner(), gradient)
    }

    fn sync(&self) {
        self.device.sync().expect("the device is alive");
    }
}

/// Times one case and prints its traffic beside the device's. `make` runs where a filter lets the case through, and once.
fn time<S>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    [bytes, fmas]: [usize; 2],
    bandwidth: impl Fn() -> f64,
    make: impl Fn() -> S,
    run: impl Fn(&S),
) {
    let setup = OnceCell::new();
    let fastest = Cell::new(Duration::MAX);
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
        let setup = setup.get_or_init(&make);
        bencher.iter_custom(|times| {
            let start = Instant::now();
            for _ in 0..times {
                run(setup);
            }
            let total = start.elapsed();
            let one = total / u32::try_from(times).unwrap_or(u32::MAX);
            fastest.set(fastest.get().min(one));
            total
        });
    });
    if setup.get().is_some() {
        let bandwidth = bandwidth();
        let (floor, secs) = (bytes as f64 / bandwidth, fastest.get().as_secs_f64());
        eprintln!(
            "{name}: {bytes} bytes, {fmas} multiply-adds; copy bandwidth {:.1} GB/s, floor {:.1} us, {:.1} % of it reached, \
             {:.2} GFMA/s",
            bandwidth / 1e9,
            floor * 1e6,
            floor / secs * 100.0,
            fmas as f64 / secs / 1e9,
        );
    }
}

fn loss_and_gradient(criterion: &mut Criterion) {
    for (name, device, timed) in devices() {
        let measured = OnceCell::new();
        let bandwidth = || *measured.get_or_init(|| copy_bandwidth(&device));
        for (what, implementation, kernel) in timed {
            let mut group = criterion.benchmark_group(format!("crf {what} on {name}"));
            for case in SPEED {
                // The reference takes a handful of small operations a position: seconds at this length.
                if (implementation == Implementation::Reference && case.length > 64)
                    || kernel == WgslKernel::Image
                {
                    continue;
                }
                let make = || {
                    let setup = Setup::new(case, implementation, kernel, &device);
                    setup.verify(case);
                    setup
                };
                time(
                    &mut group,
                    &case.name(),
                    [case.bytes(), case.fmas()],
                    bandwidth,
                    make,
                    |setup| {
                        black_box(setup.run());
                        setup.sync();
                    },
                );
            }
            for dims @ [b, l, h, w] in GRIDS {
                let make = || {
                    let setup = GridSetup::new(dims, implementation, kernel, &device);
                    let read = |setup: &GridSetup| -> f32 { setup.run().0.into_scalar() };
                    let reference = Implementation::Reference;
                    let expected = read(&GridSetup::new(
                        dims,
                        reference,
                        WgslKernel::Auto,
                        &Device::flex(),
                    ));
                    let loss = read(&setup);
                    assert!(
                        (loss - expected).abs() < 1e-5 * expected,
                        "{dims:?}: loss {loss}, reference {expected}"
                    );
                    setup
                };
                let patches = b * h * w;
                time(
                    &mut group,
                    &format!("B{b}_{h}x{w}_L{l}"),
                    [(8 * l + 1) * patches, 2 * 3 * l * l * patches],
                    bandwidth,
                    make,
                    |setup| {
                        black_box(setup.run());
                        setup.sync();
                    },
                );
            }
            group.finish();
        }
    }
}

/// What is computed by tensor operations on every device, beside Viterbi, which is not.
fn other_operations(criterion: &mut Criterion) {
    let case = Case::new(64, 256, 16);
    for (name, device, timed) in devices() {
        let (_, implementation, kernel) = timed[0];
        let setup = OnceCell::new();
        let setup = || setup.get_or_init(|| Setup::new(case, implementation, kernel, &device));
        let mut group = criterion.benchmark_group(format!("crf operations on {name}"));
        group.sample_size(10);
        let mut one = |what: &str, run: &dyn Fn(&LinearChainCrf, Tensor<3>)| {
            group.bench_function(BenchmarkId::new(what, case.name()), |bencher| {
                let setup = setup();
                let crf = setup.crf.clone().valid();
                let emissions = setup.emissions.clone().inner();
                bencher.iter(|| {
                    run(&crf, emissions.clone());
                    setup.sync();
                });
            });
        };
        one("marginals", &|crf, e| {
            drop(black_box(crf.marginals(e, None)));
        });
        one("viterbi", &|crf, e| drop(black_box(crf.viterbi(e, None))));
        one("pairwise_marginals", &|crf, e| {
            drop(black_box(crf.pairwise_marginals(e, None)));
        });
        one("entropy", &|crf, e| drop(black_box(crf.entropy(e, None))));
        one("sample", &|crf, e| drop(black_box(crf.sample(e, None, 1))));
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = loss_and_gradient, other_operations
}
criterion_main!(benches);
