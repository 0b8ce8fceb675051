//! A run in training, as its files show it: figures since they were last asked for, and pictures by their
//! step.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::io::{Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::Result;
use demotic_core::number::Whole;
use demotic_core::train::run;
use image::{ImageFormat, ImageReader};
use serde_json::{Value, json};

use crate::failure::io;

/// Most bytes of figures in an answer.
const PART: usize = 2 << 20;
/// Most moments of a film: a fast run makes more than can be looked at.
const FRAMES: usize = 40;
/// How long a moment is shown, and the last one.
const FRAME_MILLIS: u16 = 400;
const LAST_MILLIS: u16 = 2000;

/// The files of a run.
pub(crate) struct Watch {
    folder: PathBuf,
}

impl Watch {
    /// Watches a run's folder; nothing where there is none.
    pub(crate) fn of(run: &Path) -> Option<Self> {
        run.is_dir().then(|| Self {
            folder: run.to_owned(),
        })
    }

    /// Whether there is a figure or a picture to show.
    pub(crate) fn has_begun(&self) -> bool {
        self.folder.join("stats.jsonl").is_file() || self.folder.join("samples").is_dir()
    }

    /// Whole lines of `stats.jsonl` behind `from` bytes, and how the run stands. `seen` is what an earlier
    /// answer said of the bytes up to there: where a run went back, or a new one took its place, all lines
    /// come anew.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn stats(&self, from: u64, seen: &str) -> Result<Value> {
        let path = self.folder.join("stats.jsonl");
        let (text, age_secs) = match read(&path) {
            Ok(found) => found,
            Err(e) if e.kind() == ErrorKind::NotFound => (Vec::new(), None),
            Err(e) => return Err(io("read", &path, &e)),
        };
        let is_same = text
            .get(..from.to_usize())
            .is_some_and(|begun| from > 0 && hash(begun) == seen);
        let start = if is_same { from.to_usize() } else { 0 };
        let part = &text[start..text.len().min(start + PART)];
        // The last line may be half written.
        let until = start
            + part
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |last| last + 1);
        let lines = String::from_utf8_lossy(&text[start..until]);
        let records = lines
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect::<Vec<Value>>();
        let config = run::config(&self.folder).ok();
        // Styles that a film shows by their number: its pictures are those of the sheets.
        let header = run::header(&self.folder).ok().flatten();
        let mut facts = header.iter().flat_map(|header| &header.facts);
        let numbered = facts.find(|fact| fact.topic == "names");
        let (samples, labels) = (self.steps(false)?, self.steps(true)?);
        Ok(json!({
            "anew": start == 0,
            "until": until,
            "seen": hash(&text[..until]),
            "more": until < text.len() && !records.is_empty(),
            "records": records,
            "steps": config.map(|config| config.train.steps),
            "age_secs": age_secs,
            "names": numbered.map(|fact| &fact.text),
            "samples": samples.into_iter().map(|(step, _)| step).collect::<Vec<u64>>(),
            "labels": labels.into_iter().map(|(step, _)| step).collect::<Vec<u64>>(),
        }))
    }

    /// A sample grid, or a picture of labels, by its step.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn sample(&self, is_labels: bool, step: u64) -> Result<Option<Vec<u8>>> {
        let known = self.steps(is_labels)?;
        let Some((_, path)) = known.into_iter().find(|(known, _)| *known == step) else {
            return Ok(None);
        };
        fs::read(&path).map(Some).map_err(|e| io("read", &path, &e))
    }

    /// All of them as one film: an animated PNG of at most [`FRAMES`] moments, the last one the longest.
    /// Moments whose picture has another size than the last one's are left out.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn film(&self, is_labels: bool) -> Result<Option<Vec<u8>>> {
        let known = self.steps(is_labels)?;
        let count = FRAMES.min(known.len());
        let chosen = (0..count).map(|i| &known[i * (known.len() - 1) / (count - 1).max(1)].1);
        // A run that goes back deletes pictures in the meantime.
        let mut opened = Vec::new();
        for path in chosen {
            match fs::read(path) {
                Ok(bytes) => opened.push(bytes),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(io("read", path, &e)),
            }
        }
        let size = |bytes: &Vec<u8>| {
            let reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png);
            reader.into_dimensions().ok()
        };
        let Some(last) = opened.last().and_then(size) else {
            return Ok(None);
        };
        opened.retain(|bytes| size(bytes) == Some(last));
        Ok(Some(animated(&opened, last)?))
    }

    /// Steps that there is a picture of, in order. A path comes from the folder, never from a request.
    fn steps(&self, is_labels: bool) -> Result<Vec<(u64, PathBuf)>> {
        let samples = self.folder.join("samples");
        let entries = match fs::read_dir(&samples) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(io("look into the samples", &samples, &e)),
        };
        let mut found = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let step = if name == "fakes_init.png" {
                Some(0)
            } else {
                run::sample_step(&name)
            };
            if let Some(step) = step.filter(|_| name.starts_with("labels-") == is_labels) {
                found.push((step, entry.path()));
            }
        }
        found.sort();
        Ok(found)
    }
}

/// PNGs of one size as an animated one.
fn animated(frames: &[Vec<u8>], (width, height): (u32, u32)) -> Result<Vec<u8>> {
    let mut film = Vec::new();
    let mut encoder = png::Encoder::new(&mut film, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_animated(frames.len().to_u32(), 0)?;
    encoder.set_frame_delay(FRAME_MILLIS, 1000)?;
    let mut writer = encoder.write_header()?;
    for (i, frame) in frames.iter().enumerate() {
        if i + 1 == frames.len() {
            writer.set_frame_delay(LAST_MILLIS, 1000)?;
        }
        let frame = image::load_from_memory_with_format(frame, ImageFormat::Png)?;
        writer.write_image_data(frame.to_rgb8().as_raw())?;
    }
    writer.finish()?;
    Ok(film)
}

/// A file, and the seconds since it was written.
fn read(path: &Path) -> std::io::Result<(Vec<u8>, Option<u64>)> {
    let mut file = File::open(path)?;
    let age = file
        .metadata()?
        .modified()?
        .elapsed()
        .ok()
        .map(|age| age.as_secs());
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok((bytes, age))
}

fn hash(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_film_has_every_moment_once_and_leaves_out_what_has_another_size() {
        let folder = tempfile::tempdir().expect("a folder");
        let samples = folder.path().join("samples");
        fs::create_dir(&samples).expect("a folder");
        let grey = |level: u8, side: u32| {
            let mut png = Cursor::new(Vec::new());
            image::RgbImage::from_pixel(side, 5, image::Rgb([level; 3]))
                .write_to(&mut png, ImageFormat::Png)
                .expect("it can be encoded");
            png.into_inner()
        };
        let watch = Watch::of(folder.path()).expect("a folder");
        assert_eq!(watch.film(false).expect("it can be read"), None);
        for (name, png) in [
            ("fakes_init.png", grey(10, 8)),
            ("step-00000020.png", grey(20, 8)),
            ("step-00000040.png", grey(30, 9)),
            ("step-00000060.png", grey(40, 8)),
        ] {
            fs::write(samples.join(name), png).expect("it can be written");
        }
        let known = watch.steps(false).expect("it can be read").len();
        assert_eq!(known, 4, "names of samples as a run gives them");
        let film = watch.film(false).expect("it can be read").expect("a film");
        let mut reader = png::Decoder::new(Cursor::new(&film))
            .read_info()
            .expect("a PNG");
        let frames = reader
            .info()
            .animation_control
            .expect("animated")
            .num_frames;
        assert_eq!(frames, 3);
        let mut levels = Vec::new();
        for _ in 0..frames {
            let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
            reader.next_frame(&mut pixels).expect("a frame");
            levels.push(pixels[0]);
        }
        assert_eq!(levels, [10, 20, 40]);
    }
}
