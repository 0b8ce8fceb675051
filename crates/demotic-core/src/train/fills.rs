//! How much of the square the drawings of each style take up: a margin that one style has and another has
//! not becomes a sign of the style.

use std::fmt;

use crate::data::{Augmentation, Dataset};

/// Drawings that are so many times as large as another style's leave its canvas as a sign of the style.
const DIFFER: f32 = 1.15;
/// `augment.scale_max` times `augment.affine_prob` from which on every style is seen at many sizes.
const SCALED: f32 = 0.2;

/// Two styles and the share of the square's side that their drawings take up.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fills {
    small: (String, f32),
    large: (String, f32),
}

impl Fills {
    /// The styles that fill the square least and most, where that differs and training shows them at their
    /// own size alone.
    pub(crate) fn differ(augment: &Augmentation, dataset: &Dataset) -> Option<Self> {
        if augment.scale_max * augment.affine_prob >= SCALED {
            return None;
        }
        let names = dataset.styles().iter().map(|style| style.name.clone());
        let fills: Vec<(String, f32)> = names.zip(dataset.fills()).collect();
        let small = fills.iter().min_by(|a, b| a.1.total_cmp(&b.1))?.clone();
        let large = fills.iter().max_by(|a, b| a.1.total_cmp(&b.1))?.clone();
        (small.1 > 0.0 && large.1 / small.1 > DIFFER).then_some(Self { small, large })
    }
}

impl fmt::Display for Fills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [(small, least), (large, most)] = [&self.small, &self.large];
        write!(
            f,
            "{small} fills {:.0} % of the square's side, {large} {:.0} %",
            100.0 * least,
            100.0 * most
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::CachePolicy;
    use crate::settings::Config;
    use crate::train::inputs::Feed;

    #[test]
    fn styles_that_fill_the_square_differently_have_their_canvas_held() {
        let held = |styles: &str, sets: &[&str]| {
            let fixed = format!("data.styles={styles}");
            let sets = sets.iter().map(|set| (*set).to_owned());
            let sets: Vec<String> = std::iter::once(fixed).chain(sets).collect();
            let config = Config::resolve(None, &sets).expect("a configuration of this file");
            let options = config.data.options(CachePolicy::Platform).expect("options");
            let dataset = Dataset::load(&config.data.source, &options).expect("the emoji");
            let feed = Feed::new(&config, &dataset).expect("a feed");
            (feed.fills().map(ToString::to_string), feed.canvas_weight())
        };
        // OpenMoji has a margin around its drawings, Twemoji has none: .78 and .99 by another program.
        let differing = "openmoji-line,twemoji";
        let (named, weight) = held(differing, &[]);
        assert_eq!(
            named.as_deref(),
            Some("openmoji-line fills 78 % of the square's side, twemoji 99 %")
        );
        assert_eq!(weight, 2.0);
        assert_eq!(held("openmoji-line,openmoji", &[]), (None, 0.0));
        let scaled = ["augment.scale_max=0.4", "augment.affine_prob=0.8"];
        assert_eq!(held(differing, &scaled), (None, 0.0));
        // Shapes may move, or the user has said what it weighs.
        assert_eq!(held(differing, &["generator.filter=off"]).1, 0.0);
        assert_eq!(held(differing, &["loss.canvas=0"]).1, 0.0);
        assert_eq!(held("openmoji-line,openmoji", &["loss.canvas=0.5"]).1, 0.5);
    }
}
