//! A phrase as text: its tokens, the key that folds its spellings together, its language, the split it
//! belongs to, and the letter groups that phrases are compared by.

use unicode_normalization::UnicodeNormalization;

use crate::data::{Split, split_of_family};

/// Most letters of a phrase that are looked at: a longer text is no phrase.
pub const MAX_PHRASE_CHARS: usize = 200;

/// A piece of a phrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// Letters and digits of a script that puts blanks between words, lower case, without apostrophes.
    Word(String),
    /// One Chinese character.
    Han(char),
    /// A sign that is neither letter nor punctuation: an emoji, an arrow, a heart.
    Sign(char),
}

/// The tokens of a phrase after NFKC and lower case; punctuation, blanks, joiners and skin tones are dropped.
pub fn tokens(phrase: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    let normal = phrase.nfkc().flat_map(char::to_lowercase);
    for letter in normal.take(MAX_PHRASE_CHARS) {
        let is_in_word = letter.is_alphanumeric() && !is_han(letter);
        if is_in_word || is_mark(letter) && !word.is_empty() {
            word.push(letter);
            continue;
        }
        // An apostrophe joins: `don't` is one word.
        if matches!(letter, '\'' | '\u{2019}') && !word.is_empty() {
            continue;
        }
        if !word.is_empty() {
            tokens.push(Token::Word(std::mem::take(&mut word)));
        }
        if is_han(letter) {
            tokens.push(Token::Han(letter));
        } else if is_sign(letter) {
            tokens.push(Token::Sign(letter));
        }
    }
    if !word.is_empty() {
        tokens.push(Token::Word(word));
    }
    tokens
}

/// What all spellings of a phrase share: its words stemmed, its characters, without blanks and signs. Empty
/// where a phrase has neither.
pub(crate) fn fold(phrase: &str) -> String {
    let mut folded = String::new();
    for token in tokens(phrase) {
        match token {
            Token::Word(word) => folded.push_str(&stem(&word)),
            Token::Han(letter) => folded.push(letter),
            Token::Sign(_) => {}
        }
    }
    folded
}

/// The split of a folded phrase, for every idea that has it: apart from the split of pictures.
pub(super) fn split_of_phrase(folded: &str) -> Split {
    split_of_family(&format!("phrase:{folded}"))
}

/// The stem of an English word, by its plural alone.
///
/// # Source
/// Harman 1991, *How Effective Is Suffixing?*, the S stemmer.
pub(super) fn stem(word: &str) -> String {
    let ends = |tail: &str| word.ends_with(tail);
    let cut = |count: usize| &word[..word.len() - count];
    if word.len() <= 3 || !word.is_ascii() {
        return word.to_owned();
    }
    if ends("ies") && !ends("eies") && !ends("aies") {
        return format!("{}y", cut(3));
    }
    if ends("es") && !ends("aes") && !ends("ees") && !ends("oes") {
        return cut(1).to_owned();
    }
    if ends("s") && !ends("us") && !ends("ss") {
        return cut(1).to_owned();
    }
    word.to_owned()
}

/// The line, from 1, that a byte of a text stands on.
pub(super) fn line_of(bytes: &[u8], at: usize) -> usize {
    bytes[..at].split(|byte| *byte == b'\n').count()
}

/// The letter groups of a phrase, with repetition: a word's stem, the groups of two to five letters of
/// `<stem>`; characters alone, in twos and in threes; signs.
pub(super) fn grams(phrase: &str) -> Vec<String> {
    let mut grams = Vec::new();
    let mut run: Vec<char> = Vec::new();
    let tokens = tokens(phrase);
    let mut before: Option<String> = None;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Word(word) => {
                let stem = stem(word);
                let letters: Vec<char> = format!("<{stem}>").chars().collect();
                for length in WORD_GRAMS {
                    grams.extend(letters.windows(length).map(|group| group.iter().collect()));
                }
                if let Some(before) = &before {
                    grams.push(format!("{before} {stem}"));
                }
                grams.push(format!("={stem}"));
                before = Some(stem);
            }
            Token::Han(letter) => run.push(*letter),
            Token::Sign(letter) => grams.push(letter.to_string()),
        }
        let is_end = !matches!(tokens.get(at + 1), Some(Token::Han(_)));
        if is_end && !run.is_empty() {
            for length in 1..=3 {
                grams.extend(
                    run.windows(length)
                        .map(|group| group.iter().collect::<String>()),
                );
            }
            run.clear();
        }
        if !matches!(token, Token::Word(_)) {
            before = None;
        }
    }
    grams
}

/// Whether one of the [`grams`] is a whole word, character or sign.
pub(super) fn is_whole(gram: &str) -> bool {
    gram.starts_with('=') || gram.chars().count() == 1
}

/// Lengths of the letter groups of a word.
const WORD_GRAMS: std::ops::RangeInclusive<usize> = 3..=5;

/// True for a Chinese character.
pub(super) fn is_han(letter: char) -> bool {
    matches!(letter, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}' | '々')
}

/// True for signs that combine with the letter before them.
fn is_mark(letter: char) -> bool {
    unicode_normalization::char::is_combining_mark(letter)
}

/// True for emoji and their like: not a blank, a control, punctuation, a joiner, a variation selector or a
/// skin tone.
fn is_sign(letter: char) -> bool {
    matches!(letter, '\u{a9}' | '\u{ae}' | '\u{2122}' | '\u{2139}' | '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}')
        && !matches!(letter, '\u{1f3fb}'..='\u{1f3ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_phrase_fold_together_and_others_do_not() {
        let same = [
            "So tired!",
            "so  tired",
            "SO-TIRED",
            "ｓｏ ｔｉｒｅｄ",
            "so tired 😴",
        ];
        for phrase in same {
            assert_eq!(fold(phrase), "sotired", "{phrase}");
        }
        assert_eq!(fold("Don't cries"), fold("dont cry"));
        assert_eq!(fold("party hats"), fold("party hat"));
        assert_ne!(fold("glass"), fold("gla"));
        assert_eq!(fold("笑死 我了！"), "笑死我了");
        assert_eq!(fold(":-) ✨"), "");
    }

    #[test]
    fn the_stemmer_takes_plurals_off_and_nothing_else() {
        for (word, expected) in [
            ("skies", "sky"),
            ("horses", "horse"),
            ("cats", "cat"),
            ("glass", "glass"),
            ("bus", "bus"),
            ("toes", "toe"),
            ("tired", "tired"),
            ("is", "is"),
        ] {
            assert_eq!(stem(word), expected);
        }
    }

    #[test]
    fn tokens_are_words_characters_and_signs_of_any_script() {
        let word = |text: &str| Token::Word(text.to_owned());
        assert_eq!(
            tokens("OMG笑死👍🏽, שלום"),
            [
                word("omg"),
                Token::Han('笑'),
                Token::Han('死'),
                Token::Sign('👍'),
                word("שלום")
            ]
        );
        assert_eq!(tokens("\u{202e}\u{200f} \0\u{fe0f}"), []);
        assert_eq!(
            tokens(&"a".repeat(10_000)),
            [word(&"a".repeat(MAX_PHRASE_CHARS))]
        );
    }

    #[test]
    fn letter_groups_do_not_cross_words() {
        let groups = grams("ab 笑死了");
        for expected in ["<ab>", "=ab", "笑", "死了", "笑死了"] {
            assert!(
                groups.iter().any(|gram| gram == expected),
                "{expected}: {groups:?}"
            );
        }
        assert!(
            !groups
                .iter()
                .any(|gram| gram.contains('b') && gram.contains('笑'))
        );
        let whole: Vec<&String> = groups.iter().filter(|gram| is_whole(gram)).collect();
        assert_eq!(whole, ["=ab", "笑", "死", "了"]);
    }
}
