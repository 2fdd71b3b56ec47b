//! Two clocks that must never be mixed: media time, which the tracker lives by, and the wall clock, which events report.

use std::time::Duration;

/// Nanoseconds since this epoch of the stream began. Comes from the container or the camera, never from a wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct MediaTime(pub i64);

impl MediaTime {
    /// Media time from seconds.
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self((seconds * 1e9).round() as i64)
    }

    /// Seconds since the epoch began.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Time from `earlier` to here; zero if `earlier` is later.
    pub fn since(self, earlier: MediaTime) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}
