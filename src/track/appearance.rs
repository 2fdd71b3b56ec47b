//! What a cosine similarity is worth.
//!
//! Embedders differ: one gives 0.9 for the same person and 0.5 for another, the next 0.95 and 0.9. So the tracker watches
//! both kinds of pairs while it runs, those it is sure of and those in one frame, which cannot be one object, and weighs
//! a similarity by how well it tells them apart. An embedder that tells nothing gets no say. After the idea of adaptive
//! weighting in Maggiolino et al. 2023 (Deep OC-SORT); differs: weights come from statistics of the stream, not from the
//! gap between the two best matches of a frame.

use super::{Observations, gallery::inverse_norm, input::Candidate};
use crate::embed::Embedding;

/// Pairs of each kind before anything is believed.
const LEAST_PAIRS: f32 = 30.0;
/// Pairs over which statistics are taken; older ones fade.
const MEMORY_PAIRS: f32 = 1000.0;
/// Log-likelihood ratio that counts as certainty, so that one look never outweighs everything.
const CERTAINTY: f32 = 4.0;
/// Least variance, so that frozen pictures do not divide by zero.
const LEAST_VARIANCE: f32 = 1e-4;

/// Mean and variance of a stream of numbers, fading.
#[derive(Clone, Copy, Debug, Default)]
struct Statistics {
    count: f32,
    mean: f32,
    variance: f32,
}

impl Statistics {
    fn add(&mut self, value: f32) {
        self.count = (self.count + 1.0).min(MEMORY_PAIRS);
        let share = 1.0 / self.count;
        let off = value - self.mean;
        self.mean += share * off;
        self.variance = (1.0 - share) * (self.variance + share * off * off);
    }
}

/// Similarities of pairs known to be one object and of pairs known to be two.
#[derive(Clone, Debug, Default)]
pub(super) struct Calibration {
    same: Statistics,
    different: Statistics,
}

impl Calibration {
    /// A pair that is surely one object had this cosine similarity.
    pub fn add_same(&mut self, cosine: f32) {
        self.same.add(cosine);
    }

    /// A pair that cannot be one object had this cosine similarity.
    pub fn add_different(&mut self, cosine: f32) {
        self.different.add(cosine);
    }

    /// What a similarity says: 1 surely one object, -1 surely two, 0 nothing.
    ///
    /// The log-likelihood ratio of two normal distributions of one (pooled) variance, cut at certainty.
    pub fn evidence(&self, cosine: f32) -> f32 {
        let Self { same, different } = self;
        let apart = same.mean - different.mean;
        if same.count < LEAST_PAIRS || different.count < LEAST_PAIRS || apart <= 0.0 {
            return 0.0;
        }
        let variance = ((same.variance + different.variance) / 2.0).max(LEAST_VARIANCE);
        let ratio = apart / variance * (cosine - (same.mean + different.mean) / 2.0);
        (ratio / CERTAINTY).clamp(-1.0, 1.0)
    }
}

/// An embedding of a detection that can be compared: not empty, finite, with a direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look<'a> {
    pub embedding: &'a Embedding,
    pub inverse_norm: f32,
}

/// The appearance of a frame's candidates, in their order.
#[derive(Debug, Default)]
pub(super) struct Looks {
    inverse_norms: Vec<Option<f32>>,
}

impl Looks {
    /// Checks every candidate's embedding once.
    pub fn read(&mut self, seen: &Observations<'_>, candidates: &[Candidate]) {
        self.inverse_norms.clear();
        if !seen.embeddings.is_empty() {
            let norm = |c: &Candidate| seen.embeddings.get(c.index).and_then(Option::as_ref).and_then(inverse_norm);
            self.inverse_norms.extend(candidates.iter().map(norm));
        }
    }

    /// Whether no candidate has one.
    pub fn is_empty(&self) -> bool {
        self.inverse_norms.is_empty()
    }

    /// The look of candidate number `place`.
    pub fn of<'a>(&self, place: usize, candidate: &Candidate, seen: &Observations<'a>) -> Option<Look<'a>> {
        let inverse_norm = (*self.inverse_norms.get(place)?)?;
        let embedding = seen.embeddings.get(candidate.index)?.as_ref()?;
        Some(Look { embedding, inverse_norm })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibrated(same: [f32; 2], different: [f32; 2]) -> Calibration {
        let mut calibration = Calibration::default();
        for i in 0..100 {
            calibration.add_same(same[i % 2]);
            calibration.add_different(different[i % 2]);
        }
        calibration
    }

    #[test]
    fn evidence_follows_how_well_the_embedder_tells_objects_apart() {
        let good = calibrated([0.9, 0.8], [0.4, 0.3]);
        assert_eq!((good.evidence(0.9), good.evidence(0.3)), (1.0, -1.0));
        assert!(good.evidence(0.6).abs() < 0.01);
        let poor = calibrated([0.9, 0.5], [0.88, 0.48]);
        assert!(poor.evidence(1.0).abs() < 0.1 && poor.evidence(0.0).abs() < 0.2);
        let useless = calibrated([0.5, 0.4], [0.9, 0.8]);
        assert_eq!(useless.evidence(0.9), 0.0);
    }

    #[test]
    fn nothing_is_believed_before_enough_was_seen() {
        assert_eq!(Calibration::default().evidence(1.0), 0.0);
    }

    #[test]
    fn identical_pictures_do_not_divide_by_zero() {
        let frozen = calibrated([1.0, 1.0], [0.5, 0.5]);
        assert_eq!((frozen.evidence(1.0), frozen.evidence(0.5)), (1.0, -1.0));
    }
}
