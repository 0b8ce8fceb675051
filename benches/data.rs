//! From pictures on disk to a batch: rasterising and reading back from the cache (`load`), varying
//! (`augment`), batches.
//!
//! `cargo bench --bench data`: host work, so no device. Labels are `op/impl/host/case`; throughput is
//! pictures. Before timing, the cached pictures must equal the rasterised ones, and a batch asked for twice
//! must be the same.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use demotic_core::data::{
    Augmentation, CachePolicy, Dataset, DatasetOptions, PairedStyles, Sampler, SamplerOptions,
};

/// The quickstart's styles.
const STYLES: [&str; 2] = ["openmoji-line", "openmoji"];
/// Pictures of a benched batch.
const BATCH: usize = 8;

fn load(size_px: u32, cache: CachePolicy) -> Dataset {
    let options = DatasetOptions {
        size_px,
        styles: STYLES.map(str::to_owned).to_vec(),
        cache,
        ..DatasetOptions::default()
    };
    Dataset::load("emoji", &options).unwrap_or_else(|e| panic!("{e}"))
}

fn loading(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cached = || CachePolicy::Folder(folder.path().to_owned());
    for size_px in [32, 64] {
        let (first, second, plain) = (
            load(size_px, cached()),
            load(size_px, cached()),
            load(size_px, CachePolicy::Off),
        );
        let mut pictures = 0;
        for style in 0..STYLES.len() {
            for item in (0..plain.item_count()).filter(|&item| plain.has_picture(style, item)) {
                let expected = plain.rgba(style, item);
                assert!(
                    expected == first.rgba(style, item) && expected == second.rgba(style, item)
                );
                pictures += 1;
            }
        }
        for (by, cache) in [("rasterise", CachePolicy::Off), ("cached", cached())] {
            let mut group = criterion.benchmark_group(format!("load/{by}/host"));
            group
                .sample_size(10)
                .throughput(Throughput::Elements(pictures));
            group.bench_function(format!("{size_px}px"), |bencher| {
                bencher.iter(|| black_box(load(size_px, cache.clone())));
            });
            group.finish();
        }
    }
}

fn batches(criterion: &mut Criterion) {
    for size_px in [32, 64, 128] {
        let dataset = load(size_px, CachePolicy::Off);
        for (by, augmentation) in [
            ("plain", Augmentation::OFF),
            ("augment", Augmentation::default()),
        ] {
            let options = SamplerOptions {
                seed: 0,
                batch_size: BATCH,
                draw: 0,
                augmentation,
                paired_styles: PairedStyles::Any,
            };
            let sampler =
                Sampler::new(dataset.training(), options).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(sampler.batch(3), sampler.batch(3));
            let mut group = criterion.benchmark_group(format!("batch/{by}/host"));
            group.throughput(Throughput::Elements(BATCH as u64));
            let mut step = 0;
            group.bench_function(format!("b{BATCH} {size_px}px"), |bencher| {
                bencher.iter(|| {
                    step += 1;
                    black_box(sampler.batch(step))
                });
            });
            group.finish();
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = loading, batches
}
criterion_main!(benches);
