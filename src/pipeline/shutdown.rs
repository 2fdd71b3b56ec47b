//! Stopping: the whole run on the user's word, one stream on its own fault, everything on a broken stage.

use crate::frame::StreamId;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

/// The run's stop switch and what went wrong in it. Clones share it.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    broken: Mutex<Option<String>>,
    /// Grows as streams are added.
    streams: RwLock<Vec<Arc<StreamFault>>>,
}

#[derive(Debug, Default)]
struct StreamFault {
    cancelled: AtomicBool,
    first: Mutex<Option<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Faults {
    /// Nothing wrong yet in `streams` streams.
    pub fn new(streams: usize) -> Self {
        Self(Arc::new(Shared {
            stop: AtomicBool::new(false),
            broken: Mutex::new(None),
            streams: RwLock::new((0..streams).map(|_| Arc::default()).collect()),
        }))
    }

    /// Forgets what was wrong with the stream that had this number before.
    pub fn renew(&self, stream: StreamId) {
        self.of_stream(stream);
        self.0.streams.write().unwrap_or_else(PoisonError::into_inner)[stream.index()] = Arc::default();
    }

    fn of_stream(&self, stream: StreamId) -> Arc<StreamFault> {
        let known = self.0.streams.read().unwrap_or_else(PoisonError::into_inner).get(stream.index()).cloned();
        known.unwrap_or_else(|| {
            let mut streams = self.0.streams.write().unwrap_or_else(PoisonError::into_inner);
            while streams.len() <= stream.index() {
                streams.push(Arc::default());
            }
            Arc::clone(&streams[stream.index()])
        })
    }

    /// Asks every source to stop; what they gave so far is worked off and written.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the run was asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.0.stop.load(Ordering::Relaxed)
    }

    /// Notes a stream's fault and stops that stream alone. The first fault is the one reported.
    pub fn fail(&self, stream: StreamId, fault: impl ToString) {
        let shared = self.of_stream(stream);
        lock(&shared.first).get_or_insert(fault.to_string());
        shared.cancelled.store(true, Ordering::Relaxed);
    }

    /// Notes damage in a stream that goes on all the same.
    pub fn note(&self, stream: StreamId, damage: impl ToString) {
        lock(&self.of_stream(stream).first).get_or_insert(damage.to_string());
    }

    /// Whether a stream was stopped by its own fault.
    pub fn is_failed(&self, stream: StreamId) -> bool {
        self.of_stream(stream).cancelled.load(Ordering::Relaxed)
    }

    /// A stream's first fault or damage.
    pub fn of(&self, stream: StreamId) -> Option<String> {
        lock(&self.of_stream(stream).first).clone()
    }

    /// Notes that a stage broke and stops the run. The first cause is the one reported.
    pub fn break_line(&self, cause: impl ToString) {
        lock(&self.0.broken).get_or_insert(cause.to_string());
        self.stop();
    }

    /// Why the line broke, if it did.
    pub fn broken(&self) -> Option<String> {
        lock(&self.0.broken).clone()
    }
}
