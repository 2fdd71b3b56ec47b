//! How long to wait before trying again: longer with each failure, never the same twice.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// Share of a wait that is left to chance, so that many clients of one server do not come back at the same moment.
const JITTER: f64 = 0.5;

/// Waits that double up to a cap.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// No failure yet.
    pub fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, failures: 0 }
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// All is well again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// One more failure; how long to wait now: half of the full wait to all of it.
    pub fn next_wait(&mut self) -> Duration {
        self.wait(chance())
    }

    fn wait(&mut self, chance: f64) -> Duration {
        let full = self.first.saturating_mul(2u32.saturating_pow(self.failures.min(31))).min(self.max);
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(1.0 - JITTER * chance)
    }
}

/// A number in 0..1. Each `RandomState` has keys of its own.
fn chance() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_the_cap_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<u128> = (0..6).map(|_| backoff.wait(0.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.wait(1.0), Duration::from_millis(500));
        backoff.reset();
        assert_eq!((backoff.failures(), backoff.wait(0.0)), (0, Duration::from_millis(100)));
    }

    #[test]
    fn any_number_of_failures_stays_at_the_cap() {
        let mut backoff = Backoff::new(Duration::from_secs(60), Duration::from_secs(3600));
        backoff.failures = u32::MAX;
        assert_eq!(backoff.wait(0.0), Duration::from_secs(3600));
        assert!((0..100).map(|_| chance()).all(|chance| (0.0..1.0).contains(&chance)));
    }
}
