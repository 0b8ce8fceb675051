//! What the networks are made of, at the sizes of `configs/quickstart.toml` (b8, 32 px) and
//! `configs/six-styles.toml` (b32 there, b8 here, 64 px): convolution, normalisation, residual block,
//! edge-aware filter, encoder, decoder, trunk; and every other operation that has a kernel of its own.
//!
//! `cargo bench --bench blocks`; `DEMOTIC_BENCH_DEVICE` names the device (default `flex`). Labels are
//! `op/impl/device/case`; an operation is timed as `forward` and as `train`, forward and all gradients. `own`
//! is what training uses on that device, `burn` the same by Burn's tensor operations (they differ on Flex and
//! where our WGSL kernels run). Convolutions count a multiply-add as two operations in their throughput:
//! Gelem/s is GFLOP/s. Before timing, values and gradients are compared: with Burn's operations where there
//! are two, with Flex on another device, else the gradient with differences of the block's own values.
#![expect(
    clippy::cast_possible_truncation,
    reason = "the numbers of a bench are small"
)]

use std::hint::black_box;
use std::time::Duration;

use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Int, Tensor, TensorData, activation, module};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use demotic_core::model::{Domain, Init, Posterior, Residual};
use demotic_core::number::Real;
use demotic_core::rng::{Rng, Stream};
use demotic_core::settings::{DiscriminatorConfig, GeneratorConfig};
use demotic_core::{device, loss, ops};

/// Styles of the benched networks.
const STYLES: usize = 2;
/// Slope of the networks' leaky ReLU.
const SLOPE: f32 = 0.2;

/// A function of flat leaves; its own parameters, if it has any, live on the device that it was made for.
type Block = Box<dyn Fn(&[Tensor<1>]) -> Tensor<4>>;

type Make = Box<dyn Fn(&Device, Impl) -> Block>;

/// One thing to time, on whatever device.
struct Case {
    op: &'static str,
    /// Whether it is trained through, or only computed.
    has_gradient: bool,
    /// Whether Burn's own operations can do it too.
    has_burn: bool,
    name: String,
    /// Values of each leaf.
    leaves: Vec<usize>,
    /// Multiplications and additions of the forward pass; 0 where they are not counted.
    flops: u64,
    make: Make,
}

#[derive(Clone, Copy, PartialEq)]
enum Impl {
    Own,
    Burn,
}

impl Impl {
    fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Burn => "burn",
        }
    }
}

fn conv(batch: usize, [from, to]: [usize; 2], side: usize, kernel: usize) -> Case {
    let shape = [batch, from, side, side];
    let block = move |_: &Device, by: Impl| -> Block {
        Box::new(move |leaves| {
            let x = leaves[0].clone().reshape(shape);
            let weight = leaves[1].clone().reshape([to, from, kernel, kernel]);
            let bias = leaves[2].clone();
            if by == Impl::Own {
                return ops::conv_same(x, weight, bias);
            }
            let border = kernel / 2;
            let options = ConvOptions::new([1, 1], [border, border], [1, 1], 1);
            module::conv2d(x, weight, Some(bias), options)
        })
    };
    let taps = from * to * kernel * kernel;
    Case {
        op: if kernel == 3 { "conv3x3" } else { "conv1x1" },
        has_gradient: true,
        has_burn: true,
        name: format!("b{batch} {from}to{to} {side}px"),
        leaves: vec![shape.iter().product(), taps, to],
        flops: 2 * (batch * side * side * taps) as u64,
        make: Box::new(block),
    }
}

/// Group normalisation, affine map, leaky ReLU.
fn norm(batch: usize, channels: usize, side: usize) -> Case {
    let groups = channels / 8;
    let block = move |_: &Device, by: Impl| -> Block {
        Box::new(move |leaves| {
            let x = leaves[0].clone().reshape([batch, channels, side, side]);
            let [scale, shift] =
                [1, 2].map(|i: usize| leaves[i].clone().reshape([batch, channels]));
            if by == Impl::Own {
                return ops::norm_act(x, scale, shift, groups, SLOPE);
            }
            let grouped = x.reshape([batch, groups, channels / groups * side * side]);
            let centred = grouped.clone() - grouped.mean_dim(2);
            let variance = centred.clone().square().mean_dim(2);
            let normal =
                (centred / (variance + 1e-5).sqrt()).reshape([batch, channels, side, side]);
            let [scale, shift] = [scale, shift].map(|t| t.reshape([batch, channels, 1, 1]));
            activation::leaky_relu(normal * scale + shift, f64::from(SLOPE))
        })
    };
    let area = channels * side * side;
    Case {
        op: "norm",
        has_gradient: true,
        has_burn: true,
        name: format!("b{batch} {channels} {side}px"),
        leaves: vec![batch * area, batch * channels, batch * channels],
        flops: 0,
        make: Box::new(block),
    }
}

fn residual(batch: usize, channels: usize, side: usize) -> Case {
    let shape = [batch, channels, side, side];
    Case {
        op: "residual",
        has_gradient: true,
        has_burn: false,
        name: format!("b{batch} {channels} {side}px"),
        leaves: vec![shape.iter().product()],
        flops: 2 * (batch * side * side * 2 * 9 * channels * channels) as u64,
        make: Box::new(move |device, _| {
            let block = Residual::new(&mut Init::new(0, 0, device), channels);
            Box::new(move |leaves| block.forward(leaves[0].clone().reshape(shape)))
        }),
    }
}

/// A translation laid into its picture along edges; the fake is the leaf, its own edges do not count.
fn filter(batch: usize, side: usize) -> Case {
    let shape = [batch, 3, side, side];
    Case {
        op: "filter",
        has_gradient: true,
        has_burn: false,
        name: format!("b{batch} {side}px"),
        leaves: vec![shape.iter().product()],
        flops: 0,
        make: Box::new(move |device, _| {
            let values = Rng::new(1, Stream::TEST, 50).normals(shape.iter().product());
            let values = values.iter().map(|v| 0.2 * v).collect();
            let guide = Tensor::from_data(TensorData::new(values, shape), device);
            let filter = ops::Filter {
                reach: 0.3125,
                edge: 5.0,
                edge_fake: 0.0,
            };
            Box::new(move |leaves| {
                let fake = leaves[0].clone().mul_scalar(0.2).reshape(shape);
                ops::lay_in(guide.clone(), fake, filter)
            })
        }),
    }
}

/// An operation beside the same by tensor operations.
fn beside(
    op: &'static str,
    name: String,
    leaves: Vec<usize>,
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
        op,
        has_gradient: true,
        has_burn: true,
        name,
        leaves,
        flops: 0,
        make: Box::new(make),
    }
}

/// A vector as pictures of one plane.
fn line(vector: Tensor<1>) -> Tensor<4> {
    let [n] = vector.dims();
    vector.reshape([1, 1, 1, n])
}

/// Operations on the pictures and planes `[b, c, side, side]` of a recipe.
fn planes(batch: usize, channels: usize, side: usize) -> Vec<Case> {
    let shape = [batch, channels, side, side];
    let size = shape.iter().product();
    let [wide, small] = [2 * side, side / 2];
    let name = format!("b{batch} {channels} {side}px");
    let one = |op, own: fn(Tensor<4>) -> Tensor<4>, burn: fn(Tensor<4>) -> Tensor<4>| {
        beside(
            op,
            name.clone(),
            vec![size],
            move |leaves| own(leaves[0].clone().reshape(shape)),
            move |leaves| burn(leaves[0].clone().reshape(shape)),
        )
    };
    let patches = move |x: Tensor<4>| x.reshape([batch, channels, small, 2, small, 2]);
    vec![
        one(
            "leaky",
            |x| ops::leaky(x, SLOPE),
            |x| activation::leaky_relu(x, f64::from(SLOPE)),
        ),
        one(
            "part",
            |x| {
                let [first, second] = ops::halves(x, 1);
                first * second
            },
            |x| {
                let half = x.dims()[1] / 2;
                x.clone().narrow(1, 0, half) * x.narrow(1, half, half)
            },
        ),
        beside(
            "resize",
            format!("{name} halved"),
            vec![size],
            move |leaves| ops::halve(leaves[0].clone().reshape(shape)),
            move |leaves| {
                let means = patches(leaves[0].clone().reshape(shape))
                    .mean_dim(5)
                    .mean_dim(3);
                means.reshape([batch, channels, small, small])
            },
        ),
        beside(
            "resize",
            format!("{name} doubled"),
            vec![size],
            move |leaves| ops::upsample(leaves[0].clone().reshape(shape)),
            move |leaves| {
                let x = leaves[0]
                    .clone()
                    .reshape([batch, channels, side, 1, side, 1]);
                let x = x.expand([batch, channels, side, 2, side, 2]);
                x.reshape([batch, channels, wide, wide])
            },
        ),
    ]
}

/// Losses and what is shown of them, at pictures `[batch, 3, side, side]` and latents of `z` planes.
fn losses(batch: usize, side: usize, z: usize) -> Vec<Case> {
    let pictures = [batch, 3, side, side];
    let count: usize = pictures.iter().product();
    let both = [batch, 2 * z, side / 2, side / 2];
    let raw = both.iter().product();
    let apart = move |both: Tensor<4>| apart(both, z);
    let picture = move |leaf: &Tensor<1>| leaf.clone().reshape(pictures);
    let name = format!("b{batch} {side}px");
    vec![
        beside(
            "error",
            name.clone(),
            vec![count, count],
            move |leaves| {
                line(loss::absolute_error(
                    picture(&leaves[0]),
                    picture(&leaves[1]),
                ))
            },
            move |leaves| {
                let apart = picture(&leaves[0]) - picture(&leaves[1]);
                line(apart.abs().mean())
            },
        ),
        beside(
            "divergence",
            format!("{name} {z}"),
            vec![raw],
            move |leaves| {
                let posterior = Posterior::raw(leaves[0].clone().reshape(both));
                line(loss::divergence(&posterior, count / batch))
            },
            move |leaves| {
                let (mean, log_var) = apart(leaves[0].clone().reshape(both));
                let nats = mean.square() + log_var.clone().exp() - 1.0 - log_var;
                line(nats.sum().mul_scalar(0.5 / count.to_f32()))
            },
        ),
        sampling(batch, side / 2, z),
        mixing(pictures),
        step_figures(batch, side / DiscriminatorConfig::PATCH_STRIDE),
        adding([3 * batch, 1]),
        gathering([48 * 48 * 9, 48]),
        updating(48 * 48 * 9),
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
    Case {
        op: "latent",
        has_gradient: true,
        has_burn: true,
        name: format!("b{batch} {z} {side}px"),
        leaves: vec![both.iter().product()],
        flops: 0,
        make: Box::new(make),
    }
}

/// What is only computed, beside the same by tensor operations.
fn computed(op: &'static str, name: String, leaves: Vec<usize>, make: Make) -> Case {
    Case {
        op,
        has_gradient: false,
        has_burn: true,
        name,
        leaves,
        flops: 0,
        make,
    }
}

/// Pictures real, fake and mixed of both, from `shape` of either.
fn mixing(shape: [usize; 4]) -> Case {
    let [n, c, h, w] = shape;
    let make = move |device: &Device, by: Impl| -> Block {
        let rows = |by: i32| {
            let count = i32::try_from(2 * n).expect("a batch");
            let rows: Vec<i32> = (0..count / 2).map(|m| (m * 7 + by) % count).collect();
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
    computed(
        "mixed",
        format!("b{n} {h}px"),
        vec![size, size],
        Box::new(make),
    )
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
    computed(
        "figures",
        format!("b{batch} {side} patches"),
        leaves,
        Box::new(make),
    )
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
    computed(
        "total",
        format!("{sizes:?}"),
        sizes.to_vec(),
        Box::new(make),
    )
}

/// Arrays of these sizes into a flat buffer.
fn gathering<const N: usize>(sizes: [usize; N]) -> Case {
    let make = move |_: &Device, by: Impl| -> Block {
        Box::new(move |leaves| {
            let room = |size: usize| size.next_multiple_of(64);
            let device = leaves[0].device();
            if by == Impl::Own {
                let length = sizes.iter().map(|size| room(*size)).sum::<usize>();
                let flat = Tensor::empty([length], &device);
                return line(ops::gather(flat, 0, leaves.to_vec(), &sizes));
            }
            let mut padded = Vec::new();
            for leaf in leaves {
                let gap = room(leaf.dims()[0]) - leaf.dims()[0];
                padded.push(leaf.clone());
                if gap > 0 {
                    padded.push(Tensor::zeros([gap], &device));
                }
            }
            line(Tensor::cat(padded, 0))
        })
    };
    computed(
        "gather",
        format!("{sizes:?}"),
        sizes.to_vec(),
        Box::new(make),
    )
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
    computed(
        "adam",
        format!("{size}"),
        vec![size, size, size],
        Box::new(make),
    )
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
    let case = |op, shape: [usize; 4], make| Case {
        op,
        has_gradient: true,
        has_burn: false,
        name: format!("b{batch} {side}px {recipe}"),
        leaves: vec![shape.iter().product()],
        flops: 0,
        make,
    };
    let config = generator.clone();
    let encoder = Box::new(move |device: &Device, _| -> Block {
        let network = config.init(domain, &mut Init::new(0, 0, device));
        Box::new(move |leaves| {
            let posterior = network.encode(leaves[0].clone().reshape(pictures));
            Tensor::cat(vec![posterior.mean(), posterior.log_var()], 1)
        })
    });
    let decoder = Box::new(move |device: &Device, _| -> Block {
        let network = generator.init(domain, &mut Init::new(0, 0, device));
        let styles: Vec<u32> = (0..batch).map(|i| (i % STYLES) as u32).collect();
        Box::new(move |leaves| network.decode(leaves[0].clone().reshape(latent), &styles))
    });
    let trunk = Box::new(move |device: &Device, _| -> Block {
        let network = trunk
            .init(domain, &mut Init::new(0, 1, device))
            .expect("two styles are enough for the CRF");
        Box::new(move |leaves| network.emissions(leaves[0].clone().reshape(pictures)))
    });
    vec![
        case("encoder", pictures, encoder),
        case("decoder", latent, decoder),
        case("trunk", pictures, trunk),
    ]
}

fn cases() -> Vec<Case> {
    let mut cases = vec![
        conv(8, [12, 48], 16, 3),
        conv(8, [48, 48], 8, 3),
        conv(8, [48, 48], 16, 3),
        conv(8, [72, 72], 16, 3),
        conv(8, [72, 144], 8, 3),
        conv(8, [48, 24], 32, 3),
        conv(8, [24, 3], 32, 3),
        conv(8, [96, 96], 16, 3),
        conv(8, [96, 48], 32, 3),
        conv(8, [48, 24], 64, 3),
        conv(8, [96, 192], 16, 3),
        conv(8, [144, 144], 8, 1),
        norm(8, 48, 16),
        norm(8, 24, 32),
        norm(8, 96, 16),
        residual(8, 48, 16),
        residual(8, 96, 16),
        filter(8, 32),
        filter(8, 64),
        filter(1, 512),
    ];
    cases.extend(planes(8, 48, 16));
    cases.extend(planes(8, 96, 16));
    cases.extend(losses(8, 32, 16));
    cases.extend(losses(8, 64, 16));
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
    cases.extend(networks("quickstart", 8, 32, generator, trunk));
    cases.extend(networks("six-styles", 8, 64, wide, wide_trunk));
    cases
}

fn leaves(case: &Case, device: &Device) -> Vec<Tensor<1>> {
    let leaf = |(i, &len): (usize, &usize)| {
        let values = Rng::new(1, Stream::TEST, i as u64).normals(len);
        Tensor::from_data(TensorData::new(values, [len]), device)
    };
    case.leaves.iter().enumerate().map(leaf).collect()
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .try_into_vec::<f32>()
        .expect("tensors here are f32")
}

/// What the output is multiplied by to become a loss.
fn upstream(y: &Tensor<4>, device: &Device) -> Tensor<4> {
    let values = Rng::new(1, Stream::TEST, 99).normals(y.shape().num_elements());
    Tensor::from_data(TensorData::new(values, y.dims()), device)
}

/// Values and the gradient of every leaf.
fn outcome(case: &Case, by: Impl, device: &Device) -> (Vec<f32>, Vec<Vec<f32>>) {
    let device = device.clone().autodiff();
    let leaves: Vec<_> = leaves(case, &device)
        .into_iter()
        .map(Tensor::require_grad)
        .collect();
    let y = (case.make)(&device, by)(&leaves);
    let gradients = (y.clone() * upstream(&y, &device)).sum().backward();
    let of_leaves = leaves.iter().map(|leaf| {
        host(
            leaf.grad(&gradients)
                .expect("the loss depends on every leaf"),
        )
    });
    (host(y.inner()), of_leaves.collect())
}

/// Largest difference over the largest value.
fn worst(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(1e-12_f32, |max, v| max.max(v.abs()));
    got.iter()
        .zip(want)
        .fold(0.0_f32, |max, (a, b)| max.max((a - b).abs()))
        / scale
}

fn verify(case: &Case, device: &Device, is_flex: bool) {
    let label = format!("{} {}", case.op, case.name);
    if !case.has_gradient {
        let run = |by: Impl, device: &Device| host((case.make)(device, by)(&leaves(case, device)));
        let error = worst(&run(Impl::Own, device), &run(Impl::Burn, &Device::flex()));
        assert!(
            error < 1e-5,
            "{label}: values off by {error} of the largest"
        );
        return;
    }
    let (y, gradients) = outcome(case, Impl::Own, device);
    if is_flex && !case.has_burn {
        return verify_by_differences(case, device, &gradients[0], &label);
    }
    let reference = if case.has_burn { Impl::Burn } else { Impl::Own };
    let (expected, expected_gradients) = outcome(case, reference, &Device::flex());
    // f32 sums of up to a batch's pixels in another order.
    let error = worst(&y, &expected);
    assert!(
        error < 1e-4,
        "{label}: values off by {error} of the largest"
    );
    for (i, (got, want)) in gradients.iter().zip(&expected_gradients).enumerate() {
        let error = worst(got, want);
        assert!(
            error < 5e-4,
            "{label}: gradient {i} off by {error} of the largest"
        );
    }
}

/// The gradient's component along itself against a difference of the loss.
fn verify_by_differences(case: &Case, device: &Device, gradient: &[f32], label: &str) {
    let block = (case.make)(device, Impl::Own);
    let norm = gradient
        .iter()
        .map(|g| f64::from(*g).powi(2))
        .sum::<f64>()
        .sqrt();
    let direction = gradient
        .iter()
        .map(|g| (f64::from(*g) / norm) as f32)
        .collect();
    let direction = Tensor::<1>::from_data(TensorData::new(direction, [gradient.len()]), device);
    let step = 0.05;
    let loss = |h: f64| -> f64 {
        let moved = leaves(case, device).remove(0) + direction.clone().mul_scalar(h);
        let y = block(&[moved]);
        let up = host(upstream(&y, device));
        host(y)
            .iter()
            .zip(&up)
            .map(|(y, up)| f64::from(*y) * f64::from(*up))
            .sum()
    };
    let slope = (loss(step) - loss(-step)) / (2.0 * step);
    // Kinks of the leaky ReLU and the curvature over the step.
    assert!(
        (slope - norm).abs() < 0.02 * norm,
        "{label}: slope {slope}, gradient's norm {norm}"
    );
}

fn blocks(criterion: &mut Criterion) {
    let asked = std::env::var("DEMOTIC_BENCH_DEVICE").unwrap_or_else(|_unset| "flex".into());
    let chosen =
        device::open(&asked).unwrap_or_else(|error| panic!("DEMOTIC_BENCH_DEVICE: {error}"));
    let is_flex = asked == "flex";
    let has_kernels = ops::is_near_wgsl(&chosen.device);
    for case in cases() {
        // What there is for our kernels alone.
        if ["total", "gather"].contains(&case.op) && !has_kernels {
            continue;
        }
        let both = [Impl::Own, Impl::Burn];
        let timed = if case.has_burn { &both[..] } else { &both[..1] };
        let mut is_verified = false;
        for by in timed {
            let passes = if case.has_gradient {
                &[false, true][..]
            } else {
                &[false][..]
            };
            for is_training in passes.iter().copied() {
                let pass = if is_training { "train" } else { "forward" };
                let mut group =
                    criterion.benchmark_group(format!("{}-{pass}/{}/{asked}", case.op, by.name()));
                if case.flops > 0 {
                    // Two gradients, each as much as the forward pass.
                    group.throughput(Throughput::Elements(
                        case.flops * if is_training { 3 } else { 1 },
                    ));
                }
                group.bench_function(&case.name, |bencher| {
                    if !is_verified {
                        verify(&case, &chosen.device, is_flex);
                        is_verified = true;
                    }
                    let sync = || chosen.device.sync().expect("the device finishes its work");
                    let device = if is_training {
                        chosen.device.clone().autodiff()
                    } else {
                        chosen.device.clone()
                    };
                    let leaves = leaves(&case, &device);
                    let block = (case.make)(&device, *by);
                    let up = upstream(&block(&leaves), &device);
                    sync();
                    bencher.iter(|| {
                        if is_training {
                            let leaves: Vec<_> = leaves
                                .iter()
                                .map(|leaf| leaf.clone().detach().require_grad())
                                .collect();
                            black_box((block(&leaves) * up.clone()).sum().backward());
                        } else {
                            black_box(block(&leaves));
                        }
                        sync();
                    });
                });
                group.finish();
            }
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = blocks
}
criterion_main!(benches);
