//! `demotic say`: what pictures show, in the words of the ideas they resemble.

use anyhow::Result;
use demotic_core::data::{CachePolicy, Channels, Dataset, Picture};
use demotic_core::device;
use demotic_core::phrase::{self, Gallery, Recall, Said, Wanted};
use demotic_core::train::run::config as config_of;
use serde::Serialize;

use super::learn_words;
use super::words::{self, LISTED_LEAST, Listed, in_words};
use crate::cli::SayArgs;
use crate::inputs;
use crate::options::dataset_options;
use crate::output::{note, say, show};

/// Side that pictures are looked at.
const SIZE_PX: u32 = 64;

/// What is said of a picture.
#[derive(Serialize)]
struct Record<'a> {
    picture: String,
    recalled: Vec<Listed<'a>>,
    said: Vec<Said>,
}

pub(crate) fn run(args: &SayArgs) -> Result<()> {
    let (pictures, others) = inputs::find(&args.inputs)?;
    let config = args.run.as_deref().map(config_of).transpose()?;
    let source = config
        .as_ref()
        .map_or("emoji", |config| config.data.source.as_str());
    let table = words::table(source, args.rude)?;
    let mut gallery = Gallery::built_in(&table)?;
    if let Some(config) = config
        .as_ref()
        .filter(|config| config.data.source != "emoji")
    {
        note("looking at the run's pictures");
        let mut options = dataset_options(config, CachePolicy::Platform)?;
        options.size_px = SIZE_PX;
        let own = Dataset::load(&config.data.source, &options)?;
        gallery.add(&own, &table, &CachePolicy::Platform, |_| true);
        note("");
    }
    let learnt = match &args.run {
        Some(run) => learn_words::learnt(run, &device::open(&args.device.device)?)?,
        None => None,
    };
    let listed = Recall::new(&table);
    let wanted = Wanted {
        language: args.lang.map(Into::into),
        register: args.register.map(Into::into),
        but: None,
    };
    let mut queue = pictures.iter().peekable();
    let (mut problems, mut lines, mut records) = (Vec::new(), Vec::new(), Vec::new());
    while queue.peek().is_some() {
        let (held, failed) =
            inputs::open_some(&mut queue, |path| Picture::open_or_draw(path, SIZE_PX));
        problems.extend(failed);
        for (path, picture) in held {
            let planes = picture.fit(SIZE_PX).planes(Channels::Rgb, [255; 3]);
            let look = gallery.look(&planes, SIZE_PX as usize);
            // The reader has seen the built-in drawings alone, no pictures of one's own.
            let ranked = match &learnt {
                Some(learnt) if source == "emoji" => learnt.rank_look(&gallery, &look),
                _ => gallery.rank_look(&look),
            };
            let mut said =
                phrase::phrases_of(&table, &listed, &ranked, wanted, args.count as usize);
            if let (Some(learnt), Some(best)) = (&learnt, ranked.first()) {
                said.extend(phrase::new_phrases(
                    learnt,
                    &listed,
                    best,
                    &look,
                    wanted,
                    args.count as usize,
                ));
            }
            let seen: Vec<String> = ranked.iter().take(3).map(|r| in_words(&table, r)).collect();
            lines.push(format!("{}: {}", path.display(), seen.join(", ")));
            lines.extend(said.iter().map(words::line));
            records.push(Record {
                picture: path.display().to_string(),
                recalled: words::listed(&table, &ranked, LISTED_LEAST),
                said,
            });
        }
    }
    if args.json {
        say(&format!("{}\n", serde_json::to_string_pretty(&records)?))?;
    } else {
        lines.extend(inputs::passed_over(&others));
        lines.push(String::new());
        show(&lines.join("\n"))?;
    }
    inputs::settle(problems, pictures.len(), "looked at")
}
