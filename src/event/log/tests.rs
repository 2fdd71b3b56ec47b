//! The log alone: what it promises to the line, to the sinks, and after a crash.

use super::*;
use crate::event::{
    Direction, Timestamp, What,
    state::tests::{event, seen, started},
};
use std::sync::mpsc;

const LONG: Duration = Duration::from_secs(60);

fn settings(folder: &tempfile::TempDir) -> LogSettings {
    LogSettings::at(&folder.path().join("events.db"))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("temporary folder")
}

fn open(folder: &tempfile::TempDir) -> EventLog {
    EventLog::open(settings(folder)).expect("opens")
}

/// Events `range` of a stream, about tracks of the same numbers.
fn events(stream: &str, range: std::ops::Range<u64>) -> Vec<Event> {
    range.map(|sequence| event(stream, sequence, started(sequence))).collect()
}

#[test]
fn events_are_read_in_the_order_they_were_appended() {
    let folder = folder();
    let log = open(&folder);
    log.append(&events("gate", 0..3));
    log.append(&events("yard", 0..2));
    log.append(&events("gate", 3..4));
    assert!(log.flush(LONG));
    let read = log.read_after(0, 100).expect("reads");
    let ids: Vec<&str> = read.iter().map(|logged| logged.event.id.as_str()).collect();
    assert_eq!(ids, ["gate/0", "gate/1", "gate/2", "yard/0", "yard/1", "gate/3"]);
    assert_eq!(read[0].event, events("gate", 0..1)[0]);
    assert!(read.windows(2).all(|two| two[0].position < two[1].position));
    let rest = log.read_after(read[3].position, 1).expect("reads");
    assert_eq!(rest, read[4..5]);
    assert_eq!((log.head(), log.next_sequence("gate"), log.next_sequence("else")), (6, 4, 0));
}

#[test]
fn a_follower_is_woken_by_the_commit() {
    let folder = folder();
    let log = open(&folder);
    assert_eq!(log.wait_beyond(0, Duration::ZERO), 0);
    let (follower, (send, receive)) = (log.clone(), mpsc::channel());
    std::thread::spawn(move || send.send(follower.wait_beyond(0, LONG)));
    log.append(&events("gate", 0..1));
    assert_eq!(receive.recv_timeout(LONG), Ok(1));
}

#[test]
fn cursors_sequences_tracks_and_totals_go_on_after_a_restart() {
    let folder = folder();
    let crossed = What::LineCrossed { seen: seen(7), line: "kerb".into(), direction: Direction::Out, total: 1 };
    {
        let log = open(&folder);
        assert_eq!(log.cursor("broker"), 0);
        log.append(&events("gate", 0..5));
        log.append(&[event("gate", 5, crossed)]);
        log.advance("broker", 3);
        log.advance("broker", 2);
    }
    let log = open(&folder);
    assert_eq!((log.cursor("broker"), log.cursor("other")), (3, 0));
    assert_eq!(log.resume("gate").totals.lines[&("kerb".into(), "person".into(), Direction::Out)], 1);
    assert_eq!((log.next_track("gate"), log.next_track("yard"), log.next_track_of_all()), (8, 1, 8));
    // Five tracks were open when it was closed; a program that closes in order ends them itself.
    let after: Vec<_> = log.read_after(6, 100).expect("reads").into_iter().map(|l| l.event).collect();
    let told: Vec<_> = after.iter().map(|e| (e.sequence, e.kind(), e.what.seen().map(|s| s.track))).collect();
    let expected: Vec<_> = (0..5).map(|track| (6 + track, "track.ended", Some(track))).collect();
    assert_eq!(told, expected);
    assert_eq!(log.next_sequence("gate"), 11);
}

#[test]
fn what_a_crash_left_open_is_closed_under_the_name_of_the_site() {
    let folder = folder();
    open(&folder).append(&events("gate", 0..1));
    let log = EventLog::open(LogSettings { site: Some("north".into()), ..settings(&folder) }).expect("opens");
    let ids: Vec<String> = log.read_after(0, 10).expect("reads").into_iter().map(|logged| logged.event.id).collect();
    assert_eq!(ids, ["gate/0", "north/gate/1"]);
}

#[test]
fn two_programs_do_not_share_a_log() {
    let folder = folder();
    let first = open(&folder);
    let second = EventLog::open(settings(&folder)).expect_err("locked");
    assert!(
        second.to_string().contains("another eyeline has it open; stop that one, or give this one another"),
        "{second}"
    );
    drop(first);
    drop(open(&folder));
}

#[test]
fn what_is_no_log_is_refused() {
    let folder = folder();
    let path = folder.path().join("events.db");
    let missing = LogReader::open(&path).expect_err("missing");
    assert!(missing.to_string().contains("no such file"), "{missing}");
    std::fs::write(&path, b"hello, this is not a database at all").expect("written");
    assert!(EventLog::open(LogSettings::at(&path)).is_err());
    assert!(LogReader::open(&path).is_err());
}

/// Another connection holds the write lock: to the writer that is a disk that takes nothing.
#[test]
fn a_disk_that_takes_nothing_does_not_hold_the_line_and_what_was_lost_is_counted() {
    let folder = folder();
    let log = open(&folder);
    log.append(&events("gate", 0..1));
    assert!(log.flush(LONG));
    let other = rusqlite::Connection::open(folder.path().join("events.db")).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locks");

    let began = Instant::now();
    let appended = 6 * QUEUE as u64;
    for sequence in 1..=appended {
        log.append(&events("gate", sequence..sequence + 1));
    }
    // One wait in vain, then none: thousands of appends take as long as one.
    assert!(began.elapsed() < 20 * APPEND_PATIENCE, "{:?}", began.elapsed());
    let lost = log.figures().lost;
    assert!(lost > QUEUE as u64, "{lost} lost");

    other.execute_batch("ROLLBACK").expect("unlocks");
    assert!(log.flush(LONG));
    log.append(&events("gate", appended + 1..appended + 2));
    assert!(log.flush(LONG));
    let figures = log.figures();
    assert_eq!(figures.committed + figures.lost, appended + 2);
    // What is there is whole and in order; the gap shows what is not.
    let read = log.read_after(0, usize::MAX).expect("reads");
    assert_eq!(read.len() as u64, figures.committed);
    assert!(read.windows(2).all(|two| two[0].event.sequence < two[1].event.sequence));
    assert_eq!(read.last().map(|logged| logged.event.sequence), Some(appended + 1));
}

#[test]
fn a_full_disk_loses_events_but_neither_the_program_nor_what_was_committed() {
    let folder = folder();
    let log = EventLog::open(LogSettings { page_limit: Some(200), ..settings(&folder) }).expect("opens");
    log.append(&events("gate", 0..300));
    assert!(log.flush(LONG));
    for sequence in 300..6000 {
        log.append(&events("gate", sequence..sequence + 1));
    }
    let committed = log.read_after(0, usize::MAX).expect("reads").len();
    assert!(committed > 100, "{committed} committed before the disk was full");
    let figures = log.figures();
    assert!(figures.retried > 0 && figures.lost > 0, "{figures:?}");
    drop(log);

    // More room: it goes on where it was.
    let log = open(&folder);
    let read = log.read_after(0, usize::MAX).expect("reads");
    assert!(read.len() >= committed);
    let sequences: Vec<u64> = read.iter().map(|logged| logged.event.sequence).collect();
    assert_eq!(sequences, (0..read.len() as u64).collect::<Vec<_>>());
    log.append(&events("gate", log.next_sequence("gate")..log.next_sequence("gate") + 1));
    assert!(log.flush(LONG));
    assert_eq!(log.figures().lost, 0);
}

#[test]
fn a_log_that_is_given_up_counts_what_waits_and_keeps_what_it_can() {
    let folder = folder();
    let log = open(&folder);
    let other = rusqlite::Connection::open(folder.path().join("events.db")).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locks");
    (0..50).for_each(|sequence| log.append(&events("gate", sequence..sequence + 1)));
    log.give_up();
    assert!(log.flush(LONG));
    assert_eq!(log.figures().lost, 50);
    other.execute_batch("ROLLBACK").expect("unlocks");
    log.append(&events("gate", 50..51));
    assert!(log.flush(LONG));
    assert_eq!((log.figures().committed, log.figures().lost), (1, 50));
}

#[test]
fn retention_bounds_the_bytes_on_disk_and_counts_what_a_sink_never_had() {
    let folder = folder();
    let max_bytes = 32 << 20;
    let log = EventLog::open(LogSettings { max_bytes, ..settings(&folder) }).expect("opens");
    log.cursor("dead");
    log.cursor("live");
    let total = 80_000;
    // Large events, so that the limit is met soon.
    let filler = "x".repeat(400);
    for chunk in 0..total / 1000 {
        let lost = |sequence| event("gate", sequence, What::StreamLost { reason: filler.clone() });
        log.append(&(chunk * 1000..(chunk + 1) * 1000).map(lost).collect::<Vec<_>>());
        assert!(log.flush(LONG));
        log.advance("live", log.head());
        assert!(log.figures().bytes <= max_bytes, "{} bytes", log.figures().bytes);
    }
    let figures = log.figures();
    assert_eq!(figures.lost, 0);
    let kept = log.read_after(0, usize::MAX).expect("reads");
    assert_eq!(figures.discarded + kept.len() as u64, total);
    assert!(figures.discarded > 10_000, "{figures:?}");
    assert_eq!((figures.missed["dead"], figures.missed["live"]), (figures.discarded, 0));
    assert_eq!(kept.last().map(|logged| logged.event.sequence), Some(total - 1));
}

#[test]
fn retention_discards_what_is_too_old() {
    let folder = folder();
    let hour = Duration::from_secs(3600);
    let log = EventLog::open(LogSettings { keep: 12 * hour, ..settings(&folder) }).expect("opens");
    let now = Timestamp::now();
    let at = |sequence: u64| {
        let mut event = event("gate", sequence, What::StreamRecovered { outage_seconds: 1.0 });
        event.captured_at = Some(now.before(hour * 24u32.saturating_sub(sequence as u32)));
        event
    };
    log.append(&(0..24).map(at).collect::<Vec<_>>());
    drop(log);
    // A look at the latest at the first turn of the next run.
    let log = EventLog::open(LogSettings { keep: 12 * hour, ..settings(&folder) }).expect("opens");
    log.append(&[at(24)]);
    assert!(log.flush(LONG));
    log.append(&[at(25)]);
    assert!(log.flush(LONG));
    let kept: Vec<u64> = log.read_after(0, 100).expect("reads").iter().map(|logged| logged.event.sequence).collect();
    assert_eq!(kept, (13..26).collect::<Vec<_>>());
}

#[test]
fn queries_find_by_time_stream_and_kind() {
    let folder = folder();
    let log = open(&folder);
    let at = |mut event: Event, millis: i64| {
        event.captured_at = Some(Timestamp(millis));
        event
    };
    let recovered = What::StreamRecovered { outage_seconds: 1.0 };
    let now = Timestamp::now().0;
    log.append(&[at(event("gate", 0, started(1)), now), at(event("yard", 0, started(1)), now + 10)]);
    log.append(&[at(event("gate", 1, recovered), now + 20), at(event("gate", 2, started(2)), now + 30)]);
    assert!(log.flush(LONG));
    let find = |filter: Filter| -> Vec<String> {
        let (mut found, mut place) = (Vec::new(), Bookmark::default());
        loop {
            let page = log.reader().query(&filter, place, 1).expect("reads");
            if page.events.is_empty() {
                break;
            }
            found.extend(page.events);
            place = page.next;
        }
        found.into_iter().map(|logged| logged.event.id).collect()
    };
    let (since, until) = (Some(Timestamp(now + 10)), Some(Timestamp(now + 30)));
    let started = vec!["track.started".to_owned()];
    assert_eq!(find(Filter { since, until, ..Filter::default() }), ["yard/0", "gate/1"]);
    assert_eq!(
        find(Filter { stream: Some("gate".into()), kinds: started.clone(), ..Filter::default() }),
        ["gate/0", "gate/2"]
    );
    assert_eq!(find(Filter { stream: Some("none".into()), ..Filter::default() }), Vec::<String>::new());
    assert_eq!(find(Filter { kinds: vec!["no.such".into()], ..Filter::default() }), Vec::<String>::new());
    let counts = log.reader().counts(&Filter { since, ..Filter::default() }).expect("counts");
    let counts: Vec<_> = counts.iter().map(|c| (c.stream.as_str(), c.kind.as_str(), c.count)).collect();
    assert_eq!(counts, [("gate", "stream.recovered", 1), ("gate", "track.started", 1), ("yard", "track.started", 1)]);
    assert_eq!(log.reader().position_at(Timestamp(now + 15)).expect("reads"), 2);
    assert_eq!(log.reader().position_at(Timestamp(now + 99)).expect("reads"), 4);
}

#[test]
fn a_reader_tells_how_far_each_sink_has_come() {
    let folder = folder();
    let log = open(&folder);
    assert_eq!((log.cursor("late"), log.cursor("ahead")), (0, 0));
    log.append(&events("gate", 0..5));
    log.advance("ahead", 4);
    assert!(log.flush(LONG));
    let place = |sink: &str, position, waiting| SinkPlace { sink: sink.into(), position, missed: 0, waiting };
    let reader = LogReader::open(&settings(&folder).path).expect("opens");
    assert_eq!(reader.sinks().expect("reads"), [place("ahead", 4, 1), place("late", 0, 5)]);
}

#[test]
fn a_stream_that_begins_again_goes_on_from_what_was_told_meanwhile() {
    let folder = folder();
    let log = open(&folder);
    assert_eq!(log.resume("gate"), Resumed::default());
    let crossed = |total| What::LineCrossed { seen: seen(1), line: "kerb".into(), direction: Direction::In, total };
    log.append(&[event("gate", 0, crossed(1)), event("gate", 1, crossed(2))]);
    let resumed = log.resume("gate");
    assert_eq!(resumed.next_sequence, 2);
    assert_eq!(resumed.totals.lines[&("kerb".into(), "person".into(), Direction::In)], 2);
    assert_eq!(log.resume("yard"), Resumed::default());
}

#[test]
fn the_newest_come_oldest_first_and_through_the_filter() {
    let folder = folder();
    let log = open(&folder);
    log.append(
        &(0..10).map(|n| event(if n % 2 == 0 { "gate" } else { "yard" }, n / 2, started(n))).collect::<Vec<_>>(),
    );
    assert!(log.flush(LONG));
    let ids = |filter: &Filter, count| -> Vec<String> {
        log.reader().newest(filter, count).expect("reads").into_iter().map(|logged| logged.event.id).collect()
    };
    assert_eq!(ids(&Filter::default(), 3), ["yard/3", "gate/4", "yard/4"]);
    let gate = Filter { stream: Some("gate".into()), ..Filter::default() };
    assert_eq!(ids(&gate, 2), ["gate/3", "gate/4"]);
    assert_eq!((ids(&gate, 100).len(), ids(&gate, 0).len()), (5, 0));
}
