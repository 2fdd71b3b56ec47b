//! ByteTrack, as a reference to compare with: every detection box counts, those of low score in a second assignment.
//!
//! Source: Zhang et al. 2022, "ByteTrack: Multi-Object Tracking by Associating Every Detection Box", with the published
//! constants. Differs: time is measured, so that the buffer of lost tracks is a span and not a frame count.

use super::{
    Observations, Track, TrackIds, TrackState, Tracker,
    assignment::Assigner,
    clock::FrameClock,
    cost::CostBuffer,
    input::{Candidate, collect_usable},
    kalman::{BoxFilter, ProcessNoise},
    record::{Farewell, Record, View, sort_by_id},
    settings::TrackSettings,
};
use crate::geometry::{BBox, iou};

/// Greatest cost (1 - IoU x score) in the first assignment.
const FIRST_GATE: f32 = 0.9;
/// Greatest cost (1 - IoU) in the second, of tracks just seen and boxes of low score.
const SECOND_GATE: f32 = 0.5;
/// Greatest cost (1 - IoU x score) for the second sight of a new track.
const UNCONFIRMED_GATE: f32 = 0.7;
/// A lost and a seen track that overlap more are one object twice.
const DUPLICATE_IOU: f32 = 0.85;
/// Standard deviations as shares of the box height (Wojke et al. 2017); the aspect ratio has its own.
const POSITION_WEIGHT: f64 = 1.0 / 20.0;
const VELOCITY_WEIGHT: f64 = 1.0 / 160.0;
const ASPECT_STD: f64 = 1e-2;
const ASPECT_VELOCITY_STD: f64 = 1e-5;
const ASPECT_MEASUREMENT_STD: f64 = 1e-1;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Unconfirmed,
    Tracked,
    Lost,
}

struct ByteTrackTrack {
    record: Record,
    /// Centre x, centre y, width / height, height.
    filter: BoxFilter,
    bbox: BBox,
    phase: Phase,
    began: f64,
    last_seen: f64,
    detection: Option<usize>,
}

impl ByteTrackTrack {
    fn new(candidate: &Candidate, seen: &Observations<'_>, now: f64, phase: Phase) -> Self {
        let measured = measure(&candidate.bbox);
        let (position, velocity) = (2.0 * POSITION_WEIGHT * measured[3], 10.0 * VELOCITY_WEIGHT * measured[3]);
        let filter = BoxFilter::new(
            measured,
            [position, position, ASPECT_STD, position].map(square),
            [velocity, velocity, ASPECT_VELOCITY_STD, velocity].map(square),
        );
        let record = Record::new(candidate, seen.at);
        let detection = Some(candidate.index);
        Self { record, filter, bbox: candidate.bbox, phase, began: now, last_seen: now, detection }
    }

    fn predict(&mut self, dt: f64) {
        if self.phase == Phase::Lost {
            self.filter.axes[3].state.y = 0.0;
        }
        let height = self.filter.axes[3].position();
        let (position, velocity) = (POSITION_WEIGHT * height, VELOCITY_WEIGHT * height);
        let noise = ProcessNoise {
            position: [position, position, ASPECT_STD, position].map(square),
            velocity: [velocity, velocity, ASPECT_VELOCITY_STD, velocity].map(square),
        };
        self.filter.predict(dt, &noise);
        self.bbox = bbox_of(&self.filter);
    }

    fn see(&mut self, candidate: &Candidate, seen: &Observations<'_>, now: f64) {
        let deviation = POSITION_WEIGHT * self.filter.axes[3].position();
        let variance = [deviation, deviation, ASPECT_MEASUREMENT_STD, deviation].map(square);
        self.filter.update(measure(&candidate.bbox), variance);
        self.bbox = bbox_of(&self.filter);
        self.record.see(candidate, seen.at);
        self.phase = Phase::Tracked;
        self.last_seen = now;
        self.detection = Some(candidate.index);
    }
}

/// IoU as the authors' code has it (cython_bbox): corners name pixels that belong to the box, so a side is one longer
/// than the difference of its ends. On people 30 pixels wide that decides some pairs.
fn iou_of_pixels(one: &BBox, other: &BBox) -> f32 {
    let whole = |bbox: &BBox| BBox::new(bbox.left, bbox.top, bbox.right + 1.0, bbox.bottom + 1.0);
    iou(&whole(one), &whole(other))
}

fn square(value: f64) -> f64 {
    value * value
}

fn measure(bbox: &BBox) -> [f64; 4] {
    let (cx, cy) = bbox.center();
    [cx, cy, bbox.width() / bbox.height(), bbox.height()].map(f64::from)
}

fn bbox_of(filter: &BoxFilter) -> BBox {
    let [cx, cy, aspect, height] = filter.position();
    // Never smaller than a pixel: a lost track may have been shrinking.
    let height = height.max(1.0);
    BBox::from_cxcywh(cx as f32, cy as f32, (aspect * height).max(1.0) as f32, height as f32)
}

/// One assignment: which tracks, which detections, at what cost.
struct Round {
    rows: Vec<usize>,
    columns: Vec<usize>,
    gate: f32,
    fuse_score: fn(f32) -> f32,
}

/// ByteTrack.
pub(super) struct ByteTrack {
    settings: TrackSettings,
    ids: TrackIds,
    clock: FrameClock,
    first: bool,
    tracks: Vec<ByteTrackTrack>,
    candidates: Vec<Candidate>,
    taken: Vec<bool>,
    round: Round,
    cost: CostBuffer,
    assigner: Assigner,
    farewell: Farewell,
}

impl ByteTrack {
    pub fn new(settings: &TrackSettings, nominal_fps: f64, ids: TrackIds) -> Self {
        Self {
            settings: settings.clone(),
            ids,
            clock: FrameClock::new(nominal_fps),
            first: true,
            tracks: Vec::new(),
            candidates: Vec::new(),
            taken: Vec::new(),
            round: Round { rows: Vec::new(), columns: Vec::new(), gate: FIRST_GATE, fuse_score: |score| score },
            cost: CostBuffer::default(),
            assigner: Assigner::default(),
            farewell: Farewell::default(),
        }
    }

    /// Picks the tracks and detections of a round: those still free that `rows` and `columns` accept.
    fn select(&mut self, rows: impl Fn(&ByteTrackTrack) -> bool, columns: impl Fn(&Candidate) -> bool) {
        let Round { rows: row_list, columns: column_list, .. } = &mut self.round;
        row_list.clear();
        row_list
            .extend((0..self.tracks.len()).filter(|&t| self.tracks[t].detection.is_none() && rows(&self.tracks[t])));
        column_list.clear();
        column_list.extend((0..self.candidates.len()).filter(|&c| !self.taken[c] && columns(&self.candidates[c])));
    }

    fn associate(&mut self, seen: &Observations<'_>) {
        let Round { rows, columns, gate, fuse_score } = &self.round;
        let (tracks, candidates) = (&self.tracks, &self.candidates);
        let cost = self.cost.fill(rows.len(), columns.len(), |r, c| {
            let candidate = &candidates[columns[c]];
            1.0 - iou_of_pixels(&tracks[rows[r]].bbox, &candidate.bbox) * fuse_score(candidate.score)
        });
        for &(r, c) in self.assigner.solve(cost, *gate) {
            self.taken[columns[c]] = true;
            self.tracks[rows[r]].see(&self.candidates[columns[c]], seen, self.clock.now());
        }
    }

    fn associate_all(&mut self, seen: &Observations<'_>) {
        let high = self.settings.high_score;
        (self.round.gate, self.round.fuse_score) = (FIRST_GATE, |score| score);
        self.select(|track| track.phase != Phase::Unconfirmed, |candidate| candidate.score > high);
        self.associate(seen);
        (self.round.gate, self.round.fuse_score) = (SECOND_GATE, |_| 1.0);
        self.select(|track| track.phase == Phase::Tracked, |candidate| candidate.score <= high);
        self.associate(seen);
        (self.round.gate, self.round.fuse_score) = (UNCONFIRMED_GATE, |score| score);
        self.select(|track| track.phase == Phase::Unconfirmed, |candidate| candidate.score > high);
        self.associate(seen);
    }

    /// A track missed now is lost; an unconfirmed one is dropped.
    fn mark_lost(&mut self) {
        self.tracks.retain_mut(|track| {
            let missed = track.detection.is_none();
            if missed && track.phase == Phase::Tracked {
                track.phase = Phase::Lost;
            }
            !(missed && track.phase == Phase::Unconfirmed)
        });
    }

    fn begin_tracks(&mut self, seen: &Observations<'_>) {
        // Only in the first frame of a stream is a track believed at first sight.
        let phase = if std::mem::take(&mut self.first) { Phase::Tracked } else { Phase::Unconfirmed };
        let least = self.settings.new_track_score.max(self.settings.high_score);
        let free = self.candidates.iter().zip(&self.taken).filter(|&(c, &taken)| !taken && c.score >= least);
        self.tracks.extend(free.map(|(c, _)| ByteTrackTrack::new(c, seen, self.clock.now(), phase)));
    }

    fn remove_old(&mut self, out: &mut Vec<Track>) {
        let (clock, max_lost) = (&self.clock, self.settings.max_lost);
        self.tracks.retain(|track| {
            let old = clock.is_past(track.last_seen, max_lost);
            if old {
                out.extend(track.record.report_removed());
            }
            !old
        });
    }

    /// Of a seen and a lost track on one place the one that lived longer stays.
    fn remove_duplicates(&mut self, out: &mut Vec<Track>) {
        for lost in (0..self.tracks.len()).rev() {
            if self.tracks[lost].phase != Phase::Lost {
                continue;
            }
            let twin = |track: &ByteTrackTrack| {
                track.phase == Phase::Tracked && iou_of_pixels(&track.bbox, &self.tracks[lost].bbox) > DUPLICATE_IOU
            };
            let Some(seen) = self.tracks.iter().position(twin) else { continue };
            let age = |t: usize| self.tracks[t].last_seen - self.tracks[t].began;
            let loser = if age(seen) > age(lost) { lost } else { seen };
            out.extend(self.tracks.remove(loser).record.report_removed());
        }
    }

    fn report(&mut self, out: &mut Vec<Track>) {
        for track in &mut self.tracks {
            if track.phase == Phase::Unconfirmed {
                continue;
            }
            track.record.confirm(&self.ids);
            let shown = track.phase == Phase::Tracked;
            let state = if shown { TrackState::Confirmed } else { TrackState::Lost };
            out.extend(track.record.report(View { state, bbox: track.bbox, detection: track.detection, shown }));
        }
    }
}

impl Tracker for ByteTrack {
    fn update(&mut self, seen: &Observations<'_>, out: &mut Vec<Track>) {
        out.clear();
        let dt = self.clock.advance(seen.at);
        let (low, high) = (self.settings.low_score, self.settings.high_score);
        collect_usable(seen.detections, low, &mut self.candidates);
        // The authors' comparisons are strict: a score at the high threshold counts neither as high nor as low.
        self.candidates.retain(|candidate| candidate.score != high);
        self.taken.clear();
        self.taken.resize(self.candidates.len(), false);
        for track in &mut self.tracks {
            track.detection = None;
            if track.phase != Phase::Unconfirmed {
                track.predict(dt);
            }
        }
        self.associate_all(seen);
        self.mark_lost();
        self.begin_tracks(seen);
        self.remove_old(out);
        self.remove_duplicates(out);
        self.report(out);
        self.farewell.drain_into(out);
        sort_by_id(out);
    }

    fn restart_motion(&mut self) {
        self.first = true;
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
