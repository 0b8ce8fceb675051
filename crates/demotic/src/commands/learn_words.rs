//! `demotic learn-words`: the second stage of a run, on the phrases of its pictures; resumes where it was
//! left.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use demotic_core::data::Dataset;
use demotic_core::device::Chosen;
use demotic_core::files::{add_line, append, write_whole};
use demotic_core::number::Real;
use demotic_core::phrase::{
    self, LearnOptions, Learner, Phrases, Words, read_learnt, write_learnt,
};
use demotic_core::settings::{Config, LearnWords};
use demotic_core::train::run::{config as config_of, require_run};

use super::words;
use crate::cli::LearnArgs;
use crate::failure::{Outcome, input, io};
use crate::options::open_device;
use crate::output::{bytes, duration, show};
use crate::progress::{InterruptGuard, Journal};

/// Steps from one line to the next, and from one put away to the next.
const TICK_STEPS: u64 = 100;
/// Steps from which a run learns words at its end.
const AUTO_STEPS: u64 = 1000;
/// Folder of words in a run.
pub(super) const FOLDER: &str = "words";

/// The file that words are learnt into.
fn file_of(run: &Path) -> PathBuf {
    run.join(FOLDER).join("words.safetensors")
}

/// The file of figures.
fn stats_of(run: &Path) -> PathBuf {
    run.join(FOLDER).join("stats.jsonl")
}

/// The words of a run, where they are learnt.
pub(super) fn learnt(run: &Path, chosen: &Chosen) -> Result<Option<Words>> {
    let file = file_of(run);
    if !file.exists() {
        return Ok(None);
    }
    let table = phrase::load(&words::source(run)?)?;
    let (state, arrays) = read_learnt(&file)?;
    Ok(Some(Words::new(
        &table,
        state,
        &arrays,
        &chosen.device,
        &file,
    )?))
}

/// The words of a run that needs them.
pub(super) fn required(run: &Path, chosen: &Chosen) -> Result<Words> {
    require_run(run)?;
    learnt(run, chosen)?.ok_or_else(|| {
        input(format!(
            "this run has learnt no words yet; `demotic learn-words --run {}` does it in minutes: {}",
            run.display(),
            file_of(run).display()
        ))
    })
}

pub(crate) fn run(args: &LearnArgs) -> Result<Outcome> {
    let config = config_of(&args.run)?;
    if let Some(other) = args.set.iter().find(|set| !set.starts_with("words.")) {
        return Err(input(format!(
            "--set: expected words.KEY=VALUE, got `{other}`"
        )));
    }
    let config = Config::resolve(Some(&config.to_toml(false)), &args.set)?;
    let options = LearnOptions::new(args.seed.unwrap_or(config.seed), &config.words);
    let options = args.steps.map_or(options, |steps| options.of_steps(steps));
    let table = phrase::load(&config.data.source)?;
    let chosen = open_device(&args.device.device)?;
    if args.restart {
        for path in [file_of(&args.run), stats_of(&args.run)] {
            if path.exists() {
                std::fs::remove_file(&path).map_err(|e| io("drop what was learnt", &path, &e))?;
            }
        }
    }
    let interrupt = InterruptGuard::new()?;
    let mut report = |text: &str| show(&format!("{text}\n"));
    learn(&args.run, options, &table, &chosen, &interrupt, &mut report)
}

/// Learns the words of a run whose pictures are learnt, where its settings have it so: what hinders that is
/// reported and hinders nothing else.
pub(super) fn at_the_end(
    run: &Path,
    config: &Config,
    dataset: &Dataset,
    chosen: &Chosen,
    interrupt: &InterruptGuard,
    journal: &mut Journal,
) -> Result<Outcome> {
    let is_auto = config.words.learn == LearnWords::Auto;
    if config.words.learn == LearnWords::Never || is_auto && config.train.steps < AUTO_STEPS {
        return Ok(Outcome::Done);
    }
    let mut attempt = || -> Result<Outcome> {
        let table = phrase::load(&config.data.source)?;
        let keys = (0..dataset.item_count()).map(|item| dataset.item_key(item));
        if is_auto && !phrase::has_phrases(&table, keys) {
            return Ok(Outcome::Done);
        }
        let options = LearnOptions::new(config.seed, &config.words);
        let mut report = |text: &str| journal.say(text);
        learn(run, options, &table, chosen, interrupt, &mut report)
    };
    match attempt() {
        Ok(Outcome::Interrupted) => {
            journal.show(&format!(
                "the pictures are learnt to the end; go on with the words: demotic learn-words --run {}",
                run.display()
            ));
            Ok(Outcome::Interrupted)
        }
        Ok(done) => Ok(done),
        Err(error) => {
            journal.say(&format!("warn   no words: {error}"))?;
            Ok(Outcome::Done)
        }
    }
}

/// Learns where it was left, with a line a tick by `report`.
fn learn(
    run: &Path,
    options: LearnOptions,
    table: &Phrases,
    chosen: &Chosen,
    interrupt: &InterruptGuard,
    report: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<Outcome> {
    let folder = run.join(FOLDER);
    std::fs::create_dir_all(&folder).map_err(|e| io("make the folder of words", &folder, &e))?;
    let (file, stats) = (file_of(run), stats_of(run));
    let mut learner = Learner::new(table, options, &chosen.device)?;
    if file.exists() {
        let (state, arrays) = read_learnt(&file)?;
        learner.restore(&state, &arrays, &file)?;
    }
    let (before, all) = learner.progress();
    report(&format!(
        "words  {} phrases of {} ideas, {all} steps{}, on {}",
        table.phrases().len(),
        table.ideas().len(),
        if before > 0 {
            format!(", {before} of them done")
        } else {
            String::new()
        },
        chosen.description
    ))?;
    // Lines of steps that were not put away are learnt again.
    rewind(&stats, before)?;
    let mut lines = append(&stats)?;
    let started = Instant::now();
    let put_away =
        |learner: &Learner| write_whole(&file, &write_learnt(&learner.state(), &learner.arrays()));
    let (mut loss, mut saved) = (0.0_f64, before);
    let mut counted = 0_u32;
    while let Some(tick) = if interrupt.is_requested() {
        None
    } else {
        learner.step()?
    } {
        loss += f64::from(tick.loss);
        counted += 1;
        if !tick.step.is_multiple_of(TICK_STEPS) && tick.step != tick.steps {
            continue;
        }
        let (done, _) = learner.progress();
        let secs = started.elapsed().as_secs_f64();
        let left = secs / (done - before).to_f64() * (all - done).to_f64();
        let mean = loss / f64::from(counted);
        let line = serde_json::json!({
            "part": tick.part, "step": tick.step, "done": done, "loss": mean, "secs": secs, "held_out": tick.held_out,
        });
        add_line(&mut lines, &stats, &line.to_string())?;
        put_away(&learner)?;
        saved = done;
        (loss, counted) = (0.0, 0);
        let held_out = tick.held_out.map_or_else(String::new, |scores| {
            format!(
                "  held out: first {:.3}  five {:.3}",
                scores.first, scores.five
            )
        });
        report(&format!(
            "step   {:13} {:>5}/{}  loss {mean:>6.3}  left {:>6}{held_out}",
            tick.part.name(),
            tick.step,
            tick.steps,
            duration(left)
        ))?;
    }
    let (done, _) = learner.progress();
    if done > saved || before == all {
        put_away(&learner)?;
    }
    if done < all {
        report(&format!(
            "stop   {done} of {all} steps are kept; the same command goes on"
        ))?;
        return Ok(Outcome::Interrupted);
    }
    let size = std::fs::metadata(&file)
        .map_err(|e| io("look at what was learnt", &file, &e))?
        .len();
    report(&format!(
        "done   {} in {}: {}",
        bytes(size),
        duration(started.elapsed().as_secs_f64()),
        file.display()
    ))?;
    Ok(Outcome::Done)
}

/// Drops lines of steps after `done`.
fn rewind(stats: &Path, done: u64) -> Result<()> {
    let Ok(text) = std::fs::read_to_string(stats) else {
        return Ok(());
    };
    let keeps = |line: &&str| {
        let line: Option<serde_json::Value> = serde_json::from_str(line).ok();
        line.and_then(|line| line["done"].as_u64())
            .is_some_and(|step| step <= done)
    };
    let kept: String = text
        .lines()
        .filter(keeps)
        .flat_map(|line| [line, "\n"])
        .collect();
    Ok(write_whole(stats, kept.as_bytes())?)
}
