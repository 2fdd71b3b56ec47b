//! `max_fps`: which frames of a stream are looked at. Pure.

use crate::time::MediaTime;

/// Thins a stream out to a number of frames a second, evenly, by media time.
#[derive(Debug)]
pub(super) struct Limiter {
    interval_nanos: i64,
    /// When the next frame is due, media time.
    due: Option<i64>,
}

impl Limiter {
    /// At most `max_fps` frames a second; all of them without.
    pub fn new(max_fps: Option<f64>) -> Self {
        Self { interval_nanos: max_fps.map_or(0, |fps| (1e9 / fps.max(1e-6)) as i64), due: None }
    }

    /// Media time begins anew.
    pub fn restart(&mut self) {
        self.due = None;
    }

    /// Whether a frame at this time is looked at.
    pub fn admits(&mut self, at: MediaTime) -> bool {
        // A frame a little early is the one that was meant: cameras do not keep time to the millisecond.
        let slack = self.interval_nanos / 8;
        let due = self.due.unwrap_or(at.0);
        if at.0 < due.saturating_sub(slack) {
            return false;
        }
        // After a gap the beat begins anew; it is not made up for.
        let beat = if at.0 > due.saturating_add(self.interval_nanos) { at.0 } else { due };
        self.due = Some(beat.saturating_add(self.interval_nanos));
        true
    }
}
