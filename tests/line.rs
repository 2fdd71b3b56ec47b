//! The line's promises, on made-up frames: nothing lost, nothing reordered, one bad stream disturbs no other, every
//! ending orderly.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use eyeline::{
    analyze::AnalysisSettings,
    config::plan::StreamPlan,
    detect::{ClassId, Detection, Detector, InferError},
    frame::{Frame, FrameMeta, ImageSize, OwnedPixels, StreamId},
    geometry::BBox,
    pipeline::{
        self, Feed, Lifetime, Parts, Roster, Running,
        flow::{Analyzed, EndReason, Flow},
    },
    sink::{Recorder, SinkError},
    source::{OpenSource, Pull, Source, SourceError, SourceInfo},
    time::MediaTime,
    track::{Observations, Track, TrackId, TrackState, Tracker},
};
use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    time::{Duration, Instant},
};

const SIZE: ImageSize = ImageSize { width: 8, height: 8 };
const FRAME_NANOS: i64 = 100_000_000;

/// How a made-up source ends.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    Sound,
    Damaged,
    FailsToOpen,
    FailsAfter(u64),
    PanicsAfter(u64),
    Never,
}

#[derive(Clone)]
struct Script {
    stream: StreamId,
    frames: u64,
    ending: Ending,
    /// New epoch every so many frames.
    epoch_every: u64,
    pulled: Arc<AtomicU64>,
}

impl Script {
    fn new(stream: u16, frames: u64, ending: Ending) -> Self {
        Self { stream: StreamId(stream), frames, ending, epoch_every: u64::MAX, pulled: Arc::default() }
    }
}

struct Played {
    script: Script,
    info: SourceInfo,
    next: u64,
}

impl OpenSource for Script {
    fn open(&self, _epoch: u32, first_seq: u64) -> Result<Box<dyn Source>, SourceError> {
        if self.ending == Ending::FailsToOpen {
            return Err(SourceError::Open { source_name: "x.mp4".into(), problem: "not there".into() });
        }
        let info = SourceInfo { size: SIZE, fps: Some(10.0), frames: Some(self.frames), codec: None };
        Ok(Box::new(Played { script: self.clone(), info, next: first_seq }))
    }
}

impl Source for Played {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn pull(&mut self, _wait: Duration) -> Result<Pull, SourceError> {
        let Script { stream, frames, ending, epoch_every, .. } = self.script;
        let damaged = || SourceError::Damaged { source_name: "x.mp4".into(), frames: 3, problem: "torn".into() };
        match ending {
            Ending::FailsAfter(n) if self.next == n => return Err(damaged()),
            Ending::PanicsAfter(n) if self.next == n => panic!("source broke"),
            _ if self.next == frames && ending != Ending::Never => {
                return Ok(Pull::End { damage: (ending == Ending::Damaged).then(damaged) });
            }
            _ => {}
        }
        let meta = FrameMeta {
            stream,
            epoch: (self.next / epoch_every) as u32,
            seq: self.next,
            pts: MediaTime(self.next as i64 * FRAME_NANOS),
            captured: None,
            arrived: Instant::now(),
            size: SIZE,
        };
        self.next += 1;
        self.script.pulled.fetch_add(1, Ordering::SeqCst);
        Ok(Pull::Frame(Frame { meta, pixels: Arc::new(OwnedPixels { data: vec![0; 192], stride: 24 }) }))
    }
}

type Batches = Arc<Mutex<Vec<Vec<(u16, u64)>>>>;

/// One detection a frame; notes what shared a batch.
#[derive(Clone, Default)]
struct OneEach {
    batches: Batches,
    panics_at: Option<u64>,
    classes: Vec<String>,
}

impl Detector for OneEach {
    fn detect(&mut self, batch: &[Frame], out: &mut Vec<Vec<Detection>>) -> Result<(), InferError> {
        out.clear();
        self.batches.lock().unwrap().push(batch.iter().map(|f| (f.meta.stream.0, f.meta.seq)).collect());
        assert!(!batch.iter().any(|f| Some(f.meta.seq) == self.panics_at), "detector broke");
        let found = Detection { bbox: BBox::new(1.0, 1.0, 5.0, 5.0), class: ClassId(0), score: 0.9 };
        out.extend(batch.iter().map(|_| vec![found]));
        Ok(())
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }
}

/// Every first detection is track 1.
struct SameTrack;

impl Tracker for SameTrack {
    fn update(&mut self, seen: &Observations<'_>, out: &mut Vec<Track>) {
        out.clear();
        out.extend(seen.detections.first().map(|d| Track {
            id: TrackId(1),
            state: TrackState::Confirmed,
            bbox: d.bbox,
            class: d.class,
            score: d.score,
            detection: Some(0),
            first_seen: MediaTime(0),
            last_seen: seen.at,
            reidentified_from: None,
            shown: true,
        }));
    }

    fn restart_motion(&mut self) {}

    fn finish(&mut self, out: &mut Vec<Track>) {
        out.clear();
    }
}

/// What one stream's recorder saw.
#[derive(Clone, Default)]
struct Seen {
    frames: Arc<Mutex<Vec<u64>>>,
    events: Arc<Mutex<Vec<String>>>,
    end: Arc<Mutex<Option<EndReason>>>,
    finished: Arc<AtomicBool>,
    epochs: Arc<AtomicU64>,
}

struct Keep {
    seen: Seen,
    fails_at: Option<u64>,
    /// Recording a frame waits for a word through this.
    gate: Option<Receiver<()>>,
}

impl Recorder for Keep {
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError> {
        let kind = |event| serde_json::to_value(event).unwrap()["type"].as_str().unwrap().to_owned();
        self.seen.events.lock().unwrap().extend(item.events.iter().map(kind));
        match &item.flow {
            Flow::Data(tracked) => {
                if let Some(gate) = &self.gate {
                    // A closed gate stands open.
                    let _ = gate.recv();
                }
                let seq = tracked.frame.meta.seq;
                if self.fails_at == Some(seq) {
                    let source = io::Error::from(io::ErrorKind::StorageFull);
                    return Err(SinkError::File { path: "out/x".into(), source });
                }
                self.seen.frames.lock().unwrap().push(seq);
            }
            Flow::Epoch { .. } => {
                self.seen.epochs.fetch_add(1, Ordering::SeqCst);
            }
            Flow::Turn { .. } => {}
            Flow::EndOfStream { reason, .. } => *self.seen.end.lock().unwrap() = Some(*reason),
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.seen.finished.store(true, Ordering::SeqCst);
        Ok(())
    }
}

struct Bench {
    scripts: Vec<Script>,
    detector: OneEach,
    max_batch: usize,
    fails_at: Vec<Option<u64>>,
    gates: Vec<Option<Receiver<()>>>,
}

impl Bench {
    fn new(scripts: Vec<Script>) -> Self {
        let none = |n| (0..n).map(|_| None).collect();
        let streams = scripts.len();
        Self {
            scripts,
            detector: OneEach::default(),
            max_batch: 2,
            fails_at: vec![None; streams],
            gates: none(streams),
        }
    }

    fn start(mut self) -> (Running, Vec<Seen>) {
        let seen: Vec<Seen> = self.scripts.iter().map(|_| Seen::default()).collect();
        let kept = seen.clone();
        let feed = |script: Script| Feed { stream: script.stream, opener: Box::new(script) };
        let gates = Mutex::new(std::mem::take(&mut self.gates));
        let parts = Parts {
            roster: Roster::new((0..self.scripts.len()).map(|i| StreamPlan::recording(&format!("s{i}"), "x.mp4"))),
            cameras: Vec::new(),
            lifetime: Lifetime::Streams,
            max_wait: Duration::ZERO,
            feeds: self.scripts.into_iter().map(feed).collect(),
            detector: Box::new(self.detector),
            max_batch: self.max_batch,
            embed: None,
            tracker: Box::new(|_, _| Box::new(SameTrack)),
            camera: None,
            analyze: Box::new(AnalysisSettings::of),
            records: Box::new(move |stream, _| {
                let gate = gates.lock().unwrap()[stream.index()].take();
                let fails_at = self.fails_at[stream.index()];
                Ok(vec![Box::new(Keep { seen: kept[stream.index()].clone(), fails_at, gate }) as Box<dyn Recorder>])
            }),
            video: None,
        };
        (pipeline::start(parts).unwrap(), seen)
    }

    fn run(self) -> (Running, Vec<Seen>) {
        let (running, seen) = self.start();
        assert!(running.wait(Duration::from_millis(1), Duration::from_secs(60), |_| {}), "the line hangs");
        (running, seen)
    }
}

fn wait_until(done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "never happened");
        std::thread::yield_now();
    }
}

fn all(frames: u64) -> Vec<u64> {
    (0..frames).collect()
}

#[test]
fn files_lose_no_frame_and_keep_their_order() {
    let lengths = [57, 0, 3, 200];
    let scripts = lengths.iter().enumerate().map(|(i, n)| Script::new(i as u16, *n, Ending::Sound)).collect();
    let (running, seen) = Bench::new(scripts).run();
    for (index, frames) in lengths.into_iter().enumerate() {
        assert_eq!(*seen[index].frames.lock().unwrap(), all(frames), "stream {index}");
        let counters = running.stats.stream(StreamId(index as u16));
        assert_eq!(counters.decoded.load(Ordering::SeqCst), frames);
        assert_eq!(counters.done.load(Ordering::SeqCst), frames);
        assert_eq!(counters.dropped(), 0);
        assert_eq!(running.fault_of(StreamId(index as u16)), None);
        assert_eq!(running.result_of(StreamId(index as u16)), EndReason::EndOfStream);
    }
}

#[test]
fn batches_do_not_depend_on_timing() {
    let run = |max_batch| {
        let lengths = [9, 4, 7, 1, 6];
        let scripts = lengths.iter().enumerate().map(|(i, n)| Script::new(i as u16, *n, Ending::Sound)).collect();
        let mut bench = Bench::new(scripts);
        bench.max_batch = max_batch;
        let batches = Arc::clone(&bench.detector.batches);
        bench.run();

        batches.lock().unwrap().clone()
    };
    for max_batch in [1, 2, 3, 8] {
        let first = run(max_batch);
        assert!(first.iter().all(|batch| batch.len() <= max_batch));
        assert_eq!(first.iter().map(Vec::len).sum::<usize>(), 27);
        for _ in 0..20 {
            assert_eq!(run(max_batch), first, "max_batch {max_batch}");
        }
    }
}

#[test]
fn a_bad_stream_disturbs_no_other() {
    for ending in [Ending::FailsToOpen, Ending::FailsAfter(5), Ending::PanicsAfter(5)] {
        let scripts =
            vec![Script::new(0, 40, Ending::Sound), Script::new(1, 40, ending), Script::new(2, 40, Ending::Sound)];
        let (running, seen) = Bench::new(scripts).run();
        assert_eq!(*seen[0].frames.lock().unwrap(), all(40));
        assert_eq!(*seen[2].frames.lock().unwrap(), all(40));
        assert!(running.fault_of(StreamId(1)).is_some());
        assert_eq!(running.result_of(StreamId(1)), EndReason::Failed);
        assert_eq!(running.fault_of(StreamId(0)), None);
        if ending != Ending::FailsToOpen {
            assert_eq!(*seen[1].frames.lock().unwrap(), all(5), "frames before the fault are kept");
            assert_eq!(*seen[1].end.lock().unwrap(), Some(EndReason::Failed));
            assert!(seen[1].finished.load(Ordering::SeqCst));
        }
    }
}

#[test]
fn damage_is_reported_and_everything_kept() {
    let (running, seen) = Bench::new(vec![Script::new(0, 12, Ending::Damaged)]).run();
    assert_eq!(*seen[0].frames.lock().unwrap(), all(12));
    assert!(running.fault_of(StreamId(0)).unwrap().contains("torn"));
    assert_eq!(running.result_of(StreamId(0)), EndReason::EndOfStream);
}

#[test]
fn a_recorder_that_fails_ends_its_stream_only() {
    let endless = Script::new(0, 0, Ending::Never);
    let pulled = Arc::clone(&endless.pulled);
    let mut bench = Bench::new(vec![endless, Script::new(1, 30, Ending::Sound)]);
    bench.fails_at[0] = Some(4);
    let (running, seen) = bench.run();
    assert!(running.fault_of(StreamId(0)).unwrap().contains("free some space"));
    assert!(seen[0].finished.load(Ordering::SeqCst), "what was recorded before is completed");
    assert_eq!(*seen[0].frames.lock().unwrap(), all(4));
    assert_eq!(*seen[1].frames.lock().unwrap(), all(30));
    assert!(pulled.load(Ordering::SeqCst) > 4, "the endless source ran and was stopped");
}

#[test]
fn a_panic_in_a_stage_ends_the_run_and_names_its_cause() {
    let mut bench = Bench::new(vec![Script::new(0, 0, Ending::Never), Script::new(1, 0, Ending::Never)]);
    bench.detector.panics_at = Some(7);
    let (running, seen) = bench.run();
    let cause = running.faults.broken().unwrap();
    assert!(cause.contains("stage detect panicked: detector broke"), "{cause}");
    assert_eq!(*seen[0].frames.lock().unwrap(), all(7), "what came before is kept");
    assert!(seen.iter().all(|seen| seen.finished.load(Ordering::SeqCst)), "every recorder is completed");
    assert_eq!(running.result_of(StreamId(0)), EndReason::Failed);
}

#[test]
fn a_stop_works_off_what_was_read_and_ends_tracks_in_order() {
    let script = Script::new(0, 0, Ending::Never);
    let pulled = Arc::clone(&script.pulled);
    let (running, seen) = Bench::new(vec![script]).start();
    let faults = running.faults.clone();
    let finished = running.wait(Duration::from_millis(1), Duration::from_secs(60), |stats| {
        if stats.stream(StreamId(0)).done.load(Ordering::SeqCst) > 20 {
            faults.stop();
        }
    });
    assert!(finished);
    assert_eq!(*seen[0].frames.lock().unwrap(), all(pulled.load(Ordering::SeqCst)), "nothing read is lost");
    assert_eq!(*seen[0].end.lock().unwrap(), Some(EndReason::Interrupted));
    let events = seen[0].events.lock().unwrap().clone();
    assert_eq!(events, ["stream.started", "track.started", "track.ended", "stream.ended"]);
    assert_eq!(running.result_of(StreamId(0)), EndReason::Interrupted);
    assert_eq!(running.fault_of(StreamId(0)), None);
}

#[test]
fn a_hung_recorder_cannot_hold_a_stop_beyond_its_deadline() {
    let script = Script::new(0, 0, Ending::Never);
    let pulled = Arc::clone(&script.pulled);
    let mut bench = Bench::new(vec![script]);
    let (open, gate): (Sender<()>, Receiver<()>) = channel();
    bench.gates[0] = Some(gate);
    let (running, _) = bench.start();
    wait_until(|| pulled.load(Ordering::SeqCst) > 3);
    running.faults.stop();
    assert!(!running.wait(Duration::from_millis(1), Duration::from_millis(50), |_| {}));
    drop(open);
    assert!(running.wait(Duration::from_millis(1), Duration::from_secs(60), |_| {}));
}

#[test]
fn a_full_line_holds_a_known_number_of_frames() {
    let script = Script::new(0, 1000, Ending::Sound);
    let pulled = Arc::clone(&script.pulled);
    let mut bench = Bench::new(vec![script]);
    bench.max_batch = 1;
    let (open, gate) = channel();
    bench.gates[0] = Some(gate);
    let (running, seen) = bench.start();
    // In the recorder's hands 1, before it 2, before the analyst 2, and 1 each in the hands of analyst, tracker, embedder
    // and detector with 1 before tracker and embedder each; 2 in the lane (one place of each chain may hold the epoch
    // mark instead) and 1 in the source's hands.
    const MOST_IN_FLIGHT: u64 = 1 + 2 + 1 + 2 + 1 + 1 + 1 + 1 + 1 + 2 + 1;
    wait_until(|| pulled.load(Ordering::SeqCst) >= MOST_IN_FLIGHT);
    let later = Instant::now() + Duration::from_millis(50);
    while Instant::now() < later {
        assert_eq!(pulled.load(Ordering::SeqCst), MOST_IN_FLIGHT, "more frames in flight than there are places");
    }
    drop(open);
    assert!(running.wait(Duration::from_millis(1), Duration::from_secs(60), |_| {}));
    assert_eq!(*seen[0].frames.lock().unwrap(), all(1000));
}

#[test]
fn a_new_epoch_reaches_the_recorders_and_frames_are_counted_through() {
    let mut script = Script::new(0, 30, Ending::Sound);
    script.epoch_every = 10;
    let (_, seen) = Bench::new(vec![script]).run();
    assert_eq!(seen[0].epochs.load(Ordering::SeqCst), 3);
    assert_eq!(*seen[0].frames.lock().unwrap(), all(30));
    let events = seen[0].events.lock().unwrap().clone();
    assert_eq!(events.iter().filter(|e| *e == "stream.started").count(), 1);
}
