//! What is sent is what `docs/schema` says, in each of the three forms, for each kind of event.

mod json_schema;

use eyeline::event::{
    AreaCount, Clock, Counts, Direction, Event, EventBox, Files, LineCount, ModelRef, PathPoint, StreamEnd, Timestamp,
    TrackEnd, TrackEnded, TrackSeen, What,
    payload::{Format, payload, schema_text},
};
use json_schema::Checker;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path};

/// A track with everything that may be said of one, or with what always is.
fn seen(is_full: bool) -> TrackSeen {
    let bbox = EventBox { left: 1.25, top: 2.0, width: 30.0, height: 44.0 };
    TrackSeen {
        track: 17,
        class: "person".into(),
        score: 0.5,
        bbox,
        bbox_norm: bbox,
        zones: if is_full { vec!["door".into()] } else { Vec::new() },
        speed_mps: is_full.then_some(1.5),
        embedding: is_full.then(|| vec![0.6, -0.8]),
    }
}

fn of_streams(is_full: bool) -> Vec<What> {
    let model = || ModelRef { name: "yolov3-tiny".into(), sha256: "ab".repeat(32) };
    let models = if is_full { vec![model()] } else { Vec::new() };
    vec![
        What::StreamStarted { width: 768, height: 576, fps: is_full.then_some(10.0), models },
        What::StreamEnded { frames: 795, reason: StreamEnd::EndOfStream },
        What::StreamLost { reason: "no frames for 3 s".into() },
        What::StreamRecovered { outage_seconds: 0.5 },
        What::SceneLightChanged { before: "day".into(), after: "infrared".into() },
    ]
}

fn of_tracks(is_full: bool) -> Vec<What> {
    let seen = || seen(is_full);
    let zone = || "door".to_owned();
    let ended = TrackEnded {
        last: seen(),
        first_seen_seconds: 0.5,
        last_seen_seconds: 2.0,
        duration_seconds: 1.5,
        detections: 9,
        top_score: 0.9,
        reason: TrackEnd::Gone,
        path: if is_full { vec![PathPoint { time_seconds: 0.5, x_norm: 0.1, y_norm: 0.2 }] } else { Vec::new() },
        snapshot: is_full.then(|| "gate/17.jpg".into()),
    };
    vec![
        What::TrackStarted { seen: seen(), reidentified_from: is_full.then_some(3) },
        What::TrackUpdated { seen: seen() },
        What::TrackEnded(ended),
        What::TrackStopped { seen: seen(), stopped_seconds: 10.0 },
        What::TrackMoved { seen: seen(), stopped_seconds: 12.0 },
        What::TrackWrongWay { seen: seen(), zone: zone(), heading_degrees: 90.0 },
        What::ObjectAbandoned { seen: seen(), alone_seconds: 30.0 },
        What::ObjectRemoved { seen: seen(), zone: zone(), stopped_seconds: 600.0 },
        What::ZoneEntered { seen: seen(), zone: zone(), occupancy: 1 },
        What::ZoneLeft { seen: seen(), zone: zone(), occupancy: 0, dwell_seconds: 4.0 },
        What::ZoneDwelled { seen: seen(), zone: zone(), dwell_seconds: 10.0 },
        What::LineCrossed { seen: seen(), line: "kerb".into(), direction: Direction::In, total: 5 },
    ]
}

fn of_places() -> Vec<What> {
    let line = LineCount {
        line: "kerb".into(),
        class: "person".into(),
        crossed_in: 1,
        crossed_out: 2,
        total_in: 3,
        total_out: 4,
    };
    let zone = AreaCount { zone: "door".into(), occupancy: 1, most: 2, mean: 1.5, entered: 1 };
    let counts = Counts { from_seconds: 0.0, to_seconds: 60.0, lines: vec![line], zones: vec![zone] };
    vec![
        What::ZoneCrowded { zone: "door".into(), occupancy: 3, limit: 2 },
        What::ZoneCleared { zone: "door".into(), occupancy: 2, limit: 2 },
        What::Counts(counts),
    ]
}

/// Each kind of event twice: with everything it may hold, and with as little as it can.
fn samples() -> Vec<Event> {
    let whats = [true, false].into_iter().flat_map(|is_full| {
        let whats = [of_streams(is_full), of_tracks(is_full), of_places()].concat();
        whats.into_iter().map(move |what| (is_full, what))
    });
    let event = |(sequence, (is_full, what)): (usize, (bool, What))| Event {
        id: Event::id_of("gate", sequence as u64),
        stream: "gate".into(),
        sequence: sequence as u64,
        frame: 7,
        time_seconds: 0.7,
        captured_at: is_full.then_some(Timestamp(1_700_000_000_125)),
        clock: if is_full { Clock::Rtcp } else { Clock::File },
        files: if is_full { shown() } else { Files::default() },
        what,
    };
    whats.enumerate().map(event).collect()
}

fn shown() -> Files {
    Files { frame: Some("gate/frames/7.jpg".into()), clip: Some("gate/clips/7.mp4".into()) }
}

fn value(event: &Event, format: Format) -> Value {
    serde_json::from_slice(&payload(event, format)).expect("JSON")
}

#[test]
fn the_schemas_are_the_ones_of_the_code() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema");
    for format in Format::ALL {
        let (name, file) = (format.name(), format.schema_file());
        let text = fs::read_to_string(folder.join(&file)).unwrap_or_default();
        let anew = format!("cargo run -- schema --event {name} > docs/schema/{file}");
        assert!(text == schema_text(format), "docs/schema/{file} is not what the code says; write it anew: {anew}");
    }
}

#[test]
fn every_kind_of_event_is_sound_in_every_form() {
    let samples = samples();
    let kinds: BTreeSet<_> = samples.iter().map(Event::kind).collect();
    assert_eq!(kinds, What::KINDS.into_iter().collect(), "a kind without a sample");
    for format in Format::ALL {
        let checker = Checker::of(format);
        samples.iter().for_each(|event| checker.assert_sound(&payload(event, format)));
    }
}

#[test]
fn an_event_reads_back_from_what_was_written() {
    for event in samples() {
        assert_eq!(serde_json::from_slice::<Event>(&payload(&event, Format::Compact)).expect("an event"), event);
    }
}

/// The schemas say something: of a sound event nothing can be taken away, added or made another type unnoticed.
#[test]
fn what_is_not_as_the_schema_says_is_refused() {
    for format in Format::ALL {
        let checker = Checker::of(format);
        for event in samples() {
            let sound = value(&event, format);
            for path in paths(&sound, "") {
                for wrong in wrongs(&sound, &path) {
                    assert!(!checker.faults(&wrong).is_empty(), "{path} of {}: {wrong:#}", event.kind());
                }
            }
        }
    }
}

/// Keys that may be missing.
const OPTIONAL: [&str; 14] = [
    "files",
    "captured_at",
    "clock",
    "models",
    "reidentified_from",
    "zones",
    "speed_mps",
    "embedding",
    "path",
    "snapshot",
    "subject",
    "time",
    "@timestamp",
    "place",
];

/// JSON pointers of everything below `value`.
fn paths(value: &Value, at: &str) -> Vec<String> {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(entries) => entries.iter().map(|(key, value)| (format!("{at}/{key}"), value)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, value)| (format!("{at}/{index}"), value)).collect()
        }
        _ => Vec::new(),
    };
    below.into_iter().flat_map(|(path, value)| [vec![path.clone()], paths(value, &path)].concat()).collect()
}

/// `sound` with one thing wrong at `path`.
fn wrongs(sound: &Value, path: &str) -> Vec<Value> {
    let with = |other: Value| {
        let mut wrong = sound.clone();
        *wrong.pointer_mut(path).expect("it is there") = other;
        wrong
    };
    let mut wrongs = match sound.pointer(path).expect("it is there") {
        Value::String(_) => vec![with(json!(5)), with(json!(["text"]))],
        Value::Object(entries) => {
            let mut more = entries.clone();
            more.insert("unheard-of".into(), json!(1));
            vec![with(json!("text")), with(Value::Object(more))]
        }
        _ => vec![with(json!("text")), with(json!({}))],
    };
    let (parent, key) = path.rsplit_once('/').expect("a path");
    // `zones` of counts is always there.
    let is_file = parent.ends_with("/files");
    let is_optional =
        is_file || OPTIONAL.contains(&key) && !(key == "zones" && sound.pointer(parent).is_some_and(is_counts));
    if let (Some(Value::Object(entries)), false) = (sound.pointer(parent), is_optional) {
        let mut fewer = entries.clone();
        fewer.remove(key);
        let mut wrong = sound.clone();
        *wrong.pointer_mut(parent).expect("it is there") = Value::Object(fewer);
        wrongs.push(wrong);
    }
    wrongs
}

fn is_counts(value: &Value) -> bool {
    value["type"] == "counts"
}
