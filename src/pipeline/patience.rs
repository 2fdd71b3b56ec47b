//! How long to wait: for a camera's next frame, and between two attempts to connect. Pure.

use std::time::{Duration, Instant};

/// A camera is given at least this long, so that a busy machine or a short hiccup cuts no sound connection. Peers evict a
/// dead stream after 2 to 10 s.
const MIN_STALL: Duration = Duration::from_secs(3);
/// And at most this long, so that a slow camera that hangs is noticed at all.
const MAX_STALL: Duration = Duration::from_secs(120);
/// Usual gaps that may pass without a frame: bursty cameras repeat their longest gap about as it was.
const GAPS: u32 = 4;
/// Nominal intervals that may pass without a frame.
const INTERVALS: f64 = 10.0;
/// Gaps remembered.
const REMEMBERED: usize = 32;
/// A connection cut after fewer frames than this was probably cut too early: its camera may be slower than assumed.
const FEW_FRAMES: u64 = 3;

/// Says when a connection is given up.
#[derive(Clone, Debug)]
pub struct Watchdog {
    connect_timeout: Duration,
    /// A fixed time without frames, in place of what the camera's own rhythm says.
    stall_timeout: Option<Duration>,
    /// What was learnt from connections cut too early.
    learnt: Duration,
    gaps: [Duration; REMEMBERED],
    nominal: Duration,
    frames: u64,
    latest: Instant,
}

impl Watchdog {
    /// A watchdog that knows nothing of the camera yet.
    pub fn new(connect_timeout: Duration, stall_timeout: Option<Duration>, now: Instant) -> Self {
        let gaps = [Duration::ZERO; REMEMBERED];
        let (learnt, nominal) = (MIN_STALL, Duration::ZERO);
        Self { connect_timeout, stall_timeout, learnt, gaps, nominal, frames: 0, latest: now }
    }

    /// A new connection is being made. The camera's rhythm is remembered.
    pub fn connect(&mut self, now: Instant) {
        self.frames = 0;
        self.latest = now;
    }

    /// A frame came.
    pub fn frame(&mut self, now: Instant, nominal_fps: Option<f64>) {
        if self.frames > 0 {
            self.gaps[self.frames as usize % REMEMBERED] = now.saturating_duration_since(self.latest);
        }
        self.nominal = nominal_fps.filter(|fps| *fps > 0.01).map_or(self.nominal, |f| Duration::from_secs_f64(1.0 / f));
        self.frames += 1;
        self.latest = now;
    }

    /// Frames of this connection.
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Whether the connection is to be given up, and after what wait.
    pub fn overdue(&mut self, now: Instant) -> Option<Duration> {
        let waited = now.saturating_duration_since(self.latest);
        let allowed = self.allowed();
        if waited <= allowed {
            return None;
        }
        if (1..FEW_FRAMES).contains(&self.frames) {
            self.learnt = (allowed * 2).min(MAX_STALL);
        }
        Some(waited)
    }

    /// How long the next frame may take.
    pub fn allowed(&self) -> Duration {
        if self.frames == 0 {
            return self.connect_timeout;
        }
        self.stall_timeout.unwrap_or_else(|| {
            let longest = self.gaps.iter().max().copied().unwrap_or_default();
            let usual = (longest * GAPS).max(self.nominal.mul_f64(INTERVALS));
            usual.max(self.learnt).min(MAX_STALL)
        })
    }
}

/// The first pause between two attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// A connection that lasted this long was sound: the next pause is the first again. One that breaks at once was none.
const SOUND_AFTER: Duration = Duration::from_secs(5);
/// Pauses vary by this share, so that cameras lost together do not all come back at one moment.
const JITTER: f64 = 0.25;

/// Pauses between attempts to connect: doubling up to a cap.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    cap: Duration,
    random: u64,
}

impl Backoff {
    /// Pauses of at most `cap`; `seed` makes them differ from those of others.
    pub fn new(cap: Duration, seed: u64) -> Self {
        // Seeds that are alike are drawn apart (the golden ratio's digits); xorshift stands still at 0.
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { next: FIRST_PAUSE.min(cap), cap, random }
    }

    /// A connection gave frames for this long.
    pub fn connected_for(&mut self, lasted: Duration) {
        if lasted >= SOUND_AFTER {
            self.restart();
        }
    }

    /// The next pause is the first again.
    pub fn restart(&mut self) {
        self.next = FIRST_PAUSE.min(self.cap);
    }

    /// Trying again soon would do harm (a camera locks out who tries wrong passwords): the longest pause from now on.
    pub fn slow_down(&mut self) {
        self.next = self.cap;
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let share = (self.random >> 11) as f64 / (1u64 << 53) as f64;
        let pause = self.next.mul_f64(1.0 - JITTER * share);
        self.next = (self.next * 2).min(self.cap);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn watchdog(now: Instant) -> Watchdog {
        Watchdog::new(SECOND * 10, None, now)
    }

    #[test]
    fn the_wait_follows_the_camera() {
        let start = Instant::now();
        let cases: [(&str, Option<f64>, &[u64], u64); 5] = [
            ("connecting", None, &[], 10_000),
            ("25 fps", Some(25.0), &[40, 80, 120], 3_000),
            ("1 fps by name only", Some(1.0), &[0], 10_000),
            ("1 fps without a name", None, &[0, 1000, 2000], 4_000),
            ("bursts every 2 s", Some(10.0), &[0, 1, 2, 2002, 2003, 4003], 8_000),
        ];
        for (name, fps, frames, allowed) in cases {
            let mut dog = watchdog(start);
            for at in frames {
                dog.frame(start + Duration::from_millis(*at), fps);
            }
            assert_eq!(dog.allowed().as_millis(), u128::from(allowed), "{name}");
        }
    }

    #[test]
    fn a_camera_slower_than_assumed_is_learnt_and_not_cut_for_ever() {
        let mut now = Instant::now();
        let mut dog = watchdog(now);
        let mut cuts = 0;
        // A frame every 20 s, and a name that promises 25 a second.
        for _ in 0..50 {
            dog.connect(now);
            for _ in 0..10 {
                dog.frame(now, Some(25.0));
                now += SECOND * 20;
                if dog.overdue(now).is_some() {
                    cuts += 1;
                    break;
                }
            }
        }
        assert!((1..5).contains(&cuts), "{cuts}");
    }

    #[test]
    fn a_fixed_wait_is_kept() {
        let now = Instant::now();
        let mut dog = Watchdog::new(SECOND, Some(SECOND / 2), now);
        dog.frame(now, Some(1.0));
        assert_eq!(dog.overdue(now + SECOND / 2), None);
        assert_eq!(dog.overdue(now + SECOND), Some(SECOND));
    }

    #[test]
    fn pauses_double_up_to_the_cap_and_differ() {
        let mut backoff = Backoff::new(SECOND * 10, 7);
        let pauses: Vec<f64> = (0..10).map(|_| backoff.pause().as_secs_f64()).collect();
        for (index, pause) in pauses.iter().enumerate() {
            let full = (0.25 * f64::from(1 << index)).min(10.0);
            assert!((full * 0.75..=full).contains(pause), "{pauses:?}");
        }
        backoff.connected_for(SECOND);
        assert!(backoff.pause() > SECOND * 7);
        backoff.connected_for(SECOND * 6);
        assert!(backoff.pause() <= SECOND / 4);
        let mut other = Backoff::new(SECOND * 10, 8);
        assert_ne!(other.pause(), Backoff::new(SECOND * 10, 7).pause());
    }
}
