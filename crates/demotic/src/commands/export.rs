//! `demotic export`: a run's network as one file with a model card, or as a page for the browser.

use std::fs;
use std::path::Path;

use anyhow::Result;
use demotic_core::export::{Format, Terms, card};
use demotic_core::files::write_whole;
use demotic_core::number::Whole;
use demotic_core::settings::FilterKind;
use demotic_core::train::Checkpoint;
use demotic_core::train::run::trained;
use serde_json::json;

use crate::cli::{ExportArgs, FormatArg};
use crate::failure::{input, io};
use crate::output::{self, make_folder, show};
use crate::waiting::during;

/// The page, without what it runs.
const PAGE: &str = include_str!("../export.html");
/// What is waited for.
const WRITING: &str = "writing the network";
/// Where the network is named in it.
const ABOUT: &str = "ABOUT";
/// What the page needs of onnxruntime-web, in its order of loading.
const RUNTIME: [&str; 3] = [
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
];

/// Where they are to be had.
const SOURCE: &str =
    "package/dist of the npm package onnxruntime-web (npm pack onnxruntime-web, then tar xzf)";

pub(crate) fn run(args: &ExportArgs) -> Result<()> {
    let checkpoint = trained(args.run(), args.weights.checkpoint)?;
    let terms = Terms::of(args.run())?;
    match (&args.out, &args.web) {
        (Some(out), _) => file(args, out, &checkpoint, &terms),
        (None, Some(web)) => {
            let runtime = args.runtime.as_deref();
            runtime.map_or(Ok(()), require_runtime)?;
            page(args, web, runtime, &checkpoint, &terms)
        }
        (None, None) => unreachable!("the command line asks for one of them"),
    }
}

/// Refuses a folder of the runtime without all that the page needs.
fn require_runtime(runtime: &Path) -> Result<()> {
    let is_missing = |name: &&str| !runtime.join(name).is_file();
    let missing: Vec<&str> = RUNTIME.into_iter().filter(is_missing).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(input(format!(
        "no {} there; they are in {SOURCE}: {}",
        missing.join(", "),
        runtime.display()
    )))
}

/// One file and its card.
fn file(args: &ExportArgs, out: &Path, checkpoint: &Checkpoint, terms: &Terms) -> Result<()> {
    let format = match args.format {
        FormatArg::Weights => Format::Weights,
        FormatArg::Safetensors => Format::Safetensors,
        FormatArg::Onnx => Format::Onnx,
    };
    let (network, readme) = (out.join(format.file()), out.join("README.md"));
    make_folder(out, &[&network, &readme], args.force.force)?;
    let bytes = during(WRITING, true, || format.write(checkpoint, terms))?;
    write_whole(&network, &bytes)?;
    let card = card(checkpoint, terms, format, bytes.len());
    write_whole(&readme, card.as_bytes())?;
    let what = match format {
        Format::Weights => "weights in half precision",
        Format::Safetensors => "generator as arrays",
        Format::Onnx => "generator as ONNX",
    };
    show(&format!(
        "{what}, of step {}, {}, and a model card: {}\n",
        checkpoint.info.step,
        output::bytes(bytes.len().to_u64()),
        out.display()
    ))
}

/// A page, the network, and the runtime beside it.
fn page(
    args: &ExportArgs,
    web: &Path,
    runtime: Option<&Path>,
    checkpoint: &Checkpoint,
    terms: &Terms,
) -> Result<()> {
    let own = ["index.html", "model.onnx", "README.md"];
    let copied = runtime.map_or(&[][..], |_| &RUNTIME[..]);
    let files: Vec<_> = own
        .iter()
        .chain(copied)
        .map(|name| web.join(name))
        .collect();
    make_folder(web, &files, args.force.force)?;
    let bytes = during(WRITING, true, || Format::Onnx.write(checkpoint, terms))?;
    let info = &checkpoint.info;
    let data = &info.config.data;
    let background = data
        .background_rgb()
        .map_err(|problem| demotic_core::Error::Config(vec![problem]))?;
    let network = &info.config.generator;
    let filter = (network.filter == FilterKind::On).then(|| {
        json!({
            "reach": network.filter_reach,
            "edge": network.filter_edge,
            "edge_fake": network.filter_edge_fake,
        })
    });
    let about = json!({
        "styles": info.styles,
        "size": data.size_px,
        "planes": data.channels.count(),
        "background": background,
        "fit": data.fit.name(),
        // Where there is one, `translate` lays its changes into the picture, by the rules for a drawing.
        "filter": filter,
        "licence": terms.licence,
        "pictures": terms.pictures,
    });
    // No name of a style can end the element that it stands in.
    let about = about.to_string().replace('<', "\\u003c");
    write_whole(&files[0], PAGE.replace(ABOUT, &about).as_bytes())?;
    write_whole(&files[1], &bytes)?;
    let card = card(checkpoint, terms, Format::Onnx, bytes.len());
    write_whole(&files[2], card.as_bytes())?;
    let mut total = bytes.len();
    let mut next = String::new();
    if let Some(runtime) = runtime {
        for (name, to) in RUNTIME.iter().zip(&files[own.len()..]) {
            let from = runtime.join(name);
            let copied = fs::read(&from).map_err(|e| io("read", &from, &e))?;
            write_whole(to, &copied)?;
            total += copied.len();
        }
    } else {
        let missing = RUNTIME.iter().filter(|name| !web.join(name).is_file());
        let missing: Vec<&str> = missing.copied().collect();
        if !missing.is_empty() {
            next = format!(
                "copy {} beside it, from {SOURCE}; then ",
                missing.join(", ")
            );
        }
    }
    show(&format!(
        "a page of step {}, {}: {next}put the folder on any server of files, or look at it here:\nnext   python3 -m http.server --directory {}\n",
        info.step,
        output::bytes(total.to_u64()),
        web.display()
    ))
}
