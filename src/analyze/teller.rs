//! Puts what happened into events: numbers them, dates them, names classes.

use super::{AnalysisSettings, round_to};
use crate::{
    event::{Clock, Event, EventBox, ModelRef, Timestamp, TrackSeen, What},
    frame::{FrameMeta, ImageSize},
    pipeline::flow::EndReason,
    source::SourceInfo,
    time::MediaTime,
    track::Track,
};
use std::{sync::Arc, time::SystemTime};

/// Tells one stream's events.
#[derive(Debug)]
pub(super) struct Teller {
    site: Option<String>,
    stream: String,
    classes: Arc<[String]>,
    models: Vec<ModelRef>,
    sequence: u64,
    /// Frames so far, and what is known of the last.
    frames: u64,
    latest: MediaTime,
    /// Wall-clock time of what is told now, and where it comes from; a recording has none.
    captured: Option<(Timestamp, Clock)>,
    size: ImageSize,
    /// Seconds of the stream before this epoch, in which media time begins anew.
    before_epoch: f64,
}

impl Teller {
    pub fn new(settings: &AnalysisSettings) -> Self {
        Self {
            site: settings.site.clone(),
            stream: settings.stream.clone(),
            classes: Arc::clone(&settings.classes),
            models: settings.models.clone(),
            sequence: settings.first_sequence,
            frames: 0,
            latest: MediaTime::default(),
            captured: settings.is_live.then(now_arrived),
            size: ImageSize { width: 0, height: 0 },
            before_epoch: 0.0,
        }
    }

    /// Media time begins anew.
    pub fn begin_epoch(&mut self, size: ImageSize) {
        self.before_epoch = self.now();
        self.latest = MediaTime::default();
        self.size = size;
    }

    /// What follows happens in this frame.
    pub fn frame(&mut self, meta: &FrameMeta) {
        (self.frames, self.latest) = (meta.seq + 1, meta.pts);
        self.size = meta.size;
        self.captured = self.captured.map(|_| captured(meta));
    }

    /// What follows happens now, in no frame.
    pub fn between_frames(&mut self) {
        self.captured = self.captured.map(|_| now_arrived());
    }

    /// Seconds of the stream, over all its epochs: for how long things last.
    pub fn now(&self) -> f64 {
        self.before_epoch + self.latest.as_secs_f64()
    }

    /// A point as shares of the picture.
    pub fn normalized(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        [x / self.size.width.max(1) as f32, y / self.size.height.max(1) as f32]
    }

    /// The beginning of a stream.
    pub fn started(&self, info: &SourceInfo) -> What {
        let (width, height) = (info.size.width, info.size.height);
        What::StreamStarted { width, height, fps: info.fps, models: self.models.clone() }
    }

    /// Its end.
    pub fn ended(&self, reason: EndReason) -> What {
        What::StreamEnded { frames: self.frames, reason: reason.into() }
    }

    /// A track's class name; empty for one that the detector does not name.
    pub fn class(&self, track: &Track) -> &str {
        self.classes.get(usize::from(track.class.0)).map_or("", String::as_str)
    }

    /// A track as events tell it; zones and speed are for the caller to fill in.
    pub fn seen(&self, track: &Track) -> TrackSeen {
        let class = self.class(track);
        TrackSeen {
            track: track.id.0,
            class: if class.is_empty() { format!("class {}", track.class.0) } else { class.to_owned() },
            score: round_to(track.score, 1e4),
            bbox: EventBox::from(&track.bbox),
            bbox_norm: EventBox::normalized(&track.bbox, self.size),
            zones: Vec::new(),
            speed_mps: None,
            embedding: None,
        }
    }

    /// Tells the next event.
    pub fn tell(&mut self, what: What, events: &mut Vec<Event>) {
        events.push(Event {
            id: Event::id_at(self.site.as_deref(), &self.stream, self.sequence),
            stream: self.stream.clone(),
            sequence: self.sequence,
            frame: self.frames.saturating_sub(1),
            time_seconds: self.latest.as_secs_f64(),
            captured_at: self.captured.map(|(at, _)| at),
            clock: self.captured.map_or(Clock::File, |(_, clock)| clock),
            files: Default::default(),
            what,
        });
        self.sequence += 1;
    }
}

fn now_arrived() -> (Timestamp, Clock) {
    (Timestamp::from(SystemTime::now()), Clock::Arrival)
}

/// When a live frame was captured: by the camera's sender reports, else when it arrived.
fn captured(meta: &FrameMeta) -> (Timestamp, Clock) {
    match meta.captured {
        Some(at) => (Timestamp::from(at), Clock::Rtcp),
        None => {
            let now = SystemTime::now();
            (Timestamp::from(now.checked_sub(meta.arrived.elapsed()).unwrap_or(now)), Clock::Arrival)
        }
    }
}
