//! The log's file: its tables, and how a connection to it is set up.

use super::{LogError, migrate};
use rusqlite::{Connection, OpenFlags};
use std::{path::Path, time::Duration};

/// Format of the file, in `user_version`.
pub(super) const VERSION: i32 = 2;

/// Longest wait for another program's lock on the file.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

/// The write-ahead file is cut back to this size, bytes. Ours to choose: small beside a log, large beside a transaction.
pub(super) const WAL_BYTES: u64 = 8 << 20;

/// Pages in the write-ahead file after which they are moved into the log: half of `WAL_BYTES`, so that it rarely grows past.
const CHECKPOINT_PAGES: u32 = 1024;

/// Every question about events is answered from this index until their bodies are wanted: a time's entries, of which SQLite
/// passes over 20 million a second, stand together. One index a question would cost each event as much again.
pub(super) const INDEX: &str = "CREATE INDEX events_at ON events (at, kind, stream, place, track);";

/// What format 2 brought. `places`: zones (sort 0) and lines (sort 1) that events told of. `minutes`: how many events are
/// in the file by minute of `at`; `place` 0 are those of no place.
pub(super) const TABLES_OF_2: &str = "
    CREATE TABLE places (id INTEGER PRIMARY KEY, sort INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (sort, name));
    CREATE TABLE minutes (minute INTEGER NOT NULL, kind INTEGER NOT NULL, stream INTEGER NOT NULL, place INTEGER NOT NULL,
        count INTEGER NOT NULL, PRIMARY KEY (minute, kind, stream, place)) WITHOUT ROWID;
";

/// `at`: milliseconds since 1970, when the event was captured, or kept where that is unknown. `kind`: place in
/// `What::KINDS`, which therefore only grows at its end. `place`: of `places`, the zone or line it is about.
const TABLES: &str = "
    CREATE TABLE streams (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, next_sequence INTEGER NOT NULL, next_track INTEGER NOT NULL,
        is_open INTEGER NOT NULL, frame INTEGER NOT NULL, time_seconds REAL NOT NULL);
    CREATE TABLE events (
        position INTEGER PRIMARY KEY, stream INTEGER NOT NULL, sequence INTEGER NOT NULL, kind INTEGER NOT NULL,
        at INTEGER NOT NULL, place INTEGER, track INTEGER, body TEXT NOT NULL);
    CREATE TABLE open_tracks (stream INTEGER NOT NULL, track INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (stream, track)) WITHOUT ROWID;
    CREATE TABLE line_totals (stream INTEGER NOT NULL, line TEXT NOT NULL, class TEXT NOT NULL, direction TEXT NOT NULL,
        total INTEGER NOT NULL, PRIMARY KEY (stream, line, class, direction)) WITHOUT ROWID;
    CREATE TABLE zone_totals (stream INTEGER NOT NULL, zone TEXT NOT NULL, total INTEGER NOT NULL,
        PRIMARY KEY (stream, zone)) WITHOUT ROWID;
    CREATE TABLE cursors (sink TEXT PRIMARY KEY, position INTEGER NOT NULL, missed INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE figures (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
";

/// Opens the file for the writer, making it where it is missing and bringing an older one up to date. Whoever calls this
/// holds the log's lock.
pub(super) fn open_to_write(path: &Path, page_limit: Option<u32>) -> Result<Connection, LogError> {
    let fault = |error: rusqlite::Error| LogError::of(path, "cannot be opened", &error);
    let mut connection = Connection::open(path).map_err(fault)?;
    set_up(&connection).map_err(fault)?;
    let version = version(&connection).map_err(fault)?;
    match version {
        VERSION => {}
        0 => create(&connection).map_err(fault)?,
        migrate::OLDER | migrate::HALFWAY => migrate::bring_up_to_date(&mut connection, path)?,
        other => return Err(LogError::version(path, other)),
    }
    if let Some(pages) = page_limit {
        connection.pragma_update(None, "max_page_count", pages).map_err(fault)?;
    }
    Ok(connection)
}

/// Opens the file to read it only.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, LogError> {
    let fault = |error: rusqlite::Error| LogError::of(path, "cannot be opened", &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(fault)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(fault)?;
    match version(&connection).map_err(fault)? {
        VERSION => Ok(connection),
        other => Err(LogError::version(path, other)),
    }
}

/// Whether the file is of an older format, which `open_to_write` brings up to date.
pub(super) fn is_outdated(path: &Path) -> Result<bool, LogError> {
    let fault = |error: rusqlite::Error| LogError::of(path, "cannot be opened", &error);
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(fault)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(fault)?;
    Ok(matches!(version(&connection).map_err(fault)?, migrate::OLDER | migrate::HALFWAY))
}

fn version(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Before the first table: pages of deleted events go back to the disk little by little.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A commit survives the death of the program; the death of the machine may cost the last few.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES as i64)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)
}

fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("BEGIN; {TABLES} {TABLES_OF_2} {INDEX} PRAGMA user_version = {VERSION}; COMMIT;"))
}

/// Bytes of the file in use: pages that hold something.
pub(super) fn bytes_used(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    Ok(((number("page_count")? - number("freelist_count")?) * number("page_size")?) as u64)
}

/// Bytes on the disk: the file and its write-ahead file.
pub(super) fn bytes_on_disk(path: &Path) -> u64 {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        std::path::PathBuf::from(name)
    };
    size(path) + size(&beside("-wal")) + size(&beside("-shm"))
}
