//! What eyeline tells other systems. An event is complete in itself: whoever gets one needs no other to understand it.

use crate::{geometry::BBox, track::TrackId};
use serde::Serialize;

/// One thing that happened in one stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Stable and unique: `<stream>/<sequence>`. Consumers drop repeats by it.
    pub id: String,
    /// Stream name of the plan.
    pub stream: String,
    /// Position among the events of its stream, from 0 without gaps.
    pub sequence: u64,
    /// Frame it happened in, from 0.
    pub frame: u64,
    /// Media time, seconds.
    pub time_seconds: f64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// The kinds of event, named `<subject>.<what>`.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    },
    /// The stream ended; every track was ended before.
    #[serde(rename = "stream.ended")]
    StreamEnded {
        /// Frames it gave.
        frames: u64,
        /// `end_of_stream`, `interrupted` or `failed`.
        reason: &'static str,
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
    TrackStarted(TrackSeen),
    /// A track is gone for good. Sent once, never followed by anything of this track.
    #[serde(rename = "track.ended")]
    TrackEnded {
        /// Where it was last seen.
        #[serde(flatten)]
        last: TrackSeen,
        /// Media time of its first and last detection, seconds.
        first_seen_seconds: f64,
        /// See `first_seen_seconds`.
        last_seen_seconds: f64,
        /// Seconds from first to last detection.
        duration_seconds: f64,
        /// Frames in which it was seen.
        detections: u64,
        /// Best detection score it had.
        top_score: f32,
    },
}

/// A track as an event tells it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrackSeen {
    /// Identity.
    pub track: u64,
    /// Class name.
    pub class: String,
    /// Detection score.
    pub score: f32,
    /// Where, source pixels, rounded to 0.01.
    pub bbox: EventBox,
}

/// A box as an event tells it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub struct EventBox {
    /// Left edge, pixels.
    pub left: f32,
    /// Upper edge, pixels.
    pub top: f32,
    /// Width, pixels.
    pub width: f32,
    /// Height, pixels.
    pub height: f32,
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
