//! Whether equal names mean pairs, by what the pictures show; and names that are equal but for their
//! spelling.

use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization as _;

use super::overlap::{overlap, reduced, silhouette};
use crate::number::Real;
use crate::settings::Channels;

/// Fewer pairs than this say nothing.
pub(super) const LEAST_PAIRS: usize = 8;
/// How many standard errors pairs must be more alike than shuffled ones. Shuffled pairs reach it one time in
/// forty.
const LEAST_ERRORS: f64 = 2.0;

/// What is compared of a picture, at 32 px or its own smaller size.
pub(super) struct Look {
    /// `[side, side]`
    silhouette: Vec<bool>,
    /// Differences of brightness along rows and columns, mean 0 and norm 1: `[2 * side * side]`.
    edges: Vec<f32>,
}

impl Look {
    /// `premultiplied`: `[side, side, 4]`.
    pub(super) fn new(premultiplied: &[u8], side: usize, background: [u8; 3]) -> Self {
        let (small, side) = reduced(premultiplied, side);
        let mut grey = vec![0.0; side * side];
        Channels::Grey.write(&small, background, &mut grey);
        let mut edges = Vec::with_capacity(2 * grey.len());
        for y in 0..side {
            for x in 0..side {
                let at = |y: usize, x: usize| grey[y.min(side - 1) * side + x.min(side - 1)];
                let here = at(y, x);
                edges.extend([(at(y, x + 1) - here).abs(), (at(y + 1, x) - here).abs()]);
            }
        }
        let mean = edges.iter().sum::<f32>() / edges.len().to_f32();
        for edge in &mut edges {
            *edge -= mean;
        }
        let norm = edges.iter().map(|edge| edge * edge).sum::<f32>().sqrt();
        // A flat picture has no edges: it is like nothing.
        let scale = if norm > 1e-4 { 1.0 / norm } else { 0.0 };
        for edge in &mut edges {
            *edge *= scale;
        }
        Self {
            silhouette: silhouette(&small, side, background),
            edges,
        }
    }

    /// Intersection over union of the silhouettes.
    pub(super) fn overlap(&self, other: &Self) -> f32 {
        overlap(&self.silhouette, &other.silhouette)
    }

    /// Overlap of silhouettes and correlation of edges, halved: at most 1. Photographs fill their frame and
    /// differ by edges alone.
    fn likeness(&self, other: &Self) -> f64 {
        let edges = self.edges.iter().zip(&other.edges);
        let correlation: f32 = edges.map(|(a, b)| a * b).sum();
        f64::from(f32::midpoint(self.overlap(other), correlation))
    }
}

/// Mean likeness of pairs and of shuffled ones, where pairs are no more alike; `pairs` in the order of their
/// names.
///
/// For each pair, its likeness less the mean likeness to the second pictures a quarter, a half and three
/// quarters of the list away; the mean of that is compared with its standard error.
pub(super) fn no_better_than_shuffled(pairs: &[(Look, Look)]) -> Option<[f64; 2]> {
    let n = pairs.len();
    if n < LEAST_PAIRS {
        return None;
    }
    let (mut own, mut other, mut gains) = (0.0, 0.0, Vec::with_capacity(n));
    for (i, (a, b)) in pairs.iter().enumerate() {
        let shuffled = [n / 4, n / 2, 3 * n / 4].map(|shift| a.likeness(&pairs[(i + shift) % n].1));
        let (paired, shuffled) = (a.likeness(b), shuffled.iter().sum::<f64>() / 3.0);
        own += paired / n.to_f64();
        other += shuffled / n.to_f64();
        gains.push(paired - shuffled);
    }
    let mean = own - other;
    let variance = gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / (n - 1).to_f64();
    let error = (variance / n.to_f64()).sqrt();
    (mean <= LEAST_ERRORS * error + 1e-6).then_some([own, other])
}

/// Whether a name holds digits and nothing that says what the picture shows: `0017`, `img_17`, `IMG-17`.
pub(super) fn is_numbered(name: &str) -> bool {
    let letters: String = name
        .chars()
        .filter(|c| !c.is_ascii_digit() && !matches!(c, '_' | '-' | '.' | ' '))
        .collect();
    let plain = [
        "",
        "img",
        "image",
        "dsc",
        "dscn",
        "dscf",
        "pic",
        "picture",
        "photo",
        "frame",
        "scan",
        "p",
        // Before the names of folders that are laid out by split.
        "train",
        "validation",
        "test",
    ];
    name.bytes().any(|byte| byte.is_ascii_digit())
        && plain.contains(&letters.to_ascii_lowercase().as_str())
}

/// A name in composed Unicode and lower case, its numbers without leading zeros.
fn spelled(name: &str) -> String {
    let mut plain = String::new();
    let mut in_number = false;
    let lower = name.nfc().flat_map(char::to_lowercase).nfc();
    let mut letters = lower.peekable();
    while let Some(letter) = letters.next() {
        let goes_on = letters.peek().is_some_and(char::is_ascii_digit);
        if letter == '0' && !in_number && goes_on {
            continue;
        }
        in_number = letter.is_ascii_digit();
        plain.push(letter);
    }
    plain
}

/// Names of two styles that have no counterpart of the same name, but one that differs by case, Unicode form
/// or zeros alone: how many, and the first.
pub(super) fn near_misses<'a>(
    a: impl Iterator<Item = &'a str>,
    b: impl Iterator<Item = &'a str>,
) -> Option<(usize, [&'a str; 2])> {
    let known: BTreeMap<String, &str> = b.map(|name| (spelled(name), name)).collect();
    let found = a.filter_map(|name| Some([name, *known.get(&spelled(name))?]));
    let found: Vec<[&str; 2]> = found.collect();
    Some((found.len(), *found.first()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A square of some side at some place, filled or hollow, on 16 x 16 transparent pixels.
    fn square(left: usize, top: usize, side: usize, is_filled: bool) -> Look {
        let pixels: Vec<u8> = (0..256)
            .flat_map(|i| {
                let (x, y) = (
                    (i % 16_usize).wrapping_sub(left),
                    (i / 16_usize).wrapping_sub(top),
                );
                let within = x < side && y < side;
                let edge = [x, y].iter().any(|&v| v == 0 || v == side - 1);
                if within && (is_filled || edge) {
                    [9, 9, 9, 255]
                } else {
                    [0; 4]
                }
            })
            .collect();
        Look::new(&pixels, 16, [255; 3])
    }

    #[test]
    fn pairs_are_told_from_shuffled_pictures() {
        let place = |i: usize| (i * 7 % 9, i * 5 % 8, 4 + i * 3 % 4);
        let pairs = |other: &dyn Fn(usize) -> usize| -> Vec<(Look, Look)> {
            (0..24)
                .map(|i| {
                    let ((x, y, side), (u, v, other)) = (place(i), place(other(i)));
                    (square(x, y, side, true), square(u, v, other, false))
                })
                .collect()
        };
        assert_eq!(no_better_than_shuffled(&pairs(&|i| i)), None);
        let [own, other] =
            no_better_than_shuffled(&pairs(&|i| (i * 7 + 11) % 24)).expect("shuffled");
        assert!((own - other).abs() < 0.1, "{own} {other}");
        // A few say nothing.
        let few: Vec<_> = pairs(&|i| (i * 7 + 11) % 24)
            .into_iter()
            .take(LEAST_PAIRS - 1)
            .collect();
        assert_eq!(no_better_than_shuffled(&few), None);
    }

    #[test]
    fn names_are_compared_without_case_form_and_zeros() {
        for (a, b) in [
            ("IMG_05", "img_5"),
            ("cafe\u{301}", "CAF\u{c9}"),
            ("0000", "0"),
            ("a007b010", "A7B10"),
        ] {
            assert_eq!(
                near_misses([a].into_iter(), [b].into_iter()),
                Some((1, [a, b]))
            );
        }
        for (a, b) in [("10", "100"), ("a1", "a2"), ("a", "b")] {
            assert_eq!(near_misses([a].into_iter(), [b].into_iter()), None);
        }
        let numbered = ["0001", "IMG_20", "dsc-3", "17", "train-0001"].map(is_numbered);
        let named = ["cat", "1f600", "cat-2", "route66", "p", ""].map(is_numbered);
        assert!(numbered == [true; 5] && named == [false; 6]);
    }
}
