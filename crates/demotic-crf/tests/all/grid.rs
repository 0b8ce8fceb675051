//! The grid layer against the float64 oracle: values, both gradients, marginals, unknown labels.

use burn::tensor::{Device, Int, Tensor, TensorData};
use demotic_crf::cases::Numbers;
use demotic_crf::{
    Directions, GridCrf, GridCrfConfig, Implementation, Transitions, WgslKernel, diagnostics,
};

use crate::oracle::Chain;
use crate::wgsl_adapter;

pub(crate) fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

/// A layer whose raw transitions are these.
fn layer(config: &GridCrfConfig, row: &[f32], column: &[f32], device: &Device) -> GridCrf {
    let mut crf = config.init(device);
    let l = config.labels;
    let set = |raw: &[f32]| Tensor::<2>::from_data(TensorData::new(raw.to_vec(), [l, l]), device);
    crf.row = crf.row.map(|p| p.map(|_| set(row).require_grad()));
    crf.column = crf.column.map(|p| p.map(|_| set(column).require_grad()));
    crf
}

struct Grid {
    b: usize,
    l: usize,
    h: usize,
    w: usize,
    e: Vec<f32>,
    y: Vec<i32>,
    row: Vec<f32>,
    column: Vec<f32>,
}

impl Grid {
    fn new(seed: u64, [b, l, h, w]: [usize; 4]) -> Self {
        Self {
            b,
            l,
            h,
            w,
            e: Numbers::new(seed, 0).normals(b * l * h * w, 2.0),
            y: Numbers::new(seed, 1).labels(b * h * w, l),
            row: Numbers::new(seed, 2).normals(l * l, 1.0),
            column: Numbers::new(seed, 3).normals(l * l, 1.0),
        }
    }

    fn at(&self, b: usize, k: usize, y: usize, x: usize) -> usize {
        ((b * self.l + k) * self.h + y) * self.w + x
    }

    /// Patch positions `(y, x)` of each chain of a picture.
    fn chains(&self, rows: bool) -> Vec<Vec<(usize, usize)>> {
        if rows {
            (0..self.h)
                .map(|y| (0..self.w).map(|x| (y, x)).collect())
                .collect()
        } else {
            (0..self.w)
                .map(|x| (0..self.h).map(|y| (y, x)).collect())
                .collect()
        }
    }

    /// Loss per picture, its gradient by emissions (each picture weighted), by the two effective transitions,
    /// marginals.
    fn oracle(
        &self,
        directions: Directions,
        a_max: Option<f32>,
        weight: &[f64],
        unknown: i32,
    ) -> Expected {
        let share = if directions == Directions::Both {
            0.5
        } else {
            1.0
        };
        let scale = share / (self.h * self.w) as f64;
        let mut out = Expected {
            loss: vec![0.0; self.b],
            e: vec![0.0; self.e.len()],
            a: [vec![0.0; self.l * self.l], vec![0.0; self.l * self.l]],
            marginals: vec![0.0; self.e.len()],
        };
        for b in 0..self.b {
            for rows in [true, false] {
                if (rows && directions == Directions::Columns)
                    || (!rows && directions == Directions::Rows)
                {
                    continue;
                }
                let raw = if rows { &self.row } else { &self.column };
                let a: Vec<f32> = raw
                    .iter()
                    .map(|&r| a_max.map_or(r, |m| m * (r / m).tanh()))
                    .collect();
                for chain in self.chains(rows) {
                    let e: Vec<f32> = chain
                        .iter()
                        .flat_map(|&(y, x)| (0..self.l).map(move |k| (k, y, x)))
                        .map(|(k, y, x)| self.e[self.at(b, k, y, x)])
                        .collect();
                    let gold: Vec<i32> = chain
                        .iter()
                        .map(|&(y, x)| self.y[(b * self.h + y) * self.w + x])
                        .collect();
                    let oracle = Chain::new(self.l, &e, &a);
                    out.loss[b] += scale * oracle.nll(&gold, unknown);
                    let (ge, ga) = oracle.gradient(&gold, unknown);
                    let unary = oracle.posterior().unary;
                    for (t, &(y, x)) in chain.iter().enumerate() {
                        for k in 0..self.l {
                            let at = self.at(b, k, y, x);
                            out.e[at] += weight[b] * scale * ge[t * self.l + k];
                            out.marginals[at] += share * unary[t * self.l + k];
                        }
                    }
                    for (k, g) in ga.iter().enumerate() {
                        let chain_rule =
                            a_max.map_or(1.0, |m| 1.0 - f64::from(raw[k] / m).tanh().powi(2));
                        out.a[usize::from(!rows)][k] += weight[b] * scale * g * chain_rule;
                    }
                }
            }
        }
        out
    }
}

struct Expected {
    loss: Vec<f64>,
    e: Vec<f64>,
    a: [Vec<f64>; 2],
    marginals: Vec<f64>,
}

pub(crate) fn close(what: &str, got: &[f32], expected: &[f64], absolute: f64, relative: f64) {
    assert_eq!(got.len(), expected.len(), "{what}: length");
    for (k, (&g, &e)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(g) - e).abs();
        assert!(
            error <= absolute + relative * e.abs(),
            "{what}[{k}]: got {g}, expected {e}, error {error:.2e}"
        );
    }
}

/// Loss, both gradients and marginals of one configuration against the oracle, pictures weighted unequally.
fn check(seed: u64, dims: [usize; 4], config: &GridCrfConfig, device: &Device) {
    let grid = Grid::new(seed, dims);
    let [b, l, h, w] = dims;
    let device = device.clone().autodiff();
    let mut grid = grid;
    if let Some(unknown) = config.ignore_index {
        for (k, y) in grid.y.iter_mut().enumerate() {
            if Numbers::new(seed, 9).uniform(k as u64) < 0.4 {
                *y = unknown;
            }
        }
    }
    if config.shared {
        grid.column.clone_from(&grid.row);
    }
    let weight: Vec<f64> = (0..b).map(|k| 0.25 + k as f64).collect();
    let expected = grid.oracle(
        config.directions,
        config.a_max,
        &weight,
        config.ignore_index.unwrap_or(-1),
    );
    let crf = layer(config, &grid.row, &grid.column, &device);
    let e = Tensor::<4>::from_data(TensorData::new(grid.e.clone(), dims), &device).require_grad();
    let y = Tensor::<3, Int>::from_data(TensorData::new(grid.y.clone(), [b, h, w]), &device);
    let loss = crf.negative_log_likelihood(e.clone(), y);
    close("loss", &floats(loss.clone()), &expected.loss, 1e-6, 2e-6);
    let weight: Vec<f32> = weight.iter().map(|&w| w as f32).collect();
    let weight = Tensor::<1>::from_data(TensorData::new(weight, [b]), &device);
    let grads = (loss * weight).sum().backward();
    close(
        "emission gradient",
        &floats(e.grad(&grads).unwrap()),
        &expected.e,
        2e-6,
        0.0,
    );
    let a_scale = expected
        .a
        .iter()
        .flatten()
        .fold(0.0f64, |top, a| top.max(a.abs()));
    // Chains of one position use no transition: their gradient is absent or zero.
    let gradient = |p: &Option<burn::module::Param<Tensor<2>>>| {
        p.as_ref().map(|p| {
            p.val()
                .grad(&grads)
                .map_or_else(|| vec![0.0; l * l], floats)
        })
    };
    match (gradient(&crf.row), gradient(&crf.column)) {
        (Some(row), None) if config.shared => {
            let sum: Vec<f64> = expected.a[0]
                .iter()
                .zip(&expected.a[1])
                .map(|(a, b)| a + b)
                .collect();
            close("shared gradient", &row, &sum, 2e-5 * a_scale, 2e-5);
        }
        (row, column) => {
            for (got, expected) in [(row, &expected.a[0]), (column, &expected.a[1])] {
                if let Some(got) = got {
                    close("transition gradient", &got, expected, 2e-5 * a_scale, 2e-5);
                }
            }
        }
    }
    check_marginals(&grid, &crf, e.detach(), &expected.marginals);
}

/// Marginals, and that each patch is decoded as a label that no other exceeds.
fn check_marginals(grid: &Grid, crf: &GridCrf, e: Tensor<4>, expected: &[f64]) {
    let [b, l, h, w] = e.dims();
    let marginals = crf.marginals(e.clone());
    assert_eq!(marginals.dims(), [b, l, h, w]);
    close("marginals", &floats(marginals), expected, 2e-6, 0.0);
    let decoded: Vec<i32> = crf.posterior_decode(e).try_into_vec_as().unwrap();
    for (k, &label) in decoded.iter().enumerate() {
        let (b, y, x) = (k / (h * w), k / w % h, k % w);
        let p = |k| expected[grid.at(b, k, y, x)];
        assert!(
            (0..l).all(|k| p(k) <= p(label as usize) + 1e-5),
            "patch {k} decoded as {label}"
        );
    }
}

fn every_configuration(device: &Device, implementation: Implementation) {
    // Every label count is a set of kernels to compile, and grids differ by none: kernels take two of them.
    let few = |l: usize| match implementation {
        Implementation::Wgsl => l.clamp(3, 4),
        _ => l,
    };
    let config = |l| {
        GridCrfConfig::new(few(l))
            .with_implementation(implementation)
            .with_kernel(WgslKernel::Chain)
    };
    let (rows, columns) = (Directions::Rows, Directions::Columns);
    for (seed, [b, l, h, w], config) in [
        (1, [2, 4, 5, 7], config(4)),
        (2, [3, 2, 1, 6], config(2)),
        (3, [1, 3, 9, 1], config(3)),
        (4, [2, 7, 8, 3], config(7).with_a_max(None)),
        (5, [2, 5, 6, 11], config(5).with_directions(rows)),
        (6, [2, 5, 11, 6], config(5).with_directions(columns)),
        (7, [3, 3, 4, 5], config(3).with_shared(true)),
        (8, [2, 4, 6, 5], config(4).with_ignore_index(Some(-1))),
        (
            9,
            [2, 3, 4, 4],
            config(3)
                .with_ignore_index(Some(-100))
                .with_a_max(Some(3.0)),
        ),
    ] {
        check(seed, [b, few(l), h, w], &config, device);
    }
}

#[test]
fn reference_matches_the_oracle_on_flex() {
    every_configuration(&Device::flex(), Implementation::Reference);
}

#[test]
fn fused_loop_matches_the_oracle_on_flex() {
    every_configuration(&Device::flex(), Implementation::Cpu);
}

#[test]
fn kernels_match_the_oracle() {
    if let Some(device) = wgsl_adapter() {
        every_configuration(&device, Implementation::Wgsl);
    }
}

#[test]
fn lanes_match_the_oracle() {
    if let Some(device) = wgsl_adapter() {
        let config = |l| {
            GridCrfConfig::new(l)
                .with_implementation(Implementation::Wgsl)
                .with_kernel(WgslKernel::Lanes)
        };
        check(1, [2, 4, 5, 7], &config(4), &device);
        check(3, [1, 3, 9, 1], &config(3), &device);
        check(
            8,
            [2, 4, 6, 5],
            &config(4).with_ignore_index(Some(-1)),
            &device,
        );
    }
}

#[test]
fn pictures_in_a_workgroup_match_the_oracle() {
    let Some(device) = wgsl_adapter() else { return };
    let config = |l| {
        GridCrfConfig::new(l)
            .with_implementation(Implementation::Wgsl)
            .with_kernel(WgslKernel::Image)
    };
    let cases = [
        ([2, 4, 5, 7], config(4)),
        ([3, 3, 9, 2], config(3).with_a_max(None)),
        ([2, 3, 16, 8], config(3).with_shared(true)),
        ([2, 4, 6, 5], config(4).with_ignore_index(Some(-1))),
    ];
    for (seed, (dims, config)) in cases.into_iter().enumerate() {
        let [b, _, h, w] = dims;
        let used = config.init(&device).kernel(&device, [b, h, w]).unwrap();
        assert_eq!(used, Some(WgslKernel::Image), "{dims:?}");
        check(seed as u64, dims, &config, &device);
    }
    // What does not fit a workgroup, or is not both directions, runs as if nothing had been asked for.
    for (config, dims) in [
        (config(8), [1, 32, 32]),
        (config(4).with_directions(Directions::Rows), [1, 6, 5]),
        (config(4), [1, 1, 5]),
    ] {
        let automatic = config.clone().with_kernel(WgslKernel::Auto).init(&device);
        assert_eq!(
            config.init(&device).kernel(&device, dims).unwrap(),
            automatic.kernel(&device, dims).unwrap()
        );
    }
    assert_eq!(
        GridCrfConfig::new(3)
            .init(&Device::flex())
            .kernel(&Device::flex(), [1, 4, 4])
            .unwrap(),
        None
    );
}

#[test]
fn zero_transitions_are_the_softmax_cross_entropy_of_each_patch() {
    let device = Device::flex();
    let grid = Grid::new(11, [2, 5, 4, 3]);
    let crf = GridCrfConfig::new(5)
        .with_transitions(Transitions::Zero)
        .init(&device);
    let e = Tensor::<4>::from_data(TensorData::new(grid.e.clone(), [2, 5, 4, 3]), &device);
    let y = Tensor::<3, Int>::from_data(TensorData::new(grid.y.clone(), [2, 4, 3]), &device);
    let loss = floats(crf.negative_log_likelihood(e, y));
    for (b, &loss) in loss.iter().enumerate() {
        let mut sum = 0.0;
        for patch in 0..12 {
            let e = |k: usize| f64::from(grid.e[(b * 5 + k) * 12 + patch]);
            sum +=
                (0..5).map(|k| e(k).exp()).sum::<f64>().ln() - e(grid.y[b * 12 + patch] as usize);
        }
        assert!((f64::from(loss) - sum / 12.0).abs() < 2e-6);
    }
}

#[test]
fn potts_transitions_couple_without_parameters() {
    let device = Device::flex();
    let crf = GridCrfConfig::new(3)
        .with_transitions(Transitions::Potts(2.0))
        .init(&device);
    assert!(crf.row.is_none() && crf.column.is_none());
    let (row, column) = crf.transitions();
    assert_eq!(
        floats(row.clone()),
        [2.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 2.0]
    );
    assert!((diagnostics::stay_log_odds(&floats(column), 3) - 2.0).abs() < 1e-6);
    // One sure patch decides its unsure neighbours.
    let mut e = vec![0.0; 3 * 3 * 3];
    e[2 * 9 + 4] = 6.0;
    let e = Tensor::<4>::from_data(TensorData::new(e, [1, 3, 3, 3]), &device);
    let decoded: Vec<i32> = crf.posterior_decode(e).try_into_vec_as().unwrap();
    for patch in [1, 3, 4, 5, 7] {
        assert_eq!(decoded[patch], 2);
    }
}

#[test]
fn a_configuration_survives_its_json() {
    use burn::config::Config;
    let config = GridCrfConfig::new(6)
        .with_transitions(Transitions::Potts(0.5))
        .with_ignore_index(Some(-1));
    let text = burn::config::config_to_json(&config);
    let back = GridCrfConfig::load_binary(text.as_bytes()).unwrap();
    assert_eq!(burn::config::config_to_json(&back), text);
}

#[test]
fn what_cannot_be_made_says_why() {
    let device = Device::flex();
    let error = GridCrfConfig::new(1)
        .try_init(&device)
        .unwrap_err()
        .to_string();
    assert!(error.contains("2..="), "{error}");
    let error = GridCrfConfig::new(4)
        .with_a_max(Some(0.0))
        .try_init(&device)
        .unwrap_err()
        .to_string();
    assert!(error.contains("a_max"), "{error}");
    let error = GridCrfConfig::new(4)
        .with_implementation(Implementation::Wgsl)
        .try_init(&device)
        .unwrap_err()
        .to_string();
    assert!(error.contains("flex"), "{error}");
}

#[test]
#[should_panic(expected = "expected [b, 4, h, w]")]
fn emissions_of_another_label_count_are_refused_by_name() {
    let device = Device::flex();
    GridCrfConfig::new(4)
        .init(&device)
        .marginals(Tensor::zeros([1, 3, 2, 2], &device));
}
