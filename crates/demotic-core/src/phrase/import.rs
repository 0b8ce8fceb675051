//! Published lists of phrases -> the tables that are built in: npm archives, the kaomoji wheel, lists of
//! one's own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::{DeflateDecoder, GzDecoder};
use flate2::{Compression, GzBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::kaomoji::{self, Face};
use super::table::{Language, Phrase, Phrases, Register, SEPARATOR, check_phrase, parse_language};
use super::text::line_of;
use crate::data::DataError;
use crate::data::archive::read_tar_gz;
use crate::number::Whole;

/// Table of phrases in its folder.
pub(super) const TABLE_FILE: &str = "phrases.tsv.gz";
/// Table of kaomoji in its folder.
pub(super) const KAOMOJI_FILE: &str = "kaomoji.tsv.gz";
/// Whose the phrases are.
const NOTICE: &str = "NOTICE";
/// First line of a list of one's own.
const LIST_HEADER: &str = "emoji\tlanguage\trude\tphrase";
/// The source of phrases that a list of one's own brings.
const OWN: &str = "own";
/// Most bytes of a source as a file.
const MAX_SOURCE_BYTES: u64 = 256 << 20;
/// Most bytes of a package that are kept; the largest known has 4 MB.
const MAX_PACKAGE_BYTES: u64 = 64 << 20;
/// Most bytes of the kaomoji list, unpacked; the known one has 80 MB.
const MAX_LIST_BYTES: u64 = 256 << 20;
/// Most emoji named that are not built in.
const MOST_NAMED: usize = 8;
/// Widest kaomoji kept, in columns of a terminal.
const MAX_FACE_WIDTH: u64 = 7;

/// What an import of phrases wrote.
#[derive(Debug, Clone)]
pub struct PhraseReport {
    /// The folder.
    pub out: PathBuf,
    /// Phrases of each source, language and register.
    pub counts: Vec<(String, Language, Register, usize)>,
    /// Ideas with a phrase, of how many.
    pub ideas: [usize; 2],
    /// Emoji of lists of one's own that are not built in, once a phrase: packages hold thousands of them.
    pub unknown: Vec<String>,
    /// Kaomoji.
    pub faces: usize,
    /// Bytes of both tables.
    pub bytes: usize,
}

impl std::fmt::Display for PhraseReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (source, language, register, count) in &self.counts {
            writeln!(
                f,
                "phrases  {source:12}  {}  {:10}  {count:>6}",
                language.name(),
                register.name()
            )?;
        }
        writeln!(
            f,
            "ideas    {} of {} have a phrase",
            self.ideas[0], self.ideas[1]
        )?;
        if !self.unknown.is_empty() {
            let mut emoji = self.unknown.clone();
            emoji.sort_unstable();
            emoji.dedup();
            emoji.truncate(MOST_NAMED);
            writeln!(
                f,
                "left out {} of the list, of emoji that are not built in: {}",
                self.unknown.len(),
                emoji.join(" ").escape_debug()
            )?;
        }
        writeln!(f, "kaomoji  {}", self.faces)?;
        write!(
            f,
            "written  {:.1} KiB to {}",
            self.bytes as f64 / 1024.0,
            self.out.display()
        )
    }
}

/// One source as its archive has it.
pub(crate) struct Package {
    id: &'static str,
    /// `name version`.
    named: String,
    licence: String,
    licence_text: String,
    /// Emoji, language, register, phrase.
    rows: Vec<(String, Language, Register, String)>,
    faces: Vec<Face>,
}

/// Reads archives and lists and writes the tables for the built-in emoji; the bytes depend on the sources
/// alone.
///
/// # Errors
/// [`DataError`] for a source that cannot be read or is not known, a wrong line of a list, and a destination
/// that is a file or has tables which may not be replaced.
pub fn import(sources: &[PathBuf], out: &Path, replace: bool) -> Result<PhraseReport, DataError> {
    let fail = |problem: &str| DataError::Import {
        problem: problem.into(),
        path: out.to_path_buf(),
    };
    if out.exists() && !out.is_dir() {
        return Err(fail("the destination is a file; name a folder"));
    }
    if out.join(TABLE_FILE).exists() && !replace {
        return Err(fail(
            "tables of phrases are there already; name another folder or ask for them to be replaced",
        ));
    }
    let mut packages = Vec::new();
    for source in sources {
        packages.push(read_source(&read_file(source)?, source)?);
    }
    // One order whatever was typed first; where two packages know a phrase, the earlier one is named.
    packages.sort_by(|a, b| (a.id, &a.named).cmp(&(b.id, &b.named)));
    let mut table = Phrases::of_ideas(super::emoji_ideas()?);
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    for package in &packages {
        for (emoji, language, register, text) in &package.rows {
            let Some(idea) = table.place(&key_of(emoji)) else {
                if package.id == OWN {
                    unknown.push(emoji.clone());
                }
                continue;
            };
            found.push(Phrase {
                idea,
                language: *language,
                register: *register,
                source: package.id.to_owned(),
                text: text.clone(),
            });
        }
    }
    table.extend(found);
    let faces: Vec<Face> = packages
        .iter()
        .flat_map(|package| package.faces.clone())
        .collect();
    if table.phrases().is_empty() && faces.is_empty() {
        return Err(fail("no source has a phrase of a built-in emoji"));
    }
    write(out, &packages, &table, &faces, unknown)
}

/// The bytes of a source.
fn read_file(source: &Path) -> Result<Vec<u8>, DataError> {
    let fail = || DataError::io("open a source of phrases", source);
    let mut bytes = Vec::new();
    fs::File::open(source)
        .map_err(fail())?
        .take(MAX_SOURCE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(fail())?;
    if bytes.len().to_u64() > MAX_SOURCE_BYTES {
        return Err(DataError::Archive {
            problem: format!("a file of more than {MAX_SOURCE_BYTES} bytes; no more are read"),
            path: source.to_path_buf(),
        });
    }
    Ok(bytes)
}

/// Reads one source by what it is: an npm archive, a wheel, a list. `path` is for messages.
pub(crate) fn read_source(bytes: &[u8], path: &Path) -> Result<Package, DataError> {
    match bytes {
        [0x1f, 0x8b, ..] => read_npm(bytes, path),
        [b'P', b'K', ..] => read_wheel(bytes, path),
        _ => read_list(bytes, path),
    }
}

/// The codepoints of an emoji in hexadecimal, without variation selectors: its key.
pub(super) fn key_of(emoji: &str) -> String {
    let letters = emoji.chars().filter(|letter| *letter != '\u{fe0f}');
    let parts: Vec<String> = letters
        .map(|letter| format!("{:04x}", letter as u32))
        .collect();
    parts.join("-")
}

#[derive(Deserialize)]
struct Manifest {
    name: String,
    version: String,
    license: String,
}

/// CLDR's, the same for both packages but for the outermost name.
#[derive(Deserialize)]
struct Cldr {
    #[serde(alias = "annotationsDerived")]
    annotations: CldrInner,
}

#[derive(Deserialize)]
struct CldrInner {
    annotations: BTreeMap<String, CldrEntry>,
}

#[derive(Deserialize)]
struct CldrEntry {
    #[serde(default)]
    default: Vec<String>,
    #[serde(default)]
    tts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Deserialize)]
struct Mart {
    emojis: BTreeMap<String, MartEntry>,
}

#[derive(Deserialize)]
struct MartEntry {
    id: String,
    name: String,
    keywords: Vec<String>,
    skins: Vec<MartSkin>,
}

#[derive(Deserialize)]
struct MartSkin {
    native: String,
}

/// Entries of npm archives that hold phrases.
const ENTRIES: [&str; 7] = [
    "package/annotations/en/annotations.json",
    "package/annotations/zh/annotations.json",
    "package/annotationsDerived/en/annotations.json",
    "package/annotationsDerived/zh/annotations.json",
    "package/dist/emoji-en-US.json",
    "package/en/shortcodes/emojibase.json",
    "package/sets/15/native.json",
];

fn read_npm(bytes: &[u8], path: &Path) -> Result<Package, DataError> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let wanted = |entry: &str| {
        ENTRIES.contains(&entry)
            || entry == "package/package.json"
            || entry.eq_ignore_ascii_case("package/license")
    };
    read_tar_gz(bytes, path, MAX_PACKAGE_BYTES, wanted, |entry, content| {
        files.insert(entry, content);
        Ok(())
    })?;
    let fail = |problem: String| DataError::Archive {
        problem,
        path: path.to_path_buf(),
    };
    let manifest: Manifest = json(files.get("package/package.json"), "package.json", path)?;
    let id = match manifest.name.as_str() {
        "cldr-annotations-full" | "cldr-annotations-derived-full" => "cldr",
        "emojilib" => "emojilib",
        "emojibase-data" => "emojibase",
        "@emoji-mart/data" => "emoji-mart",
        other => {
            return Err(fail(format!(
                "`{other}` is no package of phrases that is known; expected cldr-annotations-full, \
                 cldr-annotations-derived-full, emojilib, emojibase-data or @emoji-mart/data"
            )));
        }
    };
    let licence_text = files
        .iter()
        .find(|(entry, _)| entry.eq_ignore_ascii_case("package/license"))
        .map(|(_, text)| String::from_utf8_lossy(text).into_owned())
        .ok_or_else(|| fail("its licence text is missing".into()))?;
    let mut rows = Vec::new();
    for entry in ENTRIES {
        let Some(content) = files.get(entry) else {
            continue;
        };
        read_entry(entry, content, path, &mut rows)?;
    }
    if rows.is_empty() {
        return Err(fail("it holds no list of phrases".into()));
    }
    // What is no phrase: a smiley made of signs, a separator of the table.
    rows.retain(|(_, _, _, text)| check_phrase(text).is_ok() && !text.contains(SEPARATOR));
    Ok(Package {
        id,
        named: format!("{} {}", manifest.name, manifest.version),
        licence: manifest.license,
        licence_text,
        rows,
        faces: Vec::new(),
    })
}

fn read_entry(
    entry: &str,
    content: &Vec<u8>,
    path: &Path,
    rows: &mut Vec<(String, Language, Register, String)>,
) -> Result<(), DataError> {
    let (en, tag) = (Language::En, Register::Tag);
    // Words of short codes are joined by underscores.
    let spaced = |code: &str| code.replace('_', " ").trim().to_owned();
    match entry {
        "package/dist/emoji-en-US.json" => {
            let list: BTreeMap<String, Vec<String>> = json(Some(content), entry, path)?;
            for (emoji, words) in list {
                rows.extend(
                    words
                        .iter()
                        .map(|word| (emoji.clone(), en, tag, spaced(word))),
                );
            }
        }
        "package/en/shortcodes/emojibase.json" => {
            let list: BTreeMap<String, OneOrMore> = json(Some(content), entry, path)?;
            for (codepoints, words) in list {
                let letters = codepoints
                    .split('-')
                    .map(|part| u32::from_str_radix(part, 16).ok().and_then(char::from_u32));
                let Some(emoji) = letters.collect::<Option<String>>() else {
                    continue;
                };
                let words = match words {
                    OneOrMore::One(word) => vec![word],
                    OneOrMore::More(words) => words,
                };
                rows.extend(
                    words
                        .iter()
                        .map(|word| (emoji.clone(), en, tag, spaced(word))),
                );
            }
        }
        "package/sets/15/native.json" => {
            let list: Mart = json(Some(content), entry, path)?;
            for emoji in list.emojis.into_values() {
                let Some(skin) = emoji.skins.into_iter().next() else {
                    continue;
                };
                let words = [emoji.name.to_lowercase(), emoji.id]
                    .into_iter()
                    .chain(emoji.keywords);
                rows.extend(words.map(|word| (skin.native.clone(), en, tag, spaced(&word))));
            }
        }
        _ => {
            let language = if entry.contains("/zh/") {
                Language::Zh
            } else {
                en
            };
            let list: Cldr = json(Some(content), entry, path)?;
            for (emoji, entry) in list.annotations.annotations {
                let names = entry.tts.into_iter().map(|name| (Register::Name, name));
                let tags = entry.default.into_iter().map(|word| (tag, word));
                rows.extend(
                    names
                        .chain(tags)
                        .map(|(register, text)| (emoji.clone(), language, register, text)),
                );
            }
        }
    }
    Ok(())
}

fn json<T: DeserializeOwned>(
    content: Option<&Vec<u8>>,
    name: &str,
    path: &Path,
) -> Result<T, DataError> {
    let fail = |problem: String| DataError::Archive {
        problem,
        path: path.to_path_buf(),
    };
    let content = content.ok_or_else(|| fail(format!("{name} is missing")))?;
    serde_json::from_slice(content)
        .map_err(|e| fail(format!("{name} is not what is known of it ({e})")))
}

#[derive(Deserialize)]
struct KaomojiEntry {
    text: String,
    category: String,
    tier: String,
    #[serde(default)]
    keywords: BTreeMap<String, Vec<String>>,
    display_width: u64,
}

/// Files of a wheel that are wanted, by name; all together have at most [`MAX_PACKAGE_BYTES`].
fn wheel_files(bytes: &[u8], path: &Path) -> Result<BTreeMap<String, Vec<u8>>, DataError> {
    let fail = |problem: String| DataError::Archive {
        problem,
        path: path.to_path_buf(),
    };
    let damaged = |e: rawzip::Error| {
        fail(format!(
            "not a complete wheel ({e}); fetch it again with `pip download`"
        ))
    };
    let archive = rawzip::ZipArchive::from_slice(bytes).map_err(damaged)?;
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut left = MAX_PACKAGE_BYTES;
    let mut entries = archive.entries();
    while let Some(entry) = entries.next_entry().map_err(damaged)? {
        let name = String::from_utf8_lossy(entry.file_path().as_ref()).into_owned();
        let is_wanted = name.ends_with("/kaomoji.jsonl.gz")
            || name.ends_with(".dist-info/METADATA")
            || name.contains(".dist-info/licenses/");
        if !is_wanted {
            continue;
        }
        let method = entry.compression_method();
        let found = archive.get_entry(entry.wayfinder()).map_err(damaged)?;
        let mut content = Vec::new();
        let limit = left + 1;
        let read = if method == rawzip::CompressionMethod::Store {
            found
                .verifying_reader(found.data())
                .take(limit)
                .read_to_end(&mut content)
        } else {
            let inflated = DeflateDecoder::new(found.data());
            found
                .verifying_reader(inflated)
                .take(limit)
                .read_to_end(&mut content)
        };
        read.map_err(|e| {
            fail(format!(
                "entry `{name}` is damaged ({e}); fetch the wheel again"
            ))
        })?;
        // Entries may share their bytes: a small file may stand for any number of large ones.
        left = left.checked_sub(content.len().to_u64()).ok_or_else(|| {
            fail(format!(
                "its files have more than {MAX_PACKAGE_BYTES} bytes together, with entry `{name}`"
            ))
        })?;
        files.insert(name, content);
    }
    Ok(files)
}

/// `kaomoji-dataset` as `pip download` leaves it: a zip archive with a gzipped list of JSON lines.
fn read_wheel(bytes: &[u8], path: &Path) -> Result<Package, DataError> {
    let fail = |problem: String| DataError::Archive {
        problem,
        path: path.to_path_buf(),
    };
    let files = wheel_files(bytes, path)?;
    let file = |ending: &str| {
        let found = files.iter().find(|(name, _)| name.ends_with(ending));
        found.map(|(_, content)| content).ok_or_else(|| {
            fail(format!(
                "`{ending}` is missing: not the wheel of kaomoji-dataset"
            ))
        })
    };
    let metadata = String::from_utf8_lossy(file("/METADATA")?).into_owned();
    let field = |name: &str| {
        let line = metadata.lines().find_map(|line| line.strip_prefix(name));
        line.map(|rest| rest.trim_start_matches(':').trim().to_owned())
            .unwrap_or_default()
    };
    let mut list = String::new();
    GzDecoder::new(&file("/kaomoji.jsonl.gz")?[..])
        .take(MAX_LIST_BYTES + 1)
        .read_to_string(&mut list)
        .map_err(|e| {
            fail(format!(
                "kaomoji.jsonl.gz is damaged ({e}); fetch the wheel again"
            ))
        })?;
    if list.len().to_u64() > MAX_LIST_BYTES {
        return Err(fail(format!(
            "kaomoji.jsonl.gz unpacks to more than {MAX_LIST_BYTES} bytes"
        )));
    }
    let mut faces = Vec::new();
    for (number, line) in list.lines().enumerate() {
        let entry: KaomojiEntry = serde_json::from_str(line)
            .map_err(|e| fail(format!("kaomoji.jsonl.gz, line {}: {e}", number + 1)))?;
        let words = |language: Language| {
            let words = entry
                .keywords
                .get(language.name())
                .cloned()
                .unwrap_or_default();
            let mut seen = BTreeSet::new();
            let kept = words.into_iter().filter(|word| {
                check_phrase(word).is_ok() && !word.contains(SEPARATOR) && seen.insert(word.clone())
            });
            kept.collect::<Vec<_>>()
        };
        let words = Language::ALL.map(words);
        let is_kept = entry.tier == "core"
            && entry.category != "rude"
            && !words[0].is_empty()
            && entry.display_width <= MAX_FACE_WIDTH
            && !entry.text.chars().any(char::is_control);
        if is_kept {
            faces.push(Face {
                text: entry.text,
                words,
            });
        }
    }
    let licence_text = format!(
        "{}\n\n{}",
        String::from_utf8_lossy(file("/licenses/NOTICE")?).trim_end(),
        String::from_utf8_lossy(file("/licenses/LICENSE")?)
    );
    Ok(Package {
        id: "kaomoji",
        named: format!("kaomoji-dataset {} (PyPI)", field("Version")),
        licence: field("License-Expression"),
        licence_text,
        rows: Vec::new(),
        faces,
    })
}

/// `emoji  language  rude  phrase`.
fn read_list(bytes: &[u8], path: &Path) -> Result<Package, DataError> {
    let fail = |line: usize, problem: String| DataError::Phrases {
        problem,
        line,
        path: path.to_path_buf(),
    };
    let text = std::str::from_utf8(bytes).map_err(|e| {
        fail(
            line_of(bytes, e.valid_up_to()),
            "not UTF-8; expected a list `emoji<tab>language<tab>rude<tab>phrase`, an npm archive or a wheel".into(),
        )
    })?;
    let mut rows = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if at == 0 && line == LIST_HEADER || line.is_empty() {
            continue;
        }
        let cells: Vec<&str> = line.split('\t').collect();
        let [emoji, language, rude, phrase] = cells[..] else {
            return Err(fail(
                at + 1,
                format!(
                    "expected emoji, language, rude and phrase with tabs between, got {} columns",
                    cells.len()
                ),
            ));
        };
        let register = match rude {
            "0" => Register::Colloquial,
            "1" => Register::Rude,
            other => {
                return Err(fail(
                    at + 1,
                    format!("rude: expected 0 or 1, got `{other}`"),
                ));
            }
        };
        let language = parse_language(language).map_err(|e| fail(at + 1, e))?;
        check_phrase(phrase).map_err(|e| fail(at + 1, e))?;
        if phrase.contains(SEPARATOR) {
            return Err(fail(at + 1, format!("a phrase with `{SEPARATOR}`")));
        }
        rows.push((emoji.to_owned(), language, register, phrase.to_owned()));
    }
    if rows.is_empty() {
        return Err(fail(0, "it holds no phrase".into()));
    }
    Ok(Package {
        id: OWN,
        named: "written for this program".into(),
        licence: "MIT OR Apache-2.0".into(),
        licence_text: String::new(),
        rows,
        faces: Vec::new(),
    })
}

fn write(
    out: &Path,
    packages: &[Package],
    table: &Phrases,
    faces: &[Face],
    unknown: Vec<String>,
) -> Result<PhraseReport, DataError> {
    let mut counts: BTreeMap<(&str, Language, Register), usize> = BTreeMap::new();
    for phrase in table.phrases() {
        *counts
            .entry((&phrase.source, phrase.language, phrase.register))
            .or_default() += 1;
    }
    let mut notice = String::from(
        "The phrases and kaomoji in this folder were collected by others, under their own licences. They were joined with\n\
         the built-in emoji, freed of repetitions and packed; words of short codes were put apart. Networks trained on them\n\
         learn from these works.\n",
    );
    let mut texts: BTreeMap<&str, &str> = BTreeMap::new();
    for of_source in packages.chunk_by(|a, b| a.id == b.id) {
        let first = &of_source[0];
        let names: Vec<&str> = of_source
            .iter()
            .map(|package| package.named.as_str())
            .collect();
        let count: usize = counts
            .iter()
            .filter(|(key, _)| key.0 == first.id)
            .map(|(_, n)| n)
            .sum();
        let faces: usize = of_source.iter().map(|package| package.faces.len()).sum();
        let mut licence = first.licence.clone();
        if !first.licence_text.is_empty() {
            let _ = write!(licence, ", text in licences/{}.txt", first.id);
            texts.insert(first.id, &first.licence_text);
        }
        let what = if faces > 0 {
            format!("Kaomoji: {faces}")
        } else {
            format!("Phrases: {count}")
        };
        let _ = write!(
            notice,
            "\n{}\n  Taken from: {}\n  Licence: {licence}\n  {what}\n",
            first.id,
            names.join(", ")
        );
    }
    let tables = [
        (TABLE_FILE, packed(&table.to_table(), out)?),
        (KAOMOJI_FILE, packed(&kaomoji::to_table(faces), out)?),
    ];
    let licences = out.join("licences");
    fs::create_dir_all(&licences).map_err(DataError::io("make the folder", &licences))?;
    let put = |path: PathBuf, bytes: &[u8]| {
        fs::write(&path, bytes).map_err(DataError::io("write", &path))
    };
    for (id, text) in texts {
        put(
            licences.join(format!("{id}.txt")),
            format!("{}\n", text.trim_end()).as_bytes(),
        )?;
    }
    put(out.join(NOTICE), notice.as_bytes())?;
    for (name, bytes) in &tables {
        put(out.join(name), bytes)?;
    }
    let with: BTreeSet<usize> = table.phrases().iter().map(|phrase| phrase.idea).collect();
    Ok(PhraseReport {
        out: out.to_path_buf(),
        counts: counts
            .into_iter()
            .map(|((source, language, register), count)| {
                (source.to_owned(), language, register, count)
            })
            .collect(),
        ideas: [with.len(), table.ideas().len()],
        unknown,
        faces: faces.len(),
        bytes: tables.iter().map(|(_, bytes)| bytes.len()).sum(),
    })
}

/// Gzipped; the bytes depend on the text alone.
fn packed(text: &str, out: &Path) -> Result<Vec<u8>, DataError> {
    use std::io::Write as _;
    let mut encoder = GzBuilder::new()
        .mtime(0)
        .operating_system(255)
        .write(Vec::new(), Compression::best());
    encoder
        .write_all(text.as_bytes())
        .and_then(|()| encoder.finish())
        .map_err(DataError::io("pack a table", out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(bytes: &[u8]) -> Result<Vec<(String, Language, Register, String)>, String> {
        read_source(bytes, Path::new("source"))
            .map(|package| package.rows)
            .map_err(|e| e.to_string())
    }

    /// An npm archive with these files.
    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        use std::io::Write as _;
        let mut tar = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append_data(&mut header, name, content.as_bytes())
                .expect("memory takes all");
        }
        let bytes = tar.into_inner().expect("memory takes all");
        let mut zip = GzBuilder::new().write(Vec::new(), Compression::fast());
        zip.write_all(&bytes).expect("memory takes all");
        zip.finish().expect("memory takes all")
    }

    fn manifest(name: &str) -> String {
        format!(r#"{{"name":"{name}","version":"1.0.0","license":"MIT"}}"#)
    }

    #[test]
    fn lists_are_read_and_wrong_lines_named() {
        let list = "emoji\tlanguage\trude\tphrase\n😴\ten\t0\tso tired\n💩\tzh\t1\t放屁\n";
        let found = rows(list.as_bytes()).expect("it is whole");
        assert_eq!(found[0].2, Register::Colloquial);
        assert_eq!((found[1].2, found[1].3.as_str()), (Register::Rude, "放屁"));
        for (list, expected) in [
            (
                "😴\ten\tso tired",
                "line 1: expected emoji, language, rude and phrase",
            ),
            ("😴\ten\t2\tx", "line 1: rude: expected 0 or 1, got `2`"),
            (
                "\n😴\tde\t0\tx",
                "line 2: language: expected en or zh, got `de`",
            ),
            ("😴\ten\t0\ta|b", "line 1: a phrase with `|`"),
            ("", "it holds no phrase"),
        ] {
            let said = rows(list.as_bytes()).expect_err("it is wrong");
            assert!(said.contains(expected), "{said}");
        }
        let said = rows(b"a\n\xff").expect_err("bytes");
        assert!(said.contains("line 2: not UTF-8"), "{said}");
    }

    #[test]
    fn packages_are_read_by_their_name_and_others_are_refused() {
        let licence = ("package/LICENSE", "text");
        let package = manifest("emojilib");
        let files = [
            ("package/package.json", package.as_str()),
            licence,
            (
                "package/dist/emoji-en-US.json",
                r#"{"😀":["grinning_face",":D|"]}"#,
            ),
        ];
        let found = rows(&archive(&files)).expect("it is whole");
        assert_eq!(
            found.len(),
            1,
            "a phrase with the separator is left out: {found:?}"
        );
        assert_eq!(found[0].3, "grinning face");
        let package = manifest("cldr-annotations-full");
        let cldr = r#"{"annotations":{"annotations":{"😀":{"default":["笑"],"tts":["笑脸"]}}}}"#;
        let files = [
            ("package/package.json", package.as_str()),
            licence,
            ("package/annotations/zh/annotations.json", cldr),
        ];
        let found = rows(&archive(&files)).expect("it is whole");
        assert_eq!(
            found.iter().map(|row| row.2).collect::<Vec<_>>(),
            [Register::Name, Register::Tag]
        );
        assert!(found.iter().all(|row| row.1 == Language::Zh));
        let other = manifest("left-pad");
        for (files, expected) in [
            (
                vec![("package/package.json", other.as_str()), licence],
                "`left-pad` is no package of phrases",
            ),
            (
                vec![("package/package.json", package.as_str())],
                "its licence text is missing",
            ),
            (
                vec![("package/package.json", package.as_str()), licence],
                "it holds no list of phrases",
            ),
            (vec![licence], "package.json is missing"),
            (
                vec![("package/package.json", "{}"), licence],
                "package.json is not what is known of it",
            ),
        ] {
            let said = rows(&archive(&files)).expect_err("it is wrong");
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn a_wheel_that_is_cut_or_holds_something_else_is_refused() {
        let said = read_source(b"PK\x03\x04 cut", Path::new("x.whl"))
            .err()
            .map(|e| e.to_string());
        assert!(said.is_some_and(|said| said.contains("not a complete wheel")));
        let mut other = Vec::new();
        let mut zip = rawzip::ZipArchiveWriter::new(&mut other);
        zip.new_dir("empty/").create().expect("memory takes all");
        zip.finish().expect("memory takes all");
        let said = read_source(&other, Path::new("x.whl"))
            .err()
            .map(|e| e.to_string());
        assert!(said.is_some_and(|said| said.contains("not the wheel of kaomoji-dataset")));
    }

    /// A zip archive of these files, packed.
    fn wheel(files: &[(&str, &[u8])]) -> Vec<u8> {
        use std::io::Write as _;
        let mut bytes = Vec::new();
        let mut zip = rawzip::ZipArchiveWriter::new(&mut bytes);
        for (name, content) in files {
            let file = zip
                .new_file(name)
                .compression_method(rawzip::CompressionMethod::Deflate);
            let (mut entry, config) = file.start().expect("memory takes all");
            let pack = flate2::write::DeflateEncoder::new(&mut entry, Compression::fast());
            let mut writer = config.wrap(pack);
            writer.write_all(content).expect("memory takes all");
            let (pack, end) = writer.finish().expect("memory takes all");
            pack.finish().expect("memory takes all");
            entry.finish(end).expect("memory takes all");
        }
        zip.finish().expect("memory takes all");
        bytes
    }

    #[test]
    fn a_wheel_is_read_within_bounds() {
        let line = r#"{"text":"(^_^)","category":"happy","tier":"core","keywords":{"en":["happy"],"zh":["开心"]},"display_width":5}"#;
        let gzipped = |times: usize, text: &[u8]| {
            use std::io::Write as _;
            let mut zip = GzBuilder::new().write(Vec::new(), Compression::fast());
            for _ in 0..times {
                zip.write_all(text).expect("memory takes all");
            }
            zip.finish().expect("memory takes all")
        };
        let list = gzipped(1, line.as_bytes());
        let large = vec![b' '; 33 << 20];
        let files = |list: &[u8], more: &[(&str, &[u8])]| {
            let common: [(&str, &[u8]); 4] = [
                ("k/kaomoji.jsonl.gz", list),
                (
                    "k.dist-info/METADATA",
                    b"Version: 1.2\nLicense-Expression: MIT\n",
                ),
                ("k.dist-info/licenses/NOTICE", b"notice"),
                ("k.dist-info/licenses/LICENSE", b"licence"),
            ];
            read_source(&wheel(&[&common[..], more].concat()), Path::new("x.whl"))
                .map_err(|e| e.to_string())
        };
        let whole = files(&list, &[]).expect("it is whole");
        assert_eq!(
            (whole.faces.len(), whole.named.as_str()),
            (1, "kaomoji-dataset 1.2 (PyPI)")
        );
        let one: (&str, &[u8]) = ("k.dist-info/licenses/a", &large);
        let other: (&str, &[u8]) = ("k.dist-info/licenses/b", &large);
        assert!(files(&list, &[one]).is_ok(), "33 MiB are not too much");
        let begun = std::time::Instant::now();
        let said = files(&list, &[one, other]).err().expect("66 MiB are");
        assert!(
            said.contains("more than 67108864 bytes together, with entry"),
            "{said}"
        );
        // A little that unpacks without end.
        let bomb = gzipped(257, &vec![b'\n'; 1 << 20]);
        let said = files(&bomb, &[]).err().expect("257 MiB");
        assert!(
            said.contains("unpacks to more than 268435456 bytes"),
            "{said}"
        );
        assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    }

    #[test]
    fn a_source_is_measured_before_it_is_kept() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sparse = folder.path().join("list.tsv");
        let file = fs::File::create(&sparse).expect("it can be written");
        file.set_len(MAX_SOURCE_BYTES + 1)
            .expect("it takes no room");
        let out = folder.path().join("out");
        let said = import(&[sparse], &out, false).expect_err("too large");
        assert!(
            said.to_string()
                .contains("a file of more than 268435456 bytes"),
            "{said}"
        );
        assert!(!out.exists());
    }

    #[test]
    fn keys_are_codepoints_without_variation_selectors() {
        assert_eq!(key_of("❤\u{fe0f}\u{200d}🔥"), "2764-200d-1f525");
    }
}
