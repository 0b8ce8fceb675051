//! What a run is: program, devices, data, networks and settings, in facts by topic.

use std::collections::BTreeMap;
use std::fmt;

use demotic_crf::WgslKernel;
use serde::{Deserialize, Serialize};

use super::fills::Fills;
use super::kernels;
use super::trainer::Trainer;
use crate::device::Chosen;
use crate::error::Error;
use crate::model::DiscriminatorConfig;
use crate::settings::{CanvasWeight, Entry};
use crate::table::WHOLE;

/// One line of a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// What it is about, such as `device`.
    pub topic: String,
    /// The rest of the line.
    pub text: String,
}

impl Fact {
    /// A fact on a topic.
    pub fn new(topic: &str, text: impl Into<String>) -> Self {
        Self {
            topic: topic.to_owned(),
            text: text.into(),
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<6} {}", self.topic, self.text)
    }
}

/// What a run is as it was last begun, and where its log stood at its checkpoints: `header.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// In the order of the screen.
    pub facts: Vec<Fact>,
    /// Settings that are not the default.
    pub settings: Vec<Entry>,
    /// Length of log.txt when the checkpoint of a step was saved.
    log_bytes: BTreeMap<u64, u64>,
}

/// What comes of styles that fill the square differently: what training does about it, or a warning.
fn margins(fills: &Fills, canvas_weight: f32, keeps_shapes: bool) -> Fact {
    if canvas_weight > 0.0 {
        return Fact::new(
            "margin",
            format!(
                "{fills}: what lies beside a drawing is held as it is (loss.canvas {canvas_weight})"
            ),
        );
    }
    // Where shapes may move, they may move onto the canvas.
    let hold = keeps_shapes.then(|| {
        let held = CanvasWeight::HELD;
        format!(", --set loss.canvas={held} holds the canvas")
    });
    Fact::new(
        "warn",
        format!(
            "{fills}: translations may get colour beside the drawings; --set augment.scale_max=0.4 \
             --set augment.affine_prob=0.8 shows every style at many sizes{}",
            hold.unwrap_or_default()
        ),
    )
}

impl Header {
    /// The header of a trainer on its devices, the first of `chosen` first; `further` facts come last.
    ///
    /// # Errors
    /// What the CRF refuses.
    pub fn new(
        trainer: &Trainer<'_>,
        chosen: &[&Chosen],
        further: Vec<Fact>,
    ) -> Result<Self, Error> {
        let config = trainer.config();
        let mut facts = vec![Fact::new("demotic", env!("CARGO_PKG_VERSION"))];
        facts.extend(
            chosen
                .iter()
                .map(|device| Fact::new("device", &device.description)),
        );
        if chosen.len() > 1 {
            let text = format!(
                "each takes 1/{} of every step; gradients are summed on the first",
                chosen.len()
            );
            facts.push(Fact::new("device", text));
        }
        if chosen.iter().any(|device| device.is_tuned) {
            let text = "first step measures kernels (autotune) and takes longer: minutes on a software adapter";
            facts.push(Fact::new("device", text));
        }
        let kernels = chosen
            .iter()
            .flat_map(|device| kernels::described(config, &device.device));
        facts.extend(kernels.map(|text| Fact::new("device", text)));
        facts.push(crf(trainer)?);
        let summary = trainer.dataset().summary();
        let of_data = summary.facts(WHOLE).into_iter();
        facts.extend(of_data.map(|(topic, text)| Fact::new(topic, text)));
        let (share, [paired, all]) = (
            config.train.pairs.share(),
            trainer
                .dataset()
                .paired_pictures(config.train.paired_styles),
        );
        if share > 0.0 && paired < all {
            let others = if share < 1.0 {
                "come without"
            } else {
                "are not trained on"
            };
            facts.push(Fact::new(
                "pairs",
                format!(
                    "{paired} of {all} training pictures have a counterpart; the others {others}"
                ),
            ));
        }
        let canvas_weight = trainer.canvas_weight();
        let keeps_shapes = config.keeps_shapes();
        let of_margins = |fills| margins(fills, canvas_weight, keeps_shapes);
        facts.extend(trainer.fills().map(of_margins));
        let (generator, discriminator) = trainer.parameter_counts();
        facts.push(Fact::new(
            "model",
            format!("generator {generator} parameters, discriminator {discriminator}"),
        ));
        facts.extend(further);
        if trainer.augment_prob() > 0.0 {
            facts.push(Fact::new(
                "augment",
                format!(
                    "the discriminator's pictures are varied, each way with probability {:.2}",
                    trainer.augment_prob()
                ),
            ));
        }
        Ok(Self {
            facts,
            settings: config
                .entries()
                .into_iter()
                .filter(|entry| !entry.is_default)
                .collect(),
            log_bytes: BTreeMap::new(),
        })
    }

    /// The header as lines, the settings last.
    pub fn lines(&self) -> Vec<String> {
        let facts = self.facts.iter().map(ToString::to_string);
        let settings = self.settings.iter().map(set);
        facts.chain(settings).collect()
    }

    /// What it says otherwise than the one before, a line a topic or setting.
    pub fn changes(&self, before: &Self) -> Vec<String> {
        let (now, before) = (self.by_topic(), before.by_topic());
        let with = now
            .iter()
            .filter(|(topic, text)| before.get(*topic) != Some(text))
            .map(|(_, text)| format!("with: {text}"));
        let without = before
            .iter()
            .filter(|(topic, _)| !now.contains_key(*topic))
            .map(|(_, text)| format!("without: {text}"));
        with.chain(without).collect()
    }

    /// The lines of each topic and setting, as one.
    fn by_topic(&self) -> BTreeMap<(&str, &str), String> {
        let mut topics: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
        for fact in &self.facts {
            topics
                .entry((&fact.topic, ""))
                .or_default()
                .push(fact.to_string());
        }
        for entry in &self.settings {
            topics
                .entry((&entry.section, &entry.key))
                .or_default()
                .push(set(entry));
        }
        let joined = topics
            .into_iter()
            .map(|(topic, lines)| (topic, lines.join("; ")));
        joined.collect()
    }

    /// Notes that the log had `bytes` when the checkpoint of `step` was saved.
    pub fn mark_log(&mut self, step: u64, bytes: u64) {
        self.log_bytes.retain(|other, _| *other < step);
        self.log_bytes.insert(step, bytes);
    }

    /// Bytes of the log at the checkpoint of a step, if that is known.
    pub(super) fn log_end(&self, step: u64) -> Option<u64> {
        self.log_bytes.get(&step).copied()
    }

    /// Takes over what the one before knows of the log.
    #[must_use]
    pub fn continuing(mut self, before: &Self) -> Self {
        self.log_bytes.clone_from(&before.log_bytes);
        self
    }
}

/// `set    [train] steps = 200`
fn set(entry: &Entry) -> String {
    let Entry {
        section,
        key,
        value,
        ..
    } = entry;
    let section = if section.is_empty() {
        String::new()
    } else {
        format!("[{section}]")
    };
    format!("set    {section} {key} = {value}")
}

/// What computes the CRF, over which labels.
fn crf(trainer: &Trainer<'_>) -> Result<Fact, Error> {
    let config = trainer.config();
    let crf = trainer.discriminator().crf();
    let refused = |e: demotic_crf::CrfError| Error::Config(vec![format!("discriminator: {e}")]);
    let implementation = crf.implementation(trainer.device()).map_err(refused)?;
    // The discriminator sees as many real, fake and mixed pictures in one call.
    let side = config.data.size_px as usize / DiscriminatorConfig::PATCH_STRIDE;
    let grids = [3 * config.train.batch, side, side];
    let kernel = crf.kernel(trainer.device(), grids).map_err(refused)?;
    let named = |kernel: WgslKernel| format!(" (crf_{})", format!("{kernel:?}").to_lowercase());
    let text = format!(
        "{}{} over {} labels, {}",
        implementation.name(),
        kernel.map_or_else(String::new, named),
        trainer.dataset().styles().len() + 1,
        config.discriminator.links()
    );
    Ok(Fact::new("crf", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(steps: u64) -> Entry {
        Entry {
            section: "train".into(),
            key: "steps".into(),
            value: steps.to_string(),
            is_default: false,
        }
    }

    fn header(steps: Option<u64>, devices: &[&str]) -> Header {
        let mut facts = vec![Fact::new("demotic", "1")];
        facts.extend(devices.iter().map(|device| Fact::new("device", *device)));
        Header {
            facts,
            settings: steps.map(entry).into_iter().collect(),
            log_bytes: BTreeMap::new(),
        }
    }

    #[test]
    fn a_resume_notes_what_differs_from_the_run_as_it_last_was() {
        let before = header(Some(2000), &["a"]);
        assert!(before.changes(&before).is_empty());
        assert_eq!(
            header(Some(200), &["a"]).changes(&before),
            ["with: set    [train] steps = 200"],
            "a beginning of the value is another value"
        );
        // Back to the default, which a header does not name; more devices than one.
        assert_eq!(
            header(None, &["a", "b"]).changes(&before),
            [
                "with: device a; device b",
                "without: set    [train] steps = 2000"
            ]
        );
    }

    #[test]
    fn a_header_reads_back_and_knows_the_log_at_the_checkpoints_that_are_left() {
        let mut known = header(Some(5), &["a"]);
        for (step, bytes) in [(20, 100), (40, 200), (30, 170)] {
            known.mark_log(step, bytes);
        }
        let text = serde_json::to_string(&known).expect("a header is JSON");
        let again: Header = serde_json::from_str(&text).expect("it was just written");
        assert_eq!(again, known);
        // The run went back from 40 to 20 and on to 30.
        assert_eq!(
            [20, 30, 40].map(|step| again.log_end(step)),
            [Some(100), Some(170), None]
        );
        assert_eq!(header(None, &[]).continuing(&again).log_end(30), Some(170));
    }
}
