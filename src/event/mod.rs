//! What eyeline tells other systems. An event is complete in itself: whoever gets one needs no other to understand it.
//!
//! `kinds` lists what can happen, `parts` what is told of it, `state` follows a stream's events to what is open and counted after them, `log` keeps
//! them on disk until every sink had them, `payload` writes them for others. Knows neither pixels nor who reads.

mod kinds;
#[cfg(feature = "delivery")]
pub mod log;
mod parts;
pub mod payload;
pub mod state;
mod timestamp;

pub use kinds::{What, kind_matches};
pub use parts::{
    AreaCount, Counts, Direction, EventBox, LineCount, ModelRef, PathPoint, StreamEnd, TrackEnd, TrackEnded, TrackSeen,
};
pub use timestamp::{NoTimestamp, Timestamp};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that happened in one stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Stable and unique: `<stream>/<sequence>`, behind `<site>/` where `events.site` names one. Consumers drop repeats by it.
    pub id: String,
    /// Stream name of the plan.
    pub stream: String,
    /// Position among the events of its stream, from 0 without gaps. A gap is an event that could not be kept.
    pub sequence: u64,
    /// Frame it happened in, from 0.
    pub frame: u64,
    /// Media time, seconds.
    pub time_seconds: f64,
    /// Wall-clock time of capture; absent where a recording does not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured_at: Option<Timestamp>,
    /// What the time comes from.
    #[serde(default, skip_serializing_if = "Clock::is_file")]
    pub clock: Clock,
    /// Files that show it, where some are kept.
    #[serde(default, skip_serializing_if = "Files::is_none")]
    pub files: Files,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// Files that show an event, below the output folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Files {
    /// The whole picture it happened in, JPEG.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<String>,
    /// What was seen around it, video; there once that time has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<String>,
}

impl Files {
    const fn is_none(&self) -> bool {
        self.frame.is_none() && self.clip.is_none()
    }
}

impl Event {
    /// The id of event `sequence` of `stream`.
    pub fn id_of(stream: &str, sequence: u64) -> String {
        format!("{stream}/{sequence}")
    }

    /// The same at a deployment that has a name.
    pub fn id_at(site: Option<&str>, stream: &str, sequence: u64) -> String {
        let id = Self::id_of(stream, sequence);
        match site {
            Some(site) => format!("{site}/{id}"),
            None => id,
        }
    }

    /// The deployment its id names.
    pub fn site(&self) -> Option<&str> {
        self.id.strip_suffix(&Self::id_of(&self.stream, self.sequence))?.strip_suffix('/')
    }

    /// Name of what happened: `track.started`.
    pub const fn kind(&self) -> &'static str {
        self.what.kind()
    }
}

/// Where the time of an event comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The timestamps of a recording.
    #[default]
    File,
    /// When the frame arrived here.
    Arrival,
    /// The camera's own clock, by RTCP sender reports.
    Rtcp,
}

impl Clock {
    const fn is_file(&self) -> bool {
        matches!(self, Self::File)
    }
}

/// Takes events in for keeps, in order. The event log; a vector in tests.
pub trait Keep: Send {
    /// Takes `events` in. Returns soon whatever happens: what cannot be kept is counted by the keeper.
    fn keep(&mut self, events: &[Event]);
}

impl Keep for Vec<Event> {
    fn keep(&mut self, events: &[Event]) {
        self.extend_from_slice(events);
    }
}
