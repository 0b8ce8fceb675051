//! `demotic evaluate --drawings`: line drawings without counterparts, by how much of them is coloured.

use anyhow::Result;
use demotic_core::Translator;
use demotic_core::data::Picture;
use demotic_core::metric::Coloured;
use demotic_core::table::{Column, Table};
use image::RgbaImage;
use serde::Serialize;

use super::scored::{is_told, report};
use crate::cli::EvaluateArgs;
use crate::failure::input;
use crate::inputs;
use crate::options::warn_of_software;
use crate::terminal::Terminal;
use crate::waiting::Count;

/// Longer side at which drawings without pixels of their own are scored.
const SIZE_PX: u32 = 256;

/// One style's row.
#[derive(Serialize)]
struct Row<'a> {
    style: &'a str,
    drawings: usize,
    #[serde(flatten)]
    counts: Coloured,
    enclosed_share: Option<f64>,
    canvas_share: Option<f64>,
}

pub(crate) fn run(args: &EvaluateArgs) -> Result<()> {
    let run = &args.weights.run;
    let translator =
        Translator::open_checkpoint(run, args.weights.checkpoint, &args.device.device)?;
    warn_of_software([translator.device()]);
    let styles: Vec<&str> = if args.to.is_empty() {
        translator.styles().iter().map(String::as_str).collect()
    } else {
        args.to.iter().map(String::as_str).collect()
    };
    let styles = styles
        .into_iter()
        .map(|style| Ok((style, translator.to(style)?)));
    let styles = styles.collect::<Result<Vec<_>>>()?;
    let (files, others) = inputs::find(&args.drawings)?;
    let mut counts = vec![Coloured::default(); styles.len()];
    let bar = Count::new(styles.len() * files.len(), "translations", is_told(args));
    let mut queue = files.iter().peekable();
    let mut problems = Vec::new();
    let mut scored = 0;
    while queue.peek().is_some() {
        let (held, failed) = inputs::open_some(&mut queue, |path| {
            let picture = Picture::open_or_draw(path, SIZE_PX)?;
            Ok(if args.white_paper {
                picture.with_white_paper()
            } else {
                picture
            })
        });
        problems.extend(failed);
        scored += held.len();
        let images = held.iter().map(|(_, picture)| image_of(picture));
        let images = images.collect::<Result<Vec<_>>>()?;
        for ((_, style), counts) in styles.iter().zip(&mut counts) {
            for ((_, drawing), translation) in held.iter().zip(style.pictures(&images)) {
                *counts += Coloured::of(drawing, &translation.into(), translator.background());
                bar.one();
            }
        }
    }
    drop(bar);
    let rows: Vec<Row<'_>> = styles
        .iter()
        .zip(counts)
        .map(|((style, _), counts)| Row {
            style,
            drawings: scored,
            counts,
            enclosed_share: counts.share(),
            canvas_share: counts.canvas_share(),
        })
        .collect();
    if rows.iter().all(|row| row.counts.enclosed == 0) && scored > 0 {
        return Err(input(format!(
            "the lines of these {scored} drawings enclose nothing: every pixel without ink is joined to the border; give drawings \
             with closed outlines"
        )));
    }
    let lines = inputs::passed_over(&others).into_iter();
    let text: String = shown(&rows)
        .into_iter()
        .chain(lines)
        .map(|line| line + "\n")
        .collect();
    report(args, &rows, &text)?;
    inputs::settle(problems, files.len(), "scored")
}

/// A picture as the library takes it.
fn image_of(picture: &Picture) -> Result<RgbaImage> {
    let (width, height) = (picture.width_px, picture.height_px);
    RgbaImage::from_raw(width, height, picture.straight_rgba())
        .ok_or_else(|| input(format!("a picture of {width} x {height} has other pixels")))
}

/// The table's lines.
fn shown(rows: &[Row<'_>]) -> Vec<String> {
    let mut table = Table::new([
        Column::text("into").at_least(8),
        Column::figure("drawings"),
        Column::figure("enclosed coloured"),
        Column::figure("canvas coloured"),
    ]);
    let percent =
        |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.1} %", 100.0 * share));
    for row in rows {
        let cells = [
            row.style.to_owned(),
            row.drawings.to_string(),
            percent(row.enclosed_share),
            percent(row.canvas_share),
        ];
        table.push(cells.map(Into::into));
    }
    table.fitted(Terminal::of_table()).lines
}
