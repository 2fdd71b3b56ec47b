//! CLEAR: what a viewer would count as mistakes, frame by frame, at one IoU threshold.
//!
//! Source: Bernardin & Stiefelhagen 2008, "Evaluating Multiple Object Tracking Performance: The CLEAR MOT Metrics", and
//! the MOTChallenge additions (IDSW, Frag, MT/PT/ML). Equal to TrackEval's `CLEAR`, its early returns included: a
//! sequence without results, or without truth, has no frames and no tracked ratio of its own.

use super::{
    assignment::minimum_cost_pairs,
    exact_box::ExactBox,
    mistakes::Mistake,
    sequence::{Sequence, SequenceFrame},
};
use ndarray::Array2;
use serde::Serialize;

/// Share of its boxes from above which an object is mostly tracked, below which it is mostly lost.
const MOSTLY_TRACKED: f64 = 0.8;
const MOSTLY_LOST: f64 = 0.2;

/// Outweighs any IoU: a pair that matched in the frame before stays together while it overlaps enough.
const KEEP_PAIR: f64 = 1000.0;

/// CLEAR scores. Ratios are fractions, MOTA has no lower bound. Serialized under TrackEval's names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClearScores {
    /// 1 - (misses + false positives + identity switches) / truth.
    #[serde(rename = "MOTA")]
    pub mota: f64,
    /// Mean IoU of matched boxes.
    #[serde(rename = "MOTP")]
    pub motp: f64,
    /// MOTA without identity switches.
    #[serde(rename = "MODA")]
    pub moda: f64,
    /// Recall.
    #[serde(rename = "CLR_Re")]
    pub recall: f64,
    /// Precision.
    #[serde(rename = "CLR_Pr")]
    pub precision: f64,
    /// F1 of the two.
    #[serde(rename = "CLR_F1")]
    pub f1: f64,
    /// Mostly tracked, as a share of objects.
    #[serde(rename = "MTR")]
    pub mostly_tracked_ratio: f64,
    /// Partly tracked, as a share of objects.
    #[serde(rename = "PTR")]
    pub partly_tracked_ratio: f64,
    /// Mostly lost, as a share of objects.
    #[serde(rename = "MLR")]
    pub mostly_lost_ratio: f64,
    /// MOTA with each match counted by its IoU.
    #[serde(rename = "sMOTA")]
    pub soft_mota: f64,
    /// MOTA with the logarithm of identity switches.
    #[serde(rename = "MOTAL")]
    pub mota_log: f64,
    /// False positives in a frame, on average.
    #[serde(rename = "FP_per_frame")]
    pub false_positives_per_frame: f64,
    /// The counts all this follows from.
    #[serde(flatten)]
    pub counts: ClearCounts,
}

/// Counts, summed over sequences. Serialized under TrackEval's names.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClearCounts {
    /// Matched boxes.
    #[serde(rename = "CLR_TP")]
    pub true_positives: u64,
    /// Truth without a match.
    #[serde(rename = "CLR_FN")]
    pub misses: u64,
    /// Results without a match.
    #[serde(rename = "CLR_FP")]
    pub false_positives: u64,
    /// Matches to another identity than the object's last match.
    #[serde(rename = "IDSW")]
    pub switches: u64,
    /// Times an object was found again after a frame without a match.
    #[serde(rename = "Frag")]
    pub fragmentations: u64,
    /// Objects matched in more than 80 % of their frames.
    #[serde(rename = "MT")]
    pub mostly_tracked: u64,
    /// Objects in between.
    #[serde(rename = "PT")]
    pub partly_tracked: u64,
    /// Objects matched in less than 20 % of their frames.
    #[serde(rename = "ML")]
    pub mostly_lost: u64,
    /// Frames.
    #[serde(rename = "CLR_Frames")]
    pub frames: u64,
    /// Sum of the matches' IoU.
    #[serde(rename = "MOTP_sum")]
    pub iou_sum: f64,
}

/// Takes each mistake with its frame and box (the object's; a false positive's own).
pub type OnMistake<'a> = &'a mut dyn FnMut(u64, ExactBox, Mistake);

/// Scores one sequence; a match needs `min_iou`. Every mistake goes to `on_mistake` in order of frames.
pub fn evaluate(sequence: &Sequence, min_iou: f64, on_mistake: OnMistake<'_>) -> ClearScores {
    let mut run = Run::new(sequence, min_iou, on_mistake);
    for frame in &sequence.frames {
        run.add(frame);
    }
    let (truth, results) = (sequence.truth_boxes(), sequence.result_boxes());
    if truth == 0 || results == 0 {
        let counts = ClearCounts {
            misses: truth as u64,
            false_positives: results as u64,
            mostly_lost: sequence.truth_ids.len() as u64,
            ..ClearCounts::default()
        };
        return ClearScores { mostly_lost_ratio: 1.0, ..ClearScores::from_counts_alone(counts) };
    }
    ClearScores::from_counts(run.finish())
}

/// The scores of several sequences together: counts add up.
pub fn combine(scores: &[&ClearScores]) -> ClearScores {
    let sum = |field: fn(&ClearCounts) -> u64| scores.iter().map(|s| field(&s.counts)).sum();
    ClearScores::from_counts(ClearCounts {
        true_positives: sum(|c| c.true_positives),
        misses: sum(|c| c.misses),
        false_positives: sum(|c| c.false_positives),
        switches: sum(|c| c.switches),
        fragmentations: sum(|c| c.fragmentations),
        mostly_tracked: sum(|c| c.mostly_tracked),
        partly_tracked: sum(|c| c.partly_tracked),
        mostly_lost: sum(|c| c.mostly_lost),
        frames: sum(|c| c.frames),
        iou_sum: scores.iter().map(|s| s.counts.iou_sum).sum(),
    })
}

impl ClearScores {
    fn from_counts(counts: ClearCounts) -> Self {
        let at_least_one = |n: f64| n.max(1.0);
        let [tp, misses, fp, switches] =
            [counts.true_positives, counts.misses, counts.false_positives, counts.switches].map(|n| n as f64);
        let truth = at_least_one(tp + misses);
        let objects = at_least_one((counts.mostly_tracked + counts.partly_tracked + counts.mostly_lost) as f64);
        let log_switches = if switches > 0.0 { switches.log10() } else { 0.0 };
        Self {
            mota: (tp - fp - switches) / truth,
            motp: counts.iou_sum / at_least_one(tp),
            moda: (tp - fp) / truth,
            recall: tp / truth,
            precision: tp / at_least_one(tp + fp),
            f1: tp / at_least_one(tp + 0.5 * misses + 0.5 * fp),
            mostly_tracked_ratio: counts.mostly_tracked as f64 / objects,
            partly_tracked_ratio: counts.partly_tracked as f64 / objects,
            mostly_lost_ratio: counts.mostly_lost as f64 / objects,
            soft_mota: (counts.iou_sum - fp - switches) / truth,
            mota_log: (tp - fp - log_switches) / truth,
            false_positives_per_frame: fp / at_least_one(counts.frames as f64),
            counts,
        }
    }

    /// The counts with every ratio 0, as TrackEval leaves a sequence one side of which is empty.
    fn from_counts_alone(counts: ClearCounts) -> Self {
        Self { counts, ..Self::from_counts(ClearCounts::default()) }
    }
}

/// What is known of an object while frames pass.
#[derive(Clone, Copy, Default)]
struct Object {
    boxes: u64,
    matched: u64,
    /// Times its match began anew.
    stretches: u64,
    /// Track of its last match, however long ago: another one is a switch.
    last: Option<usize>,
    /// Track of its match in the last frame that had truth and results: kept if possible.
    current: Option<usize>,
}

struct Run<'a> {
    sequence: &'a Sequence,
    min_iou: f64,
    on_mistake: OnMistake<'a>,
    objects: Vec<Object>,
    counts: ClearCounts,
}

impl<'a> Run<'a> {
    fn new(sequence: &'a Sequence, min_iou: f64, on_mistake: OnMistake<'a>) -> Self {
        let objects = vec![Object::default(); sequence.truth_ids.len()];
        Self { sequence, min_iou, on_mistake, objects, counts: ClearCounts::default() }
    }

    fn add(&mut self, frame: &SequenceFrame) {
        for item in &frame.truth {
            self.objects[item.track].boxes += 1;
        }
        let pairs = self.matches(frame);
        self.report_unmatched(frame, &pairs);
        self.counts.true_positives += pairs.len() as u64;
        self.counts.misses += (frame.truth.len() - pairs.len()) as u64;
        self.counts.false_positives += (frame.results.len() - pairs.len()) as u64;
        self.counts.iou_sum += pairs.iter().map(|&pair| frame.similarity[pair]).sum::<f64>();
        // A frame without truth or without results interrupts nothing: TrackEval skips it.
        if !frame.truth.is_empty() && !frame.results.is_empty() {
            self.follow(frame, &pairs);
        }
    }

    /// Pairs that match in this frame: first those that did before, then the best IoU overall.
    fn matches(&self, frame: &SequenceFrame) -> Vec<(usize, usize)> {
        let cost = Array2::from_shape_fn(frame.similarity.dim(), |(row, column)| {
            let iou = frame.similarity[(row, column)];
            let kept = self.objects[frame.truth[row].track].current == Some(frame.results[column].track);
            let score = if kept { KEEP_PAIR + iou } else { iou };
            if iou < self.min_iou - f64::EPSILON { -0.0 } else { -score }
        });
        minimum_cost_pairs(cost.view()).into_iter().filter(|&pair| cost[pair] < -f64::EPSILON).collect()
    }

    fn report_unmatched(&mut self, frame: &SequenceFrame, pairs: &[(usize, usize)]) {
        for (row, item) in frame.truth.iter().enumerate() {
            if !pairs.iter().any(|pair| pair.0 == row) {
                let truth = self.sequence.truth_ids[item.track];
                (self.on_mistake)(frame.number, item.bbox, Mistake::Miss { truth });
            }
        }
        for (column, item) in frame.results.iter().enumerate() {
            if !pairs.iter().any(|pair| pair.1 == column) {
                let result = self.sequence.result_ids[item.track];
                (self.on_mistake)(frame.number, item.bbox, Mistake::FalsePositive { result });
            }
        }
    }

    /// Notes who is matched to whom, and what of that is a switch or a fragmentation.
    fn follow(&mut self, frame: &SequenceFrame, pairs: &[(usize, usize)]) {
        let before: Vec<Option<usize>> = self.objects.iter_mut().map(|object| object.current.take()).collect();
        for &(row, column) in pairs {
            let (item, track) = (frame.truth[row], frame.results[column].track);
            let object = &mut self.objects[item.track];
            let ids = (self.sequence.truth_ids[item.track], self.sequence.result_ids[track]);
            object.matched += 1;
            object.current = Some(track);
            if let Some(previous) = object.last.replace(track).filter(|&last| last != track) {
                self.counts.switches += 1;
                let previous = self.sequence.result_ids[previous];
                (self.on_mistake)(frame.number, item.bbox, Mistake::Switch { truth: ids.0, result: ids.1, previous });
            }
            if before[item.track].is_none() {
                object.stretches += 1;
                if object.stretches > 1 {
                    self.counts.fragmentations += 1;
                    (self.on_mistake)(frame.number, item.bbox, Mistake::Fragmentation { truth: ids.0, result: ids.1 });
                }
            }
        }
    }

    fn finish(mut self) -> ClearCounts {
        for object in self.objects.iter().filter(|object| object.boxes > 0) {
            let ratio = object.matched as f64 / object.boxes as f64;
            if ratio > MOSTLY_TRACKED {
                self.counts.mostly_tracked += 1;
            } else if ratio >= MOSTLY_LOST {
                self.counts.partly_tracked += 1;
            } else {
                self.counts.mostly_lost += 1;
            }
        }
        self.counts.frames = self.sequence.length;
        self.counts
    }
}

#[cfg(test)]
mod tests;
