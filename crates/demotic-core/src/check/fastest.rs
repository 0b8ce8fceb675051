//! What `auto` takes for a training: the device whose steps are the fastest, found by taking some.

use std::time::Instant;

use super::estimate::require_memory;
use crate::data::Dataset;
use crate::device::{
    Adapter, Chosen, adapter_of, adapters, auto_adapter, open, open_adapter, processor,
};
use crate::error::{Error, caught};
use crate::settings::Config;
use crate::train::Trainer;

/// Steps that are timed on each device, after one that is not: a graphics processor compiles in it.
const STEPS: u32 = 3;

/// Threads that a training on a graphics processor keeps busy: one takes the step, one serves the device, one
/// prepares the next inputs; and one for the rest of the machine.
const CORES_WANTED: usize = 4;

/// The device that `auto` took, and what there is to say of it.
#[derive(Debug)]
pub struct Fastest {
    /// It.
    pub chosen: Chosen,
    /// Lines for a person.
    pub notes: Vec<String>,
}

/// Opens the device that takes the steps of a configuration the fastest: of the discrete GPUs the first, of
/// the integrated or virtual ones the first, and the processor. Where there is but one, nothing is timed. One
/// that fails is not taken, nor the processor beside a GPU where memory does not hold a step.
///
/// # Errors
/// What the trainer refuses on the processor.
pub fn fastest(config: &Config, dataset: &Dataset) -> Result<Fastest, Error> {
    let adapters = adapters();
    let mut candidates = Vec::new();
    let mut notes = Vec::new();
    for adapter in gpus(&adapters) {
        match open_adapter(adapter) {
            Ok(chosen) => candidates.push(chosen),
            Err(error) => notes.push(format!("auto passes over {}: {error}", adapter.name)),
        }
    }
    notes.extend(few_cores(&candidates));
    match require_memory(config, dataset, 1, usize::from(!candidates.is_empty())) {
        Ok(()) => candidates.push(open("flex")?),
        Err(error @ Error::Input(_)) => notes.push(format!("auto passes over flex: {error}")),
        Err(error) => return Err(error),
    }
    if candidates.len() == 1 {
        let chosen = candidates.remove(0);
        return Ok(Fastest { chosen, notes });
    }
    let timed = candidates.iter().map(|chosen| {
        let secs = caught(|| seconds(config, dataset, chosen));
        secs.unwrap_or_else(|line| Err(Error::Device(line)))
    });
    let timed: Vec<Result<f64, Error>> = timed.collect();
    let names: Vec<&str> = candidates
        .iter()
        .map(|chosen| chosen.name.as_str())
        .collect();
    let (place, said) = picked(&names, timed)?;
    notes.insert(0, said);
    let chosen = candidates.swap_remove(place);
    Ok(Fastest { chosen, notes })
}

/// What there is to say where a graphics processor is trained on beside few cores.
pub fn few_cores(devices: &[Chosen]) -> Option<String> {
    let is_gpu = |chosen: &Chosen| {
        adapter_of(&chosen.device).is_some_and(|adapter| adapter.kind != "software")
    };
    let is_any = devices.iter().any(is_gpu);
    too_few(processor().threads).filter(|_| is_any)
}

fn too_few(cores: usize) -> Option<String> {
    (cores < CORES_WANTED).then(|| {
        format!(
            "a training on a graphics processor keeps three cores busy; with {cores} here it waits for them, and flex may be as fast"
        )
    })
}

/// One of each kind.
fn gpus(adapters: &[Adapter]) -> Vec<&Adapter> {
    let first = auto_adapter(adapters);
    let other = first
        .filter(|first| first.kind == "discrete")
        .and_then(|_| {
            let mut others = adapters.iter();
            others.find(|adapter| ["integrated", "virtual"].contains(&adapter.kind))
        });
    first.into_iter().chain(other).collect()
}

/// Seconds of a step.
fn seconds(config: &Config, dataset: &Dataset, chosen: &Chosen) -> Result<f64, Error> {
    let mut config = config.clone();
    // Neither an end nor a measured step comes in the way.
    (config.train.steps, config.train.tick_steps) = (u64::MAX, u64::MAX);
    let mut trainer = Trainer::new(config, dataset, &chosen.device)?;
    trainer.advance()?;
    trainer.tick()?;
    let began = Instant::now();
    for _ in 0..STEPS {
        trainer.advance()?;
    }
    // Waits for the device.
    trainer.tick()?;
    Ok(began.elapsed().as_secs_f64() / f64::from(STEPS))
}

/// The place of the fastest, and all times in a line. The last one's failure where all have failed.
fn picked(names: &[&str], timed: Vec<Result<f64, Error>>) -> Result<(usize, String), Error> {
    let mut best: Option<(usize, f64)> = None;
    let mut parts = Vec::new();
    let mut failure = None;
    for (place, (name, secs)) in names.iter().zip(timed).enumerate() {
        match secs {
            Ok(secs) => {
                parts.push(format!("{name} {secs:.3} s a step"));
                if best.is_none_or(|(_, least)| secs < least) {
                    best = Some((place, secs));
                }
            }
            Err(error) => {
                parts.push(format!("{name} failed ({error})"));
                failure = Some(error);
            }
        }
    }
    match (best, failure) {
        (Some((place, _)), _) => {
            let times = parts.join(", ");
            Ok((place, format!("auto takes {}: {times}", names[place])))
        }
        (None, Some(error)) => Err(error),
        (None, None) => unreachable!("there is a candidate"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(index: usize, kind: &'static str) -> Adapter {
        Adapter {
            index,
            name: format!("{kind} {index}"),
            ..Adapter::of_kind(kind)
        }
    }

    #[test]
    fn the_first_gpu_of_each_kind_is_timed_and_no_software_adapter() {
        let of = |kinds: &[&'static str]| -> Vec<usize> {
            let all: Vec<Adapter> = kinds
                .iter()
                .enumerate()
                .map(|(i, k)| adapter(i, k))
                .collect();
            gpus(&all).iter().map(|adapter| adapter.index).collect()
        };
        assert_eq!(of(&["software"]), [0_usize; 0]);
        assert_eq!(of(&["integrated", "discrete", "discrete"]), [1, 0]);
        assert_eq!(of(&["software", "integrated", "virtual"]), [1]);
        assert_eq!(of(&["discrete", "software"]), [0]);
    }

    #[test]
    fn fewer_than_four_cores_beside_a_card_draw_a_warning_and_the_processor_alone_none() {
        let said = too_few(3).expect("three are too few");
        assert!(said.contains("with 3 here"), "{said}");
        assert_eq!(too_few(4), None);
        assert_eq!(few_cores(&[open("flex").expect("flex opens")]), None);
    }

    #[test]
    fn the_fastest_is_named_and_a_failure_told() {
        let broken = || Err(Error::Device("lost".into()));
        let (place, said) = picked(&["wgpu:0", "flex"], vec![Ok(0.5), Ok(0.25)]).expect("two");
        assert_eq!(place, 1);
        assert_eq!(
            said,
            "auto takes flex: wgpu:0 0.500 s a step, flex 0.250 s a step"
        );
        let (place, said) = picked(&["wgpu:0", "flex"], vec![broken(), Ok(9.0)]).expect("one");
        assert_eq!(place, 1);
        assert!(
            said.contains("wgpu:0 failed (") && said.contains("lost"),
            "{said}"
        );
        assert!(picked(&["flex"], vec![broken()]).is_err());
    }
}
