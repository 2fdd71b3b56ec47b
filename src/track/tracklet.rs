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
    /// Believed, not seen.
    Lost,
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
    /// Direction of motion, where there is one.
    pub direction: Option<(f32, f32)>,
    /// Share of the box covered by tracks nearer to the camera, 0..=1.
    pub covered: f32,
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
            direction: None,
            covered: 0.0,
            detection: Some(candidate.index),
        }
    }

    /// Takes in the detection matched at `now`.
    pub fn see(&mut self, candidate: &Candidate, now: f64, noise: &MotionNoise) {
        self.motion.see(&candidate.bbox, candidate.score, now, noise);
        self.bbox = self.motion.bbox();
        self.last_seen = now;
        self.hits = self.hits.saturating_add(1);
        self.detection = Some(candidate.index);
        if self.phase == Phase::Lost {
            self.phase = Phase::Seen;
        }
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
