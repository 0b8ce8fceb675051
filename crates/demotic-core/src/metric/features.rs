//! A small network that says what a picture shows and in which style: the eyes of the kernel distance and of the
//! perceptual distance. Trained by this project (`teach.rs`), built in, always computed on the processor, so that a figure
//! does not depend on the device a run was trained on.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::model::{Conv, Init, Norm, halve, leaky, unshuffle};
use crate::train::{Array, Arrays, values_of, weights_of, with_weights};

/// Side of the square that pictures are brought to before the network sees them.
pub(crate) const SIDE_PX: usize = 32;
/// Channels of the three stages.
const CHANNELS: [usize; 3] = [48, 96, 160];
/// Channels that carry the last stage's places into the embedding.
const PLACED: usize = 32;
/// Entries of the embedding that tells what a picture shows.
const IDENTITY: usize = 128;
/// Entries of the vector that tells what a picture looks like.
pub(crate) const LOOK: usize = CHANNELS[0] + CHANNELS[1] + CHANNELS[2];
/// Pictures through the network at a time: bounds memory.
const CHUNK: usize = 64;
/// Keeps the length of a vector of zeros from being divided by.
const EPSILON: f32 = 1e-6;

/// The weights that are built in; how they were made is in the README beside them.
const EMBEDDED: &[u8] = include_bytes!("../../assets/features/features.safetensors");

/// Two convolutions at one size; what comes out is kept.
#[derive(Module, Debug)]
struct Stage {
    first: Conv,
    second: Conv,
    norm: Norm,
}

impl Stage {
    fn new(init: &mut Init, from: usize, to: usize) -> Self {
        Self {
            first: Conv::new(init, from, to, 3, 1.0),
            second: Conv::new(init, to, to, 3, 1.0),
            norm: Norm::new(init, to),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm
            .forward(self.second.forward(leaky(self.first.forward(x))))
    }
}

/// Three stages at a half, a quarter and an eighth of the side; from the last one, with its places, an embedding of what
/// is shown; from the channels' means over all places, the style.
#[derive(Module, Debug)]
pub(crate) struct FeatureNet {
    stages: [Stage; 3],
    placed: Conv,
    identity: Param<Tensor<2>>,
    style: Param<Tensor<2>>,
}

/// What the network makes of some pictures.
pub(crate) struct Seen {
    /// `[b, c, h, w]` a stage.
    pub(crate) stages: [Tensor<4>; 3],
    /// `[b, IDENTITY]`, of length 1.
    pub(crate) identity: Tensor<2>,
    /// `[b, LOOK]`, means over places of every stage's channels.
    pub(crate) look: Tensor<2>,
}

impl FeatureNet {
    pub(crate) fn new(init: &mut Init, styles: usize) -> Self {
        let [a, b, c] = CHANNELS;
        let cells = (SIDE_PX / 8) * (SIDE_PX / 8) * PLACED;
        Self {
            stages: [
                Stage::new(init, 12, a),
                Stage::new(init, a, b),
                Stage::new(init, b, c),
            ],
            placed: Conv::new(init, c, PLACED, 1, 1.0),
            identity: init.normal([cells, IDENTITY], (1.0 / cells as f32).sqrt()),
            style: init.normal([LOOK, styles], (1.0 / LOOK as f32).sqrt()),
        }
    }

    /// `pictures`: `[b, 3, 32, 32]` in [-1, 1].
    pub(crate) fn see(&self, pictures: Tensor<4>) -> Seen {
        let b = pictures.dims()[0];
        let first = self.stages[0].forward(unshuffle(pictures)); // [b, 48, 16, 16]
        let second = self.stages[1].forward(halve(first.clone())); // [b, 96, 8, 8]
        let third = self.stages[2].forward(halve(second.clone())); // [b, 160, 4, 4]
        let stages = [first, second, third];
        let look = stages
            .iter()
            .map(|x| {
                let [b, c, h, w] = x.dims();
                x.clone().reshape([b, c, h * w]).mean_dim(2).reshape([b, c])
            })
            .collect();
        let placed = self.placed.forward(leaky(stages[2].clone()));
        let cells = placed.dims()[1..].iter().product();
        let identity = placed.reshape([b, cells]).matmul(self.identity.val());
        Seen {
            stages,
            identity: unit(identity),
            look: Tensor::cat(look, 1),
        }
    }

    /// Logits of the styles it was trained on: `[b, LOOK] -> [b, styles]`.
    pub(crate) fn style(&self, look: Tensor<2>) -> Tensor<2> {
        look.matmul(self.style.val())
    }
}

/// Rows scaled to length 1.
fn unit(x: Tensor<2>) -> Tensor<2> {
    let length = (x.clone().square().sum_dim(1) + EPSILON).sqrt();
    x / length
}

/// The trained network with the spread of its features over training pictures.
pub struct Features {
    net: FeatureNet,
    /// Mean and deviation of each entry of the look, over training pictures of all styles.
    mean: Vec<f32>,
    deviation: Vec<f32>,
    styles: Vec<String>,
}

/// What the network made of some pictures, one after the other.
#[derive(Clone, Debug, Default)]
pub struct FeatureSet {
    /// `[n, Features::DIMENSION]`: what each looks like, each entry with mean 0 and deviation 1 over training pictures.
    pub look: Vec<f32>,
    /// `[n, 128]`: what each shows, of length 1.
    pub identity: Vec<f32>,
    /// `[n]`: which of [`Features::styles`] each resembles most.
    pub style: Vec<usize>,
    /// `[n][layer]`: unit vectors of every place of every stage, then the identity.
    layers: Vec<[Vec<f32>; 4]>,
}

impl Features {
    /// Entries of a vector for the kernel distance.
    pub const DIMENSION: usize = LOOK;

    /// The network that is built in.
    pub fn embedded() -> &'static Self {
        static NET: OnceLock<Features> = OnceLock::new();
        NET.get_or_init(|| {
            Self::read(EMBEDDED).expect("the built-in network is whole: a test reads it")
        })
    }

    pub(crate) fn new(
        net: FeatureNet,
        mean: Vec<f32>,
        deviation: Vec<f32>,
        styles: Vec<String>,
    ) -> Self {
        Self {
            net,
            mean,
            deviation,
            styles,
        }
    }

    /// Reads a file written by [`Self::write`].
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let (_, head) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let styles: Vec<String> = head
            .metadata()
            .as_ref()
            .and_then(|m| m.get("styles"))
            .map(|names| names.split(',').map(str::to_owned).collect())
            .ok_or("it names no styles")?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let mut arrays = Arrays::new();
        for (name, view) in file.iter() {
            if view.dtype() != Dtype::F16 {
                return Err(format!("`{name}` is {:?}, expected F16", view.dtype()));
            }
            let values = view
                .data()
                .as_chunks::<2>()
                .0
                .iter()
                .map(|b| f16::from_le_bytes(*b).to_f32())
                .collect();
            let shape = view.shape().to_vec();
            arrays.insert(name.to_owned(), Array { shape, values });
        }
        let mut spread = |name: &str| match arrays.remove(name) {
            Some(array) if array.values.len() == LOOK => Ok(array.values),
            _ => Err(format!("`{name}` with {LOOK} values is missing")),
        };
        let (mean, deviation) = (spread("mean")?, spread("deviation")?);
        let fresh = FeatureNet::new(&mut Init::new(0, 0, &Device::flex()), styles.len());
        let net = with_weights(fresh, &arrays).map_err(|problems| problems.join("; "))?;
        Ok(Self::new(net, mean, deviation, styles))
    }

    /// The network as a safetensors file in half precision.
    pub fn write(&self) -> Vec<u8> {
        let mut arrays = weights_of(&self.net);
        for (name, values) in [("mean", &self.mean), ("deviation", &self.deviation)] {
            let array = Array {
                shape: vec![LOOK],
                values: values.clone(),
            };
            arrays.insert(name.to_owned(), array);
        }
        let bytes: BTreeMap<&String, (Vec<usize>, Vec<u8>)> = arrays
            .iter()
            .map(|(name, array)| {
                let halves = array.values.iter().map(|&v| f16::from_f32(v));
                let bytes = halves.flat_map(f16::to_le_bytes).collect();
                (name, (array.shape.clone(), bytes))
            })
            .collect();
        let views = bytes.iter().map(|(name, (shape, bytes))| {
            let view =
                TensorView::new(Dtype::F16, shape.clone(), bytes).expect("two bytes a value");
            (name.as_str(), view)
        });
        let head = [("styles".to_owned(), self.styles.join(","))].into();
        safetensors::serialize(views, Some(head)).expect("names are unique and views are whole")
    }

    /// The styles it was taught, in the order of [`FeatureSet::style`].
    pub fn styles(&self) -> &[String] {
        &self.styles
    }

    /// Looks at pictures of any size: larger ones are averaged, smaller ones interpolated to 32 px.
    ///
    /// # Shapes
    /// - `pictures`: `[n, 3, side_px, side_px]` in [-1, 1]
    ///
    /// # Panics
    /// If the length is not a multiple of a picture's.
    pub fn of(&self, pictures: &[f32], side_px: usize) -> FeatureSet {
        let len = 3 * side_px * side_px;
        assert_eq!(pictures.len() % len, 0, "pictures of another size");
        let mut set = FeatureSet::default();
        for chunk in pictures.chunks(CHUNK * len) {
            let n = chunk.len() / len;
            let values = resized(chunk, side_px, SIDE_PX);
            let data = TensorData::new(values, [n, 3, SIDE_PX, SIDE_PX]);
            let seen = self.net.see(Tensor::from_data(data, &Device::flex()));
            let logits = values_of(self.net.style(seen.look.clone()));
            set.style
                .extend(logits.chunks_exact(self.styles.len()).map(largest));
            let look = values_of(seen.look);
            for row in look.chunks_exact(LOOK) {
                let spread = self.mean.iter().zip(&self.deviation);
                set.look.extend(
                    row.iter()
                        .zip(spread)
                        .map(|(v, (mean, deviation))| (v - mean) / deviation),
                );
            }
            let identity = values_of(seen.identity);
            let stages = seen.stages.map(|stage| {
                let [_, c, h, w] = stage.dims();
                (c, h * w, values_of(stage))
            });
            for i in 0..n {
                let mut layers: [Vec<f32>; 4] = Default::default();
                for (layer, (c, places, values)) in layers.iter_mut().zip(&stages) {
                    *layer = unit_places(&values[i * c * places..][..c * places], *places);
                }
                layers[3] = identity[i * IDENTITY..][..IDENTITY].to_vec();
                set.layers.push(layers);
            }
            set.identity.extend(identity);
        }
        set
    }
}

impl FeatureSet {
    /// Pictures looked at.
    pub fn len(&self) -> usize {
        self.style.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.style.is_empty()
    }

    /// Perceptual distance of picture `i` here to picture `j` there, 0 (alike) to 2: mean over four layers of
    /// `1 - cos(u, v)`, itself a mean over places; `u`, `v` are the channels of a place in the three stages, and the
    /// identity as the fourth layer.
    ///
    /// # Source
    /// Zhang, Isola, Efros, Shechtman, Wang, *The Unreasonable Effectiveness of Deep Features as a Perceptual Metric*,
    /// CVPR 2018, equation 1, with equal weights in place of those fitted to human judgements, on this project's own
    /// network, its embedding added as a layer of one place.
    pub fn perceptual(&self, i: usize, other: &Self, j: usize) -> f64 {
        let layers = self.layers[i].iter().zip(&other.layers[j]);
        let distances = layers.enumerate().map(|(layer, (u, v))| {
            let places = match layer {
                0..3 => u.len() / CHANNELS[layer],
                _ => 1,
            };
            // Unit vectors: half the squared difference is 1 - cos.
            let squares = u.iter().zip(v).map(|(u, v)| f64::from((u - v) * (u - v)));
            squares.sum::<f64>() / (2.0 * places as f64)
        });
        distances.sum::<f64>() / 4.0
    }

    /// Cosine of the angle between what two pictures show: 1 the same, 0 unrelated.
    pub fn likeness(&self, i: usize, other: &Self, j: usize) -> f64 {
        let of = |set: &Self, i: usize| set.identity[i * IDENTITY..][..IDENTITY].to_vec();
        let (u, v) = (of(self, i), of(other, j));
        u.iter().zip(&v).map(|(u, v)| f64::from(u * v)).sum()
    }

    /// Adds the pictures of another set after these; their layers too.
    pub fn extend(&mut self, other: Self) {
        self.look.extend(other.look);
        self.identity.extend(other.identity);
        self.style.extend(other.style);
        self.layers.extend(other.layers);
    }
}

fn largest(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best
}

/// Scales the channels of every place to length 1: `[c, places]`.
fn unit_places(values: &[f32], places: usize) -> Vec<f32> {
    let mut squares = vec![EPSILON; places];
    for row in values.chunks_exact(places) {
        for (sum, v) in squares.iter_mut().zip(row) {
            *sum += v * v;
        }
    }
    let factors: Vec<f32> = squares.into_iter().map(|s| 1.0 / s.sqrt()).collect();
    let rows = values.chunks_exact(places);
    rows.flat_map(|row| row.iter().zip(&factors).map(|(v, f)| v * f))
        .collect()
}

/// Planes at another size: means where they shrink, lines between neighbours where they grow. Both are a triangle as wide
/// as the larger of the two pixels, so that whole factors lose nothing to aliasing.
fn resized(planes: &[f32], side: usize, target: usize) -> Vec<f32> {
    if side == target {
        return planes.to_vec();
    }
    let ratio = side as f32 / target as f32;
    let support = ratio.max(1.0);
    let weights: Vec<Vec<(usize, f32)>> = (0..target)
        .map(|i| {
            let centre = (i as f32 + 0.5) * ratio - 0.5;
            let mut row: Vec<(usize, f32)> = (0..side)
                .map(|j| (j, 1.0 - (j as f32 - centre).abs() / support))
                .filter(|(_, weight)| *weight > 0.0)
                .collect();
            let total: f32 = row.iter().map(|(_, weight)| weight).sum();
            for (_, weight) in &mut row {
                *weight /= total;
            }
            row
        })
        .collect();
    let mut out = Vec::with_capacity(planes.len() / (side * side) * target * target);
    for plane in planes.chunks_exact(side * side) {
        let narrow: Vec<f32> = plane
            .chunks_exact(side)
            .flat_map(|row| {
                weights
                    .iter()
                    .map(|w| w.iter().map(|&(j, weight)| weight * row[j]).sum::<f32>())
            })
            .collect(); // [side, target]
        for w in &weights {
            out.extend((0..target).map(|x| {
                w.iter()
                    .map(|&(j, weight)| weight * narrow[j * target + x])
                    .sum::<f32>()
            }));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_stays_a_ramp_at_any_size() {
        for side in [16_usize, 32, 48, 64, 100] {
            // Where sizes are no multiples of each other, a triangle's samples are uneven: up to a twentieth of a pixel.
            let whole = side.is_multiple_of(32) || 32_usize.is_multiple_of(side);
            let tolerance = if whole { 1e-5 } else { 0.05 / side as f32 };
            let ramp: Vec<f32> = (0..side * side)
                .map(|i| ((i % side) as f32 + 0.5) / side as f32)
                .collect();
            let small = resized(&ramp, side, 32);
            assert_eq!(small.len(), 32 * 32);
            for x in 2..30 {
                let expected = (x as f32 + 0.5) / 32.0;
                let error = (small[7 * 32 + x] - expected).abs();
                assert!(error < tolerance, "{side} {x}: {error}");
            }
        }
    }

    #[test]
    fn places_have_length_one_and_plain_ones_stay_finite() {
        let units = unit_places(&[3.0, 0.0, 4.0, 0.0], 2);
        assert!((units[0] - 0.6).abs() < 1e-6 && (units[2] - 0.8).abs() < 1e-6);
        assert_eq!((units[1], units[3]), (0.0, 0.0));
    }

    #[test]
    fn a_written_network_reads_back_to_the_bit() {
        let file = Features::embedded().write();
        assert!(
            file == EMBEDDED,
            "{} bytes, {} built in",
            file.len(),
            EMBEDDED.len()
        );
        for cut in [0, 7, 8, 100, EMBEDDED.len() - 1] {
            assert!(Features::read(&EMBEDDED[..cut]).is_err(), "{cut}");
        }
    }
}
