//! The kinds of event and what each tells. Every kind is serialized under its name, `<subject>.<what>`, as `type`.

use super::parts::{Counts, Direction, ModelRef, StreamEnd, TrackEnded, TrackSeen};
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
