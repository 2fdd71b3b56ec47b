//! HOTA: how well boxes are found (DetA) and how well they are held together over time (AssA), at 19 IoU thresholds.
//!
//! Source: Luiten et al. 2021, "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking", IJCV 129. Equal to
//! TrackEval's `HOTA`; where ties decide, sums stand in NumPy's order, so that they decide alike.

use super::{
    assignment::minimum_cost_pairs,
    sequence::{Sequence, SequenceFrame},
};
use ndarray::Array2;
use serde::Serialize;
use std::{
    array,
    collections::{BTreeMap, HashMap},
};

/// Number of IoU thresholds.
pub const ALPHAS: usize = 19;

/// One value for each IoU threshold.
pub type PerAlpha = [f64; ALPHAS];

/// IoU threshold number `index`: 0.05, 0.10 … 0.95, with the rounding of `numpy.arange`.
pub fn alpha(index: usize) -> f64 {
    0.05 + index as f64 * 0.05
}

/// HOTA and its parts, 0..=1, at each IoU threshold; counts of boxes are whole numbers.
///
/// The published figure is the mean over the thresholds, see [`mean`]. Serialized under TrackEval's names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HotaScores {
    /// Geometric mean of DetA and AssA.
    #[serde(rename = "HOTA")]
    pub hota: PerAlpha,
    /// Detection accuracy: Jaccard index of found boxes.
    #[serde(rename = "DetA")]
    pub det_a: PerAlpha,
    /// Association accuracy: Jaccard index of identities, averaged over matched boxes.
    #[serde(rename = "AssA")]
    pub ass_a: PerAlpha,
    /// Detection recall.
    #[serde(rename = "DetRe")]
    pub det_re: PerAlpha,
    /// Detection precision.
    #[serde(rename = "DetPr")]
    pub det_pr: PerAlpha,
    /// Association recall.
    #[serde(rename = "AssRe")]
    pub ass_re: PerAlpha,
    /// Association precision.
    #[serde(rename = "AssPr")]
    pub ass_pr: PerAlpha,
    /// Mean IoU of matched boxes; 1 where nothing matched.
    #[serde(rename = "LocA")]
    pub loc_a: PerAlpha,
    /// Open-world accuracy: geometric mean of DetRe and AssA.
    #[serde(rename = "OWTA")]
    pub owta: PerAlpha,
    /// Matched boxes.
    #[serde(rename = "HOTA_TP")]
    pub true_positives: PerAlpha,
    /// Truth without a match.
    #[serde(rename = "HOTA_FN")]
    pub false_negatives: PerAlpha,
    /// Results without a match.
    #[serde(rename = "HOTA_FP")]
    pub false_positives: PerAlpha,
}

/// Mean over the thresholds.
pub fn mean(values: &PerAlpha) -> f64 {
    values.iter().sum::<f64>() / ALPHAS as f64
}

/// Scores one sequence.
pub fn evaluate(sequence: &Sequence) -> HotaScores {
    let (truth, results) = (sequence.truth_boxes() as f64, sequence.result_boxes() as f64);
    if truth == 0.0 || results == 0.0 {
        return HotaScores::unmatched(truth, results);
    }
    let boxes = BoxCounts::of(sequence);
    let alignment = Alignment::of(sequence, &boxes);
    let mut matches = Matches::default();
    for frame in &sequence.frames {
        matches.add(frame, &alignment);
    }
    matches.scores(&boxes, truth, results)
}

/// The scores of several sequences together: counts add up, association and localization weigh by matched boxes.
pub fn combine(scores: &[&HotaScores]) -> HotaScores {
    let sum = |field: fn(&HotaScores) -> &PerAlpha| per_alpha(|a| scores.iter().map(|s| field(s)[a]).sum());
    let mut all = HotaScores::unmatched(0.0, 0.0);
    all.true_positives = sum(|s| &s.true_positives);
    all.false_negatives = sum(|s| &s.false_negatives);
    all.false_positives = sum(|s| &s.false_positives);
    let matched = all.true_positives;
    let weighted = |field: fn(&HotaScores) -> &PerAlpha| {
        per_alpha(|a| scores.iter().map(|s| field(s)[a] * s.true_positives[a]).sum::<f64>())
    };
    let weighted_mean = |field| {
        let total = weighted(field);
        per_alpha(|a| total[a] / matched[a].max(1.0))
    };
    all.ass_a = weighted_mean(|s| &s.ass_a);
    all.ass_re = weighted_mean(|s| &s.ass_re);
    all.ass_pr = weighted_mean(|s| &s.ass_pr);
    let located = weighted(|s| &s.loc_a);
    all.loc_a = per_alpha(|a| located[a].max(TINY) / matched[a].max(TINY));
    all.with_derived()
}

/// Keeps LocA at 1 where nothing matched.
const TINY: f64 = 1e-10;

impl HotaScores {
    /// Scores where one side is empty.
    fn unmatched(truth: f64, results: f64) -> Self {
        let zero = [0.0; ALPHAS];
        Self {
            hota: zero,
            det_a: zero,
            ass_a: zero,
            det_re: zero,
            det_pr: zero,
            ass_re: zero,
            ass_pr: zero,
            loc_a: [1.0; ALPHAS],
            owta: zero,
            true_positives: zero,
            false_negatives: [truth; ALPHAS],
            false_positives: [results; ALPHAS],
        }
    }

    /// Fills in what follows from counts and association.
    fn with_derived(mut self) -> Self {
        let (tp, misses, false_positives) = (&self.true_positives, &self.false_negatives, &self.false_positives);
        self.det_re = per_alpha(|a| tp[a] / (tp[a] + misses[a]).max(1.0));
        self.det_pr = per_alpha(|a| tp[a] / (tp[a] + false_positives[a]).max(1.0));
        self.det_a = per_alpha(|a| tp[a] / (tp[a] + misses[a] + false_positives[a]).max(1.0));
        self.hota = per_alpha(|a| (self.det_a[a] * self.ass_a[a]).sqrt());
        self.owta = per_alpha(|a| (self.det_re[a] * self.ass_a[a]).sqrt());
        self
    }
}

fn per_alpha(value: impl FnMut(usize) -> f64) -> PerAlpha {
    array::from_fn(value)
}

/// (truth track, result track).
type Pair = (usize, usize);

/// How many boxes each track has.
struct BoxCounts {
    truth: Vec<f64>,
    results: Vec<f64>,
}

impl BoxCounts {
    fn of(sequence: &Sequence) -> Self {
        let mut counts =
            Self { truth: vec![0.0; sequence.truth_ids.len()], results: vec![0.0; sequence.result_ids.len()] };
        for frame in &sequence.frames {
            frame.truth.iter().for_each(|item| counts.truth[item.track] += 1.0);
            frame.results.iter().for_each(|item| counts.results[item.track] += 1.0);
        }
        counts
    }

    /// Boxes of either track of a pair of which `shared` are the same.
    fn union(&self, (truth, result): Pair, shared: f64) -> f64 {
        self.truth[truth] + self.results[result] - shared
    }
}

/// How well each pair of tracks fits over the whole sequence, before any matching (the paper's global alignment score).
struct Alignment(HashMap<Pair, f64>);

impl Alignment {
    fn of(sequence: &Sequence, boxes: &BoxCounts) -> Self {
        let mut shared = HashMap::new();
        for frame in &sequence.frames {
            add_shares(frame, &mut shared);
        }
        for (&pair, share) in &mut shared {
            *share /= boxes.union(pair, *share);
        }
        Self(shared)
    }

    fn score(&self, pair: Pair) -> f64 {
        self.0.get(&pair).copied().unwrap_or(0.0)
    }
}

/// Adds each pair's share of the overlap in a frame: its IoU, normalized by what else its two boxes overlap.
fn add_shares(frame: &SequenceFrame, shared: &mut HashMap<Pair, f64>) {
    let similarity = &frame.similarity;
    let of_truth: Vec<f64> = similarity.rows().into_iter().map(|row| pairwise_sum(&row.to_vec())).collect();
    let of_result: Vec<f64> = column_sums(similarity);
    for ((row, column), &iou) in similarity.indexed_iter() {
        let union = of_result[column] + of_truth[row] - iou;
        if iou > 0.0 && union > f64::EPSILON {
            *shared.entry((frame.truth[row].track, frame.results[column].track)).or_insert(0.0) += iou / union;
        }
    }
}

/// Sum of each column; NumPy adds row to row, but takes a single column as one run of memory.
fn column_sums(matrix: &Array2<f64>) -> Vec<f64> {
    if matrix.ncols() == 1 {
        return vec![pairwise_sum(&matrix.column(0).to_vec())];
    }
    let mut sums = vec![0.0; matrix.ncols()];
    for row in matrix.rows() {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    sums
}

/// Sum in the order of NumPy's pairwise summation: eight lanes up to 128 values, halves beyond.
fn pairwise_sum(values: &[f64]) -> f64 {
    const LANES: usize = 8;
    const LONGEST_RUN: usize = 128;
    if values.len() < LANES {
        return values.iter().sum();
    }
    if values.len() > LONGEST_RUN {
        let half = values.len() / 2 / LANES * LANES;
        return pairwise_sum(&values[..half]) + pairwise_sum(&values[half..]);
    }
    let runs = values.chunks_exact(LANES);
    let rest = runs.remainder();
    let mut lanes = [0.0; LANES];
    for run in runs {
        lanes.iter_mut().zip(run).for_each(|(lane, value)| *lane += value);
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    rest.iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, value| sum + value)
}

/// What matched so far. One matching serves all thresholds; a pair counts at those its IoU reaches.
#[derive(Default)]
struct Matches {
    true_positives: PerAlpha,
    iou_sum: PerAlpha,
    /// For each pair of tracks, matched boxes at each threshold. Ordered, so that sums come out alike in every run.
    of_pair: BTreeMap<Pair, PerAlpha>,
}

impl Matches {
    fn add(&mut self, frame: &SequenceFrame, alignment: &Alignment) {
        let cost = Array2::from_shape_fn(frame.similarity.dim(), |(row, column)| {
            -(alignment.score((frame.truth[row].track, frame.results[column].track)) * frame.similarity[(row, column)])
        });
        for (row, column) in minimum_cost_pairs(cost.view()) {
            let iou = frame.similarity[(row, column)];
            let reached = (0..ALPHAS).take_while(|&a| iou >= alpha(a) - f64::EPSILON).count();
            if reached == 0 {
                continue;
            }
            let pair = (frame.truth[row].track, frame.results[column].track);
            let of_pair = self.of_pair.entry(pair).or_default();
            self.true_positives[..reached].iter_mut().for_each(|count| *count += 1.0);
            self.iou_sum[..reached].iter_mut().for_each(|sum| *sum += iou);
            of_pair[..reached].iter_mut().for_each(|count| *count += 1.0);
        }
    }

    fn scores(&self, boxes: &BoxCounts, truth: f64, results: f64) -> HotaScores {
        let mut scores = HotaScores::unmatched(truth, results);
        scores.true_positives = self.true_positives;
        scores.false_negatives = per_alpha(|a| truth - self.true_positives[a]);
        scores.false_positives = per_alpha(|a| results - self.true_positives[a]);
        scores.ass_a = self.mean_over_matches(|pair, matched| matched / boxes.union(pair, matched).max(1.0));
        scores.ass_re = self.mean_over_matches(|(truth, _), matched| matched / boxes.truth[truth].max(1.0));
        scores.ass_pr = self.mean_over_matches(|(_, result), matched| matched / boxes.results[result].max(1.0));
        scores.loc_a = per_alpha(|a| self.iou_sum[a].max(TINY) / self.true_positives[a].max(TINY));
        scores.with_derived()
    }

    /// Mean over matched boxes of a value that depends on their pair of tracks and how often that pair matched.
    fn mean_over_matches(&self, value: impl Fn(Pair, f64) -> f64) -> PerAlpha {
        let mut sum = [0.0; ALPHAS];
        for (&pair, matched) in &self.of_pair {
            for (sum, &matched) in sum.iter_mut().zip(matched) {
                *sum += matched * value(pair, matched);
            }
        }
        per_alpha(|a| sum[a] / self.true_positives[a].max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::fixture::{permuted, scene, two_walkers};
    use proptest::prelude::*;

    #[test]
    fn thresholds_round_as_numpy_does() {
        assert_eq!((alpha(2), alpha(9), alpha(18)), (0.15000000000000002, 0.5, 0.9500000000000001));
    }

    #[test]
    fn perfect_results_score_one_everywhere() {
        let scores = evaluate(&two_walkers(10, |_| true, |_, id| id));
        for values in [scores.hota, scores.det_a, scores.ass_a, scores.loc_a, scores.ass_re, scores.ass_pr] {
            assert_eq!(values, [1.0; ALPHAS]);
        }
        assert_eq!(scores.true_positives, [20.0; ALPHAS]);
    }

    #[test]
    fn one_identity_split_in_halves_costs_association_only() {
        // Ids of both walkers change at half time: each matched pair shares 5 of 10 boxes.
        let scores = evaluate(&two_walkers(10, |_| true, |frame, id| if frame > 5 { id + 10 } else { id }));
        assert_eq!(scores.det_a, [1.0; ALPHAS]);
        assert_eq!(scores.ass_a, [0.5; ALPHAS]);
        assert_eq!(scores.ass_re, [0.5; ALPHAS]);
        assert_eq!(scores.ass_pr, [1.0; ALPHAS]);
    }

    #[test]
    fn missed_frames_cost_detection_and_association() {
        let scores = evaluate(&two_walkers(10, |frame| frame <= 5, |_, id| id));
        assert_eq!(scores.det_a, [0.5; ALPHAS]);
        assert_eq!(scores.ass_a, [0.5; ALPHAS]);
        assert_eq!(scores.det_pr, [1.0; ALPHAS]);
    }

    #[test]
    fn an_empty_side_scores_zero_without_dividing_by_it() {
        let nothing = evaluate(&two_walkers(10, |_| false, |_, id| id));
        assert_eq!((nothing.hota, nothing.false_negatives), ([0.0; ALPHAS], [20.0; ALPHAS]));
        let both = evaluate(&scene(&[], &[]));
        assert_eq!((both.hota, both.loc_a), ([0.0; ALPHAS], [1.0; ALPHAS]));
    }

    #[test]
    fn sums_stand_in_numpys_order() {
        let values: Vec<f64> = (0..300).map(|i| 1.0 / f64::from(i + 3)).collect();
        // numpy 2.4.6: (1 / np.arange(3.0, 303.0))[:n].sum()
        for (n, expected) in NUMPY_SUMS {
            assert_eq!(pairwise_sum(&values[..n]), expected, "{n} values");
        }
    }

    const NUMPY_SUMS: [(usize, f64); 5] = [
        (0, 0.0),
        (7, 1.328968253968254),
        (8, 1.4289682539682538),
        (130, 3.9638006836279933),
        (300, 4.789297397713862),
    ];

    proptest! {
        #[test]
        fn order_of_rows_and_names_of_ids_do_not_matter((truth, results) in crate::eval::fixture::any_scene()) {
            let scores = evaluate(&scene(&truth, &results));
            let other = evaluate(&scene(&permuted(&truth), &permuted(&results)));
            for (a, b) in [(scores.hota, other.hota), (scores.loc_a, other.loc_a)] {
                prop_assert!((mean(&a) - mean(&b)).abs() < 1e-9, "{} and {}", mean(&a), mean(&b));
            }
        }

        #[test]
        fn scores_lie_between_zero_and_one_and_combining_one_changes_nothing((truth, results) in crate::eval::fixture::any_scene()) {
            let scores = evaluate(&scene(&truth, &results));
            for values in [scores.hota, scores.det_a, scores.ass_a, scores.loc_a, scores.owta] {
                prop_assert!(values.iter().all(|v| (0.0..=1.0 + 1e-9).contains(v)), "{:?}", values);
            }
            let combined = combine(&[&scores]);
            prop_assert!((mean(&combined.hota) - mean(&scores.hota)).abs() < 1e-12);
            prop_assert!((mean(&combined.loc_a) - mean(&scores.loc_a)).abs() < 1e-12);
        }
    }
}
