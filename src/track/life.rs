//! The life of `eyeline`'s tracks: tentative -> seen <-> lost -> absent (known by appearance alone) -> gone.

use super::{
    Observations, Track,
    gallery::Gallery,
    input::Candidate,
    record::Record,
    rounds::is_within_reach,
    tracker::EyelineTracker,
    tracklet::{Phase, Tracklet, coverage, is_in_front},
};
use crate::geometry::iou;
use std::time::Duration;

impl EyelineTracker {
    /// Begins a track at every good detection nobody claimed.
    pub(super) fn begin_tracks(&mut self, seen: &Observations<'_>) {
        for c in 0..self.candidates.len() {
            let candidate = &self.candidates[c];
            let room = self.tracks.len() < self.settings.max_tracks;
            if self.taken_by[c].is_some() || candidate.score < self.settings.new_track_score || !room {
                continue;
            }
            let max_iou = self.settings.birth_max_iou;
            let twin = |t: &Tracklet| {
                t.detection.is_some() && t.record.class() == candidate.class && iou(&t.bbox, &candidate.bbox) > max_iou
            };
            if self.tracks.iter().any(twin) {
                continue;
            }
            let mut gallery = Gallery::new(self.settings.gallery_slots);
            if let Some(look) = self.looks.of(c, candidate, seen) {
                gallery.add(&look, self.clock.now(), 0.0);
            }
            self.tracks.push(Tracklet::new(candidate, Record::new(candidate, seen.at), gallery, self.clock.now()));
        }
    }

    /// Believes tentative tracks seen often enough, or finds that they are lost ones come back.
    pub(super) fn confirm_tracks(&mut self, out: &mut Vec<Track>) {
        let fresh = self.fresh;
        for t in (0..self.tracks.len()).rev() {
            let track = &self.tracks[t];
            if track.phase != Phase::Tentative || track.detection.is_none() {
                continue;
            }
            let often = track.hits as usize >= self.settings.confirm_hits;
            if !(fresh || often || track.record.score >= self.settings.instant_score) {
                continue;
            }
            self.fresh = false;
            match self.returned(t) {
                Some(lost) => self.merge(lost, t, out),
                None => {
                    self.tracks[t].phase = Phase::Seen;
                    let (calibration, least) = (&self.calibration, self.settings.refind_evidence);
                    let evidence = |cosine| calibration.evidence(cosine);
                    let known = self.ended.recognize(&self.tracks[t], evidence, least);
                    self.tracks[t].record.reidentified_from = known;
                }
            }
        }
        // Ids in the order in which tracks began, whatever order they were confirmed in.
        for track in self.tracks.iter_mut().filter(|t| t.phase == Phase::Seen) {
            track.record.confirm(&self.ids);
        }
    }

    /// The lost track that a new one looks like, if any is alike enough and within reach.
    fn returned(&self, new: usize) -> Option<usize> {
        let track = &self.tracks[new];
        if track.gallery.is_empty() {
            return None;
        }
        let a_second = self.clock.frames(Duration::from_secs(1));
        let candidate = Candidate {
            index: 0,
            bbox: track.record.last_bbox,
            class: track.record.class(),
            score: track.record.score,
        };
        let evidence = |lost: &Tracklet| {
            // It must have been out of sight since before the new one began.
            let apart = matches!(lost.phase, Phase::Lost | Phase::Absent) && lost.last_seen < track.began;
            let seconds = (self.clock.now() - lost.last_seen) / a_second;
            if !apart || !is_within_reach(lost, &candidate, seconds, &self.settings) {
                return None;
            }
            lost.gallery.similarity_to(&track.gallery).map(|cosine| self.calibration.evidence(cosine))
        };
        let found = (0..self.tracks.len()).filter_map(|t| Some((t, evidence(&self.tracks[t])?)));
        let best = found.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
        best.filter(|&(_, evidence)| evidence >= self.settings.refind_evidence).map(|(t, _)| t)
    }

    /// Two tracks turn out to be one: the old identity goes on with the new motion.
    fn merge(&mut self, old: usize, new: usize, out: &mut Vec<Track>) {
        let fresh = self.tracks.remove(new);
        let old = if old > new { old - 1 } else { old };
        out.extend(fresh.record.report_removed());
        self.tracks[old].take_over(fresh);
    }

    /// Moves tracks that were not seen on towards their end.
    pub(super) fn retire_tracks(&mut self, out: &mut Vec<Track>) {
        let (clock, s, ended) = (&self.clock, &self.settings, &mut self.ended);
        let remembered = clock.frames(s.max_remembered);
        self.tracks.retain_mut(|track| {
            if track.detection.is_some() {
                return true;
            }
            match track.phase {
                Phase::Tentative => return !clock.is_past(track.last_seen, s.tentative_max_lost),
                Phase::Seen => track.phase = Phase::Lost,
                Phase::Lost | Phase::Absent => {}
            }
            if track.phase == Phase::Lost && clock.is_past(track.last_seen, s.max_lost) {
                track.phase = Phase::Absent;
            }
            let wait = if track.gallery.is_empty() { Duration::ZERO } else { s.max_absent_of(track.record.class()) };
            let gone = track.phase == Phase::Absent && clock.is_past(track.last_seen, wait);
            if gone {
                out.extend(track.record.report_removed());
                if remembered > 0.0 {
                    ended.remember(track, clock.now());
                }
            }
            !gone
        });
        ended.forget(clock.now() - remembered, s.max_absent_tracks);
        self.forget_oldest(out);
    }

    /// Keeps the number of absent tracks within its limit.
    fn forget_oldest(&mut self, out: &mut Vec<Track>) {
        let mut absent = self.tracks.iter().filter(|t| t.phase == Phase::Absent).count();
        while absent > self.settings.max_absent_tracks {
            let places = (0..self.tracks.len()).filter(|&t| self.tracks[t].phase == Phase::Absent);
            let oldest = places.min_by(|&a, &b| self.tracks[a].last_seen.total_cmp(&self.tracks[b].last_seen));
            let Some(oldest) = oldest else { return };
            out.extend(self.tracks.remove(oldest).record.report_removed());
            absent -= 1;
        }
    }

    /// A lost track on the place of a seen one is the same object twice; the one that lived longer stays.
    pub(super) fn remove_duplicates(&mut self, out: &mut Vec<Track>) {
        let max_iou = self.settings.duplicate_iou;
        for lost in (0..self.tracks.len()).rev() {
            if self.tracks.get(lost).is_none_or(|track| track.phase != Phase::Lost) {
                continue;
            }
            let twin =
                |track: &Tracklet| track.phase == Phase::Seen && iou(&track.bbox, &self.tracks[lost].bbox) > max_iou;
            let Some(seen) = self.tracks.iter().position(twin) else { continue };
            let age = |t: usize| self.tracks[t].last_seen - self.tracks[t].began;
            if age(seen) >= age(lost) {
                out.extend(self.tracks.remove(lost).record.report_removed());
            } else {
                self.merge(lost, seen, out);
            }
        }
    }

    /// How much of each lost track is hidden behind tracks that are seen.
    pub(super) fn measure_coverage(&mut self) {
        for lost in 0..self.tracks.len() {
            if self.tracks[lost].phase != Phase::Lost {
                continue;
            }
            let bbox = self.tracks[lost].bbox;
            let front = self.tracks.iter().filter(|t| t.phase == Phase::Seen && is_in_front(&t.bbox, &bbox));
            self.tracks[lost].covered = front.map(|t| coverage(&bbox, &t.bbox)).fold(0.0, f32::max);
        }
    }
}
