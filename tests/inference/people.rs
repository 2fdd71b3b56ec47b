//! The people of PETS09-S2L1 (the sample video): where they are, and how many of them a detector finds.

use eyeline::{
    detect::{ClassId, Detection},
    eval::{
        average_precision::{DetectionFrame, OperatingPoint, evaluate},
        exact_box::ExactBox,
    },
};
use std::{collections::BTreeMap, env, fs, path::PathBuf};

/// COCO's first class.
pub const PERSON: ClassId = ClassId(0);

/// The folder of the evaluation data.
pub fn eval_data() -> PathBuf {
    PathBuf::from(env::var("EYELINE_EVAL_DATA").expect("EYELINE_EVAL_DATA names the evaluation data"))
}

/// Boxes by frame, from 0.
pub fn truth() -> BTreeMap<usize, Vec<ExactBox>> {
    let text = fs::read_to_string(eval_data().join("mot15/PETS09-S2L1/gt/gt.txt")).expect("truth");
    let mut frames: BTreeMap<usize, Vec<ExactBox>> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<f64> = line.split(',').map(|field| field.parse().expect("a number")).collect();
        let bbox = ExactBox::from_tlwh(fields[2], fields[3], fields[4], fields[5]);
        frames.entry(fields[0] as usize - 1).or_default().push(bbox);
    }
    frames
}

/// People found among boxes to find.
pub fn scored(truth: Vec<ExactBox>, found: &[Detection]) -> DetectionFrame {
    let exact = |d: &Detection| {
        let [left, top, width, height] = [d.bbox.left, d.bbox.top, d.bbox.width(), d.bbox.height()].map(f64::from);
        (ExactBox::from_tlwh(left, top, width, height), f64::from(d.score))
    };
    let detections = found.iter().filter(|d| d.class == PERSON).map(exact).collect();
    DetectionFrame { truth, ignored: Vec::new(), detections }
}

/// Average precision at IoU 0.5.
pub fn ap50(frames: &[DetectionFrame]) -> f64 {
    evaluate(frames.iter(), OperatingPoint { min_score: 0.3, min_iou: 0.5 }).ap50
}
