//! `demotic translate`: pictures and folders of pictures through a trained run.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use demotic_core::data::{Channels, DataError, Picture};
use demotic_core::files::write_whole;
use demotic_core::train::run::trained;
use demotic_core::translate::{self, AlphaRule, CodeSource, Framed, PaperRule};

use crate::cli::{AlphaArg, PaperArg, TranslateArgs};
use crate::failure::input;
use crate::hints::{Hint, Known};
use crate::inputs::{self, Existing, Job};
use crate::options::open_device;
use crate::output::{duration, make_folder, show};
use crate::sheet;
use crate::waiting::Count;

pub(crate) fn run(args: &TranslateArgs) -> Result<()> {
    let run = &args.weights.run;
    let checkpoint = trained(run, args.weights.checkpoint)?;
    let info = &checkpoint.info;
    let style = info.style_number(&args.to)?;
    if args.alpha == AlphaArg::Redraw && info.config.data.channels == Channels::Rgba {
        return Err(input(
            "--alpha redraw: this run draws its own transparency (data.channels = rgba); leave --alpha out",
        ));
    }
    let background = info
        .config
        .data
        .background_rgb()
        .map_err(|problem| demotic_core::Error::Config(vec![problem]))?;
    let (pictures, others) = inputs::find(&args.inputs)?;
    let (jobs, kept) = inputs::with_outputs(pictures, &args.out, existing(args))?;
    if jobs.is_empty() {
        return show(&format!(
            "nothing to do: {kept} translations are there already: {}\n",
            args.out.display()
        ));
    }
    let chosen = open_device(&args.device.device)?;
    let generator = checkpoint.generator(&chosen.device)?;
    let data = &info.config.data;
    let paper = match args.paper {
        PaperArg::Auto => PaperRule::of(&generator),
        PaperArg::Redraw => PaperRule::Redraw,
    };
    let framed = |picture| {
        Framed::new(picture, data.size_px, background, data.channels)
            .fitted(data.fit)
            .with_paper(paper)
    };
    let source = code_source(args, framed, data.size_px)?;
    let code = translate::style_codes(&generator, &info.config, &chosen.device, style, 1, &source)?;
    make_folder_of(&jobs)?;

    let started = Instant::now();
    let bar = Count::new(jobs.len(), "pictures", true);
    let open = |job: &Job| open(job, args, data.size_px);
    let rule = rule(args.alpha);
    let known = Known::of(info, paper == PaperRule::Auto && background == [255; 3]);
    let (mut done, mut hidden, mut problems, mut hints) = (0, 0, Vec::new(), Vec::new());
    let mut queue = jobs.iter().peekable();
    while queue.peek().is_some() {
        let (opened, failed) = inputs::open_some(&mut queue, open);
        problems.extend(failed);
        if !args.white_paper {
            hints.extend(opened.iter().filter_map(|(_, picture)| known.hint(picture)));
        }
        let (taken, held): (Vec<&Job>, Vec<Framed>) = opened
            .into_iter()
            .map(|(job, picture)| (job, framed(picture)))
            .unzip();
        let translated = translate::translate_whole(&generator, &chosen.device, held, &code, rule);
        for (job, picture) in taken.into_iter().zip(translated) {
            hidden += usize::from(rule == AlphaRule::Keep && picture.is_hiding());
            write_whole(&job.output, &sheet::translation_png(&picture, &job.output)?)?;
            done += 1;
            bar.one();
        }
    }
    drop(bar);

    let mut lines = vec![format!(
        "{done} of {} pictures translated to {} in {}, by step {} of {}, on {}: {}",
        jobs.len(),
        info.styles[style as usize],
        duration(started.elapsed().as_secs_f64()),
        info.step,
        run.display(),
        chosen.description,
        args.out.display()
    )];
    if kept > 0 {
        lines.push(format!("{kept} translations were there already and stay"));
    }
    lines.extend(inputs::passed_over(&others));
    if hidden > 0 {
        lines.push(format!("{hidden} translations paint where their input is transparent, which hides it; --alpha redraw shows it"));
    }
    lines.push(String::new());
    show(&lines.join("\n"))?;
    inputs::settle(problems, jobs.len(), "translated")?;
    tell(&hints);
    Ok(())
}

/// Says on standard error what would help pictures of other kinds than the weights know.
fn tell(hints: &[Hint]) {
    for hint in Hint::ALL {
        let count = hints.iter().filter(|other| **other == hint).count();
        if count > 0 {
            let words = hint.words();
            // A hint that cannot be written is no error.
            let _ = writeln!(std::io::stderr(), "note: {words} (pictures: {count})");
        }
    }
}

/// Where the style code comes from: a picture of the style, a seed, or the style's own.
fn code_source(
    args: &TranslateArgs,
    framed: impl Fn(Picture) -> Framed,
    size_px: u32,
) -> Result<CodeSource> {
    Ok(match (&args.reference, args.style_seed) {
        (Some(path), _) => {
            let picture = Picture::open_or_draw(path, size_px)?;
            // It is seen as it is drawn.
            CodeSource::Picture(framed(picture).with_paper(PaperRule::Redraw).square())
        }
        (None, Some(seed)) => CodeSource::Seed(seed),
        (None, None) => CodeSource::Typical,
    })
}

/// A picture at its own size, or with a longer side of `--size-px`; a drawing has at least the run's.
fn open(job: &Job, args: &TranslateArgs, run_px: u32) -> Result<Picture, DataError> {
    let mut picture = Picture::open_or_draw(&job.input, args.size_px.unwrap_or(run_px))?;
    if let Some(longer_px) = args.size_px {
        picture = picture.with_longer_side(longer_px);
    }
    Ok(if args.white_paper {
        picture.with_white_paper()
    } else {
        picture
    })
}

fn rule(alpha: AlphaArg) -> AlphaRule {
    match alpha {
        AlphaArg::Auto => AlphaRule::Auto,
        AlphaArg::Keep => AlphaRule::Keep,
        AlphaArg::Redraw => AlphaRule::Redraw,
    }
}

/// What happens to translations that are there already.
fn existing(args: &TranslateArgs) -> Existing {
    match (args.force.force, args.skip_existing) {
        (true, _) => Existing::Replace,
        (_, true) => Existing::Keep,
        _ => Existing::Refuse,
    }
}

/// Makes the folder that results are written to: all lie in one.
fn make_folder_of(jobs: &[Job]) -> Result<()> {
    let folder = match jobs.first().and_then(|job| job.output.parent()) {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    make_folder(folder, &[] as &[&Path], true)
}
