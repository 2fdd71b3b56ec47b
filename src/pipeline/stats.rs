//! What the line measures of itself: frames in and out, time a stage takes, age of the data when it leaves the stage.

use super::counters::LineCounters;
use crate::{
    frame::{FrameMeta, StreamId},
    source::SourceInfo,
};
use hdrhistogram::Histogram;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The stretches that are timed, in the order of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stretch {
    /// Waiting for the decoder.
    Decode,
    /// Preprocess, network, head, NMS.
    Detect,
    /// Crops and appearance network.
    Embed,
    /// Association.
    Track,
    /// Events.
    Analyze,
    /// Event and result files.
    Record,
    /// Drawing, and waiting for the encoder.
    Video,
}

impl Stretch {
    /// All of them, in order.
    pub const ALL: [Self; 7] =
        [Self::Decode, Self::Detect, Self::Embed, Self::Track, Self::Analyze, Self::Record, Self::Video];

    /// Name in reports and of the thread.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Detect => "detect",
            Self::Embed => "embed",
            Self::Track => "track",
            Self::Analyze => "analyze",
            Self::Record => "record",
            Self::Video => "video",
        }
    }
}

/// Percentiles of a time, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Percentiles {
    /// Half of the frames took no longer.
    pub p50_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
}

/// A duration's distribution, 1 µs to 1 h at two digits: bounded memory however long the run.
#[derive(Debug)]
struct Distribution(Mutex<Histogram<u64>>);

impl Default for Distribution {
    fn default() -> Self {
        const HOUR_MICROS: u64 = 3_600_000_000;
        let histogram =
            Histogram::new_with_bounds(1, HOUR_MICROS, 2).expect("1 µs to 1 h at 2 digits are valid bounds");
        Self(Mutex::new(histogram))
    }
}

impl Distribution {
    fn lock(&self) -> MutexGuard<'_, Histogram<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, took: Duration) {
        self.lock().saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    fn percentiles(&self) -> Option<Percentiles> {
        let histogram = self.lock();
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        (!histogram.is_empty()).then(|| Percentiles { p50_ms: at(0.5), p99_ms: at(0.99) })
    }
}

/// Why a live stream's frame was not worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// A newer one came before the detector was free.
    Overload,
    /// More than `max_fps`.
    Rate,
    /// The source's own thread came too late to fetch it.
    Late,
}

impl DropReason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Overload, Self::Rate, Self::Late];

    /// Name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overload => "overload",
            Self::Rate => "max_fps",
            Self::Late => "late",
        }
    }
}

/// Whether a live stream gives frames now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Liveness {
    /// The first connection is being made; also before a file is opened.
    #[default]
    Connecting,
    /// Frames come.
    Live,
    /// Frames came once, or the first connection failed; it is being made anew.
    Lost,
    /// Closed on an operator's word.
    Paused,
    /// Closed by its schedule.
    OffHours,
}

/// What is known of the connection of a live stream.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// Whether frames come.
    pub state: Liveness,
    /// When the state began.
    pub since: Option<Instant>,
    /// Connections that were lost.
    pub losses: u64,
    /// Connections that gave frames.
    pub connects: u64,
    /// What went wrong last, without credentials.
    pub last_fault: Option<String>,
    /// What is known of the pictures.
    pub info: Option<SourceInfo>,
}

/// How far back a rate looks.
const RATE_SPAN: Duration = Duration::from_secs(5);
/// Most moments kept for a rate: five seconds at 200 a second.
const RATE_MOMENTS: usize = 1000;

/// One stream's counters. Written by the stages, read by whoever reports.
#[derive(Debug, Default)]
pub struct StreamStats {
    /// Frames the decoder gave.
    pub decoded: AtomicU64,
    /// Frames whose results were written.
    pub done: AtomicU64,
    /// Whether the stream's results are complete.
    pub ended: AtomicBool,
    /// Whether the source was played to its end.
    pub played_out: AtomicBool,
    /// Tracks confirmed.
    pub tracks: AtomicU64,
    /// Events made.
    pub events: AtomicU64,
    /// Frames whose light was corrected for detector and embedder.
    pub relit: AtomicU64,
    /// Changes of the light told as events.
    pub light_changes: AtomicU64,
    /// Time spent measuring and correcting light, nanoseconds.
    pub light_nanos: AtomicU64,
    /// Frames the detector did not look at: nothing had moved, or another frame's turn.
    pub not_looked: AtomicU64,
    /// Detections that were embedded.
    pub embedded: AtomicU64,
    /// Frames the source is expected to give, 0 if unknown.
    pub expected: AtomicU64,
    /// Tracks that are open now.
    pub open_tracks: AtomicU64,
    dropped_for: [AtomicU64; DropReason::ALL.len()],
    connection: Mutex<Connection>,
    /// When the last frames were done.
    moments: Mutex<VecDeque<Instant>>,
    busy: [Distribution; Stretch::ALL.len()],
    age: [Distribution; Stretch::ALL.len()],
    span: Mutex<Option<(Instant, Instant)>>,
    line: LineCounters,
}

impl StreamStats {
    /// Counters at zero that add to the line's.
    fn of(line: &LineCounters) -> Arc<Self> {
        Arc::new(Self { line: line.clone(), ..Self::default() })
    }

    /// Counts frames the decoder gave.
    pub fn receive(&self, frames: u64) {
        self.decoded.fetch_add(frames, Ordering::Relaxed);
        self.line.stage(Stretch::Decode).receive(frames);
        self.line.stage(Stretch::Decode).send(frames);
    }

    /// Notes that a stretch of the line spent `busy` on a frame that now leaves it.
    pub fn record(&self, stretch: Stretch, meta: &FrameMeta, busy: Duration) {
        self.busy[stretch as usize].record(busy);
        self.age[stretch as usize].record(meta.arrived.elapsed());
    }

    /// Time a stretch took a frame; `None` if it saw none.
    pub fn busy(&self, stretch: Stretch) -> Option<Percentiles> {
        self.busy[stretch as usize].percentiles()
    }

    /// Time from decoder to the end of a stretch; `None` if it saw no frame.
    pub fn age(&self, stretch: Stretch) -> Option<Percentiles> {
        self.age[stretch as usize].percentiles()
    }

    /// Notes that the stream is at work now; the first and the last call span its run.
    pub fn touch(&self) {
        let now = Instant::now();
        let mut span = self.span.lock().unwrap_or_else(PoisonError::into_inner);
        span.get_or_insert((now, now)).1 = now;
    }

    /// How long the stream has been at work.
    pub fn elapsed(&self) -> Duration {
        let span = self.span.lock().unwrap_or_else(PoisonError::into_inner);
        span.map_or(Duration::ZERO, |(began, latest)| latest - began)
    }

    /// Counts frames that were dropped.
    pub fn drop_frames(&self, reason: DropReason, count: u64) {
        self.dropped_for[reason as usize].fetch_add(count, Ordering::Relaxed);
        self.line.drop_frames(reason, count);
    }

    /// Frames that were dropped for this reason.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped_for[reason as usize].load(Ordering::Relaxed)
    }

    /// Frames that were dropped for any reason.
    pub fn dropped_live(&self) -> u64 {
        DropReason::ALL.into_iter().map(|reason| self.dropped_for(reason)).sum()
    }

    /// Counts a frame whose results were written.
    pub fn count_done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        if moments.len() == RATE_MOMENTS {
            moments.pop_front();
        }
        moments.push_back(Instant::now());
    }

    /// Frames done a second over the last seconds.
    pub fn rate(&self) -> f64 {
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        while moments.front().is_some_and(|oldest| oldest.elapsed() > RATE_SPAN) {
            moments.pop_front();
        }
        let span = moments.front().map_or(0.0, |oldest| oldest.elapsed().as_secs_f64());
        // The time since the oldest holds one interval more than there are moments after it.
        if moments.len() < 2 { 0.0 } else { (moments.len() - 1) as f64 / span.max(1e-3) }
    }

    /// Changes what is known of the connection.
    pub fn update_connection(&self, change: impl FnOnce(&mut Connection)) {
        change(&mut self.connection.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What is known of the connection.
    pub fn connection(&self) -> Connection {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Frames decoded but never written; 0 for files unless the run was cut short.
    pub fn dropped(&self) -> u64 {
        self.decoded.load(Ordering::Relaxed).saturating_sub(self.done.load(Ordering::Relaxed))
    }
}

/// Counters of every stream, also of those added while the line runs.
#[derive(Debug)]
pub struct Stats {
    streams: RwLock<Vec<Arc<StreamStats>>>,
    line: LineCounters,
}

impl Stats {
    /// Counters at zero for `streams` streams.
    pub fn new(streams: usize) -> Self {
        let line = LineCounters::default();
        Self { streams: RwLock::new((0..streams).map(|_| StreamStats::of(&line)).collect()), line }
    }

    /// Counters of the line as a whole.
    pub fn line(&self) -> &LineCounters {
        &self.line
    }

    /// One stream's counters.
    pub fn stream(&self, stream: StreamId) -> Arc<StreamStats> {
        let known = self.streams.read().unwrap_or_else(PoisonError::into_inner).get(stream.index()).cloned();
        known.unwrap_or_else(|| {
            let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
            while streams.len() <= stream.index() {
                streams.push(StreamStats::of(&self.line));
            }
            Arc::clone(&streams[stream.index()])
        })
    }

    /// Sets the counters of a number back to zero, for the stream that has it from now on.
    pub fn renew(&self, stream: StreamId) {
        self.stream(stream);
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        streams[stream.index()] = StreamStats::of(&self.line);
    }
}
