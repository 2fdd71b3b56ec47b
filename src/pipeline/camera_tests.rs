//! Hours of a camera's life in milliseconds: a made-up source and a made-up clock around the real loop.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use super::*;
use crate::{
    config::schedule::{Schedule, Span, WeekMinute},
    frame::{FrameMeta, ImageSize, OwnedPixels},
    pipeline::lane::{Doorbell, LiveOutlet, live_lane},
    time::MediaTime,
};
use crossbeam_channel::{Receiver, bounded};
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError, atomic::Ordering, mpsc},
};

const SIZE: ImageSize = ImageSize { width: 2, height: 1 };
const STREAM: StreamId = StreamId(0);

/// What one connection does.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Cannot be made.
    Refuses,
    /// Gives so many frames, one every so many milliseconds, and then hangs up.
    Gives(u64, u64),
    /// Gives so many frames and then nothing for ever.
    Hangs(u64),
    /// Panics after so many frames.
    Panics(u64),
}

/// A clock that is moved by whoever waits.
struct Simulated {
    start: Instant,
    passed: Mutex<Duration>,
}

impl Simulated {
    fn pass(&self, time: Duration) {
        *self.passed.lock().unwrap_or_else(PoisonError::into_inner) += time;
    }

    fn passed(&self) -> Duration {
        *self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for Simulated {
    fn now(&self) -> Instant {
        self.start + self.passed()
    }

    fn week_minute(&self) -> WeekMinute {
        let minutes = self.passed().as_secs() / 60;
        WeekMinute { day: (minutes / 1440 % 7) as u8, minute: (minutes % 1440) as u16 }
    }

    fn wait(&self, bell: &Receiver<()>, wait: Duration) {
        if bell.try_recv().is_err() {
            self.pass(wait);
        }
    }
}

struct Acts {
    acts: Mutex<VecDeque<Act>>,
    clock: Arc<Simulated>,
    faults: Faults,
    opened: Arc<Mutex<Vec<(Duration, u32, u64)>>>,
}

struct Playing {
    act: Act,
    given: u64,
    epoch: u32,
    first_seq: u64,
    info: SourceInfo,
    clock: Arc<Simulated>,
    /// Dropped with the source.
    _alive: mpsc::Sender<()>,
}

impl OpenSource for Acts {
    fn open(&self, epoch: u32, first_seq: u64) -> Result<Box<dyn Source>, SourceError> {
        self.opened.lock().unwrap().push((self.clock.passed(), epoch, first_seq));
        // The last act: the line is stopped.
        let Some(act) = self.acts.lock().unwrap().pop_front() else {
            self.faults.stop();
            return Err(SourceError::Open { source_name: "cam".into(), problem: "over".into() });
        };
        if let Act::Refuses = act {
            return Err(SourceError::Open { source_name: "cam".into(), problem: "refused".into() });
        }
        let info = SourceInfo { size: SIZE, fps: None, frames: None, codec: None };
        let (_alive, _) = mpsc::channel();
        Ok(Box::new(Playing { act, given: 0, epoch, first_seq, info, clock: Arc::clone(&self.clock), _alive }))
    }
}

impl Source for Playing {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn pull(&mut self, wait: Duration) -> Result<Pull, SourceError> {
        let (frames, every) = match self.act {
            Act::Gives(frames, every) => (frames, every),
            Act::Hangs(frames) | Act::Panics(frames) => (frames, 40),
            Act::Refuses => (0, 0),
        };
        if self.given == frames {
            match self.act {
                Act::Panics(_) => panic!("source broke"),
                Act::Hangs(_) => self.clock.pass(wait),
                _ => return Ok(Pull::End { damage: None }),
            }
            return Ok(Pull::Pending);
        }
        self.clock.pass(Duration::from_millis(every));
        let seq = self.first_seq + self.given;
        let pts = MediaTime((self.given * every * 1_000_000) as i64);
        self.given += 1;
        let (epoch, arrived) = (self.epoch, self.clock.now());
        let meta = FrameMeta { stream: STREAM, epoch, seq, pts, captured: None, arrived, size: SIZE };
        Ok(Pull::Frame(Frame { meta, pixels: Arc::new(OwnedPixels { data: vec![0; 6], stride: 6 }) }))
    }
}

struct Played {
    /// When, epoch and first frame of each attempt.
    opened: Vec<(Duration, u32, u64)>,
    marks: Vec<Flow<Frame>>,
    counters: Arc<StreamStats>,
    reason: EndReason,
    passed: Duration,
}

fn live(max_fps: Option<f64>, schedule: Schedule) -> LivePlan {
    LivePlan {
        camera: None,
        enabled: true,
        max_fps,
        priority: 1,
        schedule,
        connect_timeout: Duration::from_secs(10),
        stall_timeout: None,
        max_backoff: Duration::from_secs(10),
    }
}

fn play_acts(acts: &[Act], live: LivePlan) -> Played {
    let clock = Arc::new(Simulated { start: Instant::now(), passed: Mutex::default() });
    let (faults, stats, opened) = (Faults::new(1), Arc::new(Stats::new(1)), Arc::default());
    let (bell, _heard) = bounded(1);
    let (lane, mut outlet) = live_lane(Doorbell(bell));
    let opener = Acts {
        acts: Mutex::new(acts.iter().copied().collect()),
        clock: Arc::clone(&clock),
        faults: faults.clone(),
        opened: Arc::clone(&opened),
    };
    let camera = Camera { stream: STREAM, opener: Box::new(opener), live };
    let switches = Switches::new(true);
    let around = Surroundings { lane, switches, faults, stats: Arc::clone(&stats), clock: Arc::clone(&clock) as _ };
    play(camera, around);
    let (marks, reason) = drain(&mut outlet, &stats);
    let opened = opened.lock().unwrap().clone();
    Played { opened, marks, counters: stats.stream(STREAM), reason, passed: clock.passed() }
}

/// Everything but the frames; the one that is left counts as worked on.
fn drain(outlet: &mut LiveOutlet, stats: &Stats) -> (Vec<Flow<Frame>>, EndReason) {
    let mut marks = Vec::new();
    loop {
        match outlet.next().expect("an end") {
            Flow::Data(_) => stats.stream(STREAM).count_done(),
            Flow::EndOfStream { reason, .. } => return (marks, reason),
            mark => marks.push(mark),
        }
    }
}

fn names(marks: &[Flow<Frame>]) -> Vec<&'static str> {
    let name = |mark: &Flow<Frame>| match mark {
        Flow::Epoch { .. } => "epoch",
        Flow::Turn { turn: Turn::Lost { .. }, .. } => "lost",
        Flow::Turn { turn: Turn::Recovered { .. }, .. } => "recovered",
        _ => "other",
    };
    marks.iter().map(name).collect()
}

#[test]
fn a_day_of_trouble_ends_well() {
    let acts = [
        Act::Refuses,
        Act::Gives(500, 40),
        Act::Refuses,
        Act::Refuses,
        Act::Hangs(100),
        Act::Panics(7),
        Act::Gives(3, 40),
    ];
    let played = play_acts(&acts, live(None, Schedule::default()));
    assert_eq!(
        names(&played.marks),
        [
            "lost",
            "recovered",
            "epoch",
            "lost",
            "recovered",
            "epoch",
            "lost",
            "recovered",
            "epoch",
            "lost",
            "recovered",
            "epoch",
            "lost"
        ]
    );
    let places: Vec<(u32, u64)> = played.opened.iter().map(|(_, epoch, seq)| (*epoch, *seq)).collect();
    assert_eq!(places, [(0, 0), (0, 0), (1, 500), (1, 500), (1, 500), (2, 600), (3, 607), (4, 610)]);
    let counters = &played.counters;
    assert_eq!(counters.decoded.load(Ordering::Relaxed), 610);
    assert_eq!(counters.done.load(Ordering::Relaxed) + counters.dropped_live(), 610);
    let connection = counters.connection();
    assert_eq!((connection.losses, connection.connects), (5, 4));
    assert_eq!(played.reason, EndReason::Interrupted);
}

#[test]
fn a_camera_away_for_a_day_is_tried_thousands_of_times_and_told_once() {
    let mut acts = vec![Act::Gives(200, 40)];
    acts.extend([Act::Refuses; 9000]);
    acts.push(Act::Gives(1, 40));
    let played = play_acts(&acts, live(None, Schedule::default()));
    assert_eq!(names(&played.marks), ["epoch", "lost", "recovered", "epoch", "lost"]);
    assert!(played.passed > Duration::from_secs(20 * 3600), "{:?}", played.passed);
    let Flow::Turn { turn: Turn::Recovered { outage }, .. } = &played.marks[2] else { panic!("no recovery") };
    let (lost, back) = (Duration::from_millis(8000), played.opened[9001].0);
    assert!(outage.abs_diff(back - lost) < Duration::from_secs(1), "{outage:?}");
    let pauses: Vec<Duration> = played.opened.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(pauses[8000..8100].iter().all(|pause| *pause >= Duration::from_millis(7500)));
    assert!(pauses.iter().skip(1).all(|pause| *pause <= Duration::from_millis(10_100)));
}

#[test]
fn slow_cameras_are_not_cut_and_hung_ones_are() {
    let played = play_acts(&[Act::Gives(3600, 1000)], live(None, Schedule::default()));
    assert_eq!(played.opened.len(), 2, "one frame a second for an hour, one connection");
    let played = play_acts(&[Act::Hangs(100)], live(None, Schedule::default()));
    let gone = played.opened[1].0 - Duration::from_millis(4000);
    assert!(gone > Duration::from_secs(3) && gone < Duration::from_secs(4), "given up after {gone:?}");
}

#[test]
fn a_stream_is_thinned_out_evenly() {
    let played = play_acts(&[Act::Gives(1000, 40)], live(Some(5.0), Schedule::default()));
    let rate = played.counters.dropped_for(DropReason::Rate);
    assert_eq!(1000 - rate, 200);
}

#[test]
fn a_schedule_closes_and_opens_the_connection() {
    let hours = Schedule::new(vec![Span::parse("00:00-00:10").unwrap(), Span::parse("23:00-24:00").unwrap()]);
    // More frames than fit into the first ten minutes.
    let played = play_acts(&[Act::Gives(1_000_000, 1000), Act::Gives(1, 40)], live(None, hours));
    assert_eq!(names(&played.marks), ["epoch", "epoch", "lost"], "off hours are no outage");
    let minutes: Vec<u64> = played.opened.iter().map(|(at, ..)| at.as_secs() / 60).collect();
    assert_eq!(minutes, [0, 23 * 60, 23 * 60]);
}
