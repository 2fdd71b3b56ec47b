//! The rounds of association of `eyeline`: each matches a part of the tracks with a part of the detections, and what is
//! matched leaves the later rounds.
//!
//! 1. Believed tracks, detections of high score: prediction, height, direction, score, appearance.
//! 2. Believed tracks seen a moment ago, detections of low score (Zhang et al. 2022, ByteTrack): overlap alone.
//! 3. Believed tracks, detections of high score left over: from the last observation (Cao et al. 2023, OC-SORT).
//! 4. Lost and absent tracks, detections of high score left over: appearance within reach.
//! 5. Tracks not believed yet, whatever is left.

use super::{
    Observations,
    cost::{Pairing, TrackSide},
    input::Candidate,
    motion::MotionNoise,
    settings::TrackSettings,
    tracker::EyelineTracker,
    tracklet::{Phase, Tracklet, coverage, is_in_front},
};
use crate::geometry::iou;

/// Pairs of different objects looked at in a frame to know what an embedding is worth.
const DIFFERENT_PAIRS: usize = 16;
/// A match that overlaps its prediction so much is sure enough to learn from.
const SURE_IOU: f32 = 0.5;

/// Tracks and detections of one round, as places in their lists.
#[derive(Debug, Default)]
pub(super) struct Round {
    tracks: Vec<usize>,
    candidates: Vec<usize>,
}

impl EyelineTracker {
    /// All rounds of a frame.
    pub(super) fn associate(&mut self, seen: &Observations<'_>) {
        let high_score = self.settings.high_score;
        let high = |c: &Candidate| c.score >= high_score;
        self.select(Tracklet::is_followed, high);
        self.match_by_place(seen, &Pairing::first(&self.settings, &self.looks));
        let (now, low_lost) = (self.clock.now(), self.clock.frames(self.settings.low_max_lost));
        // A track seen in the frame before is 1 frame old, or more after a drop.
        let recent = |t: &Tracklet| t.is_followed() && (t.phase == Phase::Seen || now - t.last_seen <= low_lost + 1.01);
        self.select(recent, |c| !high(c));
        self.match_by_place(seen, &Pairing::low(&self.settings, &self.looks));
        self.select(Tracklet::is_followed, high);
        self.match_by_place(seen, &Pairing::recovery(&self.settings, &self.looks));
        if !self.looks.is_empty() {
            self.select(|t| matches!(t.phase, Phase::Lost | Phase::Absent) && !t.gallery.is_empty(), high);
            self.match_by_appearance(seen);
        }
        self.select(|t| t.phase == Phase::Tentative, |_| true);
        self.match_by_place(seen, &Pairing::tentative(&self.settings, &self.looks));
    }

    /// Picks what takes part in a round: tracks and detections still free that the conditions accept.
    fn select(&mut self, tracks: impl Fn(&Tracklet) -> bool, candidates: impl Fn(&Candidate) -> bool) {
        let Round { tracks: rows, candidates: columns } = &mut self.round;
        rows.clear();
        rows.extend((0..self.tracks.len()).filter(|&t| self.tracks[t].detection.is_none() && tracks(&self.tracks[t])));
        columns.clear();
        columns.extend(
            (0..self.candidates.len()).filter(|&c| self.taken_by[c].is_none() && candidates(&self.candidates[c])),
        );
    }

    /// Matches by where things are. Detections are swept from left to right, so that a track meets its neighbours only.
    fn match_by_place(&mut self, seen: &Observations<'_>, pairing: &Pairing) {
        let now = self.clock.now();
        let Round { tracks: rows, candidates: columns } = &mut self.round;
        let candidates = &self.candidates;
        let twice_x = |c: usize| candidates[c].bbox.left + candidates[c].bbox.right;
        columns.sort_unstable_by(|&a, &b| twice_x(a).total_cmp(&twice_x(b)).then(a.cmp(&b)));
        let widest = columns.iter().map(|&c| candidates[c].bbox.width()).fold(0.0, f32::max);
        let weight = pairing.appearance_weight;
        self.assigner.begin(pairing.gate);
        for &t in rows.iter() {
            let track = &self.tracks[t];
            let side = TrackSide::new(track, pairing);
            let center = side.bbox.left + side.bbox.right;
            let reach = (side.bbox.width() + widest) * (1.0 + 2.0 * pairing.buffer);
            let first = columns.partition_point(|&c| twice_x(c) < center - reach);
            let near = columns[first..].iter().take_while(|&&c| twice_x(c) <= center + reach);
            for (column, &c) in near.enumerate() {
                let mut cost = side.cost(&candidates[c], pairing, &self.settings);
                if weight > 0.0 && cost.is_finite() {
                    let look = self.looks.of(c, &candidates[c], seen);
                    let cosine = look.and_then(|look| track.gallery.similarity(&look));
                    cost -= weight * cosine.map_or(0.0, |cosine| self.calibration.evidence(cosine));
                }
                self.assigner.offer(first + column, cost);
            }
            self.assigner.end_row();
        }
        for &(r, c) in self.assigner.solve_offered(columns.len()) {
            see(&mut self.tracks[rows[r]], &self.candidates[columns[c]], seen, now, &self.noise);
            self.taken_by[columns[c]] = Some(rows[r]);
        }
    }

    /// Finds tracks again that went out of sight: alike enough, and near enough to have walked here.
    fn match_by_appearance(&mut self, seen: &Observations<'_>) {
        let Round { tracks: rows, candidates: columns } = &self.round;
        let (tracks, candidates, now) = (&self.tracks, &self.candidates, self.clock.now());
        let (looks, calibration, settings) = (&self.looks, &self.calibration, &self.settings);
        let a_second = self.clock.frames(std::time::Duration::from_secs(1));
        let cost = self.cost.fill(rows.len(), columns.len(), |r, c| {
            let (track, candidate) = (&tracks[rows[r]], &candidates[columns[c]]);
            if !is_within_reach(track, candidate, (now - track.last_seen) / a_second, settings) {
                return f32::INFINITY;
            }
            let cosine = looks.of(columns[c], candidate, seen).and_then(|look| track.gallery.similarity(&look));
            cosine.map_or(f32::INFINITY, |cosine| 1.0 - calibration.evidence(cosine))
        });
        // Evidence must reach the threshold, so the gate lies a hair above its cost.
        for &(r, c) in self.assigner.solve(cost, 1.0 - settings.refind_evidence + 1e-6) {
            let (track, candidate) = (&mut self.tracks[rows[r]], &self.candidates[columns[c]]);
            if track.phase == Phase::Absent {
                track.begin_anew(candidate, now);
            }
            see(track, candidate, seen, now, &self.noise);
            self.taken_by[columns[c]] = Some(rows[r]);
        }
    }

    /// Adds this frame's looks to the galleries and to what is known of the embedder.
    ///
    /// A detection partly behind another shows the other too: its look is not kept, so that people who cross hand over
    /// no appearance.
    pub(super) fn remember_looks(&mut self, seen: &Observations<'_>) {
        if self.looks.is_empty() {
            return;
        }
        let (now, interval) = (self.clock.now(), self.clock.frames(self.settings.gallery_interval));
        let mut previous: Option<usize> = None;
        let mut different = 0;
        for c in 0..self.candidates.len() {
            let candidate = &self.candidates[c];
            let (Some(t), Some(look)) = (self.taken_by[c], self.looks.of(c, candidate, seen)) else { continue };
            if self.is_obscured(c) || candidate.score < self.settings.gallery_score {
                continue;
            }
            if let Some(other) = previous.filter(|_| different < DIFFERENT_PAIRS) {
                different += 1;
                if let Some(cosine) = self.tracks[other].gallery.similarity(&look) {
                    self.calibration.add_different(cosine);
                }
            }
            let track = &mut self.tracks[t];
            let sure = track.hits > 1 && iou(&track.predicted, &candidate.bbox) >= SURE_IOU;
            if let Some(cosine) = track.gallery.similarity(&look).filter(|_| sure) {
                self.calibration.add_same(cosine);
            }
            track.gallery.add(&look, now, interval);
            previous = Some(t);
        }
    }

    /// Whether another detection nearer to the camera hides too much of this one.
    fn is_obscured(&self, place: usize) -> bool {
        let bbox = &self.candidates[place].bbox;
        let others = self.candidates.iter().enumerate().filter(|&(other, _)| other != place);
        let mut in_front = others.filter(|(_, other)| is_in_front(&other.bbox, bbox));
        in_front.any(|(_, other)| coverage(bbox, &other.bbox) > self.settings.gallery_max_covered)
    }
}

fn see(track: &mut Tracklet, candidate: &Candidate, seen: &Observations<'_>, now: f64, noise: &MotionNoise) {
    track.see(candidate, now, noise);
    track.record.see(candidate, seen.at);
}

/// Whether an object could have come from where the track is to the candidate's place in the time it was unseen, and is
/// of a size it could have there.
pub(super) fn is_within_reach(track: &Tracklet, candidate: &Candidate, seconds: f64, s: &TrackSettings) -> bool {
    if candidate.class != track.record.class() {
        return false;
    }
    if !track.place_known {
        return true;
    }
    let (here, there) = (&candidate.bbox, &track.bbox);
    let ratio = here.height() / there.height();
    if !(1.0 / MAX_HEIGHT_RATIO..=MAX_HEIGHT_RATIO).contains(&ratio) {
        return false;
    }
    let reach = (s.reach + s.reach_speed * seconds as f32) * here.height().max(there.height());
    let distance = |from: (f32, f32)| (from.0 - here.center().0).hypot(from.1 - here.center().1);
    distance(there.center()).min(distance(track.motion.last_box().center())) <= reach
}

/// A person does not come back half or twice as tall within a reach worth gating.
const MAX_HEIGHT_RATIO: f32 = 2.0;
