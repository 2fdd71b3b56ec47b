//! The events' part of a pipeline file: zones, lines, where the log is and how much it keeps.

use super::raw::{Point, Span};
use crate::analyze::CONFIRM_FRAMES;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Events and the log that keeps them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    /// File that keeps every event until each sink had it, an SQLite database; relative to the working directory. Counts and
    /// track ids go on from it at the next start. Empty: events.sqlite in output.dir, where there are sinks, live streams or
    /// an API; recordings alone keep no log then.
    pub log: String,
    /// Name of this deployment: it stands before the id of every event, SITE/STREAM/NUMBER, and in the source of a
    /// CloudEvent, so that events of deployments that send to one place are told apart though their streams have the same
    /// names. Empty: none.
    #[schemars(length(max = 100), extend("pattern" = r"^[A-Za-z0-9._-]*$"))]
    pub site: String,
    /// Events older than this are discarded from the log.
    #[schemars(extend("x-duration" = ["1m", "87600h"]))]
    pub keep: Span,
    /// Most megabytes (1024 x 1024 bytes) the log takes on the disk; the oldest events are discarded beyond.
    #[schemars(range(min = 32, max = 1_048_576))]
    pub max_megabytes: u32,
    /// A track.updated for each track at most this often; 0s tells of beginnings and ends only.
    #[schemars(extend("x-duration" = ["0s", "1h"]))]
    pub updates: Span,
    /// What gives rise to a track.updated, with updates: that so much time has passed, or that something has changed since
    /// the last: its zones, its class, that it stands (see stopped), where it is (by a quarter of its box's diagonal), its size.
    pub update_on: UpdateOn,
    /// What was counted at zones and lines is told this often; 0s never tells it.
    #[schemars(extend("x-duration" = ["0s", "24h"]))]
    pub counts: Span,
    /// The point of a box that zones, lines, standing and speed look at.
    pub anchor: Anchor,
    /// A track is in a zone, out of it, or moves on, once it has been there for this long: boxes tremble.
    #[schemars(extend("x-duration" = ["0s", "1m"]))]
    pub settle: Span,
    /// A track has crossed a line once it was seen beyond it in this many frames in a row.
    #[schemars(range(min = 1, max = 1000))]
    pub confirm_frames: u32,
    /// Tell of tracks that stand this long (track.stopped) and when they move on (track.moved); 0s never.
    #[schemars(extend("x-duration" = ["0s", "24h"]))]
    pub stopped: Span,
    /// Objects to tell of when they stand with nobody near (object.abandoned). People are of the class person.
    pub abandoned: Objects,
}

/// What gives rise to a track.updated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpdateOn {
    /// Time.
    #[default]
    Time,
    /// A change.
    Change,
}

/// Objects and a patience.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Objects {
    /// Their classes, by name, such as suitcase; an empty list: none.
    #[schemars(length(max = 1024), inner(length(min = 1)))]
    pub classes: Vec<String>,
    /// How long they must have stood.
    #[schemars(extend("x-duration" = ["1s", "24h"]))]
    pub after: Span,
}

impl Default for Objects {
    fn default() -> Self {
        Self { classes: Vec::new(), after: Span::from("1m") }
    }
}

/// A point of a box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// Middle of the lower edge.
    #[default]
    Bottom,
    /// The middle.
    Center,
    /// Middle of the upper edge.
    Top,
}

/// A named area of the picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "zone", extend("required" = ["name", "polygon"]))]
pub struct Zone {
    /// Unique within the stream.
    #[schemars(length(min = 1, max = 200), extend("examples" = ["doorway"]))]
    pub name: String,
    /// Corners in order, as shares of the picture's width and height. The last joins the first by itself; edges must
    /// not cross.
    #[schemars(length(min = 3, max = 256), extend("examples" = [[[0.1, 0.6], [0.5, 0.5], [0.9, 0.6], [0.9, 0.95], [0.1, 0.95]]]))]
    pub polygon: Vec<Point>,
    /// Tell of a track that stays this long (zone.dwelled).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Span", extend("x-duration" = ["1s", "24h"], "examples" = ["30s"]))]
    pub dwell: Option<Span>,
    /// Tell when more tracks than this are in it (zone.crowded).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 0, max = 10_000), extend("examples" = [10]))]
    pub max_occupancy: Option<u32>,
    /// The way tracks should go here, degrees clockwise from up in the picture; others are told of (track.wrong_way).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "f64", range(min = 0.0, max = 360.0), extend("examples" = [90.0]))]
    pub heading: Option<f64>,
    /// With heading: ways that differ by more than this are wrong, degrees.
    #[schemars(range(min = 1.0, max = 179.0))]
    pub heading_tolerance: f64,
    /// Objects that belong here: tell when one that stood is there no more (object.removed).
    pub removed: Objects,
}

impl Default for Zone {
    fn default() -> Self {
        Self {
            name: String::new(),
            polygon: Vec::new(),
            dwell: None,
            max_occupancy: None,
            heading: None,
            heading_tolerance: 90.0,
            removed: Objects::default(),
        }
    }
}

/// From the picture to metres: the corners of an area on the ground and the real lengths of its edges, or a homography.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "ground")]
pub struct Ground {
    /// Four points of the ground in order around an area, best a rectangle and large in the picture:
    /// [[0.4, 0.4], [0.6, 0.4], [0.9, 0.9], [0.1, 0.9]].
    #[schemars(length(max = 4))]
    pub corners: Vec<Point>,
    /// Metres from the first corner to the second, from the second to the third, and so on around: [4, 10, 4, 10].
    #[schemars(length(max = 4), inner(range(min = 0.01, max = 100_000.0)))]
    pub edges_m: Vec<f64>,
    /// Rows of a homography H: metres = H (x, y, 1), x and y as shares of the picture's width and height.
    #[schemars(length(max = 3))]
    pub homography: Vec<[f64; 3]>,
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
            log: String::new(),
            site: String::new(),
            keep: Span::from("168h"),
            max_megabytes: 1024,
            updates: Span::from("0s"),
            update_on: UpdateOn::Time,
            counts: Span::from("1m"),
            anchor: Anchor::Bottom,
            settle: Span::from("200ms"),
            confirm_frames: CONFIRM_FRAMES,
            stopped: Span::from("0s"),
            abandoned: Objects::default(),
        }
    }
}
