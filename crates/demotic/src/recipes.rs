//! Recipes in the program: the files of `configs/`, by their names.

use std::path::Path;

use anyhow::Result;
use demotic_core::settings::Config;

use crate::failure::input;

/// A recipe and its file.
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
    /// Whether it is a plan of `demotic ablate`.
    pub(crate) is_plan: bool,
}

/// All of them, the one to begin with first.
pub(crate) const RECIPES: [Recipe; 4] = [
    Recipe {
        name: "quickstart",
        text: include_str!("../../../configs/quickstart.toml"),
        is_plan: false,
    },
    Recipe {
        name: "paired",
        text: include_str!("../../../configs/paired.toml"),
        is_plan: false,
    },
    Recipe {
        name: "six-styles",
        text: include_str!("../../../configs/six-styles.toml"),
        is_plan: false,
    },
    Recipe {
        name: "ablation",
        text: include_str!("../../../configs/ablation.toml"),
        is_plan: true,
    },
];

impl Recipe {
    /// What it is, by the first line of its file.
    pub(crate) fn about(&self) -> &'static str {
        let first = self.text.lines().next().unwrap_or_default();
        first.trim_start_matches(['#', ' '])
    }

    /// The recipe that is meant where a file is expected: a file of that name comes first.
    pub(crate) fn meant(path: &Path, is_plan: bool) -> Option<&'static Self> {
        let mut recipes = RECIPES.iter().filter(|recipe| recipe.is_plan == is_plan);
        let found = recipes.find(|recipe| path == Path::new(recipe.name));
        found.filter(|_| !path.exists())
    }
}

/// What a name that is no file may have meant, in words for an error; nothing for a path. `is_plan`: a plan
/// of `demotic ablate` is asked for.
fn meant(path: &Path, is_plan: bool) -> Option<String> {
    let name = path.to_str()?;
    if path.exists() || name.contains(['/', '\\', '.']) {
        return None;
    }
    if Recipe::meant(path, !is_plan).is_some() {
        return Some(if is_plan {
            format!("`{name}` is a recipe for `demotic train`, no plan of several trainings")
        } else {
            format!("`{name}` is a plan for `demotic ablate`, no recipe")
        });
    }
    let recipes = RECIPES.iter().filter(|recipe| recipe.is_plan == is_plan);
    let names: Vec<&str> = recipes.map(|recipe| recipe.name).collect();
    let near = demotic_core::nearest(name, names.iter().copied());
    let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    let names = names.join(", ");
    let what = if is_plan { "plan" } else { "recipe" };
    let (verb, those) = if is_plan {
        ("is", "the plan in the program")
    } else {
        ("are", "recipes")
    };
    Some(format!(
        "there is no file or {what} `{name}`; {those} {verb} {names}{near}"
    ))
}

/// The text of a plan of `demotic ablate`: a file's, or that in the program.
pub(crate) fn plan_text(path: &Path) -> Result<String> {
    if let Some(recipe) = Recipe::meant(path, true) {
        return Ok(recipe.text.to_owned());
    }
    if let Some(problem) = meant(path, true) {
        return Err(input(problem));
    }
    std::fs::read_to_string(path).map_err(|e| {
        input(format!(
            "cannot read the ablation ({e}); `demotic configs ablation` prints one to begin with: {}",
            path.display()
        ))
    })
}

/// Settings of a file or a recipe, over these values, with assignments laid over both.
pub(crate) fn settings_over(base: &Config, path: &Path, assignments: &[String]) -> Result<Config> {
    if let Some(recipe) = Recipe::meant(path, false) {
        return Ok(base.resolve_over(Some(recipe.text), assignments)?);
    }
    if let Some(problem) = meant(path, false) {
        return Err(input(problem));
    }
    Ok(base.load_over(path, assignments)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_configs_is_a_recipe_and_every_recipe_says_what_it_is() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs");
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("a file").path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                let name = path.file_stem().expect("a name").to_string_lossy();
                assert!(RECIPES.iter().any(|recipe| recipe.name == name), "{name}");
            }
        }
        for recipe in &RECIPES {
            assert!(recipe.about().len() > 20, "{}", recipe.name);
            if !recipe.is_plan {
                let path = Path::new(recipe.name);
                settings_over(&Config::default(), path, &[]).expect("settings");
            }
        }
    }
}
