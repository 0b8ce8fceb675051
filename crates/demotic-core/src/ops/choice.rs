//! Our convolution or Burn's, where a device has both: as the configuration says, or the faster one by
//! measurement on the device itself, a layer at a time. Measured choices are kept in a file, so that a second
//! process neither measures again nor computes otherwise.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};

use crate::error::caught;

/// A same-size convolution without its number of pictures: whichever batches go through a layer, its kernels
/// are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Layer {
    pub(super) channels_in: usize,
    pub(super) channels_out: usize,
    /// Height and width.
    pub(super) sides: [usize; 2],
    pub(super) kernel: usize,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width] = self.sides;
        write!(
            f,
            "{} to {} channels, {height} x {width}, kernel {}",
            self.channels_in, self.channels_out, self.kernel
        )
    }
}

/// Whose kernels compute a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernels {
    Own,
    Burn,
}

impl Kernels {
    const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Burn => "burn",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Own, Self::Burn]
            .into_iter()
            .find(|kernels| kernels.name() == name)
    }
}

/// What is asked of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Preference {
    Own,
    Burn,
    /// The faster one of each layer.
    Faster(Store),
}

/// Where measured choices are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Store {
    /// None where nothing is kept.
    pub(crate) file: Option<PathBuf>,
    /// The device, its driver and this build: what a measurement holds for.
    pub(crate) name: String,
}

/// Choices of all devices, by [`Store::name`], then by layer.
type File = BTreeMap<String, BTreeMap<String, String>>;

impl Store {
    /// What was measured before, by layer. The file is a cache: a damaged one is none.
    fn read(&self) -> BTreeMap<String, String> {
        let file = self.file.as_deref().map(read).unwrap_or_default();
        file.get(&self.name).cloned().unwrap_or_default()
    }

    /// Adds a choice to the file. Where that cannot be written, the next process measures again.
    fn write(&self, layer: Layer, kernels: Kernels) {
        let Some(path) = &self.file else { return };
        let mut file = read(path);
        file.entry(self.name.clone())
            .or_default()
            .insert(layer.to_string(), kernels.name().to_owned());
        let text = serde_json::to_string_pretty(&file).expect("a map of words is JSON");
        if let Some(folder) = path.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        let _ = crate::files::write_whole(path, text.as_bytes());
    }
}

fn read(path: &Path) -> File {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Layers that our kernels and Burn's compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// By kernels of this crate.
    pub own: usize,
    /// By Burn's.
    pub burn: usize,
}

impl Counts {
    fn of(choices: impl Iterator<Item = Kernels>) -> Self {
        let mut counts = Self::default();
        for kernels in choices {
            match kernels {
                Kernels::Own => counts.own += 1,
                Kernels::Burn => counts.burn += 1,
            }
        }
        counts
    }
}

/// What was measured before on a device.
pub(crate) fn kept(store: &Store) -> Counts {
    Counts::of(
        store
            .read()
            .values()
            .filter_map(|name| Kernels::named(name)),
    )
}

/// A device, what is asked of it, and what was measured on it by layer.
struct Asked {
    device: Device,
    preference: Preference,
    choices: BTreeMap<String, Kernels>,
}

static DEVICES: Mutex<Vec<Asked>> = Mutex::new(Vec::new());

fn devices() -> MutexGuard<'static, Vec<Asked>> {
    DEVICES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on, in this process. A device that nothing is asked of takes our kernels.
pub(crate) fn prefer(device: &Device, preference: Preference) {
    let device = device.clone().inner();
    let choices = match &preference {
        Preference::Faster(store) => {
            let kept = store.read().into_iter();
            kept.filter_map(|(layer, name)| Some((layer, Kernels::named(&name)?)))
                .collect()
        }
        Preference::Own | Preference::Burn => BTreeMap::new(),
    };
    let mut devices = devices();
    devices.retain(|asked| asked.device != device);
    devices.push(Asked {
        device,
        preference,
        choices,
    });
}

/// What is known without a measurement; otherwise where its result is to be kept.
fn known(device: &Device, layer: Layer) -> Result<Kernels, Store> {
    let devices = devices();
    let Some(asked) = devices.iter().find(|asked| asked.device == *device) else {
        return Ok(Kernels::Own);
    };
    match &asked.preference {
        Preference::Own => Ok(Kernels::Own),
        Preference::Burn => Ok(Kernels::Burn),
        Preference::Faster(store) => {
            let choice = asked.choices.get(&layer.to_string()).copied();
            choice.ok_or_else(|| store.clone())
        }
    }
}

/// Layers that were measured in this process.
#[cfg(test)]
static MEASURED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// Layers that were measured in this process.
#[cfg(all(test, feature = "wgpu"))]
pub(crate) fn measurements() -> usize {
    MEASURED.load(std::sync::atomic::Ordering::Relaxed)
}

/// Whose kernels compute a layer on a device; `measure` is asked once for each layer.
fn chosen(device: &Device, layer: Layer, measure: impl FnOnce() -> Kernels) -> Kernels {
    static MEASURING: Mutex<()> = Mutex::new(());
    if let Ok(kernels) = known(device, layer) {
        return kernels;
    }
    // One at a time, and who waited finds the result.
    let _measuring = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    let store = match known(device, layer) {
        Ok(kernels) => return kernels,
        Err(store) => store,
    };
    let kernels = measure();
    #[cfg(test)]
    MEASURED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    store.write(layer, kernels);
    let mut devices = devices();
    if let Some(asked) = devices.iter_mut().find(|asked| asked.device == *device) {
        asked.choices.insert(layer.to_string(), kernels);
    }
    kernels
}

/// A convolution of pictures by weights and bias.
pub(super) type Convolve = fn(Tensor<4>, Tensor<4>, Tensor<1>) -> Tensor<4>;

/// True where our kernels compute a convolution of `pictures` on a device that has them; `own` and `burn`
/// are timed against each other where that decides.
pub(super) fn takes_own(
    device: &Device,
    layer: Layer,
    pictures: usize,
    [own, burn]: [Convolve; 2],
) -> bool {
    let device = device.clone().inner();
    let kernels = chosen(&device, layer, || {
        faster(|kernels| {
            let convolve = match kernels {
                Kernels::Own => own,
                Kernels::Burn => burn,
            };
            // What cannot run is no choice: Burn's tuning may run out of memory.
            caught(|| seconds(&device, layer, pictures, convolve)).ok()
        })
    });
    kernels == Kernels::Own
}

/// Rounds that are timed, after one that compiles and tunes.
const ROUNDS: usize = 4;

/// The one whose fastest round is the faster; ours where Burn's cannot run.
fn faster(mut seconds: impl FnMut(Kernels) -> Option<f64>) -> Kernels {
    let mut best = [f64::INFINITY; 2];
    for round in 0..=ROUNDS {
        for (at, kernels) in [Kernels::Own, Kernels::Burn].into_iter().enumerate() {
            match seconds(kernels) {
                Some(secs) if round > 0 => best[at] = best[at].min(secs),
                Some(_) => {}
                None if kernels == Kernels::Burn => return Kernels::Own,
                None => return Kernels::Burn,
            }
        }
    }
    if best[0] <= best[1] {
        Kernels::Own
    } else {
        Kernels::Burn
    }
}

/// Seconds of a forward pass with all gradients.
fn seconds(device: &Device, layer: Layer, pictures: usize, convolve: Convolve) -> f64 {
    let autodiff = device.clone().autodiff();
    let ramp = |count: usize| -> Vec<f32> { (0..count).map(|i| (i % 13) as f32 - 6.0).collect() };
    let place = |shape: [usize; 4]| -> Tensor<4> {
        let values = ramp(shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), &autodiff).require_grad()
    };
    let [height, width] = layer.sides;
    let x = place([pictures, layer.channels_in, height, width]);
    let (o, k) = (layer.channels_out, layer.kernel);
    let weight = place([o, layer.channels_in, k, k]);
    let bias = TensorData::new(ramp(o), [o]);
    let bias = Tensor::<1>::from_data(bias, &autodiff).require_grad();
    let sync = || device.sync().expect("the device finishes its work");
    sync();
    let started = Instant::now();
    let gradients = convolve(x.clone(), weight.clone(), bias).sum().backward();
    // What nobody holds may never be computed.
    let held = (x.grad(&gradients), weight.grad(&gradients));
    sync();
    let secs = started.elapsed().as_secs_f64();
    drop(held);
    secs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(channels_in: usize) -> Layer {
        Layer {
            channels_in,
            channels_out: 8,
            sides: [4, 6],
            kernel: 3,
        }
    }

    #[test]
    fn the_faster_is_taken_by_its_best_round_and_what_cannot_run_is_not() {
        let times = |own: [f64; 5], burn: [f64; 5]| {
            let mut left = [own.to_vec(), burn.to_vec()];
            move |kernels: Kernels| Some(left[usize::from(kernels == Kernels::Burn)].remove(0))
        };
        // The first round is that of compiling, whatever it took.
        let own = faster(times([9.0, 3.0, 2.0, 5.0, 4.0], [0.1, 2.5, 3.0, 3.0, 3.0]));
        assert_eq!(own, Kernels::Own);
        let burn = faster(times([0.1, 3.0, 2.0, 5.0, 4.0], [9.0, 2.5, 1.5, 3.0, 3.0]));
        assert_eq!(burn, Kernels::Burn);
        let only = |which: Kernels| move |kernels: Kernels| (kernels == which).then_some(1.0);
        assert_eq!(faster(only(Kernels::Own)), Kernels::Own);
        assert_eq!(faster(only(Kernels::Burn)), Kernels::Burn);
    }

    #[test]
    fn a_choice_is_measured_once_and_kept_by_device_driver_and_build() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = |name: &str| Store {
            file: Some(folder.path().join("new/kernels.json")),
            name: name.to_owned(),
        };
        // Nobody convolves here by this table: Flex has one way alone.
        let device = Device::flex();
        let never = || -> Kernels { panic!("measured again") };
        assert_eq!(chosen(&device, layer(1), never), Kernels::Own);
        prefer(&device, Preference::Burn);
        assert_eq!(chosen(&device, layer(1), never), Kernels::Burn);
        prefer(&device, Preference::Faster(store("a")));
        assert_eq!(chosen(&device, layer(1), || Kernels::Burn), Kernels::Burn);
        assert_eq!(chosen(&device, layer(1), never), Kernels::Burn);
        assert_eq!(chosen(&device, layer(2), || Kernels::Own), Kernels::Own);
        // Another process, the same device.
        prefer(&device, Preference::Faster(store("a")));
        assert_eq!(chosen(&device, layer(1), never), Kernels::Burn);
        assert_eq!(kept(&store("a")), Counts { own: 1, burn: 1 });
        // Another driver.
        prefer(&device, Preference::Faster(store("b")));
        assert_eq!(kept(&store("b")), Counts::default());
        assert_eq!(chosen(&device, layer(1), || Kernels::Own), Kernels::Own);
        assert_eq!(kept(&store("a")), Counts { own: 1, burn: 1 });
        // A damaged file is none.
        std::fs::write(folder.path().join("new/kernels.json"), "{").expect("it can be written");
        assert_eq!(kept(&store("a")), Counts::default());
        prefer(&device, Preference::Own);
        assert_eq!(chosen(&device, layer(1), never), Kernels::Own);
    }
}
