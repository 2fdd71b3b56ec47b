//! How tracks move: speed and heading over the last second, and whether they stand still. Pure: points and media time in.

use super::settings::ROUNDING;
use crate::track::TrackId;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// Speed and heading are those of the last second: jitter averages out, a turn shows soon. Empirical.
const WINDOW: f64 = 1.0;

/// Less than this, or fewer points, says nothing about motion.
const MIN_SPAN: f64 = 0.4;
const MIN_POINTS: usize = 3;

/// A track stands as long as it stays this near to one point, as a share of its box's diagonal: more than a box trembles,
/// less than a step. Empirical.
const STILL_SHARE: f32 = 0.15;

/// A heading means something from this speed on, as a share of the box's diagonal a second. Empirical: a walker makes 0.7.
const HEADING_SHARE: f64 = 0.2;

/// A track as its motion is watched.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// Its anchor, source pixels.
    pub at_px: [f32; 2],
    /// The same on the ground, metres, where the stream is calibrated.
    pub at_m: Option<[f64; 2]>,
    /// Diagonal of its box, pixels.
    pub diagonal_px: f32,
}

/// The motion of one stream's tracks. Times are seconds of the stream, never decreasing.
#[derive(Debug)]
pub struct Movement {
    /// How long a track must be elsewhere before it has moved on, seconds.
    settle: f64,
    tracks: BTreeMap<TrackId, Mover>,
}

#[derive(Debug)]
struct Mover {
    recent: VecDeque<(f64, Sighting)>,
    still: Stillness,
}

/// Since when a track has been at one point.
#[derive(Clone, Copy, Debug)]
struct Stillness {
    origin_px: [f32; 2],
    since: f64,
    /// Since when it has been elsewhere, if it is.
    away_since: Option<f64>,
}

impl Movement {
    /// Nobody moves yet; who has been elsewhere for `settle` has moved on.
    pub const fn new(settle: Duration) -> Self {
        Self { settle: settle.as_secs_f64() - ROUNDING, tracks: BTreeMap::new() }
    }

    /// A track is seen. Gives how long it had stood if it moves on now.
    pub fn see(&mut self, track: TrackId, seen: Sighting, now: f64) -> Option<f64> {
        let fresh = || Mover { recent: VecDeque::new(), still: Stillness::at(seen.at_px, now) };
        let mover = self.tracks.entry(track).or_insert_with(fresh);
        while mover.recent.front().is_some_and(|(at, _)| now - at > WINDOW) {
            mover.recent.pop_front();
        }
        mover.recent.push_back((now, seen));
        mover.still.see(&seen, now, self.settle)
    }

    /// How long a track has stood at one point, seconds; 0 for one that moves.
    pub fn stood(&self, track: TrackId, now: f64) -> f64 {
        self.tracks.get(&track).map_or(0.0, |mover| now - mover.still.since)
    }

    /// How long a track had stood at one point when it was last seen, seconds.
    pub fn had_stood(&self, track: TrackId) -> f64 {
        let stood = |mover: &Mover| mover.recent.back().map(|(at, _)| at - mover.still.since);
        self.tracks.get(&track).and_then(stood).unwrap_or(0.0)
    }

    /// What was said of metres holds no more.
    pub fn forget_metres(&mut self) {
        let recent = self.tracks.values_mut().flat_map(|mover| &mut mover.recent);
        recent.for_each(|(_, seen)| seen.at_m = None);
    }

    /// Speed on the ground over the last second, metres a second; `None` without calibration or with too little to go by.
    pub fn speed_mps(&self, track: TrackId) -> Option<f64> {
        let points = self.tracks.get(&track)?.recent.iter().map(|(at, seen)| Some((*at, seen.at_m?)));
        let [x, y] = velocity(&points.collect::<Option<Vec<_>>>()?)?;
        Some(x.hypot(y))
    }

    /// Heading in the picture over the last second, degrees clockwise from up, 0..360; `None` for one that hardly moves.
    pub fn heading_degrees(&self, track: TrackId) -> Option<f64> {
        let recent = &self.tracks.get(&track)?.recent;
        let points: Vec<_> = recent.iter().map(|(at, seen)| (*at, seen.at_px.map(f64::from))).collect();
        let [x, y] = velocity(&points)?;
        let diagonal = f64::from(recent.back()?.1.diagonal_px);
        // The picture's y grows downwards.
        (x.hypot(y) > HEADING_SHARE * diagonal).then(|| x.atan2(-y).to_degrees().rem_euclid(360.0))
    }

    /// A track is gone.
    pub fn end(&mut self, track: TrackId) {
        self.tracks.remove(&track);
    }
}

impl Stillness {
    const fn at(origin_px: [f32; 2], since: f64) -> Self {
        Self { origin_px, since, away_since: None }
    }

    fn see(&mut self, seen: &Sighting, now: f64, settle: f64) -> Option<f64> {
        let [x, y] = [0, 1].map(|axis| seen.at_px[axis] - self.origin_px[axis]);
        if x.hypot(y) <= STILL_SHARE * seen.diagonal_px {
            self.away_since = None;
            return None;
        }
        let away_since = *self.away_since.get_or_insert(now);
        if now - away_since < settle {
            return None;
        }
        let stood = away_since - self.since;
        *self = Self::at(seen.at_px, now);
        Some(stood)
    }
}

/// Least-squares velocity through points, units a second; `None` with too few or over too short a time.
fn velocity(points: &[(f64, [f64; 2])]) -> Option<[f64; 2]> {
    let (first, last) = (points.first()?.0, points.last()?.0);
    if points.len() < MIN_POINTS || last - first < MIN_SPAN {
        return None;
    }
    let count = points.len() as f64;
    let mean_time = points.iter().map(|(at, _)| at).sum::<f64>() / count;
    let spread: f64 = points.iter().map(|(at, _)| (at - mean_time).powi(2)).sum();
    let slope = |axis: usize| points.iter().map(|(at, point)| (at - mean_time) * point[axis]).sum::<f64>() / spread;
    let found = [slope(0), slope(1)];
    found.iter().all(|value| value.is_finite()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::SETTLE;

    const ONE: TrackId = TrackId(1);

    fn sighting(x: f32, y: f32) -> Sighting {
        Sighting { at_px: [x, y], at_m: Some([f64::from(x) / 50.0, f64::from(y) / 50.0]), diagonal_px: 100.0 }
    }

    /// -1..1, the same everywhere.
    fn noise(index: u32) -> f32 {
        let hash = (u64::from(index) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (hash >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    #[test]
    fn speed_and_heading_are_right_under_jitter_and_at_any_frame_rate() {
        for fps in [5.0, 10.0, 25.0] {
            let mut movement = Movement::new(SETTLE);
            // 70 px/s at 50 px/m, to the right and down.
            for frame in 0..60u32 {
                let now = f64::from(frame) / fps;
                let (x, y) = (100.0 + 56.0 * now as f32, 100.0 + 42.0 * now as f32);
                let seen = sighting(x + 2.0 * noise(2 * frame), y + 2.0 * noise(2 * frame + 1));
                movement.see(ONE, seen, now);
            }
            let (speed, heading) =
                (movement.speed_mps(ONE).expect("moves"), movement.heading_degrees(ONE).expect("moves"));
            assert!((speed - 1.4).abs() < 0.14, "{fps}: {speed}");
            assert!((heading - 126.87).abs() < 6.0, "{fps}: {heading}");
        }
    }

    #[test]
    fn one_who_stands_trembling_stands_and_has_no_heading() {
        let mut movement = Movement::new(SETTLE);
        let moved = (0..300).filter_map(|frame| {
            let seen = sighting(100.0 + 5.0 * noise(2 * frame), 100.0 + 5.0 * noise(2 * frame + 1));
            movement.see(ONE, seen, f64::from(frame) / 10.0)
        });
        assert_eq!(moved.count(), 0);
        assert!((movement.stood(ONE, 29.9) - 29.9).abs() < 1e-9);
        assert_eq!(movement.heading_degrees(ONE), None);
        movement.end(ONE);
        assert_eq!((movement.stood(ONE, 30.0), movement.speed_mps(ONE)), (0.0, None));
    }

    #[test]
    fn one_who_goes_on_had_stood_that_long_and_a_glitch_is_no_step() {
        let mut movement = Movement::new(SETTLE);
        let mut told = Vec::new();
        for frame in 0..120u32 {
            let x = match frame {
                50 => 180.0,
                0..100 => 100.0,
                _ => 100.0 + 10.0 * (frame - 99) as f32,
            };
            told.extend(movement.see(ONE, sighting(x, 100.0), f64::from(frame) / 10.0));
        }
        assert!((told[0] - 10.1).abs() < 1e-9, "{told:?}");
        assert!(told[1..].iter().all(|stood| *stood < 0.5), "{told:?}");
    }

    #[test]
    fn too_little_says_nothing() {
        let mut movement = Movement::new(SETTLE);
        movement.see(ONE, sighting(0.0, 0.0), 0.0);
        movement.see(ONE, sighting(50.0, 0.0), 0.3);
        assert_eq!((movement.speed_mps(ONE), movement.heading_degrees(ONE)), (None, None));
        // Seen again after a long time: the old points are no part of it.
        movement.see(ONE, sighting(500.0, 0.0), 60.0);
        assert_eq!(movement.speed_mps(ONE), None);
    }
}
