//! What a sink tells of itself, for metrics and people.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

/// Counters of one sink, written by its thread and read by any.
#[derive(Debug)]
pub struct SinkStatus {
    name: String,
    kind: &'static str,
    delivered: AtomicU64,
    retried: AtomicU64,
    skipped: AtomicU64,
    filtered: AtomicU64,
    position: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    trouble: Option<String>,
    waiting_since: Option<Instant>,
}

/// A sink at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkReport {
    /// Name in the pipeline file.
    pub name: String,
    /// Kind: `mqtt`.
    pub kind: &'static str,
    /// Events acknowledged since the program started.
    pub delivered: u64,
    /// Tries that failed.
    pub retried: u64,
    /// Events given up because the server refused them for good.
    pub skipped: u64,
    /// Events the filter kept back.
    pub filtered: u64,
    /// Up to where in the log everything is delivered.
    pub position: u64,
    /// Events in the log that are not delivered yet, about: positions may have gaps.
    pub lag_events: u64,
    /// How long the oldest event that is being delivered has waited for it; 0 when there is none.
    pub lag_seconds: f64,
    /// Why nothing is delivered just now.
    pub trouble: Option<String>,
}

impl SinkStatus {
    /// Nothing delivered yet.
    pub fn new(name: &str, kind: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            delivered: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            filtered: AtomicU64::new(0),
            position: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// The sink as it stands, in a log whose newest event is at `head`.
    pub fn report(&self, head: u64) -> SinkReport {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let position = count(&self.position);
        let state = self.state();
        SinkReport {
            name: self.name.clone(),
            kind: self.kind,
            delivered: count(&self.delivered),
            retried: count(&self.retried),
            skipped: count(&self.skipped),
            filtered: count(&self.filtered),
            position,
            lag_events: head.saturating_sub(position),
            lag_seconds: state.waiting_since.map_or(0.0, |since| since.elapsed().as_secs_f64()),
            trouble: state.trouble.clone(),
        }
    }

    pub(super) fn reached(&self, position: u64) {
        self.position.fetch_max(position, Ordering::Relaxed);
    }

    pub(super) fn delivered(&self, count: u64) {
        self.delivered.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn filtered(&self) {
        self.filtered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failing(&self, problem: &str) {
        self.retried.fetch_add(1, Ordering::Relaxed);
        self.state().trouble = Some(problem.to_owned());
    }

    pub(super) fn well(&self) {
        self.state().trouble = None;
    }

    /// The oldest event not acknowledged was read from the log at `since`.
    pub(super) fn waiting(&self, since: Option<Instant>) {
        self.state().waiting_since = since;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
