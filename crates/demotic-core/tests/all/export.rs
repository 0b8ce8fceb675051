//! Generators as ONNX: the graph is whole, and its weights are the run's. What it computes is checked by
//! `tests/onnx.py` with a runtime: for that the graphs are left beside pictures and what the networks here
//! make of them, in `tmp/onnx` of the target folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use demotic_core::check::doctor::SMALL;
use demotic_core::export::{Format, Terms};
use demotic_core::rng::{Rng, Stream};
use demotic_core::settings::Config;
use demotic_core::train::{Checkpoint, Trainer};
use safetensors::tensor::{Dtype, TensorView};

use crate::data::pictures_of;

/// Every kind of generator, and sides that are not alike.
const CASES: [(&str, &[&str], [usize; 2]); 7] = [
    ("conv", &["generator.context_blocks=1"], [48, 32]),
    (
        "square",
        &["generator.latent_stride=8", "generator.context_blocks=2"],
        [64, 64],
    ),
    (
        "recurrent",
        &["generator.kind=recurrent", "generator.draw_steps=3"],
        [24, 40],
    ),
    ("unfiltered", &["generator.filter=off"], [16, 32]),
    (
        "loose",
        &["generator.filter_edge_fake=0", "generator.encoder_blocks=0"],
        [40, 32],
    ),
    (
        "stickers",
        &["data.channels=rgba", "generator.style=latent"],
        [32, 48],
    ),
    (
        "grey",
        &["data.channels=grey", "generator.style=reference"],
        [16, 24],
    ),
];

fn config(sets: &[&str], size_px: u32) -> Config {
    let own = [
        "seed=5".to_owned(),
        "data.styles=[\"openmoji-line\", \"openmoji\"]".to_owned(),
        "train.batch=2".to_owned(),
        format!("data.size_px={size_px}"),
    ];
    let sets: Vec<String> = SMALL
        .iter()
        .chain(sets)
        .map(|s| (*s).to_owned())
        .chain(own)
        .collect();
    Config::resolve(None, &sets).unwrap()
}

/// A checkpoint of fresh weights.
fn checkpoint(config: &Config, folder: &Path) -> Checkpoint {
    let mut trainer = Trainer::new(config.clone(), pictures_of(config), &Device::flex()).unwrap();
    Checkpoint::load(&trainer.save(folder).unwrap()).unwrap()
}

/// A field of a protocol buffer.
#[derive(Clone, Copy, Debug)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Four,
}

/// The fields of a message by their numbers, in order.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)),
            2 => {
                let len = varint(&mut bytes) as usize;
                let (value, rest) = bytes.split_at(len);
                bytes = rest;
                Field::Bytes(value)
            }
            5 => {
                bytes = &bytes[4..];
                Field::Four
            }
            kind => panic!("no field of kind {kind} is written"),
        };
        found.push((key >> 3, field));
    }
    found
}

/// The messages and texts of one number.
fn all<'a>(message: &'a [u8], number: u64) -> Vec<&'a [u8]> {
    let of = |(found, field): (u64, Field<'a>)| match field {
        Field::Bytes(bytes) if found == number => Some(bytes),
        _ => None,
    };
    fields(message).into_iter().filter_map(of).collect()
}

fn names(message: &[u8], number: u64) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    all(message, number).into_iter().map(text).collect()
}

/// Every node reads what was there before it, and the graph's output is the last one's.
fn require_whole(graph: &[u8]) {
    let named = |number| {
        all(graph, number)
            .into_iter()
            .flat_map(|port| names(port, 1))
    };
    let mut known: BTreeSet<String> = named(11).collect();
    for constant in all(graph, 5)
        .into_iter()
        .flat_map(|tensor| names(tensor, 8))
    {
        assert!(known.insert(constant.clone()), "{constant} is there twice");
    }
    let mut used = BTreeSet::new();
    for node in all(graph, 1) {
        for input in names(node, 1).into_iter().filter(|name| !name.is_empty()) {
            assert!(known.contains(&input), "{input} is read before it is there");
            used.insert(input);
        }
        for output in names(node, 2) {
            assert!(known.insert(output.clone()), "{output} is there twice");
        }
    }
    let outputs: Vec<String> = named(12).collect();
    assert_eq!(outputs, ["translation"]);
    used.extend(outputs);
    let idle: Vec<&String> = known.difference(&used).collect();
    // The other half of a split may be of no use; every weight is.
    assert!(idle.is_empty(), "nobody reads {idle:?}");
}

fn metadata(model: &[u8], key: &str) -> String {
    let entries = all(model, 14);
    let mut entries = entries.into_iter().filter(|entry| names(entry, 1) == [key]);
    names(entries.next().unwrap(), 2).remove(0)
}

#[test]
fn every_kind_of_generator_is_a_whole_graph_that_is_left_to_be_run_elsewhere() {
    let cases = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("onnx");
    std::fs::create_dir_all(&cases).unwrap();
    for (name, sets, [height, width]) in CASES {
        let folder = tempfile::tempdir().unwrap();
        let config = config(sets, 16);
        let checkpoint = checkpoint(&config, folder.path());
        let model = Format::Onnx.write(&checkpoint, &Terms::default()).unwrap();
        let [graph] = all(&model, 7)[..] else {
            panic!("{name}: one graph")
        };
        require_whole(graph);
        let [operators] = all(&model, 8)[..] else {
            panic!("{name}: one set of operators")
        };
        assert!(
            fields(operators)
                .iter()
                .any(|f| matches!(f, (2, Field::Number(18))))
        );
        assert_eq!(
            metadata(&model, "styles"),
            r#"["openmoji-line","openmoji"]"#
        );

        let device = Device::flex();
        let generator = checkpoint.generator(&device).unwrap();
        let shape = [3, config.data.channels.count(), height, width];
        // Regions with edges, and some noise.
        let noise = Rng::new(1, Stream::TEST, 0).normals(shape.iter().product());
        let pixel = |at: usize| {
            let (row, column) = (at / width % height, at % width);
            let level = [-0.9, -0.2, 0.4, 0.95][(row / 7 + column / 5 + at / (height * width)) % 4];
            (level + 0.05 * noise[at]).clamp(-1.0, 1.0)
        };
        let picture: Vec<f32> = (0..noise.len()).map(pixel).collect();
        let styles = [1_u32, 0, 1];
        let drawn = generator.translate_as(
            Tensor::from_data(TensorData::new(picture.clone(), shape), &device),
            generator.table_codes(&styles),
        );
        let drawn: Vec<f32> = drawn.into_data().try_into_vec().unwrap();
        assert!(
            drawn.iter().any(|v| v.abs() < 0.99),
            "{name}: nothing is drawn"
        );
        let bytes = |values: &[f32]| {
            values
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect::<Vec<u8>>()
        };
        let (picture, drawn) = (bytes(&picture), bytes(&drawn));
        let numbers: Vec<u8> = styles
            .iter()
            .flat_map(|s| i64::from(*s).to_le_bytes())
            .collect();
        let views = [
            (
                "picture",
                TensorView::new(Dtype::F32, shape.to_vec(), &picture).unwrap(),
            ),
            (
                "style",
                TensorView::new(Dtype::I64, vec![3], &numbers).unwrap(),
            ),
            (
                "translation",
                TensorView::new(Dtype::F32, shape.to_vec(), &drawn).unwrap(),
            ),
        ];
        let truth = safetensors::serialize(views, None).unwrap();
        std::fs::write(cases.join(format!("{name}.onnx")), model).unwrap();
        std::fs::write(cases.join(format!("{name}.safetensors")), truth).unwrap();
    }
}

#[test]
fn a_graph_takes_any_size_and_holds_the_weights_of_its_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let written = |size_px: u32| {
        let checkpoint = checkpoint(
            &config(&[], size_px),
            &folder.path().join(size_px.to_string()),
        );
        let model = Format::Onnx.write(&checkpoint, &Terms::default()).unwrap();
        let arrays = Format::Safetensors
            .write(&checkpoint, &Terms::default())
            .unwrap();
        (model, arrays)
    };
    let ((small, arrays), (large, _)) = (written(16), written(32));
    assert_eq!(
        all(&small, 7),
        all(&large, 7),
        "the same weights, another size"
    );
    assert_ne!(metadata(&small, "size_px"), metadata(&large, "size_px"));
    let arrays = safetensors::SafeTensors::deserialize(&arrays).unwrap();
    let mut compared = 0;
    for tensor in all(all(&small, 7)[0], 5) {
        let name = &names(tensor, 8)[0];
        // The others stand in another order, or have the 1 of `1 + scale` added to them.
        let of_checkpoint = match name.as_str() {
            "style_codes" => "style",
            "output.weight" | "from_latent.weight" | "encoder_norm.shift" => name,
            _ => continue,
        };
        let array = arrays.tensor(of_checkpoint).unwrap();
        assert_eq!(all(tensor, 9), [array.data()], "{name}");
        compared += 1;
    }
    assert_eq!(compared, 4);
    assert!(
        arrays
            .names()
            .iter()
            .all(|name| !name.starts_with("discriminator"))
    );
}
