//! Checkpoints: one safetensors file with every array, one small JSON beside it that says what it belongs to.
//!
//! Both are written under another name, synced and renamed, the JSON last: a checkpoint without its JSON does
//! not count, so a run cut at any byte loses at most the one being written. Both carry a checksum: what is
//! cut or altered is refused.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::number::Whole;
use burn::module::Module;
use serde::{Deserialize, Serialize};

use super::best::Best;
use super::figures::{Figure, Sums};
use super::trainer::Trainer;
use super::window::Window;
use crate::arrays::{
    Array, Arrays, from_safetensors, to_safetensors, trained_names, weights_of, with_weights,
};
use crate::data::{DataError, Dataset, fnv1a64};
use crate::error::Error;
use crate::model::{Discriminator, Generator, Init};
use crate::settings::{Config, drop_removed};

/// Changes with what is written.
const FORMAT: u32 = 5;
/// Read too: held the figures since the last tick as one array, [`WINDOW_SUMS`], in an order of its own.
const EARLIER_FORMAT: u32 = 4;
/// Figures gathered since the last tick, in a checkpoint of [`EARLIER_FORMAT`].
const WINDOW_SUMS: &str = "window.sums";

/// The JSON of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointInfo {
    /// Version of the file pair.
    pub format: u32,
    /// Generator steps done.
    pub step: u64,
    /// Updates of each optimiser: generator, discriminator.
    pub(crate) optimiser_steps: [u64; 2],
    /// Steps since the last tick; their figures are kept, so that the next tick is what it would have been.
    pub(crate) window_steps: u64,
    /// How often the run went back to a checkpoint; rates are smaller for it.
    pub rollbacks: u32,
    /// The best checkpoint up to this one.
    pub best: Option<Best>,
    /// Styles in their order.
    pub styles: Vec<String>,
    /// Contents of the data set, as `Dataset::fingerprint`.
    pub dataset: String,
    /// The resolved configuration.
    pub config: Config,
    /// Bytes of the safetensors file.
    pub(crate) tensors_bytes: u64,
    /// FNV-1a of the safetensors file, in hex.
    pub(crate) tensors_fnv1a64: String,
    /// FNV-1a of this text with zeros in this place.
    pub(crate) description_fnv1a64: String,
}

/// What stands in the place of a description's checksum while that is computed.
const NO_CHECKSUM: &str = "0000000000000000";

impl CheckpointInfo {
    /// A style's number in the networks. Letters' case counts only between names that differ by nothing else.
    ///
    /// # Errors
    /// [`DataError::UnknownStyle`] naming the styles that there are.
    pub fn style_number(&self, name: &str) -> Result<u32, DataError> {
        let folded = name.to_lowercase();
        let exact = self.styles.iter().position(|known| known == name);
        let same = || {
            let mut styles = self.styles.iter();
            styles.position(|known| known.to_lowercase() == folded)
        };
        let place = exact.or_else(same);
        let place = place.ok_or_else(|| DataError::UnknownStyle {
            whose: "these weights know",
            asked: name.to_owned(),
            known: self.styles.clone(),
        })?;
        Ok(place.to_u32())
    }

    /// The JSON file's bytes, with their checksum in them.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let open = Self {
            description_fnv1a64: NO_CHECKSUM.into(),
            ..self.clone()
        };
        let text = serde_json::to_string_pretty(&open).expect("plain data is JSON");
        let sum = format!("{:016x}", fnv1a64(text.as_bytes()));
        // The last field of the struct is the last of the text.
        let at = text.rfind(NO_CHECKSUM).expect("it was just written");
        format!("{}{sum}{}", &text[..at], &text[at + sum.len()..]).into_bytes()
    }

    /// Reads a JSON file; what is wrong with it in words.
    fn load(path: &Path) -> Result<Self, String> {
        let damaged = |problem: String| format!("checkpoint description is damaged: {problem}");
        let text = fs::read(path).map_err(|e| format!("cannot read checkpoint: {e}"))?;
        let text = String::from_utf8(text).map_err(|e| damaged(e.to_string()))?;
        Self::parse(&text)
    }

    /// Reads the JSON; what is wrong with it in words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let damaged = |problem: String| format!("checkpoint description is damaged: {problem}");
        let mut version =
            serde_json::from_str::<serde_json::Value>(text).map_err(|e| damaged(e.to_string()))?;
        let is_known = |format: &serde_json::Value| {
            [EARLIER_FORMAT, FORMAT]
                .iter()
                .any(|known| *format == *known)
        };
        if !version.get("format").is_some_and(is_known) {
            let got = version
                .get("format")
                .map_or_else(|| "none".to_owned(), ToString::to_string);
            return Err(format!(
                "checkpoint has format {got}, this build reads {EARLIER_FORMAT} and {FORMAT}"
            ));
        }
        if let Some(config) = version
            .get_mut("config")
            .filter(|config| config.is_object())
        {
            let mut table: toml::Table =
                serde_json::from_value(config.take()).map_err(|e| damaged(e.to_string()))?;
            let problems = drop_removed(&mut table);
            if !problems.is_empty() {
                let problems = problems.join("; ");
                return Err(format!("checkpoint of an earlier version: {problems}"));
            }
            *config = serde_json::to_value(table).expect("a table is JSON");
        }
        let info: Self = serde_json::from_value(version).map_err(|e| damaged(e.to_string()))?;
        if !info.is_whole(text) {
            return Err("checkpoint description is altered: the checksum differs".into());
        }
        Ok(info)
    }

    /// Whether a JSON file is as it was written.
    fn is_whole(&self, text: &str) -> bool {
        let sum = &self.description_fnv1a64;
        sum.len() == NO_CHECKSUM.len()
            && text.rfind(sum.as_str()).is_some_and(|at| {
                let open = format!("{}{NO_CHECKSUM}{}", &text[..at], &text[at + sum.len()..]);
                format!("{:016x}", fnv1a64(open.as_bytes())) == *sum
            })
    }
}

/// A checkpoint read from disk and found whole.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// What it belongs to.
    pub info: CheckpointInfo,
    /// Its file.
    pub path: PathBuf,
    arrays: Arrays,
}

/// The checkpoint with the highest step in a folder; none where there is none.
///
/// # Errors
/// [`Error::Io`] where the folder cannot be listed.
pub fn latest_checkpoint(folder: &Path) -> Result<Option<PathBuf>, Error> {
    Ok(list(folder)?.pop())
}

/// The best step, as the newest description that is whole names it: the weights beside that one need not be.
///
/// # Errors
/// [`Error::Io`] where the folder cannot be listed.
pub(crate) fn best_step(folder: &Path) -> Result<Option<u64>, Error> {
    let described = |path: &PathBuf| CheckpointInfo::load(path).ok();
    let newest = list(folder)?.iter().rev().find_map(described);
    Ok(newest.and_then(|info| info.best).map(|best| best.step))
}

/// The checkpoint of a step in a folder, whether it is there or not.
pub(crate) fn checkpoint_at(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("step-{step:08}.json"))
}

/// JSON files of checkpoints in step order; names hold the step with leading zeros.
fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("list checkpoints", folder))? {
        let path = entry.map_err(Error::io("list checkpoints", folder))?.path();
        if path.extension().is_some_and(|e| e == "json") && step_of(&path).is_some() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The step that a checkpoint's file belongs to, by its name.
fn step_of(path: &Path) -> Option<u64> {
    let stem = path.file_stem()?.to_str()?;
    stem.strip_prefix("step-")?.parse().ok()
}

/// What to do about a checkpoint that is not whole.
fn way_out(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let beside = path.parent().map(list).and_then(Result::ok);
    let earlier = beside
        .unwrap_or_default()
        .into_iter()
        .rev()
        .filter(|other| step_of(other) < step_of(path))
        .find(|other| Checkpoint::read(other).is_ok());
    earlier.as_deref().and_then(step_of).map_or_else(
        || "no earlier checkpoint beside it is whole: start a new run".into(),
        |step| {
            format!(
                "that of step {step} is whole: use it by --checkpoint {step}, or delete both {stem}.json and {stem}.safetensors \
                 to go on from there"
            )
        },
    )
}

/// What a checkpoint of any version says of the best one.
#[derive(Deserialize)]
struct Naming {
    best: Option<Best>,
}

/// Deletes all but the newest `kept` checkpoints and the best one that each of them names, and what an
/// interrupted write left.
fn prune(folder: &Path, kept: usize) -> Result<(), Error> {
    let all = list(folder)?;
    let newest = &all[all.len().saturating_sub(kept)..];
    let mut steps = BTreeSet::new();
    for path in newest {
        steps.extend(step_of(path));
        let text = fs::read(path).unwrap_or_default();
        let best = serde_json::from_slice::<Naming>(&text)
            .ok()
            .and_then(|naming| naming.best);
        steps.extend(best.map(|best| best.step));
    }
    let mut surplus = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("list checkpoints", folder))? {
        let path = entry.map_err(Error::io("list checkpoints", folder))?.path();
        let ending = path
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default();
        if ["json", "safetensors", "part"].contains(&ending)
            && step_of(&path).is_some_and(|step| !steps.contains(&step))
        {
            surplus.push(path);
        }
    }
    // The JSON first: without it the rest does not count.
    surplus.sort();
    for file in surplus {
        fs::remove_file(&file).map_err(Error::io("delete an old checkpoint", &file))?;
    }
    Ok(())
}

/// Writes beside, syncs, renames.
fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let beside = path.with_extension("part");
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // The name itself must survive a loss of power; where folders cannot be synced the system does it in
        // its time.
        #[cfg(unix)]
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|e| {
        // The half-written file is of no use to anyone; the error below is what the user needs to see.
        let _ = fs::remove_file(&beside);
        Error::io("write checkpoint (earlier ones are untouched)", path)(e)
    })
}

/// The arrays of those parameters that gradients change: others have no optimiser state.
fn trained<M: Module>(module: &M, mut arrays: Arrays) -> Arrays {
    let names = trained_names(module);
    arrays.retain(|name, _| names.contains(name));
    arrays
}

fn prefixed(prefix: &str, arrays: Arrays) -> impl Iterator<Item = (String, Array)> + use<> {
    let prefix = prefix.to_owned();
    arrays
        .into_iter()
        .map(move |(name, array)| (format!("{prefix}.{name}"), array))
}

impl Trainer<'_> {
    /// Every array of a checkpoint, and the optimisers' updates.
    fn arrays(&self) -> (Arrays, [u64; 2]) {
        let (generator_steps, generator_state) = self.adam_generator.state();
        let (discriminator_steps, discriminator_state) = self.adam_discriminator.state();
        let arrays: Arrays = prefixed("generator", weights_of(&self.generator))
            .chain(prefixed("average", weights_of(&self.average)))
            .chain(prefixed("discriminator", weights_of(&self.discriminator)))
            .chain(prefixed("adam_generator", generator_state))
            .chain(prefixed("adam_discriminator", discriminator_state))
            .chain(prefixed("pool", self.pool.state()))
            .chain(prefixed("window", self.window.sums.arrays()))
            .collect();
        (arrays, [generator_steps, discriminator_steps])
    }

    /// Bytes of a checkpoint of the present state on disk, to a few hundred.
    pub(crate) fn checkpoint_bytes(&self) -> usize {
        to_safetensors(&self.arrays().0, None).len() + self.config.to_toml(false).len()
    }

    /// Writes a checkpoint of this step into `folder` and deletes all but the newest `train.checkpoints_kept`
    /// and the best.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Diverged`] where a figure or a weight is not a finite number; earlier
    /// checkpoints are untouched then.
    pub fn save(&mut self, folder: &Path) -> Result<PathBuf, Error> {
        self.window.settle(self.step)?;
        fs::create_dir_all(folder).map_err(Error::io("make the checkpoint folder", folder))?;
        let (arrays, optimiser_steps) = self.arrays();
        if let Some((name, _)) = arrays
            .iter()
            .find(|(_, array)| array.values.iter().any(|v| !v.is_finite()))
        {
            return Err(Error::Diverged {
                step: self.step,
                what: format!("`{name}` holds values that are not finite numbers"),
            });
        }
        let bytes = to_safetensors(&arrays, None);
        let info = CheckpointInfo {
            format: FORMAT,
            step: self.step,
            optimiser_steps,
            window_steps: self.window.sums.steps(),
            rollbacks: self.rollbacks,
            best: self.best.clone(),
            styles: self
                .dataset
                .styles()
                .iter()
                .map(|s| s.name.clone())
                .collect(),
            dataset: format!("{:016x}", self.dataset.fingerprint()),
            config: Config::clone(&self.config),
            tensors_bytes: bytes.len() as u64,
            tensors_fnv1a64: format!("{:016x}", fnv1a64(&bytes)),
            description_fnv1a64: String::new(),
        };
        let path = checkpoint_at(folder, self.step);
        let weights = path.with_extension("safetensors");
        // The same weights again need no writing: this step is never without its description then.
        if !fs::read(&weights).is_ok_and(|there| there == bytes) {
            // A description of this step from before would not belong to the new weights.
            match fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("replace a checkpoint", &path)(e));
                }
                _ => {}
            }
            write_synced(&weights, &bytes)?;
        }
        write_synced(&path, &info.to_bytes())?;
        prune(folder, self.config.train.checkpoints_kept)?;
        Ok(path)
    }

    /// Goes back to the newest checkpoint in `folder` that loads, with smaller rates from there on; the
    /// checkpoint notes that, so that a run that is cut and resumed does not go through it again.
    ///
    /// # Errors
    /// [`Error::Run`] where no checkpoint loads or the newest belongs to something else, [`Error::Io`].
    pub(crate) fn roll_back(&mut self, folder: &Path) -> Result<(), Error> {
        let mut refused = None;
        for path in list(folder)?.into_iter().rev() {
            let mut checkpoint = match Checkpoint::load(&path) {
                Ok(checkpoint) => checkpoint,
                Err(error) => {
                    refused.get_or_insert(error);
                    continue;
                }
            };
            checkpoint.info.rollbacks = self.rollbacks.max(checkpoint.info.rollbacks) + 1;
            self.restore(&checkpoint)?;
            return write_synced(&path, &checkpoint.info.to_bytes());
        }
        Err(refused.unwrap_or_else(|| Error::run("there is no checkpoint to go back to", folder)))
    }

    /// Takes a checkpoint's state: what follows is what would have followed without the break.
    ///
    /// # Errors
    /// [`Error::Run`] where it belongs to another network or data set. Its configuration is not compared: a
    /// resumed run may have other steps or rates.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let refuse = |problem: String| Error::run(problem, &checkpoint.path);
        let fingerprint = format!("{:016x}", self.dataset.fingerprint());
        let info = &checkpoint.info;
        if info.dataset != fingerprint {
            return Err(refuse(format!(
                "the checkpoint was trained on other pictures (contents {}, now {fingerprint}); give the same data, go on with these by \
                 --resume --data-changed, or start a new run",
                info.dataset
            )));
        }
        // Settings say more than arrays do, where they differ; arrays differ by hundreds.
        let load = |problems: Vec<String>| {
            let mut differences = info.config.networks_otherwise(&self.config);
            let arrays = problems.len();
            differences.extend(problems.into_iter().take(3));
            if arrays > 3 {
                differences.push(format!("and {} more", arrays - 3));
            }
            refuse(format!(
                "the checkpoint does not fit this network: {}",
                differences.join("; ")
            ))
        };
        let weights = |prefix: &str| checkpoint.part(prefix);
        self.generator =
            with_weights(self.generator.clone(), &weights("generator")).map_err(load)?;
        self.average = with_weights(self.average.clone(), &weights("average")).map_err(load)?;
        self.discriminator =
            with_weights(self.discriminator.clone(), &weights("discriminator")).map_err(load)?;
        self.replicas.clear();
        let [generator_steps, discriminator_steps] = info.optimiser_steps;
        self.adam_generator
            .restore(
                generator_steps,
                weights("adam_generator"),
                &trained(&self.generator, weights("generator")),
                &self.devices[0],
            )
            .map_err(load)?;
        self.adam_discriminator
            .restore(
                discriminator_steps,
                weights("adam_discriminator"),
                &trained(&self.discriminator, weights("discriminator")),
                &self.devices[0],
            )
            .map_err(load)?;
        self.pool
            .restore(weights("pool"), &self.devices[0])
            .map_err(load)?;
        self.step = info.step;
        self.rollbacks = info.rollbacks;
        self.best.clone_from(&info.best);
        self.window = Window::of(checkpoint.sums(&self.config).map_err(refuse)?);
        Ok(())
    }
}

impl Checkpoint {
    /// Reads and checks a checkpoint by its JSON file.
    ///
    /// # Errors
    /// [`Error::Run`] for a file that is missing, cut, altered or of another version, saying which, and which
    /// earlier checkpoint is whole.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Self::read(path)
            .map_err(|(problem, file)| Error::run(format!("{problem}; {}", way_out(path)), &file))
    }

    /// [`Checkpoint::load`], with the problem and the file that has it.
    fn read(path: &Path) -> Result<Self, (String, PathBuf)> {
        let info = CheckpointInfo::load(path).map_err(|problem| (problem, path.to_owned()))?;
        let tensors = path.with_extension("safetensors");
        let refuse = |problem: String| (problem, tensors.clone());
        let bytes = fs::read(&tensors)
            .map_err(|e| refuse(format!("cannot read checkpoint weights: {e}")))?;
        if bytes.len() as u64 != info.tensors_bytes {
            return Err(refuse(format!(
                "checkpoint weights are cut: {} bytes, expected {}",
                bytes.len(),
                info.tensors_bytes
            )));
        }
        if format!("{:016x}", fnv1a64(&bytes)) != info.tensors_fnv1a64 {
            return Err(refuse(
                "checkpoint weights are altered: the checksum differs".into(),
            ));
        }
        let arrays = from_safetensors(&bytes)
            .map_err(|e| refuse(format!("checkpoint weights are damaged: {e}")))?;
        Ok(Self {
            info,
            path: path.to_owned(),
            arrays,
        })
    }

    /// One of arrays that were read elsewhere.
    pub(super) fn from_parts(info: CheckpointInfo, path: &Path, arrays: Arrays) -> Self {
        Self {
            info,
            path: path.to_owned(),
            arrays,
        }
    }

    /// Every array, by its name.
    pub(super) fn arrays(&self) -> &Arrays {
        &self.arrays
    }

    /// Sums of the figures since the last tick; what is wrong with them in words.
    fn sums(&self, config: &Config) -> Result<Sums, String> {
        let steps = self.info.window_steps;
        let Some(Array { values, .. }) = self.arrays.get(WINDOW_SUMS) else {
            return Sums::restored(steps, &self.part("window")).map_err(|problems| {
                format!("the checkpoint's running figures: {}", problems.join("; "))
            });
        };
        // The window is the last steps: those of them that the penalty was due in.
        let due = |end: u64| end.div_ceil(config.loss.r1_interval_steps);
        let measured = |figure: Figure| match figure {
            Figure::DR1 if config.loss.r1 == 0.0 => 0,
            Figure::DR1 => due(self.info.step) - due(self.info.step - steps),
            _ => steps,
        };
        Sums::of_format_4(steps, values, measured).ok_or_else(|| {
            format!(
                "the checkpoint has {} running figures, expected {}",
                values.len(),
                Sums::FORMAT_4
            )
        })
    }

    /// The arrays under one prefix, without it.
    pub(super) fn part(&self, prefix: &str) -> Arrays {
        let start = format!("{prefix}.");
        let named = self
            .arrays
            .iter()
            .filter_map(|(name, array)| Some((name.strip_prefix(&start)?, array)));
        named
            .map(|(name, array)| (name.to_owned(), array.clone()))
            .collect()
    }

    /// The averaged generator, for use without training.
    ///
    /// # Errors
    /// [`Error::Run`] where the arrays do not fit the configuration beside them.
    pub fn generator(&self, device: &burn::tensor::Device) -> Result<Generator, Error> {
        let fresh = self.info.config.generator.init(
            self.info.config.domain(self.info.styles.len()),
            &mut Init::new(0, 0, device),
        );
        with_weights(fresh, &self.part("average")).map_err(|problems| {
            Error::run(
                format!(
                    "checkpoint does not fit its configuration: {}",
                    problems.join("; ")
                ),
                &self.path,
            )
        })
    }

    /// The discriminator, for use without training.
    ///
    /// # Errors
    /// [`Error::Run`] where the arrays do not fit the configuration beside them.
    pub fn discriminator(&self, device: &burn::tensor::Device) -> Result<Discriminator, Error> {
        let fresh = self
            .info
            .config
            .discriminator
            .init(
                self.info.config.domain(self.info.styles.len()),
                &mut Init::new(0, 1, device),
            )
            .map_err(|e| Error::Config(vec![format!("discriminator: {e}")]))?;
        with_weights(fresh, &self.part("discriminator")).map_err(|problems| {
            Error::run(
                format!(
                    "checkpoint does not fit its configuration: {}",
                    problems.join("; ")
                ),
                &self.path,
            )
        })
    }

    /// Refuses a data set whose styles are not this checkpoint's.
    ///
    /// # Errors
    /// [`Error::Run`] naming both lists.
    pub fn check_styles(&self, dataset: &Dataset) -> Result<(), Error> {
        let names: Vec<&str> = dataset.styles().iter().map(|s| s.name.as_str()).collect();
        if names == self.info.styles {
            return Ok(());
        }
        let problem = format!(
            "the run was trained on the styles {}; this data has {}",
            self.info.styles.join(", "),
            names.join(", ")
        );
        Err(Error::run(problem, &self.path))
    }

    /// Takes a data set of the same styles, whose pictures were changed, for the one that it was trained on,
    /// and says so in its file: a run can go on with it, and looks for its best weights anew. Returns the
    /// contents before, where they were others.
    ///
    /// # Errors
    /// [`Error::Run`] for other styles, [`Error::Io`].
    pub fn take_data(&mut self, dataset: &Dataset) -> Result<Option<String>, Error> {
        self.check_styles(dataset)?;
        let now = format!("{:016x}", dataset.fingerprint());
        if self.info.dataset == now {
            return Ok(None);
        }
        let before = std::mem::replace(&mut self.info.dataset, now);
        // Its figure is of other validation pictures.
        self.info.best = None;
        write_synced(&self.path, &self.info.to_bytes())?;
        Ok(Some(before))
    }

    /// What to report of a data set whose contents are not those of training: none where they are.
    pub fn other_data(&self, dataset: &Dataset) -> Option<String> {
        let (trained, now) = (
            &self.info.dataset,
            format!("{:016x}", dataset.fingerprint()),
        );
        (*trained != now).then(|| {
            format!(
                "these are not the pictures of training (contents {trained}, now {now}): a picture that training saw under another \
                 name, or in another family, may be among those called held-out"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> CheckpointInfo {
        CheckpointInfo {
            format: FORMAT,
            step: 1,
            optimiser_steps: [1, 1],
            window_steps: 0,
            rollbacks: 0,
            best: None,
            styles: vec!["a".into(), "b".into()],
            dataset: String::new(),
            config: Config::default(),
            tensors_bytes: 0,
            tensors_fnv1a64: NO_CHECKSUM.into(),
            description_fnv1a64: NO_CHECKSUM.into(),
        }
    }

    #[test]
    fn a_description_of_an_earlier_version_is_read_or_names_the_key_that_is_gone() {
        let info = info();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("step-00000001.json");
        let read = |smoothness: &str| {
            let open = serde_json::to_string(&info).expect("plain data is JSON");
            let key = format!("\"loss\":{{\"smoothness\":{smoothness},");
            let open = open.replacen("\"loss\":{", &key, 1);
            let sum = format!("{:016x}", fnv1a64(open.as_bytes()));
            let at = open.rfind(NO_CHECKSUM).expect("it is there");
            let text = format!("{}{sum}{}", &open[..at], &open[at + sum.len()..]);
            fs::write(&path, text).expect("it can be written");
            CheckpointInfo::load(&path)
        };
        assert_eq!(read("0.0").expect("it changed nothing").config, info.config);
        let refused = read("0.5").expect_err("it had an effect");
        assert!(refused.contains("loss.smoothness"), "{refused}");
    }

    #[test]
    fn running_figures_of_the_earlier_format_are_taken_up() {
        let mut config = Config::default();
        (config.loss.r1, config.loss.r1_interval_steps) = (1.0, 16);
        let checkpoint = |values: Vec<f32>| {
            let array = Array {
                shape: vec![values.len()],
                values,
            };
            Checkpoint {
                info: CheckpointInfo {
                    format: EARLIER_FORMAT,
                    step: 20,
                    window_steps: 6,
                    ..info()
                },
                path: PathBuf::new(),
                arrays: [(WINDOW_SUMS.to_owned(), array)].into(),
            }
        };
        let sums = checkpoint((0..17_u8).map(f32::from).collect()).sums(&config);
        let means = sums.expect("a sum for each figure").means();
        // In its order, the penalty stands before the reconstruction; of steps 14 to 19 it was due in one.
        assert_eq!(
            [
                Figure::DFake,
                Figure::DR1,
                Figure::GReconstruction,
                Figure::GNorm
            ]
            .map(|figure| means[figure]),
            [1.0 / 6.0, 5.0, 1.0, 16.0 / 6.0]
        );
        let refused = checkpoint(vec![0.0; 3]).sums(&config).expect_err("too few");
        assert!(
            refused.contains("3 running figures, expected 17"),
            "{refused}"
        );
    }
}
