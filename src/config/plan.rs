//! What a run means, after every check: no strings left to interpret, no defaults left to fill in.

use crate::{
    analyze::Anchor, detect::nms::Scope, geometry::BBox, preprocess::camera_motion::CameraMotion,
    track::settings::TrackSettings,
};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// A whole run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// One entry a stream, in the order of `StreamId`.
    pub streams: Vec<StreamPlan>,
    /// Detector.
    pub detect: DetectPlan,
    /// Embedder; `None` tracks by motion alone.
    pub embed: Option<EmbedPlan>,
    /// Tracker.
    pub track: TrackSettings,
    /// Whether the camera's motion is measured.
    pub camera_motion: CameraMotion,
    /// Events and their log.
    pub events: EventsPlan,
    /// Files written for each stream.
    pub output: OutputPlan,
    /// Interfaces for operators; `None` where nothing is to listen.
    pub api: Option<ApiPlan>,
    /// Threads and device.
    pub runtime: RuntimePlan,
}

/// Interfaces for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiPlan {
    /// Where HTTP listens.
    pub listen: Option<SocketAddr>,
    /// The token that is asked for, if one is.
    pub token: Option<TokenFrom>,
    /// TLS, if wanted.
    pub tls: Option<TlsFiles>,
    /// Where RTSP listens.
    pub restream: Option<SocketAddr>,
}

/// Where a token is kept. It is read when it is needed and held by no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFrom {
    /// The variable `config::api::TOKEN_VARIABLE`.
    Variable,
    /// A file; line ends at its end do not belong to it.
    File(PathBuf),
}

/// Files of a TLS identity, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, its issuers behind it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// One stream.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamPlan {
    /// Unique name; also the folder its output goes to.
    pub name: String,
    /// Video file.
    pub file: PathBuf,
    /// How many times the file is played, as one stream.
    pub repeat: u32,
    /// Zones drawn on the overlay.
    pub zones: Vec<ZonePlan>,
    /// Lines at which crossings are counted.
    pub lines: Vec<LinePlan>,
}

/// A named polygon.
#[derive(Clone, Debug, PartialEq)]
pub struct ZonePlan {
    /// Unique within its stream.
    pub name: String,
    /// At least three corners.
    pub polygon: Vec<ZonePoint>,
    /// A track that stays this long is told of.
    pub dwell: Option<Duration>,
    /// More tracks than this are told of.
    pub max_occupancy: Option<u32>,
}

/// A named line.
#[derive(Clone, Debug, PartialEq)]
pub struct LinePlan {
    /// Unique within its stream.
    pub name: String,
    /// Where it begins.
    pub from: ZonePoint,
    /// Where it ends, elsewhere.
    pub to: ZonePoint,
}

/// Events and their log.
#[derive(Clone, Debug, PartialEq)]
pub struct EventsPlan {
    /// The log, if one is kept.
    pub log: Option<LogPlan>,
    /// Least time between two updates of a track; `None` sends none.
    pub updates: Option<Duration>,
    /// Time between two counts; `None` sends none.
    pub counts: Option<Duration>,
    /// Which point of a box stands for it.
    pub anchor: Anchor,
}

/// The log of events.
#[derive(Clone, Debug, PartialEq)]
pub struct LogPlan {
    /// Its file.
    pub path: PathBuf,
    /// Events older than this are discarded.
    pub keep: Duration,
    /// Most bytes on the disk.
    pub max_bytes: u64,
}

/// A corner of a zone, an end of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ZonePoint {
    /// Share of the picture's width, 0..=1.
    pub x_norm: f32,
    /// Share of the picture's height, 0..=1.
    pub y_norm: f32,
}

/// Detector settings.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectPlan {
    /// Zoo name or model file.
    pub model: String,
    /// Network input (square side, pixels, a multiple of 32); `None` takes the zoo entry's.
    pub input_px: Option<u32>,
    /// Class names to keep; empty keeps all.
    pub classes: Vec<String>,
    /// Detections below are dropped, 0..=1.
    pub min_score: f32,
    /// Classes with a least score of their own, by name.
    pub min_score_by_class: Vec<(String, f32)>,
    /// NMS keeps boxes of at most this IoU with a better one, 0..=1.
    pub max_iou: f32,
    /// Which boxes may suppress one another.
    pub suppress: Scope,
    /// At most this many detections of a frame stay, the best ones.
    pub max_detections: usize,
    /// Most frames in one batch, >= 1.
    pub max_batch: usize,
}

impl Default for DetectPlan {
    /// What a pipeline file without a word about detection means.
    fn default() -> Self {
        super::check::detect(&super::raw::Detect::default())
    }
}

/// Embedder settings.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbedPlan {
    /// Zoo name or model file.
    pub model: String,
    /// Classes with an embedder of their own, by name; `None` embeds none of them.
    pub by_class: Vec<(String, Option<String>)>,
    /// Only detections of at least this score are embedded, 0..=1.
    pub min_score: f32,
    /// Most crops in one batch, >= 1.
    pub max_batch: usize,
}

/// Output settings.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputPlan {
    /// Folder that gets one folder a stream.
    pub dir: PathBuf,
    /// Write `annotated.mp4`.
    pub video: bool,
    /// Write `detections.txt`.
    pub detections: bool,
    /// Refine tracks and video once the whole file was seen.
    pub refine: bool,
    /// How long a trail the overlay draws behind a track.
    pub trail: Duration,
}

/// Threads and device.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimePlan {
    /// libtorch's intra-op threads, >= 1.
    pub threads: usize,
    /// How long an orderly shutdown may take before the process gives up.
    pub shutdown: Duration,
}

/// The picture area a track's box is anchored at for zones: the middle of the lower edge, where feet and wheels are.
pub fn anchor_point(bbox: &BBox) -> (f32, f32) {
    ((bbox.left + bbox.right) / 2.0, bbox.bottom)
}
