//! Loss terms: pure functions of tensors, each a mean that does not depend on the batch's or the picture's size.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use crate::model::Posterior;

/// Mean absolute error, `1/n sum |a - b|` over every value: the Laplace likelihood up to constants. Shape `[1]`.
///
/// Summed a row at a time: one f32 sum over a whole batch loses digits on the processor.
pub fn absolute_error(a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
    let [n, c, h, w] = a.dims();
    let rows = (a - b).abs().reshape([n * c * h, w]).mean_dim(1); // [n*c*h, 1]
    rows.reshape([n * c, h]).mean_dim(1).reshape([n * c]).mean()
}

/// The posterior's divergence from N(0, 1) in nats a picture value: `KL / values`, mean over the batch. Shape `[1]`.
///
/// With `absolute_error` as likelihood of scale `b`, the evidence bound (Kingma and Welling 2014) asks for a weight of
/// `b` on this term; above it the code is shorter, below it pictures are sharper.
pub fn divergence(posterior: &Posterior, values: usize) -> Tensor<1> {
    posterior.kl().mean().div_scalar(values as f32)
}

/// What the discriminator and the generator play for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdversarialKind {
    /// The labels' likelihood under the head, over all styles and fake at once.
    Likelihood,
    /// `max(0, 1 - r)` for real and `max(0, 1 + r)` for made (Lim and Ye 2017).
    Hinge,
    /// `(r - 1)^2 / 2` for real and `r^2 / 2` for made (Mao et al. 2017).
    LeastSquares,
    /// `softplus(-r)` for real and `softplus(r)` for made (Goodfellow et al. 2014).
    NonSaturating,
}

/// The discriminator's loss of each patch, by its real-or-fake logit `r` in the style that it has or was made for.
///
/// # Shapes
/// `logits`: `[b, h, w]`; `real`: likewise, 1 where the patch is real and 0 where it is made; returns `[b]`, mean over patches.
///
/// # Panics
/// For the likelihood, which is no function of one logit.
pub fn judge_loss(kind: AdversarialKind, logits: Tensor<3>, real: Tensor<3>) -> Tensor<1> {
    let sign = real.clone().mul_scalar(2.0) - 1.0;
    a_picture(match kind {
        AdversarialKind::Hinge => activation::relu((sign * logits).neg() + 1.0),
        AdversarialKind::LeastSquares => (logits - real).square().mul_scalar(0.5),
        AdversarialKind::NonSaturating => softplus((sign * logits).neg()),
        AdversarialKind::Likelihood => panic!("the likelihood is the discriminator's own"),
    })
}

/// The generator's loss against the discriminator: `-r`, `(r - 1)^2 / 2` or `softplus(-r)`, sources as [`judge_loss`].
///
/// # Shapes
/// `logits`: `[b, h, w]`; returns `[b]`, mean over patches.
///
/// # Panics
/// For the likelihood, which is no function of one logit.
pub fn fooling_loss(kind: AdversarialKind, logits: Tensor<3>) -> Tensor<1> {
    a_picture(match kind {
        AdversarialKind::Hinge => logits.neg(),
        AdversarialKind::LeastSquares => (logits - 1.0).square().mul_scalar(0.5),
        AdversarialKind::NonSaturating => softplus(logits.neg()),
        AdversarialKind::Likelihood => panic!("the likelihood is the discriminator's own"),
    })
}

/// `log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|))`: no overflow.
fn softplus(x: Tensor<3>) -> Tensor<3> {
    activation::relu(x.clone()) + x.abs().neg().exp().log1p()
}

/// Mean over patches: `[b, h, w] -> [b]`.
fn a_picture(patches: Tensor<3>) -> Tensor<1> {
    let [b, h, w] = patches.dims();
    patches.reshape([b, h * w]).mean_dim(1).reshape([b])
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    type Formula<'a> = &'a dyn Fn(f64) -> f64;

    #[test]
    fn adversarial_losses_follow_their_formulas() {
        let logits = [-60.0_f32, -1.5, -0.25, 0.0, 0.5, 2.0, 60.0];
        let grid = |values: Vec<f32>| {
            let shape = [values.len(), 1, 1];
            Tensor::<3>::from_data(TensorData::new(values, shape), &Device::flex())
        };
        let same = |got: Tensor<1>, expected: &dyn Fn(f64) -> f64, what: &str| {
            for (got, r) in crate::train::values_of(got).into_iter().zip(logits) {
                let wanted = expected(f64::from(r));
                assert!(
                    (f64::from(got) - wanted).abs() <= 1e-6 * wanted.abs().max(1.0),
                    "{what} at {r}: {got}, expected {wanted}"
                );
            }
        };
        let plus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        let table: [(AdversarialKind, Formula<'_>, Formula<'_>, Formula<'_>); 3] = [
            (
                AdversarialKind::Hinge,
                &|r| (1.0 - r).max(0.0),
                &|r| (1.0 + r).max(0.0),
                &|r| -r,
            ),
            (
                AdversarialKind::LeastSquares,
                &|r| (r - 1.0).powi(2) / 2.0,
                &|r| r * r / 2.0,
                &|r| (r - 1.0).powi(2) / 2.0,
            ),
            (
                AdversarialKind::NonSaturating,
                &|r| plus(-r),
                &|r| plus(r),
                &|r| plus(-r),
            ),
        ];
        for (kind, real, made, fool) in table {
            let judged = |is_real: f32| {
                judge_loss(
                    kind,
                    grid(logits.to_vec()),
                    grid(vec![is_real; logits.len()]),
                )
            };
            same(judged(1.0), real, "real");
            same(judged(0.0), made, "made");
            same(fooling_loss(kind, grid(logits.to_vec())), fool, "generator");
        }
    }
}
