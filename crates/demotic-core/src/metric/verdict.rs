//! What an evaluation comes to, in a sentence.

use super::evaluation::{Direction, Evaluation};
use super::interval::Estimate;
use super::kid::LEAST_SET;
use super::measured::Measured;

/// A figure: its name, its value in [`Measured`], and whether a lower one is better.
type Compared = (&'static str, fn(&Measured) -> Option<Estimate>, bool);

/// What a translation is held against its input in; PSNR says what L1 and SSIM say.
const COMPARED: [Compared; 4] = [
    ("L1", |m| Some(m.l1), true),
    ("SSIM", |m| Some(m.ssim), false),
    ("perceptual distance", |m| Some(m.perceptual), true),
    ("KID", |m| m.kid, true),
];
/// Shortfalls that are named one by one.
const NAMED: usize = 3;

impl Evaluation {
    /// How often the translator is ahead of doing nothing, over directions and figures; where it is not.
    /// `None` without a translator or without pairs.
    pub fn verdict(&self) -> Option<String> {
        let mut behind = Vec::new();
        let mut all = 0;
        for direction in &self.directions {
            let Some(model) = &direction.model else {
                continue;
            };
            for (name, figure, is_lower_better) in COMPARED {
                let (Some(model), Some(copy)) = (figure(model), figure(&direction.copy)) else {
                    continue;
                };
                all += 1;
                let is_ahead = if is_lower_better {
                    model.value < copy.value
                } else {
                    model.value > copy.value
                };
                if !is_ahead {
                    behind.push(format!("{name} of {} -> {}", direction.from, direction.to));
                }
            }
        }
        if all == 0 {
            return None;
        }
        let few = |d: &Direction| d.n < LEAST_SET;
        let sure = if self.directions.iter().all(few) {
            format!(", but of fewer than {LEAST_SET} pictures: look at them rather than at this")
        } else {
            String::new()
        };
        let ahead = all - behind.len();
        Some(match behind.as_slice() {
            [] => format!("ahead of the unchanged input in all {all} figures{sure}"),
            some => {
                let named = some
                    .iter()
                    .take(NAMED)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(", ");
                let more = match some.len().saturating_sub(NAMED) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                format!(
                    "ahead of the unchanged input in {ahead} of {all} figures, behind in {named}{more}{sure}"
                )
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::PairKind;

    fn measured(value: f64, kid: Option<f64>) -> Measured {
        let estimate = |value: f64| Estimate {
            value,
            low: value,
            high: value,
        };
        Measured {
            l1: estimate(value),
            psnr: estimate(value),
            ssim: estimate(1.0 - value),
            perceptual: estimate(value),
            kid: kid.map(estimate),
            alpha_l1: None,
        }
    }

    fn evaluation(model: Option<Measured>, copy: Measured, n: usize) -> Evaluation {
        let direction = Direction {
            from: "a".into(),
            to: "b".into(),
            kind: PairKind::Loose,
            n,
            model,
            copy,
            remap: None,
            nearest: None,
        };
        Evaluation {
            directions: vec![direction],
            kinds: vec![],
            unpaired: vec![],
            prior: vec![],
            recognition: None,
            notes: vec![],
        }
    }

    #[test]
    fn shortfalls_are_counted_and_named() {
        let better = evaluation(Some(measured(0.1, Some(5.0))), measured(0.2, Some(9.0)), 60);
        assert_eq!(
            better.verdict().as_deref(),
            Some("ahead of the unchanged input in all 4 figures")
        );
        let mixed = evaluation(Some(measured(0.1, Some(9.5))), measured(0.2, Some(9.0)), 60);
        assert_eq!(
            mixed.verdict().as_deref(),
            Some("ahead of the unchanged input in 3 of 4 figures, behind in KID of a -> b")
        );
        let worse = evaluation(Some(measured(0.3, None)), measured(0.2, None), 6);
        let said = worse.verdict().expect("a verdict");
        assert!(
            said.contains("in 0 of 3 figures") && said.contains("fewer than 30"),
            "{said}"
        );
        assert_eq!(evaluation(None, measured(0.2, None), 60).verdict(), None);
    }
}
