//! What a stream's analysis is to do and where it goes on.

use super::{area::AreaRule, ground::Ground, left::ObjectRule, line::LineRule};
use crate::{
    config::plan::StreamPlan,
    event::{ModelRef, state::Totals},
    track::Track,
};
use std::{sync::Arc, time::Duration};

/// A track is in a zone, out of it, or moves on, once its anchor point has for this long: a box that trembles at the edge
/// does not come and go. Long against a detector's jitter, short against a step. Empirical.
pub const SETTLE: Duration = Duration::from_millis(200);

/// Times of frames are rounded: a track that has been somewhere for this much less than asked for, seconds, has been there
/// long enough.
pub(super) const ROUNDING: f64 = 0.0005;

/// Frames in a row a track must be seen beyond a line before it has crossed: a box that trembles on the line has not.
/// Empirical; a walker is seen far longer.
pub const CONFIRM_FRAMES: u32 = 3;

/// What a stream's analysis is to do and where it goes on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnalysisSettings {
    /// Stream name of the plan.
    pub stream: String,
    /// Name of the deployment, before every id.
    pub site: Option<String>,
    /// Class names of the detector.
    pub classes: Arc<[String]>,
    /// Whether its events have a wall-clock time: a recording's have none.
    pub is_live: bool,
    /// The networks, told when the stream starts.
    pub models: Vec<ModelRef>,
    /// Zones.
    pub areas: Vec<AreaRule>,
    /// Lines.
    pub lines: Vec<LineRule>,
    /// From the picture to metres, where speed is wanted.
    pub ground: Option<Ground>,
    /// What holds for all streams.
    pub rules: Rules,
    /// Sequence number of the first event.
    pub first_sequence: u64,
    /// What was counted before.
    pub totals: Totals,
}

/// What is told of the tracks of all streams.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Which point of a box stands for it.
    pub anchor: Anchor,
    /// How long a track must be on the other side of an edge.
    pub settle: Duration,
    /// In how many frames in a row it must be seen beyond a line.
    pub confirm_frames: u32,
    /// When a `track.updated` is told; never for `None`.
    pub updates: Option<Updates>,
    /// A `counts` this often, where there are zones or lines; none for `None`.
    pub counts: Option<Duration>,
    /// Tracks that stand this long are told of; none for `None`.
    pub stopped: Option<Duration>,
    /// Objects that are left alone.
    pub abandoned: Option<ObjectRule>,
}

/// When a track on its way is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Updates {
    /// The least time between two events of one track.
    pub interval: Duration,
    /// What gives rise to one.
    pub cause: UpdateCause,
}

/// What gives rise to a `track.updated`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateCause {
    /// That the interval is over.
    Time,
    /// That the track is not what was last told of it: other zones, another class, it stands or goes on, it is elsewhere
    /// (`MOVED`) or of another size (`GROWN`).
    Change,
}

/// The middle of a box has moved by this share of its diagonal: a step of a walker, far more than a box trembles. Empirical.
pub(super) const MOVED: f32 = 0.25;

/// The diagonal of a box is longer or shorter by this factor. Empirical, as `MOVED`.
pub(super) const GROWN: f32 = 1.25;

/// The point of a box that stands for the object: for zones, lines, motion and speed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anchor {
    /// Middle of the lower edge: where a person stands.
    #[default]
    Bottom,
    /// The middle: for a camera that looks straight down.
    Center,
    /// Middle of the upper edge: where lower parts are often hidden.
    Top,
}

impl AnalysisSettings {
    /// What a stream's plan says of it; everything else at its default.
    pub fn of(plan: &StreamPlan) -> Self {
        Self {
            stream: plan.name.clone(),
            is_live: plan.live.is_some(),
            areas: plan.zones.iter().map(AreaRule::from).collect(),
            lines: plan.lines.iter().map(LineRule::from).collect(),
            ground: plan.ground.clone(),
            ..Self::default()
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            anchor: Anchor::default(),
            settle: SETTLE,
            confirm_frames: CONFIRM_FRAMES,
            updates: None,
            counts: None,
            stopped: None,
            abandoned: None,
        }
    }
}

impl Anchor {
    /// The anchor of a track's box, source pixels.
    pub fn of(self, track: &Track) -> [f32; 2] {
        let bbox = &track.bbox;
        let y = match self {
            Self::Bottom => bbox.bottom,
            Self::Center => (bbox.top + bbox.bottom) / 2.0,
            Self::Top => bbox.top,
        };
        [(bbox.left + bbox.right) / 2.0, y]
    }
}
