//! What a step asks of a graphics processor's driver beside launches. CubeCL has a hook for launches alone.
//! wgpu logs submissions, uploads and pipelines through the crate `log`, and CubeCL's tuner its choices; here
//! the lines are counted, while somebody asks.

#[cfg(feature = "wgpu")]
use std::sync::atomic::{AtomicUsize, Ordering};
#[cfg(feature = "wgpu")]
use std::sync::{Mutex, OnceLock, PoisonError};

use serde::Serialize;

/// What the process asked of all drivers while something ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Batches of commands that a queue was given.
    pub submissions: usize,
    /// Copies from the host: tensors, and sizes that launches come with and that the device has not yet.
    pub uploads: usize,
    /// Pipelines that were compiled.
    pub pipelines: usize,
    /// Choices among several kernels that were made by timing them; none where the tuner logs none.
    pub tuned_keys: Option<usize>,
}

/// Has CubeCL's tuner log its choices: a setting that is read once, before the process opens a device.
/// Without this, or later, keys are not counted.
#[cfg(feature = "wgpu")]
pub(crate) fn log_tuner() {
    tuner_logs();
}

/// There is no tuner in this build.
#[cfg(not(feature = "wgpu"))]
pub(crate) fn log_tuner() {}

#[cfg(feature = "wgpu")]
static TUNER_LOGS: OnceLock<bool> = OnceLock::new();

#[cfg(feature = "wgpu")]
fn tuner_logs() -> bool {
    use cubecl::config::autotune::AutotuneLogLevel;
    use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

    *TUNER_LOGS.get_or_init(|| {
        // As CubeCL itself finds it, but for one more log.
        let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
        let logger = &mut config.autotune.logger;
        logger.log.get_or_insert_default();
        if matches!(logger.level, AutotuneLogLevel::Disabled) {
            logger.level = AutotuneLogLevel::Minimal;
        }
        CubeClRuntimeConfig::try_set(config)
    })
}

#[cfg(feature = "wgpu")]
static SUBMISSIONS: AtomicUsize = AtomicUsize::new(0);
#[cfg(feature = "wgpu")]
static UPLOADS: AtomicUsize = AtomicUsize::new(0);
#[cfg(feature = "wgpu")]
static PIPELINES: AtomicUsize = AtomicUsize::new(0);
#[cfg(feature = "wgpu")]
static TUNED_KEYS: AtomicUsize = AtomicUsize::new(0);

/// What a line of the log is one more of, by its beginning. The words are those of wgpu 30 and CubeCL 0.11;
/// where wgpu's change a test on an adapter finds out, which tunes nothing.
#[cfg(feature = "wgpu")]
fn counter(target: &str, text: impl FnOnce() -> String) -> Option<&'static AtomicUsize> {
    match target {
        "wgpu_core::device::queue" => match text().as_str() {
            "Queue::submit" => Some(&SUBMISSIONS),
            "Queue::write_buffer" | "Queue::create_staging_buffer" => Some(&UPLOADS),
            _ => None,
        },
        "wgpu_core::device::global" => text()
            .starts_with("Device::create_compute_pipeline")
            .then_some(&PIPELINES),
        "cubecl::autotune" => text().starts_with("Fastest result ").then_some(&TUNED_KEYS),
        _ => None,
    }
}

/// Counts lines of the log, and prints none.
#[cfg(feature = "wgpu")]
struct Tally;

#[cfg(feature = "wgpu")]
impl log::Log for Tally {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        // Where lines are dear, who writes them asks first.
        metadata.target().starts_with("wgpu_core::device")
            || metadata.target() == "cubecl::autotune"
    }

    fn log(&self, record: &log::Record<'_>) {
        if let Some(counter) = counter(record.target(), || record.args().to_string()) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

/// Lines are logged while this lives.
#[cfg(feature = "wgpu")]
struct Listening;

#[cfg(feature = "wgpu")]
impl Listening {
    fn start() -> Self {
        log::set_max_level(log::LevelFilter::Trace);
        Self
    }
}

#[cfg(feature = "wgpu")]
impl Drop for Listening {
    fn drop(&mut self) {
        log::set_max_level(log::LevelFilter::Off);
    }
}

/// Runs something that waits for its device, and counts meanwhile; none where the program has another logger.
/// Every line costs the host some: what is counted is not to be timed closely.
#[cfg(feature = "wgpu")]
pub(crate) fn counted<T>(run: impl FnOnce() -> T) -> (T, Option<Traffic>) {
    static IS_LOGGER: OnceLock<bool> = OnceLock::new();
    static ONE: Mutex<()> = Mutex::new(());
    if !*IS_LOGGER.get_or_init(|| log::set_logger(&Tally).is_ok()) {
        return (run(), None);
    }
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for counter in [&SUBMISSIONS, &UPLOADS, &PIPELINES, &TUNED_KEYS] {
        counter.store(0, Ordering::Relaxed);
    }
    let listening = Listening::start();
    let result = run();
    drop(listening);
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let is_tuner_logged = TUNER_LOGS.get().is_some_and(|logs| *logs);
    let traffic = Traffic {
        submissions: count(&SUBMISSIONS),
        uploads: count(&UPLOADS),
        pipelines: count(&PIPELINES),
        tuned_keys: is_tuner_logged.then(|| count(&TUNED_KEYS)),
    };
    (result, Some(traffic))
}

/// Runs something; a build without wgpu has no driver.
#[cfg(not(feature = "wgpu"))]
pub(crate) fn counted<T>(run: impl FnOnce() -> T) -> (T, Option<Traffic>) {
    (run(), None)
}

#[cfg(all(test, feature = "wgpu"))]
mod tests {
    use burn::tensor::{Tensor, TensorData};

    use super::*;
    use crate::train::{adapter, turn};

    #[test]
    fn lines_of_other_things_count_as_nothing() {
        let counts = |target: &str, text: &str| counter(target, || text.to_owned()).is_some();
        assert!(counts("wgpu_core::device::queue", "Queue::submit"));
        let end = "Queue::submit returned submit index 7";
        assert!(!counts("wgpu_core::device::queue", end));
        assert!(!counts("elsewhere", "Queue::submit"));
        assert!(counts("cubecl::autotune", "Fastest result a-key. Top 3"));
        assert!(!counts("cubecl::autotune", "Calculated bounds"));
    }

    #[test]
    fn a_copy_a_launch_and_a_wait_are_counted_and_silence_is_not() {
        let Some(device) = adapter() else { return };
        let _turn = turn();
        let sync = || device.sync().expect("the device is alive");
        sync();
        let work = |value: f32| {
            let data = TensorData::new(vec![value; 4096], [4096]);
            let values = Tensor::<1>::from_data(data, &device);
            // A slope that nothing else has: its kernel is new to the process.
            crate::arrays::values_of(crate::ops::leaky(values, 0.4375))
        };
        let (values, traffic) = counted(|| work(-2.0));
        assert!(values.iter().all(|value| *value == -0.875));
        let traffic = traffic.expect("the tests have no other logger");
        assert!(
            traffic.submissions > 0 && traffic.uploads > 0,
            "{traffic:?}"
        );
        assert!(
            traffic.submissions < 20 && traffic.uploads < 20,
            "{traffic:?}"
        );
        assert!(traffic.pipelines > 0, "{traffic:?}");
        // What is known is not compiled again.
        let (_, again) = counted(|| work(-4.0));
        assert_eq!(again.expect("as before").pipelines, 0);
        sync();
        let (sum, silence) = counted(|| 1 + 1);
        let silence = silence.expect("as before");
        assert_eq!((sum, silence.submissions, silence.uploads), (2, 0, 0));
    }
}
