//! `eyeline events` as a user meets it.
#![cfg(feature = "delivery")]

use eyeline::event::{
    Clock, Event, EventBox, Timestamp, TrackSeen, What,
    log::{EventLog, LogSettings},
};
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::RowAccessor,
};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

const BASE: i64 = 1_900_000_000_000;

fn eyeline(log: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eyeline"));
    command.arg("events").args(args).arg("--log").arg(log).stdin(Stdio::null()).env_remove("EYELINE_LOG");
    command
}

fn output(log: &Path, args: &[&str]) -> Output {
    eyeline(log, args).output().expect("runs")
}

fn ids(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    let id = |line: &str| serde_json::from_str::<Event>(line).expect("an event").id;
    text.lines().map(id).collect()
}

/// Event `sequence` of `gate, west`, `sequence` seconds after `BASE`: a track comes into a zone, or the stream recovers.
fn event(sequence: u64) -> Event {
    let bbox = EventBox { left: 1.0, top: 2.0, width: 3.0, height: 4.0 };
    let what = if sequence.is_multiple_of(2) {
        What::StreamRecovered { outage_seconds: 1.5 }
    } else {
        let seen = TrackSeen {
            track: sequence,
            class: "person".into(),
            score: 0.5,
            bbox,
            bbox_norm: bbox,
            zones: vec!["the \"door\"".into()],
            speed_mps: None,
            embedding: None,
        };
        What::ZoneEntered { seen, zone: "the \"door\"".into(), occupancy: 1 }
    };
    Event {
        id: Event::id_of("gate, west", sequence),
        stream: "gate, west".into(),
        sequence,
        frame: sequence,
        time_seconds: sequence as f64,
        captured_at: Some(Timestamp(BASE + 1000 * sequence as i64)),
        clock: Clock::Arrival,
        files: Default::default(),
        what,
    }
}

fn log(path: &Path, count: u64) -> EventLog {
    let log = EventLog::open(LogSettings::at(path)).expect("opens");
    log.append(&(0..count).map(event).collect::<Vec<_>>());
    assert!(log.flush(Duration::from_secs(60)));
    log
}

#[test]
fn queries_say_what_happened_when() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("events.db");
    let _writing = log(&path, 10);
    let (since, until) = (Timestamp(BASE + 3000).to_string(), Timestamp(BASE + 7000).to_string());
    let window = output(&path, &["query", "--since", &since, "--until", &until]);
    assert_eq!(ids(&window), ["gate, west/3", "gate, west/4", "gate, west/5", "gate, west/6"]);
    let typed = output(&path, &["query", "--type", "zone.entered", "--stream", "gate, west", "--limit", "2"]);
    assert_eq!(ids(&typed), ["gate, west/1", "gate, west/3"]);
    let count = output(&path, &["query", "--count", "--since", &since]);
    let expected = "gate, west\tstream.recovered\t3\ngate, west\tzone.entered\t4\n";
    assert_eq!(String::from_utf8_lossy(&count.stdout), expected);
    let of_track = output(&path, &["query", "--track", "3", "--zone", "the \"door\""]);
    assert_eq!(ids(&of_track), ["gate, west/3"]);
    let of_line = output(&path, &["query", "--line", "the \"door\"", "--count"]);
    assert_eq!((of_line.status.success(), of_line.stdout.len()), (true, 0));
    let of_zone = output(&path, &["query", "--zone", "the \"door\"", "--count", "--until", &until]);
    assert_eq!(String::from_utf8_lossy(&of_zone.stdout), "gate, west\tzone.entered\t3\n");
    assert_eq!(ids(&output(&path, &["tail", "-n", "2"])), ["gate, west/8", "gate, west/9"]);
}

#[test]
fn a_tail_follows_what_another_program_writes() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("events.db");
    let log = log(&path, 3);
    let mut child = eyeline(&path, &["tail", "--follow", "-n", "1"]).stdout(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = || {
        let line = lines.next().expect("a line").expect("read");
        serde_json::from_str::<Event>(&line).expect("an event").sequence
    };
    assert_eq!(next(), 2);
    log.append(&[event(3), event(4)]);
    assert_eq!((next(), next()), (3, 4));
    child.kill().expect("killed");
    child.wait().expect("ends");
}

#[test]
fn exports_hold_every_event_in_each_format() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("events.db");
    drop(log(&path, 2500));
    for name in ["all.jsonl", "all.csv", "all.parquet"] {
        let out = folder.path().join(name);
        let done = output(&path, &["export", "--out", out.to_str().expect("text")]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let jsonl = fs::read_to_string(folder.path().join("all.jsonl")).expect("written");
    assert_eq!(jsonl.lines().count(), 2500);
    let csv = fs::read_to_string(folder.path().join("all.csv")).expect("written");
    assert_eq!(csv.lines().count(), 2501);
    let row = csv.lines().nth(2).expect("a row");
    assert!(row.starts_with("2,\"gate, west/1\",\"gate, west\",1,zone.entered,1,1,2030-03-17T"), "{row}");
    assert!(row.contains(",1,person,\"the \"\"door\"\"\",\"{\"\"id\"\""), "{row}");
    let file = fs::File::open(folder.path().join("all.parquet")).expect("written");
    let parquet = SerializedFileReader::new(file).expect("parquet");
    assert_eq!(parquet.metadata().file_metadata().num_rows(), 2500);
    let row = parquet.get_row_iter(None).expect("rows").nth(1).expect("a row").expect("reads");
    let (sequence, track) = (row.get_long(3).expect("whole"), row.get_long(8).expect("whole"));
    let (place, body) = (row.get_string(10).expect("text"), row.get_string(11).expect("text"));
    assert_eq!((sequence, track, place.as_str()), (1, 1, "the \"door\""));
    let body: Event = serde_json::from_str(body).expect("an event");
    assert_eq!(body, event(1));
}

#[test]
fn wrong_usage_is_told_in_words() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("events.db");
    let cases: [(&[&str], &str); 4] = [
        (&["query"], "there is no such file"),
        (&["query", "--type", "track.stated"], "expected one of stream.started"),
        (&["query", "--since", "yesterday"], "is no time"),
        (&["query", "--since", "1h", "--until", "2h"], "is not before"),
    ];
    for (args, expected) in cases {
        let refused = output(&path, args);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(expected), "{args:?}: {said}");
    }
    drop(log(&path, 1));
    let refused = output(&path, &["export", "--out", "x.xlsx"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains(".parquet"));
}
