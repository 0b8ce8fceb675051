//! The precision table of `benches/RESULTS.md`.

use burn::tensor::Device;
use demotic_crf::cases::Case;
use demotic_crf::{Implementation, Reduction, WgslKernel};

use crate::grid::floats;
use crate::problem::{Problem, Target};

/// The precision table of `benches/RESULTS.md`: worst error against float64 over three chains of eight labels
/// and three standard deviations. `cargo test --release -p demotic-crf --test all -- --ignored --nocapture
/// precision`
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
            let worst = largest_errors(&target, &device, length);
            println!(
                "| {name} | {length} | {:.1e} | {:.1e} | {:.1e} |",
                worst[0], worst[1], worst[2]
            );
        }
    }
}

/// Largest errors of marginals, transition gradient and likelihood at one length.
fn largest_errors(target: &Target, device: &Device, length: usize) -> [f64; 3] {
    let mut worst = [0.0f64; 3];
    for sd in [1.0, 3.0, 10.0] {
        let case = Case::new(length, 3, 8);
        let problem = Problem::new(length as u64, case, sd);
        let crf = problem.layer(target, device);
        let e = problem.emissions(device).require_grad();
        let nll =
            crf.negative_log_likelihood(e.clone(), problem.labels(device), None, Reduction::None);
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
    worst
}
