//! Reading the log by position, as the sinks do, and what it knows of streams and sinks. Works beside a writer, in this
//! program or another. Questions are in `query`.

use super::{LogError, lock, lock_of, schema, store};
use crate::event::{Event, Timestamp, state::Totals};
use rusqlite::{Connection, OptionalExtension};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// An event and where it stands in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// Grows from event to event, over all streams; gaps are possible.
    pub position: u64,
    /// The event.
    pub event: Event,
}

/// How far a sink has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkPlace {
    /// Its name.
    pub sink: String,
    /// Up to here it has had every event.
    pub position: u64,
    /// Events that were discarded before it had them, in the log's whole life.
    pub missed: u64,
    /// Events it has yet to get; those its filter keeps back are among them.
    pub waiting: u64,
}

/// A log open for reading. Clones share their connections, one for each call at a time.
#[derive(Clone, Debug)]
pub struct LogReader {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl LogReader {
    /// Opens the log at `path`, whether or not a program writes it. One of an earlier version is brought up to date first.
    ///
    /// Errors: there is none, it cannot be read, it is of a later version, or of an earlier one and in use or not writable.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        if !path.is_file() {
            return Err(LogError::of(path, "cannot be opened", &"there is no such file"));
        }
        if schema::is_outdated(path)? {
            let _lock = lock(path)?;
            schema::open_to_write(path, None)?;
        }
        let connection = schema::open_to_read(path)?;
        Ok(Self { path: path.to_owned(), idle: Arc::new(Mutex::new(vec![connection])) })
    }

    /// The events behind `position`, oldest first, at most `limit`.
    ///
    /// An event that this version cannot read is passed over with a warning.
    pub fn read_after(&self, position: u64, limit: usize) -> Result<Vec<Logged>, LogError> {
        self.with(|connection| {
            let sql = "SELECT position, body FROM events WHERE position > ?1 ORDER BY position LIMIT ?2";
            let mut select = connection.prepare_cached(sql)?;
            let (mut position, mut found) = (position, Vec::new());
            while found.len() < limit {
                let wanted = limit - found.len();
                let mut rows = select.query([position as i64, i64::try_from(wanted).unwrap_or(i64::MAX)])?;
                let mut count = 0;
                while let Some(row) = rows.next()? {
                    count += 1;
                    position = row.get::<_, i64>(0)? as u64;
                    found.extend(logged(position, row.get_ref(1)?.as_str()?));
                }
                if count < wanted {
                    break;
                }
            }
            Ok(found)
        })
    }

    /// What was counted in a stream so far.
    pub fn totals(&self, stream: &str) -> Result<Totals, LogError> {
        self.with(|connection| {
            let mut id = connection.prepare_cached("SELECT id FROM streams WHERE name = ?1")?;
            let id: Option<i64> = id.query_row([stream], |row| row.get(0)).optional()?;
            id.map_or_else(|| Ok(Totals::default()), |id| store::totals(connection, id))
        })
    }

    /// Position before the first event in time not before `time`: `read_after` goes on from there. The newest position if
    /// there is none.
    pub fn position_at(&self, time: Timestamp) -> Result<u64, LogError> {
        self.with(|connection| {
            let sql = "SELECT position FROM events WHERE at >= ?1 ORDER BY at, position LIMIT 1";
            let found: Option<i64> = connection.query_row(sql, [time.0], |row| row.get(0)).optional()?;
            match found {
                Some(position) => Ok(position as u64 - 1),
                None => store::figure(connection, "head"),
            }
        })
    }

    /// How far each sink that ever asked has come, by name.
    pub fn sinks(&self) -> Result<Vec<SinkPlace>, LogError> {
        self.with(|connection| {
            let sql =
                "SELECT sink, position, missed, (SELECT count(*) FROM events WHERE events.position > cursors.position)
                       FROM cursors ORDER BY sink";
            let mut select = connection.prepare(sql)?;
            let rows = select.query_map([], |row| {
                let count = |at| row.get::<_, i64>(at).map(|count| count as u64);
                Ok(SinkPlace { sink: row.get(0)?, position: count(1)?, missed: count(2)?, waiting: count(3)? })
            })?;
            rows.collect()
        })
    }

    /// Position of the newest event.
    pub fn head(&self) -> Result<u64, LogError> {
        self.with(|connection| store::figure(connection, "head"))
    }

    pub(super) fn with<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, LogError> {
        let idle = lock_of(&self.idle).pop();
        let connection = idle.map_or_else(|| schema::open_to_read(&self.path), Ok)?;
        let result = read(&connection).map_err(|error| LogError::of(&self.path, "cannot be read", &error));
        lock_of(&self.idle).push(connection);
        result
    }
}

/// An event out of its body; one that this version cannot read is passed over with a warning.
pub(super) fn logged(position: u64, body: &str) -> Option<Logged> {
    let event = serde_json::from_str(body).inspect_err(|error| {
        tracing::warn!(position, %error, "an event in the log cannot be read");
    });
    Some(Logged { position, event: event.ok()? })
}
