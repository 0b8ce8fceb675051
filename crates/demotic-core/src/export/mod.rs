//! A generator taken away from here: as ONNX for any runtime, as plain arrays, or as weights that this
//! program reads again; and the card that goes with each.

mod graph;
mod network;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use burn::tensor::Device;
use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;

use crate::arrays::Arrays;
use crate::error::Error;
use crate::settings::{FilterKind, GeneratorKind, StyleKind};
use crate::train::run::header;
use crate::train::{BUILT_IN, Checkpoint};
use graph::{Extent, Port};
use network::{PICTURE, STYLE, TRANSLATION};

/// What the weights in the program are.
const BUILT_IN_CARD: &str = include_str!("../../assets/weights/README.md");

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Generator and discriminator in half precision, for `--run` of this program.
    Weights,
    /// The averaged generator alone, as arrays by name.
    Safetensors,
    /// The averaged generator and its filter as a graph.
    Onnx,
}

impl Format {
    /// Name of the file.
    pub fn file(self) -> &'static str {
        match self {
            Self::Weights => "model.safetensors",
            Self::Safetensors => "generator.safetensors",
            Self::Onnx => "model.onnx",
        }
    }

    /// The file's bytes: the same weights, the same bytes.
    ///
    /// # Errors
    /// [`Error::Run`] where the weights do not fit their settings or have no half-precision value.
    pub fn write(self, checkpoint: &Checkpoint, terms: &Terms) -> Result<Vec<u8>, Error> {
        match self {
            Self::Weights => checkpoint.weights_file(),
            Self::Safetensors => safetensors(checkpoint, terms),
            Self::Onnx => onnx(checkpoint, terms),
        }
    }
}

/// Under which terms weights are, as far as that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// As model hubs name it, such as `cc-by-sa-4.0`; none where the pictures do not settle it.
    pub licence: Option<String>,
    /// Pictures of training and their licences, a line each.
    pub pictures: Vec<String>,
}

impl Terms {
    /// The terms of a run's folder, by its header; of the weights in the program, by their card. A file of
    /// weights does not say.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn of(run: &Path) -> Result<Self, Error> {
        if run == Path::new(BUILT_IN) {
            return Ok(Self::of_card(BUILT_IN_CARD));
        }
        let header = if run.is_dir() { header(run)? } else { None };
        let facts = header.iter().flat_map(|header| &header.facts);
        let pictures = facts
            .filter(|fact| fact.topic == "style")
            .map(|fact| fact.text.split_whitespace().collect::<Vec<_>>().join(" "));
        let pictures: Vec<String> = pictures.collect();
        // Share-alike settles it; the others leave a choice, which is not this program's.
        let is_alike = pictures.iter().any(|line| line.ends_with("CC-BY-SA-4.0"));
        Ok(Self {
            licence: is_alike.then(|| "cc-by-sa-4.0".into()),
            pictures,
        })
    }

    fn of_card(card: &str) -> Self {
        let licence = card.lines().find_map(|line| line.strip_prefix("license: "));
        let data = card.split("## Training data and licences").nth(1);
        let data = data.and_then(|rest| rest.split("\n## ").next());
        Self {
            licence: licence.map(str::to_owned),
            pictures: data
                .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
                .into_iter()
                .collect(),
        }
    }
}

/// What a program must know of a generator, by name.
fn facts(checkpoint: &Checkpoint, terms: &Terms) -> Vec<(&'static str, String)> {
    let info = &checkpoint.info;
    let (data, generator) = (&info.config.data, &info.config.generator);
    vec![
        ("styles", json(&info.styles)),
        ("channels", data.channels.name().to_owned()),
        ("value_range", "-1 to 1".into()),
        ("background", data.background.clone()),
        ("fit", data.fit.name().to_owned()),
        ("size_px", data.size_px.to_string()),
        ("size_multiple_px", multiple(generator).to_string()),
        (
            "license",
            terms.licence.clone().unwrap_or_else(|| "not stated".into()),
        ),
        ("pictures", terms.pictures.join("; ")),
        ("step", info.step.to_string()),
        ("settings", json(&info.config)),
    ]
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("plain data is JSON")
}

/// Sides of pictures are multiples of this.
fn multiple(generator: &crate::model::GeneratorConfig) -> usize {
    generator.latent_stride * if generator.context_blocks > 0 { 2 } else { 1 }
}

/// The weights of the averaged generator, which are those of its settings.
fn average(checkpoint: &Checkpoint) -> Result<Arrays, Error> {
    checkpoint.generator(&Device::flex())?;
    Ok(checkpoint.averaged())
}

fn safetensors(checkpoint: &Checkpoint, terms: &Terms) -> Result<Vec<u8>, Error> {
    let arrays = average(checkpoint)?;
    let bytes: Vec<Vec<u8>> = arrays
        .values()
        .map(|array| array.values.iter().flat_map(|v| v.to_le_bytes()).collect())
        .collect();
    let views = arrays.iter().zip(&bytes).map(|((name, array), bytes)| {
        let view = TensorView::new(Dtype::F32, array.shape.clone(), bytes);
        (name, view.expect("four bytes a value"))
    });
    // One entry: several would come in another order each time.
    let facts: serde_json::Map<String, serde_json::Value> = facts(checkpoint, terms)
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text.into()))
        .collect();
    let about = serde_json::Value::Object(facts).to_string();
    let metadata = HashMap::from([("demotic_generator".to_owned(), about)]);
    Ok(
        safetensors::serialize(views, Some(metadata))
            .expect("names are unique and views are whole"),
    )
}

fn onnx(checkpoint: &Checkpoint, terms: &Terms) -> Result<Vec<u8>, Error> {
    let weights = average(checkpoint)?;
    let config = &checkpoint.info.config;
    let channels = config.data.channels.count();
    let pictures = [
        Extent::Varies("batch"),
        Extent::Is(channels),
        Extent::Varies("height"),
        Extent::Varies("width"),
    ];
    let port = |name, is_float, extents| Port {
        name,
        is_float,
        extents,
    };
    let inputs = [
        port(PICTURE, true, &pictures),
        port(STYLE, false, &pictures[..1]),
    ];
    let about = format!(
        "Translates pictures [batch, {channels}, height, width], values -1 to 1, sides multiples of {}, into the styles of the given \
         numbers [batch]: {}.",
        multiple(&config.generator),
        checkpoint.info.styles.join(", ")
    );
    let graph = network::graph(&config.generator, &weights);
    Ok(graph.into_file(
        "demotic",
        &about,
        [&inputs, &[port(TRANSLATION, true, &pictures)]],
        &facts(checkpoint, terms),
    ))
}

/// What the arrays of a generator are, by what their names begin with.
const PARTS: [(&str, &str); 16] = [
    (
        "stem",
        "3x3 convolution of 2x2 patches of the picture (channel, then place in the patch)",
    ),
    (
        "downs",
        "each: leaky ReLU (slope 0.2 everywhere), 3x3 convolution, mean of 2x2 patches",
    ),
    (
        "encoder",
        "residual blocks: normalisation, convolution, twice",
    ),
    (
        "encoder_norm",
        "group normalisation (eight channels a group), scale and shift, leaky ReLU",
    ),
    (
        "to_posterior",
        "convolution to means, then log-variances; a translation takes the means",
    ),
    ("style", "one code per style, a row each"),
    ("from_latent", "convolution of the latent"),
    (
        "context",
        "residual blocks at half the latent's size, their result doubled and added",
    ),
    (
        "decoder",
        "residual blocks; norms.*.weight turn a style code into scale - 1 and shift",
    ),
    (
        "drawing.reader",
        "gated unit that codes in steps (recurrent generators)",
    ),
    (
        "drawing.painter",
        "gated unit that draws in steps (recurrent generators)",
    ),
    (
        "drawing.stroke",
        "what a step adds to the canvas (recurrent generators)",
    ),
    (
        "ups",
        "each: normalisation by the code, doubling, convolution",
    ),
    ("output", "normalisation by the code, convolution, tanh"),
    (
        "mapping",
        "noise to style codes (generator.style = latent); not part of a translation by a style's name",
    ),
    (
        "style_encoder",
        "pictures to style codes (generator.style = latent or reference); as mapping",
    ),
];

/// A README as model hubs read it: YAML first, then what a user must know of `bytes` bytes of a format.
pub fn card(checkpoint: &Checkpoint, terms: &Terms, format: Format, bytes: usize) -> String {
    let info = &checkpoint.info;
    let config = &info.config;
    let size = config.data.size_px;
    let (library, tag) = match format {
        Format::Weights => ("demotic", "safetensors"),
        Format::Safetensors => ("safetensors", "safetensors"),
        Format::Onnx => ("onnx", "onnx"),
    };
    let licence = match &terms.licence {
        Some(licence) => format!("license: {licence}"),
        None => "license: other\nlicense_name: that-of-the-training-pictures".into(),
    };
    let file = format.file();
    let mut card = format!(
        "---\nlibrary_name: {library}\npipeline_tag: image-to-image\n{licence}\ntags:\n- {tag}\n- image-to-image\n- style-transfer\n- gan\n---\n\n\
         # Pictures into {} styles: {}\n\n\
         A network made by demotic that translates pictures of {size} x {size} px between {} styles.\n\n\
         - Styles: {}\n- Step {}, batch {}, seed {}, data `{}` (contents {})\n- `{file}`: {bytes} bytes\n\n",
        info.styles.len(),
        info.styles.join(", "),
        info.styles.len(),
        numbered(&info.styles),
        info.step,
        config.train.batch,
        config.seed,
        config.data.source,
        info.dataset,
    );
    card.push_str("## Use\n\n");
    let used = match format {
        Format::Weights => format!(
            "Half precision; `average.*` is the averaged generator, `discriminator.*` the discriminator; the metadata entry `demotic` \
             has every setting as JSON.\n\n```\ndemotic translate --run {file} --to {} --out out/ picture.png\ndemotic evaluate --run {file}\n```\n",
            info.styles.last().map_or("STYLE", String::as_str)
        ),
        Format::Safetensors => arrays_explained(checkpoint),
        Format::Onnx => onnx_explained(checkpoint),
    };
    card.push_str(&used);
    card.push_str("\n## Training data\n\n");
    for line in &terms.pictures {
        // A write into a String cannot fail.
        let _ = writeln!(card, "- {line}");
    }
    if terms.pictures.is_empty() {
        card.push_str("- not recorded: name the pictures and their licences here\n");
    }
    card.push_str(
        "\nThe weights are derived from these pictures: respect their licences. With share-alike pictures (CC BY-SA) treat \
         the weights, and translations into that style, as share-alike too, and name the artists.\n\n## Limits\n\n\
         It knows the styles above and pictures like those of training; it guesses colours that the input does not say.\n",
    );
    card
}

/// `0 openmoji, 1 noto`
fn numbered(styles: &[String]) -> String {
    let named = styles.iter().enumerate();
    let named: Vec<String> = named.map(|(i, name)| format!("{i} {name}")).collect();
    named.join(", ")
}

fn arrays_explained(checkpoint: &Checkpoint) -> String {
    let mut text = String::from(
        "Single precision. Convolutions are `[outputs, inputs, 3, 3]` with a border of zeros, linear maps `[inputs, outputs]`; the \
         metadata entry `demotic_generator` has styles, value range, size and settings as JSON.\n\n| arrays | what they are |\n|---|---|\n",
    );
    let weights = checkpoint.averaged();
    for (part, what) in PARTS {
        let is_of = |name: &String| {
            name.strip_prefix(part)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '_']))
        };
        if weights.keys().any(is_of) {
            let _ = writeln!(text, "| `{part}.*` | {what} |");
        }
    }
    if checkpoint.info.config.generator.filter == FilterKind::On {
        text.push_str(
            "\nThe translation is laid into the picture along edges (`generator.filter`), which has no weights: the ONNX export has it as \
             operators.\n",
        );
    }
    text
}

fn onnx_explained(checkpoint: &Checkpoint) -> String {
    let info = &checkpoint.info;
    let generator = &info.config.generator;
    let (channels, size) = (info.config.data.channels, info.config.data.size_px);
    let count = channels.count();
    let mut text = format!(
        "ONNX, operator set {}, standard operators alone.\n\n| | name | shape | |\n|---|---|---|---|\n\
         | input | `{PICTURE}` | float32 [batch, {count}, height, width] | {}, -1 to 1, on {}; sides multiples of {}, best {size} |\n\
         | input | `{STYLE}` | int64 [batch] | number of the style to translate into, as above |\n\
         | output | `{TRANSLATION}` | float32 [batch, {count}, height, width] | as the picture |\n\n\
         Pictures that are not square came into the square by `data.fit = {}`: bring yours into it likewise.\n\n\
         ```python\nimport json, numpy, onnxruntime\nfrom PIL import Image\n\nmodel = onnxruntime.InferenceSession(\"{}\")\n\
         styles = json.loads(model.get_modelmeta().custom_metadata_map[\"styles\"])\n\
         pixels = numpy.asarray(Image.open(\"picture.png\").convert(\"{}\").resize(({size}, {size})), numpy.float32)\n\
         picture = (pixels.reshape({size}, {size}, {count}).transpose(2, 0, 1)[None] / 127.5 - 1).astype(numpy.float32)\n\
         [drawn] = model.run(None, {{\"{PICTURE}\": picture, \"{STYLE}\": numpy.array([styles.index(\"{}\")])}})\n\
         Image.fromarray(((drawn[0].transpose(1, 2, 0) + 1) * 127.5).round().astype(numpy.uint8){}).save(\"out.png\")\n```\n",
        graph::OPERATORS,
        channels.name(),
        info.config.data.background,
        multiple(generator),
        info.config.data.fit.name(),
        Format::Onnx.file(),
        match count {
            1 => "L",
            3 => "RGB",
            _ => "RGBA",
        },
        info.styles.last().map_or("STYLE", String::as_str),
        if count == 1 { "[..., 0]" } else { "" },
    );
    if generator.filter == FilterKind::On {
        text.push_str(
            "\nThe last part lays the translation into the picture along its edges; it takes `4 * height * width * (height + width)` bytes a \
             picture: 2 MB at 64 px, 134 MB at 256 px.\n",
        );
    }
    if generator.kind == GeneratorKind::Recurrent {
        let _ = writeln!(
            text,
            "\nIt draws in {} steps, which are unrolled in the graph.",
            generator.draw_steps
        );
    }
    if generator.style != StyleKind::Table {
        text.push_str(
            "\nIt draws by each style's mean code, as `demotic translate` does without `--style-seed` and `--reference`; other codes of a style \
             are not in the graph.\n",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terms_of_the_weights_in_the_program_are_those_of_their_card() {
        let terms = Terms::of(Path::new(BUILT_IN)).expect("they are in the program");
        assert_eq!(terms.licence.as_deref(), Some("cc-by-sa-4.0"));
        assert!(
            terms.pictures[0].contains("Noto Emoji Apache-2.0"),
            "{terms:?}"
        );
    }

    #[test]
    fn every_array_of_every_generator_is_explained() {
        for kind in ["conv", "recurrent"] {
            let set = [
                format!("generator.kind={kind}"),
                "generator.style=latent".into(),
            ];
            let config = crate::settings::Config::resolve(None, &set).expect("settings");
            let mut init = crate::model::Init::new(1, 0, &Device::flex());
            let generator = config.generator.init(config.domain(2), &mut init);
            for name in crate::arrays::weights_of(&generator).keys() {
                let is_told = PARTS.iter().any(|(part, _)| name.starts_with(part));
                assert!(is_told, "{name}");
            }
        }
    }
}
