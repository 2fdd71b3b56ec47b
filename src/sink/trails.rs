//! The way each track came, as far back as the overlay shows it. Pure.

use crate::{
    config::plan::anchor_point,
    time::MediaTime,
    track::{Track, TrackId, TrackState},
};
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

/// A track that moved less since its last point just moves that point: standing people do not fill the memory, and
/// jitter of the boxes draws no scribble.
const LEAST_STEP_PX: f32 = 2.0;

/// Most points kept of one track; older ones go first. Bounds a fast track at a long trail.
const MOST_POINTS: usize = 512;

/// Where a track stood at some time, source pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrailPoint {
    /// When.
    pub at: MediaTime,
    /// Column of the middle of the box's lower edge.
    pub x: f32,
    /// Row of the same.
    pub y: f32,
}

/// Trails of one stream.
#[derive(Clone, Debug)]
pub struct Trails {
    length: Duration,
    of: HashMap<TrackId, VecDeque<TrailPoint>>,
}

impl Trails {
    /// Trails that reach back `length`; zero draws none.
    pub fn new(length: Duration) -> Self {
        Self { length, of: HashMap::new() }
    }

    /// Takes in one frame. Points older than the length go, and so do trails of tracks that are gone.
    pub fn update(&mut self, at: MediaTime, tracks: &[Track]) {
        if self.length.is_zero() {
            return;
        }
        for track in tracks {
            match track.state {
                TrackState::Confirmed if track.bbox.is_sound() => self.extend(at, track),
                TrackState::Removed => {
                    self.of.remove(&track.id);
                }
                _ => {}
            }
        }
        self.of.retain(|_, trail| {
            while trail.front().is_some_and(|point| at.since(point.at) > self.length) {
                trail.pop_front();
            }
            !trail.is_empty()
        });
    }

    /// Forgets everything: positions of an epoch mean nothing in the next.
    pub fn clear(&mut self) {
        self.of.clear();
    }

    /// Points of a track, oldest first.
    pub fn of(&self, track: TrackId) -> impl ExactSizeIterator<Item = TrailPoint> {
        self.of.get(&track).map(VecDeque::iter).unwrap_or_default().copied()
    }

    fn extend(&mut self, at: MediaTime, track: &Track) {
        let (x, y) = anchor_point(&track.bbox);
        let trail = self.of.entry(track.id).or_default();
        let rests = trail.len() >= 2 && trail.iter().rev().nth(1).is_some_and(|p| near((p.x, p.y), (x, y)));
        if rests {
            trail.pop_back();
        }
        trail.push_back(TrailPoint { at, x, y });
        if trail.len() > MOST_POINTS {
            trail.pop_front();
        }
    }
}

fn near(a: (f32, f32), b: (f32, f32)) -> bool {
    (a.0 - b.0).hypot(a.1 - b.1) < LEAST_STEP_PX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{detect::ClassId, geometry::BBox};

    fn track(id: u64, state: TrackState, x: f32) -> Track {
        Track {
            id: TrackId(id),
            state,
            bbox: BBox::from_tlwh(x - 5.0, 0.0, 10.0, 20.0),
            class: ClassId(0),
            score: 0.9,
            detection: None,
            first_seen: MediaTime(0),
            last_seen: MediaTime(0),
            reidentified_from: None,
            shown: true,
        }
    }

    fn seconds(s: f64) -> MediaTime {
        MediaTime::from_secs_f64(s)
    }

    fn xs(trails: &Trails, id: u64) -> Vec<f32> {
        trails.of(TrackId(id)).map(|point| point.x).collect()
    }

    #[test]
    fn reaches_back_its_length_and_no_further() {
        let mut trails = Trails::new(Duration::from_secs(2));
        for step in 0..6 {
            trails.update(seconds(f64::from(step)), &[track(1, TrackState::Confirmed, step as f32 * 10.0)]);
        }
        assert_eq!(xs(&trails, 1), [30.0, 40.0, 50.0]);
    }

    #[test]
    fn a_resting_track_keeps_few_points() {
        let mut trails = Trails::new(Duration::from_secs(3600));
        for step in 0..1000u16 {
            let x = 100.0 + f32::from(step % 2);
            trails.update(seconds(f64::from(step) * 0.04), &[track(1, TrackState::Confirmed, x)]);
        }
        assert!(trails.of(TrackId(1)).len() <= 2);
    }

    #[test]
    fn lost_tracks_keep_their_trail_until_it_is_old_and_removed_ones_do_not() {
        let mut trails = Trails::new(Duration::from_secs(2));
        let both = |state| [track(1, state, 10.0), track(2, TrackState::Lost, 99.0)];
        trails.update(seconds(0.0), &[track(1, TrackState::Confirmed, 10.0), track(2, TrackState::Confirmed, 20.0)]);
        trails.update(seconds(1.0), &both(TrackState::Lost));
        assert_eq!((xs(&trails, 1), xs(&trails, 2)), (vec![10.0], vec![20.0]));
        trails.update(seconds(1.5), &both(TrackState::Removed));
        assert_eq!(xs(&trails, 1), [0.0; 0]);
        trails.update(seconds(2.5), &both(TrackState::Lost));
        assert_eq!(xs(&trails, 2), [0.0; 0]);
        assert!(trails.of.is_empty());
    }

    #[test]
    fn no_length_keeps_nothing() {
        let mut trails = Trails::new(Duration::ZERO);
        trails.update(seconds(0.0), &[track(1, TrackState::Confirmed, 10.0)]);
        assert!(trails.of.is_empty());
    }
}
