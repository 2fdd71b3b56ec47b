//! Every number the trackers can be set to.

use std::time::Duration;

/// Which tracker follows the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ours: what measures best.
    Eyeline,
    /// Zhang et al. 2022.
    ByteTrack,
    /// Cao et al. 2023.
    OcSort,
    /// Bewley et al. 2016.
    Sort,
}

/// Settings a user may reach from YAML.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackSettings {
    /// Which tracker.
    pub algorithm: Algorithm,
    /// Detections from this score up may match in the first stage, 0..=1.
    pub high_score: f32,
    /// Detections from this score up may begin a track, 0..=1.
    pub new_track_score: f32,
    /// How long a track may go unseen before it is removed.
    pub max_lost: Duration,
}
