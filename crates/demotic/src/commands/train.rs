//! `demotic train`: a run from its settings to its figures, with everything it leaves behind.

use std::fs;

use anyhow::Result;
use demotic_core::config::Config;
use demotic_core::data::{CachePolicy, Dataset, Split};
use demotic_core::device::{self, Chosen};
use demotic_core::train::Trainer;
use demotic_core::translate;

use super::{Outcome, evaluate};
use crate::cli::TrainArgs;
use crate::failure::{input, io};
use crate::options::{Target, TrainPlan, dataset_options};
use crate::progress::{InterruptGuard, Journal, LEGEND};
use crate::run_dir::{self, RunDir};
use crate::sheet::{self, Block};

/// Training pictures of a style on `samples/reals.png`.
const REALS: usize = 16;

pub(crate) fn run(args: &TrainArgs) -> Result<Outcome> {
    // Read everything that can be wrong before the first file is made.
    let plan = TrainPlan::new(args)?;
    let (mut held, mut checkpoint) = (None, None);
    match &plan.target {
        Target::Folder(path) => run_dir::require_unused(path)?,
        Target::Existing(path) => {
            held = Some(RunDir::existing(path)?);
            checkpoint = run_dir::checkpoint(path)?;
            let step = checkpoint
                .as_ref()
                .map_or(0, |checkpoint| checkpoint.info.step);
            if plan.config.train.steps < step {
                return Err(input(format!(
                    "--steps {} lies behind the run, which is at step {step}; give that or more: {}",
                    plan.config.train.steps,
                    path.display()
                )));
            }
        }
        Target::Numbered { .. } | Target::Nowhere => {}
    }
    let cache = if matches!(plan.target, Target::Nowhere) {
        CachePolicy::Off
    } else {
        CachePolicy::Platform
    };
    let dataset = Dataset::load(
        &plan.config.data.source,
        &dataset_options(&plan.config, cache)?,
    )?;
    let mut devices = device::open_all(&plan.device)?.into_iter();
    let chosen = devices.next().expect("a list has a first device");
    let others: Vec<Chosen> = devices.collect();
    let handles: Vec<_> = others.iter().map(|other| other.device.clone()).collect();
    let mut trainer = Trainer::on_devices(plan.config.clone(), &dataset, &chosen.device, &handles)?;
    if let Some(checkpoint) = &checkpoint {
        trainer.restore(checkpoint)?;
    }
    let samples = Samples::new(&dataset);
    let header = header(&plan.config, &chosen, &others, &dataset, &trainer, &samples)?;

    let mut journal = Journal::to_screen();
    let is_resumed = held.is_some();
    let run = match (held, &plan.target) {
        (Some(run), _) => run,
        (None, Target::Numbered { root, name }) => RunDir::numbered(root, name)?,
        (None, Target::Folder(path) | Target::Existing(path)) => RunDir::fresh(path)?,
        (None, Target::Nowhere) => {
            journal.say(&header)?;
            journal.say("dry run: nothing was written")?;
            return Ok(Outcome::Done);
        }
    };
    let steps = plan.config.train.steps;
    journal.show(&format!("run    {}", run.path().display()))?;
    if is_resumed {
        if trainer.step() >= steps && run.evaluation_file().exists() {
            journal.show(&format!(
                "done   step {} of {steps}: nothing left to train; --steps makes the run longer",
                trainer.step()
            ))?;
            return Ok(Outcome::Done);
        }
        resume(&run, &mut journal, &header, trainer.step(), steps)?;
    } else {
        journal.log_to(run.log_file())?;
        journal.say(&header)?;
        journal.say(LEGEND)?;
    }
    run_dir::write_whole(&run.config_file(), plan.config.to_toml(true).as_bytes())?;
    fs::create_dir_all(run.samples())
        .map_err(|e| io("make the folder of samples", &run.samples(), &e))?;
    if trainer.step() == 0 {
        sheet::save(&reals(&dataset), &run.samples().join("reals.png"))?;
        sheet::save(
            &samples.draw(&trainer, &chosen),
            &run.samples().join("init.png"),
        )?;
    }

    if !train(&mut trainer, &run, &mut journal, &samples, &chosen)? {
        journal.show(&format!(
            "interrupted at step {} of {steps}, checkpoint saved; go on with: demotic train --resume --out {}",
            trainer.step(),
            run.path().display()
        ))?;
        return Ok(Outcome::Interrupted);
    }

    journal.say(&format!(
        "end    step {}: held-out pictures (test) against their counterparts",
        trainer.step()
    ))?;
    let evaluation = evaluate::evaluate(
        trainer.average(),
        &trainer.judge(),
        &chosen,
        &dataset,
        Split::Test,
    );
    evaluate::write(&evaluation, &run.evaluation_file())?;
    journal.say(&evaluate::table(&evaluation, Split::Test))?;
    journal.show(&format!(
        "done   look at {}",
        run.sample_file(trainer.step()).display()
    ))?;
    Ok(Outcome::Done)
}

/// The steps, with a tick, a sample grid and a checkpoint where they are due and at the end. False if interrupted.
fn train(
    trainer: &mut Trainer<'_>,
    run: &RunDir,
    journal: &mut Journal,
    samples: &Samples<'_>,
    chosen: &Chosen,
) -> Result<bool> {
    let intervals = trainer.config().train.clone();
    let steps = intervals.steps;
    let stats_file = run.stats_file();
    let mut stats = run_dir::append(&stats_file)?;
    let interrupt = InterruptGuard::new()?;
    let mut saved = None;
    journal.start(trainer.step(), steps);
    while trainer.step() < steps && !interrupt.is_requested() {
        trainer.advance();
        let step = trainer.step();
        journal.advance(step);
        let is_due = |interval: u64| step.is_multiple_of(interval) || step == steps;
        if is_due(intervals.tick_steps)
            && let Some(tick) = trainer.tick()?
        {
            run_dir::add_line(&mut stats, &stats_file, &serde_json::to_string(&tick)?)?;
            journal.tick(&tick, steps)?;
        }
        if is_due(intervals.sample_steps) {
            sheet::save(&samples.draw(trainer, chosen), &run.sample_file(step))?;
        }
        if is_due(intervals.checkpoint_steps) {
            trainer.save(&run.checkpoints())?;
            saved = Some(step);
        }
    }
    journal.stop();
    if saved != Some(trainer.step()) && trainer.step() < steps {
        trainer.save(&run.checkpoints())?;
    }
    Ok(trainer.step() >= steps)
}

/// Brings the run's files back to the checkpoint. The log says what is not as it was.
fn resume(run: &RunDir, journal: &mut Journal, header: &str, step: u64, steps: u64) -> Result<()> {
    run.rewind(step)?;
    let before = fs::read_to_string(run.log_file()).unwrap_or_default();
    journal.show(header)?;
    journal.show(&format!("resume step {step} of {steps}"))?;
    journal.log_to(run.log_file())?;
    if before.is_empty() {
        journal.note(header)?;
        return journal.note(LEGEND);
    }
    for line in header
        .lines()
        .filter(|line| !before.lines().any(|old| old.contains(line)))
    {
        journal.note(&format!("resume at step {step} with: {line}"))?;
    }
    Ok(())
}

/// What a run is, in lines whose first word says what they are about.
fn header(
    config: &Config,
    chosen: &Chosen,
    others: &[Chosen],
    dataset: &Dataset,
    trainer: &Trainer<'_>,
    samples: &Samples<'_>,
) -> Result<String> {
    let (generator, discriminator) = trainer.parameter_counts();
    let crf = trainer
        .discriminator()
        .crf()
        .implementation(trainer.device())?;
    let mut devices = vec![format!("device {}", chosen.description)];
    devices.extend(others.iter().map(|other| other.description.clone()));
    if !others.is_empty() {
        devices.push(format!(
            "each takes 1/{} of every step; gradients are summed on the first",
            devices.len()
        ));
    }
    let mut lines = vec![
        format!("demotic {}", env!("CARGO_PKG_VERSION")),
        devices.join("\ndevice "),
        format!(
            "crf    {} over {} labels, {}",
            crf.name(),
            dataset.styles().len() + 1,
            config.discriminator.ties()
        ),
        dataset.summary().to_string().trim_end().to_owned(),
        format!("model  generator {generator} parameters, discriminator {discriminator}"),
        format!("show   {}", samples.what),
    ];
    if trainer.augment_prob() > 0.0 {
        lines.push(format!(
            "judge  the discriminator's pictures are varied, each way with probability {:.2}",
            trainer.augment_prob()
        ));
    }
    let resolved = config.to_toml(true);
    let mut section = "";
    for line in resolved.lines() {
        if line.starts_with('[') {
            section = line;
        } else if let Some(setting) = line.strip_suffix("# not the default") {
            lines.push(format!("set    {section} {}", setting.trim_end()));
        }
    }
    Ok(lines.join("\n"))
}

/// The inputs of the sample grids: the same ones for the whole run.
struct Samples<'a> {
    dataset: &'a Dataset,
    /// (style, item)
    inputs: Vec<(usize, usize)>,
    pictures: Vec<f32>,
    /// For the header line.
    what: String,
}

impl<'a> Samples<'a> {
    fn new(dataset: &'a Dataset) -> Self {
        let styles = dataset.styles().len();
        let rows = if styles <= 3 { 8 } else { 4 };
        // A data set of a few pictures may have none that is held out.
        let holds = |split: Split| (0..styles).all(|style| !dataset.items(style, split).is_empty());
        let split = [Split::Test, Split::Validation]
            .into_iter()
            .find(|&split| holds(split))
            .unwrap_or(Split::Train);
        let mut inputs = Vec::new();
        for style in 0..styles {
            let items = dataset.items(style, split);
            let count = rows.min(items.len());
            inputs.extend((0..count).map(|i| (style, items[i * items.len() / count])));
        }
        let pictures = inputs
            .iter()
            .flat_map(|&(style, item)| dataset.picture(style, item))
            .collect();
        let note = if split == Split::Train {
            ": too few pictures to hold any out"
        } else {
            ""
        };
        let what = format!(
            "samples/ translates {} {split} pictures{note}",
            inputs.len()
        );
        Self {
            dataset,
            inputs,
            pictures,
            what,
        }
    }

    /// A block a source style: the input, itself drawn again, and each translation beside the true picture.
    fn draw(&self, trainer: &Trainer<'_>, chosen: &Chosen) -> image::RgbImage {
        let dataset = self.dataset;
        let (styles, len) = (dataset.styles().len(), dataset.picture_len());
        let size = dataset.size_px() as usize;
        let sources: Vec<f32> = self
            .pictures
            .chunks_exact(len)
            .flat_map(|picture| picture.repeat(styles))
            .collect();
        let targets: Vec<u32> = (0..self.inputs.len())
            .flat_map(|_| 0..styles as u32)
            .collect();
        let made =
            translate::translate(trainer.average(), &chosen.device, &sources, size, &targets);
        let made = |row: usize, style: usize| &made[(row * styles + style) * len..][..len];
        let truths: Vec<Vec<Option<Vec<f32>>>> = self
            .inputs
            .iter()
            .map(|&(_, item)| {
                (0..styles)
                    .map(|to| {
                        dataset
                            .has_picture(to, item)
                            .then(|| dataset.picture(to, item))
                    })
                    .collect()
            })
            .collect();
        let blocks: Vec<Block<'_>> = (0..styles)
            .map(|from| {
                let mut columns = vec!["input".to_owned(), "again".to_owned()];
                for to in (0..styles).filter(|&to| to != from) {
                    columns.extend([
                        format!("{} / true", dataset.styles()[to].name),
                        String::new(),
                    ]);
                }
                let of_block = self
                    .inputs
                    .iter()
                    .enumerate()
                    .filter(|(_, (style, _))| *style == from);
                let rows = of_block.map(|(row, _)| {
                    let mut cells = vec![
                        Some(&self.pictures[row * len..][..len]),
                        Some(made(row, from)),
                    ];
                    for to in (0..styles).filter(|&to| to != from) {
                        cells.extend([Some(made(row, to)), truths[row][to].as_deref()]);
                    }
                    cells
                });
                Block {
                    title: format!(
                        "from {}, step {}",
                        dataset.styles()[from].name,
                        trainer.step()
                    ),
                    columns,
                    rows: rows.collect(),
                }
            })
            .collect();
        sheet::draw(&blocks, size, styles <= 3)
    }
}

/// Training pictures as they are, a row a style.
fn reals(dataset: &Dataset) -> image::RgbImage {
    let pictures: Vec<Vec<Vec<f32>>> = (0..dataset.styles().len())
        .map(|style| {
            let items = dataset.items(style, Split::Train);
            let count = REALS.min(items.len());
            (0..count)
                .map(|i| dataset.picture(style, items[i * items.len() / count]))
                .collect()
        })
        .collect();
    let blocks: Vec<Block<'_>> = pictures
        .iter()
        .zip(dataset.styles())
        .map(|(row, style)| Block {
            title: format!("{}, {} pictures", style.name, style.pictures),
            columns: vec![String::new(); row.len()],
            rows: vec![row.iter().map(|picture| Some(picture.as_slice())).collect()],
        })
        .collect();
    sheet::draw(&blocks, dataset.size_px() as usize, false)
}
