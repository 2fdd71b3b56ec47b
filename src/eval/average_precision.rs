//! Average precision: how well a detector finds and ranks the objects of one class, identities aside.
//!
//! COCO's definition (Lin et al. 2014 and its evaluation code): detections of a frame take truth greedily by falling
//! score, precision is made monotone and averaged over 101 recalls, for IoU 0.50, 0.55 … 0.95. Differs in one point: no
//! limit on the number of detections in a frame.
//! What counts as truth: in MOT15 every row (its zero marks concern tracking); in MOT17 and MOT20 rows marked to be
//! considered, while the other rows of the class, and for pedestrians the distractors, are neither to be found nor wrong
//! to find.

use super::{
    exact_box::{ExactBox, iou_matrix},
    mot_io::{MotError, MotFormat, MotRows, PEDESTRIAN, ResultRow, TruthRow},
    sequence::{by_frame, check_frames, is_distractor},
};
use ndarray::Array2;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Number of IoU thresholds.
pub const IOU_THRESHOLDS: usize = 10;

/// Number of recalls that precision is averaged over.
const RECALLS: usize = 101;

/// IoU threshold number `index`: 0.50, 0.55 … 0.95.
pub fn iou_threshold(index: usize) -> f64 {
    0.5 + index as f64 * ((0.95 - 0.5) / 9.0)
}

/// Truth and detections of one class in one frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DetectionFrame {
    /// Boxes to find.
    pub truth: Vec<ExactBox>,
    /// Boxes that it is neither right nor wrong to find.
    pub ignored: Vec<ExactBox>,
    /// Boxes found, with their scores.
    pub detections: Vec<(ExactBox, f64)>,
}

/// Which point of the precision-recall curve to report beside its area.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OperatingPoint {
    /// Detections count from this score on.
    pub min_score: f64,
    /// And are right from this IoU on.
    pub min_iou: f64,
}

/// Scores of one class, 0..=1; NaN where there was nothing to find (precision: nothing found).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DetectionScores {
    /// Mean over the IoU thresholds.
    #[serde(rename = "AP")]
    pub ap: f64,
    /// At IoU 0.5.
    #[serde(rename = "AP50")]
    pub ap50: f64,
    /// At IoU 0.75.
    #[serde(rename = "AP75")]
    pub ap75: f64,
    /// At each IoU threshold.
    #[serde(rename = "AP_per_iou")]
    pub ap_per_iou: [f64; IOU_THRESHOLDS],
    /// Share of the truth that is found, at the operating point.
    pub recall: f64,
    /// Share of the detections that are right, at the operating point.
    pub precision: f64,
    /// Number of boxes to find.
    pub truth: usize,
    /// Number of detections, those on ignored truth included.
    pub detections: usize,
}

/// The frames of a sequence for each class that has boxes to find, by ascending class.
///
/// `length`: number of frames where it is known; a row beyond it is an error.
pub fn frames_by_class(
    truth: &MotRows<TruthRow>,
    results: &MotRows<ResultRow>,
    format: MotFormat,
    length: Option<u64>,
) -> Result<BTreeMap<i64, Vec<DetectionFrame>>, MotError> {
    check_frames(&truth.path, truth.rows.iter().map(|row| (row.line, row.frame)), length)?;
    check_frames(&results.path, results.rows.iter().map(|row| (row.line, row.frame)), length)?;
    let has_classes = format != MotFormat::Mot15;
    let to_find = |row: &TruthRow| !has_classes || row.considered;
    let classes: BTreeSet<i64> = truth.rows.iter().filter(|row| to_find(row)).map(|row| row.class).collect();
    let truth_frames = by_frame(&truth.rows, |row| row.frame);
    let result_frames = by_frame(&results.rows, |row| row.frame);
    let numbers: BTreeSet<u64> = truth_frames.keys().chain(result_frames.keys()).copied().collect();

    let frame = |class: i64, number: &u64| {
        let mut frame = DetectionFrame::default();
        for row in truth_frames.get(number).into_iter().flatten() {
            if row.class == class && to_find(row) {
                frame.truth.push(row.bbox);
            } else if row.class == class || (class == PEDESTRIAN && is_distractor(row.class, format)) {
                frame.ignored.push(row.bbox);
            }
        }
        let found = result_frames.get(number).into_iter().flatten();
        let found = found.filter(|row| !has_classes || row.class == class);
        frame.detections = found.map(|row| (row.bbox, row.score)).collect();
        frame
    };
    let frames = |class| numbers.iter().map(|number| frame(class, number)).collect();
    Ok(classes.into_iter().map(|class| (class, frames(class))).collect())
}

/// Scores one class over all `frames`; those of several sequences are simply put together.
pub fn evaluate<'a>(frames: impl Iterator<Item = &'a DetectionFrame>, at: OperatingPoint) -> DetectionScores {
    let mut truth = 0;
    let mut ranked = Vec::new();
    let thresholds: Vec<f64> = (0..IOU_THRESHOLDS).map(iou_threshold).chain([at.min_iou]).collect();
    for frame in frames {
        truth += frame.truth.len();
        rank_frame(frame, &thresholds, &mut ranked);
    }
    // Stable: equal scores stay in order of frames.
    ranked.sort_by(|a, b| by_falling_score(a.score, b.score));

    let ap_per_iou = std::array::from_fn(|index| average_precision(&ranked, index, truth));
    let above = ranked.iter().take_while(|d| d.score >= at.min_score).map(|d| d.verdicts[IOU_THRESHOLDS]);
    let (right, wrong) = above.fold((0.0, 0.0), |(right, wrong), verdict| match verdict {
        Verdict::Right => (right + 1.0, wrong),
        Verdict::Wrong => (right, wrong + 1.0),
        Verdict::Ignored => (right, wrong),
    });
    DetectionScores {
        ap: ap_per_iou.iter().sum::<f64>() / IOU_THRESHOLDS as f64,
        ap50: ap_per_iou[0],
        ap75: ap_per_iou[5],
        ap_per_iou,
        recall: right / truth as f64,
        precision: right / (right + wrong),
        truth,
        detections: ranked.len(),
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Right,
    Wrong,
    Ignored,
}

/// A detection and what it is at each IoU threshold.
struct Ranked {
    score: f64,
    verdicts: [Verdict; IOU_THRESHOLDS + 1],
}

/// Judges the detections of a frame at each threshold, in order of falling score.
fn rank_frame(frame: &DetectionFrame, thresholds: &[f64], ranked: &mut Vec<Ranked>) {
    let mut detections: Vec<&(ExactBox, f64)> = frame.detections.iter().collect();
    detections.sort_by(|a, b| by_falling_score(a.1, b.1));
    let truth: Vec<&ExactBox> = frame.truth.iter().chain(&frame.ignored).collect();
    let iou = iou_matrix(detections.iter().map(|d| &d.0), truth.iter().copied());

    let first = ranked.len();
    ranked.extend(detections.iter().map(|d| Ranked { score: d.1, verdicts: [Verdict::Wrong; IOU_THRESHOLDS + 1] }));
    for (index, &threshold) in thresholds.iter().enumerate() {
        let verdicts = judge(&iou, frame.truth.len(), threshold);
        ranked[first..].iter_mut().zip(verdicts).for_each(|(d, verdict)| d.verdicts[index] = verdict);
    }
}

/// Lets each detection (row) in turn take the free truth (column) of highest IoU; the first `to_find` columns go before
/// the ignored ones behind them, and among equals the later column wins, as in COCO.
fn judge(iou: &Array2<f64>, to_find: usize, threshold: f64) -> Vec<Verdict> {
    let mut is_free = vec![true; iou.ncols()];
    let mut best_of = |row: usize, columns: std::ops::Range<usize>| {
        let mut best = None;
        let mut highest = threshold.min(1.0 - 1e-10);
        for column in columns.filter(|&column| is_free[column]) {
            if iou[(row, column)] >= highest {
                highest = iou[(row, column)];
                best = Some(column);
            }
        }
        if let Some(column) = best {
            is_free[column] = false;
        }
        best.is_some()
    };
    let mut verdict = |row| {
        if best_of(row, 0..to_find) {
            Verdict::Right
        } else if best_of(row, to_find..iou.ncols()) {
            Verdict::Ignored
        } else {
            Verdict::Wrong
        }
    };
    (0..iou.nrows()).map(&mut verdict).collect()
}

/// Area under the monotone precision-recall curve, sampled at 101 recalls. `ranked`: by falling score.
fn average_precision(ranked: &[Ranked], threshold: usize, truth: usize) -> f64 {
    if truth == 0 {
        return f64::NAN;
    }
    let (mut right, mut seen) = (0.0, 0.0);
    let mut curve = Vec::with_capacity(ranked.len());
    for detection in ranked {
        match detection.verdicts[threshold] {
            Verdict::Ignored => continue,
            Verdict::Right => right += 1.0,
            Verdict::Wrong => {}
        }
        seen += 1.0;
        curve.push((right / truth as f64, right / seen));
    }
    let mut highest = 0.0;
    for (_, precision) in curve.iter_mut().rev() {
        highest = precision.max(highest);
        *precision = highest;
    }
    let precision_at = |recall: f64| {
        let reached = curve.partition_point(|point| point.0 < recall);
        curve.get(reached).map_or(0.0, |point| point.1)
    };
    (0..RECALLS).map(|index| precision_at(index as f64 * 0.01)).sum::<f64>() / RECALLS as f64
}

fn by_falling_score(a: f64, b: f64) -> std::cmp::Ordering {
    b.partial_cmp(&a).unwrap_or(std::cmp::Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    const AT: OperatingPoint = OperatingPoint { min_score: 0.5, min_iou: 0.5 };

    fn square(left: f64) -> ExactBox {
        ExactBox::from_tlwh(left, 0.0, 10.0, 10.0)
    }

    fn frame(truth: &[f64], ignored: &[f64], detections: &[(f64, f64)]) -> DetectionFrame {
        DetectionFrame {
            truth: truth.iter().copied().map(square).collect(),
            ignored: ignored.iter().copied().map(square).collect(),
            detections: detections.iter().map(|&(left, score)| (square(left), score)).collect(),
        }
    }

    #[test]
    fn table() {
        // Name, frame, AP at IoU 0.5, recall and precision from score 0.5 on.
        let cases = [
            ("all found", frame(&[0.0, 50.0], &[], &[(0.0, 0.9), (50.0, 0.8)]), 1.0, 1.0, 1.0),
            ("one of two: recalls 0..=0.50", frame(&[0.0, 50.0], &[], &[(0.0, 0.9)]), 51.0 / 101.0, 0.5, 1.0),
            ("a wrong one below", frame(&[0.0], &[], &[(0.0, 0.9), (90.0, 0.8)]), 1.0, 1.0, 0.5),
            ("a wrong one above", frame(&[0.0], &[], &[(0.0, 0.8), (90.0, 0.9)]), 0.5, 1.0, 0.5),
            ("found twice", frame(&[0.0], &[], &[(0.0, 0.9), (0.5, 0.8)]), 1.0, 1.0, 0.5),
            ("below the operating point", frame(&[0.0], &[], &[(0.0, 0.4)]), 1.0, 0.0, f64::NAN),
            ("on ignored truth", frame(&[0.0], &[50.0], &[(50.0, 0.9), (0.0, 0.8)]), 1.0, 1.0, 1.0),
            ("twice on ignored truth", frame(&[0.0], &[50.0], &[(50.0, 0.9), (50.0, 0.9), (0.0, 0.8)]), 0.5, 1.0, 0.5),
            ("nothing found", frame(&[0.0], &[], &[]), 0.0, 0.0, f64::NAN),
            ("nothing to find", frame(&[], &[], &[(0.0, 0.9)]), f64::NAN, f64::NAN, 0.0),
        ];
        for (name, frame, ap50, recall, precision) in cases {
            let got = evaluate([&frame].into_iter(), AT);
            for (what, got, expected) in
                [("AP50", got.ap50, ap50), ("recall", got.recall, recall), ("precision", got.precision, precision)]
            {
                let agrees = (got - expected).abs() < 1e-12 || (got.is_nan() && expected.is_nan());
                assert!(agrees, "{name}: {what} {got}, expected {expected}");
            }
        }
    }

    #[test]
    fn a_loose_box_counts_at_low_thresholds_only() {
        // 1 px off in 10: IoU 9 / 11, right up to threshold 0.80.
        let got = evaluate([&frame(&[0.0], &[], &[(1.0, 0.9)])].into_iter(), AT);
        assert_eq!(got.ap_per_iou, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
        assert!((got.ap - 0.7).abs() < 1e-12);
    }

    #[test]
    fn zero_marks_and_distractors_count_by_format() {
        let rows = "1,1,0,0,10,10,1,1,1\n1,2,50,0,10,10,0,1,1\n1,3,90,0,10,10,0,8,1\n1,4,130,0,10,10,0,3,1\n";
        let results =
            MotRows::parse_results(Path::new("det.txt"), b"1,-1,0,0,10,10,0.9\n1,-1,0,0,9,9,0.9,3\n").unwrap();
        for (format, truth, ignored, detections) in [(MotFormat::Mot15, 4, 0, 2), (MotFormat::Mot17, 1, 2, 1)] {
            let (file, _) = MotRows::parse_truth(Path::new("gt.txt"), rows.as_bytes(), Some(format), "s").unwrap();
            let classes = frames_by_class(&file, &results, format, Some(1)).unwrap();
            assert_eq!(classes.keys().collect::<Vec<_>>(), [&PEDESTRIAN]);
            let frame = &classes[&PEDESTRIAN][0];
            let got = (frame.truth.len(), frame.ignored.len(), frame.detections.len());
            assert_eq!(got, (truth, ignored, detections), "{format:?}");
        }
    }

    proptest! {
        #[test]
        fn scores_lie_between_zero_and_one(
            truth in prop::collection::vec(0f64..100.0, 1..8),
            detections in prop::collection::vec((0f64..100.0, 0f64..1.0), 0..12),
        ) {
            let got = evaluate([&frame(&truth, &[], &detections)].into_iter(), AT);
            prop_assert!(got.ap_per_iou.iter().all(|ap| (0.0..=1.0).contains(ap)), "{:?}", got);
            prop_assert!(got.recall <= 1.0, "{:?}", got);
        }

        #[test]
        fn a_detector_that_repeats_the_truth_is_perfect(truth in prop::collection::vec(0f64..1000.0, 1..8)) {
            let detections: Vec<_> = truth.iter().map(|&left| (left, 0.75)).collect();
            let got = evaluate([&frame(&truth, &[], &detections)].into_iter(), AT);
            prop_assert!((got.ap - 1.0).abs() < 1e-12, "{:?}", got);
        }
    }
}
