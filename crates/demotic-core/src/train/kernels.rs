//! Whose kernels compute the convolutions of a device, as the configuration asks.

use burn::tensor::Device;

use crate::data::CachePolicy;
use crate::device::{self, Adapter};
use crate::ops::{self, Counts, Preference, Store};
use crate::settings::{Config, KernelKind};

/// Where choices that were measured on an adapter are kept: by its name, its driver, and this build's
/// kernels.
fn store(adapter: &Adapter) -> Store {
    let device = adapter.identity();
    let (version, kernels) = (env!("CARGO_PKG_VERSION"), ops::convolution_kernels());
    Store {
        file: CachePolicy::Platform.kernels_file(),
        name: format!("{device}, demotic {version}, kernels {kernels:016x}"),
    }
}

/// What was measured on an adapter by this build, in this process or before.
pub fn measured_on(adapter: &Adapter) -> Counts {
    ops::kept(&store(adapter))
}

/// The adapter whose kernels are timed against each other; a software adapter is not: its times say nothing
/// of a card.
fn timed(device: &Device) -> Option<Adapter> {
    device::adapter_of(device).filter(|adapter| adapter.kind != "software")
}

/// Tells a device's operations what is asked.
pub(super) fn prefer(config: &Config, device: &Device) {
    if !ops::has_convolutions(device) {
        return;
    }
    let preference = match config.device.kernels {
        KernelKind::Own => Preference::Own,
        KernelKind::Burn => Preference::Burn,
        KernelKind::Auto => match timed(device) {
            Some(adapter) => Preference::Faster(store(&adapter)),
            None => Preference::Own,
        },
    };
    ops::prefer(device, preference);
}

/// What the header says of a device that has both, of one that lacks what ours need, or of another machine's.
pub(super) fn described(config: &Config, device: &Device) -> Vec<String> {
    if ops::is_far(device) {
        return vec![far(
            config.device.kernels,
            ops::has_wgsl(device),
            ops::is_flex(device),
        )];
    }
    let convolutions = ops::has_convolutions(device).then(|| convolutions(config, device));
    ops::lacking(device)
        .into_iter()
        .chain(convolutions)
        .collect()
}

/// Whose kernels compute the convolutions of a device that has both.
fn convolutions(config: &Config, device: &Device) -> String {
    match (config.device.kernels, timed(device)) {
        (KernelKind::Own, _) => "convolutions by own kernels, as device.kernels asks".to_owned(),
        (KernelKind::Burn, _) => {
            "convolutions by Burn's kernels, as device.kernels asks".to_owned()
        }
        (KernelKind::Auto, None) => {
            "convolutions by own kernels; not timed against Burn's on a software adapter".to_owned()
        }
        (KernelKind::Auto, Some(adapter)) => {
            let Counts { own, burn } = measured_on(&adapter);
            format!(
                "convolutions by the faster of own kernels and Burn's: measured so far {own} layers own, {burn} Burn's; new ones \
                 are timed in the first step"
            )
        }
    }
}

/// The same of another machine's device. Its adapter is out of reach, so that nothing is timed there.
fn far(asked: KernelKind, has_wgsl: bool, is_flex: bool) -> String {
    let by = match (asked, has_wgsl, is_flex) {
        (KernelKind::Burn, true, _) => "Burn's kernels, as device.kernels asks",
        (KernelKind::Own, true, _) => "own kernels, as device.kernels asks",
        (KernelKind::Auto, true, _) => {
            "own kernels; over a network they are not timed against Burn's"
        }
        (_, false, true) => "own loops",
        (_, false, false) => "Burn's kernels",
    };
    format!("there convolutions by {by}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_at_the_far_end_are_named_and_never_called_a_software_adapters() {
        let auto = far(KernelKind::Auto, true, false);
        assert!(
            auto.starts_with("there convolutions by own kernels;"),
            "{auto}"
        );
        assert!(!auto.contains("software"), "{auto}");
        let burn = far(KernelKind::Burn, true, false);
        assert!(
            burn.contains("Burn's kernels, as device.kernels asks"),
            "{burn}"
        );
        // Flex has one way alone, whatever is asked.
        for asked in [KernelKind::Auto, KernelKind::Own, KernelKind::Burn] {
            assert_eq!(far(asked, false, true), "there convolutions by own loops");
        }
        assert!(far(KernelKind::Auto, false, false).ends_with("by Burn's kernels"));
    }

    /// On whatever device is at hand; a software adapter's times say nothing, but choices that hang on them
    /// are made, kept and found again all the same.
    #[cfg(feature = "wgpu")]
    #[ignore = "compiles Burn's convolutions for a minute on a software adapter: a step of .ci/run"]
    #[test]
    fn a_training_ends_with_either_kernels_and_the_faster_ones_are_measured_once() {
        use crate::data::Dataset;
        use crate::train::{Figure, Trainer, adapter, turn};

        let Some(device) = adapter() else { return };
        let _turn = turn();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store {
            file: Some(folder.path().join("kernels.json")),
            name: "this adapter".to_owned(),
        };
        let config = |kernels: &str| {
            let kernels = format!("device.kernels={kernels}");
            let sets = [
                "data.size_px=16",
                "data.styles=[\"openmoji-line\", \"openmoji\"]",
                "generator.channels=8",
                "generator.channels_min=8",
                "generator.latent_channels=2",
                "generator.style_dims=2",
                // Few shapes: Burn's are tuned for seconds each.
                "generator.encoder_blocks=0",
                "generator.decoder_blocks=0",
                "generator.context_blocks=0",
                "discriminator.channels=8",
                "loss.cycle=0",
                "train.batch=2",
                "train.pairs=none",
                "train.steps=4",
                kernels.as_str(),
            ]
            .map(str::to_owned);
            Config::resolve(None, &sets).expect("a configuration of this file")
        };
        let first = config("auto");
        let options = first.data.options(CachePolicy::Platform).expect("options");
        let dataset = Dataset::load(&first.data.source, &options).expect("the built-in emoji");
        let train = |kernels: &str| {
            let mut trainer = Trainer::new(config(kernels), &dataset, &device).expect("a trainer");
            if kernels == "auto" {
                // As where the adapter's times count.
                ops::prefer(&device, Preference::Faster(store.clone()));
            }
            for _ in 0..4 {
                trainer.advance().expect("a step");
            }
            let tick = trainer.tick().expect("finite").expect("four steps");
            [Figure::GReconstruction, Figure::DReal, Figure::GNorm].map(|figure| tick[figure])
        };
        let own = train("own");
        let near = |losses: [f32; 3], what: &str| {
            for (loss, expected) in losses.into_iter().zip(own) {
                let apart = (loss - expected).abs() / expected.abs();
                assert!(apart < 1e-3, "{what}: {losses:?}, expected {own:?}");
            }
        };
        near(train("burn"), "burn");
        let before = ops::measurements();
        let chosen = train("auto");
        near(chosen, "auto");
        let measured = ops::measurements() - before;
        let Counts { own: ours, burn } = ops::kept(&store);
        assert!(measured >= 8 && ours + burn == measured, "{measured}");
        // Another process: it finds them, and computes the same to the bit.
        assert_eq!(train("auto"), chosen);
        assert_eq!(ops::measurements() - before, measured);
        ops::prefer(&device, Preference::Own);
    }
}
