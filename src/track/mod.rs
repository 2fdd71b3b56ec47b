//! Gives detections a lasting identity. Pure: media time, boxes and embeddings in, tracks out.
//!
//! `build` makes the tracker the settings ask for. `eyeline` (`tracker`, with its `rounds` of association and the `life` of
//! its tracks) is the default; `sort`, `bytetrack` and `ocsort` are references to compare with. `replay` runs a tracker over
//! a recording, `refine` makes more of its tracks once the whole recording was seen. Knows neither pixels nor models.
//!
//! ```
//! use eyeline::{
//!     detect::{ClassId, Detection},
//!     geometry::BBox,
//!     time::MediaTime,
//!     track::{Observations, TrackIds, build, settings::TrackSettings},
//! };
//!
//! let mut tracker = build(&TrackSettings::default(), 25.0, TrackIds::default());
//! let mut tracks = Vec::new();
//! for frame in 0..10 {
//!     let bbox = BBox::from_tlwh(100.0 + 3.0 * frame as f32, 50.0, 40.0, 100.0);
//!     let detections = [Detection { bbox, class: ClassId(0), score: 0.9 }];
//!     let at = MediaTime::from_secs_f64(f64::from(frame) / 25.0);
//!     // No embeddings and a camera that stands still: identity by motion alone.
//!     tracker.update(&Observations { at, detections: &detections, embeddings: &[], camera: None }, &mut tracks);
//! }
//! assert_eq!(tracks.len(), 1);
//! assert_eq!((tracks[0].id.0, tracks[0].detection, tracks[0].shown), (1, Some(0), true));
//! ```

mod appearance;
mod area_filter;
pub mod assignment;
pub mod bridge;
mod bytetrack;
mod camera_motion;
mod clock;
mod cost;
mod ended;
mod gallery;
mod input;
pub mod kalman;
mod life;
mod motion;
mod ocsort;
mod record;
pub mod refine;
pub mod replay;
mod rounds;
pub mod settings;
mod sort;
mod tracker;
mod tracklet;

use self::settings::{Algorithm, TrackSettings};
use crate::{
    detect::{ClassId, Detection},
    embed::Embedding,
    geometry::BBox,
    time::MediaTime,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Identity of an object, never used twice by one `TrackIds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackId(pub u64);

/// Hands out track ids from 1; clones share the counter, so that several streams never use one id twice.
#[derive(Clone, Debug, Default)]
pub struct TrackIds(Arc<AtomicU64>);

impl TrackIds {
    /// Ids from `first`, at least 1: an earlier run may have told of those before.
    pub fn starting_at(first: u64) -> Self {
        Self(Arc::new(AtomicU64::new(first.max(1) - 1)))
    }

    /// The next unused id.
    pub fn next_id(&self) -> TrackId {
        TrackId(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// Where a track is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrackState {
    /// Seen, not yet often enough to be believed. Never leaves the tracker.
    Tentative,
    /// Believed and seen in this frame.
    Confirmed,
    /// Believed but not seen in this frame; its box is a prediction.
    Lost,
    /// Gone for good: reported once, then forgotten.
    Removed,
}

/// One track after one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Track {
    /// Identity.
    pub id: TrackId,
    /// `Confirmed`, `Lost` or `Removed`.
    pub state: TrackState,
    /// Where, source pixels: seen for `Confirmed`, predicted for `Lost`, last seen for `Removed`.
    pub bbox: BBox,
    /// What, by the score-weighted vote of its detections.
    pub class: ClassId,
    /// Score of the last detection that fed it.
    pub score: f32,
    /// Index of that detection in this frame's list, where there is one.
    pub detection: Option<usize>,
    /// When its first detection was seen.
    pub first_seen: MediaTime,
    /// When its last detection was seen.
    pub last_seen: MediaTime,
    /// The ended track whose object this looks like; see `track.max_remembered`.
    pub reidentified_from: Option<TrackId>,
    /// Whether the box is worth drawing and writing: seen in this frame, or lost so recently that the prediction holds.
    pub shown: bool,
}

/// What a tracker gets to see of one frame. Empty frames are given too: time passes in them.
#[derive(Clone, Copy, Debug)]
pub struct Observations<'a> {
    /// Presentation time of the frame.
    pub at: MediaTime,
    /// Everything the detector found, low scores included.
    pub detections: &'a [Detection],
    /// Appearance of each detection in the same order, or empty where nothing was embedded.
    pub embeddings: &'a [Option<Embedding>],
    /// Camera motion from the previous frame to this one: x' = a·x + b·y + c, y' = d·x + e·y + f as [a, b, c, d, e, f].
    pub camera: Option<[f32; 6]>,
}

/// Follows the objects of one stream.
pub trait Tracker: Send {
    /// Takes one frame in; `out` is cleared, then filled with every confirmed and lost track and with those just removed,
    /// by ascending id.
    fn update(&mut self, seen: &Observations<'_>, out: &mut Vec<Track>);
    /// Begins a new epoch: motion of the old one is void, identities may be re-found by appearance.
    fn restart_motion(&mut self);
    /// Ends every track; `out` is cleared, then filled with those that were confirmed or lost, now removed.
    fn finish(&mut self, out: &mut Vec<Track>);
}

/// The tracker `settings` ask for, for one stream of `nominal_fps` (nonsense counts as 30 Hz) that draws from `ids`.
pub fn build(settings: &TrackSettings, nominal_fps: f64, ids: TrackIds) -> Box<dyn Tracker> {
    match settings.algorithm {
        Algorithm::Eyeline => Box::new(tracker::EyelineTracker::new(settings, nominal_fps, ids)),
        Algorithm::ByteTrack => Box::new(bytetrack::ByteTrack::new(settings, nominal_fps, ids)),
        Algorithm::OcSort => Box::new(ocsort::OcSort::new(settings, nominal_fps, ids)),
        Algorithm::Sort => Box::new(sort::Sort::new(settings, nominal_fps, ids)),
    }
}
