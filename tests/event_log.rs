//! The event log under a program that is killed: real decoding, real inference, `kill -9` at moments that differ every time.
//!
//! Five times here; `EYELINE_SOAK=1 cargo test --test event_log` kills it fifty times.
#![cfg(feature = "line")]

mod support;

use eyeline::event::{
    Event, What,
    log::{EventLog, LogReader, LogSettings},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use support::{people, sample_video, temp_dir};

/// Longest wait for a run to tell something: loading the model on a busy machine included.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often the log of the other process is looked at: it cannot wake this one.
const LOOK: Duration = Duration::from_millis(5);

fn start(pipeline: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eyeline"));
    command.arg("run").arg(pipeline).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).env_remove("EYELINE_LOG").spawn().expect("starts")
}

/// Stops a program as Ctrl-C does.
fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

/// A pipeline over the sample video with a line and a zone that people pass all the time.
fn pipeline(folder: &Path, log: &Path) -> std::path::PathBuf {
    let text = format!(
        "version: 1
streams:
  - name: square
    file: {}
    lines: [{{name: middle, points: [[0.5, 0.0], [0.5, 1.0]]}}]
    zones: [{{name: left, polygon: [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}}]
detect: {{input_px: 320, max_batch: 1}}
embed: none
events: {{log: {}, counts: 5s}}
sinks: {{jsonl: [{{name: lines, path: {}}}]}}
output: {{dir: {}, video: false}}
runtime: {{threads: 2}}
",
        sample_video().display(),
        log.display(),
        folder.join("lines.jsonl").display(),
        folder.join("out").display(),
    );
    let path = folder.join("pipeline.yml");
    fs::write(&path, text).expect("written");
    path
}

fn all(reader: &LogReader) -> Vec<Event> {
    reader.read_after(0, usize::MAX).expect("reads").into_iter().map(|logged| logged.event).collect()
}

/// Waits until the log holds `more` events beyond `known`, and gives what it holds then.
fn wait_for(log: &Path, known: usize, more: usize, child: &mut Child) -> Vec<Event> {
    let began = Instant::now();
    loop {
        // The file is there before its tables are.
        let events = LogReader::open(log).map(|reader| all(&reader)).unwrap_or_default();
        let is_over = child.try_wait().expect("waits").is_some();
        if events.len() >= known + more || is_over {
            return events;
        }
        assert!(began.elapsed() < PATIENCE, "{} events, waiting for {}", events.len(), known + more);
        thread::sleep(LOOK);
    }
}

#[test]
fn killed_at_any_moment_nothing_committed_is_lost_and_everything_begun_is_ended() {
    let kills = if std::env::var_os("EYELINE_SOAK").is_some() { 50 } else { 5 };
    let folder = temp_dir();
    let log = folder.path().join("events.db");
    let pipeline = pipeline(folder.path(), &log);
    let mut known: Vec<Event> = Vec::new();
    for kill in 0..kills {
        let mut child = start(&pipeline);
        // Somewhere in the first seconds, elsewhere each time, and not only when something has just been written.
        let more = 2 + kill * 7 % 23;
        let events = wait_for(&log, known.len(), more, &mut child);
        thread::sleep(Duration::from_millis(kill as u64 * 37 % 211));
        child.kill().expect("killed");
        child.wait().expect("ends");
        assert!(events.len() > known.len(), "run {kill} told nothing");
        assert_eq!(events[..known.len()], known, "run {kill} changed what was committed");
        known = events;
    }
    // The last run ends in order, and delivers what all of them left.
    let mut child = start(&pipeline);
    let events = wait_for(&log, known.len(), 20, &mut child);
    assert_eq!(events[..known.len()], known);
    interrupt(&child);
    child.wait().expect("ends");
    let closed = EventLog::open(LogSettings::at(&log)).expect("opens");
    let events = all(closed.reader());
    assert_eq!(events[..known.len()], known);
    check(&events, kills + 1);
    delivered(&folder.path().join("lines.jsonl"), &events);
    assert_eq!(closed.next_sequence("square"), events.len() as u64);
}

/// A limit on the size of files stands in for the disk's: the log's write-ahead file meets it soon, the others never do.
#[test]
fn a_full_disk_under_the_log_costs_its_events_alone_and_they_are_counted() {
    const FRAMES: u32 = 150;
    let folder = temp_dir();
    let log = folder.path().join("events.db");
    let pipeline = pipeline(folder.path(), &log);
    let short = people(folder.path(), "short.mp4", FRAMES);
    let text = fs::read_to_string(&pipeline).expect("read");
    let text = text.replace(&sample_video().display().to_string(), &short.display().to_string());
    let text = text.replace("counts: 5s", "updates: 200ms").replace("threads: 2", "threads: 2, shutdown: 1s");
    fs::write(&pipeline, text).expect("written");
    // 512 KiB in blocks of 512 bytes, told as an error.
    let child = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" run \"$1\"";
    let mut command = Command::new("sh");
    command.arg("-c").arg(child).arg(env!("CARGO_BIN_EXE_eyeline")).arg(&pipeline);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null()).env_remove("EYELINE_LOG");
    let output = command.output().expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    // The line went on to its end, and what does not go through the log is whole.
    let beside = folder.path().join("out/square");
    let summary: serde_json::Value =
        serde_json::from_slice(&fs::read(beside.join("summary.json")).expect("a summary")).expect("JSON");
    assert_eq!((&summary["frames"], &summary["result"]), (&FRAMES.into(), &"end_of_stream".into()));
    let told = fs::read_to_string(beside.join("events.jsonl")).expect("events");
    let told: Vec<Event> = told.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    assert!(matches!(told.last().map(|event| &event.what), Some(What::StreamEnded { .. })));
    assert_eq!(
        fs::read_to_string(beside.join("tracks.txt"))
            .expect("tracks")
            .lines()
            .last()
            .and_then(|row| row.split(',').next()),
        Some("150")
    );

    // It said so once, and how many were not kept; those that were are whole, in order, and delivered.
    let about: Vec<&str> = said.lines().filter(|line| line.contains("event log")).collect();
    let [failing, lost] = about[..] else { panic!("{said}") };
    assert!(failing.contains("the event log cannot be written, trying again"), "{failing}");
    let kept = all(&LogReader::open(&log).expect("opens"));
    assert!(!kept.is_empty() && kept.len() < told.len(), "{} of {}", kept.len(), told.len());
    assert_eq!(kept, told[..kept.len()]);
    assert!(lost.contains(&format!(" {} events were not kept", told.len() - kept.len())), "{lost}");
    delivered(&folder.path().join("lines.jsonl"), &kept);
}

/// What the sink has written: everything, in order; what comes twice is the same.
fn delivered(lines: &Path, events: &[Event]) {
    let text = fs::read_to_string(lines).expect("written");
    let mut next = 0;
    for line in text.lines() {
        let event: Event = serde_json::from_str(line).expect("a whole event");
        let sequence = usize::try_from(event.sequence).expect("small");
        assert!(sequence <= next, "{} was left out", events[next].id);
        assert_eq!(event, events[sequence]);
        next = next.max(sequence + 1);
    }
    assert_eq!(next, events.len(), "not everything was delivered");
}

/// What must hold of all the events of all the runs.
fn check(events: &[Event], runs: usize) {
    let sequences: Vec<u64> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, (0..events.len() as u64).collect::<Vec<_>>());
    let (mut open, mut ended) = (BTreeSet::new(), BTreeSet::new());
    let mut totals: BTreeMap<String, u64> = BTreeMap::new();
    let (mut begun, mut is_begun) = (0, false);
    for event in events {
        if let Some(seen) = event.what.seen() {
            assert!(!ended.contains(&seen.track), "{} is about a track that has ended", event.id);
        }
        match &event.what {
            What::StreamStarted { .. } => {
                assert!(!std::mem::replace(&mut is_begun, true), "{}: begun twice", event.id);
                begun += 1;
            }
            What::StreamEnded { .. } => {
                assert!(std::mem::replace(&mut is_begun, false), "{}: ended twice", event.id);
                assert!(open.is_empty(), "{}: tracks {open:?} are open", event.id);
            }
            What::TrackStarted { seen, .. } => assert!(open.insert(seen.track), "{}: begun twice", event.id),
            What::TrackEnded(track) => {
                assert!(open.remove(&track.last.track), "{}: ended unbegun", event.id);
                ended.insert(track.last.track);
            }
            What::LineCrossed { seen, direction, total, .. } => {
                let counted = totals.entry(format!("{} {direction:?}", seen.class)).or_default();
                *counted += 1;
                assert_eq!(total, counted, "{}", event.id);
            }
            _ => {}
        }
    }
    assert!(!is_begun && open.is_empty());
    // A run that was killed while it ended what the one before had left open never told its own beginning.
    assert!((2..=runs).contains(&begun), "{begun} beginnings in {runs} runs");
    assert!(!ended.is_empty());
}
