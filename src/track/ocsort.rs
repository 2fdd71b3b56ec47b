//! OC-SORT, as a reference to compare with: SORT that trusts observations more than its filter.
//!
//! Source: Cao et al. 2023, "Observation-Centric SORT", with the published constants: direction of motion in the cost
//! (momentum), recovery from the last observation, re-update of the filter along a virtual trajectory. Differs: time is
//! measured, so that ages and the step of the direction are spans and not frame counts.

use super::{
    Observations, Track, TrackIds, TrackState, Tracker,
    area_filter::AreaFilter,
    assignment::Assigner,
    clock::FrameClock,
    cost::CostBuffer,
    input::{Candidate, collect_usable},
    motion::unit_vector,
    record::{Farewell, Record, View, sort_by_id},
    settings::TrackSettings,
    sort::{MIN_HITS, MIN_IOU, NO_GATE},
};
use crate::geometry::{BBox, iou};
use std::f32::consts::PI;

/// Weight of the direction of motion ("inertia").
const DIRECTION_WEIGHT: f32 = 0.2;
/// How far back directions are taken from, frames ("delta t").
const LOOKBACK: f64 = 3.0;
/// Observations kept for that, at most one a frame.
const HISTORY: usize = 4;
/// Longest virtual trajectory, steps; longer gaps take longer steps.
const MAX_VIRTUAL_STEPS: f64 = 120.0;
/// Slack in comparing times, frames.
const SLACK: f64 = 0.25;

struct OcTrack {
    record: Record,
    filter: AreaFilter,
    /// The filter as it was predicted for the first frame the track was missed in, and when that was.
    frozen: Option<(AreaFilter, f64)>,
    predicted: BBox,
    /// (when, where), newest last; empty until the second sight, as in the authors' code.
    observations: Vec<(f64, BBox)>,
    direction: Option<(f32, f32)>,
    last_seen: f64,
    streak: u32,
    detection: Option<usize>,
}

impl OcTrack {
    fn new(candidate: &Candidate, seen: &Observations<'_>, now: f64) -> Self {
        Self {
            record: Record::new(candidate, seen.at),
            filter: AreaFilter::new(&candidate.bbox),
            frozen: None,
            predicted: candidate.bbox,
            observations: Vec::with_capacity(HISTORY + 1),
            direction: None,
            last_seen: now,
            streak: 0,
            detection: Some(candidate.index),
        }
    }

    /// The observation `LOOKBACK` frames before `now`, else the oldest younger one, else the newest.
    fn reference(&self, now: f64) -> Option<BBox> {
        let young = |(at, _): &&(f64, BBox)| now - at <= LOOKBACK + SLACK;
        self.observations.iter().find(young).or(self.observations.last()).map(|&(_, bbox)| bbox)
    }

    fn see(&mut self, candidate: &Candidate, seen: &Observations<'_>, now: f64) {
        if !self.observations.is_empty() || self.streak > 0 {
            let reference = self.observations.iter().find(|(at, _)| now - at <= LOOKBACK + SLACK);
            let from = reference.map_or(self.record.last_bbox, |&(_, bbox)| bbox);
            self.direction = unit_vector(from.center(), candidate.bbox.center());
        }
        if let Some((filter, missed_at)) = self.frozen.take() {
            self.filter = filter;
            self.run_virtual_trajectory(&candidate.bbox, missed_at, now);
        }
        self.filter.update(&candidate.bbox);
        if self.observations.len() == HISTORY {
            self.observations.remove(0);
        }
        self.observations.push((now, candidate.bbox));
        self.record.see(candidate, seen.at);
        self.last_seen = now;
        self.streak += 1;
        self.detection = Some(candidate.index);
    }

    /// Feeds the filter boxes on the straight line from the last observation to `to`, one a frame since `missed_at`.
    fn run_virtual_trajectory(&mut self, to: &BBox, missed_at: f64, now: f64) {
        let (from, gap) = (self.record.last_bbox, now - self.last_seen);
        let steps = (now - missed_at).round().clamp(0.0, MAX_VIRTUAL_STEPS);
        let step = if steps > 0.0 { (now - missed_at) / steps } else { 0.0 };
        for i in 0..=steps as u32 {
            if i > 0 {
                self.filter.predict(step);
            }
            let share = (missed_at + step * f64::from(i) - self.last_seen) / gap;
            self.filter.update(&between(&from, to, share as f32));
        }
    }
}

/// The box at `share` of the way, centre and size moving evenly.
fn between(from: &BBox, to: &BBox, share: f32) -> BBox {
    let mix = |a: f32, b: f32| a + (b - a) * share;
    let (from_center, to_center) = (from.center(), to.center());
    BBox::from_cxcywh(
        mix(from_center.0, to_center.0),
        mix(from_center.1, to_center.1),
        mix(from.width(), to.width()),
        mix(from.height(), to.height()),
    )
}

/// OC-SORT.
pub(super) struct OcSort {
    settings: TrackSettings,
    ids: TrackIds,
    clock: FrameClock,
    frames: u32,
    tracks: Vec<OcTrack>,
    candidates: Vec<Candidate>,
    taken: Vec<bool>,
    rows: Vec<usize>,
    columns: Vec<usize>,
    cost: CostBuffer,
    assigner: Assigner,
    farewell: Farewell,
}

impl OcSort {
    pub fn new(settings: &TrackSettings, nominal_fps: f64, ids: TrackIds) -> Self {
        Self {
            settings: settings.clone(),
            ids,
            clock: FrameClock::new(nominal_fps),
            frames: 0,
            tracks: Vec::new(),
            candidates: Vec::new(),
            taken: Vec::new(),
            rows: Vec::new(),
            columns: Vec::new(),
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

    /// IoU with the prediction, plus how well the detection lies in the track's direction.
    fn associate_by_momentum(&mut self, seen: &Observations<'_>) {
        let (tracks, candidates, now) = (&self.tracks, &self.candidates, self.clock.now());
        let cost = self.cost.fill(tracks.len(), candidates.len(), |t, c| {
            let (track, candidate) = (&tracks[t], &candidates[c]);
            -iou(&track.predicted, &candidate.bbox) - DIRECTION_WEIGHT * agreement(track, candidate, now)
        });
        for &(t, c) in self.assigner.solve(cost, NO_GATE) {
            if iou(&self.tracks[t].predicted, &self.candidates[c].bbox) >= MIN_IOU {
                self.taken[c] = true;
                self.tracks[t].see(&self.candidates[c], seen, now);
            }
        }
    }

    /// What is left over is compared with the last observation of each track.
    fn recover(&mut self, seen: &Observations<'_>) {
        self.rows.clear();
        self.rows.extend((0..self.tracks.len()).filter(|&t| self.tracks[t].detection.is_none()));
        self.columns.clear();
        self.columns.extend((0..self.candidates.len()).filter(|&c| !self.taken[c]));
        let (rows, columns, tracks, candidates) = (&self.rows, &self.columns, &self.tracks, &self.candidates);
        let cost = self.cost.fill(rows.len(), columns.len(), |r, c| {
            -iou(&tracks[rows[r]].record.last_bbox, &candidates[columns[c]].bbox)
        });
        for &(r, c) in self.assigner.solve(cost, NO_GATE) {
            if -cost[(r, c)] >= MIN_IOU {
                self.taken[columns[c]] = true;
                self.tracks[rows[r]].see(&self.candidates[columns[c]], seen, self.clock.now());
            }
        }
    }

    fn freeze_missed(&mut self) {
        let now = self.clock.now();
        for track in self.tracks.iter_mut().filter(|t| t.detection.is_none() && t.frozen.is_none()) {
            track.frozen = Some((track.filter, now));
        }
    }

    fn begin_tracks(&mut self, seen: &Observations<'_>) {
        for (candidate, _) in self.candidates.iter().zip(&self.taken).filter(|&(_, &taken)| !taken) {
            self.tracks.push(OcTrack::new(candidate, seen, self.clock.now()));
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
            let (state, bbox) = match track.detection {
                Some(_) => (TrackState::Confirmed, track.record.last_bbox),
                None => (TrackState::Lost, track.predicted),
            };
            out.extend(track.record.report(View { state, bbox, detection: track.detection, shown }));
            true
        });
    }
}

/// -0.5..=0.5 times the score: 0.5 for a detection straight ahead of the track, less to the side and behind.
fn agreement(track: &OcTrack, candidate: &Candidate, now: f64) -> f32 {
    let to = track.reference(now).and_then(|from| unit_vector(from.center(), candidate.bbox.center()));
    if track.observations.is_empty() {
        return 0.0;
    }
    // Where a direction is missing the authors take a zero vector, whose angle to anything is a right one.
    let (track, to) = (track.direction.unwrap_or_default(), to.unwrap_or_default());
    let angle = (track.0 * to.0 + track.1 * to.1).clamp(-1.0, 1.0).acos();
    (PI / 2.0 - angle) / PI * candidate.score
}

impl Tracker for OcSort {
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
        self.associate_by_momentum(seen);
        self.recover(seen);
        self.freeze_missed();
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
