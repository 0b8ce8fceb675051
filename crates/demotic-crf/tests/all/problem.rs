//! Chains with everything that a layer can be given, what computes them, and their check against the float64
//! oracle.

use burn::module::Param;
use burn::tensor::{Device, Int, Tensor, TensorData};
use demotic_crf::cases::{Case, Numbers};
use demotic_crf::{Implementation, LinearChainCrf, LinearChainCrfConfig, Reduction, WgslKernel};

use crate::grid::{close, floats};
use crate::oracle::Chain;
use crate::wgsl_adapter;

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

/// What the oracle says of a problem.
struct Expected {
    nll: Vec<f64>,
    by_e: Vec<f64>,
    by_a: Vec<f64>,
    /// By start and by end scores.
    by_boundary: [Vec<f64>; 2],
    marginals: Vec<f64>,
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

    /// What a message calls this problem there.
    fn on(&self, target: &Target) -> String {
        let (name, by) = (self.case.name(), target.implementation);
        format!("{name} {by:?} {:?}", target.kernel)
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

    /// What the oracle says, the gradients of chains weighted so.
    fn expected(&self, weights: &[f32]) -> Expected {
        let Case {
            length: t,
            chains: n,
            labels: l,
        } = self.case;
        let unknown = self.unknown.unwrap_or(-1);
        let mut out = Expected {
            nll: vec![],
            by_e: vec![0.0; n * t * l],
            by_a: vec![0.0; l * l],
            by_boundary: [vec![0.0; l], vec![0.0; l]],
            marginals: vec![0.0; n * t * l],
        };
        for chain in 0..n {
            let (oracle, y) = self.oracle(chain);
            let weight = f64::from(weights[chain]);
            out.nll.push(oracle.nll(y, unknown));
            let (ge, ga) = oracle.gradient(y, unknown);
            for (k, g) in ge.iter().enumerate() {
                out.by_e[chain * t * l + k] = weight * g;
            }
            out.marginals[chain * t * l..][..ge.len()].copy_from_slice(&oracle.posterior().unary);
            for (sum, g) in out.by_a.iter_mut().zip(&ga) {
                *sum += weight * g;
            }
            if let Some(last) = ge.len().checked_sub(l) {
                for k in 0..l {
                    out.by_boundary[0][k] += weight * ge[k];
                    out.by_boundary[1][k] += weight * ge[last + k];
                }
            }
        }
        out
    }

    /// Likelihood and all gradients, chains weighted unequally; then marginals.
    ///
    /// Gates: marginals within 2e-6, transition gradient within 2e-5 of its largest entry, NLL
    /// within 2e-6 relative (and as much absolute, for values near zero).
    pub(crate) fn check(&self, target: &Target) {
        let device = &target.device;
        let Case {
            length: t,
            chains: n,
            labels: l,
        } = self.case;
        let what = self.on(target);
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

        let expected = self.expected(&weights);
        close(
            &format!("{what}: nll"),
            &floats(nll),
            &expected.nll,
            2e-6,
            2e-6,
        );
        close(
            &format!("{what}: emission gradient"),
            &floats(e.grad(&grads).unwrap()),
            &expected.by_e,
            2e-6 * 6.5,
            0.0,
        );
        let top = expected.by_a.iter().fold(1.0f64, |top, g| top.max(g.abs()));
        // Chains of one position use no transition: the gradient is absent or zero.
        let by_transition = crf
            .transitions
            .val()
            .grad(&grads)
            .map_or_else(|| vec![0.0; l * l], floats);
        close(
            &format!("{what}: transition gradient"),
            &by_transition,
            &expected.by_a,
            2e-5 * top,
            0.0,
        );
        for (p, by_boundary) in [&crf.start, &crf.end]
            .into_iter()
            .zip(&expected.by_boundary)
        {
            if let Some(p) = p {
                close(
                    &format!("{what}: boundary gradient"),
                    &floats(p.val().grad(&grads).unwrap()),
                    by_boundary,
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
            &expected.marginals,
            2e-6,
            0.0,
        );
    }

    /// Values alone (no gradient asked for), log Z, the best path, all by the same layer on a device without
    /// autodiff.
    pub(crate) fn check_values(&self, target: &Target) {
        let device = &target.device;
        let (n, l) = (self.case.chains, self.case.labels);
        let what = self.on(target);
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
        // One kernel finds best paths, whichever walks the chains: held with the chain kernel to 8 labels,
        // beyond with the lanes.
        let again = matches!(target.kernel, WgslKernel::Lanes | WgslKernel::Scan);
        if !again || l > 8 {
            self.check_best_path(target, &crf);
        }
    }

    fn check_best_path(&self, target: &Target, crf: &LinearChainCrf) {
        let (device, what) = (&target.device, self.on(target));
        let Case {
            length: t,
            chains: n,
            labels: l,
        } = self.case;
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
