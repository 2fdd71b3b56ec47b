//! `eyeline`, the default tracker: what measures best of what the field has found (DESIGN.md, section 5).
//!
//! A frame goes through: predict (with the camera) -> associate in four rounds -> begin, confirm and drop tracks -> report.
//! Each round matches a part of the tracks with a part of the detections; what is matched leaves the later rounds.

use super::{
    Observations, Track, TrackIds, TrackState, Tracker,
    assignment::Assigner,
    camera_motion::Warp,
    clock::FrameClock,
    cost::{CostBuffer, Pairing, pair_cost},
    gallery::Gallery,
    input::{Candidate, collect_usable},
    motion::MotionNoise,
    record::{Farewell, Record, View, sort_by_id},
    settings::TrackSettings,
    tracklet::{Phase, Tracklet, coverage, is_in_front},
};
use crate::geometry::iou;

/// Tracks and detections of one round of association, as places in their lists.
#[derive(Debug, Default)]
struct Round {
    tracks: Vec<usize>,
    candidates: Vec<usize>,
}

/// The default tracker.
pub(super) struct EyelineTracker {
    settings: TrackSettings,
    noise: MotionNoise,
    ids: TrackIds,
    clock: FrameClock,
    /// No track has been believed in this epoch yet.
    fresh: bool,
    tracks: Vec<Tracklet>,
    candidates: Vec<Candidate>,
    taken: Vec<bool>,
    round: Round,
    cost: CostBuffer,
    assigner: Assigner,
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
            taken: Vec::new(),
            round: Round::default(),
            cost: CostBuffer::default(),
            assigner: Assigner::default(),
            farewell: Farewell::default(),
        }
    }

    fn predict(&mut self, seen: &Observations<'_>, dt: f64) {
        let warp = seen.camera.and_then(Warp::new);
        let damping = f64::from(self.settings.lost_damping).powf(dt);
        for track in &mut self.tracks {
            track.detection = None;
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

    /// Picks what takes part in a round: tracks and detections still free that the conditions accept.
    fn select(&mut self, tracks: impl Fn(&Tracklet) -> bool, candidates: impl Fn(&Candidate) -> bool) {
        let Round { tracks: rows, candidates: columns } = &mut self.round;
        rows.clear();
        rows.extend((0..self.tracks.len()).filter(|&t| self.tracks[t].detection.is_none() && tracks(&self.tracks[t])));
        columns.clear();
        columns.extend((0..self.candidates.len()).filter(|&c| !self.taken[c] && candidates(&self.candidates[c])));
    }

    fn associate(&mut self, seen: &Observations<'_>, pairing: &Pairing) {
        let Round { tracks: rows, candidates: columns } = &self.round;
        let (tracks, candidates, now) = (&self.tracks, &self.candidates, self.clock.now());
        let cost = self.cost.fill(rows.len(), columns.len(), |r, c| {
            pair_cost(&tracks[rows[r]], &candidates[columns[c]], now, pairing, &self.settings)
        });
        for &(r, c) in self.assigner.solve(cost, pairing.gate) {
            let (track, candidate) = (&mut self.tracks[rows[r]], &self.candidates[columns[c]]);
            self.taken[columns[c]] = true;
            track.see(candidate, now, &self.noise);
            track.record.see(candidate, seen.at);
        }
    }

    fn associate_all(&mut self, seen: &Observations<'_>) {
        let s = self.settings.clone();
        let high = |c: &Candidate| c.score >= s.high_score;
        self.select(|t| t.phase != Phase::Tentative, high);
        self.associate(seen, &Pairing::first(&s));
        let (now, low_lost) = (self.clock.now(), self.clock.frames(s.low_max_lost));
        self.select(|t| t.phase != Phase::Tentative && now - t.last_seen <= low_lost + 1.01, |c| !high(c));
        self.associate(seen, &Pairing::low(&s));
        self.select(|t| t.phase != Phase::Tentative, high);
        self.associate(seen, &Pairing::recovery(&s));
        self.select(|t| t.phase == Phase::Tentative, |_| true);
        self.associate(seen, &Pairing::tentative(&s));
    }

    fn begin_tracks(&mut self, seen: &Observations<'_>) {
        for c in 0..self.candidates.len() {
            let candidate = &self.candidates[c];
            let room = self.tracks.len() < self.settings.max_tracks;
            if self.taken[c] || candidate.score < self.settings.new_track_score || !room {
                continue;
            }
            let twin =
                |t: &Tracklet| t.detection.is_some() && iou(&t.bbox, &candidate.bbox) > self.settings.birth_max_iou;
            if self.tracks.iter().any(twin) {
                continue;
            }
            let record = Record::new(candidate, seen.at);
            self.tracks.push(Tracklet::new(candidate, record, Gallery::new(0), self.clock.now()));
        }
    }

    /// Moves every track on in its life and drops those at its end.
    fn age_tracks(&mut self, out: &mut Vec<Track>) {
        let (clock, s, ids) = (&self.clock, &self.settings, &self.ids);
        let fresh = self.fresh;
        let mut any_confirmed = false;
        self.tracks.retain_mut(|track| {
            let missed = track.detection.is_none();
            match track.phase {
                Phase::Tentative if missed => return !clock.is_past(track.last_seen, s.tentative_max_lost),
                Phase::Tentative => {
                    let sure = fresh || track.hits as usize >= s.confirm_hits || track.record.score >= s.instant_score;
                    if sure {
                        track.record.confirm(ids);
                        track.phase = Phase::Seen;
                    }
                }
                Phase::Seen if missed => track.phase = Phase::Lost,
                Phase::Seen | Phase::Lost => {}
            }
            any_confirmed |= track.phase != Phase::Tentative;
            let gone = track.phase == Phase::Lost && clock.is_past(track.last_seen, s.max_lost);
            if gone {
                out.extend(track.record.report_removed());
            }
            !gone
        });
        self.fresh &= !any_confirmed;
    }

    /// How much of each lost track is hidden behind tracks that are seen.
    fn measure_coverage(&mut self) {
        for lost in 0..self.tracks.len() {
            if self.tracks[lost].phase != Phase::Lost {
                continue;
            }
            let bbox = self.tracks[lost].bbox;
            let front = self.tracks.iter().filter(|t| t.phase == Phase::Seen && is_in_front(&t.bbox, &bbox));
            self.tracks[lost].covered = front.map(|t| coverage(&bbox, &t.bbox)).fold(0.0, f32::max);
        }
    }

    /// A lost track on the place of a seen one is the same object twice; the one that lived longer stays.
    fn remove_duplicates(&mut self, out: &mut Vec<Track>) {
        let max_iou = self.settings.duplicate_iou;
        for lost in (0..self.tracks.len()).rev() {
            if self.tracks[lost].phase != Phase::Lost {
                continue;
            }
            let twin =
                |track: &Tracklet| track.phase == Phase::Seen && iou(&track.bbox, &self.tracks[lost].bbox) > max_iou;
            let Some(seen) = self.tracks.iter().position(twin) else { continue };
            let age = |t: usize| self.tracks[t].last_seen - self.tracks[t].began;
            let loser = if age(seen) >= age(lost) { lost } else { seen };
            out.extend(self.tracks.remove(loser).record.report_removed());
        }
    }

    fn report(&mut self, seen: &Observations<'_>, out: &mut Vec<Track>) {
        for track in &self.tracks {
            let (state, bbox, shown) = match track.phase {
                Phase::Tentative => continue,
                Phase::Seen => {
                    let share = self.settings.observed_share;
                    let found = track.detection.and_then(|d| seen.detections.get(d)).map_or(track.bbox, |d| d.bbox);
                    (TrackState::Confirmed, blend(&track.bbox, &found, share), true)
                }
                Phase::Lost => {
                    let hidden = track.covered >= self.settings.hidden_coverage;
                    let span = if hidden { self.settings.shown_hidden } else { self.settings.shown_lost };
                    (TrackState::Lost, track.bbox, !self.clock.is_past(track.last_seen, span))
                }
            };
            out.extend(track.record.report(View { state, bbox, detection: track.detection, shown }));
        }
    }
}

/// How far back the direction of motion is taken from, frames: Cao et al. 2023 use 3.
const DIRECTION_LOOKBACK: f64 = 3.0;

/// `share` of the second box, the rest of the first.
fn blend(first: &crate::geometry::BBox, second: &crate::geometry::BBox, share: f32) -> crate::geometry::BBox {
    let mix = |a: f32, b: f32| a + (b - a) * share;
    crate::geometry::BBox::new(
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
        collect_usable(seen.detections, self.settings.low_score, &mut self.candidates);
        self.taken.clear();
        self.taken.resize(self.candidates.len(), false);
        self.predict(seen, dt);
        self.associate_all(seen);
        self.begin_tracks(seen);
        self.age_tracks(out);
        self.remove_duplicates(out);
        self.measure_coverage();
        self.report(seen, out);
        self.farewell.drain_into(out);
        sort_by_id(out);
    }

    fn restart_motion(&mut self) {
        self.fresh = true;
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
