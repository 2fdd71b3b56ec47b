//! What events tell of tracks, boxes, lines and zones.

use crate::{frame::ImageSize, geometry::BBox, pipeline::flow::EndReason, track::TrackId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The last of a track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrackEnded {
    /// Where it was last seen.
    #[serde(flatten)]
    pub last: TrackSeen,
    /// Media time of its first and last detection, seconds.
    pub first_seen_seconds: f64,
    /// See `first_seen_seconds`.
    pub last_seen_seconds: f64,
    /// Seconds from first to last detection.
    pub duration_seconds: f64,
    /// Frames in which it was seen.
    pub detections: u64,
    /// Best detection score it had.
    pub top_score: f32,
    /// Why.
    pub reason: TrackEnd,
    /// Its way through the picture in a few points, first and last included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<PathPoint>,
    /// File of its best picture, where one was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
}

/// A track as an event tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrackSeen {
    /// Identity.
    pub track: u64,
    /// Class name.
    pub class: String,
    /// Detection score.
    pub score: f32,
    /// Where, source pixels, rounded to 0.01.
    pub bbox: EventBox,
    /// Where, as shares of the picture's width and height, rounded to 0.0001.
    pub bbox_norm: EventBox,
    /// Zones it is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<String>,
    /// Metres a second, where the stream is calibrated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_mps: Option<f32>,
    /// Its looks: a vector of length 1, where `events.embeddings` asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
}

/// A box as an event tells it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub struct EventBox {
    /// Left edge.
    pub left: f32,
    /// Upper edge.
    pub top: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
}

/// A point of a track's way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PathPoint {
    /// Media time, seconds.
    pub time_seconds: f64,
    /// Anchor point of the box (`events.anchor`), share of the picture's width.
    pub x_norm: f32,
    /// The same, share of its height.
    pub y_norm: f32,
}

/// A network an event rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelRef {
    /// Name in the zoo, or file.
    pub name: String,
    /// SHA-256 of its file, hexadecimal.
    pub sha256: String,
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamEnd {
    /// It was played to its end.
    EndOfStream,
    /// The user stopped the run.
    Interrupted,
    /// It could not be read, or its output could not be written.
    Failed,
    /// The program was killed; told at its next start.
    Crashed,
}

impl From<EndReason> for StreamEnd {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::EndOfStream => Self::EndOfStream,
            EndReason::Interrupted => Self::Interrupted,
            EndReason::Failed => Self::Failed,
        }
    }
}

/// Why a track ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrackEnd {
    /// Not seen for longer than it may be found again (`track.max_absent`).
    Gone,
    /// Its stream ended.
    StreamEnded,
    /// The program was killed; told at its next start.
    Crashed,
}

/// Which way a line was crossed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the left to the right of somebody who looks from the line's first point to its second.
    In,
    /// The other way.
    Out,
}

impl Direction {
    /// The name events use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// What was counted in an interval of media time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Where the interval began, seconds.
    pub from_seconds: f64,
    /// Where it ended.
    pub to_seconds: f64,
    /// Each line and class with a crossing ever.
    pub lines: Vec<LineCount>,
    /// Each zone.
    pub zones: Vec<AreaCount>,
}

/// Crossings of one line by tracks of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LineCount {
    /// The line.
    pub line: String,
    /// The class.
    pub class: String,
    /// Crossings in, in this interval.
    pub crossed_in: u64,
    /// Crossings out, in this interval.
    pub crossed_out: u64,
    /// Crossings in, ever.
    pub total_in: u64,
    /// Crossings out, ever.
    pub total_out: u64,
}

/// What a zone held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AreaCount {
    /// The zone.
    pub zone: String,
    /// Tracks in it at the end of the interval.
    pub occupancy: u32,
    /// Most at once in the interval.
    pub most: u32,
    /// Mean over the interval, weighted by time.
    pub mean: f64,
    /// Tracks that came in, in this interval.
    pub entered: u64,
}

impl EventBox {
    /// `bbox` as shares of a picture of `size`, rounded to 0.0001.
    pub fn normalized(bbox: &BBox, size: ImageSize) -> Self {
        let (width, height) = (size.width.max(1) as f32, size.height.max(1) as f32);
        let round = |v: f32| (v * 1e4).round() / 1e4;
        Self {
            left: round(bbox.left / width),
            top: round(bbox.top / height),
            width: round(bbox.width() / width),
            height: round(bbox.height() / height),
        }
    }
}

impl From<&BBox> for EventBox {
    fn from(bbox: &BBox) -> Self {
        let round = |v: f32| (v * 100.0).round() / 100.0;
        Self { left: round(bbox.left), top: round(bbox.top), width: round(bbox.width()), height: round(bbox.height()) }
    }
}

impl From<TrackId> for u64 {
    fn from(id: TrackId) -> Self {
        id.0
    }
}
