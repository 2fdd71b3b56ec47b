//! Tracks in frames that nobody looked at: `detect.every` leaves some out, and there "not looked" is not "nothing found".
//!
//! The tracker itself sees only the frames that were looked at; its time is media time, so it knows how much of it has
//! passed. In between, the bridge moves every track it last told on as it was moving. Whatever tracker it is.

use super::{Track, TrackId, TrackState};
use crate::{geometry::BBox, time::MediaTime};
use std::collections::BTreeMap;

/// Weight of the latest motion against what was known of it: halves the noise of single boxes.
const LATEST_SHARE: f32 = 0.5;

/// Where tracks are between looks.
#[derive(Debug, Default)]
pub struct Bridge {
    at: MediaTime,
    tracks: Vec<Track>,
    /// Motion of the four edges, pixels a second.
    speeds: BTreeMap<TrackId, [f32; 4]>,
}

impl Bridge {
    /// Takes in what the tracker told after a look.
    pub fn looked(&mut self, at: MediaTime, tracks: &[Track]) {
        let seconds = at.since(self.at).as_secs_f32();
        let mut speeds = BTreeMap::new();
        for track in tracks.iter().filter(|track| track.state != TrackState::Removed) {
            let before =
                self.tracks.binary_search_by_key(&track.id, |before| before.id).ok().map(|i| self.tracks[i].bbox);
            let Some(before) = before.filter(|_| seconds > 0.0) else { continue };
            let (from, to) = (edges(&before), edges(&track.bbox));
            let latest: [f32; 4] = std::array::from_fn(|edge| (to[edge] - from[edge]) / seconds);
            let speed = match self.speeds.get(&track.id) {
                Some(known) => std::array::from_fn(|edge| known[edge] + (latest[edge] - known[edge]) * LATEST_SHARE),
                None => latest,
            };
            speeds.insert(track.id, speed);
        }
        self.speeds = speeds;
        self.at = at;
        self.tracks = tracks.iter().filter(|track| track.state != TrackState::Removed).copied().collect();
    }

    /// Forgets everything.
    pub fn restart(&mut self) {
        *self = Self::default();
    }

    /// Clears `out` and fills it with the tracks as they should be at `at`, by ascending id. Their state is that of the last
    /// look, but no detection lies behind them.
    pub fn cross(&self, at: MediaTime, out: &mut Vec<Track>) {
        let seconds = at.since(self.at).as_secs_f32();
        out.clear();
        out.extend(self.tracks.iter().map(|track| {
            let speed = self.speeds.get(&track.id).copied().unwrap_or_default();
            let [left, top, right, bottom] = edges(&track.bbox);
            let moved = BBox::new(
                left + speed[0] * seconds,
                top + speed[1] * seconds,
                right + speed[2] * seconds,
                bottom + speed[3] * seconds,
            );
            let bbox = if moved.is_sound() { moved } else { track.bbox };
            Track { bbox, detection: None, ..*track }
        }));
    }
}

fn edges(bbox: &BBox) -> [f32; 4] {
    [bbox.left, bbox.top, bbox.right, bbox.bottom]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::ClassId;

    fn at(millis: i64) -> MediaTime {
        MediaTime(millis * 1_000_000)
    }

    fn track(id: u64, left: f32, state: TrackState) -> Track {
        Track {
            id: TrackId(id),
            state,
            bbox: BBox::from_tlwh(left, 10.0, 20.0, 40.0),
            class: ClassId(0),
            score: 0.9,
            detection: Some(0),
            first_seen: at(0),
            last_seen: at(0),
            reidentified_from: None,
            shown: true,
        }
    }

    #[test]
    fn tracks_go_on_as_they_moved_and_the_removed_stay_away() {
        let mut bridge = Bridge::default();
        let mut out = Vec::new();
        bridge.cross(at(0), &mut out);
        assert!(out.is_empty());
        bridge.looked(at(0), &[track(1, 0.0, TrackState::Confirmed), track(2, 50.0, TrackState::Confirmed)]);
        bridge.cross(at(100), &mut out);
        assert_eq!(out.iter().map(|t| t.bbox.left).collect::<Vec<_>>(), [0.0, 50.0], "no motion is known yet");
        bridge.looked(at(200), &[track(1, 10.0, TrackState::Confirmed), track(2, 50.0, TrackState::Removed)]);
        bridge.cross(at(300), &mut out);
        assert_eq!(out.len(), 1);
        assert_eq!((out[0].bbox.left, out[0].detection, out[0].state), (15.0, None, TrackState::Confirmed));
        bridge.restart();
        bridge.cross(at(400), &mut out);
        assert!(out.is_empty());
    }
}
