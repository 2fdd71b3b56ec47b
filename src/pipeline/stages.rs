//! The stages of the line, each a thin shell around a component that knows no channel.

use super::{
    flow::{Analyzed, Detected, Embedded, Flow, OfFrame, Tracked},
    shutdown::Faults,
    stage::{Outlet, Stage, StageError},
    stats::{Stats, Stretch},
};
use crate::{
    analyze::StreamAnalysis,
    detect::{Detection, Detector},
    embed::{Crop, Embedder, Embedding},
    event::Keep,
    frame::{Frame, StreamId},
    preprocess::camera_motion::MeasureCamera,
    sink::{Recorder, SinkError},
    source::SourceInfo,
    track::{Observations, Track, Tracker},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// Detects in batches as they come from the inbox.
pub(super) struct DetectStage {
    pub detector: Box<dyn Detector>,
    pub stats: Arc<Stats>,
}

impl Stage for DetectStage {
    type In = Vec<Flow<Frame>>;
    type Out = Vec<Flow<Detected>>;

    fn process(&mut self, batch: Self::In, out: &Outlet<Self::Out>) -> Result<(), StageError> {
        let began = Instant::now();
        let frames: Vec<Frame> = batch.iter().filter_map(Flow::data).cloned().collect();
        let mut found: Vec<Vec<Detection>> = Vec::with_capacity(frames.len());
        if !frames.is_empty() {
            self.detector.detect(&frames, &mut found).map_err(|e| fatal(&frames, &e))?;
        }
        record_shares(&self.stats, Stretch::Detect, frames.iter(), began.elapsed());
        let mut found = found.into_iter();
        let detected = |frame| Detected { frame, detections: found.next().unwrap_or_default() };
        out.send(map_all(batch, detected))
    }
}

/// Embeds the detections of a batch in one go.
pub(super) struct EmbedStage {
    pub embedder: Box<dyn Embedder>,
    /// Detections below are not worth an embedding.
    pub min_score: f32,
    pub max_batch: usize,
    pub stats: Arc<Stats>,
}

impl Stage for EmbedStage {
    type In = Vec<Flow<Detected>>;
    type Out = Vec<Flow<Embedded>>;

    fn process(&mut self, batch: Self::In, out: &Outlet<Self::Out>) -> Result<(), StageError> {
        let began = Instant::now();
        let items: Vec<&Detected> = batch.iter().filter_map(Flow::data).collect();
        let worth = |d: &Detection| d.score >= self.min_score;
        let crops: Vec<Crop<'_>> = items
            .iter()
            .flat_map(|item| {
                let worth = item.detections.iter().filter(|d| worth(d));
                worth.map(|d| Crop { frame: &item.frame, bbox: d.bbox, class: d.class })
            })
            .collect();
        let mut embeddings = Vec::with_capacity(crops.len());
        let mut part: Vec<Option<Embedding>> = Vec::new();
        for crops in crops.chunks(self.max_batch) {
            self.embedder.embed(crops, &mut part).map_err(|e| StageError::Fatal(e.to_string()))?;
            embeddings.append(&mut part);
        }
        record_shares(&self.stats, Stretch::Embed, items.into_iter(), began.elapsed());
        let mut embeddings = embeddings.into_iter();
        let embedded = |Detected { frame, detections }| {
            let of = |d: &Detection| if worth(d) { embeddings.next().flatten() } else { None };
            let embeddings = detections.iter().map(of).collect();
            Embedded { frame, detections, embeddings }
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
        let bare = |Detected { frame, detections }| Embedded { frame, detections, embeddings: Vec::new() };
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
    followers: Vec<Option<Follower>>,
    stats: Arc<Stats>,
}

/// What follows one stream.
struct Follower {
    tracker: Box<dyn Tracker>,
    camera: Option<Box<dyn MeasureCamera>>,
}

impl Follower {
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
    /// A stage that follows `streams` streams, none of which has begun.
    pub fn new(build: BuildTracker, build_camera: Option<BuildCamera>, streams: usize, stats: &Arc<Stats>) -> Self {
        let followers = (0..streams).map(|_| None).collect();
        Self { build, build_camera, followers, stats: Arc::clone(stats) }
    }

    /// Makes what follows a stream.
    fn follower(&self, stream: StreamId, info: &SourceInfo) -> Follower {
        let camera = self.build_camera.as_ref().map(|build| build(stream));
        Follower { tracker: (self.build)(stream, info), camera }
    }

    fn follow(&mut self, item: Embedded) -> Tracked {
        let began = Instant::now();
        let mut tracks: Vec<Track> = Vec::new();
        if let Some(follower) = &mut self.followers[item.frame.meta.stream.index()] {
            let camera = follower.camera_motion(&item);
            let Embedded { frame, detections, embeddings } = &item;
            let seen = Observations { at: frame.meta.pts, detections, embeddings, camera };
            follower.tracker.update(&seen, &mut tracks);
        }
        let Embedded { frame, detections, .. } = item;
        self.stats.stream(frame.meta.stream).record(Stretch::Track, &frame.meta, began.elapsed());
        Tracked { frame, detections, tracks }
    }
}

impl Stage for TrackStage {
    type In = Vec<Flow<Embedded>>;
    type Out = Flow<Tracked>;

    fn process(&mut self, batch: Self::In, out: &Outlet<Self::Out>) -> Result<(), StageError> {
        for flow in batch {
            match &flow {
                Flow::Data(_) => {}
                Flow::Epoch { stream, info, .. } => match &mut self.followers[stream.index()] {
                    Some(Follower { tracker, camera }) => {
                        tracker.restart_motion();
                        camera.iter_mut().for_each(|camera| camera.restart());
                    }
                    None => self.followers[stream.index()] = Some(self.follower(*stream, info)),
                },
                Flow::EndOfStream { stream, .. } => self.followers[stream.index()] = None,
            }
            out.send(flow.map(|item| self.follow(item)))?;
        }
        Ok(())
    }
}

/// Makes events of tracks.
pub(super) struct AnalyzeStage {
    pub streams: Vec<StreamAnalysis>,
    /// Keeps every event, if any; then it has the event before anything behind sees it.
    pub log: Option<Box<dyn Keep>>,
    pub stats: Arc<Stats>,
}

impl Stage for AnalyzeStage {
    type In = Flow<Tracked>;
    type Out = Analyzed;

    fn process(&mut self, flow: Self::In, out: &Outlet<Self::Out>) -> Result<(), StageError> {
        let began = Instant::now();
        let stream = flow.stream();
        let analysis = &mut self.streams[stream.index()];
        let mut events = Vec::new();
        match &flow {
            Flow::Data(tracked) => analysis.frame(&tracked.frame.meta, &tracked.tracks, &mut events),
            Flow::Epoch { info, .. } => analysis.begin(info, &mut events),
            Flow::EndOfStream { reason, .. } => analysis.end(*reason, &mut events),
        }
        if let Some(log) = &mut self.log {
            log.keep(&events);
        }
        let counters = self.stats.stream(stream);
        counters.tracks.store(analysis.started(), Ordering::Relaxed);
        counters.events.fetch_add(events.len() as u64, Ordering::Relaxed);
        if let Flow::Data(tracked) = &flow {
            counters.record(Stretch::Analyze, &tracked.frame.meta, began.elapsed());
        }
        out.send(Analyzed { flow, events })
    }
}

/// Opens what a stream's results are recorded to, once its first frame is known.
pub type OpenRecorders = Box<dyn Fn(StreamId, &SourceInfo) -> Result<Vec<Box<dyn Recorder>>, SinkError> + Send>;

/// Records results: once for the files of lines, once more for the video, which takes a thread of its own.
pub(super) struct RecordStage {
    stretch: Stretch,
    open: OpenRecorders,
    recorders: Vec<Vec<Box<dyn Recorder>>>,
    faults: Faults,
    stats: Arc<Stats>,
}

impl RecordStage {
    /// A stage that records `streams` streams through what `open` opens, and is timed as `stretch`.
    pub fn new(stretch: Stretch, open: OpenRecorders, streams: usize, faults: &Faults, stats: &Arc<Stats>) -> Self {
        let recorders = (0..streams).map(|_| Vec::new()).collect();
        Self { stretch, open, recorders, faults: faults.clone(), stats: Arc::clone(stats) }
    }

    /// Opens at the first epoch, records, finishes at the end; a fault ends the stream's recording, and through
    /// `faults` its source, but nothing else.
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError> {
        let stream = item.flow.stream();
        if let Flow::Epoch { epoch: 0, info, .. } = &item.flow {
            self.recorders[stream.index()] = (self.open)(stream, info)?;
        }
        for recorder in &mut self.recorders[stream.index()] {
            recorder.record(item)?;
        }
        if let Flow::EndOfStream { .. } = &item.flow {
            return self.close(stream);
        }
        Ok(())
    }

    /// Finishes every recorder of a stream, whatever happens to the others; gives the first fault.
    fn close(&mut self, stream: StreamId) -> Result<(), SinkError> {
        let recorders = std::mem::take(&mut self.recorders[stream.index()]);
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
            self.faults.fail(stream, fault);
            // What was recorded until now is made whole; the fault above is the one to report.
            let _ = self.close(stream);
        }
        let counters = self.stats.stream(stream);
        if let Flow::Data(tracked) = &item.flow {
            counters.record(self.stretch, &tracked.frame.meta, began.elapsed());
            if self.stretch == Stretch::Record && !self.faults.is_failed(stream) {
                counters.done.fetch_add(1, Ordering::Relaxed);
            }
        }
        counters.touch();
        counters.ended.store(matches!(item.flow, Flow::EndOfStream { .. }), Ordering::Relaxed);
        out.send(item)
    }

    fn finish(&mut self, _out: &Outlet<Analyzed>) -> Result<(), StageError> {
        // Reached without an end of stream only when the line broke: keep what there is.
        for index in 0..self.recorders.len() {
            if let Err(fault) = self.close(StreamId(index as u16)) {
                self.faults.note(StreamId(index as u16), fault);
            }
        }
        Ok(())
    }
}

fn map_all<T, U>(batch: Vec<Flow<T>>, mut change: impl FnMut(T) -> U) -> Vec<Flow<U>> {
    batch.into_iter().map(|flow| flow.map(&mut change)).collect()
}

/// Books each frame's share of the time a batch took.
fn record_shares<'a, T: OfFrame + 'a>(
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

fn fatal(frames: &[Frame], fault: &dyn std::fmt::Display) -> StageError {
    let at = frames.first().map_or(0, |frame| frame.meta.seq);
    StageError::Fatal(format!("frame {at}: {fault}"))
}
