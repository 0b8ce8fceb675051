//! One adversarial step, discriminator and generator, of each shipped configuration.
//!
//! `cargo bench --bench train_step`; `DEMOTIC_BENCH_DEVICE` names the device (default `flex`; `wgpu`, `wgpu:1`, ...). Labels are
//! `train_step/<crf implementation>/<device>/<configuration>`. Before timing, two steps run and every loss must be finite.

use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use demotic_core::config::Config;
use demotic_core::data::{Dataset, DatasetOptions};
use demotic_core::device;
use demotic_core::train::Trainer;

fn train_step(criterion: &mut Criterion) {
    let asked = std::env::var("DEMOTIC_BENCH_DEVICE").unwrap_or_else(|_unset| "flex".into());
    let chosen =
        device::open(&asked).unwrap_or_else(|error| panic!("DEMOTIC_BENCH_DEVICE: {error}"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    for name in ["quickstart", "six-styles"] {
        let config = Config::load(&root.join(name).with_extension("toml"), &[])
            .unwrap_or_else(|e| panic!("{e}"));
        let options = DatasetOptions {
            size_px: config.data.size_px,
            styles: config.data.styles.clone(),
            ..DatasetOptions::default()
        };
        let data = Dataset::load(&config.data.source, &options).unwrap_or_else(|e| panic!("{e}"));
        let pictures = config.train.batch as u64;
        let mut trainer =
            Trainer::new(config, &data, &chosen.device).unwrap_or_else(|e| panic!("{e}"));
        (0..2).for_each(|_| trainer.advance());
        trainer
            .tick()
            .unwrap_or_else(|e| panic!("{e}"))
            .expect("two steps gathered figures");
        let implementation = trainer
            .discriminator()
            .crf()
            .implementation(trainer.device())
            .unwrap_or_else(|e| panic!("{e}"))
            .name();
        let mut group = criterion.benchmark_group(format!("train_step/{implementation}"));
        group
            .sample_size(10)
            .throughput(Throughput::Elements(pictures));
        group.bench_function(format!("{asked}/{name}"), |bencher| {
            bencher.iter(|| {
                trainer.advance();
                trainer
                    .device()
                    .sync()
                    .expect("the device finishes its work");
            });
        });
        group.finish();
    }
}

criterion_group!(benches, train_step);
criterion_main!(benches);
