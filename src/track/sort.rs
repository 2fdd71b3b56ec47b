//! SORT, as a reference to compare with: Kalman prediction, one assignment by IoU, nothing else.
//!
//! Source: Bewley et al. 2016, "Simple Online and Realtime Tracking", with the published constants (at least 3 hits in
//! a row, IoU >= 0.3). Differs: time is measured, so that ages are spans and not frame counts.

use super::{
    Observations, Track, TrackIds, TrackState, Tracker,
    area_filter::AreaFilter,
    assignment::Assigner,
    clock::FrameClock,
    cost::CostBuffer,
    input::{Candidate, collect_usable},
    record::{Farewell, Record, View, sort_by_id},
    settings::TrackSettings,
};
use crate::geometry::{BBox, iou};

/// Matches in a row before a track is shown; in the first frames of a stream nothing waits.
pub(super) const MIN_HITS: u32 = 3;
/// Pairs that overlap less are no match.
pub(super) const MIN_IOU: f32 = 0.3;
/// Above every cost, so that the assignment is the plain rectangular one and is filtered afterwards.
pub(super) const NO_GATE: f32 = 1e3;

struct SortTrack {
    record: Record,
    filter: AreaFilter,
    predicted: BBox,
    last_seen: f64,
    /// Matches in a row since the track was last missed.
    streak: u32,
    detection: Option<usize>,
}

/// SORT.
pub(super) struct Sort {
    settings: TrackSettings,
    ids: TrackIds,
    clock: FrameClock,
    frames: u32,
    tracks: Vec<SortTrack>,
    candidates: Vec<Candidate>,
    taken: Vec<bool>,
    cost: CostBuffer,
    assigner: Assigner,
    farewell: Farewell,
}

impl Sort {
    pub fn new(settings: &TrackSettings, nominal_fps: f64, ids: TrackIds) -> Self {
        Self {
            settings: settings.clone(),
            ids,
            clock: FrameClock::new(nominal_fps),
            frames: 0,
            tracks: Vec::new(),
            candidates: Vec::new(),
            taken: Vec::new(),
            cost: CostBuffer::default(),
            assigner: Assigner::default(),
            farewell: Farewell::default(),
        }
    }

    fn predict(&mut self, dt: f64) {
        for track in &mut self.tracks {
            if track.detection.take().is_none() {
                track.streak = 0;
            }
            track.filter.predict(dt);
            track.predicted = track.filter.bbox();
        }
        let farewell = &mut self.farewell;
        self.tracks.retain(|track| {
            let sound = track.predicted.is_sound();
            if !sound {
                farewell.add(&track.record);
            }
            sound
        });
    }

    fn associate(&mut self, seen: &Observations<'_>) {
        let (tracks, candidates) = (&self.tracks, &self.candidates);
        let cost =
            self.cost.fill(tracks.len(), candidates.len(), |t, c| -iou(&tracks[t].predicted, &candidates[c].bbox));
        for &(t, c) in self.assigner.solve(cost, NO_GATE) {
            if -cost[(t, c)] < MIN_IOU {
                continue;
            }
            let (track, candidate) = (&mut self.tracks[t], &self.candidates[c]);
            self.taken[c] = true;
            track.filter.update(&candidate.bbox);
            track.record.see(candidate, seen.at);
            track.last_seen = self.clock.now();
            track.streak += 1;
            track.detection = Some(candidate.index);
        }
    }

    fn begin_tracks(&mut self, seen: &Observations<'_>) {
        for (candidate, _) in self.candidates.iter().zip(&self.taken).filter(|&(_, &taken)| !taken) {
            self.tracks.push(SortTrack {
                record: Record::new(candidate, seen.at),
                filter: AreaFilter::new(&candidate.bbox),
                predicted: candidate.bbox,
                last_seen: self.clock.now(),
                streak: 0,
                detection: Some(candidate.index),
            });
        }
    }

    fn report(&mut self, out: &mut Vec<Track>) {
        let early = self.frames <= MIN_HITS;
        let (clock, settings, ids) = (&self.clock, &self.settings, &self.ids);
        self.tracks.retain_mut(|track| {
            if clock.is_past(track.last_seen, settings.max_lost) {
                out.extend(track.record.report_removed());
                return false;
            }
            let shown = track.detection.is_some() && (early || track.streak >= MIN_HITS);
            if shown {
                track.record.confirm(ids);
            }
            let state = if track.detection.is_some() { TrackState::Confirmed } else { TrackState::Lost };
            let bbox = track.filter.bbox();
            out.extend(track.record.report(View { state, bbox, detection: track.detection, shown }));
            true
        });
    }
}

impl Tracker for Sort {
    fn update(&mut self, seen: &Observations<'_>, out: &mut Vec<Track>) {
        out.clear();
        let dt = self.clock.advance(seen.at);
        self.frames = self.frames.saturating_add(1);
        let high = self.settings.high_score;
        collect_usable(seen.detections, high, &mut self.candidates);
        // The reference runs take scores above the threshold, not at it.
        self.candidates.retain(|candidate| candidate.score > high);
        self.taken.clear();
        self.taken.resize(self.candidates.len(), false);
        self.predict(dt);
        self.associate(seen);
        self.begin_tracks(seen);
        self.report(out);
        self.farewell.drain_into(out);
        sort_by_id(out);
    }

    fn restart_motion(&mut self) {
        for track in self.tracks.drain(..) {
            self.farewell.add(&track.record);
        }
    }

    fn finish(&mut self, out: &mut Vec<Track>) {
        out.clear();
        self.restart_motion();
        self.farewell.drain_into(out);
        sort_by_id(out);
    }
}
