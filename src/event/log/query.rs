//! Questions about what the log holds: by time, stream, kind, place and track. Bodies are read of what is asked for only,
//! everything else is answered by the index, and counts by whole minutes.

use super::{
    LogError,
    minutes::Parts,
    read::{LogReader, Logged, logged},
    store::{self, Sort},
};
use crate::event::{Event, Timestamp, What};
use rusqlite::{Connection, OptionalExtension, ToSql};

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
    /// About this zone.
    pub zone: Option<String>,
    /// About this line.
    pub line: Option<String>,
    /// About this track.
    pub track: Option<u64>,
}

/// Where a query goes on. The default is before everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bookmark {
    at: i64,
    position: i64,
}

impl Default for Bookmark {
    fn default() -> Self {
        Self { at: i64::MIN, position: i64::MIN }
    }
}

/// A part of what a query found.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The events, oldest first; none once there is nothing more.
    pub events: Vec<T>,
    /// Where the next part begins.
    pub next: Bookmark,
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

impl Filter {
    /// Whether the filter is about an event of which nothing but the event is known. Times are then those of capture; an
    /// event without one happened whenever it is asked for.
    pub fn accepts(&self, event: &Event) -> bool {
        let at = event.captured_at;
        let is = |wanted: &Option<String>, name: Option<&str>| wanted.is_none() || wanted.as_deref() == name;
        self.since.is_none_or(|since| at.is_none_or(|at| at >= since))
            && self.until.is_none_or(|until| at.is_none_or(|at| at < until))
            && is(&self.stream, Some(&event.stream))
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == event.kind()))
            && is(&self.zone, event.what.zone())
            && is(&self.line, event.what.line())
            && self.track.is_none_or(|track| event.what.seen().is_some_and(|seen| seen.track == track))
    }

    /// From when to when, milliseconds; the end is not included.
    fn span(&self) -> (i64, i64) {
        (self.since.map_or(i64::MIN, |since| since.0), self.until.map_or(i64::MAX, |until| until.0))
    }
}

impl LogReader {
    /// The events that `filter` is about in the order of their times, at most `limit` behind `from`.
    pub fn query(&self, filter: &Filter, from: Bookmark, limit: usize) -> Result<Page<Logged>, LogError> {
        self.page(filter, from, limit, logged)
    }

    /// The same as they stand in the log: each the event in compact JSON, which is not looked into.
    pub fn bodies(&self, filter: &Filter, from: Bookmark, limit: usize) -> Result<Page<String>, LogError> {
        self.page(filter, from, limit, |_, body| Some(body.to_owned()))
    }

    fn page<T>(
        &self,
        filter: &Filter,
        from: Bookmark,
        limit: usize,
        read: impl Fn(u64, &str) -> Option<T>,
    ) -> Result<Page<T>, LogError> {
        self.with(|connection| {
            let (since, until) = filter.span();
            // One beginning for both conditions: either may be the one that SQLite looks up in the index.
            let begin = if from.at < since { Bookmark { at: since, position: i64::MIN } } else { from };
            let sql = format!(
                "SELECT position, at, body FROM events INDEXED BY events_at \
                 WHERE at >= ?1 AND (at, position) > (?1, ?2) AND at < ?3{} ORDER BY at, position LIMIT ?4",
                clauses(connection, filter)?
            );
            let mut select = connection.prepare_cached(&sql)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = select.query([begin.at, begin.position, until, limit])?;
            let mut page = Page { events: Vec::new(), next: from };
            while let Some(row) = rows.next()? {
                page.next = Bookmark { position: row.get(0)?, at: row.get(1)? };
                page.events.extend(read(page.next.position as u64, row.get_ref(2)?.as_str()?));
            }
            Ok(page)
        })
    }

    /// The newest `count` events that `filter` is about, oldest of them first.
    pub fn newest(&self, filter: &Filter, count: usize) -> Result<Vec<Logged>, LogError> {
        self.with(|connection| {
            let (since, until) = filter.span();
            let sql = format!(
                "SELECT position, body FROM events NOT INDEXED WHERE at >= ?1 AND at < ?2{} ORDER BY position DESC LIMIT ?3",
                clauses(connection, filter)?
            );
            let mut select = connection.prepare_cached(&sql)?;
            let mut rows = select.query([since, until, i64::try_from(count).unwrap_or(i64::MAX)])?;
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
            let (since, until) = filter.span();
            let clauses = clauses(connection, filter)?;
            let one_by_one = format!(
                "SELECT stream, kind, 1 AS count FROM events INDEXED BY events_at WHERE at >= ? AND at < ?{clauses}"
            );
            // In one statement, which sees one state of the file.
            let (parts, values) = if filter.track.is_some() {
                (one_by_one, vec![since, until])
            } else {
                let Parts { minutes, edges: [before, behind] } = Parts::of(since, until);
                let whole =
                    format!("SELECT stream, kind, count FROM minutes WHERE minute >= ? AND minute < ?{clauses}");
                let parts = format!("{whole} UNION ALL {one_by_one} UNION ALL {one_by_one}");
                (parts, [minutes, before, behind].into_iter().flat_map(|(from, to)| [from, to]).collect())
            };
            let sql = format!("SELECT stream, kind, sum(count) FROM ({parts}) GROUP BY stream, kind");
            let mut select = connection.prepare_cached(&sql)?;
            let values: Vec<&dyn ToSql> = values.iter().map(|value| value as &dyn ToSql).collect();
            let mut rows = select.query(&*values)?;
            let mut counts = Vec::new();
            while let Some(row) = rows.next()? {
                let (stream, kind): (i64, i64) = (row.get(0)?, row.get(1)?);
                let name =
                    connection.query_row("SELECT name FROM streams WHERE id = ?1", [stream], |row| row.get(0))?;
                let kind = What::KINDS.get(kind as usize).copied().unwrap_or("unknown");
                counts.push(KindCount { stream: name, kind: kind.to_owned(), count: row.get::<_, i64>(2)? as u64 });
            }
            counts.sort();
            Ok(counts)
        })
    }
}

/// What a filter asks for beside times, as SQL to add to a condition: columns that events and minutes both have, and the
/// track, and numbers of ours, nothing a user wrote. What the log never heard of is number -1.
fn clauses(connection: &Connection, filter: &Filter) -> rusqlite::Result<String> {
    let mut clauses = String::new();
    let mut add = |column: &str, numbers: &[i64]| {
        let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
        clauses.push_str(&format!(" AND {column} IN ({})", numbers.join(", ")));
    };
    if let Some(stream) = &filter.stream {
        let mut id = connection.prepare_cached("SELECT id FROM streams WHERE name = ?1")?;
        add("stream", &[id.query_row([stream], |row| row.get(0)).optional()?.unwrap_or(-1)]);
    }
    if !filter.kinds.is_empty() {
        add("kind", &filter.kinds.iter().map(|kind| store::kind_id(kind)).collect::<Vec<_>>());
    }
    for (sort, name) in [(Sort::Zone, &filter.zone), (Sort::Line, &filter.line)] {
        if let Some(name) = name {
            let mut id = connection.prepare_cached("SELECT id FROM places WHERE sort = ?1 AND name = ?2")?;
            add("place", &[id.query_row((sort as i64, name), |row| row.get(0)).optional()?.unwrap_or(-1)]);
        }
    }
    if let Some(track) = filter.track {
        add("track", &[track as i64]);
    }
    Ok(clauses)
}
