//! The figures of a set of translations, one row each. Means, intervals, screen, JSON and page go through
//! this table; `Rows::spreads` in `evaluation.rs` computes each.

use serde::{Deserialize, Serialize};

use super::interval::{Estimate, Spread};

/// How a figure is stored and shown.
pub(crate) struct Measure {
    /// Its key in JSON.
    pub(crate) key: &'static str,
    /// Its name on the screen.
    pub(crate) name: &'static str,
    /// Its name on the page.
    pub(crate) title: &'static str,
    /// Digits behind the point there.
    pub(crate) digits: usize,
    pub(crate) is_lower_better: bool,
}

/// Declares the figures, one line each: documentation, key, name, title, digits, which way is better. Every
/// method has those of the first group; those of the second may be missing.
macro_rules! figures {
    (
        always { $($(#[$doc:meta])+ $figure:ident = $name:literal, $title:literal, $digits:literal, $better:ident;)+ }
        sometimes { $($(#[$some_doc:meta])+ $some:ident = $some_name:literal, $some_title:literal, $some_digits:literal, $some_better:ident;)+ }
    ) => {
        /// Figures of one method, each with its 95 % interval over families.
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Measured {
            $($(#[$doc])+ pub $figure: Estimate,)+
            $($(#[$some_doc])+ pub $some: Option<Estimate>,)+
        }

        /// [`Measured`] before its intervals are taken.
        pub(super) struct Spreads {
            $(pub(super) $figure: Spread,)+
            $(pub(super) $some: Option<Spread>,)+
        }

        impl Spreads {
            pub(super) fn measured(&self) -> Measured {
                Measured {
                    $($figure: self.$figure.estimate(),)+
                    $($some: self.$some.as_ref().map(Spread::estimate),)+
                }
            }

            /// The mean of each; of nothing, or where one has no such figure, none.
            pub(super) fn mean(of: &[&Self]) -> Option<Self> {
                let mean = |figure: fn(&Self) -> Option<&Spread>| {
                    let all: Option<Vec<&Spread>> = of.iter().map(|spreads| figure(spreads)).collect();
                    Spread::mean(&all?)
                };
                Some(Self {
                    $($figure: mean(|spreads| Some(&spreads.$figure))?,)+
                    $($some: mean(|spreads| spreads.$some.as_ref()),)+
                })
            }
        }

        impl Measured {
            /// In the order of [`FIGURES`].
            pub(super) fn row(self) -> [Option<Estimate>; FIGURES.len()] {
                [$(Some(self.$figure),)+ $(self.$some,)+]
            }
        }

        /// All of them, in the order of the screen.
        pub(crate) const FIGURES: [Measure; [$($digits,)+ $($some_digits,)+].len()] = [
            $(figures!(measure $figure, $name, $title, $digits, $better),)+
            $(figures!(measure $some, $some_name, $some_title, $some_digits, $some_better),)+
        ];
    };
    (measure $key:ident, $name:literal, $title:literal, $digits:literal, $better:ident) => {
        Measure {
            key: stringify!($key),
            name: $name,
            title: $title,
            digits: $digits,
            is_lower_better: figures!($better),
        }
    };
    (lower) => { true };
    (higher) => { false };
}

figures! {
    always {
        /// Mean absolute difference, 0 to 1; lower is better.
        l1 = "l1", "L1, mean absolute difference", 4, lower;
        /// Peak signal-to-noise ratio in dB; higher is better.
        psnr = "psnr", "PSNR in dB", 2, higher;
        /// Structural similarity, at most 1; higher is better.
        ssim = "ssim", "SSIM, structural similarity", 4, higher;
        /// Perceptual distance, 0 (alike) to 16; lower is better.
        perceptual = "perceptual", "Perceptual distance", 3, lower;
    }
    sometimes {
        /// Kernel distance of the two sets; lower is better, 0 or a little below for sets of one
        /// distribution. `None` (`null`) of fewer than [`super::LEAST_SET`] pictures.
        kid = "kid x1000", "KID x 1000", 1, lower;
        /// Mean absolute difference of transparency, 0 to 1; lower is better. Absent where networks draw none
        /// (those of [`Channels::Rgba`](crate::data::Channels::Rgba) do), and of methods that have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alpha_l1 = "alpha_l1", "L1 of transparency", 4, lower;
    }
}

/// What the screen calls the figure of a key; the key, of one that is not in the table.
pub(crate) fn name_of(key: &'static str) -> &'static str {
    let figure = FIGURES.iter().find(|figure| figure.key == key);
    figure.map_or(key, |figure| figure.name)
}

/// Whether a figure of that key is better the lower it is; `None` of one that is not in the table.
pub(crate) fn is_lower_better(key: &str) -> Option<bool> {
    let figure = FIGURES.iter().find(|figure| figure.key == key)?;
    Some(figure.is_lower_better)
}
