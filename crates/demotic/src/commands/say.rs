//! `demotic say`: what pictures show, in the words of the ideas they resemble.

use anyhow::Result;
use demotic_core::data::{CachePolicy, Channels, Dataset, Picture};
use demotic_core::phrase::{self, Gallery, Recall, Register, Said, Wanted};
use demotic_core::table::padded;
use demotic_core::train::run::config as config_of;
use serde::Serialize;

use super::learn_words;
use super::words::{self, LISTED_LEAST, Listed, in_words};
use crate::cli::SayArgs;
use crate::inputs;
use crate::options::{dataset_options, open_device};
use crate::output::{say, show};
use crate::waiting::{Count, during};

/// Side that pictures are looked at.
const SIZE_PX: u32 = 64;
/// What pictures are laid on.
const PAPER: [u8; 3] = [255; 3];
/// Difference of colours, of 255, up to which a picture shows nothing: the faintest of 96 built-in drawings
/// of white things, a heart, has 25.
const PLAIN: u8 = 8;

/// Phrases that are said where no number is asked for.
const SAID: u32 = 5;
/// Probability of an idea, and score of a phrase, below which it is not shown on a screen where no number is
/// asked for. Of 120 built-in drawings, `say` is at least 0.09 sure of what it takes each for, 0.94 in the
/// middle; the right idea of held-out drawings has 0.07 in the geometric mean.
const LEAST_SCORE: f32 = 0.01;

/// What is said of a picture.
#[derive(Serialize)]
struct Record<'a> {
    picture: String,
    recalled: Vec<Listed<'a>>,
    said: Vec<Said>,
}

pub(crate) fn run(args: &SayArgs) -> Result<()> {
    let is_told = !args.json;
    let (pictures, others) = inputs::find(&args.inputs)?;
    let config = args.run.as_deref().map(config_of).transpose()?;
    let source = config
        .as_ref()
        .map_or("emoji", |config| config.data.source.as_str());
    let table = words::table(source, args.said.rude.rude)?;
    let mut gallery = Gallery::built_in(&table)?;
    if let Some(config) = config
        .as_ref()
        .filter(|config| config.data.source != "emoji")
    {
        let mut options = dataset_options(config, CachePolicy::Platform)?;
        options.size_px = SIZE_PX;
        during("looking at the run's pictures", is_told, || {
            let own = Dataset::load(&config.data.source, &options)?;
            gallery.add(&own, &table, &CachePolicy::Platform, |_| true);
            anyhow::Ok(())
        })?;
    }
    let learnt = match &args.run {
        Some(run) => learn_words::learnt(run, &open_device(&args.device.device)?)?,
        None => None,
    };
    let listed = Recall::new(&table);
    let wanted = Wanted {
        language: args.lang.map(Into::into),
        register: args.register.map(Into::into),
        but: None,
    };
    let count = said_at_most(args.said.count);
    let bar = Count::new(pictures.len(), "pictures", is_told);
    let mut queue = pictures.iter().peekable();
    let mut blank = Vec::new();
    let (mut problems, mut lines, mut records) = (Vec::new(), Vec::new(), Vec::new());
    while queue.peek().is_some() {
        let (held, failed) =
            inputs::open_some(&mut queue, |path| Picture::open_or_draw(path, SIZE_PX));
        problems.extend(failed);
        for (path, picture) in held {
            bar.one();
            if picture.resized(SIZE_PX, SIZE_PX).is_plain(PAPER, PLAIN) {
                let path = path.display().to_string();
                blank.push(format!("nothing to see, it is of one colour: {path}"));
                records.push(Record {
                    picture: path,
                    recalled: Vec::new(),
                    said: Vec::new(),
                });
                continue;
            }
            let planes = picture.fit(SIZE_PX).planes(Channels::Rgb, PAPER);
            let look = gallery.look(&planes, SIZE_PX as usize);
            // The reader has seen the built-in drawings alone, no pictures of one's own.
            let ranked = match &learnt {
                Some(learnt) if source == "emoji" => learnt.rank_look(&gallery, &look),
                _ => gallery.rank_look(&look),
            };
            let mut said = phrase::phrases_of(&table, &listed, &ranked, wanted, count);
            if let (Some(learnt), Some(best)) = (&learnt, ranked.first()) {
                said.extend(phrase::new_phrases(
                    learnt, &listed, best, &look, wanted, count,
                ));
            }
            let seen: Vec<String> = ranked
                .iter()
                .take(3)
                .enumerate()
                .filter(|(at, recalled)| *at == 0 || recalled.prob >= LEAST_SCORE)
                .map(|(_, recalled)| in_words(&table, recalled))
                .collect();
            lines.push(format!("{}: {}", path.display(), seen.join(", ")));
            lines.extend(lines_of(&said, args.said.count));
            records.push(Record {
                picture: path.display().to_string(),
                recalled: words::listed(&table, &ranked, LISTED_LEAST),
                said,
            });
        }
    }
    drop(bar);
    if args.json {
        say(&format!("{}\n", serde_json::to_string_pretty(&records)?))?;
    } else {
        lines.extend(inputs::passed_over(&others));
        lines.push(String::new());
        show(&lines.join("\n"))?;
    }
    if problems.is_empty() && !blank.is_empty() {
        // No fault of the file: it is read, and shows nothing.
        return Err(anyhow::anyhow!(blank.join("\n")));
    }
    problems.extend(blank);
    inputs::settle(problems, pictures.len(), "looked at")
}

/// Phrases to say for each, at most.
pub(super) fn said_at_most(count: Option<u32>) -> usize {
    count.unwrap_or(SAID) as usize
}

/// What is said as lines: as many as were asked for, or, where no number was, those whose score tells
/// something.
pub(super) fn lines_of(said: &[Said], count: Option<u32>) -> Vec<String> {
    let is_listed = |said: &&Said| count.is_some() || !said.known || said.score >= LEAST_SCORE;
    let lines: Vec<String> = said.iter().filter(is_listed).map(line).collect();
    if lines.is_empty() && !said.is_empty() {
        return vec![format!(
            "  no phrase of {LEAST_SCORE} or more; -n N lists the nearest N"
        )];
    }
    lines
}

/// `  dead tired        en  colloquial  0.21  known`
fn line(said: &Said) -> String {
    format!(
        "  {}  {}  {:10}  {:.2}  {}",
        padded(&said.phrase, 28),
        said.language.name(),
        said.register.map_or("", Register::name),
        said.score,
        if said.known { "known" } else { "new" }
    )
}
