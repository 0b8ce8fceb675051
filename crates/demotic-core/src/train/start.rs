//! Starting from another run's weights: trunk and decoder stay as they are, what belongs to a style is put
//! together from the styles that the other run knew.

use crate::number::Real;
use burn::tensor::{Tensor, TensorData};

use super::checkpoint::Checkpoint;
use super::trainer::Trainer;
use crate::arrays::{Array, Arrays, values_of, weights_of, with_weights};
use crate::data::{Picture, StyleInfo, TrainItem};
use crate::error::Error;
use crate::model::CHUNK;
use crate::settings::Config;

/// Pictures of a style that the other run's discriminator looks at.
const LOOKED_AT: usize = 256;

/// How an axis of a parameter counts styles. Its length is a multiple of that count: one block a style.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Per {
    Style,
    /// Fake, then the styles.
    Label,
}

/// Parameters that know styles, by their name or, with a dot at its end, the layer's, with the axes that
/// count them.
const STYLED: [(&str, &[(usize, Per)]); 12] = [
    ("generator.style", &[(0, Per::Style)]),
    ("generator.mapping.output.weight", &[(1, Per::Style)]),
    ("generator.mapping.output.bias", &[(0, Per::Style)]),
    ("generator.style_encoder.output.weight", &[(1, Per::Style)]),
    ("generator.style_encoder.output.bias", &[(0, Per::Style)]),
    ("discriminator.emissions.", &[(0, Per::Label)]),
    ("discriminator.crf.", &[(0, Per::Label), (1, Per::Label)]),
    ("discriminator.conv_head.first.weight", &[(1, Per::Label)]),
    ("discriminator.conv_head.second.weight", &[(0, Per::Label)]),
    ("discriminator.conv_head.second.bias", &[(0, Per::Label)]),
    ("discriminator.dense_head.inward", &[(0, Per::Label)]),
    ("discriminator.dense_head.outward", &[(1, Per::Label)]),
];
/// Weights that fit one side length only; at another they stay fresh.
const OF_A_SIDE: &str = "discriminator.dense_head.";

/// Where a run's weights came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Each style of the data set with its shares of the styles that the weights knew, which sum to 1: its
    /// namesake alone where there is one, else what the discriminator took its pictures for.
    pub styles: Vec<(String, Vec<(String, f32)>)>,
    /// Whether the discriminator's view of the whole picture, which fits one side length, starts anew.
    pub is_view_fresh: bool,
}

impl Config {
    /// The defaults of a run that starts from these weights: their networks, side length and channels; all
    /// else as ever.
    pub fn starting_from(checkpoint: &Checkpoint) -> Self {
        let from = &checkpoint.info.config;
        let mut config = Self {
            generator: from.generator.clone(),
            discriminator: from.discriminator.clone(),
            ..Self::default()
        };
        config.data.size_px = from.data.size_px;
        config.data.channels = from.data.channels;
        config
    }
}

impl Trainer<'_> {
    /// Takes the averaged generator and the discriminator of a checkpoint in place of fresh weights:
    /// everything that knows no style as it is, and for each style of the data set a mixture of what belongs
    /// to the styles there. Optimisers and the step stay at nothing.
    ///
    /// # Errors
    /// [`Error::Config`] where the networks are of another shape.
    pub fn start_from(&mut self, checkpoint: &Checkpoint) -> Result<Origin, Error> {
        let shares = self.shares(checkpoint)?;
        let known = &checkpoint.info.styles;
        let is_view_fresh = self.config.data.size_px != checkpoint.info.config.data.size_px;
        let parts = [
            ("average", "generator", weights_of(&self.generator)),
            (
                "discriminator",
                "discriminator",
                weights_of(&self.discriminator),
            ),
        ];
        let [generator, discriminator] = parts.map(|(part, network, fresh)| {
            let mut arrays = Arrays::new();
            for (name, array) in checkpoint.part(part) {
                let whole = format!("{network}.{name}");
                let fresh = fresh.get(&name);
                let array = match fresh.filter(|_| is_view_fresh && whole.starts_with(OF_A_SIDE)) {
                    Some(fresh) => fresh.clone(),
                    None => mixed(&whole, array, &shares),
                };
                arrays.insert(name, array);
            }
            arrays
        });
        let was = &checkpoint.info.config;
        let mut differences = was.networks_otherwise(&self.config);
        if was.data.channels != self.config.data.channels {
            differences.push("data.channels is another".into());
        }
        let refuse = |problems: Vec<String>| {
            differences.extend(problems.into_iter().take(2));
            Error::Config(vec![format!(
                "these weights are of another network: {}; a run that starts from weights has their networks: leave keys of \
                 [generator], [discriminator] and data.channels out",
                differences.join("; ")
            )])
        };
        let loaded = with_weights(self.generator.clone(), &generator).and_then(|own| {
            let average = with_weights(self.average.clone(), &generator)?;
            let other = with_weights(self.discriminator.clone(), &discriminator)?;
            Ok((own, average, other))
        });
        (self.generator, self.average, self.discriminator) = loaded.map_err(refuse)?;
        self.replicas.clear();
        let names = self.dataset.styles().iter().map(|style| style.name.clone());
        let named = |row: &Vec<f32>| {
            let parts = known.iter().cloned().zip(row.iter().copied());
            parts.filter(|(_, share)| *share > 0.0).collect()
        };
        Ok(Origin {
            styles: names.zip(shares.iter().map(named)).collect(),
            is_view_fresh: is_view_fresh
                && discriminator
                    .keys()
                    .any(|name| name.starts_with("dense_head.")),
        })
    }

    /// For each style of the data set its shares of the checkpoint's styles.
    fn shares(&self, checkpoint: &Checkpoint) -> Result<Vec<Vec<f32>>, Error> {
        let known = &checkpoint.info.styles;
        let config = &checkpoint.info.config;
        let device = self.device();
        let discriminator = checkpoint.discriminator(device)?;
        // A discriminator that was not taught styles has nothing to say of them.
        let can_tell = config.loss.adversarial_kind.tells_styles();
        let equal = vec![1.0 / known.len().to_f32(); known.len()];
        let view = self.dataset.training();
        // At the side length that it knows.
        let (own, side) = (view.size_px(), config.data.size_px);
        let planes = |style: usize, item: TrainItem| {
            let picture = Picture {
                width_px: own,
                height_px: own,
                premultiplied: view.rgba(style, item).to_vec(),
            };
            picture
                .fit(side)
                .planes(config.data.channels, view.background())
        };
        let size = side as usize;
        let of = |(number, style): (usize, &StyleInfo)| {
            if let Some(same) = known.iter().position(|name| *name == style.name) {
                let mut row = vec![0.0; known.len()];
                row[same] = 1.0;
                return row;
            }
            let items = view.items(number);
            let items = &items[..items.len().min(LOOKED_AT)];
            if !can_tell || items.is_empty() {
                return equal.clone();
            }
            let mut sums = vec![0.0_f64; known.len()];
            for chunk in items.chunks(CHUNK) {
                let pictures: Vec<f32> = chunk
                    .iter()
                    .flat_map(|item| planes(number, *item))
                    .collect();
                let shape = [chunk.len(), config.data.channels.count(), size, size];
                let pictures = Tensor::<4>::from_data(TensorData::new(pictures, shape), device);
                let posteriors = discriminator.marginals(discriminator.emissions(pictures));
                let [_, labels, rows, columns] = posteriors.dims();
                let values = values_of(posteriors);
                for (label, patches) in values.chunks_exact(rows * columns).enumerate() {
                    if let Some(style) = (label % labels).checked_sub(1) {
                        sums[style] += patches.iter().map(|p| f64::from(*p)).sum::<f64>();
                    }
                }
            }
            let all: f64 = sums.iter().sum();
            if all > 0.0 {
                sums.iter().map(|sum| (sum / all).to_f32()).collect()
            } else {
                equal.clone()
            }
        };
        Ok(self.dataset.styles().iter().enumerate().map(of).collect())
    }
}

/// The array with the blocks of its styled axes put together by `shares`, `[new styles][known styles]`;
/// others as they are.
fn mixed(name: &str, array: Array, shares: &[Vec<f32>]) -> Array {
    let is_meant = |entry: &str| name == entry || (entry.ends_with('.') && name.starts_with(entry));
    let styled = STYLED.iter().find(|(entry, _)| is_meant(entry));
    let axes = styled.map_or(&[][..], |(_, axes)| axes);
    // A spectral direction or a bias has the first axis only.
    let axes = axes.iter().filter(|(axis, _)| *axis < array.shape.len());
    axes.fold(array.clone(), |array, &(axis, per)| {
        along(&array, axis, &rows(shares, per))
    })
}

/// Shares of old blocks in each new one.
fn rows(shares: &[Vec<f32>], per: Per) -> Vec<Vec<f32>> {
    match per {
        Per::Style => shares.to_vec(),
        Per::Label => {
            let known = shares.first().map_or(0, Vec::len);
            let fake = [vec![1.0], vec![0.0; known]].concat();
            let real = shares.iter().map(|row| [&[0.0], &row[..]].concat());
            std::iter::once(fake).chain(real).collect()
        }
    }
}

/// Mixes the blocks of one axis: block `i` of the result is the sum of `rows[i][j]` times block `j`.
fn along(array: &Array, axis: usize, rows: &[Vec<f32>]) -> Array {
    let old = rows.first().map_or(1, Vec::len);
    let length = array.shape[axis];
    assert!(
        length.is_multiple_of(old),
        "{length} values of {old} styles"
    );
    let inner: usize = length / old * array.shape[axis + 1..].iter().product::<usize>();
    let outer: usize = array.shape[..axis].iter().product();
    let mut shape = array.shape.clone();
    shape[axis] = length / old * rows.len();
    let mut values = Vec::with_capacity(outer * rows.len() * inner);
    for whole in array.values.chunks_exact(old * inner) {
        for row in rows {
            let mut block = vec![0.0_f64; inner];
            for (share, known) in row.iter().zip(whole.chunks_exact(inner)) {
                if *share != 0.0 {
                    for (sum, value) in block.iter_mut().zip(known) {
                        *sum += f64::from(*share) * f64::from(*value);
                    }
                }
            }
            values.extend(block.iter().map(|sum| sum.to_f32()));
        }
    }
    Array { shape, values }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_mixed_along_any_axis() {
        // Two styles of two values each, three columns.
        let array = Array {
            shape: vec![4, 3],
            values: (0..12).map(Real::to_f32).collect(),
        };
        let rows = [vec![0.0, 1.0], vec![0.5, 0.5], vec![1.0, 0.0]];
        let tall = along(&array, 0, &rows);
        assert_eq!(tall.shape, [6, 3]);
        assert_eq!(tall.values[..6], [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
        assert_eq!(tall.values[6..12], [3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        assert_eq!(tall.values[12..], array.values[..6]);
        let square = Array {
            shape: vec![3, 3],
            values: (0..9).map(Real::to_f32).collect(),
        };
        // Fake stays where it is, the two styles change places, on both axes.
        let labels = super::rows(&[vec![0.0, 1.0], vec![1.0, 0.0]], Per::Label);
        let both = along(&along(&square, 0, &labels), 1, &labels);
        assert_eq!(both.values, [0.0, 2.0, 1.0, 6.0, 8.0, 7.0, 3.0, 5.0, 4.0]);
    }

    #[test]
    fn a_style_that_is_known_keeps_its_own_weights_to_the_bit() {
        let array = Array {
            shape: vec![3, 2],
            values: vec![0.1, -0.0, 3.7, 1e-30, 5.0, 6.0],
        };
        let shares = [vec![0.0, 0.0, 1.0], vec![1.0, 0.0, 0.0]];
        let styles = mixed("generator.style", array.clone(), &shares);
        assert_eq!(styles.values, [5.0, 6.0, 0.1, -0.0]);
        // A longer name that begins alike is another parameter, which knows no style.
        let stem = mixed(
            "generator.style_encoder.stem.weight",
            array.clone(),
            &shares,
        );
        assert_eq!(stem, array);
    }
}
