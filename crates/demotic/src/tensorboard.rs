//! Event files for `TensorBoard`, where `train.tensorboard` asks for them: scalars of every tick and
//! validation, sample grids and label maps, and the settings.
//!
//! The four crates made for it were weighed and not taken. None of them can take up a file and cut it back to
//! a step, which an exact resume needs. Beside that, `tboard` 0.1.1 needs `protoc` to build, `tensorboard-rs`
//! 0.5.9 panics where a disk is full and brings an image library from 2021, `tfrecord` 0.15 brings a hundred
//! crates and a TLS library, `syntaxdot-summary` 0.5.0 (scalars alone) a message compiler of 2021. What is
//! written here is small: records of length, checksum, bytes, checksum, each a message of a time, a step and
//! named numbers. Held beside `TensorBoard` 2.21.0 itself (2026-11-23): its reader found the 30 curves of a
//! run of 20 steps, and 92 numbers of their points that were compared are those of `stats.jsonl`; its pages
//! had the pictures of a run of 60 steps and the table of its settings (2026-11-30).
//!
//! # Source
//! tensorflow `core/lib/io/record_writer.h` (framing), `core/util/event.proto` and
//! `core/framework/summary.proto`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use demotic_core::files::{append, write_whole};
use demotic_core::number::{Real, Whole};
use demotic_core::protobuf::Message;
use serde_json::Value;

use crate::failure::io;

/// What every file begins with.
const VERSION: &[u8] = b"brain.Event:2";

/// A file of events that grows.
pub(crate) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Opens the run's file; what it holds beyond `step`, or was cut in the middle, is dropped.
    pub(crate) fn open(folder: &Path, step: u64) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| io("make the folder of events", folder, &e))?;
        let path = folder.join("events.out.tfevents.0000000000.demotic");
        let mut kept = Vec::new();
        if path.exists() {
            let bytes = fs::read(&path).map_err(|e| io("read", &path, &e))?;
            let keeps = |payload: &&[u8]| step_of(payload).is_some_and(|s| s <= step);
            kept = records(&bytes)
                .into_iter()
                .filter(keeps)
                .flat_map(framed)
                .collect();
        }
        if kept.is_empty() {
            let mut first = head(0);
            first.bytes(3, VERSION);
            kept = framed(&first.into_bytes());
        }
        write_whole(&path, &kept)?;
        let file = append(&path)?;
        Ok(Self { path, file })
    }

    /// Adds every number of a line of figures under its key, `phases.g_forward_secs` where they are nested.
    pub(crate) fn add(&mut self, prefix: &str, step: u64, figures: &Value) -> Result<()> {
        let mut values = Vec::new();
        scalars(prefix, figures, &mut values);
        let values = values.into_iter().map(|(tag, number)| {
            let mut value = Message::default();
            value.bytes(1, tag);
            value.float(2, number);
            value
        });
        self.write(step, values.collect())
    }

    /// Adds a PNG of three planes.
    pub(crate) fn add_picture(
        &mut self,
        tag: &str,
        step: u64,
        png: &[u8],
        (width, height): (u32, u32),
    ) -> Result<()> {
        let mut picture = Message::default();
        picture.number(1, height.into());
        picture.number(2, width.into());
        picture.number(3, 3);
        picture.bytes(4, png);
        let mut value = Message::default();
        value.bytes(1, tag);
        value.message(4, picture);
        self.write(step, vec![value])
    }

    /// Adds a text in Markdown.
    pub(crate) fn add_text(&mut self, tag: &str, step: u64, text: &str) -> Result<()> {
        let mut plugin = Message::default();
        plugin.bytes(1, "text");
        let mut metadata = Message::default();
        metadata.message(1, plugin);
        // A tensor of one string: `DT_STRING`, of no extents.
        let mut tensor = Message::default();
        tensor.number(1, 7);
        tensor.message(2, Message::default());
        tensor.bytes(8, text);
        let mut value = Message::default();
        value.bytes(1, tag);
        value.message(8, tensor);
        value.message(9, metadata);
        self.write(step, vec![value])
    }

    /// Whether the file holds nothing yet but its version.
    pub(crate) fn is_new(&self) -> Result<bool> {
        let bytes = fs::read(&self.path).map_err(|e| io("read", &self.path, &e))?;
        Ok(records(&bytes).len() < 2)
    }

    fn write(&mut self, step: u64, values: Vec<Message>) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        let mut summary = Message::default();
        for value in values {
            summary.message(1, value);
        }
        let mut event = head(step);
        event.message(5, summary);
        self.file
            .write_all(&framed(&event.into_bytes()))
            .map_err(|e| io("write", &self.path, &e))
    }
}

/// Numbers of a JSON object by their path; the step is the event's own.
fn scalars(path: &str, value: &Value, found: &mut Vec<(String, f32)>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries.iter().filter(|(key, _)| *key != "step") {
                scalars(&format!("{path}/{key}"), value, found);
            }
        }
        Value::Number(number) => {
            found.extend(number.as_f64().map(|v| (path.to_owned(), v.to_f32())));
        }
        _ => {}
    }
}

/// An event's time and step: `wall_time` = 1, eight bytes; `step` = 2, a varint.
fn head(step: u64) -> Message {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |t| t.as_secs_f64());
    let mut event = Message::default();
    event.double(1, now);
    event.number(2, step.to_i64());
    event
}

/// A record on disk: length, its checksum, the payload, its checksum.
fn framed(payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u64).to_le_bytes();
    [&len[..], &masked_crc(&len), payload, &masked_crc(payload)].concat()
}

/// The payloads of a file up to the first that is cut or altered.
fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<8>() {
        let size = usize::try_from(u64::from_le_bytes(*len)).unwrap_or(usize::MAX);
        let Some((crc, rest)) = rest
            .split_first_chunk::<4>()
            .filter(|(crc, _)| **crc == masked_crc(len))
        else {
            break;
        };
        let _ = crc;
        let Some((payload, rest)) = rest.split_at_checked(size) else {
            break;
        };
        let Some((_, rest)) = rest
            .split_first_chunk::<4>()
            .filter(|(crc, _)| **crc == masked_crc(payload))
        else {
            break;
        };
        found.push(payload);
        bytes = rest;
    }
    found
}

/// The step of an event written by [`head`].
fn step_of(payload: &[u8]) -> Option<u64> {
    let mut step = 0;
    for (i, byte) in payload.get(10..)?.iter().take(10).enumerate() {
        step |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some(step);
        }
    }
    None
}

/// CRC-32C, turned and shifted so that a checksum of checksums is not trivial.
fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 * (crc & 1))
        })
    });
    (!crc)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
        .to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc_32c() {
        // The check value of the catalogue, for "123456789".
        let masked = u32::from_le_bytes(masked_crc(b"123456789"));
        assert_eq!(
            masked.wrapping_sub(0xa282_ead8).rotate_left(15),
            0xe306_9283
        );
    }

    #[test]
    fn pictures_and_settings_are_where_tensorboard_looks_for_them() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let mut file = EventFile::open(folder.path(), 0)?;
        assert!(file.is_new()?);
        file.add_text("settings", 0, "| a |")?;
        file.add_picture("samples", 300, b"PNG", (5, 4))?;
        assert!(!file.is_new()?);
        let bytes = fs::read(&file.path)?;
        let found = records(&bytes);
        // Summary (5) > value (1) > tag (1), tensor (8) of a string, metadata (9) > plugin (1) > name (1).
        let text = b"\x2a\x23\x0a\x21\x0a\x08settings\x42\x0b\x08\x07\x12\x00\x42\x05| a |\x4a\x08\x0a\x06\x0a\x04text";
        assert!(found[1].ends_with(text), "{:x?}", found[1]);
        // Picture (4): height, width, planes, bytes.
        let picture = b"\x2a\x18\x0a\x16\x0a\x07samples\x22\x0b\x08\x04\x10\x05\x18\x03\x22\x03PNG";
        assert!(found[2].ends_with(picture), "{:x?}", found[2]);
        assert_eq!(step_of(found[2]), Some(300));
        Ok(())
    }

    #[test]
    fn a_file_reads_back_and_rewinds_to_a_step_whatever_its_end() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let figures = |d: f64| serde_json::json!({"step": 7, "d_real": d, "phases": {"g_secs": 0.25}, "name": "x"});
        let mut file = EventFile::open(folder.path(), 0)?;
        for step in [100, 200, 300] {
            file.add("train", step, &figures(step.to_f64()))?;
        }
        let path = file.path.clone();
        drop(file);
        let bytes = fs::read(&path)?;
        let all = records(&bytes);
        assert_eq!(
            all.iter().map(|r| step_of(r)).collect::<Vec<_>>(),
            [Some(0), Some(100), Some(200), Some(300)]
        );
        assert!(all[0].ends_with(VERSION));
        let reported = |payload: &[u8], tag: &str, value: f32| {
            let mut wanted = vec![tag.len().to_u8()];
            wanted.extend(tag.as_bytes());
            wanted.push(0x15);
            wanted.extend(value.to_le_bytes());
            payload.windows(wanted.len()).any(|window| window == wanted)
        };
        assert!(
            reported(all[2], "train/d_real", 200.0)
                && reported(all[2], "train/phases/g_secs", 0.25)
        );
        assert!(!all[2].windows(4).any(|w| w == b"step"));
        // Cut at any byte, then opened at step 200: whole records up to there, and no more.
        let ends: Vec<usize> = (1..=4)
            .map(|n| all[..n].iter().map(|r| r.len() + 16).sum())
            .collect();
        for cut in 0..=bytes.len() {
            fs::write(&path, &bytes[..cut])?;
            let mut file = EventFile::open(folder.path(), 200)?;
            file.add("train", 250, &figures(1.0))?;
            let after = fs::read(&path)?;
            let whole = ends.iter().filter(|&&end| end <= cut).count().clamp(1, 3);
            let steps: Vec<u64> = records(&after).iter().filter_map(|r| step_of(r)).collect();
            assert_eq!(
                steps,
                [&[0, 100, 200][..whole], &[250]].concat(),
                "cut at {cut}"
            );
        }
        Ok(())
    }
}
