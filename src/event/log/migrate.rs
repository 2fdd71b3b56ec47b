//! Brings a log of format 1 up to date: places, tracks and minutes, which it did not have beside its events. In place and in
//! small transactions, so that it takes neither twice the room nor begins anew where it was interrupted.

use super::{
    LogError,
    minutes::{Key, Tally},
    schema,
    store::{self, Places},
};
use crate::event::Event;
use rusqlite::{Connection, TransactionBehavior, params};
use std::{path::Path, time::Instant};

/// The format that is brought up to date.
pub(super) const OLDER: i32 = 1;

/// Format of a file that is not yet: no version of eyeline takes it for a whole one.
pub(super) const HALFWAY: i32 = 1_000_002;

/// Events in a transaction: what fits the write-ahead file.
const CHUNK: i64 = 4000;

/// The figure that says up to which position it has come.
const DONE: &str = "migrated";

/// Does what is left of it.
pub(super) fn bring_up_to_date(connection: &mut Connection, path: &Path) -> Result<(), LogError> {
    let began = Instant::now();
    tracing::info!(path = %path.display(), "bringing the event log up to date: it was written by an earlier version");
    let fault = |error: rusqlite::Error| LogError::of(path, "cannot be brought up to date", &error);
    if connection.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0)).map_err(fault)? == OLDER {
        begin(connection).map_err(fault)?;
    }
    while fill(connection).map_err(fault)? {}
    end(connection).map_err(fault)?;
    tracing::info!(seconds = began.elapsed().as_secs_f32(), "the event log is up to date");
    Ok(())
}

pub(super) fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {} ALTER TABLE events ADD COLUMN place INTEGER; ALTER TABLE events ADD COLUMN track INTEGER; \
         DROP INDEX events_at; PRAGMA user_version = {HALFWAY}; COMMIT;",
        schema::TABLES_OF_2
    ))
}

/// The next chunk of events. Gives whether there was one.
pub(super) fn fill(connection: &mut Connection) -> rusqlite::Result<bool> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let chunk = chunk(&tx, store::figure(&tx, DONE)?)?;
    let Some((last, ..)) = chunk.last() else { return Ok(false) };
    let (mut places, mut tally) = (Places::read(&tx)?, Tally::default());
    let mut update = tx.prepare_cached("UPDATE events SET place = ?2, track = ?3 WHERE position = ?1")?;
    for (position, key, body) in &chunk {
        // One that cannot be read is of no place and no track; answers pass it over as before.
        let event = serde_json::from_str::<Event>(body).ok();
        let place = event.as_ref().map_or(Ok(None), |event| places.of(&tx, &event.what))?;
        let track = event.and_then(|event| store::track_of(&event.what));
        tally.note(Key { place, ..*key });
        if place.is_some() || track.is_some() {
            update.execute(params![position, place, track])?;
        }
    }
    drop(update);
    tally.add(&tx)?;
    store::set_figure(&tx, DONE, *last as u64)?;
    tx.commit()?;
    Ok(true)
}

/// Position, key without its place, and body of the events behind `done`.
fn chunk(connection: &Connection, done: u64) -> rusqlite::Result<Vec<(i64, Key, String)>> {
    let sql = "SELECT position, at, kind, stream, body FROM events WHERE position > ?1 ORDER BY position LIMIT ?2";
    let mut select = connection.prepare_cached(sql)?;
    let rows = select.query_map([done as i64, CHUNK], |row| {
        let key = Key { at: row.get(1)?, kind: row.get(2)?, stream: row.get(3)?, place: None };
        Ok((row.get(0)?, key, row.get(4)?))
    })?;
    rows.collect()
}

fn end(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {} DELETE FROM figures WHERE name = '{DONE}'; PRAGMA user_version = {}; COMMIT;",
        schema::INDEX,
        schema::VERSION
    ))
}
