//! What a run means, after every check: no strings left to interpret, no defaults left to fill in.

pub use super::{
    plan_events::{EventsPlan, LinePlan, LogPlan, ZonePlan, ZonePoint},
    raw_camera::Transport,
    secret::Secret,
};
use super::{plan_media::MediaPlan, plan_sinks::SinksPlan, schedule::Schedule};
use crate::{
    analyze::ground::Ground,
    detect::{
        nms::{Overlapped, Scope},
        watch::WatchSettings,
    },
    embed::worth::WorthSettings,
    geometry::BBox,
    preprocess::{camera_motion::CameraMotion, tiles::TileGrid},
    source::address::Address,
    track::settings::TrackSettings,
};
use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

/// A whole run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// One entry a stream, in the order of `StreamId`.
    pub streams: Vec<StreamPlan>,
    /// Detector.
    pub detect: DetectPlan,
    /// Embedder; `None` tracks by motion alone.
    pub embed: Option<EmbedPlan>,
    /// How streams are looked at that say nothing of it themselves.
    pub watch: WatchSettings,
    /// Tracker.
    pub track: TrackSettings,
    /// Whether the camera's motion is measured.
    pub camera_motion: CameraMotion,
    /// What is told of tracks, and what keeps it.
    pub events: EventsPlan,
    /// Files written for each stream.
    pub output: OutputPlan,
    /// Pictures and clips that are kept.
    pub media: MediaPlan,
    /// Where events are delivered to.
    pub sinks: SinksPlan,
    /// Interfaces for operators; `None` where nothing is to listen.
    pub api: Option<ApiPlan>,
    /// Threads, device and precision.
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
    /// Video file; empty where the stream is a camera.
    pub file: PathBuf,
    /// How many times the file is played, as one stream.
    pub repeat: u32,
    /// How a live stream is played; `None` for a recording.
    pub live: Option<LivePlan>,
    /// Which detections count.
    pub filter: FilterPlan,
    /// Zones drawn on the overlay.
    pub zones: Vec<ZonePlan>,
    /// Lines at which crossings are counted.
    pub lines: Vec<LinePlan>,
    /// From the picture to metres, where speed is wanted.
    pub ground: Option<Ground>,
    /// How it is looked at.
    pub watch: WatchSettings,
}

impl StreamPlan {
    /// A recording with every setting at its default.
    pub fn recording(name: &str, file: impl Into<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            file: file.into(),
            repeat: 1,
            live: None,
            filter: FilterPlan::default(),
            zones: Vec::new(),
            lines: Vec::new(),
            ground: None,
            watch: WatchSettings::default(),
        }
    }

    /// Where its frames come from, without credentials.
    pub fn address(&self) -> String {
        let camera = self.live.as_ref().and_then(|live| live.camera.as_ref());
        camera.map_or_else(|| self.file.display().to_string(), |camera| camera.address.to_string())
    }
}

/// Which detections of one stream count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FilterPlan {
    /// Class names to keep; empty keeps all.
    pub classes: Vec<String>,
    /// Detections below are dropped, 0..=1.
    pub min_score: f32,
}

/// How a live stream is played.
#[derive(Clone, Debug, PartialEq)]
pub struct LivePlan {
    /// The camera; `None` plays the stream's file over and over at its own speed.
    pub camera: Option<CameraPlan>,
    /// Whether it is connected from the start.
    pub enabled: bool,
    /// Most frames a second that are looked at.
    pub max_fps: Option<f64>,
    /// Weight of its share of the frames under overload, >= 1.
    pub priority: u32,
    /// When it is connected.
    pub schedule: Schedule,
    /// How long the first frame may take before a connection is given up.
    pub connect_timeout: Duration,
    /// How long frames may stay away before a connection is given up; `None` follows the frame rate.
    pub stall_timeout: Option<Duration>,
    /// Longest pause between two attempts to connect.
    pub max_backoff: Duration,
}

/// How a camera is reached.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraPlan {
    /// Where it is; may hold a login of its own.
    pub address: Address,
    /// User to log in with; empty for none.
    pub user: String,
    /// Password to log in with.
    pub password: Option<Secret>,
    /// What RTSP carries the video in.
    pub transport: Transport,
    /// How long RTSP packets may wait for earlier ones.
    pub jitter: Duration,
    /// How a certificate is checked.
    pub trust: Trust,
}

/// Which certificates of rtsps:// and https:// are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those that the system's authorities vouch for.
    System,
    /// Those that the authorities in this file (PEM) vouch for.
    File(PathBuf),
    /// All: whoever stands between can look and change.
    Anything,
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
    /// What becomes of a box that a better one overlaps.
    pub overlapped: Overlapped,
    /// At most this many detections of a frame stay, the best ones.
    pub max_detections: usize,
    /// Most frames in one batch, >= 1.
    pub max_batch: usize,
    /// Tiles that each picture is cut into; one tile: none.
    pub tiles: TileGrid,
    /// More detectors that see the same frames.
    pub also: Vec<String>,
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
    /// Which detections are embedded.
    pub worth: WorthSettings,
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

/// Where networks shall run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// On a GPU if there is one.
    #[default]
    Auto,
    /// On the processor.
    Cpu,
    /// On the GPU with this number.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    /// `auto`, `cpu`, `cuda` (the first GPU) or `cuda:N`.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = text
            .strip_prefix("cuda")
            .map(|rest| rest.strip_prefix(':').unwrap_or(if rest.is_empty() { "0" } else { "" }));
        match (text, number.map(str::parse)) {
            ("auto", _) => Ok(Self::Auto),
            ("cpu", _) => Ok(Self::Cpu),
            (_, Some(Ok(number))) => Ok(Self::Cuda(number)),
            _ => Err(format!("device {text:?}, expected auto, cpu, cuda or cuda:N")),
        }
    }
}

/// In which floats networks shall compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrecisionChoice {
    /// Whatever the device does fast at no loss worth mentioning.
    #[default]
    Auto,
    /// 32-bit floats.
    Fp32,
    /// Brain floats.
    Bf16,
    /// Half floats.
    Fp16,
    /// Bytes, calibrated.
    Int8,
}

impl FromStr for PrecisionChoice {
    type Err = String;

    /// `auto`, `fp32`, `bf16`, `fp16` or `int8`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "fp32" => Ok(Self::Fp32),
            "bf16" => Ok(Self::Bf16),
            "fp16" => Ok(Self::Fp16),
            "int8" => Ok(Self::Int8),
            _ => Err(format!("precision {text:?}, expected auto, fp32, bf16, fp16 or int8")),
        }
    }
}

/// Threads and device.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimePlan {
    /// libtorch's intra-op threads, >= 1.
    pub threads: usize,
    /// Where networks run.
    pub device: DeviceChoice,
    /// In which floats they compute.
    pub precision: PrecisionChoice,
    /// How long a live stream's frame may wait for those of others.
    pub max_wait: Duration,
    /// How long an orderly shutdown may take before the process gives up.
    pub shutdown: Duration,
}

/// The picture area a track's box is anchored at for zones: the middle of the lower edge, where feet and wheels are.
pub fn anchor_point(bbox: &BBox) -> (f32, f32) {
    ((bbox.left + bbox.right) / 2.0, bbox.bottom)
}
