//! The chain layer against the float64 oracle, on every implementation: ragged sizes, lengths, boundaries, unknown labels,
//! long chains, adversarial scores, decoding.

use burn::module::Param;
use burn::tensor::{Device, Int, Tensor, TensorData};
use demotic_crf::cases::{Case, Numbers, SHAPES};
use demotic_crf::{
    FORBIDDEN, Implementation, LinearChainCrf, LinearChainCrfConfig, Reduction, WgslKernel,
};

use crate::grid::{close, floats};
use crate::oracle::Chain;
use crate::{adapter, wgsl_adapter};

/// What computes, and where.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) device: Device,
    pub(crate) implementation: Implementation,
    pub(crate) kernel: WgslKernel,
}

impl Target {
    pub(crate) fn flex(implementation: Implementation) -> Self {
        Self {
            device: Device::flex(),
            implementation,
            kernel: WgslKernel::Auto,
        }
    }

    /// `None` where there is no adapter that takes WGSL.
    pub(crate) fn wgpu(kernel: WgslKernel) -> Option<Self> {
        Some(Self {
            device: wgsl_adapter()?,
            implementation: Implementation::Wgsl,
            kernel,
        })
    }
}

/// Runs a check on every one of these kernels; on none where there is no adapter.
fn on_kernels(kernels: &[WgslKernel], check: fn(&Target)) {
    for target in kernels.iter().filter_map(|kernel| Target::wgpu(*kernel)) {
        check(&target);
    }
}

/// Chains with everything that a layer can be given.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) case: Case,
    pub(crate) e: Vec<f32>,
    pub(crate) y: Vec<i32>,
    pub(crate) a: Vec<f32>,
    pub(crate) start: Option<Vec<f32>>,
    pub(crate) end: Option<Vec<f32>>,
    pub(crate) lengths: Option<Vec<i32>>,
    pub(crate) unknown: Option<i32>,
}

impl Problem {
    pub(crate) fn new(seed: u64, case: Case, sd: f64) -> Self {
        let Case {
            length: t,
            chains: n,
            labels: l,
        } = case;
        Self {
            case,
            e: Numbers::new(seed, 0).normals(n * t * l, sd),
            y: Numbers::new(seed, 1).labels(n * t, l),
            a: Numbers::new(seed, 2).normals(l * l, 1.0),
            start: None,
            end: None,
            lengths: None,
            unknown: None,
        }
    }

    pub(crate) fn with_boundaries(mut self, seed: u64) -> Self {
        self.start = Some(Numbers::new(seed, 3).normals(self.case.labels, 1.0));
        self.end = Some(Numbers::new(seed, 4).normals(self.case.labels, 1.0));
        self
    }

    /// Lengths from 0 to `t`, both among them.
    pub(crate) fn with_lengths(mut self, seed: u64) -> Self {
        let Case {
            length: t,
            chains: n,
            ..
        } = self.case;
        let mut lengths = Numbers::new(seed, 5).labels(n, t + 1);
        lengths[0] = t as i32;
        if n > 1 {
            lengths[n - 1] = 0;
        }
        self.lengths = Some(lengths);
        self
    }

    pub(crate) fn with_unknown(mut self, seed: u64, share: f64) -> Self {
        let numbers = Numbers::new(seed, 6);
        for (k, y) in self.y.iter_mut().enumerate() {
            if numbers.uniform(k as u64) < share {
                *y = -1;
            }
        }
        self.unknown = Some(-1);
        self
    }

    fn length(&self, n: usize) -> usize {
        self.lengths
            .as_ref()
            .map_or(self.case.length, |lengths| lengths[n] as usize)
    }

    /// Chain `n` with its boundary scores folded in, and its labels.
    pub(crate) fn oracle(&self, n: usize) -> (Chain, &[i32]) {
        let Case {
            length: t,
            labels: l,
            ..
        } = self.case;
        let length = self.length(n);
        let mut chain = Chain::new(l, &self.e[n * t * l..][..length * l], &self.a);
        if let (Some(start), Some(end), true) = (&self.start, &self.end, length > 0) {
            for k in 0..l {
                chain.e[k] += f64::from(start[k]);
                chain.e[(length - 1) * l + k] += f64::from(end[k]);
            }
        }
        (chain, &self.y[n * t..][..length])
    }

    pub(crate) fn layer(&self, target: &Target, device: &Device) -> LinearChainCrf {
        let l = self.case.labels;
        let mut crf = LinearChainCrfConfig::new(l)
            .with_boundaries(self.start.is_some())
            .with_ignore_index(self.unknown)
            .with_implementation(target.implementation)
            .with_kernel(target.kernel)
            .init(device);
        let set = |p: Option<Param<Tensor<1>>>, values: &Option<Vec<f32>>| {
            let values = values
                .as_ref()
                .map(|v| Tensor::<1>::from_data(TensorData::new(v.clone(), [l]), device));
            p.zip(values)
                .map(|(p, v)| p.map(|_| v.set_require_grad(device.is_autodiff())))
        };
        crf.start = set(crf.start, &self.start);
        crf.end = set(crf.end, &self.end);
        let a = Tensor::<2>::from_data(TensorData::new(self.a.clone(), [l, l]), device);
        crf.transitions = crf
            .transitions
            .map(|_| a.set_require_grad(device.is_autodiff()));
        crf
    }

    pub(crate) fn emissions(&self, device: &Device) -> Tensor<3> {
        let Case {
            length: t,
            chains: n,
            labels: l,
        } = self.case;
        Tensor::from_data(TensorData::new(self.e.clone(), [n, t, l]), device)
    }

    pub(crate) fn labels(&self, device: &Device) -> Tensor<2, Int> {
        Tensor::from_data(
            TensorData::new(self.y.clone(), [self.case.chains, self.case.length]),
            device,
        )
    }

    pub(crate) fn lengths(&self, device: &Device) -> Option<Tensor<1, Int>> {
        let lengths = self.lengths.clone()?;
        Some(Tensor::from_data(
            TensorData::new(lengths, [self.case.chains]),
            device,
        ))
    }

    /// Likelihood and all gradients, chains weighted unequally; then marginals.
    ///
    /// Gates of crf.md: marginals within 2e-6, transition gradient within 2e-5 of its largest entry, NLL within 2e-6 relative (and
    /// as much absolute, for values near zero).
    pub(crate) fn check(&self, target: &Target) {
        let device = &target.device;
        let Case {
            length: t,
            chains: n,
            labels: l,
        } = self.case;
        let what = format!(
            "{} {:?} {:?}",
            self.case.name(),
            target.implementation,
            target.kernel
        );
        let autodiff = device.clone().autodiff();
        let crf = self.layer(target, &autodiff);
        let e = self.emissions(&autodiff).require_grad();
        let nll = crf.negative_log_likelihood(
            e.clone(),
            self.labels(&autodiff),
            self.lengths(&autodiff),
            Reduction::None,
        );
        assert_eq!(nll.dims(), [n]);
        let weights: Vec<f32> = (0..n).map(|k| 0.5 + (k % 7) as f32).collect();
        let weight = Tensor::<1>::from_data(TensorData::new(weights.clone(), [n]), &autodiff);
        let grads = (nll.clone() * weight).sum().backward();

        let unknown = self.unknown.unwrap_or(-1);
        let mut values = vec![];
        let mut by_e = vec![0.0; n * t * l];
        let mut unary = vec![0.0; n * t * l];
        let mut by_a = vec![0.0; l * l];
        let mut by_boundary = [vec![0.0; l], vec![0.0; l]];
        for chain in 0..n {
            let (oracle, y) = self.oracle(chain);
            let weight = f64::from(weights[chain]);
            values.push(oracle.nll(y, unknown));
            let (ge, ga) = oracle.gradient(y, unknown);
            for (k, g) in ge.iter().enumerate() {
                by_e[chain * t * l + k] = weight * g;
            }
            unary[chain * t * l..][..ge.len()].copy_from_slice(&oracle.posterior().unary);
            by_a.iter_mut()
                .zip(&ga)
                .for_each(|(sum, g)| *sum += weight * g);
            if let Some(last) = ge.len().checked_sub(l) {
                for k in 0..l {
                    by_boundary[0][k] += weight * ge[k];
                    by_boundary[1][k] += weight * ge[last + k];
                }
            }
        }
        close(&format!("{what}: nll"), &floats(nll), &values, 2e-6, 2e-6);
        close(
            &format!("{what}: emission gradient"),
            &floats(e.grad(&grads).unwrap()),
            &by_e,
            2e-6 * 6.5,
            0.0,
        );
        let top = by_a.iter().fold(1.0f64, |top, g| top.max(g.abs()));
        // Chains of one position use no transition: the gradient is absent or zero.
        let by_transition = crf
            .transitions
            .val()
            .grad(&grads)
            .map_or_else(|| vec![0.0; l * l], floats);
        close(
            &format!("{what}: transition gradient"),
            &by_transition,
            &by_a,
            2e-5 * top,
            0.0,
        );
        for (p, expected) in [&crf.start, &crf.end].into_iter().zip(&by_boundary) {
            if let Some(p) = p {
                close(
                    &format!("{what}: boundary gradient"),
                    &floats(p.val().grad(&grads).unwrap()),
                    expected,
                    2e-5 * n as f64,
                    0.0,
                );
            }
        }
        let marginals = crf.marginals(e.detach(), self.lengths(&autodiff));
        assert_eq!(marginals.dims(), [n, t, l]);
        close(
            &format!("{what}: marginals"),
            &floats(marginals),
            &unary,
            2e-6,
            0.0,
        );
    }

    /// Values alone (no gradient asked for), log Z, the best path, all by the same layer on a device without autodiff.
    pub(crate) fn check_values(&self, target: &Target) {
        let device = &target.device;
        let Case {
            length: t,
            chains: n,
            labels: l,
        } = self.case;
        let what = format!(
            "{} {:?} {:?}",
            self.case.name(),
            target.implementation,
            target.kernel
        );
        let crf = self.layer(target, device);
        let run = |reduction| {
            floats(crf.negative_log_likelihood(
                self.emissions(device),
                self.labels(device),
                self.lengths(device),
                reduction,
            ))
        };
        let unknown = self.unknown.unwrap_or(-1);
        let nll: Vec<f64> = (0..n)
            .map(|chain| self.oracle(chain))
            .map(|(oracle, y)| oracle.nll(y, unknown))
            .collect();
        let sum: f64 = nll.iter().sum();
        let positions: usize = (0..n).map(|chain| self.length(chain)).sum();
        close(&what, &run(Reduction::None), &nll, 2e-6, 2e-6);
        close(&what, &run(Reduction::Sum), &[sum], 1e-5, 2e-6);
        close(
            &what,
            &run(Reduction::MeanPerChain),
            &[sum / n as f64],
            1e-5,
            2e-6,
        );
        close(
            &what,
            &run(Reduction::MeanPerPosition),
            &[sum / positions.max(1) as f64],
            1e-5,
            2e-6,
        );
        let log_z: Vec<f64> = (0..n)
            .map(|chain| self.oracle(chain).0.posterior().log_z)
            .collect();
        close(
            &what,
            &floats(crf.log_partition(self.emissions(device), self.lengths(device))),
            &log_z,
            2e-5,
            2e-6,
        );
        let (paths, scores) = crf.viterbi(self.emissions(device), self.lengths(device));
        assert_eq!(paths.dims(), [n, t]);
        let paths: Vec<i32> = paths.try_into_vec_as().unwrap();
        let scores = floats(scores);
        for chain in 0..n {
            let (oracle, y) = self.oracle(chain);
            let path = &paths[chain * t..][..t];
            assert!(
                path[y.len()..].iter().all(|&label| label == 0),
                "{what}: past the end of chain {chain}"
            );
            assert!(
                path.iter().all(|&label| (0..l as i32).contains(&label)),
                "{what}"
            );
            let (_, best) = oracle.viterbi();
            let tolerance = 1e-5 + 2e-6 * best.abs();
            // Another path may tie within rounding: its true score decides.
            assert!(
                best - oracle.score(&path[..y.len()]) < tolerance,
                "{what}: chain {chain} is not best"
            );
            assert!(
                (f64::from(scores[chain]) - best).abs() < tolerance,
                "{what}: score {} of {best}",
                scores[chain]
            );
        }
    }
}

/// The table of sizes, each in one of four guises.
fn every_shape(target: &Target, labels_max: usize) {
    for (seed, case) in SHAPES.into_iter().enumerate() {
        if case.labels > labels_max {
            continue;
        }
        let seed = seed as u64;
        let sd = [1.0, 3.0, 10.0][seed as usize % 3];
        let problem = Problem::new(seed, case, sd);
        let problem = match seed % 4 {
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
    every_shape(&Target::flex(Implementation::Reference), 40);
}

#[test]
fn fused_loop_matches_the_oracle_on_every_shape() {
    every_shape(&Target::flex(Implementation::Cpu), 40);
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

#[test]
fn kernels_match_the_oracle_on_every_shape() {
    if let Some(target) = Target::wgpu(WgslKernel::Chain) {
        every_shape(&target, 8);
    }
}

#[test]
fn lanes_match_the_oracle_on_every_shape() {
    if let Some(target) = Target::wgpu(WgslKernel::Lanes) {
        every_shape(&target, 40);
    }
}

/// Chains of up to 4096 positions, emissions from flat to nearly certain.
fn long_chains(target: &Target) {
    for length in [16, 64, 256, 1024, 4096] {
        for sd in [1.0, 3.0, 10.0] {
            Problem::new(length as u64, Case::new(length, 3, 8), sd).check(target);
        }
    }
}

#[test]
fn fused_loop_is_exact_at_any_length() {
    long_chains(&Target::flex(Implementation::Cpu));
}

#[test]
fn kernels_are_exact_at_any_length() {
    on_kernels(
        &[WgslKernel::Chain, WgslKernel::Lanes, WgslKernel::Scan],
        long_chains,
    );
}

/// Segments of long chains: ends inside, at and just beyond a segment's, every guise, and the lengths that need the scan.
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
    // One label ahead by 1e3, not always the gold one: values in the thousands beside marginals of exactly 0 and 1.
    let mut ahead = Problem::new(2, case, 1.0);
    for (k, e) in ahead.e.iter_mut().enumerate() {
        if k % 4 == (k / 4) % 3 {
            *e += 1000.0;
        }
    }
    ahead.check(target);
    ahead.check_values(target);
    // Forbidden transitions: from each label only to itself and the next.
    let mut forbidden = Problem::new(3, case, 2.0).with_boundaries(3);
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

/// The precision table of `benches/README.md`: worst error against float64 over three chains of eight labels and three
/// standard deviations. `cargo test --release -p demotic-crf --test all -- --ignored --nocapture precision`
#[test]
#[ignore = "prints a table; the gates themselves are tests above"]
#[allow(clippy::print_stdout, reason = "its result is what it prints")]
fn precision_table() {
    println!("| what | T | marginals, absolute | transition gradient, relative | NLL, relative |");
    println!("|---|---|---|---|---|");
    let mut targets = vec![("cpu", Target::flex(Implementation::Cpu))];
    for kernel in [WgslKernel::Chain, WgslKernel::Lanes, WgslKernel::Scan] {
        targets.extend(Target::wgpu(kernel).map(|target| (kernel.name(), target)));
    }
    for (name, target) in targets {
        let device = target.device.clone().autodiff();
        for length in [16, 64, 256, 1024, 4096] {
            let mut worst = [0.0f64; 3];
            for sd in [1.0, 3.0, 10.0] {
                let case = Case::new(length, 3, 8);
                let problem = Problem::new(length as u64, case, sd);
                let crf = problem.layer(&target, &device);
                let e = problem.emissions(&device).require_grad();
                let nll = crf.negative_log_likelihood(
                    e.clone(),
                    problem.labels(&device),
                    None,
                    Reduction::None,
                );
                let grads = nll.clone().sum().backward();
                let nll = floats(nll);
                let by_a = floats(crf.transitions.val().grad(&grads).unwrap());
                let unary = floats(crf.marginals(e.detach(), None));
                let mut expected_a = vec![0.0; 64];
                for chain in 0..3 {
                    let (oracle, y) = problem.oracle(chain);
                    let expected = oracle.nll(y, -1);
                    worst[2] = worst[2].max((f64::from(nll[chain]) - expected).abs() / expected);
                    let (_, ga) = oracle.gradient(y, -1);
                    expected_a
                        .iter_mut()
                        .zip(&ga)
                        .for_each(|(sum, g)| *sum += g);
                    let mine = &unary[chain * length * 8..][..length * 8];
                    for (p, q) in mine.iter().zip(&oracle.posterior().unary) {
                        worst[0] = worst[0].max((f64::from(*p) - q).abs());
                    }
                }
                let top = expected_a.iter().fold(1.0f64, |top, g| top.max(g.abs()));
                for (g, expected) in by_a.iter().zip(&expected_a) {
                    worst[1] = worst[1].max((f64::from(*g) - expected).abs() / top);
                }
            }
            println!(
                "| {name} | {length} | {:.1e} | {:.1e} | {:.1e} |",
                worst[0], worst[1], worst[2]
            );
        }
    }
}
