//! The durable log of events: SQLite in WAL mode. The truth that every sink follows with a cursor of its own.
//!
//! One thread writes, in small transactions, behind a bounded queue; `append` never waits long, whatever the disk does: what
//! could not be kept is counted and told. A commit survives `kill -9`; what was queued and not committed does not, and its
//! sequence numbers are given again. Tracks and streams that a crash left open are closed when the log is opened next.
//! Readers use connections of their own and are woken at every commit.

mod migrate;
mod minutes;
mod query;
mod read;
mod retention;
mod schema;
mod store;
mod writer;

pub use query::{Bookmark, Filter, KindCount, Page};
pub use read::{LogReader, Logged, SinkPlace};

use super::{
    Event, Keep,
    state::{StreamState, Totals},
};
use crossbeam_channel::{Sender, bounded};
use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use writer::{Message, Writer};

/// Appends waiting for the writer. A line of 8 cameras makes some 200 a second, so a disk that hangs for five seconds costs
/// nothing; each is a handful of events of some 500 bytes, so a full queue is a few MB.
const QUEUE: usize = 1024;

/// Longest wait of one `append` for room in the queue. Once it was in vain, later ones do not wait until the disk is back.
const APPEND_PATIENCE: Duration = Duration::from_millis(250);

/// Longest wait of a stream that begins anew for what was told of it before: a few transactions.
const RESUME_PATIENCE: Duration = Duration::from_secs(1);

/// How a log is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSettings {
    /// The file; beside it stand `-wal`, `-shm` and `.lock`.
    pub path: PathBuf,
    /// Events older than this are discarded.
    pub keep: Duration,
    /// Most bytes on the disk, write-ahead file included; the oldest events are discarded beyond. At least 32 MiB.
    pub max_bytes: u64,
    /// Name of the deployment, before the ids of what is closed after a crash.
    pub site: Option<String>,
    /// Most pages the file may have: a full disk in small, for tests.
    pub page_limit: Option<u32>,
}

impl LogSettings {
    /// A log at `path`, kept for a week and to 1 GiB.
    pub fn at(path: &Path) -> Self {
        let week = Duration::from_secs(7 * 24 * 3600);
        Self { path: path.to_owned(), keep: week, max_bytes: 1 << 30, site: None, page_limit: None }
    }
}

/// Why a log cannot be opened or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event log {path}: {problem}", path = path.display())]
pub struct LogError {
    path: PathBuf,
    problem: String,
}

impl LogError {
    fn of(path: &Path, what: &str, error: &dyn std::fmt::Display) -> Self {
        Self { path: path.to_owned(), problem: format!("{what}: {error}") }
    }

    fn version(path: &Path, version: i32) -> Self {
        let problem = match version {
            0 => "is no event log".to_owned(),
            other => format!("format {other}, expected {}: written by another version of eyeline", schema::VERSION),
        };
        Self { path: path.to_owned(), problem }
    }
}

/// What became of the events so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFigures {
    /// Committed since the log was opened.
    pub committed: u64,
    /// Not kept: the disk was full or too slow. Since the log was opened.
    pub lost: u64,
    /// Transactions that failed and were tried again.
    pub retried: u64,
    /// Discarded by age or size, in the log's whole life.
    pub discarded: u64,
    /// Of those, for each sink, the ones it never had.
    pub missed: BTreeMap<String, u64>,
    /// Bytes on the disk.
    pub bytes: u64,
}

/// Where a stream goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resumed {
    /// Sequence number of its next event.
    pub next_sequence: u64,
    /// Everything counted so far.
    pub totals: Totals,
}

/// A log open for writing. Clones are the same log; the last one dropped writes what is queued and closes it.
#[derive(Clone, Debug)]
pub struct EventLog(Arc<Owner>);

#[derive(Debug)]
struct Owner {
    queue: Option<Sender<Message>>,
    writer: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    reader: LogReader,
    /// Streams as they were when the log was opened, closed where a crash had left them open.
    found: BTreeMap<String, StreamState>,
    /// Held while the log is open, so that no second program closes what this one has open.
    _lock: File,
}

/// What the writer and everybody else have in common.
#[derive(Debug)]
struct Shared {
    settings: LogSettings,
    /// Position of the newest committed event.
    head: Mutex<u64>,
    grown: Condvar,
    cursors: Mutex<BTreeMap<String, Cursor>>,
    cursors_moved: AtomicBool,
    /// Sequence number of the next event of each stream, appended ones included.
    next: Mutex<BTreeMap<String, u64>>,
    /// Appends find no room.
    stalled: AtomicBool,
    /// The last handle is gone: what cannot be written now never will be.
    closing: AtomicBool,
    committed: AtomicU64,
    lost: AtomicU64,
    retried: AtomicU64,
    discarded: AtomicU64,
}

/// How far a sink has come, and what it will never have.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    position: u64,
    missed: u64,
}

impl EventLog {
    /// Opens the log, or makes it, brings one of an earlier version up to date, closes what a crash left open, and starts its writer.
    ///
    /// Errors: the file cannot be opened or made, is no log of this version, or another program has it open.
    pub fn open(settings: LogSettings) -> Result<Self, LogError> {
        let path = settings.path.clone();
        let fault = |error: rusqlite::Error| LogError::of(&path, "cannot be opened", &error);
        let lock = lock(&path)?;
        let connection = schema::open_to_write(&path, settings.page_limit)?;
        let (writer, shared) = Writer::open(connection, settings).map_err(fault)?;
        let found = writer.streams();
        let (queue, messages) = bounded(QUEUE);
        let thread = std::thread::Builder::new().name("event-log".into());
        let writer = thread
            .spawn(move || writer.run(&messages))
            .map_err(|error| LogError::of(&path, "its writer cannot be started", &error))?;
        let reader = LogReader::open(&path)?;
        Ok(Self(Arc::new(Owner { queue: Some(queue), writer: Some(writer), shared, reader, found, _lock: lock })))
    }

    /// Appends events, each the next of its stream. They are kept once committed; `wait_beyond` tells when.
    ///
    /// Waits at most a quarter of a second, and not at all while the disk stands still; what finds no room is lost and
    /// counted.
    pub fn append(&self, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        let shared = &self.0.shared;
        {
            let mut next = lock_of(&shared.next);
            for event in events {
                match next.get_mut(&event.stream) {
                    Some(sequence) => *sequence = event.sequence + 1,
                    None => _ = next.insert(event.stream.clone(), event.sequence + 1),
                }
            }
        }
        let Some(queue) = &self.0.queue else { return };
        let patience = if shared.stalled.load(Ordering::Relaxed) { Duration::ZERO } else { APPEND_PATIENCE };
        if queue.send_timeout(Message::Events(events.to_vec()), patience).is_err() {
            shared.lost.fetch_add(events.len() as u64, Ordering::Relaxed);
            if !shared.stalled.swap(true, Ordering::Relaxed) {
                let path = self.0.shared.settings.path.display();
                tracing::warn!(%path, "the event log cannot keep up: events are lost until its disk takes them again");
            }
        }
    }

    /// Waits until everything appended before is committed or lost, at most `timeout`. Gives whether it is.
    pub fn flush(&self, timeout: Duration) -> bool {
        let (done, wait) = bounded(1);
        let began = Instant::now();
        let sent = self.0.queue.as_ref().is_some_and(|q| q.send_timeout(Message::Flush(done), timeout).is_ok());
        sent && wait.recv_timeout(timeout.saturating_sub(began.elapsed())).is_ok()
    }

    /// What the disk does not take at the next try is lost and counted, from here on: for the end of a run, since without
    /// it the writer tries for ever. `flush` then ends soon.
    pub fn give_up(&self) {
        self.0.shared.closing.store(true, Ordering::Release);
    }

    /// The events behind `position`, oldest first, at most `limit`. Positions grow but may have gaps.
    pub fn read_after(&self, position: u64, limit: usize) -> Result<Vec<Logged>, LogError> {
        self.0.reader.read_after(position, limit)
    }

    /// For queries: by time, stream, kind.
    pub fn reader(&self) -> &LogReader {
        &self.0.reader
    }

    /// Position of the newest committed event; 0 before the first.
    pub fn head(&self) -> u64 {
        *lock_of(&self.0.shared.head)
    }

    /// Waits until there is an event behind `position`, at most `timeout`. Gives the newest position.
    pub fn wait_beyond(&self, position: u64, timeout: Duration) -> u64 {
        let head = lock_of(&self.0.shared.head);
        let waited = self.0.shared.grown.wait_timeout_while(head, timeout, |head| *head <= position);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Up to where a sink has had every event; 0 for a new one, which begins with the oldest event there is. A sink that
    /// asked once is counted for when events are discarded.
    pub fn cursor(&self, sink: &str) -> u64 {
        let mut cursors = lock_of(&self.0.shared.cursors);
        if !cursors.contains_key(sink) {
            self.0.shared.cursors_moved.store(true, Ordering::Release);
        }
        cursors.entry(sink.to_owned()).or_default().position
    }

    /// A sink has had everything up to `position`. Kept with the next transaction: after a crash a sink may be given a few
    /// events again.
    pub fn advance(&self, sink: &str, position: u64) {
        let shared = &self.0.shared;
        {
            let mut cursors = lock_of(&shared.cursors);
            let cursor = cursors.entry(sink.to_owned()).or_default();
            cursor.position = cursor.position.max(position);
        }
        if !shared.cursors_moved.swap(true, Ordering::AcqRel)
            && let Some(queue) = &self.0.queue
        {
            // A full queue means a transaction is coming anyway.
            let _ = queue.try_send(Message::Cursors);
        }
    }

    /// Sequence number of the next event of a stream.
    pub fn next_sequence(&self, stream: &str) -> u64 {
        lock_of(&self.0.shared.next).get(stream).copied().unwrap_or(0)
    }

    /// The first track id of a stream that no event of an earlier run told of; 1 for a new stream.
    pub fn next_track(&self, stream: &str) -> u64 {
        self.0.found.get(stream).map_or(1, |state| state.next_track.max(1))
    }

    /// The first track id that no event of an earlier run told of in any stream.
    pub fn next_track_of_all(&self) -> u64 {
        self.0.found.values().map(|state| state.next_track).max().unwrap_or(0).max(1)
    }

    /// Where a stream goes on that begins, perhaps for the second time while the log is open. Waits a little for what is
    /// still being written of it.
    pub fn resume(&self, stream: &str) -> Resumed {
        let found = self.0.found.get(stream).cloned().unwrap_or_default();
        let next_sequence = self.next_sequence(stream);
        if next_sequence == found.next_sequence {
            return Resumed { next_sequence, totals: found.totals };
        }
        self.flush(RESUME_PATIENCE);
        let totals = self.0.reader.totals(stream).unwrap_or_else(|error| {
            tracing::warn!(%error, stream, "counting goes on from where it stood at the start");
            found.totals
        });
        Resumed { next_sequence, totals }
    }

    /// What became of the events so far.
    pub fn figures(&self) -> LogFigures {
        let shared = &self.0.shared;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LogFigures {
            committed: count(&shared.committed),
            lost: count(&shared.lost),
            retried: count(&shared.retried),
            discarded: count(&shared.discarded),
            missed: lock_of(&shared.cursors).iter().map(|(sink, cursor)| (sink.clone(), cursor.missed)).collect(),
            bytes: schema::bytes_on_disk(&shared.settings.path),
        }
    }
}

impl Keep for EventLog {
    fn keep(&mut self, events: &[Event]) {
        self.append(events);
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // A panic of the writer was reported where it happened.
            let _ = writer.join();
        }
    }
}

/// A lock another program sees, made with its folder. The system frees it when this one ends, however it ends.
fn lock(path: &Path) -> Result<File, LogError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| LogError::of(path, "its folder cannot be made", &error))?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = File::create(PathBuf::from(name)).map_err(|error| LogError::of(path, "cannot be locked", &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LogError {
            path: path.to_owned(),
            problem: "another eyeline has it open; stop that one, or give this one another output.dir or events.log"
                .into(),
        }),
        Err(TryLockError::Error(error)) => Err(LogError::of(path, "cannot be locked", &error)),
    }
}

/// The data behind a mutex; nothing here can be left half-changed by a panic.
fn lock_of<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod question_tests;
#[cfg(test)]
mod tests;
