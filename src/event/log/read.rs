//! Reading the log: by position for the sinks, by time, stream and kind for people. Works beside a writer, in this program or
//! another.

use super::{LogError, lock_of, schema, store};
use crate::event::{Event, Timestamp, What, state::Totals};
use rusqlite::{Connection, OptionalExtension, ToSql};
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

/// Which events a query is about. The default is about all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Of this stream.
    pub stream: Option<String>,
    /// Of one of these kinds; empty means any.
    pub kinds: Vec<String>,
}

/// Where a query goes on. The default is before everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    at: i64,
    position: i64,
}

impl Default for Place {
    fn default() -> Self {
        Self { at: i64::MIN, position: i64::MIN }
    }
}

/// A part of what a query found.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The events, oldest first; none once there is nothing more.
    pub events: Vec<Logged>,
    /// Where the next part begins.
    pub next: Place,
}

/// How often a kind of event happened in a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KindCount {
    /// The stream.
    pub stream: String,
    /// The kind.
    pub kind: String,
    /// How often.
    pub count: u64,
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

impl Filter {
    /// Whether the filter is about an event of which nothing but the event is known. Times are then those of capture; an
    /// event without one happened whenever it is asked for.
    pub fn accepts(&self, event: &Event) -> bool {
        let at = event.captured_at;
        self.since.is_none_or(|since| at.is_none_or(|at| at >= since))
            && self.until.is_none_or(|until| at.is_none_or(|at| at < until))
            && self.stream.as_ref().is_none_or(|stream| *stream == event.stream)
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == event.kind()))
    }
}

impl LogReader {
    /// Opens the log at `path`, whether or not a program writes it.
    ///
    /// Errors: there is none, it cannot be read, or it is of another version.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        if !path.is_file() {
            return Err(LogError::of(path, "cannot be opened", &"there is no such file"));
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

    /// The events that `filter` is about in the order of their times, at most `limit` behind `place`.
    pub fn query(&self, filter: &Filter, place: Place, limit: usize) -> Result<Page, LogError> {
        self.with(|connection| {
            let (clauses, mut values) = clauses(connection, filter)?;
            let first = values.len() + 1;
            values.extend([place.at, place.position, i64::try_from(limit).unwrap_or(i64::MAX)]);
            let sql = format!(
                "SELECT position, at, body FROM events INDEXED BY events_at \
                 WHERE at >= ?{first} AND (at, position) > (?{first}, ?{}){clauses} ORDER BY at, position LIMIT ?{}",
                first + 1,
                first + 2
            );
            let mut select = connection.prepare_cached(&sql)?;
            let values: Vec<&dyn ToSql> = values.iter().map(|value| value as &dyn ToSql).collect();
            let mut rows = select.query(&*values)?;
            let mut page = Page { events: Vec::new(), next: place };
            while let Some(row) = rows.next()? {
                page.next = Place { position: row.get(0)?, at: row.get(1)? };
                page.events.extend(logged(page.next.position as u64, row.get_ref(2)?.as_str()?));
            }
            Ok(page)
        })
    }

    /// The newest `count` events that `filter` is about, oldest of them first.
    pub fn newest(&self, filter: &Filter, count: usize) -> Result<Vec<Logged>, LogError> {
        self.with(|connection| {
            let (clauses, mut values) = clauses(connection, filter)?;
            values.push(i64::try_from(count).unwrap_or(i64::MAX));
            let last = values.len();
            let sql = format!(
                "SELECT position, body FROM events WHERE position > 0{clauses} ORDER BY position DESC LIMIT ?{last}"
            );
            let mut select = connection.prepare_cached(&sql)?;
            let values: Vec<&dyn ToSql> = values.iter().map(|value| value as &dyn ToSql).collect();
            let mut rows = select.query(&*values)?;
            let mut newest = Vec::new();
            while let Some(row) = rows.next()? {
                newest.extend(logged(row.get::<_, i64>(0)? as u64, row.get_ref(1)?.as_str()?));
            }
            newest.reverse();
            Ok(newest)
        })
    }

    /// How often each kind happened in each stream, among the events that `filter` is about.
    pub fn counts(&self, filter: &Filter) -> Result<Vec<KindCount>, LogError> {
        self.with(|connection| {
            let (clauses, values) = clauses(connection, filter)?;
            // By the index alone: it holds time, kind and stream.
            let sql = format!(
                "SELECT stream, kind, count(*) FROM events INDEXED BY events_at WHERE at >= -9223372036854775808{clauses} GROUP BY kind, stream"
            );
            let mut select = connection.prepare(&sql)?;
            let values: Vec<&dyn ToSql> = values.iter().map(|value| value as &dyn ToSql).collect();
            let mut rows = select.query(&*values)?;
            let mut counts = Vec::new();
            while let Some(row) = rows.next()? {
                let (stream, kind): (i64, i64) = (row.get(0)?, row.get(1)?);
                let name = connection.query_row("SELECT name FROM streams WHERE id = ?1", [stream], |row| row.get(0))?;
                let kind = What::KINDS.get(kind as usize).copied().unwrap_or("unknown");
                counts.push(KindCount { stream: name, kind: kind.to_owned(), count: row.get::<_, i64>(2)? as u64 });
            }
            counts.sort();
            Ok(counts)
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

    fn with<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, LogError> {
        let idle = lock_of(&self.idle).pop();
        let connection = idle.map_or_else(|| schema::open_to_read(&self.path), Ok)?;
        let result = read(&connection).map_err(|error| LogError::of(&self.path, "cannot be read", &error));
        lock_of(&self.idle).push(connection);
        result
    }
}

fn logged(position: u64, body: &str) -> Option<Logged> {
    let event = serde_json::from_str(body).inspect_err(|error| {
        tracing::warn!(position, %error, "an event in the log cannot be read");
    });
    Some(Logged { position, event: event.ok()? })
}

/// A filter as SQL: conditions to add, and the numbers they speak of.
fn clauses(connection: &Connection, filter: &Filter) -> rusqlite::Result<(String, Vec<i64>)> {
    let (mut clauses, mut values) = (String::new(), Vec::new());
    let mut add = |column: &str, value: i64| {
        values.push(value);
        clauses.push_str(&format!(" AND {column} ?{}", values.len()));
    };
    if let Some(since) = filter.since {
        add("at >=", since.0);
    }
    if let Some(until) = filter.until {
        add("at <", until.0);
    }
    if let Some(stream) = &filter.stream {
        let mut id = connection.prepare_cached("SELECT id FROM streams WHERE name = ?1")?;
        add("stream =", id.query_row([stream], |row| row.get(0)).optional()?.unwrap_or(-1));
    }
    if !filter.kinds.is_empty() {
        // Numbers of ours, nothing a user wrote.
        let ids: Vec<String> = filter.kinds.iter().map(|kind| store::kind_id(kind).to_string()).collect();
        clauses.push_str(&format!(" AND kind IN ({})", ids.join(", ")));
    }
    Ok((clauses, values))
}
