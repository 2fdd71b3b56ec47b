//! What a pipeline file says, key by key: the one place that names every key with its range, default and meaning.
//!
//! The JSON Schema is derived from these types, `conform` holds every value against that schema, and serde fills the
//! types from what passed. So a new key is one field here and one line in `check`. Every field has a default, keys that
//! must be written included: `conform` has then reported them, and `check` goes on with the rest.

pub use super::raw_events::{Events, Ground, Line, Zone};
use super::{
    raw_api::Api,
    raw_camera::Camera,
    raw_look::{Light, Preprocess, RegionOfInterest},
    raw_media::Media,
    raw_runtime::Runtime,
    raw_sinks::Sinks,
    raw_track::Track,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// A pipeline: which streams to watch, how to find and follow objects in them, what to write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["version", "streams"]))]
pub struct Raw {
    /// Version of this file's format.
    #[schemars(extend("const" = 1))]
    pub version: u32,
    /// What to watch.
    #[schemars(length(min = 1, max = 1024))]
    pub streams: Vec<Stream>,
    /// What happens to a picture before a network sees it.
    pub preprocess: Preprocess,
    /// How objects are found.
    pub detect: Detect,
    /// How appearance is described, or none to track by motion alone.
    pub embed: Embed,
    /// How objects are followed. Each algorithm has defaults of its own; those given here are eyeline's.
    pub track: Track,
    /// What is told of tracks, zones and lines, and what keeps it.
    pub events: Events,
    /// What is written.
    pub output: Output,
    /// Pictures and clips of what happened, kept as files beside the events, which name them. Nothing is kept unless it is
    /// asked for.
    pub media: Media,
    /// Where events are delivered to. Each sink follows the event log with a position of its own, so that one that is
    /// down gets everything later and holds nobody up.
    pub sinks: Sinks,
    /// HTTP interface, its page, and RTSP restreaming.
    pub api: Api,
    /// Threads, device, precision and shutdown.
    pub runtime: Runtime,
}

/// One stream, or one for each video when `file` names a folder or a glob.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "stream")]
pub struct Stream {
    /// Name of the stream and of its output folder. Default: the file's name without its extension, or the camera's host
    /// and path. Where `file` gives several videos, they are called NAME-STEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 200),
        extend("pattern" = r"^[^/\\]*[^./\\][^/\\]*$", "examples" = ["recording"])
    )]
    pub name: Option<String>,
    /// Video file, folder of videos or glob such as recordings/*.mp4; relative to the working directory.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(min = 1), extend("examples" = ["recording.mp4"]))]
    pub file: String,
    /// Address of a camera in place of `file`: rtsp://, rtsps://, http:// or https:// (MJPEG, HLS), or a device such as
    /// /dev/video0. User and password belong under `camera`.
    pub url: Address,
    /// How many times the file is played, one after the other as one stream.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub repeat: u32,
    /// Play the file over and over at its own speed, as a camera would, dropping frames where it must.
    pub live: bool,
    /// Whether a live stream is connected from the start; it can be switched on later.
    pub enabled: bool,
    /// Most frames a second that are looked at of a live stream; 0 is all.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub max_fps: f64,
    /// Share of the frames a live stream gets when there are more than can be worked on: twice the number, twice the
    /// frames.
    #[schemars(range(min = 1, max = 100))]
    pub priority: u32,
    /// When a live stream is connected, local time, such as "08:00-18:00" or "mon-fri 22:00-06:00"; an empty list is
    /// always.
    #[schemars(length(max = 64), inner(length(min = 1)))]
    pub active: Vec<String>,
    /// Classes to report of this stream, by name, out of those in `detect.classes`; an empty list reports all of them.
    #[schemars(length(max = 1024), inner(length(min = 1)))]
    pub classes: Vec<String>,
    /// Least score of a detection in this stream, where it is higher than `detect.min_score`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_score: f64,
    /// How a camera is reached.
    pub camera: Camera,
    /// Named areas of the picture, drawn on the overlay.
    #[schemars(length(max = 64))]
    pub zones: Vec<Zone>,
    /// Directed lines at which crossings are counted.
    #[schemars(length(max = 64))]
    pub lines: Vec<Line>,
    /// From the picture to metres on flat ground: tracks are told with their speed. Empty lists: no speed.
    pub ground: Ground,
    /// Polygons outside of which nothing is detected, each a list of corners as in zones; none: the whole picture counts.
    #[schemars(length(max = 64))]
    pub regions: Vec<RegionOfInterest>,
    /// Show the detector only the rectangle around the regions: what is in there is seen larger.
    pub crop_to_regions: bool,
    /// In place of preprocess.light, for this stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Light", extend("examples" = ["auto"]))]
    pub light: Option<Light>,
}

/// A camera's address as written. It may hold a password, so `Debug` shows it as messages do.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("writeOnly" = true))]
pub struct Address(pub String);

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match crate::source::address::Address::parse(&self.0) {
            Ok(address) => write!(f, "{address}"),
            Err(_) => f.write_str(if self.0.is_empty() { "none" } else { "***" }),
        }
    }
}

/// A point of the picture: [x, y] as shares of its width and height.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "point")]
pub struct Point(#[schemars(inner(range(min = 0.0, max = 1.0)))] pub [f64; 2]);

/// Detector settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Detect {
    /// Name of a model in models/zoo.yml, or a model file.
    #[schemars(length(min = 1))]
    pub model: String,
    /// Side of the network's square input in pixels. Larger finds smaller objects and costs more; auto is what the
    /// model was trained for.
    pub input_px: InputPx,
    /// Classes to report, by name; an empty list reports all.
    #[schemars(length(max = 1024), inner(length(min = 1)))]
    pub classes: Vec<String>,
    /// Least score of a detection. Rather low: the tracker makes use of doubtful ones and sorts them out.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_score: f64,
    /// Least score of some classes, by name, in place of min_score.
    #[schemars(inner(range(min = 0.0, max = 1.0)), extend("examples" = [{ "person": 0.25 }]))]
    pub min_score_by_class: BTreeMap<String, f64>,
    /// Non-maximum suppression: of two boxes that overlap by more (IoU), the better one stays. Networks that report each
    /// object once by themselves are left as they are.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_iou: f64,
    /// Whether boxes suppress those of their own class only, or those of any: for detectors that call one thing by two
    /// names.
    pub suppress: Suppress,
    /// Soft-NMS: rather than going, the worse of two boxes loses score by how much they overlap, and goes when it has less
    /// than min_score. Finds more in a crowd, and some things twice.
    pub soft_nms: SoftNms,
    /// Most detections of one frame; the best stay.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_detections: u32,
    /// Most frames in one inference, and most recordings played at once.
    #[schemars(range(min = 1, max = 256))]
    pub max_batch: u32,
    /// Look at every n-th frame of a stream only; in between, tracks go on as they moved.
    #[schemars(range(min = 1, max = 100))]
    pub every: u32,
    /// Look only when this share of the picture has changed since the last look: what was found then is taken to be there
    /// still. 0 looks whether anything moves or not; 0.001 notices a person far away.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_motion: f64,
    /// With min_motion: look this often even if nothing moves.
    #[schemars(extend("x-duration" = ["0s", "1h"]))]
    pub recheck: Span,
    /// Tiles across and down that the picture is cut into for small objects, each looked at on its own, and the whole as
    /// well; [1, 1] looks at the whole alone. Costs an inference a tile.
    pub tiles: [TileCount; 2],
    /// Share of a tile that it has in common with its neighbour: at least as much as the largest small object.
    #[schemars(range(min = 0.0, max = 0.9))]
    pub tile_overlap: f64,
    /// More detectors, by name or file, that see the same frames; boxes of all are merged by weighted boxes fusion.
    #[schemars(length(max = 8), inner(length(min = 1)))]
    pub also: Vec<String>,
}

/// Number of tiles in a row or column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TileCount(#[schemars(range(min = 1, max = 16))] pub u32);

/// Which boxes may suppress one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Suppress {
    /// Those of one class.
    WithinClass,
    /// All.
    AcrossClasses,
}

/// How the score of overlapped boxes falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SoftNms {
    /// They go.
    Off,
    /// By 1 - IoU, above max_iou.
    Linear,
    /// By exp(-2 IoU²), whatever max_iou.
    Gaussian,
}

/// Side of a network's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum InputPx {
    /// What the model was trained for.
    Auto(Auto),
    /// Pixels.
    Px(#[schemars(range(min = 32, max = 4096), extend("multipleOf" = 32))] u32),
}

/// The word `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Auto {
    /// Chosen by eyeline.
    #[serde(rename = "auto")]
    Auto,
}

/// Embedder settings, or `none`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Embed {
    /// No embedder.
    Off(Off),
    /// An embedder.
    On(Embedder),
}

/// The word `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Off {
    /// Switched off.
    #[serde(rename = "none")]
    None,
}

/// Embedder settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Embedder {
    /// Name of a model in models/zoo.yml, or a model file.
    #[schemars(length(min = 1))]
    pub model: String,
    /// Embedders of some classes, by name, in place of model; none embeds nothing of that class.
    #[schemars(inner(length(min = 1)), extend("examples" = [{ "person": "osnet-x0.25", "dog": "none" }]))]
    pub by_class: BTreeMap<String, String>,
    /// Detections below this score are not embedded.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_score: f64,
    /// Embeddings after which an object is settled: it is embedded once an interval from then on, and every time again
    /// while something is near it or it is hard to follow.
    #[schemars(range(min = 1, max = 1000))]
    pub settled_after: u32,
    /// Time between two embeddings of a settled object; 0s embeds every detection.
    #[schemars(extend("x-duration" = ["0s", "1h"]))]
    pub interval: Span,
    /// Most crops in one inference.
    #[schemars(range(min = 1, max = 1024))]
    pub max_batch: u32,
}

/// Output settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Output {
    /// Folder that gets one folder a stream; relative to the working directory.
    #[schemars(length(min = 1))]
    pub dir: String,
    /// Write annotated.mp4: boxes, ids, classes, trails and zones.
    pub video: bool,
    /// Write detections.txt: every detection before tracking, MOTChallenge format.
    pub detections: bool,
    /// Once a file was seen to its end, link, fill and smooth its tracks: tracks.txt and annotated.mp4 hold the refined
    /// ones, tracks.online.txt those told as the frames came. Events stay as they were told.
    pub refine: bool,
    /// How long a trail is drawn behind each object; 0s draws none.
    #[schemars(extend("x-duration" = ["0s", "1m"]))]
    pub trail: Span,
}

/// A duration as written: "500ms", "2s", "1m30s". Fields of this type name their range as `x-duration`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("pattern" = crate::config::span::PATTERN, "minLength" = 2))]
pub struct Span(pub String);

impl Default for Raw {
    fn default() -> Self {
        Self {
            version: 1,
            streams: Vec::new(),
            preprocess: Preprocess::default(),
            detect: Detect::default(),
            embed: Embed::On(Embedder::default()),
            track: Track::default(),
            events: Events::default(),
            output: Output::default(),
            media: Media::default(),
            sinks: Sinks::default(),
            api: Api::default(),
            runtime: Runtime::default(),
        }
    }
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            name: None,
            file: String::new(),
            url: Address::default(),
            repeat: 1,
            live: false,
            enabled: true,
            max_fps: 0.0,
            priority: 1,
            active: Vec::new(),
            classes: Vec::new(),
            min_score: 0.0,
            camera: Camera::default(),
            zones: Vec::new(),
            lines: Vec::new(),
            ground: Ground::default(),
            regions: Vec::new(),
            crop_to_regions: false,
            light: None,
        }
    }
}

impl Default for Detect {
    fn default() -> Self {
        Self {
            model: "yolov3-tiny".into(),
            input_px: InputPx::Auto(Auto::Auto),
            classes: Vec::new(),
            min_score: 0.1,
            min_score_by_class: BTreeMap::new(),
            max_iou: 0.45,
            suppress: Suppress::WithinClass,
            soft_nms: SoftNms::Off,
            max_detections: 1000,
            max_batch: 4,
            every: 1,
            min_motion: 0.0,
            recheck: Span::from("5s"),
            tiles: [TileCount(1); 2],
            tile_overlap: 0.2,
            also: Vec::new(),
        }
    }
}

impl Default for Embedder {
    fn default() -> Self {
        Self {
            model: "mobilenet-v2".into(),
            by_class: BTreeMap::new(),
            min_score: 0.4,
            settled_after: 3,
            interval: Span::from("0s"),
            max_batch: 32,
        }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self { dir: "out".into(), video: true, detections: false, refine: false, trail: Span::from("2s") }
    }
}

impl From<&str> for Span {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}
