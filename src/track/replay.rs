//! Runs a tracker over detections made earlier: what `eyeline track`, `eyeline tune` and the offline refinement share.

use super::{Observations, Track, TrackId, TrackIds, TrackState, build, settings::TrackSettings};
use crate::{detect::Detection, embed::Embedding, geometry::BBox, time::MediaTime};
use std::time::{Duration, Instant};

/// What was found in one frame.
#[derive(Clone, Debug, Default)]
pub struct RecordedFrame {
    /// Detections, any order.
    pub detections: Vec<Detection>,
    /// Their embeddings in the same order, or empty.
    pub embeddings: Vec<Option<Embedding>>,
    /// Camera motion from the frame before.
    pub camera: Option<[f32; 6]>,
}

/// A sequence of frames at a steady rate, the first at time 0.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Frames a second.
    pub fps: f64,
    /// Every frame, those without detections too.
    pub frames: Vec<RecordedFrame>,
}

impl Recording {
    /// Presentation time of frame `index`, from 0.
    pub fn time(&self, index: usize) -> MediaTime {
        MediaTime::from_secs_f64(index as f64 / self.fps)
    }

    /// The frame shown at `time`, from 0.
    fn frame_at(&self, time: MediaTime) -> usize {
        (time.as_secs_f64() * self.fps).round().max(0.0) as usize
    }
}

/// One box of one track: a row of a result file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackPoint {
    /// Frame, from 0.
    pub frame: usize,
    /// Whose.
    pub id: TrackId,
    /// Where.
    pub bbox: BBox,
    /// Score of the last detection that fed the track.
    pub score: f32,
    /// Whether a detection lies behind it, and no prediction.
    pub seen: bool,
    /// Frame of the track's first detection, which may lie before it was believed.
    pub began: usize,
}

/// What came of a replay.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// Every shown box, by frame, then id.
    pub points: Vec<TrackPoint>,
    /// Time spent in the tracker alone.
    pub tracking: Duration,
}

/// Follows the objects of a whole recording.
pub fn replay(settings: &TrackSettings, recording: &Recording) -> Replayed {
    let mut tracker = build(settings, recording.fps, TrackIds::default());
    let (mut replayed, mut tracks) = (Replayed::default(), Vec::new());
    for (frame, recorded) in recording.frames.iter().enumerate() {
        let RecordedFrame { detections, embeddings, camera } = recorded;
        let seen = Observations { at: recording.time(frame), detections, embeddings, camera: *camera };
        let started = Instant::now();
        tracker.update(&seen, &mut tracks);
        replayed.tracking += started.elapsed();
        replayed.points.extend(tracks.iter().filter(|track| track.shown).map(|track| {
            let &Track { id, bbox, score, state, first_seen, .. } = track;
            let began = recording.frame_at(first_seen);
            TrackPoint { frame, id, bbox, score, seen: state == TrackState::Confirmed, began }
        }));
    }
    replayed
}
