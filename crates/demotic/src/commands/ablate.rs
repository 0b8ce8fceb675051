//! `demotic ablate`: the same training with one thing changed, over several seeds, and a table of what came out.
//!
//! Every training is a run of its own in a sub-folder, so each can be looked at, translated with and evaluated. What is
//! finished is never done again.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use demotic_core::Error;
use demotic_core::ablation::{Comparison, Outcome as Trained, Plan, Reals, Variant};
use demotic_core::data::{CachePolicy, Dataset, Split};
use demotic_core::device::{self, Chosen};
use demotic_core::metric::{self, Direction, Measured};
use demotic_core::train::{Checkpoint, Trainer, latest_checkpoint};
use demotic_core::translate;

use super::Outcome;
use crate::cli::{AblateArgs, CheckpointArg};
use crate::failure::{input, io};
use crate::options::{dataset_options, located};
use crate::output::{duration, tell};
use crate::progress::InterruptGuard;
use crate::run_dir::{self, RunDir};

/// The plan as it was begun.
const PLAN: &str = "plan.toml";
/// Figures of one training.
const RESULT: &str = "result.json";

pub(crate) fn run(args: &AblateArgs) -> Result<Outcome> {
    let text = fs::read_to_string(&args.plan).map_err(|e| {
        input(format!(
            "cannot read the ablation ({e}); see configs/ablation.toml: {}",
            args.plan.display()
        ))
    })?;
    let plan = Plan::parse(&text)?;
    let name = args.plan.file_stem().unwrap_or_default();
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| Path::new("runs").join(name));
    require_own(&out, &plan)?;
    let mut config = plan.config(&plan.variants[0], plan.seeds[0])?;
    config.data.source = located(&config.data.source);
    let dataset = Dataset::load(
        &config.data.source,
        &dataset_options(&config, CachePolicy::Platform)?,
    )?;
    if (0..dataset.styles().len()).any(|style| dataset.items(style, Split::Test).is_empty()) {
        return Err(input(format!(
            "some style has no held-out (test) picture, so nothing can be scored; give more pictures: {}",
            config.data.source
        )));
    }
    let chosen = device::open(&args.device.device)?;
    fs::create_dir_all(&out).map_err(|e| io("make the folder of the ablation", &out, &e))?;
    run_dir::write_whole(&out.join(PLAN), plan.to_toml().as_bytes())?;

    let interrupt = InterruptGuard::new()?;
    // Seeds outside: after the first all variants can be compared.
    let pairs: Vec<(u64, &Variant)> = plan
        .seeds
        .iter()
        .flat_map(|&seed| plan.variants.iter().map(move |variant| (seed, variant)))
        .collect();
    let mut results = BTreeMap::new();
    for (i, &(seed, variant)) in pairs.iter().enumerate() {
        let folder = out.join(format!("{}-{seed}", variant.name));
        let label = format!("{} of {}  {} seed {seed}", i + 1, pairs.len(), variant.name);
        let mut config = plan.config(variant, seed)?;
        config.data.source = located(&config.data.source);
        let found = if let Some(found) = finished(&folder)? {
            tell(&format!("have   {label}\n"));
            found
        } else if let Some(found) = train(
            &folder,
            &label,
            config,
            &variant.name,
            &dataset,
            &chosen,
            &interrupt,
        )? {
            found
        } else {
            tell(&format!(
                "interrupted in {label}, checkpoint saved; the same command goes on\n"
            ));
            return Ok(Outcome::Interrupted);
        };
        results.insert((variant.name.as_str(), seed), found);
    }

    // Only now is there what all discriminators can be asked about.
    let reals = Reals::of(&dataset, Split::Test);
    for &seed in &plan.seeds {
        let mut judges = Vec::new();
        let mut made = Vec::new();
        for variant in &plan.variants {
            let result = results.get(&(variant.name.as_str(), seed));
            if result.is_none_or(|result| result.diverged.is_some()) {
                continue;
            }
            let checkpoint = run_dir::trained(
                &out.join(format!("{}-{seed}", variant.name)),
                CheckpointArg::Latest,
            )?;
            made.push(reals.translated(&checkpoint.generator(&chosen.device)?, &chosen.device));
            if checkpoint.info.config.loss.adversarial_kind.tells_styles() {
                judges.push((variant, checkpoint.discriminator(&chosen.device)?));
            }
        }
        if made.is_empty() {
            continue;
        }
        let composites = reals.composites(&made.iter().map(Vec::as_slice).collect::<Vec<_>>());
        for (variant, judge) in judges {
            let found = composites.localised(&judge, &chosen.device);
            if let Some(result) = results.get_mut(&(variant.name.as_str(), seed)) {
                result.localised("pooled", found);
            }
        }
    }
    let comparison = Comparison::new(&plan, results.into_values().collect());
    let table = comparison.to_markdown();
    let mut json = serde_json::to_string_pretty(&comparison)?;
    json.push('\n');
    run_dir::write_whole(&out.join("table.md"), table.as_bytes())?;
    run_dir::write_whole(&out.join("table.json"), json.as_bytes())?;
    tell(&format!(
        "\n{table}\ndone   look at {}\n",
        out.join("table.md").display()
    ));
    Ok(Outcome::Done)
}

/// Refuses a folder that holds something else than this ablation.
fn require_own(out: &Path, plan: &Plan) -> Result<()> {
    let kept = out.join(PLAN);
    if kept.is_file() {
        let text = fs::read_to_string(&kept).map_err(|e| io("read", &kept, &e))?;
        if text == plan.to_toml() {
            return Ok(());
        }
        return Err(input(format!(
            "another ablation was begun here; give a new --out, or its own plan to go on: {}",
            kept.display()
        )));
    }
    run_dir::require_unused(out)
}

/// The result of a training that has come to its end.
fn finished(folder: &Path) -> Result<Option<Trained>> {
    let file = folder.join(RESULT);
    if !file.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(&file).map_err(|e| io("read", &file, &e))?;
    let found = serde_json::from_str(&text).map_err(|e| {
        input(format!(
            "the result is damaged ({e}); delete its folder to train that variant again: {}",
            file.display()
        ))
    })?;
    Ok(Some(found))
}

/// One training to its end, and its figures; `None` if interrupted, with a checkpoint to go on from.
fn train(
    folder: &Path,
    label: &str,
    config: demotic_core::config::Config,
    variant: &str,
    dataset: &Dataset,
    chosen: &Chosen,
    interrupt: &InterruptGuard,
) -> Result<Option<Trained>> {
    let config_file = folder.join("config.toml");
    let (seed, steps) = (config.seed, config.train.steps);
    let mut trainer = Trainer::new(config.clone(), dataset, &chosen.device)?;
    let run = if config_file.is_file() {
        let run = RunDir::existing(folder)?;
        if run.checkpoints().is_dir()
            && let Some(latest) = latest_checkpoint(&run.checkpoints())?
        {
            trainer.restore(&Checkpoint::load(&latest)?)?;
        }
        run
    } else {
        RunDir::fresh(folder)?
    };
    run_dir::write_whole(&config_file, config.to_toml(true).as_bytes())?;
    tell(&format!(
        "train  {label}  from step {} of {steps}\n",
        trainer.step()
    ));
    if trainer.step() == 0 {
        // Something to go back to from the first step on.
        trainer.save(&run.checkpoints())?;
    }
    // Steps taken here and now: those of an earlier, interrupted command are not timed.
    let (started, mut taken) = (Instant::now(), 0_u32);
    let mut diverged = None;
    while trainer.step() < steps && !interrupt.is_requested() {
        taken += 1;
        let pace = started.elapsed().as_secs_f64() / f64::from(taken);
        match advance(&mut trainer, &run, pace) {
            Ok(()) => {}
            Err(error) => match error.downcast::<Error>() {
                Ok(Error::Diverged { step, what }) => {
                    let what = format!("step {step}: {what}");
                    if trainer.rollbacks() >= trainer.config().train.rollbacks_max {
                        tell(&format!("failed {label} diverged, {what}\n"));
                        diverged = Some(what);
                        break;
                    }
                    trainer.roll_back(&run.checkpoints())?;
                    tell(&format!(
                        "back   {what}; on from step {}, both rates times {}\n",
                        trainer.step(),
                        trainer.rate_scale()
                    ));
                }
                Ok(other) => return Err(other.into()),
                Err(other) => return Err(other),
            },
        }
    }
    if diverged.is_none() && trainer.step() < steps {
        trainer.save(&run.checkpoints())?;
        return Ok(None);
    }
    let secs_a_step = started.elapsed().as_secs_f64() / f64::from(taken.max(1));
    let mut result = Trained {
        variant: variant.to_owned(),
        seed,
        steps,
        figures: BTreeMap::new(),
        rollbacks: trainer.rollbacks(),
        diverged,
    };
    if result.diverged.is_none() {
        result.figures = pictures(&trainer, dataset, chosen);
        if taken > 0 {
            result.figures.insert("secs_a_step".into(), secs_a_step);
        }
        if trainer.config().loss.adversarial_kind.tells_styles() {
            let reals = Reals::of(dataset, Split::Test);
            let made = reals.translated(trainer.average(), &chosen.device);
            let found = reals
                .composites(&[&made])
                .localised(&trainer.judge(), &chosen.device);
            result.localised("own", found);
        }
    }
    let text = serde_json::to_string_pretty(&result)?;
    // Last: a folder with a result is finished.
    run_dir::write_whole(&folder.join(RESULT), text.as_bytes())?;
    Ok(Some(result))
}

/// One step, with a line and a checkpoint where they are due and at the end. `pace` is in seconds a step.
fn advance(trainer: &mut Trainer<'_>, run: &RunDir, pace: f64) -> Result<()> {
    trainer.advance()?;
    let (step, t) = (trainer.step(), trainer.config().train.clone());
    if (step.is_multiple_of(t.tick_steps) || step == t.steps)
        && let Some(tick) = trainer.tick()?
    {
        tell(&format!(
            "step   {step}/{}  d_real {:.3}  d_fake {:.3}  d_mix {:.3}  g_adv {:.3}  g_rec {:.4}  left {}\n",
            t.steps,
            tick.d_real,
            tick.d_fake,
            tick.d_composite,
            tick.g_adversarial,
            tick.g_reconstruction,
            duration(pace * (t.steps - step) as f64)
        ));
    }
    if step.is_multiple_of(t.checkpoint_steps) || step == t.steps {
        trainer.save(&run.checkpoints())?;
    }
    Ok(())
}

/// Figures of held-out translations, mean over directions.
fn pictures(trainer: &Trainer<'_>, dataset: &Dataset, chosen: &Chosen) -> BTreeMap<String, f64> {
    let size = dataset.size_px() as usize;
    let mut translator = |pictures: &[f32], _from: usize, to: usize| {
        let generator = trainer.average();
        let count = pictures.len() / (generator.channels() * size * size);
        let styles = vec![to as u32; count];
        Ok::<_, Infallible>(translate::translate(
            generator,
            &chosen.device,
            pictures,
            size,
            &styles,
        ))
    };
    let Ok(evaluation) = metric::evaluate(dataset, Split::Test, Some(&mut translator));
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let paired = |figure: fn(&Measured) -> Option<f64>| -> Vec<f64> {
        let of = |direction: &Direction| direction.model.as_ref().and_then(figure);
        evaluation.directions.iter().filter_map(of).collect()
    };
    let mut kid = paired(|m| m.kid.map(|kid| kid.value));
    let sets = evaluation.unpaired.iter().filter_map(|d| d.model);
    kid.extend(sets.map(|m| m.kid.value));
    [
        ("l1", mean(paired(|m| Some(m.l1.value)))),
        ("ssim", mean(paired(|m| Some(m.ssim.value)))),
        ("perceptual", mean(paired(|m| Some(m.perceptual.value)))),
        ("kid", mean(kid)),
    ]
    // Without a pair there is no figure, and JSON has no word for that.
    .into_iter()
    .filter(|(_, value)| value.is_finite())
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
