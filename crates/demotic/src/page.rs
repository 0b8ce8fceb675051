//! A run's page: the files of its folder, gathered.

use std::fs;
use std::path::Path;

use anyhow::Result;
use demotic_core::files::write_beside;
use demotic_core::report::{Film, Report, Sheet};
use demotic_core::train::run;

use crate::failure::io;
use crate::sheet::TRUE;

/// Moments of a film on the page; more are thinned evenly, the first and the last stay.
const FRAMES_MAX: usize = 24;

/// Gathers what a run folder holds and writes its page. Reads files only: no device, no data set.
pub(crate) fn write(folder: &Path, file: &Path) -> Result<()> {
    let text = |name: &str| -> Result<String> {
        let path = folder.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(e) => Err(io("read", &path, &e)),
        }
    };
    let name = std::path::absolute(folder).ok().and_then(|path| {
        let name = path.file_name()?;
        Some(name.to_string_lossy().into_owned())
    });
    // A line that is just being written, or was cut, is no JSON.
    let stats = text("stats.jsonl")?;
    let stats = stats
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let mut films = films(folder)?;
    let reals = folder.join("samples/reals.png");
    if reals.is_file() {
        films.push(Film {
            title: "Training pictures".into(),
            note: "As they are, before augmentation.".into(),
            frames: vec![("reals".into(), reals)],
        });
    }
    let report = Report {
        name: name.unwrap_or_else(|| "run".into()),
        facts: run::header(folder)?.map_or_else(Vec::new, |header| header.facts),
        // A page can be written of a run whose settings this build refuses.
        config: run::config(folder).ok(),
        stats: stats.collect(),
        evaluation: serde_json::from_str(&text("evaluation.json")?).ok(),
        words: (
            text("words/stats.jsonl")?
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect(),
            serde_json::from_str(&text("words/evaluation.json")?).ok(),
        ),
        films,
    };
    Ok(write_beside(file, |page| report.write(page))?)
}

/// Sample grids and label maps by step.
fn films(folder: &Path) -> Result<Vec<Film>> {
    let samples = folder.join("samples");
    let mut found: Vec<(u64, bool, String)> = Vec::new();
    let entries = match fs::read_dir(&samples) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(io("look into the samples", &samples, &e)),
    };
    for entry in entries {
        let entry = entry.map_err(|e| io("look into the samples", &samples, &e))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "fakes_init.png" {
            found.push((0, false, name));
        } else if let Some(step) = run::sample_step(&name) {
            found.push((step, name.starts_with("labels-"), name));
        }
    }
    found.sort();
    let film = |is_labels: bool, title: &str, note: &str| {
        let moments: Vec<&(u64, bool, String)> = found
            .iter()
            .filter(|(_, labels, _)| *labels == is_labels)
            .collect();
        let count = FRAMES_MAX.min(moments.len());
        let mut frames = Vec::new();
        for i in 0..count {
            let (step, _, name) = moments[i * (moments.len() - 1) / (count - 1).max(1)];
            frames.push((format!("step {step}"), samples.join(name)));
        }
        Film {
            title: title.into(),
            note: note.into(),
            frames,
        }
    };
    // Without pairs there is no true picture beside a translation.
    let latest = found.iter().rfind(|(_, is_labels, _)| !is_labels);
    let sheet = latest.and_then(|(.., name)| Sheet::of(&fs::read(samples.join(name)).ok()?));
    let has_truths = sheet.is_none_or(|sheet| sheet.names().any(|name| name.ends_with(TRUE)));
    let note = if has_truths {
        "The same pictures throughout: the input, its reconstruction, and each translation beside the true picture."
    } else {
        "The same pictures throughout: the input, its reconstruction, and each translation."
    };
    Ok(vec![
        film(false, "Translations of held-out pictures", note),
        film(
            true,
            "What the discriminator says of each patch",
            "Real pictures, translations and mixtures of both: the true label of each patch, the most probable one, and \
             the probability of each label. The legend is at the bottom of the picture.",
        ),
    ])
}
