//! Every kernel of the networks at the sizes of `configs/quickstart.toml` (32 px) and of
//! `configs/six-styles.toml` (64 px), eight pictures, beside the same by Burn's operations; and what is made
//! of them: residual block, encoder, decoder, trunk.
//!
//! `cargo bench --bench kernels`; `DEMOTIC_BENCH_DEVICE` names the device (default `flex`). Labels are
//! `op-pass/impl/device/case`; an operation is timed as `forward` and as `train`, forward and all gradients.
//! `own` is what training uses on that device. Convolutions count a multiply-add as two operations in their
//! throughput: Gelem/s is GFLOP/s; the others count the bytes that they must move. Before timing, values and
//! gradients are compared (`demotic_core::check::kernels`). `demotic bench` times the same kernels without a
//! toolchain, and reports shares of what the device can do.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use demotic_core::check::kernels::{Work, blocks, kernels};
use demotic_core::device;
use demotic_core::number::Whole;

fn all(criterion: &mut Criterion) {
    let asked = std::env::var("DEMOTIC_BENCH_DEVICE").unwrap_or_else(|_unset| "flex".into());
    let chosen =
        device::open(&asked).unwrap_or_else(|error| panic!("DEMOTIC_BENCH_DEVICE: {error}"));
    for case in kernels().into_iter().chain(blocks()) {
        let mut is_verified = false;
        for way in case.ways(&chosen.device) {
            let label = case.label(way, &asked);
            let (group, name) = label.rsplit_once('/').expect("a label has four words");
            let mut group = criterion.benchmark_group(group);
            let (_, pass) = way;
            let operations = 2 * case.multiply_adds(pass);
            if operations > 0 {
                group.throughput(Throughput::Elements(operations.to_u64()));
            } else if let Some(bytes) = case.bytes(pass) {
                group.throughput(Throughput::Bytes(bytes.to_u64()));
            }
            group.bench_function(name, |bencher| {
                if !is_verified {
                    let verdict = case.verify(&chosen.device);
                    verdict.unwrap_or_else(|problem| panic!("{label}: {problem}"));
                    is_verified = true;
                }
                let work = Work::new(&case, way, &chosen.device);
                bencher.iter(|| work.run());
            });
            group.finish();
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = all
}
criterion_main!(benches);
