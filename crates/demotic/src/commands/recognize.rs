//! `demotic recognize`: pictures through the discriminator of a run.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use demotic_core::data::Picture;
use demotic_core::files::write_whole;
use demotic_core::metric::NAMES_NO_STYLE;
use demotic_core::number::Real;
use demotic_core::recognize::{self, Opinion};
use demotic_core::settings::DiscriminatorConfig;
use demotic_core::train::run::trained;
use image::ExtendedColorType;
use serde::Serialize;

use crate::cli::RecognizeArgs;
use crate::failure::input;
use crate::inputs::{self, Existing, Job};
use crate::options::open_device;
use crate::output::{make_folder, say, show};
use crate::sheet;
use crate::waiting::Count;

/// What is reported of a picture.
#[derive(Serialize)]
struct Recognized<'a> {
    picture: String,
    style: &'a str,
    probability: f32,
    /// Given that it is real; sums to 1.
    styles: BTreeMap<&'a str, f32>,
    /// Mean over patches.
    fake: f32,
    /// Rows from the top, of the square that the picture is laid in: probability that a patch is fake.
    patches: Vec<&'a [f32]>,
    /// Where the picture lies in that square, in patches.
    place: Place,
    #[serde(skip_serializing_if = "Option::is_none")]
    heat_map: Option<String>,
}

/// A box, in patches from the upper left corner of the square.
#[derive(Serialize)]
struct Place {
    left: f32,
    top: f32,
    width: f32,
    height: f32,
}

impl Place {
    fn of(picture: &Picture, size_px: u32) -> Self {
        let stride = DiscriminatorConfig::PATCH_STRIDE.to_f32();
        let [left, top, width, height] = picture.place_in(size_px).map(|px| px.to_f32() / stride);
        Self {
            left,
            top,
            width,
            height,
        }
    }
}

pub(crate) fn run(args: &RecognizeArgs) -> Result<()> {
    let run = &args.weights.run;
    let checkpoint = trained(run, args.weights.checkpoint)?;
    let info = &checkpoint.info;
    if !info.config.loss.adversarial_kind.tells_styles() {
        return Err(input(format!(
            "{NAMES_NO_STYLE}; train with `likelihood` to ask it: {}",
            run.display()
        )));
    }
    let data = &info.config.data;
    let background = data
        .background_rgb()
        .map_err(|problem| demotic_core::Error::Config(vec![problem]))?;
    let (pictures, others) = inputs::find(&args.inputs)?;
    let existing = if args.force.force {
        Existing::Replace
    } else {
        Existing::Refuse
    };
    let jobs: Vec<(std::path::PathBuf, Option<std::path::PathBuf>)> = match &args.out {
        Some(out) => inputs::with_outputs(pictures, out, existing)?
            .0
            .into_iter()
            .map(|Job { input, output }| (input, Some(output)))
            .collect(),
        None => pictures
            .into_iter()
            .map(|picture| (picture, None))
            .collect(),
    };
    let chosen = open_device(&args.device.device)?;
    let discriminator = checkpoint.discriminator(&chosen.device)?;
    let folder = jobs
        .first()
        .and_then(|(_, output)| output.as_deref()?.parent())
        .filter(|folder| *folder != Path::new(""));
    if let Some(folder) = folder {
        make_folder(folder, &[] as &[&Path], true)?;
    }

    let bar = Count::new(jobs.len(), "pictures", !args.json);
    let mut problems = Vec::new();
    let mut queue = jobs.iter().peekable();
    let (mut lines, mut records) = (Vec::new(), Vec::new());
    let width = info.styles.iter().map(String::len).max().unwrap_or(0);
    while queue.peek().is_some() {
        let (held, failed) = inputs::open_some(&mut queue, |(input, _)| {
            Picture::open_or_draw(input, data.size_px)
        });
        problems.extend(failed);
        let (held, pictures): (Vec<_>, Vec<Picture>) = held.into_iter().unzip();
        let opinions = recognize::recognize(
            &discriminator,
            &chosen.device,
            &pictures,
            data.size_px,
            background,
            data.channels,
            data.fit,
        );
        for (((input, output), picture), opinion) in held.into_iter().zip(&pictures).zip(&opinions)
        {
            if let Some(output) = output {
                let map = recognize::heat_map(picture, opinion, data.size_px, background);
                let (columns, rows) = (picture.width_px, picture.height_px);
                let bytes = sheet::png(&map, columns, rows, ExtendedColorType::Rgb8, output)?;
                write_whole(output, &bytes)?;
            }
            let place = Place::of(picture, data.size_px);
            let recognized = recognized(opinion, &info.styles, place, input, output.as_deref());
            lines.push(format!(
                "{:width$}  {:5.1} %  fake {:5.1} %  {}",
                recognized.style,
                recognized.probability * 100.0,
                recognized.fake * 100.0,
                recognized.picture
            ));
            records.push(serde_json::to_value(recognized)?);
            bar.one();
        }
    }
    drop(bar);
    if args.json {
        say(&format!("{}\n", serde_json::to_string_pretty(&records)?))?;
    } else {
        lines.push(format!(
            "{} of {} pictures recognised by step {} of {}, on {}",
            records.len(),
            jobs.len(),
            info.step,
            run.display(),
            chosen.description
        ));
        lines.extend(inputs::passed_over(&others));
        lines.push(String::new());
        show(&lines.join("\n"))?;
    }
    inputs::settle(problems, jobs.len(), "recognised")
}

fn recognized<'a>(
    opinion: &'a Opinion,
    styles: &'a [String],
    place: Place,
    input: &Path,
    output: Option<&Path>,
) -> Recognized<'a> {
    let style = opinion.style();
    let names = styles.iter().map(String::as_str);
    Recognized {
        picture: input.display().to_string(),
        style: &styles[style],
        probability: opinion.styles[style],
        styles: names.zip(opinion.styles.iter().copied()).collect(),
        fake: opinion.fake,
        patches: opinion.patches.chunks(opinion.grid).collect(),
        place,
        heat_map: output.map(|path| path.display().to_string()),
    }
}
