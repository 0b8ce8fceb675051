//! The operations of a training step at the shapes that the networks meet, each with its truth: float64
//! written from the formula, or the same operation on Flex.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::Param;
use burn::tensor::{Device, Gradients, Int, Tensor, TensorData, activation};
use demotic_crf::GridCrfConfig;
use demotic_crf::oracle::Chain;

use super::oracle::{Convolution, EdgeAware, Normalisation, Normalised, product, transposed};
use crate::loss;
use crate::model::layers::{SLOPE, groups, halve, leaky};
use crate::model::{DiscriminatorConfig, Posterior};
use crate::number::{Real, Whole};
use crate::ops::{
    self, AdamScalars, Fan, Filter, Meeting, Read, Reading, Resize, Shape, unshuffle, upsample,
};
use crate::rng::{Rng, Stream};
use crate::settings::Config;

/// Named values that an operation gives.
pub(super) type Outputs = Vec<(&'static str, Vec<f32>)>;
/// What they should be, in the same order.
pub(super) type Truths = Vec<Vec<f64>>;

/// One operation at one size.
pub(super) struct Case {
    pub(super) operation: &'static str,
    pub(super) size: String,
    /// Largest error over the largest true value that passes.
    pub(super) tolerance: f64,
    pub(super) run: Box<dyn Fn(&Device) -> Outputs>,
    /// None: what Flex gives.
    pub(super) truth: Option<Box<dyn Fn() -> Truths>>,
}

/// A convolution's f32 sums run over some hundreds of products forward and over every pixel in a weight's
/// gradient, in blocks.
const SUMS: f64 = 3e-5;
/// A few roundings, no long sum.
const ROUNDINGS: f64 = 5e-6;

/// What is to be checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    pub(super) config: &'a Config,
    /// Styles of its pictures.
    pub(super) styles: usize,
    /// What its networks meet, with the largest number of pictures.
    pub(super) shapes: &'a BTreeMap<Shape, usize>,
    /// A convolution takes so many pictures that its forward pass stays within as many multiply-adds.
    pub(super) multiply_adds_max: usize,
}

/// Values of a tensor that is compared with the float64 of its formula: a quarter of a gigabyte with all that
/// belongs to it.
const VALUES_MAX: usize = 1 << 22;

/// Pictures that go through a residual block here: every kernel in it is compared with its formula by itself.
const RESIDUAL_PICTURES: usize = 2;

/// All cases.
pub(super) fn cases(scope: Scope<'_>) -> Vec<Case> {
    let Scope { config, styles, .. } = scope;
    let size = config.data.size_px as usize;
    let channels = config.generator.channels;
    let side = size / config.generator.latent_stride;
    let batch = config.train.batch;
    let mut all: Vec<Case> = scope
        .shapes
        .iter()
        .map(|(shape, pictures)| met(*shape, *pictures, scope))
        .collect();
    all.push(latent(
        batch.min(VALUES_MAX / (channels * side * side)),
        channels,
        side,
    ));
    all.push(losses(config.data.channels.count(), size));
    all.push(style_code(
        batch,
        styles,
        config.generator.style_dims,
        2 * channels,
    ));
    all.push(styled_normalisation(
        batch.min(VALUES_MAX / (channels * side * side)),
        channels,
        side,
        config.generator.style_dims,
    ));
    all.push(residual(
        batch.min(RESIDUAL_PICTURES),
        channels,
        side,
        config.generator.style_dims,
    ));
    let few = batch.min(RESIDUAL_PICTURES);
    for reading in [Reading::Leaky(SLOPE), Reading::Doubled, Reading::Unshuffled] {
        all.push(convolution_of(
            reading,
            few,
            channels.min(READ_CHANNELS),
            side,
        ));
    }
    all.push(leaky_halving(few, channels, side));
    all.push(row_normalisation(few, channels, side));
    all.push(composites(config.data.channels.count(), size));
    all.push(step_figures(
        1 + styles,
        size / DiscriminatorConfig::PATCH_STRIDE,
    ));
    // The second is that of six styles at 64 px.
    let grid = size / DiscriminatorConfig::PATCH_STRIDE;
    for (labels, side) in BTreeSet::from([(1 + styles, grid), (7, 16)]) {
        all.push(crf(labels, side));
    }
    all.push(parts(few, side));
    all.push(total());
    all.push(adam());
    all.push(clipped_adam());
    all.push(averaging());
    all.push(gathering());
    all
}

/// The case of a shape that the networks meet.
fn met(shape: Shape, met: usize, scope: Scope<'_>) -> Case {
    let multiply_adds_max = scope.multiply_adds_max;
    let filter = scope.config.generator.filter_scalars();
    let fewer = |a_picture: usize, most: usize| met.min((most / a_picture).max(1));
    let (pictures, mut case) = match shape {
        Shape::Convolution {
            channels_in,
            channels_out,
            side,
            kernel,
        } => {
            let planes = channels_in.max(channels_out) * side * side;
            let products = channels_in * channels_out * (side * kernel).pow(2);
            let batch = fewer(planes, VALUES_MAX).min(fewer(products, multiply_adds_max));
            let case = convolution(Convolution {
                batch,
                channels_in,
                channels_out,
                side,
                kernel,
            });
            (batch, case)
        }
        Shape::Normalisation {
            channels,
            side,
            groups,
        } => {
            let batch = fewer(channels * side * side, VALUES_MAX);
            (batch, normalisation(batch, channels, side, groups))
        }
        Shape::Resizing {
            way,
            channels,
            side,
        } => {
            let batch = fewer(4 * channels * side * side, VALUES_MAX);
            (batch, resizing(way, batch, channels, side))
        }
        Shape::Filter { channels, side } => {
            // The truth writes every weight of a line out.
            let batch = fewer(2 * channels * side.pow(3), VALUES_MAX);
            (batch, filtering(batch, channels, side, filter))
        }
    };
    if pictures < met {
        case.size = format!("{}; {met} pictures in training", case.size);
    }
    case
}

fn numbers(step: u64, count: usize) -> Vec<f32> {
    Rng::new(4, Stream::TEST, step).normals(count)
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    crate::arrays::values_of(tensor)
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

/// Notes the values, and gives the gradients of `sum y * up`.
fn backward<const D: usize>(y: Tensor<D>, up: &[f32], outputs: &mut Outputs) -> Gradients {
    let (device, shape) = (y.device(), y.dims());
    outputs.push(("values", host(y.clone().inner())));
    (y * tensor(up, shape, &device)).sum().backward()
}

fn gradient<const D: usize>(input: &Tensor<D>, gradients: &Gradients) -> Vec<f32> {
    input.grad(gradients).map_or_else(Vec::new, host)
}

fn convolution(shape: Convolution) -> Case {
    let Convolution {
        batch: b,
        channels_in: c,
        channels_out: o,
        side: s,
        kernel: k,
    } = shape;
    let x = numbers(0, b * c * s * s);
    let weight = numbers(1, o * c * k * k);
    let bias = numbers(2, o);
    let up = numbers(3, b * o * s * s);
    let host_values = (x.clone(), weight.clone(), bias.clone(), up.clone());
    Case {
        operation: if k == 1 {
            "convolution 1x1"
        } else {
            "convolution 3x3"
        },
        size: format!("[{b}, {c}, {s}, {s}] to {o} channels"),
        tolerance: SUMS,
        run: Box::new(move |device| {
            let device = device.clone().autodiff();
            let x = tensor(&x, [b, c, s, s], &device).require_grad();
            let weight = tensor(&weight, [o, c, k, k], &device).require_grad();
            let bias = tensor(&bias, [o], &device).require_grad();
            let y = ops::conv_same(x.clone(), weight.clone(), bias.clone());
            let mut outputs = Outputs::new();
            let gradients = backward(y, &up, &mut outputs);
            outputs.push(("data gradient", gradient(&x, &gradients)));
            outputs.push(("weight gradient", gradient(&weight, &gradients)));
            outputs.push(("bias gradient", gradient(&bias, &gradients)));
            outputs
        }),
        truth: Some(Box::new(move || {
            let (x, weight, bias, up) = &host_values;
            let out = shape.run(x, weight, bias, up);
            vec![out.y, out.dx, out.dweight, out.dbias]
        })),
    }
}

/// Channels of a convolution that reads what it sees from another tensor, at most.
const READ_CHANNELS: usize = 48;

/// Where each value of `[b, c, s, s]` is seen, in `[b, c', s', s']`.
fn seen_at(reading: Reading, s: usize) -> impl Fn(usize) -> Vec<usize> {
    move |at: usize| {
        let (plane, i, j) = (at / (s * s), at / s % s, at % s);
        match reading {
            Reading::Plain | Reading::Leaky(_) => vec![at],
            Reading::Doubled => [(0, 0), (0, 1), (1, 0), (1, 1)]
                .map(|(di, dj)| (plane * 2 * s + 2 * i + di) * 2 * s + 2 * j + dj)
                .to_vec(),
            Reading::Unshuffled => {
                let plane = plane * 4 + i % 2 * 2 + j % 2;
                vec![(plane * (s / 2) + i / 2) * (s / 2) + j / 2]
            }
        }
    }
}

/// A 3x3 convolution of what is read otherwise than it lies: [`convolution`] of that.
fn convolution_of(reading: Reading, b: usize, c: usize, s: usize) -> Case {
    let (from, side) = match reading {
        Reading::Plain | Reading::Leaky(_) => (c, s),
        Reading::Doubled => (c, 2 * s),
        Reading::Unshuffled => (4 * c, s / 2),
    };
    let shape = Convolution {
        batch: b,
        channels_in: from,
        channels_out: c,
        side,
        kernel: 3,
    };
    let (x, weight) = (numbers(104, b * c * s * s), numbers(105, c * from * 9));
    let (bias, up) = (numbers(106, c), numbers(107, b * c * side * side));
    let host_values = (x.clone(), weight.clone(), bias.clone(), up.clone());
    Case {
        operation: match reading {
            Reading::Plain => "convolution",
            Reading::Leaky(_) => "activated convolution",
            Reading::Doubled => "doubled convolution",
            Reading::Unshuffled => "unshuffled convolution",
        },
        size: format!("[{b}, {c}, {s}, {s}] to {c} channels"),
        tolerance: SUMS,
        run: Box::new(move |device| {
            let device = device.clone().autodiff();
            let x = tensor(&x, [b, c, s, s], &device).require_grad();
            let weight = tensor(&weight, [c, from, 3, 3], &device).require_grad();
            let bias = tensor(&bias, [c], &device).require_grad();
            let read = match reading {
                Reading::Plain => Read::plain(x.clone()),
                Reading::Leaky(slope) => Read::leaky(x.clone(), slope),
                Reading::Doubled => Read::doubled(x.clone()),
                Reading::Unshuffled => Read::unshuffled(x.clone()),
            };
            let y = ops::conv_read(read, weight.clone(), bias.clone(), false);
            let mut outputs = Outputs::new();
            let gradients = backward(y, &up, &mut outputs);
            outputs.push(("data gradient", gradient(&x, &gradients)));
            outputs.push(("weight gradient", gradient(&weight, &gradients)));
            outputs.push(("bias gradient", gradient(&bias, &gradients)));
            outputs
        }),
        truth: Some(Box::new(move || {
            let (x, weight, bias, up) = &host_values;
            let factor = |at: usize| match reading {
                Reading::Leaky(slope) if x[at] < 0.0 => slope,
                _ => 1.0,
            };
            let places = seen_at(reading, s);
            let mut seen = vec![0.0; b * from * side * side];
            for (at, value) in x.iter().enumerate() {
                for to in places(at) {
                    seen[to] = factor(at) * value;
                }
            }
            let out = shape.run(&seen, weight, bias, up);
            let dx = (0..x.len()).map(|at| {
                let sum: f64 = places(at).into_iter().map(|to| out.dx[to]).sum();
                f64::from(factor(at)) * sum
            });
            vec![out.y, dx.collect(), out.dweight, out.dbias]
        })),
    }
}

/// Means of 2x2 patches of a leaky ReLU.
fn leaky_halving(b: usize, c: usize, s: usize) -> Case {
    let (x, up) = (numbers(108, b * c * s * s), numbers(109, b * c * s * s / 4));
    let host_values = (x.clone(), up.clone());
    Case {
        operation: "activated halving",
        size: format!("[{b}, {c}, {s}, {s}]"),
        tolerance: ROUNDINGS,
        run: Box::new(move |device| {
            let device = device.clone().autodiff();
            let x = tensor(&x, [b, c, s, s], &device).require_grad();
            let mut outputs = Outputs::new();
            let y = Read::leaky(x.clone(), SLOPE).halved();
            let gradients = backward(y, &up, &mut outputs);
            outputs.push(("data gradient", gradient(&x, &gradients)));
            outputs
        }),
        truth: Some(Box::new(move || {
            let (x, up) = &host_values;
            let h = s / 2;
            let (mut y, mut dx) = (vec![0.0; up.len()], vec![0.0; x.len()]);
            for at in 0..x.len() {
                let (plane, i, j) = (at / (s * s), at / s % s, at % s);
                let to = (plane * h + i / 2) * h + j / 2;
                let slope = if x[at] < 0.0 { f64::from(SLOPE) } else { 1.0 };
                y[to] += 0.25 * slope * f64::from(x[at]);
                dx[at] = 0.25 * slope * f64::from(up[to]);
            }
            vec![y, dx]
        })),
    }
}

fn normalisation(b: usize, channels: usize, side: usize, groups: usize) -> Case {
    let shape = Normalisation {
        batch: b,
        channels,
        area: side * side,
        groups,
        slope: f64::from(SLOPE),
        epsilon: 1e-5,
    };
    let x = numbers(10, b * channels * side * side);
    let scale: Vec<f32> = numbers(11, b * channels)
        .iter()
        .map(|v| 1.0 + 0.3 * v)
        .collect();
    let shift = numbers(12, b * channels);
    let up = numbers(13, x.len());
    let host_values = (x.clone(), scale.clone(), shift.clone(), up.clone());
    Case {
        operation: "normalisation",
        size: format!("[{b}, {channels}, {side}, {side}] in {groups} groups, with leaky ReLU"),
        tolerance: SUMS,
        run: Box::new(move |device| {
            let device = device.clone().autodiff();
            let x = tensor(&x, [b, channels, side, side], &device).require_grad();
            let scale = tensor(&scale, [b, channels], &device).require_grad();
            let shift = tensor(&shift, [b, channels], &device).require_grad();
            let y = ops::norm_act(x.clone(), scale.clone(), shift.clone(), groups, SLOPE);
            let mut outputs = Outputs::new();
            let gradients = backward(y, &up, &mut outputs);
            outputs.push(("data gradient", gradient(&x, &gradients)));
            outputs.push(("scale gradient", gradient(&scale, &gradients)));
            outputs.push(("shift gradient", gradient(&shift, &gradients)));
            outputs
        }),
        truth: Some(Box::new(move || {
            let (x, scale, shift, up) = &host_values;
            let out = shape.run(x, scale, shift, up);
            vec![out.y, out.dx, out.dscale, out.dshift]
        })),
    }
}

/// [`normalisation`] with one scale and one shift a channel, parameters as the coder has them.
fn row_normalisation(b: usize, channels: usize, side: usize) -> Case {
    let shape = Normalisation {
        batch: b,
        channels,
        area: side * side,
        groups: groups(channels),
        slope: f64::from(SLOPE),
        epsilon: 1e-5,
    };
    let x = numbers(100, b * channels * side * side);
    let scale: Vec<f32> = numbers(101, channels)
        .iter()
        .map(|v| 1.0 + 0.3 * v)
        .collect();
    let (shift, up) = (numbers(102, channels), numbers(103, x.len()));
    let host_values = (x.clone(), scale.clone(), shift.clone(), up.clone());
    Case {
        operation: "normalisation by rows",
        size: format!("[{b}, {channels}, {side}, {side}], with leaky ReLU"),
        tolerance: SUMS,
        run: Box::new(move |device| {
            let device = device.clone().autodiff();
            let x = tensor(&x, [b, channels, side, side], &device).require_grad();
            let [scale, shift] =
                [&scale, &shift].map(|row| tensor(row, [channels], &device).require_grad());
            let row = [scale.clone(), shift.clone()];
            let y = ops::norm_row(x.clone(), row, groups(channels), SLOPE, &Meeting::default());
            let mut outputs = Outputs::new();
            let gradients = backward(y, &up, &mut outputs);
            outputs.push(("data gradient", gradient(&x, &gradients)));
            for (name, row) in [("scale gradient", scale), ("shift gradient", shift)] {
                // They may come in runs.
                let sum = row.grad(&gradients).map(|g| ops::whole(g, [channels]));
                outputs.push((name, sum.map_or_else(Vec::new, host)));
            }
            outputs
        }),
        truth: Some(Box::new(move || {
            let (x, scale, shift, up) = &host_values;
            let out = shape.run(x, &scale.repeat(b), &shift.repeat(b), up);
            let summed = |of: &[f64]| -> Vec<f64> {
                let rows = |c: usize| of.iter().skip(c).step_by(channels).sum();
                (0..channels).map(rows).collect()
            };
            vec![out.y, out.dx, summed(&out.dscale), summed(&out.dshift)]
        })),
    }
}

/// [`normalisation`] whose scales and shifts come from a style code.
fn styled_normalisation(b: usize, channels: usize, side: usize, dims: usize) -> Case {
    let groups = groups(channels);
    let shape = Normalisation {
        batch: b,
        channels,
        area: side * side,
        groups,
        slope: f64::from(SLOPE),
        epsilon: 1e-5,
    };
    let x = numbers(14, b * channels * side * side);
    let code = numbers(15, b * dims);
    let weight: Vec<f32> = numbers(16, dims * 2 * channels)
        .iter()
        .map(|v| v / (2.0 * dims.to_f32().sqrt()))
        .collect();
    let bias: Vec<f32> = numbers(17, 2 * channels).iter().map(|v| 0.1 * v).collect();
    let up = numbers(18, x.len());
    let host_values = (
        x.clone(),
        code.clone(),
        weight.clone(),
        bias.clone(),
        up.clone(),
    );
    Case {
        operation: "normalisation by style",
        size: format!(
            "[{b}, {channels}, {side}, {side}] in {groups} groups, codes of {dims}, with leaky ReLU"
        ),
        tolerance: SUMS,
        run: Box::new(move |device| {
            let device = device.clone().autodiff();
            let x = tensor(&x, [b, channels, side, side], &device).require_grad();
            let code = tensor(&code, [b, dims], &device).require_grad();
            let weight = tensor(&weight, [dims, 2 * channels], &device).require_grad();
            let bias = tensor(&bias, [2 * channels], &device).require_grad();
            let inputs = (x.clone(), code.clone(), weight.clone(), bias.clone());
            let y = ops::style_norm_act(inputs.0, inputs.1, inputs.2, inputs.3, groups, SLOPE);
            let mut outputs = Outputs::new();
            let gradients = backward(y, &up, &mut outputs);
            outputs.push(("data gradient", gradient(&x, &gradients)));
            outputs.push(("code gradient", gradient(&code, &gradients)));
            outputs.push(("weight gradient", gradient(&weight, &gradients)));
            outputs.push(("bias gradient", gradient(&bias, &gradients)));
            outputs
        }),
        truth: Some(Box::new(move || {
            let (x, code, weight, bias, up) = &host_values;
            let sizes = [b, dims, channels];
            let (scale, shift) = styled_rows(code, weight, bias, sizes);
            let out = shape.run(x, &scale, &shift, up);
            let daffine = affine_gradient(&out, channels);
            let dcode = code_gradient(&daffine, weight, sizes);
            let dweight = product(
                &transposed(&wide(code), [b, dims]),
                &daffine,
                [dims, b, 2 * channels],
            );
            let dbias =
                (0..2 * channels).map(|k| daffine.iter().skip(k).step_by(2 * channels).sum());
            vec![out.y, out.dx, dcode, dweight, dbias.collect()]
        })),
    }
}

/// Scales and shifts `[b, c]` of every picture by its style code.
fn styled_rows(
    code: &[f32],
    weight: &[f32],
    bias: &[f32],
    [b, dims, c]: [usize; 3],
) -> (Vec<f32>, Vec<f32>) {
    let affine = product(&wide(code), &wide(weight), [b, dims, 2 * c]);
    let of = |from: usize, start: f64| -> Vec<f32> {
        let value = |at: usize| {
            let (row, column) = (at / c, from + at % c);
            (start + affine[row * 2 * c + column] + f64::from(bias[column])).to_f32()
        };
        (0..b * c).map(value).collect()
    };
    (of(0, 1.0), of(c, 0.0))
}

/// `[b, 2c]`: by the scales, then by the shifts.
fn affine_gradient(out: &Normalised, channels: usize) -> Vec<f64> {
    let rows = out.dscale.chunks(channels).zip(out.dshift.chunks(channels));
    rows.flat_map(|(d, e)| [d, e].concat()).collect()
}

/// By the style codes, `[b, dims]`.
fn code_gradient(daffine: &[f64], weight: &[f32], [b, dims, c]: [usize; 3]) -> Vec<f64> {
    let by_column = transposed(&wide(weight), [dims, 2 * c]);
    product(daffine, &by_column, [b, 2 * c, dims])
}

/// A normalisation by style and a convolution.
struct Half {
    matrix: Vec<f32>,
    offset: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Half {
    fn new(step: u64, [dims, c]: [usize; 2]) -> Self {
        let scaled = |step, count, by: f32| -> Vec<f32> {
            numbers(step, count).iter().map(|v| v * by).collect()
        };
        Self {
            matrix: scaled(step, dims * 2 * c, 0.5 / dims.to_f32().sqrt()),
            offset: scaled(step + 1, 2 * c, 0.1),
            weight: scaled(step + 2, c * c * 9, 1.0 / (9.0 * c.to_f32()).sqrt()),
            bias: scaled(step + 3, c, 0.1),
        }
    }
}

/// A residual block by style: what kernels add on top of what is there, forward and backward. Without leaky
/// ReLU, whose kink would make a difference in the last digit of what goes in count.
fn residual(b: usize, c: usize, side: usize, dims: usize) -> Case {
    let groups = groups(c);
    let size = b * c * side * side;
    let [x, code, up] = [(90, size), (91, b * dims), (92, size)].map(|(at, n)| numbers(at, n));
    let halves = [93, 97].map(|step| Half::new(step, [dims, c]));
    let halves = std::sync::Arc::new(halves);
    let host_values = (
        x.clone(),
        code.clone(),
        up.clone(),
        std::sync::Arc::clone(&halves),
    );
    Case {
        operation: "residual block by style",
        size: format!("[{b}, {c}, {side}, {side}] in {groups} groups, codes of {dims}"),
        tolerance: SUMS,
        run: Box::new(move |device| {
            let device = device.clone().autodiff();
            let pictures = tensor(&x, [b, c, side, side], &device).require_grad();
            let codes = tensor(&code, [b, dims], &device).require_grad();
            // Computed, as they are in the networks: of what is not, Burn adds the gradients up.
            let (x, code) = (pictures.clone() * 2.0, codes.clone() * 0.5);
            let [of_x, of_y] = std::array::from_fn(|_| Meeting::default());
            let code = Fan::new(code);
            // Learned, as they are in the networks: so their gradients wait for one launch.
            let normalised = |x, half: &Half, of_x: &Meeting| {
                let matrix = tensor(&half.matrix, [dims, 2 * c], &device).require_grad();
                let offset = tensor(&half.offset, [2 * c], &device).require_grad();
                code.norm_act(x, (matrix, offset), groups, 1.0, of_x)
            };
            let parameters = |half: &Half| {
                let weight = tensor(&half.weight, [c, c, 3, 3], &device);
                (weight, tensor(&half.bias, [c], &device))
            };
            let y = normalised(x.clone(), &halves[0], &of_x);
            let (weight, bias) = parameters(&halves[0]);
            let y = ops::conv_same(y, weight, bias);
            let y = normalised(y, &halves[1], &of_y);
            let (weight, bias) = parameters(&halves[1]);
            let y = ops::conv_onto(x, y, weight, bias, &of_x, false);
            let mut outputs = Outputs::new();
            let gradients = backward(y, &up, &mut outputs);
            outputs.push(("data gradient", gradient(&pictures, &gradients)));
            outputs.push(("code gradient", gradient(&codes, &gradients)));
            outputs
        }),
        truth: Some(Box::new(move || {
            let (pictures, codes, up, halves) = &host_values;
            let times =
                |values: &[f32], by: f32| -> Vec<f32> { values.iter().map(|v| v * by).collect() };
            residual_truth(
                &times(pictures, 2.0),
                &times(codes, 0.5),
                up,
                halves,
                [b, c, side, dims],
            )
        })),
    }
}

/// Values, and gradients by half of the pictures and by twice the codes.
fn residual_truth(
    x: &[f32],
    code: &[f32],
    up: &[f32],
    [first, second]: &[Half; 2],
    [b, c, side, dims]: [usize; 4],
) -> Truths {
    let norm = Normalisation {
        batch: b,
        channels: c,
        area: side * side,
        groups: groups(c),
        slope: 1.0,
        epsilon: 1e-5,
    };
    let conv = Convolution {
        batch: b,
        channels_in: c,
        channels_out: c,
        side,
        kernel: 3,
    };
    let narrow = |values: &[f64]| -> Vec<f32> { values.iter().map(|v| v.to_f32()).collect() };
    let sizes = [b, dims, c];
    let rows = |half: &Half| styled_rows(code, &half.matrix, &half.offset, sizes);
    let (scale, shift) = rows(first);
    let (scale_2, shift_2) = rows(second);
    let y = narrow(&norm.run(x, &scale, &shift, up).y);
    let z = narrow(&conv.run(&y, &first.weight, &first.bias, up).y);
    let n = narrow(&norm.run(&z, &scale_2, &shift_2, up).y);
    let last = conv.run(&n, &second.weight, &second.bias, up);

    let back_2 = norm.run(&z, &scale_2, &shift_2, &narrow(&last.dx));
    let dy = conv
        .run(&y, &first.weight, &first.bias, &narrow(&back_2.dx))
        .dx;
    let back = norm.run(x, &scale, &shift, &narrow(&dy));
    let dcode = |half: &Half, out| code_gradient(&affine_gradient(out, c), &half.matrix, sizes);
    let both = dcode(first, &back).into_iter().zip(dcode(second, &back_2));
    let sum = |a: &[f64], b: &[f32]| -> Vec<f64> {
        a.iter().zip(b).map(|(a, b)| a + f64::from(*b)).collect()
    };
    vec![
        sum(&last.y, x),
        sum(&back.dx, up).iter().map(|v| 2.0 * v).collect(),
        both.map(|(a, b)| 0.5 * (a + b)).collect(),
    ]
}

/// A change of sides, forward and backward.
fn resizing(way: Resize, b: usize, channels: usize, side: usize) -> Case {
    let s = side;
    let x = numbers(20, b * channels * s * s);
    let (operation, resize, len): (_, fn(Tensor<4>) -> Tensor<4>, _) = match way {
        Resize::Halve => ("halving", halve, x.len() / 4),
        Resize::Upsample => ("upsampling", upsample, x.len() * 4),
        Resize::Unshuffle => ("unshuffling", unshuffle, x.len()),
    };
    let up = numbers(21, len);
    let host_values = (x.clone(), up.clone());
    Case {
        operation,
        size: format!("[{b}, {channels}, {s}, {s}]"),
        tolerance: ROUNDINGS,
        run: Box::new(move |device| {
            let device = device.clone().autodiff();
            let mut outputs = Outputs::new();
            let x = tensor(&x, [b, channels, s, s], &device).require_grad();
            let gradients = backward(resize(x.clone()), &up, &mut outputs);
            outputs.push(("data gradient", gradient(&x, &gradients)));
            outputs
        }),
        truth: Some(Box::new(move || {
            let (x, up) = &host_values;
            let h = s / 2;
            let mut y = vec![0.0; up.len()];
            let mut dx = vec![0.0; x.len()];
            // `y[to] += share * x[at]`, whatever the way is.
            let mut leads = |at: usize, to: usize, share: f64| {
                y[to] += share * f64::from(x[at]);
                dx[at] += share * f64::from(up[to]);
            };
            for at in 0..x.len() {
                let (plane, i, j) = (at / (s * s), at / s % s, at % s);
                match way {
                    Resize::Halve => leads(at, (plane * h + i / 2) * h + j / 2, 0.25),
                    Resize::Unshuffle => {
                        let plane = plane * 4 + i % 2 * 2 + j % 2;
                        leads(at, (plane * h + i / 2) * h + j / 2, 1.0);
                    }
                    Resize::Upsample => {
                        for (di, dj) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                            let row = plane * 2 * s + 2 * i + di;
                            leads(at, row * 2 * s + 2 * j + dj, 1.0);
                        }
                    }
                }
            }
            vec![y, dx]
        })),
    }
}

/// Translations laid into their pictures along edges, and the gradient back to them.
fn filtering(batch: usize, channels: usize, side: usize, filter: Filter) -> Case {
    let shape = [batch, channels, side, side];
    let count = shape.iter().product();
    let picture = |step| -> Vec<f32> {
        let values = numbers(step, count);
        // Steps of five pixels with noise on them: regions and edges.
        let value = |at: usize| 0.4 * values[at / 5 * 5] + 0.02 * values[at];
        (0..count).map(|at| value(at).clamp(-0.9, 0.9)).collect()
    };
    let (guide, fake, up) = (picture(24), picture(25), numbers(26, count));
    let host_values = (guide.clone(), fake.clone(), up.clone());
    Case {
        operation: "edge-aware filter",
        size: format!("{shape:?}"),
        tolerance: SUMS,
        run: Box::new(move |device| {
            let device = device.clone().autodiff();
            let fake = tensor(&fake, shape, &device).require_grad();
            let y = ops::lay_in(tensor(&guide, shape, &device), fake.clone(), filter);
            let mut outputs = Outputs::new();
            let gradients = backward(y, &up, &mut outputs);
            outputs.push(("translation's gradient", gradient(&fake, &gradients)));
            outputs
        }),
        truth: Some(Box::new(move || {
            let (guide, fake, up) = &host_values;
            let oracle = EdgeAware {
                batch,
                channels,
                height: side,
                width: side,
                filter,
                scales: &[1.0, 1.0],
            };
            let out = oracle.run(guide, fake, up);
            vec![out.y, out.dfake]
        })),
    }
}

/// Means and raw logarithms of variances of pictures, as the posterior takes them together.
struct Spread {
    shape: [usize; 4],
    both: Vec<f32>,
}

impl Spread {
    /// A case of samples `[b, c, s, s]`.
    fn new(step: u64, shape: [usize; 4]) -> Self {
        let [b, c, h, w] = shape;
        let planes = c * h * w;
        let mut both = numbers(step, 2 * b * planes);
        // Logarithms that the bounds cut on either side.
        for picture in both.chunks_exact_mut(2 * planes) {
            for log_var in &mut picture[planes..] {
                *log_var = 5.0 * *log_var - ops::LOG_VAR_START;
            }
        }
        Self { shape, both }
    }

    fn tensor(&self, device: &Device) -> Tensor<4> {
        let [b, c, h, w] = self.shape;
        tensor(&self.both, [b, 2 * c, h, w], device).require_grad()
    }

    /// Where the mean of a sample's value lies, that of its variance behind it; the mean, and the logarithm
    /// within its bounds, if it is.
    fn at(&self, sample: usize) -> ([usize; 2], f64, f64, bool) {
        let planes: usize = self.shape[1..].iter().product();
        let mean = sample + sample / planes * planes;
        let raw = f64::from(self.both[mean + planes] + ops::LOG_VAR_START);
        let [least, most] = ops::LOG_VAR_RANGE.map(f64::from);
        let bounded = raw.clamp(least, most);
        let places = [mean, mean + planes];
        (places, f64::from(self.both[mean]), bounded, raw == bounded)
    }
}

/// `tanh(leaky(mean + exp(log_var / 2) * noise))`: samples of the posterior, and the element-wise chain that
/// fusion makes one kernel of.
fn latent(batch: usize, channels: usize, side: usize) -> Case {
    let shape = [batch, channels, side, side];
    let count: usize = shape.iter().product();
    let spread = std::sync::Arc::new(Spread::new(30, shape));
    let (noise, up) = (numbers(32, count), numbers(33, count));
    let host_values = (spread.clone(), noise.clone(), up.clone());
    Case {
        operation: "element by element",
        size: format!("{shape:?}: sampling, leaky ReLU, tanh"),
        tolerance: SUMS,
        run: Box::new(move |device| {
            let device = device.clone().autodiff();
            let both = spread.tensor(&device);
            let posterior = Posterior::raw(both.clone());
            let y = leaky(posterior.sample(tensor(&noise, shape, &device)));
            let y = activation::tanh(y.mul_scalar(0.25));
            let mut outputs = Outputs::new();
            let gradients = backward(y, &up, &mut outputs);
            outputs.push(("posterior's gradient", gradient(&both, &gradients)));
            outputs
        }),
        truth: Some(Box::new(move || {
            let (spread, noise, up) = &host_values;
            let (mut out, mut dboth) = (vec![0.0; count], vec![0.0; 2 * count]);
            for i in 0..count {
                let ([at_mean, at_log_var], mean, log_var, is_free) = spread.at(i);
                let deviation = (log_var / 2.0).exp();
                let sample = mean + deviation * f64::from(noise[i]);
                let slope = if sample > 0.0 { 1.0 } else { f64::from(SLOPE) };
                let y = (0.25 * slope * sample).tanh();
                let d = f64::from(up[i]) * (1.0 - y * y) * 0.25 * slope;
                out[i] = y;
                dboth[at_mean] = d;
                if is_free {
                    dboth[at_log_var] = d * f64::from(noise[i]) * deviation / 2.0;
                }
            }
            vec![out, dboth]
        })),
    }
}

/// Mean absolute error over pictures and the posterior's divergence: the long sums.
fn losses(channels: usize, side: usize) -> Case {
    let shape = [8, channels, side, side];
    let count: usize = shape.iter().product();
    let (a, b) = (numbers(40, count), numbers(41, count));
    let spread = std::sync::Arc::new(Spread::new(43, shape));
    let host_values = (a.clone(), b.clone(), spread.clone());
    Case {
        operation: "reductions",
        size: format!("{shape:?}: mean absolute error, divergence"),
        tolerance: ROUNDINGS,
        run: Box::new(move |device| {
            let device = device.clone().autodiff();
            let [x, y] = [&a, &b].map(|v| tensor(v, shape, &device).require_grad());
            let error = loss::absolute_error(x.clone(), y.clone());
            let mut outputs: Outputs = vec![("absolute error", host(error.clone().inner()))];
            outputs.push(("its gradient", gradient(&x, &error.backward())));
            let both = spread.tensor(&device);
            let divergence = loss::divergence(&Posterior::raw(both.clone()), count / 8);
            outputs.push(("divergence", host(divergence.clone().inner())));
            outputs.push(("its gradient", gradient(&both, &divergence.backward())));
            outputs
        }),
        truth: Some(Box::new(move || {
            let (a, b) = (wide(&host_values.0), wide(&host_values.1));
            let spread = &host_values.2;
            let n = count.to_f64();
            let pairs = || a.iter().zip(&b);
            let error = pairs().map(|(a, b)| (a - b).abs()).sum::<f64>() / n;
            let (mut divergence, mut dboth) = (0.0, vec![0.0; 2 * count]);
            for i in 0..count {
                let ([at_mean, at_log_var], mean, log_var, is_free) = spread.at(i);
                divergence += 0.5 * (mean * mean + log_var.exp() - 1.0 - log_var) / n;
                dboth[at_mean] = mean / n;
                if is_free {
                    dboth[at_log_var] = 0.5 * (log_var.exp() - 1.0) / n;
                }
            }
            vec![
                vec![error],
                pairs().map(|(a, b)| (a - b).signum() / n).collect(),
                vec![divergence],
                dboth,
            ]
        })),
    }
}

/// Rows of the style table by a product with one-hot rows, then the map to scales and shifts.
fn style_code(batch: usize, styles: usize, dims: usize, out: usize) -> Case {
    let table = numbers(50, styles * dims);
    let weight = numbers(51, dims * out);
    let up = numbers(52, batch * out);
    let one_hot: Vec<f32> = (0..batch * styles)
        .map(|i| f32::from(u8::from(i % styles == i / styles * 5 % styles)))
        .collect();
    let host_values = (one_hot.clone(), table.clone(), weight.clone(), up.clone());
    Case {
        operation: "matrix product",
        size: format!("[{batch}, {styles}] x [{styles}, {dims}] x [{dims}, {out}]"),
        tolerance: SUMS,
        run: Box::new(move |device| {
            let device = device.clone().autodiff();
            let table = tensor(&table, [styles, dims], &device).require_grad();
            let weight = tensor(&weight, [dims, out], &device).require_grad();
            let y = tensor(&one_hot, [batch, styles], &device)
                .matmul(table.clone())
                .matmul(weight.clone());
            let mut outputs = Outputs::new();
            let gradients = backward(y, &up, &mut outputs);
            outputs.push(("table's gradient", gradient(&table, &gradients)));
            outputs.push(("weight gradient", gradient(&weight, &gradients)));
            outputs
        }),
        truth: Some(Box::new(move || {
            let (one_hot, table, weight, up) = &host_values;
            let [one_hot, table, weight, up] = [one_hot, table, weight, up].map(|v| wide(v));
            let code = product(&one_hot, &table, [batch, styles, dims]);
            let y = product(&code, &weight, [batch, dims, out]);
            let d_code = product(&up, &transposed(&weight, [dims, out]), [batch, out, dims]);
            let d_table = product(
                &transposed(&one_hot, [batch, styles]),
                &d_code,
                [styles, batch, dims],
            );
            let d_weight = product(&transposed(&code, [batch, dims]), &up, [dims, batch, out]);
            vec![y, d_table, d_weight]
        })),
    }
}

/// Pictures picked by number, laid over each other by a mask, put in one batch and cut again.
fn composites(channels: usize, side: usize) -> Case {
    let n = 4;
    let picture = channels * side * side;
    let (real, fake) = (numbers(60, n * picture), numbers(61, n * picture));
    let mask: Vec<f32> = numbers(62, n * side * side)
        .iter()
        .map(|v| f32::from(u8::from(*v > 0.0)))
        .collect();
    let (inside, outside) = ([5_i32, 0, 7, 2], [1_i32, 4, 3, 6]);
    let host_values = (real.clone(), fake.clone(), mask.clone());
    Case {
        operation: "mixing pictures",
        size: format!("[{n}, {channels}, {side}, {side}]: real, fake, mixed"),
        tolerance: ROUNDINGS,
        run: Box::new(move |device| {
            let shape = [n, channels, side, side];
            let pictures = [&real, &fake].map(|values| tensor(values, shape, device));
            let rows = [inside, outside].map(|indices: [i32; 4]| {
                Tensor::<1, Int>::from_data(TensorData::from(indices), device)
            });
            let mask = tensor(&mask, [n, 1, side, side], device);
            vec![("pictures", host(ops::mixed(pictures, rows, mask)))]
        }),
        truth: Some(Box::new(move || {
            let (real, fake, mask) = &host_values;
            let mut all = [wide(real), wide(fake)].concat();
            let mixed = (0..n * picture).map(|at| {
                let (m, rest) = (at / picture, at % picture);
                let shown = if mask[m * side * side + rest % (side * side)] == 1.0 {
                    inside[m]
                } else {
                    outside[m]
                };
                all[shown.to_usize() * picture + rest]
            });
            let mixed: Vec<f64> = mixed.collect();
            all.extend(mixed);
            vec![all]
        })),
    }
}

/// What a discriminator's step shows of itself.
fn step_figures(labels: usize, side: usize) -> Case {
    let (n, area) = (8, side * side);
    let losses = numbers(110, 3 * n);
    let emissions: Vec<f32> = numbers(111, 3 * n * labels * area)
        .iter()
        .map(|v| 3.0 * v)
        .collect();
    let host_values = (losses.clone(), emissions.clone());
    Case {
        operation: "step figures",
        size: format!(
            "[{}, {labels}, {side}, {side}]: losses, probabilities",
            3 * n
        ),
        tolerance: ROUNDINGS,
        run: Box::new(move |device| {
            let losses = tensor(&losses, [3 * n], device);
            let emissions = tensor(&emissions, [3 * n, labels, side, side], device);
            vec![("figures", host(ops::figures(losses, emissions)))]
        }),
        truth: Some(Box::new(move || {
            let (losses, emissions) = &host_values;
            let losses = losses.chunks_exact(n);
            let mut out: Vec<f64> = losses
                .map(|each| each.iter().map(|v| f64::from(*v)).sum::<f64>() / n.to_f64())
                .collect();
            for kind in 0..2 {
                let mut sum = 0.0;
                for (picture, patch) in (0..n * area).map(|at| (kind * n + at / area, at % area)) {
                    let weight = |l: usize| {
                        f64::from(emissions[(picture * labels + l) * area + patch]).exp()
                    };
                    let all: f64 = (0..labels).map(weight).sum();
                    sum += 1.0 - weight(0) / all;
                }
                out.push(sum / (n * area).to_f64());
            }
            vec![out]
        })),
    }
}

/// Loss, both gradients and marginals of the grid CRF, whatever computes it on the device.
fn crf(labels: usize, side: usize) -> Case {
    let b = 3;
    let count = b * labels * side * side;
    let emissions: Vec<f32> = numbers(70, count).iter().map(|v| 2.0 * v).collect();
    let transitions = [numbers(71, labels * labels), numbers(72, labels * labels)];
    let gold: Vec<i32> = numbers(73, b * side * side)
        .iter()
        .map(|v| (v.abs() * 7.0).to_i32() % labels.to_i32())
        .collect();
    let host_values = (emissions.clone(), transitions.clone(), gold.clone());
    Case {
        operation: "CRF",
        size: format!("[{b}, {labels}, {side}, {side}]: likelihood, gradients, marginals"),
        tolerance: SUMS,
        run: Box::new(move |device| {
            let device = device.clone().autodiff();
            let mut crf = GridCrfConfig::new(labels).with_a_max(None).init(&device);
            let [row, column] = transitions
                .each_ref()
                .map(|a| Param::from_data(TensorData::new(a.clone(), [labels, labels]), &device));
            (crf.row, crf.column) = (Some(row), Some(column));
            let e = tensor(&emissions, [b, labels, side, side], &device).require_grad();
            let gold = TensorData::new(gold.clone(), [b, side, side]);
            let nll = crf.negative_log_likelihood(e.clone(), Tensor::from_data(gold, &device));
            let mut outputs: Outputs = vec![("likelihood", host(nll.clone().inner()))];
            let gradients = nll.sum().backward();
            outputs.push(("emissions' gradient", gradient(&e, &gradients)));
            for (name, a) in [
                ("rows' transition gradient", &crf.row),
                ("columns' transition gradient", &crf.column),
            ] {
                let a = a.as_ref().expect("both were set").val();
                outputs.push((name, gradient(&a, &gradients)));
            }
            outputs.push(("marginals", host(crf.marginals(e).inner())));
            outputs
        }),
        truth: Some(Box::new(move || {
            let (emissions, transitions, gold) = &host_values;
            let scale = 0.5 / (side * side).to_f64();
            let mut nll = vec![0.0; b];
            let mut d_emissions = vec![0.0; count];
            let mut marginals = vec![0.0; count];
            let mut d_transitions = vec![vec![0.0; labels * labels]; 2];
            for picture in 0..b {
                for direction in 0..2 {
                    for line in 0..side {
                        let at = |t: usize| match direction {
                            0 => (line, t),
                            _ => (t, line),
                        };
                        let place = |t: usize, k: usize| {
                            let (y, x) = at(t);
                            ((picture * labels + k) * side + y) * side + x
                        };
                        let e: Vec<f32> = (0..side * labels)
                            .map(|i| emissions[place(i / labels, i % labels)])
                            .collect();
                        let y: Vec<i32> = (0..side)
                            .map(|t| {
                                let (y, x) = at(t);
                                gold[(picture * side + y) * side + x]
                            })
                            .collect();
                        let chain = Chain::new(labels, &e, &transitions[direction]);
                        nll[picture] += scale * chain.nll(&y, -1);
                        let (de, da) = chain.gradient(&y, -1);
                        let unary = chain.posterior().unary;
                        for (i, (de, p)) in de.iter().zip(unary).enumerate() {
                            let to = place(i / labels, i % labels);
                            d_emissions[to] += scale * de;
                            marginals[to] += 0.5 * p;
                        }
                        for (sum, da) in d_transitions[direction].iter_mut().zip(da) {
                            *sum += scale * da;
                        }
                    }
                }
            }
            let mut out = vec![nll, d_emissions];
            out.extend(d_transitions);
            out.push(marginals);
            out
        })),
    }
}

fn adam() -> Case {
    let n = 4096;
    let [w, g, m] = [80, 81, 82].map(|step| numbers(step, n));
    let v: Vec<f32> = numbers(83, n).iter().map(|v| v.abs()).collect();
    let scalars = AdamScalars {
        beta_1: 0.5,
        beta_2: 0.99,
        rate: 1e-2,
        epsilon: 1e-8,
    };
    let host_values = [w.clone(), g.clone(), m.clone(), v.clone()];
    Case {
        operation: "Adam",
        size: format!("{n} weights"),
        tolerance: ROUNDINGS,
        run: Box::new(move |device| {
            let [w, g, m, v] = [&w, &g, &m, &v].map(|values| tensor(values, [n], device));
            let [w, m, v] = ops::adam(w, g, m, v, scalars);
            vec![
                ("weights", host(w)),
                ("first moments", host(m)),
                ("second moments", host(v)),
            ]
        }),
        truth: Some(Box::new(move || {
            let [w, g, m, v] = host_values.each_ref().map(|values| wide(values));
            let [b1, b2, rate, epsilon] = [
                scalars.beta_1,
                scalars.beta_2,
                scalars.rate,
                scalars.epsilon,
            ]
            .map(f64::from);
            let mut out = vec![Vec::new(); 3];
            for i in 0..n {
                let first = b1 * m[i] + (1.0 - b1) * g[i];
                let second = b2 * v[i] + (1.0 - b2) * g[i] * g[i];
                out[0].push(w[i] - rate * first / (second.sqrt() + epsilon));
                out[1].push(first);
                out[2].push(second);
            }
            out
        })),
    }
}

/// The update of a network's weights all at once, by gradients longer than they may be, each weight with a
/// rate of its own.
fn clipped_adam() -> Case {
    let n = 9000;
    let norm_max = 5.0;
    let [w, g, m] = [84, 85, 86].map(|step| numbers(step, n));
    let [v, rates] = [87, 88].map(|step| -> Vec<f32> {
        let values = numbers(step, n);
        values.iter().map(|v| v.abs()).collect()
    });
    let scalars = AdamScalars {
        beta_1: 0.5,
        beta_2: 0.99,
        rate: 1e-2,
        epsilon: 1e-8,
    };
    let host_values = [w.clone(), g.clone(), m.clone(), v.clone(), rates.clone()];
    Case {
        operation: "Adam, clipped",
        size: format!("{n} weights"),
        tolerance: SUMS,
        run: Box::new(move |device| {
            let [w, g, m, v, rates] =
                [&w, &g, &m, &v, &rates].map(|values| tensor(values, [n], device));
            let [w, m, v, norm] = ops::adam_clipped([w, g, m, v], Some(rates), scalars, norm_max);
            vec![
                ("weights", host(w)),
                ("first moments", host(m)),
                ("second moments", host(v)),
                ("norm", host(norm)),
            ]
        }),
        truth: Some(Box::new(move || {
            let [w, g, m, v, rates] = host_values.each_ref().map(|values| wide(values));
            let [b1, b2, rate, epsilon] = [
                scalars.beta_1,
                scalars.beta_2,
                scalars.rate,
                scalars.epsilon,
            ]
            .map(f64::from);
            let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
            let factor = (f64::from(norm_max) / norm).min(1.0);
            let mut out = vec![Vec::new(); 3];
            for i in 0..n {
                let g = factor * g[i];
                let first = b1 * m[i] + (1.0 - b1) * g;
                let second = b2 * v[i] + (1.0 - b2) * g * g;
                out[0].push(w[i] - rates[i] * rate * first / (second.sqrt() + epsilon));
                out[1].push(first);
                out[2].push(second);
            }
            out.push(vec![norm]);
            out
        })),
    }
}

/// The moving average of weights.
fn averaging() -> Case {
    let n = 9000;
    let [average, current] = [110, 111].map(|step| numbers(step, n));
    let host_values = [average.clone(), current.clone()];
    Case {
        operation: "moving average",
        size: format!("{n} weights"),
        tolerance: ROUNDINGS,
        run: Box::new(move |device| {
            let [average, current] = [&average, &current].map(|v| tensor(v, [n], device));
            vec![("weights", host(ops::blend(average, current, 0.25)))]
        }),
        truth: Some(Box::new(move || {
            let [average, current] = host_values.each_ref().map(|values| wide(values));
            let pairs = average.into_iter().zip(current);
            vec![pairs.map(|(old, new)| old + 0.25 * (new - old)).collect()]
        })),
    }
}

/// The two halves of a tensor's planes, multiplied.
fn parts(b: usize, s: usize) -> Case {
    const HALF: usize = 3;
    let area = s * s;
    let (x, up) = (
        numbers(112, b * 2 * HALF * area),
        numbers(113, b * HALF * area),
    );
    let host_values = (x.clone(), up.clone());
    Case {
        operation: "halves of planes",
        size: format!("[{b}, {}, {s}, {s}]", 2 * HALF),
        tolerance: ROUNDINGS,
        run: Box::new(move |device| {
            let device = device.clone().autodiff();
            let x = tensor(&x, [b, 2 * HALF, s, s], &device).require_grad();
            let mut outputs = Outputs::new();
            let [first, second] = ops::halves(x.clone(), 1);
            let gradients = backward(first * second, &up, &mut outputs);
            outputs.push(("data gradient", gradient(&x, &gradients)));
            outputs
        }),
        truth: Some(Box::new(move || {
            let (x, up) = (wide(&host_values.0), wide(&host_values.1));
            let (mut y, mut dx) = (vec![0.0; up.len()], vec![0.0; x.len()]);
            for at in 0..up.len() {
                let (picture, place) = (at / (HALF * area), at % (HALF * area));
                let first = picture * 2 * HALF * area + place;
                let second = first + HALF * area;
                y[at] = x[first] * x[second];
                dx[first] = up[at] * x[second];
                dx[second] = up[at] * x[first];
            }
            vec![y, dx]
        })),
    }
}

/// A loss of two terms, as the kernel adds it up where it runs; elsewhere as training does.
fn total() -> Case {
    const SIZES: [usize; 2] = [1000, 24];
    const WEIGHTS: [f32; 2] = [0.5, 2.0];
    let [a, b] = [(114, SIZES[0]), (115, SIZES[1])].map(|(step, n)| numbers(step, n));
    let host_values = [a.clone(), b.clone()];
    Case {
        operation: "sum of losses",
        size: format!("{SIZES:?}"),
        tolerance: SUMS,
        run: Box::new(move |device| {
            let device = device.clone().autodiff();
            let [a, b] = [(&a, SIZES[0]), (&b, SIZES[1])]
                .map(|(values, n)| tensor(values, [n], &device).require_grad());
            let (values, gradients) = if ops::is_near_wgsl(&device) {
                let terms = [(a.clone(), WEIGHTS[0]), (b.clone(), WEIGHTS[1])];
                let total = ops::total(&terms);
                (total.clone().inner(), total.backward())
            } else {
                let means = [a.clone().mean(), b.clone().mean()];
                let total = means[0].clone() * WEIGHTS[0] + means[1].clone() * WEIGHTS[1];
                let [first, second] = means.map(Tensor::inner);
                let all = vec![total.clone().inner(), first, second];
                (Tensor::cat(all, 0), total.backward())
            };
            vec![
                ("values", host(values)),
                ("first gradient", gradient(&a, &gradients)),
                ("second gradient", gradient(&b, &gradients)),
            ]
        }),
        truth: Some(Box::new(move || {
            let means = host_values
                .each_ref()
                .map(|values| wide(values).iter().sum::<f64>() / values.len().to_f64());
            let weights = WEIGHTS.map(f64::from);
            let total = means[0] * weights[0] + means[1] * weights[1];
            let slopes = |k: usize| vec![weights[k] / SIZES[k].to_f64(); SIZES[k]];
            vec![vec![total, means[0], means[1]], slopes(0), slopes(1)]
        })),
    }
}

/// Gradients in a flat buffer: the first array comes in two runs and with a second summand.
fn gathering() -> Case {
    const SIZES: [usize; 2] = [300, 65];
    let [runs, twin, other] =
        [(116, 2 * SIZES[0]), (117, SIZES[0]), (118, SIZES[1])].map(|(step, n)| numbers(step, n));
    let host_values = [runs.clone(), twin.clone(), other.clone()];
    Case {
        operation: "gathering of gradients",
        size: format!("{SIZES:?}"),
        tolerance: ROUNDINGS,
        run: Box::new(move |device| {
            let [runs, twin, other] =
                [&runs, &twin, &other].map(|values| tensor::<1>(values, [values.len()], device));
            let rooms = SIZES.map(ops::padded);
            let flat = if ops::is_near_wgsl(device) {
                let flat = Tensor::empty([rooms.iter().sum::<usize>()], device);
                let summands = vec![Some(runs), Some(twin), Some(other), None];
                ops::gather_sums(flat, 0, summands, &SIZES)
            } else {
                let sum = ops::whole(runs, [SIZES[0]]) + twin;
                let gap = |k: usize| Tensor::zeros([rooms[k] - SIZES[k]], device);
                Tensor::cat(vec![sum, gap(0), other, gap(1)], 0)
            };
            vec![("values", host(flat))]
        }),
        truth: Some(Box::new(move || {
            let [runs, twin, other] = host_values.each_ref().map(|values| wide(values));
            let first = (0..SIZES[0]).map(|i| runs[i] + runs[SIZES[0] + i] + twin[i]);
            let mut flat: Vec<f64> = first.collect();
            flat.resize(ops::padded(SIZES[0]), 0.0);
            flat.extend(other);
            flat.resize(ops::padded(SIZES[0]) + ops::padded(SIZES[1]), 0.0);
            vec![flat]
        })),
    }
}
