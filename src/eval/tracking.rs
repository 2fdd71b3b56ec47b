//! All tracking metrics of a sequence in one value.

use super::{
    clear::{self, ClearScores, OnMistake},
    hota::{self, HotaScores},
    identity::{self, IdentityScores},
    sequence::Sequence,
};
use serde::Serialize;

/// IoU from which a box counts as found in CLEAR and Identity, unless asked otherwise.
pub const DEFAULT_MIN_IOU: f64 = 0.5;

/// Scores of one sequence, or of several together. Serialized under TrackEval's names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrackingScores {
    /// HOTA and its parts at 19 thresholds.
    #[serde(rename = "HOTA")]
    pub hota: HotaScores,
    /// CLEAR at one threshold.
    #[serde(rename = "CLEAR")]
    pub clear: ClearScores,
    /// Identity at one threshold.
    #[serde(rename = "Identity")]
    pub identity: IdentityScores,
    /// What there was to score.
    #[serde(rename = "Count")]
    pub count: Counts,
}

/// Boxes and identities after preprocessing. Serialized under TrackEval's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Boxes of the results.
    #[serde(rename = "Dets")]
    pub result_boxes: usize,
    /// Boxes of the truth.
    #[serde(rename = "GT_Dets")]
    pub truth_boxes: usize,
    /// Identities of the results.
    #[serde(rename = "IDs")]
    pub result_ids: usize,
    /// Identities of the truth.
    #[serde(rename = "GT_IDs")]
    pub truth_ids: usize,
}

/// Scores one sequence. `min_iou`: for CLEAR and Identity; every CLEAR mistake goes to `on_mistake`.
pub fn evaluate(sequence: &Sequence, min_iou: f64, on_mistake: OnMistake<'_>) -> TrackingScores {
    TrackingScores {
        hota: hota::evaluate(sequence),
        clear: clear::evaluate(sequence, min_iou, on_mistake),
        identity: identity::evaluate(sequence, min_iou),
        count: Counts {
            result_boxes: sequence.result_boxes(),
            truth_boxes: sequence.truth_boxes(),
            result_ids: sequence.result_ids.len(),
            truth_ids: sequence.truth_ids.len(),
        },
    }
}

/// The scores of several sequences together, each counted by its boxes (not a mean of scores).
pub fn combine(scores: &[TrackingScores]) -> TrackingScores {
    let sum = |field: fn(&Counts) -> usize| scores.iter().map(|s| field(&s.count)).sum();
    TrackingScores {
        hota: hota::combine(&scores.iter().map(|s| &s.hota).collect::<Vec<_>>()),
        clear: clear::combine(&scores.iter().map(|s| &s.clear).collect::<Vec<_>>()),
        identity: identity::combine(&scores.iter().map(|s| &s.identity).collect::<Vec<_>>()),
        count: Counts {
            result_boxes: sum(|c| c.result_boxes),
            truth_boxes: sum(|c| c.truth_boxes),
            result_ids: sum(|c| c.result_ids),
            truth_ids: sum(|c| c.truth_ids),
        },
    }
}
