//! Costs of pairing tracks with detections.

use super::{appearance::Looks, input::Candidate, motion::unit_vector, settings::TrackSettings, tracklet::Tracklet};
use crate::{
    detect::ClassId,
    geometry::{BBox, iou},
};
use ndarray::{ArrayView2, ArrayViewMut2};

/// Memory for one cost matrix after another.
#[derive(Debug, Default)]
pub(super) struct CostBuffer(Vec<f32>);

impl CostBuffer {
    /// The matrix (tracks, detections) of `cost(track, detection)`.
    pub fn fill(&mut self, rows: usize, columns: usize, cost: impl Fn(usize, usize) -> f32) -> ArrayView2<'_, f32> {
        self.0.clear();
        self.0.resize(rows * columns, 0.0);
        let mut matrix =
            ArrayViewMut2::from_shape((rows, columns), &mut self.0).expect("the buffer was made rows x columns long");
        for (row, mut line) in matrix.rows_mut().into_iter().enumerate() {
            for (column, value) in line.iter_mut().enumerate() {
                *value = cost(row, column);
            }
        }
        ArrayView2::from_shape((rows, columns), &self.0).expect("the buffer was made rows x columns long")
    }
}

/// How one round of association prices a pair.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pairing {
    /// Pairs of this cost or more are no match.
    pub gate: f32,
    /// Boxes grow by this share of their size on every side before they are compared.
    pub buffer: f32,
    /// Compare with the last observation instead of the prediction.
    pub from: Origin,
    /// Whether score and direction count.
    pub cues: Cues,
    /// Weight of full certainty by appearance.
    pub appearance_weight: f32,
}

/// Which box of a track is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Where it should be.
    Prediction,
    /// Where it was.
    LastBox,
}

/// What counts besides overlap and height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cues {
    /// Direction of motion and score.
    All,
    /// Nothing.
    Overlap,
}

impl Pairing {
    /// Believed tracks and detections of high score.
    pub fn first(s: &TrackSettings, looks: &Looks) -> Self {
        Self {
            gate: s.first_gate,
            buffer: s.first_buffer,
            from: Origin::Prediction,
            cues: Cues::All,
            appearance_weight: appearance_weight(s, looks),
        }
    }

    /// Believed tracks and detections of low score.
    pub fn low(s: &TrackSettings, looks: &Looks) -> Self {
        Self {
            gate: s.low_gate,
            buffer: s.low_buffer,
            from: Origin::Prediction,
            cues: Cues::Overlap,
            appearance_weight: appearance_weight(s, looks),
        }
    }

    /// What stayed unmatched, compared with where the track was last seen: after Cao et al. 2023, section 4.3.
    pub fn recovery(s: &TrackSettings, looks: &Looks) -> Self {
        Self {
            gate: s.recovery_gate,
            buffer: s.recovery_buffer,
            from: Origin::LastBox,
            cues: Cues::Overlap,
            appearance_weight: appearance_weight(s, looks),
        }
    }

    /// Tracks not believed yet.
    pub fn tentative(s: &TrackSettings, looks: &Looks) -> Self {
        Self {
            gate: s.tentative_gate,
            buffer: 0.0,
            from: Origin::Prediction,
            cues: Cues::Overlap,
            appearance_weight: appearance_weight(s, looks),
        }
    }
}

/// Appearance counts where there are embeddings.
fn appearance_weight(s: &TrackSettings, looks: &Looks) -> f32 {
    if looks.is_empty() { 0.0 } else { s.appearance_weight }
}

/// The side of a track in the pairs of a round: worked out once, compared with many detections.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrackSide {
    /// The box that is compared.
    pub bbox: BBox,
    last_center: (f32, f32),
    direction: Option<(f32, f32)>,
    class: ClassId,
    score: f32,
}

impl TrackSide {
    pub fn new(track: &Tracklet, pairing: &Pairing) -> Self {
        let last = track.motion.last_box();
        let bbox = if pairing.from == Origin::LastBox { last } else { track.bbox };
        let (class, score) = (track.record.class(), track.record.score);
        Self { bbox, last_center: last.center(), direction: track.direction, class, score }
    }

    /// Cost of the pair, lower is better; infinite where the boxes, grown, do not meet or the gate is out of reach.
    pub fn cost(&self, candidate: &Candidate, pairing: &Pairing, s: &TrackSettings) -> f32 {
        let overlap = buffered_iou(&self.bbox, &candidate.bbox, pairing.buffer);
        // Nothing below adds more than the weights: most neighbours are out before the costly cues are asked.
        if overlap <= 0.0 || overlap + s.direction_weight / 2.0 + pairing.appearance_weight <= 1.0 - pairing.gate {
            return f32::INFINITY;
        }
        let mut similarity = overlap;
        if s.height_power > 0.0 {
            similarity *= power(height_iou(&self.bbox, &candidate.bbox), s.height_power);
        }
        if candidate.class != self.class {
            similarity *= OTHER_CLASS;
        }
        if pairing.cues == Cues::All {
            if s.score_fusion > 0.0 {
                similarity *= power(candidate.score, s.score_fusion);
            }
            similarity += s.direction_weight * self.direction_agreement(candidate);
            similarity -= s.score_weight * (self.score - candidate.score).abs();
        }
        1.0 - similarity
    }

    /// How well a detection lies in the direction of motion, -0.5..=0.5 times its score (Cao et al. 2023, section 4.2).
    fn direction_agreement(&self, candidate: &Candidate) -> f32 {
        let to = unit_vector(self.last_center, candidate.bbox.center());
        let (Some(from), Some(to)) = (self.direction, to) else { return 0.0 };
        let angle = (from.0 * to.0 + from.1 * to.1).clamp(-1.0, 1.0).acos();
        (0.5 - angle / std::f32::consts::PI) * candidate.score
    }
}

/// `base` to the power `exponent`. A root or the value itself, which the defaults ask for, costs a tenth of `powf`, which
/// was a third of a frame's time.
fn power(base: f32, exponent: f32) -> f32 {
    if exponent == 1.0 {
        base
    } else if exponent == 0.5 {
        base.sqrt()
    } else {
        base.powf(exponent)
    }
}

/// What remains of the similarity if the classes differ: detectors waver between car and truck, but a person on a
/// bicycle is two tracks.
const OTHER_CLASS: f32 = 0.6;

/// IoU of two boxes, each grown by `buffer` of its width and height on every side (Yang et al. 2023, C-BIoU).
fn buffered_iou(a: &BBox, b: &BBox, buffer: f32) -> f32 {
    if buffer <= 0.0 {
        return iou(a, b);
    }
    iou(&grown(a, buffer), &grown(b, buffer))
}

fn grown(bbox: &BBox, share: f32) -> BBox {
    let (dx, dy) = (bbox.width() * share, bbox.height() * share);
    BBox::new(bbox.left - dx, bbox.top - dy, bbox.right + dx, bbox.bottom + dy)
}

/// IoU of the vertical extents (Yang et al. 2024, Hybrid-SORT): people keep their height when they turn.
fn height_iou(a: &BBox, b: &BBox) -> f32 {
    let shared = a.bottom.min(b.bottom) - a.top.max(b.top);
    let all = a.bottom.max(b.bottom) - a.top.min(b.top);
    (shared / all).clamp(0.0, 1.0)
}
