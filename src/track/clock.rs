//! Media time in nominal frame intervals, which is what every noise weight in the literature is given in.

use crate::time::MediaTime;
use std::time::Duration;

/// Frame rate assumed where the stream's own is missing or nonsense, Hz.
const FALLBACK_FPS: f64 = 30.0;
/// Slack for time stamps that containers round, frames.
const ROUNDING: f64 = 0.01;

/// Counts media time from the first frame on, in nominal frames. Never goes back.
#[derive(Clone, Debug)]
pub(super) struct FrameClock {
    frames_per_nano: f64,
    last: Option<MediaTime>,
    now: f64,
}

impl FrameClock {
    /// A clock for a stream of `nominal_fps`; nonsense (zero, negative, NaN, infinite) counts as 30 Hz.
    pub fn new(nominal_fps: f64) -> Self {
        let fps = if nominal_fps.is_finite() && nominal_fps > 0.0 { nominal_fps } else { FALLBACK_FPS };
        Self { frames_per_nano: fps / 1e9, last: None, now: 0.0 }
    }

    /// Goes on to a frame shown at `at`; gives the time passed, frames, `> 0`.
    ///
    /// A time stamp that does not advance counts as one nominal interval, so that tracks age whatever the source does.
    pub fn advance(&mut self, at: MediaTime) -> f64 {
        let elapsed = self.last.map_or(0.0, |last| at.0.saturating_sub(last.0) as f64 * self.frames_per_nano);
        let passed = if elapsed > 0.0 { elapsed } else { 1.0 };
        self.last = Some(at);
        self.now += passed;
        passed
    }

    /// Time since the clock was made, frames.
    pub const fn now(&self) -> f64 {
        self.now
    }

    /// A span of time in nominal frames.
    pub fn frames(&self, span: Duration) -> f64 {
        span.as_nanos() as f64 * self.frames_per_nano
    }

    /// Whether `since` lies longer back than `span`.
    pub fn is_past(&self, since: f64, span: Duration) -> bool {
        self.now - since > self.frames(span) + ROUNDING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stamps_that_stand_or_go_back_count_one_interval() {
        let mut clock = FrameClock::new(10.0);
        let passed: Vec<f64> =
            [0, 100, 300, 300, 200, 300].iter().map(|ms| clock.advance(MediaTime(ms * 1_000_000))).collect();
        assert_eq!(passed, [1.0, 1.0, 2.0, 1.0, 1.0, 1.0]);
        assert_eq!(clock.now(), 7.0);
    }

    #[test]
    fn nonsense_frame_rates_fall_back() {
        for fps in [0.0, -5.0, f64::NAN, f64::INFINITY] {
            assert!((FrameClock::new(fps).frames(Duration::from_secs(1)) - 30.0).abs() < 1e-9);
        }
    }

    #[test]
    fn extreme_time_stamps_do_not_overflow() {
        let mut clock = FrameClock::new(25.0);
        for at in [i64::MIN, i64::MAX, i64::MIN, 0] {
            assert!(clock.advance(MediaTime(at)) > 0.0);
        }
        assert!(clock.now().is_finite());
    }
}
