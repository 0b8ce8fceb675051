//! What the reader learns from: the built-in drawings, as the frozen eyes look at them.

use rayon::prelude::*;

use super::fit::{Blend, Retrieval, fitted};
use super::gallery::{Gallery, SHARPNESS};
use super::table::Phrases;
use crate::data::{DataError, Split, split_of_family};

/// Weights of the reader's log-probability, and nats for a similarity of 1, that are tried: drawings always
/// count, since one that is known must be found again.
const READER: [f32; 6] = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
const DRAWINGS: [f32; 5] = [4.0, 6.0, 8.0, 10.0, 14.0];

/// Looks and the ideas that they show.
#[derive(Debug)]
pub(super) struct Looks {
    pub(super) training: Gallery,
    /// A tenth of the drawings: most show an idea whose other drawings are learnt.
    pub(super) held_out: Vec<(usize, Vec<f32>)>,
}

impl Looks {
    /// `held_out`: which tenth is held out, validation or test; the other one is left out.
    pub(super) fn built_in(table: &Phrases, held_out: Split) -> Result<Self, DataError> {
        let (training, others) = Gallery::built_in(table)?.split(|idea, number| {
            let key = &table.ideas()[idea].key;
            split_of_family(&format!("drawing:{key}:{number}"))
        });
        let of_split = others.into_iter().filter(|(split, ..)| *split == held_out);
        Ok(Self {
            training,
            held_out: of_split.map(|(_, idea, look)| (idea, look)).collect(),
        })
    }

    /// All held-out looks, one after the other.
    pub(super) fn held_out_looks(&self) -> Vec<f32> {
        let looks = self.held_out.iter();
        looks.flat_map(|(_, look)| look.iter().copied()).collect()
    }

    /// The idea of each held-out look.
    fn right(&self) -> Vec<&[usize]> {
        let held_out = self.held_out.iter();
        held_out
            .map(|(idea, _)| std::slice::from_ref(idea))
            .collect()
    }

    /// Similarities of each held-out look to the training drawings.
    fn similarities(&self) -> Vec<Vec<f32>> {
        let looks = self.held_out.par_iter();
        looks
            .map(|(_, look)| self.training.similarities(look))
            .collect()
    }

    /// How well log-probabilities, a row of `ideas` a held-out look, find their ideas.
    pub(super) fn retrieval(&self, log_probs: &[f32], ideas: usize) -> Option<Retrieval> {
        let rows = log_probs.chunks_exact(ideas);
        Retrieval::of(rows.zip(self.right()))
    }

    /// How well the training drawings find their ideas.
    pub(super) fn retrieval_by_drawings(&self) -> Option<Retrieval> {
        let scaled = |row: Vec<f32>| -> Vec<f32> { row.iter().map(|s| SHARPNESS * s).collect() };
        let rows: Vec<Vec<f32>> = self.similarities().into_iter().map(scaled).collect();
        Retrieval::of(rows.iter().map(Vec::as_slice).zip(self.right()))
    }

    /// What the reader's log-probabilities and the drawings are worth beside each other, and how well both
    /// together find the ideas of the held-out looks.
    pub(super) fn fitted(&self, log_probs: &[f32], ideas: usize) -> Option<(Blend, Retrieval)> {
        let rows: Vec<&[f32]> = log_probs.chunks_exact(ideas).collect();
        fitted(
            &rows,
            &self.similarities(),
            &self.right(),
            &READER,
            &DRAWINGS,
        )
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
        let test = Looks::built_in(&table, Split::Test).expect("it is whole");
        let looks = Looks::built_in(&table, Split::Validation).expect("it is whole");
        let [a, b] = [&test, &looks].map(|looks| looks.held_out.len());
        assert_eq!(looks.training.len() + a + b, 6 * ideas);
        for count in [a, b] {
            assert!((6 * ideas / 20..6 * ideas / 5).contains(&count), "{count}");
        }
        assert_eq!(looks.held_out_looks().len(), looks.held_out.len() * KEPT);
        for (idea, look) in &looks.held_out {
            let is_known = (0..looks.training.len()).any(|at| looks.training.drawing(at).1 == look);
            assert!(!is_known, "{idea}");
        }
        let retrieval = looks.retrieval_by_drawings().expect("there are some");
        assert!(
            retrieval.first > 0.5 && retrieval.five >= retrieval.first,
            "{retrieval:?}"
        );
        // A reader that is always right, and one that knows nothing.
        let ln = |is_right: bool| if is_right { 0.0 } else { -9.0 };
        let knows = |looks: &Looks| -> Vec<f32> {
            let rows = looks.held_out.iter();
            rows.flat_map(|(own, _)| (0..ideas).map(move |idea| ln(idea == *own)))
                .collect()
        };
        let (blend, retrieval) = looks.fitted(&knows(&looks), ideas).expect("some");
        assert!(
            retrieval.first == 1.0 && blend.network > 0.0,
            "{blend:?} {retrieval:?}"
        );
        let nothing = vec![-(ideas as f32).ln(); looks.held_out.len() * ideas];
        let (blend, retrieval) = looks.fitted(&nothing, ideas).expect("some");
        let alone = looks.retrieval_by_drawings().expect("some");
        assert!(
            blend.recall > 0.0 && retrieval.first == alone.first,
            "{blend:?}"
        );
    }
}
