//! The event log: what a day of eight busy streams takes on the disk, and how long questions about one hour take (100 ms are
//! promised for each; all of it as JSON is told as events a second). How many events a second go through the log and a sink is
//! in benches/sinks.rs.
//!
//! `cargo bench --bench event_log` simulates an hour, `EYELINE_SOAK=1 cargo bench --bench event_log` the whole day (13.8
//! million events, some minutes).
#![allow(missing_docs, reason = "a program")]

use eyeline::event::{
    Clock, Event, EventBox, Timestamp, TrackSeen, What,
    log::{Bookmark, EventLog, Filter, LogReader, LogSettings},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

const STREAMS: u64 = 8;
const EVENTS_A_SECOND: u64 = 20;

fn event(stream: u64, sequence: u64, at: Timestamp) -> Event {
    let bbox = EventBox { left: 596.01, top: 126.79, width: 43.2, height: 108.0 };
    let seen = TrackSeen {
        track: sequence / 10 + 1,
        class: "person".into(),
        score: 0.7776,
        bbox,
        bbox_norm: EventBox { left: 0.7761, top: 0.2201, width: 0.0563, height: 0.1875 },
        zones: vec!["door".into()],
        speed_mps: None,
        embedding: None,
    };
    let what = match sequence % 10 {
        0 => What::ZoneEntered { seen, zone: "door".into(), occupancy: 3 },
        5 => What::ZoneLeft { seen, zone: "door".into(), occupancy: 2, dwell_seconds: 4.2 },
        _ => What::TrackUpdated { seen },
    };
    let stream = format!("camera-{stream}");
    Event {
        id: Event::id_of(&stream, sequence),
        stream,
        sequence,
        frame: sequence,
        time_seconds: sequence as f64 / EVENTS_A_SECOND as f64,
        captured_at: Some(at),
        clock: Clock::Rtcp,
        files: Default::default(),
        what,
    }
}

/// `hours` of eight streams, as they would have come until now.
fn day(folder: &Path, hours: u64) {
    let path = folder.join("day.db");
    let log = EventLog::open(LogSettings::at(&path)).expect("opens");
    let max_bytes = LogSettings::at(&path).max_bytes;
    let (begin, began) = (Timestamp::now().before(Duration::from_secs(hours * 3600)), Instant::now());
    let mut most_bytes = 0;
    for second in 0..hours * 3600 {
        for stream in 0..STREAMS {
            let at = |n: u64| Timestamp(begin.0 + (second * 1000 + n * 1000 / EVENTS_A_SECOND) as i64);
            let events = (0..EVENTS_A_SECOND).map(|n| event(stream, second * EVENTS_A_SECOND + n, at(n)));
            log.append(&events.collect::<Vec<_>>());
        }
        if second % 60 == 0 {
            assert!(log.flush(Duration::from_secs(60)));
            most_bytes = most_bytes.max(log.figures().bytes);
        }
    }
    assert!(log.flush(Duration::from_secs(60)));
    let figures = log.figures();
    println!(
        "{hours} h of {STREAMS} streams: {} events in {:.0} s, at most {:.0} MiB on the disk of {:.0}, {} discarded, {} lost",
        figures.committed,
        began.elapsed().as_secs_f64(),
        most_bytes as f64 / f64::from(1 << 20),
        max_bytes as f64 / f64::from(1 << 20),
        figures.discarded,
        figures.lost
    );
    assert!(most_bytes <= max_bytes);
    let since = Timestamp(Timestamp::now().0 - began.elapsed().as_millis() as i64).before(Duration::from_secs(3600));
    // Not at the edge of a minute: what is left of it is counted event by event.
    ask(log.reader(), &Filter { since: Some(Timestamp(since.0 + 1)), ..Filter::default() });
}

/// Asks about an hour.
fn ask(reader: &LogReader, hour: &Filter) {
    let stream = || Some("camera-3".to_owned());
    let kinds = || vec!["zone.left".to_owned()];
    let of_stream = Filter { stream: stream(), ..hour.clone() };
    let of_type = Filter { kinds: kinds(), ..hour.clone() };
    let of_both = Filter { stream: stream(), ..of_type.clone() };
    let of_zone = Filter { zone: Some("door".into()), ..hour.clone() };
    let newest = reader.newest(&of_stream, 1).expect("reads")[0].event.what.seen().map(|seen| seen.track);
    let of_track = Filter { track: newest.map(|track| track - 1000), stream: stream(), ..hour.clone() };
    let of_none = Filter { kinds: vec!["object.abandoned".into()], ..hour.clone() };
    let page =
        |filter: &Filter, most| reader.query(filter, Bookmark::default(), most).expect("reads").events.len() as u64;
    let counted = |filter: &Filter| reader.counts(filter).expect("counts").iter().map(|count| count.count).sum();
    for (what, filter) in [
        ("an hour", hour),
        ("an hour of one stream", &of_stream),
        ("an hour of one type", &of_type),
        ("an hour of one type in one stream", &of_both),
        ("an hour of one zone", &of_zone),
        ("an hour of one track", &of_track),
        ("an hour of what never happened", &of_none),
    ] {
        let (count, first) = (median(&|| counted(filter)), median(&|| page(filter, 1000)));
        println!("{what}: {} events counted in {:.1} ms, the first {} in {:.1} ms", count.1, count.0, first.1, first.0);
        assert!(first.1 == count.1.min(1000));
    }
    let (millis, found) = median(&|| page(&of_both, usize::MAX));
    println!("an hour of one type in one stream, whole: {found} events in {millis:.1} ms");
    let (mut from, mut count, mut bytes, began) = (Bookmark::default(), 0, 0, Instant::now());
    loop {
        let page = reader.bodies(hour, from, 1000).expect("reads");
        if page.next == from {
            break;
        }
        from = page.next;
        count += page.events.len();
        bytes += page.events.iter().map(String::len).sum::<usize>();
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "an hour of everything as JSON, a thousand at a time: {count} events, {bytes} bytes, {seconds:.2} s, {:.0} events/s",
        count as f64 / seconds
    );
}

/// The middle of nine answers: milliseconds, and how many events it was about.
fn median(answer: &dyn Fn() -> u64) -> (f64, u64) {
    let mut took: Vec<(Duration, u64)> = Vec::new();
    for _ in 0..9 {
        let began = Instant::now();
        let found = answer();
        took.push((began.elapsed(), found));
    }
    took.sort();
    (took[4].0.as_secs_f64() * 1e3, took[4].1)
}

fn main() {
    let folder = tempfile::tempdir().expect("temporary folder");
    day(folder.path(), if std::env::var_os("EYELINE_SOAK").is_some() { 24 } else { 1 });
}
