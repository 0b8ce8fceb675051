//! `demotic read`: which tokens of a text look made up, and which real.

use anyhow::Result;
use demotic_core::number::Whole;
use demotic_core::phrase::Labelled;
use demotic_core::table::padded;
use serde::Serialize;

use super::{learn_words, words};
use crate::cli::ReadArgs;
use crate::options::open_device;
use crate::output::{say, show};

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    text: &'a str,
    tokens: Vec<Labelled>,
}

pub(crate) fn run(args: &ReadArgs) -> Result<()> {
    let texts = words::phrases(&args.texts, None)?;
    let chosen = open_device(&args.device.device)?;
    let learnt = learn_words::required(&args.run, &chosen)?;
    let mut lines: Vec<String> = Vec::new();
    for text in &texts {
        let tokens = learnt.discriminator().read(text, learnt.device());
        if args.json {
            lines.push(serde_json::to_string(&Line { text, tokens })?);
            continue;
        }
        lines.push(text.clone());
        for token in tokens {
            // A bar of ten is the heat of a token: how made up it looks.
            let heat = "#".repeat((10.0 * token.fake).round().to_usize());
            lines.push(format!(
                "  {} {:10}  fake {:.2}  name {:.2}  colloquial {:.2}  {heat}",
                padded(&token.token, 16),
                token.label,
                token.fake,
                token.name,
                token.colloquial
            ));
        }
    }
    lines.push(String::new());
    let text = lines.join("\n");
    if args.json {
        say(&text)?;
    } else {
        show(&text)?;
    }
    words::tell_of_quotes(&args.texts);
    Ok(())
}
