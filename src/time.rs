//! Two clocks that must never be mixed: media time, which the tracker lives by, and the wall clock, which events report.

use crate::config::schedule::WeekMinute;
use crossbeam_channel::Receiver;
use std::time::{Duration, Instant, SystemTime};

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

/// The clocks of this machine, and waiting; a test puts one in their place in which hours pass at once.
pub trait Clock: Send + Sync {
    /// Now, for measuring.
    fn now(&self) -> Instant;
    /// Now by the calendar, local time.
    fn week_minute(&self) -> WeekMinute;
    /// Waits at most `wait`, less if `bell` rings.
    fn wait(&self, bell: &Receiver<()>, wait: Duration);
}

/// This machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn week_minute(&self) -> WeekMinute {
        local_week_minute()
    }

    fn wait(&self, bell: &Receiver<()>, wait: Duration) {
        // Whether it rang or not, the caller looks around.
        let _ = bell.recv_timeout(wait);
    }
}

/// The local time of day; GLib knows the time zone.
#[cfg(feature = "gst")]
fn local_week_minute() -> WeekMinute {
    let Ok(now) = gstreamer::glib::DateTime::now_local() else { return utc_week_minute() };
    let (day, minute) = (now.day_of_week() - 1, now.hour() * 60 + now.minute());
    WeekMinute { day: u8::try_from(day).unwrap_or(0), minute: u16::try_from(minute).unwrap_or(0) }
}

#[cfg(not(feature = "gst"))]
fn local_week_minute() -> WeekMinute {
    utc_week_minute()
}

fn utc_week_minute() -> WeekMinute {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let minutes = now.as_secs() / 60;
    // The first day of Unix time was a Thursday.
    WeekMinute { day: ((minutes / 1440 + 3) % 7) as u8, minute: (minutes % 1440) as u16 }
}
