//! What the figures say about a training that goes wrong, and what to try. Pure: ticks in, conditions out.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::figures::Figure;
use super::tick::Tick;
use crate::model::{DiscriminatorConfig, TransitionKind};
use crate::number::Real;
use crate::settings::{AdversarialKind, Config};

/// Ticks in a row that must agree before a state begins or ends: one tick may be chance.
const AGREEING_TICKS: usize = 3;
/// Loss of a discriminator that is right about nearly every patch, nats per patch: it gives the truth 0.9.
const SURE_NATS: f32 = 0.1;
/// D(real) of such a discriminator. Its loss on real pictures may stay higher: a likelihood also pays for
/// distinguishing the styles, and some pictures are the same in two.
const SURE_PROB: f32 = 0.95;
/// Generator's loss against a discriminator that it never convinces: with likelihoods, its probability of
/// real is 0.05.
const UNCONVINCING: f32 = 3.0;
/// The same with least squares, whose loss is 0.5 where a translation scores 0, the target for fakes.
const UNCONVINCING_SQUARES: f32 = 0.4;
/// Divergence below which a latent says next to nothing, nats per picture value.
const COLLAPSED_NATS: f32 = 0.01;
/// Share of the time waiting for pictures above which they hold the device up.
const STARVING_SHARE: f64 = 0.2;

/// A state of a training that a person should know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// The discriminator separates fake from real almost everywhere: the generator learns nothing from it any
    /// more.
    DiscriminatorWins,
    /// The latent carries next to nothing of the picture.
    PosteriorCollapse,
    /// One label reaches over more than half of the patch grid: the transitions drown what the patches say.
    CrfSaturated,
    /// The device waits for pictures.
    DataStarves,
}

impl Condition {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [
        Self::DiscriminatorWins,
        Self::PosteriorCollapse,
        Self::CrfSaturated,
        Self::DataStarves,
    ];

    /// What it is and what to try with this configuration, in one line.
    pub(crate) fn advice(self, config: &Config) -> &'static str {
        match self {
            Self::DiscriminatorWins => {
                "the discriminator wins: it is sure of nearly every patch and no translation convinces it; lower \
                 train.discriminator_rate, raise loss.adversarial, or give it more varied pictures (augment.*)"
            }
            Self::PosteriorCollapse => {
                "the posterior has collapsed: the latent says next to nothing of the picture; lower loss.kl or raise \
                 loss.reconstruction"
            }
            Self::CrfSaturated if config.discriminator.transitions == TransitionKind::Potts => {
                "the CRF is saturated: a label reaches over more than half of the patch grid; lower discriminator.potts"
            }
            Self::CrfSaturated => {
                "the CRF is saturated: a label reaches over more than half of the patch grid; lower discriminator.a_max or \
                 train.transition_rate_factor"
            }
            Self::DataStarves => {
                "the device waits for pictures more than a fifth of the time; give the process more processor cores, or \
                 lower augment.affine_prob"
            }
        }
    }

    /// Whether one tick of a run of this configuration shows it.
    pub(crate) fn holds(self, tick: &Tick, config: &Config) -> bool {
        match self {
            Self::DiscriminatorWins => {
                let unconvincing = match config.loss.adversarial_kind {
                    AdversarialKind::LeastSquares => UNCONVINCING_SQUARES,
                    _ => UNCONVINCING,
                };
                let is_sure_of_real =
                    tick[Figure::DReal] < SURE_NATS || tick[Figure::DRealProb] > SURE_PROB;
                is_sure_of_real
                    && tick[Figure::DFake] < SURE_NATS
                    && tick[Figure::GAdversarial] > unconvincing
            }
            Self::PosteriorCollapse => tick[Figure::GKl] < COLLAPSED_NATS,
            Self::CrfSaturated => {
                let grid = config.data.size_px as usize / DiscriminatorConfig::PATCH_STRIDE;
                tick.crf_coupling_length > 0.5 * grid.to_f32()
            }
            Self::DataStarves => tick.data_wait_share > STARVING_SHARE,
        }
    }
}

/// Follows a run tick by tick and says when a state begins.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Watch {
    config: Config,
    recent: VecDeque<Tick>,
    active: BTreeSet<Condition>,
}

impl Watch {
    /// Over a run of this configuration.
    pub fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            recent: VecDeque::new(),
            active: BTreeSet::new(),
        }
    }

    /// Takes the next tick; returns the states that begin with it. A state ends once as many ticks in a row
    /// lack it.
    pub fn observe(&mut self, tick: &Tick) -> Vec<Condition> {
        if self.recent.len() == AGREEING_TICKS {
            self.recent.pop_front();
        }
        self.recent.push_back(tick.clone());
        let mut begun = Vec::new();
        if self.recent.len() < AGREEING_TICKS {
            return begun;
        }
        for condition in Condition::ALL {
            let count = self
                .recent
                .iter()
                .filter(|tick| condition.holds(tick, &self.config))
                .count();
            if count == AGREEING_TICKS && self.active.insert(condition) {
                begun.push(condition);
            } else if count == 0 {
                self.active.remove(&condition);
            }
        }
        begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The quickstart at step 975.
    fn healthy() -> Tick {
        Tick {
            step: 975,
            kimg: 7.8,
            figures: [
                (Figure::DReal, 0.305),
                (Figure::DFake, 0.223),
                (Figure::DComposite, 0.380),
                (Figure::DRealProb, 0.83),
                (Figure::DFakeProb, 0.15),
                (Figure::GReconstruction, 0.053),
                (Figure::GKl, 1.98),
                (Figure::GCycle, 0.088),
                (Figure::GAdversarial, 0.306),
                (Figure::DNorm, 0.58),
                (Figure::GNorm, 4.57),
            ]
            .into_iter()
            .collect(),
            crf_stay_log_odds: 1.976,
            crf_coupling_length: 2.54,
            secs_per_kimg: 32.0,
            data_wait_share: 0.005,
            phases: None,
            memory_bytes: 80_000_000,
            peak_memory_bytes: 90_013_696,
            device_memory_bytes: None,
            secs_left: 262.4,
        }
    }

    fn config(sets: &[&str]) -> Config {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        Config::resolve(None, &sets).expect("a configuration")
    }

    fn ill(condition: Condition) -> Tick {
        let mut tick = healthy();
        match condition {
            Condition::DiscriminatorWins => {
                (
                    tick[Figure::DReal],
                    tick[Figure::DFake],
                    tick[Figure::GAdversarial],
                ) = (0.01, 0.02, 6.0);
            }
            Condition::PosteriorCollapse => tick[Figure::GKl] = 1e-4,
            Condition::CrfSaturated => tick.crf_coupling_length = 4.1,
            Condition::DataStarves => tick.data_wait_share = 0.6,
        }
        tick
    }

    #[test]
    fn each_state_is_told_from_health_and_from_the_others() {
        let small = config(&["data.size_px=32"]);
        for condition in Condition::ALL {
            assert!(!condition.holds(&healthy(), &small), "{condition:?}");
            for other in Condition::ALL {
                assert_eq!(
                    condition.holds(&ill(other), &small),
                    condition == other,
                    "{condition:?}, {other:?}"
                );
            }
        }
        // The same reach is nothing on a larger grid.
        assert!(!Condition::CrfSaturated.holds(&ill(Condition::CrfSaturated), &config(&[])));
        // With the CRF's likelihood and a generator that stands still (quickstart, 600 steps): styles cost
        // something still.
        let mut tick = ill(Condition::DiscriminatorWins);
        (tick[Figure::DReal], tick[Figure::DRealProb]) = (0.14, 0.996);
        assert!(Condition::DiscriminatorWins.holds(&tick, &small));
        // One that calls everything fake has won nothing.
        (tick[Figure::DReal], tick[Figure::DRealProb]) = (4.0, 0.02);
        assert!(!Condition::DiscriminatorWins.holds(&tick, &small));
        // A sure discriminator that the generator still convinces has not won.
        let mut tick = ill(Condition::DiscriminatorWins);
        tick[Figure::GAdversarial] = 0.5;
        assert!(!Condition::DiscriminatorWins.holds(&tick, &small));
        // With least squares that is as bad as it gets.
        let squares = config(&[
            "discriminator.head=patch",
            "loss.adversarial_kind=least-squares",
        ]);
        assert!(Condition::DiscriminatorWins.holds(&tick, &squares));
    }

    #[test]
    fn advice_names_what_the_configuration_has() {
        let learned = Condition::CrfSaturated.advice(&config(&[]));
        let fixed = Condition::CrfSaturated.advice(&config(&["discriminator.transitions=potts"]));
        assert!(learned.contains("a_max") && !learned.contains("potts"));
        assert!(fixed.contains("discriminator.potts") && !fixed.contains("a_max"));
    }

    #[test]
    fn a_state_is_told_once_each_time_it_begins() {
        let mut watch = Watch::new(&config(&["data.size_px=32"]));
        let (well, ill) = (healthy(), ill(Condition::PosteriorCollapse));
        let mut begun =
            |ticks: &[&Tick]| -> usize { ticks.iter().map(|tick| watch.observe(tick).len()).sum() };
        assert_eq!(begun(&[&well, &ill, &ill]), 0, "two ticks may be chance");
        assert_eq!(begun(&[&ill]), 1);
        assert_eq!(
            begun(&[&ill, &well, &ill, &well, &well, &ill, &ill, &ill]),
            0,
            "it never ended"
        );
        assert_eq!(begun(&[&well, &well, &well]), 0);
        assert_eq!(begun(&[&ill, &ill, &ill, &ill]), 1, "it began again");
    }
}
