//! A stream's and its tracks' beginnings and ends, each told exactly once.

use crate::{
    event::{Clock, Event, EventBox, Timestamp, TrackEnd, TrackEnded, TrackSeen, What},
    frame::{FrameMeta, ImageSize},
    pipeline::flow::{EndReason, Turn},
    preprocess::illumination::LightChange,
    source::SourceInfo,
    time::MediaTime,
    track::{Track, TrackId, TrackState},
};
use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

/// Makes one stream's life-cycle events and numbers them.
///
/// Order: `stream.started`, then `track.started` and `track.ended` as they happen (within a frame by ascending id, ends
/// first), at the end `track.ended` of every open track by ascending id, then `stream.ended`. An ended track never
/// reopens.
#[derive(Debug)]
pub struct Lifecycle {
    stream: String,
    classes: Arc<[String]>,
    sequence: u64,
    started: u64,
    began: bool,
    /// Frames so far, and the time of the last.
    frames: u64,
    latest: MediaTime,
    size: ImageSize,
    /// Wall-clock time of what is told now, and where it comes from; a recording has none.
    captured: Option<(Timestamp, Clock)>,
    open: BTreeMap<TrackId, Open>,
}

/// What is remembered of a track until it ends.
#[derive(Debug)]
struct Open {
    last: Track,
    detections: u64,
    top_score: f32,
}

impl Lifecycle {
    /// A stream named `stream`, whose detector knows `classes`.
    pub fn new(stream: &str, classes: Arc<[String]>) -> Self {
        Self {
            stream: stream.to_owned(),
            classes,
            sequence: 0,
            started: 0,
            began: false,
            frames: 0,
            latest: MediaTime::default(),
            size: ImageSize { width: 0, height: 0 },
            captured: None,
            open: BTreeMap::new(),
        }
    }

    /// The same for a live stream: its events have a wall-clock time.
    pub fn of_live(self) -> Self {
        Self { captured: Some((Timestamp::from(SystemTime::now()), Clock::Arrival)), ..self }
    }

    /// Tracks started so far.
    pub const fn started(&self) -> u64 {
        self.started
    }

    /// An epoch begins; the first one starts the stream.
    pub fn begin(&mut self, info: &SourceInfo, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.began, true) {
            let (width, height) = (info.size.width, info.size.height);
            self.tell(What::StreamStarted { width, height, fps: info.fps, models: Vec::new() }, events);
        }
    }

    /// A turn in the stream's life.
    pub fn turn(&mut self, turn: &Turn, events: &mut Vec<Event>) {
        self.captured = self.captured.map(|_| (Timestamp::from(SystemTime::now()), Clock::Arrival));
        match turn {
            Turn::Lost { cause } => self.tell(What::StreamLost { reason: cause.to_string() }, events),
            Turn::Recovered { outage } => {
                let outage_seconds = (outage.as_secs_f64() * 1e3).round() / 1e3;
                self.tell(What::StreamRecovered { outage_seconds }, events);
            }
            Turn::Paused | Turn::Resumed | Turn::Changed { .. } => {}
        }
    }

    /// Takes in the tracks of one frame.
    pub fn frame(&mut self, meta: &FrameMeta, tracks: &[Track], events: &mut Vec<Event>) {
        self.frames = meta.seq + 1;
        self.latest = meta.pts;
        self.size = meta.size;
        self.captured = self.captured.map(|_| captured(meta));
        for track in tracks.iter().filter(|track| track.state == TrackState::Removed) {
            if let Some(open) = self.open.remove(&track.id) {
                self.tell_ended(&open, TrackEnd::Gone, events);
            }
        }
        for track in tracks.iter().filter(|track| track.state == TrackState::Confirmed) {
            self.seen(track, events);
        }
    }

    /// The light of the scene has changed in the frame just taken in.
    pub fn light_changed(&mut self, change: &LightChange, events: &mut Vec<Event>) {
        let [before, after] = [change.was, change.now].map(|state| state.as_str().to_owned());
        self.tell(What::SceneLightChanged { before, after }, events);
    }

    /// The stream ends, and every open track with it. Says nothing of a stream that never started.
    pub fn end(&mut self, reason: EndReason, events: &mut Vec<Event>) {
        for open in std::mem::take(&mut self.open).into_values() {
            self.tell_ended(&open, TrackEnd::StreamEnded, events);
        }
        if self.began {
            self.tell(What::StreamEnded { frames: self.frames, reason: reason.into() }, events);
        }
    }

    fn seen(&mut self, track: &Track, events: &mut Vec<Event>) {
        if let Some(open) = self.open.get_mut(&track.id) {
            open.last = *track;
            open.detections += u64::from(track.detection.is_some());
            open.top_score = open.top_score.max(track.score);
            return;
        }
        self.started += 1;
        self.open.insert(track.id, Open { last: *track, detections: 1, top_score: track.score });
        let seen = self.told(track);
        self.tell(What::TrackStarted { seen, reidentified_from: None }, events);
    }

    fn told(&self, track: &Track) -> TrackSeen {
        let class = self.classes.get(usize::from(track.class.0)).cloned();
        TrackSeen {
            track: track.id.0,
            class: class.unwrap_or_else(|| format!("class {}", track.class.0)),
            score: round_to(track.score, 1e4),
            bbox: EventBox::from(&track.bbox),
            bbox_norm: EventBox::normalized(&track.bbox, self.size),
            zones: Vec::new(),
            speed_mps: None,
            embedding: None,
        }
    }

    fn tell_ended(&mut self, open: &Open, reason: TrackEnd, events: &mut Vec<Event>) {
        let Open { last, detections, top_score } = open;
        let what = What::TrackEnded(TrackEnded {
            last: self.told(last),
            first_seen_seconds: last.first_seen.as_secs_f64(),
            last_seen_seconds: last.last_seen.as_secs_f64(),
            duration_seconds: last.last_seen.since(last.first_seen).as_secs_f64(),
            detections: *detections,
            top_score: round_to(*top_score, 1e4),
            reason,
            path: Vec::new(),
            snapshot: None,
        });
        self.tell(what, events);
    }

    fn tell(&mut self, what: What, events: &mut Vec<Event>) {
        events.push(Event {
            id: Event::id_of(&self.stream, self.sequence),
            stream: self.stream.clone(),
            sequence: self.sequence,
            frame: self.frames.saturating_sub(1),
            time_seconds: self.latest.as_secs_f64(),
            captured_at: self.captured.map(|(at, _)| at),
            clock: self.captured.map_or(Clock::File, |(_, clock)| clock),
            what,
        });
        self.sequence += 1;
    }
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

fn round_to(value: f32, parts: f32) -> f32 {
    (value * parts).round() / parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{detect::ClassId, frame::StreamId, geometry::BBox};
    use std::time::Instant;

    fn meta(seq: u64) -> FrameMeta {
        FrameMeta {
            stream: StreamId(0),
            epoch: 0,
            seq,
            pts: MediaTime(seq as i64 * 100_000_000),
            captured: None,
            arrived: Instant::now(),
            size: ImageSize { width: 64, height: 48 },
        }
    }

    fn track(id: u64, state: TrackState, score: f32, first: i64, last: i64) -> Track {
        Track {
            id: TrackId(id),
            state,
            bbox: BBox::new(1.0, 2.0, 11.004, 22.0),
            class: ClassId(0),
            score,
            detection: Some(0),
            first_seen: MediaTime(first),
            last_seen: MediaTime(last),
            shown: true,
        }
    }

    fn info() -> SourceInfo {
        SourceInfo { size: ImageSize { width: 64, height: 48 }, fps: Some(10.0), frames: None, codec: None }
    }

    fn kinds(events: &[Event]) -> Vec<String> {
        let kind = |e: &Event| serde_json::to_value(e).unwrap()["type"].as_str().unwrap().to_owned();
        events.iter().map(kind).collect()
    }

    #[test]
    fn each_beginning_and_end_is_told_once_and_in_order() {
        let mut lifecycle = Lifecycle::new("gate", Arc::from(vec!["person".to_owned()]));
        let mut events = Vec::new();
        lifecycle.begin(&info(), &mut events);
        lifecycle.frame(&meta(0), &[track(1, TrackState::Confirmed, 0.5, 0, 0)], &mut events);
        lifecycle.begin(&info(), &mut events);
        let both = [track(1, TrackState::Confirmed, 0.9, 0, 1), track(2, TrackState::Confirmed, 0.7, 1, 1)];
        lifecycle.frame(&meta(1), &both, &mut events);
        lifecycle.frame(&meta(2), &[track(1, TrackState::Lost, 0.9, 0, 1)], &mut events);
        lifecycle.frame(&meta(3), &[track(1, TrackState::Removed, 0.9, 0, 1)], &mut events);
        lifecycle.end(EndReason::EndOfStream, &mut events);
        let expected =
            ["stream.started", "track.started", "track.started", "track.ended", "track.ended", "stream.ended"];
        assert_eq!(kinds(&events), expected);
        let sequences: Vec<u64> = events.iter().map(|e| e.sequence).collect();
        assert_eq!(sequences, [0, 1, 2, 3, 4, 5]);
        assert_eq!(lifecycle.started(), 2);
        let What::TrackEnded(TrackEnded { detections, top_score, .. }) = &events[3].what else { panic!("not an end") };
        assert_eq!((*detections, *top_score), (2, 0.9));
    }

    #[test]
    fn a_stream_that_never_opened_says_nothing() {
        let mut events = Vec::new();
        Lifecycle::new("gate", Arc::from(Vec::new())).end(EndReason::Failed, &mut events);
        assert!(events.is_empty());
    }
}
