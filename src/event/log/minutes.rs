//! How many events of each kind each minute holds, kept in the transactions that bring and take events: a count over days is
//! a sum of minutes, and only the minutes at its ends are counted event by event.

use rusqlite::{Connection, params};
use std::collections::BTreeMap;

/// Milliseconds in a minute.
const MINUTE: i64 = 60_000;

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// Time of the events, milliseconds since 1970.
    pub at: i64,
    pub kind: i64,
    pub stream: i64,
    /// Zone or line; `None` for events of neither.
    pub place: Option<i64>,
}

/// Events that come or go in one transaction.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<Key, i64>);

impl Tally {
    /// One more.
    pub fn note(&mut self, key: Key) {
        *self.0.entry(Key { at: key.at.div_euclid(MINUTE), ..key }).or_default() += 1;
    }

    /// Adds to what the file says.
    pub fn add(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut add = connection.prepare_cached(
            "INSERT INTO minutes VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET count = count + excluded.count",
        )?;
        for (Key { at: minute, kind, stream, place }, count) in &self.0 {
            add.execute(params![minute, kind, stream, place.unwrap_or(0), count])?;
        }
        Ok(())
    }

    /// Takes from what the file says; a minute without events leaves nothing behind.
    pub fn take(&self, connection: &Connection) -> rusqlite::Result<()> {
        const ONE: &str = "minute = ?1 AND kind = ?2 AND stream = ?3 AND place = ?4";
        let mut take = connection.prepare_cached(&format!("UPDATE minutes SET count = count - ?5 WHERE {ONE}"))?;
        let mut clear = connection.prepare_cached(&format!("DELETE FROM minutes WHERE {ONE} AND count <= 0"))?;
        for (Key { at: minute, kind, stream, place }, count) in &self.0 {
            let place = place.unwrap_or(0);
            take.execute(params![minute, kind, stream, place, count])?;
            clear.execute(params![minute, kind, stream, place])?;
        }
        Ok(())
    }
}

/// A span of time, `from` included and `to` not: whole minutes, and what is left of it before and behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// Whole minutes, by number; empty where the first is not before the last.
    pub minutes: (i64, i64),
    /// What is left, milliseconds; either may be empty.
    pub edges: [(i64, i64); 2],
}

impl Parts {
    /// The parts of `from..to`, milliseconds.
    pub fn of(from: i64, to: i64) -> Self {
        let (begun, ended) = (from.div_euclid(MINUTE), to.div_euclid(MINUTE));
        let first = begun + i64::from(from.rem_euclid(MINUTE) > 0);
        if first >= ended {
            return Self { minutes: (0, 0), edges: [(from, to), (to, to)] };
        }
        Self { minutes: (first, ended), edges: [(from, first * MINUTE), (ended * MINUTE, to)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_its_whole_minutes_and_its_edges() {
        let cases = [
            ((0, 60_000), (0, 1), [(0, 0), (60_000, 60_000)]),
            ((1, 60_000), (0, 0), [(1, 60_000), (60_000, 60_000)]),
            ((1, 120_001), (1, 2), [(1, 60_000), (120_000, 120_001)]),
            ((59_999, 60_001), (0, 0), [(59_999, 60_001), (60_001, 60_001)]),
            ((-60_001, 1), (-1, 0), [(-60_001, -60_000), (0, 1)]),
            ((5, 5), (0, 0), [(5, 5), (5, 5)]),
            ((70, 5), (0, 0), [(70, 5), (5, 5)]),
        ];
        for ((from, to), minutes, edges) in cases {
            assert_eq!(Parts::of(from, to), Parts { minutes, edges }, "{from}..{to}");
        }
        let all = Parts::of(i64::MIN, i64::MAX);
        assert!(all.minutes.0 < -1_000_000_000 && all.minutes.1 > 1_000_000_000, "{all:?}");
    }
}
