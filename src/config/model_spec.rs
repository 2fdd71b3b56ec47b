//! How a model is fed and read: what an entry of `models/zoo.yml` says, and what a file `MODEL.yml` beside a model of one's
//! own may say in the same words.

use crate::frame::ImageSize;
use serde::{Deserialize, Serialize};

/// What a network is fed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// How a picture is brought to that size.
    pub fit: Fit,
    /// Grey beside a letterboxed picture, 0..=255.
    #[serde(default = "neutral_grey")]
    pub fill: u8,
    /// Order of a pixel's colours.
    #[serde(default)]
    pub colours: Colours,
    /// What white is before `mean` and `std`: 1, or 255 for networks trained on bytes.
    #[serde(default = "one")]
    pub white: f64,
    /// Subtracted from red, green and blue once they are within 0..=`white`.
    pub mean: [f64; 3],
    /// Divides the difference.
    pub std: [f64; 3],
}

/// How a picture is brought to the size of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Aspect kept, in the middle, the rest filled.
    Letterbox,
    /// Aspect kept, in the upper left corner, the rest filled.
    LetterboxCorner,
    /// Each side on its own.
    Stretch,
}

/// Order of a pixel's colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Colours {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red: trained on what OpenCV reads.
    Bgr,
}

/// How a detector's output is decoded: the family, and what shapes alone do not tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "snake_case", deny_unknown_fields)]
pub enum HeadSpec {
    /// Anchors, see `detect::heads::darknet`.
    Darknet {
        /// Replaces the masks of the cfg, for weights published with a wrong one.
        masks: Option<Vec<Vec<usize>>>,
    },
    /// See `detect::heads::yolov5`.
    Yolov5 {
        /// Width and height in pixels of each anchor, one list a scale, for maps that are not decoded in the graph.
        anchors: Option<Vec<Vec<f32>>>,
    },
    /// See `detect::heads::yolov8`.
    Yolov8 {},
    /// See `detect::heads::yolox`.
    Yolox {
        /// Whether the graph decodes to pixels.
        decoded: bool,
    },
    /// See `detect::heads::nanodet`.
    Nanodet {
        /// Where in its cell a box's centre counts from, share of the cell.
        center: f32,
    },
    /// See `detect::heads::end_to_end`.
    EndToEnd {},
    /// See `detect::heads::ssd`.
    Ssd {
        /// Where the prior boxes come from.
        priors: Priors,
        /// What the scores are.
        scores: ScoreKind,
        /// Order of a box's offsets.
        offsets: OffsetOrder,
    },
    /// See `detect::heads::torchvision`.
    Torchvision {},
}

impl HeadSpec {
    /// The family's name.
    pub fn family(&self) -> &'static str {
        match self {
            Self::Darknet { .. } => "darknet",
            Self::Yolov5 { .. } => "yolov5",
            Self::Yolov8 {} => "yolov8",
            Self::Yolox { .. } => "yolox",
            Self::Nanodet { .. } => "nanodet",
            Self::EndToEnd {} => "end_to_end",
            Self::Ssd { .. } => "ssd",
            Self::Torchvision {} => "torchvision",
        }
    }
}

/// Where prior boxes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priors {
    /// MODEL.anchors.csv beside the model: a heading, then y, x, height, width as shares of the input.
    File,
    /// Generated as TensorFlow does for SSD with MobileNet.
    Tensorflow,
}

/// What a class's score is before it is a probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreKind {
    /// A probability.
    Probability,
    /// A logit of its own.
    Sigmoid,
    /// A logit among those of all classes.
    Softmax,
}

/// Order of a box's offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OffsetOrder {
    /// y, x, height, width (TensorFlow).
    Yxhw,
    /// x, y, width, height (Caffe, PyTorch).
    Xywh,
}

/// The middle of 0..=255: what Darknet fills with.
fn neutral_grey() -> u8 {
    128
}

fn one() -> f64 {
    1.0
}

impl InputSpec {
    /// A square input of values 0..=1, letterboxed with Darknet's grey.
    pub fn plain(size: ImageSize) -> Self {
        Self {
            width: size.width,
            height: size.height,
            fit: Fit::Letterbox,
            fill: neutral_grey(),
            colours: Colours::Rgb,
            white: 1.0,
            mean: [0.0; 3],
            std: [1.0; 3],
        }
    }

    /// Size of the network's input.
    pub fn size(&self) -> ImageSize {
        ImageSize { width: self.width, height: self.height }
    }

    /// The same for another size.
    pub fn with_size(self, size: ImageSize) -> Self {
        Self { width: size.width, height: size.height, ..self }
    }
}
