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

/// How a translator stands against doing nothing, over directions and figures.
struct Standing {
    /// Figures compared.
    all: usize,
    /// Those in which it is not ahead.
    behind: Vec<String>,
    /// Whether every direction has too few pictures to tell.
    is_unsure: bool,
}

impl Evaluation {
    /// `None` without a translator or without pairs.
    fn standing(&self) -> Option<Standing> {
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
        let few = |d: &Direction| d.n < LEAST_SET;
        (all > 0).then(|| Standing {
            all,
            behind,
            is_unsure: self.directions.iter().all(few),
        })
    }

    /// How often the translator is ahead of doing nothing, over directions and figures; where it is not.
    /// `None` without a translator or without pairs.
    pub fn verdict(&self) -> Option<String> {
        let Standing {
            all,
            behind,
            is_unsure,
        } = self.standing()?;
        let sure = if is_unsure {
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

    /// What to do after a training that came to this.
    pub fn advice(&self) -> &'static str {
        match self.standing() {
            None => {
                "no figure says how good the translations are: look at the samples, and train on while they get better"
            }
            Some(standing) if standing.is_unsure => {
                "look at the samples rather than at figures; more pictures help most, then a start from trained weights (--from built-in)"
            }
            Some(standing) if standing.behind.is_empty() => {
                "it is ready for use; train on if its pictures are not good enough for you"
            }
            Some(_) => {
                "train on, for twice as long or more, or start from trained weights (--from built-in)"
            }
        }
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
        for (of, advice) in [
            (better, "ready for use"),
            (mixed, "train on, for twice"),
            (worse, "more pictures help most"),
            (evaluation(None, measured(0.2, None), 60), "no figure"),
        ] {
            assert!(of.advice().contains(advice), "{}", of.advice());
        }
    }
}
