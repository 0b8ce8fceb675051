//! What the networks are made of, at the sizes of `configs/quickstart.toml` (b8, 32 px) and
//! `configs/six-styles.toml` (b32 there, b8 here, 64 px): convolution, normalisation, residual block,
//! edge-aware filter, encoder, decoder, trunk.
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
use burn::tensor::{Device, Tensor, TensorData, activation, module};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use demotic_core::model::{DiscriminatorConfig, Domain, GeneratorConfig, Init, Residual};
use demotic_core::rng::{Rng, Stream};
use demotic_core::{device, ops};

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
            Tensor::cat(vec![posterior.mean, posterior.log_var], 1)
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
    for case in cases() {
        let both = [Impl::Own, Impl::Burn];
        let timed = if case.has_burn { &both[..] } else { &both[..1] };
        let mut is_verified = false;
        for by in timed {
            for is_training in [false, true] {
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
