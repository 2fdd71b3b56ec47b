//! Events and what follows from them, in one transaction: rows of `events`, the streams' states, the sinks' cursors.

use super::minutes::{Key, Tally};
use crate::event::{
    Clock, Direction, Event, Timestamp, What,
    state::{Change, OpenTrack, StreamState, Totals},
};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::{BTreeMap, BTreeSet};

/// A stream as the writer knows it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub id: i64,
    pub state: StreamState,
}

/// Everything the writer carries from transaction to transaction; equal to what is in the file after each commit.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    pub streams: BTreeMap<String, Known>,
    /// Numbers of the zones and lines that events told of.
    places: Places,
    /// Position of the newest event; 0 before the first.
    pub head: u64,
}

/// Zones and lines by name: each its own names. A few for each stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Places([BTreeMap<String, i64>; 2]);

/// What a place is; its number in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Zone = 0,
    Line = 1,
}

impl Memory {
    /// Reads what the file says.
    pub fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let head = figure(connection, "head")?;
        let mut memory = Self { streams: BTreeMap::new(), places: Places::read(connection)?, head };
        let mut streams = connection
            .prepare("SELECT name, id, next_sequence, next_track, is_open, frame, time_seconds FROM streams")?;
        let mut rows = streams.query([])?;
        while let Some(row) = rows.next()? {
            let id = row.get(1)?;
            let state = StreamState {
                next_sequence: row.get::<_, i64>(2)? as u64,
                next_track: row.get::<_, i64>(3)? as u64,
                is_open: row.get(4)?,
                latest: (row.get::<_, i64>(5)? as u64, row.get(6)?),
                captured: Default::default(),
                open: open_tracks(connection, id)?,
                totals: totals(connection, id)?,
            };
            memory.streams.insert(row.get(0)?, Known { id, state });
        }
        Ok(memory)
    }

    /// The id of a stream, made at its first event.
    fn stream(&mut self, tx: &Transaction<'_>, name: &str) -> rusqlite::Result<&mut Known> {
        if !self.streams.contains_key(name) {
            tx.execute("INSERT INTO streams VALUES (NULL, ?1, 0, 0, 0, 0, 0)", [name])?;
            let known = Known { id: tx.last_insert_rowid(), state: StreamState::default() };
            self.streams.insert(name.to_owned(), known);
        }
        // Inserted above where it was missing.
        self.streams.get_mut(name).ok_or(rusqlite::Error::QueryReturnedNoRows)
    }
}

/// Writes `events` behind the newest one and brings `memory` up to them. Events without a capture time are kept as of
/// `now`. Gives the bytes of their bodies.
pub(super) fn insert(
    tx: &Transaction<'_>,
    memory: &mut Memory,
    events: &[Event],
    now: Timestamp,
) -> rusqlite::Result<u64> {
    let mut changes: BTreeSet<(&str, Option<Change>)> = BTreeSet::new();
    let mut bytes = 0;
    let mut tally = Tally::default();
    let mut insert = tx.prepare_cached(
        "INSERT INTO events (position, stream, sequence, kind, at, place, track, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for event in events {
        let body = serde_json::to_string(event).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
        bytes += body.len() as u64;
        let known = memory.stream(tx, &event.stream)?;
        known.state.follow(event, &mut |change| _ = changes.insert((event.stream.as_str(), Some(change))));
        changes.insert((event.stream.as_str(), None));
        let (stream, at, kind) = (known.id, event.captured_at.unwrap_or(now).0, kind_id(event.kind()));
        let place = memory.places.of(tx, &event.what)?;
        memory.head += 1;
        let (position, sequence) = (memory.head as i64, event.sequence as i64);
        insert.execute(params![position, stream, sequence, kind, at, place, track_of(&event.what), body])?;
        tally.note(Key { at, kind, stream, place });
    }
    tally.add(tx)?;
    for (stream, change) in changes {
        if let Some(known) = memory.streams.get(stream) {
            write_change(tx, known, change)?;
        }
    }
    set_figure(tx, "head", memory.head)?;
    Ok(bytes)
}

/// The track an event is about, as the file has it.
pub(super) fn track_of(what: &What) -> Option<i64> {
    what.seen().map(|seen| seen.track as i64)
}

impl Places {
    /// Reads what the file says.
    pub fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut places = Self::default();
        let mut select = connection.prepare("SELECT id, sort, name FROM places")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(names) = places.0.get_mut(usize::from(row.get::<_, u8>(1)?)) {
                names.insert(row.get(2)?, row.get(0)?);
            }
        }
        Ok(places)
    }

    /// The number of the place an event is about, made when the first event tells of it.
    pub fn of(&mut self, tx: &Transaction<'_>, what: &What) -> rusqlite::Result<Option<i64>> {
        let zone = what.zone().map(|name| (Sort::Zone, name));
        let Some((sort, name)) = zone.or(what.line().map(|name| (Sort::Line, name))) else { return Ok(None) };
        let names = &mut self.0[sort as usize];
        if let Some(id) = names.get(name) {
            return Ok(Some(*id));
        }
        tx.execute("INSERT INTO places VALUES (NULL, ?1, ?2)", params![sort as i64, name])?;
        let id = tx.last_insert_rowid();
        names.insert(name.to_owned(), id);
        Ok(Some(id))
    }
}

fn write_change(tx: &Transaction<'_>, known: &Known, change: Option<Change>) -> rusqlite::Result<usize> {
    let Known { id, state } = known;
    match change {
        None => {
            let (frame, time_seconds) = state.latest;
            let mut update = tx.prepare_cached(
                "UPDATE streams SET next_sequence = ?2, next_track = ?3, is_open = ?4, frame = ?5, time_seconds = ?6 WHERE id = ?1",
            )?;
            let (next_sequence, next_track) = (state.next_sequence as i64, state.next_track as i64);
            update.execute(params![id, next_sequence, next_track, state.is_open, frame as i64, time_seconds])
        }
        Some(Change::Track(track)) => match state.open.get(&track) {
            Some(open) => {
                let body =
                    serde_json::to_string(open).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
                let mut keep = tx.prepare_cached("INSERT OR REPLACE INTO open_tracks VALUES (?1, ?2, ?3)")?;
                keep.execute(params![id, track as i64, body])
            }
            None => {
                let mut forget = tx.prepare_cached("DELETE FROM open_tracks WHERE stream = ?1 AND track = ?2")?;
                forget.execute(params![id, track as i64])
            }
        },
        Some(Change::Line(line, class, direction)) => {
            let mut keep = tx.prepare_cached("INSERT OR REPLACE INTO line_totals VALUES (?1, ?2, ?3, ?4, ?5)")?;
            let direction_name = direction.as_str();
            let total = state.totals.lines.get(&(line.clone(), class.clone(), direction)).copied().unwrap_or(0);
            keep.execute(params![id, line, class, direction_name, total as i64])
        }
        Some(Change::Zone(zone)) => {
            let mut keep = tx.prepare_cached("INSERT OR REPLACE INTO zone_totals VALUES (?1, ?2, ?3)")?;
            let total = state.totals.zones.get(&zone).copied().unwrap_or(0);
            keep.execute(params![id, zone, total as i64])
        }
    }
}

/// When the newest event of a stream was captured, and by which clock; nothing and a recording's where it was discarded.
/// Looks for it from the end of the log.
pub(super) fn captured(connection: &Connection, stream: i64) -> rusqlite::Result<(Option<Timestamp>, Clock)> {
    let mut select =
        connection.prepare_cached("SELECT body FROM events WHERE stream = ?1 ORDER BY position DESC LIMIT 1")?;
    let body: Option<String> = select.query_row([stream], |row| row.get(0)).optional()?;
    let event: Option<Event> = body.and_then(|body| serde_json::from_str(&body).ok());
    Ok(event.map_or((None, Clock::File), |event| (event.captured_at, event.clock)))
}

fn open_tracks(connection: &Connection, stream: i64) -> rusqlite::Result<BTreeMap<u64, OpenTrack>> {
    let mut select = connection.prepare("SELECT track, body FROM open_tracks WHERE stream = ?1")?;
    let rows = select.query_map([stream], |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, String>(1)?)))?;
    let mut open = BTreeMap::new();
    for row in rows {
        let (track, body) = row?;
        // Unreadable only where another version wrote it: such a track is forgotten rather than the log refused.
        if let Ok(track_open) = serde_json::from_str(&body) {
            open.insert(track, track_open);
        }
    }
    Ok(open)
}

/// What was counted in a stream so far.
pub(super) fn totals(connection: &Connection, stream: i64) -> rusqlite::Result<Totals> {
    let mut totals = Totals::default();
    let mut lines = connection.prepare("SELECT line, class, direction, total FROM line_totals WHERE stream = ?1")?;
    let mut rows = lines.query([stream])?;
    while let Some(row) = rows.next()? {
        let direction = if row.get::<_, String>(2)? == Direction::In.as_str() { Direction::In } else { Direction::Out };
        totals.lines.insert((row.get(0)?, row.get(1)?, direction), row.get::<_, i64>(3)? as u64);
    }
    let mut zones = connection.prepare("SELECT zone, total FROM zone_totals WHERE stream = ?1")?;
    let mut rows = zones.query([stream])?;
    while let Some(row) = rows.next()? {
        totals.zones.insert(row.get(0)?, row.get::<_, i64>(1)? as u64);
    }
    Ok(totals)
}

/// Number of a kind within the file: its place in `What::KINDS`, which only ever grows at its end.
pub(super) fn kind_id(kind: &str) -> i64 {
    What::KINDS.iter().position(|known| *known == kind).map_or(-1, |index| index as i64)
}

/// A number kept by name; 0 where it was never set.
pub(super) fn figure(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    let mut select = connection.prepare_cached("SELECT value FROM figures WHERE name = ?1")?;
    Ok(select.query_row([name], |row| row.get::<_, i64>(0)).optional()?.unwrap_or(0) as u64)
}

/// Keeps a number by name.
pub(super) fn set_figure(connection: &Connection, name: &str, value: u64) -> rusqlite::Result<()> {
    let mut keep = connection.prepare_cached("INSERT OR REPLACE INTO figures VALUES (?1, ?2)")?;
    keep.execute(params![name, value as i64]).map(|_| ())
}
