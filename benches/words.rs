//! Words: a phrase to its picture, what that needs at the start, and a step of learning.
//!
//! `cargo bench --bench words`; `DEMOTIC_BENCH_DEVICE` names the device (default `flex`). Labels are
//! `op/impl/device/case`. Before timing, the phrase must recall the idea that it stands for, the picture must
//! be none of the style's own, and a loss must be finite.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use demotic_core::data::{CachePolicy, Dataset};
use demotic_core::device;
use demotic_core::phrase::{self, LearnOptions, Learner, Memory, Part, Recall};
use demotic_core::settings::{Config, WordsConfig};
use demotic_core::train::BUILT_IN;
use demotic_core::train::run::{Which, trained};
use demotic_core::translate::{self, CodeSource};

const PHRASE: &str = "so tired";
const SLEEPING: &str = "1f634";
const STYLE: &str = "openmoji";

fn asked() -> String {
    std::env::var("DEMOTIC_BENCH_DEVICE").unwrap_or_else(|_unset| "flex".into())
}

/// What a person waits for: drawing by the weights in the program, at their size.
fn draw(criterion: &mut Criterion) {
    let asked = asked();
    let chosen =
        device::open(&asked).unwrap_or_else(|error| panic!("DEMOTIC_BENCH_DEVICE: {error}"));
    let device = &chosen.device;
    let start = || {
        let checkpoint =
            trained(Path::new(BUILT_IN), Which::Latest).unwrap_or_else(|e| panic!("{e}"));
        let config = &checkpoint.info.config;
        let mut options = config
            .data
            .options(CachePolicy::Platform)
            .unwrap_or_else(|e| panic!("{e}"));
        options.styles.clone_from(&checkpoint.info.styles);
        let dataset = Dataset::load("emoji", &options).unwrap_or_else(|e| panic!("{e}"));
        let table = phrase::load("emoji").unwrap_or_else(|e| panic!("{e}"));
        let recall = Recall::new(&table);
        let generator = checkpoint
            .generator(device)
            .unwrap_or_else(|e| panic!("{e}"));
        (checkpoint, dataset, table, recall, generator)
    };
    let (checkpoint, dataset, table, recall, generator) = start();
    let config: &Config = &checkpoint.info.config;
    let style = checkpoint
        .info
        .style_number(STYLE)
        .unwrap_or_else(|e| panic!("{e}"));
    let code = translate::style_codes(&generator, config, device, style, 1, &CodeSource::Typical)
        .unwrap_or_else(|e| panic!("{e}"));
    let memory = Memory::new(&generator, config, device, &dataset, None, style as usize);
    let picture = || {
        let best = recall.rank(PHRASE).remove(0);
        let key = table.ideas()[best.idea].key.as_str();
        (
            key,
            memory
                .draw(key, &code, false)
                .expect("every emoji is drawn"),
        )
    };
    let near: Vec<&str> = recall
        .rank(PHRASE)
        .iter()
        .take(5)
        .map(|recalled| table.ideas()[recalled.idea].key.as_str())
        .collect();
    assert!(near.contains(&SLEEPING), "{near:?}");
    let (_, drawn) = picture();
    assert!(drawn.nearest_l1 > 1e-3 && drawn.picture.iter().all(|v| v.is_finite()));

    let case = format!("{}px", config.data.size_px);
    let mut group = criterion.benchmark_group(format!("draw_phrase/model/{asked}"));
    group.bench_function(&case, |bencher| bencher.iter(|| black_box(picture())));
    group.finish();
    let mut group = criterion.benchmark_group(format!("start_words/model/{asked}"));
    group.sample_size(10);
    group.bench_function(&case, |bencher| bencher.iter(|| black_box(start())));
    group.finish();
}

/// A step of each part of learning, in phrases, or pictures, a second.
fn learn(criterion: &mut Criterion) {
    let asked = asked();
    let chosen =
        device::open(&asked).unwrap_or_else(|error| panic!("DEMOTIC_BENCH_DEVICE: {error}"));
    let table = phrase::load("emoji").unwrap_or_else(|e| panic!("{e}"));
    for part in [Part::Encoder, Part::SpeakerEn] {
        // The parts before it take a step each; no look at validation phrases falls into what is timed.
        let mut options = LearnOptions {
            patience: 0,
            ..LearnOptions::new(0, &WordsConfig::default())
        };
        let many = 1_000_000;
        options.encoder_steps = if part == Part::Encoder { many } else { 1 };
        options.speaker_steps = many;
        let mut learner =
            Learner::new(&table, options, &chosen.device).unwrap_or_else(|e| panic!("{e}"));
        let mut step = || {
            let tick = learner.step().unwrap_or_else(|e| panic!("{e}"));
            tick.expect("it has a million steps")
        };
        let mut tick = step();
        while tick.part != part {
            tick = step();
        }
        assert!(tick.loss.is_finite() && tick.loss > 0.0);
        let mut group = criterion.benchmark_group(format!("learn_words/model/{asked}"));
        group.throughput(Throughput::Elements(part.batch() as u64));
        group.bench_function(part.name(), |bencher| bencher.iter(|| black_box(step())));
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    targets = draw, learn
}
criterion_main!(benches);
