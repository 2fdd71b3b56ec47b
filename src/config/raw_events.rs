//! The events' part of a pipeline file: lines, where the log is and how much it keeps.

use super::raw::{Point, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Events and the log that keeps them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    /// File that keeps every event until each sink had it, an SQLite database; relative to the working directory. Without it
    /// events are only written to events.jsonl, and counts begin anew at each start.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1), extend("examples" = ["events.db"]))]
    pub log: Option<String>,
    /// Events older than this are discarded from the log.
    #[schemars(extend("x-duration" = ["1m", "87600h"]))]
    pub keep: Span,
    /// Most megabytes (1024 x 1024 bytes) the log takes on the disk; the oldest events are discarded beyond.
    #[schemars(range(min = 32, max = 1_048_576))]
    pub max_megabytes: u32,
    /// A track.updated for each track at most this often; 0s tells of beginnings and ends only.
    #[schemars(extend("x-duration" = ["0s", "1h"]))]
    pub updates: Span,
    /// What was counted at zones and lines is told this often; 0s never tells it.
    #[schemars(extend("x-duration" = ["0s", "24h"]))]
    pub counts: Span,
    /// The point of a box that zones and lines look at.
    pub anchor: Anchor,
}

/// A point of a box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Anchor {
    /// Middle of the lower edge.
    #[default]
    #[serde(rename = "bottom")]
    Bottom,
    /// The middle.
    #[serde(rename = "center")]
    Center,
    /// Middle of the upper edge.
    #[serde(rename = "top")]
    Top,
}

/// A named line in the picture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "line", extend("required" = ["name", "points"]))]
pub struct Line {
    /// Unique within the stream.
    #[schemars(length(min = 1, max = 200), extend("examples" = ["kerb"]))]
    pub name: String,
    /// Where it begins and ends. Who looks from the first point to the second has out on the left and in on the right.
    #[schemars(length(min = 2, max = 2), extend("examples" = [[[0.1, 0.7], [0.9, 0.7]]]))]
    pub points: Vec<Point>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            log: None,
            keep: Span::from("168h"),
            max_megabytes: 1024,
            updates: Span::from("0s"),
            counts: Span::from("1m"),
            anchor: Anchor::Bottom,
        }
    }
}
