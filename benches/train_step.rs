//! One adversarial step, discriminator and generator, of each shipped configuration.
//!
//! `cargo bench --bench train_step`; `DEMOTIC_BENCH_DEVICE` names the device (default `flex`; `wgpu`,
//! `wgpu:1`, ...). Labels are `train_step/own/<device>/<configuration>`; throughput is pictures. Before
//! timing, two steps run and every figure must be finite. `DEMOTIC_BENCH_SET="data.size_px=64 train.batch=4"`
//! changes settings, for the cost at another size.
//!
//! `DEMOTIC_BENCH_EXPORT=FOLDER` times nothing: for each configuration it writes the weights, all that two
//! steps take from the host, and the figures that they come to, in one safetensors file.
//! `benches/peers/train_peers.py` repeats them in PyTorch.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use burn::tensor::Device;
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use demotic_core::arrays::{Arrays, weights_of};
use demotic_core::data::{Dataset, DatasetOptions};
use demotic_core::device;
use demotic_core::settings::Config;
use demotic_core::train::{Tick, Trainer};
use safetensors::tensor::{Dtype, TensorView};

/// Figures that another program can come to as well, in its order.
const FIGURES: [&str; 10] = [
    "d_real",
    "d_fake",
    "d_composite",
    "g_reconstruction",
    "g_kl",
    "g_cycle",
    "g_adversarial",
    "g_paired",
    "d_norm",
    "g_norm",
];

/// Shipped configurations, in the binary: it may run where the repository is not.
const RECIPES: [(&str, &str); 3] = [
    (
        "quickstart",
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../configs/quickstart.toml"
        )),
    ),
    (
        "paired",
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../configs/paired.toml"
        )),
    ),
    (
        "six-styles",
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../configs/six-styles.toml"
        )),
    ),
];

fn config(text: &str, sets: &[String]) -> Config {
    Config::resolve(Some(text), sets).unwrap_or_else(|e| panic!("{e}"))
}

fn dataset(config: &Config) -> Dataset {
    let options = DatasetOptions {
        size_px: config.data.size_px,
        styles: config.data.styles.clone(),
        ..DatasetOptions::default()
    };
    Dataset::load(&config.data.source, &options).unwrap_or_else(|e| panic!("{e}"))
}

fn tick(trainer: &mut Trainer<'_>) -> Tick {
    let tick = trainer.tick().unwrap_or_else(|e| panic!("{e}"));
    tick.expect("a step gathered figures")
}

fn train_step(criterion: &mut Criterion) {
    let asked = std::env::var("DEMOTIC_BENCH_DEVICE").unwrap_or_else(|_unset| "flex".into());
    let chosen =
        device::open(&asked).unwrap_or_else(|error| panic!("DEMOTIC_BENCH_DEVICE: {error}"));
    if let Some(folder) = std::env::var_os("DEMOTIC_BENCH_EXPORT") {
        for (recipe, text) in RECIPES {
            export(
                text,
                &Path::new(&folder)
                    .join(recipe)
                    .with_extension("safetensors"),
                &chosen.device,
            );
        }
        return;
    }
    let sets = std::env::var("DEMOTIC_BENCH_SET").unwrap_or_default();
    let sets: Vec<String> = sets.split_whitespace().map(str::to_owned).collect();
    for (recipe, text) in RECIPES {
        let config = config(text, &sets);
        let case = if sets.is_empty() {
            recipe.to_owned()
        } else {
            format!("{recipe} {}", sets.join(" "))
        };
        // Made where the first sample is taken: a recipe that is filtered out costs nothing.
        let data = OnceCell::new();
        let mut trainer = None;
        let mut group = criterion.benchmark_group("train_step/own");
        group
            .sampling_mode(SamplingMode::Flat)
            .throughput(Throughput::Elements(config.train.batch as u64));
        group.bench_function(format!("{asked}/{case}"), |bencher| {
            let trainer = trainer.get_or_insert_with(|| {
                let data = data.get_or_init(|| dataset(&config));
                let mut trainer = Trainer::new(config.clone(), data, &chosen.device)
                    .unwrap_or_else(|e| panic!("{e}"));
                (0..2).for_each(|_| trainer.advance().expect("finite"));
                tick(&mut trainer);
                trainer
            });
            bencher.iter(|| {
                trainer.advance().expect("finite");
                trainer
                    .device()
                    .sync()
                    .expect("the device finishes its work");
            });
        });
        group.finish();
    }
}

/// Two steps of a small batch at constant rates with composites from the start, written down so that they can
/// be repeated.
fn export(text: &str, file: &Path, device: &Device) {
    let sets = [
        "train.batch=4",
        "train.warmup_steps=0",
        "train.decay_from=1.0",
        "loss.composite_warmup_steps=0",
    ];
    let small = config(text, &sets.map(str::to_owned));
    let data = dataset(&small);
    let mut trainer = Trainer::new(small.clone(), &data, device).unwrap_or_else(|e| panic!("{e}"));
    let (generator, discriminator) = trainer.parameter_counts();
    let mut arrays = Arrays::new();
    let mut add = |prefix: &str, found: Arrays| {
        arrays.extend(
            found
                .into_iter()
                .map(|(name, array)| (format!("{prefix}.{name}"), array)),
        );
    };
    add("generator", weights_of(trainer.average()));
    add("discriminator", weights_of(trainer.discriminator()));
    let figures = ["input0", "input1"].map(|prefix| {
        add(prefix, trainer.next_inputs());
        trainer.advance().expect("finite");
        let tick = serde_json::to_value(tick(&mut trainer)).expect("a tick is JSON");
        FIGURES.map(|name| (name, tick[name].as_f64().expect("a figure of the tick")))
    });
    let about = serde_json::json!({
        "config": config(text, &[]),
        "exported": small,
        "styles": data.styles().len(),
        "parameters": [generator, discriminator],
        "figures": figures,
    });
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = arrays
        .into_iter()
        .map(|(name, array)| {
            (
                name,
                array.shape,
                array.values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            )
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("shape and values fit");
        (name, view)
    });
    let about = HashMap::from([("demotic".to_owned(), about.to_string())]);
    let whole = safetensors::serialize(views, Some(about)).expect("names are unique");
    std::fs::write(file, whole).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    targets = train_step
}
criterion_main!(benches);
