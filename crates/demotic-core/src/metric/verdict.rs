//! What an evaluation comes to, in a sentence.

use super::evaluation::{Direction, Evaluation};
use super::interval::Estimate;
use super::kid::LEAST_SET;
use super::measured::{Measured, is_lower_better};
use crate::data::PairKind;

/// A figure: its key, its name in a sentence, and its value in [`Measured`].
type Compared = (
    &'static str,
    &'static str,
    fn(&Measured) -> Option<Estimate>,
);

/// What a translation is compared with its input in; PSNR says what L1 and SSIM say.
const COMPARED: [Compared; 4] = [
    ("l1", "L1", |m| Some(m.l1)),
    ("ssim", "SSIM", |m| Some(m.ssim)),
    ("perceptual", "perceptual distance", |m| Some(m.perceptual)),
    ("kid", "KID", |m| m.kid),
];
/// Shortfalls that are named one by one.
const NAMED: usize = 3;
/// Translations whose distance to the style is a smaller share of their inputs' look like it.
const LIKE_SHARE: f64 = 0.5;
/// And somewhat like it.
const SOMEWHAT_SHARE: f64 = 0.9;

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
    /// What a person would see first: style, colours, shapes; docs/scoring.md says by which figures. `None`
    /// where no figure says anything of it.
    pub(crate) fn plainly(&self) -> Option<String> {
        let mut said = Vec::new();
        if let Some(share) = self.distance_share() {
            said.push(if share < LIKE_SHARE {
                "translations look like the style"
            } else if share < SOMEWHAT_SHARE {
                "translations look somewhat like the style"
            } else {
                "translations look no more like the style than their inputs"
            });
        }
        // Pixels tell where one style was drawn over the other.
        let aligned = self
            .directions
            .iter()
            .filter(|d| d.kind == PairKind::Aligned);
        let colours = aligned
            .clone()
            .filter_map(|d| Some((d.model?.l1, d.remap?.l1)));
        if let Some([model, remap]) = sums(colours) {
            said.push(if model < remap {
                "colours are mostly right"
            } else {
                "colours are often wrong"
            });
        }
        let shapes = aligned.filter_map(|d| Some((d.model?.ssim, d.copy.ssim)));
        if let Some([model, copy]) = sums(shapes) {
            said.push(if model < copy {
                "shapes suffer"
            } else {
                "shapes are kept"
            });
        }
        let paired = self.directions.iter().map(|d| d.n);
        let mut counts = paired.chain(self.unpaired.iter().map(|d| d.n));
        let sure = if counts.all(|n| n < LEAST_SET) {
            ", as far as few pictures tell"
        } else {
            ""
        };
        (!said.is_empty()).then(|| said.join("; ") + sure)
    }

    /// Distance of the translations to the style over that of their inputs: KID, where there are pictures
    /// enough, else the perceptual distance to the true pictures.
    fn distance_share(&self) -> Option<f64> {
        let paired = |figure: fn(&Measured) -> Option<Estimate>| {
            let of = move |d: &Direction| Some((figure(&d.model?)?, figure(&d.copy)?));
            self.directions.iter().filter_map(of)
        };
        let unpaired = self.unpaired.iter();
        let unpaired = unpaired.filter_map(|d| Some((d.model?.kid, d.copy.kid)));
        let sets = sums(paired(|m| m.kid).chain(unpaired));
        let [model, copy] = sets.or_else(|| sums(paired(|m| Some(m.perceptual))))?;
        (copy > 0.0).then(|| model.max(0.0) / copy)
    }

    /// `None` without a translator or without pairs.
    fn standing(&self) -> Option<Standing> {
        let mut behind = Vec::new();
        let mut all = 0;
        for direction in &self.directions {
            let Some(model) = &direction.model else {
                continue;
            };
            for (key, name, figure) in COMPARED {
                let (Some(model), Some(copy)) = (figure(model), figure(&direction.copy)) else {
                    continue;
                };
                all += 1;
                let is_ahead = if is_lower_better(key) == Some(true) {
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
    pub(crate) fn verdict(&self) -> Option<String> {
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

    /// What to do after a training that came to this; `past_best`: the step of its best weights, where they
    /// are far behind its last.
    pub fn advice(&self, past_best: Option<u64>) -> String {
        let no_help = past_best.map(|step| {
            format!("its best weights are of step {step}, so more steps at these rates are no help")
        });
        match (self.standing(), no_help) {
            (None, _) => {
                "no figure says how good the translations are: look at the samples, and train on while they get better"
                    .into()
            }
            (Some(standing), _) if standing.is_unsure => {
                "look at the samples rather than at figures; more pictures help most, then a start from trained weights (--from built-in)"
                    .into()
            }
            (Some(standing), None) if standing.behind.is_empty() => {
                "it is ready for use; train on if its pictures are not good enough for you".into()
            }
            (Some(standing), Some(no_help)) if standing.behind.is_empty() => {
                format!("it is ready for use; {no_help}")
            }
            (Some(_), None) => {
                "train on, for twice as long or more, or start from trained weights (--from built-in)"
                    .into()
            }
            (Some(_), Some(no_help)) => {
                format!(
                    "{no_help}: halve train.generator_rate and train.discriminator_rate, or start from trained weights (--from built-in)"
                )
            }
        }
    }
}

/// Sums of the first and of the second of some pairs; `None` of none.
fn sums(pairs: impl Iterator<Item = (Estimate, Estimate)>) -> Option<[f64; 2]> {
    pairs.fold(None, |sums, (a, b)| {
        let [first, second] = sums.unwrap_or([0.0; 2]);
        Some([first + a.value, second + b.value])
    })
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
    fn a_person_is_told_of_style_colours_and_shapes() {
        let reported = |model: Measured, copy: Measured, remap: f64, kind: PairKind| {
            let mut found = evaluation(Some(model), copy, 60);
            found.directions[0].remap = Some(measured(remap, None));
            found.directions[0].kind = kind;
            found.plainly()
        };
        let (near, far) = (measured(0.1, Some(4.0)), measured(0.2, Some(9.0)));
        assert_eq!(
            reported(near, far, 0.15, PairKind::Aligned).as_deref(),
            Some("translations look like the style; colours are mostly right; shapes are kept")
        );
        assert_eq!(
            reported(far, near, 0.15, PairKind::Aligned).as_deref(),
            Some(
                "translations look no more like the style than their inputs; colours are often wrong; shapes suffer"
            )
        );
        // Where styles are drawn anew, pixels say nothing; without KID the perceptual distance speaks.
        let (near, far) = (measured(0.15, None), measured(0.2, None));
        assert_eq!(
            reported(near, far, 0.1, PairKind::Loose).as_deref(),
            Some("translations look somewhat like the style")
        );
        assert_eq!(evaluation(None, far, 60).plainly(), None);
        let few = evaluation(Some(near), far, 6).plainly();
        assert_eq!(
            few.as_deref(),
            Some("translations look somewhat like the style, as far as few pictures tell")
        );
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
        for (of, advice, past_best) in [
            (better, "ready for use; train on", "ready for use; its best"),
            (
                mixed,
                "train on, for twice",
                "weights are of step 9, so more",
            ),
            (worse, "more pictures help most", "more pictures help most"),
            (
                evaluation(None, measured(0.2, None), 60),
                "no figure",
                "no figure",
            ),
        ] {
            let said = [of.advice(None), of.advice(Some(9))];
            assert!(said[0].contains(advice), "{}", said[0]);
            assert!(said[1].contains(past_best), "{}", said[1]);
        }
    }
}
