//! Every kernel translates to every platform's language, fills a device, writes inside its buffers, agrees
//! with float64 and repeats to the bit; every shader has its launch file and its row.

use std::collections::BTreeSet;
use std::path::Path;

use burn::backend::DispatchDevice;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{Device, TensorData};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::client::Client;
use naga::valid::{Capabilities, ValidationFlags, Validator};

use super::guards::within_guards;
use super::net_conv::{NetConv, Tile};
use super::net_conv_weight::Plan;
use super::net_norm::{Sizes, Source};
use super::{
    Constants, Kernel, Shader, WORKGROUPS_LEAST, net_adam, net_affine, net_conv, net_conv_sum,
    net_conv_weight, net_divergence, net_edges, net_error, net_figures, net_filter, net_gather,
    net_latent, net_leaky, net_mixed, net_norm, net_part, net_resize, net_styles, net_total, word,
};
use crate::check::doctor::oracle::{Convolution, EdgeAware, Normalisation, product, transposed};
use crate::check::kernels::CONVOLUTIONS;
use crate::ops::conv_cpu::ConvShape;
use crate::ops::filter::FilterOps;
use crate::ops::near::{Clipped, GatherCall, NearOps, Places, Share, Waiting, Weights};
use crate::ops::needs::{Limits, NEEDS};
use crate::ops::styled::{AffineCall, LastCall, StyleOps};
use crate::ops::{
    AdamScalars, Filter, GATHERED, Gather, LOG_VAR_RANGE, LOG_VAR_START, Meeting, NetOps, Part,
    Reading, padded,
};
use crate::rng::{Rng, Stream};
use crate::train::{adapter, turn};

fn numbers(step: u64, count: usize) -> Vec<f32> {
    Rng::new(6, Stream::TEST, step).normals(count)
}

/// Calls on a device, without fusion or graphs.
struct Bench {
    _turn: std::sync::MutexGuard<'static, ()>,
    device: burn_cubecl::CubeDevice,
    client: Client,
}

impl Bench {
    fn new(device: &Device) -> Self {
        let DispatchDevice::Cube(cube) = device.as_dispatch() else {
            unreachable!("a wgpu device")
        };
        Self {
            _turn: turn(),
            device: cube.clone(),
            client: cube.client(),
        }
    }

    fn tensor(&self, values: &[f32], shape: &[usize]) -> CubeTensor {
        let data = TensorData::new(values.to_vec(), shape.to_vec());
        CubeBackend::float_from_data(data, &self.device)
    }

    fn values(&self, tensor: CubeTensor) -> Vec<f32> {
        let tensor = super::plain(tensor);
        let bytes = self.client.read_one(tensor.handle.clone()).unwrap();
        let words = bytes.chunks_exact(4);
        words
            .map(|word| f32::from_le_bytes(word.try_into().unwrap()))
            .collect()
    }

    /// Up to six arrays gathered into a flat buffer behind a gap, and each of them from there.
    fn gathered(&self, parts: &[CubeTensor], sizes: &[usize]) -> Vec<CubeTensor> {
        let gap = 64;
        let length = gap + sizes.iter().map(|size| padded(*size)).sum::<usize>();
        let flat = self.tensor(&vec![9.0; length], &[length]);
        let part = |k: usize| parts[k.min(parts.len() - 1)].clone();
        let plan = Gather {
            start: gap,
            count: parts.len(),
            sizes: std::array::from_fn::<usize, GATHERED, _>(|k| {
                sizes.get(k).copied().unwrap_or(1)
            }),
        };
        let flat = CubeBackend::gather(
            flat,
            part(0),
            part(1),
            part(2),
            part(3),
            part(4),
            part(5),
            part(6),
            plan,
        );
        let mut start = gap;
        let mut views = Vec::new();
        for size in sizes {
            let view = CubeBackend::view(flat.clone(), start, [*size].into());
            views.push(CubeBackend::float_add_scalar(view, 0.0.into()));
            start += padded(*size);
        }
        views
    }

    /// Runs twice, the first time within guards; the values agree to the bit, and with the truth to 1e-5 of
    /// its largest value.
    fn check(&self, what: &str, truths: &[&[f64]], run: impl Fn() -> Vec<CubeTensor>) {
        let once = within_guards(&self.client, what, &run);
        let again = run();
        assert_eq!(once.len(), truths.len(), "{what}");
        for (at, ((once, again), truth)) in once.into_iter().zip(again).zip(truths).enumerate() {
            let (once, again) = (self.values(once), self.values(again));
            assert_eq!(once.len(), truth.len(), "output {at} of {what}");
            assert!(
                once.iter()
                    .zip(&again)
                    .all(|(a, b)| a.to_bits() == b.to_bits()),
                "output {at} of {what} does not repeat"
            );
            let scale = truth.iter().fold(1e-30_f64, |top, v| top.max(v.abs()));
            let errors = once
                .iter()
                .zip(*truth)
                .map(|(v, t)| (f64::from(*v) - t).abs() / scale);
            let worst = errors.fold(0.0, f64::max);
            assert!(worst <= 1e-5, "output {at} of {what}: {worst:.1e}");
        }
    }
}

/// `a + b`, element by element.
fn added(a: &[f64], b: &[f32]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + f64::from(*b)).collect()
}

#[test]
fn convolutions_agree_with_float64_within_their_buffers_and_repeat() {
    let Some(device) = adapter() else { return };
    let bench = Bench::new(&device);
    // Sides that no tile divides, channels that fill no block, one piece of pictures and many, both kernels.
    for (b, c, o, s, k) in [
        (2, 5, 7, 9, 3),
        (2, 5, 7, 9, 1),
        (3, 33, 10, 17, 3),
        (8, 12, 3, 8, 3),
        (1, 3, 40, 5, 1),
        (4, 48, 48, 16, 3),
        (2, 70, 72, 4, 1),
    ] {
        let shape = Convolution {
            batch: b,
            channels_in: c,
            channels_out: o,
            side: s,
            kernel: k,
        };
        let (x, w) = (numbers(0, b * c * s * s), numbers(1, o * c * k * k));
        let (bias, up) = (numbers(2, o), numbers(3, b * o * s * s));
        let truth = shape.run(&x, &w, &bias, &up);
        let leaky: Vec<f64> = truth
            .y
            .iter()
            .map(|y| if *y >= 0.0 { *y } else { 0.2 * y })
            .collect();
        let what = format!("[{b}, {c}, {s}, {s}] to {o}, kernel {k}");
        let x = bench.tensor(&x, &[b, c, s, s]);
        let w = bench.tensor(&w, &[o, c, k, k]);
        let bias = bench.tensor(&bias, &[o]);
        let up = bench.tensor(&up, &[b, o, s, s]);
        let base = numbers(4, b * o * s * s);
        let onto = added(&truth.y, &base);
        let base = bench.tensor(&base, &[b, o, s, s]);
        let forward =
            |slope| CubeBackend::conv_same(x.clone(), w.clone(), bias.clone(), slope, false);
        bench.check(&what, &[&truth.y], || vec![forward(1.0)]);
        bench.check(&what, &[&leaky], || vec![forward(0.2)]);
        bench.check(&what, &[&onto], || {
            let (base, x, meeting) = (base.clone(), x.clone(), Meeting::default());
            let y = CubeBackend::conv_onto(base, x, w.clone(), bias.clone(), meeting, false);
            vec![y]
        });
        bench.check(&what, &[&truth.dx], || {
            vec![CubeBackend::conv_same_data_gradient(w.clone(), up.clone())]
        });
        bench.check(&what, &[&truth.dweight, &truth.dbias], || {
            let (x, up) = (x.clone(), up.clone());
            let (dw, db) = CubeBackend::conv_same_weight_gradients(x, up, k, false);
            vec![dw, db]
        });
        // In runs, added up on the way into a flat buffer.
        let sizes = [truth.dweight.len(), truth.dbias.len()];
        bench.check(&what, &[&truth.dweight, &truth.dbias], || {
            let (x, up) = (x.clone(), up.clone());
            let (dw, db) = CubeBackend::conv_same_weight_gradients(x, up, k, true);
            let runs = super::weight_gradient_runs(c, o, k);
            assert_eq!(super::dims::<4>(&dw), [runs * o, c, k, k]);
            assert_eq!(super::dims::<1>(&db), [runs * o]);
            bench.gathered(&[dw, db], &sizes)
        });
    }
}

/// Scales `1 + (code W + bias)[:c]` and shifts `(code W + bias)[c:]` of every picture.
struct Styled {
    code: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

/// Entries of a style code here.
const CODE: usize = 5;

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

impl Styled {
    fn new(b: usize, c: usize) -> Self {
        let code = numbers(12, b * CODE);
        let weight: Vec<f32> = numbers(13, CODE * 2 * c).iter().map(|v| 0.3 * v).collect();
        let bias = numbers(14, 2 * c);
        let affine = product(&wide(&code), &wide(&weight), [b, CODE, 2 * c]);
        let of = |from: usize, start: f64| -> Vec<f32> {
            (0..b * c)
                .map(|at| {
                    let column = from + at % c;
                    (start + affine[at / c * 2 * c + column] + f64::from(bias[column])) as f32
                })
                .collect()
        };
        let (scale, shift) = (of(0, 1.0), of(c, 0.0));
        Self {
            code,
            weight,
            bias,
            scale,
            shift,
        }
    }

    /// Gradients by code, weight and bias, from those by scales and shifts.
    fn gradients(&self, dscale: &[f64], dshift: &[f64], [b, c]: [usize; 2]) -> [Vec<f64>; 3] {
        let rows = dscale.chunks(c).zip(dshift.chunks(c));
        let daffine: Vec<f64> = rows
            .flat_map(|(scales, shifts)| [scales, shifts].concat())
            .collect();
        let by_column = transposed(&wide(&self.weight), [CODE, 2 * c]);
        let by_entry = transposed(&wide(&self.code), [b, CODE]);
        [
            product(&daffine, &by_column, [b, 2 * c, CODE]),
            product(&by_entry, &daffine, [CODE, b, 2 * c]),
            summed(&daffine, 2 * c),
        ]
    }
}

/// Sums over rows of `width`.
fn summed(values: &[f64], width: usize) -> Vec<f64> {
    (0..width)
        .map(|k| values.iter().skip(k).step_by(width).sum())
        .collect()
}

#[test]
fn normalisations_agree_with_float64_within_their_buffers_and_repeat() {
    let Some(device) = adapter() else { return };
    let bench = Bench::new(&device);
    for (b, c, s, groups) in [(2, 16, 8, 2), (3, 12, 5, 1), (2, 6, 7, 3), (1, 300, 3, 1)] {
        let shape = Normalisation {
            batch: b,
            channels: c,
            area: s * s,
            groups,
            slope: f64::from(0.2_f32),
            epsilon: 1e-5,
        };
        let (x, up) = (numbers(10, b * c * s * s), numbers(11, b * c * s * s));
        let styled = Styled::new(b, c);
        let what = format!("[{b}, {c}, {s}, {s}] in {groups} groups");
        let x_here = bench.tensor(&x, &[b, c, s, s]);
        let up_here = bench.tensor(&up, &[b, c, s, s]);

        // A row per picture.
        let truth = shape.run(&x, &styled.scale, &styled.shift, &up);
        let rows = [&styled.scale, &styled.shift].map(|v| bench.tensor(v, &[b, c]));
        let forward = |[scale, shift]: &[CubeTensor; 2]| {
            let (x, scale, shift) = (x_here.clone(), scale.clone(), shift.clone());
            CubeBackend::norm_act(x, scale, shift, groups, 0.2, Meeting::default())
        };
        // On top of a gradient that came before, or not.
        let before = numbers(15, x.len());
        let before_here = bench.tensor(&before, &[b, c, s, s]);
        let backward = |[scale, shift]: &[CubeTensor; 2], is_added| {
            let (scale, shift) = (scale.clone(), shift.clone());
            let (x, up, before) = (x_here.clone(), up_here.clone(), before_here.clone());
            let (dx, ds, dh) =
                CubeBackend::norm_act_gradients(x, scale, shift, up, before, groups, 0.2, is_added);
            vec![dx, ds, dh]
        };
        bench.check(&what, &[&truth.y], || vec![forward(&rows)]);
        let sum = added(&truth.dx, &before);
        for (dx, is_added) in [(&truth.dx, false), (&sum, true)] {
            bench.check(&what, &[dx, &truth.dscale, &truth.dshift], || {
                backward(&rows, is_added)
            });
        }

        // By a style code.
        let [dcode, dweight, dbias] = styled.gradients(&truth.dscale, &truth.dshift, [b, c]);
        let inputs = || {
            (
                bench.tensor(&styled.code, &[b, CODE]),
                bench.tensor(&styled.weight, &[CODE, 2 * c]),
                bench.tensor(&styled.bias, &[2 * c]),
            )
        };
        bench.check(&what, &[&truth.y], || {
            let (code, weight, bias) = inputs();
            let x = x_here.clone();
            let unmet = [Meeting::default(), Meeting::default()];
            vec![CubeBackend::style_norm_act(
                x, code, weight, bias, groups, 0.2, unmet,
            )]
        });
        let code_before = numbers(16, b * CODE);
        let code_sum = added(&dcode, &code_before);
        for are_added in [[false, false], [true, true], [false, true]] {
            let dx = if are_added[0] { &sum } else { &truth.dx };
            let dcode = if are_added[1] { &code_sum } else { &dcode };
            bench.check(&what, &[dx, dcode, &dweight, &dbias], || {
                let (code, weight, bias) = inputs();
                let (x, up, before) = (x_here.clone(), up_here.clone(), before_here.clone());
                let code_before = bench.tensor(&code_before, &[b, CODE]);
                let (dx, dcode, dweight, dbias) = CubeBackend::style_norm_act_gradients(
                    x,
                    code,
                    weight,
                    bias,
                    up,
                    before,
                    code_before,
                    groups,
                    0.2,
                    are_added,
                );
                vec![dx, dcode, dweight, dbias]
            });
        }

        // One row for all pictures.
        let repeated = |values: &[f32]| values[..c].repeat(b);
        let truth = shape.run(&x, &repeated(&styled.scale), &repeated(&styled.shift), &up);
        let row = [&styled.scale, &styled.shift].map(|v| bench.tensor(&v[..c], &[1, c]));
        bench.check(&what, &[&truth.y], || vec![forward(&row)]);
        let (dscale, dshift) = (summed(&truth.dscale, c), summed(&truth.dshift, c));
        bench.check(&what, &[&truth.dx, &dscale, &dshift], || {
            backward(&row, false)
        });
    }
}

#[test]
fn the_filter_agrees_with_float64_within_its_buffers_and_repeats() {
    let Some(device) = adapter() else { return };
    let bench = Bench::new(&device);
    // Ragged sides, one pixel across, more lines than a workgroup has invocations; no edges of the fake.
    for (shape, edge_fake) in [
        ([2, 3, 9, 13], 5.0),
        ([1, 1, 1, 40], 0.0),
        ([1, 4, 7, 1], 2.0),
        ([1, 1, 2, 300], 5.0),
    ] {
        let [batch, channels, height, width] = shape;
        let size = shape.iter().product();
        // Small enough that nothing is clamped.
        let small = |step| -> Vec<f32> { numbers(step, size).iter().map(|v| 0.1 * v).collect() };
        let (guide, fake, up) = (small(40), small(41), numbers(42, size));
        let filter = Filter {
            reach: 0.3,
            edge: 5.0,
            edge_fake,
        };
        let truth = EdgeAware {
            batch,
            channels,
            height,
            width,
            filter,
            scales: &[1.0; crate::ops::filter_cpu::ROUNDS],
        }
        .run(&guide, &fake, &up);
        assert!(truth.y.iter().all(|y| y.abs() < 1.0));
        let spread: Vec<f64> = truth
            .y
            .iter()
            .zip(&guide)
            .map(|(y, x)| y - f64::from(*x))
            .collect();
        let change: Vec<f32> = fake.iter().zip(&guide).map(|(y, x)| y - x).collect();
        let [guide, fake, up, change] =
            [guide, fake, up, change].map(|values| bench.tensor(&values, &shape));
        let run = |pixels: &CubeTensor, is_transposed| {
            let weights = CubeBackend::filter_decays(guide.clone(), fake.clone(), filter);
            vec![CubeBackend::filter(pixels.clone(), weights, is_transposed)]
        };
        let what = format!("the filter of {shape:?}");
        bench.check(&what, &[&spread], || run(&change, false));
        let what = format!("the way back through {what}");
        bench.check(&what, &[&truth.dfake], || run(&up, true));
    }
}

#[test]
fn mean_errors_agree_with_float64_within_their_buffers_and_repeat() {
    let Some(device) = adapter() else { return };
    let bench = Bench::new(&device);
    // Fewer values than a workgroup has invocations, one workgroup's, several workgroups'.
    for shape in [[1, 1, 5, 7], [2, 3, 16, 16], [3, 7, 41, 39]] {
        let size: usize = shape.iter().product();
        let (a, mut b) = (numbers(50, size), numbers(51, size));
        // No difference has no slope.
        b[size / 2] = a[size / 2];
        let dy = -0.7_f32;
        let differences: Vec<f64> = wide(&a).iter().zip(wide(&b)).map(|(a, b)| a - b).collect();
        let total: f64 = differences.iter().map(|d| d.abs()).sum();
        let each = f64::from(dy) / size as f64;
        let slope = |d: &f64| if *d == 0.0 { 0.0 } else { d.signum() * each };
        let da: Vec<f64> = differences.iter().map(slope).collect();
        let (a, b) = (bench.tensor(&a, &shape), bench.tensor(&b, &shape));
        let dy = bench.tensor(&[dy], &[1]);
        let what = format!("the mean error of {shape:?}");
        bench.check(&what, &[&[total / size as f64]], || {
            vec![CubeBackend::mean_error(a.clone(), b.clone())]
        });
        bench.check(&what, &[&da], || {
            let (a, b, dy) = (a.clone(), b.clone(), dy.clone());
            vec![CubeBackend::mean_error_gradient(a, b, dy)]
        });
    }
}

#[test]
fn parts_and_their_gradients_are_exact_within_their_buffers() {
    let Some(device) = adapter() else { return };
    let bench = Bench::new(&device);
    let shape = [2, 6, 3, 5];
    let (x, before) = (numbers(60, 180), numbers(61, 180));
    let here = bench.tensor(&x, &shape);
    let before_here = bench.tensor(&before, &shape);
    let doubled = [wide(&x), wide(&x)].concat();
    bench.check("twice", &[&doubled], || {
        vec![CubeBackend::twice(here.clone())]
    });
    let halves: Vec<f64> = (0..90)
        .map(|at| f64::from(x[at]) + f64::from(x[90 + at]))
        .collect();
    bench.check("its gradient", &[&halves], || {
        vec![CubeBackend::twice_gradient(here.clone())]
    });
    // Pictures that begin where a device can bind them are seen where they lie.
    let pictures = bench.tensor(&numbers(63, 3 * 128), &[3, 2, 8, 8]);
    let part = Part {
        axis: 0,
        start: 1,
        count: 2,
    };
    let seen = CubeBackend::part(pictures, part, Meeting::default());
    assert_eq!(bench.values(seen), numbers(63, 3 * 128)[128..]);
    for part in
        [(0, 1, 1), (1, 0, 2), (1, 2, 4)].map(|(axis, start, count)| Part { axis, start, count })
    {
        let inner: usize = shape[part.axis + 1..].iter().product();
        let is_inside = |at: usize| {
            let plane = at / inner % shape[part.axis];
            (part.start..part.start + part.count).contains(&plane)
        };
        let y: Vec<f64> = (0..180)
            .filter(|at| is_inside(*at))
            .map(|at| f64::from(x[at]))
            .collect();
        let what = format!("{part:?}");
        bench.check(&what, &[&y], || {
            vec![CubeBackend::part(here.clone(), part, Meeting::default())]
        });
        let up = numbers(62, y.len());
        let mut values = up.iter();
        let dx: Vec<f64> = (0..180)
            .map(|at| {
                let value = is_inside(at).then(|| values.next().expect("as many as inside"));
                value.map_or(0.0, |v| f64::from(*v))
            })
            .collect();
        let sum = added(&dx, &before);
        let up = bench.tensor(&up, &part.shape(shape));
        for (truth, is_added) in [(&dx, false), (&sum, true)] {
            bench.check(&what, &[truth], || {
                let (up, before) = (up.clone(), before_here.clone());
                vec![CubeBackend::part_gradient(
                    up, before, shape, part, is_added,
                )]
            });
        }
    }
}

#[test]
fn leaky_resizing_gathering_and_views_are_exact_within_their_buffers() {
    let Some(device) = adapter() else { return };
    let bench = Bench::new(&device);
    let [b, c, h, w] = [2, 3, 6, 10];
    let (x, up) = (numbers(20, b * c * h * w), numbers(21, b * c * h * w));
    let leaky = |v: &f32, sign: &f32| f64::from(if *sign >= 0.0 { *v } else { *v * 0.2 });
    let y: Vec<f64> = x.iter().map(|v| leaky(v, v)).collect();
    let dx: Vec<f64> = up.iter().zip(&x).map(|(v, sign)| leaky(v, sign)).collect();
    let here = bench.tensor(&x, &[b, c, h, w]);
    let up_here = bench.tensor(&up, &[b, c, h, w]);
    bench.check("leaky", &[&y], || {
        vec![CubeBackend::leaky(here.clone(), 0.2)]
    });
    bench.check("its gradient", &[&dx], || {
        vec![CubeBackend::leaky_gradient(
            here.clone(),
            up_here.clone(),
            0.2,
        )]
    });
    let mut pooled = vec![0.0; x.len() / 4];
    let mut spread = vec![0.0; x.len() * 4];
    for (at, value) in wide(&x).into_iter().enumerate() {
        let (plane, i, j) = (at / (h * w), at / w % h, at % w);
        pooled[(plane * (h / 2) + i / 2) * (w / 2) + j / 2] += 0.25 * value;
        for (u, v) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            spread[(plane * 2 * h + 2 * i + u) * 2 * w + 2 * j + v] = value;
        }
    }
    bench.check("pool", &[&pooled], || {
        vec![CubeBackend::pool(here.clone(), 0.25, Meeting::default())]
    });
    bench.check("spread", &[&spread], || {
        vec![CubeBackend::spread(here.clone(), 1.0)]
    });
    let base = numbers(22, 4 * x.len());
    let onto = added(&spread, &base);
    let base = bench.tensor(&base, &[b, c, 2 * h, 2 * w]);
    bench.check("spread on top of another", &[&onto], || {
        let (base, x, meeting) = (base.clone(), here.clone(), Meeting::default());
        vec![CubeBackend::spread_onto(base, x, 1.0, meeting)]
    });

    // Three arrays behind another, and each of them seen again where it lies.
    let sizes = [5, 64, 130];
    let parts: Vec<Vec<f32>> = (30..)
        .zip(sizes)
        .map(|(step, size)| numbers(step, size))
        .collect();
    let flat = bench.tensor(&[9.0; 64 + 64 + 64 + 192 + 64], &[448]);
    let [p, q, r] = [0, 1, 2].map(|k| bench.tensor(&parts[k], &[sizes[k]]));
    let last = || r.clone();
    let plan = Gather {
        start: 64,
        count: 3,
        sizes: [5, 64, 130, 1, 1, 1, 1],
    };
    let (p, q) = (p.clone(), q.clone());
    let gathered = CubeBackend::gather(flat, p, q, last(), last(), last(), last(), last(), plan);
    for (k, start) in [64, 128, 192].into_iter().enumerate() {
        let seen = CubeBackend::view(gathered.clone(), start, [sizes[k]].into());
        assert_eq!(
            bench.values(CubeBackend::float_add_scalar(seen, 0.0.into())),
            parts[k]
        );
    }
    let all = bench.values(gathered);
    assert!(all[..64].iter().all(|v| *v == 9.0) && all[384..].iter().all(|v| *v == 9.0));
    assert!(all[69..128].iter().all(|v| *v == 0.0) && all[322..384].iter().all(|v| *v == 0.0));

    // One array whole, one in two runs.
    let runs = bench.tensor(&[1.0, 2.0, 3.0, 10.0, 20.0, 30.0], &[6]);
    let gathered = bench.gathered(&[bench.tensor(&[7.0; 65], &[65]), runs], &[65, 3]);
    let gathered: Vec<Vec<f32>> = gathered.into_iter().map(|t| bench.values(t)).collect();
    assert_eq!(gathered, [vec![7.0; 65], vec![11.0, 22.0, 33.0]]);
}

#[test]
fn means_of_a_leaky_relu_are_exact_within_their_buffers() {
    let Some(device) = adapter() else { return };
    let bench = Bench::new(&device);
    let [b, c, h, w] = [2, 3, 6, 10];
    let (x, up) = (numbers(23, b * c * h * w), numbers(24, b * c * h * w / 4));
    let leaky = |v: &f32, sign: &f32| f64::from(if *sign >= 0.0 { *v } else { *v * 0.2 });
    let here = bench.tensor(&x, &[b, c, h, w]);
    let mut pooled_leaky = vec![0.0; x.len() / 4];
    let mut unpooled = vec![0.0; x.len()];
    for (at, value) in x.iter().enumerate() {
        let (plane, i, j) = (at / (h * w), at / w % h, at % w);
        let to = (plane * (h / 2) + i / 2) * (w / 2) + j / 2;
        pooled_leaky[to] += 0.25 * leaky(value, value);
        unpooled[at] = 0.25 * leaky(&up[to], value);
    }
    let small = bench.tensor(&up, &[b, c, h / 2, w / 2]);
    bench.check("pool of leaky", &[&pooled_leaky, &unpooled], || {
        let (x, dy) = (here.clone(), small.clone());
        vec![
            CubeBackend::pool_leaky(x.clone(), 0.25, 0.2),
            CubeBackend::pool_leaky_gradient(x, dy, 0.25, 0.2),
        ]
    });
}

#[test]
fn any_number_of_arrays_are_gathered_with_their_summands() {
    let Some(device) = adapter() else { return };
    let bench = Bench::new(&device);
    // More than one launch has bindings or rows, two summands each of which some are not there, runs among
    // them.
    let mut summands: Vec<Option<CubeTensor>> = vec![];
    let mut sizes = vec![];
    for step in 0..25 {
        let gradients = |step| {
            let (dw, db) = CubeBackend::conv_same_weight_gradients(
                bench.tensor(&numbers(200 + step, 60), &[1, 3, 4, 5]),
                bench.tensor(&numbers(300 + step, 40), &[1, 2, 4, 5]),
                3,
                true,
            );
            assert_eq!(
                dw.handle.memory.descriptor().id,
                db.handle.memory.descriptor().id
            );
            [dw, db]
        };
        let [dw, db] = gradients(step).map(Some);
        let [other, other_db] = gradients(100 + step).map(Some);
        let alone = bench.tensor(&numbers(500 + step, 3), &[3]);
        summands.extend([dw, other, db, other_db, Some(alone), None]);
        sizes.extend([54, 2, 3]);
    }
    let mut truth = vec![7.0; 64];
    for (pair, size) in summands.chunks(2).zip(&sizes) {
        let mut sum = vec![0.0; *size];
        for summand in pair.iter().flatten() {
            let values = wide(&bench.values(summand.clone()));
            for (sum, value) in sum.iter_mut().zip(summed(&values, *size)) {
                *sum += value;
            }
        }
        truth.extend(sum);
        truth.resize(truth.len().next_multiple_of(64), 0.0);
    }
    let run = || {
        let places = Places {
            start: 64,
            sizes: sizes.clone(),
            are_there: summands.iter().map(Option::is_some).collect(),
        };
        let there: Vec<CubeTensor> = summands.iter().flatten().cloned().collect();
        let mut flat = bench.tensor(&vec![7.0; truth.len()], &[truth.len()]);
        let waiting = Waiting::default();
        let calls = there.chunks(14).len();
        for (at, parts) in there.chunks(14).enumerate() {
            let part = |k: usize| parts[k.min(parts.len() - 1)].clone();
            let call = GatherCall {
                count: parts.len(),
                waiting: waiting.clone(),
                places: (at + 1 == calls).then(|| places.clone()),
            };
            flat = CubeBackend::gather_all(
                flat,
                part(0),
                part(1),
                part(2),
                part(3),
                part(4),
                part(5),
                part(6),
                part(7),
                part(8),
                part(9),
                part(10),
                part(11),
                part(12),
                part(13),
                call,
            );
        }
        bench.values(flat)
    };
    let gathered = run();
    assert_eq!(gathered, run());
    for (got, expected) in gathered.into_iter().zip(&truth) {
        assert!(
            (f64::from(got) - expected).abs() < 1e-4,
            "{got}, expected {expected}"
        );
    }
}

#[test]
fn pairs_lie_behind_each_other_until_they_are_gathered() {
    let Some(device) = adapter() else { return };
    let bench = Bench::new(&device);
    let like = bench.tensor(&[0.0], &[1]);
    super::leave_rooms();
    let place = |tensor: &CubeTensor| {
        let handle = &tensor.handle;
        let start = handle.offset_start.unwrap_or(0);
        (handle.memory.descriptor().id, start)
    };
    let (a, b) = super::pair(&like, [3], [70]);
    let (c, d) = super::pair(&like, [64], [1]);
    let (room, _) = place(&a);
    let places = [&a, &b, &c, &d].map(place);
    // Each takes as many multiples of 64 floats as it needs.
    assert_eq!(places, [0, 256, 768, 1024].map(|start| (room, start)));
    let bytes = [&a, &b, &c, &d].map(|tensor| tensor.handle.size_in_used());
    assert_eq!(bytes, [12, 280, 256, 4]);
    // What is more than a room has gets memory of its own, and the room goes on.
    let (large, _) = super::pair(&like, [super::Kind::Pairs.bytes() / 4], [1]);
    assert_ne!(place(&large).0, room);
    assert_eq!(place(&super::pair(&like, [1], [1]).0), (room, 1280));
    super::leave_rooms();
    assert_ne!(place(&super::pair(&like, [1], [1]).0).0, room);
}

/// Ways in which a convolution reads what it sees from a tensor that is otherwise.
const READINGS: [Reading; 3] = [Reading::Leaky(0.2), Reading::Doubled, Reading::Unshuffled];

/// Where each value of a tensor `[b, c, h, w]` is seen, and the factor on it.
fn seen_at(reading: Reading, [h, w]: [usize; 2], at: usize, value: f32) -> (Vec<usize>, f32) {
    let (plane, i, j) = (at / (h * w), at / w % h, at % w);
    match reading {
        Reading::Plain => (vec![at], 1.0),
        Reading::Leaky(slope) => (vec![at], if value >= 0.0 { 1.0 } else { slope }),
        Reading::Doubled => {
            let corner = (plane * 2 * h + 2 * i) * 2 * w + 2 * j;
            let patch = [0, 1, 2 * w, 2 * w + 1];
            (patch.map(|by| corner + by).to_vec(), 1.0)
        }
        Reading::Unshuffled => {
            let plane = 4 * plane + i % 2 * 2 + j % 2;
            (vec![(plane * (h / 2) + i / 2) * (w / 2) + j / 2], 1.0)
        }
    }
}

#[test]
fn convolutions_of_what_is_read_otherwise_agree_with_float64_within_their_buffers() {
    let Some(device) = adapter() else { return };
    let bench = Bench::new(&device);
    for (reading, b, c, o, s, k) in [
        (Reading::Leaky(0.2), 2, 5, 7, 9, 3),
        (Reading::Leaky(0.2), 3, 33, 10, 8, 1),
        (Reading::Doubled, 2, 6, 9, 5, 3),
        (Reading::Unshuffled, 3, 3, 40, 10, 3),
        (Reading::Unshuffled, 2, 5, 6, 6, 1),
    ] {
        let x = numbers(110, b * c * s * s);
        let [_, seen_c, side, _] = reading.seen([b, c, s, s]);
        let mut seen = vec![0.0; b * seen_c * side * side];
        for (at, value) in x.iter().enumerate() {
            let (places, factor) = seen_at(reading, [s, s], at, *value);
            for place in places {
                seen[place] = factor * value;
            }
        }
        let shape = Convolution {
            batch: b,
            channels_in: seen_c,
            channels_out: o,
            side,
            kernel: k,
        };
        let w = numbers(111, o * seen_c * k * k);
        let (bias, up) = (numbers(112, o), numbers(113, b * o * side * side));
        let truth = shape.run(&seen, &w, &bias, &up);
        let dx: Vec<f64> = x
            .iter()
            .enumerate()
            .map(|(at, value)| {
                let (places, factor) = seen_at(reading, [s, s], at, *value);
                let sum: f64 = places.into_iter().map(|place| truth.dx[place]).sum();
                f64::from(factor) * sum
            })
            .collect();
        let what = format!("{reading:?} of [{b}, {c}, {s}, {s}] to {o}, kernel {k}");
        let x = bench.tensor(&x, &[b, c, s, s]);
        let w = bench.tensor(&w, &[o, seen_c, k, k]);
        let bias = bench.tensor(&bias, &[o]);
        let up = bench.tensor(&up, &[b, o, side, side]);
        bench.check(&what, &[&truth.y], || {
            let (x, w, bias) = (x.clone(), w.clone(), bias.clone());
            vec![CubeBackend::conv_reading(x, w, bias, reading, false)]
        });
        bench.check(&what, &[&dx], || {
            let (w, up, x) = (w.clone(), up.clone(), x.clone());
            vec![CubeBackend::conv_reading_data_gradient(w, up, x, reading)]
        });
        bench.check(&what, &[&truth.dweight, &truth.dbias], || {
            let (x, up) = (x.clone(), up.clone());
            let (dw, db) = CubeBackend::conv_reading_weight_gradients(x, up, k, reading, false);
            vec![dw, db]
        });
    }
}

#[test]
fn rows_of_a_normalisation_have_gradients_a_picture_or_summed() {
    let Some(device) = adapter() else { return };
    let bench = Bench::new(&device);
    let (b, c, s, groups) = (3, 12, 5, 2);
    let shape = Normalisation {
        batch: b,
        channels: c,
        area: s * s,
        groups,
        slope: f64::from(0.2_f32),
        epsilon: 1e-5,
    };
    let (x, up) = (numbers(120, b * c * s * s), numbers(121, b * c * s * s));
    let before = numbers(122, x.len());
    let rows = [123, 124].map(|step| numbers(step, c));
    let truth = shape.run(&x, &rows[0].repeat(b), &rows[1].repeat(b), &up);
    let sum = added(&truth.dx, &before);
    let (dscale, dshift) = (summed(&truth.dscale, c), summed(&truth.dshift, c));
    let [x, up, before] = [x, up, before].map(|v| bench.tensor(&v, &[b, c, s, s]));
    let rows = rows.map(|v| bench.tensor(&v, &[c]));
    let run = || {
        let [scale, shift] = rows.clone();
        let x = x.clone();
        vec![CubeBackend::norm_row(
            x,
            scale,
            shift,
            groups,
            0.2,
            Meeting::default(),
        )]
    };
    bench.check("rows", &[&truth.y], run);
    for (is_added, in_runs) in [(false, true), (true, true), (true, false)] {
        let dx = if is_added { &sum } else { &truth.dx };
        let rows_truth: [&[f64]; 2] = if in_runs {
            [&truth.dscale, &truth.dshift]
        } else {
            [&dscale, &dshift]
        };
        bench.check(
            "their gradients",
            &[dx, rows_truth[0], rows_truth[1]],
            || {
                let [scale, shift] = rows.clone();
                let (x, up, before) = (x.clone(), up.clone(), before.clone());
                let (dx, ds, dh) = CubeBackend::norm_row_gradients(
                    x, scale, shift, up, before, groups, 0.2, is_added, in_runs,
                );
                vec![dx, ds, dh]
            },
        );
    }
}

#[test]
fn posteriors_agree_with_float64_within_their_buffers_and_repeat() {
    let Some(device) = adapter() else { return };
    let bench = Bench::new(&device);
    let [least, most] = LOG_VAR_RANGE.map(f64::from);
    // One workgroup's values, and several workgroups'.
    for shape in [[2, 3, 4, 5], [3, 4, 24, 20]] {
        let [b, z, h, w] = shape;
        let (planes, count) = (z * h * w, b * z * h * w);
        let mut both = numbers(130, 2 * count);
        for picture in both.chunks_exact_mut(2 * planes) {
            for log_var in &mut picture[planes..] {
                *log_var = 5.0 * *log_var - LOG_VAR_START;
            }
        }
        let (noise, up) = (numbers(131, count), numbers(132, count));
        let (before, dy, share) = (numbers(133, 2 * count), -0.7_f32, 0.01_f32);
        let (mut y, mut divergence) = (vec![], 0.0);
        let mut dlatent = vec![0.0; 2 * count];
        let mut ddivergence = vec![0.0; 2 * count];
        for i in 0..count {
            let at = i + i / planes * planes;
            let (mean, raw) = (f64::from(both[at]), both[at + planes] + LOG_VAR_START);
            let log_var = f64::from(raw).clamp(least, most);
            let is_free = f64::from(raw) == log_var;
            let (deviation, noise) = ((log_var / 2.0).exp(), f64::from(noise[i]));
            y.push(mean + deviation * noise);
            let share = f64::from(share);
            divergence += share * 0.5 * (mean * mean + log_var.exp() - 1.0 - log_var);
            dlatent[at] = f64::from(up[i]);
            ddivergence[at] = f64::from(dy) * share * mean;
            if is_free {
                dlatent[at + planes] = 0.5 * f64::from(up[i]) * noise * deviation;
                ddivergence[at + planes] = 0.5 * f64::from(dy) * share * (log_var.exp() - 1.0);
            }
        }
        let sums = [&dlatent, &ddivergence].map(|truth| added(truth, &before));
        let [both, before] = [both, before].map(|v| bench.tensor(&v, &[b, 2 * z, h, w]));
        let [noise, up] = [noise, up].map(|v| bench.tensor(&v, &shape));
        let dy = bench.tensor(&[dy], &[1]);
        let unmet = Meeting::default;
        let what = format!("the posterior of {shape:?}");
        bench.check(&what, &[&y, &[divergence]], || {
            vec![
                CubeBackend::latent(both.clone(), noise.clone(), unmet()),
                CubeBackend::divergence(both.clone(), share, unmet()),
            ]
        });
        for (is_added, truths) in [(false, [&dlatent, &ddivergence]), (true, sums.each_ref())] {
            bench.check(&what, &[truths[0], truths[1]], || {
                let (noise, up, dy) = (noise.clone(), up.clone(), dy.clone());
                let both = || both.clone();
                let before = || before.clone();
                vec![
                    CubeBackend::latent_gradient(both(), noise, up, before(), is_added),
                    CubeBackend::divergence_gradient(both(), dy, before(), share, is_added),
                ]
            });
        }
    }
}

#[test]
fn mixtures_and_figures_agree_with_float64_within_their_buffers() {
    use burn::backend::ops::IntTensorOps;

    let Some(device) = adapter() else { return };
    let bench = Bench::new(&device);
    let [n, c, h, w] = [3, 2, 4, 5];
    let picture = c * h * w;
    let (real, fake) = (numbers(140, n * picture), numbers(141, n * picture));
    let mask = numbers(142, n * h * w);
    let rows = [[5_i32, 0, 2], [1_i32, 4, 3]];
    let mut truth = [wide(&real), wide(&fake)].concat();
    for m in 0..n {
        for at in 0..picture {
            let [inside, outside] = rows.map(|rows| truth[rows[m] as usize * picture + at]);
            let share = f64::from(mask[m * h * w + at % (h * w)]);
            truth.push(outside + (inside - outside) * share);
        }
    }
    let [real, fake] = [real, fake].map(|v| bench.tensor(&v, &[n, c, h, w]));
    let mask = bench.tensor(&mask, &[n, 1, h, w]);
    let [inside, outside] =
        rows.map(|rows| CubeBackend::int_from_data(TensorData::from(rows), &bench.device));
    bench.check("mixed pictures", &[&truth], || {
        let (real, fake, mask) = (real.clone(), fake.clone(), mask.clone());
        vec![CubeBackend::mixed(
            real,
            fake,
            inside.clone(),
            outside.clone(),
            mask,
        )]
    });

    let (labels, area) = (4, 7 * 50);
    let losses = numbers(143, 3 * n);
    let emissions = numbers(144, 3 * n * labels * area);
    let mut truth: Vec<f64> = wide(&losses)
        .chunks(n)
        .map(|each| each.iter().sum::<f64>() / n as f64)
        .collect();
    for kind in 0..2 {
        let mut sum = 0.0;
        for at in 0..n * area {
            let (picture, patch) = (kind * n + at / area, at % area);
            let weight =
                |l: usize| f64::from(emissions[(picture * labels + l) * area + patch]).exp();
            sum += 1.0 - weight(0) / (0..labels).map(weight).sum::<f64>();
        }
        truth.push(sum / (n * area) as f64);
    }
    let losses = bench.tensor(&losses, &[3 * n]);
    let emissions = bench.tensor(&emissions, &[3 * n, labels, 7, 50]);
    bench.check("figures", &[&truth], || {
        vec![CubeBackend::figures(losses.clone(), emissions.clone())]
    });
}

#[test]
fn totals_and_joined_vectors_agree_with_float64_within_their_buffers() {
    let Some(device) = adapter() else { return };
    let bench = Bench::new(&device);
    let sizes = [1, 24, 130];
    let weights = Weights([2.0, -0.5, 0.25, 9.0, 9.0, 9.0]);
    let terms: Vec<Vec<f32>> = (150..)
        .zip(sizes)
        .map(|(step, n)| numbers(step, n))
        .collect();
    let means = terms
        .iter()
        .map(|t| wide(t).iter().sum::<f64>() / t.len() as f64);
    let means: Vec<f64> = means.collect();
    let weighted = means
        .iter()
        .zip(weights.0)
        .map(|(mean, w)| mean * f64::from(w));
    let truth = [&[weighted.sum()][..], &means].concat();
    let here: Vec<CubeTensor> = terms.iter().map(|t| bench.tensor(t, &[t.len()])).collect();
    let last = || here[2].clone();
    bench.check("a total", &[&truth], || {
        let (a, b) = (here[0].clone(), here[1].clone());
        vec![CubeBackend::total(
            a,
            b,
            last(),
            last(),
            last(),
            last(),
            3,
            weights,
        )]
    });
    // What comes to the means themselves does not count.
    let dy = bench.tensor(&[-0.7, 5.0, 5.0, 5.0], &[4]);
    let mut gradients = vec![];
    for (size, weight) in sizes.into_iter().zip(weights.0) {
        gradients.extend(vec![f64::from(-0.7_f32 * weight) / size as f64; size]);
        gradients.resize(gradients.len().next_multiple_of(64), 0.0);
    }
    bench.check("its gradients", &[&gradients], || {
        vec![CubeBackend::total_gradient(
            dy.clone(),
            sizes.to_vec(),
            weights,
        )]
    });
    let joined: Vec<f64> = terms.iter().flat_map(|t| wide(t)).collect();
    bench.check("joined", &[&joined], || {
        let (a, b) = (here[0].clone(), here[1].clone());
        let sizes = sizes.to_vec();
        vec![CubeBackend::join(
            a,
            b,
            last(),
            last(),
            last(),
            last(),
            last(),
            sizes,
        )]
    });
}

/// The gradients by a code and what its readers learn, of those by scales and shifts, each with its matrix.
fn affine_gradients(
    [code, before]: [CubeTensor; 2],
    norms: &[[CubeTensor; 2]],
    last: LastCall,
) -> CubeTensor {
    let waiting = Waiting::default();
    let mut result = code;
    for (at, some) in norms.chunks(6).enumerate() {
        let is_last = (at + 1) * 6 >= norms.len();
        let norm = |k: usize, which: usize| some[k.min(some.len() - 1)][which].clone();
        let call = AffineCall {
            count: some.len(),
            waiting: waiting.clone(),
            last: is_last.then_some(last),
        };
        result = CubeBackend::affine_gradients(
            result,
            before.clone(),
            norm(0, 0),
            norm(1, 0),
            norm(2, 0),
            norm(3, 0),
            norm(4, 0),
            norm(5, 0),
            norm(0, 1),
            norm(1, 1),
            norm(2, 1),
            norm(3, 1),
            norm(4, 1),
            norm(5, 1),
            call,
        );
    }
    result
}

#[test]
fn gradients_by_a_style_code_agree_with_float64_within_their_buffers_and_repeat() {
    let Some(device) = adapter() else { return };
    let bench = Bench::new(&device);
    let b = 3;
    let widths = [12, 70, 4, 8, 6, 10, 2, 20];
    let code = numbers(210, b * CODE);
    let by_entry = transposed(&wide(&code), [b, CODE]);
    let mut dcode = vec![0.0; b * CODE];
    let mut learned = vec![];
    let arrays: Vec<[Vec<f32>; 2]> = (0..)
        .zip(widths)
        .map(|(k, width)| [numbers(220 + k, b * width), numbers(240 + k, CODE * width)])
        .collect();
    for ([daffine, weight], width) in arrays.iter().zip(widths) {
        let by_column = transposed(&wide(weight), [CODE, width]);
        let daffine = wide(daffine);
        let own = product(&daffine, &by_column, [b, width, CODE]);
        for (sum, own) in dcode.iter_mut().zip(own) {
            *sum += own;
        }
        let dweight = product(&by_entry, &daffine, [CODE, b, width]);
        for gradient in [dweight, summed(&daffine, width)] {
            learned.extend(gradient);
            learned.resize(padded(learned.len()), 0.0);
        }
    }
    let before = numbers(211, b * CODE);
    let code_here = bench.tensor(&code, &[b, CODE]);
    let before_here = bench.tensor(&before, &[b, CODE]);
    // In allocations of their own, which take several launches, and all in one.
    let apart: Vec<[CubeTensor; 2]> = arrays
        .iter()
        .zip(widths)
        .map(|([daffine, weight], width)| {
            [
                bench.tensor(daffine, &[b, width]),
                bench.tensor(weight, &[CODE, width]),
            ]
        })
        .collect();
    let mut flat = vec![];
    let places: Vec<[usize; 2]> = arrays
        .iter()
        .map(|pair| {
            pair.each_ref().map(|array| {
                let start = flat.len();
                flat.extend_from_slice(array);
                flat.resize(padded(flat.len()), 0.0);
                start
            })
        })
        .collect();
    let flat = bench.tensor(&flat, &[flat.len()]);
    let together: Vec<[CubeTensor; 2]> = places
        .iter()
        .zip(widths)
        .map(|([daffine, weight], width)| {
            [
                CubeBackend::view(flat.clone(), *daffine, [b, width].into()),
                CubeBackend::view(flat.clone(), *weight, [CODE, width].into()),
            ]
        })
        .collect();
    for (norms, is_added) in [(&apart, false), (&apart, true), (&together, true)] {
        let mut truth = if is_added {
            added(&dcode, &before)
        } else {
            dcode.clone()
        };
        truth.resize(padded(truth.len()), 0.0);
        truth.extend(&learned);
        let length = truth.len();
        let what = format!("{} readers of a code, added {is_added}", norms.len());
        bench.check(&what, &[&truth], || {
            let (code, before) = (code_here.clone(), before_here.clone());
            let last = LastCall { is_added, length };
            vec![affine_gradients([code, before], norms, last)]
        });
    }
}

/// An update of weights, gradients and moments by the formula: weights, both moments, the norm.
fn updated(values: [&[f32]; 4], rates: Option<&[f32]>, clipped: Clipped) -> [Vec<f64>; 4] {
    let [w, g, m, v] = values.map(wide);
    let AdamScalars {
        beta_1,
        beta_2,
        rate,
        epsilon,
    } = clipped.scalars;
    let [b1, b2, rate, epsilon] = [beta_1, beta_2, rate, epsilon].map(f64::from);
    let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
    let norm_max = f64::from(clipped.norm_max);
    let factor = if norm_max > 0.0 {
        (norm_max / norm).min(1.0)
    } else {
        1.0
    };
    let mut truth = [vec![], vec![], vec![], vec![norm]];
    for i in 0..w.len() {
        let g = factor * g[i];
        let first = b1 * m[i] + (1.0 - b1) * g;
        let second = b2 * v[i] + (1.0 - b2) * g * g;
        let own = rates.map_or(1.0, |rates| f64::from(rates[i]));
        truth[0].push(w[i] - own * rate * first / (second.sqrt() + epsilon));
        truth[1].push(first);
        truth[2].push(second);
    }
    truth
}

#[test]
fn updates_of_all_weights_agree_with_float64_within_their_buffers_and_repeat() {
    let Some(device) = adapter() else { return };
    let bench = Bench::new(&device);
    // One workgroup's sums of squares, and several workgroups'; clipped, within the norm, and left.
    for (size, norm_max) in [(70, 1.0), (10_000, 3.0), (10_000, 1e3), (5_000, 0.0)] {
        let scalars = AdamScalars {
            beta_1: 0.5,
            beta_2: 0.99,
            rate: 1e-2,
            epsilon: 1e-8,
        };
        let [w, g, m] = [190, 191, 192].map(|step| numbers(step, size));
        let [v, rates] = [193, 194].map(|step| -> Vec<f32> {
            let values = numbers(step, size);
            values.iter().map(|v| v.abs() + 0.1).collect()
        });
        for is_rated in [false, true] {
            let clipped = Clipped {
                scalars,
                norm_max,
                is_rated,
            };
            let of = is_rated.then_some(&rates[..]);
            let truth = updated([&w, &g, &m, &v], of, clipped);
            let what = format!("{size} weights, {clipped:?}");
            bench.check(&what, &truth.each_ref().map(Vec::as_slice), || {
                // Moments change in place: they are others each time.
                let [w, g, m, v, rates] =
                    [&w, &g, &m, &v, &rates].map(|values| bench.tensor(values, &[size]));
                let squares = CubeBackend::squares(g.clone());
                let (w, m, v, norm) =
                    CubeBackend::adam_clipped(w, g, m, v, squares, rates, clipped);
                vec![w, m, v, norm]
            });
        }
        let blended: Vec<f64> = wide(&w)
            .into_iter()
            .zip(wide(&m))
            .map(|(old, new)| old + 0.25 * (new - old))
            .collect();
        bench.check("their average", &[&blended], || {
            let [w, m] = [&w, &m].map(|values| bench.tensor(values, &[size]));
            vec![CubeBackend::blend(w, m, Share(0.25))]
        });
    }
}

/// A convolution of the recipes at batch 8.
fn recipe(at: usize) -> ConvShape {
    let (channels_in, channels_out, side, kernel) = CONVOLUTIONS[at];
    ConvShape {
        batch: 8,
        channels_in,
        channels_out,
        height: side,
        width: side,
        kernel,
    }
}

#[test]
fn every_shape_of_the_recipes_fills_a_device() {
    for s in (0..CONVOLUTIONS.len()).map(recipe) {
        for outputs in [s.channels_out, s.channels_in] {
            let tile = Tile::for_shape(s, outputs);
            let groups: usize = tile.workgroups(s, outputs).iter().product();
            assert!(
                groups >= WORKGROUPS_LEAST,
                "{s:?} to {outputs}: {groups} of {tile:?}"
            );
            // But for the last layers, of three channels or seven, which little can be read for.
            if outputs > 8 {
                let rate = tile.multiply_adds_per_byte(s.kernel);
                assert!(rate >= 1.0, "{s:?}: {rate} multiply-adds a byte");
            }
        }
        let plan = Plan::new(s);
        let groups: usize = plan.workgroups().iter().product();
        assert!(groups >= WORKGROUPS_LEAST, "{s:?}: {groups} of {plan:?}");
        assert!(plan.pieces() >= plan.runs(), "{s:?}: idle runs of {plan:?}");
    }
}

/// What a shader's row says that it needs. Its launch file has its stem, and is the module of its type.
fn row<S: Shader>() -> Limits {
    let stem = std::any::type_name::<S>().rsplit("::").nth(1);
    let row = NEEDS.iter().find(|row| Some(row.kernel) == stem);
    row.unwrap_or_else(|| panic!("no row of {stem:?}")).needs
}

/// Panics where a launch takes more than the shader's row says.
pub(super) fn hold_to_row<S: Shader>(bindings: usize, workgroup: u32) {
    let needs = row::<S>();
    assert!(
        word(bindings) <= needs.buffers && workgroup <= needs.invocations,
        "{bindings} buffers and {workgroup} invocations of {needs:?}"
    );
}

/// A kernel's text, with its bindings numbered as a launch would, and what its row says that it needs.
fn text<S: Shader>(
    constants: Constants,
    workgroup: u32,
    bindings: &[&'static str],
) -> (String, Limits) {
    hold_to_row::<S>(bindings.len(), workgroup);
    let constants = bindings
        .iter()
        .enumerate()
        .fold(constants, |constants, (at, name)| constants.with(name, at));
    let kernel = Kernel::<S>::new(&constants, bindings.len(), workgroup);
    (kernel.text(), row::<S>())
}

/// Parses, validates and translates one kernel to every language that a wgpu platform takes; it takes no more
/// than its row says.
fn translate((text, needs): &(String, Limits)) {
    let module = naga::front::wgsl::parse_str(text)
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string(text)));
    let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string(text)));
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).unwrap();
    let of_space = |is_meant: fn(naga::AddressSpace) -> bool| {
        let all = module.global_variables.iter();
        all.filter(move |(_, variable)| is_meant(variable.space))
    };
    let shared: u32 = of_space(|space| space == naga::AddressSpace::WorkGroup)
        .map(|(_, variable)| layouter[variable.ty].size)
        .sum();
    assert!(
        shared <= needs.shared_bytes,
        "{shared} bytes of workgroup memory of {needs:?}"
    );
    let buffers = of_space(|space| matches!(space, naga::AddressSpace::Storage { .. })).count();
    assert!(
        word(buffers) <= needs.buffers,
        "{buffers} storage buffers of {needs:?}"
    );
    let [x, y, z] = module.entry_points[0].workgroup_size;
    assert!(
        x <= needs.invocations && [y, z] == [1, 1],
        "{x} by {y} by {z} invocations of {needs:?}"
    );
    let options = naga::back::spv::Options::default();
    assert!(
        !naga::back::spv::write_vec(&module, &info, &options, None)
            .unwrap()
            .is_empty()
    );
    let options = naga::back::msl::Options {
        fake_missing_bindings: true,
        ..Default::default()
    };
    let pipeline = naga::back::msl::PipelineOptions::default();
    let (msl, _) = naga::back::msl::write_string(&module, &info, &options, &pipeline).unwrap();
    assert!(msl.contains("kernel void"));
    let mut hlsl = String::new();
    let options = naga::back::hlsl::Options {
        fake_missing_bindings: true,
        ..Default::default()
    };
    let pipeline = naga::back::hlsl::PipelineOptions::default();
    naga::back::hlsl::Writer::new(&mut hlsl, &options, &pipeline)
        .write(&module, &info, None)
        .unwrap();
    assert!(hlsl.contains("numthreads"));
}

#[test]
fn every_convolution_translates_to_spirv_msl_and_hlsl_in_16_kib() {
    let conv = |constants, tile: &Tile, bindings: &[&'static str]| {
        translate(&text::<NetConv>(
            constants,
            tile.invocations() as u32,
            bindings,
        ));
    };
    for s in (0..CONVOLUTIONS.len()).map(recipe) {
        let tile = Tile::for_shape(s, s.channels_out);
        for slope in [1.0, 0.2] {
            let constants = net_conv::forward_constants(&tile, s, slope, false, Reading::Plain);
            conv(constants, &tile, &["X", "WEIGHT", "BIAS", "Y"]);
        }
        let constants = net_conv::forward_constants(&tile, s, 1.0, true, Reading::Plain);
        conv(constants, &tile, &["X", "WEIGHT", "BIAS", "BASE", "Y"]);
        let back = Tile::for_shape(s, s.channels_in);
        let turned = |reading| net_conv::gradient_constants(&back, s, reading);
        conv(turned(Reading::Plain), &back, &["X", "WEIGHT", "Y"]);
        let bindings = ["X", "WEIGHT", "READ", "Y"];
        conv(turned(Reading::Leaky(0.2)), &back, &bindings);
        conv(turned(Reading::Unshuffled), &back, &["X", "WEIGHT", "Y"]);
        for reading in READINGS {
            let constants = net_conv::forward_constants(&tile, s, 1.0, false, reading);
            conv(constants, &tile, &["X", "WEIGHT", "BIAS", "Y"]);
        }
        for (batch, reading) in [8, 1]
            .map(|batch| (batch, Reading::Plain))
            .into_iter()
            .chain(READINGS.map(|reading| (8, reading)))
        {
            let s = ConvShape { batch, ..s };
            let constants = Plan::new(s).constants(s, reading);
            translate(&text::<net_conv_weight::NetConvWeight>(
                constants,
                64,
                &["X", "DY", "DW", "DB"],
            ));
        }
    }
    let constants = net_conv_sum::constants(11, 1296, 12);
    translate(&text::<net_conv_sum::NetConvSum>(
        constants,
        64,
        &["RUNS_W", "RUNS_B", "DW", "DB"],
    ));
}

#[test]
fn every_normalisation_translates_to_spirv_msl_and_hlsl_in_16_kib() {
    let back = |is_added, is_apart| net_norm::Way::Backward { is_added, is_apart };
    for (channels, groups) in [(48, 6), (12, 1), (600, 1)] {
        for source in [Source::OneRow, Source::Rows, Source::Code(32)] {
            let sizes = Sizes {
                channels,
                area: 256,
                groups,
            };
            let from: &[&'static str] = match source {
                Source::Code(_) => &["CODE_AT", "WEIGHT", "BIAS"],
                _ => &["SCALE", "SHIFT"],
            };
            for (way, rest) in [
                (net_norm::Way::Forward, &["Y"][..]),
                (back(false, false), &["DY", "DX", "DAFFINE"][..]),
                (back(true, false), &["DY", "BEFORE", "DX", "DAFFINE"][..]),
                (back(false, true), &["DY", "DX", "DSCALE", "DSHIFT"][..]),
            ] {
                let constants = net_norm::constants(sizes, source, 0.2, way);
                let bindings = [&["X"][..], from, rest].concat();
                translate(&text::<net_norm::NetNorm>(constants, 256, &bindings));
            }
        }
    }
    let coded = [
        "DAFFINE", "CODE_AT", "WEIGHT", "DWEIGHT", "DBIAS", "DCODE", "BEFORE",
    ];
    for (code, is_added, bindings) in [
        (None, false, &["DAFFINE", "DSCALE", "DSHIFT"][..]),
        (Some(32), false, &coded[..6]),
        (Some(32), true, &coded),
    ] {
        let constants = net_affine::constants(8, 96, code, is_added);
        translate(&text::<net_affine::NetAffine>(constants, 64, bindings));
    }
}

#[test]
fn every_other_kernel_translates_to_spirv_msl_and_hlsl_in_16_kib() {
    for (is_backward, bindings) in [(false, &["X", "Y"][..]), (true, &["X", "Y", "DX"][..])] {
        let constants = net_leaky::constants(1000, 0.2, is_backward);
        translate(&text::<net_leaky::NetLeaky>(constants, 256, bindings));
    }
    for (way, bindings) in [
        (net_resize::Way::Pool { slope: 1.0 }, &["X", "Y"][..]),
        (net_resize::Way::Pool { slope: 0.2 }, &["X", "Y"][..]),
        (
            net_resize::Way::Unpool { slope: 0.2 },
            &["X", "READ", "Y"][..],
        ),
        (net_resize::Way::Spread { is_added: false }, &["X", "Y"][..]),
        (
            net_resize::Way::Spread { is_added: true },
            &["X", "BASE", "Y"][..],
        ),
    ] {
        let constants = net_resize::constants(1000, 10, 0.25, way);
        translate(&text::<net_resize::NetResize>(constants, 256, bindings));
    }
    let part = Part {
        axis: 1,
        start: 3,
        count: 3,
    };
    for (way, bindings) in [
        (net_part::Way::Forward, &["X", "Y"][..]),
        (
            net_part::Way::Backward { is_added: false },
            &["DY", "DX"][..],
        ),
        (
            net_part::Way::Backward { is_added: true },
            &["DY", "BEFORE", "DX"][..],
        ),
    ] {
        let constants = net_part::constants([2, 6, 8, 8], part, way);
        translate(&text::<net_part::NetPart>(constants, 256, bindings));
    }
    for (is_backward, bindings) in [(false, &["X", "Y"][..]), (true, &["DY", "DX"][..])] {
        let constants = net_part::twice_constants(960, is_backward);
        translate(&text::<net_part::NetPart>(constants, 256, bindings));
    }
    for (size, part, bindings) in [
        (100, net_error::Part::Sums, &["A", "B", "E"][..]),
        (10_000, net_error::Part::Sums, &["A", "B", "SUMS"][..]),
        (10_000, net_error::Part::Finish, &["SUMS", "E"][..]),
        (
            10_000,
            net_error::Part::Backward,
            &["A", "B", "DY", "DA"][..],
        ),
    ] {
        let constants = net_error::constants(size, part);
        translate(&text::<net_error::NetError>(constants, 256, bindings));
    }
    for edge_fake in [0.0, 5.0] {
        let filter = Filter {
            reach: 0.3125,
            edge: 5.0,
            edge_fake,
        };
        let constants = net_edges::constants([8, 3, 32, 48], filter);
        let bindings = ["GUIDE", "FAKE", "WEIGHTS"];
        translate(&text::<net_edges::NetEdges>(constants, 64, &bindings));
    }
    for is_transposed in [false, true] {
        let constants = net_filter::constants([8, 3, 32, 48], is_transposed);
        let workgroup = net_filter::workgroup(48) as u32;
        let bindings = ["CHANGE", "WEIGHTS", "SUMS", "Y"];
        translate(&text::<net_filter::NetFilter>(
            constants, workgroup, &bindings,
        ));
    }
    let summand = |from: usize, buffer: usize| net_gather::Summand {
        from,
        size: 5,
        runs: 3,
        buffer,
        begin: 256,
    };
    for (count, each) in [(1, 1), (7, 2)] {
        let summands: Vec<_> = (0..20)
            .map(|k| summand(64 * (k / each), k % count))
            .collect();
        let constants = net_gather::constants([64, 1280], &summands, [count, each]);
        let mut bindings = vec![
            "PART_0", "PART_1", "PART_2", "PART_3", "PART_4", "PART_5", "PART_6",
        ];
        bindings.truncate(count);
        bindings.push("FLAT");
        translate(&text::<net_gather::NetGather>(constants, 256, &bindings));
    }
}

#[test]
fn every_kernel_of_an_update_translates_to_spirv_msl_and_hlsl_in_16_kib() {
    let update = |norm_max, is_rated| {
        net_adam::Part::Update(Clipped {
            scalars: AdamScalars {
                beta_1: 0.5,
                beta_2: 0.99,
                rate: 1e-3,
                epsilon: 1e-8,
            },
            norm_max,
            is_rated,
        })
    };
    let all = [
        "GRADIENT", "SUMS", "WEIGHTS", "FIRST", "SECOND", "UPDATED", "NORM", "RATES",
    ];
    for (part, bindings) in [
        (net_adam::Part::Squares, &all[..2]),
        (update(10.0, false), &all[..7]),
        (update(10.0, true), &all),
        (update(0.0, false), &all[..7]),
        (
            net_adam::Part::Blend { share: 0.1 },
            &["AVERAGE", "CURRENT", "BLENDED"],
        ),
    ] {
        let constants = net_adam::constants(10_000, part);
        translate(&text::<net_adam::NetAdam>(constants, 256, bindings));
    }
}

#[test]
fn every_kernel_of_style_codes_translates_to_spirv_msl_and_hlsl_in_16_kib() {
    let all = [
        "PART_0", "PART_1", "PART_2", "PART_3", "PART_4", "CODE_AT", "RESULT", "BEFORE",
    ];
    for (count, flags, bindings) in [
        (5, [true, false], &all[..]),
        (5, [false, true], &all[..7]),
        (1, [false, false], &["PART_0", "CODE_AT", "RESULT"]),
    ] {
        let norm = |k: usize| net_styles::Norm {
            from: 256 + 3264 * k,
            width: 96,
            buffers: [k % count, 0],
            begin: [1024, 256],
        };
        let norms: Vec<_> = (0..10).map(norm).collect();
        let constants = net_styles::constants([8, 32], [256, 32_896], &norms, count, flags);
        translate(&text::<net_styles::NetStyles>(constants, 64, bindings));
    }
}

#[test]
fn every_kernel_of_posteriors_and_figures_translates_in_16_kib() {
    let constants = net_mixed::constants([8, 3, 32, 32]);
    let bindings = ["REAL", "FAKE", "INSIDE", "OUTSIDE", "MASK", "Y"];
    translate(&text::<net_mixed::NetMixed>(constants, 256, &bindings));
    let weights = Weights([1.0, 0.5, 2.0, 0.0, 0.0, 0.0]);
    for (is_backward, bindings) in [
        (false, &["TERM_0", "TERM_1", "TERM_2", "Y"][..]),
        (true, &["DY", "DTERMS"][..]),
    ] {
        let constants = net_total::constants(&[1, 24, 80], &weights, is_backward);
        translate(&text::<net_total::NetTotal>(constants, 64, bindings));
    }
    let constants = net_figures::constants([24, 3, 8, 8]);
    let bindings = ["LOSSES", "EMISSIONS", "Y"];
    translate(&text::<net_figures::NetFigures>(constants, 256, &bindings));
    for (way, bindings) in [
        (net_latent::Way::Forward, &["BOTH", "NOISE", "Y"][..]),
        (
            net_latent::Way::Backward { is_added: false },
            &["BOTH", "NOISE", "DY", "DBOTH"][..],
        ),
        (
            net_latent::Way::Backward { is_added: true },
            &["BOTH", "NOISE", "DY", "BEFORE", "DBOTH"][..],
        ),
    ] {
        let constants = net_latent::constants([8, 16, 16, 16], way);
        translate(&text::<net_latent::NetLatent>(constants, 256, bindings));
    }
    for (planes, part, bindings) in [
        (2, net_divergence::Part::Sums, &["BOTH", "E"][..]),
        (200, net_divergence::Part::Sums, &["BOTH", "SUMS"][..]),
        (200, net_divergence::Part::Finish, &["SUMS", "E"][..]),
        (
            200,
            net_divergence::Part::Backward { is_added: false },
            &["BOTH", "DY", "DBOTH"][..],
        ),
        (
            200,
            net_divergence::Part::Backward { is_added: true },
            &["BOTH", "DY", "BEFORE", "DBOTH"][..],
        ),
    ] {
        let constants = net_divergence::constants([8, planes, 8, 8], 0.001, part);
        translate(&text::<net_divergence::NetDivergence>(
            constants, 256, bindings,
        ));
    }
}

/// Files of a folder whose names begin with `net_` and end so, without the ending.
fn stems(folder: &Path, ending: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(folder).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with("net_"))
        .filter_map(|name| name.strip_suffix(ending).map(str::to_owned))
        .collect()
}

#[test]
fn shader_launch_file_and_row_share_a_stem() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shaders = root.join("../../shaders");
    let launched = stems(&root.join("src/ops/wgsl"), ".rs");
    assert_eq!(stems(&shaders, ".wgsl"), launched);
    let readme = std::fs::read_to_string(shaders.join("README.md")).unwrap();
    let benches = std::fs::read_to_string(root.join("src/check/kernels/cases.rs")).unwrap();
    let rows = readme.lines().filter_map(|line| {
        let (stem, rest) = line.strip_prefix("| `")?.split_once(".wgsl`")?;
        if !stem.starts_with("net_") {
            return None;
        }
        let timed_by = rest.trim_end_matches("` |").rsplit_once("| `").unwrap().1;
        let label = format!("\"{timed_by}\"");
        assert!(benches.contains(&label), "{stem} is timed by {timed_by}");
        Some(stem.to_owned())
    });
    assert_eq!(rows.collect::<BTreeSet<_>>(), launched);
    let needs = NEEDS.iter().map(|row| row.kernel.to_owned());
    assert_eq!(needs.collect::<BTreeSet<_>>(), launched);
}
