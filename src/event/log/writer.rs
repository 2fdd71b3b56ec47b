//! The one thread that writes: gathers what waits into a transaction, tries again while the disk refuses, discards what is
//! too old or too much.

use super::{
    Cursor, LogSettings, Shared, lock_of, retention,
    store::{self, Memory},
};
use crate::event::{Event, Timestamp, state::StreamState};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use rusqlite::{Connection, TransactionBehavior, params};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Most events in a transaction: enough to make its fixed cost small, few enough that a commit takes milliseconds.
const TRANSACTION: usize = 2000;

/// Longest an acknowledged cursor waits for a transaction to go with.
const IDLE: Duration = Duration::from_millis(500);

/// Waits between tries while the disk refuses.
const RETRY: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1)];

/// What the writer is told.
pub(super) enum Message {
    /// Events to keep.
    Events(Vec<Event>),
    /// A cursor moved.
    Cursors,
    /// Answer once everything before is done.
    Flush(Sender<()>),
}

pub(super) struct Writer {
    connection: Connection,
    memory: Memory,
    shared: Arc<Shared>,
    retention: retention::Clockwork,
    /// Whether the last try to write failed: told when it begins and when it ends.
    is_failing: bool,
}

impl Writer {
    /// Takes over an open file: reads its state and closes what a crash left open.
    pub fn open(mut connection: Connection, settings: LogSettings) -> rusqlite::Result<(Self, Arc<Shared>)> {
        let mut memory = Memory::read(&connection)?;
        for known in memory.streams.values_mut().filter(|known| known.state.is_unfinished()) {
            known.state.captured = store::captured(&connection, known.id)?;
        }
        let closing =
            memory.streams.iter().flat_map(|(name, known)| known.state.closing(settings.site.as_deref(), name));
        let closing: Vec<Event> = closing.collect();
        if !closing.is_empty() {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            store::insert(&tx, &mut memory, &closing, Timestamp::now())?;
            tx.commit()?;
            tracing::info!(events = closing.len(), "closed what an earlier run left open");
        }
        let next = memory.streams.iter().map(|(name, known)| (name.clone(), known.state.next_sequence)).collect();
        let shared = Arc::new(Shared {
            settings,
            head: Mutex::new(memory.head),
            grown: Condvar::new(),
            cursors: Mutex::new(cursors(&connection)?),
            cursors_moved: AtomicBool::new(false),
            next: Mutex::new(next),
            stalled: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            committed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            discarded: AtomicU64::new(store::figure(&connection, "discarded")?),
        });
        let retention = retention::Clockwork::default();
        let writer = Self { connection, memory, shared: Arc::clone(&shared), retention, is_failing: false };
        Ok((writer, shared))
    }

    /// The streams as they stand.
    pub fn streams(&self) -> BTreeMap<String, StreamState> {
        self.memory.streams.iter().map(|(name, known)| (name.clone(), known.state.clone())).collect()
    }

    /// Writes until nobody can append any more and everything appended is committed or given up.
    pub fn run(mut self, messages: &Receiver<Message>) {
        let (mut events, mut flushed) = (Vec::new(), Vec::new());
        loop {
            let closed = match messages.recv_timeout(IDLE) {
                Ok(message) => {
                    gather(message, messages, &mut events, &mut flushed);
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            if !events.is_empty() || self.shared.cursors_moved.load(Ordering::Acquire) {
                self.keep(&events);
                events.clear();
            }
            flushed.drain(..).for_each(|done: Sender<()>| _ = done.send(()));
            if closed {
                return;
            }
            if self.retention.is_due(Instant::now()) {
                self.discard();
            }
        }
    }

    /// Commits `events` and the cursors, however often it takes. Tries once only when the log is given up or closed.
    fn keep(&mut self, events: &[Event]) {
        let mut tries = 0;
        while let Err(error) = self.commit(events) {
            self.shared.retried.fetch_add(1, Ordering::Relaxed);
            if !std::mem::replace(&mut self.is_failing, true) {
                let path = self.shared.settings.path.display();
                tracing::warn!(%path, %error, "the event log cannot be written, trying again");
            }
            // What the failed transaction had added is not in the file.
            if let Ok(memory) = Memory::read(&self.connection) {
                self.memory = memory;
            }
            if self.shared.closing.load(Ordering::Acquire) {
                self.shared.lost.fetch_add(events.len() as u64, Ordering::Relaxed);
                tracing::debug!(events = events.len(), "not kept: the event log could not be written to the end");
                return;
            }
            // Room made by discarding is the only help this program has to offer.
            self.discard();
            std::thread::sleep(RETRY[tries.min(RETRY.len() - 1)]);
            tries += 1;
        }
        let was_failing = std::mem::take(&mut self.is_failing);
        if self.shared.stalled.swap(false, Ordering::Relaxed) || was_failing {
            let lost = self.shared.lost.load(Ordering::Relaxed);
            tracing::info!(lost_in_all = lost, "the event log is written again");
        }
    }

    fn commit(&mut self, events: &[Event]) -> rusqlite::Result<()> {
        let moved = self.shared.cursors_moved.swap(false, Ordering::AcqRel);
        let done = self.transact(events, moved);
        match &done {
            Ok(bytes) => {
                self.retention.written(*bytes);
                self.shared.committed.fetch_add(events.len() as u64, Ordering::Relaxed);
                *lock_of(&self.shared.head) = self.memory.head;
                self.shared.grown.notify_all();
            }
            Err(_) if moved => self.shared.cursors_moved.store(true, Ordering::Release),
            Err(_) => {}
        }
        done.map(|_| ())
    }

    fn transact(&mut self, events: &[Event], cursors_moved: bool) -> rusqlite::Result<u64> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let bytes = store::insert(&tx, &mut self.memory, events, Timestamp::now())?;
        if cursors_moved {
            write_cursors(&tx, &lock_of(&self.shared.cursors).clone())?;
        }
        tx.commit()?;
        Ok(bytes)
    }

    fn discard(&mut self) {
        if let Err(error) = retention::discard(&mut self.connection, &self.shared, Timestamp::now()) {
            tracing::warn!(%error, "old events cannot be discarded from the event log");
        }
    }
}

/// Takes `message` and what waits behind it, up to a transaction's worth.
fn gather(message: Message, messages: &Receiver<Message>, events: &mut Vec<Event>, flushed: &mut Vec<Sender<()>>) {
    let mut next = Some(message);
    while let Some(message) = next {
        match message {
            Message::Events(more) => events.extend(more),
            Message::Cursors => {}
            Message::Flush(done) => flushed.push(done),
        }
        next = if events.len() < TRANSACTION { messages.try_recv().ok() } else { None };
    }
}

fn cursors(connection: &Connection) -> rusqlite::Result<BTreeMap<String, Cursor>> {
    let mut select = connection.prepare("SELECT sink, position, missed FROM cursors")?;
    let rows = select.query_map([], |row| {
        let (position, missed) = (row.get::<_, i64>(1)? as u64, row.get::<_, i64>(2)? as u64);
        Ok((row.get(0)?, Cursor { position, missed }))
    })?;
    rows.collect()
}

/// Writes every cursor: there are a handful.
pub(super) fn write_cursors(connection: &Connection, cursors: &BTreeMap<String, Cursor>) -> rusqlite::Result<()> {
    let mut keep = connection.prepare_cached("INSERT OR REPLACE INTO cursors VALUES (?1, ?2, ?3)")?;
    for (sink, Cursor { position, missed }) in cursors {
        keep.execute(params![sink, *position as i64, *missed as i64])?;
    }
    Ok(())
}
