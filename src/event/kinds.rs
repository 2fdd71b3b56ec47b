//! The kinds of event and what each tells. Every kind is serialized under its name, `<subject>.<what>`, as `type`.

use crate::{frame::ImageSize, geometry::BBox, pipeline::flow::EndReason, track::TrackId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happened, named `<subject>.<what>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum What {
    /// The stream delivered its first frame.
    #[serde(rename = "stream.started")]
    StreamStarted {
        /// Picture width, pixels.
        width: u32,
        /// Picture height, pixels.
        height: u32,
        /// Nominal frames a second, where known.
        fps: Option<f64>,
        /// The networks that look at it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        models: Vec<ModelRef>,
    },
    /// The stream ended; every track was ended before.
    #[serde(rename = "stream.ended")]
    StreamEnded {
        /// Frames it gave.
        frames: u64,
        /// Why.
        reason: StreamEnd,
    },
    /// A camera's connection broke; it is being made anew.
    #[serde(rename = "stream.lost")]
    StreamLost {
        /// What went wrong, without credentials.
        reason: String,
    },
    /// Frames come again.
    #[serde(rename = "stream.recovered")]
    StreamRecovered {
        /// From the last frame before to the first after.
        outage_seconds: f64,
    },
    /// The light of the scene changed: day, night, infrared, a lamp.
    #[serde(rename = "scene.light_changed")]
    SceneLightChanged {
        /// What it was.
        before: String,
        /// What it is now.
        after: String,
    },
    /// A track was confirmed. Sent once.
    #[serde(rename = "track.started")]
    TrackStarted {
        /// The track.
        #[serde(flatten)]
        seen: TrackSeen,
        /// The ended track whose object this looks like.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reidentified_from: Option<u64>,
    },
    /// Where a track is now. Off by default; sent at most as often as `events.updates` says, and on what
    /// `events.update_on` says.
    #[serde(rename = "track.updated")]
    TrackUpdated {
        /// The track.
        #[serde(flatten)]
        seen: TrackSeen,
    },
    /// A track is gone for good. Sent once, never followed by anything of this track.
    #[serde(rename = "track.ended")]
    TrackEnded(TrackEnded),
    /// A track has not moved for as long as `stopped` says.
    #[serde(rename = "track.stopped")]
    TrackStopped {
        /// The track.
        #[serde(flatten)]
        seen: TrackSeen,
        /// How long it has stood still.
        stopped_seconds: f64,
    },
    /// A stopped track moves again.
    #[serde(rename = "track.moved")]
    TrackMoved {
        /// The track.
        #[serde(flatten)]
        seen: TrackSeen,
        /// How long it stood still.
        stopped_seconds: f64,
    },
    /// A track moves against the allowed direction of a zone.
    #[serde(rename = "track.wrong_way")]
    TrackWrongWay {
        /// The track.
        #[serde(flatten)]
        seen: TrackSeen,
        /// The zone.
        zone: String,
        /// Its heading, degrees clockwise from up in the picture.
        heading_degrees: f32,
    },
    /// An object stands still and its owner has gone.
    #[serde(rename = "object.abandoned")]
    ObjectAbandoned {
        /// The object.
        #[serde(flatten)]
        seen: TrackSeen,
        /// How long nobody has been near it.
        alone_seconds: f64,
    },
    /// An object that stood still in a zone is no longer there.
    #[serde(rename = "object.removed")]
    ObjectRemoved {
        /// The object where it last stood.
        #[serde(flatten)]
        seen: TrackSeen,
        /// The zone it stood in.
        zone: String,
        /// How long it had stood there.
        stopped_seconds: f64,
    },
    /// A track came into a zone.
    #[serde(rename = "zone.entered")]
    ZoneEntered {
        /// The track.
        #[serde(flatten)]
        seen: TrackSeen,
        /// The zone.
        zone: String,
        /// Tracks in it now.
        occupancy: u32,
    },
    /// A track left a zone, or ended in it.
    #[serde(rename = "zone.left")]
    ZoneLeft {
        /// The track.
        #[serde(flatten)]
        seen: TrackSeen,
        /// The zone.
        zone: String,
        /// Tracks in it now.
        occupancy: u32,
        /// How long it was there.
        dwell_seconds: f64,
    },
    /// A track has been in a zone for as long as its `dwell` says. Sent once a visit.
    #[serde(rename = "zone.dwelled")]
    ZoneDwelled {
        /// The track.
        #[serde(flatten)]
        seen: TrackSeen,
        /// The zone.
        zone: String,
        /// How long it has been there.
        dwell_seconds: f64,
    },
    /// More tracks are in a zone than it should hold.
    #[serde(rename = "zone.crowded")]
    ZoneCrowded {
        /// The zone.
        zone: String,
        /// Tracks in it now.
        occupancy: u32,
        /// Most it should hold.
        limit: u32,
    },
    /// A crowded zone holds no more than it should again.
    #[serde(rename = "zone.cleared")]
    ZoneCleared {
        /// The zone.
        zone: String,
        /// Tracks in it now.
        occupancy: u32,
        /// Most it should hold.
        limit: u32,
    },
    /// A track crossed a line.
    #[serde(rename = "line.crossed")]
    LineCrossed {
        /// The track.
        #[serde(flatten)]
        seen: TrackSeen,
        /// The line.
        line: String,
        /// Which way.
        direction: Direction,
        /// Crossings of this line in this direction by tracks of this class, restarts included, this one too.
        total: u64,
    },
    /// What was counted in an interval, and in all.
    #[serde(rename = "counts")]
    Counts(Counts),
}

impl What {
    /// Every kind's name. New ones go to the end: the log keeps places in this list.
    pub const KINDS: [&str; 20] = [
        "stream.started",
        "stream.ended",
        "stream.lost",
        "stream.recovered",
        "scene.light_changed",
        "track.started",
        "track.updated",
        "track.ended",
        "track.stopped",
        "track.moved",
        "track.wrong_way",
        "object.abandoned",
        "object.removed",
        "zone.entered",
        "zone.left",
        "zone.dwelled",
        "zone.crowded",
        "zone.cleared",
        "line.crossed",
        "counts",
    ];

    /// Name of the kind, as `type` says it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::StreamStarted { .. } => "stream.started",
            Self::StreamEnded { .. } => "stream.ended",
            Self::StreamLost { .. } => "stream.lost",
            Self::StreamRecovered { .. } => "stream.recovered",
            Self::SceneLightChanged { .. } => "scene.light_changed",
            Self::TrackStarted { .. } => "track.started",
            Self::TrackUpdated { .. } => "track.updated",
            Self::TrackEnded(_) => "track.ended",
            Self::TrackStopped { .. } => "track.stopped",
            Self::TrackMoved { .. } => "track.moved",
            Self::TrackWrongWay { .. } => "track.wrong_way",
            Self::ObjectAbandoned { .. } => "object.abandoned",
            Self::ObjectRemoved { .. } => "object.removed",
            Self::ZoneEntered { .. } => "zone.entered",
            Self::ZoneLeft { .. } => "zone.left",
            Self::ZoneDwelled { .. } => "zone.dwelled",
            Self::ZoneCrowded { .. } => "zone.crowded",
            Self::ZoneCleared { .. } => "zone.cleared",
            Self::LineCrossed { .. } => "line.crossed",
            Self::Counts(_) => "counts",
        }
    }

    /// The track it is about, if it is about one.
    pub const fn seen(&self) -> Option<&TrackSeen> {
        match self {
            Self::TrackStarted { seen, .. }
            | Self::TrackUpdated { seen }
            | Self::TrackStopped { seen, .. }
            | Self::TrackMoved { seen, .. }
            | Self::TrackWrongWay { seen, .. }
            | Self::ObjectAbandoned { seen, .. }
            | Self::ObjectRemoved { seen, .. }
            | Self::ZoneEntered { seen, .. }
            | Self::ZoneLeft { seen, .. }
            | Self::ZoneDwelled { seen, .. }
            | Self::LineCrossed { seen, .. } => Some(seen),
            Self::TrackEnded(ended) => Some(&ended.last),
            _ => None,
        }
    }

    /// The zone it is about, if it is about one.
    pub fn zone(&self) -> Option<&str> {
        match self {
            Self::ZoneEntered { zone, .. }
            | Self::ZoneLeft { zone, .. }
            | Self::ZoneDwelled { zone, .. }
            | Self::ZoneCrowded { zone, .. }
            | Self::ZoneCleared { zone, .. }
            | Self::TrackWrongWay { zone, .. }
            | Self::ObjectRemoved { zone, .. } => Some(zone),
            _ => None,
        }
    }

    /// The line it is about, if it is about one.
    pub fn line(&self) -> Option<&str> {
        match self {
            Self::LineCrossed { line, .. } => Some(line),
            _ => None,
        }
    }
}

/// Whether `kind` is what `wanted` asks for: the same, or one of the many that `subject.*` stands for.
pub fn kind_matches(kind: &str, wanted: &str) -> bool {
    match wanted.strip_suffix(".*") {
        Some(subject) => kind.strip_prefix(subject).is_some_and(|rest| rest.starts_with('.')),
        None => wanted == kind,
    }
}

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
