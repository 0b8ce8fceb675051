//! The chain layer against the float64 oracle, on every implementation: ragged sizes, lengths, boundaries,
//! unknown labels, long chains, adversarial scores, views, f16.

use burn::tensor::{Int, Tensor, TensorData};
use demotic_crf::cases::{Case, Numbers, SHAPES};
use demotic_crf::{FORBIDDEN, Implementation, LinearChainCrfConfig, Reduction, WgslKernel};

use crate::adapter;
use crate::grid::{close, floats};
use crate::problem::{Problem, Target};

/// Runs a check on every one of these kernels; on none where there is no adapter.
fn on_kernels(kernels: &[WgslKernel], check: impl Fn(&Target)) {
    for target in kernels.iter().filter_map(|kernel| Target::wgpu(*kernel)) {
        check(&target);
    }
}

/// Sizes of the table by number, each in one of four guises.
fn shapes(target: &Target, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        let (seed, case) = (number as u64, SHAPES[number]);
        let problem = Problem::new(seed, case, [1.0, 3.0, 10.0][number % 3]);
        let problem = match number % 4 {
            0 => problem,
            1 => problem.with_boundaries(seed),
            2 => problem.with_boundaries(seed).with_lengths(seed),
            _ => problem.with_lengths(seed).with_unknown(seed, 0.5),
        };
        problem.check(target);
        problem.check_values(target);
    }
}

#[test]
fn reference_matches_the_oracle_on_every_shape() {
    shapes(&Target::flex(Implementation::Reference), 0..SHAPES.len());
}

#[test]
fn fused_loop_matches_the_oracle_on_every_shape() {
    shapes(&Target::flex(Implementation::Cpu), 0..SHAPES.len());
}

#[test]
fn an_adapter_takes_kernels_where_it_compiles_wgsl_and_tensor_operations_elsewhere() {
    let Some(device) = adapter() else { return };
    let takes_wgsl = !cfg!(any(feature = "spirv", feature = "metal-msl"));
    let config = LinearChainCrfConfig::new(4);
    let taken = config.init(&device).implementation(&device).unwrap();
    let expected = if takes_wgsl {
        Implementation::Wgsl
    } else {
        Implementation::Reference
    };
    assert_eq!(taken, expected);
    let asked = config.with_implementation(Implementation::Wgsl);
    let made = std::panic::catch_unwind(|| asked.init(&device));
    assert_eq!(made.is_ok(), takes_wgsl);
}

#[test]
#[ignore = "for a GPU: a software adapter takes minutes to tune, and Mesa's lavapipe (22.3.6, 25.0.7) crashes on Burn's SPIR-V"]
fn tensor_operations_match_the_oracle_on_an_adapter() {
    let Some(device) = adapter() else { return };
    let target = Target {
        device,
        implementation: Implementation::Reference,
        kernel: WgslKernel::Auto,
    };
    Problem::new(1, Case::new(5, 3, 4), 1.0).check(&target);
    Problem::new(2, Case::new(6, 3, 3), 3.0)
        .with_boundaries(2)
        .with_lengths(2)
        .check(&target);
}

/// 2, 3, 4, 5 and 8 labels: every guise, transitions in registers and in workgroup memory, labels in fours
/// and not. Each size is five or more kernels to compile, so that the table's other sizes would cost more
/// than they show.
#[test]
fn chain_kernel_matches_the_oracle() {
    if let Some(target) = Target::wgpu(WgslKernel::Chain) {
        shapes(&target, [1, 2, 3, 4, 6, 7]);
    }
}

/// 2 to 32 labels, powers of two and not.
#[test]
fn lanes_kernel_matches_the_oracle() {
    if let Some(target) = Target::wgpu(WgslKernel::Lanes) {
        shapes(&target, [1, 2, 3, 4, 8, 11, 12]);
    }
}

/// Long chains, emissions from flat to nearly certain.
fn long_chains(target: &Target, lengths: &[usize], labels: usize) {
    for &length in lengths {
        for sd in [1.0, 3.0, 10.0] {
            Problem::new(length as u64, Case::new(length, 3, labels), sd).check(target);
        }
    }
}

#[test]
fn fused_loop_is_exact_at_any_length() {
    let target = Target::flex(Implementation::Cpu);
    long_chains(&target, &[16, 64, 256, 1024, 4096], 8);
}

/// 64 positions fit the workgroup memory of the lanes kernel, 4096 do not.
#[test]
fn kernels_are_exact_at_any_length() {
    on_kernels(
        &[WgslKernel::Chain, WgslKernel::Lanes, WgslKernel::Scan],
        |target| long_chains(target, &[64, 4096], 5),
    );
}

/// Segments of long chains: ends inside, at and just beyond a segment's, every guise, and the lengths that
/// need the scan.
#[test]
fn scan_is_exact_over_segments() {
    let Some(target) = Target::wgpu(WgslKernel::Scan) else {
        return;
    };
    for (seed, length) in [1, 255, 256, 257, 512, 1300].into_iter().enumerate() {
        let seed = seed as u64;
        let problem = Problem::new(
            seed,
            Case::new(length, 3, 5),
            [1.0, 3.0, 10.0][seed as usize % 3],
        );
        let problem = match seed % 3 {
            0 => problem.with_boundaries(seed),
            1 => problem.with_boundaries(seed).with_lengths(seed),
            _ => problem.with_lengths(seed).with_unknown(seed, 0.5),
        };
        problem.check(&target);
        problem.check_values(&target);
    }
    let automatic = Target {
        kernel: WgslKernel::Auto,
        ..target
    };
    Problem::new(9, Case::new(65_536, 2, 4), 3.0).check(&automatic);
}

/// Scores made to break an implementation that is only right on friendly ones.
fn adversarial(target: &Target) {
    let case = Case::new(12, 9, 4);
    // All equal: every label has probability 1/4 and nothing is decided.
    let mut equal = Problem::new(1, case, 0.0);
    equal.a = vec![0.0; 16];
    equal.check(target);
    let (paths, _) = equal
        .layer(target, &target.device)
        .viterbi(equal.emissions(&target.device), None);
    assert!(
        paths
            .try_into_vec_as::<i32>()
            .unwrap()
            .iter()
            .all(|&label| label == 0),
        "ties go to the lowest label"
    );
    // One label ahead by 1e3, not always the gold one: values in the thousands beside marginals of exactly 0
    // and 1.
    let mut ahead = Problem::new(2, case, 1.0);
    for (k, e) in ahead.e.iter_mut().enumerate() {
        if k % 4 == (k / 4) % 3 {
            *e += 1000.0;
        }
    }
    ahead.check(target);
    ahead.check_values(target);
    // Forbidden transitions: from each label only to itself and the next.
    let mut forbidden = Problem::new(3, case, 2.0)
        .with_boundaries(3)
        .with_lengths(3);
    for (k, a) in forbidden.a.iter_mut().enumerate() {
        let (i, j) = (k / 4, k % 4);
        if j != i && j != (i + 1) % 4 {
            *a = FORBIDDEN;
        }
    }
    for (k, y) in forbidden.y.iter_mut().enumerate() {
        *y = (k % 12 / 3 % 4) as i32; // 0 0 0 1 1 1 2 2 2 3 3 3: allowed
    }
    forbidden.check(target);
    forbidden.check_values(target);
    // T = 1 and 2, with lengths 0 to T.
    for length in [1, 2] {
        let problem = Problem::new(4, Case::new(length, 7, 4), 3.0)
            .with_boundaries(4)
            .with_lengths(4);
        problem.check(target);
        problem.check_values(target);
    }
}

#[test]
fn reference_holds_on_adversarial_scores() {
    adversarial(&Target::flex(Implementation::Reference));
}

#[test]
fn fused_loop_holds_on_adversarial_scores() {
    adversarial(&Target::flex(Implementation::Cpu));
}

#[test]
fn kernels_hold_on_adversarial_scores() {
    on_kernels(
        &[WgslKernel::Chain, WgslKernel::Lanes, WgslKernel::Scan],
        adversarial,
    );
}

/// NaN and infinity in one chain, and a label out of range in another, come out as NaN there and only there.
fn not_a_number(target: &Target) {
    let case = Case::new(9, 12, 4);
    let mut problem = Problem::new(5, case, 1.0);
    let good = floats(
        problem
            .layer(target, &target.device)
            .negative_log_likelihood(
                problem.emissions(&target.device),
                problem.labels(&target.device),
                None,
                Reduction::None,
            ),
    );
    let at = |n: usize, t: usize, k: usize| (n * 9 + t) * 4 + k;
    problem.e[at(2, 4, 1)] = f32::NAN;
    problem.e[at(5, 0, 3)] = f32::INFINITY;
    problem.y[7 * 9 + 3] = 4;
    problem.y[9 * 9 + 8] = -3;
    let device = target.device.clone().autodiff();
    let crf = problem.layer(target, &device);
    let e = problem.emissions(&device).require_grad();
    let nll =
        crf.negative_log_likelihood(e.clone(), problem.labels(&device), None, Reduction::None);
    let values = floats(nll.clone());
    let gradient = floats(e.grad(&nll.sum().backward()).unwrap());
    for (n, value) in values.iter().enumerate() {
        let gradient = &gradient[n * 36..][..36];
        if [2, 5, 7, 9].contains(&n) {
            assert!(value.is_nan(), "chain {n}: {value}");
        } else {
            assert_eq!(*value, good[n], "chain {n}");
        }
        // A label out of range has no part in the gradient: there it is the marginal, and sums to one.
        for (t, position) in gradient.chunks(4).enumerate() {
            let sum: f32 = position.iter().sum();
            let expected = f32::from((n, t) == (7, 3) || (n, t) == (9, 8));
            assert!(
                [2, 5].contains(&n) || (sum - expected).abs() < 2e-6,
                "chain {n}, position {t}: {sum}"
            );
        }
        assert!(
            ![2, 5].contains(&n) || gradient.iter().any(|g| g.is_nan()),
            "chain {n}: a gradient of numbers"
        );
    }
    // The same where labels may be unknown: an impossible one makes no number.
    let partial = Problem {
        unknown: Some(-1),
        ..problem
    };
    let crf = partial.layer(target, &target.device);
    let values = floats(crf.negative_log_likelihood(
        partial.emissions(&target.device),
        partial.labels(&target.device),
        None,
        Reduction::None,
    ));
    for (n, value) in values.iter().enumerate() {
        assert_eq!(
            value.is_nan(),
            [2, 5, 7, 9].contains(&n),
            "chain {n}: {value}"
        );
    }
}

#[test]
fn reference_answers_nan_with_nan() {
    not_a_number(&Target::flex(Implementation::Reference));
}

#[test]
fn fused_loop_answers_nan_with_nan() {
    not_a_number(&Target::flex(Implementation::Cpu));
}

#[test]
fn kernels_answer_nan_with_nan() {
    on_kernels(&[WgslKernel::Chain, WgslKernel::Lanes], not_a_number);
}

/// The same call twice: the same bits, loss and gradients.
fn deterministic(target: &Target) {
    let device = target.device.clone().autodiff();
    let problem = Problem::new(21, Case::new(37, 200, 5), 2.0)
        .with_boundaries(21)
        .with_lengths(21);
    let run = || {
        let crf = problem.layer(target, &device);
        let e = problem.emissions(&device).require_grad();
        let lengths = problem.lengths(&device);
        let loss = crf.negative_log_likelihood(
            e.clone(),
            problem.labels(&device),
            lengths,
            Reduction::Sum,
        );
        let grads = loss.backward();
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let start = crf.start.as_ref().unwrap().val().grad(&grads).unwrap();
        [
            bits(floats(loss)),
            bits(floats(e.grad(&grads).unwrap())),
            bits(floats(crf.transitions.val().grad(&grads).unwrap())),
            bits(floats(start)),
        ]
    };
    let first = run();
    for _ in 0..3 {
        assert_eq!(run(), first, "{:?}", target.kernel);
    }
}

#[test]
fn fused_loop_repeats_to_the_bit() {
    deterministic(&Target::flex(Implementation::Cpu));
}

#[test]
fn kernels_repeat_to_the_bit() {
    on_kernels(&[WgslKernel::Chain, WgslKernel::Lanes], deterministic);
}

/// Emissions and labels that are views: transposed, sliced, with a step. Same values as their copies.
fn strided(target: &Target) {
    let (n, t, l) = (6, 9, 3);
    let device = &target.device;
    let crf = Problem::new(31, Case::new(t, n, l), 1.0).layer(target, device);
    let wide = Tensor::<3>::from_data(
        TensorData::new(
            Numbers::new(31, 7).normals(2 * l * 2 * t * n, 1.5),
            [2 * l, 2 * t, n],
        ),
        device,
    );
    let labels = Tensor::<2, Int>::from_data(
        TensorData::new(Numbers::new(31, 8).labels(t * 2 * n, l), [t, 2 * n]),
        device,
    );
    // [l, t, n] out of [2 l, 2 t, n], then [n, t, l].
    let view = || {
        wide.clone()
            .slice([1..l + 1, t - 2..2 * t - 2, 0..n])
            .permute([2, 1, 0])
    };
    let label_view = || labels.clone().slice([0..t, n..2 * n]).swap_dims(0, 1);
    let copy = {
        let values: Vec<f32> = floats(view());
        Tensor::<3>::from_data(TensorData::new(values, [n, t, l]), device)
    };
    let label_copy = {
        let values: Vec<i32> = label_view().try_into_vec_as().unwrap();
        Tensor::<2, Int>::from_data(TensorData::new(values, [n, t]), device)
    };
    let nll = |e, y| floats(crf.negative_log_likelihood(e, y, None, Reduction::None));
    assert_eq!(nll(view(), label_view()), nll(copy.clone(), label_copy));
    assert_eq!(
        floats(crf.marginals(view(), None)),
        floats(crf.marginals(copy.clone(), None))
    );
    let path = |e| crf.viterbi(e, None).0.try_into_vec_as::<i32>().unwrap();
    assert_eq!(path(view()), path(copy));
}

#[test]
fn fused_loop_reads_views() {
    strided(&Target::flex(Implementation::Cpu));
}

#[test]
fn kernels_read_views() {
    on_kernels(&[WgslKernel::Chain, WgslKernel::Lanes], strided);
}

/// Emissions stored in f16: as exact as their rounding.
fn half_precision(target: &Target) {
    use burn::tensor::{DType, FloatDType};
    let device = &target.device;
    if !device.supports_dtype(DType::F16) {
        eprintln!("skipped: the device stores no f16");
        return;
    }
    let case = Case::new(21, 5, 5);
    let mut problem = Problem::new(41, case, 2.0).with_boundaries(41);
    let half = || problem.emissions(device).cast(FloatDType::F16);
    // What f16 holds, in f32: against it the result must be as exact as ever.
    problem.e = floats(half().cast(FloatDType::F32));
    let crf = problem.layer(target, device);
    let half = problem.emissions(device).cast(FloatDType::F16);
    let nll = floats(crf.negative_log_likelihood(
        half.clone(),
        problem.labels(device),
        None,
        Reduction::None,
    ));
    let marginals = floats(crf.marginals(half, None).cast(FloatDType::F32));
    let (mut values, mut unary) = (vec![], vec![]);
    for chain in 0..case.chains {
        let (oracle, y) = problem.oracle(chain);
        values.push(oracle.nll(y, -1));
        unary.extend(oracle.posterior().unary);
    }
    close("f16 nll", &nll, &values, 2e-6, 2e-6);
    close("f16 marginals", &marginals, &unary, 2e-6, 0.0);
}

#[test]
fn fused_loop_takes_f16() {
    half_precision(&Target::flex(Implementation::Cpu));
}

#[test]
fn kernels_take_f16() {
    on_kernels(&[WgslKernel::Chain, WgslKernel::Lanes], half_precision);
}
