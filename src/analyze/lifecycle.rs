//! A stream's tracks while they are open: what to say at their beginnings, on their way and at their ends.

use super::{
    round_to,
    settings::{GROWN, MOVED, UpdateCause, Updates},
};
use crate::{
    event::{EventBox, PathPoint, TrackEnd, TrackEnded, TrackSeen, What},
    track::{Track, TrackId},
};
use std::collections::BTreeMap;

/// Most points of a path summary. When it is full every second one goes, so that points stay evenly spread.
const PATH_POINTS: usize = 16;

/// The open tracks of one stream.
#[derive(Debug)]
pub(super) struct Lifecycle {
    updates: Option<Updates>,
    started: u64,
    open: BTreeMap<TrackId, Open>,
}

/// What is remembered of a track until it ends.
#[derive(Debug)]
pub(super) struct Open {
    /// The track when it was last seen.
    pub last: Track,
    detections: u64,
    top_score: f32,
    told: Told,
    path: Path,
    /// Whether it was told to stand.
    is_stopped: bool,
}

/// What the last `track.started` or `track.updated` said, as far as a change of it is worth telling.
#[derive(Debug)]
struct Told {
    /// Seconds of the stream.
    at: f64,
    class: String,
    zones: Vec<String>,
    bbox: EventBox,
    is_stopped: bool,
}

impl Told {
    fn new(seen: &TrackSeen, is_stopped: bool, at: f64) -> Self {
        Self { at, class: seen.class.clone(), zones: seen.zones.clone(), bbox: seen.bbox, is_stopped }
    }

    /// Whether a track told as `seen` now is another than it was.
    fn is_outdated(&self, seen: &TrackSeen, is_stopped: bool) -> bool {
        let middle = |bbox: &EventBox| (bbox.left + bbox.width / 2.0, bbox.top + bbox.height / 2.0);
        let diagonal = |bbox: &EventBox| bbox.width.hypot(bbox.height);
        let ((x, y), (told_x, told_y)) = (middle(&seen.bbox), middle(&self.bbox));
        let (now, told) = (diagonal(&seen.bbox), diagonal(&self.bbox));
        let has_moved = (x - told_x).hypot(y - told_y) > MOVED * told;
        let has_grown = now > GROWN * told || told > GROWN * now;
        has_moved || has_grown || seen.class != self.class || seen.zones != self.zones || is_stopped != self.is_stopped
    }
}

impl Lifecycle {
    /// Tells of each track on its way as `updates` says, or not at all.
    pub const fn new(updates: Option<Updates>) -> Self {
        Self { updates, started: 0, open: BTreeMap::new() }
    }

    /// Tracks started so far.
    pub const fn started(&self) -> u64 {
        self.started
    }

    /// Every open track by ascending id.
    pub fn open_tracks(&self) -> Vec<TrackId> {
        self.open.keys().copied().collect()
    }

    /// A track is seen, told as `seen`, its anchor at `point`: its start or an update, if one is due at `now` (seconds of the
    /// stream).
    pub fn see(&mut self, track: &Track, seen: &TrackSeen, point: [f32; 2], now: f64) -> Option<What> {
        let at = PathPoint {
            time_seconds: (track.last_seen.as_secs_f64() * 1e3).round() / 1e3,
            x_norm: round_to(point[0], 1e4),
            y_norm: round_to(point[1], 1e4),
        };
        if let Some(open) = self.open.get_mut(&track.id) {
            open.last = *track;
            open.detections += u64::from(track.detection.is_some());
            open.top_score = open.top_score.max(track.score);
            open.path.add(at);
            let is_due = self.updates.is_some_and(|updates| open.is_due(updates, seen, now));
            return is_due.then(|| {
                open.told = Told::new(seen, open.is_stopped, now);
                What::TrackUpdated { seen: seen.clone() }
            });
        }
        self.started += 1;
        let mut path = Path::default();
        path.add(at);
        let told = Told::new(seen, false, now);
        let open = Open { last: *track, detections: 1, top_score: track.score, told, path, is_stopped: false };
        self.open.insert(track.id, open);
        Some(What::TrackStarted { seen: seen.clone(), reidentified_from: track.reidentified_from.map(|id| id.0) })
    }

    /// An open track when it was last seen.
    pub fn last_of(&self, track: TrackId) -> Option<&Track> {
        self.open.get(&track).map(|open| &open.last)
    }

    /// An open track has stood for long. Gives whether that is news.
    pub fn stands(&mut self, track: TrackId) -> bool {
        self.open.get_mut(&track).is_some_and(|open| !std::mem::replace(&mut open.is_stopped, true))
    }

    /// A track moves on. Gives whether it was told to stand.
    pub fn moves_on(&mut self, track: TrackId) -> bool {
        self.open.get_mut(&track).is_some_and(|open| std::mem::replace(&mut open.is_stopped, false))
    }

    /// A track is gone; gives it if it was open.
    pub fn end(&mut self, track: TrackId) -> Option<Open> {
        self.open.remove(&track)
    }
}

impl Open {
    /// Whether an update is due of the track, told as `seen` now.
    fn is_due(&self, updates: Updates, seen: &TrackSeen, now: f64) -> bool {
        let is_over = now - self.told.at >= updates.interval.as_secs_f64();
        is_over
            && match updates.cause {
                UpdateCause::Time => true,
                UpdateCause::Change => self.told.is_outdated(seen, self.is_stopped),
            }
    }

    /// The last of it.
    pub fn ended(self, last: TrackSeen, reason: TrackEnd) -> TrackEnded {
        let Track { first_seen, last_seen, .. } = self.last;
        TrackEnded {
            last,
            first_seen_seconds: first_seen.as_secs_f64(),
            last_seen_seconds: last_seen.as_secs_f64(),
            duration_seconds: last_seen.since(first_seen).as_secs_f64(),
            detections: self.detections,
            top_score: round_to(self.top_score, 1e4),
            reason,
            path: self.path.into_points(),
            snapshot: None,
        }
    }
}

/// Some points of a way, evenly spread over its frames: the first, every so many, the last.
#[derive(Debug)]
struct Path {
    points: Vec<PathPoint>,
    last: Option<PathPoint>,
    seen: u64,
    every: u64,
}

impl Default for Path {
    fn default() -> Self {
        Self { points: Vec::new(), last: None, seen: 0, every: 1 }
    }
}

impl Path {
    fn add(&mut self, point: PathPoint) {
        if self.seen.is_multiple_of(self.every) {
            if self.points.len() == PATH_POINTS {
                let mut index = 0;
                self.points.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.every *= 2;
            }
            if self.seen.is_multiple_of(self.every) {
                self.points.push(point);
            }
        }
        self.last = Some(point);
        self.seen += 1;
    }

    fn into_points(self) -> Vec<PathPoint> {
        let last = self.last.filter(|last| self.points.last() != Some(last));
        self.points.into_iter().chain(last).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_keeps_few_points_evenly_spread_with_both_ends() {
        for count in [1usize, 2, 15, 16, 17, 33, 1000, 4096] {
            let mut path = Path::default();
            let point = |t: usize| PathPoint { time_seconds: t as f64, x_norm: 0.0, y_norm: 0.0 };
            (0..count).for_each(|t| path.add(point(t)));
            let points = path.into_points();
            assert!(points.len() <= PATH_POINTS + 1 && points.len() >= count.min(PATH_POINTS / 2), "{count}");
            assert_eq!((points[0], points[points.len() - 1]), (point(0), point(count - 1)));
            let steps: Vec<f64> = points.windows(2).map(|two| two[1].time_seconds - two[0].time_seconds).collect();
            assert!(steps[..steps.len().saturating_sub(1)].windows(2).all(|two| two[0] == two[1]), "{steps:?}");
        }
    }
}
