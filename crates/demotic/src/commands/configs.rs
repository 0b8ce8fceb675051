//! `demotic configs`: the recipes in the program, to read and to change, and every key explained.

use anyhow::Result;
use demotic_core::settings::Config;

use crate::cli::ConfigsArgs;
use crate::failure::input;
use crate::output::{say, show};
use crate::recipes::RECIPES;

/// In place of a recipe's name: all keys.
const KEYS: &str = "keys";

pub(crate) fn run(args: &ConfigsArgs) -> Result<()> {
    let Some(name) = &args.name else {
        let names = RECIPES.iter().map(|recipe| recipe.name);
        let width = names.chain([KEYS]).map(str::len).max().unwrap_or(0);
        let lines = RECIPES.iter().map(|recipe| {
            let command = if recipe.is_plan { "ablate" } else { "train" };
            format!(
                "{:width$}  {} (demotic {command} {})\n",
                recipe.name,
                recipe.about(),
                recipe.name
            )
        });
        let keys = format!(
            "{KEYS:width$}  Every key with its default, meaning and range (demotic configs {KEYS}).\n"
        );
        return show(&lines.chain([keys]).collect::<String>());
    };
    if name == KEYS {
        return say(&Config::explained());
    }
    let recipe = RECIPES.iter().find(|recipe| recipe.name == name);
    let recipe = recipe.ok_or_else(|| {
        let names: Vec<&str> = RECIPES.iter().map(|recipe| recipe.name).collect();
        input(format!(
            "there is no recipe `{name}`; there are {}, and `{KEYS}` explains every key",
            names.join(", ")
        ))
    })?;
    say(recipe.text)
}
