//! One declaration a key: the macros that turn `keys.rs` into structs, defaults, checks and the tables of
//! `configs/README.md`, and the words that `keys.rs` is written in.

use std::fmt::Display;

/// Declares a configuration: its structs, their defaults, and `keys()`, from which checks and tables follow.
///
/// A key is `/// meaning`, then `name: type = default, range`, and `, only condition` where it has an effect
/// only with certain values of others.
macro_rules! settings {
    (@table [$($docs:tt)+] $table:ident {$([$($doc:tt)+] $key:ident: $type:ty = $default:expr;)*}) => {
        $($docs)+
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $table {$($($doc)+ pub $key: $type,)*}

        impl Default for $table {
            fn default() -> Self {
                Self {$($key: $default,)*}
            }
        }
    };
    (
        $(#[doc = $whole:literal])+
        $config:ident {$(
            $(#[doc = $root_doc:literal])+
            $root:ident: $root_type:ty = $root_default:expr, $root_range:expr;
        )*}
        $(
            $(#[doc = $about:literal])+
            $section:ident: $table:ident {$(
                $(#[doc = $doc:literal])+
                $key:ident: $type:ty = $default:expr, $range:expr $(, only $condition:expr)?;
            )*}
        )*
    ) => {
        settings!(@table [$(#[doc = $whole])+] $config {
            $([$(#[doc = $root_doc])+] $root: $root_type = $root_default;)*
            $([$(#[doc = $about])+] $section: $table = $table::default();)*
        });
        $(settings!(@table [$(#[doc = $about])+] $table {
            $([$(#[doc = $doc])+] $key: $type = $default;)*
        });)*

        /// Every section, with what it is about.
        pub(super) const SECTIONS: &[(&str, &str)] =
            &[$((stringify!($section), concat!($($about),+)),)*];

        /// Every key, in the order of the structs.
        pub(super) fn keys() -> Vec<Key> {
            vec![
                $(Key::new(
                    stringify!($root),
                    concat!($($root_doc),+),
                    $root_range,
                    None,
                    |config| &config.$root,
                ),)*
                $($(Key::new(
                    concat!(stringify!($section), ".", stringify!($key)),
                    concat!($($doc),+),
                    $range,
                    None$(.or(Some($condition)))?,
                    |config| &config.$section.$key,
                ),)*)*
            ]
        }
    };
}

/// Declares an enumeration of words: each variant with its documentation and its word in a file.
macro_rules! choices {
    ($(#[$about:meta])+ $name:ident {$($(#[$doc:meta])+ $variant:ident = $word:literal,)+}) => {
        $(#[$about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum $name {$($(#[$doc])+ #[serde(rename = $word)] $variant,)+}

        impl $name {
            pub(super) const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word for it in a configuration.
            pub const fn name(self) -> &'static str {
                match self {$(Self::$variant => $word,)+}
            }
        }
    };
}

pub(super) use {choices, settings};

/// What there is to say against a value; nothing where it is right.
type Says<T> = Box<dyn Fn(&T) -> Option<String>>;

/// A key of a configuration `C`, as checks and tables see it.
pub(super) struct Key<C> {
    /// With its section: `train.steps`.
    pub(super) name: &'static str,
    /// Its documentation on one line.
    pub(super) meaning: &'static str,
    /// The values it takes, as the tables have them.
    pub(super) range: String,
    /// Whether a word and a number can both be read.
    pub(super) is_word_or_number: bool,
    /// What must be set for it to have an effect.
    pub(super) condition: Option<Condition<C>>,
    /// The message for a value out of range.
    out_of_range: Says<C>,
    is_default: Box<dyn Fn(&C) -> bool>,
}

impl<C: Default + 'static> Key<C> {
    pub(super) fn new<T: PartialEq + 'static>(
        name: &'static str,
        meaning: &'static str,
        range: Range<T>,
        condition: Option<Condition<C>>,
        value: fn(&C) -> &T,
    ) -> Self {
        let Range {
            text,
            outside,
            is_word_or_number,
        } = range;
        let expected = text.clone();
        Self {
            name,
            meaning: meaning.trim(),
            range: text,
            is_word_or_number,
            condition,
            out_of_range: Box::new(move |config| {
                let got = outside(value(config))?;
                Some(format!("{name}: expected {expected}, got {got}"))
            }),
            is_default: Box::new(move |config| value(config) == value(&C::default())),
        }
    }

    /// What is wrong with the key's own value.
    pub(super) fn out_of_range(&self, config: &C) -> Option<String> {
        (self.out_of_range)(config)
    }

    /// What is wrong where the key is set and the others leave it without effect: only its default passes
    /// then.
    pub(super) fn without_effect(&self, config: &C) -> Option<String> {
        let Condition { needs, holds } = self.condition.as_ref()?;
        let passes = holds(config) || (self.is_default)(config);
        (!passes).then(|| {
            let name = self.name;
            format!("{name}: this has an effect with {needs} only; leave it out")
        })
    }
}

/// What must be set for a key to have an effect.
pub(super) struct Condition<C> {
    /// In the user's words: `discriminator.head = crf`.
    pub(super) needs: &'static str,
    holds: fn(&C) -> bool,
}

/// A key counts where `holds`; `needs` says so to the user.
pub(super) const fn with<C>(needs: &'static str, holds: fn(&C) -> bool) -> Condition<C> {
    Condition { needs, holds }
}

/// The values that a key takes.
pub(super) struct Range<T> {
    /// What a message expects.
    text: String,
    /// The value as a message shows it, where it is none of them.
    outside: Says<T>,
    is_word_or_number: bool,
}

impl<T: Display> Range<T> {
    fn checked(text: String, holds: impl Fn(&T) -> bool + 'static) -> Self {
        let outside = Box::new(move |value: &T| (!holds(value)).then(|| value.to_string()));
        Self {
            text,
            outside,
            is_word_or_number: false,
        }
    }
}

/// Values that the type, its reader or `Config::conflicts` checks.
pub(super) fn described<T>(text: impl Into<String>) -> Range<T> {
    Range {
        text: text.into(),
        outside: Box::new(|_| None),
        is_word_or_number: false,
    }
}

/// A count that may be zero.
pub(super) fn count<T>() -> Range<T> {
    described("0 or more")
}

/// True or false.
pub(super) fn switch() -> Range<bool> {
    described("`true`, `false`")
}

/// The words of a choice.
pub(super) fn words<T>(words: &[&str]) -> Range<T> {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    described(quoted.join(", "))
}

/// Some words, or numbers of a range.
pub(super) fn words_or<T>(some: &[&str], numbers: &str) -> Range<T> {
    let Range { text, outside, .. } = words(some);
    Range {
        text: format!("{text}, {numbers}"),
        outside,
        is_word_or_number: true,
    }
}

/// `low` to `high`, both included.
pub(super) fn between<T: PartialOrd + Display + 'static>(low: T, high: T) -> Range<T> {
    Range::checked(format!("{low} to {high}"), move |value| {
        (&low..=&high).contains(&value)
    })
}

/// `low` or more.
pub(super) fn at_least<T: PartialOrd + Display + 'static>(low: T) -> Range<T> {
    Range::checked(format!("at least {low}"), move |value| *value >= low)
}

/// A number of 0 or more that is not infinite.
pub(super) fn not_negative() -> Range<f32> {
    Range::checked("0 or more".into(), |value: &f32| {
        *value >= 0.0 && value.is_finite()
    })
}

/// A number above 0 that is not infinite.
pub(super) fn positive() -> Range<f32> {
    Range::checked("more than 0".into(), |value: &f32| {
        *value > 0.0 && value.is_finite()
    })
}

/// Multiples of `of` from `low` to `high`.
pub(super) fn multiple(of: u32, low: u32, high: u32) -> Range<u32> {
    Range::checked(
        format!("a multiple of {of} from {low} to {high}"),
        move |value: &u32| value.is_multiple_of(of) && (low..=high).contains(value),
    )
}

/// One of three numbers.
pub(super) fn one_of(values: [usize; 3]) -> Range<usize> {
    let [first, second, third] = values;
    Range::checked(format!("{first}, {second} or {third}"), move |value| {
        values.contains(value)
    })
}
