//! What an operator may see and do while the line runs. The line implements `Operate`; the HTTP API and the page know it by
//! nothing else. Plain data only: no channel, no socket, no pixels but those of a `Viewer`.

use super::{
    broadcast::Subscription,
    view::{ViewSize, Viewer},
};
use crate::{
    config::{
        fault::Faults,
        raw::{Line, Stream, Zone},
    },
    event::{Event, EventBox},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// A running line as its operators know it. Streams go by their unique name.
///
/// Calls come from several threads at once. Reading ones return at once; the others may take as long as it takes to close
/// or open a stream, never longer than `runtime.shutdown`.
pub trait Operate: Send + Sync + 'static {
    /// Every stream, in the order they were added.
    fn streams(&self) -> Vec<StreamStatus>;
    /// One stream. Errors: `UnknownStream`.
    fn stream(&self, name: &str) -> Result<StreamStatus, OperateError> {
        let mut streams = self.streams().into_iter();
        streams.find(|stream| stream.name == name).ok_or_else(|| OperateError::unknown(name))
    }
    /// Starts to watch one more stream. Returns before the first frame: a camera that is down now is tried again.
    ///
    /// Errors: `NameTaken`, `Invalid`, `Busy`.
    fn add(&self, stream: &Stream) -> Result<StreamStatus, OperateError>;
    /// Ends a stream and forgets it; its tracks end by events. Errors: `UnknownStream`, `Busy`.
    fn remove(&self, name: &str) -> Result<(), OperateError>;
    /// Closes the connection and keeps the stream. Pausing a paused stream changes nothing.
    ///
    /// Errors: `UnknownStream`, `Ended`, `Busy`.
    fn pause(&self, name: &str) -> Result<StreamStatus, OperateError>;
    /// Connects a paused stream again; changes nothing on another. Errors: as for `pause`.
    fn resume(&self, name: &str) -> Result<StreamStatus, OperateError>;
    /// Closes the connection and opens a new one now, without waiting for a back-off. Errors: as for `pause`.
    fn restart(&self, name: &str) -> Result<StreamStatus, OperateError>;
    /// Changes what a stream looks for, from its next frame on, without dropping one. All of `change` or nothing.
    ///
    /// Errors: `UnknownStream`, `Invalid`, `Ended`, `Busy`.
    fn change(&self, name: &str, change: &Change) -> Result<StreamStatus, OperateError>;
    /// The tracks of a stream after its newest frame. Errors: `UnknownStream`.
    fn tracks(&self, name: &str) -> Result<FrameTracks, OperateError>;
    /// Pictures with overlay from now on; drawn only while a viewer lives. Errors: `UnknownStream`.
    fn view(&self, name: &str, size: ViewSize) -> Result<Viewer, OperateError>;
    /// Everything that happens from now on. Slow subscribers are told how much they missed.
    fn subscribe(&self) -> Subscription<News>;
    /// The line as a whole.
    fn line(&self) -> LineStatus;
}

/// Why an operation was refused. Displays without credentials.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OperateError {
    /// No stream of this name.
    #[error("no stream is named {name:?}{}", hint(.nearest.as_deref()))]
    UnknownStream {
        /// The name asked for.
        name: String,
        /// A name like it.
        nearest: Option<String>,
    },
    /// Names are unique, upper and lower case alike.
    #[error("{name:?} is already the name of a stream")]
    NameTaken {
        /// The name asked for.
        name: String,
    },
    /// What was asked for is unsound; every fault.
    #[error("{0}")]
    Invalid(Faults),
    /// The stream has ended for good: it can be removed and added again, nothing else.
    #[error("stream {name:?} has ended")]
    Ended {
        /// The stream.
        name: String,
    },
    /// Something stands in the way now, and may not later.
    #[error("{what}")]
    Busy {
        /// What does, and for how long.
        what: String,
    },
}

impl OperateError {
    /// No stream is named `name`.
    pub fn unknown(name: &str) -> Self {
        Self::UnknownStream { name: name.into(), nearest: None }
    }
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map(|name| format!(", did you mean {name:?}?")).unwrap_or_default()
}

/// What a stream is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StreamState {
    /// The first connection is being made.
    Connecting,
    /// Frames come.
    Live,
    /// Frames came once; the connection is being made anew.
    Lost,
    /// Closed on an operator's word.
    Paused,
    /// Over for good: a file was played to its end or failed.
    Ended,
}

impl StreamState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Connecting, Self::Live, Self::Lost, Self::Paused, Self::Ended];

    /// The name the API uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Lost => "lost",
            Self::Paused => "paused",
            Self::Ended => "ended",
        }
    }
}

/// One stream now.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub struct StreamStatus {
    /// Unique name.
    pub name: String,
    /// Address or file, without credentials.
    pub address: String,
    /// What it is doing.
    pub state: StreamState,
    /// Picture width, pixels; absent before the first frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Picture height, pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Frames a second that were processed over the last seconds; 0 while none come.
    pub fps: f64,
    /// Frames a second the source says it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nominal_fps: Option<f64>,
    /// Frames received from the decoder since the stream was added.
    pub received: u64,
    /// Frames whose tracks were told.
    pub processed: u64,
    /// Frames dropped, by reason. received = processed + dropped + those on the way.
    pub dropped: BTreeMap<String, u64>,
    /// Age of a frame when its tracks are told, since it arrived (or was captured); absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<Percentiles>,
    /// Where that age comes from, in the order of the line.
    pub stages: Vec<StageAge>,
    /// Tracks that are open now.
    pub tracks: u64,
    /// Events told since the stream was added.
    pub events: u64,
    /// Times the connection was lost.
    pub losses: u64,
    /// How its frames were looked at.
    pub watched: Watched,
    /// What went wrong last, without credentials; absent where nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_fault: Option<String>,
    /// Seconds since the connection was made; 0 while there is none.
    pub uptime_seconds: f64,
    /// Names of the zones.
    pub zones: Vec<String>,
    /// Names of the lines.
    pub lines: Vec<String>,
    /// Classes that are looked for; empty means all.
    pub classes: Vec<String>,
    /// Least score of a detection, 0..=1.
    pub min_score: f64,
}

/// How the frames of a stream were looked at since it was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub struct Watched {
    /// Frames the detector was spared: nothing had moved, or it was not their turn.
    pub not_looked: u64,
    /// Frames whose light was corrected for the networks.
    pub relit: u64,
    /// Changes of the light told as events.
    pub light_changes: u64,
    /// Time spent measuring and correcting light, seconds.
    pub light_seconds: f64,
    /// Detections that were embedded.
    pub embedded: u64,
}

/// Percentiles of a time, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub struct Percentiles {
    /// Half took no longer.
    pub p50_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
}

/// One stream in one stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub struct StageAge {
    /// Name of the stage.
    pub stage: String,
    /// Time it spends on a frame.
    pub busy: Percentiles,
    /// Age of a frame that leaves it.
    pub age: Percentiles,
}

/// What to change of a stream; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Change {
    /// Zones in place of all it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<Zone>", length(max = 64))]
    pub zones: Option<Vec<Zone>>,
    /// Lines in place of all it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<Line>", length(max = 64))]
    pub lines: Option<Vec<Line>>,
    /// Classes to report, by name; an empty list reports all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>", length(max = 1024), inner(length(min = 1)))]
    pub classes: Option<Vec<String>>,
    /// Least score of a detection.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "f64", range(min = 0.0, max = 1.0))]
    pub min_score: Option<f64>,
}

/// The tracks of one frame.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub struct FrameTracks {
    /// Stream name.
    pub stream: String,
    /// Frame, from 0; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<u64>,
    /// Media time, seconds since this connection began.
    pub time_seconds: f64,
    /// Milliseconds from arrival (or capture) of the frame until now.
    pub age_ms: f64,
    /// Picture width, pixels; 0 before the first frame.
    pub width: u32,
    /// Picture height, pixels.
    pub height: u32,
    /// Tracks that are worth showing, by ascending id.
    pub tracks: Vec<ShownTrack>,
}

/// One track of a frame.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub struct ShownTrack {
    /// Identity.
    pub track: u64,
    /// Class name.
    pub class: String,
    /// Detection score.
    pub score: f32,
    /// Whether it was seen in this frame; else its box is a prediction.
    pub seen: bool,
    /// Where, source pixels.
    pub bbox: EventBox,
}

/// What subscribers hear. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// Something happened in a stream.
    Event(Arc<Event>),
    /// A frame was tracked.
    Tracks(Arc<FrameTracks>),
    /// A stream was added, or its state or settings changed.
    Stream(Arc<StreamStatus>),
    /// A stream was removed.
    Removed(Arc<str>),
}

impl News {
    /// Name of the stream it is about.
    pub fn stream(&self) -> &str {
        match self {
            Self::Event(event) => &event.stream,
            Self::Tracks(tracks) => &tracks.stream,
            Self::Stream(status) => &status.name,
            Self::Removed(name) => name,
        }
    }
}

/// The line as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub struct LineStatus {
    /// Why it is not ready to work (models still loading, shutting down, a stage broke); absent where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_ready: Option<String>,
    /// Stages, in the order of the line.
    pub stages: Vec<StageStatus>,
    /// Where events are delivered to.
    pub sinks: Vec<SinkStatus>,
    /// The log they are delivered from; absent without sinks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogStatus>,
}

/// What went through a stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub struct StageStatus {
    /// Name of the stage.
    pub stage: String,
    /// Items taken in.
    pub received: u64,
    /// Items handed on.
    pub sent: u64,
    /// Items dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Items that failed, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Items that wait before it now.
    pub queued: u64,
}

/// What became of the events so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub struct LogStatus {
    /// Kept since the start.
    pub kept: u64,
    /// Not kept, because the disk was full or too slow.
    pub lost: u64,
    /// Removed by age or size, in the log's whole life.
    pub discarded: u64,
    /// Bytes on the disk.
    pub bytes: u64,
}

/// How far a sink has followed the event log.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub struct SinkStatus {
    /// Name of the sink.
    pub sink: String,
    /// Kind of the sink: `mqtt`.
    pub kind: String,
    /// Events it has delivered.
    pub delivered: u64,
    /// Events it has yet to deliver.
    pub lag: u64,
    /// How long the oldest of those being delivered has waited, seconds; 0 where there is none.
    pub lag_seconds: f64,
    /// Why nothing is delivered just now, without credentials; absent where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Failed attempts.
    pub errors: u64,
    /// Events it had to give up, by reason.
    pub dropped: BTreeMap<String, u64>,
}
