//! `demotic ablate`: the same training with one thing changed, over several seeds, and a table of what came
//! out.
//!
//! Every training is a run of its own in a sub-folder, so each can be looked at, translated with and
//! evaluated. What is finished is never done again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use demotic_core::check::ablation::{Comparison, Outcome as Trained, Plan, Reals, Variant};
use demotic_core::data::{CachePolicy, Dataset, Split};
use demotic_core::device::Chosen;
use demotic_core::files::write_whole;
use demotic_core::metric::{Validator, evaluate_translations};
use demotic_core::settings::Config;
use demotic_core::table::{WHOLE, wrapped};
use demotic_core::train::run::{RunDir, checkpoint, require_unused};
use demotic_core::train::{Ending, Session, Trainer};

use super::ablate_screen::{Screen, report};
use super::{ablate_page, scored};
use crate::cli::AblateArgs;
use crate::failure::{Outcome, input, io};
use crate::options::{dataset_options, located, open_device};
use crate::page;
use crate::progress::InterruptGuard;
use crate::recipes::plan_text;
use crate::samples::{Samples, sheet_names};
use crate::terminal::Terminal;

/// The plan as it was begun.
const PLAN: &str = "plan.toml";
/// Figures of one training.
const RESULT: &str = "result.json";

pub(crate) fn run(args: &AblateArgs) -> Result<Outcome> {
    let text = plan_text(&args.plan)?;
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
    let chosen = open_device(&args.device.device)?;
    fs::create_dir_all(&out).map_err(|e| io("make the folder of the ablation", &out, &e))?;
    write_whole(&out.join(PLAN), plan.to_toml().as_bytes())?;
    if let Some(legend) = sheet_names(&dataset).legend() {
        report(&format!("names  in samples/, {legend}\n"));
    }

    let interrupt = InterruptGuard::new()?;
    // Seeds outside: after the first all variants can be compared.
    let pairs: Vec<(u64, &Variant)> = plan
        .seeds
        .iter()
        .flat_map(|&seed| plan.variants.iter().map(move |variant| (seed, variant)))
        .collect();
    let mut results: BTreeMap<(String, u64), Trained> = BTreeMap::new();
    let page = out.join("report.html");
    for (i, &(seed, variant)) in pairs.iter().enumerate() {
        let folder = Plan::folder(&out, variant, seed);
        let label = format!("{} of {}  {} seed {seed}", i + 1, pairs.len(), variant.name);
        let mut config = plan.config(variant, seed)?;
        config.data.source = located(&config.data.source);
        let found = if let Some(found) = Trained::load(&folder.join(RESULT))? {
            report(&format!("have   {label}\n"));
            found
        } else if let Some(found) = train(
            &folder,
            &label,
            &config,
            (variant, &plan),
            &dataset,
            &chosen,
            &interrupt,
        )? {
            // All so far on one page, while others are still trained.
            let mut so_far: Vec<Trained> = results.values().cloned().collect();
            so_far.push(found.clone());
            let comparison = Comparison::new(&plan, so_far);
            ablate_page::write(&page, &name.to_string_lossy(), &plan, &comparison)?;
            found
        } else {
            report(&format!(
                "interrupted in {label}, checkpoint saved; the same command goes on\n"
            ));
            return Ok(Outcome::Interrupted);
        };
        results.insert((variant.name.clone(), seed), found);
    }

    plan.pool(&out, &dataset, &chosen.device, &mut results)?;
    let comparison = Comparison::new(&plan, results.into_values().collect());
    let table = comparison.to_markdown();
    let mut json = serde_json::to_string_pretty(&comparison)?;
    json.push('\n');
    write_whole(&out.join("table.md"), table.as_bytes())?;
    write_whole(&out.join("table.json"), json.as_bytes())?;
    ablate_page::write(&page, &name.to_string_lossy(), &plan, &comparison)?;
    // A program, and what keeps it, gets the file's own Markdown.
    let columns = Terminal::of_table();
    let shown = if columns == WHOLE {
        table
    } else {
        comparison.fitted(columns)
    };
    report(&format!("\n{shown}\ndone   look at {}\n", page.display()));
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
    let entries = fs::read_dir(out);
    if entries.is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(input(format!(
            "the folder is not empty and holds no ablation; nothing there is overwritten, give a new --out: {}",
            out.display()
        )));
    }
    Ok(require_unused(out)?)
}

/// One training to its end, and its figures; `None` if interrupted, with a checkpoint to go on from.
fn train(
    folder: &Path,
    label: &str,
    config: &Config,
    (variant, plan): (&Variant, &Plan),
    dataset: &Dataset,
    chosen: &Chosen,
    interrupt: &InterruptGuard,
) -> Result<Option<Trained>> {
    let (seed, steps) = (config.seed, config.train.steps);
    let mut trainer = Trainer::new(config.clone(), dataset, &chosen.device)?;
    let run = if folder.join("config.toml").is_file() {
        let run = RunDir::existing(folder)?;
        if let Some(checkpoint) = checkpoint(folder)? {
            trainer.restore(&checkpoint)?;
        }
        run.rewind(trainer.step())?;
        run
    } else {
        RunDir::fresh(folder)?
    };
    run.write_config(config)?;
    let colon = if variant.about.is_empty() { "" } else { ": " };
    let begun = format!(
        "train  {label}  from step {} of {steps}{colon}{}",
        trainer.step(),
        variant.about
    );
    report(&(wrapped(&begun, Terminal::of_table()) + "\n"));
    let samples = Samples::new(dataset);
    let mut screen = Screen {
        interrupt,
        started: Instant::now(),
        taken: 0,
        aside: Duration::ZERO,
        chosen,
        run: &run,
        samples: &samples,
        validator: if plan.is_sweep() {
            Validator::new(dataset, config.train.best_metric)?
        } else {
            None
        },
        patience: plan.patience(),
        is_stale: false,
    };
    let mut session = Session::new(trainer, &run)?;
    let diverged = match session.run(&mut screen)? {
        Ending::Done => None,
        Ending::Stopped if screen.is_stale && !interrupt.is_requested() => None,
        Ending::Stopped => return Ok(None),
        Ending::Diverged { step, what } => {
            let what = format!("step {step}: {what}");
            report(&format!("failed {label} diverged, {what}\n"));
            Some(what)
        }
    };
    let (trainer, pace) = (session.trainer(), screen.secs_a_step());
    let mut result = Trained {
        variant: variant.name.clone(),
        seed,
        steps,
        figures: BTreeMap::new(),
        rollbacks: trainer.rollbacks(),
        ended_early: screen.is_stale.then(|| trainer.step()),
        best: trainer.best().cloned(),
        diverged,
    };
    if result.diverged.is_none() {
        screen.sample(trainer)?;
        let evaluation =
            evaluate_translations(trainer.average(), &chosen.device, dataset, Split::Test);
        result.scored(&evaluation);
        scored::write(&evaluation, &run.evaluation_file())?;
        if let Some(pace) = pace {
            result.figures.insert("secs_a_step".into(), pace);
        }
        if trainer.config().loss.adversarial_kind.tells_styles() {
            let reals = Reals::of(dataset, Split::Test);
            let fakes = reals.translated(trainer.average(), &chosen.device);
            let composites = reals.composites(&[&fakes]);
            let found = composites.localised(&trainer.inference_discriminator(), &chosen.device);
            result.localised("own", found);
        }
    }
    page::write(folder, &run.report_file())?;
    let text = serde_json::to_string_pretty(&result)?;
    // Last: a folder with a result is finished.
    write_whole(&folder.join(RESULT), text.as_bytes())?;
    Ok(Some(result))
}
