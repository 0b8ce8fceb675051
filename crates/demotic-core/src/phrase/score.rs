//! How good words are: tables over phrases that training never saw, and over a list of spoken phrases that
//! another author wrote. Never averaged over tables.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::faces::FaceRow;
use super::fit::{Blend, Retrieval};
use super::import::key_of;
use super::learn::{Found, Words};
use super::looks::Looks;
use super::recall::{Likeness, Recall, Recalled};
use super::table::{Language, Phrases, Register};
use super::text::{fold, split_of_phrase};
use super::voice::{Wanted, best_of, code_of, drawn_of, phrases_of};
use crate::data::{DataError, Split};
use crate::metric::{Bootstrap, Estimate};
use crate::rng::{Rng, Stream};
use crate::table::{Cell, Column, Fitted, Table, WHOLE};

/// `half language phrase accepted`; the development half goes with the validation split, the other with the
/// test split.
const CHALLENGE: &str = include_str!("../../assets/phrases/challenge.tsv");
/// Resamples of an interval.
pub(super) const RESAMPLES: usize = 1000;
/// Ideas for each of which the speakers make phrases up.
const SPOKEN_OF: usize = 300;
/// Temperatures of the curve of quality against diversity.
const TEMPERATURES: [f32; 4] = [0.3, 0.6, 0.8, 1.0];
/// Most ideas that a specific phrase is said of.
pub(super) const SPECIFIC: usize = 20;

/// One method on one group of phrases.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WordRow {
    /// `held out` or `challenge`.
    pub table: &'static str,
    /// How ideas were ranked.
    pub method: &'static str,
    /// Which phrases.
    pub group: String,
    /// How many.
    pub phrases: usize,
    /// Share whose first idea is right, with the 95 % interval over phrases.
    pub first: Estimate,
    /// Share with a right idea among the first five.
    pub five: Estimate,
}

/// What the speakers make up at a temperature.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpokenRow {
    /// Language.
    pub language: Language,
    /// Temperature of the draws.
    pub temperature: f32,
    /// Phrases made up.
    pub phrases: usize,
    /// Share that another one repeats is one minus this.
    pub distinct: f64,
    /// Share that stand in the training list.
    pub listed: f64,
    /// Share of their words (English) that stand in some phrase.
    pub real_words: f64,
    /// Share that recall the idea they were made for first, by TF-IDF over all lists.
    pub right: f64,
    /// Mean probability, by the discriminator, that their tokens are real.
    pub realness: f64,
}

/// How phrases of one register are said in another. An answer stands in a list under the register that is
/// asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RephraseRow {
    /// From what to what.
    pub rephrased: String,
    /// Phrases.
    pub phrases: usize,
    /// Share that has an answer, with the 95 % interval over phrases.
    pub answered: Estimate,
    /// Share of the answers that recall a right idea first, by the lists that they come from.
    pub kept: Estimate,
    /// The same by the phrase encoder alone, where one is learnt.
    pub kept_by_encoder: Option<Estimate>,
    /// Share of the answers that are the phrase itself.
    pub copied: f64,
}

/// What is said of drawings that are held out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PictureRow {
    /// Language.
    pub language: Language,
    /// How a drawing's phrase was found.
    pub by: &'static str,
    /// Drawings.
    pub pictures: usize,
    /// Share whose phrase is one of the idea that is drawn, with the 95 % interval over drawings.
    pub right: Estimate,
    /// The same of phrases that at most 20 ideas have.
    pub specific: Estimate,
    /// Share of phrases that no other one repeats but once.
    pub distinct: f64,
    /// Share that stand in a list.
    pub listed: f64,
}

/// All figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WordScores {
    /// Which phrases were held out.
    pub split: Split,
    /// Phrase -> idea.
    pub rows: Vec<WordRow>,
    /// Phrase of one register -> phrase of another.
    pub rephrase: Vec<RephraseRow>,
    /// Picture -> phrase.
    pub pictures: Vec<PictureRow>,
    /// Idea -> new phrase.
    pub spoken: Vec<SpokenRow>,
    /// Kaomoji that are made up, beside real ones.
    pub faces: Vec<FaceRow>,
    /// What learning found on what is held out of it.
    pub found: Option<Found>,
}

/// A phrase with the ideas that are right for it, and the groups it counts in.
struct Query {
    text: String,
    right: BTreeSet<usize>,
    groups: Vec<String>,
}

/// Scores the words of a data source on a held-out split. `words`: learnt from its training phrases; without
/// them, TF-IDF and the simple methods alone.
///
/// # Errors
/// [`DataError`] where the built-in drawings are damaged.
pub fn score(
    table: &Phrases,
    words: Option<&Words>,
    split: Split,
) -> Result<WordScores, DataError> {
    let table = table.filtered(|phrase| phrase.register != Register::Rude);
    let training = table.filtered(|phrase| split_of_phrase(&fold(&phrase.text)) == Split::Train);
    let recall = Recall::new(&training);
    let mut rows = Vec::new();
    let held = held_out(&table, &recall, split);
    rows.extend(ranked("held out", &held, &training, &recall, words));
    // Challenge phrases are asked of all that is listed, as a person asks; the encoder still knows training
    // phrases alone.
    let all = Recall::new(&table);
    let challenge = challenge(&table, &all, split);
    rows.extend(ranked("challenge", &challenge, &table, &all, words));
    Ok(WordScores {
        split,
        rows,
        rephrase: rephrased(&table, &all, words, &held),
        pictures: pictures(&table, &all, words, split)?,
        spoken: words.map_or_else(Vec::new, |words| spoken(&table, &all, words)),
        faces: words.map_or_else(Vec::new, faces),
        found: words.map(Words::found),
    })
}

/// Phrases of a split, once each language and folded form.
fn held_out(table: &Phrases, training: &Recall, split: Split) -> Vec<Query> {
    let mut found: BTreeMap<(Language, String), Query> = BTreeMap::new();
    for phrase in table.phrases() {
        let folded = fold(&phrase.text);
        if split_of_phrase(&folded) != split {
            continue;
        }
        let query = found.entry((phrase.language, folded)).or_insert_with(|| {
            let shares = training.shares(&phrase.text);
            let language = phrase.language.name();
            Query {
                text: phrase.text.clone(),
                right: BTreeSet::new(),
                groups: vec![
                    "all".into(),
                    match phrase.register {
                        Register::Name | Register::Tag => "names and tags".into(),
                        Register::Colloquial | Register::Rude => "colloquial".into(),
                    },
                    language.into(),
                    format!("{language} {}", phrase.register.name()),
                    if shares {
                        "shares a word".into()
                    } else {
                        format!("{language} shares none")
                    },
                ],
            }
        });
        query.right.insert(phrase.idea);
    }
    found.into_values().collect()
}

/// The challenge phrases of a split's half.
fn challenge(table: &Phrases, all: &Recall, split: Split) -> Vec<Query> {
    let half = if split == Split::Test { "test" } else { "dev" };
    let mut found = Vec::new();
    for line in CHALLENGE.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let [own, language, phrase, accepted] = cells[..] else {
            continue;
        };
        if own != half {
            continue;
        }
        let right: BTreeSet<usize> = accepted
            .split(' ')
            .filter_map(|emoji| table.place(&key_of(emoji)))
            .collect();
        let listed = if all.known(phrase).is_empty() {
            "in no list"
        } else {
            "listed"
        };
        if !right.is_empty() {
            found.push(Query {
                text: phrase.to_owned(),
                right,
                groups: vec![language.to_owned(), format!("{language} {listed}")],
            });
        }
    }
    found
}

/// Every method on every group.
fn ranked(
    table: &'static str,
    queries: &[Query],
    known: &Phrases,
    recall: &Recall,
    words: Option<&Words>,
) -> Vec<WordRow> {
    let mut popularity = vec![0.0_f32; known.ideas().len()];
    for phrase in known.phrases() {
        popularity[phrase.idea] += 1.0;
    }
    let texts: Vec<&str> = queries.iter().map(|query| query.text.as_str()).collect();
    let bags = words.map(|words| words.log_probs(&texts));
    let likeness: Vec<Likeness> = texts.iter().map(|text| recall.likeness(text)).collect();
    let mut methods: Vec<(&'static str, Vec<Vec<f32>>)> = vec![
        (
            "popularity",
            texts.iter().map(|_| popularity.clone()).collect(),
        ),
        (
            "nearest phrase",
            texts
                .iter()
                .map(|text| recall.cosines(text)[0].clone())
                .collect(),
        ),
        (
            "TF-IDF of ideas",
            texts
                .iter()
                .map(|text| recall.cosines(text)[1].clone())
                .collect(),
        ),
        (
            "TF-IDF",
            likeness.iter().map(|of| of.scores.clone()).collect(),
        ),
    ];
    if let Some((words, bags)) = words.zip(bags) {
        let blend = |(likeness, bag): (&Likeness, &Vec<f32>)| {
            let mut scores = vec![0.0; bag.len()];
            let ranked = words.blended(bag, likeness);
            for (place, recalled) in ranked.iter().enumerate() {
                scores[recalled.idea] = -(place as f32);
            }
            scores
        };
        let both = likeness.iter().zip(&bags).map(blend).collect();
        methods.push(("encoder", bags));
        methods.push(("encoder + TF-IDF", both));
    }
    let groups: BTreeSet<&String> = queries.iter().flat_map(|query| &query.groups).collect();
    let mut rows = Vec::new();
    for (method, scores) in methods {
        let ranks: Vec<usize> = queries
            .iter()
            .zip(&scores)
            .map(|(query, scores)| rank_of(scores, &query.right))
            .collect();
        for group in &groups {
            let own = queries
                .iter()
                .zip(&ranks)
                .filter(|(query, _)| query.groups.contains(group));
            let own: Vec<usize> = own.map(|(_, rank)| *rank).collect();
            let share = |most: usize| {
                let hits: Vec<bool> = own.iter().map(|rank| *rank < most).collect();
                share_of(&hits)
            };
            if let Some((first, five)) = share(1).zip(share(5)) {
                rows.push(WordRow {
                    table,
                    method,
                    group: (*group).clone(),
                    phrases: own.len(),
                    first,
                    five,
                });
            }
        }
    }
    rows
}

/// The share of hits, with its interval; `None` of nothing.
fn share_of(hits: &[bool]) -> Option<Estimate> {
    let values: Vec<f64> = hits.iter().map(|hit| f64::from(u8::from(*hit))).collect();
    let units: Vec<usize> = (0..hits.len()).collect();
    let spread = Bootstrap::new(hits.len(), RESAMPLES, 0).mean(&values, &units);
    spread.map(|spread| spread.estimate())
}

/// Ideas before the first right one; of equal scores, earlier ideas come first.
fn rank_of(scores: &[f32], right: &BTreeSet<usize>) -> usize {
    let best = right
        .iter()
        .copied()
        .min_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    best.map_or(usize::MAX, |best| {
        let is_before = |idea: usize| {
            scores[idea] > scores[best] || scores[idea] == scores[best] && idea < best
        };
        (0..scores.len()).filter(|&idea| is_before(idea)).count()
    })
}

/// Held-out names said as people say them, and the other way round: whether the answer recalls a right idea
/// first, by the lists that it comes from, and by the phrase encoder alone, which has no part in it.
fn rephrased(
    table: &Phrases,
    all: &Recall,
    words: Option<&Words>,
    held: &[Query],
) -> Vec<RephraseRow> {
    let mut rows = Vec::new();
    for (group, to) in [
        ("en name", Register::Colloquial),
        ("zh name", Register::Colloquial),
        ("en colloquial", Register::Name),
        ("zh colloquial", Register::Name),
    ] {
        let own: Vec<&Query> = held
            .iter()
            .filter(|query| query.groups.iter().any(|g| g == group))
            .collect();
        let answer = |query: &&Query| {
            let wanted = Wanted {
                language: Some(Language::of(&query.text)),
                register: Some(to),
                but: Some(&query.text),
            };
            let said = phrases_of(table, all, &all.rank(&query.text), wanted, 1);
            said.into_iter().next().map(|said| said.phrase)
        };
        let answers: Vec<Option<String>> = own.iter().map(answer).collect();
        let is_answered: Vec<bool> = answers.iter().map(Option::is_some).collect();
        let pairs = own.iter().zip(&answers);
        let pairs: Vec<(&Query, &str)> = pairs
            .filter_map(|(query, answer)| Some((*query, answer.as_deref()?)))
            .collect();
        if pairs.is_empty() {
            continue;
        }
        let kept = |ideas: Vec<usize>| {
            let pairs = pairs.iter().zip(ideas);
            let hits: Vec<bool> = pairs
                .map(|((query, _), idea)| query.right.contains(&idea))
                .collect();
            share_of(&hits)
        };
        let texts: Vec<&str> = pairs.iter().map(|(_, answer)| *answer).collect();
        let by_lists: Vec<usize> = texts.iter().map(|text| all.rank(text)[0].idea).collect();
        let by_encoder = words.map(|words| {
            let rows = words.log_probs(&texts).into_iter();
            rows.map(|row| first_of(&row)).collect::<Vec<usize>>()
        });
        let copies = pairs
            .iter()
            .filter(|(query, answer)| fold(&query.text) == fold(answer));
        if let Some((answered, by_lists)) = share_of(&is_answered).zip(kept(by_lists)) {
            rows.push(RephraseRow {
                rephrased: format!("{group} -> {}", to.name()),
                phrases: own.len(),
                answered,
                kept: by_lists,
                kept_by_encoder: by_encoder.and_then(kept),
                copied: copies.count() as f64 / pairs.len() as f64,
            });
        }
    }
    rows
}

/// The idea of the highest score, of equals the first.
fn first_of(scores: &[f32]) -> usize {
    let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a)));
    best.unwrap_or(usize::MAX)
}

/// What is said of the drawings that `split` holds out, whose ideas are known by other drawings: the phrase
/// that is recalled, and the most probable and the most real, by the discriminator, of those that the speaker
/// draws.
fn pictures(
    table: &Phrases,
    all: &Recall,
    words: Option<&Words>,
    split: Split,
) -> Result<Vec<PictureRow>, DataError> {
    let looks = Looks::built_in(table, split)?;
    let gallery = &looks.training;
    let rank = |look: &[f32]| match words {
        Some(words) => words.rank_look(gallery, look),
        None => gallery.rank_look(look),
    };
    let ranked: Vec<(usize, &[f32], Vec<Recalled>)> = looks
        .held_out
        .iter()
        .map(|(idea, look)| (*idea, look.as_slice(), rank(look)))
        .filter(|(.., ranked)| !ranked.is_empty())
        .collect();
    let mut rows = Vec::new();
    for language in Language::ALL {
        let wanted = Wanted {
            language: Some(language),
            ..Wanted::default()
        };
        let mut put = |by: &'static str, said: Vec<(usize, String)>| {
            let hit = |(idea, text): &(usize, String), most: usize| {
                let ideas = all.known(text);
                ideas.len() <= most && ideas.contains(&(*idea as u32))
            };
            let share = |most: usize| {
                let hits: Vec<bool> = said.iter().map(|said| hit(said, most)).collect();
                share_of(&hits)
            };
            let Some((right, specific)) = share(usize::MAX).zip(share(SPECIFIC)) else {
                return;
            };
            let n = said.len() as f64;
            let folds: BTreeSet<String> = said.iter().map(|(_, text)| fold(text)).collect();
            let listed = said.iter().filter(|(_, text)| !all.known(text).is_empty());
            rows.push(PictureRow {
                language,
                by,
                pictures: said.len(),
                right,
                specific,
                distinct: folds.len() as f64 / n,
                listed: listed.count() as f64 / n,
            });
        };
        let recalled = ranked.iter().map(|(idea, _, ranked)| {
            let said = phrases_of(table, all, ranked, wanted, 1);
            let text = said.into_iter().next();
            (*idea, text.map_or_else(String::new, |said| said.phrase))
        });
        put("recalled", recalled.collect());
        let Some(words) = words else { continue };
        let codes: Vec<Vec<f32>> = ranked
            .iter()
            .map(|(_, look, ranked)| code_of(words, &ranked[0], look))
            .collect();
        let mut rng = Rng::new(0, Stream::SCORED.lane(36), language as u64);
        let drawn = drawn_of(words, language, &codes, &mut rng);
        let ideas = || ranked.iter().map(|(idea, ..)| *idea);
        let said = drawn.iter().map(|drawn| best_of(drawn).to_owned());
        put("made up, most probable", ideas().zip(said).collect());
        let said = drawn.iter().map(|drawn| {
            let texts: Vec<&str> = drawn.iter().map(|(text, _)| text.as_str()).collect();
            let real = words.realness(&texts).into_iter();
            let real: Vec<(String, f32)> =
                texts.iter().map(|t| (*t).to_owned()).zip(real).collect();
            best_of(&real).to_owned()
        });
        put("made up, most real", ideas().zip(said).collect());
    }
    Ok(rows)
}

/// What is written as kaomoji.
fn faces(words: &Words) -> Vec<FaceRow> {
    words.scribe().map_or_else(Vec::new, |(faces, scribe)| {
        faces.scores(scribe, words.encoder(), SPOKEN_OF, words.device())
    })
}

/// What the speakers make up for ideas.
fn spoken(table: &Phrases, all: &Recall, words: &Words) -> Vec<SpokenRow> {
    let mut rows = Vec::new();
    for language in Language::ALL {
        let own: Vec<&super::table::Phrase> = table
            .phrases()
            .iter()
            .filter(|phrase| phrase.language == language)
            .collect();
        if own.is_empty() {
            continue;
        }
        let listed: BTreeSet<String> = own.iter().map(|phrase| fold(&phrase.text)).collect();
        let real: BTreeSet<String> = own
            .iter()
            .flat_map(|p| super::discriminator::words(&p.text))
            .collect();
        for temperature in TEMPERATURES {
            let mut rng = Rng::new(0, Stream::SCORED.lane(34), 0);
            let wanted: Vec<(usize, Register)> = (0..SPOKEN_OF)
                .map(|_| {
                    (
                        own[rng.below(own.len() as u32) as usize].idea,
                        Register::Colloquial,
                    )
                })
                .collect();
            let said = words.make_up(language, &wanted, temperature, &mut rng);
            let texts: Vec<&str> = said.iter().map(|(text, _)| text.as_str()).collect();
            let n = texts.len() as f64;
            let folds: Vec<String> = texts.iter().map(|text| fold(text)).collect();
            let tokens: Vec<String> = texts
                .iter()
                .flat_map(|text| super::discriminator::words(text))
                .collect();
            let known = tokens.iter().filter(|token| real.contains(*token)).count();
            let right = texts
                .iter()
                .zip(&wanted)
                .filter(|(text, (idea, _))| !text.is_empty() && all.rank(text)[0].idea == *idea);
            let realness: f32 = words.realness(&texts).iter().sum();
            rows.push(SpokenRow {
                language,
                temperature,
                phrases: texts.len(),
                distinct: folds.iter().collect::<BTreeSet<_>>().len() as f64 / n,
                listed: folds
                    .iter()
                    .filter(|folded| listed.contains(*folded))
                    .count() as f64
                    / n,
                real_words: known as f64 / tokens.len().max(1) as f64,
                right: right.count() as f64 / n,
                realness: f64::from(realness) / n,
            });
        }
    }
    rows
}

impl std::fmt::Display for WordScores {
    /// With a width (`{:80}`), tables that fit into it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = f.width().unwrap_or(WHOLE);
        let mut all = Fitted::default();
        for rows in self.rows.chunk_by(|a, b| a.table == b.table) {
            let what = match rows[0].table {
                "held out" => format!(
                    "phrases of the {} split, recalled from training phrases",
                    self.split
                ),
                _ => format!(
                    "challenge phrases, {} half, recalled from all lists",
                    if self.split == Split::Test {
                        "test"
                    } else {
                        "development"
                    }
                ),
            };
            let mut table = Table::new([
                Column::text("method"),
                Column::text("phrases"),
                Column::figure("n"),
                Column::figure("first right"),
                Column::figure("among five"),
            ]);
            for row in rows {
                let share = |e: &Estimate| Cell::interval([e.value, e.low, e.high], 3);
                table.push([
                    row.method.into(),
                    row.group.clone().into(),
                    row.phrases.to_string().into(),
                    share(&row.first),
                    share(&row.five),
                ]);
            }
            put(&mut all, &what, table.fitted(width));
        }
        if !self.rephrase.is_empty() {
            let table = table_of_rephrased(&self.rephrase);
            put(&mut all, "", table.fitted(width));
        }
        if !self.pictures.is_empty() {
            put(
                &mut all,
                "",
                table_of_pictures(&self.pictures).fitted(width),
            );
        }
        if !self.spoken.is_empty() {
            put(&mut all, "", table_of_spoken(&self.spoken).fitted(width));
        }
        if !self.faces.is_empty() {
            put(&mut all, "", table_of_faces(&self.faces).fitted(width));
        }
        if let Some(found) = &self.found {
            let (title, table) = table_of_found(found);
            put(&mut all, &title, table.fitted(width));
        }
        for line in all.lines.iter().cloned().chain(all.note()) {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// What is said in another register.
fn table_of_rephrased(rows: &[RephraseRow]) -> Table {
    let mut table = Table::new([
        Column::text("rephrased"),
        Column::figure("n"),
        Column::figure("answered"),
        Column::figure("same idea"),
        Column::figure("by the encoder"),
        Column::figure("copied"),
    ]);
    for row in rows {
        let share = |e: &Estimate| Cell::interval([e.value, e.low, e.high], 3);
        table.push([
            row.rephrased.clone().into(),
            row.phrases.to_string().into(),
            share(&row.answered),
            share(&row.kept),
            row.kept_by_encoder
                .as_ref()
                .map_or_else(|| Cell::from("-"), share),
            format!("{:.3}", row.copied).into(),
        ]);
    }
    table
}

/// What is said of drawings that are held out.
fn table_of_pictures(rows: &[PictureRow]) -> Table {
    let mut table = Table::new([
        Column::text("said of drawings"),
        Column::text("by"),
        Column::figure("n"),
        Column::figure("right"),
        Column::figure("specific"),
        Column::figure("distinct"),
        Column::figure("listed"),
    ]);
    for row in rows {
        let share = |e: &Estimate| Cell::interval([e.value, e.low, e.high], 3);
        table.push([
            row.language.name().into(),
            row.by.into(),
            row.pictures.to_string().into(),
            share(&row.right),
            share(&row.specific),
            format!("{:.3}", row.distinct).into(),
            format!("{:.3}", row.listed).into(),
        ]);
    }
    table
}

/// What the speakers make up.
fn table_of_spoken(rows: &[SpokenRow]) -> Table {
    let mut table = Table::new([
        Column::text("made up"),
        Column::figure("temperature"),
        Column::figure("n"),
        Column::figure("distinct"),
        Column::figure("listed"),
        Column::figure("real words"),
        Column::figure("right idea"),
        Column::figure("looks real"),
    ]);
    for row in rows {
        let shares = [
            row.distinct,
            row.listed,
            row.real_words,
            row.right,
            row.realness,
        ];
        let shares = shares.map(|share| Cell::from(format!("{share:.3}")));
        let first = [
            row.language.name().to_owned(),
            format!("{:.1}", row.temperature),
            row.phrases.to_string(),
        ];
        table.push(first.map(Cell::from).into_iter().chain(shares));
    }
    table
}

/// How kaomoji fare that are made up, and real ones.
fn table_of_faces(rows: &[FaceRow]) -> Table {
    let mut table = Table::new([
        Column::text("kaomoji"),
        Column::figure("n"),
        Column::figure("distinct"),
        Column::figure("novel"),
        Column::figure("looks real"),
        Column::figure("passes"),
    ]);
    for row in rows {
        let shares = [row.distinct, row.novel, row.real, row.passes];
        let shares = shares.map(|share| Cell::from(format!("{share:.3}")));
        let first = [row.faces.to_owned(), row.n.to_string()];
        table.push(first.map(Cell::from).into_iter().chain(shares));
    }
    table
}

/// What learning found on what is held out of it: a title, and a row a kind.
fn table_of_found(found: &Found) -> (String, Table) {
    let Blend { network, recall } = found.blend;
    let title = format!(
        "encoder of step {}; fitted on validation phrases: {network} of its log-probability, {recall} nats for 1 of similarity{}",
        found.encoder_step,
        found.sight.map_or_else(String::new, |sight| format!(
            "; on drawings: {} of the reader's, {} nats",
            sight.network, sight.recall
        ))
    );
    let mut table = Table::new([
        Column::text("held out while learning"),
        Column::text("by"),
        Column::figure("first right"),
        Column::figure("among five"),
        Column::figure("nats"),
    ]);
    for (what, by, retrieval) in [
        ("validation phrases", "encoder", found.encoder),
        ("validation phrases", "encoder + TF-IDF", found.blended),
        ("drawings", "reader", found.reader),
        ("drawings", "other drawings", found.drawings),
        ("drawings", "reader + drawings", found.seen),
    ] {
        if let Some(Retrieval { nats, first, five }) = retrieval {
            let figures = [first, five, nats].map(|figure| Cell::from(format!("{figure:.3}")));
            table.push([what, by].map(Cell::from).into_iter().chain(figures));
        }
    }
    (title, table)
}

/// Puts a table below others, an empty line and its title between.
fn put(all: &mut Fitted, title: &str, table: Fitted) {
    if !all.lines.is_empty() {
        all.lines.push(String::new());
    }
    if !title.is_empty() {
        all.lines.push(title.to_owned());
    }
    all.add(table);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_count_the_ideas_before_the_best_right_one() {
        let right = |of: &[usize]| of.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(rank_of(&[0.1, 0.9, 0.5], &right(&[2])), 1);
        assert_eq!(rank_of(&[0.1, 0.9, 0.5], &right(&[0, 1])), 0);
        // Nothing is known: ties go to earlier ideas, so chance earns nothing.
        assert_eq!(rank_of(&[0.0, 0.0, 0.0], &right(&[2])), 2);
    }

    #[test]
    fn tables_have_every_method_and_group_in_the_order_that_is_known() {
        let ideas = super::super::emoji_ideas().expect("built in");
        let some = ideas.into_iter().step_by(8).collect();
        let table = super::super::built_in(some).expect("built in");
        let scores = score(&table, None, Split::Validation).expect("built in");
        let row = |table: &str, method: &str, group: &str| {
            let mut rows = scores.rows.iter();
            let found =
                rows.find(|row| row.table == table && row.method == method && row.group == group);
            found.unwrap_or_else(|| panic!("{table}, {method}, {group}"))
        };
        for group in ["all", "names and tags", "colloquial", "en", "zh", "en name"] {
            for method in ["popularity", "nearest phrase", "TF-IDF of ideas", "TF-IDF"] {
                let row = row("held out", method, group);
                for Estimate { value, low, high } in [row.first, row.five] {
                    assert!(
                        [0.0, low, value, high, 1.0].is_sorted(),
                        "{method}, {group}"
                    );
                }
                assert!(row.phrases > 0 && row.first.value <= row.five.value);
            }
        }
        let [popular, nearest, score] = ["popularity", "nearest phrase", "TF-IDF"]
            .map(|method| row("held out", method, "all").first.value);
        assert!(
            popular < 0.05 && nearest > 0.3 && score >= nearest,
            "{popular} {nearest} {score}"
        );
        for language in ["en", "zh"] {
            assert!(row("challenge", "TF-IDF", language).phrases > 0);
        }
        assert_eq!(scores.rephrase.len(), 4);
        for row in &scores.rephrase {
            assert!(row.phrases > 0 && row.answered.value > 0.0, "{row:?}");
            // An answer is in a list, and never the phrase that was said.
            assert!(
                row.copied == 0.0 && row.kept_by_encoder.is_none(),
                "{row:?}"
            );
        }
        // Nothing is learnt: what is recalled, and nothing made up.
        let reported: Vec<_> = scores
            .pictures
            .iter()
            .map(|row| (row.language, row.by))
            .collect();
        assert_eq!(
            reported,
            Language::ALL.map(|language| (language, "recalled"))
        );
        for row in &scores.pictures {
            assert!(row.pictures > 0 && row.specific.value <= row.right.value);
        }
        assert!(scores.spoken.is_empty() && scores.faces.is_empty() && scores.found.is_none());
        let text = format!("{scores:80}");
        assert!(
            text.starts_with("phrases of the validation split"),
            "{text}"
        );
    }

    #[test]
    fn challenge_phrases_accept_built_in_emoji() {
        let ideas = super::super::emoji_ideas().expect("built in");
        let table = Phrases::of_ideas(ideas);
        let recall = Recall::new(&table);
        for split in [Split::Validation, Split::Test] {
            let queries = challenge(&table, &recall, split);
            assert_eq!(queries.len(), 300, "{split}");
        }
    }
}
