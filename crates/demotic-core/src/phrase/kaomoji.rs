//! Kaomoji, pictures made of characters: `en words zh words face face ..`, and the one that fits a phrase
//! best.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use super::table::SEPARATOR;
use super::text::grams;
use crate::data::DataError;

/// Most bytes of the table, unpacked.
const MAX_TABLE_BYTES: u64 = 16 << 20;

/// One kaomoji.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Face {
    /// As it is written.
    pub(crate) text: String,
    /// What it is found by: English, Chinese.
    pub(crate) words: [Vec<String>; 2],
}

/// The table as a text; faces that are found by the same words share a row.
pub(super) fn to_table(faces: &[Face]) -> String {
    let mut rows: BTreeMap<[String; 2], Vec<&str>> = BTreeMap::new();
    for face in faces {
        let words = face
            .words
            .clone()
            .map(|words| words.join(&SEPARATOR.to_string()));
        rows.entry(words).or_default().push(&face.text);
    }
    let mut text = String::new();
    for ([en, zh], mut faces) in rows {
        faces.sort_unstable();
        faces.dedup();
        text.extend([&en, "\t", &zh, "\t", &faces.join("\t"), "\n"]);
    }
    text
}

/// Reads a gzipped table.
///
/// # Errors
/// [`DataError::Phrases`] with the line that is wrong.
pub(super) fn read_table(bytes: &[u8], path: &Path) -> Result<Vec<Face>, DataError> {
    let fail = |line, problem: String| DataError::Phrases {
        problem,
        line,
        path: path.to_path_buf(),
    };
    let mut text = String::new();
    GzDecoder::new(bytes)
        .take(MAX_TABLE_BYTES)
        .read_to_string(&mut text)
        .map_err(|e| fail(0, format!("not a gzipped text in UTF-8 ({e})")))?;
    let mut faces = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut cells = line.split('\t');
        let (Some(en), Some(zh)) = (cells.next(), cells.next()) else {
            return Err(fail(
                number + 1,
                "expected words, words and kaomoji with tabs between".into(),
            ));
        };
        let words = [en, zh].map(|cell| {
            let words = cell.split(SEPARATOR).filter(|word| !word.is_empty());
            words.map(str::to_owned).collect::<Vec<_>>()
        });
        faces.extend(cells.map(|text| Face {
            text: text.to_owned(),
            words: words.clone(),
        }));
    }
    Ok(faces)
}

/// Groups of faces that are found by the same words, ready to be asked.
#[derive(Debug)]
pub struct Kaomoji {
    groups: Vec<Group>,
    /// Letter group -> how many groups of faces have it.
    spread: BTreeMap<String, f32>,
}

#[derive(Debug)]
struct Group {
    /// What it is found by, in both languages, with blanks between.
    words: String,
    /// Letter groups of its words, with how often.
    grams: BTreeMap<String, f32>,
    faces: Vec<String>,
}

impl Kaomoji {
    /// Makes the groups of faces.
    pub(crate) fn new(faces: &[Face]) -> Self {
        let mut rows: BTreeMap<&[Vec<String>; 2], Vec<String>> = BTreeMap::new();
        for face in faces {
            rows.entry(&face.words).or_default().push(face.text.clone());
        }
        let groups: Vec<Group> = rows
            .into_iter()
            .map(|(words, faces)| Group {
                words: words.concat().join(" "),
                grams: counted(words.iter().flatten().map(|word| (word.as_str(), 1.0))),
                faces,
            })
            .collect();
        let mut spread = BTreeMap::new();
        for group in &groups {
            for gram in group.grams.keys() {
                *spread.entry(gram.clone()).or_insert(0.0) += 1.0;
            }
        }
        Self { groups, spread }
    }

    /// What faces are found by, with blanks between, and the faces: groups in a fixed order.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&str, &[String])> {
        let groups = self.groups.iter();
        groups.map(|group| (group.words.as_str(), group.faces.as_slice()))
    }

    /// Every face.
    pub(super) fn faces(&self) -> impl Iterator<Item = &str> {
        self.groups
            .iter()
            .flat_map(|group| group.faces.iter().map(String::as_str))
    }

    /// Faces for a weighted set of phrases, the best first, with the cosine of their words to the phrases: at
    /// most `count`. Of one group, shorter faces come first.
    pub fn nearest(&self, phrases: &[(&str, f32)], count: usize) -> Vec<(&str, f32)> {
        let mut found = Vec::new();
        for (score, group) in self.ranked(phrases) {
            let mut faces: Vec<&str> = group.faces.iter().map(String::as_str).collect();
            faces.sort_by_key(|face| face.chars().count());
            found.extend(faces.into_iter().map(|face| (face, score)));
            if found.len() >= count {
                break;
            }
        }
        found.truncate(count);
        found
    }

    /// What the faces nearest to a weighted set of phrases are found by; `None` where none is near.
    pub fn nearest_words(&self, phrases: &[(&str, f32)]) -> Option<&str> {
        let ranked = self.ranked(phrases);
        ranked.first().map(|(_, group)| group.words.as_str())
    }

    /// Groups that share a letter group with a weighted set of phrases, with their cosines, the best first.
    fn ranked(&self, phrases: &[(&str, f32)]) -> Vec<(f32, &Group)> {
        let counts = counted(phrases.iter().copied());
        let query = self.weighted(&counts);
        let mut scored: Vec<(f32, &Group)> = self
            .groups
            .iter()
            .map(|group| {
                let other = self.weighted(&group.grams);
                let shared = query
                    .iter()
                    .filter_map(|(gram, a)| Some(a * other.get(gram)?));
                (shared.sum::<f32>(), group)
            })
            .filter(|(score, _)| *score > 0.0)
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        scored
    }

    /// TF-IDF weights of length 1.
    fn weighted<'a>(&self, counts: &'a BTreeMap<String, f32>) -> BTreeMap<&'a str, f32> {
        let all = self.groups.len() as f32;
        let weight = |(gram, times): (&'a String, &f32)| {
            let spread = self.spread.get(gram).copied().unwrap_or(0.0);
            (
                gram.as_str(),
                times.sqrt() * (((1.0 + all) / (1.0 + spread)).ln() + 1.0),
            )
        };
        let weights: BTreeMap<&str, f32> = counts.iter().map(weight).collect();
        let length = weights
            .values()
            .map(|w| w * w)
            .sum::<f32>()
            .sqrt()
            .max(1e-12);
        weights
            .into_iter()
            .map(|(gram, w)| (gram, w / length))
            .collect()
    }
}

/// Letter groups of weighted phrases.
fn counted<'a>(phrases: impl Iterator<Item = (&'a str, f32)>) -> BTreeMap<String, f32> {
    let mut counts = BTreeMap::new();
    for (phrase, weight) in phrases {
        for gram in grams(phrase) {
            *counts.entry(gram).or_insert(0.0) += weight;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn faces_are_found_by_words_of_either_language_and_read_back() {
        let face = |text: &str, en: &[&str], zh: &[&str]| Face {
            text: text.into(),
            words: [en, zh].map(|words| words.iter().map(|word| (*word).to_owned()).collect()),
        };
        let faces = [
            face("(T_T)", &["sad", "crying"], &["难过"]),
            face("(;_;)", &["sad", "crying"], &["难过"]),
            face("(^|^)", &["happy"], &["开心", "笑死"]),
        ];
        let text = to_table(&faces);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder
            .write_all(text.as_bytes())
            .expect("memory takes all");
        let bytes = encoder.finish().expect("memory takes all");
        let read = read_table(&bytes, Path::new("faces")).expect("it is whole");
        assert_eq!(read.len(), 3);
        let all = Kaomoji::new(&read);
        let first = |phrase: &str| all.nearest(&[(phrase, 1.0)], 1)[0].0.to_owned();
        assert_eq!(first("so happy"), "(^|^)");
        assert_eq!(first("笑死我了"), "(^|^)");
        assert_eq!(all.nearest(&[("crying", 1.0)], 5).len(), 2);
        assert!(all.nearest(&[("xyz", 1.0)], 5).is_empty());
        assert_eq!(
            all.nearest_words(&[("so happy", 1.0)]),
            Some("happy 开心 笑死")
        );
        assert_eq!(all.nearest_words(&[("xyz", 1.0)]), None);
    }
}
