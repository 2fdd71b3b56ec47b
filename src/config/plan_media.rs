//! Which pictures are kept, after every check.

use std::time::Duration;

/// Pictures of what happened.
#[derive(Clone, Debug, PartialEq)]
pub struct MediaPlan {
    /// The best picture of each track.
    pub snapshots: bool,
    /// Types of events whose whole picture is kept; one that ends in `.*` stands for all that begin so.
    pub frames: Vec<String>,
    /// Clips of live streams.
    pub clips: ClipPlan,
    /// How long and how much.
    pub keep: KeepPlan,
    /// Who must not be recognised.
    pub privacy: PrivacyPlan,
}

impl MediaPlan {
    /// Whether nothing is kept.
    pub fn is_off(&self) -> bool {
        !self.snapshots && self.frames.is_empty() && self.clips.types.is_empty()
    }
}

/// Around which events of live streams clips are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipPlan {
    /// Types of events; one that ends in `.*` stands for all that begin so.
    pub types: Vec<String>,
    /// Time before the event.
    pub before: Duration,
    /// Time after it.
    pub after: Duration,
}

/// How long pictures are kept, and how many.
#[derive(Clone, Debug, PartialEq)]
pub struct KeepPlan {
    /// Older files are removed.
    pub max_age: Duration,
    /// Beyond so many bytes in all the oldest files are removed.
    pub max_bytes: u64,
}

/// Who must not be recognised in a picture that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct PrivacyPlan {
    /// How much of them is blurred.
    pub blur: Blur,
    /// Names of the classes that are protected.
    pub classes: Vec<String>,
    /// Names of the zones in which nobody is.
    pub open_zones: Vec<String>,
}

/// How much of a protected object is blurred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blur {
    /// Nothing.
    Nobody,
    /// The upper part of the box, where the head is.
    Heads,
    /// All of it; there is no picture of such a track.
    Whole,
}
