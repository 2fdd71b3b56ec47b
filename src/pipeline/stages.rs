//! The stages of the line, each a thin shell around a component that knows no channel.

use super::{
    EmbedPart,
    flow::{Analyzed, Detected, Embedded, Flow, OfFrame, Tracked},
    roster::Roster,
    shutdown::Faults,
    slots::Slots,
    stage::{Outlet, Stage, StageError},
    stats::{Stats, Stretch},
};
use crate::{
    analyze::{AnalysisSettings, StreamAnalysis},
    config::plan::StreamPlan,
    detect::watch::Look,
    embed::{Crop, Embedding, worth::Worth},
    frame::{Frame, StreamId},
    preprocess::camera_motion::MeasureCamera,
    sink::{Recorder, SinkError},
    source::SourceInfo,
    track::{Observations, Track, TrackState, Tracker, bridge::Bridge},
};
use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// Embeds the detections of a batch that are worth it in one go.
pub(super) struct EmbedStage {
    part: EmbedPart,
    worths: Slots<Worth>,
    stats: Arc<Stats>,
}

impl EmbedStage {
    pub fn new(part: EmbedPart, stats: Arc<Stats>) -> Self {
        Self { part, worths: Slots::default(), stats }
    }

    /// For each frame of a batch, whether each of its detections is to be embedded.
    fn choose(&mut self, batch: &[Flow<Detected>]) -> Vec<Vec<bool>> {
        let mut chosen = Vec::with_capacity(batch.len());
        for flow in batch {
            let worth = self.worths.slot(flow.stream()).get_or_insert_with(|| Worth::new(&self.part.worth));
            match flow {
                Flow::Data(item) => {
                    let of_frame = worth.choose(item.frame.meta.pts, &item.detections);
                    let counters = self.stats.stream(flow.stream());
                    let embedded = of_frame.iter().filter(|chosen| **chosen).count();
                    counters.embedded.fetch_add(embedded as u64, Ordering::Relaxed);
                    chosen.push(of_frame);
                }
                Flow::Epoch { .. } => worth.restart(),
                Flow::Turn { .. } => {}
                Flow::EndOfStream { stream, .. } => drop(self.worths.take(*stream)),
            }
        }
        chosen
    }

    fn embed(&mut self, crops: &[Crop<'_>]) -> Result<Vec<Option<Embedding>>, StageError> {
        let mut embeddings = Vec::with_capacity(crops.len());
        let mut part = Vec::new();
        for crops in crops.chunks(self.part.max_batch) {
            self.part.embedder.embed(crops, &mut part).map_err(|e| StageError::Fatal(e.to_string()))?;
            embeddings.append(&mut part);
        }
        Ok(embeddings)
    }
}

impl Stage for EmbedStage {
    type In = Vec<Flow<Detected>>;
    type Out = Vec<Flow<Embedded>>;

    fn process(&mut self, batch: Self::In, out: &Outlet<Self::Out>) -> Result<(), StageError> {
        let began = Instant::now();
        let chosen = self.choose(&batch);
        let items: Vec<&Detected> = batch.iter().filter_map(Flow::data).collect();
        let crops = items.iter().zip(&chosen).flat_map(|(item, chosen)| {
            let worth = item.detections.iter().zip(chosen).filter(|(_, chosen)| **chosen);
            worth.map(|(d, _)| Crop { frame: &item.frame, bbox: d.bbox, class: d.class })
        });
        let embeddings = self.embed(&crops.collect::<Vec<_>>())?;
        record_shares(&self.stats, Stretch::Embed, items.into_iter(), began.elapsed());
        let (mut embeddings, mut chosen) = (embeddings.into_iter(), chosen.into_iter());
        let embedded = |Detected { frame, sight, detections }| {
            let of = |chosen| if chosen { embeddings.next().flatten() } else { None };
            let embeddings = chosen.next().into_iter().flatten().map(of).collect();
            Embedded { frame, sight, detections, embeddings }
        };
        out.send(map_all(batch, embedded))
    }
}

/// Stands where the embedder would, when tracking by motion alone.
pub(super) struct NoEmbedStage;

impl Stage for NoEmbedStage {
    type In = Vec<Flow<Detected>>;
    type Out = Vec<Flow<Embedded>>;

    fn process(&mut self, batch: Self::In, out: &Outlet<Self::Out>) -> Result<(), StageError> {
        let bare =
            |Detected { frame, sight, detections }| Embedded { frame, sight, detections, embeddings: Vec::new() };
        out.send(map_all(batch, bare))
    }
}

/// Makes the tracker of a stream once its frame rate is known.
pub type BuildTracker = Box<dyn Fn(StreamId, &SourceInfo) -> Box<dyn Tracker> + Send>;

/// Makes what measures the motion of one stream's camera.
pub type BuildCamera = Box<dyn Fn(StreamId) -> Box<dyn MeasureCamera> + Send>;

/// Follows each stream with a tracker of its own, and its camera where that is wanted.
pub(super) struct TrackStage {
    build: BuildTracker,
    build_camera: Option<BuildCamera>,
    followers: Slots<Follower>,
    stats: Arc<Stats>,
}

/// What follows one stream.
struct Follower {
    tracker: Box<dyn Tracker>,
    camera: Option<Box<dyn MeasureCamera>>,
    /// Where its tracks are in frames that nobody looked at.
    bridge: Bridge,
}

impl Follower {
    /// The tracks of the next frame. One that nobody looked at is kept from tracker and camera: both measure from the frame
    /// they saw last.
    fn follow(&mut self, item: &Embedded, tracks: &mut Vec<Track>) {
        let at = item.frame.meta.pts;
        if item.sight.look == Look::Skipped {
            return self.bridge.cross(at, tracks);
        }
        let camera = self.camera_motion(item);
        let Embedded { detections, embeddings, .. } = item;
        self.tracker.update(&Observations { at, detections, embeddings, camera }, tracks);
        self.bridge.looked(at, tracks);
    }

    /// A new epoch begins.
    fn restart(&mut self) {
        self.tracker.restart_motion();
        self.camera.iter_mut().for_each(|camera| camera.restart());
        self.bridge.restart();
    }

    /// How the camera moved since the frame before. A picture that cannot be measured is a fault of the program or of
    /// the machine's memory; the stream goes on without.
    fn camera_motion(&mut self, item: &Embedded) -> Option<[f32; 6]> {
        let measured = self.camera.as_mut()?.measure(&item.frame, &item.detections);
        measured.unwrap_or_else(|fault| {
            let seq = item.frame.meta.seq;
            tracing::warn!(frame = seq, %fault, "camera motion is not measured any more");
            self.camera = None;
            None
        })
    }
}

impl TrackStage {
    /// A stage that follows streams none of which has begun.
    pub fn new(build: BuildTracker, build_camera: Option<BuildCamera>, stats: &Arc<Stats>) -> Self {
        Self { build, build_camera, followers: Slots::default(), stats: Arc::clone(stats) }
    }

    /// Makes what follows a stream.
    fn follower(&self, stream: StreamId, info: &SourceInfo) -> Follower {
        let camera = self.build_camera.as_ref().map(|build| build(stream));
        Follower { tracker: (self.build)(stream, info), camera, bridge: Bridge::default() }
    }

    fn follow(&mut self, item: Embedded) -> Tracked {
        let began = Instant::now();
        let mut tracks: Vec<Track> = Vec::new();
        if let Some(follower) = self.followers.get_mut(item.frame.meta.stream) {
            let was_measured = follower.camera.is_some();
            follower.follow(&item, &mut tracks);
            if was_measured && follower.camera.is_none() {
                self.stats.line().stage(Stretch::Track).fail("camera_motion");
            }
        }
        let Embedded { frame, sight, detections, .. } = item;
        self.stats.stream(frame.meta.stream).record(Stretch::Track, &frame.meta, began.elapsed());
        Tracked { frame, sight, detections, tracks }
    }
}

impl Stage for TrackStage {
    type In = Vec<Flow<Embedded>>;
    type Out = Flow<Tracked>;

    fn process(&mut self, batch: Self::In, out: &Outlet<Self::Out>) -> Result<(), StageError> {
        for flow in batch {
            match &flow {
                Flow::Data(_) | Flow::Turn { .. } => {}
                Flow::Epoch { stream, info, .. } => match self.followers.get_mut(*stream) {
                    Some(follower) => follower.restart(),
                    None => {
                        let follower = self.follower(*stream, info);
                        *self.followers.slot(*stream) = Some(follower);
                    }
                },
                Flow::EndOfStream { stream, .. } => drop(self.followers.take(*stream)),
            }
            out.send(flow.map(|item| self.follow(item)))?;
        }
        Ok(())
    }
}

/// Says what is told of a stream and where its log stands, when it begins. The stage adds the class names.
pub type BuildAnalysis = Box<dyn Fn(&StreamPlan) -> AnalysisSettings + Send>;

/// Makes events of tracks.
pub(super) struct AnalyzeStage {
    pub roster: Roster,
    pub classes: Arc<[String]>,
    pub build: BuildAnalysis,
    pub streams: Slots<StreamAnalysis>,
    pub stats: Arc<Stats>,
}

impl Stage for AnalyzeStage {
    type In = Flow<Tracked>;
    type Out = Analyzed;

    fn process(&mut self, flow: Self::In, out: &Outlet<Self::Out>) -> Result<(), StageError> {
        let began = Instant::now();
        let stream = flow.stream();
        let begin = || {
            let settings = self.roster.get(stream).map(|plan| (self.build)(&plan)).unwrap_or_default();
            StreamAnalysis::new(AnalysisSettings { classes: Arc::clone(&self.classes), ..settings })
        };
        let analysis = self.streams.slot(stream).get_or_insert_with(begin);
        let mut events = Vec::new();
        match &flow {
            Flow::Data(tracked) => {
                analysis.frame(&tracked.frame.meta, &tracked.tracks, &mut events);
                if let Some(change) = &tracked.sight.light {
                    analysis.light_changed(change, &mut events);
                }
            }
            Flow::Epoch { info, .. } => analysis.begin(info, &mut events),
            Flow::Turn { turn, .. } => analysis.turn(turn, &mut events),
            Flow::EndOfStream { reason, .. } => analysis.end(*reason, &mut events),
        }
        let counters = self.stats.stream(stream);
        counters.tracks.store(analysis.started(), Ordering::Relaxed);
        counters.events.fetch_add(events.len() as u64, Ordering::Relaxed);
        if let Flow::Data(tracked) = &flow {
            let open = tracked.tracks.iter().filter(|track| track.state != TrackState::Removed).count();
            counters.open_tracks.store(open as u64, Ordering::Relaxed);
            counters.record(Stretch::Analyze, &tracked.frame.meta, began.elapsed());
        }
        if let Flow::EndOfStream { .. } = &flow {
            self.streams.take(stream);
        }
        out.send(Analyzed { flow, events })
    }
}

/// Opens what a stream's results are recorded to, once its first frame is known, or before that where there is something to
/// tell of a camera that is down (not for videos); gives nothing where nothing is to be recorded.
pub type OpenRecorders = Box<dyn Fn(StreamId, Option<&SourceInfo>) -> Result<Vec<Box<dyn Recorder>>, SinkError> + Send>;

/// Records results: once for the files of lines, once more for the video, which takes a thread of its own.
pub(super) struct RecordStage {
    stretch: Stretch,
    open: OpenRecorders,
    recorders: Slots<Vec<Box<dyn Recorder>>>,
    /// Streams whose recording failed. A source that failed is none of them: what it gave before is still to come.
    given_up: HashSet<StreamId>,
    faults: Faults,
    stats: Arc<Stats>,
}

impl RecordStage {
    /// A stage that records through what `open` opens, and is timed as `stretch`.
    pub fn new(stretch: Stretch, open: OpenRecorders, faults: &Faults, stats: &Arc<Stats>) -> Self {
        let (recorders, given_up) = (Slots::default(), HashSet::new());
        Self { stretch, open, recorders, given_up, faults: faults.clone(), stats: Arc::clone(stats) }
    }

    /// Opens at the first epoch, records, finishes at the end; a fault ends the stream's recording, and through
    /// `faults` its source, but nothing else.
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError> {
        let stream = item.flow.stream();
        // What failed stays closed: opened again it would be emptied.
        let is_open = self.recorders.slot(stream).is_some() || self.given_up.contains(&stream);
        let begins = match &item.flow {
            Flow::Epoch { info, .. } => Some(Some(&**info)),
            // A camera that is down from the start has something to tell, but no picture yet.
            Flow::Turn { .. } if self.stretch != Stretch::Video => Some(None),
            _ => None,
        };
        if let (Some(info), false) = (begins, is_open) {
            *self.recorders.slot(stream) = Some((self.open)(stream, info)?);
        }
        for recorder in self.recorders.get_mut(stream).into_iter().flatten() {
            recorder.record(item)?;
        }
        if let Flow::EndOfStream { .. } = &item.flow {
            return self.close(stream);
        }
        Ok(())
    }

    /// Finishes every recorder of a stream, whatever happens to the others; gives the first fault.
    fn close(&mut self, stream: StreamId) -> Result<(), SinkError> {
        let recorders = self.recorders.take(stream).unwrap_or_default();
        let finished: Vec<Result<(), SinkError>> =
            recorders.into_iter().map(|mut recorder| recorder.finish()).collect();
        finished.into_iter().collect()
    }
}

impl Stage for RecordStage {
    type In = Analyzed;
    type Out = Analyzed;

    fn process(&mut self, item: Analyzed, out: &Outlet<Analyzed>) -> Result<(), StageError> {
        let began = Instant::now();
        let stream = item.flow.stream();
        if let Err(fault) = self.record(&item) {
            self.stats.line().stage(self.stretch).fail("not_written");
            self.faults.fail(stream, fault);
            self.given_up.insert(stream);
            // What was recorded until now is made whole; the fault above is the one to report.
            let _ = self.close(stream);
        }
        let counters = self.stats.stream(stream);
        if let Flow::Data(tracked) = &item.flow {
            counters.record(self.stretch, &tracked.frame.meta, began.elapsed());
            if self.stretch == Stretch::Record && !self.given_up.contains(&stream) {
                counters.count_done();
            }
        }
        if let Flow::EndOfStream { .. } = &item.flow {
            self.given_up.remove(&stream);
        }
        counters.touch();
        counters.ended.store(matches!(item.flow, Flow::EndOfStream { .. }), Ordering::Relaxed);
        out.send(item)
    }

    fn finish(&mut self, _out: &Outlet<Analyzed>) -> Result<(), StageError> {
        // Reached without an end of stream only when the line broke: keep what there is.
        for stream in self.recorders.streams() {
            if let Err(fault) = self.close(stream) {
                self.faults.note(stream, fault);
            }
        }
        Ok(())
    }
}

pub(super) fn map_all<T, U>(batch: Vec<Flow<T>>, mut change: impl FnMut(T) -> U) -> Vec<Flow<U>> {
    batch.into_iter().map(|flow| flow.map(&mut change)).collect()
}

/// Books each frame's share of the time a batch took.
pub(super) fn record_shares<'a, T: OfFrame + 'a>(
    stats: &Stats,
    stretch: Stretch,
    items: impl ExactSizeIterator<Item = &'a T>,
    took: Duration,
) {
    let share = took / items.len().max(1) as u32;
    for item in items {
        stats.stream(item.meta().stream).record(stretch, item.meta(), share);
    }
}

pub(super) fn fatal(frames: &[Frame], fault: &dyn std::fmt::Display) -> StageError {
    let at = frames.first().map_or(0, |frame| frame.meta.seq);
    StageError::Fatal(format!("frame {at}: {fault}"))
}
