//! What the reader learns from: the built-in drawings, as the frozen eyes look at them.

use std::collections::BTreeMap;

use super::eyes::product;
use super::fit::Told;
use super::gallery::Gallery;
use super::table::Phrases;
use crate::data::{DataError, Split, split_of_family};

/// Sharpness of probabilities by the most similar drawing, in cosines.
const SHARPNESS: f32 = 20.0;

/// Looks and the ideas that they show.
#[derive(Debug)]
pub(super) struct Looks {
    pub(super) training: Vec<(usize, Vec<f32>)>,
    /// A tenth of the drawings: each shows an idea whose other drawings are learnt.
    pub(super) held_out: Vec<(usize, Vec<f32>)>,
}

impl Looks {
    pub(super) fn built_in(table: &Phrases) -> Result<Self, DataError> {
        let gallery = Gallery::built_in(table)?;
        let mut drawings: BTreeMap<usize, usize> = BTreeMap::new();
        let (mut training, mut held_out) = (Vec::new(), Vec::new());
        for (idea, look) in gallery.looks() {
            let number = drawings.entry(idea).or_default();
            let name = format!("drawing:{}:{number}", table.ideas()[idea].key);
            *number += 1;
            let of = if split_of_family(&name) == Split::Validation {
                &mut held_out
            } else {
                &mut training
            };
            of.push((idea, look.to_vec()));
        }
        Ok(Self { training, held_out })
    }

    /// All held-out looks, one after the other.
    pub(super) fn held_out_looks(&self) -> Vec<f32> {
        let looks = self.held_out.iter();
        looks.flat_map(|(_, look)| look.iter().copied()).collect()
    }

    /// How well scores over ideas, a row a held-out look, tell them.
    pub(super) fn told(&self, scores: &[f32], ideas: usize) -> Option<Told> {
        let right = self.held_out.iter();
        let right = right.map(|(idea, _)| std::slice::from_ref(idea));
        Told::of(scores.chunks_exact(ideas).zip(right))
    }

    /// How well the most similar training drawing tells them.
    pub(super) fn told_by_nearest(&self, ideas: usize) -> Option<Told> {
        let mut scores = Vec::new();
        for (_, look) in &self.held_out {
            let mut best = vec![-SHARPNESS; ideas];
            for (idea, other) in &self.training {
                let cosine = SHARPNESS * product(look, other) as f32;
                best[*idea] = best[*idea].max(cosine);
            }
            scores.extend(best);
        }
        self.told(&scores, ideas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phrase::eyes::KEPT;

    #[test]
    fn a_tenth_of_the_drawings_is_held_out_and_told_by_the_others() {
        let ideas = super::super::emoji_ideas().expect("built in");
        let some: Vec<_> = ideas.into_iter().step_by(20).collect();
        let table = Phrases::of_ideas(some);
        let ideas = table.ideas().len();
        let looks = Looks::built_in(&table).expect("it is whole");
        let all = looks.training.len() + looks.held_out.len();
        assert_eq!(all, 6 * ideas);
        assert!((all / 20..all / 5).contains(&looks.held_out.len()));
        assert_eq!(looks.held_out_looks().len(), looks.held_out.len() * KEPT);
        let told = looks.told_by_nearest(ideas).expect("there are some");
        assert!(told.first > 0.5 && told.five >= told.first, "{told:?}");
    }
}
