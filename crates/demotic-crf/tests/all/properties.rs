//! Properties that hold for every chain, on chains that nobody chose: against the float64 oracle, and the
//! invariants that need none.

use burn::tensor::{Device, Tensor, TensorData};
use demotic_crf::cases::Case;
use demotic_crf::{Implementation, Reduction};
use proptest::prelude::*;

use crate::grid::floats;
use crate::problem::{Problem, Target};

fn problem() -> impl Strategy<Value = Problem> {
    let sizes = (1usize..40, 1usize..20, 2usize..12);
    (any::<u64>(), sizes, 0.0f64..8.0, any::<[bool; 3]>()).prop_map(
        |(seed, (t, n, l), sd, [boundaries, ragged, partial])| {
            let mut problem = Problem::new(seed, Case::new(t, n, l), sd);
            if boundaries {
                problem = problem.with_boundaries(seed);
            }
            if ragged {
                problem = problem.with_lengths(seed);
            }
            if partial {
                problem = problem.with_unknown(seed, 0.3);
            }
            problem
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fused_loop_agrees_with_the_oracle(problem in problem()) {
        problem.check(&Target::flex(Implementation::Cpu));
        problem.check_values(&Target::flex(Implementation::Cpu));
    }

    #[test]
    fn each_emission_gradient_sums_to_zero_and_each_marginal_to_one(problem in problem()) {
        let target = Target::flex(Implementation::Cpu);
        let device = Device::flex().autodiff();
        let crf = problem.layer(&target, &device);
        let e = problem.emissions(&device).require_grad();
        let loss = crf.negative_log_likelihood(e.clone(), problem.labels(&device), problem.lengths(&device), Reduction::Sum);
        let grads = loss.backward();
        let l = problem.case.labels;
        for position in floats(e.grad(&grads).unwrap()).chunks(l) {
            prop_assert!(position.iter().sum::<f32>().abs() < 2e-6);
        }
        for position in floats(crf.marginals(e.clone().detach(), problem.lengths(&device))).chunks(l) {
            let sum: f32 = position.iter().sum();
            prop_assert!(sum == 0.0 || (sum - 1.0).abs() < 2e-6);
        }
    }

    #[test]
    fn posterior_decoding_takes_a_label_that_the_oracle_finds_most_probable(problem in problem()) {
        let device = Device::flex();
        let crf = problem.layer(&Target::flex(Implementation::Cpu), &device);
        let (t, l) = (problem.case.length, problem.case.labels);
        let decoded = crf.posterior_decode(problem.emissions(&device), problem.lengths(&device));
        let decoded: Vec<i32> = decoded.try_into_vec_as().unwrap();
        for (chain, path) in decoded.chunks(t).enumerate() {
            let (oracle, y) = problem.oracle(chain);
            let unary = oracle.posterior().unary;
            for (s, &label) in path.iter().enumerate() {
                if s < y.len() {
                    let position = &unary[s * l..][..l];
                    let best = position.iter().copied().fold(0.0, f64::max);
                    prop_assert!(position[label as usize] > best - 2e-6);
                } else {
                    prop_assert_eq!(label, 0);
                }
            }
        }
    }

    /// `sum_j P_t[i][j] = U_t[i]`, `sum_i P_t[i][j] = U_(t+1)[j]`, and `H = log Z - E[score]`.
    #[test]
    fn pairs_agree_with_singles_and_entropy_with_its_definition(problem in problem()) {
        let target = Target::flex(Implementation::Cpu);
        let device = Device::flex();
        let (t, n, l) = (problem.case.length, problem.case.chains, problem.case.labels);
        let crf = problem.layer(&target, &device);
        let lengths = || problem.lengths(&device);
        let unary = floats(crf.marginals(problem.emissions(&device), lengths()));
        let pair = floats(crf.pairwise_marginals(problem.emissions(&device), lengths()));
        let entropy = floats(crf.entropy(problem.emissions(&device), lengths()));
        for chain in 0..n {
            let (oracle, y) = problem.oracle(chain);
            for s in 0..y.len().saturating_sub(1) {
                let table = &pair[(chain * (t - 1) + s) * l * l..][..l * l];
                for k in 0..l {
                    let row: f32 = table[k * l..][..l].iter().sum();
                    let column: f32 = (0..l).map(|i| table[i * l + k]).sum();
                    prop_assert!((row - unary[(chain * t + s) * l + k]).abs() < 4e-6);
                    prop_assert!((column - unary[(chain * t + s + 1) * l + k]).abs() < 4e-6);
                }
            }
            let posterior = oracle.posterior();
            let expected_score: f64 = posterior.unary.iter().zip(&oracle.e).map(|(p, e)| p * e).sum::<f64>()
                + posterior.pair.iter().enumerate().map(|(k, p)| p * oracle.a[k % (l * l)]).sum::<f64>();
            let expected = posterior.log_z - expected_score;
            prop_assert!((f64::from(entropy[chain]) - expected).abs() < 2e-4 + 1e-5 * expected.abs());
        }
    }
}

/// Draws of one short chain, counted: every labelling comes up as often as its probability says.
#[test]
fn samples_follow_the_distribution() {
    let device = Device::flex();
    let (n, t, l) = (4000usize, 3usize, 3usize);
    let one = Problem::new(51, Case::new(t, 1, l), 1.0).with_boundaries(51);
    let crf = one.layer(&Target::flex(Implementation::Cpu), &device);
    let many = Tensor::<3>::from_data(TensorData::new(one.e.repeat(n), [n, t, l]), &device);
    let paths: Vec<i32> = crf.sample(many.clone(), None, 7).try_into_vec_as().unwrap();
    let again: Vec<i32> = crf.sample(many, None, 7).try_into_vec_as().unwrap();
    assert_eq!(paths, again, "a seed is a sample");
    let (oracle, _) = one.oracle(0);
    let log_z = oracle.posterior().log_z;
    let mut chi_square = 0.0;
    for code in 0..l.pow(t as u32) {
        let y: Vec<i32> = (0..t)
            .map(|s| (code / l.pow(s as u32) % l) as i32)
            .collect();
        let expected = n as f64 * (oracle.score(&y) - log_z).exp();
        let seen = paths.chunks(t).filter(|path| *path == y).count() as f64;
        chi_square += (seen - expected).powi(2) / expected;
    }
    // 26 degrees of freedom: 54.05 is the 0.1 % point.
    assert!(chi_square < 54.05, "chi square {chi_square}");
}
