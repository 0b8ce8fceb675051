//! What a run shows as pictures: training pictures, translations of the same held-out inputs, and what the
//! discriminator says of their patches.

use demotic_core::data::{Dataset, Split};
use demotic_core::device::Chosen;
use demotic_core::number::{Real, Whole};
use demotic_core::report::labels::{self, Kind, LabelMap};
use demotic_core::sample::{self, Prior};
use demotic_core::train::{Fact, Trainer};
use demotic_core::translate;

use crate::sheet::{self, Block, Names, Sheet, TRUE};

/// Pictures of each kind on a sheet of labels.
const LABELLED: usize = 3;
/// Pictures of the prior a style on a sample grid.
const PRIOR: usize = 8;
/// Training pictures of a style on `samples/reals.png`.
const REALS: usize = 16;

/// The inputs of the sample grids: the same ones for the whole run.
pub(crate) struct Samples<'a> {
    dataset: &'a Dataset,
    /// (style, item)
    inputs: Vec<(usize, usize)>,
    pictures: Vec<f32>,
    /// For the header line.
    pub(crate) what: String,
    /// Which styles the pictures show by number, where there are any.
    pub(crate) names: Option<Fact>,
}

impl<'a> Samples<'a> {
    pub(crate) fn new(dataset: &'a Dataset) -> Self {
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
            names: sheet_names(dataset)
                .legend()
                .map(|legend| Fact::new("names", format!("in samples/, {legend}"))),
        }
    }

    /// Whether another style draws an item the same: what style its patches are in cannot be known.
    fn is_alike(&self, style: usize, item: usize) -> bool {
        let dataset = self.dataset;
        let own = dataset.picture(style, item);
        (0..dataset.styles().len())
            .filter(|&other| other != style && dataset.has_picture(other, item))
            .any(|other| demotic_core::metric::l1(&own, &dataset.picture(other, item)) < 0.01)
    }

    /// What the discriminator says of patches of some of the inputs, of their translations, and of mixtures.
    pub(crate) fn labels(&self, trainer: &Trainer<'_>) -> Sheet {
        let dataset = self.dataset;
        let (styles, size) = (dataset.styles().len(), dataset.size_px() as usize);
        // One input a style, and another round where there are few styles: of those whose styles differ
        // apart, where there are any.
        let telling = self.inputs.iter().filter(|(s, i)| !self.is_alike(*s, *i));
        let mut inputs: Vec<(usize, usize)> = telling.copied().collect();
        if inputs.is_empty() {
            inputs.clone_from(&self.inputs);
        }
        let of_style = |style: usize| inputs.iter().filter(move |(s, _)| *s == style);
        let pictures: Vec<(usize, usize)> = (0..LABELLED.max(styles.min(2 * LABELLED)))
            .filter_map(|i| of_style(i % styles).nth(i / styles).copied())
            .collect();
        let maps = labels::label_maps(
            trainer.average(),
            trainer.discriminator(),
            trainer.config().loss.adversarial_kind,
            dataset,
            trainer.device(),
            &pictures,
        );
        let names: Vec<String> = std::iter::once("fake".to_owned())
            .chain(dataset.styles().iter().map(|style| style.name.clone()))
            .collect();
        // All labels where they fit, else only the one that matters most.
        let shown = if names.len() <= 4 { names.len() } else { 1 };
        let paint = |map: &LabelMap| -> Vec<Vec<f32>> {
            let of = |labels: &[u32]| {
                labels::painted(map.grid, size, |p| labels::label_colour(labels[p]))
            };
            let patches = map.grid * map.grid;
            let heat = |label: usize| {
                labels::painted(map.grid, size, |p| {
                    labels::heat_colour(map.probs[label * patches + p])
                })
            };
            let mut cells = vec![map.picture.clone(), of(&map.truth), of(&map.said())];
            cells.extend((0..shown).map(heat));
            cells
        };
        let rows: Vec<(Kind, Vec<Vec<f32>>)> =
            maps.iter().map(|map| (map.kind, paint(map))).collect();
        let block = |kind: Kind, what: &str| {
            let of_kind: Vec<&LabelMap> = maps.iter().filter(|map| map.kind == kind).collect();
            let right =
                of_kind.iter().map(|map| map.right_share()).sum::<f32>() / of_kind.len().to_f32();
            let mut columns = vec!["picture".to_owned(), "truth".into(), "said".into()];
            columns.extend(names.iter().take(shown).map(|name| format!("p {name}")));
            Block {
                title: format!(
                    "{what}, step {}: {:.0} of 100 patches right",
                    trainer.step(),
                    100.0 * right
                ),
                columns,
                rows: rows
                    .iter()
                    .filter(|(k, _)| *k == kind)
                    .map(|(_, cells)| cells.iter().map(|cell| Some(cell.as_slice())).collect())
                    .collect(),
            }
        };
        let solid = |colour: [f32; 3]| labels::painted(1, size, |_| colour);
        let label_keys: Vec<Vec<f32>> = (0..names.len())
            .map(|label| solid(labels::label_colour(label.to_u32())))
            .collect();
        let heat_keys: Vec<Vec<f32>> = (0..=4)
            .map(|i| solid(labels::heat_colour(i.to_f32() / 4.0)))
            .collect();
        let heat_names = ["p 0", "0.25", "0.5", "0.75", "p 1"].map(str::to_owned);
        let blocks = [
            block(Kind::Real, "real pictures"),
            block(Kind::Fake, "translations"),
            block(Kind::Mixed, "mixtures"),
            Block {
                title: if trainer.config().loss.adversarial_kind.tells_styles() {
                    "labels, and probability p".into()
                } else {
                    "labels, and probability p: fake, or real of the style that is meant; this loss does not distinguish styles".into()
                },
                columns: names.iter().cloned().chain(heat_names).collect(),
                rows: vec![
                    label_keys
                        .iter()
                        .chain(&heat_keys)
                        .map(|key| Some(key.as_slice()))
                        .collect(),
                ],
            },
        ];
        sheet::draw(&blocks, size, false, &sheet_names(dataset))
    }

    /// A block a source style: the input, its reconstruction, and each translation beside the true picture.
    /// Where training minds them, pictures of the prior follow, the same latents in every style.
    pub(crate) fn draw(&self, trainer: &Trainer<'_>, chosen: &Chosen) -> Sheet {
        let dataset = self.dataset;
        let (styles, len) = (dataset.styles().len(), dataset.picture_len());
        let size = dataset.size_px() as usize;
        let sources: Vec<f32> = self
            .inputs
            .iter()
            .flat_map(|&(style, item)| dataset.network_pictures(style, &[item]).repeat(styles))
            .collect();
        let targets: Vec<u32> = (0..self.inputs.len())
            .flat_map(|_| 0..styles.to_u32())
            .collect();
        let generator = trainer.average();
        let fakes = translate::translate(generator, &chosen.device, &sources, size, &targets);
        let fakes = dataset.shown(&fakes);
        let fake = |row: usize, style: usize| &fakes[(row * styles + style) * len..][..len];
        let (inputs, own): (Vec<Vec<f32>>, Vec<u32>) = self
            .inputs
            .iter()
            .map(|&(style, item)| (dataset.network_pictures(style, &[item]), style.to_u32()))
            .unzip();
        let again = translate::redraw(generator, &chosen.device, &inputs.concat(), size, &own);
        let again = dataset.shown(&again);
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
        let prior = self.prior(trainer, chosen);
        let mut blocks: Vec<Block<'_>> = (0..styles)
            .map(|from| {
                let of_block = self
                    .inputs
                    .iter()
                    .enumerate()
                    .filter(|(_, (style, _))| *style == from);
                // A style without counterparts has no column of them.
                let has_truths: Vec<bool> = (0..styles)
                    .map(|to| of_block.clone().any(|(row, _)| truths[row][to].is_some()))
                    .collect();
                let mut columns = vec!["input".to_owned(), "again".to_owned()];
                for to in (0..styles).filter(|&to| to != from) {
                    let name = &dataset.styles()[to].name;
                    if has_truths[to] {
                        columns.extend([format!("{name}{TRUE}"), String::new()]);
                    } else {
                        columns.push(name.clone());
                    }
                }
                let rows = of_block.map(|(row, _)| {
                    let mut cells = vec![
                        Some(&self.pictures[row * len..][..len]),
                        Some(&again[row * len..][..len]),
                    ];
                    for to in (0..styles).filter(|&to| to != from) {
                        cells.push(Some(fake(row, to)));
                        if has_truths[to] {
                            cells.push(truths[row][to].as_deref());
                        }
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
        if !prior.is_empty() {
            blocks.push(Block {
                title: format!("from the prior, step {}", trainer.step()),
                columns: vec![String::new(); PRIOR],
                rows: prior
                    .chunks(PRIOR * len)
                    .map(|row| row.chunks(len).map(Some).collect())
                    .collect(),
            });
        }
        sheet::draw(&blocks, size, styles <= 3, &sheet_names(dataset))
    }

    /// Pictures of the prior, a row per style: `[styles, PRIOR, c, size, size]`; none where training does not
    /// mind them.
    fn prior(&self, trainer: &Trainer<'_>, chosen: &Chosen) -> Vec<f32> {
        let (config, generator) = (trainer.config(), trainer.average());
        if config.loss.prior == 0.0 {
            return vec![];
        }
        let styles = 0..self.dataset.styles().len().to_u32();
        let rows = styles.flat_map(|style| {
            let codes = generator.table_codes(&[style; PRIOR]);
            let prior = Prior::Normal;
            sample::sample(generator, config, &chosen.device, prior, &codes, 0, 1.0)
        });
        self.dataset.shown(&rows.collect::<Vec<f32>>())
    }
}

/// Training pictures as they are, a row per style.
pub(crate) fn reals(dataset: &Dataset) -> Sheet {
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
    sheet::draw(
        &blocks,
        dataset.size_px() as usize,
        false,
        &sheet_names(dataset),
    )
}

/// The names of a data set's styles, as sheets have them.
pub(crate) fn sheet_names(dataset: &Dataset) -> Names {
    Names::of(dataset.styles().iter().map(|style| style.name.as_str()))
}
