//! Saving and reading the checkpoint of a recipe, synced to disk as training does it.
//!
//! `cargo bench --bench checkpoint`; `DEMOTIC_BENCH_DEVICE` names the device that the weights come from
//! (default `flex`). Labels are `op/impl/device/case`; throughput is bytes of the two files. `TMPDIR` chooses
//! the disk. Before timing, a saved checkpoint must read back to the same weights.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use demotic_core::arrays::weights_of;
use demotic_core::data::{Dataset, DatasetOptions};
use demotic_core::device;
use demotic_core::settings::Config;
use demotic_core::train::{Checkpoint, Trainer};

fn checkpoint(criterion: &mut Criterion) {
    let asked = std::env::var("DEMOTIC_BENCH_DEVICE").unwrap_or_else(|_unset| "flex".into());
    let chosen =
        device::open(&asked).unwrap_or_else(|error| panic!("DEMOTIC_BENCH_DEVICE: {error}"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    for name in ["quickstart", "six-styles"] {
        let config = Config::load(&root.join(name).with_extension("toml"), &[])
            .unwrap_or_else(|e| panic!("{e}"));
        // Optimisers have state after a step; a small picture leaves the weights what they are.
        let sets = ["train.batch=2".to_owned(), "data.size_px=16".to_owned()];
        let small =
            Config::resolve(Some(&config.to_toml(false)), &sets).unwrap_or_else(|e| panic!("{e}"));
        let options = DatasetOptions {
            size_px: small.data.size_px,
            styles: small.data.styles.clone(),
            ..DatasetOptions::default()
        };
        let data = Dataset::load(&small.data.source, &options).unwrap_or_else(|e| panic!("{e}"));
        let trainer =
            || Trainer::new(small.clone(), &data, &chosen.device).unwrap_or_else(|e| panic!("{e}"));
        let mut trained = trainer();
        trained.advance().expect("finite");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = trained
            .save(folder.path())
            .unwrap_or_else(|e| panic!("{e}"));
        let read = || Checkpoint::load(&path).unwrap_or_else(|e| panic!("{e}"));
        let mut restored = trainer();
        restored.restore(&read()).unwrap_or_else(|e| panic!("{e}"));
        assert!(weights_of(restored.average()) == weights_of(trained.average()));
        assert!(weights_of(restored.discriminator()) == weights_of(trained.discriminator()));

        let files = fs::read_dir(folder.path()).expect("the folder is there");
        let bytes = files
            .map(|file| file.and_then(|f| f.metadata()).expect("a file").len())
            .sum();
        let mut group = criterion.benchmark_group(format!("save/safetensors/{asked}"));
        group.throughput(Throughput::Bytes(bytes));
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(trained.save(folder.path())));
        });
        group.finish();
        let mut group = criterion.benchmark_group(format!("load/safetensors/{asked}"));
        group.throughput(Throughput::Bytes(bytes));
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(read()));
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = checkpoint
}
criterion_main!(benches);
