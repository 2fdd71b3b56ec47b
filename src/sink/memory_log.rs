//! An event log in memory, for tests of followers and of servers.

use super::deliver::Log;
use crate::event::{Event, log::Logged};
use std::{
    collections::HashMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Keeps everything for as long as it lives. Positions count from 1.
#[derive(Debug, Default)]
pub struct MemoryLog {
    inner: Mutex<Inner>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    events: Vec<Event>,
    cursors: HashMap<String, u64>,
}

impl MemoryLog {
    /// Adds events behind the newest.
    pub fn append(&self, events: impl IntoIterator<Item = Event>) {
        self.inner().events.extend(events);
        self.grown.notify_all();
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for MemoryLog {
    fn read_after(&self, position: u64, limit: usize) -> Result<Vec<Logged>, String> {
        let inner = self.inner();
        let entries = inner.events.iter().zip(1..).skip(position as usize).take(limit);
        Ok(entries.map(|(event, position)| Logged { position, event: event.clone() }).collect())
    }

    fn cursor(&self, sink: &str) -> u64 {
        self.inner().cursors.get(sink).copied().unwrap_or(0)
    }

    fn advance(&self, sink: &str, position: u64) {
        self.inner().cursors.insert(sink.to_owned(), position);
    }

    fn wait_beyond(&self, position: u64, timeout: Duration) {
        let is_waiting = |inner: &mut Inner| inner.events.len() as u64 <= position;
        drop(self.grown.wait_timeout_while(self.inner(), timeout, is_waiting));
    }

    fn head(&self) -> u64 {
        self.inner().events.len() as u64
    }
}
