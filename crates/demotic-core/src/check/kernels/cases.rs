//! The cases: convolutions and normalisations of the recipes, and what else has a kernel, at sizes of
//! `configs/quickstart.toml` (32 px) and `configs/six-styles.toml` (64 px), eight pictures; the blocks that
//! are made of them.

use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Int, Tensor, TensorData, activation, module};

use super::{Block, Case, Impl, Make};
use crate::loss;
use crate::model::layers::groups;
use crate::model::{Domain, Init, Posterior, Residual};
use crate::number::{Real, Whole};
use crate::ops::{self, Fan, Meeting, Read};
use crate::rng::{Rng, Stream};
use crate::settings::{DiscriminatorConfig, GeneratorConfig};

/// Styles of the networks.
const STYLES: usize = 2;
/// Slope of the networks' leaky ReLU.
const SLOPE: f32 = crate::model::layers::SLOPE;
/// Pictures of a step.
const BATCH: usize = 8;

/// The convolutions of the recipes: channels in and out, side, kernel.
pub(crate) const CONVOLUTIONS: [(usize, usize, usize, usize); 20] = [
    // quickstart, paired: 32 px, 48 channels
    (12, 48, 16, 3),
    (48, 48, 16, 3),
    (48, 32, 16, 3),
    (16, 48, 16, 3),
    (48, 48, 8, 3),
    (48, 24, 32, 3),
    (24, 3, 32, 3),
    (12, 72, 16, 3),
    (72, 72, 16, 3),
    (72, 144, 8, 3),
    (144, 144, 8, 1),
    (144, 3, 8, 1),
    // six-styles: 64 px, 96 channels
    (12, 48, 32, 3),
    (48, 96, 32, 3),
    (96, 96, 16, 3),
    (96, 96, 8, 3),
    (96, 48, 32, 3),
    (48, 24, 64, 3),
    (192, 192, 16, 1),
    (192, 7, 16, 1),
];

/// Their normalisations: channels, side.
const NORMALISATIONS: [(usize, usize); 7] = [
    (48, 16),
    (48, 8),
    (24, 32),
    (96, 16),
    (96, 8),
    (48, 32),
    (24, 64),
];

/// All kernels.
pub fn kernels() -> Vec<Case> {
    let sized = CONVOLUTIONS.into_iter();
    let mut cases: Vec<Case> = sized
        .map(|(from, to, side, kernel)| conv(BATCH, [from, to], side, kernel))
        .collect();
    for (channels, side) in NORMALISATIONS {
        cases.push(norm(BATCH, channels, side));
    }
    for (channels, side) in [(48, 16), (96, 16)] {
        cases.extend(read(BATCH, channels, side));
        cases.push(styled("affine", 1, BATCH, channels, side));
        cases.push(styled("styles", 4, BATCH, channels, side));
        cases.extend(planes(BATCH, channels, side));
    }
    cases.push(filter(BATCH, 32));
    cases.push(filter(BATCH, 64));
    cases.push(filter(1, 512));
    for (side, latents) in [(32, 16), (64, 16)] {
        cases.extend(losses(BATCH, side, latents));
    }
    cases.push(adding([3 * BATCH, 1]));
    // A layer's, and about those of a network.
    for size in [48 * 48 * 9, 1 << 20] {
        cases.push(gathering([size, 48]));
        cases.push(updating(size));
        cases.push(averaging(size));
    }
    cases
}

/// What is made of them: a residual block, encoder, decoder and trunk of either recipe.
pub fn blocks() -> Vec<Case> {
    let (generator, trunk) = (GeneratorConfig::default(), DiscriminatorConfig::default());
    let wide = GeneratorConfig {
        latent_stride: 4,
        channels: 96,
        ..generator.clone()
    };
    let wide_trunk = DiscriminatorConfig {
        channels: 96,
        ..trunk.clone()
    };
    let mut cases = vec![residual(BATCH, 48, 16), residual(BATCH, 96, 16)];
    cases.extend(networks("quickstart", BATCH, 32, generator, trunk));
    cases.extend(networks("six-styles", BATCH, 64, wide, wide_trunk));
    cases
}

fn burns_conv(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
    let border = weight.dims()[2] / 2;
    let options = ConvOptions::new([1, 1], [border, border], [1, 1], 1);
    module::conv2d(x, weight, Some(bias), options)
}

fn conv(batch: usize, [from, to]: [usize; 2], side: usize, kernel: usize) -> Case {
    let shape = [batch, from, side, side];
    let make = move |_: &Device, by: Impl| -> Block {
        Box::new(move |leaves| {
            let x = leaves[0].clone().reshape(shape);
            let weight = leaves[1].clone().reshape([to, from, kernel, kernel]);
            let bias = leaves[2].clone();
            match by {
                Impl::Own => ops::conv_same(x, weight, bias),
                Impl::Burn => burns_conv(x, weight, bias),
            }
        })
    };
    let taps = from * to * kernel * kernel;
    let op = if kernel == 3 { "conv3x3" } else { "conv1x1" };
    let name = format!("b{batch}_{from}to{to}_{side}px");
    Case {
        multiply_adds: batch * side * side * taps,
        result: batch * to * side * side,
        ..Case::new(op, name, vec![shape.iter().product(), taps, to], make)
    }
}

/// 3x3 convolutions whose input is activated, doubled or unshuffled where it is read.
fn read(batch: usize, channels: usize, side: usize) -> Vec<Case> {
    type Change = fn(Tensor<4>) -> Tensor<4>;
    let shape = [batch, channels, side, side];
    let case = |word: &str, own: fn(Tensor<4>) -> Read, burn: Change, seen: [usize; 2]| {
        let [from, seen_side] = seen;
        let make = move |_: &Device, by: Impl| -> Block {
            Box::new(move |leaves| {
                let x = leaves[0].clone().reshape(shape);
                let weight = leaves[1].clone().reshape([channels, from, 3, 3]);
                let bias = leaves[2].clone();
                match by {
                    Impl::Own => ops::conv_read(own(x), weight, bias, false),
                    Impl::Burn => burns_conv(burn(x), weight, bias),
                }
            })
        };
        let taps = from * channels * 9;
        let name = format!("b{batch}_{channels}_{side}px_{word}");
        Case {
            multiply_adds: batch * seen_side * seen_side * taps,
            result: batch * channels * seen_side * seen_side,
            ..Case::new(
                "conv_read",
                name,
                vec![shape.iter().product(), taps, channels],
                make,
            )
        }
    };
    vec![
        case(
            "activated",
            |x| Read::leaky(x, SLOPE),
            |x| activation::leaky_relu(x, f64::from(SLOPE)),
            [channels, side],
        ),
        case("doubled", Read::doubled, doubled, [channels, 2 * side]),
        case(
            "unshuffled",
            Read::unshuffled,
            unshuffled,
            [4 * channels, side / 2],
        ),
    ]
}

/// Each value four times.
fn doubled(x: Tensor<4>) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    let x = x.reshape([b, c, h, 1, w, 1]).expand([b, c, h, 2, w, 2]);
    x.reshape([b, c, 2 * h, 2 * w])
}

/// Each 2x2 patch as four planes.
fn unshuffled(x: Tensor<4>) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    let x = x.reshape([b, c, h / 2, 2, w / 2, 2]);
    let x = x.swap_dims(2, 3).swap_dims(3, 5).swap_dims(4, 5);
    x.reshape([b, 4 * c, h / 2, w / 2])
}

/// Group normalisation with scales and shifts `[b, c]`, and a leaky ReLU where the slope is not 1.
fn normalised(
    x: Tensor<4>,
    [scale, shift]: [Tensor<2>; 2],
    groups: usize,
    slope: f32,
) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    let grouped = x.reshape([b, groups, c / groups * h * w]);
    let centred = grouped.clone() - grouped.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2);
    let normal = (centred / (variance + 1e-5).sqrt()).reshape([b, c, h, w]);
    let [scale, shift] = [scale, shift].map(|t| t.reshape([b, c, 1, 1]));
    let y = normal * scale + shift;
    if slope == 1.0 {
        y
    } else {
        activation::leaky_relu(y, f64::from(slope))
    }
}

/// Group normalisation, affine map, leaky ReLU.
fn norm(batch: usize, channels: usize, side: usize) -> Case {
    let groups = groups(channels);
    let make = move |slope: f32| {
        move |_: &Device, by: Impl| -> Block {
            Box::new(move |leaves| {
                let x = leaves[0].clone().reshape([batch, channels, side, side]);
                let rows = [1, 2].map(|i: usize| leaves[i].clone().reshape([batch, channels]));
                match by {
                    Impl::Own => {
                        let [scale, shift] = rows;
                        ops::norm_act(x, scale, shift, groups, slope)
                    }
                    Impl::Burn => normalised(x, rows, groups, slope),
                }
            })
        }
    };
    let area = channels * side * side;
    let name = format!("b{batch}_{channels}_{side}px");
    let leaves = vec![batch * area, batch * channels, batch * channels];
    Case {
        smooth: Some(Box::new(make(1.0))),
        result: batch * area,
        ..Case::new("norm", name, leaves, make(SLOPE))
    }
}

/// Values of a style code.
const CODE: usize = 32;

/// Normalisations one after the other by a style code that all of them read; `op`: of one, or of several.
fn styled(op: &'static str, count: usize, batch: usize, channels: usize, side: usize) -> Case {
    let groups = groups(channels);
    let make = move |slope: f32| {
        move |_: &Device, by: Impl| -> Block {
            Box::new(move |leaves| {
                let x = leaves[0].clone().reshape([batch, channels, side, side]);
                let code = leaves[1].clone().reshape([batch, CODE]);
                let matrix = |k: usize| {
                    let weight = leaves[2 + 2 * k].clone().reshape([CODE, 2 * channels]);
                    (weight, leaves[3 + 2 * k].clone())
                };
                match by {
                    Impl::Own if count == 1 => {
                        let (weight, bias) = matrix(0);
                        ops::style_norm_act(x, code, weight, bias, groups, slope)
                    }
                    Impl::Own => {
                        let fan = Fan::new(code);
                        (0..count).fold(x, |x, k| {
                            fan.norm_act(x, matrix(k), groups, slope, &Meeting::default())
                        })
                    }
                    Impl::Burn => (0..count).fold(x, |x, k| {
                        let (weight, bias) = matrix(k);
                        let rows = code.clone().matmul(weight) + bias.reshape([1, 2 * channels]);
                        let scale = rows.clone().narrow(1, 0, channels) + 1.0;
                        let shift = rows.narrow(1, channels, channels);
                        normalised(x, [scale, shift], groups, slope)
                    }),
                }
            })
        }
    };
    let mut leaves = vec![batch * channels * side * side, batch * CODE];
    for _ in 0..count {
        leaves.extend([CODE * 2 * channels, 2 * channels]);
    }
    let name = format!("b{batch}_{channels}_{side}px");
    Case {
        smooth: Some(Box::new(make(1.0))),
        result: batch * channels * side * side,
        ..Case::new(op, name, leaves, make(SLOPE))
    }
}

fn residual(batch: usize, channels: usize, side: usize) -> Case {
    let shape = [batch, channels, side, side];
    let make = move |device: &Device, _: Impl| -> Block {
        let block = Residual::new(&mut Init::new(0, 0, device), channels);
        Box::new(move |leaves| block.forward(leaves[0].clone().reshape(shape)))
    };
    let name = format!("b{batch}_{channels}_{side}px");
    Case {
        has_burn: false,
        multiply_adds: batch * side * side * 2 * 9 * channels * channels,
        ..Case::new("residual", name, vec![shape.iter().product()], make)
    }
}

/// A translation laid into its picture along edges; the fake is the leaf, its own edges do not count.
fn filter(batch: usize, side: usize) -> Case {
    let shape = [batch, 3, side, side];
    let make = move |device: &Device, _: Impl| -> Block {
        let values = Rng::new(1, Stream::TEST, 50).normals(shape.iter().product());
        let values: Vec<f32> = values.iter().map(|v| 0.2 * v).collect();
        let guide: Tensor<4> = Tensor::from_data(TensorData::new(values, shape), device);
        let filter = ops::Filter {
            reach: 0.3125,
            edge: 5.0,
            edge_fake: 0.0,
        };
        Box::new(move |leaves| {
            let fake = leaves[0].clone().mul_scalar(0.2).reshape(shape);
            ops::lay_in(guide.clone(), fake, filter)
        })
    };
    let count = shape.iter().product();
    Case {
        has_burn: false,
        constants: count,
        result: count,
        ..Case::new("filter", format!("b{batch}_{side}px"), vec![count], make)
    }
}

/// An operation beside the same by tensor operations; `result`: values of what it gives.
fn beside(
    op: &'static str,
    name: String,
    (leaves, result): (Vec<usize>, usize),
    own: impl Fn(&[Tensor<1>]) -> Tensor<4> + Clone + 'static,
    burn: impl Fn(&[Tensor<1>]) -> Tensor<4> + Clone + 'static,
) -> Case {
    let make = move |_: &Device, by: Impl| -> Block {
        match by {
            Impl::Own => Box::new(own.clone()),
            Impl::Burn => Box::new(burn.clone()),
        }
    };
    Case {
        result,
        ..Case::new(op, name, leaves, make)
    }
}

/// A vector as pictures of one plane.
fn line(vector: Tensor<1>) -> Tensor<4> {
    let [n] = vector.dims();
    vector.reshape([1, 1, 1, n])
}

/// Operations on the pictures and planes `[b, c, side, side]` of a recipe.
fn planes(batch: usize, channels: usize, side: usize) -> Vec<Case> {
    type Change = fn(Tensor<4>) -> Tensor<4>;
    let shape = [batch, channels, side, side];
    let size: usize = shape.iter().product();
    let name = format!("b{batch}_{channels}_{side}px");
    let one = |op, name: String, result: usize, own: Change, burn: Change| {
        beside(
            op,
            name,
            (vec![size], result),
            move |leaves| own(leaves[0].clone().reshape(shape)),
            move |leaves| burn(leaves[0].clone().reshape(shape)),
        )
    };
    vec![
        one(
            "leaky",
            name.clone(),
            size,
            |x| ops::leaky(x, SLOPE),
            |x| activation::leaky_relu(x, f64::from(SLOPE)),
        ),
        one(
            "part",
            name.clone(),
            size / 2,
            |x| {
                let [first, second] = ops::halves(x, 1);
                first * second
            },
            |x| {
                let half = x.dims()[1] / 2;
                x.clone().narrow(1, 0, half) * x.narrow(1, half, half)
            },
        ),
        one(
            "resize",
            format!("{name}_halved"),
            size / 4,
            ops::halve,
            halved,
        ),
        one(
            "resize",
            format!("{name}_activated_halved"),
            size / 4,
            |x| Read::leaky(x, SLOPE).halved(),
            |x| halved(activation::leaky_relu(x, f64::from(SLOPE))),
        ),
        one(
            "resize",
            format!("{name}_doubled"),
            4 * size,
            ops::upsample,
            doubled,
        ),
    ]
}

/// Means of 2x2 patches.
fn halved(x: Tensor<4>) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    let patches = x.reshape([b, c, h / 2, 2, w / 2, 2]);
    let means = patches.mean_dim(5).mean_dim(3);
    means.reshape([b, c, h / 2, w / 2])
}

/// Losses and what is shown of them, at pictures `[batch, 3, side, side]` and latents of `z` planes.
fn losses(batch: usize, side: usize, z: usize) -> Vec<Case> {
    let pictures = [batch, 3, side, side];
    let count: usize = pictures.iter().product();
    let both = [batch, 2 * z, side / 2, side / 2];
    let raw = both.iter().product();
    let picture = move |leaf: &Tensor<1>| leaf.clone().reshape(pictures);
    let name = format!("b{batch}_{side}px");
    vec![
        beside(
            "error",
            name.clone(),
            (vec![count, count], 1),
            move |leaves| {
                let [a, b] = [0, 1].map(|k: usize| picture(&leaves[k]));
                line(loss::absolute_error(a, b))
            },
            move |leaves| {
                let apart = picture(&leaves[0]) - picture(&leaves[1]);
                line(apart.abs().mean())
            },
        ),
        beside(
            "divergence",
            format!("{name}_{z}"),
            (vec![raw], 1),
            move |leaves| {
                let posterior = Posterior::raw(leaves[0].clone().reshape(both));
                line(loss::divergence(&posterior, count / batch))
            },
            move |leaves| {
                let (mean, log_var) = apart(leaves[0].clone().reshape(both), z);
                let nats = mean.square() + log_var.clone().exp() - 1.0 - log_var;
                line(nats.sum().mul_scalar(0.5 / count.to_f32()))
            },
        ),
        sampling(batch, side / 2, z),
        mixing(pictures),
        step_figures(batch, side / DiscriminatorConfig::PATCH_STRIDE),
    ]
}

/// Mean and logarithm of the variance from what the network says, `[b, 2z, h, w]`.
fn apart(both: Tensor<4>, z: usize) -> (Tensor<4>, Tensor<4>) {
    let log_var = both.clone().narrow(1, z, z) - 4.0;
    (both.narrow(1, 0, z), log_var.clamp(-10.0, 4.0))
}

/// Values for what is no leaf.
fn constant<const D: usize>(step: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    let values = Rng::new(1, Stream::TEST, step).normals(shape.iter().product());
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Samples of the posterior.
fn sampling(batch: usize, side: usize, z: usize) -> Case {
    let (both, latent) = ([batch, 2 * z, side, side], [batch, z, side, side]);
    let make = move |device: &Device, by: Impl| -> Block {
        let noise = constant(60, latent, device);
        Box::new(move |leaves| {
            let raw = leaves[0].clone().reshape(both);
            if by == Impl::Own {
                return Posterior::raw(raw).sample(noise.clone());
            }
            let (mean, log_var) = apart(raw, z);
            mean + log_var.mul_scalar(0.5).exp() * noise.clone()
        })
    };
    let name = format!("b{batch}_{z}_{side}px");
    let size = latent.iter().product();
    Case {
        constants: size,
        result: size,
        ..Case::new("latent", name, vec![both.iter().product()], make)
    }
}

/// What is only computed, beside the same by tensor operations.
fn computed(op: &'static str, name: String, leaves: Vec<usize>, make: Make) -> Case {
    Case {
        has_gradient: false,
        ..Case::new(op, name, leaves, make)
    }
}

/// Pictures real, fake and mixed of both, from `shape` of either.
fn mixing(shape: [usize; 4]) -> Case {
    let [n, c, h, w] = shape;
    let make = move |device: &Device, by: Impl| -> Block {
        let rows = |by: usize| {
            let rows = (0..n).map(|m| ((m * 7 + by) % (2 * n)).to_i32());
            let rows: Vec<i32> = rows.collect();
            Tensor::<1, Int>::from_data(TensorData::new(rows, [n]), device)
        };
        let (inside, outside) = (rows(1), rows(4));
        let mask = constant(61, [n, 1, h, w], device);
        Box::new(move |leaves| {
            let [real, fake] = [0, 1].map(|i: usize| leaves[i].clone().reshape(shape));
            let (inside, outside) = (inside.clone(), outside.clone());
            if by == Impl::Own {
                return ops::mixed([real, fake], [inside, outside], mask.clone());
            }
            let pure = Tensor::cat(vec![real, fake], 0);
            let outside = pure.clone().select(0, outside);
            let mixed = outside.clone() + (pure.clone().select(0, inside) - outside) * mask.clone();
            Tensor::cat(vec![pure, mixed], 0)
        })
    };
    let size = n * c * h * w;
    Case {
        constants: n * h * w + 2 * n,
        result: 3 * size,
        ..computed(
            "mixed",
            format!("b{n}_{h}px"),
            vec![size, size],
            Box::new(make),
        )
    }
}

/// Figures of a discriminator's step over grids of `side` patches.
fn step_figures(batch: usize, side: usize) -> Case {
    let (labels, pictures) = (1 + STYLES, 3 * batch);
    let shape = [pictures, labels, side, side];
    let make = move |_: &Device, by: Impl| -> Block {
        Box::new(move |leaves| {
            let (losses, emissions) = (leaves[0].clone(), leaves[1].clone().reshape(shape));
            if by == Impl::Own {
                return line(ops::figures(losses, emissions));
            }
            let losses = losses.reshape([3, batch]).mean_dim(1).reshape([3]);
            let pure = emissions.narrow(0, 0, 2 * batch);
            let real = activation::softmax(pure, 1).narrow(1, 0, 1).neg() + 1.0;
            let real = real
                .reshape([2, batch * side * side])
                .mean_dim(1)
                .reshape([2]);
            line(Tensor::cat(vec![losses, real], 0))
        })
    };
    let leaves = vec![pictures, shape.iter().product()];
    let name = format!("b{batch}_{side}_patches");
    Case {
        result: 5,
        ..computed("figures", name, leaves, Box::new(make))
    }
}

/// A loss of several terms of these sizes.
fn adding<const N: usize>(sizes: [usize; N]) -> Case {
    let make = |_: &Device, by: Impl| -> Block {
        Box::new(move |leaves| {
            let terms: Vec<_> = leaves.iter().map(|leaf| (leaf.clone(), 0.5)).collect();
            if by == Impl::Own {
                return line(ops::total(&terms));
            }
            let means: Vec<_> = terms
                .iter()
                .map(|(values, _)| values.clone().mean())
                .collect();
            let weighted = means.iter().map(|mean| mean.clone() * 0.5);
            let total = weighted.reduce(|a, b| a + b).expect("there are terms");
            line(Tensor::cat([vec![total], means].concat(), 0))
        })
    };
    Case {
        is_near: true,
        result: 1 + N,
        ..computed("total", listed(&sizes), sizes.to_vec(), Box::new(make))
    }
}

/// Sizes as a word.
fn listed(sizes: &[usize]) -> String {
    let words: Vec<String> = sizes.iter().map(ToString::to_string).collect();
    words.join("_")
}

/// Arrays of these sizes into a flat buffer.
fn gathering<const N: usize>(sizes: [usize; N]) -> Case {
    let make = move |_: &Device, by: Impl| -> Block {
        Box::new(move |leaves| {
            let device = leaves[0].device();
            if by == Impl::Own {
                let length = sizes.iter().map(|size| ops::padded(*size)).sum::<usize>();
                let flat = Tensor::empty([length], &device);
                return line(ops::gather(flat, 0, leaves.to_vec(), &sizes));
            }
            let mut padded = Vec::new();
            for leaf in leaves {
                let gap = ops::padded(leaf.dims()[0]) - leaf.dims()[0];
                padded.push(leaf.clone());
                if gap > 0 {
                    padded.push(Tensor::zeros([gap], &device));
                }
            }
            line(Tensor::cat(padded, 0))
        })
    };
    Case {
        is_near: true,
        result: sizes.iter().map(|size| ops::padded(*size)).sum(),
        ..computed("gather", listed(&sizes), sizes.to_vec(), Box::new(make))
    }
}

/// Adam's update of weights by gradients, which are clipped by their norm.
fn updating(size: usize) -> Case {
    let scalars = ops::AdamScalars {
        beta_1: 0.5,
        beta_2: 0.99,
        rate: 1e-3,
        epsilon: 1e-8,
    };
    let make = move |_: &Device, by: Impl| -> Block {
        Box::new(move |leaves| {
            let [weights, gradient, first] = [0, 1, 2].map(|k: usize| leaves[k].clone());
            let second = gradient.clone().square();
            if by == Impl::Own {
                let before = [weights, gradient, first, second];
                let [weights, ..] = ops::adam_clipped(before, None, scalars, 1.0);
                return line(weights);
            }
            let norm = gradient.clone().square().sum().sqrt() + 1e-12;
            let gradient = gradient * norm.recip().clamp_max(1.0);
            let first = first * scalars.beta_1 + gradient.clone() * (1.0 - scalars.beta_1);
            let second = second * scalars.beta_2 + gradient.square() * (1.0 - scalars.beta_2);
            line(weights - first / (second.sqrt() + scalars.epsilon) * scalars.rate)
        })
    };
    let leaves = vec![size, size, size];
    Case {
        // The second moment, and both as they are written.
        constants: 3 * size,
        result: size,
        ..computed("adam", size.to_string(), leaves, Box::new(make))
    }
}

/// The moving average of weights.
fn averaging(size: usize) -> Case {
    let make = move |_: &Device, by: Impl| -> Block {
        Box::new(move |leaves| {
            let [average, current] = [0, 1].map(|k: usize| leaves[k].clone());
            if by == Impl::Own {
                return line(ops::blend(average, current, 0.25));
            }
            line(average.clone() + (current - average) * 0.25)
        })
    };
    let leaves = vec![size, size];
    Case {
        result: size,
        ..computed("average", size.to_string(), leaves, Box::new(make))
    }
}

/// Encoder, decoder and trunk of a recipe.
fn networks(
    recipe: &str,
    batch: usize,
    side: usize,
    generator: GeneratorConfig,
    trunk: DiscriminatorConfig,
) -> Vec<Case> {
    let pictures = [batch, 3, side, side];
    let domain = Domain {
        styles: STYLES,
        channels: 3,
        size_px: side,
    };
    let cells = side / generator.latent_stride;
    let latent = [batch, generator.latent_channels, cells, cells];
    let case = |op, shape: [usize; 4], make: Make| Case {
        has_burn: false,
        ..Case::new(
            op,
            format!("b{batch}_{side}px_{recipe}"),
            vec![shape.iter().product()],
            make,
        )
    };
    let config = generator.clone();
    let encoder = move |device: &Device, _: Impl| -> Block {
        let network = config.init(domain, &mut Init::new(0, 0, device));
        Box::new(move |leaves| {
            let posterior = network.encode(leaves[0].clone().reshape(pictures));
            Tensor::cat(vec![posterior.mean(), posterior.log_var()], 1)
        })
    };
    let decoder = move |device: &Device, _: Impl| -> Block {
        let network = generator.init(domain, &mut Init::new(0, 0, device));
        let styles: Vec<u32> = (0..batch).map(|i| (i % STYLES).to_u32()).collect();
        Box::new(move |leaves| network.decode(leaves[0].clone().reshape(latent), &styles))
    };
    let trunk = move |device: &Device, _: Impl| -> Block {
        let network = trunk
            .init(domain, &mut Init::new(0, 1, device))
            .expect("two styles are enough for the CRF");
        Box::new(move |leaves| network.emissions(leaves[0].clone().reshape(pictures)))
    };
    vec![
        case("encoder", pictures, Box::new(encoder)),
        case("decoder", latent, Box::new(decoder)),
        case("trunk", pictures, Box::new(trunk)),
    ]
}
