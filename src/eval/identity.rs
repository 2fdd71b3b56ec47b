//! Identity: how many boxes carry the right name, under the one best naming of all tracks, at one IoU threshold.
//!
//! Source: Ristani et al. 2016, "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking". Equal to
//! TrackEval's `Identity`. There the assignment has a stand-in row and column for every track, to leave it unnamed; as
//! that costs exactly the boxes left over, the best naming is the one with most boxes in common, which needs neither.

use super::{assignment::minimum_cost_pairs, sequence::Sequence};
use ndarray::Array2;
use serde::Serialize;
use std::collections::BTreeMap;

/// Identity scores, 0..=1. Serialized under TrackEval's names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IdentityScores {
    /// F1 of the next two.
    #[serde(rename = "IDF1")]
    pub idf1: f64,
    /// Share of truth boxes that carry the right name.
    #[serde(rename = "IDR")]
    pub recall: f64,
    /// Share of result boxes that carry the right name.
    #[serde(rename = "IDP")]
    pub precision: f64,
    /// Boxes that carry the right name.
    #[serde(rename = "IDTP")]
    pub true_positives: u64,
    /// Other truth boxes.
    #[serde(rename = "IDFN")]
    pub misses: u64,
    /// Other result boxes.
    #[serde(rename = "IDFP")]
    pub false_positives: u64,
}

/// Scores one sequence; a box is found from `min_iou` on.
pub fn evaluate(sequence: &Sequence, min_iou: f64) -> IdentityScores {
    let common = most_common_boxes(sequence, min_iou);
    IdentityScores::new(common, sequence.truth_boxes() as u64 - common, sequence.result_boxes() as u64 - common)
}

/// The scores of several sequences together: counts add up.
pub fn combine(scores: &[&IdentityScores]) -> IdentityScores {
    let sum = |field: fn(&IdentityScores) -> u64| scores.iter().map(|s| field(s)).sum();
    IdentityScores::new(sum(|s| s.true_positives), sum(|s| s.misses), sum(|s| s.false_positives))
}

impl IdentityScores {
    fn new(true_positives: u64, misses: u64, false_positives: u64) -> Self {
        let [right, missed, wrong] = [true_positives, misses, false_positives].map(|n| n as f64);
        Self {
            idf1: right / (right + 0.5 * wrong + 0.5 * missed).max(1.0),
            recall: right / (right + missed).max(1.0),
            precision: right / (right + wrong).max(1.0),
            true_positives,
            misses,
            false_positives,
        }
    }
}

/// Boxes in common under the best one-to-one naming of tracks.
fn most_common_boxes(sequence: &Sequence, min_iou: f64) -> u64 {
    let mut common: BTreeMap<(usize, usize), u32> = BTreeMap::new();
    for frame in &sequence.frames {
        for ((row, column), &iou) in frame.similarity.indexed_iter() {
            if iou >= min_iou {
                *common.entry((frame.truth[row].track, frame.results[column].track)).or_default() += 1;
            }
        }
    }
    // Tracks with nothing in common cannot add anything: leave them out of the table.
    let (rows, columns) = (dense(common.keys().map(|pair| pair.0)), dense(common.keys().map(|pair| pair.1)));
    let mut cost = Array2::zeros((rows.len(), columns.len()));
    for (pair, &boxes) in &common {
        cost[(rows[&pair.0], columns[&pair.1])] = -f64::from(boxes);
    }
    let total: f64 = minimum_cost_pairs(cost.view()).into_iter().map(|pair| -cost[pair]).sum();
    total as u64
}

/// Consecutive indices for the tracks that occur.
fn dense(tracks: impl Iterator<Item = usize>) -> BTreeMap<usize, usize> {
    let mut indices: BTreeMap<usize, usize> = tracks.map(|track| (track, 0)).collect();
    indices.values_mut().enumerate().for_each(|(index, slot)| *slot = index);
    indices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::fixture::{any_scene, permuted, scene, two_walkers};
    use proptest::prelude::*;

    fn counts(sequence: &Sequence) -> (u64, u64, u64) {
        let scores = evaluate(sequence, 0.5);
        (scores.true_positives, scores.misses, scores.false_positives)
    }

    #[test]
    fn table() {
        let cases = [
            ("perfect", two_walkers(10, |_| true, |_, id| id), (20, 0, 0)),
            ("nothing", two_walkers(10, |_| false, |_, id| id), (0, 20, 0)),
            ("half the frames", two_walkers(10, |frame| frame <= 5, |_, id| id), (10, 10, 0)),
            (
                "new ids after frame 6",
                two_walkers(10, |_| true, |frame, id| if frame > 6 { id + 9 } else { id }),
                (12, 8, 8),
            ),
            (
                "ids swapped after frame 6",
                two_walkers(10, |_| true, |frame, id| if frame > 6 { 3 - id } else { id }),
                (12, 8, 8),
            ),
            ("no truth and no results", scene(&[], &[]), (0, 0, 0)),
        ];
        for (name, sequence, expected) in cases {
            assert_eq!(counts(&sequence), expected, "{name}");
        }
    }

    #[test]
    fn ratios_follow_from_counts() {
        let scores = IdentityScores::new(12, 8, 3);
        assert_eq!((scores.recall, scores.precision), (0.6, 0.8));
        assert!((scores.idf1 - 24.0 / 35.0).abs() < 1e-12);
        assert_eq!(combine(&[&scores, &scores]).idf1, scores.idf1);
    }

    proptest! {
        #[test]
        fn order_of_rows_and_names_of_ids_do_not_matter((truth, results) in any_scene()) {
            prop_assert_eq!(counts(&scene(&truth, &results)), counts(&scene(&permuted(&truth), &permuted(&results))));
        }

        #[test]
        fn truth_and_results_are_interchangeable((truth, results) in any_scene()) {
            let (common, missed, wrong) = counts(&scene(&truth, &results));
            prop_assert_eq!(counts(&scene(&results, &truth)), (common, wrong, missed));
        }
    }
}
