//! Loss terms: pure functions of tensors, each a mean that does not depend on the batch's or the picture's
//! size; of the gradient penalty that holds for a score of unit strength a picture (see
//! `gradient_penalty`).

use crate::number::Real;
use burn::tensor::{Tensor, activation};

use crate::model::Posterior;
use crate::ops;
use crate::settings::AdversarialKind;

/// Mean absolute error, `1/n sum |a - b|` over every value: the Laplace likelihood up to constants. Shape
/// `[1]`.
///
/// Summed a row at a time: one f32 sum over a whole batch loses digits on the processor.
pub(crate) fn absolute_error(a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
    if ops::is_near_wgsl(&a.device()) {
        return ops::mean_error(a, b);
    }
    let [n, c, h, w] = a.dims();
    let rows = (a - b).abs().reshape([n * c * h, w]).mean_dim(1); // [n*c*h, 1]
    rows.reshape([n * c, h]).mean_dim(1).reshape([n * c]).mean()
}

/// The posterior's divergence from N(0, 1) in nats per picture value: `KL / values`, mean over the batch,
/// of shape `[1]`.
///
/// With `absolute_error` as likelihood of scale `b`, the evidence bound (Kingma and Welling 2014) asks for a
/// weight of `b` on this term; above it the code is shorter, below it pictures are sharper.
pub(crate) fn divergence(posterior: &Posterior, values: usize) -> Tensor<1> {
    posterior.divergence(values)
}

impl AdversarialKind {
    /// Whether all labels are trained against each other, so that their probabilities mean something. The
    /// other kinds train the score of a patch's own style against that of fake alone: no style is
    /// distinguished from another.
    #[must_use]
    pub fn tells_styles(self) -> bool {
        self == Self::Likelihood
    }

    /// Probability that a patch is real, by its real-or-fake logit `r` in the style that it has or was
    /// generated for: the logistic function, and for least squares, whose targets are 1 and 0, `r` itself
    /// within 0 and 1.
    ///
    /// # Shapes
    /// `logits`: any; returns likewise, 0 to 1.
    ///
    /// # Panics
    /// For the likelihood, under which a probability is over all labels.
    pub(crate) fn real_prob<const D: usize>(self, logits: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Hinge | Self::NonSaturating => activation::sigmoid(logits),
            Self::LeastSquares => logits.clamp(0.0, 1.0),
            Self::Likelihood => panic!("the likelihood is over all labels"),
        }
    }
}

/// The discriminator's loss of each patch, by its real-or-fake logit `r` in the style that it has or was
/// generated for.
///
/// # Shapes
/// `logits`: `[b, h, w]`; `real`: likewise, 1 where the patch is real and 0 where it is fake; returns `[b]`,
/// mean over patches.
///
/// # Panics
/// For the likelihood, which is no function of one logit.
pub(crate) fn discriminator_loss(
    kind: AdversarialKind,
    logits: Tensor<3>,
    real: Tensor<3>,
) -> Tensor<1> {
    let sign = real.clone().mul_scalar(2.0) - 1.0;
    a_picture(match kind {
        AdversarialKind::Hinge => activation::relu((sign * logits).neg() + 1.0),
        AdversarialKind::LeastSquares => (logits - real).square().mul_scalar(0.5),
        AdversarialKind::NonSaturating => softplus((sign * logits).neg()),
        AdversarialKind::Likelihood => panic!("the likelihood is the discriminator's own"),
    })
}

/// The generator's loss against the discriminator: `-r`, `(r - 1)^2 / 2` or `softplus(-r)`, sources as
/// [`discriminator_loss`].
///
/// # Shapes
/// `logits`: `[b, h, w]`; returns `[b]`, mean over patches.
///
/// # Panics
/// For the likelihood, which is no function of one logit.
pub(crate) fn generator_loss(kind: AdversarialKind, logits: Tensor<3>) -> Tensor<1> {
    a_picture(match kind {
        AdversarialKind::Hinge => logits.neg(),
        AdversarialKind::LeastSquares => (logits - 1.0).square().mul_scalar(0.5),
        AdversarialKind::NonSaturating => softplus(logits.neg()),
        AdversarialKind::Likelihood => panic!("the likelihood is the discriminator's own"),
    })
}

/// A term whose gradient to the parameters of `score` is that of half the mean squared gradient of `score` to
/// the pictures, and whose value is the whole: `|g| (score(x + h u) - score(x - h u)) / 2h` with `g` the
/// gradient, `u = g / |g|`, both constant. First-order differentiation suffices. Shape `[1]`.
///
/// # Shapes
/// `pictures`: `[n, c, H, W]`, without a graph; `score`: `[m, c, H, W] -> [m]`. Where it gathers `P` patches
/// that see windows, the sum over `sqrt(P)` makes the penalty that of one patch, whatever the picture's size.
///
/// # Source
/// R1: Mescheder, Geiger, Nowozin 2018, equation 9; the central difference: own derivation.
pub(crate) fn gradient_penalty(
    pictures: Tensor<4>,
    score: impl Fn(Tensor<4>) -> Tensor<1>,
) -> Tensor<1> {
    let [n, c, h, w] = pictures.dims();
    let x = Tensor::from_inner(pictures.clone()).require_grad();
    let gradients = score(x.clone()).sum().backward();
    let gradient = x
        .grad(&gradients)
        .expect("the score depends on its pictures");
    let norm = gradient
        .clone()
        .square()
        .reshape([n, c * h * w])
        .sum_dim(1)
        .sqrt(); // [n, 1]
    let direction = gradient / (norm.clone() + 1e-12).reshape([n, 1, 1, 1]);
    // 0.01 a value in root mean square, where the picture's range is 2: far above rounding, far below any
    // stroke.
    let reach = 0.01 * (c * h * w).to_f32().sqrt();
    let step = direction.mul_scalar(reach);
    let both = Tensor::cat(vec![pictures.clone() + step.clone(), pictures - step], 0);
    let mut halves = score(Tensor::from_inner(both)).split(n, 0).into_iter();
    let (ahead, behind) = halves
        .next()
        .zip(halves.next())
        .expect("2n scores split into two");
    let slope = (ahead - behind).div_scalar(2.0 * reach);
    (Tensor::from_inner(norm.reshape([n])) * slope).mean()
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
    use crate::rng::{Rng, Stream};

    #[test]
    fn gradient_penalty_has_the_value_and_gradients_of_an_analytic_network() {
        // score(x) = sum a sin 3x + w v x, whose gradient to x is g = 3 a cos 3x + w v: bent, so that a step
        // too long is as wrong as one that drowns in rounding.
        let device = Device::flex().autodiff();
        let (n, values) = (3, 2 * 4 * 4);
        let draw = |step, count| Rng::new(2, Stream::TEST, step).normals(count);
        let (pictures, v) = (draw(0, n * values), draw(1, values));
        let (a, w) = (0.3_f32, -0.7_f32);
        let scalar = |value| Tensor::<1>::from_data([value], &device).require_grad();
        let (a_tensor, w_tensor) = (scalar(a), scalar(w));
        let direction = Tensor::<4>::from_data(TensorData::new(v.clone(), [1, 2, 4, 4]), &device);
        let penalty = gradient_penalty(
            Tensor::from_data(
                TensorData::new(pictures.clone(), [n, 2, 4, 4]),
                &Device::flex(),
            ),
            |x| {
                let m = x.dims()[0];
                let waves =
                    x.clone().mul_scalar(3.0).sin() * a_tensor.clone().reshape([1, 1, 1, 1]);
                let linear = x * direction.clone() * w_tensor.clone().reshape([1, 1, 1, 1]);
                (waves + linear)
                    .reshape([m, values])
                    .sum_dim(1)
                    .reshape([m])
            },
        );
        let gradients = penalty.clone().backward();
        let (mut value, mut to_a, mut to_w) = (0.0, 0.0, 0.0);
        for (x, v) in pictures.iter().zip(v.iter().cycle()) {
            let wave = 3.0 * f64::from(3.0 * x).cos();
            let g = f64::from(a) * wave + f64::from(w * v);
            value += g * g / n.to_f64();
            // Half the gradient of g^2.
            to_a += g * wave / n.to_f64();
            to_w += g * f64::from(*v) / n.to_f64();
        }
        let close = |got: Tensor<1>, expected: f64, what: &str| {
            let got = f64::from(crate::arrays::values_of(got)[0]);
            assert!(
                (got - expected).abs() < 1e-3 * expected.abs(),
                "{what}: {got}, expected {expected}"
            );
        };
        close(penalty.inner(), value, "value");
        close(
            a_tensor.grad(&gradients).expect("a counts"),
            to_a,
            "gradient to a",
        );
        close(
            w_tensor.grad(&gradients).expect("w counts"),
            to_w,
            "gradient to w",
        );
    }

    type Formula<'a> = &'a dyn Fn(f64) -> f64;

    #[test]
    fn adversarial_losses_follow_their_formulas() {
        let logits = [-60.0_f32, -1.5, -0.25, 0.0, 0.5, 2.0, 60.0];
        let grid = |values: Vec<f32>| {
            let shape = [values.len(), 1, 1];
            Tensor::<3>::from_data(TensorData::new(values, shape), &Device::flex())
        };
        let same = |got: Tensor<1>, expected: &dyn Fn(f64) -> f64, what: &str| {
            for (got, r) in crate::arrays::values_of(got).into_iter().zip(logits) {
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
        for (kind, real, fake, generator) in table {
            let discriminator = |is_real: f32| {
                discriminator_loss(
                    kind,
                    grid(logits.to_vec()),
                    grid(vec![is_real; logits.len()]),
                )
            };
            same(discriminator(1.0), real, "real");
            same(discriminator(0.0), fake, "fake");
            same(
                generator_loss(kind, grid(logits.to_vec())),
                generator,
                "generator",
            );
        }
    }
}
