//! The adversarial loop by hand, without a run folder: a tiny network on line art and colour, a figure a
//! tick. `cargo run --release --example train_tiny`

use std::error::Error;

use burn::tensor::Device;
use demotic_core::data::{CachePolicy, Dataset};
use demotic_core::settings::Config;
use demotic_core::train::{Figure, Trainer};

#[expect(clippy::print_stdout, reason = "what it is for")]
fn main() -> Result<(), Box<dyn Error>> {
    for (step, l1) in train_tiny(60)? {
        println!("step {step:3}  drawn again with a mean error of {l1:.3}");
    }
    Ok(())
}

/// Trains for some steps; after every tenth, the step and the error of pictures drawn again in their own
/// style.
pub(crate) fn train_tiny(steps: u64) -> Result<Vec<(u64, f32)>, Box<dyn Error>> {
    let settings = [
        "data.size_px=16",
        "data.styles=[\"openmoji-line\", \"openmoji\"]",
        "generator.channels=8",
        "generator.channels_min=8",
        "discriminator.channels=8",
        "train.batch=4",
        "train.generator_rate=0.002",
    ];
    let mut config = Config::resolve(None, &settings.map(str::to_owned))?;
    config.train.steps = steps;
    let dataset = Dataset::load("emoji", &config.data.options(CachePolicy::Off)?)?;
    let mut trainer = Trainer::new(config, &dataset, &Device::flex())?;
    let mut errors = Vec::new();
    while trainer.step() < steps {
        // One step of the discriminator and one of the generator.
        trainer.advance()?;
        if trainer.step().is_multiple_of(10) {
            let tick = trainer.tick()?.expect("ten steps were taken");
            errors.push((tick.step, tick.figures[Figure::GReconstruction]));
        }
    }
    Ok(errors)
}
