//! EfficientNet-Lite0 without its classifier, on the processor's cores: the same figures on every device.
//! Pictures enter as planes, and are `[y, x, channel]` from the first layer on; sixteen channels at a time go
//! through a block's first two layers. The weights are built in; `benches/peers/convert_efficientnet.py` made
//! them from the published ones.

use crate::number::Real;
use std::sync::OnceLock;

use half::f16;
use safetensors::tensor::{Dtype, SafeTensors};
use wide::f32x8;

/// Side of the square that the network is shown.
pub(super) const SIDE_PX: usize = 128;
/// Channel means of the last layer.
pub(super) const POOLED: usize = 1280;
/// Maps that are kept: block, channels and stride, the last of each size.
pub(super) const MAPS: [(usize, usize, usize); 4] =
    [(0, 16, 2), (2, 24, 4), (4, 40, 8), (10, 112, 16)];
/// Kernel side and stride of every block's depthwise layer.
const BLOCKS: [(usize, usize); 16] = [
    (3, 1),
    (3, 2),
    (3, 1),
    (5, 2),
    (5, 1),
    (3, 2),
    (3, 1),
    (3, 1),
    (5, 1),
    (5, 1),
    (5, 1),
    (5, 2),
    (5, 1),
    (5, 1),
    (5, 1),
    (3, 1),
];
/// Channels that go through a loop together: two vectors.
const LANES: usize = 16;
/// Places whose sums are kept in registers at once.
const ROWS: usize = 6;

static EMBEDDED: &[u8] =
    include_bytes!("../../assets/efficientnet-lite0/efficientnet-lite0.safetensors");

/// Sixteen channels.
type Lanes = [f32x8; 2];

/// A layer that sees one place at a time: `[places, inputs] -> [places, outputs]`.
struct Dense {
    inputs: usize,
    outputs: usize,
    /// `[outputs / 16][inputs]`, the last of them filled up with zeros.
    weights: Vec<Lanes>,
    /// `[outputs / 16]`
    bias: Vec<Lanes>,
}

/// A layer that sees one channel at a time.
struct Depthwise {
    kernel: usize,
    stride: usize,
    /// `[channels / 16][kernel * kernel]`
    weights: Vec<Lanes>,
    /// `[channels / 16]`
    bias: Vec<Lanes>,
}

struct Block {
    /// The first block has none.
    expand: Option<Dense>,
    depthwise: Depthwise,
    project: Dense,
}

/// The layers in their order.
pub(super) struct Network {
    stem: Dense,
    blocks: Vec<Block>,
    head: Dense,
}

/// What the network makes of one picture.
pub(super) struct Maps {
    /// `[places, channels]` of each of [`MAPS`].
    pub(super) kept: [Vec<f32>; 4],
    /// Means over places of the last layer's channels.
    pub(super) pooled: Vec<f32>,
}

impl Network {
    /// The network that is built in.
    pub(super) fn embedded() -> &'static Self {
        static NETWORK: OnceLock<Network> = OnceLock::new();
        NETWORK.get_or_init(|| {
            Self::read(EMBEDDED).expect("the built-in network is whole: a test looks with it")
        })
    }

    fn read(bytes: &[u8]) -> Result<Self, String> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let array = |name: &str| -> Result<(Vec<usize>, Vec<f32>), String> {
            let view = file.tensor(name).map_err(|e| format!("{name}: {e}"))?;
            let values = match view.dtype() {
                Dtype::F16 => {
                    let halves = view.data().as_chunks::<2>().0.iter();
                    halves.map(|b| f16::from_le_bytes(*b).to_f32()).collect()
                }
                Dtype::F32 => {
                    let singles = view.data().as_chunks::<4>().0.iter();
                    singles.map(|b| f32::from_le_bytes(*b)).collect()
                }
                other => return Err(format!("{name} is {other:?}, expected F16 or F32")),
            };
            Ok((view.shape().to_vec(), values))
        };
        let layer = |name: &str| -> Result<(usize, usize, Vec<Lanes>, Vec<Lanes>), String> {
            let (shape, weights) = array(&format!("{name}.weight"))?;
            let (_, bias) = array(&format!("{name}.bias"))?;
            let [rows, columns] = shape[..] else {
                return Err(format!("{name} has {} axes, expected 2", shape.len()));
            };
            if bias.len() != columns {
                return Err(format!(
                    "{name} has {columns} outputs and {} biases",
                    bias.len()
                ));
            }
            Ok((
                rows,
                columns,
                panels(&weights, columns),
                panels(&bias, columns),
            ))
        };
        let dense = |name: &str| -> Result<Dense, String> {
            let (inputs, outputs, weights, bias) = layer(name)?;
            Ok(Dense {
                inputs,
                outputs,
                weights,
                bias,
            })
        };
        let block = |(i, (kernel, stride)): (usize, (usize, usize))| {
            let (places, _, weights, bias) = layer(&format!("block{i:02}.depthwise"))?;
            if places != kernel * kernel {
                return Err(format!(
                    "block {i} looks at {places} places, expected {kernel} x {kernel}"
                ));
            }
            Ok(Block {
                expand: (i > 0)
                    .then(|| dense(&format!("block{i:02}.expand")))
                    .transpose()?,
                depthwise: Depthwise {
                    kernel,
                    stride,
                    weights,
                    bias,
                },
                project: dense(&format!("block{i:02}.project"))?,
            })
        };
        Ok(Self {
            stem: dense("stem")?,
            blocks: BLOCKS
                .into_iter()
                .enumerate()
                .map(block)
                .collect::<Result<_, _>>()?,
            head: dense("head")?,
        })
    }

    /// Looks at some pictures, `[n, 3, 128, 128]`, as the network wants them: `(value - 127) / 128` of whole
    /// values to 255.
    pub(super) fn see(&self, pictures: &[f32]) -> Vec<Maps> {
        let n = pictures.len() / (3 * SIDE_PX * SIDE_PX);
        let mut side = SIDE_PX / 2;
        let patches: Vec<f32> = pictures
            .chunks_exact(3 * SIDE_PX * SIDE_PX)
            .flat_map(stem_patches)
            .collect();
        let mut x = vec![0.0; n * side * side * self.stem.outputs];
        self.stem.forward(&patches, &mut x, None, true);
        let mut maps: Vec<Maps> = (0..n)
            .map(|_| Maps {
                kept: Default::default(),
                pooled: vec![0.0; POOLED],
            })
            .collect();
        for (i, block) in self.blocks.iter().enumerate() {
            (x, side) = block.forward(&x, n, side);
            if let Some(place) = MAPS.iter().position(|map| map.0 == i) {
                for (map, x) in maps.iter_mut().zip(x.chunks_exact(x.len() / n)) {
                    map.kept[place] = x.to_vec();
                }
            }
        }
        let places = side * side;
        let mut last = vec![0.0; n * places * POOLED];
        self.head.forward(&x, &mut last, None, true);
        for (map, last) in maps.iter_mut().zip(last.chunks_exact(places * POOLED)) {
            for row in last.chunks_exact(POOLED) {
                for (sum, v) in map.pooled.iter_mut().zip(row) {
                    *sum += v / places.to_f32();
                }
            }
        }
        maps
    }
}

/// `[rows, columns] -> [columns / 16][rows]`, sixteen columns a value.
fn panels(values: &[f32], columns: usize) -> Vec<Lanes> {
    (0..columns)
        .step_by(LANES)
        .flat_map(|first| {
            let last = columns.min(first + LANES);
            values.chunks_exact(columns).map(move |row| {
                let mut lanes = [0.0; LANES];
                lanes[..last - first].copy_from_slice(&row[first..last]);
                load(&lanes)
            })
        })
        .collect()
}

/// What the first layer sees at each of its places, three by three pixels of three colours: `[64 * 64, 27]`.
/// Beyond the right and the lower edge it sees zeros.
fn stem_patches(picture: &[f32]) -> Vec<f32> {
    let out = SIDE_PX / 2;
    let mut patches = vec![0.0; out * out * 27];
    for (place, patch) in patches.chunks_exact_mut(27).enumerate() {
        let (top, left) = (place / out * 2, place % out * 2);
        for (tap, colours) in patch.chunks_exact_mut(3).enumerate() {
            let (y, x) = (top + tap / 3, left + tap % 3);
            if y < SIDE_PX && x < SIDE_PX {
                for (c, value) in colours.iter_mut().enumerate() {
                    *value = picture[(c * SIDE_PX + y) * SIDE_PX + x];
                }
            }
        }
    }
    patches
}

fn load(values: &[f32; LANES]) -> Lanes {
    let (low, high) = values.split_at(LANES / 2);
    [low, high].map(|half| f32x8::new(half.try_into().expect("half of sixteen")))
}

/// Between 0 and 6.
fn relu6(x: Lanes) -> Lanes {
    x.map(|half| half.fast_max(f32x8::ZERO).fast_min(f32x8::splat(6.0)))
}

impl Dense {
    /// Sixteen outputs of some places, `[places, inputs]`, given to `take` one place after the other; a place
    /// may come twice.
    fn panel(&self, panel: usize, x: &[f32], mut take: impl FnMut(usize, Lanes)) {
        let weights = &self.weights[panel * self.inputs..][..self.inputs];
        let bias = self.bias[panel];
        let places = x.len() / self.inputs;
        let row = |place: usize| &x[place * self.inputs..][..weights.len()];
        let mut first = 0;
        while first < places {
            if places < ROWS {
                take(first, sums(weights, [row(first)], bias)[0]);
                first += 1;
                continue;
            }
            // The last places share some with those before: each has the same sum in any company.
            let start = first.min(places - ROWS);
            let rows: [&[f32]; ROWS] = std::array::from_fn(|r| row(start + r));
            for (r, sum) in sums(weights, rows, bias).into_iter().enumerate() {
                take(start + r, sum);
            }
            first = start + ROWS;
        }
    }

    /// `[places, inputs] -> [places, outputs]`, with `skip` added, or held between 0 and 6.
    fn forward(&self, x: &[f32], out: &mut [f32], skip: Option<&[f32]>, is_held: bool) {
        for panel in 0..self.bias.len() {
            let first = panel * LANES;
            let width = LANES.min(self.outputs - first);
            self.panel(panel, x, |place, sums| {
                let sums = if is_held { relu6(sums) } else { sums };
                let start = place * self.outputs + first;
                let sums = sums.map(f32x8::to_array);
                let out = &mut out[start..start + width];
                match skip {
                    Some(skip) => {
                        let both = sums.as_flattened().iter().zip(&skip[start..]);
                        for (out, (sum, skip)) in out.iter_mut().zip(both) {
                            *out = sum + skip;
                        }
                    }
                    None => out.copy_from_slice(&sums.as_flattened()[..width]),
                }
            });
        }
    }
}

/// `bias + sum over i of rows[r][i] * weights[i]`, in the order of `i`.
fn sums<const R: usize>(weights: &[Lanes], rows: [&[f32]; R], bias: Lanes) -> [Lanes; R] {
    let mut sums = [bias; R];
    for (i, [low, high]) in weights.iter().enumerate() {
        for (sum, row) in sums.iter_mut().zip(&rows) {
            let value = f32x8::splat(row[i]);
            sum[0] = value.mul_add(*low, sum[0]);
            sum[1] = value.mul_add(*high, sum[1]);
        }
    }
    sums
}

impl Block {
    /// `[n, side, side, inputs]`; returns the result and its side.
    fn forward(&self, x: &[f32], n: usize, side: usize) -> (Vec<f32>, usize) {
        let (kernel, stride) = (self.depthwise.kernel, self.depthwise.stride);
        let inputs = x.len() / (n * side * side);
        let channels = self.depthwise.bias.len() * LANES;
        let out_side = side.div_ceil(stride);
        // As TensorFlow pads: the odd one goes right and below.
        let padded = (out_side - 1) * stride + kernel;
        let before = (padded - side) / 2;
        let inside = |place: usize| (place / side + before) * padded + place % side + before;
        let places: Vec<usize> = (0..side * side).map(inside).collect();
        let mut plane = vec![[f32x8::ZERO; 2]; padded * padded];
        let out_places = out_side * out_side;
        let mut middle = vec![0.0; n * out_places * channels];
        for panel in 0..channels / LANES {
            let pictures = x.chunks_exact(side * side * inputs);
            for (x, middle) in pictures.zip(middle.chunks_exact_mut(out_places * channels)) {
                match &self.expand {
                    Some(expand) => expand.panel(panel, x, |place, sums| {
                        plane[places[place]] = relu6(sums);
                    }),
                    None => {
                        for (row, &place) in x.chunks_exact(inputs).zip(&places) {
                            let lanes = row[panel * LANES..].first_chunk();
                            plane[place] = load(lanes.expect("channels come by sixteen"));
                        }
                    }
                }
                self.depthwise.panel(panel, &plane, padded, |place, sums| {
                    let sums = relu6(sums).map(f32x8::to_array);
                    middle[place * channels + panel * LANES..][..LANES]
                        .copy_from_slice(sums.as_flattened());
                });
            }
        }
        let mut out = vec![0.0; n * out_places * self.project.outputs];
        let is_residual = stride == 1 && inputs == self.project.outputs;
        self.project
            .forward(&middle, &mut out, is_residual.then_some(x), false);
        (out, out_side)
    }
}

impl Depthwise {
    /// Sixteen channels of a padded plane, given to `take` one place after the other.
    fn panel(&self, panel: usize, plane: &[Lanes], side: usize, take: impl FnMut(usize, Lanes)) {
        match self.kernel {
            3 => self.panel_of::<3>(panel, plane, side, take),
            5 => self.panel_of::<5>(panel, plane, side, take),
            other => unreachable!("a kernel of {other}"),
        }
    }

    fn panel_of<const K: usize>(
        &self,
        panel: usize,
        plane: &[Lanes],
        side: usize,
        mut take: impl FnMut(usize, Lanes),
    ) {
        let weights = &self.weights[panel * K * K..][..K * K];
        let out_side = (side - K) / self.stride + 1;
        for y in 0..out_side {
            for x in 0..out_side {
                let corner = y * self.stride * side + x * self.stride;
                let mut sums = self.bias[panel];
                for row in 0..K {
                    let seen = &plane[corner + row * side..][..K];
                    for (seen, weight) in seen.iter().zip(&weights[row * K..][..K]) {
                        sums[0] = seen[0].mul_add(weight[0], sums[0]);
                        sums[1] = seen[1].mul_add(weight[1], sums[1]);
                    }
                }
                take(y * out_side + x, sums);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_file_is_refused() {
        for cut in [0, 7, 8, 100, EMBEDDED.len() - 1] {
            assert!(Network::read(&EMBEDDED[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_picture_is_seen_alike_in_any_company() {
        let len = 3 * SIDE_PX * SIDE_PX;
        let pictures: Vec<f32> = (0..3 * len)
            .map(|i| ((i * i) % 251).to_f32() / 125.5 - 1.0)
            .collect();
        let network = Network::embedded();
        let together = network.see(&pictures);
        for (picture, seen) in pictures.chunks_exact(len).zip(&together) {
            let alone = &network.see(picture)[0];
            assert!(alone.kept == seen.kept && alone.pooled == seen.pooled);
        }
    }
}
