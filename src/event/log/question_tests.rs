//! Answers against going through every event: at the edges of minutes, after retention, after a crash, and in a log that an
//! earlier version wrote.

use super::*;
use crate::event::{
    Direction, Timestamp, What,
    state::tests::{event, seen, started},
};
use rusqlite::{Connection, params};

const LONG: Duration = Duration::from_secs(60);
const HOUR: i64 = 3_600_000;

/// Repeatable numbers (Marsaglia 2003, xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }
}

const STREAMS: [&str; 3] = ["gate", "yard", "hall"];
const PLACES: [&str; 3] = ["door", "kerb", "lawn"];

fn what(numbers: &mut Numbers) -> What {
    let (seen, place) = (seen(numbers.below(20)), numbers.of(&PLACES).to_string());
    match numbers.below(7) {
        0 => What::ZoneEntered { seen, zone: place, occupancy: 1 },
        1 => What::ZoneLeft { seen, zone: place, occupancy: 0, dwell_seconds: 1.0 },
        2 => What::LineCrossed { seen, line: place, direction: Direction::In, total: 1 },
        3 => What::ZoneCleared { zone: place, occupancy: 1, limit: 2 },
        4 => What::StreamRecovered { outage_seconds: 1.0 },
        5 => What::TrackUpdated { seen },
        _ => started(seen.track),
    }
}

/// `count` events, streams in turns as it comes, `from` a time on: about ten a minute, out of order by up to two, many of
/// them at the very edge of a minute.
fn scattered(numbers: &mut Numbers, from: Timestamp, count: u64) -> Vec<Event> {
    let mut next = [0; STREAMS.len()];
    let one = |number: u64| {
        let index = numbers.below(STREAMS.len() as u64) as usize;
        let sequence = next[index];
        next[index] += 1;
        let mut told = event(STREAMS[index], sequence, what(numbers));
        let at = from.0 + (number * 6000 + numbers.below(120_000)) as i64;
        let edge = (at.div_euclid(60_000)) * 60_000 + numbers.below(3) as i64 - 1;
        told.captured_at = Some(Timestamp(*numbers.of(&[at, edge])));
        told
    };
    (0..count).map(one).collect()
}

fn filters(numbers: &mut Numbers, within: (i64, i64)) -> Filter {
    let time = |numbers: &mut Numbers| {
        let at = within.0 + numbers.below((within.1 - within.0) as u64) as i64;
        let edge = at.div_euclid(60_000) * 60_000;
        *numbers.of(&[None, Some(Timestamp(at)), Some(Timestamp(edge)), Some(Timestamp(edge + 1))])
    };
    let mut filter = Filter { since: time(numbers), until: time(numbers), ..Filter::default() };
    filter.stream = numbers.of(&[None, Some("gate"), Some("hall"), Some("none")]).map(String::from);
    filter.kinds = numbers
        .of(&[vec![], vec!["zone.entered"], vec!["line.crossed", "track.started"]])
        .iter()
        .map(|k| (*k).into())
        .collect();
    match numbers.below(5) {
        0 => filter.zone = Some((*numbers.of(&PLACES)).into()),
        1 => filter.line = Some((*numbers.of(&PLACES)).into()),
        2 => filter.track = Some(numbers.below(22)),
        _ => {}
    }
    filter
}

/// Asks `questions` questions and answers each by going through every event of the log.
fn compare(reader: &LogReader, numbers: &mut Numbers, questions: usize) {
    let mut all = reader.read_after(0, usize::MAX).expect("reads");
    all.sort_by_key(|logged| (logged.event.captured_at, logged.position));
    let times: Vec<i64> = all.iter().filter_map(|logged| Some(logged.event.captured_at?.0)).collect();
    let within = (times[0] - 70_000, times[times.len() - 1] + 70_000);
    for _ in 0..questions {
        let filter = filters(numbers, within);
        let expected: Vec<&Logged> = all.iter().filter(|logged| filter.accepts(&logged.event)).collect();
        let mut found = Vec::new();
        let mut from = Bookmark::default();
        loop {
            let page = reader.query(&filter, from, 50).expect("reads");
            if page.next == from {
                break;
            }
            found.extend(page.events);
            from = page.next;
        }
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter:?}");
        let mut counted: BTreeMap<(String, String), u64> = BTreeMap::new();
        for logged in expected {
            *counted.entry((logged.event.stream.clone(), logged.event.kind().into())).or_default() += 1;
        }
        let expected: Vec<KindCount> =
            counted.into_iter().map(|((stream, kind), count)| KindCount { stream, kind, count }).collect();
        assert_eq!(reader.counts(&filter).expect("counts"), expected, "{filter:?}");
    }
}

#[test]
fn answers_are_those_of_going_through_every_event_after_retention_and_after_a_crash_too() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let settings = LogSettings { keep: 3 * Duration::from_secs(3600), ..LogSettings::at(&folder.path().join("log")) };
    let numbers = &mut Numbers(88_172_645_463_325_252);
    let now = Timestamp::now();
    {
        let log =
            EventLog::open(LogSettings { keep: Duration::from_secs(1 << 30), ..settings.clone() }).expect("opens");
        log.append(&scattered(numbers, Timestamp(now.0 - 5 * HOUR), 3000));
        assert!(log.flush(LONG));
        compare(log.reader(), numbers, 150);
        // Dropped with its tracks open, as a crash leaves it: the next to open it ends them.
    }
    let log = EventLog::open(settings).expect("opens");
    assert!(log.flush(LONG));
    let closed = Filter { kinds: vec!["track.ended".into()], ..Filter::default() };
    assert!(!log.reader().counts(&closed).expect("counts").is_empty());
    // A look at what is too old follows the first transaction; the second is behind it.
    for _ in 0..2 {
        let sequence = log.next_sequence("gate");
        log.append(&[Event { captured_at: Some(now), ..event("gate", sequence, started(1)) }]);
        assert!(log.flush(LONG));
    }
    assert!(log.figures().discarded > 100);
    drop(log);
    let reader = LogReader::open(&folder.path().join("log")).expect("opens");
    let total: u64 = reader.counts(&Filter::default()).expect("counts").iter().map(|count| count.count).sum();
    assert_eq!(total, reader.read_after(0, usize::MAX).expect("reads").len() as u64);
    assert!(total < 3000);
    let only = |stream: &str| Filter { stream: Some(stream.into()), ..Filter::default() };
    for stream in STREAMS {
        let page = reader.query(&only(stream), Bookmark::default(), usize::MAX).expect("reads").events;
        let counts = reader.counts(&only(stream)).expect("counts");
        assert_eq!(counts.iter().map(|count| count.count).sum::<u64>(), page.len() as u64, "{stream}");
    }
    compare(&reader, numbers, 50);
    let raw = Connection::open(folder.path().join("log")).expect("opens");
    let wrong: i64 = raw
        .query_row(
            "SELECT count(*) FROM minutes m WHERE count <> (SELECT count(*) FROM events e WHERE at >= minute * 60000 \
             AND at < minute * 60000 + 60000 AND e.kind = m.kind AND e.stream = m.stream AND coalesce(e.place, 0) = m.place)",
            [],
            |row| row.get(0),
        )
        .expect("counts");
    assert_eq!(wrong, 0);
}

/// The tables of format 1.
const FORMAT_1: &str = "
    PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;
    CREATE TABLE streams (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, next_sequence INTEGER NOT NULL, next_track INTEGER NOT NULL,
        is_open INTEGER NOT NULL, frame INTEGER NOT NULL, time_seconds REAL NOT NULL);
    CREATE TABLE events (
        position INTEGER PRIMARY KEY, stream INTEGER NOT NULL, sequence INTEGER NOT NULL, kind INTEGER NOT NULL,
        at INTEGER NOT NULL, body TEXT NOT NULL);
    CREATE INDEX events_at ON events (at, kind, stream);
    CREATE TABLE open_tracks (stream INTEGER NOT NULL, track INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (stream, track)) WITHOUT ROWID;
    CREATE TABLE line_totals (stream INTEGER NOT NULL, line TEXT NOT NULL, class TEXT NOT NULL, direction TEXT NOT NULL,
        total INTEGER NOT NULL, PRIMARY KEY (stream, line, class, direction)) WITHOUT ROWID;
    CREATE TABLE zone_totals (stream INTEGER NOT NULL, zone TEXT NOT NULL, total INTEGER NOT NULL,
        PRIMARY KEY (stream, zone)) WITHOUT ROWID;
    CREATE TABLE cursors (sink TEXT PRIMARY KEY, position INTEGER NOT NULL, missed INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE figures (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    PRAGMA user_version = 1;
";

/// A log of format 1 with `events`.
fn written_by_format_1(path: &Path, events: &[Event]) {
    let mut raw = Connection::open(path).expect("opens");
    raw.execute_batch(FORMAT_1).expect("made");
    let tx = raw.transaction().expect("begins");
    for (index, event) in events.iter().enumerate() {
        let stream = STREAMS.iter().position(|name| *name == event.stream).expect("known") as i64 + 1;
        let (sequence, kind) = (event.sequence as i64, store::kind_id(event.kind()));
        let (at, body) = (event.captured_at.expect("known").0, serde_json::to_string(event).expect("written"));
        let row = params![index as i64 + 1, stream, sequence, kind, at, body];
        tx.execute("INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6)", row).expect("kept");
        tx.execute(
            "INSERT OR REPLACE INTO streams VALUES (?1, ?2, ?3, 21, 0, 0, 0)",
            params![stream, event.stream, sequence + 1],
        )
        .expect("kept");
    }
    tx.execute("INSERT INTO figures VALUES ('head', ?1)", [events.len() as i64]).expect("kept");
    tx.execute("INSERT INTO cursors VALUES ('broker', 7, 0)", []).expect("kept");
    tx.commit().expect("kept");
}

#[test]
fn a_log_of_an_earlier_version_is_brought_up_to_date_also_where_that_was_interrupted() {
    let numbers = &mut Numbers(1_442_695_040_888_963_407);
    let events = scattered(numbers, Timestamp(Timestamp::now().0 - 20 * HOUR), 9000);
    for interrupted in [None, Some(0), Some(1), Some(2), Some(3)] {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("log");
        written_by_format_1(&path, &events);
        if let Some(chunks) = interrupted {
            let mut raw = Connection::open(&path).expect("opens");
            migrate::begin(&raw).expect("begins");
            for _ in 0..chunks {
                migrate::fill(&mut raw).expect("goes on");
            }
        }
        // Whoever reads it brings it up to date as much as whoever writes it.
        let reader = if interrupted == Some(1) {
            LogReader::open(&path).expect("opens")
        } else {
            EventLog::open(LogSettings::at(&path)).expect("opens").reader().clone()
        };
        let read = reader.read_after(0, usize::MAX).expect("reads");
        assert!(read.iter().map(|logged| &logged.event).eq(&events));
        compare(&reader, numbers, 20);
        let log = EventLog::open(LogSettings::at(&path)).expect("opens");
        assert_eq!((log.cursor("broker"), log.head(), log.next_track("gate")), (7, 9000, 21));
        log.append(&[event("gate", log.next_sequence("gate"), started(30))]);
        assert!(log.flush(LONG));
        assert_eq!(log.read_after(9000, 10).expect("reads").len(), 1);
    }
}

#[test]
fn a_log_of_another_version_is_refused_and_one_that_is_in_use_is_not_changed() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("log");
    written_by_format_1(&path, &[]);
    let held = lock(&path).expect("free");
    for refused in [EventLog::open(LogSettings::at(&path)).err(), LogReader::open(&path).err()] {
        assert!(refused.expect("in use").to_string().contains("another eyeline has it open"));
    }
    drop(held);
    let raw = Connection::open(&path).expect("opens");
    assert_eq!(raw.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0)), Ok(1));
    raw.pragma_update(None, "user_version", 3).expect("set");
    for refused in [EventLog::open(LogSettings::at(&path)).err(), LogReader::open(&path).err()] {
        let said = refused.expect("refused").to_string();
        assert!(said.contains("format 3, expected 2: written by another version of eyeline"), "{said}");
    }
}
