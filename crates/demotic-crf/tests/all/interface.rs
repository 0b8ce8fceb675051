//! The public interface word by word: shapes refused by name, label counts beyond the kernels, allowed
//! transitions, bounds, decoding, and invariants at full size.

use burn::module::Param;
use burn::tensor::{Device, Int, Tensor, TensorData};
use demotic_crf::cases::{Case, Numbers};
use demotic_crf::{
    CrfError, FORBIDDEN, Implementation, LABELS_MAX, LinearChainCrf, LinearChainCrfConfig,
    Reduction, WgslKernel,
};

use crate::grid::{close, floats};
use crate::problem::{Problem, Target};
use crate::wgsl_adapter;

fn crf() -> LinearChainCrf {
    LinearChainCrfConfig::new(3).init(&Device::flex())
}

fn emissions(dims: [usize; 3]) -> Tensor<3> {
    Tensor::zeros(dims, &Device::flex())
}

fn labels(dims: [usize; 2]) -> Tensor<2, Int> {
    Tensor::zeros(dims, &Device::flex())
}

#[test]
#[should_panic(
    expected = "emissions has the wrong shape: expected [n, t, 3], none of them 0, got [2, 5, 4]"
)]
fn emissions_that_do_not_fit_are_refused_by_both_shapes() {
    crf().viterbi(emissions([2, 5, 4]), None);
}

#[test]
#[should_panic(
    expected = "labels has the wrong shape: expected [n, t] of the emissions = [2, 5], got [2, 4]"
)]
fn labels_that_do_not_fit_are_refused_by_both_shapes() {
    crf().negative_log_likelihood(emissions([2, 5, 3]), labels([2, 4]), None, Reduction::Sum);
}

#[test]
#[should_panic(
    expected = "lengths has the wrong shape: expected [n] of the emissions = [2], got [3]"
)]
fn lengths_that_do_not_fit_are_refused_by_both_shapes() {
    let lengths = Tensor::<1, Int>::zeros([3], &Device::flex());
    crf().marginals(emissions([2, 5, 3]), Some(lengths));
}

#[test]
fn more_labels_than_the_kernels_take_run_on_the_reference_or_are_refused() {
    let device = Device::flex();
    let config = LinearChainCrfConfig::new(LABELS_MAX + 1);
    let automatic = config.init(&device);
    assert_eq!(
        automatic.implementation(&device),
        Ok(Implementation::Reference)
    );
    Problem::new(1, Case::new(5, 3, LABELS_MAX + 1), 1.0)
        .check(&Target::flex(Implementation::Auto));
    for asked in [Implementation::Cpu, Implementation::Wgsl] {
        let error = config
            .clone()
            .with_implementation(asked)
            .try_init(&device)
            .unwrap_err();
        let expected = CrfError::Labels {
            labels: 33,
            least: 2,
            most: 32,
            implementation: asked,
        };
        assert_eq!(error, expected);
        assert!(error.to_string().contains("33 labels"), "{error}");
        assert!(error.to_string().contains("Reference"), "{error}");
    }
}

#[test]
fn a_table_of_allowed_transitions_must_be_square_and_leave_a_way_on() {
    let device = Device::flex();
    for allowed in [
        vec![vec![true; 3]; 2],
        vec![vec![true; 2]; 3],
        vec![vec![true; 3], vec![false; 3], vec![true; 3]],
    ] {
        let error = LinearChainCrfConfig::new(3)
            .with_allowed(Some(allowed))
            .try_init(&device)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("allowed") && error.contains("labels x labels"),
            "{error}"
        );
    }
}

/// A cycle 0 -> 1 -> 2 -> 0, staying allowed: nothing that any operation gives leaves it, and no gradient
/// asks for it.
fn allowed_transitions_hold(target: &Target) {
    let cycle: Vec<Vec<bool>> = (0..3)
        .map(|i| (0..3).map(|j| j == i || j == (i + 1) % 3).collect())
        .collect();
    let (n, t, l) = (40, 12, 3);
    let device = target.device.clone().autodiff();
    let mut crf = LinearChainCrfConfig::new(l)
        .with_allowed(Some(cycle.clone()))
        .with_a_max(Some(0.5))
        .with_implementation(target.implementation)
        .with_kernel(target.kernel)
        .init(&device);
    let raw = TensorData::new(Numbers::new(3, 0).normals(l * l, 2.0), [l, l]);
    crf.transitions = crf
        .transitions
        .map(|_| Tensor::<2>::from_data(raw, &device).require_grad());
    let e = TensorData::new(Numbers::new(3, 1).normals(n * t * l, 2.0), [n, t, l]);
    let e = Tensor::<3>::from_data(e, &device);
    for (k, a) in floats(crf.effective_transitions()).into_iter().enumerate() {
        if cycle[k / 3][k % 3] {
            assert!(a.abs() <= 0.5, "bounded by a_max");
        } else {
            assert_eq!(a, FORBIDDEN);
        }
    }
    let read = |paths: Tensor<2, Int>| paths.try_into_vec_as::<i32>().unwrap();
    let best = read(crf.viterbi(e.clone(), None).0);
    for path in [best.clone(), read(crf.sample(e.clone(), None, 5))] {
        for path in path.chunks(t) {
            for pair in path.windows(2) {
                assert!(cycle[pair[0] as usize][pair[1] as usize], "{path:?}");
            }
        }
    }
    for (k, p) in floats(crf.pairwise_marginals(e.clone(), None))
        .into_iter()
        .enumerate()
    {
        assert!(p == 0.0 || cycle[k / 3 % 3][k % 3]);
    }
    let gold = Tensor::<2, Int>::from_data(TensorData::new(best, [n, t]), &device);
    let loss = crf.negative_log_likelihood(e, gold, None, Reduction::Sum);
    let grads = loss.backward();
    let by_a = floats(crf.transitions.val().grad(&grads).unwrap());
    for (k, g) in by_a.into_iter().enumerate() {
        assert!(
            g.is_finite() && (cycle[k / 3][k % 3] || g == 0.0),
            "{k}: {g}"
        );
    }
}

#[test]
fn forbidden_transitions_happen_nowhere() {
    allowed_transitions_hold(&Target::flex(Implementation::Cpu));
    allowed_transitions_hold(&Target::flex(Implementation::Reference));
}

/// At full size: marginals sum to one, rows of the pair sums to the marginals that begin pairs, columns to
/// those that end them.
fn invariants(target: &Target, case: Case) {
    let device = target.device.clone().autodiff();
    let Case {
        length: t,
        chains: n,
        labels: l,
    } = case;
    let problem = Problem::new(81, case, 3.0);
    let crf = problem.layer(target, &device);
    let e = problem.emissions(&device).require_grad();
    let grads = crf.log_partition(e.clone(), None).sum().backward();
    let u = floats(e.grad(&grads).unwrap());
    let pairs = floats(crf.transitions.val().grad(&grads).unwrap());
    let (mut begins, mut ends) = (vec![0.0; l], vec![0.0; l]);
    for (k, position) in u.chunks(l).enumerate() {
        let sum: f32 = position.iter().sum();
        assert!((sum - 1.0).abs() < 2e-6, "position {k}: {sum}");
        for (label, &p) in position.iter().enumerate() {
            begins[label] += if k % t + 1 < t { f64::from(p) } else { 0.0 };
            ends[label] += if k % t > 0 { f64::from(p) } else { 0.0 };
        }
    }
    let sums = |row: bool| -> Vec<f32> {
        (0..l)
            .map(|a| {
                (0..l)
                    .map(|b| pairs[if row { a * l + b } else { b * l + a }])
                    .sum()
            })
            .collect()
    };
    let top = (n * (t - 1)) as f64;
    close("rows of pair sums", &sums(true), &begins, 0.0, 2e-5);
    close("columns of pair sums", &sums(false), &ends, 0.0, 2e-5);
    assert!((f64::from(pairs.iter().sum::<f32>()) - top).abs() < 2e-5 * top);
}

#[test]
fn invariants_hold_at_full_size() {
    let flex = Target::flex(Implementation::Cpu);
    invariants(&flex, Case::new(65_536, 4, 8));
    invariants(&flex, Case::new(4095, 9, 8));
    invariants(&flex, Case::new(64, 2048, 4));
    if wgsl_adapter().is_some() {
        for (kernel, case) in [
            (WgslKernel::Chain, Case::new(4096, 4, 4)),
            (WgslKernel::Scan, Case::new(4096, 4, 4)),
            (WgslKernel::Lanes, Case::new(1024, 4, 4)),
            (WgslKernel::Chain, Case::new(64, 2048, 4)),
        ] {
            invariants(&Target::wgpu(kernel).unwrap(), case);
        }
    }
}

/// Boundary scores exist where asked for, begin at zero, and at zero change nothing.
#[test]
fn boundaries_may_be_left_out() {
    let device = Device::flex();
    let config = LinearChainCrfConfig::new(4);
    let with = config.init(&device);
    let without = config.with_boundaries(false).init(&device);
    assert!(with.start.is_some() && with.end.is_some());
    assert!(without.start.is_none() && without.end.is_none());
    let e = Problem::new(5, Case::new(6, 3, 4), 1.0).emissions(&device);
    let zero =
        |p: Option<Param<Tensor<1>>>| p.map_or(0.0, |p| p.val().abs().sum().into_scalar::<f32>());
    assert_eq!(zero(with.start.clone()) + zero(with.end.clone()), 0.0);
    close(
        "log Z",
        &floats(with.log_partition(e.clone(), None)),
        &floats(without.log_partition(e, None))
            .into_iter()
            .map(f64::from)
            .collect::<Vec<_>>(),
        1e-6,
        1e-6,
    );
}
