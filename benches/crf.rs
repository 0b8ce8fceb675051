//! Times loss and gradient of the linear-chain and the grid CRF over the speed tables, each implementation on
//! its device: `cargo bench --bench crf`. Every figure stands beside its compulsory bytes, its multiply-adds,
//! and its share of the device's own copy bandwidth. A result is compared with the reference once before it
//! is timed. Labels are `op/impl/device/case`: ops `crf` (chains), `crf_grid`, and `crf_marginals` and others
//! that have no gradient.
//!
//! `CRF_DEVICES=flex,wgpu` chooses devices (default: flex, and wgpu where there is an adapter). `demotic
//! bench --device D` times the same tables on any device of `demotic devices`, without a toolchain.
#![expect(
    clippy::cast_precision_loss,
    reason = "the numbers of a bench are small"
)]

use std::cell::{Cell, OnceCell};
use std::hint::black_box;
use std::time::{Duration, Instant};

use burn::tensor::{Device, DeviceKind, Tensor, TensorData};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use demotic_crf::cases::{Case, Numbers};
use demotic_crf::workload::{Task, Way, Workload, copy_bytes_per_sec, tasks, ways};
use demotic_crf::{LinearChainCrf, LinearChainCrfConfig};

fn devices() -> Vec<(&'static str, Device)> {
    let wanted = std::env::var("CRF_DEVICES").unwrap_or_else(|_| "flex,wgpu".to_string());
    let wanted: Vec<&str> = wanted.split(',').map(str::trim).collect();
    assert!(
        wanted.iter().all(|name| ["flex", "wgpu"].contains(name)),
        "CRF_DEVICES: expected flex, wgpu or both with a comma between; `demotic bench --device` times any other"
    );
    let mut devices = vec![];
    if wanted.contains(&"flex") {
        devices.push(("flex", Device::flex()));
    }
    if wanted.contains(&"wgpu") {
        let kinds = [DeviceKind::DefaultDevice, DeviceKind::Cpu];
        match kinds
            .into_iter()
            .find_map(|kind| Device::wgpu_options().device_kind(kind).init().ok())
        {
            Some(device) => devices.push(("wgpu", device)),
            None => eprintln!("no wgpu adapter: its figures are left out"),
        }
    }
    devices
}

/// Times one row and prints its traffic beside the device's. The work is made where a filter lets the row
/// through, and once.
fn time(
    criterion: &mut Criterion,
    (name, device): (&str, &Device),
    way: Way,
    task: Task,
    bandwidth: impl Fn() -> f64,
) {
    let work = OnceCell::new();
    let fastest = Cell::new(Duration::MAX);
    let mut group = criterion.benchmark_group(format!("{}/{}/{name}", task.op(), way.name));
    group.throughput(Throughput::Bytes(task.bytes() as u64));
    group.bench_function(task.name(), |bencher| {
        let work = work.get_or_init(|| {
            let work = Workload::new(task, way, device);
            work.verify(task)
                .unwrap_or_else(|off| panic!("{}: {off}", task.name()));
            work
        });
        bencher.iter_custom(|times| {
            let start = Instant::now();
            for _ in 0..times {
                work.run();
            }
            let total = start.elapsed();
            let one = total / u32::try_from(times).unwrap_or(u32::MAX);
            fastest.set(fastest.get().min(one));
            total
        });
    });
    group.finish();
    if work.get().is_some() {
        let (bytes, fmas, bandwidth) = (task.bytes(), task.fmas(), bandwidth());
        let (floor, secs) = (bytes as f64 / bandwidth, fastest.get().as_secs_f64());
        eprintln!(
            "{}: {bytes} bytes, {fmas} multiply-adds; copy bandwidth {:.1} GB/s, floor {:.1} us, {:.1} % of it reached, {:.2} GFMA/s",
            task.name(),
            bandwidth / 1e9,
            floor * 1e6,
            floor / secs * 100.0,
            fmas as f64 / secs / 1e9,
        );
    }
}

fn loss_and_gradient(criterion: &mut Criterion) {
    for (name, device) in devices() {
        let measured = OnceCell::new();
        let bandwidth = || *measured.get_or_init(|| copy_bytes_per_sec(&device));
        for way in ways(&device) {
            for task in tasks().filter(|task| task.is_timed(way, &device)) {
                time(criterion, (name, &device), way, task, bandwidth);
            }
        }
    }
}

/// What is computed by tensor operations on every device, beside marginals and Viterbi, which are not.
fn other_operations(criterion: &mut Criterion) {
    let case = Case::new(64, 256, 16);
    for (name, device) in devices() {
        let way = ways(&device)[0];
        let crf = LinearChainCrfConfig::new(case.labels)
            .with_implementation(way.implementation)
            .init(&device);
        let emissions = TensorData::new(
            Numbers::new(1, 0).normals(case.positions() * case.labels, 1.0),
            [case.chains, case.length, case.labels],
        );
        let emissions = Tensor::<3>::from_data(emissions, &device);
        let mut one = |op: &str, by: &str, run: &dyn Fn(&LinearChainCrf, Tensor<3>)| {
            let mut group = criterion.benchmark_group(format!("crf_{op}/{by}/{name}"));
            group.sample_size(10);
            group.bench_function(case.name(), |bencher| {
                bencher.iter(|| {
                    run(&crf, emissions.clone());
                    device.sync().expect("the device is alive");
                });
            });
            group.finish();
        };
        one("marginals", way.name, &|crf, e| {
            drop(black_box(crf.marginals(e, None)));
        });
        one("viterbi", way.name, &|crf, e| {
            drop(black_box(crf.viterbi(e, None)));
        });
        one("pairwise_marginals", "tensor", &|crf, e| {
            drop(black_box(crf.pairwise_marginals(e, None)));
        });
        one("entropy", "tensor", &|crf, e| {
            drop(black_box(crf.entropy(e, None)));
        });
        one("sample", "tensor", &|crf, e| {
            drop(black_box(crf.sample(e, None, 1)));
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = loss_and_gradient, other_operations
}
criterion_main!(benches);
