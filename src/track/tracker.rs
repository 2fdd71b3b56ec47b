//! `eyeline`, the default tracker: what measures best of what the field has found (DESIGN.md, section 5).
//!
//! A frame goes through: predict (with the camera) -> associate in rounds (`rounds`) -> begin, confirm, merge and drop
//! tracks (`life`) -> report. Appearance is optional and takes part wherever a detection has an embedding.

use super::{
    Observations, Track, TrackIds, TrackState, Tracker,
    appearance::{Calibration, Looks},
    assignment::Assigner,
    camera_motion::Warp,
    clock::FrameClock,
    cost::CostBuffer,
    ended::EndedTracks,
    input::{Candidate, collect_usable},
    motion::MotionNoise,
    record::{Farewell, View, sort_by_id},
    rounds::Round,
    settings::TrackSettings,
    tracklet::{Phase, Tracklet},
};
use crate::geometry::BBox;

/// How far back the direction of motion is taken from, frames: Cao et al. 2023 use 3.
const DIRECTION_LOOKBACK: f64 = 3.0;

/// The default tracker.
pub(super) struct EyelineTracker {
    pub(super) settings: TrackSettings,
    pub(super) noise: MotionNoise,
    pub(super) ids: TrackIds,
    pub(super) clock: FrameClock,
    /// No track has been believed in this epoch yet.
    pub(super) fresh: bool,
    pub(super) tracks: Vec<Tracklet>,
    pub(super) candidates: Vec<Candidate>,
    /// The track that each candidate was matched with, as its place in `tracks`.
    pub(super) taken_by: Vec<Option<usize>>,
    pub(super) looks: Looks,
    pub(super) calibration: Calibration,
    pub(super) round: Round,
    pub(super) cost: CostBuffer,
    pub(super) assigner: Assigner,
    pub(super) ended: EndedTracks,
    farewell: Farewell,
}

impl EyelineTracker {
    pub fn new(settings: &TrackSettings, nominal_fps: f64, ids: TrackIds) -> Self {
        Self {
            settings: settings.clone(),
            noise: MotionNoise {
                score_trust: f64::from(settings.score_trust),
                process: f64::from(settings.process_noise),
            },
            ids,
            clock: FrameClock::new(nominal_fps),
            fresh: true,
            tracks: Vec::new(),
            candidates: Vec::new(),
            taken_by: Vec::new(),
            looks: Looks::default(),
            calibration: Calibration::default(),
            round: Round::default(),
            cost: CostBuffer::default(),
            assigner: Assigner::default(),
            ended: EndedTracks::default(),
            farewell: Farewell::default(),
        }
    }

    /// Takes in the frame's detections and embeddings, checked.
    fn read(&mut self, seen: &Observations<'_>) {
        collect_usable(seen.detections, self.settings.low_score, &mut self.candidates);
        self.taken_by.clear();
        self.taken_by.resize(self.candidates.len(), None);
        self.looks.read(seen, &self.candidates);
    }

    fn predict(&mut self, seen: &Observations<'_>, dt: f64) {
        let warp = seen.camera.and_then(Warp::new);
        let damping = f64::from(self.settings.lost_damping).powf(dt);
        for track in &mut self.tracks {
            track.detection = None;
            if track.phase == Phase::Absent {
                continue;
            }
            if let Some(warp) = &warp {
                track.motion.warp(warp);
            }
            if track.phase == Phase::Lost {
                track.motion.hold_size();
                track.motion.damp(damping);
            }
            track.motion.predict(dt, &self.noise);
            track.bbox = track.motion.bbox();
            track.direction = track.motion.direction(DIRECTION_LOOKBACK);
        }
    }

    fn report(&self, seen: &Observations<'_>, out: &mut Vec<Track>) {
        for track in &self.tracks {
            let (state, bbox, shown) = match track.phase {
                Phase::Tentative => continue,
                Phase::Seen => {
                    let found = track.detection.and_then(|d| seen.detections.get(d)).map_or(track.bbox, |d| d.bbox);
                    (TrackState::Confirmed, blend(&track.bbox, &found, self.settings.observed_share), true)
                }
                Phase::Lost => {
                    let hidden = track.covered >= self.settings.hidden_coverage;
                    let span = if hidden { self.settings.shown_hidden } else { self.settings.shown_lost };
                    (TrackState::Lost, track.bbox, !self.clock.is_past(track.last_seen, span))
                }
                Phase::Absent => (TrackState::Lost, track.bbox, false),
            };
            out.extend(track.record.report(View { state, bbox, detection: track.detection, shown }));
        }
    }
}

/// `share` of the second box, the rest of the first.
fn blend(first: &BBox, second: &BBox, share: f32) -> BBox {
    let mix = |a: f32, b: f32| a + (b - a) * share;
    BBox::new(
        mix(first.left, second.left),
        mix(first.top, second.top),
        mix(first.right, second.right),
        mix(first.bottom, second.bottom),
    )
}

impl Tracker for EyelineTracker {
    fn update(&mut self, seen: &Observations<'_>, out: &mut Vec<Track>) {
        out.clear();
        let dt = self.clock.advance(seen.at);
        self.read(seen);
        self.predict(seen, dt);
        self.associate(seen);
        self.remember_looks(seen);
        self.begin_tracks(seen);
        self.confirm_tracks(out);
        self.retire_tracks(out);
        self.remove_duplicates(out);
        self.measure_coverage();
        self.report(seen, out);
        self.farewell.drain_into(out);
        sort_by_id(out);
    }

    /// Tracks without appearance end here, as nothing is left to know them by; the others wait to be found again,
    /// wherever they turn up.
    fn restart_motion(&mut self) {
        self.fresh = true;
        let farewell = &mut self.farewell;
        self.tracks.retain_mut(|track| {
            let known = track.phase != Phase::Tentative && !track.gallery.is_empty();
            if known {
                track.phase = Phase::Absent;
                track.place_known = false;
            } else {
                farewell.add(&track.record);
            }
            known
        });
    }

    fn finish(&mut self, out: &mut Vec<Track>) {
        out.clear();
        for track in self.tracks.drain(..) {
            self.farewell.add(&track.record);
        }
        self.fresh = true;
        self.farewell.drain_into(out);
        sort_by_id(out);
    }
}
