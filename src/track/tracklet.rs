//! One track of `eyeline`: its record, motion, appearance and place in life.

use super::{
    gallery::Gallery,
    input::Candidate,
    motion::{Motion, MotionNoise},
    record::Record,
};
use crate::geometry::{BBox, intersection_area};

/// Where a tracklet is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not believed yet.
    Tentative,
    /// Believed and seen in the last frame.
    Seen,
    /// Believed, not seen; its motion is still followed.
    Lost,
    /// Believed, not seen for long; known by its appearance alone.
    Absent,
}

/// One track of `eyeline`.
pub(super) struct Tracklet {
    pub record: Record,
    pub motion: Motion,
    pub gallery: Gallery,
    pub phase: Phase,
    /// Frames in which it was seen.
    pub hits: u32,
    /// When it began and was last seen, frames of the tracker's clock.
    pub began: f64,
    pub last_seen: f64,
    /// Where it should be now; after a match, where it is.
    pub bbox: BBox,
    /// Where it should have been in the frame of its last match.
    pub predicted: BBox,
    /// Direction of motion, where there is one.
    pub direction: Option<(f32, f32)>,
    /// Share of the box covered by tracks nearer to the camera, 0..=1.
    pub covered: f32,
    /// Whether its place means anything: not after a new epoch began.
    pub place_known: bool,
    /// Detection matched in this frame.
    pub detection: Option<usize>,
}

impl Tracklet {
    /// Begun by a detection, not believed yet.
    pub fn new(candidate: &Candidate, record: Record, gallery: Gallery, now: f64) -> Self {
        Self {
            record,
            motion: Motion::new(&candidate.bbox, now),
            gallery,
            phase: Phase::Tentative,
            hits: 1,
            began: now,
            last_seen: now,
            bbox: candidate.bbox,
            predicted: candidate.bbox,
            direction: None,
            covered: 0.0,
            place_known: true,
            detection: Some(candidate.index),
        }
    }

    /// Whether its motion is followed and believed.
    pub fn is_followed(&self) -> bool {
        matches!(self.phase, Phase::Seen | Phase::Lost)
    }

    /// Takes in the detection matched at `now`.
    pub fn see(&mut self, candidate: &Candidate, now: f64, noise: &MotionNoise) {
        self.motion.see(&candidate.bbox, candidate.score, now, noise);
        self.predicted = self.bbox;
        self.bbox = self.motion.bbox();
        self.last_seen = now;
        self.hits = self.hits.saturating_add(1);
        self.detection = Some(candidate.index);
        self.place_known = true;
        if self.phase != Phase::Tentative {
            self.phase = Phase::Seen;
        }
    }

    /// Forgets its motion and stands where it was found again.
    pub fn begin_anew(&mut self, candidate: &Candidate, now: f64) {
        self.motion = Motion::new(&candidate.bbox, now);
        self.bbox = candidate.bbox;
    }

    /// Goes on as `younger`, which turned out to be the same object: identity stays, motion is the younger's.
    pub fn take_over(&mut self, younger: Tracklet) {
        let Tracklet { record, motion, hits, last_seen, bbox, predicted, direction, detection, .. } = younger;
        self.record.take_over(&record);
        (self.motion, self.last_seen, self.bbox, self.predicted) = (motion, last_seen, bbox, predicted);
        (self.direction, self.detection) = (direction, detection);
        self.hits = self.hits.saturating_add(hits);
        self.place_known = true;
        self.phase = Phase::Seen;
    }
}

/// Share of `bbox` covered by `other`, 0..=1.
pub(super) fn coverage(bbox: &BBox, other: &BBox) -> f32 {
    let area = bbox.area();
    if area > 0.0 { intersection_area(bbox, other) / area } else { 0.0 }
}

/// Whether `other` stands nearer to the camera: on level ground its feet are lower in the picture.
pub(super) fn is_in_front(other: &BBox, bbox: &BBox) -> bool {
    other.bottom > bbox.bottom
}
