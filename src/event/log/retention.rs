//! What the log forgets: events older than `keep`, and the oldest beyond `max_bytes`. Each that a sink never had is counted.

use super::{
    Cursor, Shared, lock_of,
    minutes::{Key, Tally},
    schema, store, writer,
};
use crate::event::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// Events discarded in one transaction: some milliseconds' worth, so that appended ones do not wait long behind them.
const CHUNK: i64 = 4000;

/// Freed pages given back to the disk at a time, 4 MiB.
const VACUUM_PAGES: u32 = 1024;

/// Looked at this often when little is written, for the sake of age.
const PERIOD: Duration = Duration::from_secs(10);

/// Looked at after this many bytes when much is, for the sake of size: small beside the smallest log.
const BYTES: u64 = 2 << 20;

/// Space the log leaves unused below `max_bytes`: its write-ahead file, twice what that is cut back to, and what is written
/// between two looks, indexes included.
const SLACK: u64 = 2 * schema::WAL_BYTES + 2 * BYTES;

/// When to look next.
#[derive(Debug, Default)]
pub(super) struct Clockwork {
    last: Option<Instant>,
    written: u64,
}

impl Clockwork {
    /// So many bytes were written.
    pub fn written(&mut self, bytes: u64) {
        self.written += bytes;
    }

    /// Whether it is time; if so, the next time is counted from here.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = self.written >= BYTES || self.last.is_none_or(|last| now.duration_since(last) >= PERIOD);
        if due {
            *self = Self { last: Some(now), written: 0 };
        }
        due
    }
}

/// Discards what is too old at `now` and the oldest beyond the size, and gives the space back to the disk.
pub(super) fn discard(connection: &mut Connection, shared: &Shared, now: Timestamp) -> rusqlite::Result<()> {
    let cutoff = now.before(shared.settings.keep).0;
    let budget = shared.settings.max_bytes.saturating_sub(SLACK);
    loop {
        let expired = expired(connection, cutoff)?;
        let over = schema::bytes_used(connection)? > budget;
        let up_to = match (expired, over) {
            (Some(position), _) => Some(position),
            (None, true) => oldest_chunk(connection)?,
            (None, false) => None,
        };
        let Some(up_to) = up_to else { break };
        remove(connection, shared, up_to)?;
    }
    give_back(connection)
}

/// The newest of the oldest chunk of events that are all too old.
fn expired(connection: &Connection, cutoff: i64) -> rusqlite::Result<Option<i64>> {
    let mut first = connection.prepare_cached(
        "SELECT position FROM (SELECT position, at FROM events ORDER BY position LIMIT ?2) WHERE at >= ?1 LIMIT 1",
    )?;
    let kept: Option<i64> = first.query_row([cutoff, CHUNK], |row| row.get(0)).optional()?;
    let oldest: Option<i64> = connection.query_row("SELECT min(position) FROM events", [], |row| row.get(0))?;
    match (oldest, kept) {
        (Some(oldest), Some(kept)) => Ok((kept > oldest).then_some(kept - 1)),
        (Some(_), None) => oldest_chunk(connection),
        (None, _) => Ok(None),
    }
}

/// The newest of the oldest chunk of events.
fn oldest_chunk(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT max(position) FROM (SELECT position FROM events ORDER BY position LIMIT ?1)";
    connection.query_row(sql, [CHUNK], |row| row.get(0))
}

/// Removes every event up to `up_to` and counts them, for each sink the ones it never had.
fn remove(connection: &mut Connection, shared: &Shared, up_to: i64) -> rusqlite::Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut cursors = lock_of(&shared.cursors).clone();
    for Cursor { position, missed } in cursors.values_mut() {
        let sql = "SELECT count(*) FROM events WHERE position > ?1 AND position <= ?2";
        *missed += tx.query_row(sql, [*position as i64, up_to], |row| row.get::<_, i64>(0))? as u64;
    }
    tally(&tx, up_to)?.take(&tx)?;
    let removed = tx.execute("DELETE FROM events WHERE position <= ?1", [up_to])? as u64;
    let discarded = shared.discarded.load(Ordering::Relaxed) + removed;
    store::set_figure(&tx, "discarded", discarded)?;
    writer::write_cursors(&tx, &cursors)?;
    tx.commit()?;
    shared.discarded.store(discarded, Ordering::Relaxed);
    let mut known = lock_of(&shared.cursors);
    for (sink, Cursor { missed, .. }) in cursors {
        if let Some(cursor) = known.get_mut(&sink) {
            cursor.missed = missed;
        }
    }
    Ok(())
}

/// The events up to `up_to`, by minute.
fn tally(connection: &Connection, up_to: i64) -> rusqlite::Result<Tally> {
    let mut tally = Tally::default();
    let mut select = connection.prepare_cached("SELECT at, kind, stream, place FROM events WHERE position <= ?1")?;
    let mut rows = select.query([up_to])?;
    while let Some(row) = rows.next()? {
        tally.note(Key { at: row.get(0)?, kind: row.get(1)?, stream: row.get(2)?, place: row.get(3)? });
    }
    Ok(tally)
}

/// Cuts the file by the pages that were freed.
fn give_back(connection: &Connection) -> rusqlite::Result<()> {
    let mut free: u32 = connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    while free > 0 {
        // Each step of the statement frees one page.
        let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
        let left: u32 = connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        if left >= free {
            break;
        }
        free = left;
    }
    Ok(())
}
