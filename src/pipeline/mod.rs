//! Joins the stages: one named thread each, bounded lock-free channels between them.
//!
//! `start` spells the whole line. Everything it joins is given to it (`Parts`), so a test runs the same line on made-up
//! pictures and a scripted detector.

mod camera;
mod control;
pub mod counters;
mod detect_stage;
mod feed;
pub mod flow;
mod inbox;
mod lane;
mod limiter;
mod patience;
mod roster;
mod shutdown;
mod slots;
mod stage;
mod stages;
pub mod stats;
mod switches;

pub use camera::Camera;
pub use control::{Control, ControlError};
pub use feed::Feed;
pub use roster::Roster;
pub use shutdown::Faults;
pub use stages::{BuildAnalysis, BuildCamera, BuildTracker, OpenRecorders};

use crate::{
    detect::Detector,
    embed::{Embedder, worth::WorthSettings},
    frame::{Frame, StreamId},
    time::SystemClock,
};
use crossbeam_channel::{Receiver, Sender, bounded};
use detect_stage::DetectStage;
use flow::{EndReason, Flow};
use inbox::{Batching, Entry, FileInbox, Lane, LiveInbox};
use lane::Doorbell;
use slots::Slots;
use stages::{AnalyzeStage, EmbedStage, NoEmbedStage, RecordStage, TrackStage};
use stats::{Stats, Stretch};
use std::{
    io,
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Batches waiting between detector, embedder and tracker: one, so that the next is ready when a stage is free, and no
/// more, because each holds decoded pictures.
const BATCHES_AHEAD: usize = 1;
/// Frames waiting before each of the light stages: enough to hide their jitter.
const FRAMES_AHEAD: usize = 2;
/// Lanes waiting to be seen by the inbox, which looks at every turn: who adds streams faster waits that long.
const ENTRIES_AHEAD: usize = 8;

/// What the line is made of.
pub struct Parts {
    /// What the streams are like.
    pub roster: Roster,
    /// One a recording.
    pub feeds: Vec<Feed>,
    /// One a live stream.
    pub cameras: Vec<Camera>,
    /// When the line ends.
    pub lifetime: Lifetime,
    /// The detector.
    pub detector: Box<dyn Detector>,
    /// Most frames in a batch, and files played at once.
    pub max_batch: usize,
    /// Longest wait for a batch to fill, from the arrival of its oldest frame; for lines with live streams.
    pub max_wait: Duration,
    /// The embedder, if any.
    pub embed: Option<EmbedPart>,
    /// Makes a stream's tracker.
    pub tracker: BuildTracker,
    /// Makes what measures the motion of a stream's camera, if that is wanted.
    pub camera: Option<BuildCamera>,
    /// Says what is told of a stream.
    pub analyze: BuildAnalysis,
    /// Opens a stream's event and result files.
    pub records: OpenRecorders,
    /// Opens a stream's video, if videos are wanted.
    pub video: Option<OpenRecorders>,
}

/// When a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// When its recordings have been played; with live streams, when it is stopped.
    Streams,
    /// When it is stopped: streams may be added at any time.
    Operated,
}

/// The embedder and which detections it sees.
pub struct EmbedPart {
    /// The embedder.
    pub embedder: Box<dyn Embedder>,
    /// Which detections are embedded.
    pub worth: WorthSettings,
    /// Most crops in a batch.
    pub max_batch: usize,
}

/// A line at work.
pub struct Running {
    /// What it measures of itself.
    pub stats: Arc<Stats>,
    /// Its stop switch and what went wrong.
    pub faults: Faults,
    /// Adds, removes and changes its live streams.
    pub control: Control,
    threads: Vec<JoinHandle<()>>,
}

/// Starts the line: sources → inbox → detect → embed → track → analyze → record → video.
pub fn start(parts: Parts) -> io::Result<Running> {
    let roster = parts.roster;
    let streams = roster.streams().len();
    let (stats, faults) = (Arc::new(Stats::new(streams)), Faults::new(streams));
    let classes: Arc<[String]> = parts.detector.classes().into();
    let mut line = Threads { faults: faults.clone(), stats: Arc::clone(&stats), started: Vec::new() };

    let is_live = !parts.cameras.is_empty() || parts.lifetime == Lifetime::Operated;
    let (entrance, entries) = bounded(ENTRIES_AHEAD);
    let (bell, heard) = bounded(1);
    let control = Control::new(entrance, Doorbell(bell), &roster, &faults, &stats, Arc::new(SystemClock));
    let files = line.recordings(parts.feeds, parts.max_batch)?;
    let inbox: Box<dyn Iterator<Item = Vec<Flow<Frame>>> + Send> = if is_live {
        let batching = Batching { max_batch: parts.max_batch, max_wait: parts.max_wait };
        let lane = |lane| Entry { lane: Lane::File(lane), priority: 1 };
        let files = files.into_iter().map(lane).collect();
        Box::new(LiveInbox::new(files, entries, heard, batching, faults.clone()))
    } else {
        Box::new(FileInbox::new(files, parts.max_batch))
    };
    let (to_embed, detected) = bounded(BATCHES_AHEAD);
    let (to_track, embedded) = bounded(BATCHES_AHEAD);
    let (to_analyze, tracked) = bounded(FRAMES_AHEAD);
    let (to_record, analyzed) = bounded(FRAMES_AHEAD);
    let (to_video, recorded) = bounded(FRAMES_AHEAD);

    let detect = DetectStage::new(parts.detector, roster.clone(), Arc::clone(&stats));
    line.stage(Stretch::Detect, detect, inbox, Some(to_embed))?;
    match parts.embed {
        Some(part) => {
            let embed = EmbedStage::new(part, Arc::clone(&stats));
            line.stage(Stretch::Embed, embed, detected.into_iter(), Some(to_track))?;
        }
        None => line.stage(Stretch::Embed, NoEmbedStage, detected.into_iter(), Some(to_track))?,
    }
    let track = TrackStage::new(parts.tracker, parts.camera, &stats);
    line.stage(Stretch::Track, track, embedded.into_iter(), Some(to_analyze))?;
    let build = parts.analyze;
    let analyze = AnalyzeStage { roster, classes, build, streams: Slots::default(), stats: Arc::clone(&stats) };
    line.stage(Stretch::Analyze, analyze, tracked.into_iter(), Some(to_record))?;
    let record = RecordStage::new(Stretch::Record, parts.records, &faults, &stats);
    match parts.video {
        Some(open) => {
            line.stage(Stretch::Record, record, analyzed.into_iter(), Some(to_video))?;
            let video = RecordStage::new(Stretch::Video, open, &faults, &stats);
            line.stage(Stretch::Video, video, recorded.into_iter(), None)?;
        }
        None => line.stage(Stretch::Record, record, analyzed.into_iter(), None)?,
    }
    for camera in parts.cameras {
        control.start(camera)?;
    }
    Ok(Running { stats, faults, control, threads: line.started })
}

/// The threads of a line as they are started. Dropped half-way, the channels close and those started end.
struct Threads {
    faults: Faults,
    stats: Arc<Stats>,
    started: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts a lane for each frame of a batch and deals the recordings out to them: lane 0 of 2 plays streams 0, 2, 4, …,
    /// whichever file is longer, so that batches do not depend on timing.
    fn recordings(&mut self, feeds: Vec<Feed>, max_batch: usize) -> io::Result<Vec<Receiver<Flow<Frame>>>> {
        let lane_count = max_batch.clamp(1, feeds.len().max(1));
        let mut lanes: Vec<Vec<Feed>> = (0..lane_count).map(|_| Vec::new()).collect();
        for (index, feed) in feeds.into_iter().enumerate() {
            lanes[index % lane_count].push(feed);
        }
        let mut inlets = Vec::with_capacity(lane_count);
        for (index, feeds) in lanes.into_iter().enumerate() {
            let (lane, inlet) = bounded(FRAMES_AHEAD);
            let (faults, stats) = (self.faults.clone(), Arc::clone(&self.stats));
            let source = thread::Builder::new().name(format!("src-{index}"));
            self.started.push(source.spawn(move || feed::play(feeds, &lane, &faults, &stats))?);
            inlets.push(inlet);
        }
        Ok(inlets)
    }

    fn stage<S, I>(&mut self, stretch: Stretch, stage: S, inlet: I, next: Option<Sender<S::Out>>) -> io::Result<()>
    where
        S: stage::Stage,
        I: Iterator<Item = S::In> + Send + 'static,
    {
        let started = stage::spawn(stretch, stage, inlet, next, (&self.faults, self.stats.line()))?;
        self.started.push(started);
        Ok(())
    }
}

impl Running {
    /// Whether every thread of the line has ended.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits until the line has ended, calling `look` every `interval`. Once a stop is asked for, waits at most
    /// `deadline` longer. Gives whether the line ended.
    pub fn wait(&self, interval: Duration, deadline: Duration, mut look: impl FnMut(&Stats)) -> bool {
        let mut stopped_at: Option<Instant> = None;
        while !self.is_finished() {
            thread::park_timeout(interval);
            look(&self.stats);
            if self.faults.is_stopped() && stopped_at.get_or_insert_with(Instant::now).elapsed() > deadline {
                return false;
            }
        }
        look(&self.stats);
        true
    }

    /// What went wrong with a stream, once the line has ended: its own fault, else the line's.
    pub fn fault_of(&self, stream: StreamId) -> Option<String> {
        self.faults.of(stream).or_else(|| self.faults.broken())
    }

    /// How a stream ended, once the line has.
    pub fn result_of(&self, stream: StreamId) -> EndReason {
        if self.faults.is_failed(stream) || self.faults.broken().is_some() {
            EndReason::Failed
        } else if self.faults.is_stopped() && !self.stats.stream(stream).played_out.load(Ordering::Relaxed) {
            EndReason::Interrupted
        } else {
            EndReason::EndOfStream
        }
    }
}
