//! The same training on several devices: same weights, noise and batches; how long, how much memory, how far
//! apart.
//!
//! Every device is set up alone, then all are timed in alternating rounds: a machine that is busy for a while
//! is busy for all of them, and what is said of two devices comes from ratios within rounds.

use std::time::Instant;

use serde::Serialize;

use crate::allocation::{self, peak_memory_bytes};
use crate::arrays::weights_of;
use crate::data::Dataset;
use crate::device::{Chosen, open, shader_language};
use crate::error::{Error, caught};
use crate::number::{Real, Whole};
use crate::settings::Config;
use crate::train::{Launches, Phases, Tick, Traffic, Trainer, launches, traffic};

/// Steps that are not timed: the first compiles and tunes, the second is the first one with all optimiser
/// state there.
pub const SET_UP_STEPS: u64 = 2;

/// Rounds at most; blocks of steps become longer instead.
const ROUNDS_MAX: u64 = 20;

/// Steps that are measured phase by phase, after the ones that are timed.
const PHASE_STEPS: usize = 3;

/// Confidence of the interval around a median ratio.
const CONFIDENCE: f64 = 0.99;

/// A device to measure.
#[derive(Debug)]
pub struct Entrant {
    /// As it was asked for, with a number where it was asked for twice.
    pub name: String,
    /// The device, or why it did not open.
    pub opened: Result<Chosen, Error>,
}

/// All devices, side by side.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Steps that every device took, those of its set-up among them.
    pub steps: u64,
    /// Steps in each round.
    pub round_steps: Vec<u64>,
    /// Styles of the data set.
    pub styles: usize,
    /// Trainable values of generator and discriminator; none where no device made them.
    pub(crate) parameters: Option<[usize; 2]>,
    /// In the order asked for.
    pub devices: Vec<Outcome>,
    /// Every device against the fastest, in the order asked for.
    pub faster: Vec<Faster>,
    /// Highest resident memory of the process, all trainers together.
    pub host_peak_bytes: u64,
}

/// What became of one device.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// As in [`Entrant`].
    pub name: String,
    /// In words; empty where it did not open.
    pub device: String,
    /// The language of its kernels; `none` on the processor, empty where it did not open.
    pub shader_language: String,
    /// Why there are no figures.
    pub failure: Option<String>,
    /// The figures, beside these.
    #[serde(flatten)]
    pub measured: Option<Measured>,
}

/// What one device did.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// The first step in this process, compiling and tuning among it.
    pub first_secs: f64,
    /// Every timed step, in order.
    pub(crate) step_secs: Vec<f64>,
    /// A step of each round: the median of its steps.
    pub(crate) round_secs: Vec<f64>,
    /// Spread of the timed steps.
    pub spread: Spread,
    /// Pictures translated a second, by the median.
    pub pictures_per_sec: f64,
    /// Where the time goes, by further steps that wait after every phase.
    pub phases: Option<Phases>,
    /// Kernel launches of the last of those; none where the device launches none that are seen.
    pub launches: Option<Launches>,
    /// What the first step asked of the driver; none where that was not asked for, or where there is none.
    pub first_traffic: Option<Traffic>,
    /// The same of a further step, at whose end it waits for the device.
    pub traffic: Option<Traffic>,
    /// Seconds of each kernel in a further step by the device's own clock, the most first; none where that
    /// was not asked for, or where the driver gives no timestamps.
    pub kernel_secs: Option<Vec<(String, f64)>>,
    /// Most of the host's memory that this device's trainer had in use at once, set-up and timed steps alike:
    /// blocks that the program counts (see [`allocation`]), not what a driver takes by itself. 0 where
    /// nothing counts.
    pub host_bytes: u64,
    /// What the device's allocator has taken, for all trainers on that device; none where it does not say.
    pub device_bytes: Option<u64>,
    /// Distance from the first device with figures; none for that one.
    pub apart: Option<Apart>,
    #[serde(skip)]
    losses: Vec<Losses>,
    #[serde(skip)]
    weights: Vec<f32>,
}

/// Every loss of a step; a penalty that was not due counts as 0.
type Losses = Vec<f32>;

/// Median and quartiles in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// A quarter is faster.
    pub low_secs: f64,
    /// The middle.
    pub median_secs: f64,
    /// A quarter is slower.
    pub high_secs: f64,
}

/// How far one training is from another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Apart {
    /// Largest difference of a loss at any step, over its size there (0.1 at least).
    pub losses_relative_max: f64,
    /// Largest difference of a weight of both networks at the end.
    pub weights_max: f64,
    /// The middle one.
    pub weights_median: f64,
}

/// `fast` is `times` +- `spread` times faster than `slow`, where that is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Faster {
    /// Name of the faster device.
    pub fast: String,
    /// Name of the slower one.
    pub slow: String,
    /// Median over rounds of the slower one's seconds over the faster one's in the same round.
    pub times: f64,
    /// The 99 % interval of that median; none of fewer than 8 rounds.
    pub interval: Option<[f64; 2]>,
    /// Half the interval's width.
    pub spread: Option<f64>,
    /// How many ratios there are.
    pub rounds: usize,
    /// Whether the interval leaves out 1: otherwise no difference was seen.
    pub is_told: bool,
}

/// A device at work. Those that failed have an error in its place.
struct Running<'a> {
    trainer: Trainer<'a>,
    first_secs: f64,
    step_secs: Vec<f64>,
    losses: Vec<Losses>,
    weights: Vec<f32>,
    phases: Vec<Phases>,
    launches: Launches,
    first_traffic: Option<Traffic>,
    traffic: Option<Traffic>,
    kernel_secs: Vec<(String, f64)>,
    /// In use after the set-up, beyond what was before it.
    held_bytes: usize,
    host_bytes: usize,
    device_bytes: Option<u64>,
}

impl Entrant {
    /// Opens every device; one that does not open keeps its place. A name that was asked for before gets a
    /// number behind it. `is_profiled`: as of [`compare`].
    ///
    /// # Errors
    /// [`Error::Config`] for a name that is no device's.
    pub fn open_all(asked: &[String], is_profiled: bool) -> Result<Vec<Self>, Error> {
        if is_profiled {
            traffic::log_tuner();
        }
        asked
            .iter()
            .enumerate()
            .map(|(place, name)| {
                let before = asked[..place].iter().filter(|other| *other == name);
                let name_told = match before.count() {
                    0 => name.clone(),
                    count => format!("{name} ({})", count + 1),
                };
                match attempted(|| open(name)) {
                    Err(error) if error.is_input() => Err(error),
                    opened => Ok(Self {
                        name: name_told,
                        opened,
                    }),
                }
            })
            .collect()
    }
}

/// Trains `steps` steps from the start on each device and measures. A device that fails loses its own figures
/// alone. `report` hears what runs now. `is_profiled`: what the first step and one at the end ask of the
/// driver is counted, and kernels are timed one by one in another.
///
/// # Errors
/// What the trainer refuses of the configuration: that is no device's failure.
///
/// # Panics
/// On no timed step: fewer than three.
pub fn compare(
    entrants: Vec<Entrant>,
    config: &Config,
    dataset: &Dataset,
    steps: u64,
    is_profiled: bool,
    report: &mut dyn FnMut(&str),
) -> Result<Comparison, Error> {
    let mut config = config.clone();
    // The schedule is that of the run; phases are measured at a tick's last step, and the timed ones are to
    // have none.
    config.train.tick_steps = u64::MAX;
    // Each alone: what it compiles, tunes and allocates falls into nobody else's figures.
    let mut outcomes = Vec::new();
    let mut lanes = Vec::new();
    for Entrant { name, opened } in entrants {
        report(&format!("{name}: set-up"));
        let (device, shader_language) = match &opened {
            Ok(chosen) => (
                chosen.description.clone(),
                attempted(|| Ok(shader_language(&chosen.device))).unwrap_or_default(),
            ),
            Err(_) => (String::new(), String::new()),
        };
        match opened.and_then(|chosen| attempted(|| set_up(&config, dataset, &chosen, is_profiled)))
        {
            Err(error) if error.is_input() => return Err(error),
            lane => lanes.push(lane),
        }
        outcomes.push(Outcome {
            name,
            device,
            shader_language,
            failure: None,
            measured: None,
        });
    }

    // In rounds.
    let round_steps = rounds(steps - SET_UP_STEPS);
    let mut runs =
        |number: usize, what: &str| report(&format!("{}: {what}", outcomes[number].name));
    alternate(&mut lanes, &round_steps, |number, running| {
        let next = running.trainer.step() + 1;
        runs(number, &format!("step {next} of {steps}"));
        let (secs, more) = allocation::peak_of(|| running.step());
        running.step_secs.push(secs?);
        running.host_bytes = running.host_bytes.max(running.held_bytes + more);
        Ok(())
    });
    for lane in &mut lanes {
        with_lane(lane, |running| {
            running.weights = all_weights(&running.trainer);
            let usage = running.trainer.device().memory_pool_usage();
            running.device_bytes = usage.map(|usage| usage.bytes_reserved);
            running.trainer.set_tick_steps(1);
            Ok(())
        });
    }
    alternate(&mut lanes, &[1; PHASE_STEPS], |number, running| {
        runs(number, "phases");
        let (advanced, launches) = launches::watch(|| running.trainer.advance());
        advanced?;
        running.launches = launches;
        let tick = running.trainer.tick()?;
        running.phases.extend(tick.and_then(|tick| tick.phases));
        Ok(())
    });
    if is_profiled {
        profile(&mut lanes, &mut runs);
    }

    let parameters = lanes.iter().find_map(|lane| {
        let (generator, discriminator) = lane.as_ref().ok()?.trainer.parameter_counts();
        Some([generator, discriminator])
    });
    for (outcome, lane) in outcomes.iter_mut().zip(lanes) {
        match lane {
            Ok(running) => outcome.measured = Some(running.measured(&config, &round_steps)),
            Err(error) => outcome.failure = Some(error.to_string()),
        }
    }
    hold_to_the_first(&mut outcomes);
    Ok(Comparison {
        steps,
        round_steps,
        styles: dataset.styles().len(),
        parameters,
        faster: ranking(&outcomes),
        devices: outcomes,
        host_peak_bytes: peak_memory_bytes(),
    })
}

/// Two steps more of each device: of one what it asks of the driver is counted, of the other each kernel is
/// timed.
fn profile(lanes: &mut [Result<Running<'_>, Error>], runs: &mut dyn FnMut(usize, &str)) {
    alternate(lanes, &[1], |number, running| {
        runs(number, "submissions");
        // Measuring phases waits after each.
        running.trainer.set_tick_steps(u64::MAX);
        running.finish()?;
        let (stepped, traffic) = traffic::counted(|| running.advance());
        running.traffic = traffic;
        stepped
    });
    alternate(lanes, &[1], |number, running| {
        runs(number, "kernels");
        let (stepped, kernel_secs) = launches::timed(|| running.advance());
        running.kernel_secs = kernel_secs;
        stepped
    });
}

/// A trainer after the steps that are not timed.
fn set_up<'a>(
    config: &Config,
    dataset: &'a Dataset,
    chosen: &Chosen,
    is_profiled: bool,
) -> Result<Running<'a>, Error> {
    let before = allocation::in_use();
    let (running, peak) = allocation::peak_of(|| {
        let mut running = Running {
            trainer: Trainer::new(config.clone(), dataset, &chosen.device)?,
            first_secs: 0.0,
            step_secs: Vec::new(),
            losses: Vec::new(),
            weights: Vec::new(),
            phases: Vec::new(),
            launches: Launches::default(),
            first_traffic: None,
            traffic: None,
            kernel_secs: Vec::new(),
            held_bytes: 0,
            host_bytes: 0,
            device_bytes: None,
        };
        let (first, traffic) = if is_profiled {
            traffic::counted(|| running.step())
        } else {
            (running.step(), None)
        };
        running.first_secs = first?;
        running.first_traffic = traffic;
        for _ in 1..SET_UP_STEPS {
            running.step()?;
        }
        Ok::<_, Error>(running)
    });
    let mut running = running?;
    running.held_bytes = allocation::in_use().saturating_sub(before);
    running.host_bytes = peak;
    Ok(running)
}

impl Running<'_> {
    /// Waits until the device has done all it was given.
    fn finish(&self) -> Result<(), Error> {
        let ended = self.trainer.device().sync();
        ended.map_err(|e| Error::Device(format!("the step did not end: {e}")))
    }

    /// A step to its end.
    fn advance(&mut self) -> Result<(), Error> {
        self.trainer.advance()?;
        self.finish()
    }

    /// A step to its end, in seconds; its losses are read afterwards.
    fn step(&mut self) -> Result<f64, Error> {
        let started = Instant::now();
        self.advance()?;
        let secs = started.elapsed().as_secs_f64();
        self.losses
            .extend(self.trainer.tick()?.map(|tick| losses_of(&tick)));
        Ok(secs)
    }

    fn measured(self, config: &Config, round_steps: &[u64]) -> Measured {
        // The processor has no queue.
        let of_driver = |traffic: Option<Traffic>| traffic.filter(|all| all.submissions > 0);
        let spread = Spread::of(&self.step_secs);
        let mut rest = &self.step_secs[..];
        let round_secs = round_steps.iter().map(|&steps| {
            let (round, later) = rest.split_at(steps.to_usize());
            rest = later;
            Spread::of(round).median_secs
        });
        Measured {
            first_secs: self.first_secs,
            round_secs: round_secs.collect(),
            spread,
            pictures_per_sec: config.train.batch.to_f64() / spread.median_secs,
            phases: Phases::mean(&self.phases),
            launches: (self.launches.total > 0).then_some(self.launches),
            first_traffic: of_driver(self.first_traffic),
            traffic: of_driver(self.traffic),
            kernel_secs: (!self.kernel_secs.is_empty()).then_some(self.kernel_secs),
            host_bytes: self.host_bytes as u64,
            device_bytes: self.device_bytes,
            apart: None,
            losses: self.losses,
            weights: self.weights,
            step_secs: self.step_secs,
        }
    }
}

/// Steps of each round: as many rounds as there may be, alike to one step.
fn rounds(steps: u64) -> Vec<u64> {
    let rounds = steps.min(ROUNDS_MAX);
    (0..rounds)
        .map(|round| steps * (round + 1) / rounds - steps * round / rounds)
        .collect()
}

/// Takes every device through rounds of steps, one device after the other, every second round the other way
/// about. One that fails takes no further part.
fn alternate<T>(
    lanes: &mut [Result<T, Error>],
    round_steps: &[u64],
    mut step: impl FnMut(usize, &mut T) -> Result<(), Error>,
) {
    for (round, &steps) in round_steps.iter().enumerate() {
        let mut order: Vec<usize> = (0..lanes.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for number in order {
            with_lane(&mut lanes[number], |lane| {
                (0..steps).try_for_each(|_| step(number, lane))
            });
        }
    }
}

/// Does a device's work, where it has not failed before; a failure takes its place.
fn with_lane<T>(lane: &mut Result<T, Error>, work: impl FnOnce(&mut T) -> Result<(), Error>) {
    let Ok(running) = lane else { return };
    if let Err(error) = attempted(|| work(running)) {
        // What a broken device holds stays where it is: giving it back would ask that device once more.
        std::mem::forget(std::mem::replace(lane, Err(error)));
    }
}

/// A panic of a driver as that device's failure.
fn attempted<R>(work: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
    caught(work).unwrap_or_else(|line| Err(Error::Device(line)))
}

impl Spread {
    /// # Panics
    /// On no steps.
    pub fn of(steps: &[f64]) -> Self {
        let mut sorted = steps.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * (sorted.len() - 1).to_f64();
            let (below, above) = (
                sorted[place.floor().to_usize()],
                sorted[place.ceil().to_usize()],
            );
            below + (above - below) * place.fract()
        };
        Self {
            low_secs: at(0.25),
            median_secs: at(0.5),
            high_secs: at(0.75),
        }
    }
}

impl Faster {
    /// Two devices by name, with the seconds of each round.
    fn of(a: (&str, &[f64]), b: (&str, &[f64])) -> Self {
        let mut ratios: Vec<f64> = a.1.iter().zip(b.1).map(|(a, b)| (b / a).ln()).collect();
        ratios.sort_by(f64::total_cmp);
        let rounds = ratios.len();
        let median = f64::midpoint(ratios[(rounds - 1) / 2], ratios[rounds / 2]);
        if median < 0.0 {
            return Self::of(b, a);
        }
        let interval = interval_of_median(&ratios).map(|ends| ends.map(f64::exp));
        Self {
            fast: a.0.to_owned(),
            slow: b.0.to_owned(),
            times: median.exp(),
            interval,
            spread: interval.map(|[low, high]| (high - low) / 2.0),
            rounds,
            is_told: interval.is_some_and(|[low, _]| low > 1.0),
        }
    }
}

/// The narrowest interval between two of the sorted values that holds the median of what they were drawn from
/// with the wanted confidence; none of too few values.
///
/// # Source
/// The number of values below the median is binomial with probability one half: Conover, *Practical
/// Nonparametric Statistics*, 1999, section 3.2.
fn interval_of_median(sorted: &[f64]) -> Option<[f64; 2]> {
    let count = sorted.len();
    let mut ends = None;
    // Probability that `place` values lie below the median, and that `place` or fewer do.
    let mut prob = 0.5_f64.powi(i32::try_from(count).ok()?);
    let mut tail_prob = 0.0;
    for place in 0..count / 2 {
        tail_prob += prob;
        if 2.0 * tail_prob > 1.0 - CONFIDENCE {
            break;
        }
        ends = Some([sorted[place], sorted[count - 1 - place]]);
        prob *= (count - place).to_f64() / (place + 1).to_f64();
    }
    ends
}

/// Fills in how far each is from the first that has figures.
fn hold_to_the_first(all: &mut [Outcome]) {
    let mut measured = all.iter_mut().filter_map(|one| one.measured.as_mut());
    if let Some(first) = measured.next() {
        for other in measured {
            other.apart = Some(apart(first, other));
        }
    }
}

/// Every device that has figures against the fastest of them.
fn ranking(all: &[Outcome]) -> Vec<Faster> {
    let timed: Vec<(&str, &[f64])> = all
        .iter()
        .filter_map(|one| Some((one.name.as_str(), &one.measured.as_ref()?.round_secs[..])))
        .collect();
    // Seconds over the geometric mean of all devices in the same round, median of rounds: what slows a round
    // slows all of it.
    let score = |secs: &[f64]| {
        let relative = secs.iter().enumerate().map(|(round, secs)| {
            let sum: f64 = timed.iter().map(|(_, other)| other[round].ln()).sum();
            secs.ln() - sum / timed.len().to_f64()
        });
        Spread::of(&relative.collect::<Vec<f64>>()).median_secs
    };
    let fastest = (0..timed.len()).min_by(|&a, &b| score(timed[a].1).total_cmp(&score(timed[b].1)));
    let Some(fastest) = fastest else {
        return Vec::new();
    };
    (0..timed.len())
        .filter(|&other| other != fastest)
        .map(|other| Faster::of(timed[fastest], timed[other]))
        .collect()
}

fn apart(a: &Measured, b: &Measured) -> Apart {
    let pairs = a.losses.iter().flatten().zip(b.losses.iter().flatten());
    let losses = pairs.map(|(a, b)| f64::from((a - b).abs() / a.abs().max(0.1)));
    let mut weights: Vec<f64> = a
        .weights
        .iter()
        .zip(&b.weights)
        .map(|(a, b)| f64::from((a - b).abs()))
        .collect();
    weights.sort_by(f64::total_cmp);
    Apart {
        losses_relative_max: losses.fold(0.0, f64::max),
        weights_max: weights.last().copied().unwrap_or(0.0),
        weights_median: weights.get(weights.len() / 2).copied().unwrap_or(0.0),
    }
}

fn losses_of(tick: &Tick) -> Losses {
    let losses = tick.figures.iter().filter(|(figure, _)| figure.is_loss());
    losses.map(|(_, value)| value).collect()
}

/// The weights of both networks as they stand.
fn all_weights(trainer: &Trainer<'_>) -> Vec<f32> {
    [
        weights_of(trainer.generator()),
        weights_of(trainer.discriminator()),
    ]
    .into_iter()
    .flat_map(|arrays| arrays.into_values().flat_map(|array| array.values))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(round_secs: &[f64], loss: f32, weight: f32) -> Measured {
        Measured {
            first_secs: 0.0,
            step_secs: round_secs.to_vec(),
            round_secs: round_secs.to_vec(),
            spread: Spread::of(round_secs),
            pictures_per_sec: 0.0,
            phases: None,
            launches: None,
            first_traffic: None,
            traffic: None,
            kernel_secs: None,
            host_bytes: 0,
            device_bytes: None,
            apart: None,
            losses: vec![vec![loss; 13]],
            weights: vec![weight, 0.0, 0.0],
        }
    }

    fn outcome(name: &str, measured: Option<Measured>) -> Outcome {
        Outcome {
            name: name.into(),
            device: String::new(),
            shader_language: String::new(),
            failure: measured.is_none().then(|| "lost".into()),
            measured,
        }
    }

    #[test]
    fn spreads_are_quartiles() {
        let spread = Spread::of(&[4.0, 1.0, 3.0, 2.0, 5.0]);
        assert_eq!(
            spread,
            Spread {
                low_secs: 2.0,
                median_secs: 3.0,
                high_secs: 4.0
            }
        );
        assert_eq!(Spread::of(&[1.0, 2.0]).median_secs, 1.5);
    }

    #[test]
    fn steps_are_shared_out_to_rounds() {
        assert_eq!(rounds(1), [1]);
        assert_eq!(rounds(7), [1; 7]);
        assert_eq!(rounds(40), [2; 20]);
        let uneven = rounds(49);
        assert_eq!((uneven.len(), uneven.iter().sum::<u64>()), (20, 49));
        assert!(uneven.iter().all(|&steps| steps == 2 || steps == 3));
    }

    #[test]
    fn devices_are_held_to_the_first_that_has_figures() {
        let mut all = [
            outcome("lost", None),
            outcome("first", Some(measured(&[1.0], 2.0, 1.0))),
            outcome("second", Some(measured(&[1.0], 2.5, 1.25))),
        ];
        hold_to_the_first(&mut all);
        let apart: Vec<Option<Apart>> = all
            .iter()
            .map(|one| one.measured.as_ref().and_then(|m| m.apart))
            .collect();
        let expected = Apart {
            losses_relative_max: 0.25,
            weights_max: 0.25,
            weights_median: 0.0,
        };
        assert_eq!(apart, [None, None, Some(expected)]);
    }

    #[test]
    fn a_ratio_comes_from_pairs_within_rounds_and_not_from_what_slowed_whole_rounds() {
        // Rounds that differ by a factor of ten among themselves; within each, the second device takes 1.19
        // to 1.21 times as long.
        let first: Vec<f64> = (0..10).map(|round| 1.0 + f64::from(round)).collect();
        let second = |factor: f64| -> Vec<f64> {
            let wobble = |round: usize| factor + 0.01 * (round % 3).to_f64() - 0.01;
            let pairs = first.iter().enumerate();
            pairs.map(|(round, secs)| secs * wobble(round)).collect()
        };
        let slow = Faster::of(("a", &first), ("b", &second(1.2)));
        assert_eq!((slow.fast.as_str(), slow.slow.as_str()), ("a", "b"));
        assert!((slow.times - 1.2).abs() < 1e-9 && slow.is_told, "{slow:?}");
        let [low, high] = slow.interval.expect("ten rounds");
        assert!(
            (low - 1.19).abs() < 1e-9 && (high - 1.21).abs() < 1e-9,
            "{slow:?}"
        );
        assert!((slow.spread.expect("ten rounds") - 0.01).abs() < 1e-9);
        // Whichever comes first.
        assert_eq!(Faster::of(("b", &second(1.2)), ("a", &first)).fast, "a");

        let alike = Faster::of(("a", &first), ("b", &second(1.0)));
        assert!(!alike.is_told, "{alike:?}");
        let same = Faster::of(("a", &first), ("a (2)", &first));
        assert!(same.times == 1.0 && !same.is_told, "{same:?}");
        // Seven rounds that all agree are no proof at this level: 2 in 128 by chance.
        let few = Faster::of(("a", &first[..7]), ("b", &second(1.2)[..7]));
        assert!(few.interval.is_none() && !few.is_told, "{few:?}");
    }

    #[test]
    fn intervals_of_a_median_leave_out_what_the_binomial_allows() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        // 1 - 2 * (1 + 20 + 190 + 1140) / 2^20 = 0.9974; one place further in it would be 0.9882.
        assert_eq!(interval_of_median(&values), Some([4.0, 17.0]));
        assert_eq!(interval_of_median(&values[..8]), Some([1.0, 8.0]));
        assert_eq!(interval_of_median(&values[..7]), None);
        assert_eq!(interval_of_median(&[]), None);
    }

    #[test]
    fn the_fastest_is_the_one_that_others_are_held_against() {
        let all = [
            outcome("slow", Some(measured(&[6.0; 8], 0.0, 0.0))),
            outcome("lost", None),
            outcome("fast", Some(measured(&[2.0; 8], 0.0, 0.0))),
            outcome("middle", Some(measured(&[3.0; 8], 0.0, 0.0))),
        ];
        let reported: Vec<(String, String, f64)> = ranking(&all)
            .into_iter()
            .map(|f| (f.fast, f.slow, (f.times * 1e9).round() / 1e9))
            .collect();
        let expected =
            [("slow", 3.0), ("middle", 1.5)].map(|(slow, x)| ("fast".into(), slow.into(), x));
        assert_eq!(reported, expected);
        assert!(ranking(&all[1..2]).is_empty() && ranking(&all[..1]).is_empty());
    }

    #[test]
    fn a_device_that_fails_takes_no_further_part_and_the_others_take_all_of_theirs() {
        let mut lanes: Vec<Result<u64, Error>> = vec![Ok(0), Ok(0), Ok(0), Ok(0)];
        let mut order = Vec::new();
        alternate(&mut lanes, &[2, 1, 2], |number, steps| {
            order.push(number);
            *steps += 1;
            match (number, *steps) {
                (1, 3) => panic!("the queue is lost\nat a place"),
                (2, 1) => Err(Error::Device("no memory".into())),
                _ => Ok(()),
            }
        });
        assert_eq!(order, [0, 0, 1, 1, 2, 3, 3, 3, 1, 0, 0, 0, 3, 3]);
        let ends: Vec<Result<u64, String>> = lanes
            .into_iter()
            .map(|lane| lane.map_err(|error| error.to_string()))
            .collect();
        let failed = |message: &str| Err(format!("device: {message}"));
        assert_eq!(
            ends,
            [
                Ok(5),
                failed("the queue is lost"),
                failed("no memory"),
                Ok(5)
            ]
        );
    }

    #[test]
    fn every_loss_of_a_tick_counts() {
        let figures = "d_real d_fake d_composite d_real_prob d_fake_prob d_r1 g_reconstruction g_kl g_cycle g_adversarial g_paired \
                       g_style g_diversity g_prior g_latent d_norm g_norm";
        let rest = "step kimg crf_stay_log_odds crf_coupling_length secs_per_kimg data_wait_share memory_bytes peak_memory_bytes device_memory_bytes \
                    secs_left";
        let tick = |changed: &str| -> Tick {
            let all = figures.split(' ').chain(rest.split(' '));
            let value = all.map(|name| (name.to_owned(), u32::from(name == changed).into()));
            let value: serde_json::Map<String, serde_json::Value> = value.collect();
            serde_json::from_value(value.into()).expect("these are all keys of a tick")
        };
        let none = losses_of(&tick("none"));
        for name in figures.split(' ') {
            let is_loss = !name.ends_with("_prob") && !name.ends_with("_norm");
            assert_eq!(losses_of(&tick(name)) != none, is_loss, "{name}");
        }
    }
}
