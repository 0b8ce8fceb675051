//! `demotic configs`: the recipes in the program, to read and to change.

use anyhow::Result;

use crate::cli::ConfigsArgs;
use crate::failure::input;
use crate::output::{say, show};
use crate::recipes::RECIPES;

pub(crate) fn run(args: &ConfigsArgs) -> Result<()> {
    let Some(name) = &args.name else {
        let width = RECIPES.iter().map(|recipe| recipe.name.len()).max();
        let width = width.unwrap_or(0);
        let lines = RECIPES.iter().map(|recipe| {
            let command = if recipe.is_plan { "ablate" } else { "train" };
            format!(
                "{:width$}  {} (demotic {command} {})\n",
                recipe.name,
                recipe.about(),
                recipe.name
            )
        });
        return show(&lines.collect::<String>());
    };
    let recipe = RECIPES.iter().find(|recipe| recipe.name == name);
    let recipe = recipe.ok_or_else(|| {
        let names: Vec<&str> = RECIPES.iter().map(|recipe| recipe.name).collect();
        input(format!(
            "there is no recipe `{name}`; there are {}",
            names.join(", ")
        ))
    })?;
    say(recipe.text)
}
