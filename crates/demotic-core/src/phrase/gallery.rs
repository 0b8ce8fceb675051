//! Picture -> ideas: known drawings that show the same, as the built-in feature network sees them and
//! [`Eyes`] look at it.
//!
//! ```text
//! similarity(idea | look) = cos(look, mean of its drawings) + NEAREST * max over them of cos(look, drawing)
//! ```

use std::path::{Path, PathBuf};

use half::f16;

use super::eyes::{Eyes, KEPT, WIDTH, unit};
use super::recall::{Recalled, ranked};
use super::table::Phrases;
use crate::data::{CachePolicy, DataError, Dataset, Split, fnv1a64};
use crate::metric::pooled;

/// Weight of an idea's most similar drawing beside all of them taken together. Of held-out drawings, the most
/// similar one alone found .335 / .625, the mean alone .393 / .717, both .382 / .713; of drawings that are
/// known, .85 are found again by the mean alone and .97 by both.
const NEAREST: f32 = 1.0;
/// Similarity of an idea without a drawing.
const LEAST: f32 = -(1.0 + NEAREST);
/// Sharpness of probabilities over ideas: of 10, 14 and 20, that under which the right ideas of held-out
/// drawings are most probable.
pub(super) const SHARPNESS: f32 = 10.0;
/// Pictures looked at in one go.
const CHUNK: usize = 256;
/// Begins a cached file; changes with what it holds.
const MAGIC: &[u8; 8] = b"POOLED01";
/// The built-in drawings of all styles, looked at: see [`Gallery::built_in`].
static BUILT_IN: &[u8] = include_bytes!("../../assets/phrases/drawings.bin");
/// The styles in it, in this order.
const STYLES: [&str; 6] = [
    "noto",
    "openmoji",
    "twemoji",
    "fluent-flat",
    "openmoji-line",
    "fluent-high-contrast",
];
/// Begins that file.
const BUILT_IN_MAGIC: &[u8; 8] = b"DRAWN001";

/// Known drawings by what they show.
#[derive(Debug)]
pub struct Gallery {
    eyes: Eyes,
    /// Idea of each drawing.
    ideas: Vec<usize>,
    /// What is looked at in each, of length 1: `[n, KEPT]`.
    rows: Vec<f32>,
    /// The mean of each idea's rows, of length 1; zeros where it has none: `[count, KEPT]`.
    means: Vec<f32>,
}

impl Gallery {
    /// The built-in emoji, every style's, that are ideas of `table`: looked at when the program was made.
    ///
    /// The file: eight letters, a hash of the emoji's keys, `mean` in f32, `basis` in f16, then a row of
    /// bytes for each style and emoji in the order of their index; little-endian.
    ///
    /// # Errors
    /// [`DataError::Phrases`] where the file that is built in is damaged or of other emoji: a test reads it.
    pub fn built_in(table: &Phrases) -> Result<Self, DataError> {
        Self::built_in_but(table, &[])
    }

    /// [`Self::built_in`] without the drawings of some styles.
    ///
    /// # Errors
    /// As of [`Self::built_in`].
    pub(super) fn built_in_but(table: &Phrases, left_out: &[&str]) -> Result<Self, DataError> {
        let keys: Vec<String> = super::emoji_ideas()?
            .into_iter()
            .map(|idea| idea.key)
            .collect();
        let (eyes, rows) = parse(BUILT_IN, &keys).map_err(|problem| DataError::Phrases {
            problem,
            line: 0,
            path: Path::new("drawings (built in)").to_path_buf(),
        })?;
        let mut gallery = Self {
            eyes,
            ideas: Vec::new(),
            rows: Vec::new(),
            means: vec![0.0; table.ideas().len() * KEPT],
        };
        let places: Vec<Option<usize>> = keys.iter().map(|key| table.place(key)).collect();
        let of_styles = rows.chunks_exact(places.len() * KEPT);
        for (_, rows) in STYLES
            .iter()
            .zip(of_styles)
            .filter(|(style, _)| !left_out.contains(style))
        {
            for (place, row) in places.iter().zip(rows.chunks_exact(KEPT)) {
                if let Some(idea) = place {
                    gallery.ideas.push(*idea);
                    gallery.rows.extend(row);
                }
            }
        }
        gallery.take_means();
        Ok(gallery)
    }

    /// Learns what the drawings of each idea have in common.
    fn take_means(&mut self) {
        self.means.fill(0.0);
        for (idea, row) in self.ideas.iter().zip(self.rows.chunks_exact(KEPT)) {
            let mean = &mut self.means[idea * KEPT..][..KEPT];
            for (sum, value) in mean.iter_mut().zip(row) {
                *sum += value;
            }
        }
        for mean in self.means.chunks_exact_mut(KEPT) {
            mean.copy_from_slice(&unit(mean.to_vec()));
        }
    }

    /// The training drawings, and of all others the split, the idea and what is looked at: `of` tells the
    /// split of a drawing by its idea and its number among the drawings of that.
    pub(super) fn split(
        mut self,
        of: impl Fn(usize, usize) -> Split,
    ) -> (Self, Vec<(Split, usize, Vec<f32>)>) {
        let mut numbers = vec![0; self.means.len() / KEPT];
        let (mut ideas, mut rows, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for (idea, row) in self.ideas.iter().zip(self.rows.chunks_exact(KEPT)) {
            match of(*idea, numbers[*idea]) {
                Split::Train => {
                    ideas.push(*idea);
                    rows.extend(row);
                }
                held_out => others.push((held_out, *idea, row.to_vec())),
            }
            numbers[*idea] += 1;
        }
        (self.ideas, self.rows) = (ideas, rows);
        self.take_means();
        (self, others)
    }

    /// The mean of each idea's drawings, of length 1; zeros where it has none: `[ideas * KEPT]`.
    pub(super) fn means(&self) -> &[f32] {
        &self.means
    }

    /// Drawings.
    pub(super) fn len(&self) -> usize {
        self.ideas.len()
    }

    /// The idea of a drawing, and what is looked at in it.
    pub(super) fn drawing(&self, at: usize) -> (usize, &[f32]) {
        (self.ideas[at], &self.rows[at * KEPT..][..KEPT])
    }

    /// Looks at every picture of a data set, in the splits for which `keeps` holds, whose item is an idea of
    /// `table`, and adds it. What the network saw is kept in the cache: the first time takes a second for
    /// some 100 pictures.
    pub fn add(
        &mut self,
        dataset: &Dataset,
        table: &Phrases,
        cache: &CachePolicy,
        keeps: impl Fn(Split) -> bool,
    ) {
        for style in 0..dataset.styles().len() {
            let of_split = |split| dataset.items(style, split).to_vec();
            let items: Vec<usize> = Split::ALL.into_iter().flat_map(of_split).collect();
            let seen = seen(dataset, style, &items, cache);
            for (item, row) in items.iter().zip(seen.chunks_exact(WIDTH)) {
                let idea = table.place(dataset.item_key(*item));
                if let Some(idea) = idea.filter(|_| keeps(dataset.item_split(*item))) {
                    self.ideas.push(idea);
                    self.rows.extend(self.eyes.look(row));
                }
            }
        }
        self.take_means();
    }

    /// What is looked at in a picture, of length 1.
    ///
    /// `picture`: `[3, side_px, side_px]` in [-1, 1], as a person sees it.
    pub fn look(&self, picture: &[f32], side_px: usize) -> Vec<f32> {
        self.eyes.look(&pooled(picture, side_px))
    }

    /// [`Self::look`] at a picture of which the network has seen this.
    pub(super) fn look_at(&self, seen: &[f32]) -> Vec<f32> {
        self.eyes.look(seen)
    }

    /// Ideas of the drawings that a picture resembles, by what is looked at in it, the most similar first.
    /// Ideas without a drawing are left out.
    pub fn rank_look(&self, own: &[f32]) -> Vec<Recalled> {
        drawn_ones(ranked(&self.similarities(own), SHARPNESS))
    }

    /// The similarity of what is looked at in a picture to every idea: `[ideas]`.
    pub(super) fn similarities(&self, own: &[f32]) -> Vec<f32> {
        let cosine = |row: &[f32]| own.iter().zip(row).map(|(a, b)| a * b).sum::<f32>();
        let mut nearest = vec![f32::NEG_INFINITY; self.means.len() / KEPT];
        for (idea, row) in self.ideas.iter().zip(self.rows.chunks_exact(KEPT)) {
            nearest[*idea] = nearest[*idea].max(cosine(row));
        }
        let of_idea = nearest.iter().zip(self.means.chunks_exact(KEPT));
        of_idea
            .map(|(nearest, mean)| (cosine(mean) + NEAREST * nearest).max(LEAST))
            .collect()
    }
}

/// Without ideas that have no drawing.
pub(super) fn drawn_ones(mut all: Vec<Recalled>) -> Vec<Recalled> {
    all.retain(|recalled| recalled.similarity > LEAST);
    all
}

/// The hash that a file of drawings begins with.
fn hash_of(keys: &[String]) -> u64 {
    fnv1a64(keys.join("\n").as_bytes())
}

/// Eyes and rows of a file of drawings, `[styles * keys, KEPT]`.
fn parse(bytes: &[u8], keys: &[String]) -> Result<(Eyes, Vec<f32>), String> {
    let mut rest = bytes;
    let mut take = |len: usize| {
        let (head, tail) = rest
            .split_at_checked(len)
            .ok_or_else(|| format!("cut off after {} bytes", bytes.len()))?;
        rest = tail;
        Ok::<&[u8], String>(head)
    };
    if take(8)? != BUILT_IN_MAGIC {
        return Err("not a file of drawings".into());
    }
    if take(8)? != hash_of(keys).to_le_bytes() {
        return Err("of other emoji".into());
    }
    let mean = take(4 * WIDTH)?.as_chunks::<4>().0.iter();
    let mean = mean.map(|b| f32::from_le_bytes(*b)).collect();
    let basis = take(2 * KEPT * WIDTH)?.as_chunks::<2>().0.iter();
    let basis = basis.map(|b| f16::from_le_bytes(*b).to_f32()).collect();
    if rest.is_empty() || !rest.len().is_multiple_of(keys.len() * KEPT) {
        return Err(format!("{} bytes of rows, not whole styles", rest.len()));
    }
    let rows = rest.chunks_exact(KEPT).flat_map(|row| {
        unit(
            row.iter()
                .map(|byte| f32::from(byte.cast_signed()))
                .collect(),
        )
    });
    Ok((Eyes { mean, basis }, rows.collect()))
}

/// What is seen of pictures of one style: from the cache, or looked at now.
fn seen(dataset: &Dataset, style: usize, items: &[usize], cache: &CachePolicy) -> Vec<f32> {
    let len = items.len() * WIDTH;
    let file = cache
        .folder()
        .map(|folder| file_of(dataset, style, &folder));
    if let Some(values) = file.as_ref().and_then(|file| read(file, len)) {
        return values;
    }
    let side = dataset.size_px() as usize;
    let chunks = items.chunks(CHUNK);
    let values: Vec<f32> = chunks
        .flat_map(|items| pooled(&dataset.pictures(style, items), side))
        .collect();
    if let Some(file) = file {
        write(&file, &values);
    }
    values
}

/// Named by everything that the values depend on.
fn file_of(dataset: &Dataset, style: usize, folder: &Path) -> PathBuf {
    let names: Vec<&str> = dataset
        .styles()
        .iter()
        .map(|style| style.name.as_str())
        .collect();
    let key = format!(
        "{:016x} {} {} {:?} {:?} {names:?}",
        dataset.fingerprint(),
        dataset.styles()[style].name,
        dataset.size_px(),
        dataset.background(),
        dataset.channels(),
    );
    folder.join(format!("{:016x}.identity", fnv1a64(key.as_bytes())))
}

/// The values, if they are there and whole.
fn read(file: &Path, len: usize) -> Option<Vec<f32>> {
    let bytes = std::fs::read(file).ok()?;
    let (head, body) = bytes.split_at_checked(16)?;
    let is_whole = body.len() == 4 * len
        && head[..8] == MAGIC[..]
        && head[8..] == fnv1a64(body).to_le_bytes()[..];
    is_whole.then(|| {
        body.as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect()
    })
}

/// Keeps values if that is possible: a cache, on which nothing depends.
fn write(file: &Path, values: &[f32]) {
    let body: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let head = [&MAGIC[..], &fnv1a64(&body).to_le_bytes()[..]].concat();
    let beside = file.with_extension(format!("partial-{}", std::process::id()));
    let written = std::fs::write(&beside, [head, body].concat());
    if written
        .and_then(|()| std::fs::rename(&beside, file))
        .is_err()
    {
        let _ = std::fs::remove_file(&beside);
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::learn::{Learner, Words};
    use super::super::options::LearnOptions;
    use super::super::recall::Recall;
    use super::super::score::SPECIFIC;
    use super::super::table::{Language, Register};
    use super::super::voice::{Wanted, best_of, drawn_of, phrases_of};
    use super::*;
    use crate::data::DatasetOptions;
    use crate::rng::{Rng, Stream};

    /// Largest entry of a stored row.
    const ROW_MAX: f32 = 127.0;

    /// The built-in styles at 64 px on white, and the items in the order of the index.
    fn drawings(styles: &[&str]) -> (Dataset, Vec<usize>, Vec<String>) {
        let options = DatasetOptions {
            size_px: 64,
            styles: styles.iter().map(|style| (*style).to_owned()).collect(),
            ..DatasetOptions::default()
        };
        let dataset = Dataset::load("emoji", &options).expect("built in");
        let ideas = super::super::emoji_ideas().expect("built in");
        let keys: Vec<String> = ideas.into_iter().map(|idea| idea.key).collect();
        let place = |key: &String| {
            (0..dataset.item_count())
                .find(|&item| dataset.item_key(item) == key)
                .expect("every style draws every emoji")
        };
        let items = keys.iter().map(place).collect();
        (dataset, items, keys)
    }

    /// `cargo test --release --lib -- --ignored --nocapture styles_never_shown` prints the table of
    /// `docs/words.md`: pictures of a style that neither [`Eyes`] nor gallery ever saw, put into words.
    /// What the network sees is kept in the cache. Half of the time goes into a phrase encoder and speakers,
    /// which are learnt anew.
    #[test]
    #[ignore = "prints a table; five minutes"]
    #[expect(clippy::print_stdout, reason = "the table is what it is for")]
    fn pictures_of_styles_never_shown_are_put_into_words() {
        let (dataset, items, keys) = drawings(&STYLES);
        let seen: Vec<Vec<f32>> = (0..STYLES.len())
            .map(|style| seen(&dataset, style, &items, &CachePolicy::Platform))
            .collect();
        let table = super::super::built_in(super::super::emoji_ideas().expect("built in"));
        let table = table
            .expect("it is whole")
            .filtered(|phrase| phrase.register != Register::Rude);
        let listed = Recall::new(&table);
        let words = speakers(&table);
        println!(
            "style never shown     n  idea @1  idea @5  phrase en  specific en  phrase zh  specific zh  made up zh  specific"
        );
        for (left_out, style) in STYLES.iter().enumerate() {
            let of_others = (0..STYLES.len()).filter(|style| *style != left_out);
            let others: Vec<Vec<f32>> = of_others.map(|style| seen[style].clone()).collect();
            let eyes = Eyes::fit(&others);
            let rows = others.iter().flat_map(|seen| seen.chunks_exact(WIDTH));
            let mut gallery = Gallery {
                rows: rows.flat_map(|row| eyes.look(row)).collect(),
                ideas: (0..others.len()).flat_map(|_| 0..keys.len()).collect(),
                eyes,
                means: vec![0.0; keys.len() * KEPT],
            };
            gallery.take_means();
            let mut hits = [0.0; 6];
            for (idea, row) in seen[left_out].chunks_exact(WIDTH).enumerate() {
                let ranked = gallery.rank_look(&gallery.eyes.look(row));
                let place = ranked.iter().position(|recalled| recalled.idea == idea);
                hits[0] += f64::from(u8::from(place == Some(0)));
                hits[1] += f64::from(u8::from(place.is_some_and(|place| place < 5)));
                for (at, language) in [(2, Language::En), (4, Language::Zh)] {
                    let wanted = Wanted {
                        language: Some(language),
                        ..Wanted::default()
                    };
                    let said = phrases_of(&table, &listed, &ranked, wanted, 1);
                    let ideas = said
                        .first()
                        .map_or(&[][..], |said| listed.known(&said.phrase));
                    let is_right = ideas.contains(&(idea as u32));
                    hits[at] += f64::from(u8::from(is_right));
                    hits[at + 1] += f64::from(u8::from(is_right && ideas.len() <= SPECIFIC));
                }
            }
            // One in five, for what is made up.
            let (ideas, codes): (Vec<usize>, Vec<Vec<f32>>) = (0..keys.len())
                .step_by(5)
                .map(|idea| {
                    let row = &seen[left_out][idea * WIDTH..][..WIDTH];
                    let ranked = gallery.rank_look(&gallery.eyes.look(row));
                    (idea, words.code(ranked[0].idea).to_vec())
                })
                .unzip();
            let mut rng = Rng::new(0, Stream::TEST, 0);
            let drawn = drawn_of(&words, Language::Zh, &codes, &mut rng);
            let mut made_up = [0.0; 2];
            for (idea, drawn) in ideas.iter().zip(&drawn) {
                let known = listed.known(best_of(drawn));
                let is_right = known.contains(&(*idea as u32));
                made_up[0] += f64::from(u8::from(is_right));
                made_up[1] += f64::from(u8::from(is_right && known.len() <= SPECIFIC));
            }
            let [made_up, made_up_own] = made_up.map(|hits| hits / ideas.len() as f64);
            let n = keys.len() as f64;
            let [first, five, en, en_own, zh, zh_own] = hits.map(|hits| hits / n);
            println!(
                "{style:20} {n:4}  {first:7.3}  {five:7.3}  {en:9.3}  {en_own:11.3}  {zh:9.3}  {zh_own:11.3}  {made_up:10.3}  {made_up_own:8.3}"
            );
            assert!(first > 0.1, "the feature network knows what it looks at");
            assert!(
                en >= 0.5 * first && zh >= 0.5 * first,
                "an idea gives its phrases"
            );
            assert!(
                made_up >= 0.2 * first,
                "a speaker says what an idea is called"
            );
        }
    }

    /// A phrase encoder and speakers, by the usual settings.
    fn speakers(table: &Phrases) -> Words {
        let options = LearnOptions {
            discriminator_steps: 1,
            kaomoji_steps: 0,
            reader_steps: 0,
            ..LearnOptions::default()
        };
        let mut learner = Learner::new(table, options, &Device::flex()).expect("there are phrases");
        while learner.step().expect("losses are finite").is_some() {}
        learner.words()
    }

    /// `DEMOTIC_BLESS=1 cargo test --release --lib built_in_drawings` writes the file anew: two minutes.
    #[test]
    fn the_built_in_drawings_are_those_of_the_emoji() {
        if std::env::var_os("DEMOTIC_BLESS").is_some() {
            let (dataset, items, keys) = drawings(&STYLES);
            let seen: Vec<Vec<f32>> = (0..dataset.styles().len())
                .map(|style| seen(&dataset, style, &items, &CachePolicy::Platform))
                .collect();
            let eyes = Eyes::fit(&seen);
            let mut bytes = [&BUILT_IN_MAGIC[..], &hash_of(&keys).to_le_bytes()].concat();
            bytes.extend(eyes.mean.iter().flat_map(|v| v.to_le_bytes()));
            bytes.extend(
                eyes.basis
                    .iter()
                    .flat_map(|v| f16::from_f32(*v).to_le_bytes()),
            );
            for row in seen.iter().flat_map(|seen| seen.chunks_exact(WIDTH)) {
                let row = eyes.look(row);
                let largest = row.iter().fold(1e-12_f32, |most, v| most.max(v.abs()));
                let scale = ROW_MAX / largest;
                bytes.extend(
                    row.iter()
                        .map(|v| ((v * scale).round() as i8).cast_unsigned()),
                );
            }
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/phrases/drawings.bin");
            std::fs::write(file, bytes).expect("the file can be written");
            return;
        }
        let (dataset, items, keys) = drawings(&["noto", "openmoji"]);
        let (eyes, rows) = parse(BUILT_IN, &keys).expect("it is whole");
        assert_eq!(rows.len(), 6 * keys.len() * KEPT);
        for at in [0, 100, keys.len() - 1] {
            let own = eyes.look(&pooled(&dataset.picture(0, items[at]), 64));
            let stored = &rows[at * KEPT..][..KEPT];
            let cosine: f32 = own.iter().zip(stored).map(|(a, b)| a * b).sum();
            assert!(cosine > 0.99, "{}: {cosine}", keys[at]);
        }
        let table = Phrases::of_ideas(super::super::emoji_ideas().expect("built in"));
        let gallery = Gallery::built_in(&table).expect("it is whole");
        let ranked = gallery.rank_look(&gallery.look(&dataset.picture(0, items[100]), 64));
        assert_eq!(table.ideas()[ranked[0].idea].key, keys[100]);
        for (bytes, problem) in [
            (&b"DRAWN"[..], "cut off"),
            (b"12345678", "not a file"),
            (&BUILT_IN[..BUILT_IN.len() - 1], "not whole styles"),
        ] {
            let said = parse(bytes, &keys).expect_err("it is damaged");
            assert!(said.contains(problem), "{said}");
        }
    }
}
